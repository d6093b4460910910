"""From evidence to a document and its files: which tables and figures a study has, and that they can be made again."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from factories import make_run, make_study
from matplotlib.figure import Figure

from fluidrelu_cli.errors import StorageError, one_line
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.report.compose import build_document, derive_files, illustrate, write_report
from fluidrelu_cli.report.document import Document
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.formats import FORMATS
from fluidrelu_cli.run import Provenance, Run
from fluidrelu_cli.study import Contents, Study, load_study

RELU = [(0.5, 0.975), (0.5, 0.97), (0.5, 0.98)]
FLUID = [(0.5, 0.9765), (0.5, 0.981), (0.5, 0.9715)]
BOTH = {"relu": RELU, "fluid": FLUID}

TABLE2_CSV = """\
row,activation,source,accuracy,n
best,relu,published,0.9784,3
best,relu,here,0.98,3
best,fluid,published,0.98,3
best,fluid,here,0.981,3
worst,relu,published,0.9721,3
worst,relu,here,0.97,3
worst,fluid,published,0.9753,3
worst,fluid,here,0.9715,3
"""

TABLE2_MD = """\
| of three | ReLU published (n = 3) | ReLU here (n = 3) | FluidReLU published (n = 3) | FluidReLU here (n = 3) |
| --- | ---: | ---: | ---: | ---: |
| best | 0.9784 | 0.9800 | 0.9800 | 0.9810 |
| worst | 0.9721 | 0.9700 | 0.9753 | 0.9715 |
"""

SUMMARY_MD = """\
| activation | n | mean ± 95 % interval | sample SD | median | best of n | worst of n |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| FluidReLU | 3/3 | 0.97633 ± 0.01181 | 0.00475 | 0.97650 | 0.9810 | 0.9715 |
| ReLU | 3/3 | 0.97500 ± 0.01242 | 0.00500 | 0.97500 | 0.9800 | 0.9700 |
"""

# differences of 15, 110 and -85 images: mean 13.3, SD 97.5, t(0.975; 2) = 4.303; of the 8 signings 6 are as far out
COMPARISONS_MD = """\
| activation | pairs | mean diff. | 95 % interval | p | equal within | verdict |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| FluidReLU | 3 | +0.00133 | – | 0.7500 | – | too few pairs |
"""

TABLES = ["table2", "summary", "comparisons", "by_epoch"]

FIGURES = [
    "accuracies",
    "differences",
    "learning-curves",
    "learning-differences",
    "functions",
    "learned-fluid",
    "functions-fluid",
    "figure1",
]


def documented(folder: Path, accuracies: Any = BOTH, **protocol: Any) -> Document:
    return build_document(Evidence(make_study(folder, accuracies, **protocol)))


def names(document: Document) -> tuple[list[str], list[str]]:
    """Its sections and its pictures."""
    return [section.name for section in document.sections], [picture.name for picture in document.pictures]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def illustrated(tmp_path_factory: pytest.TempPathFactory) -> Document:
    return illustrate(documented(tmp_path_factory.mktemp("study")), ("png", "svg"))


def test_files_are_tables_figures_and_the_page(illustrated: Document) -> None:
    files = derive_files(illustrated)
    figures = {f"figures/{name}.{kind}" for name in FIGURES for kind in ("png", "svg")}
    tables = {f"{name}.{kind}" for name in TABLES for kind in ("csv", "md")}
    assert set(files) == {"report.html", *tables, *figures}
    assert files["table2.csv"] == TABLE2_CSV
    assert files["table2.md"] == TABLE2_MD
    assert files["summary.md"] == SUMMARY_MD
    assert files["comparisons.md"] == COMPARISONS_MD
    assert illustrated.notes == ()


def test_tables_are_written_to_the_last_digit(illustrated: Document, tmp_path: Path) -> None:
    write_report(illustrated, tmp_path / "report")
    for name in ("summary", "table2"):
        written = pd.read_csv(tmp_path / "report" / f"{name}.csv")
        pd.testing.assert_frame_equal(written, illustrated.tables[name], rtol=1e-14)


def test_the_folder_is_replaced_whole_and_can_be_made_again(illustrated: Document, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    assert write_report(illustrated, folder) == folder / "report.html"
    before = contents(folder)
    for name in ("studies.csv", "studies.md", "figures/old.pdf", ".DS_Store"):
        (folder / name).write_text("of a study that stood beside")
    (folder / "summary.csv").unlink()
    write_report(illustrated, folder)
    assert contents(folder) == before
    for name in ("notes.txt", "notes.md", "figures/drawing.odg", "study.json"):
        (folder / name).write_text("somebody's own")
        with pytest.raises(StorageError, match=rf"{name} is no file of a report, .*: move it away, or name another"):
            write_report(illustrated, folder)
        (folder / name).unlink()


@pytest.mark.slow
def test_figures_are_the_same_file_when_they_are_drawn_again(illustrated: Document) -> None:
    assert illustrate(illustrated, ("png", "svg")).drawings == illustrated.drawings
    short = replace(illustrated, pictures=illustrated.pictures[:2])
    once, again = (illustrate(short, ("pdf",)).drawings for _ in range(2))
    assert once == again
    assert all(drawing.contents["pdf"].startswith(b"%PDF") for drawing in once)


def test_nothing_is_drawn_before_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []

    def draw(*_arguments: object, **_options: object) -> Figure:
        drawn.append(Figure())
        return drawn[-1]

    monkeypatch.setattr("fluidrelu_cli.report.plots.accuracies", draw)
    monkeypatch.setattr("fluidrelu_cli.report.plots.render", lambda *_: {"png": b""})
    document = documented(tmp_path)
    assert names(document)[1] == FIGURES
    assert not drawn
    assert len(illustrate(document, ("png",)).drawings) == len(FIGURES)
    assert len(drawn) == 1


@pytest.mark.parametrize(
    ("failing", "error"),
    [
        ("learning_plots.learned_parameters", ValueError("Index contains\nduplicate entries")),
        ("plots.render", IndexError()),
        ("plots.render", SystemExit(1)),
    ],
)
def test_a_figure_that_cannot_be_drawn_leaves_a_note(
    failing: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise error

    document = documented(tmp_path)
    monkeypatch.setattr(f"fluidrelu_cli.report.{failing}", fail)
    illustrated = illustrate(replace(document, pictures=document.pictures[5:7]), ("svg",))
    left_out = FIGURES[5:7] if failing == "plots.render" else ["learned-fluid"]
    assert illustrated.notes == tuple(f"The figure {name} is not drawn ({one_line(error)})." for name in left_out)
    assert len(illustrated.drawings) == 2 - len(left_out)


def test_drawing_can_be_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fluidrelu_cli.report.plots.accuracies", interrupt)
    with pytest.raises(KeyboardInterrupt):
        illustrate(documented(tmp_path), ("svg",))


def test_a_study_of_other_data_has_none_of_the_papers(tmp_path: Path) -> None:
    sections, pictures = names(documented(tmp_path, dataset="fashion-mnist"))
    assert sections == TABLES[1:]
    assert pictures == [name for name in FIGURES if name != "figure1"]


def test_a_study_of_other_activations(tmp_path: Path) -> None:
    sections, pictures = names(documented(tmp_path, {"relu": RELU, "elu": FLUID}))
    assert sections == TABLES[1:]
    assert pictures == ["accuracies", "differences", "learning-curves", "learning-differences", "functions"]


def test_one_activation_has_no_comparison(tmp_path: Path) -> None:
    assert names(documented(tmp_path, {"relu": RELU})) == (
        ["summary"],
        ["accuracies", "learning-curves", "functions"],
    )


def test_many_runs_have_predictions_and_rankings(tmp_path: Path) -> None:
    document = documented(tmp_path, {name: seeds * 2 for name, seeds in BOTH.items()})
    assert names(document)[0] == [*TABLES, "spread", "predictive"]
    assert "growth" in names(document)[1]
    assert len(document.tables["rankings"]) == 2
    [table2] = (section for section in document.sections if section.name == "table2")
    assert len(table2.remarks) == 1  # how often three runs each would say what the paper's do
    [compared] = (section for section in document.sections if section.name == "comparisons")
    assert "Where both hold, it is equal by a margin that was declared" in compared.explanations[0]
    assert names(documented(tmp_path / "other", lr=0.1))[0] == [*TABLES[1:], "table2"]


def test_what_else_is_told_of_the_same_differences(tmp_path: Path) -> None:
    """By epoch, for other test images, and beside their means: under titles that say so."""
    titles = {
        "by_epoch": "FluidReLU minus ReLU after each epoch",
        "images": "The same differences from ReLU, for other test images",
        "spread": "What else differs from ReLU (exploratory)",
    }
    study = make_study(tmp_path / "six", {"relu": RELU * 2, "fluid": FLUID * 2, "elu": RELU[:1]}, bits=True)
    sections = {section.name: section for section in build_document(Evidence(study)).sections}
    assert {name: sections[name].title for name in titles} == titles
    # images that only one has right: 15, 110 and none of FluidReLU, 85 of ReLU at another seed, so 70 a pair of 10,000
    fluid, elu = sections["images"].cells[1]
    assert [*fluid[:3], fluid[4]] == ["FluidReLU", "6", "+0.00133", "0.7 %"]
    assert elu == ["ELU", "1", "+0.00000", "–", "0.0 %", "–"]
    assert sections["images"].remarks == (
        "Of this one pair ELU alone is right on 0 images and ReLU alone on 0: McNemar's exact p = 1.0000. That is about"
        " these very networks and other images, and says nothing of other seeds.",
    )
    assert [row[0] for row in sections["spread"].cells[1]] == ["FluidReLU"]  # of few pairs nothing else is told
    one = make_study(tmp_path / "one", {"relu": RELU[:1], "elu": FLUID[:1]}, bits=True)
    assert names(build_document(Evidence(one)))[0] == ["summary", "comparisons", "by_epoch", "images"]


def test_studies_beside_have_a_table_and_a_figure(tmp_path: Path) -> None:
    beside = Evidence(make_study(tmp_path / "other", BOTH, dataset="fashion-mnist"))
    document = build_document(Evidence(make_study(tmp_path / "mine", BOTH), beside=[beside]))
    sections, pictures = names(document)
    assert sections[-1] == "studies"
    assert "forest" in pictures
    assert document.tables["studies"]["study"].tolist() == ["mine", "other"]


def test_what_stands_out_is_remarked(tmp_path: Path) -> None:
    def remarks(document: Document) -> int:
        return len(document.remarks)

    plain = remarks(documented(tmp_path / "plain"))
    assert remarks(documented(tmp_path / "held-out", validation_images=100)) == plain + 2  # and it's another protocol
    assert remarks(documented(tmp_path / "other", lr=0.1)) == plain + 1
    other = Evidence(make_study(tmp_path / "theirs", BOTH))
    assert remarks(build_document(Evidence(make_study(tmp_path / "mine", BOTH), against=other))) == plain + 1
    seeds = {**BOTH, "relu": RELU[:2]}
    assert remarks(documented(tmp_path / "left-out", seeds)) == plain + 2  # of both tables
    document = build_document(diverged(tmp_path))
    assert sum("ReLU seed 1" in remark for remark in document.remarks) == 1
    assert document.answer.endswith(" 1 of ReLU's 2 runs diverged; it counts like any other.")


def diverged(folder: Path) -> Evidence:
    """A study whose second run of relu has ended with a loss that is no number."""
    runs = [make_run("relu", seed) for seed in range(2)]
    last = replace(runs[1].epochs[-1], train_loss=math.nan)
    runs[1] = replace(runs[1], epochs=(*runs[1].epochs[:-1], last))
    return Evidence(Study(folder, Protocol()), Contents(tuple(runs), {}))


def study_of(folder: Path, seeds: Sequence[int], losses: Sequence[float], *activations: str) -> Document:
    """A report on runs of these seeds, each with its training loss in both epochs."""
    runs = []
    for activation in activations:
        for seed, loss in zip(seeds, losses, strict=True):
            run = make_run(activation, seed)
            runs.append(replace(run, epochs=tuple(replace(epoch, train_loss=loss) for epoch in run.epochs)))
    study = Study(folder, runs[0].trial.protocol)
    study.save()
    for run in runs:
        study.write(run)
    return build_document(Evidence(load_study(folder)))


ODD: Mapping[str, Callable[[Path], Document]] = {
    "equal": lambda folder: documented(folder, {"relu": [(0.5, 0.5)] * 7, "fluid": [(0.5, 0.5)] * 7}),
    "all or none": lambda folder: documented(folder, {"relu": [(0.0,), (1.0,)] * 3, "fluid": [(1.0,), (0.0,)] * 3}),
    "one run": lambda folder: documented(folder, {"fluid": [(0.5,)]}),
    "seeds": lambda folder: study_of(folder, (5, 2**62, 2**62 + 1, 2**63 - 1), (0.5,) * 4, "relu", "fluid"),
    "losses": lambda folder: study_of(folder, range(4), (math.nan, math.inf, 3e38, 0.0), "relu", "fluid"),
    "many": lambda folder: documented(folder, {f"m.{'x' * 180}:Act{n}": [(0.5, 0.9)] * 2 for n in range(14)}),
    "names": lambda folder: documented(folder, {"relu": RELU, "_m:$x_$|<b>`*": FLUID}),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ODD)
def test_an_odd_study_has_a_whole_report(kind: str, tmp_path: Path) -> None:
    document = illustrate(ODD[kind](tmp_path), ("svg",))
    assert [note for note in document.notes if "its author's own code" not in note] == []
    assert sum(note.count("its author's own code") for note in document.notes) == (kind in ("many", "names"))
    write_report(document, tmp_path / "report")
    assert all(write(document) for write in FORMATS.values())
    for content in document.drawings:
        drawn = ElementTree.fromstring(content.contents["svg"])
        assert all(float(drawn.attrib[side].removesuffix("pt")) < 72 * 45 for side in ("width", "height"))


def test_held_out_images_are_not_called_test_images(tmp_path: Path) -> None:
    documents = [documented(tmp_path / str(n), {"relu": RELU}, validation_images=n) for n in (None, 100)]
    titles = [document.sections[0].title for document in documents]
    assert ["Test" in title for title in titles] == [True, False]
    assert "Validation" in titles[1]


OWN = """
import torch
from fluidrelu_cli import ParametricActivation

