"""`report`, `plan` and `calibrate` end to end, on small real studies."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import (
    assert_same_numbers,
    fluidrelu,
    words,
)

import fluidrelu_cli

pytestmark = pytest.mark.usefixtures("folder")


def test_report_shows_table_2_and_writes_it(undisturbed: Path) -> None:
    results = undisturbed.parent.parent
    output = fluidrelu("report", "--results", results)
    for number in ("0.9784", "0.9721", "0.9800", "0.9753"):
        assert number in output
    assert "2/2" in output
    written = {path.name for path in undisturbed.parent.rglob("*") if path.is_file() and path.parent != undisturbed}
    assert written >= {"table2.csv", "table2.md", "summary.csv", "figure1.png", "figure1.svg"}
    assert written >= {"learning-curves.png", "learned-fluid.svg", "report.html", "comparisons.csv"}
    output = words(fluidrelu("report", "--results", results, "--against", results / "local"))
    assert "All 4 runs in common with" in output


def test_report_in_a_format_prints_that_alone(undisturbed: Path) -> None:
    results = undisturbed.parent.parent
    command = [sys.executable, "-m", "fluidrelu_cli", "report", "--results", str(results), "--format", "json"]
    package = {**os.environ, "PYTHONPATH": str(Path(fluidrelu_cli.__file__).parents[1])}
    finished = subprocess.run(command, capture_output=True, text=True, check=True, env=package)
    assert json.loads(finished.stdout)["study"] == str(results / "local")
    assert "written: " in finished.stderr
    assert "report.html, and beside it comparisons.csv" in finished.stderr


def test_plan_tells_seeds_and_time_and_the_command(undisturbed: Path) -> None:
    output = words(fluidrelu("plan", "--effect", 0.5, "--results", undisturbed.parent.parent, "--workers", 1))
    assert "Over 2 pairs the differences between FluidReLU and ReLU have a sample SD of" in output
    assert "To find a true difference of 0.5 with a power of 80 % at the level of 5 %, one comparison by" in output
    assert re.search(r"with 1 worker, at the \d+ s that a pair took on", output)
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
    assert (results / "calibration.csv").exists()
