"""From evidence to a document, and from a document to the files that are derived from a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

from fluidrelu_cli.declaration import TUNING
from fluidrelu_cli.errors import StorageError
from fluidrelu_cli.files import csv_text, replace_folder
from fluidrelu_cli.report import plots, tables, wording
from fluidrelu_cli.report.commands import list_commands
from fluidrelu_cli.report.document import Document, Drawing, Picture, explain
from fluidrelu_cli.report.evidence import Evidence, Sequential
from fluidrelu_cli.report.figures import FIGURES
from fluidrelu_cli.report.functions import define_activations, define_network
from fluidrelu_cli.report.page import render_page
from fluidrelu_cli.report.sections import SECTIONS


def build_document(evidence: Evidence, made: date | None = None) -> Document:
    """The report that the evidence gives; nothing is drawn yet.

    Args:
        evidence: what the runs show.
        made: the date for its page; None for a page that is the same on any day.
    """
    sections = (write_section(evidence) for write_section in SECTIONS)
    failures = evidence.failures
    declared = evidence.declaration
    answer = wording.answer(
        evidence.comparisons,
        evidence.summary,
        evidence.baseline,
        evidence.focus,
        place=wording.describe_place(evidence.protocol, stops=evidence.stops is not None),
        failures=failures,
        declared=declared,
        sequential=evidence.sequential,
        needed=evidence.needed,
    )
    if untrained := evidence.untrained_pair:
        answer = f"{answer} {wording.hardly_learned(untrained)}"
    if diverged := wording.count_diverged(evidence.summary):
        answer = f"{answer} {diverged}"
    untold = {name: paths for name, paths in failures.items() if paths[-1] not in answer}
    return Document(
        question=evidence.question or wording.question(evidence.order, evidence.baseline, evidence.focus),
        answer=answer,
        where=str(evidence.study.folder),
        protocol=evidence.protocol,
        test_images=evidence.test_images,
        sections=tuple(section for section in sections if section is not None),
        pictures=tuple(picture for find in FIGURES for picture in find(evidence)),
        runs=evidence.run_table,
        conditions=wording.count_conditions(evidence.runs),
        notes=(*evidence.notes, *(wording.failed(name, paths) for name, paths in untold.items())),
        study=evidence.study.name,
        activations=define_activations(evidence),
        network=define_network(evidence),
        commands=list_commands(evidence),
        sequential=_list_fields(evidence.sequential),
        standing=wording.OF_TUNING
        if declared is None and evidence.study.folder.name == TUNING
        else wording.standing(declared, evidence.log, evidence.not_counted, evidence.changes),
        made=made,
    )


def _list_fields(sequential: Sequential | None) -> dict[str, Any] | None:
    """Its numbers by name."""
    if sequential is None:
        return None
    names = {name: getattr(sequential, name) for name in ("activation", "baseline", "margin", "most")}
    return {**names, "pairs": len(sequential.looks), **asdict(sequential.decision)}


def illustrate(document: Document, kinds: Sequence[str], width: float | None = None) -> Document:
    """The document with its pictures drawn, as files of these kinds, and a note on each that cannot be drawn.

    Args:
        document: the report.
        kinds: endings of files.
        width: of every figure, in inches, where it is to be printed.
    """
    with plots.style(width):
        drawn = [_draw(picture, kinds) for picture in document.pictures]
        lacking = [note for picture in document.pictures for note in picture.explain_left_out()]
    drawings = tuple(drawing for drawing in drawn if isinstance(drawing, Drawing))
    notes = (note for note in drawn if isinstance(note, str))
    return replace(document, drawings=drawings, notes=(*document.notes, *notes, *lacking))


def _draw(picture: Picture, kinds: Sequence[str]) -> Drawing | str:
    """The picture as files, or why it cannot be drawn."""
    try:
        return Drawing(picture.name, picture.caption, plots.render(picture.draw(), kinds))
    except (Exception, SystemExit) as error:  # whatever it is, the report has more to say than one figure
        return wording.not_drawn(picture.name, explain(error))


def derive_files(document: Document) -> dict[str, str | bytes]:
    """Tables, figures and page of an illustrated document, by their paths in a folder of derived files."""
    contents: dict[str, str | bytes] = {}
    for section in document.sections:
        contents[f"{section.name}.csv"] = csv_text(section.table)
        contents[f"{section.name}.md"] = tables.markdown(*section.cells)
    for drawing in document.drawings:
        contents |= {f"figures/{drawing.name}.{kind}": content for kind, content in drawing.contents.items()}
    contents["report.html"] = render_page(document)
    return contents


def write_report(document: Document, folder: Path) -> Path:
    """Replace a folder of derived files; the page's path. StorageError if that fails, or other files would be lost."""
    contents = derive_files(document)
    for path in sorted([*folder.glob("[!.]*"), *folder.glob("figures/[!.]*")]):
        if path.relative_to(folder).as_posix() not in contents and not _is_derived(path):
            raise StorageError(
                f"{path} is no file of a report, which replaces its whole folder: move it away, or name another folder"
                " with --output."
            )
    replace_folder(folder, contents)
    return folder / "report.html"


def _is_derived(path: Path) -> bool:
    """Whether another report could have written what is in a report's folder: a table in both its forms, a figure."""
    if path.parent.name == "figures":
        return path.suffix in (".png", ".svg", ".pdf")
    forms = (".csv", ".md")
    return path.name == "figures" or (path.suffix in forms and all(path.with_suffix(each).is_file() for each in forms))
