"""The options that commands share, each declared once; those of a protocol are made from its fields."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer

from fluidrelu_cli.cli.signatures import list_parameters, replace_signature
from fluidrelu_cli.cli.terminal import WHERE_IT_RUNS, WHERE_RESULTS_GO
from fluidrelu_cli.protocol import SETTINGS, WHAT, Device, Protocol, Setting

DEFAULT_RESULTS = Path("results")

DeviceOption = Annotated[
    Device,
    typer.Option(help="Where to train; auto: cuda if there is one, else cpu.", rich_help_panel=WHERE_IT_RUNS),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        help="Where data sets are kept (left out: the user's cache).",
        show_default=False,
        rich_help_panel=WHERE_IT_RUNS,
    ),
]
OfflineOption = Annotated[
    bool,
    typer.Option(
        "--offline", help="Never download: fail if the data set is not here yet.", rich_help_panel=WHERE_IT_RUNS
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Worker processes (left out: one per core, or one for a GPU).",
        show_default=False,
        rich_help_panel=WHERE_IT_RUNS,
    ),
]
ResultsOption = Annotated[Path, typer.Option(help="The folder of all studies.", rich_help_panel=WHERE_RESULTS_GO)]
StudyOption = Annotated[
    str, typer.Option(help="The study: a folder of results with one protocol.", rich_help_panel=WHERE_RESULTS_GO)
]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Import code that only the study's files name: activations or a network of its author's own. Importing it"
        " runs it.",
        rich_help_panel=WHERE_IT_RUNS,
    ),
]
MixOption = Annotated[
    bool,
    typer.Option(
        "--mix",
        help="Go on although the code of an activation or of the network, or a factor, was changed since earlier runs.",
        rich_help_panel=WHAT,
    ),
]
BaselineOption = Annotated[str, typer.Option(help="The activation that the others are compared with.")]


def with_protocol(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each field of a protocol; its ``requested`` gets the fields that the user set."""

    @functools.wraps(function)
    def command(**arguments: Any) -> None:
        requested = {name: arguments.pop(name) for name in SETTINGS}
        function(**arguments, requested={name: value for name, value in requested.items() if value is not None})

    hints = get_type_hints(Protocol)
    parameters: list[inspect.Parameter] = []
    for parameter in list_parameters(function):
        if parameter.name == "requested":
            parameters += [_make_option(name, known, hints[name]) for name, known in SETTINGS.items()]
        else:
            parameters.append(parameter)
    replace_signature(command, parameters)
    return command


def _make_option(name: str, known: Setting, kind: Any) -> inspect.Parameter:
    default = getattr(Protocol, name)
    left_out = "" if default is None else f" (left out: the study's, or {default})"
    option = typer.Option(help=f"{known.help}{left_out}.", show_default=False, rich_help_panel=known.part)
    annotation = Annotated[(Literal[known.choices] if known.choices else kind) | None, option]  # type: ignore[valid-type,unused-ignore]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
