"""The built-in activations as numpy functions: what reports draw, without torch.

Each function is ``(v) -> f``, or ``(v, *parameters) -> f`` if it learns, of arrays that broadcast against each other,
computed in float64. The formulas are those of :mod:`fluidrelu_cli.networks.activations`, where gamma = v / (2 exp(a)),
of :mod:`fluidrelu_cli.networks.contenders`, and torch's.
"""

from __future__ import annotations

import math
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


def fluid_fixed(v: ArrayLike) -> Array:
    """The paper's activation with a = 0: ``v`` for v >= 0, ``v / (1 - v / 2)`` for v < 0."""
    return fluid(v, 0)


def gelu(v: ArrayLike) -> Array:
    """Hendrycks and Gimpel 2016: ``v Phi(v)``, where Phi is the normal distribution function."""
    v = np.asarray(v, np.float64)
    values: Array = v * (1 + np.vectorize(math.erf, otypes=[float])(v / math.sqrt(2))) / 2
    return values


def silu(v: ArrayLike) -> Array:
    """Elfwing et al. 2017: ``v / (1 + exp(-v))``."""
    return swish(v, 1)


def mish(v: ArrayLike) -> Array:
    """Misra 2019: ``v tanh(ln(1 + exp(v)))``."""
    v = np.asarray(v, np.float64)
    values: Array = v * np.tanh(np.logaddexp(0, v))
    return values


def selu(v: ArrayLike) -> Array:
    """Klambauer et al. 2017: ``scale v`` for v >= 0, ``scale alpha (exp(v) - 1)`` for v < 0."""
    scale, alpha = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
    below = elu(v)
    return scale * np.where(below < 0, alpha * below, below)


def relu6(v: ArrayLike) -> Array:
    """Krizhevsky 2010: ``min(max(0, v), 6)``."""
    return np.minimum(relu(v), 6)


def hardswish(v: ArrayLike) -> Array:
    """Howard et al. 2019: ``v min(max(0, v + 3), 6) / 6``."""
    v = np.asarray(v, np.float64)
    values: Array = v * relu6(v + 3) / 6
    return values


def softplus(v: ArrayLike) -> Array:
    """Dugas et al. 2001: ``ln(1 + exp(v))``; beyond 20 torch has it as ``v``."""
    v = np.asarray(v, np.float64)
    return np.where(v > 20, v, np.logaddexp(0, v))


def identity(v: ArrayLike) -> Array:
    """``v``."""
    return np.asarray(v, np.float64)


def swish(v: ArrayLike, beta: ArrayLike) -> Array:
    """Ramachandran et al. 2017: ``v / (1 + exp(-beta v))``."""
    v = np.asarray(v, np.float64)
    values: Array = v * sigmoid(np.asarray(beta, np.float64) * v)
    return values


def golu(v: ArrayLike) -> Array:
    """Das et al. 2025: ``v exp(-exp(-v))``."""
    v = np.asarray(v, np.float64)
    values: Array = v * np.exp(-np.exp(-np.maximum(v, -8)))
    return values


def telu(v: ArrayLike) -> Array:
    """Fernandez and Mali 2024: ``v tanh(exp(v))``."""
    v = np.asarray(v, np.float64)
    values: Array = v * np.tanh(np.exp(np.minimum(v, 4)))
    return values


def acon_c(v: ArrayLike, beta: ArrayLike, p1: ArrayLike, p2: ArrayLike) -> Array:
    """Ma et al. 2021: ``d / (1 + exp(-beta d)) + p2 v`` with d = (p1 - p2) v."""
    v, p1, p2 = (np.asarray(each, np.float64) for each in (v, p1, p2))
    values: Array = swish((p1 - p2) * v, beta) + p2 * v
    return values


def pau(v: ArrayLike, *coefficients: ArrayLike) -> Array:
    """Molina et al. 2020: ``(a0 + a1 v + ... + a5 v**5) / (1 + |b1 v + ... + b4 v**4|)``; a0 to a5, then b1 to b4."""
    v, *each = (np.asarray(each, np.float64) for each in (v, *coefficients))
    numerator, denominator = each[5], each[9]
    for coefficient in reversed(each[:5]):
        numerator = numerator * v + coefficient
    for coefficient in reversed(each[6:9]):
        denominator = denominator * v + coefficient
    values: Array = numerator / (1 + np.abs(denominator * v))
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
    "fluid-fixed": fluid_fixed,
    "GELU": gelu,
    "SiLU": silu,
    "Mish": mish,
    "SELU": selu,
    "CELU": elu,
    "ReLU6": relu6,
    "Hardswish": hardswish,
    "Softplus": softplus,
    "Identity": identity,
    "swish": swish,
    "golu": golu,
    "telu": telu,
    "acon-c": acon_c,
    "pau": pau,
}
"""By the activation's name. One that learns several parameters takes them in the order of their names."""
