"""A study: a folder with one protocol (`study.json`) and the files of its runs."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluidrelu_cli.errors import DamagedFileError, FluidReluError, StorageError, UsageError
from fluidrelu_cli.protocol import Protocol, Trial, option
from fluidrelu_cli.records import (
    PARAMETER_COLUMNS,
    RUN_COLUMNS,
    RunFiles,
    TrialResult,
    read_json,
    read_parameters,
    read_run,
    write_run,
    write_whole,
)

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_STUDY = "local"


@dataclass
class Study:
    """A study on disk.

    ``asked`` tells how many seeds (0, 1, ...) of each activation were ever asked for, so that a table can say
    n = 9/10 when one failed.
    """

    folder: Path
    protocol: Protocol
    asked: dict[str, int] = field(default_factory=dict)

    @property
    def runs_folder(self) -> Path:
        return self.folder / "runs"

    def files(self, name: str) -> RunFiles:
        return RunFiles(self.runs_folder, name)

    def save(self) -> None:
        """Write study.json; StorageError if that fails."""
        content = {"protocol": self.protocol.to_dict(), "asked": self.asked}
        write_whole(self.folder / "study.json", json.dumps(content, indent=2) + "\n")

    def ask(self, activations: Sequence[str], n: int) -> list[Trial]:
        """The trials of the first n seeds, seed by seed so that pairs are finished together; remembered."""
        asked = self.asked | {name: max(n, self.asked.get(name, 0)) for name in activations}
        if asked != self.asked:
            self.asked = asked
            self.save()
        return [Trial(self.protocol, name, seed) for seed in range(n) for name in activations]

    def missing(self, trials: Sequence[Trial]) -> tuple[list[Trial], list[str]]:
        """The trials that have no readable run yet, and a line on each damaged one, which is set aside."""
        missing, notes = [], []
        for trial in trials:
            files = self.files(trial.name)
            if files.csv.exists():
                try:
                    read_run(files, self.protocol)
                    continue
                except DamagedFileError as error:
                    aside = files.csv.with_name(files.csv.name + ".damaged")
                    try:
                        files.csv.replace(aside)
                    except OSError as cause:
                        raise StorageError(f"{error}, and it cannot be set aside ({cause.strerror}).") from cause
                    notes.append(f"{error}; it is now {aside.name}, and the trial is run again.")
            missing.append(trial)
        return missing, notes

    def write(self, result: TrialResult) -> None:
        """Write a finished trial's files; StorageError if that fails."""
        write_run(self.files(result.trial.name), result)

    def write_failure(self, trial: Trial, details: str) -> Path:
        """Keep a failed trial's traceback; StorageError if that fails."""
        path = self.files(trial.name).failure
        write_whole(path, details)
        return path

    def read_runs(self) -> tuple[pd.DataFrame, list[str]]:
        """All readable runs as one table of RUN_COLUMNS, and a line on each that is left out."""
        paths = self.runs_folder.glob("*-seed*.csv")
        names = [path.name.removesuffix(".csv") for path in paths if not path.name.endswith(".parameters.csv")]
        return self._read_all(names, lambda files: read_run(files, self.protocol), RUN_COLUMNS)

    def read_parameters(self, runs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
        """The learned parameters of these runs as one table of PARAMETER_COLUMNS, and a line on each left out."""
        trials = runs[["activation", "seed"]].drop_duplicates().itertuples(index=False)
        names = [Trial(self.protocol, str(activation), int(seed)).name for activation, seed in trials]
        return self._read_all(names, read_parameters, PARAMETER_COLUMNS)

    def _read_all(
        self, names: Sequence[str], read: Callable[[RunFiles], pd.DataFrame | None], columns: Mapping[str, type]
    ) -> tuple[pd.DataFrame, list[str]]:
        import pandas as pd

        tables, notes = [], []
        for name in sorted(names):
            try:
                table = read(self.files(name))
            except StorageError as error:  # a damaged file is one too
                notes.append(f"Left out: {error}.")
                continue
            if table is not None:
                tables.append(table)
        if not tables:
            return pd.DataFrame(columns=list(columns)), notes
        order = ["activation", "seed", "epoch"]
        return pd.concat(tables, ignore_index=True).sort_values(order, kind="stable", ignore_index=True), notes

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training in this study at the same time; clear what a killed one left.

        Raises FluidReluError if another process is at work, StorageError if the folder cannot be written.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / ".lock")
        try:
            self.runs_folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout as error:
            raise FluidReluError(
                f"Another fluidrelu is at work in {self.folder}: wait until it is done, or name another --study."
            ) from error
        except OSError as error:
            raise StorageError(
                f"{self.folder} cannot be written ({error.strerror or error}): name another folder with --results."
            ) from error
        try:
            for leftover in (*self.runs_folder.glob(".*.tmp"), *self.folder.glob(".study.json.*.tmp")):
                leftover.unlink(missing_ok=True)
            if not (self.folder / "study.json").exists():
                self.save()
            yield
        finally:
            lock.release()


def open_study(results: Path, name: str, requested: Mapping[str, Any]) -> Study:
    """The study called ``name`` under ``results``: the one there, or a new one (saved when it is locked).

    Args:
        results: the folder of all studies.
        name: the study's name; it may have folders (``calibration/batch-10``).
        requested: protocol fields that the user asked for; others are the study's, or the defaults.

    Raises:
        UsageError: if the name or a value is wrong, or the study there has another protocol.
        DamagedFileError, StorageError: if its study.json cannot be read.
    """
    folder = study_folder(results, name)
    if not (folder / "study.json").exists():
        if list((folder / "runs").glob("*-seed*.csv")):
            raise DamagedFileError(
                f"{folder} has runs but no study.json to tell their protocol: restore it, or name another --study."
            )
        return Study(folder, Protocol(**requested))
    study = read_study(folder)
    differences = study.protocol.differences(replace(study.protocol, **requested))
    if differences:
        found = ", ".join(f"{option(field)} {old}, not {new}" for field, (old, new) in differences.items())
        raise UsageError(
            f"The study in {folder} has {found}: leave these options out to go on with it,"
            " or start another with --study NAME."
        )
    return study


def study_folder(results: Path, name: str) -> Path:
    """The folder of the study called ``name``; UsageError if that is no name for a study."""
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*", name):
        raise UsageError(f"--study '{name}' is no name for a study: use letters, digits, '.', '_', '-' and '/'.")
    return results / name


def read_study(folder: Path) -> Study:
    """The study in ``folder``. UsageError if there is none, DamagedFileError if its study.json is damaged."""
    path = folder / "study.json"
    if not path.exists():
        raise UsageError(
            f"There is no study in {folder} (no study.json): run `fluidrelu repeat` first, or name one that is there"
            f" ({', '.join(_studies_near(folder)) or 'none so far'})."
        )
    content = read_json(path)
    try:
        asked = {str(name): int(n) for name, n in content["asked"].items()}
        return Study(folder, Protocol.from_dict(content["protocol"]), asked)
    except (AttributeError, KeyError, TypeError, ValueError, UsageError) as error:
        raise DamagedFileError(
            f"{path} is damaged ({error}): restore it, or move {folder} away to start again."
        ) from error


def _studies_near(folder: Path) -> list[str]:
    return sorted(str(path.parent) for path in folder.parent.glob("**/study.json"))
