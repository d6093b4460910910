"""A question as a file: which activations, how many seeds, by which protocol, and what is varied or tuned.

A study file is TOML and is read as data: it says what `run` trains and what `report` answers, and nothing that it names
is imported here. Its digest and a copy of its text stay with the study, so that a later change can be named.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from fluidrelu_cli.data.catalogue import canonical
from fluidrelu_cli.errors import FluidReluError, StorageError, UsageError, printable
from fluidrelu_cli.files import read_bytes, write_whole
from fluidrelu_cli.networks.named import find_among
from fluidrelu_cli.protocol import OF_ARM, SETTINGS, Protocol, is_name, join_arm, parse_arm, spell_number, split_arm
from fluidrelu_cli.run import find_runs
from fluidrelu_cli.study import MOST_SEEDS, Study, find_folder, load_study, new_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from fluidrelu_cli.analysis.published import Published
    from fluidrelu_cli.analysis.tuning import Tuned

ENDING = ".toml"

BUILT_IN = "paper"
"""What `published` may be instead of a table: the numbers that come with the program."""

TUNING = "tuning"
"""The folder, below a study's, of what was trained to choose settings by."""

FIRST_TUNING_SEED = MOST_SEEDS
"""Settings are chosen on seeds from here on, which no result has: those stay below it."""

LONGEST_NAME = 200
"""How many bytes the name of a study or a cell has at most; a folder's has 255."""


@dataclass(frozen=True)
class Cell:
    """One of the studies of a file: a protocol, and what distinguishes it from the file's others."""

    name: str
    """``lr=0.001``; empty where nothing is varied."""
    settings: Mapping[str, Any] = field(hash=False)
    """The values of the fields that are varied."""
    protocol: Protocol


@dataclass(frozen=True)
class Tuning:
    """How each activation's settings are chosen: the same grid, seeds and held-out images for all."""

    grid: Mapping[str, tuple[float, ...]]
    """By field of an arm, the values to try; every combination is."""
    seeds: int
    validation_images: int

    @property
    def settings(self) -> tuple[Mapping[str, float], ...]:
        """Every combination, in the order of the file."""
        return tuple(dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values()))


