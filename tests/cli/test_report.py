"""`report`, `plan` and `calibrate`: what they print and write, and that none of them needs torch."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import typer
from command_line import assert_same_numbers, fluidrelu, fluidrelu_json, words
from factories import make_run, make_study
from typer.testing import CliRunner

import fluidrelu_cli
from fluidrelu_cli.cli.app import app
from fluidrelu_cli.cli.report import calibrate, plan, report
from fluidrelu_cli.declaration import FIRST_TUNING_SEED
from fluidrelu_cli.declared import keep_declaration
from fluidrelu_cli.errors import FluidReluError, StorageError, UsageError
from fluidrelu_cli.protocol import Trial
from fluidrelu_cli.report import plots, wording
from fluidrelu_cli.study import ASKED, LOOKED, Entry, Study, load_study
from fluidrelu_cli.study_file import read_declaration

pytestmark = pytest.mark.usefixtures("folder")


def test_report_shows_table_2_and_writes_it(undisturbed: Path) -> None:
    results = undisturbed.parent.parent
    output = fluidrelu("report", "--results", results)
    for number in ("0.9784", "0.9721", "0.9800", "0.9753"):
        assert number in output
    assert "2/2" in output
    written = {path.name for path in (undisturbed.parent / "report").rglob("*") if path.is_file()}
    assert written >= {"table2.csv", "table2.md", "summary.csv", "report.html", "comparisons.csv"}
    output = words(fluidrelu("report", results / "local", "--results", results, "--against", "local"))
    printed, _, written_to = output.rpartition(" Written: ")
    assert "Reproduced: all 4 runs in common with" in printed
    assert printed.endswith("are equal digit for digit.")
    assert "local/report/report.html" in written_to


@pytest.mark.slow
def test_what_is_written_does_not_depend_on_who_reads_what_is_printed(folder: Path) -> None:
    results = folder / "results"
    make_study(results / "local", {"relu": [(0.5,), (0.75,)]})
    make_study(results / "batch", {"relu": [(0.5,), (0.75,)]}, batch_size=5)
    for command, written in (
        ("report", "local/report/report.html"),
        ("calibrate batch --output table", "../table/calibration.csv"),
    ):
        process = subprocess.Popen(
            [sys.executable, "-m", "fluidrelu_cli", *command.split()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(fluidrelu_cli.__file__).parents[1])},
        )
        assert process.stdout is not None
        process.stdout.close()
        _, errors = process.communicate(timeout=60)
        assert (results / written).exists()
        assert process.returncode == 1
        assert b"Error" not in errors


def test_a_report_that_cannot_be_written_is_printed_all_the_same(folder: Path) -> None:
    make_study(folder / "results" / "local", {"relu": [(0.5,), (0.75,)]})
    (folder / "results" / "local" / "report").mkdir()
    (folder / "results" / "local" / "report" / "study.json").touch()
    output = words(fluidrelu("report", code=1))
    assert "results/local: data set mnist" in output
    assert "Error: results/local/report/study.json is no file of a report, which replaces its whole folder" in output


def test_report_in_a_format_prints_that_alone(undisturbed: Path) -> None:
    results = undisturbed.parent.parent
    printed = CliRunner().invoke(app, ["report", "--results", str(results), "--format", "json"])
    assert json.loads(printed.stdout)["study"] == str(results / "local")
    assert f"Written: {results / 'local' / 'report' / 'report.html'}" in printed.stderr


def test_plan_shows_seeds_time_and_the_command(undisturbed: Path) -> None:
    output = words(fluidrelu("plan", "--effect", 0.5, "--results", undisturbed.parent.parent, "--workers", 1))
    assert "Over 2 pairs the differences between FluidReLU and ReLU have a sample SD of" in output
    assert re.search(r"fluidrelu repeat -n \d+ --act relu --act fluid --study local --results \S+$", output)


def test_report_names_an_unreadable_run_and_goes_on(undisturbed: Path, folder: Path) -> None:
    runs = folder / "results" / "local" / "runs"
    runs.mkdir(parents=True)
    for path in (undisturbed.parent / "study.json", *undisturbed.iterdir()):
        (folder / "results" / "local" / path.relative_to(undisturbed.parent)).write_bytes(path.read_bytes())
    damaged = runs / "relu-seed1.csv"
    damaged.write_text(damaged.read_text()[:-20])
    output = words(fluidrelu("report"))
    assert "Left out: results/local/runs/relu-seed1.csv" in output
    assert "1/2" in output
    output = words(fluidrelu("repeat", "-n", 2))
    assert "relu-seed1.csv.damaged1, and the trial is run again." in output
    assert_same_numbers(runs, undisturbed)
    assert (runs / "relu-seed1.csv.damaged1").exists()


def test_calibrate_reads_studies_by_batch_size(undisturbed: Path) -> None:
    results = undisturbed.parent.parent
    output = fluidrelu("calibrate", "local", "--results", results)
    assert "ReLU against the paper's ReLU" in output
    assert not (results / "report").exists()  # nothing is written unless a folder is named


RELU = [(0.5, 0.975), (0.5, 0.97), (0.5, 0.98)]
FLUID = [(0.5, 0.9765), (0.5, 0.981), (0.5, 0.9715)]
BOTH = {"relu": RELU, "fluid": FLUID}


def test_report_prints_and_writes_to_a_folder_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = make_study(tmp_path / "mine", BOTH)
    before = {path for path in study.folder.rglob("*") if path.is_file()}
    report(tmp_path, "mine", focus="FluidReLU")
    written = {path for path in study.folder.rglob("*") if path.is_file()} - before
    assert {path.relative_to(study.folder).parts[0] for path in written} == {".report.lock", "report"}
    output = capsys.readouterr()
    assert output.out.startswith(
        "Is FluidReLU better than ReLU?\nOn MNIST with the paper's network after 2 epochs, 3 seeds cannot tell"
        " FluidReLU from ReLU: FluidReLU's mean accuracy is 0.00133 higher, and with so few pairs no p-value can reach"
        " 5 %."
    )
    assert "--explain adds here what the columns mean.\n" in output.err
    assert wording.COMPARISONS_EXPLAINED not in output.out
    assert str(study.folder / "report" / "report.html") in output.err


@pytest.mark.slow
@pytest.mark.usefixtures("drawn")
def test_report_draws_pdf_and_explains_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_study(tmp_path / "mine", {"relu": RELU})
    report(tmp_path, "mine", figures="pdf")
    folder, names = tmp_path / "mine" / "report" / "figures", ("accuracies", "functions", "learning-curves")
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{kind}" for name in names for kind in ("pdf", "png", "svg")
    }
    assert all(b"/FontFile2" in path.read_bytes() for path in folder.glob("*.pdf"))  # TrueType
    report(tmp_path, "mine", width="8.5cm", explain=True)
    for path in folder.glob("*.svg"):
        width = float(re.findall(r'width="([\d.]+)pt"', path.read_text())[0])
        assert width == pytest.approx(85 / 25.4 * 72, abs=0.01)
    assert not list((tmp_path / "mine").rglob("*.pdf"))
    assert "Intervals are over seeds" in capsys.readouterr().out


def test_a_report_goes_to_a_folder_that_is_named_if_nothing_else_is_there(tmp_path: Path) -> None:
    study = make_study(tmp_path / "mine", {"relu": RELU})
    (tmp_path / "page").mkdir()
    report(tmp_path, "mine", into=tmp_path / "page")
    assert (tmp_path / "page" / "report.html").exists()
    assert not (study.folder / "report").exists()
    (tmp_path / "page" / "letter.txt").touch()  # it would be lost
    with pytest.raises(UsageError, match="page is there already: name another folder with --output, or move it away"):
        report(tmp_path, "mine", into=tmp_path / "page")
    assert (tmp_path / "page" / "letter.txt").exists()


@pytest.mark.usefixtures("drawn")
def test_report_prints_json_with_the_notes_on_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_study(tmp_path / "mine", {"nowhere:MyFluid": FLUID, "relu": RELU})
    report(tmp_path, "mine", as_json=True)
    output = capsys.readouterr()
    notes = json.loads(output.out)["notes"]
    assert "functions-nowhere-MyFluid is not drawn" in notes[0]
    assert "functions is drawn without nowhere:MyFluid" in notes[1]
    assert all(note in output.err for note in notes)


GRID = """
activations = ["relu", "fluid"]
compare = ["fluid", "relu"]
seeds = 3
[vary]
lr = [0.001, 0.01]
"""


def test_report_of_a_grid_prints_json(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "rates.toml").write_text(GRID)
    for lr in (0.001, 0.01):
        make_study(folder / "results" / "rates" / f"lr={lr}", BOTH, lr=lr)
    monkeypatch.setattr(plots, "effects", lambda _: sys.stdout.write("somebody's code prints"))
    content = fluidrelu_json("report", "rates.toml")
    assert content["cells"] == {"lr=0.001": {"lr": 0.001}, "lr=0.01": {"lr": 0.01}}
    assert [(row["cell"], row["activation"], row["mean"]) for row in content["summary"]] == [
        (cell, name, pytest.approx(mean))
        for cell in content["cells"]
        for name, mean in (("relu", 0.975), ("fluid", 2.929 / 3))
    ]
    assert [row["cell"] for row in content["comparisons"]] == list(content["cells"])
    assert len(content["runs"]) == 2 * 2 * 3 * 2


def make_grid(folder: Path, second: dict[str, list[tuple[float, float]]] | None = None) -> None:
    """The grid's file, and the studies of its cells as if they had been trained from it."""
    (folder / "rates.toml").write_text(GRID)
    declaration = read_declaration(Path("rates.toml"))
    keep_declaration(declaration, folder / "results" / "rates")
    for cell, accuracies in zip(declaration.cells, (BOTH, second or BOTH), strict=True):
        study = make_study(folder / "results" / declaration.study_name(cell), accuracies, **cell.settings)
        study.record(Entry(ASKED, dict(declaration.seeds), finished=0, file="rates.toml", sha256=declaration.sha256))