class Tilted(ParametricActivation):
    function = staticmethod(lambda v, a: v + a)

class Strange(torch.nn.Module):
    def __init__(self, num_parameters):
        super().__init__()
        self.unknown = torch.nn.Parameter(torch.zeros(num_parameters))

    def forward(self, v):
        return v
"""


def own_runs(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, source: str) -> Evidence:
    """A study of a user's own activation in a module, trained when its source was that."""
    module = f"own_{name.lower()}"
    (folder / f"{module}.py").write_text(OWN)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    trained = make_run("fluid", 0)  # with its parameters, which are called a
    runs: tuple[Run, ...] = (
        replace(
            trained,
            trial=replace(trained.trial, activation=f"{module}:{name}"),
            provenance=Provenance(activation_sha256=hashlib.sha256(source.encode()).hexdigest()),
        ),
    )
    return Evidence(Study(folder, Protocol()), Contents(runs, {}), trusted=None)


def test_functions_of_a_user_s_own_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = own_runs(tmp_path, monkeypatch, "Tilted", OWN)
    [picture] = (found for found in build_document(evidence).pictures if found.name == "functions-own_tilted-Tilted")
    relu, *curves = picture.draw().axes[0].get_lines()
    learned = evidence.runs[0].epochs[-1].parameters["activation1", "a"]
    for curve, a in zip(curves, learned, strict=True):
        assert np.asarray(curve.get_ydata()) == pytest.approx(np.asarray(relu.get_xdata()) + a, abs=1e-6)


