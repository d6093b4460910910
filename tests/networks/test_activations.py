"""The paper's activation against hand-worked numbers and a 60-digit reference, and the other readings."""

from __future__ import annotations

import math
import shutil
import sysconfig
from collections.abc import Callable
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Literal

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from fluidrelu_cli.networks.activations import (
    FluidCoth,
    FluidCritical,
    FluidExp,
    FluidReLU,
    FluidThird,
    ParametricActivation,
    fluid,
    fluid_coth,
    fluid_critical,
    fluid_exp,
    fluid_third,
)
from fluidrelu_cli.networks.curves import A_LIMIT

F16, BF16, F32, F64 = torch.float16, torch.bfloat16, torch.float32, torch.float64
OTHERS = (fluid_exp, fluid_coth, fluid_critical, fluid_third)
# The drawn width of each type; bfloat16 numbers are rounded float32 ones.
WIDTHS: dict[torch.dtype, Literal[16, 32, 64]] = {F16: 16, BF16: 32, F32: 32, F64: 64}
Function = Callable[[Tensor, Tensor], Tensor]
Numbers = tuple[Decimal, Decimal, Decimal]


def value_and_gradients(function: Function, v: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """f, df/dv and df/da of elements that do not share a parameter: v and a have one shape."""
    v, a = v.detach().requires_grad_(), a.detach().requires_grad_()
    f = function(v, a)
    df_dv, df_da = torch.autograd.grad(f, (v, a), torch.ones_like(f))
    return f.detach(), df_dv, df_da


# Equations (4), (5), (6) by hand ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("v", "a", "f", "df_dv", "df_da"),
    [
        (-2.0, 0.0, -1.0, 1 / 4, -1 / 2),  # gamma = -1
        (-6.0, 0.0, -3 / 2, 1 / 16, -9 / 8),  # gamma = -3
        (-0.5, 0.0, -0.4, 0.64, -0.08),  # gamma = -1/4
        (-2.0, math.log(2), -4 / 3, 4 / 9, -4 / 9),  # gamma = -1/2
        (-1.0, -math.log(2), -1 / 2, 1 / 4, -1 / 4),  # gamma = -1
        (0.0, 0.0, 0.0, 1.0, 0.0),
        (-0.0, 5.0, 0.0, 1.0, 0.0),
        (3.0, -7.0, 3.0, 1.0, 0.0),
        (0.25, 7.0, 0.25, 1.0, 0.0),
    ],
)
def test_fluid_by_hand(v: float, a: float, f: float, df_dv: float, df_da: float) -> None:
    found = value_and_gradients(fluid, torch.tensor(v, dtype=F64), torch.tensor(a, dtype=F64))
    assert [x.item() for x in found] == pytest.approx([f, df_dv, df_da], rel=1e-14, abs=0)


@pytest.mark.parametrize("a", [-3.0, 0.0, 2.5])
def test_fluid_is_a_parametric_softsign_below_zero_and_the_identity_above(a: float) -> None:
    v = torch.linspace(-20, 20, 101, dtype=F64)
    c = 2 * math.exp(a)
    torch.testing.assert_close(
        fluid(v, torch.tensor(a, dtype=F64)), torch.where(v < 0, c * F.softsign(v / c), v), rtol=1e-14, atol=0
    )


# Every finite input --------------------------------------------------------------------------------------


def reference(v: float, a: float) -> Numbers:
    """f, df/dv and df/da of fluid as docs/paper.md writes them, to 60 digits."""
    with localcontext() as context:
        context.prec = 60
        x = Decimal(v)
        if x >= 0:
            return x, Decimal(1), Decimal(0)
        gamma = x / (2 * Decimal(a).exp())
        return x / (1 - gamma), 1 / (1 - gamma) ** 2, -x * gamma / (1 - gamma) ** 2


def assert_close_to_reference(found: tuple[float, ...], v: float, a: float, dtype: torch.dtype) -> None:
    expected = reference(v, a)
    limits = torch.finfo(dtype)
    # A half type's f and df/da are each rounded at most twice, half an eps each; the rest is done in float32.
    relative = Decimal(limits.eps * (1 if limits.bits == 16 else 8))
    smallest = Decimal(limits.tiny)
    # Where |gamma| is beyond the largest number, f and df/da are taken for 0: they are below |v| / that number.
    underflow_of_f = smallest * max(Decimal(1), abs(Decimal(v)))
    underflows = (underflow_of_f, smallest, underflow_of_f)
    for actual, exact, underflow in zip(found, expected, underflows, strict=True):
        assert math.isfinite(actual)
        assert abs(Decimal(actual) - exact) <= relative * abs(exact) + underflow, (found, expected)


