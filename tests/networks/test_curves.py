"""What reports draw without torch: each curve is its activation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fluidrelu_cli.networks.curves import CURVES
from fluidrelu_cli.networks.named import ACTIVATIONS

finite = st.floats(-1e6, 1e6)


LEARNING = [name for name, activation in ACTIVATIONS.items() if list(activation.make(1).parameters())]


def test_every_built_in_activation_has_a_curve() -> None:
    assert list(CURVES) == list(ACTIVATIONS)


@pytest.mark.parametrize("name", CURVES)
@settings(deadline=None, max_examples=100)
@given(st.lists(finite, min_size=1, max_size=20), st.lists(st.floats(-100, 100), min_size=10, max_size=10))
def test_a_curve_is_what_torch_computes(name: str, v: list[float], values: list[float]) -> None:
    module = ACTIVATIONS[name].make(1).double()
    learned = dict(zip(sorted(dict(module.named_parameters())), values, strict=False))
    for parameter, value in learned.items():
        nn.init.constant_(module.get_parameter(parameter), value)
    with torch.no_grad():
        expected = module(torch.tensor(v, dtype=torch.float64)).numpy()
    smallest = 1e-30 if name not in ("GELU", "pau") else 1e-14  # sums that cancel
    np.testing.assert_allclose(CURVES[name](v, *learned.values()), expected, rtol=1e-10, atol=smallest)


@pytest.mark.parametrize("name", LEARNING)
def test_inputs_and_parameters_broadcast(name: str) -> None:
    curve, v, values = CURVES[name], np.linspace(-4, 2, 7), np.array([-1.0, 0.0, 3.0])
    parameters = [values + number for number, _ in enumerate(ACTIVATIONS[name].make(1).parameters())]
    table = curve(v[:, np.newaxis], *parameters)
    assert table.shape == (7, 3)
    for column, kernel in enumerate(zip(*parameters, strict=True)):
        assert table[:, column].tolist() == curve(v, *kernel).tolist()


def test_fluid_by_hand() -> None:
    """Gamma = -1, -1/2 and 0: v / (1 - gamma)."""
    v, a = [-2.0, -2.0, 3.0], [0.0, np.log(2), 5.0]
    np.testing.assert_allclose(CURVES["fluid"](v, a), [-1.0, -4 / 3, 3.0], rtol=1e-14)


def test_later_readings_by_hand() -> None:
    np.testing.assert_allclose(CURVES["fluid-critical"]([-3.0, -3.0, -1.0], [0.0, np.log(2), 0.0]), [-2.0, -3.0, -1.0])
    np.testing.assert_allclose(CURVES["fluid-third"]([-6.0, 3.0], 0.0), [-3.0, 3.0], rtol=1e-14)
