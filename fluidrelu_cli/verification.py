"""Train a run again from its own record, and say whether the numbers agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluidrelu_cli.errors import DamagedFileError, UsageError
from fluidrelu_cli.networks.named import Activation
from fluidrelu_cli.networks.own import import_copy, import_own
from fluidrelu_cli.networks.source import find_source
from fluidrelu_cli.protocol import is_own, join_arm, split_arm
from fluidrelu_cli.run import RUN_COLUMNS, TIMINGS, Epoch, Provenance, Run, RunFiles, read, read_weights
from fluidrelu_cli.study import Study

if TYPE_CHECKING:
    from torch import Tensor

NOT_A_CONDITION = frozenset({"wall_seconds", "test_images", "peak_memory"})
"""Fields of a provenance that record what came out, not what it was made under."""


@dataclass(frozen=True)
class Verification:
    """How a run that was made again compares with its record."""

    recorded: Run
    again: Run
    differences: Mapping[str, float]
    """The columns whose numbers are not all equal, each with the largest absolute difference."""
    conditions: Mapping[str, tuple[str | None, str | None]]
    """The conditions that differ, each as recorded and as it is here; None where it is not recorded."""

    @property
    def agrees(self) -> bool:
        return not self.differences


def read_record(csv: Path) -> Run:
    """Read the run of a CSV with the files that lie beside it, its weights too.

    Raises:
        UsageError: if it is no run CSV's path.
        StorageError, DamagedFileError: if one of the files cannot be read.
    """
    example = "one of the CSVs in a study's folder runs"
    if not csv.exists():
        raise UsageError(f"There is no file {csv}: name {example}.")
    if not csv.is_file() or csv.suffix != ".csv" or csv.name.endswith(".parameters.csv"):
        raise UsageError(f"{csv} is not a run CSV: name {example}.")
    files = RunFiles(csv.parent, csv.stem)
    try:
        return read_weights(read(files), files)
    except DamagedFileError as error:
        raise DamagedFileError(f"{error}: restore it, or make the run again with `fluidrelu train`.") from error


def use_copies(recorded: Run, csv: Path) -> list[Path]:
    """Import a run's own activation and network from the copies in its study where here they are other code, or gone.

    What is imported is code that the study's files name; ask for trust before.

    Returns:
        The copies that are in use now.

    Raises:
        UsageError: if a copy cannot be imported.
    """
    provenance, used = recorded.provenance, list[Path]()
    study = Study(csv.parent.parent, recorded.trial.protocol)
    named = (
        (recorded.trial.activation, provenance.activation_sha256, provenance.activation_code_sha256),
        (recorded.trial.protocol.model, provenance.model_sha256, provenance.model_code_sha256),
    )
    for name, sha256, code_sha256 in named:
        function, _ = split_arm(name)
        kept = study.read_source(sha256) is not None
        if is_own(name) and kept and not _is_here(function, sha256, code_sha256):
            import_copy(function, study.source(str(sha256)))
            used.append(study.source(str(sha256)))
    return used


def _is_here(name: str, sha256: str | None, code_sha256: str | None) -> bool:
    try:
        code = find_source(import_own(name, "activation"))
    except UsageError:
        return False
    return code is None or code.is_known_as(sha256, code_sha256)


def verify(
    recorded: Run, activation: Activation, data_dir: Path, device_name: str, on_epoch: Callable[[Epoch], None]
) -> Verification:
    """Train a recorded trial again and compare. Whatever its activation raises goes through.

    Raises DamagedFileError if the recorded weights cannot be read.
    """
    from fluidrelu_cli.networks.build import find_factors
    from fluidrelu_cli.training.loop import train_together

    if recorded.provenance.betas is None and is_own(activation.name):  # a release that knew the protocol's beta alone
        earlier = find_factors(activation.make(1), activation.beta, recorded.trial.protocol, earlier=True)
        if len(set(earlier.values())) == 1:
            activation = replace(activation, name=join_arm(activation.name, {"beta": next(iter(earlier.values()))}))
    saved = recorded.weights_sha256 is not None
    theirs = None if recorded.weights is None else _unpack_weights(recorded)
    training = train_together(activation, [recorded.trial], data_dir, device_name, save_weights=saved)
    while True:
        try:
            [epoch] = next(training)
        except StopIteration as stop:
            [again] = stop.value
            differences = _compare_numbers(recorded, again) | _compare_weights(recorded, theirs, again)
            return Verification(recorded, again, differences, _compare_conditions(recorded, again))
        on_epoch(epoch)


def _unpack_weights(recorded: Run) -> Mapping[str, Tensor]:
    from fluidrelu_cli.training.weights import unpack

    try:
        return unpack(recorded.weights or b"")
    except DamagedFileError as error:
        name = f"{recorded.trial.name}.safetensors"
        raise DamagedFileError(
            f"{name} holds no weights ({error}): restore it, or delete it to compare its digest alone."
        ) from error


def _compare_weights(recorded: Run, theirs: Mapping[str, Tensor] | None, again: Run) -> dict[str, float]:
    """How much the weights differ, if the recorded run saved them; of a file that is gone, the digest tells."""
    from fluidrelu_cli.training.weights import find_difference, unpack

    if recorded.weights_sha256 == again.weights_sha256 or again.weights is None:
        return {}
    by = math.inf if theirs is None else find_difference(theirs, unpack(again.weights))
    return {} if by is None else {"weights": by}


def _compare_numbers(recorded: Run, again: Run) -> dict[str, float]:
    """The columns that are not equal, each with the largest absolute difference; infinity if rows or words differ."""
    theirs, mine = _columns(recorded), _columns(again)
    differences = {}
    if recorded.correct is None:  # a release that did not record it
        mine.pop("correct images", None)
    for name in dict.fromkeys((*theirs, *mine)):
        pairs = (theirs.get(name, []), mine.get(name, []))
        if len(pairs[0]) != len(pairs[1]):
            differences[name] = math.inf
            continue
        by = max((_distance(a, b) for a, b in zip(*pairs, strict=True)), default=0.0)
        if by > 0:
            differences[name] = by
    return differences


def _columns(run: Run) -> dict[str, list[Any]]:
    """A run's numbers but the timings by column, and its learned parameters."""
    columns: dict[str, list[Any]] = {
        name: [getattr(epoch, name) for epoch in run.epochs] for name in list(RUN_COLUMNS)[2:] if name not in TIMINGS
    }
    if run.correct is not None:
        columns["correct images"] = [f"{byte:08b}" for byte in run.correct]
    rows = list(run.parameter_rows())
    if rows:
        columns["learned kernels"] = [row[2:6] for row in rows]
        columns["learned value"] = [row[6] for row in rows]
    return columns


def _distance(a: Any, b: Any) -> float:
    if a == b or (a != a and b != b):  # a run that diverged has nan
        return 0.0
    if not isinstance(a, (int, float)) or not math.isfinite(a - b):
        return math.inf
    return float(abs(a - b))


def _compare_conditions(recorded: Run, again: Run) -> dict[str, tuple[str | None, str | None]]:
    before, now = (dict(_flatten(run.provenance)) for run in (recorded, again))
    names = sorted(before.keys() | now.keys())
    return {name: (before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name)}


def _flatten(provenance: Provenance) -> Iterator[tuple[str, str]]:
    """The conditions of a run as words by name, those of versions and source one by one."""
    for name, value in provenance.to_dict().items():
        if name in NOT_A_CONDITION or value is None:
            continue
        if isinstance(value, dict):
            yield from ((f"{name} {inner}", str(found)) for inner, found in value.items())
        else:
            yield name.replace("_", " "), str(value)
