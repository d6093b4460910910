"""A user's own classes and functions, named as module:attribute: imported if they may be.

And what helps with a wrong name or an error in them: the name that may be meant, the line where it happened.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import importlib
import importlib.util
import operator
import os
import re
import sys
import traceback
from collections.abc import Sequence
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
    module, _, attributes = name.partition(":")
    imported = None
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            # pkgutil.resolve_name refuses a file whose name is no identifier, such as my-activation.py
            imported = importlib.import_module(module)
            return operator.attrgetter(attributes)(imported)
    except (Exception, SystemExit) as error:  # whatever the user's module does on import
        line = find_line(error)
        if line or isinstance(error, SyntaxError):  # whose message names the line
            advice = " Correct that line, or install what it needs."
        else:
            names = [each for each in suggest_own(name, kind) if each != name]
            advice = did_you_mean(names) or (
                " Write it as module:Class, with the module in this folder or installed."
                if imported is None
                else " Name what that module defines, as module:Class."
            )
        raise UsageError(f"The {kind} '{name}' cannot be imported ({one_line(error)}{line}).{advice}") from error


def import_copy(name: str, file: Path) -> None:
    """Import a file as the module of ``module:attribute``, in place of the one that would be found by that name.

    Raises UsageError if it cannot be imported.
    """
    module = name.partition(":")[0]
    spec = importlib.util.spec_from_file_location(module, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file} cannot be imported: its name has to end in .py.")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    imported = importlib.util.module_from_spec(spec)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(imported)
    except (Exception, SystemExit) as error:  # whatever the copy does
        reason = f"{one_line(error)}{find_line(error)}"
        raise UsageError(
            f"{file}, the copy of what was trained as '{name}', cannot be imported ({reason})."
            " Install what it needs, or put it beside what it imports."
        ) from error
    sys.modules[module] = imported


def find_line(error: BaseException) -> str:
    """Where in a user's own code an error happened, to follow its message: ", in mine.py line 7"; else nothing.

    It is the innermost line of the package or the folder of the code that was called.
    """
    others = {*sys.stdlib_module_names, __name__.partition(".")[0], "torch"}
    places = [
        (frame.f_globals.get("__name__", "").partition(".")[0], Path(frame.f_code.co_filename), line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    own = [place for place in places if place[0] not in others]
    own = [place for place in own if place[0] == own[0][0] or place[1].parent == own[0][1].parent]
    if not own:
        return ""
    _, file, line = own[-1]
    return f", in {file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file} line {line}"


def suggest_own(name: str, kind: str) -> list[str]:
    """What of the current folder's modules may be meant by a name such as mine.Act, mine.py, mine or mine.py:Act.

    The files are read, not run: nobody has named the code in them yet.
    """
    without_suffix = re.sub(r"\.py(?=[:.]|$)", "", name)
    parts = [part for part in re.split(r"[.:/\\]", without_suffix) if part]
    for end in range(len(parts), 0, -1):
        attributes = ".".join(parts[end:])
        for file in (Path(*parts[:end], "__init__.py"), Path(*parts[: end - 1], f"{parts[end - 1]}.py")):
            try:
                source = file.read_bytes()
            except (OSError, ValueError):  # no such file, or no name of a file
                continue
            found = _choose(attributes, _list_definitions(source, kind))
            if not found and "." not in attributes:  # perhaps imported there from elsewhere
                found = [attributes or "Class"]
            return [f"{'.'.join(parts[:end])}:{each}" for each in found]
    return []


def _list_definitions(source: bytes, kind: str) -> list[str]:
    """The public classes of a module, and its functions where a function may serve; none if it is no Python."""
    try:
        statements = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):
        return []
    kinds = ast.ClassDef if kind == "activation" else (ast.ClassDef, ast.FunctionDef)
    defined = [each.name for each in statements if isinstance(each, kinds)]
    for each in statements:
        if isinstance(each, ast.ImportFrom) and each.level:  # a package that gathers what its modules define
            defined += [alias.asname or alias.name for alias in each.names]
    return defined


def _choose(attributes: str, defined: Sequence[str]) -> list[str]:
    """The definition that is nearest to what was named; without one, the first few."""
    first, *nested = attributes.split(".")
    known = {each.lower(): each for each in defined if not each.startswith("_")}
    nearest = difflib.get_close_matches(first.lower(), known, n=1)
    return [".".join([known[each], *nested]) for each in nearest] or list(known.values())[:3]


def did_you_mean(names: Sequence[str]) -> str:
    """The question that follows a sentence about a wrong name; nothing without a name to suggest."""
    return f" Did you mean {' or '.join(names)}?" if names else ""
