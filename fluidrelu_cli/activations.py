"""The paper's activation and its two rival reconstructions, as functions and as modules.

Equation numbers are those of docs/paper.md. Throughout, ``v`` is the input of an activation, ``a``
its learned parameter, and gamma = v / (2 exp(a)).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

A_LIMIT = 100.0
"""exp(a) is evaluated at a clamped to ±A_LIMIT. Beyond it the function has long reached its limits
(ReLU and the identity), while exp(±a/2) is still far from overflow in float32."""


class _Fluid(torch.autograd.Function):
    """Equation (4) with the derivatives (5) and (6), of every order.

    With n = max(0, -v), c = 2 exp(a) and x = n / c = -gamma, the outputs are

        f = max(0, v) - n c / (n + c),    r = 1 / (1 + x),    y = 1 - r = 1 / (1 + 1/x),

    because df/dv = r**2, df/da = min(0, f) y, dr/da = r y and dr/dv = r / (c + n) for v < 0. As r and y
    are outputs themselves, the backward pass is made of differentiable quantities.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(v: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        dtype = _working_type(v, a)
        half = a.to(dtype).clamp(-A_LIMIT, A_LIMIT) / 2
        n = v.to(dtype).neg().relu_()
        one = torch.ones((), dtype=dtype, device=v.device)
        # x = u exp(-a/2): two factors, because exp(-a) alone leaves float32's range before a does.
        # u may become 0 or inf; 1/inf = 0 and 1/0 = inf then give r and y their exact limits.
        u = n * (torch.exp(-half) / 2)
        r = torch.addcmul(one, u, torch.exp(-half)).reciprocal_()
        y = torch.addcmul(one, u.reciprocal(), torch.exp(half)).reciprocal_()
        # n c / (n + c) = n r = c y; the smaller factor with the larger ratio never over- or underflows.
        f = v.relu() - torch.minimum(n, 2 * torch.exp(2 * half)) * torch.maximum(r, y)
        return f, r, y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(*inputs, *output)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(
        ctx: Any, grad_f: Tensor | None, grad_r: Tensor | None, grad_y: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        v, a, f, r, y = ctx.saved_tensors
        grad_v = grad_a = torch.zeros_like(r)
        if grad_f is not None:
            grad_v = grad_f * r * r
            grad_a = grad_f * f.clamp(max=0) * y
        if grad_r is not None or grad_y is not None:  # only a second derivative comes here
            grad = (0 if grad_r is None else grad_r) - (0 if grad_y is None else grad_y)
            c = 2 * torch.exp(a.to(r.dtype).clamp(-A_LIMIT, A_LIMIT))
            grad_v = grad_v + torch.where(v < 0, grad * r / (c - v), 0)
            grad_a = grad_a + grad * r * y
        return grad_v.sum_to_size(v.shape).to(v.dtype), grad_a.sum_to_size(a.shape).to(a.dtype)


def fluid(v: Tensor, a: Tensor) -> Tensor:
    """The paper's activation, equation (4): ``v`` for v >= 0, ``v / (1 - v / (2 exp(a)))`` for v < 0.

    Derivatives, equations (5) and (6): df/dv = 1 and df/da = 0 for v >= 0; for v < 0
    df/dv = 1 / (1 - gamma)**2 and df/da = -v gamma / (1 - gamma)**2. As a -> -inf, f -> ReLU; as
    a -> +inf, f -> v. It is strictly increasing in v.

    Args:
        v: input, any shape, any real floating-point type.
        a: parameter, of a shape that broadcasts against ``v``. Below -100 and above 100 it acts as ±100.

    Returns:
        A tensor of the broadcast shape and of ``v``'s type (half types are computed in float32),
        finite with finite gradients wherever ``v`` and ``a`` are finite.

    Raises:
        TypeError: if ``v`` or ``a`` is not of a real floating-point type.
    """
    _check_types(v, a)
    apply: Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]] = _Fluid.apply  # torch leaves it untyped
    # The cast stands here because within the Function it made torch.compile of torch 2.11 return zero gradients.
    return apply(v, a)[0].to(v.dtype)


