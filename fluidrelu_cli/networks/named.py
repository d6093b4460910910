"""The activations and networks that have a name: built-in ones, classes of torch.nn, and a user's own.

Each names what makes it by a path, so that torch is imported when one is made, not when the names are listed.
"""

from __future__ import annotations

import contextlib
import difflib
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from fluidrelu_cli.errors import UsageError, one_line, printable
from fluidrelu_cli.networks.own import did_you_mean, find_line, import_own, suggest_own
from fluidrelu_cli.networks.source import Source, find_source
from fluidrelu_cli.protocol import is_own, join_arm, join_model, parse_arm, split_arm, split_model

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Activation:
    """A named activation: what `fluidrelu acts` shows, and how to make one for a layer of C channels."""

    name: str
    formula: str
    source: str
    path: str
    """``module:Class`` of what makes it."""
    commutes_with_max_pool: bool = False
    """Never decreasing in v, for every value its parameters can take: pool(f(v)) = f(pool(v)), values
    and gradients, so that f may run on the pooled quarter of the values. (PReLU's slope can become negative.)"""
    code: Source | None = None
    """What a user's own activation is known by."""
    constructor: Callable[..., Any] | None = None
    """What makes it, where ``path`` leads nowhere in another process: a class of a notebook or of a function."""

    @property
    def beta(self) -> float | None:
        """The factor on the gradient of what it learns, if it was named with one: ``fluid@beta=10``."""
        return split_arm(self.name)[1].get("beta")

    @property
    def spelled_formula(self) -> str:
        """A built-in one's formula without the abbreviations explained at ACTIVATIONS."""
        above, _, rest = self.formula.partition(" | ")
        below, *learned = rest.split(", ")
        gamma = ["γ = v / (2 exp(a))"] if "γ" in self.formula else []
        return ", ".join([f"{above} for v ≥ 0", f"{below} for v < 0", *learned, *gamma]) if rest else self.formula

    @property
    def travels(self) -> bool:
        """Whether other processes can make it, too."""
        return self.constructor is None

    def make(self, channels: int) -> nn.Module:
        """A new module for a layer of so many channels.

        A constructor with a ``num_parameters`` gets the channels, as PReLU's; any other is called without arguments.

        Raises:
            UsageError: if a user's own cannot be imported, or its file is not the one that was resolved.
        """
        constructor = self.constructor or self._import()
        try:
            per_kernel = "num_parameters" in inspect.signature(constructor).parameters
        except ValueError:  # a callable without a signature
            per_kernel = False
        module: nn.Module = constructor(num_parameters=channels) if per_kernel else constructor()
        return module

    def _import(self) -> Callable[..., Any]:
        constructor = _load(self.path, self.name, "activation")
        if self.code is None or not is_own(self.name):
            return constructor
        here = find_source(constructor)
        if here is None or not here.is_known_as(self.code.sha256, self.code.code_sha256):  # on a cluster's worker
            raise UsageError(
                f"The file of '{self.name}' is another version here than where the command was started."
                " Put the same file everywhere, and start the command and the workers again."
            )
        return constructor


