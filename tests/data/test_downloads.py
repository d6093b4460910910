"""Downloads, from a server on this machine: what arrives, what is kept, and every way in which it goes wrong."""

from __future__ import annotations

import errno
import functools
import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import small_archives
import torchvision
from command_line import fluidrelu, words
from filelock import FileLock

from fluidrelu_cli.data import catalogue, downloads
from fluidrelu_cli.data.catalogue import CATALOGUE
from fluidrelu_cli.data.downloads import fetch
from fluidrelu_cli.errors import DataError, MissingDataError

NAMES = [name for name in CATALOGUE if name != "mnist"]


class Server:
    """A folder that is served, and what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.answer: Callable[[http.server.SimpleHTTPRequestHandler], None] | None = None
        """What is done instead of serving, if something is."""
        outer = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                outer.answer(self) if outer.answer is not None else super().do_GET()

            def log_message(self, *_: Any) -> None:
                pass

        handler = functools.partial(Handler, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server from which torchvision's classes are to be had, with nothing on it yet."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    made = Server(folder)
    datasets = torchvision.datasets
    for name in ("FashionMNIST", "KMNIST"):
        monkeypatch.setattr(getattr(datasets, name), "mirrors", [f"{made.url}{name}/raw/"])
    for dataset in (datasets.CIFAR10, datasets.CIFAR100):
        monkeypatch.setattr(dataset, "url", f"{made.url}{dataset.filename}")
    threading.Thread(target=made.server.serve_forever, args=(0.05,), daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def serve(name: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> small_archives.Small:
    """Put a small data set on the server."""
    small = small_archives.ARCHIVES[name](server.folder, monkeypatch)
    if name == "svhn":
        dataset = torchvision.datasets.SVHN
        here = {part: [server.url + file, file, md5] for part, (_, file, md5) in dataset.split_list.items()}
        monkeypatch.setattr(dataset, "split_list", here)
    return small


def ignored(_name: str, _done: int, _total: int | None) -> None:
    """Nobody looks at the progress."""


def left_in(folder: Path) -> list[str]:
    """All files below a folder but locks."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")


