"""Files appear whole or not at all, folders of derived files are replaced whole, and tables come back exactly."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluidrelu_cli.errors import StorageError
from fluidrelu_cli.files import csv_rows, csv_text, replace_folder, write_whole


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
    replace_folder(folder, {"c.csv": "three"})
    assert read_folder(folder) == {"c.csv": b"three"}
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("renames", [0, 1])
def test_folder_that_cannot_be_replaced_stays(renames: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "report"
    replace_folder(folder, {"a.csv": "one"})
    rename, left = Path.rename, [None] * renames

    def rename_while_there_is_room(self: Path, target: Path) -> Path:
        if not left and folder not in (self, target):
            return rename(self, target)
        if not left and self != folder.with_name(f".report.{os.getpid()}.old.tmp"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if left:
            left.pop()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_while_there_is_room)
    with pytest.raises(StorageError, match=r"report cannot be written \(No space left on device\)"):
        replace_folder(folder, {"b.csv": "two"})
    assert read_folder(folder) == {"a.csv": b"one"}
    assert list(tmp_path.iterdir()) == [folder]
