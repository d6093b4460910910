"""The time of a training step, relative to its convolutions alone, to ReLU's, and to the step as usually written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from typing import Annotated

import torch
import typer
from measuring import PAIR, Goal, console, convolution_flops, judge, ratios, show_machine, spread, timed
from peer import PeerCNN, peer_optimizer
from torch import nn

from fluidrelu_cli.data.catalogue import default_data_dir
from fluidrelu_cli.data.dataset import Dataset
from fluidrelu_cli.data.load import load_dataset
from fluidrelu_cli.networks.named import ACTIVATIONS, resolve
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.report.tables import rich_table
from fluidrelu_cli.seeding import make_deterministic
from fluidrelu_cli.training.loop import Training
from fluidrelu_cli.training.machine import keep_freed_memory
from fluidrelu_cli.training.timing import in_turn, steps_per_turn, time_turns

CPU = torch.device("cpu")
FLOOR, STRICT_FLOOR = "floor, default layout", "floor, channels last"
"""The convolutions alone, in torch's two memory formats."""
GEMM_SIZE = 1024
PROFILED_STEPS = 100


def convolutions(batch_size: int, memory_format: torch.memory_format) -> Callable[[], object]:
    """Table 1's two convolutions, forward and backward. Every implementation on the same library needs them."""
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
    """The eager step as it is usually written, on a batch that is ready in memory."""
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
    """Seconds per step of fluidrelu's own training, which takes its batches out of the data."""
    turns = time_turns(make_training(protocol, activation, dataset), steps, CPU)
    return (turn.step for turn in turns)


def make_training(protocol: Protocol, activation: str, dataset: Dataset) -> Training:
    return Training(resolve(activation), [Trial(protocol, activation, 0)], dataset, CPU)


def main(
    batch_size: Annotated[int, typer.Option(help="Images per step.")] = 100,
    rounds: Annotated[int, typer.Option(help="Turns of every contender.")] = 50,
    steps: Annotated[int, typer.Option(help="Steps per turn.")] = 5,
    precision: Annotated[str, typer.Option(help="Precision of fluidrelu's steps: fp32 or bf16.")] = "fp32",
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if a goal is missed.")] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help=f"Only show which operators take the time of {PROFILED_STEPS} steps.")
    ] = False,
) -> None:
    """Time the training step of every built-in activation on one thread, and compare it with what bounds it.

    Every contender has one turn per round. The table shows median and quartiles of the ratios of two times of the same
    round.
    """
    steps = PROFILED_STEPS // 2 if profile else steps
    protocol = Protocol(
        epochs=10**9,  # as many turns as are asked for
        batch_size=batch_size,
        train_images=steps_per_turn(steps) * batch_size,
        test_images=1,
        precision=precision,
    )
    show_machine()
    # All contenders run under the conditions of a trial.
    make_deterministic(CPU)
    keep_freed_memory()
    dataset = load_dataset(protocol, default_data_dir())
    if profile:
        for activation in PAIR:
            show_profile(protocol, activation, dataset)
        return
    matrix = torch.rand(GEMM_SIZE, GEMM_SIZE)
    floors = {FLOOR: torch.contiguous_format, STRICT_FLOOR: torch.channels_last}
    seconds = in_turn(
        {
            "gemm": timed(lambda: torch.mm(matrix, matrix), 1),
            **{name: timed(convolutions(batch_size, layout), steps) for name, layout in floors.items()},
            **{name: training(protocol, name, dataset, steps) for name in ACTIVATIONS},
            **{f"naive {name}": timed(naive(name, dataset, batch_size), steps) for name in PAIR},
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
        "The last column counts only the convolutions' operations, in the best round. The peak is the best float32"
        f" product of {GEMM_SIZE} x {GEMM_SIZE}: {peak / 1e9:.0f} GFLOP/s."
    )

    def ratio(name: str, base: str) -> float:
        return median(ratios(seconds[name], seconds[base]))

    judge(
        [
            Goal("fluid's step / ReLU's", ratio("fluid", "relu"), 1.10),
            *(Goal(f"{name}'s step / {STRICT_FLOOR}", ratio(name, STRICT_FLOOR), 1.30) for name in PAIR),
        ],
        check,
    )


def show_profile(protocol: Protocol, activation: str, dataset: Dataset, most: int = 14) -> None:
    """Show the operators that take most of the second epoch, without those that they call."""
    epochs = make_training(protocol, activation, dataset).epochs()
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
