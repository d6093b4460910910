"""Get the data that a protocol needs: from memory, the data folder, the package's archives, or the network."""

from __future__ import annotations

import contextlib
from pathlib import Path

from fluidrelu_cli.data.archives import explain_missing, make_npz
from fluidrelu_cli.data.catalogue import CATALOGUE, Named, canonical, find
from fluidrelu_cli.data.dataset import Dataset, read_npz
from fluidrelu_cli.data.downloads import OnBytes, fetch
from fluidrelu_cli.data.store import OnWait, lock, read_named
from fluidrelu_cli.errors import BadArraysError, MissingDataError
from fluidrelu_cli.protocol import Protocol


def get_dataset(
    protocol: Protocol,
    data_dir: Path,
    *,
    offline: bool = False,
    on_bytes: OnBytes = lambda _name, _done, _total: None,
    on_wait: OnWait = lambda _title: None,
) -> Dataset:
    """Load the protocol's data, and download first what is missing.

    Args:
        protocol: its data set, and how many images of it.
        data_dir: where data sets are kept.
        offline: never download.
        on_bytes: called as a download goes on.
        on_wait: called when another process is getting the same data set.

    Raises:
        UsageError: if there is no such data set or file, or it has fewer images than the protocol asks for.
        MissingDataError: if it is missing and cannot, or must not, be downloaded.
        DataError: if it cannot be read or kept; the message says what to do.
    """
    try:
        return load_dataset(protocol, data_dir, on_wait)
    except MissingDataError as error:
        if offline:
            raise explain_missing(find(protocol.dataset), data_dir, "--offline forbids the download") from error
    fetch(find(protocol.dataset), data_dir, on_bytes, on_wait)
    return load_dataset(protocol, data_dir, on_wait)


def load_dataset(protocol: Protocol, data_dir: Path, on_wait: OnWait = lambda _title: None) -> Dataset:
    """Load the protocol's data without a download, and keep it in memory for this process's next trial.

    Errors are those of :func:`get_dataset`.
    """
    images = protocol.train_images, protocol.test_images, protocol.validation_images
    key = protocol.dataset, data_dir, images, _find_version(Path(protocol.dataset))
    dataset = _in_memory.get(key)
    if dataset is None:
        _in_memory.clear()  # first: two large data sets may not fit
        whole = load(protocol.dataset, data_dir, on_wait)
        dataset = _in_memory[key] = whole.first(*images[:2]).validation(images[2])
    return dataset


_in_memory: dict[tuple[object, ...], Dataset] = {}
"""The data of the latest trial, by all that determines it."""


def _find_version(path: Path) -> tuple[int, ...]:
    """What changes when a user's file does: a process that lives on, as a cluster's worker, has to read it again."""
    with contextlib.suppress(OSError, ValueError):  # what is wrong with it is reported when it is read
        if path.is_file():  # no named data set
            status = path.stat()
            return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
    return ()


def load(name: str, data_dir: Path, on_wait: OnWait = lambda _title: None) -> Dataset:
    """Load the data set called ``name``, or in the npz file of that path, whole and without a download.

    A named one that is damaged or missing is made in ``data_dir``: from the package's archives, or from files that lie
    where torchvision keeps them. Errors are those of :func:`get_dataset`.
    """
    name = canonical(name)
    return _load_named(CATALOGUE[name], data_dir, on_wait) if name in CATALOGUE else read_npz(Path(name))


def _load_named(named: Named, data_dir: Path, on_wait: OnWait) -> Dataset:
    with contextlib.suppress(MissingDataError, BadArraysError):
        return read_named(named, data_dir)
    with lock(named, data_dir, on_wait):
        with contextlib.suppress(MissingDataError, BadArraysError):
            return read_named(named, data_dir)  # another process has made it while this one waited
        return make_npz(named, data_dir)
