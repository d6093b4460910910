"""The protocol of a study and the trial: defaults of the paper, refused values, round trips."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest

from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.protocol import PAPER_PAIR, PAPER_RUNS, PAPER_TABLE2, Protocol, Trial, option

WHOLE = "a whole number from 1"


def test_defaults_are_the_papers() -> None:
    protocol = Protocol()
    assert (protocol.dataset, protocol.model) == ("mnist", "paper")
    assert (protocol.momentum, protocol.lr, protocol.beta) == (0.9, 0.001, 10000)
    assert (protocol.train_images, protocol.test_images) == (None, None)


def test_table_2() -> None:
    assert PAPER_RUNS == 3
    assert [PAPER_TABLE2["best", name] for name in PAPER_PAIR] == [0.9784, 0.9800]
    assert [PAPER_TABLE2["worst", name] for name in PAPER_PAIR] == [0.9721, 0.9753]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("epochs", 0, WHOLE),
        ("epochs", -1, WHOLE),
        ("epochs", 1.0, WHOLE),
        ("epochs", True, WHOLE),
        ("epochs", "3", WHOLE),
        ("epochs", None, WHOLE),
        ("batch_size", 0, WHOLE),
        ("batch_size", math.nan, WHOLE),
        ("batch_size", False, WHOLE),
        ("train_images", 0, WHOLE),
        ("train_images", 2.5, WHOLE),
        ("train_images", True, WHOLE),
        ("test_images", -5, WHOLE),
        ("test_images", math.inf, WHOLE),
        ("lr", 0, "a number above 0"),
        ("lr", -0.1, "a number above 0"),
        ("lr", math.nan, "a number above 0"),
        ("lr", math.inf, "a number above 0"),
        ("lr", True, "a number above 0"),
        ("lr", "0.1", "a number above 0"),
        pytest.param("lr", 10**400, "a number above 0", id="lr-too large for a float"),
        ("momentum", -0.1, "a number from 0 to below 1"),
        ("momentum", 1, "a number from 0 to below 1"),
        ("momentum", math.nan, "a number from 0 to below 1"),
        ("momentum", False, "a number from 0 to below 1"),
        ("beta", -1, "a number from 0"),
        ("beta", math.nan, "a number from 0"),
        ("beta", math.inf, "a number from 0"),
        ("beta", True, "a number from 0"),
        ("beta", None, "a number from 0"),
        ("precision", "fp16", "fp32 or bf16"),
        ("precision", "BF16", "fp32 or bf16"),
        ("precision", "", "fp32 or bf16"),
        ("precision", 32, "fp32 or bf16"),
        ("precision", None, "fp32 or bf16"),
        ("precision", ["fp32"], "fp32 or bf16"),
    ],
)
def test_values_out_of_range_are_refused(field: str, value: Any, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        Protocol(**{field: value})
    assert str(caught.value) == f"{option(field)} must be {words}, not {value}."


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 1),
        ("train_images", 1),
        ("momentum", 0),
        ("beta", 0),
        ("lr", 1e-300),
        ("lr", 1),
        ("precision", "fp32"),
        ("precision", "bf16"),
    ],
)
def test_the_ends_of_the_ranges_are_accepted(field: str, value: Any) -> None:
    assert getattr(Protocol(**{field: value}), field) == value


def test_option_names() -> None:
    assert option("batch_size") == "--batch-size"


def test_dict_round_trip() -> None:
    protocol = Protocol(epochs=3, batch_size=7, lr=0.5, momentum=0.0, beta=1.5, train_images=100, test_images=50)
    assert Protocol.from_dict(protocol.to_dict()) == protocol
    assert Protocol.from_dict(Protocol().to_dict()) == Protocol()


def test_a_protocol_that_knows_no_precision_is_in_fp32() -> None:
    """The first studies' study.json and provenance files."""
    old = {name: value for name, value in Protocol(epochs=3).to_dict().items() if name != "precision"}
    assert Protocol.from_dict(old) == Protocol(epochs=3, precision="fp32")
    assert "precision" not in old  # the file's own object is left alone


def test_another_precision_is_another_protocol() -> None:
    half = Protocol(precision="bf16")
    assert Protocol.from_dict(half.to_dict()) == half
    assert Protocol().differences(half) == {"precision": ("fp32", "bf16")}


@pytest.mark.parametrize(
    ("added", "removed", "words"),
    [
        ({"nesterov": True}, (), "nesterov"),
        ({}, ("lr",), "lr"),
        ({"nesterov": True}, ("lr", "beta"), "beta, lr, nesterov"),
    ],
)
def test_fields_that_are_missing_or_unknown(added: dict[str, Any], removed: tuple[str, ...], words: str) -> None:
    values = {name: value for name, value in Protocol().to_dict().items() if name not in removed} | added
    with pytest.raises(ValueError, match=f"missing or unknown: {words}$"):
        Protocol.from_dict(values)


def test_from_dict_refuses_values_out_of_range() -> None:
    with pytest.raises(UsageError, match="--lr must be"):
        Protocol.from_dict(Protocol().to_dict() | {"lr": -1})


def test_differences_are_this_ones_value_and_the_others() -> None:
    assert Protocol().differences(Protocol()) == {}
    found = Protocol(lr=0.5).differences(Protocol(lr=0.25, train_images=10))
    assert found == {"lr": (0.5, 0.25), "train_images": (None, 10)}


@pytest.mark.parametrize(
    ("activation", "name"),
    [
        ("relu", "relu-seed12"),
        ("fluid-exp", "fluid-exp-seed12"),
        ("my.mod:Act", "my.mod-Act-seed12"),
        ("my_mod:Act2", "my_mod-Act2-seed12"),
        ("a/../b:C", "a-..-b-C-seed12"),
        ("ä :C", "-C-seed12"),
    ],
)
def test_trial_names_are_file_names(activation: str, name: str) -> None:
    assert Trial(Protocol(), activation, 12).name == name


@pytest.mark.parametrize("seed", [-1, 1.0, True, "0", None])
def test_seeds_that_are_refused(seed: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Trial(Protocol(), "relu", seed)
    assert str(caught.value) == f"--seed must be a whole number from 0, not {seed}."


def test_reading_a_protocol_needs_no_torch() -> None:
    check = "import sys, fluidrelu_cli.protocol; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)
