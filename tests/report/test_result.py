"""What the Python API hands out."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pytest
from factories import make_study
from matplotlib.figure import Figure

from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.result import Result

BOTH = {"relu": [(0.5, 0.975), (0.5, 0.97), (0.5, 0.98)], "fluid": [(0.5, 0.9765), (0.5, 0.981), (0.5, 0.9715)]}


def test_a_result_has_words_tables_runs_figures_and_a_page(tmp_path: Path) -> None:
    result = Result(Evidence(make_study(tmp_path, BOTH)))
    assert result.question == "Is FluidReLU better than ReLU?"
    assert "FluidReLU" in result.answer
    assert list(result.summary["activation"]) == ["relu", "fluid"]
    assert result.comparisons["n"].tolist() == [3]
    assert [run.trial.name for run in result.runs] == [
        f"{name}-seed{seed}" for name in ("fluid", "relu") for seed in range(3)
    ]
    assert result.notes == []
    page = result.html()
    assert f"<h1>{result.question}</h1>" in page
    assert page.count("<img src=") == 8


def test_a_figure_is_one_of_matplotlib_s_in_the_report_s_look(tmp_path: Path) -> None:
    result = Result(Evidence(make_study(tmp_path, BOTH)))
    figure = result.figure("differences")
    assert isinstance(figure, Figure)
    assert figure.axes[0].get_xlabel()
    assert figure.dpi == 150
    assert mpl.rcParams["figure.dpi"] != 150
    assert figure is not result.figure("differences")


def test_an_unknown_figure_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    result = Result(Evidence(make_study(tmp_path, {"relu": BOTH["relu"]})))
    with pytest.raises(UsageError, match=r"no figure 'forest': name one of accuracies, learning-curves, functions\."):
        result.figure("forest")


def test_whatever_a_figure_raises_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise IndexError("out of bounds")

    monkeypatch.setattr("fluidrelu_cli.report.plots.accuracies", fail)
    result = Result(Evidence(make_study(tmp_path, BOTH)))
    with pytest.raises(UsageError, match=r"^The figure accuracies is not drawn \(IndexError: out of bounds\)\.$"):
        result.figure("accuracies")


def test_a_figure_that_cannot_be_drawn_says_why(tmp_path: Path) -> None:
    result = Result(Evidence(make_study(tmp_path, {"nowhere:MyFluid": BOTH["fluid"]})))
    with pytest.raises(
        UsageError, match=r"functions-nowhere-MyFluid is not drawn \(it needs its author's own code, .*trust=True\)"
    ):
        result.figure("functions-nowhere-MyFluid")
