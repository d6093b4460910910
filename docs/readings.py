"""What each reading of the paper's lost formula computes: the table of docs/paper.md, by `make docs`.

Nothing in it is typed but how equation (2) treats negative input. The rest is evaluated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fluidrelu_cli.networks.curves import CURVES, Array, Curve, relu, sigmoid

FAR = 1e9
"""Stands for infinity."""


def doubly_asymptotic(v: ArrayLike, a: float) -> Array:
    """``v`` for v >= 0, ``v (1 + gamma / 3)`` for v < 0, and 0 where that has a positive factor no more."""
    v = np.asarray(v, np.float64)
    values: Array = v * np.clip(1 + v / (6 * np.exp(a)), 0, 1)
    return values


def from_tanh(v: ArrayLike, a: float) -> Array:
    """``v`` for v >= 0, ``2 v sigmoid(v / exp(a))`` for v < 0."""
    v = np.asarray(v, np.float64)
    values: Array = v * np.minimum(2 * sigmoid(v / np.exp(a)), 1)
    return values


@dataclass(frozen=True)
class Reading:
    """One reading of the negative half."""

    name: str
    pieces: str
    """Whether equation (2) has an expression of its own for negative input, as the text says."""
    curve: Curve

    def cells(self) -> list[str]:
        """Its row of the table; values are those at a = 0, where k = 1."""
        v = np.linspace(-10, 0, 10_001)
        values = self.curve(v, 0.0)
        lowest = int(values.argmin())
        rises = bool((np.diff(values) >= 0).all())
        return [
            self.name,
            _number(self.curve(-1.0, 0.0)),
            _number(self.curve(-1 / FAR, 0.0) * -FAR),
            _number(self.curve(-FAR, 0.0)),
            _limit(self.curve(v, -40.0), v),
            _limit(self.curve(v, 40.0), v),
            "yes" if rises else f"no, minimum {_number(values[lowest])} at {_number(v[lowest])}",
            self.pieces,
        ]


READINGS = (
    Reading("`fluid`", "yes", CURVES["fluid"]),
    Reading("`fluid-exp`", "yes", CURVES["fluid-exp"]),
    Reading("`fluid-coth`", "no, one for all", CURVES["fluid-coth"]),
    Reading("`fluid-critical`", "pieces that meet at ±2k", CURVES["fluid-critical"]),
    Reading("doubly asymptotic", "pieces that meet at ±6k", doubly_asymptotic),
    Reading("from tanh", "no, one for all", from_tanh),
    Reading("`fluid-third`", "yes", CURVES["fluid-third"]),
)
"""Those that are built in by the names by which they can be trained."""

HEAD = (
    *("reading", "f(−1)", "slope at 0−", "v → −∞", "a → −∞", "a → +∞", "never decreasing"),
    "own expression of (2) below 0",
)


def render() -> str:
    """The table in Markdown."""
    rows = [f"| {' | '.join(cells)} |" for cells in (HEAD, *(reading.cells() for reading in READINGS))]
    rows.insert(1, "| --- | ---: | ---: | ---: | --- | --- | --- | --- |")
    return "\n".join(rows) + "\n"


def _number(value: float | Array) -> str:
    return f"{round(float(value), 3) + 0:.3f}".replace("-", "−")  # + 0: no negative zero


def _limit(values: Array, v: Array) -> str:
    """Which of the two limits that the text names of equation (4) these values are."""
    limits = {"ReLU": relu(v), "identity": v}
    return next((name for name, limit in limits.items() if np.allclose(values, limit, atol=1e-9)), "neither")
