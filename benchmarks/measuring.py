"""What the benchmarks share: contenders timed in turn, ratios with their spread, goals, and the machine's name."""

from __future__ import annotations

import datetime
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from rich.console import Console

from fluidrelu_cli.networks.build import build_model
from fluidrelu_cli.networks.named import resolve
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.training.machine import read_cpu_model
from fluidrelu_cli.workers.local import default_workers

Key = TypeVar("Key")
Measured = TypeVar("Measured")

console = Console(highlight=False, soft_wrap=True)
console.width = max(console.width, 140)  # a table's line is not broken

CORES = default_workers("cpu")
"""The cores that this process may use."""


def show_machine() -> None:
    """Without these a figure means nothing elsewhere."""
    console.print(
        f"{read_cpu_model()} ({torch.backends.cpu.get_cpu_capability()}), {CORES} cores;"
        f" torch {torch.__version__}; {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}"
    )


def timed(step: Callable[[], object], steps: int) -> Iterator[float]:
    """Seconds a step, again and again; the first step of a turn is not counted, for it finds other data cached."""
    while True:
        step()
        start = time.perf_counter()
        for _ in range(steps):
            step()
        yield (time.perf_counter() - start) / steps


def in_turn(contenders: Mapping[Key, Iterator[Measured]], rounds: int) -> dict[Key, list[Measured]]:
    """What is measured of every contender, round by round.

    All have one turn in each round, so that a machine that is busy for a while slows all of them, and what a round
    gives is the ratio of two of its times.
    """
    measured: dict[Key, list[Measured]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, turns in contenders.items():
            measured[name].append(next(turns))
    return measured


def ratios(numerators: Iterable[float], denominators: Iterable[float]) -> list[float]:
    """Round by round."""
    return [a / b for a, b in zip(numerators, denominators, strict=True)]


def spread(values: Sequence[float]) -> str:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


@dataclass(frozen=True)
class Goal:
    """Something measured, and the limit that it should keep."""

    name: str
    reached: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.reached >= self.limit if self.at_least else self.reached <= self.limit


def judge(goals: Sequence[Goal], check: bool) -> None:
    """Show which goals are met; with ``check``, exit with 1 if one is missed."""
    for goal in goals:
        bound = "at least" if goal.at_least else "at most"
        console.print(
            f"{'met   ' if goal.met else 'MISSED'} {goal.name}: {goal.reached:.2f}, goal {bound} {goal.limit:.2f}"
        )
    if check and not all(goal.met for goal in goals):
        sys.exit(1)


def convolution_flops(batch_size: int) -> int:
    """Multiplications and additions of one step in Table 1's convolutions.

    Forward, and backward for weights and inputs, each take as many; nobody needs the gradient of the images.
    """
    network = build_model(Protocol(), resolve("relu"), 0, (1, 28, 28), 10).module
    weights = [network.get_parameter(f"conv{layer}.weight") for layer in (1, 2)]
    per_image = [2 * weight.numel() * side**2 for weight, side in zip(weights, (24, 8), strict=True)]
    return batch_size * (2 * per_image[0] + 3 * per_image[1])


@dataclass(frozen=True)
class Command:
    """How a Python command went."""

    seconds: float
    peak_bytes: int
    """Resident memory of the largest process, be it the command itself or one of its workers."""


def run(*arguments: str | Path | float) -> Command:
    """Run `python ARGUMENTS` from start to end, start-up and all."""
    command = [sys.executable, *map(str, arguments)]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)  # the one call that tells the memory of this command's processes
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(errors)
    return Command(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
