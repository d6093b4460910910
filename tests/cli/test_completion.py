"""What a shell completes values with, by the protocol of its script: in a process of its own, and without torch."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from command_line import fluidrelu
from factories import make_study
from torch import nn
from typer.testing import CliRunner

import fluidrelu_cli
from fluidrelu_cli.cli.app import app
from fluidrelu_cli.cli.completion import TORCH_ACTIVATIONS
from fluidrelu_cli.data.catalogue import CATALOGUE
from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.networks.named import ACTIVATIONS, ARCHITECTURES, CASTS, resolve

OWN = "import nowhere\n\nclass Soft: ...\n\nclass _Hidden: ...\n\ndef net(): ...\n"
ALL = (*ACTIVATIONS, *TORCH_ACTIVATIONS, "mycurves:Soft", *CASTS)


def complete(line: str) -> list[str]:
    """What bash would propose for the last word of a line."""
    shell = {"_FLUIDRELU_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    return CliRunner().invoke(app, env=shell, prog_name="fluidrelu").output.split()


@pytest.mark.parametrize(
    ("line", "proposed"),
    [
        ("report --study ", ["group/one", "local", "longer"]),
        ("report lo", ["local", "longer"]),
        ("report --results other --study ", ["elsewhere"]),
        ("report local --beside g", ["group/one"]),
        ("report --against lon", ["longer"]),
        ("plan lon", ["longer"]),
        ("verify lon", ["longer"]),
        ("calibrate local lon", ["longer"]),
        ("restore lon", ["longer"]),
        ("status local lon", ["longer"]),
        ("repeat --study lon", ["longer"]),
        ("repeat --act ", sorted(ALL, key=ALL.index)),
        ("train --act myc", ["mycurves:Soft"]),
        ("train --act Softm", ["Softmax", "Softmax2d", "Softmin"]),
        ("train --act com", []),
        ("repeat --act com", ["common"]),
        ("train --act ge", ["gelu"]),
        ("plan --baseline soft", ["softplus", "softmax", "softmax2d", "softmin", "softshrink", "softsign"]),
        ("train --act relu@", ["relu@beta=", "relu@lr=", "relu@momentum=", "relu@weight_decay="]),
        ("train --act relu@beta=1@l", ["relu@beta=1@lr="]),
        ("verify local --act pre", ["prelu"]),
        ("plan --baseline pre", ["prelu"]),
        ("train --model ", [*ARCHITECTURES, "mycurves:Soft", "mycurves:net"]),
        ("train --model paper:po", [f"paper:pooling={kind}" for kind in ("max", "average", "max-3", "max-average-3")]),
        ("train --model cnn3:hidden=8,pa", ["cnn3:hidden=8,padding=none", "cnn3:hidden=8,padding=same"]),
        ("train --model paper:hidden=", ["paper:hidden="]),
        ("train --model resnet20:", []),
        ("repeat --dataset ", [*CATALOGUE, "photos.npz"]),
        ("data verify ph", ["photos.npz"]),
        ("data fetch kmnist ci", ["cifar10", "cifar100"]),
    ],
)
def test_values_are_completed(line: str, proposed: list[str], folder: Path) -> None:
    for name in ("results/group/one", "results/local", "results/longer", "other/elsewhere"):
        make_study(folder / name, {"relu": [(0.5,)]})
    (folder / "mycurves.py").write_text(OWN)
    (folder / "broken.py").write_text("class (")
    (folder / "photos.npz").touch()
    assert complete(f"fluidrelu {line}") == proposed
    assert "mycurves" not in sys.modules


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_needs_no_torch(shell: str, folder: Path) -> None:
    (folder / "mycurves.py").write_text(OWN)
    script = (
        "import atexit, sys\nfrom fluidrelu_cli.cli.app import app\n"
        "atexit.register(lambda: print({'torch', 'numpy', 'pandas', 'mycurves'} & set(sys.modules) or 'quick'))\n"
        "app(prog_name='fluidrelu')"
    )
    line = "fluidrelu train --act myc"
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(fluidrelu_cli.__file__).parents[1]),
        "_FLUIDRELU_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": "3",
        "_TYPER_COMPLETE_ARGS": line,
    }
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.endswith("quick\n")
    assert "mycurves" in done.stdout


def test_the_activations_of_torch_are_those_that_can_serve() -> None:
    serving = []
    for name in nn.modules.activation.__all__:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Softmax wants to know its dimension
            try:
                serving += [name] if resolve(name).source == "torch.nn" else []
            except UsageError:
                continue
    assert sorted(serving) == list(TORCH_ACTIVATIONS)


def test_the_help_names_data_sets_and_networks() -> None:
    output = " ".join(fluidrelu("train", "--help").replace("│", " ").split())
    assert f"built in: {', '.join(CATALOGUE)} (left out" in output
    assert f"built in: {', '.join(ARCHITECTURES)} (left out" in output
