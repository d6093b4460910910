"""How `make` makes the environment, with a Python and its pip that only write down what they are called with."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = """
case "$*" in
  "-m venv "*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  *"show "*) [ -e cuda ] || exit 1 ;;
  *"/dev/stdin"*) { echo "$*"; cat; } >> called; [ -e wheels ] || { echo 'ERROR: no such version' >&2; exit 1; } ;;
  *"install "*) echo "$*" >> called ;;
esac
"""
WANTED = ["torch==2.15.0+cpu", "torchvision==0.29.2+cpu", "torch==2.11.0+cpu", "torchvision==0.26.0+cpu"]


@pytest.fixture
def checkout(folder: Path) -> Path:
    """What `make setup` reads, and programs that stand for a machine's own: Linux without an NVIDIA driver."""
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for name, script in {"python": PYTHON, "uname": "echo Linux", "nvidia-smi": "false"}.items():
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    return folder


def set_up(checkout: Path, *variables: str) -> tuple[str, list[str], list[str]]:
    """What `make setup` prints, which versions of torch it looks for first, and its last command."""
    kept = {name: value for name, value in os.environ.items() if name != "CPU" and not name.startswith("MAKE")}
    environment = {**kept, "PATH": f"{checkout / 'bin'}{os.pathsep}{kept['PATH']}"}
    command = ["make", "setup", f"PYTHON={checkout / 'bin' / 'python'}", *variables]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    *wanted, last = (checkout / "called").read_text().splitlines()
    assert done.stdout.endswith("source .venv/bin/activate puts fluidrelu on the PATH of your shell.\n")
    return done.stdout, wanted, last.split()


@pytest.mark.parametrize("variables", [["CPU=1"], []])
def test_torch_comes_without_cuda_libraries_where_there_is_no_driver(checkout: Path, variables: list[str]) -> None:
    (checkout / "wheels").touch()
    printed, [command, *wanted], last = set_up(checkout, *variables)
    assert "--timeout 5 --retries 0 --no-deps --extra-index-url https://download.pytorch.org/whl/cpu" in command
    assert [line.partition(";")[0] for line in wanted] == WANTED
    assert "CPU=0" in printed
    assert "6 GB" not in printed
    assert last[-4:] == ["-c", "constraints.txt", "-e", ".[dev]"]


def test_torch_comes_with_cuda_libraries_where_it_cannot_be_had_without(checkout: Path) -> None:
    printed, [command, *_], last = set_up(checkout, "CPU=1")
    assert "whl/cpu" in command
    assert "No package index at hand has it, so torch comes with them: .venv will take about 6 GB.\n" in printed
    assert last[-1] == ".[dev]"


@pytest.mark.parametrize("case", ["a driver", "asked for", "a Mac", "an environment that has them"])
def test_torch_comes_as_it_is(checkout: Path, case: str) -> None:
    (checkout / "wheels").touch()
    if case == "a driver":
        (checkout / "bin" / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H100'\n")
    elif case == "a Mac":
        (checkout / "bin" / "uname").write_text("#!/bin/sh\necho Darwin\n")
    elif case == "an environment that has them":
        (checkout / "cuda").touch()
    printed, wanted, last = set_up(checkout, *(["CPU=0"] if case == "asked for" else []))
    assert wanted == []
    assert "CUDA" not in printed
    assert last[-1] == ".[dev]"
