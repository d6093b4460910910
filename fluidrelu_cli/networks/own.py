"""A user's own classes and functions, named as module:attribute: found, imported, and known by their file's digest."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import inspect
import os
import sys
from pathlib import Path
from typing import Any

from fluidrelu_cli.errors import UsageError, one_line


def is_own(name: str) -> bool:
    """Whether a name is of the form ``module:attribute``."""
    return ":" in name


def imported(name: str, kind: str) -> Any:
    """What ``module:attribute`` names; modules in the current folder can be imported.

    Raises UsageError, which calls it a ``kind``, if it cannot be imported.
    """
    module_name, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:  # a console script does not see the user's folder by itself
        sys.path.insert(0, os.getcwd())
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            return getattr(importlib.import_module(module_name), attribute)
    except (Exception, SystemExit) as error:  # whatever the user's module does on import
        raise UsageError(
            f"The {kind} '{name}' cannot be imported ({one_line(error)}):"
            " write it as module:Class, with the module in this folder or installed."
        ) from error


def file_sha256(made: Any) -> str | None:
    """The digest of the file that holds the code in use; UsageError if it was changed since."""
    while isinstance(made, functools.partial):
        made = made.func
    try:
        file = inspect.getsourcefile(inspect.unwrap(made))
        digest = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None
    except (OSError, TypeError):  # it was not written in Python
        return None
    if _digests.setdefault(file, digest) != digest:  # in a process that lives on, as a cluster's workers do
        raise UsageError(f"{file} was changed after it had been imported: start the workers again.")
    return digest


_digests: dict[str | None, str | None] = {}
"""The digest of each user's file when it was first used in this process."""
