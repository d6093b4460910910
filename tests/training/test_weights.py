"""Weights as the content of a file: the same bits come back, and what is no such content is refused."""

from __future__ import annotations

import math
import pickle
import sys

import pytest
import torch
from torch import nn

from fluidrelu_cli.errors import DamagedFileError, UsageError
from fluidrelu_cli.training.weights import find_difference, pack, unpack


def test_the_same_bits_come_back() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4), nn.Linear(4, 4), nn.Linear(4, 4))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,unused-ignore]
    network[3].weight = network[2].weight  # one tensor in two places
    network.register_buffer("odd", torch.tensor([math.nan, -0.0, math.inf]).bfloat16())
    state = network.state_dict()
    content = pack(state)
    assert content == pack(state)
    assert find_difference(state, unpack(content)) is None
    network.load_state_dict(unpack(content))


@pytest.mark.parametrize(
    ("value", "difference"),
    [
        ([1.0, 0.0], None),
        ([1.25, 0.5], 0.5),
        ([1.0, -0.0], 0.0),  # other bits
        ([1.0, math.nan], math.inf),
        ([1.0], math.inf),
    ],
)
def test_the_largest_difference(value: list[float], difference: float | None) -> None:
    one = {"a": torch.tensor([1.0, 0.0]), "n": torch.tensor(3)}
    assert find_difference(one, {"a": torch.tensor(value), "n": torch.tensor(3)}) == difference
    assert find_difference(one, {"b": one["a"], "n": torch.tensor(3)}) == math.inf
    assert find_difference(one, {"a": one["a"].double(), "n": torch.tensor(3)}) == math.inf


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        pickle.dumps({"a": 1.0}),
        pack({"a": torch.ones(3)})[:-1],
        b"\xff" * 8 + b"{}",
        pack({"a": torch.ones(3)}).replace(b"F32", b"X99"),
    ],
)
def test_what_is_no_content_of_such_a_file_is_refused(content: bytes) -> None:
    with pytest.raises(DamagedFileError) as refused:
        unpack(content)
    assert "\n" not in str(refused.value)


def test_a_state_of_more_than_tensors_cannot_be_saved() -> None:
    with pytest.raises(UsageError, match=r"state_dict has 'net._extra_state', which is no tensor: train without"):
        pack({"a": torch.ones(1), "net._extra_state": {"calls": 3}})


def test_without_safetensors_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    for use in (lambda: pack({}), lambda: unpack(b"")):
        with pytest.raises(UsageError, match=r"install it with `pip install safetensors`\."):
            use()
