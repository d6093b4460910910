"""The look of all figures, and those that compare: data in, axes out. No arithmetic beyond what is drawn, no files.

They are narrow and their panels stand one above the other, so that they can be read on a phone.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backend_bases import get_registered_canvas_class
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from fluidrelu_cli.analysis.published import Published
from fluidrelu_cli.networks.curves import fluid
from fluidrelu_cli.report.tables import label

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999", "#F0E442")
"""Colours that colour-blind readers can tell apart (Okabe and Ito 2008)."""

STYLE: dict[Any, Any] = {
    "axes.grid": True,
    "axes.prop_cycle": cycler(color=OKABE_ITO),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "figure.dpi": 150,
    "font.size": 10,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "svg.hashsalt": "fluidrelu",  # the same figure is then the same file
    "text.parse_math": False,  # a name may have a $
}

WIDTH = 5.6
"""Of every figure, in inches."""

FIGURE1_A = (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
FAR = 2
"""An activation whose mean error is so many times the best one's is beyond the axis of accuracies, and said to be."""

SYMLOG_FROM, SYMLOG_LINEAR = 0.02, 0.002
"""Differences larger than the one are drawn on an axis that is linear up to the other, and logarithmic beyond."""


@contextmanager
def style() -> Iterator[None]:
    """The look of every figure, whatever a matplotlibrc, perhaps of a stranger's folder, says."""
    plain = {name: value for name, value in mpl.rcParamsDefault.items() if "backend" not in name}
    with mpl.rc_context({**plain, **STYLE}):
        yield


