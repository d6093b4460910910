"""The files of a run: what is written comes back exactly, appears whole or not at all, and is checked when read."""

from __future__ import annotations

import base64
import dataclasses
import errno
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import forge, make_run
from hypothesis import given, settings
from hypothesis import strategies as st

from fluidrelu_cli.errors import DamagedFileError, StorageError
from fluidrelu_cli.files import sealed_json
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.run import (
    _KINDS,
    PARAMETER_COLUMNS,
    RUN_COLUMNS,
    Epoch,
    Provenance,
    Run,
    RunFiles,
    read,
    read_weights,
    tabulate_parameters,
    tabulate_runs,
    write,
)

RUN_CSV = """\
activation,seed,epoch,train_loss,train_accuracy,test_loss,test_accuracy,train_seconds,test_seconds
fluid,3,1,0.3333333333333333,0.9783,0.25,0.9783,2.5,0.5
fluid,3,2,0.25,0.1,0.25,0.1,2.5,0.5
"""

PARAMETERS_CSV = """\
activation,seed,epoch,layer,parameter,kernel,value
fluid,3,0,activation1,a,0,3.0
fluid,3,0,activation1,a,1,0.0
fluid,3,0,activation2,a,0,3.0
fluid,3,0,activation2,a,1,0.0
fluid,3,1,activation1,a,0,3.5
fluid,3,1,activation1,a,1,-0.3333333333333333
fluid,3,1,activation2,a,0,3.5
fluid,3,1,activation2,a,1,-0.3333333333333333
fluid,3,2,activation1,a,0,4.0
fluid,3,2,activation1,a,1,-0.6666666666666666
fluid,3,2,activation2,a,0,4.0
fluid,3,2,activation2,a,1,-0.6666666666666666
"""

accuracies = st.integers(1, 60000).flatmap(lambda n: st.integers(0, n).map(lambda right: right / n))
test_accuracies = st.integers(0, 10_000).map(lambda right: right / 10_000)
seconds = st.floats(0, 1e6)
epochs = st.builds(
    Epoch,
    epoch=st.just(1),
    train_loss=st.floats(),
    train_accuracy=accuracies,
    test_loss=st.floats(),
    test_accuracy=test_accuracies,
    train_seconds=seconds,
    test_seconds=seconds,
    parameters=st.fixed_dictionaries({("activation1", "a"): st.tuples(st.floats(), st.floats())}),
)


@settings(deadline=None, max_examples=50)
@given(st.lists(epochs, min_size=1, max_size=3))
def test_every_number_comes_back_exactly(records: list[Epoch]) -> None:
    records = [dataclasses.replace(record, epoch=epoch) for epoch, record in enumerate(records, start=1)]
    trial = Trial(Protocol(epochs=len(records)), "fluid", 0)
    run = Run(trial, {("activation1", "a"): (0.0, -0.0)}, tuple(records))
    with tempfile.TemporaryDirectory() as folder:
        files = RunFiles(Path(folder), trial.name)
        write(run, files)
        again = read(files)
    assert repr(again) == repr(run)  # where nan equals nan and 0.0 is not -0.0


