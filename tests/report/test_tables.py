"""Tables as they are read: exact words, and 80 columns without anything cut off."""

from __future__ import annotations

import functools
import io
import math

import pandas as pd
import pytest
from factories import make_run_table
from hypothesis import given, settings
from markdown_it import MarkdownIt
from rich.console import Console
from strange_names import NAMES

from fluidrelu_cli.analysis import inference, published
from fluidrelu_cli.analysis.calibration import calibration
from fluidrelu_cli.analysis.published import PAPER
from fluidrelu_cli.report import tables
from fluidrelu_cli.report.formats import latex_table

Cells = tuple[list[str], list[list[str]]]


def test_markdown_to_the_letter() -> None:
    assert tables.markdown(["accuracy", "ReLU\n(n = 3)"], [["best", "0.9784"], ["worst", "–"]]) == (
        "| accuracy | ReLU (n = 3) |\n| --- | ---: |\n| best | 0.9784 |\n| worst | – |\n"
    )


ORDINARY = [
    *(
        "mine:My_Act",
        "leaky-relu",
        "FluidReLU published (n = 3)",
        "<0.0001",
        "+0.00133 ± 0.02422",
        "67 % (21–94)",
        "< 1",
    ),
    *(
        "p (Holm, over studies)",
        "distance · 10⁶",
        "←",
        "−0.5",
        "calibration/batch-100",
        "a & b",
        "95 %",
        "it's",
        "a > b",
    ),
]


@pytest.mark.parametrize("text", ORDINARY)
def test_markdown_of_ordinary_names_and_numbers_is_those_alone(text: str) -> None:
    assert tables.escape_markdown(text) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", r"a\|b"),
        ("_Act_", r"\_Act\_"),
        ("`*~[$#\\", r"\`\*\~\[\$\#\\"),
        ("<b></b><!-- -->", r"\<b>\</b>\<!-- -->"),
        ("&amp; &#38;", r"\&amp; &\#38;"),
        ("two\r\nlines", "two lines"),
    ],
)
def test_markdown_escapes_what_it_would_take_for_more(text: str, escaped: str) -> None:
    assert tables.escape_markdown(text) == escaped


@settings(deadline=None)
@given(NAMES, NAMES)
def test_markdown_shows_any_name_as_it_is(head: str, cell: str) -> None:
    parsed = (
        MarkdownIt("commonmark")
        .enable(["table", "strikethrough"])
        .parse(tables.markdown([head, "n"], [[cell, "1"], ["relu", "2"]]))
    )
    assert [token.type for token in parsed if token.level == 0] == ["table_open", "table_close"]
    shown = [token.children for token in parsed if token.type == "inline"]
    assert {child.type for children in shown for child in children or ()} == {"text"}
    texts = ["".join(child.content for child in children or ()) for children in shown]
    assert texts == [head.strip(), "n", cell.strip(), "1", "relu", "2"]


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.98, 4, "0.9800"),
        (0.97846, 4, "0.9785"),
        (0.00012, 5, "0.00012"),
        (1.0, 4, "1.0000"),
        (0.0, 4, "0.0000"),
        (0.97545, 4, "0.9754"),
        (0.97555, 4, "0.9756"),
        (-0.001, 2, "0.00"),
        (-math.inf, 4, "−inf"),
        (1e300, 4, "1e+300"),
        (math.nan, 4, "–"),
    ],
)
def test_accuracy_is_printed_as_the_paper_does(value: float, digits: int, text: str) -> None:
    assert tables.accuracy(value, digits) == text


@pytest.mark.parametrize(
    ("name", "label"),
    [
        *(("relu", "ReLU"), ("fluid", "FluidReLU"), ("leaky-relu", "LeakyReLU"), ("fluid-coth", "FluidCoth")),
        *(("GELU", "GELU"), ("mine:Soft", "mine:Soft"), ("__main__:Soft", "Soft")),
        *(("fluid@beta=10", "FluidReLU (β = 10)"), ("mine:Soft@beta=0.5", "mine:Soft (β = 0.5)")),
        *(("relu@lr=0.003", "ReLU (lr = 0.003)"), ("fluid@beta=10@lr=1e-05", "FluidReLU (β = 10, lr = 1e-05)")),
        ("elu@momentum=0@weight_decay=0.1", "ELU (momentum = 0, weight decay = 0.1)"),
    ],
)
def test_an_activation_has_one_spelling_for_readers(name: str, label: str) -> None:
    assert tables.label(name) == label


