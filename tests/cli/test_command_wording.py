"""Sentences of commands other than `report`, to the letter."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from factories import make_run

from fluidrelu_cli.analysis.planning import Plan
from fluidrelu_cli.cli import wording
from fluidrelu_cli.data.dataset import Dataset
from fluidrelu_cli.study_file import parse_declaration
from fluidrelu_cli.verification import Verification


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (89.4, "89 s"), (90, "2 min"), (89 * 60, "89 min"), (90 * 60, "1.5 h"), (360_000, "100.0 h")],
)
def test_duration(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


def test_dry_run_as_a_table() -> None:
    rows = [("mnist-lr=0.001", 120, 12, 108, 18.4, False), ("cifar10", 60, 60, 0, None, True)]
    assert wording.dry_run_cells(rows) == (
        ["study", "trials", "finished", "to train", "time\nper trial"],
        [["mnist-lr=0.001", "120", "12", "108", "18 s"], ["cifar10", "at most 60", "60", "at most 0", "–"]],
    )


@pytest.mark.parametrize(
    ("to_train", "seconds", "workers", "source", "sentence"),
    [
        (
            12,
            1500.0,
            2,
            "the seconds of earlier runs",
            "12 trials to train, about 25 min with 2 workers, by the seconds of earlier runs.",
        ),
        (1, 40.0, 1, "timed steps", "1 trial to train, about 40 s with 1 worker, by timed steps."),
        (
            3,
            None,
            2,
            "the data is not downloaded",
            "3 trials to train. How long that takes is not known, because the data is not downloaded.",
        ),
        (0, 0.0, 2, "timed steps", "Nothing is left to train."),
        (0, None, 2, "the data is not downloaded", "Nothing is left to train."),
    ],
)
def test_dry_run_in_a_sentence(to_train: int, seconds: float | None, workers: int, source: str, sentence: str) -> None:
    assert wording.describe_dry_run(to_train, seconds, workers, source) == sentence


@pytest.mark.parametrize(
    ("asked", "activations", "sentence"),
    [
        ({"elu": 20, "tanh": 1}, ["tanh"], None),  # there is no baseline to compare with
        ({"relu": 1}, ["relu"], None),
        ({"relu": 1, "elu": 1}, ["relu", "elu"], "1 seed cannot establish anything; 6 can (-n 6)."),
        (
            {"relu": 60, "elu": 20, "tanh": 6},
            ["tanh"],
            "6 seeds cannot establish anything with 2 comparisons; 7 can (-n 7).",
        ),
        ({"relu": 60, "elu": 20, "tanh": 6}, ["relu", "elu"], None),
        ({"relu": 60, "elu": 20, "tanh": 7}, ["tanh"], None),
    ],
)
def test_too_few_seeds(asked: dict[str, int], activations: list[str], sentence: str | None) -> None:
    assert wording.describe_too_few_seeds(asked, activations) == sentence


@pytest.mark.parametrize(
    ("seeds", "rest", "sentence"),
    [
        (5, "", "5 seeds cannot establish anything; 6 can."),
        (6, "", None),  # the others do not count: the primary comparison is not adjusted for them
        (6, "[vary]\nlr = [0.001, 0.01]", "6 seeds cannot establish anything with 2 comparisons; 7 can."),
        (7, "[vary]\nlr = [0.001, 0.01]", None),
        (6, "[[vary]]\nlr = 0.001", None),
        (5, 'margin = 0.1\nstop = "decided"', None),
    ],
)
def test_too_few_seeds_are_declared(seeds: int, rest: str, sentence: str | None) -> None:
    text = f'activations = ["relu", "fluid", "elu", "tanh"]\nseeds = {seeds}\n{rest}'
    assert wording.describe_too_few_declared(parse_declaration(text.encode(), Path("mine.toml"))) == sentence


def test_one_declared_activation_has_nothing_to_establish() -> None:
    declaration = parse_declaration(b'activations = ["relu"]\nseeds = 1', Path("mine.toml"))
    assert wording.describe_too_few_declared(declaration) is None


def make_plan(**fields: Any) -> Plan:
    made = {
        "activation": "fluid",
        "baseline": "relu",
        "effect": 0.0005,
        "margin": 0.0012,
        "margin_is_default": True,
        "power": 0.8,
        "alpha": 0.05,
        "primary": True,
        "comparisons": 1,
        "alpha_family": 0.05,
        "pairs": 60,
        "left_out": "",
        "ties": 0,
        "sd_difference": 0.0011,
        "sd_low": 0.0009,
        "sd_high": 0.0013,
        "sd_planned": 0.0012,
        "correlation": 0.85,
        "seeds": 40,
        "seeds_estimated": 35,
        "seeds_low": 28,
        "seeds_high": 55,
        "seeds_unpaired": 218,
        "seeds_equal": 11,
        "seeds_equal_estimated": 10,
        "seeds_decide": 40,
        "pair_seconds": 36.0,
        "processors": ("EPYC",),
        "missing": 20,
        "device": "cpu",
    }
    return Plan(**{**made, **fields})


def describe(**fields: Any) -> list[str]:
    return wording.describe_plan(make_plan(**fields), 2, "--study mine")


def test_plan_in_sentences() -> None:
    assert describe() == [
        "Over 60 pairs the differences between FluidReLU and ReLU have a sample SD of 0.00110 (95 % interval 0.00090 to"
        " 0.00130). The correlation within pairs is 0.85.",
        "The plan uses the SD's upper 80 % limit, 0.00120: with the estimate itself, about half of all plans would fall"
        " short of their power. This is the primary comparison, at the 5 % level.",
        "To detect a true difference of 0.0005 with a power of 80 % takes 40 seeds of each (35 with the SD as"
        " estimated, 28 to 55 over its interval). With different seeds for the two it would take about 218.",
        "To show with the same power that they are equal within 0.0012 (5 % of ReLU's errors), if they do not differ,"
        " takes 11 seeds of each (10 with the SD as estimated).",
        "That is 80 trials, of which the study has 60. The missing ones take 3 min with 2 workers, at the 36 s that a"
        " pair took on EPYC.",
        "fluidrelu repeat -n 40 --act relu --act fluid --study mine",
    ]
    assert describe(missing=80)[4].startswith("That is 80 trials. The missing ones take 12 min with 2 workers")
    assert describe(missing=0)[4:] == ["The study has them all. Compare them with: fluidrelu report --study mine"]


def test_plan_for_the_margin_names_the_seeds_that_decide() -> None:
    spread, _, _, equal, trials, command = describe(
        effect=0.0004, margin=0.0004, margin_is_default=False, ties=2, seeds=68, seeds_equal=74, seeds_decide=74
    )
    assert "to 0.00130). In 2 pairs the two are equal. The correlation" in spread
    assert equal.startswith("To show with the same power that they are equal within 0.0004, if they do not differ,")
    assert equal.endswith("So 74 seeds decide the question either way.")
    assert trials.startswith("That is 148 trials, of which the study has 128.")
    assert "-n 74 " in command


@pytest.mark.parametrize(
    ("primary", "comparisons", "sentence"),
    [
        (True, 1, "This is the primary comparison, at the 5 % level."),
        (False, 1, "This is the only secondary comparison, at the 5 % level."),
        (
            False,
            3,
            "This is one of 3 comparisons that are adjusted together, so it is planned at the strictest level of Holm's"
            " method: 5 % / 3 = 1.67 %.",
        ),
        (
            True,
            5,
            "This is one of 5 primary comparisons that are adjusted together, so it is planned at the strictest level"
            " of Holm's method: 5 % / 5 = 1 %.",
        ),
    ],
)
def test_plan_names_the_level_and_why(primary: bool, comparisons: int, sentence: str) -> None:
    said = describe(primary=primary, comparisons=comparisons, alpha_family=0.05 / comparisons)[1]
    assert said.endswith(f"short of their power. {sentence}")


def test_plan_of_more_seeds_than_any_plan_is_for() -> None:
    _, _, found, equal, *_ = describe(
        power=0.999999999, seeds_high=1_000_001, seeds_unpaired=1_000_001, seeds_equal=1_000_001
    )
    assert "with a power of 99.9999999 %" in found
    assert found.endswith(
        "28 to more than 100,000 over its interval). With different seeds for the two it would take more than 100,000."
    )
    assert "takes more than 100,000 seeds of each" in equal


def test_seeds_that_a_plan_leaves_out() -> None:
    assert wording.describe_left_out(make_plan(left_out="fluid 1")) == (
        "Only seeds that both have are pairs; left out: fluid 1."
    )
    assert wording.describe_left_out(make_plan()) is None


def verification(differences: dict[str, float], conditions: dict[str, tuple[str | None, str]]) -> Verification:
    recorded, again = (make_run("relu", accuracies=(0.5, accuracy)) for accuracy in (0.9752, 0.9753))
    return Verification(recorded, again, differences, conditions)


def test_verified_run_in_sentences() -> None:
    csv = Path("results/relu-seed0.csv")
    [equal] = wording.describe_verification(verification({}, {}), csv)
    assert equal == f"{csv}: made again, and every number but the timings is equal to the last digit."
    differing, accuracies, reason = wording.describe_verification(
        verification(
            {"test_loss": 0.00012, "test_accuracy": 0.0001},
            {"threads": (None, "1"), "versions torch": ("2.14", "2.15")},
        ),
        csv,
    )
    assert "test_loss by up to 0.00012, test_accuracy by up to 0.0001." in differing
    assert accuracies == "The test accuracy after the last epoch is 0.9753 here, 0.9752 there."
    assert (
        reason
        == "These conditions differ: threads (not recorded there, 1 here); versions torch (2.14 there, 2.15 here)."
    )
    *_, unknown = wording.describe_verification(verification({"test_loss": 0.1}, {}), csv)
    assert "Nothing that is recorded of versions and hardware differs" in unknown
    altogether, *_ = wording.describe_verification(verification({"learned parameters": math.inf}, {}), csv)
    assert altogether.endswith("the numbers differ: learned parameters.")


def test_what_is_in_a_data_set() -> None:
    images = torch.zeros(14, 1, 2, 2, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(14)
    labels = torch.tensor([0, 1, 2, 0, 1, 0])
    head, rows = wording.pixel_cells(Dataset(images[:6], labels, images[6:], labels[:1].repeat(8), 3))
    assert head == ["images", "channel", "least", "most", "grey levels", "mean", "SD"]
    assert rows == [
        ["train", "1", "0", "5", "6", "0.62", "1.38"],
        ["test", "1", "0", "13", "9", "2.38", "4.27"],
    ]
    assert wording.describe_contents(Dataset(images[:6], labels, images[6:9], labels[:3], 3)) == [
        "Images per class: 1 (label 2) to 3 (label 0) to train with, 1 to test on.",
        "No test image is among the training images.",
    ]
    assert wording.describe_contents(Dataset(images[:6], labels, images[4:7], labels[:3] * 0, 3))[1:] == [
        "Not tested, as no test image has the label: 1, 2.",
        "2 of 3 test images are among the training images, too, 1 of them with another label.",
    ]
