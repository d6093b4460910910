"""What a finished trial leaves behind, and the files that hold it: written whole, checked when read.

This module imports no torch, and pandas for tables alone.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluidrelu_cli.errors import DamagedFileError, UsageError
from fluidrelu_cli.files import (
    SEAL,
    Columns,
    csv_rows,
    hash_rows,
    read_bytes,
    read_csv,
    read_json,
    sealed_json,
    write_whole,
)
from fluidrelu_cli.protocol import Protocol, Trial, is_name, trial_names

if TYPE_CHECKING:
    import pandas as pd


def _read_epochs(text: str) -> float:
    """A number of epochs, which is an int where it is whole: runs are written as they were read."""
    return int(text) if "." not in text else float(text)


RUN_COLUMNS: Mapping[str, Callable[[str], Any]] = {
    "activation": str,
    "seed": int,
    "epoch": _read_epochs,
    "train_loss": float,
    "train_accuracy": float,
    "test_loss": float,
    "test_accuracy": float,
    "train_seconds": float,
    "test_seconds": float,
}
"""Columns of a run CSV, one row per test: after every epoch, or more often (Protocol.evaluations). ``epoch`` is how
many epochs are done by then: 1, 2, ..., or 0.2, 0.4, ... Losses are mean cross-entropies in nats per image, accuracies
fractions in [0, 1]; the train columns are those of the batches since the row before, as they were trained on, the test
columns those of the whole test set."""

PARAMETER_COLUMNS: Mapping[str, Callable[[str], Any]] = {
    "activation": str,
    "seed": int,
    "epoch": _read_epochs,
    "layer": str,
    "parameter": str,
    "kernel": int,
    "value": float,
}
"""Columns of a parameters CSV: the activations' learned parameters, one row per kernel and test; epoch 0 is the
start, kernels count from 0."""

TIMINGS = ("train_seconds", "test_seconds")
"""The last columns, and the only ones that may differ between two runs of one trial on one machine."""

DIVERGED_LOSS = 1000.0
"""A training loss, in nats, above which a run has diverged. Guessing costs the logarithm of the number of classes, 14
nats with a million; a loss of 1000 is an average probability of exp(-1000) for the right class, which even float64
cannot tell from 0."""

Parameters = Mapping[tuple[str, str], tuple[float, ...]]
"""The activations' learned parameters by (layer, parameter): ("activation1", "a") -> one value per kernel."""


@dataclass(frozen=True)
class Epoch:
    """A run after an epoch, or a part of one: the numbers of a run CSV's row, and the learned parameters by then."""

    epoch: float
    """How many are done; an int where it is whole."""
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    train_seconds: float
    test_seconds: float
    parameters: Parameters


