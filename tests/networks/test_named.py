"""Names of activations and networks: built-in ones, torch.nn's and a user's own; what their tables claim."""

from __future__ import annotations

import hashlib
import math
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

import fluidrelu_cli
from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.networks.activations import FluidReLU, ParametricActivation
from fluidrelu_cli.networks.contenders import AconC
from fluidrelu_cli.networks.named import (
    ACTIVATIONS,
    ARCHITECTURES,
    CASTS,
    expand_casts,
    find_among,
    find_model,
    list_cast,
    resolve,
    resolve_class,
    resolve_model,
    spell_model,
)
from fluidrelu_cli.networks.own import import_own
from fluidrelu_cli.protocol import is_own

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


def test_fluid_critical_commutes_with_max_pooling_on_its_plateau_and_at_the_bend() -> None:
    """Every window of four from below the bend, the bend itself and above it: v = -3, -2, -1 at a = 0."""
    values = torch.tensor([-3.0, -2.5, -2.0, -1.0], dtype=F64)
    v = torch.cartesian_prod(*[values] * 4).view(-1, 1, 2, 2).requires_grad_()
    activation = resolve("fluid-critical").make(1).double()
    weights = torch.arange(1, len(v) + 1, dtype=F64).view(-1, 1, 1, 1)
    leaves = [v, *activation.parameters()]
    pooled = F.max_pool2d(activation(v), 2), activation(F.max_pool2d(v, 2))
    results = [(f, *torch.autograd.grad((f * weights).sum(), leaves)) for f in pooled]
    for first, then in zip(*results, strict=True):
        assert torch.equal(first, then)


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
    assert (activation.name, activation.source) == ("Mish", "Misra 2019")
    assert not activation.commutes_with_max_pool
    assert resolve("softsign").source == "torch.nn"


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("gelu", "GELU"),
        ("GELU", "GELU"),
        ("Gelu", "GELU"),
        ("torch.nn.GELU", "GELU"),
        ("silu", "SiLU"),
        ("nn.SiLU", "SiLU"),
        ("MISH", "Mish"),
        ("relu6", "ReLU6"),
        ("hard_swish", "Hardswish"),
        ("ReLU", "relu"),
        ("torch.nn.ReLU", "relu"),
        ("LeakyReLU", "leaky-relu"),
        ("leaky_relu", "leaky-relu"),
        ("FluidReLU", "fluid"),
        ("fluidexp", "fluid-exp"),
        ("FluidCritical", "fluid-critical"),
        ("Acon_C", "acon-c"),
        ("nn.Softsign", "Softsign"),
        ("identity", "Identity"),
        ("FluidReLU@lr=1e-2@beta=1000.0", "fluid@beta=1000@lr=0.01"),
    ],
)
def test_the_spellings_of_one_activation_are_one_activation(spelling: str, name: str) -> None:
    activation = resolve(spelling)
    assert activation.name == name
    assert activation == resolve(name)


def test_of_two_classes_that_differ_by_case_the_exact_name_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn, "SoftSign", type("SoftSign", (nn.Softsign,), {}), raising=False)
    assert [resolve(name).name for name in ("Softsign", "SoftSign")] == ["Softsign", "SoftSign"]
    with pytest.raises(UsageError, match=r"There is no activation 'softsign'\. Did you mean Softsign or SoftSign\?"):
        resolve("softsign")


def test_prelu_is_the_built_in_one_with_a_slope_per_channel() -> None:
    assert resolve("PReLU") is ACTIVATIONS["prelu"]
    slopes = dict(resolve("PReLU").make(4).named_parameters())
    assert {name: value.tolist() for name, value in slopes.items()} == {"weight": [0.25] * 4}


COMMON = ["relu", "leaky-relu", "prelu", "elu", "GELU", "SiLU", "Mish"]


@pytest.mark.parametrize(
    ("names", "expanded"),
    [
        (["common"], COMMON),
        (["Common", "fluid"], [*COMMON, "fluid"]),
        (["fluid", "gelu", "common"], ["fluid", "gelu", *(name for name in COMMON if name != "GELU")]),
        (["common", "common"], COMMON),
        (["common", "wide"], [*COMMON, *CASTS["wide"][7:]]),
        (["common@lr=1e-2", "relu"], [*(f"{name}@lr=0.01" for name in COMMON), "relu"]),
        (["relu", "relu", "mine:common"], ["relu", "relu", "mine:common"]),  # which is for others to refuse
        ([nn.ReLU, "common"], [nn.ReLU, *COMMON]),
    ],
)
def test_a_cast_stands_for_those_of_its_activations_that_are_not_named(names: list[object], expanded: object) -> None:
    assert expand_casts(names) == expanded


