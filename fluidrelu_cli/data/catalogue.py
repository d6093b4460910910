"""The data sets that can be named: what they are, where they come from, and whether they are here.

A named data set is kept as one npz file (see :mod:`fluidrelu_cli.data.dataset`), `NAME.npz` in the data folder.
torchvision makes it: its addresses, its checksums, its unpacking and its reading. MNIST's archives come with the package.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib.metadata
import importlib.resources
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from fluidrelu_cli.data.dataset import Dataset, from_arrays, read_npz, write_npz
from fluidrelu_cli.errors import BadArraysError, DataError, MissingDataError, StorageError, UsageError, one_line


@dataclass(frozen=True)
class Named:
    """A data set that can be named."""

    name: str
    title: str
    torchvision: str
    """Its class in torchvision.datasets."""
    images: tuple[int, int]
    """How many to train with and to test on."""
    shape: tuple[int, int, int]
    """(C, H, W)."""
    classes: int
    sha256: str | None = None
    """The digest of its images and labels (Dataset.sha256), where it could be computed."""
    bundled: bool = False
    """Whether the package has its archives."""


_NAMED = (
    Named(
        *("mnist", "MNIST", "MNIST", (60_000, 10_000), (1, 28, 28), 10),
        sha256="1e35582d42a90940c55b956deb61875c020b567ed20e3c5b174f52bf7809ed9b",
        bundled=True,
    ),
    Named(
        *("fashion-mnist", "Fashion-MNIST", "FashionMNIST", (60_000, 10_000), (1, 28, 28), 10),
        sha256="ece172613115fb18b120bec8f6c02271af90b8b8f0a5af5c51cbd5ceed68e619",
    ),
    Named("kmnist", "Kuzushiji-MNIST", "KMNIST", (60_000, 10_000), (1, 28, 28), 10),
    Named(
        *("cifar10", "CIFAR-10", "CIFAR10", (50_000, 10_000), (3, 32, 32), 10),
        sha256="9048fcbac9c08a64d57a7c5a5a66750a974ad4eab380914df129f7e223d823df",
    ),
    Named("cifar100", "CIFAR-100", "CIFAR100", (50_000, 10_000), (3, 32, 32), 100),
    Named("svhn", "SVHN", "SVHN", (73_257, 26_032), (3, 32, 32), 10),
)

CATALOGUE = {named.name: named for named in _NAMED}
"""The data sets that can be named."""


@dataclass(frozen=True)
class Archive:
    """A file that torchvision makes a data set from."""

    path: Path
    """Where torchvision looks for it, below the data folder."""
    urls: tuple[str, ...]
    md5: str

    def intact_in(self, folder: Path) -> bool:
        return self.is_intact(folder / self.path)

    def is_intact(self, file: Path) -> bool:
        """Whether a file is there and has the checksum that torchvision publishes."""
        found: bool = torchvision().datasets.utils.check_integrity(file, self.md5)
        return found


def default_data_dir() -> Path:
    """Where data is kept between runs: `fluidrelu` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fluidrelu"


def canonical(name: str) -> str:
    """A data set's name as studies record it: a known one's, or an npz file's path; UsageError if it is neither."""
    path = Path(name).expanduser()
    return path.as_posix() if path.suffix.lower() == ".npz" else find(name).name


def find(name: str) -> Named:
    """The data set called ``name``, in any case; UsageError if there is none."""
    if name.lower() not in CATALOGUE:
        near = difflib.get_close_matches(name.lower(), CATALOGUE, n=1)
        raise UsageError(
            f"There is no data set '{name}'.{f' Did you mean {near[0]}?' if near else ''} Name one of"
            f" {', '.join(CATALOGUE)}, or to train on your own an .npz file."
        )
    return CATALOGUE[name.lower()]


