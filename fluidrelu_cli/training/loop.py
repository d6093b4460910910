"""Train trials and yield their numbers test by test. Nothing here prints or writes files."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fluidrelu_cli.data.dataset import Dataset
from fluidrelu_cli.data.load import load_dataset
from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.networks.build import Network, list_factors
from fluidrelu_cli.networks.named import Activation, resolve_model
from fluidrelu_cli.networks.source import record_sources
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.run import Epoch, Parameters, Run
from fluidrelu_cli.seeding import generator, make_deterministic, stream_seed
from fluidrelu_cli.training.ensemble import Ensemble
from fluidrelu_cli.training.machine import keep_freed_memory, pick_device, record_machine
from fluidrelu_cli.training.optimizer import build_optimizer, build_scheduler
from fluidrelu_cli.training.preprocessing import Scaling, draw_flip_crops, flip_crop
from fluidrelu_cli.training.weights import pack

TEST_BATCH_SIZE = 200
"""Images per batch of a test. Larger batches do not fit into a core's cache and take twice as long."""


class Training:
    """The training of one trial, or of several side by side. Iterate over :meth:`epochs`, once.

    Args:
        activation: the one that the trials name.
        trials: what to train; they differ in their seeds only.
        dataset: uint8 images in memory; they are moved to the device once.
        device: where to train.
    """

    def __init__(self, activation: Activation, trials: Sequence[Trial], dataset: Dataset, device: torch.device) -> None:
        self.trials = tuple(trials)
        self._protocol = trials[0].protocol.of_arm(trials[0].activation)
        self._ensemble = Ensemble(activation, trials, dataset.image_shape, dataset.classes, device)
        self._optimizer = build_optimizer(self._ensemble.network, self._ensemble.parameters, self._protocol)
        steps = math.ceil(len(dataset.train_images) / self._protocol.batch_size)
        self._scheduler = build_scheduler(self._optimizer, self._protocol, self._protocol.epochs * steps)
        self._tested_after = list_tests(self._protocol, len(dataset.train_images))
        self._train = dataset.train_images.to(device), dataset.train_labels.to(device)
        self._test = dataset.test_images.to(device), dataset.test_labels.to(device)
        self._scaled = Scaling(dataset.train_images, self._protocol.pixels, device)
        self._orders = [generator(trial.seed, "data order") for trial in trials]
        self._order_digests = [hashlib.sha256() for _ in trials]
        augmented = trials if self._protocol.augment == "flip-crop" else ()
        self._augmentations = [generator(trial.seed, "augmentation") for trial in augmented]
        self._augmentation_digests = [hashlib.sha256() for _ in augmented]
        self._correct: Tensor | None = None
        self._device = device

    @property
    def network(self) -> Network:
        """What is trained; of several trials its parameters are elsewhere."""
        return self._ensemble.network

    def epochs(
        self, on_step: Callable[[], None] = lambda: None, on_pass: Callable[[str], None] = lambda _: None
    ) -> Iterator[tuple[Epoch, ...]]:
        """Train, test after each epoch or more often (Protocol.evaluations), and yield one Epoch per trial each time.

        The seconds are those of all trials together. ``on_step`` is called after every step; it may raise to stop.
        ``on_pass`` is called with "batch", "forward" and "backward" within it: when that is done.
        """
        torch.manual_seed(stream_seed(self.trials[0].seed, "training"))  # an activation may draw random numbers
        training = (means for _ in range(self._protocol.epochs) for means in self._train_epoch(on_step, on_pass))
        start = time.perf_counter()
        for epochs, train in zip(self._protocol.tested_at(), training, strict=True):
            middle = time.perf_counter()
            test = self._evaluate()
            end = time.perf_counter()
            yield tuple(
                Epoch(
                    epochs,
                    *train_means,
                    *test_means,
                    train_seconds=round(middle - start, 4),
                    test_seconds=round(end - middle, 4),
                    parameters=parameters,
                )
                for train_means, test_means, parameters in zip(train, test, self.parameters(), strict=True)
            )
            start = time.perf_counter()

    def parameters(self) -> list[Parameters]:
        """Each trial's learned parameters of its activations, as they are now."""
        return self._ensemble.copy_learned()

    def correct(self) -> list[bytes]:
        """Each trial's test images that were right in the latest test, a bit for each: run.Run.correct."""
        if self._correct is None:
            raise ValueError("nothing was tested yet")
        return [np.packbits(mine).tobytes() for mine in self._correct.cpu().numpy()]

    def weights(self) -> list[bytes]:
        """Each trial's network as it is now: run.Run.weights."""
        return [pack(state) for state in self._ensemble.list_states()]

    def betas(self) -> dict[str, float]:
        """The factor on the gradient of what the activation learns, by the parameters' names; its layers are alike."""
        factors = list_factors(self._ensemble.network, self._protocol)
        return {parameter: factor for (_, parameter), factor in factors.items()}

    def digests(self) -> list[dict[str, Any]]:
        """Each trial's digests: of its initial weights, the order of its images so far, and the draws that augmented
        them.
        """
        digests: list[dict[str, Any]] = [
            {"initial_weights_sha256": _hash_tensors(weights), "data_order_sha256": order.hexdigest()}
            for weights, order in zip(self._ensemble.initial_weights, self._order_digests, strict=True)
        ]
        for mine, augmentation in zip(digests, self._augmentation_digests, strict=False):
            mine["augmentation_sha256"] = augmentation.hexdigest()
        return digests

    def _train_epoch(
        self, on_step: Callable[[], None], on_pass: Callable[[str], None]
    ) -> Iterator[list[tuple[float, float]]]:
        """Yield each trial's mean loss and accuracy when it is to be tested, over the images since the last time."""
        images, labels = self._train
        orders = [torch.randperm(len(images), generator=generator) for generator in self._orders]
        for digest, order in zip(self._order_digests, orders, strict=True):
            digest.update(order.numpy().data)
        order = torch.stack(orders).to(self._device)
        targets = labels[order]
        choices = self._draw_augmentation(len(images))
        size, averaged = self._protocol.batch_size, 0
        outputs: list[Tensor] = []
        for step, (batch, target) in enumerate(
            zip(torch.split(order, size, 1), torch.split(targets, size, 1), strict=True)
        ):
            if not outputs:
                self._ensemble.network.module.train()
            shown = images.index_select(0, batch.flatten())
            if choices is not None:
                shown = flip_crop(shown, choices[:, step * size : (step + 1) * size].flatten(0, 1))
            scaled = self._scaled(shown.view(*batch.shape, *images.shape[1:]))
            on_pass("batch")
            logits = self._ensemble.logits(scaled)
            # The trials share no parameter, so that the sum of their losses has the gradient of each.
            loss = functional.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="sum")
            if self._protocol.loss == "mean":
                loss = loss / batch.shape[1]
            on_pass("forward")
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            on_pass("backward")
            self._optimizer.step()
            if self._scheduler is not None:
                self._scheduler.step()
            outputs.append(logits.detach())
            on_step()
            if step + 1 in self._tested_after:
                latest = torch.cat(outputs, 1)
                yield _average(latest, targets[:, averaged : averaged + latest.shape[1]])
                averaged += latest.shape[1]
                outputs.clear()

    def _draw_augmentation(self, images: int) -> Tensor | None:
        """What is done to each image of an epoch, in the order of training: (S, N, 3); None without augmentation."""
        if not self._augmentations:
            return None
        choices = [draw_flip_crops(images, generator) for generator in self._augmentations]
        for digest, mine in zip(self._augmentation_digests, choices, strict=True):
            digest.update(mine.numpy().data)
        return torch.stack(choices).to(self._device)

    @torch.inference_mode()
    def _evaluate(self) -> list[tuple[float, float]]:
        images, labels = self._test
        self._ensemble.network.module.eval()
        all_networks = self._ensemble.size, -1, -1, -1, -1
        batches = torch.split(images, TEST_BATCH_SIZE)
        outputs = [self._ensemble.logits(self._scaled(batch).expand(all_networks)) for batch in batches]
        logits, targets = torch.cat(outputs, 1), labels.expand(self._ensemble.size, -1)
        self._correct = logits.argmax(2) == targets
        return _average(logits, targets)


