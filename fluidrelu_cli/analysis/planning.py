"""How many seeds a question needs, from how much a study's own runs vary."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from scipy import special

from fluidrelu_cli.analysis.duration import median_seconds
from fluidrelu_cli.analysis.inference import comparisons, final_accuracies
from fluidrelu_cli.analysis.verdicts import ALPHA, default_margin, fewest_pairs
from fluidrelu_cli.errors import FluidReluError, UsageError
from fluidrelu_cli.run import Run, tabulate_runs
from fluidrelu_cli.study import MOST_SEEDS

POWER = 0.8
PLANNING_CONFIDENCE = 0.8
"""Of the SD's one-sided limit that plans are made with."""


@dataclass(frozen=True)
class Family:
    """What a comparison is tested together with."""

    primary: bool
    """Whether it is what the study is about."""
    comparisons: int
    """How many Holm's method adjusts together, this one included."""

    def level(self, alpha: float) -> float:
        """The level at which each is tested at worst, alpha / m.

        Below it Holm's method rejects, whatever the others say. A plan with it holds even if no other differs.
        """
        return alpha / self.comparisons


def find_family(
    activation: str, baseline: str, activations: Iterable[str], compare: tuple[str, str] | None = None, cells: int = 1
) -> Family:
    """The family of a comparison: the primary one has one of its own, all others of the study share another.

    Args:
        activation: one side of the comparison.
        baseline: the other, with which the study's other activations are compared, too.
        activations: all of the study.
        compare: the declared primary comparison. Without one, a lone comparison is primary, and several are one family.
        cells: of how many studies the family is, because what is varied makes so many.
    """
    others = {*activations, activation} - {baseline}
    if compare is None:
        return Family(len(others) == 1, len(others) * cells)
    if {activation, baseline} == set(compare):
        return Family(True, cells)
    return Family(False, sum({name, baseline} != set(compare) for name in others) * cells)


@dataclass(frozen=True)
class Plan:
    """What it takes to find a true mean difference between an activation and a baseline, or that there is none."""

    activation: str
    baseline: str
    effect: float
    margin: float
    """Equal means: the difference is smaller than this."""
    margin_is_default: bool
    power: float
    alpha: float
    primary: bool
    comparisons: int
    """How many are adjusted together, this one included."""
    alpha_family: float
    """At which this one is tested, so that ``alpha`` holds for all: Family.level."""
    pairs: int
    """How many pairs of runs the study has; all that follows is estimated from them."""
    left_out: str
    """The seeds that only one of the two has: inference.comparisons' column."""
    ties: int
    """In how many of the pairs both are equal."""
    sd_difference: float
    sd_low: float
    sd_high: float
    """The ends of the 95 % interval of ``sd_difference``."""
    sd_planned: float
    """Its upper limit, :func:`planning_sd`, from which all numbers of seeds are but those that say otherwise."""
    correlation: float
    seeds: int
    """Of each activation, to find the effect: :func:`pairs_needed`. From here on, a number of seeds may be MOST_SEEDS +
    1: more than that. This one and ``seeds_decide`` are not."""
    seeds_estimated: int
    """What it would be with ``sd_difference`` itself."""
    seeds_low: int
    seeds_high: int
    """What it would be at the ends of the SD's interval."""
    seeds_unpaired: int
    """What it would be if the two had different seeds."""
    seeds_equal: int
    """Of each activation, to show that they are equal within the margin if they are: :func:`pairs_for_equality`."""
    seeds_equal_estimated: int
    """What that would be with ``sd_difference`` itself."""
    seeds_decide: int
    """What the plan comes to: the larger of ``seeds`` and ``seeds_equal`` if the effect is the margin, or ``seeds``."""
    pair_seconds: float
    """How long one trial of each took (median), one after the other."""
    processors: tuple[str, ...]
    """Where that was."""
    missing: int
    """How many of the 2 ``seeds_decide`` trials the study does not have yet."""
    device: str
    """The kind of device they were trained on."""

    def seconds(self, workers: int) -> float:
        """How long the missing trials take on such a processor, by so many workers side by side."""
        return self.missing * self.pair_seconds / 2 / workers


