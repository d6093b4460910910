"""What holds of every command: help, errors as sentences, exit codes, lists."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import (
    fluidrelu,
    fluidrelu_json,
    words,
)
from factories import make_study
from typer.testing import CliRunner

import fluidrelu_cli
from fluidrelu_cli.cli.app import app
from fluidrelu_cli.networks.named import ACTIVATIONS
from fluidrelu_cli.protocol import SETTINGS

pytestmark = pytest.mark.usefixtures("folder")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train --act fluide", "There is no activation 'fluide'. Did you mean fluid"),
        ("train --act Linear", "'Linear' cannot serve as an activation"),
        ("train --act nowhere:Act", "cannot be imported (ModuleNotFoundError"),
        ("train --act common", "'common' stands for several activations (relu, leaky-relu, prelu, elu, GELU, SiLU"),
        ("repeat --act relu,gelu", "Name each with an --act of its own: --act relu --act gelu."),
        (
            "train --dataset mnits",
            "There is no data set 'mnits'. Did you mean mnist? Name one of mnist, fashion-mnist, kmnist, cifar10,",
        ),
        (
            "train --dataset nosuch.npz",
            "There is no file nosuch.npz in ",
        ),
        ("train --model big", "There is no model 'big'. Use --model paper, cnn3, resnet20, or module:Class"),
        ("train --model nowhere:Net", "The network 'nowhere:Net' cannot be imported (ModuleNotFoundError"),
        ("train --schedule linear", "Invalid value for '--schedule'"),
        ("train --augment mixup", "Invalid value for '--augment'"),
        (
            "train --train-images 200 --evaluations 11",
            "--evaluations must be at most 10, the number of steps in an epoch, not 11.",
        ),
        ("train --pixels yes", "Invalid value for '--pixels'"),
        ("train --weight-decay -1", "--weight-decay must be a number from 0, not -1.0."),
        ("train --validation-images 0", "--validation-images must be a whole number from 1 to 1,000,000,000, not 0."),
        (
            "train --validation-images 60000",
            "--validation-images must be below 60000, the number of training images, not 60000.",
        ),
        (
            "train --validation-images 10 --test-images 10",
            "--validation-images takes the place of the test images: leave --test-images out.",
        ),
        ("train --device tpu", "Invalid value for '--device'"),
        ("train --seed -1", "Invalid value for '--seed'"),
        ("train --epochs 0", "--epochs must be a whole number from 1 to 1,000,000,000, not 0."),
        ("train --batch-size -5", "--batch-size must be a whole number from 1 to 1,000,000,000, not -5."),
        ("train --beta -1", "--beta must be a number from 0, not -1.0."),
        ("train --beta nan", "--beta must be a number from 0, not nan."),
        ("train --lr 0", "--lr must be a number above 0, not 0.0."),
        ("train --momentum 1", "--momentum must be a number from 0 to below 1, not 1.0."),
        ("train --train-images 60001", "--train-images must be at most 60000, the size of the data set, not 60001."),
        ("train --study ../elsewhere", "--study '../elsewhere' is not a valid name"),
        ("repeat -n 0", "Invalid value for '-n' / '--seeds'"),
        ("repeat --workers 0", "Invalid value for '--workers'"),
        ("repeat --batch-seeds 0", "--batch-seeds must be auto or a whole number from 1, not 0."),
        ("repeat --batch-seeds x", "--batch-seeds must be auto or a whole number from 1, not x."),
        ("repeat --batch-seeds 1.5", "--batch-seeds must be auto or a whole number from 1, not 1.5."),
        ("train --precision half", "Invalid value for '--precision'"),
        ("report", "There is no study 'local', and none in results yet: train one with `fluidrelu repeat` first."),
        ("report --study nosuch", "There is no study 'nosuch'"),
        ("report nosuch", "There is no study 'nosuch'"),
        ("report one --study two", "The study is named twice, one and --study two: leave one out."),
        ("report --format html", "Invalid value for '--format'"),
        ("report --json --format csv", "Error: --json means --format json: leave out --json or --format csv."),
        ("report --format table --json", "Error: --json means --format json: leave out --json or --format table."),
        ("plan", "There is no study 'local'"),
        ("plan --effect 0.001 --workers 0", "Invalid value for '--workers'"),
        ("verify nosuch", "There is no study 'nosuch', and none in results yet"),
        ("verify a.csv --seed 1", "a.csv is one run already: leave --act and --seed out, or name its study instead."),
        (
            "verify nosuch.csv",
            "There is no file nosuch.csv: name one of the CSVs in a study's folder runs.",
        ),
        ("calibrate nosuch", "There is no study 'nosuch'"),
        ("train --epochs two", "--epochs"),
        ("train --seed 1 --seed 2", "Error: --seed is given 2 times: leave all but one out."),
        ("train --lr 0.1 --act relu --lr=0.2", "Error: --lr is given 2 times: leave all but one out."),
        ("repeat -n 1 --seeds 1 -n 1", "Error: --seeds is given 3 times: leave all but one out."),
        ("data list --data-dir a --data-dir b", "Error: --data-dir is given 2 times: leave all but one out."),
        ("repeat --workers 9999 --dataset nosuch.npz", "--workers 9999 is far above this machine's "),
        ("trian", "No such command"),
    ],
)
def test_a_wrong_request_is_answered_with_a_sentence_and_exit_code_2(
    arguments: str, message: str, data_dir: Path, folder: Path
) -> None:
    data = ["--data-dir", data_dir] if arguments.startswith("train ") else []
    output = fluidrelu(*arguments.split(), *data, code=2)
    assert message in words(output.replace("│", " "))
    assert "Traceback" not in output
    assert not (folder / "results").exists()


@pytest.mark.parametrize("command", ["", "train", "repeat", "report", "verify", "data"])
def test_the_help_shows_flags_without_a_value(command: str) -> None:
    text = fluidrelu(*command.split(), "--help")
    assert "--help" in text
    assert "bool" not in text.lower()


@pytest.mark.parametrize(
    "option", ["--device", "--precision", "--schedule", "--pixels", "--init", "--augment", "--format", "--figures"]
)
def test_choices_are_checked_shown_and_completed(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = "report" if option in ("--format", "--figures") else "repeat"
    choices = {
        "--device": ("auto", "cpu", "cuda", "mps"),
        "--format": ("table", "markdown", "csv", "json", "latex", "runs"),
        "--figures": ("pdf",),
    }.get(option) or SETTINGS[option[2:]].choices
    output = words(fluidrelu(command, option, "nonsense", code=2).replace("│", " "))
    assert f"Invalid value for '{option}'" in output
    assert all(f"'{choice}'" in output for choice in choices)
    assert f"<{choices[0]}" in fluidrelu(command, "-h")
    monkeypatch.setenv("COMP_WORDS", f"fluidrelu {command} {option} ")
    monkeypatch.setenv("COMP_CWORD", "3")
    completed = CliRunner().invoke(app, env={"_FLUIDRELU_COMPLETE": "complete_bash"}, prog_name="fluidrelu")
    assert completed.output.split() == list(choices)


def test_help_has_panels() -> None:
    output = fluidrelu("repeat", "-h")
    for panel in ("What is trained", "How it is trained", "Where it runs", "Where results go"):
        assert panel in output


def test_every_protocol_field_is_an_option_with_its_help() -> None:
    for command in ("train", "repeat"):
        output = words(fluidrelu(command, "-h").replace("│", " "))
        for name in SETTINGS:
            assert f"--{name.replace('_', '-')} " in output


def test_debug_shows_the_traceback() -> None:
    assert "Traceback" in fluidrelu("report", "--debug", code=2)


def test_an_error_of_the_users_code_names_its_line_and_debug_shows_the_way_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (folder / "raises_on_import.py").write_text("def half():\n    return 1 / 0\n\nHALF = half()\n")
    asked = ("train", "--act", "raises_on_import:Act")
    assert "(ZeroDivisionError: division by zero, in raises_on_import.py line 2)." in words(fluidrelu(*asked, code=2))
    assert "HALF = half()" in fluidrelu(*asked, "--debug", code=2)


def test_a_file_without_a_class_is_answered_with_its_classes(folder: Path) -> None:
    (folder / "defines_two.py").write_text("class Bump:\n    pass\n\nclass Dent:\n    pass\n")
    for option in ("--act", "--model"):
        output = words(fluidrelu("train", option, "defines_two.py", code=2))
        assert "Did you mean defines_two:Bump or defines_two:Dent?" in output
    assert "defines_two" not in sys.modules


def test_an_unforeseen_error_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise RuntimeError("broken\nin two")

    monkeypatch.setattr("fluidrelu_cli.cli.report.find_study", breaks)
    output = words(fluidrelu("report", code=1))
    assert output == "Error: This should not happen: RuntimeError: broken in two. --debug shows where."


def test_a_terminal_without_greek_letters_gets_the_list_too() -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(fluidrelu_cli.__file__).parents[1]),
        "PYTHONIOENCODING": "ascii",
    }
    command = [sys.executable, "-m", "fluidrelu_cli", "acts"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "v | v / (1 - ?)" in finished.stdout


def test_what_may_be_repeated_is_no_error() -> None:
    assert fluidrelu("acts", "--debug", "--debug") == fluidrelu("acts")
    assert "There is no study 'a'" in fluidrelu("report", "--study", "a", "--beside", "b", "--beside", "c", code=2)


def test_acts_lists_every_built_in_activation() -> None:
    output = fluidrelu("acts")
    for name in ACTIVATIONS:
        assert f"\n {name} " in output
    listed = {one["name"]: one for one in fluidrelu_json("acts")}
    assert list(listed) == list(ACTIVATIONS)
    assert listed["fluid"] == {
        "name": "fluid",
        "title": "FluidReLU",
        "formula": "v for v ≥ 0, v / (1 - γ) for v < 0, γ = v / (2 exp(a))",
        "origin": "the paper, eq. (4), as reconstructed here",
        "casts": [],
    }
    assert (listed["GELU"]["casts"], listed["telu"]["casts"]) == (["common", "wide"], ["wide"])
    assert "\n common  relu, leaky-relu, prelu, elu, GELU, SiLU, Mish" in output
    assert listed["fluid-critical"]["formula"] == "max(v, -2 exp(a))"
    assert listed["prelu"]["formula"] == "v for v ≥ 0, a v for v < 0, a learned from 0.25"


def test_models_lists_every_built_in_network() -> None:
    output = fluidrelu("models")
    for name in ("paper", "cnn3", "resnet20"):
        assert f"\n {name} " in output
    assert "--model mymodule:Net" in words(output)
    paper, *others = fluidrelu_json("models")
    assert paper == {
        "name": "paper",
        "title": "paper",
        "formula": "2 convolutions 5x5 (16, 32), max-pooling, linear",
        "origin": "the paper, Table 1",
        "least_side": 16,
        "options": paper["options"],
    }
    assert paper["options"][0] == {
        "name": "padding",
        "default": "none",
        "values": ["none", "same"],
        "help": "zeros around a convolution's input: none, or as many as keep its size",
        "least_side": {"same": 4},
    }
    assert [(each["name"], each["default"], each["values"]) for each in paper["options"][1:]] == [
        ("pooling", "max", ["max", "average", "max-3", "max-average-3"]),
        ("hidden", 0, None),
        ("hidden_activation", "relu", ["relu", "tested", "none"]),
    ]
    assert [len(one["options"]) for one in others] == [4, 0]
    assert "Options of paper and cnn3" in output
    assert "hidden 0 to 100,000 units of a hidden layer" in words(output)
    assert [one["name"] for one in others] == ["cnn3", "resnet20"]


def test_version_and_help() -> None:
    assert fluidrelu("--version") == f"fluidrelu {fluidrelu_cli.__version__}\n"
    for command in ("train", "repeat", "report", "calibrate", "acts"):
        assert fluidrelu(command, "-h") == fluidrelu(command, "--help")


IMPORTED_BY = """
import sys
from fluidrelu_cli.cli.app import app
for line in {lines}:
    try:
        app(line.split())
    except SystemExit as end:
        assert not end.code, line
    if found := {modules} & set(sys.modules):
        sys.exit(f"{{line}} imported {{found}}")
