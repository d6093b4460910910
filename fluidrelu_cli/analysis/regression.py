"""Differences from a baseline that has more seeds than the pairs, by regression on all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import special

from fluidrelu_cli.analysis.inference import arrange
from fluidrelu_cli.analysis.verdicts import CONFIDENCE, fewest_pairs

REGRESSION_COLUMNS = ("activation", "baseline", "n", "baseline_n", "slope", "mean_difference", "ci_low", "ci_high")


def regress(finals: pd.DataFrame, baseline: str, order: Sequence[str] = ()) -> pd.DataFrame:
    """:func:`adjust` for each activation whose pairs leave seeds of the baseline over: one row each, as arranged.

    Columns: REGRESSION_COLUMNS. ``n`` is the number of pairs, ``baseline_n`` that of the baseline's seeds. With fewer
    pairs than a sign-flip test needs to reject anything, 6, there is no row: nothing is told apart here that pairs
    alone could not tell. Nor is there one if the baseline's accuracies at the pairs are all the same: no slope.

    Args:
        finals: as inference.final_accuracies gives it.
        baseline: the activation that the others are compared with.
        order: of the rows, as for inference.arrange.
    """
    by_seed = {str(name): rows.set_index("seed")["test_accuracy"] for name, rows in finals.groupby("activation")}
    every = by_seed.pop(baseline, pd.Series(dtype=float))
    rows = []
    for activation in arrange(by_seed, order):
        pairs = pd.concat([by_seed[activation], every], axis="columns", join="inner", keys=["a", "b"])
        if fewest_pairs() <= len(pairs) < len(every) and pairs["b"].nunique() > 1:
            found = adjust(pairs["a"].tolist(), pairs["b"].tolist(), every.tolist())
            rows.append((activation, baseline, len(pairs), len(every), *found))
    table: pd.DataFrame = pd.DataFrame(rows, columns=list(REGRESSION_COLUMNS))
    return table


def adjust(a: Sequence[float], b: Sequence[float], every: Sequence[float]) -> tuple[float, float, float, float]:
    """The slope of a on b, and the mean of a - b, corrected for how lucky the pairs' seeds are, with its 95 % interval.

    The regression estimator of double sampling (Cochran 1977, Sampling techniques, §12.6): with the least-squares slope
    k = S_ab / S_bb of the n pairs, the mean of a is corrected by what the n seeds were luckier at than all N,

        difference = mean(a) + k (mean(every) - mean(b)) - mean(every).

    Given the baseline's accuracies, its variance is that of a regression line at mean(every). They are drawn as well,
    and move it by k - 1 times their mean's error:

        variance = s² (1/n + (mean(every) - mean(b))² / S_bb) + (k - 1)² S² / N

    s² is the residual variance on n - 2 degrees of freedom, S² the variance of all N. The interval is Student's on
    n - 2. At a slope of 1, the difference is the mean of the pairs' differences.

    It assumes that nothing that the runs showed determined which seeds are pairs, and that the mean of a is a line in
    b. The k of the last term is estimated too, which makes the interval rather too wide than too narrow. With two
    normal accuracies and N = 60 it covers 94.8 to 97.4 % for n from 10 to 20 and correlations from .2 to .95, and up to
    98.3 % for n = 6 (2000 simulated studies each, an error of 1 %; benchmarks/simulations.py). At equal spread it is
    shorter than the interval of the pairs' differences by a tenth if they correlate at .2, and a little longer at .95.

    Args:
        a: n accuracies of the activation.
        b: those of the baseline at the same seeds, not all equal.
        every: those of the baseline at all its N seeds, b among them.
    """
    n, x, y = len(a), np.asarray(b, float), np.asarray(a, float)
    centred = x - x.mean()
    s_bb = float(centred @ centred)
    slope = float(centred @ y) / s_bb
    residuals = y - y.mean() - slope * centred
    luck = float(np.mean(every) - x.mean())
    difference = float(y.mean()) + slope * luck - float(np.mean(every))
    at_mean = float(residuals @ residuals) / (n - 2) * (1 / n + luck**2 / s_bb)
    error = math.sqrt(at_mean + (slope - 1) ** 2 * float(np.var(every, ddof=1)) / len(every))
    half = float(special.stdtrit(n - 2, (1 + CONFIDENCE) / 2)) * error
    return slope, difference, difference - half, difference + half
