"""Verdicts, worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluidrelu_cli.analysis.sign_flips import equality_p, sign_flip_p
from fluidrelu_cli.analysis.verdicts import (
    BETTER,
    EQUAL,
    TOO_FEW,
    UNDECIDED,
    WORSE,
    default_margin,
    fewest_pairs,
    holm,
    judge,
)


def test_fewest_pairs_is_where_a_p_value_can_reach_the_level() -> None:
    assert sign_flip_p([1] * 5) > 0.05 >= sign_flip_p([1] * 6)
    assert fewest_pairs() == 6
    assert (fewest_pairs(0.0625), fewest_pairs(0.01)) == (5, 8)


def test_holm_by_hand() -> None:
    # 4 * 0.01, 3 * 0.02, then 2 * 0.025 is below what precedes it, and 1 * 0.5
    assert holm([0.02, 0.5, 0.01, math.nan, 0.025]) == pytest.approx([0.06, 0.5, 0.04, math.nan, 0.06], nan_ok=True)
    assert holm([0.5, 0.75]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_between_no_adjustment_and_bonferroni_s_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for p, p_holm in zip(p_values, adjusted, strict=True):
        assert p <= p_holm <= min(1, len(p_values) * p)
    assert [adjusted[index] for index in np.argsort(p_values)] == sorted(adjusted)


def row(p: float, n: int = 60, *, p_equal: float = 1.0, mean: float = 0.1, declared: bool = True) -> dict[str, Any]:
    """A comparison before it is judged."""
    return {"n": n, "mean_difference": mean, "p": p, "p_equal": p_equal, "margin_declared": declared}


def verdicts(*rows: dict[str, Any]) -> list[str]:
    return [judged["verdict"] for judged in judge(rows)]


def test_too_few_pairs_are_those_that_could_not_reach_5_percent_beside_the_others() -> None:
    """Holm adjusts the larger of two p-values for one comparison alone, so six pairs could beside a smaller one."""
    assert judge([row(0.0001), row(0.5, 6)]) == [
        {"p_holm": 0.0002, "p_equal_holm": 1.0, "verdict": BETTER},
        {"p_holm": 0.5, "p_equal_holm": 1.0, "verdict": UNDECIDED},
    ]
    assert verdicts(row(0.2), row(0.5, 6)) == [UNDECIDED, TOO_FEW]
    assert verdicts(row(0.5, 5)) == [TOO_FEW]


@pytest.mark.parametrize(
    ("p", "p_equal", "declared", "verdict"),
    [
        (0.04, 0.5, True, WORSE),
        (0.04, 0.04, True, EQUAL),  # whoever declared the margin said that so little does not matter
        (0.04, 0.04, False, WORSE),
        (0.06, 0.04, False, EQUAL),
        (0.05, 0.05, True, UNDECIDED),
        (math.nan, math.nan, True, UNDECIDED),
    ],
)
def test_four_verdicts(p: float, p_equal: float, declared: bool, verdict: str) -> None:
    assert verdicts(row(p, p_equal=p_equal, mean=-0.1, declared=declared)) == [verdict]


def test_equality_is_adjusted_among_the_comparisons_that_are_made_together() -> None:
    equal = row(1.0, p_equal=0.03)
    assert verdicts(equal) == [EQUAL]
    assert verdicts(equal, equal) == [UNDECIDED, UNDECIDED]
    assert verdicts(equal, row(1.0, p_equal=0.02)) == [EQUAL, EQUAL]


def test_default_margin_is_a_share_of_the_errors_in_whole_images() -> None:
    assert default_margin(0.9754, 10_000) == 0.0012  # 246 errors
    assert default_margin(0.999, 100) == 0.01  # at least one image


STUDIES, ERROR = 800, 0.0155
"""How many are simulated, and two standard errors of a share of 5 % of them."""


def judge_studies(m: int, centre: float, margin: float, *, declared: bool) -> list[list[str]]:
    """The verdicts of simulated studies of 12 pairs, one primary comparison and m - 1 others with the same baseline.

    Differences are in images: normal with an SD of 11 around the centre, a third of their variance the baseline's.
    """
    random = np.random.default_rng(m)
    baseline = random.normal(0, 11 / 3**0.5, (STUDIES, 1, 12))
    others = random.normal(centre, 11 * (2 / 3) ** 0.5, (STUDIES, m, 12))
    made = []
    for study in np.rint(others - baseline).astype(int).tolist():
        rows = [
            row(sign_flip_p(each), 12, p_equal=equality_p(each, margin), mean=float(np.mean(each)), declared=declared)
            for each in study
        ]
        made.append([judged["verdict"] for family in (rows[:1], rows[1:]) for judged in judge(family)])
    return made


@pytest.mark.parametrize("m", [1, 3, pytest.param(8, marks=pytest.mark.slow)])
def test_without_a_difference_each_family_errs_in_5_of_100_studies(m: int) -> None:
    """Better or worse where nothing differs: the primary comparison, and any of the others."""
    verdicts_of = judge_studies(m, 0, 1, declared=False)
    for family in (slice(0, 1), slice(1, m)):
        wrong = np.mean([{BETTER, WORSE} & {*each[family]} != set() for each in verdicts_of])
        assert wrong <= 0.05 + ERROR
        if family == slice(0, 1):
            assert wrong >= 0.02  # it is not far below, either


@pytest.mark.parametrize("m", [1, 3, pytest.param(8, marks=pytest.mark.slow)])
def test_with_a_difference_of_the_margin_each_family_calls_it_equal_in_5_of_100_studies(m: int) -> None:
    verdicts_of = judge_studies(m, 12, 12, declared=True)
    for family in (slice(0, 1), slice(1, m)):
        assert np.mean([EQUAL in each[family] for each in verdicts_of]) <= 0.05 + ERROR
    assert np.mean([each[0] == BETTER for each in verdicts_of]) > 0.8


def test_equal_ones_are_called_equal() -> None:
    assert np.mean([each == [EQUAL] for each in judge_studies(1, 0, 15, declared=True)]) > 0.9
