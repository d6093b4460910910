"""Table 1's network, with the activation left open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fluidrelu_cli.activations import ParametricActivation
from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.registry import Activation
from fluidrelu_cli.seeding import stream_seed


class PaperCNN(nn.Module):
    """The paper's CNN (Table 1). For MNIST the shapes after each layer, without the batch axis:

    ======================  ==============
    input                   1 x 28 x 28
    conv1, 5x5              16 x 24 x 24
    activation1, 2x2 pool   16 x 12 x 12
    conv2, 5x5              32 x 8 x 8
    activation2, 2x2 pool   32 x 4 x 4 = 512
    fc                      10 (logits)
    ======================  ==============

    An activation that commutes with max-pooling is applied to the pooled values, a quarter of them: the
    same values and gradients for less work.
    """

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        # The seeded weights are drawn first: an activation that draws numbers of its own leaves them alone.
        self.conv1 = nn.Conv2d(1, 16, kernel_size=5)
        self.conv2 = nn.Conv2d(16, 32, kernel_size=5)
        self.fc = nn.Linear(32 * 4 * 4, 10)
        self.activation1 = activation.make(16)
        self.activation2 = activation.make(32)
        self.pool = nn.MaxPool2d(2)
        self.pool_first = activation.commutes_with_max_pool

    def forward(self, images: Tensor) -> Tensor:
        """Logits of shape (N, 10) of images of shape (N, 1, 28, 28) with pixels in [0, 1]."""
        hidden = self._activate(self.conv1(images), self.activation1)
        hidden = self._activate(self.conv2(hidden), self.activation2)
        # The linear layer takes the pixels in the order that a channels-last tensor has in memory: flattened channels
        # first, hidden would be copied, and its gradient would come back in another order than the activation's values.
        weight = self.fc.weight.view(-1, *hidden.shape[1:]).permute(0, 2, 3, 1).flatten(1)
        return functional.linear(hidden.permute(0, 2, 3, 1).flatten(1), weight, self.fc.bias)

    def _activate(self, v: Tensor, activation: nn.Module) -> Tensor:
        hidden: Tensor = activation(self.pool(v)) if self.pool_first else self.pool(activation(v))
        return hidden


MODELS = {"paper": PaperCNN}


def check_model(name: str) -> None:
    """Raise UsageError unless there is a network called ``name``."""
    if name not in MODELS:
        raise UsageError(f"There is no model '{name}'; use --model {' or '.join(MODELS)}.")


def build_model(name: str, activation: Activation, seed: int) -> PaperCNN:
    """The network called ``name`` with weights from the seed's own stream, on the CPU.

    The convolutions and the linear layer of one seed start from identical weights whatever the activation.
    """
    check_model(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "weights"))
        return MODELS[name](activation)


def activation_parameters(model: nn.Module) -> dict[tuple[str, str], nn.Parameter]:
    """The learned parameters of the network's activations by (layer, parameter): ("activation1", "a")."""
    return {
        (layer, parameter): value
        for layer, module in model.named_children()
        if layer.startswith("activation")
        for parameter, value in module.named_parameters()
    }


def build_optimizer(model: nn.Module, parameters: Mapping[str, Tensor], protocol: Protocol) -> torch.optim.SGD:
    """Momentum SGD for a network's ``parameters`` by name; for every ``a`` of a ParametricActivation the gradient is
    multiplied by beta.

    Equations (7) and (8): delta_a <- mu delta_a - eps beta sum dE/da, a <- a + delta_a. Multiplying the
    gradient by beta or the rate eps by beta is the same update, and the rate is torch's own knob for it.
    PReLU's slopes and other learned parameters have the plain rate; nothing has weight decay.
    """
    multiplied = {f"{name}.a" for name, module in model.named_modules() if isinstance(module, ParametricActivation)}
    groups: list[dict[str, Any]] = [{"params": [parameters[name] for name in parameters if name not in multiplied]}]
    if multiplied:
        learned = [parameters[name] for name in parameters if name in multiplied]
        groups.append({"params": learned, "lr": protocol.lr * protocol.beta})
    return torch.optim.SGD(groups, lr=protocol.lr, momentum=protocol.momentum, fused=True)