@dataclass(frozen=True)
class Provenance:
    """Under what conditions a run was made. The defaults are what runs of earlier releases did not record."""

    versions: Mapping[str, str | None] = field(default_factory=dict)
    """Of fluidrelu-cli, python, torch, torchvision, numpy, onednn and, on a GPU, cuda."""
    source: Mapping[str, Any] | None = None
    """The package's git ``commit``, and whether its files were ``modified``; None outside a checkout."""
    system: str | None = None
    cpu: str | None = None
    cpu_capability: str | None = None
    """The vector instructions that torch uses: AVX2, AVX512, ..."""
    cpu_family: str | None = None
    """Which processor it is, where several have one name: ``family 25, model 17, stepping 1``."""
    cpu_flags: str | None = None
    """Which of machine.CPU_FLAGS it has, as numerical libraries choose their code by them."""
    device: str | None = None
    gpu: str | None = None
    threads: int | None = None
    batched_seeds: int = 1
    """How many seeds were trained together, as one stacked network."""
    betas: Mapping[str, float] | None = None
    """The factor on the gradient of what the activation learns, by the parameters' names; empty if it has none."""
    activation_sha256: str | None = None
    """The digest of the file of a user's own activation."""
    activation_code_sha256: str | None = None
    """The digest of its code and of what that uses in its file (networks.source)."""
    model_sha256: str | None = None
    """The digest of the file of a user's own network."""
    model_code_sha256: str | None = None
    """The digest of its code and of what that uses in its file."""
    data_sha256: str | None = None
    """The digest of the images and labels."""
    classes: int | None = None
    """How many kinds of images there are."""
    test_images: int | None = None
    wall_seconds: float | None = None
    """From start to end; seeds that were trained together share it."""
    peak_memory: int | None = None
    """The most memory, in bytes, that the process had in use by the end; on a GPU the most of the GPU's."""
    initial_weights_sha256: str | None = None
    """The digest of the initial weights but the activations' own."""
    data_order_sha256: str | None = None
    """The digest of the order in which the training images were used."""
    augmentation_sha256: str | None = None
    """The digest of what augmented them."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Provenance:
        """The provenance with these fields; what it does not know is left out. ValueError if one has another type."""
        known = {one.name: one for one in fields(cls)}
        for name, value in values.items():
            if name in known and not _fits(known[name].type, value):
                raise ValueError(f"{name}: {value!r}")
        return cls(**{name: value for name, value in values.items() if name in known})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


_KINDS: Mapping[str, tuple[type, ...]] = {
    "Mapping[str, str | None]": (dict,),
    "Mapping[str, Any] | None": (dict, type(None)),
    "Mapping[str, float] | None": (dict, type(None)),
    "str | None": (str, type(None)),
    "int": (int,),
    "int | None": (int, type(None)),
    "float | None": (int, float, type(None)),
}
"""What JSON has where a field of a provenance has a type."""


def _fits(kind: Any, value: object) -> bool:
    """Whether a JSON value is of the kind that a field declares; numbers are counts or seconds, above 0."""
    if isinstance(value, bool) or not isinstance(value, _KINDS[kind]):
        return False
    if isinstance(value, dict) and "float" in kind:
        return all(type(inner) in (int, float) and 0 <= inner < math.inf for inner in value.values())
    if isinstance(value, dict):
        return all(isinstance(inner, (str, bool, type(None))) for inner in value.values())
    return not isinstance(value, (int, float)) or 0 < value < 2**63


@dataclass(frozen=True)
class Run:
    """A finished trial: the same value whether it was just trained or read back."""

    trial: Trial
    initial_parameters: Parameters
    epochs: tuple[Epoch, ...]
    provenance: Provenance = field(default_factory=Provenance)
    protected: bool = True
    """Whether its files hold digests that show it if they are changed; those of earlier releases do not."""
    correct: bytes | None = None
    """A bit per test image, in their order: whether it was classified right after the last epoch. As numpy.packbits has
    it: the first image is the highest bit of the first byte, spare bits are 0. None in runs of earlier releases.
    """
    weights_sha256: str | None = None
    """The digest of the file of its weights; None if they were not saved."""
    weights: bytes | None = field(default=None, repr=False, compare=False)
    """The trained network's state_dict, as the content of a safetensors file. A run that was written or read back has
    them in its file alone, because they are large."""

    def with_weights(self, weights: bytes) -> Run:
        """The run with its trained network."""
        return replace(self, weights=weights, weights_sha256=hashlib.sha256(weights).hexdigest())

    @property
    def test_accuracy(self) -> float:
        """The run's result: the test accuracy after the last epoch."""
        return self.epochs[-1].test_accuracy

    @property
    def test_images(self) -> int:
        """How many images it was tested on. (The first runs do not record it: they had MNIST's 10,000.)"""
        return self.provenance.test_images or min(10_000, self.trial.protocol.test_images or 10_000)

    @property
    def diverged(self) -> bool:
        """Whether the training loss of the last epoch is above DIVERGED_LOSS, or no number."""
        return not self.epochs[-1].train_loss <= DIVERGED_LOSS

    @property
    def csv_sha256(self) -> str:
        """The digest of the run CSV without its timings: the same for every run of a trial on one machine."""
        numbers = [name for name in RUN_COLUMNS if name not in TIMINGS]
        return hash_rows(numbers, (row[: len(numbers)] for row in self.rows()))

    @property
    def parameters_sha256(self) -> str | None:
        """The digest of the parameters CSV; None if nothing was learned."""
        return hash_rows(PARAMETER_COLUMNS, self.parameter_rows()) if self.initial_parameters else None

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows of RUN_COLUMNS."""
        for epoch in self.epochs:
            yield (
                self.trial.activation,
                self.trial.seed,
                *(getattr(epoch, name) for name in list(RUN_COLUMNS)[2:]),
            )

    def parameter_rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows of PARAMETER_COLUMNS."""
        states = [(0, self.initial_parameters), *((epoch.epoch, epoch.parameters) for epoch in self.epochs)]
        for number, state in states:
            for (layer, parameter), values in state.items():
                for kernel, value in enumerate(values):
                    yield (self.trial.activation, self.trial.seed, number, layer, parameter, kernel, value)


def tabulate_runs(runs: Iterable[Run]) -> pd.DataFrame:
    """Runs as one table of RUN_COLUMNS."""
    import pandas as pd

    table: pd.DataFrame = pd.DataFrame((row for run in runs for row in run.rows()), columns=list(RUN_COLUMNS))
    return table


def tabulate_parameters(runs: Iterable[Run]) -> pd.DataFrame:
    """The learned parameters of runs as one table of PARAMETER_COLUMNS."""
    import pandas as pd

    rows = (row for run in runs for row in run.parameter_rows())
    table: pd.DataFrame = pd.DataFrame(rows, columns=list(PARAMETER_COLUMNS))
    return table


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
    def weights(self) -> Path:
        return self.folder / f"{self.name}.safetensors"

    @property
    def failure(self) -> Path:
        """The traceback of a trial that raised; it goes when the trial succeeds."""
        return self.folder / f"{self.name}.failed.txt"


