"""The report over the cells of a grid: its answer, tables, figures, standing, and every format."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from factories import make_declaration, make_study

from fluidrelu_cli.declaration import Cell, Declaration
from fluidrelu_cli.declared import keep_declaration
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.report import formats, plots
from fluidrelu_cli.report.compose import illustrate
from fluidrelu_cli.report.document import Document
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.formats import FORMATS, to_parts
from fluidrelu_cli.report.grid import build_grid_document
from fluidrelu_cli.report.multiverse import list_choices
from fluidrelu_cli.report.page import render_page
from fluidrelu_cli.study import ASKED, Entry

SEEDS = 8
"""Adjusted for two cells, eight pairs can establish something."""
RELU = [0.95 + 0.001 * seed for seed in range(SEEDS)]
ABOVE = [value + 0.004 + 0.0001 * seed for seed, value in enumerate(RELU)]
BELOW = [value - 0.004 - 0.0001 * seed for seed, value in enumerate(RELU)]
MIXED = [value + 0.004 * (-1) ** seed for seed, value in enumerate(RELU)]
TEXT = f"""
question = "At which rate?"
activations = ["relu", "fluid", "elu"]
compare = ["fluid", "relu"]
seeds = {SEEDS}
[protocol]
epochs = 1
[vary]
lr = [0.001, 0.1]
"""
PAIR = TEXT.replace(', "elu"', "")


def read_cells(
    results: Path, declaration: Declaration, cells: Sequence[Mapping[str, Sequence[float]]], **record: Any
) -> dict[Any, Evidence]:
    """What so many of its cells show, of which each has these accuracies by activation."""
    found = {}
    for cell, accuracies in zip(declaration.cells, cells, strict=False):
        runs = {name: [[value] for value in values] for name, values in accuracies.items()}
        study = make_study(results / declaration.study_name(cell), runs, **cell.settings)
        if record:
            study.record(Entry(ASKED, {"relu": SEEDS}, sha256=declaration.sha256, **record))
        found[cell] = Evidence(study, declaration=declaration)
    return found


def document(
    results: Path, cells: Sequence[Mapping[str, Sequence[float]]], text: str = PAIR, **record: Any
) -> Document:
    declaration = make_declaration(text)
    return build_grid_document(declaration, read_cells(results, declaration, cells, **record))


PLACE = "On MNIST with the paper's network after 1 epoch, "
SPAN = "The differences of the mean go from −0.00435 (lr=0.1) to +0.00435 (lr=0.001)"
GOOD, BAD = {"relu": RELU, "fluid": ABOVE}, {"relu": RELU, "fluid": BELOW}


@pytest.mark.parametrize(
    ("text", "cells", "answer"),
    [
        (
            PAIR,
            [GOOD, BAD],
            f"{PLACE}of 2 cells FluidReLU is better in 1 (lr=0.001), worse in 1 (lr=0.1), and not told apart from ReLU"
            f" in none. {SPAN}; p-values are adjusted for the 2 cells.",
        ),
        (
            TEXT,
            [{**BAD, "elu": ABOVE}, {"relu": RELU, "fluid": MIXED, "elu": ABOVE}],
            f"{PLACE}of 2 cells FluidReLU is better in none, worse in 1 (lr=0.001), and not told apart from ReLU in 1."
            " The differences of the mean go from −0.00435 (lr=0.001) to +0.00000 (lr=0.1); p-values are adjusted for"
            " the 2 cells. Of the others, ELU is better in 2 (lr=0.001, lr=0.1), worse in none.",
        ),
        (
            PAIR,
            [GOOD],
            f"Interim: 1 of 2 cells have all their runs, no verdict yet. {PLACE}so far FluidReLU's mean accuracy is"
            " 0.00435 higher than ReLU's (lr=0.001).",
        ),
        (
            TEXT.replace("[0.001, 0.1]", "[0.001]"),
            [{**GOOD, "elu": MIXED}],
            "There is one cell, lr=0.001. On MNIST with the paper's network after 1 epoch, FluidReLU is better than"
            " ReLU: its mean accuracy is 0.00435 higher (8 seeds, 95 % interval +0.00414 to +0.00456, p = 0.0078;"
            " at most 0.0046 apart). Of the others, ELU is not told apart from ReLU.",
        ),
        (
            PAIR.replace("[0.001, 0.1]", "[0.001]"),
            [{"relu": RELU, "fluid": BELOW[:3]}],
            f"Interim: the only cell lacks runs, no verdict yet. {PLACE}so far FluidReLU's mean accuracy is 0.00410"
            " lower than ReLU's (lr=0.001).",
        ),
        (
            f'margin = 0.005\ntuned = "nothing"{TEXT}',
            [{**GOOD, "elu": MIXED}, {"relu": RELU, "fluid": MIXED, "elu": MIXED}],
            f"{PLACE}of 2 cells FluidReLU is better in none, worse in none, equal within the margin in 2 (lr=0.001,"
            " lr=0.1), and not told apart from ReLU in none. The differences of the mean go from +0.00000 (lr=0.1) to"
            " +0.00435 (lr=0.001); p-values are adjusted for the 2 cells. Of the others, ELU is better in none, worse"
            " in none, equal within the margin in 2 (lr=0.001, lr=0.1). Tuned: nothing.",
        ),
        (
            f"margin = 0.005{PAIR}",
            [{"relu": [0.1] * SEEDS, "fluid": ABOVE}],
            f"Interim: 1 of 2 cells have all their runs, no verdict yet. {PLACE}so far FluidReLU's mean accuracy is"
            " 0.85785 higher than ReLU's (lr=0.001). But in 1 of 2 cells (lr=0.001) ReLU's networks have hardly learned"
            " anything yet.",
        ),
        (
            PAIR,
            [GOOD, {"relu": RELU, "fluid": BELOW[:3]}],
            f"Interim: 1 of 2 cells have all their runs, no verdict yet. {PLACE}so far the differences of FluidReLU's"
            " mean accuracy from ReLU's go from −0.00410 (lr=0.1) to +0.00435 (lr=0.001).",
        ),
        (
            PAIR.replace(f"seeds = {SEEDS}", "seeds = 6"),
            [GOOD, BAD],
            f"6 seeds cannot establish anything with 2 comparisons; 7 can. {PLACE}so far the differences of FluidReLU's"
            " mean accuracy from ReLU's go from −0.00425 (lr=0.1) to +0.00425 (lr=0.001).",
        ),
        (
            PAIR.replace(', "fluid"', "", 1).replace('compare = ["fluid", "relu"]', ""),
            [{"relu": RELU}, {"relu": BELOW}],
            f"{PLACE}ReLU's mean accuracy ranges from 0.9492 (lr=0.1) to 0.9535 (lr=0.001), over 8 seeds each.",
        ),
        (
            PAIR.replace(', "fluid"', "", 1).replace('compare = ["fluid", "relu"]', ""),
            [{"relu": RELU}],
            f"Interim: 1 of 2 cells have all their runs, no verdict yet. {PLACE}ReLU's mean accuracy is 0.9535"
            " (lr=0.001), over 8 seeds.",
        ),
        (
            TEXT.replace("[0.001, 0.1]", "[0.001]"),
            [{"relu": [0.1] * SEEDS, "fluid": [0.1] * SEEDS, "elu": ABOVE}],
            "There is one cell, lr=0.001. On MNIST with the paper's network after 1 epoch, FluidReLU and ReLU are equal"
            " within 0.0001 (8 seeds, mean difference +0.00000, 90 % interval +0.00000 to +0.00000), which is less than"
            " the margin of 0.045 (5 % of ReLU's errors). Of the others, ELU is better than ReLU. But FluidReLU's"
            " and ReLU's networks have hardly learned anything yet: their accuracy is near guessing.",
        ),
        (
            TEXT,
            [{"relu": RELU, "elu": ABOVE}],
            "Interim: 0 of 2 cells have all their runs, no verdict yet. No cell has a pair of FluidReLU and ReLU.",
        ),
    ],
)
def test_the_answer_names_cells(
    text: str, cells: Sequence[Mapping[str, Sequence[float]]], answer: str, tmp_path: Path
) -> None:
    assert document(tmp_path, cells, text).answer == answer


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """A grid with all that one can have, drawn once."""
    cells: list[Mapping[str, Sequence[float]]] = [
        {**GOOD, "elu": BELOW},
        {"relu": [0.1] * SEEDS, "fluid": MIXED, "elu": ABOVE},
    ]
    return illustrate(document(tmp_path_factory.mktemp("grid"), cells, TEXT, finished=0), ("png", "svg"))


def test_tables_have_a_row_per_cell_and_doubts_name_theirs(drawn: Document) -> None:
    assert drawn.question == "At which rate?"
    assert [(section.name, section.title) for section in drawn.sections] == [
        ("comparisons", "FluidReLU minus ReLU, cell by cell"),
        ("other_comparisons", "The others minus ReLU, cell by cell"),
        ("summary", "Accuracy after the last epoch, by cell"),
    ]
    tables = drawn.tables
    assert tables["comparisons"]["cell"].tolist() == ["lr=0.001", "lr=0.1"]
    assert tables["other_comparisons"][["cell", "activation", "verdict"]].values.tolist() == [
        ["lr=0.001", "elu", "worse"],
        ["lr=0.1", "elu", "better"],
    ]
    assert len(tables["summary"]) == 6
    assert [remark[:20] for remark in drawn.sections[-1].remarks] == ["lr=0.1: ReLU (0.1000"]
    assert [[words in " ".join(section.explanations) for section in drawn.sections] for words in EXPLAINED] == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
    ]
    assert drawn.sections[1].cells[0][:3] == ["activation", "cell", "pairs"]
    assert drawn.facts["lr"] == "0.001, 0.1"
    assert drawn.commands == ("fluidrelu run mine.toml", "fluidrelu report mine.toml")


EXPLAINED = ("the cells in this table", "all rows of this table", "a standard error of 0.00")


def test_every_format_tells_the_cells_apart(drawn: Document) -> None:
    written = {name: write(drawn) for name, write in FORMATS.items()}
    written["page"] = html.unescape(render_page(drawn))
    parts = list(to_parts(drawn))
    assert [part for part in parts if isinstance(part, str)][:3] == [drawn.question, drawn.answer, drawn.standing]
    assert all("lr=0.001" in text and "lr=0.1" in text for text in written.values())
    assert all(drawn.answer in written[name] for name in ("markdown", "page"))
    head, *rows = written["csv"].splitlines()
    assert head.startswith("cell,activation,n,")
    assert [row.split(",")[:2] for row in rows] == [
        [cell, name] for cell in ("lr=0.001", "lr=0.1") for name in ("relu", "fluid", "elu")
    ]
    assert written["runs"].splitlines()[0].startswith("cell,activation,seed,epoch")
    assert len(written["runs"].splitlines()) == 1 + 2 * 3 * SEEDS
    assert written["latex"].count("\\label{tab:mine-") == 3
    content = json.loads(written["json"])
    assert content["cells"] == {"lr=0.001": {"lr": 0.001}, "lr=0.1": {"lr": 0.1}}
    assert content["standing"] == "Declared in mine.toml."
    for drawing in drawn.drawings:
        assert drawing.caption in written["page"]


def test_figures_of_one_number_that_is_varied(drawn: Document) -> None:
    assert [drawing.name for drawing in drawn.drawings] == ["effects", "accuracies"]
    assert drawn.notes == ()
    with plots.style(None):
        axes = drawn.pictures[1].draw().axes[0]
    assert (axes.get_xlabel(), axes.get_xscale()) == ("learning rate", "log")
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.001", "0.1"]


@pytest.mark.parametrize(
    ("vary", "cells"),
    [
        ('[vary]\nschedule = ["constant", "cosine"]', ["schedule=constant", "schedule=cosine"]),
        ("[vary]\nlr = [0.1]\nbatch_size = [5, 10]", ["lr=0.1,batch_size=5", "lr=0.1,batch_size=10"]),
    ],
)
def test_what_has_no_place_on_an_axis_is_not_drawn_by_setting(vary: str, cells: list[str], tmp_path: Path) -> None:
    made = document(tmp_path, [GOOD, BAD], PAIR.partition("[vary]")[0] + vary)
    assert [picture.name for picture in made.pictures] == ["effects"]
    assert list(made.cells) == cells


def test_a_file_that_was_changed_is_named_with_what_changed_and_when(tmp_path: Path) -> None:
    earlier = make_declaration(PAIR.replace(f"seeds = {SEEDS}", "seeds = 3"))
    keep_declaration(earlier, tmp_path / "mine")
    declaration = make_declaration(PAIR)
    cells = read_cells(tmp_path, declaration, [GOOD, BAD])
    for evidence in cells.values():
        evidence.study.log = (Entry(ASKED, {"relu": 3}, "2026-11-25T07:10:00Z", 0, sha256=earlier.sha256),)
    assert build_grid_document(declaration, cells).standing == (
        "Declared in mine.toml. The file was changed after its first use (2026-11-25 07:10 UTC): seeds 3 → 8."
    )


def test_runs_older_than_the_file_are_told_of_in_any_cell(tmp_path: Path) -> None:
    declaration = make_declaration(PAIR)
    first, second = read_cells(tmp_path, declaration, [GOOD, BAD], finished=0).items()
    [entry] = (line for line in second[1].study.log if line.sha256)
    second[1].study.log = (replace(entry, finished=5),)
    assert build_grid_document(declaration, dict([first, second])).standing == (
        "Declared in mine.toml when 5 runs were finished already: it is no plan for those."
    )
    second[1].study.log = ()
    assert "older" in build_grid_document(declaration, dict([first, second])).standing


def test_runs_beyond_the_declared_seeds_are_counted_over_all_cells(tmp_path: Path) -> None:
    made = document(tmp_path, [GOOD, {**BAD, "fluid": BELOW[:7]}], PAIR.replace("seeds = 8", "seeds = 7"), finished=0)
    assert made.standing == ("Declared in mine.toml. 3 runs beyond what it declares are exploratory, and not counted.")


def test_commands_can_be_typed_whatever_the_file_is_called(tmp_path: Path) -> None:
    declaration = make_declaration(PAIR, Path("my studies/mine.toml"))
    made = build_grid_document(declaration, read_cells(tmp_path, declaration, [GOOD, BAD]))
    assert made.commands == ("fluidrelu run 'my studies/mine.toml'", "fluidrelu report 'my studies/mine.toml'")


PROTOCOLS = PAIR.replace("lr = [0.001, 0.1]", "lr = [0.001, 0.1]\nbatch_size = [10, 20, 50]").replace(
    "[protocol]",
    '[published]\nsource = "Table 2"\nruns = 3\nbest.relu = 0.957\nworst.relu = 0.951\n[protocol]',
)
NOISE = [0.0003, -0.0002, 0.0, 0.0001, -0.0003, 0.0002, -0.0001, 0.0]


def six_cells(*, by_rate: float) -> list[Mapping[str, Sequence[float]]]:
    """ReLU's as it is with three batch sizes at either rate, and FluidReLU's above it at the second."""
    shifts = [(0, -0.0001), (0, 0), (0, 0.0001), (by_rate, 0.0001), (by_rate, 0), (by_rate, -0.0001)]
    noises = [NOISE[cell:] + NOISE[:cell] for cell in range(6)]
    return [
        {"relu": RELU, "fluid": [value + sum(shift) + each for value, each in zip(RELU, noise, strict=True)]}
        for shift, noise in zip(shifts, noises, strict=True)
    ]


def test_enough_cells_are_protocols_that_are_judged_together(tmp_path: Path) -> None:
    made = document(tmp_path, six_cells(by_rate=0.004), PROTOCOLS)
    assert made.answer.startswith(
        f"{PLACE}over 6 protocols, FluidReLU's mean accuracy is 0.00200 higher than ReLU's (95 % interval −0.00030 to"
        " +0.00430); in a protocol not tried the difference would lie between −0.00404 and +0.00804 (95 % prediction"
        " interval). If the two did not differ in any of them, a mean this far from 0 would come by chance with"
        " p = 0.0078. The choice that matters most is the learning rate: the difference is −0.00200 with"
        " 0.001 and +0.00200 with 0.1, against the mean (p = 0.0017, adjusted for 2 choices). With each protocol"
        " weighted by how likely it makes ReLU's published numbers, the mean difference is +0.00200 (95 % interval"
        " +0.00198 to +0.00202); the weights count as 6.0 equally likely protocols of 6. Of 6 cells FluidReLU is"
    )
    assert [section.name for section in made.sections] == ["multiverse", "choices", "comparisons", "summary"]
    assert [picture.name for picture in made.pictures] == ["specification-curve"]
    assert [len(made.tables[name]) for name in ("multiverse", "choices", "weights", "weighted")] == [1, 5, 6, 1]
    assert made.sections[1].cells[1][0][:4] == ["learning rate", "0.001", "3", "−0.00200"]
    assert made.sections[0].remarks[0].startswith("The protocols have the same seeds.")
    assert "Weighted: by how likely each protocol makes ReLU's published numbers" in made.sections[0].explanations[0]
    with plots.style(None):
        assert len(made.pictures[0].draw().axes) == 3


def test_values_of_one_field_say_nothing_of_others(tmp_path: Path) -> None:
    rates = PAIR.replace("[0.001, 0.1]", "[0.001, 0.002, 0.005, 0.01, 0.1]")
    made = document(tmp_path, six_cells(by_rate=0.0)[:5], rates)
    assert made.answer.startswith(f"{PLACE}over 5 learning rates, FluidReLU's mean accuracy is 0.00002 higher")
    assert "not tried" not in made.answer
    assert made.sections[0].title == "FluidReLU minus ReLU, over 5 learning rates"
    assert made.sections[0].remarks[0].startswith("The learning rates have the same seeds.")
    assert "learning rates above +0.0023 (0 of 5 seen)" in [row[0] for row in made.sections[0].cells[1]]
    assert "it may be above 0 where τ is estimated as 0" in made.sections[0].explanations[0]


def test_cells_that_lack_runs_have_estimates_over_protocols_and_no_p_values(tmp_path: Path) -> None:
    without = PROTOCOLS.partition("[published]")[0] + "[protocol]" + PROTOCOLS.partition("[protocol]")[2]
    made = document(tmp_path, six_cells(by_rate=0.0)[:5], without)
    assert made.answer.startswith(
        f"{PLACE}over 5 protocols so far, FluidReLU's mean accuracy is 0.00002 higher than ReLU's (95 % interval −"
    )
    assert "); in a protocol not tried" in made.answer
    assert "choice" not in made.answer
    assert made.tables["multiverse"][["p", "p_median"]].isna().all(axis=None)
    assert made.tables["choices"]["field_p"].isna().all()
    assert "weights" not in made.tables


def test_protocols_in_which_a_run_learned_nothing_are_counted_and_the_others_pooled_too(tmp_path: Path) -> None:
    text = PROTOCOLS.replace("batch_size = [10, 20, 50]", "batch_size = [10, 20, 50, 100]")
    cells = [*six_cells(by_rate=0.0)[:3], {"relu": RELU, "fluid": [0.1, *ABOVE[1:]]}, *six_cells(by_rate=0.0)[3:]]
    made = document(tmp_path, [*cells, {"relu": RELU, "fluid": [0.2] * SEEDS}], text)
    assert made.answer.startswith(f"{PLACE}over 8 protocols, FluidReLU's mean accuracy is 0.10")
    said = "Some runs have learned hardly anything: those of FluidReLU in 2 and ReLU in none of 8 protocols. The median"
    assert (
        f" {said} difference is −0.00005. Over the 6 in which all runs learned the mean difference is +0.000"
        in made.answer
    )
    assert "which is exploratory, because their outcome chose them." in made.answer
    assert "hardly learned anything yet" not in made.answer
    assert made.tables["multiverse"]["cells"].tolist() == [8]
    assert made.tables["multiverse_learned"]["cells"].tolist() == [6]
    [table, choices, learned, *_] = made.sections
    assert "where all runs learned (6):" in [row[0] for row in table.cells[1]]
    assert "normally distributed" in table.remarks[-1]
    assert (sum(choices.table["cells"]), sum(learned.table["cells"])) == (2 * 8, 2 * 6)
    few = document(tmp_path / "few", [*cells[:4], *[{"relu": RELU, "fluid": [0.2] * SEEDS}] * 4], text)
    assert few.answer.startswith(f"{PLACE}over 8 protocols, ")
    assert "exploratory" not in few.answer
    assert "multiverse_learned" not in few.tables


def test_a_long_table_is_cut_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MOST_ROWS", 4)
    made = document(tmp_path, [GOOD] * 3, PAIR.replace("0.001, 0.1", "0.001, 0.1, 0.2"))
    told = "4 more rows are on the page and in its tables; --explain shows them here."
    cut, whole = (
        [part if isinstance(part, str) else part.row_count for part in to_parts(made, explain=explain)]
        for explain in (False, True)
    )
    assert cut[cut.index(2) :][:3] == [2, told, ""]
    assert told not in whole
    assert [part for part in whole if isinstance(part, int)] == [3, 6]


def test_protocols_by_which_the_published_table_could_have_come_out_are_counted(tmp_path: Path) -> None:
    text = PROTOCOLS.replace("best.relu = 0.957", "best.relu = 0.957\nbest.fluid = 0.958\nworst.fluid = 0.952")
    low = {"relu": [value - 0.05 for value in RELU], "fluid": [value - 0.05 for value in ABOVE]}
    made = document(tmp_path, [*six_cells(by_rate=0.0)[:5], low], text)
    said = (
        "The published table could have come out of 5 of the 6 protocols, in the sense that none of its 5 numbers would"
    )
    assert f" {said} be unusual there (adjusted p ≥ 0.05). " in made.answer
    [fits] = [section for section in made.sections if section.name == "fits"]
    assert fits.cells[0] == [
        *("cell", "level,\nReLU", "spread,\nReLU", "level,\nFluidReLU", "spread,\nFluidReLU", "lead,\nFluidReLU"),
        "least\n(Holm)",
    ]
    assert [row[0] for row in fits.cells[1]][-1] == "lr=0.1,batch_size=50"
    assert len(fits.table) == 6 * 5


def test_choices_that_are_not_shown_to_matter_are_said_to_be_that(tmp_path: Path) -> None:
    made = document(tmp_path, [*({"relu": RELU, "fluid": MIXED},) * 5, GOOD], PROTOCOLS)
    assert "No choice is shown to change it." in made.answer
    few = PROTOCOLS.replace("seeds = 8", "seeds = 6")
    cannot = "By itself no cell is judged: 6 seeds cannot establish anything with 6 comparisons; 8 can. The differences"
    assert cannot in document(tmp_path / "few", six_cells(by_rate=0.0), few).answer


def test_options_of_a_network_are_choices_of_their_own() -> None:
    cells = {
        name: Cell(name, {"model": model, "lr": 0.1}, replace(Protocol(lr=0.1), model=model))
        for name, model in {"a": "paper:hidden=128,pooling=average", "b": "paper", "c": "mine:Network"}.items()
    }
    usual = {"padding": "none", "pooling": "max", "hidden": 0}
    assert list_choices(cells) == {
        "a": {"model": "paper", "learning rate": 0.1, **usual, "pooling": "average", "hidden": "128, relu"},
        "b": {"model": "paper", "learning rate": 0.1, **usual},
        "c": {"model": "mine:Network", "learning rate": 0.1, **dict.fromkeys(usual, "–")},
    }


def test_each_cell_stops_where_the_baseline_is_nearest_to_what_was_published(tmp_path: Path) -> None:
    declaration = make_declaration(f'result = "nearest"{PROTOCOLS.replace("epochs = 1", "epochs = 3")}')
    cells = {}
    for cell in declaration.cells:
        late = cell.protocol.batch_size == 50
        relu = [(0.9, value, 0.97) if late else (value, 0.96, 0.97) for value in RELU]
        fluid = [(0.99, value, 0.99) if late else (value, 0.99, 0.99) for value in ABOVE]
        study = make_study(tmp_path / declaration.study_name(cell), {"relu": relu, "fluid": fluid}, **cell.settings)
        cells[cell] = Evidence(study, declaration=declaration)
    made = build_grid_document(declaration, cells)
    stops = made.tables["stops"]
    assert stops["epoch"].tolist() == [1, 1, 2] * 2
    assert stops["mean"].tolist() == pytest.approx([0.9535] * 6)
    assert stops["distance"].tolist() == pytest.approx([0.0005] * 6)
    assert made.tables["comparisons"]["mean_difference"].tolist() == pytest.approx([0.00435] * 6)
    [summary] = [section for section in made.sections if section.name == "summary"]
    assert summary.title == "Accuracy where each cell stops, by cell"
    [learning] = summary.remarks
    assert learning.startswith("ReLU's training loss still fell by 20 % in the last epoch in all 6 cells: with more")
    assert "after the last epoch" not in render_page(made)
    assert made.answer.startswith("On MNIST with the paper's network after at most 3 epochs, over 6 protocols, ")


def test_a_cell_without_a_run_of_the_baseline_stops_nowhere(tmp_path: Path) -> None:
    declaration = make_declaration(f'result = "nearest"{PROTOCOLS}')
    cells = read_cells(tmp_path, declaration, [GOOD, {"fluid": ABOVE}])
    made = build_grid_document(declaration, cells)
    assert len(made.tables["stops"]) == 1
    assert made.answer.startswith("Interim: 1 of 6 cells have all their runs")
