"""Choosing settings on held-out images, by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from fluidrelu_cli.analysis.tuning import TUNING_COLUMNS, list_chosen, list_close, tune

ARMS = {"relu": ("relu@lr=0.01", "relu@lr=0.1")}


@pytest.mark.parametrize(
    ("first", "second", "chosen"),
    [
        ([0.5, 0.7], [0.8, 0.9], {"relu": "relu@lr=0.1"}),
        ([0.5, 0.7], [0.5, 0.7], {"relu": "relu@lr=0.01"}),  # the first of equal ones
        ([0.5, 0.7], [0.9], {}),  # one lacks a seed: the choice would be among fewer than the others had
        ([0.5], [], {}),
    ],
)
def test_tune_chooses_the_best_once_all_arms_are_whole(
    first: list[float], second: list[float], chosen: dict[str, str]
) -> None:
    names = [ARMS["relu"][0]] * len(first) + [ARMS["relu"][1]] * len(second)
    table = tune(pd.DataFrame({"activation": names, "test_accuracy": [*first, *second]}), ARMS, 2)
    assert tuple(table.columns) == TUNING_COLUMNS
    assert list_chosen(table) == chosen
    assert table["n"].tolist() == [len(first), len(second)]
    assert [math.isnan(sd) for sd in table["sd"]] == [len(first) < 2, len(second) < 2]
    assert [math.isnan(mean) for mean in table["mean"]] == [not first, not second]


@pytest.mark.parametrize(
    ("first", "second", "close"),
    [
        ([0.5, 0.7], [0.78, 0.8], ["relu"]),  # ahead by 0.19, and 2 * sqrt(0.01 + 0.0001) is 0.201
        ([0.5, 0.7], [0.8, 0.82], []),
        ([0.6], [0.9], ["relu"]),  # of one seed nobody knows the noise
        ([0.9, 0.9], [0.9, 0.9], ["relu"]),
        ([0.6, 0.6], [0.9], []),  # none is chosen yet
    ],
)
def test_a_choice_is_close_within_twice_the_standard_error(
    first: list[float], second: list[float], close: list[str]
) -> None:
    names = [ARMS["relu"][0]] * len(first) + [ARMS["relu"][1]] * len(second)
    table = tune(pd.DataFrame({"activation": names, "test_accuracy": [*first, *second]}), ARMS, len(first))
    assert list_close(table) == close
