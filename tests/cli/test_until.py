"""Seeds until it is decided, by `repeat` and by study files, mostly on a pool that only pretends to train."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from command_line import fluidrelu, words
from factories import make_run

from fluidrelu_cli.analysis.sequential import Judgement
from fluidrelu_cli.analysis.verdicts import UNDECIDED
from fluidrelu_cli.cli.until import _Watch
from fluidrelu_cli.cli.wording import describe_decision
from fluidrelu_cli.networks.named import resolve
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.stopping import Stopping
from fluidrelu_cli.study import LOOKED, Study, load_study
from fluidrelu_cli.workers.events import Event, Failed, Finished, Job, Split, Started

pytestmark = pytest.mark.usefixtures("folder")

UNTIL = ("repeat", "--until", "decided", "--margin", 0.5, "--max", 60)
PAIRS = 6
"""So many equal pairs are equal within a margin of 0.5."""


@dataclass
class Pretence:
    """A pool that finishes the jobs in flight in the order in which they began, with the accuracies that it is told."""

    accuracy: Callable[[Trial], float] = lambda _trial: 0.75
    broken: set[tuple[str, int]] = field(default_factory=set)
    """Trials that fail, by activation and seed."""
    interrupted_at: int | None = None
    """After how many trials Ctrl-C comes."""
    finished: list[Trial] = field(default_factory=list)
    abandoned: list[Job] = field(default_factory=list)

    def __call__(self, jobs: Sequence[Job], workers: int, **_: object) -> Generator[Event, None, None]:
        waiting, in_flight = list(jobs), list[Job]()
        try:
            while waiting or in_flight:
                while waiting and len(in_flight) < workers:
                    in_flight.append(waiting.pop(0))
                    yield Started(in_flight[-1])
                if len(self.finished) == self.interrupted_at:
                    self.interrupted_at = None
                    raise KeyboardInterrupt
                yield self.end(in_flight.pop(0))
        finally:
            self.abandoned = in_flight

    def end(self, job: Job) -> Event:
        first = job.trials[0]
        if (first.activation, first.seed) in self.broken:
            return Failed(job, "ArithmeticError: too many images", "Traceback")
        self.finished += job.trials
        made = (make_run(trial.activation, 0, (self.accuracy(trial),)) for trial in job.trials)
        return Finished(job, [replace(run, trial=trial) for run, trial in zip(made, job.trials, strict=True)])


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Pretence:
    """What is the pool of this machine meanwhile."""
    pretence = Pretence()
    monkeypatch.setattr("fluidrelu_cli.workers.local.run_on_this_machine", pretence)
    monkeypatch.setattr("fluidrelu_cli.workers.local.start_fork_server", lambda: None)
    return pretence


@pytest.fixture
def where(data_dir: Path) -> tuple[object, ...]:
    return ("--workers", 2, "--device", "cpu", "--data-dir", data_dir)


def count_runs(study: str) -> dict[str, int]:
    """How many runs of each activation a study has."""
    names = [path.name.rpartition("-seed")[0] for path in Path("results", study, "runs").glob("*.json")]
    return {name: names.count(name) for name in names}


def test_repeat_ends_once_it_is_decided(pool: Pretence, where: tuple[object, ...]) -> None:
    planned = words(fluidrelu(*UNTIL, *where, "--epochs", 1, "--train-images", 200, "--dry-run"))
    assert "local at most 120 0 at most 120" in planned
    assert "At most 120 trials to train" in planned
    assert planned.endswith("Training ends once it is decided.")
    output = words(fluidrelu(*UNTIL, *where, "--epochs", 1))
    assert "results/local: at most 120 trials asked for, 0 finished already, at most 120 to train." in output
    assert "results/local: decided after 6 pairs: fluid and relu differ by less than 0.5; 1 trial in flight" in output
    assert "was stopped. Accuracy after" in output
    assert output.endswith("Compare them with: fluidrelu report")
    assert [job.trials[0].seed for job in pool.abandoned] == [PAIRS]
    assert len(pool.finished) == 2 * PAIRS
    asked, looked = load_study(Path("results/local")).log
    assert asked.until == {"compare": ["fluid", "relu"], "margin": 0.5, "max": 60}
    assert asked.seeds == {"relu": 60, "fluid": 60}
    assert (looked.what, looked.seeds, looked.file) == (LOOKED, {"relu": PAIRS, "fluid": PAIRS}, None)
    output = words(fluidrelu(*UNTIL, *where))
    assert "decided already, after 6 pairs: fluid and relu differ by less than 0.5. results/local: 12 trials" in output
    assert "asked for, 12 finished already, 0 to train." in output
    assert len(pool.finished) == 2 * PAIRS
    assert load_study(Path("results/local")).log == (asked, looked)
    assert fluidrelu(*UNTIL, *where, "--dry-run").endswith("Nothing is left to train.\n")


@pytest.mark.usefixtures("pool")
def test_a_run_that_another_process_wrote_meanwhile_counts(
    where: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just before this one has the study to itself."""
    held = Study.held

    def write_and_hold(study: Study) -> contextlib.AbstractContextManager[None]:
        study.write(replace(make_run("relu", 0, (0.75,)), trial=Trial(study.protocol, "relu", 0)))
        return held(study)

    monkeypatch.setattr(Study, "held", write_and_hold)
    output = words(fluidrelu(*UNTIL, *where, "--epochs", 1))
    assert "1 finished already, at most 119 to train." in output
    assert "decided after 6 pairs" in output
    assert count_runs("local") == {"relu": PAIRS, "fluid": PAIRS}


