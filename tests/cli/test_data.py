"""The commands `fluidrelu data ...`, and what a training command shows of its data."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import fluidrelu, fluidrelu_json, words
from data_server import Server, run_server
from filelock import FileLock

import fluidrelu_cli
from fluidrelu_cli.data.catalogue import CATALOGUE, path_of
from fluidrelu_cli.data.load import load


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with run_server(tmp_path / "served", monkeypatch) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    path = tmp_path / "work"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.mark.usefixtures("folder")
def test_training_fetches_what_is_missing_unless_it_must_not(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.serve("cifar10", monkeypatch)
    command = ("train", "--dataset", "CIFAR10", "--model", "cnn3", "--epochs", 1, "--device", "cpu", "--data-dir", "d")
    output = words(fluidrelu(*command, "--offline", code=1))
    assert "Error: CIFAR-10 is not in d (--offline forbids the download). Run `fluidrelu data fetch cifar10`" in output
    assert not server.asked
    output = words(fluidrelu(*command))
    assert "cifar-10-python.tar.gz: 0.1 MB" in output
    assert "fluid seed 0: epoch 1/1" in output
    fluidrelu("verify", "results/local/runs/fluid-seed0.csv", "--data-dir", "d", "--offline")
    assert len(server.asked) == 1


def test_data_sets_are_listed_fetched_and_verified(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = server.serve("kmnist", monkeypatch)
    here = ("--data-dir", folder / "data")
    assert "There is no data set in" in fluidrelu("data", "verify", *here)
    assert "`fluidrelu data fetch kmnist` gets it" in words(fluidrelu("data", "verify", "kmnist", *here, code=1))
    listed = fluidrelu("data", "list", *here)
    assert all(f"\n {name} " in listed for name in CATALOGUE)
    assert "comes with the package" in words(listed)
    assert " here" not in listed
    fetched = "".join(fluidrelu("data", "fetch", "KMNIST", *here).split("\n"))
    assert f"kmnist: {folder / 'data' / 'kmnist.npz'}" in fetched
    assert " here" in fluidrelu("data", "list", *here)
    sets = {one["name"]: one for one in fluidrelu_json("data", "list", *here)}
    path = folder / "data" / "kmnist.npz"
    assert sets.pop("kmnist") == {
        "name": "kmnist",
        "title": "Kuzushiji-MNIST",
        "train_images": 20,  # as the server has it
        "test_images": 10,
        "shape": [1, 28, 28],
        "classes": 10,
        "data_sha256": None,
        "bundled": False,
        "path": str(path),
        "here": True,
        "bytes": path.stat().st_size,
    }
    assert [(one["here"], one["bytes"]) for one in sets.values()] == [(False, None)] * (len(CATALOGUE) - 1)
    verified = words(fluidrelu("data", "verify", *here))
    what = "20 + 10 images of 1 x 28 x 28, 10 classes; sha256 " + load("kmnist", folder / "data").sha256
    assert verified.startswith(f"kmnist: whole and of the right shape (no digest to compare with); {what} Pixels")
    npz = path_of(small.named, folder / "data")
    npz.write_bytes(npz.read_bytes()[:-100])
    output = words(fluidrelu("data", "verify", "mnist", "kmnist", *here, code=1))
    assert "kmnist.npz is damaged. `fluidrelu data fetch kmnist` makes it again." in output
    fluidrelu("data", "fetch", "mnist", "kmnist", *here)
    assert "mnist: as published; 60,000 + 10,000 images" in words(fluidrelu("data", "verify", *here))


@pytest.mark.slow
def test_waiting_for_another_process_is_said(folder: Path) -> None:
    command = [sys.executable, "-m", "fluidrelu_cli", "data", "fetch", "kmnist", "--data-dir", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(fluidrelu_cli.__file__).parents[1])}
    with (
        FileLock(folder / "kmnist.lock"),
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process,
    ):
        assert process.stderr is not None
        said = process.stderr.readline()
        process.kill()
    assert said == "Another fluidrelu is getting Kuzushiji-MNIST. Waiting for it (Ctrl-C stops).\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("fetch minst", 2, "There is no data set 'minst'. Did you mean mnist? Name one of mnist, fashion-mnist"),
        ("fetch", 2, "Missing argument"),
        ("verify nosuch.npz", 1, "There is no file nosuch.npz"),
        ("verify minst", 2, "There is no data set 'minst'"),
        ("ftech", 2, "No such command"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_messages(arguments: str, code: int, message: str) -> None:
    output = words(fluidrelu("data", *arguments.split(), code=code).replace("│", " "))
    assert message in output
    assert "Traceback" not in output
