"""An experiment: what is planned, what is written as it happens, and what stays when it does not end well."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import linecache
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from command_line import assert_same_numbers
from factories import make_run, make_study

from fluidrelu_cli.errors import FluidReluError, OtherProtocolError, UsageError
from fluidrelu_cli.experiment import Experiment, Request, conduct, conduct_all, prepare
from fluidrelu_cli.networks.named import ACTIVATIONS, resolve
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.run import Provenance
from fluidrelu_cli.running import InFlight, read_running
from fluidrelu_cli.study import ASKED, Entry, Study, load_study, open_study
from fluidrelu_cli.workers.events import EpochDone, Event, Failed, Finished, Job, Started, run_in_this_process

PAIR = (ACTIVATIONS["relu"], ACTIVATIONS["fluid"])


def make_experiment(study: Study, data_sha256: str = "data") -> Experiment:
    return Experiment(study, PAIR, Path("unused"), "cpu", data_sha256)


def pretend(jobs: Sequence[Job]) -> Generator[Event, None, None]:
    """Finish every job without training; fluid's seed 1 fails."""
    for job in jobs:
        yield Started(job)
        [trial] = job.trials
        if trial.name == "fluid-seed1":
            yield Failed(job, "ArithmeticError: no", "Traceback ...")
        else:
            yield Finished(job, [make_run(trial.activation, trial.seed)])


def pretend_any(jobs: Sequence[Job]) -> Generator[Event, None, None]:
    """Finish every job without training, whatever its protocol."""
    for job in jobs:
        [trial] = job.trials
        yield Finished(job, [dataclasses.replace(make_run(trial.activation, trial.seed), trial=trial)])


def names(study: Study) -> list[str]:
    return sorted(path.name for path in study.runs_folder.iterdir())


def test_each_run_is_written_before_its_event_and_each_traceback_kept(tmp_path: Path) -> None:
    study = Study(tmp_path, Protocol(epochs=2))
    experiment = make_experiment(study)
    with conduct(experiment, range(2), pretend) as (work, events):
        assert [trial.name for trial in work.missing] == ["relu-seed0", "fluid-seed0", "relu-seed1", "fluid-seed1"]
        assert work.trials == work.missing
        assert work.notes == ()
        for event in events:
            marker, is_running = read_running(study)
            assert is_running
            assert marker is not None
            if isinstance(event, Started):
                [trial] = event.job.trials
                assert marker.in_flight == (InFlight(trial.activation, trial.seed, 0),)
            if isinstance(event, Finished):
                assert marker.in_flight == ()
                assert study.files(event.runs[0].trial.name).csv.exists()
            elif isinstance(event, Failed):
                assert study.files(event.trial.name).failure.read_text() == "Traceback ..."
    assert not study.marker.exists()
    assert [run.trial.name for run in experiment.contents.runs] == ["fluid-seed0", "relu-seed0", "relu-seed1"]
    assert experiment.contents == study.read()
    assert load_study(tmp_path).asked == {"relu": 2, "fluid": 2}
    with conduct(experiment, range(2), pretend) as (work, _):
        assert [trial.name for trial in work.missing] == ["fluid-seed1"]  # the same call tries it again


def make_request(folder: Path, *seeds: int, **protocol: Any) -> Request:
    study = Study(folder, Protocol(epochs=2, **protocol))
    return Request(make_experiment(study), dict.fromkeys(("relu", "fluid"), seeds), Entry(ASKED, {"relu": len(seeds)}))


