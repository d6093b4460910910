"""What a shell completes a value with: names that are known, and what lies in the folders at hand. Nothing is imported.

Each function is given what was typed so far, as Typer asks for it; it needs no torch, so that a shell need not wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import typer

from fluidrelu_cli.study import list_studies

TORCH_ACTIVATIONS = (
    *("Hardshrink", "Hardsigmoid", "Hardtanh", "LogSigmoid", "LogSoftmax", "RReLU", "Softmax", "Softmax2d", "Softmin"),
    *("Softshrink", "Softsign", "Tanhshrink"),
)
"""The classes of torch.nn that can serve as an activation and are not built in here."""


def complete_study(context: typer.Context, incomplete: str) -> Iterable[str]:
    """The studies in the folder that the line names with --results."""
    return _begin(incomplete, list_studies(Path(context.params["results"])))


def complete_activation(incomplete: str) -> Iterable[str]:
    """The built-in activations and those of torch.nn, in lower case too, and the classes of the current folder's
    modules; after an ``@``, the settings that one may have of its own.
    """
    from fluidrelu_cli.networks.named import ACTIVATIONS
    from fluidrelu_cli.networks.own import list_own
    from fluidrelu_cli.protocol import OF_ARM

    activation, at, _ = incomplete.rpartition("@")
    if at:
        return _begin(incomplete, (f"{activation}@{name}=" for name in OF_ARM))
    known = [*ACTIVATIONS, *TORCH_ACTIVATIONS]
    spelled = (name if name.startswith(incomplete) else name.lower() for name in known)
    return _begin(incomplete, (*spelled, *list_own(incomplete, "activation")))


def complete_activations(incomplete: str) -> Iterable[str]:
    """What one activation is completed with, and the casts."""
    from fluidrelu_cli.networks.named import CASTS

    return (*complete_activation(incomplete), *_begin(incomplete, CASTS))


def complete_model(incomplete: str) -> Iterable[str]:
    """The built-in networks, and the classes and functions of the current folder's modules; after a ``:``, the options
    that a network has.
    """
    from fluidrelu_cli.networks.named import ARCHITECTURES
    from fluidrelu_cli.networks.own import list_own

    network, colon, typed = incomplete.partition(":")
    before = incomplete.removesuffix(typed.rpartition(",")[2])
    options = ARCHITECTURES[network].options if colon and network in ARCHITECTURES else ()
    chosen = [f"{before}{each.name}={value}" for each in options for value in each.layers or ("",)]
    return _begin(incomplete, (*ARCHITECTURES, *chosen, *list_own(incomplete, "network")))


def complete_dataset(incomplete: str) -> Iterable[str]:
    """The named data sets, and the npz files of the current folder."""
    from fluidrelu_cli.data.catalogue import CATALOGUE

    return _begin(incomplete, (*CATALOGUE, *sorted(path.name for path in Path().glob("*.npz"))))


def complete_named_dataset(incomplete: str) -> Iterable[str]:
    """The named data sets."""
    from fluidrelu_cli.data.catalogue import CATALOGUE

    return _begin(incomplete, CATALOGUE)


def _begin(incomplete: str, names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if name.startswith(incomplete))
