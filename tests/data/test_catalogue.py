"""The data sets that can be named: MNIST's archives, the cache that heals itself, files of torchvision's, and what a
user is told when it cannot be done.
"""

from __future__ import annotations

import dataclasses
import errno
import gzip
import hashlib
import importlib.abc
import importlib.metadata
import importlib.resources
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from filelock import FileLock
from small_archives import ARCHIVES, fashion_mnist, unpack

from fluidrelu_cli.data import catalogue
from fluidrelu_cli.data.catalogue import CATALOGUE, archives, canonical, check, load, missing, path_of
from fluidrelu_cli.data.dataset import Dataset, write_npz
from fluidrelu_cli.errors import BadArraysError, DataError, MissingDataError, UsageError

DIGEST = "1e35582d42a90940c55b956deb61875c020b567ed20e3c5b174f52bf7809ed9b"
MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
DENIED = PermissionError(errno.EACCES, os.strerror(errno.EACCES))

every_archive = pytest.mark.parametrize("name", ARCHIVES)


def raises(error: BaseException) -> Callable[..., Any]:
    def function(*_args: object, **_kwargs: object) -> None:
        raise error

    return function


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    asked: list[object] = []

    def refuse(*request: object, **_kwargs: object) -> None:
        asked.append(request)
        raise AssertionError("a data set was asked for over the network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    yield
    assert not asked  # also when somebody caught the AssertionError


@pytest.fixture
def cache(data_dir: Path, tmp_path: Path) -> Path:
    """A cache of one's own; hard links, so a file must be replaced and not written into."""
    return Path(shutil.copytree(data_dir, tmp_path / "cache", copy_function=os.link))


@pytest.fixture(scope="module")
def mnist(data_dir: Path) -> Dataset:
    return load("mnist", data_dir)


def bundled(name: str) -> bytes:
    return (importlib.resources.files("fluidrelu_cli") / "data" / "mnist" / name).read_bytes()


def words(error: pytest.ExceptionInfo[BaseException]) -> str:
    return str(error.value)


# MNIST, which comes with the package


@pytest.mark.parametrize("name", MD5)
def test_bundled_archives_are_those_that_torchvision_publishes(name: str) -> None:
    assert hashlib.md5(bundled(name)).hexdigest() == MD5[name] == dict(torchvision.datasets.MNIST.resources)[name]


def test_mnist_is_whole(mnist: Dataset) -> None:
    assert mnist.train_images.shape == (60000, 1, 28, 28)
    assert mnist.test_images.shape == (10000, 1, 28, 28)
    assert mnist.train_images.dtype == mnist.test_images.dtype == torch.uint8
    assert mnist.train_labels.shape == (60000,)
    assert mnist.test_labels.shape == (10000,)
    assert mnist.train_labels.dtype == mnist.test_labels.dtype == torch.int64
    assert int((mnist.train_labels == 0).sum()) == 5923
    assert int((mnist.test_labels == 0).sum()) == 980
    assert (mnist.classes, mnist.image_shape) == (10, (1, 28, 28))


def test_digest_is_that_of_the_archives_contents(mnist: Dataset) -> None:
    digest = hashlib.sha256()
    for name in MD5:
        content = np.frombuffer(gzip.decompress(bundled(name)), np.uint8)
        digest.update((content[16:] if "images" in name else content[8:].astype("<i8")).tobytes())
    assert digest.hexdigest() == mnist.sha256 == CATALOGUE["mnist"].sha256 == DIGEST


def test_the_cache_holds_one_file_and_nothing_left_over(data_dir: Path) -> None:
    assert {path.name for path in data_dir.iterdir()} - {"mnist.lock"} == {"mnist.npz"}


def replace(file: Path, content: bytes) -> None:
    file.unlink()  # the cache's files are hard links
    file.write_bytes(content)


def truncate(file: Path) -> None:
    replace(file, file.read_bytes()[:1000])


def cut_the_end_off(file: Path) -> None:
    replace(file, file.read_bytes()[:-1])


def empty(file: Path) -> None:
    replace(file, b"")


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[5000] ^= 1
    replace(file, bytes(content))


def change_a_pixel(file: Path) -> None:
    """The file is as whole as before: only the digest tells."""
    with np.load(file) as arrays:
        changed = {name: arrays[name] for name in arrays.files}
    changed["x_test"][3, 14, 14] ^= 1
    file.unlink()
    write_npz(file, changed)


def put_another_data_set_in(file: Path) -> None:
    images, labels = np.zeros((20, 28, 28), np.uint8), np.arange(20) % 10
    file.unlink()
    write_npz(file, {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels})


def scramble(file: Path) -> None:
    replace(file, b"garbage")


def save_an_array(file: Path) -> None:
    file.unlink()
    with file.open("wb") as opened:
        np.save(opened, np.zeros(3))


def delete(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("other", [change_a_pixel, put_another_data_set_in])
def test_another_data_set_of_that_name_is_left_alone(other: Callable[[Path], None], cache: Path) -> None:
    """It may be a user's own: mnist.npz is what Keras calls its file, too."""
    other(cache / "mnist.npz")
    before = (cache / "mnist.npz").read_bytes()
    with pytest.raises(DataError) as error:
        load("mnist", cache)
    assert words(error) == (
        f"{cache / 'mnist.npz'} holds another data set than MNIST: move it away, or name another --data-dir."
    )
    assert (cache / "mnist.npz").read_bytes() == before


@pytest.mark.parametrize("damage", [truncate, flip_a_byte, delete])
def test_damaged_cache_is_noticed_and_rebuilt(damage: Callable[[Path], None], cache: Path, data_dir: Path) -> None:
    damage(cache / "mnist.npz")
    assert load("mnist", cache).sha256 == DIGEST
    assert (cache / "mnist.npz").read_bytes() == (data_dir / "mnist.npz").read_bytes()


def test_intact_cache_is_not_rewritten(cache: Path) -> None:
    def state() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in cache.rglob("*")}

    before = state()
    load("mnist", cache)
    assert state() == before


def test_damaged_package_is_to_be_installed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "package" / "data" / "mnist"
    folder.mkdir(parents=True)
    for name in MD5:
        (folder / name).write_bytes(bundled(name))
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(bundled("t10k-labels-idx1-ubyte.gz")[:-1])
    monkeypatch.setattr("importlib.resources.files", lambda _package: tmp_path / "package")
    with pytest.raises(DataError) as error:
        load("mnist", tmp_path / "cache")
    assert words(error) == "The package's copy of t10k-labels-idx1-ubyte.gz is damaged: install fluidrelu-cli again."
    assert not [path for path in (tmp_path / "cache").iterdir() if path.name != "mnist.lock"]


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "below"
    with pytest.raises(DataError) as error:
        load("mnist", below)
    assert words(error) == (
        f"MNIST cannot be kept in {below} (Not a directory):"
        " name a folder that can be written, with 119 MB free, with --data-dir."
    )


def test_cache_of_another_user_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Injected: for root every file is readable.
    with pytest.MonkeyPatch.context() as unreadable:
        unreadable.setattr("numpy.load", raises(DENIED))
        with pytest.raises(DataError, match=r"mnist\.npz cannot be read \(Permission denied\): make it readable, or"):
            load("mnist", cache)
    (cache / "mnist.npz").unlink()
    monkeypatch.setattr("fluidrelu_cli.data.catalogue.FileLock.acquire", raises(DENIED))
    with pytest.raises(DataError, match=r"^MNIST cannot be kept in .*/cache \(Permission denied\): .*--data-dir\.$"):
        load("mnist", cache)


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    (tmp_path / ".mnist-left").mkdir()
    (tmp_path / ".mnist-left" / "file").touch()
    load("mnist", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"mnist.npz", "mnist.lock"}


def test_names_of_files_may_be_in_capitals_and_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert catalogue.canonical("~/mine.NPZ") == "/home/me/mine.NPZ"
    assert catalogue.canonical("MNIST") == "mnist"


@pytest.mark.parametrize(
    "step", ["shutil.copyfile", "torchvision.datasets.mnist.download_and_extract_archive", "os.fsync"]
)
def test_full_disk_is_told_and_the_next_load_goes_on(step: str, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as full:
        full.setattr(step, raises(NO_SPACE))
        with pytest.raises(DataError, match=r"No space left on device\): .* 119 MB free, with --data-dir\.$"):
            load("mnist", tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name != "mnist.lock"]
    assert load("mnist", tmp_path).sha256 == DIGEST


def test_two_threads_that_load_into_an_empty_folder_at_once_both_succeed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    make = catalogue.make

    def counted(named: catalogue.Named, folder: Path) -> Dataset:
        made.append(folder)
        return make(named, folder)

    monkeypatch.setattr(catalogue, "make", counted)
    with ThreadPoolExecutor(2) as both:
        loaded = list(both.map(lambda _: load("mnist", tmp_path / "new"), range(2)))
    assert [dataset.sha256 for dataset in loaded] == [DIGEST, DIGEST]
    assert made == [tmp_path / "new"]  # the other waited for it


def test_a_process_waits_for_another_that_makes_the_data_set(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys\n"
        "from fluidrelu_cli import catalogue\n"
        "def make(*_): raise SystemExit('it was made twice')\n"
        "catalogue.make = make\n"
        "print('ready', flush=True)\n"
        "print(catalogue.load('mnist', pathlib.Path(sys.argv[1])).sha256)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with FileLock(tmp_path / "mnist.lock"):
        other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        made = catalogue.make(CATALOGUE["mnist"], tmp_path)
        assert other.poll() is None
    assert other.communicate(timeout=60)[0] == f"{DIGEST}\n" == f"{made.sha256}\n"
    assert other.returncode == 0


@pytest.mark.parametrize("cause", [RuntimeError("operator torchvision::nms does not exist"), ImportError("no symbol")])
def test_torch_and_torchvision_that_do_not_match(cause: Exception, tmp_path: Path) -> None:
    """Needed where the data set is not made yet."""

    class Broken(importlib.abc.MetaPathFinder):
        def find_spec(self, name: str, *_args: object) -> None:
            if name == "torchvision":
                raise cause

    versions = [importlib.metadata.version(name) for name in ("torch", "torchvision")]
    with pytest.MonkeyPatch.context() as mismatch:
        mismatch.delitem(sys.modules, "torchvision")
        mismatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
        catalogue.torchvision.cache_clear()
        with pytest.raises(DataError) as error:
            load("mnist", tmp_path)
    assert words(error) == (
        f"torch {versions[0]} and torchvision {versions[1]} do not work together ({type(cause).__name__}: {cause}):"
        f" install a matching pair with `{sys.executable} -m pip install --upgrade --force-reinstall"
        " torch torchvision`."
    )


def test_data_is_kept_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert catalogue.default_data_dir() == tmp_path / "elsewhere" / "fluidrelu"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert catalogue.default_data_dir() == tmp_path / "home" / ".cache" / "fluidrelu"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert catalogue.default_data_dir() == tmp_path / "home" / ".cache" / "fluidrelu"


# Names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mnist", "mnist"),
        ("MNIST", "mnist"),
        ("Fashion-MNIST", "fashion-mnist"),
        ("CIFAR10", "cifar10"),
        ("mine.npz", "mine.npz"),
        ("./data//Mine.npz", "data/Mine.npz"),
        ("/data/mine.npz", "/data/mine.npz"),
        ("mnist.npz", "mnist.npz"),
    ],
)
def test_a_data_set_has_one_name(name: str, expected: str) -> None:
    assert canonical(name) == expected


@pytest.mark.parametrize("name", ["minst", "", "mine.npy", "data/mine"])
def test_unknown_data_set_names_those_there_are(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        load(name, tmp_path)
    assert words(error) == (
        f"There is no data set '{name}'.{' Did you mean mnist?' if name == 'minst' else ''} Name one of mnist,"
        " fashion-mnist, kmnist, cifar10, cifar100, svhn, or to train on your own an .npz file."
    )
    assert not list(tmp_path.iterdir())


def test_an_npz_file_is_read_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = np.zeros((4, 5, 6, 3), np.uint8), np.array([0, 1, 1, 0])
    write_npz(tmp_path / "mine.npz", {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels})
    monkeypatch.chdir(tmp_path)
    for name in ("mine.npz", str(tmp_path / "mine.npz")):
        assert load(name, tmp_path / "data").image_shape == (3, 5, 6)
    with pytest.raises(UsageError) as error:
        load("yours.npz", tmp_path / "data")
    assert words(error) == f"There is no file yours.npz in {tmp_path}: correct its path, or put it there."
    assert not (tmp_path / "data").exists()


# Archives of torchvision's data sets


def assert_holds(dataset: Dataset, small: Any) -> None:
    for part, images, labels in (
        ("train", dataset.train_images, dataset.train_labels),
        ("test", dataset.test_images, dataset.test_labels),
    ):
        expected = small.arrays[f"x_{part}"]
        if expected.ndim == 3:
            expected = expected[..., np.newaxis]
        assert images.dtype == torch.uint8
        assert np.array_equal(images.permute(0, 2, 3, 1).numpy(), expected)
        assert labels.tolist() == small.arrays[f"y_{part}"].tolist()
    assert dataset.classes == small.named.classes
    assert dataset.image_shape == small.named.shape


def names(folder: Path, named: catalogue.Named) -> set[str]:
    """What is in a data folder, but for the lock."""
    return {path.name for path in folder.iterdir()} - {f"{named.name}.lock"}


@every_archive
def test_archives_in_torchvisions_place_become_one_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ARCHIVES[name](tmp_path, monkeypatch)
    before = {file: file.read_bytes() for file in small.files}
    there = names(tmp_path, small.named)
    assert_holds(load(name, tmp_path), small)
    assert {file: file.read_bytes() for file in small.files} == before
    assert names(tmp_path, small.named) == {*there, f"{name}.npz"}
    for file in small.files:
        file.unlink()
    monkeypatch.setattr(catalogue, "make", raises(AssertionError("it is there")))
    assert_holds(load(name.upper(), tmp_path), small)


@every_archive
def test_what_torchvision_has_unpacked_is_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = ARCHIVES[name](tmp_path, monkeypatch)
    unpack(small, tmp_path)
    assert_holds(load(name, tmp_path), small)


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
def test_a_data_folder_may_be_relative_and_its_archives_links(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ARCHIVES[name](tmp_path / "data", monkeypatch)
    for number, file in enumerate(small.files):
        file.rename(tmp_path / f"archive{number}")
        file.symlink_to(tmp_path / f"archive{number}")
    monkeypatch.chdir(tmp_path)
    assert_holds(load(name, Path("data")), small)


def sentence(name: str, folder: Path, damaged: str = "") -> str:
    title, files, place = {
        "fashion-mnist": ("Fashion-MNIST", ", ".join(MD5), folder / "FashionMNIST" / "raw"),
        "kmnist": ("Kuzushiji-MNIST", ", ".join(MD5), folder / "KMNIST" / "raw"),
        "cifar10": ("CIFAR-10", "cifar-10-python.tar.gz", folder),
        "cifar100": ("CIFAR-100", "cifar-100-python.tar.gz", folder),
        "svhn": ("SVHN", "train_32x32.mat, test_32x32.mat", folder),
    }[name]
    return (
        f"{title} is not in {folder}{f' (damaged: {damaged})' if damaged else ''}: get it with `fluidrelu data fetch"
        f" {name}` where there is a network, put {files} into {place}, or name another folder with --data-dir."
    )


@every_archive
def test_a_data_set_that_is_not_there_tells_where_its_files_belong(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    with pytest.raises(MissingDataError) as error:
        load(name, folder)
    assert words(error) == sentence(name, folder) == str(missing(CATALOGUE[name], folder))
    assert names(folder, CATALOGUE[name]) == set()


def test_why_a_data_set_is_missing_can_be_said(tmp_path: Path) -> None:
    error = missing(CATALOGUE["svhn"], tmp_path, "no network")
    assert str(error) == sentence("svhn", tmp_path).replace(f"{tmp_path}:", f"{tmp_path} (no network):", 1)


@every_archive
@pytest.mark.parametrize("damage", [delete, cut_the_end_off, empty, scramble])
def test_damaged_archives_are_as_good_as_none(
    damage: Callable[[Path], None], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ARCHIVES[name](tmp_path, monkeypatch)
    damage(small.files[-1])
    with pytest.raises(MissingDataError) as error:
        load(name, tmp_path)
    assert words(error) == sentence(name, tmp_path, "" if damage is delete else small.files[-1].name)
    assert not path_of(small.named, tmp_path).exists()


@pytest.mark.parametrize("damage", [truncate, empty, delete])
@pytest.mark.parametrize(
    ("name", "unpacked"),
    [("fashion-mnist", "FashionMNIST/raw/t10k-images-idx3-ubyte"), ("cifar10", "cifar-10-batches-py/data_batch_3")],
)
def test_what_was_unpacked_badly_is_unpacked_anew(
    name: str, unpacked: str, damage: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ARCHIVES[name](tmp_path, monkeypatch)
    archived = {file: file.read_bytes() for file in small.files}
    unpack(small, tmp_path)
    damage(tmp_path / unpacked)
    with pytest.raises(MissingDataError) as error:
        load(name, tmp_path)
    assert words(error) == sentence(name, tmp_path)
    for file, content in archived.items():
        file.write_bytes(content)
    assert_holds(load(name, tmp_path), small)


def test_another_data_set_where_torchvision_unpacks_this_one_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unpacked idx files have no checksums in torchvision: the digest tells."""
    small = fashion_mnist(tmp_path, monkeypatch)
    right = load("fashion-mnist", tmp_path).sha256
    path_of(small.named, tmp_path).unlink()
    monkeypatch.setitem(CATALOGUE, "fashion-mnist", dataclasses.replace(small.named, sha256=right))
    torchvision.datasets.FashionMNIST(tmp_path, download=True)
    raw = tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    content = bytearray(raw.read_bytes())
    content[100] ^= 1
    raw.write_bytes(content)
    assert_holds(load("fashion-mnist", tmp_path), small)


@every_archive
@pytest.mark.parametrize("damage", [truncate, cut_the_end_off, empty, scramble, flip_a_byte, save_an_array, delete])
def test_a_damaged_file_is_made_again_from_the_archives(
    damage: Callable[[Path], None], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a digest too: by the file's own checksums, the number of images, their shape and the classes."""
    small = ARCHIVES[name](tmp_path, monkeypatch)
    load(name, tmp_path)
    file = path_of(small.named, tmp_path)
    intact = file.read_bytes()
    damage(file)
    assert_holds(load(name, tmp_path), small)
    assert file.read_bytes() == intact


def test_check_says_what_is_wrong_with_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = fashion_mnist(tmp_path, monkeypatch)
    file = path_of(small.named, tmp_path)
    again = "`fluidrelu data fetch fashion-mnist` makes it again."

    def told(named: catalogue.Named = small.named, kind: type[DataError] = DataError) -> str:
        with pytest.raises(DataError) as error:
            check(named, tmp_path)
        assert type(error.value) is kind
        return words(error)

    assert told(kind=MissingDataError) == f"{file} is not there: `fluidrelu data fetch fashion-mnist` gets it."
    dataset = load("fashion-mnist", tmp_path)
    assert check(small.named, tmp_path).sha256 == dataset.sha256
    assert check(dataclasses.replace(small.named, sha256=dataset.sha256), tmp_path).sha256 == dataset.sha256
    for other in (
        {"images": (20, 11)},
        {"images": (21, 10)},
        {"shape": (3, 28, 28)},
        {"classes": 11},
        {"sha256": "0" * 64},
    ):
        named = dataclasses.replace(small.named, **other)
        where = "move it away, or name another --data-dir."
        assert told(named) == f"{file} holds another data set than Fashion-MNIST: {where}"
    flip_a_byte(file)
    assert told(kind=BadArraysError) == f"{file} is damaged: {again}"


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("mnist", [f"MNIST/raw/{file}" for file in MD5]),
        ("fashion-mnist", [f"FashionMNIST/raw/{file}" for file in MD5]),
        ("kmnist", [f"KMNIST/raw/{file}" for file in MD5]),
        ("cifar10", ["cifar-10-python.tar.gz"]),
        ("cifar100", ["cifar-100-python.tar.gz"]),
        ("svhn", ["train_32x32.mat", "test_32x32.mat"]),
    ],
)
def test_archives_are_torchvisions_with_its_addresses_and_checksums(name: str, places: list[str]) -> None:
    found = archives(CATALOGUE[name])
    assert [archive.path.as_posix() for archive in found] == places
    for archive in found:
        assert len(archive.md5) == 32
        assert archive.urls
        assert all(url.startswith("http") and url.endswith(f"/{archive.path.name}") for url in archive.urls)


def test_the_catalogue_agrees_with_torchvisions_classes() -> None:
    for name, named in CATALOGUE.items():
        assert named.name == name == name.lower()
        assert named.bundled == (name == "mnist")
        classes = getattr(getattr(torchvision.datasets, named.torchvision), "classes", None)
        assert classes is None or len(classes) == named.classes
    assert len({archive.md5 for named in CATALOGUE.values() for archive in archives(named)}) == 4 + 4 + 4 + 1 + 1 + 2
