"""A study on disk: what is asked for, what is missing, what is damaged, and who may write."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock

from fluidrelu_cli.errors import DamagedFileError, FluidReluError, OtherProtocolError, StorageError, UsageError
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.run import PARAMETER_COLUMNS, RUN_COLUMNS, Run
from fluidrelu_cli.study import Study, load_study, open_study, study_folder

MakeResult = Callable[..., Run]
MakeStudy = Callable[..., Study]

PAIR = ("relu", "fluid")


def ids(runs: pd.DataFrame) -> list[tuple[str, int]]:
    """The activation and seed of every run, in the table's order."""
    return list(dict.fromkeys(zip(runs["activation"], runs["seed"].tolist(), strict=True)))


def names(trials: list[Trial]) -> list[str]:
    return [trial.name for trial in trials]


def test_new_study_has_what_was_asked_for_and_the_defaults(tmp_path: Path) -> None:
    study = open_study(tmp_path, "calibration/batch-10", {"batch_size": 10})
    assert study.folder == tmp_path / "calibration" / "batch-10"
    assert study.protocol == Protocol(batch_size=10)
    assert study.asked == {}
    assert not list(tmp_path.iterdir())  # a request that is refused later leaves nothing behind
    with study.locked():
        pass
    assert open_study(tmp_path, "calibration/batch-10", {}) == study


def test_what_is_asked_for_comes_seed_by_seed_and_is_remembered(tmp_path: Path) -> None:
    study = open_study(tmp_path, "new", {})
    assert names(study.ask(PAIR, 2)) == ["relu-seed0", "fluid-seed0", "relu-seed1", "fluid-seed1"]
    assert names(study.ask(["elu"], 1)) == ["elu-seed0"]
    assert names(study.ask(["relu"], 1)) == ["relu-seed0"]
    assert load_study(tmp_path / "new").asked == {"relu": 2, "fluid": 2, "elu": 1}
    assert json.loads((tmp_path / "new" / "study.json").read_text()).keys() == {"protocol", "asked"}


def test_ten_after_three_leaves_seven(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, {name: [(0.5, 0.75)] * 3 for name in PAIR})
    missing, notes = study.missing(study.ask(PAIR, 10))
    assert names(missing) == [f"{name}-seed{seed}" for seed in range(3, 10) for name in PAIR]
    assert notes == []
    assert study.missing(study.ask(PAIR, 3)) == ([], [])


def test_damaged_run_is_set_aside_and_listed(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, {"relu": [(0.5,), (0.6,)]})
    csv = study.files("relu-seed1").csv
    csv.write_text("damaged")
    missing, notes = study.missing(study.ask(["relu"], 2))
    assert names(missing) == ["relu-seed1"]
    [note] = notes
    assert note.startswith(f"{csv} is damaged (")
    assert note.endswith("; the run is now relu-seed1.csv.damaged1, and the trial is run again.")
    assert not csv.exists()
    assert csv.with_name("relu-seed1.csv.damaged1").read_text() == "damaged"
    runs, notes = study.read_runs()
    assert ids(runs) == [("relu", 0)]
    assert notes == []


