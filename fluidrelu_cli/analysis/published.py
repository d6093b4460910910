"""What a paper published, ours beside it, how such a table falls out, and whether it could be k more runs of ours.

Best and worst of n grow apart with n, so our n runs meet the paper's k through all sets of k of them.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from fluidrelu_cli.analysis.verdicts import holm
from fluidrelu_cli.protocol import Protocol, split_model

Array = NDArray[np.float64]

BEST, WORST, MEAN, SD = "best", "worst", "mean", "sd"
ROWS = (BEST, WORST, MEAN, SD)
"""What a table may print of the runs of an activation."""

MIDRANGE, RANGE = "midrange", "range"
"""What follows from the best and the worst: the middle between them, and the distance."""

LEVEL, SPREAD, LEAD = "level", "spread", "lead"


@dataclass(frozen=True)
class Published:
    """A published table: what it prints of the test accuracies of a few runs of each activation.

    Of best, worst, mean and sample SD those that it prints are given for the same activations, and the others empty.
    """

    source: str
    protocol: Protocol
    """The protocol that stands for the source's."""
    runs: Mapping[str, int]
    """How many runs are behind it, by activation; at least 2 each."""
    best: Mapping[str, float] = field(default_factory=dict)
    """By activation, in the order of its table, as are the others."""
    worst: Mapping[str, float] = field(default_factory=dict)
    mean: Mapping[str, float] = field(default_factory=dict)
    sd: Mapping[str, float] = field(default_factory=dict)

    @property
    def activations(self) -> tuple[str, ...]:
        return tuple(next(iter(self.rows.values()), ()))

    @property
    def rows(self) -> dict[str, Mapping[str, float]]:
        """Its rows by name."""
        return {row: getattr(self, row) for row in ROWS if getattr(self, row)}

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Worst and best by activation; empty if one of them is not printed."""
        return {name: (self.worst[name], best) for name, best in self.best.items() if self.worst}

    def level(self, activation: str) -> tuple[str, float] | None:
        """How good its runs are, and the name of that statistic: the mean if it is printed, else what there is."""
        known = {row: numbers[activation] for row, numbers in self.rows.items() if row != SD}
        if activation in self.ranges:
            known[MIDRANGE] = sum(self.ranges[activation]) / 2
        return next(((name, known[name]) for name in (MEAN, MIDRANGE, BEST, WORST) if name in known), None)

    def spread(self, activation: str) -> tuple[str, float] | None:
        """How far apart its runs are: the SD if it is printed, else best minus worst, if both are."""
        if self.sd:
            return SD, self.sd[activation]
        return (RANGE, self.best[activation] - self.worst[activation]) if self.ranges else None

    def is_of(self, protocol: Protocol) -> bool:
        """Whether a study's numbers may stand beside these at all: it has the same data set and network.

        A network's options are choices like the batch size: a text leaves them open, and a study may try them.
        """
        (network, _), (mine, _) = split_model(protocol.model), split_model(self.protocol.model)
        return (protocol.dataset, network) == (self.protocol.dataset, mine)


PAPER = Published(
    source="Table 2",
    protocol=Protocol(),
    runs={"relu": 3, "fluid": 3},
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
    a: Sequence[float], b: Sequence[float], k: int, k_b: int, best_by: float = TINY, worst_by: float = TINY
) -> float:
    """How often a table of k runs of A and k_b of B ranks A above B in both rows, by at least so much.

    P(best of A >= best of B + best_by and worst of A >= worst of B + worst_by); left out, any lead will do.
    Exact over all pairs of a set of k of A's runs and one of k_b of B's; NaN if either has fewer. Of B's sets,
    C(j - i - 1, k_b - 2) have the worst x_(i) and the best x_(j); of A's, C(g_i, k) - C(h_ij, k) have their worst above
    the one and their best above the other, with g_i of A's runs above x_(i), and h_ij of these not above x_(j) (both by
    that much).
    """
    if len(a) < k or len(b) < k_b:
        return math.nan
    # How many of A's runs are above each of B's, ascending; half a TINY, because sums of floats are not exact.
    above_worst, above_best = (
        len(a) - np.searchsorted(np.sort(a), np.sort(b) + by - TINY / 2) for by in (worst_by, best_by)
    )
    ranked = 0.0
    for i in range(len(b) - k_b + 1):  # row by row: of thousands of runs all pairs (i, j) at once would be gigabytes
        j = np.arange(i + k_b - 1, len(b))
        between = np.maximum(0, above_worst[i] - above_best[j])
        ranked += float((_sets(j - i - 1, k_b - 2) * (_sets(above_worst[i], k) - _sets(between, k))).sum())
    return ranked / (math.comb(len(a), k) * math.comb(len(b), k_b))


def _sets(n: Any, k: int) -> Any:
    """C(n, k) of whole numbers n; as floats, because of thousands of runs there are too many for whole numbers."""
    product = np.ones(np.shape(n))
    for step in range(k):
        product = product * (n - step)
    return product / math.factorial(k)


def table2(published: Published, finals_by_source: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The published table with ours beside it: columns row, activation, source, accuracy, n.

    The published number is the best (worst) of its k runs; ours the mean of the best (worst) over all sets of k of the
    n, which for n = k is the same; NaN if n < k. Of the mean and the sample SD ours are those of the n runs: the mean
    of all sets' means, and the root of their mean squared SD. NaN if there are none.

    Args:
        published: the table.
        finals_by_source: tables as inference.final_accuracies gives them, by the name of their source.
    """
    rows = []
    for row, numbers in published.rows.items():
        for activation, number in numbers.items():
            k = published.runs[activation]
            rows.append((row, activation, "published", number, k))
            for source, finals in finals_by_source.items():
                values = accuracies_of(finals, activation)
                rows.append((row, activation, source, _expect(row, values, k), len(values)))
    table: pd.DataFrame = pd.DataFrame(rows, columns=["row", "activation", "source", "accuracy", "n"])
    return table


