"""Ctrl-C and kill -9 in the middle: nothing lost, nobody left behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
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
from factories import make_study

import fluidrelu_cli
from fluidrelu_cli import __main__ as entry
from fluidrelu_cli.cli.terminal import stop_if_interrupted

pytestmark = pytest.mark.usefixtures("folder")


def assert_nobody_left(group: int) -> None:
    """All processes of a process group end within seconds; one that nobody reaps has ended."""
    for _ in range(100):
        if not any(state != "Z" for state, its_group in states() if its_group == group):
            return
        time.sleep(0.1)
    raise AssertionError("a process was left behind")


def states(command: str = "") -> Iterator[tuple[str, int]]:
    """The state and group of every process that has this in its command."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended just now
            if command not in stat.with_name("cmdline").read_text():
                continue
            state, _, group, *_ = stat.read_text().rpartition(")")[2].split()
            yield state, int(group)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(undisturbed: Path, data_dir: Path, folder: Path) -> None:
    """Right after relu's trial ended, while the slow one runs."""
    process = start_repeat(folder, "--workers", 1, "--data-dir", data_dir)
    wait_for_first_run(process)
    assert " is being trained since " in fluidrelu("status", "local")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: parent and workers
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Go on with: python3 -m fluidrelu_cli repeat -n 1 --act relu --act mine:Slow" in errors
    assert "Traceback" not in output + errors
    assert_nobody_left(process.pid)
    runs = folder / "results" / "local" / "runs"
    assert [path.name for path in runs.glob("*.csv")] == ["relu-seed0.csv"]
    assert not (folder / "results" / "local" / ".running.json").exists()
    output = words(fluidrelu("repeat", "-n", 2, "--act", "relu", "--act", "fluid", "--data-dir", data_dir))
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
    resume = "local was interrupted: go on with `fluidrelu repeat -n 1 --act relu --act mine:Slow`."
    assert resume in fluidrelu("status", "local")
    output = words(fluidrelu("repeat", "-n", 2, "--act", "relu", "--act", "fluid", "--data-dir", data_dir))
    assert "4 trials asked for, 1 finished already, 3 to train." in output
    assert "interrupted" not in fluidrelu("status", "local")
    assert_same_numbers(folder / "results" / "local" / "runs", undisturbed)


IMPORTING = """
import sys
import fluidrelu_cli.__main__ as entry

class Announce:
    def find_spec(self, name, path=None, target=None):
        if name == "fluidrelu_cli.cli.app":
            print("importing", flush=True)

sys.meta_path.insert(0, Announce())
entry.main()
"""


@pytest.mark.parametrize("after", [0, 0.05, 0.1, 0.2])
def test_ctrl_c_while_the_command_line_is_imported_ends_it(after: float, folder: Path) -> None:
    make_study(folder / "results" / "local", {"relu": [(0.5,), (0.75,)]})
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORTING, "report"],
        env={**os.environ, "PYTHONPATH": str(Path(fluidrelu_cli.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert not errors or re.fullmatch(r"Stopped; .* Go on with: .*\n", errors)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_an_impatient_ctrl_c_disturbs_nothing(data_dir: Path, folder: Path) -> None:
    process = start_repeat(folder, "--workers", 2, "--data-dir", data_dir)
    wait_for_first_run(process)
    os.killpg(process.pid, signal.SIGINT)
    for interval in (0, 0, 0.02, 0.05, 0.1, 0.3):
        time.sleep(interval)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode in (130, -signal.SIGINT)
    assert re.fullmatch(r"Stopped; .* Go on with: .*", errors.splitlines()[-1])
    assert "Traceback" not in output + errors
    assert "Exception" not in output + errors
    assert_nobody_left(process.pid)
    assert [path.name for path in (folder / "results" / "local" / "runs").glob("*.csv")] == ["relu-seed0.csv"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_ctrl_c_while_the_fork_server_starts_is_not_for_it(data_dir: Path, folder: Path) -> None:
    process = start_repeat(folder, "--workers", 1, "--data-dir", data_dir)
    for _ in range(300):
        if any(group == process.pid for _, group in states("forkserver")):
            break
        time.sleep(0.1)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in output + errors
    assert_nobody_left(process.pid)


def test_only_a_later_ctrl_c_ends_a_command_that_does_not_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[int] = []
    now = 100.0
    monkeypatch.setattr("os._exit", ends.append)
    monkeypatch.setattr("time.monotonic", lambda: now)
    interrupt = entry._Interrupt()
    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert interrupt.came
    interrupt()
    assert ends == []
    now += entry.PATIENCE_SECONDS + 1
    interrupt()
    assert ends == [130]


def test_what_python_makes_of_a_ctrl_c_is_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until Python 3.11, for one, an interrupted class definition raises a RuntimeError."""

    def interrupted(*_: object) -> None:
        raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()

    monkeypatch.setattr("fluidrelu_cli.cli.report.find_study", interrupted)
    assert words(fluidrelu("report", code=130)).startswith("Stopped; what is finished is kept. Go on with:")


def test_a_ctrl_c_that_was_swallowed_stops_the_command_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """numpy, for one, makes another error of it while it is imported."""

    def fail(*_: object) -> None:
        raise AttributeError("module 'numpy' has no attribute 'flexible'")

    handler = entry._Interrupt()
    monkeypatch.setattr(signal, "getsignal", lambda _: handler)
    stop_if_interrupted()
    with pytest.raises(KeyboardInterrupt):
        handler()
    with pytest.raises(KeyboardInterrupt):
        stop_if_interrupted()
    monkeypatch.setattr("fluidrelu_cli.cli.report.find_study", fail)
    assert words(fluidrelu("report", code=130)).startswith("Stopped; what is finished is kept. Go on with:")
