"""A user's own code as text: the file that defines it, what of that file it uses, and the digests of both.

Nothing here runs the code, so that the copy which a study keeps can be read and shown, whoever wrote it.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import inspect
from collections.abc import Iterator, Sequence
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
    """The definition of a class or function in a file's text, after what it uses of that file, as it is written there.

    Args:
        text: the file's.
        name: the definition's, perhaps within others: ``Class.Inner``.

    Returns:
        The whole text if it cannot be parsed or does not define the name.
    """
    lines = text.splitlines(keepends=True)
    parts = [_cut_lines(lines, each).rstrip() for each in _find_used(text, name)]
    return "\n\n".join(parts) + "\n" if parts else text


def _cut_lines(lines: Sequence[str], statement: ast.stmt) -> str:
    first = min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", []))])
    return "".join(lines[first - 1 : statement.end_lineno])


def _hash_code(text: bytes, name: str) -> str:
    found = _find_used(text, name)
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


def _find_used(text: str | bytes, name: str) -> list[ast.stmt]:
    """The statements of a module that a definition consists of or uses, directly or not, in their order.

    They are those that bind a name which a used one mentions. None if the module is no Python or lacks the name.
    """
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    bound = [set(_list_bound(statement)) for statement in statements]
    wanted, seen, used = [name.partition(".")[0]], set[str](), set[int]()
    while wanted:
        current = wanted.pop()
        if current in seen:
            continue
        seen.add(current)
        for index, names in enumerate(bound):
            if (current in names or (used and "*" in names)) and index not in used:
                used.add(index)
                mentioned = (node.id for node in ast.walk(statements[index]) if isinstance(node, ast.Name))
                wanted.extend(mentioned)
    return [statements[index] for index in sorted(used)]


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
