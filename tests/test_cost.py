"""A measured cost and its file, which a stranger may have sent."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from factories import forge, make_cost

from fluidrelu_cli.cost import Cost, read_cost
from fluidrelu_cli.errors import DamagedFileError, OtherProtocolError
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.study import Study

COST = make_cost({"relu": [0.001] * 6, "fluid": [0.002] * 6}, [0.001] * 6)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """One that keeps COST."""
    kept = Study(tmp_path, Protocol())
    assert kept.read_cost() is None
    COST.write(kept.cost_path)
    return kept


def test_a_study_keeps_what_was_measured(study: Study) -> None:
    assert study.read_cost() == COST
    assert COST.rounds == 6
    assert list(json.loads(study.cost_path.read_text())) == [
        *("sha256", "protocol", "when", "versions", "system", "cpu", "cpu_capability", "cpu_family", "cpu_flags"),
        *("device", "gpu", "threads", "steps", "activations", "again"),
    ]


def test_what_was_measured_by_another_protocol_is_refused(study: Study) -> None:
    with pytest.raises(OtherProtocolError, match=r"of another protocol than its study \(batch_size\): measure again"):
        replace(study, protocol=Protocol(batch_size=50)).read_cost()


RELU, FLUID = (each for each in COST.to_dict()["activations"])
LONG = {**FLUID, "step_seconds": [0.001] * 7, "forward_seconds": [0.001] * 7, "backward_seconds": [0.001] * 7}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"activations": []}, "relu is not the first activation"),
        ({"activations": [FLUID, RELU]}, "relu is not the first activation"),
        ({"activations": [RELU, FLUID, FLUID]}, "an activation twice"),
        ({"activations": [RELU, {**FLUID, "activation": "fluid@lr=0.1"}]}, "activation: 'fluid@lr=0.1'"),
        ({"activations": [RELU, {**FLUID, "activation": "a\n"}]}, "activation: 'a\\n'"),
        ({"activations": [RELU, LONG]}, "same number of rounds, at least 6"),
        ({"activations": [RELU, {**FLUID, "forward_seconds": [0.1]}]}, "forward_seconds of fluid are no seconds"),
        ({"again": {**RELU, "step_seconds": [0.001] * 5 + [True]}}, "step_seconds of relu are no seconds"),
        ({"again": {**RELU, "step_seconds": [0.001] * 5 + [-1]}}, "step_seconds of relu are no seconds"),
        ({"again": {**RELU, "step_seconds": [0.001] * 5 + [float("nan")]}}, "step_seconds of relu are no seconds"),
        ({"again": {**RELU, "step_seconds": [0.001] * 5 + [10**400]}}, "step_seconds of relu are no seconds"),
        ({"again": {**RELU, "saved_bytes": 0}}, "saved_bytes of relu: 0"),
        ({"again": {**RELU, "parameters": 1.5}}, "parameters of relu: 1.5"),
        ({"again": FLUID}, "was not measured again"),
        ({"again": {}}, "lacks 'activation'"),
        ({"again": 7}, "not subscriptable"),
        ({"activations": {"a": 1}}, "string indices"),
        ({"steps": "many"}, "steps: 'many'"),
        ({"again": {**RELU, "saved_bytes": 2**61}}, f"saved_bytes of relu: {2**61}"),
        ({"when": "today"}, "when: 'today'"),
        ({"when": 5}, "when: 5"),
        ({"when": "9999-99-99T99:99:99Z"}, "when: '9999-99-99T99:99:99Z'"),
        ({"cpu": 5}, "cpu: 5"),
        ({"protocol": {}}, "fields that are missing"),
        ({"protocol": {**Protocol().to_dict(), "batch_size": 0}}, "--batch-size must be"),
    ],
)
def test_nonsense_is_damaged(changes: dict[str, Any], problem: str, study: Study) -> None:
    forge(study.cost_path, **changes)
    with pytest.raises(
        DamagedFileError, match=f"damaged .*{re.escape(problem)}.*: measure again with `fluidrelu cost`"
    ):
        study.read_cost()


@pytest.mark.parametrize(
    "spoil", [lambda text: text.replace("0.001", "0.002"), lambda text: text[:-20], lambda _text: "[]"]
)
def test_a_changed_file_is_damaged(spoil: Callable[[str], str], study: Study) -> None:
    study.cost_path.write_text(spoil(study.cost_path.read_text()))
    with pytest.raises(DamagedFileError):
        read_cost(study.cost_path)


def test_what_later_releases_add_is_passed_over(study: Study) -> None:
    forge(study.cost_path, energy=3, again={**RELU, "joules": 1})
    assert isinstance(study.read_cost(), Cost)
