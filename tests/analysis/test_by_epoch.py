"""Differences by epoch, growth and spread: worked out by hand, by enumeration, by scipy and by simulation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from factories import make_run_table
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import optimize, stats

from fluidrelu_cli.analysis import by_epoch
from fluidrelu_cli.analysis.by_epoch import compare_by_epoch, growth, largest_t, simultaneous_quantile, spread

T2, T1 = 4.302652729911275, 12.706204736432095
"""Student's 0.975 point of two degrees of freedom and of one, as in every printed table."""

BAND = ["band_low", "band_high"]


def table_of(differences: Sequence[Sequence[float]] | NDArray[Any]) -> pd.DataFrame:
    """Runs of fluid and relu with these differences, one row per seed, one column per epoch."""
    rows = [
        (name, seed, epoch, 0.5 + by * difference)
        for seed, epochs in enumerate(differences)
        for epoch, difference in enumerate(epochs, start=1)
        for name, by in (("fluid", 1), ("relu", 0))
    ]
    table: pd.DataFrame = pd.DataFrame(rows, columns=["activation", "seed", "epoch", "test_accuracy"])
    return table


def test_by_epoch_by_hand() -> None:
    """Deviations of -0.01, 0, 0.01, and of -0.01, -0.01, 0.02: SDs of 0.01 and of 0.01 sqrt(3)."""
    runs = make_run_table({"relu": [(0.5, 0.75)] * 3, "fluid": [(0.51, 0.75), (0.52, 0.75), (0.53, 0.78)]})
    table = compare_by_epoch(runs.sample(frac=1, random_state=0), "fluid", "relu")
    assert list(table.columns) == list(by_epoch.BY_EPOCH_COLUMNS)
    assert table[["epoch", "n"]].to_numpy().tolist() == [[1, 3], [2, 3]]
    for row, mean, error in zip(table.to_dict("records"), (0.02, 0.01), (0.01 / 3**0.5, 0.01), strict=True):
        assert row["mean_difference"] == pytest.approx(mean)
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((mean - T2 * error, mean + T2 * error))
        assert math.isnan(row["band_low"])  # no sign-flip test of three pairs can reject anything
        assert math.isnan(row["band_high"])


def test_the_largest_t_by_hand() -> None:
    """The same: t of the deviations with the second and third seed's signs turned (the first's may stay).

    Of (-1, 0, 1) it is 0, 2, 0 and 2; of (-1, -1, 2) it is 0, 4, 2 / sqrt(7) and 2 / sqrt(7).
    """
    found = largest_t(np.array([[0.01, 0], [0.02, 0], [0.03, 0.03]]))
    assert sorted(found.tolist()) == pytest.approx([0, 2 / 7**0.5, 2, 4], abs=1e-12)


def test_the_band_is_that_of_all_ways_to_turn_signs() -> None:
    """By a t-test of scipy's for each of the 2**7, rather than half of them at once."""
    differences = np.random.default_rng(1).normal(0.01, 0.004, (7, 3)).round(4)
    noise = differences - differences.mean(axis=0)
    turned = np.array(list(itertools.product((-1, 1), repeat=7)))[:, :, None] * noise
    largest = np.abs(stats.ttest_1samp(turned, 0, axis=1).statistic).max(axis=1)
    q = np.sort(largest)[math.ceil(0.95 * 128) - 1]
    table = compare_by_epoch(table_of(differences), "fluid", "relu")
    errors, means = stats.sem(differences), differences.mean(axis=0)
    np.testing.assert_allclose(table[BAND].to_numpy().T, [means - q * errors, means + q * errors], rtol=1e-9)
    assert (table["band_high"] > table["ci_high"]).all()


def test_signs_drawn_at_random_give_nearly_the_same_band_each_time_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(2).normal(0, 0.004, (13, 3))
    drawn = simultaneous_quantile(differences)
    assert drawn == simultaneous_quantile(differences)
    monkeypatch.setattr(by_epoch, "EXACT_PAIRS", 13)
    assert drawn == pytest.approx(simultaneous_quantile(differences), rel=0.03)


def test_an_epoch_at_which_all_differences_are_equal_is_its_mean_and_changes_no_other() -> None:
    varying = [[0.001 * seed**2] for seed in range(8)]
    alone = compare_by_epoch(table_of(varying), "fluid", "relu")
    equal = compare_by_epoch(table_of([[0.0107, *row] for row in varying]), "fluid", "relu")
    assert equal.iloc[0, 2:].tolist() == pytest.approx([0.0107] * 5, abs=1e-15)
    assert equal.iloc[1, 1:].tolist() == alone.iloc[0, 1:].tolist()
    ties = compare_by_epoch(table_of([[0.0]] * 8), "fluid", "relu")
    assert ties.to_numpy().tolist() == [[1, 8, 0, 0, 0, 0, 0]]


