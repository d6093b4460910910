"""A user's own code as text: what of its file it uses, and which changes matter."""

from __future__ import annotations

import functools
import hashlib
import importlib
import linecache
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.networks.source import Source, cut_code, find_source

OWN = '''"""What this file is."""
import functools
import math
from json import *

K = 3
UNUSED = 4


def helper(v):
    """What it does."""
    return K * v  # three times


class Other:
    pass


@functools.lru_cache
class Class:
    """What it is."""

    class Inner:
        function = staticmethod(helper)


Class.beta = 10


@functools.wraps(helper)
def wrapped(v):
    return helper(v)


partial = functools.partial(helper)

if __name__ == "__main__":
    print(Class())
'''


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], types.ModuleType]]:
    """Write a module's text and import it, each time as another module."""
    monkeypatch.syspath_prepend(tmp_path)

    def write_module(text: str) -> types.ModuleType:
        name = f"own_source{len(list(tmp_path.glob('*.py')))}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield write_module
    for name in [name for name in sys.modules if name.startswith("own_source")]:
        del sys.modules[name]


PLAIN = OWN.replace("@functools.lru_cache\n", "")


def source_of(code: object) -> Source:
    source = find_source(code)
    assert source is not None
    return source


@pytest.mark.parametrize("name", ["Class", "Class.Inner", "helper", "wrapped", "partial"])
def test_a_source_is_the_defining_file(write: Callable[[str], types.ModuleType], name: str) -> None:
    """Also of what functools makes of a function: its numbers depend on that file as well."""
    code: Any = write(PLAIN)
    for part in name.split("."):
        code = getattr(code, part)
    assert source_of(code).text.decode() == PLAIN
    assert source_of(code).sha256 == hashlib.sha256(PLAIN.encode()).hexdigest()


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("# three times", "# thrice", True),
        ("What it is.", "It is another.", True),
        ('    """What it does."""\n', "", True),
        ("K * v", "(K  *  v)", True),
        ("class Other:\n    pass", "", True),
        ("UNUSED = 4", "UNUSED = 5", True),
        ("import math\n", "", True),
        ("print(Class())", "print(Class(), 2)", True),
        ("K = 3", "K = 4", False),
        ("K * v", "K / v", False),
        ("Class.beta = 10", "Class.beta = 1", False),
        ("from json import *", "from math import *", False),
    ],
)
def test_what_a_class_uses_makes_its_digest(
    write: Callable[[str], types.ModuleType], old: str, new: str, same: bool
) -> None:
    assert old in PLAIN
    before, after = (source_of(write(text).Class) for text in (PLAIN, PLAIN.replace(old, new)))
    assert (before.code_sha256 == after.code_sha256) == same
    assert after.is_known_as(before.sha256, before.code_sha256) == same
    assert before.is_known_as(before.sha256, None)
    assert not after.is_known_as(before.sha256, None)


MINE = '''\
"""My activations."""
import math
import os, torch
from torch import nn
from helpers import *

SCALE = math.sqrt(2)  # of everything
try:
    from fast import soften
except ImportError:
    # slower
    def soften(v):
        return v * SCALE
OTHER = os.sep

# Soft in two senses:
# it bends, and it learns nothing.
@torch.no_grad
class Soft(nn.Module):
    def forward(self, v):
        return soften(v)


class Hard(nn.Module):
    pass
'''

SOFT = """\
import math
import os, torch
from torch import nn
from helpers import *

SCALE = math.sqrt(2)  # of everything
try:
    from fast import soften
except ImportError:
    # slower
    def soften(v):
        return v * SCALE

# Soft in two senses:
# it bends, and it learns nothing.
@torch.no_grad
class Soft(nn.Module):
    def forward(self, v):
        return soften(v)"""


@pytest.mark.parametrize(
    ("source", "attribute", "shown"),
    [
        (MINE, "Soft", SOFT),
        (MINE, "Soft.Nested", SOFT),
        (MINE, "Missing", MINE),
        ("a = 1; b = a; c = 3", "b", "a = 1; b = a; c = 3"),
        ("class A: pass\n\n\n\nclass B(A): pass\nclass C: pass", "B", "class A: pass\n\n\n\nclass B(A): pass"),
        ("B = r = '\\d'\nx = 1\nclass A(B): pass", "A", "B = r = '\\d'\n\nclass A(B): pass"),
        ("class A(:", "A", "class A(:"),
        ("-" * 100_000 + "1", "A", "-" * 100_000 + "1"),
        ("A = '\0'", "A", "A = '\0'"),
        ("class A: pass\nx = 1\nA.beta = 10\n", "A", "class A: pass\n\nA.beta = 10"),
    ],
)
def test_a_definition_is_shown_with_what_it_uses(source: str, attribute: str, shown: str) -> None:
    assert cut_code(source, attribute) == shown


@pytest.mark.parametrize("code", [len, dict, 7, functools.partial(len)], ids=str)
def test_what_was_not_written_in_python_has_no_source(code: object) -> None:
    assert find_source(code) is None


def test_code_that_was_changed_after_its_import_is_refused(write: Callable[[str], types.ModuleType]) -> None:
    module = write(PLAIN)
    assert source_of(module.Class) == source_of(module.Class)
    assert module.__file__ is not None
    Path(module.__file__).write_text(PLAIN + "\n")
    with pytest.raises(UsageError) as caught:
        find_source(module.Class)
    assert str(caught.value) == (
        f"{module.__file__} was changed after it was imported."
        " Start the program again; on a cluster, the workers; in a notebook, the kernel."
    )


def test_a_class_of_a_notebook_is_known_by_its_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook's main module has no file; where each cell's source is, linecache knows."""
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))

    def run_cell(name: str, slope: float) -> type:
        source = f"class Act:\n    def forward(self, v):\n        return {slope} * v\n"
        monkeypatch.setitem(linecache.cache, name, (len(source), None, source.splitlines(keepends=True), name))
        scope: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(source, name, "exec"), scope)
        made: type = scope["Act"]
        return made

    first, same, other = (find_source(run_cell(f"<cell {n}>", slope)) for n, slope in enumerate((0.1, 0.1, 0.2)))
    assert first is not None
    assert first == same != other
    assert find_source(type("Act", (), {"__module__": "__main__"})) is None  # nothing to be known by