DTYPES = pytest.mark.parametrize(
    ("v_dtype", "a_dtype"), [(F32, F32), (F64, F64), (BF16, BF16), (F16, F16), (BF16, F32), (F16, F32)]
)


@DTYPES
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_fluid_and_its_gradients_are_exact_to_rounding_everywhere(
    data: st.DataObject, v_dtype: torch.dtype, a_dtype: torch.dtype
) -> None:
    limits = torch.finfo(v_dtype)
    # 37 copies go through the vector kernels and through the scalar code for the rest.
    v = torch.full((37,), data.draw(st.floats(limits.min, limits.max, width=WIDTHS[v_dtype]), "v"), dtype=v_dtype)
    a = torch.full((37,), data.draw(st.floats(-A_LIMIT, A_LIMIT), "a"), dtype=a_dtype)
    f, df_dv, df_da = value_and_gradients(fluid, v, a)
    assert (f.dtype, df_dv.dtype, df_da.dtype) == (v_dtype, v_dtype, a_dtype)
    for found in set(zip(f.tolist(), df_dv.tolist(), df_da.tolist(), strict=True)):
        assert_close_to_reference(found, v[0].item(), a[0].item(), v_dtype)


@DTYPES
def test_fluid_is_exact_to_rounding_where_it_bends(v_dtype: torch.dtype, a_dtype: torch.dtype) -> None:
    """Drawn numbers rarely have gamma near -1: here it runs from -1e-6 to -1e6."""
    a = torch.linspace(-9, 9, 19, dtype=F64).to(a_dtype)
    v = (-2 * a.double().exp() * torch.logspace(-6, 6, 25, dtype=F64)[:, None]).clamp(min=torch.finfo(v_dtype).min)
    v, a = v.to(v_dtype).flatten(), a.expand(25, -1).flatten()
    f, df_dv, df_da = (x.tolist() for x in value_and_gradients(fluid, v, a))
    for index, found in enumerate(zip(f, df_dv, df_da, strict=True)):
        assert_close_to_reference(found, v[index].item(), a[index].item(), v_dtype)


@pytest.mark.parametrize("dtype", [F32, F64])
def test_limits_of_fluid_are_relu_and_the_identity(dtype: torch.dtype) -> None:
    v = torch.cat([-torch.logspace(-6, 6, 50, dtype=dtype), torch.linspace(0, 100, 50, dtype=dtype)])
    eps = torch.finfo(dtype).eps
    step = (v >= 0).to(dtype)
    f, df_dv, df_da = value_and_gradients(fluid, v, torch.full_like(v, -100))
    torch.testing.assert_close(f, v.relu(), rtol=eps, atol=1e-38)
    torch.testing.assert_close(df_dv, step, rtol=eps, atol=1e-38)
    torch.testing.assert_close(df_da, torch.zeros_like(v), rtol=0, atol=1e-38)
    f, df_dv, df_da = value_and_gradients(fluid, v, torch.full_like(v, 100))
    torch.testing.assert_close(f, v, rtol=eps, atol=0)
    torch.testing.assert_close(df_dv, torch.ones_like(v), rtol=eps, atol=0)
    torch.testing.assert_close(df_da, torch.zeros_like(v), rtol=0, atol=1e-26)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("a", [88.6, 200.0, 1e4, 3e38])
def test_beyond_its_limit_a_acts_as_the_limit(sign: int, a: float) -> None:
    biggest = torch.finfo(F32).max
    v = torch.tensor([-biggest, -1e10, -1.0, -1e-10, -1e-40, -0.0, 0.0, 1.0, biggest])
    far = value_and_gradients(fluid, v, torch.full_like(v, sign * a))
    at_limit = value_and_gradients(fluid, v, torch.full_like(v, sign * A_LIMIT))
    for found, expected in zip(far, at_limit, strict=True):
        assert torch.isfinite(found).all()
        assert torch.equal(found, expected)


