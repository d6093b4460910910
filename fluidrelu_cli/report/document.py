"""A report as a value: what every output format is made from. It knows no study and no runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from fluidrelu_cli.errors import one_line
from fluidrelu_cli.protocol import OF_ARM, Protocol, split_arm
from fluidrelu_cli.report.tables import Cells

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Section:
    """One table of a report."""

    name: str
    title: str
    table: pd.DataFrame
    """As it is computed."""
    cells: Cells
    """As it is read."""
    remarks: tuple[str, ...] = ()
    """What to know of it in this study."""
    more: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """By name, the tables that its remarks are made from."""
    explanations: tuple[str, ...] = ()
    """What its columns mean, the same in every study."""

    @property
    def footnotes(self) -> tuple[str, ...]:
        """All that is said below it."""
        return (*self.remarks, *self.explanations)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """All its tables by name."""
        return {self.name: self.table, **self.more}


class CannotDrawError(Exception):
    """A figure cannot be drawn; the message is the reason, for a sentence that quotes it."""


def explain(error: BaseException) -> str:
    """Why a figure cannot be drawn, from what was raised, for a sentence that quotes it."""
    return str(error) if isinstance(error, CannotDrawError) else one_line(error)


@dataclass(frozen=True)
class Picture:
    """One figure of a report. It is drawn when it is asked for: most formats need none."""

    name: str
    caption: str
    draw: Callable[[], Figure]
    """May raise anything, for it may run a user's own activation; CannotDrawError has the reason in words."""
    explain_left_out: Callable[[], Sequence[str]] = tuple
    """What the figure lacks of what could be in it, in sentences; asked for when it is drawn."""


@dataclass(frozen=True)
class Drawing:
    """A picture as files."""

    name: str
    caption: str
    contents: Mapping[str, bytes]
    """By the file name's ending."""


@dataclass(frozen=True)
class Definition:
    """What an activation or a network of a study is."""

    name: str
    """What options call it."""
    title: str
    """What texts and figures call it."""
    formula: str | None
    """What a built-in activation computes, or which layers a built-in network has."""
    origin: str
    """Who published it, or where it is defined."""
    sources: Mapping[str, str | None] = field(default_factory=dict)
    """By the digest of the file that was trained with, the code of somebody's own; None where it was not kept."""
    learned: Mapping[str, int] = field(default_factory=dict)
    """How many values of each parameter a network learns."""
    betas: Mapping[str, float] = field(default_factory=dict)
    """By parameter, the factor on its gradient, where it was recorded."""


@dataclass(frozen=True)
class Document:
    """A report: its parts in the order in which they are read."""

    question: str
    answer: str
    where: str
    """The study's folder."""
    protocol: Protocol
    test_images: int
    sections: tuple[Section, ...]
    pictures: tuple[Picture, ...]
    runs: pd.DataFrame
    """Every epoch of every run: run.RUN_COLUMNS."""
    conditions: Mapping[str, Mapping[str, int]]
    """Under what conditions the runs were made: each one's values, with how many runs have them."""
    notes: tuple[str, ...]
    """What is left out or stands out."""
    drawings: tuple[Drawing, ...] = ()
    """The pictures that are drawn."""
    study: str = ""
    """What the study is called."""
    activations: tuple[Definition, ...] = ()
    network: Definition | None = None
    commands: tuple[str, ...] = ()
    """What makes the study and this report again, line by line."""
    cells: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By the name of each cell of a grid, the fields of the protocol that it sets."""
    sequential: Mapping[str, Any] | None = None
    """What the pairs up to the one that decides say, where training ends once it is decided."""
    standing: str = ""
    """How far what it says was settled before the runs."""
    made: date | None = None
    """When the report was made; None where it must not depend on that."""

    @property
    def facts(self) -> dict[str, str]:
        """How every run was trained, by the fields' names in words; without what no activation was trained by: a beta
        that none learns by, and a setting of which each has its own.
        """
        learners = [each for each in self.activations if each.learned]
        own = [split_arm(each.name)[1] for each in self.activations]
        unheeded = {name.replace("_", " ") for name in OF_ARM if own and all(name in settings for settings in own)}
        if not any(not each.betas or self.protocol.beta in each.betas.values() for each in learners):
            unheeded.add("beta")
        values = {name.replace("_", " "): ", ".join(each) for name, each in self._find_values().items()}
        return {name: value for name, value in (self.protocol.facts() | values).items() if name not in unheeded}

    @property
    def varied(self) -> list[str]:
        """The fields of the protocol that differ between its cells."""
        return [name for name, values in self._find_values().items() if len(values) > 1]

    def _find_values(self) -> dict[str, list[str]]:
        """By field that cells set, its values in all of them, each once."""
        found: dict[str, dict[str, None]] = {}
        for settings in self.cells.values():
            for name, value in settings.items():
                found.setdefault(name, {})[str(value)] = None
        return {name: [*values] for name, values in found.items()}

    @property
    def remarks(self) -> list[str]:
        """What is said below the tables of all sections."""
        return [note for section in self.sections for note in section.footnotes]

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Those of all sections, by name."""
        return {name: table for section in self.sections for name, table in section.tables.items()}
