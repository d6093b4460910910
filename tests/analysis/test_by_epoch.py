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
from fluidrelu_cli.analysis.by_epoch import (
    compare_by_epoch,
    compare_spread,
    find_error_ratio,
    find_sd_ratio,
    growth,
    largest_t,
    simultaneous_quantile,
)
from fluidrelu_cli.analysis.inference import comparisons, final_accuracies
from fluidrelu_cli.analysis.sign_flips import find_limits

T2 = 4.302652729911275
"""Student's 0.975 point of two degrees of freedom, as in every printed table."""

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
    """Deviations of -0.01, 0, 0.01, and of -0.01, -0.01, 0.02; of six pairs p is 2 / 64 below the least difference."""
    runs = make_run_table({"relu": [(0.5, 0.75)] * 3, "fluid": [(0.51, 0.75), (0.52, 0.75), (0.53, 0.78)]})
    table = compare_by_epoch(runs.sample(frac=1, random_state=0), "fluid", "relu", 100)
    assert list(table.columns) == list(by_epoch.BY_EPOCH_COLUMNS)
    assert table[["epoch", "n"]].to_numpy().tolist() == [[1, 3], [2, 3]]
    assert table["mean_difference"].tolist() == pytest.approx([0.02, 0.01])
    assert table[["ci_low", "ci_high", *BAND]].isna().all(axis=None)  # no sign-flip test of three can reject anything
    six = compare_by_epoch(table_of([[0.01 * image] for image in (3, -2, 5, 1, 9, 4)]), "fluid", "relu", 100)
    assert six[["ci_low", "ci_high"]].to_numpy()[0] == pytest.approx([-0.0205, 0.0905])


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
    table = compare_by_epoch(table_of(differences), "fluid", "relu", 10_000)
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
    alone = compare_by_epoch(table_of(varying), "fluid", "relu", 10_000)
    equal = compare_by_epoch(table_of([[0.0107, *row] for row in varying]), "fluid", "relu", 10_000)
    assert equal.iloc[0, 2:].tolist() == pytest.approx([0.0107, *[0.010695, 0.010705] * 2], abs=1e-15)
    assert equal.iloc[1, 1:].tolist() == alone.iloc[0, 1:].tolist()
    ties = compare_by_epoch(table_of([[0.0]] * 8), "fluid", "relu", 10_000)
    assert ties.to_numpy().tolist() == [[1, 8, 0, *[-5e-6, 5e-6] * 2]]


def test_the_band_is_nowhere_narrower_than_the_interval() -> None:
    """Of 0.001 and its opposite, three times each: t is 2 where four more signs agree than not, and infinite in 2 of
    64 ways. The quantile is 2, which is less than the interval, from the least difference to the largest.
    """
    row = compare_by_epoch(table_of([[0.001 * (-1) ** seed] for seed in range(6)]), "fluid", "relu", 10_000).iloc[0]
    assert row[BAND].tolist() == row[["ci_low", "ci_high"]].tolist() == pytest.approx([-0.001005, 0.001005])


def test_no_band_where_the_quantile_is_infinite() -> None:
    """Three epochs whose differences are equal but for the sign: one in 32 ways each makes them so."""
    signs = np.array([[1, 1, 1, -1, -1, -1], [1, -1, 1, -1, 1, -1], [1, 1, -1, -1, 1, -1]]).T
    table = compare_by_epoch(table_of(0.001 * signs), "fluid", "relu", 10_000)
    assert table[BAND].isna().all(axis=None)
    assert table["ci_low"].notna().all()


def test_pairs_that_are_missing() -> None:
    differences = np.random.default_rng(3).normal(0, 0.004, (8, 3)).round(4)
    runs = table_of(differences)
    late = runs[(runs["epoch"] < 3) | (runs["seed"] < 2)]  # two pairs: too few to count for the others
    whole = compare_by_epoch(runs[runs["epoch"] < 3], "fluid", "relu", 10_000)
    table = compare_by_epoch(late, "fluid", "relu", 10_000)
    assert table["n"].tolist() == [8, 8, 2]
    pd.testing.assert_frame_equal(table.iloc[:2], whole)
    assert table.iloc[2][BAND].isna().all()
    ragged = compare_by_epoch(runs[(runs["epoch"] != 2) | (runs["seed"] != 7)], "fluid", "relu", 10_000)
    assert ragged["n"].tolist() == [8, 7, 8]
    assert ragged["mean_difference"].tolist()[1] == pytest.approx(differences[:7, 1].mean())
    assert ragged[BAND].notna().all(axis=None)
    assert compare_by_epoch(runs, "fluid", "elu", 10_000).empty
    assert list(compare_by_epoch(runs, "elu", "relu", 10_000).columns) == list(by_epoch.BY_EPOCH_COLUMNS)


