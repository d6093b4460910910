"""Data sets × activations: what several studies say together, in words, tables, figures and formats."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from factories import make_cost, make_declaration, make_study

from fluidrelu_cli.analysis.inference import side_by_side
from fluidrelu_cli.analysis.ranks import rank_activations
from fluidrelu_cli.analysis.verdicts import TOO_FEW
from fluidrelu_cli.declaration import FIRST_TUNING_SEED
from fluidrelu_cli.declared import settle
from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.report import overview_plots, plots, wording
from fluidrelu_cli.report.compose import illustrate
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.formats import FORMATS, to_parts
from fluidrelu_cli.report.overview import build_overview_document, compare_studies
from fluidrelu_cli.report.page import render_page
from fluidrelu_cli.report.tables import overview_cells, verdict_cells
from fluidrelu_cli.study import load_study

Accuracies = Mapping[str, Sequence[Sequence[float]]]


def runs(mean: float, n: int = 8) -> list[list[float]]:
    """Runs of one epoch whose accuracies go up a little with the seed."""
    return [[mean + seed / 1000] for seed in range(n)]


def declare(folder: Path, name: str, accuracies: Accuracies, seeds: int = 8, dataset: str = "mnist") -> Evidence:
    """A declared study, as far as it was trained."""
    text = f"activations = {json.dumps([*accuracies])}\nseeds = {seeds}\nmargin = 0.01\n[protocol]\nepochs = 1\n"
    study = make_study(folder / name, accuracies, dataset=dataset)
    declared = make_declaration(f'{text}dataset = "{dataset}"\n', Path(f"{name}.toml"))
    return Evidence(study, declaration=declared.spelled(study.known))


DATA = ("mnist", "fashion-mnist", "kmnist", "cifar10", "svhn")
MEANS = {"relu": 0.9, "fluid": 0.918, "elu": 0.901, "tanh": 0.5}


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[Evidence]:
    """One of each data set."""
    folder = tmp_path_factory.mktemp("studies")
    return [declare(folder, name, {each: runs(MEANS[each]) for each in MEANS}, dataset=name) for name in DATA]


TUNE = "[tune]\nlr = [0.1, 0.2]\nseeds = 1\nvalidation_images = 50\n[tune.fluid]\nbeta = [1, 10]\nsample = 2\n"


def make_tuned(folder: Path) -> Evidence:
    """One in which fluid's beta was chosen, too: fluid@beta=..@lr=0.2."""
    text = 'activations = ["relu", "fluid", {name = "fluid", beta = 0}]\nseeds = 8\nmargin = 0.001\n'
    protocol = '[protocol]\nepochs = 1\ndataset = "cifar10"\nmodel = "cnn3"\n'
    declaration = make_declaration(text + protocol + TUNE, Path("tuned.toml"))
    best = {name: arms[-1][0] for name, arms in declaration.tuning_arms().items()}
    arms = [arm for tried in declaration.tuning_arms().values() for arm, _ in tried]
    tried = {arm: [[0.6 if arm in best.values() else 0.5]] for arm in arms}
    means = {"relu": 0.5, "fluid": 0.45, "fluid@beta=0": 0.55}
    chosen = {best[name]: runs(mean) for name, mean in means.items()}
    where = folder / "tuned"
    make_study(where / "tuning", tried, FIRST_TUNING_SEED, validation_images=50, dataset="cifar10", model="cnn3")
    study = make_study(where, chosen, dataset="cifar10", model="cnn3")
    declaration, tuned = settle(declaration, folder)
    cost = make_cost(
        {"relu": [0.002] * 6, "fluid": [0.003] * 6}, [0.002] * 6, dataset="cifar10", model="cnn3", epochs=1
    )
    cost.write(study.cost_path)
    return Evidence(load_study(where), declaration=declaration, tuned=tuned)


