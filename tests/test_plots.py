"""Figures draw the numbers they are given, and the same figure is the same file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fluidrelu_cli import plots
from fluidrelu_cli.errors import StorageError
from fluidrelu_cli.records import PARAMETER_COLUMNS

MakeRuns = Callable[[Mapping[str, Sequence[Sequence[float]]]], pd.DataFrame]


def lines(ax: Axes) -> dict[str, dict[float, float]]:
    """Each labelled line as y by x, by its label."""
    found = {}
    for line in ax.get_lines():
        x, y = (np.asarray(line.get_data()[axis]).round(9).tolist() for axis in (0, 1))
        found[str(line.get_label())] = dict(zip(x, y, strict=True))
    return found


def test_figure1_draws_equation_4_between_its_limits() -> None:
    drawn = lines(plots.figure1())
    assert set(drawn) == {
        "a → ∞: identity",
        *("a = −2", "a = −1", "a = 0", "a = 1", "a = 2", "a = 3"),
        "a → −∞: ReLU",
    }
    # at a = 0: gamma = v / 2, f(-2) = -2 / (1 + 1), f(-8) = -8 / (1 + 4)
    assert drawn["a = 0"][-2.0] == -1.0
    assert drawn["a = 0"][-8.0] == -1.6
    # at a = 1: f(-2) = -2 / (1 + 1/e); at a = -2: f(-2) = -2 / (1 + e^2)
    assert drawn["a = 1"][-2.0] == pytest.approx(-2 / (1 + 1 / math.e))
    assert drawn["a = −2"][-2.0] == pytest.approx(-2 / (1 + math.e**2))
    assert drawn["a → ∞: identity"][-8.0] == -8.0
    assert drawn["a → −∞: ReLU"][-8.0] == 0.0
    for curve in drawn.values():
        assert curve[2.0] == 2.0


def test_figure1_says_what_it_shows() -> None:
    ax = plots.figure1()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("input v", "f(v)")
    assert "equation (4)" in ax.get_title(loc=mpl.rcParams["axes.titlelocation"])
    assert ax.get_legend() is not None


def test_learning_curves_are_a_line_for_all_seeds_and_one_above_for_the_mean(make_runs: MakeRuns) -> None:
    runs = make_runs({"fluid": [(0.5, 0.75)], "relu": [(0.5, 0.75), (0.25, 0.875)]})
    runs.loc[runs["seed"] == 1, "train_loss"] = [0.125, 0.0625]
    error, loss = plots.learning_curves(runs)
    gap = math.nan
    epochs = [[1, 2, gap, 1, 2, gap], [1, 2], [1, 2, gap], [1, 2]]
    for ax, expected in (
        (error, [[0.5, 0.25, gap, 0.75, 0.125, gap], [0.625, 0.1875], [0.5, 0.25, gap], [0.5, 0.25]]),
        (loss, [[1 / 3, 0.25, gap, 0.125, 0.0625, gap], [11 / 48, 0.15625], [1 / 3, 0.25, gap], [1 / 3, 0.25]]),
    ):
        for line, x, y in zip(ax.get_lines(), epochs, expected, strict=True):
            assert np.asarray(line.get_xdata()).tolist() == pytest.approx(x, nan_ok=True)
            assert np.asarray(line.get_ydata()).tolist() == pytest.approx(y, nan_ok=True)
        relu_seeds, relu_mean, fluid_seeds, fluid_mean = (line.get_zorder() for line in ax.get_lines())
        assert max(relu_seeds, fluid_seeds) < min(relu_mean, fluid_mean)
        assert ax.get_xlabel() == "epoch"
    _, labels = loss.get_legend_handles_labels()
    assert labels == ["ReLU (n = 2)", "FluidReLU (n = 1)"]


@pytest.mark.parametrize(("accuracy", "loss"), [(0.1, math.nan), (0.1, math.inf), (1.0, 0.25)])
def test_learning_curves_of_diverged_and_of_perfect_runs(
    accuracy: float, loss: float, make_runs: MakeRuns, tmp_path: Path
) -> None:
    """Without a warning: a user would see it between the tables."""
    runs = make_runs({"relu": [(accuracy, accuracy)]}).assign(train_loss=loss)
    with plots.style():
        assert plots.save(plots.learning_curves(runs)[0], tmp_path, "curves")


def parameters(seeds: int, values: Callable[[int, int, int], float], layers: Mapping[str, int]) -> pd.DataFrame:
    """Of each layer, with so many kernels, values(seed, kernel, epoch) for epochs 0 to 2."""
    rows = [
        ("fluid", seed, epoch, layer, "a", kernel, values(seed, kernel, epoch))
        for seed in range(seeds)
        for epoch in range(3)
        for layer, kernels in layers.items()
        for kernel in range(kernels)
    ]
    table: pd.DataFrame = pd.DataFrame(rows, columns=list(PARAMETER_COLUMNS))
    return table


def images(figure: Figure) -> list[tuple[Axes, Any]]:
    return [(ax, ax.get_images()[0]) for ax in figure.axes if ax.get_images()]


def test_learned_parameters_are_drawn_by_kernel_and_epoch_for_three_seeds() -> None:
    table = parameters(4, lambda seed, kernel, epoch: seed + 10 * kernel - 100 * epoch, {"first": 2, "second": 3})
    drawn = images(plots.learned_parameters(table.sample(frac=1, random_state=0)))
    assert len(drawn) == 6
    for index, (ax, image) in enumerate(drawn):
        seed, kernels = index % 3, 2 if index < 3 else 3
        assert image.get_array().tolist() == [
            [seed + 10 * kernel - 100 * epoch for epoch in range(3)] for kernel in range(kernels)
        ]
        # kernel 0 above, epoch 0 at the left, each a unit wide around its number; one scale, white at 0
        assert list(image.get_extent()) == [-0.5, 2.5, kernels - 0.5, -0.5]
        assert image.get_clim() == (-200, 200)
        assert ax.get_ylabel() == ({0: "kernel of first", 3: "kernel of second"}.get(index, ""))
        assert any(ax.get_title(loc) for loc in ("left", "center")) == (index < 3)
        assert ax.get_xlabel() == ("epoch (0: start)" if index >= 3 else "")


def test_learned_parameters_say_whose_they_are() -> None:
    figure = plots.learned_parameters(parameters(2, lambda seed, _kernel, epoch: seed + epoch, {"first": 2}))
    assert figure.get_suptitle() == "What FluidReLU learned"
    assert [ax.get_title() for ax, _ in images(figure)] == ["seed 0", "seed 1"]
    assert figure.axes[-1].get_ylabel() == "learned a"


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf], ids=str)
def test_learned_parameters_that_did_not_move_or_diverged(value: float, tmp_path: Path) -> None:
    table = parameters(
        1, lambda _seed, _kernel, epoch: value * (-1) ** epoch if epoch else 0.0, {"first": 2, "second": 2}
    )
    with plots.style():
        assert plots.save(plots.learned_parameters(table), tmp_path, "learned")


def test_axes_that_are_given_are_drawn_into(make_runs: MakeRuns) -> None:
    one, left, right = Figure().subplots(1, 3)
    assert plots.figure1(one) is one
    assert plots.learning_curves(make_runs({"relu": [(0.5, 0.75)]}), (left, right)) == (left, right)
    assert all(ax.get_lines() for ax in (one, left, right))


def test_same_figure_is_the_same_png_and_svg(make_runs: MakeRuns, tmp_path: Path) -> None:
    runs = make_runs({"relu": [(0.5, 0.75)]})
    for folder in ("once", "again"):
        with plots.style():
            paths = plots.save(plots.learning_curves(runs)[0], tmp_path / folder / "figures", "curves")
        assert paths == [tmp_path / folder / "figures" / f"curves.{kind}" for kind in ("png", "svg")]
    png, svg = (
        [(tmp_path / folder / "figures" / f"curves.{kind}").read_bytes() for folder in ("once", "again")]
        for kind in ("png", "svg")
    )
    assert png[0].startswith(b"\x89PNG\r\n\x1a\n")
    assert ElementTree.fromstring(svg[0]).tag == "{http://www.w3.org/2000/svg}svg"
    assert png[0] == png[1]
    assert svg[0] == svg[1]


def test_look_of_figures_does_not_leak() -> None:
    before = mpl.rcParams["axes.grid"]
    with plots.style():
        assert mpl.rcParams["axes.grid"] is True
    assert mpl.rcParams["axes.grid"] == before


def test_figure_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"figure1\.png cannot be written"):
        plots.save(Figure(figsize=(1, 1)), tmp_path / "file", "figure1")