_ACTIVATIONS = (
    Activation("relu", "max(0, v)", "Nair and Hinton 2010", "torch.nn:ReLU", True),
    Activation(
        *("fluid", "v | v / (1 - γ)", "the paper, eq. (4), as reconstructed here"),
        *("fluidrelu_cli.networks.activations:FluidReLU", True),
    ),
    Activation("prelu", "v | a v, a learned from 0.25", "He et al. 2015", "torch.nn:PReLU"),
    Activation("elu", "v | exp(v) - 1", "Clevert et al. 2016", "torch.nn:ELU", True),
    Activation("leaky-relu", "v | 0.01 v", "Maas et al. 2013", "torch.nn:LeakyReLU", True),
    Activation("sigmoid", "1 / (1 + exp(-v))", "classic", "torch.nn:Sigmoid", True),
    Activation("tanh", "tanh(v)", "classic", "torch.nn:Tanh", True),
    Activation("fluid-exp", "v | v exp(γ)", "rival reconstruction", "fluidrelu_cli.networks.activations:FluidExp"),
    Activation(
        *("fluid-coth", "v | v (1 + coth γ - 1/γ)", "rival reconstruction"),
        *("fluidrelu_cli.networks.activations:FluidCoth", True),
    ),
    Activation(
        *("fluid-critical", "max(v, -2 exp(a))", "rival reconstruction"),
        *("fluidrelu_cli.networks.activations:FluidCritical", True),
    ),
    Activation(
        *("fluid-third", "v | v / (1 - γ/3)", "fluid with another start of a"),
        *("fluidrelu_cli.networks.activations:FluidThird", True),
    ),
    Activation(
        *("fluid-fixed", "v | v / (1 - v/2)", "fluid with a fixed at 0"),
        *("fluidrelu_cli.networks.activations:FluidFixed", True),
    ),
    Activation("GELU", "v (1 + erf(v/√2)) / 2", "Hendrycks and Gimpel 2016", "torch.nn:GELU"),
    Activation("SiLU", "v / (1 + exp(-v))", "Elfwing et al. 2017", "torch.nn:SiLU"),
    Activation("Mish", "v tanh(ln(1 + exp(v)))", "Misra 2019", "torch.nn:Mish"),
    Activation("SELU", "1.0507 v | 1.7581 (exp(v) - 1)", "Klambauer et al. 2017", "torch.nn:SELU", True),
    Activation("CELU", "v | exp(v) - 1 (ELU's)", "Barron 2017, with α = 1", "torch.nn:CELU", True),
    Activation("ReLU6", "min(max(0, v), 6)", "Krizhevsky 2010", "torch.nn:ReLU6", True),
    Activation("Hardswish", "v min(max(0, v + 3), 6) / 6", "Howard et al. 2019", "torch.nn:Hardswish"),
    Activation("Softplus", "ln(1 + exp(v))", "Dugas et al. 2001", "torch.nn:Softplus", True),
    Activation("Identity", "v", "none at all, as a floor", "torch.nn:Identity", True),
    Activation(
        *("swish", "v / (1 + exp(-β v)), β learned from 1", "Ramachandran et al. 2017"),
        "fluidrelu_cli.networks.contenders:Swish",
    ),
    Activation("golu", "v exp(-exp(-v))", "Das et al. 2025", "fluidrelu_cli.networks.contenders:GoLU"),
    Activation("telu", "v tanh(exp(v))", "Fernandez and Mali 2024", "fluidrelu_cli.networks.contenders:TeLU"),
    Activation(
        *("acon-c", "d / (1 + exp(-β d)) + p2 v, d = (p1 - p2) v", "Ma et al. 2021"),
        "fluidrelu_cli.networks.contenders:AconC",
    ),
    Activation(
        *("pau", "(a0 + … + a5 v⁵) / (1 + |b1 v + … + b4 v⁴|)", "Molina et al. 2020, safe form"),
        "fluidrelu_cli.networks.contenders:PAU",
    ),
)

ACTIVATIONS = {activation.name: activation for activation in _ACTIVATIONS}
"""The built-in activations by name. In a formula "v | g(v)" means v for v >= 0 and g(v) for v < 0, and
γ = v / (2 exp(a)) with a learned from 0. Some are called as torch spells them, because that is what runs of earlier
releases have recorded, whose trials theirs must be."""

_COMMON = ("relu", "leaky-relu", "prelu", "elu", "GELU", "SiLU", "Mish")

CASTS = {
    "common": _COMMON,
    "wide": (
        *(*_COMMON, "SELU", "CELU", "ReLU6", "Hardswish", "Softplus", "tanh", "sigmoid", "Identity"),
        *("swish", "golu", "telu", "acon-c", "pau"),
    ),
}
"""Names that stand for several activations. What one stands for never changes, because study files say it."""


def _key(name: str) -> str:
    """What torch's spellings of one activation have in common: LeakyReLU, nn.LeakyReLU, leaky_relu, leaky-relu."""
    return re.sub(r"^(torch\.)?nn\.|[-_]", "", name.lower())


