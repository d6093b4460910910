"""Statistics as tables to read: cells of text, and cells on a terminal and in Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from fluidrelu_cli.errors import printable
from fluidrelu_cli.networks.named import ACTIVATIONS
from fluidrelu_cli.protocol import spell_number, split_arm
from fluidrelu_cli.run import RUN_COLUMNS

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

LABELS = {name: activation.path.partition(":")[2] for name, activation in ACTIVATIONS.items()}
"""What tables, texts and figures call the built-in activations: their classes."""

Cells = tuple[list[str], list[list[str]]]
"""A table's head and rows, as they are read."""


def accuracy(value: float, digits: int = 4) -> str:
    """An accuracy as the paper prints it; a dash where there is none."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def difference(value: float) -> str:
    """A difference of accuracies with its sign; a dash where there is none."""
    return "–" if math.isnan(value) else f"{value:+.5f}".replace("-", "−")


def p_value(value: float) -> str:
    """A p-value to four digits; a dash where there is none."""
    if math.isnan(value):
        return "–"
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def percent(value: float) -> str:
    """A share as a percentage; a dash where there is none."""
    return "–" if math.isnan(value) else f"{100 * value:.0f} %"


def label(activation: str) -> str:
    """What tables, texts and figures call an activation; one of a script or a notebook goes by its class alone.

    ``fluid@beta=10@lr=0.01`` is FluidReLU (β = 10, lr = 0.01).
    """
    function, settings = split_arm(activation)
    known = LABELS.get(function, function.removeprefix("__main__:"))
    own = [f"{_SYMBOLS.get(name, name.replace('_', ' '))} = {spell_number(settings[name])}" for name in settings]
    return f"{known} ({', '.join(own)})" if own else known


_SYMBOLS = {"beta": "β"}


NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def spell_count(n: int) -> str:
    """A number of at least 2 in a sentence: as a word up to twelve."""
    return NUMBERS[n - 2] if n <= 12 else f"{n:,}"


def table2_cells(table: pd.DataFrame, runs: int = 3) -> Cells:
    """The published table, from published.table2: activations side by side, each with all its sources.

    Args:
        table: it.
        runs: of how many runs the published numbers are the best and the worst.
    """
    sources, lines, activations = (list(dict.fromkeys(table[name])) for name in ("source", "row", "activation"))
    cells = table.set_index(["row", "activation", "source"])
    columns = [(activation, source) for activation in activations for source in sources]
    head = [f"of {spell_count(runs)}"]
    for activation, source in columns:
        head.append(f"{label(activation)}\n{source}\n(n = {cells.loc[(lines[0], activation, source), 'n']})")
    rows = [[row, *(accuracy(cells.loc[(row, *column), "accuracy"]) for column in columns)] for row in lines]
    return head, rows


def summary_cells(summary: pd.DataFrame) -> Cells:
    """inference.summary, one row per activation: the highest mean first, those without runs last."""
    head = ["activation", "n", "mean ± 95 %\ninterval", "sample\nSD", "median", "best\nof n", "worst\nof n"]
    rows = [
        [
            label(row["activation"]),
            f"{row['n']}/{row['asked']}",
            plus_minus(accuracy(row["mean"], 5), row),
            accuracy(row["sd"], 5),
            accuracy(row["median"], 5),
            accuracy(row["best"]),
            accuracy(row["worst"]),
        ]
        for row in summary.sort_values("mean", ascending=False, kind="stable").to_dict("records")
    ]
    return head, rows


def comparison_cells(comparisons: pd.DataFrame) -> Cells:
    """inference.comparisons, one row per activation."""
    head = ["activation", "pairs", "difference ±\n95 % interval", "p", "p (Holm)", "P(above)\n(95 %)", "r of\npairs"]
    rows = [
        [
            label(row["activation"]),
            str(row["n"]),
            plus_minus(difference(row["mean_difference"]), row),
            p_value(row["p"]),
            p_value(row["p_holm"]),
            _win_rate(row),
            accuracy(row["correlation"], 2).replace("-", "−"),
        ]
        for row in comparisons.to_dict("records")
    ]
    return head, rows


def regression_cells(regressed: pd.DataFrame) -> Cells:
    """regression.regress, one row per activation."""
    head = ["activation", "pairs", "slope", "difference ±\n95 % interval"]
    rows = [
        [
            label(row["activation"]),
            str(row["n"]),
            accuracy(row["slope"], 2).replace("-", "−"),
            plus_minus(difference(row["mean_difference"]), row),
        ]
        for row in regressed.to_dict("records")
    ]
    return head, rows


def look_cells(looks: pd.DataFrame, decided: int) -> Cells:
    """sequential.follow after 5, 10, 20, 50, ... pairs, after those that decided it, and after all.

    Args:
        looks: the table.
        decided: after how many pairs it was decided, or how many there are.
    """
    rounds = {step * 10**power for power in range(6) for step in (1, 2, 5)} - {1, 2}
    shown = looks[looks["n"].isin({*rounds, decided, len(looks)})]
    rows = [
        [
            str(row["n"]),
            difference(row["mean_difference"]),
            limits(row["low"], row["high"]),
            limits(row["margin_low"], row["margin_high"]),
            row["verdict"],
        ]
        for row in shown.to_dict("records")
    ]
    return ["pairs", "mean\ndifference", "95 % confidence\nsequence", "90 % confidence\nsequence", "verdict"], rows


def limits(low: float, high: float) -> str:
    """Both ends of a confidence sequence, where nothing may be excluded yet."""
    if math.isinf(low) and math.isinf(high):
        return "without ends yet"
    if math.isinf(low) or math.isinf(high):
        return f"below {difference(high)}" if math.isinf(low) else f"above {difference(low)}"
    return f"{difference(low)} to {difference(high)}"


def side_by_side_cells(studies: pd.DataFrame) -> Cells:
    """inference.side_by_side, one row per study."""
    head = ["study", "data set", "network", "pairs", "difference ±\n95 % interval", "p (Holm,\nover studies)"]
    rows = [
        [
            row["study"],
            row["dataset"],
            row["model"],
            str(row["n"]),
            plus_minus(difference(row["mean_difference"]), row),
            p_value(row["p_holm"]),
        ]
        for row in studies.to_dict("records")
    ]
    return head, rows


def cell_cells(cells: pd.DataFrame) -> Cells:
    """grid.compare_cells of one activation, one row per cell."""
    head = ["cell", "pairs", "difference ±\n95 % interval", "p", "p (Holm,\nover cells)", "P(above)\n(95 %)"]
    rows = [
        [
            row["cell"],
            str(row["n"]),
            plus_minus(difference(row["mean_difference"]), row),
            p_value(row["p"]),
            p_value(row["p_holm"]),
            _win_rate(row),
        ]
        for row in cells.to_dict("records")
    ]
    return head, rows


def other_cell_cells(cells: pd.DataFrame) -> Cells:
    """grid.compare_cells of several activations, one row per activation and cell."""
    head = ["activation", "cell", "pairs", "difference ±\n95 % interval", "p (Holm, over\nall rows)"]
    rows = [
        [
            label(row["activation"]),
            row["cell"],
            str(row["n"]),
            plus_minus(difference(row["mean_difference"]), row),
            p_value(row["p_holm"]),
        ]
        for row in cells.to_dict("records")
    ]
    return head, rows


def cell_summary_cells(summary: pd.DataFrame) -> Cells:
    """inference.summary of each cell, one row per cell and activation, in their order."""
    head = ["cell", "activation", "n", "mean ± 95 %\ninterval", "sample\nSD"]
    rows = [
        [
            row["cell"],
            label(row["activation"]),
            f"{row['n']}/{row['asked']}",
            plus_minus(accuracy(row["mean"], 5), row),
            accuracy(row["sd"], 5),
        ]
        for row in summary.to_dict("records")
    ]
    return head, rows


def tuning_cells(table: pd.DataFrame) -> Cells:
    """tuning.tune, one row per activation and setting."""
    head = ["activation", "setting", "n", "mean validation\naccuracy", "sample\nSD", "chosen"]
    rows = []
    for row in table.to_dict("records"):
        settings = {**split_arm(row["arm"])[1]}
        for name, value in split_arm(row["activation"])[1].items():
            if settings.get(name) == value:
                del settings[name]
        shown = ", ".join(f"{name} {value:g}" for name, value in settings.items())
        numbers = [str(row["n"]), accuracy(row["mean"]), accuracy(row["sd"])]
        rows.append([label(row["activation"]), shown, *numbers, "yes" if row["chosen"] else ""])
    return head, rows


def plus_minus(centre: str, row: Mapping[Any, Any]) -> str:
    """A mean, or a mean difference, with half the width of its interval; without, where there is none."""
    return centre if math.isnan(row["ci_low"]) else f"{centre} ± {(row['ci_high'] - row['ci_low']) / 2:.5f}"


def _win_rate(row: Mapping[Any, Any]) -> str:
    if row["n"] == 0:
        return "–"
    return f"{100 * row['win_rate']:.0f} % ({100 * row['win_low']:.0f}–{100 * row['win_high']:.0f})"


def agreement_cells(agreement: pd.DataFrame) -> Cells:
    """inference.compare_runs, one row per activation."""
    rows = [
        [
            label(str(name)),
            str(len(mine)),
            str(mine["identical"].sum()),
            accuracy(mine["accuracy_difference"].abs().max()),
        ]
        for name, mine in agreement.groupby("activation", sort=False)
    ]
    return ["activation", "runs in\ncommon", "equal", "largest\ndifference"], rows


def percentile_cells(percentiles: pd.DataFrame, runs: int = 3) -> Cells:
    """published.percentiles, one row per published number, each the best or the worst of so many runs."""
    head = [
        f"of {spell_count(runs)}",
        "n",
        "published",
        "ours: median\n(95 % of our sets)",
        "percentile of\nthe published",
    ]
    rows = [
        [
            f"{row['row']}, {label(row['activation'])}",
            str(row["n"]),
            accuracy(row["published"]),
            f"{accuracy(row['median'])} ({accuracy(row['low'])}–{accuracy(row['high'])})",
            f"{row['percentile']:.1f}",
        ]
        for row in percentiles.to_dict("records")
    ]
    return head, rows


def calibration_cells(table: pd.DataFrame) -> Cells:
    """calibration.calibration, one row per batch size and number of epochs; an arrow marks the chosen row."""
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


def epoch_cells(run: pd.DataFrame) -> Cells:
    """One run, one row per epoch."""
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


def rich_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> Table:
    """A table for the terminal; the columns whose index is in ``left`` hold words, the others numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    # As Text, because a name may look like rich's markup.
    caption = Text(printable(title), style="bold")
    table = Table(title=caption, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for index, name in enumerate(head):
        lines = [printable(line) for line in name.split("\n")]
        # A number is not broken where a name beside it can be; a head that is longer is a study's path.
        whole = index not in left and max(map(len, lines)) <= max((len(row[index]) for row in rows), default=0)
        justify: Literal["left", "right"] = "left" if index in left else "right"
        table.add_column(Text("\n".join(lines)), justify=justify, overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for documents: numbers to the right."""
    names, *cells = ([escape_markdown(cell) for cell in row] for row in (head, *rows))
    lines = [names, ["---", *["---:"] * (len(head) - 1)], *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


_MARKDOWN = re.compile(
    r"[\\`*\[|~$#]"
    r"|(?<![^\W_])_|_(?![^\W_])"  # between two letters it is one
    r"|<(?=[A-Za-z/!?])|&(?=\w+;)"  # a tag or an entity: not <0.0001
)
"""The characters that Markdown, or GitHub's kind of it, would take for more than themselves."""


def escape_markdown(text: str) -> str:
    """Any text as one line of Markdown that shows it as it is, in a table, a heading or a paragraph."""
    return _MARKDOWN.sub(r"\\\g<0>", join_lines(text))


def join_lines(text: str) -> str:
    """A text without the ends of its lines."""
    return " ".join(text.splitlines())


def protocol_line(facts: Mapping[str, str]) -> str:
    """Protocol.facts as one line: ``dataset mnist, model paper, ...``"""
    return ", ".join(f"{name} {value}" for name, value in facts.items())