def test_an_activation_is_the_same_in_all_studies_whatever_was_chosen_for_it(tmp_path: Path) -> None:
    plain = declare(tmp_path, "plain", {"relu": runs(0.9), "fluid": runs(0.92), "elu": runs(0.901)})
    document = build_overview_document([plain, make_tuned(tmp_path)])
    assert document.question == "Which activation is better than ReLU, and on which data?"
    assert document.answer == (
        "Against ReLU, over 2 data sets: FluidReLU (β = 0) is better on 1 (CIFAR-10); FluidReLU is better on 1 (MNIST)"
        " and worse on 1 (CIFAR-10); ELU is equal within the margin on 1 (MNIST)."
    )
    sections = {section.name: section for section in document.sections}
    assert sections["verdicts"].cells == (
        ["activation", "MNIST\npaper, 1 epoch", "CIFAR-10\ncnn3, 1 epoch"],
        [
            ["FluidReLU", "better +0.02000", "worse −0.05000"],
            ["ELU", "equal +0.00100", "–"],
            ["FluidReLU (β = 0)", "–", "better +0.05000"],
        ],
    )
    assert sections["verdicts"].remarks == (
        "plain: On MNIST with the paper's network after 1 epoch, 8 seeds. Described afterwards in plain.toml: the"
        " runs are older than its first use, so it does not register them. No tuning was declared.",
        "tuned: On CIFAR-10 with the network cnn3 after 1 epoch, 8 seeds. Described afterwards in tuned.toml: the runs"
        " are older than its first use, so it does not register them. The learning rate of each and β of FluidReLU were"
        " tuned on 50 held-out images. Chosen: ReLU (lr = 0.2), FluidReLU (β = 1, lr = 0.2) and FluidReLU (β = 0,"
        " lr = 0.2).",
    )
    assert sections["comparisons"].cells[0][-2:] == ["verdict", "cost"]
    assert [[row[0], *row[3:]] for row in sections["comparisons"].cells[1]] == [
        ["plain:", "", "", "", ""],
        ["FluidReLU", "8/8", "0.0156", "better", "–"],
        ["ELU", "8/8", "0.0078", "equal", "–"],
        ["tuned:", "", "", "", ""],
        ["FluidReLU", "0/8", "0.0156", "worse", "1.50×"],
        ["FluidReLU (β = 0)", "8/8", "0.0078", "better", "1.50×"],
    ]
    assert sections["summary"].cells[1][0] == ["ReLU", "0.9035 ± 0.0024", "0.5035 ± 0.0024"]
    assert sections["summary"].table["arm"].tolist()[:4] == ["relu", "fluid", "elu", "relu@lr=0.2"]
    assert document.commands == ("fluidrelu run plain.toml tuned.toml", "fluidrelu report plain.toml tuned.toml")
    assert document.facts["dataset"] == "mnist, cifar10"
    table = sections["comparisons"].table
    primary = table[table["family"] == "primary"].assign(study=table["cell"])
    assert side_by_side(primary.to_dict("records"))["p_holm"].tolist() == primary["p_holm"].tolist() == [2 / 128] * 2


def test_every_format_has_it(studies: list[Evidence]) -> None:
    document = illustrate(build_overview_document(studies[:2]), ("svg",))
    written = {name: write(document) for name, write in FORMATS.items()}
    written["page"] = html.unescape(render_page(document)).replace("\u00a0", " ")
    written["terminal"] = "\n".join(part for part in to_parts(document) if isinstance(part, str))
    for name in ("markdown", "json", "page", "terminal"):
        assert (name, document.answer in written[name]) == (name, True)
    for name in ("page", "terminal"):
        assert (name, "Apart from data set, only the activation differs" in written[name]) == (name, True)
    for name in ("markdown", "latex", "page"):
        assert (name, "Data sets × activations" in written[name]) == (name, True)
    assert [drawing.name for drawing in document.drawings] == ["effects"]
    content = json.loads(written["json"])
    assert [row["cell"] for row in content["comparisons"]] == ["mnist"] * 3 + ["fashion-mnist"] * 3
    assert content["cells"] == {name: {"dataset": name} for name in ("mnist", "fashion-mnist")}
    assert written["csv"].count("\n") == 9  # a head, and four activations in each study
    assert written["runs"].count("\n") == 1 + 2 * 4 * 8


def test_enough_data_sets_have_ranks(studies: list[Evidence], tmp_path: Path) -> None:
    document = build_overview_document(studies)
    [ranks] = [section for section in document.sections if section.name == "ranks"]
    assert ranks.cells[1] == [["FluidReLU", "1.00"], ["ELU", "2.00"], ["ReLU", "3.00"], ["Tanh", "4.00"]]
    said = (
        "By mean rank over 5 data sets FluidReLU is first (1.00; Friedman's test: p = 0.0018), and told apart from Tanh"
        " (Nemenyi's test)."
    )
    assert ranks.remarks == (said,)
    over = "FluidReLU is better on 5; ELU is equal within the margin on 5; Tanh is worse on 5."
    assert document.answer == f"Against ReLU, over 5 data sets: {over} {said}"
    assert [picture.name for picture in document.pictures] == ["effects", "critical-difference"]
    # a second study of one data set is no further one, ranks are of what all have, and of what is finished
    fewer = {name: runs(MEANS[name]) for name in ("relu", "fluid", "elu")}
    again = declare(tmp_path, "again", fewer)
    document = build_overview_document([*studies, again])
    assert document.tables["ranks"]["activation"].tolist() == ["fluid", "elu", "relu"]
    said = "The studies of MNIST count once per data set, by the mean of their accuracies, whatever their networks"
    assert any(remark.startswith(said) for section in document.sections for remark in section.remarks)
    assert document.answer.startswith("Against ReLU, over 6 studies of 5 data sets: FluidReLU is better on 6;")
    interim = declare(tmp_path, "interim", fewer, seeds=9)
    document = build_overview_document([*studies, interim])
    assert "ranks" not in document.tables
    assert "FluidReLU is better on 5 and without a verdict yet on 1 (interim);" in document.answer
    assert "ranks" not in build_overview_document([*studies[:4], again]).tables