def test_functions_are_drawn_together_but_for_those_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = own_runs(tmp_path, monkeypatch, "Tilted", OWN).runs
    others = [
        replace(make_run("relu"), trial=replace(make_run("relu").trial, activation=name))
        for name in ("relu", "Softmax2d", "RReLU", "Hardshrink", "nowhere:Act")
    ]
    study = Study(tmp_path, Protocol())
    evidence = Evidence(study, Contents((*others, *own), {}), trusted=["own_tilted:Tilted"])
    [picture] = (found for found in build_document(evidence).pictures if found.name == "functions")
    above, below = picture.draw().axes
    legend = above.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        *("ReLU, baseline: max(0, v)", "Hardshrink", "own_tilted:Tilted"),
    ]
    assert picture.explain_left_out() == [
        "The figure functions is drawn without RReLU (it gives different values for the same input while it trains).",
        "The figure functions is drawn without Softmax2d (it does not act on each unit alone).",
        "The figure functions is drawn without nowhere:Act (it needs its author's own code, which is imported with"
        " --trust, in Python with trust=True).",
    ]
    slopes = np.asarray([np.asarray(line.get_ydata()) for line in below.get_lines()])
    assert np.abs(slopes[:2] - slopes[:2].round()).max() < 1e-3  # 0 or 1, at kinks and jumps, too
    assert np.abs(slopes[2:] - 1).max() < 1e-3
    learned = [value for values in own[0].epochs[-1].parameters.values() for value in values]
    mean, start = above.get_lines()[-2:]
    v = np.asarray(mean.get_xdata())
    assert np.asarray(mean.get_ydata()) == pytest.approx(v + np.mean(learned), abs=1e-6)
    assert np.asarray(start.get_ydata()) == pytest.approx(v, abs=1e-6)
    assert start.get_linestyle() == "--"


