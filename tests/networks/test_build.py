"""The networks: shapes, seeded weights, pooling order, shortcuts; and what a user's own network has to do."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.networks.architectures import ActivationFactory, PaperCNN, Shape
from fluidrelu_cli.networks.build import Network, activation_parameters, build_model, describe_network
from fluidrelu_cli.networks.named import ACTIVATIONS, ARCHITECTURES, Activation, resolve, resolve_class
from fluidrelu_cli.protocol import Protocol

MNIST, CIFAR = (1, 28, 28), (3, 32, 32)
F64 = torch.float64


class Noisy(nn.Module):
    """An activation that draws random numbers when it is made."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.rand(()))

    def forward(self, v: Tensor) -> Tensor:
        return v * self.slope


NOISY = resolve_class(Noisy)


def build(model: str = "paper", name: str = "relu", seed: int = 0, shape: Shape = MNIST, classes: int = 10) -> Network:
    return build_model(Protocol(model=model), resolve(name), seed, shape, classes)


def seeded_weights(model: str, activation: Activation, seed: int) -> dict[str, Tensor]:
    network = build_model(Protocol(model=model), activation, seed, CIFAR, 10)
    learned = {".".join(key) for key in activation_parameters(network)}
    return {name: value for name, value in network.module.state_dict().items() if name not in learned}


def lively(model: str, name: str, shape: Shape = MNIST, seed: int = 0) -> Network:
    """A float64 network whose learned activation parameters differ from each other."""
    network = build(model, name, seed, shape)
    network.module.double()
    generator = torch.Generator().manual_seed(seed)
    for parameter in activation_parameters(network).values():
        with torch.no_grad():
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=F64))
    return network


def some_images(count: int, shape: Shape = MNIST, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, *shape, generator=generator, dtype=F64)
    return images, torch.randint(10, (count,), generator=generator)


PAPER_LAYERS = {"conv1": [(16, 24, 24)], "conv2": [(32, 8, 8)], "pool1": [(16, 12, 12)], "pool2": [(32, 4, 4)]}
CNN3_LAYERS = {
    "conv1": [(32, 30, 30)],
    "conv2": [(64, 13, 13)],
    "conv3": [(128, 4, 4)],
    "pool1": [(32, 15, 15)],
    "pool2": [(64, 6, 6)],
    "pool3": [(128, 2, 2)],
}


@pytest.mark.parametrize(
    ("model", "name", "shape", "layers", "activated"),
    [
        ("paper", "prelu", MNIST, PAPER_LAYERS, [(16, 24, 24), (32, 8, 8)]),
        ("paper", "fluid", MNIST, PAPER_LAYERS, [(16, 12, 12), (32, 4, 4)]),  # the pooled values, a quarter of them
        ("cnn3", "prelu", CIFAR, CNN3_LAYERS, [(32, 30, 30), (64, 13, 13), (128, 4, 4)]),
        ("cnn3", "fluid", CIFAR, CNN3_LAYERS, [(32, 15, 15), (64, 6, 6), (128, 2, 2)]),
    ],
)
def test_shapes_after_each_layer(
    model: str,
    name: str,
    shape: Shape,
    layers: dict[str, list[tuple[int, ...]]],
    activated: list[tuple[int, ...]],
) -> None:
    module = build(model, name, shape=shape).module
    shapes: dict[str, list[tuple[int, ...]]] = {}

    def record(layer: str, output: Tensor) -> None:
        shapes.setdefault(layer, []).append(tuple(output.shape[1:]))

    for layer, child in module.named_children():
        child.register_forward_hook(lambda _module, _inputs, output, layer=layer: record(layer, output))
    assert module(torch.rand(2, *shape)).shape == (2, 10)
    activations = {f"activation{layer}": [found] for layer, found in enumerate(activated, start=1)}
    assert shapes == {**layers, **activations}


