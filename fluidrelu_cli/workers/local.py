"""The pool of this machine: single-threaded worker processes, one per core."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.forkserver
import os
import queue
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
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
"""Seeds trained together where a GPU is used and nobody says how many."""

PRELOADED = ["fluidrelu_cli.training.loop", "fluidrelu_cli.cli.app"]
"""What a fork server imports once for all workers: torch takes seconds. (The second is what a console script imports,
which each worker runs again.)"""


def default_workers(device_name: str) -> int:
    """One worker per core that this process may use; one in all where a GPU does the work."""
    if device_name != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _container_cores()))


def _container_cores(limit: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The cores' worth of time that a container may use (`docker run --cpus`), a large number if it has no limit."""
    try:
        quota, period = limit.read_text(encoding="ascii").split()
        return round(int(quota) / int(period))
    except (OSError, ValueError):  # no such limit, or "max"
        return 2**16


def start_fork_server() -> None:
    """Start the process that workers are forked from, if this system has one; it imports torch while others go on.

    Calling it again changes nothing.
    """
    if _context().get_start_method() == "forkserver":
        with _interrupts_blocked():  # the workers inherit it
            multiprocessing.forkserver.ensure_running()


def _context() -> BaseContext:
    """How worker processes are made: forked from a server that has imported torch, or, on Windows, spawned."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def run_on_this_machine(
    jobs: Sequence[Job], workers: int, data_dir: Path | None, device_name: str
) -> Generator[Event, None, None]:
    """Train jobs in worker processes, ``workers`` at a time, and yield what happens as it happens.

    When a worker dies (killed, or out of memory) the jobs that were in flight are run again one by one, so that
    only the one that kills its worker is given up. Closing the iterator, or the death of this process, ends the
    workers.
    """
    waiting, suspects = list(jobs), list[Job]()
    heard = False
    while waiting or suspects:
        alone = bool(suspects)
        left = [suspects.pop(0)] if alone else waiting
        started = set[Job]()
        pool = ProcessPool(1 if alone else min(workers, sum(len(job.trials) for job in left)), data_dir, device_name)
        try:
            with contextlib.closing(follow(pool, list(left))) as events:
                for event in events:
                    heard = True
                    started.add(event.job)
                    if isinstance(event, Outcome):
                        left.remove(event.job)
                    if isinstance(event, Split):
                        left.extend(event.job.halves())
                    yield event
        except BrokenProcessPool as error:
            if not alone:
                # A worker may die before its first word is heard; then it had one of the first in line.
                suspects = [job for job in left if job in started] or left[:workers]
                waiting = [job for job in left if job not in suspects]
            elif len(left) > 1:  # parts of a job that raised; only one of them was in flight
                suspects = left + suspects
            elif heard:
                outcome = fail(left[0], DEATH, DEATH)
                yield outcome
                suspects.extend(outcome.job.halves() if isinstance(outcome, Split) else ())
            else:
                raise FluidReluError(f"No worker process gets as far as a trial ({one_line(error)}).") from error


class ProcessPool(Pool):
    """Single-threaded processes on this machine, one trial or job at a time each."""

    def __init__(self, workers: int, data_dir: Path | None, device_name: str) -> None:
        context = _context()
        start_fork_server()
        self._arguments = data_dir, device_name
        self._updates: Queue[Update] = context.Queue()
        # Nobody writes into the lifeline: its end, by close() or with this process, is what the workers wait for.
        self._worker_end, self._parent_end = context.Pipe(duplex=False)
        self._executor: Executor = ProcessPoolExecutor(
            workers, context, initializer=_start_worker, initargs=(self._updates, self._worker_end)
        )

    def submit(self, job: Job) -> Future[Outcome]:
        with _interrupts_blocked():  # processes inherit it: Ctrl-C is the parent's alone to answer
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
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_updates: Queue[Update]
"""In a worker process: where it reports its progress."""


def _start_worker(updates: Queue[Update], lifeline: Connection) -> None:
    global _updates
    _updates = updates
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
