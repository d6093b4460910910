"""Initial weights of any network by a rule of its study's protocol, instead of those that it was built with."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from fluidrelu_cli.errors import UsageError

CONVOLUTIONS = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)

TRUNCATED_SD = 0.1
"""The SD before truncation, and the bias, of truncated-normal-0.1."""


def draw_weights(module: nn.Module, rule: str, generator: torch.Generator, spared: Collection[nn.Module] = ()) -> None:
    """Draw the weights of a network's convolutions and linear layers, in the order of its modules; set their biases.

    ======================  ============================================================================================
    lecun-normal            N(0, 1 / fan_in) (variances), bias 0
    lecun-uniform           U(-b, b) with b = sqrt(3 / fan_in), bias 0; what Caffe calls xavier
    glorot-uniform          U(-b, b) with b = sqrt(6 / (fan_in + fan_out)), bias 0 (Glorot and Bengio 2010)
    he-normal               N(0, 2 / fan_in), bias 0 (He et al. 2015)
    normal-0.01             normal with SD 0.01, bias 0
    truncated-normal-0.1    normal with SD 0.1, drawn again beyond two SDs, and bias 0.1, as in TensorFlow's tutorials
    caffe-quick             normal, SD 0.0001 in the first convolution, 0.01 in the others, 0.1 in linear layers, bias 0
                            (Caffe, examples/cifar10/cifar10_quick_train_test.prototxt)
    ======================  ============================================================================================

    Layers of normalisation and parameters of other kinds stay as they are.

    Args:
        module: the network.
        rule: one of the above.
        generator: where the random numbers come from.
        spared: its activations, whose parts are not drawn.

    Raises:
        UsageError: if it has no such layer, or one computes its weights from others.
    """
    own = {id(part) for activation in spared for part in activation.modules()}
    layers = [
        (name, part)
        for name, part in module.named_modules()
        if isinstance(part, (nn.Linear, *CONVOLUTIONS)) and id(part) not in own
    ]
    if not layers:
        raise UsageError(f"The network has no layer whose weights --init {rule} draws: leave it out.")
    first = next((part for _, part in layers if isinstance(part, CONVOLUTIONS)), None)
    for name, part in layers:
        if not isinstance(part.weight, nn.Parameter):  # as by torch.nn.utils.parametrizations
            raise UsageError(f"The weights of the network's '{name}' are computed from others: leave --init out.")
        with torch.no_grad():
            _draw(part.weight, rule, generator, is_linear=isinstance(part, nn.Linear), is_first=part is first)
            if part.bias is not None:
                part.bias.fill_(TRUNCATED_SD if rule == "truncated-normal-0.1" else 0)


def _draw(weight: Tensor, rule: str, generator: torch.Generator, *, is_linear: bool, is_first: bool) -> None:
    if rule == "lecun-normal":
        nn.init.kaiming_normal_(weight, nonlinearity="linear", generator=generator)
    elif rule == "lecun-uniform":
        nn.init.kaiming_uniform_(weight, nonlinearity="linear", generator=generator)
    elif rule == "glorot-uniform":
        nn.init.xavier_uniform_(weight, generator=generator)
    elif rule == "he-normal":
        nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
    elif rule == "normal-0.01":
        weight.normal_(0, 0.01, generator=generator)
    elif rule == "truncated-normal-0.1":
        ends = -2 * TRUNCATED_SD, 2 * TRUNCATED_SD
        nn.init.trunc_normal_(weight, 0, TRUNCATED_SD, *ends, generator=generator)
    elif rule == "caffe-quick":
        weight.normal_(0, 0.1 if is_linear else 0.0001 if is_first else 0.01, generator=generator)
    else:
        raise ValueError(f"there is no rule {rule}")
