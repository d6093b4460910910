"""From run CSVs to a report: what is written, that it can be made again, and what is refused."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import pandas as pd
import pytest
from rich.console import Console

from fluidrelu_cli import tables
from fluidrelu_cli.errors import FluidReluError, UsageError
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.reporting import Calibration, Report
from fluidrelu_cli.study import Study

MakeStudy = Callable[..., Study]

RELU = [(0.5, 0.975), (0.5, 0.97), (0.5, 0.98)]
FLUID = [(0.5, 0.9765), (0.5, 0.981), (0.5, 0.9715)]
BOTH = {"relu": RELU, "fluid": FLUID}

TABLE2_CSV = """\
row,activation,source,accuracy,n
best,relu,published,0.9784,3
best,relu,here,0.98,3
best,fluid,published,0.98,3
best,fluid,here,0.981,3
worst,relu,published,0.9721,3
worst,relu,here,0.97,3
worst,fluid,published,0.9753,3
worst,fluid,here,0.9715,3
"""

TABLE2_MD = """\
| accuracy | ReLU published (n = 3) | ReLU here (n = 3) | FluidReLU published (n = 3) | FluidReLU here (n = 3) |
| --- | ---: | ---: | ---: | ---: |
| best | 0.9784 | 0.9800 | 0.9800 | 0.9810 |
| worst | 0.9721 | 0.9700 | 0.9753 | 0.9715 |
"""

SUMMARY_MD = """\
| activation | n | mean | sample SD | best | worst | expected best of 3 | expected worst of 3 |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| relu | 3/3 | 0.97500 | 0.00500 | 0.9800 | 0.9700 | 0.98000 | 0.97000 |
| fluid | 3/3 | 0.97633 | 0.00475 | 0.9810 | 0.9715 | 0.98100 | 0.97150 |
"""


def shown(report: Report | Calibration) -> str:
    """What the terminal shows, without its line breaks."""
    console = Console(width=300, file=io.StringIO())
    for part in report.parts():
        console.print(part, markup=False)
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


def damage(study: Study, name: str) -> None:
    study.files(name).csv.write_text("damaged")


def contents(study: Study) -> dict[str, bytes]:
    """Every file of a study by its path."""
    paths = [path for path in study.folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(study.folder)): path.read_bytes() for path in paths}


@dataclass
class Written:
    """A study before its report was written, and what the report added."""

    study: Study
    report: Report
    sources: dict[str, bytes]
    paths: list[Path]
    derived: dict[str, bytes]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, make_study: MakeStudy) -> Written:
    study = make_study(tmp_path_factory.mktemp("written"), BOTH)
    sources = contents(study)
    report = Report(study)
    paths = report.write()
    derived = {name: content for name, content in contents(study).items() if name not in sources}
    return Written(study, report, sources, paths, derived)


def test_report_writes_tables_and_figures(written: Written) -> None:
    names = ("figure1", "learning-curves", "learned-fluid")
    figures = {f"figures/{name}.{kind}" for name in names for kind in ("png", "svg")}
    assert set(written.derived) == {"table2.csv", "table2.md", "summary.csv", "summary.md", *figures}
    assert {str(path.relative_to(written.study.folder)) for path in written.paths} == set(written.derived)
    assert written.derived["table2.csv"].decode() == TABLE2_CSV
    assert written.derived["table2.md"].decode() == TABLE2_MD
    assert written.derived["summary.md"].decode() == SUMMARY_MD
    summary = pd.read_csv(written.study.folder / "summary.csv")
    pd.testing.assert_frame_equal(summary, written.report.summary, rtol=1e-14)


def calls_of_report(study: Study) -> int:
    """How often making the report of a study calls a Python function: its work, whatever else the machine does."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        Report(study).write()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.usefixtures("written")  # by then everything is imported
def test_report_of_many_runs_is_little_more_work(tmp_path: Path, make_study: MakeStudy) -> None:
    """A data frame a file, or an artist a curve, is thousands of calls a run, and seconds for a thousand runs."""
    few, many = (make_study(tmp_path / str(n), {"relu": RELU[:1] * n, "fluid": FLUID[:1] * n}) for n in (5, 25))
    assert calls_of_report(many) - calls_of_report(few) < 40 * 1000


def test_report_is_made_again_from_the_csvs(written: Written) -> None:
    for path in written.paths:
        path.unlink()
    Report(written.study).write()
    assert contents(written.study) == written.sources | written.derived


def test_report_shows_protocol_table_and_statistics(tmp_path: Path, make_study: MakeStudy) -> None:
    report = Report(make_study(tmp_path, BOTH, batch_size=50))
    text = shown(report)
    assert f"{tmp_path}: dataset mnist, model paper, epochs 2, batch size 50, lr 0.001" in text
    assert "best 0.9784 0.9800 0.9800 0.9810 worst 0.9721 0.9700 0.9753 0.9715" in text
    assert "relu 3/3 0.97500 0.00500" in text
    assert tables.UNEQUAL_N not in text
    assert report.notes == []


def test_report_names_what_it_leaves_out_and_counts_it(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, BOTH)
    damage(study, "relu-seed1")
    report = Report(study)
    [note] = report.notes
    assert note.startswith(f"Left out: {study.files('relu-seed1').csv} is damaged (")
    text = shown(report)
    assert "relu 2/3 0.97750" in text
    assert tables.UNEQUAL_N in text


