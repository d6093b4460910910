"""Build a network with an activation and a seed, and try a user's own before an hour is spent on it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fluidrelu_cli.errors import UsageError, one_line
from fluidrelu_cli.networks.activations import ParametricActivation
from fluidrelu_cli.networks.architectures import ActivationFactory, Shape
from fluidrelu_cli.networks.initial import draw_weights
from fluidrelu_cli.networks.named import ACTIVATIONS, ARCHITECTURES, Activation, Architecture, resolve_model
from fluidrelu_cli.networks.own import find_line
from fluidrelu_cli.networks.probing import find_unused, trying
from fluidrelu_cli.protocol import Protocol, is_own
from fluidrelu_cli.seeding import generator, stream_seed


@dataclass(frozen=True)
class Network:
    """A network that was made, and the names of the modules that are its activations, in the order of their making."""

    module: nn.Module
    activation_layers: tuple[str, ...]
    beta: float | None = None
    """The factor that its activation was named with; None: what it learns has its own."""


def build_model(protocol: Protocol, activation: Activation, seed: int, shape: Shape, classes: int) -> Network:
    """Build the protocol's network with weights from the seed's own stream, on the CPU.

    The weights of one seed are identical whatever the activation.

    Raises:
        UsageError: if there is no such network, the images are too small for it, or a user's own does not do what a
            network has to.
    """
    architecture = resolve_model(protocol.model)
    if min(shape[1:]) < architecture.smallest:
        raise UsageError(
            f"The network '{protocol.model}' needs images of at least {architecture.smallest} x {architecture.smallest}"
            f" pixels, not {shape[1]} x {shape[2]}. Name another with --model ({', '.join(ARCHITECTURES)})."
        )
    factory = ActivationFactory(activation, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "weights"))
        if is_own(protocol.model):
            module = _build_own(architecture, factory, shape, classes)
        else:
            module = architecture.load()(factory, shape, classes, **architecture.chosen)
    if protocol.init != "as-built":
        draw_weights(module, protocol.init, generator(seed, "weights"), factory.made)
    names = {id(part): layer for layer, part in module.named_modules()}
    return Network(module, tuple(names[id(made)] for made in factory.made), activation.beta)


def _build_own(architecture: Architecture, factory: ActivationFactory, shape: Shape, classes: int) -> nn.Module:
    """Build a user's own network and try it on two images: that also gives lazy layers their weights."""
    module, problem, cause = None, "no torch.nn.Module", None
    constructor = architecture.load()
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            module = constructor(factory, shape, classes)
            if isinstance(module, nn.Module):
                called: list[nn.Module] = []
                hooks = [made.register_forward_hook(lambda made, *_: called.append(made)) for made in factory.made]
                logits = module.eval()(torch.zeros(2, *shape))
                module.train()
                for hook in hooks:
                    hook.remove()
                problem = _find_problem(module, factory, called, logits, classes)
    except UsageError:  # of the activation
        raise
    except (Exception, SystemExit) as error:  # whatever the user's code does
        problem, cause = one_line(error) + find_line(error), error
    if problem or not isinstance(module, nn.Module):
        beside = f" with {factory.activation.name}" if cause else ""  # whose error it may be
        raise UsageError(
            f"'{architecture.name}'{beside} cannot serve as a network ({problem}). It is called with (activation,"
            f" shape, classes), here with the shape {shape} and {classes} classes. It has to return a"
            " torch.nn.Module that turns images N x C x H x W into logits N x classes and makes its activations with"
            " activation(channels)."
        ) from cause
    return module


def _find_problem(
    module: nn.Module, factory: ActivationFactory, called: Sequence[nn.Module], logits: Any, classes: int
) -> str:
    """What is wrong with a user's network, or nothing."""
    if not isinstance(logits, Tensor) or logits.shape != (2, classes):
        result = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        return f"of two images it makes {result}, not logits of shape (2, {classes})"
    if not factory.made:
        return "it makes no activation, so that all activations would be the same network"
    if not logits.requires_grad:
        return "its logits have no gradient"
    if not all(any(made is one for one in called) for made in factory.made):
        return "it does not apply an activation that it made"
    parts = {id(part) for part in module.modules()}
    if not all(id(made) in parts for made in factory.made):
        return "an activation that it made is not part of it"
    return ""


def describe_network(protocol: Protocol, shape: Shape, classes: int) -> list[str]:
    """A sentence on each thing about a user's own network that may not be meant; none on what cannot be tried."""
    notes: list[str] = []
    if is_own(protocol.model):
        with trying():
            module = build_model(protocol, ACTIVATIONS["relu"], 0, shape, classes).module
            notes.extend(f"{protocol.model} {oddity}" for oddity in _find_oddities(module, torch.randn(8, *shape)))
    return notes


def _find_oddities(module: nn.Module, images: Tensor) -> Iterator[str]:
    images.requires_grad_()
    for training in (True, False):  # a part may be for one of the two alone
        logits = module.train(training)(images)
        (logits * torch.randn_like(logits)).sum().backward()
    if images.grad is None or not images.grad.any():
        yield "gives logits that do not depend on the images."
    if (logits >= 0).all() and torch.allclose(logits.sum(1), torch.ones(len(logits)), atol=1e-4):
        yield "ends in a softmax, and the loss applies its own: let it return what it gives the softmax."
    unused = find_unused(module)
    if unused:
        yield f"never learns {unused}: use it in forward so that a gradient reaches it, or leave it out."


def activation_parameters(network: Network) -> dict[tuple[str, str], nn.Parameter]:
    """The learned parameters of the network's activations by (layer, parameter): ("activation1", "a")."""
    return {
        (layer, parameter): value
        for layer in network.activation_layers
        for parameter, value in network.module.get_submodule(layer).named_parameters()
    }


def list_factors(network: Network, protocol: Protocol) -> dict[tuple[str, str], float]:
    """The factor on the gradient of each learned parameter of the network's activations, by (layer, parameter)."""
    return {
        (layer, parameter): factor
        for layer in network.activation_layers
        for parameter, factor in find_factors(network.module.get_submodule(layer), network.beta, protocol).items()
    }


def find_factors(
    activation: nn.Module, named: float | None, protocol: Protocol, *, earlier: bool = False
) -> dict[str, float]:
    """The factor on the gradient of each learned parameter of an activation.

    It is the one that the activation was named with; else that of the ParametricActivation whose parameter it is, which
    may be the protocol's; and 1 for any other.

    Args:
        activation: the module.
        named: the factor in its name, if there is one.
        protocol: whose beta is the paper's factor.
        earlier: as releases did that recorded no factor: every ParametricActivation has the protocol's.
    """

    def choose(part: nn.Module) -> float:
        if named is not None:
            return named
        if isinstance(part, ParametricActivation):
            return protocol.beta if part.beta is None or earlier else part.beta
        return 1.0

    return {
        f"{part_name}.{name}" if part_name else name: choose(part)
        for part_name, part in activation.named_modules()
        for name, _ in part.named_parameters(recurse=False)
    }
