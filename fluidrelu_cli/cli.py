"""The command line: parse, call, show. The only module that knows Typer; torch is imported where it is needed."""

from __future__ import annotations

import dataclasses
import functools
import io
import os
import shlex
import shutil
import sys
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from fluidrelu_cli import __version__
from fluidrelu_cli.errors import FluidReluError, MissingDataError, UsageError, one_line
from fluidrelu_cli.protocol import PAPER_PAIR, Protocol, Trial
from fluidrelu_cli.records import EpochRecord, TrialResult
from fluidrelu_cli.study import DEFAULT_STUDY, Study, open_study, read_study, study_folder

if TYPE_CHECKING:
    from collections.abc import Generator

    from fluidrelu_cli.calibration import Calibration
    from fluidrelu_cli.datasets import Dataset
    from fluidrelu_cli.reporting import Report
    from fluidrelu_cli.workers import Event, Job

app = typer.Typer(
    help="Is this activation function really better, or were three seeds lucky?",
    epilog="Example: fluidrelu repeat -n 3 && fluidrelu report",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _protocol_option(field: str, text: str) -> Any:
    """An option that sets a field of the protocol; left out, an existing study's value holds."""
    return typer.Option(help=f"{text} (left out: the study's, or {getattr(Protocol, field)}).", show_default=False)


DatasetOption = Annotated[
    str | None, _protocol_option("dataset", "Data set: a name of `fluidrelu data list`, or the path of an .npz file")
]
ModelOption = Annotated[str | None, _protocol_option("model", "Network: a name of `fluidrelu models`, or module:Class")]
EpochsOption = Annotated[int | None, _protocol_option("epochs", "Passes over the training images")]
BatchSizeOption = Annotated[int | None, _protocol_option("batch_size", "Images a step")]
LrOption = Annotated[float | None, _protocol_option("lr", "Learning rate")]
MomentumOption = Annotated[float | None, _protocol_option("momentum", "Momentum")]
BetaOption = Annotated[float | None, _protocol_option("beta", "What the gradient of every a is multiplied by")]
TrainImagesOption = Annotated[
    int | None, typer.Option(help="Use only the first so many training images, for a quick look.", show_default=False)
]
TestImagesOption = Annotated[
    int | None, typer.Option(help="Use only the first so many test images.", show_default=False)
]
ScheduleOption = Annotated[
    str | None, _protocol_option("schedule", "How the learning rate goes: constant, cosine, or step")
]
WeightDecayOption = Annotated[
    float | None, _protocol_option("weight_decay", "L2 penalty of the weights, never of an activation's parameters")
]
StandardiseOption = Annotated[
    str | None, _protocol_option("standardise", "Standardise each channel of colour images, always, or never")
]
AugmentOption = Annotated[str | None, _protocol_option("augment", "Augment training images: none, or flip-crop")]
ValidationImagesOption = Annotated[
    int | None,
    typer.Option(
        help="Hold out so many training images and test on them, not on the test images: to choose settings by.",
        show_default=False,
    ),
]
PrecisionOption = Annotated[str | None, _protocol_option("precision", "fp32, or bf16 by torch.autocast")]
DeviceOption = Annotated[
    str, typer.Option(help="Where to train: auto (cuda if it is there, else cpu), cpu, cuda or mps.")
]
DataDirOption = Annotated[
    Path | None, typer.Option(help="Where data sets are kept (left out: the user's cache).", show_default=False)
]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Never download: fail if the data is not here.")]
ResultsOption = Annotated[Path, typer.Option(help="The folder of all studies.")]
StudyOption = Annotated[str, typer.Option(help="The study: a folder of results with one protocol.")]
BaselineOption = Annotated[str, typer.Option(help="The activation that others are compared with.")]
WorkersOption = Annotated[
    int | None, typer.Option(help="Worker processes (left out: one a core, or one for a GPU).", show_default=False)
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def _handled(command: Callable[..., None]) -> Callable[..., None]:
    """Turn every error into one sentence on stderr and an exit code."""

    @functools.wraps(command)
    def wrapper(*args: Any, debug: bool = False, **kwargs: Any) -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # γ where the encoding has none
        try:
            command(*args, debug=debug, **kwargs)
            sys.stdout.flush()
        except typer.Exit:
            raise
        except BrokenPipeError:  # `fluidrelu acts | head`: nobody reads on
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except (Exception, KeyboardInterrupt) as error:
            if debug:
                traceback.print_exc()
            code, message = _answer(error)
            _say(message)
            raise typer.Exit(code) from None

    return wrapper


def _answer(error: BaseException) -> tuple[int, str]:
    """An error's exit code and the sentence that says what to do next."""
    if isinstance(error, FluidReluError):
        return error.exit_code, f"Error: {error}"
    if isinstance(error, KeyboardInterrupt):
        return 130, f"Stopped; what is finished is kept. Go on with: {_this_command()}"
    return 1, f"Error: This should not happen: {one_line(error)}. --debug shows where."


def _this_command() -> str:
    """The command as it can be typed again."""
    if Path(sys.argv[0]).name == "__main__.py":
        name = "python3 -m fluidrelu_cli"
    else:
        name = "fluidrelu" if shutil.which("fluidrelu") else shlex.quote(sys.argv[0])
    return f"{name} {shlex.join(sys.argv[1:])}"


def _say(line: str) -> None:
    Console(stderr=True).print(line, soft_wrap=True, markup=False, highlight=False)


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
@_handled
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

    from fluidrelu_cli.progress import EpochLines
    from fluidrelu_cli.records import read_run
    from fluidrelu_cli.tables import epoch_cells, rich_table

    opened, [name], device_name, data_folder = _opened(
        results, study, _requested(context), [act], device, data_dir, offline
    )
    trial = Trial(opened.protocol, name, seed)
    files = opened.files(trial.name)
    with opened.locked():
        missing, notes = opened.missing([trial])
        for note in notes:
            _say(note)
        if missing:
            with EpochLines(Console(stderr=True), trial) as progress:
                opened.write(_trained(opened, trial, data_folder, device_name, progress.show))
        else:
            _say(f"This trial is finished already: {files.csv} (delete it to train again).")
    run = pd.DataFrame(read_run(files, opened.protocol))
    _print(rich_table(trial.name, *epoch_cells(run)))
    _print(f"test accuracy {run['test_accuracy'].iloc[-1]:.4f}   {files.csv}")


def _trained(
    study: Study, trial: Trial, data_dir: Path, device_name: str, on_epoch: Callable[[EpochRecord], None]
) -> TrialResult:
    from fluidrelu_cli.training import run_together

    try:
        [result] = run_together([trial], data_dir, device_name, lambda records: on_epoch(records[0]))
    except FluidReluError:
        raise
    except Exception as error:  # most likely the user's own activation
        path = study.write_failure(trial, traceback.format_exc())
        raise FluidReluError(f"{trial.name} failed: {one_line(error)}; its traceback is in {path}.") from error
    return result


@app.command(epilog="Example: fluidrelu repeat -n 10 --act relu --act fluid")
@_handled
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
    from fluidrelu_cli.workers import default_workers, jobs_of, run_on_this_machine

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
            _say(note)
        there = len(trials) - len(missing)
        _say(f"{opened.folder}: {len(trials)} trials asked for, {there} there already, {len(missing)} to train.")
        jobs = jobs_of(missing, seeds)
        if dask is not None and jobs:
            events = _on_cluster(jobs, dask, data_dir, device_name)
        else:
            events = run_on_this_machine(jobs, workers or default_workers(device_name), data_folder, device_name)
        failures = _write_as_they_end(opened, len(missing), events)
    _show_summary(opened)
    if failures:
        _say(f"Error: {failures} of {len(missing)} trials failed; the same command tries them again.")
        raise typer.Exit(1)


def _batch_seeds(value: str, device_name: str) -> int:
    from fluidrelu_cli.workers import BATCH_SEEDS_ON_CUDA

    if value == "auto":
        return BATCH_SEEDS_ON_CUDA if device_name == "cuda" else 1
    if not value.isdecimal() or int(value) < 1:
        raise UsageError(f"--batch-seeds must be auto or a whole number from 1, not {value}.")
    return int(value)


def _on_cluster(jobs: list[Job], address: str, data_dir: Path | None, device_name: str) -> Generator[Event, None, None]:
    from fluidrelu_cli.cluster import DaskPool
    from fluidrelu_cli.workers import follow

    pool = DaskPool(address, data_dir, device_name)
    _say(f"{address}: {pool.workers or 'no'} workers{'' if pool.workers else ' yet: waiting for some (Ctrl-C stops)'}.")
    return follow(pool, jobs)


def _write_as_they_end(study: Study, trials: int, events: Generator[Event, None, None]) -> int:
    """Write each trial as it ends, show what happens; how many failed."""
    from fluidrelu_cli.progress import TrialsProgress
    from fluidrelu_cli.workers import Failed, Finished

    failures = 0
    with TrialsProgress(Console(stderr=True), trials) as progress, closing(events):
        for event in events:
            if isinstance(event, Finished):
                for result in event.results:
                    study.write(result)
            progress.show(event)
            if isinstance(event, Failed):
                failures += 1
                _say(f"    traceback: {study.write_failure(event.trial, event.details)}")
    return failures


@app.command(epilog="Example: fluidrelu report --against results/paper")
@_handled
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
    from fluidrelu_cli.reporting import FORMATS, Report

    if form not in FORMATS:
        raise UsageError(f"There is no format '{form}'; use --format {', '.join(FORMATS[:-1])} or {FORMATS[-1]}.")
    other = read_study(against) if against is not None else None
    others = {name: read_study(study_folder(results, name)) for name in beside or ()}
    made = Report(read_study(study_folder(results, study)), other, baseline, others)
    _publish(made, None if form == "table" else made.text(form))


@app.command(epilog="Example: fluidrelu plan --effect 0.0005 --study paper")
@_handled
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
    from fluidrelu_cli import planning, sentences
    from fluidrelu_cli.registry import ACTIVATIONS
    from fluidrelu_cli.workers import default_workers

    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be a whole number from 1, not {workers}.")
    opened = read_study(study_folder(results, study))
    act, baseline = (name.lower() if name.lower() in ACTIVATIONS else name for name in (act, baseline))
    made = planning.plan(opened, act, baseline, effect, power, alpha)
    for note in made.notes:
        _say(note)
    where = shlex.join(["--study", study, "--results", str(results)])
    for sentence in sentences.planned(made, workers or default_workers(made.device), where):
        _print(sentence)


@app.command(epilog="Example: fluidrelu verify results/paper/runs/relu-seed0.csv")
@_handled
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
    from fluidrelu_cli.catalogue import default_data_dir
    from fluidrelu_cli.progress import EpochLines
    from fluidrelu_cli.registry import resolve
    from fluidrelu_cli.sentences import verified_run
    from fluidrelu_cli.training import pick_device

    recorded = verification.read_record(run)
    trial = recorded.trial
    resolve(trial.activation)
    folder = data_dir or default_data_dir()
    _loaded(trial.protocol, folder, offline)
    device_name = pick_device(device or str(recorded.provenance.get("device") or "auto")).type
    with EpochLines(Console(stderr=True), trial) as progress:
        try:
            verified = verification.verify(recorded, folder, device_name, progress.show)
        except FluidReluError:
            raise
        except Exception as error:  # most likely the user's own activation
            raise FluidReluError(f"{trial.name} failed: {one_line(error)}; --debug shows where.") from error
    for sentence in verified_run(verified, run):
        _print(sentence)
    if not verified.agrees:
        raise typer.Exit(1)


@app.command(epilog="Example: fluidrelu calibrate calibration/batch-10 calibration/batch-100")
@_handled
def calibrate(
    studies: Annotated[list[str], typer.Argument(help="Studies with ReLU runs, one a batch size.")],
    results: ResultsOption = Path("results"),
    debug: DebugOption = False,
) -> None:
    """Find the batch size and epochs whose ReLU accuracies are closest to the paper's; only ReLU is looked at.

    The table is also written, as calibration.csv and calibration.md, beside the studies.
    """
    from fluidrelu_cli.calibration import Calibration

    made = Calibration([read_study(study_folder(results, name)) for name in studies])
    _publish(made)


@app.command(epilog="Example: fluidrelu acts")
@_handled
def acts(debug: DebugOption = False) -> None:
    """List the activations that can be named, with formula and source."""
    from fluidrelu_cli.registry import ACTIVATIONS
    from fluidrelu_cli.tables import rich_table

    rows = [[activation.name, activation.formula, activation.source] for activation in ACTIVATIONS.values()]
    _print(rich_table("Activations", ["name", "formula", "source"], rows, left=range(3)))
    _print(
        '"v | g" means v for v ≥ 0 and g for v < 0; γ = v / (2 exp(a)), a learned per kernel from 0.\n'
        "Any class of torch.nn can be named too (--act Mish), and any that can be imported (--act mymodule:MyAct)."
    )


@app.command(epilog="Example: fluidrelu models")
@_handled
def models(debug: DebugOption = False) -> None:
    """List the networks that can be named, with their layers and source."""
    from fluidrelu_cli.models import ARCHITECTURES
    from fluidrelu_cli.tables import rich_table

    rows = [[model.name, model.layers, str(model.smallest), model.source] for model in ARCHITECTURES.values()]
    _print(rich_table("Networks", ["name", "layers", "least\nside", "source"], rows, left=(0, 1, 3)))
    _print(
        "Each adapts to channels, size (from the least side on) and classes of the images. Yours can be named too:"
        " --model mymodule:Net is called with (activation, shape, classes) and makes a torch.nn.Module."
    )


data = typer.Typer(help="The data sets that can be named: list, fetch and verify them.", no_args_is_help=True)
app.add_typer(data, name="data")


@data.command("list", epilog="Example: fluidrelu data list")
@_handled
def list_data(data_dir: DataDirOption = None, debug: DebugOption = False) -> None:
    """List the data sets that can be named, and which are here."""
    from fluidrelu_cli.catalogue import CATALOGUE, default_data_dir, path_of
    from fluidrelu_cli.tables import rich_table

    folder = data_dir or default_data_dir()
    rows = []
    for named in CATALOGUE.values():
        path = path_of(named, folder)
        where = "here" if path.exists() else "comes with the package" if named.bundled else "to be fetched"
        size = f"{path.stat().st_size / 1e6:.0f}" if path.exists() else "–"
        images = f"{named.images[0]:,} + {named.images[1]:,}"
        rows.append([named.name, images, " x ".join(map(str, named.shape)), str(named.classes), size, where])
    head = ["name", "images\n(train + test)", "channels x\nheight x width", "classes", "MB", ""]
    _print(rich_table(f"Data sets in {folder}", head, rows, left=(0, 5)))
    _print("Yours can be named too: --dataset path/to/file.npz, with x_train, y_train, x_test and y_test.")


@data.command("fetch", epilog="Example: fluidrelu data fetch cifar10")
@_handled
def fetch_data(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Data sets; `fluidrelu data list` lists them.")],
    data_dir: DataDirOption = None,
    debug: DebugOption = False,
) -> None:
    """Download data sets that are not here yet."""
    from fluidrelu_cli.catalogue import default_data_dir, find, path_of

    folder = data_dir or default_data_dir()
    for named in [find(name) for name in names]:
        _fetched(named.name, folder)
        _print(f"{named.name}: {path_of(named, folder)}")


@data.command("verify", epilog="Example: fluidrelu data verify cifar10 mine.npz")
@_handled
def verify_data(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME|FILE.npz", help="Data sets, or files of your own (left out: all that are here)."),
    ] = None,
    data_dir: DataDirOption = None,
    debug: DebugOption = False,
) -> None:
    """Tell whether data sets are intact, and files of your own fit; exit code 1 if one is not."""
    from fluidrelu_cli.catalogue import CATALOGUE, canonical, check, default_data_dir, path_of
    from fluidrelu_cli.datasets import read_npz
    from fluidrelu_cli.sentences import verified_data

    folder = data_dir or default_data_dir()
    here = [named.name for named in CATALOGUE.values() if path_of(named, folder).exists()]
    if not (names or here):
        _say(f"No data set is in {folder} yet: `fluidrelu data fetch NAME` gets one.")
    wrong = 0
    for name in [canonical(name) for name in names or here]:
        named = CATALOGUE.get(name)
        try:
            dataset = read_npz(Path(name)) if named is None else check(named, folder)
        except FluidReluError as error:
            wrong += 1
            _say(f"Error: {error}")
        else:
            _print(verified_data(name, dataset, known=named is not None and named.sha256 is not None))
    if wrong:
        raise typer.Exit(1)


def _publish(made: Report | Calibration, text: str | None = None) -> None:
    """Show on the terminal, or print the text instead, then write."""
    for note in made.notes:
        _say(note)
    if text is not None:
        typer.echo(text, nl=False)
    for part in made.parts() if text is None else ():
        _print(part)
    *others, last = made.write()
    _say(f"written: {last}, and beside it {', '.join(sorted({_kind(path) for path in others}))}")


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
    from fluidrelu_cli.catalogue import canonical, default_data_dir
    from fluidrelu_cli.models import build_model
    from fluidrelu_cli.registry import resolve
    from fluidrelu_cli.training import check_device_name, pick_device

    check_device_name(device)
    if "dataset" in requested:
        requested["dataset"] = canonical(requested["dataset"])
    study = open_study(results, name, requested)
    names = list(dict.fromkeys(resolve(activation).name for activation in activations))
    device_name = device if elsewhere else pick_device(device).type
    folder = data_dir or default_data_dir()
    dataset = _loaded(study.protocol, folder, offline)
    study.check_data(dataset.sha256)
    for activation in names:  # before an hour is spent on it
        build_model(study.protocol.model, resolve(activation), 0, dataset.image_shape, dataset.classes)
    return study, names, device_name, folder


def _loaded(protocol: Protocol, data_dir: Path, offline: bool) -> Dataset:
    """The protocol's data; what is not here is downloaded, by this process alone."""
    from fluidrelu_cli.catalogue import CATALOGUE, missing
    from fluidrelu_cli.training import load_dataset

    try:
        return load_dataset(protocol, data_dir)
    except MissingDataError as error:
        if offline:
            raise missing(CATALOGUE[protocol.dataset], data_dir, "--offline forbids the download") from error
    _fetched(protocol.dataset, data_dir)
    return load_dataset(protocol, data_dir)


def _fetched(name: str, data_dir: Path) -> None:
    from fluidrelu_cli.catalogue import CATALOGUE
    from fluidrelu_cli.downloads import fetch
    from fluidrelu_cli.progress import TransferProgress

    with TransferProgress(Console(stderr=True)) as progress:
        fetch(CATALOGUE[name], data_dir, progress.show)


def _show_summary(study: Study) -> None:
    from fluidrelu_cli.statistics import final_accuracies, summary
    from fluidrelu_cli.tables import rich_table, summary_cells

    runs, notes = study.read_runs()
    for note in notes:
        _say(note)
    head, rows = summary_cells(summary(final_accuracies(runs), study.asked, study.test_images(runs)))
    _print(rich_table(f"Accuracy after the last epoch: {study.folder}", head, rows))


def _print(part: Any) -> None:
    """Results go to stdout; sentences are not broken into lines, and a narrow terminal does not break numbers."""
    console = Console()
    console.width = max(console.width, 80)
    console.print(part, soft_wrap=isinstance(part, str), markup=False, highlight=False)
