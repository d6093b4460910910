"""Figures, in one look: data in, matplotlib axes out. No arithmetic beyond what is drawn, no files but by `save`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from fluidrelu_cli.activations import fluid
from fluidrelu_cli.records import write_whole
from fluidrelu_cli.statistics import paper_pair_first
from fluidrelu_cli.tables import label

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
}

FIGURE1_A = (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
SEEDS_SHOWN = 3


@contextmanager
def style() -> Iterator[None]:
    """The look of every figure."""
    with mpl.rc_context(STYLE):
        yield


def save(drawn: Axes | Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure, or that of axes, as PNG and SVG; the paths. StorageError if they cannot be written."""
    figure = drawn if isinstance(drawn, Figure) else drawn.get_figure(root=True)
    assert figure is not None  # axes have one
    paths = []
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        content = io.BytesIO()
        figure.savefig(content, format=kind, metadata=metadata)
        path = folder / f"{name}.{kind}"
        write_whole(path, content.getvalue())
        paths.append(path)
    return paths


def figure1(ax: Axes | None = None) -> Axes:
    """The paper's Figure 1: equation (4) for several a, between its limits ReLU and identity."""
    ax = ax or Figure(figsize=(6, 4), layout="constrained").subplots()
    v = torch.linspace(-8, 2, 401, dtype=torch.float64)
    ax.plot(v, v, color="black", linestyle=":", linewidth=1, label="a → ∞: identity")
    shades = mpl.colormaps["viridis"](np.linspace(0.9, 0.0, len(FIGURE1_A)))
    for a, colour in zip(reversed(FIGURE1_A), reversed(shades), strict=True):
        ax.plot(v, fluid(v, torch.tensor(a, dtype=torch.float64)), color=colour, label=f"a = {a:g}".replace("-", "−"))
    ax.plot(v, v.relu(), color="black", linestyle="--", linewidth=1, label="a → −∞: ReLU")
    ax.set(xlabel="input v", ylabel="f(v)", title="The paper's activation as reconstructed, equation (4)")
    ax.legend(loc="lower right")
    return ax


def learning_curves(runs: pd.DataFrame, axes: tuple[Axes, Axes] | None = None) -> tuple[Axes, Axes]:
    """Test error (1 - test accuracy) and training loss by epoch: a thin line a seed, a thick one for their mean."""
    if axes is None:
        left, right = Figure(figsize=(9, 4), layout="constrained").subplots(1, 2)
        axes = (left, right)
    errors = runs.assign(test_error=1 - runs["test_accuracy"])
    panels = (("test_error", "test error (1 − accuracy)"), ("train_loss", "training loss (nats)"))
    for ax, (column, name) in zip(axes, panels, strict=True):
        for index, activation in enumerate(paper_pair_first(runs["activation"])):
            curves = errors[errors["activation"] == activation].pivot(index="seed", columns="epoch", values=column)
            # All seeds are one line with gaps: hundreds are drawn as fast as one, and are no darker where they overlap.
            gaps = curves.reindex(columns=[*curves.columns, np.nan])
            epochs = np.tile(gaps.columns, len(gaps))
            ax.plot(epochs, gaps.to_numpy().ravel(), color=f"C{index}", linewidth=0.7, alpha=0.45)
            title = f"{label(activation)} (n = {len(curves)})"
            ax.plot(curves.columns, curves.mean(), color=f"C{index}", linewidth=2, label=title, zorder=3)  # above all
        ax.set(xlabel="epoch", title=name)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        # Within a decade the ticks of a linear axis are the better ones.
        values = errors[column][np.isfinite(errors[column])]
        if not values.empty and 0 < 10 * values.min() <= values.max():
            ax.set_yscale("log")
            ax.yaxis.set_major_formatter(_PlainLogFormatter())
            ax.yaxis.set_minor_formatter(_PlainLogFormatter(minor_thresholds=(2, 0.5)))
    axes[1].legend(loc="upper right", title="thick: mean, thin: each seed")
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
    layers = list(shown.groupby(["layer", "parameter"]))
    heights = [max(4, group["kernel"].max() + 1) for _, group in layers]
    figure = Figure(figsize=(2.2 + 2.3 * len(seeds), 1.4 + 0.11 * sum(heights)), layout="constrained")
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
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            if column == 0:
                ax.set_ylabel(f"kernel of {layer}")
            if row == 0:
                ax.set_title(f"seed {seed}")
            if row == len(layers) - 1:
                ax.set_xlabel("epoch (0: start)")
    assert image is not None  # there is at least one layer and one seed
    figure.colorbar(image, ax=grid, label=f"learned {parameters['parameter'].iloc[0]}")
    n = parameters["seed"].nunique()
    which = f" (the first {len(seeds)} of {n} seeds)" if n > len(seeds) else ""
    figure.suptitle(f"What {label(activation)} learned{which}", x=0.01, ha="left")
    return figure
