"""What the cells of a grid say together, as so many protocols: sections, a figure, and what to put in the answer."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import pandas as pd

from fluidrelu_cli.analysis.multiverse import FEWEST_CELLS, keep_common, pool_protocols, weigh_choices, weigh_protocols
from fluidrelu_cli.analysis.published import SD, Published, fit_protocols
from fluidrelu_cli.declaration import Cell, Declaration
from fluidrelu_cli.networks.named import find_model
from fluidrelu_cli.protocol import split_model
from fluidrelu_cli.report import plots, tables, wording
from fluidrelu_cli.report.document import Picture, Section
from fluidrelu_cli.report.evidence import Evidence


@dataclass(frozen=True)
class Multiverse:
    """The comparison that a file is about, over its cells."""

    compared: pd.DataFrame
    """grid.compare_cells, of that activation."""
    pooled: pd.DataFrame
    """multiverse.pool_protocols."""
    learned: pd.DataFrame
    """The same of the protocols in which every run learned; empty where these are all, or too few."""
    unlearned: Mapping[str, int]
    """By activation of the two, in how many protocols some run is near guessing."""
    varied: tuple[str, ...]
    """The fields in which the cells differ."""
    choices: Mapping[str, Mapping[str, Hashable]]
    """By cell, what was chosen in it."""
    effects: pd.DataFrame
    """multiverse.weigh_choices."""
    effects_learned: pd.DataFrame
    """The same of the protocols in which every run learned; empty as those are."""
    weights: pd.DataFrame
    weighted: pd.DataFrame
    """multiverse.weigh_protocols; both empty where nothing is published of the baseline."""
    fits: pd.DataFrame
    """published.fit_protocols; empty where nothing is published of both."""
    published: Published | None
    interim: bool


def gather(
    declaration: Declaration, cells: Mapping[str, Evidence], compared: pd.DataFrame, *, interim: bool
) -> Multiverse | None:
    """What enough cells with pairs say together; None where there are fewer, or nothing is compared.

    Args:
        declaration: the file.
        cells: what the runs of each cell show.
        compared: grid.compare_cells.
        interim: whether some cell lacks declared runs: then there are estimates alone.
    """
    about, baseline = declaration.compare or (None, "")
    primary = compared[(compared["activation"] == about) & (compared["n"] > 1)]
    if about is None or len(primary) < FEWEST_CELLS:
        return None
    pairs = keep_common(pd.concat([_tabulate_pairs(name, cells[name], about) for name in primary["cell"]]))
    if not (pairs["cell"].value_counts() > 1).any():
        return None
    unlearned = {
        name: {cell for cell in primary["cell"] if cells[cell].has_unlearned(name)} for name in (about, baseline)
    }
    learned = primary[~primary["cell"].isin(set.union(*unlearned.values()))]
    margin = float((primary if learned.empty else learned)["margin"].median())
    choices = list_choices({cell.name: cell for cell in declaration.cells if cell.name in set(primary["cell"])})
    pooled, effects = _pool(primary, pairs, margin, choices, interim=interim)
    pooled_learned = effects_learned = pd.DataFrame()
    if FEWEST_CELLS <= len(learned) < len(primary):
        pooled_learned, effects_learned = _pool(learned, pairs, margin, choices, interim=interim)
    published = declaration.find_published()
    nothing = fits = pd.DataFrame()
    if published and {about, baseline} <= {*published.activations}:
        fits = fit_protocols(published, {cell: cells[cell].finals for cell in primary["cell"]}, baseline)
    weights, weighted = weigh_protocols(pairs, published, baseline) if published else (nothing, nothing)
    counts = {name: len(failing) for name, failing in unlearned.items()}
    made = (choices, effects, effects_learned, weights, weighted, fits, published, interim)
    return Multiverse(primary, pooled, pooled_learned, counts, declaration.varied, *made)


def _pool(
    compared: pd.DataFrame,
    pairs: pd.DataFrame,
    margin: float,
    choices: Mapping[str, Mapping[str, Hashable]],
    *,
    interim: bool,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """multiverse.pool_protocols and multiverse.weigh_choices of these protocols; without p-values in the interim."""
    pooled = pool_protocols(pairs[pairs["cell"].isin(compared["cell"])], margin)
    means = dict(zip(compared["cell"], compared["mean_difference"], strict=True))
    effects = weigh_choices(means, {cell: choices[cell] for cell in means})
    if interim:
        pooled = pooled.assign(p=math.nan, p_median=math.nan)
        effects = effects.assign(field_p=math.nan, field_p_holm=math.nan)
    return pooled, effects


def _tabulate_pairs(name: str, evidence: Evidence, about: str) -> pd.DataFrame:
    """The pairs of a cell, as analysis.multiverse has them."""
    finals, pairs = evidence.finals, evidence.list_pairs(about)
    baseline = finals[finals["activation"] == evidence.baseline].set_index("seed")["test_accuracy"]
    of_pairs = {"accuracy": pairs["seed"].map(baseline), "difference": pairs["images"] / evidence.test_images}
    table: pd.DataFrame = pairs.assign(cell=name, **of_pairs)
    return table


NO_OPTION = "–"
"""What a network without an option has chosen of it."""


def list_choices(cells: Mapping[str, Cell]) -> dict[str, dict[str, Hashable]]:
    """By cell, its value of each field in which any differ, by what texts call it; a network's options by themselves.

    ``paper:hidden=128,pooling=average`` is the model paper with 128 as hidden and average as pooling.
    """
    fields = dict.fromkeys(name for cell in cells.values() for name in cell.settings)
    found: dict[str, dict[str, Hashable]] = {}
    for name, cell in cells.items():
        values: dict[str, Hashable] = {field: getattr(cell.protocol, field) for field in fields}
        network = find_model(cell.protocol.model) if "model" in fields else None
        if network is not None:
            values = {**values, "model": split_model(network.name)[0], **network.choices}
        found[name] = {wording.name_setting(field): value for field, value in values.items()}
    names = dict.fromkeys(field for its in found.values() for field in its)
    return {name: {field: its.get(field, NO_OPTION) for field in names} for name, its in found.items()}


def describe(multiverse: Multiverse) -> tuple[Section, ...]:
    """The table over all protocols, and that of the choices where they can be told apart."""
    [pooled] = multiverse.pooled.to_dict("records")
    kinds = wording.name_kinds(multiverse.varied)
    activation, baseline = (str(multiverse.compared[column].iloc[0]) for column in ("activation", "baseline"))
    more = {"weights": multiverse.weights, "weighted": multiverse.weighted} if len(multiverse.weighted) else {}
    if len(multiverse.learned):
        more = {**more, "multiverse_learned": multiverse.learned}
    sections = [
        Section(
            "multiverse",
            f"{tables.label(activation)} minus {tables.label(baseline)}, over {pooled['cells']} {kinds}",
            multiverse.pooled,
            tables.multiverse_cells(multiverse.pooled, multiverse.learned, multiverse.weighted, kinds),
            remarks=tuple(
                filter(
                    None, [wording.shared_seeds(pooled, kinds), wording.NOT_NORMAL if len(multiverse.learned) else None]
                )
            ),
            more=more,
            explanations=(wording.explain_multiverse(tables.label(baseline) if len(multiverse.weighted) else None),),
        )
    ]
    for name, effects, where in (
        ("choices", multiverse.effects, ""),
        ("choices_learned", multiverse.effects_learned, ", where all runs learned"),
    ):
        if len(effects):
            title = f"What each choice does to the difference{where}"
            explained = (wording.CHOICES_EXPLAINED,)
            sections.append(Section(name, title, effects, tables.choice_cells(effects), explanations=explained))
    if len(multiverse.fits) and multiverse.published:
        runs = tables.spell_counts(multiverse.published.runs.values())
        sections.append(
            Section(
                "fits",
                f"The published numbers beside what {runs} more runs of ours would give, {kinds} that fit best first",
                multiverse.fits,
                tables.fit_cells(multiverse.fits),
                explanations=(wording.FITS_EXPLAINED,),
            )
        )
    return tuple(sections)


def draw(multiverse: Multiverse, summary: pd.DataFrame) -> Picture:
    """The specification curve."""
    [*_, pooled] = [row for each in (multiverse.pooled, multiverse.learned) for row in each.to_dict("records")]
    baseline = str(multiverse.compared["baseline"].iloc[0])
    published = multiverse.published
    rows = published.rows if published and baseline in published.activations else {}
    lines = {f"published {row}": numbers[baseline] for row, numbers in rows.items() if row != SD}
    colours = plots.pick_colours(dict.fromkeys(summary["activation"]))
    return Picture(
        "specification-curve",
        "One column per protocol: the difference, the baseline's accuracy, and what was chosen.",
        lambda: plots.specification_curve(multiverse.compared, summary, multiverse.choices, pooled, colours, lines),
    )


def tell(multiverse: Multiverse, place: str) -> str:
    """What to put at the head of the answer, which holds where wording.describe_place says."""
    [pooled] = multiverse.pooled.to_dict("records")
    return wording.multiverse(
        pooled,
        multiverse.learned.to_dict("records"),
        multiverse.unlearned,
        multiverse.effects,
        multiverse.weighted.to_dict("records"),
        multiverse.fits,
        [str(multiverse.compared[column].iloc[0]) for column in ("activation", "baseline")],
        multiverse.varied,
        place=place,
        interim=multiverse.interim,
    )
