"""Which settings each activation does best with, on images that no result is measured on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fluidrelu_cli.study import Entry


@dataclass(frozen=True)
class Tuned:
    """What a tuning showed."""

    table: pd.DataFrame
    """:func:`tune`."""
    finals: pd.DataFrame
    """inference.final_accuracies of its runs."""
    log: tuple[Entry, ...] = ()
    """What was asked of it, and looked at."""


TUNING_COLUMNS = ("activation", "arm", "n", "mean", "sd", "chosen")


def tune(finals: pd.DataFrame, arms: Mapping[str, Sequence[str]], seeds: int) -> pd.DataFrame:
    """How well each activation did with each setting, and which one is chosen for it.

    One row per arm: activation, arm, n (its seeds), mean, sd (sample) of its validation accuracies, and chosen: True
    for the arm of the activation that has the highest mean, the first of equal ones. None is chosen as long as an arm
    of the activation lacks a seed: it would have been chosen from less than the others had.

    Args:
        finals: as inference.final_accuracies gives it.
        arms: by activation, the names of its arms, the one that is to be preferred first.
        seeds: how many seeds each arm has to have.
    """
    rows = []
    for activation, names in arms.items():
        values = {name: finals.loc[finals["activation"] == name, "test_accuracy"].tolist() for name in names}
        means = {name: float(np.mean(found)) if found else math.nan for name, found in values.items()}
        whole = all(len(found) >= seeds for found in values.values())
        best = max(names, key=lambda name: means[name], default=None) if whole else None
        for name, found in values.items():
            sd = float(np.std(found, ddof=1)) if len(found) > 1 else math.nan
            rows.append((activation, name, len(found), means[name], sd, name == best))
    table: pd.DataFrame = pd.DataFrame(rows, columns=list(TUNING_COLUMNS))
    return table


def list_chosen(table: pd.DataFrame) -> dict[str, str]:
    """The arm that is chosen for each activation, without those for which none is."""
    chosen = table[table["chosen"]]
    return dict(zip(chosen["activation"], chosen["arm"], strict=True))


def list_close(table: pd.DataFrame) -> list[str]:
    """The activations for which another setting than the chosen one may well be as good.

    The chosen one's mean is ahead of the next one's by no more than twice the standard error of that difference,
    sqrt(s_1**2 / n_1 + s_2**2 / n_2), or there is no such error, because there is a single seed.
    """
    close = []
    for row in table[table["chosen"]].to_dict("records"):
        others = table[(table["activation"] == row["activation"]) & ~table["chosen"]]
        if others.empty:
            continue
        next_best = others.loc[others["mean"].idxmax()]
        error = math.sqrt(row["sd"] ** 2 / row["n"] + next_best["sd"] ** 2 / next_best["n"])
        if not row["mean"] - next_best["mean"] > 2 * error:  # nor where it is not known
            close.append(row["activation"])
    return close
