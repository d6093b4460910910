"""Comparisons over the cells of a grid: settings of which each combination is a study of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from fluidrelu_cli.analysis.verdicts import INTERIM, PRIMARY, SECONDARY, judge


def compare_cells(cells: Mapping[str, pd.DataFrame], primary: str, *, interim: bool) -> pd.DataFrame:
    """The comparisons of all cells as one table: cell, then inference.COMPARISON_COLUMNS; the primary one's rows first.

    p_holm, p_equal_holm and verdict of the primary comparison are adjusted for the number of cells. Those of all others
    are adjusted among themselves, over all cells.

    Args:
        cells: inference.comparisons of each cell.
        primary: the activation that the question is about.
        interim: whether some cell lacks declared runs: then none has a verdict, for their number is part of the
            adjustment.
    """
    table = join_cells(cells)
    table = table[table["n"] > 0].reset_index(drop=True)
    order = dict.fromkeys([primary, *table["activation"]])
    table["family"] = np.where(table["activation"] == primary, PRIMARY, SECONDARY)
    for family in (PRIMARY, SECONDARY):
        for index, judged in zip(
            table.index[table["family"] == family],
            judge(table[table["family"] == family].to_dict("records")),
            strict=True,
        ):
            table.loc[index, list(judged)] = list(judged.values())
    if interim:
        table = table.assign(p_holm=math.nan, p_equal_holm=math.nan, verdict=INTERIM)
    by_activation = [table[table["activation"] == name] for name in order]
    joined: pd.DataFrame = pd.concat(by_activation, ignore_index=True)
    return joined


def join_cells(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of all cells below each other, with the cell as the first column."""
    parts = [table.assign(cell=cell)[["cell", *table.columns]] for cell, table in tables.items()]
    joined: pd.DataFrame = pd.concat(parts, ignore_index=True)
    return joined
