"""Run jobs on an existing Dask cluster, whose workers send their results back.

Needs the extra `dask`. The workers need this package and no shared folder, because MNIST comes with it.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import queue
import threading
import time
import uuid
import warnings
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluidrelu_cli.errors import FluidReluError, UsageError, one_line
from fluidrelu_cli.workers.events import Job, Outcome, Update, attempt
from fluidrelu_cli.workers.pool import LOST, POLL_SECONDS, Pool

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 5
LOOK_SECONDS = 5
"""After how long the workers are counted again."""
RESTART_SECONDS = 60
"""How long workers of other versions may be the only ones: a nanny may be starting one again."""
JOBS_PER_WORKER = 2
"""How many the scheduler has for each: the one that is running, and the next."""
GPU_RESOURCE = "GPU"
"""The resource of which a job with `--device cuda` takes one, if workers declare it (`--resources "GPU=1"`)."""


class DaskPool(Pool):
    """The workers of a Dask cluster.

    If a worker is lost, the scheduler gives its jobs to others. It does so up to three times per job, or as often as
    its setting `distributed.scheduler.allowed-failures` says.

    A job needs one of a resource that only workers of the right versions declare, so that others never get any. Dask
    gives such jobs to workers at once, and counts a loss for each that a lost worker had, even if it was waiting there.
    So the scheduler gets just enough jobs to keep the workers busy.

    Args:
        address: the scheduler's, such as `tcp://host:8786`.
        data_dir: where the workers keep unpacked data; None: in the cache of the user who runs them.
        device_name: where they train.

    Raises:
        UsageError: if dask.distributed is not installed here.
        FluidReluError: if the scheduler does not answer, or the cluster's versions do not fit these.
    """

    def __init__(self, address: str, data_dir: Path | None, device_name: str) -> None:
        self._name = f"fluidrelu-{uuid.uuid4().hex}"
        self._arguments = data_dir, device_name, self._name
        self._address = address
        self._client = _connect(address)
        try:
            self._set_up(device_name)
        except BaseException as error:
            self.close(abandon=False)
            if isinstance(error, Exception) and not isinstance(error, FluidReluError):
                raise FluidReluError(
                    f"The Dask cluster at {address} cannot be used ({one_line(error)}):"
                    " look into its logs, and give all hosts the same versions."
                ) from error
            raise

    def _set_up(self, device_name: str) -> None:
        from fluidrelu_cli.workers.declaration import DeclareVersions, as_text, describe_versions

        self._versions = describe_versions()
        # It unpickles the jobs, too.
        schedulers: Any = self._client.run_on_scheduler(eval, *as_text("describe_versions()"))
        if schedulers != self._versions:
            raise self._refuse("the scheduler", schedulers)
        self._scheduler = self._client.scheduler_info()["id"]
        self._client.register_plugin(DeclareVersions(), name=self._name)
        self._needs = {self._versions: 1}
        workers, misfits = self._look_at_workers()
        if misfits:
            raise self._refuse(*misfits.popitem())
        self.workers = len(workers)
        if device_name == "cuda" and any(GPU_RESOURCE in resources for resources in workers.values()):
            self._needs[GPU_RESOURCE] = 1
        self._executor = self._client.get_executor(pure=False, resources=self._needs)
        self._waiting: deque[tuple[Job, Future[Outcome]]] = deque()
        self._handed_out: set[Future[bytes]] = set()
        self._room = 0
        self._next_look = self._last_fit = time.monotonic()
        self._updates: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._client.subscribe_topic(self._name, lambda event: self._updates.put(event[1]))

    def submit(self, job: Job) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        self._waiting.append((job, future))
        return future

    def next_update(self) -> Update | None:
        self._follow_workers()
        while self._waiting and len(self._handed_out) < self._room:
            self._hand_out(*self._waiting.popleft())
        # What cannot be read is dropped: of a job that goes on, it is the outcome that matters.
        with contextlib.suppress(queue.Empty, FluidReluError):
            update: Update = _unpack(self._updates.get(timeout=POLL_SECONDS), Update)
            return update
        return None

    def close(self, *, abandon: bool) -> None:
        with contextlib.suppress(Exception):  # the scheduler may be gone
            if abandon:
                self._executor.shutdown(wait=False)  # cancels; a running job notices at its next step
            scheduler: Any = self._client.scheduler
            self._client.sync(scheduler.unregister_worker_plugin, name=self._name, callback_timeout=CONNECT_SECONDS)
        with contextlib.suppress(Exception):
            self._client.close(timeout=CONNECT_SECONDS)

    def _hand_out(self, job: Job, future: Future[Outcome]) -> None:
        def settle(answer: Future[bytes]) -> None:
            self._handed_out.discard(answer)
            try:
                future.set_result(_unpack(answer.result(), Outcome))
            except BaseException as error:  # a CancelledError too
                future.set_exception(error)

        answer = self._executor.submit(_work, job, *self._arguments)
        self._handed_out.add(answer)
        answer.add_done_callback(settle)

    def _follow_workers(self) -> None:
        """Every few seconds, count the workers that can take jobs; FluidReluError if none can be expected any more."""
        now = time.monotonic()
        if now < self._next_look:
            return
        workers, misfits = self._look_at_workers()
        self._next_look = now + LOOK_SECONDS
        self._room = JOBS_PER_WORKER * sum(self._needs.keys() <= resources.keys() for resources in workers.values())
        if not misfits or len(misfits) < len(workers):
            self._last_fit = now
        elif now > self._last_fit + RESTART_SECONDS:
            raise self._refuse(*misfits.popitem())

    def _look_at_workers(self) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
        """The resources of each worker by its address, and the versions of those that have declared others."""
        from fluidrelu_cli.workers.declaration import PACKAGE

        info: Any = self._client.scheduler_info(n_workers=-1)
        if self._client.status != "running" or info["id"] != self._scheduler:  # another one knows of no declarations
            raise FluidReluError(LOST)
        workers = {address: worker["resources"] for address, worker in info["workers"].items()}
        declared = {address: name for address, names in workers.items() for name in names if name.startswith(PACKAGE)}
        return workers, {address: name for address, name in declared.items() if name != self._versions}

    def _refuse(self, who: str, versions: str) -> FluidReluError:
        return FluidReluError(
            f"The Dask cluster at {self._address} does not fit: {who} has {versions}, but this machine has"
            f" {self._versions}. Install the same on both; what is finished is kept."
        )


def _unpack(data: bytes, kind: Any) -> Any:
    """What a worker sent; FluidReluError if it is nothing of this kind."""
    try:
        value = pickle.loads(data)
    except Exception as error:
        value = error
    if not isinstance(value, kind):
        problem = one_line(value) if isinstance(value, Exception) else f"a {type(value).__name__}"
        raise FluidReluError(f"What a worker sent cannot be read ({problem}). Install the same versions on all hosts.")
    return value


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


class _Abandoned(Exception):  # noqa: N818  (no error: nobody sees it)
    """The job was cancelled while it ran."""


_one_at_a_time = threading.Lock()
"""Held by the thread that trains: a trial sets up random numbers and threads for the whole process."""


def _work(job: Job, data_dir: Path | None, device_name: str, topic: str) -> bytes:
    """The outcome, as bytes because Dask would wait for ever for a result that the client cannot unpickle."""
    from distributed import get_worker

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
                return pickle.dumps(event)
            worker.log_event(topic, pickle.dumps(event))
        raise AssertionError("an attempt ends with its outcome")
    finally:
        _one_at_a_time.release()
