"""The command line end to end, on the first images of the real MNIST."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import (
    ACTIVATIONS,
    assert_same_numbers,
    fluidrelu,
    numbers,
    start_repeat,
    wait_for_first_run,
    words,
)

import fluidrelu_cli


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in its own empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


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
    assert "finished already" in fluidrelu("train", "--act", "Fluid", "--seed", 1, *small)
    assert (runs / "fluid-seed1.csv").stat().st_mtime_ns == before


def test_repeat_trains_only_what_is_missing(undisturbed: Path, small: tuple[object, ...], folder: Path) -> None:
    """-n 2 after -n 1; then one deleted CSV; then nothing."""
    runs = folder / "results" / "local" / "runs"
    fluidrelu("repeat", "-n", 1, "--workers", 1, *small)
    times = {path: path.stat().st_mtime_ns for path in runs.iterdir()}
    output = words(fluidrelu("repeat", "-n", 2, *small))
    assert "4 trials asked for, 2 there already, 2 to train." in output
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in times.items())
    assert_same_numbers(runs, undisturbed)
    (runs / "relu-seed1.csv").unlink()
    output = words(fluidrelu("repeat", "-n", 2))  # the study knows its protocol; the data is the user's cache's
    assert "4 trials asked for, 3 there already, 1 to train. 1/1 relu seed 1: test accuracy" in output
    assert_same_numbers(runs, undisturbed)
    assert "0 to train" in fluidrelu("repeat", "-n", 2)


def test_report_shows_table_2_and_writes_it(undisturbed: Path) -> None:
    results = undisturbed.parent.parent
    output = fluidrelu("report", "--results", results)
    for number in ("0.9784", "0.9721", "0.9800", "0.9753"):
        assert number in output
    assert "2/2" in output
    written = {path.name for path in undisturbed.parent.rglob("*") if path.is_file() and path.parent != undisturbed}
    assert written >= {"table2.csv", "table2.md", "summary.csv", "figure1.png", "figure1.svg"}
    assert written >= {"learning-curves.png", "learned-fluid.svg", "report.html", "comparisons.csv"}
    output = words(fluidrelu("report", "--results", results, "--against", results / "local"))
    assert "All 4 runs in common with" in output


def test_report_in_a_format_prints_that_alone(undisturbed: Path) -> None:
    results = undisturbed.parent.parent
    command = [sys.executable, "-m", "fluidrelu_cli", "report", "--results", str(results), "--format", "json"]
    package = {**os.environ, "PYTHONPATH": str(Path(fluidrelu_cli.__file__).parents[1])}
    finished = subprocess.run(command, capture_output=True, text=True, check=True, env=package)
    assert json.loads(finished.stdout)["study"] == str(results / "local")
    assert "written: " in finished.stderr
    assert "report.html, and beside it comparisons.csv" in finished.stderr


def test_plan_tells_seeds_and_time_and_the_command(undisturbed: Path) -> None:
    output = words(fluidrelu("plan", "--effect", 0.5, "--results", undisturbed.parent.parent, "--workers", 1))
    assert "Over 2 pairs the differences between FluidReLU and ReLU have a sample SD of" in output
    assert "To find a true difference of 0.5 with a power of 80 % at the level of 5 %, one comparison by" in output
    assert re.search(r"with 1 worker, at the \d+ s that a pair took on", output)
    assert re.search(r"fluidrelu repeat -n \d+ --act relu --act fluid --study local --results \S+$", output)


def test_verify_a_run_and_one_that_was_changed(undisturbed: Path, data_dir: Path, folder: Path) -> None:
    for path in undisturbed.glob("relu-seed0.*"):
        shutil.copy(path, folder)
    output = words(fluidrelu("verify", "relu-seed0.csv", "--data-dir", data_dir))
    assert "relu seed 0: epoch 2/2" in output
    assert "relu-seed0.csv: made again, and every number but the timings is equal to the last digit." in output
    csv = folder / "relu-seed0.csv"
    csv.write_text(re.sub(r"^(relu,0,1),[^,]+", r"\1,0.5", csv.read_text(), flags=re.MULTILINE))
    output = words(fluidrelu("verify", csv, "--data-dir", data_dir, code=1))
    assert "made again, and the numbers differ: train_loss by up to" in output
    assert "Nothing that is recorded of versions and hardware differs" in output


def test_report_names_an_unreadable_run_and_goes_on(undisturbed: Path, folder: Path) -> None:
    runs = folder / "results" / "local" / "runs"
    runs.mkdir(parents=True)
    for path in (undisturbed.parent / "study.json", *undisturbed.iterdir()):
        (folder / "results" / "local" / path.relative_to(undisturbed.parent)).write_bytes(path.read_bytes())
    damaged = runs / "relu-seed1.csv"
    damaged.write_text(damaged.read_text()[:-20])
    output = words(fluidrelu("report"))
    assert "Left out: results/local/runs/relu-seed1.csv" in output
    assert "1/2" in output
    output = words(fluidrelu("repeat", "-n", 2))
    assert "relu-seed1.csv.damaged1, and the trial is run again." in output
    assert_same_numbers(runs, undisturbed)
    assert (runs / "relu-seed1.csv.damaged1").exists()


def test_a_trial_that_raises_is_reported_and_the_others_go_on(small: tuple[object, ...], folder: Path) -> None:
    (folder / "mine.py").write_text(ACTIVATIONS)
    acts = ("--act", "mine:Raises", "--act", "mine:Exits", "--act", "relu")
    output = words(fluidrelu("repeat", "-n", 1, *acts, *small, code=1))
    assert "mine:Raises seed 0 failed: ArithmeticError: too many images" in output
    assert "mine:Exits seed 0 failed: SystemExit: 3" in output
    assert "relu seed 0: test accuracy" in output
    assert "Error: 2 of 3 trials failed" in output
    assert "0/1" in output
    failure = folder / "results" / "local" / "runs" / "mine-Raises-seed0.failed.txt"
    assert "ArithmeticError" in failure.read_text()


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
    output = words(fluidrelu("repeat", "-n", 1, "--act", "relu", *small, code=1))
    assert "Error: No worker process gets as far as a trial" in output


def test_train_keeps_the_traceback_of_a_trial_that_raises(small: tuple[object, ...], folder: Path) -> None:
    (folder / "mine.py").write_text(ACTIVATIONS)
    output = words(fluidrelu("train", "--act", "mine:Raises", *small, code=1))
    failure = "results/local/runs/mine-Raises-seed0.failed.txt"
    assert f"Error: mine-Raises-seed0 failed: ArithmeticError: too many images; its traceback is in {failure}" in output
    assert "Traceback" in Path(failure).read_text()


def assert_nobody_left(group: int) -> None:
    """All processes of a process group end within seconds; one that nobody reaps has ended."""
    for _ in range(100):
        if not any(state != "Z" for state, its_group in states() if its_group == group):
            return
        time.sleep(0.1)
    raise AssertionError("a process was left behind")


def states() -> Iterator[tuple[str, int]]:
    """The state and group of every process."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended just now
            state, _, group, *_ = stat.read_text().rpartition(")")[2].split()
            yield state, int(group)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(undisturbed: Path, data_dir: Path, folder: Path) -> None:
    """Right after relu's trial ended, while the slow one runs."""
    process = start_repeat(folder, "--workers", 1, "--data-dir", data_dir)
    wait_for_first_run(process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: parent and workers
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Go on with: python3 -m fluidrelu_cli repeat -n 1 --act relu --act mine:Slow" in errors
    assert "Traceback" not in output + errors
    assert_nobody_left(process.pid)
    runs = folder / "results" / "local" / "runs"
    assert [path.name for path in runs.glob("*.csv")] == ["relu-seed0.csv"]
    output = words(fluidrelu("repeat", "-n", 2, "--data-dir", data_dir))
    assert "4 trials asked for, 1 there already, 3 to train." in output
    assert_same_numbers(runs, undisturbed)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_kill_9_loses_the_trial_in_flight_alone(undisturbed: Path, data_dir: Path, folder: Path) -> None:
    process = start_repeat(folder, "--workers", 1, "--data-dir", data_dir)
    wait_for_first_run(process)
    process.kill()
    process.communicate(timeout=30)
    assert_nobody_left(process.pid)
    output = words(fluidrelu("repeat", "-n", 2, "--data-dir", data_dir))
    assert "4 trials asked for, 1 there already, 3 to train." in output
    assert_same_numbers(folder / "results" / "local" / "runs", undisturbed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train --act fluide", "There is no activation 'fluide'. Did you mean fluid"),
        ("train --act Linear", "'Linear' cannot serve as an activation"),
        ("train --act nowhere:Act", "cannot be imported (ModuleNotFoundError"),
        (
            "train --dataset mnits",
            "There is no data set 'mnits'. Did you mean mnist? Name one of mnist, fashion-mnist, kmnist, cifar10,",
        ),
        (
            "train --dataset nosuch.npz",
            "There is no file nosuch.npz in ",
        ),
        ("train --model big", "There is no model 'big'. Use --model paper, cnn3, resnet20, or module:Class"),
        ("train --model nowhere:Net", "The network 'nowhere:Net' cannot be imported (ModuleNotFoundError"),
        ("train --schedule linear", "--schedule must be constant, cosine or step, not linear."),
        ("train --augment mixup", "--augment must be none or flip-crop, not mixup."),
        ("train --standardise yes", "--standardise must be colour, always or never, not yes."),
        ("train --weight-decay -1", "--weight-decay must be a number from 0, not -1.0."),
        ("train --validation-images 0", "--validation-images must be a whole number from 1, not 0."),
        (
            "train --validation-images 60000",
            "--validation-images must be below 60000, the number of training images, not 60000.",
        ),
        (
            "train --validation-images 10 --test-images 10",
            "--validation-images takes the place of the test images: leave --test-images out.",
        ),
        ("train --device tpu", "There is no device 'tpu'; use --device auto, cpu, cuda or mps."),
        ("train --seed -1", "--seed must be a whole number from 0, not -1."),
        ("train --epochs 0", "--epochs must be a whole number from 1, not 0."),
        ("train --batch-size -5", "--batch-size must be a whole number from 1, not -5."),
        ("train --beta -1", "--beta must be a number from 0, not -1.0."),
        ("train --beta nan", "--beta must be a number from 0, not nan."),
        ("train --lr 0", "--lr must be a number above 0, not 0.0."),
        ("train --momentum 1", "--momentum must be a number from 0 to below 1, not 1.0."),
        ("train --train-images 60001", "--train-images must be at most 60000, the size of the data set, not 60001."),
        ("train --study ../elsewhere", "--study '../elsewhere' is no name for a study"),
        ("repeat -n 0", "-n must be a whole number from 1, not 0."),
        ("repeat --workers 0", "--workers must be a whole number from 1, not 0."),
        ("repeat --batch-seeds 0", "--batch-seeds must be auto or a whole number from 1, not 0."),
        ("repeat --batch-seeds x", "--batch-seeds must be auto or a whole number from 1, not x."),
        ("repeat --batch-seeds 1.5", "--batch-seeds must be auto or a whole number from 1, not 1.5."),
        ("repeat --precision fp16", "--precision must be fp32 or bf16, not fp16."),
        ("train --precision half", "--precision must be fp32 or bf16, not half."),
        ("report", "There is no study in results/local (no study.json): run `fluidrelu repeat` first"),
        ("report --study nosuch", "There is no study in results/nosuch"),
        ("report --beside local", "--study and --beside name a study twice: leave one out."),
        ("report --format html", "There is no format 'html'; use --format table, markdown, csv, json or latex."),
        ("plan --effect 0.001", "There is no study in results/local"),
        ("plan --effect 0.001 --workers 0", "--workers must be a whole number from 1, not 0."),
        ("plan", "Missing option '--effect'"),
        ("verify .", ". is no run CSV: name one, such as results/local/runs/relu-seed0.csv."),
        (
            "verify nosuch.csv",
            "There is no file nosuch.csv: name a run CSV, such as results/local/runs/relu-seed0.csv.",
        ),
        ("calibrate nosuch", "There is no study in results/nosuch"),
        ("train --epochs two", "--epochs"),
        ("trian", "No such command"),
    ],
)
def test_a_wrong_request_is_answered_with_a_sentence_and_exit_code_2(
    arguments: str, message: str, data_dir: Path, folder: Path
) -> None:
    data = ["--data-dir", data_dir] if arguments.startswith("train ") else []
    output = fluidrelu(*arguments.split(), *data, code=2)
    assert message in words(output.replace("│", " "))
    assert "Traceback" not in output
    assert not (folder / "results").exists()


