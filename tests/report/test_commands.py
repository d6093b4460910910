"""The commands that a page gives do make its study again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from factories import make_declaration, make_run, make_study

from fluidrelu_cli.report.commands import list_commands
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.study import load_study

RESULTS = Path(__file__).parents[2] / "results"
TWO = [(0.5, 0.6, 0.7)] * 2


def test_commands_name_what_is_not_the_default(tmp_path: Path) -> None:
    study = make_study(
        tmp_path / "first",
        {"relu": TWO, "mine:Soft": TWO, "tanh": TWO[:1], "a.b:Big Act": TWO},
        dataset="my photos.npz",
        model="nets:Net",
        train_images=200,
        lr=5e-4,
    )
    options = "--study first --dataset 'my photos.npz' --model nets:Net --epochs 3 --lr 0.0005 --train-images 200"
    assert list_commands(Evidence(study)) == (
        "# Needs the module mine, the module a.b, the module nets and the data my photos.npz.",
        f"fluidrelu repeat -n 2 --act relu --act mine:Soft --act 'a.b:Big Act' {options}",
        f"fluidrelu repeat -n 1 --act tanh {options}",
        "fluidrelu report --study first --trust",
    )


def test_commands_include_single_trials_and_what_a_report_compares(tmp_path: Path) -> None:
    study, other = (make_study(tmp_path / name, {"tanh": TWO, "relu": TWO}, lr=0.1) for name in ("one", "two"))
    study.write(make_run("elu", 7, TWO[0], lr=0.1))
    study.write(make_run("__main__:Soft", 0, TWO[0], lr=0.1))
    study = replace(load_study(study.folder), name="a/one")
    evidence = Evidence(study, baseline="tanh", against=Evidence(other), beside=[Evidence(other, baseline="tanh")])
    options = "--study a/one --epochs 3 --lr 0.1"
    assert list_commands(evidence) == (
        "# Move what a script or a notebook defined (__main__) to a file, and name it as file:Class.",
        f"fluidrelu repeat -n 2 --act tanh --act relu {options}",
        f"fluidrelu train --act __main__:Soft --seed 0 {options}",
        f"fluidrelu train --act elu --seed 7 {options}",
        f"fluidrelu report --study a/one --trust --baseline tanh --beside two --against {other.folder}",
    )


def test_a_declared_study_is_made_again_by_its_file(tmp_path: Path) -> None:
    study = make_study(tmp_path / "mine", {"relu": TWO, "elu": TWO, "mine:Soft": TWO}, train_images=200)
    text = 'activations = ["relu", "elu", "mine:Soft"]\ncompare = ["mine:Soft", "elu"]\nseeds = 2\n'
    declaration = make_declaration(text + "[protocol]\ntrain_images = 200\nepochs = 3\n", Path("my files/mine.toml"))
    needs = "# Needs the module mine."
    run, report = "fluidrelu run 'my files/mine.toml'", "fluidrelu report 'my files/mine.toml' --trust"
    assert list_commands(Evidence(study, declaration=declaration)) == (needs, run, report)
    other = Evidence(study, declaration=declaration, baseline="relu", focus="elu")
    assert list_commands(other) == (needs, run, f"{report} --baseline relu --focus elu")


def test_a_cell_of_a_grid_is_reported_by_its_name(tmp_path: Path) -> None:
    study = replace(make_study(tmp_path / "lr=0.1", {"relu": TWO, "fluid": TWO}, lr=0.1), name="mine/lr=0.1")
    text = 'activations = ["relu", "fluid"]\nseeds = 2\n[protocol]\nepochs = 3\n[vary]\nlr = [0.1, 0.2]\n'
    commands = list_commands(Evidence(study, declaration=make_declaration(text)))
    assert commands == ("fluidrelu run mine.toml", "fluidrelu report --study mine/lr=0.1")


@pytest.mark.parametrize(("study", "n"), [("paper", 3), ("cifar10-cnn3", 10)])
def test_commands_of_committed_studies(study: str, n: int) -> None:
    commands = list_commands(Evidence(load_study(RESULTS / study)))
    assert commands[0].startswith(f"fluidrelu repeat -n {n} --act relu --act fluid --study {study}")
    assert commands[1:] == (f"fluidrelu report --study {study}",)