def test_a_grid_is_named_by_its_file_or_its_folder_and_a_cell_by_its_own(folder: Path) -> None:
    make_grid(folder)
    by_file, by_name, cell = (fluidrelu_json("report", name) for name in ("rates.toml", "rates", "rates/lr=0.01"))
    assert by_file == by_name
    assert list(by_name["cells"]) == ["lr=0.001", "lr=0.01"]
    assert by_name["answer"].startswith("3 seeds cannot establish anything with 2 comparisons; 7 can. On MNIST with")
    assert (folder / "results" / "rates" / "report" / "report.html").exists()
    assert cell["answer"].startswith("This is one of the 2 cells of rates.toml, and has no verdict of its own: see")
    assert {(row["verdict"], row["p"]) for row in cell["comparisons"]} == {("not judged", None)}
    assert (cell["cells"], cell["protocol"]["lr"]) == ({}, 0.01)
    assert by_name["standing"] == cell["standing"] == "Declared in rates.toml."
    for option in ("--baseline", "--focus", "--against", "--beside"):
        said = words(fluidrelu("report", "rates.toml", option, "relu", code=2))
        assert f"rates.toml is a grid, whose file says what is compared: leave {option} out." in said
    said = words(fluidrelu("report", "rates.toml", "--json", "--format", "csv", code=2))
    assert "--json means --format json: leave out --json or --format csv." in said
    assert len(load_study(folder / "results" / "rates" / "lr=0.001").log) == 2  # one look, and what was asked for