def test_of_one_epoch_the_band_is_not_narrower_than_the_interval() -> None:
    """Of 0.001 and its opposite, three times each: t is 2 where four more signs agree than not, and infinite in 2 of
    64 ways. The quantile is 2, below Student's 2.57.
    """
    table = compare_by_epoch(table_of([[0.001 * (-1) ** seed] for seed in range(6)]), "fluid", "relu")
    assert table["band_high"].item() == pytest.approx(table["ci_high"].item())


def test_no_band_where_the_quantile_is_infinite() -> None:
    """Three epochs whose differences are equal but for the sign: one in 32 ways each makes them so."""
    signs = np.array([[1, 1, 1, -1, -1, -1], [1, -1, 1, -1, 1, -1], [1, 1, -1, -1, 1, -1]]).T
    table = compare_by_epoch(table_of(0.001 * signs), "fluid", "relu")
    assert table[BAND].isna().all(axis=None)
    assert table["ci_low"].notna().all()


def test_pairs_that_are_missing() -> None:
    differences = np.random.default_rng(3).normal(0, 0.004, (8, 3)).round(4)
    runs = table_of(differences)
    late = runs[(runs["epoch"] < 3) | (runs["seed"] < 2)]  # two pairs: too few to count for the others
    whole = compare_by_epoch(runs[runs["epoch"] < 3], "fluid", "relu")
    table = compare_by_epoch(late, "fluid", "relu")
    assert table["n"].tolist() == [8, 8, 2]
    pd.testing.assert_frame_equal(table.iloc[:2], whole)
    assert table.iloc[2][BAND].isna().all()
    ragged = compare_by_epoch(runs[(runs["epoch"] != 2) | (runs["seed"] != 7)], "fluid", "relu")
    assert ragged["n"].tolist() == [8, 7, 8]
    assert ragged["mean_difference"].tolist()[1] == pytest.approx(differences[:7, 1].mean())
    assert ragged[BAND].notna().all(axis=None)
    assert compare_by_epoch(runs, "fluid", "elu").empty
    assert list(compare_by_epoch(runs, "elu", "relu").columns) == list(by_epoch.BY_EPOCH_COLUMNS)


@settings(max_examples=25, deadline=None)
@given(
    images=st.tuples(st.integers(1, 8), st.integers(1, 3)).flatmap(
        lambda shape: arrays(np.int64, shape, elements=st.integers(-30, 30))
    ),
    random=st.randoms(use_true_random=False),
)
def test_swapped_arms_are_mirrored_and_the_order_of_seeds_means_nothing(images: NDArray[Any], random: Any) -> None:
    runs = table_of(images / 10_000)
    table = compare_by_epoch(runs, "fluid", "relu")
    mirrored = compare_by_epoch(runs, "relu", "fluid")
    for one, other in (("mean_difference", "mean_difference"), ("ci_low", "ci_high"), ("band_low", "band_high")):
        np.testing.assert_allclose(table[one], -mirrored[other], rtol=1e-9, atol=1e-12)
    seeds = list(range(len(images)))
    random.shuffle(seeds)
    permuted = compare_by_epoch(table_of(images[seeds] / 10_000), "fluid", "relu")
    np.testing.assert_allclose(permuted.to_numpy(float), table.to_numpy(float), rtol=1e-7, atol=1e-12)


def test_the_band_holds_all_epochs_of_95_in_100_studies() -> None:
    """Twelve epochs, each like the one before (correlation 0.7), and an effect of five SDs; the error is 0.007."""
    random, studies, seeds = np.random.default_rng(4), 1000, 9
    draws = random.standard_normal((studies, seeds, 12))
    for epoch in range(1, 12):
        draws[:, :, epoch] = 0.7 * draws[:, :, epoch - 1] + 0.51**0.5 * draws[:, :, epoch]
    t = np.abs(draws.mean(axis=1)) / stats.sem(draws, axis=1)
    held = [largest <= simultaneous_quantile(study + 5) for largest, study in zip(t.max(axis=1), draws, strict=True)]
    assert 0.93 <= np.mean(held) <= 0.97
    assert np.mean(t.max(axis=1) <= stats.t.ppf(0.975, seeds - 1)) < 0.9  # as the intervals do not


