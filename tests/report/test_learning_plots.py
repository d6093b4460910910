"""Figures of how runs went and what they learned draw the numbers they are given."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from factories import make_run_table
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fluidrelu_cli.analysis.by_epoch import compare_by_epoch
from fluidrelu_cli.networks.curves import CURVES
from fluidrelu_cli.report import learning_plots, plots
from fluidrelu_cli.run import PARAMETER_COLUMNS

COLOURS = plots.pick_colours(["relu", "fluid"])


def test_learning_curves_are_a_mean_and_a_band_of_one_sd() -> None:
    runs = make_run_table({"fluid": [(0.5, 0.75)], "relu": [(0.5, 0.75), (0.25, 0.875)]})
    runs.loc[runs["seed"] == 1, "train_loss"] = [0.125, 0.0625]
    error, loss = learning_plots.learning_curves(runs, COLOURS)
    # relu's errors are 0.5 and 0.75, then 0.25 and 0.125; the SD of two numbers is their distance over sqrt(2)
    for ax, relu, fluid, sds in (
        (error, [0.625, 0.1875], [0.5, 0.25], [0.25 / 2**0.5, 0.125 / 2**0.5]),
        (loss, [11 / 48, 0.15625], [1 / 3, 0.25], [(1 / 3 - 0.125) / 2**0.5, (0.25 - 0.0625) / 2**0.5]),
    ):
        for line, y in zip(ax.get_lines(), (relu, fluid), strict=True):
            assert np.asarray(line.get_xdata()).tolist() == [1, 2]
            assert np.asarray(line.get_ydata()).tolist() == pytest.approx(y)
            assert line.get_marker() == "."  # a single epoch is to be seen, too
        band, no_band = (np.asarray(drawn.get_paths()[0].vertices).tolist() for drawn in ax.collections)
        for epoch, mean, sd in zip((1, 2), relu, sds, strict=True):
            ends = [y for x, y in band if x == epoch]
            assert (min(ends), max(ends)) == (pytest.approx(mean - sd), pytest.approx(mean + sd))
        assert {y for x, y in no_band if x == 1} == {fluid[0]}
    assert loss.get_xlabel() == "epoch"
    assert legend(loss) == ["ReLU (n = 2)", "FluidReLU (n = 1)"]
    learning_plots.learning_curves(runs, COLOURS, "fluid", (error, loss))
    assert legend(loss) == ["ReLU (n = 2)", "FluidReLU, baseline (n = 1)"]


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    with plots.style():
        yield


def legend(ax: Axes) -> list[str]:
    shown = ax.get_legend()
    assert shown is not None
    return [text.get_text() for text in shown.get_texts()]


def test_a_band_does_not_go_below_0() -> None:
    runs = make_run_table({"relu": [(0.5,), (0.99,), (0.99,)]})
    above, below = learning_plots.learning_curves(runs, COLOURS)
    for ax in (above, below):
        [band] = ax.collections
        assert np.asarray(band.get_paths()[0].vertices)[:, 1].min() >= 0


def test_no_name_is_missing_in_the_legend() -> None:
    runs = make_run_table({"relu": [(0.5,)], "_mine:Act": [(0.5,)]})
    assert legend(learning_plots.learning_curves(runs, plots.pick_colours(["relu", "_mine:Act"]))[1]) == [
        "ReLU (n = 1)",
        "_mine:Act (n = 1)",
    ]


def test_many_learning_curves_have_panels_of_their_own_beside_the_baseline_s() -> None:
    names = ["relu", *(f"my_package.{'x' * 200}:Act{number}" for number in range(9))]
    runs, colours = make_run_table({name: [(0.5, 0.6)] for name in names}), plots.pick_colours(names)
    for width in (None, 40 / 25.4):
        with plots.style(width):
            figure = learning_plots.many_learning_curves(runs, colours, "relu")
            assert plots.render(figure, ("svg",))  # without a warning that nothing is left
        assert len(figure.axes) == 18
        for ax in figure.axes:
            assert ax.get_lines()[0].get_color() == "grey"
            assert len(ax.get_lines()) == 2
    assert {ax.get_lines()[1].get_color() for ax in figure.axes} == {colours[name] for name in names[1:]}


def test_curves_far_from_the_others_have_axes_of_their_own() -> None:
    names = ["relu", "fluid", "prelu", "elu", "sigmoid"]
    near = [(0.96, 0.98)]
    runs = make_run_table({**dict.fromkeys(names, near), "elu": [(math.nan, math.nan)], "sigmoid": [(0.4, 0.9)]})
    figure = learning_plots.many_learning_curves(runs, plots.pick_colours(names), "relu")
    errors = {ax.get_title("left").replace("\n", " "): ax for ax in figure.axes[:3] + figure.axes[6:7]}
    assert [*errors] == ["FluidReLU (n = 1)", "PReLU (n = 1)", "ELU (n = 1)", "Sigmoid (n = 1, own axis)"]
    *others, sigmoid = errors.values()
    assert {ax.get_ylim() for ax in others} == {others[0].get_ylim()}
    assert 0.04 < others[0].get_ylim()[1] < 0.05
    assert sigmoid.get_ylim()[1] > 0.6
    assert [ax.get_yscale() for ax in errors.values()] == ["linear"] * 3 + ["log"]


def test_learning_differences_are_of_pairs_with_an_interval_and_a_far_one_has_its_own_axis() -> None:
    runs = make_run_table(
        {
            "relu": [(0.5, 0.75), (0.25, 0.875), (0.25, 0.5)],
            "fluid": [(0.501, 0.75), (0.253, 0.876)],
            "elu": [(0.1, 0.1)] * 2,
        }
    )
    colours = plots.pick_colours(["relu", "fluid", "elu"])
    by_epoch = {name: compare_by_epoch(runs, name, "relu", 10_000) for name in ("elu", "fluid")}
    figure = learning_plots.learning_differences(by_epoch, colours, "relu")
    near, far = figure.axes
    assert figure.get_suptitle().endswith("by epoch: mean and 95 %\ninterval")  # two pairs have no band
    assert np.asarray(near.get_lines()[1].get_ydata()).tolist() == pytest.approx([0.002, 0.0005])
    assert [ax.get_title("left") for ax in (near, far)] == ["FluidReLU (2 pairs)", "ELU (2 pairs, own axis)"]
    assert near.get_ylim() != far.get_ylim()


def test_the_band_for_all_epochs_lies_around_the_intervals() -> None:
    runs = make_run_table(
        {"relu": [(0.5, 0.5)] * 7, "fluid": [(0.5 + seed**2 / 1000, 0.51 + seed / 1000) for seed in range(7)]}
    )
    table = compare_by_epoch(runs, "fluid", "relu", 10_000)
    figure = learning_plots.learning_differences({"fluid": table}, COLOURS, "relu")
    drawn = [np.asarray(band.get_paths()[0].vertices) for band in figure.axes[0].collections]
    for of, band in zip(("ci", "band"), drawn, strict=True):
        for row in table.to_dict("records"):
            at = band[band[:, 0] == row["epoch"], 1]
            assert (at.min(), at.max()) == (pytest.approx(row[f"{of}_low"]), pytest.approx(row[f"{of}_high"]))
    assert (drawn[0] >= drawn[1].min(axis=0)).all()
    assert drawn[1][:, 1].min() < drawn[0][:, 1].min()
    assert "all epochs at once (light)" in figure.get_suptitle()


def test_a_loss_that_is_not_finite_does_not_hide_the_others() -> None:
    runs = make_run_table({"relu": [(0.5, 0.75), (0.25, 0.875), (0.5, 0.5)]})
    runs.loc[runs["seed"] == 0, "train_loss"] = [math.inf, math.nan]
    runs.loc[runs["seed"] == 1, "train_loss"] = [10.0, 1e-3]
    runs.loc[runs["seed"] == 2, "train_loss"] = [20.0, 3e-3]
    with plots.style():
        _, loss = learning_plots.learning_curves(runs, COLOURS)
        assert plots.render(loss)
    [line] = loss.get_lines()
    assert np.asarray(line.get_ydata()).tolist() == pytest.approx([15, 2e-3])
    assert loss.get_yscale() == "log"


@pytest.mark.parametrize(("accuracy", "loss"), [(0.1, math.nan), (0.1, math.inf), (1.0, 0.25)])
def test_learning_curves_of_diverged_and_of_perfect_runs(accuracy: float, loss: float) -> None:
    """Without a warning: a user would see it between the tables."""
    runs = make_run_table({"relu": [(accuracy, accuracy)]}).assign(train_loss=loss)
    with plots.style():
        assert plots.render(learning_plots.learning_curves(runs, COLOURS)[0])


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


def fluid(learned: Mapping[str, learning_plots.Array], v: learning_plots.Array) -> learning_plots.Array:
    return CURVES["fluid"](v[:, None], learned["a"])


def prelu(learned: Mapping[str, learning_plots.Array], v: learning_plots.Array) -> learning_plots.Array:
    return CURVES["prelu"](v[:, None], learned["a"])


def images(figure: Figure) -> list[tuple[Axes, Any]]:
    return [(ax, ax.get_images()[0]) for ax in figure.axes if ax.get_images()]


def test_learned_parameters_are_drawn_by_kernel_and_epoch_for_three_seeds() -> None:
    table = parameters(4, lambda seed, kernel, epoch: seed + 10 * kernel - 100 * epoch, {"first": 2, "second": 3})
    drawn = images(learning_plots.learned_parameters(table.sample(frac=1, random_state=0), 4))
    assert len(drawn) == 6
    for index, (ax, image) in enumerate(drawn):
        seed, kernels = index % 3, 2 if index < 3 else 3
        assert image.get_array().tolist() == [
            [seed + 10 * kernel - 100 * epoch for epoch in range(3)] for kernel in range(kernels)
        ]
        # kernel 0 above, epoch 0 at the left, each a unit wide around its number; one scale, white at the start
        assert list(image.get_extent()) == [-0.5, 2.5, kernels - 0.5, -0.5]
        _, parts = images(learning_plots.learned_parameters(table.assign(epoch=table["epoch"] / 5), 4))[index]
        assert list(parts.get_extent()) == pytest.approx([-0.1, 0.5, kernels - 0.5, -0.5])
        assert image.get_clim() == (-200, 220)
        assert ax.get_ylabel() == ({0: "kernel of first", 3: "kernel of second"}.get(index, ""))
        assert any(ax.get_title(loc) for loc in ("left", "center")) == (index < 3)
        assert ax.get_xlabel() == ("epoch (0: start)" if index >= 3 else "")


def test_learned_parameters_say_whose_they_are() -> None:
    figure = learning_plots.learned_parameters(
        parameters(2, lambda seed, _kernel, epoch: seed + epoch, {"first": 2}), 2
    )
    assert figure.get_suptitle() == "What FluidReLU learned"
    assert [ax.get_title("left") for ax, _ in images(figure)] == ["seed 0", "seed 1"]
    assert figure.axes[-1].get_ylabel() == "learned a"


def test_seeds_may_differ_in_layers_and_kernels() -> None:
    """As when a user's own network was changed in between."""
    table = parameters(3, lambda seed, kernel, epoch: seed + kernel + epoch, {"first": 2, "second": 3})
    first, second, seed = (
        table[name] == value for name, value in (("layer", "first"), ("layer", "second"), ("seed", 0))
    )
    odd = table[~(first & seed) & ~(second & (table["seed"] == 1) & (table["kernel"] == 2))]
    with plots.style():
        drawn, functions = (
            learning_plots.learned_parameters(odd, 3),
            learning_plots.learned_functions(odd, 3, fluid, "red"),
        )
        assert plots.render(drawn)
        assert plots.render(functions)
    assert [image.get_array().shape for _, image in images(drawn)] == [(3, 3), (2, 3), (3, 3), (2, 3), (2, 3)]
    assert [len(ax.get_lines()) - 1 for ax in functions.axes] == [3, 2, 3, 0, 2, 2]
    assert functions.axes[3].get_ylabel() == "first, 2 kernels"


