"""`status`: what is finished, running and failed, and how long the rest takes. Nothing that a study names is run."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from fluidrelu_cli.cli.completion import complete_study
from fluidrelu_cli.cli.forecast import Asked, key_of_time
from fluidrelu_cli.cli.options import DEFAULT_RESULTS, JsonOption, ResultsOption
from fluidrelu_cli.cli.run import list_asked
from fluidrelu_cli.cli.terminal import say, show, show_json
from fluidrelu_cli.declaration import ENDING, Declaration
from fluidrelu_cli.errors import FluidReluError
from fluidrelu_cli.protocol import Protocol, Trial, is_own, spell_number, trial_names
from fluidrelu_cli.running import TIME_FORMAT, InFlight, Running, read_running
from fluidrelu_cli.stopping import Stopping
from fluidrelu_cli.study import ASKED, DEFAULT_STUDY, Contents, Study, find_folder, find_study, list_studies
from fluidrelu_cli.study_file import find_files


def status(
    named: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE|STUDY",
            help="What to show in full: study files, folders of study files, or studies by name or folder. Left out: a"
            " line for each study.",
            show_default=False,
            autocompletion=complete_study,
        ),
    ] = None,
    as_json: JsonOption = False,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Show what is finished, what is being trained, what failed, and how long the rest takes.

    Everything is read from files, also while another process trains.
    """
    parts = _list_named(named, results) if named else list(_list_all(results))
    clock = Clock(parts)
    if as_json:
        missing = [(part, trial) for part in parts for arm in part.arms for trial in arm.missing]
        left = {"seconds_left": clock.time_left(missing), "workers": clock.workers}
        show_json({"studies": [part.to_dict(clock) for part in parts], **left})
    elif named:
        _show_parts(parts, clock, results)
    else:
        _show_all(parts, results)


@dataclass(frozen=True)
class Arm:
    """How far an activation of a study is."""

    activation: str
    finished: int
    missing: tuple[Trial, ...]
    running: tuple[InFlight, ...]
    failed: tuple[Path, ...]
    """The tracebacks of trials that have no run."""
    damaged: int
    """How many runs cannot be used."""

    @property
    def asked(self) -> int:
        return self.finished + len(self.missing)


@dataclass(frozen=True)
class Part:
    """How far a study is, all of it read at one time."""

    asked: Asked
    declaration: Declaration | None
    """The file that asks for it."""
    trainer: Running | None
    """Who trains in it just now."""
    interrupted: Running | None
    """Who was killed while training in it."""
    contents: Contents

    @classmethod
    def look(cls, asked: Asked, declaration: Declaration | None = None) -> Part:
        """Read it: first who trains, so that a trial that ends meanwhile is among the runs."""
        marker, is_running = read_running(asked.study)
        trainer, interrupted = (marker, None) if is_running else (None, marker)
        return cls(asked, declaration, trainer, interrupted, asked.study.read())

    @property
    def study(self) -> Study:
        return self.asked.study

    @cached_property
    def in_flight(self) -> Mapping[Trial, InFlight]:
        """What is being trained."""
        found = self.trainer.in_flight if self.trainer is not None else ()
        trials = {Trial(self.study.protocol, each.activation, each.seed): each for each in found}
        finished = {run.trial for run in self.contents.runs}
        return {trial: each for trial, each in trials.items() if trial not in finished}

    @cached_property
    def arms(self) -> list[Arm]:
        """Of what is asked for; of a study without a file also of what was trained besides."""
        finished = [run.trial for run in self.contents.runs]
        besides = () if self.declaration is not None else (*finished, *self.in_flight)
        mine: dict[str, list[Trial]] = {}
        for trial in dict.fromkeys((*self.asked.trials, *besides)):
            mine.setdefault(trial.activation, []).append(trial)
        return [self._count(name, sorted(trials, key=_seed), set(finished)) for name, trials in mine.items()]

    def _count(self, activation: str, trials: Sequence[Trial], finished: Collection[Trial]) -> Arm:
        missing = [trial for trial in trials if trial not in finished]
        running = tuple(self.in_flight[trial] for trial in missing if trial in self.in_flight)
        idle = [trial for trial in missing if trial not in self.in_flight] if self.tracebacks else []
        failed = tuple(path for trial in idle if (path := self.study.files(trial.name).failure) in self.tracebacks)
        problems = self.contents.problems
        damaged = [
            trial
            for trial in missing
            if problems and not problems.keys().isdisjoint(trial_names(activation, trial.seed))
        ]
        return Arm(activation, len(trials) - len(missing), tuple(missing), running, failed, len(damaged))

    @cached_property
    def tracebacks(self) -> frozenset[Path]:
        """Of all trials that failed; some may have succeeded since."""
        return frozenset(self.study.runs_folder.glob("*-seed*.failed.txt"))

    @property
    def other_failures(self) -> list[Path]:
        """The tracebacks of trials that nobody asked for, as `train` leaves them."""
        if self.declaration is not None:
            return []
        tried_again = {self.study.files(trial.name).failure for trial in self.in_flight}
        succeeded = {self.study.files(run.trial.name).failure for run in self.contents.runs}
        asked = {path for arm in self.arms for path in arm.failed}
        return sorted(self.tracebacks - tried_again - succeeded - asked)

    @property
    def last_run(self) -> datetime | None:
        """When its newest run was written."""
        files = [self.study.files(run.trial.name).csv for run in self.contents.runs]
        times = [path.stat().st_mtime for path in files if path.exists()]
        return datetime.fromtimestamp(max(times), timezone.utc) if times else None

    def to_dict(self, clock: Clock) -> dict[str, Any]:
        """What --json prints of it."""
        trainer, last = self.trainer, self.last_run
        return {
            "study": self.study.name,
            "folder": str(self.study.folder),
            "file": None if self.declaration is None else str(self.declaration.path),
            "protocol": self.study.protocol.to_dict(),
            "last_run": None if last is None else last.strftime(TIME_FORMAT),
            "trainer": trainer and {name: getattr(trainer, name) for name in ("since", "host", "pid", "workers")},
            "interrupted": self.interrupted is not None,
            "other_failures": [str(path) for path in self.other_failures],
            "activations": [
                {
                    "activation": arm.activation,
                    "asked": arm.asked,
                    "at_most": self.asked.at_most,
                    "finished": arm.finished,
                    "running": [{"seed": each.seed, "epoch": each.epoch} for each in arm.running],
                    "failed": [str(path) for path in arm.failed],
                    "damaged": arm.damaged,
                    "seconds_left": clock.time_left([(self, trial) for trial in arm.missing]),
                }
                for arm in self.arms
            ],
        }