def find_runs(folder: Path) -> list[RunFiles]:
    """The files of each run in a study's `runs` folder, by name."""
    found = (
        path
        for path in folder.glob("*-seed*.csv")
        # macOS puts files that begin with "._" beside others
        if not path.name.endswith(".parameters.csv") and not path.name.startswith("._")
    )
    return [RunFiles(folder, path.stem) for path in sorted(found)]


def write(run: Run, files: RunFiles) -> None:
    """Write a run's files, the run CSV last: where it is, the others are.

    Raises StorageError if the folder cannot be written or the disk is full.
    """
    trial = run.trial
    parameters = list(run.parameter_rows())
    content = {
        "activation": trial.activation,
        "seed": trial.seed,
        "protocol": trial.protocol.to_dict(),
        "parameter_rows": len(parameters),
        **run.provenance.to_dict(),
        "csv_sha256": run.csv_sha256,
        "parameters_sha256": run.parameters_sha256,
        "correct": None if run.correct is None else base64.b64encode(run.correct).decode(),
        "weights_sha256": run.weights_sha256,
    }
    for path in (files.parameters, files.weights):  # of a run whose CSV was deleted to train it again
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    if run.weights is not None:
        write_whole(files.weights, run.weights)
    if parameters:
        write_whole(files.parameters, csv_rows(PARAMETER_COLUMNS, parameters))
    write_whole(files.provenance, sealed_json(content))
    write_whole(files.csv, csv_rows(RUN_COLUMNS, run.rows()))
    with contextlib.suppress(OSError):
        files.failure.unlink(missing_ok=True)


def read(files: RunFiles) -> Run:
    """Read a run back from its files, each of them once.

    Raises StorageError if one cannot be read, and DamagedFileError, naming the file and what is wrong with it.
    """
    rows = read_csv(files.csv, RUN_COLUMNS)
    activation, seed = _check_trial(files.csv, rows, files.name)
    if not files.provenance.exists():
        raise DamagedFileError(f"{files.provenance}, which records the run's protocol, is missing")
    content = read_json(files.provenance)
    if (content.get("activation", activation), content.get("seed", seed)) != (activation, seed):
        raise DamagedFileError(f"{files.provenance} is of another activation or seed than {files.csv.name}")
    protocol, provenance = _read_provenance(files.provenance, content)
    tests = protocol.epochs * protocol.evaluations
    if len(rows["epoch"]) != tests or rows["epoch"] != list(protocol.tested_at()):
        often = "" if protocol.evaluations == 1 else f", tested {protocol.evaluations} times each"
        raise DamagedFileError(f"{files.csv} does not have one row for each of {protocol.epochs} epochs{often}")
    expected_rows = content.get("parameter_rows")
    if expected_rows is not None and type(expected_rows) is not int:
        raise DamagedFileError(f"{files.provenance} is damaged (parameter_rows: {expected_rows!r})")
    initial, *states = _read_parameters(files, expected_rows, rows["epoch"])
    numbers = zip(*(rows[name] for name in list(RUN_COLUMNS)[2:]), strict=True)
    epochs = tuple(Epoch(*(*row, state)) for row, state in zip(numbers, states, strict=True))
    digests = [SEAL, "csv_sha256", *(["parameters_sha256"] if initial else [])]
    protected = all(content.get(name) is not None for name in digests)
    correct = _read_correct(files.provenance, content.get("correct"))
    weights_sha256 = content.get("weights_sha256")
    if weights_sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", str(weights_sha256)):
        raise DamagedFileError(f"{files.provenance} is damaged (weights_sha256 is no digest)")
    found = Run(Trial(protocol, activation, seed), initial, epochs, provenance, protected, correct, weights_sha256)
    _check_numbers(files, found, content)
    return found


def read_weights(run: Run, files: RunFiles) -> Run:
    """A run with its weights, if it saved them and their file is there: it is large, and not in git.

    Raises StorageError if the file cannot be read, and DamagedFileError if it was changed.
    """
    if run.weights_sha256 is None or not files.weights.exists():
        return run
    found = run.with_weights(read_bytes(files.weights))
    if found != run:
        raise DamagedFileError(
            f"{files.weights} was changed after it was written ({files.provenance.name} has its digest)"
        )
    return found