def test_protocol_in_one_line() -> None:
    assert tables.protocol_line({"batch size": "100", "beta": "10000.0"}) == "batch size 100, beta 10000.0"


def summarised(runs: pd.DataFrame, n: int) -> pd.DataFrame:
    return inference.summary(inference.final_accuracies(runs), dict.fromkeys(runs["activation"], n), 10_000, ["relu"])


def test_agreement_cells() -> None:
    rows = [("relu", 0, True, 0.0), ("fluid", 0, False, -0.0004), ("relu", 1, True, 0.0), ("fluid", 1, True, 0.0)]
    agreement = pd.DataFrame(rows, columns=["activation", "seed", "identical", "accuracy_difference"])
    head = ["activation", "runs in\ncommon", "equal", "largest\ndifference"]
    assert tables.agreement_cells(agreement) == (
        head,
        [["ReLU", "2", "2", "0.0000"], ["FluidReLU", "2", "1", "0.0004"]],
    )
    assert tables.agreement_cells(agreement.iloc[:0]) == (head, [])


def test_table2_cells() -> None:
    finals = inference.final_accuracies(make_run_table({"relu": [(0.9,), (0.8,), (0.7,)]}))
    head, rows = tables.table2_cells(published.table2(PAPER, {"here": finals}))
    assert head == [
        "of three",
        "ReLU\npublished\n(n = 3)",
        "ReLU\nhere\n(n = 3)",
        "FluidReLU\npublished\n(n = 3)",
        "FluidReLU\nhere\n(n = 0)",
    ]
    assert rows == [["best", "0.9784", "0.9000", "0.9800", "–"], ["worst", "0.9721", "0.7000", "0.9753", "–"]]


def test_summary_cells_say_how_many_of_those_asked_for() -> None:
    _, rows = tables.summary_cells(summarised(make_run_table({"relu": [(0.97,), (0.98,)], "elu": [(0.5,)]}), 3))
    # t(0.975; 1) is 12.7062, the SD 0.01 / sqrt(2): the interval's half is 0.0635
    assert rows[0] == ["ReLU", "2/3", "0.97500 ± 0.06353", "0.00707", "0.97500", "0.9800", "0.9700"]
    assert rows[1] == ["ELU", "1/3", "0.50000", "–", "0.50000", "0.5000", "0.5000"]


def test_summary_cells_say_how_many_diverged_where_any_has() -> None:
    finals = inference.final_accuracies(make_run_table({"relu": [(0.97,), (0.98,)], "elu": [(0.5,)]}))
    summary = inference.summary(finals, {}, 100, ["relu"], {"relu": 1})
    assert summary["diverged"].tolist() == [1, 0]
    for cells in (tables.summary_cells(summary), tables.cell_summary_cells(summary.assign(cell="lr=1"))):
        column = cells[0].index("div.")
        assert [row[column] for row in cells[1]] == ["1", "0"]
        assert len({len(cells[0]), *map(len, cells[1])}) == 1
    assert "div." not in tables.summary_cells(summary.assign(diverged=0))[0]


def test_summary_cells_are_sorted_by_mean_without_runs_last() -> None:
    finals = inference.final_accuracies(make_run_table({"relu": [(0.5,)], "elu": [(0.75,)], "tanh": [(0.25,)]}))
    summary = inference.summary(finals, {"mine:Soft": 3}, 100, ["mine:Soft", "relu"])
    _, rows = tables.summary_cells(summary)
    assert [row[0] for row in rows] == ["ELU", "ReLU", "Tanh", "mine:Soft"]
    assert summary["activation"].tolist() == ["mine:Soft", "relu", "elu", "tanh"]  # the figures' colours go by it


