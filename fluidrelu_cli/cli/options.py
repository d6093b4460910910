"""The options that commands share, each declared once; those of a protocol are made from its fields."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer

from fluidrelu_cli.cli.completion import (
    complete_dataset,
    complete_model,
    complete_study,
)
from fluidrelu_cli.cli.signatures import list_parameters, replace_signature
from fluidrelu_cli.cli.terminal import WHERE_IT_RUNS, WHERE_RESULTS_GO
from fluidrelu_cli.data.catalogue import CATALOGUE
from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.networks.named import ARCHITECTURES
from fluidrelu_cli.protocol import SETTINGS, WHAT, Device, Protocol, Setting
from fluidrelu_cli.study import DEFAULT_STUDY

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
BatchSeedsOption = Annotated[
    str,
    typer.Option(
        help="Seeds that a worker trains together: a number, or auto (1 on a CPU, 64 on a GPU).",
        rich_help_panel=WHERE_IT_RUNS,
    ),
]
DaskOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Train on the Dask cluster whose scheduler has this address (tcp://host:8786).",
        show_default=False,
        rich_help_panel=WHERE_IT_RUNS,
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", help="Train nothing: say what there is to do, and how long it takes here."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead, for scripts.")]
ResultsOption = Annotated[Path, typer.Option(help="The folder of all studies.", rich_help_panel=WHERE_RESULTS_GO)]
SaveWeightsOption = Annotated[
    bool,
    typer.Option(
        "--save-weights",
        help="Keep each network as it is after the last epoch: runs/NAME.safetensors. What is finished without is not"
        " trained again.",
        rich_help_panel=WHERE_RESULTS_GO,
    ),
]
ANY_STUDY = "a name, or the path of its folder"
"""How a study is named, wherever one is (study.find_folder)."""

StudyOption = Annotated[
    str,
    typer.Option(help=f"The study: {ANY_STUDY}.", autocompletion=complete_study, rich_help_panel=WHERE_RESULTS_GO),
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


def pick_format(output: str | None, as_json: bool) -> str:
    """What --format names, or table; --json is --format json, and UsageError beside another one."""
    if as_json and output not in (None, "json"):
        raise UsageError(f"--json means --format json: leave out --json or --format {output}.")
    return "json" if as_json else output or "table"


STUDY_OR_FILE = "the study: a name, the path of its folder, or a study file (studies/mine.toml)"


def with_study_argument(function: Callable[..., None]) -> Callable[..., None]:
    """Let a command take its study as an argument, too: ``report first`` for ``report --study first``."""

    @functools.wraps(function)
    def command(*arguments: Any, named: str | None = None, **options: Any) -> None:
        if named is not None:
            if options["study"] not in (DEFAULT_STUDY, named):
                raise UsageError(f"The study is named twice, {named} and --study {options['study']}: leave one out.")
            options["study"] = named
        function(*arguments, **options)

    argument = typer.Argument(
        metavar="STUDY",
        help=f"The study, as for --study: {ANY_STUDY}, or a study file.",
        show_default=False,
        autocompletion=complete_study,
    )
    kind = inspect.Parameter.KEYWORD_ONLY
    named = inspect.Parameter("named", kind, default=None, annotation=Annotated[str | None, argument])
    replace_signature(command, [named, *list_parameters(function)])
    return command


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


_NAMES: Mapping[str, tuple[Iterable[str], Callable[[str], Iterable[str]]]] = {
    "dataset": (CATALOGUE, complete_dataset),
    "model": (ARCHITECTURES, complete_model),
}
"""The names that a field's value may have, and what completes it."""


def _make_option(name: str, known: Setting, kind: Any) -> inspect.Parameter:
    default = getattr(Protocol, name)
    left_out = "" if default is None else f" (left out: the study's, or {default})"
    names, complete = _NAMES.get(name, ((), None))
    built_in = f"; built in: {', '.join(names)}" if names else ""
    option = typer.Option(
        help=f"{known.help}{built_in}{left_out}.",
        show_default=False,
        rich_help_panel=known.part,
        autocompletion=complete,
    )
    annotation = Annotated[(Literal[known.choices] if known.choices else kind) | None, option]  # type: ignore[valid-type,unused-ignore]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
