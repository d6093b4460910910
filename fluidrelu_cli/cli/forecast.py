"""What a command would train, and how long it would take here: `--dry-run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fluidrelu_cli.cli.terminal import show
from fluidrelu_cli.errors import DataError
from fluidrelu_cli.protocol import OF_ARM, Protocol, Trial
from fluidrelu_cli.stopping import Stopping
from fluidrelu_cli.study import Study


@dataclass(frozen=True)
class Asked:
    """What a study is asked for."""

    study: Study
    trials: Sequence[Trial]
    at_most: bool = False
    """Whether it may turn out that fewer are needed."""

    @classmethod
    def until_decided(cls, study: Study, stopping: Stopping) -> Asked:
        """What is asked of a study whose training ends once a comparison is decided, or is decided already."""
        from fluidrelu_cli.analysis.verdicts import UNDECIDED

        decision = stopping.decide(study.read().runs)
        seeds = stopping.seeds_for(decision)
        trials = [Trial(study.protocol, name, seed) for name, mine in seeds.items() for seed in mine]
        return cls(study, trials, decision.verdict == UNDECIDED)


def show_forecast(parts: Sequence[Asked], workers: int | None, device: str, data_dir: Path | None) -> None:
    """Print the trials of each study, what is finished, and how long the others take; nothing is trained or written.

    Args:
        parts: what each study is asked for.
        workers: how many train side by side; None: as many as there would be.
        device: where to train.
        data_dir: where data sets are kept.
    """
    from fluidrelu_cli.analysis.duration import estimate, median_seconds
    from fluidrelu_cli.cli.wording import describe_dry_run, dry_run_cells
    from fluidrelu_cli.report.tables import rich_table
    from fluidrelu_cli.workers.local import default_workers

    timer = _Timer(device, data_dir, {})
    rows, all_seconds, sources = [], [], dict[str, None]()
    for part in parts:
        runs = part.study.read().runs
        finished = {run.trial for run in runs}
        missing = [trial for trial in part.trials if trial not in finished]
        known = median_seconds(runs)
        seconds: list[float | None] = []
        for trial in missing:
            found = known.get(trial.activation)
            sources.setdefault("timed steps" if found is None else "the seconds of earlier runs")
            seconds.append(timer.time(trial) if found is None else found)
        certain = [each for each in seconds if each is not None]
        each = sum(certain) / len(certain) if certain and len(certain) == len(seconds) else None
        rows.append(
            (part.study.name, len(part.trials), len(part.trials) - len(missing), len(missing), each, part.at_most)
        )
        all_seconds += seconds
    show(rich_table("What would be trained", *dry_run_cells(rows)))
    whole = [each for each in all_seconds if each is not None]
    total = None
    count = workers or default_workers(device if device != "auto" else "cpu")
    if len(whole) == len(all_seconds):
        total = estimate(whole, count)
    why = " and ".join(sources) if total is not None else timer.problem
    at_most = any(part.at_most for part in parts)
    show(describe_dry_run(len(all_seconds), total, count, why, at_most=at_most))


def key_of_time(trial: Trial) -> tuple[Protocol, str]:
    """What trials have in common whose epochs take the same time."""
    alike = replace(trial.protocol, epochs=1, **{name: getattr(Protocol, name) for name in OF_ARM})
    return alike, trial.activation.partition("@")[0]


@dataclass
class _Timer:
    """Times an epoch of trials by some of its steps, once for those that differ in nothing that takes time."""

    device: str
    data_dir: Path | None
    known: dict[tuple[Protocol, str], float | None]
    problem: str = ""

    def time(self, trial: Trial) -> float | None:
        """The seconds that a trial takes; None if its data is not here."""
        key = key_of_time(trial)
        if key not in self.known:
            self.known[key] = self._time(*key)
        seconds = self.known[key]
        return None if seconds is None else seconds * trial.protocol.epochs

    def _time(self, protocol: Protocol, activation: str) -> float | None:
        from fluidrelu_cli.data.catalogue import choose_data_dir
        from fluidrelu_cli.networks.named import resolve
        from fluidrelu_cli.training.timing import time_trial

        try:
            return time_trial(resolve(activation), protocol, choose_data_dir(self.data_dir), self.device)
        except DataError:
            self.problem = f"the data set {protocol.dataset} is not here yet"
            return None
