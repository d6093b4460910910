"""Shares of pairs: by hand, by scipy, and by all cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fluidrelu_cli.analysis.shares import independent_share, wilson_interval, win_share


@given(st.integers(0, 60), st.integers(1, 60))
def test_wilson_interval_is_scipy_s(successes: int, n: int) -> None:
    if successes > n:
        successes, n = n, successes
    expected = stats.binomtest(successes, n).proportion_ci(0.95, "wilson")
    assert wilson_interval(successes, n) == pytest.approx([expected.low, expected.high], abs=1e-14)


def test_share_counts_ties_half() -> None:
    assert win_share([4, 1, 2, 0, 0, -9]) == (4 / 6, *wilson_interval(4, 6))
    share, low, high = win_share([0, 0, 0, 0, 0, 1])
    # 3.5 of 6, z² = 3.8415: (0.58333 + 0.32012 ± 1.95996 sqrt(0.040509 + 0.026677)) / 1.64024
    assert (share, low, high) == pytest.approx((3.5 / 6, 0.24109, 0.86054), abs=5e-5)
    assert win_share([0] * 10)[0] == 0.5
    assert all(math.isnan(number) for number in win_share([]))


@given(st.lists(st.integers(-2, 2), min_size=1, max_size=30))
def test_share_of_the_opposite_is_the_rest(drawn: list[int]) -> None:
    share, low, high = win_share(drawn)
    assert win_share([-each for each in drawn]) == pytest.approx((1 - share, 1 - high, 1 - low))
    assert 0 <= low <= share <= high <= 1


@pytest.mark.parametrize("n", [6, 11, 20, 60])
@pytest.mark.parametrize("tied", [0.2, 0.5, 0.8])
def test_share_without_a_difference_is_seldom_below_a_half(n: int, tied: float) -> None:
    """The probability of it, over all numbers of wins and ties: at most 2.5 %."""
    wins, ties = (each.ravel() for each in np.mgrid[: n + 1, : n + 1])
    wins, ties = wins[wins + ties <= n], ties[wins + ties <= n]
    doubled = 2 * wins + ties
    probability = np.bincount(doubled, stats.binom.pmf(ties, n, tied) * stats.binom.pmf(wins, n - ties, 0.5))
    below = [win_share([1] * (k // 2) + [0] * (k % 2) + [-1] * (n - k // 2 - k % 2))[2] < 0.5 for k in range(2 * n + 1)]
    assert probability[below].sum() <= 0.025


@settings(max_examples=25)
@given(*[st.lists(st.integers(-4, 4), min_size=1, max_size=9)] * 2)
def test_independent_share_is_mann_and_whitneys(a: list[int], b: list[int]) -> None:
    u = stats.mannwhitneyu(a, b, method="exact").statistic
    assert independent_share(a, b) == pytest.approx(u / (len(a) * len(b)))


def test_independent_share_by_hand() -> None:
    """3 beats 1 and 2, 2 beats 1 and ties with 2: (2 + 1.5) / 4."""
    assert independent_share([0.3, 0.2], [0.1, 0.2]) == 3.5 / 4
    assert math.isnan(independent_share([], [1]))
    assert math.isnan(independent_share([1], []))
