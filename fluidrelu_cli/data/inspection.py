"""What a data set consists of, for whoever wants to know before training: its pixels, its classes, its duplicates."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from fluidrelu_cli.data.dataset import Dataset


@dataclass(frozen=True)
class Pixels:
    """The pixels of one channel of many images, from 0 to 255."""

    least: int
    most: int
    levels: int
    """How many different values there are."""
    mean: float
    sd: float
    """Over all pixels, with their number as the divisor."""


def measure_pixels(images: Tensor) -> list[Pixels]:
    """The pixels of each channel of uint8 images (N, C, H, W)."""
    levels = np.arange(256)
    measured = []
    for channel in range(images.shape[1]):
        counts = np.zeros(256, np.int64)
        for start in range(0, len(images), 1000):  # bincount makes eight bytes of each pixel
            some = images[start : start + 1000, channel].flatten()
            counts += np.bincount(some.numpy(), minlength=256)
        present = np.flatnonzero(counts)
        mean = float((counts * levels).sum() / counts.sum())
        variance = float((counts * (levels - mean) ** 2).sum() / counts.sum())
        measured.append(Pixels(int(present[0]), int(present[-1]), len(present), mean, math.sqrt(variance)))
    return measured


def count_duplicates(dataset: Dataset) -> tuple[int, int]:
    """How many test images are equal to a training image, and how many of these never with the same label."""
    trained: dict[bytes, set[int]] = {}
    for digest, label in _digest(dataset.train_images, dataset.train_labels):
        trained.setdefault(digest, set()).add(label)
    tested = _digest(dataset.test_images, dataset.test_labels)
    relabelled = [label not in trained[digest] for digest, label in tested if digest in trained]
    return len(relabelled), sum(relabelled)


def _digest(images: Tensor, labels: Tensor) -> Iterator[tuple[bytes, int]]:
    """Each image's digest and its label."""
    for image, label in zip(images.numpy(), labels.tolist(), strict=True):
        yield hashlib.sha256(image.data).digest(), label
