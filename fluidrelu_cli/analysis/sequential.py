"""Whether a paired comparison is decided, by a test that may be looked at after every pair.

What is tested is the centre of the paired differences: the θ about which they are symmetric, and so their mean and
median. From differences d_1, ..., d_n, in the order of the seeds, the evidence that the centre is above θ is

    E⁺_n(θ) = mean over λ of Π_{s ≤ n} 2 / (1 + exp(-2 λ (d_s - θ) / m_s)),

with λ from LAMBDAS and m_s the median of the non-zero |d_i|, i < s; as long as there is none, m_s = |d_s - θ|. The
evidence E⁻_n(θ) that it is below has the opposite signs. A factor of x and one of -x have the sum 2, a tie's is 1.
If d_s - θ is as likely to have either sign whatever came before, the expected factor is therefore 1, whatever its size
and scale, and E⁺ is a nonnegative martingale that starts at 1. By Ville's inequality it ever reaches 1 / α with
probability α at most, however often it is looked at and whoever decides when to stop (de la Peña 1999, A general class
of exponential inequalities; Ramdas et al. 2020, Admissible anytime-valid sequential inference must rely on nonnegative
martingales).

This needs differences that are symmetric about their centre, and seeds whose order means nothing, as that of 0, 1, 2,
... does. Skewed differences have no such centre. The evidence that they are above θ then still grows in the long run
only if their mean is, because the log of a factor is concave in x. But the error rate is no longer bounded by α:
benchmarks/simulations.py measures what becomes of it.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fluidrelu_cli.analysis.verdicts import ALPHA, BETTER, EQUAL, UNDECIDED, WORSE

Array = NDArray[np.float64]

LAMBDAS = (0.2, 0.4, 0.8, 1.6)
"""The bets that are averaged. The best one for normal differences is 0.67 times their mean by their SD: a small one
finds small differences, a large one takes few pairs for large differences."""

_DIGITS = 12
"""Differences that are equal to so many decimals are equal: those of accuracies are at least one image apart."""


@dataclass(frozen=True)
class Judgement:
    """What the pairs up to the one that decides say, or all of them if none does."""

    verdict: str
    """EQUAL, BETTER, WORSE or UNDECIDED."""
    n: int
    """How many pairs these are."""


@dataclass(frozen=True)
class Decision(Judgement):
    """The same, and where the centre may be. Differences are of accuracies."""

    mean_difference: float
    low: float
    high: float
    """The confidence sequence at n, at level 1 - α. An end is infinite as long as nothing is excluded there."""
    margin_low: float
    margin_high: float
    """That at level 1 - 2 α, which lies within the margin where the verdict is EQUAL: each side is tested at α."""


def decide(differences: Sequence[float], margin: float, alpha: float = ALPHA) -> Decision:
    """The verdict on an activation by the first pairs that decide it; pairs that follow never change it.

    It is "better" once E⁺_n(0) ≥ 2 / α and "worse" once E⁻_n(0) ≥ 2 / α: with no difference one of them comes with
    probability α at most. It is "equal" once both E⁺(-δ) and E⁻(δ) have reached 1 / α: with a difference of δ or more
    that comes with probability α at most.

    Args:
        differences: accuracy of the activation minus the baseline's, pair by pair in the order of the seeds.
        margin: δ > 0, the difference of accuracies below which it matters to nobody.
        alpha: the error rate of each verdict.

    Raises:
        ValueError: if the margin is not a number above 0, alpha not one between 0 and 1, or a difference not finite.
    """
    made = judge(differences, margin, alpha)
    *_, last = [{"n": 0, "mean_difference": math.nan} | _NO_LIMITS, *_tabulate(differences[: made.n], alpha)]
    return Decision(verdict=made.verdict, **last)


def judge(differences: Sequence[float], margin: float, alpha: float = ALPHA) -> Judgement:
    """:func:`decide` without the confidence limits, which take a hundred times as long."""
    verdicts = judge_looks(differences, margin, alpha)
    n = next((at for at, verdict in enumerate(verdicts, 1) if verdict != UNDECIDED), len(verdicts))
    return Judgement(verdicts[n - 1] if n else UNDECIDED, n)


def follow(differences: Sequence[float], margin: float, alpha: float = ALPHA) -> pd.DataFrame:
    """What was known after each pair: n, mean_difference, low, high, margin_low, margin_high, verdict.

    The columns are :class:`Decision`'s; a verdict stays. The confidence sequence from ``low`` to ``high`` has all θ
    with E⁺_k(θ) < 2 / α and E⁻_k(θ) < 2 / α at every k ≤ n, so it only shrinks, holds the centre at every n at once
    with probability 1 - α, and excludes 0 where the verdict is "better" or "worse". An end where nothing is excluded
    yet is infinite. Should no θ be left, as when differences drift from seed to seed, both ends are where it was last.

    Args and errors are :func:`decide`'s.
    """
    verdicts = judge_looks(differences, margin, alpha)
    columns = ["n", "mean_difference", *_NO_LIMITS]
    table: pd.DataFrame = pd.DataFrame(_tabulate(differences, alpha), columns=columns).assign(verdict=verdicts)
    return table


_NO_LIMITS = {"low": -math.inf, "high": math.inf, "margin_low": -math.inf, "margin_high": math.inf}


def judge_looks(differences: Sequence[float], margin: float, alpha: float = ALPHA) -> list[str]:
    """The verdict after each pair, as :func:`decide` says; the first that is not UNDECIDED stays."""
    if not (math.isfinite(margin) and margin > 0):
        raise ValueError(f"margin must be a number above 0, not {margin}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be a number between 0 and 1, not {alpha}")
    values = np.asarray(differences, dtype=float)
    if not np.isfinite(values).all():
        raise ValueError("differences must be finite numbers")
    scales = _scales(values)

    def reached(signed: Array, centre: float, level: float) -> NDArray[np.bool_]:
        return np.logical_or.accumulate(_log_evidence(signed, scales, centre) >= -math.log(level))

    found = {
        EQUAL: reached(values, -margin, alpha) & reached(-values, -margin, alpha),
        BETTER: reached(values, 0, alpha / 2),
        WORSE: reached(-values, 0, alpha / 2),
    }
    verdicts: list[str] = []
    for looks in zip(*found.values(), strict=True):
        now = next((verdict for verdict, holds in zip(found, looks, strict=True) if holds), UNDECIDED)
        verdicts.append(verdicts[-1] if verdicts and verdicts[-1] != UNDECIDED else now)
    return verdicts


def log_evidence(differences: Sequence[float], centre: float) -> Array:
    """The log of E⁺_n(θ), the evidence that the centre of the differences is above θ, for n = 1, 2, ...

    That it is below, log E⁻_n(θ), is ``log_evidence`` of the differences with opposite signs, and of -θ.
    """
    values = np.asarray(differences, dtype=float)
    return _log_evidence(values, _scales(values), centre)


def _log_evidence(values: Array, scales: Array, centre: float) -> Array:
    return _average(np.cumsum(_log_factors(values - centre, scales), axis=0))


def _tabulate(differences: Sequence[float], alpha: float) -> list[dict[str, Any]]:
    """Decision's fields without the verdict after each pair."""
    values = np.asarray(differences, dtype=float)
    numbers = np.arange(1, len(values) + 1)
    low, high = _limits(values, alpha / 2)
    margin_low, margin_high = _limits(values, alpha)
    columns = (numbers, (np.cumsum(values) / numbers).round(_DIGITS), low, high, margin_low, margin_high)
    names = ("n", "mean_difference", *_NO_LIMITS)
    return [dict(zip(names, row, strict=True)) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _limits(values: Array, level: float) -> tuple[Array, Array]:
    """The ends of the confidence sequence after each pair, each side at this level."""
    low, high = _lower_limits(values, level), -_lower_limits(-values, level)
    if (low > high).any():
        first = int(np.argmax(low > high))
        middle = (low[first] + high[first]) / 2
        low[first:] = high[first:] = np.clip(middle, low[first - 1], high[first - 1])
    return low.round(_DIGITS - 3), high.round(_DIGITS - 3)


def _lower_limits(values: Array, level: float) -> Array:
    """After each pair, below which θ the evidence E⁺(θ) has reached 1 / level by then: it falls as θ rises."""
    scales, wanted = _scales(values), -math.log(level)
    limit, bets = -math.inf, np.zeros(len(LAMBDAS))
    limits = np.empty(len(values))
    for n in range(1, len(values) + 1):
        bets = bets + _log_factors(values[n - 1] - limit, scales[n - 1])
        if _average(bets) >= wanted:
            limit = _raise_limit(values[:n], scales[:n], limit, wanted)
            bets = _log_factors(values[:n] - limit, scales[:n]).sum(axis=0)
        limits[n - 1] = limit
    return limits


def _raise_limit(values: Array, scales: Array, limit: float, wanted: float) -> float:
    """The θ above the limit up to which the log evidence is at least the one wanted, which it is at the limit."""

    def reaches(centre: float) -> bool:
        return bool(_average(_log_factors(values - centre, scales).sum(axis=0)) >= wanted)

    low, high = limit, float(values.max())  # where no factor is above 1
    step = max(float(np.abs(values).max()), 10.0**-_DIGITS)
    if low == -math.inf:
        low = float(values.min()) - step
        while not reaches(low):
            low, step = low - step, 2 * step
    while high - low > 10.0**-_DIGITS * max(1.0, step):
        middle = (low + high) / 2
        low, high = (middle, high) if reaches(middle) else (low, middle)
    return high


def _scales(values: Array) -> Array:
    """m_s of each pair: the median of the non-zero sizes before it; 0 as long as there is none."""
    scales, sizes = np.zeros(len(values)), list[float]()
    for s, size in enumerate(np.abs(values).round(_DIGITS).tolist()):
        if sizes:
            scales[s] = (sizes[len(sizes) // 2] + sizes[~(len(sizes) // 2)]) / 2
        if size:
            insort(sizes, size)
    return scales


def _log_factors(distances: Array | float, scales: Array | float) -> Array:
    """The log of 2 / (1 + exp(-2 λ x)), where x is d_s - θ by its scale, or its sign where there is none.

    Args:
        distances: of each pair, or of one.
        scales: of the same shape.

    Returns:
        Of this shape, with the λ as one more axis.
    """
    rounded = np.round(distances, _DIGITS)
    units = np.where(np.equal(scales, 0), np.sign(rounded), rounded / np.where(np.equal(scales, 0), 1, scales))
    factors: Array = math.log(2) - np.logaddexp(0, -2 * np.multiply.outer(units, LAMBDAS))
    return factors


def _average(bets: Array) -> Array:
    """The log of the mean over λ, the last axis, of what is given as logs."""
    mean: Array = np.logaddexp.reduce(bets, axis=-1) - math.log(len(LAMBDAS))
    return mean
