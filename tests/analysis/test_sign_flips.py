"""The sign-flip test inverted: by hand, by counting all signs, and by simulation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fluidrelu_cli.analysis.sign_flips import equality_p, find_limits, invert_sign_flips, sign_flip_p


def differences(smallest: int, largest: int, size: int = 25) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(-size, size), min_size=smallest, max_size=largest)


@pytest.mark.parametrize(
    ("drawn", "confidence", "low", "high"),
    [
        # Below the least difference p is 2 / 64, at it 4 / 64.
        ([3, -2, 5, 1, 9, 4], 0.95, -2, 9),
        ([3, -2, 5, 1, 9, 4], 1 - 4 / 64, -2, 9),  # which is not below itself
        # 6 / 64 < 0.1 <= 8 / 64: the third of the means of sets, which are -2, -0.5, 0 ({-2, 2}), ... and 9, 7, 6, ...
        ([2, -2, 5, 1, 9, 3], 0.90, 0, 6),
        # 6 / 128 < 0.05 <= 8 / 128: the third of 1, 2.5, 3 ({1, 5}), 3.33, ... and of 50, 45, 40, ...
        ([30, 1, 4, 50, 40, 5, 20], 0.95, 3, 40),
        # 5 of the same, of which any set has this mean
        ([7] * 5, 0.90, 7, 7),
    ],
)
def test_interval_by_hand(drawn: list[int], confidence: float, low: float, high: float) -> None:
    """The ends are half a tenth beyond the last shift that is not rejected."""
    assert invert_sign_flips(drawn, confidence) == pytest.approx((low - 0.05, high + 0.05), abs=1e-12)


@pytest.mark.parametrize("drawn", [[], [4], [1, 2, 3, 4, 5]])
def test_too_few_pairs_exclude_nothing(drawn: list[int]) -> None:
    assert invert_sign_flips(drawn) == (-math.inf, math.inf)
    assert all(math.isnan(end) for end in find_limits(drawn, 100))


@pytest.mark.parametrize("confidence", [0.49, 1, math.nan])
def test_levels_that_make_no_sense_are_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match=r"confidence must be a number from 0\.5 to below 1"):
        invert_sign_flips([1, 2, 3], confidence)


@given(differences(1, 8, 4), st.sampled_from([0.5, 0.8, 0.9, 0.95]))
def test_interval_is_where_counting_all_signs_does_not_reject(drawn: list[int], confidence: float) -> None:
    """Far out, where nothing changes any more, and on every tenth between. Exact: all numbers are whole."""
    signs = np.array(list(itertools.product((-1, 1), repeat=len(drawn))))
    shifts = np.arange(10 * min(drawn) - 2, 10 * max(drawn) + 3)
    shifted = 10 * np.array(drawn)[:, None] - shifts
    p = (abs(signs @ shifted) >= abs(shifted.sum(axis=0))).mean(axis=0)
    kept = np.flatnonzero(p >= 1 - confidence - 1e-9)
    low, high = invert_sign_flips(drawn, confidence)
    if p[0] >= 1 - confidence - 1e-9:
        assert (low, high) == (-math.inf, math.inf)
    elif len(kept):
        assert kept.tolist() == list(range(kept[0], kept[-1] + 1))  # there are no gaps
        ends = (shifts[kept[0]] - 0.5) / 10, (shifts[kept[-1]] + 0.5) / 10
        assert (low, high) == pytest.approx(ends, abs=1e-12)
    else:  # it lies between two tenths
        assert high - low < 0.1
        assert low < np.mean(drawn) < high


@given(differences(6, 30), st.sampled_from([0.9, 0.95, 0.99]))
def test_interval_excludes_0_where_the_test_rejects_it(drawn: list[int], confidence: float) -> None:
    low, high = invert_sign_flips(drawn, confidence)
    assert (low <= 0 <= high) == (sign_flip_p(drawn) >= 1 - confidence)
    assert low <= np.mean(drawn) <= high


@settings(max_examples=30)
@given(differences(6, 20), st.integers(-300, 300))
def test_interval_moves_with_the_differences(drawn: list[int], shift: int) -> None:
    low, high = invert_sign_flips(drawn)
    moved = invert_sign_flips([difference + shift for difference in drawn])
    assert moved == pytest.approx((low + shift, high + shift), abs=1e-9)
    assert invert_sign_flips([-difference for difference in drawn]) == (-high, -low)
    assert invert_sign_flips(drawn[::-1]) == (low, high)


def test_ties_count_as_shifts_like_any_other() -> None:
    """With 14 ties p(0) is 2 / 2**6 for six pairs of one sign, 2 / 2**5 for five: ties change nothing about 0."""
    assert invert_sign_flips([0] * 14 + [1] * 6)[0] > 0
    assert invert_sign_flips([0] * 15 + [1] * 5)[0] < 0
    assert invert_sign_flips([0] * 20) == (-0.05, 0.05)


def test_interval_between_two_tenths_takes_a_finer_grid() -> None:
    """Both tenths around the mean of 0.155 are rejected."""
    drawn = [1] * 155 + [0] * 845
    low, high = invert_sign_flips(drawn)
    assert 0.1 < low < 0.155 < high < 0.2
    for hundredths in (13, 14, 17, 18):
        outside = not low <= hundredths / 100 <= high
        assert (sign_flip_p([100 * each - hundredths for each in drawn]) < 0.05) == outside


def test_interval_of_many_pairs_is_nearly_student_s() -> None:
    drawn = np.rint(np.random.default_rng(0).normal(-2, 11, 300)).astype(int)
    expected = stats.t.interval(0.95, 299, np.mean(drawn), stats.sem(drawn))
    assert invert_sign_flips(drawn.tolist()) == pytest.approx(expected, abs=0.08)


def coverage(drawn: Sequence[Sequence[int]], centre: float) -> float:
    intervals = [invert_sign_flips(each) for each in drawn]
    return sum(low <= centre <= high for low, high in intervals) / len(intervals)


@pytest.mark.parametrize(
    ("sd", "centre"),
    [(11, 0), (0.6, 0), (0.6, 0.5), (11, 1 / 3)],
    ids=["spread", "60 % tied", "0 or 1", "off the grid"],
)
def test_coverage_of_symmetric_differences(sd: float, centre: float) -> None:
    """400 studies of 12 pairs: 2 standard errors of the share are 2 %."""
    drawn = np.rint(np.random.default_rng(3).normal(0, sd, (400, 12)) + centre).astype(int)
    assert coverage(drawn.tolist(), centre) >= 0.95 - 0.02


@pytest.mark.parametrize(("shape", "least", "most"), [(4, 0.91, 0.97), (1, 0.87, 0.94)], ids=["skewness 1", "2"])
def test_coverage_of_the_mean_of_skewed_differences(shape: float, least: float, most: float) -> None:
    """It is below 95 %: the docstring says by how much."""
    drawn = np.rint(11 * (np.random.default_rng(4).gamma(shape, size=(400, 10)) - shape) / shape**0.5).astype(int)
    assert least <= coverage(drawn.tolist(), 0) <= most


@settings(deadline=None)
@given(st.lists(st.integers(-30, 30), min_size=1, max_size=9))
def test_sign_flip_p_by_counting_and_by_scipy(differences: list[int]) -> None:
    observed = abs(sum(differences))
    sums = [sum(signs) for signs in itertools.product(*((step, -step) for step in differences))]
    p = sign_flip_p(differences)
    assert p == sum(abs(total) >= observed for total in sums) / len(sums)
    if len(differences) > 1:  # which is what scipy asks for
        expected = stats.permutation_test((np.array(differences, float),), np.sum, permutation_type="samples", axis=0)
        assert p == pytest.approx(expected.pvalue)


def test_sign_flip_p_at_the_ends() -> None:
    assert sign_flip_p([0, 0, 0]) == 1.0
    assert sign_flip_p([5]) == 1.0
    assert sign_flip_p([1] * 60) == 2 / 2**60  # far below what random signs could tell
    assert sign_flip_p([700] * 20) == 2 / 2**20


def test_sign_flip_p_of_many_pairs_is_near_the_t_test_s() -> None:
    differences = np.rint(np.random.default_rng(0).normal(2, 10, size=500)).astype(int).tolist()
    assert sign_flip_p(differences) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, rel=0.05)


def test_limits_are_of_accuracies() -> None:
    """The 90 % interval of test_interval_by_hand."""
    assert find_limits([2, -2, 5, 1, 9, 3], 100, 0.90) == pytest.approx((-0.0005, 0.0605))


def test_equality_p_by_hand() -> None:
    """Of 1, 2, 3 from -4: 5, 6, 7, of 8 sums one is as high. From 4: 3, 2, 1, likewise. From 2.5: 1.5, 0.5, -0.5 have
    the sum 1.5, which 1.5 ± 0.5 ± 0.5 and 0.5 + 0.5 + 1.5 ... reach: 2.5, 1.5, 1.5 and no other.
    """
    assert equality_p([1, 2, 3], 4) == 1 / 8
    assert equality_p([1, 2, 3], 2.5) == 3 / 8
    assert equality_p([1, 2, 3], 2) == 6 / 8  # 1, 0 and -1 have the sum 0
    assert equality_p([0] * 6, 0.1) == 1 / 64


@given(differences(1, 12, 6), st.integers(1, 80))
def test_equality_p_is_below_the_level_where_the_interval_is_within_the_margin(drawn: list[int], tenths: int) -> None:
    low, high = invert_sign_flips(drawn, 0.90)
    if high - low >= 0.1:  # or else its ends are of a finer grid
        assert (equality_p(drawn, tenths / 10) < 0.05) == (max(-low, high) < tenths / 10)