def test_a_cell_without_a_run_that_counts_lacks_its_runs(folder: Path) -> None:
    make_grid(folder)
    second = load_study(folder / "results" / "rates" / "lr=0.01")
    for seed in range(3):
        for name in BOTH:
            run = next(run for run in second.read().runs if run.trial == Trial(second.protocol, name, seed))
            for path in second.runs_folder.glob(f"{name}-seed{seed}.*"):
                path.unlink()
            second.write(replace(run, trial=replace(run.trial, seed=seed + 3)))
    said = words(fluidrelu("report", "rates.toml"))
    assert "results/rates/lr=0.01 has no finished run of what its file declares: train some first." in said
    assert "Interim: 1 of 2 cells have all their runs, no verdict yet." in said
    for path in (folder / "results" / "rates" / "lr=0.001" / "runs").iterdir():
        path.unlink()
    said = words(fluidrelu("report", "rates.toml", code=1))
    assert said.endswith("rates.toml has no run yet: train it with `fluidrelu run rates.toml`.")


def test_a_look_is_logged_once_for_a_file_and_a_number_of_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "mine.toml").write_text(GRID.partition("[vary]")[0])
    for command in ("report", "plan"):
        arguments = ("--effect", 0.1) if command == "plan" else ()
        said = words(fluidrelu(command, "mine.toml", *arguments, code=1))
        assert "mine.toml has no run yet: train it with `fluidrelu run mine.toml`." in said
    study = make_study(folder / "results" / "mine", BOTH)
    declaration = read_declaration(Path("mine.toml"))
    keep_declaration(declaration, study.folder)
    study.record(Entry(ASKED, {"relu": 3}, finished=0, file="mine.toml", sha256=declaration.sha256))

    def looks() -> list[tuple[str | None, dict[str, int]]]:
        log = load_study(study.folder).log
        return [(line.sha256, dict(line.seeds)) for line in log if line.what == LOOKED]

    once = (declaration.sha256, {"relu": 3, "fluid": 3})
    by_file, by_name = (fluidrelu_json("report", name) for name in ("mine.toml", "mine"))
    assert by_file == by_name
    assert by_file["standing"] == "Declared in mine.toml."
    assert looks() == [once]
    (folder / "mine.toml").write_text(declaration.text.replace("seeds = 3", "seeds = 2"))
    changed = fluidrelu_json("report", "mine.toml")
    assert "changed after its first use" in changed["standing"]
    assert "seeds 3 → 2. Its report had been looked at before that, so p-values and" in changed["standing"]
    assert "2 runs beyond what it declares are exploratory" in changed["standing"]
    assert looks() == [once, (read_declaration(Path("mine.toml")).sha256, {"relu": 2, "fluid": 2})]

    kept = study.folder / "declared" / f"{declaration.sha256}.toml"
    kept.write_text(declaration.text.replace("seeds = 3", "seeds = 9"))
    assert fluidrelu_json("report", "mine")["standing"] == wording.lost_file("mine.toml")

    def refuse(_study: Study, _entry: Entry) -> None:
        raise StorageError("it is read-only.")

    monkeypatch.setattr(Study, "record", refuse)
    assert "This look is not in the study's log: it is read-only." in words(fluidrelu("report", "mine.toml"))


