"""The paper's activation and other readings of its lost formula, as functions and as modules.

Equation numbers are those of docs/paper.md. Throughout, ``v`` is the input of an activation, ``a``
its learned parameter, and gamma = v / (2 exp(a)).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from fluidrelu_cli.networks.curves import A_LIMIT, LANGEVIN_SERIES


class _Fluid(torch.autograd.Function):
    """Equation (4) and its derivatives (5) and (6), in few passes over memory.

    With k = exp(-a) / 2 and d = max(1, 1 - k v), the function is f = v / d, df/dv = 1 / d**2 and
    df/da = -k min(0, f)**2. Only the backward pass needs the second output, d.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(v: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        one = torch.ones((), dtype=v.dtype, device=v.device)
        d = torch.addcmul(one, v, _k(a), value=-1).clamp_min_(1)
        return v / d, d

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs, *output)
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, _: None) -> tuple[Tensor | None, Tensor | None]:
        v, a, f, d = ctx.saved_tensors
        if grad is None:
            return None, None
        k = _k(a)
        if torch.is_grad_enabled():  # these derivatives will be differentiated in their turn
            d = 1 + v.neg().relu() * k
            f = v / d
            n = f.clamp(max=0)
            grad_v, grad_a = grad / d / d, grad * n * -k * n
        else:  # in place; what is written to has the gradient in it, so that vmap finds room for every batch
            n = f.clamp(max=0)
            grad_v, grad_a = (grad / d).div_(d), (grad * n).mul_(-k).mul_(n)
        return grad_v.sum_to_size(v.shape), grad_a.sum_to_size(a.shape)


# torch asks for it at every call; found anew each time it would take longer than the function does on a small batch.
_Fluid.forward.__signature__ = inspect.signature(_Fluid.forward)  # type: ignore[attr-defined]


def _k(a: Tensor) -> Tensor:
    """1 / (2 exp(a)): -gamma is k max(0, -v)."""
    return a.clamp(-A_LIMIT, A_LIMIT).neg().exp() / 2


def fluid(v: Tensor, a: Tensor) -> Tensor:
    """The paper's activation, equation (4): ``v`` for v >= 0, ``v / (1 - v / (2 exp(a)))`` for v < 0.

    Derivatives, equations (5) and (6): df/dv = 1 and df/da = 0 for v >= 0; for v < 0
    df/dv = 1 / (1 - gamma)**2 and df/da = -v gamma / (1 - gamma)**2. As a -> -inf, f -> ReLU; as
    a -> +inf, f -> v. It is strictly increasing in v.

    Args:
        v: input, any shape, any real floating-point type.
        a: parameter, of a shape that broadcasts against ``v``; beyond ±``A_LIMIT`` it acts as that.

    Returns:
        A tensor of the broadcast shape and of ``v``'s type (half types are computed in float32), finite
        with finite gradients wherever ``v`` and ``a`` are finite; in float32 exact to rounding, and to
        1e-38 max(1, abs(v)).

    Raises:
        TypeError: if ``v`` or ``a`` is not of a real floating-point type.
    """
    apply: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = _Fluid.apply  # torch leaves it untyped
    # The casts stand here because within the Function they made torch.compile of torch 2.11 return zero gradients.
    return apply(*_widen(v, a))[0].to(v.dtype)


def fluid_exp(v: Tensor, a: Tensor) -> Tensor:
    """Rival reconstruction: ``v`` for v >= 0, ``v exp(gamma)`` for v < 0 (docs/paper.md, "Other readings").

    Same limits as :func:`fluid`, but not monotone: it has a minimum at v = -2 exp(a).
    Shapes, types and errors as in :func:`fluid`.
    """
    wide, a = _widen(v, a)
    return (wide * torch.exp(wide.clamp(max=0) * _k(a))).to(v.dtype)


def fluid_coth(v: Tensor, a: Tensor) -> Tensor:
    """Rival reconstruction: ``v`` for v >= 0, ``v (1 + coth gamma - 1/gamma)`` for v < 0.

    This is equation (2) with the un-approximated characteristic function (docs/paper.md, "Other readings").
    Near gamma = 0 the difference of two poles is replaced by its Taylor series. Shapes, types and errors
    as in :func:`fluid`; gradients are finite for abs(v) <= 1e37.
    """
    wide, a = _widen(v, a)
    x = wide.neg().relu() * _k(a)
    # With gamma = -x, the factor of v is 1/x - 2/(exp(2x) - 1). Both branches are worked out everywhere, each at
    # arguments where it and its derivatives are finite, and 0 or 1 chooses: `torch.where` takes many times longer.
    near = (x < 0.5).to(x.dtype)
    small, large = x.clamp(max=1), x.clamp(min=0.1)
    square, series = small * small, torch.zeros_like(x)
    for coefficient in reversed(LANGEVIN_SERIES):
        series = series * square + coefficient
    decay = torch.exp(-2 * large)
    factor = near * (1 - small * series) + (1 - near) * (1 / large - 2 * decay / (1 - decay))
    return (wide * factor).to(v.dtype)


