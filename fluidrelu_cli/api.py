"""The Python API, for scripts and notebooks: compare activations, or read a study that was made earlier."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluidrelu_cli.declared import find_settled
from fluidrelu_cli.errors import FluidReluError, UsageError
from fluidrelu_cli.protocol import SETTINGS
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.result import Result
from fluidrelu_cli.study import DEFAULT_BASELINE, DEFAULT_STUDY, MOST_SEEDS, load_study, open_study

if TYPE_CHECKING:
    from torch import nn

    from fluidrelu_cli.experiment import Experiment, RunJobs
    from fluidrelu_cli.networks.named import Activation


def compare(
    activations: Sequence[str | type[nn.Module]],
    *,
    seeds: int = 3,
    focus: str | type[nn.Module] | None = None,
    study: str = DEFAULT_STUDY,
    results: str | Path = "results",
    workers: int | None = None,
    device: str = "auto",
    data_dir: str | Path | None = None,
    offline: bool = False,
    trust: bool = False,
    mix: bool = False,
    save_weights: bool = False,
    **protocol: Any,
) -> Result:
    """Train what a study lacks and compare its activations, as `fluidrelu repeat` and `fluidrelu report` do.

    Progress shows on stderr, and in a notebook below the cell.

    Args:
        activations: names, as `--act` takes them, or classes; the first is the baseline of the others.
        seeds: how many seeds of each: 0, 1, ...
        focus: the activation that the question is about, a name or a class; None: the second of two, else all but the
            baseline.
        study: the study's name; what is finished in it is not trained again.
        results: the folder of all studies.
        workers: worker processes; None: one per core, or this process alone if only it can import one of the classes.
        device: auto, cpu, cuda or mps.
        data_dir: where data sets are kept; None: the user's cache.
        offline: never download data.
        trust: import what only an existing study's file names: a network of its author's own.
        mix: go on although an activation's code or factor was changed since its earlier runs in the study.
        save_weights: keep each network that is trained, as it is after the last epoch, as a safetensors file.
        protocol: any field of a Protocol: ``dataset="fashion-mnist"``, ``epochs=10``, ... An existing study keeps its
            own, and a new one has the defaults.

    Returns:
        The comparison over all usable runs of the study.

    Raises:
        UsageError: if a name or a value is wrong, the study has another protocol, or workers cannot import a class.
        FluidReluError: if a trial failed (the message names its traceback; the same call tries it again), or another
            process is at work in the study.
    """
    from fluidrelu_cli.cli.data import show_downloads
    from fluidrelu_cli.experiment import prepare
    from fluidrelu_cli.workers.local import start_fork_server

    _check_counts(seeds, workers)
    opened = open_study(Path(results), study, _check_fields(protocol))
    resolved = _resolve(activations)
    about = _choose_focus(focus, [activation.name for activation in resolved[1:]])
    if all(activation.travels for activation in resolved):
        start_fork_server()  # it imports torch while this process checks what is to be trained
    folder = Path(data_dir) if data_dir else None
    with show_downloads() as callbacks:
        experiment = prepare(
            opened,
            resolved,
            data_dir=folder,
            device=device,
            offline=offline,
            trust=trust or "model" in protocol,
            save_weights=save_weights,
            **callbacks,
        )
    notes = _train(experiment, seeds, workers, mix)
    trusted = None if trust else {activation.name for activation in resolved}
    evidence = Evidence(opened, experiment.contents, baseline=resolved[0].name, focus=about, trusted=trusted)
    return Result(evidence, notes)


def _check_counts(seeds: int, workers: int | None) -> None:
    for name, value in (("seeds", seeds), ("workers", 1 if workers is None else workers)):
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_SEEDS:
            raise UsageError(f"{name} must be a whole number from 1 to {MOST_SEEDS}, not {value}.")


def _check_fields(protocol: dict[str, Any]) -> dict[str, Any]:
    from fluidrelu_cli.data.catalogue import canonical
    from fluidrelu_cli.networks.named import spell_model

    spell = {"dataset": canonical, "model": spell_model}
    unknown = sorted(protocol.keys() - SETTINGS.keys())
    if unknown:
        raise UsageError(f"A protocol has no {', '.join(unknown)}: its fields are {', '.join(SETTINGS)}.")
    return {name: spell[name](str(value)) if name in spell else value for name, value in protocol.items()}


def _resolve(activations: Sequence[str | type[nn.Module]]) -> list[Activation]:
    from fluidrelu_cli.networks.named import expand_casts, resolve, resolve_class

    if isinstance(activations, str) or not activations:
        raise UsageError('compare needs a list of activations, such as ["relu", "elu"].')
    resolved = [resolve(one) if isinstance(one, str) else resolve_class(one) for one in expand_casts(activations)]
    names = [activation.name for activation in resolved]
    if len(set(names)) < len(names):
        raise UsageError(f"Two activations have the same name ({', '.join(names)}): rename one, or leave it out.")
    return resolved


def _choose_focus(focus: str | type[nn.Module] | None, others: Sequence[str]) -> str | None:
    """The activation that the question is about, of those that are compared with the baseline; None: all of them."""
    if focus is None:
        return others[0] if len(others) == 1 else None
    [named] = _resolve([focus])
    if named.name not in others:
        raise UsageError(
            f"focus must be one of the activations after the first ({', '.join(others) or 'none'}), not {named.name}."
        )
    return named.name


def _train(experiment: Experiment, seeds: int, workers: int | None, mix: bool) -> tuple[str, ...]:
    """Train what is missing and show how it goes; what is to be known of it. FluidReluError if a trial failed."""
    from fluidrelu_cli.cli.progress import TrialsProgress
    from fluidrelu_cli.cli.terminal import open_stderr, say
    from fluidrelu_cli.experiment import conduct
    from fluidrelu_cli.workers.events import Failed
    from fluidrelu_cli.workers.local import default_batch_seeds

    run_jobs, together = _choose_runner(experiment, workers), default_batch_seeds(experiment.device_name)
    failed: list[Failed] = []
    with (
        conduct(experiment, range(seeds), run_jobs, batch_seeds=together, mix=mix) as (work, events),
        TrialsProgress(open_stderr(), work.missing) as progress,
    ):
        for note in work.notes:
            say(note)
        for event in events:
            progress.show(event)
            if isinstance(event, Failed):
                failed.append(event)
    if failed:
        path = experiment.study.files(failed[0].trial.name).failure
        raise FluidReluError(
            f"{len(failed)} of {len(work.missing)} trials failed ({failed[0].error}): see {path}; the same call tries"
            " again."
        )
    return work.notes


def _choose_runner(experiment: Experiment, workers: int | None) -> RunJobs:
    """Where to train: in worker processes, or in this one if workers cannot import all that is compared."""
    from fluidrelu_cli.workers.events import run_in_this_process
    from fluidrelu_cli.workers.local import default_workers, run_on_this_machine

    data_dir, device_name = experiment.data_dir, experiment.device_name
    at_home = [activation.name for activation in experiment.activations if not activation.travels]
    if at_home and workers is not None:
        raise UsageError(
            f"A worker process cannot import {', '.join(at_home)}: put it in a module of its own, or leave workers out"
            " to train in this process."
        )
    if at_home:
        return functools.partial(run_in_this_process, data_dir=data_dir, device_name=device_name)
    count = workers or default_workers(device_name)
    return functools.partial(run_on_this_machine, workers=count, data_dir=data_dir, device_name=device_name)


def read_study(
    folder: str | Path, *, baseline: str | None = None, focus: str | None = None, trust: bool = False
) -> Result:
    """The comparison over the runs in a study's folder, without training.

    Args:
        folder: the study's, such as ``results/local``.
        baseline: the activation that the others are compared with; None: the one that the study's file names, else relu
            if the study has it, else its first.
        focus: the activation that the question is about; None: all but the baseline.
        trust: import activations of its author's own that the runs name, to draw the functions that were learned.

    Raises:
        UsageError: if there is no study, or it lacks the baseline or the focus.
        FluidReluError: if no run can be read.
    """
    study = load_study(Path(folder))
    contents = study.read_some()
    declaration, tuned = find_settled(study)
    trained = {run.trial.activation for run in contents.runs}
    first = next(
        (name for name in (DEFAULT_BASELINE, *study.asked) if name in trained), contents.runs[0].trial.activation
    )
    return Result(
        Evidence(
            study,
            contents,
            baseline=baseline or (None if declaration else first),
            focus=focus,
            trusted=None if trust else (),
            declaration=declaration,
            tuned=tuned,
        )
    )