_BY_KEY = {_key(name): one for one in _ACTIVATIONS for name in (one.name, one.path.partition(":")[2])}
"""The built-in activations by their names and by those of their classes."""


_Name = TypeVar("_Name")


def expand_casts(names: Iterable[_Name]) -> list[_Name | str]:
    """The names, with the activations of each cast in its place but for those that are among the names themselves.

    ``common@lr=0.01`` stands for each of them with that setting. What is no name, as a class, stays as it is.

    Raises:
        UsageError: if the settings of a cast are none.
    """
    listed = list(names)
    known = {key_of_name(name) for name in listed if isinstance(name, str)}
    expanded: list[_Name | str] = []
    for name in listed:
        members = list_cast(name) if isinstance(name, str) else ()
        expanded += [each for each in members if key_of_name(each) not in known] if members else [name]
        known.update(map(key_of_name, members))
    return expanded


def list_cast(name: str) -> tuple[str, ...]:
    """The activations that a cast's name stands for; none if it is no cast's."""
    if name.partition("@")[0].lower() not in CASTS:
        return ()
    cast, settings = parse_arm(name)
    return tuple(join_arm(member, settings) for member in CASTS[cast.lower()])


def resolve(name: str) -> Activation:
    """Find the activation called ``name``: a built-in one, a class of `torch.nn`, or `module:Class`.

    The first two in any case and as torch spells them: ``gelu``, ``nn.GELU`` and ``GELU`` are one activation.
    Modules in the current folder can be imported. A built-in one is found without torch. ``NAME@lr=0.01`` is the same
    function with a setting of its own (protocol.OF_ARM), in whatever order and spelling.

    Raises:
        UsageError: if there is no such activation or setting, or it does not turn a tensor into one of the same shape.
    """
    members = list_cast(name)
    if members:
        raise UsageError(
            f"'{name}' stands for several activations ({', '.join(members)}): name one of them, or take them"
            f" all with `fluidrelu repeat --act {name}`."
        )
    function, settings = parse_arm(name)
    if settings:
        found = resolve(function)
        return replace(found, name=join_arm(found.name, settings))
    built_in = _BY_KEY.get(_key(name))
    if built_in is not None:
        return built_in
    if "," in name:
        each = " ".join(f"--act {one}" for one in name.replace(",", " ").split())
        raise UsageError(f"There is no activation '{name}'. Name each with an --act of its own: {each}.")
    if is_own(name):
        constructor = import_own(name, "activation")
        activation = Activation(name, name, "your own", name, code=find_source(constructor))
    else:
        from torch import nn

        classes = [each for each, found in vars(nn).items() if _key(each) == _key(name) and _is_module_class(found)]
        if name not in classes:
            if len(classes) != 1:
                hint = did_you_mean(classes or suggest_own(name, "activation") or _nearest(name))
                raise UsageError(f"There is no activation '{name}'.{hint} `fluidrelu acts` lists them.")
            name = classes[0]
        constructor = getattr(nn, name)
        activation = Activation(name, name, "torch.nn", f"torch.nn:{name}")
    _try(activation, constructor)
    return activation


def find_among(name: str, names: Collection[str]) -> str | None:
    """Which of these activations' names one stands for, as :func:`resolve` would take it; a user's own by its class
    alone, too, if no built-in one is called so. None if none or several may be meant. Nothing is imported.
    """
    arm = _find_arm(name)
    for exact in (name, arm):
        if exact in names:
            return exact
    own_too = _key(arm.partition("@")[0]) not in _BY_KEY
    found = [each for each in names if _key(arm) in (_key(each), _key(each.rpartition(":")[2] if own_too else each))]
    return found[0] if len(found) == 1 else None


def key_of_name(name: str) -> str:
    """What the spellings of one activation have in common, and no other one has. Nothing is imported."""
    arm = _find_arm(name)
    return arm.lower() if is_own(arm) else _key(arm)


def _find_arm(name: str) -> str:
    """A name as :func:`resolve` would record it, as far as that is known without an import."""
    function, settings = name, dict[str, float]()
    with contextlib.suppress(UsageError):
        function, settings = parse_arm(name)
    built_in = _BY_KEY.get(_key(function))
    return join_arm(function if built_in is None else built_in.name, settings)


