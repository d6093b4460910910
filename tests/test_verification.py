"""Runs that are made again: equal, changed in one digit, and made elsewhere."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import math
import re
import shutil
import sys
from pathlib import Path

import pytest
from factories import forge
from small_trials import PROTOCOL as SMALL_PROTOCOL
from small_trials import train

from fluidrelu_cli.errors import DamagedFileError, UsageError
from fluidrelu_cli.experiment import conduct, prepare
from fluidrelu_cli.networks.named import resolve
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.run import Epoch, Run, RunFiles, write
from fluidrelu_cli.study import open_study
from fluidrelu_cli.training.weights import pack, unpack
from fluidrelu_cli.verification import Verification, read_record, use_copies, verify
from fluidrelu_cli.workers.events import Finished, Job, run_in_this_process


@pytest.fixture
def copied(undisturbed: Path, tmp_path: Path) -> Path:
    """The CSV of fluid's seed 1, with the files beside it, to be changed."""
    for path in undisturbed.glob("fluid-seed1.*"):
        shutil.copy(path, tmp_path)
    return tmp_path / "fluid-seed1.csv"


def made_again(csv: Path, data_dir: Path) -> Verification:
    epochs: list[Epoch] = []
    recorded = read_record(csv)
    verified = verify(recorded, resolve(recorded.trial.activation), data_dir, "cpu", epochs.append)
    assert verified.again.epochs == tuple(epochs)
    return verified


def test_run_is_made_again_to_the_last_digit(copied: Path, data_dir: Path) -> None:
    verified = made_again(copied, data_dir)
    assert verified.agrees
    assert verified.conditions == {}
    assert verified.recorded.trial.name == "fluid-seed1"


def test_changed_digits_and_other_conditions_are_named(copied: Path, data_dir: Path) -> None:
    first, second, last, end = copied.read_text().split("\n")
    fields = last.split(",")
    fields[3] = repr(float(fields[3]) + 0.25)
    copied.write_text("\n".join((first, second, ",".join(fields), end)))
    parameters = copied.with_suffix(".parameters.csv")
    parameters.write_text(re.sub(r"^(fluid,1,1,activation1,a,0),.*$", r"\1,nan", parameters.read_text(), flags=re.M))
    provenance = copied.with_suffix(".json")
    content = json.loads(provenance.read_text())
    content["versions"]["torch"] = "2.0"
    del content["versions"]["python"]
    changes = {"versions": content["versions"], "cpu": "another", "threads": 7, "test_images": None}
    forge(provenance, without=("csv_sha256", "parameters_sha256"), **changes)
    verified = made_again(copied, data_dir)
    assert not verified.agrees
    assert verified.differences == {"train_loss": pytest.approx(0.25), "learned value": math.inf}
    assert list(verified.conditions) == ["cpu", "threads", "versions python", "versions torch"]
    assert verified.conditions["versions torch"][0] == "2.0"
    assert verified.conditions["versions python"][0] is None
    assert verified.conditions["threads"] == ("7", "1")


def test_a_record_of_an_earlier_release_has_no_other_conditions(copied: Path, data_dir: Path) -> None:
    """It tells nothing of a network's file, nor of fields that its protocol did not have."""
    provenance = copied.with_suffix(".json")
    content = json.loads(provenance.read_text())
    for name in ("schedule", "weight_decay", "pixels", "augment", "validation_images", "init", "evaluations"):
        del content["protocol"][name]
    forge(provenance, without=("model_sha256",), protocol=content["protocol"])
    verified = made_again(copied, data_dir)
    assert verified.agrees
    assert verified.conditions == {}


def test_parameters_that_are_gone_are_named(copied: Path, data_dir: Path) -> None:
    copied.with_suffix(".parameters.csv").unlink()
    provenance = copied.with_suffix(".json")
    forge(provenance, parameter_rows=0, parameters_sha256=None)
    assert made_again(copied, data_dir).differences == {"learned kernels": math.inf, "learned value": math.inf}


def test_weights_are_compared_bit_for_bit(tmp_path: Path, data_dir: Path) -> None:
    [run] = train([Trial(SMALL_PROTOCOL, "relu", 0)], data_dir, save_weights=True)
    files = RunFiles(tmp_path, "relu-seed0")
    write(run, files)
    assert made_again(files.csv, data_dir).differences == {}
    content = files.weights.read_bytes()
    state = unpack(content)
    next(iter(state.values())).view(-1)[0] += 0.25
    write(run.with_weights(pack(state)), files)
    changed = made_again(files.csv, data_dir)
    assert changed.differences == {"weights": pytest.approx(0.25)}
    assert changed.conditions == {}
    files.weights.unlink()
    assert made_again(files.csv, data_dir).differences == {"weights": math.inf}  # by the digest
    write(run.with_weights(b"foreign"), files)
    with pytest.raises(
        DamagedFileError, match=r"relu-seed0.safetensors holds no weights \(.*\): restore it, or delete"
    ):
        made_again(files.csv, data_dir)
    files.weights.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"has its digest\): restore it, or make the run again"):
        read_record(files.csv)


