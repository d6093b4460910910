"""The studies of a study file: where they are, which file they were trained from, and what was chosen for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from factories import make_declaration, make_run, make_study

from fluidrelu_cli.declaration import FIRST_TUNING_SEED, Declaration
from fluidrelu_cli.declared import (
    find_declaration,
    find_question,
    find_settled,
    find_studies,
    keep_declaration,
    open_declared,
    recall_declaration,
    settle,
)
from fluidrelu_cli.errors import DamagedFileError, FluidReluError, UsageError
from fluidrelu_cli.study import ASKED, LOOKED, Entry, Study, load_study

RESULTS = Path("results")
START = 'activations = ["ReLU", "fluid"]\nseeds = 1\n[protocol]\nepochs = 1\n'
GRID = START + "[vary]\nlr = [0.1, 0.01]\n"
TUNED = START + "[tune]\nlr = [0.1, 0.01]\nseeds = 2\nvalidation_images = 50\n"
BOTH = {"relu": [(0.5,)], "fluid": [(0.75,)]}

pytestmark = pytest.mark.usefixtures("folder")


def declare(text: str, name: str = "mine") -> Declaration:
    """A study file, written."""
    path = Path(f"{name}.toml")
    path.write_text(text)
    return make_declaration(text, path)


def remember(study: Study, declaration: Declaration) -> None:
    """Let a study be one that was trained from a file."""
    study.record(Entry(ASKED, {"relu": 1}, file=declaration.path.as_posix(), sha256=declaration.sha256))
    keep_declaration(declaration, RESULTS / declaration.name)


def make_tuning(declaration: Declaration, accuracies: Mapping[str, Sequence[float]]) -> Study:
    """A study of what a file tries: for each arm the accuracies of its seeds."""
    study = Study(RESULTS / declaration.tuning_name, declaration.tuning_protocol)
    study.save()
    for arm, seeds in accuracies.items():
        for seed, accuracy in enumerate(seeds, start=FIRST_TUNING_SEED):
            study.write(make_run(arm, seed, (accuracy,), validation_images=50))
    return study


def test_a_study_is_opened_or_new() -> None:
    declaration = declare(GRID)
    cell = declaration.cells[1]
    new = open_declared(RESULTS, declaration, "mine/lr=0.01", cell.protocol)
    assert (new.name, new.folder, new.protocol) == ("mine/lr=0.01", RESULTS / "mine/lr=0.01", cell.protocol)
    assert not RESULTS.exists()
    study = make_study(RESULTS / "mine/lr=0.01", BOTH, lr=0.01)
    opened = open_declared(RESULTS, declaration, "mine/lr=0.01", cell.protocol)
    assert (opened.name, opened.asked) == ("mine/lr=0.01", {"relu": 1, "fluid": 1})
    with pytest.raises(UsageError) as raised:
        open_declared(RESULTS, declaration, "mine/lr=0.01", declaration.cells[0].protocol)
    assert str(raised.value) == (
        "mine.toml: the study in results/mine/lr=0.01 was trained with lr 0.01, not 0.1: put that back in the file, or"
        " give the file another name for another study."
    )
    study.path.unlink()  # its runs are not taken for those of a new study
    with pytest.raises(DamagedFileError, match="fluidrelu restore"):
        open_declared(RESULTS, declaration, "mine/lr=0.01", cell.protocol)


def test_a_text_is_kept_once_and_recalled_by_its_digest() -> None:
    earlier, now = declare(START), declare(START.replace("seeds = 1", "seeds = 2"))
    for each in (earlier, now, now):
        keep_declaration(each, RESULTS / "mine")
    assert len(list((RESULTS / "mine/declared").iterdir())) == 2
    for folder in (RESULTS / "mine", RESULTS / "mine/cell"):
        assert recall_declaration(folder, earlier.sha256, Path("mine.toml")) == earlier
    assert recall_declaration(RESULTS / "other/cell", earlier.sha256, Path("mine.toml")) is None


@pytest.mark.parametrize("strange", ["../../../mine", "A" * 64, "0" * 64 + "\n", "0" * 64, 3, None])
def test_no_other_file_is_recalled(strange: object) -> None:
    keep_declaration(declare(START), RESULTS / "mine")
    assert recall_declaration(RESULTS / "mine", strange, Path("mine.toml")) is None


@pytest.mark.parametrize("text", [START.replace("seeds = 1", "seeds = 2"), "seeds = ", "[vary]", "\udcff"])
def test_a_copy_that_was_changed_is_not_recalled(text: str) -> None:
    declaration = declare(START)
    keep_declaration(declaration, RESULTS / "mine")
    [copy] = (RESULTS / "mine/declared").iterdir()
    copy.write_bytes(text.encode(errors="surrogateescape"))
    assert recall_declaration(RESULTS / "mine", declaration.sha256, Path("mine.toml")) is None


def test_the_file_that_counts_is_the_last_that_was_trained_from() -> None:
    study = make_study(RESULTS / "mine", BOTH)
    assert find_declaration(study) is None
    assert find_settled(study) == (None, None)
    earlier, now = declare(START), declare(START.replace("seeds = 1", "seeds = 2"))
    remember(study, earlier)
    remember(study, now)
    study.record(
        Entry(LOOKED, {"relu": 1}, file="mine.toml", sha256="0" * 64)
    )  # by a file that nothing is trained from
    assert find_declaration(study) == now
    settled, tuned = find_settled(study)
    assert settled is not None
    assert (settled.activations, tuned) == (("relu", "fluid"), None)  # as the study has them
    (RESULTS / "mine/declared" / f"{now.sha256}.toml").unlink()
    assert find_declaration(study) is None  # rather than one that was trained from before


def test_a_cell_is_settled_as_the_file_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    declaration = declare(GRID)
    study = make_study(RESULTS / "mine/lr=0.1", BOTH, lr=0.1)
    remember(study, declaration)
    settled, _ = find_settled(study)
    monkeypatch.chdir(study.folder)
    assert find_settled(replace(study, folder=Path())) == (settled, None)
    assert settled is not None
    assert settled.compare == ("fluid", "relu")


def test_a_question_is_a_file_a_study_a_grid_or_its_cell() -> None:
    declaration = declare(GRID)
    assert find_question(RESULTS, "mine.toml") == declaration
    assert find_question(RESULTS, "mine") is None
    remember(make_study(RESULTS / "mine/lr=0.1", BOTH, lr=0.1), declaration)
    declaration.path.unlink()
    for typed in ("mine", "results/mine", "mine/lr=0.1", "results/mine/lr=0.1"):
        assert find_question(RESULTS, typed) == declaration
    make_study(RESULTS / "other", BOTH)
    assert find_question(RESULTS, "other") is None
    with pytest.raises(UsageError, match=r"There is no study file mine\.toml"):
        find_question(RESULTS, "mine.toml")


def test_the_studies_of_a_file_are_those_with_runs() -> None:
    def names(typed: str) -> list[str]:
        return [study.name for study in find_studies(RESULTS, typed)]

    declaration = declare(GRID)
    with pytest.raises(FluidReluError) as raised:
        names("mine.toml")
    assert str(raised.value) == "mine.toml has no run yet: train it with `fluidrelu run mine.toml`."
    remember(make_study(RESULTS / "mine/lr=0.01", BOTH, lr=0.01), declaration)
    assert names("mine.toml") == names("mine") == ["mine/lr=0.01"]
    make_study(RESULTS / "mine/lr=0.1", BOTH, lr=0.1)
    assert names("mine") == ["mine/lr=0.1", "mine/lr=0.01"]  # as the file has them
    assert names("mine/lr=0.1") == ["mine/lr=0.1"]
    with pytest.raises(UsageError, match="There is no study 'anything'"):
        names("anything")


def test_each_activation_is_settled_with_what_it_did_best_with() -> None:
    declaration = declare(TUNED)
    with pytest.raises(FluidReluError, match=r"mine\.toml has no run yet: train it with `fluidrelu run mine\.toml`"):
        settle(declaration, RESULTS)
    tuning = make_tuning(
        declaration,
        {
            "relu@lr=0.1": (0.5, 0.75),
            "relu@lr=0.01": (0.75, 0.75),
            "fluid@lr=0.1": (0.75, 0.5),
            "fluid@lr=0.01": (0.5, 0.5),
        },
    )
    tuning.record(Entry(ASKED, {"relu@lr=0.1": 2, "relu@lr=0.01": 2}, file="mine.toml", sha256=declaration.sha256))
    keep_declaration(declaration, RESULTS / "mine")
    settled, tuned = settle(declaration, RESULTS)
    assert settled.activations == ("relu@lr=0.01", "fluid@lr=0.1")
    assert settled.compare == ("fluid@lr=0.1", "relu@lr=0.01")
    assert tuned is not None
    assert tuned.table["n"].tolist() == [2] * 4
    study = Study(RESULTS / "mine", declaration.protocol)
    study.save()
    remember(study, declaration)
    assert find_settled(study)[0] == settled
    assert find_settled(tuning) == (None, None)  # no question is answered by what settings are chosen by


def test_what_was_tried_is_found_in_any_spelling() -> None:
    declaration = declare(TUNED.replace('"ReLU", "fluid"', '"Fluid@beta=1e1"'))
    tuning = make_tuning(declaration, {"fluid@beta=10@lr=0.1": (0.5, 0.5), "fluid@beta=10@lr=0.01": (0.75, 0.75)})
    tuning.record(Entry(ASKED, {"fluid@beta=10@lr=0.1": 2, "fluid@beta=10@lr=0.01": 2}))
    assert settle(declaration, RESULTS)[0].activations == ("fluid@beta=10@lr=0.01",)


def test_nothing_is_settled_as_long_as_one_run_is_missing() -> None:
    declaration = declare(TUNED.replace('"ReLU", ', ""))
    make_tuning(declaration, {"fluid@lr=0.1": (0.5, 0.5), "fluid@lr=0.01": (0.75,)})
    with pytest.raises(FluidReluError) as raised:
        settle(declaration, RESULTS)
    assert str(raised.value) == (
        "mine.toml is not tuned yet: 3 of 4 runs on held-out images are finished. Go on with `fluidrelu run mine.toml`."
    )


def test_nothing_is_settled_by_no_run_at_all() -> None:
    declaration = replace(declare(TUNED), path=Path("a b.toml"))
    make_tuning(declaration, {})
    with pytest.raises(FluidReluError, match=r"0 of 8 runs on held-out .* Go on with `fluidrelu run 'a b\.toml'`"):
        settle(declaration, RESULTS)


def test_seeds_that_the_file_asks_for_no_longer_do_not_count() -> None:
    declaration = declare(TUNED.replace('"ReLU", ', ""))
    make_tuning(declaration, {"fluid@lr=0.1": (0.5, 0.5, 0.9), "fluid@lr=0.01": (0.75,)})
    with pytest.raises(FluidReluError, match="3 of 4 runs"):
        settle(declaration, RESULTS)
    make_tuning(declaration, {"fluid@lr=0.01": (0.6, 0.6)})
    settled, tuned = settle(declaration, RESULTS)
    assert settled.activations == ("fluid@lr=0.01",)
    assert tuned is not None
    assert tuned.table["n"].tolist() == [2, 2]


def test_a_study_that_was_renamed_keeps_its_own_tuning() -> None:
    """Although another study has the name that its file has."""
    declaration = declare(TUNED)

    def train(best: str) -> None:
        arms = declaration.spelled(["relu", "fluid"]).tuning_arms()
        names = [arm for tried in arms.values() for arm, _ in tried]
        tuning = make_tuning(declaration, {arm: (0.75, 0.75) if arm.endswith(best) else (0.5, 0.5) for arm in names})
        remember(tuning, declaration)
        study = Study(RESULTS / "mine", declaration.protocol)
        study.save()
        remember(study, declaration)

    train("@lr=0.01")
    (RESULTS / "mine").rename(RESULTS / "earlier")
    train("@lr=0.1")
    for name, rate in (("earlier", "0.01"), ("mine", "0.1")):
        settled, tuned = find_settled(load_study(RESULTS / name))
        assert settled is not None
        assert tuned is not None
        assert settled.compare == (f"fluid@lr={rate}", f"relu@lr={rate}")
        assert [entry.what for entry in tuned.log] == [ASKED]
