"""A study's trials per hour by number of workers, or of seeds trained together on a GPU, and its processes' memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Annotated, Any

import torch
import train
import typer
from measuring import (
    CORES,
    PAIR,
    Goal,
    console,
    convolution_flops,
    judge,
    ratios,
    run,
    show_machine,
    spread,
    timed,
)

from fluidrelu_cli.data.catalogue import default_data_dir
from fluidrelu_cli.data.load import load
from fluidrelu_cli.report.tables import rich_table
from fluidrelu_cli.training.timing import in_turn

GEMM_SIZE = 8192


@dataclass(frozen=True)
class Measurement:
    """What training one study took."""

    rate: float
    """Trials per second, start-up included."""
    training_rate: float
    """Trials per second while they are trained: no imports, no start of workers, no waiting for the last one."""
    peak_bytes: int
    """The resident memory of the largest process."""


def train_again(settings: train.Settings) -> Iterator[Measurement]:
    """Train the same study in a new process at each turn."""
    while True:
        command = run(train.__file__, json.dumps(asdict(settings)))
        seconds = json.loads(command.output)
        yield Measurement(
            len(seconds) / command.seconds, (settings.workers or 1) * len(seconds) / sum(seconds), command.peak_bytes
        )


def main(
    workers: Annotated[
        list[int] | None, typer.Option(help="A number of workers, repeatable (left out: 1 to the cores).")
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Seeds of each activation.")] = CORES,
    device: Annotated[
        str, typer.Option(help="cpu, or cuda to compare numbers of seeds trained together instead of workers.")
    ] = "cpu",
    seeds: Annotated[
        list[int] | None, typer.Option(help="With cuda: a number of seeds, repeatable (left out: 1, 16, 64, 256).")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Epochs per trial.")] = 2,
    batch_size: Annotated[int, typer.Option(help="Images per step.")] = 100,
    train_images: Annotated[int, typer.Option(help="Training images.")] = 60_000,
    rounds: Annotated[int, typer.Option(help="Times that every study is trained.")] = 3,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if a goal is missed.")] = False,
) -> None:
    """Train the same study with more and more workers, or on a GPU with more and more seeds together.

    Each study is trained in a new process and a new folder. All have one turn per round. The table shows median and
    quartiles of the ratios of two rates of the same round.
    """
    show_machine()
    load("mnist", default_data_dir())  # unpacked before anything is timed
    protocol = {"epochs": epochs, "batch_size": batch_size, "train_images": train_images}
    if device == "cuda":
        _compare_seeds(seeds or [1, 16, 64, 256], protocol, rounds)
    else:
        every = workers or list(range(1, CORES + 1))
        studies = {count: train.Settings(PAIR, protocol, n, count, device=device) for count in every}
        _compare_workers(studies, rounds, check)


def _compare_workers(studies: Mapping[int, train.Settings], rounds: int, check: bool) -> None:
    measured = in_turn({count: train_again(settings) for count, settings in studies.items()}, rounds)
    rates = {count: [one.rate for one in turns] for count, turns in measured.items()}
    training_rates = {count: [one.training_rate for one in turns] for count, turns in measured.items()}
    peaks = {count: max(one.peak_bytes for one in turns) / 1e9 for count, turns in measured.items()}
    base = next(iter(studies))
    rows = [
        [
            str(count),
            spread(ratios(rates[count], rates[base])),
            spread(ratios(training_rates[count], training_rates[base])),
            f"{peaks[count]:.2f} GB",
        ]
        for count in studies
    ]
    head = ["workers", "trials per hour,\nstart-up included", "in training\nalone", "largest process,\nresident"]
    console.print(rich_table(f"Relative to {base} worker{'s' if base > 1 else ''}, {rounds} rounds", head, rows))
    goals = [Goal("resident memory of the largest process in GB", max(peaks.values()), 1)]
    if {1, 2} <= set(studies) and CORES >= 2:
        reached = median(ratios(rates[2], rates[1]))
        goals.append(Goal("two workers' trials per hour / one's", reached, 1.7, at_least=True))
    judge(goals, check)


def _compare_seeds(seeds: Sequence[int], protocol: Mapping[str, Any], rounds: int) -> None:
    """Train one fluid trial of each seed, all of a study together."""
    peak = _measure_gpu_peak()
    studies = {count: train.Settings(["fluid"], protocol, count, 1, count, "cuda") for count in seeds}
    measured = in_turn({count: train_again(settings) for count, settings in studies.items()}, rounds)
    rates = {count: [one.rate for one in turns] for count, turns in measured.items()}
    trial_flops = protocol["epochs"] * protocol["train_images"] * convolution_flops(1)
    rows = [
        [
            str(count),
            spread(ratios(rates[count], rates[seeds[0]])),
            f"{median(rates[count]) * 3600:,.0f}",
            f"{median(one.training_rate for one in measured[count]) * trial_flops / peak:.1%}",
        ]
        for count in seeds
    ]
    head = ["seeds\ntogether", f"seeds per hour\nover {seeds[0]} together's", "seeds per hour", "share of\nGEMM peak"]
    console.print(rich_table(f"{torch.cuda.get_device_name()}, {rounds} rounds, start-up included", head, rows))
    console.print(f"The peak is that of a float32 product of {GEMM_SIZE} x {GEMM_SIZE}: {peak / 1e12:.1f} TFLOP/s.")


def _measure_gpu_peak() -> float:
    """Operations per second in the best of ten float32 matrix products."""
    matrix = torch.rand(GEMM_SIZE, GEMM_SIZE, device="cuda")

    def multiply() -> None:
        torch.mm(matrix, matrix)
        torch.cuda.synchronize()

    turns = timed(multiply, 1)
    return 2 * GEMM_SIZE**3 / min(next(turns) for _ in range(10))


if __name__ == "__main__":
    typer.run(main)
