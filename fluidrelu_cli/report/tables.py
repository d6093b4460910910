"""Statistics as tables to read: cells of text, and cells on a terminal and in Markdown."""

from __future__ import annotations

import functools
import math
import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from fluidrelu_cli.analysis.verdicts import SECONDARY
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
    return _spell(value, digits)


def difference(value: float, digits: int = 5) -> str:
    """A difference of accuracies with its sign; a dash where there is none."""
    return _spell(value, digits, "+")


def points(share: float, digits: int = 3) -> str:
    """A difference of accuracies in percentage points: the same digits as the difference has."""
    return _spell(share, digits + 2, "+", in_points=True)


def _spell(value: float, digits: int, sign: str = "-", *, in_points: bool = False) -> str:
    """A number to so many digits. What lies half way between two goes to the even one, whatever its last bits are, as
    they depend on how it was computed; nothing is a negative zero.
    """
    if math.isnan(value):
        return "–"
    if not abs(value) < 1e15:  # a decimal has 28 digits
        return f"{value:{sign}.3g}".replace("-", "−")
    rounded = round(Decimal(f"{value:.10f}"), digits) + 0
    return f"{rounded.scaleb(2) if in_points else rounded:{sign}f}".replace("-", "−")


def p_value(value: float) -> str:
    """A p-value to four digits; a dash where there is none."""
    if math.isnan(value):
        return "–"
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def percent(value: float, digits: int = 0) -> str:
    """A share as a percentage; a dash where there is none."""
    return "–" if math.isnan(value) else f"{100 * value:.{digits}f} %"


def label(activation: str) -> str:
    """What tables, texts and figures call an activation; one of a script or a notebook goes by its class alone.

    ``fluid@beta=10@lr=0.01`` is FluidReLU (β = 10, lr = 0.01).
    """
    function, settings = split_arm(activation)
    known = LABELS.get(function, function.removeprefix("__main__:"))
    own = [f"{_SYMBOLS.get(name, name.replace('_', ' '))} = {spell_number(settings[name])}" for name in settings]
    return f"{known} ({', '.join(own)})" if own else known


_SYMBOLS = {"beta": "β"}


def spell_choice(value: object) -> str:
    """A field's value in a table of choices."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return spell_number(value) if isinstance(value, (int, float)) else str(value)


NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def spell_count(n: int) -> str:
    """A number of at least 2 in a sentence: as a word up to twelve."""
    return NUMBERS[n - 2] if n <= 12 else f"{n:,}"


def spell_counts(counts: Iterable[int]) -> str:
    """Numbers of which any may hold in a sentence: ``three``, or ``three, five or ten``."""
    *others, last = map(spell_count, sorted(set(counts)))
    return f"{', '.join(others)} or {last}" if others else last


def table2_cells(table: pd.DataFrame, runs: str = "three") -> Cells:
    """The published table, from published.table2: activations side by side, each with all its sources.

    Args:
        table: it.
        runs: of how many runs the published numbers are, in words.
    """
    sources, lines, activations = (list(dict.fromkeys(table[name])) for name in ("source", "row", "activation"))
    cells = table.set_index(["row", "activation", "source"])
    columns = [(activation, source) for activation in activations for source in sources]
    head = [f"of {runs}"]
    for activation, source in columns:
        head.append(f"{label(activation)}\n{source}\n(n = {cells.loc[(lines[0], activation, source), 'n']})")
    rows = [
        [row.replace("sd", "SD"), *(accuracy(cells.loc[(row, *column), "accuracy"]) for column in columns)]
        for row in lines
    ]
    return head, rows


def summary_cells(summary: pd.DataFrame) -> Cells:
    """inference.summary, one row per activation: the highest mean first, those without runs last."""
    column, count = _count_diverged(summary)
    head = ["activation", "n", *column, "mean ± 95 %\ninterval", "sample\nSD", "median", "best\nof n", "worst\nof n"]
    rows = [
        [
            label(row["activation"]),
            f"{row['n']}/{row['asked']}",
            *count(row),
            plus_minus(accuracy(row["mean"], 5), row),
            accuracy(row["sd"], 5),
            accuracy(row["median"], 5),
            accuracy(row["best"]),
            accuracy(row["worst"]),
        ]
        for row in summary.sort_values("mean", ascending=False, kind="stable").to_dict("records")
    ]
    return head, rows


def _count_diverged(summary: pd.DataFrame) -> tuple[list[str], Callable[[Mapping[Any, Any]], list[str]]]:
    """The head of a column of how many runs diverged and what makes a row's cell: nothing where none has."""
    if not summary["diverged"].any():
        return [], lambda _row: []
    return ["div."], lambda row: [str(row["diverged"])]


