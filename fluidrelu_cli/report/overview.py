"""The report over several studies, each of other data or another network: data sets × activations on one page."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd

from fluidrelu_cli.analysis.cost import compare_cost
from fluidrelu_cli.analysis.grid import join_cells
from fluidrelu_cli.analysis.inference import COMPARISON_COLUMNS, arrange, side_by_side
from fluidrelu_cli.analysis.ranks import Ranking, rank_activations
from fluidrelu_cli.analysis.tuning import list_chosen
from fluidrelu_cli.analysis.verdicts import PRIMARY
from fluidrelu_cli.cost import REFERENCE
from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.protocol import split_arm
from fluidrelu_cli.report import overview_plots, plots, tables, wording
from fluidrelu_cli.report.document import Definition, Document, Picture, Section
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.functions import define_activations
from fluidrelu_cli.report.sections import list_doubts
from fluidrelu_cli.study import DEFAULT_BASELINE

OVERVIEW_COLUMNS = ("cell", "dataset", "model", "epochs", *COMPARISON_COLUMNS, "cost", "cost_differs")
"""Of its comparisons: cell is the study, an activation is called as its file does where settings were chosen for it,
p_holm and verdict of a primary comparison are adjusted for the studies, cost is the time of a step over that of the
baseline, NaN where it was not measured, and cost_differs is whether that can be told from noise.
"""


def build_overview_document(studies: Sequence[Evidence], made: date | None = None) -> Document:
    """The report on several studies that have one baseline; nothing is drawn yet.

    Args:
        studies: what the runs of each show, with its file if it has one. Those that compare nothing, or with another
            baseline than the first one, are left out, which its notes say.
        made: the date for its page; None for a page that is the same on any day.

    Raises:
        UsageError: if fewer than two can be shown.
    """
    baseline = next((_find_names(each)[each.baseline] for each in studies if _compares(each)), DEFAULT_BASELINE)
    shown = {
        each.study.name: each for each in studies if _compares(each) and _find_names(each)[each.baseline] == baseline
    }
    left_out = [each.study.name for each in studies if each.study.name not in shown]
    if len(shown) < 2:
        raise UsageError(
            f"{'None' if not shown else 'Only one'} of these studies has results to compare with {baseline}: name two."
        )
    compared = compare_studies(shown)
    summary = join_cells({name: _rename(each, each.summary) for name, each in shown.items()})
    order = arrange(summary["activation"], [baseline, *summary["activation"]])
    ranking = _rank(shown, summary)
    first = next(iter(shown.values()))
    differing = dict.fromkeys(name for each in shown.values() for name in first.protocol.differences(each.protocol))
    return Document(
        question=wording.ask_overview(baseline),
        answer=wording.overview(compared, baseline, ranking),
        where=str(first.study.folder.parent),
        protocol=first.protocol,
        test_images=first.test_images,
        sections=tuple(_describe(shown, compared, summary, ranking)),
        pictures=tuple(_draw(shown, compared, ranking, order)),
        runs=join_cells({name: each.run_table for name, each in shown.items()}),
        conditions=wording.count_conditions([run for each in shown.values() for run in each.runs]),
        notes=(
            *(wording.compares_nothing(name, baseline) for name in left_out),
            *(f"{name}: {note}" for name, each in shown.items() for note in each.notes),
        ),
        study=", ".join(shown),
        activations=_define_activations(shown.values()),
        commands=_list_commands(shown.values()),
        cells={name: {field: each.protocol.to_dict()[field] for field in differing} for name, each in shown.items()},
        made=made,
    )


def _compares(evidence: Evidence) -> bool:
    """Whether a study has a pair to compare, and what it was tested on counts as a result."""
    return bool((evidence.own_comparisons["n"] > 0).any()) and evidence.protocol.validation_images is None


def _find_names(evidence: Evidence) -> dict[str, str]:
    """What each activation of a study is called beside other studies: as in its file, without what was chosen for it.

    ``fluid@beta=100@lr=0.01`` is ``fluid`` where its file tunes both.
    """
    declared = evidence.declaration
    if declared is None or declared.tuning is None:
        return {name: name for name in evidence.order}
    return dict(zip(declared.activations, declared.tuned_fields(), strict=True))


def _rename(evidence: Evidence, table: pd.DataFrame) -> pd.DataFrame:
    """A table of a study with activations that are called as in others; their own names are in the column arm."""
    names = _find_names(evidence)
    renamed = {name: table[name].map(names) for name in ("activation", "baseline") if name in table}
    result: pd.DataFrame = table.assign(arm=table["activation"], **renamed)
    return result


def compare_studies(studies: Mapping[str, Evidence]) -> pd.DataFrame:
    """The comparisons of all studies that have pairs: OVERVIEW_COLUMNS."""
    parts = []
    for study, evidence in studies.items():
        table = _rename(evidence, evidence.comparisons)
        protocol, costs = evidence.protocol, _find_costs(evidence)
        mine = [costs.get(split_arm(arm)[0], (math.nan, False)) for arm in table["arm"]]
        where: dict[str, Any] = {
            "cell": study,
            "dataset": protocol.dataset,
            "model": protocol.model,
            "epochs": protocol.epochs,
        }
        parts.append(table.assign(**where, cost=[cost for cost, _ in mine], cost_differs=[each for _, each in mine]))
    joined = pd.concat(parts, ignore_index=True)
    compared: pd.DataFrame = joined.loc[joined["n"] > 0, list(OVERVIEW_COLUMNS)].reset_index(drop=True)
    primary = compared["family"] == PRIMARY
    judged = side_by_side(compared[primary].assign(study=compared["cell"]).to_dict("records"))
    for column in ("p_holm", "p_equal_holm", "verdict"):
        compared.loc[primary, column] = judged[column].to_numpy()
    return compared


def _find_costs(evidence: Evidence) -> dict[str, tuple[float, bool]]:
    """By activation, the time of a training step over that of the baseline, and whether they can be told apart.

    As far as it was measured; nothing beside another baseline than REFERENCE, whose noise alone was measured.
    """
    if evidence.cost is None or split_arm(evidence.baseline)[0] != REFERENCE:
        return {}
    table = compare_cost(evidence.cost)
    return dict(zip(table["activation"], zip(table["step"], table["step_differs"], strict=True), strict=True))


def _rank(studies: Mapping[str, Evidence], summary: pd.DataFrame) -> Ranking | None:
    """What all studies have by its mean accuracies, one per data set: those of several studies of one are averaged.

    None as long as a study lacks runs that its file declares, or where there are too few.
    """
    if any(evidence.lacking for evidence in studies.values()):
        return None
    datasets = summary["cell"].map({name: evidence.protocol.dataset for name, evidence in studies.items()})
    means = summary.assign(dataset=datasets).pivot(index=["dataset", "cell"], columns="activation", values="mean")
    return rank_activations(means.dropna(axis="columns").groupby("dataset", sort=False).mean())


def _describe(
    studies: Mapping[str, Evidence], compared: pd.DataFrame, summary: pd.DataFrame, ranking: Ranking | None
) -> Iterator[Section]:
    places = _name_places(studies)
    yield Section(
        "verdicts",
        "Data sets × activations",
        compared[["cell", "activation", "verdict", "mean_difference"]],
        tables.verdict_cells(compared, places),
        tuple(f"{name}: {_tell(each)}" for name, each in studies.items()),
    )
    doubts = tuple(f"{name}: {doubt}" for name, each in studies.items() for doubt in list_doubts(each))
    yield Section(
        "comparisons",
        "Each activation in each study",
        compared,
        tables.overview_cells(compared),
        doubts,
        explanations=(wording.explain_overview(costs=bool(compared["cost"].notna().any())),),
    )
    yield Section("summary", "Mean accuracy ± sample SD over seeds", summary, tables.accuracy_cells(summary, places))
    if ranking is not None:
        several = [name for name, n in Counter(each.protocol.dataset for each in studies.values()).items() if n > 1]
        yield Section(
            "ranks",
            f"Mean ranks over {ranking.data_sets} data sets",
            ranking.table,
            tables.rank_cells(ranking.table),
            (wording.tell_ranks(ranking), *([wording.averaged(several)] if several else [])),
            explanations=(wording.RANKS_EXPLAINED,),
        )


def _name_places(studies: Mapping[str, Evidence]) -> dict[str, str]:
    """What heads a study's column: its data set, network and epochs, and its name where another has the same."""
    places = {name: wording.name_place(each.protocol) for name, each in studies.items()}
    shared = {place for place, n in Counter(places.values()).items() if n > 1}
    return {name: f"{name}\n{place}" if place in shared else place for name, place in places.items()}


