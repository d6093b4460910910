"""Statistics against numbers worked by hand and against all subsets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluidrelu_cli.statistics import (
    calibration,
    compare_runs,
    expected_best_of,
    expected_worst_of,
    final_accuracies,
    paper_pair_first,
    summary,
    table2,
)

MakeRuns = Callable[[Mapping[str, Sequence[Sequence[float]]]], pd.DataFrame]


def test_result_of_a_run_is_its_last_epoch(make_runs: MakeRuns) -> None:
    runs = make_runs({"relu": [(0.5, 0.9, 0.7), (0.1, 0.2, 0.3)], "fluid": [(0.6, 0.8, 0.4)]})
    finals = final_accuracies(runs.sample(frac=1, random_state=0))
    assert finals.values.tolist() == [["fluid", 0, 0.4], ["relu", 0, 0.7], ["relu", 1, 0.3]]


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


def test_summary_by_hand(make_runs: MakeRuns) -> None:
    finals = final_accuracies(make_runs({"relu": [(0.9,), (0.92,), (0.97,)], "elu": [(0.5,)]}))
    table = summary(finals, {"relu": 3, "elu": 1}).set_index("activation")
    assert list(table.index) == ["relu", "elu"]
    relu = table.loc["relu"].to_dict()
    # the deviations from 0.93 are -0.03, -0.01 and 0.04: their squares sum to 0.0026, a half of it is the variance
    assert relu == {
        "n": 3,
        "asked": 3,
        "mean": pytest.approx(0.93, rel=1e-14),
        "sd": pytest.approx(0.0013**0.5, rel=1e-12),
        "best": 0.97,
        "worst": 0.9,
        "expected_best_of_3": pytest.approx(0.97, rel=1e-14),
        "expected_worst_of_3": pytest.approx(0.9, rel=1e-14),
    }
    elu = table.loc["elu"].to_dict()
    assert (elu["n"], elu["mean"], elu["best"], elu["worst"]) == (1, 0.5, 0.5, 0.5)
    assert all(math.isnan(elu[name]) for name in ("sd", "expected_best_of_3", "expected_worst_of_3"))


def test_summary_counts_what_was_asked_for_and_did_not_come(make_runs: MakeRuns) -> None:
    finals = final_accuracies(make_runs({"relu": [(0.9,), (0.8,), (0.7,)], "fluid": [(0.9,), (0.8,)]}))
    finals = finals[~((finals["activation"] == "relu") & (finals["seed"] == 1))]
    table = summary(finals, {"relu": 3, "prelu": 2, "fluid": 1})
    # relu's seed 1 failed, prelu never came, and fluid's seed 1 was trained beyond what was asked
    counts = table[["activation", "n", "asked"]].to_numpy().tolist()
    assert counts == [["relu", 2, 3], ["fluid", 2, 2], ["prelu", 0, 2]]
    numbers = table.set_index("activation").loc["prelu"].drop(["n", "asked"])
    assert numbers.isna().all()


def test_summary_of_nothing() -> None:
    finals = pd.DataFrame(columns=["activation", "seed", "test_accuracy"])
    assert summary(finals, {}).empty
    assert summary(finals, {"relu": 3})[["n", "asked"]].to_numpy().tolist() == [[0, 3]]


def test_order_of_activations() -> None:
    assert paper_pair_first(["tanh", "fluid", "elu", "relu", "fluid"]) == ["relu", "fluid", "elu", "tanh"]


def test_table2_by_hand(make_runs: MakeRuns) -> None:
    relu_alone = summary(final_accuracies(make_runs({"relu": [(0.9,), (0.8,)]})), {})
    both = summary(final_accuracies(make_runs({"relu": [(0.7,)], "fluid": [(0.6,), (0.5,)]})), {})
    table = table2({"there": relu_alone, "here": both})
    assert list(table.columns) == ["row", "activation", "source", "accuracy", "n"]
    assert [[None if value != value else value for value in row] for row in table.to_numpy().tolist()] == [
        ["best", "relu", "published", 0.9784, 3],
        ["best", "relu", "there", 0.9, 2],
        ["best", "relu", "here", 0.7, 1],
        ["best", "fluid", "published", 0.98, 3],
        ["best", "fluid", "there", None, 0],
        ["best", "fluid", "here", 0.6, 2],
        ["worst", "relu", "published", 0.9721, 3],
        ["worst", "relu", "there", 0.8, 2],
        ["worst", "relu", "here", 0.7, 1],
        ["worst", "fluid", "published", 0.9753, 3],
        ["worst", "fluid", "there", None, 0],
        ["worst", "fluid", "here", 0.5, 2],
    ]


def test_runs_that_differ_in_timings_alone_are_identical(make_runs: MakeRuns) -> None:
    mine = make_runs({"relu": [(0.5, 0.75), (0.5, 0.5)]})
    mine.loc[2, "train_loss"] = math.nan  # a diverged run repeats its nan
    theirs = mine.assign(train_seconds=9.0, test_seconds=math.nan)
    compared = compare_runs(mine, theirs)
    assert list(compared.columns) == ["activation", "seed", "identical", "accuracy_difference"]
    assert compared.values.tolist() == [["relu", 0, True, 0.0], ["relu", 1, True, 0.0]]


@pytest.mark.parametrize("column", ["train_loss", "train_accuracy", "test_loss", "test_accuracy"])
def test_difference_in_the_last_digit_is_seen(column: str, make_runs: MakeRuns) -> None:
    mine = make_runs({"relu": [(0.5, 0.75, 0.75)]})
    theirs = mine.copy()
    theirs.loc[1, column] = math.nextafter(float(mine[column][1]), 1)
    assert compare_runs(mine, theirs).values.tolist() == [["relu", 0, False, 0.0]]


def test_final_accuracies_are_compared(make_runs: MakeRuns) -> None:
    mine = make_runs({"relu": [(0.5, 0.75)], "fluid": [(0.5, 0.5)]})
    theirs = make_runs({"relu": [(0.25, 1.0), (0.5, 0.5)], "elu": [(0.5, 0.5)]})
    assert compare_runs(mine, theirs).values.tolist() == [["relu", 0, False, -0.25]]
    assert compare_runs(theirs, mine)["accuracy_difference"].tolist() == [0.25]


def test_runs_of_which_none_is_common(make_runs: MakeRuns) -> None:
    assert compare_runs(make_runs({"relu": [(0.5,)]}), make_runs({"elu": [(0.5,)]})).empty


PAPER = (0.9721, 0.975, 0.9784)  # three runs whose best and worst are the paper's
OFF = (0.9711, 0.975, 0.9794)  # each 0.001 away: distance 2e-6


def by_seed(*epochs: Sequence[float]) -> list[tuple[float, ...]]:
    """Accuracies by epoch, turned into those by seed."""
    return list(zip(*epochs, strict=True))


def chosen(table: pd.DataFrame) -> list[tuple[int, int]]:
    rows = table[table["chosen"]]
    return list(zip(rows["batch_size"], rows["epochs"], strict=True))


def test_calibration_by_hand(make_runs: MakeRuns) -> None:
    table = calibration({100: make_runs({"relu": by_seed(OFF, PAPER)}), 10: make_runs({"relu": by_seed(OFF)})})
    assert table[["batch_size", "epochs", "n"]].to_numpy().tolist() == [[10, 1, 3], [100, 1, 3], [100, 2, 3]]
    assert table["distance"].tolist() == pytest.approx([2e-6, 2e-6, 0.0], rel=1e-9, abs=1e-20)
    assert table["expected_best_of_3"].tolist() == pytest.approx([0.9794, 0.9794, 0.9784])
    assert table["expected_worst_of_3"].tolist() == pytest.approx([0.9711, 0.9711, 0.9721])
    assert table["mean"].tolist() == pytest.approx([0.9755 - 0.001 / 3, 0.9755 - 0.001 / 3, 2.9255 / 3])
    assert table["chosen"].tolist() == [False, False, True]


def test_calibration_gives_a_tie_to_the_fewer_epochs(make_runs: MakeRuns) -> None:
    late, early = make_runs({"relu": by_seed(OFF, PAPER, PAPER)}), make_runs({"relu": by_seed(PAPER)})
    assert chosen(calibration({10: late})) == [(10, 2)]
    assert chosen(calibration({10: late, 20: early})) == [(20, 1)]


def test_calibration_looks_at_relu_alone(make_runs: MakeRuns) -> None:
    relu = by_seed(OFF, (0.5, 0.5, 0.5))
    alone = calibration({10: make_runs({"relu": relu})})
    among_others = calibration({10: make_runs({"relu": relu, "fluid": by_seed(OFF, PAPER), "elu": by_seed(PAPER)})})
    pd.testing.assert_frame_equal(alone, among_others, check_exact=True)
    assert chosen(alone) == [(10, 1)]


def test_calibration_never_chooses_fewer_than_three_runs(make_runs: MakeRuns) -> None:
    two = make_runs({"relu": by_seed((0.9721, 0.9784))})
    table = calibration({10: two, 20: make_runs({"relu": by_seed(OFF)})})
    assert chosen(table) == [(20, 1)]
    assert table["n"].tolist() == [2, 3]
    assert math.isnan(table["distance"][0])
    assert chosen(calibration({10: two})) == []
    assert chosen(calibration({10: make_runs({"fluid": by_seed(PAPER)})})) == []
