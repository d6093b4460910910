"""Train what a study lacks: prepare it, run the missing trials on any pool, write each run, report what happens.

`train`, `repeat`, the Python API and the benchmarks call this; they only show its events.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from fluidrelu_cli.audit import check_data, describe_changes, describe_factors
from fluidrelu_cli.errors import ContradictoryRunError, StorageError, UsageError
from fluidrelu_cli.networks.named import Activation
from fluidrelu_cli.networks.own import require_trust
from fluidrelu_cli.networks.source import Source, record_sources
from fluidrelu_cli.protocol import Protocol, Trial, is_own, join_arm, split_arm, trial_names
from fluidrelu_cli.run import Provenance, Run
from fluidrelu_cli.running import Markers
from fluidrelu_cli.study import ASKED, Contents, Entry, Study, sort_key
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
    runs: tuple[Run, ...] = ()
    """Those that the study has."""


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
    save_weights: bool = False
    """Whether each run that is trained saves its network."""
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
    save_weights: bool = False,
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
        save_weights: keep the trained network of each run that is trained.

    Raises:
        UsageError: if the device, the data set, the network or an activation does not exist or does not fit, an
            activation is named with a factor and learns nothing, an epoch has fewer steps than tests, only the study's
            file names the network, or weights are to be saved and safetensors is not installed.
        DataError: if the data cannot be read, downloaded or kept.
    """
    from fluidrelu_cli.data.catalogue import choose_data_dir
    from fluidrelu_cli.data.load import get_dataset
    from fluidrelu_cli.networks.build import build_model, describe_network, find_factors
    from fluidrelu_cli.networks.named import resolve_model
    from fluidrelu_cli.networks.probing import describe_habits
    from fluidrelu_cli.training.loop import list_tests
    from fluidrelu_cli.training.machine import pick_device
    from fluidrelu_cli.training.weights import load_safetensors

    if save_weights and not elsewhere:
        load_safetensors()
    require_trust(study.protocol.model, study.path, trust)
    device_name = device if elsewhere else pick_device(device).type
    folder = choose_data_dir(data_dir)
    dataset = get_dataset(study.protocol, folder, offline=offline, on_bytes=on_bytes, on_wait=on_wait)
    list_tests(study.protocol, len(dataset.train_labels))
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
        save_weights,
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
        raise UsageError(f"--beta {protocol.beta:g} is the factor of fluid and fluid-* alone: write {named}.")


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


@dataclass(frozen=True)
class Request:
    """What is asked of one study: an experiment, and the seeds of each of its activations."""

    experiment: Experiment
    seeds: Mapping[str, Sequence[int]]
    """By activation's name."""
    entry: Entry | None
    """What the log of study.json will say of it; None: nothing."""
    remember: bool = True
    """Whether to record in study.json that seeds up to the largest were asked for."""
    forget: bool = False
    """Whether to record it even if more were asked for earlier."""
    narrow: Callable[[Sequence[Run]], Mapping[str, Sequence[int]]] | None = None
    """Which of the seeds are needed, by the runs that the study has once it is locked; None: all."""

    @property
    def trials(self) -> list[Trial]:
        """All of them, seed by seed, so that pairs are finished together."""
        protocol, longest = self.experiment.study.protocol, max(map(len, self.seeds.values()))
        return [
            Trial(protocol, name, seeds[place])
            for place in range(longest)
            for name, seeds in self.seeds.items()
            if place < len(seeds)
        ]

    def ask(self, finished: int) -> None:
        """Record in study.json what was asked for, and how many runs there were by then."""
        study = self.experiment.study
        for name, seeds in self.seeds.items() if self.remember else ():
            study.ask([name], max(seeds) + 1, forget=self.forget)
        if self.entry is not None:
            study.record(replace(self.entry, finished=finished))


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
    """As :func:`conduct_all` with one study, and the same seeds of all its activations.

    Args:
        experiment: what :func:`prepare` returned.
        seeds: trained seed by seed, so that pairs are finished together.
        run_jobs: where to train.
        batch_seeds: how many seeds of an activation to train together.
        remember: record in study.json that seeds up to the largest were asked for.
        forget: record it even if more were asked for earlier.
        mix: as for :func:`conduct_all`.
    """
    names = [activation.name for activation in experiment.activations]
    entry = Entry(ASKED, dict.fromkeys(names, max(seeds) + 1)) if remember else None
    request = Request(experiment, dict.fromkeys(names, seeds), entry, remember, forget)
    with conduct_all([request], run_jobs, batch_seeds=batch_seeds, mix=mix) as ([work], events):
        yield work, events


