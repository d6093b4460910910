"""What the numbers of a report say, in sentences. No statistics."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from fluidrelu_cli.analysis.inference import ALPHA, fewest_pairs
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.report.tables import accuracy, difference, label, p_value, percent, plus_minus
from fluidrelu_cli.run import Provenance, Run

COMPARISONS_EXPLAINED = (
    "p: exact, two-sided, by flipping the signs of the paired differences. p (Holm): adjusted for all comparisons in"
    " this table; the verdict goes by it. The intervals are not adjusted, so one may exclude 0 where the verdict is"
    " undecided. P(above): the share of seeds at which the activation's accuracy is higher; ties count as not above."
)
TABLE2_EXPLAINED = (
    "The best of many runs beats the best of three. To compare like with like, our numbers are the average best and the"
    " average worst over every choice of three of our runs."
)
SIDE_BY_SIDE_EXPLAINED = (
    "Each row is a study with its own data, network and protocol. Compare signs and intervals rather than sizes: a gain"
    " of 0.001 is small at 60 % accuracy and large at 98 %. p (Holm): adjusted for the studies in this table."
)
PERCENTILES_EXPLAINED = (
    "A percentile is the share of our sets of three whose best (or worst) is below the published one, plus half the"
    " share of those equal to it."
)
RESULT_EXPLAINED = "A run's result is its test accuracy after the last epoch; no run and no epoch is chosen by it."


def question(comparisons: pd.DataFrame, activations: Iterable[str]) -> str:
    """What a report answers: the first comparison's question, or that of the activations where there is none."""
    for row in comparisons.to_dict("records"):
        return f"Is {label(row['activation'])} better than {label(row['baseline'])}?"
    names = [label(name) for name in activations]
    return f"How good {'is' if len(names) == 1 else 'are'} {_join(names)}?"


def answer(comparisons: pd.DataFrame, summary: pd.DataFrame, baseline: str) -> str:
    """The answer: the first comparison's verdict, and where there are more, all of them in short."""
    activations = summary["activation"].tolist()
    for row in comparisons.to_dict("records"):
        sentence = verdict(row, int(comparisons["p"].notna().sum()))
        return sentence if len(comparisons) == 1 else f"{sentence} {tally(comparisons)}"
    trained = summary.loc[summary["n"] > 0, "activation"].tolist()
    if baseline in trained and len(activations) > 1:
        others = _join([label(name) for name in activations if name != baseline])
        return f"No run of {others} is finished, so there is nothing to compare with {label(baseline)}."
    if len(activations) > 1:
        return f"No run has the baseline {baseline}: name one with --baseline ({', '.join(trained)})."
    [row] = summary.to_dict("records")
    mean = plus_minus(accuracy(row["mean"], 5), row)
    over = f"{row['n']} seed{'' if row['n'] == 1 else 's'}"
    return f"Its mean accuracy is {mean} over {over}. With a single activation there is nothing to compare."


def verdict(row: Mapping[Any, Any], comparisons: int) -> str:
    """What a row of inference.comparisons says, in a sentence.

    Args:
        row: the row.
        comparisons: for how many the p-value is adjusted.
    """
    a, b = label(row["activation"]), label(row["baseline"])
    if row["n"] == 0:
        return f"No seed has a run of both {a} and {b}, so nothing can be said."
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
    needed = fewest_pairs(ALPHA / comparisons)
    if row["verdict"] == "undecided" and row["n"] < needed:
        can = f"{row['n']} seeds cannot establish anything with {comparisons} comparisons; {needed} can"
        return f"{can}. Over {row['n']} seeds {a}'s {found} {evidence}."
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


def noise(summary: pd.DataFrame, images: int, *, held_out: bool = False) -> str:
    """What the intervals cover, and what they do not.

    Args:
        summary: inference.summary.
        images: how many images the accuracies are on.
        held_out: whether these are training images that were held out.
    """
    errors = sorted({f"{value:.4f}" for value in summary["image_se"].dropna()})
    on = f"these {images:,} {'held-out' if held_out else 'test'} images"
    return (
        f"Intervals are over seeds: they cover the noise of training (initial weights, order of the data) on {on}."
        " Other images would move each accuracy too, by a standard error of"
        f" {' to '.join(dict.fromkeys((errors[0], errors[-1])))}. All activations were tested on the same ones."
    )


