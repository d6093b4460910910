"""What the numbers of a report say, in sentences. No statistics."""

from __future__ import annotations

import itertools
import math
import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from fluidrelu_cli.analysis.planning import POWER
from fluidrelu_cli.analysis.published import BEST, LEAD, LEVEL, MEAN, MIDRANGE, PAPER, RANGE, SD, SPREAD, WORST
from fluidrelu_cli.analysis.ranks import Ranking
from fluidrelu_cli.analysis.verdicts import (
    ALPHA,
    BETTER,
    DEFAULT_MARGIN,
    EQUAL,
    INTERIM,
    NOT_JUDGED,
    PRIMARY,
    SECONDARY,
    TOO_FEW,
    UNDECIDED,
    WORSE,
    fewest_pairs,
)
from fluidrelu_cli.data.catalogue import CATALOGUE
from fluidrelu_cli.declaration import Changes, Declaration, Tuning
from fluidrelu_cli.protocol import Protocol, split_arm, split_model
from fluidrelu_cli.report.evidence import Sequential
from fluidrelu_cli.report.tables import (
    accuracy,
    difference,
    label,
    limits,
    p_value,
    percent,
    plus_minus,
    round_up,
    spell_choice,
)
from fluidrelu_cli.run import DIVERGED_LOSS, Provenance, Run
from fluidrelu_cli.stopping import list_recalled
from fluidrelu_cli.study import ASKED, LOOKED, MOST_SEEDS, Entry

INTERVALS_EXPLAINED = (
    "95 % interval: the differences that the exact sign-flip test of the pairs does not reject, so it excludes 0 where"
    " the unadjusted p-value is below 5 %. Equal within: the smallest margin that holds the 90 % interval, so that both"
    " one-sided tests at 5 % say that the difference is smaller."
)
"""What is said below every table of differences."""
COMPARISONS_EXPLAINED = (
    f"{INTERVALS_EXPLAINED} p: exact, two-sided, by flipping the signs of the paired differences. That of the primary"
    " comparison is not adjusted; those of the others are adjusted among themselves (Holm), their intervals are not."
    " Equal: smaller than the margin. Better and worse: p is below 5 %. Where both hold, it is equal by a margin that"
    " was declared, and better or worse by the default one."
)
CELLS_EXPLAINED = (
    f"{INTERVALS_EXPLAINED} p: exact, two-sided, by flipping the signs of the paired differences in a cell,"
    " adjusted for the cells in this table (Holm), not for other activations; the intervals are not adjusted."
)
OTHER_CELLS_EXPLAINED = (
    "p: as in the table above, but adjusted for all rows of this table, each an activation in a cell, apart from those"
    " of the first comparison."
)
EPOCHS_EXPLAINED = (
    "95 % interval: as if that epoch alone had been looked at. The band holds the true differences of all epochs at"
    " once with probability 95 %."
)
IMAGES_EXPLAINED = (
    "The interval is as if the test images, too, were drawn at random anew (two-way analysis of variance). Churn: the"
    " share of images that one of a pair has right and the other wrong; the baseline's is that between its runs of one"
    " seed and the next."
)
SPREAD_EXPLAINED = (
    "P(above): the share of seeds at which the activation's accuracy is higher, ties counted half. SD ratio and error"
    " ratio: the activation's divided by the baseline's. r: the correlation of the two over seeds. Nothing here was"
    " asked beforehand, so it only suggests what to test next."
)
SEQUENTIAL_EXPLAINED = (
    "There are no p-values, because how many pairs there are depends on what they show. The verdict is that of the"
    " confidence sequence, on the one comparison that decides when training ends."
)
FIXED_NUMBER = (
    "The intervals in this table are those of a fixed number of pairs. For this study, whose number of"
    " pairs depends on what they show, the confidence sequence below holds."
)
"""What is remarked on the differences of a study that trains until a comparison is decided."""
LOOKS_EXPLAINED = (
    "A confidence sequence holds the true difference at every number of pairs at once, with probability 95 % (90 %):"
    " it may be looked at after each pair. Better and worse: the 95 % sequence excludes 0. Equal: the 90 % sequence"
    " lies within the margin. This needs differences that are symmetric about their centre."
)
SIDE_BY_SIDE_EXPLAINED = (
    "Each row is the primary comparison of a study with its own data, network and protocol. Compare signs and intervals"
    " rather than sizes: a gain of 0.001 is small at 60 % accuracy and large at 98 %. p: adjusted for the studies in"
    " this table (Holm)."
)
CHOICES_EXPLAINED = (
    "Effect: how much higher the difference is with this choice than on average over the choices of this kind, the"
    " others being the same (least squares, no interactions). p: how often effects as large would come by chance if"
    " no choice of their kind had one (F test), adjusted for the number of kinds (Holm); the intervals are not"
    " adjusted."
)
FITS_EXPLAINED = (
    "p: how unusual each published number would be for as many more runs by that protocol (two-sided). Least: the least"
    " of these, adjusted for their number (Holm). Few runs of a protocol exclude little: much could come of it."
)
NOT_NORMAL = (
    "The shares of protocols and the prediction take the differences for normally distributed, which they are not where"
    " some runs have learned hardly anything."
)
STOPS_EXPLAINED = (
    "Each cell's runs count as if they had ended there. The stop is chosen by the baseline's mean alone, never by the"
    " difference."
)
RESULT_EXPLAINED = "A run's result is its test accuracy after the last epoch, not at its best one."


def explain_regression(baseline: str) -> str:
    """How differences are corrected for the seeds that the pairs lack.

    Args:
        baseline: what it is called.
    """
    return (
        f"An activation with fewer seeds than {baseline} may be compared above at seeds that are lucky for {baseline}."
        f" Here its mean is corrected for that. Slope: of its accuracies on {baseline}'s, over the pairs; 1 leaves the"
        " mean of the pairs' differences as it is. The interval is Student's, and covers the noise of the slope and of"
        f" all seeds of {baseline}. It assumes that nothing that the runs showed determined which seeds are pairs."
        " p-values and verdicts go by the pairs alone."
    )


def name_rows(rows: Sequence[str]) -> str:
    """What a published table prints, as a title has it: ``best and worst accuracy``, ``mean accuracy and SD``."""
    accuracies = _join([row for row in rows if row != SD])
    return _join([*([f"{accuracies} accuracy"] if accuracies else []), *(["SD"] if SD in rows else [])])


def explain_table2(rows: Sequence[str], runs: str) -> str | None:
    """How our numbers are made comparable with published ones, where these depend on the number of runs.

    Args:
        rows: what is published.
        runs: of how many runs, in words.
    """
    ends = [row for row in (BEST, WORST) if row in rows]
    if not ends:
        return None
    beats = "beats" if BEST in ends else "is below"
    return (
        f"The {ends[0]} of many runs {beats} the {ends[0]} of {runs}. To compare like with like, our numbers are"
        f" {_join([f'the average {row}' for row in ends])} over every choice of {runs} of our runs."
    )


def explain_predictive(predictive: pd.DataFrame, runs: str) -> str:
    """What is predicted of more runs, and what its p-values are.

    Args:
        predictive: published.predict.
        runs: how many more, in words.
    """
    measures = dict(zip(predictive["about"], predictive["statistic"], strict=True))
    terms = [f"the {about} is {_MEASURES[measures[about]]}" for about in (LEVEL, SPREAD) if about in measures]
    if LEAD in measures:
        baseline = predictive.loc[predictive["about"] == LEAD, "baseline"].iloc[0]
        terms.append(f"the lead is by how much the level is above {label(baseline)}'s, of independent runs")
    told = _join(terms)
    return (
        f"{_capitalise(told)}. Predicted is what {runs} more runs of ours would give, if accuracies are"
        " normally distributed and our runs alone tell the mean and the SD. p: two-sided, not adjusted for the number"
        " of rows. Its interval says how far it depends on which seeds were trained (bootstrap)."
    )


