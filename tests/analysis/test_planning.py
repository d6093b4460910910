"""A plan's numbers, from a study worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from factories import make_run
from numpy.typing import NDArray

from fluidrelu_cli.analysis.planning import (
    Family,
    equality_power,
    find_family,
    pairs_for_equality,
    pairs_needed,
    pairs_to_decide,
    plan,
    planning_sd,
    sd_interval,
    t_test_power,
)
from fluidrelu_cli.analysis.sign_flips import sign_flip_p
from fluidrelu_cli.analysis.verdicts import fewest_pairs, holm
from fluidrelu_cli.errors import FluidReluError, UsageError
from fluidrelu_cli.run import Provenance, Run
from fluidrelu_cli.study import MOST_SEEDS

RELU = [(0.970,), (0.972,), (0.974,), (0.976,), (0.978,)]
FLUID = [(0.971,), (0.972,), (0.973,), (0.977,), (0.977,)]  # +10, 0, -10, +10, -10 images: mean 0, variance 100


def make_runs(accuracies: Mapping[str, Sequence[Sequence[float]]]) -> list[Run]:
    return [make_run(name, seed, by_epoch) for name, seeds in accuracies.items() for seed, by_epoch in enumerate(seeds)]


def test_plan_by_hand() -> None:
    relu, fluid = (make_runs({name: values}) for name, values in (("relu", RELU), ("fluid", FLUID)))
    relu[0] = replace(relu[0], provenance=Provenance(wall_seconds=100.0, cpu="slow"))  # the others' 6 s are the median
    fluid = [replace(run, provenance=Provenance(wall_seconds=16.0, batched_seeds=2)) for run in fluid]
    elu = replace(make_run("elu", 0, (0.5,)), provenance=Provenance(cpu="another"))
    made = plan([*relu, *fluid, elu], "fluid", "relu", effect=0.0005)
    assert (made.pairs, made.ties) == (5, 1)
    assert (made.power, made.alpha, made.alpha_family, made.primary, made.comparisons) == (0.8, 0.05, 0.05, True, 1)
    assert made.sd_difference == pytest.approx(0.001)
    # chi2(0.975; 4) = 11.1433 and chi2(0.025; 4) = 0.484419
    assert made.sd_low == pytest.approx(0.001 * (4 / 11.1433) ** 0.5, rel=1e-5)
    assert made.sd_high == pytest.approx(0.001 * (4 / 0.484419) ** 0.5, rel=1e-5)
    assert made.seeds_estimated == 34  # half an SD: any table's
    assert made.seeds_low < 34 < made.seeds < made.seeds_high
    # chi2(0.2; 4) = 1.64878, so the upper limit of the SD is 0.0015576: 0.321 SDs take 79 by G*Power
    assert made.sd_planned == pytest.approx(0.001 * (4 / 1.64878) ** 0.5, rel=1e-5)
    assert made.seeds == made.seeds_decide == 79
    # variances, in images: relu's 1000, fluid's 800 - so 42.4 images without pairing, 66.1 at its upper limit
    assert made.seeds_unpaired == pytest.approx((2.8016 / (5 / 1800**0.5)) ** 2 * 4 / 1.64878, rel=0.01)
    # relu's mean accuracy is 0.974: 5 % of the 260 images that it gets wrong are 13
    assert (made.margin, made.margin_is_default) == (0.0013, True)
    assert made.seeds_equal == pairs_for_equality(0.0013, made.sd_planned, 0.8)
    assert made.seeds_equal_estimated == pairs_for_equality(0.0013, 0.001, 0.8)
    assert made.correlation > 0.9
    assert made.pair_seconds == 6.0 + 8.0
    assert made.missing == 2 * 79 - 10
    assert made.seconds(workers=2) == (79 - 5) * 14.0 / 2
    assert made.processors == ("None", "slow")
    assert made.left_out == ""


def test_plan_for_more_power_or_a_smaller_effect_takes_more() -> None:
    runs = make_runs({"relu": RELU, "fluid": FLUID})

    def seeds(effect: float, power: float, alpha: float) -> int:
        return plan(runs, "fluid", "relu", effect, power=power, alpha=alpha).seeds

    base = seeds(0.0005, 0.8, 0.05)
    assert seeds(0.0004, 0.8, 0.05) > base
    assert seeds(0.0005, 0.9, 0.05) > base
    assert seeds(0.0005, 0.8, 0.01) > base
    assert plan(runs, "relu", "fluid", 0.0005).seeds == base
    assert plan(runs, "fluid", "relu", 0.0005, family=Family(primary=False, comparisons=5)).seeds == seeds(
        0.0005, 0.8, 0.01
    )


def test_plan_without_an_effect_is_for_the_margin_whatever_is_true() -> None:
    runs = make_runs({"relu": RELU, "fluid": FLUID})
    made = plan(runs, "fluid", "relu", margin=0.0007)
    assert (made.effect, made.margin, made.margin_is_default) == (0.0007, 0.0007, False)
    assert made.seeds < made.seeds_equal == made.seeds_decide
    assert made.seeds_decide == pairs_to_decide(made.sd_planned, 0.0007, alpha=0.05, ties=0.2)
    assert made.missing == 2 * made.seeds_decide - 10
    assert plan(runs, "fluid", "relu").effect == 0.0013
    assert plan(runs, "fluid", "relu", 0.0008, margin=0.0007).seeds_equal == made.seeds_equal
    few = [
        make_run(name, seed, ((0.9, 1.0)[seed == (name == "relu")],), test_images=10)
        for name in ("relu", "fluid")
        for seed in (0, 1)
    ]
    assert plan(few, "fluid", "relu").margin == 0.1  # one image
    with pytest.raises(UsageError, match=r"To exclude a difference of 1\.4158e-05 .* name a larger --margin or"):
        plan(runs, "fluid", "relu", margin=1.4158e-5)


@pytest.mark.parametrize(
    ("activation", "baseline", "compare", "cells", "family"),
    [
        ("fluid", "relu", ("fluid", "relu"), 1, Family(primary=True, comparisons=1)),
        ("relu", "fluid", ("fluid", "relu"), 1, Family(primary=True, comparisons=1)),
        ("elu", "relu", ("fluid", "relu"), 1, Family(primary=False, comparisons=2)),
        ("tanh", "relu", ("fluid", "relu"), 1, Family(primary=False, comparisons=2)),
        ("gelu", "relu", ("fluid", "relu"), 1, Family(primary=False, comparisons=3)),  # which the file does not have
        ("tanh", "elu", ("fluid", "relu"), 1, Family(primary=False, comparisons=3)),
        ("fluid", "relu", ("fluid", "relu"), 5, Family(primary=True, comparisons=5)),
        ("elu", "relu", ("fluid", "relu"), 5, Family(primary=False, comparisons=10)),
        ("fluid", "relu", None, 1, Family(primary=False, comparisons=3)),
    ],
)
def test_what_a_comparison_is_adjusted_together_with(
    activation: str, baseline: str, compare: tuple[str, str] | None, cells: int, family: Family
) -> None:
    assert find_family(activation, baseline, ["relu", "fluid", "elu", "tanh"], compare, cells) == family


def test_a_lone_comparison_is_primary() -> None:
    assert find_family("fluid", "relu", ["relu", "fluid"]) == Family(primary=True, comparisons=1)


@pytest.mark.parametrize(
    "accuracies",
    [
        {"relu": RELU},
        {"relu": RELU, "elu": RELU},
        {"relu": RELU[:1], "fluid": FLUID[:1]},
        {"relu": RELU, "fluid": RELU},
        {"relu": RELU, "fluid": [(accuracy + 0.0007,) for (accuracy,) in RELU]},  # no two floats are as far apart
    ],
    ids=["one alone", "others", "one pair", "equal", "no spread"],
)
def test_plan_without_a_spread_is_refused(accuracies: dict[str, list[tuple[float]]]) -> None:
    words = r"differences between fluid and relu vary: train some more pairs first, with .*--act relu --act fluid`"
    with pytest.raises(FluidReluError, match=words):
        plan(make_runs(accuracies), "fluid", "relu", 0.0005)


@pytest.mark.parametrize(
    ("effect", "power", "alpha", "words"),
    [
        (0, 0.8, 0.05, "--effect must be a difference of accuracies between 0 and 1, such as 0.0005, not 0"),
        (5, 0.8, 0.05, "--effect must be a difference of accuracies between 0 and 1"),
        (0.1, 0.8, 0, "--alpha must be between 0 and 1, not 0"),
        (0.1, 1, 0.05, r"--power must be between --alpha \(0.05\) and 1, not 1"),
        (0.1, 0.01, 0.05, "--power must be between"),
        (0.1, 0, 0.05, "--power must be between"),
        *((effect, 0.8, 0.05, "--effect must be a difference") for effect in (-0.1, math.nan, math.inf, 1e308)),
        *((0.1, value, 0.05, "--power must be between") for value in (math.nan, math.inf)),
        *((0.1, 0.8, value, "--alpha must be between 0 and 1") for value in (math.nan, math.inf)),
        (1e-300, 0.8, 0.05, "a difference of 1e-300 between fluid and relu takes more than 100,000 seeds of each: "),
        (1e-6, 0.999999999, 1e-300, "more than 100,000 seeds of each: name a larger --effect or --alpha, or a"),
    ],
)
def test_plan_out_of_range(effect: float, power: float, alpha: float, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan(make_runs({"relu": RELU, "fluid": FLUID}), "fluid", "relu", effect, power=power, alpha=alpha)


def test_plan_for_a_margin_out_of_range() -> None:
    with pytest.raises(UsageError, match="--margin must be a difference of accuracies between 0 and 1, such as"):
        plan(make_runs({"relu": RELU, "fluid": FLUID}), "fluid", "relu", margin=1.5)


def test_plan_at_the_ends_of_what_it_takes() -> None:
    runs = make_runs({"relu": RELU, "fluid": FLUID})
    assert 1000 <= plan(runs, "fluid", "relu", 0.1, alpha=1e-300).seeds < 2000
    assert 8 <= plan(runs, "fluid", "relu", 0.01, power=0.999999999).seeds < 20
    made = plan(runs, "fluid", "relu", 1.5e-5, margin=1e-9)
    assert made.seeds < MOST_SEEDS < made.seeds_high == made.seeds_unpaired == made.seeds_equal == MOST_SEEDS + 1


def test_plan_says_what_is_left_out() -> None:
    runs = make_runs({"relu": RELU, "fluid": FLUID})
    assert plan([run for run in runs if run.trial.name != "relu-seed1"], "fluid", "relu").left_out == "fluid 1"


def test_plan_of_one_activation_against_itself() -> None:
    with pytest.raises(UsageError, match=r"--act and --baseline are both relu: name two activations\."):
        plan(make_runs({"relu": RELU}), "relu", "relu")


@pytest.mark.parametrize(("effect_in_sds", "n"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_pairs_needed_are_those_of_the_published_tables(effect_in_sds: float, n: int) -> None:
    """G*Power's and every textbook's, for 80 % power at 5 %, two-sided."""
    assert pairs_needed(effect_in_sds, 1, 0.8) == n
    assert t_test_power(n, effect_in_sds, 1) >= 0.8 > t_test_power(n - 1, effect_in_sds, 1)


def test_pairs_needed_at_the_ends() -> None:
    assert pairs_needed(100, 1, 0.99) == fewest_pairs() + 2
    assert pairs_needed(100, 1, 0.99, ties=0.6) == 20  # of which 8 are untied
    assert pairs_needed(100, 1, 0.99, ties=0.6, alpha=0.05 / 8) == 28  # 11 are
    assert pairs_needed(100, 1, 0.99, ties=0.99999) == MOST_SEEDS + 1
    assert pairs_needed(0.5, 1, 0.8, ties=0.6) == 34
    assert pairs_for_equality(100, 1, 0.99) == fewest_pairs() + 2
    assert pairs_for_equality(1e-300, 1, 0.8) == MOST_SEEDS + 1
    assert pairs_needed(0.5, 1, 0.8, alpha=1e-17) > 100  # where 1 - alpha / 2 is 1
    assert pairs_needed(0.01, 1, 0.8) == pytest.approx(((1.959964 + 0.841621) / 0.01) ** 2, rel=1e-4)
    assert pairs_needed(0.001, 1, 0.8) == pairs_needed(1e-300, 1, 0.8) == MOST_SEEDS + 1
    assert pairs_needed(-0.5, 1, 0.8) == 34


def test_sd_interval_by_hand() -> None:
    # chi2(0.975; 9) = 19.0228 and chi2(0.025; 9) = 2.70039 in every printed table
    low, high = sd_interval(2.0, 10)
    assert [low, high] == pytest.approx([2 * (9 / 19.0228) ** 0.5, 2 * (9 / 2.70039) ** 0.5], rel=1e-5)


def test_planning_sd_by_hand() -> None:
    assert planning_sd(2.0, 10) == pytest.approx(2 * (9 / 5.38005) ** 0.5, rel=1e-5)  # chi2(0.2; 9) of a printed table


def test_planning_sd_is_below_the_true_one_in_one_study_of_five() -> None:
    sds = np.random.default_rng(2).normal(size=(5000, 10)).std(axis=1, ddof=1)
    assert np.mean([planning_sd(sd, 10) < 1 for sd in sds]) == pytest.approx(0.2, abs=3 * 0.0057)  # standard errors


def test_equality_takes_what_large_sample_theory_says_in_the_limit() -> None:
    # both tests fail with 10 % each: (z(0.95) + z(0.9))**2 = (1.644854 + 1.281552)**2 pairs for a margin of an SD
    assert pairs_for_equality(0.02, 1, 0.8) == pytest.approx((2.926406 / 0.02) ** 2, rel=1e-3)
    assert equality_power(3, 0.5, 1) == 0
    assert equality_power(36, 0.5, 1) >= 0.8 > equality_power(35, 0.5, 1)
    assert pairs_to_decide(1, 0.5, alpha=0.05) == 36
    assert pairs_to_decide(1, 2, alpha=0.05, ties=0.5) == 16
    assert pairs_to_decide(1, 1e-300, alpha=0.05) == MOST_SEEDS + 1


STUDIES = 400


@pytest.mark.parametrize("comparisons", [1, 3, 8])
def test_power_is_how_often_the_verdict_is_the_right_one(comparisons: int) -> None:
    """Differences with an SD of 12 images, rounded to these: one of them differs, and the others not at all."""
    margin, sd, level = 12, 12.0, 0.05 / comparisons
    n = pairs_to_decide(sd, margin, alpha=level)
    drawn = np.random.default_rng(comparisons).normal(0, sd, (STUDIES, comparisons, n))
    studies = np.rint(drawn).astype(int)
    studies[:, 0] += margin
    p_values = [[sign_flip_p(images) for images in study] for study in studies.tolist()]
    found = sum(holm(each)[0] < 0.05 for each in p_values) / STUDIES
    power = t_test_power(n, margin, sd, level)
    assert 0.8 - 3 * 0.02 < found < power + 3 * 0.02  # standard errors; Holm's method finds a little more than planned

    none = studies[:, 0] - margin
    equal = sum(all(_is_above(side, level) for side in (none[i] + margin, margin - none[i])) for i in range(STUDIES))
    assert abs(equal / STUDIES - equality_power(n, margin, sd, level)) < 3 * 0.02


def _is_above(images: NDArray[np.int64], level: float) -> bool:
    """Whether the one-sided sign-flip test says that differences are above 0."""
    return images.sum() > 0 and sign_flip_p(images.tolist()) / 2 <= level