def _is_module_class(constructor: object) -> bool:
    from torch import nn

    return isinstance(constructor, type) and issubclass(constructor, nn.Module)


def resolve_class(constructor: type[nn.Module]) -> Activation:
    """The activation that a class makes: for code that has it at hand.

    A class of torch.nn or of this package is the built-in activation. Any other is called by its module and name,
    ``mine:Act``; it ``travels`` if another process can import it so.

    Raises:
        UsageError: if it is no class of modules, or what it makes cannot serve as an activation.
    """
    from torch import nn

    if not _is_module_class(constructor):
        shown = " ".join(repr(constructor).split())
        raise UsageError(f"An activation is a name or a class of torch.nn.Module, not {shown}.")
    name = constructor.__qualname__
    of_torch = getattr(nn, name, None) is constructor
    path = f"torch.nn:{name}" if of_torch else f"{constructor.__module__}:{name}"
    for built_in in ACTIVATIONS.values():
        if built_in.path == path:
            return built_in
    if of_torch:
        return resolve(name)
    kept = None if _leads_to(path, constructor) else constructor
    name = f"{constructor.__module__}:{name.rpartition('<locals>.')[2]}"  # without the function that defines it
    activation = Activation(name, name, "your own", path, code=find_source(constructor), constructor=kept)
    _try(activation, constructor)
    return activation


def _leads_to(path: str, constructor: Callable[..., Any]) -> bool:
    """Whether another process finds a class or function by its path, as far as this one can know."""
    if path.startswith("__main__:"):  # another process has another one
        return False
    try:
        return pkgutil.resolve_name(path) is constructor
    except (ImportError, AttributeError, ValueError):  # "<locals>" is no name
        return False


def _load(path: str, name: str, kind: str) -> Callable[..., Any]:
    constructor: Callable[..., Any] = import_own(path, kind) if is_own(name) else pkgutil.resolve_name(path)
    return constructor


def _nearest(name: str) -> list[str]:
    from torch import nn

    known = {_key(known): known for known in (*nn.modules.activation.__all__, *ACTIVATIONS)}
    return [known[near] for near in difflib.get_close_matches(_key(name).rpartition(".")[2], known, n=3)]


def _try(activation: Activation, constructor: object) -> None:
    """Refuse what is no activation before an hour is spent on it; what is no class of modules is not even called."""
    import torch

    problem: str | None = "no class of torch.nn.Module"
    line, cause = "", None
    v = torch.linspace(-1, 1, 2 * 4 * 2 * 2).view(2, 4, 2, 2)
    if _is_module_class(constructor):
        with torch.random.fork_rng(devices=[]), contextlib.redirect_stdout(sys.stderr):
            try:
                module = activation.make(4)
                problem = _compare(v, module(v))
            except (Exception, SystemExit) as error:  # whatever the user's constructor or forward does
                problem, line, cause = one_line(error), find_line(error), error
    if problem is not None:
        advice = (
            f"Correct that line: an activation is tried on a tensor of the shape {tuple(v.shape)}."
            if line
            else "Name a class that needs no arguments, or num_parameters alone, and that keeps the shape and the type"
            " of its input."
        )
        raise UsageError(f"'{activation.name}' cannot serve as an activation ({problem}{line}). {advice}") from cause


def _compare(v: Tensor, result: object) -> str | None:
    """What is wrong with what an activation made of an input; None if nothing is."""
    import torch

    if not isinstance(result, torch.Tensor):
        return f"it returns no tensor but {type(result).__name__}"
    for what, before, after in (("shape", tuple(v.shape), tuple(result.shape)), ("type", v.dtype, result.dtype)):
        if before != after:
            return f"it makes the {what} {after} of {before}"
    return None


MOST_UNITS = 100_000
"""How many units a hidden layer may have."""


