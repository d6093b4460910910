"""A plan's numbers, from a study worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from factories import make_run

from fluidrelu_cli.analysis.inference import interval
from fluidrelu_cli.analysis.planning import pairs_needed, plan, sd_interval, t_test_power
from fluidrelu_cli.analysis.sign_flips import sign_flip_p
from fluidrelu_cli.analysis.verdicts import fewest_pairs
from fluidrelu_cli.errors import FluidReluError, UsageError
from fluidrelu_cli.run import Provenance, Run
from fluidrelu_cli.study import MOST_SEEDS

RELU = [(0.970,), (0.972,), (0.974,), (0.976,), (0.978,)]
FLUID = [(0.971,), (0.972,), (0.973,), (0.977,), (0.977,)]  # +10, 0, -10, +10, -10 images: mean 0, variance 100


REPLICATES = 2000


def make_runs(accuracies: Mapping[str, Sequence[Sequence[float]]]) -> list[Run]:
    return [make_run(name, seed, by_epoch) for name, seeds in accuracies.items() for seed, by_epoch in enumerate(seeds)]


def test_plan_by_hand() -> None:
    relu, fluid = (make_runs({name: values}) for name, values in (("relu", RELU), ("fluid", FLUID)))
    relu[0] = replace(relu[0], provenance=Provenance(wall_seconds=100.0, cpu="slow"))  # the others' 6 s are the median
    fluid = [replace(run, provenance=Provenance(wall_seconds=16.0, batched_seeds=2)) for run in fluid]
    elu = replace(make_run("elu", 0, (0.5,)), provenance=Provenance(cpu="another"))
    made = plan([*relu, *fluid, elu], "fluid", "relu", effect=0.0005, power=0.8, alpha=0.05)
    assert made.pairs == 5
    assert made.sd_difference == pytest.approx(0.001)
    # chi2(0.975; 4) = 11.1433 and chi2(0.025; 4) = 0.484419
    assert made.sd_low == pytest.approx(0.001 * (4 / 11.1433) ** 0.5, rel=1e-5)
    assert made.sd_high == pytest.approx(0.001 * (4 / 0.484419) ** 0.5, rel=1e-5)
    assert made.seeds == 34  # half an SD: any table's
    assert made.seeds_low < 34 < made.seeds_high
    # variances, in images: relu's 1000, fluid's 800 - so 42.4 images without pairing, an effect of 0.118 SDs
    assert made.seeds_unpaired == pytest.approx((2.8016 / (5 / 1800**0.5)) ** 2, rel=0.25)
    assert made.correlation > 0.9
    assert made.pair_seconds == 6.0 + 8.0
    assert made.missing == 2 * 34 - 10
    assert made.seconds(workers=2) == (34 - 5) * 14.0 / 2
    assert made.processors == ("None", "slow")
    assert made.left_out == ""


def test_plan_for_more_power_or_a_smaller_effect_takes_more() -> None:
    runs = make_runs({"relu": RELU, "fluid": FLUID})

    def seeds(effect: float, power: float, alpha: float) -> int:
        return plan(runs, "fluid", "relu", effect, power, alpha).seeds

    base = seeds(0.0005, 0.8, 0.05)
    assert seeds(0.0004, 0.8, 0.05) > base
    assert seeds(0.0005, 0.9, 0.05) > base
    assert seeds(0.0005, 0.8, 0.01) > base
    assert plan(runs, "relu", "fluid", 0.0005, 0.8, 0.05).seeds == base


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
        plan(make_runs(accuracies), "fluid", "relu", 0.0005, 0.8, 0.05)


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
        plan(make_runs({"relu": RELU, "fluid": FLUID}), "fluid", "relu", effect, power, alpha)


def test_plan_at_the_ends_of_what_it_takes() -> None:
    runs = make_runs({"relu": RELU, "fluid": FLUID})
    assert 1000 <= plan(runs, "fluid", "relu", 0.1, 0.8, 1e-300).seeds < 2000
    assert 8 <= plan(runs, "fluid", "relu", 0.01, 0.999999999, 0.05).seeds < 20
    made = plan(runs, "fluid", "relu", 1.2e-5, 0.8, 0.05)
    assert made.seeds < MOST_SEEDS < made.seeds_high == made.seeds_unpaired == MOST_SEEDS + 1


def test_plan_says_what_is_left_out() -> None:
    runs = make_runs({"relu": RELU, "fluid": FLUID})
    assert plan(
        [run for run in runs if run.trial.name != "relu-seed1"], "fluid", "relu", 0.0005, 0.8, 0.05
    ).left_out == ("fluid 1")


def test_plan_of_one_activation_against_itself() -> None:
    with pytest.raises(UsageError, match=r"--act and --baseline are both relu: name two activations\."):
        plan(make_runs({"relu": RELU}), "relu", "relu", 0.0005, 0.8, 0.05)


@pytest.mark.parametrize(("effect_in_sds", "n"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_pairs_needed_are_those_of_the_published_tables(effect_in_sds: float, n: int) -> None:
    """G*Power's and every textbook's, for 80 % power at 5 %, two-sided."""
    assert pairs_needed(effect_in_sds, 1, 0.8) == n
    assert t_test_power(n, effect_in_sds, 1) >= 0.8 > t_test_power(n - 1, effect_in_sds, 1)


def test_pairs_needed_at_the_ends() -> None:
    assert pairs_needed(100, 1, 0.99) == fewest_pairs() + 2
    assert pairs_needed(0.5, 1, 0.8, alpha=1e-17) > 100  # where 1 - alpha / 2 is 1
    assert pairs_needed(0.01, 1, 0.8) == pytest.approx(((1.959964 + 0.841621) / 0.01) ** 2, rel=1e-4)
    assert pairs_needed(0.001, 1, 0.8) == pairs_needed(1e-300, 1, 0.8) == MOST_SEEDS + 1
    assert pairs_needed(-0.5, 1, 0.8) == 34


def test_sd_interval_by_hand() -> None:
    # chi2(0.975; 9) = 19.0228 and chi2(0.025; 9) = 2.70039 in every printed table
    low, high = sd_interval(2.0, 10)
    assert [low, high] == pytest.approx([2 * (9 / 19.0228) ** 0.5, 2 * (9 / 2.70039) ** 0.5], rel=1e-5)


def test_power_is_how_often_the_difference_is_found() -> None:
    effect, sd = 0.0008, 0.001
    n = pairs_needed(effect, sd, 0.8)
    samples = np.random.default_rng(1).normal(effect, sd, size=(REPLICATES, n))
    found = sum(low > 0 for low, _ in map(interval, samples.tolist()))
    power = t_test_power(n, effect, sd)
    assert abs(found / REPLICATES - power) < 4 * (power * (1 - power) / REPLICATES) ** 0.5  # standard errors
    signs = [sign_flip_p(images) for images in np.rint(samples * 10_000).astype(int).tolist()]
    assert sum(p < 0.05 for p in signs) / REPLICATES > 0.8 - 0.04  # the verdict's own test is about as good
