"""Write docs/findings.md and the README's parts that say what came out, from the committed runs: `make findings`.

Every number in them is an expression in a template (*.md.j2) over what the reports of the committed studies compute;
no number is typed. tests/test_docs.py holds documents and runs together.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from fluidrelu_cli.analysis import inference as statistics
from fluidrelu_cli.analysis import published as paper
from fluidrelu_cli.analysis.published import PAPER_TABLE2
from fluidrelu_cli.files import write_whole
from fluidrelu_cli.report import plots, tables
from fluidrelu_cli.report import wording as sentences
from fluidrelu_cli.report.evidence import Report
from fluidrelu_cli.study import load_study

DOCS = Path(__file__).parent
ROOT = DOCS.parent
RESULTS = ROOT / "results"

MAIN = "mnist-activations"
BETAS = ("0", "1", "100", "10000")
RATES = ("0.0005", "0.001", "0.002", "0.005", "0.01")
FASHION, CIFAR10 = "fashion-mnist", "cifar10-cnn3"
CIFAR10_RATES = ("0.001", "0.003", "0.01", "0.03")
STUDIES = (
    "paper",
    MAIN,
    *(f"beta/{beta}" for beta in BETAS),
    *(f"learning-rate/{rate}" for rate in RATES),
    "longer",
    FASHION,
    CIFAR10,
)
"""The studies whose reports are committed."""
BESIDE = (FASHION, CIFAR10)
"""What stands beside the main study: other data, and a larger network."""


@functools.cache
def report(study: str) -> Report:
    """The report of a committed study."""
    beside = [load_study(RESULTS / name) for name in BESIDE] if study == MAIN else []
    return Report(load_study(RESULTS / study), beside=beside)


def finals(study: str, activation: str, name: str) -> pd.DataFrame:
    """The final accuracies of one activation of a study, under another name."""
    found: pd.DataFrame = report(study).finals
    mine: pd.DataFrame = found[found["activation"] == activation].assign(activation=name)
    return mine


def table(study: str, section: str) -> str:
    """A table of a study's report, in Markdown."""
    [found] = [made for made in report(study).sections if made.name == section]
    return tables.markdown(*found.cells)


def remarks(study: str, section: str) -> list[str]:
    [found] = [made for made in report(study).sections if made.name == section]
    return list(found.remarks)


def row(study: str, activation: str, name: str = "comparisons") -> dict[str, Any]:
    """An activation's row of a study's comparisons or summary."""
    found = getattr(report(study), name)
    return only_row(found[found["activation"] == activation])


def only_row(table: pd.DataFrame) -> dict[str, Any]:
    """A table's one row by column."""
    [made] = table.to_dict("records")
    return {str(column): value for column, value in made.items()}


def betas() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Summary and comparisons of the values of beta, and of ReLU, against the paper's; seeds of all of them alone."""
    parts = [finals(f"beta/{beta}", "fluid", f"β = {beta}") for beta in BETAS]
    relu = finals(MAIN, "relu", "ReLU")
    parts.append(relu[relu["seed"].isin(parts[0]["seed"])])
    joined = pd.concat(parts)
    images = report(MAIN).test_images
    return statistics.summary(joined, {}, images), statistics.comparisons(joined, f"β = {BETAS[-1]}", images)


def rates() -> list[dict[str, Any]]:
    """One row a learning rate: both summaries, and the comparison with its p-value adjusted for all rates."""
    compared = [row(f"learning-rate/{rate}", "fluid") for rate in RATES]
    adjusted = statistics.holm([made["p"] for made in compared])
    return [
        {
            "rate": rate,
            "relu": row(f"learning-rate/{rate}", "relu", "summary"),
            "fluid": row(f"learning-rate/{rate}", "fluid", "summary"),
            "compared": made | {"p_holm": p_holm},
        }
        for rate, made, p_holm in zip(RATES, compared, adjusted, strict=True)
    ]


