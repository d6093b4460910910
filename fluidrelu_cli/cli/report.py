"""The commands that read studies and train nothing: report, plan, calibrate, restore."""

from __future__ import annotations

import contextlib
import functools
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fluidrelu_cli.cli.completion import complete_activation, complete_study
from fluidrelu_cli.cli.options import (
    ANY_STUDY,
    DEFAULT_RESULTS,
    JsonOption,
    ResultsOption,
    StudyOption,
    TrustOption,
    WorkersOption,
    pick_format,
    with_study_argument,
)
from fluidrelu_cli.cli.terminal import WHERE_RESULTS_GO, count, open_stderr, say, show, show_json, show_text
from fluidrelu_cli.errors import FluidReluError, StorageError, UsageError
from fluidrelu_cli.files import write_whole
from fluidrelu_cli.protocol import is_own
from fluidrelu_cli.run import find_runs
from fluidrelu_cli.study import (
    DEFAULT_ACTIVATIONS,
    DEFAULT_BASELINE,
    DEFAULT_STUDY,
    LOOKED,
    MOST_SEEDS,
    Entry,
    find_folder,
    find_study,
    restore_study,
)

if TYPE_CHECKING:
    from fluidrelu_cli.analysis.planning import Plan
    from fluidrelu_cli.declaration import Cell, Declaration
    from fluidrelu_cli.report.document import Document
    from fluidrelu_cli.report.evidence import Evidence
    from fluidrelu_cli.study import Study

COMPARED, SHOWN = "What is compared", "What is shown and written"
"""Panels of the help."""


def report(
    results: ResultsOption = DEFAULT_RESULTS,
    study: StudyOption = DEFAULT_STUDY,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="The activation that the others are compared with (left out: the study file's, or relu).",
            autocompletion=complete_activation,
            show_default=False,
            rich_help_panel=COMPARED,
        ),
    ] = None,
    focus: Annotated[
        str | None,
        typer.Option(
            help="The activation that the question is about (left out: all of them, the first one in full).",
            show_default=False,
            rich_help_panel=COMPARED,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help=f"Another study of the same protocol, to compare digit by digit: {ANY_STUDY}.",
            autocompletion=complete_study,
            show_default=False,
            rich_help_panel=COMPARED,
        ),
    ] = None,
    beside: Annotated[
        list[str] | None,
        typer.Option(
            help=f"A study of other data or another network to list beside this one: {ANY_STUDY}. Repeat the option"
            " for several.",
            autocompletion=complete_study,
            show_default=False,
            rich_help_panel=COMPARED,
        ),
    ] = None,
    output: Annotated[
        Literal["table", "markdown", "csv", "json", "latex", "runs"] | None,
        typer.Option(
            "--format",
            help="What is printed (left out: table); runs: every epoch of every run as CSV.",
            show_default=False,
            rich_help_panel=SHOWN,
        ),
    ] = None,
    checklist: Annotated[
        bool,
        typer.Option(
            "--checklist",
            help="Print what the NeurIPS checklist asks about error bars and computation instead, and write nothing.",
            rich_help_panel=SHOWN,
        ),
    ] = False,
    figures: Annotated[
        Literal["pdf"] | None,
        typer.Option(
            help="Write each figure in this format, too, beside SVG and PNG.", show_default=False, rich_help_panel=SHOWN
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say below each table what its columns mean.", rich_help_panel=SHOWN)
    ] = False,
    width: Annotated[
        str | None,
        typer.Option(
            help="Draw figures for print, as wide as a paper's column: 85mm, 8.5cm, 3.35in.",
            show_default=False,
            rich_help_panel=SHOWN,
        ),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FOLDER",
            help="A new folder for page, tables and figures (left out: the study's folder report, which is replaced).",
            show_default=False,
            rich_help_panel=SHOWN,
        ),
    ] = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
    named: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STUDY...",
            help=f"The study, as for --study: {ANY_STUDY}, or a study file. Several, or a folder of study files: one"
            " overview over them.",
            show_default=False,
            autocompletion=complete_study,
        ),
    ] = None,
) -> None:
    """Compare the activations of a study, or what they do in several.

    Everything is computed from the study's runs. Its folder `report` is replaced: tables, figures, and the page
    report.html; --output names another folder. Of several studies that folder is in the one of all studies.
    """
    from fluidrelu_cli.cli.progress import Spinner
    from fluidrelu_cli.report.checklist import write_checklist
    from fluidrelu_cli.report.compose import illustrate, write_report
    from fluidrelu_cli.report.formats import FORMATS, to_parts

    written = {"--figures": figures, "--width": width, "--output": into, "--explain": explain}
    shown = _pick_format(output, as_json, written if checklist else None)
    inches = None if width is None else _parse_width(width)
    if into is not None and into.exists() and not (into.is_dir() and not any(into.iterdir())):
        raise UsageError(f"{into} is there already: name another folder with --output, or move it away.")
    kinds = ("png", "svg", *([figures] if figures else ()))
    typed = list_studies(results, named or [], study)
    if shown == CHECKLIST and len(typed) > 1:
        raise UsageError("--checklist is of one study: ask for that of each by itself.")
    compared = {"--baseline": baseline, "--focus": focus, "--against": against, "--beside": beside}
    draft, looked, folder = _draft(results, typed, compared, trust)
    if shown == CHECKLIST:
        _record_looks(looked)
        _say_all(draft.notes)
        show_text(write_checklist(looked, draft.standing))
        return
    # stdout is for results; an activation of somebody's own may print
    with Spinner(open_stderr(), "Drawing the figures"), contextlib.redirect_stdout(sys.stderr):
        document = illustrate(draft, kinds, inches)
    _record_looks(looked)
    folder = into or folder
    failed = _write_first(lambda: write_report(document, folder))
    _say_all(document.notes)
    if shown == "table":
        for part in to_parts(document, explain=explain):
            show(part)
    else:
        show_text(FORMATS[shown](document))
    if failed:
        raise typer.Exit(failed)
    hint = " --explain adds here what the columns mean." if shown == "table" and not explain else ""
    say(f"Written: {folder / 'report.html'}, with tables and figures in the same folder.{hint}")


