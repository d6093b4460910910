"""The tables of a report, one function each: a section, or None where there is nothing to say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from fluidrelu_cli.report import tables, wording
from fluidrelu_cli.report.cost import describe_cost
from fluidrelu_cli.report.document import Section
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.tuning import describe_tuning


def summarise(evidence: Evidence) -> Section:
    """Each activation's accuracies."""
    held_out = evidence.protocol.validation_images
    return Section(
        "summary",
        f"{'Validation' if held_out else 'Test'} accuracy after the last epoch",
        evidence.summary,
        tables.summary_cells(evidence.summary),
        _said(
            wording.held_out(held_out) if held_out else None,
            wording.different_seeds(evidence.comparisons),
            wording.factors(evidence.factors),
            wording.moves({name: evidence.moves[name] for name in evidence.factors if name in evidence.moves}),
            *list_doubts(evidence),
            tell_learning([evidence]),
        ),
        explanations=(wording.noise(evidence.summary, evidence.test_images, held_out=held_out is not None),),
    )


FAST = 0.1
"""By which share the training loss may fall in the last epoch before a report says that training was not finished."""


def list_doubts(evidence: Evidence) -> Iterator[str]:
    """What makes a comparison say little: networks that diverged, or have hardly learned anything."""
    diverged = {
        f"{tables.label(run.trial.activation)} seed {run.trial.seed}": run.epochs[-1].train_loss
        for run in evidence.runs
        if run.diverged
    }
    if diverged:
        yield wording.diverged(diverged)
    if evidence.chance is not None and evidence.untrained:
        yield wording.near_chance(evidence.untrained, evidence.chance)


def tell_learning(cells: Sequence[Evidence]) -> str | None:
    """That training ended while the baseline was still learning fast, in a study or in cells of a grid; None if not."""
    falls = [each.last_fall for each in cells if each.last_fall is not None and each.last_fall > FAST]
    return wording.still_learning(cells[0].baseline, falls, len(cells)) if falls else None


def compare(evidence: Evidence) -> Section | None:
    """Each activation against the baseline."""
    comparisons, sequential = evidence.comparisons, evidence.sequential
    if comparisons.empty:
        return None
    return Section(
        "comparisons",
        f"Differences from {tables.label(evidence.baseline)}, paired by seed",
        comparisons,
        tables.comparison_cells(comparisons),
        _said(
            wording.adjusted(comparisons),
            None if sequential else wording.too_few_pairs(comparisons),
            wording.FIXED_NUMBER if sequential and not sequential.looks.empty else None,
            wording.left_out(comparisons),
            wording.skewed(comparisons),
        ),
        explanations=(wording.SEQUENTIAL_EXPLAINED if sequential else wording.COMPARISONS_EXPLAINED,),
    )


def regress_on_baseline(evidence: Evidence) -> Section | None:
    """Each activation that lacks seeds of the baseline against all of them."""
    regressed, baseline = evidence.regressed, tables.label(evidence.baseline)
    if regressed.empty:
        return None
    return Section(
        "regression",
        f"The same, using all {regressed['baseline_n'].iloc[0]} seeds of {baseline}",
        regressed,
        tables.regression_cells(regressed),
        explanations=(wording.explain_regression(baseline),),
    )


def follow_epochs(evidence: Evidence) -> Section | None:
    """The first comparison after each epoch."""
    first = evidence.pair[0]
    table = evidence.by_epoch.get(first)
    if table is None or evidence.sequential is not None:
        return None
    return Section(
        "by_epoch",
        f"{tables.label(first)} minus {tables.label(evidence.baseline)} after each epoch",
        table,
        tables.by_epoch_cells(table),
        explanations=(wording.EPOCHS_EXPLAINED,),
    )


def weigh_images(evidence: Evidence) -> Section | None:
    """What other test images would change, and on how many of these activations disagree."""
    table = evidence.images
    if table.empty or evidence.sequential is not None:
        return None
    return Section(
        "images",
        f"The same differences from {tables.label(evidence.baseline)}, for other test images",
        table,
        tables.image_cells(table),
        _said(wording.one_pair(table)),
        explanations=(wording.IMAGES_EXPLAINED,),
    )


def compare_spread(evidence: Evidence) -> Section | None:
    """How else than by their means activations differ from the baseline."""
    table = evidence.spread
    if table.empty or evidence.sequential is not None:
        return None
    return Section(
        "spread",
        f"What else differs from {tables.label(evidence.baseline)} (exploratory)",
        table,
        tables.spread_cells(table),
        explanations=(wording.SPREAD_EXPLAINED,),
    )


