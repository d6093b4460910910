"""From a study's CSVs to its report: reads runs, asks statistics, tables and plots, and writes what they give."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from fluidrelu_cli.analysis import inference as statistics
from fluidrelu_cli.analysis import published as paper
from fluidrelu_cli.analysis.published import PAPER_PAIR
from fluidrelu_cli.errors import UsageError, one_line
from fluidrelu_cli.networks.named import resolve
from fluidrelu_cli.protocol import Protocol, file_stem
from fluidrelu_cli.report import learning_plots, page, plots, tables
from fluidrelu_cli.report import wording as sentences
from fluidrelu_cli.run import csv_text, write_whole
from fluidrelu_cli.study import Study

FORMATS = ("table", "markdown", "csv", "json", "latex")


@dataclass(frozen=True)
class Section:
    """One table of a report: what it is called, as it is computed and as it is read, and what to know of it."""

    name: str
    title: str
    table: pd.DataFrame
    cells: tables.Cells
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """One figure of a report."""

    name: str
    caption: str
    contents: Mapping[str, bytes]
    """By the file name's ending."""


class Report:
    """The report of a study, beside the paper's numbers and, if given, another study's.

    Args:
        study: the study.
        against: another one, whose Table 2 is to stand beside this one's.
        baseline: the activation that the others are compared with.
        beside: studies of other data or networks, whose differences are to stand beside this one's.

    Raises:
        FluidReluError: if a study has no readable run.
        UsageError: if ``study`` and ``against`` differ in their protocols, no run has the baseline, or a study to be
            set beside others has nothing to compare.
    """

    def __init__(
        self,
        study: Study,
        against: Study | None = None,
        baseline: str = PAPER_PAIR[0],
        beside: Sequence[Study] = (),
    ) -> None:
        self.study = study
        self.baseline = baseline
        self.runs, notes = study.read_some_runs()
        self.parameters, parameter_notes = study.read_parameters(self.runs)
        self.read_notes = [*notes, *parameter_notes]
        self.finals = statistics.final_accuracies(self.runs)
        self.test_images = study.test_images(self.runs)
        there = statistics.paper_pair_first(self.finals["activation"])
        if baseline not in (*there, PAPER_PAIR[0]):
            raise UsageError(f"No run in {study.folder} has the --baseline {baseline}: name one of {', '.join(there)}.")
        self._published = not study.protocol.differences(Protocol())
        self._papers_task = (study.protocol.dataset, study.protocol.model) == (Protocol.dataset, Protocol.model)
        self._beside = [Report(other, baseline=baseline) for other in beside]
        for other in self._beside:
            self.read_notes += other.read_notes
        self.studies = self._side_by_side()
        self._against: tuple[Study, pd.DataFrame] | None = None
        if against is not None:
            differences = study.protocol.differences(against.protocol)
            if differences:
                raise UsageError(
                    f"{study.folder} and {against.folder} were trained by different protocols"
                    f" ({', '.join(differences)}), so that their numbers cannot be set side by side:"
                    f" move {study.folder} away, or name another --study."
                )
            others, other_notes = against.read_some_runs()
            self._against = against, others
            self.read_notes += other_notes

    @cached_property
    def summary(self) -> pd.DataFrame:
        """statistics.summary of the study."""
        return statistics.summary(self.finals, self.study.asked, self.test_images)

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """statistics.comparisons with the baseline; empty if the study has no run of it."""
        there = self.baseline in set(self.finals["activation"])
        finals = self.finals if there else self.finals.iloc[:0]
        return statistics.comparisons(finals, self.baseline, self.test_images)

    @cached_property
    def table2(self) -> pd.DataFrame:
        """paper.table2: the paper, the other study if there is one, and this study."""
        sources = {}
        if self._against is not None:
            against, others = self._against
            # no folder's name ends in a slash: it cannot be taken for one of the other sources
            sources[f"{against.folder.resolve().name}/"] = statistics.final_accuracies(others)
        return paper.table2({**sources, "yours" if sources else "here": self.finals}, self._papers_task)

    def _side_by_side(self) -> pd.DataFrame:
        """statistics.side_by_side of this study's first comparison and the same one in those beside it; or empty."""
        if not self._beside:
            return statistics.side_by_side([])
        main = self._main_comparison()
        activation = PAPER_PAIR[1] if main is None else str(main["activation"])
        return statistics.side_by_side([made._row_of(activation) for made in (self, *self._beside)])

    def _row_of(self, activation: str) -> dict[str, Any]:
        """The study's comparison of an activation with the baseline, for a table of several studies."""
        found = self.comparisons[(self.comparisons["activation"] == activation) & (self.comparisons["n"] > 0)]
        if found.empty:
            raise UsageError(
                f"{self.study.folder} has no pair of {activation} and {self.baseline} to set beside others:"
                " leave it out, or train them."
            )
        if self.study.protocol.validation_images:
            raise UsageError(
                f"{self.study.folder} was tested on held-out training images, which are no results: leave it out."
            )
        protocol = self.study.protocol
        return {"study": self.study.name, "dataset": protocol.dataset, "model": protocol.model, **found.iloc[0]}

    @cached_property
    def percentiles(self) -> pd.DataFrame:
        """paper.percentiles; empty where the protocol is not the one that stands for the paper's."""
        return paper.percentiles(self.finals if self._published else self.finals.iloc[:0])

    @cached_property
    def rankings(self) -> pd.DataFrame:
        """paper.rankings."""
        return paper.rankings(self.finals)

    @property
    def question(self) -> str:
        """What the report is made to answer."""
        main = self._main_comparison()
        if main is None:
            return f"How good is {' and '.join(map(tables.label, self.summary['activation']))}?"
        return f"Is {tables.label(main['activation'])} better than {tables.label(main['baseline'])}?"

    @property
    def answer(self) -> str:
        """The answer, derived from the numbers."""
        main = self._main_comparison()
        others = list(self.summary["activation"])
        if main is None and len(others) > 1:
            return f"No run has the baseline {self.baseline}: name one with --baseline ({', '.join(others)})."
        if main is None:
            return "One activation alone: there is nothing to compare it with."
        sentence = sentences.verdict(main, int(self.comparisons["p"].notna().sum()))
        return sentence if len(self.comparisons) == 1 else f"{sentence} {sentences.tally(self.comparisons)}"

    def _main_comparison(self) -> dict[Any, Any] | None:
        """The paper's, if it is among them: it comes first."""
        rows = self.comparisons.to_dict("records")
        return rows[0] if rows else None

    @cached_property
    def sections(self) -> list[Section]:
        """The tables, in order; those that would be empty are left out."""
        return list(self._sections())

    def _sections(self) -> Iterator[Section]:
        yield Section(
            "summary",
            f"{'Validation' if self.study.protocol.validation_images else 'Test'} accuracy after the last epoch",
            self.summary,
            tables.summary_cells(self.summary),
            (*self._held_out(), sentences.noise(self.summary, self.test_images), *self._diverged()),
        )
        if len(self.comparisons):
            remarks = (sentences.too_few_pairs(self.comparisons), sentences.left_out(self.comparisons))
            yield Section(
                "comparisons",
                f"Differences from {tables.label(self.baseline)}, paired by seed",
                self.comparisons,
                tables.comparison_cells(self.comparisons),
                (sentences.COMPARISONS_EXPLAINED, *filter(None, remarks)),
            )
        if self._papers_task or set(PAPER_PAIR) <= set(self.finals["activation"]):
            yield Section(
                "table2",
                f"{'Table 2: best' if self._papers_task else 'Best'} and worst accuracy of three runs",
                self.table2,
                tables.table2_cells(self.table2),
                (sentences.TABLE2_EXPLAINED, *self._rankings(), *self._other_protocol()),
            )
        if len(self.percentiles):
            yield Section(
                "percentiles",
                "The paper's numbers among all our sets of three",
                self.percentiles,
                tables.percentile_cells(self.percentiles),
                (sentences.PERCENTILES_EXPLAINED,),
            )
        if len(self.studies):
            first = self.studies.iloc[0]
            yield Section(
                "studies",
                f"{tables.label(first['activation'])} minus {tables.label(first['baseline'])}, study by study",
                self.studies,
                tables.side_by_side_cells(self.studies),
                (sentences.SIDE_BY_SIDE_EXPLAINED,),
            )

    def _held_out(self) -> Iterator[str]:
        if self.study.protocol.validation_images:
            yield sentences.held_out(self.study.protocol.validation_images)

    def _rankings(self) -> Iterator[str]:
        sentence = sentences.three_run_rankings(self.rankings)
        if sentence:
            yield sentence

    def _diverged(self) -> Iterator[str]:
        diverged = statistics.diverged(self.runs)
        if diverged:
            yield f"Diverged, with a loss that is not finite, but counted: {', '.join(diverged)}."

    def _other_protocol(self) -> Iterator[str]:
        if self._papers_task and not self._published:
            yield sentences.other_protocol(self.study.protocol.differences(Protocol()))
        if self._against is not None:
            against, others = self._against
            yield sentences.reproduction(statistics.compare_runs(self.runs, others), str(against.folder))

    def conditions(self) -> dict[str, dict[str, int]]:
        """Under what conditions the runs were made: each one's values, with how many runs have them."""
        found: dict[str, dict[str, int]] = {}
        for provenance in self.study.provenances(self.runs):
            for name, value in _conditions(provenance).items():
                counts = found.setdefault(name, {})
                counts[value] = counts.get(value, 0) + 1
        return found

    def parts(self) -> Iterator[Table | str]:
        """What the terminal shows, in order."""
        yield f"{self.study.folder}: {tables.protocol_line(self.study.protocol.to_dict())}"
        yield self.answer
        for section in self.sections:
            yield tables.rich_table(section.title, *section.cells)
            yield from section.remarks

    def text(self, form: str) -> str:
        """The report in one of FORMATS but the first; csv has a row an activation, json everything."""
        if form == "json":
            return json.dumps(self._as_json(), indent=2, ensure_ascii=False) + "\n"
        if form == "csv":
            names = {"n": "pairs", "ci_low": "difference_ci_low", "ci_high": "difference_ci_high"}
            counts = dict.fromkeys(("n", "wins", "ties", "losses"), "Int64")  # whole beside a row without them, too
            compared = self.comparisons.astype(counts).rename(columns=names)
            return csv_text(self.summary.merge(compared, on="activation", how="left"))
        if form == "latex":
            return "\n".join(
                "".join([tables.latex(section.title, *section.cells), *(f"% {remark}\n" for remark in section.remarks)])
                for section in self.sections
            )
        parts = [f"{self.study.folder}: {tables.protocol_line(self.study.protocol.to_dict())}\n", f"{self.answer}\n"]
        for section in self.sections:
            parts += [
                f"## {section.title}\n",
                tables.markdown(*section.cells),
                *(f"{line}\n" for line in section.remarks),
            ]
        return "\n".join(parts)

    def _as_json(self) -> dict[str, Any]:
        named = {"summary": self.summary, "comparisons": self.comparisons, "table2": self.table2}
        named |= {"percentiles": self.percentiles, "rankings": self.rankings, "studies": self.studies}
        return {
            "study": str(self.study.folder),
            "protocol": self.study.protocol.to_dict(),
            "test_images": self.test_images,
            "question": self.question,
            "answer": self.answer,
            "remarks": [remark for section in self.sections for remark in section.remarks],
            "notes": self.notes,
            **{name: json.loads(table.to_json(orient="records", double_precision=15)) for name, table in named.items()},
            "conditions": self.conditions(),
        }

    def write(self) -> list[Path]:
        """Write tables, figures and page into the study's folder; their paths. StorageError if that fails."""
        contents: dict[str, str | bytes] = {}
        for section in self.sections:
            contents[f"{section.name}.csv"] = csv_text(section.table)
            contents[f"{section.name}.md"] = tables.markdown(*section.cells)
        contents |= {
            f"figures/{picture.name}.{kind}": content
            for picture in self.pictures
            for kind, content in picture.contents.items()
        }
        contents["report.html"] = page.render(
            question=self.question,
            answer=self.answer,
            sections=self.sections,
            pictures=self.pictures,
            protocol=self.study.protocol.to_dict(),
            conditions=self.conditions(),
            notes=self.notes,
        )
        for name, content in contents.items():
            write_whole(self.study.folder / name, content)
        for name in ("studies.csv", "studies.md", "figures/forest.png", "figures/forest.svg"):
            if name not in contents:  # of an earlier report that had other studies beside
                (self.study.folder / name).unlink(missing_ok=True)
        return [self.study.folder / name for name in contents]

    @property
    def pictures(self) -> list[Picture]:
        """The figures, in order."""
        return self._drawn[0]

    @property
    def notes(self) -> list[str]:
        """What of the study is left out or stands out, and what cannot be drawn."""
        return [*self.read_notes, *self._drawn[1]]

    @cached_property
    def _drawn(self) -> tuple[list[Picture], list[str]]:
        pictures, notes = [], []
        with plots.style():
            for name, caption, drawn in self._figures():
                if isinstance(drawn, str):
                    notes.append(f"The figure {name} is not drawn ({drawn}).")
                else:
                    pictures.append(Picture(name, caption, plots.rendered(drawn)))
        return pictures, notes

    def _figures(self) -> Iterator[tuple[str, str, Axes | Figure | str]]:
        """Each figure's name, caption and drawing, or why it cannot be drawn."""
        yield (
            "accuracies",
            "One dot a seed. The interval is Student's, of the mean.",
            plots.accuracies(self.summary, self.finals, self._published),
        )
        if (self.comparisons["n"] > 0).any():
            yield (
                "differences",
                "One dot a seed: both runs of it start from the same weights and see the same batches. The intervals"
                " are not adjusted for the number of comparisons; the verdict is by the adjusted p-values.",
                plots.differences(self.finals, self.comparisons),
            )
        if len(self.studies):
            yield (
                "forest",
                "One row a study. An interval that leaves out 0 is no verdict by itself: p-values are adjusted.",
                plots.forest(self.studies),
            )
        distributions = {
            activation: paper.of_three(paper.accuracies_of(self.finals, activation)) for activation in PAPER_PAIR
        }
        if all(len(table) for table in distributions.values()):
            yield (
                "best-of-three",
                "What a table of three runs could have said: the best and the worst of all sets of three of our runs.",
                plots.best_of_three(distributions, self._published),
            )
        yield (
            "learning-curves",
            "The first epoch's training loss is a mean over the whole epoch, from its first step on.",
            learning_plots.learning_curves(self.runs)[0],
        )
        for activation, parameters in self.parameters.groupby("activation"):
            name, stem = tables.label(str(activation)), file_stem(str(activation))
            yield (
                f"learned-{stem}",
                f"What the kernels of {name} learned, epoch by epoch.",
                learning_plots.learned_parameters(parameters),
            )
            yield (
                f"functions-{stem}",
                f"Each kernel's {name} after the last epoch.",
                self._learned_functions(str(activation), parameters),
            )
        if PAPER_PAIR[1] in set(self.finals["activation"]):
            yield "figure1", "The paper's Figure 1, drawn from the reconstructed formula.", plots.figure1()

    def _learned_functions(self, activation: str, parameters: pd.DataFrame) -> Figure | str:
        """What they became, or why that cannot be drawn: a user's own activation may not be what it was."""
        recorded = {
            found.get("activation_sha256")
            for found in self.study.provenances(self.runs)
            if found["activation"] == activation
        }
        try:
            made = resolve(activation)
            if made.sha256 not in recorded:
                return "its source is not the one that was trained"
            return learning_plots.learned_functions(made, parameters)
        except Exception as error:
            return one_line(error)


def _conditions(provenance: Mapping[str, Any]) -> dict[str, str]:
    """What may change a run's numbers, or tells where they come from, as words."""
    source = provenance.get("source") or {}
    commit = str(source.get("commit", "not recorded"))[:12]
    return {
        **{f"version of {name}": str(value) for name, value in provenance.get("versions", {}).items() if value},
        "source": f"{commit}{', modified' if source.get('modified') else ''}",
        "system": str(provenance.get("system")),
        "processor": f"{provenance.get('cpu')}, {provenance.get('cpu_capability')}",
        "device": str(provenance.get("gpu") or provenance.get("device")),
        "threads of a run": str(provenance.get("threads")),
        "seeds trained together": str(provenance.get("batched_seeds", 1)),
        "data (sha256)": str(provenance.get("data_sha256"))[:12],
    }
