"""Jobs and pools: how trials are put together, what is told of them, and what one that cannot be done costs."""

from __future__ import annotations

import contextlib
import os
import queue
import textwrap
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fluidrelu_cli.errors import FluidReluError
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.run import Epoch, Run
from fluidrelu_cli.training import loop as training
from fluidrelu_cli.workers.local import (
    DEATH,
    POLL_SECONDS,
    EpochDone,
    Event,
    Failed,
    Finished,
    Job,
    Outcome,
    Progress,
    Split,
    Started,
    _container_cores,
    attempt,
    default_workers,
    follow,
    jobs_of,
    run_on_this_machine,
)

PROTOCOL = Protocol(epochs=2, batch_size=50, train_images=100, test_images=50)

ACTIVATIONS = """
    import os
    from pathlib import Path
    import torch
    from fluidrelu_cli.seeding import stream_seed

    def making(seed):
        '''Whether the network of this seed is being made: one of its activations has its random numbers at hand.'''
        return 0 <= torch.initial_seed() - stream_seed(seed, "activations") < 8

    class RaisesFor2(torch.nn.ReLU):
        def __init__(self):
            super().__init__()
            if making(2):
                raise ArithmeticError("not this one")

    class KillsFor1(torch.nn.ReLU):
        def __init__(self):
            super().__init__()
            if making(1):
                os._exit(1)

    class KillsFor0(torch.nn.ReLU):
        '''Two seeds together kill their worker at first, then raise; seed 0 by itself kills it too.'''

        def __init__(self):
            super().__init__()
            self.kills = making(0)

        def forward(self, v):
            together = torch._C._functorch.is_batchedtensor(v)
            if together and Path("killed").exists():
                raise ArithmeticError("one at a time")
            if together or self.kills:
                Path("killed").touch()
                os._exit(1)
            return super().forward(v)
"""