def load(name: str, data_dir: Path) -> Dataset:
    """The data set called ``name``, or in the npz file of that path; nothing is downloaded.

    A named one that is not in ``data_dir``, or damaged, is made there from the package's archives, or from files that
    lie where torchvision keeps them.

    Raises:
        UsageError: if there is no such data set or file.
        MissingDataError: if it would have to be downloaded.
        DataError: if it cannot be read or kept; the message says what to do.
    """
    name = canonical(name)
    return read_npz(Path(name)) if name not in CATALOGUE else _load_named(CATALOGUE[name], data_dir)


def path_of(named: Named, data_dir: Path) -> Path:
    """Where a named data set is kept."""
    return data_dir / f"{named.name}.npz"


def check(named: Named, data_dir: Path) -> Dataset:
    """The data set in its npz file, if that is what it should be.

    The digest vouches for it where there is one; number, shape and classes, and the file's own checksums, elsewhere.

    Raises:
        MissingDataError: if there is no file.
        BadArraysError: if it is damaged.
        DataError: if it cannot be read, or holds another data set.
    """
    path = path_of(named, data_dir)
    try:
        dataset = read_npz(path)
    except UsageError as error:
        raise MissingDataError(f"{path} is not there: `fluidrelu data fetch {named.name}` gets it.") from error
    except BadArraysError as error:
        raise BadArraysError(f"{path} is damaged: `fluidrelu data fetch {named.name}` makes it again.") from error
    if not _is(named, dataset):
        raise DataError(f"{path} holds another data set than {named.title}: move it away, or name another --data-dir.")
    return dataset


def _load_named(named: Named, data_dir: Path) -> Dataset:
    with contextlib.suppress(MissingDataError, BadArraysError):
        return check(named, data_dir)
    with locked(named, data_dir):
        with contextlib.suppress(MissingDataError, BadArraysError):
            return check(named, data_dir)  # another process has made it while this one waited
        return make(named, data_dir)


@contextlib.contextmanager
def locked(named: Named, data_dir: Path) -> Iterator[None]:
    """Keep other processes from making the same data set; DataError if the folder cannot be written."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(_lock_file(named, data_dir)):
            yield
    except OSError as error:
        raise cannot_keep(named, data_dir, error) from error


def is_locked(named: Named, data_dir: Path) -> bool:
    """Whether another process makes or fetches the data set right now."""
    if not _lock_file(named, data_dir).exists():
        return False
    try:
        with FileLock(_lock_file(named, data_dir), timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a folder that can only be read
        return False


def _lock_file(named: Named, data_dir: Path) -> Path:
    return data_dir / f"{named.name}.lock"


def make(named: Named, data_dir: Path) -> Dataset:
    """Make a named data set's npz file from archives, or from what torchvision has unpacked of them; call it locked.

    Raises MissingDataError if there are none, or none that are intact, and DataError as :func:`load`.
    """
    arrays = None if named.bundled else _unpacked(named, data_dir)
    if arrays is None:
        for leftover in data_dir.glob(f".{named.name}-*"):  # of a process that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f".{named.name}-", dir=data_dir) as scratch:
            arrays = _from_archives(named, data_dir, Path(scratch))
    dataset = from_arrays(arrays, named.title)
    if not _is(named, dataset):
        raise DataError(f"The archives of {named.title} in {data_dir} hold another data set: move them away.")
    try:
        write_npz(path_of(named, data_dir), arrays)
    except StorageError as error:
        raise cannot_keep(named, data_dir, error.__cause__ or error) from error
    return dataset


def cannot_keep(named: Named, data_dir: Path, error: BaseException) -> DataError:
    """That a data set cannot be written, and what it takes."""
    reason = getattr(error, "strerror", None) or error
    megabytes = 2 * sum(named.images) * int(np.prod(named.shape)) // 10**6 + 10
    return DataError(
        f"{named.title} cannot be kept in {data_dir} ({reason}):"
        f" name a folder that can be written, with {megabytes} MB free, with --data-dir."
    )


def _unpacked(named: Named, data_dir: Path) -> dict[str, Any] | None:
    """The arrays of what torchvision has unpacked in ``data_dir``; None if it finds nothing intact there."""
    # torchvision checks only some of these files; it stumbles over the others, or reads what was never in an archive.
    with contextlib.suppress(Exception):
        arrays = _read(named, data_dir, unpack=False)
        if _is(named, from_arrays(arrays, named.title)):
            return arrays
    return None


def _is(named: Named, dataset: Dataset) -> bool:
    """Whether this is the named data set, as far as that can be told."""
    found = (len(dataset.train_images), len(dataset.test_images)), dataset.image_shape, dataset.classes
    return found == (named.images, named.shape, named.classes) and named.sha256 in (None, dataset.sha256)


def _from_archives(named: Named, data_dir: Path, scratch: Path) -> dict[str, Any]:
    """Let torchvision check, unpack and read a data set's archives in a folder that goes afterwards."""
    needed = archives(named)
    if not named.bundled and not all(archive.intact_in(data_dir) for archive in needed):
        raise missing(named, data_dir)
    package = importlib.resources.files("fluidrelu_cli") / "data" / named.name
    for archive in needed:
        place = scratch / archive.path
        place.parent.mkdir(parents=True, exist_ok=True)
        if named.bundled:
            with importlib.resources.as_file(package / archive.path.name) as file:
                shutil.copyfile(file, place)
            # torchvision would answer a wrong checksum with a download.
            if not archive.intact_in(scratch):
                raise DataError(f"The package's copy of {place.name} is damaged: install fluidrelu-cli again.")
        else:
            place.symlink_to((data_dir / archive.path).resolve())
    return _read(named, scratch, unpack=True)


