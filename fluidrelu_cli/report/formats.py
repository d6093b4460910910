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

MOST_ROWS = 40
"""A terminal shows tables of more rows than that to half as many, unless it is to explain everything."""


def to_parts(document: Document, *, explain: bool = True) -> Iterator[Table | str]:
    """What a terminal shows, in order; each block ends with an empty line, as a table does by itself.

    Args:
        document: the report.
        explain: also say what the columns mean, which is the same in every study.
    """
    where = wording.where(document.facts, [each.name for each in document.activations], document.varied)
    yield from (document.question, document.answer, *filter(None, [document.standing]), "")
    yield from (f"{document.where}: {where}", "")
    for section in document.sections:
        header, rows = section.cells
        left_out = 0 if explain or len(rows) <= MOST_ROWS else len(rows) - MOST_ROWS // 2
        yield tables.rich_table(section.title, header, rows[: len(rows) - left_out])
        notes = section.footnotes if explain else section.remarks
        if left_out:
            notes = (wording.rows_left_out(left_out), *notes)
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
    made = [
        latex_table(section.title, *section.cells, label=_name_label(document.study, section.name))
        + "".join(f"% {_latex(note)}\n" for note in section.footnotes)
        for section in document.sections
    ]
    head = f"% needs \\usepackage{{booktabs}}\n% {_latex(_head(document))}\n"
    return "\n".join([head + (PRINT_RARE if any(r"\rarecharacter" in table for table in made) else ""), *made])


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

GREEK = dict(
    zip(
        "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ",
        [
            *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"),
            *("nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
            *("Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega"),
        ],
        strict=True,
    )
)
"""Letters by LaTeX's command for them."""

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
    "←": r"$\leftarrow$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "µ": r"$\mu${}",  # the sign, not the letter
    **{letter: f"$\\{name}$" for letter, name in GREEK.items()},
    NOTHING: "{}",
}
"""Characters that LaTeX takes for commands, does not know in its default setup, or prints as others."""

_RARE = re.compile(r"[^\0-~¡-ª¬-º¼-ÏÑ-Ýß-ïñ-ýÿ-ăĆ-ďĒ-ėĚ-ĥĨ-ĭİ-ķĹ-ľŁ-ňŌ-ťŨ-űŴ-ž—‘’“”…]")
"""Characters that pdfLaTeX has no font for as it is set up, if LATEX does not have them."""

PRINT_RARE = (
    "% pdfLaTeX prints the codes of some characters below; LuaLaTeX and XeLaTeX print them with a font that has them\n"
    r"\providecommand{\rarecharacter}[2]{\ifdefined\Umathchar#1\else{[}U+#2]\fi}"
    "\n"
)
"""What is before the tables if they have rare characters, so that every LaTeX compiles them."""


def _name_label(study: str, section: str) -> str:
    """What a table is referred to by: two studies in one paper have two."""
    return re.sub(r"[^A-Za-z0-9./_-]+", "-", f"{study}-{section}" if study else section)


def latex_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], label: str) -> str:
    """A table for LaTeX with the package booktabs, called ``tab:LABEL``; numbers to the right."""
    heads = [_latex_head(name, "r" if index else "l") for index, name in enumerate(head)]
    names, *cells = (" & ".join(row) + " \\\\\n" for row in (heads, *(map(_latex, row) for row in rows)))
    return (
        f"\\begin{{table}}[htbp]\n\\centering\n\\caption{{{_latex(title)}}}\n\\label{{tab:{label}}}\n"
        f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}\n"
        f"\\toprule\n{names}\\midrule\n{''.join(cells)}\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
    )


def _latex_head(text: str, side: str) -> str:
    """The head of a column in as many lines as it has: in one, a table would be wider than a page."""
    first, *others = map(_latex, text.split("\n"))
    lines = " \\\\ ".join([first, *others])
    return f"\\begin{{tabular}}[b]{{@{{}}{side}@{{}}}}{lines}\\end{{tabular}}" if others else first


def _latex(text: str) -> str:
    """Any text as one line of LaTeX that prints it as it is."""
    # LaTeX makes one of two dashes, and of two quotes or commas
    apart = re.sub("(?<=[-–])(?=[-–])|(?<=['`,])(?=['`,])", NOTHING, tables.join_lines(text))
    return _RARE.sub(_print_rare, apart.translate(str.maketrans(LATEX)))


def _print_rare(found: re.Match[str]) -> str:
    return f"\\rarecharacter{{{found[0]}}}{{{ord(found[0]):04X}}}"


def _head(document: Document) -> str:
    return f"{document.where}: {tables.protocol_line(document.facts)}"