def chosen_rate() -> tuple[str, list[dict[str, Any]]]:
    """CIFAR-10's learning rate by the rule of docs/plans.md, and ReLU's validation accuracy at each (its summary)."""
    tried = [{"rate": rate, **row(f"cifar10-learning-rate/{rate}", "relu", "summary")} for rate in CIFAR10_RATES]
    return max(tried, key=lambda made: (made["mean"], -float(made["rate"])))["rate"], tried


def tuned() -> dict[str, Any]:
    """Each activation at the rate at which its own mean is highest, compared by seed."""
    best = {name: max(rates(), key=lambda made: made[name]["mean"])["rate"] for name in ("relu", "fluid")}
    joined = pd.concat([finals(f"learning-rate/{rate}", name, name) for name, rate in best.items()])
    return {"rates": best, "compared": only_row(statistics.comparisons(joined, "relu", report(MAIN).test_images))}


def learned(study: str) -> list[dict[str, Any]]:
    """What the kernels' a became, by layer: the median; the shares below -2 (near ReLU), above 2 (near v), near 0."""
    parameters = report(study).parameters
    last = parameters[(parameters["activation"] == "fluid") & (parameters["epoch"] == parameters["epoch"].max())]
    return [
        {
            "layer": layer,
            "kernels": group["kernel"].nunique(),
            "median": group["value"].median(),
            "relu": (group["value"] < -2).mean(),
            "identity": (group["value"] > 2).mean(),
            "near": (group["value"].abs() < 1).mean(),
        }
        for layer, group in last.groupby("layer")
    ]


def published(line: str, activation: str) -> float:
    """A number of the paper's Table 2."""
    return PAPER_TABLE2[line, activation]


def lead(line: str) -> float:
    """By how much the new function leads in a row of the paper's Table 2."""
    return published(line, "fluid") - published(line, "relu")


def mean_at(study: str, activation: str, epoch: int, column: str = "test_accuracy") -> float:
    """The mean over seeds of a column of the run CSVs in an epoch's row."""
    runs = report(study).runs
    return float(runs.loc[(runs["activation"] == activation) & (runs["epoch"] == epoch), column].mean())


def on_the_same_seeds() -> dict[str, dict[str, Any]]:
    """Over the seeds that all activations of the main study have: FluidReLU from ReLU, its rivals from FluidReLU."""
    found = report(MAIN).finals
    by_seed = found.pivot(index="seed", columns="activation", values="test_accuracy").dropna()
    common = found[found["seed"].isin(by_seed.index)]

    images = report(MAIN).test_images
    return {
        "fluid": pair(common, "fluid", "relu", images),
        "fluid-coth": pair(common, "fluid-coth", "fluid", images),
        "fluid-exp": pair(common, "fluid-exp", "fluid", images),
    }


def pair(finals: pd.DataFrame, activation: str, baseline: str, test_images: int) -> dict[str, Any]:
    """One activation against another, by seed."""
    both = finals[finals["activation"].isin([activation, baseline])]
    return only_row(statistics.comparisons(both, baseline, test_images))


def leads_like_the_paper() -> float:
    """How often three runs each of ours lead by at least as much as the paper's, in both rows."""
    fluid, relu = (paper.accuracies_of(report(MAIN).finals, name) for name in ("fluid", "relu"))
    return paper.both_rows_above(fluid, relu, lead("best"), lead("worst"))


def spreads_like_the_paper() -> float:
    """The share of our sets of three ReLU runs with a best as high and a worst as low as the paper's."""
    sets = list(itertools.combinations(paper.accuracies_of(report(MAIN).finals, "relu"), 3))
    high, low = published("best", "relu"), published("worst", "relu")
    return sum(max(three) >= high and min(three) <= low for three in sets) / len(sets)


def over_last_epochs(study: str, epochs: int) -> dict[str, Any]:
    """FluidReLU's mean test accuracy over a study's last epochs, from ReLU's at the same seed."""
    runs = report(study).runs
    late = runs[runs["epoch"] > runs["epoch"].max() - epochs]
    means = late.groupby(["activation", "seed"], as_index=False)["test_accuracy"].mean()
    images = report(study).test_images * epochs  # in whose number the means are whole
    return only_row(statistics.comparisons(means, "relu", images))


