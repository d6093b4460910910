"""Paired runs compared after every epoch, as their number grows, and by their spread.

A difference is an activation's test accuracy minus the baseline's at the same seed and epoch. Accuracies are fractions
in [0, 1], intervals are at 95 %, and NaN stands where there is none.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from fluidrelu_cli.analysis.inference import CONFIDENCE, fewest_pairs, interval

Array = NDArray[np.float64]

EXACT_PAIRS = 12
"""Up to so many pairs all ways to choose their signs are tried, and beyond it..."""

FLIPS = 10_000
"""... so many that are drawn at random, always the same ones."""

_DIGITS = 12
"""Differences that are equal to so many decimals are equal: those of accuracies are at least one image apart."""

BY_EPOCH_COLUMNS = ("epoch", "n", "mean_difference", "ci_low", "ci_high", "band_low", "band_high")
GROWTH_COLUMNS = ("n", "mean_difference", "ci_low", "ci_high")


def compare_by_epoch(run_table: pd.DataFrame, activation: str, baseline: str) -> pd.DataFrame:
    """The mean paired difference after each epoch: one row each, BY_EPOCH_COLUMNS.

    ``n`` counts the seeds that both have at that epoch. ``ci_*`` is Student's interval, as if that epoch alone had been
    looked at. ``band_*`` holds the true differences of all epochs at once with probability 95 %: mean ± q se, with q
    from :func:`simultaneous_quantile` (the single-step max-T method of Westfall and Young 1993, Resampling-Based
    Multiple Testing). The epochs of a seed keep their sign together, so q allows for how alike they are. The band is
    nowhere narrower than Student's interval.

    An epoch at which all differences are equal has se = 0 and so no t. It does not count for the quantile, and its
    interval and band are its mean alone. An epoch with fewer than 6 pairs has no band and does not count either: with
    so few no sign-flip test can reject anything at 5 %. If the quantile is infinite, no epoch has a band.

    Args:
        run_table: run.RUN_COLUMNS.
        activation: whose accuracy it is.
        baseline: the activation that it is compared with.
    """
    by_seed = [
        run_table[run_table["activation"] == name].pivot(index="seed", columns="epoch", values="test_accuracy")
        for name in (activation, baseline)
    ]
    paired = (by_seed[0] - by_seed[1]).round(_DIGITS).dropna(how="all").dropna(axis="columns", how="all")
    enough = paired.columns[paired.count() >= fewest_pairs()]
    quantile = simultaneous_quantile(paired[enough].dropna(how="all").to_numpy(dtype=float))
    rows = []
    for epoch, column in paired.items():
        values = column.dropna().tolist()
        mean, error = float(np.mean(values)), _standard_error(values)
        low, high = interval(values) if error else (mean, mean)
        half = max(quantile * error, high - mean) if epoch in enough and math.isfinite(quantile) else math.nan
        rows.append((epoch, len(values), mean, low, high, mean - half, mean + half))
    table: pd.DataFrame = pd.DataFrame(rows, columns=list(BY_EPOCH_COLUMNS))
    return table


def _standard_error(values: Sequence[float]) -> float:
    """That of the mean of n values, s / sqrt(n): exactly 0 if they are equal, NaN if n < 2."""
    if len(values) < 2:
        return math.nan
    return float(np.std(values, ddof=1)) / len(values) ** 0.5 if np.ptp(values) else 0.0


def simultaneous_quantile(differences: Array) -> float:
    """The q of the band: the least value of :func:`largest_t` that at least 95 % of them do not exceed."""
    return float(np.quantile(largest_t(differences), CONFIDENCE, method="inverted_cdf"))


def largest_t(differences: Array) -> Array:
    """The largest |t| of all epochs, for each way to choose the seeds' signs: of shape (ways,), in no order.

    From r_se = d_se - mean_e, and one sign g_s for all epochs of seed s, t_e = m / (s / sqrt(n)) with the mean m and
    the SD s of g_s r_se over the n seeds. The means are taken off first because it is the noise around them that is
    flipped: with the raw differences an effect that is common to all epochs would make them look alike, and in
    a simulation the band then held all epochs in 71 % of studies only. Of each way and its opposite, which have the
    same |t|, one stands for both. A value is infinite where the turned differences of an epoch are all equal.

    Args:
        differences: (seeds, epochs); NaN where a seed has no pair. Epochs at which all are equal do not count.
    """
    varying = np.array([column for column in differences.T if np.nanmin(column) < np.nanmax(column)]).T
    if not varying.size:
        return np.zeros(1)
    n = (~np.isnan(varying)).sum(axis=0)
    noise = np.nan_to_num(varying - np.nanmean(varying, axis=0))
    # (mean / SD)**2 by the share of m**2 in the mean square, which no sign changes
    share = (_signs(len(noise)) @ noise) ** 2 / (n * (noise**2).sum(axis=0))
    with np.errstate(divide="ignore"):
        squares = (n - 1) * share / np.where(share < 1 - 1e-12, 1 - share, 0)
    largest: Array = np.sqrt(squares.max(axis=1))
    return largest


def _signs(seeds: int) -> Array:
    """Ways to choose the seeds' signs, one per row: FLIPS of them, or all in which the first is +."""
    if seeds > EXACT_PAIRS:
        return np.random.default_rng(0).choice((-1.0, 1.0), (FLIPS, seeds))
    return np.array([(1.0, *others) for others in itertools.product((1.0, -1.0), repeat=seeds - 1)])


