"""What each worker of a Dask cluster declares: its versions, as a resource of which a job needs one.

This file is sent to the cluster as text. What is not installed there cannot be sent by its name, nor as bytecode, which
another Python cannot read. So it imports nothing of the package.
"""

from __future__ import annotations

import importlib
import platform
from pathlib import Path
from typing import Any

import distributed
from distributed import Status, Worker, WorkerPlugin

PACKAGE = "fluidrelu-cli"


def describe_versions() -> str:
    """The versions that trials and their pickles need to be the same, on one line."""
    try:
        version = importlib.import_module("fluidrelu_cli").__version__
    except Exception:  # it is missing, or whatever a broken one raises
        version = "none"
    python = ".".join(platform.python_version_tuple()[:2])
    return f"{PACKAGE} {version}, Python {python}, distributed {distributed.__version__}"  # type: ignore[attr-defined]


def as_text(expression: str) -> tuple[str, dict[str, str]]:
    """Arguments with which `eval` computes an expression of this module's names wherever Python runs."""
    text = Path(__file__).read_text(encoding="utf-8")
    return f"exec(text, globals()) or {expression}", {"text": text, "__name__": "declaration"}


class DeclareVersions(WorkerPlugin):
    """Has each worker, also one that comes later, declare one of the resource that is called as its versions are."""

    async def setup(self, worker: Worker) -> None:
        versions = describe_versions()
        if versions in worker.state.total_resources:  # another command's has done so
            return
        await worker.set_resources(**{versions: 1})
        if worker.status == Status.running:
            # The scheduler looks again for workers of jobs that had none when a worker runs, not when it declares.
            worker.status = Status.paused
            worker.status = Status.running

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, as_text("DeclareVersions()")
