"""What the benchmarks share: ratios with their spread, goals, and the machine's name."""

from __future__ import annotations

import datetime
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from fluidrelu_cli.networks.build import build_model
from fluidrelu_cli.networks.named import resolve
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.training.machine import read_cpu_model
from fluidrelu_cli.workers.local import default_workers

console = Console(highlight=False, soft_wrap=True)
console.width = max(console.width, 140)  # a table's line is not broken

CORES = default_workers("cpu")
"""The cores that this process may use."""
PAIR = ("relu", "fluid")
"""The activations that the paper compares."""


def show_machine() -> None:
    """Print the processor, its cores, torch's version and the date. A measurement means nothing without them."""
    console.print(
        f"{read_cpu_model()} ({torch.backends.cpu.get_cpu_capability()}), {CORES} cores;"
        f" torch {torch.__version__}; {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}"
    )


def timed(step: Callable[[], object], steps: int) -> Iterator[float]:
    """Seconds per step, again and again. The first step of a turn is not counted, because the caches are cold then."""
    while True:
        step()
        start = time.perf_counter()
        for _ in range(steps):
            step()
        yield (time.perf_counter() - start) / steps


def ratios(numerators: Iterable[float], denominators: Iterable[float]) -> list[float]:
    """The ratio in each round (training.timing.in_turn)."""
    return [a / b for a, b in zip(numerators, denominators, strict=True)]


def spread(values: Sequence[float]) -> str:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


@dataclass(frozen=True)
class Goal:
    """A measurement, and its limit."""

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
    """The multiplications and additions that Table 1's convolutions take per step.

    The forward pass, and the backward passes to the weights and to the inputs, take the same number each. The gradient
    of the images is not needed.
    """
    network = build_model(Protocol(), resolve("relu"), 0, (1, 28, 28), 10).module
    weights = [network.get_parameter(f"conv{layer}.weight") for layer in (1, 2)]
    per_image = [2 * weight.numel() * side**2 for weight, side in zip(weights, (24, 8), strict=True)]
    return batch_size * (2 * per_image[0] + 3 * per_image[1])


@dataclass(frozen=True)
class Command:
    """What a Python command took and printed."""

    seconds: float
    peak_bytes: int
    """The resident memory of the largest process: the command, or one that it has waited for."""
    output: str


def run(*arguments: str | Path | float) -> Command:
    """Run `python ARGUMENTS` and measure it as a whole, start-up included. If it fails, exit with its error output."""
    watch = Path(__file__).with_name("watch.py")
    watched = subprocess.run([sys.executable, watch, *map(str, arguments)], capture_output=True, text=True, check=False)
    if watched.returncode:
        sys.exit(watched.stderr)
    return Command(**json.loads(watched.stdout))
