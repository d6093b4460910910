"""What a run is: the protocol that a study fixes, and the trial that it is repeated for.

This module imports no torch, so that reading a study stays quick.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from fluidrelu_cli.errors import UsageError

WHAT, HOW = "What is trained", "How it is trained"
"""The two parts of a protocol, and the panels of the help."""

Device = Literal["auto", "cpu", "cuda", "mps"]
DEVICES: tuple[str, ...] = get_args(Device)
"""Where a trial can be trained; `auto` is CUDA where there is one, else the CPU."""

RECORDED = object()
"""Stands for a field that every release recorded."""


@dataclass(frozen=True)
class Setting:
    """What is known of a protocol's field beside its type and default; it stands at the field (:func:`setting`)."""

    help: str
    part: str
    """WHAT or HOW."""
    holds: Callable[[Any], bool]
    """Whether a value is one that the field takes."""
    wanted: str
    """What such values are, in words."""
    choices: tuple[str, ...]
    """All of them, if they are few names."""
    before: Any
    """The value that held before the field was recorded; RECORDED if every study has it."""
    of_arm: bool
    """Whether one activation of a study may have its own: ``relu@lr=0.01``. Such a field is a number."""


Check = tuple[Callable[[Any], bool], str, tuple[str, ...]]
"""A setting's holds, wanted and choices."""


def setting(
    default: Any, text: str, check: Check, *, part: str = HOW, before: Any = RECORDED, of_arm: bool = False
) -> Any:
    """A field of a protocol: default, help text, check, what held before it was recorded, and who may have its own."""
    return field(default=default, metadata={"setting": Setting(text, part, *check, before, of_arm)})


def _name() -> Check:
    return (lambda value: is_name(value, 4096)), "a name of printable characters on one line", ()


def _one_of(*choices: str) -> Check:
    return (lambda value: value in choices), f"{', '.join(choices[:-1])} or {choices[-1]}", choices


def _whole_from_1(*, or_none: bool = False) -> Check:
    def holds(value: Any) -> bool:
        return (or_none and value is None) or (_is_whole(value) and 1 <= value <= 10**9)

    return holds, "a whole number from 1 to 1,000,000,000", ()


def _real(holds: Callable[[float], bool], wanted: str) -> Check:
    return (lambda value: _is_real(value) and holds(value)), wanted, ()


