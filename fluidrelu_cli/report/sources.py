"""The source of somebody's own code, as its study keeps it: read as data, never imported, and cut to what matters."""

from __future__ import annotations

import ast
import hashlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from fluidrelu_cli.errors import printable

LARGEST_SOURCE = 2**17
"""More bytes than a file with an activation or a network has that somebody would read in a report."""


def read_source(study: Path, sha256: str) -> str | None:
    """The text of the file with this digest, as a study's folder keeps it; None if it keeps none that can be shown."""
    path = study / "sources" / f"{sha256}.py"
    try:
        if not re.fullmatch("[0-9a-f]{64}", sha256) or not path.is_file():  # a digest may be a stranger's "../.."
            return None
        with path.open("rb") as file:
            content = file.read(LARGEST_SOURCE + 1)
    except OSError:
        return None
    if len(content) > LARGEST_SOURCE or hashlib.sha256(content).hexdigest() != sha256:
        return None
    text = content.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join(map(printable, text.expandtabs().split("\n")))


def cut_out(source: str, attribute: str) -> str:
    """The lines that define what ``module:attribute`` names, and what of the file they use; or else the whole file.

    Args:
        source: a file's text.
        attribute: the name that it defines; a nested one's outermost part decides.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an escape in somebody's string
            statements = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source
    binds = [set(_list_bound(statement)) for statement in statements]
    kept: set[int] = set()
    wanted = {attribute.split(".")[0]}
    while found := [n for n, names in enumerate(binds) if n not in kept and names & wanted]:
        kept.update(found)
        wanted |= {each.id for n in found for each in ast.walk(statements[n]) if isinstance(each, ast.Name)}
    if not kept:
        return source
    kept |= {n for n, names in enumerate(binds) if "*" in names}  # what it uses may come from there
    return "\n".join(_list_lines(source, statements, kept))


def _list_bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement of a module defines."""
    if isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        yield statement.name
        return
    for each in ast.walk(statement):  # those within an if or a try, too
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            yield each.id
        elif isinstance(each, ast.alias):
            yield each.asname or each.name.split(".")[0]
        elif isinstance(each, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield each.name


def _list_lines(source: str, statements: list[ast.stmt], kept: set[int]) -> Iterator[str]:
    """The lines of some statements with the comments above them, and what is between two that follow each other."""
    lines = source.split("\n")
    end, last = 0, -1
    for n, statement in enumerate(statements):
        decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
        start = min([statement.lineno, *(each.lineno for each in decorators)]) - 1
        while start > end and lines[start - 1].lstrip().startswith("#"):
            start -= 1
        if n in kept:
            if last >= 0:
                yield from lines[end:start] if last == n - 1 else [""]
            yield from lines[max(start, end) : statement.end_lineno]  # two may share a line
            last = n
        end = statement.end_lineno or end
