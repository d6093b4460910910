"""Run trials in worker processes: one single-threaded process a core, events back, nobody left behind."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import traceback
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from fluidrelu_cli.errors import FluidReluError, one_line
from fluidrelu_cli.protocol import Trial
from fluidrelu_cli.records import EpochRecord, TrialResult

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

POLL_SECONDS = 0.1
DEATH = "its worker process died (killed, or out of memory?)"


@dataclass(frozen=True)
class Started:
    """A worker has begun a trial."""

    trial: Trial


@dataclass(frozen=True)
class EpochDone:
    """A running trial has finished an epoch."""

    trial: Trial
    record: EpochRecord


@dataclass(frozen=True)
class Finished:
    """A trial is done."""

    result: TrialResult

    @property
    def trial(self) -> Trial:
        return self.result.trial


@dataclass(frozen=True)
class Failed:
    """A trial raised, or its worker died."""

    trial: Trial
    error: str
    details: str


Event = Started | EpochDone | Finished | Failed


def default_workers(device_name: str) -> int:
    """One worker a core that this process may use; one in all where a GPU does the work."""
    if device_name != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_trials(trials: Sequence[Trial], workers: int, data_dir: Path, device_name: str) -> Generator[Event, None, None]:
    """Train trials, ``workers`` at a time, and yield what happens as it happens.

    Every trial ends in exactly one Finished or Failed. When a worker dies (killed, or out of memory) the trials
    that were in flight are run again one by one, so that only the one that kills its worker is given up.
    Closing the iterator, or the death of this process, ends the workers.
    """
    waiting, suspects = list(trials), list[Trial]()
    heard = False
    while waiting or suspects:
        alone = bool(suspects)
        batch = [suspects.pop(0)] if alone else waiting
        started, ended = set[Trial](), set[Trial]()
        try:
            with contextlib.closing(_run_pool(batch, 1 if alone else workers, data_dir, device_name)) as events:
                for event in events:
                    heard = True
                    started.add(event.trial)
                    if isinstance(event, (Finished, Failed)):
                        ended.add(event.trial)
                    yield event
        except BrokenProcessPool as error:
            left = [trial for trial in batch if trial not in ended]
            if not alone:
                # A worker may die before its first word is heard; then it had one of the first in line.
                suspects = [trial for trial in left if trial in started] or left[:workers]
            elif heard:
                yield Failed(batch[0], DEATH, DEATH)
            else:
                raise FluidReluError(f"No worker process gets as far as a trial ({one_line(error)}).") from error
        if not alone:
            waiting = [trial for trial in batch if trial not in ended and trial not in suspects]


def _run_pool(trials: Sequence[Trial], workers: int, data_dir: Path, device_name: str) -> Generator[Event, None, None]:
    """One pool's life. Raises BrokenProcessPool when a worker dies."""
    context = multiprocessing.get_context("spawn")
    events: Queue[Started | EpochDone] = context.Queue()
    # Nobody writes into the lifeline: its end, by close() or with this process, is what the workers wait for.
    worker_end, parent_end = context.Pipe(duplex=False)
    executor: Executor = ProcessPoolExecutor(
        max_workers=min(workers, len(trials)),
        mp_context=context,
        initializer=_start_worker,
        initargs=(events, worker_end),
    )
    pending: dict[Future[TrialResult | Failed], Trial] = {}
    try:
        with _interrupts_blocked():  # processes inherit it: Ctrl-C is the parent's alone to answer
            for trial in trials:
                pending[executor.submit(_work, trial, data_dir, device_name)] = trial
        while pending:
            with contextlib.suppress(queue.Empty):
                event = events.get(timeout=POLL_SECONDS)
                if event.trial in pending.values():  # not a straggler of a trial that has ended
                    yield event
            broken = None
            for future in [future for future in pending if future.done()]:
                trial = pending.pop(future)
                try:
                    outcome = _outcome(future, trial)
                except BrokenProcessPool as error:  # raised when the results that did arrive are out
                    broken = error
                else:
                    yield outcome
            if broken is not None:
                raise broken
    finally:
        if pending:  # stopped: end the workers at once instead of letting them finish their trials
            parent_end.close()
        executor.shutdown(wait=True, cancel_futures=True)
        parent_end.close()
        worker_end.close()
        events.close()


def _outcome(future: Future[TrialResult | Failed], trial: Trial) -> Finished | Failed:
    try:
        result = future.result()
    except BrokenProcessPool:
        raise
    except Exception as error:  # the result could not travel
        return Failed(trial, one_line(error), traceback.format_exc())
    return result if isinstance(result, Failed) else Finished(result)


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


_events: Queue[Started | EpochDone]
"""In a worker: where it tells of its progress."""


def _start_worker(events: Queue[Started | EpochDone], lifeline: Connection) -> None:
    global _events
    _events = events
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, args=(lifeline,), daemon=True).start()


def _die_with_parent(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv()
    os._exit(1)


def _work(trial: Trial, data_dir: Path, device_name: str) -> TrialResult | Failed:
    _events.put(Started(trial))
    try:
        from fluidrelu_cli.training import run_trial

        return run_trial(trial, data_dir, device_name, lambda trial, record: _events.put(EpochDone(trial, record)))
    except BaseException as error:  # a SystemExit too: reported by the parent; the others go on
        return Failed(trial, one_line(error), traceback.format_exc())