@dataclass(frozen=True)
class Declaration:
    """A study file, read and checked."""

    path: Path
    """Where it lies, or lay."""
    text: str
    name: str
    """What its study is called below the folder of all studies: the file's name without its ending."""
    question: str | None
    activations: tuple[str, ...]
    """As they are written in the file, until :meth:`spelled` replaces that."""
    seeds: Mapping[str, int]
    """By activation, how many: 0, 1, ...; where it stops once decided, at most."""
    compare: tuple[str, str] | None
    """The primary comparison: an activation, and its baseline. None where there is just one activation."""
    margin: float | None
    """A difference of mean accuracies below which it matters to nobody."""
    stops_when_decided: bool
    """Whether training ends once the primary comparison is decided, by a test that may be looked at any time."""
    protocol: Protocol
    """Without what is varied."""
    cells: tuple[Cell, ...]
    """At least one."""
    tuning: Tuning | None
    published: Mapping[str, Any] | str | None
    """What somebody published: the file's table, or BUILT_IN."""
    content: Mapping[str, Any] = field(default_factory=dict)
    """All that it says, as TOML."""

    @property
    def sha256(self) -> str:
        """The digest of its text."""
        return hash_text(self.text)

    @property
    def baseline(self) -> str:
        """What the others are compared with; the only activation where there is just one."""
        return self.compare[1] if self.compare else self.activations[0]

    @property
    def varied(self) -> tuple[str, ...]:
        """The fields in which its cells differ, in the order of the file."""
        return tuple(dict.fromkeys(name for cell in self.cells for name in cell.settings))

    @property
    def is_grid(self) -> bool:
        """Whether its cells are studies below its folder, rather than its folder one study."""
        return bool(self.cells[0].name)

    def study_name(self, cell: Cell) -> str:
        """What a cell's study is called below the folder of all studies."""
        return f"{self.name}/{cell.name}" if cell.name else self.name

    @property
    def tuning_name(self) -> str:
        """What the study of its tuning is called."""
        return f"{self.name}/{TUNING}"

    @property
    def tuning_protocol(self) -> Protocol:
        """The protocol by which settings are chosen: the file's, tested on held-out training images."""
        if self.tuning is None:
            raise ValueError(f"{self.path} tunes nothing")
        return replace(self.protocol, validation_images=self.tuning.validation_images)

    def tuning_arms(self) -> dict[str, list[tuple[str, Mapping[str, float]]]]:
        """By activation, each setting that is tried: the arm's name, and what it sets."""
        grid = self.tuning.settings if self.tuning else ()
        return {name: [(_arm(name, settings), settings) for settings in grid] for name in self.activations}

    def settled(self, chosen: Mapping[str, str]) -> Declaration:
        """The declaration in which each activation is the arm that was chosen for it."""
        return self._renamed(chosen)

    def spelled(self, names: Iterable[str]) -> Declaration:
        """The declaration in which activations are spelled as among these names, where they are there at all."""
        known = list(names)
        return self._renamed({name: find_among(name, known) or name for name in self.activations})

    def _renamed(self, names: Mapping[str, str]) -> Declaration:
        compare = (names[self.compare[0]], names[self.compare[1]]) if self.compare else None
        seeds = {names[name]: n for name, n in self.seeds.items()}
        published = self.published
        if isinstance(published, Mapping):
            rows = {row: {names[name]: number for name, number in published[row].items()} for row in ("best", "worst")}
            published = {**published, **rows}
        activations = tuple(names[name] for name in self.activations)
        return replace(self, activations=activations, seeds=seeds, compare=compare, published=published)

    def find_published(self) -> Published | None:
        """The published table that its runs are set beside, with its protocol; None if it names none."""
        from fluidrelu_cli.analysis.published import PAPER, Published

        if self.published is None or self.published == BUILT_IN:
            return PAPER if self.published else None
        table = dict(self.published) if isinstance(self.published, Mapping) else {}
        return Published(table["source"], self.protocol, table["runs"], dict(table["best"]), dict(table["worst"]))

    def changes_since(self, earlier: Declaration) -> list[str]:
        """What an earlier text of the file said otherwise: ``seeds 20 → 60``."""
        before, now = (dict(_flatten(each.content)) for each in (earlier, self))
        names = [*before, *(name for name in now if name not in before)]
        return [
            f"{name} {_shown(before.get(name))} → {_shown(now.get(name))}"
            for name in names
            if before.get(name) != now.get(name)
        ]


def find_files(paths: Sequence[Path]) -> list[Path]:
    """The study files that are meant: those named, and those in the folders named, in alphabetical order.

    Raises UsageError if a path is neither, or a folder has none.
    """
    found: list[Path] = []
    for path in paths:
        here = [path]
        if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where no name can be so long
            here = sorted(each for each in path.glob(f"*{ENDING}") if not each.name.startswith("."))
        if not here:
            start = shlex.join(["fluidrelu", "new", str(path / f"mine{ENDING}")])
            raise UsageError(f"{path} has no study file: name one, or write one with `{start}`.")
        found += here
    return list({os.path.realpath(path): path for path in found}.values())


def read_declaration(path: Path) -> Declaration:
    """Read and check a study file.

    Raises:
        UsageError: if there is none, or it says something wrong; the message names the file and the key.
        StorageError: if it cannot be read.
    """
    if path.suffix != ENDING:
        raise UsageError(f"{path} is no study file: its name has to end in {ENDING}.")
    try:
        text = read_bytes(path)
    except StorageError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise StorageError(f"{error}: name another study file.") from error
        start = shlex.join(["fluidrelu", "new", str(path)])
        raise UsageError(f"There is no study file {path}: `{start}` writes one to start from.") from error
    return parse_declaration(text, path)


def parse_declaration(text: bytes, path: Path) -> Declaration:
    """What a study file says that lies, or lay, at a path. Raises UsageError as :func:`read_declaration`."""
    try:
        decoded = text.decode("utf-8-sig").replace("\r\n", "\n")
        content = tomllib.loads(decoded)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not text in UTF-8: save it so with your editor.") from error
    except (ValueError, RecursionError) as error:  # a TOMLDecodeError is a ValueError
        raise UsageError(f"{path} is not TOML ({printable(str(error))}): correct it there.") from error
    return _Reader(path, content).read(decoded)


