"""One comparison over the cells of a grid: settings of which each combination is a study of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from fluidrelu_cli.analysis.inference import COMPARISON_COLUMNS, holm, judge

INTERIM = "interim"
"""The verdict of a comparison that lacks declared runs."""


def compare_cells(rows: Mapping[str, Mapping[Any, Any]]) -> pd.DataFrame:
    """The same comparison in each cell, as one table: cell, then inference.COMPARISON_COLUMNS.

    p_holm and verdict are adjusted for the number of cells. As long as a cell is interim, all are: their number is part
    of the adjustment.

    Args:
        rows: by cell, its row of inference.comparisons.
    """
    waits = any(row["verdict"] == INTERIM for row in rows.values())
    adjusted = holm([row["p"] for row in rows.values()])
    table: pd.DataFrame = pd.DataFrame(
        [
            {
                "cell": cell,
                **row,
                "p_holm": float("nan") if waits else p_holm,
                "verdict": INTERIM if waits else judge(row["n"], row["mean_difference"], p_holm),
            }
            for (cell, row), p_holm in zip(rows.items(), adjusted, strict=True)
        ],
        columns=["cell", *COMPARISON_COLUMNS],
    )
    return table


def join_cells(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of all cells below each other, with the cell as the first column."""
    parts = [table.assign(cell=cell)[["cell", *table.columns]] for cell, table in tables.items()]
    joined: pd.DataFrame = pd.concat(parts, ignore_index=True)
    return joined
