"""Functions with other parameters than they are written with: Typer makes the options of a command from these."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints


def list_parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """A function's parameters with their annotations evaluated."""
    hints = get_type_hints(function, include_extras=True)
    return [
        parameter.replace(annotation=hints[name]) for name, parameter in inspect.signature(function).parameters.items()
    ]


def replace_signature(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> None:
    """Let Typer, which makes the options from it, see another signature."""
    keyword = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    function.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
    function.__annotations__ = {each.name: each.annotation for each in keyword}