def _check_numbers(files: RunFiles, found: Run, content: Mapping[str, Any]) -> None:
    """Raise DamagedFileError if a run's numbers are impossible, or not those that were recorded."""
    protocol, recorded = found.trial.protocol, found.provenance.test_images
    wanted = protocol.validation_images or protocol.test_images
    if None not in (wanted, recorded) and wanted != recorded:
        raise DamagedFileError(f"{files.provenance} has a number of test images that is not its protocol's")
    for epoch in found.epochs:
        if not (0 <= epoch.train_accuracy <= 1 and 0 <= epoch.test_accuracy <= 1):
            raise DamagedFileError(f"{files.csv} has an accuracy outside [0, 1]")
        if not (0 <= epoch.train_seconds < math.inf and 0 <= epoch.test_seconds < math.inf):
            raise DamagedFileError(f"{files.csv} has a time that is no number of seconds")
        correct = epoch.test_accuracy * found.test_images
        if abs(correct - round(correct)) > 1e-6:
            raise DamagedFileError(
                f"{files.csv} has the test accuracy {epoch.test_accuracy}, which {found.test_images} images cannot give"
            )
    if found.correct is not None and not _agrees(found.correct, found.test_images, found.test_accuracy):
        raise DamagedFileError(f"{files.provenance} has other images right than the accuracy in {files.csv.name} says")
    for path, name in ((files.csv, "csv_sha256"), (files.parameters, "parameters_sha256")):
        if content.get(name) not in (None, getattr(found, name)):
            raise DamagedFileError(f"{path} was changed after it was written ({files.provenance.name} has its digest)")


def _read_correct(path: Path, value: object) -> bytes | None:
    try:
        return None if value is None else base64.b64decode(str(value), validate=True)
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged (correct is not in base64)") from error


def _agrees(correct: bytes, images: int, accuracy: float) -> bool:
    """Whether bits are those of so many images, of which this share is right."""
    bits, spare = int.from_bytes(correct, "big"), 8 * len(correct) - images
    return 0 <= spare < 8 and bits % 2**spare == 0 and bits.bit_count() == round(accuracy * images)


def _read_provenance(path: Path, content: Mapping[str, Any]) -> tuple[Protocol, Provenance]:
    try:
        protocol = Protocol.from_dict(content["protocol"])
    except Exception as error:  # whatever a hand-edited file makes of it
        raise DamagedFileError(f"{path} is damaged (its protocol cannot be read)") from error
    try:
        return protocol, Provenance.from_dict(content)
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged ({error})") from error


def _read_parameters(files: RunFiles, expected_rows: int | None, epochs: Sequence[float]) -> Sequence[Parameters]:
    """The learned parameters from epoch 0 on; all empty if the run has none.

    Args:
        files: the run's.
        expected_rows: how many rows the run recorded; None if it did not.
        epochs: those of its rows.
    """
    path = files.parameters
    if not path.exists():
        if expected_rows:
            raise DamagedFileError(f"{path}, which belongs to {files.csv.name}, is missing")
        return [{}] * (len(epochs) + 1)
    table = read_csv(path, PARAMETER_COLUMNS)
    _check_trial(path, table, files.name)
    found = len(table["value"])
    if expected_rows not in (None, found):
        raise DamagedFileError(f"{path} is damaged ({found} rows, not {expected_rows})")
    states: dict[float, dict[tuple[str, str], list[float]]] = {epoch: {} for epoch in (0, *epochs)}
    for epoch, layer, parameter, kernel, value in zip(
        *(table[name] for name in list(PARAMETER_COLUMNS)[2:]), strict=True
    ):
        if epoch not in states:
            raise DamagedFileError(f"{path} is damaged (it has an epoch {epoch})")
        if not (is_name(layer) and is_name(parameter)):
            raise DamagedFileError(f"{path} is damaged (a layer or a parameter has no name that can be shown)")
        values = states[epoch].setdefault((sys.intern(layer), sys.intern(parameter)), [])
        if kernel != len(values):
            raise DamagedFileError(f"{path} is damaged (in epoch {epoch}, {layer} has no kernel {len(values)})")
        values.append(value)
    sizes = [{name: len(values) for name, values in state.items()} for state in states.values()]
    if any(size != sizes[0] for size in sizes):
        raise DamagedFileError(f"{path} is damaged (its epochs have different kernels)")
    return [{name: tuple(values) for name, values in state.items()} for state in states.values()]


def _check_trial(path: Path, table: Columns, name: str) -> tuple[str, int]:
    """The activation and seed of every row, which must be those that the file is named after."""
    trials = set(zip(table["activation"], table["seed"], strict=True))
    if not trials:
        raise DamagedFileError(f"{path} is damaged (it has no rows)")
    if len(trials) > 1:
        raise DamagedFileError(f"{path} mixes activations or seeds")
    activation, seed = trials.pop()
    try:
        named = name in trial_names(activation, seed)
        Trial(Protocol(), activation, seed)
    except UsageError as error:
        raise DamagedFileError(f"{path} is damaged ({str(error).rstrip('.')})") from error
    if not named:
        raise DamagedFileError(f"{path} holds the run of another activation or seed than its name says")
    return activation, seed