def _seed(trial: Trial) -> int:
    return trial.seed


class Clock:
    """How long trials of studies take, by the seconds of those that are finished and alike."""

    def __init__(self, parts: Sequence[Part]) -> None:
        from fluidrelu_cli.analysis.duration import median_seconds
        from fluidrelu_cli.workers.local import default_workers

        self._alike: dict[tuple[Protocol, str], list[float]] = {}  # of an epoch
        self._own: dict[tuple[Protocol, str], float | None] = {}
        for part in parts:
            for name, seconds in median_seconds(part.contents.runs).items():
                self._own[part.study.protocol, name] = seconds
                alike = self._alike.setdefault(key_of_time(Trial(part.study.protocol, name, 0)), [])
                alike.append(seconds / part.study.protocol.epochs)
        devices = [run.provenance.device for part in parts for run in part.contents.runs]
        busy = max((part.trainer.workers for part in parts if part.trainer is not None), default=0)
        self.workers = busy or default_workers((devices and devices[-1]) or "cpu")

    def time_left(self, trials: Sequence[tuple[Part, Trial]]) -> float | None:
        """How many seconds the missing trials of studies take; None if no run is like one of them."""
        from fluidrelu_cli.analysis.duration import estimate

        seconds = [self._time(part, trial) for part, trial in trials]
        known = [each for each in seconds if each is not None]
        return estimate(known, self.workers) if len(known) == len(seconds) else None

    def _time(self, part: Part, trial: Trial) -> float | None:
        kind = trial.protocol, trial.activation
        if kind not in self._own:
            others = self._alike.get(key_of_time(trial))
            self._own[kind] = median(others) * trial.protocol.epochs if others else None
        seconds = self._own[kind]
        running = part.in_flight.get(trial)
        done = min(running.epoch / trial.protocol.epochs, 1) if running else 0
        return None if seconds is None else seconds * (1 - done)


def _list_all(results: Path) -> Iterator[Part]:
    for name in list_studies(results):
        with _saying():
            yield Part.look(_recall(find_study(results, name)))


@contextlib.contextmanager
def _saying() -> Iterator[None]:
    """Say why a study cannot be read; the others are shown all the same."""
    try:
        yield
    except FluidReluError as error:
        say(f"Left out: {error}")


def _list_named(named: Sequence[str], results: Path) -> list[Part]:
    """The studies that are meant, each once. Raises UsageError as find_study where there is none."""
    found: dict[Path, Part] = {}
    for typed in (each for one in named for each in _expand(one, results)):
        for part in _list_meant(typed, results):
            found.setdefault(part.study.folder.resolve(), part)
    return list(found.values())


def _expand(typed: str, results: Path) -> list[str]:
    """The study files of a folder; whatever else is named, as it is."""
    if find_folder(results, typed) is None and os.path.isdir(typed) and any(Path(typed).glob(f"*{ENDING}")):  # noqa: PTH112
        return [str(path) for path in find_files([Path(typed)])]
    return [typed]


def _list_meant(typed: str, results: Path) -> list[Part]:
    from fluidrelu_cli.declared import find_question

    declaration, folder = find_question(results, typed), find_folder(results, typed)
    asked = [] if declaration is None else list(list_asked(declaration, results))
    if folder is not None:
        asked = [each for each in asked if each.study.folder.resolve() == folder.resolve()]
    if not asked:
        return [Part.look(_recall(find_study(results, typed)))]
    return [Part.look(each, declaration) for each in asked]


