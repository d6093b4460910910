"""What a paper published, ours beside it, and how such a table falls out.

Best and worst of n grow apart with n, so our n runs meet the paper's k through all sets of k of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fluidrelu_cli.protocol import Protocol

BEST, WORST = "best", "worst"


@dataclass(frozen=True)
class Published:
    """A published table: the best and the worst test accuracy of a few runs of each activation."""

    source: str
    protocol: Protocol
    """The protocol that stands for the source's."""
    runs: int
    """How many runs of each activation are behind it; at least 2."""
    best: Mapping[str, float]
    """By activation, in the order of its table."""
    worst: Mapping[str, float]

    @property
    def activations(self) -> tuple[str, ...]:
        return tuple(self.best)

    @property
    def rows(self) -> dict[str, Mapping[str, float]]:
        """Its rows by name."""
        return {BEST: self.best, WORST: self.worst}

    def is_of(self, protocol: Protocol) -> bool:
        """Whether a study's numbers may stand beside these at all: it has the same data set and network."""
        return (protocol.dataset, protocol.model) == (self.protocol.dataset, self.protocol.model)


PAPER = Published(
    source="Table 2",
    protocol=Protocol(),
    runs=3,
    best={"relu": 0.9784, "fluid": 0.9800},
    worst={"relu": 0.9721, "fluid": 0.9753},
)
"""Table 2 of the paper (docs/paper.md)."""


def find_published(protocol: Protocol) -> Published | None:
    """What was published for a study of this protocol; None if nothing was."""
    return PAPER if PAPER.is_of(protocol) else None


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


def best_and_worst_of(values: Sequence[float], k: int) -> pd.DataFrame:
    """The distribution of the best and of the worst of k runs, all sets of k of the n being equally likely.

    Columns: accuracy (each that occurs, ascending), best, worst (the probability that it is the best, the worst).
    With x_(1) <= ... <= x_(n), x_(i) is the best of C(i-1, k-1) and the worst of C(n-i, k-1) of the C(n, k) sets. Empty
    if n < k.
    """
    ordered, n = sorted(values), len(values)
    sets = math.comb(n, k)
    rows = [
        (value, math.comb(index, k - 1) / sets, math.comb(n - 1 - index, k - 1) / sets)
        for index, value in enumerate(ordered if sets else ())
    ]
    table: pd.DataFrame = (
        pd.DataFrame(rows, columns=["accuracy", BEST, WORST]).groupby("accuracy", as_index=False).sum()
    )
    return table


def both_rows_above(
    a: Sequence[float], b: Sequence[float], k: int, best_by: float = TINY, worst_by: float = TINY
) -> float:
    """How often a table of k runs ranks A above B in both rows, by at least so much.

    P(best of A >= best of B + best_by and worst of A >= worst of B + worst_by); left out, any lead will do.
    Exact over all pairs of a set of k of A's runs and one of B's; NaN if either has fewer than k. Of B's sets,
    C(j - i - 1, k - 2) have the worst x_(i) and the best x_(j); of A's, C(g_i, k) - C(h_ij, k) have their worst above
    the one and their best above the other, with g_i of A's runs above x_(i), and h_ij of these not above x_(j) (both by
    that much).
    """
    if min(len(a), len(b)) < k:
        return math.nan
    # How many of A's runs are above each of B's, ascending; half a TINY, because sums of floats are not exact.
    above_worst, above_best = (
        len(a) - np.searchsorted(np.sort(a), np.sort(b) + by - TINY / 2) for by in (worst_by, best_by)
    )
    ranked = 0.0
    for i in range(len(b) - k + 1):  # row by row: of thousands of runs all pairs (i, j) at once would be gigabytes
        j = np.arange(i + k - 1, len(b))
        between = np.maximum(0, above_worst[i] - above_best[j])
        ranked += float((_sets(j - i - 1, k - 2) * (_sets(above_worst[i], k) - _sets(between, k))).sum())
    return ranked / (math.comb(len(a), k) * math.comb(len(b), k))


