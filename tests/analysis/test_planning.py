"""A plan's numbers, from a study worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fluidrelu_cli.analysis.planning import plan
from fluidrelu_cli.errors import FluidReluError, UsageError
from fluidrelu_cli.study import Study

MakeStudy = Callable[..., Study]

RELU = [(0.970,), (0.972,), (0.974,), (0.976,), (0.978,)]
FLUID = [(0.971,), (0.972,), (0.973,), (0.977,), (0.977,)]  # +10, 0, -10, +10, -10 images: mean 0, variance 100


def edited(study: Study, name: str, **fields: Any) -> None:
    path = study.files(name).provenance
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_plan_by_hand(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, {"relu": RELU, "fluid": FLUID, "elu": [(0.5,)]})
    edited(study, "relu-seed0", wall_seconds=100.0, cpu="slow")  # the median is the others' 6 s
    for seed in range(5):
        edited(study, f"fluid-seed{seed}", wall_seconds=16.0, batched_seeds=2)
    edited(study, "elu-seed0", cpu="another")
    made = plan(study, "fluid", "relu", effect=0.0005, power=0.8, alpha=0.05)
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
    [note] = made.notes
    assert "differ in the way of training: one by one, seeds together" in note


def test_plan_for_more_power_or_a_smaller_effect_takes_more(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, {"relu": RELU, "fluid": FLUID})

    def seeds(effect: float, power: float, alpha: float) -> int:
        return plan(study, "fluid", "relu", effect, power, alpha).seeds

    base = seeds(0.0005, 0.8, 0.05)
    assert seeds(0.0004, 0.8, 0.05) > base
    assert seeds(0.0005, 0.9, 0.05) > base
    assert seeds(0.0005, 0.8, 0.01) > base
    assert plan(study, "relu", "fluid", 0.0005, 0.8, 0.05).seeds == base


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
def test_plan_without_a_spread_is_refused(
    accuracies: dict[str, list[tuple[float]]], tmp_path: Path, make_study: MakeStudy
) -> None:
    words = r"differences between fluid and relu vary: train some more pairs first, with .*--act relu --act fluid`"
    with pytest.raises(FluidReluError, match=words):
        plan(make_study(tmp_path, accuracies), "fluid", "relu", 0.0005, 0.8, 0.05)


@pytest.mark.parametrize(
    ("effect", "power", "alpha", "words"),
    [
        (0, 0.8, 0.05, "--effect must be a difference of accuracies between 0 and 1, such as 0.0005, not 0"),
        (5, 0.8, 0.05, "--effect must be a difference of accuracies between 0 and 1"),
        (0.1, 0.8, 0, "--alpha must be between 0 and 1, not 0"),
        (0.1, 1, 0.05, r"--power must be between --alpha \(0.05\) and 1, not 1"),
        (0.1, 0.01, 0.05, "--power must be between"),
    ],
)
def test_plan_out_of_range(
    effect: float, power: float, alpha: float, words: str, tmp_path: Path, make_study: MakeStudy
) -> None:
    with pytest.raises(UsageError, match=words):
        plan(make_study(tmp_path, {"relu": RELU, "fluid": FLUID}), "fluid", "relu", effect, power, alpha)


def test_plan_says_what_is_left_out(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, {"relu": RELU, "fluid": FLUID})
    study.files("relu-seed1").csv.write_text("damaged")
    damaged, alone = plan(study, "fluid", "relu", 0.0005, 0.8, 0.05).notes
    assert "Left out: " in damaged
    assert alone == "Pairs are seeds that both have; left out: fluid 1."


def test_plan_of_one_activation_against_itself(tmp_path: Path, make_study: MakeStudy) -> None:
    with pytest.raises(UsageError, match=r"--act and --baseline are both relu: name two activations\."):
        plan(make_study(tmp_path, {"relu": RELU}), "relu", "relu", 0.0005, 0.8, 0.05)
