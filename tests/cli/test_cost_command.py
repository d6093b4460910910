"""`cost` on small networks: what it measures, prints and keeps."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from command_line import fluidrelu_json
from factories import make_cost, make_declaration, make_study
from typer.testing import CliRunner

from fluidrelu_cli.cli.app import app
from fluidrelu_cli.cost import Cost, read_cost
from fluidrelu_cli.declared import keep_declaration
from fluidrelu_cli.networks.named import CASTS, Activation
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.study import ASKED, Entry

FILE = (
    'activations = ["relu", { name = "fluid", beta = 1000 }, "fluid", "elu"]\nseeds = 2\n[protocol]\nbatch_size = 10\n'
)


TUNE = "[tune]\nlr = [0.1, 0.2]\nseeds = 1\nvalidation_images = 5\n"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is measured meanwhile: the activations' names, the protocol, the images' shape, the classes and images."""
    seen: list[tuple[Any, ...]] = []

    def measure(activations: list[Activation], protocol: Protocol, *what: Any, rounds: int, **_: Any) -> Cost:
        names = [each.name for each in activations]
        seen.append((names, protocol, *what))
        steps = {name: [0.001 * number] * rounds for number, name in enumerate(names, start=1)}
        return make_cost(steps, [0.001] * rounds, **protocol.to_dict())

    monkeypatch.setattr("fluidrelu_cli.training.cost.measure_cost", measure)
    return seen


def invoke(*arguments: object) -> tuple[str, str]:
    """What a command prints on stdout and on stderr."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_really_measured(folder: Path) -> None:
    """No data set is needed, nor is anything written."""
    options = ("--dataset", "cifar100", "--model", "paper", "--batch-size", 1, "--data-dir", folder / "none")
    content = fluidrelu_json("cost", "--act", "elu", *options, "--rounds", 6, "--device", "cpu")
    assert [row["activation"] for row in content["cost"]] == ["relu", "elu"]
    assert [len(each["step_seconds"]) for each in (*content["activations"], content["again"])] == [6] * 3
    assert (content["steps"], content["device"], content["threads"]) == (5, "cpu", 1)
    assert list(folder.iterdir()) == []


def test_options_say_what_is_measured(folder: Path, measured: list[tuple[Any, ...]]) -> None:
    table, progress = invoke("cost", "--dataset", "CIFAR10", "--model", "cnn3", "--train-images", 7, "--rounds", 8)
    protocol = Protocol(dataset="cifar10", model="cnn3", train_images=7)
    assert measured == [(["relu", "fluid"], protocol, (3, 32, 32), 10, 7, "auto")]
    assert progress == "Measuring 2 activations in 8 rounds.\n"
    assert " ReLU ≈ 1 ± 0.00 ≈ 1 ± 0.00 ≈ 1 ± 0.00 1.00 0 FluidReLU 2.00 ± 0.00 " in " ".join(table.split())
    assert "8 rounds of 5 steps of 20 images" in table
    assert list(folder.iterdir()) == []
    invoke("cost", "--act", "gelu", "--act", "common")
    assert measured[-1][0] == ["relu", "GELU", *(name for name in CASTS["common"] if name not in ("relu", "GELU"))]


def test_a_file_s_study_keeps_what_is_measured(folder: Path, measured: list[tuple[Any, ...]]) -> None:
    (folder / "mine.toml").write_text(FILE)
    csv, said = invoke("cost", "mine.toml", "--format", "csv")
    assert [(names, protocol.batch_size) for names, protocol, *_ in measured] == [(["relu", "fluid", "elu"], 10)]
    assert pd.read_csv(io.StringIO(csv))["step"].tolist() == pytest.approx([1, 2, 3])
    path = Path("results") / "mine" / "cost.json"
    assert said.splitlines()[-1] == f"Written: {path}, which `fluidrelu report mine.toml` shows."
    assert read_cost(path).protocol == measured[0][1]
    # and before or after it is trained, named by the file or the study
    make_study(folder / "results" / "mine", {"relu": [(0.5, 0.5)], "elu": [(0.5, 0.5)]}, batch_size=10)
    markdown, _ = invoke("cost", "mine", "--format", "markdown")
    assert markdown.startswith("| activation | step (95 %) |")
    assert measured[1][0] == ["relu", "elu"]
    make_study(folder / "results" / "grid" / "lr=0.1", {"relu": [(0.5,)]}, lr=0.1)
    _, said = invoke("cost", "grid/lr=0.1")
    assert said.splitlines()[-1].endswith("which `fluidrelu report --study grid/lr=0.1` shows.")
    assert [row["activation"] for row in fluidrelu_json("report", "mine")["cost"]] == ["relu", "elu"]


def test_an_npz_file_says_what_its_images_are(folder: Path, measured: list[tuple[Any, ...]]) -> None:
    import numpy as np

    images, labels = np.zeros((4, 20, 24, 3), np.uint8), np.array([0, 1, 2, 0])
    np.savez(folder / "own.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    invoke("cost", "--dataset", "own.npz", "--act", "relu")
    assert measured[0][2:5] == ((3, 20, 24), 3, 4)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["mine.toml", "--act", "elu"], 2, "Error: mine.toml says itself what is measured: leave --act out."),
        (["own", "--batch-size", "3"], 2, "Error: own says itself what is measured: leave --batch-size out."),
        (["--json", "--format", "csv"], 2, "Error: --json means --format json: leave out --json or --format csv."),
        (["grid.toml"], 2, "Error: grid.toml varies its protocol: name one of its studies, such as grid/lr=0.1."),
        (["own"], 2, "names code that does not come with this program, 'failing_in_cost:Own'"),
        (["own.toml"], 2, "names code that does not come with this program, 'failing_in_cost:Own'"),
        (["kept"], 2, "names code that does not come with this program, 'failing_in_cost:Own'"),
        (["nothing"], 2, "Error: There is no study 'nothing'"),
        (["--model", "cnn3", "--dataset", "own.npz"], 2, "Error: There is no file own.npz"),
        (
            ["--act", "failing_in_cost:Own"],
            1,
            "Error: A training step failed: ArithmeticError: too many; --debug shows where.",
        ),
    ],
)
def test_errors(arguments: list[str], code: int, sentence: str, folder: Path) -> None:
    (folder / "mine.toml").write_text(FILE)
    (folder / "grid.toml").write_text(FILE + "[vary]\nlr = [0.1, 0.2]\n")
    (folder / "failing_in_cost.py").write_text(
        "import torch\n\n\nclass Own(torch.nn.Module):\n    def forward(self, v):\n        if len(v) > 2:\n"
        '            raise ArithmeticError("too many")\n        return v\n'
    )
    for name in ("own", "own.toml"):
        make_study(folder / "results" / name, {"failing_in_cost:Own": [(0.5,)]})
    kept = make_declaration('activations = ["failing_in_cost:Own"]\nseeds = 1\n' + TUNE, folder / "kept.toml")
    keep_declaration(kept, folder / "results" / "kept")
    tried = make_study(folder / "results" / kept.tuning_name, {"relu": [(0.5,)]}, validation_images=5)
    tried.record(Entry(ASKED, {"relu": 1}, file="kept.toml", sha256=kept.sha256))
    result = CliRunner().invoke(app, ["cost", *arguments, "--rounds", "6", "--device", "cpu"])
    assert (result.exit_code, sentence in " ".join(result.stderr.split())) == (code, True), result.output
