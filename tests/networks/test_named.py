"""Names of activations: built-in ones, torch.nn's and a user's own; the claims that the registry makes."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.networks.activations import ParametricActivation
from fluidrelu_cli.networks.named import ACTIVATIONS, Activation, ActivationFactory, resolve

F64 = torch.float64


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_built_in_names_resolve_to_themselves_in_any_case(name: str) -> None:
    for spelling in (name, name.upper(), name.title()):
        assert resolve(spelling) is ACTIVATIONS[name]
    v = torch.randn(2, 4, 3, 3)
    assert resolve(name).make(4)(v).shape == v.shape


@pytest.mark.parametrize(
    "name", [name for name, activation in ACTIVATIONS.items() if activation.commutes_with_max_pool]
)
def test_activations_that_claim_so_commute_with_max_pooling(name: str) -> None:
    torch.manual_seed(3)
    v = torch.randn(4, 6, 8, 8, dtype=F64) * 3
    v.requires_grad_()
    activation = resolve(name).make(6).double()
    for parameter in activation.parameters():
        nn.init.uniform_(parameter, -5, 5)
    weights = torch.randn(4, 6, 4, 4, dtype=F64)
    pooled = F.max_pool2d(activation(v), 2), activation(F.max_pool2d(v, 2))
    leaves = [v, *activation.parameters()]
    results = [(f, *torch.autograd.grad((f * weights).sum(), leaves)) for f in pooled]
    torch.testing.assert_close(results[0], results[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "parameter"), [("fluid-exp", 0.0), ("prelu", -1.0)])
def test_activations_that_do_not_commute_with_max_pooling(name: str, parameter: float) -> None:
    activation = resolve(name).make(1)
    for value in activation.parameters():
        nn.init.constant_(value, parameter)
    v = torch.tensor([[[[-10.0, -2.0], [-10.0, -2.0]]]])  # f is larger at -10 than at -2
    assert F.max_pool2d(activation(v), 2).item() > activation(F.max_pool2d(v, 2)).item() + 0.1
    assert not resolve(name).commutes_with_max_pool


def test_a_class_of_torch_nn() -> None:
    activation = resolve("Mish")
    assert isinstance(activation.make(4), nn.Mish)
    assert (activation.name, activation.source) == ("Mish", "torch.nn")
    assert not activation.commutes_with_max_pool


def test_prelu_is_the_built_in_one_with_a_slope_per_channel() -> None:
    assert resolve("PReLU") is ACTIVATIONS["prelu"]
    slopes = dict(resolve("PReLU").make(4).named_parameters())
    assert {name: value.tolist() for name, value in slopes.items()} == {"weight": [0.25] * 4}


OWN_MODULE = """
import torch
from torch import Tensor, nn
from fluidrelu_cli.networks.activations import ParametricActivation

class Plain(nn.Module):
    def forward(self, v):
        return v.sin()

class PerKernel(nn.Module):
    def __init__(self, num_parameters=1):
        super().__init__()
        self.slopes = nn.Parameter(torch.randn(num_parameters, 1, 1))
    def forward(self, v):
        return v * self.slopes

def tilted(v, a):
    return v * a.exp()

class Tilted(ParametricActivation):
    function = staticmethod(tilted)

class Broken(nn.Module):
    def __init__(self):
        raise RuntimeError("broken\\nby its author")

class Function:
    pass

SHARED = nn.PReLU()

def shared():
    return SHARED