def least_adjusted_p(pairs: int, comparisons: int) -> float:
    """The smallest p-value that so many pairs can give, adjusted (Holm) for so many comparisons."""
    return comparisons * 2 * 0.5**pairs


def at_minus_one(a: float) -> float:
    """f(-1) of equation (4)."""
    return -1 / (1 + math.exp(-a) / 2)


def furthest(study: str) -> float:
    """The largest distance of any a of any seed from 0, where it began."""
    return float(report(study).parameters["value"].abs().max())


def rate_figure() -> Figure:
    """Accuracy by learning rate, each seed and the mean with its interval."""
    figure = Figure(figsize=(plots.WIDTH, 3.6), layout="constrained")
    ax = figure.subplots()
    for index, activation in enumerate(("relu", "fluid")):
        shift = (0.97, 1.03)[index]  # side by side
        for rate, made in zip(RATES, rates(), strict=True):
            seeds = finals(f"learning-rate/{rate}", activation, activation)["test_accuracy"]
            ax.plot([float(rate) * shift] * len(seeds), seeds, "o", color=f"C{index}", markersize=3, alpha=0.5, mew=0)
            summary = made[activation]
            half = (summary["ci_high"] - summary["ci_low"]) / 2
            ax.errorbar(float(rate) * shift, summary["mean"], half, fmt="D", color=f"C{index}", markersize=4, capsize=4)
        means = [made[activation]["mean"] for made in rates()]
        ax.plot([float(rate) * shift for rate in RATES], means, color=f"C{index}", label=tables.label(activation))
    ax.set_xscale("log")
    ax.set_xticks([float(rate) for rate in RATES], RATES)
    ax.minorticks_off()
    ax.set(xlabel="learning rate ε", ylabel="test accuracy", title="Each seed, mean and 95 % interval")
    ax.legend()
    return figure


def interval(made: dict[str, Any]) -> str:
    """The 95 % interval of a comparison, in words."""
    return f"{tables.difference(made['ci_low'])} to {tables.difference(made['ci_high'])}"


def mean(made: dict[str, Any]) -> str:
    """Mean ± half of the interval, of a row of a summary."""
    return tables.plus_minus(tables.accuracy(made["mean"], 5), made)


def plus_minus(made: dict[str, Any]) -> str:
    """Mean difference ± half of the interval, of a row of comparisons."""
    return tables.plus_minus(tables.difference(made["mean_difference"]), made)


def rendered(template: str, root: str) -> str:
    """A template of this folder, filled in; ``root`` leads from the document to the top folder."""
    environment = Environment(
        loader=FileSystemLoader(DOCS), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    own: list[Callable[..., Any]] = [report, table, remarks, row, betas, rates, tuned, learned, published, lead]
    own += [mean_at, furthest, on_the_same_seeds, leads_like_the_paper, spreads_like_the_paper, over_last_epochs]
    own += [least_adjusted_p, at_minus_one, chosen_rate, pair]
    environment.globals.update({function.__name__: function for function in (*own, interval, mean, plus_minus)})
    environment.globals.update(
        root=root, MAIN=MAIN, FASHION=FASHION, CIFAR10=CIFAR10, sentences=sentences, tables=tables
    )
    return environment.get_template(template).render()


def findings() -> str:
    """What docs/findings.md has to hold."""
    return rendered("findings.md.j2", "../") + "\n"


def readme(text: str) -> str:
    """The README with the parts that a template makes made anew."""

    def made(part: re.Match[str]) -> str:
        return f"{part[1]}{rendered(part[2], '').strip()}\n{part[3]}"

    return re.sub(r"(<!-- made from docs/(\S+) -->\n).*?(<!-- end -->)", made, text, flags=re.DOTALL)


def main() -> None:
    for study in STUDIES:
        report(study).write()
    with plots.style():
        for kind, content in plots.rendered(rate_figure()).items():
            write_whole(DOCS / "figures" / f"learning-rate.{kind}", content)
    write_whole(DOCS / "findings.md", findings())
    write_whole(ROOT / "README.md", readme((ROOT / "README.md").read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
