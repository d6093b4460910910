"""The networks, with the activation left open: the paper's, two larger ones, and a user's own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fluidrelu_cli.errors import UsageError, one_line
from fluidrelu_cli.networks.named import Activation, ActivationFactory
from fluidrelu_cli.networks.own import file_sha256, imported, is_own
from fluidrelu_cli.seeding import stream_seed

Shape = tuple[int, int, int]
"""Of an image: (C, H, W)."""


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

    channels: tuple[int, ...] = (16, 32)
    kernel_size = 5

    def __init__(self, activation: ActivationFactory, shape: Shape, classes: int) -> None:
        super().__init__()
        channels, *size = shape
        self.convolutions = len(self.channels)
        for layer, kernels in enumerate(self.channels, start=1):
            setattr(self, f"conv{layer}", nn.Conv2d(channels, kernels, self.kernel_size))
            channels, size = kernels, [(side - self.kernel_size + 1) // 2 for side in size]
        self.fc = nn.Linear(channels * size[0] * size[1], classes)
        for layer, kernels in enumerate(self.channels, start=1):
            setattr(self, f"activation{layer}", activation(kernels))
        self.pool = nn.MaxPool2d(2)
        self.pool_first = activation.commutes_with_max_pool

    def forward(self, images: Tensor) -> Tensor:
        """Logits of shape (N, classes) of images of shape (N, C, H, W)."""
        hidden = images
        for layer in range(1, self.convolutions + 1):
            v, activation = getattr(self, f"conv{layer}")(hidden), getattr(self, f"activation{layer}")
            hidden = activation(self.pool(v)) if self.pool_first else self.pool(activation(v))
        # The linear layer takes the pixels in the order that a channels-last tensor has in memory: flattened channels
        # first, hidden would be copied, and its gradient would come back in another order than the activation's values.
        weight = self.fc.weight.view(-1, *hidden.shape[1:]).permute(0, 2, 3, 1).flatten(1)
        return functional.linear(hidden.permute(0, 2, 3, 1).flatten(1), weight, self.fc.bias)


class CNN3(PaperCNN):
    """Three convolutions, the family of the group's paper of 2019 (docs/paper.md). For CIFAR-10:

    ======================  ==============
    input                   3 x 32 x 32
    conv1, 3x3              32 x 30 x 30
    activation1, 2x2 pool   32 x 15 x 15
    conv2, 3x3              64 x 13 x 13
    activation2, 2x2 pool   64 x 6 x 6
    conv3, 3x3              128 x 4 x 4
    activation3, 2x2 pool   128 x 2 x 2 = 512
    fc                      10 (logits)
    ======================  ==============

    Like the paper's network it has no padding.
    """

    channels = (32, 64, 128)
    kernel_size = 3


class ResNet20(nn.Module):
    """ResNet-20 in its CIFAR form (He et al. 2016, section 4.2), with the activation in place of every ReLU.

    A 3x3 convolution of 16 kernels, then three stages of three blocks with 16, 32 and 64 kernels, each stage but the
    first beginning with stride 2; batch normalisation after every convolution; global average pooling and a linear
    layer. Shortcuts have no parameters (option A): where a block is wider than what comes in they are subsampled and
    filled up with channels of zeros. Convolutions start from He's normal initialisation. 19 activations.
    """

    stages = (16, 32, 64)
    blocks = 3

    def __init__(self, activation: ActivationFactory, shape: Shape, classes: int) -> None:
        super().__init__()
        width = self.stages[0]
        self.conv = _conv3x3(shape[0], width, 1)
        self.norm = nn.BatchNorm2d(width)
        self.activation = activation(width)
        for number, channels in enumerate(self.stages, start=1):
            blocks = [_Block(activation, width if block == 0 else channels, channels) for block in range(self.blocks)]
            setattr(self, f"stage{number}", nn.Sequential(*blocks))
            width = channels
        self.fc = nn.Linear(width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Logits of shape (N, classes) of images of shape (N, C, H, W)."""
        hidden = self.activation(self.norm(self.conv(images)))
        for number in range(1, len(self.stages) + 1):
            hidden = getattr(self, f"stage{number}")(hidden)
        logits: Tensor = self.fc(hidden.mean((2, 3)))
        return logits


class _Block(nn.Module):
    """Two convolutions and a shortcut around them."""

    def __init__(self, activation: ActivationFactory, before: int, channels: int) -> None:
        super().__init__()
        self.stride = 1 if before == channels else 2
        self.conv1 = _conv3x3(before, channels, self.stride)
        self.norm1 = nn.BatchNorm2d(channels)
        self.activation1 = activation(channels)
        self.conv2 = _conv3x3(channels, channels, 1)
        self.norm2 = nn.BatchNorm2d(channels)
        self.activation2 = activation(channels)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.norm2(self.conv2(self.activation1(self.norm1(self.conv1(images)))))
        shortcut = images
        if self.stride != 1:
            zeros = hidden.shape[1] - images.shape[1]
            shortcut = functional.pad(images[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, zeros))
        out: Tensor = self.activation2(hidden + shortcut)
        return out


