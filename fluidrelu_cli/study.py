"""A study: a folder with one protocol (`study.json`) and the files of its runs."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import itertools
import os
import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fluidrelu_cli import run
from fluidrelu_cli.cost import Cost, read_cost
from fluidrelu_cli.errors import (
    ContradictoryRunError,
    DamagedFileError,
    FluidReluError,
    OtherProtocolError,
    StorageError,
    UsageError,
    printable,
)
from fluidrelu_cli.files import is_locked, lock_file, read_bytes, read_json, sealed_json, write_whole
from fluidrelu_cli.protocol import Protocol, Trial, file_stem, is_name, is_own, option, trial_names
from fluidrelu_cli.run import Run, RunFiles, find_runs

DEFAULT_STUDY = "local"

DEFAULT_BASELINE = "relu"
"""The activation that others are compared with unless another is named: the paper's."""

DEFAULT_ACTIVATIONS = (DEFAULT_BASELINE, "fluid")
"""The paper's two: what is trained when nobody names any."""


MOST_SEEDS = 100_000
"""How many seeds of an activation can be asked for."""

RESERVED = ("runs", "report", "declared", "sources", "dropped")
"""The folders of a study, which no study can be called."""

MOST_NAMED = 5
"""How many studies the message on a wrong name lists."""


@dataclass(frozen=True)
class Contents:
    """The runs of a study's folder, each of its files read once."""

    runs: tuple[Run, ...] = ()
    """All that can be read, by activation and seed."""
    problems: Mapping[str, StorageError] = field(default_factory=dict)
    """Why each other run cannot be used, by its trial's name."""

    @property
    def notes(self) -> list[str]:
        """A sentence on each reason for which runs are left out."""
        alike: dict[str, list[str]] = {}
        for name, error in self.problems.items():
            alike.setdefault(str(error).replace(name, ""), []).append(name)
        return [
            f"Left out: {self.problems[first]}{f'; likewise {_list_some(others)}' if others else ''}."
            for first, *others in alike.values()
        ]


