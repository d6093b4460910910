"""A study on disk: what is asked for, what is missing, what is damaged, and who may write."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from factories import forge, make_run, make_study
from filelock import FileLock

from fluidrelu_cli import run
from fluidrelu_cli.errors import (
    ContradictoryRunError,
    DamagedFileError,
    FluidReluError,
    OtherProtocolError,
    StorageError,
    UsageError,
)
from fluidrelu_cli.protocol import Protocol, Trial, trial_names
from fluidrelu_cli.run import Provenance, Run
from fluidrelu_cli.study import MOST_SEEDS, Study, find_study, load_study, open_study, restore_study

PAIR = ("relu", "fluid")


def ids(runs: Sequence[Run]) -> list[tuple[str, int]]:
    return [(run.trial.activation, run.trial.seed) for run in runs]


def trials(study: Study, activations: Sequence[str], n: int) -> list[Trial]:
    return [Trial(study.protocol, name, seed) for seed in range(n) for name in activations]


def test_new_study_has_what_was_asked_for_and_the_defaults(tmp_path: Path) -> None:
    study = open_study(tmp_path, "calibration/batch-10", {"batch_size": 10})
    assert study.folder == tmp_path / "calibration" / "batch-10"
    assert study.protocol == Protocol(batch_size=10)
    assert study.asked == {}
    assert not list(tmp_path.iterdir())  # a request that is refused later leaves nothing behind
    with study.locked():
        pass
    assert open_study(tmp_path, "calibration/batch-10", {}) == study


def test_what_is_asked_for_is_remembered(tmp_path: Path) -> None:
    study = open_study(tmp_path, "new", {})
    study.ask(PAIR, 2)
    study.ask(["elu"], 1)
    study.ask(["relu"], 1)
    assert load_study(tmp_path / "new").asked == {"relu": 2, "fluid": 2, "elu": 1}
    assert json.loads((tmp_path / "new" / "study.json").read_text()).keys() == {"protocol", "asked", "sha256"}


def test_ten_after_three_leaves_seven(tmp_path: Path) -> None:
    study = make_study(tmp_path, {name: [(0.5, 0.75)] * 3 for name in PAIR})
    contents = study.read()
    assert study.missing(trials(study, PAIR, 10), contents) == trials(study, PAIR, 10)[6:]
    assert study.missing(trials(study, PAIR, 3), contents) == []


def test_damaged_run_is_missing_and_stays_until_it_is_set_aside(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"relu": [(0.5,), (0.6,)]})
    csv = study.files("relu-seed1").csv
    csv.write_text("damaged")
    study.files("relu-seed1").weights.write_text("weights")
    before = sorted(study.runs_folder.iterdir())
    contents = study.read()
    assert [trial.name for trial in study.missing(trials(study, ["relu"], 2), contents)] == ["relu-seed1"]
    assert sorted(study.runs_folder.iterdir()) == before  # a question writes nothing
    [note] = contents.notes
    assert note.startswith(f"Left out: {csv} is damaged (")
    assert study.set_aside("relu-seed1") == "relu-seed1.csv.damaged1"
    assert not csv.exists()
    assert csv.with_name("relu-seed1.csv.damaged1").read_text() == "damaged"
    assert csv.with_name("relu-seed1.json.damaged1").exists()
    assert csv.with_name("relu-seed1.safetensors.damaged1").exists()
    assert ids(study.read().runs) == [("relu", 0)]
    assert study.read().notes == []
    csv.write_text("damaged again")  # does not overwrite the first
    assert study.set_aside("relu-seed1") == "relu-seed1.csv.damaged2"
    assert csv.with_name("relu-seed1.csv.damaged1").read_text() == "damaged"


def test_damaged_run_that_cannot_be_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study(tmp_path, {"relu": [(0.5,)]})

    def read_only(*_args: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "replace", read_only)
    with pytest.raises(StorageError, match=r"is damaged .*cannot be set aside \(Read-only file system\)"):
        study.set_aside("relu-seed0")


def test_protocol_of_a_study_is_kept(tmp_path: Path) -> None:
    study = make_study(tmp_path / "mine", {"relu": [(0.5, 0.75)]}, lr=0.01)
    assert open_study(tmp_path, "mine", {}) == study
    assert open_study(tmp_path, "mine", {"lr": 0.01, "epochs": 2}) == study
    with pytest.raises(UsageError) as error:
        open_study(tmp_path, "mine", {"lr": 0.001, "epochs": 2, "train_images": 300})
    assert str(error.value) == (
        f"The study in {tmp_path / 'mine'} has --lr 0.01, not 0.001, --train-images None, not 300:"
        " leave these options out to go on with it, or start another with --study NAME."
    )


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "/abs", "a//b", "../x", "a/../b", ".hidden", "a/.b", "a b", "a\nb", "runs", "mine/report"],
)
def test_what_is_no_name_for_a_study(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a valid name: "):
        open_study(tmp_path, name, {})


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("local", "local"),
        ("calibration/batch-10/", "calibration/batch-10"),
        ("v1.2", "v1.2"),
        ("_x", "_x"),
        ("2", "2"),
        ("o\u0308l-日本-हिन्दी", "öl-日本-हिन्दी"),  # composed, as most file systems have it
        ("results/new", "new"),  # the shell completes the folder of all studies
        ("./results/a/../new/", "new"),
    ],
)
def test_what_is_a_name_for_a_study(typed: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = open_study(Path("results"), typed, {})
    assert (study.folder, study.name) == (Path("results", name), name)
    assert open_study(tmp_path / "results", str(tmp_path / "results" / name), {}).name == name


def test_a_name_of_a_study_is_refused_for_a_character(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"'.', '_', '-' and '/', not ':'\.$"):
        open_study(tmp_path, "a:b", {})

    def fail(name: str) -> bytes:
        return name.encode("ascii")

    monkeypatch.setattr("os.fsencode", fail)
    with pytest.raises(UsageError, match=r"this system's names of files have no '\\xf6'"):
        open_study(tmp_path, "aö", {})


def test_a_study_is_named_by_its_name_or_by_the_path_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    results = Path("results")
    for folder in ("results/first", "results/group/second", "elsewhere/third", "first"):
        make_study(Path(folder), {"relu": [(0.5,)]})
    for typed in ("first", "first/", "results/first", "results/first/", "./results/first", tmp_path / "results/first"):
        study = find_study(results, str(typed))
        assert (study.folder.resolve(), study.name) == (tmp_path / "results" / "first", "first")
        assert open_study(results, str(typed), {}) == study
    assert find_study(results, "./first").folder == Path("first")  # a name wins over a path that could be one
    assert find_study(results, "results/group/second").name == "group/second"
    for typed in ("elsewhere/third", "./elsewhere/third/"):
        assert find_study(results, typed).name == "elsewhere/third"
    assert open_study(results, "elsewhere/third", {}).folder == Path("elsewhere/third")
    for typed in ("", ".", "..", "third", "results", "../first", "a\0b"):
        with pytest.raises(UsageError, match="There is no study"):
            find_study(results, typed)


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
        ({**GOOD, "asked": {"relu": -1}}, "'relu' cannot have been asked for with -1 seeds"),
        ({**GOOD, "asked": {"relu": 2.5}}, "is damaged ("),
        ({**GOOD, "asked": {"relu": math.inf}}, "is damaged ("),
        ({**GOOD, "asked": {"re\nlu": 3}}, "'re\\nlu' cannot"),
        ('{"asked": ' * 100_000, "is damaged ("),
        ({**GOOD, "protocol": "paper"}, "is damaged ("),
        ({**GOOD, "protocol": {"lr": 0.1}}, "missing or unknown: batch_size"),
        ({**GOOD, "protocol": {**Protocol().to_dict(), "gamma": 1}}, "missing or unknown: gamma"),
        (
            {**GOOD, "protocol": {**Protocol().to_dict(), "epochs": 0}},
            "--epochs must be a whole number from 1 to 1,000,000,000, not 0",
        ),
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


def test_runs_whose_protocol_nobody_knows_are_not_mixed_with_new_ones(tmp_path: Path) -> None:
    make_study(tmp_path / "mine", {"relu": [(0.5,)]})
    (tmp_path / "mine" / "study.json").unlink()
    with pytest.raises(
        DamagedFileError,
        match=r"mine has runs but no study\.json.*`fluidrelu restore \S+mine` .*name another",
    ):
        open_study(tmp_path, "mine", {})


def test_second_holder_of_the_lock_is_told_at_once(tmp_path: Path) -> None:
    study = Study(tmp_path, Protocol())
    hold = f"from filelock import FileLock; lock = FileLock({str(tmp_path / '.lock')!r}); lock.acquire()"
    command = [sys.executable, "-c", f"{hold}; print('locked', flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(FluidReluError, match=r"Another fluidrelu is at work in .*: wait until it is done"):
            study.locked().__enter__()
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


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"relu": [(0.5,)]})
    before = {path: path.read_bytes() for path in study.runs_folder.iterdir()}
    (study.runs_folder / ".relu-seed1.csv.4711.tmp").write_text("half a f")
    with study.locked():
        assert {path: path.read_bytes() for path in study.runs_folder.iterdir()} == before


def test_study_on_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(StorageError, match=r"cannot lock files .*Name a folder on another one with --results"):
        Study(tmp_path / "mine", Protocol()).locked().__enter__()


def test_study_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot be written .*--results"):
        Study(tmp_path / "file" / "mine", Protocol()).locked().__enter__()


def test_study_that_is_not_there_names_those_near(tmp_path: Path) -> None:
    none = r"no study 'locl', and none in .* yet: train one with `fluidrelu repeat`"
    with pytest.raises(UsageError, match=none):
        find_study(tmp_path, "locl")
    with pytest.raises(UsageError, match=none):
        load_study(tmp_path / "locl")
    for name in ("paper", "local", "calibration/local-2", "a", "b", "c", "d"):
        Study(tmp_path / name, Protocol()).save()
    with pytest.raises(UsageError) as error:
        find_study(tmp_path, "locl")
    there = "local, calibration/local-2, "
    assert str(error.value).startswith(f"There is no study 'locl': name one in {tmp_path} ({there}")
    assert str(error.value).endswith(" and 2 more), or the path of a study's folder.")


def test_runs_are_read_in_order_and_damaged_ones_named(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"relu": [(0.5, 0.75)] * 11, "fluid": [(0.5, 0.75)] * 3})
    study.files("relu-seed3").csv.write_text("damaged")
    study.files("relu-seed4").provenance.unlink()
    study.files("relu-seed5").csv.unlink()
    study.files("relu-seed6").csv.rename(study.runs_folder / "relu-seed6.csv.damaged")
    study.files("fluid-seed1").parameters.write_text("damaged")
    contents = study.read()
    assert ids(contents.runs) == [("fluid", 0), ("fluid", 2), *(("relu", seed) for seed in (0, 1, 2, 7, 8, 9, 10))]
    assert list(contents.problems) == ["fluid-seed1", "relu-seed3", "relu-seed4"]
    assert contents.notes[0].startswith(f"Left out: {study.files('fluid-seed1').parameters} is damaged (")
    assert contents.notes[2].startswith(f"Left out: {study.files('relu-seed4').provenance}, which records")


def test_study_without_runs(tmp_path: Path) -> None:
    study = Study(tmp_path, Protocol())
    assert study.read().runs == ()
    with pytest.raises(FluidReluError, match=r"has no finished run: train some with `fluidrelu repeat` first"):
        study.read_some()
    study.runs_folder.mkdir()
    (study.runs_folder / "relu-seed0.csv").write_text("damaged")
    failure = study.write_failure(Trial(study.protocol, "mine:Soft", 0), "Traceback ...")
    with pytest.raises(FluidReluError, match=r"has no finished run \(Left out: .* 1 failed: see .*\): train") as error:
        study.read_some()
    assert str(failure) in str(error.value)


def test_runs_that_are_left_out_for_one_reason_are_told_of_once(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"relu": [(0.5,)] * 9})
    study.protocol = Protocol(epochs=2)
    [note] = study.read().notes
    assert note.startswith(f"Left out: {study.files('relu-seed0').provenance} is of another protocol than its study")
    listed = ", ".join(f"relu-seed{seed}" for seed in range(1, 7))
    assert note.endswith(f"move the run away; likewise {listed} and 2 more.")


def test_each_file_of_a_study_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study(tmp_path, {name: [(0.5,)] * 13 for name in PAIR})
    opened: list[str] = []
    read_bytes = Path.read_bytes

    def count(self: Path) -> bytes:
        opened.append(self.name)
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", count)
    study.missing(trials(study, PAIR, 20), study.read())
    assert sorted(opened) == sorted(path.name for path in study.runs_folder.iterdir())


def test_failure_is_kept_until_the_trial_succeeds(tmp_path: Path) -> None:
    study = Study(tmp_path, Protocol(epochs=2))
    run = make_run("relu")
    path = study.write_failure(run.trial, "Traceback ...")
    assert path == tmp_path / "runs" / "relu-seed0.failed.txt"
    assert path.read_text() == "Traceback ..."
    assert study.missing([run.trial], study.read()) == [run.trial]
    study.write(run)
    assert not path.exists()
    assert study.missing([run.trial], study.read()) == []


def test_runs_of_another_protocol_are_left_out_and_stay_where_they_are(tmp_path: Path) -> None:
    """Somebody edited study.json: that is to be mended, not the runs."""
    study = make_study(tmp_path, {"relu": [(0.5,)]})
    edited = Study(tmp_path, dataclasses.replace(study.protocol, lr=0.1))
    contents = edited.read()
    assert contents.runs == ()
    assert edited.missing(trials(edited, ["relu"], 1)[1:], contents) == []
    with pytest.raises(OtherProtocolError, match=r"than its study \(lr\): restore study\.json"):
        edited.missing(trials(edited, ["relu"], 1), contents)
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


@pytest.mark.parametrize("asked", [10**6, 10**30])
def test_more_seeds_than_anybody_trains_are_not_believed(asked: int, tmp_path: Path) -> None:
    study = make_study(tmp_path, {"relu": [(0.5,)]})
    forge(study.path, asked={"relu": asked})
    assert load_study(tmp_path).asked == {"relu": MOST_SEEDS}


def test_what_was_asked_for_by_mistake_can_be_forgotten(tmp_path: Path) -> None:
    study = make_study(tmp_path, {name: [(0.5,)] for name in PAIR})
    study.ask(PAIR, 50_000)
    study.ask(["relu"], 3)
    assert load_study(tmp_path).asked == {"relu": 50_000, "fluid": 50_000}
    study.ask(["relu"], 3, forget=True)
    assert load_study(tmp_path).asked == {"relu": 3, "fluid": 50_000}


def test_a_dropped_activation_leaves_the_study_with_all_its_files(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", {name: [(0.5,), (0.75,)] for name in ("relu", "fluid", "mine:soft")})
    for path in study.runs_folder.glob("mine-soft~*-seed0.*"):  # as an earlier release called it
        path.rename(path.with_name(f"mine-soft-seed0{path.suffix}"))
    study.set_aside("fluid-seed1")
    study.write_failure(Trial(study.protocol, "fluid", 2), "why")
    with study.locked():
        dropped = study.drop("fluid")
        own = study.drop("mine:soft")
        with pytest.raises(UsageError, match=r"has no activation 'fluid': it has relu\."):
            study.drop("fluid")
    assert dropped == study.folder / "dropped" / "fluid.1"
    files = ["seed0.csv", "seed0.json", "seed0.parameters.csv"]
    files += ["seed1.csv.damaged1", "seed1.json.damaged1", "seed1.parameters.csv.damaged1", "seed2.failed.txt"]
    assert sorted(path.name for path in dropped.iterdir()) == [f"fluid-{file}" for file in files]
    assert own is not None
    assert len(list(own.iterdir())) == 4
    assert load_study(study.folder).asked == study.asked == {"relu": 2}
    assert ids(study.read().runs) == [("relu", 0), ("relu", 1)]
    study.ask(["fluid", "elu"], 1)
    study.write(make_run("fluid", 0, (0.5,)))
    with study.locked():
        assert study.drop("fluid") == study.folder / "dropped" / "fluid.2"
        assert study.drop("elu") is None
    assert study.asked == {"relu": 2}


def test_what_cannot_be_moved_is_an_error(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", {"relu": [(0.5,)]})
    (study.folder / "dropped").touch()
    with study.locked(), pytest.raises(StorageError, match=r"dropped/relu\.1 cannot be written"):
        study.drop("relu")
    assert study.asked == {"relu": 1}


def test_a_study_json_changed_by_hand_is_noticed(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"relu": [(0.5,)]})
    study.path.write_text(study.path.read_text().replace('"relu": 1', '"relu": 9'))
    with pytest.raises(
        DamagedFileError, match=r"was changed after it was written .*: `fluidrelu restore \S+` makes it"
    ):
        load_study(tmp_path)


def test_a_study_json_that_was_removed_is_written_with_the_next_run(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"relu": [(0.5, 0.75)]})
    study.path.unlink()
    study.write(make_run("relu", 1))
    assert load_study(tmp_path).asked == {"relu": 1}


def digests(weights: str, order: str) -> Provenance:
    return Provenance(initial_weights_sha256=weights, data_order_sha256=order)


def copy_seed(study: Study, old: int, new: int, **protocol: Any) -> None:
    """Invent a seed: another one's run under a new name, sealed as if it had been trained."""
    run = make_run("relu", old, **protocol)
    copied = dataclasses.replace(run, trial=Trial(run.trial.protocol, "relu", new))
    study.write(dataclasses.replace(copied, provenance=digests(f"weights{old}", f"order{old}")))


