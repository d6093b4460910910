"""The report over the cells of a grid: one question, asked in each, and one answer."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

import pandas as pd

from fluidrelu_cli.analysis.grid import compare_cells, join_cells
from fluidrelu_cli.declaration import Cell, Declaration
from fluidrelu_cli.report import plots, tables, wording
from fluidrelu_cli.report.document import Document, Picture, Section
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.functions import define_activations, define_network
from fluidrelu_cli.report.multiverse import Multiverse, describe, draw, gather, tell
from fluidrelu_cli.report.sections import list_doubts, tell_learning


def build_grid_document(declaration: Declaration, cells: Mapping[Cell, Evidence], made: date | None = None) -> Document:
    """The report on a study file that varies something; nothing is drawn yet.

    Args:
        declaration: the file, its activations spelled as the studies have them.
        cells: what the runs of each cell show, of those that have some.
        made: the date for its page; None for a page that is the same on any day.
    """
    by_name = {cell.name: evidence for cell, evidence in cells.items()}
    first = next(iter(by_name.values()))
    summary = join_cells({name: evidence.summary for name, evidence in by_name.items()})
    lacking = len(declaration.cells) - sum(not evidence.lacking for evidence in by_name.values())
    compared = _compare(declaration, by_name, interim=lacking > 0)
    order = list(declaration.activations)
    multiverse = gather(declaration, by_name, compared, interim=lacking > 0)
    place = wording.describe_place(declaration.protocol, declaration.varied, stops=declaration.ends_nearest)
    if multiverse is None:
        answer = wording.answer_grid(declaration, compared, summary, lacking, place=place)
    else:
        each = wording.answer_grid(declaration, compared, summary, lacking, together=True)
        answer = f"{tell(multiverse, place)} {each}"
    if declaration.tuned is not None:
        answer = f"{answer} {wording.tuned(declaration)}"
    untrained = {name: evidence.untrained_pair for name, evidence in by_name.items() if evidence.untrained_pair}
    if untrained and (multiverse is None or not any(multiverse.unlearned.values())):
        whose = [name for name in first.pair if any(name in names for names in untrained.values())]
        answer = f"{answer} {wording.hardly_learned_in(list(untrained), len(declaration.cells), whose)}"
    if diverged := wording.count_diverged(summary):
        answer = f"{answer} {diverged}"
    return Document(
        question=declaration.question or wording.question(order, declaration.baseline, _about(declaration)),
        answer=answer,
        where=str(first.study.folder.parent),
        protocol=declaration.protocol,
        test_images=first.test_images,
        sections=(
            *(describe(multiverse) if multiverse is not None else ()),
            *_describe(compared, _about(declaration), summary, by_name),
        ),
        pictures=_draw(declaration, by_name, compared, summary, multiverse),
        runs=join_cells({name: evidence.run_table for name, evidence in by_name.items()}),
        conditions=wording.count_conditions([run for evidence in by_name.values() for run in evidence.runs]),
        notes=tuple(f"{name}: {note}" for name, evidence in by_name.items() for note in evidence.notes),
        study=declaration.name,
        activations=define_activations(first),
        network=define_network(first),
        commands=tuple(
            shlex.join(["fluidrelu", command, declaration.path.as_posix()]) for command in ("run", "report")
        ),
        cells={cell.name: cell.settings for cell in declaration.cells},
        standing=_describe_standing(declaration, list(by_name.values())),
        made=made,
    )


def _describe_standing(declaration: Declaration, cells: Sequence[Evidence]) -> str:
    """wording.standing with the first use of the file in any cell, and the runs that were older in all of them."""
    uses = [(each.first_use, each) for each in cells]
    found = [(use, each) for use, each in uses if use is not None]
    use, first = min(found, key=lambda pair: pair[0].when, default=(None, cells[0]))
    older = sum(each.finished or 0 for each, _ in found)
    later = sorted((entry for each in cells for entry in each.log if entry is not use), key=lambda entry: entry.when)
    log = [replace(use, finished=older), *later] if use is not None and len(found) == len(cells) else []
    return wording.standing(declaration, log, sum(each.not_counted for each in cells), first.changes)


def _about(declaration: Declaration) -> str | None:
    return declaration.compare[0] if declaration.compare else None


def _compare(declaration: Declaration, cells: Mapping[str, Evidence], *, interim: bool) -> pd.DataFrame:
    """analysis.grid.compare_cells with the declared comparison first; empty where there is just one activation."""
    compared = {name: evidence.own_comparisons for name, evidence in cells.items()}
    return compare_cells(compared, _about(declaration) or "", interim=interim)


def _describe(
    compared: pd.DataFrame, about: str | None, summary: pd.DataFrame, cells: Mapping[str, Evidence]
) -> tuple[Section, ...]:
    stops = [evidence.stops for evidence in cells.values() if evidence.stops is not None]
    doubts = [f"{name}: {doubt}" for name, evidence in cells.items() for doubt in list_doubts(evidence)]
    remarks = tuple(filter(None, [*doubts, tell_learning(list(cells.values()))]))
    title = f"Accuracy {'where each cell stops' if stops else 'after the last epoch'}, by cell"
    first = next(iter(cells.values()))
    noise = wording.noise(summary, first.test_images, held_out=first.protocol.validation_images is not None)
    of_means = Section("summary", title, summary, tables.cell_summary_cells(summary), remarks, explanations=(noise,))
    sections = []
    primary = compared[compared["activation"] == about]
    others = compared[compared["activation"] != about]
    if not primary.empty:
        activation, baseline = (tables.label(primary[name].iloc[0]) for name in ("activation", "baseline"))
        what = f"{activation} minus {baseline}, cell by cell"
        sections.append(
            Section("comparisons", what, primary, tables.cell_cells(primary), explanations=(wording.CELLS_EXPLAINED,))
        )
    if not others.empty:
        what = f"The others minus {tables.label(others['baseline'].iloc[0])}, cell by cell"
        sections.append(
            Section(
                "other_comparisons",
                what,
                others,
                tables.other_cell_cells(others),
                explanations=(wording.OTHER_CELLS_EXPLAINED,),
            )
        )
    if stops:
        table = pd.concat(stops, ignore_index=True)
        head = f"Where each cell stops: {tables.label(first.baseline)} is nearest to what was published"
        sections.append(
            Section("stops", head, table, tables.stop_cells(table), explanations=(wording.STOPS_EXPLAINED,))
        )
    return (*sections, of_means)


def _draw(
    declaration: Declaration,
    cells: Mapping[str, Evidence],
    compared: pd.DataFrame,
    summary: pd.DataFrame,
    multiverse: Multiverse | None,
) -> tuple[Picture, ...]:
    pictures = []
    primary = compared[compared["activation"] == _about(declaration)]
    if multiverse is not None:
        pictures.append(draw(multiverse, summary))
    elif not primary.empty:
        pictures.append(
            Picture(
                "effects",
                "One row per cell. An interval that excludes 0 is no verdict by itself: p-values are adjusted.",
                lambda: plots.figure_of(plots.effects(primary)),
            )
        )
    places = _find_places(declaration, cells)
    if places:
        finals = join_cells({name: evidence.finals for name, evidence in cells.items()})
        colours = plots.pick_colours(dict.fromkeys(summary["activation"]))
        [setting] = declaration.varied
        pictures.append(
            Picture(
                "accuracies",
                "Each activation's accuracy at each setting: every seed, and the mean with its 95 % interval.",
                lambda: plots.by_setting(summary, finals, places, colours, wording.name_setting(setting)),
            )
        )
    return tuple(pictures)


def _find_places(declaration: Declaration, cells: Mapping[str, Evidence]) -> dict[str, float]:
    """Each cell's place on an axis, where one number is varied; nothing otherwise."""
    if len(declaration.varied) != 1:
        return {}
    values = {cell.name: next(iter(cell.settings.values())) for cell in declaration.cells}
    if not all(isinstance(value, (int, float)) for value in values.values()):
        return {}
    return {name: float(value) for name, value in values.items() if name in cells}
