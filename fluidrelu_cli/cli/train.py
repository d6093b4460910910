"""The commands that train: `train`, `repeat` and `verify`. They parse, call the experiment, and show its events."""

from __future__ import annotations

import contextlib
import functools
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fluidrelu_cli.cli.completion import complete_activation, complete_activations, complete_study
from fluidrelu_cli.cli.forecast import Asked, show_forecast
from fluidrelu_cli.cli.options import (
    ANY_STUDY,
    DEFAULT_RESULTS,
    BatchSeedsOption,
    DaskOption,
    DataDirOption,
    DeviceOption,
    DryRunOption,
    JsonOption,
    MixOption,
    OfflineOption,
    ResultsOption,
    SaveWeightsOption,
    StudyOption,
    TrustOption,
    WorkersOption,
    with_protocol,
)
from fluidrelu_cli.cli.pools import PoolOptions, exit_if_failed, report_command, show_events, show_notes
from fluidrelu_cli.cli.terminal import open_stderr, say, show, show_json, stop_if_interrupted
from fluidrelu_cli.errors import FluidReluError, UsageError, one_line
from fluidrelu_cli.protocol import WHAT, Device, Trial, trial_names
from fluidrelu_cli.stopping import Stopping
from fluidrelu_cli.study import (
    ASKED,
    DEFAULT_ACTIVATIONS,
    DEFAULT_BASELINE,
    DEFAULT_STUDY,
    MOST_SEEDS,
    Entry,
    find_study,
    open_study,
)

if TYPE_CHECKING:
    from fluidrelu_cli.experiment import Experiment
    from fluidrelu_cli.run import Run
    from fluidrelu_cli.study import Study
    from fluidrelu_cli.verification import Verification


@with_protocol
def train(
    *,
    act: Annotated[
        str,
        typer.Option(
            help="The activation; `fluidrelu acts` lists them.",
            autocompletion=complete_activation,
            rich_help_panel=WHAT,
        ),
    ] = DEFAULT_ACTIVATIONS[1],
    seed: Annotated[
        int, typer.Option(min=0, help="Determines the initial weights and the data order.", rich_help_panel=WHAT)
    ] = 0,
    dry_run: DryRunOption = False,
    mix: MixOption = False,
    requested: dict[str, Any],
    device: DeviceOption = "auto",
    data_dir: DataDirOption = None,
    offline: OfflineOption = False,
    trust: TrustOption = False,
    results: ResultsOption = DEFAULT_RESULTS,
    study: StudyOption = DEFAULT_STUDY,
    save_weights: SaveWeightsOption = False,
) -> None:
    """Train one trial, show each epoch, and write its run CSV."""
    from fluidrelu_cli.analysis.images import weigh_images
    from fluidrelu_cli.cli.progress import EpochLines, describe_run
    from fluidrelu_cli.experiment import conduct
    from fluidrelu_cli.report.tables import epoch_cells, rich_table
    from fluidrelu_cli.report.wording import one_pair
    from fluidrelu_cli.run import tabulate_runs
    from fluidrelu_cli.workers.events import EpochDone, Failed, run_in_this_process

    experiment = _prepare(results, study, requested, [act], device, data_dir, offline, trust, save_weights=save_weights)
    if dry_run:
        _show_forecast(experiment, [seed], 1, device, data_dir)
        return
    run_jobs = functools.partial(run_in_this_process, data_dir=experiment.data_dir, device_name=experiment.device_name)
    with conduct(experiment, [seed], run_jobs, remember=False, mix=mix) as (work, events):
        show_notes([work])
        [trial] = work.trials
        files = experiment.study.files(trial.name)
        if not work.missing:
            say(f"This trial is finished already: {files.csv} (delete it to train again).")
        with EpochLines(open_stderr(), trial) as progress:
            for event in events:
                stop_if_interrupted()
                if isinstance(event, EpochDone):
                    progress.show(event.epochs[0])
                elif isinstance(event, Failed):
                    raise FluidReluError(f"{trial.name} failed: {event.error}; its traceback is in {files.failure}.")
    [run] = [run for run in experiment.contents.runs if run.trial == trial]
    if run.diverged:
        say(describe_run(run))
    show(rich_table(trial.name, *epoch_cells(tabulate_runs([run]))))
    seeds = {trial.activation: [seed]} if trial.activation != DEFAULT_BASELINE else {}
    if said := one_pair(weigh_images(experiment.contents.runs, seeds, DEFAULT_BASELINE)):
        show(said)
    show(f"test accuracy {run.test_accuracy:.4f}   {files.csv}")


