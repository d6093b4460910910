"""What commands other than `report` say, in sentences. No statistics."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from fluidrelu_cli.analysis.verdicts import ALPHA, BETTER, EQUAL, UNDECIDED, WORSE, fewest_pairs
from fluidrelu_cli.cli.terminal import count
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.report.tables import accuracy, label
from fluidrelu_cli.report.wording import too_few_seeds
from fluidrelu_cli.running import TIME_FORMAT
from fluidrelu_cli.study import DEFAULT_BASELINE, MOST_SEEDS

if TYPE_CHECKING:
    from fluidrelu_cli.analysis.planning import Plan
    from fluidrelu_cli.analysis.sequential import Judgement
    from fluidrelu_cli.data.dataset import Dataset
    from fluidrelu_cli.declaration import Declaration
    from fluidrelu_cli.running import InFlight, Running
    from fluidrelu_cli.stopping import Stopping
    from fluidrelu_cli.verification import Verification


def describe_too_few_seeds(asked: Mapping[str, int], activations: Iterable[str]) -> str | None:
    """That the seeds of activations cannot be told from the baseline's, whatever comes, and what to type; or None.

    Args:
        asked: how many seeds each activation of the study will have been asked for.
        activations: those that are about to be trained.
    """
    comparisons = len(asked) - 1 if DEFAULT_BASELINE in asked else 0
    cannot = too_few_seeds(min(asked[name] for name in activations), comparisons) if comparisons else None
    return f"{cannot} (-n {fewest_pairs(ALPHA / comparisons)})." if cannot else None


def describe_too_few_declared(declaration: Declaration) -> str | None:
    """That a file declares too few seeds for its primary comparison, whatever comes; None if they are enough.

    That comparison is adjusted for the number of cells alone.
    """
    if declaration.compare is None or declaration.stops_when_decided:
        return None
    cannot = too_few_seeds(min(declaration.seeds[name] for name in declaration.compare), len(declaration.cells))
    return cannot and f"{cannot}."


def describe_plan(
    plan: Plan, workers: int, where: str, model: str | None = None, file: str | None = None, *, enough: bool = False
) -> list[str]:
    """What a plan says.

    Args:
        plan: of one study.
        workers: how many train side by side.
        where: what names the study to a command.
        model: a network of somebody's own, which has to be named too.
        file: the study file that declares it, if there is one.
        enough: whether that declares as many seeds as the plan has.
    """
    a, b = label(plan.activation), label(plan.baseline)
    ties = f" In {count(plan.ties, 'pair')} the two are equal." if plan.ties else ""
    whose = f" (5 % of {b}'s errors)" if plan.margin_is_default else ""
    decides = f" So {plan.seeds_decide} seeds decide the question either way." if plan.effect == plan.margin else ""
    said = [
        f"Over {plan.pairs} pairs the differences between {a} and {b} have a sample SD of {plan.sd_difference:.5f}"
        f" (95 % interval {plan.sd_low:.5f} to {plan.sd_high:.5f}).{ties} The correlation within pairs is"
        f" {accuracy(plan.correlation, 2).replace('-', '−')}.",
        f"The plan uses the SD's upper 80 % limit, {plan.sd_planned:.5f}: with the estimate itself, about half of all"
        f" plans would fall short of their power. {_describe_family(plan)}",
        f"To detect a true difference of {plan.effect:g} with a power of {100 * plan.power:.12g} % takes"
        f" {plan.seeds} seeds of each ({_seeds(plan.seeds_estimated)} with the SD as estimated, {plan.seeds_low} to"
        f" {_seeds(plan.seeds_high)} over its interval). With different seeds for the two it would take"
        f" {_seeds(plan.seeds_unpaired, 'about ')}.",
        f"To show with the same power that they are equal within {plan.margin:g}{whose}, if they do not differ, takes"
        f" {_seeds(plan.seeds_equal)} seeds of each ({_seeds(plan.seeds_equal_estimated)} with the SD as estimated)."
        f"{decides}",
    ]
    if plan.missing == 0:
        return [*said, f"The study has them all. Compare them with: fluidrelu report {where}"]
    trials, finished = 2 * plan.seeds_decide, 2 * plan.seeds_decide - plan.missing
    if file and enough:
        train = f"The file declares enough. Train what is missing with: fluidrelu run {where}"
    elif file:
        train = f"Declare so many in a file of their own, beside {file}: to change this one now would be named."
    else:
        own = f" --model {shlex.quote(model)}" if model else ""
        train = f"fluidrelu repeat -n {plan.seeds_decide} --act {plan.baseline} --act {plan.activation} {where}{own}"
    return [
        *said,
        f"That is {trials} trials{f', of which the study has {finished}' if finished else ''}. The missing ones take"
        f" {duration(plan.seconds(workers))} with {count(workers, 'worker')}, at the {plan.pair_seconds:.0f} s that a"
        f" pair took on {' and '.join(plan.processors)}.",
        train,
    ]


def _describe_family(plan: Plan) -> str:
    """What a planned comparison is adjusted together with, and at which level it is tested therefore."""
    alpha, level = (f"{100 * each:.3g} %" for each in (plan.alpha, plan.alpha_family))
    if plan.comparisons > 1:
        kind = "primary comparisons" if plan.primary else "comparisons"
        return (
            f"This is one of {plan.comparisons} {kind} that are adjusted together, so it is planned at the strictest"
            f" level of Holm's method: {alpha} / {plan.comparisons} = {level}."
        )
    return f"This is the {'primary' if plan.primary else 'only secondary'} comparison, at the {level} level."


def _seeds(needed: int, about: str = "") -> str:
    """How many seeds a plan needs, where it may be more than any plan is for."""
    return f"{about}{needed}" if needed <= MOST_SEEDS else f"more than {MOST_SEEDS:,}"


def describe_left_out(plan: Plan) -> str | None:
    """Which seeds a plan leaves out; None if there are none."""
    return f"Only seeds that both have are pairs; left out: {plan.left_out}." if plan.left_out else None


def describe_decision(
    decision: Judgement, stopping: Stopping, *, already: bool = False, stopped: int = 0, failed: Trial | None = None
) -> str:
    """How a study that goes on until it is decided ended, or stands, in a clause that follows its name.

    Args:
        decision: what its pairs say.
        stopping: which comparison it is about.
        already: whether it was decided before this command.
        stopped: how many trials were in flight when it was decided, or could not be any more.
        failed: the trial of the two without which no further pair counts.
    """
    activation, baseline = stopping.compare
    pairs = count(decision.n, "pair")
    were = "was" if stopped == 1 else "were"
    ended = f"; {count(stopped, 'trial')} in flight {were} stopped" if stopped else ""
    if decision.verdict == UNDECIDED:
        if failed is None:
            return f"not decided after {pairs}, the most that were asked for."
        return (
            f"stopped without a verdict after {pairs}: pairs count in the order of their seeds, and"
            f" {failed.activation} failed with seed {failed.seed}{ended}."
        )
    verdict = {
        BETTER: f"{activation} is better than {baseline}",
        WORSE: f"{activation} is worse than {baseline}",
        EQUAL: f"{activation} and {baseline} differ by less than {stopping.margin:g}",
    }[decision.verdict]
    return f"decided {'already, ' if already else ''}after {pairs}: {verdict}{ended}."


def dry_run_cells(rows: Iterable[tuple[str, int, int, int, float | None, bool]]) -> tuple[list[str], list[list[str]]]:
    """The table of what a command would train, one row per study.

    Args:
        rows: a study's name, how many trials were asked for, are finished and are to be trained, the seconds that one
            of those takes, or None if they are not known, and whether it may be fewer trials.
    """
    cells = [
        [
            name,
            _at_most(asked, at_most),
            str(finished),
            _at_most(missing, at_most),
            "–" if seconds is None else duration(seconds),
        ]
        for name, asked, finished, missing, seconds, at_most in rows
    ]
    return ["study", "trials", "finished", "to train", "time\nper trial"], cells


def _at_most(number: int, at_most: bool) -> str:
    return f"at most {number}" if at_most else str(number)


def describe_dry_run(to_train: int, seconds: float | None, workers: int, source: str, *, at_most: bool = False) -> str:
    """How much a command would train, and how long that takes.

    Args:
        to_train: how many trials.
        seconds: how long they take together; None if that is not known.
        workers: how many train side by side.
        source: by what the seconds are known, or a clause that says why they are not.
        at_most: whether training may end earlier, because a comparison is decided.
    """
    if to_train == 0:
        return "Nothing is left to train."
    trials = f"{'At most ' if at_most else ''}{count(to_train, 'trial')} to train"
    ends = " Training ends once it is decided." if at_most else ""
    if seconds is None:
        return f"{trials}. How long that takes is not known, because {source}.{ends}"
    return f"{trials}, about {duration(seconds)} with {count(workers, 'worker')}, by {source}.{ends}"


def duration(seconds: float) -> str:
    """Seconds in words, at least one: ``40 s``, ``25 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def describe_verification(verified: Verification, csv: Path) -> list[str]:
    """Whether a run that was made again agrees with its record, and if not by how much and what differs."""
    if verified.agrees:
        weights = ", and so are the weights" if verified.recorded.weights_sha256 else ""
        return [f"{csv}: made again, and every number but the timings is equal to the last digit{weights}."]
    recorded = verified.recorded.test_accuracy
    by_up_to = {name: f" by up to {by:.2g}" if math.isfinite(by) else "" for name, by in verified.differences.items()}
    largest = ", ".join(f"{name}{by}" for name, by in by_up_to.items())
    conditions = [
        f"{name} ({there or 'not recorded'} there, {here or 'not recorded'} here)"
        for name, (there, here) in verified.conditions.items()
    ]
    reason = (
        f"These conditions differ: {'; '.join(conditions)}."
        if conditions
        else "Nothing that is recorded of versions and hardware differs: the record was changed, or something differs"
        " that is not recorded."
    )
    return [
        f"{csv}: made again, and the numbers differ: {largest}.",
        f"The test accuracy after the last epoch is {accuracy(verified.again.test_accuracy)} here,"
        f" {accuracy(recorded)} there.",
        reason,
    ]


