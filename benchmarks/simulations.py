"""What the statistics of a report are worth where the truth is known: error rates, coverage, and pairs that they take.

Each table is a function of a :class:`Simulation`, which draws its numbers anew, so none depends on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from fluidrelu_cli.analysis.regression import adjust
from fluidrelu_cli.analysis.sequential import judge_looks
from fluidrelu_cli.analysis.shares import wilson_interval, win_share
from fluidrelu_cli.analysis.sign_flips import equality_p, invert_sign_flips, sign_flip_p
from fluidrelu_cli.analysis.verdicts import ALPHA, BETTER, EQUAL, UNDECIDED, WORSE, holm, judge
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
FAMILIES = (1, 3, 8)
"""Numbers of comparisons that are adjusted together."""
BASELINE_SEEDS = 60
"""Those of the baseline, of which an activation has a part."""

Draw = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]


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


@dataclass(frozen=True)
class Simulation:
    """What all tables are simulated with."""

    differences: NDArray[np.float64]
    """Those of a study, to draw from."""
    replications: int
    """Simulated studies of each kind."""
    pairs: int
    """The most pairs of one."""
    seed: int

    def start(self) -> np.random.Generator:
        """What a table is drawn with."""
        return np.random.default_rng(self.seed)

    def share(self, count: int) -> str:
        """The share of the studies that so many are, with its 95 % interval."""
        low, high = wilson_interval(count, self.replications)
        return f"{count / self.replications:.1%} ({low:.1%}–{high:.1%})"


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


def skewed(skewness: float) -> Draw:
    """Gamma-distributed distances from their mean, with this skewness and about MNIST's spread."""
    shape = 4 / skewness**2
    return lambda random, size: 11 * (random.gamma(shape, size=size) - shape) / shape**0.5


def tabulate_wrong_verdicts(simulation: Simulation) -> Table:
    """How often a study that goes on until it is decided is decided wrongly."""
    random, shape = simulation.start(), (simulation.replications, simulation.pairs)

    def share(drawn: NDArray[np.float64], margin: float, *wrong: str) -> str:
        return simulation.share(sum(verdict in wrong for verdict, _ in look(drawn, margin)))

    rows = [
        [
            name,
            share(draw(random, shape), NO_MARGIN, BETTER, WORSE),
            share(draw(random, shape) + MARGIN, MARGIN, EQUAL),
            share(draw(random, shape) - MARGIN, MARGIN, EQUAL),
        ]
        for name, draw in distributions(simulation.differences).items()
    ]
    head = [
        "differences",
        "better or worse,\nwithout a difference",
        "equal, with one\nof the margin",
        "of minus\nthe margin",
    ]
    title = f"Wrong verdicts in {simulation.replications} studies of up to {simulation.pairs} pairs (95 %)"
    return rich_table(title, head, rows)


def tabulate_pairs_taken(simulation: Simulation) -> Table:
    """How many pairs it takes until such a study is decided, beside a number that is fixed beforehand."""
    random, most = simulation.start(), simulation.pairs
    draw, spread = distributions(simulation.differences)["MNIST's"], float(simulation.differences.std(ddof=1))
    rows = []
    questions = [(effect, NO_MARGIN, BETTER) for effect in (3, 5, 8, 10, 20)] + [(0, m, EQUAL) for m in (5, 8, 10, 20)]
    for effect, margin, right in questions:
        found = look(draw(random, (simulation.replications, most)) + effect, margin)
        needed = [n if verdict != UNDECIDED else most + 1 for verdict, n in found]
        quantiles = (int(np.quantile(needed, q, method="inverted_cdf")) for q in (0.5, 0.8, 0.95))
        shown = [str(n) if n <= most else f"over {most}" for n in quantiles]
        fixed = pairs_needed(effect, spread, 0.8) if effect else None
        correct = sum(verdict == right for verdict, _ in found) / simulation.replications
        asked = f"{effect} images" if effect else f"0 images, margin {margin:g}"
        rows.append([asked, *shown, f"{correct:.1%} {right}", str(fixed or "")])
    head = ["true difference", "pairs for\nhalf", "for\n80 %", "for\n95 %", "verdicts", "fixed number\nfor 80 %"]
    return rich_table("Pairs until it is decided, with the spread of MNIST's differences", head, rows)


