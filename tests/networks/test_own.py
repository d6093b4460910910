"""A user's own classes and functions: found in the folder they work in, and known by their file's digest."""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.networks.own import file_sha256, imported, is_own

OWN = """
import functools

print("said on import")

class Class:
    class Inner:
        pass

def function():
    pass

@functools.wraps(function)
def wrapped(*args):
    return function(*args)

partial = functools.partial(function)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder that Python does not look into by itself, with modules that are forgotten afterwards."""
    (tmp_path / "own_code.py").write_text(OWN)
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "__init__.py").touch()
    (tmp_path / "own_package" / "inner.py").write_text("class Class:\n    pass\n")
    (tmp_path / "own_code_leaving.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "own_code_wrong.py").write_text("def f(:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("own_")]:
        sys.modules.pop(name)


@pytest.mark.parametrize(
    ("name", "own"), [("mine:Act", True), ("a.b:C", True), (":", True), ("relu", False), ("a.b.C", False), ("", False)]
)
def test_a_users_own_is_told_by_its_colon(name: str, own: bool) -> None:
    assert is_own(name) == own


@pytest.mark.usefixtures("folder")
def test_modules_and_packages_of_the_current_folder_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert imported("own_code:Class", "network").__name__ == "Class"
    assert imported("own_package.inner:Class", "network").__module__ == "own_package.inner"
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "said on import\n")  # stdout is for results


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("kind", ["activation", "network"])
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("own_nothing:Class", "ModuleNotFoundError: No module named 'own_nothing'"),
        ("own_code:Missing", "AttributeError: module 'own_code' has no attribute 'Missing'"),
        ("own_code:", "AttributeError: module 'own_code' has no attribute ''"),
        (":Class", "ValueError: Empty module name"),
        ("own_code_leaving:Class", "SystemExit: 3"),
        ("own_package.none:Class", "ModuleNotFoundError: No module named 'own_package.none'"),
    ],
)
def test_what_cannot_be_imported_is_told_in_one_sentence(name: str, found: str, kind: str) -> None:
    with pytest.raises(UsageError) as caught:
        imported(name, kind)
    assert str(caught.value) == (
        f"The {kind} '{name}' cannot be imported ({found}): write it as module:Class, with the module in this folder or"
        " installed."
    )


@pytest.mark.usefixtures("folder")
def test_a_module_that_is_no_python_is_told_in_one_line() -> None:
    with pytest.raises(UsageError, match=r"^The network 'own_code_wrong:f' cannot be imported \(SyntaxError: [^\n]*$"):
        imported("own_code_wrong:f", "network")


def test_the_digest_is_that_of_the_file_in_which_something_was_written(folder: Path) -> None:
    digest = hashlib.sha256(OWN.encode()).hexdigest()
    for name in ("Class", "function", "wrapped"):
        assert file_sha256(imported(f"own_code:{name}", "network")) == digest
    inner = hashlib.sha256((folder / "own_package" / "inner.py").read_bytes()).hexdigest()
    assert file_sha256(imported("own_package.inner:Class", "network")) == inner


@pytest.mark.parametrize("made", [len, dict, 7, functools.partial(len)], ids=str)
def test_what_was_not_written_in_python_has_no_digest(made: object) -> None:
    assert file_sha256(made) is None


def test_code_that_was_changed_after_its_import_is_refused(folder: Path) -> None:
    made = imported("own_code:Class", "network")
    assert file_sha256(made) == file_sha256(made)
    (folder / "own_code.py").write_text(OWN + "\n")
    with pytest.raises(UsageError) as caught:
        file_sha256(made)
    assert str(caught.value) == (
        f"{folder}/own_code.py was changed after it had been imported: start the workers again."
    )


@pytest.mark.usefixtures("folder")
def test_a_callable_object_of_a_users_file_has_its_digest() -> None:
    """As functools.partial makes one of a function: its numbers depend on that file as well."""
    assert file_sha256(imported("own_code:partial", "network")) == hashlib.sha256(OWN.encode()).hexdigest()
