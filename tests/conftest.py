"""Small real runs, made once for all tests: the first images of the bundled MNIST, no network."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.run import RUN_COLUMNS, EpochRecord, TrialResult
from fluidrelu_cli.study import Study

# What is printed must not depend on where the tests run (GITHUB_ACTIONS makes typer colour its messages), and no test
# may touch the user's cache.
for name in ("CLICOLOR_FORCE", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "TTY_COMPATIBLE"):
    os.environ.pop(name, None)
os.environ["COLUMNS"] = "80"
# Trials have one thread each; torch's threads wait for each other by spinning, which takes a busy machine minutes.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="fluidrelu-tests-")


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the bundled MNIST in it."""
    from fluidrelu_cli.data.load import load

    folder = tmp_path_factory.mktemp("data")
    load("mnist", folder)
    return folder


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in float64 but for the logits: rounding then never moves a value over a kink, or another one to the top of
    a pool, and two ways of computing the same differ by the logits' rounding alone.
    """
    from fluidrelu_cli.networks.build import Network, build_model
    from fluidrelu_cli.training.preprocessing import Scaling

    scaled = Scaling.__call__

    def doubled(*arguments: Any) -> Network:
        network = build_model(*arguments)
        network.module.double()
        return network

    monkeypatch.setattr("fluidrelu_cli.training.ensemble.build_model", doubled)
    monkeypatch.setattr(Scaling, "__call__", lambda self, images: scaled(self, images).double())


def synthetic_result(
    activation: str = "fluid", seed: int = 0, accuracies: Sequence[float] = (0.5, 0.75), **protocol: Any
) -> TrialResult:
    """A trial's result with these test accuracies by epoch; a fluid one has learned parameters, two a layer."""
    trial = Trial(Protocol(epochs=len(accuracies), **protocol), activation, seed)

    def parameters(epoch: int) -> dict[tuple[str, str], tuple[float, ...]]:
        if "fluid" not in activation.lower():
            return {}
        return {(layer, "a"): (epoch * 0.5 + seed, -epoch / 3) for layer in ("activation1", "activation2")}

    epochs = tuple(
        EpochRecord(
            epoch=epoch,
            train_loss=1 / (epoch + 2),
            train_accuracy=accuracy,
            test_loss=0.25,
            test_accuracy=accuracy,
            train_seconds=2.5,
            test_seconds=0.5,
            parameters=parameters(epoch),
        )
        for epoch, accuracy in enumerate(accuracies, start=1)
    )
    return TrialResult(trial, parameters(0), epochs, {"wall_seconds": 6.0})


def synthetic_study(folder: Path, accuracies: Mapping[str, Sequence[Sequence[float]]], **protocol: Any) -> Study:
    """A study on disk: for each activation the test accuracies by epoch of seed 0, 1, ..."""
    epochs = len(next(iter(accuracies.values()))[0])
    study = Study(folder, Protocol(epochs=epochs, **protocol))
    for activation, seeds in accuracies.items():
        study.ask([activation], len(seeds))
        for seed, run in enumerate(seeds):
            study.write(synthetic_result(activation, seed, run, **protocol))
    return study


def synthetic_runs(accuracies: Mapping[str, Sequence[Sequence[float]]]) -> pd.DataFrame:
    """The table of runs of such a study, without a disk."""
    rows = [
        (activation, seed, epoch, 1 / (epoch + 2), accuracy, 0.25, accuracy, 2.5, 0.5)
        for activation, seeds in accuracies.items()
        for seed, run in enumerate(seeds)
        for epoch, accuracy in enumerate(run, start=1)
    ]
    table: pd.DataFrame = pd.DataFrame(rows, columns=list(RUN_COLUMNS))
    return table


@pytest.fixture(scope="session")
def make_result() -> Callable[..., TrialResult]:
    return synthetic_result


@pytest.fixture(scope="session")
def make_study() -> Callable[..., Study]:
    return synthetic_study


@pytest.fixture(scope="session")
def make_runs() -> Callable[[Mapping[str, Sequence[Sequence[float]]]], pd.DataFrame]:
    return synthetic_runs


@pytest.fixture
def small(data_dir: Path) -> tuple[object, ...]:
    """Options of a trial that takes a moment."""
    from command_line import SMALL

    return (*SMALL, "--data-dir", data_dir, "--device", "cpu")


@pytest.fixture(scope="session")
def undisturbed(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs folder of an undisturbed `repeat -n 2`."""
    from command_line import SMALL, fluidrelu

    results = tmp_path_factory.mktemp("undisturbed")
    fluidrelu("repeat", "-n", 2, *SMALL, "--data-dir", data_dir, "--device", "cpu", "--results", results)
    return results / "local" / "runs"