@pytest.mark.slow
def test_report_with_studies_beside_and_another_to_compare_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, dataset in (("mine", "mnist"), ("theirs", "mnist"), ("group/clothes", "fashion-mnist")):
        make_study(tmp_path / name, BOTH, dataset=dataset)
    report(tmp_path, "mine", against=str(tmp_path / "theirs"), beside=["group/clothes"], output="json")
    content = json.loads(capsys.readouterr().out)
    assert [row["study"] for row in content["studies"]] == ["mine", "group/clothes"]
    assert [row["source"] for row in content["table2"][:3]] == ["published", "other study", "yours"]
    with pytest.raises(UsageError, match="name a study twice"):
        report(tmp_path, "mine", beside=["theirs", f"{tmp_path}/mine/"])


def test_report_lists_and_checks_its_choices() -> None:
    app = typer.Typer()
    app.command()(report)
    result = CliRunner().invoke(app, ["--format", "word"])
    assert result.exit_code == 2
    for name in ("table", "markdown", "csv", "json", "latex"):
        assert f"'{name}'" in result.output
    assert CliRunner().invoke(app, ["--figures", "gif"]).exit_code == 2


@pytest.mark.parametrize("width", ["85", "39mm", "20in", "wide", "-85mm", "1e2mm"])
def test_a_width_that_is_none_is_refused_with_one_that_is(width: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"--width {width} is no width from 40 mm to 500 mm: write it .* 85mm"):
        report(tmp_path, "mine", width=width)