_MEASURES = {
    MIDRANGE: "the middle between best and worst",
    RANGE: "best minus worst",
    MEAN: "the mean",
    SD: "the sample SD",
    BEST: "the best",
    WORST: "the worst",
}
"""What levels and spreads are, in words."""


def question(order: Sequence[str], baseline: str, focus: str | None = None) -> str:
    """What a report answers.

    Args:
        order: all activations of the study.
        baseline: the one that the others are compared with, if it is among them.
        focus: the one that the question is about, if it is about one of several.
    """
    others = [name for name in order if name != baseline]
    if baseline not in order or not others:
        return f"How good {'is' if len(order) == 1 else 'are'} {_names(order)}?"
    about = focus or (others[0] if len(others) == 1 else None)
    return f"Is {label(about)} better than {label(baseline)}?" if about else f"Which is better than {label(baseline)}?"


def answer(
    comparisons: pd.DataFrame,
    summary: pd.DataFrame,
    baseline: str,
    focus: str | None = None,
    *,
    place: str = "Here",
    failures: Mapping[str, Sequence[str]] | None = None,
    declared: Declaration | None = None,
    sequential: Sequential | None = None,
    needed: Mapping[str, int] | None = None,
) -> str:
    """The answer: what the first comparison says, and where the question is about several, the others in short.

    Args:
        comparisons: inference.comparisons.
        summary: inference.summary.
        baseline: as for :func:`question`.
        focus: as for :func:`question`.
        place: :func:`describe_place`.
        failures: the tracebacks of each activation's trials that failed.
        declared: the study's file, if it has one.
        sequential: the comparison that decides when training ends, if one does.
        needed: with how many seeds each undecided comparison would be decided.
    """
    trained = {row["activation"]: row for row in summary.to_dict("records") if row["n"]}
    others = [name for name in summary["activation"] if name != baseline]
    without = [name for name in others if name not in trained]
    if len(summary) == 1:
        return _mean(*trained.values())
    if baseline not in trained:
        asked = len(others) < len(summary)
        missing = _unfinished([baseline], failures or {}) if asked else f"No run has the baseline {label(baseline)}"
        also = f" {_unfinished(without, failures or {})}." if without else ""
        return f"{missing}: name another baseline with --baseline ({_names(list(trained), 'or')}).{also}"
    if len(without) == len(others):
        return f"{_unfinished(without, failures or {})}, so there is nothing to compare with {label(baseline)}."
    about = focus or others[0]
    rows = {row["activation"]: row for row in comparisons.to_dict("records")}
    if about in rows and declared is not None and declared.is_grid:
        return one_of(declared, rows[about])
    if about in rows and rows[about]["verdict"] == INTERIM:
        return interim(rows[about], (declared.seeds if declared else {}).get(about, 0))
    if sequential is not None and about == sequential.activation and about in rows:
        sentence = decided(sequential, place)
    elif about in rows:
        together = int((comparisons["p"].notna() & (comparisons["family"] == rows[about]["family"])).sum())
        sentence = verdict(rows[about], place, together, (needed or {}).get(about))
    else:
        unfinished = _unfinished([about], failures or {})
        sentence = f"{unfinished}, so it cannot be compared with {label(baseline)}."
    rest = [] if focus else [name for name in others if name != about]
    said = [
        sentence,
        *([tuned(declared)] if about in rows else []),
        *([tally({name: rows.get(name) for name in rest}, baseline)] if rest else []),
    ]
    return " ".join(said)


def ask_overview(baseline: str) -> str:
    """The question of a report over several studies."""
    return f"Which activation is better than {label(baseline)}, and on which data?"


def overview(compared: pd.DataFrame, baseline: str, ranking: Ranking | None) -> str:
    """What each activation did over all studies, the best of them first.

    Args:
        compared: overview.compare_studies.
        baseline: what they are compared with.
        ranking: their mean ranks, where there are enough data sets.
    """
    studies, data_sets = (list(dict.fromkeys(compared[column])) for column in ("cell", "dataset"))
    over = f"{len(data_sets)} data set{'' if len(data_sets) == 1 else 's'}"
    names = compared["dataset"].map(name_data)
    if len(studies) > len(data_sets):
        over, names = f"{len(studies)} studies of {over}", compared["cell"]
    told: dict[tuple[int, int, str], list[str]] = {}
    for activation in dict.fromkeys(compared["activation"]):
        mine = compared["activation"] == activation
        found = {verdict: names[mine & (compared["verdict"] == verdict)].tolist() for verdict in _COUNTED}
        said = [
            f"{_COUNTED[verdict]} {len(where)}{_name_few(where) if len(where) < len(studies) else ''}"
            for verdict, where in found.items()
            if where
        ]
        told.setdefault((-len(found[BETTER]), len(found[WORSE]), _join(said)), []).append(activation)
    in_order = "; ".join(
        f"{_names(told[key])} {'is' if len(told[key]) == 1 else 'are'} {key[2]}"
        for key in sorted(told, key=lambda key: key[:2])
    )
    text = f"Against {label(baseline)}, over {over}: {in_order}."
    return text if ranking is None else f"{text} {tell_ranks(ranking)}"


_COUNTED = {
    BETTER: "better on",
    WORSE: "worse on",
    EQUAL: "equal within the margin on",
    UNDECIDED: "undecided on",
    NOT_JUDGED: "not judged on",
    INTERIM: "without a verdict yet on",
    TOO_FEW: "in too few pairs on",
}
"""What is said of so many studies, by the verdict in them."""


def tell_ranks(ranking: Ranking) -> str:
    """What the mean ranks say."""
    names = ranking.table["activation"].tolist()
    best = ranking.table["mean_rank"].iloc[0]
    text = (
        f"By mean rank over {ranking.data_sets} data sets {label(names[0])} is first ({best:.2f}; Friedman's test:"
        f" p {_is(ranking.p)})"
    )
    worse = ranking.table.loc[ranking.table["mean_rank"] - best > ranking.critical_difference, "activation"].tolist()
    if ranking.p >= ALPHA or not worse:
        return f"{text}, and no other is told apart from it."
    return f"{text}, and told apart from {_names(worse)} (Nemenyi's test)."


def _is(p: float) -> str:
    text = p_value(p)
    return text.replace("<", "< ") if text.startswith("<") else f"= {text}"


def name_data(dataset: str) -> str:
    """What texts call a data set: a file by its name alone."""
    known = CATALOGUE.get(dataset)
    return known.title if known else re.split(r"[/\\]", dataset)[-1]


def name_place(protocol: Protocol) -> str:
    """A data set, a network and its epochs as the head of a column: ``MNIST\npaper, 2 epochs``."""
    epochs = f"{protocol.epochs} epoch{'' if protocol.epochs == 1 else 's'}"
    return f"{name_data(protocol.dataset)}\n{label(protocol.model)}, {epochs}"


def describe_study(
    protocol: Protocol,
    seeds: Sequence[int],
    standing: str,
    declared: Declaration | None,
    chosen: Sequence[str],
) -> str:
    """What a study of several is about.

    Args:
        protocol: by which was trained.
        seeds: how many its activations have, in ascending order.
        standing: :func:`standing`.
        declared: its file.
        chosen: the activations with the settings that were chosen for them.
    """
    number = _count_seeds(*seeds)
    settings = f" Chosen: {_join([label(name) for name in chosen])}." if chosen else ""
    return f"{describe_place(protocol)}, {number}. {standing} {tuned(declared)}{settings}"


def compares_nothing(study: str, baseline: str) -> str:
    """That a study is left out of those that are compared with one baseline."""
    return f"{study} is left out: it has no results that are compared with {label(baseline)}."


