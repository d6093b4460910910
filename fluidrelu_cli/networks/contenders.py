"""Activations that others have proposed and torch does not have, as functions and as modules.

``v`` is the input of an activation. What an activation learns has one value per kernel, or one per layer where its
authors have it so. Half types are computed in float32.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def golu(v: Tensor) -> Tensor:
    """GoLU (Das et al. 2025): ``v exp(-exp(-v))``. It has a minimum near v = -0.57. Nothing is learned.

    Values and gradients are finite wherever ``v`` is: below -8 the gate is 0 even in float64.
    """
    wide = _widen(v)
    return (wide * torch.exp(-torch.exp(-wide.clamp(min=-8)))).to(v.dtype)


def telu(v: Tensor) -> Tensor:
    """TeLU (Fernandez and Mali 2024): ``v tanh(exp(v))``. It has a minimum near v = -1.08. Nothing is learned.

    Values and gradients are finite wherever ``v`` is: above 4 the gate is 1 even in float64.
    """
    wide = _widen(v)
    return (wide * torch.tanh(torch.exp(wide.clamp(max=4)))).to(v.dtype)


def swish(v: Tensor, beta: Tensor) -> Tensor:
    """Swish (Ramachandran et al. 2017): ``v / (1 + exp(-beta v))``, half the identity at beta = 0, ReLU at infinity."""
    wide = _widen(v)
    return (wide * torch.sigmoid(beta * wide)).to(v.dtype)


def acon_c(v: Tensor, p1: Tensor, p2: Tensor, beta: Tensor) -> Tensor:
    """ACON-C (Ma et al. 2021): ``d / (1 + exp(-beta d)) + p2 v`` with d = (p1 - p2) v.

    A smooth maximum of p1 v and p2 v; Swish at p1 = 1, p2 = 0.
    """
    wide = _widen(v)
    difference = (p1 - p2) * wide
    return (difference * torch.sigmoid(beta * difference) + p2 * wide).to(v.dtype)


def pau(v: Tensor, *coefficients: Tensor) -> Tensor:
    """A Padé activation unit in its safe form (Molina et al. 2020).

    ``(a0 + a1 v + ... + a5 v**5) / (1 + |b1 v + ... + b4 v**4|)``, finite in float32, with finite gradients, for
    abs(v) <= 1e7 and coefficients of about the size of those that it starts from.

    Args:
        v: input.
        coefficients: a0 to a5, then b1 to b4.
    """
    wide = _widen(v)
    a, b = coefficients[:6], coefficients[6:]
    numerator, denominator = a[5], b[3]
    for coefficient in reversed(a[:5]):
        numerator = numerator * wide + coefficient
    for coefficient in reversed(b[:3]):
        denominator = denominator * wide + coefficient
    return (numerator / (1 + (denominator * wide).abs())).to(v.dtype)


def _widen(v: Tensor) -> Tensor:
    return v.to(torch.promote_types(v.dtype, torch.float32))


class GoLU(nn.Module):
    """:func:`golu` as a module."""

    def forward(self, v: Tensor) -> Tensor:
        return golu(v)


class TeLU(nn.Module):
    """:func:`telu` as a module."""

    def forward(self, v: Tensor) -> Tensor:
        return telu(v)


class LearnedActivation(nn.Module):
    """A function with learned parameters, each of one value per kernel or of a single one.

    Args:
        starts: what they start from, by name, in the order in which the function takes them.
    """

    function: Callable[..., Tensor]

    def __init__(self, **starts: Tensor) -> None:
        super().__init__()
        for name, start in starts.items():
            self.register_parameter(name, nn.Parameter(start))

    def forward(self, v: Tensor) -> Tensor:
        """Apply the function; ``v`` has shape (N, C, ...), and a parameter C values or one."""
        learned = (parameter.view(-1, *[1] * (v.ndim - 2)) for parameter in self.parameters())
        return type(self).function(v, *learned)


class Swish(LearnedActivation):
    """:func:`swish` as a module, with one beta per kernel, from 1."""

    function = staticmethod(swish)

    def __init__(self, num_parameters: int = 1) -> None:
        super().__init__(beta=torch.ones(num_parameters))


class AconC(LearnedActivation):
    """:func:`acon_c` as a module, with p1, p2 and beta per kernel.

    As in its authors' code, p1 and p2 are drawn from N(0, 1) and beta starts from 1. A network's factory of activations
    has random numbers of its own for this, so that the weights are those that every activation of a seed starts from.
    """

    function = staticmethod(acon_c)

    def __init__(self, num_parameters: int = 1) -> None:
        each = num_parameters
        super().__init__(p1=torch.randn(each), p2=torch.randn(each), beta=torch.ones(each))


NUMERATOR = (0.0335826, 0.505, 1.6513147, 2.0045164, 0.9279356, 0.1515373)
DENOMINATOR = (0.0, 3.9693392, 0.0, 0.3000739)
"""Where a0 to a5 and b1 to b4 of a Padé activation unit start: the least-squares fit, our own, of the safe form to
leaky ReLU with slope 0.01 at 601 equally spaced points from -3 to 3. It is off by 0.034 at most, at 0."""


class PAU(LearnedActivation):
    """:func:`pau` as a module, with ten coefficients per layer, as its authors have it, from a leaky ReLU's."""

    function = staticmethod(pau)

    def __init__(self) -> None:
        starts = {f"a{power}": value for power, value in enumerate(NUMERATOR)}
        starts |= {f"b{power}": value for power, value in enumerate(DENOMINATOR, start=1)}
        super().__init__(**{name: torch.tensor([value]) for name, value in starts.items()})