def fluid_critical(v: Tensor, a: Tensor) -> Tensor:
    """Another reading: ``max(v, -2 exp(a))``, from the critical approximation of (2) (docs/paper.md, "Other readings").

    Where v <= -2 exp(a), df/dv = 0 and df/da = -2 exp(a); elsewhere df/dv = 1 and df/da = 0. The bend has the
    flat side's derivatives, as ReLU's has in torch, so that pooling first gives the same gradients.
    Shapes, types and errors as in :func:`fluid`.
    """
    wide, a = _widen(v, a)
    floor = -2 * a.clamp(-A_LIMIT, A_LIMIT).exp()
    # torch.maximum and clamp would halve the gradient where both are equal; NaN has to stay visible.
    return torch.where((wide > floor) | wide.isnan(), wide, floor).to(v.dtype)


def fluid_third(v: Tensor, a: Tensor) -> Tensor:
    """Another reading: ``v`` for v >= 0, ``v / (1 - gamma / 3)`` for v < 0, which is fluid(v, a + ln 3).

    It differs from :func:`fluid` in nothing but where ``a`` starts. Shapes, types and errors as there.
    """
    return fluid(v, _widen(v, a)[1] + math.log(3))


def _widen(v: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    """Both in their common type, float32 at least; TypeError as in :func:`fluid`."""
    if not (v.is_floating_point() and a.is_floating_point()):
        raise TypeError(f"the activation needs floating-point tensors, not {v.dtype} and {a.dtype}")
    dtype = torch.promote_types(torch.promote_types(v.dtype, a.dtype), torch.float32)
    return v.to(dtype), a.to(dtype)


class ParametricActivation(nn.Module):
    """An activation with one learned parameter ``a`` per kernel, with :class:`torch.nn.PReLU`'s conventions.

    A subclass of your own only names its ``function`` of (v, a), and its ``beta`` if ``a`` shall learn faster.

    Args:
        num_parameters: the number of channels (dimension 1 of the input), or 1 to share ``a`` by all.
        init: the value that every ``a`` starts from; the paper's is 0.

    Raises:
        ValueError: if ``num_parameters`` is below 1, or the input's channels do not match it.
    """

    function: Callable[[Tensor, Tensor], Tensor]

    beta: float | None = 1.0
    """The factor on the gradient of ``a``, which belongs to a function as its formula does; None: the protocol's, which
    is the paper's (equations (7) and (8))."""

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if num_parameters < 1:
            raise ValueError(f"num_parameters must be at least 1, not {num_parameters}")
        self.num_parameters = num_parameters
        self.init = init
        self.a = nn.Parameter(torch.full((num_parameters,), float(init), device=device, dtype=dtype))

    def forward(self, v: Tensor) -> Tensor:
        """Apply the function; ``v`` has shape (N, C, ...) with C = ``num_parameters``, or any if that is 1."""
        if self.num_parameters == 1:
            return type(self).function(v, self.a.squeeze(0))
        if v.ndim < 2 or v.shape[1] != self.num_parameters:
            raise ValueError(
                f"{type(self).__name__}(num_parameters={self.num_parameters}) needs an input of shape"
                f" (N, {self.num_parameters}, ...), not {tuple(v.shape)}"
            )
        return type(self).function(v, self.a.view(-1, *[1] * (v.ndim - 2)))

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}, init={self.init}"


class FluidReLU(ParametricActivation):
    """The paper's activation as a module: :func:`fluid` with one learned ``a`` per kernel."""

    function = staticmethod(fluid)
    beta: float | None = None


class FluidExp(ParametricActivation):
    """The rival :func:`fluid_exp` as a module."""

    function = staticmethod(fluid_exp)
    beta: float | None = None


class FluidCoth(ParametricActivation):
    """The rival :func:`fluid_coth` as a module."""

    function = staticmethod(fluid_coth)
    beta: float | None = None


class FluidCritical(ParametricActivation):
    """The reading :func:`fluid_critical` as a module."""

    function = staticmethod(fluid_critical)
    beta: float | None = None


class FluidThird(ParametricActivation):
    """The reading :func:`fluid_third` as a module."""

    function = staticmethod(fluid_third)
    beta: float | None = None


class FluidFixed(nn.Module):
    """:func:`fluid` with ``a`` fixed at 0, where the paper's starts: ``v / (1 - v / 2)`` for v < 0. Nothing is learned.

    It shows what of an effect is the function's, and what is the learning's.
    """

    def forward(self, v: Tensor) -> Tensor:
        wide = v.to(torch.promote_types(v.dtype, torch.float32))
        return (wide / (1 + wide.neg().relu() / 2)).to(v.dtype)