def test_damaged_run_that_cannot_be_set_aside(
    tmp_path: Path, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(tmp_path, {"relu": [(0.5,)]})
    study.files("relu-seed0").csv.write_text("damaged")

    def read_only(*_args: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "replace", read_only)
    with pytest.raises(StorageError, match=r"is damaged .*cannot be set aside \(Read-only file system\)"):
        study.missing(study.ask(["relu"], 1))


def test_protocol_of_a_study_is_kept(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path / "mine", {"relu": [(0.5, 0.75)]}, lr=0.01)
    assert open_study(tmp_path, "mine", {}) == study
    assert open_study(tmp_path, "mine", {"lr": 0.01, "epochs": 2}) == study
    with pytest.raises(UsageError) as error:
        open_study(tmp_path, "mine", {"lr": 0.001, "epochs": 2, "train_images": 300})
    assert str(error.value) == (
        f"The study in {tmp_path / 'mine'} has --lr 0.01, not 0.001, --train-images None, not 300:"
        " leave these options out to go on with it, or start another with --study NAME."
    )


@pytest.mark.parametrize("name", ["", ".", "..", "/abs", "a//b", "a/", "../x", "a/../b", ".hidden", "a/.b", "a b", "ä"])
def test_what_is_no_name_for_a_study(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no name for a study: use letters"):
        study_folder(tmp_path, name)


@pytest.mark.parametrize("name", ["local", "calibration/batch-10", "v1.2", "_x", "2"])
def test_what_is_a_name_for_a_study(name: str, tmp_path: Path) -> None:
    assert study_folder(tmp_path, name) == tmp_path.joinpath(*name.split("/"))


GOOD = {"protocol": Protocol().to_dict(), "asked": {"relu": 3}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is damaged ("),
        ("protocol: paper", "is damaged ("),
        (b"\xff\xfe\x00", "is damaged ("),
        ([GOOD], "it holds no JSON object"),
        ({"asked": {}}, "'protocol'"),
        ({"protocol": Protocol().to_dict()}, "'asked'"),
        ({**GOOD, "asked": ["relu"]}, "is damaged ("),
        ({**GOOD, "asked": {"relu": "three"}}, "'three'"),
        ({**GOOD, "asked": {"relu": None}}, "is damaged ("),
        ({**GOOD, "protocol": "paper"}, "is damaged ("),
        ({**GOOD, "protocol": {"lr": 0.1}}, "missing or unknown: batch_size"),
        ({**GOOD, "protocol": {**Protocol().to_dict(), "gamma": 1}}, "missing or unknown: gamma"),
        ({**GOOD, "protocol": {**Protocol().to_dict(), "epochs": 0}}, "--epochs must be a whole number from 1, not 0"),
        ({**GOOD, "protocol": {**Protocol().to_dict(), "lr": "fast"}}, "--lr must be a number above 0, not fast"),
    ],
)
def test_damaged_study_is_refused(content: object, words: str, tmp_path: Path) -> None:
    path = tmp_path / "mine" / "study.json"
    path.parent.mkdir()
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DamagedFileError) as error:
        load_study(path.parent)
    assert str(error.value).startswith(f"{path} is damaged (")
    assert words in str(error.value)
    with pytest.raises(DamagedFileError):
        open_study(tmp_path, "mine", {})


def test_runs_whose_protocol_nobody_knows_are_not_mixed_with_new_ones(tmp_path: Path, make_study: MakeStudy) -> None:
    make_study(tmp_path / "mine", {"relu": [(0.5,)]})
    (tmp_path / "mine" / "study.json").unlink()
    with pytest.raises(DamagedFileError, match=r"mine has runs but no study\.json.*restore it, or name another"):
        open_study(tmp_path, "mine", {})


def test_second_holder_of_the_lock_is_told_at_once(tmp_path: Path) -> None:
    study = Study(tmp_path, Protocol())
    hold = f"from filelock import FileLock; lock = FileLock({str(tmp_path / '.lock')!r}); lock.acquire()"
    command = [sys.executable, "-c", f"{hold}; print('locked', flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        start = time.monotonic()
        with pytest.raises(FluidReluError, match=r"Another fluidrelu is at work in .*: wait until it is done"):
            study.locked().__enter__()
        assert time.monotonic() - start < 2
        other.communicate("\n")
    with study.locked():  # the other is gone, whether it said goodbye or not
        pass


def test_lock_is_held_within_and_given_back_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with Study(tmp_path, Protocol()).locked():
            with pytest.raises(FluidReluError, match="Another fluidrelu"):
                Study(tmp_path, Protocol()).locked().__enter__()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with FileLock(tmp_path / ".lock").acquire(timeout=0):
        pass


def test_what_a_killed_process_left_is_cleared(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, {"relu": [(0.5,)]})
    before = {path: path.read_bytes() for path in study.runs_folder.iterdir()}
    (study.runs_folder / ".relu-seed1.csv.4711.tmp").write_text("half a f")
    with study.locked():
        assert {path: path.read_bytes() for path in study.runs_folder.iterdir()} == before


def test_study_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot be written .*--results"):
        Study(tmp_path / "file" / "mine", Protocol()).locked().__enter__()


def test_study_that_is_not_there_names_those_near(tmp_path: Path, make_study: MakeStudy) -> None:
    with pytest.raises(UsageError, match=r"There is no study in .*locl.*`fluidrelu repeat` first.*\(none so far\)"):
        load_study(tmp_path / "locl")
    for name in ("paper", "local", "calibration/batch-10"):
        make_study(tmp_path / name, {"relu": [(0.5,)]})
    with pytest.raises(UsageError) as error:
        load_study(tmp_path / "locl")
    there = "calibration/batch-10, local, paper"
    assert str(error.value).endswith(f"or name one that is there in {tmp_path} ({there}).")


def test_runs_are_read_in_order_and_damaged_ones_named(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, {"relu": [(0.5, 0.75)] * 11, "fluid": [(0.5, 0.75)] * 2})
    study.files("relu-seed3").csv.write_text("damaged")
    study.files("relu-seed4").provenance.unlink()
    study.files("relu-seed5").csv.unlink()
    study.files("relu-seed6").csv.rename(study.runs_folder / "relu-seed6.csv.damaged")
    runs, notes = study.read_runs()
    assert ids(runs) == [("fluid", 0), ("fluid", 1), *(("relu", seed) for seed in (0, 1, 2, 7, 8, 9, 10))]
    assert runs["epoch"].tolist() == [1, 2] * 9
    assert list(runs.columns) == list(RUN_COLUMNS)
    assert list(runs.index) == list(range(18))
    assert len(notes) == 2
    assert notes[0].startswith(f"Left out: {study.files('relu-seed3').csv} is damaged (")
    assert notes[1].startswith(
        f"Left out: {study.files('relu-seed4').provenance}, which tells the run's protocol, is missing"
    )


def test_study_without_runs_is_an_empty_table(tmp_path: Path) -> None:
    study = Study(tmp_path, Protocol())
    runs, notes = study.read_runs()
    parameters, parameter_notes = study.read_parameters(runs)
    for table, columns in ((runs, RUN_COLUMNS), (parameters, PARAMETER_COLUMNS)):
        assert table.empty
        assert list(table.columns) == list(columns)
    assert notes == parameter_notes == []


def test_parameters_are_read_in_order_and_damaged_ones_named(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, {"relu": [(0.5,)], "fluid": [(0.5,)] * 11})
    study.files("fluid-seed3").parameters.write_text("damaged")
    parameters, notes = study.read_parameters(study.read_runs()[0])
    assert ids(parameters) == [("fluid", seed) for seed in (0, 1, 2, 4, 5, 6, 7, 8, 9, 10)]
    [note] = notes
    assert note.startswith(f"Left out: {study.files('fluid-seed3').parameters} is damaged (")


def test_parameters_of_a_run_that_is_left_out_are_left_out_too(tmp_path: Path, make_study: MakeStudy) -> None:
    """A figure would otherwise show what the tables do not count, even of another protocol."""
    study = make_study(tmp_path, {"fluid": [(0.5,)] * 2})
    provenance = study.files("fluid-seed0").provenance
    provenance.write_text(provenance.read_text().replace('"lr": 0.001', '"lr": 0.1'))
    assert ids(study.read_runs()[0]) == [("fluid", 1)]
    assert ids(study.read_parameters(study.read_runs()[0])[0]) == [("fluid", 1)]


def test_parameters_of_another_seed_than_the_files_name_are_left_out(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, {"fluid": [(0.5,)] * 2})
    shutil.copyfile(study.files("fluid-seed0").parameters, study.files("fluid-seed1").parameters)
    parameters, notes = study.read_parameters(study.read_runs()[0])
    assert not parameters.duplicated().any()
    assert len(notes) == 1


def test_failure_is_kept_until_the_trial_succeeds(tmp_path: Path, make_result: MakeResult) -> None:
    study = Study(tmp_path, Protocol(epochs=2))
    result = make_result("relu")
    path = study.write_failure(result.trial, "Traceback ...")
    assert path == tmp_path / "runs" / "relu-seed0.failed.txt"
    assert path.read_text() == "Traceback ..."
    assert study.missing([result.trial]) == ([result.trial], [])
    study.write(result)
    assert not path.exists()
    assert study.missing([result.trial]) == ([], [])


def test_a_second_damaged_run_does_not_overwrite_the_first(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, {"fluid": [(0.5,)]})
    for number in (1, 2):
        study.files("fluid-seed0").csv.write_text(f"damaged {number}")
        study.missing(study.ask(["fluid"], 1))
    assert (study.runs_folder / "fluid-seed0.csv.damaged1").read_text() == "damaged 1"
    assert (study.runs_folder / "fluid-seed0.csv.damaged2").read_text() == "damaged 2"
    assert (study.runs_folder / "fluid-seed0.json.damaged1").exists()


def test_runs_of_another_protocol_stay_where_they_are(tmp_path: Path, make_study: MakeStudy) -> None:
    """Somebody edited study.json: that is to be mended, not the runs."""
    study = make_study(tmp_path, {"relu": [(0.5,)]})
    edited = Study(tmp_path, dataclasses.replace(study.protocol, epochs=2))
    with pytest.raises(OtherProtocolError, match=r"restore study\.json"):
        edited.missing(edited.ask(["relu"], 1))
    assert study.files("relu-seed0").csv.exists()


def test_what_another_process_wrote_since_opening_holds(tmp_path: Path) -> None:
    """Both opened a study that was not there; the first to lock it sets its protocol."""
    first, second = Study(tmp_path, Protocol()), Study(tmp_path, Protocol())
    third = Study(tmp_path, Protocol(epochs=7))
    with first.locked():
        first.ask(["relu"], 10)
    with second.locked():
        assert second.asked == {"relu": 10}
        second.ask(["relu", "fluid"], 1)
    assert load_study(tmp_path).asked == {"relu": 10, "fluid": 1}
    with pytest.raises(UsageError, match="set by another process just now: try again"), third.locked():
        pass
    assert load_study(tmp_path).protocol == Protocol()


def test_runs_made_under_different_conditions_are_noted(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, {"relu": [(0.5,)] * 2, "mine:Act": [(0.5,)] * 2})
    for seed in (0, 1):
        for name in ("relu", "mine-Act"):
            path = study.files(f"{name}-seed{seed}").provenance
            made = json.loads(path.read_text()) | {
                "device": "cpu",
                "versions": {"torch": f"2.1{seed}"},
                "batched_seeds": 1 + 63 * seed,
                "data_sha256": str(seed + 2) * 64,
                "model_sha256": str(seed + 4) * 64,
            }
            path.write_text(json.dumps(made | {"activation_sha256": None if name == "relu" else str(seed) * 64}))
    assert study.read_runs()[1] == [
        f"The runs in {tmp_path} differ in the way of training: one by one, seeds together.",
        f"The runs in {tmp_path} differ in the version of torch: 2.10, 2.11.",
        f"The runs in {tmp_path} differ in the data (sha256): 222222222222, 333333333333.",
        f"The runs in {tmp_path} differ in the source file of the network (sha256): 444444444444, 555555555555.",
        f"The runs in {tmp_path} differ in the source file of mine:Act (sha256): 000000000000, 111111111111.",
    ]


def test_runs_that_do_not_tell_of_a_networks_file_are_like_those_of_a_built_in_one(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    """The first releases' runs."""
    study = make_study(tmp_path, {"relu": [(0.5,)] * 2})
    path = study.files("relu-seed1").provenance
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_sha256": None, "activation_sha256": None}))
    assert study.read_runs()[1] == []


def test_data_that_was_changed_since_the_first_run_is_refused(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, {"relu": [(0.5,)] * 2}, dataset="mine.npz")
    study.check_data("1" * 64)  # these runs do not tell
    for seed in (0, 1):
        path = study.files(f"relu-seed{seed}").provenance
        path.write_text(json.dumps(json.loads(path.read_text()) | {"data_sha256": "1" * 64}))
    study.check_data("1" * 64)
    with pytest.raises(UsageError) as error:
        study.check_data("2" * 64)
    assert str(error.value) == (
        f"The runs in {tmp_path} were trained on other data than mine.npz holds now (sha256 111111111111, not"
        " 222222222222): restore it, or name another --study."
    )


def test_a_study_without_runs_takes_any_data(tmp_path: Path) -> None:
    Study(tmp_path, Protocol()).check_data("2" * 64)


def test_a_run_that_cannot_be_read_does_not_vouch_for_data(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, {"relu": [(0.5,)]})
    study.files("relu-seed0").provenance.write_text("{")
    study.check_data("2" * 64)


def test_runs_that_are_no_pairs_are_noted(tmp_path: Path, make_result: MakeResult) -> None:
    """As with a network that draws its weights from numpy."""
    study = Study(tmp_path, Protocol(epochs=2))
    for activation, digest in (("relu", "a"), ("fluid", "b")):
        for seed in (0, 1):
            made = make_result(activation, seed)
            digests = {"initial_weights_sha256": digest if seed else "same", "data_order_sha256": str(seed)}
            study.write(dataclasses.replace(made, provenance={**made.provenance, **digests}))
    _, [note] = study.read_runs()
    assert note == (
        f"The runs of seed 1 in {tmp_path} are no pairs, for they differ in initial weights: the network or an"
        " activation draws random numbers elsewhere than from torch."
    )


def test_a_source_that_was_changed_is_noted(tmp_path: Path, make_result: MakeResult) -> None:
    study = Study(tmp_path, Protocol(epochs=2))
    for seed in (0, 1):
        made = make_result("mine:Act", seed)
        digests = {"activation_sha256": "old", "model_sha256": None}
        study.write(dataclasses.replace(made, provenance={**made.provenance, **digests}))
    assert study.changed_sources({"mine:Act": "old", "relu": None}, None) == []
    [note] = study.changed_sources({"mine:Act": "new", "relu": None}, None)
    assert note == (
        "The source of mine:Act or of its network was changed since mine-Act-seed0 was trained: delete such runs to"
        " train them again, or name another --study."
    )
