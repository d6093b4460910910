"""The cost of activations in a report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from factories import forge, make_cost, make_study

from fluidrelu_cli.cost import Cost
from fluidrelu_cli.report.compose import build_document
from fluidrelu_cli.report.cost import describe_cost
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.formats import FORMATS
from fluidrelu_cli.study import Study

NOISY = [0.004, 0.0042, 0.0038, 0.004, 0.004, 0.0041]
"""ReLU's second turns: from 5 % less to 5 % more than its first."""


def make(**steps: float) -> Cost:
    return make_cost({name: [seconds] * 6 for name, seconds in {"relu": 0.004, **steps}.items()}, NOISY, epochs=1)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    arms = {"relu@lr=0.01": [(0.5,)], "fluid@beta=10@lr=0.1": [(0.5,)], "elu": [(0.5,)]}
    return make_study(tmp_path, arms)


def test_what_is_within_noise_is_no_difference() -> None:
    cost = make(fluid=0.006, elu=0.0041)
    section = describe_cost(cost)
    assert section.title == "Cost relative to ReLU"
    head = ["activation", "step\n(95 %)", "forward\n(95 %)", "backward\n(95 %)", "saved\nmemory", "learned"]
    assert section.cells == (
        head,
        [
            ["ReLU", *["≈ 1 ± 0.05"] * 3, "1.00", "0"],
            ["FluidReLU", *["1.50 ± 0.04"] * 3, "1.25", "48"],
            ["ELU", *["≈ 1 ± 0.05"] * 3, "1.50", "96"],
        ],
    )
    assert section.remarks == (
        "Measured on Some CPU (AVX2), 1 thread, torch 2.15.0, on 2026-11-25: 6 rounds of 5 steps of 20 images. ReLU's"
        " step took 4 ms (forward 1 ms, backward 2 ms) and saved 1.00 MB for the backward pass.",
    )
    forged = replace(cost, machine=replace(cost.machine, gpu="\x1b[31mX"))
    assert describe_cost(forged).remarks[0].startswith(r"Measured on \x1b[31mX, torch 2.15.0")


def test_a_report_has_the_cost_that_its_study_keeps(study: Study) -> None:
    assert "cost" not in build_document(Evidence(study)).tables
    make(fluid=0.006, mish=0.1).write(study.cost_path)
    document = build_document(Evidence(study))
    [section] = [section for section in document.sections if section.name == "cost"]
    assert [row[0] for row in section.cells[1]] == ["ReLU", "FluidReLU"]
    assert section.remarks[1] == "The cost of ELU was not measured: `fluidrelu cost` measures all again."
    rows = json.loads(FORMATS["json"](document))["cost"]
    assert [(row["activation"], row["step_differs"]) for row in rows] == [("relu", False), ("fluid", True)]
    assert rows[1]["step"] == pytest.approx(1.5)
    assert document.notes == ()


def test_a_cost_that_cannot_be_used_is_left_out(study: Study) -> None:
    make().write(study.cost_path)
    forge(study.cost_path, steps=-1)
    document = build_document(Evidence(study))
    assert "cost" not in document.tables
    assert document.notes == (
        f"Left out: {study.cost_path} is damaged (steps: -1): measure again with `fluidrelu cost`.",
    )
