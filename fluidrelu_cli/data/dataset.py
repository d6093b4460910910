"""A data set as tensors in memory, and the npz file that holds one: the Keras convention, checked when it is read."""

from __future__ import annotations

import functools
import hashlib
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fluidrelu_cli.data.npz import read_arrays
from fluidrelu_cli.errors import BadArraysError, UsageError
from fluidrelu_cli.files import write_whole
from fluidrelu_cli.seeding import generator

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
"""The arrays of an npz file: images and labels to train with, and to test on."""


@dataclass(frozen=True)
class Dataset:
    """Images as uint8 of shape (N, C, H, W), labels as int64 of shape (N,), and the number of classes."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: int

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    @functools.cached_property
    def sha256(self) -> str:
        """The digest of all images and labels."""
        digest = hashlib.sha256()
        for tensor in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(tensor.numpy().data)
        return digest.hexdigest()

    def first(self, train_images: int | None, test_images: int | None) -> Dataset:
        """The first so many training and test images; None keeps all.

        Raises UsageError if there are fewer, or the training images are of one class then.
        """
        for part, wanted, size in (
            ("train", train_images, len(self.train_images)),
            ("test", test_images, len(self.test_images)),
        ):
            if wanted is not None and wanted > size:
                raise UsageError(f"--{part}-images must be at most {size}, the size of the data set, not {wanted}.")
        if train_images is not None and len(torch.unique(self.train_labels[:train_images])) == 1:
            raise UsageError(
                f"The first {train_images} training images are of one class. Raise --train-images, or shuffle the file."
            )
        return replace(
            self,
            train_images=self.train_images[:train_images],
            train_labels=self.train_labels[:train_images],
            test_images=self.test_images[:test_images],
            test_labels=self.test_labels[:test_images],
        )

    def validation(self, images: int | None) -> Dataset:
        """So many of the training images in place of the test images, the others to train with; None changes nothing.

        They are drawn at random, the same ones in every trial. UsageError if none would be left.
        """
        if images is None:
            return self
        size = len(self.train_images)
        if images >= size:
            raise UsageError(f"--validation-images must be below {size}, the number of training images, not {images}.")
        order = torch.randperm(size, generator=generator(0, "validation split"))
        held_out, kept = order[:images].sort().values, order[images:].sort().values
        return replace(
            self,
            train_images=self.train_images[kept],
            train_labels=self.train_labels[kept],
            test_images=self.train_images[held_out],
            test_labels=self.train_labels[held_out],
        )


def read_npz(path: Path) -> Dataset:
    """The data set in an npz file of the Keras convention, loaded without pickle.

    ``x_train`` and ``x_test`` hold images, N x H x W or N x H x W x C, as whole numbers in [0, 255] or as floats in
    [0, 1] (rounded to the nearest of 256 levels); ``y_train`` and ``y_test`` hold whole numbers from 0, N or N x 1.

    Raises:
        UsageError: if there is no such file.
        BadArraysError: if its arrays are not such; the message says in what.
        DataError: if it cannot be read, or does not fit into memory.
    """
    arrays = read_arrays(path, ARRAYS, lambda headers: _check_layout(headers, str(path)))
    return from_arrays(arrays, str(path))


def write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write the arrays of a data set so that the file appears whole or not at all; StorageError if it cannot be."""
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_whole(path, content.getvalue())


def from_arrays(arrays: Mapping[str, Any], where: str) -> Dataset:
    """The data set in arrays such as :func:`read_npz` wants; BadArraysError, which names ``where``, if they are not."""
    _check_layout(arrays, where)
    train_images, test_images = (_images(name, arrays[name], where) for name in ("x_train", "x_test"))
    train_labels, test_labels = (_labels(name, arrays[name], where) for name in ("y_train", "y_test"))
    present = torch.unique(train_labels)
    lowest, largest = int(present[0]), int(present[-1])
    _demand(len(present) > 1, where, "y_train has a single class, so that there is nothing to learn: add others")
    unbroken = largest - lowest + 1 == len(present)
    shift = f"subtract {lowest} from" if lowest > 0 else f"add {-lowest} to"
    _demand(lowest == 0 or not unbroken, where, f"y_train has labels from {lowest}, not 0: {shift} y_train and y_test")
    absent = next((label for label in range(len(present)) if label != present[label]), None)
    gap = f"y_train has no label {absent} while the largest is {largest}: number the classes without gaps, {NUMBER}"
    _demand(absent is None, where, gap)
    others = test_labels[~torch.isin(test_labels, present)].tolist()
    unknown = f"y_test has the label {others[0] if others else ''}, while y_train has 0 to {largest}"
    _demand(not others, where, f"{unknown}: leave such images out, or add some to train with")
    return Dataset(train_images, train_labels, test_images, test_labels, len(present))


NUMBER = "with numpy.searchsorted(numpy.unique(y_train), y) for both y"
"""How to number classes that have other labels."""


def _demand(holds: bool, where: str, problem: str) -> None:
    if not holds:
        raise BadArraysError(f"{where}: {problem}.")


