"""Figures of how runs went and what they learned: data in, axes out. No arithmetic beyond what is drawn, no files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator
from torch import Tensor

from fluidrelu_cli.analysis.inference import paper_pair_first
from fluidrelu_cli.networks.named import Activation
from fluidrelu_cli.report.plots import WIDTH, wrapped
from fluidrelu_cli.report.tables import label

SEEDS_SHOWN = 3
LAYERS_SHOWN = 6
"""Of a network with more of them, so many, from the first to the last."""


def learning_curves(runs: pd.DataFrame, axes: tuple[Axes, Axes] | None = None) -> tuple[Axes, Axes]:
    """Test error (1 - test accuracy) and training loss by epoch: a line for the mean, a band of one SD of the seeds."""
    if axes is None:
        above, below = Figure(figsize=(WIDTH, 6.4), layout="constrained").subplots(2, 1, sharex=True)
        axes = (above, below)
    errors = runs.assign(test_error=1 - runs["test_accuracy"])
    panels = (("test_error", "test error (1 − accuracy)"), ("train_loss", "training loss (nats)"))
    for ax, (column, quantity) in zip(axes, panels, strict=True):
        for index, activation in enumerate(paper_pair_first(runs["activation"])):
            seeds = errors[errors["activation"] == activation].groupby("epoch")[column]
            mean, sd = seeds.mean(), seeds.std().fillna(0)
            name = wrapped(f"{label(activation)} (n = {seeds.size().max()})", 32)
            ax.plot(mean, color=f"C{index}", linewidth=2, marker=".", label=name)
            ax.fill_between(mean.index, mean - sd, mean + sd, color=f"C{index}", alpha=0.2, linewidth=0)
        ax.set(ylabel=quantity)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        # Within a decade the ticks of a linear axis are the better ones.
        values = errors[column][np.isfinite(errors[column])]
        if not values.empty and 0 < 10 * values.min() <= values.max():
            ax.set_yscale("log")
            ax.yaxis.set_major_formatter(_PlainLogFormatter())
            ax.yaxis.set_minor_formatter(_PlainLogFormatter(minor_thresholds=(2, 0.5)))
    axes[0].set(title="By epoch: mean over seeds, and a band of ± one SD")
    axes[1].set(xlabel="epoch")
    axes[1].legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize="small", ncols=2)
    return axes


class _PlainLogFormatter(LogFormatter):
    """The ticks of a logarithmic axis that matplotlib would label, as plain numbers: 0.03 instead of 3e-02."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def learned_parameters(parameters: pd.DataFrame) -> Figure:
    """One activation's learned parameters by kernel (down) and epoch (right), a row a layer, a column a seed.

    Args:
        parameters: records.PARAMETER_COLUMNS of one activation; the first three seeds are drawn.
    """
    activation = str(parameters["activation"].iloc[0])
    seeds = sorted(parameters["seed"].unique())[:SEEDS_SHOWN]
    shown = parameters[parameters["seed"].isin(seeds)]
    by_layer = list(shown.groupby(["layer", "parameter"], sort=False))
    layers = [by_layer[index] for index in _spread(len(by_layer))]
    heights = [min(max(4, group["kernel"].max() + 1), 32) for _, group in layers]
    figure = Figure(figsize=(WIDTH, 1.4 + 0.11 * sum(heights)), layout="constrained")
    grid = figure.subplots(len(layers), len(seeds), squeeze=False, sharex=True, height_ratios=heights)
    limit = float(shown["value"].abs().replace(np.inf, 0).max()) or 1.0
    image = None
    for row, ((layer, _), group) in enumerate(layers):
        for column, seed in enumerate(seeds):
            ax = grid[row, column]
            values = group[group["seed"] == seed].pivot(index="kernel", columns="epoch", values="value")
            extent = (values.columns[0] - 0.5, values.columns[-1] + 0.5, values.index[-1] + 0.5, -0.5)
            image = ax.imshow(values, cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto", extent=extent)
            ax.grid(False)
            ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))
            if column == 0:
                ax.set_ylabel(wrapped(f"kernel of {layer}", 22))
            if row == 0:
                ax.set_title(f"seed {seed}")
            if row == len(layers) - 1:
                ax.set_xlabel("epoch (0: start)")
    assert image is not None  # there is at least one layer and one seed
    figure.colorbar(image, ax=grid, label=f"learned {parameters['parameter'].iloc[0]}")
    n = parameters["seed"].nunique()
    figure.suptitle(f"What {label(activation)} learned{_which(len(seeds), n, len(layers), len(by_layer))}", **TITLE)
    return figure


TITLE: dict[str, Any] = {"x": 0.01, "ha": "left", "fontsize": "medium"}


def _spread(layers: int) -> list[int]:
    """Which of so many layers are drawn: all, or LAYERS_SHOWN from the first to the last."""
    return sorted({round(index) for index in np.linspace(0, layers - 1, min(layers, LAYERS_SHOWN))})


def _which(seeds: int, of_seeds: int, layers: int, of_layers: int) -> str:
    """What a figure leaves out, for its title."""
    left_out = [f"the first {seeds} of {of_seeds} seeds"] if of_seeds > seeds else []
    left_out += [f"{layers} of {of_layers} layers"] if of_layers > layers else []
    return f" ({', '.join(left_out)})" if left_out else ""


def learned_functions(activation: Activation, parameters: pd.DataFrame) -> Figure:
    """What an activation became: each kernel's function after the last epoch, a panel a layer.

    Args:
        activation: whose functions they are.
        parameters: records.PARAMETER_COLUMNS of that activation; the first three seeds are drawn.
    """
    last = parameters[parameters["epoch"] == parameters["epoch"].max()]
    seeds = sorted(last["seed"].unique())[:SEEDS_SHOWN]
    all_layers = list(dict.fromkeys(last["layer"]))
    layers = [all_layers[index] for index in _spread(len(all_layers))]
    figure = Figure(figsize=(WIDTH, 0.8 + 2.6 * len(layers)), layout="constrained")
    grid = figure.subplots(len(layers), len(seeds), squeeze=False, sharex=True, sharey=True)
    v = torch.linspace(-4, 2, 49)
    for row, layer in enumerate(layers):
        for column, seed in enumerate(seeds):
            ax = grid[row, column]
            mine = last[(last["layer"] == layer) & (last["seed"] == seed)]
            curves = _functions(activation, mine, v)
            ax.plot(v, v.relu(), color="black", linestyle="--", linewidth=1)
            ax.plot(v, curves, color="C1", linewidth=0.8, alpha=0.6)
            if column == 0:
                ax.set_ylabel(wrapped(f"{layer}, {curves.shape[1]} kernels", 32))
            if row == 0:
                ax.set_title(f"seed {seed}")
            if row == len(layers) - 1:
                ax.set_xlabel("input v")
    n = parameters["seed"].nunique()
    which = _which(len(seeds), n, len(layers), len(all_layers))
    figure.suptitle(f"What {label(activation.name)} became{which}; dashed: ReLU", **TITLE)
    return figure


def _functions(activation: Activation, parameters: pd.DataFrame, v: Tensor) -> Tensor:
    """Each kernel's outputs for the inputs v (V,), of one layer and seed: (V, kernels)."""
    by_name = {str(name): group.sort_values("kernel")["value"] for name, group in parameters.groupby("parameter")}
    kernels = max(map(len, by_name.values()))
    module = activation.make(kernels).eval()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.tensor(by_name[name].tolist()).view_as(parameter))
        outputs: Tensor = module(v.view(-1, 1, 1, 1).expand(-1, kernels, 1, 1))
    return outputs.flatten(1)
