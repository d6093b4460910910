"""Figures draw the numbers they are given, and the same figure is the same file."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from factories import make_run_table
from hypothesis import example, given, settings
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from strange_names import NAMES

from fluidrelu_cli.analysis import inference
from fluidrelu_cli.analysis.by_epoch import growth
from fluidrelu_cli.analysis.published import PAPER, best_and_worst_of
from fluidrelu_cli.analysis.sequential import follow
from fluidrelu_cli.networks.named import ACTIVATIONS
from fluidrelu_cli.report import plots


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    with plots.style():
        yield


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


def test_a_built_in_activation_has_its_colour_in_every_study_and_no_two_have_the_same() -> None:
    assert set(plots.COLOURS) < set(ACTIVATIONS)
    others = [f"mine:Act{number}" for number in range(23)]
    colours = plots.pick_colours([*others, *reversed([*plots.COLOURS])])
    assert {name: colours[name] for name in plots.COLOURS} == plots.COLOURS
    assert plots.pick_colours(["mine:Act0"])["mine:Act0"] == colours["mine:Act0"]
    arms = plots.pick_colours(["fluid@beta=1", "fluid@beta=10", "elu@lr=0.003", "elu", "mine:Act0"])
    assert (arms["fluid@beta=1"], arms["elu"]) == (plots.COLOURS["fluid"], plots.COLOURS["elu"])
    assert len(set(arms.values())) == 5
    parts = np.array([to_rgb(colour) for colour in colours.values()])
    apart = np.linalg.norm(parts[:, None] - parts, axis=2)[~np.eye(len(parts), dtype=bool)]
    assert apart.min() > 0.08
    assert len(set(plots.pick_colours(map(str, range(100))).values())) == 100


def test_same_figure_is_the_same_png_and_svg() -> None:
    with plots.style():
        once, again = (plots.render(plots.figure1()) for _ in range(2))
    assert once == again
    assert once["png"].startswith(b"\x89PNG\r\n\x1a\n")
    assert ElementTree.fromstring(once["svg"]).tag == "{http://www.w3.org/2000/svg}svg"


LONG = "my_package.activations:AnActivationWithALongName"
ORDER = ["relu", "fluid", "elu"]
COLOURS = plots.pick_colours([*ORDER, LONG, "mine:$x_2$"])
FINALS = {"relu": [(0.97,), (0.98,), (0.975,)], "fluid": [(0.96,), (0.985,), (0.975,)], "elu": [(0.5,)]}


def dots(ax: Axes) -> list[list[float]]:
    """The x of each strip of dots."""
    strips = [line for line in ax.get_lines() if line.get_marker() == "o"]
    return [np.asarray(line.get_xdata()).round(9).tolist() for line in strips]


def means(ax: Axes) -> tuple[list[float], list[float]]:
    """The x of the means, and half the widths of their intervals."""
    [drawn] = ax.containers
    assert isinstance(drawn, ErrorbarContainer)
    line, _, [bars] = drawn.lines
    assert line is not None
    halves = [(segment[1][0] - segment[0][0]) / 2 for segment in bars.get_segments()]
    return np.asarray(line.get_xdata()).tolist(), halves


def names(ax: Axes) -> list[str]:
    return [tick.get_text() for tick in ax.get_yticklabels()]


def test_accuracies_are_a_dot_a_seed_with_mean_and_interval() -> None:
    finals = inference.final_accuracies(make_run_table({**FINALS, "elu": [(0.965,)]}))
    summary = inference.summary(finals, {"tanh": 2}, 100, ORDER)
    ax = plots.accuracies(summary, finals, COLOURS, PAPER)
    assert names(ax) == ["ReLU\n(n = 3)", "FluidReLU\n(n = 3)", "ELU\n(n = 1)"]  # tanh has no run
    assert dots(ax) == [[0.97, 0.98, 0.975], [0.96, 0.985, 0.975], [0.965]]
    centres, halves = means(ax)
    assert centres == pytest.approx([0.975, 1 - 0.08 / 3, 0.965])
    assert halves == pytest.approx([4.302653 * 0.005 / 3**0.5, 4.302653 * 0.0125830574 / 3**0.5, 0], rel=1e-6)
    brackets = [np.asarray(line.get_xdata()).tolist() for line in ax.get_lines() if line.get_marker() == "|"][:2]
    assert brackets == [[0.9721, 0.9784], [0.9753, 0.98]]
    assert "the paper's three runs" in ax.get_title(loc=mpl.rcParams["axes.titlelocation"])
    alone = plots.accuracies(summary, finals, COLOURS)
    marked = plots.accuracies(summary, finals, COLOURS, baseline="fluid")
    assert names(marked) == ["ReLU\n(n = 3)", "FluidReLU,\nbaseline\n(n = 3)", "ELU\n(n = 1)"]
    assert np.asarray(marked.get_lines()[3].get_xdata()).tolist() == pytest.approx([centres[1]] * 2)
    assert "paper" not in alone.get_title(loc=mpl.rcParams["axes.titlelocation"])
    assert len(alone.get_lines()) == len(ax.get_lines()) - 2


def test_long_names_leave_room_for_the_dots() -> None:
    finals = inference.final_accuracies(make_run_table({LONG: [(0.97,), (0.98,)]}))
    ax = plots.accuracies(inference.summary(finals, {}, 100, ORDER), finals, COLOURS, PAPER)
    assert "".join(names(ax)[0].split("\n")) == f"{LONG}(n = 2)"
    assert max(map(len, names(ax)[0].split("\n"))) <= 18
    plots.render(ax)  # without a warning that nothing is left


@settings(max_examples=5, deadline=None)
@given(NAMES)
@example("mine:$x_$")
@example("模块:🙂")
@example("a.b:" + 80 * "Act")
def test_any_name_can_be_drawn(name: str) -> None:
    runs = make_run_table({"relu": [(0.97,)], f"mine:{name}": [(0.98,)]})
    finals, order = inference.final_accuracies(runs), ["relu", f"mine:{name}"]
    compared = inference.comparisons(finals, f"mine:{name}", 1000, order)
    with plots.style():
        for ax in (
            plots.accuracies(inference.summary(finals, {}, 100, order), finals, plots.pick_colours(order)),
            plots.differences(finals, compared, plots.pick_colours(order)),
            plots.forest(inference.side_by_side([{**compared.iloc[0], "study": name, "model": name}])),
        ):
            figure = plots.figure_of(ax)
            assert max(*figure.get_size_inches()) < 6
            ElementTree.fromstring(plots.render(ax, ("svg",))["svg"])


def test_a_name_that_looks_like_a_formula_is_none() -> None:
    finals = inference.final_accuracies(make_run_table({"mine:$x_2$": [(0.97,)]}))
    with plots.style():
        ax = plots.accuracies(inference.summary(finals, {}, 100), finals, COLOURS)
    assert names(ax) == ["mine:$x_2$\n(n = 1)"]
    assert not ax.get_yticklabels()[0].get_parse_math()


def test_a_long_text_keeps_its_ends() -> None:
    assert plots.wrap("short\n(n = 3)", 18) == "short\n(n = 3)"
    assert plots.wrap(f"{'a' * 100}{'b' * 100}\n(n = 3)", 20) == "\n".join(
        ["a" * 20, "a" * 20, "…", "b" * 20, "(n = 3)"]
    )


@pytest.mark.parametrize(
    ("text", "wrapped"),
    [
        ("FluidReLU (n = 60)", "FluidReLU\n(n = 60)"),
        ("Tanh (n = 60)", "Tanh (n = 60)"),
        ("FluidReLU (60 pairs, own axis)", "FluidReLU\n(60 pairs,\nown axis)"),
        ("ReLU (the first of many seeds, six)", "ReLU (the first\nof many seeds,\nsix)"),
    ],
)
def test_a_parenthesis_is_kept_together(text: str, wrapped: str) -> None:
    assert plots.wrap(text, 16) == wrapped


@pytest.mark.parametrize("seed", [7, 2**62, 2**64])
def test_dots_of_large_seeds_do_not_lie_on_each_other(seed: int) -> None:
    finals = inference.final_accuracies(make_run_table({"relu": [(0.97,), (0.97,), (0.97,)]}))
    finals["seed"] = [seed, seed + 1, seed + 2]
    ax = plots.accuracies(inference.summary(finals, {}, 100), finals, COLOURS)
    [strip] = (line for line in ax.get_lines() if line.get_marker() == "o")
    heights = np.asarray(strip.get_ydata(), float)
    assert len(set(heights.round(3))) == 3
    assert max(abs(heights)) <= 0.25


def test_accuracy_far_from_the_others_does_not_hide_them() -> None:
    finals = inference.final_accuracies(make_run_table(FINALS))
    ax = plots.accuracies(inference.summary(finals, {}, 100, ORDER), finals, COLOURS, PAPER)
    assert names(ax)[2] == "ELU\n(n = 1)"
    assert len(dots(ax)) == len(means(ax)[0]) == 2
    assert [text.get_text() for text in ax.texts] == ["← 0.5000, beyond the axis"]
    assert ax.get_xlim()[0] > 0.9
    perfect = inference.final_accuracies(make_run_table({"relu": [(1.0,)], "elu": [(1.0,)]}))
    assert len(dots(plots.accuracies(inference.summary(perfect, {}, 100), perfect, COLOURS))) == 2


def test_accuracy_that_the_axis_holds_is_not_said_to_be_beyond_it() -> None:
    """One seed of another activation is as low as the mean whose error is more than twice the best one's."""
    finals = inference.final_accuracies(
        make_run_table({"relu": [(0.99,), (0.92,)], "elu": [(0.97,)], "tanh": [(0.93,)]})
    )
    ax = plots.accuracies(inference.summary(finals, {}, 100, ["relu", "elu", "tanh"]), finals, plots.COLOURS)
    assert [text.get_text() for text in ax.texts] == []
    assert dots(ax) == [[0.99, 0.92], [0.97], [0.93]]
    scattered = inference.final_accuracies(
        make_run_table({"relu": [(0.31,), (0.98,)], "elu": [(0.97,), (0.972,)], "tanh": [(0.45,)], "fluid": [(0.1,)]})
    )
    summary = inference.summary(scattered, {}, 100, ["relu", "elu", "tanh", "fluid"])
    ax = plots.accuracies(summary, scattered, plots.COLOURS, compared=("relu",))
    assert len(dots(ax)) == 4  # ReLU's interval is as wide as can be
    assert ax.get_xlim() == pytest.approx((-0.05, 1.05))
    narrow = summary.assign(ci_low=math.nan, ci_high=math.nan)
    ax = plots.accuracies(narrow, scattered, plots.COLOURS, compared=("relu",))
    assert dots(ax) == [[0.31, 0.98], [0.97, 0.972], [0.45]]
    assert [text.get_text() for text in ax.texts] == ["← 0.1000, beyond the axis"]
    both = plots.accuracies(narrow, scattered, plots.COLOURS, compared=("fluid", "relu"))
    assert len(dots(both)) == 4