def list_studies(results: Path, named: Sequence[str], study: str) -> list[str]:
    """The studies that are meant, as they were typed: a folder of study files is all of these.

    Raises UsageError if one is named twice.
    """
    from fluidrelu_cli.declaration import ENDING
    from fluidrelu_cli.study_file import find_files

    if named and study not in (DEFAULT_STUDY, *named):
        raise UsageError(f"The study is named twice, {named[0]} and --study {study}: leave one out.")
    found: list[str] = []
    for each in named or [study]:
        files = sorted(Path(each).glob(f"*{ENDING}")) if each and Path(each).is_dir() else []
        found += map(str, find_files(files)) if files and find_folder(results, each) is None else [each]
    twice = [each for each in found if found.count(each) > 1]
    if twice:
        raise UsageError(f"{twice[0]} is named twice: leave one out.")
    return found


def _draft(
    results: Path, typed: Sequence[str], options: Mapping[str, Any], trust: bool
) -> tuple[Document, list[Evidence], Path]:
    """The report that is meant, undrawn; what the runs behind it show; and the folder that it is written to.

    Args:
        results: the folder of all studies.
        typed: one study, a file that varies something, or several studies.
        options: by name those that say what is compared.
        trust: whether code that only a study names may be imported.
    """
    from fluidrelu_cli.report.compose import build_document
    from fluidrelu_cli.report.grid import build_grid_document
    from fluidrelu_cli.report.overview import build_overview_document

    if len(typed) > 1:
        _refuse_compared("Several studies are compared as their files say", options)
        studies = _gather_several(results, typed, trust)
        return build_overview_document(studies, date.today()), studies, results / "report"
    [study] = typed
    grid = _gather_grid(results, study, trust)
    if grid is None:
        beside = options["--beside"] or ()
        baseline, focus, against = (options[name] for name in ("--baseline", "--focus", "--against"))
        evidence = _gather(results, [study, *beside], baseline, focus, against, trust)
        return build_document(evidence, date.today()), [evidence], evidence.study.folder / "report"
    _refuse_compared(f"{study} is a grid, whose file says what is compared", options)
    declaration, cells = grid
    folder = (declaration.home or results) / declaration.name / "report"
    return build_grid_document(declaration, cells, date.today()), [*cells.values()], folder


CHECKLIST = "checklist"


def _pick_format(output: str | None, as_json: bool, beside_checklist: Mapping[str, object] | None) -> str:
    """What is printed: a format, or CHECKLIST.

    Args:
        output: what --format says.
        as_json: whether --json is given.
        beside_checklist: with --checklist the other options, which it leaves nothing to do.
    """
    if beside_checklist is not None:
        chosen = {"--format": output not in (None, "table"), "--json": as_json, **beside_checklist}
        given = [name for name, value in chosen.items() if value]
        if given:
            raise UsageError(f"--checklist prints plain text and writes no files: leave {given[0]} out.")
        return CHECKLIST
    return pick_format(output, as_json)