@contextlib.contextmanager
def conduct_all(
    requests: Sequence[Request],
    run_jobs: RunJobs,
    *,
    batch_seeds: int = 1,
    mix: bool = False,
) -> Iterator[tuple[list[Work], Iterator[Event]]]:
    """Train the trials that studies lack: what there is to do in each, and what happens as it is done.

    Nothing is trained but by taking the next event. Each run is written as it ends, and each traceback is kept in the
    file ``study.files(trial.name).failure``. A trial that two studies lack is trained once. Every study has its first
    seed before any has its second. The studies are locked within the context; leaving it early keeps what is finished.
    After it, unless an error ended it, each experiment's ``contents`` are its study's.

    Args:
        requests: what is asked of each study.
        run_jobs: where to train.
        batch_seeds: how many seeds of an activation to train together.
        mix: train although the code or the factor of an activation was changed since its other runs.

    Raises:
        UsageError: if runs of a study were trained on other data, or with other code or another factor.
        StorageError: if a folder cannot be written, or a run that is not damaged cannot be used.
        FluidReluError: if another process is at work in a study.
    """
    with contextlib.ExitStack() as stack:
        for request in requests:
            stack.enter_context(request.experiment.study.locked())
        parts = [_Part.open(request, mix=mix) for request in requests]
        activations = [each for request in requests for each in request.experiment.activations]
        save_weights = any(request.experiment.save_weights for request in requests)
        jobs = group_jobs(_interleave(parts), activations, batch_seeds, save_weights=save_weights)
        events = stack.enter_context(contextlib.closing(_run_and_keep(parts, jobs, run_jobs)))
        yield [part.work for part in parts], events
        for part in parts:
            part.request.experiment.contents = part.contents()


@dataclass
class _Part:
    """One study while it is trained."""

    request: Request
    work: Work
    runs: list[Run]
    problems: Mapping[str, StorageError]

    @classmethod
    def open(cls, request: Request, *, mix: bool) -> _Part:
        """Read a locked study, find what it lacks, and set aside what is damaged of that."""
        experiment = request.experiment
        study, contents = experiment.study, experiment.study.read()
        if request.narrow is not None:
            request = replace(request, seeds=request.narrow(contents.runs))
        trials = request.trials
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
        notes += _describe_unsaved(study, trials, missing) if experiment.save_weights else []
        problems = {name: problem for name, problem in contents.problems.items() if name not in damaged}
        work = Work(tuple(trials), tuple(missing), tuple(notes), contents.runs)
        return cls(request, work, list(contents.runs), problems)

    @property
    def study(self) -> Study:
        return self.request.experiment.study

    def begin(self) -> None:
        """Record what was asked for, and keep the code that it is trained with."""
        self.request.ask(len(self.runs))
        for source in self.request.experiment.sources if self.work.missing else ():
            self.study.keep_source(source.sha256, source.text)

    def keep(self, run: Run) -> None:
        """Write a finished run; its weights are in their file from then on."""
        self.study.write(run)
        self.runs.append(replace(run, weights=None))

    def place(self, trial: Trial) -> int:
        """Which of its activation's seeds a trial has, from 0."""
        return self.request.seeds[trial.activation].index(trial.seed)

    def contents(self) -> Contents:
        return Contents(tuple(sorted(self.runs, key=sort_key)), self.problems)


def _describe_unsaved(study: Study, trials: Sequence[Trial], missing: Sequence[Trial]) -> list[str]:
    """That some of the trials are finished and have no file of weights, if so."""
    to_train = frozenset(missing)
    finished = [study.files(trial.name) for trial in trials if trial not in to_train]
    unsaved = [files.name for files in finished if not files.weights.exists()]
    if not unsaved:
        return []
    which = f"{unsaved[0]} and {len(unsaved) - 1} more have" if len(unsaved) > 1 else f"{unsaved[0]} has"
    return [
        f"{which} no file of weights in {study.runs_folder}, and what is finished is not trained again for one: delete"
        " a run's CSV to have that done."
    ]


def _interleave(parts: Sequence[_Part]) -> list[Trial]:
    """The missing trials of all studies, each once: all of their first seeds, then all of their second ones, ..."""
    places = [(part.place(trial), trial) for part in parts for trial in part.work.missing]
    return list(dict.fromkeys(trial for _, trial in sorted(places, key=lambda found: found[0])))


def _run_and_keep(parts: Sequence[_Part], jobs: Sequence[Job], run_jobs: RunJobs) -> Generator[Event, None, None]:
    """Record what was asked for once there is somewhere to train; run jobs, write and collect what they give."""
    lacking: dict[Trial, list[_Part]] = {}
    for part in parts:
        for trial in part.work.missing:
            lacking.setdefault(trial, []).append(part)
    with contextlib.ExitStack() as stack:
        events = stack.enter_context(contextlib.closing(run_jobs(jobs) if jobs else _do_nothing()))
        for part in parts:
            part.begin()
        markers = stack.enter_context(Markers([(part.study, part.work.missing) for part in parts if part.work.missing]))
        for event in events:
            if isinstance(event, Finished):
                for run in event.runs:
                    for part in lacking[run.trial]:
                        part.keep(run)
                event = replace(event, runs=[replace(run, weights=None) for run in event.runs])
            elif isinstance(event, Failed):
                for part in lacking[event.trial]:
                    part.study.write_failure(event.trial, event.details)
            markers.note(event)
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