def list_tests(protocol: Protocol, images: int) -> frozenset[int]:
    """After which of an epoch's steps a run is tested: those nearest to equal shares of that many training images.

    Raises UsageError if an epoch has fewer steps than tests.
    """
    evaluations, steps = protocol.evaluations, math.ceil(images / protocol.batch_size)
    if evaluations > steps:
        raise UsageError(f"--evaluations must be at most {steps}, the number of steps in an epoch, not {evaluations}.")
    return frozenset(round(number * steps / evaluations) for number in range(1, evaluations + 1))


def _average(logits: Tensor, targets: Tensor) -> list[tuple[float, float]]:
    """Mean loss and accuracy over N images for each of S trials: logits (S, N, classes), targets (S, N)."""
    losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
    mean_losses = losses.cpu().double().mean(1).tolist()  # on the CPU, because MPS has no float64
    correct = (logits.argmax(2) == targets).sum(1).tolist()
    return [(loss, count / targets.shape[1]) for loss, count in zip(mean_losses, correct, strict=True)]


def _hash_tensors(tensors: Sequence[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.cpu().contiguous().numpy().data)
    return digest.hexdigest()


def set_up(protocol: Protocol, data_dir: Path, device_name: str) -> tuple[torch.device, Dataset]:
    """Set this process up to train by a protocol; the device and the data. Errors are :func:`train_together`'s."""
    device = pick_device(device_name)
    make_deterministic(device)
    dataset = load_dataset(protocol, data_dir)
    keep_freed_memory()  # not earlier: reading the data needs more memory than any step
    return device, dataset


def train_together(
    activation: Activation,
    trials: Sequence[Trial],
    data_dir: Path,
    device_name: str,
    on_step: Callable[[], None] = lambda: None,
    *,
    save_weights: bool = False,
) -> Generator[tuple[Epoch, ...], None, list[Run]]:
    """Train trials side by side in this process. Yield each one's numbers after every test, and return their runs.

    Args:
        activation: the one that the trials name.
        trials: they differ in their seeds only.
        data_dir: where data sets are kept; nothing is downloaded.
        device_name: one of protocol.DEVICES.
        on_step: called after every step; it may raise to stop.
        save_weights: have the runs hold the trained networks.

    Raises:
        UsageError: if this machine has no such device, the network does not fit the images, its weights cannot be
            saved, or an epoch has fewer steps than tests.
        DataError: if the data cannot be read.
    """
    start = time.perf_counter()
    protocol = trials[0].protocol
    device, dataset = set_up(protocol, data_dir, device_name)
    training = Training(activation, trials, dataset, device)
    initial_parameters = training.parameters()
    if save_weights:
        training.weights()  # what cannot be saved is refused now, not after an hour
    epochs = []
    for numbers in training.epochs(on_step):
        epochs.append(numbers)
        yield numbers
    shared = replace(
        record_machine(device),
        batched_seeds=len(trials),
        betas=training.betas(),
        **record_sources(activation.code, resolve_model(protocol.model).code),
        data_sha256=dataset.sha256,
        classes=dataset.classes,
        test_images=len(dataset.test_labels),
        wall_seconds=round(time.perf_counter() - start, 4),
    )
    runs = [
        Run(trial, initial, numbers, replace(shared, **digests), correct=correct)
        for trial, initial, numbers, digests, correct in zip(
            trials, initial_parameters, zip(*epochs, strict=True), training.digests(), training.correct(), strict=True
        )
    ]
    if save_weights:
        runs = [run.with_weights(weights) for run, weights in zip(runs, training.weights(), strict=True)]
    return runs