METADATA: Mapping[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
"""What keeps each kind of file free of versions and dates, so that the same figure is the same file."""


def render(drawn: Axes | Figure, kinds: Sequence[str] = ("png", "svg")) -> dict[str, bytes]:
    """A figure, or that of axes, as the contents of files of these kinds, by the file name's ending."""
    figure = figure_of(drawn)
    contents = {}
    for kind in kinds:
        content = io.BytesIO()
        # Not by Figure.savefig: that draws everything twice, and once is most of a report's time.
        canvas = get_registered_canvas_class(kind)(figure)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # a box stands for a letter that the font lacks
            getattr(canvas, f"print_{kind}")(content, metadata=METADATA[kind])
        figure.set_layout_engine("none")  # it is laid out now, and that takes as long as drawing
        contents[kind] = content.getvalue()
    return contents


def figure_of(drawn: Axes | Figure) -> Figure:
    """The figure that axes are in."""
    figure = drawn if isinstance(drawn, Figure) else drawn.get_figure(root=True)
    assert figure is not None  # axes have one
    return figure


def pick_colours(order: Sequence[str]) -> dict[str, str]:
    """Each activation's colour, the same in every figure."""
    return {name: f"C{index}" for index, name in enumerate(order)}


def figure1(ax: Axes | None = None) -> Axes:
    """The paper's Figure 1: equation (4) for several a, between its limits ReLU and identity."""
    ax = ax or Figure(figsize=(WIDTH, 4), layout="constrained").subplots()
    v = np.linspace(-8, 2, 401)
    ax.plot(v, v, color="black", linestyle=":", linewidth=1, label="a → ∞: identity")
    shades = mpl.colormaps["viridis"](np.linspace(0.9, 0.0, len(FIGURE1_A)))
    for a, colour in zip(reversed(FIGURE1_A), reversed(shades), strict=True):
        ax.plot(v, fluid(v, a), color=colour, label=f"a = {a:g}".replace("-", "−"))
    ax.plot(v, np.maximum(v, 0), color="black", linestyle="--", linewidth=1, label="a → −∞: ReLU")
    ax.set(xlabel="input v", ylabel="f(v)", title="The paper's activation as reconstructed, equation (4)")
    ax.legend(loc="lower right")
    return ax


def accuracies(
    summary: pd.DataFrame, finals: pd.DataFrame, published: Published | None = None, ax: Axes | None = None
) -> Axes:
    """Every seed's test accuracy by activation, with the mean and its 95 % interval.

    Args:
        summary: as inference.summary gives it.
        finals: as inference.final_accuracies gives it.
        published: draw the published ranges, worst to best, too.
        ax: where to draw.
    """
    colours = pick_colours(list(summary["activation"]))
    shown = summary[summary["n"] > 0].reset_index(drop=True)
    names = [wrap(f"{label(row['activation'])}\n(n = {row['n']})", 18) for row in shown.to_dict("records")]
    ax = ax or _axes_of_rows(names)
    far = (1 - shown["mean"]) > FAR * (1 - shown["mean"].max())
    for row, activation in enumerate(shown["activation"]):
        mine = finals[finals["activation"] == activation]
        if far[row]:
            beyond = f"← {shown['mean'][row]:.4f}, beyond the axis"
            ax.annotate(beyond, (0.01, row), xycoords=("axes fraction", "data"), va="center", fontsize="small")
        else:
            _strip(ax, row, mine["test_accuracy"], mine["seed"], colours[activation])
        if published is not None and activation in published.activations:
            ends = [published.worst[activation], published.best[activation]]
            ax.plot(ends, [row + 0.36] * 2, color="grey", linewidth=1, marker="|", markersize=7)
    near = shown[~far]
    _means(ax, near.index.tolist(), near["mean"], (near["ci_high"] - near["ci_low"]) / 2)
    _rows(ax, names)
    brackets = "\ngrey brackets: the paper's three runs, worst to best" if published is not None else ""
    ax.set(xlabel="test accuracy", title=f"Every seed's accuracy; black: mean and 95 % interval{brackets}")
    return ax


def differences(finals: pd.DataFrame, comparisons: pd.DataFrame, order: Sequence[str], ax: Axes | None = None) -> Axes:
    """Each activation's accuracy minus the baseline's at the same seed, with the mean and its 95 % interval.

    Args:
        finals: as inference.final_accuracies gives it.
        comparisons: as inference.comparisons gives it.
        order: all activations, for their colours.
        ax: where to draw.
    """
    shown = comparisons[comparisons["n"] > 0].reset_index(drop=True)
    names = [wrap(f"{label(row['activation'])}\n({row['n']} pairs)", 18) for row in shown.to_dict("records")]
    ax = ax or _axes_of_rows(names)
    by_seed = finals.pivot(index="seed", columns="activation", values="test_accuracy")
    baseline = shown["baseline"].iloc[0]
    colours = pick_colours(order)
    paired = {name: (by_seed[name] - by_seed[baseline]).dropna() for name in shown["activation"]}
    for row, (activation, values) in enumerate(paired.items()):
        _strip(ax, row, values, values.index.to_series(), colours[activation])
    _means(ax, shown.index.tolist(), shown["mean_difference"], (shown["ci_high"] - shown["ci_low"]) / 2)
    ax.axvline(0, color="black", linewidth=1)
    _rows(ax, names)
    beyond = _axis_of_differences(ax, max(float(values.abs().max()) for values in paired.values()))
    ax.set(
        xlabel=wrap(f"test accuracy minus {label(baseline)}'s at the same seed", 60) + beyond,
        title="Paired differences; black: mean and 95 % interval",
    )
    return ax


def forest(studies: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The mean difference with its 95 % interval, one row per study: where one activation helps and where it does not.

    Args:
        studies: as inference.side_by_side gives it.
        ax: where to draw.
    """
    shown = studies[studies["n"] > 0].reset_index(drop=True)
    names = [wrap(f"{row['study']}\n{row['model']}, n = {row['n']}", 24) for row in shown.to_dict("records")]
    ax = ax or _axes_of_rows(names, 1.8, 0.55)
    activation, baseline = (label(shown[column].iloc[0]) for column in ("activation", "baseline"))
    _means(ax, shown.index.tolist(), shown["mean_difference"], (shown["ci_high"] - shown["ci_low"]) / 2)
    ax.axvline(0, color="black", linewidth=1)
    _rows(ax, names)
    ends = shown[["mean_difference", "ci_low", "ci_high"]].abs()
    beyond = _axis_of_differences(ax, float(ends.max().max()))
    ax.axvspan(0, ax.get_xlim()[1], color="C2", alpha=0.08, linewidth=0)
    ax.set(
        xlabel=wrap(f"test accuracy of {activation} minus {baseline}'s at the same seed", 60) + beyond,
        title=wrap(f"Mean differences and 95 % intervals, by study\n(shaded: {activation} is better)", 60),
    )
    return ax


def _axis_of_differences(ax: Axes, largest: float) -> str:
    """Let the axis hold differences of at most this size; what a reader has to know of it."""
    beyond = ""
    if largest > SYMLOG_FROM:
        ax.set_xscale("symlog", linthresh=SYMLOG_LINEAR)
        ax.margins(x=0.02)
        ax.xaxis.set_major_locator(FixedLocator(_ticks_with_room(ax)))
        ax.xaxis.set_minor_locator(NullLocator())
        beyond = f"\n(logarithmic beyond ±{SYMLOG_LINEAR:g})"
    ax.xaxis.set_major_formatter(_signed)  # a new scale has brought its own
    return beyond


def _ticks_with_room(ax: Axes) -> list[float]:
    """Round differences within the axis, the more important ones first, as far as labels leave each other room."""
    candidates = [0.0, *(sign * tick for tick in (0.01, 0.1, 0.001, 0.002, 0.5) for sign in (1, -1))]
    low, high = ax.get_xlim()
    ends, places = (ax.xaxis.get_transform().transform(np.array(values)) for values in ([low, high], candidates))
    kept: dict[float, float] = {}
    for tick, place in zip(candidates, places, strict=True):
        if low <= tick <= high and all(abs(place - other) > 0.13 * (ends[1] - ends[0]) for other in kept.values()):
            kept[tick] = place
    return sorted(kept)


def _signed(value: float, _position: float) -> str:
    return f"{value:+.3g}".replace("-", "−") if round(value, 9) else "0"


LINES, LINE = 5, 0.17
"""The most lines of a text that names something, and the height of one in inches."""


def wrap(text: str, width: int) -> str:
    """A text with a name in it, in a few lines of at most so many letters: a long one would leave a figure no room.

    What is left out is in the middle. What cannot be printed, and no SVG may have, is replaced.
    """
    lines = [part for line in text.split("\n") for part in textwrap.wrap(line, width)]
    if len(lines) > LINES:
        lines = [*lines[: LINES // 2], "…", *lines[-(LINES // 2) :]]
    return "\n".join("".join(letter if letter.isprintable() else "�" for letter in line) for line in lines)


def _strip(ax: Axes, row: int, values: pd.Series[float], seeds: pd.Series[int], colour: str) -> None:
    """One dot per seed, spread over the row's height by the golden ratio so that they cover each other little."""
    ax.plot(
        values, row - 0.25 + 0.5 * (seeds % 1000 * 0.618034 % 1), "o", color=colour, markersize=3.5, alpha=0.6, mew=0
    )


def _means(ax: Axes, rows: list[int], means: pd.Series[float], half_widths: pd.Series[float]) -> None:
    ax.errorbar(means, rows, xerr=half_widths.fillna(0), fmt="D", color="black", markersize=4, capsize=4)


def _axes_of_rows(names: list[str], around: float = 1.4, row: float = 0.5) -> Axes:
    """Axes for rows of these names, each high enough for the longest (mypackage.module:Class takes several lines)."""
    lines = max(name.count("\n") + 1 for name in names)
    return Figure(figsize=(WIDTH, around + max(row, LINE * lines) * len(names)), layout="constrained").subplots()


def _rows(ax: Axes, names: list[str]) -> None:
    """One row per name, the first above."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")


def best_of_three(distributions: Mapping[str, pd.DataFrame], published: Published | None = None) -> Figure:
    """How the best and the worst of three runs fall out, over all sets of three, one panel per activation.

    Args:
        distributions: as published.best_and_worst_of gives them, by activation.
        published: mark the published numbers, too.
    """
    figure = Figure(figsize=(WIDTH, 0.6 + 2.6 * len(distributions)), layout="constrained")
    grid = figure.subplots(len(distributions), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    values = pd.concat([table["accuracy"] for table in distributions.values()])
    width = max(0.0005, float(values.max() - values.min()) / 40)  # of a bar: five images of 10,000
    edges = np.arange(values.min() - width / 2, values.max() + width, width)
    for ax, (activation, table) in zip(grid, distributions.items(), strict=True):
        for row, colour, hatch in (("worst", "C1", "//"), ("best", "C0", "")):
            shares = np.histogram(table["accuracy"], edges, weights=table[row])[0]
            ax.stairs(
                100 * shares, edges, fill=True, facecolor=colour, alpha=0.45, hatch=hatch, label=f"{row} of three"
            )
            if published is not None:
                number = published.rows[row][activation]
                ax.axvline(number, color=colour, linestyle="--", linewidth=2, label=f"the paper's {row}: {number:.4f}")
        ax.set(ylabel="% of our sets")
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, title=label(activation), alignment="left")
    grid[-1].set_xlabel("test accuracy")
    return figure
