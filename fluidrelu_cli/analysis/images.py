"""Which test images each run has right: what a difference means for other images, and where two activations disagree.

Matrices are seeds × images, with a row per seed and a column per test image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from fluidrelu_cli.analysis.verdicts import CONFIDENCE
from fluidrelu_cli.run import Run

SEEDS, IMAGES = "seeds", "images"


def read_correct(runs: Sequence[Run], activation: str, seeds: Sequence[int]) -> NDArray[np.bool_] | None:
    """Which images an activation has right after the last epoch: a seeds × images matrix, rows in the order of seeds.

    None if there are no seeds, or if one of them lacks a run or its run lacks the bits (run.Run.correct).
    """
    mine = {run.trial.seed: run for run in runs if run.trial.activation == activation}
    rows = []
    for seed in seeds:
        run = mine.get(seed)
        if run is None or run.correct is None:
            return None
        rows.append(np.unpackbits(np.frombuffer(run.correct, np.uint8), count=run.test_images))
    return np.stack(rows).astype(np.bool_) if rows else None


def subtract(right: NDArray[np.bool_], baseline_right: NDArray[np.bool_]) -> NDArray[np.int8]:
    """D, seeds × images: 1 where the activation alone is right, −1 where the baseline alone is, else 0."""
    return right.astype(np.int8) - baseline_right.astype(np.int8)


IMAGE_COLUMNS = (
    *("activation", "baseline", "n", "mean_difference", "seeds_low", "seeds_high", "low", "high", "df"),
    *("seed_sd", "image_sd", "rest_sd", "only_activation", "only_baseline", "churn", "baseline_churn", "mcnemar_p"),
)


def weigh_images(runs: Sequence[Run], pairs: Mapping[str, Sequence[int]], baseline: str) -> pd.DataFrame:
    """What the test images add to what is known of each activation against the baseline: a row each, IMAGE_COLUMNS.

    Of :func:`over_seeds_and_images`: seeds_low, seeds_high (over seeds, on these images), low, high, df (over seeds and
    images), seed_sd, image_sd, rest_sd (the roots of the variances). Of :func:`churn`, as means over seeds:
    only_activation and only_baseline (images that the one alone has right), churn, and baseline_churn, that of each of
    the baseline's runs with its next one. mcnemar_p: :func:`mcnemar`, where there is one pair alone.

    Activations without a pair whose runs all record which images they have right are left out.

    Args:
        runs: of a study.
        pairs: the seeds that each activation has in common with the baseline.
        baseline: the baseline.
    """
    rows = []
    for activation, seeds in pairs.items():
        a, b = (read_correct(runs, name, seeds) for name in (activation, baseline))
        if a is None or b is None:
            continue
        found, disagreeing = over_seeds_and_images(subtract(a, b)), churn(a, b)
        means = disagreeing.mean()
        alone = [int(disagreeing[name].iloc[0]) for name in ("a_right_b_wrong", "a_wrong_b_right")]
        numbers = (
            *(activation, baseline, len(seeds), found.mean, *found.seeds_interval, *found.interval, found.df),
            *(variance**0.5 for variance in (found.seed_variance, found.image_variance, found.rest_variance)),
            *(means["a_right_b_wrong"], means["a_wrong_b_right"], means["churn"], churn(b[1:], b[:-1])["churn"].mean()),
            mcnemar(*alone) if len(seeds) == 1 else math.nan,
        )
        rows.append(dict(zip(IMAGE_COLUMNS, numbers, strict=True)))
    table: pd.DataFrame = pd.DataFrame(rows, columns=list(IMAGE_COLUMNS))
    return table


@dataclass(frozen=True)
class Components:
    """Where a mean difference varies, and how far: see :func:`over_seeds_and_images`.

    Variances are those of one seed's difference on one image, in squares of accuracies. All else but df is in units
    of accuracy.
    """

    mean: float
    """Of all seeds and images: the mean difference of accuracies."""
    seed_variance: float
    """σ²_s, between seeds whatever the image."""
    image_variance: float
    """σ²_i, between images whatever the seed."""
    rest_variance: float
    """σ²_si, what depends on the seed and the image together."""
    negative: tuple[str, ...]
    """Which of SEEDS and IMAGES had a negative estimate of their variance, so that 0 stands for it."""
    seeds_se: float
    """Standard error over seeds, on these test images."""
    seeds_interval: tuple[float, float]
    """95 %, over seeds, on these test images: the same as inference.interval's of the differences by seed."""
    se: float
    """Standard error over seeds and images."""
    df: float
    """Satterthwaite's degrees of freedom of se."""
    interval: tuple[float, float]
    """95 %, over seeds and images."""


