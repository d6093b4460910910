"""How often verdicts err that may be looked at any time, how many pairs they take, and what intervals and plans do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from measuring import console
from numpy.typing import NDArray
from rich.table import Table
from scipy import special

from fluidrelu_cli.analysis.images import over_seeds_and_images, subtract
from fluidrelu_cli.analysis.inference import interval
from fluidrelu_cli.analysis.planning import Family, pairs_needed, pairs_to_decide, planning_sd, t_test_power
from fluidrelu_cli.analysis.sequential import judge_looks
from fluidrelu_cli.analysis.shares import wilson_interval
from fluidrelu_cli.analysis.sign_flips import invert_sign_flips, sign_flip_p
from fluidrelu_cli.analysis.verdicts import ALPHA, BETTER, EQUAL, UNDECIDED, WORSE, holm
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.tables import rich_table
from fluidrelu_cli.study import load_study

IMAGES = 10_000
MARGIN = 10.0
"""Of equality, in test images, as all numbers here."""
NO_MARGIN = 0.001
"""Nothing is equal within it."""

COVERED = (10, 20, 60)
"""Pairs for which the coverage of intervals is simulated."""

Draw = Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]


def read_differences(folder: Path) -> NDArray[np.float64]:
    """The differences of a study's first comparison, in test images."""
    evidence = Evidence(load_study(folder))
    by_seed = evidence.finals.pivot(index="seed", columns="activation", values="test_accuracy")
    activation = next(name for name in evidence.order if name != evidence.baseline)
    found: NDArray[np.float64] = np.rint((by_seed[activation] - by_seed[evidence.baseline]).dropna() * IMAGES)
    return found


def distributions(differences: NDArray[np.float64]) -> dict[str, Draw]:
    """By name, what to draw distances from a centre from."""
    distances = differences - differences.mean()
    symmetric = np.concatenate([distances, -distances])
    return {
        "MNIST's": lambda random, shape: random.choice(symmetric, shape),
        "normal": lambda random, shape: random.normal(0, symmetric.std(), shape),
        "60 % ties": lambda random, shape: random.normal(0, 0.6, shape),
        "heavy tails (Student's, 2 degrees of freedom)": lambda random, shape: 8 * random.standard_t(2, shape),
        "skewed (exponential), no guarantee": lambda random, shape: 11 * (random.exponential(1, shape) - 1),
    }


def look(drawn: NDArray[np.float64], margin: float) -> list[tuple[str, int]]:
    """The verdict of each row of differences, and after how many pairs it came."""
    found = []
    for differences in np.rint(drawn):
        verdicts = judge_looks((differences / IMAGES).tolist(), margin / IMAGES)
        found.append((verdicts[-1], verdicts.index(verdicts[-1]) + 1))
    return found


@dataclass(frozen=True)
class Population:
    """Images and seeds to draw from: the log odds that a run has an image right are a sum of normal parts."""

    name: str
    image: float = 3.0
    """SD of what an image is easier by for both activations."""
    image_and_activation: float = 1.0
    """SD of what an image is easier by for one of them."""
    seed_and_activation: float = 0.15
    """SD of what one activation is better by at one seed, on all images."""
    baseline: float = 4.0
    """Mean log odds of the baseline."""
    advantage: float = 0.3
    """What is added to them for the other activation."""

    @property
    def difference(self) -> float:
        """The true difference of accuracies, over all seeds and images: by Gauss and Hermite's quadrature."""
        sd = (self.image**2 + self.image_and_activation**2 + self.seed_and_activation**2) ** 0.5
        points, weights = np.polynomial.hermite_e.hermegauss(200)
        odds = self.baseline + sd * points
        return float((special.expit(odds + self.advantage) - special.expit(odds)) @ weights / weights.sum())

    def draw(self, random: np.random.Generator, seeds: int, images: int) -> NDArray[np.int8]:
        """Differences of new seeds on new images, as images.subtract gives them."""
        odds = self.baseline + random.normal(0, self.image, images)

        def draw_right(advantage: float) -> NDArray[np.bool_]:
            by_image = random.normal(0, self.image_and_activation, images)
            by_seed = random.normal(0, self.seed_and_activation, (seeds, 1))
            return random.random((seeds, images)) < special.expit(odds + advantage + by_image + by_seed)

        return subtract(draw_right(self.advantage), draw_right(0))


POPULATIONS = (
    Population("images and seeds differ"),
    Population("images differ much", image_and_activation=3),
    Population("images do not differ", image_and_activation=0),
    Population("seeds do not differ", seed_and_activation=0),
    Population("nothing differs", image_and_activation=0, seed_and_activation=0, advantage=0),
)


