"""`--dry-run`: what `run`, `repeat` and `train` would train, and how long it takes; nothing is trained or written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from command_line import fluidrelu, words
from factories import make_run, make_study

from fluidrelu_cli.declaration import FIRST_TUNING_SEED
from fluidrelu_cli.errors import DataError
from fluidrelu_cli.networks.named import Activation
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.study import Study

FILE = 'activations = ["relu", "fluid"]\nseeds = 3\n[protocol]\nepochs = 2\n'
RUNS = [(0.5, 0.75)] * 3
"""They took 6 s each."""


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Protocol]]:
    """What is timed meanwhile: 10 s for each epoch."""
    seen = []

    def time_trial(activation: Activation, protocol: Protocol, *_: Any) -> float:
        seen.append((activation.name, protocol))
        return 10.0 * protocol.epochs

    monkeypatch.setattr("fluidrelu_cli.training.timing.time_trial", time_trial)
    return seen


def plan(*arguments: object) -> list[str]:
    """The rows of the table and the sentence of a dry run by two workers, which writes nothing."""
    before = sorted(Path.cwd().rglob("*"))
    said = fluidrelu(*arguments, "--dry-run", "--workers", 2, "--device", "cpu")
    assert sorted(Path.cwd().rglob("*")) == before
    *lines, sentence = (line.strip() for line in said.partition("─ \n")[2].split("\n") if line.strip())
    cut = next((n for n, line in enumerate(lines) if "to train" in line), len(lines))
    rows = [re.sub(r" {2,}", " | ", line) for line in lines[:cut]]
    return [*rows, words(" ".join([*lines[cut:], sentence]))]


def test_what_a_file_asks_for_is_counted_and_timed(folder: Path, timed: list[tuple[str, Protocol]]) -> None:
    (folder / "mine.toml").write_text(FILE)
    assert plan("run", "mine.toml") == [
        "mine | 6 | 0 | 6 | 20 s",
        "6 trials to train, about 60 s with 2 workers, by timed steps.",
    ]
    assert [name for name, _ in timed] == ["relu", "fluid"]


def test_what_is_known_is_not_timed(folder: Path, timed: list[tuple[str, Protocol]]) -> None:
    (folder / "mine.toml").write_text(
        FILE.partition("[protocol]")[0] + "[vary]\nlr = [0.001, 0.01, 0.1]\nepochs = [2, 4]\n"
    )
    make_study(folder / "results/mine/lr=0.001,epochs=2", {"relu": RUNS, "fluid": RUNS[:2]})
    make_study(folder / "results/mine/lr=0.01,epochs=2", {"relu": RUNS[:1]}, lr=0.01)
    assert plan("run", "mine.toml") == [
        "mine/lr=0.001,epochs=2 | 6 | 5 | 1 | 6 s",
        "mine/lr=0.001,epochs=4 | 6 | 0 | 6 | 40 s",
        "mine/lr=0.01,epochs=2 | 6 | 1 | 5 | 14 s",
        "mine/lr=0.01,epochs=4 | 6 | 0 | 6 | 40 s",
        "mine/lr=0.1,epochs=2 | 6 | 0 | 6 | 20 s",
        "mine/lr=0.1,epochs=4 | 6 | 0 | 6 | 40 s",
        "30 trials to train, about 8 min with 2 workers, by the seconds of earlier runs and timed steps.",
    ]
    # an epoch of each: a rate takes no time
    assert [(name, protocol.epochs) for name, protocol in timed] == [("relu", 1), ("fluid", 1)]


def test_data_that_is_not_here_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def time_trial(*_: object) -> float:
        raise DataError("no such file")

    monkeypatch.setattr("fluidrelu_cli.training.timing.time_trial", time_trial)
    (folder / "mine.toml").write_text(FILE + 'dataset = "kmnist"\n')
    assert plan("run", "mine.toml") == [
        "mine | 6 | 0 | 6 | –",
        "6 trials to train. How long that takes is not known, because the data set kmnist is not here yet.",
    ]


@pytest.mark.usefixtures("timed")
def test_what_is_tuned_and_what_follows_it(folder: Path) -> None:
    (folder / "tuned.toml").write_text(FILE + "[tune]\nlr = [0.01, 0.1]\nseeds = 1\nvalidation_images = 100\n")
    study = Study(folder / "results/tuned/tuning", make_run(validation_images=100).trial.protocol)
    study.save()
    arms = ("relu@lr=0.01", "relu@lr=0.1", "fluid@lr=0.01", "fluid@lr=0.1")
    for arm in arms[:3]:
        study.write(make_run(arm, FIRST_TUNING_SEED, RUNS[0], validation_images=100))
    assert plan("run", "tuned.toml")[:2] == ["tuned/tuning | 4 | 3 | 1 | 20 s", "tuned | 6 | 0 | 6 | 20 s"]
    study.write(make_run(arms[3], FIRST_TUNING_SEED, RUNS[0], validation_images=100))
    make_study(folder / "results/tuned", {"relu@lr=0.01": RUNS[:2], "relu@lr=0.1": RUNS[:1]})
    assert plan("run", "tuned.toml")[:2] == ["tuned/tuning | 4 | 4 | 0 | –", "tuned | 6 | 2 | 4 | 16 s"]


@pytest.mark.usefixtures("timed")
def test_training_that_may_end_earlier_is_counted_at_most(folder: Path) -> None:
    (folder / "mine.toml").write_text('margin = 0.1\nstop = "decided"\n' + FILE)
    (folder / "other.toml").write_text(FILE)
    assert plan("run", ".") == [
        "mine | at most 6 | 0 | at most 6 | 20 s",
        "other | 6 | 0 | 6 | 20 s",
        "At most 12 trials to train, about 2 min with 2 workers, by timed steps. Training ends once it is decided.",
    ]


def test_repeat_and_train_say_it_too(folder: Path, data_dir: Path, timed: list[tuple[str, Protocol]]) -> None:
    where = ("--data-dir", data_dir, "--epochs", 2)
    assert plan("repeat", "-n", 2, *where) == [
        "local | 4 | 0 | 4 | 20 s",
        "4 trials to train, about 40 s with 2 workers, by timed steps.",
    ]
    make_study(folder / "results/local", {"relu": RUNS, "fluid": RUNS})
    timed.clear()
    assert plan("repeat", "-n", 3, *where) == ["local | 6 | 6 | 0 | –", "Nothing is left to train."]
    said = words(fluidrelu("train", "--act", "relu", "--seed", 7, *where, "--device", "cpu", "--dry-run"))
    assert said.endswith("local 1 0 1 6 s 1 trial to train, about 6 s with 1 worker, by the seconds of earlier runs.")
    assert timed == []