@with_protocol
def repeat(
    context: typer.Context,
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
    until: Annotated[
        Literal["decided"] | None,
        typer.Option(
            help="Instead of n seeds: train pair by pair until one of two activations is better, or they are equal"
            " within --margin; at most --max pairs.",
            show_default=False,
            rich_help_panel=WHAT,
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="With --until: a difference of mean accuracies so small that it matters to nobody, such as 0.001.",
            show_default=False,
            rich_help_panel=WHAT,
        ),
    ] = None,
    most: Annotated[
        int | None,
        typer.Option(
            "--max",
            min=1,
            max=MOST_SEEDS,
            help="With --until: how many seeds of each activation at most.",
            show_default=False,
            rich_help_panel=WHAT,
        ),
    ] = None,
    forget: Annotated[
        bool,
        typer.Option("--forget", help="Forget that more seeds were asked for earlier.", rich_help_panel=WHAT),
    ] = False,
    act: Annotated[
        list[str] | None,
        typer.Option(
            help="An activation, or a cast of several; repeat the option for more (left out: the study's, or relu and"
            " fluid). `fluidrelu acts` lists them.",
            autocompletion=complete_activations,
            show_default=False,
            rich_help_panel=WHAT,
        ),
    ] = None,
    drop: Annotated[
        str | None,
        typer.Option(
            metavar="ACT",
            autocompletion=complete_activation,
            help="Train nothing, but take this activation out of the study; its runs are kept in the folder `dropped`.",
            show_default=False,
            rich_help_panel=WHAT,
        ),
    ] = None,
    dry_run: DryRunOption = False,
    mix: MixOption = False,
    requested: dict[str, Any],
    workers: WorkersOption = None,
    batch_seeds: BatchSeedsOption = "auto",
    dask: DaskOption = None,
    device: DeviceOption = "auto",
    data_dir: DataDirOption = None,
    offline: OfflineOption = False,
    trust: TrustOption = False,
    results: ResultsOption = DEFAULT_RESULTS,
    study: StudyOption = DEFAULT_STUDY,
    save_weights: SaveWeightsOption = False,
) -> None:
    """Train n seeded trials of each activation: those that are not finished yet.

    With --until decided: as many as it takes to tell which of two is better, or that they are equal.
    """
    if drop is not None:
        _refuse_others(context, "drop", "results", "study", "debug")
        opened = find_study(results, study)
        _drop(opened, drop, report_command(results, opened.name))
        return
    from fluidrelu_cli.networks.named import expand_casts

    goal = _read_goal(context, until, margin, most)
    pool = PoolOptions(workers, batch_seeds, dask, device, data_dir)
    how = {"elsewhere": dask is not None, "in_workers": dask is None, "save_weights": save_weights}
    named = expand_casts(act or [])
    experiment = _prepare(results, study, requested, named, device, data_dir, offline, trust, **how)
    stopping = None if goal is None else _make_stopping(experiment, *goal)
    if dry_run and stopping is not None:
        show_forecast([Asked.until_decided(experiment.study, stopping)], workers, device, data_dir)
    elif dry_run:
        _show_forecast(experiment, range(n), workers, device, data_dir)
    if dry_run:
        return
    if stopping is not None:
        failures, trials = _train_until_decided(experiment, stopping, pool, forget=forget, mix=mix)
    else:
        failures, trials = _train_seeds(experiment, n, pool, forget=forget, mix=mix)
    _show_summary(experiment)
    exit_if_failed(failures, trials)
    say(f"Compare them with: {report_command(results, experiment.study.name)}")


