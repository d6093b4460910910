"""Figures over several studies: effects by study, and mean ranks with the critical difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fluidrelu_cli.analysis.ranks import Ranking
from fluidrelu_cli.report import plots
from fluidrelu_cli.report.tables import difference, label


def effects_by_study(
    compared: pd.DataFrame, order: Sequence[str], titles: Mapping[str, str], colours: Mapping[str, str]
) -> Figure:
    """A panel for each study: the mean difference of each activation from the baseline, with its 95 % interval.

    Args:
        compared: overview.compare_studies.
        order: the activations from top to bottom; those that are nowhere compared have no row.
        titles: by study.
        colours: by activation.
    """
    rows = [name for name in order if name in set(compared["activation"])]
    names = [_name(name) for name in rows]
    columns = min(plots.fit(1.6, 2, 3), len(titles))
    lines = -(-len(titles) // columns)
    figure = plots.make_figure(
        lines * (0.9 + max(0.24, plots.LINE * max(n.count("\n") + 1 for n in names)) * len(rows))
    )
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False).flatten()
    for ax, (study, title) in zip(panels, titles.items(), strict=False):
        _draw_panel(ax, compared[compared["cell"] == study], rows, colours)
        ax.set_yticks(range(len(rows)), names)
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_title(plots.wrap(title, 54 // columns))
    for ax in panels[len(titles) :]:
        ax.set_axis_off()
    baseline = label(str(compared["baseline"].iloc[0]))
    figure.supxlabel(
        plots.wrap(f"test accuracy minus {baseline}'s at the same seed (shaded: better)", 60), fontsize="medium"
    )
    return figure


def _name(activation: str) -> str:
    """An activation in a few lines, its settings below it."""
    return plots.wrap(label(activation).replace(" (", "\n(", 1), 14)


def _draw_panel(ax: Axes, table: pd.DataFrame, rows: Sequence[str], colours: Mapping[str, str]) -> None:
    """The differences in one study; those far beyond the others are numbers at the end of the axis."""
    ends = table[["mean_difference", "ci_low", "ci_high"]].ffill(axis=1)  # one pair has no interval
    far = plots.find_far(ends.abs().max(axis=1).tolist())
    near = [0.0, *ends[[not each for each in far]].to_numpy().flatten()]
    room = 0.06 * (max(near) - min(near)) or 0.001
    ax.set_xlim(min(near) - room, max(near) + room)
    for row, beyond in zip(table.to_dict("records"), far, strict=True):
        at, mean, colour = rows.index(row["activation"]), row["mean_difference"], colours[row["activation"]]
        if beyond:
            right = mean > 0
            words = f"{difference(mean, 3)} →" if right else f"← {difference(mean, 3)}"
            ax.annotate(
                *(words, (0.99 if right else 0.01, at)),
                xycoords=("axes fraction", "data"),
                ha="right" if right else "left",
                va="center",
                fontsize="small",
                color=colour,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},  # over the line at 0
            )
        else:
            ax.plot([row["ci_low"], row["ci_high"]], [at, at], color=colour, linewidth=1.5)
            ax.plot(mean, at, "D", color=colour, markersize=4)
    ax.axvline(0, color="black", linewidth=1)
    ax.axvspan(0, max(near) + room, color="grey", alpha=0.12, linewidth=0)
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(plots.signed)


def critical_difference(ranking: Ranking, colours: Mapping[str, str]) -> Figure:
    """Activations at their mean ranks, the best to the left (Demšar 2006, figure 1).

    Args:
        ranking: what is ranked.
        colours: by activation.
    """
    names, ranks = ranking.table["activation"].tolist(), ranking.table["mean_rank"].tolist()
    half = (len(names) + 1) // 2
    groups = ranking.groups
    top = -0.35 * len(groups) - 0.6  # where the first name is
    row = 0.75 + 0.4 * max(_name(name).count("\n") for name in names)
    bottom = top - row * (half - 0.4)
    figure = plots.make_figure(0.5 + 0.28 * (1.6 - bottom))
    ax = figure.subplots()
    ax.set_axis_off()
    low, high = 1, len(names)
    side = 0.35 * (high - low)  # room for names
    ax.set(xlim=(low - side, high + side), ylim=(bottom, 1.8))
    ax.plot([low, high], [0, 0], color="black", linewidth=1, clip_on=False)
    for rank in range(low, high + 1):
        ax.plot([rank, rank], [0, 0.2], color="black", linewidth=1)
        ax.text(rank, 0.3, str(rank), ha="center", va="bottom", fontsize="small")
    wide = min(ranking.critical_difference, high - low)
    ax.plot([low, low + wide], [1.25, 1.25], color="black", linewidth=1.5, marker="|")
    ax.text(
        low + wide + 0.02 * (high - low),
        1.25,
        f"critical difference {ranking.critical_difference:.2f}",
        va="center",
        fontsize="small",
    )
    for place, (name, rank) in enumerate(zip(names, ranks, strict=True)):
        left = place < half
        y = top - row * (place if left else len(names) - 1 - place)
        end = low - 0.03 * side if left else high + 0.03 * side
        ax.plot([rank, rank, end], [0, y, y], color=colours[name], linewidth=1.2)
        words = f"{_name(name)} {rank:.2f}" if left else f"{rank:.2f} {_name(name)}"
        ax.annotate(
            *(words, (end, y)),
            xytext=(-3 if left else 3, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize="small",
        )
    places = dict(zip(names, ranks, strict=True))
    for line, group in enumerate(groups):
        ends = [places[group[0]] - 0.02 * (high - low), places[group[-1]] + 0.02 * (high - low)]
        ax.plot(ends, [-0.3 - 0.35 * line] * 2, color="black", linewidth=3, solid_capstyle="butt")
    return figure
