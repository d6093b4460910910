"""One comparison over many protocols: its mean, how far it varies with the protocol, and with which choice.

A protocol is a cell of a grid. A table of pairs has the columns cell, seed, accuracy (the baseline's) and difference
(the activation's accuracy minus that), one row per pair. Accuracies are fractions in [0, 1], intervals are at 95 %, and
NaN stands where there is none.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special

from fluidrelu_cli.analysis.published import BEST, MEAN, SD, WORST, Published
from fluidrelu_cli.analysis.verdicts import CONFIDENCE, holm

Array = NDArray[np.float64]

FEWEST_CELLS = 5
"""With fewer protocols nothing is said of others: their spread is not known at all."""

FLIPS, EXACT_SIGNS = 10_000, 12
"""How many choices of signs are drawn at random, always the same ones; up to so many signs all choices are tried."""

RESAMPLES = 1_000
"""How many times the seeds of each protocol are resampled for an interval."""

LEVELS = 200
"""Of how many levels a confidence distribution is made."""

UPPER = (1 + CONFIDENCE) / 2

MULTIVERSE_COLUMNS = (
    *("cells", "pairs", "seeds", "mean", "ci_low", "ci_high", "median", "within_sd", "tau", "tau_low", "tau_high"),
    *("predicted_low", "predicted_high", "margin", "share_above", "share_below", "above", "below", "p", "p_median"),
)


def pool_protocols(pairs: pd.DataFrame, margin: float) -> pd.DataFrame:
    """The comparison over all protocols as a table of one row, MULTIVERSE_COLUMNS.

    Of J protocols the j-th has S_j pairs, with differences d_js = μ + u_j + e_js, Var(u) = τ², Var(e_js) = σ_j². μ is
    the mean over all protocols of which these are some, and τ how far the true difference of one is from it. With the
    protocols' means m_j, their mean m and variance V = Σ (m_j - m)² / (J - 1), and v_j = s_j² / S_j, of mean v:

    - ``mean`` is m. Its interval is Hartung and Knapp's (2001, A refined method for the meta-analysis of controlled
      clinical trials with binary outcome), which with equal weights is Student's: m ± t(0.975; J - 1) sqrt(V / J);
    - ``tau`` is the root of V - v, which is unbiased whatever the σ_j² are (Hedges and Olkin 1985, Statistical methods
      for meta-analysis, §9); 0 if that is negative. With equally many pairs it is Paule and Mandel's for the mean of
      the s_j². Its interval has the τ² at which ν V / (τ² + v) is between the 2.5 % and the 97.5 % points of χ²(ν), as
      in a Q-profile (Viechtbauer 2007, Confidence intervals for the amount of heterogeneity in meta-analysis), with
      Satterthwaite's ν = (J - 1) (τ² + v)² / mean((τ² + v_j)²) in place of J - 1, because protocols are not equally
      spread; the v_j² in it are estimated without bias by (S_j - 1) / (S_j + 1) v_j²;
    - ``predicted_*`` is where the true difference in a protocol not tried is to be expected: it is as N(m, τ² + e²)
      with τ² as that interval has it at all levels, in place of a known one (its confidence distribution; Nagashima,
      Noma and Furukawa 2019, Prediction intervals for random-effects meta-analysis), and e so that m ± 1.96 e is the
      mean's interval. ``share_above`` and ``share_below`` are the probabilities that it is above the margin and below
      its negative: the shares of all protocols in which it is; ``above`` and ``below`` count the m_j that are;
    - ``median`` is that of the m_j, ``within_sd`` the root of the mean s_j², ``seeds`` "disjoint" if no two protocols
      have a seed in common, else "shared", and ``p`` and ``p_median`` are :func:`flip_signs`'s.

    Where all protocols have the same seeds, d_js = μ + u_j + b_s + e_js, and what a seed does in all of them is no
    noise of one: v_j is then that of the d_js without the seeds' means, and the mean's standard error and degrees of
    freedom are those of two crossed random effects, as in images.over_seeds_and_images with protocols for images.

    Why do all protocols weigh the same, rather than by 1 / (τ² + v_j)? Six seeds tell an SD to ± 30 % only, and such
    weights favour the protocols whose noise happened to be low, or is. If the noisier protocols have other differences,
    that is no mean over protocols any more. In simulations of 64 protocols with 6 pairs, SDs of 0.001 to 0.004 and
    differences that grow by 0.3 SD, the interval of the weighted mean held μ in 42 to 94 % (τ from 0.0003 to 0.002),
    this one in 95 %, and it is up to 1.5 times as wide. Likewise the usual prediction interval, m ± t(0.975; J - 2)
    sqrt(τ² + V / J), held what it should in 70 to 98 %, least where τ is below the noise of a mean and so often
    estimated as 0; this one in 93 to 99 % (7 protocols with 20 pairs: 83 to 97, and 92 to 99 %).

    Args:
        pairs: of at least 3 protocols, of at least 2 pairs each; all or none have the same seeds.
        margin: a difference below which it matters to nobody.
    """
    by_cell = pairs.groupby("cell", sort=False)["difference"]
    means, sizes, variances = (getattr(by_cell, name)().to_numpy(float) for name in ("mean", "size", "var"))
    n, mean, between = len(means), float(means.mean()), float(means.var(ddof=1))
    shared = bool(pairs["seed"].duplicated().any())
    noises, error, error_df = variances / sizes, (between / n) ** 0.5, float(n - 1)
    if shared:
        noises, error, error_df = _cross(pairs.pivot(index="cell", columns="seed", values="difference").to_numpy())
    noise = float(noises.mean())
    tau_2, half = max(between - noise, 0.0), float(special.stdtrit(error_df, UPPER)) * error
    squares = tau_2**2 + 2 * tau_2 * noise + float((noises**2 * (sizes - 1) / (sizes + 1)).mean())
    df = (n - 1) * min(max((tau_2 + noise) ** 2 / squares, 1 / (n - 1)), 1.0) if squares else float(n - 1)

    def find_tau_2(level: Any) -> Array:
        """τ² at levels of its confidence distribution."""
        return np.asarray(np.maximum(df * between / special.chdtri(df, level) - noise, 0))

    spreads = (find_tau_2((np.arange(LEVELS) + 0.5) / LEVELS) + (half / special.ndtri(UPPER)) ** 2) ** 0.5
    reach = _find_reach(spreads)
    with np.errstate(divide="ignore", invalid="ignore"):
        above, below = (float(special.ndtr((side * mean - margin) / spreads).mean()) for side in (1, -1))
    tau_low, tau_high = (find_tau_2(np.array([1 - UPPER, UPPER])) ** 0.5).tolist()
    row = (
        *(n, len(pairs), "shared" if shared else "disjoint", mean, mean - half, mean + half),
        *(float(np.median(means)), float(variances.mean()) ** 0.5, tau_2**0.5, tau_low, tau_high),
        *(mean - reach, mean + reach, margin, above, below),
        *(int((means > margin).sum()), int((means < -margin).sum()), *flip_signs(pairs)),
    )
    table: pd.DataFrame = pd.DataFrame([row], columns=list(MULTIVERSE_COLUMNS))
    return table


def _cross(differences: Array) -> tuple[Array, float, float]:
    """Of protocols × the same seeds: the noise of each protocol's mean, and the error of all with its df."""
    n, seeds = differences.shape
    by_cell, by_seed = differences.mean(axis=1, keepdims=True), differences.mean(axis=0, keepdims=True)
    noises = ((differences - by_cell - by_seed + differences.mean()) ** 2).sum(axis=1) * n / ((n - 1) * (seeds - 1))
    rest, rest_df = float(noises.mean()), (n - 1) * (seeds - 1)
    parts = [(seeds * float(by_cell.var(ddof=1)), n - 1), (n * float(by_seed.var(ddof=1)), seeds - 1)]
    kept = [(square, df) for square, df in parts if square > rest]
    signed = [*kept, ((1 - len(kept)) * rest, rest_df)]
    summed = sum(square for square, _ in signed)
    df = summed**2 / sum(square**2 / its for square, its in signed) if summed else float(rest_df)
    return noises / seeds, (summed / (n * seeds)) ** 0.5, df


