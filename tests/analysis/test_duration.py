"""Seconds per trial, worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from factories import make_run

from fluidrelu_cli.analysis.duration import estimate, median_seconds
from fluidrelu_cli.run import Provenance


def test_the_median_is_of_the_runs_that_recorded_seconds() -> None:
    recorded = [
        ("relu", 10.0, 1),
        ("relu", 90.0, 10),
        ("relu", 1000.0, 1),
        ("relu", None, 1),
        ("fluid", 7.0, 1),
        ("elu", None, 1),
    ]
    runs = [
        replace(make_run(name, seed), provenance=Provenance(wall_seconds=seconds, batched_seeds=together))
        for seed, (name, seconds, together) in enumerate(recorded)
    ]
    assert median_seconds(runs) == {"relu": 10.0, "fluid": 7.0}
    assert median_seconds([]) == {}


@pytest.mark.parametrize(
    ("seconds", "workers", "expected"),
    [
        ([], 2, 0.0),
        ([10.0, 20.0, 30.0], 1, 60.0),
        ([10.0, 20.0, 30.0], 2, 30.0),
        ([10.0, 10.0, 40.0], 2, 40.0),  # the longest
        ([10.0, 20.0], 8, 20.0),
    ],
)
def test_workers_side_by_side(seconds: Sequence[float], workers: int, expected: float) -> None:
    assert estimate(seconds, workers) == expected
