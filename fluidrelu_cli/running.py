"""What is being trained in a study just now: a small file that its trainer keeps meanwhile, for others to read.

No result depends on it. A trainer that was killed leaves it behind, so that it counts as long as the study is held.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from types import TracebackType
from typing import TYPE_CHECKING

from fluidrelu_cli.errors import StorageError
from fluidrelu_cli.files import read_json, sealed_json, write_whole
from fluidrelu_cli.protocol import Trial, is_name
from fluidrelu_cli.study import Study
from fluidrelu_cli.workers.events import EpochDone, Event, Job, Started

if TYPE_CHECKING:
    from typing_extensions import Self

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
"""In UTC."""

MOST = {"seed": 2**63 - 1, "epoch": 10**9, "pid": 2**31, "workers": 10**6}
"""The largest numbers that a marker may have; the file may be anybody's."""

BURST = 20
"""How many times a marker may be written within a second; after that once per second."""


@dataclass(frozen=True)
class InFlight:
    """A trial that is being trained."""

    activation: str
    seed: int
    epoch: int
    """How many epochs of it are done."""

    def __post_init__(self) -> None:
        if not is_name(self.activation) or not _are_counts(seed=self.seed, epoch=self.epoch):
            raise ValueError(f"{self} is no trial")


@dataclass(frozen=True)
class Running:
    """What a trainer says of a study."""

    since: str
    """When it began, in TIME_FORMAT."""
    host: str
    pid: int
    workers: int
    """How many jobs it trains side by side, in all its studies."""
    in_flight: tuple[InFlight, ...]

    def __post_init__(self) -> None:
        datetime.strptime(self.since, TIME_FORMAT)
        if not is_name(self.host) or not _are_counts(pid=self.pid, workers=self.workers):
            raise ValueError(f"{self} is no marker")


def _are_counts(**values: object) -> bool:
    return all(type(value) is int and 0 <= value <= MOST[name] for name, value in values.items())


def read_running(study: Study) -> tuple[Running | None, bool]:
    """What the trainer of a study says, and whether it still trains; it was killed otherwise.

    None and False if there is nothing, or nothing that can be read.
    """
    held = study.marker.exists() and study.is_held
    marker = _read(study)
    # the one that held it may have ended, and another may have begun, while the marker was read
    return marker, marker is not None and (held or study.is_held)


def _read(study: Study) -> Running | None:
    try:
        content = read_json(study.marker)
        in_flight = (InFlight(each["activation"], each["seed"], each["epoch"]) for each in content["in_flight"])
        return Running(content["since"], content["host"], content["pid"], content["workers"], tuple(in_flight))
    except (StorageError, KeyError, TypeError, ValueError):
        return None


class Markers:
    """Keeps the markers of studies that are trained together, while the context lasts.

    Hand every event to :meth:`note`. A marker that cannot be written is none: the training does not depend on it.

    Args:
        studies: each with the trials that it lacks.
    """

    def __init__(self, studies: Sequence[tuple[Study, Collection[Trial]]]) -> None:
        self._studies = [(study, frozenset(trials)) for study, trials in studies]
        self._since = datetime.now(timezone.utc).strftime(TIME_FORMAT)
        self._epochs: dict[Job, int] = {}
        self._workers = 0
        self._may_write, self._counted = float(BURST), time.monotonic()

    def __enter__(self) -> Self:
        for study, trials in self._studies:
            self._write(study, trials)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for study, _ in self._studies:
            with contextlib.suppress(OSError):
                study.marker.unlink(missing_ok=True)

    def note(self, event: Event) -> None:
        """Take in what has happened."""
        if isinstance(event, Started):
            self._epochs[event.job] = 0
        elif isinstance(event, EpochDone):
            self._epochs[event.job] = int(event.epochs[0].epoch)
            self._workers = len(self._epochs)  # not as one starts: the job before it may not be known to have ended
        else:
            self._epochs.pop(event.job, None)
        now = time.monotonic()
        self._may_write, self._counted = min(BURST, self._may_write + now - self._counted), now
        if self._may_write >= 1:
            self._may_write -= 1
            for study, trials in self._studies:
                if not trials.isdisjoint(event.job.trials):
                    self._write(study, trials)

    def _write(self, study: Study, trials: Collection[Trial]) -> None:
        in_flight = tuple(
            InFlight(trial.activation, trial.seed, epoch)
            for job, epoch in self._epochs.items()
            for trial in job.trials
            if trial in trials
        )
        workers = self._workers or len(self._epochs)
        running = Running(self._since, socket.gethostname(), os.getpid(), workers, in_flight)
        with contextlib.suppress(StorageError):
            write_whole(study.marker, sealed_json(asdict(running)))
