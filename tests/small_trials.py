"""Trials that take a moment, trained in this process, and the events of jobs that are made of them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from fluidrelu_cli.networks.named import resolve
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.run import Epoch, Run
from fluidrelu_cli.training.loop import train_together
from fluidrelu_cli.workers.events import Event, Failed, Finished, Job, Split

PROTOCOL = Protocol(epochs=2, batch_size=50, train_images=100, test_images=50)


def make_job(activation: str, seeds: int | Sequence[int] = 1, protocol: Protocol = PROTOCOL) -> Job:
    """A job of these seeds, or of so many."""
    numbers = range(seeds) if isinstance(seeds, int) else seeds
    return Job(resolve(activation), tuple(Trial(protocol, activation, seed) for seed in numbers))


def train(
    trials: Sequence[Trial],
    data_dir: Path,
    on_epochs: Callable[[tuple[Epoch, ...]], object] = lambda _epochs: None,
    on_step: Callable[[], None] = lambda: None,
    *,
    save_weights: bool = False,
) -> list[Run]:
    """Train trials of one activation together, here and now."""
    runs: list[Run] = []

    def collect_runs() -> Iterator[tuple[Epoch, ...]]:
        activation = resolve(trials[0].activation)
        training = train_together(activation, trials, data_dir, "cpu", on_step, save_weights=save_weights)
        runs.extend((yield from training))

    for epochs in collect_runs():
        on_epochs(epochs)
    return runs


def without_timings(run: Run) -> Run:
    """What two runs of one trial on one machine share."""
    epochs = tuple(replace(epoch, train_seconds=0.0, test_seconds=0.0) for epoch in run.epochs)
    return replace(run, epochs=epochs, provenance=replace(run.provenance, wall_seconds=None, peak_memory=None))


@contextlib.contextmanager
def counted_comparisons(kind: type) -> Iterator[Counter[str]]:
    """How often two values of a class are compared within the context."""
    counter = Counter[str]()
    compare = vars(kind)["__eq__"]

    def count(one: object, other: object) -> bool:
        counter[kind.__name__] += 1
        return bool(compare(one, other))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "__eq__", count)
        yield counter


def runs_in(events: Iterable[Event]) -> list[Run]:
    return [run for event in events if isinstance(event, Finished) for run in event.runs]


def failures_in(events: Iterable[Event]) -> list[Failed]:
    return [event for event in events if isinstance(event, Failed)]


def splits_in(events: Iterable[Event]) -> list[int]:
    """How many trials each job had that was split."""
    return [len(event.job.trials) for event in events if isinstance(event, Split)]


def ended_in(events: Iterable[Event]) -> list[Trial]:
    """Every trial that ended, as often as it did."""
    ended: list[Trial] = []
    for event in events:
        if isinstance(event, Finished):
            assert tuple(run.trial for run in event.runs) == event.job.trials
            ended.extend(event.job.trials)
        elif isinstance(event, Failed):
            ended.append(event.trial)
    return ended
