"""What counts in a declared study, and when it has a verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
from factories import make_declaration, make_study

from fluidrelu_cli.report.compose import build_document
from fluidrelu_cli.report.evidence import Evidence

RUNS = [[0.5, 0.6], [0.5, 0.7], [0.5, 0.65]]


@pytest.mark.parametrize(
    ("seeds", "lacking", "not_counted", "interim"), [(4, 2, 0, True), (3, 0, 0, False), (2, 0, 2, False)]
)
def test_only_declared_seeds_count_and_all_are_needed_for_a_verdict(
    tmp_path: Path, seeds: int, lacking: int, not_counted: int, interim: bool
) -> None:
    study = make_study(tmp_path, {"relu": RUNS, "fluid": RUNS[::-1]})
    declaration = make_declaration(
        f'activations = ["relu", "fluid"]\ncompare = ["fluid", "relu"]\nseeds = {seeds}\nmargin = 0.5\n'
        "[protocol]\nepochs = 2\n"
    )
    evidence = Evidence(study, declaration=declaration)
    assert (evidence.lacking, evidence.not_counted) == (lacking, not_counted)
    assert (set(evidence.comparisons["verdict"]) == {"interim"}) is interim
    assert (evidence.margin_interval is None) is interim
    standing = str(build_document(evidence).standing)
    assert ("exploratory" in standing) is bool(not_counted)
