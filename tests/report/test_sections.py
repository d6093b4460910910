"""Which tables a report has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from factories import make_declaration, make_study

from fluidrelu_cli.analysis.regression import regress
from fluidrelu_cli.declaration import Declaration
from fluidrelu_cli.report.compose import build_document
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.formats import FORMATS
from fluidrelu_cli.study import ASKED, Entry, Study

RELU = [-1, -1, 0, 0, 1, 1, 3, 3]
"""Accuracies in hundredths from 0.5, as are..."""
ELU = [0.5, -1.5, 1, -1, 1.5, -0.5]
"""... these, which test_regression_by_hand regresses on them."""

DECLARED = make_declaration('activations = ["relu", { name = "elu", seeds = 6 }]\nseeds = 8\n[protocol]\nepochs = 1\n')


def make(folder: Path, elu: int = 6) -> Study:
    accuracies: dict[str, Sequence[float]] = {"relu": RELU, "elu": ELU[:elu]}
    return make_study(folder, {name: [(0.5 + each / 100,) for each in runs] for name, runs in accuracies.items()})


def test_what_lacks_seeds_of_the_baseline_is_regressed_on_all(tmp_path: Path) -> None:
    document = build_document(Evidence(make(tmp_path)))
    assert [section.name for section in document.sections][1:3] == ["comparisons", "regression"]
    section = document.sections[2]
    assert section.title == "The same, using all 8 seeds of ReLU"
    # in hundredths (1 / 2 - 1) 0.75 ± 2.776445 sqrt(1.5 (1 / 6 + 0.75² / 4) + 2.5 / 32)
    assert section.cells == (
        ["activation", "pairs", "slope", "mean\ndiff.", "95 % interval"],
        [["ELU", "6", "0.50", "−0.00375", "−0.02413 to +0.01663"]],
    )
    assert "lucky for ReLU" in section.footnotes[0]
    [row] = json.loads(FORMATS["json"](document))["regression"]
    assert (row["activation"], row["n"], row["baseline_n"], row["slope"]) == ("elu", 6, 8, pytest.approx(0.5))


@pytest.mark.parametrize(
    ("elu", "declaration", "until"),
    [
        (5, None, {}),
        (6, replace(DECLARED, seeds={"relu": 8, "elu": 7}), {}),  # interim
        (6, None, {"compare": ["elu", "relu"], "margin": 0.001, "max": 20}),  # the pairs determine how many there are
    ],
)
def test_what_is_not_regressed(
    elu: int, declaration: Declaration | None, until: dict[str, Any], tmp_path: Path
) -> None:
    study = make(tmp_path, elu)
    if until:
        study.log = (Entry(ASKED, {"relu": 20, "elu": 20}, "2026-11-25T07:10:00Z", until=until),)
    evidence = Evidence(study, declaration=declaration)
    assert len(regress(evidence.finals, "relu")) == (elu == 6)
    assert "regression" not in build_document(evidence).tables


def test_a_declared_study_is_regressed_once_it_is_whole(tmp_path: Path) -> None:
    assert len(Evidence(make(tmp_path), declaration=DECLARED).regressed) == 1
