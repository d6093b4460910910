"""What activations cost in time, memory and parameters, as it was measured, and the file of a study that keeps it.

This module imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from fluidrelu_cli.errors import DamagedFileError, UsageError
from fluidrelu_cli.files import read_json, sealed_json, write_whole
from fluidrelu_cli.protocol import Protocol, is_name, split_arm
from fluidrelu_cli.run import Provenance

REFERENCE = "relu"
"""The activation whose cost is 1, in every study: what it costs is known best."""

FEWEST_ROUNDS = 6
"""With fewer the median has no 95 % interval."""

LONGEST_SECONDS = 1e6
"""More than any step takes."""

MOST = 2**50
"""More bytes, values and steps than any machine has or does."""

INSTANT = "%Y-%m-%dT%H:%M:%SZ"
"""How a file has an instant, in UTC."""

MACHINE = ("versions", "system", "cpu", "cpu_capability", "cpu_family", "cpu_flags", "device", "gpu", "threads")
"""The fields of a run's provenance that say where it was measured."""


@dataclass(frozen=True)
class Measured:
    """What one activation took in each round, and what it needs.

    Seconds are means per training step: of processor time on a CPU, of the time of day on another device.
    """

    activation: str
    """Without settings of its own, such as a learning rate: they take no time."""
    step_seconds: tuple[float, ...]
    """Of the whole step: getting the batch, both passes, and the optimizer."""
    forward_seconds: tuple[float, ...]
    """Of the forward pass with the loss."""
    backward_seconds: tuple[float, ...]
    saved_bytes: int
    """What autograd keeps from the forward pass for the backward pass, without parameters and buffers."""
    parameters: int
    """How many values the activation learns, in all layers."""

    def __post_init__(self) -> None:
        """Raise ValueError if these are no measurements."""
        if not is_name(self.activation) or split_arm(self.activation)[1]:
            raise ValueError(f"activation: {self.activation!r:.100}")
        for name in PASSES:
            seconds = getattr(self, f"{name}_seconds")
            if len(seconds) != len(self.step_seconds) or not all(map(_is_time, seconds)):
                raise ValueError(f"the {name}_seconds of {self.activation} are no seconds of each round")
        for name, least in (("saved_bytes", 1), ("parameters", 0)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= MOST:
                raise ValueError(f"{name} of {self.activation}: {value!r:.100}")


PASSES = ("step", "forward", "backward")
"""What is timed: a field of Measured each, with its unit behind it."""


def _is_time(value: object) -> bool:
    return type(value) in (int, float) and 1e-9 <= value <= LONGEST_SECONDS  # type: ignore[operator]


def _is_instant(value: object) -> bool:
    try:
        return datetime.strptime(value, INSTANT).strftime(INSTANT) == value  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False


@dataclass(frozen=True)
class Cost:
    """Activations measured side by side: in each round every one of them, and REFERENCE twice."""

    protocol: Protocol
    """Whose network and batches; the learning rate and the number of epochs take no time."""
    activations: tuple[Measured, ...]
    """REFERENCE first."""
    again: Measured
    """REFERENCE a second time: how far it seems to differ from itself is noise."""
    steps: int
    """How many each time is the mean of."""
    machine: Provenance
    """Its MACHINE fields."""
    when: str
    """In UTC, to the second: ``2026-11-25T07:10:00Z``."""

    def __post_init__(self) -> None:
        """Raise ValueError if this is no such measurement."""
        names = [each.activation for each in self.activations]
        if names[:1] != [REFERENCE] or self.again.activation != REFERENCE:
            raise ValueError(f"{REFERENCE} is not the first activation, or was not measured again")
        if len({*names}) < len(names):
            raise ValueError("it has an activation twice")
        if self.rounds < FEWEST_ROUNDS or any(
            len(each.step_seconds) != self.rounds for each in (*self.activations, self.again)
        ):
            raise ValueError(f"its activations do not all have the same number of rounds, at least {FEWEST_ROUNDS}")
        if type(self.steps) is not int or not 1 <= self.steps <= MOST:
            raise ValueError(f"steps: {self.steps!r:.100}")
        if not _is_instant(self.when):
            raise ValueError(f"when: {self.when!r:.100}")

    @property
    def rounds(self) -> int:
        return len(self.again.step_seconds)

    def to_dict(self) -> dict[str, Any]:
        """Its fields as JSON has them, those of the machine among the others."""
        machine = self.machine.to_dict()
        return {
            "protocol": self.protocol.to_dict(),
            "when": self.when,
            **{name: machine[name] for name in MACHINE},
            "steps": self.steps,
            "activations": [asdict(each) for each in self.activations],
            "again": asdict(self.again),
        }

    def write(self, path: Path) -> None:
        """Write the file of a study that keeps it; StorageError if that fails."""
        write_whole(path, sealed_json(self.to_dict()))


def read_cost(path: Path) -> Cost:
    """What Cost.write wrote. StorageError if it cannot be read, DamagedFileError if it is something else."""
    content = read_json(path)
    try:
        return Cost(
            Protocol.from_dict(content["protocol"]),
            tuple(map(_read_measured, content["activations"])),
            _read_measured(content["again"]),
            content["steps"],
            Provenance.from_dict({name: content[name] for name in MACHINE if name in content}),
            content["when"],
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError, UsageError) as error:
        lacking = "it lacks " if isinstance(error, KeyError) else ""
        raise DamagedFileError(
            f"{path} is damaged ({lacking}{str(error).rstrip('.')}): measure again with `fluidrelu cost`"
        ) from error


def _read_measured(values: Mapping[str, Any]) -> Measured:
    known = {one.name: values[one.name] for one in fields(Measured)}
    seconds = {f"{name}_seconds": tuple(known[f"{name}_seconds"]) for name in PASSES}
    return Measured(**{**known, **seconds})