def describe_dataset(name: str, dataset: Dataset, *, known: bool) -> str:
    """What is in a data set that could be read; ``known``: its digest is the one that it should be."""
    images = f"{len(dataset.train_images):,} + {len(dataset.test_images):,} images"
    what = f"{images} of {' x '.join(map(str, dataset.image_shape))}, {dataset.classes} classes"
    whose = "as published" if known else "whole and of the right shape (no digest to compare with)"
    return f"{name}: {whose}; {what}; sha256 {dataset.sha256}"


def pixel_cells(dataset: Dataset) -> tuple[list[str], list[list[str]]]:
    """The table of a data set's pixels: one row for each channel of the training and of the test images."""
    from fluidrelu_cli.data.inspection import measure_pixels

    rows = [
        [part, str(channel), *map(str, (it.least, it.most, it.levels)), f"{it.mean:.2f}", f"{it.sd:.2f}"]
        for part, images in (("train", dataset.train_images), ("test", dataset.test_images))
        for channel, it in enumerate(measure_pixels(images), start=1)
    ]
    return ["images", "channel", "least", "most", "grey levels", "mean", "SD"], rows


def describe_contents(dataset: Dataset) -> list[str]:
    """How many images there are of each class, and how many test images are among the training images."""
    from fluidrelu_cli.data.inspection import count_duplicates

    train, test = (
        labels.bincount(minlength=dataset.classes).tolist() for labels in (dataset.train_labels, dataset.test_labels)
    )
    said = [f"Images per class: {_range(train)} to train with, {_range(test)} to test on."]
    absent = [str(label) for label, n in enumerate(test) if n == 0]
    if absent:
        more = f" and {len(absent) - 10} more" if len(absent) > 10 else ""
        said.append(f"Not tested, as no test image has the label: {', '.join(absent[:10])}{more}.")
    equal, relabelled = count_duplicates(dataset)
    if not equal:
        return [*said, "No test image is among the training images."]
    tested = count(len(dataset.test_images), "test image")
    others = f", {relabelled:,} of them with another label" if relabelled else ""
    return [*said, f"{equal:,} of {tested} {'is' if equal == 1 else 'are'} among the training images, too{others}."]