def _recall(study: Study) -> Asked:
    """What a study was asked for, by itself."""
    stopping = _recall_stopping(study)
    asked = Asked(study, ()) if stopping is None else Asked.until_decided(study, stopping)
    others = {name: n for name, n in study.asked.items() if stopping is None or name not in stopping.seeds}
    trials = (Trial(study.protocol, name, seed) for name, n in others.items() for seed in range(n))
    return replace(asked, trials=[*asked.trials, *trials])


def _recall_stopping(study: Study) -> Stopping | None:
    """Where training ends once a comparison is decided; None if something else was asked for since."""
    last = [entry for entry in study.log if entry.what == ASKED][-1:]
    return next((Stopping.recalled(entry) for entry in last), None)


def _show_all(parts: Sequence[Part], results: Path) -> None:
    from fluidrelu_cli.cli.wording import describe_moment, describe_protocol, list_counts
    from fluidrelu_cli.report.tables import rich_table

    if not parts:
        show(f"There is no study in {results} yet: train one with `fluidrelu repeat`.")
        return
    rows = [
        [
            part.study.name,
            describe_protocol(part.study.protocol),
            list_counts([(arm.activation, arm.finished, arm.asked) for arm in part.arms]),
            "–" if part.last_run is None else describe_moment(part.last_run),
            "training" if part.trainer else "interrupted" if part.interrupted else "",
        ]
        for part in parts
    ]
    head = ["study", "protocol", "finished runs", "last run", "now"]
    columns = len(head) if any(row[-1] for row in rows) else len(head) - 1
    rows = [row[:columns] for row in rows]
    table = rich_table(f"Studies in {results}", head[:columns], rows, left=range(columns))
    table.columns[0].no_wrap = max(len(row[0]) for row in rows) <= LONGEST_UNBROKEN  # so that it can be copied
    show(table)


LONGEST_UNBROKEN = 30
"""How long the names of studies may be that are not broken between lines."""


def _show_parts(parts: Sequence[Part], clock: Clock, results: Path) -> None:
    from fluidrelu_cli.cli.wording import describe_time_left, describe_trainer, status_cells
    from fluidrelu_cli.report.tables import rich_table
    from fluidrelu_cli.report.wording import failed

    rows = [
        (
            part.study.name,
            arm.activation,
            arm.finished,
            arm.asked,
            part.asked.at_most,
            clock.time_left([(part, trial) for trial in arm.missing]),
            {"running": len(arm.running), "failed": len(arm.failed), "damaged": arm.damaged},
        )
        for part in parts
        for arm in part.arms
    ]
    files = dict.fromkeys(str(part.declaration.path if part.declaration else part.study.folder) for part in parts)
    if rows:
        show(rich_table(", ".join(files), *status_cells(rows), left=(0, 1)))
    for part in parts:
        for arm in part.arms:
            if arm.failed:
                show(failed(arm.activation, [str(path) for path in arm.failed]))
        for path in part.other_failures:
            show(f"Another trial failed; its traceback is in {path}.")
        for note in part.contents.notes:
            show(note)
        if part.trainer is not None:
            show(describe_trainer(part.study.name, part.trainer, list(part.in_flight.values()), part.study.protocol))
        elif part.interrupted is not None:
            command = _resume_command(part.study, part.interrupted, results)
            show(f"{part.study.name} was interrupted{f': go on with `{command}`' if command else ''}.")
    missing = [(part, trial) for part in parts for arm in part.arms for trial in arm.missing]
    at_most = any(part.asked.at_most for part, _ in missing)
    show(describe_time_left(len(missing), clock.time_left(missing), clock.workers, at_most=at_most))


def _resume_command(study: Study, marker: Running, results: Path) -> str | None:
    """The command that goes on with what was interrupted; None if nothing says what that was."""
    asked = [entry for entry in study.log if entry.what == ASKED]
    last = asked[-1] if asked else None
    where = [] if results == DEFAULT_RESULTS else ["--results", str(results)]
    if last is not None and last.file is not None:
        return shlex.join(["fluidrelu", "run", last.file, *where])
    where = [*([] if study.name == DEFAULT_STUDY else ["--study", study.name]), *where]
    if is_own(study.protocol.model):
        where = ["--model", study.protocol.model, *where]
    besides = [each for each in marker.in_flight if last is None or each.seed >= last.seeds.get(each.activation, 0)]
    if besides:
        return shlex.join(
            ["fluidrelu", "train", "--act", besides[0].activation, "--seed", str(besides[0].seed), *where]
        )
    if last is None:
        return None
    stopping = _recall_stopping(study)
    seeds = ["-n", str(max(last.seeds.values(), default=1))]
    if stopping is not None:
        seeds = ["--until", "decided", "--margin", spell_number(stopping.margin), "--max", str(stopping.most)]
    activations = [word for name in last.seeds for word in ("--act", name)]
    return shlex.join(["fluidrelu", "repeat", *seeds, *activations, *where])
