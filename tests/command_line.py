"""What tests of the command line share: small runs, in this process and in one of its own, and their numbers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

import fluidrelu_cli
from fluidrelu_cli.cli.app import app
from fluidrelu_cli.run import TIMINGS

IMAGES = ("--train-images", "300", "--test-images", "100", "--batch-size", "50")
SMALL = (*IMAGES, "--epochs", "2")

ACTIVATIONS = """
import os, signal, time
from pathlib import Path
import torch

class Raises(torch.nn.Module):
    def forward(self, v):
        if len(v) > 2:  # not in the check before the training
            raise ArithmeticError("too many\\nimages")
        return v

class DiesOnce(torch.nn.Module):
    def forward(self, v):
        if len(v) > 2 and not Path("died").exists():
            Path("died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return v.relu()

class Dies(torch.nn.Module):
    def forward(self, v):
        if len(v) > 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return v

class Exits(torch.nn.Module):
    def forward(self, v):
        if len(v) > 2:
            raise SystemExit(3)
        return v

class Slow(torch.nn.Module):
    seconds = 0.3

    def forward(self, v):
        if len(v) > 2:
            time.sleep(self.seconds)
        return v.relu()

class Slower(Slow):
    seconds = 8  # a trial of it would outlast every test
"""


def fluidrelu(*arguments: object, code: int = 0) -> str:
    """Run a command in this process; what it printed."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def fluidrelu_json(*arguments: object, code: int = 0) -> Any:
    """Run a command with --json; what it printed on stdout, which is one document and nothing else."""
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert result.exit_code == code, (result.output, result.exception)
    return json.loads(result.stdout, parse_constant=pytest.fail)


def words(text: str) -> str:
    """The text without the line breaks that a narrow terminal puts in."""
    return " ".join(text.split())


def numbers(runs: Path) -> dict[str, pd.DataFrame]:
    """Every CSV of a runs folder without its timings."""
    tables = {path.name: pd.read_csv(path, dtype=str) for path in runs.glob("*.csv")}
    return {name: table.drop(columns=[*TIMINGS], errors="ignore") for name, table in tables.items()}


def assert_same_numbers(runs: Path, others: Path) -> None:
    mine, theirs = numbers(runs), numbers(others)
    assert mine.keys() == theirs.keys()
    for name, table in mine.items():
        pd.testing.assert_frame_equal(table, theirs[name])


def start_repeat(folder: Path, *options: object, act: str = "mine:Slow") -> subprocess.Popen[str]:
    """A `repeat` of relu and then a slow activation, in a process group of its own, long enough to be hit."""
    (folder / "mine.py").write_text(ACTIVATIONS)
    arguments = [
        "repeat",
        "-n",
        1,
        "--act",
        "relu",
        "--act",
        act,
        *SMALL,
        "--device",
        "cpu",
        *options,
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "fluidrelu_cli", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(fluidrelu_cli.__file__).parents[1])},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Tests that run in the background have inherited that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for_first_run(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("1/"):
            return
    raise AssertionError("no trial finished")
