"""Ranks over data sets: the example and the table of Demšar (2006), scipy's own test, and small cases by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fluidrelu_cli.analysis.ranks import find_critical_difference, friedman_p, rank_activations

DEMSAR = pd.DataFrame(
    [
        *[(0.763, 0.768, 0.771, 0.798), (0.599, 0.591, 0.590, 0.569), (0.954, 0.971, 0.968, 0.967)],
        *[(0.628, 0.661, 0.654, 0.657), (0.882, 0.888, 0.886, 0.898), (0.936, 0.931, 0.916, 0.931)],
        *[(0.661, 0.668, 0.609, 0.685), (0.583, 0.583, 0.563, 0.625), (0.775, 0.838, 0.866, 0.875)],
        *[(1.000, 1.000, 1.000, 1.000), (0.940, 0.962, 0.965, 0.962), (0.619, 0.666, 0.614, 0.669)],
        # before they were rounded, 0.975 and 0.975 were not equal: the ranks printed beside them are 2 and 3
        *[(0.972, 0.981, 0.97501, 0.975), (0.957, 0.978, 0.946, 0.970)],
    ],
    columns=["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"],
)
"""Table 6: the areas under the curves of four classifiers on 14 data sets."""


def test_the_published_example_is_ranked_as_it_was() -> None:
    """Its mean ranks, and section 3.2.2: the critical difference is 1.25, so no two are told apart at 5 %."""
    ranking = rank_activations(DEMSAR)
    assert ranking is not None
    assert ranking.data_sets == 14
    assert {row["activation"]: round(row["mean_rank"], 3) for row in ranking.table.to_dict("records")} == {
        "C4.5+m+cf": 1.964,
        "C4.5+m": 2.000,
        "C4.5+cf": 2.893,
        "C4.5": 3.143,
    }
    assert ranking.critical_difference == pytest.approx(1.25, abs=0.005)
    assert find_critical_difference(4, 14, 0.10) == pytest.approx(1.12, abs=0.005)
    assert ranking.groups == [ranking.table["activation"].tolist()]
    assert ranking.p == pytest.approx(stats.friedmanchisquare(*DEMSAR.to_numpy().T).pvalue)


@pytest.mark.parametrize(
    ("k", "q"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (9, 3.102), (10, 3.164)],
)
def test_the_critical_values_are_those_of_the_published_table(k: int, q: float) -> None:
    """Table 5 (a), at 5 %."""
    assert find_critical_difference(k, 1) / (k * (k + 1) / 6) ** 0.5 == pytest.approx(q, abs=0.0011)


def test_groups_are_the_largest_that_are_not_told_apart() -> None:
    """Of four on ten data sets ranks 1.48 apart are not told apart."""
    ranks = pd.DataFrame([[0.9, 0.8, 0.7, 0.6]] * 7 + [[0.8, 0.9, 0.7, 0.6]] * 3, columns=list("abcd"))
    ranking = rank_activations(ranks)
    assert ranking is not None
    assert ranking.table["mean_rank"].tolist() == pytest.approx([1.3, 1.7, 3, 4])
    assert ranking.critical_difference == pytest.approx(1.483, abs=0.001)
    assert ranking.groups == [["a", "b"], ["b", "c"], ["c", "d"]]


def test_all_are_equal() -> None:
    ranking = rank_activations(pd.DataFrame(np.full((5, 3), 0.5)))
    assert ranking is not None
    assert (ranking.p, ranking.table["mean_rank"].tolist()) == (1, [2, 2, 2])
    assert friedman_p(np.array([[1.0, 2, 3]] * 5)) == pytest.approx(np.exp(-5))  # 10 with 2 degrees of freedom


@pytest.mark.parametrize("shape", [(4, 8), (9, 2)])
def test_too_few_have_no_ranks(shape: tuple[int, int]) -> None:
    assert rank_activations(pd.DataFrame(np.zeros(shape))) is None


def test_accuracies_that_differ_by_rounding_alone_share_a_rank_and_without_a_finding_all_are_one_group() -> None:
    ranking = rank_activations(pd.DataFrame({"a": [0.1 + 0.2] * 5, "b": [0.3] * 5, "c": [0.1, 0.5, 0.1, 0.5, 0.3]}))
    assert ranking is not None
    assert ranking.table["mean_rank"].tolist()[0] == ranking.table["mean_rank"].tolist()[1]
    assert ranking.p >= 0.05
    assert [sorted(group) for group in ranking.groups] == [["a", "b", "c"]]
