"""What stderr shows while trials run and data arrives: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

from rich.console import Console
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.status import Status
from rich.table import Column, Table
from rich.text import Text

from fluidrelu_cli.cli.terminal import count, say
from fluidrelu_cli.errors import printable
from fluidrelu_cli.protocol import Trial
from fluidrelu_cli.run import Epoch, Run
from fluidrelu_cli.workers.events import EpochDone, Event, Failed, Finished, Job, Split, Started

if TYPE_CHECKING:
    from typing_extensions import Self

Drawn = TypeVar("Drawn", Live, Progress, Status)


class _Shown(Generic[Drawn]):
    """What is drawn live on a terminal, while the context lasts; elsewhere there is nothing to draw."""

    def __init__(self, console: Console, draw: Callable[[], Drawn]) -> None:
        self._console = console
        self._live: Drawn | None = draw() if _can_draw(console) else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def _say(self, line: str) -> None:
        say(line, self._console)


def _can_draw(console: Console) -> bool:
    """Whether lines can be drawn over: on a terminal, and in Jupyter where its widgets are installed."""
    if console.is_jupyter:
        return importlib.util.find_spec("ipywidgets") is not None
    return console.is_terminal and not console.is_dumb_terminal


class _Words(TextColumn):
    """What a format makes of a task, as it is: an activation's name may look like rich's markup."""

    def render(self, task: Task) -> Text:
        return Text(printable(self.text_format.format(task=task)))


class _Amount(ProgressColumn):
    """How much of a task is done, in the format that it names."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["amount"].format(task=task), style="progress.download")


def trial_label(trial: Trial) -> str:
    return f"{trial.activation} seed {trial.seed}"


class TrialsProgress(_Shown[Progress]):
    """The progress of several trials, of one study or of many: hand every event to :meth:`show`.

    On a terminal one overall bar with the time left, and a line per running job with its epoch and latest (mean) test
    accuracy; a line that stays for each trial that ended. Elsewhere only the latter.

    Args:
        console: where to show it.
        trials: all that will be trained.
        cost: how much of the overall bar a trial is, in any unit that all have in common.
        label: what a trial is called.
    """

    def __init__(
        self,
        console: Console,
        trials: Sequence[Trial],
        cost: Callable[[Trial], float] = lambda trial: trial.protocol.epochs,
        label: Callable[[Trial], str] = trial_label,
    ) -> None:
        super().__init__(console, lambda: _bars(console))
        self._trials = trials
        self._cost = cost
        self._label = label
        self._ended = 0
        self._ended_cost = 0.0
        self._overall: TaskID | None = None
        self._running: dict[Job, TaskID] = {}

    def show(self, event: Event) -> None:
        if isinstance(event, Finished):
            for run in event.runs:
                self._end(run.trial, describe_run(run, self._label))
        elif isinstance(event, Failed):
            self._end(event.trial, f"{self._label(event.trial)} failed: {event.error}")
        elif isinstance(event, Split):
            sizes = " and ".join(str(len(half.trials)) for half in event.job.halves())
            self._say(f"{self._label_job(event.job)} cannot be trained together ({event.error}): going on with {sizes}")
        if self._live is not None:
            self._move(self._live, event)

    def _end(self, trial: Trial, line: str) -> None:
        self._ended += 1
        self._ended_cost += self._cost(trial)
        self._say(f"{self._ended}/{len(self._trials)} {line}")

    def _label_job(self, job: Job) -> str:
        first, *others = map(self._label, job.trials)
        return f"{first} and {len(others)} more" if others else first

    def _move(self, live: Progress, event: Event) -> None:
        if self._overall is None:
            total = sum(map(self._cost, self._trials))
            self._overall = live.add_task("all trials", total=total, amount="{task.percentage:.0f} %", note="")
        if isinstance(event, Started):
            # A job whose worker died begins again.
            self._forget(live, event.job)
            epochs = event.job.trials[0].protocol.epochs
            self._running[event.job] = live.add_task(
                self._label_job(event.job),
                total=epochs,
                amount="{task.completed:g}/{task.total:.0f} epochs",
                note="starting",
            )
        elif isinstance(event, EpochDone):
            accuracy = sum(epoch.test_accuracy for epoch in event.epochs) / len(event.epochs)
            note = f"{'mean ' if len(event.job.trials) > 1 else ''}test accuracy {accuracy:.4f}"
            live.update(self._running[event.job], completed=event.epochs[0].epoch, note=note)
        else:
            self._forget(live, event.job)
        done = {task.id: task.percentage / 100 for task in live.tasks}
        in_flight = sum(done[task] * sum(map(self._cost, job.trials)) for job, task in self._running.items())
        note = f"{self._ended} of {count(len(self._trials), 'trial')} done"
        live.update(self._overall, completed=self._ended_cost + in_flight, note=note)

    def _forget(self, live: Progress, job: Job) -> None:
        task = self._running.pop(job, None)
        if task is not None:
            live.remove_task(task)