def keep_common(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs whose seeds all protocols have, where any seed is in two of them; else all."""
    counts = pairs.groupby("seed")["cell"].transform("size")
    return pairs[counts == pairs["cell"].nunique()] if (counts > 1).any() else pairs


def _find_reach(spreads: Array) -> float:
    """The distance that a number from equal shares of normal distributions about 0 exceeds with probability 5 %."""
    most = float(special.ndtri(UPPER) * spreads.max())
    if most == 0:
        return 0.0

    def lack(reach: float) -> float:
        return float((2 * special.ndtr(reach / spreads) - 1).mean()) - CONFIDENCE

    return float(optimize.brentq(lack, 0, most * (1 + 1e-9), xtol=1e-12 * most))


def flip_signs(pairs: pd.DataFrame) -> tuple[float, float]:
    """Two-sided p-values of the specification curve: of the mean, and of the median, of the protocols' means.

    If in no protocol it mattered which of the two activations is trained, each difference would be as likely to have
    either sign. So the signs are flipped at random, as often as FLIPS says, and p is the share of flips, the observed
    signs among them, at which the statistic is at least as far from 0 as the one observed. A seed has one sign in all
    protocols: where these have seeds in common, their differences may go together. Where none is shared, every pair is
    flipped by itself. With at most EXACT_SIGNS seeds all choices of signs are tried.

    The observed signs are as likely as any others, so that p is at most 5 % in 5 % of studies at most, however many
    flips are drawn (Phipson and Smyth 2010, Permutation p-values should never be zero). Source: U. Simonsohn, J. P.
    Simmons and L. D. Nelson 2020, Specification curve analysis, Nature Human Behaviour 4.
    """
    cells, seeds = (pd.factorize(pairs[name])[0] for name in ("cell", "seed"))
    n = seeds.max() + 1
    parts = np.zeros((n, cells.max() + 1))  # of each cell's mean, by seed
    np.add.at(parts, (seeds, cells), pairs["difference"].to_numpy() / np.bincount(cells)[cells])
    if n > EXACT_SIGNS:
        signs = np.random.default_rng(0).choice((-1.0, 1.0), (FLIPS + 1, n))
        signs[0] = 1
    else:
        signs = np.array([(1.0, *others) for others in itertools.product((1.0, -1.0), repeat=n - 1)])
    flipped = signs @ parts
    mean, median = (abs(of(flipped, axis=1)) for of in (np.mean, np.median))
    return tuple(float((each >= each[0] - 1e-12).mean()) for each in (mean, median))  # type: ignore[return-value]


CHOICE_COLUMNS = ("field", "level", "cells", "mean", "effect", "ci_low", "ci_high", "df", "field_p", "field_p_holm")


def weigh_choices(means: Mapping[str, float], choices: Mapping[str, Mapping[str, Hashable]]) -> pd.DataFrame:
    """How far each choice moves the difference: a row per level of each field that has several, CHOICE_COLUMNS.

    The means are fitted by least squares, one term for each level of each field and none for two of them together. The
    effect of a level is how much higher the fit is with it than with the field's levels in the shares in which they
    occur, all else being equal. Where every two fields have their levels equally often together, that is the mean of
    the ``cells`` with the level, ``mean``, minus the mean of all. Intervals are Student's, with the ``df`` that are
    left. ``field_p`` is the p-value of the F test that no level of the field has an effect, ``field_p_holm`` adjusts it
    for the number of fields. Empty where the fit leaves no degree of freedom, or cannot tell the choices apart.

    Args:
        means: the mean difference of each protocol.
        choices: by protocol, its level of each field; every one has the same fields.
    """
    y = np.array(list(means.values()))
    first = next(iter(choices.values()), {})
    columns = {field: [choices[cell][field] for cell in means] for field in first}
    shares = {
        field: np.array([[value == level for level in list_levels(values)] for value in values], float)
        for field, values in columns.items()
        if len(set(values)) > 1
    }
    terms = {field: dummies[:, 1:] for field, dummies in shares.items()}
    design = np.hstack([np.ones((len(y), 1)), *terms.values()])
    df = len(y) - design.shape[1]
    if not shares or df < 1 or np.linalg.matrix_rank(design) < design.shape[1]:
        nothing: pd.DataFrame = pd.DataFrame(columns=list(CHOICE_COLUMNS))
        return nothing
    unscaled = np.linalg.inv(design.T @ design)
    fit, variance = unscaled @ design.T @ y, _squares_left(design, y) / df
    rows, p_values, start = [], {}, 1
    for field, dummies in shares.items():
        end = start + dummies.shape[1] - 1
        without = np.delete(design, np.s_[start:end], axis=1)
        explained = max(_squares_left(without, y) - variance * df, 0.0) / (end - start)
        with np.errstate(divide="ignore", invalid="ignore"):
            p_values[field] = float(special.fdtrc(end - start, df, np.float64(explained) / variance))
        for index, level in enumerate(list_levels(columns[field])):
            contrast = np.zeros(design.shape[1])
            contrast[start:end] = np.eye(dummies.shape[1])[index, 1:] - dummies.mean(axis=0)[1:]
            effect = float(contrast @ fit)
            half = float(special.stdtrit(df, UPPER) * (variance * contrast @ unscaled @ contrast) ** 0.5)
            mine = dummies[:, index] > 0
            rows.append((field, level, mine.sum(), y[mine].mean(), effect, effect - half, effect + half, df))
        start = end
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    table: pd.DataFrame = pd.DataFrame(
        [(*row, p_values[row[0]], adjusted[row[0]]) for row in rows], columns=list(CHOICE_COLUMNS)
    )
    return table


def list_levels(values: Iterable[Hashable]) -> list[Hashable]:
    """Each value once: numbers in their order, others as they come."""
    levels = list(dict.fromkeys(values))
    return sorted(levels, key=lambda level: level if isinstance(level, (int, float)) else 0)


def _squares_left(design: Array, y: Array) -> float:
    """What least squares leave."""
    return float(((y - design @ np.linalg.lstsq(design, y)[0]) ** 2).sum())


WEIGHT_COLUMNS = ("cell", "n", "mean", "sd", "moderated_sd", "difference", "log_likelihood", "weight")
WEIGHTED_COLUMNS = ("activation", "runs", "cells", "effective", "mean", "ci_low", "ci_high")


def weigh_protocols(pairs: pd.DataFrame, published: Published, baseline: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How likely each protocol makes the baseline's published numbers, and the mean difference by these weights.

    The first table has WEIGHT_COLUMNS: of the baseline in each protocol the mean and the SD, that SD moderated
    (:func:`moderate`), the logarithm of :func:`published_likelihood`'s density, and the weight, in proportion to that
    density; they sum to 1. The activation's accuracies have no part in it: what it did there cannot make a protocol
    count more. The second has one row, WEIGHTED_COLUMNS: the mean difference Σ w_j m_j, with a percentile interval over
    resamples of the seeds within each protocol, each with the weights that it would give, and ``effective``, 1 / Σ
    w_j², as how many equally likely protocols these are. The interval does not cover that other protocols might have
    been tried. Both are empty where nothing is published of the baseline, or no SD is known.
    """
    groups = [group for _, group in pairs.groupby("cell", sort=False) if len(group) > 1]
    sds = np.array([_find_sd(group["accuracy"].to_numpy()) for group in groups])
    empty = pd.DataFrame(columns=list(WEIGHT_COLUMNS)), pd.DataFrame(columns=list(WEIGHTED_COLUMNS))
    if baseline not in published.activations or not (sds > 0).any():
        return empty
    prior, typical = moderate(sds, np.array([len(group) - 1 for group in groups]))

    def weigh(pick: Callable[[int], NDArray[np.int64]]) -> tuple[Array, ...]:
        """Of each protocol the mean, SD, moderated SD, difference and log-likelihood of the seeds that are picked."""
        found = []
        for group in groups:
            n = len(group)
            accuracy, difference = (group[name].to_numpy()[pick(n)] for name in ("accuracy", "difference"))
            mean, sd = accuracy.mean(axis=-1), _find_sd(accuracy)
            moderated = _shrink(sd, n - 1, prior, typical)
            log = published_likelihood(published, baseline, mean, moderated)
            found.append((mean, sd, moderated, difference.mean(axis=-1), log))
        return tuple(np.array(column) for column in zip(*found, strict=True))

    mean, sd, moderated, difference, log = weigh(np.arange)
    weights = _normalise(log)
    cells = [group["cell"].iloc[0] for group in groups]
    columns = (cells, [len(group) for group in groups], mean, sd, moderated, difference, log, weights)
    table = pd.DataFrame(dict(zip(WEIGHT_COLUMNS, columns, strict=True)))
    random, shared = np.random.default_rng(0), pairs["seed"].duplicated().any()

    def resample(n: int) -> NDArray[np.int64]:
        """Places of the same seeds in every protocol, if all have the same."""
        return (np.random.default_rng(0) if shared else random).integers(n, size=(RESAMPLES, n))

    *_, differences, logs = weigh(resample)
    low, high = np.quantile((_normalise(logs) * differences).sum(axis=0), (1 - UPPER, UPPER)).tolist()
    row = (baseline, published.runs[baseline], len(cells), 1 / (weights**2).sum(), weights @ difference, low, high)
    return table, pd.DataFrame([row], columns=list(WEIGHTED_COLUMNS))


def _find_sd(values: Array) -> Array:
    """The sample SD along the last axis: exactly 0 if they are equal."""
    return np.asarray(values.std(axis=-1, ddof=1) * (np.ptp(values, axis=-1) > 0))


def _normalise(logs: Array) -> Array:
    """Weights from the logarithms of what they are in proportion to, along the first axis."""
    weights: Array = np.exp(logs - logs.max(axis=0))
    weights /= weights.sum(axis=0)
    return weights


def published_likelihood(published: Published, activation: str, mean: Array, sd: Array) -> Array:
    """The logarithm of the density of an activation's published numbers, if accuracies are normal with these moments.

    Of k runs, with φ and Φ those of the standard normal distribution, z = (x - mean) / sd, and the published numbers x:

    - mean: φ(z √k) √k / sd; SD s: that of the root of sd² χ²(k - 1) / (k - 1) at s. They are independent;
    - else best b and worst w: k (k - 1) φ(z_b) φ(z_w) (Φ(z_b) - Φ(z_w))^(k - 2) / sd², their joint density;
    - else the one of them: k φ(z_b) Φ(z_b)^(k - 1) / sd, or k φ(z_w) (1 - Φ(z_w))^(k - 1) / sd.
    """
    k = published.runs[activation]
    z = {row: (numbers[activation] - mean) / sd for row, numbers in published.rows.items() if row != SD}
    ends = [name for name in (BEST, WORST) if name in z]
    log = np.zeros_like(mean)
    if published.sd:
        freedom, s = k - 1, published.sd[activation]
        square = freedom * (s / sd) ** 2
        log = freedom / 2 * np.log(square / 2) - square / 2 - special.gammaln(freedom / 2) + math.log(2 / s)
    if MEAN in z:
        log = log + _log_density(z[MEAN] * k**0.5) + 0.5 * math.log(k) - np.log(sd)
    if MEAN not in z and not published.sd:
        log = sum((_log_density(z[name]) for name in ends), log) - len(ends) * np.log(sd)
        log = log + math.log(math.perm(k, len(ends))) + (k - len(ends)) * _log_between(z.get(WORST), z.get(BEST))
    return log


def _log_density(z: Array) -> Array:
    return -(z**2) / 2 - math.log(2 * math.pi) / 2


def _log_between(low: Array | None, high: Array | None) -> Array:
    """The logarithm of the probability that a standard normal number is between these, of which one may be missing."""
    if low is None or high is None:
        return np.asarray(special.log_ndtr(-low if low is not None else high if high is not None else np.inf))
    upper = low + high > 0  # there the tail below has all the digits
    near, far = np.where(upper, -low, high), np.where(upper, -high, low)
    return np.asarray(special.log_ndtr(near) + np.log1p(-np.exp(special.log_ndtr(far) - special.log_ndtr(near))))


def moderate(sds: Array, df: Array) -> tuple[float, float]:
    """How many degrees of freedom d0 the typical variance s0² of several protocols is worth, and s0.

    An SD of six seeds is off by 30 %, and a weight depends much on it. But the protocols are not equally spread either,
    and a published range tells of that. So each variance is moved towards the typical one as far as they differ no
    more than chance explains: to (d0 s0² + d s²) / (d0 + d). d0 and s0 are those under which the logarithms of the s²
    have the mean and the variance that they have, if the true variances are s0² d0 / χ²(d0) (Smyth 2004, Linear models
    and empirical Bayes methods for assessing differential expression in microarray experiments, §6.2). Where they vary
    no more than by chance, d0 is infinite, and the mean of the s² stands for all.

    Args:
        sds: sample SDs; those that are 0 do not count.
        df: their degrees of freedom d.
    """
    known = sds > 0
    logs = 2 * np.log(sds[known]) - special.digamma(df[known] / 2) + np.log(df[known] / 2)
    beyond = float((logs.var(ddof=1) if len(logs) > 1 else 0.0) - special.polygamma(1, df[known] / 2).mean())
    if beyond <= 0:
        return math.inf, float((sds[known] ** 2).mean()) ** 0.5
    half = optimize.brentq(lambda half: float(special.polygamma(1, half)) - beyond, 1e-3, 1 / beyond + 1)
    return 2 * half, math.exp((float(logs.mean()) + float(special.digamma(half)) - math.log(half)) / 2)


def _shrink(sd: Array, df: int, prior: float, typical: float) -> Array:
    share = 1.0 if math.isinf(prior) else prior / (prior + df)
    return np.asarray((share * typical**2 + (1 - share) * sd**2) ** 0.5)


STOP_COLUMNS = ("cell", "epoch", "n", "mean", "distance")


def choose_stops(runs: Mapping[str, pd.DataFrame], baseline: str, level: float) -> pd.DataFrame:
    """After how many epochs each protocol's baseline is nearest to a published level: STOP_COLUMNS, one row each.

    ``epoch`` is that of the row, of those that all n of its runs have, at which the mean of the baseline's accuracies
    is least far (``distance``) from the level; of equally near ones the first. No other activation is looked at: a stop
    that is chosen by the difference would favour one of the two. ``runs[runs["epoch"] <= epoch]`` is then the table of
    runs that ended there. That holds where the learning rate is constant.

    Args:
        runs: by protocol, run.RUN_COLUMNS.
        baseline: the activation by which the stop is chosen.
        level: an accuracy.
    """
    rows: list[tuple[Any, ...]] = []
    for cell, table in runs.items():
        by_epoch = table[table["activation"] == baseline].groupby("epoch")["test_accuracy"].agg(["size", "mean"])
        whole = by_epoch[by_epoch["size"] == by_epoch["size"].max()]
        if not whole.empty:
            distances = (whole["mean"] - level).abs().round(12)
            epoch = distances.idxmin()
            rows.append((cell, epoch, *whole.loc[epoch], distances[epoch]))
    stops: pd.DataFrame = pd.DataFrame(rows, columns=list(STOP_COLUMNS)).astype({"n": int})
    return stops
