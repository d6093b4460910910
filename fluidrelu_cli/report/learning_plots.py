"""Figures of how runs went and what they learned: data in, axes out. No arithmetic beyond what is drawn, no files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from fluidrelu_cli.report.plots import LINE, find_far, fit, make_figure, mix_with_white, name_baseline, signed, wrap
from fluidrelu_cli.report.tables import label

Array = np.ndarray[Any, np.dtype[np.float64]]

KernelFunctions = Callable[[Mapping[str, Array], Array], Array]
"""An activation's functions: from its learned parameters, (kernels,) each, and inputs (V,) to outputs (V, kernels)."""

TOGETHER = 4
"""The most activations whose curves one panel shows."""

OWN_AXIS = 0.005
"""The least value that has an axis of its own where those of the other activations are points beside it."""

SEEDS_SHOWN = 3
LAYERS_SHOWN = 6
"""Of a network with more of them, so many, from the first to the last."""


def learning_curves(
    runs: pd.DataFrame,
    colours: Mapping[str, str],
    baseline: str | None = None,
    axes: tuple[Axes, Axes] | None = None,
) -> tuple[Axes, Axes]:
    """Test error (1 - test accuracy) and training loss by epoch: a line for the mean, a band of one SD of the seeds.

    A loss that is not finite counts for neither.

    Args:
        runs: run.RUN_COLUMNS.
        colours: each activation's, in the order in which they are named.
        baseline: the activation that the others are compared with, dashed.
        axes: where to draw, the errors and the losses.
    """
    curves = _average(runs)
    shown = [name for name in colours if name in curves]
    names = [wrap(f"{name_baseline(name, baseline)} (n = {curves[name].seeds})", 32) for name in shown]
    columns = fit(2.6, 1, 2)
    if axes is None:
        legend = LINE * sum(name.count("\n") + 1 for name in names) / columns
        above, below = make_figure(1.4 + max(0, legend - 5 * LINE), 5).subplots(2, 1, sharex=True)
        axes = (above, below)
    for ax, (column, quantity) in zip(axes, QUANTITIES.items(), strict=True):
        for activation in shown:
            curves[activation].draw(ax, column, colours[activation], "--" if activation == baseline else "-")
        ax.set(ylabel=quantity)
        _hold_quantity(ax, [curves[name] for name in shown], column)
    axes[0].set(title=wrap("By epoch: mean over seeds, and a band of ± one SD", 50))
    axes[1].set(xlabel="epoch")
    # Not by the lines' labels: those that begin with _ have no place in a legend.
    lines = axes[1].get_lines()[-len(names) :]
    axes[1].legend(lines, names, loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize="small", ncols=columns)
    return axes


QUANTITIES = {"test_error": "test error\n(1 − accuracy)", "train_loss": "training loss\n(nats)"}
"""What is drawn by epoch, by its column, and what an axis calls it."""


@dataclass(frozen=True)
class _Curves:
    """What one activation's seeds did on average, by epoch."""

    seeds: int
    mean: pd.DataFrame
    sd: pd.DataFrame

    def draw(self, ax: Axes, column: str, colour: str, dashes: str = "-") -> None:
        mean, sd = self.mean[column], self.sd[column]
        ax.plot(mean, color=colour, linewidth=1.5, marker=".", linestyle=dashes)
        low = (mean - sd).clip(lower=0)  # nothing that is drawn can be below 0
        ax.fill_between(mean.index, low, mean + sd, color=colour, alpha=0.2, linewidth=0)


def _average(runs: pd.DataFrame) -> dict[str, _Curves]:
    """Each activation's QUANTITIES; those that are not finite do not count."""
    finite = runs.assign(test_error=1 - runs["test_accuracy"]).replace([np.inf, -np.inf], np.nan)
    return {
        str(activation): _Curves(
            seeds=mine["seed"].nunique(),
            mean=mine.groupby("epoch")[list(QUANTITIES)].mean(),
            sd=mine.groupby("epoch")[list(QUANTITIES)].std().fillna(0),
        )
        for activation, mine in finite.groupby("activation")
    }