def test_shapes_after_each_stage_of_resnet20() -> None:
    module = build("resnet20", shape=CIFAR).module
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, part in module.named_modules():
        part.register_forward_hook(
            lambda _module, _inputs, output, layer=layer: shapes.update({layer: tuple(output.shape[1:])})
        )
    module(torch.rand(2, *CIFAR))
    for layer in ("conv", "norm", "activation", "stage1.0", "stage1.1.conv2", "stage1"):
        assert shapes[layer] == (16, 32, 32)
    for layer in ("stage2.0.conv1", "stage2.0.activation1", "stage2.0", "stage2.2.norm2", "stage2"):
        assert shapes[layer] == (32, 16, 16)
    for layer in ("stage3.0.conv1", "stage3.1.activation2", "stage3"):
        assert shapes[layer] == (64, 8, 8)
    assert shapes["fc"] == shapes[""] == (10,)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("model", "shape", "last"), [("paper", MNIST, 2), ("cnn3", CIFAR, 3)])
def test_the_linear_layer_takes_its_inputs_channel_by_channel(
    model: str, shape: Shape, last: int, memory_format: torch.memory_format
) -> None:
    """As torch flattens them and as `fc.weight` is stored, whatever the order in memory."""
    module = lively(model, "relu", shape).module
    module.to(memory_format=memory_format)  # type: ignore[call-overload,unused-ignore]
    flat: list[Tensor] = []
    module.get_submodule(f"activation{last}").register_forward_hook(
        lambda _module, _inputs, output: flat.append(output.flatten(1))
    )
    logits = module(some_images(3, shape)[0])
    torch.testing.assert_close(logits, module.get_submodule("fc")(flat[0]), rtol=1e-12, atol=0)


PAPER_WEIGHTS = (16 * 1 * 5 * 5 + 16) + (32 * 16 * 5 * 5 + 32) + (512 * 10 + 10)
CNN3_WEIGHTS = (32 * 3 * 3 * 3 + 32) + (64 * 32 * 3 * 3 + 64) + (128 * 64 * 3 * 3 + 128) + (512 * 10 + 10)
RESNET20_KERNELS = 7 * 16 + 6 * 32 + 6 * 64


@pytest.mark.parametrize(
    ("model", "name", "shape", "parameters"),
    [
        ("paper", "relu", MNIST, PAPER_WEIGHTS),
        ("paper", "relu", MNIST, 18_378),
        ("paper", "fluid", MNIST, 18_378 + 16 + 32),
        ("paper", "prelu", MNIST, 18_378 + 16 + 32),
        ("cnn3", "relu", CIFAR, CNN3_WEIGHTS),
        ("cnn3", "relu", CIFAR, 98_378),
        ("cnn3", "fluid", CIFAR, 98_378 + 32 + 64 + 128),
        ("resnet20", "relu", CIFAR, 269_722),  # 0.27 million in He et al. 2016, table 6
        ("resnet20", "fluid", CIFAR, 269_722 + RESNET20_KERNELS),
    ],
)
def test_parameter_counts(model: str, name: str, shape: Shape, parameters: int) -> None:
    module = build(model, name, shape=shape).module
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters


def test_resnet20_has_20_layers_of_weights_and_no_weights_in_its_shortcuts() -> None:
    module = build("resnet20", shape=CIFAR).module
    layers = [part for part in module.modules() if isinstance(part, (nn.Conv2d, nn.Linear))]
    assert len(layers) == 20
    assert all(layer.kernel_size == (3, 3) for layer in layers if isinstance(layer, nn.Conv2d))
    assert [part.stride for part in layers if isinstance(part, nn.Conv2d)].count((2, 2)) == 2


