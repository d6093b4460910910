"""The calibration by hand, what it writes, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pytest
from factories import make_run_table

from fluidrelu_cli.analysis.calibration import calibration, check_calibration
from fluidrelu_cli.analysis.published import PAPER as TABLE2
from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.protocol import Protocol

PAPER = (0.9721, 0.975, 0.9784)  # three runs whose best and worst are the paper's
OFF = (0.9711, 0.975, 0.9794)  # each 0.001 away: distance 2e-6


def by_seed(*epochs: Sequence[float]) -> list[tuple[float, ...]]:
    """Accuracies by epoch, turned into those by seed."""
    return list(zip(*epochs, strict=True))


def chosen(table: pd.DataFrame) -> list[tuple[int, int]]:
    rows = table[table["chosen"]]
    return list(zip(rows["batch_size"], rows["epochs"], strict=True))


def test_calibration_by_hand() -> None:
    table = calibration(
        {100: make_run_table({"relu": by_seed(OFF, PAPER)}), 10: make_run_table({"relu": by_seed(OFF)})}, TABLE2
    )
    assert table[["batch_size", "epochs", "n"]].to_numpy().tolist() == [[10, 1, 3], [100, 1, 3], [100, 2, 3]]
    assert table["distance"].tolist() == pytest.approx([2e-6, 2e-6, 0.0], rel=1e-9, abs=1e-20)
    assert table["expected_best_of_3"].tolist() == pytest.approx([0.9794, 0.9794, 0.9784])
    assert table["expected_worst_of_3"].tolist() == pytest.approx([0.9711, 0.9711, 0.9721])
    assert table["mean"].tolist() == pytest.approx([0.9755 - 0.001 / 3, 0.9755 - 0.001 / 3, 2.9255 / 3])
    assert table["chosen"].tolist() == [False, False, True]


def test_calibration_gives_a_tie_to_the_fewer_epochs() -> None:
    late, early = make_run_table({"relu": by_seed(OFF, PAPER, PAPER)}), make_run_table({"relu": by_seed(PAPER)})
    assert chosen(calibration({10: late}, TABLE2)) == [(10, 2)]
    assert chosen(calibration({10: late, 20: early}, TABLE2)) == [(20, 1)]


def test_calibration_looks_at_relu_alone() -> None:
    relu = by_seed(OFF, (0.5, 0.5, 0.5))
    alone = calibration({10: make_run_table({"relu": relu})}, TABLE2)
    among_others = calibration(
        {10: make_run_table({"relu": relu, "fluid": by_seed(OFF, PAPER), "elu": by_seed(PAPER)})}, TABLE2
    )
    pd.testing.assert_frame_equal(alone, among_others, check_exact=True)
    assert chosen(alone) == [(10, 1)]


def test_calibration_never_chooses_fewer_than_three_runs() -> None:
    two = make_run_table({"relu": by_seed((0.9721, 0.9784))})
    table = calibration({10: two, 20: make_run_table({"relu": by_seed(OFF)})}, TABLE2)
    assert chosen(table) == [(20, 1)]
    assert table["n"].tolist() == [2, 3]
    assert math.isnan(table["distance"][0])
    assert chosen(calibration({10: two}, TABLE2)) == []
    assert chosen(calibration({10: make_run_table({"fluid": by_seed(PAPER)})}, TABLE2)) == []


@pytest.mark.parametrize(
    ("protocol", "words"),
    [({"batch_size": 100, "lr": 0.01}, r"\(lr\)"), ({"batch_size": 10}, "its batch size, which another study has too")],
)
def test_studies_that_do_not_belong_together_are_refused(protocol: Mapping[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=f"two cannot be calibrated with the others .*{words}.*leave it out"):
        check_calibration({"one": Protocol(batch_size=10), "two": Protocol(**protocol)})


def test_a_rate_that_falls_is_refused() -> None:
    with pytest.raises(UsageError, match=r"one is not constant \(schedule cosine\).*leave it out"):
        check_calibration({"one": Protocol(schedule="cosine")})


def test_studies_of_other_epochs_and_batch_sizes_belong_together() -> None:
    check_calibration({"one": Protocol(batch_size=10, epochs=3), "two": Protocol(batch_size=20, epochs=5)})