def tabulate_intervals(simulation: Simulation) -> Table:
    """How often the inverted test's 95 % interval holds the mean, and then how often Student's does.

    A true 95 % comes out within 1 % of it in 95 % of simulations with 2000 replications.
    """
    random, kinds = simulation.start(), distributions(simulation.differences)
    centred = {name: (draw, 0.0) for name, draw in kinds.items() if "skewed" not in name}
    centred["normal, about 1/3 of an image"] = kinds["normal"], 1 / 3
    centred |= {f"skewness {skewness} (gamma), no guarantee": (skewed(skewness), 0.0) for skewness in (1, 2)}
    counts = [n for n in COVERED if n <= simulation.pairs]
    rows = []
    for name, (draw, centre) in centred.items():
        cells = []
        for n in counts:
            studies = np.rint(draw(random, (simulation.replications, n)) + centre).astype(int).tolist()
            cells.append(
                " / ".join(
                    f"{sum(low <= centre <= high for low, high in map(limits, studies)) / len(studies):.1%}"
                    for limits in (invert_sign_flips, interval)
                )
            )
        rows.append([name, *cells])
    title = f"Coverage of 95 % intervals in {simulation.replications} studies: inverted / Student's"
    return rich_table(title, ["differences", *(f"{n} pairs" for n in counts)], rows)


def tabulate_images(simulation: Simulation) -> Table:
    """How often 95 % intervals hold the true difference where seeds and test images are drawn anew each time."""
    random = simulation.start()
    rows = [
        [
            population.name,
            *map(str, shape),
            *map(simulation.share, cover(random, population, shape, simulation.replications)),
        ]
        for population in POPULATIONS
        for shape in ((10, 200), (40, 1000))
    ]
    head = ["activations", "seeds", "images", "over seeds\nand images", "over seeds\nalone"]
    return rich_table(f"Intervals that hold the true difference, of {simulation.replications} (95 %)", head, rows)


def tabulate_shares(simulation: Simulation) -> Table:
    """How often the interval of P(above) leaves a half out where wins are as likely as losses.

    Ties count as half a win, and then, for comparison, as losses. 5 % are wanted at most.
    """
    random = simulation.start()
    rows = []
    for tied in (0.0, 0.2, 0.6, 0.9):
        cells = []
        for n in COVERED:
            signs = random.choice((-1, 0, 1), (simulation.replications, n), p=((1 - tied) / 2, tied, (1 - tied) / 2))
            halves = [win_share(study)[1:] for study in signs.tolist()]
            losses = [wilson_interval(wins, n) for wins in (signs > 0).sum(axis=1).tolist()]
            outside = (sum(not low <= 0.5 <= high for low, high in found) for found in (halves, losses))
            cells.append(" / ".join(f"{count / simulation.replications:.1%}" for count in outside))
        rows.append([f"{tied:.0%}", *cells])
    title = f"P(above) not a half in {simulation.replications} studies without a difference: ties halved / as losses"
    return rich_table(title, ["ties", *(f"{n} pairs" for n in COVERED)], rows)


def cover_regression(
    random: np.random.Generator, pairs: int, correlation: float, count: int, spread: float = 1.0
) -> tuple[float, float]:
    """The share of so many studies in which regression.adjust's interval holds the true difference, and its length.

    Args:
        random: what is drawn with.
        pairs: those of the BASELINE_SEEDS that the activation has.
        correlation: of the two accuracies, which are normal.
        count: how many studies.
        spread: the SD of the activation's, the baseline's being 1.

    Returns:
        the share, and the mean length in mean lengths of Student's interval of the pairs' differences.
    """
    covered, length, paired_length = 0, 0.0, 0.0
    for every in random.normal(0, 1, (count, BASELINE_SEEDS)):
        b = every[:pairs]
        a = spread * (correlation * b + (1 - correlation**2) ** 0.5 * random.normal(0, 1, pairs))
        _, _, low, high = adjust(a.tolist(), b.tolist(), every.tolist())
        paired_low, paired_high = interval((a - b).tolist())
        covered += low <= 0 <= high
        length, paired_length = length + high - low, paired_length + paired_high - paired_low
    return covered / count, length / paired_length


def tabulate_regression(simulation: Simulation) -> Table:
    """How often the interval of the regression on all seeds of the baseline holds the true difference."""
    random, rows = simulation.start(), []
    for pairs in (6, 10, 20, 40):
        for correlation in (0.2, 0.6, 0.95):
            cells = []
            for spread in (0.5, 1.0, 2.0):
                covered, length = cover_regression(random, pairs, correlation, simulation.replications, spread)
                cells.append(f"{covered:.1%} ({length:.2f})")
            rows.append([str(pairs), f"{correlation:g}", *cells])
    title = (
        f"Coverage of 95 % intervals by regression on {BASELINE_SEEDS} seeds of the baseline in"
        f" {simulation.replications} studies (length / pairs')"
    )
    head = ["pairs", "r of\npairs", *(f"SD {spread}\nthe baseline's" for spread in ("half", "equal to", "twice"))]
    return rich_table(title, head, rows)


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