def test_resnet20_starts_from_hes_normal_initialisation() -> None:
    """An SD of sqrt(2 / (9 n)) for n kernels of 3x3; batch normalisation starts as the identity."""
    for name, value in build("resnet20", shape=CIFAR).module.named_parameters():
        if "conv" in name:
            expected = math.sqrt(2 / (9 * len(value)))
            assert value.std().item() == pytest.approx(expected, rel=4 / math.sqrt(2 * value.numel()))
        elif "norm" in name:
            assert torch.equal(value, torch.full_like(value, float(name.endswith("weight"))))


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(["paper", "cnn3", "resnet20"]),
    st.integers(1, 5),
    st.integers(0, 7),
    st.integers(0, 7),
    st.integers(2, 13),
)
def test_a_network_adapts_to_channels_size_and_classes(
    model: str, channels: int, more_rows: int, more_columns: int, classes: int
) -> None:
    smallest = ARCHITECTURES[model].smallest
    shape = channels, smallest + more_rows, smallest + more_columns
    with torch.inference_mode():
        logits = build(model, "fluid", shape=shape, classes=classes).module(torch.rand(2, *shape))
    assert logits.shape == (2, classes)
    assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("model", "smallest"),
    [
        *(("paper", 16), ("cnn3", 22), ("resnet20", 8)),
        *(
            ("paper:padding=same", 4),
            ("cnn3:padding=same,pooling=max-3", 8),
            ("paper:hidden=3,pooling=max-average-3", 16),
        ),
    ],
)
def test_the_smallest_images_are_taken_and_smaller_ones_refused(model: str, smallest: int) -> None:
    shape = 2, smallest, smallest
    assert build(model, shape=shape, classes=3).module(torch.rand(2, *shape)).shape == (2, 3)
    for height, width in ((smallest - 1, smallest), (smallest + 9, smallest - 1)):
        with pytest.raises(UsageError) as caught:
            build(model, shape=(2, height, width))
        assert str(caught.value) == (
            f"The network '{model}' needs images of at least {smallest} x {smallest} pixels, not {height} x {width}."
            " Name another with --model (paper, cnn3, resnet20)."
        )


@pytest.mark.parametrize("model", ARCHITECTURES)
@pytest.mark.parametrize(
    "activation",
    [*(ACTIVATIONS[name] for name in ("fluid", "prelu", "tanh", "acon-c", "pau")), NOISY],
    ids=lambda activation: activation.name,
)
def test_one_seed_gives_the_same_weights_whatever_the_activation(activation: Activation, model: str) -> None:
    expected, found = (seeded_weights(model, each, 5) for each in (ACTIVATIONS["relu"], activation))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_different_seeds_give_different_weights(model: str) -> None:
    one, other = (seeded_weights(model, ACTIVATIONS["relu"], seed) for seed in (0, 1))
    equal = {name for name, value in one.items() if torch.equal(value, other[name])}
    assert all("norm" in name for name in equal)  # they start as the identity in every network


def test_an_activations_own_random_numbers_come_from_the_seed_too() -> None:
    def slopes(seed: int) -> list[float]:
        network = build_model(Protocol(model="resnet20"), NOISY, seed, CIFAR, 10)
        return [value.item() for value in activation_parameters(network).values()]

    assert slopes(0) == slopes(0)
    assert len({*slopes(0), *slopes(7)}) == 2 * 19  # each layer's are its own


def test_a_factory_makes_activations_from_a_stream_of_their_own() -> None:
    def slopes(seed: int) -> list[float]:
        factory = ActivationFactory(NOISY, seed)
        modules = [factory(4), factory(5)]
        assert factory.made == modules
        return [module.get_parameter("slope").item() for module in modules]

    before = torch.random.get_rng_state()
    one = slopes(3)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(11)
    assert slopes(3) == one
    assert len({*one, *slopes(4)}) == 4  # each layer's and each seed's are its own


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_factory_knows_whether_a_network_may_pool_first(name: str) -> None:
    assert ActivationFactory(resolve(name), 0).commutes_with_max_pool == ACTIVATIONS[name].commutes_with_max_pool


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_building_leaves_the_global_random_numbers_alone(model: str) -> None:
    before = torch.random.get_rng_state()
    build_model(Protocol(model=model), NOISY, 3, CIFAR, 10)
    assert torch.equal(torch.random.get_rng_state(), before)


def pool_by_hand(v: Tensor, kind: str, side: int) -> Tensor:
    """What squares of 2x2 hold, or of 3x3 with stride 2: then an even side goes on for one more, which counts for
    nothing.
    """
    missing = [0, int(side == 3 and v.shape[3] % 2 == 0), 0, int(side == 3 and v.shape[2] % 2 == 0)]
    if kind == "max":
        return functional.max_pool2d(functional.pad(v, missing, value=-math.inf), side, 2)
    sums, numbers = (functional.avg_pool2d(functional.pad(each, missing), side, 2) for each in (v, torch.ones_like(v)))
    return sums / numbers


def fluid_by_hand(v: Tensor, a: Tensor) -> Tensor:
    return torch.where(v < 0, v / (1 - v.clamp(max=0) / (2 * a.exp())), v)


