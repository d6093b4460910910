"""What a trial gives, and the three files that hold it: their columns, names, writing and checked reading."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluidrelu_cli.errors import DamagedFileError, OtherProtocolError, StorageError
from fluidrelu_cli.protocol import Protocol, Trial, trial_name

if TYPE_CHECKING:
    import pandas as pd

RUN_COLUMNS: Mapping[str, type] = {
    "activation": str,
    "seed": int,
    "epoch": int,
    "train_loss": float,
    "train_accuracy": float,
    "test_loss": float,
    "test_accuracy": float,
    "train_seconds": float,
    "test_seconds": float,
}
"""Columns of a run CSV, one row an epoch from 1. Losses are mean cross-entropies in nats, accuracies fractions
in [0, 1]; the train columns are those of the batches as they were trained on, the test columns those of the
whole test set after the epoch."""

PARAMETER_COLUMNS: Mapping[str, type] = {
    "activation": str,
    "seed": int,
    "epoch": int,
    "layer": str,
    "parameter": str,
    "kernel": int,
    "value": float,
}
"""Columns of a parameters CSV: the activations' learned parameters, one row a kernel and epoch; epoch 0 is the
start, kernels count from 0."""

TIMINGS = ("train_seconds", "test_seconds")
"""The only columns that may differ between two runs of one trial on one machine."""

Columns = dict[str, list[Any]]
"""A CSV's columns by name: as lists, for a data frame for each of a thousand small files takes seconds."""

Parameters = Mapping[tuple[str, str], tuple[float, ...]]
"""The activations' learned parameters by (layer, parameter): ("activation1", "a") -> one value a kernel."""


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of one trial: the numbers of a run CSV's row, and the learned parameters after it."""

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    train_seconds: float
    test_seconds: float
    parameters: Parameters


@dataclass(frozen=True)
class TrialResult:
    """All that a finished trial leaves behind."""

    trial: Trial
    initial_parameters: Parameters
    epochs: tuple[EpochRecord, ...]
    provenance: Mapping[str, Any]

    @property
    def test_accuracy(self) -> float:
        """The trial's result: the test accuracy after the last epoch."""
        return self.epochs[-1].test_accuracy


@dataclass(frozen=True)
class RunFiles:
    """The paths of one trial's files in a study's `runs` folder."""

    folder: Path
    name: str

    @property
    def csv(self) -> Path:
        return self.folder / f"{self.name}.csv"

    @property
    def parameters(self) -> Path:
        return self.folder / f"{self.name}.parameters.csv"

    @property
    def provenance(self) -> Path:
        return self.folder / f"{self.name}.json"

    @property
    def failure(self) -> Path:
        """The traceback of a trial that raised; it goes when the trial succeeds."""
        return self.folder / f"{self.name}.failed.txt"


def write_run(files: RunFiles, result: TrialResult) -> None:
    """Write a trial's files, the run CSV last: where it is, the others are.

    Raises StorageError if the folder cannot be written or the disk is full.
    """
    import pandas as pd

    trial = result.trial
    who = {"activation": trial.activation, "seed": trial.seed}
    runs = [{**who, **{name: getattr(record, name) for name in list(RUN_COLUMNS)[2:]}} for record in result.epochs]
    states = [(0, result.initial_parameters), *((record.epoch, record.parameters) for record in result.epochs)]
    parameters = [
        {**who, "epoch": epoch, "layer": layer, "parameter": parameter, "kernel": kernel, "value": value}
        for epoch, state in states
        for (layer, parameter), values in state.items()
        for kernel, value in enumerate(values)
    ]
    provenance = {**who, "protocol": trial.protocol.to_dict(), "parameter_rows": len(parameters)}
    if parameters:
        write_whole(files.parameters, csv_text(pd.DataFrame(parameters, columns=list(PARAMETER_COLUMNS))))
    write_whole(files.provenance, json.dumps({**provenance, **result.provenance}, indent=2) + "\n")
    write_whole(files.csv, csv_text(pd.DataFrame(runs, columns=list(RUN_COLUMNS))))
    with contextlib.suppress(OSError):
        files.failure.unlink(missing_ok=True)


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV: every float with the digits that give it back exactly."""
    return table.to_csv(index=False, lineterminator="\n", na_rep="nan")


def read_run(files: RunFiles, protocol: Protocol) -> Columns:
    """A run CSV's RUN_COLUMNS, checked.

    Raises DamagedFileError, naming the file and what is wrong with it, and OtherProtocolError.
    """
    run = _read_csv(files.csv, RUN_COLUMNS)
    provenance = _read_provenance(files.provenance, protocol)
    if run["epoch"] != list(range(1, protocol.epochs + 1)):
        raise DamagedFileError(f"{files.csv} does not have one row for each of {protocol.epochs} epochs")
    _check_trial(files.csv, run, files.name)
    if not all(0 <= accuracy <= 1 for accuracy in (*run["train_accuracy"], *run["test_accuracy"])):
        raise DamagedFileError(f"{files.csv} has an accuracy outside [0, 1]")
    if provenance.get("parameter_rows") and not files.parameters.exists():
        raise DamagedFileError(f"{files.parameters}, which belongs to {files.csv.name}, is missing")
    return run


def read_parameters(files: RunFiles) -> Columns | None:
    """A parameters CSV's PARAMETER_COLUMNS, checked, or None if the run has none; DamagedFileError."""
    if not files.parameters.exists():
        return None
    parameters = _read_csv(files.parameters, PARAMETER_COLUMNS)
    _check_trial(files.parameters, parameters, files.name)
    found = len(parameters["value"])
    rows = read_json(files.provenance).get("parameter_rows", found)
    if found != rows:
        raise DamagedFileError(f"{files.parameters} is damaged ({found} rows, not {rows})")
    return parameters


