"""The marker that a trainer keeps: what it says of each study, and how often it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluidrelu_cli import running
from fluidrelu_cli.errors import StorageError
from fluidrelu_cli.networks.named import ACTIVATIONS
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.run import Epoch
from fluidrelu_cli.running import BURST, InFlight, Markers, read_running
from fluidrelu_cli.study import Study
from fluidrelu_cli.workers.events import EpochDone, Failed, Job, Started

EPOCH = Epoch(1.4, 0.5, 0.5, 0.5, 0.5, 2.5, 0.5, {})


def make_job(study: Study, *seeds: int) -> Job:
    return Job(ACTIVATIONS["relu"], tuple(Trial(study.protocol, "relu", seed) for seed in seeds))


def test_each_study_has_the_marker_of_its_own_trials(tmp_path: Path) -> None:
    studies = [Study(tmp_path / str(lr), Protocol(lr=lr)) for lr in (0.01, 0.1)]
    first, second = make_job(studies[0], 0, 1), make_job(studies[1], 0)
    with Markers([(studies[0], first.trials), (studies[1], second.trials)]) as markers, studies[1].held():
        for event in (Started(first), Started(second), EpochDone(first, [EPOCH] * 2)):
            markers.note(event)
        found = [read_running(study) for study in studies]
        assert [marker.in_flight for marker, _ in found if marker is not None] == [
            (InFlight("relu", 0, 1), InFlight("relu", 1, 1)),
            (InFlight("relu", 0, 0),),
        ]
        assert [is_running for _, is_running in found] == [False, True]  # nobody holds the first one
        markers.note(Started(make_job(studies[0], 2)))  # the worker of the second job goes on
        markers.note(Failed(second, "no", "Traceback"))
        marker, _ = read_running(studies[1])
        assert marker is not None
        assert (marker.in_flight, marker.workers) == ((), 2)
    assert [read_running(study) for study in studies] == [(None, False)] * 2


def test_a_marker_is_written_often_only_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study(tmp_path, Protocol())
    job, written, now = make_job(study, 0), [0.0], 100.0
    monkeypatch.setattr(running, "write_whole", lambda *_: written.append(now))
    monkeypatch.setattr("time.monotonic", lambda: now)
    with Markers([(study, job.trials)]) as markers:
        written.clear()
        for _ in range(1000):
            now += 0.01
            markers.note(EpochDone(job, [EPOCH]))
    assert BURST <= len(written) <= BURST + 10


def test_training_does_not_depend_on_its_marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise StorageError("full")

    study = Study(tmp_path, Protocol())
    monkeypatch.setattr(running, "write_whole", refuse)
    with Markers([(study, make_job(study, 0).trials)]) as markers:
        markers.note(Started(make_job(study, 0)))
    assert read_running(study) == (None, False)