def _check_layout(arrays: Mapping[str, Any], where: str) -> None:
    """Check what shapes and types show, whether of arrays or of their headers."""
    for name in ("x_train", "x_test"):
        _check_layout_of_images(name, arrays[name].shape, arrays[name].dtype, where)
    for x, y in (("x_train", "y_train"), ("x_test", "y_test")):
        _check_layout_of_labels(y, arrays[y].shape, arrays[y].dtype, where)
        labels, shape = arrays[y].shape[0], arrays[x].shape
        last = f": use numpy.moveaxis({x}, -1, 0)" if shape[-1] == labels else ": give each image its label"
        _demand(labels == shape[0], where, f"{y} has {labels} labels for {shape[0]} images of {x}{last}")
    shapes = [_shape_of_image(arrays[name].shape) for name in ("x_train", "x_test")]
    alike = f"x_train and x_test have images of two shapes, {shapes[0]} and {shapes[1]}: bring them to one"
    _demand(shapes[0] == shapes[1], where, alike)


def _check_layout_of_images(name: str, shape: tuple[int, ...], dtype: Any, where: str) -> None:
    _demand(
        len(shape) in (3, 4), where, f"{name} must be N x H x W or N x H x W x C, not of shape {shape}{_square(shape)}"
    )
    _demand(min(shape) > 0, where, f"{name} is empty, of shape {shape}: save some images")
    channels_first = len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3)
    last = f"{name} must have its channels last, not the shape {shape}: use numpy.moveaxis({name}, 1, 3)"
    _demand(not channels_first, where, last)
    binary = f': save {name}.astype("uint8") * 255' if dtype.kind == "b" else ": save the pixels as uint8"
    _demand(dtype.kind in "fiu", where, f"{name} must be uint8, or float in [0, 1], not {dtype}{binary}")


def _square(shape: tuple[int, ...]) -> str:
    """How to make square images of rows of pixels, where they can be such."""
    side = math.isqrt(shape[1]) if len(shape) == 2 else 0
    reshape = f": use reshape(-1, {side}, {side}) if they are square" if side and side**2 == shape[1] else ""
    return reshape or ": reshape it"


def _check_layout_of_labels(name: str, shape: tuple[int, ...], dtype: Any, where: str) -> None:
    _demand(dtype.kind in "biuf", where, f"{name} must have whole numbers, not {dtype}: number the classes, {NUMBER}")
    row = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    one_hot = f": if its rows are one-hot, save {name}.argmax(axis=1)" if len(shape) == 2 else ": save a row of labels"
    _demand(row, where, f"{name} must have one label per image (shape N), not the shape {shape}{one_hot}")


def _shape_of_image(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(C, H, W)."""
    return (*shape[3:], *shape[1:3]) if len(shape) == 4 else (1, *shape[1:])


def _images(name: str, array: Any, where: str) -> Tensor:
    """Images as uint8 of shape (N, C, H, W)."""
    if array.dtype != np.uint8:
        whole = array.dtype.kind != "f"
        low, high = array.min(), array.max()  # not a number if one is not
        if not (low >= 0 and high <= (255 if whole else 1)):
            raise BadArraysError(f"{where}: {_explain_range(name, array, low, high)}.")
        levels = np.empty(array.shape, np.uint8)
        for image, level in zip(array, levels, strict=True):  # one by one: all at once take three times the memory
            level[...] = image if whole else np.rint(image * 255)
        array = levels
    last = array if array.ndim == 4 else array[..., np.newaxis]
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(last, 3, 1)))


def _explain_range(name: str, array: Any, low: Any, high: Any) -> str:
    """What is wrong with pixels from ``low`` to ``high``, and what to save in their place."""
    strange = ~np.isfinite(array)
    if strange.any():
        number, first = int(strange.sum()), tuple(map(int, np.unravel_index(strange.argmax(), strange.shape)))
        pixels = f"{number:,} pixels that are" if number > 1 else "a pixel that is"
        index = ", ".join(map(str, first))
        return (
            f"{name} has {pixels} not finite, first {name}[{index}] = {array[first]:g}: leave such images out, or"
            " replace the pixels with numpy.nan_to_num"
        )
    if array.dtype.kind != "f":
        advice = "scale them to 0 to 255, and save them as uint8"
    elif low >= 0:
        advice = f"save {name} / {'255' if high <= 255 else 'the largest value that a pixel can have'}"
    elif low >= -1 and high <= 1:
        advice = f"save ({name} + 1) / 2 if they were scaled to [-1, 1]"
    else:
        advice = "save them as they were before mean and SD were taken out, as --pixels standardised does in training"
    wanted = "[0, 1]" if array.dtype.kind == "f" else "[0, 255]"
    return f"{name} must be in {wanted} where it is {array.dtype}, not from {low:g} to {high:g}: {advice}"


def _labels(name: str, array: Any, where: str) -> Tensor:
    """Labels as int64 of shape (N,)."""
    flat = array.reshape(-1)
    fraction = next(iter(flat[flat != np.rint(flat)]), None) if flat.dtype.kind == "f" else None  # or not a number
    _demand(fraction is None, where, f"{name} must have whole numbers, not {fraction}: number the classes, {NUMBER}")
    largest = max(flat.max(), -flat.min(), key=float) if flat.dtype.kind == "f" else flat.max()
    _demand(largest < 2**63, where, f"{name} must have labels below 2^63, not {largest}: number the classes, {NUMBER}")
    return torch.from_numpy(flat.astype(np.int64))
