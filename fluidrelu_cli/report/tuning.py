"""How the settings of a tuned study were chosen, as a section and a figure of its report."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from fluidrelu_cli.analysis.tuning import list_close
from fluidrelu_cli.declaration import Tuning
from fluidrelu_cli.protocol import split_arm
from fluidrelu_cli.report import plots, tables, wording
from fluidrelu_cli.report.document import Picture, Section


def describe_tuning(table: pd.DataFrame, tuning: Tuning) -> Section:
    """What each activation was tried with, and what was chosen.

    Args:
        table: analysis.tuning.tune.
        tuning: what was declared.
    """
    close = list_close(table)
    return Section(
        "tuning",
        "Settings, chosen on held-out training images",
        table,
        tables.tuning_cells(table),
        tuple(
            filter(
                None,
                [
                    wording.budget(tuning),
                    _warn_of_ends(table),
                    wording.within_noise(close, tuning.seeds) if close else None,
                ],
            )
        ),
    )


def _warn_of_ends(table: pd.DataFrame) -> str | None:
    """That a better setting may lie beyond the grid; None where no chosen one is at an end of it."""
    ends: dict[str, list[str]] = {}
    for row in table[table["chosen"]].to_dict("records"):
        tried = [split_arm(arm)[1] for arm in table.loc[table["activation"] == row["activation"], "arm"]]
        for name, chosen in split_arm(row["arm"])[1].items():
            values = {each[name] for each in tried}
            if len(values) > 1 and chosen in (min(values), max(values)):
                ends.setdefault(f"{name} {chosen:g}", []).append(row["activation"])
    return wording.at_an_end(ends) if ends else None


def draw_tuning(
    table: pd.DataFrame, finals: pd.DataFrame, tuning: Tuning, colours: Mapping[str, str]
) -> Picture | None:
    """The tuning curve: validation accuracy against the setting; None unless one, and no more, is tuned of all.

    Args:
        table: analysis.tuning.tune.
        finals: inference.final_accuracies of the tuning's runs.
        tuning: what was declared.
        colours: by activation.
    """
    of_all = set.intersection(*map(set, tuning.fields))
    if len(of_all) != 1:
        return None
    [name] = of_all
    others = [
        each for each, mine in zip(dict.fromkeys(table["activation"]), tuning.fields, strict=True) if mine != (name,)
    ]
    arms = {row["arm"]: row["activation"] for row in table.to_dict("records")}
    summary = table.assign(cell=table["arm"], ci_low=math.nan, ci_high=math.nan)
    mine = finals[finals["activation"].isin(arms)]
    points = mine.assign(cell=mine["activation"], activation=mine["activation"].map(arms))
    places = {arm: split_arm(arm)[1][name] for arm in arms}
    return Picture(
        "tuning",
        "Validation accuracy of each activation at each setting: every seed, and the mean. The highest mean is chosen."
        + (f" {wording.changes_along(others)}" if others else ""),
        lambda: plots.by_setting(summary, points, places, colours, wording.name_setting(name), on="validation"),
    )