def explain_overview(*, costs: bool) -> str:
    """What the columns of a table over several studies mean."""
    cost = (
        " Cost: the time of a training step over that of the baseline, measured side by side on the study's network;"
        " ≈ 1 where it cannot be told from noise."
        if costs
        else ""
    )
    return (
        "Compare signs and intervals between studies rather than sizes: a gain of 0.001 is small at 60 % accuracy and"
        " large at 98 %. Wins: pairs in which the activation is ahead. p: a study's primary comparison"
        " is adjusted for the studies in this table, the others for each other within their study (Holm)."
        f" Undecided: neither a difference nor its absence is established.{cost}"
    )


RANKS_EXPLAINED = (
    "Mean rank: 1 is the highest mean accuracy on every data set; equal ones share a rank. Two activations are told"
    " apart if their mean ranks differ by more than the critical difference, at 5 % for all pairs together. This takes"
    " the data sets for a sample of those that matter, and depends on which activations are ranked."
)


def averaged(datasets: Sequence[str]) -> str:
    """That several studies of one data set count once among the ranks.

    Args:
        datasets: those of which there are several.
    """
    return (
        f"The studies of {_join([name_data(each) for each in datasets])} count once per data set, by the mean of their"
        " accuracies, whatever their networks and epochs are."
    )


def describe_place(protocol: Protocol, varied: Collection[str] = (), *, stops: bool = False) -> str:
    """Where a verdict holds: ``On MNIST with the network cnn3 after 2 epochs``.

    Args:
        protocol: by which was trained.
        varied: fields that differ between the cells of a grid, which are left out.
        stops: whether runs count as if they had ended at some test, rather than the last one.
    """
    data = name_data(protocol.dataset)
    held_out = "held-out images of " if protocol.validation_images else ""
    at_most = "at most " if stops else ""
    parts = {
        "dataset": f"on {held_out}{data}",
        "model": f"with {name_network(protocol.model)}",
        "epochs": f"after {at_most}{protocol.epochs} epoch{'' if protocol.epochs == 1 else 's'}",
    }
    return _capitalise(" ".join(part for name, part in parts.items() if name not in varied))


def name_network(model: str) -> str:
    """A network in a sentence: ``the paper's network (pooling=average)``, ``the network cnn3``."""
    name, options = split_model(model)
    chosen = f" ({', '.join(map('='.join, options))})" if options else ""
    return ("the paper's network" if name == PAPER.protocol.model else f"the network {label(name)}") + chosen


def _capitalise(text: str) -> str:
    first = text[:1]
    return (first.upper() if first.isascii() else first) + text[1:]  # β is no B


def _say_where(place: str, sentence: str) -> str:
    """A sentence that begins with where it holds, or by itself where the place is empty."""
    return f"{place}, {sentence}" if place else _capitalise(sentence)


def tuned(declared: Declaration | None) -> str:
    """What was tuned, and on what, as far as it is declared."""
    said = []
    if declared is not None and declared.tuning is not None:
        fields = declared.tuned_fields()
        whose = {
            field: [name for name, mine in fields.items() if field in mine]
            for field in dict.fromkeys(field for mine in fields.values() for field in mine)
        }
        of_each = [name_setting(field) for field, names in whose.items() if len(names) == len(fields)]
        told = [f"the {_join(of_each)} of each"] if of_each else []
        some = sorted((field == "beta", field) for field, names in whose.items() if names != [*fields])
        told += [f"{'' if beta else 'the '}{name_setting(field)} of {_names(whose[field])}" for beta, field in some]
        were = "was" if len(whose) == 1 else "were"
        text = f"{_join(told)} {were} tuned on {declared.tuning.validation_images:,} held-out images."
        said.append(_capitalise(text))
    if declared is not None and declared.tuned is not None:
        said.append(f"Tuned: {declared.tuned.rstrip('.')}.")
    return " ".join(said) or "No tuning was declared."


def _mean(row: Mapping[Any, Any]) -> str:
    mean = plus_minus(accuracy(row["mean"], 5), row)
    over = _count_seeds(row["n"])
    return f"Its mean accuracy is {mean} over {over}. With a single activation there is nothing to compare."


def _count_seeds(*numbers: int) -> str:
    """``1 seed``, or ``9 to 10 seeds`` where numbers differ."""
    found = sorted(set(numbers))
    return f"{' to '.join(map(str, dict.fromkeys((found[0], found[-1]))))} seed{'' if found == [1] else 's'}"


def _unfinished(activations: Sequence[str], failures: Mapping[str, Sequence[str]]) -> str:
    """That no run of some activations is finished, and why as far as it is known."""
    failed = {name: failures[name] for name in activations if name in failures}
    why = ""
    if failed:
        *_, last = (path for paths in failed.values() for path in paths)
        n = sum(map(len, failed.values()))
        traceback = "its traceback is" if n == 1 else "the traceback of the last is"
        why = f" ({n} failed: {traceback} in {last})"
    return f"No run of {_names(activations, 'or')} is finished{why}"


def verdict(row: Mapping[Any, Any], place: str = "Here", comparisons: int = 1, needed: int | None = None) -> str:
    """What a row of inference.comparisons says, in one or two sentences.

    Args:
        row: the row.
        place: :func:`describe_place`.
        comparisons: for how many the p-value is adjusted.
        needed: with how many seeds it would be decided, if it is not.
    """
    a, b, n = label(row["activation"]), label(row["baseline"]), row["n"]
    if n == 0:
        return f"No seed has a run of both {a} and {b}, so nothing can be said."
    if row["verdict"] == NOT_JUDGED:
        return f"{a} is not judged, because another comparison decides when training ends.{_estimate(row)}"
    higher = "higher" if row["mean_difference"] > 0 else "lower"
    by = f"{accuracy(abs(row['mean_difference']), 5)} {higher}" if row["mean_difference"] else "the same"
    seeds = f"{n} seed{'' if n == 1 else 's'}"
    if row["verdict"] == TOO_FEW and n < fewest_pairs():
        too_few = "with so few pairs no p-value can reach 5 %"
        return f"{place}, {seeds} cannot tell {a} from {b}: {a}'s mean accuracy is {by}, and {too_few}."
    adjusted = f", adjusted for {comparisons} comparisons" if comparisons > 1 else ""
    p = f"p = {p_value(row['p_holm'])}{adjusted}".replace("= <", "< ")
    evidence = f"({seeds}, {_limits(row)}, {p})"
    if row["verdict"] == EQUAL:
        mean = difference(row["mean_difference"])
        within = round_up(row["equal_within"], row["margin"])
        found = f"{seeds}, mean difference {mean}, {_limits(row, 'equal', '90 %')}"
        shown = f", also when adjusted for {comparisons} comparisons" if comparisons > 1 else ""
        also = f" That there is a difference is shown, too ({p})." if row["p_holm"] < ALPHA else ""
        return (
            f"{place}, {a} and {b} are equal within {within} ({found}), which is less than the margin of"
            f" {_margin(row)}{shown}.{_excluded(row)}{also}"
        )
    within = round_up(row["equal_within"])
    if row["verdict"] in (BETTER, WORSE):
        found = f"its mean accuracy is {by} {evidence[:-1]}; at most {within} apart)"
        return f"{place}, {a} is {row['verdict']} than {b}: {found}.{_beside_margin(row)}"
    begun = f"{a} is not told apart from {b}: its mean accuracy is {by} {evidence}"
    begun = f"{too_few_seeds(n, comparisons)}. {place}, {begun}" if row["verdict"] == TOO_FEW else f"{place}, {begun}"
    both = "Taken singly, the two" if comparisons > 1 else "The two"
    return f"{begun}. {both} are equal within {within}; the margin is {_margin(row)}.{_seeds_needed(needed)}"


def _limits(row: Mapping[Any, Any], ends: str = "ci", level: str = "95 %") -> str:
    return f"{level} interval {difference(row[f'{ends}_low'])} to {difference(row[f'{ends}_high'])}"