def test_studies_are_trained_seed_by_seed_and_what_two_lack_once(tmp_path: Path) -> None:
    """Seed 1 of FluidReLU fails, which both studies with its protocol are told."""
    first, same, other = (
        make_request(tmp_path / "first", 0, 1),
        make_request(tmp_path / "same", 1, 2),
        make_request(tmp_path / "other", 0, 1, lr=0.5),
    )
    trained: list[str] = []

    def pretend_all(jobs: Sequence[Job]) -> Generator[Event, None, None]:
        for job in jobs:
            [trial] = job.trials
            trained.append(f"{trial.name} {trial.protocol.lr:g}")
            if trained[-1] == "fluid-seed1 0.001":
                yield Failed(job, "ArithmeticError: no", "Traceback ...")
            else:
                yield from pretend_any([job])

    with conduct_all([first, same, other], pretend_all) as (works, events):
        assert [len(work.missing) for work in works] == [4, 4, 4]
        assert trained == []
        for event in events:
            if isinstance(event, Finished) and event.runs[0].trial.name == "relu-seed1":
                for request in (first, same) if event.runs[0].trial.protocol.lr == 0.001 else (other,):
                    assert request.experiment.study.files("relu-seed1").csv.exists()
        with pytest.raises(FluidReluError, match="Another fluidrelu"):
            conduct(same.experiment, [0], pretend).__enter__()
    # the first seed of `same` is 1, which is the second of `first`
    assert trained == [
        *("relu-seed0 0.001", "fluid-seed0 0.001", "relu-seed1 0.001", "fluid-seed1 0.001"),
        *("relu-seed0 0.5", "fluid-seed0 0.5"),
        *("relu-seed2 0.001", "fluid-seed2 0.001", "relu-seed1 0.5", "fluid-seed1 0.5"),
    ]
    finished = [[run.trial.name for run in request.experiment.study.read().runs] for request in (first, same, other)]
    assert finished == [
        ["fluid-seed0", "relu-seed0", "relu-seed1"],
        ["fluid-seed2", "relu-seed1", "relu-seed2"],
        ["fluid-seed0", "fluid-seed1", "relu-seed0", "relu-seed1"],
    ]
    for request in (first, same):
        assert request.experiment.study.files("fluid-seed1").failure.read_text() == "Traceback ..."
        [line] = load_study(request.experiment.study.folder).log
        assert (line.seeds, line.finished) == ({"relu": 2}, 0)
    assert not other.experiment.study.files("fluid-seed1").failure.exists()

    first = make_request(tmp_path / "first", 0, 1, 2)
    with conduct_all([first, make_request(tmp_path / "same", 0, 1)], pretend_any) as (works, events):
        assert [[trial.name for trial in work.missing] for work in works] == [
            ["fluid-seed1", "relu-seed2", "fluid-seed2"],
            ["relu-seed0", "fluid-seed0", "fluid-seed1"],
        ]
        list(events)
    assert [line.finished for line in load_study(tmp_path / "first").log] == [0, 3]


def test_nothing_is_trained_but_by_taking_the_next_event(tmp_path: Path) -> None:
    study = Study(tmp_path, Protocol(epochs=2))
    experiment = make_experiment(study)
    with conduct(experiment, range(2), pretend) as (_, events):
        assert names(study) == []
        next(event for event in events if isinstance(event, Finished))
        assert study.marker.exists()
    assert not study.marker.exists()
    assert names(study) == ["relu-seed0.csv", "relu-seed0.json"]  # leaving early keeps what is finished
    assert [run.trial.name for run in experiment.contents.runs] == ["relu-seed0"]
    with study.locked():  # and frees the study
        pass


def test_seeds_that_are_not_to_be_remembered(tmp_path: Path) -> None:
    study = Study(tmp_path, Protocol(epochs=2))
    with conduct(make_experiment(study), [7], pretend, remember=False) as (work, events):
        list(events)
    assert [trial.seed for trial in work.trials] == [7, 7]
    assert load_study(tmp_path).asked == {}