MILLIMETRES = {"mm": 1.0, "cm": 10.0, "in": 25.4}
NARROWEST, WIDEST = 40.0, 500.0
"""Widths of a figure in millimetres."""


def _parse_width(text: str) -> float:
    """A width such as 85mm in inches; UsageError if it is none, or nothing could be read at it."""
    written = re.fullmatch(r"(\d+(?:\.\d+)?) ?(mm|cm|in)", text.strip(), re.ASCII)
    width = float(written[1]) * MILLIMETRES[written[2]] if written else 0.0
    if not NARROWEST <= width <= WIDEST:
        raise UsageError(
            f"--width {text} is no width from {NARROWEST:g} mm to {WIDEST:g} mm: write it with its unit, as 85mm, 8.5cm"
            " or 3.35in."
        )
    return width / MILLIMETRES["in"]


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


def _gather(
    results: Path, names: list[str], baseline: str | None, focus: str | None, against: str | None, trust: bool
) -> Evidence:
    from fluidrelu_cli.declared import find_question, find_settled, lacks_runs, settle
    from fluidrelu_cli.report.evidence import Evidence

    named, declaration, tuned = names[0], None, None
    question = find_question(results, named) if find_folder(results, named) is None else None
    if question is not None:
        named = question.name
        declaration, tuned = settle(question, results)
        folder = find_folder(results, named)
        if folder is None or not find_runs(folder / "runs"):
            raise lacks_runs(declaration)
    own, *others = [find_study(results, name) for name in (named, *names[1:])]
    if declaration is None:
        declaration, tuned = find_settled(own)
    other = find_study(results, against) if against is not None else None
    if len({study.folder.resolve() for study in (own, *others)}) < len(names):
        raise UsageError("--study and --beside name a study twice: leave one out.")
    return Evidence(
        own,
        baseline=baseline,
        focus=focus,
        against=Evidence(other) if other is not None else None,
        beside=[Evidence(beside, baseline=baseline) for beside in others],
        trusted=None if trust else (),
        declaration=declaration,
        tuned=tuned,
    )


def _gather_grid(results: Path, typed: str, trust: bool) -> tuple[Declaration, dict[Cell, Evidence]] | None:
    """A file that varies something, and what the runs of its cells show; None if a single study is meant.

    A cell without a run that counts is left out, which is said. Raises FluidReluError if there is no other.
    """
    from fluidrelu_cli.declared import find_question, find_studies, lacks_runs, settle
    from fluidrelu_cli.report.evidence import Evidence

    declaration = find_question(results, typed)
    if declaration is None or not declaration.is_grid or find_folder(results, typed) is not None:
        return None
    declaration, _ = settle(declaration, results)
    by_name = {declaration.study_name(cell): cell for cell in declaration.cells}
    cells: dict[Cell, Evidence] = {}
    for study in find_studies(results, typed):
        try:
            evidence = Evidence(study, trusted=None if trust else (), declaration=declaration)
        except FluidReluError as error:  # noqa: PERF203 - the others may do
            say(str(error))
        else:
            cells[by_name[study.name]] = evidence
    if not cells:
        raise lacks_runs(declaration)
    return declaration, cells


def _gather_several(results: Path, typed: Sequence[str], trust: bool) -> list[Evidence]:
    """What the runs of several studies show; one that has none yet, or is a grid, is left out, which is said.

    Raises UsageError if one is not there, or two have one name.
    """
    found: dict[str, Evidence] = {}
    grids = [each for each in typed if _is_grid(results, each)]
    if grids:
        say(f"Left out: {', '.join(grids)}. What varies something has a report of its own: name each by itself.")
    for each in (each for each in typed if each not in grids):
        try:
            evidence = _gather(results, [each], None, None, None, trust)
        except UsageError:
            raise
        except FluidReluError as error:
            say(f"{each} is left out: {error}")
            continue
        if evidence.study.name in found:
            raise UsageError(f"Two of the studies are called {evidence.study.name}: leave one out.")
        found[evidence.study.name] = evidence
    return [*found.values()]


