"""The committed runs, against what their files declare and against an earlier, slower formulation of their training."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from fluidrelu_cli.protocol import Trial
from fluidrelu_cli.study import load_study
from fluidrelu_cli.study_file import find_files, read_declaration

ROOT = Path(__file__).parent.parent
RESULTS, STUDIES = ROOT / "results", ROOT / "studies"

EARLIER = {"relu": [0.9753, 0.9772, 0.9775], "fluid": [0.9758, 0.9755, 0.9755]}
"""Test accuracies of results/paper at commit 6226e2a: seeds 0, 1 and 2, on another processor."""


def after_two_epochs(study: str, activation: str) -> list[float]:
    """Test accuracies by seed."""
    runs = [run for run in load_study(RESULTS / study).read().runs if run.trial.activation == activation]
    return [run.epochs[1].test_accuracy for run in runs]


@pytest.mark.parametrize("activation", ["relu", "fluid"])
def test_the_fast_training_ends_where_the_slow_one_did(activation: str) -> None:
    """In the mean within three standard errors of the seeds' spread; and seed by seed much closer than that."""
    ten_seeds = after_two_epochs("calibration/batch-20", "relu")  # trained by the slower formulation too
    assert len(ten_seeds) == 10
    spread = statistics.stdev(ten_seeds)
    fast, slow = after_two_epochs("paper", activation), EARLIER[activation]
    assert statistics.mean(fast) == pytest.approx(statistics.mean(slow), abs=3 * spread / 3**0.5)
    assert fast == pytest.approx(slow, abs=spread / 2)


@pytest.mark.parametrize("file", find_files([STUDIES]), ids=lambda file: file.stem)
def test_a_study_has_the_runs_that_its_file_declares(file: Path) -> None:
    declaration = read_declaration(file)
    kept = {path.stem: path for path in (RESULTS / declaration.name / "declared").iterdir()}
    assert kept[declaration.sha256].read_bytes() == file.read_bytes()
    for cell in declaration.cells:
        study = load_study(RESULTS / declaration.study_name(cell))
        *_, asked, looked = study.log
        assert (asked.what, asked.seeds, looked.what) == ("asked", declaration.seeds, "looked")
        assert asked.sha256 == looked.sha256 == declaration.sha256
        assert {each.sha256 for each in study.log} == {*kept}
        declared = {Trial(cell.protocol, name, seed) for name, n in declaration.seeds.items() for seed in range(n)}
        assert {run.trial for run in study.read().runs} == declared


def test_the_studies_for_a_gpu_can_be_trained() -> None:
    assert [read_declaration(file).name for file in find_files([STUDIES / "gpu"])] == ["cifar10-resnet20", "mnist-1000"]
