"""Ctrl-C and kill -9 in the middle: nothing lost, nobody left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import (
    assert_same_numbers,
    fluidrelu,
    start_repeat,
    wait_for_first_run,
    words,
)

pytestmark = pytest.mark.usefixtures("folder")


def assert_nobody_left(group: int) -> None:
    """All processes of a process group end within seconds; one that nobody reaps has ended."""
    for _ in range(100):
        if not any(state != "Z" for state, its_group in states() if its_group == group):
            return
        time.sleep(0.1)
    raise AssertionError("a process was left behind")


def states() -> Iterator[tuple[str, int]]:
    """The state and group of every process."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended just now
            state, _, group, *_ = stat.read_text().rpartition(")")[2].split()
            yield state, int(group)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(undisturbed: Path, data_dir: Path, folder: Path) -> None:
    """Right after relu's trial ended, while the slow one runs."""
    process = start_repeat(folder, "--workers", 1, "--data-dir", data_dir)
    wait_for_first_run(process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: parent and workers
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Go on with: python3 -m fluidrelu_cli repeat -n 1 --act relu --act mine:Slow" in errors
    assert "Traceback" not in output + errors
    assert_nobody_left(process.pid)
    runs = folder / "results" / "local" / "runs"
    assert [path.name for path in runs.glob("*.csv")] == ["relu-seed0.csv"]
    output = words(fluidrelu("repeat", "-n", 2, "--data-dir", data_dir))
    assert "4 trials asked for, 1 finished already, 3 to train." in output
    assert_same_numbers(runs, undisturbed)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_kill_9_loses_the_trial_in_flight_alone(undisturbed: Path, data_dir: Path, folder: Path) -> None:
    process = start_repeat(folder, "--workers", 1, "--data-dir", data_dir)
    wait_for_first_run(process)
    process.kill()
    process.communicate(timeout=30)
    assert_nobody_left(process.pid)
    output = words(fluidrelu("repeat", "-n", 2, "--data-dir", data_dir))
    assert "4 trials asked for, 1 finished already, 3 to train." in output
    assert_same_numbers(folder / "results" / "local" / "runs", undisturbed)
