"""The protocol of a study and the trial: defaults of the paper, refused values, round trips."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.protocol import (
    SETTINGS,
    Protocol,
    Trial,
    file_stem,
    is_name,
    is_own,
    join_arm,
    join_model,
    option,
    parse_arm,
    split_arm,
    split_model,
    trial_names,
)
from fluidrelu_cli.run import RunFiles

PIXELS = "auto, unit, byte, by-256, centred, byte-centred or standardised"
INIT = (
    "as-built, lecun-normal, lecun-uniform, glorot-uniform, he-normal, normal-0.01, truncated-normal-0.1 or caffe-quick"
)
WHOLE = "a whole number from 1 to 1,000,000,000"


def test_defaults_are_the_papers() -> None:
    protocol = Protocol()
    assert (protocol.dataset, protocol.model) == ("mnist", "paper")
    assert (protocol.momentum, protocol.lr, protocol.beta) == (0.9, 0.001, 10000)
    assert (protocol.train_images, protocol.test_images, protocol.validation_images) == (None, None, None)
    assert (protocol.schedule, protocol.weight_decay, protocol.augment) == ("constant", 0, "none")
    assert (protocol.pixels, protocol.init) == ("auto", "as-built")  # in [0, 1], as MNIST is grey
    assert (protocol.loss, protocol.optimizer, protocol.evaluations) == ("mean", "sgd", 1)


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
        ("dataset", None, "a name of printable characters on one line"),
        ("model", 20, "a name of printable characters on one line"),
        ("schedule", "linear", "constant, cosine or step"),
        ("schedule", "Cosine", "constant, cosine or step"),
        ("schedule", None, "constant, cosine or step"),
        ("weight_decay", -0.1, "a number from 0"),
        ("weight_decay", math.nan, "a number from 0"),
        ("weight_decay", math.inf, "a number from 0"),
        ("weight_decay", True, "a number from 0"),
        ("weight_decay", None, "a number from 0"),
        ("pixels", "colour", PIXELS),
        ("pixels", True, PIXELS),
        ("init", "default", INIT),
        ("loss", "total", "mean or sum"),
        ("optimizer", "SGD", "sgd, adam or adamw"),
        ("evaluations", 0, "a whole number from 1 to 1,000"),
        ("evaluations", 1001, "a whole number from 1 to 1,000"),
        ("evaluations", 2.0, "a whole number from 1 to 1,000"),
        ("evaluations", True, "a whole number from 1 to 1,000"),
        ("augment", "flip", "none or flip-crop"),
        ("augment", None, "none or flip-crop"),
        ("validation_images", 0, WHOLE),
        ("validation_images", -1, WHOLE),
        ("validation_images", 2.5, WHOLE),
        ("validation_images", True, WHOLE),
    ],
)
def test_values_out_of_range_are_refused(field: str, value: Any, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        Protocol(**{field: value})
    assert str(caught.value) == f"{option(field)} must be {words}, not {str(value)[:255]}."


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
        ("schedule", "constant"),
        ("schedule", "cosine"),
        ("schedule", "step"),
        ("weight_decay", 0),
        ("weight_decay", 1e300),
        *(("pixels", choice) for choice in SETTINGS["pixels"].choices),
        *(("init", choice) for choice in SETTINGS["init"].choices),
        ("loss", "sum"),
        ("optimizer", "adamw"),
        ("evaluations", 1000),
        ("augment", "none"),
        ("augment", "flip-crop"),
        ("validation_images", 1),
        ("dataset", "data/mine.npz"),
        ("model", "mine:Net"),
    ],
)
def test_the_ends_of_the_ranges_are_accepted(field: str, value: Any) -> None:
    assert getattr(Protocol(**{field: value}), field) == value


def test_a_validation_split_takes_the_place_of_the_test_images() -> None:
    assert Protocol(train_images=50, validation_images=10).validation_images == 10
    with pytest.raises(UsageError) as caught:
        Protocol(test_images=100, validation_images=10)
    assert str(caught.value) == ("--validation-images takes the place of the test images: leave --test-images out.")


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("batch_size", "--batch-size"),
        ("weight_decay", "--weight-decay"),
        ("validation_images", "--validation-images"),
        ("evaluations", "--evaluations"),
    ],
)
def test_option_names(field: str, name: str) -> None:
    assert option(field) == name


def test_dict_round_trip() -> None:
    protocol = Protocol(epochs=3, batch_size=7, lr=0.5, momentum=0.0, beta=1.5, train_images=100, test_images=50)
    other = Protocol("cifar10", "resnet20", 100, 128, 0.1, 0.9, 10.0, 1000, None, "bf16", "step", 1e-4, "unit")
    for each in (protocol, other, Protocol(augment="flip-crop", validation_images=7), Protocol()):
        assert Protocol.from_dict(each.to_dict()) == each


def test_a_protocol_that_knows_no_precision_is_in_fp32() -> None:
    """The first studies' study.json and provenance files."""
    old = {name: value for name, value in Protocol(epochs=3).to_dict().items() if name != "precision"}
    assert Protocol.from_dict(old) == Protocol(epochs=3, precision="fp32")
    assert "precision" not in old  # the file's own object is left alone


