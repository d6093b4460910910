"""How long a trial will take on this machine, from some of its steps. Nothing is written."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from fluidrelu_cli.data.dataset import Dataset
from fluidrelu_cli.networks.named import Activation
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.run import Epoch
from fluidrelu_cli.seeding import own_torch_settings
from fluidrelu_cli.training.loop import Training, set_up

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
