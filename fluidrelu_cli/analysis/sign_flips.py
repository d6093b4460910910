"""The sign-flip test of paired differences, and intervals that cannot contradict it, because they are made from it.

Differences are of paired test accuracies, activation minus baseline, in whole test images. Margins and limits are in
images, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fluidrelu_cli.analysis.verdicts import CONFIDENCE


def sign_flip_p(differences: Sequence[int]) -> float:
    """The exact two-sided p-value of paired differences, when each is as likely to have either sign.

    The share of the 2**n ways to choose the signs in which the sum is at least as far from 0 as the one observed. With
    whole numbers (test images) all ways with one sum are one, and the distribution of the sum is worked out difference
    by difference (the shift algorithm; Streitberg and Röhmel 1986): exact for every n, where drawing signs at random
    would not be. The smallest p that n pairs can give is 2 / 2**n.
    """
    probability = _distribute(differences)
    reach = len(probability) // 2
    far = np.abs(np.arange(-reach, reach + 1)) >= abs(sum(differences))
    return float(probability[far].sum())


def _distribute(differences: Sequence[int]) -> NDArray[np.float64]:
    """The probabilities of the sums -reach, ..., reach of differences with random signs, the sum of their sizes."""
    ways, reach = np.zeros(sum(map(abs, differences)) + 1), 0  # by the sum of those that keep their sign: 0, ..., reach
    ways[0] = 1
    for step in map(abs, differences):
        half = ways[: reach + 1] / 2
        ways[: reach + 1] = half
        ways[step : step + reach + 1] += half
        reach += step
    probability = np.zeros(2 * reach + 1)  # every second sum is impossible
    probability[::2] = ways
    return probability


def equality_p(differences: Sequence[int], margin: float) -> float:
    """The p-value of the difference being as large as the margin, or larger: that of two one-sided tests.

    The larger of the p-values of d_s + margin not being above 0, and of d_s - margin not being below it: P(S >= s) for
    the sum s that is observed and the sum S with random signs (Schuirmann 1987, A comparison of the two one-sided tests
    procedure and the power approach). Like :func:`invert_sign_flips` it counts tenths of images, of which the margin is
    rounded down: it is below alpha exactly where the interval at 1 - 2 alpha lies within ±margin.

    Args:
        differences: in images, pair by pair; at least one.
        margin: in images, above 0.
    """
    tenths = math.floor(10 * margin + 1e-6)
    return max(_exceed_p([10 * sign * each + tenths for each in differences]) for sign in (1, -1))


def _exceed_p(differences: Sequence[int]) -> float:
    """The probability of a sum as high as the one observed, with random signs."""
    probability = _distribute(differences)
    return float(probability[len(probability) // 2 + sum(differences) :].sum())


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


def find_limits(differences: Sequence[int], test_images: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """:func:`invert_sign_flips` as differences of accuracies on so many images; NaN where there are no ends."""
    ends = invert_sign_flips(differences, confidence)
    low, high = (end / test_images if math.isfinite(end) else math.nan for end in ends)
    return low, high


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
