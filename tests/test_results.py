"""The committed runs, against what their files declare and against an earlier, slower formulation of their training."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from fluidrelu_cli.declaration import Declaration
from fluidrelu_cli.protocol import Trial
from fluidrelu_cli.study import load_study
from fluidrelu_cli.study_file import find_files, read_declaration

ROOT = Path(__file__).parent.parent
RESULTS, STUDIES = ROOT / "results", ROOT / "studies"

BEING_TRAINED = {"anchors", "fair-cifar10", "fair-fashion-mnist", "multiverse"}
"""Studies that are declared, and not finished."""

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
    if declaration.name in BEING_TRAINED:
        trained = load_cells(declaration)
        assert sum(len(runs) for runs, _ in trained) < len(declaration.cells) * sum(declaration.seeds.values())
        assert all(runs <= declared for runs, declared in trained)
        return
    kept = {path.stem: path for path in (RESULTS / declaration.name / "declared").iterdir()}
    assert kept[declaration.sha256].read_bytes() == file.read_bytes()
    for cell in declaration.cells:
        *_, asked, looked = load_study(RESULTS / declaration.study_name(cell)).log
        assert (asked.what, asked.seeds, looked.what) == ("asked", declaration.seeds, "looked")
        assert asked.sha256 == looked.sha256 == declaration.sha256
        assert {each.sha256 for each in load_study(RESULTS / declaration.study_name(cell)).log} == {*kept}
    assert all(runs == declared for runs, declared in load_cells(declaration))


def load_cells(declaration: Declaration) -> list[tuple[set[Trial], set[Trial]]]:
    """The trials that have runs and those that are declared, of each cell that has a folder."""
    return [
        (
            {run.trial for run in load_study(RESULTS / declaration.study_name(cell)).read().runs},
            {Trial(cell.protocol, name, seed) for name, its in declaration.list_seeds(cell).items() for seed in its},
        )
        for cell in declaration.cells
        if (RESULTS / declaration.study_name(cell)).exists() or declaration.name not in BEING_TRAINED
    ]


def test_the_studies_for_a_gpu_can_be_trained() -> None:
    assert [read_declaration(file).name for file in find_files([STUDIES / "gpu"])] == ["cifar10-resnet20", "mnist-1000"]
