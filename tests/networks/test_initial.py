"""Initial weights by each rule: their distribution by hand, and that no activation has a part in them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.networks.build import activation_parameters, build_model
from fluidrelu_cli.networks.initial import draw_weights
from fluidrelu_cli.networks.named import Activation, resolve, resolve_class
from fluidrelu_cli.protocol import SETTINGS, Protocol

RULES = [rule for rule in SETTINGS["init"].choices if rule != "as-built"]
FANS = {"conv1": (5 * 5, 16 * 5 * 5), "conv2": (16 * 5 * 5, 32 * 5 * 5), "fc": (512, 10)}
"""Of the paper's network on MNIST: what comes into each value, and what it goes into."""
TRUNCATED = 0.1 * math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))
"""The SD of a normal distribution of SD 0.1 that is cut off at two SDs: 0.088."""
SDS: Mapping[str, tuple[float, float, float]] = {
    "lecun-normal": (1 / 5, 1 / 20, 1 / math.sqrt(512)),
    "lecun-uniform": (1 / 5, 1 / 20, 1 / math.sqrt(512)),
    "glorot-uniform": (math.sqrt(2 / 425), math.sqrt(2 / 1200), math.sqrt(2 / 522)),
    "he-normal": (math.sqrt(2) / 5, math.sqrt(2) / 20, math.sqrt(2 / 512)),
    "normal-0.01": (0.01, 0.01, 0.01),
    "truncated-normal-0.1": (TRUNCATED, TRUNCATED, TRUNCATED),
    "caffe-quick": (0.0001, 0.01, 0.1),
}
ENDS = {"lecun-uniform": math.sqrt(3), "glorot-uniform": math.sqrt(3), "truncated-normal-0.1": 0.2 / TRUNCATED}
"""The largest value, in SDs, of distributions that have one."""


class Mixing(nn.Module):
    """An activation with a linear layer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(1, 1)

    def forward(self, v: Tensor) -> Tensor:
        mixed: Tensor = self.mix(v.unsqueeze(-1)).squeeze(-1)
        return mixed


def state(init: str, activation: str | Activation = "relu", seed: int = 0, model: str = "paper") -> dict[str, Tensor]:
    """The network's own weights."""
    named = resolve(activation) if isinstance(activation, str) else activation
    shape = (1, 28, 28) if model == "paper" else (3, 8, 8)
    network = build_model(Protocol(init=init, model=model), named, seed, shape, 10)
    learned = {".".join(key) for key in activation_parameters(network)}
    return {name: value for name, value in network.module.state_dict().items() if name not in learned}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_has_its_distribution(rule: str) -> None:
    """Over 40 seeds: the mean within five standard errors of 0, the SD within five of its own, and the ends."""
    states = [state(rule, seed=seed) for seed in range(40)]
    for layer, sd in zip(FANS, SDS[rule], strict=True):
        values = torch.stack([each[f"{layer}.weight"] for each in states]).double() / sd
        n = values.numel()
        assert abs(values.mean().item()) < 5 / math.sqrt(n)
        kurtosis = (values**4).mean().item()
        assert values.square().mean().item() == pytest.approx(1, abs=5 * math.sqrt((kurtosis - 1) / n))
        if rule in ENDS:
            assert 0.99 * ENDS[rule] < values.abs().max().item() <= ENDS[rule] * (1 + 1e-6)
            flat = 1.8 if rule.endswith("uniform") else math.inf
            assert kurtosis == pytest.approx(flat, abs=0.03) or not rule.endswith("uniform")
        else:
            assert kurtosis == pytest.approx(3, abs=0.2)
            assert values.abs().max() > 3.5
        biases = torch.stack([each[f"{layer}.bias"] for each in states])
        assert torch.equal(biases, torch.full_like(biases, 0.1 if rule == "truncated-normal-0.1" else 0.0))


@pytest.mark.parametrize("rule", SETTINGS["init"].choices)
def test_weights_are_a_seeds_whatever_the_activation(rule: str) -> None:
    relu = state(rule)
    for other in ("fluid", "prelu", resolve_class(Mixing)):
        torch.testing.assert_close(state(rule, other), relu, rtol=0, atol=0)
    assert not torch.equal(state(rule, seed=1)["conv1.weight"], relu["conv1.weight"])
    built = state("as-built")
    assert torch.equal(built["fc.weight"], relu["fc.weight"]) == (rule == "as-built")


def test_what_an_activation_learns_and_normalisation_stay_as_built() -> None:
    network = build_model(Protocol(init="normal-0.01"), resolve_class(Mixing), 0, (1, 28, 28), 10)
    built = build_model(Protocol(), resolve_class(Mixing), 0, (1, 28, 28), 10)
    for key, value in activation_parameters(network).items():
        assert torch.equal(value, activation_parameters(built)[key])
    drawn, built_state = state("he-normal", model="resnet20"), state("as-built", model="resnet20")
    same = {name for name, value in drawn.items() if torch.equal(value, built_state[name])}
    assert same == {name for name in drawn if "norm" in name}


def test_caffes_first_convolution_is_the_first_of_the_network() -> None:
    found = state("caffe-quick", model="resnet20")
    assert found["conv.weight"].std().item() == pytest.approx(0.0001, rel=0.2)
    for name in ("stage1.0.conv1.weight", "stage3.2.conv2.weight"):
        assert found[name].std().item() == pytest.approx(0.01, rel=0.1)
    assert found["fc.weight"].std().item() == pytest.approx(0.1, rel=0.2)


class Scaled(nn.Module):
    """A user's network without a layer that a rule draws."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Scaled(), "The network has no layer whose weights --init he-normal draws: leave it out."),
        (
            nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))),
            "The weights of the network's '0' are computed from others: leave --init out.",
        ),
    ],
)
def test_networks_whose_weights_cannot_be_drawn_are_refused(network: nn.Module, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        draw_weights(network, "he-normal", torch.Generator())
    assert str(caught.value) == words


def test_a_users_transposed_and_one_dimensional_layers_are_drawn() -> None:
    network = nn.Sequential(nn.Conv1d(1, 1, 1), nn.ConvTranspose2d(1, 1, 1), nn.Bilinear(1, 1, 1))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    draw_weights(network, "normal-0.01", torch.Generator().manual_seed(0))
    changed = [not torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True)]
    assert changed == [True, True, True, True, False, False]
