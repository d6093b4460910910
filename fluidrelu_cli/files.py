"""Files that appear whole or not at all, and the two formats of a study: JSON objects and CSV tables."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluidrelu_cli.errors import DamagedFileError, StorageError

if TYPE_CHECKING:
    import pandas as pd

Columns = dict[str, list[Any]]
"""A CSV's columns by name: as lists, because a data frame for each of a thousand small files takes seconds."""

MEETING_SECONDS = 0.2
"""How long to try for a lock before another process counts as having it, and not as one that looks (is_locked)."""

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""What a file system that cannot lock files answers."""


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it appears whole or not at all; StorageError says what to do if it cannot be written."""
    data = content.encode() if isinstance(content, str) else content
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with scratch.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(path)
            _sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                scratch.unlink()
            raise
    except OSError as error:
        raise _cannot_write(path, error) from error


@contextlib.contextmanager
def lock_file(path: Path, option: str, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock that only one process can have at a time.

    Args:
        path: the lock's file.
        option: what names another folder on the command line.
        on_wait: called when another process has the lock, before this one waits for it; it may raise instead.

    Raises:
        StorageError: if the file system cannot lock files.
        OSError: if the file cannot be opened.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, fallback_to_soft=False)  # which would warn, and not see other machines' processes
    try:
        try:
            lock.acquire(timeout=MEETING_SECONDS, poll_interval=0.01)
        except Timeout:
            on_wait()
            lock.acquire()
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in NO_LOCKS:
            raise
        raise StorageError(
            f"{path.parent} is on a file system that cannot lock files ({getattr(error, 'strerror', None) or error})."
            f" Name a folder on another one with {option}."
        ) from error
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether a process holds a lock (:func:`lock_file`), as far as that can be found out; no file is written.

    It is found out by sharing the lock for a moment, which whoever wants it waits for. That takes a file that may be
    read, where FileLock wants one that may be written: in somebody else's folder, too.
    """
    with contextlib.suppress(ImportError, OSError):  # Windows locks files otherwise
        import fcntl

        if path.is_file():  # to open a pipe would wait for ever
            with path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return True
    return False


def _sync_folder(folder: Path) -> None:
    """Have a rename survive a power failure, where folders can be flushed."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace_folder(folder: Path, contents: Mapping[str, str | bytes]) -> None:
    """Replace a folder of derived files as a whole: what an earlier call wrote and this one does not is gone.

    Args:
        folder: the folder.
        contents: each file's content by its path in the folder.

    Raises:
        StorageError: if it cannot be written; then the folder is as it was.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with lock_file(folder.with_name(f".{folder.name}.lock"), "--results"):
            for leftover in folder.parent.glob(f".{folder.name}.*.tmp"):  # of a process that was killed
                _remove(leftover)
            scratch, aside = (folder.with_name(f".{folder.name}.{end}.tmp") for end in ("new", "old"))
            try:
                for name, content in contents.items():
                    path = scratch / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content.encode() if isinstance(content, str) else content)
                if folder.exists():
                    folder.rename(aside)
                scratch.rename(folder)
            finally:
                if aside.exists() and not folder.exists():
                    aside.rename(folder)
                for leftover in (scratch, aside):
                    with contextlib.suppress(OSError):
                        _remove(leftover)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written ({error.strerror or error}): make room or make its folder writable, or copy"
            " the study to one that is."
        ) from error


def _remove(path: Path) -> None:
    """Remove a file, a link (not what it leads to) or a folder; nothing if there is none."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _cannot_write(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path} cannot be written ({error.strerror or error}): make room or make the folder writable,"
        " or name another with --results, and run the same command again; what is finished is kept."
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file's object.

    Raises:
        StorageError: if it cannot be read.
        DamagedFileError: if it holds something else, or was sealed (:func:`sealed_json`) and changed since.
    """
    try:
        value = json.loads(_read_text(path))
        intact = not isinstance(value, dict) or SEAL not in value or value[SEAL] == _hash_fields(value)
    except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError
        raise DamagedFileError(f"{path} is damaged ({error})") from error
    if not isinstance(value, dict):
        raise DamagedFileError(f"{path} is damaged (it holds no JSON object)")
    if not intact:
        raise DamagedFileError(f"{path} was changed after it was written (its {SEAL} does not fit)")
    return value


SEAL = "sha256"
"""The field of a JSON object that has the digest of all others."""


def sealed_json(value: Mapping[str, Any]) -> str:
    """An object as the text of a JSON file that has its own digest, which :func:`read_json` checks.

    It is the first field, so that its line can be deleted by whoever edits the file by hand.
    """
    return json.dumps({SEAL: _hash_fields(value), **_without_seal(value)}, indent=2) + "\n"


def json_text(value: object) -> str:
    """A value as JSON for other programs, indented; a number that is not finite is null, which every reader knows."""
    return json.dumps(_without_nan(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _without_nan(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _without_nan(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _hash_fields(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(_without_seal(value), sort_keys=True).encode()).hexdigest()


def _without_seal(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: field for name, field in value.items() if name != SEAL}


LARGEST_FILE = 2**30
"""More bytes than any file of a study has: a run of 10,000 epochs with 1,000 kernels has half as many."""


def _read_text(path: Path) -> str:
    """A file's text. StorageError if it cannot be read, UnicodeDecodeError if it is no text."""
    with io.TextIOWrapper(
        io.BytesIO(read_bytes(path)), encoding="utf-8-sig"
    ) as text:  # a spreadsheet may have put a mark
        return text.read()


def read_bytes(path: Path) -> bytes:
    """A file of a study; StorageError if it cannot be read."""
    try:
        if path.exists() and not path.is_file():  # to read a pipe would wait for ever
            raise StorageError(f"{path} is not a file: move it away")
        if path.exists() and path.stat().st_size > LARGEST_FILE:
            raise DamagedFileError(f"{path} is damaged (no file of a study has more than {LARGEST_FILE:,} bytes)")
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path} cannot be read ({error.strerror or error})") from error


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV: every float with the digits that give it back exactly."""
    return table.to_csv(index=False, lineterminator="\n", na_rep="nan")


def csv_rows(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV, as :func:`csv_text` writes a table of them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def hash_rows(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """The SHA-256 of rows, as :func:`csv_rows` writes them."""
    return hashlib.sha256(csv_rows(columns, rows).encode()).hexdigest()


def read_csv(path: Path, columns: Mapping[str, Callable[[str], Any]]) -> Columns:
    """A CSV file's columns, each value as its column's function reads it.

    Raises:
        StorageError: if it cannot be read.
        DamagedFileError: if its columns are others, a value is of another type, or it ends within a line.
    """
    try:
        text = _read_text(path)
        rows = filter(None, csv.reader(io.StringIO(text), strict=True))
        # What a short row lacks is "", no number; what a long one has too much is a column without a name.
        table = [(name, values) for name, *values in zip_longest(*rows, fillvalue="")]
        if [name for name, _ in table] != list(columns):
            raise DamagedFileError(f"{path} is damaged (its columns are not {', '.join(columns)})")
        # Python's own conversions: they give back exactly what was written.
        converted = {name: list(map(columns[name], values)) for name, values in table}
    except (ValueError, csv.Error) as error:  # a UnicodeDecodeError is a ValueError
        raise DamagedFileError(f"{path} is damaged ({error})") from error
    if not text.endswith("\n"):
        raise DamagedFileError(f"{path} is damaged (it ends within a line)")
    return converted