def comparison_cells(comparisons: pd.DataFrame) -> Cells:
    """inference.comparisons, one row per activation."""
    adjusted = "p\n(Holm)" if (comparisons["family"] == SECONDARY).any() else "p"
    head = ["activation", "pairs", *_EFFECT, adjusted, *_VERDICT]
    rows = [[label(row["activation"]), *_effect_cells(row)] for row in comparisons.to_dict("records")]
    return head, rows


_EFFECT, _VERDICT = ("mean\ndiff.", "95 % interval"), ("equal\nwithin", "verdict")


def _effect_cells(row: Mapping[Any, Any]) -> list[str]:
    """The pairs, the difference, its interval, the adjusted p-value, within what it is equal, and the verdict."""
    return [
        str(row["n"]),
        difference(row["mean_difference"]),
        limits(row["ci_low"], row["ci_high"]),
        p_value(row["p_holm"]),
        round_up(row["equal_within"]),
        row["verdict"],
    ]


def round_up(margin: float, below: float = math.inf) -> str:
    """A margin of equality to four digits, so that it holds; a dash where there is none.

    Args:
        margin: the margin.
        below: what is to be seen to be larger, if it is: there are more digits where four do not show it.
    """
    if math.isnan(margin):
        return "–"
    texts = [f"{math.ceil(margin * 10**digits - 1e-9) / 10**digits:.{digits}f}" for digits in range(4, 9)]
    return next((text for text in texts if float(text) < below), texts[0])


def regression_cells(regressed: pd.DataFrame) -> Cells:
    """regression.regress, one row per activation."""
    rows = [
        [
            label(row["activation"]),
            str(row["n"]),
            accuracy(row["slope"], 2),
            difference(row["mean_difference"]),
            limits(row["ci_low"], row["ci_high"]),
        ]
        for row in regressed.to_dict("records")
    ]
    return ["activation", "pairs", "slope", *_EFFECT], rows


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
    """Both ends of an interval, or of a confidence sequence that may exclude nothing yet; a dash without any."""
    if math.isnan(low):
        return "–"
    if math.isinf(low) and math.isinf(high):
        return "without ends yet"
    if math.isinf(low) or math.isinf(high):
        return f"below {difference(high)}" if math.isinf(low) else f"above {difference(low)}"
    return f"{difference(low)} to {difference(high)}"


def side_by_side_cells(studies: pd.DataFrame) -> Cells:
    """inference.side_by_side, one row per study."""
    rows = [[row["study"], row["dataset"], row["model"], *_effect_cells(row)] for row in studies.to_dict("records")]
    return ["study", "data set", "network", "pairs", *_EFFECT, "p\n(Holm)", *_VERDICT], rows


def cell_cells(cells: pd.DataFrame) -> Cells:
    """grid.compare_cells of one activation, one row per cell."""
    rows = [[row["cell"], *_effect_cells(row)] for row in cells.to_dict("records")]
    return ["cell", "pairs", *_EFFECT, "p\n(Holm)", *_VERDICT], rows


def other_cell_cells(cells: pd.DataFrame) -> Cells:
    """grid.compare_cells of several activations, one row per activation and cell."""
    rows = [[label(row["activation"]), row["cell"], *_effect_cells(row)] for row in cells.to_dict("records")]
    return ["activation", "cell", "pairs", *_EFFECT, "p\n(Holm)", *_VERDICT], rows