def _list_some(names: Sequence[str], most: int = 6) -> str:
    """Names in a sentence, of very many the first ones."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def sort_key(made: Run) -> tuple[str, int]:
    """What the runs of a study are sorted by."""
    return made.trial.activation, made.trial.seed


ASKED, LOOKED = "asked", "looked"


@dataclass(frozen=True)
class Entry:
    """One line of a study's log: seeds that were asked for, or a report that was looked at."""

    what: str
    """ASKED or LOOKED."""
    seeds: Mapping[str, int]
    """By activation: how many seeds were asked for, or how many runs were finished when it was looked at."""
    when: str = ""
    """In UTC, to the second: ``2026-11-25T07:10:00Z``."""
    finished: int | None = None
    """How many runs the study had already when seeds were asked for."""
    file: str | None = None
    """The study file by which it was asked or looked at, as it was typed."""
    sha256: str | None = None
    """The digest of that file's text; a copy is kept beside the study."""
    until: Mapping[str, Any] | None = None
    """Where training ends once a comparison is decided: ``compare`` (activation and baseline), ``margin``, and ``max``,
    how many pairs at most."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Entry:
        """The entry with these fields; what it does not know is left out. ValueError, TypeError if one is wrong."""
        known = {one.name: values[one.name] for one in fields(cls) if one.name in values}
        entry = cls(**known)
        names = (entry.what, entry.when or "-", *entry.seeds, entry.sha256 or "-")
        counts = (*entry.seeds.values(), entry.finished or 0)
        texts = all(map(is_name, names)) and is_name(entry.file or "-", longest=10_000)
        known_types = texts and isinstance(entry.until or {}, Mapping)
        if not known_types or not all(isinstance(each, int) for each in counts):
            raise ValueError(f"the log has {values!r}")
        return entry

    def to_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def _meaning(self) -> object:
        """All but the time, and what was there at the time."""
        return replace(self, when="", finished=None, file=None).to_dict()


@dataclass
class Study:
    """A study on disk.

    ``asked`` records how many seeds (0, 1, ...) of each activation were ever asked for, so that a table can say
    n = 9/10 when one failed.
    """

    folder: Path
    protocol: Protocol
    asked: dict[str, int] = field(default_factory=dict)
    name: str = ""
    """What it is called; its folder's name if left out."""
    log: tuple[Entry, ...] = ()
    """When seeds were asked for, and when a report was looked at."""

    def __post_init__(self) -> None:
        self.name = self.name or self.folder.name

    @property
    def path(self) -> Path:
        return self.folder / "study.json"

    @property
    def marker(self) -> Path:
        """Where whoever trains in it says what (:mod:`fluidrelu_cli.running`)."""
        return self.folder / ".running.json"

    @property
    def known(self) -> set[str]:
        """The activations that were ever asked for in it."""
        return {*self.asked, *(name for entry in self.log for name in entry.seeds)}

    @property
    def runs_folder(self) -> Path:
        return self.folder / "runs"

    def files(self, name: str) -> RunFiles:
        """The paths of the files of the trial called ``name``."""
        return RunFiles(self.runs_folder, name)

    def save(self) -> None:
        """Write study.json, with the log that it has by now; StorageError if that fails."""
        with self._writing():
            self._write()

    def record(self, entry: Entry) -> None:
        """Add a line to the log, now, unless the last one of its kind is the same; StorageError if that fails.

        Another process may be training in the study: whatever it has written stays.
        """
        with self._writing():
            if self.path.exists():
                recorded = load_study(self.folder)
                self.asked, self.log = recorded.asked, recorded.log
            last = [line._meaning for line in self.log if line.what == entry.what][-1:]
            if entry._meaning not in last:
                when = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
                file = None if entry.file is None else printable(entry.file)
                self.log = (*self.log, replace(entry, when=when, file=file))
                self._write()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Let no other process write study.json meanwhile."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with lock_file(self.folder / ".study.lock", "--results"):
                with contextlib.suppress(FluidReluError):  # none yet, or it is about to be restored
                    self.log = load_study(self.folder).log
                yield
        except OSError as error:
            raise StorageError(
                f"{self.folder} cannot be written ({error.strerror or error}): name another folder with --results."
            ) from error

    def _write(self) -> None:
        content: dict[str, Any] = {"protocol": self.protocol.to_dict(), "asked": self.asked}
        if self.log:
            content["log"] = [entry.to_dict() for entry in self.log]
        write_whole(self.path, sealed_json(content))

    def ask(self, activations: Sequence[str], n: int, *, forget: bool = False) -> None:
        """Record that the first n seeds of each activation were asked for; StorageError if that cannot be written.

        With ``forget`` a larger n that was asked for earlier is forgotten.
        """
        asked = self.asked_with(activations, n, forget=forget)
        if asked != self.asked:
            self.asked = asked
            self.save()

    def asked_with(self, activations: Sequence[str], n: int, *, forget: bool = False) -> dict[str, int]:
        """What :meth:`ask` records."""
        return self.asked | {name: n if forget else max(n, self.asked.get(name, 0)) for name in activations}

    def read(self) -> Contents:
        """Read every run in the folder; what cannot be read, or believed, is among the problems."""
        runs: dict[str, Run] = {}
        problems: dict[str, StorageError] = {}
        for files in find_runs(self.runs_folder):
            name = files.name
            try:
                runs[name] = self._read_run(files)
            except StorageError as error:  # a damaged file is one too
                problems[name] = error
        for name, (reason, seeds) in _find_contradictions(runs).items():
            made = runs.pop(name)
            why = f"{self.files(name).csv} cannot be right: {reason}"
            problems[name] = ContradictoryRunError(why, made.trial.seed, seeds)
        return Contents(tuple(sorted(runs.values(), key=sort_key)), problems)

    def read_some(self) -> Contents:
        """As :meth:`read`; FluidReluError if no run can be read."""
        contents = self.read()
        if not contents.runs:
            failures = sorted(self.runs_folder.glob("*.failed.txt"))
            failed = [f"{len(failures)} failed: see {failures[-1]}."] if failures else []
            reasons = [*contents.notes, *failed]
            found = f" ({' '.join(reasons)})" if reasons else ""
            raise FluidReluError(f"{self.folder} has no finished run{found}: train some with `fluidrelu repeat` first.")
        return contents

    def _read_run(self, files: RunFiles) -> Run:
        found = run.read(files)
        differences = self.protocol.differences(found.trial.protocol)
        if differences:
            raise OtherProtocolError(
                f"{files.provenance} is of another protocol than its study ({', '.join(differences)}):"
                " restore study.json, or move the run away"
            )
        return found

    def missing(self, trials: Sequence[Trial], contents: Contents) -> list[Trial]:
        """Those of the trials that have no usable run among the contents.

        Raises OtherProtocolError, or StorageError, if one has a run that is not damaged and yet cannot be used, and
        UsageError if its files are those of another activation.
        """
        finished = {made.trial for made in contents.runs}
        missing = [trial for trial in trials if trial not in finished]
        names = {made.trial.name.casefold(): made.trial for made in contents.runs}
        for trial in missing:
            other = names.setdefault(trial.name.casefold(), trial)
            if other != trial:
                raise UsageError(
                    f"{trial.activation} and {other.activation} would share their files where a file's name may be"
                    " written in capitals or not: rename one, or name another --study."
                )
            for name in trial_names(trial.activation, trial.seed):
                problem = contents.problems.get(name)
                if problem is not None and not isinstance(problem, DamagedFileError):
                    raise problem
        return missing

    def set_aside(self, name: str) -> str:
        """Give a damaged run's files names that nothing reads; the CSV's. StorageError if that fails."""
        files = self.files(name)
        return _set_aside([files.csv, files.parameters, files.weights, files.provenance])

    def drop(self, activation: str) -> Path | None:
        """Take an activation out of a locked study: not asked for, its runs moved away; to which folder, if it has any.

        Raises UsageError if the study has no such activation, StorageError if a file cannot be moved or written.
        """
        readable = _read_readable(self.folder)
        recorded = {name for name, made in readable.items() if made.trial.activation == activation}
        named = re.compile(rf"{re.escape(file_stem(activation))}-seed\d+")
        found = ((re.fullmatch(r"(.+-seed\d+)\..+", path.name), path) for path in self.runs_folder.iterdir())
        paths = [path for trial, path in found if trial and (trial[1] in recorded or named.fullmatch(trial[1]))]
        if not paths and activation not in self.asked:
            names = dict.fromkeys([*self.asked, *(made.trial.activation for made in readable.values())])
            raise UsageError(f"{self.folder} has no activation '{activation}': it has {', '.join(names) or 'none'}.")
        folder = self.folder / "dropped" / file_stem(activation)
        folder = folder.with_name(f"{folder.name}{_number(folder, '.')}")
        try:
            for path in paths:
                folder.mkdir(parents=True, exist_ok=True)
                path.replace(folder / path.name)
        except OSError as error:
            raise StorageError(f"{folder} cannot be written ({error.strerror or error}).") from error
        self.asked = {name: n for name, n in self.asked.items() if name != activation}
        self.save()
        return folder if paths else None

    def write(self, made: Run) -> None:
        """Write a finished run's files, and study.json if it was removed meanwhile; StorageError if that fails."""
        run.write(made, self.files(made.trial.name))
        if not self.path.exists():
            self.save()

    def write_failure(self, trial: Trial, details: str) -> Path:
        """Keep a failed trial's traceback; StorageError if that fails."""
        path = self.files(trial.name).failure
        write_whole(path, details)
        return path

    @property
    def cost_path(self) -> Path:
        """Where it is kept what its activations cost."""
        return self.folder / "cost.json"

    def read_cost(self) -> Cost | None:
        """What its activations cost on its network, if that was measured and kept.

        Raises StorageError if its file cannot be used: it cannot be read, is damaged, or is of another protocol.
        """
        if not self.cost_path.exists():
            return None
        cost = read_cost(self.cost_path)
        differences = self.protocol.differences(cost.protocol)
        if differences:
            raise OtherProtocolError(
                f"{self.cost_path} is of another protocol than its study ({', '.join(differences)}): measure again"
                " with `fluidrelu cost`"
            )
        return cost

    def source(self, sha256: str) -> Path:
        """Where a user's file of this digest is kept, as it was when its activation or network was trained."""
        return self.folder / "sources" / f"{sha256}.py"

    def read_source(self, sha256: str | None) -> bytes | None:
        """The kept file of this digest; None if there is none, or it is not what it was."""
        if sha256 is None or not re.fullmatch(r"[0-9a-f]{64}", sha256):  # it comes from a run's JSON
            return None
        try:
            text = read_bytes(self.source(sha256))
        except StorageError:
            return None
        return text if hashlib.sha256(text).hexdigest() == sha256 else None

    def keep_source(self, sha256: str, text: bytes) -> None:
        """Keep a user's file beside the runs that it made; StorageError if that fails."""
        if self.read_source(sha256) is None:
            write_whole(self.source(sha256), text)

    def _settle(self) -> None:
        """Take over what another process may have written since this study was opened, or write study.json."""
        if not self.path.exists():
            self.save()
            return
        recorded = load_study(self.folder)
        if recorded.protocol != self.protocol:
            raise UsageError(f"The protocol of {self.folder} was set by another process just now: try again.")
        self.asked, self.log = recorded.asked, recorded.log

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """As :meth:`held`, with what study.json says by now; it is written if there is none."""
        with self.held():
            self._settle()
            yield

    @property
    def is_held(self) -> bool:
        """Whether a process is at work in it, as :meth:`held` lets one alone."""
        return is_locked(self._lock)

    @property
    def _lock(self) -> Path:
        return self.folder / ".lock"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from training in this study at the same time; clear what a killed one left.

        Raises FluidReluError if another process is at work, StorageError if the folder cannot be written.
        """

        def refuse() -> None:
            raise FluidReluError(
                f"Another fluidrelu is at work in {self.folder}: wait until it is done, or name another --study."
            )

        with contextlib.ExitStack() as stack:
            try:
                self.runs_folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(lock_file(self._lock, "--results", refuse))
                scratch = (self.folder.glob(f".{path.name}.*.tmp") for path in (self.path, self.marker))
                for leftover in (*self.runs_folder.glob(".*.tmp"), *itertools.chain(*scratch), self.marker):
                    leftover.unlink(missing_ok=True)
            except OSError as error:
                raise StorageError(
                    f"{self.folder} cannot be written ({error.strerror or error}): name another folder with --results."
                ) from error
            yield


def open_study(results: Path, typed: str, requested: Mapping[str, Any]) -> Study:
    """The study that ``typed`` means (:func:`find_folder`), or a new one of that name, which is saved when locked.

    Args:
        results: the folder of all studies.
        typed: the study's name, which may have folders (``calibration/batch-10``), or the path of its folder.
        requested: protocol fields that the user asked for; others are the study's, or the defaults.

    Raises:
        UsageError: if the name or a value is wrong, or the study there has another protocol.
        DamagedFileError, StorageError: if its study.json cannot be read.
    """
    folder = find_folder(results, typed)
    if folder is None:
        name = new_name(results, typed)
        if (results / name / "declared").is_dir():
            raise UsageError(
                f"{results / name} is where the studies of the file {name}.toml are: name one of them"
                f" (--study {name}/...), or another --study."
            )
        return Study(results / name, Protocol(**requested), name=name)
    study = _load_named(results, folder)
    differences = study.protocol.differences(replace(study.protocol, **requested))
    if differences:
        found = ", ".join(f"{option(field)} {old}, not {new}" for field, (old, new) in differences.items())
        raise UsageError(
            f"The study in {folder} has {found}: leave these options out to go on with it,"
            " or start another with --study NAME."
        )
    return study


def find_study(results: Path, typed: str) -> Study:
    """Load the study that ``typed`` means (:func:`find_folder`).

    Raises:
        UsageError: if there is none; the message names those whose names are nearest.
        DamagedFileError, StorageError: if its study.json cannot be read.
    """
    folder = find_folder(results, typed)
    if folder is None:
        raise UsageError(_explain_none(results, typed))
    return _load_named(results, folder)


def find_folder(results: Path, typed: str) -> Path | None:
    """The folder of the study that is meant: its name under ``results``, or else the path of its folder.

    None if there is no study of that name or path.
    """
    if not isinstance(typed, str):
        raise UsageError(f"A study has a name, not {typed}.")
    names = dict.fromkeys((typed, unicodedata.normalize("NFC", typed)))
    may_be_name = not typed.startswith((".", "/")) and ".." not in typed.split("/")
    folders = [*(results / name for name in names if may_be_name), Path(typed)]
    return next((folder for folder in folders if typed and _is_study(folder)), None)


def _is_study(folder: Path) -> bool:
    return (folder / "study.json").exists() or bool(find_runs(folder / "runs"))


def _load_named(results: Path, folder: Path) -> Study:
    return replace(load_study(folder), name=_name_below(results, folder) or folder.as_posix())


def _name_below(results: Path, path: Path) -> str | None:
    """What a path is called under the folder of all studies; None if it leads elsewhere."""
    normalise = os.path.abspath if path.is_absolute() else os.path.normpath
    path, results = Path(normalise(path)), Path(normalise(results))
    return path.relative_to(results).as_posix() if path != results and path.is_relative_to(results) else None


def new_name(results: Path, typed: str) -> str:
    """The name of a study that is not there yet, from itself or from its path below ``results``.

    UsageError if that is no name for a study; the message says why.
    """
    name = unicodedata.normalize("NFC", (_name_below(results, Path(typed)) if typed else None) or typed)
    fault = next(filter(None, map(_find_fault, name.removesuffix("/").split("/"))), None)
    if fault:
        raise UsageError(f"--study '{typed}' is not a valid name: {fault}.")
    return name.removesuffix("/")


def _find_fault(part: str) -> str | None:
    """Why a folder of a study cannot have this name; None if it can."""
    if part in RESERVED:
        return f"`{part}` is a folder of a study"
    if part[:1] in ("", "."):
        return "begin it, and what follows each '/', with a letter, a digit, '_' or '-'"
    for each in part:
        if each not in "._-=,+" and unicodedata.category(each)[0] not in "LMN":  # a letter, a mark on one, a digit
            return f"use letters, digits, '.', '_', '-' and '/', not {each!r}"
        try:
            os.fsencode(each)
        except UnicodeEncodeError:
            return f"this system's names of files have no {each!a}, so use another letter"
    return None


def load_study(folder: Path) -> Study:
    """The study in ``folder``. UsageError if there is none, DamagedFileError if its study.json is damaged."""
    path = folder / "study.json"
    if not path.exists() and find_runs(folder / "runs"):
        raise DamagedFileError(_explain_missing(folder))
    if not path.exists():
        raise UsageError(_explain_none(folder.parent, folder.name))
    try:
        content = read_json(path)
        protocol = Protocol.from_dict(content["protocol"])
        asked = {name: _check_asked(name, n) for name, n in content["asked"].items()}
        log = tuple(map(Entry.from_dict, content.get("log", [])))
        return Study(folder, protocol, asked, log=log)
    except DamagedFileError as error:
        problem = str(error)
    except (AttributeError, KeyError, TypeError, ValueError, UsageError) as error:
        missing = isinstance(error, KeyError)
        problem = f"{path} is damaged ({'it lacks ' if missing else ''}{str(error).rstrip('.')})"
    raise DamagedFileError(
        f"{problem}: `{_restore_command(folder)}` makes it from what the runs record, or move {folder} away to start"
        " again."
    )


def _explain_none(results: Path, typed: str) -> str:
    """That no study is meant, and which are there: those with the nearest names first."""

    def distance(name: str) -> float:
        return -max(difflib.SequenceMatcher(None, typed, part).ratio() for part in (name, name.rpartition("/")[2]))

    names = sorted(list_studies(results), key=distance)
    if not names:
        return f"There is no study '{typed}', and none in {results} yet: train one with `fluidrelu repeat` first."
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return (
        f"There is no study '{typed}': name one in {results} ({', '.join(names[:MOST_NAMED])}{more}), or the path of a"
        " study's folder."
    )


def _explain_missing(folder: Path) -> str:
    return (
        f"{folder} has runs but no study.json with their protocol: `{_restore_command(folder)}` makes it from what the"
        " runs record, or name another --study."
    )


def _restore_command(folder: Path) -> str:
    return shlex.join(["fluidrelu", "restore", str(folder)])


def _check_asked(name: str, n: object) -> int:
    """How many seeds of an activation were asked for, at most MOST_SEEDS; ValueError if that is no number of seeds."""
    if not is_name(name) or not isinstance(n, int) or isinstance(n, bool) or n < 0:
        raise ValueError(f"{name!r} cannot have been asked for with {n!r} seeds")
    return min(n, MOST_SEEDS)


def restore_study(results: Path, typed: str) -> Study:
    """Write a study's study.json from what its runs record; ``typed`` is its name or path (:func:`find_folder`).

    One that is damaged, or has a protocol that no run has, is set aside.

    Raises:
        UsageError: if there is no such study, it has no runs, they have several protocols, or study.json is fine.
        StorageError: if a file cannot be read or written.
    """
    folder = find_folder(results, typed)
    if folder is None:
        raise UsageError(_explain_none(results, typed))
    present = (folder / "study.json").exists()
    runs = list(_read_readable(folder).values())
    protocols = list(dict.fromkeys(found.trial.protocol for found in runs))
    if present:
        with contextlib.suppress(DamagedFileError):
            if load_study(folder).protocol in protocols or not protocols:
                raise UsageError(f"{folder / 'study.json'} can be read: there is nothing to restore.")
    if not protocols:
        raise UsageError(f"{folder} has no run that can be read, so that nothing says what its study.json was.")
    if len(protocols) > 1:
        differing = ", ".join(map(option, protocols[0].differences(protocols[1])))
        raise UsageError(f"{folder} has runs of several protocols, which differ in {differing}: move some away first.")
    study = Study(folder, protocols[0], _count_seeds(runs))
    with study.held():
        if present:
            _set_aside([study.path])
        study.save()
    return study


def _count_seeds(runs: Sequence[Run]) -> dict[str, int]:
    """How many seeds from 0 on each activation seems to have been asked for: a gap is a trial that failed.

    A seed beyond twice their number was trained by itself.
    """
    seeds: dict[str, set[int]] = {}
    for found in runs:
        seeds.setdefault(found.trial.activation, set()).add(found.trial.seed)
    counts = {name: [seed + 1 for seed in mine if seed < 2 * len(mine)] for name, mine in seeds.items()}
    return {name: max(mine) for name, mine in counts.items() if mine}


def _read_readable(folder: Path) -> dict[str, Run]:
    """The runs of a study's folder that can be read, whatever their protocols, by the names of their files."""
    found = {}
    for files in find_runs(folder / "runs"):
        with contextlib.suppress(DamagedFileError):
            found[files.name] = run.read(files)
    return found