def test_several_parameters_of_a_layer_are_told_apart() -> None:
    table = parameters(1, lambda seed, kernel, epoch: seed + kernel + epoch, {"first": 2, "second": 2})
    drawn = learning_plots.learned_parameters(pd.concat([table, table.assign(parameter="b")]), 1)
    assert [ax.get_ylabel() for ax in drawn.axes] == [
        "kernel of first, a",
        "kernel of second, a",
        "kernel of first, b",
        "kernel of second, b",
        "change of a, b",
    ]
    for _, image in images(drawn):  # each kernel has moved by 1 an epoch, wherever it started
        assert image.get_array().tolist() == [[0.0, 1.0, 2.0]] * 2
    many = pd.concat([table.assign(parameter=name) for name in "abcd"])
    assert learning_plots.learned_parameters(many, 1).get_suptitle() == "What FluidReLU learned (6 of 8 parameters)"


@pytest.mark.parametrize("value", [math.nan, math.inf, 3e38], ids=str)
def test_learned_parameters_that_are_no_numbers_from_the_start(value: float) -> None:
    table = parameters(1, lambda *_: value, {"first": 2})
    with plots.style():
        assert plots.render(learning_plots.learned_parameters(table, 1))
        assert plots.render(learning_plots.learned_functions(table, 1, prelu, "red"))


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf], ids=str)
def test_learned_parameters_that_did_not_move_or_diverged(value: float) -> None:
    table = parameters(
        1, lambda _seed, _kernel, epoch: value * (-1) ** epoch if epoch else 0.0, {"first": 2, "second": 2}
    )
    with plots.style():
        assert plots.render(learning_plots.learned_parameters(table, 1))


