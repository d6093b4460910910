"""Seeds until it is decided: which comparison is meant, what its pairs say by now, and which seeds that takes.

Pairs count in the order of their seeds, as far as none is missing: none is left out because it takes long or fails.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fluidrelu_cli.protocol import is_name
from fluidrelu_cli.run import Run
from fluidrelu_cli.study import ASKED, MOST_SEEDS, Entry

if TYPE_CHECKING:
    from fluidrelu_cli.analysis.sequential import Judgement
    from fluidrelu_cli.declaration import Declaration


def list_differences(runs: Iterable[Run], activation: str, baseline: str, most: int) -> list[float]:
    """The differences of final accuracies, activation minus baseline, of the seeds 0, 1, ... below ``most``.

    They end before the first seed that one of the two has no run of.
    """
    accuracies = {(run.trial.activation, run.trial.seed): run.test_accuracy for run in runs}
    differences: list[float] = []
    for seed in range(most):
        mine, other = accuracies.get((activation, seed)), accuracies.get((baseline, seed))
        if mine is None or other is None:
            break
        differences.append(mine - other)
    return differences


def list_recalled(log: Iterable[Entry]) -> list[tuple[Entry, Stopping]]:
    """The lines of a study's log that asked for seeds until a comparison is decided, and what each says of it."""
    return [(entry, stopping) for entry in log if (stopping := Stopping.recalled(entry)) is not None]


@dataclass(frozen=True)
class Stopping:
    """A study whose training ends once a comparison is decided."""

    compare: tuple[str, str]
    """The activation, and its baseline."""
    margin: float
    seeds: Mapping[str, int]
    """By activation, how many at most: 0, 1, ..."""

    @classmethod
    def declared(cls, declaration: Declaration) -> Stopping | None:
        """What a study file says of it; None if it declares a number of seeds."""
        if not declaration.stops_when_decided or declaration.compare is None or declaration.margin is None:
            return None
        return cls(declaration.compare, declaration.margin, declaration.seeds)

    @classmethod
    def recalled(cls, entry: Entry) -> Stopping | None:
        """What a line of a study's log says of it; None if nothing that makes sense: it may be a stranger's."""
        found: list[Any] = [(entry.until or {}).get(name) for name in ("compare", "margin", "max")]
        compare, margin, most = found
        names = isinstance(compare, list) and len(compare) == 2 and all(is_name(name) for name in compare)
        numbers = isinstance(margin, float) and 0 < margin < math.inf and isinstance(most, int) and most > 0
        if entry.what != ASKED or not names or not numbers or compare[0] == compare[1]:
            return None
        activation, baseline = compare
        pair = {name: max(most, entry.seeds.get(name, most)) for name in (baseline, activation)}
        seeds = {name: min(n, MOST_SEEDS) for name, n in {**entry.seeds, **pair}.items()}
        return cls((activation, baseline), margin, seeds)

    @property
    def most(self) -> int:
        """How many pairs there can be."""
        return min(self.seeds[name] for name in self.compare)

    def recorded(self) -> dict[str, Any]:
        """What a study's log says of it (study.Entry)."""
        return {"compare": list(self.compare), "margin": self.margin, "max": self.most}

    def decide(self, runs: Iterable[Run]) -> Judgement:
        """What a study's runs say of the comparison."""
        from fluidrelu_cli.analysis.sequential import judge

        return judge(list_differences(runs, *self.compare, self.most), self.margin)

    def seeds_for(self, decision: Judgement) -> dict[str, range]:
        """Which seeds each activation needs: those of the pairs that decided it, or else all of them."""
        from fluidrelu_cli.analysis.verdicts import UNDECIDED

        return {
            name: range(n if decision.verdict == UNDECIDED else min(n, decision.n)) for name, n in self.seeds.items()
        }