def cover(random: np.random.Generator, population: Population, shape: tuple[int, int], count: int) -> tuple[int, int]:
    """Of so many studies, in how many the interval over seeds and images, and over seeds, holds the true difference."""
    truth = population.difference
    found = [over_seeds_and_images(population.draw(random, *shape)) for _ in range(count)]
    over_both = sum(one.interval[0] <= truth <= one.interval[1] for one in found)
    return over_both, sum(one.seeds_interval[0] <= truth <= one.seeds_interval[1] for one in found)


def coverage_table(random: np.random.Generator, replications: int) -> Table:
    """How often 95 % intervals hold the true difference where seeds and test images are drawn anew each time."""

    def share(count: int) -> str:
        low, high = wilson_interval(count, replications)
        return f"{count / replications:.1%} ({low:.1%}–{high:.1%})"

    rows = [
        [population.name, *map(str, shape), *map(share, cover(random, population, shape, replications))]
        for population in POPULATIONS
        for shape in ((10, 200), (40, 1000))
    ]
    head = ["activations", "seeds", "images", "over seeds\nand images", "over seeds\nalone"]
    return rich_table(f"Intervals that hold the true difference, of {replications} (95 %)", head, rows)


def skewed(skewness: float) -> Draw:
    """Gamma-distributed distances from their mean, with this skewness and about MNIST's spread."""
    shape = 4 / skewness**2
    return lambda random, size: 11 * (random.gamma(shape, size=size) - shape) / shape**0.5


def tabulate_coverage(kinds: dict[str, Draw], replications: int, pairs: int, seed: int) -> list[list[str]]:
    """How often the inverted test's 95 % interval holds the mean, and then how often Student's does.

    One row per kind, one column per number of pairs up to ``pairs``. A true 95 % comes out within 1 % of it in 95 % of
    simulations with 2000 replications.
    """
    random = np.random.default_rng(seed)
    centred = {name: (draw, 0.0) for name, draw in kinds.items() if "skewed" not in name}
    centred["normal, about 1/3 of an image"] = kinds["normal"], 1 / 3
    centred |= {f"skewness {skewness} (gamma), no guarantee": (skewed(skewness), 0.0) for skewness in (1, 2)}
    rows = []
    for name, (draw, centre) in centred.items():
        cells = []
        for n in (n for n in COVERED if n <= pairs):
            studies = np.rint(draw(random, (replications, n)) + centre).astype(int).tolist()
            cells.append(
                " / ".join(
                    f"{sum(low <= centre <= high for low, high in map(limits, studies)) / replications:.1%}"
                    for limits in (invert_sign_flips, interval)
                )
            )
        rows.append([name, *cells])
    return rows


@dataclass(frozen=True)
class Question:
    """Comparisons that are adjusted together, of which one differs by the margin, or none does."""

    draw: Draw
    comparisons: int
    margin: float
    """In tenths of an image, a whole number."""

    def share_found(self, random: np.random.Generator, pairs: int, replications: int) -> float:
        """In what share of studies the one that differs has an adjusted p-value below 5 %, and the right sign."""
        found = 0
        for _ in range(replications):
            study = self.draw(random, (self.comparisons, pairs))
            study[0] += self.margin / 10
            differences = np.rint(study).astype(int).tolist()
            found += holm([*map(sign_flip_p, differences)])[0] < ALPHA and sum(differences[0]) > 0
        return found / replications

    def share_equal(self, random: np.random.Generator, pairs: int, replications: int) -> float:
        """In what share of studies both one-sided tests say, at the level of the family, that one does not differ."""
        level, margin = Family(False, self.comparisons).level(ALPHA), round(self.margin)
        tenths = 10 * np.rint(self.draw(random, (replications, pairs))).astype(int)
        sides = [(study + margin, margin - study) for study in tenths]
        return sum(all(_is_above(side, level) for side in both) for both in sides) / replications


def _is_above(differences: NDArray[np.int64], level: float) -> bool:
    return bool(differences.sum() > 0) and sign_flip_p(differences.tolist()) / 2 <= level


def power_table(kinds: dict[str, Draw], replications: int, seed: int) -> Table:
    """How often a study comes to the right verdict with the pairs that a plan names, for a power of 80 %.

    "Found" is that of a difference as large as the margin, "equal" that of none. The plan's SD and ties are the true
    ones. A true 80 % comes out within 1.8 % of it in 95 % of simulations with 2000 replications.
    """
    random = np.random.default_rng(seed)
    rows = []
    for name in ("normal", "60 % ties"):
        sample = np.rint(kinds[name](random, (1, 100_000)))
        sd, ties = float(sample.std()), float((sample == 0).mean())
        for in_sds in (0.5, 1):
            for comparisons in (1, 3, 8):
                question = Question(kinds[name], comparisons, round(10 * in_sds * sd))
                effect, level = question.margin / 10, Family(False, comparisons).level(ALPHA)
                plans = pairs_needed(effect, sd, 0.8), pairs_needed(effect, sd, 0.8, level, ties)
                found = [f"{n}: {question.share_found(random, n, replications):.1%}" for n in plans]
                decide = pairs_to_decide(sd, effect, alpha=level, ties=ties)
                equal = f"{decide}: {question.share_equal(random, decide, replications):.1%}"
                rows.append([name, f"{in_sds} SD", str(comparisons), *found, equal])
    head = [
        "differences",
        "margin, and\ndifference",
        "comparisons",
        "found, planned\nfor one alone",
        "found, planned\nfor the family",
        "equal, planned\nto decide",
    ]
    return rich_table(f"Pairs, and right verdicts in {replications} studies, planned for 80 %", head, rows)