def test_repeat_goes_on_after_ctrl_c_and_compares_two_without_relu(pool: Pretence, where: tuple[object, ...]) -> None:
    pool.interrupted_at = 4
    pool.accuracy = lambda trial: 0.125 if trial.activation == "tanh" else 0.75
    command = (*UNTIL, *where, "--epochs", 1, "--act", "elu", "--act", "tanh", "--batch-seeds", 4)
    assert "Stopped; what is finished is kept." in fluidrelu(*command, code=130)
    assert count_runs("local") == {"elu": 4}
    output = words(fluidrelu(*command))
    assert "at most 120 trials asked for, 4 finished already, at most 116 to train." in output
    assert "decided after 8 pairs: tanh is worse than elu" in output


def test_a_pair_that_failed_ends_the_training(pool: Pretence, where: tuple[object, ...]) -> None:
    pool.broken = {("fluid", 2)}
    command = ("repeat", "--until", "decided", "--margin", 0.5, "--max", 7, *where, "--epochs", 1)
    output = words(fluidrelu(*command, code=1))
    assert "traceback: results/local/runs/fluid-seed2.failed.txt" in output
    assert "stopped without a verdict after 2 pairs: pairs count in the order of their seeds, and fluid fai" in output
    assert "led with seed 2; 1 trial in flight was stopped." in output
    assert output.endswith("Error: 1 of 6 trials failed; the same command tries again.")
    assert count_runs("local") == {"relu": 3, "fluid": 2}
    pool.broken = set()
    output = words(fluidrelu(*command))
    assert "5 finished already, at most 9 to train" in output
    assert "decided after 6 pairs: fluid and relu differ by less than 0.5; 1 trial in flight was stopped." in output


FILE = """
activations = ["relu", "fluid", "elu"]
seeds = 60
compare = ["fluid", "relu"]
margin = 0.5
stop = "decided"
protocol.epochs = 1
"""
TUNE = """
[tune]
lr = [0.001, 0.01]
seeds = 1
validation_images = 100
"""
FIXED = """
activations = ["relu"]
seeds = 1
protocol.epochs = 1
"""


