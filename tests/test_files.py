"""Files appear whole or not at all, folders of derived files are replaced whole, and tables come back exactly."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import threading
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from fluidrelu_cli.errors import DamagedFileError, StorageError
from fluidrelu_cli.files import (
    csv_rows,
    csv_text,
    is_locked,
    json_text,
    lock_file,
    read_json,
    replace_folder,
    sealed_json,
    write_whole,
)


@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.replace"])
@pytest.mark.parametrize("before", [None, "the file that was there"])
def test_file_appears_whole_or_not_at_all(
    step: str, before: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.csv"
    if before is not None:
        path.write_text(before)

    def killed(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(step, killed)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, "new")
    assert [file.read_text() for file in tmp_path.iterdir()] == ([] if before is None else [before])


def test_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match=r"file\.csv cannot be written \(No space left on device\).*--results"):
        write_whole(tmp_path / "file.csv", "new")
    assert not list(tmp_path.iterdir())


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file/runs/a\.csv cannot be written.*--results"):
        write_whole(tmp_path / "file" / "runs" / "a.csv", "new")


@given(st.lists(st.tuples(st.text("ab,\"'é", min_size=1), st.integers(), st.floats()), max_size=5))
def test_rows_are_written_as_a_table_of_them_is(rows: list[tuple[str, int, float]]) -> None:
    table = pd.DataFrame(rows, columns=["name", "count", "value"]).astype({"count": object})
    assert csv_rows(["name", "count", "value"], rows) == csv_text(table)


def read_folder(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_folder_is_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "study" / "report"
    replace_folder(folder, {"a.csv": "one", "figures/b.svg": b"two"})
    assert read_folder(folder) == {"a.csv": b"one", "figures/b.svg": b"two"}
    for leftover in (".report.new.tmp", ".report.old.tmp"):  # of a process that was killed
        (folder.parent / leftover).mkdir()
        (folder.parent / leftover / "stale.csv").touch()
    replace_folder(folder, {"c.csv": "three"})
    assert read_folder(folder) == {"c.csv": b"three"}
    assert {path.name for path in folder.parent.iterdir()} == {"report", ".report.lock"}


@pytest.mark.parametrize("source", ["report", ".report.new.tmp"])
def test_folder_that_cannot_be_replaced_stays(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it cannot be moved aside, or the new one cannot be moved into its place."""
    folder = tmp_path / "report"
    replace_folder(folder, {"a.csv": "one"})
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == source:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(StorageError, match=r"report cannot be written \(No space left on device\)"):
        replace_folder(folder, {"b.csv": "two"})
    assert read_folder(folder) == {"a.csv": b"one"}
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_file_system_without_locks_is_told(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    words = rf"^{tmp_path} is on a file system that cannot lock files \({os.strerror(number)}\)\. Name a folder on"
    with pytest.raises(StorageError, match=words), lock_file(tmp_path / "lock", "--data-dir"):
        pass
    with pytest.raises(StorageError, match=rf"{words} another one with --results\.$"):
        replace_folder(tmp_path / "report", {"a.csv": "one"})
    assert not (tmp_path / "report").exists()


def test_lock_of_an_older_filelock_that_cannot_be_had_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.raises(StorageError, match=r"does not appear to support flock\)"), lock_file(tmp_path / "lock", "--x"):
        pass


def test_whether_a_lock_is_held_is_found_out_without_a_trace_and_without_being_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path)
    assert list(tmp_path.iterdir()) == []
    with lock_file(path, "--x"):
        assert is_locked(path)
    assert not is_locked(path)
    looking = FileLock(path, thread_local=False)
    looking.acquire()
    threading.Timer(0.05, looking.release).start()  # as slow as nobody looks
    with lock_file(path, "--x", pytest.fail):
        pass


def test_a_lock_is_looked_at_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In somebody else's folder, or on a file system that is read-only; root may write any file."""
    opened = os.open

    def refuse(path: str, flags: int, *arguments: int, **options: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, "Read-only file system")
        return opened(path, flags, *arguments, **options)

    path = tmp_path / "lock"
    with lock_file(path, "--x"):
        monkeypatch.setattr(os, "open", refuse)
        assert is_locked(path)
    assert not is_locked(path)


def test_what_can_be_no_lock_is_not_held(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert not is_locked(tmp_path / "folder")
    assert not is_locked(tmp_path / "pipe")


def test_lock_that_another_holds_is_waited_for_unless_one_does_not_want_to(tmp_path: Path) -> None:
    other = FileLock(tmp_path / "lock")
    other.acquire()

    def refuse() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), lock_file(tmp_path / "lock", "--x", refuse):
        pass
    with lock_file(tmp_path / "lock", "--x", other.release):
        assert not other.is_locked
    with other.acquire(timeout=0):
        pass


def test_links_and_files_in_place_of_derived_folders(tmp_path: Path) -> None:
    """A user may have made a link of `report`; what it leads to stays."""
    kept, report = tmp_path / "kept", tmp_path / "study" / "report"
    kept.mkdir()
    (kept / "file").touch()
    report.parent.mkdir()
    report.symlink_to(kept)
    (tmp_path / "study" / ".report.x.tmp").symlink_to(kept)
    for _ in range(2):
        replace_folder(report, {"new": "text"})
        assert not report.is_symlink()
        assert [path.name for path in report.iterdir()] == ["new"]
    assert [path.name for path in kept.iterdir()] == ["file"]
    assert sorted(path.name for path in report.parent.iterdir()) == [".report.lock", "report"]


def test_the_digest_is_a_line_that_can_be_deleted(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(sealed_json({"asked": {"relu": 3}, "nan": math.nan}))
    assert read_json(path)["asked"] == {"relu": 3}
    path.write_text(path.read_text().replace('"relu": 3', '"relu": 4'))
    with pytest.raises(DamagedFileError, match="was changed after it was written"):
        read_json(path)
    path.write_text("".join(line for line in path.read_text().splitlines(True) if '"sha256"' not in line))
    assert read_json(path)["asked"] == {"relu": 4}


def test_json_for_other_programs_has_null_where_a_number_is_not_finite() -> None:
    value = {"γ": (math.nan, [math.inf, -math.inf]), "exact": 0.1 + 0.2, "none": {}}
    assert json.loads(json_text(value)) == {"γ": [None, [None, None]], "exact": 0.1 + 0.2, "none": {}}
    assert json_text({"γ": 1}) == '{\n  "γ": 1\n}\n'


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    with path.open("wb") as file:
        file.truncate(2**40)  # a sparse one
    with pytest.raises(DamagedFileError, match="no file of a study has more than"):
        read_json(path)
