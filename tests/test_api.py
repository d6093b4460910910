"""The Python API: a comparison from a script or a notebook, with classes defined on the spot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import assert_same_numbers
from factories import make_declaration, make_study
from matplotlib.figure import Figure
from torch import Tensor, nn

import fluidrelu_cli
from fluidrelu_cli import compare, read_study
from fluidrelu_cli.declared import keep_declaration
from fluidrelu_cli.errors import FluidReluError, UsageError
from fluidrelu_cli.networks.source import Source
from fluidrelu_cli.study import ASKED, Entry

TINY: dict[str, Any] = {"train_images": 200, "test_images": 100, "epochs": 1, "batch_size": 50}


class Cubic(nn.Module):
    def forward(self, v: Tensor) -> Tensor:
        return torch.where(v < 0, 0.1 * v**3, v)


class Raises(nn.Module):
    def forward(self, v: Tensor) -> Tensor:
        if len(v) > 2:  # not in the check before the training
            raise ArithmeticError("too many images")
        return v


def test_a_class_of_a_function_is_compared_in_this_process(
    tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Local(nn.ReLU):
        pass

    options: dict[str, Any] = {"results": tmp_path, "study": "mine", "data_dir": data_dir, **TINY}
    result = compare(["relu", Local], seeds=2, **options)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "4/4 " in printed.err
    assert [run.trial.name for run in result.runs if run.trial.activation == "relu"] == ["relu-seed0", "relu-seed1"]
    assert len(result.runs) == 4
    [row] = result.comparisons.to_dict("records")
    assert (row["baseline"], row["n"], row["ties"], row["mean_difference"]) == ("relu", 2, 2, 0.0)  # it is ReLU
    assert "2 seeds cannot tell" in result.answer
    assert isinstance(result.figure("differences"), Figure)
    assert result.question in result.html()
    assert result.notes == []
    again = compare(["relu", Local], seeds=2, focus=Local, **options)  # nothing is trained twice
    assert again.runs == result.runs
    assert read_study(tmp_path / "mine").answer == result.answer


def test_names_are_trained_as_on_the_command_line(tmp_path: Path, data_dir: Path, undisturbed: Path) -> None:
    fields: dict[str, Any] = {"train_images": 300, "test_images": 100, "epochs": 2, "batch_size": 50}
    options: dict[str, Any] = {"results": tmp_path, "data_dir": data_dir, "device": "cpu", "save_weights": True}
    result = compare(["fluid", "relu"], seeds=2, **options, **fields)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 4
    assert_same_numbers(tmp_path / "local" / "runs", undisturbed)
    assert result.comparisons["baseline"].tolist() == ["fluid"]  # the first one
    assert result.summary["activation"].tolist() == ["fluid", "relu"]


def test_a_trial_that_fails_is_an_error_that_names_its_traceback(tmp_path: Path, data_dir: Path) -> None:
    with pytest.raises(
        FluidReluError, match=r"^1 of 2 trials failed \(ArithmeticError: too many images\): see "
    ) as error:
        compare(["relu", Raises], seeds=1, workers=1, results=tmp_path, data_dir=data_dir, **TINY)
    [failure] = tmp_path.rglob("*.failed.txt")
    assert str(failure) in str(error.value)
    assert "ArithmeticError" in failure.read_text()
    assert [run.trial.activation for run in read_study(tmp_path / "local").runs] == ["relu"]


@pytest.mark.parametrize(
    ("activations", "options", "words"),
    [
        ([], {}, "needs a list of activations"),
        ("relu", {}, "needs a list of activations"),
        (["relu"], {"seeds": 0}, "seeds must be a whole number from 1 to 100000, not 0"),
        (["relu"], {"seeds": [1, 2]}, "seeds must be a whole number from 1 to 100000, not \\[1, 2\\]"),
        (["relu"], {"learning_rate": 0.1}, "A protocol has no learning_rate: its fields are dataset, model, epochs"),
        (["relu"], {"dataset": "mnits"}, "There is no data set 'mnits'"),
        (["relu"], {"model": "paper:hidden=x"}, "The network's hidden must be a whole number from 0"),
        (["relu", "fluide"], {}, "There is no activation 'fluide'"),
        (["relu", "ReLU"], {}, "Two activations have the same name"),
        (["relu", nn.ReLU()], {}, "An activation is a name or a class of torch.nn.Module"),
        (
            ["relu", "elu", "tanh"],
            {"focus": "ReLU"},
            r"focus must be one of the activations after the first \(elu, tanh\)",
        ),
        (["relu"], {"device": "tpu"}, "There is no device 'tpu'"),
        (["relu"], {"workers": 0}, "workers must be a whole number from 1 to 100000, not 0"),
    ],
)
def test_what_is_refused(activations: Any, options: dict[str, Any], words: str, tmp_path: Path, data_dir: Path) -> None:
    with pytest.raises(UsageError, match=words):
        compare(activations, results=tmp_path, data_dir=data_dir, **options)
    assert list(tmp_path.iterdir()) == []


def test_workers_cannot_be_asked_for_where_they_cannot_import(tmp_path: Path, data_dir: Path) -> None:
    class Local(nn.ReLU):
        pass

    with pytest.raises(UsageError, match=r"A worker process cannot import .*Local: put it in a module of its own"):
        compare(["relu", Local], workers=2, results=tmp_path, data_dir=data_dir, **TINY)


SCRIPT = """
import torch
from torch import nn
from fluidrelu_cli import compare

