"""How many seeds a question needs, from how much a study's own runs vary."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import special

from fluidrelu_cli.analysis.duration import median_seconds
from fluidrelu_cli.analysis.inference import comparisons, final_accuracies
from fluidrelu_cli.analysis.verdicts import ALPHA, fewest_pairs
from fluidrelu_cli.errors import FluidReluError, UsageError
from fluidrelu_cli.run import Run, tabulate_runs
from fluidrelu_cli.study import MOST_SEEDS


@dataclass(frozen=True)
class Plan:
    """What it takes to find a true mean difference between an activation and a baseline."""

    activation: str
    baseline: str
    effect: float
    power: float
    alpha: float
    pairs: int
    """How many pairs of runs the study has; all that follows is estimated from them."""
    left_out: str
    """The seeds that only one of the two has: inference.comparisons' column."""
    sd_difference: float
    sd_low: float
    sd_high: float
    """The ends of the 95 % interval of ``sd_difference``."""
    correlation: float
    seeds: int
    """Of each activation: :func:`pairs_needed`."""
    seeds_low: int
    seeds_high: int
    """What it would be at the ends of the SD's interval. This and the next may be MOST_SEEDS + 1: more than that."""
    seeds_unpaired: int
    """What it would be if the two had different seeds."""
    pair_seconds: float
    """How long one trial of each took (median), one after the other."""
    processors: tuple[str, ...]
    """Where that was."""
    missing: int
    """How many of the 2 ``seeds`` trials the study does not have yet."""
    device: str
    """The kind of device they were trained on."""

    def seconds(self, workers: int) -> float:
        """How long the missing trials take on such a processor, by so many workers side by side."""
        return self.missing * self.pair_seconds / 2 / workers


def plan(runs: Sequence[Run], activation: str, baseline: str, effect: float, power: float, alpha: float) -> Plan:
    """Plan from the SD and the correlation of a study's runs.

    Raises:
        UsageError: if effect, power or alpha is out of range or takes more than MOST_SEEDS, or there is nothing to
            compare.
        FluidReluError: if there are fewer than two pairs of runs, or their differences do not vary.
    """
    _require(0 < effect < 1, "effect", effect, "a difference of accuracies between 0 and 1, such as 0.0005")
    _require(0 < alpha < 1, "alpha", alpha, "between 0 and 1")
    _require(alpha < power < 1, "power", power, f"between --alpha ({alpha}) and 1")
    if activation == baseline:
        raise UsageError(f"--act and --baseline are both {baseline}: name two activations.")
    runs = [run for run in runs if run.trial.activation in (activation, baseline)]
    finals = final_accuracies(tabulate_runs(runs))
    both = finals["activation"].nunique() == 2
    found = comparisons(finals, baseline, max(run.test_images for run in runs)).iloc[0] if both else None
    if found is None or found["n"] < 2 or found["sd_difference"] == 0:
        raise FluidReluError(
            f"The study does not show how much differences between {activation} and {baseline} vary: train some"
            f" more pairs first, with `fluidrelu repeat -n 10 --act {baseline} --act {activation}` and its --study."
        )
    n, sd = int(found["n"]), float(found["sd_difference"])
    low, high = sd_interval(sd, n)
    variances = finals.groupby("activation")["test_accuracy"].var()
    seeds = pairs_needed(effect, sd, power, alpha)
    if seeds > MOST_SEEDS:
        raise UsageError(
            f"To detect a difference of {effect:g} between {activation} and {baseline} takes more than"
            f" {MOST_SEEDS:,} seeds of each: name a larger --effect or --alpha, or a smaller --power."
        )
    return Plan(
        activation=activation,
        baseline=baseline,
        effect=effect,
        power=power,
        alpha=alpha,
        pairs=n,
        left_out=str(found["left_out"]),
        sd_difference=sd,
        sd_low=low,
        sd_high=high,
        correlation=float(found["correlation"]),
        seeds=seeds,
        seeds_low=pairs_needed(effect, low, power, alpha),
        seeds_high=pairs_needed(effect, high, power, alpha),
        seeds_unpaired=pairs_needed(effect, float(variances.sum()) ** 0.5, power, alpha),
        pair_seconds=sum(median_seconds(runs).values()),
        processors=tuple(sorted({str(run.provenance.gpu or run.provenance.cpu) for run in runs})),
        missing=2 * seeds - int((finals["seed"] < seeds).sum()),
        device=str(runs[0].provenance.device),
    )


def _require(holds: bool, option: str, value: float, wanted: str) -> None:
    if not holds:
        raise UsageError(f"--{option} must be {wanted}, not {value}.")


def pairs_needed(effect: float, sd_difference: float, power: float, alpha: float = ALPHA) -> int:
    """How many pairs the two-sided paired t-test needs to find a true mean difference with this power.

    The least n at which :func:`t_test_power` reaches it, or MOST_SEEDS + 1 if that is not enough. It is at least two
    more than :func:`fewest_pairs`: with fewer the sign-flip test, which is like it otherwise, finds much less.
    """
    fewest = fewest_pairs(alpha) + 2
    return bisect_left(
        range(MOST_SEEDS + 1), power, fewest, key=lambda n: t_test_power(n, effect, sd_difference, alpha)
    )


def t_test_power(n: int, effect: float, sd_difference: float, alpha: float = ALPHA) -> float:
    """The power of the two-sided paired t-test with n pairs to find a difference on the side on which it is.

    P(T > t(1 - alpha / 2; n - 1)), where T has a noncentral t distribution with n - 1 degrees of freedom and
    noncentrality sqrt(n) effect / sd_difference.
    """
    limit, noncentrality = -special.stdtrit(n - 1, alpha / 2), n**0.5 * abs(effect) / sd_difference
    return 1 - float(special.nctdtr(n - 1, noncentrality, limit))


def sd_interval(sd: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a standard deviation of n normal values: s sqrt((n - 1) / chi2(0.975, 0.025; n - 1))."""
    low, high = (sd * float((n - 1) / special.chdtri(n - 1, q)) ** 0.5 for q in (ALPHA / 2, 1 - ALPHA / 2))
    return low, high
