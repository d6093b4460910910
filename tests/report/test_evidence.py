"""From run CSVs to a report: what is written, that it can be made again, and what is refused."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import pandas as pd
import pytest
from rich.console import Console

from fluidrelu_cli.errors import FluidReluError, UsageError
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.report.evidence import Report
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
| of three | ReLU published (n = 3) | ReLU here (n = 3) | FluidReLU published (n = 3) | FluidReLU here (n = 3) |
| --- | ---: | ---: | ---: | ---: |
| best | 0.9784 | 0.9800 | 0.9800 | 0.9810 |
| worst | 0.9721 | 0.9700 | 0.9753 | 0.9715 |
"""

SUMMARY_MD = """\
| activation | n | mean ± 95 % interval | sample SD | median | best of n | worst of n |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| relu | 3/3 | 0.97500 ± 0.01242 | 0.00500 | 0.97500 | 0.9800 | 0.9700 |
| fluid | 3/3 | 0.97633 ± 0.01181 | 0.00475 | 0.97650 | 0.9810 | 0.9715 |
"""

# differences of 15, 110 and -85 images: mean 13.3, SD 97.5, t(0.975; 2) = 4.303; of the 8 signings 6 are as far out
COMPARISONS_MD = """\
| activation | pairs | difference ± 95 % interval | p | p (Holm) | P(above) (95 %) | r of pairs |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| fluid | 3 | +0.00133 ± 0.02422 | 0.7500 | 0.7500 | 67 % (21–94) | −1.00 |
"""


def shown(report: Report) -> str:
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


TABLES = ("table2", "summary", "comparisons")
FIGURES = (
    "accuracies",
    "differences",
    "best-of-three",
    "learning-curves",
    "learned-fluid",
    "functions-fluid",
    "figure1",
)


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
    figures = {f"figures/{name}.{kind}" for name in FIGURES for kind in ("png", "svg")}
    tables = {f"{name}.{kind}" for name in TABLES for kind in ("csv", "md")}
    assert set(written.derived) == {"report.html", *tables, *figures}
    assert {str(path.relative_to(written.study.folder)) for path in written.paths} == set(written.derived)
    assert written.derived["table2.csv"].decode() == TABLE2_CSV
    assert written.derived["table2.md"].decode() == TABLE2_MD
    assert written.derived["summary.md"].decode() == SUMMARY_MD
    assert written.derived["comparisons.md"].decode() == COMPARISONS_MD
    for name, table in (("summary", written.report.summary), ("table2", written.report.table2)):
        pd.testing.assert_frame_equal(pd.read_csv(written.study.folder / f"{name}.csv"), table, rtol=1e-14)


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


MANY = {
    "relu": [(0.5, 0.97 + seed / 1000) for seed in range(8)],
    "fluid": [(0.5, 0.971 + seed / 1000) for seed in range(8)],
    "elu": [(0.5, 0.975)] * 7,
}


def test_answer_and_tables_of_several_activations(tmp_path: Path, make_study: MakeStudy) -> None:
    report = Report(make_study(tmp_path, MANY))
    assert report.question == "Is FluidReLU better than ReLU?"
    assert report.answer == (
        "FluidReLU is better than ReLU here: over 8 seeds its mean accuracy is 0.00100 higher (95 % interval +0.00100"
        " to +0.00100; p = 0.0156, adjusted for 2 comparisons). Against ReLU, after adjustment: FluidReLU (better);"
        " elu (undecided)."
    )
    text = shown(report)
    assert "elu against relu: without relu 7" in text
    assert "A table of three runs each would rank FluidReLU above ReLU in both rows" in text
    assert "The paper's numbers among all our sets of three" in text


def test_another_baseline(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, MANY)
    report = Report(study, baseline="fluid")
    assert list(report.comparisons["activation"]) == ["relu", "elu"]
    assert report.question == "Is ReLU better than FluidReLU?"
    assert "Differences from FluidReLU, paired by seed" in shown(report)
    with pytest.raises(UsageError, match=r"has the --baseline tanh: name one of relu, fluid, elu\."):
        Report(study, baseline="tanh")


def test_formats(written: Written) -> None:
    report = written.report
    document = report.text("markdown")
    assert SUMMARY_MD in document
    assert TABLE2_MD in document
    assert f"\n{report.answer}\n" in document
    wide = pd.read_csv(io.StringIO(report.text("csv"))).set_index("activation")
    assert list(wide.index) == ["relu", "fluid"]
    assert wide.loc["fluid", "mean"] == pytest.approx(0.97633, abs=1e-5)
    assert wide.loc["fluid", "mean_difference"] == pytest.approx(0.00133, abs=1e-5)
    assert pd.isna(wide.loc["relu", "mean_difference"])
    assert wide.columns.is_unique
    assert "fluid,3,3," in report.text("csv")
    assert wide.loc["fluid", "pairs"] == 3
    assert ",1,0,2,".replace("1,0,2", "2,0,1") in report.text("csv")  # wins, ties and losses are whole numbers
    assert "% p: exact" in report.text("latex")
    assert report.text("latex").count("\\begin{tabular}") == report.text("latex").count("\\caption{") == 3
    everything = json.loads(report.text("json"))
    assert everything["answer"] == report.answer
    assert everything["protocol"] == written.study.protocol.to_dict()
    assert [row["activation"] for row in everything["summary"]] == ["relu", "fluid"]
    assert everything["comparisons"][0]["p_holm"] == 0.75
    assert everything["conditions"]["device"] == {"None": 6}