def test_another_protocol_is_refused_with_both_ways_on(undisturbed: Path) -> None:
    results = undisturbed.parent.parent
    output = words(fluidrelu("repeat", "--epochs", 3, "--beta", 1, "--results", results, code=2))
    assert "has --epochs 2, not 3, --beta 10000.0, not 1.0: leave these options out to go on with it" in output
    assert "--study NAME" in output


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
    fluidrelu("repeat", "-n", 1, "--act", "relu", "--precision", "bf16", *small)
    study = folder / "results" / "local"
    for path in (study / "study.json", study / "runs" / "relu-seed0.json"):
        assert json.loads(path.read_text())["protocol"]["precision"] == "bf16"
    output = words(fluidrelu("repeat", "-n", 2, "--act", "relu", "--precision", "fp32", *small, code=2))
    assert "has --precision bf16, not fp32: leave these options out to go on with it" in output
    assert "1 there already, 0 to train" in fluidrelu("repeat", "-n", 1, "--act", "relu", *small)


def test_a_study_of_before_there_was_a_precision_goes_on(small: tuple[object, ...], folder: Path) -> None:
    fluidrelu("train", "--act", "relu", *small)
    study = folder / "results" / "local"
    for path in (study / "study.json", study / "runs" / "relu-seed0.json"):
        content = json.loads(path.read_text())
        del content["protocol"]["precision"]
        path.write_text(json.dumps(content))
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