def follow_looks(evidence: Evidence) -> Section | None:
    """What was known of the comparison that decides when training ends, after more and more pairs."""
    found = evidence.sequential
    if found is None or found.looks.empty:
        return None
    return Section(
        "looks",
        f"{tables.label(found.activation)} minus {tables.label(found.baseline)}, after so many pairs",
        found.looks,
        tables.look_cells(found.looks, found.decision.n),
        explanations=(wording.LOOKS_EXPLAINED,),
    )


def repeat_table2(evidence: Evidence) -> Section | None:
    """The published table with ours beside it, where the protocol is its own: what such a study is about."""
    return _table2(evidence) if evidence.follows_published else None


def refer_to_table2(evidence: Evidence) -> Section | None:
    """The published table with ours beside it, where another protocol keeps it from being repeated."""
    return None if evidence.follows_published else _table2(evidence)


def _table2(evidence: Evidence) -> Section | None:
    if evidence.published is None or evidence.table2 is None or evidence.rankings is None:
        return None
    differences = evidence.protocol.differences(evidence.published.protocol)
    runs, rows = tables.spell_counts(evidence.published.runs.values()), list(evidence.published.rows)
    return Section(
        "table2",
        f"{evidence.published.source}: {wording.name_rows(rows)} of {runs} runs",
        evidence.table2,
        tables.table2_cells(evidence.table2, runs),
        _said(
            wording.published_rankings(evidence.rankings, runs),
            wording.other_protocol(differences) if differences else None,
        ),
        {"rankings": evidence.rankings},
        _said(wording.explain_table2(rows, runs)),
    )


def predict_published(evidence: Evidence) -> Section | None:
    """Whether the published numbers could be those of more runs like ours."""
    if evidence.published is None or evidence.predictive is None or evidence.predictive.empty:
        return None
    runs = tables.spell_counts(evidence.published.runs.values())
    return Section(
        "predictive",
        f"The paper's numbers beside what {runs} more runs of ours would give",
        evidence.predictive,
        tables.predictive_cells(evidence.predictive, runs),
        (wording.predictive(evidence.predictive, runs),),
        explanations=(wording.explain_predictive(evidence.predictive, runs),),
    )


def tell_tuning(evidence: Evidence) -> Section | None:
    """How the settings of each activation were chosen."""
    tuning = evidence.declaration.tuning if evidence.declaration is not None else None
    return None if evidence.tuned is None or tuning is None else describe_tuning(evidence.tuned.table, tuning)


def tell_cost(evidence: Evidence) -> Section | None:
    """What the activations cost, where that was measured on the study's network."""
    return None if evidence.cost is None else describe_cost(evidence.cost, evidence.order)


def compare_studies(evidence: Evidence) -> Section | None:
    """The first comparison in this study and in those beside it."""
    studies = evidence.studies
    if studies.empty:
        return None
    activation, baseline = (tables.label(studies[name].iloc[0]) for name in ("activation", "baseline"))
    return Section(
        "studies",
        f"{activation} minus {baseline}, study by study",
        studies,
        tables.side_by_side_cells(studies),
        explanations=(wording.SIDE_BY_SIDE_EXPLAINED,),
    )


def compare_digits(evidence: Evidence) -> Section | None:
    """The runs that another study has, too: whether they are the same."""
    if evidence.against is None or evidence.agreement is None:
        return None
    folder = str(evidence.against.study.folder)
    summary = evidence.summary
    limit = float(summary.loc[summary["activation"].isin(evidence.agreement["activation"]), "image_se"].max())
    differing = wording.differing_conditions(evidence.runs, evidence.against.runs)
    return Section(
        "agreement",
        f"The same runs in {folder}",
        evidence.agreement,
        tables.agreement_cells(evidence.agreement),
        (wording.reproduction(evidence.agreement, folder, limit, differing),),
    )


SECTIONS: tuple[Callable[[Evidence], Section | None], ...] = (
    repeat_table2,
    summarise,
    compare,
    regress_on_baseline,
    follow_looks,
    follow_epochs,
    weigh_images,
    compare_spread,
    tell_tuning,
    refer_to_table2,
    predict_published,
    tell_cost,
    compare_studies,
    compare_digits,
)
"""In the order in which they are read."""


def _said(*remarks: str | None) -> tuple[str, ...]:
    return tuple(remark for remark in remarks if remark is not None)