def _is_grid(results: Path, typed: str) -> bool:
    from fluidrelu_cli.declared import find_question

    declaration = find_question(results, typed) if find_folder(results, typed) is None else None
    return declaration is not None and declaration.is_grid


def _refuse_compared(reason: str, options: Mapping[str, object]) -> None:
    given = [name for name, value in options.items() if value]
    if given:
        raise UsageError(f"{reason}: leave {given[0]} out.")


def _say_all(notes: Sequence[str]) -> None:
    for note in notes:
        say(note)


def _record_looks(looked: Sequence[Evidence]) -> None:
    for each in looked:
        _record_look(each)


def _record_look(evidence: Evidence) -> None:
    """Write into the study's log that its report was looked at, and at how many runs; say so if that cannot be."""
    from fluidrelu_cli.declared import keep_declaration

    declared = evidence.declaration
    counts = {name: evidence.count_seeds(name) for name in evidence.order if evidence.count_seeds(name)}
    file, digest = (None, None) if declared is None else (declared.path.as_posix(), declared.sha256)
    try:
        if declared is not None:
            keep_declaration(declared, evidence.study.folder.parent if declared.is_grid else evidence.study.folder)
        evidence.study.record(Entry(LOOKED, counts, file=file, sha256=digest))
    except StorageError as error:
        say(f"This look is not in the study's log: {error}")


