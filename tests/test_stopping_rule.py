"""Which pairs count where training ends once a comparison is decided, and which seeds that takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from factories import make_run
from hypothesis import given
from hypothesis import strategies as st

from fluidrelu_cli.run import Run
from fluidrelu_cli.stopping import Stopping, list_differences
from fluidrelu_cli.study import ASKED, Entry
from fluidrelu_cli.study_file import parse_declaration


def make_runs(relu: str, fluid: str) -> list[Run]:
    """A run for each digit, which is its tenths of accuracy, at the place that is its seed; a dash is a missing one."""
    return [
        make_run(name, seed, (int(digit) / 10,))
        for name, digits in (("relu", relu), ("fluid", fluid))
        for seed, digit in enumerate(digits)
        if digit != "-"
    ]


@pytest.mark.parametrize(
    ("relu", "fluid", "differences"),
    [
        ("", "", []),
        ("5", "", []),
        ("-5", "55", []),
        ("555", "678", [0.1, 0.2, 0.3]),
        ("555", "6-8", [0.1]),  # the pair of seed 2 has to wait for seed 1
        ("5-5", "678", [0.1]),
        ("5555", "67", [0.1, 0.2]),
        ("555555", "666666", [0.1] * 4),  # more than there may be
    ],
)
def test_pairs_count_in_the_order_of_their_seeds(relu: str, fluid: str, differences: list[float]) -> None:
    runs = [*make_runs(relu, fluid), make_run("elu", 0, (0.9,))]
    assert list_differences(runs, "fluid", "relu", 4) == pytest.approx(differences)


@given(st.permutations(range(12)), st.integers(0, 12))
def test_the_order_in_which_runs_end_means_nothing(order: list[int], ended: int) -> None:
    runs = make_runs("555555", "678678")
    found = list_differences([runs[place] for place in order[:ended]], "fluid", "relu", 60)
    assert found == list_differences(runs, "fluid", "relu", 60)[: len(found)]
    lacking = {(run.trial.activation, run.trial.seed) for run in (runs[place] for place in order[ended:])}
    assert len(found) == min((seed for _, seed in lacking), default=6)


FILE = """
activations = ["relu", {{name = "fluid", seeds = 40}}, "elu", {{name = "tanh", seeds = 3}}]
seeds = 60
compare = ["fluid", "relu"]
margin = 0.5
{stop}
"""


def test_a_study_file_says_where_training_ends() -> None:
    assert Stopping.declared(parse_declaration(FILE.format(stop="").encode(), Path("a.toml"))) is None
    declaration = parse_declaration(FILE.format(stop='stop = "decided"').encode(), Path("a.toml"))
    stopping = Stopping.declared(declaration)
    assert stopping is not None
    assert stopping == Stopping(("fluid", "relu"), 0.5, {"relu": 60, "fluid": 40, "elu": 60, "tanh": 3})
    assert stopping.recorded() == {"compare": ["fluid", "relu"], "margin": 0.5, "max": 40}
    assert Stopping.recalled(Entry(ASKED, stopping.seeds, until=stopping.recorded())) == stopping
    undecided = stopping.decide(make_runs("555", "55-"))
    assert (undecided.verdict, undecided.n) == ("undecided", 2)
    assert {name: len(seeds) for name, seeds in stopping.seeds_for(undecided).items()} == stopping.seeds
    decided = stopping.decide(make_runs("5" * 9, "5" * 9))
    assert (decided.verdict, decided.n) == ("equal", 6)
    needed = {"relu": 6, "fluid": 6, "elu": 6, "tanh": 3}
    assert stopping.seeds_for(decided) == {name: range(n) for name, n in needed.items()}