def test_curves_are_drawn_into_axes_that_are_given() -> None:
    above, below = Figure().subplots(2)
    assert learning_plots.learning_curves(make_run_table({"relu": [(0.5, 0.75)]}), COLOURS, axes=(above, below)) == (
        above,
        below,
    )
    assert above.get_lines()
    assert below.get_lines()


def test_learned_functions_are_each_kernel_s_after_the_last_epoch() -> None:
    """Beside ReLU, dashed; worked out by hand at v = -2: equation (4) is v / (1 - v / (2 exp(a)))."""
    table = parameters(4, lambda seed, kernel, epoch: epoch * (seed - kernel), {"first": 2, "second": 3})
    figure = learning_plots.learned_functions(table.sample(frac=1, random_state=0), 4, fluid, "red")
    assert [ax.get_ylabel() for ax in figure.axes] == ["first, 2 kernels", "", "", "second, 3 kernels", "", ""]
    assert [ax.get_title("left") for ax in figure.axes[:3]] == ["seed 0", "seed 1", "seed 2"]
    for index, ax in enumerate(figure.axes):
        seed, kernels = index % 3, 2 if index < 3 else 3
        relu, *curves = ax.get_lines()
        v = np.asarray(relu.get_xdata())
        at = int(np.flatnonzero(v == -2)[0])
        assert np.asarray(relu.get_ydata())[at] == 0
        drawn = [float(np.asarray(curve.get_ydata())[at]) for curve in curves]
        assert drawn == pytest.approx([-2 / (1 + 1 / math.exp(2 * (seed - kernel))) for kernel in range(kernels)])
    assert figure.get_suptitle() == "What FluidReLU became (the first 3 of 4 seeds); dashed: ReLU"