def test_a_seed_that_is_a_copy_of_another_is_left_out_with_it(tmp_path: Path) -> None:
    study = Study(tmp_path, Protocol(epochs=2))
    for seed in (0, 1):
        for name in PAIR:
            recorded = digests(f"weights{seed}", f"order{seed}")
            study.write(dataclasses.replace(make_run(name, seed), provenance=recorded))
    assert len(study.read().runs) == 4
    copy_seed(study, 1, 7)
    contents = study.read()
    assert ids(contents.runs) == [("fluid", 0), ("relu", 0)]
    assert set(contents.problems) == {"fluid-seed1", "relu-seed1", "relu-seed7"}
    for problem in contents.problems.values():
        assert isinstance(problem, ContradictoryRunError)
        assert "the seeds 1, 7 have the same initial weights, so one is a copy" in str(problem)


def test_a_users_own_network_may_start_from_fixed_weights(tmp_path: Path) -> None:
    study = Study(tmp_path, Protocol(epochs=2, model="mine:Net"))
    for seed in (0, 1):
        run = make_run("relu", seed, model="mine:Net")
        study.write(dataclasses.replace(run, provenance=digests("fixed", f"order{seed}")))
    assert len(study.read().runs) == 2
    run = make_run("relu", 2, model="mine:Net")
    study.write(dataclasses.replace(run, provenance=digests("fixed", "order1")))
    assert ids(study.read().runs) == [("relu", 0)]


