"""What reports say of the committed studies, from their CSVs alone: with pandas, scipy and whole numbers.

Nothing of the package is imported, and each number is found in another way than there: signs are counted exactly, ends
of intervals by bisection, and those of shares by solving an equation. ``python tests/recompute.py`` prints it all.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
RESULTS, STUDIES = ROOT / "results", ROOT / "studies"
IMAGES, BASELINE = 10_000, "relu"
PUBLISHED_LEVEL = (0.9784 + 0.9721) / 2
"""The middle of what the paper prints for ReLU, where runs of `result = "nearest"` end."""
ALPHA = Fraction(1, 20)


def count_subsets(sizes: Sequence[int]) -> NDArray[np.uint64]:
    """By sum, how many subsets of at most 63 whole numbers have it.

    The product of all 1 + x**size, for an x so large that its powers hold one coefficient each.
    """
    product = 1
    for size in sizes:
        product += product << 64 * size
    return np.frombuffer(product.to_bytes(8 * (sum(sizes) + 1), "little"), "<u8")


def flip(differences: Sequence[int]) -> tuple[Fraction, Fraction]:
    """The shares of all signs with which the sum is as far from 0 as it is, and as high as it is."""
    subsets, reach, total = count_subsets([*map(abs, differences)]), sum(map(abs, differences)), sum(differences)
    sums = 2 * np.arange(reach + 1) - reach
    far, high = (int(subsets[chosen].sum()) for chosen in (abs(sums) >= abs(total), sums >= total))
    return Fraction(far, 2 ** len(differences)), Fraction(high, 2 ** len(differences))


def find_interval(differences: Sequence[int], alpha: Fraction) -> tuple[float, float]:
    """The shifts that sign flips do not reject, in images; NaN if they cannot reject any."""
    if Fraction(2, 2 ** len(differences)) >= alpha:
        return math.nan, math.nan
    parts = 10
    while True:
        values = [parts * each for each in differences]
        low, high = _lowest(values, alpha), -_lowest([-each for each in values], alpha)
        if low <= high:
            return (low - 0.5) / parts, (high + 0.5) / parts
        parts *= 10


def _lowest(values: Sequence[int], alpha: Fraction) -> int:
    below, kept = min(values) - 1, math.floor(Fraction(sum(values), len(values))) + 1
    while kept - below > 1:
        middle = (below + kept) // 2
        if flip([each - middle for each in values])[0] < alpha:
            below = middle
        else:
            kept = middle
    return kept


def adjust(p_values: Sequence[Fraction]) -> list[Fraction]:
    """Holm's: what is left of p after the smaller ones, times how many are not smaller."""
    ordered = sorted(range(len(p_values)), key=lambda index: p_values[index])
    steps = [min(Fraction(1), (len(ordered) - rank) * p_values[index]) for rank, index in enumerate(ordered)]
    return [max(steps[: ordered.index(index) + 1]) for index in range(len(p_values))]


def solve_wilson(share: float, n: int) -> tuple[float, float]:
    """The two P from which the share is 1.96 standard errors away: (share - P)² = 1.96² P (1 - P) / n."""
    squared = stats.norm.ppf(0.975) ** 2 / n
    low, high = sorted(np.roots([1 + squared, -(2 * share + squared), share**2]).real)
    return low, high


def read_accuracies(folder: Path, level: float | None = None) -> pd.DataFrame:
    """The accuracy after the last epoch, or where the baseline's mean is nearest to a level, the first time.

    One row per seed, one column per activation.
    """
    paths = (path for path in (folder / "runs").glob("*.csv") if not path.name.endswith(".parameters.csv"))
    runs = pd.concat(map(pd.read_csv, paths))
    last = runs["epoch"].max()
    if level is not None:
        means = runs[runs["activation"] == BASELINE].groupby("epoch")["test_accuracy"].mean()
        last = (means - level).abs().round(12).idxmin()
    runs = runs[runs["epoch"] == last]
    table: pd.DataFrame = runs.pivot(index="seed", columns="activation", values="test_accuracy")
    return table


def read_declared(question: str) -> dict[str, Any]:
    """What a question's file declares; nothing if it has none."""
    path = STUDIES / f"{question}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def find_cells(question: str) -> dict[str, Path]:
    """The folders with runs that answer a question, by the cell of a grid; one without a name if it is none."""
    if (RESULTS / question / "runs").is_dir():
        return {"": RESULTS / question}
    return {path.parent.name: path.parent for path in sorted((RESULTS / question).glob("*/runs"))}


