"""The test that may be looked at after every pair: worked out by hand, by enumeration and by simulation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluidrelu_cli.analysis.sequential import (
    LAMBDAS,
    Decision,
    Judgement,
    decide,
    follow,
    judge,
    judge_looks,
    log_evidence,
)
from fluidrelu_cli.analysis.verdicts import BETTER, EQUAL, UNDECIDED, WORSE

IMAGE = 0.0001
MARGIN = 10 * IMAGE

differing = st.builds(
    lambda centre, around: [(centre + each) * IMAGE for each in around],
    st.integers(-12, 12),
    st.lists(st.integers(-9, 9), max_size=30),
)


def test_evidence_by_hand() -> None:
    """2 / (1 + exp(-2 x)) is 1 + tanh(x). The distances by their scales are 1 (its own), -2 / 1 and 3 / 1.5."""
    assert LAMBDAS == (0.2, 0.4, 0.8, 1.6)
    once, twice = (0.197375, 0.379949, 0.664037, 0.921669), (0.379949, 0.664037, 0.921669, 0.996682)  # tanh(λ), (2 λ)
    after_1 = sum(1 + a for a in once) / 4
    after_2 = sum((1 + a) * (1 - b) for a, b in zip(once, twice, strict=True)) / 4
    after_3 = sum((1 + a) * (1 - b) * (1 + b) for a, b in zip(once, twice, strict=True)) / 4
    assert after_1 == pytest.approx(1.540757, rel=1e-6)
    found = np.exp(log_evidence([0.001, -0.002, 0.003], 0))
    assert found.tolist() == pytest.approx([after_1, after_2, after_3], rel=1e-5)


def test_ties_are_no_evidence_and_have_no_scale() -> None:
    with_ties = np.exp(log_evidence([0, 0.001, 0, -0.002, 0.003], 0))
    without = np.exp(log_evidence([0.001, -0.002, 0.003], 0))
    assert with_ties.tolist() == pytest.approx([1, without[0], without[0], without[1], without[2]])
    assert np.exp(log_evidence([0.9765 - 0.9775], -0.001)).tolist() == [1]  # a tie, for all that floats make of it


@pytest.mark.parametrize("centre", [0, 0.0003])
def test_evidence_is_a_fair_bet(centre: float) -> None:
    """Over all signs of the distances from the centre its mean is 1 after every pair, whatever their sizes."""
    sizes = np.array([3, 0, 1, 1, 25, 4, 0, 7]) * IMAGE
    found = [
        np.exp(log_evidence((centre + np.array(signs) * sizes).tolist(), centre))
        for signs in itertools.product((-1, 1), repeat=len(sizes))
    ]
    assert np.mean(found, axis=0).tolist() == pytest.approx([1] * len(sizes))


def draw(count: int, pairs: int, sd: float, centre: float) -> list[list[float]]:
    """Differences of whole images about a centre, with the ties that rounding makes."""
    drawn = np.random.default_rng(7).normal(0, sd, (count, pairs))
    return [[float(value) for value in row * IMAGE + centre] for row in np.rint(drawn)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sd", "centre", "wrong"),
    [(11, 0, {BETTER, WORSE}), (0.5, 0, {BETTER, WORSE}), (4, MARGIN, {EQUAL, WORSE}), (0.5, -MARGIN, {EQUAL, BETTER})],
    ids=["no difference", "no difference, two of three tied", "at the margin", "at the margin, most tied with it"],
)
def test_no_more_than_one_in_twenty_is_wrong_in_1000_looks(sd: float, centre: float, wrong: set[str]) -> None:
    count, margin = 250, MARGIN if centre else IMAGE / 100
    errors = sum(judge_looks(pairs, margin)[-1] in wrong for pairs in draw(count, 1000, sd, centre))
    assert errors <= count * 0.05 + 3 * math.sqrt(count * 0.05 * 0.95)


@pytest.mark.parametrize(
    ("centre", "verdict", "most"), [(8, BETTER, 31), (-8, WORSE, 31), (0, EQUAL, 40)], ids=["better", "worse", "equal"]
)
def test_four_in_five_are_decided_soon(centre: float, verdict: str, most: int) -> None:
    """With the spread of MNIST's differences, 11 images."""
    margin = 0.5 * IMAGE if centre else MARGIN
    found = [judge_looks(pairs, margin)[-1] for pairs in draw(200, most + 3, 11, centre * IMAGE)]
    assert found.count(verdict) >= 0.8 * 200 - 17