def test_plan_notes_what_it_leaves_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = make_study(tmp_path / "mine", {"relu": RELU, "fluid": FLUID, "elu": RELU})
    study.files("relu-seed1").csv.write_text("damaged")
    plan(0.01, "Fluid", "relu", workers=2, results=tmp_path, study="mine")
    output = capsys.readouterr()
    *_, command = output.out.splitlines()
    assert command.endswith(f"--act relu --act fluid --study mine --results {tmp_path}")
    damaged, unpaired = output.err.splitlines()
    assert "relu-seed1" in damaged
    assert "fluid 1" in unpaired


def test_plan_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_study(tmp_path / "mine", BOTH)
    plan(0.002, workers=2, results=tmp_path, study="mine", as_json=True)
    found = json.loads(capsys.readouterr().out)
    plan(0.002, workers=2, results=tmp_path, study="mine")
    said = capsys.readouterr().out
    assert f"sample SD of {found['sd_difference']:.5f} (95 % interval {found['sd_low']:.5f} to" in said
    estimated = f"{found['seeds_estimated']} with the SD as estimated, {found['seeds_low']} to {found['seeds_high']}"
    assert f"takes {found['seeds']} seeds of each ({estimated} over its interval)" in words(said)
    expected = {
        "study": str(tmp_path / "mine"),
        "activation": "fluid",
        "baseline": "relu",
        "effect": 0.002,
        "margin": 0.0013,
        "margin_is_default": True,
        "power": 0.8,
        "alpha": 0.05,
        "primary": True,
        "comparisons": 1,
        "alpha_family": 0.05,
        "pairs": 3,
        "ties": 0,
        "left_out": "",
        "seeds_decide": found["seeds"],
        "pair_seconds": 12.0,
        "missing": 2 * found["seeds"] - 6,
        "workers": 2,
        "seconds": found["missing"] * 12 / 2 / 2,
    }
    assert {name: found[name] for name in expected} == expected
    plan(0.0002, margin=0.0001, results=tmp_path, study="mine", as_json=True)
    beyond = json.loads(capsys.readouterr().out)
    assert beyond["seeds"] > 0
    assert beyond["seeds_high"] is beyond["seeds_equal"] is None