def test_a_users_own_goes_by_its_class_alone_unless_a_built_in_one_does() -> None:
    assert find_among("Soft", ["relu", "mine:Soft"]) == "mine:Soft"
    for name in ("swish", "swish@lr=0.1", "SWISH"):
        assert find_among(name, ["relu", "mine:Swish", "mine:Swish@lr=0.1"]) is None
    assert find_among("silu@lr=1e-1", ["SiLU", "SiLU@lr=0.1"]) == "SiLU@lr=0.1"


def test_the_casts_are_activations_each_named_once() -> None:
    for cast, members in CASTS.items():
        assert [resolve(name).name for name in members] == list(dict.fromkeys(members))
        assert list_cast(cast) == members
    assert list(CASTS["wide"][:7]) == COMMON
    for name in ("relu", "commons", "mine:common", "relu@lr=0.1"):
        assert list_cast(name) == ()


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

class Outer:
    class Inner(Plain):
        pass

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

class Mismatched(nn.Module):
    def forward(self, v):
        return v + torch.zeros(7)

class Needy(nn.Module):
    def __init__(self, slope):
        super().__init__()

class Crooked(ParametricActivation):
    @staticmethod
    def function(v, a):
        return v / 0 + [][0]
"""


def line_of(code: str) -> int:
    """The number of the first line of the module that has this code."""
    return 1 + next(number for number, line in enumerate(OWN_MODULE.splitlines()) if code in line)


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


@pytest.mark.usefixtures("own_module")
def test_a_class_with_num_parameters_gets_the_channels_and_resolving_draws_no_random_numbers() -> None:
    before = torch.random.get_rng_state()
    activation = resolve("own_activations:PerKernel")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert next(activation.make(4).parameters()).shape == (4, 1, 1)


@pytest.mark.usefixtures("own_module")
def test_a_parametric_activation_of_your_own() -> None:
    module = resolve("own_activations:Tilted").make(3)
    assert isinstance(module, ParametricActivation)
    assert module.a.tolist() == [0.0, 0.0, 0.0]
    with torch.no_grad():
        module.a.copy_(torch.tensor([0.0, 1.0, -1.0]))
    v = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(module(v)[:, 1], v[:, 1] * math.e)


# Classes that Python code has at hand


class Cubic(nn.Module):
    """Of a test, which another process can import no more than a notebook's."""

    def forward(self, v: Tensor) -> Tensor:
        return v**3


@pytest.mark.parametrize(
    ("constructor", "name"),
    [
        (nn.ReLU, "relu"),
        (nn.LeakyReLU, "leaky-relu"),
        (nn.PReLU, "prelu"),
        (FluidReLU, "fluid"),
        (nn.Mish, "Mish"),
        (nn.Softsign, "Softsign"),
        (AconC, "acon-c"),
    ],
)
def test_a_class_of_torch_or_of_this_package_is_the_named_one(constructor: type[nn.Module], name: str) -> None:
    activation = resolve_class(constructor)
    assert activation == resolve(name)
    assert activation.travels
    assert type(activation.make(3)) is constructor


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize("name", ["Plain", "Outer.Inner", "Tilted"])
def test_an_importable_class_is_the_one_of_its_name(name: str) -> None:
    activation = resolve_class(import_own(f"own_activations:{name}", "activation"))
    assert activation == resolve(f"own_activations:{name}")
    assert activation.travels
    assert activation.constructor is None
    assert activation.code is not None
    assert activation.code.sha256 == hashlib.sha256(OWN_MODULE.encode()).hexdigest()
    assert pickle.loads(pickle.dumps(activation)) == activation