def test_comparison_cells() -> None:
    runs = make_run_table({"relu": [(0.97,), (0.98,)], "fluid": [(0.96,), (0.98,)], "elu": [(0.5,)]})
    finals = inference.final_accuracies(runs)
    finals.loc[finals["activation"] == "elu", "seed"] = 9
    _, rows = tables.comparison_cells(inference.comparisons(finals, "relu", 100, ["relu", "fluid"]))
    assert rows == [
        ["FluidReLU", "2", "−0.00500", "–", "1.0000", "–", "too few pairs"],
        ["ELU", "0", "–", "–", "–", "–", "too few pairs"],
    ]
    six = {"relu": [(0.97,)] * 6, "fluid": [(0.97 + each / 100,) for each in (3, -2, 5, 1, 9, 4)]}
    compared = inference.comparisons(inference.final_accuracies(make_run_table(six)), "relu", 100)
    head, rows = tables.comparison_cells(compared)
    assert head == ["activation", "pairs", "mean\ndiff.", "95 % interval", "p", "equal\nwithin", "verdict"]
    # of 64 signings, those of -2 alone and of -2 and 1 are as far out; 90 %: up to the third highest mean of a set
    assert rows == [["FluidReLU", "6", "+0.03333", "−0.02050 to +0.09050", "0.0938", "0.0655", "undecided"]]


def test_margins_are_rounded_up() -> None:
    assert [tables.round_up(each) for each in (0.00051, 0.0005, 0.0, math.nan)] == ["0.0006", "0.0005", "0.0000", "–"]
    below = (0.00119, 0.001191, 0.0012, 0.0013, math.inf)
    assert [tables.round_up(0.001185, each) for each in below] == ["0.001185", "0.00119", "0.00119", "0.0012", "0.0012"]
    assert tables.round_up(0.0012, 0.001) == "0.0012"  # it is not smaller


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (-0.001, 0.00249, "−0.00100 to +0.00249"),
        (math.nan, math.nan, "–"),
        (-math.inf, math.inf, "without ends yet"),
        (-math.inf, 0.5, "below +0.50000"),
        (-0.5, math.inf, "above −0.50000"),
    ],
)
def test_limits_of_an_interval_or_a_confidence_sequence(low: float, high: float, text: str) -> None:
    assert tables.limits(low, high) == text


def test_epochs_are_chosen_where_they_are_many() -> None:
    ends = dict.fromkeys(("ci_low", "ci_high", "band_low", "band_high"), math.nan)
    many = pd.DataFrame([{"epoch": epoch, "n": 3, "mean_difference": 0.001, **ends} for epoch in range(1, 31)])
    assert [row[0] for row in tables.by_epoch_cells(many)[1]] == ["1", "2", "3", "5", "7", "10", "20", "30"]
    assert len(tables.by_epoch_cells(many[:15])[1]) == 15
    assert tables.by_epoch_cells(many)[1][0] == ["1", "3", "+0.00100", "–", "–"]
    parts = many[:3].assign(epoch=[0.3333, 0.6667, 1.0])
    assert [row[0] for row in tables.by_epoch_cells(parts)[1]] == ["0.3333", "0.6667", "1"]


def test_cells_of_images_and_of_spread() -> None:
    row = {"activation": "fluid", "n": 3, "mean_difference": 0.001, "low": -0.001, "high": 0.003}
    weighed = pd.DataFrame([{**row, "churn": 0.0123, "baseline_churn": math.nan}])
    assert tables.image_cells(weighed)[1] == [["FluidReLU", "3", "+0.00100", "−0.00100 to +0.00300", "1.2 %", "–"]]
    shares = {"activation": "fluid", "win_rate": 0.5, "win_low": 0.2, "win_high": 0.8, "correlation": -0.25}
    ratios = {"sd_ratio": 0.815, "sd_low": math.nan, "sd_high": math.nan, "error_ratio": math.nan}
    spread = pd.DataFrame([{**shares, **ratios, "error_low": math.nan, "error_high": math.nan}])
    assert tables.spread_cells(spread)[1] == [["FluidReLU", "50 % (20–80)", "0.81", "–", "−0.25"]]
    known = spread.assign(sd_low=0.504, sd_high=1.5, error_ratio=0.98765, error_low=0.9, error_high=1.0835)
    assert tables.spread_cells(known)[1][0][2:4] == ["0.81 (0.50–1.50)", "0.988 (0.900–1.083)"]


