"""The machine that trains: its devices, its memory, and what a run's provenance records about it."""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from fluidrelu_cli import __version__
from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.protocol import DEVICES
from fluidrelu_cli.run import Provenance


def pick_device(name: str) -> torch.device:
    """The device called ``name``, one of DEVICES.

    `auto` is CUDA where there is such a device, else the CPU. MPS must be named, because runs on it cannot be repeated
    to the last digit.

    Raises UsageError if there is no such device.
    """
    if name not in DEVICES:
        raise UsageError(f"There is no device '{name}'; use --device {', '.join(DEVICES[:-1])} or {DEVICES[-1]}.")
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device("cuda" if available["cuda"] else "cpu")
    if not available[name]:
        unable = " and was built without CUDA" if name == "cuda" and torch.version.cuda is None else ""
        raise UsageError(
            f"torch {torch.__version__} finds no {name} device on this machine{unable}: use --device cpu, or leave"
            " --device out."
        )
    return torch.device(name)


@functools.cache
def keep_freed_memory() -> None:
    """Let glibc keep the memory that a step frees for the next step.

    By default it returns large tensors to the kernel, and a step at batch size 100 may spend half its time on fetching
    new pages.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:  # other C libraries have none
        mallopt(-3, 32 * 2**20)  # M_MMAP_THRESHOLD, at its largest: below it memory comes from the heap
        mallopt(-1, 2**30)  # M_TRIM_THRESHOLD: how much free memory at the heap's end to keep


def record_machine(device: torch.device) -> Provenance:
    """The part of a run's provenance that describes this process: versions, source revision and hardware."""
    return Provenance(
        versions={
            "fluidrelu-cli": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": importlib.metadata.version("torchvision"),
            "cuda": torch.version.cuda if device.type == "cuda" else None,
        },
        source=find_revision(Path(__file__).parents[1]),
        system=f"{platform.system()} {platform.machine()}",
        cpu=read_cpu_model(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        device=device.type,
        gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        threads=torch.get_num_threads(),
    )


@functools.cache
def find_revision(package: Path) -> dict[str, Any] | None:
    """The git commit of a package's source, and whether its files were modified since; None outside a checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(package), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # fails if it is installed below another project's checkout
        return {"commit": git("rev-parse", "HEAD"), "modified": bool(git("status", "--porcelain", "--", "."))}
    except (OSError, subprocess.SubprocessError):
        return None


@functools.cache
def read_cpu_model() -> str:
    """The processor's name, as the system reports it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
