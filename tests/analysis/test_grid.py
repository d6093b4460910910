"""Comparisons over the cells of a grid, adjusted by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from fluidrelu_cli.analysis.grid import compare_cells, join_cells
from fluidrelu_cli.analysis.verdicts import INTERIM


def compared(**p_values: float) -> pd.DataFrame:
    """inference.comparisons of one cell, by activation; a NaN is a comparison without a pair."""
    rows = [
        {"activation": name, "baseline": "relu", "n": 0 if p != p else 60, "mean_difference": 0.01, "p": p, "p_holm": p}
        for name, p in p_values.items()
    ]
    table: pd.DataFrame = pd.DataFrame(rows).assign(
        verdict="better", p_equal=1.0, p_equal_holm=1.0, margin_declared=False, family="secondary"
    )
    return table


def test_the_primary_comparison_is_adjusted_for_its_cells_and_the_others_among_themselves() -> None:
    cells = {
        "lr=0.1": compared(elu=0.001, fluid=0.001),
        "lr=0.2": compared(elu=0.02, fluid=0.03),
        "lr=0.3": compared(elu=0.03, fluid=0.04, prelu=0.01),
    }
    table = compare_cells(cells, "fluid", interim=False)
    primary = table[table["activation"] == "fluid"]
    assert list(table["activation"]) == ["fluid"] * 3 + ["elu"] * 3 + ["prelu"]
    assert primary["cell"].tolist() == ["lr=0.1", "lr=0.2", "lr=0.3"]
    assert primary["p_holm"].tolist() == pytest.approx([0.003, 0.06, 0.06])
    assert primary["verdict"].tolist() == ["better", "undecided", "undecided"]
    others = table[table["activation"] != "fluid"]
    assert others["p_holm"].tolist() == pytest.approx([0.004, 0.04, 0.04, 0.03])
    assert set(others["verdict"]) == {"better"}


def test_as_long_as_a_cell_lacks_runs_none_has_a_verdict() -> None:
    table = compare_cells({"lr=0.1": compared(fluid=0.001), "lr=0.2": compared(fluid=0.03)}, "fluid", interim=True)
    assert table["verdict"].tolist() == [INTERIM, INTERIM]
    assert table["p_holm"].isna().all()


def test_a_cell_without_a_pair_has_no_row() -> None:
    table = compare_cells({"a": compared(fluid=float("nan")), "b": compared(fluid=0.03)}, "fluid", interim=False)
    assert table["cell"].tolist() == ["b"]


def test_tables_of_cells_are_joined_in_order() -> None:
    joined = join_cells({"b": pd.DataFrame({"n": [1, 2]}), "a": pd.DataFrame({"n": [3]})})
    assert joined.to_dict("list") == {"cell": ["b", "b", "a"], "n": [1, 2, 3]}
