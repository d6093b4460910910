"""The networks of one or several seeds, trained side by side and independently."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn import functional

from fluidrelu_cli.networks.architectures import Shape
from fluidrelu_cli.networks.build import Network, activation_parameters, build_model
from fluidrelu_cli.networks.named import Activation
from fluidrelu_cli.protocol import Trial
from fluidrelu_cli.run import Parameters


class Ensemble:
    """The networks of S trials that differ in their seeds only, as one function and one set of parameters.

    A single network is used as it is. Several become one network with stacked parameters (`torch.func.vmap`). It
    computes the same sums, rounded differently, and keeps a GPU busy that one small network would leave idle.

    ``parameters`` has the trained tensors by name, each with a leading axis of seeds if S > 1.

    Args:
        activation: the one that the trials name.
        trials: of one protocol and that activation.
        shape: (C, H, W) of the images.
        classes: how many there are.
        device: where to train.
        matmul: compute the convolutions of a stack as matrix products, as is always done on a GPU. Otherwise vmap makes
            grouped convolutions of them, which are faster on a CPU. (Neither was measured on a GPU.)
    """

    parameters: dict[str, Tensor]

    def __init__(
        self,
        activation: Activation,
        trials: Sequence[Trial],
        shape: Shape,
        classes: int,
        device: torch.device,
        *,
        matmul: bool = False,
    ) -> None:
        networks = [build_model(trial.protocol, activation, trial.seed, shape, classes) for trial in trials]
        self.initial_weights = [_copy_weights(network) for network in networks]
        self.size = len(networks)
        modules = [network.module.to(device) for network in networks]
        self._autocast = torch.autocast(device.type, torch.bfloat16, enabled=trials[0].protocol.precision == "bf16")
        module = modules[0]
        if self.size == 1:
            if device.type == "cpu":
                # Convolutions and max-pooling are much faster there when a pixel's channels are neighbours.
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,unused-ignore]
            self.parameters = dict(module.named_parameters())
        else:
            self.parameters, self._buffers = stack_module_state(modules)
            module = copy.deepcopy(module).to("meta")  # the parameters come from the stack
            # Autocast on a CPU overlooks grouped convolutions.
            if device.type == "cuda" or matmul or trials[0].protocol.precision == "bf16":
                _use_matrix_products(module)
            if trials[0].protocol.precision == "bf16":
                _normalise_in_float32(module)
        self.network = replace(networks[0], module=module)

    def logits(self, images: Tensor) -> Tensor:
        """Float32 logits of shape (S, N, classes) for images of shape (S, N, C, H, W), one batch per network."""
        with self._autocast:
            if self.size == 1:
                logits: Tensor = self.network.module(images.squeeze(0)).unsqueeze(0)
            else:
                logits = torch.func.vmap(self._call)(self.parameters, self._buffers, images)
        return logits.float()

    def list_states(self) -> list[dict[str, Any]]:
        """Each network's state_dict, as it is now."""
        module = self.network.module
        if self.size == 1:
            return [module.state_dict()]
        stacks = {**self.parameters, **self._buffers}
        return [{name: stacks[name][index] for name in module.state_dict()} for index in range(self.size)]

    def _call(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor) -> Tensor:
        logits: Tensor = functional_call(self.network.module, (parameters, buffers), (images,))
        return logits

    def copy_learned(self) -> list[Parameters]:
        """Each network's learned parameters of its activations, as they are now."""
        names = activation_parameters(self.network)
        values = {name: self.parameters[".".join(name)].detach().reshape(self.size, -1).tolist() for name in names}
        return [{name: tuple(values[name][index]) for name in names} for index in range(self.size)]


def _copy_weights(network: Network) -> list[Tensor]:
    """Copies of the parameters that are not the activations' own."""
    learned = {id(parameter) for parameter in activation_parameters(network).values()}
    return [parameter.detach().clone() for parameter in network.module.parameters() if id(parameter) not in learned]


class _MatmulConv2d(nn.Conv2d):
    """A convolution as the product of a matrix of patches, one per row, and its weights."""

    def _conv_forward(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        height, width = self.kernel_size
        if self.padding != (0, 0):
            vertical, horizontal = int(self.padding[0]), int(self.padding[1])
            images = functional.pad(images, (horizontal, horizontal, vertical, vertical))
        patches = images.unfold(2, height, self.stride[0]).unfold(3, width, self.stride[1])
        patches = patches.permute(0, 2, 3, 1, 4, 5)  # (N, H', W', C, kernel height, kernel width)
        product = patches.flatten(0, 2).flatten(1) @ weight.flatten(1).t()
        values: Tensor = product if bias is None else product + bias
        return values.view(*patches.shape[:3], -1).permute(0, 3, 1, 2)


def _use_matrix_products(network: nn.Module) -> None:
    for module in network.modules():
        plain = type(module) is nn.Conv2d and module.groups == 1 and module.dilation == (1, 1)
        if plain and not isinstance(module.padding, str) and module.padding_mode == "zeros":
            module.__class__ = _MatmulConv2d  # the same layer, computed otherwise


class _Float32BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation of values in any precision; in a stack, torch's own needs that of its weights."""

    def forward(self, values: Tensor) -> Tensor:
        return super().forward(values.float())


def _normalise_in_float32(network: nn.Module) -> None:
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = _Float32BatchNorm2d  # the same layer, computed otherwise
