"""`run` and `new`: train what a study file declares, and write one to start from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from fluidrelu_cli.cli.forecast import Asked, show_forecast
from fluidrelu_cli.cli.options import (
    DEFAULT_RESULTS,
    BatchSeedsOption,
    DaskOption,
    DataDirOption,
    DeviceOption,
    DryRunOption,
    MixOption,
    OfflineOption,
    ResultsOption,
    SaveWeightsOption,
    WorkersOption,
)
from fluidrelu_cli.cli.pools import PoolOptions, exit_if_failed, report_command, show_events
from fluidrelu_cli.cli.terminal import say, show
from fluidrelu_cli.declaration import ENDING, Declaration
from fluidrelu_cli.declared import keep_declaration, open_declared, settle, tune_declared
from fluidrelu_cli.errors import FluidReluError, UsageError
from fluidrelu_cli.files import write_whole
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.stopping import Stopping
from fluidrelu_cli.study import ASKED, Entry
from fluidrelu_cli.study_file import STARTING_FILE, find_files, name_keys, read_declaration, shown_key

if TYPE_CHECKING:
    from fluidrelu_cli.experiment import Request
    from fluidrelu_cli.networks.named import Activation


def run(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Study files, or folders of study files.", show_default=False),
    ],
    dry_run: DryRunOption = False,
    mix: MixOption = False,
    workers: WorkersOption = None,
    batch_seeds: BatchSeedsOption = "auto",
    dask: DaskOption = None,
    device: DeviceOption = "auto",
    data_dir: DataDirOption = None,
    offline: OfflineOption = False,
    results: ResultsOption = DEFAULT_RESULTS,
    save_weights: SaveWeightsOption = False,
) -> None:
    """Train what study files declare: the trials that are not finished yet.

    Every study gets its first seed before any gets its second. What a file tunes is tuned first.

    A study that stops once it is decided is trained by itself, after the others.
    """
    from fluidrelu_cli.cli.wording import describe_too_few_declared

    declarations = _read_all(files)
    for declaration in declarations:
        warning = describe_too_few_declared(declaration)
        if warning:
            say(f"{declaration.path}: {warning}")
    if dry_run:
        for declaration in declarations:
            _resolve(declaration)
        asked = [part for declaration in declarations for part in list_asked(declaration, results)]
        show_forecast(asked, workers, device, data_dir)
        return
    pool = PoolOptions(workers, batch_seeds, dask, device, data_dir)
    if dask is None:
        from fluidrelu_cli.workers.local import start_fork_server

        start_fork_server()  # it imports torch while this process checks what is to be trained
    trainer = _Trainer(results, pool, offline, mix, save_weights)
    spelled = [_Question(declaration, trainer) for declaration in declarations]
    trainer.train([request for each in spelled for request in each.first_requests()])
    trainer.train([request for each in spelled for request in each.last_requests()])
    exit_if_failed(trainer.failures, trainer.trials)
    for declaration in declarations:
        say(f"Answer it with: {report_command(results, str(declaration.path))}")


def _read_all(paths: Sequence[Path]) -> list[Declaration]:
    declarations: dict[str, Declaration] = {}
    for path in find_files(paths):
        declaration = read_declaration(path)
        other = declarations.setdefault(declaration.name, declaration)
        if other is not declaration:
            raise UsageError(f"{other.path} and {path} would share the study {declaration.name}: rename one of them.")
    return list(declarations.values())


def list_asked(declaration: Declaration, results: Path) -> Iterator[Asked]:
    """What a file asks of each of its studies, with the names that these have; nothing is imported."""
    tuning = declaration.tuning
    if tuning is not None:
        study = open_declared(results, declaration, declaration.tuning_name, declaration.tuning_protocol)
        arms = [arm for tried in declaration.spelled(study.known).tuning_arms().values() for arm, _ in tried]
        yield Asked(study, [Trial(study.protocol, arm, seed) for seed in tuning.seed_range for arm in arms])
        with contextlib.suppress(FluidReluError):  # not tuned yet: then there are as many trials of arms to come
            declaration, _ = settle(declaration, results)
    for cell in declaration.cells:
        study = open_declared(results, declaration, declaration.study_name(cell), cell.protocol)
        spelled = declaration.spelled(study.known)
        stopping = Stopping.declared(spelled)
        if stopping is not None:
            yield Asked.until_decided(study, stopping)
            continue
        seeds = spelled.list_seeds(cell).items()
        yield Asked(study, [Trial(study.protocol, name, seed) for name, mine in seeds for seed in mine])


class _Wanted(NamedTuple):
    """What a study file asks of one of its studies, and where its training ends if not with the last seed."""

    request: Request
    stopping: Stopping | None = None


@dataclass
class _Trainer:
    """Trains requests one stage after the other, and counts what failed."""

    results: Path
    pool: PoolOptions
    offline: bool
    mix: bool
    save_weights: bool
    failures: int = 0
    trials: int = 0

    def train(self, wanted: Sequence[_Wanted]) -> None:
        """Train what studies lack: all of them together, and then those that go on until they are decided."""
        together = [request for request, stopping in wanted if stopping is None]
        if together:
            self._train_together(together)
        for request, stopping in wanted:
            if stopping is not None:
                from fluidrelu_cli.cli.until import train_until_decided

                failures, trials = train_until_decided(request, stopping, self.pool, mix=self.mix)
                self.failures += failures
                self.trials += trials

    def _train_together(self, requests: Sequence[Request]) -> None:
        from fluidrelu_cli.experiment import conduct_all

        experiment = requests[0].experiment
        run_jobs, together = self.pool.choose(experiment.data_dir, experiment.device_name)
        with conduct_all(requests, run_jobs, batch_seeds=together, mix=self.mix) as (works, events):
            parts = [(request.experiment.study, work) for request, work in zip(requests, works, strict=True)]
            self.trials += len({trial for work in works for trial in work.missing})
            self.failures += show_events(parts, events)


@contextlib.contextmanager
def _naming(declaration: Declaration) -> Iterator[None]:
    """Say of what is wrong in which file it stands."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{declaration.path}: {name_keys(str(error))}") from error