def test_a_local_class_and_one_of_main_are_kept_because_no_other_process_finds_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Local(Cubic):
        pass

    of_main = type("OfMain", (Cubic,), {"__module__": "__main__"})
    monkeypatch.setattr(sys.modules["__main__"], "OfMain", of_main, raising=False)
    for constructor, name in ((Local, f"{__name__}:Local"), (of_main, "__main__:OfMain")):
        activation = resolve_class(constructor)
        assert activation.name == name
        assert not activation.travels
        assert isinstance(activation.make(4), constructor)
    code = resolve_class(Local).code
    assert code is not None
    assert code.sha256 == hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


# Another process


MAKE = """
import pickle, sys
from pathlib import Path
from fluidrelu_cli.errors import UsageError
activation = pickle.loads(Path("activation.pickle").read_bytes())
assert "torch" not in sys.modules
try:
    print(type(activation.make(4)).__qualname__)
except UsageError as error:
    print(error)
"""


def run(script: str, folder: Path) -> str:
    package = Path(fluidrelu_cli.__file__).parents[1]
    command = [sys.executable, "-c", script]
    environment = {**os.environ, "PYTHONPATH": str(package)}
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
@pytest.mark.usefixtures("own_module")
def test_an_activation_travels_by_name_and_meets_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "activation.pickle").write_bytes(pickle.dumps(resolve("own_activations:Outer.Inner")))
    assert run(MAKE, tmp_path) == "Outer.Inner\n"
    (tmp_path / "own_activations.py").write_text(OWN_MODULE.replace("v.sin()", "v.cos()"))
    assert run(MAKE, tmp_path) == (
        "The file of 'own_activations:Outer.Inner' is another version here than where the command was started."
        " Put the same file everywhere, and start the command and the workers again.\n"
    )


def test_names_need_no_torch(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from fluidrelu_cli.data import catalogue\n"
        "from fluidrelu_cli.networks import curves, named\n"
        "from fluidrelu_cli.seeding import stream_seed\n"
        "assert named.resolve('Fluid').name == named.resolve('FluidReLU').name == 'fluid'\n"
        "assert named.resolve('torch.nn.LeakyReLU').name == 'leaky-relu'\n"
        "assert named.resolve_model('cnn3').smallest == 22\n"
        "assert catalogue.find('MNIST').name == 'mnist' and catalogue.default_data_dir()\n"
        "assert stream_seed(0, 'weights') and curves.CURVES['fluid'](-2, 0) == -1\n"
        "print(sorted({'torch', 'torchvision'} & set(sys.modules)))\n"
    )
    assert run(script, tmp_path) == "[]\n"