def test_damaged_record_is_refused_with_a_way_on(copied: Path) -> None:
    copied.write_text(copied.read_text()[:-20])
    with pytest.raises(DamagedFileError, match=r"csv .*: restore it, or make the run again with `fluidrelu train`\."):
        read_record(copied)


def test_what_is_no_record_is_refused(copied: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no file .*nosuch\.csv: name one of the CSVs"):
        read_record(copied.with_name("nosuch.csv"))
    for path in (copied.with_suffix(".parameters.csv"), copied.with_suffix(".json"), copied.parent):
        with pytest.raises(UsageError, match=r"is not a run CSV: name one of the CSVs in a study's folder runs"):
            read_record(path)
    provenance = copied.with_suffix(".json")
    forge(provenance, protocol={"epochs": 2})
    with pytest.raises(DamagedFileError, match=r"json is damaged \(its protocol cannot be read\)"):
        read_record(copied)
    provenance.unlink()
    with pytest.raises(DamagedFileError, match=r"json, which records the run's protocol, is missing: restore it"):
        read_record(copied)


SOFT = """
import torch
from torch import nn
from fluidrelu_cli.networks.activations import ParametricActivation

class Soft(ParametricActivation):
    def function(v, a):
        return v * (v + a).sigmoid()

def net(activation, shape, classes):
    return nn.Sequential(nn.Flatten(), activation(1), nn.LazyLinear(classes))
"""


@pytest.mark.parametrize("today", [SOFT.replace("v + a", "v - a"), SOFT.replace("LazyLinear", "Linear"), None])
def test_the_copy_in_the_study_is_used_where_the_code_was_changed_or_is_gone(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch, today: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(text: str | None) -> None:
        Path("own_kept.py").unlink(missing_ok=True) if text is None else Path("own_kept.py").write_text(text)
        sys.modules.pop("own_kept", None)
        importlib.invalidate_caches()
        monkeypatch.setattr("fluidrelu_cli.networks.source._digests", {})

    write(SOFT)
    fields = {"model": "own_kept:net", "train_images": 40, "test_images": 40, "epochs": 1}
    study = open_study(tmp_path, "mine", fields)
    activations = [resolve("own_kept:Soft@beta=1000@lr=0.5")]
    experiment = prepare(study, activations, data_dir=data_dir, device="cpu", trust=True)
    run_jobs = functools.partial(run_in_this_process, data_dir=data_dir, device_name="cpu")
    with conduct(experiment, [0], run_jobs) as (_, events):
        list(events)
    csv = study.files("own_kept-Soft@beta=1000@lr=0.5-seed0").csv
    recorded = read_record(csv)
    assert recorded.provenance.betas == {"a": 1000.0}
    assert use_copies(recorded, csv) == []
    write(today)
    [kept] = use_copies(recorded, csv)
    assert kept.read_text() == SOFT
    assert made_again(csv, data_dir).agrees
    assert made_again(csv, data_dir).conditions == {}

    kept.write_text(SOFT + "# other\n")  # it is not what it says
    write(today)
    assert use_copies(recorded, csv) == []
    write(SOFT)


def test_a_run_that_recorded_no_factor_had_the_protocols(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of an earlier release, in which every ParametricActivation learned so."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr("fluidrelu_cli.networks.source._digests", {})
    sys.modules.pop("own_kept", None)
    Path("own_kept.py").write_text(SOFT)
    protocol = Protocol(train_images=40, test_images=40, epochs=1, beta=300.0)
    recorded: list[Run] = []
    for name in ("own_kept:Soft", "own_kept:Soft@beta=300"):
        job = Job(resolve(name), (Trial(protocol, "own_kept:Soft", 0),))
        *_, finished = run_in_this_process([job], data_dir=data_dir, device_name="cpu")
        assert isinstance(finished, Finished)
        recorded += finished.runs
    plain, multiplied = recorded
    assert verify(plain, resolve("own_kept:Soft"), data_dir, "cpu", print).agrees
    assert not verify(multiplied, resolve("own_kept:Soft"), data_dir, "cpu", print).agrees
    earlier = dataclasses.replace(multiplied, provenance=dataclasses.replace(multiplied.provenance, betas=None))
    assert verify(earlier, resolve("own_kept:Soft"), data_dir, "cpu", print).agrees
