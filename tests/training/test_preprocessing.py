"""Scaling and augmentation against torch's own functions, an image at a time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from fluidrelu_cli.protocol import SETTINGS
from fluidrelu_cli.training.preprocessing import PADDING, Scaling, draw_flip_crops, flip_crop


def some_images(count: int = 7, channels: int = 3, height: int = 6, width: int = 5, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(("channels", "pixels"), [(1, "auto"), (1, "unit"), (3, "unit")])
def test_pixels_are_in_0_to_1_unless_standardised(channels: int, pixels: str) -> None:
    images = some_images(channels=channels)
    scaled = Scaling(images, pixels)(images)
    assert scaled.dtype == torch.float32
    assert torch.equal(scaled, images / 255)


@pytest.mark.parametrize(("channels", "pixels"), [(3, "auto"), (2, "auto"), (1, "standardised"), (3, "standardised")])
def test_standardised_channels_have_mean_0_and_sd_1_over_the_training_images(channels: int, pixels: str) -> None:
    training, others = some_images(channels=channels), some_images(4, channels, seed=1)
    floats = training.double() / 255
    mean = floats.mean((0, 2, 3), keepdim=True)
    sd = floats.std((0, 2, 3), correction=0, keepdim=True)
    scaling = Scaling(training, pixels)
    for images in (training, others):
        scaled = scaling(images)
        assert scaled.dtype == torch.float32
        torch.testing.assert_close(scaled.double(), (images.double() / 255 - mean) / sd, rtol=1e-5, atol=1e-5)
    own = scaling(training).double()
    torch.testing.assert_close(own.mean((0, 2, 3)), torch.zeros(channels).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(own.std((0, 2, 3), correction=0), torch.ones(channels).double(), rtol=1e-6, atol=0)


def test_standardisation_by_literals() -> None:
    """Levels 0 and 100 in one channel, 10, 10, 10 and 50 in the other: means 50 and 20, SDs 50 and sqrt 300."""
    images = torch.tensor([[[[0, 100]], [[10, 10]]], [[[0, 100]], [[10, 50]]]], dtype=torch.uint8)
    low, high = -10 / 300**0.5, 30 / 300**0.5
    expected = torch.tensor([[[[-1.0, 1.0]], [[low, low]]], [[[-1.0, 1.0]], [[low, high]]]])
    torch.testing.assert_close(Scaling(images, "auto")(images), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        ("unit", [[0, 1], [0.2, 0.6]]),
        ("byte", [[0, 255], [51, 153]]),
        ("by-256", [[0, 255 / 256], [51 / 256, 153 / 256]]),
        ("centred", [[-0.5, 0.25], [0.1, 0.3]]),
        ("byte-centred", [[-127.5, 63.75], [25.5, 76.5]]),
        ("standardised", [[-1, 1], [-0.6, 0.2]]),
    ],
)
def test_pixels_by_literals(pixels: str, expected: list[list[float]]) -> None:
    """Levels 0, 255 and 51, 153 in one image; the mean image of both has 127.5, 191.25, 25.5 and 76.5."""
    training = torch.tensor([[[[0, 255], [51, 153]]], [[[255, 127], [0, 0]]]], dtype=torch.uint8)
    if pixels.endswith("centred"):
        training = training.repeat(2, 1, 1, 1)
        training[1, 0, 0, 1], training[3, 0, 0, 1] = 128, 127  # 255 + 128 + 255 + 127 is 4 x 191.25
    if pixels == "standardised":
        training = torch.tensor([[[[0, 255], [0, 255]]]], dtype=torch.uint8)  # mean and SD 127.5
    found = Scaling(training, pixels)(torch.tensor([[[[0, 255], [51, 153]]]], dtype=torch.uint8))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found[0, 0], torch.tensor(expected, dtype=torch.float32), rtol=1e-6, atol=0)


@pytest.mark.parametrize("level", [0, 77, 255])
def test_a_channel_of_one_level_becomes_0(level: int) -> None:
    images = some_images()
    images[:, 1] = level
    scaled = Scaling(images, "auto")(images)
    assert torch.equal(scaled[:, 1], torch.zeros(7, 6, 5))
    assert scaled.isfinite().all()
    others = some_images(seed=1)
    expected = (others[:, 1].float() - level) / 255
    torch.testing.assert_close(Scaling(images, "auto")(others)[:, 1], expected)


def test_several_batches_are_scaled_at_once() -> None:
    """As the networks of several seeds are shown them: (S, N, C, H, W)."""
    images = some_images(6)
    for pixels in SETTINGS["pixels"].choices:
        scaling = Scaling(images, pixels)
        assert torch.equal(scaling(images.view(2, 3, 3, 6, 5)), scaling(images).view(2, 3, 3, 6, 5))


def test_scaling_leaves_the_images_alone() -> None:
    images = some_images()
    before = images.clone()
    for pixels in SETTINGS["pixels"].choices:
        Scaling(images, pixels)(images)
    assert torch.equal(images, before)


def one_by_one(images: Tensor, choices: Tensor) -> Tensor:
    """Each image padded, cropped and flipped by torch's own functions."""
    height, width = images.shape[2:]
    found = []
    for image, (row, column, flip) in zip(images, choices.tolist(), strict=True):
        padded = functional.pad(image, (4, 4, 4, 4))
        crop = padded[:, row : row + height, column : column + width]
        found.append(torch.flip(crop, (2,)) if flip else crop)
    return torch.stack(found)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.integers(0, 10**6), st.booleans())
