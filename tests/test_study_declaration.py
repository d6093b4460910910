"""What a study file says, as a value: its studies, the arms that are tuned, other spellings, and earlier texts."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from factories import make_declaration

from fluidrelu_cli.analysis.published import PAPER
from fluidrelu_cli.declaration import Changes, shown
from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.protocol import Protocol

START = 'activations = ["relu", {name = "fluid", beta = 10, seeds = 5}]\nseeds = 3\n'
PUBLISHED = """
[published]
source = "a paper"
runs = 4
best = { relu = 0.98, "fluid@beta=10" = 0.99 }
worst = { relu = 0.97, "fluid@beta=10" = 0.96 }
"""
TUNE = "[tune]\nmomentum = [0, 0.5]\nlr = [0.1, 1]\nseeds = 2\nvalidation_images = 50\n"


def test_one_study_has_the_name_of_its_file() -> None:
    read = make_declaration(START, Path("somewhere/mine.toml"))
    [cell] = read.cells
    assert (read.study_name(cell), read.tuning_name, read.is_grid, read.varied) == ("mine", "mine/tuning", False, ())
    assert (read.baseline, read.compare) == ("relu", ("fluid@beta=10", "relu"))
    assert make_declaration('activations = ["elu"]\nseeds = 1\n').baseline == "elu"


def test_cells_are_studies_below_it() -> None:
    read = make_declaration(START + '[[vary]]\nname = "big"\nbatch_size = 100\n[[vary]]\nlr = 0.5\nmodel = "m:Net"\n')
    assert [read.study_name(cell) for cell in read.cells] == ["mine/big", "mine/lr=0.5,model=m-Net"]
    assert (read.is_grid, read.varied) == (True, ("batch_size", "lr", "model"))


def test_every_activation_is_tried_with_every_setting() -> None:
    read = make_declaration(START + TUNE)
    assert [arm for arm, _ in read.tuning_arms()["fluid@beta=10"]] == [
        "fluid@beta=10@lr=0.1@momentum=0",
        "fluid@beta=10@lr=1@momentum=0",
        "fluid@beta=10@lr=0.1@momentum=0.5",
        "fluid@beta=10@lr=1@momentum=0.5",
    ]
    assert read.tuning_arms()["relu"][1] == ("relu@lr=1@momentum=0", {"momentum": 0.0, "lr": 1.0})
    assert read.tuning_protocol == Protocol(validation_images=50)


def test_an_activation_is_tried_with_settings_of_its_own_and_no_more_often() -> None:
    """It has what is tried with all unless it says otherwise, and a balanced sample of the combinations."""
    read = make_declaration(
        'activations = ["relu", "fluid", {name = "fluid", beta = 0}, "mine:Act"]\nseeds = 3\n[tune]\n'
        "lr = [0.1, 0.2, 0.3, 0.4]\nseeds = 2\nvalidation_images = 50\n"
        "[tune.FluidReLU]\nbeta = [1, 10]\nsample = 4\n"
        '[tune."mine:Act"]\nlr = [0.1, 0.2]\nbeta = [1, 10]\n'
    )
    arms = {name: [arm for arm, _ in tried] for name, tried in read.tuning_arms().items()}
    assert {name: len(tried) for name, tried in arms.items()} == dict.fromkeys(read.activations, 4)
    assert arms["fluid@beta=0"][0] == "fluid@beta=0@lr=0.1"
    assert arms["mine:Act"][1] == "mine:Act@beta=10@lr=0.1"
    sampled = [settings for _, settings in read.tuning_arms()["fluid"]]
    assert sorted(each["lr"] for each in sampled) == [0.1, 0.2, 0.3, 0.4]
    assert sorted(each["beta"] for each in sampled) == [1, 1, 10, 10]
    chosen = {name: tried[0] for name, tried in arms.items()}
    fields = {"relu": ("lr",), "fluid": ("lr", "beta"), "fluid@beta=0": ("lr",), "mine:Act": ("lr", "beta")}
    assert read.tuned_fields() == read.settled(chosen).tuned_fields() == fields
    rows = read.text.replace("[tune.FluidReLU]\nbeta = [1, 10]\nsample = 4", "") + "".join(
        f"[[tune.FluidReLU]]\nlr = 0.1\nbeta = {beta}\n" for beta in (3, 1, 10, 20)
    )
    tried = make_declaration(rows).tuning_arms()["fluid"]
    assert [arm for arm, _ in tried] == [f"fluid@beta={beta}@lr=0.1" for beta in (3, 1, 10, 20)]
    fixed = rows.replace('"relu"', '"relu", "elu@lr=1"') + "[[tune.'elu@lr=1']]\nmomentum = 0\n" * 4
    with pytest.raises(UsageError, match=r"has \{momentum = 0\.0\} twice"):  # but not that it lacks lr
        make_declaration(fixed)
    # a study's spelling is found by the arms that were tried, each without what was chosen for it
    trained = ["relu@lr=0.1", "fluid@beta=1@lr=0.1", "fluid@beta=0@lr=0.1", "mine:Act@beta=10@lr=0.1"]
    assert read.spelled(trained).activations == read.activations
    assert make_declaration(read.text.replace('"relu"', '"ReLU"')).spelled(trained).activations == read.activations


def test_nothing_is_tried_where_nothing_is_tuned() -> None:
    read = make_declaration(START)
    assert read.tuning_arms() == {"relu": [], "fluid@beta=10": []}
    with pytest.raises(ValueError, match=r"mine\.toml tunes nothing"):
        _ = read.tuning_protocol


def test_chosen_arms_take_the_place_of_activations_everywhere() -> None:
    read = make_declaration(START + PUBLISHED)
    settled = read.settled({"relu": "relu@lr=1", "fluid@beta=10": "fluid@beta=10@lr=0.1"})
    assert settled.activations == ("relu@lr=1", "fluid@beta=10@lr=0.1")
    assert settled.seeds == {"relu@lr=1": 3, "fluid@beta=10@lr=0.1": 5}
    assert settled.compare == ("fluid@beta=10@lr=0.1", "relu@lr=1")
    assert settled.published == {
        "source": "a paper",
        "runs": {"relu@lr=1": 4, "fluid@beta=10@lr=0.1": 4},
        "best": {"relu@lr=1": 0.98, "fluid@beta=10@lr=0.1": 0.99},
        "worst": {"relu@lr=1": 0.97, "fluid@beta=10@lr=0.1": 0.96},
    }
    assert (settled.sha256, settled.path, settled.protocol) == (read.sha256, read.path, read.protocol)


def test_names_are_spelled_as_a_study_has_them() -> None:
    text = START.replace("relu", "ReLU") + PUBLISHED.replace("relu", "RELU")
    spelled = make_declaration(text).spelled(["elu", "relu"])
    assert spelled.activations == ("relu", "fluid@beta=10")
    assert (spelled.compare, spelled.seeds["relu"]) == (("fluid@beta=10", "relu"), 3)
    published = spelled.find_published()
    assert published is not None
    assert published.best == {"relu": 0.98, "fluid@beta=10": 0.99}
    assert make_declaration('activations = ["ReLU"]\nseeds = 1').spelled(["relu"]).compare is None


def test_no_two_activations_become_one() -> None:
    read = make_declaration('activations = ["relu", "mine:relu"]\nseeds = 1\n')
    assert read.spelled(["mine:relu"]).activations == read.activations
    read = make_declaration('activations = ["my_act:Soft", "myact:Soft"]\nseeds = 1\n')
    with pytest.raises(UsageError) as raised:
        read.spelled(["My_act:Soft"])
    assert str(raised.value) == ("mine.toml: activations: my_act:Soft and myact:Soft are the same: leave one out.")


def test_published_numbers_have_the_protocol_of_the_file() -> None:
    found = make_declaration(START + "[protocol]\nepochs = 5\n" + PUBLISHED).find_published()
    assert found is not None
    assert (found.source, found.runs, found.protocol) == (
        "a paper",
        {"relu": 4, "fluid@beta=10": 4},
        Protocol(epochs=5),
    )
    assert found.worst == {"relu": 0.97, "fluid@beta=10": 0.96}
    assert make_declaration('published = "paper"\n' + START).find_published() is PAPER
    assert make_declaration(START).find_published() is None


def test_a_digest_is_of_the_text_without_windows_line_ends() -> None:
    read = make_declaration(START.replace("\n", "\r\n"))
    assert read.sha256 == hashlib.sha256(START.encode()).hexdigest() == make_declaration(START).sha256
    assert make_declaration(START + "# a remark\n").sha256 != read.sha256


def test_what_changed_is_named_key_by_key() -> None:
    earlier = make_declaration('question = "Is it?"\n' + START + "[protocol]\nlr = 0.1\n[vary]\nepochs = [1, 2]\n")
    now = make_declaration(
        START.replace('["relu"', '["elu", "relu"').replace("seeds = 3", 'seeds = 60\nmargin = 0.1\nstop = "decided"')
        + "[protocol]\nlr = 0.2\n"
    )
    changes = now.changes_since(earlier)
    assert changes.seeds == {"relu": (3, 60), "elu": (0, 60)}
    assert changes.of_primary
    assert changes.others == (
        'compare ["fluid@beta=10", "relu"] → ["relu", "elu"]',
        'question "Is it?" → nothing',
        "protocol.lr 0.1 → 0.2",
        "vary.epochs [1, 2] → nothing",
        "margin nothing → 0.1",
        'stop nothing → "decided"',
    )
    rates = [n / 1000 for n in range(1, 21)]
    earlier, now, other = (
        make_declaration(f"{START}[vary]\nlr = {values}\n") for values in (rates, [*rates[:14], 0.5], rates[::-1])
    )
    assert now.changes_since(earlier).others == ("vary.lr without 0.015, 0.016, 0.017, 0.018, 0.019, 0.02, with 0.5",)
    assert other.changes_since(earlier).others == ("vary.lr in another order",)
    assert earlier.changes_since(replace(earlier, text="# a remark\n" + earlier.text)) == Changes()
    told = make_declaration(f'tuned = "the rate"\n{START}')
    assert (
        told.changes_since(make_declaration(START)) == Changes()
    )  # it says what was done before, and asks for nothing else
    margin = make_declaration(f'tuned = "nothing"\nmargin = 0.1\n{START}')
    assert margin.changes_since(told) == Changes(others=("margin nothing → 0.1",), of_primary=True)


def test_other_seeds_of_others_are_no_change_of_the_primary_comparison() -> None:
    text = 'activations = [{}]\ncompare = ["fluid", "relu"]\nseeds = 3\n[tune]\nlr = [0.1, 0.2]\nseeds = 1\n'
    text += "validation_images = 100\n"
    earlier = make_declaration(text.format('"relu", "fluid", "elu", { name = "tanh", seeds = 5 }'))
    now = make_declaration(text.format('"fluid", "relu", "gelu", "tanh"'))
    changes = Changes({"elu": (3, 0), "tanh": (5, 3), "gelu": (0, 3)})
    assert now.changes_since(earlier) == changes
    chosen = {name: f"{name}@lr=0.1" for name in now.activations}
    assert now.settled(chosen).changes_since(earlier) == changes

    first, other = (
        make_declaration(f"activations = {names}\nseeds = 3\n") for names in (["relu", "elu"], ["elu", "relu"])
    )
    assert first.changes_since(other) == Changes(others=('compare ["relu", "elu"] → ["elu", "relu"]',), of_primary=True)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing"),
        (True, "true"),
        (0.001, "0.001"),
        ("a\nb", '"a\\nb"'),
        (["relu", {"lr": 0.1, "on\n": False}], '["relu", {lr = 0.1, on\\n = false}]'),
        ("x" * 61, '"' + "x" * 60 + '…"'),
        ([10**5000], "[a number of very many digits]"),
    ],
)
def test_a_value_is_shown_as_the_file_has_it(value: object, text: str) -> None:
    assert shown(value) == text