def _tell(evidence: Evidence) -> str:
    """What a study was trained on, how often, how far that was declared, and what was chosen for it."""
    seeds = sorted({evidence.count_seeds(name) for name in evidence.order})
    standing = wording.standing(evidence.declaration, evidence.log, evidence.not_counted, evidence.changes)
    chosen = list(list_chosen(evidence.tuned.table).values()) if evidence.tuned is not None else []
    return wording.describe_study(evidence.protocol, seeds, standing, evidence.declaration, chosen)


def _draw(
    studies: Mapping[str, Evidence], compared: pd.DataFrame, ranking: Ranking | None, order: Sequence[str]
) -> Iterator[Picture]:
    titles = _name_places(studies)
    colours = plots.pick_colours(order)
    yield Picture(
        "effects",
        "One panel per study, each with an axis of its own: differences of mean accuracies from the baseline's, with"
        " 95 % intervals. One that is far beyond the others is a number. An interval that excludes 0 is no verdict by"
        " itself: p-values are adjusted.",
        lambda: overview_plots.effects_by_study(compared, order, titles, colours),
    )
    if ranking is not None:
        yield Picture(
            "critical-difference",
            "Mean ranks over the data sets, 1 the best. A bar joins activations that are not told apart.",
            lambda: overview_plots.critical_difference(ranking, colours),
        )


def _define_activations(studies: Collection[Evidence]) -> tuple[Definition, ...]:
    """Each activation as its first study has it."""
    found: dict[str, Definition] = {}
    for evidence in studies:
        for each in define_activations(evidence):
            found.setdefault(each.name, each)
    return tuple(found.values())


def _list_commands(studies: Collection[Evidence]) -> tuple[str, ...]:
    typed = [each.declaration.path.as_posix() if each.declaration else each.study.name for each in studies]
    files = [name for name, each in zip(typed, studies, strict=True) if each.declaration]
    commands = [["fluidrelu", "run", *files]] if files else []
    return tuple(map(shlex.join, [*commands, ["fluidrelu", "report", *typed]]))
