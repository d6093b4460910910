"""Train what a study lacks: prepare it, run the missing trials on any pool, write each run, report what happens.

`train`, `repeat`, the Python API and the benchmarks call this; they only show its events.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from fluidrelu_cli.audit import check_data, describe_changes, describe_factors
from fluidrelu_cli.errors import ContradictoryRunError, StorageError, UsageError
from fluidrelu_cli.networks.named import Activation
from fluidrelu_cli.networks.own import require_trust
from fluidrelu_cli.networks.source import Source, record_sources
from fluidrelu_cli.protocol import Protocol, Trial, is_own, join_arm, split_arm, trial_names
from fluidrelu_cli.run import Provenance, Run
from fluidrelu_cli.study import Contents, Study, sort_key
from fluidrelu_cli.workers.events import Event, Failed, Finished, Job, group_jobs

if TYPE_CHECKING:
    from fluidrelu_cli.data.downloads import OnBytes
    from fluidrelu_cli.data.store import OnWait


@dataclass(frozen=True)
class Work:
    """What there is to do in a study, before the first trial is trained."""

    trials: tuple[Trial, ...]
    """All that were asked for."""
    missing: tuple[Trial, ...]
    """Those that will be trained."""
    notes: tuple[str, ...]
    """A sentence on all that is accepted though it may not be meant, and on each damaged run, which was set aside."""


RunJobs: TypeAlias = Callable[[Sequence[Job]], Generator[Event, None, None]]
"""Runs jobs somewhere and yields what happens; closing it abandons them."""


@dataclass
class Experiment:
    """A study and the activations to be trained in it, all checked."""

    study: Study
    activations: tuple[Activation, ...]
    data_dir: Path
    device_name: str
    """Where to train; on a cluster `auto` is up to each worker."""
    data_sha256: str
    records: Mapping[str, Provenance] = field(default_factory=dict)
    """What runs will record of the code and the factors of each activation."""
    earlier_betas: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What those of releases that recorded no factors were trained with."""
    sources: tuple[Source, ...] = ()
    """Of the user's own activations and network."""
    notes: tuple[str, ...] = ()
    """A sentence on whatever is odd about its data and its activations."""
    contents: Contents = field(default_factory=Contents)
    """The study's runs, and why others cannot be used, after :func:`conduct`."""


def prepare(
    study: Study,
    activations: Sequence[Activation],
    *,
    data_dir: Path | None = None,
    device: str = "auto",
    offline: bool = False,
    on_bytes: OnBytes = lambda _name, _done, _total: None,
    on_wait: OnWait = lambda _title: None,
    elsewhere: bool = False,
    trust: bool = False,
) -> Experiment:
    """Check, before an hour is spent on it, that a study can be trained: device, data, network and each activation.

    Args:
        study: to be trained; nothing is written yet.
        activations: the ones to compare in it.
        data_dir: where data sets are kept; None: the user's cache.
        device: one of protocol.DEVICES.
        offline: never download data.
        on_bytes: is told of a download's progress: a file's name, the bytes that have arrived, and how many there are.
        on_wait: is told the data set that another process is getting.
        elsewhere: the trials run on other machines, so that the device's name is left as it is.
        trust: the study's network may be imported although it does not come with this program.

    Raises:
        UsageError: if the device, the data set, the network or an activation does not exist or does not fit, an
            activation is named with a factor and learns nothing, or only the study's file names the network.
        DataError: if the data cannot be read, downloaded or kept.
    """
    from fluidrelu_cli.data.catalogue import choose_data_dir
    from fluidrelu_cli.data.load import get_dataset
    from fluidrelu_cli.networks.build import build_model, describe_network, find_factors
    from fluidrelu_cli.networks.named import resolve_model
    from fluidrelu_cli.networks.probing import describe_habits
    from fluidrelu_cli.training.machine import pick_device

    require_trust(study.protocol.model, study.path, trust)
    device_name = device if elsewhere else pick_device(device).type
    folder = choose_data_dir(data_dir)
    dataset = get_dataset(study.protocol, folder, offline=offline, on_bytes=on_bytes, on_wait=on_wait)
    model = resolve_model(study.protocol.model).code
    records, earlier = {}, {}
    for activation in activations:
        network = build_model(study.protocol, activation, 0, dataset.image_shape, dataset.classes)
        layers = [network.module.get_submodule(layer) for layer in network.activation_layers]
        betas = find_factors(layers[0], activation.beta, study.protocol)
        records[activation.name] = Provenance(betas=betas, **record_sources(activation.code, model))
        earlier[activation.name] = find_factors(layers[0], activation.beta, study.protocol, earlier=True)
        if activation.beta is not None and not betas:
            raise UsageError(f"{activation.name} learns nothing that could have a factor: name it without @beta.")
    _refuse_useless_beta(study.protocol, activations, earlier, {name: each.betas for name, each in records.items()})
    notes = _describe_size(study.protocol, len(dataset.train_labels), dataset.classes)
    notes += describe_network(study.protocol, dataset.image_shape, dataset.classes)
    notes += (habit for activation in activations for habit in describe_habits(activation).values())
    notes += _describe_betas(activations, {name: record.betas or {} for name, record in records.items()})
    sources = {code.sha256: code for code in (model, *(activation.code for activation in activations)) if code}
    return Experiment(
        study,
        tuple(activations),
        folder,
        device_name,
        dataset.sha256,
        records,
        earlier,
        tuple(sources.values()),
        tuple(notes),
    )


