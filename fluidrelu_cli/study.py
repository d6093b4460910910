"""A study: a folder with one protocol (`study.json`) and the files of its runs."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluidrelu_cli.errors import DamagedFileError, FluidReluError, StorageError, UsageError
from fluidrelu_cli.protocol import Protocol, Trial, file_stem, option
from fluidrelu_cli.run import (
    PARAMETER_COLUMNS,
    RUN_COLUMNS,
    Columns,
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
    name: str = ""
    """How it is called; left out, as its folder."""

    def __post_init__(self) -> None:
        self.name = self.name or self.folder.name

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
                    notes.append(f"{error}; the run is now {_set_aside(files)}, and the trial is run again.")
            missing.append(trial)
        return missing, notes

    def check_data(self, sha256: str) -> None:
        """Raise UsageError if a run here was trained on data of another digest: a file was changed since."""
        for path in sorted(self.runs_folder.glob("*-seed*.json")):
            with contextlib.suppress(StorageError):  # it is told when the run is read
                there = read_json(path).get("data_sha256")
                if there not in (None, sha256):
                    raise UsageError(
                        f"The runs in {self.folder} were trained on other data than {self.protocol.dataset} holds now"
                        f" (sha256 {str(there)[:12]}, not {sha256[:12]}): restore it, or name another --study."
                    )
                if there is not None:
                    return

    def changed_sources(self, sources: Mapping[str, str | None], model_sha256: str | None) -> list[str]:
        """A line on each activation whose runs here were made from another source than there is now.

        Args:
            sources: the digest of each activation's file by its name, None for one that is not a user's own.
            model_sha256: that of the network's file.
        """
        notes = []
        for name, sha256 in sources.items():
            now = {"activation_sha256": sha256, "model_sha256": model_sha256}
            for path in sorted(self.runs_folder.glob(f"{file_stem(name)}-seed*.json")):
                with contextlib.suppress(StorageError):  # it is told when the run is read
                    there = read_json(path)
                    if any(there.get(field) not in (None, digest) for field, digest in now.items()):
                        notes.append(
                            f"The source of {name} or of its network was changed since {path.stem} was trained: delete"
                            " such runs to train them again, or name another --study."
                        )
                        break
        return notes

    def write(self, result: TrialResult) -> None:
        """Write a finished trial's files; StorageError if that fails."""
        write_run(self.files(result.trial.name), result)

    def write_failure(self, trial: Trial, details: str) -> Path:
        """Keep a failed trial's traceback; StorageError if that fails."""
        path = self.files(trial.name).failure
        write_whole(path, details)
        return path

    def read_runs(self) -> tuple[pd.DataFrame, list[str]]:
        """All readable runs as one table of RUN_COLUMNS, and a line on each that is left out, or stands out."""
        paths = self.runs_folder.glob("*-seed*.csv")
        names = [path.name.removesuffix(".csv") for path in paths if not path.name.endswith(".parameters.csv")]
        runs, notes = self._read_all(names, lambda files: read_run(files, self.protocol), RUN_COLUMNS)
        return runs, [*notes, *self._mixed(runs)]

    def read_some_runs(self) -> tuple[pd.DataFrame, list[str]]:
        """As :meth:`read_runs`; FluidReluError if there is no readable run."""
        runs, notes = self.read_runs()
        if runs.empty:
            found = f" ({' '.join(notes)})" if notes else ""
            raise FluidReluError(f"{self.folder} has no finished run{found}: train some with `fluidrelu repeat` first.")
        return runs, notes

    def read_parameters(self, runs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
        """The learned parameters of these runs as one table of PARAMETER_COLUMNS, and a line on each left out."""
        return self._read_all([trial.name for trial in self._trials(runs)], read_parameters, PARAMETER_COLUMNS)

    def _trials(self, runs: pd.DataFrame) -> list[Trial]:
        pairs = runs[["activation", "seed"]].drop_duplicates().itertuples(index=False)
        return [Trial(self.protocol, str(activation), int(seed)) for activation, seed in pairs]

    def provenances(self, runs: pd.DataFrame) -> list[dict[str, Any]]:
        """The provenance of each of these runs, with its ``activation`` and ``seed``."""
        return [
            read_json(self.files(trial.name).provenance) | {"activation": trial.activation, "seed": trial.seed}
            for trial in self._trials(runs)
        ]

    def test_images(self, runs: pd.DataFrame) -> int:
        """On how many images these runs were tested. (The first runs do not tell: it was MNIST's 10,000.)"""
        default = min(10_000, self.protocol.test_images or 10_000)
        return max((found.get("test_images", default) for found in self.provenances(runs)), default=default)

    def _mixed(self, runs: pd.DataFrame) -> list[str]:
        """A line on each condition in which runs differ although it may change their numbers."""
        found: dict[str, set[str]] = {}
        provenances = self.provenances(runs)
        for provenance in provenances:
            found.setdefault("device", set()).add(str(provenance.get("device")))
            way = "seeds together" if provenance.get("batched_seeds", 1) > 1 else "one by one"
            found.setdefault("way of training", set()).add(way)
            found.setdefault("version of torch", set()).add(str(provenance.get("versions", {}).get("torch")))
            found.setdefault("data (sha256)", set()).add(str(provenance.get("data_sha256"))[:12])
            found.setdefault("source file of the network (sha256)", set()).add(str(provenance.get("model_sha256"))[:12])
            source = str(provenance.get("activation_sha256"))[:12]
            found.setdefault(f"source file of {provenance['activation']} (sha256)", set()).add(source)
        unpaired = [
            f"The runs of seed {seed} in {self.folder} are no pairs, for they differ in {' and '.join(differing)}:"
            " the network or an activation draws random numbers elsewhere than from torch."
            for seed, differing in _unpaired(provenances).items()
        ]
        return unpaired + [
            f"The runs in {self.folder} differ in the {what}: {', '.join(sorted(values))}."
            for what, values in found.items()
            if len(values) > 1
        ]

    def _read_all(
        self, names: Sequence[str], read: Callable[[RunFiles], Columns | None], columns: Mapping[str, type]
    ) -> tuple[pd.DataFrame, list[str]]:
        import pandas as pd

        found, notes = [], []
        for name in sorted(names):
            try:
                run = read(self.files(name))
            except StorageError as error:  # a damaged file is one too
                notes.append(f"Left out: {error}.")
                continue
            if run is not None:
                found.append(run)
        table = pd.DataFrame({column: [value for run in found for value in run[column]] for column in columns})
        return table.sort_values(["activation", "seed", "epoch"], ignore_index=True), notes

    def _settle(self) -> None:
        """Take over what another process may have written since this study was opened, or write study.json."""
        if not (self.folder / "study.json").exists():
            self.save()
            return
        there = read_study(self.folder)
        if there.protocol != self.protocol:
            raise UsageError(f"The protocol of {self.folder} was set by another process just now: try again.")
        self.asked = there.asked

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
            for leftover in (*self.runs_folder.glob(".*.tmp"), *self.folder.glob(".study.json.*.tmp")):
                leftover.unlink(missing_ok=True)
        except Timeout as error:
            raise FluidReluError(
                f"Another fluidrelu is at work in {self.folder}: wait until it is done, or name another --study."
            ) from error
        except OSError as error:
            raise StorageError(
                f"{self.folder} cannot be written ({error.strerror or error}): name another folder with --results."
            ) from error
        try:
            self._settle()
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
            f" in {folder.parent} ({', '.join(_studies_in(folder.parent)) or 'none so far'})."
        )
    try:
        content = read_json(path)
        asked = {str(name): int(n) for name, n in content["asked"].items()}
        return Study(folder, Protocol.from_dict(content["protocol"]), asked)
    except DamagedFileError as error:
        raise DamagedFileError(f"{error}: restore it, or move {folder} away to start again.") from error
    except (AttributeError, KeyError, TypeError, ValueError, UsageError) as error:
        raise DamagedFileError(
            f"{path} is damaged ({error}): restore it, or move {folder} away to start again."
        ) from error