@dataclass(frozen=True)
class Option:
    """What may be chosen of a built-in network: ``paper:pooling=average``."""

    name: str
    help: str
    default: str | int
    layers: Mapping[str, str] = field(default_factory=dict, hash=False)
    """By value, what the list of layers says of it; empty for a number."""
    layer: str = ""
    """What it says of a number, where that is not 0."""
    smallest: Mapping[str, int] = field(default_factory=dict, hash=False)
    """By value, the least height and width of an image, where it is another one."""
    needs: str = ""
    """The option without which it changes nothing, and with a value of which it does: ``hidden=128``."""

    @property
    def values(self) -> str:
        """What it can be, in words."""
        *others, last = self.layers or (f"a whole number from 0 to {MOST_UNITS:,}",)
        return f"{', '.join(others)} or {last}" if others else last

    def read(self, text: str) -> str | int:
        """The value that a text stands for; UsageError if there is no such value."""
        if self.layers and text in self.layers:
            return text
        if not self.layers and re.fullmatch("[0-9]{1,9}", text) and int(text) <= MOST_UNITS:
            return int(text)
        raise UsageError(f"The network's {self.name} must be {self.values}, not '{printable(text)}'.")

    def describe(self, value: str | int) -> str:
        """The layers that a value stands for; empty if none."""
        return self.layers[value] if isinstance(value, str) else self.layer.format(value) if value else ""


@dataclass(frozen=True)
class Architecture:
    """A named network: what `fluidrelu models` shows, and what makes one."""

    name: str
    first_layers: str
    """Its layers but for those that options are about and the last one, which is linear; a user's own: its name."""
    source: str
    path: str
    """``module:Class``; called with (activation, shape, classes), and what is chosen of its options by name."""
    smallest: int = 1
    """The least height and width of an image that it can take."""
    options: tuple[Option, ...] = ()
    """In the order in which the layers have them."""
    chosen: Mapping[str, str | int] = field(default_factory=dict, hash=False)
    """The options that are not as usual."""
    code: Source | None = None
    """What a user's own network is known by."""

    @property
    def settings(self) -> dict[str, str | int]:
        """The value of every option, chosen or as usual."""
        return {option.name: self.chosen.get(option.name, option.default) for option in self.options}

    @property
    def layers(self) -> str:
        """What it consists of, in order."""
        if is_own(self.name):
            return self.first_layers
        said = [option.describe(self.settings[option.name]) for option in self.options if self._matters(option)]
        return ", ".join(filter(None, (self.first_layers, *said, "linear")))

    @property
    def choices(self) -> dict[str, str | int]:
        """What is chosen by option; one that needs another is part of what that other is: ``hidden`` is 0, or "128,
        relu".
        """
        values = self.settings
        for option in self.options:
            if option.needs:
                value, needed = values.pop(option.name), option.needs.partition("=")[0]
                values[needed] = f"{values[needed]}, {value}" if self._matters(option) else values[needed]
        return values

    def _matters(self, option: Option) -> bool:
        return not option.needs or option.needs.partition("=")[0] in self.chosen

    def choose(self, options: Iterable[tuple[str, str]]) -> Architecture:
        """The network with these options, called by those that are not as usual.

        Raises:
            UsageError: if it has no such option or value, one is there twice, or one changes nothing without another.
        """
        known = {option.name: option for option in self.options}
        read: dict[str, str | int] = {}
        for text, value in options:
            name = text.replace("-", "_")  # as an option of the command line is written
            if not known:
                raise UsageError(f"The network {self.name} has no options: leave {printable(text)} out.")
            if name not in known:
                near = did_you_mean(difflib.get_close_matches(name, known, n=1))
                raise UsageError(
                    f"The network {self.name} has no option '{printable(text)}'.{near} Its options are"
                    f" {', '.join(known)}; `fluidrelu models` shows them."
                )
            if name in read:
                raise UsageError(f"The network's {name} is set twice: leave one out.")
            read[name] = known[name].read(value)
        chosen = {name: value for name, value in read.items() if value != known[name].default}
        if not chosen:
            return self
        smallest = [known[name].smallest.get(str(value)) for name, value in chosen.items()]
        name = join_model(self.name, chosen)
        made = replace(self, name=name, chosen=chosen, smallest=min(filter(None, smallest), default=self.smallest))
        for each in chosen:
            if not made._matters(known[each]):
                raise UsageError(
                    f"{each}={chosen[each]} changes nothing by itself: add {known[each].needs}, or leave it out."
                )
        return made

    def load(self) -> Callable[..., Any]:
        """Import what makes it; UsageError if a user's own cannot be imported."""
        return _load(self.path, self.name, "network")


