"""From archives to the npz file: the package's MNIST, and whatever lies where torchvision keeps its files."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import importlib.abc
import importlib.metadata
import importlib.resources
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from data_server import forbid_network
from small_archives import ARCHIVES, Small, fashion_mnist, unpack

from fluidrelu_cli.data import archives
from fluidrelu_cli.data.archives import explain_missing, list_archives, make_npz
from fluidrelu_cli.data.catalogue import CATALOGUE, path_of
from fluidrelu_cli.data.dataset import Dataset
from fluidrelu_cli.data.downloads import fetch
from fluidrelu_cli.data.load import load
from fluidrelu_cli.data.store import read_named
from fluidrelu_cli.errors import DataError, MissingDataError

MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}

every_archive = pytest.mark.parametrize("name", ARCHIVES)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with forbid_network(monkeypatch):  # torchvision would download what it misses
        yield


def read_bundled(name: str) -> bytes:
    return (importlib.resources.files("fluidrelu_cli") / "data" / "mnist" / name).read_bytes()


# MNIST, which comes with the package


@pytest.mark.parametrize("name", MD5)
def test_bundled_archives_are_those_that_torchvision_publishes(name: str) -> None:
    assert hashlib.md5(read_bundled(name)).hexdigest() == MD5[name] == dict(torchvision.datasets.MNIST.resources)[name]


def test_the_digest_of_mnist_is_that_of_its_archives_contents(data_dir: Path) -> None:
    mnist = load("mnist", data_dir)
    digest = hashlib.sha256()
    for name in MD5:
        content = np.frombuffer(gzip.decompress(read_bundled(name)), np.uint8)
        digest.update((content[16:] if "images" in name else content[8:].astype("<i8")).tobytes())
    assert digest.hexdigest() == mnist.sha256 == CATALOGUE["mnist"].sha256
    assert (mnist.classes, mnist.image_shape) == (10, (1, 28, 28))
    assert (int((mnist.train_labels == 0).sum()), int((mnist.test_labels == 0).sum())) == (5923, 980)


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    left = [".mnist-left/file", ".mnist.npz.4711.tmp", ".mnist.npz.4712.tmp", ".svhn.npz.4711.tmp"]
    (tmp_path / ".mnist-left").mkdir()
    for name in left:
        (tmp_path / name).touch()
    load("mnist", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"mnist.npz", "mnist.lock", ".svhn.npz.4711.tmp"}
    (tmp_path / left[1]).touch()
    fetch(CATALOGUE["mnist"], tmp_path)  # though there is nothing to get
    assert {path.name for path in tmp_path.iterdir()} == {"mnist.npz", "mnist.lock", ".svhn.npz.4711.tmp"}


def test_what_a_killed_download_left_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = ARCHIVES["kmnist"](tmp_path, monkeypatch)
    part = tmp_path / list_archives(small.named)[1].part
    part.write_text("half an arch")
    load("kmnist", tmp_path)
    assert part.parent == small.files[1].parent
    assert not part.exists()


def test_an_archive_that_is_a_pipe_or_a_device_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = ARCHIVES["kmnist"](tmp_path, monkeypatch)
    for file in small.files[:2]:
        file.unlink()
    os.mkfifo(small.files[0])
    small.files[1].symlink_to("/dev/zero")
    with pytest.raises(MissingDataError, match=f"damaged: {small.files[0].name}, {small.files[1].name}"):
        make_npz(small.named, tmp_path)


# Archives of torchvision's data sets


def assert_holds(dataset: Dataset, small: Small) -> None:
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
    assert (dataset.classes, dataset.image_shape) == (small.named.classes, small.named.shape)


@pytest.mark.parametrize("unpacked", [False, True], ids=["packed", "unpacked"])
@every_archive
def test_archives_in_torchvisions_place_become_one_file(
    name: str, unpacked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ARCHIVES[name](tmp_path, monkeypatch)
    if unpacked:
        unpack(small, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert_holds(make_npz(small.named, tmp_path), small)
    assert_holds(read_named(small.named, tmp_path), small)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    del after[path_of(small.named, tmp_path)]
    assert after == before


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
def test_a_data_folder_may_be_relative_and_its_archives_links(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ARCHIVES[name](tmp_path / "data", monkeypatch)
    for number, file in enumerate(small.files):
        file.rename(tmp_path / f"archive{number}")
        file.symlink_to(tmp_path / f"archive{number}")
    monkeypatch.chdir(tmp_path)
    assert_holds(make_npz(small.named, Path("data")), small)


def delete(file: Path) -> None:
    file.unlink()


def cut_the_end_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [delete, cut_the_end_off])
@every_archive
def test_damaged_archives_are_as_good_as_none(
    damage: Callable[[Path], None], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ARCHIVES[name](tmp_path, monkeypatch)
    damage(small.files[-1])
    with pytest.raises(MissingDataError) as error:
        make_npz(small.named, tmp_path)
    assert (f"(damaged: {small.files[-1].name})" in str(error.value)) == (damage is cut_the_end_off)
    assert not path_of(small.named, tmp_path).exists()


@pytest.mark.parametrize("damage", [delete, cut_the_end_off])
@pytest.mark.parametrize(
    ("name", "unpacked"),
    [("fashion-mnist", "FashionMNIST/raw/t10k-images-idx3-ubyte"), ("cifar10", "cifar-10-batches-py/data_batch_3")],
)
def test_what_was_unpacked_badly_is_unpacked_anew(
    name: str, unpacked: str, damage: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ARCHIVES[name](tmp_path, monkeypatch)
    packed = {file: file.read_bytes() for file in small.files}
    unpack(small, tmp_path)
    damage(tmp_path / unpacked)
    with pytest.raises(MissingDataError):
        make_npz(small.named, tmp_path)
    for file, content in packed.items():
        file.write_bytes(content)
    assert_holds(make_npz(small.named, tmp_path), small)


def test_another_data_set_where_torchvision_unpacks_this_one_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unpacked idx files have no checksums in torchvision: only the digest shows it."""
    small = fashion_mnist(tmp_path, monkeypatch)
    named = dataclasses.replace(small.named, sha256=make_npz(small.named, tmp_path).sha256)
    torchvision.datasets.FashionMNIST(tmp_path, download=True)
    raw = tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    content = bytearray(raw.read_bytes())
    content[100] ^= 1
    raw.write_bytes(content)
    assert_holds(make_npz(named, tmp_path), small)


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
    listed = list_archives(CATALOGUE[name])
    assert [archive.path.as_posix() for archive in listed] == places
    for archive in listed:
        assert len(archive.md5) == 32
        assert archive.urls
        assert all(url.startswith("http") and url.endswith(f"/{archive.path.name}") for url in archive.urls)


