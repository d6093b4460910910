"""A study that goes on until it is decided: what its report says while it is trained, and afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from factories import make_run, make_study

from fluidrelu_cli.analysis.sequential import decide, follow
from fluidrelu_cli.report import tables, wording
from fluidrelu_cli.report.commands import list_commands
from fluidrelu_cli.report.compose import build_document
from fluidrelu_cli.report.evidence import Evidence, Sequential
from fluidrelu_cli.report.formats import FORMATS
from fluidrelu_cli.study import ASKED, MOST_SEEDS, Entry, Study
from fluidrelu_cli.study_file import parse_declaration

BETTER = [0.001] * 8
"""Decided by the last one: (1 + tanh λ)^n, averaged over λ, is 36.3 at n = 7 and 65.6 at n = 8; 40 is enough."""

FILE = parse_declaration(
    b'activations = ["relu", "elu", "fluid"]\ncompare = ["fluid", "relu"]\nseeds = 20\nmargin = 0.0005\n'
    b'stop = "decided"',
    Path("studies/mine.toml"),
)
UNTIL: dict[str, Any] = {"compare": ["fluid", "relu"], "margin": 0.0005, "max": 20}
DECIDED = (
    "On MNIST with the paper's network after 1 epoch, decided after 8 pairs: FluidReLU is better than ReLU (mean"
    " difference +0.00100, 95 % confidence sequence +0.00030 to +0.00170)."
)
ALLOWED = " The test holds at every number of pairs, so looking at any time is allowed."


def make(folder: Path, differences: Sequence[float], elu: int = 0, **until: Any) -> Study:
    """A study of ReLU at 0.98 and FluidReLU so far above it, and some seeds of ELU between."""
    accuracies = {
        "relu": [(0.98,)] * len(differences),
        "fluid": [(0.98 + each,) for each in differences],
        "elu": [(0.981,), (0.982,)][:elu],
    }
    study = make_study(folder, {name: seeds for name, seeds in accuracies.items() if seeds})
    if until:
        study.log = (Entry(ASKED, {"relu": 20, "fluid": 20}, "2026-11-25T07:10:00Z", until=until),)
    return study


def test_a_declared_study_is_decided_before_it_has_all_seeds(tmp_path: Path) -> None:
    evidence = Evidence(make(tmp_path, BETTER, elu=2), declaration=FILE)
    document = build_document(evidence)
    assert document.answer == f"{DECIDED}{ALLOWED} No tuning was declared. Of the others, ELU is not judged."
    assert document.standing.startswith("Described afterwards in studies/mine.toml: the runs")
    assert evidence.comparisons[["activation", "verdict"]].values.tolist() == [
        ["fluid", "better"],
        ["elu", "not judged"],
    ]
    assert evidence.comparisons[["p", "p_holm"]].isna().all(axis=None)
    assert evidence.summary[["activation", "n", "asked"]].values.tolist() == [
        ["relu", 8, 8],
        ["fluid", 8, 8],
        ["elu", 2, 8],
    ]


def test_pairs_after_the_verdict_do_not_change_it(tmp_path: Path) -> None:
    study = make(tmp_path, [*BETTER, *[-0.001] * 11, -0.1])
    study.write(make_run("relu", 30, (0.98,)))  # not a pair
    evidence = Evidence(study, declaration=FILE)
    assert evidence.sequential is not None
    assert evidence.sequential.decision == decide(BETTER, 0.0005)
    document = build_document(evidence)
    assert document.answer == (
        f"{DECIDED} The 12 pairs after that do not change it.{ALLOWED} No tuning was declared. Of the others, ELU has"
        " no finished run."
    )
    found = json.loads(FORMATS["json"](document))
    assert found["sequential"] == {
        "activation": "fluid",
        "baseline": "relu",
        "margin": 0.0005,
        "most": 20,
        "pairs": 20,
        **vars(decide(BETTER, 0.0005)),
    }
    assert [row["verdict"] for row in found["looks"]] == ["undecided"] * 7 + ["better"] * 13
    assert found["looks"][0]["low"] is None
    assert "confidence-sequence" in [picture.name for picture in document.pictures]


def test_nothing_else_of_the_comparison_is_told_by_a_fixed_number_of_pairs(tmp_path: Path) -> None:
    runs = {"relu": [(0.5, 0.98)] * 8, "fluid": [(0.5, 0.981)] * 8}
    study = make_study(tmp_path, runs, bits=True)
    document = build_document(Evidence(study, declaration=replace(FILE, protocol=study.protocol)))
    assert [section.name for section in document.sections] == ["summary", "comparisons", "looks"]
    assert "growth" not in [picture.name for picture in document.pictures]


def test_a_gap_ends_the_pairs(tmp_path: Path) -> None:
    """Another seed may yet come between, so what follows does not count."""
    study = make(tmp_path, BETTER)
    study.files("relu-seed2").csv.unlink()
    evidence = Evidence(study, declaration=FILE)
    assert evidence.sequential is not None
    assert (evidence.sequential.decision.n, evidence.sequential.decision.verdict) == (2, "undecided")


def test_another_baseline_or_focus_is_not_judged(tmp_path: Path) -> None:
    study = make(tmp_path, BETTER, elu=2)
    assert Evidence(study, declaration=FILE, baseline="elu").sequential is None
    assert build_document(Evidence(study, declaration=FILE, focus="elu")).answer == (
        "ELU is not judged, because another comparison decides when training ends. So far ELU's mean accuracy is"
        " 0.00150 higher than ReLU's. No tuning was declared."
    )


def test_what_was_asked_for_without_a_file_is_judged_alike(tmp_path: Path) -> None:
    evidence = Evidence(make(tmp_path / "mine", BETTER, elu=2, **UNTIL))
    document = build_document(evidence)
    assert document.answer == f"{DECIDED}{ALLOWED} No tuning was declared. Of the others, ELU is not judged."
    [differences] = [section for section in document.sections if section.name == "comparisons"]
    assert differences.remarks[0].startswith("The intervals in this table are those of a fixed number")
    assert document.standing == (
        "No file declared this question. Training was asked to go on until it is decided, first on 2026-11-25 07:10"
        " UTC, with the margin of 0.0005."
    )
    assert list_commands(evidence) == (
        "fluidrelu repeat --until decided --margin 0.0005 --max 20 --act relu --act fluid --study mine --epochs 1",
        "fluidrelu repeat -n 2 --act elu --study mine --epochs 1",
        "fluidrelu report --study mine",
    )


def test_the_baseline_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    study = make(tmp_path, BETTER, **{**UNTIL, "compare": ["ReLU", "Fluid"]})
    evidence = Evidence(study)
    assert (evidence.baseline, evidence.focus) == ("fluid", "relu")
    assert build_document(evidence).answer.startswith(
        "On MNIST with the paper's network after 1 epoch, decided after 8 pairs: ReLU is worse than FluidReLU"
    )


def test_what_was_otherwise_before_is_told(tmp_path: Path) -> None:
    study = make(tmp_path, BETTER, **{**UNTIL, "margin": 0.002})
    [first] = study.log
    study.log = (
        replace(first, finished=6),
        replace(first, when="2026-11-25T09:00:00Z", until=UNTIL),
    )
    assert wording.standing(None, study.log, 0, None) == (
        "No file declared this question. Training was asked to go on until it is decided, first on 2026-11-25 07:10"
        " UTC, with a margin of 0.002. 6 runs are older than that. The margin was changed to 0.0005 (2026-11-25 09:00"
        " UTC)."
    )
    assert build_document(Evidence(study)).answer.startswith(
        "On MNIST with the paper's network after 1 epoch, decided after 8 pairs: FluidReLU is better"
    )
    by_file = replace(first, file="a.toml", sha256="0" * 64)
    assert wording.standing(None, [by_file], 0, None) == wording.lost_file("a.toml")


@pytest.mark.parametrize(
    "change",
    [
        {"compare": None},
        {"compare": ["fluid"]},
        {"compare": ["fluid", "\n"]},
        {"compare": ["fluid", "tanh"]},
        {"compare": ["relu", "relu"]},
        {"margin": "0.1"},
        {"margin": -1.0},
        {"max": 0},
        {"max": None},
    ],
)
def test_what_makes_no_sense_in_a_log_decides_nothing(change: Mapping[str, Any], tmp_path: Path) -> None:
    assert Evidence(make(tmp_path, BETTER, **{**UNTIL, **change})).sequential is None


def test_no_log_asks_for_more_seeds_than_there_are(tmp_path: Path) -> None:
    evidence = Evidence(make(tmp_path, BETTER[:1], **{**UNTIL, "max": 10**30}))
    assert evidence.summary["asked"].tolist() == [MOST_SEEDS, MOST_SEEDS]
    assert "after 1 pair of at most 100000 (" in build_document(evidence).answer


@pytest.mark.parametrize(
    ("differences", "margin", "sentence"),
    [
        ([], 0.0005, "Not decided yet: none of at most 20 pairs is finished."),
        (
            [0.001],
            0.0005,
            "Not decided yet after 1 pair of at most 20 (mean difference +0.00100, 95 % confidence sequence without"
            " ends yet).",
        ),
        (
            [0.0001, -0.0001] * 10,
            0.00001,
            "Not decided after 20 pairs, the most that were asked for (mean difference +0.00000, 95 % confidence"
            " sequence −0.00008 to +0.00009).",
        ),
        (
            [0.0] * 7,
            0.0005,
            "Here, decided after 6 pairs: A and B are equal within the margin of 0.0005 (mean difference +0.00000, 90 %"
            " confidence sequence +0.00000 to +0.00000). The 1 pair after that does not change it.",
        ),
        (
            [-each for each in BETTER],
            0.0005,
            "Here, decided after 8 pairs: A is worse than B (mean difference −0.00100, 95 % confidence sequence"
            " −0.00170 to −0.00030).",
        ),
    ],
)
def test_the_answer_in_a_sentence(differences: Sequence[float], margin: float, sentence: str) -> None:
    found = Sequential("A", "B", margin, 20, decide(differences, margin), follow(differences, margin))
    assert wording.decided(found) == f"{sentence}{ALLOWED}"


def test_looks_are_shown_after_more_and_more_pairs() -> None:
    _, rows = tables.look_cells(follow([0.001] * 30, 0.0005), 8)
    assert [(row[0], row[-1]) for row in rows] == [
        ("5", "undecided"),
        *((n, "better") for n in ("8", "10", "20", "30")),
    ]
    assert tables.limits(float("-inf"), 0.001) == "below +0.00100"
    assert tables.limits(-0.001, float("inf")) == "above −0.00100"
