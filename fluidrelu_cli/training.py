"""Train one trial. No printing, no result files: epoch records come out, and others write and show them."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from fluidrelu_cli import datasets
from fluidrelu_cli.datasets import Dataset
from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.models import activation_parameters, build_model, build_optimizer
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.provenance import conditions
from fluidrelu_cli.records import EpochRecord, Parameters, TrialResult
from fluidrelu_cli.registry import resolve
from fluidrelu_cli.seeding import generator, make_deterministic, stream_seed

TEST_BATCH_SIZE = 1000


class Training:
    """A trial being trained: iterate over :meth:`epochs`, once.

    Args:
        trial: what to train.
        dataset: the data, uint8 images in memory; it is moved to the device once.
        device: where to train.
    """

    def __init__(self, trial: Trial, dataset: Dataset, device: torch.device) -> None:
        self.trial = trial
        activation = resolve(trial.activation)
        model = build_model(trial.protocol.model, activation, trial.seed)
        learned = {id(parameter) for parameter in activation_parameters(model).values()}
        weights = [parameter for parameter in model.parameters() if id(parameter) not in learned]
        self.initial_weights_sha256 = _sha256(weights)
        self._model = model.to(device)
        self._optimizer = build_optimizer(self._model, trial.protocol)
        self._train = dataset.train_images.to(device), dataset.train_labels.to(device)
        self._test = dataset.test_images.to(device), dataset.test_labels.to(device)
        self._order = generator(trial.seed, "data order")
        self._order_digest = hashlib.sha256()
        self._device = device

    def epochs(self) -> Iterator[EpochRecord]:
        """Train epoch by epoch; each record has the losses and accuracies of its epoch and its test afterwards."""
        torch.manual_seed(stream_seed(self.trial.seed, "training"))  # for an activation that draws numbers
        for epoch in range(1, self.trial.protocol.epochs + 1):
            start = time.perf_counter()
            train_loss, train_accuracy = self._train_epoch()
            middle = time.perf_counter()
            test_loss, test_accuracy = self._test_epoch()
            end = time.perf_counter()
            yield EpochRecord(
                epoch,
                train_loss,
                train_accuracy,
                test_loss,
                test_accuracy,
                train_seconds=round(middle - start, 4),
                test_seconds=round(end - middle, 4),
                parameters=self.parameters(),
            )

    def parameters(self) -> Parameters:
        """The activations' learned parameters as they are now."""
        return {
            name: tuple(parameter.detach().flatten().tolist())
            for name, parameter in activation_parameters(self._model).items()
        }

    @property
    def data_order_sha256(self) -> str:
        """The digest of the order in which the training images were used so far."""
        return self._order_digest.hexdigest()

    def _train_epoch(self) -> tuple[float, float]:
        images, labels = self._train
        order = torch.randperm(len(images), generator=self._order)
        self._order_digest.update(order.numpy().data)
        totals = _Totals(self._device)
        self._model.train()
        for batch in torch.split(order.to(self._device), self.trial.protocol.batch_size):
            target = labels[batch]
            logits = self._model(_pixels(images[batch]))
            loss = functional.cross_entropy(logits, target)
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            totals.add(logits.detach(), target, loss.detach())
        return totals.means()

    @torch.inference_mode()
    def _test_epoch(self) -> tuple[float, float]:
        totals = _Totals(self._device)
        self._model.eval()
        for images, target in zip(*(torch.split(tensor, TEST_BATCH_SIZE) for tensor in self._test), strict=True):
            logits = self._model(_pixels(images))
            totals.add(logits, target, functional.cross_entropy(logits, target))
        return totals.means()


class _Totals:
    """Sums over images, kept on the device so that a GPU is not waited for at every step."""

    def __init__(self, device: torch.device) -> None:
        precise = torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
        self._loss = torch.zeros((), dtype=precise, device=device)
        self._correct = torch.zeros((), dtype=torch.int64, device=device)
        self._images = 0

    def add(self, logits: Tensor, target: Tensor, mean_loss: Tensor) -> None:
        self._loss += mean_loss * len(target)
        self._correct += (logits.argmax(1) == target).sum()
        self._images += len(target)

    def means(self) -> tuple[float, float]:
        """Mean loss and accuracy over all images added."""
        return self._loss.item() / self._images, self._correct.item() / self._images


def _pixels(images: Tensor) -> Tensor:
    """uint8 images as floats in [0, 1]."""
    return images.float().div_(255)


def _sha256(tensors: list[torch.nn.Parameter]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().numpy().data)
    return digest.hexdigest()


def run_trial(trial: Trial, data_dir: Path, device_name: str, on_epoch: Callable[[EpochRecord], None]) -> TrialResult:
    """Train a trial from beginning to end in this process, and report each epoch as it is done."""
    start = time.perf_counter()
    device = pick_device(device_name)
    make_deterministic(device)
    dataset = load_dataset(trial.protocol, data_dir)
    training = Training(trial, dataset, device)
    initial_parameters = training.parameters()
    epochs = []
    for record in training.epochs():
        epochs.append(record)
        on_epoch(record)
    provenance = {
        **conditions(device),
        "activation_sha256": resolve(trial.activation).sha256,
        "data_sha256": dataset.sha256,
        "initial_weights_sha256": training.initial_weights_sha256,
        "data_order_sha256": training.data_order_sha256,
        "wall_seconds": round(time.perf_counter() - start, 4),
    }
    return TrialResult(trial, initial_parameters, tuple(epochs), provenance)


def load_dataset(protocol: Protocol, data_dir: Path) -> Dataset:
    """The protocol's data, kept in memory for this process's next trial."""
    return _load(protocol.dataset, data_dir, protocol.train_images, protocol.test_images)


@functools.lru_cache(maxsize=1)
def _load(name: str, data_dir: Path, train_images: int | None, test_images: int | None) -> Dataset:
    return datasets.load(name, data_dir).first(train_images, test_images)


def pick_device(name: str) -> torch.device:
    """The device called ``name``; UsageError if it is not to be had.

    `auto` is CUDA if it is there, else the CPU: runs on MPS cannot be repeated to the last digit, so it must be named.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device("cuda" if available["cuda"] else "cpu")
    if name not in available:
        raise UsageError(f"There is no device '{name}'; use --device auto, cpu, cuda or mps.")
    if not available[name]:
        raise UsageError(f"This machine offers torch {torch.__version__} no {name} device; use --device auto.")
    return torch.device(name)
