"""Make a named data set's npz file from its archives, by torchvision: its checksums, its unpacking, its reading."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.resources
import io
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from fluidrelu_cli.data.catalogue import Named, path_of
from fluidrelu_cli.data.dataset import Dataset, from_arrays, write_npz
from fluidrelu_cli.data.store import explain_unwritable, matches
from fluidrelu_cli.errors import DataError, MissingDataError, StorageError, one_line


@dataclass(frozen=True)
class Archive:
    """A file that torchvision makes a data set from."""

    path: Path
    """Where torchvision looks for it, below the data folder."""
    urls: tuple[str, ...]
    md5: str

    @property
    def part(self) -> Path:
        """Where a download of it grows; one name for all processes, because only one at a time gets a data set."""
        return self.path.with_name(f".{self.path.name}.part")

    def is_intact_in(self, folder: Path) -> bool:
        return self.is_intact(folder / self.path)

    def is_intact(self, file: Path) -> bool:
        """Whether a file exists and has the checksum that torchvision publishes."""
        intact: bool = import_torchvision().datasets.utils.check_integrity(file, self.md5)
        return intact


def list_archives(named: Named) -> tuple[Archive, ...]:
    """The files that torchvision makes a data set from."""
    dataset = getattr(import_torchvision().datasets, named.torchvision)
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


def explain_missing(named: Named, data_dir: Path, reason: str = "") -> MissingDataError:
    """The error that a data set is missing: why, which files it is made from, and where they belong."""
    archives = list_archives(named)
    files = ", ".join(archive.path.name for archive in archives)
    folder = data_dir / archives[0].path.parent
    existing = [archive for archive in archives if (data_dir / archive.path).exists()]
    damaged = [archive.path.name for archive in existing if not archive.is_intact_in(data_dir)]
    reasons = "; ".join(filter(None, [reason, f"damaged: {', '.join(damaged)}" if damaged else ""]))
    return MissingDataError(
        f"{named.title} is not in {data_dir}{f' ({reasons})' if reasons else ''}. Run `fluidrelu data fetch"
        f" {named.name}` where there is a network, put {files} into {folder} yourself, or name another folder with"
        " --data-dir."
    )


def make_npz(named: Named, data_dir: Path) -> Dataset:
    """Make a named data set's npz file from archives, or from what torchvision has unpacked of them; call it locked.

    Raises:
        MissingDataError: if there are no archives, or they are damaged.
        DataError: if they hold another data set, or the file cannot be written.
    """
    for archive in list_archives(named):  # what a download that was killed left
        with contextlib.suppress(OSError):
            (data_dir / archive.part).unlink()
    arrays = None if named.bundled else _read_unpacked(named, data_dir)
    if arrays is None:
        with tempfile.TemporaryDirectory(prefix=f".{named.name}-", dir=data_dir) as scratch:
            arrays = _read_archives(named, data_dir, Path(scratch))
    dataset = from_arrays(arrays, named.title)
    if not matches(named, dataset):
        raise DataError(f"The archives of {named.title} in {data_dir} hold another data set. Move them away.")
    try:
        write_npz(path_of(named, data_dir), arrays)
    except StorageError as error:
        raise explain_unwritable(named, data_dir, error.__cause__ or error) from error
    return dataset


def _read_unpacked(named: Named, data_dir: Path) -> dict[str, Any] | None:
    """The arrays of what torchvision has unpacked in ``data_dir``; None if it finds nothing intact there."""
    # torchvision checks only some of these files; it stumbles over the others, or reads what was never in an archive.
    with contextlib.suppress(Exception):
        arrays = _read(named, data_dir, unpack=False)
        if matches(named, from_arrays(arrays, named.title)):
            return arrays
    return None


def _read_archives(named: Named, data_dir: Path, scratch: Path) -> dict[str, Any]:
    """Let torchvision check, unpack and read a data set's archives in a folder that goes afterwards."""
    archives = list_archives(named)
    if not named.bundled and not all(archive.is_intact_in(data_dir) for archive in archives):
        raise explain_missing(named, data_dir)
    package = importlib.resources.files("fluidrelu_cli") / "data" / named.name
    for archive in archives:
        place = scratch / archive.path
        place.parent.mkdir(parents=True, exist_ok=True)
        if named.bundled:
            with importlib.resources.as_file(package / archive.path.name) as file:
                shutil.copyfile(file, place)
            # torchvision would answer a wrong checksum with a download.
            if not archive.is_intact_in(scratch):
                raise DataError(f"The package's copy of {place.name} is damaged. Install fluidrelu-cli again.")
        else:
            place.symlink_to((data_dir / archive.path).resolve())
    return _read(named, scratch, unpack=True)


def _read(named: Named, root: Path, *, unpack: bool) -> dict[str, Any]:
    """A data set's arrays as torchvision reads them, channels last."""
    dataset = getattr(import_torchvision().datasets, named.torchvision)
    arrays = {}
    with contextlib.redirect_stdout(io.StringIO()):  # some versions talk
        for part in ("train", "test"):
            which = {"split": part} if named.torchvision == "SVHN" else {"train": part == "train"}
            read = dataset(root, download=unpack, **which)
            images = np.asarray(read.data)
            arrays[f"x_{part}"] = np.moveaxis(images, 1, 3) if named.torchvision == "SVHN" else images
            arrays[f"y_{part}"] = np.asarray(read.labels if named.torchvision == "SVHN" else read.targets)
    return arrays


@functools.cache
def import_torchvision() -> ModuleType:
    """Import torchvision when it is needed: that takes longer, and more memory, than reading the data."""
    try:
        import torchvision
    except (ImportError, RuntimeError) as error:
        versions = " and ".join(f"{name} {_find_version(name)}" for name in ("torch", "torchvision"))
        raise DataError(
            f"{versions} do not work together ({one_line(error)}). Install a matching pair with"
            f" `{sys.executable} -m pip install --upgrade --force-reinstall torch torchvision`."
        ) from error
    module: ModuleType = torchvision
    return module


def _find_version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"
