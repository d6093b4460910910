"""What all commands share: results on stdout, words on stderr, and every error as a sentence and an exit code."""

from __future__ import annotations

import contextlib
import errno
import functools
import inspect
import io
import os
import shlex
import shutil
import signal
import sys
import textwrap
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperCommand, TyperGroup

from fluidrelu_cli.cli.signatures import list_parameters, replace_signature
from fluidrelu_cli.errors import FluidReluError, UsageError, one_line, printable
from fluidrelu_cli.files import json_text

WHERE_IT_RUNS = "Where it runs"
WHERE_RESULTS_GO = "Where results go"

WRITING = {errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC}
"""Why writing to an open file, which has no name in such an error, can fail."""

_ParsingError: Any = typer.BadParameter.__base__
"""Typer's usage error: it is click's in its earlier releases, and its own in the later ones."""

_unsaid = threading.Event()
"""Set when a sentence could not be written: then the exit code is not 0."""

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


class _Parser:
    """Reads a command's options: none that has one value may be given twice, where the last would win unnoticed."""

    def get_params(self, ctx: Any) -> list[Any]:
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for each in parameters:
            if getattr(each, "is_flag", False):
                each.metavar = ""  # later releases of Typer would show <bool>
        return parameters

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            if not ctx.resilient_parsing:
                self._refuse_repetition(ctx, args)
            parsed: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        except _ParsingError as error:
            error.message = printable(error.message)
            raise
        return parsed

    def _refuse_repetition(self, ctx: Any, args: list[str]) -> None:
        parser = self.make_parser(ctx)  # type: ignore[attr-defined]
        _, _, given = parser.parse_args(list(args))
        for option, times in Counter(given).items():
            if times > 1 and option.param_type_name == "option" and not (option.multiple or option.is_flag):
                raise UsageError(f"{max(option.opts, key=len)} is given {times} times: leave all but one out.")


class _Command(_Parser, TyperCommand):
    pass


class _Group(_Parser, TyperGroup):
    """Ends every error, within its commands and elsewhere, in one sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (EOFError, KeyboardInterrupt) as error:  # Typer would answer these
            code, sentence = _answer(error)
            say(sentence)
            raise SystemExit(code) from None

    def main(self, *args: Any, **kwargs: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # γ where the encoding has none
        _unsaid.clear()
        code, sentence = None, ""
        try:
            super().main(*args, **kwargs)
        except SystemExit as end:
            code = end.code
        except Exception as error:
            code, sentence = _answer(error)
        unwritten = _flush(sys.stdout)
        if unwritten is not None and not sentence:
            code, sentence = _answer(unwritten)
        if sentence:
            with contextlib.suppress(SystemExit):  # rich ends a program whose words nobody reads
                say(sentence)
        if _flush(sys.stderr) is not None or _unsaid.is_set():
            code = code or 1
        sys.exit(code)


def _flush(stream: Any) -> OSError | None:
    """Write what a stream holds back. If that fails it holds nothing any more, or Python's exit would try again."""
    try:
        if stream is not None:
            stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None


class App(typer.Typer):
    """A Typer each of whose commands has --debug, and ends every error in one sentence and an exit code."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(cls=_Group, **kwargs)

    def command(  # type: ignore[override]
        self, *args: Any, **kwargs: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """As Typer's, with the name and the other settings that it takes."""
        register = super().command(*args, cls=_Command, **kwargs)

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            register(_with_debug(function))
            return function

        return decorate


def _with_debug(function: Callable[..., Any]) -> Callable[..., None]:
    @functools.wraps(function)
    def command(*args: Any, debug: bool, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except (typer.Exit, SystemExit):
            raise
        except BaseException:
            if debug:
                for line in _lines(traceback.format_exc()):
                    say(line)
            raise

    debug = inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Debug)
    replace_signature(command, [*list_parameters(function), debug])
    return command