def _expect(row: str, values: Sequence[float], k: int) -> float:
    """What a row would say of k of these runs."""
    if row == BEST:
        return expected_best_of(values, k)
    if row == WORST:
        return expected_worst_of(values, k)
    if len(values) <= (row == SD):
        return math.nan
    return float(np.mean(values) if row == MEAN else np.std(values, ddof=1))


def chance(k: int, other: int) -> float:
    """How often, of k runs in one set and others of the same function in another, the first set has both the higher
    best and the higher worst: where it holds the largest but not the smallest of all (none being equal).
    """
    return k * other / ((k + other) * (k + other - 1))


def rankings(published: Published, finals: pd.DataFrame) -> pd.DataFrame:
    """How often a table of k runs each would rank A above B in both rows: columns a, b, probability, chance.

    For each two activations of which best and worst are published, either way round, the later one above first.
    ``chance`` is :func:`chance`: what it would be of two functions between which there is no difference. Without the
    activations that have just k runs, one set, or fewer.
    """
    values = {activation: accuracies_of(finals, activation) for activation in reversed(published.ranges)}
    enough = [activation for activation, found in values.items() if len(found) > published.runs[activation]]
    rows = []
    for a, b in itertools.permutations(enough, 2):
        runs = published.runs[a], published.runs[b]
        rows.append((a, b, both_rows_above(values[a], values[b], *runs), chance(*runs)))
    table: pd.DataFrame = pd.DataFrame(rows, columns=["a", "b", "probability", "chance"])
    return table


FEWEST = 4
"""With fewer runs of an activation nothing is predicted of more: their SD says too little of it."""

DRAWS = 100_000
"""How many times k more runs are drawn: a p-value of 5 % has a standard error of 0.1 %."""

RESAMPLES, DRAWS_EACH = 1_000, 10_000
"""How many times our seeds are resampled, and k more runs then drawn, for the interval of a p-value."""

PREDICTIVE_COLUMNS = (
    *("about", "statistic", "activation", "baseline", "runs", "n", "published"),
    *("low", "median", "high", "p", "p_low", "p_high"),
)


