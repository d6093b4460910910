"""Getting the data that a protocol needs: from memory, the data folder, the package, or the network."""

from __future__ import annotations

import dataclasses
import errno
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
from data_server import Server, run_server
from filelock import FileLock

import fluidrelu_cli
from fluidrelu_cli.data import archives
from fluidrelu_cli.data import load as loading
from fluidrelu_cli.data.catalogue import CATALOGUE, Named
from fluidrelu_cli.data.dataset import Dataset, write_npz
from fluidrelu_cli.data.load import get_dataset, load, load_dataset
from fluidrelu_cli.errors import DataError, MissingDataError, UsageError
from fluidrelu_cli.protocol import Protocol

DIGEST = CATALOGUE["mnist"].sha256


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with run_server(tmp_path / "served", monkeypatch) as server:
        yield server


@pytest.fixture
def cache(data_dir: Path, tmp_path: Path) -> Path:
    """A data folder of one's own; hard links, so a file must be replaced and not written into."""
    return Path(shutil.copytree(data_dir, tmp_path / "cache", copy_function=os.link))


def write_small(path: Path, level: int = 0) -> None:
    """Twenty images of one level, of ten classes."""
    images, labels = np.full((20, 28, 28), level, np.uint8), np.arange(20) % 10
    write_npz(path, {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels})


def replace(file: Path, content: bytes) -> None:
    file.unlink()
    file.write_bytes(content)


def truncate(file: Path) -> None:
    replace(file, file.read_bytes()[:1000])


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[5000] ^= 1
    replace(file, bytes(content))


def delete(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("damage", [truncate, flip_a_byte, delete])
def test_a_damaged_file_is_made_again(damage: Callable[[Path], None], cache: Path, data_dir: Path) -> None:
    damage(cache / "mnist.npz")
    assert load("MNIST", cache).sha256 == DIGEST
    assert (cache / "mnist.npz").read_bytes() == (data_dir / "mnist.npz").read_bytes()


def test_an_intact_file_is_not_made_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (cache / "mnist.npz").stat().st_mtime_ns
    monkeypatch.setattr(archives, "import_torchvision", None)  # nor is torchvision needed
    assert load("mnist", cache).sha256 == DIGEST
    assert (cache / "mnist.npz").stat().st_mtime_ns == before


def change_a_pixel(file: Path) -> None:
    """The file is as whole as before: only the digest shows it."""
    with np.load(file) as arrays:
        changed = {name: arrays[name] for name in arrays.files}
    changed["x_test"][3, 14, 14] ^= 1
    file.unlink()
    write_npz(file, changed)


@pytest.mark.parametrize("put", [change_a_pixel, write_small])
def test_another_data_set_of_that_name_is_left_alone(put: Callable[[Path], None], cache: Path) -> None:
    """It may be a user's own: mnist.npz is what Keras calls its file, too."""
    put(cache / "mnist.npz")
    before = (cache / "mnist.npz").read_bytes()
    with pytest.raises(DataError, match=r"mnist\.npz does not hold MNIST but another data set\. Move the file away"):
        load("mnist", cache)
    assert (cache / "mnist.npz").read_bytes() == before


@pytest.mark.parametrize(
    "step", ["shutil.copyfile", "torchvision.datasets.mnist.download_and_extract_archive", "os.fsync"]
)
def test_a_full_disk_is_reported_and_the_next_load_goes_on(step: str, tmp_path: Path) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(step, full)
        with pytest.raises(DataError, match=r"No space left on device\)\. Name a writable folder with 119 MB free"):
            load("mnist", tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name != "mnist.lock"]
    assert load("mnist", tmp_path).sha256 == DIGEST


def test_two_threads_that_load_into_an_empty_folder_make_the_data_set_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def counted(named: Named, folder: Path) -> Dataset:
        made.append(folder)
        return archives.make_npz(named, folder)

    monkeypatch.setattr(loading, "make_npz", counted)
    with ThreadPoolExecutor(2) as both:
        digests = list(both.map(lambda _: load("mnist", tmp_path / "new").sha256, range(2)))
    assert digests == [DIGEST, DIGEST]
    assert made == [tmp_path / "new"]


WAIT = """
import pathlib, sys
from fluidrelu_cli.data import load as loading

def make_npz(*_):
    raise SystemExit("it was made twice")

loading.make_npz = make_npz
print(loading.load("mnist", pathlib.Path(sys.argv[1]), lambda title: print("waiting for", title, flush=True)).sha256)
"""


@pytest.mark.slow
def test_a_process_waits_for_another_that_makes_the_data_set(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(fluidrelu_cli.__file__).parents[1])}
    command = [sys.executable, "-c", WAIT, str(tmp_path)]
    with FileLock(tmp_path / "mnist.lock"):
        other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert other.stdout is not None
        assert other.stdout.readline() == "waiting for MNIST\n"
        archives.make_npz(CATALOGUE["mnist"], tmp_path)
        assert other.poll() is None
    assert other.communicate(timeout=60)[0] == f"{DIGEST}\n"
    assert other.returncode == 0


def test_an_npz_file_is_read_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_small(tmp_path / "mine.npz")
    monkeypatch.chdir(tmp_path)
    for name in ("mine.npz", str(tmp_path / "mine.npz")):
        assert load(name, tmp_path / "data").image_shape == (1, 28, 28)
    with pytest.raises(UsageError):
        load("yours.npz", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_the_latest_data_stays_in_memory_until_its_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    write_small(file)
    protocol = Protocol(dataset=str(file), train_images=16, validation_images=6)
    dataset = load_dataset(protocol, tmp_path)
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (10, 6)
    assert load_dataset(dataclasses.replace(protocol, epochs=9), tmp_path) is dataset
    assert len(load_dataset(Protocol(dataset=str(file), test_images=7), tmp_path).test_labels) == 7
    again = load_dataset(protocol, tmp_path)
    assert again is not dataset  # only one is kept
    write_small(file, level=9)
    assert load_dataset(protocol, tmp_path).sha256 != again.sha256


@pytest.mark.parametrize("name", ["a" * 300 + ".npz", "~nobody-of-this-name/x.npz"])
def test_a_study_may_name_what_no_file_can_be_called(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There can be no data set"):
        load_dataset(Protocol(dataset=name), tmp_path)


def test_what_is_missing_is_downloaded_unless_it_must_not(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.serve("cifar10", monkeypatch)
    protocol, folder = Protocol(dataset="cifar10", test_images=5), tmp_path / "data"
    with pytest.raises(MissingDataError) as error:
        get_dataset(protocol, folder, offline=True)
    assert f"CIFAR-10 is not in {folder} (--offline forbids the download). Run `fluidrelu data fetch" in str(
        error.value
    )
    assert not server.asked
    told: list[tuple[Any, ...]] = []
    dataset = get_dataset(protocol, folder, on_bytes=lambda *advance: told.append(advance))
    assert len(dataset.test_labels) == 5
    assert {name for name, _, _ in told} == {"cifar-10-python.tar.gz"}
    assert len(server.asked) == 1
    assert get_dataset(protocol, folder, offline=True) is dataset