def test_an_activation_with_settings_is_drawn_as_its_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("fluidrelu_cli.report.figures._module")  # it would import torch
    for number, names in enumerate((("relu", "fluid"), ("relu@lr=0.1", "fluid@beta=10@lr=0.1"))):
        evidence = Evidence(make_study(tmp_path / str(number), dict.fromkeys(names, FLUID)), baseline=names[0])
        [picture] = (found for found in build_document(evidence).pictures if found.name == "functions")
        legend = picture.draw().axes[0].get_legend()
        assert legend is not None
        relu, fluid = (text.get_text().split(": ") for text in legend.get_texts())
        assert (relu[1], fluid[1]) == ("max(0, v)", "v | v / (1 − γ)")
        assert "γ is v / (2 exp(a)), and a is learned." in picture.caption


@pytest.mark.parametrize(
    ("name", "source", "reason"),
    [
        ("Tilted", "print('another')", "its source is not the one that was trained"),
        ("Strange", OWN, "own_strange:Strange does not have what was recorded: a"),
        ("Missing", OWN, "The activation"),
    ],
)
def test_functions_that_cannot_be_drawn_leave_a_note_and_the_report(
    name: str, source: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = illustrate(build_document(own_runs(tmp_path, monkeypatch, name, source)), ("svg",))
    figure = f"functions-own_{name.lower()}-{name}"
    together, alone = sorted(document.notes)
    assert f"functions is not drawn ({reason}" in together  # no other activation was trained
    assert f"{figure} is not drawn ({reason}" in alone
    drawn = [drawing.name for drawing in document.drawings]
    assert figure not in drawn
    assert figure.replace("functions", "learned") in drawn


def test_sets_of_three_are_drawn_from_six_runs_on(tmp_path: Path) -> None:
    for times, drawn in ((1, False), (2, True)):
        made = documented(tmp_path / str(times), {name: seeds * times for name, seeds in BOTH.items()})
        assert ("best-of-three" in names(made)[1]) == drawn


def doubts(document: Document) -> list[str]:
    return [remark for remark in document.remarks if "guessing" in remark or "still fell" in remark]


def test_a_report_on_hardly_trained_networks_says_so(tmp_path: Path) -> None:
    made = documented(tmp_path / "chance", {"relu": [(0.1, 0.29)] * 2, "fluid": [(0.5, 0.9)] * 2})
    assert doubts(made) == [
        "ReLU (0.2900) is near guessing (0.1000): a difference between networks that have hardly learned says little"
        " about trained ones.",
        # the losses are 1 / 3 and 1 / 4
        "ReLU's training loss still fell by 25 % in the last epoch: with more epochs the comparison may come out"
        " otherwise.",
    ]
    assert made.answer.endswith(
        "But ReLU's networks have hardly learned anything yet: their accuracy is near guessing."
    )
    three = {"relu": [(0.1, 0.9)] * 2, "fluid": [(0.5, 0.9)] * 2, "elu": [(0.1, 0.1)] * 2}
    assert "hardly" not in documented(tmp_path / "another", three).answer
    learned = documented(tmp_path / "learned", {"relu": [(0.1, 0.31)] * 2})
    assert len(doubts(learned)) == 1  # three times 0.1 is enough
    assert "hardly" not in learned.answer
    assert doubts(documented(tmp_path / "flat", {"relu": [[0.5] * 9] * 2})) == []  # from 1 / 10 to 1 / 11
    assert doubts(documented(tmp_path / "one", {"relu": [(0.5,)] * 2})) == []


def test_trials_that_failed_are_told_of_once_with_the_last_traceback(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"relu": RELU})
    study.ask(["mine:Soft"], 11)
    for seed in (10, 2):
        study.write_failure(Trial(study.protocol, "mine:Soft", seed), "Traceback ...")
    study.write_failure(Trial(study.protocol, "relu", 3), "Traceback ...")
    document = build_document(Evidence(study))
    path = study.files("mine-Soft-seed10").failure
    last = study.files("relu-seed3").failure
    assert document.notes == (f"1 trial of ReLU failed; the traceback of the last is in {last}.",)
    assert document.question == "Is mine:Soft better than ReLU?"
    assert document.answer == (
        f"No run of mine:Soft is finished (2 failed: the traceback of the last is in {path}), so there is nothing to"
        " compare with ReLU."
    )
