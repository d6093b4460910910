"""Statistics against numbers worked by hand, against scipy, by counting all cases, and by simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from factories import make_run, make_run_table
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fluidrelu_cli.analysis.inference import (
    COMPARISON_COLUMNS,
    arrange,
    compare_runs,
    comparisons,
    final_accuracies,
    interval,
    ranges,
    side_by_side,
    summary,
)
from fluidrelu_cli.analysis.shares import win_share
from fluidrelu_cli.analysis.sign_flips import equality_p, find_limits, sign_flip_p
from fluidrelu_cli.run import Run


def test_result_of_a_run_is_its_last_epoch() -> None:
    runs = make_run_table({"relu": [(0.5, 0.9, 0.7), (0.1, 0.2, 0.3)], "fluid": [(0.6, 0.8, 0.4)]})
    finals = final_accuracies(runs.sample(frac=1, random_state=0))
    assert finals.values.tolist() == [["fluid", 0, 0.4], ["relu", 0, 0.7], ["relu", 1, 0.3]]


def test_summary_by_hand() -> None:
    finals = final_accuracies(make_run_table({"relu": [(0.9,), (0.92,), (0.97,)], "elu": [(0.5,)]}))
    table = summary(finals, {"relu": 3, "elu": 1}, 100, ["relu"]).set_index("activation")
    assert list(table.index) == ["relu", "elu"]
    relu = table.loc["relu"].to_dict()
    # the deviations from 0.93 are -0.03, -0.01 and 0.04: their squares sum to 0.0026, a half of it is the variance;
    # t(0.975; 2) = 4.30265 in every printed table, and sqrt(0.93 * 0.07 / 100) = 0.025515
    half = 4.302652729911275 * 0.0013**0.5 / 3**0.5
    assert relu == {
        "n": 3,
        "asked": 3,
        "mean": pytest.approx(0.93, rel=1e-14),
        "ci_low": pytest.approx(0.93 - half, rel=1e-9),
        "ci_high": pytest.approx(0.93 + half, rel=1e-9),
        "sd": pytest.approx(0.0013**0.5, rel=1e-12),
        "median": 0.92,
        "best": 0.97,
        "worst": 0.9,
        "image_se": pytest.approx(0.025515, abs=1e-6),
        "diverged": 0,
    }
    elu = table.loc["elu"].to_dict()
    assert (elu["n"], elu["mean"], elu["median"], elu["best"], elu["worst"]) == (1, 0.5, 0.5, 0.5, 0.5)
    assert all(math.isnan(elu[name]) for name in ("sd", "ci_low", "ci_high"))


def test_summary_counts_what_was_asked_for_and_did_not_come() -> None:
    finals = final_accuracies(make_run_table({"relu": [(0.9,), (0.8,), (0.7,)], "fluid": [(0.9,), (0.8,)]}))
    finals = finals[~((finals["activation"] == "relu") & (finals["seed"] == 1))]
    table = summary(finals, {"relu": 3, "prelu": 2, "fluid": 1}, 100, ["relu", "fluid"])
    # relu's seed 1 failed, prelu never came, and fluid's seed 1 was trained beyond what was asked
    counts = table[["activation", "n", "asked"]].to_numpy().tolist()
    assert counts == [["relu", 2, 3], ["fluid", 2, 2], ["prelu", 0, 2]]
    numbers = table.set_index("activation").loc["prelu"].drop(["n", "asked", "diverged"])
    assert numbers.isna().all()


def test_summary_of_nothing() -> None:
    finals = pd.DataFrame(columns=["activation", "seed", "test_accuracy"])
    assert summary(finals, {}, 100).empty
    assert summary(finals, {"relu": 3}, 100)[["n", "asked"]].to_numpy().tolist() == [[0, 3]]


def test_order_of_activations() -> None:
    assert arrange(["tanh", "fluid", "elu", "relu", "fluid"], ["relu", "gone", "fluid", "relu"]) == [
        *("relu", "fluid", "elu", "tanh")
    ]
    assert arrange(["b", "a"], []) == ["a", "b"]


def changed(run: Run, epoch: int, **values: Any) -> Run:
    """The run with other values in one epoch, counted from 0."""
    epochs = list(run.epochs)
    epochs[epoch] = replace(epochs[epoch], **values)
    return replace(run, epochs=tuple(epochs))


def test_runs_that_differ_in_timings_alone_are_identical() -> None:
    mine = [make_run("relu", 0, (0.5, 0.75)), changed(make_run("relu", 1, (0.5, 0.5)), 0, train_loss=math.nan)]
    theirs = [changed(run, 0, train_seconds=9.0, test_seconds=math.nan) for run in mine]
    table = compare_runs(mine, theirs)
    assert list(table.columns) == ["activation", "seed", "identical", "accuracy_difference"]
    assert table.values.tolist() == [["relu", 0, True, 0.0], ["relu", 1, True, 0.0]]  # a diverged run repeats its nan


@pytest.mark.parametrize("column", ["train_loss", "train_accuracy", "test_loss", "test_accuracy"])
def test_difference_in_the_last_digit_is_seen(column: str) -> None:
    mine = make_run("relu", 0, (0.5, 0.75, 0.75))
    theirs = changed(mine, 1, **{column: math.nextafter(getattr(mine.epochs[1], column), 1)})
    assert compare_runs([mine], [theirs]).values.tolist() == [["relu", 0, False, 0.0]]


def test_final_accuracies_are_compared() -> None:
    mine = [make_run("relu", 0, (0.5, 0.75)), make_run("fluid", 0, (0.5, 0.5))]
    theirs = [make_run("relu", 0, (0.25, 1.0)), make_run("relu", 1, (0.5, 0.5)), make_run("elu", 0, (0.5, 0.5))]
    assert compare_runs(mine, theirs).values.tolist() == [["relu", 0, False, -0.25]]
    assert compare_runs(theirs, mine)["accuracy_difference"].tolist() == [0.25]


def test_runs_of_which_none_is_common() -> None:
    assert compare_runs([make_run("relu")], [make_run("elu")]).empty


def finals_of(**accuracies: Sequence[float | None]) -> pd.DataFrame:
    """Final accuracies by activation for seeds 0, 1, ...; None where there is no run."""
    rows = [
        (activation, seed, accuracy)
        for activation, values in accuracies.items()
        for seed, accuracy in enumerate(values)
        if accuracy is not None
    ]
    table: pd.DataFrame = pd.DataFrame(rows, columns=["activation", "seed", "test_accuracy"])
    return table


def compared(
    finals: pd.DataFrame, baseline: str = "relu", test_images: int = 100, order: Sequence[str] = ()
) -> dict[str, dict[Any, Any]]:
    """The rows of the comparisons by activation."""
    return {row["activation"]: row for row in comparisons(finals, baseline, test_images, order).to_dict("records")}


def test_comparison_by_hand() -> None:
    finals = finals_of(relu=[0.90, 0.92, 0.91, 0.95], fluid=[0.93, 0.92, 0.90, 0.99])
    row = compared(finals)["fluid"]
    # differences +3, 0, -1, +4 images: mean 1.5; deviations 1.5, -1.5, -2.5, 2.5, so variance 17 / 3 and
    # skewness 0 of 3.375 - 3.375 - 15.625 + 15.625. The 16 signings of (3, 0, 1, 4) have the sums
    # 0, ±2, ±6 and ±8: |sum| >= 6 has 8 of them.
    assert row["n"] == 4
    assert row["mean_difference"] == pytest.approx(0.015, rel=1e-12)
    assert row["sd_difference"] == pytest.approx(0.01 * (17 / 3) ** 0.5, rel=1e-12)
    assert row["skewness"] == pytest.approx(0, abs=1e-12)
    assert all(math.isnan(row[name]) for name in ("ci_low", "ci_high", "equal_low", "equal_within"))
    assert row["p"] == row["p_holm"] == 0.5
    assert (row["wins"], row["ties"], row["losses"]) == (2, 1, 1)
    assert (row["win_rate"], row["win_low"], row["win_high"]) == win_share([3, 0, -1, 4])
    # 5 % of 8 errors of 100 is less than an image
    assert (row["margin"], row["margin_declared"]) == (0.01, False)
    assert row["p_equal"] == equality_p([3, 0, -1, 4], 1)
    # deviations from the means, in images: relu -2, 0, -1, 3 and fluid -0.5, -1.5, -3.5, 5.5
    assert row["correlation"] == pytest.approx((1 + 0 + 3.5 + 16.5) / (14 * 45) ** 0.5)
    assert (row["left_out"], row["verdict"]) == ("", "too few pairs")


def test_pairs_are_seeds_that_both_have_and_the_others_are_named() -> None:
    relu = [0.9, None, 0.8, 0.7, 0.6, 0.5, 0.9]
    finals = finals_of(relu=relu, fluid=[0.8, 0.9, None, 0.9], elu=[None, 0.5])
    assert list(compared(finals)) == ["elu", "fluid"]
    rows = compared(finals, order=["fluid"])
    assert list(rows) == ["fluid", "elu"]
    assert rows["fluid"]["n"] == 2
    assert rows["fluid"]["mean_difference"] == pytest.approx(0.05)
    assert rows["fluid"]["left_out"] == "fluid 1; relu 2, 4–6"
    assert (rows["elu"]["n"], rows["elu"]["left_out"]) == (0, "elu 1; relu 0, 2–6")
    assert all(math.isnan(rows["elu"][name]) for name in ("mean_difference", "ci_low", "p", "p_holm", "win_low"))


def test_one_pair_and_pairs_that_do_not_vary() -> None:
    one = compared(finals_of(relu=[0.5], fluid=[0.75]))["fluid"]
    assert (one["n"], one["mean_difference"], one["p"], one["wins"]) == (1, 0.25, 1.0, 1)
    assert math.isnan(compared(finals_of(relu=[0.5, 0.6], fluid=[0.7, 0.8]))["fluid"]["correlation"])
    assert math.isnan(one["ci_low"])
    assert math.isnan(one["correlation"])
    same = compared(finals_of(relu=[0.5] * 6, fluid=[0.75] * 6))["fluid"]
    assert (same["p"], same["verdict"]) == (2 / 2**6, "better")
    assert (same["ci_low"], same["ci_high"]) == pytest.approx((0.2495, 0.2505))


@pytest.mark.parametrize(
    ("fluid", "verdict"),
    [
        ([0.6, 0.6, 0.6, 0.6, 0.6, 0.6], "better"),
        ([0.4, 0.4, 0.4, 0.4, 0.4, 0.4], "worse"),
        ([0.4, 0.6, 0.6, 0.6, 0.6, 0.6], "undecided"),  # p = 14 / 64
        ([0.6, 0.6, 0.6, 0.6, 0.6], "too few pairs"),
    ],
)
def test_verdict(fluid: list[float], verdict: str) -> None:
    assert compared(finals_of(relu=[0.5] * 6, fluid=fluid))["fluid"]["verdict"] == verdict


def test_verdict_is_by_the_adjusted_p_value() -> None:
    better = [0.6] * 6
    alone = compared(finals_of(relu=[0.5] * 6, fluid=better))["fluid"]
    assert (alone["p_holm"], alone["verdict"]) == (2 / 64, "better")
    of_two = compared(finals_of(relu=[0.5] * 6, fluid=better, elu=better))["fluid"]
    assert (of_two["p"], of_two["p_holm"], of_two["verdict"]) == (2 / 64, 4 / 64, "too few pairs")


def test_the_declared_comparison_is_not_adjusted_and_the_others_are_among_themselves() -> None:
    better = [0.6] * 7
    finals = finals_of(relu=[0.5] * 7, fluid=better, elu=better, tanh=better)
    table = comparisons(finals, "relu", 100, primary="fluid").set_index("activation")
    assert table["p_holm"].to_dict() == {"fluid": 2 / 2**7, "elu": 4 / 2**7, "tanh": 4 / 2**7}
    assert table["family"].to_dict() == {"fluid": "primary", "elu": "secondary", "tanh": "secondary"}
    undeclared = comparisons(finals, "relu", 100)
    assert (set(undeclared["family"]), set(undeclared["p_holm"])) == ({"secondary"}, {6 / 2**7})


def test_a_declared_margin_makes_a_difference_equal_that_the_default_one_leaves_better() -> None:
    relu = [0.50, 0.52, 0.54, 0.50, 0.52, 0.54]
    finals = finals_of(relu=relu, fluid=[each + 0.01 for each in relu])
    [default] = comparisons(finals, "relu", 100).to_dict("records")
    assert (default["margin"], default["verdict"]) == (0.02, "better")  # of 48 errors
    [declared] = comparisons(finals, "relu", 100, margin=0.02).to_dict("records")
    assert (declared["margin_declared"], declared["verdict"]) == (True, "equal")
    assert (declared["equal_low"], declared["equal_high"]) == find_limits([1] * 6, 100, 0.9)
    assert declared["equal_within"] == declared["equal_high"]


def test_skewness_is_scipy_s() -> None:
    finals = finals_of(relu=[0.5] * 7, fluid=[0.5, 0.51, 0.51, 0.52, 0.53, 0.5, 0.69])
    assert compared(finals)["fluid"]["skewness"] == pytest.approx(stats.skew([0, 1, 1, 2, 3, 0, 19]))
    assert math.isnan(compared(finals_of(relu=[0.5] * 3, fluid=[0.6] * 3))["fluid"]["skewness"])


def test_comparison_with_a_baseline_of_ones_own_and_with_nothing() -> None:
    finals = finals_of(relu=[0.5, 0.5], elu=[0.25, 0.25])
    assert compared(finals, "elu")["relu"]["mean_difference"] == 0.25
    assert comparisons(finals_of(relu=[0.5]), "relu", 100).empty
    assert comparisons(finals.iloc[:0], "relu", 100).empty


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_interval_is_scipy_s(values: list[float]) -> None:
    low, high = interval(values)
    if np.ptp(values) < 1e-12:  # scipy has nothing to say of values that do not vary
        assert [low, high] == pytest.approx([values[0], values[0]])
        return
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert [low, high] == pytest.approx([expected.low, expected.high], abs=1e-12)


def test_ranges() -> None:
    assert ranges([0, 3, 4, 5, 9, 10]) == "0, 3–5, 9–10"
    assert ranges([]) == ""


REPLICATES = 2000


def within_monte_carlo_error(count: int, rate: float) -> bool:
    """Whether so many of REPLICATES are what the rate gives, within four standard errors."""
    return bool(abs(count / REPLICATES - rate) < 4 * (rate * (1 - rate) / REPLICATES) ** 0.5)


@pytest.mark.parametrize("n", [3, 20])
def test_interval_covers_the_true_mean_in_95_of_100_studies(n: int) -> None:
    samples = np.random.default_rng(n).normal(0.976, 0.001, size=(REPLICATES, n))
    covered = sum(low <= 0.976 <= high for low, high in map(interval, samples.tolist()))
    assert within_monte_carlo_error(covered, 0.95)


def test_comparison_finds_nothing_where_there_is_nothing_in_95_of_100_studies() -> None:
    """Pairs of equal activations, correlated as real pairs are: the p-value is below any level that often or less."""
    random = np.random.default_rng(0)
    pairs = random.normal(0.976, 0.001, size=(REPLICATES, 12, 1)) + random.normal(0, 0.0008, size=(REPLICATES, 12, 2))
    counts = np.rint(pairs * 10_000).astype(int)
    p_values = [sign_flip_p(steps) for steps in (counts[..., 0] - counts[..., 1]).tolist()]
    for level in (0.01, 0.05, 0.25):
        found = sum(p <= level for p in p_values)
        # with 2**12 signings and some sums equal, the p-value can come a little short of the level, never above it
        assert within_monte_carlo_error(found, level)


def test_side_by_side_adjusts_for_the_studies_alone() -> None:
    """Two studies of 7 pairs, in one of which fluid always wins: p = 2 / 2**7, doubled; the other's p is 1."""
    rows = []
    for name, signs in (("up", [1] * 7), ("mixed", [1, -1, 1, -1, 1, -1, 0])):
        fluid = [(0.5 + 0.01 * sign,) for sign in signs]
        runs = make_run_table({"relu": [(0.5,)] * 7, "fluid": fluid, "elu": fluid, "tanh": fluid})
        row = comparisons(final_accuracies(runs), "relu", 100).to_dict("records")[0]
        rows.append({"study": name, "dataset": "mnist", "model": "paper", **row})
    assert rows[0]["p_holm"] == 3 * 2 / 2**7  # for the three comparisons within its study
    table = side_by_side(rows)
    assert list(table) == ["study", "dataset", "model", *COMPARISON_COLUMNS]
    assert table[["study", "p", "p_holm", "verdict"]].values.tolist() == [
        ["up", 2 / 2**7, 4 / 2**7, "better"],
        ["mixed", 1.0, 1.0, "equal"],  # within 2 images, a twentieth of 50 errors
    ]
    assert list(side_by_side([])) == list(table)
    # one that has no p-value is not judged by it
    waiting = {**rows[0], "p": math.nan, "verdict": "interim"}
    assert side_by_side([waiting, rows[1]])["verdict"].tolist() == ["interim", "equal"]