def _find_contradictions(runs: Mapping[str, Run]) -> dict[str, tuple[str, frozenset[int]]]:
    """The runs, by name, that cannot be what they say although each could: why, and the seeds that they contradict.

    A trial has one run, and two seeds have different initial weights. Where two have the same, the runs of a seed that
    has others, too, are the copies, or else those that have no digests; where that decides nothing, all are doubtful. A
    user's own network may start from weights that are fixed; then the order of the images tells seeds apart.
    """
    found: dict[str, tuple[str, frozenset[int]]] = {}
    trials: dict[Trial, str] = {}
    starts: dict[tuple[str | None, ...], dict[int, list[str]]] = {}
    for name, made in runs.items():
        seed, recorded = made.trial.seed, made.provenance
        first = trials.setdefault(made.trial, name)
        if first != name:
            twice = f"it is {made.trial.activation} with seed {seed}, as {first} is"
            found |= {each: (twice, frozenset([seed])) for each in (name, first)}
        if recorded.initial_weights_sha256 is not None:
            fixed = is_own(made.trial.protocol.model)
            start = recorded.initial_weights_sha256, recorded.data_order_sha256 if fixed else None
            starts.setdefault(start, {}).setdefault(seed, []).append(name)
    several = {seed for seed, n in Counter(seed for seeds in starts.values() for seed in seeds).items() if n > 1}
    for seeds in starts.values():
        if len(seeds) > 1:
            same = f"the seeds {', '.join(map(str, sorted(seeds)))} have the same initial weights, so one is a copy"
            all_names = [name for names in seeds.values() for name in names]
            unprotected = [name for name in all_names if not runs[name].protected]
            copies = [name for seed in several & seeds.keys() for name in seeds[seed]]
            one_is_left = len(several & seeds.keys()) == len(seeds) - 1
            doubtful = copies if one_is_left else unprotected or all_names
            found |= {name: (same, frozenset(seeds)) for name in doubtful}
    return found


def _set_aside(paths: Sequence[Path]) -> str:
    """Give damaged files names that nothing reads; the first one's. StorageError if that fails."""
    first = paths[0]
    ending = _number(first, ".damaged")
    try:
        for path in paths:
            if path.exists():
                path.replace(path.with_name(f"{path.name}{ending}"))
    except OSError as error:
        raise StorageError(f"{first} is damaged and cannot be set aside ({error.strerror or error}).") from error
    return f"{first.name}{ending}"


def _number(path: Path, ending: str) -> str:
    """The ending with the first number that makes a new name of the path's."""
    numbered = (f"{ending}{n}" for n in itertools.count(1))
    return next(each for each in numbered if not path.with_name(f"{path.name}{each}").exists())


def list_studies(results: Path) -> list[str]:
    """The names of the studies in a folder of studies."""
    found = [*results.glob("*/study.json"), *results.glob("*/*/study.json")]
    return sorted(path.parent.relative_to(results).as_posix() for path in found)
