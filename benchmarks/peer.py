"""fluidrelu beside the script that most people would write: torchvision, DataLoader, eager autograd."""

from __future__ import annotations

import importlib.resources
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import train
import typer
from measuring import CORES, PAIR, Goal, console, judge, ratios, run, show_machine, spread
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from fluidrelu_cli.data.catalogue import default_data_dir
from fluidrelu_cli.data.load import load
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.report.tables import rich_table
from fluidrelu_cli.training.timing import in_turn


class Fluid(nn.Module):
    """Equation (4) with one a per kernel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.zeros(channels))

    def forward(self, v: Tensor) -> Tensor:
        a = self.a.view(-1, 1, 1)
        # Without the clamp, the branch that is not taken could divide by zero, and its gradient would be nan.
        return torch.where(v >= 0, v, v / (1 - v.clamp(max=0) / (2 * torch.exp(a))))


class PeerCNN(nn.Module):
    """Table 1's network."""

    def __init__(self, activation: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5)
        self.activation1 = Fluid(16) if activation == "fluid" else nn.ReLU()
        self.conv2 = nn.Conv2d(16, 32, 5)
        self.activation2 = Fluid(32) if activation == "fluid" else nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(32 * 4 * 4, 10)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.pool(self.activation1(self.conv1(images)))
        hidden = self.pool(self.activation2(self.conv2(hidden)))
        logits: Tensor = self.fc(hidden.flatten(1))
        return logits


def peer_optimizer(
    network: nn.Module, lr: float = Protocol.lr, momentum: float = Protocol.momentum, beta: float = Protocol.beta
) -> torch.optim.SGD:
    """Momentum SGD in which every a learns beta times as fast."""
    learned = [value for name, value in network.named_parameters() if name.endswith(".a")]
    others = [value for name, value in network.named_parameters() if not name.endswith(".a")]
    groups: list[dict[str, Any]] = [{"params": others}, {"params": learned, "lr": lr * beta}]
    return torch.optim.SGD(groups, lr=lr, momentum=momentum)


