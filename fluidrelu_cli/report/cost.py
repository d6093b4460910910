"""What activations cost relative to ReLU, as a section of a report."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from fluidrelu_cli.analysis.cost import compare_cost
from fluidrelu_cli.cost import PASSES, REFERENCE, Cost
from fluidrelu_cli.errors import printable
from fluidrelu_cli.protocol import split_arm
from fluidrelu_cli.report.document import Section
from fluidrelu_cli.report.tables import Cells, label

_IT = label(REFERENCE)

EXPLAINED = (
    f"Cost: a time is the median of its ratios to {_IT}'s in the same round, ± half the width of its 95 % interval. ≈ 1"
    f" stands for what cannot be told from noise, ± how far from 1 its interval reaches. {_IT} has two turns in each"
    " round, and its own row compares these: that is the noise. An interval shows no difference if it holds 1, or has a"
    f" value in common with {_IT}'s. On a CPU the time is the processor's. step: a whole training step. forward: with"
    " the loss. saved memory: what the forward pass keeps for the backward pass, without weights, relative to"
    f" {_IT}'s. learned: how many values the activation learns."
)


def describe_cost(cost: Cost, activations: Collection[str] | None = None) -> Section:
    """What activations cost, and where that was measured.

    Args:
        cost: as measured.
        activations: those of a study, with or without settings of their own; None: all that were measured.
    """
    table = compare_cost(cost)
    wanted = None if activations is None else list(dict.fromkeys(split_arm(name)[0] for name in activations))
    remarks = [_describe_measurement(cost, table.iloc[0].to_dict())]
    if wanted is not None:
        lacking = [label(name) for name in wanted if name not in set(table["activation"])]
        if lacking:
            remarks.append(f"The cost of {', '.join(lacking)} was not measured: `fluidrelu cost` measures all again.")
        table = table[table["activation"].isin([REFERENCE, *wanted])].reset_index(drop=True)
    return Section(
        "cost",
        f"Cost relative to {_IT}",
        table,
        cost_cells(table),
        tuple(remarks),
        explanations=(EXPLAINED,),
    )


def cost_cells(table: pd.DataFrame) -> Cells:
    """cost.compare_cost, one row per activation."""
    head = ["activation", *(f"{name}\n(95 %)" for name in PASSES), "saved\nmemory", "learned"]
    rows = [
        [
            label(row["activation"]),
            *(ratio(row, name) for name in PASSES),
            f"{row['saved']:.2f}",
            f"{row['parameters']:,}",
        ]
        for row in table.to_dict("records")
    ]
    return head, rows


def ratio(row: Mapping[Any, Any], name: str) -> str:
    """A ratio of one of PASSES, from a row of cost.compare_cost: ``1.28 ± 0.07``, or ``≈ 1 ± 0.03`` within noise."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if row[f"{name}_differs"]:
        return f"{row[name]:.2f} ± {(high - low) / 2:.2f}"
    return f"≈ 1 ± {max(abs(low - 1), abs(high - 1)):.2f}"


def _describe_measurement(cost: Cost, reference: Mapping[Any, Any]) -> str:
    machine = cost.machine
    capability = f" ({machine.cpu_capability})" if machine.cpu_capability and not machine.gpu else ""
    where = f"{machine.gpu or machine.cpu or 'a processor of unknown name'}{capability}"
    threads = "" if machine.gpu or not machine.threads else f", {machine.threads} thread{'s' * (machine.threads > 1)}"
    passes = ", ".join(f"{name} {_milliseconds(reference[f'{name}_seconds'])}" for name in PASSES[1:])
    return printable(
        f"Measured on {where}{threads}, torch {machine.versions.get('torch') or 'of unknown version'}, on"
        f" {cost.when[:10]}: {cost.rounds} rounds of {cost.steps} steps of {cost.protocol.batch_size} images."
        f" {_IT}'s step took {_milliseconds(reference['step_seconds'])} ({passes}) and saved"
        f" {reference['saved_bytes'] / 1e6:,.2f} MB for the backward pass."
    )


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:,.1f} s"
