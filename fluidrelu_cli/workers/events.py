"""Jobs, and the events that report on each from its start to its outcome."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from fluidrelu_cli.errors import one_line
from fluidrelu_cli.networks.named import Activation
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.run import Epoch, Run
from fluidrelu_cli.seeding import own_torch_settings


@dataclass(frozen=True)
class Job:
    """Trials of one activation that are trained together, each with its own seed. Most jobs have just one trial."""

    activation: Activation
    trials: tuple[Trial, ...]
    save_weights: bool = False
    """Whether the runs hold the trained networks."""

    def halves(self) -> tuple[Job, Job]:
        """Two jobs with the same trials, to be tried when this one failed."""
        middle = len(self.trials) // 2
        return replace(self, trials=self.trials[:middle]), replace(self, trials=self.trials[middle:])


@dataclass(frozen=True)
class Started:
    """A worker has begun a job."""

    job: Job


@dataclass(frozen=True)
class EpochDone:
    """A running job has finished an epoch; each of its trials has its numbers."""

    job: Job
    epochs: Sequence[Epoch]


@dataclass(frozen=True)
class Finished:
    """A job is done; each of its trials has its run."""

    job: Job
    runs: Sequence[Run]


@dataclass(frozen=True)
class Split:
    """A job of several trials raised (out of memory, perhaps) or its worker died. Each half is tried next."""

    job: Job
    error: str


@dataclass(frozen=True)
class Failed:
    """A job of one trial raised, or its worker died."""

    job: Job
    error: str
    details: str

    @property
    def trial(self) -> Trial:
        return self.job.trials[0]


Update: TypeAlias = Started | EpochDone
Outcome: TypeAlias = Finished | Split | Failed
Event: TypeAlias = Update | Outcome


def fail(job: Job, error: str, details: str) -> Split | Failed:
    """The outcome of a job that cannot be done: a Split if it has several trials, else Failed."""
    return Split(job, error) if len(job.trials) > 1 else Failed(job, error, details)


def group_jobs(
    trials: Sequence[Trial], activations: Iterable[Activation], batch_seeds: int, *, save_weights: bool = False
) -> list[Job]:
    """Put trials into jobs of one activation and protocol, with at most ``batch_seeds`` trials each.

    The jobs are in the order of their first trials.

    Args:
        trials: what to train.
        activations: those that the trials name.
        batch_seeds: how many may be trained together.
        save_weights: have the runs hold the trained networks.
    """
    by_name = {activation.name: activation for activation in activations}
    jobs: list[list[Trial]] = []
    last: dict[tuple[Protocol, str], list[Trial]] = {}  # the only job of its kind that may have room
    for trial in trials:
        kind = trial.protocol, trial.activation
        job = last.get(kind)
        if job is None or len(job) >= batch_seeds:
            job = last[kind] = []
            jobs.append(job)
        job.append(trial)
    return [Job(by_name[job[0].activation], tuple(job), save_weights) for job in jobs]


def attempt(
    job: Job, data_dir: Path | None, device_name: str, on_step: Callable[[], None] = lambda: None
) -> Iterator[Event]:
    """Train a job's trials in this process: Started, an EpochDone after each epoch, and the outcome.

    Whatever the trials or ``on_step`` raise becomes an outcome. Only Ctrl-C goes through.
    """
    yield Started(job)
    try:
        from fluidrelu_cli.data.catalogue import choose_data_dir
        from fluidrelu_cli.training.loop import train_together

        folder = choose_data_dir(data_dir)
        training = train_together(
            job.activation, job.trials, folder, device_name, on_step, save_weights=job.save_weights
        )
        while True:
            try:
                epochs = next(training)
            except StopIteration as stop:
                outcome: Outcome = Finished(job, stop.value)
                break
            yield EpochDone(job, epochs)
    except (GeneratorExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # a SystemExit too: the other trials go on
        outcome = fail(job, one_line(error), traceback.format_exc())
    yield outcome


def run_in_this_process(jobs: Sequence[Job], data_dir: Path | None, device_name: str) -> Generator[Event, None, None]:
    """Train jobs in this process, one after the other, and yield what happens; torch's settings are put back."""
    waiting = deque(jobs)
    with own_torch_settings():
        while waiting:
            for event in attempt(waiting.popleft(), data_dir, device_name):
                yield event
                if isinstance(event, Split):
                    waiting.extendleft(reversed(event.job.halves()))
