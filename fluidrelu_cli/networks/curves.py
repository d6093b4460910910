"""The built-in activations as numpy functions: what reports draw, without torch.

Each function is ``(v) -> f``, or ``(v, parameter) -> f`` if it learns, of arrays that broadcast against each other,
computed in float64. The formulas are those of :mod:`fluidrelu_cli.networks.activations`, where gamma = v / (2 exp(a)),
and torch's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray[Any, np.dtype[np.float64]]
Curve = Callable[..., Array]

A_LIMIT = 88.5
"""a acts as clamped to ±A_LIMIT, within which exp(-a) is a float32 number. At the ends the function has reached
its limits (ReLU and the identity) to 1e-38."""

LANGEVIN_SERIES = (1 / 3, -1 / 45, 2 / 945, -1 / 4725, 2 / 93555, -1382 / 638512875, 4 / 18243225)
"""coth g - 1/g = g (c_0 + c_1 g**2 + c_2 g**4 + ...); at |g| = 0.5 the first omitted term is below 1e-12."""


def fluid(v: ArrayLike, a: ArrayLike) -> Array:
    """The paper's activation, equation (4): ``v`` for v >= 0, ``v / (1 - gamma)`` for v < 0."""
    v, minus_gamma = _split(v, a)
    values: Array = v / (1 + minus_gamma)
    return values


def fluid_exp(v: ArrayLike, a: ArrayLike) -> Array:
    """Rival reconstruction: ``v`` for v >= 0, ``v exp(gamma)`` for v < 0."""
    v, minus_gamma = _split(v, a)
    values: Array = v * np.exp(-minus_gamma)
    return values


def fluid_coth(v: ArrayLike, a: ArrayLike) -> Array:
    """Rival reconstruction: ``v`` for v >= 0, ``v (1 + coth gamma - 1/gamma)`` for v < 0."""
    v, minus_gamma = _split(v, a)
    near, far = np.minimum(minus_gamma, 0.5), np.maximum(minus_gamma, 0.5)  # each branch where it is exact
    series = near * np.polyval(LANGEVIN_SERIES[::-1], near * near)
    decay = np.exp(-2 * far)
    values: Array = v * np.where(minus_gamma < 0.5, 1 - series, 1 / far - 2 * decay / (1 - decay))
    return values


def fluid_critical(v: ArrayLike, a: ArrayLike) -> Array:
    """Another reading: ``max(v, -2 exp(a))``."""
    a = np.clip(np.asarray(a, np.float64), -A_LIMIT, A_LIMIT)
    values: Array = np.maximum(np.asarray(v, np.float64), -2 * np.exp(a))
    return values


def fluid_third(v: ArrayLike, a: ArrayLike) -> Array:
    """Another reading: ``v`` for v >= 0, ``v / (1 - gamma / 3)`` for v < 0."""
    return fluid(v, np.asarray(a, np.float64) + np.log(3))


def prelu(v: ArrayLike, slope: ArrayLike) -> Array:
    """He et al. 2015: ``v`` for v >= 0, ``slope v`` for v < 0."""
    v = np.asarray(v, np.float64)
    return np.where(v >= 0, v, np.asarray(slope, np.float64) * v)


def relu(v: ArrayLike) -> Array:
    """``max(0, v)``."""
    return np.maximum(np.asarray(v, np.float64), 0)


def elu(v: ArrayLike) -> Array:
    """Clevert et al. 2016: ``v`` for v >= 0, ``exp(v) - 1`` for v < 0."""
    v = np.asarray(v, np.float64)
    return np.where(v >= 0, v, np.expm1(np.minimum(v, 0)))


def leaky_relu(v: ArrayLike) -> Array:
    """Maas et al. 2013: ``v`` for v >= 0, ``0.01 v`` for v < 0."""
    return prelu(v, 0.01)


def sigmoid(v: ArrayLike) -> Array:
    """``1 / (1 + exp(-v))``, exact in both tails."""
    values: Array = np.exp(-np.logaddexp(0, -np.asarray(v, np.float64)))
    return values


def tanh(v: ArrayLike) -> Array:
    """The hyperbolic tangent."""
    values: Array = np.tanh(np.asarray(v, np.float64))
    return values


def _split(v: ArrayLike, a: ArrayLike) -> tuple[Array, Array]:
    """The input in float64, and -gamma where it is negative, 0 elsewhere."""
    v = np.asarray(v, np.float64)
    return v, np.maximum(-v, 0) * np.exp(-np.clip(np.asarray(a, np.float64), -A_LIMIT, A_LIMIT)) / 2


CURVES: Mapping[str, Curve] = {
    "relu": relu,
    "fluid": fluid,
    "prelu": prelu,
    "elu": elu,
    "leaky-relu": leaky_relu,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "fluid-exp": fluid_exp,
    "fluid-coth": fluid_coth,
    "fluid-critical": fluid_critical,
    "fluid-third": fluid_third,
}
"""By the activation's name."""