IMAGES = [3, -2, 5, 1, 9, 4]


def test_differences_are_a_dot_a_pair_with_mean_and_interval() -> None:
    finals = inference.final_accuracies(make_run_table({**FINALS, "elu": [(0.965,)]}))
    ax = plots.differences(finals, inference.comparisons(finals, "relu", 1000, ORDER), COLOURS)
    assert names(ax) == ["FluidReLU\n(3 pairs)", "ELU\n(1 pairs)"]
    assert dots(ax) == [[-0.01, 0.005, 0.0], [-0.005]]
    centres, halves = means(ax)
    assert centres == pytest.approx([-0.005 / 3, -0.005])
    assert halves == [0, 0]  # of so few pairs there is no interval
    many = inference.final_accuracies(
        make_run_table({"relu": [(0.5,)] * 6, "fluid": [(0.5 + n / 1000,) for n in IMAGES]})
    )
    compared = inference.comparisons(many, "relu", 1000, ORDER)
    _, [half] = means(plots.differences(many, compared, COLOURS))
    assert half == pytest.approx((compared["ci_high"] - compared["ci_low"]).item() / 2)
    assert ax.get_xscale() == "linear"
    assert ax.get_xlabel() == "test accuracy minus ReLU's at the same seed"
    assert [ax.xaxis.get_major_formatter()(value) for value in (-0.005, 0, 0.01)] == ["−0.005", "0", "+0.01"]
    colours = [line.get_color() for line in ax.get_lines() if line.get_marker() == "o"]
    assert colours == [COLOURS["fluid"], COLOURS["elu"]]


