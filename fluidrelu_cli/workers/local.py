"""Run trials side by side and tell what happens: the events, and the pool of this machine's processes.

A pool takes jobs and gives futures; :mod:`fluidrelu_cli.workers.cluster` has another one.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fluidrelu_cli.errors import FluidReluError, one_line
from fluidrelu_cli.protocol import Trial
from fluidrelu_cli.run import Epoch, Run

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

POLL_SECONDS = 0.1
DEATH = "its worker process died (killed, or out of memory?)"
BATCH_SEEDS_ON_CUDA = 64
"""Seeds trained together where a GPU is used and nobody says how many."""

Job = tuple[Trial, ...]
"""Trials that are trained together: of one activation, each with its own seed; mostly just one."""


@dataclass(frozen=True)
class Started:
    """A worker has begun a job."""

    job: Job


@dataclass(frozen=True)
class EpochDone:
    """A running job has finished an epoch, with a record for each of its trials."""

    job: Job
    records: Sequence[Epoch]


@dataclass(frozen=True)
class Finished:
    """A job is done, with a result for each of its trials."""

    job: Job
    results: Sequence[Run]


@dataclass(frozen=True)
class Split:
    """Several trials together raised (out of memory, say), or their worker died: each half is tried by itself."""

    job: Job
    error: str

    @property
    def halves(self) -> tuple[Job, Job]:
        middle = len(self.job) // 2
        return self.job[:middle], self.job[middle:]


@dataclass(frozen=True)
class Failed:
    """A trial by itself raised, or its worker died."""

    job: Job
    error: str
    details: str

    @property
    def trial(self) -> Trial:
        return self.job[0]


Progress = Started | EpochDone
Outcome = Finished | Split | Failed
Event = Progress | Outcome


def failure(job: Job, error: str, details: str) -> Split | Failed:
    """What follows when a job cannot be done."""
    return Split(job, error) if len(job) > 1 else Failed(job, error, details)


def default_workers(device_name: str) -> int:
    """One worker a core that this process may use; one in all where a GPU does the work."""
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


def jobs_of(trials: Sequence[Trial], batch_seeds: int) -> list[Job]:
    """Trials in jobs of at most ``batch_seeds``, each of one activation, in the order of their first trials."""
    jobs: list[list[Trial]] = []
    for trial in trials:
        for job in jobs if batch_seeds > 1 else ():
            if job[0].activation == trial.activation and len(job) < batch_seeds:
                job.append(trial)
                break
        else:
            jobs.append([trial])
    return [tuple(job) for job in jobs]


class Pool(Protocol):
    """Who runs jobs."""

    def submit(self, job: Job) -> Future[Outcome]:
        """Have a job done."""

    def next_event(self) -> Progress | None:
        """What a job tells while it runs; None if nothing came within POLL_SECONDS."""

    def close(self, *, abandon: bool) -> None:
        """End all workers: at once if their jobs are to be abandoned."""


def follow(pool: Pool, jobs: Sequence[Job]) -> Generator[Event, None, None]:
    """Have jobs done by a pool, and yield what happens as it happens; closing the iterator abandons them.

    Every trial ends in exactly one Finished or Failed. Raises BrokenProcessPool when one of this machine's
    workers dies, FluidReluError when a cluster is lost.
    """
    pending: dict[Future[Outcome], Job] = {}
    try:
        for job in jobs:
            pending[pool.submit(job)] = job
        while pending:
            event = pool.next_event()
            if event is not None and event.job in pending.values():  # not a straggler of a job that has ended
                yield event
            broken = None
            for future in [future for future in pending if future.done()]:
                job = pending.pop(future)
                try:
                    outcome = _outcome(future, job)
                except BrokenProcessPool as error:  # raised when the results that did arrive are out
                    broken = error
                    continue
                yield outcome
                if isinstance(outcome, Split):
                    pending |= {pool.submit(half): half for half in outcome.halves}
            if broken is not None:
                raise broken
    finally:
        pool.close(abandon=bool(pending))


def _outcome(future: Future[Outcome], job: Job) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        raise
    except CancelledError as error:
        raise FluidReluError(
            "The workers can no longer be reached; what is finished is kept: the same command goes on."
        ) from error
    except Exception as error:  # the job or its result could not travel, or its workers died on a cluster
        return failure(job, one_line(error), traceback.format_exc())


def attempt(
    job: Job,
    data_dir: Path | None,
    device_name: str,
    tell: Callable[[Progress], None],
    on_step: Callable[[], None] = lambda: None,
) -> Outcome:
    """In a worker: train a job's trials. What they raise comes back as an outcome; what ``on_step`` raises is one."""
    tell(Started(job))
    try:
        from fluidrelu_cli.data.catalogue import default_data_dir
        from fluidrelu_cli.training.loop import run_together

        folder = data_dir or default_data_dir()
        results = run_together(job, folder, device_name, lambda records: tell(EpochDone(job, records)), on_step)
        return Finished(job, results)
    except BaseException as error:  # a SystemExit too: reported by the parent; the others go on
        return failure(job, one_line(error), traceback.format_exc())


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
        pool = ProcessPool(1 if alone else min(workers, sum(map(len, left))), data_dir, device_name)
        try:
            with contextlib.closing(follow(pool, list(left))) as events:
                for event in events:
                    heard = True
                    started.add(event.job)
                    if isinstance(event, Outcome):
                        left.remove(event.job)
                    if isinstance(event, Split):
                        left.extend(event.halves)
                    yield event
        except BrokenProcessPool as error:
            if not alone:
                # A worker may die before its first word is heard; then it had one of the first in line.
                suspects = [job for job in left if job in started] or left[:workers]
                waiting = [job for job in left if job not in suspects]
            elif len(left) > 1:  # parts of a job that raised; only one of them was in flight
                suspects = left + suspects
            elif heard:
                outcome = failure(left[0], DEATH, DEATH)
                yield outcome
                suspects.extend(outcome.halves if isinstance(outcome, Split) else ())
            else:
                raise FluidReluError(f"No worker process gets as far as a trial ({one_line(error)}).") from error


class ProcessPool:
    """Single-threaded processes on this machine, one trial or job at a time each."""

    def __init__(self, workers: int, data_dir: Path | None, device_name: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._arguments = data_dir, device_name
        self._events: Queue[Progress] = context.Queue()
        # Nobody writes into the lifeline: its end, by close() or with this process, is what the workers wait for.
        self._worker_end, self._parent_end = context.Pipe(duplex=False)
        self._executor: Executor = ProcessPoolExecutor(
            workers, context, initializer=_start_worker, initargs=(self._events, self._worker_end)
        )

    def submit(self, job: Job) -> Future[Outcome]:
        with _interrupts_blocked():  # processes inherit it: Ctrl-C is the parent's alone to answer
            return self._executor.submit(_work, job, *self._arguments)

    def next_event(self) -> Progress | None:
        with contextlib.suppress(queue.Empty):
            return self._events.get(timeout=POLL_SECONDS)
        return None

    def close(self, *, abandon: bool) -> None:
        if abandon:
            self._parent_end.close()
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._parent_end.close()
        self._worker_end.close()
        self._events.close()


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


_events: Queue[Progress]
"""In a worker process: where it tells of its progress."""


def _start_worker(events: Queue[Progress], lifeline: Connection) -> None:
    global _events
    _events = events
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, args=(lifeline,), daemon=True).start()


def _die_with_parent(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv()
    os._exit(1)


def _work(job: Job, data_dir: Path | None, device_name: str) -> Outcome:
    return attempt(job, data_dir, device_name, _events.put)