def _sets(n: Any, k: int) -> Any:
    """C(n, k) of whole numbers n; as floats, because of thousands of runs there are too many for whole numbers."""
    product = np.ones(np.shape(n))
    for step in range(k):
        product = product * (n - step)
    return product / math.factorial(k)


def table2(published: Published, finals_by_source: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The published table with ours beside it: columns row, activation, source, accuracy, n.

    The published number is the best (worst) of its k runs; ours the mean of the best (worst) over all sets of k of the
    n, which for n = k is the same; NaN if n < k.

    Args:
        published: the table.
        finals_by_source: tables as inference.final_accuracies gives them, by the name of their source.
    """
    rows = []
    for (row, numbers), expected_of in zip(published.rows.items(), (expected_best_of, expected_worst_of), strict=True):
        for activation, number in numbers.items():
            rows.append((row, activation, "published", number, published.runs))
            for source, finals in finals_by_source.items():
                values = accuracies_of(finals, activation)
                rows.append((row, activation, source, expected_of(values, published.runs), len(values)))
    table: pd.DataFrame = pd.DataFrame(rows, columns=["row", "activation", "source", "accuracy", "n"])
    return table


def percentiles(published: Published, finals: pd.DataFrame) -> pd.DataFrame:
    """Where the published numbers fall among all sets of k of our runs.

    Columns: row, activation, n, published; low, median, high (the 2.5 %, 50 % and 97.5 % points of our best, or
    worst, of k); below, equal (the shares of our sets that are below and at the published number) and percentile
    (below + equal / 2, as a percentage). Without the activations that have just k runs, one set, or fewer.
    """
    rows = []
    for row, numbers in published.rows.items():
        for activation, number in numbers.items():
            values = accuracies_of(finals, activation)
            if len(values) <= published.runs:
                continue
            ours = best_and_worst_of(values, published.runs)
            below = float(ours.loc[ours["accuracy"] < number, row].sum())
            equal = float(ours.loc[ours["accuracy"] == number, row].sum())
            low, median, high = (
                float(ours["accuracy"][int(np.searchsorted(ours[row].cumsum(), q - 1e-12))])
                for q in (0.025, 0.5, 0.975)
            )
            percentile = 100 * (below + equal / 2)
            rows.append((row, activation, len(values), number, low, median, high, below, equal, percentile))
    columns = ["row", "activation", "n", "published", "low", "median", "high", "below", "equal", "percentile"]
    table: pd.DataFrame = pd.DataFrame(rows, columns=columns)
    return table


def chance(k: int) -> float:
    """How often of 2k runs of one function, k in each of two sets, the first set has both the higher best and the
    higher worst: where it holds the largest but not the smallest of all (none being equal).
    """
    return math.comb(2 * k - 2, k - 1) / math.comb(2 * k, k)


def rankings(published: Published, finals: pd.DataFrame) -> pd.DataFrame:
    """How often a table of k runs each would rank A above B in both rows: columns a, b, probability.

    For each two published activations, either way round, the later one above first. :func:`chance` is what it would be
    of two functions between which there is no difference. Without the activations that have just k runs, one set, or
    fewer.
    """
    values = {activation: accuracies_of(finals, activation) for activation in reversed(published.activations)}
    enough = [activation for activation, found in values.items() if len(found) > published.runs]
    rows = [(a, b, both_rows_above(values[a], values[b], published.runs)) for a, b in itertools.permutations(enough, 2)]
    table: pd.DataFrame = pd.DataFrame(rows, columns=["a", "b", "probability"])
    return table


def accuracies_of(finals: pd.DataFrame, activation: str) -> list[float]:
    """One activation's test accuracies."""
    values: list[float] = finals.loc[finals["activation"] == activation, "test_accuracy"].tolist()
    return values
