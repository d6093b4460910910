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
@settings(deadline=None, max_examples=200)
@given(st.lists(finite, min_size=1, max_size=20), st.floats(-100, 100))
def test_a_curve_is_what_torch_computes(name: str, v: list[float], parameter: float) -> None:
    module = ACTIVATIONS[name].make(1).double()
    for value in module.parameters():
        nn.init.constant_(value, parameter)
    with torch.no_grad():
        expected = module(torch.tensor(v, dtype=torch.float64)).numpy()
    learned = [parameter] if name in LEARNING else []
    np.testing.assert_allclose(CURVES[name](v, *learned), expected, rtol=1e-10, atol=1e-30)


@pytest.mark.parametrize("name", LEARNING)
def test_inputs_and_parameters_broadcast(name: str) -> None:
    curve, v, parameters = CURVES[name], np.linspace(-4, 2, 7), np.array([-1.0, 0.0, 3.0])
    table = curve(v[:, np.newaxis], parameters)
    assert table.shape == (7, 3)
    for column, parameter in enumerate(parameters):
        assert table[:, column].tolist() == curve(v, parameter).tolist()


def test_fluid_by_hand() -> None:
    """Gamma = -1, -1/2 and 0: v / (1 - gamma)."""
    v, a = [-2.0, -2.0, 3.0], [0.0, np.log(2), 5.0]
    np.testing.assert_allclose(CURVES["fluid"](v, a), [-1.0, -4 / 3, 3.0], rtol=1e-14)


def test_later_readings_by_hand() -> None:
    np.testing.assert_allclose(CURVES["fluid-critical"]([-3.0, -3.0, -1.0], [0.0, np.log(2), 0.0]), [-2.0, -3.0, -1.0])
    np.testing.assert_allclose(CURVES["fluid-third"]([-6.0, 3.0], 0.0), [-3.0, 3.0], rtol=1e-14)