def _hold_quantity(ax: Axes, curves: Sequence[_Curves], column: str) -> None:
    """Axes for epochs and positive numbers: logarithmic, unless they are within a decade."""
    ax.xaxis.set_major_locator(_epochs())
    means = pd.concat([each.mean[column] for each in curves])
    if 0 < 10 * means.min() <= means.max():  # else the ticks of a linear axis are the better ones
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if means.max() < 100 * means.min() else (1,)))
        ax.yaxis.set_major_formatter(lambda value, _position: f"{value:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())


def _epochs() -> MaxNLocator:
    return MaxNLocator(4, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)


def many_learning_curves(runs: pd.DataFrame, colours: Mapping[str, str], baseline: str) -> Figure:
    """The same of more activations than a panel can show: two panels for each, with the baseline's curves in grey.

    One whose curves would make lines of the others on the same axis has axes of its own.

    Args:
        runs: run.RUN_COLUMNS.
        colours: each activation's, in the order in which they are named.
        baseline: the activation that the others are compared with.
    """
    curves = _average(runs)
    shown = [name for name in colours if name in curves]
    tops = pd.DataFrame({name: curves[name].mean.max() for name in shown}).fillna(0.0).to_dict("index")
    own = {name for column in QUANTITIES for name in _find_own(tops[column])} - {baseline}
    if len(shown) > 1 and baseline in shown:
        shown.remove(baseline)
    titles = {name: _name_panel(name, f"n = {curves[name].seeds}", own) for name in shown}
    figure, panels = _stack(titles, [(quantity, 1.0) for quantity in QUANTITIES.values()], "epoch", own)
    for name, axes in panels.items():
        held = {name, baseline} if name in own else curves.keys() - own
        for ax, column in zip(axes, QUANTITIES, strict=True):
            if baseline in curves:
                curves[baseline].draw(ax, column, "grey", "--")
            curves[name].draw(ax, column, colours[name])
            _hold_quantity(ax, [curve for each, curve in curves.items() if each in held], column)
    grey = f"; grey, dashed: {label(baseline)}, the baseline" if baseline in curves else ""
    figure.suptitle(wrap(f"By epoch: mean over seeds, and a band of ± one SD{grey}", TITLE_WIDTH), **TITLE)
    return figure


def learning_differences(by_epoch: Mapping[str, pd.DataFrame], colours: Mapping[str, str], baseline: str) -> Figure:
    """Each activation's test accuracy minus the baseline's at the same seed and epoch.

    A line for the mean, a dark band for each epoch's 95 % interval, and a light one that holds all epochs at once.

    Args:
        by_epoch: by_epoch.compare_by_epoch of each activation with the baseline; some of them has rows.
        colours: each activation's, in the order in which they are named.
        baseline: the activation that the others are compared with.
    """
    paired = {name: by_epoch[name] for name in colours if name in by_epoch and len(by_epoch[name])}
    own = _find_own({name: float(table["mean_difference"].abs().max()) for name, table in paired.items()})
    titles = {name: _name_panel(name, f"{table['n'].max()} pairs", own) for name, table in paired.items()}
    figure, panels = _stack(titles, [("difference", 1.5)], "epoch", own)
    for name, [ax] in panels.items():
        table, colour = paired[name], colours[name]
        ax.axhline(0, color="black", linewidth=1)
        ax.plot(table["epoch"], table["mean_difference"], color=colour, linewidth=1.5, marker=".")
        for of in ("ci", "band"):  # the one lies in the other
            ends = table[f"{of}_low"], table[f"{of}_high"]
            ax.fill_between(table["epoch"], *ends, color=colour, alpha=0.2, linewidth=0)
        ax.xaxis.set_major_locator(_epochs())
        ax.yaxis.set_major_formatter(signed)
    banded = any(table["band_low"].notna().any() for table in paired.values())
    what = (
        "mean, 95 % interval (dark), and a band for all epochs at once (light)" if banded else "mean and 95 % interval"
    )
    title = f"Test accuracy minus {label(baseline)}'s at the same seed, by epoch: {what}"
    figure.suptitle(wrap(title, TITLE_WIDTH), **TITLE)
    return figure


def _find_own(sizes: Mapping[str, float]) -> set[str]:
    """The activations that are so large, in what is drawn of them, that they have vertical axes of their own."""
    far = find_far(list(sizes.values()), OWN_AXIS)
    return {name for name, beyond in zip(sizes, far, strict=True) if beyond}


def _name_panel(activation: str, count: str, own: Collection[str]) -> str:
    return f"{label(activation)} ({count}{', own axis' if activation in own else ''})"


def _stack(
    titles: Mapping[str, str], quantities: Sequence[tuple[str, float]], below: str, own: Collection[str] = ()
) -> tuple[Figure, dict[str, list[Axes]]]:
    """Small multiples: for each activation one panel per quantity, one above the other.

    Args:
        titles: what stands above each activation's panels.
        quantities: the label of each panel's vertical axis, and its height; activations share the axes.
        below: the label of the horizontal axes.
        own: the activations that have vertical axes of their own.
    """
    columns = min(fit(1.5, 1, 6), len(titles))
    wrapped = {name: wrap(title, 50 // columns) for name, title in titles.items()}
    rows, heights = -(-len(titles) // columns), [height for _, height in quantities]
    lines = max(title.count("\n") + 1 for title in wrapped.values())
    figure = make_figure(1 + rows * (0.1 + LINE * lines), rows * sum(heights))
    grid = figure.subplots(rows * len(heights), columns, squeeze=False, sharex=True, height_ratios=heights * rows)
    panels: dict[str, list[Axes]] = {}
    shared: list[Axes] = []
    for place, (name, title) in enumerate(wrapped.items()):
        row, column = divmod(place, columns)
        panels[name] = list(grid[row * len(heights) : (row + 1) * len(heights), column])
        panels[name][0].set_title(title)
        shared = shared or (panels[name] if name not in own else [])
        for ax, first in zip(panels[name], shared, strict=False):
            if ax is not first and name not in own:
                ax.sharey(first)
        for ax, (quantity, _) in zip(panels[name], quantities, strict=True):
            ax.tick_params(axis="y", which="both", labelleft=column == 0 or name in own)
            ax.set_ylabel(quantity if column == 0 else "")
        if place + columns >= len(titles):  # nothing is below
            panels[name][-1].set_xlabel(below)
            panels[name][-1].tick_params(labelbottom=True)
    for ax in grid[-len(heights) :, (len(titles) - 1) % columns + 1 :].flat:
        ax.remove()
    return figure, panels


def learned_parameters(parameters: pd.DataFrame, of_seeds: int) -> Figure:
    """One activation's learned parameters by kernel (down) and epoch (right), one row per layer, one column per seed.

    A layer has a row for each of its parameters, if they are several with what they moved from their starts, and a
    panel stays empty where a seed has no such layer.

    Args:
        parameters: run.PARAMETER_COLUMNS of one activation; the first three seeds are drawn.
        of_seeds: how many seeds there are.
    """
    activation = str(parameters["activation"].iloc[0])
    seeds = sorted(parameters["seed"].unique())[: fit(1, 1, SEEDS_SHOWN)]
    shown = parameters[parameters["seed"].isin(seeds)]
    names = list(dict.fromkeys(shown["parameter"]))
    if len(names) > 1:  # they may start far apart: what each moved has one scale
        shown = shown.sort_values("epoch", kind="stable", ignore_index=True)
        kernels = shown.groupby(["seed", "layer", "parameter", "kernel"])["value"]
        shown = shown.assign(value=shown["value"] - kernels.transform("first"))
    by_layer = list(shown.groupby(["layer", "parameter"], sort=False))
    layers = [by_layer[index] for index in _spread(len(by_layer))]
    heights = [min(max(14, group["kernel"].max() + 1), 32) for _, group in layers]  # 14 have room for the layer's name
    figure = make_figure(1.4 + 0.11 * sum(heights))
    grid = figure.subplots(len(layers), len(seeds), squeeze=False, sharex=True, height_ratios=heights)
    finite = shown[np.isfinite(shown["value"])]
    start = float(finite.loc[finite["epoch"] == 0, "value"].median())  # white: what was learned shows as a colour
    start = start if np.isfinite(start) else 0.0
    limit = float((finite["value"] - start).abs().max())
    limit = limit if limit > 0 else 1.0  # it is nan if there is no number
    scale = Normalize(start - limit, start + limit)
    for row, ((layer, name), group) in enumerate(layers):
        for column, seed in enumerate(seeds):
            ax = grid[row, column]
            values = group[group["seed"] == seed].pivot(index="kernel", columns="epoch", values="value")
            if not values.empty:
                first, last = values.columns[0], values.columns[-1]
                half = (last - first) / (len(values.columns) - 1) / 2  # of a column, which may be less than an epoch
                extent = (first - half, last + half, values.index[-1] + 0.5, -0.5)
                ax.imshow(values, cmap="PuOr", norm=scale, aspect="auto", extent=extent)
            ax.grid(False)
            ax.xaxis.set_major_locator(MaxNLocator(3, integer=True, min_n_ticks=1))
            ax.yaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
            if column == 0:
                ax.set_ylabel(wrap(f"kernel of {layer}{f', {name}' if len(names) > 1 else ''}", 22))
            if row == 0:
                ax.set_title(wrap(f"seed {seed}", 14))
            if row == len(layers) - 1:
                ax.set_xlabel(wrap("epoch (0: start)", 54 // len(seeds)))
    place = "right" if fit(2, 0, 1) else "bottom"
    figure.colorbar(
        ScalarMappable(scale, "PuOr"),
        ax=grid,
        location=place,
        label=wrap(f"{'change of' if len(names) > 1 else 'learned'} {', '.join(names)}", 40),
    )
    which = _which(len(seeds), of_seeds, len(layers), len(by_layer), "layers" if len(names) == 1 else "parameters")
    figure.suptitle(wrap(f"What {label(activation)} learned{which}", TITLE_WIDTH), **TITLE)
    return figure


TITLE: dict[str, Any] = {"x": 0.01, "ha": "left", "fontsize": "medium"}
TITLE_WIDTH = 75


def _spread(layers: int) -> list[int]:
    """Which of so many layers are drawn: all, or LAYERS_SHOWN from the first to the last."""
    return sorted({round(index) for index in np.linspace(0, layers - 1, min(layers, LAYERS_SHOWN))})


def _which(seeds: int, of_seeds: int, layers: int, of_layers: int, kind: str = "layers") -> str:
    """What a figure leaves out, for its title."""
    left_out = [f"the first {seeds} of {of_seeds} seeds"] if of_seeds > seeds else []
    left_out += [f"{layers} of {of_layers} {kind}"] if of_layers > layers else []
    return f" ({', '.join(left_out)})" if left_out else ""


@dataclass(frozen=True)
class Traced:
    """Functions of one activation: their values at INPUTS and their derivatives BETWEEN, one column per kernel."""

    values: Array
    slopes: Array


INPUTS = np.linspace(-4, 4, 257)
"""Where functions are drawn. Kinks are at 0 and other round numbers, which are among these..."""

BETWEEN = (INPUTS[1:] + INPUTS[:-1]) / 2
"""... and not among these, where derivatives are drawn: no difference quotient is of two sides of a kink."""

STEP = 2.0**-9
"""Half the distance of a difference quotient; in float32 it leaves an error of 0.0001."""


def trace(function: Callable[[Array], Array]) -> Traced:
    """A function of (V,) inputs, with values (V, kernels), and its derivative by central differences."""
    with np.errstate(all="ignore"):  # a diverged run's parameters are no numbers
        return Traced(function(INPUTS), (function(BETWEEN + STEP) - function(BETWEEN - STEP)) / (2 * STEP))


def activation_functions(
    learned: Mapping[str, Traced], started: Mapping[str, Traced], titles: Mapping[str, str], colours: Mapping[str, str]
) -> Figure:
    """Every activation's function and, below, its derivative: the mean of its kernels, dark, and each kernel's, pale.

    A few are drawn together, more than that each in panels of its own.

    Args:
        learned: each activation's functions at the end, in the order in which they are named.
        started: those that it began with, where it learned something, dashed.
        titles: what each is called, and in a second line its formula.
        colours: each activation's.
    """
    quantities = [("f(v)", 1.2), ("f′(v)", 0.9)]
    if len(learned) > FUNCTIONS_TOGETHER:
        figure, panels = _stack({name: titles[name] for name in learned}, quantities, "input v")
    else:
        names = [wrap(titles[name].replace("\n", ": "), 42) for name in learned]
        lines = LINE * sum(name.count("\n") + 1 for name in names)
        figure = make_figure(1.4 + lines, 4.6)
        axes = list(figure.subplots(2, 1, sharex=True, height_ratios=(3, 2)))
        panels = dict.fromkeys(learned, axes)
        keys = [Line2D([], [], color=colours[name], linewidth=2) for name in learned]
        axes[0].legend(keys, names, loc="lower left", bbox_to_anchor=(-0.02, 1), fontsize="small")
        for ax, (quantity, _) in zip(axes, quantities, strict=True):
            ax.set_ylabel(quantity)
        axes[1].set_xlabel("input v")
        axes[1].xaxis.set_major_locator(MaxNLocator(fit(0.6, 2, 8), integer=True))
    # Where functions coincide, each of those below shows beside the one above.
    widths = np.linspace(3.5, 1.2, len(learned)) if len(learned) <= FUNCTIONS_TOGETHER else [1.5] * len(learned)
    for width, (name, functions) in zip(widths, learned.items(), strict=True):
        for ax, x, part, (low, high) in zip(panels[name], (INPUTS, BETWEEN), ("values", "slopes"), LIMITS, strict=True):
            kernels = np.ma.masked_invalid(getattr(functions, part))
            if kernels.shape[1] > 1:
                # Not transparent: where many coincide, they would be as dark as their mean.
                ax.plot(x, kernels, color=mix_with_white(colours[name]), linewidth=0.4)
            ax.plot(x, kernels.mean(axis=1), color=colours[name], linewidth=width)
            if name in started:
                start = np.ma.masked_invalid(getattr(started[name], part)).mean(axis=1)
                ax.plot(x, start, color=colours[name], linewidth=1.2, linestyle="--")
            lowest, highest = ax.dataLim.intervaly
            bottom, top = (0.0, 1.0) if ax.get_autoscaley_on() else ax.get_ylim()  # which others may share
            ax.set_ylim(max(low, min(bottom, lowest - 0.1)), min(high, max(top, highest + 0.1)))
    thin = "; dark: mean of all layers' kernels, pale: each kernel, dashed: at the start" if started else ""
    figure.suptitle(wrap(f"The activation functions and their derivatives{thin}", TITLE_WIDTH), **TITLE)
    return figure


FUNCTIONS_TOGETHER = 5
"""The most activations whose functions one panel shows."""

LIMITS = (-4.3, 4.3), (-1.2, 2.2)
"""Of functions and of derivatives: a function that grows fast does not hide the others."""


def learned_functions(parameters: pd.DataFrame, of_seeds: int, functions: KernelFunctions, colour: str) -> Figure:
    """What an activation became: each kernel's function after the last epoch, one panel per layer and seed.

    Args:
        parameters: run.PARAMETER_COLUMNS of one activation; the first three seeds are drawn.
        of_seeds: how many seeds there are.
        functions: the activation's.
        colour: the activation's.
    """
    activation = str(parameters["activation"].iloc[0])
    last = parameters[parameters["epoch"] == parameters["epoch"].max()]
    seeds = sorted(last["seed"].unique())[: fit(1, 1, SEEDS_SHOWN)]
    all_layers = list(dict.fromkeys(last["layer"]))
    layers = [all_layers[index] for index in _spread(len(all_layers))]
    figure = make_figure(0.8, 2.6 * len(layers))
    grid = figure.subplots(len(layers), len(seeds), squeeze=False, sharex=True, sharey=True)
    v = np.linspace(-4, 2, 49).astype(np.float64)
    for row, layer in enumerate(layers):
        for column, seed in enumerate(seeds):
            ax = grid[row, column]
            mine = last[(last["layer"] == layer) & (last["seed"] == seed)].sort_values("kernel")
            learned = {str(name): group["value"].to_numpy() for name, group in mine.groupby("parameter")}
            ax.plot(v, np.maximum(v, 0), color="black", linestyle="--", linewidth=1)
            if learned:
                with np.errstate(all="ignore"):  # a diverged run's parameters are no numbers
                    ax.plot(v, functions(learned, v), color=colour, linewidth=0.8, alpha=0.6)
            if column == 0:
                kernels = last.loc[last["layer"] == layer, "kernel"].max() + 1
                ax.set_ylabel(wrap(f"{layer}, {kernels} kernel{'' if kernels == 1 else 's'}", 32))
            if row == 0:
                ax.set_title(wrap(f"seed {seed}", 14))
            if row == len(layers) - 1:
                ax.set_xlabel("input v")
    which = _which(len(seeds), of_seeds, len(layers), len(all_layers))
    figure.suptitle(wrap(f"What {label(activation)} became{which}; dashed: ReLU", TITLE_WIDTH), **TITLE)
    return figure
