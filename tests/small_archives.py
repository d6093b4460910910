"""The archives of the data sets that can be named, with few images: written as their authors pack them.

Each function writes the files to where torchvision looks for them below a folder, and lets torchvision and the
catalogue take them for the real ones: checksums and numbers of images are those of the small ones.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torchvision

from fluidrelu_cli.data.catalogue import CATALOGUE, Named

Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]


@dataclass(frozen=True)
class Small:
    """A data set whose archives were written small."""

    named: Named
    """As the catalogue has it now."""
    arrays: Arrays
    """What is in the archives: x_train, y_train, x_test and y_test, channels last."""
    files: tuple[Path, ...]
    """The archives, in the order in which the catalogue names them."""


def fashion_mnist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    """Fashion-MNIST with 20 and 10 images: four gzipped idx files."""
    return _idx_files("fashion-mnist", folder, monkeypatch)


def kmnist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    """Kuzushiji-MNIST with 20 and 10 images: four gzipped idx files."""
    return _idx_files("kmnist", folder, monkeypatch)


def cifar10(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    """CIFAR-10 with 20 and 10 images: a tar file of pickles, the training images in five batches."""
    arrays = _arrays((20, 10), (32, 32, 3), 10)
    batches = {
        f"data_batch_{number + 1}": _batch(arrays, "train", slice(4 * number, 4 * number + 4), "labels")
        for number in range(5)
    }
    meta = {"batches.meta": {"label_names": [f"class {label}" for label in range(10)], "num_vis": 3072}}
    return _cifar("cifar10", folder, monkeypatch, arrays, {**batches, "test_batch": _batch(arrays, "test")}, meta)


def cifar100(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    """CIFAR-100 with 100 and 20 images: a tar file of pickles, labels fine and coarse."""
    arrays = _arrays((100, 20), (32, 32, 3), 100)
    batches = {part: _batch(arrays, part, labels="fine_labels") for part in ("train", "test")}
    for batch in batches.values():
        batch["coarse_labels"] = [label // 5 for label in batch["fine_labels"]]
    meta = {"meta": {"fine_label_names": [f"class {label}" for label in range(100)]}}
    return _cifar("cifar100", folder, monkeypatch, arrays, batches, meta)


def svhn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    """SVHN with 20 and 10 images: two MATLAB files, in which the digit 0 has the label 10."""
    dataset = torchvision.datasets.SVHN
    arrays = _arrays((20, 10), (32, 32, 3), 10)
    split_list = dict(dataset.split_list)
    files = []
    for part in ("train", "test"):
        labels = arrays[f"y_{part}"]
        url, name, _ = split_list[part]
        file = _write(folder / name, b"")
        content: dict[str, Any] = {
            "X": np.moveaxis(arrays[f"x_{part}"], 0, 3),
            "y": np.where(labels == 0, 10, labels).astype(np.uint8)[:, np.newaxis],
        }
        scipy.io.savemat(file, content)
        files.append(file)
        split_list[part] = [url, name, _md5(file.read_bytes())]
    monkeypatch.setattr(dataset, "split_list", split_list)
    return _small("svhn", monkeypatch, arrays, files)


ARCHIVES: Mapping[str, Callable[[Path, pytest.MonkeyPatch], Small]] = {
    "fashion-mnist": fashion_mnist,
    "kmnist": kmnist,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "svhn": svhn,
}
"""The functions above by the name of the data set."""


def unpack(small: Small, folder: Path) -> None:
    """Let torchvision unpack the archives in ``folder``, and take them away; SVHN's are read as they are."""
    if small.named.torchvision == "SVHN":
        return
    getattr(torchvision.datasets, small.named.torchvision)(folder, download=True)
    for file in small.files:
        file.unlink()


def _arrays(images: tuple[int, int], shape: tuple[int, ...], classes: int) -> Arrays:
    """Random images, and labels among which every class is."""
    generator = np.random.default_rng(0)
    arrays: Arrays = {}
    for part, count in zip(("train", "test"), images, strict=True):
        arrays[f"x_{part}"] = generator.integers(256, size=(count, *shape), dtype=np.uint8)
        arrays[f"y_{part}"] = generator.permutation(np.arange(count) % classes)
    return arrays


def _idx_files(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    dataset = getattr(torchvision.datasets, CATALOGUE[name].torchvision)
    arrays = _arrays((20, 10), (28, 28), 10)
    files, resources = [], []
    for (file, _), array in zip(dataset.resources, ("x_train", "y_train", "x_test", "y_test"), strict=True):
        content = gzip.compress(_idx(arrays[array]), mtime=0)
        files.append(_write(folder / dataset.__name__ / "raw" / file, content))
        resources.append((file, _md5(content)))
    monkeypatch.setattr(dataset, "resources", resources)
    return _small(name, monkeypatch, arrays, files)


def _idx(array: np.ndarray[Any, np.dtype[Any]]) -> bytes:
    """The format of MNIST's files: 0, 0, the type (8 is unsigned bytes), the number of axes; sizes; values."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    return header + array.astype(np.uint8).tobytes()


def _batch(arrays: Arrays, part: str, which: slice = slice(None), labels: str = "labels") -> dict[str, Any]:
    """A batch of CIFAR: each image's 3072 bytes in a row, channel by channel."""
    images = np.moveaxis(arrays[f"x_{part}"][which], 3, 1)
    return {"data": images.reshape(len(images), 3072), labels: arrays[f"y_{part}"][which].tolist()}


def _cifar(
    name: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arrays: Arrays,
    batches: Mapping[str, Any],
    meta: Mapping[str, Any],
) -> Small:
    dataset = getattr(torchvision.datasets, CATALOGUE[name].torchvision)
    packed = {file: pickle.dumps(content, protocol=2) for file, content in {**batches, **meta}.items()}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for file, content in packed.items():
            entry = tarfile.TarInfo(f"{dataset.base_folder}/{file}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    content = gzip.compress(archive.getvalue(), mtime=0)
    for which in ("train_list", "test_list"):
        monkeypatch.setattr(dataset, which, [[file, _md5(packed[file])] for file, _ in getattr(dataset, which)])
    [described] = meta
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": _md5(packed[described])})
    monkeypatch.setattr(dataset, "tgz_md5", _md5(content))
    return _small(name, monkeypatch, arrays, [_write(folder / dataset.filename, content)])


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _small(name: str, monkeypatch: pytest.MonkeyPatch, arrays: Arrays, files: list[Path]) -> Small:
    images = len(arrays["x_train"]), len(arrays["x_test"])
    named = dataclasses.replace(CATALOGUE[name], images=images, sha256=None)
    monkeypatch.setitem(CATALOGUE, name, named)
    return Small(named, arrays, tuple(files))
