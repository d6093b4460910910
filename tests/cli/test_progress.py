"""What is shown while trials run: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from fluidrelu_cli.cli.progress import EpochLines, Spinner, TransferProgress, TrialsProgress, describe_run
from fluidrelu_cli.networks.named import ACTIVATIONS
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.run import Epoch, Provenance, Run
from fluidrelu_cli.workers.events import EpochDone, Failed, Finished, Job, Split, Started

PROTOCOL = Protocol(epochs=2)


def make_job(activation: str, *seeds: int) -> Job:
    return Job(ACTIVATIONS[activation], tuple(Trial(PROTOCOL, activation, seed) for seed in seeds))


def make_run(trial: Trial, epochs: int, **conditions: Any) -> Run:
    return Run(trial, {}, (LAST,) * epochs, Provenance(wall_seconds=3.2, **conditions))


RELU, FLUID, ELU, LATER = make_job("relu", 0), make_job("fluid", 0), make_job("elu", 0, 1, 2), make_job("elu", 1, 2)
TRIALS = [*RELU.trials, *FLUID.trials, *ELU.trials]
LAST = Epoch(2, 0.25, 0.9, 0.125, 0.9784, 1.0, 0.5, {})
FIRST = Epoch(1, 0.5, 0.8, 0.25, 0.9512, 1.0, 0.5, {})
EVENTS = (
    Started(RELU),
    EpochDone(RELU, [replace(FIRST, epoch=0.4)]),
    EpochDone(RELU, [FIRST]),
    Started(FLUID),
    Started(FLUID),  # its worker died, and it begins again
    Finished(RELU, [make_run(RELU.trials[0], 2)]),
    Failed(FLUID, "ValueError: no [good]", "traceback"),
    Started(ELU),
    Split(ELU, "out of memory"),
    Started(LATER),
    EpochDone(LATER, [FIRST, replace(FIRST, test_accuracy=0.9514)]),
    Finished(LATER, [make_run(trial, 2, batched_seeds=2) for trial in LATER.trials]),
)


def shown(terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, _environ={"TERM": "xterm"})
    with TrialsProgress(console, TRIALS) as progress:
        for event in EVENTS:
            progress.show(event)
            if terminal and progress._live is not None:
                progress._live.refresh()
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())


def test_without_a_terminal_there_is_one_plain_line_a_finished_trial() -> None:
    assert shown(terminal=False).splitlines() == [
        "1/5 relu seed 0: test accuracy 0.9784 after 2 epochs (3 s)",
        "2/5 fluid seed 0 failed: ValueError: no [good]",
        "elu seed 0 and 2 more cannot be trained together (out of memory): going on with 1 and 2",
        "3/5 elu seed 1: test accuracy 0.9784 after 2 epochs (3 s, 2 seeds together)",
        "4/5 elu seed 2: test accuracy 0.9784 after 2 epochs (3 s, 2 seeds together)",
    ]


@pytest.mark.parametrize(("loss", "words"), [(7.1e23, "7e+23"), (math.nan, "nan"), (math.inf, "inf")])
def test_a_run_that_diverged_is_shown_with_its_loss(loss: float, words: str) -> None:
    run = make_run(RELU.trials[0], 2)
    assert "diverged" not in describe_run(run)
    run = replace(run, epochs=(*run.epochs[:-1], replace(run.epochs[-1], train_loss=loss)))
    assert describe_run(run).endswith(f"(3 s); it diverged (its training loss is {words})")


def test_a_terminal_shows_all_trials_and_each_running_one() -> None:
    output = shown(terminal=True)
    assert "all trials" in output
    assert "1 of 5 trials done" in output
    assert re.search(r"relu seed 0 .* 1/2 .*test accuracy 0\.9512", output)
    assert re.search(r"fluid seed 0 .* 0/2 .*starting", output)
    assert "2/5 fluid seed 0 failed: ValueError: no [good]" in output
    assert re.search(r"relu seed 0 .* 0\.4/2 epochs ", output)
    assert re.search(r"elu seed 1 and 1 more .* 1/2 epochs .*mean test accuracy 0\.9513", output)


def test_one_bar_holds_for_trials_that_cost_unequally() -> None:
    long = Trial(Protocol(epochs=16), "relu", 3)
    short, lost = Trial(Protocol(epochs=2), "relu", 3), Trial(Protocol(epochs=2), "elu", 3)
    jobs = [Job(ACTIVATIONS[trial.activation], (trial,)) for trial in (long, short, lost)]

    def follow(**how: Any) -> tuple[list[str], str]:
        console = Console(file=io.StringIO(), force_terminal=True, width=100, _environ={"TERM": "xterm"})
        shares = []
        with TrialsProgress(console, [long, short, lost], **how) as progress:
            for event in (
                Started(jobs[0]),
                Started(jobs[1]),
                EpochDone(jobs[0], [replace(FIRST, epoch=8)]),
                EpochDone(jobs[1], [FIRST]),
                Finished(jobs[1], [make_run(short, 2)]),
                Started(jobs[2]),
                Failed(jobs[2], "ValueError: no", "traceback"),
                Finished(jobs[0], [make_run(long, 16)]),
            ):
                progress.show(event)
                assert progress._live is not None
                progress._live.refresh()
                shares.append(f"{progress._live.tasks[0].percentage:.0f} %")
        assert isinstance(console.file, io.StringIO)
        output = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())
        assert all(re.search(rf"all trials .* {share} .* of 3 trials done", output) for share in shares)
        return shares, output

    by_epochs, _ = follow()
    assert by_epochs == ["0 %", "0 %", "40 %", "45 %", "50 %", "50 %", "60 %", "100 %"]
    by_cost, output = follow(
        cost=lambda trial: 0.5 if trial is long else 0.25,
        label=lambda trial: f"epochs={trial.protocol.epochs} {trial.activation} seed {trial.seed}",
    )
    assert by_cost == ["0 %", "0 %", "25 %", "38 %", "50 %", "50 %", "75 %", "100 %"]
    assert re.search(r"epochs=16 relu seed 3 .* 8/16 epochs", output)
    assert "1/3 epochs=2 relu seed 3: test accuracy 0.9784 after 2 epochs (3 s)" in output
    assert "2/3 epochs=2 elu seed 3 failed: ValueError: no" in output


def test_a_single_trial_shows_its_epochs() -> None:
    for terminal in (False, True):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=100, _environ={"TERM": "xterm"})
        with EpochLines(console, RELU.trials[0]) as progress:
            progress.show(LAST)
        assert isinstance(console.file, io.StringIO)
        output = console.file.getvalue()
        assert "relu seed 0" in output
        assert re.search(r"2/2.*0\.2500.*0\.9784", output)


def test_a_download_shows_its_bytes_on_a_terminal_and_its_end_elsewhere() -> None:
    shown = {}
    for terminal in (False, True):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=100, _environ={"TERM": "xterm"})
        with TransferProgress(console) as progress:
            for done in (0, 1_500_000, 3_000_000):
                progress.show("images.gz", done, 3_000_000)
                if progress._live is not None:
                    progress._live.refresh()
            progress.show("labels.gz", 100, None)  # its size is not told
        assert isinstance(console.file, io.StringIO)
        shown[terminal] = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())
    assert shown[False] == "images.gz: 3.0 MB\n"
    assert re.search(r"images\.gz .* 1\.5/3\.0 MB", shown[True])
    assert "labels.gz" in shown[True]


def test_a_spinner_turns_on_a_terminal_alone_and_leaves() -> None:
    shown = {}
    for terminal in (False, True):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=100, _environ={"TERM": "xterm"})
        with Spinner(console, "Drawing"):
            pass
        assert isinstance(console.file, io.StringIO)
        shown[terminal] = console.file.getvalue()
    assert shown[False] == ""
    assert "Drawing" in shown[True]
    assert shown[True].endswith("\x1b[2K")  # its line is erased


@pytest.mark.parametrize("terminal", [False, True])
def test_names_are_shown_as_they_are(terminal: bool) -> None:
    name = "[red]a:smile:"
    trial = Trial(PROTOCOL, name, 0)
    job = Job(ACTIVATIONS["relu"], (trial,))
    drawn, line, table, transfer = (
        Console(file=io.StringIO(), force_terminal=terminal, width=200, _environ={"TERM": "xterm"}) for _ in range(4)
    )
    with TrialsProgress(drawn, [trial]) as trials:
        trials.show(Started(job))
        if trials._live is not None:
            trials._live.refresh()
    with TrialsProgress(line, [trial]) as trials:
        trials.show(Finished(job, [make_run(trial, 2)]))
    with EpochLines(table, trial) as epochs:
        epochs.show(LAST)
    with TransferProgress(transfer) as transfers:
        transfers.show(name, 5, 5)
    for console in (*([drawn] if terminal else []), line, table, transfer):
        assert isinstance(console.file, io.StringIO)
        assert name in console.file.getvalue()


@pytest.mark.parametrize("installed", [True, False])
def test_jupyter_draws_bars_only_with_its_widgets(installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: object() if installed else None)
    progress = TrialsProgress(Console(file=io.StringIO(), force_jupyter=True), RELU.trials)
    assert (progress._live is not None) == installed
