"""Samples of combinations are balanced, without repetition, and the same everywhere."""

from __future__ import annotations

from collections import Counter

import pytest

from fluidrelu_cli.sampling import sample_combinations


@pytest.mark.parametrize(("sizes", "n"), [((6, 2, 4, 4, 3, 2, 3, 2), 64), ((2, 3), 4), ((4, 4), 12), ((7,), 5)])
def test_each_level_comes_equally_often_and_no_combination_twice(sizes: tuple[int, ...], n: int) -> None:
    rows = sample_combinations([(f"field {place}", levels) for place, levels in enumerate(sizes)], n)
    assert rows is not None
    assert len(set(rows)) == len(rows) == n
    assert rows == sorted(rows)
    for place, levels in enumerate(sizes):
        counts = Counter(row[place] for row in rows)
        assert {counts[level] for level in range(levels)} <= {n // levels, -(-n // levels)}


def test_a_sample_is_the_same_on_every_machine() -> None:
    rows = sample_combinations([("batch_size", 4), ("loss", 2), ("pixels", 3)], 5)
    assert rows == [(0, 0, 0), (1, 1, 1), (2, 1, 0), (2, 1, 2), (3, 0, 2)]


def test_more_than_there_are_cannot_be_sampled() -> None:
    assert sample_combinations([("a", 2), ("b", 2)], 5) is None