def test_a_difference_far_from_the_others_does_not_hide_them() -> None:
    finals = inference.final_accuracies(make_run_table({**FINALS, "tanh": [(0.99,), (0.1,), (0.99,)]}))
    order = [*ORDER, "tanh"]
    colours = plots.pick_colours(order)
    ax = plots.differences(finals, inference.comparisons(finals, "relu", 1000, order), colours)
    assert ax.get_xscale() == "linear"
    assert list(ax.get_xlim()) == pytest.approx([-0.01075, 0.00575])  # FluidReLU's differences, and some
    assert [text.get_text() for text in ax.texts] == ["← −0.47000, beyond the axis", "← −0.28167, beyond the axis"]
    best = inference.comparisons(finals, "elu", 1000, order)  # one pair each
    above = plots.differences(finals, best[best["activation"] != "fluid"], colours)
    assert not above.texts  # both are as far


def test_a_difference_with_a_few_seeds_beyond_the_axis_says_so() -> None:
    runs = {"relu": [(0.9,)] * 20, "elu": [(0.901,)] * 20, "fluid": [(0.901,)] * 19 + [(0.92,)]}
    finals = inference.final_accuracies(make_run_table(runs))
    ax = plots.differences(finals, inference.comparisons(finals, "relu", 1000, ORDER), COLOURS)
    assert [text.get_text() for text in ax.texts] == ["+0.00195, beyond the axis →"]
    finals.loc[finals["test_accuracy"] == 0.92, "test_accuracy"] = 0.88
    ax = plots.differences(finals, inference.comparisons(finals, "relu", 1000, ORDER), COLOURS)
    assert [text.get_text() for text in ax.texts] == ["← some seeds are beyond the axis"]


