"""The command line: parse, call, show. torch is imported where it is needed."""

from __future__ import annotations

import dataclasses
import shlex
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from fluidrelu_cli import __version__
from fluidrelu_cli.cli.data import data, get_dataset
from fluidrelu_cli.cli.options import (
    AugmentOption,
    BaselineOption,
    BatchSizeOption,
    BetaOption,
    DataDirOption,
    DatasetOption,
    DebugOption,
    DeviceOption,
    EpochsOption,
    LrOption,
    ModelOption,
    MomentumOption,
    OfflineOption,
    PrecisionOption,
    ResultsOption,
    ScheduleOption,
    StandardiseOption,
    StudyOption,
    TestImagesOption,
    TrainImagesOption,
    ValidationImagesOption,
    WeightDecayOption,
    WorkersOption,
)
from fluidrelu_cli.cli.terminal import handled, say, show
from fluidrelu_cli.errors import FluidReluError, UsageError, one_line
from fluidrelu_cli.protocol import PAPER_PAIR, Protocol, Trial
from fluidrelu_cli.run import EpochRecord, TrialResult
from fluidrelu_cli.study import DEFAULT_STUDY, Study, open_study, read_study, study_folder

if TYPE_CHECKING:
    from collections.abc import Generator

    from fluidrelu_cli.analysis.calibration import Calibration
    from fluidrelu_cli.report.evidence import Report
    from fluidrelu_cli.workers.local import Event, Job

