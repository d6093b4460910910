"""All that a report computes: tables, each worked out once and when it is asked for. No words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from fluidrelu_cli.analysis import inference, published
from fluidrelu_cli.analysis.by_epoch import compare_by_epoch, compare_spread, growth
from fluidrelu_cli.analysis.images import weigh_images
from fluidrelu_cli.analysis.multiverse import choose_stops
from fluidrelu_cli.analysis.planning import pairs_to_decide, planning_sd
from fluidrelu_cli.analysis.regression import regress
from fluidrelu_cli.analysis.sequential import Decision, decide, follow
from fluidrelu_cli.analysis.tuning import Tuned
from fluidrelu_cli.analysis.verdicts import (
    ALPHA,
    INTERIM,
    NOT_JUDGED,
    PRIMARY,
    SECONDARY,
    TOO_FEW,
    UNDECIDED,
    fewest_pairs,
)
from fluidrelu_cli.audit import describe_doubts
from fluidrelu_cli.cost import Cost
from fluidrelu_cli.data.catalogue import CATALOGUE
from fluidrelu_cli.declaration import Changes, Declaration
from fluidrelu_cli.declared import recall_declaration
from fluidrelu_cli.errors import FluidReluError, StorageError, UsageError
from fluidrelu_cli.networks.named import find_among
from fluidrelu_cli.protocol import Protocol, file_stem, is_own
from fluidrelu_cli.run import Run, tabulate_parameters, tabulate_runs
from fluidrelu_cli.stopping import Stopping, list_differences, list_recalled
from fluidrelu_cli.study import ASKED, DEFAULT_BASELINE, Contents, Entry, Study


@dataclass(frozen=True)
class Sequential:
    """A comparison that may be looked at after every pair, and what it says by now."""

    activation: str
    baseline: str
    margin: float
    most: int
    """How many pairs there may be."""
    decision: Decision
    looks: pd.DataFrame
    """sequential.follow: a row for each of the first seeds that both have, up to one that is missing."""


class Evidence:
    """What the runs of a study show.

    Args:
        study: the study.
        contents: its runs, if they are in memory already; read otherwise.
        baseline: the activation that the others are compared with, in any spelling.
        focus: the activation that the question is about, in any spelling; None: all of them, the first one most.
        against: another study of the same protocol, to compare digit by digit.
        beside: studies of other data or networks, whose differences belong beside this one's.
        trusted: activations of somebody's own that may be imported, to draw what they learned; None: all.
        declaration: the file that declares the study, its activations spelled as the study has them: then its seeds
            alone count, and there is a verdict once all of them are there.
        tuned: how the settings of its activations were chosen.

    Raises:
        FluidReluError: if the study has no readable run, or none that counts.
        UsageError: if ``study`` and ``against`` differ in their protocols, the study has no such baseline or focus,
            or a study beside has nothing to compare.
    """

    def __init__(
        self,
        study: Study,
        contents: Contents | None = None,
        *,
        baseline: str | None = None,
        focus: str | None = None,
        against: Evidence | None = None,
        beside: Sequence[Evidence] = (),
        trusted: Collection[str] | None = (),
        declaration: Declaration | None = None,
        tuned: Tuned | None = None,
    ) -> None:
        self.study = study
        self.declaration = declaration
        self.tuned = tuned
        self.against = against
        self.beside = tuple(beside)
        self._trusted = trusted
        contents = contents or study.read_some()
        self.asked: Mapping[str, int] = study.asked if declaration is None else declaration.seeds
        self._first_seed = 0 if declaration is None else declaration.find_first_seed(study.folder)
        self.runs: tuple[Run, ...] = tuple(run for run in contents.runs if declaration is None or self._counts(run))
        self.not_counted = len(contents.runs) - len(self.runs)
        if not self.runs:
            raise FluidReluError(f"{study.folder} has no finished run of what its file declares: train some first.")
        self._notes = [*contents.notes, *describe_doubts(self.runs, study.folder)]
        self.cost: Cost | None = None
        try:
            self.cost = study.read_cost()
        except StorageError as error:  # a damaged file is one too
            self._notes.append(f"Left out: {error}.")
        self._names = inference.arrange({*self.asked, *(run.trial.activation for run in self.runs)}, list(self.asked))
        self._stopping = self._find_stopping()
        compare = declaration.compare if declaration is not None else self._stopping and self._stopping.compare
        declared = compare or (None, DEFAULT_BASELINE)
        self._primary = declared[0]
        self.baseline = self._find("baseline", baseline or declared[1], allowed=DEFAULT_BASELINE)
        primary = declared[0] if baseline is None and len(self._names) == 2 else None
        self.focus = self._find("focus", focus) if focus is not None else primary
        if self.focus == self.baseline:
            raise UsageError(f"--focus and --baseline are both {self.baseline}: name two activations.")
        if against is not None:
            self._check_protocol(against.study)
        self.studies = self._compare_studies()

    def _counts(self, run: Run) -> bool:
        """Whether a run is one of those that were declared."""
        return 0 <= run.trial.seed - self._first_seed < self.asked.get(run.trial.activation, 0)

    @cached_property
    def lacking(self) -> int:
        """How many of the declared runs are not finished; 0 where none are declared."""
        return sum(self.asked.values()) - len(self.runs) if self.declaration is not None else 0

    def _find_stopping(self) -> Stopping | None:
        """Where training ends once it is decided: what the file says, or what was asked for last without one."""
        if self.declaration is not None:
            return Stopping.declared(self.declaration)
        for _, last in list_recalled(self.study.log)[-1:]:
            a, b = (find_among(name, self._names) for name in last.compare)
            if a is not None and b is not None and a != b:
                return Stopping((a, b), last.margin, dict.fromkeys((a, b), last.most))
        return None

    def _find(self, option: str, name: str, allowed: str | None = None) -> str:
        """The activation of the study that an option names; it may be the allowed one even if the study lacks it."""
        found = find_among(name, {*self._names, *filter(None, [allowed])})
        if found is None:
            raise UsageError(
                f"No activation in {self.study.folder} is the --{option} {name}: name one of {', '.join(self._names)}."
            )
        return found

    def _check_protocol(self, other: Study) -> None:
        differences = self.protocol.differences(other.protocol)
        if differences:
            raise UsageError(
                f"{self.study.folder} and {other.folder} were trained by different protocols"
                f" ({', '.join(differences)}), so their numbers cannot be compared:"
                " name another study with --against."
            )

    @property
    def protocol(self) -> Protocol:
        return self.study.protocol

    @property
    def notes(self) -> list[str]:
        """What of this study, and of those beside it, is left out or stands out."""
        others = (*self.beside, self.against) if self.against is not None else self.beside
        return [*self._notes, *(note for other in others for note in other.notes)]

    @cached_property
    def test_images(self) -> int:
        """How many images the runs were tested on."""
        return max((run.test_images for run in self.runs), default=self.protocol.test_images or 10_000)

    @cached_property
    def order(self) -> list[str]:
        """All activations, as rows and colours are arranged: the baseline, the focus, then as they were asked for."""
        first = [name for name in (self.baseline, self.focus, self._primary) if name in (self.baseline, *self._names)]
        return inference.arrange(self._names, [*filter(None, first), *self._names])

    @cached_property
    def run_table(self) -> pd.DataFrame:
        """Every epoch of every run: run.RUN_COLUMNS."""
        return tabulate_runs(self.runs)

    @cached_property
    def finals(self) -> pd.DataFrame:
        """inference.final_accuracies."""
        ended = self.run_table
        if self.stops is not None:
            ended = ended[ended["epoch"] <= self.stops["epoch"].max()]
        return inference.final_accuracies(ended)

    @cached_property
    def stops(self) -> pd.DataFrame | None:
        """multiverse.choose_stops, of this study alone; None where a run's result is the last, as nothing else is said.

        One without a row, as long as the baseline has no run, leaves no result.
        """
        level = (
            self.declaration.find_level() if self.declaration is not None and self.declaration.ends_nearest else None
        )
        return None if level is None else choose_stops({self.study.folder.name: self.run_table}, self.baseline, level)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """inference.summary."""
        asked = dict(self.asked)
        if self._stopping is not None and self.sequential is not None:  # once it is decided, no more seeds are
            asked |= {name: len(seeds) for name, seeds in self._stopping.seeds_for(self.sequential.decision).items()}
        counted = self.finals.assign(seed=self.finals["seed"] - self._first_seed)
        diverged = Counter(run.trial.activation for run in self.runs if run.diverged)
        return inference.summary(counted, asked, self.test_images, self.order, diverged)

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """What inference.comparisons may say of a study, by what is declared.

        As long as a declared study lacks runs, it has estimates, and neither p-values nor verdicts. Nor has a cell of a
        grid by itself, whose file asks one question of all of them. A study that ends once a comparison is decided has
        no p-values, which a number of pairs must not depend on, and one verdict.
        """
        table, without = self.own_comparisons, dict.fromkeys(("p", "p_holm", "p_equal", "p_equal_holm"), math.nan)
        if self.sequential is not None:
            verdicts = {self.sequential.activation: self.sequential.decision.verdict}
            judged = [verdicts.get(name, NOT_JUDGED) for name in table["activation"]]
            table = table.assign(**without, verdict=judged)
        elif self.lacking:
            table = table.assign(**without, verdict=INTERIM)
        elif self.declaration is not None and self.declaration.is_grid:
            table = table.assign(**without, verdict=NOT_JUDGED)
        return table

    @cached_property
    def own_comparisons(self) -> pd.DataFrame:
        """inference.comparisons with the baseline, whatever is declared; empty if the study has no run of it."""
        trained = self.baseline in set(self.finals["activation"])
        finals = self.finals if trained else self.finals.iloc[:0]
        declared = self.declaration.compare if self.declaration is not None else None
        return inference.comparisons(
            finals,
            self.baseline,
            self.test_images,
            self.order,
            margin=self.margin,
            primary=declared[0] if declared is not None and declared[1] == self.baseline else None,
        )

    @cached_property
    def by_epoch(self) -> dict[str, pd.DataFrame]:
        """by_epoch.compare_by_epoch of each activation that has a pair with the baseline, where there are epochs."""
        table = self.own_comparisons
        paired: list[str] = table.loc[table["n"] > 0, "activation"].tolist() if len(self.runs[0].epochs) > 1 else []
        return {name: compare_by_epoch(self.run_table, name, self.baseline, self.test_images) for name in paired}

    @cached_property
    def growing(self) -> pd.DataFrame:
        """by_epoch.growth of the first comparison; empty without."""
        return growth(self.list_pairs(self._first)["images"].tolist() if self._first else [], self.test_images)

    @cached_property
    def images(self) -> pd.DataFrame:
        """images.weigh_images, of the activations whose runs say which images they have right."""
        pairs = {name: self.list_pairs(name)["seed"].tolist() for name in self.own_comparisons["activation"]}
        return weigh_images(self.runs if self.stops is None else (), pairs, self.baseline)  # recorded of the last test

    @cached_property
    def spread(self) -> pd.DataFrame:
        """by_epoch.compare_spread, of the activations with enough pairs for a p-value."""
        compared = self.own_comparisons
        return compare_spread(self.finals, compared[compared["n"] >= fewest_pairs()])

    def list_pairs(self, activation: str) -> pd.DataFrame:
        """Columns seed and images: the differences from the baseline, in test images, in the order of seeds."""
        by_seed = self.finals.pivot(index="seed", columns="activation", values="test_accuracy")
        if not {activation, self.baseline} <= {*by_seed}:
            by_seed = pd.DataFrame(columns=[activation, self.baseline], dtype=float)
        paired = (by_seed[activation] - by_seed[self.baseline]).dropna()
        images = np.rint(paired.to_numpy() * self.test_images).astype(int)
        table: pd.DataFrame = pd.DataFrame({"seed": paired.index, "images": images})
        return table

    @cached_property
    def needed(self) -> dict[str, int]:
        """With how many seeds each comparison that is not decided would be: planning.pairs_to_decide."""
        table = self.comparisons
        found = table[table["verdict"].isin([UNDECIDED, TOO_FEW]) & (table["sd_difference"] > 0)]
        together = {PRIMARY: 1, SECONDARY: int((table["family"] == SECONDARY).sum())}
        return {
            row["activation"]: pairs_to_decide(
                planning_sd(row["sd_difference"], row["n"]),
                row["margin"],
                alpha=ALPHA / together[row["family"]],
                ties=row["ties"] / row["n"],
            )
            for row in found.to_dict("records")
        }

    @property
    def margin(self) -> float | None:
        """The difference below which it matters to nobody, where one was declared."""
        if self.declaration is not None:
            return self.declaration.margin
        return self._stopping.margin if self._stopping is not None else None

    @cached_property
    def regressed(self) -> pd.DataFrame:
        """regression.regress on the baseline; empty as long as declared runs are not there, and where training ends
        once a comparison is decided: then what the pairs show determines how many seeds the baseline has.
        """
        counted = self.finals.iloc[:0] if self.lacking or self.sequential is not None else self.finals
        return regress(counted, self.baseline, self.order)

    @cached_property
    def sequential(self) -> Sequential | None:
        """The comparison that decides when training ends; None without one, or with another baseline."""
        if self._stopping is None or self._stopping.compare[1] != self.baseline:
            return None
        margin, most = self._stopping.margin, self._stopping.most
        differences = list_differences(self.runs, *self._stopping.compare, most)
        return Sequential(
            *self._stopping.compare, margin, most, decide(differences, margin), follow(differences, margin)
        )

    @cached_property
    def question(self) -> str | None:
        """What the study's file asks, where the report is about what it declares."""
        declared = self.declaration
        asks = declared is not None and declared.compare in (None, (self.focus or self._first, self.baseline))
        return declared.question if declared is not None and asks else None

    @property
    def _first(self) -> str | None:
        return next((name for name in self.order if name != self.baseline), None)

    @property
    def pair(self) -> tuple[str, ...]:
        """The activation that the answer is about first, if there is one, and the baseline."""
        return tuple(filter(None, (self._first, self.baseline)))

    @property
    def log(self) -> tuple[Entry, ...]:
        """The study's, and that of its tuning, in the order of time."""
        tried = self.tuned.log if self.tuned is not None else ()
        return tuple(sorted((*tried, *self.study.log), key=lambda entry: entry.when))

    @property
    def first_use(self) -> Entry | None:
        """The line of the log by which it was first trained from a file."""
        return next((entry for entry in self.log if entry.what == ASKED and entry.sha256 is not None), None)

    @cached_property
    def changes(self) -> Changes | None:
        """What the study's file said otherwise when the study was first trained from it.

        None where it was another text, of which no copy can be used.
        """
        first = self.first_use
        if self.declaration is None or first is None or first.sha256 == self.declaration.sha256:
            return Changes()
        earlier = recall_declaration(self.study.folder, first.sha256, self.declaration.path)
        return None if earlier is None else self.declaration.changes_since(earlier)

    @cached_property
    def published(self) -> published.Published | None:
        """What a paper published of all its activations: as the file says, or for a study that is about these first."""
        declared = self.declaration
        found = published.find_published(self.protocol) if declared is None else declared.find_published()
        trained = {run.trial.activation for run in self.runs}
        if found is None or not set(found.activations) <= trained:
            return None
        about = set(self.order[: len(found.activations)]) == set(found.activations)
        return found if about or declared is not None else None

    @cached_property
    def follows_published(self) -> bool:
        """Whether the protocol is the one that stands for the published one."""
        return self.published is not None and self.published.protocol == self.protocol

    @cached_property
    def table2(self) -> pd.DataFrame | None:
        """published.table2: the published numbers, the other study's if there is one, and this study's."""
        if self.published is None:
            return None
        finals = {"here": self.finals}
        if self.against is not None:
            # not by its folder's name: the runs in results/paper would pass for the paper's
            finals = {"other study": self.against.finals, "yours": self.finals}
        return published.table2(self.published, finals)

    @cached_property
    def predictive(self) -> pd.DataFrame | None:
        """published.predict, where the protocol is the published one's."""
        if self.published is None or not self.follows_published:
            return None
        return published.predict(self.published, self.finals, self.baseline)

    @cached_property
    def rankings(self) -> pd.DataFrame | None:
        """published.rankings."""
        return None if self.published is None else published.rankings(self.published, self.finals)

    @cached_property
    def distributions(self) -> dict[str, pd.DataFrame]:
        """published.best_and_worst_of for each activation of which both are published; none if one has too few runs."""
        if self.published is None:
            return {}
        found = {
            name: published.best_and_worst_of(published.accuracies_of(self.finals, name), self.published.runs[name])
            for name in self.published.ranges
        }
        return {} if any(table.empty for table in found.values()) else found

    @cached_property
    def agreement(self) -> pd.DataFrame | None:
        """inference.compare_runs with the study that this one is compared with digit by digit."""
        return None if self.against is None else inference.compare_runs(self.runs, self.against.runs)

    @cached_property
    def chance(self) -> float | None:
        """The accuracy of guessing, where the number of classes is known."""
        known = CATALOGUE.get(self.protocol.dataset)
        recorded = {run.provenance.classes for run in self.runs} - {None}
        classes = max((each for each in recorded if each), default=known.classes if known else None)
        return None if classes is None else 1 / classes

    @property
    def near_guessing(self) -> float:
        """Accuracies below are near that of guessing: below three times it, and a quarter of the way to 1."""
        return 0.0 if self.chance is None else min(3 * self.chance, self.chance + (1 - self.chance) / 4)

    @cached_property
    def untrained(self) -> dict[str, float]:
        """The mean accuracies that are near that of guessing."""
        rows = self.summary.to_dict("records")
        return {row["activation"]: row["mean"] for row in rows if row["mean"] < self.near_guessing}

    def has_unlearned(self, activation: str) -> bool:
        """Whether some run of an activation is near guessing."""
        mine = self.finals[self.finals["activation"] == activation]
        return bool((mine["test_accuracy"] < self.near_guessing).any())

    @property
    def untrained_pair(self) -> list[str]:
        """The activations that the answer compares first, as far as they are among the untrained."""
        return [name for name in self.pair if name in self.untrained]

    @cached_property
    def moves(self) -> dict[str, float]:
        """How far what each learner learned is from its start after the last epoch, at most."""
        moves: dict[str, float] = {}
        for run in self.runs:
            for name, start in run.initial_parameters.items():
                by = max(abs(a - b) for a, b in zip(run.epochs[-1].parameters[name], start, strict=True))
                moves[run.trial.activation] = max(by, moves.get(run.trial.activation, 0.0))
        return moves

    @cached_property
    def last_fall(self) -> float | None:
        """By which share the baseline's mean training loss fell in the last epoch; None where that says nothing."""
        mine = self.run_table[self.run_table["activation"] == self.baseline]
        mine = mine[mine["epoch"] % 1 == 0]
        losses: list[float] = mine.groupby("epoch")["train_loss"].mean().tolist()
        before, last = [math.nan, math.nan, *losses][-2:]
        return 1 - last / before if math.isfinite(before) and math.isfinite(last) and before > 0 else None

    @cached_property
    def failures(self) -> dict[str, list[str]]:
        """The tracebacks of each activation's trials that failed, by seed."""
        found: dict[str, list[tuple[int, str]]] = {}
        for path in self.study.runs_folder.glob("*-seed*.failed.txt"):
            stem, _, seed = path.name.removesuffix(".failed.txt").rpartition("-seed")
            if seed.isdecimal():
                found.setdefault(stem, []).append((int(seed), str(path)))
        stems = {name: found.get(file_stem(name)) for name in self.order}
        return {name: [path for _, path in sorted(failed)] for name, failed in stems.items() if failed}

    def _compare_studies(self) -> pd.DataFrame:
        """inference.side_by_side of this study's first comparison and the same one in those beside it; or empty."""
        if not self.beside:
            return inference.side_by_side([])
        wanted = next((name for name in self.order if name != self.baseline), "any other activation")
        return inference.side_by_side([evidence.compare(wanted) for evidence in (self, *self.beside)])

    def compare(self, activation: str) -> dict[str, Any]:
        """The study's comparison of an activation with the baseline, for a table of several studies.

        Raises UsageError if there is none, or its accuracies do not count as results.
        """
        found = self.comparisons[(self.comparisons["activation"] == activation) & (self.comparisons["n"] > 0)]
        if found.empty:
            raise UsageError(
                f"{self.study.folder} has no pair of {activation} and {self.baseline} to compare with other studies:"
                " leave it out, or train them."
            )
        if self.protocol.validation_images:
            raise UsageError(
                f"{self.study.folder} was tested on held-out training images, which do not count as results: leave it"
                " out."
            )
        row = {str(name): value for name, value in found.to_dict("records")[0].items()}
        return {"study": self.study.name, "dataset": self.protocol.dataset, "model": self.protocol.model, **row}

    @cached_property
    def learners(self) -> list[str]:
        """The activations that have learned parameters, in order."""
        found = {run.trial.activation for run in self.runs if run.initial_parameters}
        return [name for name in self.order if name in found]

    @cached_property
    def factors(self) -> dict[str, dict[str, float]]:
        """Each learner's factors on the gradients of what it learns, by parameter, in order, as far as recorded.

        Empty if they are as a protocol says alone: the protocol's factor for activations that come with the program.
        """
        found = {run.trial.activation: dict(run.provenance.betas) for run in self.runs if run.provenance.betas}
        usual = all(not is_own(name) and {*mine.values()} == {self.protocol.beta} for name, mine in found.items())
        return {} if usual else {name: found[name] for name in self.order if name in found}

    def may_import(self, activation: str) -> bool:
        """Whether importing an activation is what the user wants: it is built in, of torch.nn, or trusted."""
        return not is_own(activation) or self._trusted is None or activation in self._trusted

    def count_seeds(self, activation: str) -> int:
        """How many runs an activation has."""
        return sum(run.trial.activation == activation for run in self.runs)

    def parameters(self, activation: str, seeds: int) -> pd.DataFrame:
        """run.PARAMETER_COLUMNS of an activation's first so many seeds."""
        mine = sorted((run for run in self.runs if run.trial.activation == activation), key=lambda run: run.trial.seed)
        return tabulate_parameters(mine[:seeds])
