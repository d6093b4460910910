"""How often one activation is above another: shares of pairs, and their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from fluidrelu_cli.analysis.verdicts import CONFIDENCE


def wilson_interval(successes: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share p = successes / n; NaN if n = 0.

    (p + z**2 / 2n ± z sqrt(p (1 - p) / n + z**2 / 4n**2)) / (1 + z**2 / n), z the normal distribution's 0.975 point.
    """
    if n == 0:
        return math.nan, math.nan
    p, z = successes / n, float(special.ndtri((1 + CONFIDENCE) / 2))
    centre, half = p + z**2 / (2 * n), z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    low, high = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
    return (low if successes else 0.0), (high if successes < n else 1.0)  # at the ends exactly, whatever is rounded


def win_share(differences: Sequence[int]) -> tuple[float, float, float]:
    """P(above) + P(equal) / 2 of a pair, estimated as (wins + ties / 2) / n, and its 95 % interval; NaN if n = 0.

    With no difference it is a half, however many ties there are. The interval is Wilson's of this share. A pair counts
    1, 1/2 or 0, and numbers between 0 and 1 with mean P have a variance of at most P (1 - P), which is what Wilson's
    interval takes it to be. So ties can only make the interval wider than it need be. With no difference all of it lies
    below a half in at most 1.9 % of studies of 6 to 200 pairs if 20 % are ties, and in 0.4 % if 50 % are. Without ties
    the steps of the binomial distribution bring what should be 2.5 % up to 3.9 % (21 pairs), as they do for any share.

    The narrower interval, from the variance P (1 - P) - ties / 4n, errs in up to 3.2 % of studies (6 pairs, 20 % ties):
    4 losses and no win lie 2 standard errors from a half, but have a probability of 1 / 16.
    """
    n = len(differences)
    above = (n + float(np.sign(differences).sum())) / 2
    return (above / n if n else math.nan, *wilson_interval(above, n))


def independent_share(a: Sequence[float], b: Sequence[float]) -> float:
    """P(A > B) + P(A = B) / 2 of two runs with different seeds: Mann and Whitney's U / (n m); NaN if n m = 0.

    Args:
        a: n results of the activation, in accuracies or in images.
        b: m results of the baseline, in the same unit.
    """
    if not len(a) or not len(b):
        return math.nan
    return float((np.sign(np.subtract.outer(a, b)).mean() + 1) / 2)
