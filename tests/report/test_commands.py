"""The commands that a page gives do make its study again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from factories import make_run, make_study

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


@pytest.mark.parametrize(("study", "n"), [("paper", 3), ("cifar10-cnn3", 10)])
def test_commands_of_committed_studies(study: str, n: int) -> None:
    commands = list_commands(Evidence(load_study(RESULTS / study)))
    assert commands[0].startswith(f"fluidrelu repeat -n {n} --act relu --act fluid --study {study}")
    assert commands[1:] == (f"fluidrelu report --study {study}",)