def _resolve(declaration: Declaration) -> dict[str, Activation]:
    """The activations of a file by their names in it.

    Raises UsageError if there is no such activation, or one is to have a factor and learns nothing.
    """
    from fluidrelu_cli.networks.named import resolve

    tuned = [name for name, fields in declaration.tuned_fields().items() if "beta" in fields]
    with _naming(declaration):
        found = {name: resolve(name) for name in declaration.activations}
        factored = [name for name, each in found.items() if name in tuned or each.beta is not None]
        learners = [name for name in factored if any(True for _ in found[name].make(1).parameters())]
        for name in factored:
            if name not in learners and name in tuned:
                where = next((f"write it below [tune.{shown_key(each)}]" for each in learners), "leave it out")
                raise UsageError(
                    f"[tune] tries beta for {name}, which learns nothing that could have a factor: {where}."
                )
            if name not in learners:
                raise UsageError(f"{name} learns nothing that could have a factor: name it without @beta.")
    return found


@dataclass
class _Question:
    """A study file on its way to being trained."""

    declaration: Declaration
    trainer: _Trainer
    activations: Mapping[str, Activation] = field(default_factory=dict)
    """By their names in the file."""
    tuning: Request | None = None

    def __post_init__(self) -> None:
        self.activations = _resolve(self.declaration)
        self.declaration = self.declaration.settled({name: it.name for name, it in self.activations.items()})

    def first_requests(self) -> list[_Wanted]:
        """What can be trained at once: the cells, or what settings are chosen by."""
        declaration, tuning = self.declaration, self.declaration.tuning
        if tuning is None:
            return self._request_cells(declaration)
        names = [arm for arms in declaration.tuning_arms().values() for arm, _ in arms]
        seeds = dict.fromkeys(names, tuning.seed_range)
        self.tuning = self._request(declaration.tuning_name, declaration.tuning_protocol, seeds, remember=False)
        return [_Wanted(self.tuning)]

    def last_requests(self) -> list[_Wanted]:
        """What is trained with the settings that were chosen; nothing if some activation has none."""
        from fluidrelu_cli.analysis.tuning import list_chosen

        declaration = self.declaration
        if self.tuning is None:
            return []
        chosen = list_chosen(tune_declared(declaration, self.tuning.experiment.contents.runs).table)
        lacking = ", ".join(name for name in declaration.activations if name not in chosen)
        if lacking:
            say(f"{declaration.path}: not every setting of {lacking} has all its seeds, so none is chosen yet.")
            return []
        say(f"{declaration.path}: chosen on held-out images: {', '.join(chosen.values())}.")
        return self._request_cells(declaration.settled(chosen))

    def _request_cells(self, declaration: Declaration) -> list[_Wanted]:
        stopping = Stopping.declared(declaration)
        requests = (
            self._request(
                declaration.study_name(cell),
                cell.protocol,
                declaration.list_seeds(cell),
                stopping,
                remember=not cell.first_seed,  # what is remembered of a study is how many seeds from 0 on it has
            )
            for cell in declaration.cells
        )
        return [_Wanted(request, stopping) for request in requests]

    def _request(
        self,
        name: str,
        protocol: Protocol,
        seeds: Mapping[str, range],
        stopping: Stopping | None = None,
        *,
        remember: bool = True,
    ) -> Request:
        from fluidrelu_cli.cli.data import show_downloads
        from fluidrelu_cli.experiment import Request, prepare
        from fluidrelu_cli.networks.named import resolve

        declaration, pool, results = self.declaration, self.trainer.pool, self.trainer.results
        study = open_declared(results, declaration, name, protocol)
        with show_downloads() as callbacks, _naming(declaration):
            experiment = prepare(
                study,
                [resolve(arm) for arm in seeds],
                data_dir=pool.data_dir,
                device=pool.device,
                offline=self.trainer.offline,
                elsewhere=pool.dask is not None,
                trust=True,  # the file was named on the command line
                save_weights=self.trainer.save_weights,
                **callbacks,
            )
        keep_declaration(declaration, results / declaration.name)
        counts = {arm: len(mine) for arm, mine in seeds.items()}
        until = None if stopping is None else stopping.recorded()
        entry = Entry(ASKED, counts, file=declaration.path.as_posix(), sha256=declaration.sha256, until=until)
        return Request(experiment, seeds, entry, remember=remember)


def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The study file to write, such as studies/mine.toml.")],
) -> None:
    """Write a study file to start from, with a comment on each key."""
    if file.suffix != ENDING:
        raise UsageError(f"{file} is no name for a study file: it has to end in {ENDING}.")
    if file.exists():
        raise UsageError(f"{file} is there already: name another file.")
    try:
        write_whole(file, STARTING_FILE)
    except FluidReluError as error:
        raise UsageError(f"{file} cannot be written: name another file.") from error
    show(f"Written: {file}. Change it to your question, then train it with: fluidrelu run {file}")