def left_out(comparisons: pd.DataFrame) -> str | None:
    """Which seeds a comparison leaves out, because only one of the two activations has them; None if there are none."""
    some = comparisons[comparisons["left_out"] != ""]
    if some.empty:
        return None
    baseline = some["baseline"].iloc[0]
    found = [
        f"{_join([*group['activation'], baseline])}: {_join([_only(*alone) for alone in _ALONE.findall(str(seeds))])}"
        for seeds, group in some.groupby("left_out", sort=False)
    ]
    return (
        f"Each row uses only the seeds that both activations were trained with ({'; '.join(found)}). Do not compare"
        " rows with different seeds."
    )


_ALONE = re.compile(r"(.+?) (\d+(?:–\d+)?(?:, \d+(?:–\d+)?)*)(?:; |$)")
"""In the column left_out: an activation, whose name may have spaces, and the seeds that it alone has."""


def _only(activation: str, seeds: str) -> str:
    """That an activation alone has seeds, in words."""
    several = "–" in seeds or "," in seeds
    return f"only {activation} has seed{'s' if several else ''} {seeds}"


def too_few_pairs(comparisons: pd.DataFrame) -> str | None:
    """Which comparisons cannot come out; None if all can."""
    found = comparisons.loc[comparisons["verdict"] == "too few pairs", "activation"]
    if len(found):
        return f"With fewer than {fewest_pairs()} pairs no p-value can reach 5 %: {', '.join(found)}."
    needed = fewest_pairs(ALPHA / len(comparisons))
    if comparisons["n"].max() < needed:
        return f"Adjusted for {len(comparisons)} comparisons, none can reach 5 % with fewer than {needed} pairs."
    return None


def three_run_rankings(rankings: pd.DataFrame, chance: float) -> str | None:
    """How often a table like the paper's would say what the paper's says; None if there are too few runs.

    Args:
        rankings: published.rankings of two activations.
        chance: each probability if there were no difference.
    """
    if rankings.empty:
        return None
    first, second = rankings.to_dict("records")
    a, b = label(first["a"]), label(first["b"])
    return (
        f"A table of three runs each would rank {a} above {b} in both rows {percent(first['probability'])} of the time,"
        f" and {b} above {a} {percent(second['probability'])}. Without any difference each would be {percent(chance)}."
    )


def other_protocol(differences: Mapping[str, tuple[object, object]]) -> str:
    """That a study is not comparable with the published numbers, and in what."""
    found = ", ".join(f"{name.replace('_', ' ')} {mine}" for name, (mine, _) in differences.items())
    return f"This is not the protocol that stands for the paper's ({found}): do not compare with the published numbers."


def held_out(images: int) -> str:
    """That accuracies are not those of the test images."""
    return (
        f"All accuracies here are on {images:,} training images that were held out, not on the test images. They are"
        " for choosing settings, and do not count as results."
    )


def diverged(losses: Mapping[str, float]) -> str:
    """Which runs diverged, and the training loss that each ended with."""
    runs = ", ".join(f"{name} (training loss {loss:.0e})" for name, loss in losses.items())
    return f"Diverged, but counted: {runs}."


def near_chance(baseline: str, mean: float, chance: float) -> str:
    """That the baseline has hardly learned anything."""
    return (
        f"{label(baseline)}'s mean accuracy, {accuracy(mean)}, is near that of guessing, {accuracy(chance)}: a"
        " difference between networks that have hardly learned says little about trained ones."
    )


def still_learning(baseline: str, share: float) -> str:
    """That training ended while the baseline was still learning fast."""
    return (
        f"{label(baseline)}'s training loss still fell by {percent(share)} in the last epoch: with more epochs the"
        " comparison may come out otherwise."
    )