def network_by_hand(
    images: Tensor, weights: dict[str, Tensor], kinds: list[str], side: int, padding: int, head: str
) -> Tensor:
    values = images
    for layer, kind in enumerate(kinds, start=1):
        v = functional.conv2d(values, weights[f"conv{layer}.weight"], weights[f"conv{layer}.bias"], padding=padding)
        values = pool_by_hand(fluid_by_hand(v, weights[f"activation{layer}.a"].view(-1, 1, 1)), kind, side)
    values = values.flatten(1)
    if head != "linear":
        values = values @ weights["hidden.weight"].t() + weights["hidden.bias"]
    if head == "relu":
        values = values.relu()
    if head == "fluid":
        values = fluid_by_hand(values, weights[f"activation{len(kinds) + 1}.a"])
    return values @ weights["fc.weight"].t() + weights["fc.bias"]


@pytest.mark.parametrize(
    ("model", "kinds", "side", "padding", "head"),
    [
        ("paper", ["max", "max"], 2, 0, "linear"),
        ("paper:pooling=average", ["average", "average"], 2, 0, "linear"),
        ("paper:pooling=max-3", ["max", "max"], 3, 0, "linear"),
        ("paper:pooling=max-average-3", ["max", "average"], 3, 0, "linear"),
        ("paper:padding=same", ["max", "max"], 2, 2, "linear"),
        ("paper:hidden=6", ["max", "max"], 2, 0, "relu"),
        ("paper:hidden=6,hidden_activation=none", ["max", "max"], 2, 0, "none"),
        ("paper:hidden=6,hidden_activation=tested", ["max", "max"], 2, 0, "fluid"),
        (
            "paper:hidden=6,hidden_activation=tested,padding=same,pooling=max-average-3",
            *(["max", "average"], 3, 2, "fluid"),
        ),
        ("cnn3:padding=same,pooling=max-average-3", ["max", "average", "average"], 3, 1, "linear"),
    ],
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_network_with_options_agrees_with_one_written_out(
    model: str, kinds: list[str], side: int, padding: int, head: str, memory_format: torch.memory_format
) -> None:
    """Values and gradients; of sides that are odd and even before they are pooled."""
    shape = (2, 19, 22)
    module = lively(model, "fluid", shape).module
    images, labels = some_images(5, shape)
    weights = {name: value.detach().clone().requires_grad_() for name, value in module.named_parameters()}
    expected = network_by_hand(images, weights, kinds, side, padding, head)
    module.to(memory_format=memory_format)  # type: ignore[call-overload,unused-ignore]
    logits = module(images)
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-12)
    found, by_hand = (
        torch.autograd.grad(functional.cross_entropy(each, labels), parameters)
        for each, parameters in ((logits, list(module.parameters())), (expected, list(weights.values())))
    )
    torch.testing.assert_close(found, by_hand, rtol=1e-9, atol=1e-12)


def test_pooling_leaves_the_initial_weights_as_they_are() -> None:
    usual = seeded_weights("paper", ACTIVATIONS["relu"], 5)
    for pooling in ("average", "max-3", "max-average-3"):
        found = seeded_weights(f"paper:pooling={pooling}", ACTIVATIONS["relu"], 5)
        assert found.keys() == usual.keys()
        assert all(torch.equal(found[name], value) for name, value in usual.items())


def test_a_hidden_layer_of_a_tested_activation_is_one_of_its_layers() -> None:
    """Each unit is a channel. A user's own activation takes it as it takes what a convolution gives."""
    tested = "paper:hidden=6,hidden_activation=tested"
    found = activation_parameters(build(tested, "fluid"))
    assert {layer: len(value) for (layer, _), value in found.items()} == {
        "activation1": 16,
        "activation2": 32,
        "activation3": 6,
    }
    assert build("paper:hidden=6", "fluid").activation_layers == ("activation1", "activation2")
    assert build(tested, "Softmax2d").module(torch.rand(2, *MNIST)).shape == (2, 10)


