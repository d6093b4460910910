"""How long trials took, and how long others will take."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from fluidrelu_cli.run import Run


def median_seconds(runs: Sequence[Run]) -> dict[str, float]:
    """By activation, how long a trial took: the median, without the runs that recorded no seconds.

    Trials that were trained together take equal shares of their seconds.
    """
    seconds: dict[str, list[float]] = {}
    for run in runs:
        if run.provenance.wall_seconds is not None:
            took = run.provenance.wall_seconds / run.provenance.batched_seeds
            seconds.setdefault(run.trial.activation, []).append(took)
    return {activation: median(mine) for activation, mine in seconds.items()}


def estimate(seconds: Sequence[float], workers: int) -> float:
    """How long trials that take so many seconds each will take by so many workers side by side.

    An equal share for each worker, but no less than the longest trial.
    """
    return max(sum(seconds) / workers, max(seconds, default=0.0))