def cell_summary_cells(summary: pd.DataFrame) -> Cells:
    """inference.summary of each cell, one row per cell and activation, in their order."""
    column, count = _count_diverged(summary)
    head = ["cell", "activation", "n", *column, "mean ± 95 %\ninterval", "sample\nSD"]
    rows = [
        [
            row["cell"],
            label(row["activation"]),
            f"{row['n']}/{row['asked']}",
            *count(row),
            plus_minus(accuracy(row["mean"], 5), row),
            accuracy(row["sd"], 5),
        ]
        for row in summary.to_dict("records")
    ]
    return head, rows


def verdict_cells(compared: pd.DataFrame, places: Mapping[str, str]) -> Cells:
    """overview.compare_studies, one row per activation and one column per study: the verdict, and the difference.

    Args:
        compared: the table.
        places: by study, the head of its column.
    """
    found = {
        (row["activation"], row["cell"]): (row["verdict"], difference(row["mean_difference"]))
        for row in compared.to_dict("records")
    }
    return _by_study(found, dict.fromkeys(compared["activation"]), places)


ONE_LINE = 3
"""Up to so many studies, beside each other, have cells of one line on a terminal of 80 columns; more have two."""


def _by_study(
    found: Mapping[tuple[str, str], tuple[str, str]], activations: Iterable[str], places: Mapping[str, str]
) -> Cells:
    """One row per activation and one column per study: both texts of each, below each other where there are many."""
    many = len(places) > ONE_LINE
    head = ["activation", *(map(_fold, places.values()) if many else places.values())]
    texts = {pair: "\n".join(map(_fold, both)) if many else " ".join(both) for pair, both in found.items()}
    return head, [[label(name), *(texts.get((name, study), "–") for study in places)] for name in activations]


def _fold(text: str) -> str:
    """Lines of at most nine characters, as far as its words, and the parts of a name, are no longer."""
    return "\n".join(textwrap.wrap(text, 9, break_long_words=False))


def overview_cells(compared: pd.DataFrame) -> Cells:
    """overview.compare_studies, one row per study and, below it, one per activation."""
    priced = bool(compared["cost"].notna().any())
    head = ["study,\nactivation", *_EFFECT, "wins", "p\n(Holm)", "verdict", *(["cost"] if priced else [])]
    rows = []
    for study, mine in compared.groupby("cell", sort=False):
        rows.append([f"{study}:", *[""] * (len(head) - 1)])
        for row in mine.to_dict("records"):
            effect = [difference(row["mean_difference"]), limits(row["ci_low"], row["ci_high"])]
            verdict = [f"{row['wins']}/{row['n']}", p_value(row["p_holm"]), row["verdict"]]
            cost = [spell_ratio(row["cost"], differs=row["cost_differs"])] if priced else []
            rows.append([label(row["activation"]), *effect, *verdict, *cost])
    return head, rows


def accuracy_cells(summary: pd.DataFrame, places: Mapping[str, str]) -> Cells:
    """inference.summary of each study, with the column cell: one row per activation and one column per study.

    Args:
        summary: the table.
        places: by study, the head of its column.
    """
    found = {
        (row["activation"], row["cell"]): (accuracy(row["mean"]), f"± {accuracy(row['sd'])}")
        for row in summary[summary["n"] > 0].to_dict("records")
    }
    return _by_study(found, dict.fromkeys(summary["activation"]), places)


def spell_ratio(value: float, *, differs: bool) -> str:
    """How many times as much, ``≈ 1`` where that cannot be told from noise; a dash where it is not known."""
    if math.isnan(value):
        return "–"
    return f"{value:.2f}×" if differs else "≈ 1"


def rank_cells(table: pd.DataFrame) -> Cells:
    """ranks.Ranking.table, one row per activation."""
    rows = [[label(row["activation"]), f"{row['mean_rank']:.2f}"] for row in table.to_dict("records")]
    return ["activation", "mean rank"], rows