def _margin(row: Mapping[Any, Any]) -> str:
    """``0.001 (declared)`` or ``0.0012 (5 % of ReLU's errors)``."""
    source = "declared" if row["margin_declared"] else f"{percent(DEFAULT_MARGIN)} of {label(row['baseline'])}'s errors"
    return f"{float(format(row['margin'], '.4g')):g} ({source})"


def _beside_margin(row: Mapping[Any, Any]) -> str:
    """How a difference that is shown compares with the margin, if it is smaller or somebody declared the margin."""
    smaller = abs(row["mean_difference"]) < row["margin"]
    than = f" The mean difference is {'' if smaller else 'no '}smaller than the"
    if row["margin_declared"]:
        return f"{than} margin of {_margin(row)}."
    return f"{than} default margin of {_margin(row)}, which nobody declared." if smaller else ""


def _excluded(row: Mapping[Any, Any]) -> str:
    """Which advantage of the activation its 95 % interval excludes, where that says more than what is equal."""
    if math.isnan(row["ci_high"]) or round_up(row["ci_high"]) >= round_up(row["equal_within"]):
        return ""
    return f" An advantage of {round_up(max(row['ci_high'], 0.0001))} or more is excluded on these images."


def _seeds_needed(needed: int | None) -> str:
    if needed is None:
        return ""
    seeds = f"more than {MOST_SEEDS:,}" if needed > MOST_SEEDS else f"about {needed:,}"
    return f" A plan for {percent(POWER)} power asks for {seeds} seeds of each."


def decided(sequential: Sequential, place: str = "Here") -> str:
    """What the comparison that decides when training ends says by now.

    Args:
        sequential: the comparison.
        place: :func:`describe_place`.
    """
    a, b, decision = label(sequential.activation), label(sequential.baseline), sequential.decision
    pairs = f"{decision.n} pair{'' if decision.n == 1 else 's'}"
    ends, level = (decision.low, decision.high), "95 %"
    if decision.verdict == EQUAL:
        ends, level = (decision.margin_low, decision.margin_high), "90 %"
    found = f"mean difference {difference(decision.mean_difference)}, {level} confidence sequence {limits(*ends)}"
    if decision.verdict == UNDECIDED:
        if decision.n == 0:
            return f"Not decided yet: none of at most {sequential.most} pairs is finished. {LOOKING}"
        if decision.n < sequential.most:
            return f"Not decided yet after {pairs} of at most {sequential.most} ({found}). {LOOKING}"
        return f"Not decided after {pairs}, the most that were asked for ({found}). {LOOKING}"
    said = f"{a} is {decision.verdict} than {b}"
    if decision.verdict == EQUAL:
        said = f"{a} and {b} are equal within the margin of {sequential.margin:g}"
    later = len(sequential.looks) - decision.n
    beyond = f" The {later} pair{'' if later == 1 else 's'} after that do{'es' if later == 1 else ''} not change it."
    return f"{place}, decided after {pairs}: {said} ({found}).{beyond if later else ''} {LOOKING}"


LOOKING = "The test holds at every number of pairs, so looking at any time is allowed."
"""What the answer of a study ends with that goes on until it is decided."""


def one_of(declared: Declaration, row: Mapping[Any, Any]) -> str:
    """That a cell of a grid has no verdict of its own, and its estimate."""
    return (
        f"This is one of the {len(declared.cells)} cells of {declared.path.as_posix()}, and has no verdict of its own:"
        f" see `{shlex.join(['fluidrelu', 'report', declared.path.as_posix()])}`.{_estimate(row, '')}"
    )


def interim(row: Mapping[Any, Any], seeds: int) -> str:
    """What a row of inference.comparisons estimates so far, of a study that declares how many seeds it takes."""
    return f"Interim: {row['n']} of {seeds} seeds, no verdict yet.{_estimate(row)}"


def _estimate(row: Mapping[Any, Any], so_far: str = "So far ") -> str:
    """What a row of inference.comparisons estimates; empty without a pair."""
    a, b = label(row["activation"]), label(row["baseline"])
    if row["n"] == 0:
        return ""
    bounds = "" if math.isnan(row["ci_low"]) else f" ({_limits(row)})"
    return f" {so_far}{a}'s mean accuracy is {_apart(row, b)}{bounds}."


def _apart(row: Mapping[Any, Any], than: str) -> str:
    """``0.00050 higher than ReLU's``."""
    mean = row["mean_difference"]
    higher = f"{accuracy(abs(mean), 5)} {'higher' if mean > 0 else 'lower'} than"
    return f"{higher if mean else 'the same as'} {than}'s"


EXPLORATORY = "Exploratory: no file declared this question, so nothing fixed the number of seeds beforehand."


OF_TUNING = "These runs were trained to choose settings by, on held-out images: they answer nothing."


def lost_file(file: str) -> str:
    """That a study was declared, but not what: its copy of the file cannot be used."""
    return (
        f"It was trained from {file}, but its copy of that file is gone or was changed: name the file itself"
        " to have what it declares reported."
    )


def standing(declaration: Declaration | None, log: Sequence[Entry], not_counted: int, changes: Changes | None) -> str:
    """How far what a report says was settled before the runs: the file, what was there before it, what changed since.

    Args:
        declaration: the study's file, if it has one.
        log: the study's.
        not_counted: how many runs are beyond what is declared.
        changes: what the file said otherwise when it was first trained from; None if that is not known.
    """
    if declaration is None:
        trained = (entry for entry in reversed(log) if entry.what == ASKED)
        lost = next((entry.file for entry in trained if entry.sha256 is not None), None)
        return lost_file(lost) if lost else " ".join(_asked_until(log)) or EXPLORATORY
    first = next((entry for entry in log if entry.what == ASKED and entry.sha256 is not None), None)
    said = [_tell_registration(declaration.path.as_posix(), first)]
    said += _tell_changes(declaration, log, changes)
    if not_counted:
        runs, are = _count_runs(not_counted).rsplit(" ", 1)
        said.append(f"{runs} beyond what it declares {are} exploratory, and not counted.")
    return " ".join(said)


def _tell_registration(file: str, first: Entry | None) -> str:
    """Whether runs were declared before they were made.

    Args:
        file: the study's.
        first: by which it was first trained from; None if it never was.
    """
    if first is None:
        return f"Described afterwards in {file}: the runs are older than its first use, so it does not register them."
    if not first.finished:
        return f"Declared in {file}."
    were, those = ("run was", "that one") if first.finished == 1 else ("runs were", "those")
    return f"Declared in {file} when {first.finished} {were} finished already: it is no plan for {those}."


def _tell_changes(declaration: Declaration, log: Sequence[Entry], changes: Changes | None) -> Iterator[str]:
    """What the file said otherwise, until when, and whether its report had been looked at by then; nothing if not."""
    declared = [entry for entry in log if entry.sha256 is not None]
    others = [entry for entry in declared if entry.sha256 != declaration.sha256]
    if not others:
        return
    since = [entry for entry in declared[declared.index(others[-1]) :] if entry.sha256 == declaration.sha256][:1]
    by = "".join(f" by {day(entry.when)}" for entry in since)
    when = f"after its first use ({day(declared[0].when)}){by and ','}{by}"
    told = [] if changes is None else [*_tell_seeds(changes, declaration), *changes.others]
    if changes is None:
        yield f"The file was changed {when}; what it said then is not known, because the copy is gone or was changed."
    elif told:
        yield f"The file was changed {when}: {'; '.join(told)}."
    elif declared[0].sha256 != declaration.sha256:
        yield f"The file was changed {when}, in nothing that is trained or judged."
        return
    else:
        yield f"The file was changed after its first use, and back{by}."
    if any(entry.what == LOOKED for entry in others):
        yield f"Its report had been looked at before that{_tell_exploratory(changes, declaration)}."


