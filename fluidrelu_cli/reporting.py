"""From a study's CSVs to its report: reads runs, asks statistics, tables and plots, and writes what they give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from fluidrelu_cli import plots, statistics, tables
from fluidrelu_cli.errors import FluidReluError, UsageError
from fluidrelu_cli.protocol import PAPER_RUNS, Protocol, file_stem
from fluidrelu_cli.records import csv_text, write_whole
from fluidrelu_cli.study import Study


class Report:
    """The report of a study, beside the paper's numbers and, if given, another study's.

    Raises:
        FluidReluError: if the study has no readable run.
        UsageError: if the two studies differ in their protocols.
    """

    def __init__(self, study: Study, against: Study | None = None) -> None:
        self.study = study
        self._runs, notes = _read_runs(study)
        self._parameters, parameter_notes = study.read_parameters(self._runs)
        self.notes = [*notes, *parameter_notes]
        self._against: tuple[Study, pd.DataFrame] | None = None
        if against is not None:
            differences = study.protocol.differences(against.protocol)
            if differences:
                raise UsageError(
                    f"{study.folder} and {against.folder} were trained by different protocols"
                    f" ({', '.join(differences)}), so that their numbers cannot be set side by side:"
                    f" move {study.folder} away, or name another --study."
                )
            others, other_notes = _read_runs(against)
            self._against = against, others
            self.notes += other_notes

    @cached_property
    def summary(self) -> pd.DataFrame:
        """statistics.summary of the study."""
        return _summary(self._runs, self.study)

    @cached_property
    def table2(self) -> pd.DataFrame:
        """statistics.table2: the paper, the other study if there is one, and this study."""
        sources = {}
        if self._against is not None:
            against, others = self._against
            # no folder's name ends in a slash: it cannot be taken for one of the other sources
            sources[f"{against.folder.resolve().name}/"] = _summary(others, against)
        return statistics.table2({**sources, "yours" if sources else "here": self.summary})

    def parts(self) -> Iterator[Table | str]:
        """What the terminal shows, in order."""
        yield f"{self.study.folder}: {tables.protocol_line(self.study.protocol.to_dict())}"
        yield tables.rich_table(
            "Table 2: best and worst accuracy on the test images", *tables.table2_cells(self.table2)
        )
        yield tables.rich_table("Test accuracy after the last epoch", *tables.summary_cells(self.summary))
        yield from self._remarks()

    def _remarks(self) -> Iterator[str]:
        if (self.summary["n"] != PAPER_RUNS).any():
            yield tables.UNEQUAL_N
        differences = self.study.protocol.differences(Protocol())
        if differences:
            yield tables.other_protocol_sentence(differences)
        diverged = statistics.diverged(self._runs)
        if diverged:
            yield f"Diverged, with a loss that is not finite, but counted: {', '.join(diverged)}."
        if self._against is not None:
            against, others = self._against
            yield tables.comparison_sentence(statistics.compare_runs(self._runs, others), str(against.folder))

    def write(self) -> list[Path]:
        """Write tables and figures into the study's folder; their paths. StorageError if that fails."""
        texts = {
            "table2.csv": csv_text(self.table2),
            "table2.md": tables.markdown(*tables.table2_cells(self.table2)),
            "summary.csv": csv_text(self.summary),
            "summary.md": tables.markdown(*tables.summary_cells(self.summary)),
        }
        return [*_write(self.study.folder, texts), *self._write_figures()]

    def _write_figures(self) -> list[Path]:
        with plots.style():
            figures: dict[str, Axes | Figure] = {
                "figure1": plots.figure1(),
                "learning-curves": plots.learning_curves(self._runs)[0],
            }
            for activation, parameters in self._parameters.groupby("activation"):
                figures[f"learned-{file_stem(str(activation))}"] = plots.learned_parameters(parameters)
            folder = self.study.folder / "figures"
            return [path for name, drawn in figures.items() for path in plots.save(drawn, folder, name)]


class Calibration:
    """The search for the batch size and epochs at which ReLU does as the paper's ReLU did (docs/paper.md).

    Raises:
        UsageError: if the studies differ in more than batch size and epochs, or share a batch size.
        FluidReluError: if one has no readable run.
    """

    def __init__(self, studies: Sequence[Study]) -> None:
        self.notes: list[str] = []
        self._folder = studies[0].folder.parent
        runs: dict[int, pd.DataFrame] = {}
        for study in studies:
            differences = study.protocol.differences(studies[0].protocol).keys() - {"batch_size", "epochs"}
            if differences or study.protocol.batch_size in runs:
                reason = ", ".join(differences) or "a batch size that another has too"
                raise UsageError(f"{study.folder} cannot be calibrated with the others ({reason}): leave it out.")
            runs[study.protocol.batch_size], notes = _read_runs(study)
            self.notes += notes
        self.table = statistics.calibration(runs)

    def parts(self) -> Iterator[Table | str]:
        """What the terminal shows, in order."""
        yield tables.rich_table("ReLU against the paper's ReLU", *tables.calibration_cells(self.table))

    def write(self) -> list[Path]:
        """Write the table beside the studies; the paths. StorageError if that fails."""
        texts = {
            "calibration.csv": csv_text(self.table),
            "calibration.md": tables.markdown(*tables.calibration_cells(self.table)),
        }
        return _write(self._folder, texts)


def _read_runs(study: Study) -> tuple[pd.DataFrame, list[str]]:
    runs, notes = study.read_runs()
    if runs.empty:
        found = f" ({' '.join(notes)})" if notes else ""
        raise FluidReluError(f"{study.folder} has no finished run{found}: train some with `fluidrelu repeat` first.")
    return runs, notes


def _summary(runs: pd.DataFrame, study: Study) -> pd.DataFrame:
    return statistics.summary(statistics.final_accuracies(runs), study.asked)


def _write(folder: Path, texts: dict[str, str]) -> list[Path]:
    for name, text in texts.items():
        write_whole(folder / name, text)
    return [folder / name for name in texts]
