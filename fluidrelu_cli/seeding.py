"""One seed gives independent random streams, and a run that repeats to the last digit.

A seed does not fix the kind of processor, the number of threads or the version of torch. Each may change how a sum is
rounded, so every run's provenance records them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Stream = Literal["weights", "activations", "data order", "augmentation", "training", "validation split"]

THREADS = 1
"""torch threads of every trial, wherever it is trained. Sums are then always rounded alike, and one process per core
is the faster way to use many cores."""


def stream_seed(seed: int, stream: Stream) -> int:
    """A 63-bit seed for one stream; streams of one seed, and of neighbouring seeds, are unrelated."""
    digest = hashlib.sha256(f"fluidrelu {stream} {seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, stream: Stream) -> torch.Generator:
    """A CPU generator for one stream: the same numbers whatever device the trial runs on."""
    import torch

    return torch.Generator().manual_seed(stream_seed(seed, stream))


def make_deterministic(device: torch.device) -> None:
    """Set this process up so that a trial always computes the same numbers. Call it before training.

    MPS cannot promise that, because its max-pooling has no deterministic gradient.
    """
    import torch

    torch.set_num_threads(THREADS)
    # cuBLAS reads this when it starts; without it torch refuses deterministic matrix products on a GPU.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32 on every device
    torch.use_deterministic_algorithms(device.type != "mps")
    # Deterministic mode would also fill every new tensor; nothing here reads uninitialised memory.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@contextlib.contextmanager
def own_torch_settings() -> Iterator[None]:
    """Train in a process that belongs to somebody else: start from torch's defaults, and put back what was set.

    These are the default type and device, the number of threads, determinism, TF32, and the global random numbers.
    """
    import torch

    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    benchmark, tf32 = torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
    threads, dtype, device = torch.get_num_threads(), torch.get_default_dtype(), torch.get_default_device()
    random_state = torch.get_rng_state()
    torch.set_default_dtype(torch.float32)
    torch.set_default_device("cpu")
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_default_device(device)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = benchmark, tf32
        torch.set_rng_state(random_state)
