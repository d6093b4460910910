"""Train a run again from its own record, and say whether the numbers agree."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fluidrelu_cli.errors import DamagedFileError, UsageError
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.run import (
    PARAMETER_COLUMNS,
    RUN_COLUMNS,
    TIMINGS,
    Columns,
    Epoch,
    RunFiles,
    read_json,
    read_parameters,
    read_run,
    write_run,
)

NOT_A_CONDITION = frozenset({"protocol", "parameter_rows", "wall_seconds", "activation", "seed", "test_images"})
"""Fields of a provenance that tell what was trained, or how long it took."""


@dataclass(frozen=True)
class Recorded:
    """A run as its files tell it."""

    trial: Trial
    run: Columns
    parameters: Columns | None
    provenance: Mapping[str, Any]


@dataclass(frozen=True)
class Verification:
    """How a run that was made again compares with its record."""

    recorded: Recorded
    accuracy: float
    """The test accuracy after the last epoch, now."""
    differences: Mapping[str, float]
    """The columns whose numbers are not all equal, each with the largest absolute difference."""
    conditions: Mapping[str, tuple[str, str]]
    """The conditions that differ, each as recorded and as they are here."""

    @property
    def agrees(self) -> bool:
        return not self.differences


def read_record(csv: Path) -> Recorded:
    """Read a run CSV with the files that lie beside it.

    Raises:
        UsageError: if it is no run CSV's path.
        StorageError, DamagedFileError: if one of the files cannot be read.
    """
    if not csv.exists():
        raise UsageError(f"There is no file {csv}: name a run CSV, such as results/local/runs/relu-seed0.csv.")
    if not csv.is_file() or csv.suffix != ".csv" or csv.name.endswith(".parameters.csv"):
        raise UsageError(f"{csv} is no run CSV: name one, such as results/local/runs/relu-seed0.csv.")
    files = RunFiles(csv.parent, csv.stem)
    if not files.provenance.exists():
        raise DamagedFileError(
            f"{files.provenance}, which tells how {csv.name} was made, is missing: put it beside the CSV."
        )
    provenance = read_json(files.provenance)
    try:
        protocol = Protocol.from_dict(provenance["protocol"])
    except Exception as error:  # whatever a hand-edited file makes of it
        raise DamagedFileError(f"{files.provenance} is damaged (its protocol cannot be read).") from error
    try:
        run, parameters = read_run(files, protocol), read_parameters(files)
    except DamagedFileError as error:
        raise DamagedFileError(f"{error}: restore it, or make the run again with `fluidrelu train`.") from error
    return Recorded(Trial(protocol, run["activation"][0], run["seed"][0]), run, parameters, provenance)


def verify(recorded: Recorded, data_dir: Path, device_name: str, on_epoch: Callable[[Epoch], None]) -> Verification:
    """Train the recorded trial again. Whatever its activation raises goes through."""
    from fluidrelu_cli.training.loop import run_together

    [result] = run_together([recorded.trial], data_dir, device_name, lambda records: on_epoch(records[0]))
    with tempfile.TemporaryDirectory() as folder:  # compared as files, for these are what is recorded
        files = RunFiles(Path(folder), recorded.trial.name)
        write_run(files, result)
        run, parameters = read_run(files, recorded.trial.protocol), read_parameters(files)
        provenance = read_json(files.provenance)
    differences = _differences(recorded.run, run)
    if recorded.parameters is not None and parameters is not None:
        learned = _differences(recorded.parameters, parameters)
        differences |= {f"learned {name}": by for name, by in learned.items()}
    elif recorded.parameters is not parameters:
        differences["learned parameters"] = math.inf
    there, here = _flat(recorded.provenance), _flat(provenance)
    names = sorted(there.keys() | here.keys())
    pairs = {name: (there.get(name, "not recorded"), here.get(name, "not recorded")) for name in names}
    conditions = {name: (before, now) for name, (before, now) in pairs.items() if before != now}
    return Verification(recorded, result.test_accuracy, differences, conditions)


def _differences(there: Columns, here: Columns) -> dict[str, float]:
    """The columns that are not equal, each with the largest absolute difference; infinity if rows or words differ."""
    found = {}
    for name in (name for name in {**RUN_COLUMNS, **PARAMETER_COLUMNS} if name not in TIMINGS):
        mine, theirs = here.get(name, []), there.get(name, [])
        if len(mine) != len(theirs):
            found[name] = math.inf
            continue
        by = max((_distance(a, b) for a, b in zip(mine, theirs, strict=True)), default=0.0)
        if by > 0:
            found[name] = by
    return found


def _distance(a: Any, b: Any) -> float:
    if a == b or (a != a and b != b):  # a run that diverged has nan
        return 0.0
    if isinstance(a, str) or not math.isfinite(a - b):
        return math.inf
    return float(abs(a - b))


def _flat(provenance: Mapping[str, Any]) -> dict[str, str]:
    """The conditions of a run as words by name, those of versions and source one by one."""
    flat: dict[str, str] = {}
    for name, value in provenance.items():
        if name in NOT_A_CONDITION or value is None:  # earlier releases leave out what they had none of
            continue
        if isinstance(value, dict):
            flat |= {f"{name} {inner}": str(found) for inner, found in value.items()}
        else:
            flat[name.replace("_", " ")] = str(value)
    return flat
