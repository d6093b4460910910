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

from fluidrelu_cli.analysis.shares import win_share
from fluidrelu_cli.analysis.sign_flips import equality_p, find_limits, sign_flip_p
from fluidrelu_cli.analysis.verdicts import ALPHA, CONFIDENCE, PRIMARY, SECONDARY, default_margin, judge
from fluidrelu_cli.run import RUN_COLUMNS, TIMINGS, Run


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


def arrange(names: Iterable[str], order: Sequence[str]) -> list[str]:
    """Distinct names: those in ``order`` as they come there, then the others by name."""
    place = {name: index for index, name in reversed(list(enumerate(order)))}
    return sorted(set(names), key=lambda name: (place.get(name, len(order)), name))


def summary(
    finals: pd.DataFrame,
    asked: Mapping[str, int],
    test_images: int,
    order: Sequence[str] = (),
    diverged: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """One row per activation: n, asked, mean, ci_low, ci_high, sd (sample), median, best, worst, image_se, diverged.

    ``ci_*`` are :func:`interval`'s. ``image_se`` is the standard error of an accuracy p on N test images drawn at
    random, sqrt(p (1 - p) / N). NaN stands where n is too small. Best and worst describe these n runs alone: they
    grow apart with n.

    Args:
        finals: as :func:`final_accuracies` gives it.
        asked: how many seeds, from 0, were asked for by activation.
        test_images: N.
        order: of the rows, as for :func:`arrange`.
        diverged: how many of the n runs have (Run.diverged), by activation; they are in every number.
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
                "diverged": (diverged or {}).get(activation, 0),
            }
        )
    columns = [
        *("activation", "n", "asked", "mean", "ci_low", "ci_high", "sd", "median", "best", "worst", "image_se"),
        "diverged",
    ]
    table: pd.DataFrame = pd.DataFrame(rows, columns=columns)
    return table


def comparisons(
    finals: pd.DataFrame,
    baseline: str,
    test_images: int,
    order: Sequence[str] = (),
    *,
    margin: float | None = None,
    primary: str | None = None,
) -> pd.DataFrame:
    """Each other activation A against the baseline B, paired by seed: one row each, arranged by ``order``.

    Differences are A - B, of accuracies. NaN stands where n is too small. Columns:

    - activation, baseline; n: seeds that both have; left_out: seeds that only one of them has;
    - mean_difference; ci_low, ci_high: sign_flips.find_limits at 95 %; sd_difference; skewness: m3 / m2 ** 1.5 of
      the differences, with central moments m; correlation: Pearson's, of the pairs;
    - p: sign_flips.sign_flip_p; p_holm: adjusted for the family; family: "primary" (``primary``, or the only
      comparison; a family of one) or "secondary" (all others; one family);
    - margin; margin_declared: whether it is the one given, rather than verdicts.default_margin; equal_low, equal_high:
      the interval at 90 %; equal_within: the smallest margin that this lies within; p_equal: sign_flips.equality_p;
      p_equal_holm: adjusted for the family;
    - wins, ties, losses: seeds at which A is above, at, below B; win_rate, win_low, win_high: shares.win_share;
    - verdict: verdicts.judge's.

    Args:
        finals: as :func:`final_accuracies` gives it.
        baseline: B.
        test_images: how many images the accuracies are on.
        order: of the rows.
        margin: the difference below which it matters to nobody, if one is declared.
        primary: A of the comparison that was declared as the primary one, if one was.
    """
    by_seed = finals.pivot(index="seed", columns="activation", values="test_accuracy")
    others = arrange(set(by_seed.columns) - {baseline}, order)
    rows: list[dict[str, Any]] = []
    for activation in others:
        pairs = by_seed[[activation, baseline]].dropna()
        a, b = pairs[activation], pairs[baseline]
        # In whole images, for then equal differences are equal to the last digit.
        images: list[int] = np.rint((a - b).to_numpy() * test_images).astype(int).tolist()
        wanted = margin or default_margin(float(by_seed[baseline].mean()), test_images)
        wins, losses = (sum(sign * each > 0 for each in images) for sign in (1, -1))
        win_rate, win_low, win_high = win_share(images)
        low, high = find_limits(images, test_images)
        equal_low, equal_high = find_limits(images, test_images, 1 - 2 * ALPHA)
        alone = {name: sorted(set(by_seed[name].dropna().index) - set(pairs.index)) for name in (activation, baseline)}
        rows.append(
            {
                "activation": activation,
                "baseline": baseline,
                "n": len(pairs),
                "mean_difference": float(np.mean(images)) / test_images if images else math.nan,
                "ci_low": low,
                "ci_high": high,
                "sd_difference": float(np.std(images, ddof=1)) / test_images if len(images) > 1 else math.nan,
                "skewness": _skewness(images),
                "p": sign_flip_p(images) if images else math.nan,
                "family": PRIMARY if activation == primary or len(others) == 1 else SECONDARY,
                "margin": wanted,
                "margin_declared": margin is not None,
                "equal_low": equal_low,
                "equal_high": equal_high,
                "equal_within": max(-equal_low, equal_high),
                "p_equal": equality_p(images, wanted * test_images) if images else math.nan,
                "wins": wins,
                "ties": len(images) - wins - losses,
                "losses": losses,
                "win_rate": win_rate,
                "win_low": win_low,
                "win_high": win_high,
                "correlation": _correlation(a.tolist(), b.tolist()),
                "left_out": "; ".join(f"{name} {ranges(seeds)}" for name, seeds in alone.items() if seeds),
            }
        )
    for family in (PRIMARY, SECONDARY):
        mine = [row for row in rows if row["family"] == family]
        for row, judged in zip(mine, judge(mine), strict=True):
            row.update(judged)
    table: pd.DataFrame = pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS))
    return table


COMPARISON_COLUMNS = (
    *("activation", "baseline", "n", "mean_difference", "ci_low", "ci_high", "sd_difference", "p", "p_holm"),
    *("wins", "ties", "losses", "win_rate", "win_low", "win_high", "correlation", "left_out", "verdict"),
    *("family", "margin", "margin_declared", "equal_low", "equal_high", "equal_within", "p_equal", "p_equal_holm"),
    "skewness",
)


def _skewness(values: Sequence[int]) -> float:
    """m3 / m2 ** 1.5, with central moments m; NaN where there is none."""
    if len(values) < 3 or min(values) == max(values):
        return math.nan
    deviations = np.subtract(values, np.mean(values))
    return float(np.mean(deviations**3) / np.mean(deviations**2) ** 1.5)


def side_by_side(rows: Sequence[Mapping[Any, Any]]) -> pd.DataFrame:
    """One comparison from each of several studies, as one table.

    Columns: study, dataset, model, then COMPARISON_COLUMNS, with p_holm, p_equal_holm and verdict adjusted for the
    studies here instead of for the comparisons within each.

    Args:
        rows: a row of :func:`comparisons` each, with its study, dataset and model.
    """
    # without a p-value the study's own: it has no verdict yet, or one by another test
    judged = [row if math.isnan(row["p"]) else {**row, **its} for row, its in zip(rows, judge(rows), strict=True)]
    table: pd.DataFrame = pd.DataFrame(judged, columns=["study", "dataset", "model", *COMPARISON_COLUMNS])
    return table


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
