"""The built-in networks, with the activation left open: the paper's, and two larger ones.

A network is called with (activation, shape, classes) and makes each of its activations by ``activation(channels)``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fluidrelu_cli.networks.named import Activation
from fluidrelu_cli.seeding import stream_seed

Shape = tuple[int, int, int]
"""Of an image: (C, H, W)."""


class ActivationFactory:
    """What a network makes its activations with: call it with a layer's number of channels.

    Random numbers that an activation draws when it is made come from a stream of their own, so that the network's
    weights are the same whatever the activation.

    Args:
        activation: what to make.
        seed: the trial's.
    """

    def __init__(self, activation: Activation, seed: int) -> None:
        self.activation = activation
        self._seed = stream_seed(seed, "activations")
        self.made: list[nn.Module] = []
        """All that it made, in order."""

    @property
    def commutes_with_max_pool(self) -> bool:
        """Whether a network may max-pool first and activate what is left, which is less work."""
        return self.activation.commutes_with_max_pool

    def __call__(self, channels: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed + len(self.made))
            module = self.activation.make(channels)
        self.made.append(module)
        return module


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
    same values and gradients for less work. That holds for overlapping squares, too: a value that is the largest of two
    gets the gradients of both in either order.

    Args:
        activation: makes the activations.
        shape: of the images.
        classes: the number of logits.
        pooling: "max" or "average" of squares of 2x2; "max-3" of squares of 3x3 with stride 2; "max-average-3" the same
            after the first convolution, and their average after any other. A square of 3x3 at the edge may lack a row
            or a column, as in Caffe, so that the layers are as large as those of squares of 2x2.
        padding: "none", or "same": as many zeros around what a convolution takes that what it gives is as large.
        hidden: the units of a layer before the last one; 0: there is none.
        hidden_activation: theirs: "relu", "none", or "tested", which takes each unit as a channel.
    """

    channels: tuple[int, ...] = (16, 32)
    kernel_size = 5

    def __init__(
        self,
        activation: ActivationFactory,
        shape: Shape,
        classes: int,
        *,
        pooling: str = "max",
        padding: str = "none",
        hidden: int = 0,
        hidden_activation: str = "relu",
    ) -> None:
        super().__init__()
        channels, *size = shape
        self.convolutions = len(self.channels)
        margin = self.kernel_size // 2 if padding == "same" else 0
        for layer, kernels in enumerate(self.channels, start=1):
            setattr(self, f"conv{layer}", nn.Conv2d(channels, kernels, self.kernel_size, padding=margin))
            channels, size = kernels, [(side + 2 * margin - self.kernel_size + 1) // 2 for side in size]
        self.hidden = nn.Linear(channels * size[0] * size[1], hidden) if hidden else None
        self.fc = nn.Linear(hidden or channels * size[0] * size[1], classes)
        for layer, kernels in enumerate(self.channels, start=1):
            setattr(self, f"activation{layer}", activation(kernels))
            setattr(self, f"pool{layer}", _make_pool(pooling, first=layer == 1))
        if hidden:
            others = {"relu": nn.ReLU, "none": nn.Identity}
            made = others[hidden_activation]() if hidden_activation in others else activation(hidden)
            setattr(self, f"activation{self.convolutions + 1}", made)
        self.pool_first = activation.commutes_with_max_pool

    def forward(self, images: Tensor) -> Tensor:
        """Logits of shape (N, classes) of images of shape (N, C, H, W)."""
        values = images
        for layer in range(1, self.convolutions + 1):
            conv, activation, pool = (getattr(self, f"{part}{layer}") for part in ("conv", "activation", "pool"))
            v = conv(values)
            pool_first = self.pool_first and isinstance(pool, nn.MaxPool2d)
            values = activation(pool(v)) if pool_first else pool(activation(v))
        if self.hidden is None:
            return _take_pixels(values, self.fc)
        v = _take_pixels(values, self.hidden)[:, :, None, None]  # as every activation is known to take it
        logits: Tensor = self.fc(getattr(self, f"activation{self.convolutions + 1}")(v).flatten(1))
        return logits


def _make_pool(pooling: str, *, first: bool) -> nn.Module:
    kinds = pooling.removesuffix("-3").split("-")
    pool = nn.MaxPool2d if (kinds[0] if first else kinds[-1]) == "max" else nn.AvgPool2d
    return pool(3, 2, ceil_mode=True) if pooling.endswith("-3") else pool(2)


def _take_pixels(values: Tensor, linear: nn.Linear) -> Tensor:
    """A linear layer of values of shape (N, C, H, W), whose weights are for flattened ones.

    It takes the pixels in the order that a channels-last tensor has in memory: flattened channels first, the values
    would be copied, and their gradient would come back in another order than the activation's values.
    """
    weight = linear.weight.view(-1, *values.shape[1:]).permute(0, 2, 3, 1).flatten(1)
    return functional.linear(values.permute(0, 2, 3, 1).flatten(1), weight, linear.bias)


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

    Like the paper's network it has no padding, and the same options.
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
