"""The numbers of the documents, recomputed from the committed runs: `make docs`.

Every number in a document is an expression in a template (*.md.j2) over what the reports of the committed studies
compute; none is typed. cog puts what :func:`render` gives between markers in the documents, and checks in `make lint`
that it is still what stands there.
"""

from __future__ import annotations

import functools
import html
import math
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich.console import Console

from fluidrelu_cli.analysis import inference
from fluidrelu_cli.analysis.calibration import calibration
from fluidrelu_cli.analysis.published import PAPER
from fluidrelu_cli.analysis.verdicts import holm
from fluidrelu_cli.declaration import Declaration
from fluidrelu_cli.protocol import Protocol, spell_number
from fluidrelu_cli.report import tables, wording
from fluidrelu_cli.report.compose import build_document
from fluidrelu_cli.report.document import Document, Section
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.grid import build_grid_document
from fluidrelu_cli.study import load_study
from fluidrelu_cli.study_file import read_declaration

DOCS = Path(__file__).parent
ROOT = DOCS.parent
RESULTS = ROOT / "results"

MAIN, FASHION, CIFAR10 = "mnist-activations", "fashion-mnist", "cifar10-cnn3"
SWISH = "swish"
"""The README's example of somebody's own activation."""


def find_studies() -> tuple[str, ...]:
    """The committed studies; outside a clone of the repository, all that are in results/."""
    command = ["git", "ls-files", "results/**/study.json"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    paths = [ROOT / path for path in listed] or sorted(RESULTS.rglob("study.json"))
    return tuple(path.parent.relative_to(RESULTS).as_posix() for path in paths)


STUDIES = find_studies()

QUESTIONS = tuple(dict.fromkeys(name.partition("/")[0] for name in STUDIES))
"""What they answer: all cells of a grid answer one question."""

BESIDE = (FASHION, CIFAR10)
"""What stands beside the main study: other data, and a larger network."""


@functools.cache
def declared(question: str) -> Declaration | None:
    """The file of a question; None if it has none."""
    path = ROOT / "studies" / f"{question}.toml"
    return replace(read_declaration(path), path=path.relative_to(ROOT)) if path.exists() else None


def cells(question: str) -> dict[str, str]:
    """The study of each cell of a grid in which one setting is varied, by its value as its file has it."""
    declaration = declared(question)
    assert declaration is not None
    return {
        spell_number(float(value)): declaration.study_name(cell)
        for cell in declaration.cells
        for value in cell.settings.values()
    }


@functools.cache
def evidence(study: str) -> Evidence:
    """What the runs of a committed study show."""
    beside = [evidence(name) for name in BESIDE] if study == MAIN else []
    declaration = declared(study.partition("/")[0])
    return Evidence(replace(load_study(RESULTS / study), name=study), beside=beside, declaration=declaration)


@functools.cache
def report(study: str) -> Document:
    """The report of a committed study, or over all cells of a grid."""
    declaration = declared(study)
    if declaration is not None and declaration.is_grid:
        found = {cell: evidence(declaration.study_name(cell)) for cell in declaration.cells}
        return build_grid_document(declaration, found)
    return build_document(evidence(study))


def section(study: str, name: str) -> Section:
    """A section of a study's report."""
    [found] = [section for section in report(study).sections if section.name == name]
    return found


def count_runs(*questions: str) -> int:
    """How many runs answer them."""
    return sum(len(evidence(name).runs) for name in STUDIES if name.partition("/")[0] in questions)


def table(study: str, name: str) -> str:
    """A table of a study's report, in Markdown."""
    return tables.markdown(*section(study, name).cells)


def printed(study: str, name: str) -> str:
    """A table of a study's report, as a terminal shows it."""
    found = section(study, name)
    console = Console(file=StringIO(), width=80)
    with console.capture() as capture:
        console.print(tables.rich_table(found.title, *found.cells))
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())


def remarks(study: str, name: str) -> tuple[str, ...]:
    """What the report says of one of its tables."""
    found = section(study, name)
    return (*found.explanations, *found.remarks)


def only_row(table: pd.DataFrame) -> dict[str, Any]:
    """A table's one row by column."""
    [row] = table.to_dict("records")
    return {str(column): value for column, value in row.items()}


def row(study: str, value: str, name: str = "comparisons", column: str = "activation") -> dict[str, Any]:
    """An activation's row of a table of a study's evidence."""
    rows = getattr(evidence(study), name)
    return only_row(rows[rows[column] == value])


