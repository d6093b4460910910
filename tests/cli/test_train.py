"""`train`, `repeat` and `verify` end to end, on the first images of the real MNIST."""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import re
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from command_line import (
    ACTIVATIONS,
    assert_same_numbers,
    fluidrelu,
    fluidrelu_json,
    numbers,
    words,
)
from factories import forge, make_run, make_study

from fluidrelu_cli.run import Run
from fluidrelu_cli.study import load_study
from fluidrelu_cli.verification import Verification

pytestmark = pytest.mark.usefixtures("folder")


def test_repeat_trains_the_pair_and_shows_the_table(undisturbed: Path) -> None:
    names = {path.name for path in undisturbed.iterdir()}
    assert names == {
        *(f"{act}-seed{seed}{end}" for act in ("relu", "fluid") for seed in (0, 1) for end in (".csv", ".json")),
        *(f"fluid-seed{seed}.parameters.csv" for seed in (0, 1)),
    }
    study = json.loads((undisturbed.parent / "study.json").read_text())
    assert study["asked"] == {"relu": 2, "fluid": 2}
    assert study["protocol"]["train_images"] == 300


def test_both_activations_of_a_seed_start_alike_and_see_the_same_batches(undisturbed: Path) -> None:
    def digests(name: str) -> tuple[str, str]:
        provenance = json.loads((undisturbed / f"{name}.json").read_text())
        return provenance["initial_weights_sha256"], provenance["data_order_sha256"]

    assert digests("relu-seed0") == digests("fluid-seed0")
    assert digests("relu-seed1") == digests("fluid-seed1")
    assert not set(digests("relu-seed0")) & set(digests("relu-seed1"))


def test_train_gives_the_numbers_of_repeat_and_is_not_done_twice(
    undisturbed: Path, small: tuple[object, ...], folder: Path
) -> None:
    output = words(fluidrelu("train", "--act", "fluid", "--seed", 1, *small))
    accuracy = float(numbers(undisturbed)["fluid-seed1.csv"]["test_accuracy"].iloc[-1])
    assert "fluid seed 1: epoch 2/2" in output
    assert f"test accuracy {accuracy:.4f} results/local/runs/fluid-seed1.csv" in output
    runs = folder / "results" / "local" / "runs"
    for name, table in numbers(runs).items():
        pd.testing.assert_frame_equal(table, numbers(undisturbed)[name])
    before = (runs / "fluid-seed1.csv").stat().st_mtime_ns
    output = words(fluidrelu("train", "--act", "Fluid", "--seed", 1, "--save-weights", *small))
    assert (
        "fluid-seed1 has no file of weights in results/local/runs, and what is finished is not trained again" in output
    )
    assert "finished already" in output
    assert (runs / "fluid-seed1.csv").stat().st_mtime_ns == before


def test_a_network_with_options_is_trained_and_recorded_in_one_spelling(
    small: tuple[object, ...], folder: Path
) -> None:
    fluidrelu("train", "--act", "fluid", "--model", "paper:pooling=average,hidden=8,padding=none", *small)
    study = load_study(folder / "results" / "local")
    assert study.protocol.model == "paper:hidden=8,pooling=average"
    [run] = study.read().runs
    assert {layer: len(values) for (layer, _), values in run.initial_parameters.items()} == {
        "activation1": 16,
        "activation2": 32,
    }
    again = words(fluidrelu("train", "--act", "fluid", "--model", "paper:hidden=08,pooling=average"))
    assert "finished already" in again
    fluidrelu("report")
    output = words(fluidrelu("train", "--model", "paper:hidden=9", code=2))
    assert "results/local" in output
    assert "paper:hidden=8,pooling=average" in output