def multiverse_cells(
    pooled: pd.DataFrame, learned: pd.DataFrame, weighted: pd.DataFrame, kinds: str = "protocols"
) -> Cells:
    """multiverse.pool_protocols and multiverse.weigh_protocols's second table, one row per number.

    Args:
        pooled: the one.
        learned: the same of those protocols in which every run learned; it may be empty.
        weighted: the other; it may be empty.
        kinds: what the protocols are called.
    """
    [row] = pooled.to_dict("records")
    margin = f"{row['margin']:.2g}"
    rows = [
        ["mean difference", difference(row["mean"]), limits(row["ci_low"], row["ci_high"])],
        [
            "difference in a protocol not tried",
            difference(row["mean"]),
            limits(row["predicted_low"], row["predicted_high"]),
        ],
        ["median difference", difference(row["median"]), "–"],
        [f"τ: SD between {kinds}", *_sd_cells(row)],
        ["SD of a pair's difference within one", accuracy(row["within_sd"], 5), "–"],
        [f"{kinds} above +{margin} ({row['above']} of {row['cells']} seen)", percent(row["share_above"]), "–"],
        [f"{kinds} below −{margin} ({row['below']} of {row['cells']} seen)", percent(row["share_below"]), "–"],
        ["p of the mean (sign flips)", p_value(row["p"]), "–"],
        ["p of the median (sign flips)", p_value(row["p_median"]), "–"],
    ]
    for mine in weighted.to_dict("records"):
        what = f"mean difference, weighted by {label(mine['activation'])}"
        rows.append([what, difference(mine["mean"]), limits(mine["ci_low"], mine["ci_high"])])
    for its in learned.to_dict("records"):
        rows += [
            [f"where all runs learned ({its['cells']}):", "", ""],
            ["mean difference", difference(its["mean"]), limits(its["ci_low"], its["ci_high"])],
            [
                "difference in another such protocol",
                difference(its["mean"]),
                limits(its["predicted_low"], its["predicted_high"]),
            ],
            [f"τ: SD between these {kinds}", *_sd_cells(its)],
        ]
    return ["", "estimate", "95 % interval"], rows


def _sd_cells(row: Mapping[Any, Any]) -> list[str]:
    return [accuracy(row["tau"], 5), f"{accuracy(row['tau_low'], 5)} to {accuracy(row['tau_high'], 5)}"]


def choice_cells(effects: pd.DataFrame) -> Cells:
    """multiverse.weigh_choices, one row per level; the p-value in the first of its field."""
    rows = []
    for index, row in enumerate(effects.to_dict("records")):
        first = index == 0 or effects["field"].iloc[index - 1] != row["field"]
        rows.append(
            [
                row["field"] if first else "",
                spell_choice(row["level"]),
                str(row["cells"]),
                difference(row["effect"]),
                limits(row["ci_low"], row["ci_high"]),
                p_value(row["field_p_holm"]) if first else "",
            ]
        )
    return ["choice", "of", "protocols", "effect", "95 % interval", "p\n(Holm)"], rows


def stop_cells(stops: pd.DataFrame) -> Cells:
    """multiverse.choose_stops, one row per cell."""
    rows = [
        [row["cell"], f"{row['epoch']:g}", str(row["n"]), accuracy(row["mean"], 5), accuracy(row["distance"], 5)]
        for row in stops.to_dict("records")
    ]
    return ["cell", "epochs", "n", "mean", "distance"], rows


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
    return centre if math.isnan(row["ci_low"]) else f"{centre} ± {accuracy((row['ci_high'] - row['ci_low']) / 2, 5)}"


def by_epoch_cells(table: pd.DataFrame) -> Cells:
    """by_epoch.compare_by_epoch: all epochs, of more than 15 those after 1, 2, 3, 5, 7, 10, 20, ... and the last."""
    rounds = {step * 10**power for power in range(6) for step in (1, 2, 3, 5, 7)}
    last = table["epoch"].max()
    rows = [
        [
            f"{row['epoch']:g}",
            str(row["n"]),
            difference(row["mean_difference"]),
            limits(row["ci_low"], row["ci_high"]),
            limits(row["band_low"], row["band_high"]),
        ]
        for row in table[table["epoch"].isin({*rounds, last}) | (len(table) <= 15)].to_dict("records")
    ]
    return ["epoch", "pairs", "mean\ndiff.", "95 % interval", "95 % band over\nall epochs"], rows


