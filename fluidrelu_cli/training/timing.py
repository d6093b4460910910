"""How long training takes on this machine, from some of its steps. Nothing is written."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

from fluidrelu_cli.data.dataset import Dataset
from fluidrelu_cli.networks.named import Activation
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.run import Epoch
from fluidrelu_cli.seeding import own_torch_settings
from fluidrelu_cli.training.loop import Training, set_up

Key = TypeVar("Key")
Measured = TypeVar("Measured")

FEWEST_STEPS = 3
ENOUGH_SECONDS = 0.4
"""Steps that take so long together are timed well; four times as many as too few take less than 2 s."""


def time_trial(
    activation: Activation, protocol: Protocol, data_dir: Path, device_name: str, *, batch_seeds: int = 1
) -> float:
    """The seconds that one trial will take on this machine, steps x epochs + tests, from steps and a test as timed.

    A few steps warm up. Then four times as many are timed again and again, until they are enough. torch's settings are
    put back.

    Args:
        activation: what to train with.
        protocol: its data and network.
        data_dir: where data sets are kept; nothing is downloaded.
        device_name: one of protocol.DEVICES.
        batch_seeds: how many trials will be trained together; each then takes its share of the seconds.

    Raises:
        UsageError: if this machine has no such device, or the network does not fit the images.
        DataError: if the data cannot be read.
    """
    with own_torch_settings():
        device, dataset = set_up(protocol, data_dir, device_name)
        whole_epochs = replace(protocol, evaluations=1)
        trials = [Trial(whole_epochs, activation.name, seed) for seed in range(batch_seeds)]
        size, images, tests = protocol.batch_size, len(dataset.train_labels), len(dataset.test_labels)

        def train_steps(number: int) -> Epoch:
            """An epoch of so many steps, and a test on as many images."""
            return next(Training(activation, trials, _first(dataset, number * size), device).epochs())[0]

        steps, most = FEWEST_STEPS, math.ceil(images / size)
        train_steps(steps)
        timed = train_steps(steps)
        while timed.train_seconds < ENOUGH_SECONDS and steps < most:
            steps *= 4
            timed = train_steps(steps)
    train = timed.train_seconds * most / min(steps, most)
    test = timed.test_seconds * tests / min(steps * size, tests)
    return protocol.epochs * (train + protocol.evaluations * test) / batch_seeds


def _first(dataset: Dataset, images: int) -> Dataset:
    """The first so many images, as far as there are: of any class, as nothing is to be learnt."""
    return replace(
        dataset,
        train_images=dataset.train_images[:images],
        train_labels=dataset.train_labels[:images],
        test_images=dataset.test_images[:images],
        test_labels=dataset.test_labels[:images],
    )


class Turn(NamedTuple):
    """Mean seconds per training step."""

    step: float
    """Of the whole step: getting the batch, both passes, and the optimizer."""
    forward: float
    """Of the forward pass with the loss."""
    backward: float


def steps_per_turn(steps: int) -> int:
    """How many steps an epoch has to have for :func:`time_turns`."""
    return 1 + 2 * steps


def time_turns(
    training: Training, steps: int, device: torch.device, clock: Callable[[], float] = time.perf_counter
) -> Iterator[Turn]:
    """Time a training again and again; a turn is one of its epochs, which has :func:`steps_per_turn`.

    The first step of a turn is not counted, because the caches are cold then. So many are timed as a whole, and as many
    more pass by pass: on a GPU each pass then waits until the one before it is done, as it does not while it trains.
    """
    stamps: dict[str, list[float]] = {}
    done = 0

    def stamp(name: str) -> None:
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        stamps.setdefault(name, []).append(clock())

    def on_step() -> None:
        nonlocal done
        done += 1
        if done in (1, 1 + steps):
            stamp("step")

    def on_pass(name: str) -> None:
        if done > steps:
            stamp(name)

    for _ in training.epochs(on_step, on_pass):
        start, end = stamps["step"]
        batch, forward, backward = (sum(stamps[name]) for name in ("batch", "forward", "backward"))
        yield Turn((end - start) / steps, (forward - batch) / steps, (backward - forward) / steps)
        stamps.clear()
        done = 0


def in_turn(
    contenders: Mapping[Key, Iterator[Measured]], rounds: int, on_turn: Callable[[], None] = lambda: None
) -> dict[Key, list[Measured]]:
    """Measure all contenders round by round.

    Each has one turn per round, so that a machine that is busy for a while slows all of them. What counts is the ratio
    of two times of the same round. Every second round goes backwards, so that none is always first.

    Args:
        contenders: by name, what measures one turn after the other.
        rounds: how many turns of each.
        on_turn: called after each turn.
    """
    measured: dict[Key, list[Measured]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds):
        for name in reversed(names) if number % 2 else names:
            measured[name].append(next(contenders[name]))
            on_turn()
    return measured