def _was_interrupted() -> bool:
    """Whether there was a Ctrl-C; numpy, for one, makes any other error of one that comes while it is imported."""
    return bool(getattr(signal.getsignal(signal.SIGINT), "came", False))


def stop_if_interrupted() -> None:
    """Raise the KeyboardInterrupt of a Ctrl-C that something else has swallowed."""
    if _was_interrupted():
        raise KeyboardInterrupt


def _answer(error: BaseException) -> tuple[int, str]:
    """An error's exit code and the sentence that says what to do next; none where nobody reads on (`| head`)."""
    if _was_interrupted() or any(isinstance(each, KeyboardInterrupt) for each in _with_causes(error)):
        return 130, f"Stopped; what is finished is kept. Go on with: {_this_command()}"
    if isinstance(error, FluidReluError):
        return error.exit_code, f"Error: {error}"
    if isinstance(error, BrokenPipeError):
        return 1, ""
    if isinstance(error, MemoryError):
        return 1, (
            "Error: This machine is out of memory: close other programs, or lower --workers, --batch-size or"
            " --train-images."
        )
    if isinstance(error, OSError):
        reason = error.strerror or one_line(error)
        if error.filename is not None:
            return 1, f"Error: {error.filename} cannot be used ({reason}): correct that, or name another."
        if error.errno in WRITING:
            return 1, f"Error: The output cannot be written ({reason}): make room, or send it elsewhere."
        return 1, f"Error: The system refuses to go on ({reason}): mend that, and run the same command again."
    return 1, f"Error: This should not happen: {one_line(error)}. --debug shows where."


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it came from: Python makes other errors of a Ctrl-C during an import."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _this_command() -> str:
    """The command as it can be typed again."""
    if Path(sys.argv[0]).name == "__main__.py":
        name = "python3 -m fluidrelu_cli"
    else:
        name = "fluidrelu" if shutil.which("fluidrelu") else shlex.quote(sys.argv[0])
    return f"{name} {shlex.join(sys.argv[1:])}"


class _Stderr(Console):
    def on_broken_pipe(self) -> None:
        """Leave the answer to whoever prints; rich's own is to end the program."""
        raise BrokenPipeError


def open_stderr() -> Console:
    """A console for sentences and progress."""
    return _Stderr(stderr=True)


def say(line: str, console: Console | None = None) -> None:
    """Show a sentence on stderr, above what is drawn on the console."""
    try:
        _print(console or open_stderr(), line)
    except OSError:  # the work goes on, also where nobody reads on (`2>&1 | head`)
        _unsaid.set()


def show(part: Any) -> None:
    """Show a result on stdout: a sentence, or a table, whose numbers a narrow terminal does not break."""
    console = Console()
    if isinstance(part, str):
        _print(console, part)
    else:
        console.width = max(console.width, 80)
        console.print(part)


def show_text(text: str) -> None:
    """Show lines of text on stdout; a program that reads them gets them as they are, in UTF-8 as from a file."""
    if sys.stdout.isatty():
        for line in _lines(text):
            _print(Console(), line, wrap=False)
    else:
        # a lone surrogate, as in a file's name that is no UTF-8, comes out as JSON escapes it
        typer.echo(text.encode(errors="backslashreplace"), nl=False)


def show_json(value: object) -> None:
    """Show a value on stdout as one JSON document."""
    show_text(json_text(value))


def count(number: int, thing: str) -> str:
    """A number of things in words: ``1 trial``, ``2 trials``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")  # splitlines() would take other characters for line breaks, too


def _print(console: Console, line: str, *, wrap: bool = True) -> None:
    """On a terminal a sentence goes on in the next line after a word; elsewhere, as in a log file, it is one line."""
    text = printable(line)
    if wrap and console.is_terminal:
        # a word that is too long stays whole: a path that the terminal breaks can be copied
        text = textwrap.fill(text, console.width, break_long_words=False, break_on_hyphens=False)
    console.print(text, soft_wrap=True, markup=False, emoji=False, highlight=False)
