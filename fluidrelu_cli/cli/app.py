"""The command line: its commands, and those that only list something. torch is imported where it is needed."""

from __future__ import annotations

from typing import Annotated

import typer

from fluidrelu_cli import __version__
from fluidrelu_cli.cli import cost, report, run, status, train
from fluidrelu_cli.cli.data import data
from fluidrelu_cli.cli.options import JsonOption
from fluidrelu_cli.cli.terminal import App, show, show_json

app = App(
    help="Is this activation function really better, or were three seeds lucky?",
    epilog="Example: fluidrelu repeat -n 3 && fluidrelu report",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fluidrelu {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


app.command(epilog="Example: fluidrelu train --act fluid --seed 1")(train.train)
app.command(epilog="Example: fluidrelu repeat -n 10 --act relu --act fluid")(train.repeat)
app.command(epilog="Example: fluidrelu run studies/mine.toml")(run.run)
app.command(epilog="Example: fluidrelu new studies/mine.toml")(run.new)
app.command(epilog="Example: fluidrelu status studies/mine.toml")(status.status)
app.command(epilog="Example: fluidrelu report mine --against paper")(report.report)
app.command(epilog="Example: fluidrelu plan paper --effect 0.0005")(report.plan)
app.command(epilog="Example: fluidrelu cost studies/mine.toml")(cost.cost)
app.command(epilog="Example: fluidrelu verify paper --act relu")(train.verify)
app.command(epilog="Example: fluidrelu calibrate studies/calibration.toml")(report.calibrate)
app.command(epilog="Example: fluidrelu restore paper")(report.restore)


@app.command(epilog="Example: fluidrelu acts")
def acts(as_json: JsonOption = False) -> None:
    """List the built-in activations, with formula and source, and the casts: names for several of them."""
    from fluidrelu_cli.networks.named import ACTIVATIONS, CASTS
    from fluidrelu_cli.report.tables import label, rich_table

    if as_json:
        show_json(
            [
                {
                    "name": one.name,
                    "title": label(one.name),
                    "formula": one.spelled_formula,
                    "origin": one.source,
                    "casts": [cast for cast, members in CASTS.items() if one.name in members],
                }
                for one in ACTIVATIONS.values()
            ]
        )
        return
    rows = [[activation.name, activation.formula, activation.source] for activation in ACTIVATIONS.values()]
    show(rich_table("Activations", ["name", "formula", "source"], rows, left=range(3)))
    show('"v | g" means v for v ≥ 0 and g for v < 0; γ = v / (2 exp(a)), a learned per kernel from 0.')
    show(
        "Case does not matter: gelu is GELU. Any class of torch.nn works too (--act Softsign), and any that can be"
        " imported (--act mymodule:MyAct)."
    )
    casts = [[name, ", ".join(members)] for name, members in CASTS.items()]
    show(rich_table("Casts, as in: fluidrelu repeat --act common", ["name", "activations"], casts, left=range(2)))


@app.command(epilog="Example: fluidrelu models")
def models(as_json: JsonOption = False) -> None:
    """List the built-in networks, with their layers, source and options."""
    from fluidrelu_cli.networks.named import ARCHITECTURES, MOST_UNITS
    from fluidrelu_cli.report.tables import label, rich_table

    if as_json:
        show_json(
            [
                {
                    "name": one.name,
                    "title": label(one.name),
                    "formula": one.layers,
                    "origin": one.source,
                    "least_side": one.smallest,
                    "options": [
                        {
                            "name": option.name,
                            "default": option.default,
                            "values": list(option.layers) or None,  # None: a whole number from 0
                            "help": option.help,
                            "least_side": dict(option.smallest),
                        }
                        for option in one.options
                    ],
                }
                for one in ARCHITECTURES.values()
            ]
        )
        return
    rows = [[model.name, model.layers, str(model.smallest), model.source] for model in ARCHITECTURES.values()]
    show(rich_table("Networks", ["name", "layers", "least\nside", "source"], rows, left=(0, 1, 3)))
    owners: dict[tuple[tuple[str, str, str], ...], list[str]] = {}
    for model in ARCHITECTURES.values():
        options = tuple(
            (each.name, ", ".join(each.layers) or f"0 to {MOST_UNITS:,}", each.help) for each in model.options
        )
        owners.setdefault(options, []).append(model.name)
    for options, names in owners.items():
        if options:
            head = ["option", "values, the usual one first", "meaning"]
            show(rich_table(f"Options of {' and '.join(names)}", head, options, left=range(3)))
    show(
        "Options follow a network's name: --model paper:pooling=average,hidden=128. Each network adapts to channels,"
        " size (from the least side on) and classes of the images. Your own works too:"
        " --model mymodule:Net is called with (activation, shape, classes) and makes a torch.nn.Module."
    )


app.add_typer(data, name="data")
