"""One seed gives independent random streams, and a run that repeats to the last digit.

A seed does not fix the kind of processor, the number of threads or the version of torch. Each may change how a sum is
rounded, so every run's provenance records them.
"""

from __future__ import annotations

import hashlib
import os
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