def _unpaired(provenances: Sequence[Mapping[str, Any]]) -> dict[int, list[str]]:
    """The seeds whose runs do not start alike, or do not see the same images, with what differs."""
    found: dict[int, list[str]] = {}
    for name in ("initial_weights_sha256", "data_order_sha256", "augmentation_sha256"):
        by_seed: dict[int, set[str]] = {}
        for provenance in provenances:
            if name in provenance:
                by_seed.setdefault(provenance["seed"], set()).add(provenance[name])
        for seed, digests in by_seed.items():
            if len(digests) > 1:
                found.setdefault(seed, []).append(name.removesuffix("_sha256").replace("_", " "))
    return found


def _studies_in(results: Path) -> list[str]:
    """The names of the first few studies in a folder of studies."""
    found = [*results.glob("*/study.json"), *results.glob("*/*/study.json")]
    return sorted(path.parent.relative_to(results).as_posix() for path in found)[:20]


def _set_aside(files: RunFiles) -> str:
    """Give a damaged run's files names that nothing reads; the CSV's."""
    number = next(n for n in itertools.count(1) if not files.csv.with_name(f"{files.csv.name}.damaged{n}").exists())
    aside = f".damaged{number}"
    try:
        for path in (files.csv, files.parameters, files.provenance):
            if path.exists():
                path.replace(path.with_name(path.name + aside))
    except OSError as error:
        raise StorageError(f"{files.csv} is damaged and cannot be set aside ({error.strerror or error}).") from error
    return files.csv.name + aside
