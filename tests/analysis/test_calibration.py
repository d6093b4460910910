"""The calibration by hand, what it writes, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest

from fluidrelu_cli.analysis.calibration import Calibration, calibration
from fluidrelu_cli.errors import FluidReluError, UsageError
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.study import Study

MakeRuns = Callable[[Mapping[str, Sequence[Sequence[float]]]], pd.DataFrame]
MakeStudy = Callable[..., Study]

PAPER = (0.9721, 0.975, 0.9784)  # three runs whose best and worst are the paper's
OFF = (0.9711, 0.975, 0.9794)  # each 0.001 away: distance 2e-6


def by_seed(*epochs: Sequence[float]) -> list[tuple[float, ...]]:
    """Accuracies by epoch, turned into those by seed."""
    return list(zip(*epochs, strict=True))


def chosen(table: pd.DataFrame) -> list[tuple[int, int]]:
    rows = table[table["chosen"]]
    return list(zip(rows["batch_size"], rows["epochs"], strict=True))


def test_calibration_by_hand(make_runs: MakeRuns) -> None:
    table = calibration({100: make_runs({"relu": by_seed(OFF, PAPER)}), 10: make_runs({"relu": by_seed(OFF)})})
    assert table[["batch_size", "epochs", "n"]].to_numpy().tolist() == [[10, 1, 3], [100, 1, 3], [100, 2, 3]]
    assert table["distance"].tolist() == pytest.approx([2e-6, 2e-6, 0.0], rel=1e-9, abs=1e-20)
    assert table["expected_best_of_3"].tolist() == pytest.approx([0.9794, 0.9794, 0.9784])
    assert table["expected_worst_of_3"].tolist() == pytest.approx([0.9711, 0.9711, 0.9721])
    assert table["mean"].tolist() == pytest.approx([0.9755 - 0.001 / 3, 0.9755 - 0.001 / 3, 2.9255 / 3])
    assert table["chosen"].tolist() == [False, False, True]


def test_calibration_gives_a_tie_to_the_fewer_epochs(make_runs: MakeRuns) -> None:
    late, early = make_runs({"relu": by_seed(OFF, PAPER, PAPER)}), make_runs({"relu": by_seed(PAPER)})
    assert chosen(calibration({10: late})) == [(10, 2)]
    assert chosen(calibration({10: late, 20: early})) == [(20, 1)]


def test_calibration_looks_at_relu_alone(make_runs: MakeRuns) -> None:
    relu = by_seed(OFF, (0.5, 0.5, 0.5))
    alone = calibration({10: make_runs({"relu": relu})})
    among_others = calibration({10: make_runs({"relu": relu, "fluid": by_seed(OFF, PAPER), "elu": by_seed(PAPER)})})
    pd.testing.assert_frame_equal(alone, among_others, check_exact=True)
    assert chosen(alone) == [(10, 1)]


def test_calibration_never_chooses_fewer_than_three_runs(make_runs: MakeRuns) -> None:
    two = make_runs({"relu": by_seed((0.9721, 0.9784))})
    table = calibration({10: two, 20: make_runs({"relu": by_seed(OFF)})})
    assert chosen(table) == [(20, 1)]
    assert table["n"].tolist() == [2, 3]
    assert math.isnan(table["distance"][0])
    assert chosen(calibration({10: two})) == []
    assert chosen(calibration({10: make_runs({"fluid": by_seed(PAPER)})})) == []


def test_calibration_chooses_and_writes_beside_the_studies(tmp_path: Path, make_study: MakeStudy) -> None:
    studies = [
        make_study(tmp_path / "batch-100", {"relu": list(zip(OFF, PAPER, OFF, strict=True))}, batch_size=100),
        make_study(tmp_path / "batch-10", {"relu": list(zip(OFF, strict=True))}, batch_size=10),
    ]
    made = Calibration(studies)
    assert made.notes == []
    paths = made.write()
    assert paths == [tmp_path / "calibration.csv", tmp_path / "calibration.md"]
    table = pd.read_csv(paths[0])
    columns = ["batch_size", "epochs", "n", "chosen"]
    assert table[columns].values.tolist() == [
        [10, 1, 3, False],
        [100, 1, 3, False],
        [100, 2, 3, True],
        [100, 3, 3, False],
    ]
    assert "| 100 | 2 | 3 | 0.97517 | 0.00315 | 0.97840 | 0.97210 | 0.0 | ← |\n" in paths[1].read_text()


def test_calibration_names_what_it_leaves_out(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path / "batch-10", {"relu": [(0.5,), (0.25,), (0.75,)]}, batch_size=10)
    study.files("relu-seed2").csv.write_text("damaged")
    [note] = Calibration([study]).notes
    assert str(study.files("relu-seed2").csv) in note


@pytest.mark.parametrize(
    ("protocol", "words"),
    [({"batch_size": 100, "lr": 0.01}, r"\(lr\)"), ({"batch_size": 10}, "a batch size that another has too")],
)
def test_calibration_of_studies_that_do_not_belong_together_is_refused(
    protocol: dict[str, float], words: str, tmp_path: Path, make_study: MakeStudy
) -> None:
    studies = [
        make_study(tmp_path / "one", {"relu": [(0.5,), (0.25,), (0.75,)]}, batch_size=10),
        make_study(tmp_path / "two", {"relu": [(0.5,), (0.25,), (0.75,)]}, **protocol),
    ]
    with pytest.raises(UsageError, match=f"two cannot be calibrated with the others .*{words}.*leave it out"):
        Calibration(studies)


def test_calibration_of_a_study_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FluidReluError, match="has no finished run"):
        Calibration([Study(tmp_path, Protocol())])


def test_calibration_of_a_rate_that_falls_is_refused(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path / "one", {"relu": [(0.5,), (0.25,), (0.75,)]}, schedule="cosine")
    with pytest.raises(UsageError, match=r"learning rate that changes \(schedule cosine\).*leave it out"):
        Calibration([study])