YOUNGER = (
    *("precision", "schedule", "weight_decay", "pixels", "augment", "validation_images"),
    *("init", "loss", "optimizer", "evaluations"),
)


@pytest.mark.parametrize("there", range(len(YOUNGER)))
def test_a_protocol_of_an_earlier_release_is_the_papers_in_what_it_lacks(there: int) -> None:
    """Releases added fields in this order."""
    lacking = YOUNGER[there:]
    old = {name: value for name, value in Protocol(epochs=3).to_dict().items() if name not in lacking}
    assert Protocol.from_dict(old) == Protocol(epochs=3)


@pytest.mark.parametrize(("standardise", "pixels"), [("colour", "auto"), ("always", "standardised"), ("never", "unit")])
def test_pixels_were_called_standardise(standardise: str, pixels: str) -> None:
    old = {name: value for name, value in Protocol().to_dict().items() if name not in YOUNGER[3:]}
    old["standardise"] = standardise
    assert Protocol.from_dict(old) == Protocol(pixels=pixels)
    with pytest.raises(ValueError, match=r"missing or unknown: standardise$"):
        Protocol.from_dict({**old, "pixels": "unit"})
    with pytest.raises(UsageError, match=r"^--pixels must be auto, .* not \['never'\]\.$"):
        Protocol.from_dict({**old, "standardise": ["never"]})


def test_what_an_optimizer_does_not_use_is_no_fact() -> None:
    assert Protocol().facts()["momentum"] == "0.9"
    assert "momentum" not in Protocol(optimizer="adamw").facts()


def test_tests_are_at_equal_shares_of_an_epoch() -> None:
    assert repr(list(Protocol(epochs=3).tested_at())) == "[1, 2, 3]"
    assert repr(list(Protocol(epochs=2, evaluations=5).tested_at())) == "[0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4, 1.6, 1.8, 2]"
    assert repr(list(Protocol(epochs=1, evaluations=3).tested_at())) == "[0.3333, 0.6667, 1]"


def test_every_field_of_a_protocol_makes_it_another() -> None:
    others = {
        "dataset": "cifar10",
        "model": "cnn3",
        "epochs": 3,
        "batch_size": 7,
        "lr": 0.5,
        "momentum": 0.5,
        "beta": 1.0,
        "train_images": 10,
        "test_images": 10,
        "precision": "bf16",
        "schedule": "cosine",
        "weight_decay": 0.5,
        "pixels": "byte",
        "augment": "flip-crop",
        "validation_images": 10,
        "init": "he-normal",
        "loss": "sum",
        "optimizer": "adam",
        "evaluations": 5,
    }
    assert others.keys() == Protocol().to_dict().keys()
    for name, value in others.items():
        found = Protocol().differences(Protocol(**{name: value}))  # type: ignore[arg-type]
        assert found == {name: (getattr(Protocol(), name), value)}


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
        ("my-activation:Soft", "my-activation-Soft-seed12"),
        ("a/../b:C", "a-..-b-C~532b5286292d027d-seed12"),
        ("ä :C", "-C~9d6a29e57df63cc8-seed12"),
        ("leaky:relu", "leaky-relu~da228c491fc7371d-seed12"),
        (f"m:{'C' * 200}", f"m-{'C' * 118}~a5b2a5d1d1e9c290-seed12"),
    ],
)
def test_trial_names_are_file_names(activation: str, name: str) -> None:
    assert Trial(Protocol(), activation, 12).name == name


part = st.text("ab-:_.~ Aä", min_size=1, max_size=5)


@given(part, part)
def test_no_two_names_share_a_file(one: str, other: str) -> None:
    assume(one.strip() and other.strip() and one != other)
    assert file_stem(one) != file_stem(other)


@given(st.text(min_size=1, max_size=300).filter(is_name), st.integers(0, 2**63 - 1))
def test_any_name_fits_into_a_files_name(name: str, seed: int) -> None:
    files = RunFiles(Path("runs"), Trial(Protocol(), name, seed).name)
    longest = f".{files.parameters.name}.{2**22}.tmp.damaged99"
    assert len(longest.encode()) <= 255
    assert re.fullmatch(r"[\w.~-]+", files.name, re.ASCII)
    assert files.name in trial_names(name, seed)


@pytest.mark.parametrize(
    "name", ["", "  ", "two\nlines", "bell\a", "\x1b[31mred", "right\u202eleft", "x" * 256, 7, None]
)
def test_names_that_are_refused(name: Any) -> None:
    with pytest.raises(UsageError, match="--act must be a name of at most 255 printable characters on one line, not"):
        Trial(Protocol(), name, 0)


def test_numbers_of_very_many_digits_are_refused_in_a_sentence() -> None:
    with pytest.raises(UsageError, match="not a number of very many digits"):
        Trial(Protocol(), "relu", 10**5000)
    with pytest.raises(UsageError, match="not a number of very many digits"):
        Protocol(epochs=10**5000)