def hash_text(text: str) -> str:
    """The digest of a study file's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def keep_declaration(declaration: Declaration, folder: Path) -> None:
    """Keep a copy of a study file in the folder of its study, or of its cells; StorageError if that fails."""
    path = folder / "declared" / f"{declaration.sha256}{ENDING}"
    if not path.exists():
        write_whole(path, declaration.text)


def recall_declaration(folder: Path, sha256: object, path: Path) -> Declaration | None:
    """The study file of this digest as it was, from the copy in a study's folder or the one above it.

    None if there is none, it was changed, or it cannot be read as a study file.
    """
    if not isinstance(sha256, str) or not re.fullmatch(r"[0-9a-f]{64}", sha256):  # it comes from a study.json
        return None
    for kept in (folder, folder.parent):
        try:
            declaration = parse_declaration(read_bytes(kept / "declared" / f"{sha256}{ENDING}"), path)
        except (StorageError, UsageError):
            continue
        if declaration.sha256 == sha256:
            return declaration
    return None


def open_declared(results: Path, declaration: Declaration, name: str, protocol: Protocol) -> Study:
    """A study of a file: the one that is there, or a new one, which is saved when locked.

    Raises:
        UsageError: if the study that is there has another protocol.
        DamagedFileError, StorageError: if its study.json cannot be read.
    """
    folder = results / name
    if not (folder / "study.json").exists() and not find_runs(folder / "runs"):
        return Study(folder, protocol, name=name)
    study = replace(load_study(folder), name=name)
    differences = study.protocol.differences(protocol)
    if differences:
        found = ", ".join(f"{field} {_shown(old)}, not {_shown(new)}" for field, (old, new) in differences.items())
        raise UsageError(
            f"{declaration.path}: the study in {folder} was trained with {found}: put that back in the file, or give"
            " the file another name for another study."
        )
    return study


def find_declaration(study: Study) -> Declaration | None:
    """The study file that a study was last trained from, as it was then; None if it was never declared."""
    for entry in reversed(study.log):
        if entry.sha256 is not None:
            return recall_declaration(study.folder, entry.sha256, Path(entry.file or f"{study.name}{ENDING}"))
    return None


STARTING_FILE = """\
# A question as a file: it says what is trained before anything is, and how much of it.
# Train it with `fluidrelu run`, and answer it with `fluidrelu report`, each with the name of this file.

question = "Is FluidReLU better than ReLU on MNIST?"
activations = ["relu", "fluid"]      # names as `fluidrelu acts` lists them, or module:Class for one of your own
compare = ["fluid", "relu"]          # the comparison that the question is about: an activation, and its baseline
seeds = 10                           # of each activation; results count at this number, no sooner
margin = 0.001                       # a difference of accuracies smaller than this matters to nobody
# stop = "decided"                   # or: stop once the comparison is decided, at the latest after `seeds`

[protocol]                           # how every trial is trained; what is left out is as the paper has it
dataset = "mnist"                    # or the path of an npz file
model = "paper"
epochs = 2

# [vary]                             # each combination is trained by itself
# lr = [0.0005, 0.001, 0.002]

