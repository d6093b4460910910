"""What the NeurIPS paper checklist asks of an experiment, from the runs: error bars (item 7) and computation (item 8).

The checklist is at https://neurips.cc/public/guides/PaperChecklist. It asks what the error bars cover, how they were
worked out, on which assumptions, whether they are standard deviations or errors, and what the runs took.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence

import numpy as np

from fluidrelu_cli.analysis.images import over_seeds_and_images, read_correct, subtract
from fluidrelu_cli.analysis.verdicts import fewest_pairs
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.tables import difference, label
from fluidrelu_cli.report.wording import tuned
from fluidrelu_cli.run import Run


def write_checklist(cells: Sequence[Evidence], standing: str = "") -> str:
    """Two paragraphs of plain text, one for each item, ready to be pasted.

    Args:
        cells: what the runs show, of one study or of each cell of a grid.
        standing: how far it was settled before the runs, as the report says it.
    """
    runs = [run for each in cells for run in each.runs]
    significance = [
        _tell_variation(cells),
        *_tell_choices(cells),
        _count_runs(cells),
        _tell_deviations(cells),
        *_tell_method(cells),
        *_tell_scope(cells),
        "In tables, ± is half the width of a 95 % interval, neither a standard deviation nor a standard error; that of"
        " a mean accuracy is Student's, which assumes that accuracies are normally distributed over seeds.",
        standing,
    ]
    computation = [
        _tell_machines(runs),
        *_tell_time(runs),
        *_tell_memory(runs),
        *_tell_further(cells),
        f"Software: {', '.join(_list_versions(runs))}.",
    ]
    paragraphs = {"Statistical significance": significance, "Compute resources": computation}
    return "\n".join(f"{title}. {' '.join(filter(None, said))}\n" for title, said in paragraphs.items())


def _tell_variation(cells: Sequence[Evidence]) -> str:
    """What differs between runs, and what does not."""
    augmented = any(each.protocol.augment != "none" for each in cells)
    sets = "the initial weights, the order of the training images and their augmentation"
    images = sorted({each.test_images for each in cells})
    held_out = any(each.protocol.validation_images for each in cells)
    kind = "training images, held out for choosing settings" if held_out else "test images"
    return (
        "Runs of one activation differ in their seed, which sets"
        f" {sets if augmented else 'the initial weights and the order of the training images'}, in the same way for"
        f" each activation. {'All' if len(cells) == 1 else 'Those of one setting'} were tested on the same"
        f" {_span(images, '{:,}')} {kind}."
    )


def _tell_choices(cells: Sequence[Evidence]) -> Iterator[str]:
    """What of a run is its result, and what was chosen by results."""
    first, declared = cells[0], cells[0].declaration
    nearest = declared is not None and declared.ends_nearest
    epochs = sorted({each.protocol.epochs for each in cells})
    last = f"after the last of {_span(epochs, '{}')} epoch{'' if epochs == [1] else 's'}"
    at_level = f"at the test at which {label(first.baseline)}'s mean is nearest to what was published"
    yield f"A run's result is its accuracy {at_level if nearest else last}."
    if not nearest and (declared is None or declared.tuned is None):
        yield "No run and no epoch was chosen by test accuracy."
    yield tuned(declared)


def _by_activation(cells: Sequence[Evidence], column: str, shown: str) -> str:
    """A column of the summaries by activation, in each cell from least to most."""
    names = dict.fromkeys(name for each in cells for name in each.order)
    found = {
        name: [
            value
            for each in cells
            for value in each.summary.loc[each.summary["activation"] == name, column].dropna().tolist()
        ]
        for name in names
    }
    return ", ".join(f"{label(name)} {_span(values, shown)}" for name, values in found.items() if values)


def _span(values: Iterable[float], shown: str) -> str:
    """``6``, or ``4 to 6``."""
    values = sorted(values)
    return " to ".join(dict.fromkeys(shown.format(value) for value in (values[0], values[-1])))


def _count_runs(cells: Sequence[Evidence]) -> str:
    """n, and what was left out of it or might have been."""
    where = f" in each of {len(cells)} settings" if len(cells) > 1 else ""
    failed = sum(len(paths) for each in cells for paths in each.failures.values())
    diverged = sum(run.diverged for each in cells for run in each.runs)
    lacking = sum(each.lacking for each in cells)
    said = [f"Number of runs{where}: {_by_activation(cells, 'n', '{}')}."]
    if lacking:
        said.append(f"{lacking} of the declared runs {'is' if lacking == 1 else 'are'} not finished.")
    if failed:
        said.append(f"{failed} {'trial' if failed == 1 else 'trials'} failed and {_is(failed)} not among them.")
    if diverged:
        said.append(f"{diverged} {'run' if diverged == 1 else 'runs'} diverged and {_is(diverged)} counted.")
    return " ".join(said)


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _tell_deviations(cells: Sequence[Evidence]) -> str:
    found = _by_activation(cells, "sd", "{:.5f}")
    return found and f"Sample standard deviation of the accuracy over seeds: {found}."


def _tell_method(cells: Sequence[Evidence]) -> Iterator[str]:
    """How activations were compared; nothing where there is no pair."""
    compared = [each for each in cells if (each.comparisons["n"] > 0).any()]
    if not compared:
        return
    first = compared[0]
    yield f"Each activation is compared with {label(first.baseline)} in pairs of runs with the same seed."
    sequential = first.sequential
    if sequential is not None:
        yield (
            f"Training was to end once the comparison of {label(sequential.activation)} with"
            f" {label(sequential.baseline)} was decided, after at most {sequential.most} pairs. The verdict and its"
            " 95 % confidence sequence hold at every number of pairs; the other comparisons have no p-values. Equal"
            f" means that the 90 % confidence sequence lies within ±{sequential.margin:g}."
        )
    else:
        yield (
            "The p-values are those of the exact two-sided sign-flip test of the paired differences; a 95 % interval of"
            " a mean difference has the values that this test does not reject at 5 %, and is not adjusted."
        )
        yield from _tell_power(compared)
        yield from _tell_margin(compared)
        yield _tell_adjustment(compared)
    test = "The confidence sequence assumes" if sequential is not None else "The test assumes"
    yield (
        f"{test} that seeds are independent of each other and that differences are symmetric about their centre, not"
        " that they are normally distributed."
    )


def _tell_power(cells: Sequence[Evidence]) -> Iterator[str]:
    """That p-values cannot be small, or are not there yet."""
    if any(each.lacking for each in cells):
        yield "As declared runs are missing, there are no p-values and no verdicts yet."
    pairs = [n for each in cells for n in each.comparisons["n"].tolist() if 0 < n < fewest_pairs()]
    if pairs:
        yield f"With fewer than {fewest_pairs()} pairs (here {_span(pairs, '{}')}) no p-value can reach 5 %."


def _tell_margin(cells: Sequence[Evidence]) -> Iterator[str]:
    """Below which difference two activations are called equal."""
    margins = [row for each in cells for row in each.comparisons.to_dict("records")]
    source = "the margin that was declared" if margins[0]["margin_declared"] else "5 % of the baseline's errors"
    within = _span({row["margin"] for row in margins}, "{:.4g}")
    yield f"Equal means that the 90 % interval lies within ±{within}, {source}."


def _tell_adjustment(cells: Sequence[Evidence]) -> str:
    """For how many comparisons p-values are adjusted."""
    first = cells[0]
    declared, compared = first.declaration, [name for name in first.order if name != first.baseline]
    primary = declared.compare[0] if declared is not None and declared.compare else None
    others = sum(int((each.comparisons["n"] > 0).sum()) for each in cells)
    if primary in compared:
        mine = sum(
            int(((each.comparisons["activation"] == primary) & (each.comparisons["n"] > 0)).sum()) for each in cells
        )
        others -= mine
        what = f"adjusted for the {mine} settings by Holm's method" if mine > 1 else "one test at 5 %"
        said = f"The primary comparison, of {label(primary)} with {label(first.baseline)}, is {what}."
        if others:
            said = f"{said} {_adjust(others, 'other comparison')}"
        return said
    return _adjust(others, "comparison")


def _adjust(number: int, what: str) -> str:
    if number == 1:
        return f"The only {what} is one test at 5 %."
    return f"The p-values of the {number} {what}s are adjusted for each other by Holm's method."


def _tell_scope(cells: Sequence[Evidence]) -> Iterator[str]:
    """What the intervals say nothing about; and the one that covers other images, where the runs allow it."""
    found = _cover_images(cells[0]) if len(cells) == 1 else None
    if found is None:
        yield "Nothing is said about other test images, other data, networks or settings."
    else:
        yield f"{found} All else is about these test images, and nothing about other data, networks or settings."


def _cover_images(evidence: Evidence) -> str | None:
    """The interval over seeds and images of the first comparison; None where runs do not say which images are right."""
    if len(evidence.pair) < 2 or evidence.sequential is not None:  # whose number of pairs depends on what they show
        return None
    a, b = evidence.pair
    seeds = sorted({*_list_seeds(evidence, a)} & {*_list_seeds(evidence, b)})
    matrices = [read_correct(evidence.runs, name, seeds) for name in (a, b)]
    if len(seeds) < 2 or matrices[0] is None or matrices[1] is None:
        return None
    low, high = over_seeds_and_images(subtract(matrices[0], matrices[1])).interval
    return (
        f"For other test images of the same kind, too, the 95 % interval of {label(a)}'s mean difference from"
        f" {label(b)} is {difference(low)} to {difference(high)} (seeds and images as crossed random effects, with"
        " Satterthwaite's degrees of freedom)."
    )


def _list_seeds(evidence: Evidence, activation: str) -> list[int]:
    return [run.trial.seed for run in evidence.runs if run.trial.activation == activation]


def _count(values: Iterable[Hashable]) -> str:
    """What all runs have, or where they differ, each value with how many have it."""
    counts = Counter(values)
    if len(counts) == 1:
        return str(*counts)
    return " and ".join(f"{found} ({n} run{'' if n == 1 else 's'})" for found, n in counts.most_common())


UNKNOWN = "not recorded"


def _tell_machines(runs: Sequence[Run]) -> str:
    def name_processor(run: Run) -> str:
        made = run.provenance
        instructions = f" with {made.cpu_capability}" if made.cpu_capability else ""
        return f"{made.gpu}, in a machine with {made.cpu}" if made.gpu else f"{made.cpu or UNKNOWN}{instructions}"

    number = f"{len(runs)} run{'' if len(runs) == 1 else 's'}"
    threads = _count(run.provenance.threads or UNKNOWN for run in runs)
    return (
        f"{number} on {'GPU' if all(run.provenance.gpu for run in runs) else 'processor'}"
        f" {_count(map(name_processor, runs))}; CPU threads per run: {threads}."
    )


def _tell_time(runs: Sequence[Run]) -> Iterator[str]:
    """How long runs took; of those that were trained together, an equal share each."""
    shares = [
        run.provenance.wall_seconds / run.provenance.batched_seeds
        for run in runs
        if run.provenance.wall_seconds is not None
    ]
    if not shares:
        yield "How long the runs took is not recorded."
        return
    missing = len(runs) - len(shares)
    without = f", without {missing} run{'' if missing == 1 else 's'} whose time is not recorded"
    yield (
        f"A run took {_seconds(float(np.median(shares)))} (median); all together took {sum(shares) / 3600:,.2f} hours,"
        f" summed over runs whether or not they ran side by side{without if missing else ''}."
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g} seconds" if seconds < 120 else f"{seconds / 60:.3g} minutes"


def _tell_memory(runs: Sequence[Run]) -> Iterator[str]:
    peaks = [run.provenance.peak_memory for run in runs if run.provenance.peak_memory is not None]
    if peaks:
        of = "" if len(peaks) == len(runs) else f", of the {len(peaks)} runs that recorded it"
        yield f"Peak memory of a process{of}: {max(peaks) / 1e9:.2f} GB."


def _tell_further(cells: Sequence[Evidence]) -> Iterator[str]:
    """What these numbers leave out."""
    tried = sum(int(each.tuned.table["n"].sum()) for each in cells if each.tuned is not None)
    if tried:
        yield f"Not included: {tried} runs on held-out training images, by which settings were chosen."
    beyond = sum(each.not_counted for each in cells)
    if beyond:
        yield f"Not included: {beyond} run{'' if beyond == 1 else 's'} beyond those that were declared."


def _list_versions(runs: Sequence[Run]) -> Iterator[str]:
    names = dict.fromkeys(name for run in runs for name, version in run.provenance.versions.items() if version)
    for name in names:
        yield f"{name} {_count(run.provenance.versions.get(name) or UNKNOWN for run in runs)}"
    if not names:
        yield f"versions {UNKNOWN}"
