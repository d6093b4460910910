"""What happens to each batch of images before the network sees it: scaling, and augmentation if asked for."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

PADDING = 4
"""How many black pixels flip_crop adds on each side before it crops."""


class Scaling:
    """uint8 images as floats, by a protocol's ``pixels``; x is a pixel's level from 0 to 255.

    ==============  ============================================================================================
    unit            x / 255, in [0, 1]
    byte            x, in [0, 255]
    by-256          x / 256, as Caffe's LeNet has it
    centred         (x - mean image) / 255; the mean image has the mean of each pixel, in each channel
    byte-centred    x - mean image, as Caffe's networks for CIFAR-10 and ImageNet have it
    standardised    (x - mean) / SD of each channel, over all its pixels
    auto            standardised if the images have several channels, else unit
    ==============  ============================================================================================

    Args:
        images: the training images, uint8 of shape (N, C, H, W), which give the means and SDs.
        pixels: one of the above.
        device: where the images to scale will be.
    """

    def __init__(self, images: Tensor, pixels: str, device: torch.device | None = None) -> None:
        if pixels == "auto":
            pixels = "standardised" if images.shape[1] > 1 else "unit"
        self._shift: Tensor | None = None
        self._scale: Tensor | float = {"by-256": 256.0, "byte": 1.0, "byte-centred": 1.0}.get(pixels, 255.0)
        if pixels == "standardised":
            means, sds = _measure_channels(images)
            self._shift, self._scale = means.to(device), sds.to(device)
        elif pixels in ("centred", "byte-centred"):
            # A sum of whole numbers is exact in any order.
            self._shift = (images.sum(0, dtype=torch.int64).double() / len(images)).float().to(device)

    def __call__(self, images: Tensor) -> Tensor:
        """Scale uint8 images of shape (..., C, H, W) to float32."""
        values = images.float()
        if self._shift is not None:
            values.sub_(self._shift)
        return values.div_(self._scale)


def _measure_channels(images: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and SD of each channel's levels, of shape (C, 1, 1)."""
    levels = torch.arange(256, dtype=torch.float64)
    # Counts are exact for any number of images, sums of floats are not.
    counts = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in images.unbind(1)])
    shares = counts.double() / counts[0].sum().item()
    means = shares @ levels
    sds = ((levels - means[:, None]).square() * shares).sum(1).sqrt()
    sds[sds == 0] = 255.0  # a channel of one level has no contrast to scale
    return means.float().view(-1, 1, 1), sds.float().view(-1, 1, 1)


def draw_flip_crops(images: int, generator: torch.Generator) -> Tensor:
    """Draw what flip_crop does to N images: (N, 3), a row and a column from 0 to 2 PADDING, and 1 or 0 for a flip."""
    places = torch.randint(2 * PADDING + 1, (images, 2), generator=generator)
    return torch.cat([places, torch.randint(2, (images, 1), generator=generator)], 1)


def flip_crop(images: Tensor, choices: Tensor) -> Tensor:
    """Pad each image with PADDING black pixels, crop it to its size at a drawn place, and flip some left to right.

    The usual augmentation of CIFAR-10 (He et al. 2016, section 4.2).

    Args:
        images: of shape (N, C, H, W).
        choices: of shape (N, 3), from draw_flip_crops.
    """
    height, width = images.shape[2:]
    padded = functional.pad(images, [PADDING] * 4)
    rows = choices[:, 0, None] + torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device).expand(len(images), -1)
    columns = choices[:, 1, None] + torch.where(choices[:, 2, None] == 1, width - 1 - columns, columns)
    which = torch.arange(len(images), device=images.device)
    # With index arrays on both sides of it, the axis of channels comes last.
    return padded[which[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
