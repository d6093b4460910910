"""The formats of a report, each a function of the document alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd

from fluidrelu_cli.analysis.inference import COMPARISON_COLUMNS
from fluidrelu_cli.files import csv_text, json_text
from fluidrelu_cli.report import tables, wording
from fluidrelu_cli.report.document import Document

if TYPE_CHECKING:
    from rich.table import Table


def to_parts(document: Document, *, explain: bool = True) -> Iterator[Table | str]:
    """What a terminal shows, in order; each block ends with an empty line, as a table does by itself.

    Args:
        document: the report.
        explain: also say what the columns mean, which is the same in every study.
    """
    where = wording.where(document.facts, [each.name for each in document.activations])
    yield from (document.question, document.answer, *filter(None, [document.standing]), "")
    yield from (f"{document.where}: {where}", "")
    for section in document.sections:
        yield tables.rich_table(section.title, *section.cells)
        notes = section.footnotes if explain else section.remarks
        if notes:
            yield from (*notes, "")


def to_markdown(document: Document) -> str:
    parts = [_paragraph(text) for text in (_head(document), document.answer, document.standing) if text]
    for section in document.sections:
        title = f"## {tables.escape_markdown(section.title)}\n"
        parts += [title, tables.markdown(*section.cells), *map(_paragraph, section.footnotes)]
    return "\n".join(parts)


def _paragraph(text: str) -> str:
    """A text as a paragraph of Markdown, which it does not begin as a list or a quotation."""
    return re.sub(r"^(\d*)([-+.)](?=[\s-]|$)|>)", r"\1\\\2", tables.escape_markdown(text).lstrip()) + "\n"


def to_csv(document: Document) -> str:
    """One row per activation, of a grid in each cell: the summary and, beside it, the comparison with the baseline."""
    found = document.tables
    keys = [name for name in ("cell", "activation") if name in found["summary"]]
    compared = found.get("comparisons", pd.DataFrame(columns=[*keys, *COMPARISON_COLUMNS[1:]]))
    names = {"n": "pairs", "ci_low": "difference_ci_low", "ci_high": "difference_ci_high"}
    counts = dict.fromkeys(("n", "wins", "ties", "losses"), "Int64")  # whole beside a row without them, too
    compared = compared.astype(counts).rename(columns=names)
    return csv_text(found["summary"].merge(compared, on=keys, how="left"))


def to_json(document: Document) -> str:
    """Everything. Tables that any study may have are present even if empty, those of a paper where a study has them."""
    records = {
        name: json.loads(table.to_json(orient="records", double_precision=15))
        for name, table in document.tables.items()
    }
    content: dict[str, Any] = {
        "study": document.where,
        "protocol": document.protocol.to_dict(),
        "cells": document.cells,
        "test_images": document.test_images,
        "question": document.question,
        "answer": document.answer,
        "standing": document.standing,
        "sequential": document.sequential,
        "remarks": document.remarks,
        "notes": document.notes,
        "summary": [],
        "comparisons": [],
        "studies": [],
        **records,
        "runs": json.loads(document.runs.to_json(orient="records", double_precision=15)),
        "conditions": document.conditions,
        "activations": [asdict(each) for each in document.activations],
        "network": None if document.network is None else asdict(document.network),
        "commands": document.commands,
    }
    return json_text(content)


def to_latex(document: Document) -> str:
    """Tables for the package booktabs, each with a label and followed by its notes as comments."""
    parts = [f"% needs \\usepackage{{booktabs}}\n% {_latex(_head(document))}\n"]
    for section in document.sections:
        notes = (f"% {_latex(note)}\n" for note in section.footnotes)
        parts.append(
            "".join(
                [latex_table(section.title, *section.cells, label=_name_label(document.study, section.name)), *notes]
            )
        )
    return "\n".join(parts)


def to_runs(document: Document) -> str:
    """Every run as one CSV: the columns of the run CSVs, a row per run and epoch."""
    return csv_text(document.runs)


FORMATS: Mapping[str, Callable[[Document], str]] = {
    "markdown": to_markdown,
    "csv": to_csv,
    "json": to_json,
    "latex": to_latex,
    "runs": to_runs,
}
"""Those that are text, by name."""

NOTHING = "\0"
"""No text has it."""

LATEX: dict[str, str | int | None] = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # a row that began with this or the next would be an option of the line above
    "*": "{*}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "−": "$-$",
    "–": "--",
    "±": r"$\pm$",
    "→": r"$\to$",
    NOTHING: "{}",
}
"""Characters that LaTeX takes for commands, does not know in its default setup, or prints as others."""


def _name_label(study: str, section: str) -> str:
    """What a table is referred to by: two studies in one paper have two."""
    return re.sub(r"[^A-Za-z0-9./_-]+", "-", f"{study}-{section}" if study else section)


def latex_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], label: str) -> str:
    """A table for LaTeX with the package booktabs, called ``tab:LABEL``; numbers to the right."""
    names, *cells = (" & ".join(map(_latex, row)) + " \\\\\n" for row in (head, *rows))
    return (
        f"\\begin{{table}}[htbp]\n\\centering\n\\caption{{{_latex(title)}}}\n\\label{{tab:{label}}}\n"
        f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}\n"
        f"\\toprule\n{names}\\midrule\n{''.join(cells)}\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
    )


def _latex(text: str) -> str:
    """Any text as one line of LaTeX that prints it as it is."""
    apart = re.sub("(?<=[-–])(?=[-–])", NOTHING, tables.join_lines(text))  # LaTeX makes one of two dashes
    return apart.translate(str.maketrans(LATEX))


def _head(document: Document) -> str:
    return f"{document.where}: {tables.protocol_line(document.facts)}"