class Double(nn.Module):
    def forward(self, v):
        return v.double()
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module own_activations in the current folder, forgotten afterwards."""
    (tmp_path / "own_activations.py").write_text(OWN_MODULE)
    (tmp_path / "own_failing.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield
    sys.modules.pop("own_activations", None)


@pytest.mark.usefixtures("own_module")
def test_a_class_of_a_module_in_the_current_folder() -> None:
    activation = resolve("own_activations:Plain")
    assert (activation.name, activation.source) == ("own_activations:Plain", "your own")
    assert not activation.commutes_with_max_pool
    v = torch.randn(2, 4, 3, 3)
    assert torch.equal(activation.make(4)(v), v.sin())


def test_a_module_that_was_changed_since_it_was_imported_is_refused(own_module: None, tmp_path: Path) -> None:
    """In a process that lives on: its code would be the old one, and the digest the new one's."""
    assert own_module is None
    first = resolve("own_activations:Plain").sha256
    assert resolve("own_activations:Plain").sha256 == first
    (tmp_path / "own_activations.py").write_text(OWN_MODULE.replace("v.sin()", "v.cos()"))
    with pytest.raises(UsageError, match=r"own_activations\.py was changed after it had been imported"):
        resolve("own_activations:Plain")


@pytest.mark.usefixtures("own_module")
def test_a_class_with_num_parameters_gets_the_channels_and_resolving_draws_no_random_numbers() -> None:
    before = torch.random.get_rng_state()
    module = resolve("own_activations:PerKernel").make
    assert torch.equal(torch.random.get_rng_state(), before)
    assert next(module(4).parameters()).shape == (4, 1, 1)


def test_a_factory_makes_activations_from_a_stream_of_their_own() -> None:
    activation = Activation("noisy", "", "", lambda channels: nn.Linear(channels, 2))
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    factory = ActivationFactory(activation, 3)
    one, two = factory(4), factory(5)
    assert factory.made == [one, two]
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(11)
    again = ActivationFactory(activation, 3)
    for mine, theirs in ((one, again(4)), (two, again(5))):
        assert isinstance(mine, nn.Linear)
        assert isinstance(theirs, nn.Linear)
        assert torch.equal(mine.weight, theirs.weight)
    assert isinstance(one, nn.Linear)
    first, second = (layer.bias for layer in (factory(4), factory(4)))
    assert isinstance(first, Tensor)
    assert isinstance(second, Tensor)
    assert not torch.equal(first, second)  # each layer's own
    other = ActivationFactory(activation, 4)(4)
    assert isinstance(other, nn.Linear)
    assert not torch.equal(other.weight, one.weight)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_factory_tells_whether_a_network_may_pool_first(name: str) -> None:
    assert ActivationFactory(resolve(name), 0).commutes_with_max_pool == ACTIVATIONS[name].commutes_with_max_pool


@pytest.mark.usefixtures("own_module")
def test_a_parametric_activation_of_your_own() -> None:
    module = resolve("own_activations:Tilted").make(3)
    assert isinstance(module, ParametricActivation)
    assert module.a.tolist() == [0.0, 0.0, 0.0]
    with torch.no_grad():
        module.a.copy_(torch.tensor([0.0, 1.0, -1.0]))
    v = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(module(v)[:, 1], v[:, 1] * math.e)


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fluide", "no activation 'fluide'. Did you mean fluid"),
        ("rellu", "no activation 'rellu'. Did you mean relu"),
        ("xyzzy", "no activation 'xyzzy'. `fluidrelu acts` lists them."),
        ("", "no activation ''."),
        ("functional", "no activation 'functional'."),
        ("Conv2d", "'Conv2d' cannot serve as an activation (TypeError: "),
        ("Linear", "'in_features'"),
        ("Flatten", "changes the shape or the type of its input"),
        ("own_activations:Double", "changes the shape or the type of its input"),
        ("own_activations:shared", "the same module for every layer"),
        ("Parameter", "no torch.nn.Module"),
        ("nosuchmodule:X", "cannot be imported (ModuleNotFoundError: No module named 'nosuchmodule')"),
        (":X", "':X' cannot be imported"),
        ("own_activations:Missing", "has no attribute 'Missing'"),
        ("own_failing:X", "ZeroDivisionError"),
        ("own_activations:Broken", "RuntimeError: broken by its author"),
        ("own_activations:Function", "no torch.nn.Module"),
        ("math:pi", "no activation 'math:pi'."),
        ("math:sqrt", "'math:sqrt' cannot serve as an activation (TypeError: "),
    ],
)
def test_what_is_no_activation_is_refused(name: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(name)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
