"""The weights of a trained network as a safetensors file. It holds tensors alone, so that reading one runs no code."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fluidrelu_cli.errors import DamagedFileError, UsageError, one_line


def load_safetensors() -> Any:
    """The module safetensors.torch; UsageError if it is not installed."""
    try:
        return importlib.import_module("safetensors.torch")
    except ImportError as error:
        raise UsageError(
            f"The weights of a network are kept with safetensors ({one_line(error)}): install it with"
            " `pip install safetensors`."
        ) from error


def pack(state: Mapping[str, Any]) -> bytes:
    """The content of a safetensors file with a state_dict.

    Raises UsageError if safetensors is not installed, or the state_dict has more than tensors.
    """
    other = next((name for name, value in state.items() if not isinstance(value, Tensor)), None)
    if other is not None:
        raise UsageError(
            f"The network's state_dict has '{other}', which is no tensor: train without --save-weights, or leave it out"
            " of the network's state."
        )
    # Each tensor of its own, because a network may use one in two places, which a file cannot say.
    copies = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in state.items()}
    content: bytes = load_safetensors().save(copies)
    return content


def unpack(content: bytes) -> dict[str, Tensor]:
    """The state_dict in the content of a safetensors file.

    Raises UsageError if safetensors is not installed, and DamagedFileError if it is no such content.
    """
    load = load_safetensors().load
    try:
        state: dict[str, Tensor] = load(content)
    except Exception as error:  # besides its own errors, whatever a type that torch does not have raises
        raise DamagedFileError(one_line(error)) from error
    return state


def find_difference(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float | None:
    """The largest absolute difference between the weights of two networks; None if they are equal bit for bit.

    It is infinite if the networks have other tensors, or one of two numbers is not finite.
    """
    if _list_shapes(one) != _list_shapes(other):
        return math.inf
    distances = [_measure(value, other[name]) for name, value in one.items() if not _is_same(value, other[name])]
    return max(distances, default=None)


def _list_shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[object, ...]]:
    return {name: (value.dtype, value.shape) for name, value in state.items()}


def _is_same(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8))


def _measure(one: Tensor, other: Tensor) -> float:
    largest = (one.double() - other.double()).abs().max().item()
    return largest if math.isfinite(largest) else math.inf
