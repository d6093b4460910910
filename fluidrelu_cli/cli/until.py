"""Train a study until its comparison is decided, and say how that ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fluidrelu_cli.analysis.sequential import Judgement
from fluidrelu_cli.analysis.verdicts import UNDECIDED
from fluidrelu_cli.cli.pools import PoolOptions, show_events
from fluidrelu_cli.cli.terminal import say
from fluidrelu_cli.cli.wording import describe_decision
from fluidrelu_cli.errors import StorageError
from fluidrelu_cli.protocol import Trial
from fluidrelu_cli.run import Run
from fluidrelu_cli.stopping import Stopping
from fluidrelu_cli.study import LOOKED, Entry
from fluidrelu_cli.workers.events import Event, Failed, Finished, Outcome, Started

if TYPE_CHECKING:
    from fluidrelu_cli.experiment import Request


def train_until_decided(request: Request, stopping: Stopping, pool: PoolOptions, *, mix: bool) -> tuple[int, int]:
    """Train seed by seed until a study's comparison is decided; how many trials failed, and how many ended.

    Args:
        request: what is asked of the study at most.
        stopping: where training ends.
        pool: where to train.
        mix: as for experiment.conduct_all.
    """
    from fluidrelu_cli.experiment import conduct_all

    experiment = request.experiment
    request = replace(request, narrow=lambda runs: stopping.seeds_for(stopping.decide(runs)))
    run_jobs, together = pool.choose(experiment.data_dir, experiment.device_name)
    with conduct_all([request], run_jobs, batch_seeds=together, mix=mix) as ([work], events):
        before = stopping.decide(work.runs)
        decided = before.verdict != UNDECIDED
        if decided:
            say(f"{experiment.study.folder}: {describe_decision(before, stopping, already=True)}")
            _record_look(request, work.runs)
        watch = _Watch(stopping, list(work.runs), work.missing, before)
        failures = show_events([(experiment.study, work)], events, None if decided else watch)
    if decided:
        return failures, len(work.missing)
    ended = describe_decision(watch.decision, stopping, stopped=len(watch.in_flight), failed=watch.failed)
    say(f"{experiment.study.folder}: {ended}")
    if watch.decision.verdict != UNDECIDED:
        _record_look(request, experiment.contents.runs)
    return failures, len(watch.ended)


def _record_look(request: Request, runs: Iterable[Run]) -> None:
    """Write into the study's log that a verdict was said, as of a report; say so if that cannot be."""
    asked, entry = request.seeds, request.entry
    counts = Counter(run.trial.activation for run in runs if run.trial.seed in asked.get(run.trial.activation, ()))
    file, digest = (None, None) if entry is None else (entry.file, entry.sha256)
    try:
        request.experiment.study.record(Entry(LOOKED, dict(counts), file=file, sha256=digest))
    except StorageError as error:
        say(f"This look is not in the study's log: {error}")


@dataclass
class _Watch:
    """Follows what happens in a study, and knows when no more of it is needed."""

    stopping: Stopping
    runs: list[Run]
    missing: Sequence[Trial]
    decision: Judgement
    in_flight: set[Trial] = field(default_factory=set)
    ended: set[Trial] = field(default_factory=set)
    failed: Trial | None = None
    """The one with the lowest seed of those that failed of the two: no pair from its seed on counts."""

    def __call__(self, event: Event) -> bool:
        """Whether every trial has ended with a seed of the pairs that decided it, or that count before one failed."""
        if isinstance(event, Started):
            self.in_flight |= {*event.job.trials}
        elif isinstance(event, Outcome):
            self.in_flight -= {*event.job.trials}
        if isinstance(event, Finished | Failed):
            self.ended |= {*event.job.trials}
        if isinstance(event, Finished):
            self.runs += event.runs
            if self.decision.verdict == UNDECIDED:  # pairs that follow never change it
                self.decision = self.stopping.decide(self.runs)
        if isinstance(event, Failed) and event.trial.activation in self.stopping.compare:
            self.failed = min(filter(None, [self.failed, event.trial]), key=lambda trial: trial.seed)
        if self.decision.verdict != UNDECIDED:
            needed = self.stopping.seeds_for(self.decision)
        elif self.failed is not None:
            needed = dict.fromkeys(self.stopping.compare, range(self.failed.seed))
        else:
            return False
        return all(trial in self.ended for trial in self.missing if trial.seed in needed.get(trial.activation, ()))
