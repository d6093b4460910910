"""Give jobs to a pool of workers of any kind, and follow what happens."""

from __future__ import annotations

import abc
import queue
import traceback
from collections.abc import Generator, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures.process import BrokenProcessPool

from fluidrelu_cli.errors import FluidReluError, one_line
from fluidrelu_cli.workers.events import Event, Job, Outcome, Split, Update, fail

POLL_SECONDS = 0.1
LOST = "The workers can no longer be reached; what is finished is kept: the same command goes on."


class Pool(abc.ABC):
    """Workers that run jobs."""

    @abc.abstractmethod
    def submit(self, job: Job) -> Future[Outcome]:
        """Queue a job."""

    @abc.abstractmethod
    def next_update(self) -> Update | None:
        """The next report of a running job; None if none comes within POLL_SECONDS."""

    @abc.abstractmethod
    def close(self, *, abandon: bool) -> None:
        """Release the workers, and with ``abandon`` stop the jobs that they are running."""


def follow(pool: Pool, jobs: Sequence[Job]) -> Generator[Event, None, None]:
    """Run jobs, no two of them the same, on a pool, which is closed at the end, and yield events as they happen.

    Every trial ends in exactly one Finished or Failed. Closing the iterator abandons the jobs that are left.

    Raises:
        BrokenProcessPool: when one of this machine's workers dies.
        FluidReluError: when a cluster is lost, or has only workers left that do not fit.
    """
    in_flight: set[Job] = set()
    ended: queue.SimpleQueue[tuple[Job, Future[Outcome]]] = queue.SimpleQueue()

    def submit(job: Job) -> None:
        in_flight.add(job)
        pool.submit(job).add_done_callback(lambda future: ended.put((job, future)))

    try:
        for job in jobs:
            submit(job)
        while in_flight:
            update = pool.next_update()
            if update is not None and update.job in in_flight:  # not a straggler of a job that has ended
                yield update
            broken = None
            while not ended.empty():
                job, future = ended.get()
                in_flight.remove(job)
                try:
                    outcome = _take_outcome(future, job)
                except BrokenProcessPool as error:  # raised below, after the outcomes that did arrive
                    broken = error
                    continue
                yield outcome
                if isinstance(outcome, Split):
                    for half in outcome.job.halves():
                        submit(half)
            if broken is not None:
                raise broken
    finally:
        pool.close(abandon=bool(in_flight))


def _take_outcome(future: Future[Outcome], job: Job) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        raise
    except CancelledError as error:
        raise FluidReluError(LOST) from error
    except Exception as error:  # the job or its result cannot be pickled, or its workers on a cluster died
        return fail(job, one_line(error), traceback.format_exc())