def test_predictive_cells() -> None:
    numbers = {"published": 0.003, "low": -0.0025, "high": 0.0025}
    shares = {"p": 0.02, "p_low": 0.00001, "p_high": 0.5}
    rows = [
        {"about": "level", "activation": "relu", **numbers, **shares},
        {"about": "spread", "activation": "fluid", **numbers, **shares},
        {"about": "lead", "activation": "fluid", **numbers, **shares},
    ]
    head, cells = tables.predictive_cells(pd.DataFrame(rows), "three or five")
    assert head[0] == "of three or five"
    assert cells == [
        ["level, ReLU", "0.00300", "−0.00250 to 0.00250", "0.0200", "<0.0001–0.5000"],
        ["spread, FluidReLU", "0.00300", "−0.00250 to 0.00250", "0.0200", "<0.0001–0.5000"],
        ["lead, FluidReLU", "+0.00300", "−0.00250 to +0.00250", "0.0200", "<0.0001–0.5000"],
    ]


def test_numbers_that_differ_are_named_once_each() -> None:
    assert tables.spell_counts([5, 3, 5]) == "three or five"
    assert tables.spell_counts([10, 5, 3]) == "three, five or ten"


@pytest.mark.parametrize(
    ("value", "text", "points"),
    [
        (0.00012, "+0.00012", "+0.012"),
        (-0.5, "−0.50000", "−50.000"),
        (0.0, "+0.00000", "+0.000"),
        (-4e-6, "+0.00000", "+0.000"),
        (math.nan, "–", "–"),
        (0.003375, "+0.00338", "+0.338"),
        (0.008265, "+0.00826", "+0.826"),
        (-1.5e-5, "−0.00002", "−0.002"),
        (-1.4999999999e-5, "−0.00002", "−0.002"),
    ],
)
def test_difference_has_its_sign_and_one_rounding(value: float, text: str, points: str) -> None:
    assert tables.difference(value) == text
    assert tables.points(value) == points


@pytest.mark.parametrize(
    ("value", "text"), [(0.04321, "0.0432"), (1.0, "1.0000"), (0.0001, "0.0001"), (2e-18, "<0.0001"), (math.nan, "–")]
)
def test_p_value(value: float, text: str) -> None:
    assert tables.p_value(value) == text


def test_latex_is_for_booktabs_and_has_no_character_that_it_does_not_know() -> None:
    text = latex_table("50 % of a_b", ["name", "difference ±\n95 %"], [["my_act", "−0.1 ± 0.2"], ["p", "< 1"]], "own")
    assert text == (
        "\\begin{table}[htbp]\n\\centering\n\\caption{50 \\% of a\\_b}\n\\label{tab:own}\n"
        "\\begin{tabular}{lr}\n\\toprule\n"
        "name & \\begin{tabular}[b]{@{}r@{}}difference $\\pm$ \\\\ 95 \\%\\end{tabular} \\\\\n\\midrule\n"
        "my\\_act & $-$0.1 $\\pm$ 0.2 \\\\\np & $<$ 1 \\\\\n\\bottomrule\n\\end{tabular}\n\\end{table}\n"
    )


def test_calibration_cells_mark_the_chosen_row() -> None:
    runs = make_run_table({"relu": [(0.9711, 0.9721), (0.975, 0.975), (0.9794, 0.9784)]})
    _, rows = tables.calibration_cells(calibration({10: runs}, PAPER))
    assert rows[0] == ["10", "1", "3", "0.97517", "0.00415", "0.97940", "0.97110", "2.0", ""]
    assert rows[1][-2:] == ["0.0", "←"]


def test_epoch_cells() -> None:
    head, rows = tables.epoch_cells(make_run_table({"relu": [(0.5,)]}))
    assert head[:3] == ["epoch", "train\nloss", "train\naccuracy"]
    assert rows == [["1", "0.3333", "0.5000", "0.2500", "0.5000", "2.5", "0.5"]]