@pytest.mark.parametrize("seed", [-1, 1.0, True, "0", None, 2**63])
def test_seeds_that_are_refused(seed: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Trial(Protocol(), "relu", seed)
    assert str(caught.value) == f"--seed must be a whole number from 0 to below 2^63, not {seed}."


def test_reading_a_protocol_needs_no_torch() -> None:
    check = "import sys, fluidrelu_cli.protocol; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)


@pytest.mark.parametrize(
    ("name", "function", "settings"),
    [
        ("fluid@beta=10", "fluid", {"beta": 10.0}),
        ("mine:Soft@beta=0.5", "mine:Soft", {"beta": 0.5}),
        ("mine:Soft@beta=1e+20", "mine:Soft", {"beta": 1e20}),
        ("mine:Soft@beta=0", "mine:Soft", {"beta": 0.0}),
        ("relu@lr=0.003", "relu", {"lr": 0.003}),
        ("fluid@beta=1000@lr=1e-05", "fluid", {"beta": 1000.0, "lr": 1e-5}),
        ("relu@lr=1@momentum=0@weight_decay=0.0005", "relu", {"lr": 1.0, "momentum": 0.0, "weight_decay": 0.0005}),
    ],
)
def test_a_name_may_have_settings(name: str, function: str, settings: dict[str, float]) -> None:
    assert split_arm(name) == parse_arm(name) == (function, settings)
    assert join_arm(function, dict(reversed(settings.items()))) == name
    assert file_stem(name) == name.replace(":", "-")
    assert Protocol(epochs=9).of_arm(name) == Protocol(epochs=9, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    [
        *("fluid", "fluid@beta=10.0", "fluid@beta=-0", "relu@weight-decay=1", "fluid@lr=1@beta=1"),  # written otherwise
        *("fluid@beta=-1", "fluid@beta=inf", "relu@lr=x", "relu@lr=1@lr=2", "relu@epochs=3", "m@x:Soft", "@beta=10"),
    ],
)
def test_any_other_name_is_a_functions(name: str) -> None:
    assert split_arm(name) == (name, {})
    assert Protocol().of_arm(name) == Protocol()


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        *(("relu@lr=1e-3", "relu@lr=0.001"), ("relu@lr=3.0", "relu@lr=3"), ("relu@beta=-0", "relu@beta=0")),
        ("relu@weight-decay=5e-4@momentum=.5", "relu@momentum=0.5@weight_decay=0.0005"),
    ],
)
def test_settings_are_typed_in_any_order_and_spelling(typed: str, name: str) -> None:
    assert join_arm(*parse_arm(typed)) == name


KNOWN = "only beta, lr, momentum and weight_decay, as in NAME@lr=0.01."


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("relu@lr=-1", "The lr of 'relu@lr=-1' must be a number above 0, not '-1'."),
        ("relu@lr=x", "The lr of 'relu@lr=x' must be a number above 0, not 'x'."),
        ("relu@lr", "The lr of 'relu@lr' must be a number above 0, not ''."),
        ("fluid@beta=nan", "The beta of 'fluid@beta=nan' must be a number from 0, not 'nan'."),
        ("relu@momentum=1", "The momentum of 'relu@momentum=1' must be a number from 0 to below 1, not '1'."),
        ("relu@lr=1@beta=2@lr=1", "'relu@lr=1@beta=2@lr=1' sets lr twice: leave one out."),
        ("relu@foo=3", f"An activation cannot have its own 'foo' ('relu@foo=3'): {KNOWN}"),
        ("relu@epochs=3", f"An activation cannot have its own 'epochs' ('relu@epochs=3'): {KNOWN}"),
        ("relu@", f"An activation cannot have its own '' ('relu@'): {KNOWN}"),
    ],
)
def test_settings_that_are_refused(name: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_arm(name)
    assert str(caught.value) == words


def test_a_name_with_many_long_settings_fits_into_the_name_of_a_file() -> None:
    settings = dict.fromkeys(("beta", "lr", "momentum", "weight_decay"), 1.2345678901234567e-101)
    one, other = (join_arm(function, settings) for function in ("m" * 60 + ":A", "m" * 60 + ":B"))
    assert file_stem(one) != file_stem(other)
    assert max(len(file_stem(one)), len(file_stem(other))) <= 185


NETWORKS = st.text(st.characters(exclude_characters=":"), min_size=1)
OPTIONS = st.dictionaries(st.from_regex(r"[\w-]+", fullmatch=True), st.text(st.characters(exclude_characters=",")))


@given(NETWORKS, OPTIONS)
def test_a_network_and_its_options_are_joined_and_split(network: str, options: dict[str, str]) -> None:
    joined = join_model(network, options)
    assert split_model(joined) == (network, sorted(options.items()))
    assert not is_own(joined)


@given(st.text("ab:=,@-. "))
def test_any_name_is_split(name: str) -> None:
    network, options = split_model(name)
    assert (network == name) == (not options)
    if is_own(name):
        assert network == name
