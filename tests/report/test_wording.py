"""Sentences to the letter."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from factories import make_declaration, make_run

from fluidrelu_cli.analysis.inference import COMPARISON_COLUMNS
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.report import wording
from fluidrelu_cli.run import Provenance, Run
from fluidrelu_cli.study import MOST_SEEDS

COMPARED = ["activation", "seed", "identical", "accuracy_difference"]


@pytest.mark.parametrize(
    ("rows", "differing", "sentence"),
    [
        ([], "", "No run has the activation and seed of one in results/paper, so there is nothing to compare."),
        (
            [("relu", 0, True, 0.0), ("fluid", 0, True, 0.0)],
            "processor (there A; here B)",
            "Reproduced: all 2 runs in common with results/paper are equal digit for digit.",
        ),
        (
            [("relu", 0, True, 0.0), ("relu", 1, False, 0.0001), ("fluid", 2, False, -0.0004)],
            "processor (there A; here B)",
            "Reproduced but for rounding: 1 of 3 runs in common with results/paper are equal digit for digit, and the"
            " final accuracies of the others differ by at most 0.0004 (FluidReLU, seed 2). That is within 0.0016, the"
            " standard error over other test images, and another processor (there A; here B) may round differently.",
        ),
        (
            [("relu", 0, False, 0.0)],
            "",
            "Reproduced but for rounding: 0 of 1 runs in common with results/paper are equal digit for digit, and the"
            " final accuracies of the others differ by at most 0.0000 (ReLU, seed 0). That is within 0.0016, the"
            " standard error over other test images, and a library that is not recorded may round differently.",
        ),
        (
            [("relu", 0, True, 0.0), ("fluid", 2, False, -0.0025)],
            "device (there cpu; here cuda)",
            "Not reproduced: 1 of 2 runs in common with results/paper are equal digit for digit, and the final"
            " accuracies of the others differ by up to 0.0025 (FluidReLU, seed 2). Rounding explains no more than about"
            " 0.0016, the standard error over other test images: compare the .json files beside the runs. They differ"
            " in device (there cpu; here cuda).",
        ),
    ],
)
def test_comparison_in_a_sentence(rows: list[tuple[object, ...]], differing: str, sentence: str) -> None:
    agreement = pd.DataFrame(rows, columns=COMPARED)
    assert wording.reproduction(agreement, "results/paper", 0.0016, differing) == sentence


def test_runs_of_which_none_is_equal_are_not_called_the_others() -> None:
    agreement = pd.DataFrame([("relu", 0, False, 0.0001), ("fluid", 0, False, 0.0002)], columns=COMPARED)
    assert wording.reproduction(agreement, "results/paper", 0.0016, "processor").startswith(
        "Reproduced but for rounding: none of the 2 runs in common with results/paper is equal digit for digit, and"
        " their final accuracies differ by at most 0.0002 (FluidReLU, seed 0). That is within 0.0016"
    )


def test_conditions_that_two_studies_do_not_share() -> None:
    def make(cpu: str, **other: Any) -> Run:
        return replace(make_run(), provenance=Provenance(cpu=cpu, cpu_capability="AVX2", device="cpu", **other))

    older = make("A", versions={"torch": "2.1"})
    assert wording.differing_conditions([older], [older]) == ""
    assert wording.differing_conditions([older], [make("A")]) == ""  # nothing says which torch made the other
    newer = [make(cpu, versions={"torch": "2.2"}) for cpu in "AB"]
    assert wording.differing_conditions([older], newer) == (
        "processor (there A, AVX2 and B, AVX2; here A, AVX2) and version of torch (there 2.2; here 2.1)"
    )


def comparison(activation: str = "fluid", n: int = 20, mean: float = -0.0005, **other: Any) -> dict[str, Any]:
    """A row of inference.comparisons: 5 images of 10,000 worse, and equal within 7."""
    row = {"activation": activation, "baseline": "relu", "n": n, "mean_difference": mean, "left_out": ""}
    row |= {"ci_low": mean - 0.0002, "ci_high": mean + 0.0002, "p": 0.0312, "p_holm": 0.0312, "verdict": "worse"}
    row |= {"equal_low": mean - 0.00015, "equal_high": mean + 0.00015, "equal_within": abs(mean) + 0.00015}
    row |= {"family": "primary", "margin": 0.0012, "margin_declared": False, "skewness": 0.0}
    return {**row, **other}


def test_a_row_of_comparisons_is_one() -> None:
    """As far as sentences read it: they are tested with values that need not come from runs."""
    assert {*comparison()} <= {*COMPARISON_COLUMNS}


PLACE = "On MNIST with the paper's network after 2 epochs"
DECLARED: dict[str, Any] = {"margin": 0.001, "margin_declared": True}
BARELY: dict[str, Any] = {"equal_low": -0.0002, "equal_high": 0.001194, "equal_within": 0.001194}
BARELY |= {"ci_low": -0.0004, "ci_high": 0.0014}
"""Equal within less than 0.0012, which four digits would not show."""


@pytest.mark.parametrize(
    ("row", "comparisons", "needed", "sentence"),
    [
        (
            comparison(),
            1,
            None,
            "FluidReLU is worse than ReLU: its mean accuracy is 0.00050 lower (20 seeds, 95 % interval −0.00070 to"
            " −0.00030, p = 0.0312; at most 0.0007 apart). The mean difference is smaller than the default margin of"
            " 0.0012 (5 % of ReLU's errors), which nobody declared.",
        ),
        (
            comparison(margin=0.0005, margin_declared=True),
            1,
            None,
            "FluidReLU is worse than ReLU: its mean accuracy is 0.00050 lower (20 seeds, 95 % interval −0.00070 to"
            " −0.00030, p = 0.0312; at most 0.0007 apart). The mean difference is no smaller than the margin of 0.0005"
            " (declared).",
        ),
        (
            comparison("elu", mean=0.0005, verdict="better", p_holm=1e-9, margin=0.0004),
            8,
            None,
            "ELU is better than ReLU: its mean accuracy is 0.00050 higher (20 seeds, 95 % interval +0.00030 to"
            " +0.00070, p < 0.0001, adjusted for 8 comparisons; at most 0.0007 apart).",
        ),
        (
            comparison(mean=0.0, verdict="undecided", p_holm=1.0, margin=0.0001),
            1,
            45,
            "FluidReLU is not told apart from ReLU: its mean accuracy is the same (20 seeds, 95 % interval −0.00020 to"
            " +0.00020, p = 1.0000). The two are equal within 0.0002; the margin is 0.0001 (5 % of ReLU's errors)."
            " A plan for 80 % power asks for about 45 seeds of each.",
        ),
        (
            comparison(mean=0.0001, verdict="undecided", p_holm=0.5, **DECLARED),  # by adjusting the one-sided tests
            3,
            MOST_SEEDS + 1,
            "FluidReLU is not told apart from ReLU: its mean accuracy is 0.00010 higher (20 seeds, 95 % interval"
            " −0.00010 to +0.00030, p = 0.5000, adjusted for 3 comparisons). Taken singly, the two are equal within"
            " 0.0003; the margin is 0.001 (declared). A plan for 80 % power asks for more than 100,000 seeds of each.",
        ),
        (
            comparison(mean=0.0005, verdict="equal", p_holm=0.2, **BARELY),
            1,
            None,
            "FluidReLU and ReLU are equal within 0.001194 (20 seeds, mean difference +0.00050, 90 % interval −0.00020"
            " to +0.00119), which is less than the margin of 0.0012 (5 % of ReLU's errors).",
        ),
        (
            comparison(verdict="equal", p_holm=0.06, ci_high=0.00001),
            1,
            None,
            "FluidReLU and ReLU are equal within 0.0007 (20 seeds, mean difference −0.00050, 90 % interval −0.00065 to"
            " −0.00035), which is less than the margin of 0.0012 (5 % of ReLU's errors). An advantage of 0.0001 or more"
            " is excluded on these images.",
        ),
        (
            comparison(mean=0.0005, verdict="equal", **DECLARED),  # an advantage of 0.0007 is not less than 0.0007
            3,
            None,
            "FluidReLU and ReLU are equal within 0.0007 (20 seeds, mean difference +0.00050, 90 % interval +0.00035 to"
            " +0.00065), which is less than the margin of 0.001 (declared), also when adjusted for 3 comparisons. That"
            " there is a difference is shown, too (p = 0.0312, adjusted for 3 comparisons).",
        ),
        (
            comparison(n=3, verdict="too few pairs", p_holm=0.25, ci_low=math.nan, ci_high=math.nan),
            1,
            None,
            "3 seeds cannot tell FluidReLU from ReLU: FluidReLU's mean accuracy is 0.00050 lower, and with so few pairs"
            " no p-value can reach 5 %.",
        ),
        (
            comparison(n=1, verdict="too few pairs", ci_low=math.nan, ci_high=math.nan),
            1,
            None,
            "1 seed cannot tell FluidReLU from ReLU: FluidReLU's mean accuracy is 0.00050 lower, and with so few pairs"
            " no p-value can reach 5 %.",
        ),
    ],
)
def test_verdict(row: dict[str, Any], comparisons: int, needed: int | None, sentence: str) -> None:
    assert wording.verdict(row, PLACE, comparisons, needed) == f"{PLACE}, {sentence}"


def test_verdict_of_what_cannot_be_told() -> None:
    many = comparison(n=6, mean=-0.148, ci_low=-0.246, ci_high=-0.05, verdict="too few pairs", p_holm=0.1875)
    assert wording.verdict(many, PLACE, 6, 9).startswith(
        f"6 seeds cannot establish anything with 6 comparisons; 8 can. {PLACE}, FluidReLU is not told apart from ReLU:"
        " its mean accuracy is 0.14800 lower (6 seeds, 95 % interval −0.24600 to −0.05000, p = 0.1875, adjusted for 6"
        " comparisons). Taken singly, the two are equal within"
    )
    nothing = comparison(n=0, mean=math.nan, verdict="too few pairs")
    assert wording.verdict(nothing, PLACE) == "No seed has a run of both FluidReLU and ReLU, so nothing can be said."


def test_what_has_no_verdict_has_an_estimate() -> None:
    estimate = "FluidReLU's mean accuracy is 0.00050 lower than ReLU's (95 % interval −0.00070 to −0.00030)."
    assert wording.interim(comparison(), 60) == f"Interim: 20 of 60 seeds, no verdict yet. So far {estimate}"
    assert wording.interim(comparison(n=0, mean=math.nan), 60) == "Interim: 0 of 60 seeds, no verdict yet."
    few = comparison(n=2, mean=0.0, ci_low=math.nan, ci_high=math.nan)
    assert wording.interim(few, 60).endswith(" So far FluidReLU's mean accuracy is the same as ReLU's.")
    grid = make_declaration(
        'activations = ["relu", "fluid"]\nseeds = 20\n[vary]\nlr = [0.1, 0.2]\n', Path("a b/c.toml")
    )
    assert wording.one_of(grid, comparison()) == (
        "This is one of the 2 cells of a b/c.toml, and has no verdict of its own: see `fluidrelu report 'a b/c.toml'`."
        f" {estimate}"
    )
    unjudged = wording.verdict(comparison(verdict="not judged"))
    assert (
        unjudged == f"FluidReLU is not judged, because another comparison decides when training ends. So far {estimate}"
    )


@pytest.mark.parametrize(
    ("protocol", "place"),
    [
        ({}, PLACE),
        (
            {"dataset": "cifar10", "model": "cnn3", "epochs": 1, "validation_images": 5000},
            "On held-out images of CIFAR-10 with the network cnn3 after 1 epoch",
        ),
        (
            {"dataset": "some/where/stripes.npz", "model": "nets:Net"},
            "On stripes.npz with the network nets:Net after 2 epochs",
        ),
        (
            {"model": "paper:hidden=8,pooling=average"},
            "On MNIST with the paper's network (hidden=8, pooling=average) after 2 epochs",
        ),
    ],
)
def test_where_a_verdict_holds(protocol: dict[str, Any], place: str) -> None:
    assert wording.describe_place(Protocol(**protocol)) == place


def test_what_varies_is_no_place() -> None:
    assert wording.describe_place(Protocol(), ["dataset", "lr"]) == "With the paper's network after 2 epochs"
    assert wording.describe_place(Protocol(), ["model"], stops=True) == "On MNIST after at most 2 epochs"
    assert wording.describe_place(Protocol(), ["dataset", "model", "epochs"]) == ""
    kinds = [wording.name_kinds(varied) for varied in (["lr"], ["beta"], ["loss"], ["lr", "beta"])]
    assert kinds == ["learning rates", "values of β", "values of loss", "protocols"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("", "No tuning was declared."),
        ('tuned = "the rate, on ReLU alone"', "Tuned: the rate, on ReLU alone."),
        (
            "[tune]\nlr = [0.1, 0.2]\nmomentum = [0, 0.9]\nseeds = 2\nvalidation_images = 5000",
            "The learning rate and momentum of each were tuned on 5,000 held-out images.",
        ),
        (
            "[tune]\nlr = [0.1, 0.2]\nseeds = 2\nvalidation_images = 5000\n[tune.fluid]\nbeta = [1, 10]\nsample = 2",
            "The learning rate of each and β of FluidReLU were tuned on 5,000 held-out images.",
        ),
        (
            "[tune]\nseeds = 2\nvalidation_images = 50\n[tune.fluid]\nbeta = [1, 10]\n[tune.relu]\nlr = [1, 2]",
            "The learning rate of ReLU and β of FluidReLU were tuned on 50 held-out images.",
        ),
        (
            'tuned = "epochs."\n[tune]\nlr = [0.1, 0.2]\nseeds = 2\nvalidation_images = 5000',
            "The learning rate of each was tuned on 5,000 held-out images. Tuned: epochs.",
        ),
    ],
)
def test_what_was_tuned(more: str, said: str) -> None:
    declared = make_declaration(f'activations = ["relu", "fluid"]\nseeds = 3\n{more}\n')
    assert wording.tuned(declared) == said
    assert wording.tuned(None) == "No tuning was declared."


def test_skewed_differences_of_few_pairs_are_told() -> None:
    rows = [
        comparison("fluid", n=20, skewness=-1.54),
        comparison("elu", n=20, skewness=0.99),
        comparison("prelu", n=30, skewness=2.0),
        comparison("tanh", n=5, skewness=2.0),
    ]
    said = wording.skewed(pd.DataFrame(rows))
    assert said is not None
    assert said.startswith("The differences are skewed (skewness: FluidReLU −1.5).")
    assert wording.skewed(pd.DataFrame(rows[1:])) is None


def test_one_pair_is_told_by_its_images() -> None:
    row = {"activation": "fluid", "baseline": "relu", "only_activation": 9.0, "only_baseline": 1.0, "mcnemar_p": 0.0215}
    assert wording.one_pair(pd.DataFrame([row])) == (
        "Of this one pair FluidReLU alone is right on 9 images and ReLU alone on 1: McNemar's exact p = 0.0215. That is"
        " about these very networks and other images, and says nothing of other seeds."
    )
    other = {**row, "activation": "elu", "only_activation": 1.0, "only_baseline": 40.0, "mcnemar_p": 1e-9}
    many = {**row, "activation": "prelu", "mcnemar_p": math.nan}
    assert wording.one_pair(pd.DataFrame([row, many, other])) == (
        "Of one pair each, FluidReLU alone is right on 9 images and ReLU alone on 1: McNemar's exact p = 0.0215; ELU"
        " alone is right on 1 image and ReLU alone on 40: McNemar's exact p < 0.0001 (not adjusted). That is about"
        " these very networks and other images, and says nothing of other seeds."
    )
    assert wording.one_pair(pd.DataFrame([many])) is None


def test_tally_names_every_activation_once() -> None:
    names = {"fluid": "worse", "elu": "better", "prelu": "worse", "tanh": "undecided", "sigmoid": "too few pairs"}
    names["leaky-relu"] = "equal"
    rows = {name: comparison(name, verdict=verdict) for name, verdict in names.items()}
    assert wording.tally({**rows, "mine:Soft": None, "GELU": None}, "relu") == (
        "Of the others, ELU is better than ReLU; FluidReLU and PReLU are worse than ReLU; LeakyReLU is equal to ReLU"
        " within the margin; Tanh is not told apart from ReLU; Sigmoid has too few pairs; mine:Soft and GELU have no"
        " finished run."
    )


def test_of_very_many_names_the_first_ones_are_listed() -> None:
    names = [f"mine:A{n}" for n in range(20)]
    assert "mine:A4, mine:A5 and 14 more have no finished run." in wording.tally(dict.fromkeys(names), "relu")
    assert "mine:A6 and mine:A7 have no" in wording.tally(dict.fromkeys(names[:8]), "relu")


def test_noise_says_what_the_intervals_leave_out() -> None:
    summary = pd.DataFrame({"image_se": [0.00151, 0.0021, math.nan, 0.0018]})
    assert "on these 10,000 test images" in wording.noise(summary, 10_000)
    assert "a standard error of 0.0015 to 0.0021." in wording.noise(summary, 10_000)
    assert "a standard error of 0.0018." in wording.noise(summary.iloc[2:], 10_000)


def test_left_out_names_the_seeds() -> None:
    left_out = {"fluid": "relu 20–59", "elu": "", "prelu": "prelu 3; relu 5", "tanh": "relu 20–59"}
    rows = [comparison(name, left_out=seeds) for name, seeds in left_out.items()]
    assert wording.left_out(pd.DataFrame(rows)) == (
        "Each row uses only the seeds that both activations were trained with (FluidReLU and Tanh: only ReLU has"
        " seeds 20–59; PReLU: only PReLU has seed 3 and only ReLU has seed 5). Do not compare rows with different"
        " seeds."
    )
    assert "Not all means are over the same seeds" in str(wording.different_seeds(pd.DataFrame(rows)))
    same = pd.DataFrame([comparison()])
    assert wording.left_out(same) is wording.different_seeds(same) is None
    spaced = pd.DataFrame([comparison("my act; 3:A", left_out="my act; 3:A 0, 3–5; relu 7")])
    sentence = wording.left_out(spaced)
    assert sentence is not None
    assert "(my act; 3:A: only my act; 3:A has seeds 0, 3–5 and only ReLU has seed 7)" in sentence


def test_which_p_values_are_adjusted() -> None:
    rows = [comparison(), comparison("elu", family="secondary"), comparison("prelu", family="secondary")]
    table = pd.DataFrame(rows)
    assert wording.adjusted(table) == (
        "p: FluidReLU's as it is, the others' adjusted for 2 comparisons (Holm); intervals are not adjusted."
    )
    assert wording.adjusted(table[:2]) == (
        "p: as they are, FluidReLU's as the primary one and ELU's as the only other; intervals are not adjusted."
    )
    assert wording.adjusted(table[:1]) is wording.adjusted(table[1:]) is None
    assert wording.adjusted(table.assign(p_holm=math.nan)) is None


def test_too_few_pairs_names_the_activations() -> None:
    rows = [
        comparison("elu", n=5, verdict="too few pairs"),
        comparison("prelu"),
        comparison("x", n=3, verdict="too few pairs"),
    ]
    assert wording.too_few_pairs(pd.DataFrame(rows)) == "With fewer than 6 pairs no p-value can reach 5 %: ELU and x."
    assert wording.too_few_pairs(pd.DataFrame([comparison()])) is None


def test_too_few_pairs_for_so_many_comparisons() -> None:
    """2 / 2**6, times three, is above 5 %; 2 / 2**7 is not."""
    rows = [comparison(name, n=6, verdict="too few pairs", family="secondary") for name in ("fluid", "elu", "prelu")]
    assert wording.too_few_pairs(pd.DataFrame(rows)) == (
        "Adjusted for 3 comparisons, none can reach 5 % with fewer than 7 pairs."
    )
    rows[0].update(n=7, verdict="undecided")
    assert wording.too_few_pairs(pd.DataFrame(rows)) == (
        "Adjusted for 3 comparisons, ELU and PReLU cannot reach 5 % with so few pairs; 7 can."
    )
    assert wording.too_few_pairs(pd.DataFrame(rows[:1])) is None
    assert wording.too_few_pairs(pd.DataFrame([comparison(), *rows[1:]])) == (
        "Adjusted for 2 comparisons, none can reach 5 % with fewer than 7 pairs."
    )


def test_published_rankings() -> None:
    table = pd.DataFrame({"a": ["fluid", "relu"], "b": ["relu", "fluid"], "probability": [0.18, 0.4], "chance": 0.3})
    said = (
        "A table of three runs each would rank FluidReLU above ReLU in both rows 18 % of the time, and ReLU above"
        " FluidReLU 40 %. Without any difference each would be 30 %."
    )
    assert wording.published_rankings(table) == said
    assert wording.published_rankings(table.iloc[:0]) is None
    names = itertools.permutations(["elu", "fluid", "relu"], 2)
    of_three = pd.DataFrame([{"a": a, "b": b, "probability": 0.5, "chance": 0.3} for a, b in names])
    assert str(wording.published_rankings(of_three)).count("A table of three runs each") == 3


@pytest.mark.parametrize(
    ("rows", "named", "explained"),
    [
        (
            ["best", "worst"],
            "best and worst accuracy",
            "The best of many runs beats the best of three. To compare like",
        ),
        (["worst"], "worst accuracy", "The worst of many runs is below the worst of three. To compare like"),
        (["mean", "sd"], "mean accuracy and SD", None),
        (["best", "mean"], "best and mean accuracy", "The best of many runs beats the best of three. To compare like"),
        (["sd"], "SD", None),
    ],
)
def test_what_is_published_is_named_and_made_comparable(rows: list[str], named: str, explained: str | None) -> None:
    assert wording.name_rows(rows) == named
    told = wording.explain_table2(rows, "three")
    assert told is None if explained is None else str(told).startswith(explained)


def predicted(*p_values: float) -> pd.DataFrame:
    """Rows of published.predict with these p-values: ReLU's level and spread, and FluidReLU's lead."""
    abouts = [("level", "midrange", "relu"), ("spread", "range", "relu"), ("lead", "midrange", "fluid")]
    rows = [
        {"about": about, "statistic": statistic, "activation": name, "baseline": "elu", "published": 0.0024, "p": p}
        for (about, statistic, name), p in zip(abouts, p_values, strict=False)
    ]
    table: pd.DataFrame = pd.DataFrame(rows)
    return table


def test_which_published_numbers_would_be_unusual() -> None:
    assert wording.predictive(predicted(0.01, 0.5, 0.05), "three") == (
        "Taken singly, the level of the paper's ReLU (p = 0.0100) would be unusual for three more runs of ours. The"
        " spread of its ReLU (p = 0.5000) and the lead of its FluidReLU (+0.00240; p = 0.0500) would not."
    )
    assert wording.predictive(predicted(0.6, 0.5), "three") == (
        "Nothing that the paper printed would be unusual for three more runs of ours: the level and the spread of"
        " its ReLU (p = 0.6000 and 0.5000)."
    )
    assert wording.predictive(predicted(0.00001), "three") == (
        "Taken singly, the level of the paper's ReLU (p < 0.0001) would be unusual for three more runs of ours."
    )
    assert wording.explain_predictive(predicted(0.6), "three").startswith(
        "The level is the middle between best and worst. Predicted is what three more runs of ours would give,"
    )
    assert wording.explain_predictive(predicted(0.6, 0.5, 0.4), "three").startswith(
        "The level is the middle between best and worst, the spread is best minus worst and the lead is by how much the"
        " level is above ELU's, of independent runs. Predicted"
    )


SECONDARY: dict[str, Any] = {"family": "secondary"}
ROWS = pd.DataFrame([comparison("elu", **SECONDARY), comparison("fluid", verdict="undecided", **SECONDARY)])
UNTUNED = "No tuning was declared."


def summary(*activations: str, n: int = 10) -> pd.DataFrame:
    row = {"n": n, "mean": 0.97585, "ci_low": 0.975, "ci_high": 0.9767}
    table: pd.DataFrame = pd.DataFrame([{"activation": name, **row} for name in activations])
    return table


FIRST, SECOND = ROWS.to_dict("records")
THREE = ("relu", "elu", "fluid")


def test_two_activations_are_one_question() -> None:
    assert wording.question(THREE[:2], "relu") == "Is ELU better than ReLU?"
    assert wording.answer(ROWS[:1], summary(*THREE[:2]), "relu", place=PLACE) == (
        f"{wording.verdict(FIRST, PLACE, 1)} {UNTUNED}"
    )


def test_several_activations_are_answered_each_the_first_in_full() -> None:
    assert wording.question(THREE, "relu") == "Which is better than ReLU?"
    assert wording.answer(ROWS, summary(*THREE), "relu", needed={"elu": 9}) == (
        f"{wording.verdict(FIRST, comparisons=2)} {UNTUNED} Of the others, FluidReLU is not told apart from ReLU."
    )
    primary = ROWS.assign(family=["primary", "secondary"])
    assert "adjusted" not in wording.answer(primary, summary(*THREE), "relu")


def test_with_a_focus_the_question_is_about_it_alone() -> None:
    assert wording.question(THREE, "relu", "fluid") == "Is FluidReLU better than ReLU?"
    assert wording.answer(ROWS, summary(*THREE), "relu", "fluid", needed={"fluid": 45}) == (
        f"{wording.verdict(SECOND, comparisons=2, needed=45)} {UNTUNED}"
    )


def test_question_and_answer_where_nothing_is_compared() -> None:
    assert wording.question(["relu"], "relu") == "How good is ReLU?"
    assert wording.question(["fluid", "elu", "tanh"], "relu") == "How good are FluidReLU, ELU and Tanh?"
    assert wording.answer(ROWS[:0], summary("relu"), "relu") == (
        "Its mean accuracy is 0.97585 ± 0.00085 over 10 seeds. With a single activation there is nothing to compare."
    )
    assert "over 1 seed. " in wording.answer(ROWS[:0], summary("relu", n=1), "relu")


FAILURES = {"elu": ["runs/elu-seed0.failed.txt"], "relu": ["runs/relu-seed0.failed.txt", "runs/relu-seed1.failed.txt"]}
ELU_FAILED = "No run of ELU is finished (1 failed: its traceback is in runs/elu-seed0.failed.txt)"
RELU_FAILED = "No run of ReLU is finished (2 failed: the traceback of the last is in runs/relu-seed1.failed.txt)"


@pytest.mark.parametrize(
    ("finished", "unfinished", "failures", "sentence"),
    [
        (["relu"], ["elu"], {}, "No run of ELU is finished, so there is nothing to compare with ReLU."),
        (["relu"], ["elu"], FAILURES, f"{ELU_FAILED}, so there is nothing to compare with ReLU."),
        (["relu"], ["elu", "tanh"], {}, "No run of ELU or Tanh is finished, so there is nothing to compare with ReLU."),
        (["elu"], ["relu"], FAILURES, f"{RELU_FAILED}: name another baseline with --baseline (ELU)."),
        (
            ["fluid"],
            ["relu", "elu"],
            FAILURES,
            f"{RELU_FAILED}: name another baseline with --baseline (FluidReLU). {ELU_FAILED}.",
        ),
        (
            ["fluid", "elu"],
            [],
            {},
            "No run has the baseline ReLU: name another baseline with --baseline (FluidReLU or ELU).",
        ),
        (
            ["relu", "fluid"],
            ["elu"],
            FAILURES,
            f"{ELU_FAILED}, so it cannot be compared with ReLU. Of the others, FluidReLU is not told apart from ReLU.",
        ),
    ],
)
def test_an_activation_without_a_run_is_named_with_the_reason(
    finished: list[str], unfinished: list[str], failures: dict[str, list[str]], sentence: str
) -> None:
    """Also where the first one named is: a question about it is not answered by another's numbers."""
    table = pd.concat([summary(*unfinished, n=0), summary(*finished)] if unfinished else [summary(*finished)])
    compared = ROWS[1:] if {"relu", "fluid"} <= set(finished) else ROWS[:0]
    assert wording.answer(compared, table, "relu", failures=failures) == sentence


