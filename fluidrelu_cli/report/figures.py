"""The figures of a report, one function each: its pictures, or none where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fluidrelu_cli.analysis import inference
from fluidrelu_cli.analysis.tuning import list_chosen
from fluidrelu_cli.errors import FluidReluError
from fluidrelu_cli.networks.curves import CURVES
from fluidrelu_cli.networks.named import ACTIVATIONS
from fluidrelu_cli.networks.probing import Habit, describe_habits
from fluidrelu_cli.protocol import file_stem, split_arm
from fluidrelu_cli.report import learning_plots, plots, tables, wording
from fluidrelu_cli.report.document import CannotDrawError, Picture, explain
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.learning_plots import SEEDS_SHOWN, Array, KernelFunctions, Traced, trace
from fluidrelu_cli.report.tuning import draw_tuning

FEWEST_FOR_SETS = 6
"""Fewer runs have fewer than 20 sets of three, too few for a distribution."""


def draw_accuracies(evidence: Evidence) -> Iterator[Picture]:
    published, baseline = evidence.published if evidence.follows_published else None, tables.label(evidence.baseline)
    yield Picture(
        "accuracies",
        f"One dot per seed. The interval is Student's, of the mean. The dotted line is {baseline}'s mean.",
        lambda: plots.figure_of(
            plots.accuracies(
                evidence.summary,
                evidence.finals,
                _colours(evidence),
                published,
                baseline=evidence.baseline,
                compared=evidence.pair,
            )
        ),
    )


def draw_differences(evidence: Evidence) -> Iterator[Picture]:
    if (evidence.comparisons["n"] > 0).any():
        by_looks = "the verdict is that of the confidence sequence"
        verdict = by_looks if evidence.sequential else "the verdicts on all but a primary one are"
        yield Picture(
            "differences",
            "One dot per seed: both of its runs start from the same weights and see the same batches. The intervals are"
            f" not adjusted for the number of comparisons; {verdict}.",
            lambda: plots.figure_of(plots.differences(evidence.finals, evidence.comparisons, _colours(evidence))),
        )


def draw_confidence_sequence(evidence: Evidence) -> Iterator[Picture]:
    found = evidence.sequential
    if found is not None and not found.looks.empty:
        yield Picture(
            "confidence-sequence",
            "The outer band holds the true difference at every number of pairs at once with probability 95 %, so it may"
            " be looked at after each pair. It decides between better and worse, the inner one (90 %) on equal. Bands"
            " only shrink, because what was once excluded stays so.",
            lambda: plots.figure_of(
                plots.confidence_sequence(
                    found.looks, found.margin, found.activation, found.baseline, _colours(evidence)[found.activation]
                )
            ),
        )


def draw_forest(evidence: Evidence) -> Iterator[Picture]:
    if not evidence.studies.empty:
        yield Picture(
            "forest",
            "One row per study. An interval that excludes 0 is no verdict by itself: p-values are adjusted.",
            lambda: plots.figure_of(plots.forest(evidence.studies)),
        )


def draw_tuning_curve(evidence: Evidence) -> Iterator[Picture]:
    tuning = evidence.declaration.tuning if evidence.declaration is not None else None
    if evidence.tuned is not None and tuning is not None:
        colours = {name: _colours(evidence)[arm] for name, arm in list_chosen(evidence.tuned.table).items()}
        yield from filter(None, [draw_tuning(evidence.tuned.table, evidence.tuned.finals, tuning, colours)])


def draw_best_of_three(evidence: Evidence) -> Iterator[Picture]:
    published = evidence.published if evidence.follows_published else None
    seeds = [evidence.count_seeds(activation) for activation in evidence.distributions]
    if evidence.published is not None and seeds and min(seeds) >= FEWEST_FOR_SETS:
        runs = evidence.published.runs
        of = tables.spell_counts(runs.values())
        yield Picture(
            "best-of-three",
            f"What a table of {of} runs could have said: the best and the worst of all sets of {of} of our runs.",
            lambda: plots.best_of_three(evidence.distributions, _colours(evidence), published, runs),
        )


def draw_learning_curves(evidence: Evidence) -> Iterator[Picture]:
    def draw() -> Figure:
        runs, colours = evidence.run_table, _colours(evidence)
        if runs["activation"].nunique() > learning_plots.TOGETHER:
            return learning_plots.many_learning_curves(runs, colours, evidence.baseline)
        return plots.figure_of(learning_plots.learning_curves(runs, colours, evidence.baseline)[0])

    yield Picture(
        "learning-curves",
        "The first epoch's training loss is a mean over the whole epoch, from its first step on.",
        draw,
    )


def draw_learning_differences(evidence: Evidence) -> Iterator[Picture]:
    if evidence.by_epoch:
        yield Picture(
            "learning-differences",
            "Each epoch's interval is as if that epoch alone had been looked at. The lighter band around it holds the"
            " true differences of all epochs at once with probability 95 %. Both need 6 pairs. A run's result is its"
            " last epoch's accuracy.",
            lambda: learning_plots.learning_differences(evidence.by_epoch, _colours(evidence), evidence.baseline),
        )


def draw_growth(evidence: Evidence) -> Iterator[Picture]:
    if evidence.sequential is None and evidence.growing["ci_low"].notna().any():
        first, baseline = evidence.pair
        yield Picture(
            "growth",
            "Each interval is that of a study which was planned with so many pairs. Stopping at one that excludes 0"
            " would find a difference where there is none far too often.",
            lambda: plots.figure_of(plots.growth(evidence.growing, first, baseline, _colours(evidence)[first])),
        )


def draw_functions(evidence: Evidence) -> Iterator[Picture]:
    functions = _Functions(evidence)
    yield Picture("functions", functions.caption, functions.draw, functions.explain_left_out)


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
    draw_confidence_sequence,
    draw_tuning_curve,
    draw_forest,
    draw_best_of_three,
    draw_learning_curves,
    draw_learning_differences,
    draw_growth,
    draw_functions,
    draw_learned,
    draw_figure1,
)
"""In the order in which they are seen."""


def _colours(evidence: Evidence) -> dict[str, str]:
    """Each activation's colour, whatever the baseline is, in the order in which they are shown."""
    colours = plots.pick_colours(inference.arrange(evidence.order, list(evidence.study.asked)))
    return {name: colours[name] for name in evidence.order}


