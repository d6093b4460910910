"""A training step against its convolutions alone, against ReLU's, and against the step as it is usually written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Annotated

import torch
import typer
from measuring import Goal, console, convolution_flops, in_turn, judge, ratios, show_machine, spread, timed
from peer import PeerCNN, peer_optimizer
from torch import nn

from fluidrelu_cli.analysis.published import PAPER_PAIR
from fluidrelu_cli.data.catalogue import default_data_dir
from fluidrelu_cli.data.dataset import Dataset
from fluidrelu_cli.data.load import load_dataset
from fluidrelu_cli.networks.named import ACTIVATIONS
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.report.tables import rich_table
from fluidrelu_cli.seeding import make_deterministic
from fluidrelu_cli.training.loop import Training, keep_freed_memory

CPU = torch.device("cpu")
FLOOR, STRICT_FLOOR = "floor, default layout", "floor, channels last"
"""The convolutions alone, in torch's two memory formats."""
GEMM_SIZE = 1024
PROFILED_STEPS = 100


def convolutions(batch_size: int, memory_format: torch.memory_format) -> Callable[[], object]:
    """Table 1's two convolutions, forward and backward: what no implementation on the same library can leave out."""
    conv1 = nn.Conv2d(1, 16, 5).to(memory_format=memory_format)  # type: ignore[call-overload,unused-ignore]
    conv2 = nn.Conv2d(16, 32, 5).to(memory_format=memory_format)  # type: ignore[call-overload,unused-ignore]

    def tensor(*shape: int) -> torch.Tensor:
        return torch.rand(batch_size, *shape).contiguous(memory_format=memory_format)

    images, gradient1 = tensor(1, 28, 28), tensor(16, 24, 24)
    hidden, gradient2 = tensor(16, 12, 12).requires_grad_(), tensor(32, 8, 8)

    def step() -> None:
        torch.autograd.grad(conv1(images), list(conv1.parameters()), gradient1)
        torch.autograd.grad(conv2(hidden), [hidden, *conv2.parameters()], gradient2)

    return step


def naive(activation: str, dataset: Dataset, batch_size: int) -> Callable[[], object]:
    """The eager step as it is usually written, on a batch that is there already."""
    network = PeerCNN(activation)
    optimizer = peer_optimizer(network)
    images, labels = dataset.train_images[:batch_size] / 255, dataset.train_labels[:batch_size]

    def step() -> None:
        loss = nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def training(protocol: Protocol, activation: str, dataset: Dataset, steps: int) -> Iterator[float]:
    """Seconds a step of fluidrelu's own training, taking the batch out of the data included: a turn is an epoch."""
    stamps: list[float] = []
    epochs = Training([Trial(protocol, activation, 0)], dataset, CPU).epochs(lambda: stamps.append(time.perf_counter()))
    for _ in epochs:
        yield (stamps[-1] - stamps[0]) / steps
        stamps.clear()


def main(
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = 100,
    rounds: Annotated[int, typer.Option(help="How often every contender has its turn.")] = 50,
    steps: Annotated[int, typer.Option(help="Steps a turn.")] = 5,
    precision: Annotated[str, typer.Option(help="fluidrelu's precision: fp32 or bf16.")] = "fp32",
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if a goal is missed.")] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help=f"Show instead where the time goes in {PROFILED_STEPS} steps.")
    ] = False,
) -> None:
    """Time the training step of every built-in activation, on one thread, against what bounds it.

    All contenders have a turn in each round; what counts is the ratio of two of a round's times. Shown are median and
    quartiles.
    """
    steps = PROFILED_STEPS if profile else steps
    protocol = Protocol(
        epochs=10**9,  # as many turns as are asked for
        batch_size=batch_size,
        train_images=(steps + 1) * batch_size,
        test_images=1,
        precision=precision,
    )
    show_machine()
    # The conditions that trials are trained under, for all contenders.
    make_deterministic(CPU)
    keep_freed_memory()
    dataset = load_dataset(protocol, default_data_dir())
    if profile:
        for activation in PAPER_PAIR:
            show_profile(protocol, activation, dataset)
        return
    matrix = torch.rand(GEMM_SIZE, GEMM_SIZE)
    floors = {FLOOR: torch.contiguous_format, STRICT_FLOOR: torch.channels_last}
    seconds = in_turn(
        {
            "gemm": timed(lambda: torch.mm(matrix, matrix), 1),
            **{name: timed(convolutions(batch_size, layout), steps) for name, layout in floors.items()},
            **{name: training(protocol, name, dataset, steps) for name in ACTIVATIONS},
            **{f"naive {name}": timed(naive(name, dataset, batch_size), steps) for name in PAPER_PAIR},
        },
        rounds,
    )
    peak = 2 * GEMM_SIZE**3 / min(seconds.pop("gemm"))
    flops = convolution_flops(batch_size)
    bases = (FLOOR, STRICT_FLOOR, "relu", "naive relu", "naive fluid")
    rows = []
    for name, times in seconds.items():
        over = [spread(ratios(times, seconds[base])) for base in bases]
        rows.append([name, *over, f"{flops / min(times) / peak:.0%}"])
    head = ["step", *(f"/ {base}".replace(", ", ",\n") for base in bases), "at best, of\nGEMM peak"]
    console.print(rich_table(f"Batch size {batch_size}, {precision}, {rounds} rounds", head, rows))
    console.print(
        "The last column counts the convolutions' operations alone, in the best round; the peak is that of the best"
        f" float32 product of {GEMM_SIZE} x {GEMM_SIZE}: {peak / 1e9:.0f} GFLOP/s."
    )

    def ratio(name: str, base: str) -> float:
        return median(ratios(seconds[name], seconds[base]))

    judge(
        [
            Goal("fluid's step / ReLU's", ratio("fluid", "relu"), 1.10),
            *(Goal(f"{name}'s step / {STRICT_FLOOR}", ratio(name, STRICT_FLOOR), 1.30) for name in PAPER_PAIR),
        ],
        check,
    )


def show_profile(protocol: Protocol, activation: str, dataset: Dataset, most: int = 14) -> None:
    """The time that each operator takes itself, in the second epoch."""
    epochs = Training([Trial(protocol, activation, 0)], dataset, CPU).epochs()
    next(epochs)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        next(epochs)
    operators = sorted(profiler.key_averages(), key=lambda operator: -operator.self_cpu_time_total)
    total = sum(operator.self_cpu_time_total for operator in operators)
    rows = [
        [operator.key, f"{operator.self_cpu_time_total / total:.1%}", str(operator.count)]
        for operator in operators[:most]
    ]
    console.print(
        rich_table(
            f"{activation}, batch size {protocol.batch_size}", ["operator", "share of self CPU time", "calls"], rows
        )
    )


if __name__ == "__main__":
    typer.run(main)
