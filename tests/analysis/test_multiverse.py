"""Comparisons over many protocols: by hand, by scipy, and in simulations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from factories import make_run_table
from scipy import stats

from fluidrelu_cli.analysis import multiverse
from fluidrelu_cli.analysis.images import over_seeds_and_images
from fluidrelu_cli.analysis.inference import final_accuracies
from fluidrelu_cli.analysis.multiverse import (
    choose_stops,
    flip_signs,
    keep_common,
    moderate,
    pool_protocols,
    published_likelihood,
    weigh_choices,
    weigh_protocols,
)
from fluidrelu_cli.analysis.published import PAPER, Published
from fluidrelu_cli.protocol import Protocol


def make_pairs(
    differences: Sequence[Sequence[float]],
    accuracies: Sequence[Sequence[float]] | None = None,
    *,
    shared: bool = False,
) -> pd.DataFrame:
    """A table of pairs from the differences in each protocol, with seeds of its own or the same in all."""
    rows, first = [], 0
    for cell, mine in enumerate(differences):
        for seed, each in enumerate(mine):
            accuracy = accuracies[cell][seed] if accuracies is not None else 0.9
            rows.append((f"c{cell}", (0 if shared else first) + seed, accuracy, each))
        first += len(mine)
    table: pd.DataFrame = pd.DataFrame(rows, columns=["cell", "seed", "accuracy", "difference"])
    return table


def pool(differences: Sequence[Sequence[float]], margin: float = 0.001, **kind: Any) -> dict[str, Any]:
    [row] = pool_protocols(make_pairs(differences, **kind), margin).to_dict("records")
    return {str(name): value for name, value in row.items()}


EVEN = [[0.001, 0.003], [-0.001, 0.001], [0.005, 0.003], [0.002, 0.004]]
"""Means 0.002, 0, 0.004, 0.003; each with s² = 2e-6, so that the noise of a mean is 1e-6."""


def test_mean_and_tau_by_hand() -> None:
    row = pool(EVEN, margin=0.0025)
    # m = 0.00225; deviations -.25, -2.25, 1.75, .75 thousandths: squares .0625 + 5.0625 + 3.0625 + .5625 = 8.75
    variance = 8.75e-6 / 3
    half = 3.182446305284263 * (variance / 4) ** 0.5  # t(0.975; 3)
    assert (row["cells"], row["pairs"], row["seeds"], row["margin"]) == (4, 8, "disjoint", 0.0025)
    assert row["mean"] == pytest.approx(0.00225)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((0.00225 - half, 0.00225 + half))
    assert row["median"] == pytest.approx(0.0025)
    assert row["within_sd"] == pytest.approx(2e-6**0.5)
    assert row["tau"] == pytest.approx((variance - 1e-6) ** 0.5)
    assert (row["above"], row["below"]) == (2, 0)


def test_interval_of_tau_and_prediction_by_scipy() -> None:
    rng = np.random.default_rng(0)
    differences = [rng.normal(rng.normal(0.001, 0.002), sd, 6).tolist() for sd in (0.001, 0.002, 0.004, 0.001, 0.003)]
    row = pool(differences)
    noise = np.array([np.var(each, ddof=1) / 6 for each in differences])
    variance = np.var([np.mean(each) for each in differences], ddof=1)
    tau_2 = max(variance - noise.mean(), 0)
    fourth = tau_2**2 + 2 * tau_2 * noise.mean() + (noise**2).mean() * 5 / 7
    df = 4 * (tau_2 + noise.mean()) ** 2 / fourth
    assert 1 < df < 4
    ends = [max(df * variance / point - noise.mean(), 0) ** 0.5 for point in stats.chi2(df).ppf((0.975, 0.025))]
    assert row["tau"] == pytest.approx(tau_2**0.5)
    assert [row["tau_low"], row["tau_high"]] == pytest.approx(ends)
    # a protocol not tried, drawn
    drawn = np.maximum(df * variance / stats.chi2(df).rvs(400_000, random_state=rng) - noise.mean(), 0)
    error = 2.7764451051977987 / 1.959963984540054 * np.sqrt(variance / 5)  # t(0.975; 4) by the normal one
    other = row["mean"] + np.sqrt(drawn + error**2) * rng.standard_normal(400_000)
    low, high = np.quantile(other, (0.025, 0.975))
    assert [row["predicted_low"], row["predicted_high"]] == pytest.approx([low, high], rel=0.03)
    assert row["share_above"] == pytest.approx((other > 0.001).mean(), abs=0.005)
    assert row["share_below"] == pytest.approx((other < -0.001).mean(), abs=0.005)


def test_the_same_seeds_in_all_protocols_are_crossed_with_them() -> None:
    """As seeds and images are, whose differences are -1, 0 and 1."""
    rng = np.random.default_rng(6)
    latent = rng.normal(size=(7, 5)) + rng.normal(size=5) + rng.normal(size=(7, 1)) * 0.6
    differences = np.clip(np.rint(latent), -1, 1)
    for signs in (differences, np.roll(differences, np.arange(7), axis=0), np.array([[1, -1], [-1, 1], [0, 0]])):
        row = pool(signs.tolist(), shared=True)
        crossed = over_seeds_and_images(signs.T.astype(np.int8))
        assert (row["ci_low"], row["ci_high"]) == pytest.approx(crossed.interval)
        assert row["tau"] == pytest.approx(crossed.image_variance**0.5)
        assert row["predicted_low"] <= row["ci_low"] + 1e-12
        assert row["seeds"] == "shared"


def test_of_shared_seeds_those_count_that_all_protocols_have() -> None:
    pairs = make_pairs([[0.1, 0.2, 0.3], [0.4, 0.5]], shared=True)
    assert keep_common(pairs)["difference"].tolist() == [0.1, 0.2, 0.4, 0.5]
    assert len(keep_common(make_pairs([[0.1, 0.2, 0.3], [0.4, 0.5]]))) == 5


def test_protocols_that_are_all_the_same() -> None:
    row = pool([[0.002, 0.002]] * 4)
    assert [row[name] for name in ("mean", "ci_low", "ci_high", "predicted_low", "predicted_high")] == [0.002] * 5
    assert [row[name] for name in ("tau", "tau_low", "tau_high", "share_above", "share_below")] == [0, 0, 0, 1, 0]


@pytest.mark.parametrize(("tau", "sds"), [(0.002, (0.002,)), (0.0005, (0.001, 0.002, 0.004))])
def test_intervals_hold_what_they_should(tau: float, sds: tuple[float, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """In 80 studies of 64 protocols with 6 pairs: the standard error of 95 % is 2.4 %."""
    monkeypatch.setattr(multiverse, "flip_signs", lambda _pairs: (1.0, 1.0))  # it takes long, and is not asked
    rng, held = np.random.default_rng(1), []
    for _ in range(80):
        true = rng.normal(0.001, tau, 65)
        errors = rng.normal(size=(64, 6)) * rng.choice(sds, 64)[:, None]
        pairs = make_pairs((true[:64, None] + errors).tolist())
        row = pool_protocols(pairs, 0.001).iloc[0]
        intervals = {0.001: ("ci_low", "ci_high"), tau: ("tau_low", "tau_high")}
        ends = [row[low] - 1e-12 <= value <= row[high] for value, (low, high) in intervals.items()]
        held.append([*ends, row["predicted_low"] <= true[64] <= row["predicted_high"]])
    shares = np.mean(held, axis=0)
    assert min(shares) > 0.88, shares


def test_signs_of_few_seeds_are_all_tried() -> None:
    differences = [[0.003, -0.001], [0.002, 0.004]]
    means, medians = [], []
    for signs in itertools.product((1, -1), repeat=4):
        flipped = np.array(signs).reshape(2, 2) * differences
        means.append(abs(flipped.mean()))
        medians.append(abs(np.median(flipped.mean(axis=1))))
    wanted = [np.mean(np.array(each) >= each[0] - 1e-12) for each in (means, medians)]
    assert flip_signs(make_pairs(differences)) == pytest.approx(wanted)
    # a seed that two protocols share has one sign: of +, + | +, - | -, + | -, - two are as far
    assert flip_signs(make_pairs([[0.003, 0.001], [0.002, 0.004]], shared=True)) == (0.5, 0.5)
    assert flip_signs(make_pairs([[0.003, 0.001], [0.002, 0.004]])) == (0.125, 0.125)


def test_signs_of_many_seeds_are_drawn_the_same_way_each_time() -> None:
    rng = np.random.default_rng(2)
    pairs = make_pairs(rng.normal(0.0004, 0.001, (5, 6)).tolist())
    p, _ = flip_signs(pairs)
    # the sum of 30 independent signs of known sizes is about normal
    z = pairs["difference"].sum() / (pairs["difference"] ** 2).sum() ** 0.5
    assert p == pytest.approx(2 * stats.norm.sf(abs(z)), abs=0.01)
    assert flip_signs(pairs) == flip_signs(pairs)
    assert flip_signs(pairs.assign(difference=0.001)) == (1 / 10_001, 1 / 10_001)


def test_effects_of_choices_in_a_balanced_design_are_differences_of_means() -> None:
    levels = list(itertools.product(("max", "average"), (10, 20, 100)))
    choices = {f"c{i}": {"pooling": a, "batch_size": b, "loss": "sum"} for i, (a, b) in enumerate(levels)}
    y = {"c0": 1.0, "c1": 2.0, "c2": 4.0, "c3": 2.0, "c4": 4.0, "c5": 5.0}
    table = weigh_choices(y, choices)
    assert table[["field", "level", "cells"]].values.tolist() == [
        ["pooling", "max", 3],
        ["pooling", "average", 3],
        ["batch_size", 10, 2],
        ["batch_size", 20, 2],
        ["batch_size", 100, 2],
    ]
    assert table["mean"].tolist() == pytest.approx([7 / 3, 11 / 3, 1.5, 3, 4.5])
    assert table["effect"].tolist() == pytest.approx([-2 / 3, 2 / 3, -1.5, 0, 1.5])
    # residuals ±1/6, ∓1/3, ±1/6: squares 2 (1/36 + 4/36 + 1/36) = 1/3; two degrees of freedom
    variance, t = 1 / 6, 4.302652729696142
    halves = (table["ci_high"] - table["ci_low"]) / 2
    assert halves.tolist() == pytest.approx([t * (variance / 6) ** 0.5] * 2 + [t * (variance / 3) ** 0.5] * 3)
    explained = {"pooling": 6 * 4 / 9, "batch_size": 9 / 2}
    p_values = [
        stats.f.sf(mean_square / variance, df, 2) for mean_square, df in zip(explained.values(), (1, 2), strict=True)
    ]
    assert table.groupby("field", sort=False)["field_p"].first().tolist() == pytest.approx(p_values)
    assert table["field_p_holm"].iloc[[0, -1]].tolist() == pytest.approx([2 * min(p_values)] * 2)
    assert set(table["df"]) == {2}


def test_effects_of_choices_that_do_not_occur_equally_often() -> None:
    """With terms that add up, each effect is what it is, whatever the other choices of its protocols are."""
    rng = np.random.default_rng(3)
    choices = {f"c{i}": {"a": int(rng.integers(2)), "b": int(rng.integers(3))} for i in range(20)}
    y = {cell: 0.1 * its["a"] + 0.01 * its["b"] for cell, its in choices.items()}
    table = weigh_choices(y, choices).sort_values(["field", "level"])
    share = np.mean([its["a"] for its in choices.values()])
    assert table["effect"].tolist()[:2] == pytest.approx([-0.1 * share, 0.1 * (1 - share)])
    assert np.diff(table["effect"].tolist()[2:]).tolist() == pytest.approx([0.01, 0.01])
    assert (table["ci_high"] - table["ci_low"]).max() < 1e-9


def test_choices_that_cannot_be_told_apart_have_no_effects() -> None:
    y = dict.fromkeys("abcdef", 1.0)
    together = {cell: {"loss": i % 2, "init": i % 2} for i, cell in enumerate(y)}
    assert weigh_choices(y, together).empty
    assert weigh_choices(y, {cell: {"lr": i} for i, cell in enumerate(y)}).empty
    assert weigh_choices(y, {cell: {"lr": 1} for cell in y}).empty


def printed(rows: Mapping[str, float], runs: int = 3) -> Published:
    return Published("Table", Protocol(), {"relu": runs}, **{row: {"relu": value} for row, value in rows.items()})


MEANS, SDS = np.array([0.976, 0.97]), np.array([0.002, 0.004])


def test_likelihood_of_published_best_and_worst_by_hand() -> None:
    best, worst = ((value - MEANS) / SDS for value in (0.9784, 0.9721))
    norm = stats.norm
    wanted = 6 * norm.pdf(best) * norm.pdf(worst) * (norm.cdf(best) - norm.cdf(worst)) / SDS**2
    assert np.exp(published_likelihood(PAPER, "relu", MEANS, SDS)) == pytest.approx(wanted)
    assert published_likelihood(PAPER, "relu", np.array([0.1]), np.array([0.001])) < -1000
    two = published_likelihood(printed({"best": 0.9784, "worst": 0.9721}, 2), "relu", MEANS, SDS)
    assert np.exp(two) == pytest.approx(2 * norm.pdf(best) * norm.pdf(worst) / SDS**2)


@pytest.mark.parametrize("row", ["best", "worst", "mean", "sd"])
def test_likelihood_of_any_published_number_is_a_density(row: str) -> None:
    mean, sd = np.full(4001, 0.9), np.full(4001, 0.02)
    x = np.linspace(1e-6, 0.2, 4001) if row == "sd" else np.linspace(0.7, 1.1, 4001)
    density = np.exp([float(published_likelihood(printed({row: each}, 5), "relu", mean[:1], sd[:1])[0]) for each in x])
    assert np.trapezoid(density, x) == pytest.approx(1, abs=1e-4)
    runs = np.random.default_rng(4).normal(0.9, 0.02, (20_000, 5))
    found = {"best": runs.max(1), "worst": runs.min(1), "mean": runs.mean(1), "sd": runs.std(1, ddof=1)}[row]
    assert np.trapezoid(x * density, x) == pytest.approx(found.mean(), rel=0.01)


def test_mean_and_sd_are_all_that_matters_where_both_are_printed() -> None:
    both = published_likelihood(printed({"mean": 0.975, "sd": 0.003}), "relu", MEANS, SDS)
    alone = [published_likelihood(printed(row), "relu", MEANS, SDS) for row in ({"mean": 0.975}, {"sd": 0.003})]
    assert both == pytest.approx(sum(alone))
    all_four = printed({"mean": 0.975, "sd": 0.003, "best": 0.978, "worst": 0.972})
    assert published_likelihood(all_four, "relu", MEANS, SDS) == pytest.approx(both)


def test_weights_are_of_the_baseline_alone() -> None:
    accuracies = [[0.974, 0.978, 0.971], [0.984, 0.985, 0.986], [0.977, 0.972, 0.9755]]
    pairs = make_pairs([[0.001, 0.002, 0.003], [0.1, 0.1, 0.1], [0.0, -0.001, -0.002]], accuracies)
    table, weighted = weigh_protocols(pairs, PAPER, "relu")
    assert table["weight"].sum() == pytest.approx(1)
    likely = np.exp(published_likelihood(PAPER, "relu", table["mean"].to_numpy(), table["moderated_sd"].to_numpy()))
    assert table["weight"].tolist() == pytest.approx((likely / likely.sum()).tolist())
    assert table["weight"][1] < 0.01
    [row] = weighted.to_dict("records")
    assert row["mean"] == pytest.approx(table["weight"] @ np.array([0.002, 0.1, -0.001]))
    assert row["ci_low"] < row["mean"] < row["ci_high"] < 0.1
    assert (row["activation"], row["runs"], row["cells"]) == ("relu", 3, 3)
    assert 1.5 < row["effective"] < 2.5
    again, _ = weigh_protocols(pairs.assign(difference=pairs["difference"] * 50), PAPER, "relu")
    assert again["weight"].tolist() == table["weight"].tolist()
    assert all(part.empty for part in weigh_protocols(pairs, PAPER, "elu"))
    assert all(part.empty for part in weigh_protocols(pairs.assign(accuracy=0.1), PAPER, "relu"))


def test_moderated_variances_follow_the_prior_that_they_were_drawn_from() -> None:
    rng = np.random.default_rng(5)
    true = 0.002**2 * 8 / rng.chisquare(8, 5000)
    sds = np.sqrt(true * rng.chisquare(5, 5000) / 5)
    prior, typical = moderate(sds, np.full(5000, 5))
    assert prior == pytest.approx(8, rel=0.15)
    assert typical == pytest.approx(0.002, rel=0.03)
    prior, typical = moderate(np.array([0.0018, 0.002]), np.full(2, 5))  # they differ less than by chance
    assert (prior, typical**2) == pytest.approx((math.inf, (0.0018**2 + 0.002**2) / 2))
    assert moderate(np.array([0.001, 0.0]), np.array([2, 2])) == moderate(np.array([0.001]), np.array([2]))


def test_the_stop_is_where_the_baseline_is_nearest() -> None:
    runs = make_run_table(
        {"relu": [(0.96, 0.974, 0.98, 0.976), (0.95, 0.976, 0.98, 0.976)], "fluid": [(0.9755,) * 4, (0.9755,) * 4]}
    )
    runs["epoch"] = runs["epoch"] / 5
    fewer = runs[(runs["activation"] != "relu") | (runs["seed"] == 0) | (runs["epoch"] < 0.3)]
    stops = choose_stops({"a": runs, "b": fewer, "none": runs[runs["activation"] == "fluid"]}, "relu", 0.9755)
    assert stops.values.tolist() == [["a", 0.4, 2, 0.975, 0.0005], ["b", 0.2, 2, 0.955, 0.0205]]
    finals = final_accuracies(runs[runs["epoch"] <= 0.4])
    assert finals["test_accuracy"].tolist() == [0.9755, 0.9755, 0.974, 0.976]