def _train_seeds(experiment: Experiment, n: int, pool: PoolOptions, *, forget: bool, mix: bool) -> tuple[int, int]:
    """Train n seeds; how many trials failed, and how many ended."""
    from fluidrelu_cli.experiment import conduct

    run_jobs, together = pool.choose(experiment.data_dir, experiment.device_name)
    with conduct(experiment, range(n), run_jobs, batch_seeds=together, forget=forget, mix=mix) as (work, events):
        if work.missing:
            _warn_of_too_few_seeds(experiment, n, forget)
        failures = show_events([(experiment.study, work)], events)
    return failures, len(work.missing)


def _read_goal(
    context: typer.Context, until: str | None, margin: float | None, most: int | None
) -> tuple[float, int] | None:
    """The margin and the most seeds of --until; None without it. UsageError if its options do not fit together."""
    if until is None:
        given = "--margin" if margin is not None else "--max" if most is not None else None
        if given:
            raise UsageError(f"{given} belongs to --until decided: add that, or leave {given} out.")
        return None
    source = context.get_parameter_source("n")
    if source is not None and source.name == "COMMANDLINE":
        raise UsageError("--until decided says itself how many seeds it takes: leave --seeds out, and name --max.")
    if margin is None:
        raise UsageError("--until decided needs a margin: name the difference that would matter, as --margin 0.001.")
    if most is None:
        raise UsageError("--until decided needs an end: name how many seeds there may be at most, as --max 200.")
    if not 0 < margin < 1:
        raise UsageError(f"--margin must be a difference of accuracies between 0 and 1, such as 0.001, not {margin:g}.")
    return margin, most


def _make_stopping(experiment: Experiment, margin: float, most: int) -> Stopping:
    """Where training ends with --until: the baseline is the report's, relu, or else the first of the two."""
    names = [activation.name for activation in experiment.activations]
    if len(names) != 2:
        raise UsageError(
            f"--until decided compares two activations, not {', '.join(names)}: name them, as --act relu --act fluid."
        )
    baseline, activation = sorted(names, key=lambda name: name != DEFAULT_BASELINE)
    return Stopping((activation, baseline), margin, dict.fromkeys(names, most))


def _train_until_decided(
    experiment: Experiment, stopping: Stopping, pool: PoolOptions, *, forget: bool, mix: bool
) -> tuple[int, int]:
    """Train pair by pair until it is decided; how many trials failed, and how many ended."""
    from fluidrelu_cli.cli.until import train_until_decided
    from fluidrelu_cli.experiment import Request

    seeds = {name: range(n) for name, n in stopping.seeds.items()}
    entry = Entry(ASKED, stopping.seeds, until=stopping.recorded())
    return train_until_decided(Request(experiment, seeds, entry, forget=forget), stopping, pool, mix=mix)


def _show_forecast(
    experiment: Experiment, seeds: Sequence[int], workers: int | None, device: str, data_dir: Path | None
) -> None:
    names = [activation.name for activation in experiment.activations]
    trials = [Trial(experiment.study.protocol, name, seed) for seed in seeds for name in names]
    show_forecast([Asked(experiment.study, trials)], workers, device, data_dir)


def _warn_of_too_few_seeds(experiment: Experiment, n: int, forget: bool) -> None:
    from fluidrelu_cli.cli.wording import describe_too_few_seeds

    names = [activation.name for activation in experiment.activations]
    too_few = describe_too_few_seeds(experiment.study.asked_with(names, n, forget=forget), names)
    if too_few:
        say(too_few)


def _refuse_others(context: typer.Context, *served: str) -> None:
    """Raise UsageError if the command has options that it would ignore."""
    for each in context.command.params:
        source = context.get_parameter_source(each.name or "")
        if source is not None and source.name == "COMMANDLINE" and each.name not in served:
            given = max(each.opts, key=len)
            raise UsageError(f"--{served[0]} trains nothing: leave {given} out, or give it a command of its own.")


