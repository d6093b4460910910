import pandas as pd

from fluidrelu_cli.analysis.grid import INTERIM, compare_cells, join_cells


def row(p: float, verdict: str = "better") -> dict[str, object]:
    return {"n": 60, "mean_difference": 0.01, "p": p, "p_holm": p, "verdict": verdict}


def test_cells_are_adjusted_for_their_number() -> None:
    table = compare_cells({"lr=0.1": row(0.001), "lr=0.2": row(0.03), "lr=0.3": row(0.04)})
    assert table["p_holm"].round(6).tolist() == [0.003, 0.06, 0.06]
    assert table["cell"].tolist() == ["lr=0.1", "lr=0.2", "lr=0.3"]
    assert table["verdict"].nunique() == 2


def test_one_interim_cell_leaves_all_without_a_verdict() -> None:
    table = compare_cells({"lr=0.1": row(0.001), "lr=0.2": row(0.03, INTERIM)})
    assert table["verdict"].tolist() == [INTERIM, INTERIM]
    assert table["p_holm"].isna().all()


def test_tables_of_cells_are_joined_in_order() -> None:
    joined = join_cells({"b": pd.DataFrame({"n": [1, 2]}), "a": pd.DataFrame({"n": [3]})})
    assert joined.to_dict("list") == {"cell": ["b", "b", "a"], "n": [1, 2, 3]}