def plan(
    runs: Sequence[Run],
    activation: str,
    baseline: str,
    effect: float | None = None,
    *,
    margin: float | None = None,
    family: Family = Family(True, 1),
    power: float = POWER,
    alpha: float = ALPHA,
) -> Plan:
    """Plan from the SD, the ties and the correlation of a study's runs.

    Args:
        runs: of the study; those of other activations do not count.
        activation: the one in question.
        baseline: the one that it is compared with.
        effect: the true difference of mean accuracies to find; the margin if None.
        margin: below which the two count as equal; 5 % of the baseline's errors if None.
        family: what the comparison is tested together with.
        power: the probability of finding the effect, or the equality.
        alpha: the error rate of the whole family.

    Raises:
        UsageError: if effect, margin, power or alpha is out of range or takes more than MOST_SEEDS, or there is nothing
            to compare.
        FluidReluError: if there are fewer than two pairs of runs, or their differences do not vary.
    """
    for option, value in (("effect", effect), ("margin", margin)):
        _require(
            value is None or 0 < value < 1, option, value, "a difference of accuracies between 0 and 1, such as 0.0005"
        )
    _require(0 < alpha < 1, "alpha", alpha, "between 0 and 1")
    _require(alpha < power < 1, "power", power, f"between --alpha ({alpha}) and 1")
    if activation == baseline:
        raise UsageError(f"--act and --baseline are both {baseline}: name two activations.")
    runs = [run for run in runs if run.trial.activation in (activation, baseline)]
    finals = final_accuracies(tabulate_runs(runs))
    both = finals["activation"].nunique() == 2
    test_images = max((run.test_images for run in runs), default=0)
    found = comparisons(finals, baseline, test_images).iloc[0] if both else None
    if found is None or found["n"] < 2 or found["sd_difference"] == 0:
        raise FluidReluError(
            f"The study does not show how much differences between {activation} and {baseline} vary: train some"
            f" more pairs first, with `fluidrelu repeat -n 10 --act {baseline} --act {activation}` and its --study."
        )
    n, ties, sd = int(found["n"]), int(found["ties"]), float(found["sd_difference"])
    low, high = sd_interval(sd, n)
    planned, level = planning_sd(sd, n), family.level(alpha)
    by_activation = finals.groupby("activation")["test_accuracy"]
    within = margin or default_margin(float(by_activation.mean()[baseline]), test_images)
    to_find = within if effect is None else effect

    def finding(sd: float) -> int:
        return pairs_needed(to_find, sd, power, level, ties / n)

    seeds, seeds_equal = finding(planned), pairs_for_equality(within, planned, power, level)
    decide = max(seeds, seeds_equal) if to_find == within else seeds
    if decide > MOST_SEEDS:
        detect = "detect" if seeds > MOST_SEEDS else "exclude"
        option = "--margin" if effect is None else "--effect"
        raise UsageError(
            f"To {detect} a difference of {to_find:g} between {activation} and {baseline} takes more than"
            f" {MOST_SEEDS:,} seeds of each: name a larger {option} or --alpha, or a smaller --power."
        )
    return Plan(
        activation=activation,
        baseline=baseline,
        effect=to_find,
        margin=within,
        margin_is_default=margin is None,
        power=power,
        alpha=alpha,
        primary=family.primary,
        comparisons=family.comparisons,
        alpha_family=level,
        pairs=n,
        left_out=str(found["left_out"]),
        ties=ties,
        sd_difference=sd,
        sd_low=low,
        sd_high=high,
        sd_planned=planned,
        correlation=float(found["correlation"]),
        seeds=seeds,
        seeds_estimated=finding(sd),
        seeds_low=finding(low),
        seeds_high=finding(high),
        seeds_unpaired=finding(planning_sd(float(by_activation.var().sum()) ** 0.5, n)),
        seeds_equal=seeds_equal,
        seeds_equal_estimated=pairs_for_equality(within, sd, power, level),
        seeds_decide=decide,
        pair_seconds=sum(median_seconds(runs).values()),
        processors=tuple(sorted({str(run.provenance.gpu or run.provenance.cpu) for run in runs})),
        missing=2 * decide - int((finals["seed"] < decide).sum()),
        device=str(runs[0].provenance.device),
    )


def _require(holds: bool, option: str, value: float | None, wanted: str) -> None:
    if not holds:
        raise UsageError(f"--{option} must be {wanted}, not {value}.")


