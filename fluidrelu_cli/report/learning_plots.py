"""Figures of how runs went and what they learned: data in, axes out. No arithmetic beyond what is drawn, no files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from fluidrelu_cli.report.plots import LINE, WIDTH, pick_colours, wrap
from fluidrelu_cli.report.tables import label

Array = np.ndarray[Any, np.dtype[np.float64]]

KernelFunctions = Callable[[Mapping[str, Array], Array], Array]
"""An activation's functions: from its learned parameters, (kernels,) each, and inputs (V,) to outputs (V, kernels)."""

SEEDS_SHOWN = 3
LAYERS_SHOWN = 6
"""Of a network with more of them, so many, from the first to the last."""


def learning_curves(
    runs: pd.DataFrame, order: Sequence[str], axes: tuple[Axes, Axes] | None = None
) -> tuple[Axes, Axes]:
    """Test error (1 - test accuracy) and training loss by epoch: a line for the mean, a band of one SD of the seeds.

    A loss that is not finite counts for neither.

    Args:
        runs: run.RUN_COLUMNS.
        order: all activations, in order.
        axes: where to draw, the errors and the losses.
    """
    errors = runs.assign(test_error=1 - runs["test_accuracy"]).replace([np.inf, -np.inf], np.nan)
    seeds = runs.groupby("activation")["seed"].nunique()
    colours = {name: colour for name, colour in pick_colours(order).items() if name in seeds}
    names = [wrap(f"{label(name)} (n = {seeds[name]})", 32) for name in colours]
    if axes is None:
        legend = LINE * sum(name.count("\n") + 1 for name in names) / 2  # it has two columns
        figure = Figure(figsize=(WIDTH, 6.4 + max(0, legend - 5 * LINE)), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        axes = (above, below)
    panels = (("test_error", "test error (1 − accuracy)"), ("train_loss", "training loss (nats)"))
    for ax, (column, quantity) in zip(axes, panels, strict=True):
        for activation, colour in colours.items():
            values = errors[errors["activation"] == activation].groupby("epoch")[column]
            mean, sd = values.mean(), values.std().fillna(0)
            ax.plot(mean, color=colour, linewidth=2, marker=".")
            ax.fill_between(mean.index, mean - sd, mean + sd, color=colour, alpha=0.2, linewidth=0)
        ax.set(ylabel=quantity)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        # Within a decade the ticks of a linear axis are the better ones.
        if 0 < 10 * errors[column].min() <= errors[column].max():
            ax.set_yscale("log")
            ax.yaxis.set_major_formatter(_PlainLogFormatter())
            ax.yaxis.set_minor_formatter(_PlainLogFormatter(minor_thresholds=(2, 0.5)))
    axes[0].set(title="By epoch: mean over seeds, and a band of ± one SD")
    axes[1].set(xlabel="epoch")
    lines = axes[1].get_lines()[-len(names) :]
    # Not by the lines' labels: those that begin with _ have no place in a legend.
    axes[1].legend(lines, names, loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize="small", ncols=2)
    return axes


class _PlainLogFormatter(LogFormatter):
    """The ticks of a logarithmic axis that matplotlib would label, as plain numbers: 0.03 instead of 3e-02."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def learned_parameters(parameters: pd.DataFrame, of_seeds: int) -> Figure:
    """One activation's learned parameters by kernel (down) and epoch (right), one row per layer, one column per seed.

    A layer has a row for each of its parameters, and a panel stays empty where a seed has no such layer.

    Args:
        parameters: run.PARAMETER_COLUMNS of one activation; the first three seeds are drawn.
        of_seeds: how many seeds there are.
    """
    activation = str(parameters["activation"].iloc[0])
    seeds = sorted(parameters["seed"].unique())[:SEEDS_SHOWN]
    shown = parameters[parameters["seed"].isin(seeds)]
    by_layer = list(shown.groupby(["layer", "parameter"], sort=False))
    layers = [by_layer[index] for index in _spread(len(by_layer))]
    names = list(dict.fromkeys(shown["parameter"]))
    heights = [min(max(14, group["kernel"].max() + 1), 32) for _, group in layers]  # 14 have room for the layer's name
    figure = Figure(figsize=(WIDTH, 1.4 + 0.11 * sum(heights)), layout="constrained")
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
                extent = (values.columns[0] - 0.5, values.columns[-1] + 0.5, values.index[-1] + 0.5, -0.5)
                ax.imshow(values, cmap="PuOr", norm=scale, aspect="auto", extent=extent)
            ax.grid(False)
            ax.xaxis.set_major_locator(MaxNLocator(3, integer=True, min_n_ticks=1))
            if column == 0:
                ax.set_ylabel(wrap(f"kernel of {layer}{f', {name}' if len(names) > 1 else ''}", 22))
            if row == 0:
                ax.set_title(wrap(f"seed {seed}", 14))
            if row == len(layers) - 1:
                ax.set_xlabel("epoch (0: start)")
    figure.colorbar(ScalarMappable(scale, "PuOr"), ax=grid, label=wrap(f"learned {', '.join(names)}", 40))
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


def learned_functions(parameters: pd.DataFrame, of_seeds: int, functions: KernelFunctions) -> Figure:
    """What an activation became: each kernel's function after the last epoch, one panel per layer and seed.

    Args:
        parameters: run.PARAMETER_COLUMNS of one activation; the first three seeds are drawn.
        of_seeds: how many seeds there are.
        functions: the activation's.
    """
    activation = str(parameters["activation"].iloc[0])
    last = parameters[parameters["epoch"] == parameters["epoch"].max()]
    seeds = sorted(last["seed"].unique())[:SEEDS_SHOWN]
    all_layers = list(dict.fromkeys(last["layer"]))
    layers = [all_layers[index] for index in _spread(len(all_layers))]
    figure = Figure(figsize=(WIDTH, 0.8 + 2.6 * len(layers)), layout="constrained")
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
                    ax.plot(v, functions(learned, v), color="C1", linewidth=0.8, alpha=0.6)
            if column == 0:
                kernels = last.loc[last["layer"] == layer, "kernel"].max() + 1
                ax.set_ylabel(wrap(f"{layer}, {kernels} kernels", 32))
            if row == 0:
                ax.set_title(wrap(f"seed {seed}", 14))
            if row == len(layers) - 1:
                ax.set_xlabel("input v")
    which = _which(len(seeds), of_seeds, len(layers), len(all_layers))
    figure.suptitle(wrap(f"What {label(activation)} became{which}; dashed: ReLU", TITLE_WIDTH), **TITLE)
    return figure
