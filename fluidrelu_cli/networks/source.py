"""A user's own code as text: the file that defines it, what of that file it uses, and the digests of both.

Nothing here runs the code, so that the copy which a study keeps can be read and shown, whoever wrote it.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import inspect
import warnings
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fluidrelu_cli.errors import UsageError


@dataclass(frozen=True)
class Source:
    """What a class or a function is known by."""

    sha256: str
    """The digest of the file that defines it; in a notebook, of its functions."""
    code_sha256: str
    """The digest of :func:`cut_code` without comments, docstrings and layout, as this version of Python writes it."""
    text: bytes
    """What has the digest ``sha256``."""

    def is_known_as(self, sha256: str | None, code_sha256: str | None) -> bool:
        """Whether code with these digests does the same, as far as a file can tell."""
        return sha256 == self.sha256 or (code_sha256 is not None and code_sha256 == self.code_sha256)


def record_sources(activation: Source | None, model: Source | None) -> dict[str, Any]:
    """The digests of a user's own activation and network, by the names of a provenance's fields."""
    digests: dict[str, Any] = {}
    for name, source in (("activation", activation), ("model", model)):
        if source is not None:
            digests |= {f"{name}_sha256": source.sha256, f"{name}_code_sha256": source.code_sha256}
    return digests


def find_source(code: Any) -> Source | None:
    """The source of a class or function; None if it was not written in Python.

    Raises UsageError if its file was changed since this process first asked: the code in use is then the old one.
    """
    while isinstance(code, functools.partial):
        code = code.func
    code = inspect.unwrap(code)
    try:
        file = inspect.getsourcefile(code)
        text = Path(file).read_bytes() if file else None
    except (OSError, TypeError):
        file, text = None, _join_functions(code)
    if text is None:
        return None
    digest = hashlib.sha256(text).hexdigest()
    if file is not None and _digests.setdefault(file, digest) != digest:  # in a process that lives on: a worker
        raise UsageError(
            f"{file} was changed after it was imported."
            " Start the program again; on a cluster, the workers; in a notebook, the kernel."
        )
    return Source(digest, _hash_code(text, getattr(code, "__qualname__", "")), text)


_digests: dict[str, str] = {}
"""The digest of each user's file when it was first used in this process."""


def _join_functions(code: Any) -> bytes | None:
    functions = [code, *vars(code).values()] if inspect.isclass(code) else [code]
    sources = []
    for function in filter(inspect.isfunction, functions):
        with contextlib.suppress(OSError, TypeError):  # as typed at Python's prompt
            sources.append(inspect.getsource(function))
    return "".join(sources).encode() if sources else None


def cut_code(text: str, name: str) -> str:
    """The lines that define a class or function in a file's text, and those of what it uses there, as they are written.

    Args:
        text: the file's.
        name: the definition's, perhaps within others: ``Class.Inner``.

    Returns:
        The whole text if it cannot be parsed or does not define the name.
    """
    statements = _parse(text)
    used = _find_used(statements, name)
    return "\n".join(_list_lines(text.split("\n"), statements, used)) if used else text


def _list_lines(lines: Sequence[str], statements: Sequence[ast.stmt], used: Container[int]) -> Iterator[str]:
    """The lines of some statements with the comments above them, and what is between two that follow each other."""
    end, last = 0, -1
    for number, statement in enumerate(statements):
        decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
        start = min([statement.lineno, *(each.lineno for each in decorators)]) - 1
        while start > end and lines[start - 1].lstrip().startswith("#"):
            start -= 1
        if number in used:
            if last >= 0:
                yield from lines[end:start] if last == number - 1 else [""]
            yield from lines[max(start, end) : statement.end_lineno]  # two may share a line
            last = number
        end = statement.end_lineno or end


def _hash_code(text: bytes, name: str) -> str:
    statements = _parse(text)
    found = [statements[number] for number in sorted(_find_used(statements, name))]
    for statement in found:
        _remove_docstrings(statement)
    code = "\n".join(map(ast.unparse, found)).encode() if found else text
    return hashlib.sha256(code).hexdigest()


def _remove_docstrings(statement: ast.stmt) -> None:
    for node in ast.walk(statement):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            kept = [each for each in node.body if not _is_text(each)]
            node.body = kept or [ast.Pass()]


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _parse(text: str | bytes) -> list[ast.stmt]:
    """The statements of a module; none if it is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an escape in somebody's string
            return ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _find_used(statements: Sequence[ast.stmt], name: str) -> set[int]:
    """Which of a module's statements a definition consists of or uses, directly or not; none if it is not there.

    They are those that bind a name which a used one mentions.
    """
    bound = [set(_list_bound(statement)) for statement in statements]
    used, wanted = set[int](), {name.partition(".")[0]}
    while found := [number for number, names in enumerate(bound) if number not in used and names & wanted]:
        used.update(found)
        wanted |= {node.id for number in found for node in ast.walk(statements[number]) if isinstance(node, ast.Name)}
    if used:
        used |= {number for number, names in enumerate(bound) if "*" in names}  # what is used may come from there
    return used


def _list_bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement of a module defines or changes; ``*`` for an import of whatever there is."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((each.asname or each.name).partition(".")[0] for each in node.names)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
            changed = node if isinstance(node, ast.Name) else node.value  # Class.attribute = ...
            if isinstance(changed, ast.Name):
                yield changed.id