def _refuse_useless_beta(
    protocol: Protocol,
    activations: Sequence[Activation],
    earlier: Mapping[str, Mapping[str, float]],
    betas: Mapping[str, Mapping[str, float] | None],
) -> None:
    """Raise UsageError if a beta was named and is nobody's, although there is one to whom it would have been given."""
    meant = [activation.name for activation in activations if earlier[activation.name] != betas[activation.name]]
    if (
        meant
        and protocol.beta != Protocol.beta
        and all(protocol.beta not in (mine or {}).values() for mine in betas.values())
    ):
        arms = (join_arm(function, {**settings, "beta": protocol.beta}) for function, settings in map(split_arm, meant))
        named = " ".join(f"--act {shlex.quote(arm)}" for arm in arms)
        raise UsageError(
            f"--beta {protocol.beta:g} is the factor of fluid, fluid-exp and fluid-coth alone: write {named}."
        )


def _describe_betas(activations: Sequence[Activation], betas: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A sentence on the factors where they are worth one: somebody's own, a named one, or several."""
    learners = {activation.name: betas[activation.name] for activation in activations if betas[activation.name]}
    worth_one = any(is_own(name) or "beta" in split_arm(name)[1] for name in learners)
    several = len({factor for mine in learners.values() for factor in mine.values()}) > 1
    if not (worth_one or several):
        return []
    found = ", ".join(f"{name} {describe_factors(mine)}" for name, mine in learners.items())
    return [f"Factor on the gradient of what is learned: {found}. Another one: --act NAME@beta=10."]


def _describe_size(protocol: Protocol, images: int, classes: int) -> list[str]:
    """A sentence on each way in which there are too few training images."""
    notes = []
    if images < protocol.batch_size:
        notes.append(
            f"A batch of {protocol.batch_size} is larger than the training set of {images} images, so every epoch is a"
            " single step."
        )
    if images < 2 * classes:  # one of each class shows nothing that they have in common
        notes.append(f"{images} training images of {classes} classes are too few to learn from.")
    return notes


@contextlib.contextmanager
def conduct(
    experiment: Experiment,
    seeds: Sequence[int],
    run_jobs: RunJobs,
    *,
    batch_seeds: int = 1,
    remember: bool = True,
    forget: bool = False,
    mix: bool = False,
) -> Iterator[tuple[Work, Iterator[Event]]]:
    """Train the trials of these seeds that the study lacks: what there is to do, and what happens as it is done.

    Nothing is trained but by taking the next event. Each run is written as it ends, and each traceback is kept in the
    file ``study.files(trial.name).failure``. The study is locked within the context; leaving it early keeps what is
    finished. After it, unless an error ended it, the experiment's ``contents`` are the study's.

    Args:
        experiment: what :func:`prepare` returned.
        seeds: trained seed by seed, so that pairs are finished together.
        run_jobs: where to train.
        batch_seeds: how many seeds of an activation to train together.
        remember: record in study.json that seeds up to the largest were asked for.
        forget: record it even if more were asked for earlier.
        mix: train although the code or the factor of an activation was changed since its other runs.

    Raises:
        UsageError: if runs of the study were trained on other data, or with other code or another factor.
        StorageError: if the folder cannot be written, or a run that is not damaged cannot be used.
        FluidReluError: if another process is at work in the study.
    """
    study = experiment.study
    names = [activation.name for activation in experiment.activations]
    trials = [Trial(study.protocol, name, seed) for seed in seeds for name in names]

    def ask() -> None:
        if remember:
            study.ask(names, max(seeds) + 1, forget=forget)

    with study.locked():
        contents = study.read()
        check_data(contents.runs, experiment.data_sha256, study.folder)
        missing = study.missing(trials, contents)
        to_train = {trial.activation for trial in missing}
        changes = describe_changes(contents.runs, experiment.records, experiment.earlier_betas, study.folder)
        _refuse_changes({name: change for name, change in changes.items() if name in to_train and not mix})
        notes = [*experiment.notes, *dict.fromkeys(changes.values())]
        wanted = {name for trial in missing for name in trial_names(trial.activation, trial.seed)}
        seeds_to_train = {trial.seed for trial in missing}
        damaged = {
            name: problem
            for name, problem in contents.problems.items()
            if name in wanted
            # else this copy of the new run would contradict it
            or (
                isinstance(problem, ContradictoryRunError)
                and problem.seed not in seeds_to_train
                and problem.others & seeds_to_train
            )
        }
        notes += [_set_aside(study, name, problem, again=name in wanted) for name, problem in damaged.items()]
        runs = list(contents.runs)
        jobs = group_jobs(missing, experiment.activations, batch_seeds)
        running = _run_and_keep(study, jobs, run_jobs, runs, ask, experiment.sources)
        with contextlib.closing(running) as events:
            yield Work(tuple(trials), tuple(missing), tuple(notes)), events
        problems = {name: problem for name, problem in contents.problems.items() if name not in damaged}
        experiment.contents = Contents(tuple(sorted(runs, key=sort_key)), problems)


def _run_and_keep(
    study: Study,
    jobs: Sequence[Job],
    run_jobs: RunJobs,
    runs: list[Run],
    ask: Callable[[], None],
    sources: Sequence[Source],
) -> Generator[Event, None, None]:
    """Record what was asked for once there is somewhere to train; run jobs, write and collect what they give."""
    with contextlib.closing(run_jobs(jobs) if jobs else _do_nothing()) as events:
        ask()
        for source in sources if jobs else ():
            study.keep_source(source.sha256, source.text)
        for event in events:
            if isinstance(event, Finished):
                for run in event.runs:
                    study.write(run)
                runs += event.runs
            elif isinstance(event, Failed):
                study.write_failure(event.trial, event.details)
            yield event


def _refuse_changes(changes: Mapping[str, str]) -> None:
    """Raise UsageError if there are any: runs of two functions under one name would be taken for runs of one."""
    if changes:
        raise UsageError(
            f"{' '.join(dict.fromkeys(changes.values()))} Name another --study, take the earlier runs out"
            f" ({', '.join(f'repeat --drop {shlex.quote(name)}' for name in changes)}), or add --mix to go on all the"
            " same."
        )


def _do_nothing() -> Generator[Event, None, None]:
    yield from ()


def _set_aside(study: Study, name: str, problem: StorageError, *, again: bool) -> str:
    return f"{problem}; the run is now {study.set_aside(name)}{', and the trial is run again' if again else ''}."