def test_run_trains_all_activations_as_far_as_the_pair_goes(pool: Pretence, where: tuple[object, ...]) -> None:
    for name, text in (("decided", FILE), ("tuned", FILE + TUNE), ("fixed", FIXED)):
        Path(f"{name}.toml").write_text(text)
    pool.broken = {("elu", 1), ("elu", 6)}
    output = words(fluidrelu("run", "decided.toml", "tuned.toml", "fixed.toml", *where, code=1))
    assert "results/decided: decided after 6 pairs: fluid and relu differ by less than 0.5; 1 trial in" in output
    assert "results/tuned: decided after 6 pairs: fluid@lr=0.001 and relu@lr=0.001 differ by" in output
    assert output.endswith("Error: 1 of 43 trials failed; the same command tries again.")
    assert count_runs("decided") == {"relu": PAIRS, "fluid": PAIRS, "elu": PAIRS - 1}
    assert set(count_runs("tuned").values()) == {PAIRS}
    assert count_runs("fixed") == {"relu": 1}
    planned = words(fluidrelu("run", "decided.toml", "tuned.toml", *where, "--dry-run"))
    assert "decided 18 17 1" in planned
    assert "at most" not in planned
    pool.broken = set()
    output = words(fluidrelu("run", "decided.toml", *where))
    assert "decided already, after 6 pairs: fluid and relu differ by less than 0.5. results/decided: 18" in output
    assert "trials asked for, 17 finished already, 1 to train." in output
    assert output.endswith("Answer it with: fluidrelu report decided.toml")
    asked, looked, *again = load_study(Path("results/decided")).log
    assert asked.seeds == dict.fromkeys(("relu", "fluid", "elu"), 60)
    assert asked.until == {"compare": ["fluid", "relu"], "margin": 0.5, "max": 60}
    [found] = [each for each in json.loads(fluidrelu("status", "--json"))["studies"] if each["study"] == "decided"]
    assert [(arm["finished"], arm["asked"]) for arm in found["activations"]] == [(PAIRS, PAIRS)] * 3
    assert (looked.what, looked.seeds) == (LOOKED, {"relu": PAIRS, "fluid": PAIRS, "elu": PAIRS - 1})
    assert (looked.file, looked.sha256) == ("decided.toml", asked.sha256)
    assert not again


@pytest.mark.slow
def test_workers_are_stopped_without_a_trace(small: tuple[object, ...], folder: Path) -> None:
    output = words(fluidrelu(*UNTIL, "--workers", 2, *small))
    decided = re.search(r"decided after (\d) pairs: fluid and relu differ by less than 0.5", output)
    assert decided is not None
    runs = folder / "results" / "local" / "runs"
    for name, n in count_runs("local").items():
        assert int(decided[1]) <= n <= int(decided[1]) + 2
        assert {path.name for path in runs.glob(f"{name}-*.json")} == {f"{name}-seed{seed}.json" for seed in range(n)}
    assert {path.suffix for path in runs.iterdir()} == {".csv", ".json"}


STOPPING = Stopping(("fluid", "relu"), 0.5, {"relu": 60, "fluid": 60, "elu": 60})


def make_event(kind: str, activation: str, *seeds: int) -> Event:
    job = Job(resolve(activation), tuple(Trial(Protocol(epochs=1), activation, seed) for seed in seeds))
    events: dict[str, Event] = {
        "started": Started(job),
        "finished": Finished(job, [make_run(activation, seed, (0.75,)) for seed in seeds]),
        "split": Split(job, ""),
        "failed": Failed(job, "", ""),
    }
    return events[kind]