def _drop(study: Study, activation: str, report: str) -> None:
    """Take an activation out of a study, and say where its runs are."""
    with study.locked():
        folder = study.drop(activation)
    runs = f"its runs are in {folder}, where no table counts them" if folder else "it had no runs"
    show(f"{study.folder} is now without {activation}: {runs}.")
    say(f"Compare what is left with: {report}")


def _prepare(
    results: Path,
    name: str,
    requested: dict[str, Any],
    activations: Sequence[str] | None,
    device: str,
    data_dir: Path | None,
    offline: bool,
    trust: bool,
    *,
    elsewhere: bool = False,
    in_workers: bool = False,
    save_weights: bool = False,
) -> Experiment:
    """The study and the activations that were named, or else are the study's, checked, with their data."""
    from fluidrelu_cli.cli.data import show_downloads
    from fluidrelu_cli.data.catalogue import canonical
    from fluidrelu_cli.experiment import prepare
    from fluidrelu_cli.networks.named import resolve, spell_model
    from fluidrelu_cli.workers.local import start_fork_server

    for field, spell in (("dataset", canonical), ("model", spell_model)):
        if field in requested:
            requested = {**requested, field: spell(requested[field])}
    study = open_study(results, name, requested)
    if in_workers:
        start_fork_server()  # it imports torch while this process checks what is to be trained
    names = activations or _recall_activations(study, trust)
    resolved = {made.name: made for made in map(resolve, names)}
    with show_downloads() as callbacks:
        return prepare(
            study,
            list(resolved.values()),
            data_dir=data_dir,
            device=device,
            offline=offline,
            elsewhere=elsewhere,
            trust=trust or "model" in requested,
            save_weights=save_weights,
            **callbacks,
        )


def _recall_activations(study: Study, trust: bool) -> Sequence[str]:
    """The activations that a study was asked for, in that order; the paper's two where it is new.

    Raises UsageError if one is somebody's own, and the user does not trust the study's file.
    """
    from fluidrelu_cli.networks.own import require_trust

    options = shlex.join(word for name in study.asked for word in ("--act", name))
    for name in study.asked:
        require_trust(name, study.path, trust, options)
    return list(study.asked) or DEFAULT_ACTIVATIONS


def _show_summary(experiment: Experiment) -> None:
    from fluidrelu_cli.report.evidence import Evidence
    from fluidrelu_cli.report.tables import rich_table, summary_cells

    evidence = Evidence(experiment.study, experiment.contents)
    for note in evidence.notes:
        say(note)
    title = f"Accuracy after the last epoch: {experiment.study.folder}"
    show(rich_table(title, *summary_cells(evidence.summary)))


def verify(
    runs: Annotated[
        str,
        typer.Argument(
            metavar="STUDY|FILE|RUN.csv",
            help=f"A study ({ANY_STUDY}) or a study file, of which the first run of each activation is made again, or a"
            " run's CSV.",
            autocompletion=complete_study,
        ),
    ],
    act: Annotated[
        list[str] | None,
        typer.Option(
            help="Of a study only this activation; repeat the option for several.",
            autocompletion=complete_activation,
            show_default=False,
            rich_help_panel=WHAT,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Of a study the runs with this seed, not the first.", show_default=False, rich_help_panel=WHAT
        ),
    ] = None,
    device: Annotated[
        Device | None,
        typer.Option(help="Where to train (left out: on such a device as recorded).", show_default=False),
    ] = None,
    data_dir: DataDirOption = None,
    offline: OfflineOption = False,
    trust: TrustOption = False,
    results: ResultsOption = DEFAULT_RESULTS,
    as_json: JsonOption = False,
) -> None:
    """Train runs again from their own records and compare the numbers; exit code 1 if they differ."""
    from fluidrelu_cli.cli.wording import describe_verification
    from fluidrelu_cli.networks.own import require_trust
    from fluidrelu_cli.verification import read_record

    records = {csv: read_record(csv) for csv in _choose_runs(results, runs, act or [], seed)}
    for csv, recorded in records.items():  # before an hour is spent on the first
        for name in (recorded.trial.activation, recorded.trial.protocol.model):
            require_trust(name, csv, trust)
    made: dict[Path, Verification] = {}
    for csv, recorded in records.items():
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results; an activation of one's own may print
            made[csv] = _verify_run(recorded, csv, device, data_dir, offline)
        if not as_json:
            for sentence in describe_verification(made[csv], csv):
                show(sentence)
    agrees = all(verified.agrees for verified in made.values())
    if len(made) > 1 and not as_json:
        show(f"{sum(verified.agrees for verified in made.values())} of {len(made)} runs are equal.")
    if as_json:
        show_json({"identical": agrees, "runs": [_list_fields(verified, csv) for csv, verified in made.items()]})
    if not agrees:
        raise typer.Exit(1)