@settings(max_examples=25, deadline=None)
@given(
    images=st.tuples(st.integers(1, 8), st.integers(1, 3)).flatmap(
        lambda shape: arrays(np.int64, shape, elements=st.integers(-30, 30))
    ),
    random=st.randoms(use_true_random=False),
)
def test_swapped_arms_are_mirrored_and_the_order_of_seeds_means_nothing(images: NDArray[Any], random: Any) -> None:
    runs = table_of(images / 10_000)
    table = compare_by_epoch(runs, "fluid", "relu", 10_000)
    mirrored = compare_by_epoch(runs, "relu", "fluid", 10_000)
    for one, other in (("mean_difference", "mean_difference"), ("ci_low", "ci_high"), ("band_low", "band_high")):
        np.testing.assert_allclose(table[one], -mirrored[other], rtol=1e-9, atol=1e-12)
    seeds = list(range(len(images)))
    random.shuffle(seeds)
    permuted = compare_by_epoch(table_of(images[seeds] / 10_000), "fluid", "relu", 10_000)
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
    drawn = [3, -2, 5, 1, 9, 4]
    table = growth(drawn, 100)
    assert list(table.columns) == list(by_epoch.GROWTH_COLUMNS)
    assert table["n"].tolist() == [2, 3, 4, 5, 6]
    assert table["mean_difference"].tolist() == pytest.approx([0.005, 0.02, 0.0175, 0.032, 0.2 / 6])
    assert table["ci_low"].isna().tolist() == [True] * 4 + [False]
    assert tuple(table.iloc[-1][["ci_low", "ci_high"]]) == find_limits(drawn, 100)
    for few in ([], [1]):
        assert growth(few, 100).empty
        assert list(growth(few, 100).columns) == list(by_epoch.GROWTH_COLUMNS)


def test_growth_of_many_pairs_takes_some_numbers_of_them() -> None:
    drawn = [1, -1] * 100
    n = growth(drawn, 100)["n"].tolist()
    assert (n[0], n[-1]) == (2, 200)
    assert len(n) <= by_epoch.MOST_POINTS
    assert n == sorted(set(n))


def ratios(a: Sequence[float], b: Sequence[float]) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    ones, others = np.array(a, dtype=float), np.array(b, dtype=float)
    return find_sd_ratio(ones, others), find_error_ratio(ones, others)


def test_ratios_by_hand() -> None:
    """Uncorrelated: K is 1 + t**2. Mean errors of 0.1 and 0.2: the SD over seeds is of b / 0.2 - a / 0.1."""
    sd, error = ratios([0.89, 0.89, 0.91, 0.91], [0.78, 0.82, 0.78, 0.82])
    k = 1 + T2**2
    factor = (k + (k**2 - 1) ** 0.5) ** 0.5
    assert sd == pytest.approx((0.5, 0.5 / factor, 0.5 * factor))
    # which is -5, -4.8, -5.2 and -5
    half = 3.182446305284263 * (0.08 / 3) ** 0.5 / 2
    assert error == pytest.approx((0.5, 0.5 * math.exp(-half), 0.5 * math.exp(half)))


def test_spread_is_of_the_seeds_that_both_have() -> None:
    relu = [(0.5 + seed / 100,) for seed in range(12)]
    runs = make_run_table({"relu": relu, "fluid": [(2 * each - 0.5,) for (each,) in relu[:11]], "elu": [(0.5,)]})
    finals = final_accuracies(runs)
    compared = comparisons(finals, "relu", 100)
    [row] = compare_spread(finals, compared).to_dict("records")  # one pair has no spread
    assert list(row) == list(by_epoch.SPREAD_COLUMNS)
    assert (row["activation"], row["n"], row["sd_ratio"], row["correlation"]) == ("fluid", 11, pytest.approx(2), 1)
    assert row["win_rate"] == 10.5 / 11
    # fluid is at 0.5, 0.52, ..., relu at 0.5, 0.51, ...: a tenth of eleven is the second
    assert (row["lower_decile"], row["upper_decile"]) == pytest.approx((0.01, 0.09))


def test_the_interval_of_the_sd_ratio_is_where_the_test_has_p_of_5_percent() -> None:
    common, own = np.random.default_rng(5).normal(0, 0.002, (2, 2, 12))
    a, b = 0.97 + common[0] + own[0], 0.97 + common[0] + 2 * own[1]
    found, error = ratios(a, b)

    def surplus(ratio: float) -> float:
        return float(stats.pearsonr(a + ratio * b, a - ratio * b).pvalue) - 0.05

    low = optimize.brentq(surplus, found[0] / 50, found[0])
    high = optimize.brentq(surplus, found[0], found[0] * 50)
    assert found[1:] == pytest.approx((low, high))
    swapped, its_error = ratios(b, a)
    assert swapped[1:] == pytest.approx((1 / high, 1 / low))
    assert its_error == pytest.approx((1 / error[0], 1 / error[2], 1 / error[1]))


@pytest.mark.parametrize(
    ("a", "b", "ratio", "error"),
    [
        ([], [], math.nan, math.nan),
        ([0.9], [0.8], math.nan, 0.5),
        ([0.9, 0.9, 0.9], [0.7, 0.8, 0.9], math.nan, 0.5),
        ([1.0, 1.0, 1.0], [0.7, 0.8, 0.9], math.nan, math.nan),
        ([0.88, 0.92], [0.79, 0.81], 2, 0.5),
    ],
)
def test_ratios_of_what_has_none(a: list[float], b: list[float], ratio: float, error: float) -> None:
    found, its_error = ratios(a, b)
    assert (found[0], its_error[0]) == pytest.approx((ratio, error), nan_ok=True)
    assert all(math.isnan(end) for end in found[1:])


def test_intervals_of_both_ratios_hold_the_truth_in_95_of_100_studies() -> None:
    """Pairs with a correlation of 0.8, an SD ratio of 1.5 and mean errors of 0.1 and 0.2; the error is 0.006."""
    one, other = np.random.default_rng(6).standard_normal((2, 1200, 10))
    found = [ratios(*each) for each in zip(0.9 + 0.015 * one, 0.8 + 0.01 * (0.8 * one + 0.6 * other), strict=True)]
    assert 0.935 <= np.mean([low < 1.5 < high for (_, low, high), _ in found]) <= 0.965
    assert 0.935 <= np.mean([low < 0.5 < high for _, (_, low, high) in found]) <= 0.965