def _conv3x3(before: int, channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(before, channels, 3, stride, padding=1, bias=False)


@dataclass(frozen=True)
class Architecture:
    """A network that can be named: what `fluidrelu models` shows, and how to make one."""

    name: str
    layers: str
    source: str
    make: Callable[[ActivationFactory, Shape, int], Any]
    smallest: int = 1
    """The least height and width of an image that it can take."""
    sha256: str | None = None
    """The digest of the file that a user's own network stands in."""


_BUILT_IN = (
    Architecture("paper", "2 convolutions 5x5 (16, 32), max-pooling, linear", "the paper, Table 1", PaperCNN, 16),
    Architecture("cnn3", "3 convolutions 3x3 (32, 64, 128), max-pooling, linear", "after CMES 118(1), 2019", CNN3, 22),
    Architecture("resnet20", "19 convolutions 3x3, shortcuts, linear", "He et al. 2016, CIFAR form", ResNet20, 8),
)

ARCHITECTURES = {architecture.name: architecture for architecture in _BUILT_IN}
"""The built-in networks by name."""


@dataclass(frozen=True)
class Network:
    """A network that was made, and the names of the modules that are its activations, in the order of their making."""

    module: nn.Module
    activation_layers: tuple[str, ...]


def resolve_model(name: str) -> Architecture:
    """The network called ``name``: a built-in one, or a user's own, `module:factory`.

    Raises UsageError if there is no such network.
    """
    if is_own(name):
        make = imported(name, "network")
        if not callable(make):
            raise UsageError(f"The network '{name}' cannot be called: name a class or a function.")
        return Architecture(name, name, "your own", make, sha256=file_sha256(make))
    if name not in ARCHITECTURES:
        raise UsageError(
            f"There is no model '{name}'; use --model {', '.join(ARCHITECTURES)}, or module:Class for one of your own."
        )
    return ARCHITECTURES[name]


def build_model(name: str, activation: Activation, seed: int, shape: Shape, classes: int) -> Network:
    """The network called ``name`` with weights from the seed's own stream, on the CPU.

    The weights of one seed are identical whatever the activation.

    Raises:
        UsageError: if there is no such network, the images are too small for it, or a user's own does not do what a
            network has to.
    """
    architecture = resolve_model(name)
    if min(shape[1:]) < architecture.smallest:
        raise UsageError(
            f"The network '{name}' needs images of at least {architecture.smallest} x {architecture.smallest} pixels,"
            f" not {shape[1]} x {shape[2]}: name another with --model ({', '.join(ARCHITECTURES)})."
        )
    factory = ActivationFactory(activation, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "weights"))
        if not is_own(name):
            module = architecture.make(factory, shape, classes)
        else:
            module = _made_by_user(architecture, factory, shape, classes)
    names = {id(found): layer for layer, found in module.named_modules()}
    return Network(module, tuple(names[id(made)] for made in factory.made))


def _made_by_user(architecture: Architecture, factory: ActivationFactory, shape: Shape, classes: int) -> nn.Module:
    """A user's own network, tried on two images: that also gives lazy layers their weights."""
    module, found = None, "no torch.nn.Module"
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            module = architecture.make(factory, shape, classes)
            if isinstance(module, nn.Module):
                called: list[nn.Module] = []
                hooks = [made.register_forward_hook(lambda made, *_: called.append(made)) for made in factory.made]
                logits = module.eval()(torch.zeros(2, *shape))
                module.train()
                for hook in hooks:
                    hook.remove()
                found = _wrong(module, factory, called, logits, classes)
    except (Exception, SystemExit) as error:  # whatever the user's code does
        found = one_line(error)
    if found or not isinstance(module, nn.Module):
        raise UsageError(
            f"'{architecture.name}' cannot serve as a network ({found}): called with (activation, shape, classes), here"
            f" with the shape {shape} and {classes} classes, it has to make a torch.nn.Module that turns images"
            " N x C x H x W into logits N x classes and makes its activations with activation(channels)."
        )
    return module


def _wrong(
    module: nn.Module, factory: ActivationFactory, called: Sequence[nn.Module], logits: Any, classes: int
) -> str:
    """What is wrong with a user's network, or nothing."""
    if not isinstance(logits, Tensor) or logits.shape != (2, classes):
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        return f"of two images it makes {found}, not logits of shape (2, {classes})"
    if not factory.made:
        return "it makes no activation, so that all activations would be the same network"
    if not logits.requires_grad:
        return "its logits have no gradient"
    if not all(any(made is one for one in called) for made in factory.made):
        return "it does not apply an activation that it made"
    there = {id(part) for part in module.modules()}
    if not all(id(made) in there for made in factory.made):
        return "an activation that it made is not part of it"
    return ""


def activation_parameters(network: Network) -> dict[tuple[str, str], nn.Parameter]:
    """The learned parameters of the network's activations by (layer, parameter): ("activation1", "a")."""
    return {
        (layer, parameter): value
        for layer in network.activation_layers
        for parameter, value in network.module.get_submodule(layer).named_parameters()
    }