def test_plan_without_an_effect_is_for_the_margin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_study(tmp_path / "mine", BOTH | {"elu": RELU[::-1]})
    plan(act="elu", results=tmp_path, study="mine", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["effect"] == found["margin"] == 0.0013
    assert (found["primary"], found["comparisons"], found["alpha_family"]) == (False, 2, 0.025)
    assert found["seeds"] < found["seeds_equal"] == found["seeds_decide"]
    assert found["missing"] == 2 * found["seeds_decide"] - 6


def test_a_study_is_an_argument_too(tmp_path: Path) -> None:
    make_study(tmp_path / "mine", BOTH)
    where = ("--results", tmp_path)
    said = fluidrelu("plan", "mine", "--effect", 0.01, *where)
    assert said == fluidrelu("plan", "--study", tmp_path / "mine", "--effect", 0.01, *where)
    assert "--study mine" in said


def test_plan_needs_pairs(tmp_path: Path) -> None:
    make_study(tmp_path / "mine", {"relu": RELU})
    with pytest.raises(FluidReluError, match="train some more pairs"):
        plan(0.01, results=tmp_path, study="mine")


def test_calibrate_chooses_and_writes_where_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exact, off = (0.9721, 0.975, 0.9784), (0.9711, 0.975, 0.9794)  # best and worst are the paper's, or 0.001 away
    make_study(tmp_path / "group" / "b100", {"relu": list(zip(off, exact, off, strict=True))}, batch_size=100)
    ten = make_study(tmp_path / "group" / "b10", {"relu": [*zip(off, strict=True), (0.5,)]}, batch_size=10)
    ten.files("relu-seed3").csv.write_text("damaged")
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "mine.txt").touch()
    calibrate(["group/b100", "group/b10"], tmp_path, folder)
    assert {path.name for path in folder.iterdir()} == {"calibration.csv", "calibration.md", "mine.txt"}
    table = pd.read_csv(folder / "calibration.csv")
    assert table[["batch_size", "epochs", "n", "chosen"]].values.tolist() == [
        [10, 1, 3, False],
        [100, 1, 3, False],
        [100, 2, 3, True],
        [100, 3, 3, False],
    ]
    assert (
        "| 100 | 2 | 3 | 0.97517 | 0.00315 | 0.97840 | 0.97210 | 0.0 | ← |\n" in (folder / "calibration.md").read_text()
    )
    output = capsys.readouterr()
    assert "←" in output.out
    assert str(ten.files("relu-seed3").csv) in output.err


def test_calibrate_needs_runs_and_studies_that_belong_together(tmp_path: Path) -> None:
    make_study(tmp_path / "one", {"relu": RELU})
    make_study(tmp_path / "two", {"relu": RELU})
    with pytest.raises(UsageError, match="two cannot be calibrated"):
        calibrate(["one", "two"], tmp_path)
    for path in (tmp_path / "one" / "runs").iterdir():
        path.unlink()
    with pytest.raises(FluidReluError, match="has no finished run"):
        calibrate(["one"], tmp_path)


RATES = 'activations = ["relu", "fluid"]\nseeds = 3\n[vary]\nlr = [0.001, 0.01, 0.1]\n[protocol]\nepochs = 2\n'


def test_plan_compares_what_a_file_declares(folder: Path) -> None:
    (folder / "mine.toml").write_text(
        'activations = ["relu", "fluid", "elu"]\ncompare = ["ELU", "fluid"]\nmargin = 0.03\nseeds = 9\n'
    )
    make_study(folder / "results/mine", BOTH | {"elu": RELU[::-1]})
    said = fluidrelu("plan", "mine.toml")
    assert words(said).startswith("Over 3 pairs the differences between ELU and FluidReLU have")
    assert "they are equal within 0.03, if they do not differ, takes 8 seeds" in words(said)
    assert "The file declares enough. Train what is missing with: fluidrelu run mine.toml" in words(said)
    said = fluidrelu("plan", "mine.toml", "--effect", 0.001)
    assert "Declare so many in a file of their own, beside mine.toml" in words(said)
    made = fluidrelu_json("plan", "mine.toml", "--margin", 0.02, "--act", "relu")
    assert (made["activation"], made["baseline"], made["study"]) == ("relu", "fluid", "results/mine")
    assert (made["margin"], made["primary"], made["comparisons"]) == (0.02, False, 1)


