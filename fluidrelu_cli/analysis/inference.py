"""Statistics of final accuracies: pure functions from tables to tables.

A table of runs has run.RUN_COLUMNS. A run's result is the test accuracy after its last epoch. Intervals are over
seeds: they cover the noise of training (initial weights, order of the data) on one set of test images, not the
choice of those images, whose standard error is given too. Distributions are scipy.special's functions, because
importing scipy.stats takes longer than a report.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from fluidrelu_cli.run import RUN_COLUMNS, TIMINGS, Run

ALPHA = 0.05
CONFIDENCE = 1 - ALPHA


def final_accuracies(runs: pd.DataFrame) -> pd.DataFrame:
    """The last epoch's test accuracy of each run: columns activation, seed, test_accuracy."""
    rows = runs.groupby(["activation", "seed"])["epoch"].idxmax()
    last: pd.DataFrame = runs.loc[rows, ["activation", "seed", "test_accuracy"]].reset_index(drop=True)
    return last


def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Student's interval of the mean, for 95 % mean ± t(0.975; n - 1) s / sqrt(n); NaN if n < 2."""
    n = len(values)
    if n < 2:
        return math.nan, math.nan
    mean, half = float(np.mean(values)), special.stdtrit(n - 1, (1 + confidence) / 2) * np.std(values, ddof=1) / n**0.5
    return mean - float(half), mean + float(half)


def is_within(margin: float | None, interval: tuple[float, float] | None) -> bool:
    """Whether a 90 % interval lies within ±margin: both one-sided tests at 5 % say that the difference is smaller."""
    return margin is not None and interval is not None and -margin < interval[0] and interval[1] < margin