def test_a_study_is_restored_from_its_runs(tmp_path: Path) -> None:
    study = make_study(tmp_path / "mine", {"relu": [(0.5,)] * 3, "fluid": [(0.5,)] * 2}, lr=0.25)
    study.files("relu-seed0").csv.write_text("damaged")
    study.path.unlink()
    restored = restore_study(tmp_path, "mine")
    assert (restored.protocol, restored.asked) == (study.protocol, {"fluid": 2, "relu": 3})
    assert load_study(tmp_path / "mine") == restored
    with pytest.raises(UsageError, match=r"study\.json can be read: there is nothing to restore"):
        restore_study(tmp_path, "mine")


def test_a_damaged_study_json_is_set_aside_before_it_is_restored(tmp_path: Path) -> None:
    study = make_study(tmp_path / "mine", {"relu": [(0.5,)] * 3})
    study.path.write_text("damaged")
    assert restore_study(tmp_path, "mine").asked == {"relu": 3}
    assert (tmp_path / "mine" / "study.json.damaged1").read_text() == "damaged"


def test_what_cannot_be_restored(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no study 'nosuch'"):
        restore_study(tmp_path, "nosuch")
    study = make_study(tmp_path / "mine", {"relu": [(0.5,)]})
    study.write(make_run("relu", 1, (0.5,), lr=0.25))
    study.path.unlink()
    with pytest.raises(UsageError, match=r"mine has runs of several protocols, which differ in --lr: move some away"):
        restore_study(tmp_path, "mine")
    assert not study.path.exists()


def test_a_copy_is_told_from_what_it_was_copied_from_where_other_runs_show_it(tmp_path: Path) -> None:
    study = Study(tmp_path, Protocol(epochs=2))
    for seed in (1, 5):
        for name in PAIR:
            weights = digests(f"weights{seed}", f"order{seed}")
            study.write(dataclasses.replace(make_run(name, seed), provenance=weights))
    copy_seed(study, 1, 5)
    contents = study.read()
    assert ids(contents.runs) == [("fluid", 1), ("fluid", 5), ("relu", 1)]
    assert set(contents.problems) == {"relu-seed5"}


def test_a_trial_has_one_run(tmp_path: Path) -> None:
    """One under its earlier name, say, and one under the present one."""
    study = Study(tmp_path, Protocol(epochs=2))
    study.write(make_run("mine:soft"))
    for path in list(study.runs_folder.iterdir()):
        shutil.copy(path, path.with_name(re.sub("~[0-9a-f]+", "", path.name)))
    contents = study.read()
    assert contents.runs == ()
    assert set(contents.problems) == set(trial_names("mine:soft", 0))
    assert "it is mine:soft with seed 0, as mine-soft-seed0 is" in str(contents.problems["mine-soft-seed0"])


def test_a_run_of_another_protocol_is_found_by_its_earlier_name_too(tmp_path: Path) -> None:
    study = Study(tmp_path, Protocol(epochs=2))
    run.write(make_run("mine:soft", lr=0.5), study.files("mine-soft-seed0"))
    with pytest.raises(OtherProtocolError):
        study.missing([make_run("mine:soft").trial], study.read())


def test_files_that_macos_puts_beside_others_are_no_runs(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"relu": [(0.5,)]})
    (study.runs_folder / "._relu-seed0.csv").write_bytes(b"\0\5\26\7")
    assert study.read().problems == {}