def failed(activation: str, paths: Sequence[str]) -> str:
    """That trials of an activation failed, and where their tracebacks are."""
    trials = f"{len(paths)} trial{'s' if len(paths) > 1 else ''}"
    return f"{trials} of {label(activation)} failed; the traceback of the last is in {paths[-1]}."


def reproduction(agreement: pd.DataFrame, against: str) -> str:
    """Whether runs equal those of another study digit for digit, or by how much they differ."""
    n = len(agreement)
    if n == 0:
        return f"No run has the activation and seed of one in {against}, so there is nothing to compare."
    differing = agreement[~agreement["identical"]]
    if differing.empty:
        return f"All {n} runs in common with {against} are equal digit for digit."
    largest = differing.loc[differing["accuracy_difference"].abs().idxmax()]
    which = f"{label(str(largest['activation']))}, seed {largest['seed']}"
    return (
        f"{n - len(differing)} of {n} runs in common with {against} are equal digit for digit. The final accuracies of"
        f" the others differ by at most {abs(largest['accuracy_difference']):.4f} ({which}). Each run's .json file"
        " records the processor, the versions and the source: another processor or another torch rounds differently."
    )


def not_drawn(name: str, reason: str) -> str:
    """Why a figure is missing."""
    return f"The figure {name} is not drawn ({reason})."


def where(facts: Mapping[str, str]) -> str:
    """What was trained and how, in short.

    Args:
        facts: of the protocol, by the fields' names in words.
    """
    epochs = f"{facts['epochs']} epoch{'' if facts['epochs'] == '1' else 's'}"
    usual, named = Protocol().facts(), {"dataset", "model", "epochs", "batch size", "lr"}
    others = [f"{name} {value}" for name, value in facts.items() if name not in named and value != usual.get(name)]
    return (
        f"Data set {facts['dataset']}, network {facts['model']}, {epochs} at batch size {facts['batch size']} and"
        f" learning rate {facts['lr']}{''.join(f', {other}' for other in others)}."
        " Only the activation differs between the runs of a seed."
    )


def spell_formula(formula: str) -> str:
    """A built-in activation's formula for those who do not know how networks.named abbreviates it."""
    above, _, rest = formula.partition(" | ")
    below, *learned = rest.split(", ")
    gamma = ["γ = v / (2 exp(a))"] if "γ" in formula else []
    return ", ".join([f"{above} for v ≥ 0", f"{below} for v < 0", *learned, *gamma]) if rest else formula


def needed(modules: Iterable[str], data: str | None) -> Iterator[str]:
    """Comments of a shell that say what commands need beside this program.

    Args:
        modules: those with a user's own code.
        data: the file of a data set that has no name.
    """
    names = list(modules)
    if "__main__" in names:
        yield "# Move what a script or a notebook defined (__main__) to a file, and name it as file:Class."
    files = [f"the module {name}" for name in names if name != "__main__"] + ([f"the data {data}"] if data else [])
    if files:
        yield f"# Needs {_join(files)}."


def _join(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def count_conditions(runs: Iterable[Run]) -> dict[str, dict[str, int]]:
    """Under what conditions runs were made, in words: each one's values, with how many runs have them."""
    counts: dict[str, Counter[str]] = {}
    for run in runs:
        for name, value in _describe_conditions(run.provenance):
            counts.setdefault(name, Counter())[value] += 1
    return {name: dict(values) for name, values in counts.items()}


def _describe_conditions(provenance: Provenance) -> Iterator[tuple[str, str]]:
    """What may change a run's numbers, or shows where they come from."""
    for name, version in provenance.versions.items():
        if version:
            yield f"version of {name}", str(version)
    source = provenance.source or {}
    yield "source", f"{str(source.get('commit', 'not recorded'))[:12]}{', modified' if source.get('modified') else ''}"
    yield "system", str(provenance.system)
    yield "processor", f"{provenance.cpu}, {provenance.cpu_capability}"
    yield "device", str(provenance.gpu or provenance.device)
    yield "threads of a run", str(provenance.threads)
    yield "seeds trained together", str(provenance.batched_seeds)
    yield "data (sha256)", str(provenance.data_sha256)[:12]