def _tell_seeds(changes: Changes, declaration: Declaration) -> Iterator[str]:
    """Which activations have other numbers of seeds: ``seeds of PReLU and ELU 20 → 60``, ``with PReLU``."""
    groups: dict[tuple[int, int], list[str]] = {}
    for name, numbers in changes.seeds.items():
        groups.setdefault(numbers, []).append(name)
    stayed = len(declaration.activations) - sum(then == 0 for then, _ in changes.seeds.values())
    for (then, now), names in groups.items():
        if then and now:
            of = f" of {_names(names)}" if len(names) < stayed else ""
            yield f"seeds{of} {then} → {now}"
        else:
            yield f"{'with' if now else 'without'} {_names(names)}"


def _tell_exploratory(changes: Changes | None, declaration: Declaration) -> str:
    """What changes that were made after looking make exploratory: all, or comparisons besides the primary one.

    These are adjusted for each other, so that what concerns one of them concerns all.
    """
    if changes is None or changes.of_primary or not changes.seeds:
        return ", so p-values and verdicts are exploratory"
    names = [name for name in declaration.activations if name not in (declaration.compare or ())]
    comparisons = "comparison of {} with {} is" if len(names) == 1 else "comparisons of {} with {} are"
    return f", so the {comparisons.format(_names(names), label(declaration.baseline))} exploratory" if names else ""


def _count_runs(n: int) -> str:
    """``1 run is``, ``2 runs are``."""
    return "1 run is" if n == 1 else f"{n} runs are"


def _asked_until(log: Sequence[Entry]) -> Iterator[str]:
    """That training was asked to go on until it is decided, and what was there or otherwise before; nothing if not."""
    asked = list_recalled(log)
    if not asked:
        return
    latest, last = asked[-1]
    first, margin = next((entry, its.margin) for entry, its in asked if its.compare == last.compare)
    yield (
        f"No file declared this question. Training was asked to go on until it is decided, first on {day(first.when)},"
        f" with {'the' if margin == last.margin else 'a'} margin of {margin:g}."
    )
    if first.finished:
        yield f"{_count_runs(first.finished)} older than that."
    if margin != last.margin:
        yield f"The margin was changed to {last.margin:g} ({day(latest.when)})."


def answer_grid(
    declaration: Declaration,
    compared: pd.DataFrame,
    summary: pd.DataFrame,
    lacking: int,
    *,
    place: str = "",
    together: bool = False,
) -> str:
    """What the same comparison says in the cells of a grid.

    Args:
        declaration: the grid's file.
        compared: grid.compare_cells; empty where there is just one activation.
        summary: inference.summary of each cell, with the column cell.
        lacking: how many of its cells lack declared runs.
        place: :func:`describe_place`; empty where it has been said.
        together: whether :func:`multiverse` has said what they say together.
    """
    cells = len(declaration.cells)
    waiting = f"Interim: {cells - lacking} of {cells} cells have all their runs, no verdict yet. " if lacking else ""
    if lacking and cells == 1:
        waiting = "Interim: the only cell lacks runs, no verdict yet. "
    if declaration.compare is None:
        trained = summary[summary["n"] > 0].sort_values("mean")
        least, most = [f"{accuracy(row['mean'])} ({row['cell']})" for row in trained.iloc[[0, -1]].to_dict("records")]
        means = f"is {least}" if len(trained) == 1 else f"ranges from {least} to {most}"
        mine = f"{label(declaration.baseline)}'s mean accuracy {means}"
        over = f"over {_count_seeds(*trained['n'])}{'' if len(trained) == 1 else ' each'}"
        return f"{waiting}{_say_where(place, f'{mine}, {over}')}."
    about, (a, b) = declaration.compare[0], map(label, declaration.compare)
    primary = compared[compared["activation"] == about]
    if primary.empty:
        return f"{waiting}No cell has a pair of {a} and {b}."
    ordered = primary.sort_values("mean_difference")
    low, high = ordered.iloc[0], ordered.iloc[-1]
    span = (
        f"from {difference(low['mean_difference'])} ({low['cell']}) to {difference(high['mean_difference'])}"
        f" ({high['cell']})"
    )
    cannot = too_few_seeds(int(primary["n"].max()), cells)
    if together and cannot and not waiting:
        ends = f"{difference(low['mean_difference'])} to {difference(high['mean_difference'])}"
        return f"By itself no cell is judged: {cannot}. The differences of the mean go from {ends}."
    if waiting or (cannot and cells > 1):
        begun = waiting or f"{cannot}. "
        if len(primary) == 1:
            so_far = f"so far {a}'s mean accuracy is {_apart(low.to_dict(), b)} ({low['cell']})"
        else:
            so_far = f"so far the differences of {a}'s mean accuracy from {b}'s go {span}"
        return f"{begun}{_say_where(place, so_far)}."
    others = compared[compared["activation"] != about]
    if cells == 1:
        rows = {row["activation"]: row for row in others.to_dict("records")}
        rest = f" {tally(rows, declaration.baseline)}" if rows else ""
        only = verdict(low.to_dict(), describe_place(declaration.cells[0].protocol, stops=declaration.ends_nearest))
        return f"There is one cell, {low['cell']}. {only}{rest}"
    said = [f"{label(name)} is {_list_cells(rows)}" for name, rows in others.groupby("activation", sort=False)]
    untold = int((~primary["verdict"].isin([BETTER, WORSE, EQUAL])).sum()) + cells - len(primary)
    judged = f"of {cells} cells {a} is {_list_cells(primary)}, and not told apart from {b} in {untold or 'none'}"
    return (
        f"{_say_where(place, judged)}. The differences of the mean go {span}; p-values are adjusted for the {cells}"
        f" cells.{f' Of the others, {_join(said)}.' if said else ''}"
    )


def multiverse(
    pooled: Mapping[Any, Any],
    learned: Sequence[Mapping[Any, Any]],
    unlearned: Mapping[str, int],
    effects: pd.DataFrame,
    weighted: Sequence[Mapping[Any, Any]],
    fits: pd.DataFrame,
    pair: Sequence[str],
    varied: Collection[str],
    *,
    place: str,
    interim: bool,
) -> str:
    """What the cells of a grid say together: the mean, what to expect elsewhere, the choice that matters most.

    Args:
        pooled: the row of multiverse.pool_protocols.
        learned: the same of the protocols in which every run learned; none where these are all, or too few.
        unlearned: by activation, in how many protocols some run is near guessing.
        effects: multiverse.weigh_choices.
        weighted: the rows of multiverse.weigh_protocols's second table.
        fits: published.fit_protocols.
        pair: the activation and its baseline.
        varied: the fields in which the cells differ; values of one alone say nothing of others.
        place: :func:`describe_place`.
        interim: whether runs are lacking.
    """
    a, b = map(label, pair)
    kinds, n = name_kinds(varied), pooled["cells"]
    over = f"over {n} {kinds}"
    found = f"{a}'s mean accuracy is {_apart({'mean_difference': pooled['mean']}, b)} ({_limits(pooled)})"
    said = [f"{_say_where(place, over)}{' so far' if interim else ''}, {found}{_predict(pooled, varied)}."]
    if not interim:
        p = f"p = {p_value(pooled['p'])}".replace("= <", "< ")
        said.append(f"If the two did not differ in any of them, a mean this far from 0 would come by chance with {p}.")
    if any(unlearned.values()):
        said.append(_tell_unlearned(unlearned, f"{n} {kinds}"))
        said.append(f"The median difference is {difference(pooled['median'])}.")
    said += [
        f"Over the {row['cells']} in which all runs learned the mean difference is {difference(row['mean'])}"
        f" ({_limits(row)}), which is exploratory, because their outcome chose them."
        for row in learned
    ]
    if not effects.empty and not interim:
        said.append(_tell_choice(effects))
    said += [
        f"With each protocol weighted by how likely it makes {b}'s published numbers, the mean difference is"
        f" {difference(row['mean'])} ({_limits(row)}); the weights count as {row['effective']:.1f} equally likely"
        f" protocols of {row['cells']}."
        for row in weighted
    ]
    if not fits.empty and not interim:
        said.append(_tell_fits(fits, name_kinds(varied)))
    return " ".join(said)