"""


@pytest.mark.parametrize(
    ("lines", "modules"),
    [
        (["--help"], {"torch", "torchvision", "pandas", "matplotlib", "scipy", "numpy"}),
        (
            ["acts --json", "models --json", "data list --json"],
            {"torch", "torchvision", "pandas", "matplotlib", "scipy"},
        ),
        (["status local", "plan --effect 0.5 --json", "calibrate local"], {"torch", "torchvision", "matplotlib"}),
        pytest.param(
            ["report --json"], {"torch", "torchvision", "matplotlib.pyplot", "scipy.stats"}, marks=pytest.mark.slow
        ),
    ],
    ids=lambda value: value[-1].split()[0] if isinstance(value, list) else "",
)
def test_commands_that_do_not_train_import_no_torch(lines: list[str], modules: set[str], folder: Path) -> None:
    names = ("relu", "fluid", "fluid-exp", "fluid-coth")
    make_study(folder / "results" / "local", {name: [(0.5,), (0.5 + len(name) / 100,)] for name in names})
    script = IMPORTED_BY.format(lines=lines, modules=modules)
    environment = {**os.environ, "PYTHONPATH": str(Path(fluidrelu_cli.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "not drawn" not in done.stderr


def test_an_output_that_nobody_reads_is_no_error() -> None:
    root = str(Path(fluidrelu_cli.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "fluidrelu_cli", "acts"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate(timeout=60)
    assert b"Traceback" not in errors
    assert b"Exception" not in errors
