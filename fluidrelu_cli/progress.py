"""What `train` and `repeat` show on stderr while trials run: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from fluidrelu_cli.protocol import Trial
from fluidrelu_cli.records import EpochRecord, TrialResult
from fluidrelu_cli.workers import EpochDone, Event, Failed, Finished, Started


class TrialsProgress:
    """The progress of several trials: hand every event to :meth:`show`.

    On a terminal one overall bar with the time left, and a line a running trial with its epoch and latest test
    accuracy; a line that stays for each trial that ended. Elsewhere only the latter.
    """

    def __init__(self, console: Console, trials: int) -> None:
        self._console = console
        self._trials = trials
        self._ended = 0
        self._live = _bars(console) if console.is_terminal and not console.is_dumb_terminal else None
        self._overall: TaskID | None = None
        self._running: dict[Trial, TaskID] = {}

    def __enter__(self) -> TrialsProgress:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, event: Event) -> None:
        if isinstance(event, Finished):
            self._end(finished_line(event.result))
        elif isinstance(event, Failed):
            self._end(f"{trial_label(event.trial)} failed: {event.error}")
        if self._live is not None:
            self._move(self._live, event)

    def _end(self, line: str) -> None:
        self._ended += 1
        # soft_wrap: a line of a log file is one line
        self._console.print(f"{self._ended}/{self._trials} {line}", soft_wrap=True, markup=False, highlight=False)

    def _move(self, live: Progress, event: Event) -> None:
        epochs = event.trial.protocol.epochs
        if self._overall is None:
            self._overall = live.add_task("all trials", total=self._trials * epochs, note="")
        if isinstance(event, Started):
            # A trial whose worker died begins again.
            self._forget(live, event.trial)
            self._running[event.trial] = live.add_task(trial_label(event.trial), total=epochs, note="starting")
        elif isinstance(event, EpochDone):
            note = f"test accuracy {event.record.test_accuracy:.4f}"
            live.update(self._running[event.trial], completed=event.record.epoch, note=note)
        else:
            self._forget(live, event.trial)
        in_flight = sum(task.completed for task in live.tasks if task.id != self._overall)
        note = f"{self._ended} of {self._trials} trials done"
        live.update(self._overall, completed=self._ended * epochs + in_flight, note=note)

    def _forget(self, live: Progress, trial: Trial) -> None:
        task = self._running.pop(trial, None)
        if task is not None:
            live.remove_task(task)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        # An epoch takes seconds to minutes: estimate the time left from the last ten minutes.
        speed_estimate_period=600,
        transient=True,
    )


def trial_label(trial: Trial) -> str:
    return f"{trial.activation} seed {trial.seed}"


def finished_line(result: TrialResult) -> str:
    seconds = result.provenance["wall_seconds"]
    epochs = f"{len(result.epochs)} epoch{'s' if len(result.epochs) > 1 else ''}"
    diverged = "" if math.isfinite(result.epochs[-1].train_loss) else "; it diverged (its loss is not finite)"
    accuracy = f"test accuracy {result.test_accuracy:.4f}"
    return f"{trial_label(result.trial)}: {accuracy} after {epochs} ({seconds:.0f} s){diverged}"


class EpochLines:
    """The progress of a single trial: hand every epoch's record to :meth:`show`.

    On a terminal a table that grows by a row an epoch and leaves with the last one; elsewhere a line an epoch.
    """

    def __init__(self, console: Console, trial: Trial) -> None:
        self._console = console
        self._trial = trial
        self._table = Table("epoch", "training loss", "test accuracy", title=trial_label(trial), title_justify="left")
        live = console.is_terminal and not console.is_dumb_terminal
        self._live = Live(self._table, console=console, transient=True) if live else None

    def __enter__(self) -> EpochLines:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, record: EpochRecord) -> None:
        epoch = f"{record.epoch}/{self._trial.protocol.epochs}"
        loss, accuracy = f"{record.train_loss:.4f}", f"{record.test_accuracy:.4f}"
        if self._live is not None:
            self._table.add_row(epoch, loss, accuracy)
            self._live.refresh()
        else:
            line = f"{trial_label(self._trial)}: epoch {epoch}: training loss {loss}, test accuracy {accuracy}"
            self._console.print(line, soft_wrap=True, markup=False, highlight=False)