def unpack(folder: Path) -> None:
    """Let torchvision unpack the package's archives where it looks for MNIST. Nothing is downloaded."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    package = importlib.resources.files("fluidrelu_cli") / "data" / "mnist"
    for name, _ in MNIST.resources:
        with importlib.resources.as_file(package / name) as archive:
            shutil.copyfile(archive, raw / name)
    MNIST(folder, download=True)  # it finds the archives and downloads nothing


def train_peer(
    activation: str,
    epochs: int,
    batch_size: int,
    lr: float = Protocol.lr,
    beta: float = Protocol.beta,
    train_images: int | None = None,
    test_images: int | None = None,
    data_dir: Path | None = None,
) -> float:
    """Train one trial, and return its accuracy on the test images after the last epoch."""
    root = data_dir or default_data_dir()
    training, test = (MNIST(root, train=part, transform=ToTensor()) for part in (True, False))
    train_loader = DataLoader(Subset(training, range(train_images or len(training))), batch_size, shuffle=True)
    test_loader = DataLoader(Subset(test, range(test_images or len(test))), 1000)
    network = PeerCNN(activation)
    optimizer = peer_optimizer(network, lr, beta=beta)
    for _ in range(epochs):
        network.train()
        for images, labels in train_loader:
            loss = nn.functional.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        accuracy = _test(network, test_loader)
    return accuracy


def _test(network: nn.Module, loader: DataLoader[tuple[Tensor, Tensor]]) -> float:
    network.eval()
    correct = total = 0
    with torch.no_grad():
        for images, labels in loader:
            correct += int((network(images).argmax(1) == labels).sum())
            total += len(labels)
    return correct / total


def main(
    study: Annotated[
        bool, typer.Option("--study", help="Compare whole trials on all cores, as a user would run either.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(help="Epochs (left out: 1, or 8 with --study).")] = None,
    batch_size: Annotated[int, typer.Option(help="Images per step.")] = 100,
    train_images: Annotated[
        int | None, typer.Option(help="Training images (left out: 30,000, or all with --study).")
    ] = None,
    n: Annotated[int, typer.Option("-n", help="With --study: seeds that fluidrelu trains per round.")] = CORES,
    rounds: Annotated[int | None, typer.Option(help="Rounds (left out: 5, or 2 with --study).")] = None,
    check: Annotated[bool, typer.Option("--check", help="With --study: exit with 1 if the goal is missed.")] = False,
    trial: Annotated[str | None, typer.Option(help="Only train the peer's trial of this activation.")] = None,
    threads: Annotated[int | None, typer.Option(help="With --trial: torch's threads (left out: its default).")] = None,
) -> None:
    """Compare fluidrelu's trials with those of a usual script: same network, data, steps and tests.

    By default both train one trial on one thread, so that the ratio compares the work. With --study each uses the
    machine in its own way: the script trains trial after trial with torch's default threads, fluidrelu with one worker
    per core. Start-up is always included.
    """
    epochs = epochs or (8 if study or trial else 1)
    if trial is not None:
        if threads:
            torch.set_num_threads(threads)
        accuracy = train_peer(trial, epochs, batch_size, train_images=train_images)
        console.print(f"test accuracy {accuracy:.4f}")
        return
    if check and not study:
        raise typer.BadParameter("the goal is one for whole trials: add --study.", param_hint="--check")
    show_machine()
    load("mnist", default_data_dir())  # both unpack it before anything is timed
    unpack(default_data_dir())
    protocol = {"epochs": epochs, "batch_size": batch_size}
    if train_images or not study:
        protocol["train_images"] = train_images or 30_000
    if study:
        _compare_studies(protocol, n, rounds or 2, check)
    else:
        _compare_trials(protocol, rounds or 5)


def _compare_trials(protocol: Mapping[str, int], rounds: int) -> None:
    contenders = {}
    for name in PAIR:
        contenders[f"peer {name}"] = _time_peer(name, protocol, "--threads", 1)
        contenders[f"fluidrelu {name}"] = _time_fluidrelu(train.Settings([name], protocol))
    seconds = in_turn(contenders, rounds)
    rows = [[name, spread(ratios(seconds[f"peer {name}"], seconds[f"fluidrelu {name}"]))] for name in PAIR]
    console.print(rich_table("One trial on one thread", ["activation", "wall time: peer / fluidrelu"], rows))


def _compare_studies(protocol: Mapping[str, int], n: int, rounds: int, check: bool) -> None:
    peers = {name: _time_peer(name, protocol) for name in PAIR}
    seconds = in_turn({**peers, "fluidrelu": _time_fluidrelu(train.Settings(PAIR, protocol, n, CORES))}, rounds)
    per_trial = [sum(both) / len(both) for both in zip(*(seconds[name] for name in PAIR), strict=True)]
    trials = n * len(PAIR)
    faster = ratios(per_trial, [time / trials for time in seconds["fluidrelu"]])
    head = ["fluidrelu's study", "trials per hour: fluidrelu / peer"]
    console.print(rich_table("All cores", head, [[f"{trials} trials, {CORES} workers", spread(faster)]]))
    judge([Goal("trials per hour over the peer's", median(faster), 6, at_least=True)], check)


def _time_peer(activation: str, protocol: Mapping[str, int], *options: str | float) -> Iterator[float]:
    """Seconds of the peer's trial, from the start of its process."""
    settings = [part for name, value in protocol.items() for part in (f"--{name.replace('_', '-')}", value)]
    while True:
        yield run(__file__, "--trial", activation, *settings, *options).seconds


def _time_fluidrelu(settings: train.Settings) -> Iterator[float]:
    """Seconds of a study, from the start of its process."""
    while True:
        yield run(train.__file__, json.dumps(asdict(settings))).seconds


if __name__ == "__main__":
    typer.run(main)
