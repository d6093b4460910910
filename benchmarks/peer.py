"""fluidrelu against the trial as it is usually written: torchvision, DataLoader, eager autograd."""

from __future__ import annotations

import importlib.resources
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import typer
from measuring import CORES, Goal, console, in_turn, judge, ratios, run, show_machine, spread
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from fluidrelu_cli.analysis.published import PAPER_PAIR
from fluidrelu_cli.data.catalogue import default_data_dir
from fluidrelu_cli.data.load import load
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.report.tables import rich_table


class Fluid(nn.Module):
    """Equation (4) with one a per kernel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.zeros(channels))

    def forward(self, v: Tensor) -> Tensor:
        a = self.a.view(-1, 1, 1)
        # Without the clamp the branch that is not taken could divide by zero, and its gradient be no number.
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
    """Momentum SGD; the a's learn beta times as fast."""
    learned = [value for name, value in network.named_parameters() if name.endswith(".a")]
    others = [value for name, value in network.named_parameters() if not name.endswith(".a")]
    groups: list[dict[str, Any]] = [{"params": others}, {"params": learned, "lr": lr * beta}]
    return torch.optim.SGD(groups, lr=lr, momentum=momentum)


def unpack(folder: Path) -> None:
    """Let torchvision unpack the package's archives where it looks for MNIST; nothing is downloaded."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    package = importlib.resources.files("fluidrelu_cli") / "data" / "mnist"
    for name, _ in MNIST.resources:
        with importlib.resources.as_file(package / name) as archive:
            shutil.copyfile(archive, raw / name)
    MNIST(folder, download=True)  # it finds the archives, and asks nobody for them


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
    """One trial; its accuracy on the test images after the last epoch."""
    root = data_dir or default_data_dir()
    train, test = (MNIST(root, train=train, transform=ToTensor()) for train in (True, False))
    train_loader = DataLoader(Subset(train, range(train_images or len(train))), batch_size, shuffle=True)
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
        accuracy = _accuracy(network, test_loader)
    return accuracy


def _accuracy(network: nn.Module, loader: DataLoader[tuple[Tensor, Tensor]]) -> float:
    network.eval()
    correct = total = 0
    with torch.no_grad():
        for images, labels in loader:
            correct += int((network(images).argmax(1) == labels).sum())
            total += len(labels)
    return correct / total


def main(
    study: Annotated[
        bool, typer.Option("--study", help="Whole trials with all cores, as a user would run either.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(help="Epochs (left out: 1, or 8 with --study).")] = None,
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = 100,
    train_images: Annotated[
        int | None, typer.Option(help="Training images (left out: 30,000, or all with --study).")
    ] = None,
    n: Annotated[int, typer.Option("-n", help="With --study: seeds that fluidrelu trains in each round.")] = CORES,
    rounds: Annotated[int | None, typer.Option(help="Rounds (left out: 5, or 2 with --study).")] = None,
    check: Annotated[bool, typer.Option("--check", help="With --study: exit with 1 if the goal is missed.")] = False,
    trial: Annotated[
        str | None, typer.Option(help="Train the peer's trial of this activation, and compare nothing.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="With --trial: torch's threads (left out: its default).")] = None,
) -> None:
    """Set fluidrelu's trials beside those of a script as it is usually written: same network, data, steps and tests.

    By default both have one thread and one trial, so that the ratio is that of the work. With --study each uses the
    machine as it does by itself: the script's trials one after another with torch's own threads, fluidrelu's with
    `repeat`. Start-up counts everywhere.
    """
    epochs = epochs or (8 if study or trial else 1)
    if trial is not None:
        if threads:
            torch.set_num_threads(threads)
        accuracy = train_peer(trial, epochs, batch_size, train_images=train_images)
        console.print(f"test accuracy {accuracy:.4f}")
        return
    if check and not study:
        raise typer.BadParameter("the goal is for whole trials: add --study.", param_hint="--check")
    show_machine()
    load("mnist", default_data_dir())  # both unpacked before anybody's time counts
    unpack(default_data_dir())
    options: list[str | float] = ["--epochs", epochs, "--batch-size", batch_size]
    if train_images or not study:
        options += ["--train-images", train_images or 30_000]
    if study:
        _compare_studies(options, n, rounds or 2, check)
    else:
        _compare_trials(options, rounds or 5)


def _compare_trials(options: list[str | float], rounds: int) -> None:
    contenders = {}
    for name in PAPER_PAIR:
        contenders[f"peer {name}"] = _peer(name, "--threads", 1, *options)
        contenders[f"fluidrelu {name}"] = _fluidrelu("train", "--act", name, *options)
    seconds = in_turn(contenders, rounds)
    rows = [[name, spread(ratios(seconds[f"peer {name}"], seconds[f"fluidrelu {name}"]))] for name in PAPER_PAIR]
    console.print(rich_table("One trial on one thread", ["activation", "wall time: peer / fluidrelu"], rows))


def _compare_studies(options: list[str | float], n: int, rounds: int, check: bool) -> None:
    peers = {name: _peer(name, *options) for name in PAPER_PAIR}
    seconds = in_turn({**peers, "fluidrelu": _fluidrelu("repeat", "-n", n, *options)}, rounds)
    per_trial = [sum(both) / len(both) for both in zip(*(seconds[name] for name in PAPER_PAIR), strict=True)]
    trials = n * len(PAPER_PAIR)
    faster = ratios(per_trial, [time / trials for time in seconds["fluidrelu"]])
    head = ["fluidrelu's study", "trials an hour: fluidrelu / peer"]
    console.print(rich_table("All cores", head, [[f"{trials} trials, {CORES} workers", spread(faster)]]))
    judge([Goal("trials an hour over the peer's", median(faster), 6, at_least=True)], check)


def _peer(activation: str, *options: str | float) -> Iterator[float]:
    while True:
        yield run(__file__, "--trial", activation, *options).seconds


def _fluidrelu(*arguments: str | float) -> Iterator[float]:
    while True:
        with tempfile.TemporaryDirectory() as folder:  # where no trial is finished yet
            yield run("-m", "fluidrelu_cli", *arguments, "--device", "cpu", "--results", folder).seconds


if __name__ == "__main__":
    typer.run(main)
