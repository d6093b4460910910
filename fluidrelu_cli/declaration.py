"""What a study file says: which activations, how many seeds, by which protocol, and what is varied or tuned."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluidrelu_cli.errors import UsageError, printable
from fluidrelu_cli.networks.named import find_among
from fluidrelu_cli.protocol import Protocol, join_arm, split_arm
from fluidrelu_cli.study import MOST_SEEDS

if TYPE_CHECKING:
    from fluidrelu_cli.analysis.published import Published

ENDING = ".toml"

BUILT_IN = "paper"
"""What `published` may be instead of a table: the numbers that come with the program."""

SAYING = ("tuned",)
"""What only says how the study came about: a change of it changes nothing that is trained or judged."""

ASKING = ("activations", "seeds", "compare")
"""What says how many seeds of which activations there are to be, and which of them the question is about."""

TUNING = "tuning"
"""The folder, below a study's, of what was trained to choose settings by."""

FIRST_TUNING_SEED = MOST_SEEDS
"""Settings are chosen on seeds from here on, which no result has: those stay below it."""


@dataclass(frozen=True)
class Cell:
    """One of the studies of a file: a protocol, and what distinguishes it from the file's others."""

    name: str
    """``lr=0.001``; empty where nothing is varied."""
    settings: Mapping[str, Any] = field(hash=False)
    """The values of the fields that are varied."""
    protocol: Protocol
    first_seed: int = 0
    """Of each activation."""


@dataclass(frozen=True)
class Tuning:
    """How each activation's settings are chosen: as many trials, and the same seeds and held-out images, for all."""

    settings: tuple[tuple[Mapping[str, float], ...], ...]
    """What each activation is tried with, in the order of the file's activations: as many settings for all."""
    seeds: int
    validation_images: int

    @property
    def seed_range(self) -> range:
        """The seeds that each setting is tried with."""
        return range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + self.seeds)

    @property
    def fields(self) -> tuple[tuple[str, ...], ...]:
        """What is chosen for each activation, in the same order: ``("lr", "beta")``."""
        return tuple(tuple(tried[0]) for tried in self.settings)