def over_seeds_and_images(differences: NDArray[np.int8]) -> Components:
    """How far the mean difference would vary with other seeds and with other test images of the same kind.

    Seeds and images are drawn at random: d_si = μ + s_s + i_i + e_si, with variances σ²_s, σ²_i and σ²_si. The
    two-way analysis of variance without replication has the mean squares

        MS_s  = N Σ_s (d_s. − d..)² / (S − 1),                        expected N σ²_s + σ²_si
        MS_i  = S Σ_i (d_.i − d..)² / (N − 1),                        expected S σ²_i + σ²_si
        MS_si = Σ_si (d_si − d_s. − d_.i + d..)² / ((S − 1) (N − 1)), expected σ²_si

    from which the variances follow (Searle, Casella and McCulloch, "Variance Components", 1992, chapter 4). Then

        Var(d..) = σ²_s / S + σ²_i / N + σ²_si / (S N), estimated by V = (MS_s + MS_i − MS_si) / (S N),
        df = (MS_s + MS_i − MS_si)² / (MS_s² / (S − 1) + MS_i² / (N − 1) + MS_si² / ((S − 1) (N − 1)))

    (Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics Bulletin 2, 1946). The
    interval is d.. ± t(0.975; df) √V. Over seeds alone it is d.. ± t(0.975; S − 1) √(MS_s / (S N)).

    An estimate of σ²_s or of σ²_i below 0 is set to 0. V and df then keep only what is left: MS_s where σ²_i is 0 (so
    both intervals are the same), MS_i where σ²_s is, MS_si where both are. So the standard error over seeds and images
    is never below the one over seeds. All but the mean is NaN with fewer than two seeds or images.

    Args:
        differences: D, S seeds × N images of −1, 0 and 1, as :func:`subtract` gives it.
    """
    s, n = differences.shape
    total = int(differences.sum(dtype=np.int64))
    mean = total / (s * n) if s * n else math.nan
    if min(s, n) < 2:
        nan, nowhere = math.nan, (math.nan, math.nan)
        return Components(mean, nan, nan, nan, (), nan, nowhere, nan, nan, nowhere)

    # Each sum of squares times S N, which is a whole number: what is equal is equal to the last digit.
    by_seed = s * _sum_squares(differences.sum(axis=1, dtype=np.int64)) - total**2
    by_image = n * _sum_squares(differences.sum(axis=0, dtype=np.int64)) - total**2
    rest = s * n * int(np.count_nonzero(differences)) - total**2 - by_seed - by_image
    ms_seed, ms_image = by_seed / (s * n * (s - 1)), by_image / (s * n * (n - 1))
    rest_df = (s - 1) * (n - 1)
    ms_rest = rest / (s * n * rest_df)

    parts = [(ms_seed, s - 1), (ms_image, n - 1)]
    kept = [(square, its_df) for square, its_df in parts if square > ms_rest]
    signed = [*kept, ((1 - len(kept)) * ms_rest, rest_df)]  # their sum is V S N: less MS_si if both are kept
    summed = sum(square for square, _ in signed)
    df = summed**2 / sum(square**2 / its_df for square, its_df in signed) if summed else float(rest_df)
    se, seeds_se = (summed / (s * n)) ** 0.5, (ms_seed / (s * n)) ** 0.5
    return Components(
        mean=mean,
        seed_variance=max(0.0, (ms_seed - ms_rest) / n),
        image_variance=max(0.0, (ms_image - ms_rest) / s),
        rest_variance=ms_rest,
        negative=tuple(name for name, (square, _) in zip((SEEDS, IMAGES), parts, strict=True) if square < ms_rest),
        seeds_se=seeds_se,
        seeds_interval=_student(mean, seeds_se, s - 1),
        se=se,
        df=df,
        interval=_student(mean, se, df),
    )


def _sum_squares(sums: NDArray[np.int64]) -> int:
    return int((sums**2).sum())


def _student(mean: float, se: float, df: float) -> tuple[float, float]:
    half = float(special.stdtrit(df, (1 + CONFIDENCE) / 2)) * se
    return mean - half, mean + half


def churn(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> pd.DataFrame:
    """On how many test images two activations agree and disagree, a row per seed in the matrices' order.

    Columns: a_right_b_wrong, a_wrong_b_right, both_right, both_wrong (numbers of images, of which the sum is N) and
    churn (the share of the images on which one of the two is right and the other wrong). The table's ``mean()`` is the
    mean over seeds. Two runs of one activation disagree as well: ``churn(a[1:], a[:-1])`` shows how much of it comes
    from training again.

    Args:
        a: which images A has right, seeds × images, as :func:`read_correct` gives it.
        b: the same of B, with the same seeds and images.
    """
    table: pd.DataFrame = pd.DataFrame(
        {
            "a_right_b_wrong": (a & ~b).sum(axis=1),
            "a_wrong_b_right": (~a & b).sum(axis=1),
            "both_right": (a & b).sum(axis=1),
            "both_wrong": (~a & ~b).sum(axis=1),
            "churn": (a ^ b).mean(axis=1),
        }
    )
    return table


def mcnemar(a_right_b_wrong: int, a_wrong_b_right: int) -> float:
    """The exact two-sided p-value of one pair of runs: is either right more often where the two disagree?

    With n = b + c images on which they disagree, each is as likely to favour either: p = min(1, 2 P(X <= min(b, c))),
    X binomial (n, 1/2). (McNemar, "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 12, 1947, has the normal approximation.) It is about these two trained networks and
    other images, and says nothing of other seeds. 1 if they never disagree.
    """
    fewer, n = min(a_right_b_wrong, a_wrong_b_right), a_right_b_wrong + a_wrong_b_right
    return min(1.0, 2 * float(special.bdtr(fewer, n, 0.5)))
