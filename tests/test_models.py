"""Table 1's network: shapes, seeded weights, pooling order; and the update rule (7), (8)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.models import PaperCNN, activation_parameters, build_model, build_optimizer
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.registry import ACTIVATIONS, Activation, resolve

SEEDED = ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "fc.weight", "fc.bias")


class Noisy(nn.Module):
    """An activation that draws random numbers when it is made."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.rand(()))

    def forward(self, v: Tensor) -> Tensor:
        return v * self.slope


NOISY = Activation("noisy", "", "", lambda _channels: Noisy())


def seeded_weights(activation: Activation, seed: int) -> list[Tensor]:
    state = build_model("paper", activation, seed).state_dict()
    return [state[name] for name in SEEDED]


def lively_model(name: str, seed: int = 0) -> PaperCNN:
    """A float64 network whose learned activation parameters differ from each other."""
    model = build_model("paper", resolve(name), seed).double()
    generator = torch.Generator().manual_seed(seed)
    for parameter in activation_parameters(model).values():
        with torch.no_grad():
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def some_digits(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 1, 28, 28, generator=generator, dtype=torch.float64)
    return images, torch.randint(10, (count,), generator=generator)


@pytest.mark.parametrize(
    ("name", "activated"),
    [
        ("prelu", [(16, 24, 24), (32, 8, 8)]),
        ("fluid", [(16, 12, 12), (32, 4, 4)]),  # on the pooled values, a quarter of them
    ],
)
def test_shapes_after_each_layer(name: str, activated: list[tuple[int, ...]]) -> None:
    model = build_model("paper", resolve(name), 0)
    shapes: dict[str, list[tuple[int, ...]]] = {}

    def record(layer: str, output: Tensor) -> None:
        shapes.setdefault(layer, []).append(tuple(output.shape[1:]))

    for layer, module in model.named_children():
        module.register_forward_hook(lambda _module, _inputs, output, layer=layer: record(layer, output))
    assert model(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    assert shapes == {
        "conv1": [(16, 24, 24)],
        "conv2": [(32, 8, 8)],
        "pool": [(16, 12, 12), (32, 4, 4)],
        "activation1": activated[:1],
        "activation2": activated[1:],
    }


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_linear_layer_takes_its_inputs_channel_by_channel(memory_format: torch.memory_format) -> None:
    """As torch flattens them and as `fc.weight` is stored, whatever the order in memory."""
    model = lively_model("relu").to(memory_format=memory_format)  # type: ignore[call-overload,unused-ignore]
    flat: list[Tensor] = []
    model.activation2.register_forward_hook(lambda _module, _inputs, output: flat.append(output.flatten(1)))
    images, _ = some_digits(3)
    logits = model(images)
    torch.testing.assert_close(logits, model.fc(flat[0]), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("name", "learned"), [("relu", 0), ("fluid", 16 + 32), ("prelu", 16 + 32)])
def test_parameter_counts(name: str, learned: int) -> None:
    model = build_model("paper", resolve(name), 0)
    weights = (16 * 1 * 5 * 5 + 16) + (32 * 16 * 5 * 5 + 32) + (512 * 10 + 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == weights + learned


@pytest.mark.parametrize("activation", [*ACTIVATIONS.values(), NOISY], ids=lambda activation: activation.name)
def test_one_seed_gives_the_same_weights_whatever_the_activation(activation: Activation) -> None:
    expected = seeded_weights(ACTIVATIONS["relu"], 5)
    assert all(map(torch.equal, seeded_weights(activation, 5), expected))


def test_different_seeds_give_different_weights() -> None:
    relu = ACTIVATIONS["relu"]
    assert not any(map(torch.equal, seeded_weights(relu, 0), seeded_weights(relu, 1)))


def test_an_activations_own_random_numbers_come_from_the_seed_too() -> None:
    def slope(seed: int) -> float:
        return activation_parameters(build_model("paper", NOISY, seed))["activation1", "slope"].item()

    assert slope(0) == slope(0)
    assert slope(0) != slope(1)


def test_building_leaves_the_global_random_numbers_alone() -> None:
    before = torch.random.get_rng_state()
    build_model("paper", NOISY, 3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(UsageError, match="There is no model 'lenet'; use --model paper"):
        build_model("lenet", resolve("relu"), 0)


@pytest.mark.parametrize("name", ["relu", "fluid"])
def test_pooling_first_changes_nothing(name: str) -> None:
    images, labels = some_digits(8)
    results = []
    for pool_first in (True, False):
        model = lively_model(name)
        assert model.pool_first
        model.pool_first = pool_first
        logits = model(images)
        loss = nn.functional.cross_entropy(logits, labels)
        results.append((logits, *torch.autograd.grad(loss, list(model.parameters()))))
    torch.testing.assert_close(results[0], results[1], rtol=1e-9, atol=1e-13)


def test_an_activation_that_does_not_commute_is_applied_before_pooling() -> None:
    assert not build_model("paper", resolve("fluid-exp"), 0).pool_first
    assert not build_model("paper", resolve("Mish"), 0).pool_first


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relu", {}),
        ("fluid", {("activation1", "a"): (16,), ("activation2", "a"): (32,)}),
        ("prelu", {("activation1", "weight"): (16,), ("activation2", "weight"): (32,)}),
    ],
)
def test_activation_parameters(name: str, expected: dict[tuple[str, str], tuple[int, ...]]) -> None:
    model = build_model("paper", resolve(name), 0)
    found = activation_parameters(model)
    assert {key: tuple(value.shape) for key, value in found.items()} == expected
    assert all(value is model.get_parameter(".".join(key)) for key, value in found.items())


@pytest.mark.parametrize("name", ["relu", "fluid", "fluid-exp", "prelu"])
def test_the_update_rule_by_hand(name: str) -> None:
    """Equations (7), (8): beta multiplies the gradient of a alone; no parameter has weight decay."""
    mu, eps, beta = 0.8, 0.02, 100.0
    model = lively_model(name)
    optimizer = build_optimizer(model, dict(model.named_parameters()), Protocol(lr=eps, momentum=mu, beta=beta))
    actual = dict(model.named_parameters())
    by_hand = {key: value.detach().clone() for key, value in actual.items()}
    delta = {key: torch.zeros_like(value) for key, value in by_hand.items()}
    factor = {key: beta if key in ("activation1.a", "activation2.a") else 1.0 for key in actual}
    for step in range(6):
        images, labels = some_digits(4, seed=step)
        loss = nn.functional.cross_entropy(model(images), labels)
        gradients = dict(zip(actual, torch.autograd.grad(loss, list(actual.values())), strict=True))
        for key, gradient in gradients.items():
            actual[key].grad = gradient.clone()
            delta[key] = mu * delta[key] - eps * factor[key] * gradient
            by_hand[key] = by_hand[key] + delta[key]
        optimizer.step()
        torch.testing.assert_close(dict(actual), by_hand, rtol=1e-11, atol=1e-14)
    assert all((value != 0).any() for value in delta.values())


def test_beta_zero_keeps_a_fixed_while_the_weights_move() -> None:
    model = lively_model("fluid")
    optimizer = build_optimizer(model, dict(model.named_parameters()), Protocol(beta=0))
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    optimizer.step()
    still = {key for key, value in model.named_parameters() if torch.equal(value, before[key])}
    assert still == {"activation1.a", "activation2.a"}