@pytest.mark.parametrize(
    ("events", "enough", "in_flight"),
    [
        ([("finished", "fluid", 5)], True, 0),
        ([("finished", "relu", 6)], False, 0),
        ([("started", "relu", 6), ("started", "fluid", 6), ("failed", "relu", 6)], False, 1),
        ([("started", "relu", 6), ("failed", "relu", 6), ("started", "fluid", 5), ("finished", "fluid", 5)], True, 0),
        # pairs after one that failed cannot decide it
        ([("started", "relu", 6), ("failed", "fluid", 5)], True, 1),
        ([("failed", "relu", 7), ("failed", "fluid", 6), ("failed", "fluid", 5)], True, 0),
        ([("started", "fluid", 5, 6), ("split", "fluid", 5, 6), ("started", "fluid", 5)], False, 1),
        ([("started", "relu", 6, 7, 8), ("finished", "fluid", 5, 6, 7, 8)], True, 3),
        # the others' seeds are needed as far as the pair goes
        ([("finished", "fluid", 5), ("started", "elu", 6)], False, 1),
        ([("finished", "fluid", 5), ("finished", "elu", 5)], True, 0),
        ([("finished", "elu", 5), ("finished", "fluid", 5)], True, 0),
        ([("started", "elu", 5), ("finished", "fluid", 5), ("failed", "elu", 5)], True, 0),
    ],
)
def test_when_it_is_enough(
    events: Sequence[tuple[str, str, int]], enough: bool, in_flight: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but fluid's seed 5, and elu's where it is spoken of, are finished up to seed 5."""
    monkeypatch.delattr("fluidrelu_cli.analysis.sequential._tabulate")  # confidence limits take too long
    runs = [make_run(name, seed, (0.75,)) for name in ("relu", "fluid") for seed in range(PAIRS)][:-1]
    lacking = {"relu": range(PAIRS, 60), "fluid": range(PAIRS - 1, 60)}
    if any(name == "elu" for _, name, *_ in events):
        lacking["elu"] = range(PAIRS - 1, 60)
    missing = [Trial(Protocol(epochs=1), name, seed) for name, seeds in lacking.items() for seed in seeds]
    watch = _Watch(STOPPING, runs, missing, STOPPING.decide(runs))
    assert [watch(make_event(*event)) for event in events] == [False] * (len(events) - 1) + [enough]
    assert len(watch.in_flight) == in_flight


@pytest.mark.parametrize(
    ("verdict", "n", "words_of", "sentence"),
    [
        (
            "better",
            31,
            {"stopped": 4},
            "decided after 31 pairs: fluid is better than relu; 4 trials in flight were stopped.",
        ),
        (
            "worse",
            31,
            {"stopped": 1},
            "decided after 31 pairs: fluid is worse than relu; 1 trial in flight was stopped.",
        ),
        ("equal", 31, {}, "decided after 31 pairs: fluid and relu differ by less than 0.5."),
        ("better", 31, {"already": True}, "decided already, after 31 pairs: fluid is better than relu."),
        (UNDECIDED, 60, {}, "not decided after 60 pairs, the most that were asked for."),
        (
            UNDECIDED,
            1,
            {"failed": Trial(Protocol(), "fluid", 1), "stopped": 1},
            "stopped without a verdict after 1 pair: pairs count in the order of their seeds, and fluid failed with"
            " seed 1; 1 trial in flight was stopped.",
        ),
    ],
)
def test_how_it_ended_in_a_clause(verdict: str, n: int, words_of: Mapping[str, int], sentence: str) -> None:
    assert describe_decision(Judgement(verdict, n), STOPPING, **words_of) == sentence  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "--until decided",
            "--until decided needs a margin: name the difference that would matter, as --margin 0.001.",
        ),
        ("--until decided --margin 0.1", "--until decided needs an end: name how many seeds there may be at most, as"),
        ("--until decided --margin 0.1 --max 9 -n 3", "--until decided says itself how many seeds it takes: leave"),
        ("--until decided --margin 1 --max 9", "--margin must be a difference of accuracies between 0 and 1, such as"),
        ("--until decided --margin nan --max 9", "--margin must be a difference of accuracies between 0 and 1, such"),
        ("--until decided --margin 0.1 --max 0", "Invalid value for '--max'"),
        ("--until bored", "Invalid value for '--until'"),
        ("--margin 0.1", "--margin belongs to --until decided: add that, or leave --margin out."),
        ("--max 9", "--max belongs to --until decided: add that, or leave --max out."),
        (
            "--until decided --margin 0.1 --max 9 --act relu",
            "--until decided compares two activations, not relu: name them, as --act relu --act fluid.",
        ),
        ("--until decided --margin 0.1 --max 9 --act relu --act elu --act tanh", "not relu, elu, tanh: name them, as"),
    ],
)
def test_a_wrong_request_is_answered_with_a_sentence(arguments: str, message: str, where: tuple[object, ...]) -> None:
    assert message in words(fluidrelu("repeat", *arguments.split(), *where, code=2).replace("│", " "))
    assert not Path("results").exists()