# [tune]                             # or: each activation gets the rate that it does best with on held-out images
# lr = [0.001, 0.003, 0.01]
# seeds = 2
# validation_images = 5000
"""
"""What a new study file has."""


def find_question(results: Path, typed: str) -> Declaration | None:
    """The study file that is meant: the one of that path, or the one that a study of that name was last trained from.

    None if a study is meant that was never declared, or nothing that is there. For a study that is one cell of a
    file's, it is the file of all.

    Raises UsageError, StorageError as :func:`read_declaration`.
    """
    if typed.endswith(ENDING):
        return read_declaration(Path(typed))
    folder = find_folder(results, typed)
    if folder is not None:
        return find_declaration(load_study(folder))
    cells = sorted((results / typed).glob("*/study.json")) if (results / typed / "declared").is_dir() else []
    return find_declaration(load_study(cells[0].parent)) if cells else None


def settle(declaration: Declaration, results: Path) -> tuple[Declaration, Tuned | None]:
    """The declaration whose arms are spelled as its studies have them, with the settings that were chosen for them.

    Args:
        declaration: a study file.
        results: the folder of all studies.

    Returns:
        It, and what its tuning showed; None where it tunes nothing.

    Raises:
        FluidReluError: if it tunes something, and that is not finished.
    """
    names = {run for cell in declaration.cells for run in _list_names(results / declaration.study_name(cell))}
    if declaration.tuning is None:
        return declaration.spelled(names), None
    from fluidrelu_cli.analysis.inference import final_accuracies
    from fluidrelu_cli.analysis.tuning import Tuned, list_chosen, tune
    from fluidrelu_cli.run import tabulate_runs

    folder = results / declaration.tuning_name
    if not (folder / "study.json").exists():
        raise FluidReluError(f"{declaration.path} has no run yet: train it with `fluidrelu run {declaration.path}`.")
    tried = load_study(folder)
    spelled = declaration.spelled({split_arm(name)[0] for name in _list_names(folder)})
    arms = {name: [arm for arm, _ in settings] for name, settings in spelled.tuning_arms().items()}
    finals = final_accuracies(tabulate_runs(tried.read_some().runs))
    table = tune(finals, arms, declaration.tuning.seeds)
    chosen = list_chosen(table)
    if chosen.keys() != arms.keys():
        raise FluidReluError(
            f"{declaration.path} is not tuned yet: {int(table['n'].sum())} of {len(table) * declaration.tuning.seeds}"
            f" runs on held-out images are finished. Go on with `fluidrelu run {declaration.path}`."
        )
    return spelled.settled(chosen), Tuned(table, finals)


def _list_names(folder: Path) -> set[str]:
    """The activations of a study's log, and of those that were asked for; none where there is no study."""
    if not (folder / "study.json").exists():
        return set()
    return load_study(folder).known


TOP = (
    *("question", "activations", "compare", "seeds", "margin", "stop"),
    *("protocol", "vary", "tune", "published"),
)
"""The keys of a study file."""

STOPS = ("seeds", "decided")
"""When training stops: at the number of seeds, or as soon as the primary comparison is decided."""


