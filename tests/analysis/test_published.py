"""The paper's table beside ours, by hand and against all sets of three."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import fmean

import pandas as pd
import pytest
from factories import make_run_table
from hypothesis import given, settings
from hypothesis import strategies as st

from fluidrelu_cli.analysis.inference import final_accuracies
from fluidrelu_cli.analysis.published import (
    PAPER,
    best_and_worst_of,
    both_rows_above,
    chance,
    expected_best_of,
    expected_worst_of,
    find_published,
    percentiles,
    rankings,
    table2,
)
from fluidrelu_cli.protocol import Protocol


def test_expected_best_and_worst_by_hand() -> None:
    # the largest of each three of these four: 0.4, 0.8, 0.8, 0.8; the smallest: 0.1, 0.1, 0.1, 0.2
    values = [0.8, 0.1, 0.4, 0.2]
    assert expected_best_of(values, 3) == pytest.approx(0.7, rel=1e-15)
    assert expected_worst_of(values, 3) == pytest.approx(0.125, rel=1e-15)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=7), st.integers(1, 7))
def test_expected_best_and_worst_are_means_over_all_subsets(values: list[float], k: int) -> None:
    if k > len(values):
        assert math.isnan(expected_best_of(values, k))
        assert math.isnan(expected_worst_of(values, k))
        return
    subsets = list(itertools.combinations(values, k))
    assert expected_best_of(values, k) == pytest.approx(fmean(map(max, subsets)), rel=1e-12)
    assert expected_worst_of(values, k) == pytest.approx(fmean(map(min, subsets)), rel=1e-12)


def test_expected_best_and_worst_at_the_ends() -> None:
    values = [0.5, 0.75, 0.25, 1.0]
    assert expected_best_of(values, 1) == expected_worst_of(values, 1) == 0.625
    assert expected_best_of(values, 4) == 1.0
    assert expected_worst_of(values, 4) == 0.25
    assert math.isnan(expected_best_of([], 1))


def finals_of(**accuracies: Sequence[float]) -> pd.DataFrame:
    runs = make_run_table({name: [(value,) for value in values] for name, values in accuracies.items()})
    return final_accuracies(runs)


def test_table2_by_hand() -> None:
    relu_alone = finals_of(relu=[0.9, 0.8, 0.85])
    both = finals_of(relu=[0.7, 0.6], fluid=[0.6, 0.5, 0.2, 0.4])
    table = table2(PAPER, {"there": relu_alone, "here": both})
    assert list(table.columns) == ["row", "activation", "source", "accuracy", "n"]
    # of fluid's four sets of three the best are 0.6, 0.6, 0.6 and 0.5, the worst 0.2, 0.2, 0.2 and 0.4
    expected = [
        ["best", "relu", "published", 0.9784, 3],
        ["best", "relu", "there", 0.9, 3],
        ["best", "relu", "here", math.nan, 2],
        ["best", "fluid", "published", 0.98, 3],
        ["best", "fluid", "there", math.nan, 0],
        ["best", "fluid", "here", 0.575, 4],
        ["worst", "relu", "published", 0.9721, 3],
        ["worst", "relu", "there", 0.8, 3],
        ["worst", "relu", "here", math.nan, 2],
        ["worst", "fluid", "published", 0.9753, 3],
        ["worst", "fluid", "there", math.nan, 0],
        ["worst", "fluid", "here", 0.25, 4],
    ]
    for row, wanted in zip(table.to_numpy().tolist(), expected, strict=True):
        assert row == [*wanted[:3], pytest.approx(wanted[3], nan_ok=True), wanted[4]]


def test_best_and_worst_of_three_by_hand() -> None:
    table = best_and_worst_of([0.8, 0.1, 0.4, 0.4], 3)
    # the sets: (0.1, 0.4, 0.4) once, (0.1, 0.4, 0.8) twice, (0.4, 0.4, 0.8) once
    assert table.values.tolist() == [[0.1, 0.0, 0.75], [0.4, 0.25, 0.25], [0.8, 0.75, 0.0]]
    assert best_and_worst_of([0.1, 0.2], 3).empty


FEW = st.lists(st.integers(0, 5).map(lambda k: k / 8), min_size=3, max_size=7)


@settings(deadline=None)
@given(FEW)
def test_best_and_worst_of_three_are_those_of_all_sets(values: list[float]) -> None:
    sets = list(itertools.combinations(values, 3))
    for accuracy, best, worst in best_and_worst_of(values, 3).values.tolist():
        assert best == pytest.approx(sum(max(three) == accuracy for three in sets) / len(sets))
        assert worst == pytest.approx(sum(min(three) == accuracy for three in sets) / len(sets))


@settings(deadline=None)
@given(FEW, FEW)
def test_both_rows_above_counts_all_pairs_of_sets(a: list[float], b: list[float]) -> None:
    pairs = list(itertools.product(itertools.combinations(a, 3), itertools.combinations(b, 3)))
    above = sum(max(three) > max(other) and min(three) > min(other) for three, other in pairs)
    assert both_rows_above(a, b, 3) == pytest.approx(above / len(pairs))
    by = sum(max(three) >= max(other) + 1 / 8 and min(three) >= min(other) + 1 / 4 for three, other in pairs)
    assert both_rows_above(a, b, 3, best_by=1 / 8, worst_by=1 / 4) == pytest.approx(by / len(pairs))


def test_both_rows_above_by_hand_and_at_the_ends() -> None:
    assert both_rows_above([0.4, 0.5, 0.6], [0.1, 0.2, 0.3], 3) == 1.0
    assert both_rows_above([0.1, 0.5, 0.6], [0.1, 0.2, 0.3], 3) == 0.0
    assert math.isnan(both_rows_above([0.1, 0.5], [0.1, 0.2, 0.3], 3))
    many = [0.97 + seed / 1e6 for seed in range(3000)]  # their numbers of sets, multiplied, are no 64-bit number
    assert both_rows_above([value + 0.01 for value in many], many, 3) == pytest.approx(1)
    assert both_rows_above(many, many, 3) == pytest.approx(chance(3), abs=0.001)


def test_percentiles_by_hand() -> None:
    # of relu's four sets the best are 0.9790 (three) and 0.9784, the worst 0.9700 (three) and 0.9721
    finals = finals_of(relu=[0.9700, 0.9721, 0.9784, 0.9790], fluid=[0.9, 0.9, 0.9])  # fluid: one set
    rows = percentiles(PAPER, finals).to_dict("records")
    assert [(row["row"], row["activation"], row["n"], row["published"]) for row in rows] == [
        ("best", "relu", 4, 0.9784),
        ("worst", "relu", 4, 0.9721),
    ]
    best, worst = rows
    assert (best["below"], best["equal"], best["percentile"]) == (0.0, 0.25, 12.5)
    assert (best["low"], best["median"], best["high"]) == (0.9784, 0.9790, 0.9790)
    assert (worst["below"], worst["equal"], worst["percentile"]) == (0.75, 0.25, 87.5)
    assert (worst["low"], worst["median"], worst["high"]) == (0.9700, 0.9700, 0.9721)


def test_chance_counts_the_ways_to_deal_six_runs() -> None:
    deals = [(set(three), set(range(6)) - set(three)) for three in itertools.combinations(range(6), 3)]
    above = [max(one) > max(other) and min(one) > min(other) for one, other in deals]
    assert fmean(above) == chance(3)


def test_rankings_either_way() -> None:
    relu, fluid = [0.1, 0.2, 0.3, 0.4], [0.2, 0.2, 0.5, 0.5]
    table = rankings(PAPER, finals_of(relu=relu, fluid=fluid))
    assert table[["a", "b"]].to_numpy().tolist() == [["fluid", "relu"], ["relu", "fluid"]]
    # relu's sets have the worst 0.1 (three) and 0.2, the best 0.3 and 0.4 (three); fluid's all 0.2 and 0.5
    assert table["probability"].tolist() == [0.75, 0.0]
    assert rankings(PAPER, finals_of(relu=relu, fluid=fluid[:3])).empty


@settings(deadline=None)
@given(FEW, FEW)
def test_two_and_four_runs_are_counted_as_three_are(a: list[float], b: list[float]) -> None:
    for k in (2, 4):
        pairs = list(itertools.product(itertools.combinations(a, k), itertools.combinations(b, k)))
        above = sum(max(one) > max(other) and min(one) > min(other) for one, other in pairs)
        if pairs:
            assert both_rows_above(a, b, k) == pytest.approx(above / len(pairs))
        else:
            assert math.isnan(both_rows_above(a, b, k))


def test_published_numbers_are_given_for_the_same_data_and_network() -> None:
    assert find_published(Protocol()) is find_published(Protocol(epochs=9)) is PAPER
    assert find_published(Protocol(dataset="fashion-mnist")) is None
    assert find_published(Protocol(model="cnn3")) is None
    assert PAPER.activations == ("relu", "fluid")