@pytest.mark.parametrize("function", [fluid, *OTHERS])
def test_nan_stays_visible(function: Function) -> None:
    assert torch.isnan(function(torch.tensor([math.nan]), torch.tensor(0.0))).all()
    assert torch.isnan(function(torch.tensor([-1.0]), torch.tensor(math.nan))).all()


@settings(max_examples=300, deadline=None)
@given(v=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2, unique=True).map(sorted), a=st.floats(-15, 15))
def test_fluid_is_strictly_increasing(v: list[float], a: float) -> None:
    low, high = fluid(torch.tensor(v, dtype=F64), torch.tensor(a, dtype=F64)).tolist()
    exact_low, exact_high = (reference(x, a)[0] for x in v)
    rounding = 8 * torch.finfo(F64).eps * max(abs(low), abs(high)) + torch.finfo(F64).tiny
    assert low <= high + rounding
    if float(exact_high - exact_low) > 2 * rounding:
        assert low < high


@settings(max_examples=300, deadline=None)
@given(v=st.floats(-1e6, 1e6), a=st.floats(-15, 15))
def test_fluid_lies_between_the_identity_and_relu_and_above_its_asymptote(v: float, a: float) -> None:
    f = fluid(torch.tensor(v, dtype=F64), torch.tensor(a, dtype=F64)).item()
    slack = 8 * torch.finfo(F64).eps * abs(f)
    assert v - slack <= f <= max(v, 0)
    assert f >= -2 * math.exp(a) - slack


@pytest.mark.parametrize(("v_dtype", "a_dtype"), [(torch.int64, F32), (F32, torch.int32), (torch.complex64, F32)])
def test_fluid_refuses_other_types(v_dtype: torch.dtype, a_dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match=rf"floating-point.*{v_dtype} and {a_dtype}"):
        fluid(torch.ones(2, dtype=v_dtype), torch.ones((), dtype=a_dtype))


# Gradients by finite differences ------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (1,), (3, 1, 1), (2, 3, 2, 2), (4, 1, 1, 1, 1)])
@pytest.mark.parametrize(("v_needs", "a_needs"), [(True, True), (True, False), (False, True)])
def test_gradcheck_and_gradgradcheck_with_broadcasting(shape: tuple[int, ...], v_needs: bool, a_needs: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    # 0 itself is a kink: every |v| is above the step of the finite differences.
    size = torch.rand(2, 3, 2, 2, generator=generator, dtype=F64) * 3 + 0.05
    v = torch.where(torch.rand(size.shape, generator=generator) < 0.7, -size, size).requires_grad_(v_needs)
    a = torch.randn(shape, generator=generator, dtype=F64).requires_grad_(a_needs)
    assert torch.autograd.gradcheck(fluid, (v, a))
    assert torch.autograd.gradgradcheck(fluid, (v, a))


@pytest.mark.parametrize("in_dims", [(0, None), (None, 0), (0, 0)])
def test_vmap_equals_a_loop(in_dims: tuple[int | None, int | None]) -> None:
    generator = torch.Generator().manual_seed(1)
    v = torch.randn(5, 3, generator=generator, dtype=F64)
    a = torch.randn(5, generator=generator, dtype=F64)
    v, a = (v if in_dims[0] == 0 else v[0]), (a if in_dims[1] == 0 else a[0])

    def energy(v: Tensor, a: Tensor) -> Tensor:
        return (fluid(v, a) ** 2).sum()

    pairs = [(v[i] if in_dims[0] == 0 else v, a[i] if in_dims[1] == 0 else a) for i in range(5)]
    looped = torch.stack([fluid(*pair) for pair in pairs])
    torch.testing.assert_close(torch.func.vmap(fluid, in_dims)(v, a), looped, rtol=1e-14, atol=0)
    gradient = torch.func.grad(energy, argnums=(0, 1))
    found = torch.func.vmap(gradient, in_dims)(v, a)
    for axis in (0, 1):
        looped = torch.stack([gradient(*pair)[axis] for pair in pairs])
        torch.testing.assert_close(found[axis], looped, rtol=1e-14, atol=0)


def test_batched_gradients_and_jacobians_of_jacobians() -> None:
    generator = torch.Generator().manual_seed(3)
    v = torch.randn(2, 3, generator=generator, dtype=F64).requires_grad_()
    a = torch.randn(3, generator=generator, dtype=F64).requires_grad_()
    assert torch.autograd.gradcheck(fluid, (v, a), check_batched_grad=True)
    jacobian = torch.func.jacrev(fluid, (0, 1))
    plain = torch.func.jacrev(lambda v, a: v / (1 + v.neg().relu() / (2 * torch.exp(a))), (0, 1))
    torch.testing.assert_close(jacobian(v, a), plain(v, a), rtol=1e-12, atol=0)
    twice, plain_twice = (torch.func.jacrev(function, (0, 1)) for function in (jacobian, plain))
    torch.testing.assert_close(twice(v, a), plain_twice(v, a), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("v", "a"), [(-1e19, 100.0), (-3e38, 80.0), (-3e38, -80.0), (-2.0, 0.0)])
def test_gradients_are_the_same_whether_they_are_differentiated_or_not(v: float, a: float) -> None:
    leaves = torch.tensor(v, requires_grad=True), torch.tensor(a, requires_grad=True)
    once = torch.autograd.grad(fluid(*leaves), leaves)
    again = torch.autograd.grad(fluid(*leaves), leaves, create_graph=True)
    torch.testing.assert_close(again, once, rtol=1e-6, atol=0)


def test_autocast_keeps_the_type_of_v_and_float32_gradients_of_a() -> None:
    torch.manual_seed(0)
    convolution, activation = nn.Conv2d(1, 4, 3), FluidReLU(4)
    images = torch.randn(2, 1, 6, 6)
    with torch.autocast("cpu", dtype=BF16):
        v = convolution(images)
        f = activation(v)
        assert activation(images.expand(-1, 4, -1, -1)).dtype == F32
    assert (v.dtype, f.dtype) == (BF16, BF16)
    (found,) = torch.autograd.grad(f.float().sum(), activation.a)
    (expected,) = torch.autograd.grad(activation(convolution(images)).sum(), activation.a)
    assert found.dtype == F32
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0)