def fluid_exp(v: Tensor, a: Tensor) -> Tensor:
    """Rival reconstruction: ``v`` for v >= 0, ``v exp(gamma)`` for v < 0 (docs/paper.md, "Rivals").

    Same limits as :func:`fluid`, but not monotone: it has a minimum at v = -2 exp(a).
    Shapes, types and errors as in :func:`fluid`.
    """
    wide, x, _ = _widened(v, a)
    return (wide * torch.exp(-x)).to(v.dtype)


def fluid_coth(v: Tensor, a: Tensor) -> Tensor:
    """Rival reconstruction: ``v`` for v >= 0, ``v (1 + coth gamma - 1/gamma)`` for v < 0.

    This is equation (2) with the un-approximated characteristic function (docs/paper.md, "Rivals").
    Near gamma = 0 the difference of two poles is replaced by its Taylor series. Shapes, types and errors
    as in :func:`fluid`.
    """
    wide, x, half = _widened(v, a)
    near = x < 0.5
    # Each branch sees only arguments at which its value and derivatives are finite: `where` multiplies the
    # gradient of the branch that it leaves out by 0, and 0 times infinity is not a number.
    near_x = torch.where(near, x, 0)
    series = sum(coefficient * near_x**power for power, coefficient in _LANGEVIN_SERIES)
    # With c = 2 exp(a) and v = -c x: v (1 - coth x + 1/x) = -c (1 - 2x / (exp(2x) - 1)); exp(-80) is nothing to 1.
    far_x = 2 * torch.where(near, 1, x.clamp(max=40))
    c = 2 * torch.exp(2 * torch.where(near, 0, half))
    return torch.where(near, wide * (1 - series), c * (far_x / torch.expm1(far_x) - 1)).to(v.dtype)


_LANGEVIN_SERIES = (
    (1, 1 / 3),
    (3, -1 / 45),
    (5, 2 / 945),
    (7, -1 / 4725),
    (9, 2 / 93555),
    (11, -1382 / 638512875),
    (13, 4 / 18243225),
)
"""coth g - 1/g = sum of coefficient * g**power; at |g| = 0.5 the first omitted term is below 1e-12."""


def _widened(v: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """In float32 at least: v; x = max(0, -gamma); and a / 2. TypeError as in :func:`fluid`."""
    _check_types(v, a)
    dtype = _working_type(v, a)
    wide = v.to(dtype)
    half = a.to(dtype).clamp(-A_LIMIT, A_LIMIT) / 2
    # Two factors, because exp(-a) alone leaves float32's range before a does.
    return wide, wide.neg().relu() * (torch.exp(-half) / 2) * torch.exp(-half), half


def _check_types(v: Tensor, a: Tensor) -> None:
    if not (v.is_floating_point() and a.is_floating_point()):
        raise TypeError(f"the activation needs floating-point tensors, not {v.dtype} and {a.dtype}")


def _working_type(v: Tensor, a: Tensor) -> torch.dtype:
    return torch.promote_types(torch.promote_types(v.dtype, a.dtype), torch.float32)


class ParametricActivation(nn.Module):
    """An activation with one learned parameter ``a`` per kernel, with :class:`torch.nn.PReLU`'s conventions.

    The training multiplies the gradient of ``a`` by the protocol's beta, equations (7) and (8); a subclass
    of your own only names its ``function`` of (v, a).

    Args:
        num_parameters: the number of channels (dimension 1 of the input), or 1 to share ``a`` by all.
        init: the value that every ``a`` starts from; the paper's is 0.

    Raises:
        ValueError: if ``num_parameters`` is below 1, or the input's channels do not match it.
    """

    function: Callable[[Tensor, Tensor], Tensor]

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


class FluidExp(ParametricActivation):
    """The rival :func:`fluid_exp` as a module."""

    function = staticmethod(fluid_exp)


class FluidCoth(ParametricActivation):
    """The rival :func:`fluid_coth` as a module."""

    function = staticmethod(fluid_coth)
