"""Tables as they are read: exact words, and 80 columns without anything cut off."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import pytest
from rich.console import Console

from fluidrelu_cli import statistics, tables

MakeRuns = Callable[[Mapping[str, Sequence[Sequence[float]]]], pd.DataFrame]
Cells = tuple[list[str], list[list[str]]]


def test_markdown_to_the_letter() -> None:
    assert tables.markdown(["accuracy", "ReLU\n(n = 3)"], [["best", "0.9784"], ["worst", "–"]]) == (
        "| accuracy | ReLU (n = 3) |\n| --- | ---: |\n| best | 0.9784 |\n| worst | – |\n"
    )


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.98, 4, "0.9800"),
        (0.97846, 4, "0.9785"),
        (0.00012, 5, "0.00012"),
        (1.0, 4, "1.0000"),
        (0.0, 4, "0.0000"),
        (math.nan, 4, "–"),
    ],
)
def test_accuracy_is_printed_as_the_paper_does(value: float, digits: int, text: str) -> None:
    assert tables.accuracy(value, digits) == text


def test_names_are_those_of_the_paper() -> None:
    assert [tables.label(name) for name in ("relu", "fluid", "elu")] == ["ReLU", "FluidReLU", "elu"]


def test_protocol_in_one_line() -> None:
    assert tables.protocol_line({"batch_size": 100, "beta": 10000.0, "train_images": None}) == (
        "batch size 100, beta 10000.0"
    )


COMPARED = ["activation", "seed", "identical", "first_difference", "accuracy_difference"]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "No run has the activation and seed of one in results/paper: nothing to compare."),
        (
            [("relu", 0, True, 0, 0.0), ("fluid", 0, True, 0, 0.0)],
            "All 2 runs in common with results/paper are equal digit for digit.",
        ),
        (
            [("relu", 0, True, 0, 0.0), ("relu", 1, False, 3, 0.0001), ("fluid", 2, False, 1, -0.0025)],
            "1 of 3 runs in common with results/paper are equal digit for digit; of the others the final accuracy"
            " differs by at most 0.0025 (FluidReLU, seed 2). Their .json files tell the processor, the versions"
            " and the source of each: another processor or torch rounds otherwise.",
        ),
    ],
)
def test_comparison_in_a_sentence(rows: list[tuple[object, ...]], sentence: str) -> None:
    assert tables.comparison_sentence(pd.DataFrame(rows, columns=COMPARED), "results/paper") == sentence


def summarised(runs: pd.DataFrame, n: int) -> pd.DataFrame:
    return statistics.summary(statistics.final_accuracies(runs), dict.fromkeys(runs["activation"], n))


def test_table2_cells(make_runs: MakeRuns) -> None:
    head, rows = tables.table2_cells(statistics.table2({"here": summarised(make_runs({"relu": [(0.9,)]}), 1)}))
    assert head == [
        "accuracy",
        "ReLU\npublished\n(n = 3)",
        "ReLU\nhere\n(n = 1)",
        "FluidReLU\npublished\n(n = 3)",
        "FluidReLU\nhere\n(n = 0)",
    ]
    assert rows == [["best", "0.9784", "0.9000", "0.9800", "–"], ["worst", "0.9721", "0.9000", "0.9753", "–"]]


def test_summary_cells_say_how_many_of_those_asked_for(make_runs: MakeRuns) -> None:
    _, rows = tables.summary_cells(summarised(make_runs({"relu": [(0.97,), (0.98,)]}), 3))
    assert rows == [["relu", "2/3", "0.97500", "0.00707", "0.9800", "0.9700", "–", "–"]]


def test_calibration_cells_mark_the_chosen_row(make_runs: MakeRuns) -> None:
    runs = make_runs({"relu": [(0.9711, 0.9721), (0.975, 0.975), (0.9794, 0.9784)]})
    _, rows = tables.calibration_cells(statistics.calibration({10: runs}))
    assert rows[0] == ["10", "1", "3", "0.97517", "0.00415", "0.97940", "0.97110", "2.0", ""]
    assert rows[1][-2:] == ["0.0", "←"]


def test_epoch_cells(make_runs: MakeRuns) -> None:
    head, rows = tables.epoch_cells(make_runs({"relu": [(0.5,)]}))
    assert head[:3] == ["epoch", "train\nloss", "train\naccuracy"]
    assert rows == [["1", "0.3333", "0.5000", "0.2500", "0.5000", "2.5", "0.5"]]


def all_tables(make_runs: MakeRuns) -> dict[str, Cells]:
    """Each kind of table, as wide as it gets: n of two digits, long names, many epochs."""
    accuracies = [tuple(0.98 + seed / 10000 - 0.1 / 2**epoch for epoch in range(14)) for seed in range(10)]
    runs = make_runs(dict.fromkeys(["relu", "fluid", "leaky-relu", "fluid-coth", "Hardswish"], accuracies))
    summary = summarised(runs, 10)
    return {
        "epochs": tables.epoch_cells(make_runs({"relu": accuracies[:1]})),
        "summary": tables.summary_cells(summary),
        "calibration": tables.calibration_cells(statistics.calibration({10: runs, 100: runs})),
        "table2": tables.table2_cells(statistics.table2({"here": summary})),
        "table2 against": tables.table2_cells(statistics.table2({"results/paper": summary, "yours": summary})),
        "table2 against a far one": tables.table2_cells(
            statistics.table2({"../fluidrelu/results/calibration/batch-100": summary, "yours": summary})
        ),
    }


@pytest.mark.parametrize(
    "kind", ["epochs", "summary", "calibration", "table2", "table2 against", "table2 against a far one"]
)
def test_tables_fit_into_80_columns(kind: str, make_runs: MakeRuns) -> None:
    head, rows = all_tables(make_runs)[kind]
    console = Console(width=80, file=io.StringIO())
    console.print(tables.rich_table("Title", head, rows))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    lines = [line.split() for line in text.splitlines()]
    for row in rows:
        assert [cell for cell in row if cell] in lines


def test_numbers_stand_to_the_right_and_words_to_the_left() -> None:
    made = tables.rich_table("Title", ["name", "formula", "n"], [["relu", "max(0, v)", "3"]], left=(0, 1))
    assert [column.justify for column in made.columns] == ["left", "left", "right"]
    assert made.row_count == 1