class Shifted(nn.Module):
    def forward(self, v):
        return torch.relu(v + 0.1)

options = dict(results="results", train_images=200, test_images=100, epochs=1, batch_size=50)
print(compare(["relu", Shifted], seeds=1, study="classes", **options).answer)
"""


@pytest.mark.slow
def test_a_class_of_a_script(tmp_path: Path, data_dir: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(fluidrelu_cli.__file__).parents[1]),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "fluidrelu").symlink_to(data_dir)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "On MNIST with the paper's network after 1 epoch, 1 seed cannot tell Shifted from ReLU"
    )
    assert "Traceback" not in done.stderr


def test_a_study_without_relu_is_compared_with_its_first(tmp_path: Path) -> None:
    make_study(tmp_path, {"elu": [(0.5,)] * 6, "fluid": [(0.75,)] * 6})
    assert read_study(tmp_path).comparisons["baseline"].tolist() == ["elu"]
    assert read_study(tmp_path, baseline="fluid").comparisons["baseline"].tolist() == ["fluid"]
    assert read_study(tmp_path, baseline="Fluid", focus="ELU").question == "Is ELU better than FluidReLU?"
    with pytest.raises(UsageError, match="prelu"):
        read_study(tmp_path, baseline="prelu")
    with pytest.raises(UsageError, match="There is no study"):
        read_study(tmp_path / "nosuch")


def test_unknown_names_of_the_package_are_attribute_errors() -> None:
    assert set(fluidrelu_cli.__all__) <= set(dir(fluidrelu_cli))
    assert all(getattr(fluidrelu_cli, name) for name in fluidrelu_cli.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fluidrelu_cli.nothing


def test_a_class_that_was_changed_is_noted(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The finished runs stay what they are."""
    options: dict[str, Any] = {"seeds": 1, "results": tmp_path, "data_dir": data_dir, **TINY}
    assert compare(["relu", Cubic], **options).notes == []
    changed = Source("0" * 64, "0" * 64, b"")
    monkeypatch.setattr("fluidrelu_cli.networks.named.find_source", lambda _code: changed)
    capsys.readouterr()
    [note] = compare(["relu", Cubic], **options).notes
    assert "Cubic" in note
    assert note in capsys.readouterr().err
    with pytest.raises(UsageError, match="or add --mix"):
        compare(["relu", Cubic], **options | {"seeds": 2})


def test_the_caller_s_torch_is_left_as_it_was(tmp_path: Path, data_dir: Path) -> None:
    class Local(nn.ReLU):
        pass

    torch.set_default_dtype(torch.float64)  # which the training does not see
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    deterministic = torch.are_deterministic_algorithms_enabled()
    try:
        result = compare([Local], seeds=1, results=tmp_path, data_dir=data_dir, **TINY)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.get_num_threads() == threads
    assert torch.are_deterministic_algorithms_enabled() == deterministic
    assert torch.equal(torch.get_rng_state(), state)
    again = compare([Local], seeds=1, study="again", results=tmp_path, data_dir=data_dir, **TINY)
    assert [epoch.test_loss for epoch in again.runs[0].epochs] == [epoch.test_loss for epoch in result.runs[0].epochs]


def test_a_declared_study_is_read_as_its_file_declares(tmp_path: Path) -> None:
    declaration = make_declaration(
        'activations = ["relu", "elu", "Fluid"]\ncompare = ["relu", "fluid"]\nseeds = 6\n[protocol]\nepochs = 1\n'
    )
    folder = tmp_path / "results" / "mine"
    study = make_study(folder, {"relu": [(0.5,)] * 7, "fluid": [(0.75,)] * 6, "elu": [(0.5,)] * 6})
    study.record(Entry(ASKED, {"relu": 6}, file="mine.toml", sha256=declaration.sha256))
    keep_declaration(declaration, folder)
    result = read_study(folder)
    assert set(result.comparisons["baseline"]) == {"fluid"}
    assert dict(zip(result.summary["activation"], result.summary["n"], strict=True)) == {
        "relu": 6,
        "elu": 6,
        "fluid": 6,
    }
    assert "1 run beyond what it declares is exploratory" in result.html()
    assert set(read_study(folder, baseline="elu").comparisons["baseline"]) == {"elu"}
    study.files("fluid-seed5").csv.unlink()
    assert "Interim" in read_study(folder).answer
