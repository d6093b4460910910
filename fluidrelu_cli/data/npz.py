"""The arrays of an npz file, which may come from a stranger: none is unpacked before all that it claims is checked."""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fluidrelu_cli.errors import BadArraysError, DataError, UsageError, one_line

npy: Any = np.lib.format  # numpy's own types leave it out in part, depending on its version

HEADER_BYTES = 10_000 + 12
"""The longest header that numpy accepts, and what precedes it."""

LARGEST_RATIO = 1032
"""How many bytes a byte of a zip file can become: deflate needs two bits for 258 equal ones."""

_HEADER_READERS: Mapping[Any, Callable[[Any], Any]] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}


@dataclass(frozen=True)
class Header:
    """What a member of an npz file claims to be."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def read_arrays(path: Path, names: Sequence[str], check: Callable[[Mapping[str, Header]], None]) -> dict[str, Any]:
    """Read arrays from an npz file, without pickle.

    Args:
        path: the file.
        names: the arrays; others are ignored.
        check: is given what they claim to be before any is unpacked, and raises if it does not want them.

    Raises:
        UsageError: if there is no such file.
        BadArraysError: if it is no sound npz file, or lacks an array.
        DataError: if it cannot be read, or does not fit into memory.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe or a device may never end
            raise DataError(f"{path} is a folder, a pipe or a device, not a file. Name an npz file.")
        with path.open("rb") as file:
            if file.peek(2)[:2] != b"PK":  # numpy takes a zip file that begins with something else for none
                raise BadArraysError(f"{path} is no npz file. Save {', '.join(names)} with numpy.savez.")
            with zipfile.ZipFile(file) as archive:
                return _read_checked(archive, path, names, check)
    except (FileNotFoundError, NotADirectoryError) as error:
        where = "" if path.is_absolute() else f" in {Path.cwd()}"
        raise UsageError(
            f"There is no file {path}{where}. Correct its path, put the file there, or go to the folder in which its"
            " study was trained."
        ) from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror or error}). Make it readable, or name another."
        ) from error
    except MemoryError as error:
        raise DataError(f"{path} does not fit into memory. Save fewer images, or save them as uint8.") from error
    except (EOFError, OverflowError, struct.error, zipfile.BadZipFile, zlib.error) as error:
        raise BadArraysError(f"{path} is damaged or incomplete ({one_line(error)}). Copy it again.") from error
    except (RuntimeError, ValueError) as error:
        raise BadArraysError(
            f"{path} cannot be read as an npz file ({one_line(error)}). Save plain arrays of numbers with numpy.savez."
        ) from error


def _read_checked(
    archive: zipfile.ZipFile, path: Path, names: Sequence[str], check: Callable[[Mapping[str, Header]], None]
) -> dict[str, Any]:
    members = _find_members(archive, path, names)
    headers = {name: _read_header(archive, member, f"{path}: {name}") for name, member in members.items()}
    check(headers)
    # Images become uint8 afterwards, and both are in memory for a while.
    needed = sum(header.nbytes + math.prod(header.shape) for header in headers.values())
    free = measure_free_memory()
    if needed > free:
        raise DataError(
            f"{path} would take {needed / 1e6:,.0f} MB of memory, and {free / 1e6:,.0f} MB are free. Save fewer images,"
            " or save them as uint8."
        )
    arrays = {}
    for name, member in members.items():
        with archive.open(member) as file:
            arrays[name] = npy.read_array(file, allow_pickle=False)
    return arrays


def _find_members(archive: zipfile.ZipFile, path: Path, names: Sequence[str]) -> dict[str, zipfile.ZipInfo]:
    """The member of each array, which has to be one that numpy may have written."""
    present = [(member.filename.removesuffix(".npy"), member) for member in archive.infolist()]
    missing = [name for name in names if name not in dict(present)]
    if missing:
        others = [name for name, _ in present if name not in names]
        meant = {name: other for name in missing for other in others if _key(other) == _key(name)}
        save = ", ".join(f"{meant[name]} as {name}" if name in meant else name for name in missing)
        has = ", ".join(name for name, _ in present) or "nothing"
        raise BadArraysError(f"{path} lacks {', '.join(missing)} (it has {has}). Save {save}, with numpy.savez.")
    wanted = [(name, member) for name, member in present if name in names]
    for name, member in wanted:
        problem = None
        if dict(wanted)[name] is not member:
            problem = "is there twice"
        elif member.flag_bits & 1:
            problem = "is encrypted"
        elif member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # zipfile unpacks others unbounded
            problem = "is compressed in a way that numpy does not use"
        if problem:
            raise BadArraysError(f"{path}: {name} {problem}. Save plain arrays of numbers with numpy.savez.")
    return dict(wanted)


def _key(name: str) -> list[str]:
    """What usual names of one array have in common: x_train, X_train, train_x, trainX, train_images."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_")
    return sorted(_MEANINGS.get(word, word) for word in words)


_MEANINGS = dict.fromkeys(("image", "images", "data", "input", "inputs"), "x") | dict.fromkeys(
    ("label", "labels", "target", "targets"), "y"
)


def _read_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> Header:
    """What a member claims to be, if it is an array of numbers and can have as many bytes as it claims."""
    with archive.open(member) as file:
        head = io.BytesIO(file.read(HEADER_BYTES))  # a header may claim to have gigabytes
    reader = _HEADER_READERS.get(npy.read_magic(head)) if head.getvalue().startswith(npy.MAGIC_PREFIX) else None
    try:
        shape, _, dtype = reader(head) if reader else ((), False, np.dtype(object))
    except Exception as error:  # numpy has Python parse a header
        raise BadArraysError(f"{where} has no header of an array ({one_line(error)}). Copy the file again.") from error
    if dtype.hasobject:
        raise BadArraysError(f"{where} is no array of numbers. Save plain arrays of numbers with numpy.savez.")
    header = Header(shape, dtype)
    size = min(member.file_size, LARGEST_RATIO * member.compress_size)
    if head.tell() + header.nbytes > size:
        raise BadArraysError(
            f"{where} is damaged or incomplete (of shape {header.shape}, it cannot be in {size:,} bytes)."
            " Copy the file again."
        )
    return header


def measure_free_memory() -> float:
    """About how many bytes this process can get: what the system or the container says; infinite if neither does."""
    sizes = [math.inf]
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):  # of a container
        with contextlib.suppress(OSError, ValueError):
            sizes.append(int(Path(file).read_text()))
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with contextlib.suppress(OSError):
        available = re.search(r"^MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
        sizes += [1024 * int(available[1])] if available else []
    return min(sizes)