@functools.cache
def all_tables() -> dict[str, Cells]:
    """Each kind of table, as wide as it gets: n of two digits, long names, many epochs."""
    accuracies = [tuple(0.98 + seed / 10000 - 0.1 / 2**epoch for epoch in range(14)) for seed in range(60)]
    runs = make_run_table(dict.fromkeys(["relu", "fluid", "leaky-relu", "fluid-coth", "Hardswish"], accuracies))
    finals = inference.final_accuracies(runs)
    far = finals.assign(
        test_accuracy=finals["test_accuracy"].where(finals["activation"] != "leaky-relu", finals["seed"] / 99)
    )
    return {
        "epochs": tables.epoch_cells(make_run_table({"relu": accuracies[:1]})),
        "summary": tables.summary_cells(summarised(runs, 100).assign(diverged=60)),
        "comparisons": tables.comparison_cells(inference.comparisons(far, "relu", 10_000)),
        "predictive": tables.predictive_cells(published.predict(PAPER, finals, "relu")),
        "calibration": tables.calibration_cells(calibration({10: runs, 100: runs}, PAPER)),
        "table2": tables.table2_cells(published.table2(PAPER, {"here": finals})),
        "table2 against": tables.table2_cells(published.table2(PAPER, {"other study": finals, "yours": finals})),
    }


KINDS = ["epochs", "summary", "comparisons", "predictive", "calibration"]
KINDS += ["table2", "table2 against"]


@pytest.mark.parametrize("kind", KINDS)
def test_tables_fit_into_80_columns(kind: str) -> None:
    head, rows = all_tables()[kind]
    console = Console(width=80, file=io.StringIO())
    console.print(tables.rich_table("Title", head, rows))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    lines = [line.split() for line in text.splitlines()]
    for row in rows:
        assert " ".join(row).split() in lines


def test_a_long_name_is_broken_before_a_number_is() -> None:
    accuracies = [(0.5 + seed / 10,) for seed in range(3)]
    finals = inference.final_accuracies(make_run_table({"relu": accuracies, "fluid@beta=10000": accuracies[::-1]}))
    head, [row] = tables.comparison_cells(inference.comparisons(finals, "relu", 10_000))
    console = Console(width=80, file=io.StringIO())
    console.print(tables.rich_table("Title", head, [row]))
    assert isinstance(console.file, io.StringIO)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    assert any(line.endswith(" ".join(row[1:])) for line in lines)


def test_a_table_shows_names_as_they_are_and_writes_out_what_cannot_be_seen() -> None:
    name, written = "[red]\x1b\u202e:smile:", r"[red]\x1b\u202e:smile:"
    console = Console(width=80, file=io.StringIO())
    console.print(tables.rich_table(f"Title {name}", [f"head\n{name}"], [[f"{name}\n1"]]))
    assert isinstance(console.file, io.StringIO)
    lines = [line.strip() for line in console.file.getvalue().splitlines()]
    assert [line for line in lines if "red" in line] == [f"Title {written}", written, rf"{written}\n1"]


def test_many_studies_have_two_lines_in_a_cell() -> None:
    row = {
        "activation": "elu",
        "cell": "a",
        "verdict": "better",
        "mean_difference": 0.5,
        "n": 2,
        "mean": 0.5,
        "sd": 0.1,
    }
    places = {"a": "Some-data\na network, 5 epochs", **dict.fromkeys("bc", "Other\npaper, 5 epochs")}
    table = pd.DataFrame([row])
    assert tables.verdict_cells(table, places)[1] == [["ELU", "better +0.50000", "–", "–"]]
    many = {**places, "d": "Some-data\na network, 5 epochs"}
    head, rows = tables.verdict_cells(table, many)
    assert (head[1], rows) == ("Some-data\na\nnetwork,\n5 epochs", [["ELU", "better\n+0.50000", "–", "–", "–"]])
    assert tables.accuracy_cells(table, many)[1][0][1] == "0.5000\n± 0.1000"
    console = Console(width=40, file=io.StringIO())
    console.print(tables.rich_table("Title", ["a", "n"], [["ELU", "better\n+0.5"]]))
    assert isinstance(console.file, io.StringIO)
    assert [line.split() for line in console.file.getvalue().splitlines()][-3:-1] == [["ELU", "better"], ["+0.5"]]


def test_numbers_stand_to_the_right_and_words_to_the_left() -> None:
    made = tables.rich_table("Title", ["name", "formula", "n"], [["relu", "max(0, v)", "3"]], left=(0, 1))
    assert [column.justify for column in made.columns] == ["left", "left", "right"]
    assert made.row_count == 1