def _range(counts: list[int]) -> str:
    """The least and the most of counts by label, and whose they are where they differ."""
    least, most = min(counts), max(counts)
    if least == most:
        return f"{least:,}"
    return f"{least:,} (label {counts.index(least)}) to {most:,} (label {counts.index(most)})"


def describe_protocol(protocol: Protocol) -> str:
    """A protocol in short: data set, network, and what differs from the defaults."""
    plain = replace(Protocol(), dataset=protocol.dataset, model=protocol.model)
    others = (f"{name.replace('_', ' ')} {value}" for name, (value, _) in protocol.differences(plain).items())
    return ", ".join([protocol.dataset, protocol.model, *others])


def list_counts(counts: Iterable[tuple[str, int, int]]) -> str:
    """How many runs activations have, of how many where they lack some: ``60 each: relu, fluid; elu 20 of 60``.

    Args:
        counts: an activation, and how many of its trials are finished and were asked for.
    """
    names: dict[str, list[str]] = {}
    for name, finished, asked in counts:
        names.setdefault(str(finished) if finished == asked else f"{finished} of {asked}", []).append(name)
    return "; ".join(
        f"{', '.join(mine)} {n}" if len(mine) == 1 else f"{', '.join(mine)} {n} each" for n, mine in names.items()
    )