def test_many_studies_have_narrow_columns() -> None:
    row = {"activation": "elu", "cell": "a", "verdict": TOO_FEW, "mean_difference": 0.1}
    assert verdict_cells(pd.DataFrame([row]), dict.fromkeys("abcd", "Fashion-MNIST\npaper, 2 epochs")) == (
        ["activation", *["Fashion-\nMNIST\npaper, 2\nepochs"] * 4],
        [["ELU", "too few\npairs\n+0.10000", *"–––"]],
    )


def test_what_is_not_told_apart_is_joined() -> None:
    ranking = rank_activations(pd.DataFrame([[0.7, 0.8, 0.5]] * 5, columns=["relu", "elu", "tanh"]))
    assert ranking is not None
    with plots.style():
        [axes] = overview_plots.critical_difference(ranking, plots.pick_colours(["relu", "elu", "tanh"])).axes
    bars = [np.rint(line.get_xydata()[:, 0]).tolist() for line in axes.get_lines() if line.get_linewidth() == 3]  # type: ignore[index]
    assert bars == [[1, 2], [2, 3]]
    texts = [text.get_text().strip() for text in axes.texts]
    assert texts[3:] == ["critical difference 1.48", "ELU 1.00", "ReLU 2.00", "3.00 Tanh"]


def test_effects_have_a_panel_per_study_and_a_number_if_they_are_far(studies: list[Evidence], tmp_path: Path) -> None:
    one = declare(tmp_path, "one", {"relu": runs(0.9, 1), "elu": runs(0.95, 1)}, seeds=1)
    picture, *_ = build_overview_document([*studies[:3], one]).pictures
    with plots.style():
        panels = picture.draw().axes
    titles = [panel.get_title(loc="left").partition("\n")[0] for panel in panels]
    assert titles == ["mnist", "Fashion-MNIST", "Kuzushiji-MNIST", "one", "", ""]  # two are of MNIST
    assert [text.get_text() for text in panels[0].texts] == ["← −0.400"]
    assert max(map(abs, panels[0].get_xlim())) < 0.03
    assert panels[3].get_xlim()[1] > 0.05
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["FluidReLU", "ELU", "Tanh"]


def test_a_cost_within_noise_is_no_number_and_is_relative_to_relu_alone(tmp_path: Path) -> None:
    seconds = {"relu": [0.002] * 6, "fluid": [0.0019, 0.00205] * 3, "elu": [0.003] * 6}
    found = {}
    for baseline in ("relu", "elu"):
        study = declare(tmp_path, baseline, {baseline: runs(0.9, 1), "fluid": runs(0.92, 1)}, seeds=1).study
        make_cost(seconds, [0.002] * 6, epochs=1).write(study.cost_path)
        found[baseline] = compare_studies({baseline: Evidence(study, baseline=baseline)})
    assert [row[-1] for row in overview_cells(found["relu"])[1]] == ["", "≈ 1"]
    assert found["relu"][["cost", "cost_differs"]].to_numpy().tolist() == [[pytest.approx(0.9875), False]]
    assert found["elu"]["cost"].isna().all()


def test_studies_without_such_a_comparison_are_left_out(studies: list[Evidence], tmp_path: Path) -> None:
    other = declare(tmp_path, "other", {"elu": runs(0.9, 1), "fluid": runs(0.92, 1)}, seeds=1)
    alone = declare(tmp_path, "alone", {"relu": runs(0.9, 1)}, seeds=1)
    held_out = Evidence(make_study(tmp_path / "held", {"relu": runs(0.9, 1), "elu": runs(0.9, 1)}, validation_images=9))
    document = build_overview_document([alone, *studies[:2], other, held_out])
    assert document.notes == tuple(wording.compares_nothing(name, "relu") for name in ("alone", "other", "held"))
    assert document.notes[0] == "alone is left out: it has no results that are compared with ReLU."
    for shown, number in (([studies[0], other], "Only one"), ([alone], "None")):
        with pytest.raises(UsageError, match=f"{number} of these studies has results to compare with relu: name two"):
            build_overview_document(shown)
