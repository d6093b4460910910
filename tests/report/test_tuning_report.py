"""How the settings of tuned arms were chosen, as a report tells and draws it."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from factories import make_declaration, make_run_table, make_study

from fluidrelu_cli.analysis.inference import final_accuracies
from fluidrelu_cli.analysis.tuning import Tuned, tune
from fluidrelu_cli.declaration import FIRST_TUNING_SEED, Tuning
from fluidrelu_cli.declared import settle
from fluidrelu_cli.errors import FluidReluError
from fluidrelu_cli.protocol import join_arm
from fluidrelu_cli.report import plots, wording
from fluidrelu_cli.report.compose import build_document, illustrate
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.formats import FORMATS, to_parts
from fluidrelu_cli.report.page import render_page
from fluidrelu_cli.report.tuning import describe_tuning, draw_tuning
from fluidrelu_cli.study import load_study

BUDGET = (
    "Each activation was tried with the same 3 settings on 2 seeds, tested on 5,000 held-out training images. These"
    " seeds are not among those of the results."
)
RATES = Tuning((tuple({"lr": rate} for rate in (0.01, 0.001, 0.1)),) * 2, 2, 5000)


def tried(means: Mapping[str, Sequence[float]], tuning: Tuning = RATES) -> Tuned:
    """A tuning in which each activation had these mean accuracies, by setting."""
    arms = {name: [join_arm(name, each) for each in mine] for name, mine in zip(means, tuning.settings, strict=True)}
    values = {arm: mean for name in means for arm, mean in zip(arms[name], means[name], strict=True)}
    finals = final_accuracies(make_run_table({arm: [[mean - 0.01], [mean + 0.01]] for arm, mean in values.items()}))
    return Tuned(tune(finals, arms, tuning.seeds), finals)


@pytest.mark.parametrize(
    ("means", "end", "noise"),
    [
        ({"relu": [0.7, 0.6, 0.5], "fluid": [0.8, 0.6, 0.7]}, None, None),  # the middle of the three is the first
        ({"relu": [0.6, 0.7, 0.5], "fluid": [0.8, 0.6, 0.78]}, "lr 0.001 of ReLU", "FluidReLU"),
        ({"relu": [0.69, 0.7, 0.5], "fluid": [0.6, 0.7, 0.7]}, "lr 0.001 of ReLU and FluidReLU", "ReLU and FluidReLU"),
        ({"relu": [0.6, 0.7, 0.5], "fluid": [0.6, 0.5, 0.7]}, "lr 0.001 of ReLU and lr 0.1 of FluidReLU", None),
    ],
)
def test_the_budget_is_told_and_how_far_the_choice_can_be_trusted(
    means: Mapping[str, Sequence[float]], end: str | None, noise: str | None
) -> None:
    warned = [] if end is None else [f"At an end of what was tried: {end}. A better one may lie beyond."]
    if noise is not None:
        warned.append(f"The choice for {noise} is within the noise of 2 seeds: another setting may be as good.")
    assert list(describe_tuning(tried(means).table, RATES).remarks) == [BUDGET, *warned]


def test_several_settings_are_told_of_each_and_have_no_curve() -> None:
    two = Tuning((({"lr": 0.01, "weight_decay": 0.5}, {"lr": 0.1, "weight_decay": 0.5}),), 2, 100)
    tuned = tried({"relu": [0.6, 0.7]}, two)
    section = describe_tuning(tuned.table, two)
    assert section.remarks[1:] == ("At an end of what was tried: lr 0.1 of ReLU. A better one may lie beyond.",)
    assert section.cells[1] == [
        ["ReLU", "lr 0.01, weight_decay 0.5", "2", "0.6000", "0.0141", ""],
        ["ReLU", "lr 0.1, weight_decay 0.5", "2", "0.7000", "0.0141", "yes"],
    ]
    assert draw_tuning(tuned.table, tuned.finals, two, {"relu": "black"}) is None


def test_one_that_is_tried_with_more_is_told_and_drawn_beside_the_others() -> None:
    own = Tuning((({"lr": 0.01}, {"lr": 0.1}), ({"lr": 0.01, "beta": 1}, {"lr": 0.1, "beta": 10})), 1, 100)
    tuned = tried({"relu": [0.6, 0.5], "fluid": [0.6, 0.7]}, own)
    assert list(describe_tuning(tuned.table, own).remarks) == [
        "Each activation was tried with as many settings (2), not all the same, on 1 seed, tested on 100 held-out"
        " training images. These seeds are not among those of the results.",
        "At an end of what was tried: lr 0.01 of ReLU, beta 10 of FluidReLU and lr 0.1 of FluidReLU. A better one may"
        " lie beyond.",
    ]
    picture = draw_tuning(tuned.table, tuned.finals, own, {"relu": "black", "fluid": "red"})
    assert picture is not None
    assert picture.caption.endswith("Along the line of FluidReLU, other settings change, too: the table has them.")
    with plots.style(None):
        lines = [line for line in picture.draw().axes[0].get_lines() if line.get_marker() == "D"]
    assert [line.get_ydata().tolist() for line in lines] == [pytest.approx([0.6, 0.5]), pytest.approx([0.6, 0.7])]  # type: ignore[union-attr]


def test_the_curve_has_each_seed_and_the_mean_by_setting() -> None:
    tuned = tried({"relu": [0.7, 0.6, 0.5], "fluid": [0.8, 0.6, 0.7]})
    picture = draw_tuning(tuned.table, tuned.finals, RATES, {"relu": "black", "fluid": "red"})
    assert picture is not None
    with plots.style(None):
        [axes] = picture.draw().axes
    assert axes.get_title(loc="left") + axes.get_title() == "Each seed and the mean"
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_xscale()) == ("learning rate", "validation accuracy", "log")
    assert [line.get_color() for line in axes.get_lines() if line.get_marker() == "o"] == ["black", "red"]
    means = [line for line in axes.get_lines() if line.get_marker() == "D"]
    for line, expected in zip(means, ([0.6, 0.7, 0.5], [0.6, 0.8, 0.7]), strict=True):
        places = line.get_xdata().tolist()  # type: ignore[union-attr]
        assert places == sorted(places)  # a curve goes from left to right
        assert line.get_ydata().tolist() == pytest.approx(expected)  # type: ignore[union-attr]


FILE = """
activations = ["relu", "fluid"]
compare = ["fluid", "relu"]
seeds = 3
[protocol]
epochs = 1
[tune]
lr = [0.01, 0.001, 0.1]
seeds = 2
validation_images = 5000
"""


def test_a_tuned_study_is_about_the_chosen_arms_in_every_format(tmp_path: Path) -> None:
    arms = {f"{name}@lr={lr}": [[mean], [mean]] for name, lr, mean in TRIED}
    make_study(tmp_path / "mine" / "tuning", arms, FIRST_TUNING_SEED, validation_images=5000)
    make_study(
        tmp_path / "mine",
        {"relu@lr=0.01": [[0.9], [0.91], [0.92]], "fluid@lr=0.1": [[0.92], [0.93], [0.94]], "relu@lr=0.1": [[0.5]]},
    )
    declaration, tuned = settle(make_declaration(FILE), tmp_path)
    assert declaration.compare == ("fluid@lr=0.1", "relu@lr=0.01")
    evidence = Evidence(load_study(tmp_path / "mine"), declaration=declaration, tuned=tuned)
    assert evidence.not_counted == 1
    document = illustrate(build_document(evidence), ("png", "svg"))
    with plots.style(None):
        figures = {picture.name: picture.draw() for picture in document.pictures}
    for name in ("tuning", "accuracies"):
        dots = [line.get_color() for line in figures[name].axes[0].get_lines() if line.get_marker() == "o"]
        assert (name, set(dots)) == (name, {plots.COLOURS["relu"], plots.COLOURS["fluid"]})
    assert document.notes == ()
    [section] = [section for section in document.sections if section.name == "tuning"]
    assert section.remarks[0] == BUDGET
    [drawing] = [drawing for drawing in document.drawings if drawing.name == "tuning"]
    written = {name: write(document) for name, write in FORMATS.items()}
    written["page"] = html.unescape(render_page(document))
    assert drawing.caption in written["page"]
    assert BUDGET in list(to_parts(document, explain=False))
    for name in ("markdown", "latex", "page", "json"):
        assert BUDGET in written[name]
        assert "held-out training images" in written[name]
    content = json.loads(written["json"])
    assert [(row["arm"], row["n"]) for row in content["tuning"] if row["chosen"]] == [
        ("relu@lr=0.01", 2),
        ("fluid@lr=0.1", 2),
    ]
    assert [row["activation"] for row in content["comparisons"]] == ["fluid@lr=0.1"]
    assert "tuning" not in written["csv"] + written["runs"]


TRIED = [
    *(("relu", lr, mean) for lr, mean in ((0.01, 0.9), (0.001, 0.8), (0.1, 0.7))),
    *(("fluid", lr, mean) for lr, mean in ((0.01, 0.8), (0.001, 0.8), (0.1, 0.9))),
]


def test_what_is_not_tuned_yet_has_no_report(tmp_path: Path) -> None:
    declaration = make_declaration(FILE)
    with pytest.raises(FluidReluError, match=r"mine\.toml has no run yet: train it with `fluidrelu run mine\.toml`"):
        settle(declaration, tmp_path)
    make_study(
        tmp_path / "mine" / "tuning", {"relu@lr=0.01": [[0.9], [0.9]]}, FIRST_TUNING_SEED, validation_images=5000
    )
    with pytest.raises(FluidReluError) as caught:
        settle(declaration, tmp_path)
    assert str(caught.value) == (
        "mine.toml is not tuned yet: 2 of 12 runs on held-out images are finished. Go on with `fluidrelu run"
        " mine.toml`."
    )


def test_what_was_tried_is_no_answer(tmp_path: Path) -> None:
    tried = make_study(tmp_path / "mine" / "tuning", {"relu@lr=0.01": [[0.9], [0.9]]}, FIRST_TUNING_SEED)
    assert build_document(Evidence(tried)).standing == wording.OF_TUNING
