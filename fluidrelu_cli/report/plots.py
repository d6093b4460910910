"""The look of all figures, and those that compare: data in, axes out. No arithmetic beyond what is drawn, no files.

They are narrow and their panels stand one above the other, so that they can be read on a phone.
"""

from __future__ import annotations

import io
import itertools
import re
import textwrap
import warnings
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backend_bases import get_registered_canvas_class
from matplotlib.colors import to_hex, to_rgb, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fluidrelu_cli.analysis.multiverse import list_levels
from fluidrelu_cli.analysis.published import Published
from fluidrelu_cli.analysis.verdicts import UNDECIDED
from fluidrelu_cli.networks.curves import fluid
from fluidrelu_cli.protocol import split_arm
from fluidrelu_cli.report.tables import difference, label, spell_choice, spell_count, spell_counts

COLOURS: Mapping[str, str] = {
    "relu": "#0072B2",
    "fluid": "#D55E00",
    "prelu": "#009E73",
    "elu": "#882255",
    "leaky-relu": "#999933",
    "sigmoid": "#332288",
    "tanh": "#777777",
    "fluid-exp": "#8A3D00",
    "fluid-coth": "#EAA36B",
    "fluid-critical": "#AA4499",
    "fluid-third": "#DDCC77",
}
"""Some built-in activations', the same in every study: of the colours that colour-blind readers can tell apart by Okabe
and Ito (2008) and by Tol (2021)."""

MORE_COLOURS = ("#CC79A7", "#E69F00", "#56B4E9")
"""Those of the same kind that other activations get first; what follows are shades."""

WIDTH = 5.6
"""Of every figure that nobody asked for in another width, in inches."""

STYLE: dict[Any, Any] = {
    "axes.grid": True,
    "axes.prop_cycle": cycler(color=(*COLOURS.values(), *MORE_COLOURS)),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "figure.dpi": 150,
    "figure.figsize": (WIDTH, 4),
    "font.size": 10,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # TrueType, as journals ask for: letters stay letters
    "svg.hashsalt": "fluidrelu",  # the same figure is then the same file
    "text.parse_math": False,  # a name may have a $
}

PRINT: dict[Any, Any] = {
    "axes.linewidth": 0.6,
    "figure.dpi": 300,
    "font.size": 8.5,
}
"""What differs in a figure of the width that a paper has room for: all its text has 7 to 9 points."""