def test_factors_are_told_unless_the_name_does() -> None:
    betas = {"fluid": {"a": 10000.0}, "mine:Soft": {"a": 1.0, "b": 0.5}, "prelu": {"weight": 1.0}}
    assert wording.factors({**betas, "fluid@beta=10": {"a": 10.0}}) == (
        "β, the factor on the gradient of what is learned: FluidReLU 10000, mine:Soft 1 (a) and 0.5 (b), PReLU 1."
    )
    assert wording.factors({"fluid@beta=10": {"a": 10.0}}) is None
    assert wording.moves({}) is None
    assert wording.moves({"mine:Soft": 0.00249, "prelu": 1.0}) == (
        "What was learned moved from its start by at most 0.0025 (mine:Soft), 1 (PReLU)."
    )
    assert wording.near_chance({"relu": 0.2, "elu": 0.15}, 0.1).startswith(
        "ReLU (0.2000) and ELU (0.1500) are near guessing (0.1000): a difference"
    )


def test_what_stands_out() -> None:
    assert wording.held_out(5000).startswith("All accuracies here are on 5,000 training images that were held out, not")
    assert wording.diverged({"relu seed 0": 7.1e23, "elu seed 1": math.nan}) == (
        "Diverged (div.), but counted: relu seed 0 (training loss 7e+23), elu seed 1 (training loss nan). That is, the"
        " training loss of the last epoch is above 1,000, or no number."
    )
    assert ", 54 more. That is" in wording.diverged({f"relu seed {seed}": math.nan for seed in range(60)})
    counts = pd.DataFrame({"activation": ["relu", "elu", "relu"], "n": [3, 20, 3], "diverged": [0, 1, 0]})
    assert wording.count_diverged(counts) == "1 of ELU's 20 runs diverged; it counts like any other."
    assert wording.count_diverged(counts.assign(diverged=[1, 1, 2])) == (
        "3 of ReLU's 6 and 1 of ELU's 20 runs diverged; they count like any other."
    )
    assert wording.count_diverged(counts.assign(diverged=0)) is None
    assert wording.other_protocol({"train_images": (500, None), "lr": (0.1, 0.001)}) == (
        "This is not the protocol that stands for the paper's (train images 500, lr 0.1): do not compare with the"
        " published numbers."
    )
    assert wording.not_drawn("functions-x", "no source") == "The figure functions-x is not drawn (no source)."


