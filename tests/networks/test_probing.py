"""What trying an activation finds out about it, and that the trial leaves no trace."""

from __future__ import annotations

import random
import sys

import pytest
import torch
from torch import Tensor, nn

from fluidrelu_cli.networks.named import ACTIVATIONS, Activation, resolve, resolve_class
from fluidrelu_cli.networks.probing import describe_habits

RANDOM = "gives different values for the same input while it trains"
MIXED = "does not act on each unit alone"
LINEAR = "is linear"
FLAT = "passes no gradient back"
UNUSED = "never learns a: "
SHARED = "learns one "

ELEMENTWISE = (
    *(name for name in ACTIVATIONS if name != "Identity"),
    *("Hardshrink", "Hardsigmoid", "Hardtanh", "LogSigmoid", "Softshrink", "Softsign", "Tanhshrink"),
)


def find(activation: Activation) -> list[str]:
    """Which habits it has."""
    habits = describe_habits(activation)
    known = (SHARED, FLAT, RANDOM, MIXED, LINEAR, UNUSED)
    found = [habit for habit in known if f"{activation.name} {habit}" in " ".join(habits.values())]
    assert len(found) == len(habits)
    return found


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_what_is_meant_to_be_compared_has_no_odd_habit(name: str) -> None:
    assert find(resolve(name)) == []


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize(
    ("name", "habits"),
    [
        ("Identity", [LINEAR]),
        ("Dropout", [RANDOM]),
        ("Dropout2d", [RANDOM]),
        ("RReLU", [RANDOM]),
        ("Softmax", [MIXED]),
        ("Softmax2d", [MIXED]),
        ("LogSoftmax", [MIXED]),
    ],
)
def test_classes_of_torch_that_are_no_plain_functions(name: str, habits: list[str]) -> None:
    assert find(resolve(name)) == habits


class Slopes(nn.Module):
    """Linear, whatever it learns."""

    def __init__(self, num_parameters: int) -> None:
        super().__init__()
        self.slopes = nn.Parameter(torch.ones(num_parameters, 1, 1))

    def forward(self, v: Tensor) -> Tensor:
        return self.slopes * v - 1


class Mean(nn.Module):
    """Linear, and no function of a unit alone."""

    def forward(self, v: Tensor) -> Tensor:
        return v - v.mean()


class LearnsToBend(nn.Module):
    """The identity until it has learned something."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.ones(()))

    def forward(self, v: Tensor) -> Tensor:
        return torch.where(v > 0, v, self.slope * v)


class LargestOnly(nn.Module):
    """Most changes of a unit are of no consequence to the others."""

    def forward(self, v: Tensor) -> Tensor:
        return torch.where(v == v.amax(1, keepdim=True), v, 0)


class Loose(nn.Module):
    """Draws from elsewhere than from torch, and prints."""

    def forward(self, v: Tensor) -> Tensor:
        sys.stdout.write("a value")
        return v.relu() * random.random()


class DropInPlace(nn.Dropout):
    """Changes its input."""

    def __init__(self) -> None:
        super().__init__(inplace=True)


class ReLUInPlace(nn.ReLU):
    """Changes its input."""

    def __init__(self) -> None:
        super().__init__(inplace=True)


class TwoByTwo(nn.Module):
    """Takes no other images."""

    def forward(self, v: Tensor) -> Tensor:
        return v + torch.ones(2, 2)


class Step(nn.Module):
    """Flat on both sides of 0."""

    def forward(self, v: Tensor) -> Tensor:
        return (v > 0).to(v.dtype)


class Detached(nn.Module):
    """Its own parameter learns, and nothing before it."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.zeros(()))

    def forward(self, v: Tensor) -> Tensor:
        return v.detach().relu() + self.a


class Forgets(Detached):
    """Has a parameter and does not use it."""

    def forward(self, v: Tensor) -> Tensor:
        return v.relu()


class StartsAtZero(Detached):
    """The gradient of b is 0 until a has learned something."""

    def __init__(self) -> None:
        super().__init__()
        self.b = nn.Parameter(torch.zeros(()))

    def forward(self, v: Tensor) -> Tensor:
        return v.relu() + self.a * self.b * v.tanh()


@pytest.mark.parametrize(
    ("constructor", "habits"),
    [
        (Slopes, [LINEAR]),
        (Mean, [MIXED, LINEAR]),
        (LearnsToBend, [SHARED]),
        (LargestOnly, [MIXED]),
        (Loose, [RANDOM]),
        (DropInPlace, [RANDOM]),
        (ReLUInPlace, []),
        (TwoByTwo, []),
        (Step, [FLAT]),
        (Detached, [SHARED, FLAT]),
        (Forgets, [SHARED, UNUSED]),
        (StartsAtZero, [SHARED]),
    ],
)
def test_ones_own(constructor: type[nn.Module], habits: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    activation = resolve_class(constructor)
    capsys.readouterr()
    before = torch.random.get_rng_state()
    assert find(activation) == habits
    assert torch.equal(torch.random.get_rng_state(), before)
    assert capsys.readouterr() == ("", "")
