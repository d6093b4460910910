"""`run` and `new`: a study file on its way to trained studies."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import pytest
from command_line import fluidrelu, fluidrelu_json, words

from fluidrelu_cli.declared import recall_declaration
from fluidrelu_cli.study_file import read_declaration
from fluidrelu_cli.workers.events import Event, Job, run_in_this_process

PROTOCOL = "[protocol]\nepochs = 1\ntrain_images = 100\ntest_images = 50\nbatch_size = 50\n"
GRID = 'activations = ["relu", "elu"]\nseeds = 2\n' + PROTOCOL + "[vary]\nlr = [0.001, 0.01]\ndisjoint_seeds = true\n"
CELLS = ("lr=0.001", "lr=0.01")


def train(folder: Path, data_dir: Path, *arguments: object, code: int = 0) -> str:
    options = ("--workers", 1, "--batch-seeds", 1, "--device", "cpu", "--data-dir", data_dir)
    return fluidrelu("run", *arguments, *options, "--results", folder / "results", code=code)


@pytest.fixture(scope="module", autouse=True)
def _in_this_process() -> Iterator[None]:
    """Train in this process: workers take seconds to start, and how they train is tested elsewhere."""

    def run_jobs(jobs: Sequence[Job], data_dir: Path, device_name: str, **_: object) -> Generator[Event, None, None]:
        return run_in_this_process(jobs, data_dir, device_name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fluidrelu_cli.workers.local.run_on_this_machine", run_jobs)
        patch.setattr("fluidrelu_cli.workers.local.start_fork_server", lambda: None)
        yield


@pytest.fixture(scope="module")
def trained(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a trained grid, and what was said."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "grid.toml").write_text(GRID)
    return folder, train(folder, data_dir, folder / "grid.toml")


@pytest.fixture
def copy(trained: tuple[Path, str], folder: Path) -> Path:
    """A copy of it, which is the current folder."""
    shutil.copytree(trained[0], folder, dirs_exist_ok=True)
    return folder


@pytest.mark.usefixtures("folder")
def test_new_writes_a_file_that_reads() -> None:
    assert "Written: mine.toml" in fluidrelu("new", "mine.toml")
    assert read_declaration(Path("mine.toml")).name == "mine"
    assert "is there already: name another file" in words(fluidrelu("new", "mine.toml", code=2))
    assert "it has to end in .toml" in words(fluidrelu("new", "mine.txt", code=2))
    assert "cannot be written: name another file" in words(fluidrelu("new", "mine.toml/mine.toml", code=2))


def find_finished(said: str) -> list[tuple[str, str, int]]:
    """The study, the activation and the seed of each trial that was said to have finished, in this order."""
    found = re.findall(r"^\d+/\d+ (?:(\S+) )?(\S+) seed (\d+): test accuracy", said, re.MULTILINE)
    return [(study, activation, int(seed)) for study, activation, seed in found]


def test_every_cell_has_its_first_seed_before_any_has_its_second(trained: tuple[Path, str]) -> None:
    assert find_finished(trained[1]) == [
        (f"grid/{cell}", activation, first + place)
        for place in (0, 1)
        for first, cell in zip((0, 2), CELLS, strict=True)
        for activation in ("relu", "elu")
    ]


@pytest.mark.usefixtures("copy")
def test_every_cell_has_seeds_of_its_own() -> None:
    report = fluidrelu_json("report", "grid.toml")
    assert [(row["cell"], row["n"], row["asked"]) for row in report["summary"]] == [
        (cell, 2, 2) for cell in CELLS for _ in ("relu", "elu")
    ]
    assert {(row["cell"], row["seed"]) for row in report["runs"]} == {
        *((CELLS[0], 0), (CELLS[0], 1), (CELLS[1], 2), (CELLS[1], 3))
    }
    for study in fluidrelu_json("status", "grid.toml")["studies"]:
        assert [(arm["asked"], arm["finished"]) for arm in study["activations"]] == [(2, 2)] * 2


def test_only_what_is_missing_is_trained(copy: Path, data_dir: Path) -> None:
    assert find_finished(train(copy, data_dir, "grid.toml")) == []
    runs = copy / "results" / "grid" / CELLS[0] / "runs"
    for path in runs.glob("relu-*1*"):
        path.unlink()
    before = {path.name for path in runs.iterdir()}
    said = train(copy, data_dir, "grid.toml", "--save-weights")
    assert find_finished(said) == [("", "relu", 1)]
    assert [path.name for path in copy.rglob("*.safetensors")] == ["relu-seed1.safetensors"]
    assert before < {path.name for path in runs.iterdir()}


def test_a_dry_run_writes_nothing(copy: Path, data_dir: Path) -> None:
    before = sorted(copy.rglob("*"))
    said = train(copy, data_dir, ".", "--dry-run")
    assert all(f"grid/{cell}" in said for cell in CELLS)
    assert sorted(copy.rglob("*")) == before


def test_two_files_of_one_name_are_refused(copy: Path, data_dir: Path) -> None:
    (copy / "other").mkdir()
    (copy / "other" / "grid.toml").write_text(GRID)
    said = words(train(copy, data_dir, "grid.toml", "other", code=2))
    assert "grid.toml and other/grid.toml would share the study grid: rename one of them." in said


def test_another_protocol_is_refused_and_other_seeds_are_logged(copy: Path, data_dir: Path) -> None:
    file = copy / "grid.toml"
    file.write_text(GRID.replace("epochs = 1", "epochs = 2"))
    said = words(train(copy, data_dir, "grid.toml", code=2))
    assert "was trained with epochs 1, not 2: put that back in the file, or give the file another name" in said
    file.write_text(GRID.replace("seeds = 2", "seeds = 1"))
    train(copy, data_dir, "grid.toml")
    log = json.loads((copy / "results" / "grid" / CELLS[0] / "study.json").read_text())["log"]
    digests = list(dict.fromkeys(entry["sha256"] for entry in log))
    assert digests[-1] == read_declaration(file).sha256
    earlier = recall_declaration(copy / "results" / "grid" / CELLS[0], digests[0], file)
    assert earlier is not None
    assert read_declaration(file).changes_since(earlier).seeds == dict.fromkeys(["relu", "elu"], (2, 1))


def test_an_activation_that_there_is_not_is_named_with_the_file(copy: Path, data_dir: Path) -> None:
    (copy / "grid.toml").write_text(GRID.replace('"elu"', '"fluide"'))
    said = words(train(copy, data_dir, "grid.toml", code=2))
    assert "Error: grid.toml: There is no activation 'fluide'. Did you mean fluid or" in said


@pytest.mark.parametrize(
    ("activations", "said"),
    [
        ('["common@beta=3"]', "relu@beta=3 learns nothing that could have a factor: name it without @beta."),
        (
            '["fluid", "relu"]',
            "[tune] tries beta for relu, which learns nothing that could have a factor: write it below [tune.fluid].",
        ),
        ('["relu", "elu"]', "[tune] tries beta for relu, which learns nothing that could have a factor: leave it out."),
    ],
)
@pytest.mark.parametrize("option", [(), ("--dry-run",)])
def test_a_factor_for_what_learns_nothing_is_refused(
    activations: str, said: str, option: Sequence[str], folder: Path, data_dir: Path
) -> None:
    tune = "" if "@" in activations else "[tune]\nbeta = [1, 10]\nseeds = 1\nvalidation_images = 5\n"
    (folder / "mine.toml").write_text(f"activations = {activations}\nseeds = 1\n{tune}")
    assert f"Error: mine.toml: {said}" in words(train(folder, data_dir, "mine.toml", *option, code=2))


def test_settings_are_tuned_and_a_named_activation_is_trusted(folder: Path, data_dir: Path) -> None:
    (folder / "own_act.py").write_text("import torch\n\nclass Soft(torch.nn.Softplus):\n    pass\n")
    (folder / "tuned.toml").write_text(
        'activations = ["fluid", "own_act:Soft"]\nseeds = 1\n'
        + PROTOCOL.replace("test_images = 50\n", "")
        + "[tune]\nlr = [0.001, 0.01]\nseeds = 1\nvalidation_images = 50\n[tune.fluid]\nbeta = [10, 1]\nsample = 2\n"
    )
    assert "has no run yet" in words(fluidrelu("report", "tuned.toml", code=1))
    said = words(train(folder, data_dir, "tuned.toml"))
    assert "tuned.toml: chosen on held-out images: fluid@beta=1" in said
    assert len(list((folder / "results" / "tuned" / "tuning" / "runs").glob("*.json"))) == 4
    fluidrelu("report", "tuned.toml")
    for path in (folder / "results" / "tuned" / "tuning" / "runs").glob("fluid*.json"):
        path.unlink()
    assert "is not tuned yet: 2 of 4" in words(fluidrelu("report", "tuned.toml", code=1))