def test_best_of_three_shows_every_set_and_the_paper_s_numbers() -> None:
    distributions = {
        "relu": best_and_worst_of([0.97, 0.972, 0.974, 0.978], 3),
        "fluid": best_and_worst_of([0.96, 0.98, 0.99], 3),
    }
    figure = plots.best_of_three(distributions, COLOURS, PAPER)
    for ax, (activation, table) in zip(figure.axes, distributions.items(), strict=True):
        for patch, row in zip(ax.patches, ("best", "worst"), strict=True):
            assert isinstance(patch, StepPatch)
            shares, edges, _ = patch.get_data()
            assert sum(shares) == pytest.approx(100)
            mean = sum(shares * (edges[:-1] + edges[1:]) / 2) / 100
            assert mean == pytest.approx((table["accuracy"] * table[row]).sum(), abs=edges[1] - edges[0])
        drawn = [np.asarray(line.get_xdata()).tolist()[0] for line in ax.get_lines()]
        assert drawn == [PAPER.rows[row][activation] for row in ("best", "worst")]
        best, worst = ax.patches  # told apart without colours, too
        assert to_hex(best.get_facecolor()) == COLOURS[activation].lower()
        assert to_hex(worst.get_facecolor(), keep_alpha=True) == "#00000000"
        assert (to_hex(worst.get_edgecolor()), worst.get_hatch()) == ("#000000", "///")
        legend = ax.get_legend()
        assert legend is not None
        assert legend.get_title().get_text() == {"relu": "ReLU", "fluid": "FluidReLU"}[activation]
    assert not any(ax.get_lines() for ax in plots.best_of_three(distributions, COLOURS).axes)


def test_axes_that_are_given_are_drawn_into() -> None:
    finals = inference.final_accuracies(make_run_table(FINALS))
    one, two, three = Figure().subplots(1, 3)
    assert plots.figure1(one) is one
    assert plots.accuracies(inference.summary(finals, {}, 100, ORDER), finals, COLOURS, PAPER, two) is two
    assert plots.differences(finals, inference.comparisons(finals, "relu", 100), COLOURS, three) is three
    assert all(ax.get_lines() for ax in (one, two, three))


