"""What activations cost relative to ReLU, with the noise of the machine, from times measured side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fluidrelu_cli.cost import PASSES, Cost, Measured

COST_COLUMNS = (
    "activation",
    *(f"{name}{column}" for name in PASSES for column in ("", "_low", "_high", "_differs", "_seconds")),
    *("saved", "saved_bytes", "parameters"),
)


def compare_cost(cost: Cost) -> pd.DataFrame:
    """Each activation's cost relative to the reference's; the reference in the first row, relative to itself.

    Columns, for each of the step, the forward and the backward pass (``step``, ``forward``, ``backward``):

    - ``step``: the median over the rounds of the ratio a_r / ((b_r + c_r) / 2), where a_r is the activation's time in
      round r, and b_r and c_r are the reference's two times in it. In the reference's row it is that of c_r / b_r.
    - ``step_low`` and ``step_high``: the median's 95 % interval (:func:`median_interval`).
    - ``step_differs``: whether that interval and the noise have no value in common. The noise reaches over 1 and the
      interval in the reference's row. Rounds near each other are disturbed alike, so that an interval by itself may be
      too narrow; the reference's shows by how much. In its own row it is False.
    - ``step_seconds``: the median of the activation's times.

    And ``saved_bytes``, what is kept for the backward pass, ``saved``, the same relative to the reference, and
    ``parameters``, how many values it learns.
    """
    reference, *_ = cost.activations
    rows: list[list[object]] = [[each.activation] for each in cost.activations]
    for name in PASSES:
        first, second = _seconds(reference, name), _seconds(cost.again, name)
        noise = median_interval(second / first)
        lowest, highest = min(noise[1], 1.0), max(noise[2], 1.0)
        for row, each in zip(rows, cost.activations, strict=True):
            own = each is reference
            middle, low, high = noise if own else median_interval(_seconds(each, name) / ((first + second) / 2))
            differs = not own and (low > highest or high < lowest)
            row += [middle, low, high, differs, float(np.median(_seconds(each, name)))]
    for row, each in zip(rows, cost.activations, strict=True):
        row += [each.saved_bytes / reference.saved_bytes, each.saved_bytes, each.parameters]
    table: pd.DataFrame = pd.DataFrame(rows, columns=list(COST_COLUMNS))
    return table


def _seconds(measured: Measured, name: str) -> NDArray[np.float64]:
    return np.array(getattr(measured, f"{name}_seconds"), dtype=float)


def median_interval(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float, float]:
    """The median of n values, and its interval at 95 % or more, from the smallest to the largest if n is small.

    The ends are the k-th values from below and from above. The interval misses the median of what they are drawn from
    with probability 2 P(X < k), where X has the binomial distribution of n and 1/2: fewer than k values lie on one side
    of it. k is the largest with which that is at most 5 %. It takes at least 6 values.
    """
    from scipy.stats import binom

    ordered = np.sort(np.asarray(values, dtype=float))
    k = int(binom.ppf(0.025, len(ordered), 0.5))
    if k < 1:
        raise ValueError(f"the median of {len(ordered)} values has no 95 % interval")
    return float(np.median(ordered)), float(ordered[k - 1]), float(ordered[-k])
