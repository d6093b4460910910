"""The paper's table beside ours, by hand and against all sets of three."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import fmean

import numpy as np
import pandas as pd
import pytest
from factories import make_run_table
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from fluidrelu_cli.analysis.inference import final_accuracies
from fluidrelu_cli.analysis.published import (
    BEST,
    MEAN,
    MIDRANGE,
    PAPER,
    RANGE,
    SD,
    WORST,
    Published,
    best_and_worst_of,
    both_rows_above,
    chance,
    draw_scores,
    expected_best_of,
    expected_worst_of,
    find_published,
    fit_protocols,
    predict,
    predictive_p,
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
    assert both_rows_above(a, b, 3, 3) == pytest.approx(above / len(pairs))
    by = sum(max(three) >= max(other) + 1 / 8 and min(three) >= min(other) + 1 / 4 for three, other in pairs)
    assert both_rows_above(a, b, 3, 3, best_by=1 / 8, worst_by=1 / 4) == pytest.approx(by / len(pairs))


def test_both_rows_above_by_hand_and_at_the_ends() -> None:
    assert both_rows_above([0.4, 0.5, 0.6], [0.1, 0.2, 0.3], 3, 3) == 1.0
    assert both_rows_above([0.1, 0.5, 0.6], [0.1, 0.2, 0.3], 3, 3) == 0.0
    assert math.isnan(both_rows_above([0.1, 0.5], [0.1, 0.2, 0.3], 3, 3))
    many = [0.97 + seed / 1e6 for seed in range(3000)]  # their numbers of sets, multiplied, are no 64-bit number
    assert both_rows_above([value + 0.01 for value in many], many, 3, 3) == pytest.approx(1)
    assert both_rows_above(many, many, 3, 3) == pytest.approx(chance(3, 3), abs=0.001)


def test_chance_counts_the_ways_to_deal_six_runs() -> None:
    for k in (2, 3):
        deals = [(set(mine), set(range(6)) - set(mine)) for mine in itertools.combinations(range(6), k)]
        above = [max(one) > max(other) and min(one) > min(other) for one, other in deals]
        assert fmean(above) == pytest.approx(chance(k, 6 - k), rel=1e-15)


def test_rankings_either_way() -> None:
    relu, fluid = [0.1, 0.2, 0.3, 0.4], [0.2, 0.2, 0.5, 0.5]
    table = rankings(PAPER, finals_of(relu=relu, fluid=fluid))
    assert table[["a", "b"]].to_numpy().tolist() == [["fluid", "relu"], ["relu", "fluid"]]
    # relu's sets have the worst 0.1 (three) and 0.2, the best 0.3 and 0.4 (three); fluid's all 0.2 and 0.5
    assert table["probability"].tolist() == [0.75, 0.0]
    assert table["chance"].tolist() == [0.3, 0.3]
    assert rankings(PAPER, finals_of(relu=relu, fluid=fluid[:3])).empty


@settings(deadline=None)
@given(FEW, FEW)
def test_two_and_four_runs_are_counted_as_three_are(a: list[float], b: list[float]) -> None:
    for k, k_b in ((2, 2), (4, 4), (4, 2), (2, 3)):
        pairs = list(itertools.product(itertools.combinations(a, k), itertools.combinations(b, k_b)))
        above = sum(max(one) > max(other) and min(one) > min(other) for one, other in pairs)
        if pairs:
            assert both_rows_above(a, b, k, k_b) == pytest.approx(above / len(pairs))
        else:
            assert math.isnan(both_rows_above(a, b, k, k_b))


def test_published_numbers_are_given_for_the_same_data_and_network() -> None:
    assert find_published(Protocol()) is find_published(Protocol(epochs=9)) is PAPER
    assert find_published(Protocol(dataset="fashion-mnist")) is None
    assert find_published(Protocol(model="cnn3")) is find_published(Protocol(model="cnn3:pooling=max-3")) is None
    assert find_published(Protocol(model="paper:pooling=average")) is PAPER  # which the paper leaves open
    assert PAPER.activations == ("relu", "fluid")


def published(**printed: tuple[float, float]) -> Published:
    """A table that prints so much of ReLU's and FluidReLU's three runs each."""
    rows = {row: dict(zip(PAPER.runs, numbers, strict=True)) for row, numbers in printed.items()}
    return Published("a paper", Protocol(), PAPER.runs, **rows)


@pytest.mark.parametrize(
    ("printed", "level", "spread"),
    [
        ({"best": (0.75, 1)}, (BEST, 0.75), None),
        ({"worst": (0.25, 1)}, (WORST, 0.25), None),
        ({"best": (0.75, 1), "worst": (0.25, 1)}, (MIDRANGE, 0.5), (RANGE, 0.5)),
        ({"mean": (0.625, 1)}, (MEAN, 0.625), None),
        ({"sd": (0.125, 1)}, None, (SD, 0.125)),
        ({"best": (0.75, 1), "worst": (0.25, 1), "mean": (0.625, 1)}, (MEAN, 0.625), (RANGE, 0.5)),
        (dict.fromkeys(("best", "worst", "mean", "sd"), (0.5, 1)), (MEAN, 0.5), (SD, 0.5)),
    ],
)
def test_level_and_spread_of_what_is_printed(
    printed: dict[str, tuple[float, float]], level: tuple[str, float] | None, spread: tuple[str, float] | None
) -> None:
    table = published(**printed)
    assert (table.level("relu"), table.spread("relu")) == (level, spread)
    assert tuple(table.rows) == tuple(printed)
    assert bool(table.ranges) == ({"best", "worst"} <= set(printed))


def test_means_and_sds_stand_beside_those_of_all_our_runs() -> None:
    table = table2(
        published(mean=(0.5, 0.6), sd=(0.1, 0.2)), {"here": finals_of(relu=[0.2, 0.4, 0.4, 0.6], fluid=[0.5])}
    )
    here = table[table["source"] == "here"].set_index(["row", "activation"])["accuracy"]
    assert here["mean", "relu"] == pytest.approx(0.4)
    assert here["sd", "relu"] == pytest.approx((0.08 / 3) ** 0.5)
    sets = list(itertools.combinations([0.2, 0.4, 0.4, 0.6], 3))
    assert here["sd", "relu"] ** 2 == pytest.approx(fmean(np.var(three, ddof=1) for three in sets))
    assert here["mean", "fluid"] == 0.5
    assert math.isnan(here["sd", "fluid"])


def test_a_p_value_counts_the_number_among_those_drawn() -> None:
    drawn = np.array([4.0, 1.0, 3.0, 2.0])
    assert [predictive_p(number, drawn) for number in (5, 4, 2.5, 1, 0)] == [0.4, 0.8, 1.0, 0.8, 0.4]


MANY = 10**9
"""So many runs that their mean and SD are the true ones."""


def test_scores_are_distributed_as_tables_say() -> None:
    near = pytest.approx(0.05, abs=0.003)  # four standard errors
    assert (np.abs(draw_scores(MEAN, 3, 10)) > 2.2622 * (1 / 3 + 1 / 10) ** 0.5).mean() == near  # Student's t, 9
    assert (draw_scores(SD, 3, 10) ** 2 > 4.2565).mean() == near  # F, 2 and 9
    assert (draw_scores(SD, 3, 10) ** 2 < 1 / 19.3848).mean() == near  # F, 9 and 2
    assert (draw_scores(RANGE, 3, 11) > 3.877).mean() == near  # the studentized range, 3 and 10
    assert (draw_scores(RANGE, 20, 61) > 5.241).mean() == near  # 20 and 60
    # of two runs the midrange is the mean, and the range their SD by the root of 2
    assert (np.abs(draw_scores(MIDRANGE, 2, 10)) > 2.2622 * (1 / 2 + 1 / 10) ** 0.5).mean() == near
    assert (draw_scores(RANGE, 2, 10) ** 2 / 2 > 5.1174).mean() == near  # F, 1 and 9
    assert (draw_scores(BEST, 1000, MANY) > special.ndtri(0.95 ** (1 / 1000))).mean() == near
    assert (draw_scores(WORST, 1000, MANY) < -special.ndtri(0.95 ** (1 / 1000))).mean() == near
    assert (draw_scores(BEST, 3, MANY) < 0).mean() == pytest.approx(1 / 8, abs=0.005)
    three = np.random.default_rng(7).standard_normal((100_000, 3))
    middles = (three.max(axis=1) + three.min(axis=1)) / 2
    assert np.quantile(draw_scores(MIDRANGE, 3, MANY), (0.025, 0.5, 0.975)) == pytest.approx(
        np.quantile(middles, (0.025, 0.5, 0.975)), abs=0.02
    )


@pytest.mark.parametrize(("statistic", "n"), [(MIDRANGE, 6), (RANGE, 6), (MIDRANGE, 60), (RANGE, 60)])
def test_three_more_runs_of_the_same_kind_are_unusual_in_5_percent(statistic: str, n: int) -> None:
    scores, random = draw_scores(statistic, 3, n)[:5_000], np.random.default_rng(3)
    p_values = []
    for ours, theirs in zip(random.normal(0.97, 0.01, (2_000, n)), random.normal(0.97, 0.01, (2_000, 3)), strict=True):
        if statistic == RANGE:
            p_values.append(predictive_p(np.ptp(theirs), ours.std(ddof=1) * scores))
        else:
            p_values.append(predictive_p((theirs.max() + theirs.min()) / 2, ours.mean() + ours.std(ddof=1) * scores))
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.015)  # three standard errors
    assert np.mean(np.array(p_values) < 0.5) == pytest.approx(0.5, abs=0.034)


OURS = {"relu": [0.970, 0.974, 0.975, 0.976, 0.980], "fluid": [0.971, 0.973, 0.976, 0.978, 0.977]}
BY_ROW = ["about", "statistic", "activation", "baseline", "runs", "n"]


def test_a_published_mean_and_sd_are_judged_by_t_and_f() -> None:
    table = predict(published(mean=(0.980, 0.976), sd=(0.001, 0.004)), finals_of(**OURS), "relu")
    assert table[BY_ROW].to_numpy().tolist() == [
        ["level", "mean", "relu", "", 3, 5],
        ["spread", "sd", "relu", "", 3, 5],
        ["level", "mean", "fluid", "", 3, 5],
        ["spread", "sd", "fluid", "", 3, 5],
        ["lead", "mean", "fluid", "relu", 3, 5],
    ]
    level, spread, *_, lead = table.to_dict("records")
    mean, sd = 0.975, float(np.std(OURS["relu"], ddof=1))
    scale = sd * (1 / 3 + 1 / 5) ** 0.5
    assert level["p"] == pytest.approx(2 * special.stdtr(4, -0.005 / scale), abs=0.004)
    assert [level["low"], level["median"], level["high"]] == pytest.approx(
        [mean - 2.7764 * scale, mean, mean + 2.7764 * scale], abs=0.0002
    )
    assert spread["p"] == pytest.approx(2 * special.fdtr(2, 4, (0.001 / sd) ** 2), abs=0.004)
    assert lead["published"] == pytest.approx(-0.004)
    assert lead["low"] < lead["published"] < lead["median"] == pytest.approx(0, abs=0.0001)
    assert all(row["p_low"] <= row["p"] <= row["p_high"] for row in (level, spread, lead))


def test_activations_with_the_same_seeds_are_resampled_together() -> None:
    ahead = [value + 0.001 for value in OURS["relu"]]
    paper = published(best=(0.976, 0.981), worst=(0.974, 0.979))
    [paired, opposite] = (
        predict(paper, finals_of(relu=OURS["relu"], fluid=fluid), "relu").iloc[-1] for fluid in (ahead, ahead[::-1])
    )
    assert paired["p"] == pytest.approx(opposite["p"], abs=1e-12)
    assert paired["p_high"] - paired["p_low"] < opposite["p_high"] - opposite["p_low"]


def test_nothing_is_predicted_from_few_runs_or_equal_ones() -> None:
    paper = published(best=(0.976, 0.981), worst=(0.974, 0.979))
    assert predict(paper, finals_of(relu=[0.9] * 9, fluid=[0.8, 0.9, 0.7]), "relu").empty
    table = predict(paper, finals_of(relu=[0.9] * 9, fluid=OURS["fluid"]), "relu")
    assert table[["about", "activation"]].to_numpy().tolist() == [["level", "fluid"], ["spread", "fluid"]]
    assert set(table["baseline"]) == {""}


def test_protocols_are_held_against_the_published_numbers_best_fit_first() -> None:
    random = np.random.default_rng(3)
    table = Published("Table 1", Protocol(), {"relu": 3, "fluid": 3}, mean={"relu": 0.97, "fluid": 0.975})
    like = finals_of(relu=random.normal(0.97, 0.002, 8).tolist(), fluid=random.normal(0.975, 0.002, 8).tolist())
    unlike = like.assign(test_accuracy=like["test_accuracy"] - 0.02)
    few = finals_of(relu=[0.97, 0.971], fluid=[0.97, 0.971])
    fits = fit_protocols(table, {"few": few, "unlike": unlike, "like": like}, "relu")
    assert fits["cell"].tolist() == ["like"] * 3 + ["unlike"] * 3
    single = predict(table, unlike, "relu")
    mine = fits[fits["cell"] == "unlike"].reset_index(drop=True)
    assert mine[["about", "activation", "p"]].equals(single[["about", "activation", "p"]])
    assert mine["p_least"].tolist() == [3 * single["p"].min()] * 3
    least = fits.drop_duplicates("cell")["p_least"].tolist()
    assert least[0] > 0.3
    assert least[1] < 0.001
    assert fit_protocols(table, {"few": few}, "relu").empty