def pairs_to_decide(sd: float, margin: float, *, alpha: float, ties: float = 0.0, power: float = POWER) -> int:
    """How many pairs decide a question: either a true difference as large as the margin, or none, is found.

    The larger of :func:`pairs_needed` and :func:`pairs_for_equality`; MOST_SEEDS + 1 if it is more than MOST_SEEDS.

    Args:
        sd: of the paired differences; from n pairs of a study, :func:`planning_sd` of theirs.
        margin: in the same unit, accuracies for example.
        alpha: at which the comparison is tested in its family: Family.level.
        ties: the share of pairs that have no difference.
        power: the probability with which it is found.
    """
    return max(pairs_needed(margin, sd, power, alpha, ties), pairs_for_equality(margin, sd, power, alpha))


def pairs_needed(effect: float, sd_difference: float, power: float, alpha: float = ALPHA, ties: float = 0.0) -> int:
    """How many pairs the two-sided test needs to find a true mean difference with this power.

    The least n at which :func:`t_test_power` reaches it, or MOST_SEEDS + 1 if that is not enough. The verdict's own
    test, by sign flips, has about the same power, unless pairs are so few that its p-values come in steps as large as
    alpha. So there are at least two more untied pairs than :func:`fewest_pairs`: with these a small difference may have
    the wrong sign, and p is below alpha all the same.

    A tie has no sign to flip: with a share t of ties, n pairs have (1 - t) n signs. It therefore takes that floor
    / (1 - t) pairs, rounded up, which have enough signs on average; the two more make up for a few ties too many. The
    share is that of the study, and a larger difference than the study's has fewer ties. The power of the t-test needs
    no such correction, because ties are part of the SD.
    """
    fewest = math.ceil((fewest_pairs(alpha) + 2) / (1 - ties))
    return _least_pairs(fewest, power, lambda n: t_test_power(n, effect, sd_difference, alpha))


def pairs_for_equality(margin: float, sd_difference: float, power: float, alpha: float = ALPHA) -> int:
    """How many pairs two one-sided tests need to show that two are equal within a margin, if they do not differ.

    The least n at which :func:`equality_power` reaches the power, or MOST_SEEDS + 1; at least two more than
    :func:`fewest_pairs`. Ties take no more: both tests are about the distances from a margin, which a tie is not at.
    """
    return _least_pairs(fewest_pairs(alpha) + 2, power, lambda n: equality_power(n, margin, sd_difference, alpha))


def _least_pairs(fewest: int, power: float, power_of: Callable[[int], float]) -> int:
    return bisect_left(range(MOST_SEEDS + 1), power, min(fewest, MOST_SEEDS + 1), key=power_of)


def t_test_power(n: int, effect: float, sd_difference: float, alpha: float = ALPHA) -> float:
    """The power of the two-sided paired t-test with n pairs to find a difference on the side on which it is.

    P(T > t(1 - alpha / 2; n - 1)), where T has a noncentral t distribution with n - 1 degrees of freedom and
    noncentrality sqrt(n) effect / sd_difference.
    """
    limit, noncentrality = -special.stdtrit(n - 1, alpha / 2), n**0.5 * abs(effect) / sd_difference
    return 1 - float(special.nctdtr(n - 1, noncentrality, limit))


def equality_power(n: int, margin: float, sd_difference: float, alpha: float = ALPHA) -> float:
    """The power of two one-sided paired t-tests with n pairs to show equality within ±margin, with no true difference.

    2 F(sqrt(n) margin / sd_difference - t(1 - alpha; n - 1)) - 1, or 0 if that is negative, where F is Student's
    distribution with n - 1 degrees of freedom. It takes a shifted central t for a noncentral one: what it says of 4 to
    360 pairs, and alpha from 0.6 % to 5 %, is within one pair of what integrating over the sample SD says.
    """
    limit = -special.stdtrit(n - 1, alpha)
    return max(0.0, 2 * float(special.stdtr(n - 1, n**0.5 * margin / sd_difference - limit)) - 1)


def planning_sd(sd: float, n: int) -> float:
    """The SD to plan with, of n normal values with a sample SD of ``sd``: its upper one-sided 80 % confidence limit.

    s sqrt((n - 1) / chi2(0.2; n - 1)) (Browne 1995, On the use of a pilot sample for sample size determination). A plan
    with s itself has less power than it promises in more than half of all cases: whenever s is below the true SD.
    """
    return sd * math.sqrt((n - 1) / special.chdtri(n - 1, PLANNING_CONFIDENCE))


def sd_interval(sd: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a standard deviation of n normal values: s sqrt((n - 1) / chi2(0.975, 0.025; n - 1))."""
    low, high = (sd * float((n - 1) / special.chdtri(n - 1, q)) ** 0.5 for q in (ALPHA / 2, 1 - ALPHA / 2))
    return low, high