app = typer.Typer(
    help="Is this activation function really better, or were three seeds lucky?",
    epilog="Example: fluidrelu repeat -n 3 && fluidrelu report",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(data, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fluidrelu {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: fluidrelu train --act fluid --seed 1")
@handled
def train(
    context: typer.Context,
    act: Annotated[str, typer.Option(help="The activation; `fluidrelu acts` lists them.")] = "fluid",
    seed: Annotated[int, typer.Option(help="Determines initial weights and data order.")] = 0,
    dataset: DatasetOption = None,
    model: ModelOption = None,
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    lr: LrOption = None,
    momentum: MomentumOption = None,
    beta: BetaOption = None,
    schedule: ScheduleOption = None,
    weight_decay: WeightDecayOption = None,
    standardise: StandardiseOption = None,
    augment: AugmentOption = None,
    train_images: TrainImagesOption = None,
    test_images: TestImagesOption = None,
    validation_images: ValidationImagesOption = None,
    precision: PrecisionOption = None,
    device: DeviceOption = "auto",
    data_dir: DataDirOption = None,
    offline: OfflineOption = False,
    results: ResultsOption = Path("results"),
    study: StudyOption = DEFAULT_STUDY,
    debug: DebugOption = False,
) -> None:
    """Train one trial, show each epoch, and write its run CSV."""
    import pandas as pd

    from fluidrelu_cli.cli.progress import EpochLines
    from fluidrelu_cli.report.tables import epoch_cells, rich_table
    from fluidrelu_cli.run import read_run

    opened, [name], device_name, data_folder = _opened(
        results, study, _requested(context), [act], device, data_dir, offline
    )
    trial = Trial(opened.protocol, name, seed)
    files = opened.files(trial.name)
    with opened.locked():
        missing, notes = opened.missing([trial])
        for note in notes:
            say(note)
        if missing:
            with EpochLines(Console(stderr=True), trial) as progress:
                opened.write(_trained(opened, trial, data_folder, device_name, progress.show))
        else:
            say(f"This trial is finished already: {files.csv} (delete it to train again).")
    run = pd.DataFrame(read_run(files, opened.protocol))
    show(rich_table(trial.name, *epoch_cells(run)))
    show(f"test accuracy {run['test_accuracy'].iloc[-1]:.4f}   {files.csv}")


def _trained(
    study: Study, trial: Trial, data_dir: Path, device_name: str, on_epoch: Callable[[EpochRecord], None]
) -> TrialResult:
    from fluidrelu_cli.training.loop import run_together

    try:
        [result] = run_together([trial], data_dir, device_name, lambda records: on_epoch(records[0]))
    except FluidReluError:
        raise
    except Exception as error:  # most likely the user's own activation
        path = study.write_failure(trial, traceback.format_exc())
        raise FluidReluError(f"{trial.name} failed: {one_line(error)}; its traceback is in {path}.") from error
    return result


@app.command(epilog="Example: fluidrelu repeat -n 10 --act relu --act fluid")
@handled
def repeat(
    context: typer.Context,
    n: Annotated[int, typer.Option("-n", help="Seeds of each activation: 0, 1, ..., n - 1.")] = 3,
    act: Annotated[
        list[str], typer.Option(help="An activation; repeat the option for several. `fluidrelu acts` lists them.")
    ] = list(PAPER_PAIR),  # noqa: B006  (Typer copies it)
    workers: WorkersOption = None,
    batch_seeds: Annotated[
        str, typer.Option(help="Seeds that a worker trains together: a number, or auto (1 on a CPU, 64 on a GPU).")
    ] = "auto",
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Train on the Dask cluster whose scheduler is at this address (tcp://host:8786).",
            show_default=False,
        ),
    ] = None,
    dataset: DatasetOption = None,
    model: ModelOption = None,
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    lr: LrOption = None,
    momentum: MomentumOption = None,
    beta: BetaOption = None,
    schedule: ScheduleOption = None,
    weight_decay: WeightDecayOption = None,
    standardise: StandardiseOption = None,
    augment: AugmentOption = None,
    train_images: TrainImagesOption = None,
    test_images: TestImagesOption = None,
    validation_images: ValidationImagesOption = None,
    precision: PrecisionOption = None,
    device: DeviceOption = "auto",
    data_dir: DataDirOption = None,
    offline: OfflineOption = False,
    results: ResultsOption = Path("results"),
    study: StudyOption = DEFAULT_STUDY,
    debug: DebugOption = False,
) -> None:
    """Train n seeded trials of each activation, those that are not finished yet."""
    from fluidrelu_cli.workers.local import default_workers, jobs_of, run_on_this_machine

    if n < 1:
        raise UsageError(f"-n must be a whole number from 1, not {n}.")
    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be a whole number from 1, not {workers}.")
    if workers is not None and dask is not None:
        raise UsageError("--workers is for this machine; a Dask cluster has its own: leave one of the two out.")
    opened, names, device_name, data_folder = _opened(
        results, study, _requested(context), act, device, data_dir, offline, elsewhere=dask is not None
    )
    seeds = _batch_seeds(batch_seeds, device_name)
    with opened.locked():
        trials = opened.ask(names, n)
        missing, notes = opened.missing(trials)
        for note in notes:
            say(note)
        there = len(trials) - len(missing)
        say(f"{opened.folder}: {len(trials)} trials asked for, {there} there already, {len(missing)} to train.")
        jobs = jobs_of(missing, seeds)
        if dask is not None and jobs:
            events = _on_cluster(jobs, dask, data_dir, device_name)
        else:
            events = run_on_this_machine(jobs, workers or default_workers(device_name), data_folder, device_name)
        failures = _write_as_they_end(opened, len(missing), events)
    _show_summary(opened)
    if failures:
        say(f"Error: {failures} of {len(missing)} trials failed; the same command tries them again.")
        raise typer.Exit(1)


def _batch_seeds(value: str, device_name: str) -> int:
    from fluidrelu_cli.workers.local import BATCH_SEEDS_ON_CUDA

    if value == "auto":
        return BATCH_SEEDS_ON_CUDA if device_name == "cuda" else 1
    if not value.isdecimal() or int(value) < 1:
        raise UsageError(f"--batch-seeds must be auto or a whole number from 1, not {value}.")
    return int(value)


def _on_cluster(jobs: list[Job], address: str, data_dir: Path | None, device_name: str) -> Generator[Event, None, None]:
    from fluidrelu_cli.workers.cluster import DaskPool
    from fluidrelu_cli.workers.local import follow

    pool = DaskPool(address, data_dir, device_name)
    say(f"{address}: {pool.workers or 'no'} workers{'' if pool.workers else ' yet: waiting for some (Ctrl-C stops)'}.")
    return follow(pool, jobs)


def _write_as_they_end(study: Study, trials: int, events: Generator[Event, None, None]) -> int:
    """Write each trial as it ends, show what happens; how many failed."""
    from fluidrelu_cli.cli.progress import TrialsProgress
    from fluidrelu_cli.workers.local import Failed, Finished

    failures = 0
    with TrialsProgress(Console(stderr=True), trials) as progress, closing(events):
        for event in events:
            if isinstance(event, Finished):
                for result in event.results:
                    study.write(result)
            progress.show(event)
            if isinstance(event, Failed):
                failures += 1
                say(f"    traceback: {study.write_failure(event.trial, event.details)}")
    return failures


@app.command(epilog="Example: fluidrelu report --against results/paper")
@handled
def report(
    results: ResultsOption = Path("results"),
    study: StudyOption = DEFAULT_STUDY,
    against: Annotated[
        Path | None, typer.Option(help="The folder of another study, to set beside this one.", show_default=False)
    ] = None,
    baseline: BaselineOption = PAPER_PAIR[0],
    beside: Annotated[
        list[str] | None,
        typer.Option(help="A study of other data or another network to list beside this one; repeat for several."),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="What stdout gets: table, markdown, csv, json or latex.")
    ] = "table",
    debug: DebugOption = False,
) -> None:
    """Compare the activations of a study, from its run CSVs; tables, figures and page in its folder are replaced."""
    from fluidrelu_cli.report.evidence import FORMATS, Report

    if form not in FORMATS:
        raise UsageError(f"There is no format '{form}'; use --format {', '.join(FORMATS[:-1])} or {FORMATS[-1]}.")
    other = read_study(against) if against is not None else None
    names = [study, *(beside or ())]
    if len(set(names)) < len(names):
        raise UsageError("--study and --beside name a study twice: leave one out.")
    own, *others = [dataclasses.replace(read_study(study_folder(results, name)), name=name) for name in names]
    made = Report(own, other, baseline, others)
    _publish(made, None if form == "table" else made.text(form))


@app.command(epilog="Example: fluidrelu plan --effect 0.0005 --study paper")
@handled
def plan(
    effect: Annotated[float, typer.Option(help="The true difference of mean accuracies that is to be found.")],
    act: Annotated[str, typer.Option(help="The activation.")] = PAPER_PAIR[1],
    baseline: BaselineOption = PAPER_PAIR[0],
    power: Annotated[float, typer.Option(help="With what probability it is to be found.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="The level of the test.")] = 0.05,
    workers: WorkersOption = None,
    results: ResultsOption = Path("results"),
    study: StudyOption = DEFAULT_STUDY,
    debug: DebugOption = False,
) -> None:
    """Tell how many seeds it takes to find a difference, and how long, from a study's own runs."""
    from fluidrelu_cli.analysis import planning
    from fluidrelu_cli.networks.named import ACTIVATIONS
    from fluidrelu_cli.report import wording as sentences
    from fluidrelu_cli.workers.local import default_workers

    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be a whole number from 1, not {workers}.")
    opened = read_study(study_folder(results, study))
    act, baseline = (name.lower() if name.lower() in ACTIVATIONS else name for name in (act, baseline))
    made = planning.plan(opened, act, baseline, effect, power, alpha)
    for note in made.notes:
        say(note)
    where = shlex.join(["--study", study, "--results", str(results)])
    for sentence in sentences.planned(made, workers or default_workers(made.device), where):
        show(sentence)


@app.command(epilog="Example: fluidrelu verify results/paper/runs/relu-seed0.csv")
@handled
def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN.csv", help="The run's CSV; its .json must lie beside it.")],
    device: Annotated[
        str | None, typer.Option(help="Where to train (left out: on such a device as recorded).", show_default=False)
    ] = None,
    data_dir: DataDirOption = None,
    offline: OfflineOption = False,
    debug: DebugOption = False,
) -> None:
    """Train a run again from its own record and tell whether the numbers agree; exit code 1 if they do not."""
    from fluidrelu_cli import verification
    from fluidrelu_cli.cli.progress import EpochLines
    from fluidrelu_cli.data.catalogue import default_data_dir
    from fluidrelu_cli.networks.named import resolve
    from fluidrelu_cli.report.wording import verified_run
    from fluidrelu_cli.training.loop import pick_device

    recorded = verification.read_record(run)
    trial = recorded.trial
    resolve(trial.activation)
    folder = data_dir or default_data_dir()
    get_dataset(trial.protocol, folder, offline)
    device_name = pick_device(device or str(recorded.provenance.get("device") or "auto")).type
    with EpochLines(Console(stderr=True), trial) as progress:
        try:
            verified = verification.verify(recorded, folder, device_name, progress.show)
        except FluidReluError:
            raise
        except Exception as error:  # most likely the user's own activation
            raise FluidReluError(f"{trial.name} failed: {one_line(error)}; --debug shows where.") from error
    for sentence in verified_run(verified, run):
        show(sentence)
    if not verified.agrees:
        raise typer.Exit(1)


@app.command(epilog="Example: fluidrelu calibrate calibration/batch-10 calibration/batch-100")
@handled
def calibrate(
    studies: Annotated[list[str], typer.Argument(help="Studies with ReLU runs, one a batch size.")],
    results: ResultsOption = Path("results"),
    debug: DebugOption = False,
) -> None:
    """Find the batch size and epochs whose ReLU accuracies are closest to the paper's; only ReLU is looked at.

    The table is also written, as calibration.csv and calibration.md, beside the studies.
    """
    from fluidrelu_cli.analysis.calibration import Calibration

    made = Calibration([read_study(study_folder(results, name)) for name in studies])
    _publish(made)


@app.command(epilog="Example: fluidrelu acts")
@handled
def acts(debug: DebugOption = False) -> None:
    """List the activations that can be named, with formula and source."""
    from fluidrelu_cli.networks.named import ACTIVATIONS
    from fluidrelu_cli.report.tables import rich_table

    rows = [[activation.name, activation.formula, activation.source] for activation in ACTIVATIONS.values()]
    show(rich_table("Activations", ["name", "formula", "source"], rows, left=range(3)))
    show(
        '"v | g" means v for v ≥ 0 and g for v < 0; γ = v / (2 exp(a)), a learned per kernel from 0.\n'
        "Any class of torch.nn can be named too (--act Mish), and any that can be imported (--act mymodule:MyAct)."
    )


@app.command(epilog="Example: fluidrelu models")
@handled
def models(debug: DebugOption = False) -> None:
    """List the networks that can be named, with their layers and source."""
    from fluidrelu_cli.networks.named import ARCHITECTURES
    from fluidrelu_cli.report.tables import rich_table

    rows = [[model.name, model.layers, str(model.smallest), model.source] for model in ARCHITECTURES.values()]
    show(rich_table("Networks", ["name", "layers", "least\nside", "source"], rows, left=(0, 1, 3)))
    show(
        "Each adapts to channels, size (from the least side on) and classes of the images. Yours can be named too:"
        " --model mymodule:Net is called with (activation, shape, classes) and makes a torch.nn.Module."
    )


def _publish(made: Report | Calibration, text: str | None = None) -> None:
    """Show on the terminal, or print the text instead, then write."""
    for note in made.notes:
        say(note)
    if text is not None:
        typer.echo(text, nl=False)
    for part in made.parts() if text is None else ():
        show(part)
    *others, last = made.write()
    say(f"written: {last}, and beside it {', '.join(sorted({_kind(path) for path in others}))}")


def _kind(path: Path) -> str:
    """A file's name, or the name of the folder of figures."""
    return f"{path.parent.name}/" if path.parent.name == "figures" else path.name


def _requested(context: typer.Context) -> dict[str, Any]:
    """The protocol's fields that the user gave a value for; every one has an option of its name."""
    names = {field.name for field in dataclasses.fields(Protocol)}
    return {name: value for name, value in context.params.items() if name in names and value is not None}


def _opened(
    results: Path,
    name: str,
    requested: dict[str, Any],
    activations: list[str],
    device: str,
    data_dir: Path | None,
    offline: bool,
    *,
    elsewhere: bool = False,
) -> tuple[Study, list[str], str, Path]:
    """The study, the activations' names in the registry's spelling, the device and the data folder, all usable.

    What is trained elsewhere has its device there: the name is left as it is.
    """
    from fluidrelu_cli.data.catalogue import canonical, default_data_dir
    from fluidrelu_cli.networks.build import build_model
    from fluidrelu_cli.networks.named import resolve, resolve_model
    from fluidrelu_cli.training.loop import check_device_name, pick_device

    check_device_name(device)
    if "dataset" in requested:
        requested["dataset"] = canonical(requested["dataset"])
    study = open_study(results, name, requested)
    resolved = {found.name: found for found in map(resolve, activations)}
    names = list(resolved)
    device_name = device if elsewhere else pick_device(device).type
    folder = data_dir or default_data_dir()
    dataset = get_dataset(study.protocol, folder, offline)
    study.check_data(dataset.sha256)
    sources = {name: activation.sha256 for name, activation in resolved.items()}
    for note in study.changed_sources(sources, resolve_model(study.protocol.model).sha256):
        say(note)
    for activation in resolved.values():  # before an hour is spent on it
        build_model(study.protocol, activation, 0, dataset.image_shape, dataset.classes)
    return study, names, device_name, folder


def _show_summary(study: Study) -> None:
    from fluidrelu_cli.analysis.inference import final_accuracies, summary
    from fluidrelu_cli.report.tables import rich_table, summary_cells

    runs, notes = study.read_runs()
    for note in notes:
        say(note)
    head, rows = summary_cells(summary(final_accuracies(runs), study.asked, study.test_images(runs)))
    show(rich_table(f"Accuracy after the last epoch: {study.folder}", head, rows))
