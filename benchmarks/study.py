"""A study's trials an hour by number of workers, or of seeds trained together on a GPU, and the memory of a worker."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import torch
import typer
from measuring import CORES, Goal, console, convolution_flops, in_turn, judge, ratios, run, show_machine, spread, timed

from fluidrelu_cli.data.catalogue import default_data_dir
from fluidrelu_cli.data.load import load
from fluidrelu_cli.report.tables import rich_table

GEMM_SIZE = 8192


@dataclass(frozen=True)
class Repeat:
    """What one `fluidrelu repeat` of a new study showed."""

    rate: float
    """Trials a second, start-up included."""
    training_rate: float
    """Trials a second as they were trained: no imports, no start of workers, no waiting for the last one."""
    peak_bytes: int


def repeats(workers: int, *options: str | float) -> Iterator[Repeat]:
    """Run `fluidrelu repeat` again and again, each time in a folder where nothing is finished yet."""
    while True:
        with tempfile.TemporaryDirectory() as folder:
            command = run("-m", "fluidrelu_cli", "repeat", "--workers", workers, "--results", folder, *options)
            runs = [json.loads(path.read_text(encoding="utf-8")) for path in Path(folder).glob("*/runs/*.json")]
        # Trials that are trained together share their wall time.
        busy_seconds = sum(trial["wall_seconds"] / trial["batched_seeds"] for trial in runs)
        yield Repeat(len(runs) / command.seconds, workers * len(runs) / busy_seconds, command.peak_bytes)


def main(
    workers: Annotated[
        list[int] | None, typer.Option(help="A number of workers, repeatable (left out: 1 to the cores).")
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Seeds of each activation: all workers' study.")] = CORES,
    device: Annotated[
        str, typer.Option(help="cpu, or cuda: numbers of seeds trained together, not of workers.")
    ] = "cpu",
    seeds: Annotated[
        list[int] | None, typer.Option(help="With cuda: a number of seeds, repeatable (left out: 1, 16, 64, 256).")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Epochs of a trial.")] = 2,
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = 100,
    train_images: Annotated[int, typer.Option(help="Training images.")] = 60_000,
    rounds: Annotated[int, typer.Option(help="How often every study is trained.")] = 3,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if a goal is missed.")] = False,
) -> None:
    """Train the same study with more and more workers, or on a GPU with more and more seeds together.

    Every study is a command of its own in a new folder. All have a turn in each round; what counts is the ratio of two
    of a round's rates. Shown are median and quartiles.
    """
    show_machine()
    load("mnist", default_data_dir())  # unpacked before anybody's time counts
    options: list[str | float] = ["--device", device, "--epochs", epochs]
    options += ["--batch-size", batch_size, "--train-images", train_images]
    if device == "cuda":
        _compare_seeds(seeds or [1, 16, 64, 256], options, epochs * train_images, rounds)
    else:
        _compare_workers(workers or list(range(1, CORES + 1)), [*options, "-n", n], rounds, check)


def _compare_workers(workers: Sequence[int], options: list[str | float], rounds: int, check: bool) -> None:
    studies = in_turn({count: repeats(count, *options) for count in workers}, rounds)
    rates = {count: [study.rate for study in made] for count, made in studies.items()}
    training_rates = {count: [study.training_rate for study in made] for count, made in studies.items()}
    peaks = {count: max(study.peak_bytes for study in made) / 1e9 for count, made in studies.items()}
    base = workers[0]
    rows = [
        [
            str(count),
            spread(ratios(rates[count], rates[base])),
            spread(ratios(training_rates[count], training_rates[base])),
            f"{peaks[count]:.2f} GB",
        ]
        for count in workers
    ]
    head = ["workers", "trials an hour,\nstart-up included", "in training\nalone", "largest process,\nresident"]
    console.print(rich_table(f"Relative to {base} worker{'s' if base > 1 else ''}, {rounds} rounds", head, rows))
    goals = [Goal("resident memory of the largest process in GB", max(peaks.values()), 1)]
    if {1, 2} <= set(workers) and CORES >= 2:
        reached = median(ratios(rates[2], rates[1]))
        goals.append(Goal("two workers' trials an hour / one's", reached, 1.7, at_least=True))
    judge(goals, check)


def _compare_seeds(seeds: Sequence[int], options: list[str | float], images: int, rounds: int) -> None:
    """One fluid trial of each seed, all of a study together; ``images`` are those that a trial is shown."""
    peak = _gpu_peak()
    studies = in_turn(
        {count: repeats(1, "--act", "fluid", "-n", count, "--batch-seeds", count, *options) for count in seeds}, rounds
    )
    rates = {count: [study.rate for study in made] for count, made in studies.items()}
    trial_flops = images * convolution_flops(1)
    rows = [
        [
            str(count),
            spread(ratios(rates[count], rates[seeds[0]])),
            f"{median(rates[count]) * 3600:,.0f}",
            f"{median(study.training_rate for study in studies[count]) * trial_flops / peak:.1%}",
        ]
        for count in seeds
    ]
    head = ["seeds\ntogether", f"seeds an hour\nover {seeds[0]} together's", "seeds an hour", "share of\nGEMM peak"]
    console.print(rich_table(f"{torch.cuda.get_device_name()}, {rounds} rounds, start-up included", head, rows))
    console.print(f"The peak is that of a float32 product of {GEMM_SIZE} x {GEMM_SIZE}: {peak / 1e12:.1f} TFLOP/s.")


def _gpu_peak() -> float:
    """Operations a second in the best of some float32 matrix products."""
    matrix = torch.rand(GEMM_SIZE, GEMM_SIZE, device="cuda")

    def multiply() -> None:
        torch.mm(matrix, matrix)
        torch.cuda.synchronize()

    turns = timed(multiply, 1)
    return 2 * GEMM_SIZE**3 / min(next(turns) for _ in range(10))


if __name__ == "__main__":
    typer.run(main)
