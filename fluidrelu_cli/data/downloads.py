"""Download a named data set's archives from where torchvision would: each whole or not at all, with a time-out."""

from __future__ import annotations

import contextlib
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import TypeAlias

from fluidrelu_cli import __version__
from fluidrelu_cli.data.archives import Archive, explain_missing, list_archives, make_npz
from fluidrelu_cli.data.catalogue import Named
from fluidrelu_cli.data.store import OnWait, lock, read_named
from fluidrelu_cli.errors import BadArraysError, MissingDataError, one_line

TIMEOUT_SECONDS = 30
"""How long a server may be silent."""

CHUNK_BYTES = 2**16

NO_CONNECTION = (OSError, HTTPException)
"""What a connection that fails raises, a time-out among it."""

OnBytes: TypeAlias = Callable[[str, int, "int | None"], None]
"""Is given a file's name, how many bytes of it have arrived, and how many there will be if the server says so."""


def fetch(
    named: Named,
    data_dir: Path,
    on_bytes: OnBytes = lambda _name, _done, _total: None,
    on_wait: OnWait = lambda _title: None,
) -> None:
    """Get a named data set into ``data_dir``: download the archives that are missing, and make its npz file.

    Only one process does so at a time; the others wait for it, and find it done.

    Raises:
        MissingDataError: if a download fails; the message names the files and where they belong.
        DataError: if the data cannot be kept.
    """
    with lock(named, data_dir, on_wait):
        with contextlib.suppress(MissingDataError, BadArraysError):
            read_named(named, data_dir)
            return
        with contextlib.suppress(MissingDataError):
            make_npz(named, data_dir)  # from what is here
            return
        for archive in list_archives(named):
            if not archive.is_intact_in(data_dir):
                _download(named, archive, data_dir, on_bytes)
        make_npz(named, data_dir)


def _download(named: Named, archive: Archive, data_dir: Path, on_bytes: OnBytes) -> None:
    """Download an archive from the first of its addresses that has it."""
    place = data_dir / archive.path
    place.parent.mkdir(parents=True, exist_ok=True)
    part = data_dir / archive.part
    problems = []
    try:
        for url in archive.urls:
            problem = _transfer(url, part, lambda done, total: on_bytes(place.name, done, total))
            if problem is None and archive.is_intact(part):
                part.replace(place)
                return
            problems.append(f"{url}: {problem or 'its checksum is wrong'}")
    finally:
        part.unlink(missing_ok=True)
    raise explain_missing(named, data_dir, f"the download failed, {'; '.join(problems)}")


def _transfer(url: str, part: Path, on_bytes: Callable[[int, int | None], None]) -> str | None:
    """Copy what is at an address into a file; return what went wrong with the connection, if something did."""
    request = urllib.request.Request(url, headers={"User-Agent": f"fluidrelu/{__version__}"})
    done = 0
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except NO_CONNECTION as error:
        return one_line(error)
    with response, part.open("wb") as file:
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        while True:
            try:
                chunk = response.read(CHUNK_BYTES)
            except NO_CONNECTION as error:
                return one_line(error)
            if not chunk:
                broken_off = total is not None and done < total
                return f"the connection ended after {done:,} of {total:,} bytes" if broken_off else None
            file.write(chunk)  # a full disk is no matter of the connection
            done += len(chunk)
            on_bytes(done, total)
