"""Momentum SGD with the paper's beta, equations (7) and (8), and how the learning rate goes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fluidrelu_cli.networks.activations import ParametricActivation
from fluidrelu_cli.networks.build import Network
from fluidrelu_cli.protocol import Protocol


def build_optimizer(network: Network, parameters: Mapping[str, Tensor], protocol: Protocol) -> torch.optim.SGD:
    """Momentum SGD for a network's ``parameters`` by name; for every ``a`` of a ParametricActivation the gradient is
    multiplied by beta.

    Equations (7) and (8): delta_a <- mu delta_a - eps beta sum dE/da, a <- a + delta_a. Multiplying the
    gradient by beta or the rate eps by beta is the same update, and the rate is torch's own knob for it.
    PReLU's slopes and other learned parameters have the plain rate. Weight decay is the network's own weights' alone:
    a penalty would draw an activation's parameters to 0, which means nothing there.
    """
    layers = {name: network.module.get_submodule(name) for name in network.activation_layers}
    multiplied = {
        ".".join(filter(None, (layer, name, "a")))
        for layer, module in layers.items()
        for name, part in module.named_modules()
        if isinstance(part, ParametricActivation)
    }
    learned = {f"{layer}.{name}" for layer, module in layers.items() for name, _ in module.named_parameters()}
    own = [parameters[name] for name in parameters if name not in learned]
    groups: list[dict[str, Any]] = [{"params": own, "weight_decay": protocol.weight_decay}]
    for names, factor in ((learned - multiplied, 1.0), (multiplied, protocol.beta)):
        mine = [parameters[name] for name in parameters if name in names]
        if mine:
            groups.append({"params": mine, "lr": protocol.lr * factor})
    return torch.optim.SGD(groups, lr=protocol.lr, momentum=protocol.momentum, fused=True)


def rate_factor(schedule: str, progress: float) -> float:
    """What the learning rate is multiplied by when a share ``progress`` in [0, 1) of all steps is done.

    constant: 1. cosine: (1 + cos(pi progress)) / 2 (Loshchilov and Hutter 2017, without restarts). step: 1, a tenth
    from half of the steps on, a hundredth from three quarters on (He et al. 2016, for CIFAR-10).
    """
    if schedule == "cosine":
        return (1 + math.cos(math.pi * progress)) / 2
    if schedule == "step":
        return float(0.1 ** ((progress >= 0.5) + (progress >= 0.75)))
    return 1.0


def build_scheduler(
    optimizer: torch.optim.SGD, protocol: Protocol, steps: int
) -> torch.optim.lr_scheduler.LambdaLR | None:
    """The schedule over so many steps of training, to be told of each; None if the rate is constant."""
    if protocol.schedule == "constant":
        return None
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(protocol.schedule, step / steps))