# Messages


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize(
    ("find", "name", "words"),
    [
        (resolve, "fluide", "There is no activation 'fluide'. Did you mean fluid"),
        (resolve, "rellu", "no activation 'rellu'. Did you mean relu"),
        (resolve, "torch.nn.functional.gelu", "no activation 'torch.nn.functional.gelu'. Did you mean GELU"),
        (resolve, "xyzzy", "no activation 'xyzzy'. `fluidrelu acts` lists them."),
        (resolve, "", "no activation ''."),
        (resolve, "@lr=1", "no activation ''."),
        (resolve, "rellu@lr=1", "no activation 'rellu'. Did you mean relu"),
        (resolve, "relu@epochs=3", "An activation cannot have its own 'epochs'"),
        (
            resolve,
            "common@lr=1",
            "'common@lr=1' stands for several activations (relu@lr=1, leaky-relu@lr=1, prelu@lr=1, elu@lr=1, GELU@lr=1,"
            " SiLU@lr=1, Mish@lr=1): name one of them, or take them all with `fluidrelu repeat --act common@lr=1`.",
        ),
        (lambda name: expand_casts([name]), "wide@epochs=1", "An activation cannot have its own 'epochs'"),
        (resolve, "functional", "no activation 'functional'."),
        (resolve, "Conv2d", "'Conv2d' cannot serve as an activation (TypeError: "),
        (resolve, "Linear", "'in_features'"),
        (resolve, "Flatten", "it makes the "),
        (resolve, "own_activations:Double", "it makes the "),
        (resolve, "own_activations:shared", "no class of torch.nn.Module"),
        (resolve, "Parameter", "There is no activation 'Parameter'."),
        (resolve, "init", "There is no activation 'init'."),
        (resolve, "nosuchmodule:X", "cannot be imported (ModuleNotFoundError: No module named 'nosuchmodule')"),
        (resolve, ":X", "':X' cannot be imported"),
        (resolve, "own_activations:", "The activation 'own_activations:' cannot be imported (AttributeError"),
        (resolve, "own_activations:Missing", "has no attribute 'Missing'"),
        (
            resolve,
            "own_failing:X",
            "(ZeroDivisionError: division by zero, in own_failing.py line 1). Correct that line, or install what it",
        ),
        (
            resolve,
            "own_activations:Broken",
            "'own_activations:Broken' cannot serve as an activation (RuntimeError: broken by its author, in"
            f" own_activations.py line {line_of('raise RuntimeError')}). Correct that line: an activation is tried on"
            " a tensor of the shape (2, 4, 2, 2).",
        ),
        (
            resolve,
            "own_activations:Mismatched",
            f", in own_activations.py line {line_of('torch.zeros(7)')}). Correct that line",
        ),
        (
            resolve,
            "own_activations:Crooked",
            f"(IndexError: list index out of range, in own_activations.py line {line_of('[][0]')}). Correct that line",
        ),
        (
            resolve,
            "own_activations:Needy",
            "missing 1 required positional argument: 'slope'). Name a class that needs no arguments, or num_parameters"
            " alone, and that keeps the shape and the type of its input.",
        ),
        (
            resolve,
            "own_activations.Plain",
            "There is no activation 'own_activations.Plain'. Did you mean own_activations:Plain? `fluidrelu acts`",
        ),
        (resolve, "own_activations.plan", "Did you mean own_activations:Plain?"),
        (resolve, "own_activations.py", "Did you mean own_activations:Plain or own_activations:PerKernel or "),
        (resolve, "own_activations:plain", "has no attribute 'plain'). Did you mean own_activations:Plain?"),
        (resolve, "relu,gelu", "'relu,gelu'. Name each with an --act of its own: --act relu --act gelu."),
        (resolve, "mine:A, mine:B", "Name each with an --act of its own: --act mine:A --act mine:B."),
        (resolve, "own_activations:Function", "(no class of torch.nn.Module)"),
        (resolve, "math:pi", "'math:pi' cannot serve as an activation (no class of torch.nn.Module)"),
        (resolve, "os:abort", "'os:abort' cannot serve as an activation (no class of torch.nn.Module)"),
        (resolve_class, nn.Conv2d, "'Conv2d' cannot serve as an activation (TypeError: "),
        (resolve_class, Path, "An activation is a name or a class of torch.nn.Module, not <class 'pathlib.Path'>."),
        (resolve_class, nn.ReLU(), "or a class of torch.nn.Module, not ReLU()."),
        (resolve_class, lambda: nn.ReLU(), "or a class of torch.nn.Module, not <function <lambda> at"),
        (resolve_class, 7, "or a class of torch.nn.Module, not 7."),
        (
            resolve_model,
            "lenet",
            "There is no model 'lenet'. Use --model paper, cnn3, resnet20, or module:Class for one of your own.",
        ),
        (resolve_model, "Paper", "There is no model 'Paper'."),
        (
            resolve_model,
            "own_activations.py",
            "There is no model 'own_activations.py'. Did you mean own_activations:Plain or own_activations:PerKernel or"
            " own_activations:Outer? Use --model paper",
        ),
        (resolve_model, "lenet:hidden=3", "There is no model 'lenet'."),
        (resolve_model, "resnet20:hidden=3", "The network resnet20 has no options: leave hidden out."),
        (
            resolve_model,
            "paper:pool=max",
            "The network paper has no option 'pool'. Did you mean pooling? Its options are padding, pooling, hidden,"
            " hidden_activation; `fluidrelu models` shows them.",
        ),
        (resolve_model, "paper:hidden=3,", "The network paper has no option ''. Its options are"),
        (
            resolve_model,
            "paper:pooling=me\nan",
            "The network's pooling must be max, average, max-3 or max-average-3, not 'me\\nan'.",
        ),
        (resolve_model, "paper:hidden=-1", "The network's hidden must be a whole number from 0 to 100,000, not '-1'."),
        (resolve_model, "paper:hidden=100001", "hidden must be a whole number from 0 to 100,000, not '100001'."),
        (resolve_model, "paper:hidden=²", "hidden must be a whole number from 0 to 100,000, not '²'."),
        (resolve_model, "paper:hidden=1,hidden=1", "The network's hidden is set twice: leave one out."),
        (
            resolve_model,
            "paper:hidden_activation=tested",
            "hidden_activation=tested changes nothing by itself: add hidden=128, or leave it out.",
        ),
        (resolve_model, "paper:average", "Or did you mean an option of paper? Write it as in paper:pooling=average."),
        (
            partial(spell_model, options=[("hidden", "1")]),
            "mine:Net",
            "Only a built-in network has options, not 'mine:Net': leave hidden out.",
        ),
        (resolve_model, "math:pi", "The network 'math:pi' cannot be called. Name a class or a function."),
        (resolve_model, "own_failing:Net", "The network 'own_failing:Net' cannot be imported (ZeroDivisionError: "),
    ],
)
def test_messages(find: Callable[[object], object], name: object, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        find(name)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize("name", ["own_failing:X", "own_activations:Broken", "own_activations:Mismatched"])
def test_an_error_of_the_users_code_is_the_cause(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(name)
    assert isinstance(caught.value.__cause__, ZeroDivisionError | RuntimeError)


# Networks


def test_built_in_networks_resolve_to_themselves() -> None:
    for name, architecture in ARCHITECTURES.items():
        assert resolve_model(name) is architecture
        assert architecture.code is None


OPTIONS: dict[str, list[str]] = {
    "padding": ["none", "same"],
    "pooling": ["max", "average", "max-3", "max-average-3"],
    "hidden": ["0", "1", "128", "100000"],
    "hidden_activation": ["relu", "tested", "none"],
}


@given(
    st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in OPTIONS.items()}), st.data()
)
def test_the_options_of_a_network_are_spelled_in_one_way(options: dict[str, str], data: st.DataObject) -> None:
    assume(options.get("hidden", "0") != "0" or options.get("hidden_activation", "relu") == "relu")
    order = data.draw(st.permutations(list(options)))
    written = "paper:" + ",".join(f"{name}={options[name]}" for name in order) if order else "paper"
    set_ = {name: value for name, value in sorted(options.items()) if value != OPTIONS[name][0]}
    spelled = spell_model(written)
    assert spelled == ":".join(filter(None, ["paper", ",".join(f"{name}={value}" for name, value in set_.items())]))
    assert spelled == spell_model(spelled) == spell_model("paper", options.items())
    assert resolve_model(spelled) == resolve_model(written)
    assert resolve_model(spelled).name == spelled
    usual = {name: values[0] for name, values in OPTIONS.items()}
    assert {name: str(value) for name, value in resolve_model(spelled).settings.items()} == {**usual, **options}
    assert not is_own(spelled)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("paper", "2 convolutions 5x5 (16, 32), max-pooling, linear"),
        ("resnet20", "19 convolutions 3x3, shortcuts, linear"),
        ("cnn3:padding=same", "3 convolutions 3x3 (32, 64, 128), padded, max-pooling, linear"),
        ("paper:hidden-activation=none,hidden=08", "2 convolutions 5x5 (16, 32), max-pooling, 8 hidden units, linear"),
        (
            "paper:hidden=128,hidden_activation=tested,pooling=max-average-3",
            "2 convolutions 5x5 (16, 32), max-pooling 3x3 once, then average pooling 3x3, 128 hidden units, activation,"
            " linear",
        ),
    ],
)
def test_the_layers_of_a_network_are_those_that_are_chosen(name: str, layers: str) -> None:
    assert resolve_model(name).layers == layers


@pytest.mark.parametrize("name", ["mine:Net", "lenet", "Paper", "", "paper:pooling"])
def test_a_name_without_options_stays_as_it_is(name: str) -> None:
    assert spell_model(name) == name
    assert find_model(name) is None


@pytest.mark.usefixtures("own_module")
def test_a_network_of_a_users_own_has_its_files_digest() -> None:
    architecture = resolve_model("own_activations:Plain")  # anything that can be called
    assert (architecture.name, architecture.source) == ("own_activations:Plain", "your own")
    assert architecture.code is not None
    assert architecture.code.sha256 == hashlib.sha256(OWN_MODULE.encode()).hexdigest()
    assert architecture.load() is import_own("own_activations:Plain", "network")