def test_study_without_fluid_is_reported(tmp_path: Path, make_study: MakeStudy) -> None:
    report = Report(make_study(tmp_path, {"relu": RELU, "mine:MyFluid": RELU}))
    assert "best 0.9784 0.9800 0.9800 – worst 0.9721 0.9700 0.9753 –" in shown(report)
    learned = {path.name for path in report.write() if "learned" in path.name}
    assert learned == {"learned-mine-MyFluid.png", "learned-mine-MyFluid.svg"}


def test_report_against_a_study_that_it_equals(tmp_path: Path, make_study: MakeStudy) -> None:
    mine, theirs = make_study(tmp_path / "mine", {"relu": RELU}), make_study(tmp_path / "theirs", BOTH)
    report = Report(mine, theirs)
    text = shown(report)
    assert f"All 3 runs in common with {theirs.folder} are equal digit for digit." in text
    sources = ["published", "theirs/", "yours"]
    assert list(dict.fromkeys(report.table2["source"])) == sources


def test_report_against_a_study_that_differs(tmp_path: Path, make_study: MakeStudy) -> None:
    mine = make_study(tmp_path / "mine", {"relu": RELU, "fluid": [*FLUID[:2], (0.5, 0.972)]})
    theirs = make_study(tmp_path / "theirs", BOTH)
    damage(theirs, "relu-seed0")
    report = Report(mine, theirs)
    sentence = f"4 of 5 runs in common with {theirs.folder} are equal digit for digit; of the others the final accuracy"
    assert f"{sentence} differs by at most 0.0005 (FluidReLU, seed 2)." in shown(report)
    [note] = report.notes
    assert str(theirs.files("relu-seed0").csv) in note


@pytest.mark.parametrize("name", ["paper", "here", "yours"])
def test_report_against_a_study_of_any_name(
    name: str, tmp_path: Path, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`report --against paper` in the folder of results: the study's name is also a column's."""
    monkeypatch.chdir(tmp_path)
    make_study(tmp_path / name, {"relu": [(0.5, 0.625)]})
    text = shown(
        Report(make_study(tmp_path / "mine", {"relu": RELU}), make_study(Path(name), {"relu": [(0.5, 0.625)]}))
    )
    assert "best 0.9784 0.6250 0.9800 0.9800 – – worst 0.9721 0.6250 0.9700 0.9753 – –" in text


def test_report_against_another_protocol_is_refused(tmp_path: Path, make_study: MakeStudy) -> None:
    mine = make_study(tmp_path / "mine", {"relu": RELU}, lr=0.01, batch_size=10)
    theirs = make_study(tmp_path / "theirs", {"relu": RELU})
    with pytest.raises(UsageError, match=r"mine and .*theirs were trained by different protocols \(batch_size, lr\)"):
        Report(mine, theirs)


def test_study_without_a_run_has_no_report(tmp_path: Path, make_study: MakeStudy) -> None:
    with pytest.raises(FluidReluError, match="has no finished run: train some with `fluidrelu repeat` first"):
        Report(Study(tmp_path / "empty", Protocol(epochs=2)))
    study = make_study(tmp_path / "damaged", {"relu": RELU[:1]})
    damage(study, "relu-seed0")
    with pytest.raises(FluidReluError, match=r"has no finished run \(Left out: .*relu-seed0\.csv is damaged"):
        Report(study)
    with pytest.raises(FluidReluError, match="has no finished run"):
        Report(make_study(tmp_path / "mine", {"relu": RELU}), Study(tmp_path / "empty", Protocol(epochs=2)))


PAPER = (0.9721, 0.975, 0.9784)
OFF = (0.9711, 0.975, 0.9794)


def test_calibration_chooses_and_writes_beside_the_studies(tmp_path: Path, make_study: MakeStudy) -> None:
    studies = [
        make_study(tmp_path / "batch-100", {"relu": list(zip(OFF, PAPER, OFF, strict=True))}, batch_size=100),
        make_study(tmp_path / "batch-10", {"relu": list(zip(OFF, strict=True))}, batch_size=10),
    ]
    calibration = Calibration(studies)
    assert calibration.notes == []
    assert "100 2 3 0.97517 0.00315 0.97840 0.97210 0.0 ←" in shown(calibration)
    paths = calibration.write()
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
    study = make_study(tmp_path / "batch-10", {"relu": RELU}, batch_size=10)
    damage(study, "relu-seed2")
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
        make_study(tmp_path / "one", {"relu": RELU}, batch_size=10),
        make_study(tmp_path / "two", {"relu": RELU}, **protocol),
    ]
    with pytest.raises(UsageError, match=f"two cannot be calibrated with the others .*{words}.*leave it out"):
        Calibration(studies)


def test_calibration_of_a_study_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FluidReluError, match="has no finished run"):
        Calibration([Study(tmp_path, Protocol())])


def test_report_says_where_numbers_are_not_the_paper_s_to_compare(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, {"relu": [(0.5, 0.6)]}, train_images=500)
    path = study.files("relu-seed0").csv
    path.write_text(re.sub(r"^(relu,0,2),[^,]+", r"\1,nan", path.read_text(), flags=re.MULTILINE))
    text = shown(Report(study))
    assert "This is not the protocol that stands for the paper's (train images 500)" in text
    assert "Diverged, with a loss that is not finite, but counted: relu seed 0." in text
