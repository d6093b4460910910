"""A report as the Python API gives it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.report.compose import build_document, illustrate
from fluidrelu_cli.report.document import Document, explain
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.page import render_page
from fluidrelu_cli.report.plots import render, style
from fluidrelu_cli.report.wording import not_drawn

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from fluidrelu_cli.run import Run


class Result:
    """What the runs of a study say: an answer in words, tables, figures and a page."""

    def __init__(self, evidence: Evidence, notes: Sequence[str] = ()) -> None:
        self._evidence = evidence
        self._notes = notes

    @cached_property
    def _document(self) -> Document:
        return build_document(self._evidence)

    def __repr__(self) -> str:
        return f"<{self.question} {self.answer}>"

    @property
    def question(self) -> str:
        """What was asked."""
        return self._document.question

    @property
    def answer(self) -> str:
        """The answer in words, with its numbers."""
        return self._document.answer

    @property
    def summary(self) -> pd.DataFrame:
        """One row per activation: analysis.inference.summary."""
        return self._evidence.summary

    @property
    def comparisons(self) -> pd.DataFrame:
        """One row per activation but the baseline: analysis.inference.comparisons."""
        return self._evidence.comparisons

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run."""
        return self._evidence.runs

    @property
    def notes(self) -> list[str]:
        """What is left out or stands out, in sentences."""
        return [*self._notes, *self._document.notes]

    def figure(self, name: str) -> Figure:
        """The figure of this name, drawn anew at every call.

        Raises:
            UsageError: if there is none, with the names of those there are; or if it cannot be drawn.
        """
        pictures = {picture.name: picture for picture in self._document.pictures}
        if name not in pictures:
            raise UsageError(f"There is no figure '{name}': name one of {', '.join(pictures)}.")
        try:
            with style():
                figure = pictures[name].draw()
        except (Exception, SystemExit) as error:  # as in the report
            raise UsageError(not_drawn(name, explain(error))) from error
        # A notebook shows figures of pyplot alone, which would keep all of them in memory.
        setattr(figure, "_repr_png_", lambda: render(figure, ("png",))["png"])  # noqa: B010  (mypy knows no such name)
        return figure

    def html(self) -> str:
        """The report as one page that needs no other file."""
        return render_page(illustrate(self._document, ("svg",)))
