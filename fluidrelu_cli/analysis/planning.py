"""How many seeds a question needs, from what a study's own runs tell of their spread."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from fluidrelu_cli.analysis.inference import comparisons, final_accuracies, pairs_needed, sd_interval
from fluidrelu_cli.errors import FluidReluError, UsageError
from fluidrelu_cli.study import Study


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
    sd_difference: float
    sd_low: float
    sd_high: float
    """The ends of the 95 % interval of ``sd_difference``."""
    correlation: float
    seeds: int
    """Of each activation: statistics.pairs_needed."""
    seeds_low: int
    seeds_high: int
    """What it would be at the ends of the SD's interval."""
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
    notes: tuple[str, ...]
    """What of the study is left out."""

    def seconds(self, workers: int) -> float:
        """How long the missing trials take on such a processor, by so many workers side by side."""
        return self.missing * self.pair_seconds / 2 / workers


def plan(study: Study, activation: str, baseline: str, effect: float, power: float, alpha: float) -> Plan:
    """Plan from a study's own SD and correlation.

    Raises:
        UsageError: if effect, power or alpha is out of range, or there is nothing to compare.
        FluidReluError: if the study has fewer than two pairs of runs, or their differences do not vary.
    """
    _require(0 < effect < 1, "effect", effect, "a difference of accuracies between 0 and 1, such as 0.0005")
    _require(0 < alpha < 1, "alpha", alpha, "between 0 and 1")
    _require(alpha < power < 1, "power", power, f"between --alpha ({alpha}) and 1")
    if activation == baseline:
        raise UsageError(f"--act and --baseline are both {baseline}: name two activations.")
    runs, notes = study.read_runs()
    finals = final_accuracies(runs)
    finals = finals[finals["activation"].isin([activation, baseline])]
    there = set(finals["activation"])
    missing = [name for name in (activation, baseline) if name not in there]
    found = None if missing else comparisons(finals, baseline, study.test_images(runs)).iloc[0]
    if found is None or found["n"] < 2 or found["sd_difference"] == 0:
        raise FluidReluError(
            f"{study.folder} cannot tell how much differences between {activation} and {baseline} vary: train some"
            f" more pairs first, with `fluidrelu repeat -n 10 --act {baseline} --act {activation}` and its --study."
        )
    n, sd = int(found["n"]), float(found["sd_difference"])
    low, high = sd_interval(sd, n)
    variances = finals.groupby("activation")["test_accuracy"].var()
    seconds: dict[str, list[float]] = {}
    provenances = [record for record in study.provenances(runs) if record["activation"] in there]
    for record in provenances:
        took = record.get("wall_seconds", 0.0) / record.get("batched_seeds", 1)
        seconds.setdefault(record["activation"], []).append(took)
    seeds = pairs_needed(effect, sd, power, alpha)
    left_out = [f"Pairs are seeds that both have; left out: {found['left_out']}."] if found["left_out"] else []
    return Plan(
        activation=activation,
        baseline=baseline,
        effect=effect,
        power=power,
        alpha=alpha,
        pairs=n,
        sd_difference=sd,
        sd_low=low,
        sd_high=high,
        correlation=float(found["correlation"]),
        seeds=seeds,
        seeds_low=pairs_needed(effect, low, power, alpha),
        seeds_high=pairs_needed(effect, high, power, alpha),
        seeds_unpaired=pairs_needed(effect, float(variances.sum()) ** 0.5, power, alpha),
        pair_seconds=sum(map(median, seconds.values())),
        missing=2 * seeds - int((finals["seed"] < seeds).sum()),
        device=str(provenances[0].get("device")),
        notes=(*notes, *left_out),
        processors=tuple(sorted({str(record.get("gpu") or record.get("cpu")) for record in provenances})),
    )


def _require(holds: bool, option: str, value: float, wanted: str) -> None:
    if not holds:
        raise UsageError(f"--{option} must be {wanted}, not {value}.")