def _list_fields(verified: Verification, csv: Path) -> dict[str, Any]:
    trial = verified.recorded.trial
    return {
        "csv": str(csv),
        "activation": trial.activation,
        "seed": trial.seed,
        "identical": verified.agrees,
        "differences": verified.differences,
        "conditions": {name: {"recorded": before, "again": now} for name, (before, now) in verified.conditions.items()},
        "test_accuracy": {"recorded": verified.recorded.test_accuracy, "again": verified.again.test_accuracy},
    }


def _choose_runs(results: Path, typed: str, activations: Sequence[str], seed: int | None) -> list[Path]:
    """The CSVs of the runs that are meant: the one that was typed, or the first of each activation of every study."""
    if typed.lower().endswith(".csv"):
        if activations or seed is not None:
            raise UsageError(f"{typed} is one run already: leave --act and --seed out, or name its study instead.")
        return [Path(typed)]
    from fluidrelu_cli.declared import find_studies

    studies = find_studies(results, typed)
    return [csv for study in studies for csv in _choose_runs_of(study, activations, seed)]


def _choose_runs_of(study: Study, activations: Sequence[str], seed: int | None) -> list[Path]:
    """The CSVs of the first run of each activation, or of those that are named, or with this seed."""
    contents = study.read_some()
    for note in contents.notes:
        say(note)
    trained = [run.trial for run in contents.runs]  # by activation and seed
    for name in activations:
        if name not in {trial.activation for trial in trained}:
            names = ", ".join(dict.fromkeys(trial.activation for trial in trained))
            raise UsageError(f"{study.folder} has no run of {name}: name one of {names} with --act.")
    first = {
        trial.activation: trial
        for trial in reversed(trained)
        if seed in (None, trial.seed) and (not activations or trial.activation in activations)
    }
    if not first:
        raise UsageError(f"{study.folder} has no such run with --seed {seed}: name another, or leave it out.")
    either = [trial_names(trial.activation, trial.seed) for trial in reversed(first.values())]
    return [next(csv for name in names if (csv := study.files(name).csv).exists()) for names in either]


def _verify_run(recorded: Run, csv: Path, device: str | None, data_dir: Path | None, offline: bool) -> Verification:
    """Train a run again, and compare."""
    from fluidrelu_cli import verification
    from fluidrelu_cli.cli.data import show_downloads
    from fluidrelu_cli.cli.progress import EpochLines
    from fluidrelu_cli.data.catalogue import choose_data_dir
    from fluidrelu_cli.data.load import get_dataset
    from fluidrelu_cli.networks.named import resolve
    from fluidrelu_cli.training.machine import pick_device

    trial = recorded.trial
    for copy in verification.use_copies(recorded, csv):
        say(f"The code that this run names is another one here, or gone; its copy is used: {copy}.")
    activation = resolve(trial.activation)
    folder = choose_data_dir(data_dir)
    with show_downloads() as callbacks:
        get_dataset(trial.protocol, folder, offline=offline, **callbacks)
    device_name = pick_device(device or recorded.provenance.device or "auto").type
    with EpochLines(open_stderr(), trial) as progress:
        try:
            return verification.verify(recorded, activation, folder, device_name, progress.show)
        except FluidReluError:
            raise
        except Exception as error:  # most likely the user's own activation
            raise FluidReluError(f"{trial.name} failed: {one_line(error)}; --debug shows where.") from error
