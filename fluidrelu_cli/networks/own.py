"""A user's own classes and functions, named as module:attribute: imported, and identified by their file's digest."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import inspect
import operator
import os
import sys
from pathlib import Path
from typing import Any

from fluidrelu_cli.errors import UsageError, one_line
from fluidrelu_cli.protocol import is_own


def require_trust(name: str, where: object, trust: bool) -> None:
    """Raise UsageError if a name that a file gave is that of somebody's own code, and the user does not trust it.

    Args:
        name: an activation's or a network's.
        where: the file, for the message.
        trust: whether the user has named it, too, or said that the study may be trusted.
    """
    if is_own(name) and not trust:
        raise UsageError(
            f"{where} names code that does not come with this program, '{name}', and importing it runs it: add"
            " --trust (in Python: trust=True) if you trust it, or name it yourself with --act or --model."
        )


def import_own(name: str, kind: str) -> Any:
    """Import what ``module:attribute`` names; modules in the current folder are found too.

    Args:
        name: the attribute may be nested, as ``module:Outer.Inner``.
        kind: what an error calls it, "activation" or "network".

    Raises:
        UsageError: if it cannot be imported.
    """
    if name.startswith("__main__:") and not hasattr(sys.modules["__main__"], name.partition(":")[2].split(".")[0]):
        raise UsageError(
            f"The {kind} '{name}' was defined in a script or a notebook, where no other program finds it."
            " Move it to a file of its own, and name it as module:Class."
        )
    if os.getcwd() not in sys.path:  # a console script does not look into the user's folder by itself
        sys.path.insert(0, os.getcwd())
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            # pkgutil.resolve_name refuses a file whose name is no identifier, such as my-activation.py
            module, _, attributes = name.partition(":")
            return operator.attrgetter(attributes)(importlib.import_module(module))
    except (Exception, SystemExit) as error:  # whatever the user's module does on import
        raise UsageError(
            f"The {kind} '{name}' cannot be imported ({one_line(error)})."
            " Write it as module:Class, with the module in this folder or installed."
        ) from error


def hash_source(code: Any) -> str | None:
    """The SHA-256 of the file that defines a class or function; None if it was not written in Python.

    In a notebook, which has no file, it is that of the class's own functions.

    Raises UsageError if the file was changed since this process first asked: the code in use is then the old one.
    """
    while isinstance(code, functools.partial):
        code = code.func
    try:
        file = inspect.getsourcefile(inspect.unwrap(code))
        digest = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None
    except (OSError, TypeError):
        return _hash_functions(code)
    if _digests.setdefault(file, digest) != digest:  # in a process that lives on: a cluster's worker, a notebook
        raise UsageError(
            f"{file} was changed after it was imported."
            " Start the program again; on a cluster, the workers; in a notebook, the kernel."
        )
    return digest


_digests: dict[str | None, str | None] = {}
"""The digest of each user's file when it was first used in this process."""


def _hash_functions(code: Any) -> str | None:
    functions = [code, *vars(code).values()] if inspect.isclass(code) else [code]
    sources = []
    for function in filter(inspect.isfunction, functions):
        with contextlib.suppress(OSError, TypeError):  # as typed at Python's prompt
            sources.append(inspect.getsource(function))
    return hashlib.sha256("".join(sources).encode()).hexdigest() if sources else None