def growth(differences: Sequence[float]) -> pd.DataFrame:
    """The mean of the first n differences and Student's interval, for n from 2 to all: GROWTH_COLUMNS.

    Each interval is of a study that was planned with n pairs. Whoever looks at all of them, and stops at one that
    excludes 0, finds a difference where there is none in far more than 5 % of studies (analysis.sequential has what
    may be looked at after every pair).

    Args:
        differences: in the order of the seeds.
    """
    values = [round(float(value), _DIGITS) for value in differences]
    rows = [(n, float(np.mean(values[:n])), *interval(values[:n])) for n in range(2, len(values) + 1)]
    table: pd.DataFrame = pd.DataFrame(rows, columns=list(GROWTH_COLUMNS))
    return table


@dataclass(frozen=True)
class Spread:
    """How two activations' accuracies scatter, and what errors they leave, over the same seeds."""

    n: int
    sd_ratio: float
    """The SD of the one's accuracies by that of the other's."""
    sd_low: float
    sd_high: float
    log_error_ratio: float
    """The natural logarithm of the ratio of mean errors (1 - accuracy): above 0 if the one's is the larger."""
    log_error_low: float
    log_error_high: float


def spread(a: Sequence[float], b: Sequence[float]) -> Spread:
    """Compare the spread and the errors of paired accuracies, a to b.

    The interval of the SD ratio s_a / s_b inverts the test of Pitman (1939) and Morgan (1939), both Biometrika 31: a
    and θb have equal variances where a + θb and a - θb are not correlated. With r the correlation of a and b and t
    Student's 0.975 point of n - 2 degrees of freedom, the θ that it does not reject are those with

        θ² between (s_a / s_b)² (K ± sqrt(K² - 1)), K = 1 + 2 (1 - r²) t² / (n - 2).

    It is exact for normal accuracies; others, and heavy tails above all, make it too short.

    The interval of log((1 - mean a) / (1 - mean b)) is by the delta method: ± t(0.975; n - 1) s / sqrt(n), with s the
    SD over seeds of b_s / (1 - mean b) - a_s / (1 - mean a). Without errors there is none.

    Args:
        a: one accuracy per seed, at least 3 for an interval of the ratio and 2 for the other.
        b: those of the same seeds, in the same order.
    """
    ones, others = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    ratio, log_error = _sd_ratio(ones, others), _log_error_ratio(ones, others)
    return Spread(len(ones), *ratio, *log_error)


def _sd_ratio(a: Array, b: Array) -> tuple[float, float, float]:
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan, math.nan, math.nan
    ratio = float(np.std(a, ddof=1) / np.std(b, ddof=1))
    if len(a) < 3:
        return ratio, math.nan, math.nan
    free = len(a) - 2
    uncorrelated = max(0.0, 1 - float(np.corrcoef(a, b)[0, 1]) ** 2)
    k = 1 + 2 * uncorrelated * float(special.stdtrit(free, (1 + CONFIDENCE) / 2)) ** 2 / free
    factor = (k + (k**2 - 1) ** 0.5) ** 0.5  # of the two roots one is the other's inverse
    return ratio, ratio / factor, ratio * factor


def _log_error_ratio(a: Array, b: Array) -> tuple[float, float, float]:
    errors = [1 - float(np.mean(values)) if len(values) else math.nan for values in (a, b)]
    if not min(errors) > 0:
        return math.nan, math.nan, math.nan
    estimate = math.log(errors[0] / errors[1])
    low, high = interval((b / errors[1] - a / errors[0]).tolist())
    half = (high - low) / 2
    return estimate, estimate - half, estimate + half
