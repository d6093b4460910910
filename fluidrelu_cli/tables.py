"""Statistics as tables to read: for the terminal (rich) and for documents (Markdown). No statistics."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from fluidrelu_cli.protocol import PAPER_PAIR
from fluidrelu_cli.records import RUN_COLUMNS
from fluidrelu_cli.statistics import ROWS

LABELS = {"relu": "ReLU", "fluid": "FluidReLU"}
"""How the paper's two activations are called in its table and in figures."""

UNEQUAL_N = (
    "Best and worst of n grow apart with n: only the expected best and worst of 3 compare with the paper's three runs."
)


def accuracy(value: float, digits: int = 4) -> str:
    """An accuracy as the paper prints it; a dash where there is none."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def label(activation: str) -> str:
    return LABELS.get(activation, activation)


def table2_cells(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Table 2's head and rows, from statistics.table2: activations side by side, each with all its sources."""
    sources = list(dict.fromkeys(table["source"]))
    cells = table.set_index(["row", "activation", "source"])
    columns = [(activation, source) for activation in PAPER_PAIR for source in sources]
    head = ["accuracy"]
    for activation, source in columns:
        head.append(f"{label(activation)}\n{source}\n(n = {cells.loc[(ROWS[0], activation, source), 'n']})")
    rows = [[row, *(accuracy(cells.loc[(row, *column), "accuracy"]) for column in columns)] for row in ROWS]
    return head, rows


def summary_cells(summary: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """The head and rows of statistics.summary."""
    head = ["activation", "n", "mean", "sample\nSD", "best", "worst", "expected\nbest\nof 3", "expected\nworst\nof 3"]
    rows = [
        [
            row["activation"],
            f"{row['n']}/{row['asked']}",
            accuracy(row["mean"], 5),
            accuracy(row["sd"], 5),
            accuracy(row["best"]),
            accuracy(row["worst"]),
            accuracy(row["expected_best_of_3"], 5),
            accuracy(row["expected_worst_of_3"], 5),
        ]
        for row in summary.to_dict("records")
    ]
    return head, rows


def calibration_cells(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """The head and rows of statistics.calibration; an arrow marks the chosen row."""
    head = ["batch\nsize", "epochs", "n", "mean", "sample\nSD", "best\nof 3", "worst\nof 3", "distance\n· 10⁶", ""]
    rows = [
        [
            str(row["batch_size"]),
            str(row["epochs"]),
            str(row["n"]),
            *(accuracy(row[name], 5) for name in ("mean", "sd", "expected_best_of_3", "expected_worst_of_3")),
            accuracy(row["distance"] * 1e6, 1),
            "←" if row["chosen"] else "",
        ]
        for row in table.to_dict("records")
    ]
    return head, rows


def epoch_cells(run: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """The head and rows of one run's epochs."""
    head = [name.replace("_", "\n") for name in list(RUN_COLUMNS)[2:]]
    rows = [
        [
            str(row["epoch"]),
            f"{row['train_loss']:.4f}",
            accuracy(row["train_accuracy"]),
            f"{row['test_loss']:.4f}",
            accuracy(row["test_accuracy"]),
            f"{row['train_seconds']:.1f}",
            f"{row['test_seconds']:.1f}",
        ]
        for row in run.to_dict("records")
    ]
    return head, rows


def other_protocol_sentence(differences: Mapping[str, tuple[object, object]]) -> str:
    """That a study is not comparable with the paper's numbers, and in what."""
    found = ", ".join(f"{name.replace('_', ' ')} {mine}" for name, (mine, _) in differences.items())
    return f"This is not the protocol that stands for the paper's ({found}): do not compare with the published numbers."


def comparison_sentence(comparison: pd.DataFrame, against: str) -> str:
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


def rich_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> Table:
    """A table for the terminal; the columns whose index is in ``left`` hold words, the others numbers."""
    table = Table(title=Text(title, style="bold"), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(head):
        table.add_column(name, justify="left" if index in left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # a name may look like rich's markup
    return table


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for documents: numbers to the right."""
    lines = [[name.replace("\n", " ") for name in head], ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def protocol_line(protocol: Mapping[str, object]) -> str:
    """A protocol as one line: ``dataset mnist, model paper, ...``; fields that are not set are left out."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in protocol.items() if value is not None)