def finals(study: str, activation: str, name: str) -> pd.DataFrame:
    """The final accuracies of one activation of a study, under another name."""
    accuracies: pd.DataFrame = evidence(study).finals
    renamed: pd.DataFrame = accuracies[accuracies["activation"] == activation].assign(activation=name)
    return renamed


def compare(finals: pd.DataFrame, activation: str, baseline: str, study: str = MAIN) -> dict[str, Any]:
    """One activation against another, by seed, on the test images of a study."""
    pair = finals[finals["activation"].isin([activation, baseline])]
    return only_row(inference.comparisons(pair, baseline, evidence(study).test_images))


def betas() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Summary and comparisons of each value of beta, and of ReLU, with the paper's, on the seeds that all have."""
    parts = [finals(study, "fluid", f"β = {beta}") for beta, study in cells("beta").items()]
    relu = finals(MAIN, "relu", "ReLU")
    parts.append(relu[relu["seed"].isin(parts[0]["seed"])])
    joined = pd.concat(parts)
    images = evidence(MAIN).test_images
    return inference.summary(joined, {}, images), inference.comparisons(joined, f"β = {Protocol.beta:g}", images)


def rates() -> list[dict[str, Any]]:
    """One row per learning rate: both summaries, and the comparison with its p-value adjusted for all rates."""
    studies = cells("learning-rate")
    compared = [row(study, "fluid", "own_comparisons") for study in studies.values()]
    adjusted = holm([comparison["p"] for comparison in compared])
    return [
        {
            "rate": rate,
            "relu": row(study, "relu", "summary"),
            "fluid": row(study, "fluid", "summary"),
            "compared": comparison | {"p_holm": p_holm},
        }
        for (rate, study), comparison, p_holm in zip(studies.items(), compared, adjusted, strict=True)
    ]


def chosen_rate() -> tuple[str, list[dict[str, Any]]]:
    """CIFAR-10's learning rate by the rule of its file, and ReLU's validation accuracy at each (its summary)."""
    studies = cells("cifar10-learning-rate")
    tried = [{"rate": rate, **row(study, "relu", "summary")} for rate, study in studies.items()]
    return max(tried, key=lambda summary: (summary["mean"], -float(summary["rate"])))["rate"], tried


def tuned() -> dict[str, Any]:
    """Each activation at the rate at which its own mean is highest, compared by seed."""
    best = {name: max(rates(), key=lambda tried: tried[name]["mean"])["rate"] for name in ("relu", "fluid")}
    joined = pd.concat([finals(cells("learning-rate")[rate], name, name) for name, rate in best.items()])
    return {"rates": best, "compared": compare(joined, "fluid", "relu")}


def parameters(study: str) -> pd.DataFrame:
    """Every a of every seed and epoch of a study's FluidReLU: run.PARAMETER_COLUMNS."""
    return evidence(study).parameters("fluid", evidence(study).count_seeds("fluid"))


def learned(study: str) -> list[dict[str, Any]]:
    """What the kernels' a became, by layer: the median; the shares below -2 (near ReLU), above 2 (near v), near 0."""
    values = parameters(study)
    return [
        {
            "layer": layer,
            "kernels": group["kernel"].nunique(),
            "median": group["value"].median(),
            "relu": (group["value"] < -2).mean(),
            "identity": (group["value"] > 2).mean(),
            "near": (group["value"].abs() < 1).mean(),
        }
        for layer, group in values[values["epoch"] == values["epoch"].max()].groupby("layer")
    ]


def furthest(study: str) -> float:
    """The largest distance of any a of any seed from 0, where it began."""
    return float(parameters(study)["value"].abs().max())


def at_minus_one(a: float) -> float:
    """f(-1) of equation (4)."""
    return -1 / (1 + math.exp(-a) / 2)


def published(line: str, activation: str) -> float:
    """A number of the paper's Table 2."""
    return PAPER.rows[line][activation]


def lead(line: str) -> float:
    """By how much the new function leads in a row of the paper's Table 2."""
    return published(line, "fluid") - published(line, "relu")


def mean_at(study: str, activation: str, epoch: int, column: str = "test_accuracy") -> float:
    """The mean over seeds of a column of the run CSVs in an epoch's row."""
    runs = evidence(study).run_table
    return float(runs.loc[(runs["activation"] == activation) & (runs["epoch"] == epoch), column].mean())


def rival(activation: str) -> dict[str, Any]:
    """A rival of FluidReLU against FluidReLU, over the seeds of the main study that both have."""
    return compare(evidence(MAIN).finals, activation, "fluid")


def first_seeds(study: str, activation: str, seeds: int) -> dict[str, Any]:
    """An activation of a study against ReLU, over the first so many seeds."""
    accuracies = evidence(study).finals
    return compare(accuracies[accuracies["seed"] < seeds], activation, "relu", study)


