"""Activations that others proposed, against hand-worked numbers, references written out, and every finite input."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import lambertw
from torch import Tensor, nn

from fluidrelu_cli.networks.activations import FluidFixed
from fluidrelu_cli.networks.contenders import DENOMINATOR, NUMERATOR, PAU, AconC, GoLU, Swish, TeLU
from fluidrelu_cli.networks.curves import CURVES
from fluidrelu_cli.networks.named import ACTIVATIONS, resolve

F64 = torch.float64
NEW = ("fluid-fixed", "swish", "golu", "telu", "acon-c", "pau")
OF_TORCH = [name for name in ACTIVATIONS if name[0].isupper()]


def make(name: str, kernels: int = 3, dtype: torch.dtype = F64, **values: Tensor | float) -> nn.Module:
    """A module whose learned parameters are near where they start, but no two are alike."""
    torch.manual_seed(1)
    module = resolve(name).make(kernels).to(dtype)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.rand_like(parameter) / 4)
        for parameter_name, value in values.items():
            module.get_parameter(parameter_name).copy_(torch.as_tensor(value, dtype=dtype))
    return module


E = math.e


@pytest.mark.parametrize(
    ("name", "parameters", "v", "f"),
    [
        ("fluid-fixed", {}, [-2.0, -6.0, 0.0, 3.0], [-1.0, -1.5, 0.0, 3.0]),
        ("swish", {"beta": 0.0}, [-2.0, 3.0], [-1.0, 1.5]),
        ("swish", {"beta": math.log(3)}, [-1.0, 1.0, 2.0], [-0.25, 0.75, 1.8]),  # 1/4, 3/4, 9/10
        ("golu", {}, [0.0, -math.log(2), math.log(2)], [0.0, -math.log(2) / E**2, math.log(2) / E**0.5]),
        ("telu", {}, [0.0, math.log(math.log(3) / 2)], [0.0, math.log(math.log(3) / 2) / 2]),  # tanh(ln(3)/2) = 1/2
        ("acon-c", {"p1": 1.0, "p2": 0.0, "beta": math.log(3)}, [-1.0, 1.0], [-0.25, 0.75]),
        ("acon-c", {"p1": 2.0, "p2": 1.0, "beta": math.log(3)}, [-1.0, 1.0], [-1.25, 1.75]),
        ("acon-c", {"p1": 0.5, "p2": 0.5, "beta": 7.0}, [-4.0, 2.0], [-2.0, 1.0]),
        (
            "pau",
            {**{f"a{n}": n + 1.0 for n in range(6)}, **{f"b{n}": 1.0 for n in range(1, 5)}},
            [0.0, 1.0, -2.0],
            [1.0, 21 / 5, (1 - 4 + 12 - 32 + 80 - 192) / (1 + abs(-2 + 4 - 8 + 16))],
        ),
        ("SELU", {}, [2.0, -math.log(2)], [2 * 1.0507009873554805, -1.0507009873554805 * 1.6732632423543772 / 2]),
        ("CELU", {}, [2.0, -math.log(2)], [2.0, -0.5]),
        ("ReLU6", {}, [-1.0, 2.0, 7.0], [0.0, 2.0, 6.0]),
        ("Hardswish", {}, [-4.0, -1.5, 1.0, 4.0], [0.0, -0.375, 2 / 3, 4.0]),
        ("Softplus", {}, [0.0, math.log(E - 1)], [math.log(2), 1.0]),
        ("GELU", {}, [0.0, 1.0], [0.0, 0.8413447460685429]),
        ("SiLU", {}, [math.log(3)], [0.75 * math.log(3)]),
        ("Mish", {}, [0.0, math.log(math.sqrt(3) - 1)], [0.0, math.log(math.sqrt(3) - 1) / 2]),
        ("Identity", {}, [-3.5, 2.0], [-3.5, 2.0]),
    ],
)
def test_by_hand(name: str, parameters: dict[str, float], v: list[float], f: list[float]) -> None:
    """The second value of Mish: exp(softplus) = sqrt 3, whose tanh of the logarithm is 1/2."""
    module = make(name, 1, F64, **parameters)
    np.testing.assert_allclose(module(torch.tensor(v, dtype=F64)).tolist(), f, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(CURVES[name](v, *(parameters[each] for each in sorted(parameters))), f, rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "lowest"),
    [("golu", -lambertw(1).real), ("telu", -1.07886), ("SiLU", -1 - lambertw(1 / E).real), ("Hardswish", -1.5)],
)
def test_where_those_that_fall_and_rise_turn(name: str, lowest: float) -> None:
    v = torch.tensor([lowest - 1e-3, lowest + 1e-3], dtype=F64, requires_grad=True)
    resolve(name).make(1)(v).sum().backward()
    assert v.grad is not None
    assert v.grad[0] < 0 < v.grad[1]
    assert not resolve(name).commutes_with_max_pool


@pytest.mark.parametrize("name", [*NEW, *OF_TORCH])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_and_gradients_are_finite_on_large_inputs(name: str, dtype: torch.dtype) -> None:
    largest = 7 if name == "pau" else 37
    size = torch.logspace(-3, largest, 61)
    v = torch.cat([-size, size, torch.tensor([0.0, -88.0, -104.0, 88.0, 104.0])]).to(dtype).requires_grad_()
    module = make(name, 1, torch.float32)
    f = module(v)
    f.backward(torch.ones_like(f))
    assert f.dtype == dtype
    for found in (f, v.grad, *(parameter.grad for parameter in module.parameters())):
        assert found is not None
        assert torch.isfinite(found).all()


@pytest.mark.parametrize("name", NEW)
def test_gradients_by_finite_differences(name: str) -> None:
    v = torch.linspace(-6, 5, 24, dtype=F64).view(2, 3, 2, 2).requires_grad_()
    module = make(name)

    def function(v: Tensor, *parameters: Tensor) -> Tensor:
        named = dict(zip(dict(module.named_parameters()), parameters, strict=True))
        result: Tensor = torch.func.functional_call(module, named, (v,))
        return result

    assert torch.autograd.gradcheck(function, (v, *module.parameters()), fast_mode=True)


@pytest.mark.parametrize("name", NEW)
def test_a_stack_is_each_of_its_networks(name: str) -> None:
    modules = [make(name, beta=torch.arange(3) + number) if name == "swish" else make(name) for number in (1, 2)]
    v = torch.randn(2, 5, 3, 4, 4, dtype=F64)
    stacked = torch.func.stack_module_state(modules)

    def call(state: tuple[dict[str, Tensor], dict[str, Tensor]], v: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(modules[0], state, (v,))
        return result

    found = torch.func.vmap(call)(stacked, v)
    expected = torch.stack([module(mine) for module, mine in zip(modules, v, strict=True)])
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("kernels", [1, 3])
def test_each_kernel_has_parameters_of_its_own(kernels: int) -> None:
    shapes = {type(made): [*made.state_dict().items()] for made in map(build_kernels(kernels), (Swish, AconC, PAU))}
    assert [(name, value.tolist()) for name, value in shapes[Swish]] == [("beta", [1.0] * kernels)]
    assert [(name, value.shape) for name, value in shapes[AconC]] == [
        (name, (kernels,)) for name in ("p1", "p2", "beta")
    ]
    assert [name for name, value in shapes[PAU] if value.shape == (1,)] == [
        *(f"a{power}" for power in range(6)),
        *(f"b{power}" for power in range(1, 5)),
    ]
    module = make("acon-c", kernels)
    v = torch.randn(2, kernels, 3, 3, dtype=F64)
    for kernel in range(kernels):
        alone = make("acon-c", 1, **{name: value[kernel] for name, value in module.state_dict().items()})
        torch.testing.assert_close(module(v)[:, [kernel]], alone(v[:, [kernel]]))


def build_kernels(kernels: int) -> Callable[[type[nn.Module]], nn.Module]:
    return lambda constructor: constructor() if constructor is PAU else constructor(num_parameters=kernels)


def test_a_pade_unit_starts_as_the_least_squares_fit_to_a_leaky_relu() -> None:
    v = torch.linspace(-3, 3, 601, dtype=F64)
    module = PAU().double()
    error = module(v) - nn.functional.leaky_relu(v, 0.01)
    assert error.abs().max() < 0.034
    coefficients = [module.get_parameter(name) for name in (*(f"a{n}" for n in range(6)), "b2", "b4")]
    slopes = torch.autograd.grad(error.square().sum(), coefficients)
    assert max(slope.abs().item() for slope in slopes) < 1e-3  # in hundredths of the coefficient: 1e-5 of the sum
    assert (len(NUMERATOR), len(DENOMINATOR)) == (6, 4)


def test_those_without_parameters_learn_nothing() -> None:
    assert not [*GoLU().parameters(), *TeLU().parameters(), *FluidFixed().parameters()]
