"""A server on this machine instead of the network, for tests of data sets."""

from __future__ import annotations

import contextlib
import functools
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import small_archives
import torchvision


@contextlib.contextmanager
def forbid_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let nothing but this machine be reached, and fail if something was tried."""
    asked: list[object] = []
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] != "127.0.0.1":
            asked.append(address)
            raise AssertionError(f"{address} was asked for")
        connect(self, address)

    monkeypatch.setattr("socket.socket.connect", refuse)
    yield
    assert not asked  # also when somebody caught the AssertionError


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

    def serve(self, name: str, monkeypatch: pytest.MonkeyPatch) -> small_archives.Small:
        """Put a small data set on the server, and let torchvision look for it there."""
        small = small_archives.ARCHIVES[name](self.folder, monkeypatch)
        dataset = getattr(torchvision.datasets, small.named.torchvision)
        if name == "svhn":
            here = {part: [self.url + file, file, md5] for part, (_, file, md5) in dataset.split_list.items()}
            monkeypatch.setattr(dataset, "split_list", here)
        elif name.startswith("cifar"):
            monkeypatch.setattr(dataset, "url", f"{self.url}{dataset.filename}")
        else:
            monkeypatch.setattr(dataset, "mirrors", [f"{self.url}{small.named.torchvision}/raw/"])
        return small


@contextlib.contextmanager
def run_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve a folder, in which there is nothing yet."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder.mkdir()
    server = Server(folder)
    threading.Thread(target=server.server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.server.shutdown()
    server.server.server_close()