def test_repeat_trains_only_what_is_missing(undisturbed: Path, small: tuple[object, ...], folder: Path) -> None:
    """-n 2 after -n 1; then one deleted CSV; then nothing."""
    runs = folder / "results" / "local" / "runs"
    fluidrelu("repeat", "-n", 1, "--workers", 1, *small)
    times = {path: path.stat().st_mtime_ns for path in runs.iterdir()}
    output = words(fluidrelu("repeat", "-n", 2, *small))
    assert output.startswith("2 seeds cannot establish anything; 6 can (-n 6). results/local: 4 trials asked for, 2")
    assert "4 trials asked for, 2 finished already, 2 to train." in output
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in times.items())
    assert_same_numbers(runs, undisturbed)
    (runs / "relu-seed1.csv").unlink()
    output = words(fluidrelu("repeat", "-n", 2, "--save-weights"))  # the study knows its protocol
    assert "relu-seed0 and 2 more have no file of weights in results/local/runs" in output
    [weights] = runs.glob("*.safetensors")
    assert weights.stem == "relu-seed1"
    recorded = json.loads(weights.with_suffix(".json").read_text())
    assert recorded["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert "4 trials asked for, 3 finished already, 1 to train. 1/1 relu seed 1: test accuracy" in output
    assert output.endswith("Compare them with: fluidrelu report")
    assert_same_numbers(runs, undisturbed)
    output = fluidrelu("repeat", "-n", 2)
    assert "0 to train" in output
    assert "cannot establish" not in output
    output = words(fluidrelu("train", "--act", "fluid", "--seed", 1))  # whose partner has the weights
    assert re.search(
        r"Of this one pair FluidReLU alone is right on \d+ images and ReLU alone on \d+: McNemar's", output
    )
    assert "McNemar" not in fluidrelu("train", "--act", "relu", "--seed", 1)


def test_repeat_goes_on_with_the_activations_of_the_study(folder: Path) -> None:
    study = make_study(folder / "results" / "local", {"tanh": [(0.5,)], "elu": [(0.5,)]})
    (folder / "mine.py").write_text(ACTIVATIONS)
    output = words(fluidrelu("repeat", "-n", 1, "--device", "cpu"))
    assert "2 trials asked for, 2 finished already, 0 to train." in output
    assert "1 finished already, 0 to train" in fluidrelu("repeat", "-n", 1, "--act", "elu", "--device", "cpu")
    output = words(fluidrelu("repeat", "--drop", "elu"))
    assert "is now without elu: its runs are in results/local/dropped/elu.1, where no table counts them." in output
    assert output.endswith("Compare what is left with: fluidrelu report")
    study.asked = load_study(study.folder).asked
    study.ask(["mine:Slow"], 1)
    study.write(make_run("mine:Slow", 0, (0.5,)))
    output = words(fluidrelu("repeat", "-n", 1, "--trust", "--device", "cpu"))
    assert "2 trials asked for, 2 finished already, 0 to train." in output
    assert list(load_study(study.folder).asked) == ["tanh", "mine:Slow"]
    refused = words(fluidrelu("repeat", "-n", 2, "--drop", "tanh", code=2))
    assert "Error: --drop trains nothing: leave --seeds out, or give it a command of its own." in refused


def test_repeat_says_how_to_compare_a_study_elsewhere(small: tuple[object, ...]) -> None:
    where = ("--study", "group/mine", "--results", "my results")
    output = words(fluidrelu("repeat", "-n", 1, "--act", "relu", "--workers", 1, *where, *small))
    assert output.endswith("Compare them with: fluidrelu report --study group/mine --results 'my results'")
    fluidrelu("report", *where)


def test_train_says_that_the_run_diverged(small: tuple[object, ...]) -> None:
    assert "diverged" not in fluidrelu("train", "--act", "fluid-critical", *small)
    assert Path("results/local/runs/fluid-critical-seed0.parameters.csv").exists()
    for _ in ("trained", "read"):
        output = words(fluidrelu("train", "--act", "relu", "--lr", 1e9, "--study", "wild", *small))
        assert re.search(r"relu seed 0: test accuracy .* it diverged \(its training loss is \S+\)", output)


def test_verify_a_run_and_one_that_was_changed(undisturbed: Path, data_dir: Path, folder: Path) -> None:
    for path in undisturbed.glob("relu-seed0.*"):
        shutil.copy(path, folder)
    verified = fluidrelu_json("verify", undisturbed.parent, "--act", "relu", "--data-dir", data_dir)
    assert verified["identical"] is True
    [run] = verified["runs"]
    assert run["csv"] == str(undisturbed / "relu-seed0.csv")
    assert (run["activation"], run["seed"], run["identical"]) == ("relu", 0, True)
    assert (run["differences"], run["conditions"]) == ({}, {})
    assert run["test_accuracy"]["recorded"] == run["test_accuracy"]["again"]
    csv = folder / "relu-seed0.csv"
    csv.write_text(re.sub(r"^(relu,0,1),[^,]+", r"\1,0.5", csv.read_text(), flags=re.MULTILINE))
    output = words(fluidrelu("verify", csv, "--data-dir", data_dir, code=1))
    assert "relu-seed0.csv was changed after it was written (relu-seed0.json has its digest): restore it" in output
    forge(folder / "relu-seed0.json", without=["csv_sha256"])
    output = words(fluidrelu("verify", csv, "--data-dir", data_dir, code=1))
    assert "relu seed 0: epoch 2/2" in output
    assert "made again, and the numbers differ: train_loss by up to" in output
    assert "Nothing that is recorded of versions and hardware differs" in output


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ((), ["fluid-seed1", "relu-seed0"]),  # fluid has no seed 0
        (("--seed", 1), ["fluid-seed1", "relu-seed1"]),
        (("--seed", 0), ["relu-seed0"]),
        (("--act", "relu", "--act", "fluid", "--seed", 2), ["relu-seed2"]),
        (("--seed", 3), "results/mine has no such run with --seed 3: name another, or leave it out."),
        (("--act", "elu"), "results/mine has no run of elu: name one of fluid, relu with --act."),
    ],
)
def test_verify_chooses_runs_of_a_study(
    options: tuple[object, ...], chosen: list[str] | str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(folder / "results" / "mine", {"relu": [(0.5,)] * 3, "fluid": [(0.5,)] * 2})
    study.files("fluid-seed0").csv.unlink()

    def disagree(recorded: Run, *_: object) -> Verification:
        sys.stdout.write("somebody's code prints")
        return Verification(recorded, recorded, {"value": math.inf, "test_loss": 0.5}, {"cpu": ("A", None)})

    monkeypatch.setattr("fluidrelu_cli.cli.train._verify_run", disagree)
    if isinstance(chosen, str):
        assert chosen in words(fluidrelu("verify", "mine", *options, code=2))
        return
    content = fluidrelu_json("verify", "mine", *options, code=1)
    assert content["identical"] is False
    assert [Path(run["csv"]).stem for run in content["runs"]] == chosen
    for run in content["runs"]:
        assert run["identical"] is False
        assert run["differences"] == {"value": None, "test_loss": 0.5}
        assert run["conditions"] == {"cpu": {"recorded": "A", "again": None}}


def test_a_trial_that_raises_is_reported_and_the_others_go_on(small: tuple[object, ...], folder: Path) -> None:
    (folder / "mine.py").write_text(ACTIVATIONS)
    acts = ("--act", "mine:Raises", "--act", "mine:Exits", "--act", "relu")
    output = words(fluidrelu("repeat", "-n", 1, *acts, *small, code=1))
    assert "mine:Raises seed 0 failed: ArithmeticError: too many images" in output
    assert "mine:Exits seed 0 failed: SystemExit: 3" in output
    assert "relu seed 0: test accuracy" in output
    assert "Error: 2 of 3 trials failed" in output
    assert "Compare them" not in output
    assert "0/1" in output
    failure = folder / "results" / "local" / "runs" / "mine-Raises-seed0.failed.txt"
    assert "ArithmeticError" in failure.read_text()


@pytest.mark.slow
def test_a_worker_that_dies_costs_only_its_own_trial(small: tuple[object, ...], folder: Path) -> None:
    """One that dies once is run again, one that always dies is given up; their neighbours are not touched."""
    (folder / "mine.py").write_text(ACTIVATIONS)
    acts = ("--act", "mine:Slow", "--act", "mine:Dies", "--act", "mine:DiesOnce", "--act", "relu")
    output = words(fluidrelu("repeat", "-n", 1, "--workers", 2, *acts, *small, code=1))
    assert "mine:Dies seed 0 failed: its worker process died" in output
    for name in ("mine:Slow", "mine:DiesOnce", "relu"):
        assert f"{name} seed 0: test accuracy" in output
    assert "Error: 1 of 4 trials failed" in output


def test_workers_that_never_start_are_an_error(
    small: tuple[object, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sitecustomize.py").write_text("import sys\nif '--multiprocessing-fork' in sys.argv: sys.exit('no')\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    # a fork server would be running already
    monkeypatch.setattr("fluidrelu_cli.workers.local._context", lambda: multiprocessing.get_context("spawn"))
    output = words(fluidrelu("repeat", "-n", 1, "--act", "relu", *small, code=1))
    assert "Error: No worker process gets as far as a trial" in output


def test_train_keeps_the_traceback_of_a_trial_that_raises(small: tuple[object, ...], folder: Path) -> None:
    (folder / "mine.py").write_text(ACTIVATIONS)
    output = words(fluidrelu("train", "--act", "mine:Raises", *small, code=1))
    failure = "results/local/runs/mine-Raises-seed0.failed.txt"
    assert f"Error: mine-Raises-seed0 failed: ArithmeticError: too many images; its traceback is in {failure}" in output
    assert "Traceback" in Path(failure).read_text()


def test_another_protocol_is_refused_with_both_ways_on(undisturbed: Path) -> None:
    results = undisturbed.parent.parent
    output = words(fluidrelu("repeat", "--epochs", 3, "--beta", 1, "--results", results, code=2))
    assert "has --epochs 2, not 3, --beta 10000.0, not 1.0: leave these options out to go on with it" in output
    assert "--study NAME" in output


@pytest.mark.slow
def test_seeds_in_batches_are_runs_like_others(undisturbed: Path, small: tuple[object, ...], folder: Path) -> None:
    """Two seeds together, then the third, which is left over."""
    output = words(fluidrelu("repeat", "-n", 3, "--batch-seeds", 2, "--workers", 1, *small))
    assert output.count("2 seeds together") == 4
    runs = folder / "results" / "local" / "runs"
    tables = numbers(runs)
    assert {name for name in tables if "seed2" not in name} == numbers(undisturbed).keys()
    for name, expected in numbers(undisturbed).items():
        assert list(tables[name]) == list(expected)
        for column, rounding in (("value", 0.02), ("test_loss", 0.003), ("train_loss", 0.003)):
            if column in expected:
                found, own = (table[column].astype(float) for table in (tables[name], expected))
                assert found.to_list() == pytest.approx(own.to_list(), rel=0, abs=rounding)
    together = {path.name: json.loads(path.read_text())["batched_seeds"] for path in runs.glob("*.json")}
    assert together == {
        f"{act}-seed{seed}.json": 2 if seed < 2 else 1 for act in ("relu", "fluid") for seed in range(3)
    }
    output = words(fluidrelu("report"))
    assert "3/3" in output
    assert "Left out" not in output


def test_the_precision_is_the_studys(small: tuple[object, ...], folder: Path) -> None:
    output = words(fluidrelu("repeat", "--seeds", 1, "--act", "relu", "--precision", "bf16", *small))
    assert "results/local: 1 trial asked for, 0 finished already, 1 to train." in output
    study = folder / "results" / "local"
    for path in (study / "study.json", study / "runs" / "relu-seed0.json"):
        assert json.loads(path.read_text())["protocol"]["precision"] == "bf16"
    output = words(fluidrelu("repeat", "-n", 2, "--act", "relu", "--precision", "fp32", *small, code=2))
    assert "has --precision bf16, not fp32: leave these options out to go on with it" in output
    assert "1 finished already, 0 to train" in fluidrelu("repeat", "-n", 1, "--act", "relu", *small)


def test_a_study_of_before_there_was_a_precision_goes_on(small: tuple[object, ...], folder: Path) -> None:
    fluidrelu("train", "--act", "relu", *small)
    study = folder / "results" / "local"
    for path in (study / "study.json", study / "runs" / "relu-seed0.json"):
        protocol = json.loads(path.read_text())["protocol"]
        del protocol["precision"]
        forge(path, protocol=protocol)
    assert "finished already" in fluidrelu("train", "--act", "relu", "--precision", "fp32", *small)
    output = words(fluidrelu("train", "--act", "relu", "--precision", "bf16", *small, code=2))
    assert "has --precision fp32, not bf16" in output


def test_a_damaged_study_file_is_named(folder: Path) -> None:
    study = folder / "results" / "local" / "study.json"
    study.parent.mkdir(parents=True)
    study.write_text('{"protocol": {"epochs": 1')
    for command in ("train", "repeat", "report"):
        assert "Error: results/local/study.json is damaged" in words(fluidrelu(command, code=1))


def test_a_results_folder_that_cannot_be_written_is_named(small: tuple[object, ...], folder: Path) -> None:
    (folder / "file").touch()  # no folder can be made below a file, not even by root
    output = words(fluidrelu("repeat", *small, "--results", "file/results", code=1))
    assert (
        "Error: file/results/local cannot be written (Not a directory): name another folder with --results." in output
    )


def test_a_full_disk_is_named_and_nothing_half_written_stays(
    small: tuple[object, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    fluidrelu("train", *small)
    monkeypatch.setattr(os, "fsync", full)
    output = words(fluidrelu("train", "--seed", 1, *small, code=1))
    assert "cannot be written (No space left on device): make room" in output
    assert not list(folder.rglob("*seed1*"))


def test_two_at_work_in_one_study_are_refused(small: tuple[object, ...], folder: Path) -> None:
    from filelock import FileLock

    study = folder / "results" / "local"
    study.mkdir(parents=True)
    with FileLock(study / ".lock"):
        output = words(fluidrelu("train", *small, code=1))
    assert "Another fluidrelu is at work in results/local: wait until it is done, or name another --study." in output


def test_verify_makes_the_first_runs_of_every_study_of_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "rates.toml").write_text('activations = ["relu", "fluid"]\nseeds = 2\n[vary]\nlr = [0.001, 0.01]\n')
    assert "rates.toml has no run yet" in words(fluidrelu("verify", "rates.toml", code=1))
    for lr in (0.01, 0.001):
        make_study(folder / "results" / "rates" / f"lr={lr}", {"relu": [(0.5,)] * 2, "fluid": [(0.5,)] * 2}, lr=lr)
    seen: list[tuple[float, str, int]] = []

    def agree(recorded: Run, *_: object) -> Verification:
        seen.append((recorded.trial.protocol.lr, recorded.trial.activation, recorded.trial.seed))
        return Verification(recorded, recorded, {}, {})

    monkeypatch.setattr("fluidrelu_cli.cli.train._verify_run", agree)
    assert fluidrelu("verify", "rates.toml").count("equal to the last digit") == 4
    assert seen == [(lr, activation, 0) for lr in (0.001, 0.01) for activation in ("fluid", "relu")]
    content = fluidrelu_json("verify", "rates.toml", "--act", "relu", "--seed", 1)
    assert content["identical"] is True
    assert [run["csv"] for run in content["runs"]] == [
        f"results/rates/lr={lr}/runs/relu-seed1.csv" for lr in (0.001, 0.01)
    ]
