"""The update rule (7), (8), what weight decay spares, and the schedules of the learning rate."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from fluidrelu_cli.networks.activations import FluidReLU
from fluidrelu_cli.networks.build import (
    Network,
    activation_parameters,
    build_model,
    find_factors,
    list_factors,
)
from fluidrelu_cli.networks.named import resolve
from fluidrelu_cli.protocol import SETTINGS, Protocol
from fluidrelu_cli.training.optimizer import build_optimizer, build_scheduler, rate_factor

MNIST, CIFAR = (1, 28, 28), (3, 32, 32)
F64 = torch.float64


def lively(model: str, name: str, shape: tuple[int, int, int]) -> Network:
    """A float64 network whose learned activation parameters differ from each other."""
    network = build_model(Protocol(model=model), resolve(name), 0, shape, 10)
    network.module.double()
    generator = torch.Generator().manual_seed(0)
    for parameter in activation_parameters(network).values():
        with torch.no_grad():
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=F64))
    return network


def batch(shape: tuple[int, int, int], seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(4, *shape, generator=generator, dtype=F64)
    return images, torch.randint(10, (4,), generator=generator)


@pytest.mark.parametrize("weight_decay", [0.0, 0.125])
@pytest.mark.parametrize(
    ("model", "shape", "name"),
    [
        ("paper", MNIST, "relu"),
        ("paper", MNIST, "fluid"),
        ("paper", MNIST, "prelu"),
        ("paper", MNIST, "acon-c"),
        ("paper", MNIST, "pau"),
        ("resnet20", (3, 8, 8), "fluid"),
    ],
)
def test_the_update_rule_by_hand(model: str, shape: tuple[int, int, int], name: str, weight_decay: float) -> None:
    """Equations (7), (8): beta multiplies the gradient of a alone. Only what is no activation's decays."""
    mu, eps, beta = 0.8, 0.02, 100.0
    network = lively(model, name, shape)
    actual = dict(network.module.named_parameters())
    protocol = Protocol(lr=eps, momentum=mu, beta=beta, weight_decay=weight_decay)
    optimizer = build_optimizer(network, actual, protocol)
    by_hand = {key: value.detach().clone() for key, value in actual.items()}
    delta = {key: torch.zeros_like(value) for key, value in by_hand.items()}
    factor = {key: beta if key.endswith(".a") else 1.0 for key in actual}
    decay = {key: 0.0 if "activation" in key else weight_decay for key in actual}
    for step in range(3):
        images, labels = batch(shape, step)
        loss = functional.cross_entropy(network.module(images), labels)
        gradients = dict(zip(actual, torch.autograd.grad(loss, list(actual.values())), strict=True))
        for key, gradient in gradients.items():
            actual[key].grad = gradient.clone()
            delta[key] = mu * delta[key] - eps * factor[key] * (gradient + decay[key] * by_hand[key])
            by_hand[key] = by_hand[key] + delta[key]
        optimizer.step()
        torch.testing.assert_close(dict(actual), by_hand, rtol=1e-11, atol=1e-14)
    assert all((value != 0).any() for value in delta.values())


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
@pytest.mark.parametrize("name", ["fluid", "prelu"])
def test_adam_by_hand(name: str, optimizer: str) -> None:
    """The rate of a alone is multiplied by beta. Weight decay is in the gradient, or beside it in adamw."""
    eps, beta, decay = 0.02, 100.0, 0.125
    network = lively("paper", name, MNIST)
    actual = dict(network.module.named_parameters())
    protocol = Protocol(lr=eps, beta=beta, weight_decay=decay, optimizer=optimizer, momentum=0.5)
    built = build_optimizer(network, actual, protocol)
    weights = {key: value.detach().clone() for key, value in actual.items()}
    first = {key: torch.zeros_like(value) for key, value in weights.items()}
    second = {key: torch.zeros_like(value) for key, value in weights.items()}
    for step in range(1, 4):
        images, labels = batch(MNIST, step)
        loss = functional.cross_entropy(network.module(images), labels)
        gradients = dict(zip(actual, torch.autograd.grad(loss, list(actual.values())), strict=True))
        for key, gradient in gradients.items():
            actual[key].grad = gradient.clone()
            rate = eps * beta if key.endswith(".a") else eps
            shrink = 0.0 if "activation" in key else decay
            total = gradient + shrink * weights[key] if optimizer == "adam" else gradient
            first[key] = 0.9 * first[key] + 0.1 * total
            second[key] = 0.999 * second[key] + 0.001 * total**2
            corrected = (second[key] / (1 - 0.999**step)).sqrt() + 1e-8
            decoupled = rate * shrink * weights[key] if optimizer == "adamw" else 0.0
            weights[key] = weights[key] - decoupled - rate * first[key] / (1 - 0.9**step) / corrected
        built.step()
        torch.testing.assert_close(dict(actual), weights, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("optimizer", SETTINGS["optimizer"].choices)
def test_a_stack_of_networks_is_updated_as_each_of_them(optimizer: str) -> None:
    protocol = Protocol(optimizer=optimizer, weight_decay=0.1, beta=3.0)
    networks = [build_model(protocol, resolve("fluid"), seed, MNIST, 10) for seed in (0, 1)]
    alone = [dict(network.module.named_parameters()) for network in networks]
    stack = {name: torch.stack([mine[name].detach() for mine in alone]) for name in alone[0]}
    optimizers = [build_optimizer(network, mine, protocol) for network, mine in zip(networks, alone, strict=True)]
    optimizers.append(build_optimizer(networks[0], stack, protocol))
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        for name, stacked in stack.items():
            stacked.grad = torch.randn(stacked.shape, generator=generator)
            for index, mine in enumerate(alone):
                mine[name].grad = stacked.grad[index].clone()
        for each in optimizers:
            each.step()
    for index, mine in enumerate(alone):
        for name, value in mine.items():
            torch.testing.assert_close(stack[name][index], value.detach(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["fluid", "prelu"])
def test_without_a_gradient_all_decays_but_the_activations_parameters(name: str) -> None:
    network = lively("cnn3", name, CIFAR)
    parameters = dict(network.module.named_parameters())
    optimizer = build_optimizer(network, parameters, Protocol(lr=0.5, momentum=0.0, weight_decay=0.25))
    before = {key: value.detach().clone() for key, value in parameters.items()}
    for parameter in parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    learned = {"a" if name == "fluid" else "weight"}
    spared = {f"activation{layer}.{parameter}" for layer in (1, 2, 3) for parameter in learned}
    assert spared < parameters.keys()
    for key, value in parameters.items():
        torch.testing.assert_close(value, before[key] * (1.0 if key in spared else 0.875), rtol=1e-15, atol=0)


def test_every_parameter_is_in_one_group() -> None:
    network = build_model(Protocol(model="resnet20"), resolve("fluid"), 0, CIFAR, 10)
    optimizer = build_optimizer(network, dict(network.module.named_parameters()), Protocol(lr=0.5, beta=8.0))
    held = [sum(value.numel() for value in group["params"]) for group in optimizer.param_groups]
    assert held == [269_722, 7 * 16 + 6 * 32 + 6 * 64]
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 4.0]


def test_the_optimizer_takes_the_parameters_that_it_is_given() -> None:
    """A stack's, of several seeds, are not the network's own."""
    network = build_model(Protocol(), resolve("fluid"), 0, MNIST, 10)
    stacked = {name: torch.zeros(3, *value.shape) for name, value in network.module.named_parameters()}
    optimizer = build_optimizer(network, stacked, Protocol())
    held = {id(value) for group in optimizer.param_groups for value in group["params"]}
    assert held == {id(value) for value in stacked.values()}


class Mixed(nn.Module):
    """A user's activation with a slope beside a fluid one of its own."""

    def __init__(self, num_parameters: int) -> None:
        super().__init__()
        self.inner = FluidReLU(num_parameters)
        self.slope = nn.Parameter(torch.ones(()))

    def forward(self, v: Tensor) -> Tensor:
        values: Tensor = self.inner(v) * self.slope
        return values


class Slow(FluidReLU):
    """One with a factor of its own."""

    beta = 3.0


@pytest.mark.parametrize(
    ("name", "betas"),
    [
        ("relu", {}),
        ("fluid", {"a": 8.0}),
        ("fluid@beta=2", {"a": 2.0}),
        ("Slow", {"a": 3.0}),
        ("Slow@beta=0", {"a": 0.0}),
        ("prelu", {"weight": 1.0}),
        ("PReLU@beta=0.5", {"weight": 0.5}),
        ("Mixed", {"inner.a": 8.0, "slope": 1.0}),
        ("Mixed@beta=1e+20", {"inner.a": 1e20, "slope": 1e20}),
    ],
)
def test_a_factor_belongs_to_the_activation(
    monkeypatch: pytest.MonkeyPatch, name: str, betas: dict[str, float]
) -> None:
    """The paper's functions have the protocol's; a name may have one of its own."""
    monkeypatch.setattr(nn, "Mixed", Mixed, raising=False)
    monkeypatch.setattr(nn, "Slow", Slow, raising=False)
    network = build_model(Protocol(), resolve(name), 0, MNIST, 10)
    expected = {(f"activation{layer}", key): factor for layer in (1, 2) for key, factor in betas.items()}
    assert list_factors(network, Protocol(beta=8.0)) == expected
    parameters = dict(network.module.named_parameters())
    optimizer = build_optimizer(network, parameters, Protocol(lr=0.5, beta=8.0))
    rates = {id(value): group["lr"] for group in optimizer.param_groups for value in group["params"]}
    assert {name: rates[id(parameters[".".join(name)])] for name in expected} == {
        name: 0.5 * factor for name, factor in expected.items()
    }
    module = network.module.get_submodule("activation1")
    earlier = {key: 8.0 if key.endswith("a") else 1.0 for key in betas}
    assert find_factors(module, None, Protocol(beta=8.0), earlier=True) == earlier


def test_beta_zero_keeps_a_fixed_while_the_weights_move() -> None:
    network = lively("paper", "fluid", MNIST)
    parameters = dict(network.module.named_parameters())
    optimizer = build_optimizer(network, parameters, Protocol(beta=0, weight_decay=0.1))
    before = {key: value.detach().clone() for key, value in parameters.items()}
    for parameter in parameters.values():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    optimizer.step()
    still = {key for key, value in parameters.items() if torch.equal(value, before[key])}
    assert still == {"activation1.a", "activation2.a"}


@pytest.mark.parametrize(
    ("schedule", "progress", "factor"),
    [
        ("constant", 0.0, 1.0),
        ("constant", 0.999, 1.0),
        ("cosine", 0.0, 1.0),
        ("cosine", 0.25, 0.8535533905932737),  # (2 + sqrt 2) / 4
        ("cosine", 1 / 3, 0.75),
        ("cosine", 0.5, 0.5),
        ("cosine", 2 / 3, 0.25),
        ("cosine", 1.0, 0.0),
        ("step", 0.0, 1.0),
        ("step", 0.4999, 1.0),
        ("step", 0.5, 0.1),
        ("step", 0.7499, 0.1),
        ("step", 0.75, 0.01),
        ("step", 0.9999, 0.01),
    ],
)
def test_what_the_rate_is_multiplied_by(schedule: str, progress: float, factor: float) -> None:
    assert rate_factor(schedule, progress) == pytest.approx(factor, rel=1e-12, abs=1e-15)


@given(st.sampled_from(SETTINGS["schedule"].choices), st.floats(0, 1), st.floats(0, 1))
def test_the_rate_never_rises(schedule: str, one: float, other: float) -> None:
    earlier, later = sorted((one, other))
    assert 0 <= rate_factor(schedule, later) <= rate_factor(schedule, earlier) <= 1


def rates(protocol: Protocol, steps: int) -> list[tuple[float, ...]]:
    """The rates that each step of a training is made with: of the weights, and of a."""
    network = build_model(Protocol(), resolve("fluid"), 0, MNIST, 10)
    optimizer = build_optimizer(network, dict(network.module.named_parameters()), protocol)
    scheduler = build_scheduler(optimizer, protocol, steps)
    found = []
    for _ in range(steps):
        found.append(tuple(group["lr"] for group in optimizer.param_groups))
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return found


def test_a_constant_rate_has_no_schedule() -> None:
    network = build_model(Protocol(), resolve("relu"), 0, MNIST, 10)
    optimizer = build_optimizer(network, dict(network.module.named_parameters()), Protocol())
    assert build_scheduler(optimizer, Protocol(), 8) is None
    assert rates(Protocol(lr=0.5, beta=8.0), 3) == [(0.5, 4.0)] * 3


def test_a_schedule_goes_step_by_step_for_a_too() -> None:
    stepped = rates(Protocol(lr=0.5, beta=8.0, schedule="step"), 8)
    expected = [0.5] * 4 + [0.05] * 2 + [0.005] * 2
    assert stepped == [pytest.approx((rate, 8 * rate)) for rate in expected]
    cosine = rates(Protocol(lr=0.5, beta=8.0, schedule="cosine"), 4)
    half = math.sqrt(2) / 8
    expected = [0.5, 0.25 + half, 0.25, 0.25 - half]
    assert cosine == [pytest.approx((rate, 8 * rate)) for rate in expected]


def test_the_cosine_is_torchs_own() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 11)
    expected = []
    for _ in range(11):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    found = [rate for rate, _ in rates(Protocol(lr=0.3, schedule="cosine"), 11)]
    assert found == pytest.approx(expected, rel=1e-12)