def test_several_studies_have_one_page(folder: Path) -> None:
    """By names, files, or a folder of files; what has nothing to show is left out, and said."""
    make_grid(folder)
    declared = 'activations = ["relu", "fluid"]\nseeds = 3\n[protocol]\nepochs = 2\n'
    (folder / "studies").mkdir()
    for name, dataset in (("a", "mnist"), ("b", "kmnist"), ("none", "svhn")):
        (folder / "studies" / f"{name}.toml").write_text(f'{declared}dataset = "{dataset}"\n')
    text = (folder / "rates.toml").rename(folder / "studies" / "rates.toml").read_text()
    (folder / "studies" / "sizes.toml").write_text(text)
    for name, dataset in (("a", "mnist"), ("b", "kmnist")):
        make_study(folder / "results" / name, BOTH, dataset=dataset)
    said = words(fluidrelu("report", "studies"))
    assert "Against ReLU, over 2 data sets: FluidReLU is in too few pairs on 2." in said
    assert "studies/none.toml is left out: studies/none.toml has no run yet: train it with" in said
    assert "Left out: studies/rates.toml, studies/sizes.toml. What varies something has a report of its own" in said
    assert "Written: results/report/report.html" in said
    assert (folder / "results" / "report" / "verdicts.csv").exists()
    assert load_study(folder / "results" / "b").log[-1].what == LOOKED
    by_names = fluidrelu_json("report", "a", "results/b")
    assert by_names["answer"] == fluidrelu_json("report", "studies/a.toml", "studies/b.toml")["answer"]
    for arguments, refusal in (
        (("a", "b", "a"), "a is named twice: leave one out."),
        (("a", "results/a"), "Two of the studies are called a: leave one out."),
        (("a", "b", "--focus", "fluid"), "Several studies are compared as their files say: leave --focus out."),
        (("a", "b", "--checklist"), "--checklist is of one study: ask for that of each by itself."),
        (("a", "b", "--beside", "b"), "Several studies are compared as their files say: leave --beside out."),
        (("a", "c"), "There is no study 'c'"),
        (("a", "studies/none.toml"), "Only one of these studies has results to compare with relu: name two."),
    ):
        assert refusal in words(fluidrelu("report", *arguments, code=2))
    for name in ("rates", "sizes", "none", "b"):
        (folder / "studies" / f"{name}.toml").unlink()
    assert "Written: results/a/report/report.html" in words(fluidrelu("report", "studies"))


def test_plan_of_a_grid_is_one_for_each_study_that_allows_it(folder: Path) -> None:
    (folder / "rates.toml").write_text(RATES)
    make_study(folder / "results/rates/lr=0.01", BOTH, lr=0.01)
    [alone] = fluidrelu_json("plan", "rates.toml", "--effect", 0.01)
    assert alone["study"] == "results/rates/lr=0.01"
    make_study(folder / "results/rates/lr=0.001", BOTH)
    make_study(folder / "results/rates/lr=0.1", {"relu": RELU, "fluid": FLUID[:1]}, lr=0.1)
    said = words(fluidrelu("plan", "rates.toml", "--effect", 0.01))
    assert [said.count(f"results/rates/lr={lr}: Over 3 pairs") for lr in (0.001, 0.01, 0.1)] == [1, 1, 0]
    assert "results/rates/lr=0.1: The study does not show how much differences between fluid and relu vary" in said
    made = fluidrelu_json("plan", "rates.toml", "--effect", 0.01)
    assert [each["study"] for each in made] == ["results/rates/lr=0.001", "results/rates/lr=0.01"]
    assert made[1] == alone
    assert (alone["primary"], alone["comparisons"]) == (True, 3)  # with the third cell, which allows no plan
    undeclared = fluidrelu_json("plan", "rates/lr=0.01", "--effect", 0.01)
    assert (undeclared["comparisons"], undeclared["sd_planned"]) == (1, alone["sd_planned"])
    for lr in (0.001, 0.01):
        for path in (folder / f"results/rates/lr={lr}/runs").glob("fluid-*"):
            path.unlink()
    said = words(fluidrelu("plan", "rates.toml", "--effect", 0.01, code=1))
    assert said.endswith("Error: No study of the file has enough runs for a plan: train some more pairs first.")


