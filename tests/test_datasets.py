"""Reading MNIST: the bundled archives, the cache that heals itself, and what a user is told when it cannot."""

from __future__ import annotations

import errno
import gzip
import hashlib
import importlib.abc
import importlib.metadata
import importlib.resources
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision

from fluidrelu_cli import datasets
from fluidrelu_cli.errors import DataError, UsageError

DIGEST = "1e35582d42a90940c55b956deb61875c020b567ed20e3c5b174f52bf7809ed9b"
MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def raises(error: BaseException) -> Callable[..., Any]:
    def function(*_args: object, **_kwargs: object) -> None:
        raise error

    return function


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    asked: list[object] = []

    def refuse(request: object, *_args: object, **_kwargs: object) -> None:
        asked.append(request)
        raise AssertionError("MNIST was asked for over the network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    yield
    assert not asked  # also when somebody caught the AssertionError


@pytest.fixture
def cache(data_dir: Path, tmp_path: Path) -> Path:
    """A cache of one's own; hard links, so a file must be replaced and not written into."""
    return Path(shutil.copytree(data_dir, tmp_path / "cache", copy_function=os.link))


@pytest.fixture(scope="module")
def mnist(data_dir: Path) -> datasets.Dataset:
    return datasets.load("mnist", data_dir)


def bundled(name: str) -> bytes:
    return (importlib.resources.files("fluidrelu_cli") / "data" / "mnist" / name).read_bytes()


@pytest.mark.parametrize("name", MD5)
def test_bundled_archives_are_those_that_torchvision_publishes(name: str) -> None:
    assert hashlib.md5(bundled(name)).hexdigest() == MD5[name] == dict(torchvision.datasets.MNIST.resources)[name]


def test_mnist_is_whole(mnist: datasets.Dataset) -> None:
    assert mnist.train_images.shape == (60000, 1, 28, 28)
    assert mnist.test_images.shape == (10000, 1, 28, 28)
    assert mnist.train_images.dtype == mnist.test_images.dtype == torch.uint8
    assert mnist.train_labels.shape == (60000,)
    assert mnist.test_labels.shape == (10000,)
    assert mnist.train_labels.dtype == mnist.test_labels.dtype == torch.int64
    assert int((mnist.train_labels == 0).sum()) == 5923
    assert int((mnist.test_labels == 0).sum()) == 980


def test_digest_is_that_of_the_archives_contents(mnist: datasets.Dataset) -> None:
    digest = hashlib.sha256()
    for name in MD5:
        content = np.frombuffer(gzip.decompress(bundled(name)), np.uint8)
        digest.update((content[16:] if "images" in name else content[8:].astype("<i8")).tobytes())
    assert digest.hexdigest() == mnist.sha256 == datasets.MNIST_SHA256 == DIGEST


def truncate(raw: Path) -> None:
    file = raw / "train-images-idx3-ubyte"
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[:1000])


def flip_a_byte(raw: Path) -> None:
    file = raw / "t10k-images-idx3-ubyte"
    content = bytearray(file.read_bytes())
    content[5000] ^= 1
    file.unlink()
    file.write_bytes(content)


def delete(raw: Path) -> None:
    (raw / "train-labels-idx1-ubyte").unlink()


def scramble_an_archive(raw: Path) -> None:
    delete(raw)  # with all raw files there the archives are not looked at
    archive = raw / "train-labels-idx1-ubyte.gz"
    archive.unlink()
    archive.write_bytes(b"garbage")


@pytest.mark.parametrize("damage", [truncate, flip_a_byte, delete, scramble_an_archive])
def test_damaged_cache_is_noticed_and_rebuilt(damage: Callable[[Path], None], cache: Path, data_dir: Path) -> None:
    raw = cache / "MNIST" / "raw"
    damage(raw)
    assert datasets.load("mnist", cache).sha256 == DIGEST
    for good in (data_dir / "MNIST" / "raw").iterdir():
        assert (raw / good.name).read_bytes() == good.read_bytes()


def test_intact_cache_is_not_rewritten(cache: Path) -> None:
    def state() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in cache.rglob("*")}

    before = state()
    datasets.load("mnist", cache)
    assert state() == before


