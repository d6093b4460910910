"""What a Dask worker declares of itself, wherever it runs."""

from __future__ import annotations

import pickle
import platform
import sys
from types import SimpleNamespace
from typing import Any

import distributed
import pytest
from distributed import Status

import fluidrelu_cli
from fluidrelu_cli.workers.declaration import DeclareVersions, describe_versions

PYTHON = ".".join(map(str, sys.version_info[:2]))
DASK = f"Python {PYTHON}, distributed {distributed.__version__}"  # type: ignore[attr-defined]


class FakeWorker:
    """It notes what is declared, and the statuses that it is given."""

    def __init__(self, status: Status = Status.running) -> None:
        self.statuses = [status]
        self.state = SimpleNamespace(total_resources={"GPU": 1})

    async def set_resources(self, **resources: float) -> None:
        self.state.total_resources |= resources
        self.statuses.append(Status.init)  # stands for the moment

    @property
    def status(self) -> Status:
        return next(status for status in reversed(self.statuses) if status != Status.init)

    @status.setter
    def status(self, status: Status) -> None:
        self.statuses.append(status)


def set_up(plugin: Any, worker: FakeWorker) -> None:
    with pytest.raises(StopIteration):  # it waits for nothing here; another test's loop may be running in this thread
        plugin.setup(worker).send(None)


def test_a_worker_declares_its_versions_and_is_looked_at_again() -> None:
    worker = FakeWorker()
    set_up(DeclareVersions(), worker)
    set_up(DeclareVersions(), worker)  # by another command
    assert worker.state.total_resources == {"GPU": 1, f"fluidrelu-cli {fluidrelu_cli.__version__}, {DASK}": 1}
    assert worker.statuses == [Status.running, Status.init, Status.paused, Status.running]


def test_a_worker_that_is_paused_stays_so() -> None:
    worker = FakeWorker(Status.paused)
    set_up(DeclareVersions(), worker)
    assert worker.status == Status.paused


def test_the_declaration_needs_nothing_of_this_package_nor_of_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = pickle.dumps(DeclareVersions())
    monkeypatch.setitem(sys.modules, "fluidrelu_cli", None)
    monkeypatch.delitem(sys.modules, "fluidrelu_cli.workers.declaration")
    monkeypatch.setattr(platform, "python_version_tuple", lambda: ("3", "7", "17"))
    worker = FakeWorker()
    set_up(pickle.loads(sent), worker)
    assert describe_versions() in worker.state.total_resources
    assert describe_versions().startswith("fluidrelu-cli none, Python 3.7, distributed ")
