"""The commands that train: `train`, `repeat` and `verify`. They parse, call the experiment, and show its events."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fluidrelu_cli.cli.options import (
    DEFAULT_RESULTS,
    DataDirOption,
    DeviceOption,
    MixOption,
    OfflineOption,
    ResultsOption,
    StudyOption,
    TrustOption,
    WorkersOption,
    with_protocol,
)
from fluidrelu_cli.cli.terminal import WHERE_IT_RUNS, count, open_stderr, say, show
from fluidrelu_cli.errors import FluidReluError, UsageError, one_line
from fluidrelu_cli.protocol import WHAT, Device
from fluidrelu_cli.study import DEFAULT_ACTIVATIONS, DEFAULT_STUDY, MOST_SEEDS, open_study

if TYPE_CHECKING:
    from fluidrelu_cli.experiment import Experiment, Work
    from fluidrelu_cli.study import Study
    from fluidrelu_cli.workers.events import Event, Job


@with_protocol
def train(
    *,
    act: Annotated[
        str, typer.Option(help="The activation; `fluidrelu acts` lists them.", rich_help_panel=WHAT)
    ] = DEFAULT_ACTIVATIONS[1],
    seed: Annotated[
        int, typer.Option(min=0, help="Determines the initial weights and the data order.", rich_help_panel=WHAT)
    ] = 0,
    mix: MixOption = False,
    requested: dict[str, Any],
    device: DeviceOption = "auto",
    data_dir: DataDirOption = None,
    offline: OfflineOption = False,
    trust: TrustOption = False,
    results: ResultsOption = DEFAULT_RESULTS,
    study: StudyOption = DEFAULT_STUDY,
) -> None:
    """Train one trial, show each epoch, and write its run CSV."""
    from fluidrelu_cli.cli.progress import EpochLines, describe_run
    from fluidrelu_cli.experiment import conduct
    from fluidrelu_cli.report.tables import epoch_cells, rich_table
    from fluidrelu_cli.run import tabulate_runs
    from fluidrelu_cli.workers.events import EpochDone, Failed, run_in_this_process

    experiment = _prepare(results, study, requested, [act], device, data_dir, offline, trust)
    run_jobs = functools.partial(run_in_this_process, data_dir=experiment.data_dir, device_name=experiment.device_name)
    with conduct(experiment, [seed], run_jobs, remember=False, mix=mix) as (work, events):
        _show_notes(work)
        [trial] = work.trials
        files = experiment.study.files(trial.name)
        if not work.missing:
            say(f"This trial is finished already: {files.csv} (delete it to train again).")
        with EpochLines(open_stderr(), trial) as progress:
            for event in events:
                if isinstance(event, EpochDone):
                    progress.show(event.epochs[0])
                elif isinstance(event, Failed):
                    raise FluidReluError(f"{trial.name} failed: {event.error}; its traceback is in {files.failure}.")
    [run] = [run for run in experiment.contents.runs if run.trial == trial]
    if run.diverged:
        say(describe_run(run))
    show(rich_table(trial.name, *epoch_cells(tabulate_runs([run]))))
    show(f"test accuracy {run.test_accuracy:.4f}   {files.csv}")


@with_protocol
def repeat(
    *,
    n: Annotated[
        int,
        typer.Option(
            "-n",
            "--seeds",
            min=1,
            max=MOST_SEEDS,
            help="Seeds of each activation: 0, 1, ..., n - 1.",
            rich_help_panel=WHAT,
        ),
    ] = 3,
    forget: Annotated[
        bool,
        typer.Option("--forget", help="Forget that more seeds were asked for earlier.", rich_help_panel=WHAT),
    ] = False,
    act: Annotated[
        list[str],
        typer.Option(
            help="An activation; repeat the option for several. `fluidrelu acts` lists them.", rich_help_panel=WHAT
        ),
    ] = list(DEFAULT_ACTIVATIONS),  # noqa: B006  (Typer copies it)
    mix: MixOption = False,
    requested: dict[str, Any],
    workers: WorkersOption = None,
    batch_seeds: Annotated[
        str,
        typer.Option(
            help="Seeds that a worker trains together: a number, or auto (1 on a CPU, 64 on a GPU).",
            rich_help_panel=WHERE_IT_RUNS,
        ),
    ] = "auto",
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Train on the Dask cluster whose scheduler has this address (tcp://host:8786).",
            show_default=False,
            rich_help_panel=WHERE_IT_RUNS,
        ),
    ] = None,
    device: DeviceOption = "auto",
    data_dir: DataDirOption = None,
    offline: OfflineOption = False,
    trust: TrustOption = False,
    results: ResultsOption = DEFAULT_RESULTS,
    study: StudyOption = DEFAULT_STUDY,
) -> None:
    """Train n seeded trials of each activation: those that are not finished yet."""
    from fluidrelu_cli.experiment import conduct
    from fluidrelu_cli.workers.local import default_workers, run_on_this_machine

    if workers is not None and dask is not None:
        raise UsageError("--workers is for this machine; a Dask cluster has its own: leave one of the two out.")
    cores = default_workers("cpu")
    if workers is not None and workers > 4 * cores:
        say(f"--workers {workers} is far above this machine's {cores} cores: they take turns, and each needs memory.")
    where = {"elsewhere": dask is not None, "in_workers": dask is None}
    experiment = _prepare(results, study, requested, act, device, data_dir, offline, trust, **where)
    device_name = experiment.device_name
    run_jobs = (
        functools.partial(
            run_on_this_machine,
            workers=workers or default_workers(device_name),
            data_dir=experiment.data_dir,
            device_name=device_name,
        )
        if dask is None
        else functools.partial(_run_on_cluster, address=dask, data_dir=data_dir, device_name=device_name)
    )
    together = _parse_batch_seeds(batch_seeds, device_name)
    with conduct(experiment, range(n), run_jobs, batch_seeds=together, forget=forget, mix=mix) as (work, events):
        failures = _show_events(experiment.study, work, events)
    _show_summary(experiment)
    if failures:
        trials = count(len(work.missing), "trial")
        say(f"Error: {failures} of {trials} failed; the same command tries again.")
        raise typer.Exit(1)
    say(f"Compare them with: {_report_command(results, study)}")


def _report_command(results: Path, study: str) -> str:
    """The command that reports on a study, with the options that it needs."""
    command = ["fluidrelu", "report"]
    if study != DEFAULT_STUDY:
        command += ["--study", study]
    if results != DEFAULT_RESULTS:
        command += ["--results", str(results)]
    return shlex.join(command)


def _prepare(
    results: Path,
    name: str,
    requested: dict[str, Any],
    activations: Sequence[str],
    device: str,
    data_dir: Path | None,
    offline: bool,
    trust: bool,
    *,
    elsewhere: bool = False,
    in_workers: bool = False,
) -> Experiment:
    """The study and the activations that were named, checked, with their data."""
    from fluidrelu_cli.cli.data import show_downloads
    from fluidrelu_cli.data.catalogue import canonical
    from fluidrelu_cli.experiment import prepare
    from fluidrelu_cli.networks.named import resolve
    from fluidrelu_cli.workers.local import start_fork_server

    if "dataset" in requested:
        requested = {**requested, "dataset": canonical(requested["dataset"])}
    study = open_study(results, name, requested)
    if in_workers:
        start_fork_server()  # it imports torch while this process checks what is to be trained
    resolved = {made.name: made for made in map(resolve, activations)}
    with show_downloads() as callbacks:
        return prepare(
            study,
            list(resolved.values()),
            data_dir=data_dir,
            device=device,
            offline=offline,
            elsewhere=elsewhere,
            trust=trust or "model" in requested,
            **callbacks,
        )


def _parse_batch_seeds(value: str, device_name: str) -> int:
    from fluidrelu_cli.workers.local import default_batch_seeds

    if value == "auto":
        return default_batch_seeds(device_name)
    if not value.isdecimal() or int(value) < 1:
        raise UsageError(f"--batch-seeds must be auto or a whole number from 1, not {value}.")
    return int(value)


def _run_on_cluster(
    jobs: Sequence[Job], address: str, data_dir: Path | None, device_name: str
) -> Generator[Event, None, None]:
    from fluidrelu_cli.workers.cluster import DaskPool
    from fluidrelu_cli.workers.pool import follow

    pool = DaskPool(address, data_dir, device_name)
    workers = count(pool.workers, "worker") if pool.workers else "no workers yet: waiting for some (Ctrl-C stops)"
    say(f"{address}: {workers}.")
    return follow(pool, jobs)


def _show_events(study: Study, work: Work, events: Iterator[Event]) -> int:
    """Show what there is to do, and what happens; how many trials failed."""
    from fluidrelu_cli.cli.progress import TrialsProgress
    from fluidrelu_cli.workers.events import Failed

    _show_notes(work)
    asked, missing = len(work.trials), len(work.missing)
    asked_for = count(asked, "trial")
    say(f"{study.folder}: {asked_for} asked for, {asked - missing} finished already, {missing} to train.")
    failures = 0
    with TrialsProgress(open_stderr(), missing) as progress:
        for event in events:
            progress.show(event)
            if isinstance(event, Failed):
                failures += 1
                say(f"    traceback: {study.files(event.trial.name).failure}")
    return failures


def _show_notes(work: Work) -> None:
    for note in work.notes:
        say(note)


def _show_summary(experiment: Experiment) -> None:
    from fluidrelu_cli.report.evidence import Evidence
    from fluidrelu_cli.report.tables import rich_table, summary_cells

    evidence = Evidence(experiment.study, experiment.contents)
    for note in evidence.notes:
        say(note)
    title = f"Accuracy after the last epoch: {experiment.study.folder}"
    show(rich_table(title, *summary_cells(evidence.summary)))


def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN.csv", help="The run's CSV; its .json must lie beside it.")],
    device: Annotated[
        Device | None,
        typer.Option(help="Where to train (left out: on such a device as recorded).", show_default=False),
    ] = None,
    data_dir: DataDirOption = None,
    offline: OfflineOption = False,
    trust: TrustOption = False,
) -> None:
    """Train a run again from its own record and compare the numbers; exit code 1 if they differ."""
    from fluidrelu_cli import verification
    from fluidrelu_cli.cli.data import show_downloads
    from fluidrelu_cli.cli.progress import EpochLines
    from fluidrelu_cli.cli.wording import describe_verification
    from fluidrelu_cli.data.catalogue import choose_data_dir
    from fluidrelu_cli.data.load import get_dataset
    from fluidrelu_cli.networks.named import resolve
    from fluidrelu_cli.networks.own import require_trust
    from fluidrelu_cli.training.machine import pick_device

    recorded = verification.read_record(run)
    trial = recorded.trial
    for name in (trial.activation, trial.protocol.model):
        require_trust(name, run, trust)
    for copy in verification.use_copies(recorded, run):
        say(f"The code that this run names is another one here, or gone; its copy is used: {copy}.")
    activation = resolve(trial.activation)
    folder = choose_data_dir(data_dir)
    with show_downloads() as callbacks:
        get_dataset(trial.protocol, folder, offline=offline, **callbacks)
    device_name = pick_device(device or recorded.provenance.device or "auto").type
    with EpochLines(open_stderr(), trial) as progress:
        try:
            verified = verification.verify(recorded, activation, folder, device_name, progress.show)
        except FluidReluError:
            raise
        except Exception as error:  # most likely the user's own activation
            raise FluidReluError(f"{trial.name} failed: {one_line(error)}; --debug shows where.") from error
    for sentence in describe_verification(verified, run):
        show(sentence)
    if not verified.agrees:
        raise typer.Exit(1)