FIGURE1_A = (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
FAR = 2
"""An activation whose mean error is so many times the best one's is beyond the axis of accuracies, and said to be,
unless it is one of the two compared, or the others need so much of the axis."""

FAR_DIFFERENCE, FAR_TIMES = 0.02, 8
"""Differences larger than the one, and so many times those of the nearer third, would make points of these: they are
beyond the axis, and said to be."""


@contextmanager
def style(width: float | None = None) -> Iterator[None]:
    """The look of every figure, whatever a matplotlibrc, perhaps of a stranger's folder, says.

    Args:
        width: of every figure, in inches, where it is to be printed.
    """
    plain = {name: value for name, value in mpl.rcParamsDefault.items() if "backend" not in name}
    printed = {} if width is None else {**PRINT, "figure.figsize": (width, 4)}
    with mpl.rc_context({**plain, **STYLE, **printed}):
        yield


def make_figure(text: float, panels: float = 0) -> Figure:
    """An empty figure as wide as the style says.

    Args:
        text: the height of its text and of rows that have names, in inches.
        panels: the height of its panels, where it is as wide as usual; they keep their shape, within limits.
    """
    width = mpl.rcParams["figure.figsize"][0]
    return Figure(figsize=(width, text + panels * min(max(width / WIDTH, 0.7), 1.5)), layout="constrained")


def fit(width: float, least: int, most: int) -> int:
    """How many columns of at least so many inches a figure has room for, within limits."""
    return min(max(int(mpl.rcParams["figure.figsize"][0] / width), least), most)


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


def pick_colours(activations: Iterable[str]) -> dict[str, str]:
    """Each activation's colour, no two the same: a built-in one's own, and for the others what is left, in order.

    One with settings has its function's, unless another one has it already.
    """
    names, others = list(activations), _other_colours()
    first: dict[str, str] = {}
    for name in sorted(names, key=lambda name: name not in COLOURS):
        first.setdefault(split_arm(name)[0], name)
    own = {first[function]: colour for function, colour in COLOURS.items() if function in first}
    return {name: own.get(name) or next(others) for name in names}


def _other_colours() -> Iterator[str]:
    yield from MORE_COLOURS
    hues = to_rgba_array([*MORE_COLOURS, *(COLOURS[name] for name in COLOURS if "fluid" not in name)])[:, :3]
    for step in itertools.count(1):
        for end in (0, 1):  # darker, then lighter
            yield from map(to_hex, end + (hues - end) * 0.5**step)


def mix_with_white(colour: str, share: float = 0.6) -> str:
    """A paler colour, of which so much is white."""
    red, green, blue = (share + (1 - share) * part for part in to_rgb(colour))
    return to_hex((red, green, blue))


def name_baseline(activation: str, baseline: str | None) -> str:
    """What figures call an activation; the one that others are compared with is said to be that."""
    return f"{label(activation)}, baseline" if activation == baseline else label(activation)


def figure1(ax: Axes | None = None) -> Axes:
    """The paper's Figure 1: equation (4) for several a, between its limits ReLU and identity."""
    ax = ax or make_figure(0.8, 3.2).subplots()
    v = np.linspace(-8, 2, 401)
    ax.plot(v, v, color="black", linestyle=":", linewidth=1, label="a → ∞: identity")
    shades = mpl.colormaps["viridis"](np.linspace(0.9, 0.0, len(FIGURE1_A)))
    for a, colour in zip(reversed(FIGURE1_A), reversed(shades), strict=True):
        ax.plot(v, fluid(v, a), color=colour, label=f"a = {a:g}".replace("-", "−"))
    ax.plot(v, np.maximum(v, 0), color="black", linestyle="--", linewidth=1, label="a → −∞: ReLU")
    ax.set(xlabel="input v", ylabel="f(v)", title=wrap("The paper's activation as reconstructed, equation (4)", 56))
    ax.legend(loc="lower right", fontsize="small")
    return ax


def accuracies(
    summary: pd.DataFrame,
    finals: pd.DataFrame,
    colours: Mapping[str, str],
    published: Published | None = None,
    ax: Axes | None = None,
    baseline: str | None = None,
    compared: Collection[str] = (),
) -> Axes:
    """Every seed's test accuracy by activation, with the mean and its 95 % interval.

    Args:
        summary: as inference.summary gives it.
        finals: as inference.final_accuracies gives it.
        colours: each activation's, as pick_colours gives them.
        published: draw the published ranges, worst to best, too.
        ax: where to draw.
        baseline: mark the activation that the others are compared with.
        compared: the activations that the figure is about: they are drawn, however far from the others they are.
    """
    shown = summary[summary["n"] > 0].reset_index(drop=True)
    labels = [name_baseline(activation, baseline) for activation in shown["activation"]]
    names = [wrap(f"{name}\n(n = {n})", 18) for name, n in zip(labels, shown["n"], strict=True)]
    ax = ax or _axes_of_rows(names)
    ranges = {} if published is None else published.ranges
    brackets = {name: ends for name, ends in ranges.items() if name in set(shown["activation"])}
    ends = [end for bracket in brackets.values() for end in bracket]
    far = _hold_accuracies(ax, shown, ends, compared)
    for row, activation in enumerate(shown["activation"]):
        mine = finals[finals["activation"] == activation]
        if far[row]:
            _say_beyond(ax, row, f"← {shown['mean'][row]:.4f}, beyond the axis")
        else:
            _strip(ax, row, mine["test_accuracy"], mine["seed"], colours[activation])
        if activation in brackets:
            ax.plot(
                brackets[activation],
                [row + 0.36] * 2,
                color="grey",
                linewidth=1,
                marker="|",
                markersize=7,
            )
    drawn = shown[~far]
    for mean in drawn.loc[drawn["activation"] == baseline, "mean"]:
        ax.axvline(mean, color="black", linestyle=":", linewidth=1, zorder=1)
    _means(ax, drawn.index.tolist(), drawn["mean"], drawn["ci_low"], drawn["ci_high"])
    _rows(ax, names)
    key = ""
    if published is not None and brackets:
        runs = spell_counts(published.runs[name] for name in brackets)
        key = f"\ngrey brackets: the paper's {runs} runs, worst to best"
    ax.set(xlabel="test accuracy", title=wrap(f"Every seed's accuracy; black: mean and 95 % interval{key}", 50))
    return ax


def _hold_accuracies(
    ax: Axes, shown: pd.DataFrame, others: Sequence[float], compared: Collection[str]
) -> pd.Series[bool]:
    """Let an axis hold the accuracies in each row, but for means that are far below the best; which rows these are.

    Args:
        ax: the axes.
        shown: inference.summary.
        others: accuracies that it is to hold, too.
        compared: the activations that are never far.
    """
    low, high = shown[["worst", "ci_low"]].min(axis=1), shown[["best", "ci_high"]].max(axis=1)
    far: pd.Series[bool] = ((1 - shown["mean"]) > FAR * (1 - shown["mean"].max())) & ~shown["activation"].isin(compared)
    while True:
        bottom, top = max(min([*low[~far], *others]), 0), min(max([*high[~far], *others]), 1)
        room = 0.05 * (top - bottom) or 0.001
        within = far & (shown["mean"] >= bottom - room)
        if not within.any():
            break
        far &= ~within  # its seeds may need more of the axis, which may then hold others
    ax.set_xlim(bottom - room, top + room)
    return far


def differences(
    finals: pd.DataFrame, comparisons: pd.DataFrame, colours: Mapping[str, str], ax: Axes | None = None
) -> Axes:
    """Each activation's accuracy minus the baseline's at the same seed, with the mean and its 95 % interval.

    Args:
        finals: as inference.final_accuracies gives it.
        comparisons: as inference.comparisons gives it.
        colours: each activation's, as pick_colours gives them.
        ax: where to draw.
    """
    shown = comparisons[comparisons["n"] > 0].reset_index(drop=True)
    names = [wrap(f"{label(row['activation'])}\n({row['n']} pairs)", 18) for row in shown.to_dict("records")]
    ax = ax or _axes_of_rows(names)
    by_seed = finals.pivot(index="seed", columns="activation", values="test_accuracy")
    baseline = shown["baseline"].iloc[0]
    paired = {name: (by_seed[name] - by_seed[baseline]).dropna() for name in shown["activation"]}
    for row, (activation, values) in enumerate(paired.items()):
        _strip(ax, row, values, values.index.to_series(), colours[activation])
    _means(ax, shown.index.tolist(), shown["mean_difference"], shown["ci_low"], shown["ci_high"])
    ax.axvline(0, color="black", linewidth=1)
    _rows(ax, names)
    ends = shown[["ci_low", "ci_high"]].T
    _hold_differences(
        ax,
        [pd.concat([values, ends[row].dropna()]) for row, values in enumerate(paired.values())],
        shown["mean_difference"],
    )
    ax.set(
        xlabel=wrap(f"test accuracy minus {label(baseline)}'s at the same seed", 52),
        title=wrap("Paired differences; black: mean and 95 % interval", 52),
    )
    return ax


def confidence_sequence(
    looks: pd.DataFrame, margin: float, activation: str, baseline: str, colour: str, ax: Axes | None = None
) -> Axes:
    """The mean difference with its confidence sequence against the number of pairs, and where it was decided.

    Args:
        looks: as sequential.follow gives it.
        margin: a difference below which it matters to nobody; that zone is shaded.
        activation: whose accuracy it is.
        baseline: the activation that it is compared with.
        colour: the activation's.
        ax: where to draw.
    """
    ax = ax or make_figure(0.6 + LINE * (4 if fit(2.6, 1, 2) == 2 else 6), 2.8).subplots()
    ends = looks[["low", "high"]].replace([np.inf, -np.inf], np.nan)
    means = looks["mean_difference"][max(len(looks) - 4, 0) // 4 :]
    held = [-margin, margin, *means, *ends[len(looks) // 2 :].stack()]  # the first ones are far out
    room = 0.1 * (max(held) - min(held))
    bottom, top = min(held) - room, max(held) + room
    ax.axhspan(-margin, margin, color="grey", alpha=0.15, linewidth=0, label=f"margin, ±{margin:g}")
    ax.axhline(0, color="black", linewidth=1)
    bands = {"95 % confidence sequence": ("low", "high"), "the same, 90 %": ("margin_low", "margin_high")}
    for name, (low, high) in bands.items():
        band = looks[low].clip(lower=bottom), looks[high].clip(upper=top)
        ax.fill_between(looks["n"], *band, step="mid", color=colour, alpha=0.22, linewidth=0, label=name)
    ax.plot(looks["n"], looks["mean_difference"], color=colour, marker="o", markersize=2.5, label="mean difference")
    decided = looks[looks["verdict"] != UNDECIDED]
    if not decided.empty:
        n, verdict = int(decided["n"].iloc[0]), decided["verdict"].iloc[0]
        pairs = f"{n} pair{'' if n == 1 else 's'}"
        ax.axvline(n, color="black", linestyle="--", linewidth=1, label=f"decided after {pairs}: {verdict}")
    ax.set(xlim=(0.5, len(looks) + 0.5), ylim=(bottom, top), xlabel="pairs of runs, in the order of their seeds")
    ax.xaxis.set_major_locator(MaxNLocator(fit(0.7, 3, 8), integer=True))
    ax.yaxis.set_major_formatter(signed)
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=fit(2.6, 1, 2),
        fontsize="small",
        title=wrap(f"Test accuracy of {label(activation)} minus {label(baseline)}'s", 52),
        alignment="left",
    )
    return ax


def growth(
    growing: pd.DataFrame, activation: str, baseline: str, colour: str, *, log: bool = False, ax: Axes | None = None
) -> Axes:
    """The mean difference of the first n pairs with its 95 % interval, against n; the axis holds every interval.

    Args:
        growing: as by_epoch.growth gives it, of 2 pairs at least.
        activation: whose accuracy it is.
        baseline: the activation that it is compared with.
        colour: the activation's.
        log: whether n is on a logarithmic axis.
        ax: where to draw.
    """
    ax = ax or make_figure(0.9, 2.8).subplots()
    n, ends = growing["n"], growing[["ci_low", "ci_high"]]
    ax.axhline(0, color="black", linewidth=1)
    ax.fill_between(n, ends["ci_low"], ends["ci_high"], color=colour, alpha=0.25, linewidth=0)
    ax.plot(n, growing["mean_difference"], color=colour, marker="o", markersize=2.5)
    if log:
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter(lambda value, _position: f"{value:g}")
        ax.minorticks_off()
    else:
        ax.xaxis.set_major_locator(MaxNLocator(fit(0.7, 3, 8), integer=True))
    ax.yaxis.set_major_formatter(signed)
    ax.set(
        xlabel=wrap("pairs of runs, in the order of their seeds", 52),
        title=wrap(f"Test accuracy of {label(activation)} minus {label(baseline)}'s:\nmean and 95 % interval", 52),
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
    _draw_effects(ax, shown, names)
    ax.set(
        xlabel=wrap(f"test accuracy of {activation} minus {baseline}'s at the same seed", 56),
        title=wrap(f"Mean differences and 95 % intervals, by study\n(shaded: {activation} is better)", 48),
    )
    return ax


def effects(cells: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The mean difference with its 95 % interval, one row per cell of a grid.

    Args:
        cells: as grid.compare_cells gives it.
        ax: where to draw.
    """
    shown = cells[cells["n"] > 0].reset_index(drop=True)
    names = [wrap(f"{row['cell']}\nn = {row['n']}", 24) for row in shown.to_dict("records")]
    ax = ax or _axes_of_rows(names, 1.8, 0.55)
    activation, baseline = (label(shown[column].iloc[0]) for column in ("activation", "baseline"))
    _draw_effects(ax, shown, names)
    ax.set(
        xlabel=wrap(f"test accuracy of {activation} minus {baseline}'s at the same seed", 56),
        title=wrap(f"Mean differences and 95 % intervals, by cell\n(shaded: {activation} is better)", 48),
    )
    return ax


MOST_NAMED = 12
"""Up to so many cells a specification curve names each, if they have names of their own."""


def specification_curve(
    cells: pd.DataFrame,
    summary: pd.DataFrame,
    choices: Mapping[str, Mapping[str, Hashable]],
    pooled: Mapping[Any, Any],
    colours: Mapping[str, str],
    published: Mapping[str, float],
) -> Figure:
    """One column per protocol, in the order of the differences: these, the baseline's accuracies, and what was chosen.

    Args:
        cells: as grid.compare_cells gives it, of one activation.
        summary: inference.summary of each cell, with the column cell.
        choices: by cell, the level of each field, by what texts call it; fields of one level are left out.
        pooled: a row of multiverse.pool_protocols, of all of them or of those in which every run learned.
        colours: by activation.
        published: numbers of the baseline, by what they are.
    """
    shown = cells[cells["n"] > 0].sort_values("mean_difference", kind="stable").reset_index(drop=True)
    activation, baseline = (str(shown[column].iloc[0]) for column in ("activation", "baseline"))
    accuracies = summary[summary["activation"] == baseline].set_index("cell").loc[shown["cell"]].reset_index()
    rows = [
        (field, level)
        for field in dict.fromkeys(field for cell in shown["cell"] for field in choices[cell])
        for level in (field, *list_levels(choices[cell][field] for cell in choices))
        if len({choices[cell][field] for cell in shown["cell"]}) > 1
    ]
    own = not shown["cell"].str.contains("=").any()  # else they are called what is chosen in them
    names = [wrap(cell, 20) for cell in shown["cell"]] if own and len(shown) <= MOST_NAMED else []
    heights = [2.0, 1.3, LINE * 0.95 * (len(rows) + 0.5)][: 3 if rows else 2]
    keys = LINE * (5 if fit(2.6, 1, 2) == 2 else 9)
    figure = make_figure(0.6 + keys + sum(heights[2:]) + (1.2 if names else 0), sum(heights[:2]))
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    size = min(4.5, 40 * figure.get_figwidth() / len(shown))
    _draw_columns(axes[0], shown[["mean_difference", "ci_low", "ci_high"]], colours[activation], size)
    margin = float(pooled["margin"])
    of = "mean of all" if pooled["cells"] == len(shown) else "mean where all learned"
    axes[0].axhspan(-margin, margin, color="grey", alpha=0.2, linewidth=0, label=f"margin, ±{margin:.2g}")
    axes[0].axhline(0, color="black", linewidth=1)
    axes[0].axhline(pooled["mean"], color=colours[activation], linestyle="--", linewidth=1, label=of)
    axes[0].yaxis.set_major_formatter(signed)
    spread = accuracies["sd"].fillna(0)
    ends = {"low": accuracies["mean"] - spread, "high": accuracies["mean"] + spread}
    for (name, number), dashes in zip(published.items(), itertools.cycle(("--", ":"))):
        axes[1].axhline(number, color="black", linestyle=dashes, linewidth=1, label=f"{name}: {number:.4f}")
    _draw_columns(
        axes[1], pd.DataFrame({"mean": accuracies["mean"], **ends}), colours[baseline], size, published.values()
    )
    titles = (
        f"{label(activation)} minus {label(baseline)}: mean and 95 % interval",
        f"Test accuracy of {label(baseline)}: mean ± SD",
    )
    for ax, title in zip(axes, titles, strict=False):
        ax.legend(
            *ax.get_legend_handles_labels(),  # which may be none: then it is a title
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=fit(2.6, 1, 2),
            fontsize="small",
            title=wrap(title, 52),
            alignment="left",
        )
        ax.grid(visible=False, axis="x")
    if rows:
        _draw_choices(axes[2], shown["cell"].tolist(), choices, rows, size)
    edge = max(0.7, len(shown) / 60)
    axes[-1].set(
        xlim=(-edge, len(shown) - 1 + edge), xlabel=wrap(f"{len(shown)} protocols, in the order of the differences", 46)
    )
    axes[-1].set_xticks(range(len(names)), names, rotation=90, fontsize="small")
    return figure


def _draw_columns(ax: Axes, table: pd.DataFrame, colour: str, size: float, others: Iterable[float] = (0.0,)) -> None:
    """A mean and an interval per column; what is far from the rest is a triangle at the end of the axis.

    Args:
        ax: the axes.
        table: with the columns mean, low end, high end.
        colour: of all.
        size: of a mean's marker, in points.
        others: numbers that the axis is to hold, too.
    """
    means, low, high = (column for _, column in table.ffill(axis=1).items())
    held = list(others)
    middle = float(np.median([*means, *held]))
    reach = np.maximum((low - middle).abs(), (high - middle).abs())
    far = np.array(find_far(reach.tolist()))
    near = pd.concat([low[~far], high[~far], pd.Series(held, dtype=float)])
    room = 0.08 * float(near.max() - near.min()) or 0.001
    bottom, top = float(near.min()) - room, float(near.max()) + room
    ax.set_ylim(bottom, top)
    bars = [means - low, high - means]
    ax.errorbar(means.index, means, bars, fmt="o", color=colour, markersize=size, elinewidth=min(1.5, size / 2.5))
    for beyond, marker, end in ((means < bottom, "v", bottom), (means > top, "^", top)):
        if beyond.any():
            places = np.flatnonzero(beyond)
            told = (
                "beyond the axis" if len(places) > 1 else f"{means[places[0]]:.3f}, beyond the axis".replace("-", "−")
            )
            points = ax.plot(places, [end] * len(places), marker, color=colour, markersize=5, label=told)
            points[0].set_clip_on(False)


def _draw_choices(
    ax: Axes,
    cells: Sequence[str],
    choices: Mapping[str, Mapping[str, Hashable]],
    rows: Sequence[tuple[str, Hashable]],
    size: float,
) -> None:
    """A row per level of each field, with a dot where a protocol has it; the field's name is a row above them."""
    heads = [row for row, (field, level) in enumerate(rows) if level is field]
    for row, (field, level) in enumerate(rows):
        mine = [place for place, cell in enumerate(cells) if choices[cell][field] == level]
        ax.plot(mine, [row] * len(mine), "o", color="black", markersize=size)
    for row in heads:
        ax.axhline(row - 0.5, color="grey", linewidth=0.6)
    names = [wrap(spell_choice(level), 30).partition("\n") for _, level in rows]
    ax.set_yticks(range(len(rows)), [f"{first}{'…' if rest else ''}" for first, rest, _ in names], fontsize="small")
    for row in heads:
        ax.get_yticklabels()[row].set_fontweight("bold")
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.grid(visible=False)


def by_setting(
    summary: pd.DataFrame,
    finals: pd.DataFrame,
    places: Mapping[str, float],
    colours: Mapping[str, str],
    setting: str,
    on: str = "test",
) -> Figure:
    """Each activation's accuracies against a setting: every seed, and the mean, with its 95 % interval if it has one.

    Args:
        summary: inference.summary of each cell, with the column cell.
        finals: inference.final_accuracies of each cell, with the column cell.
        places: by cell, the setting's value.
        colours: by activation.
        setting: what the setting is called.
        on: which images the accuracies are on.
    """
    figure = make_figure(0.8, 2.8)
    ax = figure.subplots()
    wide = min(places.values()) > 0 and max(places.values()) > 4 * min(places.values())
    gap = (max(places.values()) - min(places.values())) / 60
    activations = list(dict.fromkeys(summary["activation"]))
    for index, activation in enumerate(activations):
        side = index - (len(activations) - 1) / 2  # side by side
        rows = summary[(summary["activation"] == activation) & (summary["n"] > 0)]
        rows = rows.sort_values("cell", key=lambda cells: cells.map(places))  # a line goes from left to right
        mine = finals[finals["activation"] == activation]
        shifted = {cell: place * 1.06**side if wide else place + gap * side for cell, place in places.items()}
        ax.plot(
            mine["cell"].map(shifted), mine["test_accuracy"], "o", color=colours[activation], ms=3, alpha=0.5, mew=0
        )
        halves = (rows["ci_high"] - rows["ci_low"]) / 2
        ax.errorbar(
            rows["cell"].map(shifted),
            rows["mean"],
            halves,
            fmt="D-",
            color=colours[activation],
            ms=4,
            capsize=4,
            label=label(activation),
        )
    if wide:
        ax.set_xscale("log")
    ax.set_xticks(list(places.values()), [f"{place:g}" for place in places.values()])
    ax.minorticks_off()
    low, high = ax.get_ylim()
    ax.set(
        xlabel=setting,
        ylabel=f"{on} accuracy",
        title=f"Each seed{', mean and 95 % interval' if summary['ci_low'].notna().any() else ' and the mean'}",
        ylim=(max(low, 0), min(high, 1)),
    )
    ax.legend()
    return figure


def _draw_effects(ax: Axes, shown: pd.DataFrame, names: list[str]) -> None:
    """Rows of differences with intervals, the half shaded in which the activation is better."""
    _means(ax, shown.index.tolist(), shown["mean_difference"], shown["ci_low"], shown["ci_high"])
    ax.axvline(0, color="black", linewidth=1)
    _rows(ax, names)
    ends = shown[["mean_difference", "ci_low", "ci_high"]].ffill(axis=1)  # one pair has no interval
    _hold_differences(ax, [row for _, row in ends.iterrows()], shown["mean_difference"])
    ax.axvspan(0, ax.get_xlim()[1], color="grey", alpha=0.12, linewidth=0)


def _hold_differences(ax: Axes, rows: Sequence[pd.Series[float]], means: pd.Series[float]) -> None:
    """Let an axis hold 0 and the differences in each row, but for rows that are far from it: they are told in words."""
    far = find_far([float(row.abs().max()) for row in rows])
    near = pd.concat([pd.Series([0.0]), *(row for row, beyond in zip(rows, far, strict=True) if not beyond)])
    room = 0.05 * float(near.max() - near.min()) or 0.001
    low, high = float(near.min()) - room, float(near.max()) + room
    ax.set_xlim(low, high)
    for row in np.flatnonzero(far).tolist():
        mean = float(means.iloc[row])
        what = f"{difference(mean)}, beyond the axis" if not low < mean < high else "some seeds are beyond the axis"
        right = mean > high or rows[row].max() > -rows[row].min()
        _say_beyond(ax, row, f"{what} →" if right else f"← {what}", right=right)
    ax.xaxis.set_major_formatter(signed)


def find_far(sizes: Sequence[float], least: float = FAR_DIFFERENCE) -> list[bool]:
    """Which sizes of differences, if larger than the least, would make points of the others on the same axis."""
    near = sorted(sizes)[(len(sizes) - 1) // 3]
    return [size > max(least, FAR_TIMES * near) for size in sizes]


def _say_beyond(ax: Axes, row: int, text: str, *, right: bool = False) -> None:
    """What is beyond an axis, at the end where it is."""
    ax.annotate(
        *(text, (0.99 if right else 0.01, row)),
        xycoords=("axes fraction", "data"),
        ha="right" if right else "left",
        va="center",
        fontsize="small",
    )


def signed(value: float, _position: float) -> str:
    """A tick of an axis of differences."""
    return f"{value:+.3g}".replace("-", "−") if round(value, 9) else "0"


LINES, LINE = 5, 0.17
"""The most lines of a text that names something, in a figure that is not narrow, and the height of one in inches."""

NO_BREAK = "\u00a0"
"""A space at which no line is broken."""


def wrap(text: str, width: int) -> str:
    """A text with a name in it, in a few lines: a long one would leave a figure no room.

    A line has at most so many letters in a figure of the usual width and size of text. A parenthesis that has room in
    one line is not torn, nor are its parts between commas. What is left out is in the middle. What cannot be printed,
    and no SVG may have, is replaced.
    """
    room = mpl.rcParams["figure.figsize"][0] / WIDTH * STYLE["font.size"] / mpl.rcParams["font.size"]
    columns = max(round(width * room), 8)
    short = f"[^(),]{{,{columns - 2}}}"
    together = re.compile(rf"\([^()]{{,{columns - 2}}}\)|\({short},|(?<=, ){short}[,)]")
    kept = together.sub(lambda part: part[0].replace(" ", NO_BREAK), text)
    wrapped = [part for line in kept.split("\n") for part in textwrap.wrap(line, columns)]
    lines = [line.replace(NO_BREAK, " ") for line in wrapped]
    half = round(LINES / min(room, 1)) // 2
    if len(lines) > 2 * half + 1:
        lines = [*lines[:half], "…", *lines[-half:]]
    return "\n".join("".join(letter if letter.isprintable() else "�" for letter in line) for line in lines)


def _strip(ax: Axes, row: int, values: pd.Series[float], seeds: pd.Series[int], colour: str) -> None:
    """One dot per seed, spread over the row's height by the golden ratio so that they cover each other little."""
    ax.plot(
        values, row - 0.25 + 0.5 * (seeds % 1000 * 0.618034 % 1), "o", color=colour, markersize=3.5, alpha=0.6, mew=0
    )


def _means(ax: Axes, rows: list[int], means: pd.Series[float], low: pd.Series[float], high: pd.Series[float]) -> None:
    reach = [(means - low).fillna(0), (high - means).fillna(0)]
    ax.errorbar(means, rows, xerr=reach, fmt="D", color="black", markersize=4, capsize=4)


def _axes_of_rows(names: list[str], around: float = 1.4, row: float = 0.5) -> Axes:
    """Axes for rows of these names, each high enough for the longest (mypackage.module:Class takes several lines)."""
    lines = max(name.count("\n") + 1 for name in names)
    return make_figure(around + max(row, LINE * lines) * len(names)).subplots()


def _rows(ax: Axes, names: list[str]) -> None:
    """One row per name, the first above, and few enough numbers below."""
    ax.xaxis.set_major_locator(few_ticks())
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")


def few_ticks() -> MaxNLocator:
    """As many round numbers along a horizontal axis as have room."""
    return MaxNLocator(fit(0.9, 2, 6), steps=[1, 2, 5, 10])


OUTLINE: Mapping[str, Any] = {
    "facecolor": "none",
    "edgecolor": "black",
    "linewidth": 1.2,
    "hatch": "///",
    "hatch_linewidth": 0.6,
}
"""Bars that those behind them show through, and that nobody needs colours for to tell them from these."""


def best_of_three(
    distributions: Mapping[str, pd.DataFrame],
    colours: Mapping[str, str],
    published: Published | None = None,
    runs: Mapping[str, int] | None = None,
) -> Figure:
    """How the best and the worst of so many runs fall out, over all sets of these, one panel per activation.

    Args:
        distributions: as published.best_and_worst_of gives them, by activation.
        colours: each activation's, as pick_colours gives them.
        published: mark the published numbers, too.
        runs: how many a set has, by activation; left out: three.
    """
    keys = LINE * (3 if fit(2.6, 1, 2) == 2 else 5)
    figure = make_figure(0.6 + keys * len(distributions), 2 * len(distributions))
    grid = figure.subplots(len(distributions), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    values = pd.concat([table["accuracy"] for table in distributions.values()])
    width = max(0.0005, float(values.max() - values.min()) / 40)  # of a bar: five images of 10,000
    edges = np.arange(values.min() - width / 2, values.max() + width, width)
    for ax, (activation, table) in zip(grid, distributions.items(), strict=True):
        fill = {"facecolor": colours[activation], "alpha": 0.65}
        for row, dashes, look in (("best", "--", fill), ("worst", ":", OUTLINE)):
            shares = np.histogram(table["accuracy"], edges, weights=table[row])[0]
            named = f"{row} of {spell_count(runs[activation] if runs else 3)}"
            ax.stairs(100 * shares, edges, fill=True, label=named, **look)
            if published is not None:
                number = published.rows[row][activation]
                ax.axvline(
                    number, color="black", linestyle=dashes, linewidth=1.5, label=f"the paper's {row}: {number:.4f}"
                )
        ax.set(ylabel="% of our sets")
        ax.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=fit(2.6, 1, 2),
            title=wrap(label(activation), 40),
            alignment="left",
        )
    grid[-1].set_xlabel("test accuracy")
    grid[-1].xaxis.set_major_locator(few_ticks())
    return figure