def test_what_still_falls_is_told_once_for_all_cells() -> None:
    told = "ReLU's training loss still fell by {}: with more epochs the comparison may come out otherwise."
    assert wording.still_learning("relu", [0.25]) == told.format("25 % in the last epoch")
    assert wording.still_learning("relu", [0.5, 0.25], 3) == told.format(
        "25 % to 50 % in the last epoch in 2 of 3 cells"
    )
    assert wording.still_learning("relu", [0.25, 0.25], 2) == told.format("25 % in the last epoch in all 2 cells")


@pytest.mark.parametrize(("epochs", "words"), [(1, "1 epoch"), (3, "3 epochs")])
def test_where_the_runs_are_from(epochs: int, words: str) -> None:
    assert wording.where(Protocol(epochs=epochs).facts()) == (
        f"data set mnist, the paper's network, {words}, batch size 20, learning rate 0.001. Only the activation differs"
        " between the runs of a seed."
    )


def test_conditions_are_counted() -> None:
    recorded = Provenance(
        versions={"torch": "2.9", "cuda": None}, source={"commit": "0123456789abcdef", "modified": True}, cpu="x"
    )
    runs = tuple(make_run("relu", seed) for seed in range(3))
    runs = (runs[0], replace(runs[1], provenance=recorded), runs[2])
    conditions = wording.count_conditions(runs)
    assert conditions["version of torch"] == {"2.9": 1}
    assert "version of cuda" not in conditions
    assert conditions["source"] == {"not recorded": 2, "0123456789ab, modified": 1}
    assert conditions["processor"] == {"None, None": 2, "x, None": 1}