def test_a_damaged_run_is_set_aside_and_trained_again(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"relu": [(0.5, 0.75)] * 2, "fluid": [(0.5, 0.75)], "elu": [(0.5, 0.75)]})
    study.files("fluid-seed0").csv.write_text("damaged")
    study.files("elu-seed0").csv.write_text("damaged, but nobody asked for it")
    experiment = make_experiment(study)
    with conduct(experiment, [0], pretend) as (work, events):
        assert [trial.name for trial in work.missing] == ["fluid-seed0"]
        [note] = work.notes
        assert note.endswith("; the run is now fluid-seed0.csv.damaged1, and the trial is run again.")
        list(events)
    assert [run.trial.name for run in experiment.contents.runs] == ["fluid-seed0", "relu-seed0", "relu-seed1"]
    assert study.files("elu-seed0").csv.exists()
    [note] = experiment.contents.notes
    assert note.startswith(f"Left out: {study.files('elu-seed0').csv}")


def test_a_copied_seed_is_set_aside_with_the_one_that_it_is_a_copy_of(tmp_path: Path) -> None:
    study = Study(tmp_path, Protocol(epochs=2))
    for seed in (0, 7):
        provenance = Provenance(data_sha256="data", initial_weights_sha256="the same")
        study.write(dataclasses.replace(make_run("relu", seed), provenance=provenance))
    experiment = make_experiment(study)
    with conduct(experiment, [0], pretend) as (work, events):
        assert [trial.name for trial in work.missing] == ["relu-seed0", "fluid-seed0"]
        assert work.notes[0].endswith("the run is now relu-seed0.csv.damaged1, and the trial is run again.")
        assert work.notes[1].endswith("the run is now relu-seed7.csv.damaged1.")
        list(events)
    assert experiment.contents.problems == {}
    assert [run.trial.name for run in study.read().runs] == ["fluid-seed0", "relu-seed0"]


def test_nothing_was_asked_for_where_nothing_can_be_trained(tmp_path: Path) -> None:
    """A cluster that refuses, say."""

    def refuse(_jobs: Sequence[Job]) -> Generator[Event, None, None]:
        raise FluidReluError("no cluster")

    study = Study(tmp_path, Protocol(epochs=2))
    with conduct(make_experiment(study), range(50), refuse) as (_, events), pytest.raises(FluidReluError):
        next(events)
    assert load_study(tmp_path).asked == {}


def test_a_number_of_seeds_asked_for_by_mistake_is_lowered(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"relu": [(0.5, 0.75)], "fluid": [(0.5, 0.75)]})
    study.ask(["relu"], 50)
    with conduct(make_experiment(study), [0], pretend, forget=True) as (work, events):
        assert work.missing == ()
        list(events)
    assert load_study(tmp_path).asked == {"relu": 1, "fluid": 1}


def test_a_network_that_only_the_study_names_is_not_imported(tmp_path: Path) -> None:
    study = Study(tmp_path / "mine", Protocol(model="this:Zen"))
    with pytest.raises(UsageError, match=r"study\.json names code that does not come with this program, 'this:Zen'"):
        prepare(study, PAIR)
    assert "this" not in sys.modules


def test_runs_on_other_data_or_of_another_protocol_stop_it_before_anything_is_written(tmp_path: Path) -> None:
    study = Study(tmp_path, Protocol(epochs=2))
    study.write(dataclasses.replace(make_run("relu"), provenance=Provenance(data_sha256="other")))
    study.save()
    before, recorded = names(study), (tmp_path / "study.json").read_bytes()
    with pytest.raises(UsageError, match="were trained on other data"):
        conduct(make_experiment(study), range(100), pretend).__enter__()
    assert (tmp_path / "study.json").read_bytes() == recorded
    edited = Study(tmp_path, Protocol(epochs=2, lr=0.1), study.asked)
    edited.save()
    with pytest.raises(OtherProtocolError):
        conduct(make_experiment(edited, "other"), [0], pretend).__enter__()
    assert names(study) == before


def test_two_cannot_conduct_the_same_study(tmp_path: Path) -> None:
    study = Study(tmp_path, Protocol(epochs=2))
    with conduct(make_experiment(study), [0], pretend), pytest.raises(FluidReluError, match="Another fluidrelu"):
        conduct(make_experiment(study), [0], pretend).__enter__()


