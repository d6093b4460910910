"""A user's own classes and functions: found in the folder they work in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.networks.own import import_copy, import_own, suggest_own
from fluidrelu_cli.protocol import is_own

OWN = """
import functools

print("said on import")

class Class:
    class Inner:
        pass

def function():
    pass

def _hidden():
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
    (tmp_path / "own_code_needing.py").write_text("\nimport own_nothing\n")
    (tmp_path / "own_code_helped.py").write_text("import own_code_helper\n")
    (tmp_path / "own_code_helper.py").write_text("import json\n\nSIZES = json.loads('[')\n")
    (tmp_path / "own_package" / "deep.py").write_text("\n\nint('x')\n")
    (tmp_path / "own_gathering").mkdir()
    (tmp_path / "own_gathering" / "__init__.py").write_text("from torch import nn\nfrom .inner import Class as Act\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("own_")]:
        sys.modules.pop(name)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        *(("mine:Act", True), ("a.b:C", True), (":", True), ("relu", False), ("a.b.C", False), ("", False)),
        *(("mine:Act@lr=0.1", True), ("paper:Net", True), ("paper:pooling=average", False), ("paper:hidden=", False)),
    ],
)
def test_a_colon_with_no_option_behind_it_marks_a_users_own(name: str, own: bool) -> None:
    assert is_own(name) == own


@pytest.mark.usefixtures("folder")
def test_modules_and_packages_of_the_current_folder_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert import_own("own_code:Class", "network").__qualname__ == "Class"
    assert import_own("own_code:Class.Inner", "network").__qualname__ == "Class.Inner"
    assert import_own("own_package.inner:Class", "network").__module__ == "own_package.inner"
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "said on import\n")  # stdout is for results


FORM = "Write it as module:Class, with the module in this folder or installed."
CORRECT = "Correct that line, or install what it needs."


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "kind", "problem", "advice"),
    [
        ("own_nothing:Class", "activation", "ModuleNotFoundError: No module named 'own_nothing'", FORM),
        (":Class", "activation", "ValueError: Empty module name", FORM),
        ("own_package.none:Class", "network", "ModuleNotFoundError: No module named 'own_package.none'", FORM),
        (
            *("own_code.py:Class", "activation"),
            *("ModuleNotFoundError: No module named 'own_code.py'; 'own_code' is not a package",),
            "Did you mean own_code:Class?",
        ),
        (
            *("own_code:Missing", "activation", "AttributeError: module 'own_code' has no attribute 'Missing'"),
            "Did you mean own_code:Class?",
        ),
        (
            *("own_code:funktion", "network", "AttributeError: module 'own_code' has no attribute 'funktion'"),
            "Did you mean own_code:function?",
        ),
        (
            *("own_code:Class.Missing", "network"),
            "AttributeError: type object 'Class' has no attribute 'Missing'",
            "Name what that module defines, as module:Class.",
        ),
        ("own_code_leaving:Class", "network", "SystemExit: 3, in own_code_leaving.py line 1", CORRECT),
        (
            *("own_code_needing:Class", "network"),
            "ModuleNotFoundError: No module named 'own_nothing', in own_code_needing.py line 2",
            CORRECT,
        ),
        (
            *("own_code_helped:Class", "network"),
            "JSONDecodeError: Expecting value: line 1 column 2 (char 1), in own_code_helper.py line 3",
            CORRECT,
        ),
        (
            *("own_package.deep:Class", "network"),
            "ValueError: invalid literal for int() with base 10: 'x', in own_package/deep.py line 3",
            CORRECT,
        ),
    ],
)
def test_messages(name: str, kind: str, problem: str, advice: str) -> None:
    with pytest.raises(UsageError) as caught:
        import_own(name, kind)
    assert str(caught.value) == f"The {kind} '{name}' cannot be imported ({problem}). {advice}"
    assert caught.value.__cause__ is not None


@pytest.mark.usefixtures("folder")
def test_an_error_of_many_lines_becomes_one() -> None:
    with pytest.raises(UsageError) as caught:
        import_own("own_code_wrong:f", "network")
    assert str(caught.value).startswith("The network 'own_code_wrong:f' cannot be imported (SyntaxError: ")
    assert str(caught.value).endswith(f" (own_code_wrong.py, line 1)). {CORRECT}")
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "kind", "suggested"),
    [
        ("own_code", "activation", ["own_code:Class"]),
        ("own_code", "network", ["own_code:Class", "own_code:function", "own_code:wrapped"]),
        ("./own_code.py", "activation", ["own_code:Class"]),
        ("own_code.class", "activation", ["own_code:Class"]),
        ("own_code.Class.Inner", "activation", ["own_code:Class.Inner"]),
        ("own_package/inner.py", "activation", ["own_package.inner:Class"]),
        ("own_package.inner.Class", "activation", ["own_package.inner:Class"]),
        ("own_gathering", "activation", ["own_gathering:Act"]),
        ("own_package.Elsewhere", "activation", ["own_package:Elsewhere"]),
        ("own_code_wrong", "activation", ["own_code_wrong:Class"]),
        ("own_code_leaving.Act", "activation", ["own_code_leaving:Act"]),
        ("own_nothing", "activation", []),
        ("own_" * 200, "activation", []),
        ("own\0code", "activation", []),
        ("..", "activation", []),
        ("", "activation", []),
    ],
)
def test_a_name_that_is_nearly_right_is_looked_up_without_an_import(name: str, kind: str, suggested: list[str]) -> None:
    assert suggest_own(name, kind) == suggested
    assert not [module for module in sys.modules if module.startswith("own_")]


def test_a_copy_is_imported_in_place_of_the_module(folder: Path) -> None:
    (folder / "kept.py").write_text(OWN.replace("class Class:", "class Class:\n    kept = True"))
    import_copy("own_code:Class", folder / "kept.py")
    assert import_own("own_code:Class", "activation").kept
    (folder / "broken.py").write_text("\nimport own_nothing\n")
    with pytest.raises(
        UsageError, match=r"broken.py, the copy of what was trained as 'own_code:Class', cannot be impor"
    ):
        import_copy("own_code:Class", folder / "broken.py")
