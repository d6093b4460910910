"""The commands that read studies and train nothing: report, plan, calibrate, restore."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fluidrelu_cli.cli.options import (
    DEFAULT_RESULTS,
    BaselineOption,
    ResultsOption,
    StudyOption,
    TrustOption,
    WorkersOption,
)
from fluidrelu_cli.cli.terminal import count, open_stderr, say, show, show_text
from fluidrelu_cli.errors import StorageError, UsageError
from fluidrelu_cli.study import DEFAULT_BASELINE, DEFAULT_STUDY, load_study, restore_study, study_folder

if TYPE_CHECKING:
    from fluidrelu_cli.report.evidence import Evidence

COMPARED, SHOWN = "What is compared", "What is shown and written"
"""Panels of the help."""


def report(
    results: ResultsOption = DEFAULT_RESULTS,
    study: StudyOption = DEFAULT_STUDY,
    baseline: BaselineOption = DEFAULT_BASELINE,
    against: Annotated[
        Path | None,
        typer.Option(
            help="Folder of another study of the same protocol, to compare digit by digit.",
            show_default=False,
            rich_help_panel=COMPARED,
        ),
    ] = None,
    beside: Annotated[
        list[str] | None,
        typer.Option(
            help="A study of other data or another network to list beside this one; repeat the option for several.",
            show_default=False,
            rich_help_panel=COMPARED,
        ),
    ] = None,
    output: Annotated[
        Literal["table", "markdown", "csv", "json", "latex", "runs"],
        typer.Option("--format", help="What is printed; runs: every epoch of every run as CSV.", rich_help_panel=SHOWN),
    ] = "table",
    figures: Annotated[
        Literal["pdf"] | None,
        typer.Option(
            help="Write each figure in this format, too, beside SVG and PNG.", show_default=False, rich_help_panel=SHOWN
        ),
    ] = None,
    trust: TrustOption = False,
) -> None:
    """Compare the activations of a study.

    Everything is computed from the study's runs. Its folder `report` is replaced: tables, figures, and the page
    report.html.
    """
    from fluidrelu_cli.cli.progress import Spinner
    from fluidrelu_cli.report.compose import build_document, illustrate, write_report
    from fluidrelu_cli.report.formats import FORMATS, to_parts

    evidence = _gather(results, [study, *(beside or ())], baseline, against, trust)
    kinds = ("png", "svg", *([figures] if figures else ()))
    with Spinner(open_stderr(), "Drawing the figures"):
        document = illustrate(build_document(evidence, date.today()), kinds)
    folder = evidence.study.folder / "report"
    failed = _write_first(lambda: write_report(document, folder))
    for note in document.notes:
        say(note)
    if output == "table":
        for part in to_parts(document):
            show(part)
    else:
        show_text(FORMATS[output](document))
    if failed:
        raise typer.Exit(failed)
    say(f"Written: {folder / 'report.html'}, with tables and figures in the same folder.")


def _write_first(write: Callable[[], object]) -> int:
    """Write files before anything is printed, as whoever reads that may stop (`| head`): 0, or an exit code.

    An error is said now, for the same reason, and what cannot be written is printed all the same.
    """
    try:
        write()
    except StorageError as error:
        say(f"Error: {error}")
        return error.exit_code
    return 0


def _gather(results: Path, names: list[str], baseline: str, against: Path | None, trust: bool) -> Evidence:
    from fluidrelu_cli.report.evidence import Evidence

    if len(set(names)) < len(names):
        raise UsageError("--study and --beside name a study twice: leave one out.")
    other = load_study(against) if against is not None else None
    own, *others = [replace(load_study(study_folder(results, name)), name=name) for name in names]
    return Evidence(
        own,
        baseline=baseline,
        against=Evidence(other) if other is not None else None,
        beside=[Evidence(beside, baseline=baseline) for beside in others],
        trusted=None if trust else (),
    )


def plan(
    effect: Annotated[float, typer.Option(help="Smallest difference in mean accuracy to detect.")],
    act: Annotated[str, typer.Option(help="The activation.")] = "fluid",
    baseline: BaselineOption = DEFAULT_BASELINE,
    power: Annotated[float, typer.Option(help="Probability of detecting it.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="Level of the test.")] = 0.05,
    workers: WorkersOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
    study: StudyOption = DEFAULT_STUDY,
) -> None:
    """Show how many seeds it takes to detect a difference, and how long, from a study's own runs."""
    from fluidrelu_cli.analysis import planning
    from fluidrelu_cli.audit import describe_doubts
    from fluidrelu_cli.cli import wording
    from fluidrelu_cli.workers.local import default_workers

    opened = load_study(study_folder(results, study))
    contents = opened.read()
    trained = {run.trial.activation for run in contents.runs}
    names = {name.lower(): name for name in trained}
    act, baseline = (name if name in trained else names.get(name.lower(), name) for name in (act, baseline))
    made = planning.plan(contents.runs, act, baseline, effect, power, alpha)
    mixtures = describe_doubts([run for run in contents.runs if run.trial.activation in (act, baseline)], opened.folder)
    for note in (*contents.notes, *mixtures, *filter(None, [wording.describe_left_out(made)])):
        say(note)
    where = shlex.join(["--study", study, "--results", str(results)])
    for sentence in wording.describe_plan(made, workers or default_workers(made.device), where):
        show(sentence)


def calibrate(
    studies: Annotated[list[str], typer.Argument(help="Studies with ReLU runs, one per batch size.")],
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Find the batch size and epochs whose ReLU accuracies are closest to the paper's; only ReLU is looked at.

    The table is also written, as calibration.csv and calibration.md, to a folder `report` beside the studies.
    """
    from fluidrelu_cli.analysis.calibration import calibration, check_calibration
    from fluidrelu_cli.analysis.published import PAPER
    from fluidrelu_cli.audit import describe_doubts
    from fluidrelu_cli.files import csv_text, replace_folder
    from fluidrelu_cli.report import tables
    from fluidrelu_cli.run import tabulate_runs

    opened = [load_study(study_folder(results, name)) for name in studies]
    check_calibration({str(study.folder): study.protocol for study in opened})
    contents = [study.read_some() for study in opened]
    for study, found in zip(opened, contents, strict=True):
        for note in (*found.notes, *describe_doubts(found.runs, study.folder)):
            say(note)
    runs = {study.protocol.batch_size: tabulate_runs(found.runs) for study, found in zip(opened, contents, strict=True)}
    table = calibration(runs, PAPER)
    cells = tables.calibration_cells(table)
    folder = opened[0].folder.parent / "report"
    written: dict[str, str | bytes] = {"calibration.csv": csv_text(table), "calibration.md": tables.markdown(*cells)}
    failed = _write_first(lambda: replace_folder(folder, written))
    show(tables.rich_table("ReLU against the paper's ReLU", *cells))
    if failed:
        raise typer.Exit(failed)
    say(f"Written: {folder / 'calibration.csv'} and calibration.md in the same folder.")


def restore(
    study: Annotated[str, typer.Argument(help="The study whose study.json is missing or damaged.")],
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Make a study's study.json again from what its runs record."""
    restored = restore_study(results, study)
    asked = ", ".join(f"{count(n, 'seed')} of {name}" for name, n in restored.asked.items())
    show(f"Restored: {restored.path}, as if {asked} had been asked for.")
