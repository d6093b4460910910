"""Statistics of final accuracies: pure functions from tables to tables.

A table of runs has records.RUN_COLUMNS. A run's result is the test accuracy after its last epoch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from fluidrelu_cli.protocol import PAPER_PAIR, PAPER_RUNS, PAPER_TABLE2
from fluidrelu_cli.records import TIMINGS

ROWS = ("best", "worst")


def final_accuracies(runs: pd.DataFrame) -> pd.DataFrame:
    """The last epoch's test accuracy of each run: columns activation, seed, test_accuracy."""
    rows = runs.groupby(["activation", "seed"])["epoch"].idxmax()
    last: pd.DataFrame = runs.loc[rows, ["activation", "seed", "test_accuracy"]].reset_index(drop=True)
    return last


def expected_best_of(values: Sequence[float], k: int) -> float:
    """The mean of the largest of k values, over all subsets of k of the n values; NaN if n < k.

    With x_(1) <= ... <= x_(n): sum over i of x_(i) C(i-1, k-1) / C(n, k). It is the unbiased estimate of the
    expected best of k runs.
    """
    ordered = sorted(values)
    n = len(ordered)
    if n < k:
        return math.nan
    weighted = [value * math.comb(index, k - 1) for index, value in enumerate(ordered)]
    return math.fsum(weighted) / math.comb(n, k)


def expected_worst_of(values: Sequence[float], k: int) -> float:
    """The mean of the smallest of k values, over all subsets of k of the n values; NaN if n < k."""
    return -expected_best_of([-value for value in values], k)


def summary(finals: pd.DataFrame, asked: Mapping[str, int]) -> pd.DataFrame:
    """One row an activation: n, asked, mean, sd (sample; NaN at n = 1), best, worst, and the expected best and
    worst of three, which unlike best and worst do not depend on n.

    Args:
        finals: as :func:`final_accuracies` gives it.
        asked: how many seeds, from 0, were asked for by activation.
    """
    rows = []
    for activation in paper_pair_first({*finals["activation"], *asked}):
        mine = finals[finals["activation"] == activation]
        values = mine["test_accuracy"].tolist()
        rows.append(
            {
                "activation": activation,
                "n": len(values),
                "asked": len({*mine["seed"], *range(asked.get(activation, 0))}),
                "mean": float(np.mean(values)) if values else math.nan,
                "sd": float(np.std(values, ddof=1)) if len(values) > 1 else math.nan,
                "best": max(values, default=math.nan),
                "worst": min(values, default=math.nan),
                "expected_best_of_3": expected_best_of(values, 3),
                "expected_worst_of_3": expected_worst_of(values, 3),
            }
        )
    columns = ["activation", "n", "asked", "mean", "sd", "best", "worst", "expected_best_of_3", "expected_worst_of_3"]
    table: pd.DataFrame = pd.DataFrame(rows, columns=columns)
    return table


def paper_pair_first(names: Iterable[str]) -> list[str]:
    """Distinct names in the order of every table and figure: the paper's two, then the others by name."""
    return sorted(set(names), key=lambda name: (name not in PAPER_PAIR, name != PAPER_PAIR[0], name))


def table2(summaries: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The paper's Table 2 with ours beside it: columns row, activation, source, accuracy, n.

    Args:
        summaries: summaries by the name of their source, as :func:`summary` gives them.
    """
    rows = []
    for row in ROWS:
        for activation in PAPER_PAIR:
            rows.append((row, activation, "published", PAPER_TABLE2[row, activation], PAPER_RUNS))
            for source, summarised in summaries.items():
                found = summarised[summarised["activation"] == activation]
                accuracy = float(found[row].iloc[0]) if len(found) else math.nan
                rows.append((row, activation, source, accuracy, int(found["n"].iloc[0]) if len(found) else 0))
    table: pd.DataFrame = pd.DataFrame(rows, columns=["row", "activation", "source", "accuracy", "n"])
    return table


def compare_runs(mine: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """How far runs of the same activation and seed agree, one row a common run.

    Columns: activation, seed; identical (every number but the timings is equal); accuracy_difference (mine minus
    theirs, after the last epoch).
    """
    keys = ["activation", "seed"]
    rows = []
    others = dict(iter(theirs.groupby(keys)))
    for key, run in mine.groupby(keys):
        if key not in others:
            continue
        a, b = (table.drop(columns=[*TIMINGS, *keys]).reset_index(drop=True) for table in (run, others[key]))
        same = ((a == b) | (a.isna() & b.isna())).all(axis="columns")
        difference = float(a["test_accuracy"].iloc[-1] - b["test_accuracy"].iloc[-1])
        rows.append((*key, bool(same.all()), difference))
    columns = [*keys, "identical", "accuracy_difference"]
    table: pd.DataFrame = pd.DataFrame(rows, columns=columns)
    return table


def diverged(runs: pd.DataFrame) -> list[str]:
    """The runs whose training loss is not finite after the last epoch, by name."""
    last = runs.loc[runs.groupby(["activation", "seed"])["epoch"].idxmax()]
    return [
        f"{row['activation']} seed {row['seed']}"
        for row in last.to_dict("records")
        if not math.isfinite(row["train_loss"])
    ]


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
            best, worst = expected_best_of(values, 3), expected_worst_of(values, 3)
            squares = (best - PAPER_TABLE2["best", "relu"]) ** 2 + (worst - PAPER_TABLE2["worst", "relu"]) ** 2
            sd = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
            rows.append((batch_size, epoch, len(values), float(np.mean(values)), sd, best, worst, squares))
    columns = ["batch_size", "epochs", "n", "mean", "sd", "expected_best_of_3", "expected_worst_of_3", "distance"]
    table: pd.DataFrame = pd.DataFrame(rows, columns=columns)
    ranked = table.dropna(subset=["distance"]).sort_values(["distance", "epochs", "batch_size"])
    table["chosen"] = table.index == (ranked.index[0] if len(ranked) else -1)
    return table