def _read(named: Named, root: Path, *, unpack: bool) -> dict[str, Any]:
    """A data set's arrays as torchvision reads them, channels last."""
    dataset = getattr(torchvision().datasets, named.torchvision)
    arrays = {}
    with contextlib.redirect_stdout(io.StringIO()):  # some versions talk
        for part in ("train", "test"):
            which = {"split": part} if named.torchvision == "SVHN" else {"train": part == "train"}
            read = dataset(root, download=unpack, **which)
            images = np.asarray(read.data)
            arrays[f"x_{part}"] = np.moveaxis(images, 1, 3) if named.torchvision == "SVHN" else images
            arrays[f"y_{part}"] = np.asarray(read.labels if named.torchvision == "SVHN" else read.targets)
    return arrays


def archives(named: Named) -> tuple[Archive, ...]:
    """The files that torchvision makes a data set from."""
    dataset = getattr(torchvision().datasets, named.torchvision)
    if hasattr(dataset, "resources"):
        folder = Path(named.torchvision) / "raw"
        return tuple(
            Archive(folder / name, tuple(f"{mirror}{name}" for mirror in dataset.mirrors), md5)
            for name, md5 in dataset.resources
        )
    if hasattr(dataset, "split_list"):
        parts = (dataset.split_list[part] for part in ("train", "test"))
        return tuple(Archive(Path(name), (url,), md5) for url, name, md5 in parts)
    return (Archive(Path(dataset.filename), (dataset.url,), dataset.tgz_md5),)


def missing(named: Named, data_dir: Path, reason: str = "") -> MissingDataError:
    """That a data set is not there and why, which files it is made from, and where they belong."""
    needed = archives(named)
    files = ", ".join(archive.path.name for archive in needed)
    folder = data_dir / needed[0].path.parent
    there = [archive for archive in needed if (data_dir / archive.path).exists()]
    damaged = [archive.path.name for archive in there if not archive.intact_in(data_dir)]
    reasons = "; ".join(filter(None, [reason, f"damaged: {', '.join(damaged)}" if damaged else ""]))
    return MissingDataError(
        f"{named.title} is not in {data_dir}{f' ({reasons})' if reasons else ''}: get it with `fluidrelu data fetch"
        f" {named.name}` where there is a network, put {files} into {folder}, or name another folder with --data-dir."
    )


@functools.cache
def torchvision() -> ModuleType:
    """torchvision, imported when it is needed: that takes longer, and more memory, than reading the data."""
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
