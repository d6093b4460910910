"""How a pool is followed: which events come out, what is tried again, and what closes it."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import pytest
from small_trials import counted_comparisons, ended_in, make_job, runs_in, train, without_timings

from fluidrelu_cli.errors import FluidReluError
from fluidrelu_cli.run import Epoch
from fluidrelu_cli.workers.events import EpochDone, Failed, Finished, Job, Outcome, Split, Started, Update, attempt
from fluidrelu_cli.workers.pool import POLL_SECONDS, Pool, follow


class ThreadPool(Pool):
    """Jobs in a thread, one at a time: any executor of concurrent.futures makes a pool."""

    def __init__(self, data_dir: Path) -> None:
        self.closed: list[bool] = []
        self._data_dir = data_dir
        self._executor = ThreadPoolExecutor(1)
        self._updates: queue.SimpleQueue[Update] = queue.SimpleQueue()

    def submit(self, job: Job) -> Future[Outcome]:
        return self._executor.submit(self._work, job)

    def next_update(self) -> Update | None:
        with contextlib.suppress(queue.Empty):
            return self._updates.get(timeout=POLL_SECONDS)
        return None

    def close(self, *, abandon: bool) -> None:
        self.closed.append(abandon)
        self._executor.shutdown(cancel_futures=True)

    def _work(self, job: Job) -> Outcome:
        *updates, outcome = attempt(job, self._data_dir, "cpu")
        for update in updates:
            assert isinstance(update, (Started, EpochDone))
            self._updates.put(update)
        assert isinstance(outcome, (Finished, Split, Failed))
        return outcome


class ScriptedPool(Pool):
    """Jobs whose futures and updates the test decides on."""

    def __init__(self, *script: Callable[[ScriptedPool], Update | None]) -> None:
        self.futures: dict[Job, Future[Outcome]] = {}
        self.closed: list[bool] = []
        self._script = iter(script)

    def submit(self, job: Job) -> Future[Outcome]:
        self.futures[job] = Future()
        return self.futures[job]

    def next_update(self) -> Update | None:
        return next(self._script)(self)

    def close(self, *, abandon: bool) -> None:
        self.closed.append(abandon)


class CountedFuture(Future[Outcome]):
    """It counts how often one of them is asked whether it is done."""

    questions = 0

    def done(self) -> bool:
        CountedFuture.questions += 1
        return super().done()


EPOCH = Epoch(1, 0.5, 0.5, 0.5, 0.5, 1.0, 1.0, {})


def test_every_trial_ends_once_with_the_run_that_it_has_by_itself(data_dir: Path) -> None:
    """RReLU's two seeds cannot be trained together, so that their job is split."""
    pool = ThreadPool(data_dir)
    jobs = [make_job("relu"), make_job("RReLU", 2)]
    events = list(follow(pool, jobs))
    assert [event.job for event in events if isinstance(event, Started)] == [*jobs, *jobs[1].halves()]
    assert ended_in(events) == [trial for job in jobs for trial in job.trials]
    for run in runs_in(events):
        [alone] = train([run.trial], data_dir)
        assert without_timings(run) == without_timings(alone)
    assert pool.closed == [False]


def test_what_is_still_reported_of_an_ended_job_is_dropped() -> None:
    one, other = make_job("relu", [0]), make_job("relu", [1])

    def end(pool: ScriptedPool, job: Job, update: Update) -> Update:
        pool.futures[job].set_result(Finished(job, ()))
        return update

    pool = ScriptedPool(
        lambda _pool: Started(one),
        lambda pool: end(pool, one, EpochDone(one, [EPOCH])),
        lambda _pool: EpochDone(one, [EPOCH]),
        lambda _pool: None,
        lambda pool: end(pool, other, Started(one)),
    )
    events = list(follow(pool, [one, other]))
    assert events == [Started(one), EpochDone(one, [EPOCH]), Finished(one, ()), Finished(other, ())]
    assert pool.closed == [False]


def test_a_job_whose_result_cannot_travel_has_failed() -> None:
    def lose(pool: ScriptedPool) -> None:
        for job, future in list(pool.futures.items()):
            if not future.done():
                future.set_exception(OSError(f"{len(job.trials)} lost"))

    events = list(follow(ScriptedPool(lose, lose), [make_job("relu"), make_job("elu", 2)]))
    assert [(type(event), event.error) for event in events if isinstance(event, (Failed, Split))] == [
        (Failed, "OSError: 1 lost"),
        (Split, "OSError: 2 lost"),
        (Failed, "OSError: 1 lost"),
        (Failed, "OSError: 1 lost"),
    ]
    assert len(events) == 4


def test_a_lost_pool_is_an_error_that_says_how_to_go_on() -> None:
    def cancel(pool: ScriptedPool) -> None:
        for future in pool.futures.values():
            future.cancel()

    pool = ScriptedPool(cancel)
    with pytest.raises(FluidReluError, match="can no longer be reached; what is finished is kept: the same command"):
        list(follow(pool, [make_job("relu", [0]), make_job("relu", [1])]))
    assert pool.closed == [True]


def test_a_pool_that_breaks_first_gives_the_outcomes_that_arrived() -> None:
    broken, done, waiting = (make_job("relu", [seed]) for seed in range(3))

    def end(pool: ScriptedPool) -> None:
        pool.futures[broken].set_exception(BrokenProcessPool("killed"))
        pool.futures[done].set_result(Finished(done, ()))

    pool = ScriptedPool(end)
    events = follow(pool, [broken, done, waiting])
    assert next(events) == Finished(done, ())
    with pytest.raises(BrokenProcessPool):
        next(events)
    assert pool.closed == [True]


def test_closing_the_iterator_abandons_what_is_in_flight() -> None:
    jobs = [make_job("relu", [0]), make_job("relu", [1])]
    pool = ScriptedPool(lambda _pool: Started(jobs[0]))
    events = follow(pool, jobs)
    assert next(events) == Started(jobs[0])
    assert pool.closed == []
    events.close()
    assert pool.closed == [True]


def test_an_event_costs_the_same_however_many_jobs_are_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [make_job("relu", [seed]) for seed in range(2000)]

    class EndingPool(ScriptedPool):
        """Each update is from the last job that is left, and a copy, as those that come from another process are."""

        def submit(self, job: Job) -> Future[Outcome]:
            self.futures[job] = CountedFuture()
            return self.futures[job]

        def next_update(self) -> Update:
            job, future = self.futures.popitem()
            future.set_result(Finished(job, ()))
            return Started(replace(job))

    monkeypatch.setattr(CountedFuture, "questions", 0)
    with counted_comparisons(Job) as comparisons:
        events = list(follow(EndingPool(), jobs))
    assert [event.job.trials[0].seed for event in events if isinstance(event, Finished)] == list(reversed(range(2000)))
    assert len(events) == 2 * len(jobs)
    assert comparisons.total() <= 4 * len(jobs)
    assert CountedFuture.questions <= 4 * len(jobs)