def _read_csv(path: Path, columns: Mapping[str, type]) -> Columns:
    try:
        text = path.read_text(encoding="utf-8-sig")  # a spreadsheet may have put a mark before the text
        rows = filter(None, csv.reader(io.StringIO(text), strict=True))
        # What a short row lacks is "", no number; what a long one has too much is a column without a name.
        table = [(name, values) for name, *values in zip_longest(*rows, fillvalue="")]
        if [name for name, _ in table] != list(columns):
            raise DamagedFileError(f"{path} is damaged (its columns are not {', '.join(columns)})")
        # Python's own conversions: they give back exactly what was written.
        converted = {name: list(map(columns[name], values)) for name, values in table}
    except OSError as error:
        raise StorageError(f"{path} cannot be read ({error.strerror or error})") from error
    except (ValueError, csv.Error) as error:  # a UnicodeDecodeError is a ValueError
        raise DamagedFileError(f"{path} is damaged ({error})") from error
    if not text.endswith("\n"):
        raise DamagedFileError(f"{path} is damaged (it ends within a line)")
    return converted


def _check_trial(path: Path, table: Columns, name: str) -> None:
    """Every row must be of the one trial that the file is named after."""
    trials = set(zip(table["activation"], table["seed"], strict=True))
    if len(trials) != 1:
        raise DamagedFileError(f"{path} mixes activations or seeds")
    if trial_name(*trials.pop()) != name:
        raise DamagedFileError(f"{path} holds the run of another activation or seed than its name says")


_PROVENANCE: Mapping[str, tuple[type, ...]] = {
    "batched_seeds": (int,),
    "source": (dict, type(None)),
    "test_images": (int,),
    "versions": (dict,),
    "wall_seconds": (int, float),
}
"""What the fields of a provenance that a report needs have to be, where they are."""


def _read_provenance(path: Path, protocol: Protocol) -> dict[str, Any]:
    if not path.exists():
        raise DamagedFileError(f"{path}, which tells the run's protocol, is missing")
    provenance = read_json(path)
    try:
        differences = protocol.differences(Protocol.from_dict(provenance["protocol"]))
    except Exception as error:  # whatever a hand-edited file makes of it
        raise DamagedFileError(f"{path} is damaged (its protocol cannot be read)") from error
    for name, kinds in _PROVENANCE.items():
        value = provenance.get(name, 1 if int in kinds else kinds[0]())  # the first runs lack some
        if not isinstance(value, kinds) or (isinstance(value, (int, float)) and value <= 0):
            raise DamagedFileError(f"{path} is damaged ({name}: {value!r})")
    if differences:
        raise OtherProtocolError(
            f"{path} is of another protocol than its study ({', '.join(differences)}):"
            " restore study.json, or move the run away"
        )
    return provenance


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file's object. StorageError if it cannot be read, DamagedFileError if it holds something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(f"{path} cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged ({error})") from error
    if not isinstance(value, dict):
        raise DamagedFileError(f"{path} is damaged (it holds no JSON object)")
    return value


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it appears whole or not at all; StorageError says what to do if it cannot be."""
    data = content.encode() if isinstance(content, str) else content
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with scratch.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                scratch.unlink()
            raise
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written ({error.strerror or error}): make room or make the folder writable,"
            " or name another with --results, and run the same command again; what is finished is kept."
        ) from error