def test_what_never_differs_is_equal() -> None:
    made = decide([0.0] * 20, MARGIN)
    assert (made.verdict, made.mean_difference, made.margin_low, made.margin_high) == (EQUAL, 0, 0, 0)
    assert made.n < 8


def test_equal_comes_before_better() -> None:
    """With the same pair, for a difference that matters to nobody."""
    assert decide([0.0001] * 20, 1).verdict == EQUAL
    assert decide([0.0001] * 20, 0.00005).verdict == BETTER


def test_nothing_is_decided_by_nothing() -> None:
    made = decide([], MARGIN)
    assert (made.verdict, made.n, made.low, made.high) == (UNDECIDED, 0, -math.inf, math.inf)
    assert math.isnan(made.mean_difference)
    assert follow([], MARGIN).empty


@pytest.mark.parametrize("margin", [0, -1, math.nan, math.inf])
def test_a_margin_is_above_0(margin: float) -> None:
    for look in (decide, follow):
        with pytest.raises(ValueError, match="margin must be a number above 0"):
            look([0.1], margin)


@pytest.mark.parametrize(
    ("differences", "alpha", "message"),
    [([math.nan], 0.05, "differences must be finite"), ([math.inf], 0.05, "finite"), ([0.1], 1, "alpha must be")],
)
def test_other_values_are_refused(differences: Sequence[float], alpha: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decide(differences, MARGIN, alpha)


@settings(max_examples=50)
@given(differing, differing)
def test_a_decision_stays(first: list[float], then: list[float]) -> None:
    before, after = follow(first, MARGIN), follow([*first, *then], MARGIN)
    pd.testing.assert_frame_equal(after.iloc[: len(first)], before, check_dtype=bool(first))
    made = decide(first, MARGIN)
    assert judge(first, MARGIN) == Judgement(made.verdict, made.n)
    if made.verdict != UNDECIDED:
        assert decide([*first, *then], MARGIN) == made


@settings(max_examples=50)
@given(differing)
def test_arms_can_be_swapped(differences: list[float]) -> None:
    made, swapped = decide(differences, MARGIN), decide([-each for each in differences], MARGIN)
    assert swapped.verdict == {BETTER: WORSE, WORSE: BETTER}.get(made.verdict, made.verdict)
    assert (swapped.n, swapped.low, swapped.margin_low) == (made.n, -made.high, -made.margin_high)


@settings(max_examples=50)
@given(differing.filter(len))
def test_the_sequence_agrees_with_the_decision(differences: list[float]) -> None:
    table, made = follow(differences, MARGIN), decide(differences, MARGIN)
    assert table["low"].is_monotonic_increasing
    assert table["high"].is_monotonic_decreasing
    assert (table["low"] <= table["high"]).all()
    assert table["verdict"].iloc[-1] == made.verdict
    row = table.iloc[made.n - 1].to_dict()
    assert Decision(**{name: row[name] for name in vars(made)}) == made
    if made.verdict == UNDECIDED:
        assert made.low <= 0 <= made.high
        assert not -MARGIN < made.margin_low <= made.margin_high < MARGIN
    elif made.verdict == EQUAL:
        assert -MARGIN <= made.margin_low <= made.margin_high <= MARGIN
    else:
        assert made.low >= 0 if made.verdict == BETTER else made.high <= 0


def test_differences_that_drift_may_leave_no_centre() -> None:
    """The sequence then ends at a point, and has only shrunk."""
    table = follow([0.0012, 0.0008] * 20 + [-0.0012, -0.0008] * 60, MARGIN)
    assert (table["low"] <= table["high"]).all()
    assert table["low"].iloc[-1] == table["high"].iloc[-1]
    assert table["low"].is_monotonic_increasing
    assert table["high"].is_monotonic_decreasing