def _predict(pooled: Mapping[Any, Any], varied: Collection[str]) -> str:
    """What to expect elsewhere, which the values of a single field do not say."""
    if len(varied) < 2:
        return ""
    predicted = f"between {difference(pooled['predicted_low'])} and {difference(pooled['predicted_high'])}"
    return f"; in a protocol not tried the difference would lie {predicted} (95 % prediction interval)"


def _tell_fits(fits: pd.DataFrame, kinds: str) -> str:
    """By how many protocols the published numbers could have come out."""
    least = fits.groupby("cell", sort=False)["p_least"].first()
    fitting = least.index[least >= ALPHA].tolist()
    numbers = fits.groupby("cell").size().max()
    return (
        f"The published table could have come out of {len(fitting) or 'none'} of the {len(least)} {kinds}"
        f"{_name_few(fitting)}, in the sense that none of its {numbers} numbers would be unusual there (adjusted"
        f" p ≥ {ALPHA:g})."
    )


def _tell_unlearned(unlearned: Mapping[str, int], of: str) -> str:
    """In how many protocols some run of an activation is near guessing."""
    each = [f"{label(name)} in {n or 'none'}" for name, n in unlearned.items()]
    return f"Some runs have learned hardly anything: those of {_join(each)} of {of}."


def rows_left_out(n: int) -> str:
    """What stands below a table of which a terminal shows the first rows."""
    return f"{n} more rows are on the page and in its tables; --explain shows them here."


def _tell_choice(effects: pd.DataFrame) -> str:
    """The kind of choice that matters most, if any is shown to matter."""
    least, fields = effects["field_p"].min(), effects["field"].nunique()
    mine = effects[effects["field_p"] == least].sort_values("effect")
    adjusted = f", adjusted for {fields} choices" if fields > 1 else ""
    if mine.empty or mine["field_p_holm"].iloc[0] >= ALPHA:
        return (
            "No choice is shown to change it."
            if fields > 1
            else f"The {effects['field'].iloc[0]} is not shown to change it."
        )
    ends = [f"{difference(row['effect'])} with {spell_choice(row['level'])}" for row in mine.to_dict("records")]
    p = f"p = {p_value(mine['field_p_holm'].iloc[0])}".replace("= <", "< ")
    return (
        f"The choice that matters most is the {mine['field'].iloc[0]}: the difference is {ends[0]} and {ends[-1]},"
        f" against the mean ({p}{adjusted})."
    )


def explain_multiverse(baseline: str | None) -> str:
    """What the table over all protocols has.

    Args:
        baseline: whose published numbers weigh the protocols, if any do.
    """
    weighted = (
        f" Weighted: by how likely each protocol makes {baseline}'s published numbers, whatever the differences in it"
        " are; the interval is a bootstrap over seeds."
    )
    return (
        "Every protocol counts alike, as one of all that might have been tried. Above and below: the estimated share of"
        " protocols whose true difference is beyond the margin, and how many of the means seen are. The share allows"
        " for τ being uncertain, so it may be above 0 where τ is estimated as 0. p: how often a number as far from 0"
        " would come by chance if neither activation were better in any protocol, by flipping the signs of the pairs."
        f"{weighted if baseline else ''}"
    )


def shared_seeds(pooled: Mapping[Any, Any], kinds: str = "protocols") -> str | None:
    """What follows from protocols, or what they are called, that have the same seeds; None where they have not."""
    if pooled["seeds"] == "disjoint":
        return None
    return (
        f"The {kinds} have the same seeds. What a seed does in all of them is in the interval of the mean, and in the"
        " sign flips each seed has one sign in all."
    )


def _name_few(cells: Sequence[str]) -> str:
    """Cells in parentheses, where they are few."""
    return f" ({', '.join(cells)})" if 0 < len(cells) < 4 else ""


def _list_cells(rows: pd.DataFrame) -> str:
    """In how many cells an activation is better, worse, and equal; which, where they are few."""
    said = []
    for verdict, word in ((BETTER, BETTER), (WORSE, WORSE), (EQUAL, "equal within the margin")):
        found = rows.loc[rows["verdict"] == verdict, "cell"].tolist()
        if found or verdict != EQUAL:
            said.append(f"{word} in {len(found) or 'none'}{_name_few(found)}")
    return ", ".join(said)


NAMES_OF_SETTINGS = {"lr": "learning rate", "beta": "β", "init": "initial weights"}


def name_setting(field: str) -> str:
    """A field of the protocol, as texts and axes call it."""
    return NAMES_OF_SETTINGS.get(field, field.replace("_", " "))


KINDS = {"dataset": "data sets", "model": "networks", "lr": "learning rates", "batch_size": "batch sizes"}


def name_kinds(varied: Collection[str]) -> str:
    """What the cells of a grid are, by the fields in which they differ: protocols, or values of a single one."""
    if len(varied) != 1:
        return "protocols"
    [field] = varied
    return KINDS.get(field, f"values of {name_setting(field)}")


def budget(tuning: Tuning) -> str:
    """With how much each activation was tuned."""
    first, *others = tuning.settings
    same = all(each == first for each in others)
    with_what = f"the same {len(first)} settings" if same else f"as many settings ({len(first)}), not all the same,"
    return (
        f"Each activation was tried with {with_what} on {_count_seeds(tuning.seeds)}, tested on"
        f" {tuning.validation_images:,} held-out training images. These seeds are not among those of the results."
    )


def changes_along(activations: Sequence[str]) -> str:
    """That a tuning curve, drawn over one setting, is of activations of which others were tried, too."""
    return f"Along the line of {_names(activations)}, other settings change, too: the table has them."


def at_an_end(ends: Mapping[str, Sequence[str]]) -> str:
    """That chosen settings are at an end of what was tried; by setting, whose they are."""
    found = _join([f"{setting} of {_names(names)}" for setting, names in ends.items()])
    return f"At an end of what was tried: {found}. A better one may lie beyond."


def within_noise(activations: Sequence[str], seeds: int) -> str:
    """That so many seeds do not tell the settings chosen for activations from the next best ones."""
    over = _count_seeds(seeds)
    return f"The choice for {_names(activations)} is within the noise of {over}: another setting may be as good."


def day(when: str) -> str:
    """A time of a study's log, to the minute: ``2026-11-25 07:10 UTC``."""
    return f"{when[:10]} {when[11:16]} UTC"


def too_few_seeds(n: int, comparisons: int) -> str | None:
    """That so many seeds cannot establish anything, whatever they show, and how many can; None if they can."""
    needed = fewest_pairs(ALPHA / comparisons)
    if n >= needed:
        return None
    seeds = f"{n} seed{'' if n == 1 else 's'}"
    adjusted = f" with {comparisons} comparisons" if comparisons > 1 else ""
    return f"{seeds} cannot establish anything{adjusted}; {needed} can"


def tally(rows: Mapping[str, Mapping[Any, Any] | None], baseline: str) -> str:
    """Which activations are better, worse and not told apart from the baseline, by name.

    Args:
        rows: those of inference.comparisons by activation; None for one without a finished run.
        baseline: the baseline.
    """
    found: dict[str, list[str]] = {}
    for name, row in rows.items():
        found.setdefault("unfinished" if row is None else str(row["verdict"]), []).append(name)
    said = [
        f"{_names(found[kind])} {(one if len(found[kind]) == 1 else several).format(label(baseline))}"
        for kind, (one, several) in _TALLIED.items()
        if kind in found
    ]
    return f"Of the others, {'; '.join(said)}."