def test_flip_crop_does_to_each_image_what_torch_does_to_one(
    count: int, channels: int, height: int, width: int, seed: int, as_floats: bool
) -> None:
    images = some_images(count, channels, height, width, seed)
    if as_floats:
        images = images.float()
    choices = draw_flip_crops(count, torch.Generator().manual_seed(seed))
    found = flip_crop(images, choices)
    assert found.dtype == images.dtype
    assert torch.equal(found, one_by_one(images, choices))


def test_flip_crop_by_literals() -> None:
    image = torch.tensor([[[[1, 2, 3], [4, 5, 6]]]], dtype=torch.uint8)
    for choice, expected in (
        ((4, 4, 0), [[1, 2, 3], [4, 5, 6]]),
        ((4, 4, 1), [[3, 2, 1], [6, 5, 4]]),
        ((5, 4, 0), [[4, 5, 6], [0, 0, 0]]),
        ((4, 3, 0), [[0, 1, 2], [0, 4, 5]]),
        ((4, 3, 1), [[2, 1, 0], [5, 4, 0]]),
        ((3, 6, 0), [[0, 0, 0], [3, 0, 0]]),
        ((0, 0, 0), [[0, 0, 0], [0, 0, 0]]),
        ((8, 8, 1), [[0, 0, 0], [0, 0, 0]]),
    ):
        assert flip_crop(image, torch.tensor([choice])).tolist() == [[expected]]


def test_the_middle_crop_without_a_flip_is_the_image() -> None:
    images = some_images(5)
    found = flip_crop(images, torch.tensor([[PADDING, PADDING, 0]] * 5))
    assert found.dtype == torch.uint8
    assert torch.equal(found, images)


def test_flip_crop_leaves_the_images_alone() -> None:
    images = some_images(5)
    before = images.clone()
    flip_crop(images, draw_flip_crops(5, torch.Generator().manual_seed(0))).fill_(0)
    assert torch.equal(images, before)


def test_every_crop_is_drawn_equally_often_and_half_are_flipped() -> None:
    """Each of 81 places with and without a flip: 162 cells of 200 expected, each within five SDs."""
    count = 162 * 200
    choices = draw_flip_crops(count, torch.Generator().manual_seed(0))
    assert choices.shape == (count, 3)
    assert choices.dtype == torch.int64
    assert choices.min(0).values.tolist() == [0, 0, 0]
    assert choices.max(0).values.tolist() == [8, 8, 1]
    cells = torch.bincount((choices * torch.tensor([18, 2, 1])).sum(1), minlength=162)
    assert len(cells) == 162
    assert (cells - 200).abs().max().item() < 5 * 200**0.5


def test_draws_are_the_generators_and_leave_the_global_one_alone() -> None:
    before = torch.random.get_rng_state()
    generator = torch.Generator().manual_seed(3)
    first, second = draw_flip_crops(40, generator), draw_flip_crops(40, generator)
    assert torch.equal(first, draw_flip_crops(40, torch.Generator().manual_seed(3)))
    assert not torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), before)