def test_an_experiment_in_this_process_gives_the_numbers_of_worker_processes(
    undisturbed: Path, data_dir: Path, tmp_path: Path
) -> None:
    fields = {"train_images": 300, "test_images": 100, "epochs": 2, "batch_size": 50}
    study = open_study(tmp_path, "mine", fields)
    experiment = prepare(study, PAIR, data_dir=data_dir, device="cpu", save_weights=True)
    run_jobs = functools.partial(run_in_this_process, data_dir=data_dir, device_name="cpu")
    with conduct(experiment, range(2), run_jobs) as (_, events):
        happened = list(events)
    assert [event.epochs[0].epoch for event in happened if isinstance(event, EpochDone)] == [1, 2] * 4
    finished = [run for event in happened if isinstance(event, Finished) for run in event.runs]
    for run in (*finished, *experiment.contents.runs):
        assert run.weights is None  # which are in their file, not in memory
        files = study.files(run.trial.name)
        assert hashlib.sha256(files.weights.read_bytes()).hexdigest() == run.weights_sha256
    assert_same_numbers(experiment.study.runs_folder, undisturbed)
    assert experiment.contents == experiment.study.read()


@pytest.mark.parametrize(
    ("fields", "names", "notes"),
    [
        ({"train_images": 100}, ["relu", "Mish", "relu@lr=0.001", "fluid@lr=0.01"], []),
        (
            {"train_images": 100, "batch_size": 101},
            ["relu"],
            ["A batch of 101 is larger than the training set of 100 images, so every epoch is a single step."],
        ),
        (
            {"train_images": 19, "batch_size": 5},
            ["relu"],
            ["19 training images of 10 classes are too few to learn from."],
        ),
        ({"train_images": 100}, ["Identity", "relu", "Softmax2d"], ["Identity is linear", "Softmax2d does not act"]),
    ],
)
def test_what_is_accepted_but_odd_is_noted_each_time(
    fields: dict[str, object], names: list[str], notes: list[str], data_dir: Path, tmp_path: Path
) -> None:
    study = open_study(tmp_path, "mine", {"test_images": 100, "epochs": 2, **fields})
    for _ in range(2):  # the second time all are finished
        experiment = prepare(study, [resolve(name) for name in names], data_dir=data_dir, device="cpu")
        with conduct(experiment, [0], pretend_any) as (work, events):
            list(events)
        assert len(work.notes) == len(notes)
        assert all(note.startswith(words) for note, words in zip(work.notes, notes, strict=True))
    assert work.missing == ()