def trials(activation: str, count: int) -> list[Trial]:
    return [Trial(PROTOCOL, activation, seed) for seed in range(count)]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of activations in the current folder, which worker processes import from too."""
    (tmp_path / "spoilt.py").write_text(textwrap.dedent(ACTIVATIONS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


class ThreadPool:
    """Jobs in a thread, one at a time: any executor of concurrent.futures makes a pool."""

    def __init__(self, data_dir: Path) -> None:
        self.closed: list[bool] = []
        self._data_dir = data_dir
        self._executor = ThreadPoolExecutor(1)
        self._events: queue.SimpleQueue[Progress] = queue.SimpleQueue()

    def submit(self, job: Job) -> Future[Outcome]:
        return self._executor.submit(attempt, job, self._data_dir, "cpu", self._events.put)

    def next_event(self) -> Progress | None:
        with contextlib.suppress(queue.Empty):
            return self._events.get(timeout=POLL_SECONDS)
        return None

    def close(self, *, abandon: bool) -> None:
        self.closed.append(abandon)
        self._executor.shutdown(cancel_futures=True)


class ScriptedPool:
    """Jobs whose futures and events the test decides on."""

    def __init__(self, *script: Callable[[ScriptedPool], Progress | None]) -> None:
        self.futures: dict[Job, Future[Outcome]] = {}
        self.closed: list[bool] = []
        self._script = iter(script)

    def submit(self, job: Job) -> Future[Outcome]:
        self.futures[job] = Future()
        return self.futures[job]

    def next_event(self) -> Progress | None:
        return next(self._script)(self)

    def close(self, *, abandon: bool) -> None:
        self.closed.append(abandon)


def ended(events: Iterable[Event]) -> list[Trial]:
    """Every trial that ended, as often as it did."""
    found: list[Trial] = []
    for event in events:
        if isinstance(event, Finished):
            assert tuple(result.trial for result in event.results) == event.job
            found.extend(event.job)
        elif isinstance(event, Failed):
            found.append(event.trial)
    return found


def splits(events: Iterable[Event]) -> list[int]:
    return [len(event.job) for event in events if isinstance(event, Split)]


some_trials = st.lists(
    st.builds(Trial, st.just(PROTOCOL), st.sampled_from(["relu", "fluid", "elu"]), st.integers(0, 9)), unique=True
)


@given(some_trials, st.integers(1, 5))
def test_every_trial_is_in_exactly_one_job(trials: list[Trial], batch_seeds: int) -> None:
    jobs = jobs_of(trials, batch_seeds)
    assert sorted(map(repr, (trial for job in jobs for trial in job))) == sorted(map(repr, trials))
    for job in jobs:
        assert 1 <= len(job) <= batch_seeds
        assert len({trial.activation for trial in job}) == 1
        assert list(job) == [trial for trial in trials if trial in job]
    firsts = [trials.index(job[0]) for job in jobs]
    assert firsts == sorted(firsts)
    for activation in {trial.activation for trial in trials}:  # only the last job is not full
        sizes = [len(job) for job in jobs if job[0].activation == activation]
        assert sizes[:-1] == [batch_seeds] * (len(sizes) - 1)


@given(some_trials)
def test_one_seed_a_job_keeps_the_order(trials: list[Trial]) -> None:
    assert jobs_of(trials, 1) == [(trial,) for trial in trials]


@pytest.mark.parametrize(
    ("limit", "cores"),
    [
        ("150000 100000\n", 2),
        ("400000 100000\n", 4),
        ("10000 100000\n", 0),
        ("max 100000\n", 2**16),
        (None, 2**16),
        ("", 2**16),
        ("\xff\xfe garbage", 2**16),
        ("1 2 3", 2**16),
    ],
)
def test_a_containers_limit_is_read(limit: str | None, cores: int, tmp_path: Path) -> None:
    file = tmp_path / "cpu.max"
    if limit is not None:
        file.write_text(limit, encoding="latin-1")
    assert _container_cores(file) == cores


def test_a_worker_a_core_within_the_containers_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)), raising=False)
    for cores, expected in ((2**16, 8), (3, 3), (0, 1)):
        monkeypatch.setattr("fluidrelu_cli.workers.local._container_cores", lambda cores=cores: cores)
        assert default_workers("cpu") == expected
    assert default_workers("cuda") == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert default_workers("cpu") == 1


def test_a_job_tells_when_it_begins_and_ends_an_epoch(data_dir: Path) -> None:
    pool = ThreadPool(data_dir)
    job = tuple(trials("relu", 2))
    started, first, second, finished = follow(pool, [job])
    assert started == Started(job)
    assert isinstance(first, EpochDone)
    assert isinstance(second, EpochDone)
    assert [record.epoch for record in (*first.records, *second.records)] == [1, 1, 2, 2]
    assert isinstance(finished, Finished)
    assert [result.trial for result in finished.results] == list(job)
    assert [result.epochs[-1] for result in finished.results] == list(second.records)
    assert pool.closed == [False]


@pytest.mark.usefixtures("mine")
def test_of_a_job_that_raises_only_the_culprit_fails(data_dir: Path) -> None:
    jobs = jobs_of([*trials("spoilt:RaisesFor2", 5), *trials("relu", 2)], 5)
    pool = ThreadPool(data_dir)
    events = list(follow(pool, jobs))
    assert splits(events) == [5, 3]  # 0 to 4; 2 to 4; then 2 alone
    [failed] = [event for event in events if isinstance(event, Failed)]
    assert (failed.trial.seed, failed.error) == (2, "ArithmeticError: not this one")
    assert "Traceback" in failed.details
    assert sorted(map(repr, ended(events))) == sorted(repr(trial) for job in jobs for trial in job)
    assert pool.closed == [False]


def test_an_activation_that_cannot_be_stacked_is_trained_seed_by_seed(data_dir: Path) -> None:
    """RReLU draws random numbers, which vmap refuses."""
    job = tuple(trials("RReLU", 2))
    events = list(follow(ThreadPool(data_dir), [job]))
    assert splits(events) == [2]
    assert ended(events) == list(job)
    results = [result for event in events if isinstance(event, Finished) for result in event.results]
    for result, trial in zip(results, job, strict=True):
        [alone] = training.run_together([trial], data_dir, "cpu", lambda _records: None)
        assert [record.test_loss for record in result.epochs] == [record.test_loss for record in alone.epochs]


def test_out_of_memory_halves_the_job(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roomy = training.run_together

    def cramped(trials: Sequence[Trial], *arguments: Any) -> list[Run]:
        if len(trials) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")
        return roomy(trials, *arguments)

    monkeypatch.setattr(training, "run_together", cramped)
    job = tuple(trials("relu", 7))
    events = list(follow(ThreadPool(data_dir), [job]))
    assert splits(events) == [7, 3, 4]
    assert not [event for event in events if isinstance(event, Failed)]
    assert sorted(trial.seed for trial in ended(events)) == list(range(7))
    assert {len(event.job) for event in events if isinstance(event, Finished)} == {1, 2}
    [first, *_] = [event for event in events if isinstance(event, Split)]
    assert first.error == "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"


def test_what_is_still_told_of_an_ended_job_is_dropped() -> None:
    one, other = ((trial,) for trial in trials("relu", 2))
    record = Epoch(1, 0.5, 0.5, 0.5, 0.5, 1.0, 1.0, {})

    def end(pool: ScriptedPool, job: Job, event: Progress) -> Progress:
        pool.futures[job].set_result(Finished(job, ()))
        return event

    pool = ScriptedPool(
        lambda _pool: Started(one),
        lambda pool: end(pool, one, EpochDone(one, [record])),
        lambda _pool: EpochDone(one, [record]),
        lambda _pool: None,
        lambda pool: end(pool, other, Started(one)),
    )
    events = list(follow(pool, [one, other]))
    assert events == [Started(one), EpochDone(one, [record]), Finished(one, ()), Finished(other, ())]
    assert pool.closed == [False]


def test_a_job_whose_result_cannot_travel_has_failed() -> None:
    single, pair = tuple(trials("relu", 1)), tuple(trials("elu", 2))

    def lose(pool: ScriptedPool) -> None:
        for job, future in list(pool.futures.items()):
            if not future.done():
                future.set_exception(OSError(f"{len(job)} lost"))

    events = list(follow(ScriptedPool(lose, lose), [single, pair]))
    assert [type(event) for event in events] == [Failed, Split, Failed, Failed]
    assert [event.error for event in events if isinstance(event, (Failed, Split))] == [
        "OSError: 1 lost",
        "OSError: 2 lost",
        "OSError: 1 lost",
        "OSError: 1 lost",
    ]


def test_a_lost_pool_is_an_error_that_says_how_to_go_on() -> None:
    def cancel(pool: ScriptedPool) -> None:
        for future in pool.futures.values():
            future.cancel()

    pool = ScriptedPool(cancel)
    with pytest.raises(FluidReluError, match="can no longer be reached; what is finished is kept: the same command"):
        list(follow(pool, [(trial,) for trial in trials("relu", 2)]))
    assert pool.closed == [True]


def test_closing_the_iterator_abandons_what_is_in_flight() -> None:
    jobs = [(trial,) for trial in trials("relu", 2)]
    pool = ScriptedPool(lambda _pool: Started(jobs[0]))
    events = follow(pool, jobs)
    assert next(events) == Started(jobs[0])
    assert pool.closed == []
    events.close()
    assert pool.closed == [True]


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize("culprit", [0, 1])
def test_of_a_job_that_kills_its_worker_only_the_culprit_fails(culprit: int, data_dir: Path) -> None:
    """Seed 0 is made to kill the process in which its job has raised, where the other half waits."""
    job = tuple(trials(f"spoilt:KillsFor{culprit}", 2))
    with contextlib.closing(run_on_this_machine([job], 1, data_dir, "cpu")) as running:
        events = list(running)
    assert splits(events) == [2]
    [failed] = [event for event in events if isinstance(event, Failed)]
    assert (failed.trial, failed.error) == (job[culprit], DEATH)
    assert sorted(trial.seed for trial in ended(events)) == [0, 1]