class _Reader:
    """Turns what TOML says into a declaration, and a mistake into a sentence with the file and the key."""

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        self.path = path
        self.content = content

    def wrong(self, message: str) -> UsageError:
        return UsageError(f"{self.path}: {message}")

    def read(self, text: str) -> Declaration:
        self.check_keys("", self.content, TOP, required=("activations", "seeds"))
        arms = self.read_arms()
        question, margin = self.content.get("question"), self.content.get("margin")
        if question is not None and not is_name(question, 1000):
            raise self.wrong("question must be text on one line, of at most 1,000 characters.")
        if margin is not None and not (_is_number(margin) and 0 < margin < 1):
            raise self.wrong(
                f"margin must be a difference of accuracies between 0 and 1, such as 0.001, not {_shown(margin)}."
            )
        stop = self.content.get("stop", STOPS[0])
        if stop not in STOPS:
            raise self.wrong(f"stop must be {' or '.join(map(_shown, STOPS))}, not {_shown(stop)}.")
        compare = self.read_compare(list(arms))
        settings = self.read_settings("[protocol] ", self.table("protocol"))
        protocol = self.make_protocol(settings)
        cells, tuning = self.read_vary(settings), self.read_tune(protocol, list(arms))
        if stop == "decided" and compare is None:
            raise self.wrong('stop = "decided" needs two activations to compare: name another.')
        if stop == "decided" and margin is None:
            raise self.wrong('stop = "decided" needs a margin: write one, such as margin = 0.001.')
        if stop == "decided" and cells:
            raise self.wrong('stop = "decided" is for one study: leave [vary] out, or write a file for each cell.')
        if tuning and cells:
            raise self.wrong("[vary] and [tune] cannot stand in one file: write a file for each.")
        return Declaration(
            path=self.path,
            text=text,
            name=self.read_name(),
            question=question,
            activations=tuple(arms),
            seeds=arms,
            compare=compare,
            margin=None if margin is None else float(margin),
            stops_when_decided=stop == "decided",
            protocol=protocol,
            cells=cells or (Cell("", {}, protocol),),
            tuning=tuning,
            published=self.read_published(list(arms)),
            content=self.content,
        )

    def check_keys(
        self, where: str, found: Mapping[str, Any], known: Iterable[str], required: Iterable[str] = ()
    ) -> None:
        names = list(known)
        for key in found:
            if key not in names:
                if not where and key in SETTINGS:
                    raise self.wrong(f"{key} is a setting of the protocol: write it below [protocol].")
                near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
                advice = f"did you mean {near[0]}?" if near else f"use {_list_or(names)}."
                raise self.wrong(f"{where}there is no key {_shown(key)}: {advice}")
        for key in required:
            if key not in found:
                raise self.wrong(f"{where}{key} is missing: add it.")

    def table(self, key: str) -> Mapping[str, Any]:
        found = self.content.get(key, {})
        if not isinstance(found, dict):
            raise self.wrong(f"{key} must be a table: write what belongs to it below a line [{key}].")
        return found

    def read_name(self) -> str:
        fault = _find_fault(self.path.stem)
        if fault:
            raise self.wrong(f"the study is called what its file is called, so rename the file ({fault}).")
        return new_name(Path("results"), self.path.stem)

    def read_arms(self) -> dict[str, int]:
        """By activation, its number of seeds."""
        default = self.whole("seeds", self.content["seeds"], MOST_SEEDS)
        listed = self.content["activations"]
        if not isinstance(listed, list) or not listed:
            raise self.wrong('activations must be a list of names, such as ["relu", "fluid"].')
        arms: dict[str, int] = {}
        for each in listed:
            name, n = self.read_arm(each, default)
            if name.lower() in map(str.lower, arms):
                raise self.wrong(f"activations: {name} is named twice: leave one out.")
            arms[name] = n
        return arms

    def read_arm(self, each: Any, default: int) -> tuple[str, int]:
        if isinstance(each, dict):
            self.check_keys("activations: ", each, ("name", "seeds", *OF_ARM), required=("name",))
            n = self.whole("activations: seeds", each.get("seeds", default), MOST_SEEDS)
            settings = {name: self.value("activations: ", name, each[name]) for name in OF_ARM if name in each}
            each = each["name"]
        else:
            n, settings = default, {}
        if not is_name(each):
            raise self.wrong(f"activations must have names of printable characters on one line, not {_shown(each)}.")
        try:
            function, mine = parse_arm(each)
        except UsageError as error:
            raise self.wrong(f"activations: {error}") from error
        twice = [name for name in mine if name in settings]
        if twice:
            raise self.wrong(f"activations: {each} and {twice[0]} = ... both set {twice[0]}: leave one out.")
        return join_arm(function, {**mine, **settings}), n

    def read_compare(self, arms: Sequence[str]) -> tuple[str, str] | None:
        found = self.content.get("compare")
        if found is None:
            return (arms[1], arms[0]) if len(arms) > 1 else None
        if not (isinstance(found, list) and len(found) == 2 and all(isinstance(each, str) for each in found)):
            raise self.wrong('compare must be an activation and its baseline, such as ["fluid", "relu"].')
        names = [find_among(each, arms) for each in found]
        for each, name in zip(found, names, strict=True):
            if name is None:
                raise self.wrong(f"compare: {_shown(each)} is not among the activations: name {_list_or(arms)}.")
        first, second = (str(name) for name in names)
        if first == second:
            raise self.wrong(f"compare names {first} twice: name an activation and its baseline.")
        return first, second

    def read_settings(self, where: str, table: Mapping[str, Any]) -> dict[str, Any]:
        self.check_keys(where, table, SETTINGS)
        return {name: self.value(where, name, value) for name, value in table.items()}

    def value(self, where: str, name: str, value: Any) -> Any:
        """A value that a field of a protocol can have."""
        if not SETTINGS[name].holds(value):
            raise self.wrong(f"{where}{name} must be {SETTINGS[name].wanted}, not {_shown(value)}.")
        try:
            return float(value) if _HINTS[name] is float else canonical(value) if name == "dataset" else value
        except UsageError as error:
            raise self.wrong(f"{where}dataset: {error}") from error

    def make_protocol(self, settings: Mapping[str, Any]) -> Protocol:
        try:
            return Protocol(**settings)
        except UsageError as error:
            in_the_file = re.sub(r"--([a-z-]+)", lambda option: option[1].replace("-", "_"), str(error))
            raise self.wrong(f"[protocol] {in_the_file}") from error

    def read_vary(self, settings: Mapping[str, Any]) -> tuple[Cell, ...]:
        """The cells: every combination of a table's lists, or one for each table of an array."""
        found = self.content.get("vary")
        if found is None:
            return ()
        if isinstance(found, list):
            return self.make_cells(settings, [self.read_cell(each) for each in found])
        table = self.table("vary")
        self.check_keys("[vary] ", table, SETTINGS)
        axes: dict[str, list[Any]] = {}
        for name, values in table.items():
            axes[name] = self.read_list("[vary] ", name, values)
            if name in settings:
                raise self.wrong(f"{name} is both below [protocol] and below [vary]: leave one out.")
        combinations = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
        return self.make_cells(settings, [("", each) for each in combinations])

    def read_list(self, where: str, name: str, values: Any) -> list[Any]:
        if not isinstance(values, list) or not values:
            raise self.wrong(
                f"{where}{name} must be a list of values, not {_shown(values)}: write {name} = [..., ...]."
            )
        found = [self.value(where, name, value) for value in values]
        twice = [value for index, value in enumerate(found) if value in found[:index]]
        if twice:
            raise self.wrong(f"{where}{name} has {_shown(twice[0])} twice: leave one out.")
        return found

    def read_cell(self, each: Any) -> tuple[str, dict[str, Any]]:
        if not isinstance(each, dict):
            raise self.wrong("vary must be lists of values below [vary], or settings below each of several [[vary]].")
        name = each.get("name", "")
        if "name" in each and not (is_name(name, LONGEST_NAME) and "/" not in name):
            raise self.wrong(f"[[vary]] name must be a name for a folder, without /, not {_shown(name)}.")
        self.check_keys("[[vary]] ", each, ("name", *SETTINGS))
        return name, self.read_settings("[[vary]] ", {key: value for key, value in each.items() if key != "name"})

    def make_cells(
        self, settings: Mapping[str, Any], found: Sequence[tuple[str, Mapping[str, Any]]]
    ) -> tuple[Cell, ...]:
        cells: dict[str, Cell] = {}
        if not found or not all(name or varied for name, varied in found):
            raise self.wrong("[vary] varies nothing: name a setting and its values, such as lr = [0.001, 0.01].")
        for given, varied in found:
            name = given or ",".join(f"{field}={_plain(value)}" for field, value in varied.items())
            self.check_cell(name)
            if name.casefold() in map(str.casefold, cells):
                raise self.wrong(f"[vary] two studies would be called {name}: give each a name of its own in [[vary]].")
            cells[name] = Cell(name, varied, self.make_protocol({**settings, **varied}))
        return tuple(cells.values())

    def check_cell(self, name: str) -> None:
        """Refuse a cell's name that cannot be its folder's."""
        fault = f"`{TUNING}` is another folder" if name.casefold() == TUNING else _find_fault(name)
        if fault:
            raise self.wrong(
                f"[vary] {_shown(name)} cannot be the name of a folder ({fault}): name it otherwise below [[vary]]."
            )

    def read_tune(self, protocol: Protocol, arms: Sequence[str]) -> Tuning | None:
        if "tune" not in self.content:
            return None
        table = self.table("tune")
        tunable = [name for name in OF_ARM if name != "beta"]
        self.check_keys(
            "[tune] ", table, (*tunable, "seeds", "validation_images"), required=("seeds", "validation_images")
        )
        grid = {
            name: tuple(self.read_list("[tune] ", name, values)) for name, values in table.items() if name in tunable
        }
        if not grid:
            raise self.wrong("[tune] tries nothing: name a setting and its values, such as lr = [0.001, 0.01].")
        for name in arms:
            fixed = [setting for setting in split_arm(name)[1] if setting in grid]
            if fixed:
                raise self.wrong(f"[tune] chooses {fixed[0]}, which {name} has already: leave it out of one of them.")
        if protocol.validation_images is not None:
            raise self.wrong("[protocol] validation_images belongs below [tune]: move it there.")
        if protocol.test_images is not None:
            raise self.wrong("[protocol] test_images cannot stand beside [tune], which holds images out: leave it out.")
        return Tuning(
            grid,
            self.whole("[tune] seeds", table["seeds"], MOST_SEEDS),
            self.value("[tune] ", "validation_images", table["validation_images"]),
        )

    def read_published(self, arms: Sequence[str]) -> Mapping[str, Any] | str | None:
        found = self.content.get("published")
        if found is None or found == BUILT_IN:
            return found
        table = self.table("published") if not isinstance(found, str) else {}
        if isinstance(found, str):
            raise self.wrong(f'published must be a table, or "{BUILT_IN}" for the numbers that come with the program.')
        self.check_keys(
            "[published] ", table, ("source", "runs", "best", "worst"), required=("source", "runs", "best", "worst")
        )
        if not is_name(table["source"]):
            raise self.wrong('[published] source must be a name on one line, such as "the paper, Table 2".')
        runs = self.whole("[published] runs", table["runs"], MOST_SEEDS, least=2)
        rows = {row: self.read_row(row, table[row], arms) for row in ("best", "worst")}
        if rows["best"].keys() != rows["worst"].keys():
            raise self.wrong("[published] best and worst must name the same activations: add those that one lacks.")
        return {"source": table["source"], "runs": runs, **rows}

    def read_row(self, row: str, numbers: Any, arms: Sequence[str]) -> dict[str, float]:
        if not isinstance(numbers, dict) or not numbers:
            raise self.wrong(f"[published] {row} must give accuracies by activation, such as {{ relu = 0.9784 }}.")
        found: dict[str, float] = {}
        for name, number in numbers.items():
            arm = find_among(name, arms)
            if arm is None:
                known = _list_or(arms)
                raise self.wrong(f"[published] {row}: {_shown(name)} is not among the activations: name {known}.")
            if not (_is_number(number) and 0 <= number <= 1):
                raise self.wrong(f"[published] {row}: {name} must be an accuracy from 0 to 1, not {_shown(number)}.")
            if arm in found:
                raise self.wrong(f"[published] {row}: {arm} is named twice: leave one out.")
            found[arm] = float(number)
        return found

    def whole(self, key: str, value: Any, most: int, least: int = 1) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.wrong(f"{key} must be a whole number from {least} to {most:,}, not {_shown(value)}.")
        return int(value)


