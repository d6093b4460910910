"""The figures of a report, one function each: its pictures, or none where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from fluidrelu_cli.errors import FluidReluError
from fluidrelu_cli.networks.curves import CURVES
from fluidrelu_cli.protocol import file_stem
from fluidrelu_cli.report import learning_plots, plots, tables
from fluidrelu_cli.report.document import CannotDrawError, Picture
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.learning_plots import SEEDS_SHOWN, Array, KernelFunctions

FEWEST_FOR_SETS = 6
"""Fewer runs have fewer than 20 sets of three, too few for a distribution."""


def draw_accuracies(evidence: Evidence) -> Iterator[Picture]:
    published = evidence.published if evidence.follows_published else None
    yield Picture(
        "accuracies",
        "One dot per seed. The interval is Student's, of the mean.",
        lambda: plots.figure_of(plots.accuracies(evidence.summary, evidence.finals, published)),
    )


def draw_differences(evidence: Evidence) -> Iterator[Picture]:
    if (evidence.comparisons["n"] > 0).any():
        yield Picture(
            "differences",
            "One dot per seed: both of its runs start from the same weights and see the same batches. The intervals are"
            " not adjusted for the number of comparisons; the verdict goes by the adjusted p-values.",
            lambda: plots.figure_of(plots.differences(evidence.finals, evidence.comparisons, evidence.order)),
        )


def draw_forest(evidence: Evidence) -> Iterator[Picture]:
    if not evidence.studies.empty:
        yield Picture(
            "forest",
            "One row per study. An interval that excludes 0 is no verdict by itself: p-values are adjusted.",
            lambda: plots.figure_of(plots.forest(evidence.studies)),
        )


def draw_best_of_three(evidence: Evidence) -> Iterator[Picture]:
    published = evidence.published if evidence.follows_published else None
    seeds = [evidence.count_seeds(activation) for activation in evidence.distributions]
    if seeds and min(seeds) >= FEWEST_FOR_SETS:
        yield Picture(
            "best-of-three",
            "What a table of three runs could have said: the best and the worst of all sets of three of our runs.",
            lambda: plots.best_of_three(evidence.distributions, published),
        )


def draw_learning_curves(evidence: Evidence) -> Iterator[Picture]:
    yield Picture(
        "learning-curves",
        "The first epoch's training loss is a mean over the whole epoch, from its first step on.",
        lambda: plots.figure_of(learning_plots.learning_curves(evidence.run_table, evidence.order)[0]),
    )


def draw_learned(evidence: Evidence) -> Iterator[Picture]:
    """What each activation that learns has learned, and the functions that its kernels became."""
    for activation in evidence.learners:
        name, stem = tables.label(activation), file_stem(activation)
        yield Picture(
            f"learned-{stem}",
            f"What the kernels of {name} learned, epoch by epoch.",
            partial(_draw_parameters, evidence, activation),
        )
        yield Picture(
            f"functions-{stem}",
            f"Each kernel's {name} after the last epoch.",
            partial(_draw_functions, evidence, activation),
        )


def draw_figure1(evidence: Evidence) -> Iterator[Picture]:
    if evidence.published is not None and "fluid" in set(evidence.finals["activation"]):
        yield Picture(
            "figure1",
            "The paper's Figure 1, drawn from the reconstructed formula.",
            lambda: plots.figure_of(plots.figure1()),
        )


FIGURES: tuple[Callable[[Evidence], Iterator[Picture]], ...] = (
    draw_accuracies,
    draw_differences,
    draw_forest,
    draw_best_of_three,
    draw_learning_curves,
    draw_learned,
    draw_figure1,
)
"""In the order in which they are seen."""


def _draw_parameters(evidence: Evidence, activation: str) -> Figure:
    parameters = _shown_parameters(evidence, activation)
    return learning_plots.learned_parameters(parameters, evidence.count_seeds(activation))


def _draw_functions(evidence: Evidence, activation: str) -> Figure:
    """Raises CannotDrawError: a user's own activation may not be what it was."""
    parameters = _shown_parameters(evidence, activation)
    functions = _curves(activation) if activation in CURVES else _module(evidence, activation)
    return learning_plots.learned_functions(parameters, evidence.count_seeds(activation), functions)


def _shown_parameters(evidence: Evidence, activation: str) -> pd.DataFrame:
    """Those of the seeds that are drawn; CannotDrawError if other seeds alone have learned something."""
    parameters = evidence.parameters(activation, SEEDS_SHOWN)
    if parameters.empty:
        raise CannotDrawError(f"the first {SEEDS_SHOWN} seeds learned nothing")
    return parameters


def _curves(activation: str) -> KernelFunctions:
    """A built-in activation's functions: without torch, which takes longer to import than a report."""

    def functions(parameters: Mapping[str, Array], v: Array) -> Array:
        [values] = parameters.values()
        return CURVES[activation](v[:, None], values)

    return functions


def _module(evidence: Evidence, activation: str) -> KernelFunctions:
    """Those of a class of torch.nn, or of a user's own that is trusted, in the source that was trained."""
    if not evidence.may_import(activation):
        raise CannotDrawError(
            "it needs its author's own code, which is imported with --trust, in Python with trust=True"
        )
    import torch

    from fluidrelu_cli.networks.named import resolve

    recorded = [run.provenance for run in evidence.runs if run.trial.activation == activation]
    try:
        resolved = resolve(activation)
    except FluidReluError as error:
        raise CannotDrawError(str(error).rstrip(".")) from error
    if resolved.code is not None and not any(
        resolved.code.is_known_as(each.activation_sha256, each.activation_code_sha256) for each in recorded
    ):
        raise CannotDrawError("its source is not the one that was trained")

    def functions(parameters: Mapping[str, Array], v: Array) -> Array:
        kernels = max(map(len, parameters.values()))
        module = resolved.make(kernels).eval()
        if set(dict(module.named_parameters())) != set(parameters):
            raise CannotDrawError(f"{activation} does not have what was recorded: {', '.join(parameters)}")
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                parameter.copy_(torch.tensor(parameters[name].tolist()).view_as(parameter))
            inputs = torch.tensor(v, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, kernels, 1, 1)
            outputs: Array = module(inputs).flatten(1).double().numpy()
        return outputs

    return functions
