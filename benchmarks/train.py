"""Train a new study as a user's script would, and print each trial's seconds as JSON.

A process of its own, so that what is measured has a start-up and a peak of memory: `python train.py SETTINGS`, where
SETTINGS are the fields of Settings as JSON.
"""

from __future__ import annotations

import contextlib
import functools
import json
import multiprocessing.forkserver
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fluidrelu_cli.experiment import conduct, prepare
from fluidrelu_cli.networks.named import resolve
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.study import Study
from fluidrelu_cli.workers.events import Failed, run_in_this_process
from fluidrelu_cli.workers.local import run_on_this_machine, start_fork_server


@dataclass(frozen=True)
class Settings:
    """What to train, and where."""

    activations: Sequence[str]
    protocol: Mapping[str, Any]
    seeds: int = 1
    workers: int | None = None
    """Worker processes; None: this process alone."""
    batch_seeds: int = 1
    device: str = "cpu"


def train(settings: Settings) -> list[float]:
    """Train all trials; the seconds of each, or its share of them if seeds were trained together."""
    if settings.workers is not None:
        start_fork_server()  # as `fluidrelu repeat` does, before it checks the data
    with tempfile.TemporaryDirectory() as folder:
        study = Study(Path(folder) / "study", Protocol(**settings.protocol))
        experiment = prepare(study, [resolve(name) for name in settings.activations], device=settings.device)
        where: dict[str, Any] = {"data_dir": experiment.data_dir, "device_name": experiment.device_name}
        run_jobs = (
            functools.partial(run_in_this_process, **where)
            if settings.workers is None
            else functools.partial(run_on_this_machine, workers=settings.workers, **where)
        )
        with conduct(experiment, range(settings.seeds), run_jobs, batch_seeds=settings.batch_seeds) as (_, events):
            for event in events:
                if isinstance(event, Failed):
                    sys.exit(event.details)
    runs = experiment.contents.runs
    return [(run.provenance.wall_seconds or 0) / run.provenance.batched_seeds for run in runs]


if __name__ == "__main__":
    seconds = train(Settings(**json.loads(sys.argv[1])))
    # The system counts the memory of processes that somebody has waited for, and nobody waits for a fork server that
    # ends after its parent.
    with contextlib.suppress(AttributeError):
        multiprocessing.forkserver._forkserver._stop()  # type: ignore[attr-defined]
    json.dump(seconds, sys.stdout)
