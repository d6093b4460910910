"""Where a command's trials are trained, from its options, and what it shows meanwhile."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fluidrelu_cli.cli.options import DEFAULT_RESULTS
from fluidrelu_cli.cli.terminal import count, open_stderr, say, stop_if_interrupted
from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.study import DEFAULT_STUDY, Study

if TYPE_CHECKING:
    from fluidrelu_cli.experiment import RunJobs, Work
    from fluidrelu_cli.protocol import Trial
    from fluidrelu_cli.workers.events import Event, Job


@dataclass(frozen=True)
class PoolOptions:
    """The options that say where trials are trained."""

    workers: int | None
    batch_seeds: str
    dask: str | None
    device: str
    data_dir: Path | None

    def __post_init__(self) -> None:
        from fluidrelu_cli.workers.local import default_workers

        if self.workers is not None and self.dask is not None:
            raise UsageError("--workers is for this machine; a Dask cluster has its own: leave one of the two out.")
        cores = default_workers("cpu")
        if self.workers is not None and self.workers > 4 * cores:
            say(
                f"--workers {self.workers} is far above this machine's {cores} cores: they take turns, and each needs"
                " memory."
            )

    def choose(self, data_dir: Path, device_name: str) -> tuple[RunJobs, int]:
        """What runs jobs, and how many seeds it trains together.

        Args:
            data_dir: where this machine's data sets are.
            device_name: on which device to train.
        """
        from fluidrelu_cli.workers.local import default_workers, run_on_this_machine

        together = _parse_batch_seeds(self.batch_seeds, device_name)
        if self.dask is not None:
            on_cluster = functools.partial(
                _run_on_cluster, address=self.dask, data_dir=self.data_dir, device_name=device_name
            )
            return on_cluster, together
        workers = self.workers or default_workers(device_name)
        run_jobs = functools.partial(run_on_this_machine, workers=workers, data_dir=data_dir, device_name=device_name)
        return run_jobs, together


def _parse_batch_seeds(value: str, device_name: str) -> int:
    from fluidrelu_cli.workers.local import default_batch_seeds

    if value == "auto":
        return default_batch_seeds(device_name)
    if not value.isdecimal() or int(value) < 1:
        raise UsageError(f"--batch-seeds must be auto or a whole number from 1, not {value}.")
    return int(value)


def _run_on_cluster(
    jobs: Sequence[Job], address: str, data_dir: Path | None, device_name: str
) -> Generator[Event, None, None]:
    from fluidrelu_cli.workers.cluster import DaskPool
    from fluidrelu_cli.workers.pool import follow

    pool = DaskPool(address, data_dir, device_name)
    workers = count(pool.workers, "worker") if pool.workers else "no workers yet: waiting for some (Ctrl-C stops)"
    say(f"{address}: {workers}.")
    return follow(pool, jobs)


def show_notes(works: Sequence[Work]) -> None:
    """Say what is to be known before training, each sentence once."""
    for note in dict.fromkeys(note for work in works for note in work.notes):
        say(note)


def show_events(
    parts: Sequence[tuple[Study, Work]],
    events: Iterator[Event],
    is_enough: Callable[[Event], bool] | None = None,
) -> int:
    """Show what there is to do in each study, and what happens; how many trials failed.

    ``is_enough`` is asked after every event whether the trials that have not ended are not needed.
    """
    from fluidrelu_cli.cli.progress import TrialsProgress, trial_label
    from fluidrelu_cli.workers.events import Failed

    show_notes([work for _, work in parts])
    for study, work in parts:
        asked, missing = len(work.trials), len(work.missing)
        most = "at most " if is_enough is not None else ""
        asked_for, to_train = f"{most}{count(asked, 'trial')} asked for", f"{most}{missing} to train"
        say(f"{study.folder}: {asked_for}, {asked - missing} finished already, {to_train}.")
    homes = {trial: study for study, work in reversed(parts) for trial in work.missing}
    failures = 0
    several = len({study.folder for study in homes.values()}) > 1

    def label(trial: Trial) -> str:
        return f"{homes[trial].name} {trial_label(trial)}" if several else trial_label(trial)

    with TrialsProgress(open_stderr(), list(homes), label=label) as progress:
        for event in events:
            stop_if_interrupted()
            progress.show(event)
            if isinstance(event, Failed):
                failures += 1
                say(f"    traceback: {homes[event.trial].files(event.trial.name).failure}")
            if is_enough is not None and is_enough(event):
                break
    return failures


def exit_if_failed(failures: int, trials: int) -> None:
    """End the command with exit code 1 if trials failed."""
    if failures:
        say(f"Error: {failures} of {count(trials, 'trial')} failed; the same command tries again.")
        raise typer.Exit(1)


def report_command(results: Path, study: str) -> str:
    """The command that reports on a study, by its name or its file, with the options that it needs."""
    command = ["fluidrelu", "report"]
    if study.endswith(".toml"):
        command.append(study)
    elif study != DEFAULT_STUDY:
        command += ["--study", study]
    if results != DEFAULT_RESULTS:
        command += ["--results", str(results)]
    return shlex.join(command)