def _choices(padded: int) -> tuple[Option, ...]:
    """The options of convolutions that are each pooled.

    Args:
        padded: the least height and width of an image if they are padded.
    """
    return (
        Option(
            *("padding", "zeros around a convolution's input: none, or as many as keep its size", "none"),
            {"none": "", "same": "padded"},
            smallest={"same": padded},
        ),
        Option(
            *(
                "pooling",
                "of 2x2 values after each convolution; 3: of 3x3 with stride 2, fewer at an edge",
                "max",
            ),
            {
                "max": "max-pooling",
                "average": "average pooling",
                "max-3": "max-pooling 3x3",
                "max-average-3": "max-pooling 3x3 once, then average pooling 3x3",
            },
        ),
        Option("hidden", "units of a hidden layer before the last layer; 0: no such layer", 0, layer="{} hidden units"),
        Option(
            *("hidden_activation", "after the hidden layer: ReLU, the activation that is tested, or nothing", "relu"),
            {"relu": "ReLU", "tested": "activation", "none": ""},
            needs="hidden=128",
        ),
    )


_ARCHITECTURES = (
    Architecture(
        *("paper", "2 convolutions 5x5 (16, 32)", "the paper, Table 1"),
        *("fluidrelu_cli.networks.architectures:PaperCNN", 16, _choices(4)),
    ),
    Architecture(
        *("cnn3", "3 convolutions 3x3 (32, 64, 128)", "after CMES 118(1), 2019"),
        *("fluidrelu_cli.networks.architectures:CNN3", 22, _choices(8)),
    ),
    Architecture(
        *("resnet20", "19 convolutions 3x3, shortcuts", "He et al. 2016, CIFAR form"),
        *("fluidrelu_cli.networks.architectures:ResNet20", 8),
    ),
)

ARCHITECTURES = {architecture.name: architecture for architecture in _ARCHITECTURES}
"""The built-in networks by name."""


def resolve_model(name: str) -> Architecture:
    """Find the network called ``name``: a built-in one, perhaps with options, or a user's own, `module:factory`.

    Raises:
        UsageError: if there is no such network or option.
    """
    if is_own(name):
        constructor = _import_network(name)
        if not callable(constructor):
            raise UsageError(f"The network '{name}' cannot be called. Name a class or a function.")
        return Architecture(name, name, "your own", name, code=find_source(constructor))
    network, options = split_model(name)
    if network not in ARCHITECTURES:
        raise UsageError(
            f"There is no model '{network}'.{did_you_mean(suggest_own(network, 'network'))}"
            f" Use --model {', '.join(ARCHITECTURES)}, or module:Class for one of your own."
        )
    return ARCHITECTURES[network].choose(options)


def _import_network(name: str) -> Any:
    try:
        return import_own(name, "network")
    except UsageError as error:
        network = name.partition(":")[0]
        if network not in ARCHITECTURES:
            raise
        raise UsageError(
            f"{error} Or did you mean an option of {network}? Write it as in {network}:pooling=average."
        ) from error


def find_model(name: str) -> Architecture | None:
    """The built-in network of a name that a file gave; None if there is none. Nothing is imported."""
    with contextlib.suppress(UsageError):
        return None if is_own(name) else resolve_model(name)
    return None


def spell_model(name: str, options: Iterable[tuple[str, str]] = ()) -> str:
    """The name by which a network is recorded: its options in order, without those that are as usual.

    Nothing is imported: any name without options stays as it is.

    Args:
        name: perhaps with options.
        options: more of them.

    Raises:
        UsageError: as :func:`resolve_model`, if there are options.
    """
    network, mine = split_model(name)
    each = [*mine, *options]
    if each and is_own(network):
        raise UsageError(f"Only a built-in network has options, not '{network}': leave {printable(each[0][0])} out.")
    return resolve_model(network).choose(each).name if each else name
