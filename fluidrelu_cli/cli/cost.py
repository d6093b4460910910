"""`cost`: what activations cost in time, memory and parameters, on a study's network and this machine."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from fluidrelu_cli.cli.completion import complete_activations, complete_study
from fluidrelu_cli.cli.options import (
    DEFAULT_RESULTS,
    STUDY_OR_FILE,
    DataDirOption,
    DeviceOption,
    JsonOption,
    ResultsOption,
    TrustOption,
    pick_format,
    with_protocol,
)
from fluidrelu_cli.cli.pools import report_command
from fluidrelu_cli.cli.terminal import count, open_stderr, say, show, show_json, show_text, stop_if_interrupted
from fluidrelu_cli.cost import FEWEST_ROUNDS, Cost
from fluidrelu_cli.declared import find_question, open_declared
from fluidrelu_cli.errors import FluidReluError, UsageError, one_line
from fluidrelu_cli.protocol import WHAT, Protocol, option
from fluidrelu_cli.study import DEFAULT_ACTIVATIONS, Study, find_folder, find_study

ROUNDS = 40
"""They take some seconds per activation on the paper's network."""


@with_protocol
def cost(
    *,
    named: Annotated[
        str | None,
        typer.Argument(
            metavar="STUDY|FILE",
            help=f"Whose activations and network: {STUDY_OR_FILE}. Its folder keeps what is measured, as cost.json."
            " Left out: those of the options.",
            autocompletion=complete_study,
            show_default=False,
        ),
    ] = None,
    act: Annotated[
        list[str] | None,
        typer.Option(
            help="Without a study: an activation; repeat the option for several (left out: relu and fluid)."
            " `fluidrelu acts` lists them.",
            autocompletion=complete_activations,
            show_default=False,
            rich_help_panel=WHAT,
        ),
    ] = None,
    rounds: Annotated[
        int,
        typer.Option(
            min=FEWEST_ROUNDS,
            max=100_000,
            help="How often each activation is timed, in turn with the others. More rounds narrow the intervals.",
        ),
    ] = ROUNDS,
    output: Annotated[
        Literal["table", "markdown", "csv", "json"] | None,
        typer.Option("--format", help="What is printed (left out: table).", show_default=False),
    ] = None,
    requested: dict[str, Any],
    device: DeviceOption = "auto",
    data_dir: DataDirOption = None,
    trust: TrustOption = False,
    results: ResultsOption = DEFAULT_RESULTS,
    as_json: JsonOption = False,
) -> None:
    """Measure what each activation costs relative to ReLU: time, memory and parameters.

    Timed are a training step and its two passes, on one thread. A report shows what a study's activations cost.

    All take turns. ReLU takes two in each round: what differs between these is noise.

    Nothing is downloaded: images are random.
    """
    from fluidrelu_cli.files import csv_text
    from fluidrelu_cli.report import tables
    from fluidrelu_cli.report.cost import describe_cost

    shown = pick_format(output, as_json)
    if named is not None and (act or requested):
        given = "--act" if act else option(next(iter(requested)))
        raise UsageError(f"{named} says itself what is measured: leave {given} out.")
    asked = _Asked.by_options(act, requested) if named is None else _find(results, named, trust)
    made = _measure(asked, rounds, device, data_dir)
    if asked.study is not None:
        made.write(asked.study.cost_path)
    section = describe_cost(made)
    if shown == "json":
        show_json({"cost": section.table.to_dict("records"), **made.to_dict()})
    elif shown != "table":
        show_text(csv_text(section.table) if shown == "csv" else tables.markdown(*section.cells))
    else:
        show(tables.rich_table(section.title, *section.cells))
        for note in section.footnotes:
            show(note)
    if asked.study is not None and named is not None:
        say(f"Written: {asked.study.cost_path}, which `{report_command(results, named)}` shows.")


@dataclass(frozen=True)
class _Asked:
    """What is to be measured."""

    activations: Sequence[str]
    protocol: Protocol
    study: Study | None = None
    """Where it is kept."""

    @classmethod
    def by_options(cls, act: Sequence[str] | None, requested: dict[str, Any]) -> _Asked:
        from fluidrelu_cli.data.catalogue import canonical
        from fluidrelu_cli.networks.named import expand_casts, spell_model

        spelled = {"dataset": canonical, "model": spell_model}
        fields: dict[str, Any] = {
            name: spelled[name](value) if name in spelled else value for name, value in requested.items()
        }
        return cls(expand_casts(act or DEFAULT_ACTIVATIONS), Protocol(**fields))


def _find(results: Path, typed: str, trust: bool) -> _Asked:
    """What a study has, or its file declares.

    Raises UsageError if the file varies something, or code of somebody's own is named by the study alone.
    """
    from fluidrelu_cli.networks.own import require_trust

    declaration = None if find_folder(results, typed) is not None else find_question(results, typed)
    if declaration is None:
        study = find_study(results, typed)
        trained = [run.trial.activation for run in study.read().runs]
        names = list(dict.fromkeys((*study.asked, *trained)))
        asked = _Asked(names, study.protocol, study)
    elif declaration.is_grid:
        example = shlex.quote(declaration.study_name(declaration.cells[0]))
        raise UsageError(f"{typed} varies its protocol: name one of its studies, such as {example}.")
    else:
        study = open_declared(declaration.home or results, declaration, declaration.name, declaration.protocol)
        asked = _Asked(declaration.activations, declaration.protocol, study)
    own_file = declaration is not None and declaration.home is None  # not the copy in a folder that is called like one
    for name in (*asked.activations, asked.protocol.model):
        require_trust(name, study.path, trust or own_file)
    return asked


def _measure(asked: _Asked, rounds: int, device: str, data_dir: Path | None) -> Cost:
    from fluidrelu_cli.cli.progress import TurnsProgress
    from fluidrelu_cli.data.catalogue import CATALOGUE, choose_data_dir
    from fluidrelu_cli.data.load import load
    from fluidrelu_cli.networks.named import resolve
    from fluidrelu_cli.training.cost import list_functions, measure_cost

    functions = list_functions([resolve(name) for name in asked.activations])
    protocol = asked.protocol
    known = CATALOGUE.get(protocol.dataset)
    if known is not None:
        shape, classes, images = known.shape, known.classes, known.images[0]
    else:
        dataset = load(protocol.dataset, choose_data_dir(data_dir))
        shape, classes, images = dataset.image_shape, dataset.classes, len(dataset.train_labels)
    doing = f"Measuring {count(len(functions), 'activation')} in {rounds} rounds"

    def on_turn() -> None:
        stop_if_interrupted()
        progress.advance()

    progress = TurnsProgress(open_stderr(), doing, (rounds + 1) * (len(functions) + 1))
    with progress, contextlib.redirect_stdout(sys.stderr):  # stdout is for results; a user's own activation may print
        try:
            images = min(images, protocol.train_images or images)
            return measure_cost(functions, protocol, shape, classes, images, device, rounds=rounds, on_turn=on_turn)
        except (FluidReluError, MemoryError):
            raise
        except Exception as error:  # most likely the user's own activation
            raise FluidReluError(f"A training step failed: {one_line(error)}; --debug shows where.") from error
