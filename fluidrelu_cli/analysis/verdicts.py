"""From p-values to verdicts: better, worse, equal or undecided, adjusted for the comparisons that are made together.

A study has one primary comparison, which its file names, at 5 %. All others are adjusted among themselves (Holm). One
of several that no file names is adjusted for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

ALPHA = 0.05
CONFIDENCE = 1 - ALPHA

EQUAL, BETTER, WORSE, UNDECIDED = "equal", "better", "worse", "undecided"

TOO_FEW = "too few pairs"
"""The verdict on a comparison that could not come out, whatever so many pairs showed."""

INTERIM = "interim"
"""The verdict on a comparison that lacks declared runs."""

NOT_JUDGED = "not judged"
"""The verdict on a comparison beside the one that decides when training ends, and on a cell of a grid by itself."""

PRIMARY, SECONDARY = "primary", "secondary"
"""What a comparison is in its study."""

DEFAULT_MARGIN = 0.05
"""The margin where none is declared, as a share of the baseline's errors."""


def default_margin(accuracy: float, test_images: int) -> float:
    """The margin where none is declared: DEFAULT_MARGIN of the errors, as a whole number of images, but at least one.

    Args:
        accuracy: the baseline's mean.
        test_images: how many images it is on.
    """
    return max(1, round(DEFAULT_MARGIN * (1 - accuracy) * test_images)) / test_images


def fewest_pairs(alpha: float = ALPHA) -> int:
    """The least n at which a sign-flip p-value can reach alpha: 2 / 2**n <= alpha. 6 at 5 %."""
    return math.ceil(1 - math.log2(alpha))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number (Holm 1979).

    With m of them, the i-th smallest (from 0) becomes the largest of (m - j) p_j over j <= i, and at most 1. NaNs stay
    and do not count.
    """
    adjusted = [math.nan] * len(p_values)
    order = sorted((p, index) for index, p in enumerate(p_values) if not math.isnan(p))
    largest = 0.0
    for rank, (p, index) in enumerate(order):
        largest = max(largest, (len(order) - rank) * p)
        adjusted[index] = min(1.0, largest)
    return adjusted


def judge(rows: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Of each comparison of a family p_holm, p_equal_holm (both adjusted for the family) and the verdict.

    "equal": p_equal_holm is below 5 %, so the difference is surely smaller than the margin. "better" or "worse":
    p_holm is. Where both are, a declared margin decides, for whoever declared it said that so small a difference does
    not matter; of the default margin nobody did, so there the difference counts. Neither: "undecided", or "too few
    pairs" where p_holm could not be below 5 % whatever so many pairs showed.

    Both kinds of errors are bounded: with no difference, "better" or "worse" comes anywhere in the family with
    probability 5 % at most, and "equal" with that probability at most among comparisons with a difference of the margin
    or more.

    Args:
        rows: n, mean_difference, p, p_equal and margin_declared of each comparison.
    """
    p_values = [row["p"] for row in rows]
    judged = []
    for index, (row, p, p_equal) in enumerate(
        zip(rows, holm(p_values), holm([row["p_equal"] for row in rows]), strict=True)
    ):
        at_best = holm([*p_values[:index], 2 / 2 ** row["n"], *p_values[index + 1 :]])[index]
        verdict = TOO_FEW if at_best >= ALPHA else UNDECIDED
        if p < ALPHA:
            verdict = BETTER if row["mean_difference"] > 0 else WORSE
        if p_equal < ALPHA and (row["margin_declared"] or not p < ALPHA):
            verdict = EQUAL
        judged.append({"p_holm": p, "p_equal_holm": p_equal, "verdict": verdict})
    return judged
