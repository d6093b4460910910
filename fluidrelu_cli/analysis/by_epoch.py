"""Paired runs compared after every epoch, as their number grows, and by their spread.

A difference is an activation's test accuracy minus the baseline's at the same seed and epoch. Accuracies are fractions
in [0, 1], intervals are at 95 %, and NaN stands where there is none.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from fluidrelu_cli.analysis.inference import interval
from fluidrelu_cli.analysis.shares import independent_share
from fluidrelu_cli.analysis.sign_flips import find_limits
from fluidrelu_cli.analysis.verdicts import CONFIDENCE, fewest_pairs

Array = NDArray[np.float64]

EXACT_PAIRS = 12
"""Up to so many pairs all ways to choose their signs are tried, and beyond it..."""

FLIPS = 10_000
"""... so many that are drawn at random, always the same ones."""

_DIGITS = 12
"""Differences that are equal to so many decimals are equal: those of accuracies are at least one image apart."""

BY_EPOCH_COLUMNS = ("epoch", "n", "mean_difference", "ci_low", "ci_high", "band_low", "band_high")
GROWTH_COLUMNS = ("n", "mean_difference", "ci_low", "ci_high")


def compare_by_epoch(run_table: pd.DataFrame, activation: str, baseline: str, test_images: int) -> pd.DataFrame:
    """The mean paired difference after each epoch: one row each, BY_EPOCH_COLUMNS.

    ``n`` counts the seeds that both have at that epoch. ``ci_*`` is sign_flips.find_limits's interval, as if that epoch
    alone had been looked at. ``band_*`` holds the true differences of all epochs at once with probability 95 %: mean ±
    q se, with q from :func:`simultaneous_quantile` (the single-step max-T method of Westfall and Young 1993,
    Resampling-Based Multiple Testing). The epochs of a seed keep their sign together, so q allows for how alike they
    are. The band is nowhere narrower than the interval.

    An epoch at which all differences are equal has se = 0 and so no t. It does not count for the quantile, and its
    band is its interval. An epoch with fewer than 6 pairs has no band and does not count either: with
    so few no sign-flip test can reject anything at 5 %. If the quantile is infinite, no epoch has a band.

    Args:
        run_table: run.RUN_COLUMNS.
        activation: whose accuracy it is.
        baseline: the activation that it is compared with.
        test_images: how many images the accuracies are on.
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
        low, high = find_limits(np.rint(column.dropna().to_numpy() * test_images).astype(int).tolist(), test_images)
        half = quantile * error if epoch in enough and math.isfinite(quantile) else math.nan
        rows.append((epoch, len(values), mean, low, high, min(mean - half, low), max(mean + half, high)))
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


MOST_POINTS = 100
"""Of more pairs :func:`growth` takes so many numbers, as far apart by ratio as the pairs allow."""


def growth(differences: Sequence[int], test_images: int) -> pd.DataFrame:
    """The mean of the first n differences and sign_flips.find_limits's interval, for n from 2 on: GROWTH_COLUMNS.

    Each interval is of a study that was planned with n pairs. Whoever looks at all of them, and stops at one that
    excludes 0, finds a difference where there is none in far more than 5 % of studies (analysis.sequential has what
    may be looked at after every pair).

    Args:
        differences: in images, in the order of the seeds.
        test_images: how many images the accuracies are on.
    """
    numbers = np.unique(np.geomspace(2, max(2, len(differences)), MOST_POINTS).round().astype(int))
    if len(differences) <= MOST_POINTS:
        numbers = np.arange(2, len(differences) + 1)
    rows = [
        (n, float(np.mean(differences[:n])) / test_images, *find_limits(differences[:n], test_images))
        for n in numbers.tolist()
    ]
    table: pd.DataFrame = pd.DataFrame(rows, columns=list(GROWTH_COLUMNS))
    return table


SPREAD_COLUMNS = (
    *("activation", "baseline", "n", "win_rate", "win_low", "win_high", "unpaired_share", "sd_ratio", "sd_low"),
    *("sd_high", "error_ratio", "error_low", "error_high", "lower_decile", "upper_decile", "correlation"),
)


def compare_spread(finals: pd.DataFrame, compared: pd.DataFrame) -> pd.DataFrame:
    """How else than by their means each activation's accuracies differ from the baseline's: a row each, SPREAD_COLUMNS.

    Of the seeds that both have: win_*: shares.win_share; unpaired_share: shares.independent_share; sd_*:
    :func:`find_sd_ratio`; error_*: :func:`find_error_ratio`; lower_decile, upper_decile: the difference of the 10 % and
    of the 90 % quantiles (linear interpolation), NaN below 10 pairs; correlation: of the pairs.

    Args:
        finals: as inference.final_accuracies gives it.
        compared: inference.comparisons of them.
    """
    by_seed = finals.pivot(index="seed", columns="activation", values="test_accuracy")
    rows = []
    for row in compared[compared["n"] > 1].to_dict("records"):
        pairs = by_seed[[row["activation"], row["baseline"]]].dropna().to_numpy(dtype=float)
        a, b = pairs.T
        lower, upper = np.subtract(*np.quantile(pairs, (0.1, 0.9), axis=0).T) if len(pairs) >= 10 else (math.nan,) * 2
        same = {name: row[name] for name in SPREAD_COLUMNS if name in row}
        numbers = (independent_share(a.tolist(), b.tolist()), *find_sd_ratio(a, b), *find_error_ratio(a, b))
        names = [name for name in SPREAD_COLUMNS if name not in same]
        rows.append({**same, **dict(zip(names, (*numbers, float(lower), float(upper)), strict=True))})
    table: pd.DataFrame = pd.DataFrame(rows, columns=list(SPREAD_COLUMNS))
    return table


def find_sd_ratio(a: Array, b: Array) -> tuple[float, float, float]:
    """The ratio s_a / s_b of the SDs of paired accuracies, and its 95 % interval.

    It inverts the test of Pitman (1939) and Morgan (1939), both Biometrika 31: a and θb have equal variances where
    a + θb and a - θb are not correlated. With r the correlation of a and b and t Student's 0.975 point of n - 2 degrees
    of freedom, the θ that it does not reject are those with

        θ² between (s_a / s_b)² (K ± sqrt(K² - 1)), K = 1 + 2 (1 - r²) t² / (n - 2).

    It is exact for normal accuracies; others, and heavy tails above all, make it too short.

    Args:
        a: one accuracy per seed, at least 3 for an interval.
        b: those of the same seeds, in the same order.
    """
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


def find_error_ratio(a: Array, b: Array) -> tuple[float, float, float]:
    """The ratio of mean errors (1 - mean a) / (1 - mean b), and its 95 % interval; NaN without errors.

    The interval is that of its logarithm by the delta method: ± t(0.975; n - 1) s / sqrt(n), with s the SD over seeds
    of b_s / (1 - mean b) - a_s / (1 - mean a).

    Args:
        a: one accuracy per seed, at least 2 for an interval.
        b: those of the same seeds, in the same order.
    """
    errors = [1 - float(np.mean(values)) if len(values) else math.nan for values in (a, b)]
    if not min(errors) > 0:
        return math.nan, math.nan, math.nan
    ratio = errors[0] / errors[1]
    low, high = interval((b / errors[1] - a / errors[0]).tolist())
    factor = math.exp((high - low) / 2)
    return ratio, ratio / factor, ratio * factor
