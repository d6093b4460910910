"""Optimizers with a factor on what activations learn, equations (7) and (8), and the learning rate's schedules."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fluidrelu_cli.networks.build import Network, list_factors
from fluidrelu_cli.protocol import Protocol


def build_optimizer(network: Network, parameters: Mapping[str, Tensor], protocol: Protocol) -> torch.optim.Optimizer:
    """The protocol's optimizer, with the rate of what an activation learns multiplied by its factor beta.

    - sgd, equations (7) and (8): delta_a <- mu delta_a - eps beta sum dE/da, a <- a + delta_a. Multiplying the rate eps
      by beta gives the same update as multiplying the gradient, and torch has a rate per group of parameters.
    - adam (Kingma and Ba 2015) and adamw (Loshchilov and Hutter 2019), with (0.9, 0.999) and 1e-8: a <- a - eps beta
      m / (sqrt v + 1e-8), where m and v are the corrected means of the gradient and of its square. The protocol's
      momentum is not used.

    Weight decay lambda is added to the gradient as lambda w; in adamw it takes eps lambda w from w instead. It applies
    only to the network's own weights. It would pull an activation's parameters to 0, a value without special meaning
    there.

    Args:
        network: whose activations say their factors (networks.build.list_factors).
        parameters: what to train, by the network's names; a stack of several networks has its own tensors.
        protocol: the arm's (Protocol.of_arm): its learning rate, momentum, beta and weight decay.
    """
    factors = {".".join(name): factor for name, factor in list_factors(network, protocol).items()}
    own = [parameters[name] for name in parameters if name not in factors]
    groups: list[dict[str, Any]] = [{"params": own, "weight_decay": protocol.weight_decay}]
    for factor in sorted(set(factors.values())):
        mine = [parameters[name] for name in parameters if factors.get(name) == factor]
        groups.append({"params": mine, "lr": protocol.lr * factor})
    if protocol.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=protocol.lr, momentum=protocol.momentum, fused=True)
    kind = torch.optim.AdamW if protocol.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=protocol.lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, fused=True)


def rate_factor(schedule: str, progress: float) -> float:
    """The factor of the learning rate after a share ``progress`` in [0, 1) of all steps.

    - constant: 1
    - cosine: (1 + cos(pi progress)) / 2 (Loshchilov and Hutter 2017, without restarts)
    - step: 1, then 0.1 from half of the steps on, 0.01 from three quarters on (He et al. 2016, for CIFAR-10)
    """
    if schedule == "cosine":
        return (1 + math.cos(math.pi * progress)) / 2
    if schedule == "step":
        return float(0.1 ** ((progress >= 0.5) + (progress >= 0.75)))
    return 1.0


def build_scheduler(
    optimizer: torch.optim.Optimizer, protocol: Protocol, steps: int
) -> torch.optim.lr_scheduler.LambdaLR | None:
    """The schedule of a training of so many steps; call its ``step`` after each. None if the rate is constant."""
    if protocol.schedule == "constant":
        return None
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(protocol.schedule, step / steps))