def _draw_parameters(evidence: Evidence, activation: str) -> Figure:
    parameters = _shown_parameters(evidence, activation)
    return learning_plots.learned_parameters(parameters, evidence.count_seeds(activation))


def _draw_functions(evidence: Evidence, activation: str) -> Figure:
    """Raises CannotDrawError: a user's own activation may not be what it was."""
    parameters = _shown_parameters(evidence, activation)
    functions, colour = _find_functions(evidence, activation), _colours(evidence)[activation]
    return learning_plots.learned_functions(parameters, evidence.count_seeds(activation), functions, colour)


class _Functions:
    """The functions of a study's activations, as far as they can be drawn."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._trained = [name for name in evidence.order if evidence.count_seeds(name)]

    @property
    def caption(self) -> str:
        """How to read the figure."""
        formulas = " ".join(_find_formulas(self._trained).values())
        caption = "Above, each function; below, its derivative."
        if "|" in formulas:
            caption += " v | g(v) is v for v ≥ 0 and g(v) for v < 0."
        if "γ" in formulas:
            caption += " γ is v / (2 exp(a)), and a is learned."
        if any(self._evidence.count_seeds(name) > SEEDS_SHOWN for name in self._evidence.learners):
            caption += f" What was learned is that of the first {SEEDS_SHOWN} seeds, after the last epoch."
        return caption

    @cached_property
    def _traced(self) -> dict[str, tuple[Traced, Traced | None] | str]:
        return {name: self._try_to_trace(name) for name in self._trained}

    def _try_to_trace(self, activation: str) -> tuple[Traced, Traced | None] | str:
        """Its functions at the end and, if it learns, at the start; or why they cannot be drawn."""
        try:
            return self._trace(activation)
        except (Exception, SystemExit) as error:  # whatever the user's own code does
            return explain(error)

    def _trace(self, activation: str) -> tuple[Traced, Traced | None]:
        functions = _find_functions(self._evidence, activation)
        parameters = self._evidence.parameters(activation, SEEDS_SHOWN)
        if parameters.empty:
            return trace(partial(functions, {})), None

        def trace_epoch(epoch: int) -> Traced:
            layers = [
                trace(partial(functions, {str(name): group["value"].to_numpy() for name, group in mine}))
                for mine in (
                    layer.sort_values("kernel").groupby("parameter")
                    for _, layer in parameters[parameters["epoch"] == epoch].groupby(["seed", "layer"])
                )
            ]
            return Traced(np.hstack([each.values for each in layers]), np.hstack([each.slopes for each in layers]))

        return trace_epoch(parameters["epoch"].max()), trace_epoch(0)

    def draw(self) -> Figure:
        """Raises CannotDrawError if there is none to draw."""
        drawn = {name: traced for name, traced in self._traced.items() if not isinstance(traced, str)}
        if not drawn:
            raise CannotDrawError("; ".join(dict.fromkeys(map(str, self._traced.values()))))
        titles = {name: plots.name_baseline(name, self._evidence.baseline) for name in drawn}
        formulas = {name: formula.replace("-", "−") for name, formula in _find_formulas(drawn).items()}
        return learning_plots.activation_functions(
            {name: learned for name, (learned, _) in drawn.items()},
            {name: start for name, (_, start) in drawn.items() if start is not None},
            {name: f"{title}\n{formulas[name]}" if name in formulas else title for name, title in titles.items()},
            _colours(self._evidence),
        )

    def explain_left_out(self) -> list[str]:
        """A sentence on each activation that cannot be drawn, if others can."""
        reasons = {name: reason for name, reason in self._traced.items() if isinstance(reason, str)}
        if len(reasons) == len(self._traced):
            return []
        return [wording.not_in_figure("functions", name, reason) for name, reason in reasons.items()]


def _find_formulas(activations: Iterable[str]) -> dict[str, str]:
    """Those of the activations that are built in."""
    functions = {name: split_arm(name)[0] for name in activations}
    return {name: ACTIVATIONS[function].formula for name, function in functions.items() if function in ACTIVATIONS}


def _shown_parameters(evidence: Evidence, activation: str) -> pd.DataFrame:
    """Those of the seeds that are drawn; CannotDrawError if other seeds alone have learned something."""
    parameters = evidence.parameters(activation, SEEDS_SHOWN)
    if parameters.empty:
        raise CannotDrawError(f"the first {SEEDS_SHOWN} seeds learned nothing")
    return parameters


def _find_functions(evidence: Evidence, activation: str) -> KernelFunctions:
    """A built-in activation's without torch, which takes longer to import than a report; CannotDrawError if not."""
    function, _ = split_arm(activation)
    return _curves(function) if function in CURVES else _module(evidence, activation)


def _curves(activation: str) -> KernelFunctions:
    def functions(parameters: Mapping[str, Array], v: Array) -> Array:
        return CURVES[activation](v[:, None], *(parameters[name] for name in sorted(parameters)))

    return functions


NO_FUNCTION: Mapping[Habit, str] = {
    "changes": "it gives different values for the same input while it trains",
    "looks at others": "it does not act on each unit alone",
}
"""Why an activation with such a habit has no curve."""


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
    habits = describe_habits(resolved)
    for habit, reason in NO_FUNCTION.items():
        if habit in habits:
            raise CannotDrawError(reason)

    def functions(parameters: Mapping[str, Array], v: Array) -> Array:
        kernels = max(map(len, parameters.values()), default=1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the same figure is the same file
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
