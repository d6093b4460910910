"""The search for the batch size and epochs at which ReLU does as the paper's ReLU did (docs/paper.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from fluidrelu_cli.analysis.published import Published, expected_best_of, expected_worst_of
from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.protocol import Protocol


def calibration(runs_by_batch_size: Mapping[int, pd.DataFrame], published: Published) -> pd.DataFrame:
    """How well the first published activation reproduces its two numbers, for each batch size and number of epochs.

    Columns: batch_size, epochs, n, mean, sd, expected_best_of_3, expected_worst_of_3 (of as many runs as are behind the
    published numbers), distance (the sum of the squared differences of the last two from the published best and worst)
    and chosen (True in the row of the least distance; ties go to the fewer epochs). Runs of other activations are not
    looked at. A constant learning rate makes the first e epochs of a longer run the run of e epochs.
    """
    activation = published.activations[0]
    k = published.runs[activation]
    rows = []
    for batch_size, runs in sorted(runs_by_batch_size.items()):
        for epoch, at_epoch in runs[runs["activation"] == activation].groupby("epoch"):
            values = at_epoch["test_accuracy"].tolist()
            best, worst = expected_best_of(values, k), expected_worst_of(values, k)
            squares = (best - published.best[activation]) ** 2 + (worst - published.worst[activation]) ** 2
            sd = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
            rows.append((batch_size, epoch, len(values), float(np.mean(values)), sd, best, worst, squares))
    columns = ["batch_size", "epochs", "n", "mean", "sd", f"expected_best_of_{k}", f"expected_worst_of_{k}", "distance"]
    table: pd.DataFrame = pd.DataFrame(rows, columns=columns)
    ranked = table.dropna(subset=["distance"]).sort_values(["distance", "epochs", "batch_size"])
    table["chosen"] = table.index == (ranked.index[0] if len(ranked) else -1)
    return table


def check_calibration(protocols: Mapping[str, Protocol]) -> None:
    """Refuse studies that cannot be calibrated together.

    Args:
        protocols: of each study, by its folder.

    Raises:
        UsageError: if they differ in more than batch size and epochs, share a batch size, or have a learning rate that
            is not constant.
    """
    first = next(iter(protocols.values()))
    batch_sizes = set()
    for folder, protocol in protocols.items():
        if protocol.schedule != "constant":
            raise UsageError(
                f"The learning rate in {folder} is not constant (schedule {protocol.schedule}), so the first epochs of"
                " its runs are not those of a shorter run: leave it out."
            )
        differences = protocol.differences(first).keys() - {"batch_size", "epochs"}
        if differences or protocol.batch_size in batch_sizes:
            reason = ", ".join(sorted(differences)) or "its batch size, which another study has too"
            raise UsageError(f"{folder} cannot be calibrated with the others ({reason}): leave it out.")
        batch_sizes.add(protocol.batch_size)
