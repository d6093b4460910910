"""`status`: what is finished, running, failed and interrupted, from files that no training made."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import fluidrelu, fluidrelu_json, words
from factories import make_run, make_study

from fluidrelu_cli.declared import keep_declaration
from fluidrelu_cli.networks.named import resolve
from fluidrelu_cli.protocol import Trial
from fluidrelu_cli.run import Epoch
from fluidrelu_cli.running import Markers
from fluidrelu_cli.study import ASKED, Entry, Study
from fluidrelu_cli.study_file import read_declaration
from fluidrelu_cli.workers.events import EpochDone, Job, Started

pytestmark = pytest.mark.usefixtures("folder")

FILE = """
activations = ["relu", "fluid"]
seeds = 3
[protocol]
epochs = 2
"""


@contextlib.contextmanager
def trained(study: Study, activation: str, seed: int) -> Iterator[None]:
    """Another command trains this trial, and is after its first epoch."""
    trial = Trial(study.protocol, activation, seed)
    job = Job(resolve(activation), (trial,))
    with study.held(), Markers([(study, [trial])]) as markers:
        markers.note(Started(job))
        markers.note(EpochDone(job, [Epoch(1, 0.5, 0.5, 0.5, 0.5, 2.5, 0.5, {})]))
        yield


def interrupt(study: Study, activation: str, seed: int) -> None:
    """Another command trained this trial, and was killed."""
    with trained(study, activation, seed):
        left = study.marker.read_bytes()
    study.marker.write_bytes(left)


def rows(output: str) -> list[list[str]]:
    """The rows of a table, without its head."""
    lines = (line.strip() for line in output.partition("─ \n")[2].splitlines())
    return [re.split(r" {2,}", line) for line in itertools.takewhile(bool, lines)]


@pytest.fixture(autouse=True)
def _one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluidrelu_cli.workers.local.default_workers", lambda _device: 1)


def make_short(name: str = "local", asked: int = 3) -> Study:
    """A study that was asked for more than it has: two seeds of relu and one of fluid."""
    study = make_study(Path("results") / name, {"relu": [(0.5, 0.75)] * 2, "fluid": [(0.5, 0.75)]})
    for activation in ("relu", "fluid"):
        study.ask([activation], asked)
    return study


def test_where_there_is_no_study() -> None:
    assert fluidrelu("status") == "There is no study in results yet: train one with `fluidrelu repeat`.\n"
    assert fluidrelu_json("status")["studies"] == []
    assert "There is no study 'mine'" in words(fluidrelu("status", "mine", code=2))
    assert "There is no study file mine.toml" in words(fluidrelu("status", "mine.toml", code=2))


def test_a_line_for_each_study() -> None:
    make_short()
    make_study(Path("results/group/small"), {"elu": [(0.5,)]}, lr=0.01, dataset="fashion-mnist")
    make_study(Path("results/broken"), {"elu": [(0.5,)]}).path.write_text("{")
    output = fluidrelu("status")
    assert "Left out: results/broken/study.json is damaged" in output
    assert all(len(line) <= 80 for line in output.splitlines() if "Left out" not in line)
    first, second, *_ = output.partition("─ \n")[2].splitlines()
    assert re.match(r" group/small +fashion-mnist, paper, +elu 1 +\d\d:\d\d ", first)
    assert re.match(r" +epochs 1, lr 0.01", second)
    assert re.search(r" local +mnist, paper +relu 2 of 3; fluid 1 of 3 +\d\d:\d\d ", output)
    assert "now" not in output
    with trained(Study(Path("results/local"), make_run().trial.protocol), "relu", 2):
        assert re.search(r" local .* training ", fluidrelu("status"))


def test_a_study_that_is_trained_just_now() -> None:
    study = make_short()
    with trained(study, "relu", 2):
        output = fluidrelu("status", "local")
        content = fluidrelu_json("status", "local")
    assert rows(output) == [["ReLU", "2 of 3", "1", "3 s"], ["FluidReLU", "1 of 3", "–", "12 s"]]
    assert re.search(r"local is being trained since .* by process \d+ on .*: ReLU seed 2 \(epoch 1 of 2\)\.", output)
    # half of one trial and two whole ones, at 6 s each
    assert "3 trials to go, about 15 s with 1 worker, by the seconds of earlier runs." in output
    [found] = content["studies"]
    assert found["trainer"]["workers"] == content["workers"] == 1
    assert content["seconds_left"] == 15
    assert found["activations"][0] == {
        "activation": "relu",
        "asked": 3,
        "at_most": False,
        "finished": 2,
        "running": [{"seed": 2, "epoch": 1}],
        "failed": [],
        "damaged": 0,
        "seconds_left": 3,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["last_run"])


def test_a_trial_that_ended_since_is_finished_and_not_running() -> None:
    study = make_short()
    with trained(study, "relu", 1):
        assert rows(fluidrelu("status", "local"))[0] == ["ReLU", "2 of 3", "6 s"]


@pytest.mark.parametrize(
    ("entry", "trial", "command"),
    [
        (Entry(ASKED, {"relu": 3, "fluid": 3}), ("relu", 2), "repeat -n 3 --act relu --act fluid --study mine"),
        (Entry(ASKED, {"relu": 3}, file="a b.toml", sha256="0" * 64), ("relu", 2), "run 'a b.toml'"),
        (Entry(ASKED, {"relu": 3, "fluid": 3}), ("relu", 9), "train --act relu --seed 9 --study mine"),
        (None, ("relu", 9), "train --act relu --seed 9 --study mine"),
        (
            Entry(ASKED, {"relu": 9, "fluid": 9}, until={"compare": ["fluid", "relu"], "margin": 0.001, "max": 9}),
            ("relu", 2),
            "repeat --until decided --margin 0.001 --max 9 --act relu --act fluid --study mine",
        ),
    ],
)
def test_what_was_interrupted_is_named_with_the_command_that_goes_on(
    entry: Entry | None, trial: tuple[str, int], command: str
) -> None:
    study = make_short("mine")
    if entry is not None:
        study.record(entry)
    interrupt(study, *trial)
    output = fluidrelu("status", "mine")
    assert f"mine was interrupted: go on with `fluidrelu {command}`." in output
    assert "being trained" not in output
    assert re.search(r" mine .* interrupted ", fluidrelu("status"))
    assert ("of at most 9" in output) == (entry is not None and entry.until is not None)
    with study.locked():  # whoever trains next clears it
        pass
    assert "interrupted" not in fluidrelu("status", "mine")


@pytest.mark.parametrize("until", [{"margin": "a"}, {"compare": ["relu", "relu"], "margin": 0.1, "max": 10**12}])
def test_what_a_stranger_wrote_into_a_log_breaks_nothing(until: dict[str, Any]) -> None:
    study = make_short()
    study.record(Entry(ASKED, {"relu": 3}, until=until))
    interrupt(study, "relu", 2)
    assert "local was interrupted: go on with `fluidrelu repeat " in fluidrelu("status", "local")


def test_a_comparison_that_is_decided_needs_no_more() -> None:
    names = ("relu", "fluid", "elu")
    study = make_study(Path("results/local"), {name: [(0.25 + 0.5 * (name == "fluid"),)] * 40 for name in names})
    study.ask(names, 60)
    until = {"compare": ["fluid", "relu"], "margin": 0.1, "max": 60}
    study.record(Entry(ASKED, dict.fromkeys(names, 60), file="a.toml", sha256="0" * 64, until=until))
    output = fluidrelu("status", "local")
    assert [row[:2] for row in rows(output)] == [["ReLU", "40 of 40"], ["FluidReLU", "40 of 40"], ["ELU", "40 of 40"]]
    assert output.endswith("All that was asked for is finished.\n")


@pytest.mark.parametrize(
    "content",
    [
        *("", "{}", "[]", "\x00", '{"in_flight": 3}'),
        {"pid": "four"},
        {"pid": 2**40},
        {"workers": 10**400},
        {"host": "a\nb"},
        {"since": "yesterday"},
        {"in_flight": [{"activation": "relu", "seed": -1, "epoch": 0}]},
        {"in_flight": [{"activation": "relu", "seed": 2**63, "epoch": 0}]},
        {"in_flight": [{"activation": "relu", "seed": 2, "epoch": 10**400}]},
        {"in_flight": [{"activation": 7, "seed": 1, "epoch": 0}]},
        {"in_flight": ["relu"]},
    ],
    ids=str,
)
def test_a_marker_that_is_none_is_ignored(content: str | dict[str, Any]) -> None:
    study = make_short()
    interrupt(study, "relu", 2)
    if isinstance(content, dict):
        marker = {name: value for name, value in json.loads(study.marker.read_text()).items() if name != "sha256"}
        content = json.dumps(marker | content)
    with study.held():
        study.marker.write_text(content)
        output = fluidrelu("status", "local")
    assert "3 trials to go" in output
    assert "trained" not in output
    assert "interrupted" not in output


def test_what_failed_and_what_is_damaged() -> None:
    study = make_short()
    for name in ("fluid-seed1", "fluid-seed2", "relu-seed0"):  # the last one has a run by now
        study.files(name).failure.write_text("Traceback")
    study.files("relu-seed1").csv.write_text("damaged")
    output = fluidrelu("status", "local")
    assert rows(output) == [["ReLU", "1 of 3", "–", "1", "12 s"], ["FluidReLU", "1 of 3", "2", "–", "12 s"]]
    traceback = study.files("fluid-seed2").failure
    assert f"2 trials of FluidReLU failed; the traceback of the last is in {traceback}." in output
    assert "Left out: results/local/runs/relu-seed1.csv" in output
    [found] = fluidrelu_json("status", "local")["studies"]
    assert found["activations"][1]["failed"][1] == str(traceback)


def test_a_trial_that_failed_and_that_nobody_asked_for() -> None:
    study = Study(Path("results/local"), make_run().trial.protocol)
    study.save()
    study.write(make_run("relu", 0))
    for name in ("relu-seed0", "mine-Bad-seed3"):
        study.files(name).failure.write_text("Traceback")
    traceback = study.files("mine-Bad-seed3").failure
    assert fluidrelu("status", "local").endswith(
        f"Another trial failed; its traceback is in {traceback}.\nAll that was asked for is finished.\n"
    )
    assert fluidrelu_json("status", "local")["studies"][0]["other_failures"] == [str(traceback)]


def test_the_cells_of_a_file(folder: Path) -> None:
    (folder / "rates.toml").write_text(FILE + "[[vary]]\nlr = 0.01\n[[vary]]\nlr = 0.1\nepochs = 4\n")
    study = make_study(folder / "results/rates/lr=0.01", {"relu": [(0.5, 0.75)] * 3, "fluid": [(0.5, 0.75)]}, lr=0.01)
    output = fluidrelu("status", "rates.toml")
    assert rows(output) == [
        ["rates/lr=0.01", "ReLU", "3 of 3", "–"],
        ["rates/lr=0.01", "FluidReLU", "1 of 3", "12 s"],
        ["rates/lr=0.1,epochs=4", "ReLU", "0 of 3", "36 s"],
        ["rates/lr=0.1,epochs=4", "FluidReLU", "0 of 3", "36 s"],
    ]
    assert all(len(line) <= 80 for line in output.splitlines())
    assert "8 trials to go, about " in output
    (folder / "questions").mkdir()
    (folder / "rates.toml").rename(folder / "questions/rates.toml")
    assert rows(fluidrelu("status", "questions")) == rows(output)
    declaration = read_declaration(folder / "questions/rates.toml")
    study.record(Entry(ASKED, {"relu": 3}, file="rates.toml", sha256=declaration.sha256))
    assert rows(fluidrelu("status", "rates/lr=0.01"))[1] == ["FluidReLU", "1 of 1", "–"]
    keep_declaration(declaration, folder / "results/rates")
    assert rows(fluidrelu("status", "rates/lr=0.01"))[1] == ["FluidReLU", "1 of 3", "12 s"]
    assert rows(fluidrelu("status", "rates")) == rows(output)
    (folder / "rates.toml").write_text(FILE.replace("seeds", 'compare = ["fluid", "relu"]\nmargin = 0.01\nseeds', 1))
    (folder / "rates.toml").write_text((folder / "rates.toml").read_text().replace("seeds", 'stop = "decided"\nseeds'))
    output = fluidrelu("status", "rates.toml")
    assert rows(output)[0] == ["ReLU", "0 of at most 3", "–"]
    assert "At most 6 trials to go. How long that takes is not known, because" in output


def test_a_file_that_tunes(folder: Path) -> None:
    tuning = "[tune]\nlr = [0.01, 0.1]\nseeds = 2\nvalidation_images = 100\n"
    (folder / "tuned.toml").write_text(FILE + tuning)
    study = Study(folder / "results/tuned/tuning", make_run(validation_images=100).trial.protocol)
    study.save()
    study.write(make_run("relu@lr=0.01", 100_000, validation_images=100))
    output = fluidrelu("status", "tuned.toml")
    assert [row[:3] for row in rows(output)] == [
        ["tuned/tuning", "ReLU (lr = 0.01)", "1 of 2"],
        ["tuned/tuning", "ReLU (lr = 0.1)", "0 of 2"],
        ["tuned/tuning", "FluidReLU (lr = 0.01)", "0 of 2"],
        ["tuned/tuning", "FluidReLU (lr = 0.1)", "0 of 2"],
        ["tuned", "ReLU", "0 of 3"],
        ["tuned", "FluidReLU", "0 of 3"],
    ]
    assert "13 trials to go. How long that takes is not known" in output
    assert rows(fluidrelu("status", "tuned/tuning"))[0][:2] == ["ReLU (lr = 0.01)", "1 of 1"]
