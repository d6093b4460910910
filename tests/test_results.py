"""The committed runs against those of the earlier, slower formulation of the same training."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from fluidrelu_cli.study import load_study

RESULTS = Path(__file__).parent.parent / "results"

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
