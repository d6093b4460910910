"""Functions with other parameters than they are written with: Typer makes the options of a command from these."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def list_parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """A function's parameters with their annotations evaluated."""
    # get_type_hints would hide what Annotated says of a parameter that is None by default, on Python 3.10
    return list(inspect.signature(function, eval_str=True).parameters.values())


def replace_signature(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> None:
    """Let Typer, which makes the options from it, see another signature."""
    keyword = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    function.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
    function.__annotations__ = {each.name: each.annotation for each in keyword}
