"""Regression on all seeds of a baseline: by hand, by numpy's least squares, by what must not matter, by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from simulations import cover_regression

from fluidrelu_cli.analysis.regression import REGRESSION_COLUMNS, adjust, regress


def finals(**accuracies: list[float]) -> pd.DataFrame:
    """inference.final_accuracies of runs with these accuracies by seed."""
    rows = [
        (name.replace("_", "-"), seed, each)
        for name, by_seed in accuracies.items()
        for seed, each in enumerate(by_seed)
    ]
    table: pd.DataFrame = pd.DataFrame(rows, columns=["activation", "seed", "test_accuracy"])
    return table


def test_regression_by_hand() -> None:
    """The a are 10 + b / 2 and residuals of 1 and -1, whose squares sum to 6: s² = 6 / 4. S_bb = 4.

    All eight b have a mean of 6 / 8 and a variance of (4 + 18 - 8 * 9 / 16) / 7 = 2.5. t(0.975; 4) = 2.776445 in every
    printed table.
    """
    b = [-1, -1, 0, 0, 1, 1]
    slope, difference, low, high = adjust([10.5, 8.5, 11, 9, 11.5, 9.5], b, [*b, 3, 3])
    half = 2.776445 * (1.5 * (1 / 6 + 0.75**2 / 4) + 0.5**2 * 2.5 / 8) ** 0.5
    assert slope == pytest.approx(0.5, rel=1e-14)
    assert (difference, low, high) == pytest.approx((9.625, 9.625 - half, 9.625 + half), rel=1e-6)


def test_who_has_a_row() -> None:
    """Only where the baseline has seeds beyond the pairs, which are enough, and its accuracies differ there."""
    relu = [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.6, 0.7]
    other = [0.1, 0.3, 0.2, 0.2, 0.4, 0.3, 0.5, 0.6, 0.9]
    found = finals(relu=relu, elu=other[:7], tanh=other[:6], fluid=other, prelu=other[:8], leaky_relu=other[:5])
    table = regress(found, "relu", ["relu", "tanh", "elu"])
    assert list(table.columns) == list(REGRESSION_COLUMNS)
    assert table[["activation", "baseline", "n", "baseline_n"]].to_numpy().tolist() == [["elu", "relu", 7, 8]]
    assert table.to_numpy().tolist()[0][4:] == pytest.approx(adjust(other[:7], relu[:7], relu))
    assert regress(found, "fluid")["activation"].tolist() == ["elu", "prelu", "relu", "tanh"]
    assert regress(found[found["seed"] != 6], "relu").empty
    assert regress(found, "sigmoid").empty
    assert regress(found.iloc[:0], "relu").empty


@pytest.mark.parametrize("first", [0, 30])
def test_regression_is_numpy_s_line_at_the_mean_of_all_seeds(first: int) -> None:
    """Of whichever seeds, in whatever order."""
    random = np.random.default_rng(first)
    every = random.normal(0.97, 0.002, 60).round(4)
    a = (0.6 * every[first : first + 20] + random.normal(0.4, 0.001, 20)).round(4)
    b = every[first : first + 20]
    design = np.column_stack([np.ones(20), b])
    line, (squares,), _, _ = np.linalg.lstsq(design, a)
    at_mean = np.array([1, every.mean()])
    variance = squares / 18 * at_mean @ np.linalg.inv(design.T @ design) @ at_mean
    error = np.sqrt(variance + (line[1] - 1) ** 2 * stats.sem(every) ** 2)
    expected = line @ at_mean - every.mean() + error * np.array([0, *stats.t.interval(0.95, 18)])
    rows = [("relu", seed, value) for seed, value in enumerate(every)]
    rows += [("elu", seed, value) for seed, value in enumerate(a, start=first)]
    table = pd.DataFrame(rows, columns=["activation", "seed", "test_accuracy"]).sample(frac=1, random_state=0)
    found = regress(table, "relu").to_numpy().tolist()
    assert found == [["elu", "relu", 20, 60, *(pytest.approx(each, abs=1e-9) for each in (line[1], *expected))]]


pairs = st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=3, max_size=12)
more = st.lists(st.integers(-50, 50), min_size=1, max_size=12)


@given(pairs, more, st.integers(-500, 500))
def test_what_shifts_both_changes_nothing_and_what_shifts_one_moves_it(
    drawn: list[tuple[int, int]], others: list[int], shift: int
) -> None:
    a, b = map(list, zip(*drawn, strict=True))
    assume(len(set(b)) > 1)
    slope, difference, low, high = adjust(a, b, [*b, *others])
    up = [each + shift for each in a]
    assert adjust(up, b, [*b, *others]) == pytest.approx(
        (slope, difference + shift, low + shift, high + shift), abs=1e-6
    )
    moved = [each + shift for each in (*b, *others)]
    assert adjust(up, moved[: len(b)], moved) == pytest.approx((slope, difference, low, high), abs=1e-6)


@given(pairs, more, st.integers(-20, 20))
def test_at_a_slope_of_1_it_is_the_mean_of_the_pairs(drawn: list[tuple[int, int]], others: list[int], by: int) -> None:
    """As it is where each difference is found at two b, the one as far above the mean as the other is below."""
    b = [sign * each for _, each in drawn for sign in (-1, 1)]
    a = [sign * each + by + noise for noise, each in drawn for sign in (-1, 1)]
    assume(any(b))
    slope, difference, low, high = adjust(a, b, [*b, *others])
    assert slope == pytest.approx(1)
    assert difference == pytest.approx(np.mean(np.subtract(a, b)), abs=1e-9)
    assert low <= difference <= high


def test_a_line_without_noise_leaves_the_baseline_s() -> None:
    """With a = b / 2, the difference is minus half the baseline's mean, and its error half of that mean's."""
    b, every = [2, 4, 6], [2, 4, 6, 12]
    half = float(stats.t.ppf(0.975, 1)) * 0.5 * float(stats.sem(every))
    assert adjust([1, 2, 3], b, every) == pytest.approx((0.5, -3, -3 - half, -3 + half))


@pytest.mark.parametrize("pairs", [10, 20])
@pytest.mark.parametrize("correlation", [0.2, 0.6])
def test_coverage(pairs: int, correlation: float) -> None:
    """1000 studies with 60 seeds of the baseline: 2 standard errors of the share are 1.4 %."""
    covered, _ = cover_regression(np.random.default_rng(1), pairs, correlation, 1000)
    assert 0.95 - 0.014 <= covered <= 0.97