def tabulate_power(simulation: Simulation) -> Table:
    """How often a study comes to the right verdict with the pairs that a plan names, for a power of 80 %.

    "Found" is that of a difference as large as the margin, "equal" that of none. The plan's SD and ties are the true
    ones. A true 80 % comes out within 1.8 % of it in 95 % of simulations with 2000 replications.
    """
    random, kinds, replications = simulation.start(), distributions(simulation.differences), simulation.replications
    rows = []
    for name in ("normal", "60 % ties"):
        sample = np.rint(kinds[name](random, (1, 100_000)))
        sd, ties = float(sample.std()), float((sample == 0).mean())
        for in_sds in (0.5, 1):
            for comparisons in FAMILIES:
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


def tabulate_pilots(simulation: Simulation) -> Table:
    """What power a plan reaches, if its SD is that of a few normal differences, for half a true SD and 80 %."""
    random, replications = simulation.start(), simulation.replications
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


def judge_study(differences: NDArray[np.float64], *, margin_declared: bool) -> set[str]:
    """The verdicts on comparisons that are adjusted together, a row of differences in images each."""
    rows = [
        {
            "n": len(pairs),
            "mean_difference": sum(pairs),
            "p": sign_flip_p(pairs),
            "p_equal": equality_p(pairs, MARGIN),
            "margin_declared": margin_declared,
        }
        for pairs in np.rint(differences).astype(int).tolist()
    ]
    return {judged["verdict"] for judged in judge(rows)}


def tabulate_families(simulation: Simulation) -> Table:
    """How often some verdict of a study is wrong, of independent comparisons that are adjusted together.

    "Better or worse" where none differs, with a margin that was not declared; "equal" where all differ by a declared
    margin, half of them upwards. The other kind of margin makes each rarer.
    """
    random, rows = simulation.start(), []
    kinds = distributions(simulation.differences)
    for name, draw in {"MNIST's": kinds["MNIST's"], "60 % ties": kinds["60 % ties"], "skewness 2": skewed(2)}.items():
        for comparisons in FAMILIES:
            cells = []
            for pairs in (10, 20):
                drawn = draw(random, (simulation.replications, comparisons, pairs))
                away = MARGIN * np.where(np.arange(comparisons) % 2, -1, 1)[:, None]
                differing = sum(bool({BETTER, WORSE} & judge_study(study, margin_declared=False)) for study in drawn)
                equal = sum(EQUAL in judge_study(study + away, margin_declared=True) for study in drawn)
                cells += [f"{count / simulation.replications:.1%}" for count in (differing, equal)]
            rows.append([name, str(comparisons), *cells])
    head = ["differences", "comparisons"]
    head += [f"{verdict},\n{pairs} pairs" for pairs in (10, 20) for verdict in ("better or\nworse", "equal")]
    return rich_table(f"Studies with a wrong verdict, of {simulation.replications}", head, rows)


TABLES: Mapping[str, Callable[[Simulation], Table]] = {
    "verdicts": tabulate_wrong_verdicts,
    "pairs": tabulate_pairs_taken,
    "intervals": tabulate_intervals,
    "images": tabulate_images,
    "shares": tabulate_shares,
    "regression": tabulate_regression,
    "families": tabulate_families,
    "power": tabulate_power,
    "pilots": tabulate_pilots,
}
"""By name, in the order in which they are printed."""


def main(
    study: Annotated[Path, typer.Argument(help="The study whose differences are drawn from.")] = Path(
        "results/mnist-activations"
    ),
    replications: Annotated[int, typer.Option(help="Simulated studies of each kind.")] = 2000,
    pairs: Annotated[int, typer.Option(help="The most pairs of one that goes on until it is decided.")] = 1000,
    seed: Annotated[int, typer.Option(help="Determines all that is drawn.")] = 0,
    only: Annotated[
        list[str] | None, typer.Option(help=f"A table, of {', '.join(TABLES)} (left out: all). Repeat for several.")
    ] = None,
) -> None:
    """Simulate studies whose true differences are known, and show how often their reports are right."""
    simulation = Simulation(read_differences(study), replications, pairs, seed)
    for name in only or TABLES:
        console.print(TABLES[name](simulation))


if __name__ == "__main__":
    typer.run(main)
