"""Verdicts, worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluidrelu_cli.analysis.sign_flips import sign_flip_p
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