def predict(published: Published, finals: pd.DataFrame, baseline: str, *, resamples: int = RESAMPLES) -> pd.DataFrame:
    """Whether the published numbers could be those of k more runs like our n: one row each, PREDICTIVE_COLUMNS.

    ``about`` is the level or the spread of an activation, or its lead, the difference of its level from the baseline's
    (the other rows have none). ``statistic`` is how the table measures that (Published.level, Published.spread);
    ``runs`` and ``n`` are k and n.
    ``low``, ``median`` and ``high`` are the 2.5 %, 50 % and 97.5 % points of what k more runs would give, and ``p`` is
    two-sided: twice the probability of the published number or one further out, on the side where it is.

    That is predicted as for accuracies from a normal distribution of which our runs alone tell the mean and the SD:
    with k standard normal numbers Z, a level T(Z) and an SD of ours as they vary around the true ones,
    (T - mean) / s is distributed as (T(Z) - Z' / sqrt(n)) / sqrt(chi2(n - 1) / (n - 1)), whatever the true ones are (of
    a spread: T / s, without Z'). Of a mean this is Student's t with two samples of which one has no SD, of an SD the F
    test, of a range the studentized range. A lead is predicted from independent draws of either activation, because the
    published runs of two activations need not have had a seed in common as ours have.

    Why not the share of all sets of k of our n runs? That takes our runs for all there are: a number outside all sets
    would have p = 0, which no number of runs can show. Of simulated tables of three runs from the same normal
    distribution it puts 18 % of the levels below p = 5 % with n = 10, and 7 % with n = 60; this prediction 5 % of the
    levels and ranges with any n, and 2 to 5 % of the leads, the fewer the smaller n. It needs the distribution to be
    about normal. If that is as skewed as the committed MNIST runs (-0.9), 6 % of the levels and 6 to 7 % of the ranges
    are below 5 %, at a skewness of -2 as many as 7 to 10 % and 14 % (n from 6 to 60, 4,000 tables each).

    ``p_low`` and ``p_high`` hold 95 % of the p-values of so many resamples of our seeds (percentile bootstrap, drawn
    the same way each time): how far p depends on which seeds we trained. Activations with equally many seeds are
    resampled together. Without resamples they are NaN.

    Activations with fewer than FEWEST runs, or with equal ones only, are left out.
    """
    values = {name: np.array(accuracies_of(finals, name)) for name in published.activations}
    ours = {name: (mine, published.runs[name]) for name, mine in values.items() if len(mine) >= FEWEST and np.ptp(mine)}
    rows = []
    for name, mine in ours.items():
        for about, found in ((LEVEL, published.level(name)), (SPREAD, published.spread(name))):
            if found is not None:
                rows.append(
                    {"about": about, "activation": name, "baseline": "", **_weigh(about, *found, [mine], resamples)}
                )
    for name in [name for name in ours if name != baseline and baseline in ours]:
        level, other = published.level(name), published.level(baseline)
        if level is not None and other is not None:
            weighed = _weigh(LEAD, level[0], level[1] - other[1], [ours[name], ours[baseline]], resamples)
            rows.append({"about": LEAD, "activation": name, "baseline": baseline, **weighed})
    table: pd.DataFrame = pd.DataFrame(rows, columns=list(PREDICTIVE_COLUMNS))
    return table


def _weigh(
    about: str, statistic: str, number: float, arms: Sequence[tuple[Array, int]], resamples: int
) -> dict[str, Any]:
    """The numbers of a row of :func:`predict`: of one activation, or of the first one's level minus the second's.

    Args:
        about: LEVEL, SPREAD or LEAD.
        statistic: how it is measured.
        number: what is published of it.
        arms: of each activation our runs, and how many were published.
        resamples: of our seeds.
    """
    scores = [draw_scores(statistic, k, len(mine), stream) for stream, (mine, k) in enumerate(arms)]

    def draw(ours: Iterable[Array], draws: int) -> Array:
        """What k more runs would give, if these are ours."""
        found = (
            mine.std(ddof=1) * score[:draws] + (0 if about == SPREAD else mine.mean())
            for mine, score in zip(ours, scores, strict=True)
        )
        return functools.reduce(np.subtract, found)

    predicted = draw([mine for mine, _ in arms], DRAWS)
    low, median, high = np.quantile(predicted, (0.025, 0.5, 0.975)).tolist()
    resampled = zip(*(_resample(mine, resamples) for mine, _ in arms), strict=True)
    p_values = [predictive_p(number, draw(ours, DRAWS_EACH)) for ours in resampled] or [math.nan]
    p, (p_low, p_high) = predictive_p(number, predicted), np.quantile(p_values, (0.025, 0.975)).tolist()
    mine, k = arms[0]
    return {
        "statistic": statistic,
        "runs": k,
        "n": len(mine),
        "published": number,
        "low": low,
        "median": median,
        "high": high,
        "p": p,
        "p_low": np.minimum(p, p_low),  # fewer draws do not reach as low
        "p_high": p_high,
    }