# Messages


def damaged_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = folder / "package" / "data" / "mnist"
    package.mkdir(parents=True)
    for name in MD5:
        (package / name).write_bytes(read_bundled(name))
    cut_the_end_off(package / "t10k-labels-idx1-ubyte.gz")
    monkeypatch.setattr("importlib.resources.files", lambda _package: folder / "package")


def mismatched_torchvision(_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(importlib.abc.MetaPathFinder):
        def find_spec(self, name: str, *_args: object) -> None:
            if name == "torchvision":
                raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.delitem(sys.modules, "torchvision")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    archives.import_torchvision.cache_clear()


def other_archives(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = fashion_mnist(folder, monkeypatch)
    monkeypatch.setitem(CATALOGUE, "fashion-mnist", dataclasses.replace(small.named, sha256="0" * 64))


def nothing(_folder: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    pass


VERSIONS = " and ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "torchvision"))


@pytest.mark.parametrize(
    ("arrange", "name", "kind", "words"),
    [
        (
            damaged_package,
            "mnist",
            DataError,
            "The package's copy of t10k-labels-idx1-ubyte.gz is damaged. Install fluidrelu-cli again.",
        ),
        (
            mismatched_torchvision,
            "mnist",
            DataError,
            f"{VERSIONS} do not work together (RuntimeError: operator torchvision::nms does not exist). Install a"
            f" matching pair with `{sys.executable} -m pip install --upgrade --force-reinstall torch torchvision`.",
        ),
        (
            other_archives,
            "fashion-mnist",
            DataError,
            "The archives of Fashion-MNIST in {folder} hold another data set. Move them away.",
        ),
        (
            nothing,
            "kmnist",
            MissingDataError,
            "Kuzushiji-MNIST is not in {folder}. Run `fluidrelu data fetch kmnist` where there is a network, put"
            f" {', '.join(MD5)} into {{folder}}/KMNIST/raw yourself, or name another folder with --data-dir.",
        ),
        (
            nothing,
            "svhn",
            MissingDataError,
            "SVHN is not in {folder}. Run `fluidrelu data fetch svhn` where there is a network, put train_32x32.mat,"
            " test_32x32.mat into {folder} yourself, or name another folder with --data-dir.",
        ),
    ],
)
def test_messages(
    arrange: Callable[[Path, Any], None], name: str, kind: type[DataError], words: str, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as arranged:
        arrange(tmp_path, arranged)
        with pytest.raises(DataError) as error:
            make_npz(CATALOGUE[name], tmp_path)
    assert type(error.value) is kind
    assert str(error.value) == words.format(folder=tmp_path)
    assert not path_of(CATALOGUE[name], tmp_path).exists()


def test_why_a_data_set_is_missing_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "train_32x32.mat").touch()
    error = explain_missing(CATALOGUE["svhn"], tmp_path, "no network")
    assert str(error).startswith(f"SVHN is not in {tmp_path} (no network; damaged: train_32x32.mat). Run ")
