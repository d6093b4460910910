"""The report over the cells of a grid: one question, asked in each, and one answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pandas as pd

from fluidrelu_cli.analysis.grid import INTERIM, compare_cells, join_cells
from fluidrelu_cli.declaration import Cell, Declaration
from fluidrelu_cli.report import plots, tables, wording
from fluidrelu_cli.report.document import Document, Picture, Section
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.functions import define_activations, define_network


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
    compared = _compare(declaration, by_name)
    lacking = len(declaration.cells) - sum(not evidence.lacking for evidence in by_name.values())
    order = list(declaration.activations)
    varied = {name: ", ".join(dict.fromkeys(_list_values(declaration, name))) for name in declaration.varied}
    return Document(
        question=declaration.question or wording.question(order, declaration.baseline, _about(declaration)),
        answer=wording.answer_grid(compared, summary, len(declaration.cells), lacking),
        where=str(first.study.folder.parent),
        protocol=declaration.protocol,
        test_images=first.test_images,
        sections=_describe(compared, summary),
        pictures=_draw(declaration, by_name, compared, summary),
        runs=join_cells({name: evidence.run_table for name, evidence in by_name.items()}),
        conditions=wording.count_conditions([run for evidence in by_name.values() for run in evidence.runs]),
        notes=tuple(f"{name}: {note}" for name, evidence in by_name.items() for note in evidence.notes),
        study=declaration.name,
        activations=define_activations(first),
        network=define_network(first),
        commands=tuple(f"fluidrelu {command} {declaration.path.as_posix()}" for command in ("run", "report")),
        varied=varied,
        standing=wording.standing(
            declaration, first.study.log, sum(each.not_counted for each in by_name.values()), first.changes
        ),
        made=made,
    )


def _about(declaration: Declaration) -> str | None:
    return declaration.compare[0] if declaration.compare else None


def _list_values(declaration: Declaration, field: str) -> list[str]:
    return [str(cell.settings[field]) for cell in declaration.cells if field in cell.settings]


def _compare(declaration: Declaration, cells: Mapping[str, Evidence]) -> pd.DataFrame:
    """analysis.grid.compare_cells of the declared comparison; empty where there is just one activation.

    As long as a cell of the file has no run at all, no cell has a verdict.
    """
    rows = {
        name: row
        for name, evidence in cells.items()
        for row in evidence.comparisons.to_dict("records")
        if row["activation"] == _about(declaration) and row["n"] > 0
    }
    if len(rows) < len(declaration.cells):
        rows = {name: {**row, "verdict": INTERIM} for name, row in rows.items()}
    return compare_cells(rows)


def _describe(compared: pd.DataFrame, summary: pd.DataFrame) -> tuple[Section, ...]:
    of_means = Section("summary", "Accuracy after the last epoch, by cell", summary, tables.cell_summary_cells(summary))
    if compared.empty:
        return (of_means,)
    activation, baseline = (tables.label(compared[name].iloc[0]) for name in ("activation", "baseline"))
    title = f"{activation} minus {baseline}, cell by cell"
    return (Section("comparisons", title, compared, tables.cell_cells(compared)), of_means)


def _draw(
    declaration: Declaration, cells: Mapping[str, Evidence], compared: pd.DataFrame, summary: pd.DataFrame
) -> tuple[Picture, ...]:
    pictures = []
    if not compared.empty:
        pictures.append(
            Picture(
                "effects",
                "One row per cell. An interval that excludes 0 is no verdict by itself: p-values are adjusted.",
                lambda: plots.figure_of(plots.effects(compared)),
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
