"""Somebody's source code as a study keeps it: what is read, and what of it is shown."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from factories import keep_source

from fluidrelu_cli.report.sources import LARGEST_SOURCE, cut_out, read_source

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
    ],
)
def test_a_definition_is_shown_with_what_it_uses(source: str, attribute: str, shown: str) -> None:
    assert cut_out(source, attribute) == shown


def test_a_source_is_read_as_text(tmp_path: Path) -> None:
    digest = keep_source(tmp_path, "\ufeffa = 1\r\n\tb = '\u202e\x1b\xe9'\r".encode() + b"\xff")
    assert read_source(tmp_path, digest) == "a = 1\n        b = '\\u202e\\x1bé'\n\ufffd"


def test_what_is_not_the_source_that_was_trained_is_not_read(tmp_path: Path) -> None:
    kept, huge = (keep_source(tmp_path, content) for content in (b"a = 1", b"#" * (LARGEST_SOURCE + 1)))
    assert read_source(tmp_path, kept) == "a = 1"
    assert read_source(tmp_path, huge) is None
    (tmp_path / "sources" / f"{kept}.py").write_text("a = 2")
    assert read_source(tmp_path, kept) is None
    missing = hashlib.sha256(b"").hexdigest()
    assert read_source(tmp_path, missing) is None
    (tmp_path / "sources" / f"{missing}.py").mkdir()
    assert read_source(tmp_path, missing) is None
    (tmp_path / "secret.py").write_text("a = 1")
    assert read_source(tmp_path, "../secret") is None