_HINTS = get_type_hints(Protocol)


def _arm(name: str, settings: Mapping[str, Any]) -> str:
    """An activation's name with more settings of its own."""
    function, mine = split_arm(name)
    return join_arm(function, {**mine, **settings})


def _find_fault(name: str) -> str | None:
    """Why a study cannot be called so; None if it can."""
    if len(name.encode()) > LONGEST_NAME:
        return "it is too long"
    try:
        new_name(Path("results"), name)
    except UsageError as error:
        return str(error).rpartition(": ")[2].rstrip(".")
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(value: Any) -> str:
    """A value as part of a folder's name."""
    text = spell_number(value) if isinstance(value, float) else str(value)
    return re.sub(r"[^\w.+-]+", "-", text).strip("-.") or "-"


def _flatten(content: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _list_or(names: Sequence[str]) -> str:
    """Names in a sentence: ``a, b or c``."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _shown(value: Any) -> str:
    """A value in a sentence, as TOML has it, and not longer than one should be."""
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return _cut(f"[{', '.join(map(_shown, value))}]")
    if isinstance(value, str):
        return f'"{_cut(printable(value))}"'
    try:
        return _cut(str(value).lower() if isinstance(value, bool) else printable(str(value)))
    except ValueError:  # Python writes no number of thousands of digits
        return "a number of very many digits"


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"
