"""What a run's provenance says about its source and its machine."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fluidrelu_cli import __version__
from fluidrelu_cli.training.machine import conditions, cpu_model, source_revision

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture(autouse=True)
def _without_memory_or_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test asks git anew, and git knows nothing of a checkout around the temporary folder."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)  # set where the tests are run by a commit hook
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    source_revision.cache_clear()
    yield
    source_revision.cache_clear()


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package in a git repository, committed."""
    folder = tmp_path / "checkout" / "package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("one = 1\n")
    git(folder.parent, "init", "--quiet")
    git(folder.parent, "add", ".")
    git(folder.parent, "commit", "--quiet", "-m", "one")
    return folder


@needs_git
def test_clean_checkout(package: Path) -> None:
    (package.parent / "notes.txt").touch()  # beside the package: no part of its source
    assert source_revision(package) == {"commit": git(package, "rev-parse", "HEAD"), "modified": False}


@needs_git
@pytest.mark.parametrize("name", ["__init__.py", "new.py"])
def test_modified_checkout(name: str, package: Path) -> None:
    (package / name).write_text("two = 2\n")
    assert source_revision(package) == {"commit": git(package, "rev-parse", "HEAD"), "modified": True}


@needs_git
def test_package_that_somebody_elses_checkout_does_not_track(package: Path) -> None:
    installed = package.parent / ".venv" / "package"
    shutil.copytree(package, installed)
    assert source_revision(installed) is None


def test_package_outside_a_checkout(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").touch()
    assert source_revision(tmp_path) is None


@needs_git
def test_checkout_without_git(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert source_revision(package) is None


def test_conditions_of_this_process() -> None:
    found = conditions(torch.device("cpu"))
    assert list(found) == [
        *("versions", "source", "system", "cpu", "cpu_capability", "device", "gpu", "threads"),
    ]
    assert list(found["versions"]) == ["fluidrelu-cli", "python", "torch", "torchvision", "cuda"]
    assert found["versions"]["fluidrelu-cli"] == __version__
    assert found["versions"]["python"] == platform.python_version()
    assert found["versions"]["torch"] == torch.__version__
    assert found["system"] == f"{platform.system()} {platform.machine()}"
    assert (found["device"], found["gpu"], found["threads"]) == ("cpu", None, torch.get_num_threads())
    assert json.loads(json.dumps(found)) == found


def test_processor_has_a_name() -> None:
    assert cpu_model().strip()
    assert "\n" not in cpu_model()
