"""The formats of a report, each a function of the document alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from fluidrelu_cli.analysis.inference import COMPARISON_COLUMNS
from fluidrelu_cli.files import csv_text
from fluidrelu_cli.report import tables
from fluidrelu_cli.report.document import Document

if TYPE_CHECKING:
    from rich.table import Table


def to_parts(document: Document) -> Iterator[Table | str]:
    """What a terminal shows, in order."""
    yield _head(document)
    yield document.answer
    for section in document.sections:
        yield tables.rich_table(section.title, *section.cells)
        yield from section.remarks


def to_markdown(document: Document) -> str:
    parts = [f"{_head(document)}\n", f"{document.answer}\n"]
    for section in document.sections:
        remarks = (f"{remark}\n" for remark in section.remarks)
        parts += [f"## {section.title}\n", tables.markdown(*section.cells), *remarks]
    return "\n".join(parts)


def to_csv(document: Document) -> str:
    """One row per activation: the summary and, beside it, the comparison with the baseline."""
    found = document.tables
    compared = found.get("comparisons", pd.DataFrame(columns=list(COMPARISON_COLUMNS)))
    names = {"n": "pairs", "ci_low": "difference_ci_low", "ci_high": "difference_ci_high"}
    counts = dict.fromkeys(("n", "wins", "ties", "losses"), "Int64")  # whole beside a row without them, too
    compared = compared.astype(counts).rename(columns=names)
    return csv_text(found["summary"].merge(compared, on="activation", how="left"))


def to_json(document: Document) -> str:
    """Everything. Tables that any study may have are present even if empty, those of a paper where a study has them."""
    records = {
        name: json.loads(table.to_json(orient="records", double_precision=15))
        for name, table in document.tables.items()
    }
    content: dict[str, Any] = {
        "study": document.where,
        "protocol": document.protocol.to_dict(),
        "test_images": document.test_images,
        "question": document.question,
        "answer": document.answer,
        "remarks": document.remarks,
        "notes": document.notes,
        "summary": [],
        "comparisons": [],
        "studies": [],
        **records,
        "conditions": document.conditions,
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def to_latex(document: Document) -> str:
    """Tables for the package booktabs, each followed by its remarks as comments."""
    return "\n".join(
        "".join([latex_table(section.title, *section.cells), *(f"% {remark}\n" for remark in section.remarks)])
        for section in document.sections
    )


FORMATS: Mapping[str, Callable[[Document], str]] = {
    "markdown": to_markdown,
    "csv": to_csv,
    "json": to_json,
    "latex": to_latex,
}
"""Those that are text, by name."""

LATEX = {"−": "$-$", "–": "--", "±": r"$\pm$", "<": "$<$", "→": r"$\to$"}
"""Characters of tables that LaTeX's default setup does not know, or prints as others."""


def latex_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for LaTeX with the package booktabs; numbers to the right."""
    table = pd.DataFrame(list(rows), columns=[name.replace("\n", " ") for name in head])
    styled = table.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis="columns")
    caption = re.sub(r"([&%$#_{}])", r"\\\1", title)
    text: str = styled.to_latex(
        hrules=True, column_format="l" + "r" * (len(head) - 1), position="htbp", caption=caption
    )
    for character, command in LATEX.items():
        text = text.replace(character, command)
    return text


def _head(document: Document) -> str:
    return f"{document.where}: {tables.protocol_line(document.facts)}"