def test_learned_functions_of_another_activation() -> None:
    """Slopes of a function that has a scale, too: v = -4 is where the axis begins."""
    table = parameters(1, lambda _seed, kernel, _epoch: 0.25 + kernel, {"first": 2}).assign(
        activation="prelu", parameter="weight"
    )
    both = pd.concat([table, table.assign(parameter="scale", value=2.0)])
    [ax] = learning_plots.learned_functions(
        both, 1, lambda learned, v: learned["scale"] * CURVES["prelu"](v[:, None], learned["weight"]), "red"
    ).axes
    assert [float(np.asarray(line.get_ydata())[0]) for line in ax.get_lines()] == [0.0, -2.0, -10.0]


def test_of_many_layers_six_are_drawn_from_the_first_to_the_last() -> None:
    layers = {f"stage{number // 6}.activation{number}": 2 for number in range(19)}
    table = parameters(1, lambda seed, kernel, epoch: seed + kernel + epoch, layers)
    drawn = learning_plots.learned_parameters(table, 1)
    shown = [list(layers)[index] for index in (0, 4, 7, 11, 14, 18)]
    assert [ax.get_ylabel() for ax, _ in images(drawn)] == [f"kernel of\n{layer}" for layer in shown]
    assert drawn.get_suptitle() == "What FluidReLU learned (6 of 19 layers)"
    functions = learning_plots.learned_functions(table, 1, fluid, "red")
    assert [ax.get_ylabel() for ax in functions.axes] == [f"{layer}, 2 kernels" for layer in shown]
    assert functions.get_suptitle() == "What FluidReLU became (6 of 19 layers); dashed: ReLU"
    assert max(*drawn.get_size_inches(), *functions.get_size_inches()) < 20


def test_one_line_a_panel_is_the_mean_of_an_activation_s_kernels() -> None:
    learned = learning_plots.trace(lambda v: CURVES["prelu"](v[:, None], np.linspace(0.1, 0.3, 9)))
    start = learning_plots.trace(lambda v: CURVES["prelu"](v[:, None], np.array([0.25])))
    figure = learning_plots.activation_functions({"fluid": learned}, {"fluid": start}, {"fluid": "mine"}, COLOURS)
    for ax, part in zip(figure.axes, ("values", "slopes"), strict=True):
        *kernels, mean, _ = ax.get_lines()
        assert [line.get_linestyle() for line in ax.get_lines() if line.get_color() == COLOURS["fluid"]] == ["-", "--"]
        assert {(line.get_color(), line.get_alpha()) for line in kernels} == {("#eebf99", None)}
        assert np.asarray(mean.get_ydata()) == pytest.approx(getattr(learned, part).mean(axis=1))
    assert "mean of all layers' kernels" in figure.get_suptitle().replace("\n", " ")