@pytest.mark.parametrize(
    ("fields", "device", "words"),
    [
        ({"dataset": "mnist", "train_images": 10**6}, "cpu", "--train-images must be at most 60000"),
        ({"model": "resnet"}, "cpu", "There is no model 'resnet'"),
        ({"model": "cnn3", "dataset": "mnist"}, "tpu", "There is no device 'tpu'"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    fields: dict[str, object], device: str, words: str, data_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words):
        prepare(open_study(tmp_path, "mine", fields), PAIR, data_dir=data_dir, device=device)
    assert list(tmp_path.iterdir()) == []


def test_weights_are_not_asked_for_without_what_keeps_them(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    study = open_study(tmp_path, "mine", {})
    with pytest.raises(UsageError, match="`pip install safetensors`"):
        prepare(study, PAIR, data_dir=data_dir, device="cpu", save_weights=True)
    assert list(tmp_path.iterdir()) == []
    assert prepare(study, PAIR, data_dir=data_dir, device="cpu", save_weights=True, elsewhere=True).save_weights


def test_an_activation_that_would_share_files_with_another_is_refused(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"leaky-relu": [(0.5, 0.75)]})
    other = dataclasses.replace(ACTIVATIONS["relu"], name="leaky:ReLU")
    experiment = dataclasses.replace(make_experiment(study), activations=(other,))
    with pytest.raises(UsageError, match="leaky:ReLU and leaky-relu would share their files"):
        conduct(experiment, [0], pretend).__enter__()


SOFT = """
from torch import Tensor
from fluidrelu_cli.networks.activations import ParametricActivation

class Soft(ParametricActivation):
    def function(v: Tensor, a: Tensor) -> Tensor:
        return v * (v + a).sigmoid()
"""


def test_code_that_was_changed_is_not_mixed_with_what_it_was(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comment does not matter; the file that was trained is kept."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def go_on(text: str, seeds: int, name: str = "own_soft:Soft", **options: Any) -> list[str]:
        """What is said when so many seeds are asked for with this text in the file."""
        (tmp_path / "own_soft.py").write_text(text)
        sys.modules.pop("own_soft", None)
        monkeypatch.setattr("fluidrelu_cli.networks.source._digests", {})
        linecache.clearcache()
        importlib.invalidate_caches()
        study = open_study(tmp_path / "results", "mine", {"train_images": 40, "test_images": 40})
        experiment = prepare(study, [resolve("relu"), resolve(name)], data_dir=data_dir, device="cpu")

        def pretend_as_recorded(jobs: Sequence[Job]) -> Generator[Event, None, None]:
            for event in pretend_any(jobs):
                assert isinstance(event, Finished)
                record = experiment.records[event.job.activation.name]
                yield Finished(event.job, [dataclasses.replace(run, provenance=record) for run in event.runs])

        with conduct(experiment, range(seeds), pretend_as_recorded, **options) as (work, events):
            list(events)
        return list(work.notes)

    factor = "Factor on the gradient of what is learned: own_soft:Soft beta 1. Another one: --act NAME@beta=10."
    sources = tmp_path / "results" / "mine" / "sources"
    assert go_on(SOFT, 1) == [factor]
    commented = f"# mine\n{SOFT}\nclass Other: pass\n"
    assert go_on(commented, 2) == [factor]
    assert sorted(path.read_text() for path in sources.iterdir()) == [SOFT, commented]

    changed = SOFT.replace("v + a", "v - a")
    with pytest.raises(UsageError) as caught:
        go_on(changed, 3)
    kept = sources / f"{hashlib.sha256(SOFT.encode()).hexdigest()}.py"
    said = f"The source of own_soft:Soft was changed since it was trained here (then {kept})."
    assert str(caught.value) == (
        f"{said} Name another --study, take the earlier runs out (repeat --drop own_soft:Soft), or add --mix to go on"
        " all the same."
    )
    assert go_on(changed, 2) == [factor, said]  # nothing is mixed
    assert go_on(changed, 3, mix=True) == [factor, said]
    assert len(list(sources.iterdir())) == 3

    faster = SOFT + "\n    beta = 10\n"
    with pytest.raises(UsageError, match="was changed since"):
        go_on(faster, 4)
    assert go_on(SOFT, 4, "own_soft:Soft@beta=10", mix=True) == [factor.replace("Soft beta 1", "Soft@beta=10 beta 10")]
    with pytest.raises(
        UsageError, match=r"^relu@beta=2 learns nothing that could have a factor: name it without @beta\."
    ):
        go_on(SOFT, 4, "relu@beta=2")
    study = open_study(tmp_path / "results", "other", {"beta": 100.0, "train_images": 40})
    with pytest.raises(UsageError) as caught:
        prepare(study, [resolve("relu"), resolve("own_soft:Soft")], data_dir=data_dir, device="cpu")
    assert str(caught.value) == (
        "--beta 100 is the factor of fluid and fluid-* alone: write --act own_soft:Soft@beta=100."
    )
    assert prepare(study, [resolve("fluid"), resolve("own_soft:Soft")], data_dir=data_dir, device="cpu").notes == (
        "Factor on the gradient of what is learned: fluid beta 100, own_soft:Soft beta 1."
        " Another one: --act NAME@beta=10.",
    )
