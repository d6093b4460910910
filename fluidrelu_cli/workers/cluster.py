"""Run jobs on an existing Dask cluster, whose workers send their results back.

Needs the extra `dask`. The workers need this package and no shared folder, because MNIST comes with it.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import queue
import threading
import uuid
import warnings
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluidrelu_cli import __version__
from fluidrelu_cli.errors import FluidReluError, UsageError, one_line
from fluidrelu_cli.workers.events import Job, Outcome, Update, attempt
from fluidrelu_cli.workers.pool import POLL_SECONDS, Pool

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 5
GPU_RESOURCE = "GPU"
"""The resource of which a job with `--device cuda` takes one, if workers declare it (`--resources "GPU=1"`)."""


class DaskPool(Pool):
    """The workers of a Dask cluster.

    If a worker is lost, the scheduler gives its jobs to others. It does so up to three times per job, or as often as
    its setting `distributed.scheduler.allowed-failures` says.

    Args:
        address: the scheduler's, such as `tcp://host:8786`.
        data_dir: where the workers keep unpacked data; None: in the cache of the user who runs them.
        device_name: where they train.

    Raises:
        UsageError: if dask.distributed is not installed here.
        FluidReluError: if the scheduler does not answer, or the cluster's versions do not fit these.
    """

    def __init__(self, address: str, data_dir: Path | None, device_name: str) -> None:
        self._arguments = data_dir, device_name, f"fluidrelu-{uuid.uuid4().hex}"
        self._client = _connect(address)
        try:
            _check_versions(self._client, address)
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
            self.workers = len(workers)
            gpus = device_name == "cuda" and any(GPU_RESOURCE in worker["resources"] for worker in workers)
            self._executor = self._client.get_executor(pure=False, resources={GPU_RESOURCE: 1} if gpus else None)
            self._updates: queue.SimpleQueue[Update] = queue.SimpleQueue()
            self._client.subscribe_topic(self._arguments[2], lambda event: self._updates.put(pickle.loads(event[1])))
        except BaseException:
            self._client.close()
            raise

    def submit(self, job: Job) -> Future[Outcome]:
        future: Future[Outcome] = self._executor.submit(_work, __version__, job, *self._arguments)
        return future

    def next_update(self) -> Update | None:
        with contextlib.suppress(queue.Empty):
            return self._updates.get(timeout=POLL_SECONDS)
        return None

    def close(self, *, abandon: bool) -> None:
        with contextlib.suppress(Exception):  # the scheduler may be gone
            if abandon:
                self._executor.shutdown(wait=False)  # cancels; a running job notices at its next step
            self._client.close(timeout=CONNECT_SECONDS)


def _connect(address: str) -> Client:
    try:
        from distributed import Client
        from distributed.comm.addressing import get_address_host_port
    except ImportError as error:
        raise UsageError(
            f"--dask needs dask.distributed ({one_line(error)}): install it with `pip install 'fluidrelu-cli[dask]'`."
        ) from error

    class _Client(Client):
        def start(self, **kwargs: Any) -> None:
            try:
                super().start(**kwargs)  # type: ignore[no-untyped-call]
            except BaseException:  # nobody else can close it, and an open client waits and complains at exit
                with contextlib.suppress(Exception):
                    self.close(timeout=CONNECT_SECONDS)  # type: ignore[no-untyped-call]
                raise

    try:
        get_address_host_port(address, strict=True)
    except (ValueError, NotImplementedError) as error:
        raise UsageError(
            f"--dask needs the address of a scheduler, as tcp://host:8786, not '{address}' ({one_line(error)})."
        ) from error
    try:
        with warnings.catch_warnings():
            # The sentence below reports what goes wrong.
            warnings.simplefilter("ignore")
            for name in ("distributed", "distributed.client"):
                logging.getLogger(name).setLevel(logging.CRITICAL)
            client: Client = _Client(address, timeout=CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
            return client
    except Exception as error:  # each transport raises what it likes
        raise FluidReluError(
            f"No Dask scheduler of this version answers at {address} ({one_line(error)}):"
            " start one with `dask scheduler`, or correct the address of --dask."
        ) from error


def _check_versions(client: Client, address: str) -> None:
    """Raise FluidReluError unless scheduler and workers have the versions that trials and their pickles need."""

    def read_version() -> str:  # a local function can be sent to a worker that lacks this package
        try:
            import fluidrelu_cli
        except ImportError:
            return "none"
        return fluidrelu_cli.__version__

    def require(package: str, here: str, there: dict[str, str]) -> None:
        for who, version in there.items():
            if version != here:
                raise FluidReluError(
                    f"The Dask cluster at {address} does not fit: {who} has {package} {version},"
                    f" this machine {here}. Install the same on both."
                )

    found: Any = client.get_versions()  # sends no code, because another Python may not be able to unpickle it
    everyone = {"the scheduler": found["scheduler"], **found["workers"]}
    for package, digits in (("python", 2), ("distributed", None)):
        here, *there = (
            ".".join(versions["packages"][package].split(".")[:digits])
            for versions in (found["client"], *everyone.values())
        )
        require(package, here, dict(zip(everyone, there, strict=True)))
    require("fluidrelu-cli", read_version(), client.run(read_version))


class _Abandoned(Exception):  # noqa: N818  (no error: nobody sees it)
    """The job was cancelled while it ran."""


_one_at_a_time = threading.Lock()
"""Held by the thread that trains: a trial sets up random numbers and threads for the whole process."""


def _work(version: str, job: Job, data_dir: Path | None, device_name: str, topic: str) -> Outcome:
    from distributed import get_worker

    if version != __version__:  # this worker came after the check
        raise FluidReluError(f"this worker has fluidrelu-cli {__version__}, not {version}: install the same on both")

    worker = get_worker()
    key = worker.get_current_task()

    def stop_if_cancelled() -> None:
        task = worker.state.tasks.get(key)
        if task is None or task.state not in ("executing", "long-running"):
            raise _Abandoned

    while not _one_at_a_time.acquire(timeout=1):
        stop_if_cancelled()
    try:
        for event in attempt(job, data_dir, device_name, stop_if_cancelled):
            if isinstance(event, Outcome):
                return event
            worker.log_event(topic, pickle.dumps(event))
        raise AssertionError("an attempt ends with its outcome")
    finally:
        _one_at_a_time.release()
