"""Streams of a seed: the numbers are part of every published result, so they are pinned."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import get_args

import pytest
import torch

from fluidrelu_cli.seeding import Stream, generator, make_deterministic, stream_seed

STREAMS: tuple[Stream, ...] = get_args(Stream)


@pytest.mark.parametrize(
    ("seed", "stream", "expected"),
    [
        (0, "weights", 6110361511883017424),
        (0, "activations", 1738993291536124461),
        (0, "data order", 4235703565590767555),
        (0, "augmentation", 7352972458600809654),
        (0, "training", 5628751480885213080),
        (1, "weights", 3164522418354655239),
        (0, "validation split", 531302470055841493),
        (1, "activations", 3904300022445160421),
        (1, "data order", 8171553833276684213),
        (1, "augmentation", 3991890477715653656),
        (1, "training", 6568578136330300362),
    ],
)
def test_stream_seeds_never_change(seed: int, stream: Stream, expected: int) -> None:
    assert stream_seed(seed, stream) == expected


def test_streams_and_seeds_differ() -> None:
    seeds = {stream_seed(seed, stream) for seed in range(100) for stream in STREAMS}
    assert len(seeds) == 600
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_generator_repeats_its_numbers_and_each_stream_has_its_own() -> None:
    before = torch.random.get_rng_state()
    draws = {
        (seed, stream): torch.randperm(50, generator=generator(seed, stream)) for seed in (0, 1) for stream in STREAMS
    }
    assert torch.equal(torch.random.get_rng_state(), before)
    assert len({tuple(draw.tolist()) for draw in draws.values()}) == 12
    for (seed, stream), draw in draws.items():
        assert torch.equal(torch.randperm(50, generator=generator(seed, stream)), draw)


@pytest.fixture
def process_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever make_deterministic changes in this process is put back."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "recorded, so that it is put back")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    benchmark = torch.backends.cudnn.benchmark
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = benchmark
    torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


@pytest.mark.usefixtures("process_settings")
def test_make_deterministic() -> None:
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(False)
    make_deterministic(torch.device("cpu"))
    assert torch.get_num_threads() == 1
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


@pytest.mark.usefixtures("process_settings")
def test_make_deterministic_keeps_a_workspace_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    make_deterministic(torch.device("cpu"))
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
