"""How trials are put into jobs, what is reported of a job, and what one that cannot be done costs."""

from __future__ import annotations

import textwrap
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_trials import (
    PROTOCOL,
    counted_comparisons,
    ended_in,
    failures_in,
    make_job,
    runs_in,
    splits_in,
    train,
    without_timings,
)

from fluidrelu_cli.networks.named import ACTIVATIONS, Activation, resolve
from fluidrelu_cli.protocol import Trial
from fluidrelu_cli.run import Epoch, Run
from fluidrelu_cli.training import loop
from fluidrelu_cli.workers.events import (
    EpochDone,
    Finished,
    Job,
    Split,
    Started,
    attempt,
    group_jobs,
    run_in_this_process,
)

RAISES_FOR_2 = """
    import torch
    from fluidrelu_cli.seeding import stream_seed

    class RaisesFor2(torch.nn.ReLU):
        def __init__(self):
            super().__init__()
            # While the network of seed 2 is built, torch's random numbers are those of its activations.
            if 0 <= torch.initial_seed() - stream_seed(2, "activations") < 8:
                raise ArithmeticError("not this one")
"""

some_trials = st.lists(
    st.builds(Trial, st.just(PROTOCOL), st.sampled_from(["relu", "fluid", "elu"]), st.integers(0, 9)), unique=True
)


@pytest.fixture
def spoilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Activation:
    """An activation that cannot be made for seed 2."""
    (tmp_path / "spoilt.py").write_text(textwrap.dedent(RAISES_FOR_2))
    monkeypatch.syspath_prepend(tmp_path)
    return resolve("spoilt:RaisesFor2")


@given(some_trials, st.integers(1, 5))
def test_every_trial_is_in_exactly_one_job(trials: list[Trial], batch_seeds: int) -> None:
    jobs = group_jobs(trials, list(ACTIVATIONS.values()), batch_seeds)
    assert sorted(map(repr, (trial for job in jobs for trial in job.trials))) == sorted(map(repr, trials))
    for job in jobs:
        assert 1 <= len(job.trials) <= batch_seeds
        assert {trial.activation for trial in job.trials} == {job.activation.name}
        assert list(job.trials) == [trial for trial in trials if trial in job.trials]
    firsts = [trials.index(job.trials[0]) for job in jobs]
    assert firsts == sorted(firsts)
    for activation in {job.activation for job in jobs}:  # only the last job is not full
        sizes = [len(job.trials) for job in jobs if job.activation == activation]
        assert sizes[:-1] == [batch_seeds] * (len(sizes) - 1)


def test_a_trial_is_not_compared_with_every_job() -> None:
    class Name(str):
        """A name that is compared as names are, but counted."""

        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            return str.__eq__(self, other)

    trials = [Trial(PROTOCOL, Name(name), seed) for seed in range(1000) for name in ("relu", "elu")]
    with counted_comparisons(Name) as comparisons:
        jobs = group_jobs(trials, list(ACTIVATIONS.values()), 2)
    assert len(jobs) == len(trials) // 2
    assert comparisons.total() <= 4 * len(trials)


@given(some_trials)
def test_one_seed_per_job_keeps_the_order(trials: list[Trial]) -> None:
    jobs = group_jobs(trials, list(ACTIVATIONS.values()), 1)
    assert jobs == [Job(ACTIVATIONS[trial.activation], (trial,)) for trial in trials]


def test_an_attempt_reports_its_start_each_epoch_and_the_runs(data_dir: Path) -> None:
    job = make_job("relu", 2)
    started, first, second, finished = attempt(job, data_dir, "cpu")
    assert started == Started(job)
    assert isinstance(first, EpochDone)
    assert isinstance(second, EpochDone)
    assert isinstance(finished, Finished)
    assert [epoch.epoch for epoch in (*first.epochs, *second.epochs)] == [1, 1, 2, 2]
    assert [run.trial for run in finished.runs] == list(job.trials)
    assert [run.epochs for run in finished.runs] == list(zip(first.epochs, second.epochs, strict=True))


def test_whatever_a_trial_raises_is_an_outcome_but_ctrl_c(data_dir: Path) -> None:
    def leave() -> None:
        raise SystemExit(3)

    def interrupt() -> None:
        raise KeyboardInterrupt

    [failed] = failures_in(attempt(make_job("relu"), data_dir, "cpu", leave))
    assert failed.error == "SystemExit: 3"
    assert failed.details.startswith("Traceback")
    assert splits_in(attempt(make_job("relu", 2), data_dir, "cpu", leave)) == [2]
    with pytest.raises(KeyboardInterrupt):
        list(attempt(make_job("relu"), data_dir, "cpu", interrupt))


def test_of_a_job_that_raises_only_the_culprit_fails(spoilt: Activation, data_dir: Path) -> None:
    jobs = [Job(spoilt, tuple(Trial(PROTOCOL, spoilt.name, seed) for seed in range(5))), make_job("relu", 2)]
    events = list(run_in_this_process(jobs, data_dir, "cpu"))
    assert splits_in(events) == [5, 3]  # seeds 0 to 4, then 2 to 4; then 2 alone
    [failed] = failures_in(events)
    assert (failed.trial.seed, failed.error) == (2, "ArithmeticError: not this one")
    assert "Traceback" in failed.details
    assert ended_in(events) == [trial for job in jobs for trial in job.trials]


def test_an_activation_that_cannot_be_stacked_is_trained_seed_by_seed(data_dir: Path) -> None:
    """RReLU draws random numbers, which vmap refuses."""
    job = make_job("RReLU", 2)
    events = list(run_in_this_process([job], data_dir, "cpu"))
    assert splits_in(events) == [2]
    assert [without_timings(run) for run in runs_in(events)] == [
        without_timings(run) for trial in job.trials for run in train([trial], data_dir)
    ]


def test_out_of_memory_halves_the_job(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roomy = loop.train_together

    def cramped(
        activation: Activation, trials: Sequence[Trial], *arguments: Any, **options: Any
    ) -> Generator[tuple[Epoch, ...], None, list[Run]]:
        if len(trials) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")
        return (yield from roomy(activation, trials, *arguments, **options))

    monkeypatch.setattr(loop, "train_together", cramped)
    job = make_job("relu", 7)
    events = list(run_in_this_process([job], data_dir, "cpu"))
    assert splits_in(events) == [7, 3, 4]
    assert {event.error for event in events if isinstance(event, Split)} == {
        "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"
    }
    assert [len(event.job.trials) for event in events if isinstance(event, Finished)] == [1, 2, 2, 2]
    assert ended_in(events) == list(job.trials)