def wilson_interval(successes: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share p = successes / n; NaN if n = 0.

    (p + z**2 / 2n ± z sqrt(p (1 - p) / n + z**2 / 4n**2)) / (1 + z**2 / n), z the normal distribution's 0.975 point.
    """
    if n == 0:
        return math.nan, math.nan
    p, z = successes / n, float(special.ndtri((1 + CONFIDENCE) / 2))
    centre, half = p + z**2 / (2 * n), z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    low, high = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
    return (low if successes else 0.0), (high if successes < n else 1.0)  # at the ends exactly, whatever is rounded


def arrange(names: Iterable[str], order: Sequence[str]) -> list[str]:
    """Distinct names: those in ``order`` as they come there, then the others by name."""
    place = {name: index for index, name in reversed(list(enumerate(order)))}
    return sorted(set(names), key=lambda name: (place.get(name, len(order)), name))


def summary(
    finals: pd.DataFrame, asked: Mapping[str, int], test_images: int, order: Sequence[str] = ()
) -> pd.DataFrame:
    """One row per activation: n, asked, mean, ci_low, ci_high, sd (sample), median, best, worst, image_se.

    ``ci_*`` are :func:`interval`'s. ``image_se`` is the standard error of an accuracy p on N test images drawn at
    random, sqrt(p (1 - p) / N). NaN stands where n is too small. Best and worst describe these n runs alone: they
    grow apart with n.

    Args:
        finals: as :func:`final_accuracies` gives it.
        asked: how many seeds, from 0, were asked for by activation.
        test_images: N.
        order: of the rows, as for :func:`arrange`.
    """
    rows = []
    for activation in arrange({*finals["activation"], *asked}, order):
        mine = finals[finals["activation"] == activation]
        values = mine["test_accuracy"].tolist()
        mean = float(np.mean(values)) if values else math.nan
        low, high = interval(values)
        rows.append(
            {
                "activation": activation,
                "n": len(values),
                "asked": len({*mine["seed"], *range(asked.get(activation, 0))}),
                "mean": mean,
                "ci_low": low,
                "ci_high": high,
                "sd": float(np.std(values, ddof=1)) if len(values) > 1 else math.nan,
                "median": float(np.median(values)) if values else math.nan,
                "best": max(values, default=math.nan),
                "worst": min(values, default=math.nan),
                "image_se": math.sqrt(mean * (1 - mean) / test_images),
            }
        )
    columns = ["activation", "n", "asked", "mean", "ci_low", "ci_high", "sd", "median", "best", "worst", "image_se"]
    table: pd.DataFrame = pd.DataFrame(rows, columns=columns)
    return table


def comparisons(finals: pd.DataFrame, baseline: str, test_images: int, order: Sequence[str] = ()) -> pd.DataFrame:
    """Each other activation A against the baseline B, paired by seed: one row each, arranged by ``order``.

    Columns: activation, baseline; n (seeds that both have); mean_difference (A - B), ci_low, ci_high (paired t, 95 %),
    sd_difference; p (:func:`sign_flip_p`), p_holm (:func:`holm` over the rows); wins, ties, losses (seeds at which A
    is above, at, below B); win_rate (wins / n, which estimates P(A > B)), win_low, win_high (Wilson, 95 %);
    correlation (Pearson's, of the pairs); left_out (seeds that only one of the two has); verdict: "better" or "worse"
    where p_holm is below 5 %, else "undecided", or "too few pairs" where it could not be, whatever so many pairs
    showed. NaN stands where n is too small.
    """
    by_seed = finals.pivot(index="seed", columns="activation", values="test_accuracy")
    rows: list[dict[str, Any]] = []
    for activation in arrange(set(by_seed.columns) - {baseline}, order):
        pairs = by_seed[[activation, baseline]].dropna()
        a, b = pairs[activation], pairs[baseline]
        # In whole images, for then equal differences are equal to the last digit.
        images = np.rint((a - b).to_numpy() * test_images).astype(int)
        n, wins, losses = len(pairs), int((images > 0).sum()), int((images < 0).sum())
        low, high = (end / test_images for end in interval(images.tolist()))
        win_low, win_high = wilson_interval(wins, n)
        alone = {name: sorted(set(by_seed[name].dropna().index) - set(pairs.index)) for name in (activation, baseline)}
        rows.append(
            {
                "activation": activation,
                "baseline": baseline,
                "n": n,
                "mean_difference": float(images.mean()) / test_images if n else math.nan,
                "ci_low": low,
                "ci_high": high,
                "sd_difference": float(images.std(ddof=1)) / test_images if n > 1 else math.nan,
                "p": sign_flip_p(images.tolist()) if n else math.nan,
                "wins": wins,
                "ties": n - wins - losses,
                "losses": losses,
                "win_rate": wins / n if n else math.nan,
                "win_low": win_low,
                "win_high": win_high,
                "correlation": _correlation(a.tolist(), b.tolist()),
                "left_out": "; ".join(f"{name} {ranges(seeds)}" for name, seeds in alone.items() if seeds),
            }
        )
    for row, (p_holm, verdict) in zip(rows, judge(rows), strict=True):
        row.update(p_holm=p_holm, verdict=verdict)
    table: pd.DataFrame = pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS))
    return table


COMPARISON_COLUMNS = (
    *("activation", "baseline", "n", "mean_difference", "ci_low", "ci_high", "sd_difference", "p", "p_holm"),
    *("wins", "ties", "losses", "win_rate", "win_low", "win_high", "correlation", "left_out", "verdict"),
)


def side_by_side(rows: Sequence[Mapping[Any, Any]]) -> pd.DataFrame:
    """One comparison from each of several studies, as one table.

    Columns: study, dataset, model, then COMPARISON_COLUMNS, with p_holm and verdict adjusted for the studies here
    instead of for the comparisons within each.

    Args:
        rows: a row of :func:`comparisons` each, with its study, dataset and model.
    """
    table: pd.DataFrame = pd.DataFrame(
        [
            {
                **row,
                "p_holm": p_holm,
                # without a p-value the study's own: it has no verdict yet, or one by another test
                "verdict": row["verdict"] if math.isnan(p_holm) else verdict,
            }
            for row, (p_holm, verdict) in zip(rows, judge(rows), strict=True)
        ],
        columns=["study", "dataset", "model", *COMPARISON_COLUMNS],
    )
    return table


def judge(rows: Sequence[Mapping[Any, Any]]) -> list[tuple[float, str]]:
    """Each comparison's p-value, adjusted for those it is made together with, and its verdict: see :func:`comparisons`.

    Args:
        rows: n, mean_difference and p of each comparison.
    """
    p_values = [row["p"] for row in rows]
    judged = []
    for index, (row, p_holm) in enumerate(zip(rows, holm(p_values), strict=True)):
        at_best = holm([*p_values[:index], 2 / 2 ** row["n"], *p_values[index + 1 :]])[index]
        verdict = "too few pairs" if at_best >= ALPHA else "undecided"
        if p_holm < ALPHA:
            verdict = "better" if row["mean_difference"] > 0 else "worse"
        judged.append((p_holm, verdict))
    return judged


def sign_flip_p(differences: Sequence[int]) -> float:
    """The exact two-sided p-value of paired differences, when each is as likely to have either sign.

    The share of the 2**n ways to choose the signs in which the sum is at least as far from 0 as the one observed. With
    whole numbers (test images) all ways with one sum are one, and the distribution of the sum is worked out difference
    by difference (the shift algorithm; Streitberg and Röhmel 1986): exact for every n, where drawing signs at random
    would not be. The smallest p that n pairs can give is 2 / 2**n.
    """
    ways, reach = np.zeros(sum(map(abs, differences)) + 1), 0  # by the sum of those that keep their sign: 0, ..., reach
    ways[0] = 1
    for step in map(abs, differences):
        half = ways[: reach + 1] / 2
        ways[: reach + 1] = half
        ways[step : step + reach + 1] += half
        reach += step
    probability = np.zeros(2 * reach + 1)  # of the sums -reach, ..., reach, of which every second is impossible
    probability[::2] = ways
    far = np.abs(np.arange(-reach, reach + 1)) >= abs(sum(differences))
    return float(probability[far].sum())


def fewest_pairs(alpha: float = ALPHA) -> int:
    """The least n at which a sign-flip p-value can reach alpha: 2 / 2**n <= alpha. 6 at 5 %."""
    return math.ceil(1 - math.log2(alpha))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number (Holm 1979).

    With m of them, the i-th smallest (from 0) becomes the largest of (m - j) p_j over j <= i, and at most 1. NaNs stay
    and do not count.
    """
    adjusted = [math.nan] * len(p_values)
    order = sorted((p, index) for index, p in enumerate(p_values) if not math.isnan(p))
    largest = 0.0
    for rank, (p, index) in enumerate(order):
        largest = max(largest, (len(order) - rank) * p)
        adjusted[index] = min(1.0, largest)
    return adjusted


def _correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Pearson's correlation; NaN where there is none. (Of two pairs it is always 1 or -1.)"""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def ranges(numbers: Sequence[int]) -> str:
    """Ascending whole numbers in short: ``0, 3–5, 9``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("–".join(map(str, run)) for run in runs)


def compare_runs(mine: Iterable[Run], theirs: Iterable[Run]) -> pd.DataFrame:
    """How far runs of the same activation and seed agree, one row per common run.

    Columns: activation, seed; identical (every number but the timings is equal); accuracy_difference (mine minus
    theirs, after the last epoch).
    """
    others = {(run.trial.activation, run.trial.seed): run for run in theirs}
    rows = []
    for run in mine:
        key = (run.trial.activation, run.trial.seed)
        if key in others:
            other = others[key]
            rows.append((*key, _digits(run) == _digits(other), run.test_accuracy - other.test_accuracy))
    columns = ["activation", "seed", "identical", "accuracy_difference"]
    table: pd.DataFrame = pd.DataFrame(rows, columns=columns)
    return table


def _digits(run: Run) -> list[list[str]]:
    """All that a run CSV says of the epochs but the timings, each number to its last bit; nan is equal to nan."""
    names = [name for name, kind in RUN_COLUMNS.items() if kind is float and name not in TIMINGS]
    return [[float(getattr(epoch, name)).hex() for name in names] for epoch in run.epochs]