@pytest.mark.parametrize(("model", "shape"), [("paper", MNIST), ("cnn3", CIFAR), ("paper:pooling=max-3", MNIST)])
@pytest.mark.parametrize("name", ["relu", "fluid"])
def test_pooling_first_changes_nothing(name: str, model: str, shape: Shape) -> None:
    images, labels = some_images(8, shape)
    results = []
    for pool_first in (True, False):
        module = lively(model, name, shape).module
        assert isinstance(module, PaperCNN)
        assert module.pool_first
        module.pool_first = pool_first
        logits = module(images)
        loss = functional.cross_entropy(logits, labels)
        results.append((logits, *torch.autograd.grad(loss, list(module.parameters()))))
    torch.testing.assert_close(results[0], results[1], rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("model", ["paper", "cnn3"])
def test_an_activation_that_does_not_commute_is_applied_before_pooling(model: str) -> None:
    for name in ("fluid-exp", "prelu", "Mish"):
        module = build(model, name).module
        assert isinstance(module, PaperCNN)
        assert not module.pool_first


def test_what_is_averaged_is_activated_before() -> None:
    module = build("paper:pooling=max-average-3", "fluid").module
    activated: list[tuple[int, ...]] = []
    for layer in ("activation1", "activation2"):
        module.get_submodule(layer).register_forward_hook(lambda _m, _i, output: activated.append(output.shape[1:]))
    module(torch.rand(2, *MNIST))
    assert activated == [(16, 12, 12), (32, 8, 8)]


def plain_resnet20(images: Tensor, weights: dict[str, Tensor], training: bool) -> Tensor:
    """He et al. 2016 with shortcuts of option A and ReLU, in torch's functions."""

    def normal(hidden: Tensor, convolution: str, norm: str, stride: int) -> Tensor:
        v = functional.conv2d(hidden, weights[f"{convolution}.weight"], stride=stride, padding=1)
        scale, shift = weights[f"{norm}.weight"], weights[f"{norm}.bias"]
        statistics = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
        return functional.batch_norm(v, *statistics, scale, shift, training=training)

    hidden = normal(images, "conv", "norm", 1).relu()
    for stage, block in [(stage, block) for stage in (1, 2, 3) for block in (0, 1, 2)]:
        name = f"stage{stage}.{block}"
        stride = 2 if stage > 1 and block == 0 else 1
        inner = normal(hidden, f"{name}.conv1", f"{name}.norm1", stride).relu()
        inner = normal(inner, f"{name}.conv2", f"{name}.norm2", 1)
        if stride == 2:
            small = hidden[:, :, 0::2, 0::2]
            hidden = torch.cat([small, torch.zeros_like(small)], 1)
        hidden = (inner + hidden).relu()
    pooled = functional.adaptive_avg_pool2d(hidden, 1).flatten(1)
    return functional.linear(pooled, weights["fc.weight"], weights["fc.bias"])


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_resnet20_agrees_with_a_plain_one(training: bool) -> None:
    """Values, gradients, and the running means and variances that they leave."""
    module = build("resnet20", shape=(3, 12, 9)).module.double().train(training)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in module.named_parameters():
            if "norm" in name:
                value.add_(torch.rand(value.shape, generator=generator, dtype=F64))
    for name, buffer in module.named_buffers():
        if "running" in name:
            buffer.add_(torch.rand(buffer.shape, generator=generator, dtype=F64))
    state = {name: value.detach().clone() for name, value in module.state_dict().items()}
    names = [name for name, _ in module.named_parameters()]
    leaves = [state[name].requires_grad_() for name in names]
    images, labels = some_images(4, (3, 12, 9))
    logits, expected = module(images), plain_resnet20(images, state, training)
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-10)
    loss, plain_loss = functional.cross_entropy(logits, labels), functional.cross_entropy(expected, labels)
    torch.testing.assert_close(
        torch.autograd.grad(loss, list(module.parameters())),
        torch.autograd.grad(plain_loss, leaves),
        rtol=1e-9,
        atol=1e-10,
    )
    for name, buffer in module.named_buffers():
        if "running" in name:
            torch.testing.assert_close(buffer, state[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("height", "width"), [(6, 6), (7, 5)])
def test_a_shortcut_takes_every_other_pixel_and_adds_channels_of_zeros(height: int, width: int) -> None:
    block = build("resnet20", shape=CIFAR).module.get_submodule("stage2.0").double().eval()
    nn.init.zeros_(block.get_parameter("norm2.weight"))  # nothing comes through the convolutions
    images = torch.randn(2, 16, height, width, generator=torch.Generator().manual_seed(0), dtype=F64)
    expected = torch.zeros(2, 32, (height + 1) // 2, (width + 1) // 2, dtype=F64)
    for image in range(2):
        for channel in range(16):
            for row in range(0, height, 2):
                for column in range(0, width, 2):
                    value = images[image, channel, row, column]
                    expected[image, channel, row // 2, column // 2] = max(value.item(), 0.0)
    assert torch.equal(block(images), expected)


def test_a_shortcut_of_equal_width_is_the_identity() -> None:
    block = build("resnet20", shape=CIFAR).module.get_submodule("stage2.1").double().eval()
    nn.init.zeros_(block.get_parameter("norm2.weight"))
    images = torch.randn(2, 32, 5, 4, generator=torch.Generator().manual_seed(0), dtype=F64)
    assert torch.equal(block(images), images.relu())


@pytest.mark.parametrize(("model", "side"), [("paper", 16), ("cnn3", 22), ("resnet20", 8)])
def test_gradients_by_differences(model: str, side: int) -> None:
    network = lively(model, "tanh", (1, side, side))
    network.module.eval()
    images, _ = some_images(2, (1, side, side))
    assert torch.autograd.gradcheck(network.module, images.requires_grad_(), fast_mode=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relu", {}),
        ("fluid", {("activation1", "a"): (16,), ("activation2", "a"): (32,)}),
        ("prelu", {("activation1", "weight"): (16,), ("activation2", "weight"): (32,)}),
    ],
)
def test_activation_parameters(name: str, expected: dict[tuple[str, str], tuple[int, ...]]) -> None:
    network = build("paper", name)
    found = activation_parameters(network)
    assert {key: tuple(value.shape) for key, value in found.items()} == expected
    assert all(value is network.module.get_parameter(".".join(key)) for key, value in found.items())


def test_activation_parameters_of_cnn3() -> None:
    found = activation_parameters(build("cnn3", "fluid", shape=CIFAR))
    assert {layer: len(value) for (layer, _), value in found.items()} == {
        "activation1": 32,
        "activation2": 64,
        "activation3": 128,
    }


def test_activation_parameters_of_resnet20() -> None:
    """Layer by layer in the order of their use."""
    network = build("resnet20", "prelu", shape=CIFAR)
    blocks = [f"stage{stage}.{block}" for stage in (1, 2, 3) for block in (0, 1, 2)]
    layers = ["activation", *(f"{block}.activation{which}" for block in blocks for which in (1, 2))]
    assert list(network.activation_layers) == layers
    assert len(layers) == 19
    found = activation_parameters(network)
    assert list(found) == [(layer, "weight") for layer in layers]
    assert [len(value) for value in found.values()] == [16] * 7 + [32] * 6 + [64] * 6
    assert build("resnet20", "relu", shape=CIFAR).activation_layers == network.activation_layers


OWN_NETWORKS = '''
import sys
import torch
from torch import nn


class Plain(nn.Module):
    def __init__(self, activation, shape, classes):
        super().__init__()
        self.first = nn.Linear(shape[0] * shape[1] * shape[2], 8)
        self.inner = nn.Sequential(activation(8), nn.Linear(8, classes))

    def forward(self, images):
        return self.inner(self.first(images.flatten(1)))


def lazy(activation, shape, classes):
    """It knows the size of its linear layer only when it sees an image."""
    print("said while it is made")
    return nn.Sequential(nn.Conv2d(shape[0], 4, 3), activation(4), nn.Flatten(), nn.LazyLinear(classes))


def normal(activation, shape, classes):
    return nn.Sequential(
        nn.Conv2d(shape[0], 4, 3), nn.BatchNorm2d(4), activation(4), nn.Dropout(), nn.Flatten(), nn.LazyLinear(classes)
    )


class Shared(nn.Module):
    """One activation twice, under two names."""

    def __init__(self, activation, shape, classes):
        super().__init__()
        self.one = activation(8)
        self.again = self.one
        self.first, self.last = nn.LazyLinear(8), nn.Linear(8, classes)

    def forward(self, images):
        return self.last(self.again(self.one(self.first(images.flatten(1)))))


def head(logits):
    class Head(Plain):
        def forward(self, images):
            return logits(super().forward(images))
    return Head


def one_more(activation, shape, classes):
    return Plain(activation, shape, classes + 1)


flat = head(lambda logits: logits[0])
pair = head(lambda logits: (logits, logits))
no_tensor = head(lambda logits: None)


def bare(activation, shape, classes):
    return lambda images: images


def without(activation, shape, classes):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes), nn.ReLU())


class Unused(nn.Sequential):
    def __init__(self, activation, shape, classes):
        super().__init__(nn.Flatten(), nn.LazyLinear(classes))
        self.spare = activation(4)

    def forward(self, images):
        return self[1](self[0](images))


def detached(activation, shape, classes):
    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Flatten(), nn.LazyLinear(classes), activation(classes))

        def forward(self, images):
            return self.inner(images).detach()

    return Detached()


class Unregistered(nn.Module):
    def __init__(self, activation, shape, classes):
        super().__init__()
        self.first, self.last = nn.LazyLinear(8), nn.Linear(8, classes)
        self.hidden = [activation(8)]  # a list hides it from torch

    def forward(self, images):
        return self.last(self.hidden[0](self.first(images.flatten(1))))


def raising(activation, shape, classes):
    raise RuntimeError("broken\\nby its author")


def leaving(activation, shape, classes):
    sys.exit(3)


def no_arguments():
    return nn.Flatten()


class Picky(Plain):
    def forward(self, images):
        raise ValueError("images of this size are not to its taste")


number = 7
'''


def line_of(code: str) -> int:
    """The number of the first line of the module that has this code."""
    return 1 + next(number for number, line in enumerate(OWN_NETWORKS.splitlines()) if code in line)


@pytest.fixture
def own_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The module own_networks in the current folder, forgotten afterwards."""
    file = tmp_path / "own_networks.py"
    file.write_text(OWN_NETWORKS)
    (tmp_path / "own_network_failing.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield file
    for name in ("own_networks", "own_network_failing"):
        sys.modules.pop(name, None)


OWN_SHAPE = (2, 6, 5)


def own(name: str, activation: str = "prelu", seed: int = 0) -> Network:
    return build(f"own_networks:{name}", activation, seed, OWN_SHAPE, 3)


@pytest.mark.usefixtures("own_networks")
@pytest.mark.parametrize(
    ("name", "layers"), [("Plain", ("inner.0",)), ("lazy", ("1",)), ("normal", ("2",)), ("Shared", ("one",))]
)
def test_a_network_of_a_users_own(name: str, layers: tuple[str, ...]) -> None:
    network = own(name)
    assert network.activation_layers == layers
    assert list(activation_parameters(network)) == [(layer, "weight") for layer in layers]
    assert network.module.training
    assert network.module(torch.rand(4, *OWN_SHAPE)).shape == (4, 3)
    assert all(parameter.requires_grad for parameter in network.module.parameters())
    assert not any(isinstance(value, nn.UninitializedParameter) for value in network.module.parameters())


@pytest.mark.usefixtures("own_networks")
@pytest.mark.parametrize("name", ["Plain", "lazy", "normal", "Shared"])
def test_a_users_network_has_its_weights_from_the_seed(name: str) -> None:
    def weights(activation: str, seed: int) -> dict[str, Tensor]:
        network = own(name, activation, seed)
        learned = {".".join(key) for key in activation_parameters(network)}
        return {key: value for key, value in network.module.named_parameters() if key not in learned}

    before = torch.random.get_rng_state()
    prelu, relu, other = weights("prelu", 4), weights("relu", 4), weights("relu", 5)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert prelu.keys() == relu.keys() == other.keys()
    for key, value in relu.items():
        assert torch.equal(prelu[key], value)
    assert any(not torch.equal(other[key], value) for key, value in relu.items())


@pytest.mark.usefixtures("own_networks")
def test_trying_a_network_leaves_its_running_means_alone() -> None:
    norm = own("normal").module.get_submodule("1")
    assert dict(norm.named_buffers()).keys() == {"running_mean", "running_var", "num_batches_tracked"}
    assert norm.get_buffer("running_mean").tolist() == [0.0] * 4
    assert norm.get_buffer("running_var").tolist() == [1.0] * 4
    assert norm.get_buffer("num_batches_tracked").item() == 0


@pytest.mark.usefixtures("own_networks")
def test_what_a_users_network_prints_is_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    own("lazy")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "said while it is made\n")


@pytest.mark.usefixtures("own_networks")
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("one_more", "of two images it makes (2, 4), not logits of shape (2, 3)"),
        ("flat", "of two images it makes (3,), not logits of shape (2, 3)"),
        ("pair", "of two images it makes tuple, not logits of shape (2, 3)"),
        ("no_tensor", "of two images it makes NoneType, not logits of shape (2, 3)"),
        ("bare", "no torch.nn.Module"),
        ("without", "it makes no activation, so that all activations would be the same network"),
        ("Unused", "it does not apply an activation that it made"),
        ("detached", "its logits have no gradient"),
        ("Unregistered", "an activation that it made is not part of it"),
        ("raising", f"RuntimeError: broken by its author, in own_networks.py line {line_of('raise RuntimeError')}"),
        ("leaving", f"SystemExit: 3, in own_networks.py line {line_of('sys.exit(3)')}"),
        ("no_arguments", "TypeError: no_arguments() takes 0 positional arguments but 3 were given"),
        ("Picky", f"ValueError: images of this size are not to its taste, in own_networks.py line {line_of('taste')}"),
    ],
)
def test_what_cannot_serve_as_a_network_is_refused(name: str, found: str) -> None:
    with pytest.raises(UsageError) as caught:
        own(name)
    raised = "Error: " in found or "SystemExit: " in found
    assert str(caught.value) == (
        f"'own_networks:{name}'{' with prelu' if raised else ''} cannot serve as a network ({found}). It is called with"
        " (activation, shape, classes), here with the shape (2, 6, 5) and 3 classes. It has to return a"
        " torch.nn.Module that turns images N x C x H x W into logits N x classes and makes its activations"
        " with activation(channels)."
    )
    assert (caught.value.__cause__ is not None) == raised


def test_a_users_network_whose_file_was_changed_is_refused(own_networks: Path) -> None:
    own("Plain")
    own_networks.write_text(OWN_NETWORKS + "\n")
    with pytest.raises(UsageError, match=r"own_networks\.py was changed after it was imported"):
        own("Plain")


ODD = """
import torch
from torch import nn

class Plain(nn.Module):
    def __init__(self, activation, shape, classes):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(shape[0], 4, 3), nn.BatchNorm2d(4), activation(4), nn.Dropout(0.5), nn.Flatten(),
            nn.LazyLinear(classes)
        )

    def forward(self, images):
        return self.layers(images)

class Normalised(Plain):
    def forward(self, images):
        return super().forward(images).log_softmax(1)

class Probable(Plain):
    def forward(self, images):
        return super().forward(images).softmax(1)

class Spare(Plain):
    def __init__(self, activation, shape, classes):
        super().__init__(activation, shape, classes)
        self.spare = nn.Linear(3, 3)

class Blind(Plain):
    def forward(self, images):
        return super().forward(torch.ones_like(images))
"""


@pytest.mark.parametrize(
    ("name", "oddity"),
    [
        ("Plain", None),
        ("Normalised", None),
        ("Probable", "ends in a softmax, and the loss applies its own: let it return what it gives the softmax."),
        (
            "Spare",
            "never learns spare.weight, spare.bias: use it in forward so that a gradient reaches it, or leave it out.",
        ),
        ("Blind", "gives logits that do not depend on the images."),
    ],
)
def test_what_is_odd_about_ones_own_network(
    name: str, oddity: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_nets.py").write_text(ODD)
    monkeypatch.syspath_prepend(tmp_path)
    before = torch.random.get_rng_state()
    notes = describe_network(Protocol(model=f"odd_nets:{name}"), MNIST, 10)
    assert notes == ([f"odd_nets:{name} {oddity}"] if oddity else [])
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(("model", "path"), [(one.name, one.path) for one in ARCHITECTURES.values()])
def test_the_built_in_networks_are_not_odd(model: str, path: str) -> None:
    assert describe_network(Protocol(model=path), CIFAR, 10) == describe_network(Protocol(model=model), CIFAR, 10) == []
