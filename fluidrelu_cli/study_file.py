"""A question as a file: TOML, read as data and checked whole before anything is trained.

Nothing that it names is imported here.
"""

from __future__ import annotations

import difflib
import itertools
import math
import os
import re
import shlex
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from fluidrelu_cli.data.catalogue import canonical
from fluidrelu_cli.declaration import BUILT_IN, ENDING, TUNING, Cell, Declaration, Tuning, shown
from fluidrelu_cli.errors import StorageError, UsageError, printable
from fluidrelu_cli.files import read_bytes
from fluidrelu_cli.networks.named import ARCHITECTURES, expand_casts, find_among, key_of_name, list_cast, spell_model
from fluidrelu_cli.protocol import (
    OF_ARM,
    SETTINGS,
    Protocol,
    is_name,
    join_arm,
    modernise,
    parse_arm,
    spell_number,
    split_arm,
)
from fluidrelu_cli.sampling import sample_combinations
from fluidrelu_cli.study import MOST_SEEDS, new_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Number = TypeVar("Number", int, float)

STARTING_FILE = """\
# A question as a file: it says what is trained before anything is, and how much of it.
# Train it with `fluidrelu run`, and answer it with `fluidrelu report`, each with the name of this file.

question = "Is FluidReLU better than ReLU on MNIST?"
activations = ["relu", "fluid"]      # names as `fluidrelu acts` lists them; your own: "mine:Swish", a class in mine.py
compare = ["fluid", "relu"]          # the comparison that the question is about: an activation, and its baseline
seeds = 10                           # of each activation; results count at this number, no sooner. How many it takes:
                                     # `fluidrelu plan` with the name of this file, once a few are trained
margin = 0.001                       # a difference of accuracies smaller than this matters to nobody
# stop = "decided"                   # or: stop once the comparison is decided, at the latest after `seeds`
# tuned = "the rate, on ReLU alone"  # what was chosen before, and by what; a report says so

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
# [tune.fluid]                       # for this one: β, too, with no more trials than the others have
# beta = [100, 1000, 10000]
# sample = 3
"""
"""What a new study file has."""

LONGEST_FOLDER = 200
"""How many bytes the name of a study or a cell has at most; a folder's has 255."""

MOST_CELLS = 1_000
"""How many combinations a file may vary, and how many it may tune by."""

MOST_ACTIVATIONS = 100
"""How many activations a file may name."""

MOST_TRIALS = 1_000_000
"""How many trials a file may ask for: counted before any of them is made."""

TOP = (
    *("question", "activations", "compare", "seeds", "margin", "stop", "result", "tuned"),
    *("protocol", "vary", "tune", "published"),
)
"""The keys of a study file."""

ALIASES = {"learning_rate": "lr", "learning-rate": "lr", "network": "model", "data": "dataset", "standardise": "pixels"}
"""What else keys are called elsewhere."""

PRINTED = ("best", "worst", "mean", "sd")
"""What a published table may say of the accuracies of each activation's runs."""

SAMPLING = ("sample", "disjoint_seeds")
"""What [vary] may say beside the fields: how many of all combinations, and whether each has seeds of its own."""

OF_TUNING = ("sample",)
"""What [tune], and a table of it for one activation, may say beside settings: how many of all combinations."""

RESULTS = ("last", "nearest")
"""Which test of a run is its result: the last, or in each cell the one where the baseline is nearest to what was
published of it."""

