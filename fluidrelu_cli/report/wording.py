"""What the numbers say, in sentences. No statistics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from fluidrelu_cli.analysis.inference import ALPHA, fewest_pairs
from fluidrelu_cli.analysis.published import CHANCE
from fluidrelu_cli.report.tables import accuracy, difference, label, p_value, percent

if TYPE_CHECKING:
    from fluidrelu_cli.analysis.planning import Plan
    from fluidrelu_cli.data.dataset import Dataset
    from fluidrelu_cli.verification import Verification

COMPARISONS_EXPLAINED = (
    "p: exact, two-sided, by flipping the signs of the paired differences; (Holm): adjusted for all comparisons here,"
    " which the verdict goes by. The intervals are not adjusted: one may leave out 0 where the verdict is undecided."
    " P(above): the share of seeds at which the activation's accuracy is the higher one; ties count as not above."
)
TABLE2_EXPLAINED = (
    "Best and worst grow apart with the number of runs, so ours are the means over all sets of three of the n runs."
)
SIDE_BY_SIDE_EXPLAINED = (
    "Each row is a study with data, network and protocol of its own: compare signs and intervals, hardly sizes, for a"
    " thousandth is little where many errors are left and much where few are. p (Holm): adjusted for the studies here."
)
PERCENTILES_EXPLAINED = (
    "A percentile is the share of our sets of three whose best (worst) is below the paper's, and half of those at it."
)


def verdict(row: Mapping[Any, Any], comparisons: int) -> str:
    """What a row of statistics.comparisons says, in a sentence.

    Args:
        row: the row.
        comparisons: for how many the p-value is adjusted.
    """
    a, b = label(row["activation"]), label(row["baseline"])
    if row["n"] == 0:
        return f"No seed has a run of both {a} and {b}: nothing can be said."
    higher = "higher" if row["mean_difference"] > 0 else "lower"
    by = f"{abs(row['mean_difference']):.5f} {higher}" if row["mean_difference"] else "the same"
    found = f"mean accuracy is {by}"
    over = f"over {row['n']} seeds"
    bounds = f"95 % interval {difference(row['ci_low'])} to {difference(row['ci_high'])}"
    if row["verdict"] == "too few pairs":
        seeds = f"{row['n']} seeds" if row["n"] > 1 else "One seed"
        interval = f" ({bounds})" if row["n"] > 1 else ""
        too_few = "with so few pairs no p-value can reach 5 %"
        return f"{seeds} cannot tell {a} from {b}: {a}'s {found}{interval}, and {too_few}."
    adjusted = f", adjusted for {comparisons} comparisons" if comparisons > 1 else ""
    evidence = f"({bounds}; p = {p_value(row['p_holm'])}{adjusted})".replace("= <", "< ")
    if row["verdict"] == "undecided":
        return f"No difference between {a} and {b} is established: {over} {a}'s {found} {evidence}."
    return f"{a} is {row['verdict']} than {b} here: {over} its {found} {evidence}."


def tally(comparisons: pd.DataFrame) -> str:
    """Which activations are better, worse and not told apart from the baseline, by name."""
    found = [
        f"{', '.join(map(label, group['activation']))} ({verdict})"
        for verdict, group in comparisons.groupby("verdict", sort=False)
    ]
    return f"Against {label(comparisons['baseline'].iloc[0])}, after adjustment: {'; '.join(found)}."


def noise(summary: pd.DataFrame, test_images: int) -> str:
    """What the intervals cover, and what they do not."""
    errors = sorted({f"{value:.4f}" for value in summary["image_se"].dropna()})
    return (
        "Intervals are over seeds: they cover the noise of training (initial weights, order of the data) on these"
        f" {test_images:,} test images. Other images would move each accuracy too, by a standard error of"
        f" {' to '.join(dict.fromkeys((errors[0], errors[-1])))}; all activations were tested on the same ones."
    )


def left_out(comparisons: pd.DataFrame) -> str | None:
    """Which seeds a comparison leaves out, because only one of the two activations has them; None if there are none."""
    found = [
        f"{', '.join(group['activation'])} against {group['baseline'].iloc[0]}: without {seeds}"
        for seeds, group in comparisons[comparisons["left_out"] != ""].groupby("left_out", sort=False)
    ]
    if not found:
        return None
    return f"Pairs are seeds that both have ({'. '.join(found)}): do not compare rows over different seeds."


def too_few_pairs(comparisons: pd.DataFrame) -> str | None:
    """Which comparisons cannot come out; None if all can."""
    found = comparisons.loc[comparisons["verdict"] == "too few pairs", "activation"]
    if len(found):
        return f"With fewer than {fewest_pairs()} pairs no p-value can reach 5 %: {', '.join(found)}."
    needed = fewest_pairs(ALPHA / len(comparisons))
    if comparisons["n"].max() < needed:
        return f"Adjusted for {len(comparisons)} comparisons none can reach 5 % with fewer than {needed} pairs."
    return None


def three_run_rankings(rankings: pd.DataFrame) -> str | None:
    """How often a table like the paper's would say what the paper's says; None if there are too few runs."""
    if rankings.empty:
        return None
    fluid, relu = (percent(probability) for probability in rankings["probability"])
    return (
        f"A table of three runs each would rank FluidReLU above ReLU in both rows {fluid} of the time, and ReLU above"
        f" FluidReLU {relu}; were there no difference, each {percent(CHANCE)}."
    )


def other_protocol(differences: Mapping[str, tuple[object, object]]) -> str:
    """That a study is not comparable with the paper's numbers, and in what."""
    found = ", ".join(f"{name.replace('_', ' ')} {mine}" for name, (mine, _) in differences.items())
    return f"This is not the protocol that stands for the paper's ({found}): do not compare with the published numbers."


