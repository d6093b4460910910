"""Downloads, from a server on this machine: what arrives, what is kept, and every way in which it goes wrong."""

from __future__ import annotations

import errno
import http.server
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import small_archives
import torchvision
from data_server import Server, run_server

from fluidrelu_cli.data import downloads
from fluidrelu_cli.data.catalogue import CATALOGUE, path_of
from fluidrelu_cli.data.downloads import fetch
from fluidrelu_cli.data.store import read_named
from fluidrelu_cli.errors import DataError, MissingDataError


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with run_server(tmp_path / "served", monkeypatch) as server:
        yield server


def list_files(folder: Path) -> list[str]:
    """All files below a folder but locks."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name != "mnist"])
def test_every_data_set_is_downloaded_once_and_made(
    name: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, told = server.serve(name, monkeypatch), list[tuple[str, int, int | None]]()
    fetch(small.named, tmp_path / "data", lambda *advance: told.append(advance))
    dataset = read_named(small.named, tmp_path / "data")
    assert (dataset.train_images.permute(0, 2, 3, 1).squeeze(3).numpy() == small.arrays["x_train"]).all()
    assert (dataset.test_labels.numpy() == small.arrays["y_test"]).all()
    for file in small.files:
        size = file.stat().st_size
        assert (file.name, size, size) in told
    assert list_files(tmp_path / "data") == sorted([f"{name}.npz", *(file.name for file in small.files)])
    fetch(small.named, tmp_path / "data")
    assert len(server.asked) == len(small.files)


def test_an_archive_that_was_kept_is_not_downloaded_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = server.serve("fashion-mnist", monkeypatch)
    kept = tmp_path / small.files[0].relative_to(server.folder)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(small.files[0].read_bytes())
    fetch(small.named, tmp_path)
    assert [Path(asked).name for asked in server.asked] == [file.name for file in small.files[1:]]


def test_what_torchvision_has_unpacked_is_not_downloaded_either(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = small_archives.cifar10(tmp_path, monkeypatch)
    small_archives.unpack(small, tmp_path)
    fetch(small.named, tmp_path)
    assert not server.asked
    assert path_of(small.named, tmp_path).exists()


def test_the_next_mirror_is_tried(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = server.serve("kmnist", monkeypatch)
    dataset = torchvision.datasets.KMNIST
    monkeypatch.setattr(dataset, "mirrors", [f"{server.url}nowhere/", *dataset.mirrors])
    fetch(small.named, tmp_path)
    assert len(server.asked) == 2 * len(small.files)


Handler = http.server.SimpleHTTPRequestHandler
gave_up = threading.Event()
"""The client of a server that stalls has given up."""


def not_found(handler: Handler) -> None:
    handler.send_error(404)


def something_else(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"<html>Please log in</html>")


def breaks_off(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(b"only the beginning")


def stalls(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.flush()
    gave_up.wait(60)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (not_found, "HTTPError: HTTP Error 404: Not Found"),
        (something_else, "its checksum is wrong"),
        (breaks_off, "the connection ended after 18 of 100,000 bytes"),
        (stalls, "TimeoutError: timed out"),
    ],
)
def test_messages(
    answer: Callable[[Handler], None], reason: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, folder = server.serve("cifar10", monkeypatch), tmp_path / "data"
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", 0.3 if answer is stalls else 60)
    server.answer = answer
    gave_up.clear()
    with pytest.raises(MissingDataError) as error:
        fetch(small.named, folder)
    gave_up.set()
    assert str(error.value) == (
        f"CIFAR-10 is not in {folder} (the download failed, {server.url}cifar-10-python.tar.gz: {reason}). Run"
        f" `fluidrelu data fetch cifar10` where there is a network, put cifar-10-python.tar.gz into {folder} yourself,"
        " or name another folder with --data-dir."
    )
    assert list_files(folder) == []
    server.answer = None
    fetch(small.named, folder)


def test_a_server_that_does_not_answer_at_all(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = server.serve("cifar10", monkeypatch)
    server.server.shutdown()
    server.server.server_close()
    with pytest.raises(MissingDataError, match="Connection refused"):
        fetch(small.named, tmp_path / "data")


def test_ctrl_c_keeps_whole_files_alone(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = server.serve("fashion-mnist", monkeypatch)

    def interrupt(name: str, _done: int, _total: int | None) -> None:
        if name == small.files[1].name:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(small.named, tmp_path / "data", interrupt)
    assert list_files(tmp_path / "data") == [small.files[0].name]


def test_a_full_disk_is_no_failed_download(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = server.serve("svhn", monkeypatch)

    def full(_name: str, _done: int, _total: int | None) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DataError, match=r"SVHN cannot be kept in .*\(No space left on device\)") as error:
        fetch(small.named, tmp_path / "data", full)
    assert not isinstance(error.value, MissingDataError)
    assert list_files(tmp_path / "data") == []


def test_two_that_fetch_at_once_download_once(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = server.serve("fashion-mnist", monkeypatch)
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda _: fetch(small.named, tmp_path), range(2)))
    assert len(server.asked) == len(small.files)