STOPS = ("seeds", "decided")
"""When training stops: at the number of seeds, or as soon as the primary comparison is decided."""


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
    meant = Path("studies", f"{path}{ENDING}")
    if path.suffix != ENDING and meant.exists():
        raise UsageError(f"{path} is no study file: did you mean {meant}?")
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
        tuned = self.content.get("tuned")
        if tuned is not None and not is_name(tuned, 1000):
            raise self.wrong(
                "tuned must be text on one line, of at most 1,000 characters: what was tuned, and on what."
            )
        if margin is not None and not (_is_number(margin) and 0 < margin < 1):
            raise self.wrong(
                f"margin must be a difference of accuracies between 0 and 1, such as 0.001, not {shown(margin)}."
            )
        stop = self.content.get("stop", STOPS[0])
        if stop not in STOPS:
            raise self.wrong(f"stop must be {' or '.join(map(shown, STOPS))}, not {shown(stop)}.")
        compare = self.read_compare(list(arms))
        settings = self.read_settings("[protocol] ", modernise(self.table("protocol")))
        protocol = self.make_protocol(settings)
        cells = self.read_vary(settings, max(arms.values()))
        tuning = self.read_tune(protocol, list(arms))
        trials = sum(arms.values()) * (len(cells) or 1)
        if tuning:
            trials += sum(map(len, tuning.settings)) * tuning.seeds
        self.check_number("the file asks for", trials, "trials", MOST_TRIALS, "ask for fewer seeds")
        if stop == "decided" and compare is None:
            raise self.wrong('stop = "decided" needs two activations to compare: name another.')
        if stop == "decided" and margin is None:
            raise self.wrong('stop = "decided" needs a margin: write one, such as margin = 0.001.')
        if stop == "decided" and cells:
            raise self.wrong('stop = "decided" is for one study: leave [vary] out, or write a file for each cell.')
        if tuning and cells:
            raise self.wrong("[vary] and [tune] cannot stand in one file: write a file for each.")
        declaration = Declaration(
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
            tuned=tuned,
            published=self.read_published(list(arms)),
            ends_nearest=self.read_result() == "nearest",
            content=self.content,
        )
        self.check_result(declaration)
        self.check_tried(declaration)
        return declaration

    def read_result(self) -> Any:
        result = self.content.get("result", RESULTS[0])
        if result not in RESULTS:
            raise self.wrong(f"result must be {' or '.join(map(shown, RESULTS))}, not {shown(result)}.")
        return result

    def check_result(self, declaration: Declaration) -> None:
        """Refuse a stop that nothing chooses, or at which a shorter run would have come out otherwise."""
        if not declaration.ends_nearest:
            return
        if not declaration.is_grid:
            raise self.wrong('result = "nearest" is for the cells of [vary]: add it, or leave result out.')
        if declaration.find_level() is None:
            raise self.wrong(
                f'result = "nearest" needs what was published of {declaration.baseline}: its mean, or its best and'
                " worst."
            )
        schedules = {cell.protocol.schedule for cell in declaration.cells}
        if schedules != {"constant"}:
            raise self.wrong('result = "nearest" needs a constant learning rate: leave schedule out.')

    def check_keys(
        self, where: str, found: Mapping[str, Any], known: Iterable[str], required: Iterable[str] = ()
    ) -> None:
        names = list(known)
        for key in found:
            if key not in names:
                if not where and key in SETTINGS:
                    raise self.wrong(f"{key} is a setting of the protocol: write it below [protocol].")
                near = [alias for alias in [ALIASES.get(key)] if alias in names]
                near += difflib.get_close_matches(key, names, n=1, cutoff=0.5)
                advice = f"did you mean {near[0]}?" if near else f"use {_list_or(names)}."
                raise self.wrong(f"{where}there is no key {shown(key)}: {advice}")
        for key in required:
            tables = ("protocol", "vary") if not where else ()
            below = [name for name in tables if isinstance(self.content.get(name), dict) and key in self.content[name]]
            if key not in found and below:
                raise self.wrong(f"{key} is below [{below[0]}]: move it above the first line in brackets.")
            if key not in found:
                raise self.wrong(f"{where}{key} is missing: add it.")

    def check_number(self, who: str, n: int, what: str, most: int, advice: str) -> None:
        if n > most:
            raise self.wrong(f"{who} {n:,} {what}: {most:,} at most; {advice}.")

    def check_product(self, where: str, table: Mapping[str, Any]) -> None:
        """Refuse lists that have too many combinations before one is made."""
        n = math.prod(len(values) for values in table.values() if isinstance(values, list))
        self.check_number(f"{where} makes", n, "combinations", MOST_CELLS, "leave values out")

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
        if isinstance(listed, str) and list_cast(listed):
            listed = [listed]
        if not isinstance(listed, list) or not listed:
            raise self.wrong('activations must be a list of names, such as ["relu", "fluid"].')
        self.check_number("activations names", len(listed), "activations", MOST_ACTIVATIONS, "leave some out")
        read = [self.read_arm(each, default) for each in listed]
        counts = {each: n for name, n in reversed(read) for each in list_cast(name)} | dict(read)
        arms: dict[str, int] = {}
        names: dict[str, str] = {}
        for name in expand_casts(name for name, _ in read):
            earlier = names.setdefault(key_of_name(name), name)
            if earlier in arms:
                what = f"{name} is named twice" if name == earlier else f"{earlier} and {name} are the same"
                raise self.wrong(f"activations: {what}: leave one out.")
            arms[name] = counts[name]
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
            raise self.wrong(f"activations must have names of printable characters on one line, not {shown(each)}.")
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
                raise self.wrong(f"compare: {shown(each)} is not among the activations: name {_list_or(arms)}.")
        first, second = (str(name) for name in names)
        if first == second:
            raise self.wrong(f"compare names {first} twice: name an activation and its baseline.")
        return first, second

    def read_settings(self, where: str, table: Mapping[str, Any]) -> dict[str, Any]:
        self.check_keys(where, table, SETTINGS)
        return {name: self.value(where, name, value) for name, value in table.items()}

    def value(self, where: str, name: str, value: Any) -> Any:
        """A value that a field of a protocol can have."""
        options: list[tuple[str, str]] = []
        if name == "model" and isinstance(value, dict):
            value, options = self.read_network(f"{where}model: ", value)
        if not SETTINGS[name].holds(value):
            raise self.wrong(f"{where}{name} must be {SETTINGS[name].wanted}, not {shown(value)}.")
        try:
            if name == "dataset":
                return canonical(value)
            if name == "model":
                return spell_model(value, options)
        except UsageError as error:
            raise self.wrong(f"{where}{name}: {name_keys(str(error))}") from error
        return float(value) if _HINTS[name] is float else value

    def read_network(self, where: str, table: Mapping[str, Any]) -> tuple[Any, list[tuple[str, str]]]:
        """The name of a network that a table has, and its options."""
        if "name" not in table:
            raise self.wrong(f"{where}name is missing: add it, such as name = {shown(next(iter(ARCHITECTURES)))}.")
        options = {name: value for name, value in table.items() if name != "name"}
        return table["name"], [(name, _text(value)) for name, value in options.items()]

    def make_protocol(self, settings: Mapping[str, Any]) -> Protocol:
        try:
            return Protocol(**settings)
        except UsageError as error:
            raise self.wrong(f"[protocol] {name_keys(str(error))}") from error

    def read_vary(self, settings: Mapping[str, Any], seeds: int) -> tuple[Cell, ...]:
        """The cells: every combination of a table's lists or a sample of them, or one for each table of an array.

        Args:
            settings: what [protocol] says.
            seeds: how many each cell has at most.
        """
        found = self.content.get("vary")
        if found is None:
            return ()
        if isinstance(found, list):
            self.check_number("[[vary]] makes", len(found), "combinations", MOST_CELLS, "leave some out")
            return self.make_cells(settings, [self.read_cell(each) for each in found])
        table = self.table("vary")
        self.check_keys("[vary] ", table, (*SAMPLING, *SETTINGS))
        for name in table:
            if name in settings:
                raise self.wrong(f"{name} is both below [protocol] and below [vary]: leave one out.")
        combinations = self.read_combinations("[vary]", table, SETTINGS)
        cells = self.make_cells(settings, [("", each) for each in combinations])
        if not self.read_flag("[vary] disjoint_seeds", table.get("disjoint_seeds", False)):
            return cells
        self.check_number("[vary] disjoint_seeds takes", len(cells) * seeds, "seeds", MOST_SEEDS, "ask for fewer")
        return tuple(replace(cell, first_seed=place * seeds) for place, cell in enumerate(cells))

    def read_combinations(self, where: str, table: Mapping[str, Any], fields: Collection[str]) -> list[dict[str, Any]]:
        """Every combination of the values that a table lists of such fields, or as many of them as `sample` says."""
        axes = {name: self.read_list(f"{where} ", name, values) for name, values in table.items() if name in fields}
        total = math.prod(map(len, axes.values()))
        n = self.whole(f"{where} sample", table["sample"], MOST_CELLS, least=2) if "sample" in table else total
        if n == total:
            self.check_product(where, axes)
            return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
        rows = sample_combinations([(name, len(values)) for name, values in axes.items()], n) if n < total else None
        if rows is None:
            raise self.wrong(
                f"{where} sample = {n} is too many of {total:,} combinations for each value to come equally often: make"
                " it smaller, or leave it out."
            )
        return [{name: axes[name][place] for name, place in zip(axes, row, strict=True)} for row in rows]

    def read_flag(self, key: str, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self.wrong(f"{key} must be true or false, not {shown(value)}.")
        return value

    def read_list(self, where: str, name: str, values: Any) -> list[Any]:
        if not isinstance(values, list) or not values:
            raise self.wrong(f"{where}{name} must be a list of values, not {shown(values)}: write {name} = [..., ...].")
        found: dict[Any, None] = {}
        for each in self.list_networks(where, values) if name == "model" else values:
            value = self.value(where, name, each)
            if value in found:
                raise self.wrong(f"{where}{name} has {shown(value)} twice: leave one out.")
            found[value] = None
        return list(found)

    def list_networks(self, where: str, values: Sequence[Any]) -> list[Any]:
        """Networks: of a table with options that are lists, one for each combination of these."""
        found = []
        for each in values:
            lists = {name: its for name, its in each.items() if isinstance(its, list)} if isinstance(each, dict) else {}
            self.check_product(f"{where}model", lists)
            for name, its in lists.items():
                if not its:
                    raise self.wrong(f"{where}model: the list of {shown(name)} is empty: add values, or leave it out.")
            combinations = itertools.product(*lists.values())
            found += [{**each, **dict(zip(lists, its, strict=True))} if lists else each for its in combinations]
        return found

    def read_cell(self, each: Any) -> tuple[str, dict[str, Any]]:
        if not isinstance(each, dict):
            raise self.wrong("vary must be lists of values below [vary], or settings below each of several [[vary]].")
        name = each.get("name", "")
        if "name" in each and not (is_name(name, LONGEST_FOLDER) and "/" not in name):
            raise self.wrong(f"[[vary]] name must be a name for a folder, without /, not {shown(name)}.")
        self.check_keys("[[vary]] ", each, ("name", *SETTINGS))
        return name, self.read_settings("[[vary]] ", {key: value for key, value in each.items() if key != "name"})

    def make_cells(
        self, settings: Mapping[str, Any], found: Sequence[tuple[str, Mapping[str, Any]]]
    ) -> tuple[Cell, ...]:
        cells: dict[str, Cell] = {}  # by what a folder is called where case does not count
        if not found or not all(name or varied for name, varied in found):
            raise self.wrong("[vary] varies nothing: name a setting and its values, such as lr = [0.001, 0.01].")
        for given, varied in found:
            name = given or ",".join(f"{field}={_plain(value)}" for field, value in varied.items())
            self.check_cell(name)
            if name.casefold() in cells:
                raise self.wrong(f"[vary] two studies would be called {name}: give each a name of its own in [[vary]].")
            cells[name.casefold()] = Cell(name, varied, self.make_protocol({**settings, **varied}))
        return tuple(cells.values())

    def check_cell(self, name: str) -> None:
        """Refuse a cell's name that cannot be its folder's."""
        fault = f"`{TUNING}` is another folder" if name.casefold() == TUNING else _find_fault(name)
        if fault:
            raise self.wrong(
                f"[vary] {shown(name)} cannot be the name of a folder ({fault}): name it otherwise below [[vary]]."
            )

    def read_tune(self, protocol: Protocol, arms: Sequence[str]) -> Tuning | None:
        if "tune" not in self.content:
            return None
        table = self.table("tune")
        keys = (*OF_ARM, *OF_TUNING, "seeds", "validation_images")
        own = {
            key: each
            for key, each in table.items()
            if key not in keys and (isinstance(each, dict) or (isinstance(each, list) and find_among(key, arms)))
        }
        common = {key: each for key, each in table.items() if key not in own}
        self.check_keys("[tune] ", common, keys, required=("seeds", "validation_images"))
        tried: dict[str, list[dict[str, Any]]] = {}
        for key, each in own.items():
            name, where = find_among(key, arms), f"[tune.{shown_key(key)}]"
            if name is None:
                raise self.wrong(f"{where}: {shown(key)} is not among the activations: name {_list_or(arms)}.")
            if name in tried:
                raise self.wrong(f"[tune] has two tables for {name}: leave one out.")
            if isinstance(each, list):
                shared = [field for field in common if field in OF_ARM and field not in split_arm(name)[1]]
                tried[name] = self.read_tables(f"[{where}]", each, shared)
            else:
                self.check_keys(f"{where} ", each, (*OF_ARM, *OF_TUNING))
                tried[name] = self.read_tried(where, {**common, **each})
        for name in arms:
            if name not in tried:
                tried[name] = self.read_tried("[tune]", common)
            self.check_fields(tried[name][0], name)
        if protocol.validation_images is not None:
            raise self.wrong("[protocol] validation_images belongs below [tune]: move it there.")
        if protocol.test_images is not None:
            raise self.wrong("[protocol] test_images cannot stand beside [tune], which holds images out: leave it out.")
        return Tuning(
            tuple(tuple(tried[name]) for name in arms),
            self.whole("[tune] seeds", table["seeds"], MOST_SEEDS),
            self.value("[tune] ", "validation_images", table["validation_images"]),
        )

    def read_tried(self, where: str, table: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The settings that an activation is tried with: combinations in which every value comes."""
        tried = self.read_combinations(where, table, OF_ARM)
        for name in tried[0]:
            n = len(table[name])
            if len(tried) < n:
                raise self.wrong(
                    f"{where} sample = {len(tried)} leaves out some of the {n} values of {name}: make it {n} or more,"
                    " or leave values out."
                )
        return tried

    def read_tables(self, where: str, tables: Sequence[Any], shared: Sequence[str]) -> list[dict[str, Any]]:
        """The settings that an activation is tried with, one by one.

        Args:
            where: how a message names them.
            tables: as TOML has them.
            shared: what the others are tried with, so that none of these keeps the protocol's instead.
        """
        found: list[dict[str, Any]] = []
        for each in tables:
            if not isinstance(each, dict):
                raise self.wrong(f"{where} must be tables of settings, such as {{ lr = 0.01, beta = 1000 }}.")
            self.check_keys(f"{where} ", each, OF_ARM, required=found[0] if found else shared)
            settings = {name: self.value(f"{where} ", name, value) for name, value in sorted(each.items())}
            if settings in found:
                raise self.wrong(f"{where} has {shown(settings)} twice: leave one out.")
            found.append(settings)
        return found or [{}]

    def check_fields(self, settings: Mapping[str, Any], name: str) -> None:
        """Refuse to choose nothing for an activation, or what its name has already."""
        if not settings:
            raise self.wrong("[tune] tries nothing: name a setting and its values, such as lr = [0.001, 0.01].")
        fixed = [setting for setting in settings if setting in split_arm(name)[1]]
        if fixed:
            raise self.wrong(f"[tune] chooses {fixed[0]}, which {name} has already: leave it out of one of them.")

    def check_tried(self, declaration: Declaration) -> None:
        """Refuse a race that is not fair, or in which two activations could become one."""
        tried = declaration.tuning_arms()
        first = next(iter(tried))
        firsts: dict[str, str] = {}
        for name, arms in tried.items():
            if len(arms) != len(tried[first]):
                raise self.wrong(
                    f"[tune] tries {len(tried[first])} settings of {first} and {len(arms)} of {name}: list as many for"
                    " each activation, or let `sample` take as many of all combinations."
                )
            for arm, _ in arms:
                other = firsts.setdefault(key_of_name(arm), name)
                if other != name:
                    raise self.wrong(f"[tune] tries {arm} for {other} and for {name}: leave one out.")

    def read_published(self, arms: Sequence[str]) -> Mapping[str, Any] | str | None:
        found = self.content.get("published")
        if found is None or found == BUILT_IN:
            return found
        table = self.table("published") if not isinstance(found, str) else {}
        if isinstance(found, str):
            raise self.wrong(f'published must be a table, or "{BUILT_IN}" for the numbers that come with the program.')
        self.check_keys("[published] ", table, ("source", "runs", *PRINTED), required=("source", "runs"))
        if not is_name(table["source"]):
            raise self.wrong('[published] source must be a name on one line, such as "the paper, Table 2".')
        return {"source": table["source"], **self.read_printed(table, arms)}

    def read_printed(self, table: Mapping[str, Any], arms: Sequence[str]) -> dict[str, dict[str, Any]]:
        """All but the source, each by activation."""
        runs = table["runs"] if isinstance(table["runs"], dict) else self.read_runs("[published] runs", table["runs"])
        rows: dict[str, dict[str, Any]] = {
            row: self.read_row(row, table[row], arms, self.read_share) for row in PRINTED if row in table
        }
        if not rows:
            raise self.wrong(f"[published] gives no accuracies: add {_list_or(PRINTED)}, by activation.")
        first = next(iter(rows))
        if isinstance(runs, dict):
            rows["runs"] = self.read_row("runs", runs, arms, self.read_runs)
        else:
            rows["runs"] = dict.fromkeys(rows[first], runs)
        for row, numbers in rows.items():
            if numbers.keys() != rows[first].keys():
                both = f"{first} and {row}"
                raise self.wrong(f"[published] {both} must name the same activations: add those that one lacks.")
        for lower, upper in itertools.combinations(filter(rows.__contains__, ("worst", "mean", "best")), 2):
            for name, number in rows[lower].items():
                if number > rows[upper][name]:
                    raise self.wrong(f"[published] {name}: its {lower} is above its {upper}: correct one of them.")
        return rows

    def read_row(
        self, row: str, numbers: Any, arms: Sequence[str], read: Callable[[str, Any], Number]
    ) -> dict[str, Number]:
        if not isinstance(numbers, dict) or not numbers:
            number = {"sd": "0.002", "runs": "3"}.get(row, "0.9784")
            raise self.wrong(f"[published] {row} must give numbers by activation, such as {{ relu = {number} }}.")
        found: dict[str, Number] = {}
        for name, number in numbers.items():
            arm = find_among(name, arms)
            if arm is None:
                known = _list_or(arms)
                raise self.wrong(f"[published] {row}: {shown(name)} is not among the activations: name {known}.")
            if arm in found:
                raise self.wrong(f"[published] {row}: {arm} is named twice: leave one out.")
            found[arm] = read(f"[published] {row}: {name}", number)
        return found

    def read_runs(self, key: str, number: Any) -> int:
        return self.whole(key, number, MOST_SEEDS, least=2)

    def read_share(self, key: str, number: Any) -> float:
        if not (_is_number(number) and 0 <= number <= 1):
            raise self.wrong(f"{key} must be a number from 0 to 1, not {shown(number)}: write 0.98 for 98 %.")
        return float(number)

    def whole(self, key: str, value: Any, most: int, least: int = 1) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.wrong(f"{key} must be a whole number from {least} to {most:,}, not {shown(value)}.")
        return int(value)


_HINTS = get_type_hints(Protocol)


def shown_key(key: str) -> str:
    """A key as TOML has it: bare if it can be."""
    return key if re.fullmatch(r"[\w-]+", key, re.ASCII) else shown(key)


def name_keys(sentence: str) -> str:
    """A sentence on options as one on the keys of a study file: ``--batch-size`` is ``batch_size``."""
    return re.sub(r"--([a-z-]+)", lambda option: option[1].replace("-", "_"), sentence)


def _find_fault(name: str) -> str | None:
    """Why a study cannot be called so; None if it can."""
    if len(name.encode()) > LONGEST_FOLDER:
        return "it is too long"
    try:
        new_name(Path("results"), name)
    except UsageError as error:
        return str(error).rpartition(": ")[2].rstrip(".")
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: Any) -> str:
    """A value as the command line has it."""
    return value if isinstance(value, str) else shown(value)


def _plain(value: Any) -> str:
    """A value as part of a folder's name."""
    text = spell_number(value) if isinstance(value, float) else str(value)
    return re.sub(r"[^\w.+-]+", "-", text).strip("-.") or "-"


def _list_or(names: Sequence[str]) -> str:
    """Names in a sentence: ``a, b or c``."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