def test_a_study_that_is_being_trained_is_not_restored(tmp_path: Path) -> None:
    study = make_study(tmp_path / "mine", {"relu": [(0.5,)]})
    with study.locked():
        study.path.write_text("damaged")
        with pytest.raises(FluidReluError, match="Another fluidrelu is at work"):
            restore_study(tmp_path, "mine")
        assert study.path.read_text() == "damaged"


def test_a_seed_far_from_the_others_was_not_asked_for(tmp_path: Path) -> None:
    study = make_study(tmp_path / "mine", {"relu": [(0.5,)] * 4})
    study.files("relu-seed1").csv.unlink()
    study.write(make_run("relu", 10**6, (0.5,)))
    study.write(make_run("fluid", 77, (0.5,)))
    study.path.unlink()
    assert restore_study(tmp_path, "mine").asked == {"relu": 4}


def test_where_one_of_two_has_no_digests_it_is_the_copy(tmp_path: Path) -> None:
    study = Study(tmp_path, Protocol(epochs=2))
    copy_seed(study, 0, 0)
    copy_seed(study, 0, 5)
    path = study.files("relu-seed5").provenance
    path.write_text(
        json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != "sha256"})
    )
    contents = study.read()
    assert ids(contents.runs) == [("relu", 0)]
    assert set(contents.problems) == {"relu-seed5"}


def test_a_study_json_of_a_protocol_that_no_run_has_is_restored(tmp_path: Path) -> None:
    study = make_study(tmp_path / "mine", {"relu": [(0.5,)]})
    dataclasses.replace(study, protocol=Protocol(epochs=7)).save()
    assert restore_study(tmp_path, "mine").protocol == study.protocol
    assert (tmp_path / "mine" / "study.json.damaged1").exists()


def test_runs_without_a_study_json_are_not_no_study(tmp_path: Path) -> None:
    study = make_study(tmp_path / "mine", {"relu": [(0.5,)]})
    study.path.unlink()
    with pytest.raises(DamagedFileError, match=r"`fluidrelu restore \S+mine`"):
        load_study(tmp_path / "mine")
    with pytest.raises(UsageError, match="A study has a name, not None"):
        find_study(tmp_path, None)  # type: ignore[arg-type]