def held_out(images: int) -> str:
    """That accuracies are not those of the test images."""
    return (
        f"All accuracies here are those on {images:,} training images that were held out, not on the test images: they"
        " are there to choose settings by, and are no results."
    )


def reproduction(comparison: pd.DataFrame, against: str) -> str:
    """Whether runs equal those of another study digit for digit, or by how much they differ."""
    n = len(comparison)
    if n == 0:
        return f"No run has the activation and seed of one in {against}: nothing to compare."
    differing = comparison[~comparison["identical"]]
    if differing.empty:
        return f"All {n} runs in common with {against} are equal digit for digit."
    largest = differing.loc[differing["accuracy_difference"].abs().idxmax()]
    which = f"{label(str(largest['activation']))}, seed {largest['seed']}"
    return (
        f"{n - len(differing)} of {n} runs in common with {against} are equal digit for digit; of the others the final"
        f" accuracy differs by at most {abs(largest['accuracy_difference']):.4f} ({which}). Their .json files tell the"
        " processor, the versions and the source of each: another processor or torch rounds otherwise."
    )


def planned(plan: Plan, workers: int, where: str) -> list[str]:
    """What a plan says; ``where`` are the options that name the study."""
    a, b = label(plan.activation), label(plan.baseline)
    spread = f"{plan.sd_difference:.5f} (95 % interval {plan.sd_low:.5f} to {plan.sd_high:.5f})"
    needed = f"{plan.seeds} seeds of each ({plan.seeds_low} to {plan.seeds_high} over the interval of the SD;"
    said = [
        f"Over {plan.pairs} pairs the differences between {a} and {b} have a sample SD of {spread};"
        f" the pairs' correlation is {accuracy(plan.correlation, 2).replace('-', '−')}.",
        f"To find a true difference of {plan.effect:g} with a power of {percent(plan.power)} at the level of"
        f" {100 * plan.alpha:g} %, one comparison by the paired t-test takes {needed} about"
        f" {plan.seeds_unpaired} if the two had different seeds).",
    ]
    if plan.missing == 0:
        return [*said, f"The study has them all; compare them with: fluidrelu report {where}"]
    there = f" of which the study has {2 * plan.seeds - plan.missing};" if plan.missing < 2 * plan.seeds else ""
    side_by_side = f"{workers} worker{'s' if workers > 1 else ''}"
    return [
        *said,
        f"These are {2 * plan.seeds} trials,{there} the missing ones take {duration(plan.seconds(workers))} with"
        f" {side_by_side}, at the {plan.pair_seconds:.0f} s that a pair took on {' and '.join(plan.processors)}.",
        f"fluidrelu repeat -n {plan.seeds} --act {plan.baseline} --act {plan.activation} {where}",
    ]


def duration(seconds: float) -> str:
    """Seconds in words: ``40 s``, ``25 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def verified_run(verified: Verification, csv: Path) -> list[str]:
    """Whether a run that was made again agrees with its record, and if not by how much and what differs."""
    if verified.agrees:
        return [f"{csv}: made again, and every number but the timings is equal to the last digit."]
    recorded = verified.recorded.run["test_accuracy"][-1]
    by_up_to = {name: f" by up to {by:.2g}" if math.isfinite(by) else "" for name, by in verified.differences.items()}
    largest = ", ".join(f"{name}{by}" for name, by in by_up_to.items())
    conditions = [f"{name} ({there} there, {here} here)" for name, (there, here) in verified.conditions.items()]
    reason = (
        f"What differs in the making: {'; '.join(conditions)}."
        if conditions
        else "Nothing that is recorded of versions and hardware differs: the record was changed, or something untold."
    )
    return [
        f"{csv}: made again, and the numbers differ: {largest}.",
        f"The test accuracy after the last epoch is {accuracy(verified.accuracy)} here, {accuracy(recorded)} there.",
        reason,
    ]


def verified_data(name: str, dataset: Dataset, *, known: bool) -> str:
    """What is in a data set that could be read; ``known``: its digest is the one that it should be."""
    images = f"{len(dataset.train_images):,} + {len(dataset.test_images):,} images"
    what = f"{images} of {' x '.join(map(str, dataset.image_shape))}, {dataset.classes} classes"
    whose = "as published" if known else "whole and of the right shape (no digest to compare with)"
    return f"{name}: {whose}; {what}; sha256 {dataset.sha256}"