def compare(accuracies: pd.DataFrame, declared_margin: float | None) -> Iterator[dict[str, Any]]:
    """Each activation against the baseline, unadjusted; p-values as fractions."""
    baseline = accuracies[BASELINE].dropna()
    margin = declared_margin or max(1, round(0.05 * (1 - baseline.mean()) * IMAGES)) / IMAGES
    for activation in accuracies.columns.drop(BASELINE):
        pairs = accuracies[[activation, BASELINE]].dropna()
        images = ((pairs[activation] - pairs[BASELINE]) * IMAGES).round().astype(int).tolist()
        n, tenths = len(images), math.floor(margin * IMAGES * 10 + 1e-6)
        low, high = find_interval(images, ALPHA)
        equal_low, equal_high = find_interval(images, 2 * ALPHA)
        share = (sum(each > 0 for each in images) + sum(each == 0 for each in images) / 2) / n
        yield {
            "activation": activation,
            "n": n,
            "mean_difference": sum(images) / n / IMAGES,
            "sd_difference": pd.Series(images).std() / IMAGES,
            "skewness": stats.skew(images),
            "correlation": stats.pearsonr(pairs[activation], pairs[BASELINE]).statistic,
            "ci_low": low / IMAGES,
            "ci_high": high / IMAGES,
            "equal_low": equal_low / IMAGES,
            "equal_high": equal_high / IMAGES,
            "equal_within": max(-equal_low, equal_high) / IMAGES,
            "margin": margin,
            "margin_declared": declared_margin is not None,
            "p": flip(images)[0],
            "p_equal": max(flip([10 * sign * each + tenths for each in images])[1] for sign in (1, -1)),
            "win_rate": share,
            **dict(zip(("win_low", "win_high"), solve_wilson(share, n), strict=True)),
        }


def judge(family: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Adjusted p-values and verdicts of comparisons that are made together."""
    p_values, p_equal = ([row[name] for row in family] for name in ("p", "p_equal"))
    for index, (row, p, equal) in enumerate(zip(family, adjust(p_values), adjust(p_equal), strict=True)):
        least = adjust([*p_values[:index], Fraction(2, 2 ** row["n"]), *p_values[index + 1 :]])[index]
        if equal < ALPHA and (row["margin_declared"] or p >= ALPHA):
            verdict = "equal"
        elif p < ALPHA:
            verdict = "better" if row["mean_difference"] > 0 else "worse"
        else:
            verdict = "undecided" if least < ALPHA else "too few pairs"
        yield {**row, "p_holm": p, "p_equal_holm": equal, "verdict": verdict}


def recompute(question: str) -> pd.DataFrame:
    """The comparisons of a study or over a grid: one row per activation and cell; empty without any."""
    declared, rows = read_declared(question), []
    for cell, folder in find_cells(question).items():
        accuracies = read_accuracies(folder, PUBLISHED_LEVEL if declared.get("result") == "nearest" else None)
        if BASELINE in accuracies and len(accuracies.columns) > 1:
            rows += [{"cell": cell, **row} for row in compare(accuracies, declared.get("margin"))]
    primary = declared["compare"][0] if "compare" in declared else rows[0]["activation"] if len(rows) == 1 else None
    judged = []
    for name, family in (("primary", True), ("secondary", False)):
        mine = [row for row in rows if (row["activation"] == primary) is family]
        judged += [{**row, "family": name} for row in judge(mine)]
    table: pd.DataFrame = pd.DataFrame(judged)
    return table


def summarise(accuracies: pd.DataFrame) -> pd.DataFrame:
    """Mean, SD and Student's interval of each activation."""
    rows = []
    for name, column in accuracies.items():
        values = column.dropna()
        low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
        rows.append({"activation": name, "mean": values.mean(), "sd": values.std(), "ci_low": low, "ci_high": high})
    table: pd.DataFrame = pd.DataFrame(rows)
    return table


def regress(accuracies: pd.DataFrame) -> pd.DataFrame:
    """Each activation that lacks seeds of the baseline against all of them."""
    every, rows = accuracies[BASELINE].dropna(), []
    for activation in accuracies.columns.drop(BASELINE):
        pairs = accuracies[[activation, BASELINE]].dropna()
        n = len(pairs)
        if n == len(every):
            continue
        line = stats.linregress(pairs[BASELINE], pairs[activation])
        away = every.mean() - pairs[BASELINE].mean()
        residuals = (pairs[activation] - line.intercept - line.slope * pairs[BASELINE]).pow(2).sum() / (n - 2)
        variance = residuals / n + (away * line.stderr) ** 2 + ((line.slope - 1) * stats.sem(every)) ** 2
        difference = line.intercept + line.slope * every.mean() - every.mean()
        low, high = stats.t.interval(0.95, n - 2, difference, variance**0.5)
        rows.append(
            {"activation": activation, "n": n, "baseline_n": len(every), "slope": line.slope}
            | {"mean_difference": difference, "ci_low": low, "ci_high": high}
        )
    table: pd.DataFrame = pd.DataFrame(rows)
    return table


if __name__ == "__main__":
    for path in sorted(RESULTS.iterdir()):
        print(path.name)  # noqa: T201
        print(recompute(path.name).map(lambda each: float(each) if isinstance(each, Fraction) else each).to_string())  # noqa: T201