def test_growth_by_hand() -> None:
    table = growth([0.01, 0.03, 0.02])
    assert list(table.columns) == list(by_epoch.GROWTH_COLUMNS)
    halves = [T1 * 0.01, T2 * 0.01 / 3**0.5]
    for row, n, half in zip(table.to_dict("records"), (2, 3), halves, strict=True):
        assert row["n"] == n
        assert row["mean_difference"] == pytest.approx(0.02)
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((0.02 - half, 0.02 + half))
    for few in ([], [0.01]):
        assert growth(few).empty
        assert list(growth(few).columns) == list(by_epoch.GROWTH_COLUMNS)


def test_spread_by_hand() -> None:
    """Uncorrelated: K is 1 + t**2. Mean errors of 0.1 and 0.2: the SD over seeds is of b / 0.2 - a / 0.1."""
    a, b = [0.89, 0.89, 0.91, 0.91], [0.78, 0.82, 0.78, 0.82]
    found = spread(a, b)
    k = 1 + T2**2
    factor = (k + (k**2 - 1) ** 0.5) ** 0.5
    assert found.n == 4
    assert found.sd_ratio == pytest.approx(0.5)
    assert (found.sd_low, found.sd_high) == pytest.approx((0.5 / factor, 0.5 * factor))
    # which is -5, -4.8, -5.2 and -5
    half = 3.182446305284263 * (0.08 / 3) ** 0.5 / 2
    assert found.log_error_ratio == pytest.approx(math.log(0.5))
    ends = (math.log(0.5) - half, math.log(0.5) + half)
    assert (found.log_error_low, found.log_error_high) == pytest.approx(ends)


def test_the_interval_of_the_sd_ratio_is_where_the_test_has_p_of_5_percent() -> None:
    common, own = np.random.default_rng(5).normal(0, 0.002, (2, 2, 12))
    a, b = 0.97 + common[0] + own[0], 0.97 + common[0] + 2 * own[1]
    found = spread(a.tolist(), b.tolist())

    def surplus(ratio: float) -> float:
        return float(stats.pearsonr(a + ratio * b, a - ratio * b).pvalue) - 0.05

    low = optimize.brentq(surplus, found.sd_ratio / 50, found.sd_ratio)
    high = optimize.brentq(surplus, found.sd_ratio, found.sd_ratio * 50)
    assert (found.sd_low, found.sd_high) == pytest.approx((low, high))
    swapped = spread(b.tolist(), a.tolist())
    assert (swapped.sd_low, swapped.sd_high) == pytest.approx((1 / high, 1 / low))
    assert (swapped.log_error_low, swapped.log_error_high) == pytest.approx(
        (-found.log_error_high, -found.log_error_low)
    )


@pytest.mark.parametrize(
    ("a", "b", "ratio", "log_error"),
    [
        ([], [], math.nan, math.nan),
        ([0.9], [0.8], math.nan, math.log(0.5)),
        ([0.9, 0.9, 0.9], [0.7, 0.8, 0.9], math.nan, math.log(0.5)),
        ([1.0, 1.0, 1.0], [0.7, 0.8, 0.9], math.nan, math.nan),
        ([0.88, 0.92], [0.79, 0.81], 2, math.log(0.5)),
    ],
)
def test_spread_of_what_has_none(a: list[float], b: list[float], ratio: float, log_error: float) -> None:
    found = spread(a, b)
    assert (found.sd_ratio, found.log_error_ratio) == pytest.approx((ratio, log_error), nan_ok=True)
    assert math.isnan(found.sd_low)
    assert math.isnan(found.sd_high)


def test_both_intervals_of_spread_hold_the_truth_in_95_of_100_studies() -> None:
    """Pairs with a correlation of 0.8, an SD ratio of 1.5 and mean errors of 0.1 and 0.2; the error is 0.006."""
    one, other = np.random.default_rng(6).standard_normal((2, 1200, 10))
    a, b = 0.9 + 0.015 * one, 0.8 + 0.01 * (0.8 * one + 0.6 * other)
    found = [spread(ones, others) for ones, others in zip(a.tolist(), b.tolist(), strict=True)]
    assert 0.935 <= np.mean([each.sd_low < 1.5 < each.sd_high for each in found]) <= 0.965
    held = [each.log_error_low < math.log(0.5) < each.log_error_high for each in found]
    assert 0.935 <= np.mean(held) <= 0.965
