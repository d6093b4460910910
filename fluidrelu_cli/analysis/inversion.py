"""Intervals and verdicts that cannot contradict the sign-flip test, because they are made from it.

Differences are of paired test accuracies, activation minus baseline, in whole test images. Margins and limits are in
images, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from fluidrelu_cli.analysis.inference import ALPHA, CONFIDENCE, sign_flip_p, wilson_interval
from fluidrelu_cli.analysis.sequential import BETTER, EQUAL, UNDECIDED, WORSE


def invert_sign_flips(differences: Sequence[int], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The shifts θ, in images, at which the sign-flip test of d_s - θ is not rejected: the lowest and the highest.

    p(θ) is :func:`sign_flip_p` of the d_s - θ, and θ is rejected if p(θ) < 1 - confidence. It is worked out on a grid
    of a tenth of an image, where 10 (d_s - θ) are whole numbers, and each θ of the grid stands for all that are nearest
    to it. The ends are therefore half a step beyond the last θ of the grid that is not rejected. Some θ of the grid,
    such as 0, is outside exactly if it is rejected, and on average rounding makes the interval neither wider nor
    narrower. If the test rejects the whole grid, a grid that is ten times as fine takes its place. With so few pairs
    that no p-value is below 1 - confidence, both ends are infinite.

    The θ that are not rejected have no gaps. Negating the differences of a set S of seeds brings the sum of d_s - θ no
    lower if and only if their mean is at most θ. Below the mean of all differences p(θ) is therefore the share of the
    2**n sets for which mean_S(d) ≤ θ, or which are empty, times two: it rises with θ. Above, it falls likewise. So the
    exact ends are two of the 2**n - 1 means of sets (Hartigan 1969, Using subsample values as typical values), and
    bisection finds them on the grid.

    If the differences are symmetric about θ, this interval holds θ with probability ``confidence`` or more, whatever
    their distribution (Fisher 1935, The design of experiments, §21). Skewed differences have no such centre, and the
    coverage of their mean is not guaranteed. In 2000 simulated studies (benchmarks/simulations.py) of 10, 20 and 60
    pairs, where that leaves an error of 1 %, a 95 % interval covered 95.7, 95.5 and 95.2 % with normal differences,
    99.7, 98.4 and 97.2 % where 60 % were ties, 94.3, 94.7 and 95.5 % at skewness 1, and 91.2, 91.6 and 93.0 % at
    skewness 2. Student's intervals cover less than these by up to a point, and by 2 to 4 with ties.

    Raises:
        ValueError: if confidence is not a number from 0.5 to below 1.
    """
    if not 0.5 <= confidence < 1:
        raise ValueError(f"confidence must be a number from 0.5 to below 1, not {confidence}")
    alpha = 1 - confidence
    if 0.5 ** (len(differences) - 1) >= alpha:
        return -math.inf, math.inf
    steps_per_image, low, high = 1, 1, 0
    while low > high:  # ends: unless all differences are equal, p is at least a half close to their mean
        steps_per_image *= 10
        steps = [steps_per_image * int(difference) for difference in differences]
        low, high = _lowest_kept(steps, alpha), -_lowest_kept([-step for step in steps], alpha)
    return (low - 0.5) / steps_per_image, (high + 0.5) / steps_per_image


def _lowest_kept(values: Sequence[int], alpha: float) -> int:
    """The lowest whole number up to the mean of the values that is not rejected, or else the next above the mean."""
    n, total = len(values), sum(values)
    rejected, kept = min(values) - 1, total // n + 1  # above the mean, none may be kept
    # Near where it would be if the sums of the test were normal: n (mean - θ) = z sqrt(sum of (d_s - θ)**2).
    z_squared = float(special.ndtri(alpha / 2)) ** 2
    around = float(np.std(values)) * math.sqrt(z_squared / max(n - z_squared, 1))
    theta, stride = round(total / n - around), max(1, round(around / 32))
    while kept - rejected > 1:
        if not rejected < theta < kept:
            theta = (rejected + kept) // 2
        shifted = sorted((value - theta for value in values), key=abs)  # small ones first take a third less time
        if sign_flip_p(shifted) < alpha:
            rejected, theta = theta, theta + stride
        else:
            kept, theta = theta, theta - stride
        stride *= 2
    return kept


def smallest_margin(differences: Sequence[int], confidence: float = 2 * CONFIDENCE - 1) -> float:
    """The smallest x, in images, for which :func:`invert_sign_flips`'s interval lies within ±x.

    At 90 % both one-sided sign-flip tests at 5 % say that the difference is smaller than x (two one-sided tests,
    Schuirmann 1987). Infinite if there are too few pairs.
    """
    low, high = invert_sign_flips(differences, confidence)
    return max(-low, high)


def judge_four(differences: Sequence[int], margin: float, alpha: float = ALPHA, p_adjusted: float | None = None) -> str:
    """The verdict on an activation: EQUAL, BETTER, WORSE or UNDECIDED.

    It is "equal" if the interval at 1 - 2 alpha lies within ±margin, whatever the p-value: a difference that is surely
    too small to matter. Else it is "better" or "worse" if the p-value is below alpha, or else "undecided".

    Args:
        differences: in images, pair by pair.
        margin: in images, the difference below which it matters to nobody.
        alpha: the error rate of each verdict, at most a quarter.
        p_adjusted: the p-value, adjusted for the comparisons that are made together; :func:`sign_flip_p` if None.
    """
    if smallest_margin(differences, 1 - 2 * alpha) < margin:
        return EQUAL
    p = sign_flip_p(differences) if p_adjusted is None else p_adjusted
    if p < alpha:
        return BETTER if sum(differences) > 0 else WORSE
    return UNDECIDED


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
