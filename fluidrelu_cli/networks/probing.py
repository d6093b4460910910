"""What an activation does, found by trying it: habits that make a comparison say something else than it seems to."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

from fluidrelu_cli.networks.named import Activation
from fluidrelu_cli.protocol import is_own

if TYPE_CHECKING:
    from torch import Tensor, nn


@contextlib.contextmanager
def trying() -> Iterator[None]:
    """Try somebody's code in peace: it prints nothing, what it raises ends it, and no random number is used up."""
    import torch

    with (
        torch.random.fork_rng(devices=[]),
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
        contextlib.suppress(Exception, SystemExit),  # training reports what it raises
    ):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        yield


Habit = Literal[
    "stops gradients", "changes", "looks at others", "is linear", "has unused parameters", "shares parameters"
]


def describe_habits(activation: Activation) -> dict[Habit, str]:
    """A sentence for each habit that it has.

    There is none on what cannot be tried. Torch's random numbers go on afterwards as if nothing had been drawn.
    """
    habits: dict[Habit, str] = {}
    with trying():
        module = activation.make(4)
        shared = [name for name, one in module.named_parameters() if one.numel() == 1]
        if is_own(activation.name) and shared:
            habits["shares parameters"] = (
                f"{activation.name} learns one {', '.join(shared)} for all channels of a layer: for one per channel,"
                " let the constructor have a parameter num_parameters, which gets their number."
            )
        for habit, said in _find_habits(module):
            habits[habit] = f"{activation.name} {said}"
    return habits


def _find_habits(module: nn.Module) -> Iterator[tuple[Habit, str]]:
    import torch

    def apply(values: Tensor) -> Tensor:
        result: Tensor = module(values.clone())  # it may work in place
        return result

    # As many images as named._try has; values beyond where a clipped function is clipped, and within.
    v, w = 10 * torch.randn(2, 2, 4, 8, 8)
    trained = v.clone().requires_grad_()
    result = apply(trained)
    if result.requires_grad:
        (result * torch.randn_like(result)).sum().backward()  # type: ignore[no-untyped-call]
    if trained.grad is None or not trained.grad.any():
        slope = "so the layers before it never learn: it needs a slope that is not 0 everywhere."
        yield "stops gradients", f"passes no gradient back, {slope}"
    first, *others = (apply(v) for _ in range(8))
    if not all(_are_close(first, other) for other in others):
        yield (
            "changes",
            "gives different values for the same input while it trains (it draws random numbers or keeps a state), so"
            " its runs differ for that reason, too.",
        )
        return  # what follows compares outputs
    half = torch.rand_like(v) < 0.5
    changed = [(apply(torch.where(which, 10 * w, v)), ~which) for which in (half, ~half)]
    if not all(_are_close(result[kept], first[kept]) for result, kept in changed):
        yield "looks at others", "does not act on each unit alone: its value at one unit depends on others."
    may_be_linear = _is_linear(apply, v, w)
    with torch.no_grad():
        for parameter in module.parameters():  # a learned slope may only start where the function is linear
            parameter.uniform_(-1, 1)
    if may_be_linear and _is_linear(apply, v, w):
        yield "is linear", "is linear, so the network's only non-linearity is its pooling, if it has any."
    if (result := apply(v)).requires_grad:
        result.sum().backward()  # type: ignore[no-untyped-call]
    unused = find_unused(module)
    if unused:
        advice = "use it in forward so that a gradient reaches it, or leave it out."
        yield "has unused parameters", f"never learns {unused}: {advice}"


def find_unused(module: nn.Module) -> str:
    """The parameters that no gradient has reached, by name, with commas; the first few. One of 0 has reached them."""
    names = [name for name, one in module.named_parameters() if one.requires_grad and one.grad is None]
    return ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")


def _is_linear(apply: Callable[[Tensor], Tensor], v: Tensor, w: Tensor) -> bool:
    """Whether the value in the middle between two inputs is in the middle between their values."""
    return _are_close(apply((v + w) / 2), (apply(v) + apply(w)) / 2)


def _are_close(v: Tensor, w: Tensor) -> bool:
    import torch

    return torch.allclose(v, w, rtol=1e-4, atol=1e-4, equal_nan=True)
