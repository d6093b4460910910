"""A study from elsewhere: what its files name is neither imported nor called, and what was forged is left out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import fluidrelu, words
from factories import make_run, make_study

from fluidrelu_cli.protocol import trial_name
from fluidrelu_cli.study import Study

EVIL = """
from pathlib import Path
Path("imported").touch()
import torch

class Soft(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.zeros(2))

    def forward(self, v):
        return v
"""

NAMES = ("fluid_evil:Soft", "os:abort", "builtins:input", "Softmax")
"""Their functions would be drawn, because runs of names with "fluid" have learned parameters; see make_run."""


@pytest.fixture
def study(folder: Path) -> Iterator[Study]:
    """A study as a stranger could send it, and a file in the current folder that fits one of its names."""
    (folder / "fluid_evil.py").write_text(EVIL)
    study = Study(folder / "results" / "sent", make_run(model="fluid_evil:Net").trial.protocol)
    for name in ("relu", *NAMES):
        study.ask([name], 2)
        for seed in range(2):
            run = make_run("fluid", seed, model="fluid_evil:Net")
            object.__setattr__(run.trial, "activation", name)
            study.write(run)
    yield study
    sys.modules.pop("fluid_evil", None)


@pytest.mark.slow
@pytest.mark.usefixtures("drawn")
def test_a_report_of_it_imports_and_calls_nothing(study: Study, folder: Path) -> None:
    said = words(fluidrelu("report", "--study", "sent"))
    assert "functions-fluid_evil-Soft is not drawn (it needs its author's own code" in said
    assert not (folder / "imported").exists()
    assert (study.folder / "report" / "report.html").exists()


def test_a_plan_and_a_restored_study_import_nothing(study: Study, folder: Path) -> None:
    fluidrelu("plan", "--effect", 0.1, "--act", "fluid_evil:Soft", "--study", "sent", code=1)  # they are all equal
    study.path.unlink()
    fluidrelu("restore", "sent")
    assert not (folder / "imported").exists()


@pytest.mark.parametrize("name", NAMES[:3])
def test_verify_imports_only_what_is_trusted(name: str, study: Study, folder: Path) -> None:
    csv = study.files(trial_name(name, 0)).csv
    said = words(fluidrelu("verify", csv, code=2))
    assert f"names code that does not come with this program, '{name}', and importing it runs it" in said
    assert not (folder / "imported").exists()
    said = words(fluidrelu("verify", csv, "--trust", code=2))  # nor is anything called that is no module
    assert "(no class of torch.nn.Module)" in said or "cannot serve as" in said or "cannot be imported" in said


@pytest.mark.usefixtures("study")
def test_repeat_imports_only_what_its_command_names(folder: Path) -> None:
    said = words(fluidrelu("repeat", "-n", 2, "--act", "relu", "--study", "sent", code=2))
    assert "study.json names code that does not come with this program, 'fluid_evil:Net'" in said
    recalled = words(fluidrelu("repeat", "-n", 2, "--study", "sent", "--model", "fluid_evil:Net", code=2))
    assert "study.json names code that does not come with this program, 'fluid_evil:Soft'" in recalled
    acts = "--act relu --act fluid_evil:Soft --act os:abort --act builtins:input --act Softmax"
    assert recalled.endswith(f"if you trust it, or name it yourself with {acts}.")
    assert not (folder / "imported").exists()
    named = fluidrelu("repeat", "-n", 2, "--act", "relu", "--study", "sent", "--model", "fluid_evil:Net", code=2)
    assert "has no attribute 'Net'" in words(named)
    assert (folder / "imported").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("study")
@pytest.mark.usefixtures("drawn")
def test_with_trust_a_report_imports_what_is_named_but_calls_no_more_than_modules(folder: Path) -> None:
    said = words(fluidrelu("report", "--study", "sent", "--trust"))
    assert (folder / "imported").exists()
    assert "functions-fluid_evil-Soft is not drawn (its source is not the one that was trained)" in said
    for name in NAMES[1:3]:
        assert f"'{name}' cannot serve as an activation (no class of torch.nn.Module)" in said


def test_a_forged_run_is_left_out_of_the_report_and_set_aside_by_repeat(folder: Path) -> None:
    accuracies = {"relu": [(0.5,)] * 3, "fluid": [(0.5,)] * 3}
    study = make_study(folder / "results" / "mine", accuracies, train_images=300, test_images=100)
    csv = study.files("fluid-seed1").csv
    csv.write_text(csv.read_text().replace("0.5,", "0.99,"))
    output = words(fluidrelu("report", "--study", "mine"))
    assert "Left out: results/mine/runs/fluid-seed1.csv was changed after it was written" in output
    assert "2/3" in output
    output = words(fluidrelu("repeat", "-n", 3, "--study", "mine", "--device", "cpu"))
    assert "the run is now fluid-seed1.csv.damaged1, and the trial is run again" in output
    assert "3/3" in output


def test_runs_of_an_earlier_release_are_used_and_said_to_be_unprotected_once(folder: Path) -> None:
    study = make_study(folder / "results" / "mine", {name: [(0.5,)] * 3 for name in ("relu", "fluid")})
    for path in study.runs_folder.glob("*.json"):
        content = json.loads(path.read_text())
        digests = ("csv_sha256", "parameters_sha256", "sha256")
        path.write_text(json.dumps({name: value for name, value in content.items() if name not in digests}))
    output = words(fluidrelu("report", "--study", "mine"))
    assert output.count("6 of the 6 runs in results/mine lack a digest") == 1
    assert output.count("3/3") == 2


@pytest.mark.slow
def test_a_mistyped_number_of_seeds_is_forgotten(folder: Path) -> None:
    make_study(folder / "results" / "mine", {name: [(0.5,)] * 3 for name in ("relu", "fluid")}).ask(["relu"], 90_000)
    assert "3/90000" in fluidrelu("report", "--study", "mine")
    assert "3/90000" in fluidrelu("repeat", "-n", 3, "--study", "mine", "--device", "cpu")
    assert "3/90000" not in fluidrelu("repeat", "-n", 3, "--forget", "--study", "mine", "--device", "cpu")
    assert "-n" in fluidrelu("repeat", "-n", 1_000_000, code=2)


@pytest.mark.slow
def test_a_study_without_its_file_is_restored(folder: Path) -> None:
    study = make_study(folder / "results" / "mine", {name: [(0.5,)] * 3 for name in ("relu", "fluid")})
    study.path.unlink()
    assert "`fluidrelu restore results/mine` makes it" in words(fluidrelu("repeat", "--study", "mine", code=1))
    output = words(fluidrelu("restore", "mine"))
    assert (
        output == "Restored: results/mine/study.json, as if 3 seeds of fluid, 3 seeds of relu had been asked for. "[:-1]
    )
    assert "3/3" in fluidrelu("report", "--study", "mine")
