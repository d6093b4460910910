"""The data folder: files that are checked when they are read, and one process at a time."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from fluidrelu_cli.data.catalogue import Named
from fluidrelu_cli.data.dataset import write_npz
from fluidrelu_cli.data.store import lock, read_named
from fluidrelu_cli.errors import BadArraysError, DataError, MissingDataError, StorageError

NAMED = Named("kmnist", "Kuzushiji-MNIST", "KMNIST", (20, 10), (1, 4, 4), 10)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A small kmnist.npz."""
    path = tmp_path / "kmnist.npz"
    levels = np.arange(30, dtype=np.uint8)[:, np.newaxis, np.newaxis].repeat(4, 1).repeat(4, 2)
    labels = np.arange(30) % 10
    parts = {"x_train": levels[:20], "y_train": labels[:20], "x_test": levels[20:], "y_test": labels[20:]}
    write_npz(path, parts)
    return path


def fail(error: BaseException) -> Callable[..., Any]:
    def function(*_args: object, **_kwargs: object) -> None:
        raise error

    return function


def test_a_file_that_is_what_it_should_be_is_read(file: Path) -> None:
    dataset = read_named(NAMED, file.parent)
    assert dataset.train_images[:, 0, 0, 0].tolist() == list(range(20))
    known = dataclasses.replace(NAMED, sha256=dataset.sha256)
    assert read_named(known, file.parent).sha256 == dataset.sha256


OTHER = (
    "{file} does not hold Kuzushiji-MNIST but another data set. Move the file away, or name another folder with"
    " --data-dir."
)


@pytest.mark.parametrize(
    ("change", "damage", "kind", "words"),
    [
        ({"images": (20, 11)}, None, DataError, OTHER),
        ({"images": (21, 10)}, None, DataError, OTHER),
        ({"shape": (3, 4, 4)}, None, DataError, OTHER),
        ({"classes": 11}, None, DataError, OTHER),
        ({"sha256": "0" * 64}, None, DataError, OTHER),
        ({}, b"PK garbage", BadArraysError, "{file} is damaged. `fluidrelu data fetch kmnist` makes it again."),
        (
            {"name": "svhn"},
            None,
            MissingDataError,
            "There is no {folder}/svhn.npz. `fluidrelu data fetch svhn` gets it.",
        ),
    ],
)
def test_messages(change: dict[str, Any], damage: bytes | None, kind: type[DataError], words: str, file: Path) -> None:
    if damage is not None:
        file.write_bytes(damage)
    with pytest.raises(DataError) as error:
        read_named(dataclasses.replace(NAMED, **change), file.parent)
    assert type(error.value) is kind
    assert str(error.value) == words.format(file=file, folder=file.parent)


def test_a_lock_that_another_holds_is_waited_for(tmp_path: Path) -> None:
    other = FileLock(tmp_path / "kmnist.lock")
    other.acquire()
    told: list[str] = []

    def end_of_the_others_work(title: str) -> None:
        told.append(title)
        other.release()

    with lock(NAMED, tmp_path, end_of_the_others_work):
        pass
    with lock(NAMED, tmp_path, end_of_the_others_work):  # it was released
        pass
    assert told == ["Kuzushiji-MNIST"]


UNWRITABLE = "Kuzushiji-MNIST cannot be kept in {} ({}). Name a writable folder with 10 MB free with --data-dir."


def test_a_folder_that_cannot_be_written_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError) as error, lock(NAMED, file / "below", fail(AssertionError())):
        pass
    assert str(error.value) == UNWRITABLE.format(file / "below", "Not a directory")
    # Injected: root may write everywhere.
    monkeypatch.setattr(FileLock, "acquire", fail(PermissionError(errno.EACCES, os.strerror(errno.EACCES))))
    with pytest.raises(DataError) as error, lock(NAMED, file.parent, fail(AssertionError())):
        pass
    assert str(error.value) == UNWRITABLE.format(file.parent, "Permission denied")


def test_a_folder_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileLock, "acquire", fail(OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))))
    with pytest.raises(StorageError) as error, lock(NAMED, tmp_path, fail(AssertionError())):
        pass
    assert str(error.value) == (
        f"{tmp_path} is on a file system that cannot lock files (No locks available). Name a folder on another one with"
        " --data-dir."
    )


def test_a_disk_that_is_full_meanwhile_is_named_and_the_lock_released(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error, lock(NAMED, tmp_path, fail(AssertionError())):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(error.value) == UNWRITABLE.format(tmp_path, "No space left on device")
    with lock(NAMED, tmp_path, fail(AssertionError())):
        pass
