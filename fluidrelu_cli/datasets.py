"""Data sets as tensors in memory. MNIST comes with the package and is unpacked and checked by torchvision."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.resources
import io
import os
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from fluidrelu_cli.errors import DataError, UsageError, one_line

MNIST_SHA256 = "1e35582d42a90940c55b956deb61875c020b567ed20e3c5b174f52bf7809ed9b"
"""The digest (see :attr:`Dataset.sha256`) of MNIST's 60,000 + 10,000 images and labels as torchvision reads them."""


@dataclass(frozen=True)
class Dataset:
    """Images as uint8 of shape (N, 1, H, W), labels as int64 of shape (N,), and the digest of all four."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    @functools.cached_property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for tensor in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(tensor.numpy().data)
        return digest.hexdigest()

    def first(self, train_images: int | None, test_images: int | None) -> Dataset:
        """The first so many training and test images; None keeps all. UsageError if there are fewer."""
        for field, wanted, there in (
            ("train", train_images, len(self.train_images)),
            ("test", test_images, len(self.test_images)),
        ):
            if wanted is not None and wanted > there:
                raise UsageError(f"--{field}-images must be at most {there}, the size of the data set, not {wanted}.")
        return replace(
            self,
            train_images=self.train_images[:train_images],
            train_labels=self.train_labels[:train_images],
            test_images=self.test_images[:test_images],
            test_labels=self.test_labels[:test_images],
        )


def default_data_dir() -> Path:
    """Where unpacked data is kept between runs: `fluidrelu` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fluidrelu"


def load(name: str, data_dir: Path) -> Dataset:
    """The data set called ``name``, unpacked under ``data_dir`` if it is not there or damaged.

    Raises:
        UsageError: if there is no such data set.
        DataError: if it cannot be unpacked or read; the message says what to do.
    """
    if name not in DATASETS:
        raise UsageError(f"There is no data set '{name}'; use --dataset {' or '.join(DATASETS)}.")
    return DATASETS[name](data_dir)


def _mnist(data_dir: Path) -> Dataset:
    try:
        dataset = _read_mnist(data_dir)
        if dataset is None:
            data_dir.mkdir(parents=True, exist_ok=True)
            with FileLock(data_dir / "mnist.lock"):
                # Another process may have unpacked it while this one waited.
                dataset = _read_mnist(data_dir)
                if dataset is None:
                    _unpack_mnist(data_dir)
                    dataset = _read_mnist(data_dir)
    except OSError as error:
        raise DataError(
            f"MNIST cannot be kept in {data_dir} ({error.strerror or error}):"
            " name a folder that can be written, with 60 MB free, with --data-dir."
        ) from error
    if dataset is None:
        raise DataError(f"MNIST in {data_dir} is damaged and stays so when unpacked again: name another --data-dir.")
    return dataset


DATASETS = {"mnist": _mnist}


def _read_mnist(data_dir: Path) -> Dataset | None:
    """MNIST as torchvision has unpacked it, or None if it is missing there or not what it should be.

    The digest vouches for the reading, so that no worker has to import torchvision: that takes longer, and more memory,
    than the data.
    """
    raw = data_dir / "MNIST" / "raw"

    def read(name: str, header: int) -> Tensor:
        return torch.from_numpy(np.fromfile(raw / name, np.uint8, offset=header))

    try:
        dataset = Dataset(
            read("train-images-idx3-ubyte", 16).view(-1, 1, 28, 28),
            read("train-labels-idx1-ubyte", 8).long(),
            read("t10k-images-idx3-ubyte", 16).view(-1, 1, 28, 28),
            read("t10k-labels-idx1-ubyte", 8).long(),
        )
    except (
        FileNotFoundError,
        NotADirectoryError,
        RuntimeError,
    ):  # torch's word for a number of bytes that does not fit
        return None
    return dataset if dataset.sha256 == MNIST_SHA256 else None


def _unpack_mnist(data_dir: Path) -> None:
    """Put the package's archives where torchvision would download them to, and let it check and unpack them."""
    torchvision = _torchvision()
    mnist = torchvision.datasets.MNIST
    raw = data_dir / "MNIST" / "raw"
    shutil.rmtree(raw, ignore_errors=True)
    raw.mkdir(parents=True, exist_ok=True)
    bundled = importlib.resources.files("fluidrelu_cli") / "data" / "mnist"
    for name, md5 in mnist.resources:
        with importlib.resources.as_file(bundled / name) as archive:
            shutil.copyfile(archive, raw / name)
        # torchvision would answer a wrong checksum with a download.
        if not torchvision.datasets.utils.check_integrity(raw / name, md5):
            raise DataError(f"The package's copy of {name} is damaged: install fluidrelu-cli again.")
    with contextlib.redirect_stdout(io.StringIO()):  # some versions talk
        mnist(data_dir, download=True)


@functools.cache
def _torchvision() -> ModuleType:
    try:
        import torchvision
    except (ImportError, RuntimeError) as error:
        versions = " and ".join(f"{name} {_installed(name)}" for name in ("torch", "torchvision"))
        raise DataError(
            f"{versions} do not work together ({one_line(error)}):"
            f" install a matching pair with `{sys.executable} -m pip install --upgrade --force-reinstall"
            " torch torchvision`."
        ) from error
    module: ModuleType = torchvision
    return module


def _installed(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"