def test_look_of_figures_does_not_leak() -> None:
    before = mpl.rcParams["axes.grid"]
    with plots.style():
        assert mpl.rcParams["axes.grid"] is True
    assert mpl.rcParams["axes.grid"] == before


def test_a_confidence_sequence_shows_where_it_was_decided() -> None:
    looks = follow([0.0012, 0.0008] * 20, 0.0005)
    ax = plots.confidence_sequence(looks, 0.0005, "fluid", "relu", "#D55E00")
    drawn = lines(ax)
    assert drawn["mean difference"] == dict(zip(looks["n"], looks["mean_difference"].round(9), strict=True))
    assert drawn["decided after 8 pairs: better"] == {8: 1}
    outer, inner = (band.get_datalim(ax.transData).extents for band in ax.collections)
    bottom, top = ax.get_ylim()
    assert (outer[1], outer[3]) == (inner[1], inner[3]) == pytest.approx((bottom, top))  # without ends yet
    assert bottom < -0.0005 < 0.0005 < 0.0012 < top < 0.003
    legend = ax.get_legend()
    assert legend is not None
    assert legend.get_title().get_text() == "Test accuracy of FluidReLU minus ReLU's"
    undecided = lines(plots.confidence_sequence(looks.iloc[:1], 0.0005, "fluid", "relu", "#D55E00"))
    assert not [label for label in undecided if "decided" in label]


def test_growth_is_a_mean_and_an_interval_against_the_number_of_pairs() -> None:
    table = growth([*IMAGES, 3, 4], 10_000)
    ax = plots.growth(table, "fluid", "relu", "#D55E00")
    zero, mean = ax.get_lines()
    assert set(np.asarray(zero.get_ydata()).tolist()) == {0}
    assert np.asarray(mean.get_xdata()).tolist() == [2, 3, 4, 5, 6, 7, 8]
    assert np.asarray(mean.get_ydata()).tolist() == table["mean_difference"].tolist()
    band = np.asarray(ax.collections[0].get_paths()[0].vertices)
    last = table.iloc[-1]
    assert sorted({*band[band[:, 0] == 8, 1].round(9)}) == pytest.approx([last["ci_low"], last["ci_high"]])
    assert band[:, 0].min() == 6
    longer = growth(IMAGES * 4, 10_000)
    low, high = plots.growth(longer, "fluid", "relu", "#D55E00").get_ylim()
    assert low < longer["ci_low"].min() < 0 < longer["ci_high"].max() < high  # the first intervals are the widest
    assert ax.get_title("left") == "Test accuracy of FluidReLU minus ReLU's:\nmean and 95 % interval"
    assert plots.growth(table, "fluid", "relu", "#D55E00", log=True).get_xscale() == "log"


def side_by_side(**differences: Sequence[float]) -> pd.DataFrame:
    """inference.side_by_side of studies by name, in each of which fluid is above relu by so much."""
    rows = []
    for name, values in differences.items():
        runs = make_run_table({"relu": [(0.5,)] * len(values), "fluid": [(0.5 + value,) for value in values]})
        [row] = inference.comparisons(inference.final_accuracies(runs), "relu", 10_000).to_dict("records")
        rows.append({"study": name, "dataset": "mnist", "model": "paper", **row})
    return inference.side_by_side(rows)


def test_forest_is_a_mean_and_an_interval_a_study() -> None:
    studies = side_by_side(mnist=[each / 10_000 for each in IMAGES], clothes=(-0.003, -0.002), one=(0.001,))
    ax = plots.forest(studies)
    assert names(ax) == ["mnist\npaper, n = 6", "clothes\npaper, n = 2", "one\npaper, n = 1"]
    centres, halves = means(ax)
    assert centres == pytest.approx([20 / 60_000, -0.0025, 0.001])
    assert halves == pytest.approx([11.1 / 20_000, 0, 0])  # from -2 to 9 images, and a tenth
    assert ax.get_xlabel() == "test accuracy of FluidReLU minus ReLU's at the same seed"
    low, high = ax.get_xlim()
    assert low < 0 < high


