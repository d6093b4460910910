"""Runs and studies made of given accuracies, without training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fluidrelu_cli.cost import REFERENCE, Cost, Measured
from fluidrelu_cli.declaration import Declaration
from fluidrelu_cli.files import sealed_json
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.run import Epoch, Provenance, Run, tabulate_runs
from fluidrelu_cli.study import Study
from fluidrelu_cli.study_file import parse_declaration


def make_run(
    activation: str = "fluid", seed: int = 0, accuracies: Sequence[float] = (0.5, 0.75), **protocol: Any
) -> Run:
    """A run with these test accuracies by epoch; a fluid one has learned parameters, two a layer."""
    trial = Trial(Protocol(epochs=len(accuracies), **protocol), activation, seed)

    def parameters(epoch: int) -> dict[tuple[str, str], tuple[float, ...]]:
        if "fluid" not in activation.lower():
            return {}
        return {(layer, "a"): (epoch * 0.5 + seed, -epoch / 3) for layer in ("activation1", "activation2")}

    epochs = tuple(
        Epoch(
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
    return Run(trial, parameters(0), epochs, Provenance(wall_seconds=6.0))


def with_bits(run: Run) -> Run:
    """The run that records which images are right: as many as its accuracy says, others with every seed."""
    right = np.arange(run.test_images) < round(run.test_accuracy * run.test_images)
    return replace(run, correct=np.packbits(np.roll(right, 7 * run.trial.seed)).tobytes())


def make_study(
    folder: Path,
    accuracies: Mapping[str, Sequence[Sequence[float]]],
    first_seed: int = 0,
    *,
    bits: bool = False,
    **protocol: Any,
) -> Study:
    """A study on disk: for each activation the test accuracies by epoch of its seeds, from the first on.

    Args:
        folder: where.
        accuracies: by activation and seed.
        first_seed: of each activation.
        bits: whether the runs record which images they have right.
        protocol: its fields.
    """
    epochs = len(next(iter(accuracies.values()))[0])
    study = Study(folder, Protocol(epochs=epochs, **protocol))
    for activation, seeds in accuracies.items():
        study.ask([activation], len(seeds))
        for seed, run in enumerate(seeds, start=first_seed):
            made = make_run(activation, seed, run, **protocol)
            study.write(with_bits(made) if bits else made)
    return study


def make_cost(steps: Mapping[str, Sequence[float]], again: Sequence[float], **protocol: Any) -> Cost:
    """A measurement with these seconds per step, by activation; a forward pass takes a quarter, a backward pass half.

    Args:
        steps: relu first.
        again: of relu's second turns.
        protocol: its fields.
    """

    def measured(number: int, name: str, seconds: Sequence[float]) -> Measured:
        step, forward, backward = (tuple(each * share for each in seconds) for share in (1, 0.25, 0.5))
        return Measured(name, step, forward, backward, 1_000_000 + 250_000 * number, 48 * number)

    return Cost(
        Protocol(**protocol),
        tuple(measured(number, *each) for number, each in enumerate(steps.items())),
        measured(0, REFERENCE, again),
        5,
        Provenance(versions={"torch": "2.15.0"}, cpu="Some CPU", cpu_capability="AVX2", device="cpu", threads=1),
        "2026-11-25T07:10:00Z",
    )


def keep_source(study: Path, content: bytes) -> str:
    """Keep a file of somebody's own code in a study's folder; its digest."""
    digest = hashlib.sha256(content).hexdigest()
    (study / "sources").mkdir(parents=True, exist_ok=True)
    (study / "sources" / f"{digest}.py").write_bytes(content)
    return digest


def forge(path: Path, *, without: Sequence[str] = (), **changes: object) -> None:
    """Change fields of a study's JSON file as somebody does who knows how it is sealed."""
    content = json.loads(path.read_text()) | changes
    path.write_text(sealed_json({name: value for name, value in content.items() if name not in without}))


def make_run_table(accuracies: Mapping[str, Sequence[Sequence[float]]]) -> pd.DataFrame:
    """The table of runs of such a study, without a disk."""
    return tabulate_runs(
        make_run(activation, seed, run) for activation, seeds in accuracies.items() for seed, run in enumerate(seeds)
    )


def make_declaration(text: str, path: Path = Path("mine.toml")) -> Declaration:
    """What a study file with this text declares."""
    return parse_declaration(text.encode(), path)
