"""The paper's Table 2 and ours beside it, and how such a table falls out.

Best and worst of n grow apart with n, so our n runs meet the paper's three through all sets of three of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

PAPER_PAIR = ("relu", "fluid")
"""The two activations that the paper compares."""

PAPER_TABLE2 = {
    ("best", "relu"): 0.9784,
    ("worst", "relu"): 0.9721,
    ("best", "fluid"): 0.9800,
    ("worst", "fluid"): 0.9753,
}
"""Table 2 of the paper: best and worst test accuracy of three runs of each activation."""

PAPER_RUNS = 3
"""The number of runs of each activation behind Table 2."""

ROWS = ("best", "worst")

TINY = 1e-9
"""Less than any two accuracies that are not equal differ by: they are whole numbers of images."""


def expected_best_of(values: Sequence[float], k: int) -> float:
    """The mean of the largest of k values, over all subsets of k of the n values; NaN if n < k.

    With x_(1) <= ... <= x_(n): sum over i of x_(i) C(i-1, k-1) / C(n, k). It is the unbiased estimate of the
    expected best of k runs.
    """
    ordered = sorted(values)
    n = len(ordered)
    if n < k:
        return math.nan
    weighted = [value * math.comb(index, k - 1) for index, value in enumerate(ordered)]
    return math.fsum(weighted) / math.comb(n, k)


def expected_worst_of(values: Sequence[float], k: int) -> float:
    """The mean of the smallest of k values, over all subsets of k of the n values; NaN if n < k."""
    return -expected_best_of([-value for value in values], k)


def of_three(values: Sequence[float]) -> pd.DataFrame:
    """The distribution of the best and of the worst of three runs, all sets of three of the n being equally likely.

    Columns: accuracy (each that occurs, ascending), best, worst (the probability that it is the best, the worst).
    With x_(1) <= ... <= x_(n), x_(i) is the best of C(i-1, 2) and the worst of C(n-i, 2) of the C(n, 3) sets. Empty
    if n < 3.
    """
    ordered, n = sorted(values), len(values)
    sets = math.comb(n, PAPER_RUNS)
    others = PAPER_RUNS - 1
    rows = [
        (value, math.comb(index, others) / sets, math.comb(n - 1 - index, others) / sets)
        for index, value in enumerate(ordered if sets else ())
    ]
    table: pd.DataFrame = pd.DataFrame(rows, columns=["accuracy", *ROWS]).groupby("accuracy", as_index=False).sum()
    return table


def both_rows_above(a: Sequence[float], b: Sequence[float], best_by: float = TINY, worst_by: float = TINY) -> float:
    """How often a table of three runs ranks A above B in both rows, by at least so much.

    P(best of A >= best of B + best_by and worst of A >= worst of B + worst_by); left out, any lead will do.
    Exact over all pairs of a set of three of A's runs and one of B's; NaN if either has fewer than three. Of B's sets,
    j - i - 1 have the worst x_(i) and the best x_(j); of A's, C(g_i, 3) - C(h_ij, 3) have their worst above the one and
    their best above the other, with g_i of A's runs above x_(i), and h_ij of these not above x_(j) (both by that much).
    """
    if min(len(a), len(b)) < PAPER_RUNS:
        return math.nan
    # How many of A's runs are above each of B's, ascending; half a TINY, for sums of floats are not exact.
    above_worst, above_best = (
        len(a) - np.searchsorted(np.sort(a), np.sort(b) + by - TINY / 2) for by in (worst_by, best_by)
    )
    worst, best = np.triu_indices(len(b), PAPER_RUNS - 1)

    def sets(n: Any) -> Any:
        return n * (n - 1.0) * (n - 2.0) / 6  # of three, for each n; of thousands of runs too many for whole numbers

    between = np.maximum(0, above_worst[worst] - above_best[best])
    ranked = (best - worst - 1) * (sets(above_worst[worst]) - sets(between))
    return float(ranked.sum() / (math.comb(len(a), PAPER_RUNS) * math.comb(len(b), PAPER_RUNS)))


def table2(finals_by_source: Mapping[str, pd.DataFrame], published: bool = True) -> pd.DataFrame:
    """The paper's Table 2 with ours beside it: columns row, activation, source, accuracy, n.

    The paper's is the best (worst) of its three runs; ours the mean of the best (worst) over all sets of three of the
    n, which for n = 3 is the same; NaN if n < 3.

    Args:
        finals_by_source: tables as statistics.final_accuracies gives them, by the name of their source.
        published: give the paper's numbers too.
    """
    rows = []
    for row, expected_of in zip(ROWS, (expected_best_of, expected_worst_of), strict=True):
        for activation in PAPER_PAIR:
            if published:
                rows.append((row, activation, "published", PAPER_TABLE2[row, activation], PAPER_RUNS))
            for source, finals in finals_by_source.items():
                values = accuracies_of(finals, activation)
                rows.append((row, activation, source, expected_of(values, PAPER_RUNS), len(values)))
    table: pd.DataFrame = pd.DataFrame(rows, columns=["row", "activation", "source", "accuracy", "n"])
    return table


def percentiles(finals: pd.DataFrame) -> pd.DataFrame:
    """Where Table 2's four numbers fall among all sets of three of our runs.

    Columns: row, activation, n, published; low, median, high (the 2.5 %, 50 % and 97.5 % points of our best, or
    worst, of three); below, equal (the shares of our sets that are below and at the published number) and percentile
    (below + equal / 2, as a percentage). Without the activations that have just three runs, one set, or fewer.
    """
    rows = []
    for row in ROWS:
        for activation in PAPER_PAIR:
            values = accuracies_of(finals, activation)
            ours = of_three(values)
            if len(values) <= PAPER_RUNS:
                continue
            published = PAPER_TABLE2[row, activation]
            below = float(ours.loc[ours["accuracy"] < published, row].sum())
            equal = float(ours.loc[ours["accuracy"] == published, row].sum())
            low, median, high = (
                float(ours["accuracy"][int(np.searchsorted(ours[row].cumsum(), q - 1e-12))])
                for q in (0.025, 0.5, 0.975)
            )
            percentile = 100 * (below + equal / 2)
            rows.append((row, activation, len(values), published, low, median, high, below, equal, percentile))
    columns = ["row", "activation", "n", "published", "low", "median", "high", "below", "equal", "percentile"]
    table: pd.DataFrame = pd.DataFrame(rows, columns=columns)
    return table


CHANCE = math.comb(4, 2) / math.comb(6, 3)
"""How often of six runs of one function, three in each of two sets, the first set has both the higher best and the
higher worst: where it holds the largest but not the smallest of the six (none being equal)."""


def rankings(finals: pd.DataFrame) -> pd.DataFrame:
    """How often a table of three runs each would rank A above B in both rows: columns a, b, probability.

    For the paper's two, either way round. :data:`CHANCE` is what it would be of two functions between which there is no
    difference. Empty unless both have more than three runs, which are one set.
    """
    relu, fluid = (accuracies_of(finals, activation) for activation in PAPER_PAIR)
    rows = [
        ("fluid", "relu", both_rows_above(fluid, relu)),
        ("relu", "fluid", both_rows_above(relu, fluid)),
    ]
    table: pd.DataFrame = pd.DataFrame(rows, columns=["a", "b", "probability"])
    return table if min(len(relu), len(fluid)) > PAPER_RUNS else table.iloc[:0]


def accuracies_of(finals: pd.DataFrame, activation: str) -> list[float]:
    """One activation's test accuracies."""
    values: list[float] = finals.loc[finals["activation"] == activation, "test_accuracy"].tolist()
    return values
