"""The search for the batch size and epochs at which ReLU does as the paper's ReLU did (docs/paper.md)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.table import Table

from fluidrelu_cli.analysis.published import PAPER_PAIR, PAPER_RUNS, PAPER_TABLE2, expected_best_of, expected_worst_of
from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.report import tables
from fluidrelu_cli.run import csv_text, write_whole
from fluidrelu_cli.study import Study


def calibration(runs_by_batch_size: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """How well ReLU reproduces the paper's two ReLU numbers, for each batch size and number of epochs.

    Columns: batch_size, epochs, n, mean, sd, expected_best_of_3, expected_worst_of_3, distance (the sum of the
    squared differences of the last two from Table 2's best and worst) and chosen (True in the row of the least
    distance; ties go to the fewer epochs). Runs of other activations are not looked at. A constant learning rate
    makes the first e epochs of a longer run the run of e epochs.
    """
    rows = []
    for batch_size, runs in sorted(runs_by_batch_size.items()):
        relu = runs[runs["activation"] == PAPER_PAIR[0]]
        for epoch, at_epoch in relu.groupby("epoch"):
            values = at_epoch["test_accuracy"].tolist()
            best, worst = expected_best_of(values, PAPER_RUNS), expected_worst_of(values, PAPER_RUNS)
            squares = (best - PAPER_TABLE2["best", "relu"]) ** 2 + (worst - PAPER_TABLE2["worst", "relu"]) ** 2
            sd = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
            rows.append((batch_size, epoch, len(values), float(np.mean(values)), sd, best, worst, squares))
    columns = ["batch_size", "epochs", "n", "mean", "sd", "expected_best_of_3", "expected_worst_of_3", "distance"]
    table: pd.DataFrame = pd.DataFrame(rows, columns=columns)
    ranked = table.dropna(subset=["distance"]).sort_values(["distance", "epochs", "batch_size"])
    table["chosen"] = table.index == (ranked.index[0] if len(ranked) else -1)
    return table


class Calibration:
    """The calibration from studies with ReLU runs, one a batch size.

    Raises:
        UsageError: if the studies differ in more than batch size and epochs, share a batch size, or have a learning
            rate that is not constant.
        FluidReluError: if one has no readable run.
    """

    def __init__(self, studies: Sequence[Study]) -> None:
        self.notes: list[str] = []
        self._folder = studies[0].folder.parent
        runs: dict[int, pd.DataFrame] = {}
        for study in studies:
            differences = study.protocol.differences(studies[0].protocol).keys() - {"batch_size", "epochs"}
            if study.protocol.schedule != "constant":
                raise UsageError(
                    f"{study.folder} has a learning rate that changes (schedule {study.protocol.schedule}), so that its"
                    " first epochs are no shorter run: leave it out."
                )
            if differences or study.protocol.batch_size in runs:
                reason = ", ".join(differences) or "a batch size that another has too"
                raise UsageError(f"{study.folder} cannot be calibrated with the others ({reason}): leave it out.")
            runs[study.protocol.batch_size], notes = study.read_some_runs()
            self.notes += notes
        self.table = calibration(runs)

    def parts(self) -> Iterator[Table | str]:
        """What the terminal shows, in order."""
        yield tables.rich_table("ReLU against the paper's ReLU", *tables.calibration_cells(self.table))

    def write(self) -> list[Path]:
        """Write the table beside the studies; the paths. StorageError if that fails."""
        csv, document = self._folder / "calibration.csv", self._folder / "calibration.md"
        write_whole(csv, csv_text(self.table))
        write_whole(document, tables.markdown(*tables.calibration_cells(self.table)))
        return [csv, document]