def _resample(values: Array, times: int) -> Iterator[Array]:
    """Our runs drawn again with replacement, so many times; of equally many values the same places."""
    random = np.random.default_rng(0)
    for _ in range(times):
        yield values[random.integers(len(values), size=len(values))]


def predictive_p(number: float, predicted: Array) -> float:
    """2 min(P(T <= t), P(T >= t)), at most 1, with the number t counted as one of those drawn: so it is never 0."""
    below, above = (int(np.count_nonzero(side)) for side in (predicted <= number, predicted >= number))
    return min(1.0, 2 * (1 + min(below, above)) / (1 + len(predicted)))


FIT_COLUMNS = ("cell", *PREDICTIVE_COLUMNS[:-2], "p_least")


def fit_protocols(published: Published, finals: Mapping[str, pd.DataFrame], baseline: str) -> pd.DataFrame:
    """By which protocols k more runs could have given the published numbers: FIT_COLUMNS.

    :func:`predict` of each, the protocols that fit best first. ``p_least`` is the same in all rows of a protocol: the
    least of its p-values, adjusted for their number (Holm), so that it is below 5 % in at most 5 % of tables that come
    out of that protocol. That it is above shows little where there are few runs: then much could come out.

    Args:
        published: the numbers.
        finals: by protocol, inference.final_accuracies.
        baseline: the activation from which a lead is counted.
    """
    found = [
        (cell, predict(published, table, baseline, resamples=0).drop(columns=["p_low", "p_high"]))
        for cell, table in finals.items()
    ]
    parts = [
        table.assign(cell=cell, p_least=min(holm(table["p"].tolist())))[[*FIT_COLUMNS]]
        for cell, table in found
        if len(table)
    ]
    parts.sort(key=lambda table: float(table["p_least"].iloc[0]), reverse=True)
    fits: pd.DataFrame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(FIT_COLUMNS))
    return fits


def draw_scores(statistic: str, k: int, n: int, stream: int = 0) -> Array:
    """A statistic of k more normal runs, in SDs of our n runs, from their mean if it is a level: DRAWS of it.

    Each as in :func:`predict`. Best and worst are drawn without the other runs, so that k may be large: with U uniform,
    1 - U**(1 / k) is the lowest of k probabilities, and of those above it the highest is drawn from 1 downwards alike.

    Args:
        statistic: its name.
        k: how many more.
        n: how many of ours.
        stream: another one gives independent draws, the same ones each time.
    """
    random = np.random.default_rng(stream)
    sd, mean = np.sqrt(random.chisquare(n - 1, DRAWS) / (n - 1)), random.standard_normal(DRAWS) / n**0.5
    if statistic == SD:
        return np.asarray(np.sqrt(random.chisquare(k - 1, DRAWS) / (k - 1)) / sd)
    if statistic == MEAN:
        return np.asarray((random.standard_normal(DRAWS) / k**0.5 - mean) / sd)
    lowest = -np.expm1(-random.standard_exponential(DRAWS) / k)
    highest = -np.expm1(-random.standard_exponential(DRAWS) / (k - 1)) * (1 - lowest)  # how far below 1
    worst, best = special.ndtri(lowest), -special.ndtri(highest)
    if statistic == RANGE:
        return np.asarray((best - worst) / sd)
    level = {MIDRANGE: (best + worst) / 2, BEST: best, WORST: worst}[statistic]
    return np.asarray((level - mean) / sd)


def accuracies_of(finals: pd.DataFrame, activation: str) -> list[float]:
    """One activation's test accuracies."""
    values: list[float] = finals.loc[finals["activation"] == activation, "test_accuracy"].tolist()
    return values
