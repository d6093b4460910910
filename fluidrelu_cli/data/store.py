"""The npz files of named data sets in the data folder: read, checked, and made by one process at a time."""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from fluidrelu_cli.data.catalogue import Named, path_of
from fluidrelu_cli.data.dataset import Dataset, read_npz
from fluidrelu_cli.errors import BadArraysError, DataError, MissingDataError, UsageError
from fluidrelu_cli.files import lock_file

OnWait: TypeAlias = Callable[[str], None]
"""Is given a data set's title when another process is getting it and this one begins to wait."""


def read_named(named: Named, data_dir: Path) -> Dataset:
    """Read a named data set's npz file, and check that it is what it should be.

    Raises:
        MissingDataError: if there is no file.
        BadArraysError: if it is damaged.
        DataError: if it cannot be read, or holds another data set.
    """
    path = path_of(named, data_dir)
    try:
        dataset = read_npz(path)
    except UsageError as error:
        raise MissingDataError(f"There is no {path}. `fluidrelu data fetch {named.name}` gets it.") from error
    except BadArraysError as error:
        raise BadArraysError(f"{path} is damaged. `fluidrelu data fetch {named.name}` makes it again.") from error
    if not matches(named, dataset):
        raise DataError(
            f"{path} does not hold {named.title} but another data set."
            " Move the file away, or name another folder with --data-dir."
        )
    return dataset


def matches(named: Named, dataset: Dataset) -> bool:
    """Whether this is the named data set: by its digest where one is known, else by number, shape and classes."""
    images = len(dataset.train_images), len(dataset.test_images)
    described = images == named.images and dataset.image_shape == named.shape and dataset.classes == named.classes
    return described and named.sha256 in (None, dataset.sha256)


@contextlib.contextmanager
def lock(named: Named, data_dir: Path, on_wait: OnWait) -> Iterator[None]:
    """Keep other processes from getting the same data set; wait for one that already does. Clear what killed ones left.

    Raises:
        DataError: if the folder cannot be written, by this or by what is done within.
        StorageError: if its file system cannot lock files.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with lock_file(data_dir / f"{named.name}.lock", "--data-dir", lambda: on_wait(named.title)):
            _clear_leftovers(named, data_dir)
            yield
    except OSError as error:
        raise explain_unwritable(named, data_dir, error) from error


def _clear_leftovers(named: Named, data_dir: Path) -> None:
    """Remove what processes that were killed left while they made the data set's file: nobody else is here now."""
    for folder in data_dir.glob(f".{named.name}-*"):
        shutil.rmtree(folder, ignore_errors=True)
    for file in data_dir.glob(f".{named.name}.npz.*.tmp"):
        file.unlink(missing_ok=True)


def explain_unwritable(named: Named, data_dir: Path, error: BaseException) -> DataError:
    """The error that a data set cannot be kept in a folder: why, and how much room it takes."""
    reason = getattr(error, "strerror", None) or error
    megabytes = 2 * sum(named.images) * math.prod(named.shape) // 10**6 + 10
    return DataError(
        f"{named.title} cannot be kept in {data_dir} ({reason})."
        f" Name a writable folder with {megabytes} MB free with --data-dir."
    )
