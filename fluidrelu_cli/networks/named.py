"""The activations that can be named: built-in ones, classes of torch.nn, and a user's own."""

from __future__ import annotations

import contextlib
import difflib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fluidrelu_cli.errors import UsageError, one_line
from fluidrelu_cli.networks.activations import FluidCoth, FluidExp, FluidReLU
from fluidrelu_cli.networks.own import file_sha256, imported, is_own
from fluidrelu_cli.seeding import stream_seed


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


class ActivationFactory:
    """What a network makes its activations with: call it with a layer's number of channels.

    Random numbers that an activation draws when it is made come from a stream of their own, so that the network's
    weights are the same whatever the activation.

    Args:
        activation: what to make.
        seed: the trial's.
    """

    def __init__(self, activation: Activation, seed: int) -> None:
        self._activation = activation
        self._seed = stream_seed(seed, "activations")
        self.made: list[nn.Module] = []
        """All that it made, in order."""

    @property
    def commutes_with_max_pool(self) -> bool:
        """Whether a network may max-pool first and activate what is left, which is less work."""
        return self._activation.commutes_with_max_pool

    def __call__(self, channels: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed + len(self.made))
            module = self._activation.make(channels)
        self.made.append(module)
        return module


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
    own = is_own(name)
    constructor = imported(name, "activation") if own else getattr(nn, name, None)
    if not callable(constructor):
        raise UsageError(f"There is no activation '{name}'.{_suggestion(name)} `fluidrelu acts` lists them.")
    source = "your own" if own else "torch.nn"
    activation = Activation(name, name, source, _maker(constructor), sha256=file_sha256(constructor) if own else None)
    _check(activation)
    return activation


def _suggestion(name: str) -> str:
    known = {known.lower(): known for known in (*nn.modules.activation.__all__, *ACTIVATIONS)}
    nearest = [known[near] for near in difflib.get_close_matches(name.lower(), known, n=3)]
    return f" Did you mean {' or '.join(nearest)}?" if nearest else ""


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
            if found is None and activation.make(4) is module:
                found = "the same module for every layer"  # one trial would go on where another ended
            if found is None and (module(v).shape, module(v).dtype) != (v.shape, v.dtype):
                found = "a module that changes the shape or the type of its input"
        except (Exception, SystemExit) as error:  # whatever the user's constructor or forward does
            found = one_line(error)
    if found is not None:
        raise UsageError(
            f"'{activation.name}' cannot serve as an activation ({found}): name a class that can be made without"
            " arguments, or with num_parameters alone, and keeps the shape of its input."
        )