def test_debug_shows_the_traceback() -> None:
    assert "Traceback" in fluidrelu("report", "--debug", code=2)


def test_an_unforeseen_error_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise RuntimeError("broken\nin two")

    monkeypatch.setattr("fluidrelu_cli.cli.app.read_study", breaks)
    output = words(fluidrelu("report", code=1))
    assert output == "Error: This should not happen: RuntimeError: broken in two. --debug shows where."


def test_calibrate_reads_studies_by_batch_size(undisturbed: Path) -> None:
    results = undisturbed.parent.parent
    output = fluidrelu("calibrate", "local", "--results", results)
    assert "ReLU against the paper's ReLU" in output
    assert (results / "calibration.csv").exists()


def test_a_terminal_without_greek_letters_gets_the_list_too() -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(fluidrelu_cli.__file__).parents[1]),
        "PYTHONIOENCODING": "ascii",
    }
    command = [sys.executable, "-m", "fluidrelu_cli", "acts"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "v | v / (1 - ?)" in finished.stdout


def test_acts_lists_every_built_in_activation() -> None:
    output = fluidrelu("acts")
    for name in ("relu", "fluid", "prelu", "elu", "leaky-relu", "sigmoid", "tanh", "fluid-exp", "fluid-coth"):
        assert f"\n {name} " in output


def test_models_lists_every_built_in_network() -> None:
    output = fluidrelu("models")
    for name in ("paper", "cnn3", "resnet20"):
        assert f"\n {name} " in output
    assert "--model mymodule:Net" in words(output)


def save_npz(path: Path, size: int = 16, seed: int = 0) -> None:
    """40 + 20 colour images of 3 classes."""
    random = np.random.default_rng(seed)
    x_train, x_test = (random.random((count, size, size, 3)) for count in (40, 20))
    np.savez(path, x_train=x_train, y_train=np.arange(40) % 3, x_test=x_test, y_test=np.arange(20) % 3)


def test_a_file_of_your_own_with_a_network_and_an_activation_of_your_own(folder: Path) -> None:
    """Paired, resumed and verified as everything else."""
    save_npz(folder / "mine.npz")
    (folder / "nets.py").write_text(NETWORK)
    (folder / "mine.py").write_text(ACTIVATIONS)
    options = ("--dataset", "./mine.npz", "--model", "nets:Net", "--epochs", 2, "--batch-size", 20, "--device", "cpu")
    more = ("--augment", "flip-crop", "--schedule", "step", "--weight-decay", 0.001, "--workers", 1)
    fluidrelu("repeat", "-n", 1, *options, *more)
    fluidrelu("repeat", "-n", 2, "--workers", 1)
    study = folder / "results" / "local"
    runs = study / "runs"
    protocol = json.loads((study / "study.json").read_text())["protocol"]
    assert (protocol["dataset"], protocol["model"], protocol["schedule"]) == ("mine.npz", "nets:Net", "step")
    relu, fluid = (json.loads((runs / f"{name}-seed1.json").read_text()) for name in ("relu", "fluid"))
    for digest in ("initial_weights_sha256", "data_order_sha256", "augmentation_sha256", "data_sha256", "model_sha256"):
        assert relu[digest] == fluid[digest]
    learned = pd.read_csv(runs / "fluid-seed0.parameters.csv")
    assert set(learned["layer"]) == {"layers.1"}
    assert "equal to the last digit" in words(fluidrelu("verify", runs / "fluid-seed0.csv"))
    assert "2/2" in fluidrelu("report")


NETWORK = """
from torch import nn

class Net(nn.Module):
    def __init__(self, activation, shape, classes):
        super().__init__()
        print("making a network")
        self.layers = nn.Sequential(
            nn.Conv2d(shape[0], 4, 3), activation(4), nn.Flatten(), nn.Dropout(0.1), nn.LazyLinear(classes)
        )

    def forward(self, images):
        return self.layers(images)
"""


def test_a_network_that_is_none_and_images_too_small(folder: Path) -> None:
    save_npz(folder / "mine.npz", size=15)
    output = words(fluidrelu("train", "--dataset", "mine.npz", code=2))
    assert "The network 'paper' needs images of at least 16 x 16 pixels, not 15 x 15" in output
    (folder / "wrong.py").write_text(NETWORK.replace("classes)\n        )", "7)\n        )"))
    output = words(fluidrelu("train", "--dataset", "mine.npz", "--model", "wrong:Net", code=2))
    assert "'wrong:Net' cannot serve as a network (of two images it makes (2, 7), not logits of shape (2, 3))" in output
    assert not (folder / "results").exists()


def test_data_that_was_changed_is_not_mixed_into_a_study(folder: Path) -> None:
    save_npz(folder / "mine.npz")
    fluidrelu("train", "--dataset", "mine.npz", "--epochs", 1, "--device", "cpu")
    save_npz(folder / "mine.npz", seed=1)
    output = words(fluidrelu("train", "--seed", 1, "--device", "cpu", code=2))
    assert "The runs in results/local were trained on other data than mine.npz holds now (sha256" in output
    assert "restore it, or name another --study." in output


def test_version_and_help() -> None:
    assert fluidrelu("--version") == f"fluidrelu {fluidrelu_cli.__version__}\n"
    for command in ("train", "repeat", "report", "calibrate", "acts"):
        assert fluidrelu(command, "-h") == fluidrelu(command, "--help")


def test_help_imports_no_torch() -> None:
    script = (
        "import sys\n"
        "from fluidrelu_cli.cli.app import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "sys.exit(bool({'torch', 'torchvision', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    root = str(Path(fluidrelu_cli.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root}
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL, env=environment)


def test_an_output_that_nobody_reads_is_no_error() -> None:
    root = str(Path(fluidrelu_cli.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "fluidrelu_cli", "acts"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate(timeout=60)
    assert b"Traceback" not in errors
    assert b"Exception" not in errors