def pilot_table(replications: int, seed: int) -> Table:
    """What power a plan reaches, if its SD is that of a few normal differences, for half a true SD and 80 %."""
    random = np.random.default_rng(seed)
    rows = []
    for pilot in (6, 10, 20, 60):
        sds = (random.chisquare(pilot - 1, replications) / (pilot - 1)) ** 0.5
        for name, planned in (("as estimated", sds), ("upper 80 % limit", [planning_sd(sd, pilot) for sd in sds])):
            pairs = [pairs_needed(0.5, float(sd), 0.8) for sd in planned]
            powers = np.array([t_test_power(n, 0.5, 1) for n in pairs])
            reached = f"{(powers >= 0.8).mean():.1%}"
            rows.append([str(pilot), name, str(int(np.median(pairs))), reached, f"{powers.mean():.1%}"])
    head = ["pairs of\nthe study", "SD", "pairs planned\n(median)", "plans that\nreach 80 %", "mean power"]
    return rich_table(f"What {replications} plans reach", head, rows)


def main(
    study: Annotated[Path, typer.Argument(help="The study whose differences are drawn from.")] = Path(
        "results/mnist-activations"
    ),
    replications: Annotated[int, typer.Option(help="Simulated studies of each kind.")] = 2000,
    pairs: Annotated[int, typer.Option(help="Pairs of each, looked at one by one.")] = 1000,
    seed: Annotated[int, typer.Option(help="Determines all that is drawn.")] = 0,
) -> None:
    """Simulate studies that stop once they are decided, and intervals, of known differences rounded to test images."""
    random = np.random.default_rng(seed)
    differences = read_differences(study)
    kinds, shape = distributions(differences), (replications, pairs)

    def share(drawn: NDArray[np.float64], margin: float, *wrong: str) -> str:
        errors = sum(verdict in wrong for verdict, _ in look(drawn, margin))
        low, high = wilson_interval(errors, replications)
        return f"{errors / replications:.1%} ({low:.1%}–{high:.1%})"

    rows = [
        [
            name,
            share(draw(random, shape), NO_MARGIN, BETTER, WORSE),
            share(draw(random, shape) + MARGIN, MARGIN, EQUAL),
            share(draw(random, shape) - MARGIN, MARGIN, EQUAL),
        ]
        for name, draw in kinds.items()
    ]
    head = [
        "differences",
        "better or worse,\nwithout a difference",
        "equal, with one\nof the margin",
        "of minus\nthe margin",
    ]
    console.print(rich_table(f"Wrong verdicts in {replications} studies of up to {pairs} pairs (95 %)", head, rows))

    rows = []
    questions = [(effect, NO_MARGIN, BETTER) for effect in (3, 5, 8, 10, 20)] + [(0, m, EQUAL) for m in (5, 8, 10, 20)]
    for effect, margin, right in questions:
        found = look(kinds["MNIST's"](random, shape) + effect, margin)
        needed = [n if verdict != UNDECIDED else pairs + 1 for verdict, n in found]
        quantiles = (int(np.quantile(needed, q, method="inverted_cdf")) for q in (0.5, 0.8, 0.95))
        shown = [str(n) if n <= pairs else f"over {pairs}" for n in quantiles]
        fixed = pairs_needed(effect, float(differences.std(ddof=1)), 0.8) if effect else None
        correct = sum(verdict == right for verdict, _ in found) / replications
        asked = f"{effect} images" if effect else f"0 images, margin {margin:g}"
        rows.append([asked, *shown, f"{correct:.1%} {right}", str(fixed or "")])
    head = ["true difference", "pairs for\nhalf", "for\n80 %", "for\n95 %", "verdicts", "fixed number\nfor 80 %"]
    console.print(rich_table("Pairs until it is decided, with the spread of MNIST's differences", head, rows))
    console.print(coverage_table(random, replications))

    head = ["differences", *(f"{n} pairs" for n in COVERED if n <= pairs)]
    rows = tabulate_coverage(kinds, replications, pairs, seed)
    console.print(rich_table(f"Coverage of 95 % intervals in {replications} studies: inverted / Student's", head, rows))
    console.print(power_table(kinds, replications, seed))
    console.print(pilot_table(replications, seed))


if __name__ == "__main__":
    typer.run(main)