def test_plan_of_what_a_file_tunes_is_of_the_arms_that_were_chosen(folder: Path) -> None:
    tune = "[tune]\nlr = [0.01, 0.1]\nseeds = 1\nvalidation_images = 100\n"
    (folder / "tuned.toml").write_text('activations = ["relu", "fluid"]\nseeds = 3\n[protocol]\nepochs = 2\n' + tune)
    assert "tuned.toml has no run yet" in words(fluidrelu("plan", "tuned.toml", "--effect", 0.01, code=1))
    tuning = make_study(folder / "results/tuned/tuning", {"relu@lr=0.1": RELU[:1]}, validation_images=100)
    assert "tuned.toml is not tuned yet: 0 of 4" in words(fluidrelu("plan", "tuned.toml", "--effect", 0.01, code=1))
    for arm, accuracy in {"relu@lr=0.01": 0.5, "relu@lr=0.1": 0.6, "fluid@lr=0.01": 0.6, "fluid@lr=0.1": 0.5}.items():
        tuning.write(make_run(arm, FIRST_TUNING_SEED, (0.5, accuracy), validation_images=100))
    make_study(folder / "results/tuned", {"relu@lr=0.1": RELU, "fluid@lr=0.01": FLUID})
    made = fluidrelu_json("plan", "tuned.toml", "--effect", 0.01)
    assert (made["activation"], made["baseline"], made["pairs"]) == ("fluid@lr=0.01", "relu@lr=0.1", 3)
    said = words(fluidrelu("report", "tuned/tuning"))
    assert "How good are" in said  # rather than what the file asks


def test_calibrate_reads_the_studies_of_a_file(folder: Path) -> None:
    (folder / "sizes.toml").write_text('activations = ["relu"]\nseeds = 3\n[vary]\nbatch_size = [10, 100]\n')
    assert "sizes.toml has no run yet" in words(fluidrelu("calibrate", "sizes.toml", code=1))
    for size in (10, 100):
        make_study(folder / f"results/sizes/batch_size={size}", {"relu": RELU}, batch_size=size)
    said = fluidrelu("calibrate", "sizes.toml")
    assert said == fluidrelu("calibrate", "sizes/batch_size=10", "sizes/batch_size=100")
    assert len(re.findall(r"^ +100? ", said, re.MULTILINE)) == 4


def test_a_report_by_a_file_that_nothing_was_trained_from_leaves_the_study_undeclared(folder: Path) -> None:
    make_study(folder / "results/mine", {"relu": RELU})
    before = words(fluidrelu("report", "mine"))
    (folder / "mine.toml").write_text('activations = ["relu"]\nseeds = 3\n[protocol]\nepochs = 2\n')
    assert "Described afterwards in mine.toml: the runs" in words(fluidrelu("report", "mine.toml"))
    assert words(fluidrelu("report", "mine")) == before


@pytest.mark.parametrize("name", ["mine", "rates.toml"])
def test_the_checklist_is_printed_alone_and_is_a_look(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_grid(folder)
    make_study(folder / "results" / "mine", BOTH)
    report(folder / "results", name, checklist=True)
    output = capsys.readouterr()
    standing = "Exploratory: no file" if name == "mine" else "Declared in rates.toml."
    first, second = output.out.split("\n\n")
    assert first.startswith("Statistical significance. Runs of one activation differ in their seed")
    assert standing in first
    assert second.startswith(f"Compute resources. {6 if name == 'mine' else 12} runs on")
    assert len(output.out.splitlines()) == 3
    assert not output.err
    assert not list((folder / "results").rglob("report*"))
    looked = ["mine"] if name == "mine" else ["rates/lr=0.001", "rates/lr=0.01"]
    assert all(load_study(folder / "results" / each).log[-1].what == LOOKED for each in looked)


@pytest.mark.parametrize(
    ("option", "value"), [("--format", "json"), ("--output", "new"), ("--figures", "pdf"), ("--json", None)]
)
def test_the_checklist_refuses_what_it_has_no_use_for(option: str, value: str | None, folder: Path) -> None:
    make_study(folder / "results" / "local", {"relu": RELU})
    said = f"--checklist prints plain text and writes no files: leave {option} out."
    assert said in words(fluidrelu("report", "--checklist", option, *filter(None, [value]), code=2))
    assert fluidrelu("report", "--checklist", "--format", "table").startswith("Statistical significance.")