def image_cells(table: pd.DataFrame) -> Cells:
    """images.weigh_images, one row per activation."""
    head = ["activation", "pairs", "mean\ndiff.", "95 % interval over\nseeds and images", "churn", "baseline's\nchurn"]
    rows = [
        [
            label(row["activation"]),
            str(row["n"]),
            difference(row["mean_difference"]),
            limits(row["low"], row["high"]),
            percent(row["churn"], 1),
            percent(row["baseline_churn"], 1),
        ]
        for row in table.to_dict("records")
    ]
    return head, rows


def spread_cells(table: pd.DataFrame) -> Cells:
    """by_epoch.compare_spread, one row per activation."""
    head = ["activation", "P(above)\n(95 %)", "SD ratio\n(95 %)", "error ratio\n(95 %)", "r of\npairs"]
    rows = [
        [
            label(row["activation"]),
            _with_interval(row, "win_rate", "win_low", "win_high", lambda share: f"{100 * share:.0f}", " %"),
            _with_interval(row, "sd_ratio", "sd_low", "sd_high", lambda ratio: f"{ratio:.2f}"),
            _with_interval(row, "error_ratio", "error_low", "error_high", lambda ratio: f"{ratio:.3f}"),
            accuracy(row["correlation"], 2),
        ]
        for row in table.to_dict("records")
    ]
    return head, rows


def _with_interval(
    row: Mapping[Any, Any], value: str, low: str, high: str, spell: Callable[[float], str], unit: str = ""
) -> str:
    if math.isnan(row[value]):
        return "–"
    ends = "" if math.isnan(row[low]) else f" ({spell(row[low])}–{spell(row[high])})"
    return f"{spell(row[value])}{unit}{ends}"


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


def fit_cells(fits: pd.DataFrame) -> Cells:
    """published.fit_protocols, one row per protocol: the p-value of each published number, and the least adjusted."""
    numbers = dict.fromkeys(zip(fits["about"], fits["activation"], strict=True))
    head = ["cell", *(f"{about},\n{label(name)}" for about, name in numbers), "least\n(Holm)"]
    rows = []
    for cell, mine in fits.groupby("cell", sort=False):
        found = dict(zip(zip(mine["about"], mine["activation"], strict=True), mine["p"], strict=True))
        each = [p_value(found[number]) if number in found else "–" for number in numbers]
        rows.append([str(cell), *each, p_value(mine["p_least"].iloc[0])])
    return head, rows


def predictive_cells(predictive: pd.DataFrame, runs: str = "three") -> Cells:
    """published.predict, one row per published number.

    Args:
        predictive: it.
        runs: how many more runs are predicted, in words.
    """
    head = [f"of {runs}", "published", "predicted\n(95 %)", "p", "95 % interval\nof p"]
    rows = []
    for row in predictive.to_dict("records"):
        number = difference if row["about"] == "lead" else functools.partial(accuracy, digits=5)
        rows.append(
            [
                f"{row['about']}, {label(row['activation'])}",
                number(row["published"]),
                f"{number(row['low'])} to {number(row['high'])}",
                p_value(row["p"]),
                f"{p_value(row['p_low'])}–{p_value(row['p_high'])}",
            ]
        )
    return head, rows


def calibration_cells(table: pd.DataFrame) -> Cells:
    """calibration.calibration, one row per batch size and number of epochs; an arrow marks the chosen row."""
    head = ["batch\nsize", "epochs", "n", "mean", "sample\nSD", "best\nof 3", "worst\nof 3", "distance\n· 10⁶", ""]
    rows = [
        [
            str(row["batch_size"]),
            f"{row['epochs']:g}",
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
            f"{row['epoch']:g}",
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
        # A number is not broken where a name beside it can be; a head that is longer is a study's path.
        whole = index not in left and _width(name) <= max((_width(row[index]) for row in rows), default=0)
        justify: Literal["left", "right"] = "left" if index in left else "right"
        table.add_column(Text(_printable_lines(name)), justify=justify, overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(Text((printable if i in left else _printable_lines)(cell)) for i, cell in enumerate(row)))
    return table


def _printable_lines(text: str) -> str:
    """A text of which every line shows what cannot be seen; the ends of lines in a name are such, too."""
    return "\n".join(map(printable, text.split("\n")))


def _width(text: str) -> int:
    return max(map(len, text.split("\n")))


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
