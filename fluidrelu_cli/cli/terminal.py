"""What all commands share: results on stdout, words on stderr, and every error as a sentence and an exit code."""

from __future__ import annotations

import functools
import inspect
import io
import os
import shlex
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from fluidrelu_cli.cli.signatures import list_parameters, replace_signature
from fluidrelu_cli.errors import FluidReluError, one_line, printable

WHERE_IT_RUNS = "Where it runs"
WHERE_RESULTS_GO = "Where results go"

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


class App(typer.Typer):
    """A Typer each of whose commands has --debug, and ends every error in one sentence and an exit code."""

    def command(  # type: ignore[override]
        self, *args: Any, **kwargs: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """As Typer's, with the name and the other settings that it takes."""
        register = super().command(*args, **kwargs)

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            register(_with_debug(function))
            return function

        return decorate


def _with_debug(function: Callable[..., Any]) -> Callable[..., None]:
    @functools.wraps(function)
    def command(*args: Any, debug: bool, **kwargs: Any) -> None:
        with _Handler(debug=debug):
            function(*args, **kwargs)
            sys.stdout.flush()

    debug = inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Debug)
    replace_signature(command, [*list_parameters(function), debug])
    return command


class _Handler:
    """Turns every error within it into one sentence on stderr and an exit code."""

    def __init__(self, *, debug: bool) -> None:
        self._debug = debug

    def __enter__(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # γ where the encoding has none

    def __exit__(self, _kind: object, error: BaseException | None, _where: object) -> None:
        if error is None or isinstance(error, (typer.Exit, SystemExit)):
            return
        if isinstance(error, BrokenPipeError):  # `fluidrelu acts | head`: nobody reads on
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        if self._debug:
            traceback.print_exception(error)
        code, message = _answer(error)
        say(message)
        raise typer.Exit(code) from None


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


def say(line: str, console: Console | None = None) -> None:
    """Show a sentence on stderr, above what is drawn on the console."""
    # soft_wrap: a line of a log file is one line
    _print(console or Console(stderr=True), printable(line), soft_wrap=True)


def show(part: Any) -> None:
    """Show a result on stdout; sentences are not broken into lines, and a narrow terminal does not break numbers."""
    console = Console()
    console.width = max(console.width, 80)
    sentence = isinstance(part, str)
    _print(console, printable(part) if sentence else part, soft_wrap=sentence)


def show_text(text: str) -> None:
    """Show lines of text on stdout; a program that reads them gets them as they are."""
    if sys.stdout.isatty():
        for line in _lines(text):
            show(line)
    else:
        typer.echo(text, nl=False)


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")  # splitlines() would take other characters for line breaks, too


def _print(console: Console, part: Any, *, soft_wrap: bool) -> None:
    console.print(part, soft_wrap=soft_wrap, markup=False, emoji=False, highlight=False)
