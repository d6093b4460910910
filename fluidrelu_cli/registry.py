"""The activations that can be named: built-in ones, classes of torch.nn, and a user's own."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fluidrelu_cli.activations import FluidCoth, FluidExp, FluidReLU
from fluidrelu_cli.errors import UsageError, one_line


@dataclass(frozen=True)
class Activation:
    """A named activation: what `fluidrelu acts` shows, and how to make one for a layer of C channels."""

    name: str
    formula: str
    source: str
    make: Callable[[int], nn.Module]
    commutes_with_max_pool: bool = False
    """Never decreasing in v, for every value its parameters can take: pool(f(v)) = f(pool(v)), values
    and gradients, so that f may run on the pooled quarter of the values. (PReLU's slope can become negative.)"""
    sha256: str | None = None
    """The digest of the file that a user's own activation stands in."""


_BUILT_IN = (
    Activation("relu", "max(0, v)", "the paper's baseline", lambda _channels: nn.ReLU(), True),
    Activation("fluid", "v | v / (1 - γ)", "the paper, eq. (4), as reconstructed here", FluidReLU, True),
    Activation("prelu", "v | a v, a learned from 0.25", "eq. (1); He et al. 2015", nn.PReLU),
    Activation("elu", "v | exp(v) - 1", "Clevert et al. 2016", lambda _channels: nn.ELU(), True),
    Activation("leaky-relu", "v | 0.01 v", "Maas et al. 2013", lambda _channels: nn.LeakyReLU(), True),
    Activation("sigmoid", "1 / (1 + exp(-v))", "classic", lambda _channels: nn.Sigmoid(), True),
    Activation("tanh", "tanh(v)", "classic", lambda _channels: nn.Tanh(), True),
    Activation("fluid-exp", "v | v exp(γ)", "rival reconstruction", FluidExp),
    Activation("fluid-coth", "v | v (1 + coth γ - 1/γ)", "rival reconstruction", FluidCoth, True),
)

ACTIVATIONS = {activation.name: activation for activation in _BUILT_IN}
"""The built-in activations by name. In a formula "v | g(v)" means v for v >= 0 and g(v) for v < 0, and
γ = v / (2 exp(a)) with a learned from 0."""


def resolve(name: str) -> Activation:
    """The activation called ``name``: a built-in one (in any case), a class of `torch.nn`, or `module:Class`.

    A class whose constructor has a ``num_parameters`` gets the number of channels, as PReLU's; any other is
    called without arguments. Packages in the current folder can be imported.

    Raises:
        UsageError: if there is no such activation, or it does not turn a tensor into one of the same shape.
    """
    built_in = ACTIVATIONS.get(name.lower())
    if built_in is not None:
        return built_in
    own = ":" in name
    constructor = _imported(name) if own else getattr(nn, name, None)
    if not callable(constructor):
        raise UsageError(f"There is no activation '{name}'.{_suggestion(name)} `fluidrelu acts` lists them.")
    source = "your own" if own else "torch.nn"
    activation = Activation(name, name, source, _maker(constructor), sha256=_file_sha256(constructor) if own else None)
    _check(activation)
    return activation


def _suggestion(name: str) -> str:
    known = {known.lower(): known for known in (*nn.modules.activation.__all__, *ACTIVATIONS)}
    nearest = [known[near] for near in difflib.get_close_matches(name.lower(), known, n=3)]
    return f" Did you mean {' or '.join(nearest)}?" if nearest else ""


def _imported(name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:  # a console script does not see the user's folder by itself
        sys.path.insert(0, os.getcwd())
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            return getattr(importlib.import_module(module_name), attribute)
    except (Exception, SystemExit) as error:  # whatever the user's module does on import
        raise UsageError(
            f"The activation '{name}' cannot be imported ({one_line(error)}):"
            " write it as module:Class, with the module in this folder or installed."
        ) from error


def _file_sha256(constructor: Any) -> str | None:
    """The digest of the file that holds the code in use; UsageError if it was changed since."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(constructor))
        digest = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None
    except (OSError, TypeError):  # it was not written in Python
        return None
    if _digests.setdefault(file, digest) != digest:  # in a process that lives on, as a cluster's workers do
        raise UsageError(f"{file} was changed after it had been imported: start the workers again.")
    return digest


_digests: dict[str | None, str | None] = {}
"""The digest of each user's file when it was first used in this process."""


def _maker(constructor: Callable[..., Any]) -> Callable[[int], nn.Module]:
    def make(channels: int) -> nn.Module:
        try:
            per_kernel = "num_parameters" in inspect.signature(constructor).parameters
        except ValueError:  # a callable without a signature
            per_kernel = False
        module: nn.Module = constructor(num_parameters=channels) if per_kernel else constructor()
        return module

    return make


def _check(activation: Activation) -> None:
    """Refuse what is no activation before an hour is spent on it."""
    v = torch.linspace(-1, 1, 2 * 4 * 2 * 2).view(2, 4, 2, 2)
    with torch.random.fork_rng(devices=[]), contextlib.redirect_stdout(sys.stderr):
        try:
            module = activation.make(4)
            found = "no torch.nn.Module" if not isinstance(module, nn.Module) else None
            if found is None and module(v).shape != v.shape:
                found = "a module that changes the shape of its input"
        except (Exception, SystemExit) as error:  # whatever the user's constructor or forward does
            found = one_line(error)
    if found is not None:
        raise UsageError(
            f"'{activation.name}' cannot serve as an activation ({found}): name a class that can be made without"
            " arguments, or with num_parameters alone, and keeps the shape of its input."
        )