def test_the_files_to_the_letter(tmp_path: Path) -> None:
    """Columns and their order are a public interface."""
    files = RunFiles(tmp_path, "fluid-seed3")
    write(make_run("fluid", 3, (0.9783, 0.1), lr=0.01, batch_size=50), files)
    assert files.csv.read_text() == RUN_CSV
    assert files.parameters.read_text() == PARAMETERS_CSV
    without_timings = "".join(f"{line.rsplit(',', 2)[0]}\n" for line in RUN_CSV.splitlines())
    assert json.loads(files.provenance.read_text()) == {
        "activation": "fluid",
        "seed": 3,
        "protocol": {
            "dataset": "mnist",
            "model": "paper",
            "epochs": 2,
            "batch_size": 50,
            "lr": 0.01,
            "momentum": 0.9,
            "beta": 10000.0,
            "train_images": None,
            "test_images": None,
            "precision": "fp32",
            "schedule": "constant",
            "weight_decay": 0.0,
            "pixels": "auto",
            "augment": "none",
            "validation_images": None,
            "init": "as-built",
            "loss": "mean",
            "optimizer": "sgd",
            "evaluations": 1,
        },
        "parameter_rows": 12,
        **Provenance(wall_seconds=6.0).to_dict(),
        "csv_sha256": hashlib.sha256(without_timings.encode()).hexdigest(),
        "parameters_sha256": hashlib.sha256(PARAMETERS_CSV.encode()).hexdigest(),
        "correct": None,
        "weights_sha256": None,
        "sha256": json.loads(files.provenance.read_text())["sha256"],
    }
    names = {"fluid-seed3.csv", "fluid-seed3.parameters.csv", "fluid-seed3.json"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_a_run_that_is_tested_within_epochs_comes_back(tmp_path: Path) -> None:
    """The rows of whole epochs are written as those of any run."""
    whole = make_run("fluid", 3, (0.5, 0.25, 0.75, 0.875))
    trial = Trial(Protocol(epochs=2, evaluations=2), "fluid", 3)
    marked = zip(whole.epochs, (0.5, 1, 1.5, 2), strict=True)
    run = dataclasses.replace(
        whole, trial=trial, epochs=tuple(dataclasses.replace(each, epoch=at) for each, at in marked)
    )
    files = RunFiles(tmp_path, "fluid-seed3")
    write(run, files)
    assert [line.split(",")[2] for line in files.csv.read_text().splitlines()[1:]] == ["0.5", "1", "1.5", "2"]
    assert list(dict.fromkeys(line.split(",")[2] for line in files.parameters.read_text().splitlines()[1:])) == [
        *("0", "0.5", "1", "1.5", "2")
    ]
    assert repr(read(files)) == repr(run)
    files.csv.write_text(files.csv.read_text().replace("fluid,3,1.5,", "fluid,3,1.6,"))
    with pytest.raises(DamagedFileError, match=r"one row for each of 2 epochs, tested 2 times each$"):
        read(files)


def test_weights_are_a_file_beside_the_run(tmp_path: Path) -> None:
    run = make_run("relu").with_weights(b"the weights")
    files = RunFiles(tmp_path, "relu-seed0")
    write(run, files)
    assert files.weights == tmp_path / "relu-seed0.safetensors"
    assert files.weights.read_bytes() == b"the weights"
    found = read(files)
    assert found == run
    assert found.weights is None
    assert read_weights(found, files).weights == b"the weights"
    files.weights.write_bytes(b"the Weights")
    with pytest.raises(DamagedFileError, match=r"safetensors was changed after it was written \(relu-seed0.json has"):
        read_weights(found, files)
    files.weights.unlink()  # it is not in git
    assert read_weights(read(files), files) == run
    write(run, files)
    write(make_run("relu"), files)  # again, without
    assert not files.weights.exists()
    assert read(files).weights_sha256 is None
    forge(files.provenance, weights_sha256="../x")
    with pytest.raises(DamagedFileError, match=r"json is damaged \(weights_sha256 is no digest\)"):
        read(files)


def test_result_is_the_last_epochs_test_accuracy() -> None:
    assert make_run(accuracies=(0.5, 0.875, 0.75)).test_accuracy == 0.75


def test_run_without_learned_parameters_has_no_file_of_them(tmp_path: Path) -> None:
    files = RunFiles(tmp_path, "relu-seed0")
    write(make_run("relu"), files)
    assert not files.parameters.exists()
    assert read(files).initial_parameters == {}


@pytest.mark.parametrize("activation", ["nan", "None", "1", "True", "my_module:MyAct", 'a,"b"'])
def test_activation_stays_a_string(activation: str, tmp_path: Path) -> None:
    result = make_run(activation)
    files = RunFiles(tmp_path, result.trial.name)
    write(result, files)
    assert read(files) == result


@pytest.mark.parametrize("whole", [0, 1, 2])
def test_run_csv_is_written_last(whole: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many files were finished before the disk was full, the run does not look finished."""
    files = RunFiles(tmp_path, "fluid-seed0")
    files.failure.write_text("of an earlier try")
    replace, left = Path.replace, [None] * whole

    def replace_while_there_is_room(self: Path, target: Path) -> Path:
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left.pop()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", replace_while_there_is_room)
    with pytest.raises(StorageError):
        write(make_run(), files)
    there = {path for path in tmp_path.iterdir() if path != files.failure}
    assert len(there) == whole
    assert there <= {files.parameters, files.provenance}
    assert files.failure.exists()


def test_failure_file_vanishes_on_success(tmp_path: Path) -> None:
    files = RunFiles(tmp_path, "relu-seed0")
    files.failure.write_text("Traceback ...")
    write(make_run("relu"), files)
    assert files.csv.exists()
    assert not files.failure.exists()


def change_protocol(text: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> str:
    content = json.loads(text)
    return sealed_json({**content, "protocol": change(content["protocol"])})


def last_line(text: str) -> str:
    return text.splitlines(keepends=True)[-1]


CSV, PROVENANCE = "fluid-seed0.csv", "fluid-seed0.json"


@pytest.mark.parametrize(
    ("name", "mutate", "words"),
    [
        pytest.param(CSV, lambda text: text[:-20], "is damaged (could not convert", id="truncated in mid-line"),
        pytest.param(CSV, lambda _: "", "is damaged (its columns are not activation, seed", id="empty"),
        pytest.param(CSV, lambda _: b"\0" * 300, "is damaged (", id="zeros"),
        pytest.param(CSV, lambda _: bytes(range(256)), "is damaged (", id="binary garbage"),
        pytest.param(CSV, lambda text: text.replace("train_loss", "loss"), "its columns are not", id="wrong header"),
        pytest.param(CSV, lambda text: text.replace("epoch,", "", 1), "is damaged (", id="header without a column"),
        pytest.param(CSV, lambda text: text[: text.index("\n") + 1], "it has no rows", id="header only"),
        pytest.param(
            CSV, lambda text: text.removesuffix(last_line(text)), "one row for each of 2 epochs", id="missing epoch"
        ),
        pytest.param(CSV, lambda text: text + last_line(text), "one row for each of 2 epochs", id="extra row"),
        pytest.param(CSV, lambda text: text[:-1] + ",1\n", "its columns are not", id="row too long"),
        pytest.param(CSV, lambda text: text[:-5] + "\n", "could not convert string to float: ''", id="row too short"),
        pytest.param(CSV, lambda text: text[:-5] + '"\n', "is damaged (", id="quotation without an end"),
        pytest.param(CSV, lambda text: text.replace(",0.75,", ",1.5,"), "accuracy outside [0, 1]", id="accuracy 1.5"),
        pytest.param(CSV, lambda text: text.replace(",0.75,", ",-0.1,"), "accuracy outside [0, 1]", id="accuracy -0.1"),
        pytest.param(CSV, lambda text: text.replace(",0.75,", ",nan,"), "accuracy outside [0, 1]", id="accuracy nan"),
        pytest.param(CSV, lambda text: text.replace(",0.75,", ",good,"), "could not convert", id="text for a number"),
        pytest.param(
            CSV, lambda text: text.replace(",2,", ",2.5,"), "one row for each of 2 epochs", id="half an epoch"
        ),
        pytest.param(CSV, lambda text: text.replace("fluid,", "relu,"), "than its name says", id="other activation"),
        pytest.param(CSV, lambda text: text.replace("fluid,0", "fluid,7"), "than its name says", id="other seed"),
        pytest.param(CSV, lambda text: text.replace("fluid,0,2", "fluid,1,2"), "mixes", id="two seeds"),
        pytest.param(CSV, lambda text: text.replace("fluid,0,2", "relu,0,2"), "mixes", id="two activations"),
        pytest.param(CSV, None, "cannot be read (No such file or directory)", id="no run"),
        pytest.param(PROVENANCE, None, "which records the run's protocol, is missing", id="no provenance"),
        pytest.param(PROVENANCE, lambda text: text[:-20], "is damaged (", id="provenance not JSON"),
        pytest.param(PROVENANCE, lambda _: b"\xff\xfe", "is damaged (", id="provenance binary"),
        pytest.param(PROVENANCE, lambda _: "[1]", "it holds no JSON object", id="provenance a list"),
        pytest.param(
            PROVENANCE,
            lambda text: change_protocol(text, lambda _: {}),
            "its protocol cannot be read",
            id="provenance without protocol",
        ),
        pytest.param(
            PROVENANCE,
            lambda text: change_protocol(text, lambda fields: {**fields, "gamma": 1}),
            "its protocol cannot be read",
            id="unknown protocol field",
        ),
        pytest.param(PROVENANCE, lambda text: text.replace('"beta"', '"gamma"'), "sha256 does not fit", id="edited"),
        pytest.param(PROVENANCE, lambda _: "[" * 100_000, "is damaged (", id="provenance nested deeply"),
        pytest.param(PROVENANCE, lambda _: '{"seed": ' + "9" * 5000 + "}", "is damaged (", id="a number without end"),
        pytest.param(CSV, lambda text: text.replace(",0.75,", ",0.76,"), "has its digest", id="accuracy by hand"),
        pytest.param(CSV, lambda text: text.replace(",0.75,", ",0.75001,"), "which 10000 images", id="half an image"),
        pytest.param(CSV, lambda text: text.replace("0.25,", "0.26,"), "has its digest", id="loss by hand"),
        pytest.param(CSV, lambda text: text.replace("2.5,", "inf,"), "no number of seconds", id="endless"),
        pytest.param(CSV, lambda text: text.replace("2.5,", "-2.5,"), "no number of seconds", id="before it began"),
        pytest.param(CSV, lambda text: text.replace("fluid,", '"flu\nid",'), "printable", id="name on two lines"),
        pytest.param(CSV, lambda text: text.replace("fluid,", f"{'f' * 256},"), "at most 255", id="name without end"),
        pytest.param("fluid-seed0.parameters.csv", None, "is missing", id="no parameters"),
    ],
)
def test_damaged_run_is_refused(
    name: str, mutate: Callable[[str], str | bytes] | None, words: str, tmp_path: Path
) -> None:
    result = make_run()
    files = RunFiles(tmp_path, "fluid-seed0")
    write(result, files)
    read(files)  # good so far
    path = tmp_path / name
    if mutate is None:
        path.unlink()
    else:
        good = path.read_text()
        bad = mutate(good)
        assert bad != good
        path.write_bytes(bad.encode() if isinstance(bad, str) else bad)
    with pytest.raises(StorageError if mutate is None else DamagedFileError) as error:
        read(files)
    message = str(error.value)
    assert message.startswith(str(path))
    assert words in message
    assert "\n" not in message


def test_run_saved_by_a_spreadsheet_is_no_damaged_one(tmp_path: Path) -> None:
    result, files = make_run(), RunFiles(tmp_path, "fluid-seed0")
    write(result, files)
    before = read(files)
    files.csv.write_bytes(f"\ufeff{files.csv.read_text()}\n".replace("\n", "\r\n").encode())
    assert read(files) == before


@pytest.mark.parametrize(
    ("loss", "diverged"),
    [(0.1, False), (1000, False), (1000.1, True), (7e23, True), (math.inf, True), (math.nan, True)],
)
def test_run_has_diverged_if_its_last_training_loss_is_absurd(loss: float, diverged: bool) -> None:
    good = make_run("relu")
    absurd, last = (dataclasses.replace(good.epochs[-1], train_loss=value) for value in (math.nan, loss))
    assert dataclasses.replace(good, epochs=(absurd, last)).diverged is diverged


def test_diverged_run_is_no_damaged_one(tmp_path: Path) -> None:
    good = make_run("relu")
    diverged = tuple(dataclasses.replace(record, train_loss=math.nan, test_loss=math.inf) for record in good.epochs)
    files = RunFiles(tmp_path, "relu-seed0")
    write(dataclasses.replace(good, epochs=diverged), files)
    run = read(files)
    assert repr(run.epochs) == repr(diverged)
    assert run.diverged
    assert not good.diverged


def test_parameters_cut_between_two_lines_are_damaged(tmp_path: Path) -> None:
    files = RunFiles(tmp_path, "fluid-seed0")
    write(make_run(), files)
    lines = files.parameters.read_text().splitlines(keepends=True)
    files.parameters.write_text("".join(lines[:-1]))
    with pytest.raises(DamagedFileError, match=r"11 rows, not 12"):
        read(files)


def test_a_seed_that_cannot_be_is_damage(tmp_path: Path) -> None:
    files = RunFiles(tmp_path, "fluid-seed0")
    write(make_run(), files)
    files.csv.write_text(files.csv.read_text().replace("fluid,0,", "fluid,-1,"))
    with pytest.raises(DamagedFileError, match="--seed must be a whole number from 0 to below"):
        read(files)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("test_images", "many"),
        ("test_images", 0),
        ("versions", None),
        ("device", 7),
        ("threads", True),
        ("source", "abc"),
        ("batched_seeds", "x"),
        ("batched_seeds", 0),
        ("wall_seconds", "long"),
        ("wall_seconds", math.inf),
        ("initial_weights_sha256", []),
        ("versions", {"torch": ["2"]}),
        ("parameter_rows", "12"),
    ],
)
def test_conditions_changed_by_hand_are_damage(field: str, value: object, tmp_path: Path) -> None:
    files = RunFiles(tmp_path, "relu-seed0")
    result = make_run("relu")
    write(result, files)
    changes: dict[str, Any] = {field: value}
    forge(files.provenance, **changes)
    with pytest.raises(DamagedFileError, match=rf"relu-seed0\.json is damaged \({field}: "):
        read(files)


def test_the_digest_leaves_timings_out_and_nothing_else() -> None:
    run = make_run()
    slower = tuple(dataclasses.replace(epoch, train_seconds=77.0, test_seconds=7.0) for epoch in run.epochs)
    worse = tuple(dataclasses.replace(epoch, train_loss=77.0) for epoch in run.epochs)
    assert dataclasses.replace(run, epochs=slower).csv_sha256 == run.csv_sha256
    assert dataclasses.replace(run, epochs=worse).csv_sha256 != run.csv_sha256
    assert make_run(seed=1).csv_sha256 != run.csv_sha256
    assert make_run("relu").parameters_sha256 is None


@pytest.mark.parametrize(
    "without", [("sha256", "csv_sha256", "parameters_sha256"), ("sha256",), ("csv_sha256",), ("sha256", "csv_sha256")]
)
def test_a_run_without_digests_is_read_and_known_to_be_unprotected(without: tuple[str, ...], tmp_path: Path) -> None:
    files = RunFiles(tmp_path, "fluid-seed0")
    write(make_run(), files)
    assert read(files).protected
    content = json.loads(files.provenance.read_text())
    content = {name: value for name, value in content.items() if name not in without}
    files.provenance.write_text(json.dumps(content) if "sha256" in without else sealed_json(content))
    found = read(files)
    assert not found.protected
    assert dataclasses.replace(found, protected=True) == make_run()


def test_a_run_leaves_no_parameters_of_an_earlier_one(tmp_path: Path) -> None:
    files = RunFiles(tmp_path, "fluid-seed0")
    write(make_run(), files)
    without = dataclasses.replace(make_run(), initial_parameters={})
    without = dataclasses.replace(
        without, epochs=tuple(dataclasses.replace(epoch, parameters={}) for epoch in without.epochs)
    )
    write(without, files)
    assert read(files) == without


@pytest.mark.parametrize("name", ["sha256", "csv_sha256", "parameters_sha256"])
def test_an_empty_digest_protects_nothing(name: str, tmp_path: Path) -> None:
    files = RunFiles(tmp_path, "fluid-seed0")
    write(make_run(), files)
    content = json.loads(files.provenance.read_text()) | {name: None}
    files.provenance.write_text(json.dumps(content) if name == "sha256" else sealed_json(content))
    if name == "sha256":
        with pytest.raises(DamagedFileError):
            read(files)
    else:
        assert not read(files).protected


def test_test_images_are_those_of_the_protocol(tmp_path: Path) -> None:
    files = RunFiles(tmp_path, "relu-seed0")
    write(make_run("relu", test_images=100), files)
    forge(files.provenance, test_images=200)
    with pytest.raises(DamagedFileError, match="a number of test images that is not its protocol's"):
        read(files)


def test_swapped_seeds_are_damage(tmp_path: Path) -> None:
    """The CSVs of two seeds changed places, with the seeds in them and in their names made to fit."""
    one, two = (RunFiles(tmp_path, f"relu-seed{seed}") for seed in (0, 1))
    write(make_run("relu", 0, (0.5, 0.75)), one)
    write(make_run("relu", 1, (0.5, 0.25)), two)
    first, second = one.csv.read_text(), two.csv.read_text()
    one.csv.write_text(second.replace("relu,1", "relu,0"))
    two.csv.write_text(first.replace("relu,0", "relu,1"))
    for files in (one, two):
        with pytest.raises(DamagedFileError, match="was changed after it was written"):
            read(files)


def test_a_record_of_another_seed_is_damage(tmp_path: Path) -> None:
    files = RunFiles(tmp_path, "relu-seed0")
    write(make_run("relu"), files)
    for changes in ({"seed": 1}, {"activation": "elu"}, {"seed": "0"}):
        write(make_run("relu"), files)
        forge(files.provenance, **changes)
        with pytest.raises(DamagedFileError, match=r"json is of another activation or seed than relu-seed0\.csv"):
            read(files)


def test_a_protocol_of_very_many_epochs_is_no_hang(tmp_path: Path) -> None:
    files = RunFiles(tmp_path, "relu-seed0")
    run = make_run("relu")
    write(run, files)
    forge(files.provenance, protocol={**run.trial.protocol.to_dict(), "epochs": 10**9})
    with pytest.raises(DamagedFileError, match="one row for each of 1000000000 epochs"):
        read(files)
    forge(files.provenance, protocol={**run.trial.protocol.to_dict(), "epochs": 10**30})
    with pytest.raises(DamagedFileError, match="its protocol cannot be read"):
        read(files)


@pytest.mark.parametrize("name", ["relu-seed0.csv", "relu-seed0.json"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(name: str, tmp_path: Path) -> None:
    files = RunFiles(tmp_path, "relu-seed0")
    write(make_run("relu"), files)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(StorageError, match=r"relu-seed0\.\w+ is not a file: move it away"):
        read(files)


def test_a_run_of_an_earlier_release_is_found_by_its_earlier_name(tmp_path: Path) -> None:
    earlier = RunFiles(tmp_path, "-Soft-seed0")
    run = make_run("мои:Soft")
    write(run, earlier)
    assert run.trial.name != "-Soft-seed0"
    assert read(earlier) == run


PARAMETERS = "fluid-seed0.parameters.csv"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param("activation1,a,1,0.0", "activation1,a,0,0.0", "activation1 has no kernel 1", id="kernel twice"),
        pytest.param(",activation2,a,0,", ",activation2,a,1,", "activation2 has no kernel 0", id="kernel missing"),
        pytest.param("0,2,activation2", "0,3,activation2", "it has an epoch 3", id="epoch that was not trained"),
        pytest.param("0,2,activation2", "0,2,activation3", "its epochs have different kernels", id="other layer"),
        pytest.param("fluid,0,", "fluid,1,", "than its name says", id="other seed"),
        pytest.param("activation1", '"activation\n1"', "no name that can be shown", id="layer on two lines"),
        pytest.param("activation1,a,0,0.5", "activation1,a,0,0.25", "has its digest", id="another value"),
    ],
)
def test_damaged_parameters_are_refused(old: str, new: str, words: str, tmp_path: Path) -> None:
    files = RunFiles(tmp_path, "fluid-seed0")
    write(make_run(), files)
    good = files.parameters.read_text()
    assert old in good
    files.parameters.write_text(good.replace(old, new))
    with pytest.raises(DamagedFileError) as error:
        read(files)
    assert str(error.value).startswith(str(files.parameters))
    assert words in str(error.value)


def with_images(bits: str, accuracy: float, images: int) -> Run:
    """A run that had these images right."""
    run = make_run("relu", 0, (accuracy,), test_images=images)
    return dataclasses.replace(run, correct=bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)))


def test_the_images_that_were_right_come_back(tmp_path: Path) -> None:
    run = with_images("1010000111000000", 5 / 10, 10)
    files = RunFiles(tmp_path, "relu-seed0")
    write(run, files)
    assert json.loads(files.provenance.read_text())["correct"] == "ocA="
    assert read(files) == run
    assert np.unpackbits(np.frombuffer(run.correct or b"", np.uint8))[:10].tolist() == [1, 0, 1, 0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("correct", "words"),
    [
        ("1010000110000000", "has other images right"),  # one fewer
        ("1010000110000001", "has other images right"),  # as many, but one is no image
        ("10111000", "has other images right"),  # too few images
        ("101000011100000000000000", "has other images right"),  # too many
        ("?", "correct is not in base64"),
        (7, "correct is not in base64"),
    ],
)
def test_images_that_cannot_have_been_right_are_damage(correct: str | int, words: str, tmp_path: Path) -> None:
    files = RunFiles(tmp_path, "relu-seed0")
    write(with_images("1010000111000000", 5 / 10, 10), files)
    bits = isinstance(correct, str) and set(correct) <= {"0", "1"}
    value = base64.b64encode(with_images(str(correct), 0.5, 10).correct or b"").decode() if bits else correct
    forge(files.provenance, correct=value)
    with pytest.raises(DamagedFileError, match=words):
        read(files)


def test_every_field_of_a_provenance_is_checked() -> None:
    assert {str(field.type) for field in dataclasses.fields(Provenance)} <= _KINDS.keys()


def test_provenance_of_an_earlier_release_has_defaults_and_of_a_later_one_is_read() -> None:
    assert Provenance.from_dict({}) == Provenance()
    assert Provenance().batched_seeds == 1
    assert Provenance.from_dict({"threads": 2, "future": [1]}) == Provenance(threads=2)


@pytest.mark.parametrize(
    ("recorded", "limit", "images"), [(None, None, 10_000), (None, 100, 100), (26_032, None, 26_032), (50, 100, 50)]
)
def test_images_of_the_first_runs_were_mnists(recorded: int | None, limit: int | None, images: int) -> None:
    run = make_run(test_images=limit)
    assert dataclasses.replace(run, provenance=Provenance(test_images=recorded)).test_images == images


def test_tables_have_the_columns_of_the_files() -> None:
    runs = [make_run("relu"), make_run("fluid")]
    assert list(tabulate_runs(runs).columns) == list(RUN_COLUMNS)
    assert tabulate_runs(runs)["activation"].tolist() == ["relu", "relu", "fluid", "fluid"]
    parameters = tabulate_parameters(runs)
    assert list(parameters.columns) == list(PARAMETER_COLUMNS)
    assert set(parameters["activation"]) == {"fluid"}
    assert len(parameters) == 12
    for table, columns in ((tabulate_runs([]), RUN_COLUMNS), (tabulate_parameters([]), PARAMETER_COLUMNS)):
        assert table.empty
        assert list(table.columns) == list(columns)
