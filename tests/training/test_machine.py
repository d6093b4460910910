"""Which device is picked, and what a run's provenance records of its source and its machine."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import fluidrelu_cli
from fluidrelu_cli import __version__
from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.run import Provenance
from fluidrelu_cli.training import machine
from fluidrelu_cli.training.machine import (
    find_onednn,
    find_revision,
    pick_device,
    read_cpu_family,
    read_cpu_flags,
    read_cpu_model,
    record_machine,
)

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture(autouse=True)
def _without_memory_or_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test asks git again, and git finds no checkout around the temporary folder."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)  # set where the tests are run by a commit hook
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    find_revision.cache_clear()
    yield
    find_revision.cache_clear()


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
    assert find_revision(package) == {"commit": git(package, "rev-parse", "HEAD"), "modified": False}


@needs_git
@pytest.mark.parametrize("name", ["__init__.py", "new.py"])
def test_modified_checkout(name: str, package: Path) -> None:
    (package / name).write_text("two = 2\n")
    assert find_revision(package) == {"commit": git(package, "rev-parse", "HEAD"), "modified": True}


@needs_git
def test_package_that_somebody_elses_checkout_does_not_track(package: Path) -> None:
    installed = package.parent / ".venv" / "package"
    shutil.copytree(package, installed)
    assert find_revision(installed) is None


def test_package_outside_a_checkout(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").touch()
    assert find_revision(tmp_path) is None


@needs_git
def test_checkout_without_git(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert find_revision(package) is None


def test_this_process_is_recorded() -> None:
    recorded = record_machine(torch.device("cpu"))
    assert recorded.versions == {
        "fluidrelu-cli": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": importlib.metadata.version("torchvision"),
        "numpy": importlib.metadata.version("numpy"),
        "onednn": find_onednn(),
        "cuda": None,
    }
    assert recorded.source == find_revision(Path(fluidrelu_cli.__file__).parent)
    assert recorded.system == f"{platform.system()} {platform.machine()}"
    assert recorded.cpu == read_cpu_model()
    assert recorded.cpu_capability == torch.backends.cpu.get_cpu_capability()
    assert (recorded.cpu_family, recorded.cpu_flags) == (read_cpu_family(), read_cpu_flags())
    assert recorded.peak_memory is not None
    assert 10**7 < recorded.peak_memory < 10**12
    assert (recorded.device, recorded.gpu, recorded.threads) == ("cpu", None, torch.get_num_threads())
    assert Provenance.from_dict(json.loads(json.dumps(recorded.to_dict()))) == recorded


INTEL = """\
processor\t: 0
cpu family\t: 6
model\t\t: 143
model name\t: Xeon
stepping\t: 8
flags\t\t: fpu avx2 fma amx_tile

processor\t: 1
model name\t: other
"""


@pytest.mark.parametrize(
    ("cpuinfo", "model", "family", "flags"),
    [
        (INTEL, "Xeon", "family 6, model 143, stepping 8", "amx_tile avx2 fma"),
        ("processor\t: 0\nFeatures\t: fp asimd sve\n", None, None, "asimd sve"),
        (None, None, None, None),
    ],
)
def test_processors_are_told_apart(
    cpuinfo: str | None, model: str | None, family: str | None, flags: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "exists", lambda _path: cpuinfo is not None)
    monkeypatch.setattr(Path, "read_text", lambda _path, **_: cpuinfo)
    machine._read_cpuinfo.cache_clear()
    try:
        assert read_cpu_model() == (model or platform.processor() or platform.machine())
        assert (read_cpu_family(), read_cpu_flags()) == (family, flags)
    finally:
        machine._read_cpuinfo.cache_clear()


def test_onednn_has_a_version_where_torch_was_built_with_it() -> None:
    built_with_it: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    assert (find_onednn() is not None) == built_with_it


def test_processor_has_a_name() -> None:
    assert read_cpu_model().strip()
    assert "\n" not in read_cpu_model()


def test_auto_takes_the_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not MPS: its runs cannot be repeated to the last digit."""
    for cuda, mps, expected in ((True, True, "cuda"), (False, True, "cpu"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert pick_device("auto").type == expected
        assert not mps or pick_device("mps").type == "mps"
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(UsageError, match=r"no cuda device on this machine.*: use --device cpu, or leave --device out"):
        pick_device("cuda")
    monkeypatch.setattr("torch.version.cuda", None)
    with pytest.raises(UsageError, match="on this machine and was built without CUDA: use"):
        pick_device("cuda")
    with pytest.raises(UsageError, match="There is no device 'gpu'"):
        pick_device("gpu")
