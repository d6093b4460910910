"""Sentences to the letter."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fluidrelu_cli.analysis.planning import Plan
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.report import wording as sentences
from fluidrelu_cli.verification import Recorded, Verification

COMPARED = ["activation", "seed", "identical", "accuracy_difference"]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "No run has the activation and seed of one in results/paper: nothing to compare."),
        (
            [("relu", 0, True, 0.0), ("fluid", 0, True, 0.0)],
            "All 2 runs in common with results/paper are equal digit for digit.",
        ),
        (
            [("relu", 0, True, 0.0), ("relu", 1, False, 0.0001), ("fluid", 2, False, -0.0025)],
            "1 of 3 runs in common with results/paper are equal digit for digit; of the others the final accuracy"
            " differs by at most 0.0025 (FluidReLU, seed 2). Their .json files tell the processor, the versions"
            " and the source of each: another processor or torch rounds otherwise.",
        ),
    ],
)
def test_comparison_in_a_sentence(rows: list[tuple[object, ...]], sentence: str) -> None:
    assert sentences.reproduction(pd.DataFrame(rows, columns=COMPARED), "results/paper") == sentence


def comparison(activation: str = "fluid", n: int = 20, mean: float = -0.0005, **other: Any) -> dict[str, Any]:
    """A row of statistics.comparisons."""
    row = {"activation": activation, "baseline": "relu", "n": n, "mean_difference": mean, "left_out": ""}
    return {**row, "ci_low": mean - 0.0002, "ci_high": mean + 0.0002, "p_holm": 0.0312, "verdict": "worse", **other}


@pytest.mark.parametrize(
    ("row", "comparisons", "sentence"),
    [
        (
            comparison(),
            1,
            "FluidReLU is worse than ReLU here: over 20 seeds its mean accuracy is 0.00050 lower (95 % interval"
            " −0.00070 to −0.00030; p = 0.0312).",
        ),
        (
            comparison("elu", mean=0.0005, verdict="better", p_holm=1e-9),
            8,
            "elu is better than ReLU here: over 20 seeds its mean accuracy is 0.00050 higher (95 % interval"
            " +0.00030 to +0.00070; p < 0.0001, adjusted for 8 comparisons).",
        ),
        (
            comparison(mean=0.0001, verdict="undecided", p_holm=0.5),
            1,
            "No difference between FluidReLU and ReLU is established: over 20 seeds FluidReLU's mean accuracy is"
            " 0.00010 higher (95 % interval −0.00010 to +0.00030; p = 0.5000).",
        ),
        (
            comparison(n=3, verdict="too few pairs", p_holm=0.25),
            1,
            "3 seeds cannot tell FluidReLU from ReLU: FluidReLU's mean accuracy is 0.00050 lower (95 % interval"
            " −0.00070 to −0.00030), and with so few pairs no p-value can reach 5 %.",
        ),
        (
            comparison(n=1, verdict="too few pairs", ci_low=math.nan, ci_high=math.nan),
            1,
            "One seed cannot tell FluidReLU from ReLU: FluidReLU's mean accuracy is 0.00050 lower, and with so few"
            " pairs no p-value can reach 5 %.",
        ),
        (
            comparison(mean=0.0, verdict="undecided", p_holm=1.0),
            1,
            "No difference between FluidReLU and ReLU is established: over 20 seeds FluidReLU's mean accuracy is the"
            " same (95 % interval −0.00020 to +0.00020; p = 1.0000).",
        ),
        (
            comparison(n=0, mean=math.nan, verdict="too few pairs"),
            1,
            "No seed has a run of both FluidReLU and ReLU: nothing can be said.",
        ),
    ],
)
def test_verdict(row: dict[str, Any], comparisons: int, sentence: str) -> None:
    assert sentences.verdict(row, comparisons) == sentence


def test_tally_names_every_activation_once() -> None:
    names = {"fluid": "worse", "elu": "better", "prelu": "worse", "tanh": "undecided"}
    rows = [comparison(name, verdict=verdict) for name, verdict in names.items()]
    assert sentences.tally(pd.DataFrame(rows)) == (
        "Against ReLU, after adjustment: FluidReLU, prelu (worse); elu (better); tanh (undecided)."
    )


def test_noise_says_what_the_intervals_leave_out() -> None:
    summary = pd.DataFrame({"image_se": [0.00151, 0.0021, math.nan, 0.0018]})
    assert "on these 10,000 test images" in sentences.noise(summary, 10_000)
    assert "a standard error of 0.0015 to 0.0021;" in sentences.noise(summary, 10_000)
    assert "a standard error of 0.0018;" in sentences.noise(summary.iloc[2:], 10_000)


def test_left_out_names_the_seeds() -> None:
    left_out = {"fluid": "relu 20–59", "elu": "", "prelu": "prelu 3; relu 5", "tanh": "relu 20–59"}
    rows = [comparison(name, left_out=seeds) for name, seeds in left_out.items()]
    assert sentences.left_out(pd.DataFrame(rows)) == (
        "Pairs are seeds that both have (fluid, tanh against relu: without relu 20–59. prelu against relu: without"
        " prelu 3; relu 5): do not compare rows over different seeds."
    )
    assert sentences.left_out(pd.DataFrame([comparison()])) is None


def test_too_few_pairs_names_the_activations() -> None:
    rows = [
        comparison("elu", n=5, verdict="too few pairs"),
        comparison("prelu"),
        comparison("x", verdict="too few pairs"),
    ]
    assert sentences.too_few_pairs(pd.DataFrame(rows)) == "With fewer than 6 pairs no p-value can reach 5 %: elu, x."
    assert sentences.too_few_pairs(pd.DataFrame([comparison()])) is None


def test_too_few_pairs_for_so_many_comparisons() -> None:
    """2 / 2**6, times three, is above 5 %; 2 / 2**7 is not."""
    rows = [comparison(name, n=6, verdict="undecided") for name in ("fluid", "elu", "prelu")]
    assert sentences.too_few_pairs(pd.DataFrame(rows)) == (
        "Adjusted for 3 comparisons none can reach 5 % with fewer than 7 pairs."
    )
    rows[0]["n"] = 7
    assert sentences.too_few_pairs(pd.DataFrame(rows)) is None


def test_three_run_rankings() -> None:
    table = pd.DataFrame({"a": ["fluid", "relu"], "probability": [0.18, 0.4]})
    assert sentences.three_run_rankings(table) == (
        "A table of three runs each would rank FluidReLU above ReLU in both rows 18 % of the time, and ReLU above"
        " FluidReLU 40 %; were there no difference, each 30 %."
    )
    assert sentences.three_run_rankings(table.iloc[:0]) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(89.4, "89 s"), (90, "2 min"), (89 * 60, "89 min"), (90 * 60, "1.5 h"), (360_000, "100.0 h")]
)
def test_duration(seconds: float, text: str) -> None:
    assert sentences.duration(seconds) == text


def planned(**fields: Any) -> list[str]:
    """The sentences of a plan."""
    made = {
        "activation": "fluid",
        "baseline": "relu",
        "effect": 0.0005,
        "power": 0.8,
        "alpha": 0.05,
        "pairs": 60,
        "sd_difference": 0.0011,
        "sd_low": 0.0009,
        "sd_high": 0.0013,
        "correlation": 0.85,
        "seeds": 40,
        "seeds_low": 28,
        "seeds_high": 55,
        "seeds_unpaired": 218,
        "pair_seconds": 36.0,
        "processors": ("EPYC",),
        "missing": 20,
        "device": "cpu",
        "notes": (),
    }
    return sentences.planned(Plan(**{**made, **fields}), 2, "--study mine")


def test_plan_in_sentences() -> None:
    first, second, third, command = planned()
    assert "Over 60 pairs the differences between FluidReLU and ReLU have a sample SD of 0.00110" in first
    assert "To find a true difference of 0.0005 with a power of 80 % at the level of 5 %" in second
    assert "by the paired t-test takes 40 seeds of each (28 to 55 over" in second
    assert third == (
        "These are 80 trials, of which the study has 60; the missing ones take 3 min with 2 workers, at the 36 s that a"
        " pair took on EPYC."
    )
    assert command == "fluidrelu repeat -n 40 --act relu --act fluid --study mine"
    assert planned(missing=80)[2].startswith("These are 80 trials, the missing ones take 12 min with 2 workers")
    assert planned(missing=0)[2:] == ["The study has them all; compare them with: fluidrelu report --study mine"]


def verification(differences: dict[str, float], conditions: dict[str, tuple[str, str]]) -> Verification:
    recorded = Recorded(Trial(Protocol(), "relu", 0), {"test_accuracy": [0.5, 0.9752]}, None, {})
    return Verification(recorded, 0.9753, differences, conditions)


def test_verified_run_in_sentences() -> None:
    csv = Path("results/relu-seed0.csv")
    [equal] = sentences.verified_run(verification({}, {}), csv)
    assert equal == f"{csv}: made again, and every number but the timings is equal to the last digit."
    differing, accuracies, reason = sentences.verified_run(
        verification({"test_loss": 0.00012, "test_accuracy": 0.0001}, {"versions torch": ("2.14", "2.15")}), csv
    )
    assert "test_loss by up to 0.00012, test_accuracy by up to 0.0001." in differing
    assert accuracies == "The test accuracy after the last epoch is 0.9753 here, 0.9752 there."
    assert reason == "What differs in the making: versions torch (2.14 there, 2.15 here)."
    *_, unknown = sentences.verified_run(verification({"test_loss": 0.1}, {}), csv)
    assert "Nothing that is recorded of versions and hardware differs" in unknown
    altogether, *_ = sentences.verified_run(verification({"learned parameters": math.inf}, {}), csv)
    assert altogether.endswith("the numbers differ: learned parameters.")
