"""What is measured of a data set, by numbers that can be checked by hand."""

from __future__ import annotations

import numpy as np
import torch

from fluidrelu_cli.data.dataset import Dataset
from fluidrelu_cli.data.inspection import Pixels, count_duplicates, measure_pixels


def test_pixels_are_measured_by_channel() -> None:
    images = torch.zeros(1001, 2, 1, 2, dtype=torch.uint8)  # more than are counted at once
    images[:, 1, 0, 1] = 200
    assert measure_pixels(images) == [Pixels(0, 0, 1, 0.0, 0.0), Pixels(0, 200, 2, 100.0, 100.0)]
    noise = torch.from_numpy(np.random.default_rng(0).integers(256, size=(50, 1, 4, 4), dtype=np.uint8))
    [measured] = measure_pixels(noise)
    assert np.allclose([measured.mean, measured.sd], [noise.double().mean(), noise.double().std(correction=0)])


def test_duplicates_are_equal_to_the_last_pixel() -> None:
    train = torch.arange(4 * 9, dtype=torch.uint8).view(4, 1, 3, 3)
    test = torch.stack([train[1], train[2], train[2], 255 - train[3]])
    dataset = Dataset(train, torch.tensor([0, 1, 2, 0]), test, torch.tensor([1, 2, 1, 0]), 3)
    assert count_duplicates(dataset) == (3, 1)
