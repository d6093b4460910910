"""What all commands share: results on stdout, words on stderr, and every error as a sentence and an exit code."""

from __future__ import annotations

import functools
import io
import os
import shlex
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from fluidrelu_cli.errors import FluidReluError, one_line


def handled(command: Callable[..., None]) -> Callable[..., None]:
    """Turn every error into one sentence on stderr and an exit code."""

    @functools.wraps(command)
    def wrapper(*args: Any, debug: bool = False, **kwargs: Any) -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # γ where the encoding has none
        try:
            command(*args, debug=debug, **kwargs)
            sys.stdout.flush()
        except typer.Exit:
            raise
        except BrokenPipeError:  # `fluidrelu acts | head`: nobody reads on
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except (Exception, KeyboardInterrupt) as error:
            if debug:
                traceback.print_exc()
            code, message = _answer(error)
            say(message)
            raise typer.Exit(code) from None

    return wrapper


def _answer(error: BaseException) -> tuple[int, str]:
    """An error's exit code and the sentence that says what to do next."""
    if isinstance(error, FluidReluError):
        return error.exit_code, f"Error: {error}"
    if isinstance(error, KeyboardInterrupt):
        return 130, f"Stopped; what is finished is kept. Go on with: {_this_command()}"
    return 1, f"Error: This should not happen: {one_line(error)}. --debug shows where."


def _this_command() -> str:
    """The command as it can be typed again."""
    if Path(sys.argv[0]).name == "__main__.py":
        name = "python3 -m fluidrelu_cli"
    else:
        name = "fluidrelu" if shutil.which("fluidrelu") else shlex.quote(sys.argv[0])
    return f"{name} {shlex.join(sys.argv[1:])}"


def say(line: str) -> None:
    Console(stderr=True).print(line, soft_wrap=True, markup=False, highlight=False)


def show(part: Any) -> None:
    """Results go to stdout; sentences are not broken into lines, and a narrow terminal does not break numbers."""
    console = Console()
    console.width = max(console.width, 80)
    console.print(part, soft_wrap=isinstance(part, str), markup=False, highlight=False)