@with_study_argument
def plan(
    effect: Annotated[
        float | None,
        typer.Option(help="Smallest difference in mean accuracy to detect (left out: the margin).", show_default=False),
    ] = None,
    act: Annotated[
        str | None,
        typer.Option(
            help="The activation (left out: the one that the study is about).",
            autocompletion=complete_activation,
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="The activation that it is compared with (left out: what the study's file says, or relu).",
            autocompletion=complete_activation,
            show_default=False,
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="Differences smaller than this count as equal (left out: the margin in the study's file, or 5 % of the"
            " baseline's errors).",
            show_default=False,
        ),
    ] = None,
    power: Annotated[float, typer.Option(help="Probability of detecting it.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="Level of the test, for all that is adjusted together.")] = 0.05,
    workers: WorkersOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
    study: StudyOption = DEFAULT_STUDY,
    as_json: JsonOption = False,
) -> None:
    """Show how many seeds decide a question, and how long they take, from a study's own runs.

    A study file that varies something gets a plan for each of its studies.
    """
    from fluidrelu_cli.analysis import planning
    from fluidrelu_cli.cli.wording import describe_plan
    from fluidrelu_cli.declared import find_question, find_studies, settle
    from fluidrelu_cli.workers.local import default_workers

    declaration = find_question(results, study)
    if declaration is not None:
        declaration, _ = settle(declaration, results)
    if declaration is not None and declaration.compare is not None:
        act, baseline = act or declaration.compare[0], baseline or declaration.compare[1]
    if declaration is not None and margin is None:
        margin = declaration.margin
    opened = find_studies(results, study)
    file = None if declaration is None else declaration.path.as_posix()
    make = functools.partial(planning.plan, effect=effect, margin=margin, power=power, alpha=alpha)
    asked = functools.partial(_plan, act, baseline or DEFAULT_BASELINE, declaration, make)
    listed = []
    for each, made in _plan_all(opened, asked):
        team = workers or default_workers(made.device)
        listed.append({"study": str(each.folder), **_list_fields(made), "workers": team, "seconds": made.seconds(team)})
        where = shlex.join([*(["--study", each.name] if file is None else [file]), "--results", str(results)])
        model = each.protocol.model if is_own(each.protocol.model) else None
        heading = [f"{each.folder}:"] if len(opened) > 1 else []
        enough = declaration is not None and declaration.seeds.get(made.activation, 0) >= made.seeds_decide
        sentences = describe_plan(made, team, where, model, file, enough=enough)
        for sentence in () if as_json else (*heading, *sentences):
            show(sentence)
    if as_json:
        is_grid = declaration is not None and declaration.is_grid and find_folder(results, study) is None
        show_json(listed if is_grid else listed[0])


def _plan_all(opened: Sequence[Study], make: Callable[[Study], Plan]) -> list[tuple[Study, Plan]]:
    """A plan by the runs of each study; where some of several do not allow one, that is said."""
    if len(opened) == 1:
        return [(opened[0], make(opened[0]))]
    plans = []
    for study in opened:
        try:
            plans.append((study, make(study)))
        except FluidReluError as error:  # noqa: PERF203 - the others may do
            say(f"{study.folder}: {error}")
    if not plans:
        raise FluidReluError("No study of the file has enough runs for a plan: train some more pairs first.")
    return plans


def _plan(
    act: str | None, baseline: str, declaration: Declaration | None, make: Callable[..., Plan], study: Study
) -> Plan:
    """A plan by the runs of a study; what is to be known of these is said.

    Args:
        act: the activation, or None for the first that the study was asked for.
        baseline: what it is compared with.
        declaration: the study file, which says what else is compared; without one all that the study has is.
        make: planning.plan of runs, an activation, a baseline and a family.
        study: the study.
    """
    from fluidrelu_cli.analysis.planning import find_family
    from fluidrelu_cli.audit import describe_doubts
    from fluidrelu_cli.cli import wording

    contents = study.read()
    trained = {run.trial.activation for run in contents.runs}
    names = {name.lower(): name for name in trained}
    first = next((name for name in study.asked if name in trained - {baseline}), DEFAULT_ACTIVATIONS[1])
    act, baseline = (name if name in trained else names.get(name.lower(), name) for name in (act or first, baseline))
    family = (
        find_family(act, baseline, {*study.asked, *trained})
        if declaration is None
        else find_family(act, baseline, declaration.activations, declaration.compare, len(declaration.cells))
    )
    made = make(contents.runs, act, baseline, family=family)
    mixtures = describe_doubts([run for run in contents.runs if run.trial.activation in (act, baseline)], study.folder)
    for note in (*contents.notes, *mixtures, *filter(None, [wording.describe_left_out(made)])):
        say(note)
    return made


def _list_fields(made: Plan) -> dict[str, Any]:
    """A plan's fields as JSON has them: a number of seeds that is only known to be above any plan's is null."""
    fields = asdict(made)
    beyond = {name for name in fields if name.startswith("seeds") and fields[name] > MOST_SEEDS}
    return {name: None if name in beyond else value for name, value in fields.items()}


def calibrate(
    studies: Annotated[
        list[str],
        typer.Argument(
            metavar="STUDY|FILE...",
            help=f"Studies with ReLU runs, one per batch size; each {ANY_STUDY}, or a file that declares several.",
            autocompletion=complete_study,
        ),
    ],
    results: ResultsOption = DEFAULT_RESULTS,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="A folder to write the table to, too, as calibration.csv and calibration.md.",
            show_default=False,
            rich_help_panel=WHERE_RESULTS_GO,
        ),
    ] = None,
) -> None:
    """Find the batch size and epochs whose ReLU accuracies are closest to the paper's; only ReLU is looked at."""
    from fluidrelu_cli.analysis.calibration import calibration, check_calibration
    from fluidrelu_cli.analysis.published import PAPER
    from fluidrelu_cli.audit import describe_doubts
    from fluidrelu_cli.declared import find_studies
    from fluidrelu_cli.files import csv_text
    from fluidrelu_cli.report import tables
    from fluidrelu_cli.run import tabulate_runs

    opened = [study for typed in studies for study in find_studies(results, typed)]
    check_calibration({str(study.folder): study.protocol for study in opened})
    contents = [study.read_some() for study in opened]
    for study, found in zip(opened, contents, strict=True):
        for note in (*found.notes, *describe_doubts(found.runs, study.folder)):
            say(note)
    runs = {study.protocol.batch_size: tabulate_runs(found.runs) for study, found in zip(opened, contents, strict=True)}
    table = calibration(runs, PAPER)
    cells = tables.calibration_cells(table)
    failed = _write_first(lambda: _write_tables(output, csv_text(table), tables.markdown(*cells)))
    show(tables.rich_table("ReLU against the paper's ReLU", *cells))
    if failed:
        raise typer.Exit(failed)
    if output is not None:
        say(f"Written: {output / 'calibration.csv'} and calibration.md in the same folder.")


def _write_tables(folder: Path | None, csv: str, markdown: str) -> None:
    if folder is not None:
        for name, text in (("calibration.csv", csv), ("calibration.md", markdown)):
            write_whole(folder / name, text)


def restore(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY",
            help=f"The study whose study.json is missing or damaged: {ANY_STUDY}.",
            autocompletion=complete_study,
        ),
    ],
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Make a study's study.json again from what its runs record."""
    restored = restore_study(results, study)
    asked = ", ".join(f"{count(n, 'seed')} of {name}" for name, n in restored.asked.items())
    show(f"Restored: {restored.path}, as if {asked} had been asked for.")
