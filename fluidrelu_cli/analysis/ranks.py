"""Several activations over several data sets by their ranks (Demšar 2006, JMLR 7, 1-30).

Mean accuracies of different data sets cannot be averaged, ranks can. Friedman's test asks whether the activations have
the same mean rank, and Nemenyi's critical difference which of them have not. Pairwise signed ranks with Holm's
adjustment (Benavoli et al. 2016, JMLR 17, 1-10) would not depend on which other activations there are, but with N data
sets no such p-value is below 2 / 2**N: of eight activations, 28 pairs, none could be told apart on fewer than 11 data
sets. Nemenyi's test can tell them apart on five, and so there it is; what it depends on is said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from fluidrelu_cli.analysis.verdicts import ALPHA

FEWEST_DATA_SETS = 5
"""On four, the critical difference of eight activations is three quarters of the way from the first rank to the last,
and the chi-square distribution a poor approximation of Friedman's statistic."""

FEWEST_ACTIVATIONS = 3
"""Two are compared by their differences, for which no ranks are needed."""


@dataclass(frozen=True)
class Ranking:
    """Activations by their mean ranks over data sets."""

    table: pd.DataFrame
    """Columns activation and mean_rank: 1 is the most accurate one on every data set. The best first."""
    data_sets: int
    p: float
    """Friedman's, that no activation has another mean rank than the others."""
    critical_difference: float
    """Mean ranks that are further apart are different at 5 %, for all pairs together (Nemenyi)."""

    @property
    def groups(self) -> list[list[str]]:
        """The largest groups of activations that are not told apart, from the best on; none of a single one.

        All are one group where Friedman's test says nothing against it.
        """
        names, ranks = self.table["activation"].tolist(), self.table["mean_rank"].tolist()
        if self.p >= ALPHA:
            return [names]
        ends = [sum(each - first <= self.critical_difference for each in ranks) for first in ranks]
        return [names[i:end] for i, end in enumerate(ends) if end - i > 1 and (i == 0 or end > ends[i - 1])]


def rank_activations(accuracies: pd.DataFrame) -> Ranking | None:
    """Rank activations over data sets; None where there are too few of either.

    Args:
        accuracies: a row for each data set, a column for each activation: its mean accuracy, a NaN nowhere.
    """
    n, k = accuracies.shape
    if n < FEWEST_DATA_SETS or k < FEWEST_ACTIVATIONS:
        return None
    ranks = accuracies.round(12).rank(axis=1, ascending=False)  # equal ones share the mean of their ranks
    means = ranks.mean().sort_values(kind="stable")
    table = pd.DataFrame({"activation": means.index, "mean_rank": means.to_numpy()})
    return Ranking(table, n, friedman_p(ranks.to_numpy()), find_critical_difference(k, n))


def friedman_p(ranks: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    """The p-value of Friedman's test: of the statistic below by the chi-square distribution of k - 1 degrees.

    (k - 1) sum_j (R_j - n (k + 1) / 2)**2 / (sum_ij r_ij**2 - n k (k + 1)**2 / 4), with R_j the sum of the ranks r_ij
    of activation j of k over n data sets (Conover 1999, with ties). 1 where all are equal everywhere.
    """
    n, k = ranks.shape
    between = float(np.sum((ranks.sum(axis=0) - n * (k + 1) / 2) ** 2))
    within = float(np.sum(ranks**2)) - n * k * (k + 1) ** 2 / 4
    return float(special.chdtrc(k - 1, (k - 1) * between / within)) if within > 0 else 1.0


def find_critical_difference(k: int, n: int, alpha: float = ALPHA) -> float:
    """Nemenyi's: q sqrt(k (k + 1) / (6 n)), with q the studentized range of k normal means at alpha over sqrt(2)."""
    from scipy.stats import studentized_range  # which takes longer to import than a report without it

    q = float(studentized_range.ppf(1 - alpha, k, np.inf)) / math.sqrt(2)
    return q * math.sqrt(k * (k + 1) / (6 * n))
