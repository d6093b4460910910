"""A data set as tensors in memory, and the npz file that holds one: the Keras convention, checked when it is read."""

from __future__ import annotations

import functools
import hashlib
import io
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fluidrelu_cli.errors import BadArraysError, DataError, UsageError, one_line
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

    ``x_train`` and ``x_test`` hold images, N x H x W or N x H x W x C, as uint8 or as floats in [0, 1] (rounded to the
    nearest of 256 levels); ``y_train`` and ``y_test`` hold whole numbers from 0, N or N x 1.

    Raises:
        UsageError: if there is no such file.
        BadArraysError: if its arrays are not such; the message says in what.
        DataError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:  # numpy would leave a file that is no npz file open
            arrays = _read_arrays(file, path)
    except (FileNotFoundError, NotADirectoryError) as error:
        where = "" if path.is_absolute() else f" in {Path.cwd()}"
        raise UsageError(f"There is no file {path}{where}. Correct its path, or put the file there.") from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror or error}). Make it readable, or name another."
        ) from error
    except MemoryError as error:
        raise DataError(f"{path} does not fit into memory. Save fewer images, or save them as uint8.") from error
    except (EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise BadArraysError(f"{path} is damaged or incomplete ({one_line(error)}). Copy it again.") from error
    except (ValueError, RuntimeError, pickle.UnpicklingError) as error:
        raise BadArraysError(
            f"{path} cannot be read as an npz file without pickle ({one_line(error)})."
            " Save plain arrays of numbers with numpy.savez."
        ) from error
    return from_arrays(arrays, str(path))


def _read_arrays(file: io.BufferedReader, path: Path) -> dict[str, Any]:
    if file.peek(2)[:2] != b"PK":  # numpy would speak of pickle
        raise BadArraysError(f"{path} is no npz file. Save {', '.join(ARRAYS)} with numpy.savez.")
    saved = np.load(file, allow_pickle=False)
    missing = [name for name in ARRAYS if name not in saved.files]
    if missing:
        others = ", ".join(saved.files) or "nothing"
        raise BadArraysError(f"{path} lacks {', '.join(missing)}. Save {', '.join(ARRAYS)} (it has {others}).")
    arrays = {name: saved[name] for name in ARRAYS}
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # of what it does not know, numpy gives the bytes
            raise BadArraysError(f"{path}: {name} is no array. Save plain arrays of numbers with numpy.savez.")
    return arrays


def write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write the arrays of a data set so that the file appears whole or not at all; StorageError if it cannot be."""
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_whole(path, content.getvalue())


def from_arrays(arrays: Mapping[str, Any], where: str) -> Dataset:
    """The data set in arrays such as :func:`read_npz` wants; BadArraysError, which names ``where``, if they are not."""

    def demand(holds: bool, problem: str) -> None:
        if not holds:
            raise BadArraysError(f"{where}: {problem}.")

    images = {name: _images(name, arrays[name], demand) for name in ("x_train", "x_test")}
    labels = {name: _labels(name, arrays[name], len(images[f"x{name[1:]}"]), demand) for name in ("y_train", "y_test")}
    shapes = [tuple(images[name].shape[1:]) for name in ("x_train", "x_test")]
    demand(shapes[0] == shapes[1], f"x_train and x_test must have images of one shape, not {shapes[0]} and {shapes[1]}")
    present = torch.unique(labels["y_train"])
    classes = int(present[-1]) + 1
    demand(classes > 1, "y_train has a single class, so that there is nothing to learn")
    absent = sorted(set(range(min(classes, 10**6))) - set(present.tolist()))
    demand(
        not absent,
        f"y_train must have whole numbers from 0 without gaps, but no label is {absent[0] if absent else ''} while the"
        f" largest is {classes - 1}",
    )
    largest = int(labels["y_test"].max())
    demand(largest < classes, f"y_test has the label {largest}, which y_train lacks")
    return Dataset(images["x_train"], labels["y_train"], images["x_test"], labels["y_test"], classes)


def _images(name: str, array: Any, demand: Any) -> Tensor:
    """Images as uint8 of shape (N, C, H, W)."""
    shape = array.shape
    demand(array.ndim in (3, 4), f"{name} must be N x H x W or N x H x W x C, not of shape {shape}")
    demand(0 not in shape, f"{name} is empty, of shape {shape}")
    channels_first = array.ndim == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3)
    demand(
        not channels_first, f"{name} must have its channels last, not the shape {shape}; use numpy.moveaxis(x, 1, 3)"
    )
    is_float = np.issubdtype(array.dtype, np.floating)
    demand(is_float or array.dtype == np.uint8, f"{name} must be uint8, or float in [0, 1], not {array.dtype}")
    if is_float:
        low, high = array.min(), array.max()  # not a number if one is not
        demand(
            low >= 0 and high <= 1,
            f"{name} must be in [0, 1] where it is {array.dtype}, not from {low:g} to {high:g}; divide by the largest"
            " value, or save it as uint8",
        )
        array = np.rint(array * 255).astype(np.uint8)
    last = array if array.ndim == 4 else array[..., np.newaxis]
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(last, 3, 1)))


def _labels(name: str, array: Any, images: int, demand: Any) -> Tensor:
    """Labels as int64 of shape (N,)."""
    demand(np.issubdtype(array.dtype, np.integer), f"{name} must have whole numbers, not {array.dtype}")
    flat = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    demand(flat.ndim == 1, f"{name} must have one label per image (shape N), not the shape {array.shape}")
    demand(len(flat) == images, f"{name} has {len(flat)} labels for {images} images of x{name[1:]}")
    demand(int(flat.min()) >= 0, f"{name} must have labels from 0, not {flat.min()}")
    demand(int(flat.max()) < 2**63, f"{name} must have labels below 2^63, not {flat.max()}")
    return torch.from_numpy(flat.astype(np.int64))
