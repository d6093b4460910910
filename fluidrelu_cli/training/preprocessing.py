"""What happens to each batch of images before the network sees it: scaling, and augmentation if asked for."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

PADDING = 4
"""How many black pixels flip_crop adds on each side before it crops."""


class Scaling:
    """uint8 images as floats: x / 255, in [0, 1], or standardised, (x / 255 - mean) / SD of each channel.

    Args:
        images: the training images, uint8 of shape (N, C, H, W), which give the means and SDs.
        standardise: always, never, or colour: only images of more than one channel.
        device: where the images to scale will be.
    """

    def __init__(self, images: Tensor, standardise: str, device: torch.device | None = None) -> None:
        channels = images.shape[1]
        self._shift: Tensor | None = None
        self._scale: Tensor | None = None
        if standardise == "always" or (standardise == "colour" and channels > 1):
            levels = torch.arange(256, dtype=torch.float64)
            # Counts are exact for any number of images, sums of floats are not.
            counts = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in images.unbind(1)])
            shares = counts.double() / counts[0].sum().item()
            means = shares @ levels
            sds = ((levels - means[:, None]).square() * shares).sum(1).sqrt()
            sds[sds == 0] = 255.0  # a channel of one level has no contrast to scale
            self._shift = means.float().view(channels, 1, 1).to(device)
            self._scale = sds.float().view(channels, 1, 1).to(device)

    def __call__(self, images: Tensor) -> Tensor:
        """Scale uint8 images of shape (..., C, H, W) to float32."""
        if self._shift is None or self._scale is None:
            return images.float().div_(255)
        return images.float().sub_(self._shift).div_(self._scale)


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
