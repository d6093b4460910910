"""The pool of this machine: single-threaded worker processes, one per core."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import queue
import signal
import sys
import threading
import types
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import TYPE_CHECKING

from fluidrelu_cli.errors import FluidReluError, one_line
from fluidrelu_cli.workers.events import Event, Job, Outcome, Split, Update, attempt, fail
from fluidrelu_cli.workers.pool import POLL_SECONDS, Pool, follow

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

DEATH = "its worker process died (killed, or out of memory?)"
BATCH_SEEDS_ON_CUDA = 64
"""How many seeds are trained together on a GPU by default."""

PRELOADED = ["fluidrelu_cli.training.loop", "torch._dynamo"]
"""What the fork server imports once for all workers: torch, and what an optimizer imports at its first step. Each takes
more than a second."""


def default_workers(device_name: str) -> int:
    """How many workers to start: one per core that this process may use, or a single one where a GPU does the work."""
    if device_name != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _container_cores()))


def default_batch_seeds(device_name: str) -> int:
    """How many seeds of an activation to train together."""
    return BATCH_SEEDS_ON_CUDA if device_name == "cuda" else 1


def _container_cores(limit: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """How many cores' time a container may use (`docker run --cpus`); a large number if there is no limit."""
    try:
        quota, period = limit.read_text(encoding="ascii").split()
        return round(int(quota) / int(period))
    except (OSError, ValueError):  # no such limit, or "max"
        return 2**16


def start_fork_server() -> None:
    """Start the process that workers are forked from, if this system has one, and return at once.

    It imports torch while the caller goes on. Calling this again changes nothing.
    """
    if _context().get_start_method() == "forkserver":
        # It inherits both: Ctrl-C is not for it, and a file of the current folder that is called random.py, say, must
        # not stand in for Python's own.
        multiprocessing.resource_tracker.ensure_running()  # not within: its start unblocks interrupts
        with _interrupts_blocked(), _environment_variable("PYTHONSAFEPATH", "1"):
            multiprocessing.forkserver.ensure_running()


def _context() -> BaseContext:
    """How worker processes are made: forked from a server that has imported torch, or else spawned.

    macOS has fork servers, but its own libraries, which torch calls, may crash in a forked process. Before Python 3.11
    a fork server imports from the current folder first, where a user's random.py would end it.
    """
    unsafe = sys.platform == "darwin" or sys.version_info < (3, 11)
    if unsafe or "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def run_on_this_machine(
    jobs: Sequence[Job], workers: int, data_dir: Path | None, device_name: str
) -> Generator[Event, None, None]:
    """Train jobs in ``workers`` processes, and yield events as they happen.

    When a worker dies (killed, or out of memory), the jobs that were in flight are run again one by one. Only a job
    that kills its worker again is given up. Closing the iterator ends the workers, and so does the death of this
    process. The user's main module is not run in them.

    Raises FluidReluError if workers die before they begin a job.
    """
    waiting, suspects = dict.fromkeys(jobs), list[Job]()  # a dict is a set that keeps its order
    heard = False
    while waiting or suspects:
        alone = bool(suspects)
        left = dict.fromkeys([suspects.pop(0)]) if alone else waiting
        started = set[Job]()
        pool = ProcessPool(1 if alone else min(workers, sum(len(job.trials) for job in left)), data_dir, device_name)
        try:
            with contextlib.closing(follow(pool, list(left))) as events:
                for event in events:
                    heard = True
                    started.add(event.job)
                    if isinstance(event, Outcome):
                        del left[event.job]
                    if isinstance(event, Split):
                        left |= dict.fromkeys(event.job.halves())
                    yield event
        except BrokenProcessPool as error:
            if not alone:
                # A worker may die before it reports that it has started; then it had one of the first jobs in line.
                suspects = [job for job in left if job in started] or list(left)[:workers]
                for job in suspects:
                    del waiting[job]
            elif len(left) > 1:  # halves of a job that raised; only one of them was in flight
                suspects = [*left, *suspects]
            elif heard:
                [job] = left
                outcome = fail(job, DEATH, DEATH)
                yield outcome
                suspects.extend(outcome.job.halves() if isinstance(outcome, Split) else ())
            else:
                raise FluidReluError(f"No worker process gets as far as a trial ({one_line(error)}).") from error


class ProcessPool(Pool):
    """Single-threaded processes on this machine, one trial or job at a time each."""

    def __init__(self, workers: int, data_dir: Path | None, device_name: str) -> None:
        start_fork_server()
        context = _context()
        self._arguments = data_dir, device_name
        self._updates: Queue[Update] = context.Queue()
        # Nothing is ever written into this pipe. It ends by close() or with this process, and the workers end with it.
        self._worker_end, self._parent_end = context.Pipe(duplex=False)
        self._executor: Executor = ProcessPoolExecutor(
            workers, context, initializer=_start_worker, initargs=(self._updates, self._worker_end, dict(os.environ))
        )

    def submit(self, job: Job) -> Future[Outcome]:
        # This may start a process. A spawned one inherits that interrupts are blocked: only the parent answers Ctrl-C.
        with _interrupts_blocked(), _main_module_hidden():
            return self._executor.submit(_work, job, *self._arguments)

    def next_update(self) -> Update | None:
        with contextlib.suppress(queue.Empty):
            return self._updates.get(timeout=POLL_SECONDS)
        return None

    def close(self, *, abandon: bool) -> None:
        if abandon:
            self._parent_end.close()
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._parent_end.close()
        self._worker_end.close()
        self._updates.close()


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block interrupts of this thread and of processes that it starts, and put off those that other threads take.

    The handler of these would run in the main thread all the same: a worker that has started, and is not noted yet,
    would look in vain for what this process has removed at its end.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    put_off: list[int] = []
    handled = threading.current_thread() is threading.main_thread()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    handler = signal.signal(signal.SIGINT, lambda number, _: put_off.append(number)) if handled else None
    try:
        yield
    finally:
        if handled:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if put_off:
            signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def _environment_variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextlib.contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Let multiprocessing find an empty `__main__`.

    It has each new process run the parent's main module again, so that what a job carries may be defined there. Nothing
    of ours is, and a user's script would train all over again in each worker unless it had a guard
    (`if __name__ == "__main__"`), which multiprocessing then asks for in a long traceback.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


_updates: Queue[Update]
"""In a worker process: where it reports its progress."""


def _start_worker(updates: Queue[Update], lifeline: Connection, environment: Mapping[str, str]) -> None:
    global _updates
    _updates = updates
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.clear()  # a forked worker has that of the fork server, which may have been started long ago
    os.environ.update(environment)
    threading.Thread(target=_die_with_parent, args=(lifeline,), daemon=True).start()


def _die_with_parent(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv()
    os._exit(1)


def _work(job: Job, data_dir: Path | None, device_name: str) -> Outcome:
    for event in attempt(job, data_dir, device_name):
        if isinstance(event, Outcome):
            return event
        _updates.put(event)
    raise AssertionError("an attempt ends with its outcome")