@pytest.mark.parametrize("sign", [-1, 1])
def test_forest_has_0_in_sight_and_large_differences_do_not_hide_small_ones(sign: int) -> None:
    small, large = (sign * 0.001, sign * 0.0012, sign * 0.0011), (sign * 0.1, sign * 0.11, sign * 0.1)
    ax = plots.forest(side_by_side(small=small))
    assert (ax.get_xscale(), ax.get_xlim()[0] < 0 < ax.get_xlim()[1]) == ("linear", True)
    ax = plots.forest(side_by_side(small=small, large=large))
    assert (ax.get_xscale(), ax.get_xlim()[0] < 0 < ax.get_xlim()[1]) == ("linear", True)
    assert max(map(abs, ax.get_xlim())) < 0.01
    said = {-1: "← −0.10333, beyond the axis", 1: "+0.10333, beyond the axis →"}
    assert [text.get_text() for text in ax.texts] == [said[sign]]


def keys(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def curve(differences: Sequence[float], choices: Sequence[dict[str, Hashable]], relu: Sequence[float]) -> Figure:
    names = [f"protocol {number}" for number in range(len(differences))]
    cells = pd.DataFrame({"cell": names, "activation": "fluid", "baseline": "relu", "n": 6})
    cells["mean_difference"] = differences
    cells["ci_low"], cells["ci_high"] = cells["mean_difference"] - 0.001, cells["mean_difference"] + 0.002
    summary = pd.DataFrame({"cell": names, "activation": "relu", "mean": relu, "sd": 0.002})
    pooled = {"cells": len(differences), "mean": 0.0004, "margin": 0.0012}
    lines = {"published best": 0.9784, "published worst": 0.9721}
    by_cell = dict(zip(names, choices, strict=True))
    return plots.specification_curve(cells, summary, by_cell, pooled, plots.COLOURS, lines)


def test_a_specification_curve_has_a_column_per_protocol_in_the_order_of_the_differences() -> None:
    choices: list[dict[str, Hashable]] = [
        {"batch size": 100, "loss": "sum", "lr": 0.1},
        {"batch size": 20, "loss": "mean", "lr": 0.1},
        {"batch size": 20, "loss": "sum", "lr": 0.1},
    ]
    above, middle, below = curve([0.003, -0.001, 0.001], choices, [0.97, 0.975, 0.98]).axes
    for ax, values, reach in (
        (above, [-0.001, 0.001, 0.003], (0.001, 0.002)),
        (middle, [0.975, 0.98, 0.97], (0.002,) * 2),
    ):
        [drawn] = ax.containers
        assert isinstance(drawn, ErrorbarContainer)
        line, _, [bars] = drawn.lines
        assert line is not None
        assert np.asarray(line.get_ydata()).tolist() == pytest.approx(values)
        ends = [(segment[0][1], segment[1][1]) for segment in bars.get_segments()]
        assert ends == [pytest.approx((value - reach[0], value + reach[1])) for value in values]
    assert [keys(ax) for ax in (above, middle)] == [
        ["margin, ±0.0012", "mean of all"],
        ["published best: 0.9784", "published worst: 0.9721"],
    ]
    assert names(below) == ["batch size", "20", "100", "loss", "sum", "mean"]
    assert dots(below) == [[], [0, 1], [2], [], [1, 2], [0]]
    assert [tick.get_text() for tick in below.get_xticklabels()] == ["protocol 1", "protocol 2", "protocol 0"]


def test_a_diverged_protocol_does_not_flatten_a_specification_curve() -> None:
    figure = curve([0.001] * 5 + [-0.85, 0.0], [{}] * 7, [0.975] * 6 + [0.1])
    assert keys(figure.axes[0])[0] == "−0.850, beyond the axis"
    assert keys(figure.axes[1])[-1] == "0.100, beyond the axis"
    for ax, spread in zip(figure.axes, (0.01, 0.02), strict=True):
        low, high = ax.get_ylim()
        assert high - low < spread