def below(study: str, activation: str) -> tuple[int, int]:
    """From which number of seeds on, and up to which, the interval of the difference lies below zero."""
    growing = evidence(study).growing
    n = growing.loc[growing["ci_high"] < 0, "n"]
    assert evidence(study).pair[0] == activation
    assert n.tolist() == list(range(n.min(), n.max() + 1))
    return int(n.min()), int(n.max())


def by_study(named: Iterable[tuple[str, str]]) -> list[tuple[str, str, dict[str, Any]]]:
    """Names and studies, each with its primary comparison, adjusted for all of them as in the main study's report."""
    return [(name, study, row(MAIN, study, "studies", "study")) for name, study in named]


def has(study: str, name: str) -> bool:
    """Whether a study's report has such a section."""
    return name in report(study).tables


def over_last_epochs(study: str, epochs: int) -> dict[str, Any]:
    """FluidReLU's mean test accuracy over a study's last epochs, from ReLU's at the same seed."""
    runs = evidence(study).run_table
    late = runs[runs["epoch"] > runs["epoch"].max() - epochs]
    means = late.groupby(["activation", "seed"], as_index=False)["test_accuracy"].mean()
    images = evidence(study).test_images * epochs  # the means are whole numbers of so many
    return only_row(inference.comparisons(means, "relu", images))


def least_p(p_values: Iterable[float]) -> float:
    """The least of p-values, adjusted (Holm) for their number."""
    return min(holm(list(p_values)))


def fluid_rows(predictive: pd.DataFrame) -> pd.DataFrame:
    """Those of published.predict that are about FluidReLU: ReLU was calibrated to what was published of it."""
    rows: pd.DataFrame = predictive[predictive["activation"] == "fluid"]
    return rows


def by_epoch(study: str, epoch: int) -> dict[str, Any]:
    """FluidReLU's row of by_epoch.compare_by_epoch after an epoch."""
    table = evidence(study).by_epoch["fluid"]
    found: dict[str, Any] = table[table["epoch"] == epoch].to_dict("records")[0]
    return found


def least_adjusted_p(pairs: int, comparisons: int) -> float:
    """The smallest p-value that so many pairs can give, adjusted (Holm) for so many comparisons."""
    return comparisons * 2 * 0.5**pairs


def interval(comparison: dict[str, Any]) -> str:
    """The 95 % interval of a comparison, in words."""
    return f"{tables.difference(comparison['ci_low'])} to {tables.difference(comparison['ci_high'])}"


def mean(summary: dict[str, Any]) -> str:
    """Mean ± half of the interval, of a row of a summary."""
    return tables.plus_minus(tables.accuracy(summary["mean"], 5), summary)


def difference(comparison: dict[str, Any]) -> str:
    """Mean difference and its 95 % interval, of a row of comparisons."""
    return f"{tables.difference(comparison['mean_difference'])} ({interval(comparison)})"


VOCABULARY = (
    *(
        report,
        evidence,
        cells,
        count_runs,
        table,
        printed,
        remarks,
        row,
        compare,
        betas,
        rates,
        chosen_rate,
        tuned,
        learned,
        furthest,
    ),
    *(at_minus_one, published, lead, mean_at, rival, first_seeds, below, by_study, has),
    *(over_last_epochs, by_epoch, fluid_rows, least_adjusted_p, least_p, interval, tables.points, mean, difference),
)
"""The functions that templates call."""


def render(template: str) -> str:
    """A template of this folder, filled in."""
    environment = Environment(
        loader=FileSystemLoader(DOCS), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update({function.__name__: function for function in VOCABULARY})
    environment.globals.update(MAIN=MAIN, FASHION=FASHION, CIFAR10=CIFAR10, SWISH=SWISH, wording=wording, tables=tables)
    return environment.get_template(template).render().strip() + "\n"


def calibrate() -> pd.DataFrame:
    """calibration.calibration of the committed studies."""
    studies = [evidence(name) for name in STUDIES if name.startswith("calibration/")]
    return calibration({study.protocol.batch_size: study.run_table for study in studies}, PAPER)


def render_calibration() -> str:
    """The table of docs/paper.md, in Markdown."""
    return tables.markdown(*tables.calibration_cells(calibrate()))


def render_reference() -> str:
    """The reference of commands and options, as Typer writes it."""
    command = [sys.executable, "-m", "typer", "fluidrelu_cli.cli.app", "utils", "docs", "--name", "fluidrelu"]
    text = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return html.unescape(text).strip() + "\n"