def status_cells(
    rows: Sequence[tuple[str, str, int, int, bool, float | None, Mapping[str, int]]],
) -> tuple[list[str], list[list[str]]]:
    """The table of how far activations are, one row per study and activation; no column that says nothing.

    Args:
        rows: a study's name, an activation, how many trials are finished and were asked for, whether fewer may do, the
            seconds that the others take, or None if they are not known, and how many are running, failed, and so on.
    """
    names = ["study"] if len({row[0] for row in rows}) > 1 else []
    counted = [name for name in (rows[0][-1] if rows else ()) if any(row[-1][name] for row in rows)]
    cells = [
        [
            *([study] if names else []),
            label(activation),
            f"{finished} of {'at most ' if at_most else ''}{asked}",
            *(str(counts[name] or "–") for name in counted),
            "–" if seconds is None or finished == asked else duration(seconds),
        ]
        for study, activation, finished, asked, at_most, seconds, counts in rows
    ]
    return [*names, "activation", "finished", *counted, "time left"], cells


def describe_moment(moment: datetime) -> str:
    """A time as the clock here shows it: of today ``12:40``, else ``2026-11-25``."""
    here = moment.astimezone()
    return here.strftime("%H:%M" if here.date() == datetime.now().date() else "%Y-%m-%d")


def describe_trainer(study: str, marker: Running, in_flight: Sequence[InFlight], protocol: Protocol) -> str:
    """Who trains in a study, since when, and what just now."""
    trials = [
        f"{label(each.activation)} seed {each.seed} (epoch {each.epoch} of {protocol.epochs})" for each in in_flight
    ]
    now = f": {', '.join(trials)}" if trials else ""
    since = describe_moment(datetime.strptime(marker.since, TIME_FORMAT).replace(tzinfo=timezone.utc))
    return f"{study} is being trained since {since} by process {marker.pid} on {marker.host}{now}."


def describe_time_left(trials: int, seconds: float | None, workers: int, *, at_most: bool = False) -> str:
    """How long the trials take that are not finished.

    Args:
        trials: how many.
        seconds: how long they take together; None if that is not known.
        workers: how many train side by side.
        at_most: whether fewer may do.
    """
    if trials == 0:
        return "All that was asked for is finished."
    left = f"{'At most ' if at_most else ''}{count(trials, 'trial')} to go"
    if seconds is None:
        return f"{left}. How long that takes is not known, because some have no finished run to go by."
    return f"{left}, about {duration(seconds)} with {count(workers, 'worker')}, by the seconds of earlier runs."