def _bars(console: Console) -> Progress:
    return Progress(
        _Words("{task.description}"),
        BarColumn(),
        _Amount(table_column=Column(no_wrap=True)),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        _Words("{task.fields[note]}"),
        console=console,
        # An epoch takes seconds to minutes: estimate the time left from the last ten minutes.
        speed_estimate_period=600,
        transient=True,
    )


def describe_run(run: Run, label: Callable[[Trial], str] = trial_label) -> str:
    seconds, together = run.provenance.wall_seconds, run.provenance.batched_seeds
    epochs = count(run.trial.protocol.epochs, "epoch")
    diverged = f"; it diverged (its training loss is {run.epochs[-1].train_loss:.0e})" if run.diverged else ""
    accuracy = f"test accuracy {run.test_accuracy:.4f}"
    wall = f"{seconds:.0f} s" if together == 1 else f"{seconds:.0f} s, {together} seeds together"
    return f"{label(run.trial)}: {accuracy} after {epochs} ({wall}){diverged}"


class EpochLines(_Shown[Live]):
    """The progress of a single trial: hand every epoch to :meth:`show`.

    On a terminal a table that grows by a row per epoch and leaves with the last one; elsewhere a line per epoch.
    """

    def __init__(self, console: Console, trial: Trial) -> None:
        self._trial = trial
        self._table = Table(
            "epoch", "training loss", "test accuracy", title=Text(printable(trial_label(trial))), title_justify="left"
        )
        super().__init__(console, lambda: Live(self._table, console=console, transient=True))

    def show(self, done: Epoch) -> None:
        epoch = f"{done.epoch}/{self._trial.protocol.epochs}"
        loss, accuracy = f"{done.train_loss:.4f}", f"{done.test_accuracy:.4f}"
        if self._live is not None:
            self._table.add_row(epoch, loss, accuracy)
            self._live.refresh()
        else:
            self._say(f"{trial_label(self._trial)}: epoch {epoch}: training loss {loss}, test accuracy {accuracy}")


class Spinner(_Shown[Status]):
    """Something that turns on a terminal, beside what is being done, while the context lasts; elsewhere nothing."""

    def __init__(self, console: Console, doing: str) -> None:
        super().__init__(console, lambda: console.status(Text(doing)))


class TurnsProgress(_Shown[Progress]):
    """How many of so many turns are done: on a terminal a bar with the time left, elsewhere a line at the start."""

    def __init__(self, console: Console, doing: str, turns: int) -> None:
        columns = _Words("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
        super().__init__(console, lambda: Progress(*columns, console=console, transient=True))
        if self._live is None:
            self._say(f"{doing}.")
        else:
            self._task = self._live.add_task(doing, total=turns)

    def advance(self) -> None:
        """One more is done."""
        if self._live is not None:
            self._live.advance(self._task)


class TransferProgress(_Shown[Progress]):
    """The progress of downloads: hand every advance to :meth:`show`.

    On a terminal a bar per file, with bytes, speed and time left; elsewhere a line when a file is complete.
    """

    def __init__(self, console: Console) -> None:
        columns = _Words("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
        super().__init__(console, lambda: Progress(*columns, TimeRemainingColumn(), console=console))
        self._files: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self  # nothing is drawn until something arrives

    def show(self, name: str, done: int, total: int | None) -> None:
        """``done`` bytes of a file have arrived, of ``total`` if that is known."""
        if self._live is not None:
            if name not in self._files:
                self._live.start()
                self._files[name] = self._live.add_task(name)
            self._live.update(self._files[name], completed=done, total=total)
        elif done == total:
            self._say(f"{name}: {done / 1e6:.1f} MB")
