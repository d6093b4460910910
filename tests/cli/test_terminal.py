"""What all commands share: how things are shown, what happens where they cannot be, and what an error says."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import fluidrelu, words
from factories import make_study

import fluidrelu_cli
from fluidrelu_cli.cli.terminal import count, say, show, show_json, show_text
from fluidrelu_cli.errors import printable

pytestmark = pytest.mark.usefixtures("folder")

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(fluidrelu_cli.__file__).parents[1])}
ODD, WRITTEN = "[red]\x1b[31m\u202e\x07:smile:", r"[red]\x1b[31m\u202e\x07:smile:"


def run_in_shell(command: str) -> tuple[int, str, str]:
    """Run a command with a shell's redirections: exit code, stdout and stderr."""
    line = ["sh", "-c", f'"$0" -m fluidrelu_cli {command}', sys.executable]
    finished = subprocess.run(line, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    return finished.returncode, finished.stdout, finished.stderr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("results/[red]:smile:γ – 1", "results/[red]:smile:γ – 1"),
        ("\x1b[31m\x9b", r"\x1b[31m\x9b"),
        ("a\r\nb\tc\x07\x08", r"a\r\nb\tc\x07\x08"),
        ("\u202e\u200b\u2028\ufeff\udcff\U000e0001", r"\u202e\u200b\u2028\ufeff\udcff\U000e0001"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printable(text) == shown
    say(text)
    show(text)
    assert capsys.readouterr() == (f"{shown}\n", f"{shown}\n")


@pytest.mark.parametrize(("number", "text"), [(0, "0 trials"), (1, "1 trial"), (2, "2 trials")])
def test_count(number: int, text: str) -> None:
    assert count(number, "trial") == text


SENTENCE = "Stopped; what is finished is kept. Go on with: fluidrelu repeat --results a-folder/with-a-long-name/of-it"


def test_a_sentence_goes_on_after_a_word_on_a_terminal_and_is_one_line_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(SENTENCE)
    show(SENTENCE)
    assert capsys.readouterr() == (f"{SENTENCE}\n", f"{SENTENCE}\n")
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal to rich
    monkeypatch.setenv("COLUMNS", "30")
    say(SENTENCE)
    show(SENTENCE)
    output, errors = capsys.readouterr()
    assert output == errors
    assert output.splitlines() == [
        "Stopped; what is finished is",
        "kept. Go on with: fluidrelu",
        "repeat --results",
        "a-folder/with-a-long-name/of-it",  # longer than a line, and whole
    ]
    show("")
    assert capsys.readouterr().out == "\n"


def test_text_for_programs_is_not_broken_on_a_terminal_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    show_text(f"{SENTENCE}\n\n{SENTENCE}\n")
    assert capsys.readouterr().out == f"{SENTENCE}\n\n{SENTENCE}\n"


def test_json_is_utf_8_whatever_the_terminal_has(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace")
    monkeypatch.setattr("sys.stdout", stdout)
    show_json(["γ", "\udcff"])
    written = stdout.buffer.getvalue().decode()
    assert "γ" in written
    assert json.loads(written) == ["γ", "\udcff"]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ["report", "report --format json", "report --debug"])
def test_no_name_reaches_a_terminal_raw(arguments: str, folder: Path) -> None:
    if "debug" not in arguments:
        make_study(folder / ODD / "local", {"relu": [(0.5,), (0.75,)]})
    terminal, inside = pty.openpty()
    command = [sys.executable, "-m", "fluidrelu_cli", *arguments.split(), "--results", ODD]
    with subprocess.Popen(command, stdin=inside, stdout=inside, stderr=inside, env=ENVIRONMENT) as process:
        os.close(inside)
        output = b""
        with contextlib.suppress(OSError):  # so Linux says that the other end is closed
            while arrived := os.read(terminal, 4096):
                output += arrived
    os.close(terminal)
    assert process.returncode == (2 if "debug" in arguments else 0)
    text = output.decode()
    assert WRITTEN in text or json_text(WRITTEN) in text
    assert not {"\u202e", "\x07"} & set(text)
    assert "\x1b[31m\\u202e" not in text


def json_text(written: str) -> str:
    """JSON writes out some characters itself."""
    return written.replace(r"\x1b", r"\u001b").replace(r"\x07", r"\u0007")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
@pytest.mark.parametrize(
    "command",
    ["acts", "--help", "acts --help", "--version", pytest.param("report --format csv", marks=pytest.mark.slow)],
)
def test_an_output_that_cannot_be_written_is_an_error_in_a_sentence(command: str, folder: Path) -> None:
    make_study(folder / "results" / "local", {"relu": [(0.5,), (0.75,)]})
    for where, reason in (("> /dev/full", "No space left on device"), (">&-", "Bad file descriptor")):
        code, _, errors = run_in_shell(f"{command} {where}")
        sentences = [line for line in errors.splitlines() if "Error" in line]
        assert sentences == [f"Error: The output cannot be written ({reason}): make room, or send it elsewhere."]
        assert code == 1
        assert "Traceback" not in errors
        assert "Exception" not in errors


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_sentences_that_cannot_be_written_leave_the_exit_code(folder: Path) -> None:
    make_study(folder / "results" / "local", {"relu": [(0.5,), (0.75,)]})
    for where in ("2>&-", "2> /dev/full"):
        code, output, errors = run_in_shell(f"calibrate local --output table {where}")
        assert (code, errors) == (1, "")
        assert "ReLU against the paper's ReLU" in output
        assert run_in_shell(f"acts {where}")[0] == 0  # there is nothing to say
    assert (folder / "table" / "calibration.csv").exists()
    assert run_in_shell("report --study nosuch 2>&-") == (2, "", "")
    for both in (">&- 2>&-", "> /dev/full 2>&1", "<&- >&- 2>&-"):
        assert run_in_shell(f"acts {both}") == (1, "", "")


LONG = "a" * 300


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        f"report --study {LONG}",
        f"report --study other --against {LONG}",
        f"train --dataset {LONG}.npz",
        f"data list --data-dir {LONG}",
        f"verify {LONG}.csv",
    ],
)
def test_what_the_system_refuses_is_named(arguments: str, folder: Path) -> None:
    make_study(folder / "results" / "other", {"relu": [(0.5,), (0.75,)]})
    code, _, errors = run_in_shell(arguments)
    assert code in (1, 2)
    assert errors.startswith("Error: ")
    assert errors.count("\n") == 1
    assert LONG in errors
    assert "File name too long" in errors
    assert "should not happen" not in errors


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied", "results/\x1b"),
            r"Error: results/\x1b cannot be used (Permission denied): correct that, or name another.",
        ),
        (
            BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),  # no more processes
            "Error: The system refuses to go on (Resource temporarily unavailable): mend that, and run the same command"
            " again.",
        ),
        (
            MemoryError(),
            "Error: This machine is out of memory: close other programs, or lower --workers, --batch-size or"
            " --train-images.",
        ),
        (EOFError("too short"), "Error: This should not happen: EOFError: too short. --debug shows where."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_of_the_system_are_sentences(
    error: BaseException, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("fluidrelu_cli.cli.report.find_study", fails)
    assert words(fluidrelu("report", code=1)) == message