@dataclass(frozen=True)
class Changes:
    """What an earlier text of a study file said otherwise."""

    seeds: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """By activation, how many it asked for then, and how many now; 0 where it did not name the activation."""
    others: tuple[str, ...] = ()
    """All else, in words: ``margin 0.1 → 0.2``, ``vary.lr without 0.1, with 0.2``."""
    of_primary: bool = False
    """Whether any of them concerns the primary comparison."""


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
    """By activation, how many in each cell, from its first on; where it stops once decided, at most."""
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
    tuned: str | None
    """What was tuned elsewhere before, and on what, in words."""
    published: Mapping[str, Any] | str | None
    """What somebody published: the file's table, all but its source by activation; or BUILT_IN."""
    ends_nearest: bool = False
    """Whether a run's result is that of the test at which, in its cell, the baseline's mean is nearest to what was
    published, rather than the last one."""
    content: Mapping[str, Any] = field(default_factory=dict)
    """All that it says, as TOML."""
    home: Path | None = field(default=None, compare=False)
    """The folder in which that of its studies is, where it was found by them; None where it was read from its file."""

    @property
    def sha256(self) -> str:
        """The digest of its text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

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

    def list_seeds(self, cell: Cell) -> dict[str, range]:
        """By activation, the seeds of a cell."""
        return {name: range(cell.first_seed, cell.first_seed + n) for name, n in self.seeds.items()}

    def find_first_seed(self, folder: Path) -> int:
        """The first seed of the cell that is in a folder; 0 where it is no cell's."""
        return next((cell.first_seed for cell in self.cells if cell.name == folder.absolute().name), 0)

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
        tried = self.tuning.settings if self.tuning else ((),) * len(self.activations)
        return {
            name: [(_arm(name, settings), settings) for settings in mine]
            for name, mine in zip(self.activations, tried, strict=True)
        }

    def tuned_fields(self) -> dict[str, tuple[str, ...]]:
        """By activation, what is chosen for it; its name is without that, even where it is settled."""
        fields = self.tuning.fields if self.tuning else ()
        return {_without(name, mine): mine for name, mine in zip(self.activations, fields, strict=False)}

    def settled(self, chosen: Mapping[str, str]) -> Declaration:
        """The declaration in which each activation is the arm that was chosen for it."""
        return self._renamed(chosen)

    def spelled(self, names: Iterable[str]) -> Declaration:
        """The declaration in which activations are spelled as among these names, where they are there at all.

        Arms that are tried for an activation stand for it, too.
        """
        fields = set(self.tuning.fields if self.tuning else ())
        known = {each for name in names for each in (name, *(_without(name, mine) for mine in fields))}
        others = known.difference(self.activations)
        return self._renamed(
            {name: name if name in known else find_among(name, others) or name for name in self.activations}
        )

    def _renamed(self, names: Mapping[str, str]) -> Declaration:
        """Raises UsageError if two activations would be one."""
        firsts: dict[str, str] = {}
        for name in self.activations:
            first = firsts.setdefault(names[name], name)
            if first != name:
                raise UsageError(f"{self.path}: activations: {first} and {name} are the same: leave one out.")
        compare = (names[self.compare[0]], names[self.compare[1]]) if self.compare else None
        seeds = {names[name]: n for name, n in self.seeds.items()}
        published = self.published
        if isinstance(published, Mapping):
            rows = {key: row for key, row in published.items() if isinstance(row, Mapping)}
            renamed = {key: {names[name]: number for name, number in row.items()} for key, row in rows.items()}
            published = {**published, **renamed}
        activations = tuple(names[name] for name in self.activations)
        return replace(self, activations=activations, seeds=seeds, compare=compare, published=published)

    def find_published(self) -> Published | None:
        """The published table that its runs are set beside, with its protocol; None if it names none."""
        from fluidrelu_cli.analysis.published import PAPER, Published

        if self.published is None or self.published == BUILT_IN:
            return PAPER if self.published else None
        table = dict(self.published) if isinstance(self.published, Mapping) else {}
        return Published(protocol=self.protocol, **table)

    def find_level(self) -> float | None:
        """The published level of the baseline that a mean may be held against; None if there is none."""
        from fluidrelu_cli.analysis.published import MEAN, MIDRANGE

        published = self.find_published()
        if published is None or self.baseline not in published.activations:
            return None
        kind, level = published.level(self.baseline) or (None, None)
        return level if kind in (MEAN, MIDRANGE) else None

    def changes_since(self, earlier: Declaration) -> Changes:
        """What an earlier text of the file said otherwise."""
        texts = earlier.spelled(self.activations), self
        (asked, pair), (asks, its) = [(each._count_seeds(), each._list_compared()) for each in texts]
        numbers = {name: (asked.get(name, 0), asks.get(name, 0)) for name in {**asked, **asks}}
        seeds = {name: (then, now) for name, (then, now) in numbers.items() if then != now}
        others = [f"compare {shown(pair)} → {shown(its)}"] if pair != its else []
        before, after = (dict(_flatten(each.content)) for each in texts)
        others += [
            f"{name} {_tell_change(before.get(name), after.get(name))}"
            for name in {**before, **after}
            if before.get(name) != after.get(name) and name not in (*SAYING, *ASKING)
        ]
        return Changes(seeds, tuple(others), bool(others) or not seeds.keys().isdisjoint(its))

    def _count_seeds(self) -> dict[str, int]:
        """By activation, without the settings that were chosen for it, how many seeds are asked for in each cell."""
        return {self._without_tuned(name): n for name, n in self.seeds.items()}

    def _list_compared(self) -> list[str]:
        """The activations that the question is about, without the settings that were chosen for them."""
        return [self._without_tuned(name) for name in self.compare or self.activations]

    def _without_tuned(self, name: str) -> str:
        fields = self.tuning.fields if self.tuning else ()
        return {each: _without(each, mine) for each, mine in zip(self.activations, fields, strict=False)}.get(
            name, name
        )


def _tell_change(before: Any, now: Any) -> str:
    if not (isinstance(before, list) and isinstance(now, list)):
        return f"{shown(before)} → {shown(now)}"
    differences = {
        "without": [each for each in before if each not in now],
        "with": [each for each in now if each not in before],
    }
    told = (f"{word} {_cut(', '.join(map(shown, values)))}" for word, values in differences.items() if values)
    return ", ".join(told) or "in another order"


def shown(value: Any, depth: int = 3) -> str:
    """A value in a sentence, as TOML has it, and neither longer nor deeper than one should be."""
    if value is None:
        return "nothing"
    if isinstance(value, (list, Mapping)) and not depth:
        return "…"
    if isinstance(value, list):
        return _cut(f"[{', '.join(shown(each, depth - 1) for each in value)}]")
    if isinstance(value, Mapping):
        each = (f"{printable(name)} = {shown(inner, depth - 1)}" for name, inner in value.items())
        return _cut(f"{{{', '.join(each)}}}")
    if isinstance(value, str):
        return f'"{_cut(printable(value))}"'
    try:
        return _cut(str(value).lower() if isinstance(value, bool) else printable(str(value)))
    except ValueError:  # Python writes no number of thousands of digits
        return "a number of very many digits"


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"


def _arm(name: str, settings: Mapping[str, Any]) -> str:
    """An activation's name with more settings of its own."""
    function, mine = split_arm(name)
    return join_arm(function, {**mine, **settings})


def _without(name: str, fields: Collection[str]) -> str:
    """An activation's name without these settings of its own."""
    function, mine = split_arm(name)
    return join_arm(function, {field: value for field, value in mine.items() if field not in fields})


def _flatten(content: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
