"""Ratios of times, by hand."""

from __future__ import annotations

import pytest
from factories import make_cost
from scipy.stats import binom

from fluidrelu_cli.analysis.cost import COST_COLUMNS, compare_cost, median_interval

FIRST = [1.0, 2.0, 1.0, 4.0, 1.0, 1.0]
AGAIN = [1.0, 2.0, 1.5, 4.0, 1.0, 0.9]
"""Over FIRST they are 1, 1, 1.5, 1, 1, 0.9."""


def test_ratios_by_hand() -> None:
    means = [(a + b) / 2 for a, b in zip(FIRST, AGAIN, strict=True)]
    twice = [mean * ratio for mean, ratio in zip(means, (2.0, 1.9, 2.2, 2.0, 1.6, 2.1), strict=True)]
    table = compare_cost(make_cost({"relu": FIRST, "fluid": twice, "elu": means}, AGAIN))
    assert tuple(table.columns) == COST_COLUMNS
    relu, fluid, elu = table.to_dict("records")
    ends = ["step", "step_low", "step_high"]
    assert [relu[name] for name in ends] == pytest.approx([1, 0.9, 1.5])
    assert [fluid[name] for name in ends] == pytest.approx([2, 1.6, 2.2])
    assert [row["step_differs"] for row in (relu, fluid, elu)] == [False, True, False]
    assert [fluid[name] for name in ("forward", "backward", "saved")] == pytest.approx([2, 2, 1.25])
    assert (relu["step_seconds"], fluid["saved_bytes"], fluid["parameters"]) == (1, 1_250_000, 48)


@pytest.mark.parametrize(
    ("ratio", "again", "differs"),
    [
        (1.1, 1.0, True),
        (0.9, 1.0, True),
        (1.1, 1.1, False),  # as the reference from itself
        (1.1, 0.9, True),
        (1.05, 1.1, False),  # between the two, and 1
    ],
)
def test_what_the_reference_shows_against_itself_is_no_difference(ratio: float, again: float, differs: bool) -> None:
    mean = (1 + again) / 2
    table = compare_cost(make_cost({"relu": [1.0] * 6, "elu": [ratio * mean] * 6}, [again] * 6))
    assert table["step_differs"].tolist() == [False, differs]


def test_the_median_of_few_values_has_no_interval() -> None:
    with pytest.raises(ValueError, match="5 values"):
        median_interval([1, 2, 3, 4, 5])


@pytest.mark.parametrize("n", [6, 7, 8, 9, 20, 40, 41])
def test_the_interval_of_the_median_is_the_narrowest_of_its_kind(n: int) -> None:
    middle, low, high = median_interval(range(n)[::-1])
    k = int(low) + 1
    assert (middle, high) == ((n - 1) / 2, n - k)
    assert 2 * binom.cdf(k - 1, n, 0.5) <= 0.05 < 2 * binom.cdf(k, n, 0.5)
