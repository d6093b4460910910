"""The machine that trains: its devices, its memory, and what a run's provenance records about it."""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fluidrelu_cli import __version__
from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.protocol import DEVICES
from fluidrelu_cli.run import Provenance

CPU_FLAGS = frozenset(
    {"fma", "avx", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512_bf16", "avx512_fp16", "avx512_vnni"}
    | {"amx_bf16", "amx_int8", "amx_tile", "asimd", "asimdhp", "bf16", "i8mm", "sve", "sve2"}
)
"""What numerical libraries choose their code by, as Linux names it."""


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
            "numpy": np.__version__,
            "onednn": find_onednn(),
            "cuda": torch.version.cuda if device.type == "cuda" else None,
        },
        source=find_revision(Path(__file__).parents[1]),
        system=f"{platform.system()} {platform.machine()}",
        cpu=read_cpu_model(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        cpu_family=read_cpu_family(),
        cpu_flags=read_cpu_flags(),
        device=device.type,
        gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        threads=torch.get_num_threads(),
        peak_memory=measure_peak_memory(device),
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


def read_cpu_model() -> str:
    """The processor's name, as the system reports it."""
    return _read_cpuinfo().get("model name") or platform.processor() or platform.machine()


def read_cpu_family() -> str | None:
    """Which processor it is, where several have one name; None where the system does not say."""
    found = _read_cpuinfo()
    known = {"family": found.get("cpu family"), "model": found.get("model"), "stepping": found.get("stepping")}
    return ", ".join(f"{name} {value}" for name, value in known.items() if value) or None


def read_cpu_flags() -> str | None:
    """Which of CPU_FLAGS the processor has, in alphabetical order; None where the system does not say."""
    found = _read_cpuinfo()
    flags = found.get("flags") or found.get("Features")
    return None if flags is None else " ".join(sorted(CPU_FLAGS & set(flags.split())))


@functools.cache
def _read_cpuinfo() -> dict[str, str]:
    """What Linux says of the first processor, by name; empty elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return {}
    first = cpuinfo.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    lines = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


@functools.cache
def find_onednn() -> str | None:
    """The version of oneDNN, which computes convolutions on a CPU; None where torch was built without it."""
    found = re.search(r"MKL-DNN v(\S+)|oneDNN v(\S+)", torch.__config__.show())
    return found and (found[1] or found[2])


def measure_peak_memory(device: torch.device) -> int | None:
    """The most memory, in bytes, that this process had in use so far, or of the GPU; None where nobody counts."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) or None
    try:
        import resource
    except ImportError:  # on Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