def test_the_protocol_line_names_every_field_that_is_not_the_default() -> None:
    facts = Protocol(train_images=500, schedule="cosine", lr=0.01).facts()
    assert wording.where(facts) == (
        "data set mnist, the paper's network, 2 epochs, batch size 20, learning rate 0.01, train images 500, schedule"
        " cosine. Only the activation differs between the runs of a seed."
    )


@pytest.mark.parametrize(
    ("activations", "varied", "said"),
    [
        (
            ["fluid@beta=10@lr=0.1", "relu@lr=0.2@weight_decay=1"],
            (),
            "data set mnist, the paper's network, 2 epochs, batch size 20. Only the activation and its own β, learning"
            " rate and weight decay differ between the runs of a seed.",
        ),
        (
            ["relu"],
            ("model", "epochs", "batch_size"),
            "data set mnist, learning rate 0.001. Apart from network, epochs and batch size, only the activation"
            " differs between the runs of a seed.",
        ),
        (
            ["relu@lr=0.1"],
            ("dataset", "model", "epochs", "batch_size", "lr"),
            "Apart from data set, network, epochs and batch size, only the activation and its own learning rate differ"
            " between the runs of a seed.",
        ),
    ],
)
def test_what_differs_between_the_runs_of_a_seed_is_named(
    activations: list[str], varied: Sequence[str], said: str
) -> None:
    assert wording.where(Protocol().facts(), activations, varied) == said
