"""What a run is: the protocol that a study fixes, and the trial that it is repeated for.

This module imports no torch, so that reading a study stays quick.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from fluidrelu_cli.errors import UsageError

PAPER_PAIR = ("relu", "fluid")
"""The two activations that the paper compares."""

PAPER_TABLE2 = {
    ("best", "relu"): 0.9784,
    ("worst", "relu"): 0.9721,
    ("best", "fluid"): 0.9800,
    ("worst", "fluid"): 0.9753,
}
"""Table 2 of the paper: best and worst test accuracy of three runs of each activation."""

PAPER_RUNS = 3
"""The number of runs of each activation behind Table 2."""


PRECISIONS = ("fp32", "bf16")
SCHEDULES = ("constant", "cosine", "step")
AUGMENTATIONS = ("none", "flip-crop")
STANDARDISED = ("colour", "always", "never")

_YOUNGER_FIELDS: Mapping[str, Any] = {
    "precision": "fp32",
    "schedule": "constant",
    "weight_decay": 0.0,
    "standardise": "colour",
    "augment": "none",
    "validation_images": None,
}
"""Fields that earlier studies lack, with the value that held for them."""


@dataclass(frozen=True)
class Protocol:
    """How every trial of a study is trained; the defaults are the paper's, or chosen as docs/paper.md tells.

    Raises UsageError when a value is out of range.
    """

    dataset: str = "mnist"
    model: str = "paper"
    epochs: int = 2
    """Not stated by the paper: calibrated on ReLU alone (docs/paper.md, "Calibration")."""
    batch_size: int = 20
    """Not stated by the paper: calibrated with ``epochs``."""
    lr: float = 0.001
    """The paper's epsilon."""
    momentum: float = 0.9
    """The paper's mu."""
    beta: float = 10000.0
    """The paper's beta: the gradient of every a_i is multiplied by it, equations (7) and (8)."""
    train_images: int | None = None
    """Use only the first so many training images (None: all)."""
    test_images: int | None = None
    """Use only the first so many test images (None: all)."""
    precision: str = "fp32"
    """fp32, or bf16: convolutions and the linear layer in bfloat16 (torch.autocast), weights in float32."""
    schedule: str = "constant"
    """How the learning rate goes: constant, cosine or step (optimizer.rate_factor)."""
    weight_decay: float = 0.0
    """L2 penalty of the network's weights; never of an activation's own parameters."""
    standardise: str = "colour"
    """Whether each channel's mean is subtracted and it is divided by its SD, both over the training images: of
    colour images (more than one channel) alone, always, or never. Pixels are in [0, 1] otherwise, as for the paper."""
    augment: str = "none"
    """What is done to each training image anew in each epoch: nothing, or flip-crop (preprocessing.flip_crop)."""
    validation_images: int | None = None
    """Hold so many of the training images out and test on them instead of on the test images (None: do not)."""

    def __post_init__(self) -> None:
        for name in ("dataset", "model"):
            _require(isinstance(getattr(self, name), str), name, self, "a name")
        for name, choices in (
            ("precision", PRECISIONS),
            ("schedule", SCHEDULES),
            ("standardise", STANDARDISED),
            ("augment", AUGMENTATIONS),
        ):
            _require(getattr(self, name) in choices, name, self, f"{', '.join(choices[:-1])} or {choices[-1]}")
        for name in ("epochs", "batch_size"):
            _require(_whole(getattr(self, name)) and getattr(self, name) >= 1, name, self, "a whole number from 1")
        _require(_real(self.lr) and self.lr > 0, "lr", self, "a number above 0")
        _require(_real(self.momentum) and 0 <= self.momentum < 1, "momentum", self, "a number from 0 to below 1")
        for name in ("beta", "weight_decay"):
            _require(_real(getattr(self, name)) and getattr(self, name) >= 0, name, self, "a number from 0")
        for name in ("train_images", "test_images", "validation_images"):
            value = getattr(self, name)
            _require(value is None or (_whole(value) and value >= 1), name, self, "a whole number from 1")
        if self.test_images is not None and self.validation_images is not None:
            raise UsageError("--validation-images takes the place of the test images: leave --test-images out.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Protocol:
        """The protocol with exactly these fields; ValueError if some are missing or unknown."""
        values = {**_YOUNGER_FIELDS, **values}
        names = {field.name for field in fields(cls)}
        if values.keys() != names:
            raise ValueError(f"fields that are missing or unknown: {', '.join(sorted(names ^ values.keys()))}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def differences(self, other: Protocol) -> dict[str, tuple[Any, Any]]:
        """The fields in which two protocols differ, each with this one's value and the other's."""
        mine, theirs = self.to_dict(), other.to_dict()
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}


@dataclass(frozen=True)
class Trial:
    """One run: a protocol, an activation's name and a seed determine it fully."""

    protocol: Protocol
    activation: str
    seed: int

    def __post_init__(self) -> None:
        if not _whole(self.seed) or self.seed < 0:
            raise UsageError(f"--seed must be a whole number from 0, not {self.seed}.")

    @property
    def name(self) -> str:
        """The trial's name within its study, also its files' stem: ``relu-seed0``."""
        return trial_name(self.activation, self.seed)


def trial_name(activation: str, seed: int) -> str:
    """A trial's name by its activation and seed."""
    return f"{file_stem(activation)}-seed{seed}"


def file_stem(activation: str) -> str:
    """An activation's name as part of a file's name: ``mymodule:MyAct`` becomes ``mymodule-MyAct``."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", activation)


def option(field_name: str) -> str:
    """The command-line option of a protocol's field."""
    return "--" + field_name.replace("_", "-")


def _require(holds: bool, name: str, protocol: Protocol, wanted: str) -> None:
    if not holds:
        raise UsageError(f"{option(name)} must be {wanted}, not {getattr(protocol, name)}.")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _real(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
