"""fluidrelu: is this activation function really better, or were three seeds lucky?"""

from __future__ import annotations

TYPE_CHECKING = False  # typing takes a while to import, in which Ctrl-C would give a traceback
if TYPE_CHECKING:
    from typing import Any

    from fluidrelu_cli.api import compare, read_study
    from fluidrelu_cli.networks.activations import FluidReLU, ParametricActivation, fluid

__version__ = "0.1.0"

__all__ = ["FluidReLU", "ParametricActivation", "__version__", "compare", "fluid", "read_study"]

_HOMES = {
    "compare": "fluidrelu_cli.api",
    "read_study": "fluidrelu_cli.api",
    "FluidReLU": "fluidrelu_cli.networks.activations",
    "ParametricActivation": "fluidrelu_cli.networks.activations",
    "fluid": "fluidrelu_cli.networks.activations",
}
"""Where the public names are at home: imported when they are first asked for, because torch takes seconds."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