def test_damaged_package_is_to_be_installed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "package" / "data" / "mnist"
    folder.mkdir(parents=True)
    for name in MD5:
        (folder / name).write_bytes(bundled(name))
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(bundled("t10k-labels-idx1-ubyte.gz")[:-1])
    monkeypatch.setattr("importlib.resources.files", lambda _package: tmp_path / "package")
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz is damaged: install fluidrelu-cli again"):
        datasets.load("mnist", tmp_path / "cache")


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot be kept in .*file/below.*--data-dir"):
        datasets.load("mnist", tmp_path / "file" / "below")


def test_cache_of_another_user_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Injected: for root every file is readable.
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    monkeypatch.setattr("numpy.fromfile", raises(denied))
    with pytest.raises(DataError, match=r"Permission denied.*--data-dir"):
        datasets.load("mnist", cache)


@pytest.mark.parametrize("step", ["shutil.copyfile", "torchvision.datasets.mnist.download_and_extract_archive"])
def test_full_disk_is_told_and_the_next_load_goes_on(step: str, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as full:
        full.setattr(step, raises(NO_SPACE))
        with pytest.raises(DataError, match=r"No space left on device.*60 MB free, with --data-dir"):
            datasets.load("mnist", tmp_path)
    assert datasets.load("mnist", tmp_path).sha256 == DIGEST


def test_two_that_load_into_an_empty_folder_at_once_both_succeed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked: list[Path] = []
    unpack = datasets._unpack_mnist

    def counted(folder: Path) -> None:
        unpacked.append(folder)
        unpack(folder)

    monkeypatch.setattr(datasets, "_unpack_mnist", counted)
    with ThreadPoolExecutor(2) as both:
        loaded = list(both.map(lambda _: datasets.load("mnist", tmp_path / "new"), range(2)))
    assert [dataset.sha256 for dataset in loaded] == [DIGEST, DIGEST]
    assert unpacked == [tmp_path / "new"]  # the other waited for it


def test_unknown_data_set_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no data set 'minst'; use --dataset mnist"):
        datasets.load("minst", tmp_path)
    assert not list(tmp_path.iterdir())


def test_first_takes_the_first_images_and_labels(mnist: datasets.Dataset) -> None:
    small = mnist.first(300, 100)
    assert small.train_images.equal(mnist.train_images[:300])
    assert small.train_labels.equal(mnist.train_labels[:300])
    assert small.test_images.equal(mnist.test_images[:100])
    assert small.test_labels.equal(mnist.test_labels[:100])
    assert len({mnist.sha256, small.sha256, mnist.first(300, None).sha256, mnist.first(None, 100).sha256}) == 4
    assert mnist.first(60000, 10000).sha256 == mnist.first(None, None).sha256 == DIGEST


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        (60001, None, "--train-images must be at most 60000, the size of the data set, not 60001."),
        (None, 10001, "--test-images must be at most 10000, the size of the data set, not 10001."),
    ],
)
def test_first_of_more_than_there_are_is_refused(
    train: int | None, test: int | None, words: str, mnist: datasets.Dataset
) -> None:
    with pytest.raises(UsageError) as error:
        mnist.first(train, test)
    assert str(error.value) == words


@pytest.mark.parametrize("cause", [RuntimeError("operator torchvision::nms does not exist"), ImportError("no symbol")])
def test_torch_and_torchvision_that_do_not_match(cause: Exception, tmp_path: Path) -> None:
    """Needed where the data is not unpacked yet."""

    class Broken(importlib.abc.MetaPathFinder):
        def find_spec(self, name: str, *_args: object) -> None:
            if name == "torchvision":
                raise cause

    versions = [importlib.metadata.version(name) for name in ("torch", "torchvision")]
    with pytest.MonkeyPatch.context() as mismatch:
        mismatch.delitem(sys.modules, "torchvision")
        mismatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
        datasets._torchvision.cache_clear()
        with pytest.raises(DataError) as error:
            datasets.load("mnist", tmp_path)
    assert str(error.value) == (
        f"torch {versions[0]} and torchvision {versions[1]} do not work together ({type(cause).__name__}: {cause}):"
        f" install a matching pair with `{sys.executable} -m pip install --upgrade --force-reinstall"
        " torch torchvision`."
    )


def test_data_is_kept_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert datasets.default_data_dir() == tmp_path / "elsewhere" / "fluidrelu"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert datasets.default_data_dir() == tmp_path / "home" / ".cache" / "fluidrelu"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert datasets.default_data_dir() == tmp_path / "home" / ".cache" / "fluidrelu"