@dataclass(frozen=True)
class Protocol:
    """How every trial of a study is trained; the defaults are the paper's, or chosen as docs/paper.md describes.

    All that is known of a field is declared at the field: the options of the command line, the checks, the reading of
    older studies and the page's table are made from it. Raises UsageError when a value is out of range.
    """

    dataset: str = setting("mnist", "Data set: its name, or the path of an .npz file", _name(), part=WHAT)
    model: str = setting(
        "paper", "Network: its name, with options as in paper:pooling=average, or module:Class", _name(), part=WHAT
    )
    epochs: int = setting(2, "Passes over the training images", _whole_from_1())
    """Not stated by the paper: calibrated on ReLU alone (docs/paper.md, "Calibration")."""
    batch_size: int = setting(20, "Images per step", _whole_from_1())
    """Not stated by the paper: calibrated with ``epochs``."""
    lr: float = setting(
        0.001,
        "Learning rate; of one activation alone: --act NAME@lr=0.01",
        _real(lambda lr: lr > 0, "a number above 0"),
        of_arm=True,
    )
    """The paper's epsilon."""
    momentum: float = setting(
        0.9,
        "Momentum of sgd; adam and adamw do not use it",
        _real(lambda mu: 0 <= mu < 1, "a number from 0 to below 1"),
        of_arm=True,
    )
    """The paper's mu."""
    beta: float = setting(
        10000.0,
        "Factor on the gradient of what fluid and fluid-* learn; others: --act NAME@beta=10",
        _real(lambda beta: beta >= 0, "a number from 0"),
        of_arm=True,
    )
    """The paper's beta: the gradient of every a_i is multiplied by it, equations (7) and (8). With Adam, whose steps do
    not grow with the gradient, it multiplies the learning rate of a_i."""
    train_images: int | None = setting(
        None, "Train on the first N training images only, for a quick look", _whole_from_1(or_none=True), part=WHAT
    )
    test_images: int | None = setting(
        None, "Test on the first N test images only", _whole_from_1(or_none=True), part=WHAT
    )
    precision: str = setting("fp32", "Number format: bf16 is by torch.autocast", _one_of("fp32", "bf16"), before="fp32")
    """bf16: convolutions and the linear layer in bfloat16, weights in float32."""
    schedule: str = setting(
        "constant", "Course of the learning rate", _one_of("constant", "cosine", "step"), before="constant"
    )
    """See training.optimizer.rate_factor."""
    weight_decay: float = setting(
        0.0,
        "L2 penalty (adamw: decoupled decay) of the network's weights, never of an activation's parameters",
        _real(lambda decay: decay >= 0, "a number from 0"),
        before=0.0,
        of_arm=True,
    )
    pixels: str = setting(
        "auto",
        "Scale of the pixels; auto: standardised if the images have colours, else unit",
        _one_of("auto", "unit", "byte", "by-256", "centred", "byte-centred", "standardised"),
        part=WHAT,
        before="auto",
    )
    """See training.preprocessing.Scaling."""
    augment: str = setting(
        "none", "Augmentation of the training images", _one_of("none", "flip-crop"), part=WHAT, before="none"
    )
    """Anew in each epoch; see training.preprocessing.flip_crop."""
    validation_images: int | None = setting(
        None,
        "Hold out N training images and test on these, not on the test images: to choose settings by",
        _whole_from_1(or_none=True),
        part=WHAT,
        before=None,
    )
    init: str = setting(
        "as-built",
        "Initial weights; as-built: as PyTorch or the network's own code sets them",
        _one_of(
            *("as-built", "lecun-normal", "lecun-uniform", "glorot-uniform", "he-normal", "normal-0.01"),
            *("truncated-normal-0.1", "caffe-quick"),
        ),
        before="as-built",
    )
    """See networks.initial.draw_weights."""
    loss: str = setting(
        "mean", "Cross-entropy of a batch: its images' mean or sum", _one_of("mean", "sum"), before="mean"
    )
    """Of the sum, gradients are as many times larger as the batch has images. Recorded losses are means either way."""
    optimizer: str = setting(
        "sgd", "Optimizer; adam and adamw with betas 0.9 and 0.999", _one_of("sgd", "adam", "adamw"), before="sgd"
    )
    """See training.optimizer.build_optimizer."""
    evaluations: int = setting(
        1,
        "Tests per epoch, evenly spread, each a row of the run's CSV",
        (lambda value: _is_whole(value) and 1 <= value <= 1000, "a whole number from 1 to 1,000", ()),
        before=1,
    )

    def __post_init__(self) -> None:
        for name, known in SETTINGS.items():
            value = getattr(self, name)
            if not known.holds(value):
                raise UsageError(f"{option(name)} must be {known.wanted}, not {_show(value)}.")
        if self.test_images is not None and self.validation_images is not None:
            raise UsageError("--validation-images takes the place of the test images: leave --test-images out.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Protocol:
        """The protocol with exactly these fields; ValueError if some are missing or unknown."""
        older = {name: known.before for name, known in SETTINGS.items() if known.before is not RECORDED}
        values = {**older, **modernise(values)}
        if values.keys() != SETTINGS.keys():
            wrong = sorted(SETTINGS.keys() ^ values.keys())
            raise ValueError(f"fields that are missing or unknown: {', '.join(wrong)}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def of_arm(self, activation: str) -> Protocol:
        """The protocol that an activation is trained by: with the settings that its name has, ``relu@lr=0.01``."""
        return Protocol(**{**self.to_dict(), **split_arm(activation)[1]})

    def facts(self) -> dict[str, str]:
        """The fields that are set and used, each by its name in words: ``{"batch size": "20", ...}``."""
        unused = () if self.optimizer == "sgd" else ("momentum",)
        return {
            name.replace("_", " "): str(value)
            for name, value in self.to_dict().items()
            if value is not None and name not in unused
        }

    def tested_at(self) -> Iterator[float]:
        """The numbers of epochs after which a run is tested, in order: 1, 2, ...; 0.2, 0.4, 0.6, 0.8, 1, 1.2, ..."""
        for done in range(1, self.epochs * self.evaluations + 1):
            whole, rest = divmod(done, self.evaluations)
            yield round(done / self.evaluations, 4) if rest else whole

    def differences(self, other: Protocol) -> dict[str, tuple[Any, Any]]:
        """The fields in which two protocols differ, each with this one's value and the other's."""
        mine, theirs = self.to_dict(), other.to_dict()
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}


_STANDARDISE = {"colour": "auto", "always": "standardised", "never": "unit"}


def modernise(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a protocol as earlier releases wrote them, under today's names: ``standardise`` became ``pixels``."""
    new = dict(values)
    if "standardise" in new and "pixels" not in new:
        written = new.pop("standardise")
        new["pixels"] = next((pixels for old, pixels in _STANDARDISE.items() if old == written), written)
    return new


SETTINGS: Mapping[str, Setting] = {known.name: known.metadata["setting"] for known in fields(Protocol)}
"""What is known of each field of a protocol, in order."""

OF_ARM = tuple(sorted(name for name, known in SETTINGS.items() if known.of_arm))
"""The fields that one activation of a study may have of its own, in the order in which names have them."""


@dataclass(frozen=True)
class Trial:
    """One run: a protocol, an activation's name and a seed determine it fully."""

    protocol: Protocol
    activation: str
    seed: int

    def __post_init__(self) -> None:
        if not is_name(self.activation):
            raise UsageError(
                f"--act must be a name of at most {LONGEST_NAME} printable characters on one line,"
                f" not {_show(repr(self.activation))}."
            )
        if not _is_whole(self.seed) or not 0 <= self.seed < 2**63:
            raise UsageError(f"--seed must be a whole number from 0 to below 2^63, not {_show(self.seed)}.")

    @property
    def name(self) -> str:
        """The trial's name within its study, also its files' stem: ``relu-seed0``."""
        return trial_name(self.activation, self.seed)


def trial_name(activation: str, seed: int) -> str:
    """A trial's name by its activation and seed."""
    return f"{file_stem(activation)}-seed{seed}"


def file_stem(activation: str) -> str:
    """An activation's name as part of a file's name; no two names have the same.

    ``mymodule:MyAct`` becomes ``mymodule-MyAct``. A name that could be taken for another one so, or is too long, gets
    its digest: ``my_soft:soft`` is ``my_soft-soft``, but ``mine:soft``, for which there could be a built-in
    ``mine-soft``, is ``mine-soft~3b7d...``. Settings stay as they are written: ``fluid@beta=10``.
    """
    function, settings = split_arm(activation)
    stem = _earlier_stem(function)
    if not _PLAIN.fullmatch(function) or len(stem) > _LONGEST_STEM:
        stem = _digest(stem, function)
    arm = join_arm(stem, settings)
    return arm if len(arm) <= _LONGEST_ARM else _digest(arm, activation)


def _digest(stem: str, name: str) -> str:
    return f"{stem[:_LONGEST_STEM]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def parse_arm(activation: str) -> tuple[str, dict[str, float]]:
    """The function that an activation's name is of, and the settings of its own: ``relu@lr=1e-2``, with lr 0.01.

    Raises:
        UsageError: if what follows an ``@`` is no setting that an activation can have, no value of it, or there twice.
    """
    function, *texts = activation.split("@")
    settings: dict[str, float] = {}
    for text in texts:
        key, _, value = text.partition("=")
        name = key.replace("-", "_")  # as the option is written
        if name not in OF_ARM:
            raise UsageError(
                f"An activation cannot have its own '{key}' ('{activation}'): only {', '.join(OF_ARM[:-1])} and"
                f" {OF_ARM[-1]}, as in NAME@lr=0.01."
            )
        if name in settings:
            raise UsageError(f"'{activation}' sets {name} twice: leave one out.")
        settings[name] = math.nan
        with contextlib.suppress(ValueError):
            settings[name] = float(value)
        if not SETTINGS[name].holds(settings[name]):
            raise UsageError(f"The {name} of '{activation}' must be {SETTINGS[name].wanted}, not '{value}'.")
    return function, settings


def join_arm(function: str, settings: Mapping[str, float]) -> str:
    """The name of an activation with settings of its own, as it is recorded: ``fluid@beta=10@lr=0.01``."""
    return function + "".join(f"@{name}={spell_number(value)}" for name, value in sorted(settings.items()))


def split_arm(activation: str) -> tuple[str, dict[str, float]]:
    """What :func:`join_arm` joined. Any other name is that of a function as it stands."""
    with contextlib.suppress(UsageError):
        function, settings = parse_arm(activation)
        if function and join_arm(function, settings) == activation:
            return function, settings
    return activation, {}


def spell_number(value: float) -> str:
    """A number as names have it, with no more digits than it needs: ``10``, ``0.5``, ``1e-05``."""
    return repr(float(value) + 0.0).removesuffix(".0")  # -0 is 0


_LONGEST_STEM = 120
"""How much of a name stands before its digest."""

_LONGEST_ARM = 185
"""A file has at most 255 bytes in its name; a stem's seed, ending and number of the process take up to 70."""

_PLAIN = re.compile(
    r"[\w.]+"  # a class of torch.nn, and most built-in names
    r"|[a-z-]+"  # a built-in name
    r"|(?=.*[^a-z:-])[\w.-]+:[\w.]+",  # a user's own, which cannot be a built-in name with "-" for ":"
    re.ASCII,
)
"""Names that no other one is written like when what a file's name must not have is replaced."""


def trial_names(activation: str, seed: int) -> tuple[str, str]:
    """The name of a trial's files, and the one that earlier releases gave them."""
    return trial_name(activation, seed), f"{_earlier_stem(activation)}-seed{seed}"


def _earlier_stem(activation: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", activation)


def option(field_name: str) -> str:
    """The command-line option of a protocol's field."""
    return "--" + field_name.replace("_", "-")


LONGEST_NAME = 255
"""How many characters the name of an activation has at most."""


def is_name(value: object, longest: int = LONGEST_NAME) -> bool:
    """Whether a value can be a name: printable characters on one line, and not too many."""
    return isinstance(value, str) and value.isprintable() and bool(value.strip()) and len(value) <= longest


def is_own(name: str) -> bool:
    """Whether a name is of the form ``module:attribute``: a user's own code, not what comes with the program.

    ``paper:pooling=average`` is a built-in network with an option of its own: no attribute has a "=" behind it.
    """
    return ":" in name and not _WITH_OPTIONS.match(name)


_WITH_OPTIONS = re.compile(r"([^:]*):(?=[\w-]*=)")
"""The beginning of a network's name that goes on with options."""


def split_model(model: str) -> tuple[str, list[tuple[str, str]]]:
    """A network's name and its options as they are written: ``paper:pooling=average,hidden=128``. None is checked."""
    found = _WITH_OPTIONS.match(model)
    if not found:
        return model, []
    pairs = (text.partition("=") for text in model[found.end() :].split(","))
    return found[1], [(name, value) for name, _, value in pairs]


def join_model(network: str, options: Mapping[str, object]) -> str:
    """The name of a network with options, as it is recorded: ``paper:hidden=128,pooling=average``."""
    return ":".join(filter(None, (network, ",".join(f"{name}={value}" for name, value in sorted(options.items())))))


def _show(value: object) -> str:
    """A value, at most as long as a name may be, for a sentence that refuses it."""
    try:
        return str(value)[:LONGEST_NAME]
    except ValueError:  # Python writes no number of thousands of digits
        return "a number of very many digits"


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_real(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