@pytest.mark.slow
@pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "c++", "clang++")))
    or not Path(sysconfig.get_path("include"), "Python.h").exists(),
    reason="torch.compile needs a C++ compiler and Python's headers",
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch 2.11 compiles with what it has deprecated itself
def test_compiled_equals_eager() -> None:
    generator = torch.Generator().manual_seed(2)
    v, a = torch.randn(4, 3, 5, 5, generator=generator) * 3, torch.randn(3, 1, 1, generator=generator)
    compiled = torch.compile(fluid, fullgraph=True)
    weights = torch.randn(v.shape, generator=generator)
    results = []
    for function in (compiled, fluid):
        leaves = v.clone().requires_grad_(), a.clone().requires_grad_()
        f = function(*leaves)
        results.append((f, *torch.autograd.grad((f * weights).sum(), leaves)))
    torch.compiler.reset()
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-6)


# The module ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [FluidReLU, FluidExp, FluidCoth, FluidCritical, FluidThird])
@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (4, 3, 5, 2)])
def test_one_parameter_per_channel(kind: type[ParametricActivation], shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    v = torch.randn(shape)
    module = kind(3)
    nn.init.uniform_(module.a, -2, 2)
    channels = [kind.function(v[:, c], module.a[c]) for c in range(3)]
    torch.testing.assert_close(module(v), torch.stack(channels, dim=1))


@pytest.mark.parametrize("shape", [(), (7,), (4, 3), (4, 3, 5), (4, 3, 5, 2), (0, 3)])
def test_one_parameter_serves_every_shape(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    v = torch.randn(shape)
    module = FluidReLU(init=-0.5)
    f = module(v)
    assert f.shape == v.shape
    torch.testing.assert_close(f, fluid(v, torch.tensor(-0.5)))
    assert torch.autograd.grad(f.sum(), module.a)[0].shape == (1,)


@pytest.mark.parametrize("shape", [(), (3,), (3, 4), (2, 1), (2, 4, 3, 3)])
def test_channels_that_do_not_match_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"FluidReLU\(num_parameters=3\) needs an input of shape \(N, 3, \.\.\.\)"):
        FluidReLU(3)(torch.ones(shape))


@pytest.mark.parametrize("count", [0, -1])
def test_num_parameters_below_one_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1, not {count}"):
        FluidReLU(count)


def test_a_starts_from_init_and_from_the_papers_zero() -> None:
    assert FluidReLU(3).a.tolist() == [0.0, 0.0, 0.0]
    assert FluidReLU(2, init=-1.5).a.tolist() == [-1.5, -1.5]


def test_repr_names_the_arguments() -> None:
    assert repr(FluidReLU(3, init=1)) == "FluidReLU(num_parameters=3, init=1)"


def test_state_dict_round_trip() -> None:
    saved, loaded = FluidReLU(3), FluidReLU(3)
    nn.init.normal_(saved.a)
    assert list(saved.state_dict()) == ["a"]
    loaded.load_state_dict(saved.state_dict())
    assert torch.equal(saved.a, loaded.a)


def test_dtype_and_device_of_the_parameter() -> None:
    parameter = FluidReLU(2, device="meta", dtype=F64).a
    assert (parameter.dtype, parameter.device.type) == (F64, "meta")


# The other readings ----------------------------------------------------------------------------------------------


def test_fluid_exp_by_hand() -> None:
    v = torch.tensor([-2.0, -4.0, -1.0, 0.0, 3.0], dtype=F64)
    a = torch.tensor([0.0, math.log(2), -math.log(2), 1.0, 1.0], dtype=F64)
    expected = torch.tensor([-2 / math.e, -4 / math.e, -1 / math.e, 0.0, 3.0], dtype=F64)
    torch.testing.assert_close(fluid_exp(v, a), expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize("gamma", [-0.5, -0.7, -1.0, -3.0, -20.0])
def test_fluid_coth_by_its_formula(gamma: float) -> None:
    for a in (-1.0, 0.0, 2.0):
        v = gamma * 2 * math.exp(a)
        f = fluid_coth(torch.tensor(v, dtype=F64), torch.tensor(a, dtype=F64)).item()
        assert f == pytest.approx(v * (1 + 1 / math.tanh(gamma) - 1 / gamma), rel=1e-13)


@pytest.mark.parametrize("gamma", [-0.51, -0.5, -0.4999999, -0.3, -0.01, -1e-5, -1e-12])
def test_fluid_coth_near_zero_by_60_digits(gamma: float) -> None:
    """In floating point the formula itself would lose its digits here: the poles cancel."""
    with localcontext() as context:
        context.prec = 60
        g = Decimal(gamma)
        square = (2 * g).exp()
        exact = 2 * g * (1 + (square + 1) / (square - 1) - 1 / g)
    found = fluid_coth(torch.tensor(2 * gamma, dtype=F64), torch.tensor(0.0, dtype=F64)).item()
    assert found == pytest.approx(float(exact), rel=1e-12)


def test_fluid_coth_is_continuous_where_the_series_takes_over() -> None:
    v = torch.tensor([-1.0, math.nextafter(-1.0, 0)], dtype=F64)  # gamma = -0.5 and the next number
    # A derivative of the series omits 15 times the relative term.
    for pair, rel in zip(value_and_gradients(fluid_coth, v, torch.zeros_like(v)), (1e-12, 1e-10, 1e-10), strict=True):
        assert pair[0].item() == pytest.approx(pair[1].item(), rel=rel)


@pytest.mark.parametrize(
    ("v", "a", "f", "df_dv", "df_da"),
    [
        (-3.0, 0.0, -2.0, 0.0, -2.0),
        (-2.0, 0.0, -2.0, 0.0, -2.0),  # the bend
        (-1.0, 0.0, -1.0, 1.0, 0.0),
        (-1.0, -math.log(4), -1 / 2, 0.0, -1 / 2),
        (-5.0, math.log(3), -5.0, 1.0, 0.0),
        (4.0, -7.0, 4.0, 1.0, 0.0),
    ],
)
def test_fluid_critical_by_hand(v: float, a: float, f: float, df_dv: float, df_da: float) -> None:
    found = value_and_gradients(fluid_critical, torch.tensor(v, dtype=F64), torch.tensor(a, dtype=F64))
    assert [x.item() for x in found] == pytest.approx([f, df_dv, df_da], rel=1e-14, abs=0)


@pytest.mark.parametrize(
    ("v", "a", "f", "df_dv", "df_da"),
    [
        (-6.0, 0.0, -3.0, 1 / 4, -3 / 2),  # gamma = -3
        (-2.0, 0.0, -3 / 2, 9 / 16, -3 / 8),  # gamma = -1
        (-2.0, -math.log(3), -1.0, 1 / 4, -1 / 2),  # gamma = -3: what fluid is at a = 0
        (4.0, -7.0, 4.0, 1.0, 0.0),
    ],
)
def test_fluid_third_by_hand(v: float, a: float, f: float, df_dv: float, df_da: float) -> None:
    found = value_and_gradients(fluid_third, torch.tensor(v, dtype=F64), torch.tensor(a, dtype=F64))
    assert [x.item() for x in found] == pytest.approx([f, df_dv, df_da], rel=1e-14, abs=0)


@pytest.mark.parametrize("function", [fluid_critical, fluid_third])
@settings(max_examples=150, deadline=None)
@given(
    v=st.floats(-torch.finfo(F32).max, torch.finfo(F32).max, width=32),
    a=st.floats(-torch.finfo(F32).max, torch.finfo(F32).max, width=32),
)
def test_later_readings_are_finite_wherever_v_and_a_are(function: Function, v: float, a: float) -> None:
    for found in value_and_gradients(function, torch.tensor([v]), torch.tensor([a])):
        assert torch.isfinite(found).all(), found


@pytest.mark.parametrize("function", OTHERS)
def test_gradcheck_of_the_other_readings(function: Function) -> None:
    # gamma = v / 2 lies on both sides of the series' end at -0.5, and v on both sides of 0.
    v = torch.tensor([-7.0, -3.0, -1.2, -0.8, -0.3, -0.01, 0.5, 2.0], dtype=F64, requires_grad=True)
    a = torch.zeros(8, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(function, (v, a))
    assert torch.autograd.gradgradcheck(function, (v, a))


@pytest.mark.parametrize("function", OTHERS)
@pytest.mark.parametrize("a", [-100.0, -90.0, -3.0, 0.0, 3.0, 100.0])
def test_other_readings_are_the_identity_from_zero_up(function: Function, a: float) -> None:
    v = torch.tensor([0.0, 1e-30, 0.5, 1000.0])
    f, df_dv, df_da = value_and_gradients(function, v, torch.full_like(v, a))
    torch.testing.assert_close((f, df_dv, df_da), (v, torch.ones_like(v), torch.zeros_like(v)), rtol=1e-6, atol=0)


@pytest.mark.parametrize("function", OTHERS)
@pytest.mark.parametrize("dtype", [F32, F64])
def test_limits_of_the_other_readings_are_relu_and_the_identity(function: Function, dtype: torch.dtype) -> None:
    v = torch.cat([-torch.logspace(-3, 3, 50, dtype=dtype), torch.linspace(0, 100, 50, dtype=dtype)])
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(function(v, torch.full_like(v, -80)), v.relu(), rtol=eps, atol=1e-33)
    torch.testing.assert_close(function(v, torch.full_like(v, -1000)), v.relu(), rtol=eps, atol=1e-33)
    torch.testing.assert_close(function(v, torch.full_like(v, 80)), v, rtol=eps, atol=0)
    torch.testing.assert_close(function(v, torch.full_like(v, 1000)), v, rtol=eps, atol=0)


@pytest.mark.parametrize("function", OTHERS)
@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("a", [-100.0, -90.0, -20.0, -8.0, 0.0, 8.0, 100.0])
def test_other_readings_stay_finite_with_finite_gradients(function: Function, dtype: torch.dtype, a: float) -> None:
    """A run drives a to -8 with beta = 10000, and then gamma is large for every v."""
    v = torch.tensor([-1000.0, -100.0, -3.0, -1e-3, 0.0, 3.0], dtype=dtype)
    for found in value_and_gradients(function, v, torch.full_like(v, a)):
        assert torch.isfinite(found).all(), found


@pytest.mark.parametrize("function", OTHERS)
@pytest.mark.parametrize("dtype", [BF16, F16])
def test_other_readings_keep_the_type_of_v(function: Function, dtype: torch.dtype) -> None:
    assert function(torch.ones(2, 3, 4, dtype=dtype), torch.zeros(3, 1)).dtype == dtype


@pytest.mark.parametrize("function", OTHERS)
def test_other_readings_refuse_integers(function: Function) -> None:
    with pytest.raises(TypeError, match="floating-point"):
        function(torch.ones(2, dtype=torch.int64), torch.zeros(()))