def test_study_without_the_baseline_says_so(tmp_path: Path, make_study: MakeStudy) -> None:
    report = Report(make_study(tmp_path, {"fluid": FLUID, "elu": RELU}))
    assert report.answer == "No run has the baseline relu: name one with --baseline (fluid, elu)."
    assert report.question == "How good is FluidReLU and elu?"


def test_functions_of_another_source_than_was_trained_are_not_drawn(
    tmp_path: Path, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_fluid.py").write_text(
        "from fluidrelu_cli.networks.activations import FluidReLU\nprint('imported')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    study = make_study(tmp_path / "study", {"own_fluid:FluidReLU": FLUID[:1]})
    [note] = Report(study).notes
    assert note == "The figure functions-own_fluid-FluidReLU is not drawn (its source is not the one that was trained)."


def test_functions_that_cannot_be_drawn_leave_the_report(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, {"fluid": FLUID[:1]})
    path = study.files("fluid-seed0").parameters
    path.write_text(path.read_text().replace(",a,", ",b,"))
    report = Report(study)
    assert "figures/functions-fluid.svg" not in "".join(map(str, report.write()))
    assert report.notes == ["The figure functions-fluid is not drawn (KeyError: 'a')."]


def test_json_has_null_where_there_is_no_number(tmp_path: Path, make_study: MakeStudy) -> None:
    everything = json.loads(Report(make_study(tmp_path, {"relu": RELU[:1]})).text("json"), parse_constant=pytest.fail)
    assert everything["summary"][0]["sd"] is None
    assert everything["comparisons"] == []


def test_conditions_are_counted(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, {"relu": RELU})
    path = study.files("relu-seed1").provenance
    content = json.loads(path.read_text())
    content |= {"versions": {"torch": "2.9"}, "source": {"commit": "0123456789abcdef", "modified": True}, "cpu": "x"}
    path.write_text(json.dumps(content))
    conditions = Report(study).conditions()
    assert conditions["version of torch"] == {"2.9": 1}
    assert conditions["source"] == {"not recorded": 2, "0123456789ab, modified": 1}
    assert conditions["processor"] == {"None, None": 2, "x, None": 1}


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
    assert "relu 3/3 0.97500 ± 0.01242 0.00500" in text
    assert "3 seeds cannot tell FluidReLU from ReLU" in text
    assert "on these 10,000 test images" in text
    assert report.read_notes == []


def test_report_names_what_it_leaves_out_and_counts_it(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, BOTH)
    damage(study, "relu-seed1")
    report = Report(study)
    [note] = report.read_notes
    assert note.startswith(f"Left out: {study.files('relu-seed1').csv} is damaged (")
    text = shown(report)
    assert "relu 2/3 0.97750" in text
    assert "fluid against relu: without fluid 1" in text


def test_study_without_fluid_is_reported(tmp_path: Path, make_study: MakeStudy) -> None:
    report = Report(make_study(tmp_path, {"relu": RELU, "mine:MyFluid": RELU}))
    assert "best 0.9784 0.9800 0.9800 – worst 0.9721 0.9700 0.9753 –" in shown(report)
    learned = {path.name for path in report.write() if "MyFluid" in path.name}
    assert learned == {"learned-mine-MyFluid.png", "learned-mine-MyFluid.svg"}
    [note] = report.notes
    assert note.startswith("The figure functions-mine-MyFluid is not drawn (UsageError: The activation")


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
    [note] = report.read_notes
    assert str(theirs.files("relu-seed0").csv) in note


@pytest.mark.parametrize("name", ["paper", "here", "yours"])
def test_report_against_a_study_of_any_name(
    name: str, tmp_path: Path, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`report --against paper` in the folder of results: the study's name is also a column's."""
    monkeypatch.chdir(tmp_path)
    theirs = make_study(Path(name), {"relu": [(0.5, 0.625)] * 3})
    text = shown(Report(make_study(tmp_path / "mine", {"relu": RELU}), theirs))
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


def test_report_says_where_numbers_are_not_the_paper_s_to_compare(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path, {"relu": [(0.5, 0.6)]}, train_images=500)
    path = study.files("relu-seed0").csv
    path.write_text(re.sub(r"^(relu,0,2),[^,]+", r"\1,nan", path.read_text(), flags=re.MULTILINE))
    text = shown(Report(study))
    assert "One activation alone: there is nothing to compare it with." in text
    assert "The paper's numbers among" not in text
    assert "This is not the protocol that stands for the paper's (train images 500)" in text
    assert "Diverged, with a loss that is not finite, but counted: relu seed 0." in text


def test_studies_of_other_data_and_networks_stand_beside(tmp_path: Path, make_study: MakeStudy) -> None:
    mine = make_study(tmp_path / "mine", BOTH)
    same = make_study(tmp_path / "longer", {"relu": [(0.5,)] * 8, "fluid": [(0.6,)] * 8}, dataset="svhn", model="cnn3")
    report = Report(mine, beside=[replace(same, name="group/longer")])
    text = shown(report)
    assert "FluidReLU minus ReLU, study by study" in text
    # of the two p-values 0.75 and 2 / 2**8 the smaller one is doubled
    assert "mine mnist paper 3 +0.00133 ± 0.02422 0.7500" in text
    assert "group/longer svhn cnn3 8 +0.10000 ± 0.00000 0.0156" in text
    assert report.studies["study"].tolist() == ["mine", "group/longer"]
    assert report.studies["verdict"].tolist() == ["too few pairs", "better"]
    report.write()
    assert {"studies.csv", "studies.md", "figures/forest.svg"} <= contents(mine).keys()
    assert 'alt="forest: ' in (mine.folder / "report.html").read_text()
    assert len(json.loads(report.text("json"))["studies"]) == 2
    without = Report(mine)
    assert "studies" not in {section.name for section in without.sections}
    without.write()  # what the earlier report wrote would tell of studies that stand beside no longer
    assert not {"studies.csv", "studies.md", "figures/forest.svg", "figures/forest.png"} & contents(mine).keys()


def test_what_is_left_out_of_a_study_beside_is_named(tmp_path: Path, make_study: MakeStudy) -> None:
    beside = make_study(tmp_path / "beside", BOTH)
    damage(beside, "relu-seed0")
    [note] = Report(make_study(tmp_path / "mine", BOTH), beside=[beside]).read_notes
    assert "beside/runs/relu-seed0.csv" in note


@pytest.mark.parametrize("runs", [{"relu": RELU}, {"fluid": FLUID}, {"relu": RELU, "elu": FLUID}])
def test_a_study_without_the_comparison_cannot_stand_beside(
    runs: Mapping[str, Sequence[Sequence[float]]], tmp_path: Path, make_study: MakeStudy
) -> None:
    other = make_study(tmp_path / "other", runs)
    with pytest.raises(UsageError, match="other has no pair of fluid and relu to set beside others: leave it out, or"):
        Report(make_study(tmp_path / "mine", BOTH), beside=[other])


def test_validation_accuracies_cannot_stand_beside(tmp_path: Path, make_study: MakeStudy) -> None:
    tuning = make_study(tmp_path / "tuning", BOTH, validation_images=100)
    with pytest.raises(UsageError, match="tuning was tested on held-out training images, which are no results: leave"):
        Report(make_study(tmp_path / "mine", BOTH), beside=[tuning])


@pytest.mark.parametrize("protocol", [{"dataset": "cifar10"}, {"model": "cnn3"}])
def test_the_papers_numbers_stand_beside_the_papers_task_alone(
    protocol: dict[str, str], tmp_path: Path, make_study: MakeStudy
) -> None:
    report = Report(make_study(tmp_path, BOTH, **protocol))
    assert set(report.table2["source"]) == {"here"}
    text = shown(report)
    assert "Best and worst accuracy of three runs" in text
    assert "0.9784" not in text
    assert "published" not in text


def test_validation_accuracies_are_called_so(tmp_path: Path, make_study: MakeStudy) -> None:
    text = shown(Report(make_study(tmp_path, BOTH, validation_images=5000)))
    assert "Validation accuracy after the last epoch" in text
    assert "those on 5,000 training images that were held out" in text


def test_the_protocol_shows_schedule_weight_decay_and_augmentation(tmp_path: Path, make_study: MakeStudy) -> None:
    report = Report(make_study(tmp_path, BOTH, schedule="cosine", weight_decay=5e-4, augment="flip-crop"))
    assert "schedule cosine, weight decay 0.0005, standardise colour, augment flip-crop" in shown(report)
    report.write()
    page = (tmp_path / "report.html").read_text()
    for name, value in (("schedule", "cosine"), ("weight decay", "0.0005"), ("augment", "flip-crop")):
        assert f'<th scope="row">{name}</th><td>{value}</td>' in page


def test_a_study_of_other_activations_has_none_of_the_papers(tmp_path: Path, make_study: MakeStudy) -> None:
    report = Report(make_study(tmp_path, {"relu": RELU, "elu": FLUID}, dataset="mine.npz"))
    assert {section.name for section in report.sections} == {"summary", "comparisons"}
    assert "figure1" not in {picture.name for picture in report.pictures}