_TALLIED = {
    BETTER: ("is better than {}", "are better than {}"),
    WORSE: ("is worse than {}", "are worse than {}"),
    EQUAL: ("is equal to {} within the margin", "are equal to {} within the margin"),
    UNDECIDED: ("is not told apart from {}", "are not told apart from {}"),
    NOT_JUDGED: ("is not judged", "are not judged"),
    INTERIM: ("has no verdict yet", "have no verdict yet"),
    TOO_FEW: ("has too few pairs", "have too few pairs"),
    "unfinished": ("has no finished run", "have no finished run"),
}
"""What is said of one activation, and of several, by the verdict on them."""


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


def adjusted(comparisons: pd.DataFrame) -> str | None:
    """Which p-values of a table are adjusted, where one of them is not; None where there is no such table."""
    judged = comparisons[comparisons["p_holm"].notna()]
    primary, others = (judged[judged["family"] == family] for family in (PRIMARY, SECONDARY))
    if primary.empty or others.empty:
        return None
    mine = f"{label(primary['activation'].iloc[0])}'s"
    told = f"{mine} as it is, the others' adjusted for {len(others)} comparisons (Holm)"
    if len(others) == 1:
        told = f"as they are, {mine} as the primary one and {label(others['activation'].iloc[0])}'s as the only other"
    return f"p: {told}; intervals are not adjusted."


def different_seeds(comparisons: pd.DataFrame) -> str | None:
    """That means are not over the same seeds; None if they are."""
    if not (comparisons["left_out"] != "").any():
        return None
    return "Not all means are over the same seeds: compare activations by their differences, which are."