@pytest.mark.parametrize("name", NAMES)
def test_every_data_set_is_downloaded_made_and_loaded(
    name: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, told = serve(name, server, monkeypatch), list[tuple[str, int, int | None]]()
    fetch(small.named, tmp_path / "data", lambda *advance: told.append(advance))
    dataset = catalogue.load(name, tmp_path / "data")
    assert (dataset.train_images.permute(0, 2, 3, 1).squeeze(3).numpy() == small.arrays["x_train"]).all()
    assert (dataset.test_labels.numpy() == small.arrays["y_test"]).all()
    for file in small.files:
        size = file.stat().st_size
        assert (file.name, size, size) in told
    assert left_in(tmp_path / "data") == sorted([f"{name}.npz", *(file.name for file in small.files)])
    requests = len(server.asked)
    fetch(small.named, tmp_path / "data", ignored)  # it is there
    assert len(server.asked) == requests == len(small.files)


def test_what_is_there_already_is_not_downloaded_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = serve("fashion-mnist", server, monkeypatch)
    there = tmp_path / small.files[0].relative_to(server.folder)
    there.parent.mkdir(parents=True)
    there.write_bytes(small.files[0].read_bytes())
    fetch(small.named, tmp_path, ignored)
    assert [Path(asked).name for asked in server.asked] == [file.name for file in small.files[1:]]


def test_what_torchvision_has_unpacked_is_not_downloaded_either(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = small_archives.cifar10(tmp_path, monkeypatch)
    small_archives.unpack(small, tmp_path)
    fetch(small.named, tmp_path, ignored)
    assert not server.asked
    assert catalogue.path_of(small.named, tmp_path).exists()


def test_the_next_mirror_is_tried(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = serve("kmnist", server, monkeypatch)
    dataset = torchvision.datasets.KMNIST
    monkeypatch.setattr(dataset, "mirrors", [f"{server.url}nowhere/", *dataset.mirrors])
    fetch(small.named, tmp_path, ignored)
    assert len(server.asked) == 2 * len(small.files)


def not_found(handler: http.server.SimpleHTTPRequestHandler) -> None:
    handler.send_error(404)


def something_else(handler: http.server.SimpleHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"<html>Please log in</html>")


def breaks_off(handler: http.server.SimpleHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(b"only the beginning")


def stalls(handler: http.server.SimpleHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.flush()
    time.sleep(1)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (not_found, "HTTPError: HTTP Error 404: Not Found"),
        (something_else, "its checksum is wrong"),
        (breaks_off, "the connection ended after 18 of 100,000 bytes"),
        (stalls, "TimeoutError: timed out"),
    ],
)
def test_a_failed_download_names_the_files_and_their_folder_and_leaves_nothing(
    answer: Callable[[http.server.SimpleHTTPRequestHandler], None],
    reason: str,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = serve("cifar10", server, monkeypatch)
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", 0.3)
    server.answer = answer
    with pytest.raises(MissingDataError) as error:
        fetch(small.named, tmp_path / "data", ignored)
    assert str(error.value) == (
        f"CIFAR-10 is not in {tmp_path / 'data'} (the download failed, {server.url}cifar-10-python.tar.gz: {reason}):"
        " get it with `fluidrelu data fetch cifar10` where there is a network, put cifar-10-python.tar.gz into"
        f" {tmp_path / 'data'}, or name another folder with --data-dir."
    )
    assert left_in(tmp_path / "data") == []
    server.answer = None
    fetch(small.named, tmp_path / "data", ignored)


def test_no_server_at_all(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = serve("cifar10", server, monkeypatch)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    with pytest.raises(MissingDataError, match="Connection refused"):
        fetch(small.named, tmp_path, ignored)


def test_ctrl_c_keeps_whole_files_alone(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = serve("fashion-mnist", server, monkeypatch)

    def interrupt(name: str, _done: int, _total: int | None) -> None:
        if name == small.files[1].name:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(small.named, tmp_path / "data", interrupt)
    assert left_in(tmp_path / "data") == [small.files[0].name]


def test_a_full_disk_is_told(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = serve("svhn", server, monkeypatch)

    def full(_name: str, _done: int, _total: int | None) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DataError, match=r"SVHN cannot be kept in .*\(No space left on device\).*--data-dir") as error:
        fetch(small.named, tmp_path / "data", full)
    assert not isinstance(error.value, MissingDataError)
    assert left_in(tmp_path / "data") == []


def test_two_that_fetch_at_once_download_once(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = serve("fashion-mnist", server, monkeypatch)
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda _: fetch(small.named, tmp_path, ignored), range(2)))
    assert len(server.asked) == len(small.files)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    made = tmp_path / "work"
    made.mkdir()
    monkeypatch.chdir(made)
    return made


@pytest.mark.usefixtures("folder")
def test_training_fetches_what_is_missing_unless_it_may_not(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    serve("cifar10", server, monkeypatch)
    command = ("train", "--dataset", "CIFAR10", "--model", "cnn3", "--epochs", 1, "--device", "cpu", "--data-dir", "d")
    output = words(fluidrelu(*command, "--offline", code=1))
    assert (
        "Error: CIFAR-10 is not in d (--offline forbids the download): get it with `fluidrelu data fetch cifar10`"
        " where there is a network, put cifar-10-python.tar.gz into d, or name another folder with --data-dir."
        in output
    )
    assert not server.asked
    output = words(fluidrelu(*command))
    assert "cifar-10-python.tar.gz: 0.1 MB" in output
    assert "fluid seed 0: epoch 1/1" in output
    assert "made again, and every number" in words(
        fluidrelu("verify", "results/local/runs/fluid-seed0.csv", "--data-dir", "d", "--offline")
    )
    assert len(server.asked) == 1


def test_the_commands_for_data(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = serve("kmnist", server, monkeypatch)
    here = ("--data-dir", folder / "data")
    assert "No data set is in" in fluidrelu("data", "verify", *here)
    assert "`fluidrelu data fetch kmnist` gets it" in words(fluidrelu("data", "verify", "kmnist", *here, code=1))
    assert "comes with the package" in words(fluidrelu("data", "list", *here))
    assert f"kmnist: {folder / 'data' / 'kmnist.npz'}" in "".join(
        fluidrelu("data", "fetch", "KMNIST", *here).split("\n")
    )
    listed = fluidrelu("data", "list", *here)
    assert all(f"\n {name} " in listed for name in CATALOGUE)
    assert "here" in listed
    verified = words(fluidrelu("data", "verify", *here))
    what = "20 + 10 images of 1 x 28 x 28, 10 classes; sha256 " + catalogue.load("kmnist", folder / "data").sha256
    assert verified == f"kmnist: whole and of the right shape (no digest to compare with); {what}"
    npz = catalogue.path_of(small.named, folder / "data")
    npz.write_bytes(npz.read_bytes()[:-100])
    output = words(fluidrelu("data", "verify", "mnist", "kmnist", *here, code=1))
    assert "kmnist.npz is damaged: `fluidrelu data fetch kmnist` makes it again." in output
    fluidrelu("data", "fetch", "mnist", "kmnist", *here)
    with FileLock(folder / "data" / "kmnist.lock"):
        assert "Another fluidrelu is getting Kuzushiji-MNIST: waiting" in words(waiting("kmnist", folder / "data"))
    assert "mnist: as published; 60,000 + 10,000 images" in words(fluidrelu("data", "verify", *here))


def waiting(name: str, folder: Path) -> str:
    """What a `data fetch` says on stderr before it is stopped."""
    command = [sys.executable, "-m", "fluidrelu_cli", "data", "fetch", name, "--data-dir", str(folder)]
    package = {**os.environ, "PYTHONPATH": str(Path(catalogue.__file__).parents[2])}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=package) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        process.kill()
    return said


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            "fetch minst",
            2,
            "There is no data set 'minst'. Did you mean mnist? Name one of mnist, fashion-mnist, kmnist, cifar10",
        ),
        ("fetch", 2, "Missing argument"),
        ("verify nosuch.npz", 1, "There is no file nosuch.npz"),
        ("verify minst", 2, "There is no data set 'minst'"),
        ("ftech", 2, "No such command"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_wrong_requests_for_data(arguments: str, code: int, message: str) -> None:
    output = words(fluidrelu("data", *arguments.split(), code=code).replace("│", " "))
    assert message in output
    assert "Traceback" not in output
