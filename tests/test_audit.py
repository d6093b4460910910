"""What has to hold of a study's runs: pairs, equal conditions, the same data and sources."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from factories import make_run

from fluidrelu_cli.audit import (
    check_data,
    describe_changes,
    describe_doubts,
    find_mixed_conditions,
    find_unpaired,
)
from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.run import Provenance, Run

FOLDER = Path("results/mine")


def made_under(activation: str, seed: int, **conditions: Any) -> Run:
    return dataclasses.replace(make_run(activation, seed), provenance=Provenance(**conditions))


def test_runs_made_under_different_conditions_are_noted() -> None:
    runs = [
        made_under(
            name,
            seed,
            device="cpu",
            versions={"torch": f"2.1{seed}"},
            batched_seeds=1 + 63 * seed,
            data_sha256=str(seed + 2) * 64,
            model_sha256=str(seed + 4) * 64,
            activation_sha256=None if name == "relu" else str(seed) * 64,
        )
        for name in ("relu", "mine:Act")
        for seed in (0, 1)
    ]
    mixed = {
        "way of training": ["one by one", "seeds together"],
        "version of torch": ["2.10", "2.11"],
        "data (sha256)": ["222222222222", "333333333333"],
        "source of the network (sha256)": ["444444444444", "555555555555"],
        "source of mine:Act (sha256)": ["000000000000", "111111111111"],
    }
    assert find_mixed_conditions(runs) == mixed
    assert len(describe_doubts(runs, FOLDER)) == 5
    assert describe_doubts(runs, FOLDER)[1] == "The runs in results/mine differ in the version of torch: 2.10, 2.11."


def test_runs_of_first_releases_are_like_those_of_built_in_networks() -> None:
    assert describe_doubts([make_run("relu", 0), made_under("relu", 1)], FOLDER) == []


@pytest.mark.parametrize("name", ["initial_weights", "data_order", "augmentation"])
def test_runs_that_are_no_pairs_are_noted(name: str) -> None:
    """As with a network that draws its weights from numpy."""
    runs = [
        made_under(activation, seed, **{f"{name}_sha256": activation if seed else "same"})
        for activation in ("relu", "fluid")
        for seed in (0, 1)
    ]
    what = name.replace("_", " ")
    assert find_unpaired(runs) == {1: [what]}
    [note] = describe_doubts(runs, FOLDER)
    assert note.startswith(f"The runs of seed 1 in results/mine cannot be paired, because they differ in {what}: ")


def test_data_that_was_changed_since_the_first_run_is_refused() -> None:
    check_data([], "2" * 64, FOLDER)
    check_data([make_run()], "2" * 64, FOLDER)  # it does not record its data
    runs = [make_run("relu", 0, dataset="mine.npz"), dataclasses.replace(make_run("relu", 1, dataset="mine.npz"))]
    runs[1] = dataclasses.replace(runs[1], provenance=Provenance(data_sha256="1" * 64))
    check_data(runs, "1" * 64, FOLDER)
    with pytest.raises(UsageError) as error:
        check_data(runs, "2" * 64, FOLDER)
    assert str(error.value) == (
        "The runs in results/mine were trained on other data than mine.npz holds now (sha256 111111111111, not"
        " 222222222222): restore it, or name another --study."
    )


def code(activation: str = "1", model: str = "2", betas: dict[str, float] | None = None) -> Provenance:
    """What a run records of code: the first digit is that of the code's digest, all of the file's."""
    return Provenance(
        betas={"a": 1.0} if betas is None else betas,
        activation_sha256=activation,
        activation_code_sha256=activation[0],
        model_sha256=model,
        model_code_sha256=model[0],
    )


CHANGED = "The source of mine:Act was changed since it was trained here (then results/mine/sources/1.py)."


@pytest.mark.parametrize(
    ("recorded", "now", "said"),
    [
        (code(), code(), None),
        (code(), code("1 with a comment", "2 with a comment"), None),
        (code(), code("3"), CHANGED),
        (code(), code("1", "3"), CHANGED.replace("mine:Act", "the network paper").replace("1.py", "2.py")),
        (Provenance(betas={"a": 1.0}), code(), None),  # of a function without a file
        (Provenance(betas={"a": 1.0}, activation_sha256="1"), code(), None),  # of an earlier release
        (
            Provenance(betas={"a": 1.0}, activation_sha256="1"),
            code("1 with a comment"),
            CHANGED.replace(" (then results/mine/sources/1.py)", ""),
        ),
        (
            code(betas={"a": 10.0}),
            code(),
            "mine-Act-seed0 was trained with beta 10, the factor on the gradient of what mine:Act learns, which is"
            " beta 1 now.",
        ),
        (
            Provenance(activation_sha256="1"),
            code(betas={"a": 1.0, "b": 2.0}),
            "mine-Act-seed0 was trained with beta 10000, the factor on the gradient of what mine:Act learns, which is"
            " beta 1 (a), 2 (b) now.",
        ),
    ],
)
def test_code_and_factors_that_were_changed_are_noted_once(
    recorded: Provenance, now: Provenance, said: str | None
) -> None:
    runs = [dataclasses.replace(make_run("mine:Act", seed), provenance=recorded) for seed in (0, 1)]
    found = describe_changes(runs, {"mine:Act": now}, {"mine:Act": {"a": 10000.0}}, FOLDER)
    assert found == ({} if said is None else {"mine:Act": said})
    assert describe_changes(runs, {"relu": now}, {}, FOLDER) == {}


def test_a_comment_does_not_make_conditions_differ() -> None:
    """Runs of the release that recorded files alone are of the same code where the file is the same."""
    commented, earlier = code("1 with a comment"), Provenance(activation_sha256="1", model_sha256="2")
    runs = [dataclasses.replace(make_run("mine:Act"), provenance=each) for each in (code(), commented, earlier)]
    assert find_mixed_conditions(runs) == {}
    other = dataclasses.replace(make_run("mine:Act"), provenance=code("3", betas={"a": 10.0}))
    assert find_mixed_conditions([*runs, other]) == {
        "source of mine:Act (sha256)": ["1", "3"],
        "factor beta of mine:Act": ["beta 1", "beta 10"],
    }