def left_out(comparisons: pd.DataFrame) -> str | None:
    """Which seeds a comparison leaves out, because only one of the two activations has them; None if there are none."""
    some = comparisons[comparisons["left_out"] != ""]
    if some.empty:
        return None
    found = [
        f"{_names(group['activation'].tolist())}: {_join([_only(*alone) for alone in _ALONE.findall(str(seeds))])}"
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
    return f"only {label(activation)} has seed{'s' if several else ''} {seeds}"


SKEWED, FEW_FOR_SKEWED = 1.0, 30
"""From which skewness on, and with how few pairs, a sign-flip test errs more often than it says."""


def skewed(comparisons: pd.DataFrame) -> str | None:
    """Which differences are so skewed that their p-values are not to be trusted; None if none are."""
    few = (comparisons["n"] >= fewest_pairs()) & (comparisons["n"] < FEW_FOR_SKEWED)
    found = comparisons[few & (comparisons["skewness"].abs() > SKEWED)]
    if found.empty:
        return None
    each = [f"{label(row['activation'])} {difference(row['skewness'], 1)}" for row in found.to_dict("records")]
    return (
        f"The differences are skewed (skewness: {', '.join(each)}). The sign-flip test supposes that they are"
        " symmetric: at skewness 2 and 10 or 20 pairs it finds a difference where there is none in about 9 % of studies"
        " instead of 5 %."
    )


def one_pair(images: pd.DataFrame) -> str | None:
    """What the test images say of activations with a single pair of runs; None where each has more."""
    found = images[images["mcnemar_p"].notna()]
    if found.empty:
        return None
    each = []
    for row in found.to_dict("records"):
        (a, of_a), (b, of_b) = [(label(row[name]), int(row[f"only_{name}"])) for name in ("activation", "baseline")]
        p = f"McNemar's exact p = {p_value(row['mcnemar_p'])}".replace("= <", "< ")
        each.append(f"{a} alone is right on {of_a} image{'' if of_a == 1 else 's'} and {b} alone on {of_b}: {p}")
    begun, not_adjusted = ("Of this one pair", "") if len(each) == 1 else ("Of one pair each,", " (not adjusted)")
    return (
        f"{begun} {'; '.join(each)}{not_adjusted}. That is about these very networks and other images, and says nothing"
        " of other seeds."
    )


def too_few_pairs(comparisons: pd.DataFrame) -> str | None:
    """Which comparisons cannot come out; None if all can."""
    found = comparisons[comparisons["verdict"] == TOO_FEW]
    alone = found.loc[found["n"] < fewest_pairs(), "activation"].tolist()
    if alone:
        return f"With fewer than {fewest_pairs()} pairs no p-value can reach 5 %: {_names(alone)}."
    if found.empty:
        return None
    together = int((comparisons["family"] == SECONDARY).sum())
    needed = fewest_pairs(ALPHA / together)
    adjusted = f"Adjusted for {together} comparisons,"
    if len(found) == together:
        return f"{adjusted} none can reach 5 % with fewer than {needed} pairs."
    return f"{adjusted} {_names(found['activation'].tolist())} cannot reach 5 % with so few pairs; {needed} can."


def published_rankings(rankings: pd.DataFrame, runs: str = "three") -> str | None:
    """How often a table like the paper's would say what the paper's says; None if there are too few runs.

    Args:
        rankings: published.rankings.
        runs: how many runs of each such a table has, in words.
    """
    found = {(row["a"], row["b"]): row for row in rankings.to_dict("records")}
    told = (
        f"A table of {runs} runs each would rank {label(a)} above {label(b)} in both rows"
        f" {percent(found[a, b]['probability'])} of the time, and {label(b)} above {label(a)}"
        f" {percent(found[b, a]['probability'])}. Without any difference each would be"
        f" {percent(found[a, b]['chance'])}."
        for a, b in itertools.combinations(dict.fromkeys(rankings["a"]), 2)
    )
    return " ".join(told) or None


def predictive(predictive: pd.DataFrame, runs: str) -> str:
    """Which of the paper's numbers would be unusual for more runs of ours, and which would not.

    Args:
        predictive: published.predict.
        runs: how many more, in words.
    """
    unusual = _tell_numbers(predictive[predictive["p"] < ALPHA], "the paper's")
    usual = _tell_numbers(predictive[predictive["p"] >= ALPHA], "its")
    if not unusual:
        return f"Nothing that the paper printed would be unusual for {runs} more runs of ours: {usual}."
    first = f"Taken singly, {unusual} would be unusual for {runs} more runs of ours."
    return f"{first} {_capitalise(usual)} would not." if usual else first


def _tell_numbers(predictive: pd.DataFrame, whose: str) -> str:
    """Rows of published.predict in a sentence: an activation's level and spread together, its lead by itself."""
    told = []
    for (name, leads), group in itertools.groupby(
        predictive.to_dict("records"), lambda row: (row["activation"], row["about"] == LEAD)
    ):
        rows = list(group)
        abouts = _join([f"the {row['about']}" for row in rows])
        size = f"{difference(rows[0]['published'])}; " if leads else ""
        p_values = f"p = {_join([p_value(row['p']) for row in rows])}".replace("= <", "< ")
        told.append(f"{abouts} of {whose} {label(name)} ({size}{p_values})")
    return _join(told)


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
    runs = _shorten([f"{name} (training loss {loss:.0e})" for name, loss in losses.items()])
    return (
        f"Diverged (div.), but counted: {', '.join(runs)}. That is, the training loss of the last epoch is above"
        f" {DIVERGED_LOSS:,.0f}, or no number."
    )


def count_diverged(summary: pd.DataFrame) -> str | None:
    """How many runs of each activation diverged: what an answer ends with then. None if none has.

    Args:
        summary: inference.summary, perhaps of several cells.
    """
    counts = summary.groupby("activation", sort=False)[["diverged", "n"]].sum()
    found = [f"{some} of {label(name)}'s {n}" for name, some, n in counts[counts["diverged"] > 0].itertuples()]
    they = "it counts" if counts["diverged"].sum() == 1 else "they count"
    return f"{_join(found)} runs diverged; {they} like any other." if found else None


def factors(betas: Mapping[str, Mapping[str, float]]) -> str | None:
    """With which factors activations learn, but for those that their names tell; None if there are none.

    Args:
        betas: the factor on the gradient of each learned parameter, by activation.
    """
    each = [f"{label(name)} {_number(mine)}" for name, mine in betas.items() if "beta" not in split_arm(name)[1]]
    return f"β, the factor on the gradient of what is learned: {', '.join(each)}." if each else None


def _number(factors: Mapping[str, float]) -> str:
    """``10``, or with several factors ``10 (a) and 1 (b)``."""
    first, *others = set(factors.values())
    return f"{first:g}" if not others else _join([f"{value:g} ({name})" for name, value in factors.items()])


def near_chance(means: Mapping[str, float], chance: float) -> str:
    """Which activations' networks have hardly learned anything."""
    found = _join([f"{label(name)} ({accuracy(mean)})" for name, mean in means.items()])
    are = "is" if len(means) == 1 else "are"
    return (
        f"{found} {are} near guessing ({accuracy(chance)}): a difference between networks that have hardly learned says"
        " little about trained ones."
    )


def hardly_learned(activations: Sequence[str]) -> str:
    """That networks with the activations compared have hardly learned anything: what an answer ends with then."""
    return f"But {_own(activations)} networks have hardly learned anything yet: their accuracy is near guessing."


def hardly_learned_in(cells: Sequence[str], of: int, activations: Sequence[str]) -> str:
    """The same, of some cells of a grid and the activations of which it holds in any of them."""
    if of == 1:
        return hardly_learned(activations)
    where = f"in {len(cells)} of {of} cells{_name_few(cells)}"
    return f"But {where} {_own(activations, 'or')} networks have hardly learned anything yet."


def _own(activations: Sequence[str], last: str = "and") -> str:
    """``ReLU's and Mish's``."""
    return _join([f"{label(name)}'s" for name in activations], last)


def moves(largest: Mapping[str, float]) -> str | None:
    """How far what each activation learned moved; None if none learns."""
    each = [f"{by:.2g} ({label(name)})" for name, by in largest.items()]
    return f"What was learned moved from its start by at most {', '.join(each)}." if each else None


def still_learning(baseline: str, shares: Sequence[float], of: int = 1) -> str:
    """That training ended while the baseline was still learning fast.

    Args:
        baseline: what it is called.
        shares: by which its training loss fell in the last epoch, in each cell in which it fell fast.
        of: how many cells there are.
    """
    by = " to ".join(dict.fromkeys(percent(share) for share in (min(shares), max(shares))))
    cells = f" in {'all' if len(shares) == of else f'{len(shares)} of'} {of} cells" if of > 1 else ""
    return (
        f"{label(baseline)}'s training loss still fell by {by} in the last epoch{cells}: with more epochs the"
        " comparison may come out otherwise."
    )


def failed(activation: str, paths: Sequence[str]) -> str:
    """That trials of an activation failed, and where their tracebacks are."""
    trials = f"{len(paths)} trial{'s' if len(paths) > 1 else ''}"
    return f"{trials} of {label(activation)} failed; the traceback of the last is in {paths[-1]}."


def reproduction(agreement: pd.DataFrame, against: str, limit: float, differing: str) -> str:
    """Whether runs are those of another study: to the last digit, but for rounding, or not.

    Args:
        agreement: inference.compare_runs.
        against: the other study's folder.
        limit: the standard error of an accuracy over other test images. Rounding, at worst, sends a run another way,
            as another seed would, and that has always changed an accuracy by less.
        differing: :func:`differing_conditions`.
    """
    n = len(agreement)
    if n == 0:
        return f"No run has the activation and seed of one in {against}, so there is nothing to compare."
    others = agreement[~agreement["identical"]]
    common = f"runs in common with {against}"
    if others.empty:
        return f"Reproduced: all {n} {common} are equal digit for digit."
    furthest = others.loc[others["accuracy_difference"].abs().idxmax()]
    largest = abs(furthest["accuracy_difference"])
    by = f"{accuracy(largest)} ({label(str(furthest['activation']))}, seed {furthest['seed']})"
    equal = f"{n - len(others)} of {n} {common} are equal digit for digit, and the final accuracies of the others"
    if len(others) == n > 1:
        equal = f"none of the {n} {common} is equal digit for digit, and their final accuracies"
    if largest > limit:
        return (
            f"Not reproduced: {equal} differ by up to {by}. Rounding explains"
            f" no more than about {accuracy(limit)}, the standard error over other test images: compare the .json files"
            f" beside the runs.{differing and f' They differ in {differing}.'}"
        )
    reason = f"another {differing}" if differing else "a library that is not recorded"
    return (
        f"Reproduced but for rounding: {equal} differ by at most {by}. That is"
        f" within {accuracy(limit)}, the standard error over other test images, and {reason} may round differently."
    )


def differing_conditions(mine: Iterable[Run], theirs: Iterable[Run]) -> str:
    """In what of that which changes how a computer rounds two studies differ, in words; empty if in nothing."""
    here, there = count_conditions(mine), count_conditions(theirs)
    names = [name for name in ("processor", "version of torch", "device") if name in here and name in there]
    return _join(
        [
            f"{name} (there {_join([*there[name]])}; here {_join([*here[name]])})"
            for name in names
            if here[name].keys() != there[name].keys()
        ]
    )


def not_drawn(name: str, reason: str) -> str:
    """Why a figure is missing."""
    return f"The figure {name} is not drawn ({reason})."


def not_in_figure(name: str, activation: str, reason: str) -> str:
    """Why a figure lacks an activation."""
    return f"The figure {name} is drawn without {label(activation)} ({reason})."


def where(facts: Mapping[str, str], activations: Iterable[str] = (), varied: Collection[str] = ()) -> str:
    """What was trained and how, in short: what all runs have in common, and in what those of a seed differ.

    Args:
        facts: of the protocol, by the fields' names in words, as far as they hold for any activation.
        activations: those that were trained, some perhaps with settings of their own.
        varied: fields that differ between the cells of a grid, or between several studies.
    """
    own = sorted({name for each in activations for name in split_arm(each)[1]})
    apart = [name for name in varied if name not in own]
    differing = {name.replace("_", " ") for name in (*own, *apart)}
    usual, always = Protocol().facts(), ("dataset", "model", "epochs", "batch size", "lr")
    others = [name for name, value in facts.items() if name not in always and value != usual.get(name)]
    same = [_tell_fact(name, facts[name]) for name in (*always, *others) if name in facts and name not in differing]
    names = [_PLACES.get(name) or name_setting(name) for name in apart]
    only = f"Apart from {_join(names)}, only" if apart else "Only"
    its_own = f" and its own {_join([name_setting(name) for name in own])} differ" if own else " differs"
    sentence = f"{only} the activation{its_own} between the runs of a seed."
    return f"{', '.join(same)}. {sentence}" if same else sentence


def _tell_fact(name: str, value: str) -> str:
    if name == "model":
        return name_network(value)
    if name == "epochs":
        return f"{value} epoch{'' if value == '1' else 's'}"
    return f"{_PLACES.get(name) or name_setting(name)} {value}"


_PLACES = {"dataset": "data set", "model": "network"}
"""Fields of the protocol as sentences call them; the tables keep the fields' own names."""


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


MOST_NAMES, NAMES_SHOWN = 8, 6
"""The most names that a sentence lists, and how many it lists where there are more."""


def _names(activations: Sequence[str], last: str = "and") -> str:
    """Activations in a sentence, of very many the first ones."""
    return _join(_shorten([label(name) for name in activations]), last)


def _shorten(names: Sequence[str]) -> list[str]:
    """All of them; of very many the first ones, and how many more there are."""
    if len(names) <= MOST_NAMES:
        return [*names]
    return [*names[:NAMES_SHOWN], f"{len(names) - NAMES_SHOWN} more"]


def _join(names: Sequence[str], last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return f" {last} ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


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
