"""Several seeds as one stacked network against the same seeds one by one."""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from fluidrelu_cli.data.dataset import Dataset
from fluidrelu_cli.data.load import load_dataset
from fluidrelu_cli.networks.named import resolve
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.run import Epoch
from fluidrelu_cli.seeding import make_deterministic
from fluidrelu_cli.training import loop
from fluidrelu_cli.training.ensemble import Ensemble, _MatmulConv2d, _use_matrix_products
from fluidrelu_cli.training.loop import Training

Trained = TypeVar("Trained")
CPU = torch.device("cpu")
STEPS = 5
PROTOCOL = Protocol(epochs=2, batch_size=16, lr=0.01, beta=300.0, train_images=50, test_images=50)
# 50 is no multiple of 16: the last batch is smaller.
ACTIVATIONS = ("relu", "fluid", "prelu", "fluid-coth", "fluid-critical", "elu", "Softplus", "acon-c", "pau")
LEARNING = {"fluid": "a", "prelu": "weight", "fluid-coth": "a"}

both_forms = pytest.mark.parametrize("matmul", [False, True], ids=["grouped", "matmul"])


@pytest.fixture(autouse=True)
def single_threaded() -> None:
    make_deterministic(CPU)


@pytest.fixture
def dataset(data_dir: Path) -> Dataset:
    return load_dataset(PROTOCOL, data_dir)


@pytest.fixture
def form(matmul: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Training compute its convolutions in one form or the other."""
    monkeypatch.setattr(loop, "Ensemble", functools.partial(Ensemble, matmul=matmul))


def seeds(activation: str, protocol: Protocol = PROTOCOL) -> list[Trial]:
    return [Trial(protocol, activation, seed) for seed in (3, 4, 11)]


def make_training(trials: Sequence[Trial], dataset: Dataset) -> Training:
    return Training(resolve(trials[0].activation), trials, dataset, CPU)


@dataclass
class Steps:
    """What a training is after each of its first steps; all tensors have a leading axis of seeds."""

    parameters: list[dict[str, Tensor]]
    gradients: list[dict[str, Tensor]]
    logits: list[Tensor]
    trained: Training


class EnoughError(Exception):
    """The steps are done."""


def first_steps(trials: Sequence[Trial], dataset: Dataset) -> Steps:
    trained = make_training(trials, dataset)
    stack = trained._ensemble
    found = Steps([], [], [], trained)

    def by_seed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.detach().clone().view(stack.size, -1) for name, tensor in tensors.items()}

    def look() -> None:
        found.parameters.append(by_seed({name: value.contiguous() for name, value in stack.parameters.items()}))
        gradients = {name: value.grad for name, value in stack.parameters.items()}
        found.gradients.append(
            by_seed({name: value.contiguous() for name, value in gradients.items() if value is not None})
        )
        stack.network.module.eval()
        with torch.no_grad():
            images = trained._scaled(dataset.test_images[:20]).expand(stack.size, -1, -1, -1, -1)
            found.logits.append(stack.logits(images))
        stack.network.module.train()
        if len(found.logits) == STEPS:
            raise EnoughError

    with pytest.raises(EnoughError):
        list(trained.epochs(look))
    return found


def assert_close(found: Tensor, expected: Tensor) -> None:
    """Equal but for rounding, measured by the largest value: small ones are sums that cancel."""
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.usefixtures("double")
def test_a_stack_takes_the_steps_of_its_seeds(activation: str, dataset: Dataset) -> None:
    assert_takes_the_steps(seeds(activation), dataset)


def assert_takes_the_steps(trials: Sequence[Trial], dataset: Dataset) -> None:
    alone = [first_steps([trial], dataset) for trial in trials]
    for together in trained_in_both_forms(lambda: first_steps(trials, dataset)):
        assert together.trained._ensemble.size == 3
        assert_same_steps(together, alone)


def trained_in_both_forms(train: Callable[[], Trained]) -> Iterator[Trained]:
    """What a training gives whose stack computes its convolutions in one form, and then in the other."""
    for matmul in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "Ensemble", functools.partial(Ensemble, matmul=matmul))
            trained = train()
        yield trained


def assert_same_steps(together: Steps, alone: Sequence[Steps]) -> None:
    for index, solo in enumerate(alone):
        for step in range(STEPS):
            assert_close(together.logits[step][index], solo.logits[step][0])
            assert together.gradients[step].keys() == solo.gradients[step].keys()
            for name, gradient in solo.gradients[step].items():
                assert_close(together.gradients[step][name][index], gradient[0])
            for name, parameter in solo.parameters[step].items():
                assert_close(together.parameters[step][name][index], parameter[0])


EVERYTHING = replace(
    PROTOCOL, schedule="cosine", weight_decay=0.01, pixels="standardised", augment="flip-crop", lr=0.003
)
larger_networks = pytest.mark.parametrize(("model", "side"), [("cnn3", 22), ("resnet20", 8)])


def colours(side: int, train: int = 38, test: int = 16) -> Dataset:
    """Random images of 4 classes; those of a class are brighter than those before."""
    generator = torch.Generator().manual_seed(side)
    labels = torch.arange(train + test) % 4
    noise = torch.randint(128, (train + test, 3, side, side), generator=generator)
    images = (noise + 40 * labels.view(-1, 1, 1, 1)).to(torch.uint8)
    return Dataset(images[:train], labels[:train], images[train:], labels[train:], 4)


@pytest.mark.slow
@larger_networks
@pytest.mark.usefixtures("double")
def test_a_stack_of_larger_networks_takes_the_steps_of_its_seeds(model: str, side: int) -> None:
    """Augmented, standardised, with weight decay and a schedule; tested with each one's own running means."""
    assert_takes_the_steps(seeds("fluid", replace(EVERYTHING, model=model)), colours(side))


@pytest.mark.slow
@larger_networks
@pytest.mark.usefixtures("double")
def test_a_run_of_larger_networks_ends_alike(model: str, side: int) -> None:
    """Both epochs, each with its test, after which the training goes on; and what each network keeps of its batches."""
    dataset, trials = colours(side), seeds("prelu", replace(EVERYTHING, model=model))
    alone = [run_whole([trial], dataset) for trial in trials]
    for together, found in trained_in_both_forms(lambda: run_whole(trials, dataset)):
        buffers = together._ensemble._buffers
        for index, (solo, [own]) in enumerate(alone):
            for record, expected in zip(found[index], own, strict=True):
                assert record.train_loss == pytest.approx(expected.train_loss, rel=1e-5)
                assert record.test_loss == pytest.approx(expected.test_loss, rel=1e-5)
                assert record.train_accuracy == pytest.approx(expected.train_accuracy, abs=1.01 / 38)
                assert record.test_accuracy == pytest.approx(expected.test_accuracy, abs=1.01 / 16)
                for key, values in expected.parameters.items():
                    assert record.parameters[key] == pytest.approx(values, rel=1e-4, abs=1e-6)
            assert [together.digests()[index]] == solo.digests()
            kept = dict(solo._ensemble.network.module.named_buffers())
            assert kept.keys() == buffers.keys()
            assert len(kept) == (3 * 19 if model == "resnet20" else 0)
            for name, buffer in kept.items():
                if name.endswith("num_batches_tracked"):
                    assert buffers[name][index].item() == buffer.item() == 6
                else:
                    assert_close(buffers[name][index], buffer)
                    assert not torch.equal(buffer, torch.full_like(buffer, float(name.endswith("var"))))
        assert differ([records[-1].test_loss for records in found])


def run_whole(trials: Sequence[Trial], dataset: Dataset) -> tuple[Training, list[tuple[Epoch, ...]]]:
    """A training that has ended, and by seed what it was after each epoch."""
    trained = make_training(trials, dataset)
    return trained, list(zip(*trained.epochs(), strict=True))


@pytest.mark.parametrize("activation", ["relu", "fluid"])
def test_a_seed_differs_from_another_by_far_more_than_rounding(activation: str, dataset: Dataset) -> None:
    """Another network or another batch would not pass for a seed's own above."""
    one, other = (first_steps([trial], dataset) for trial in seeds(activation)[:2])
    for step in range(STEPS):
        for name, gradient in one.gradients[step].items():
            difference = (gradient - other.gradients[step][name]).abs().max()
            assert difference > 0.1 * gradient.abs().max()


@both_forms
@pytest.mark.parametrize(
    ("activation", "model"),
    [
        *(("relu", "paper"), ("fluid", "paper"), ("prelu", "paper")),
        ("fluid", "paper:hidden=6,hidden_activation=tested,padding=same,pooling=max-average-3"),
        ("prelu", "paper:hidden=6,pooling=average"),
    ],
)
@pytest.mark.usefixtures("double")
def test_a_batch_has_the_logits_losses_and_gradients_of_each_network(
    activation: str, model: str, matmul: bool, dataset: Dataset
) -> None:
    """Each network has its own images, and its own parameters of the activation too."""
    trials = seeds(activation, replace(PROTOCOL, model=model))
    shape, classes = dataset.image_shape, dataset.classes
    stack = Ensemble(resolve(activation), trials, shape, classes, CPU, matmul=matmul)
    solos = [Ensemble(resolve(activation), [trial], shape, classes, CPU) for trial in trials]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name in stack.parameters:
            if name.startswith("activation"):
                stack.parameters[name].add_(torch.rand(stack.parameters[name].shape, generator=generator))
                for index, solo in enumerate(solos):
                    solo.parameters[name].copy_(stack.parameters[name][index])
    images = (dataset.train_images[:24].double() / 255).view(3, 8, 1, 28, 28)
    labels = dataset.train_labels[:24].view(3, 8)

    logits = stack.logits(images)
    assert (logits.shape, logits.dtype) == ((3, 8, 10), torch.float32)
    losses = [functional.cross_entropy(*pair) for pair in zip(logits, labels, strict=True)]
    gradients = torch.autograd.grad(torch.stack(losses).sum(), list(stack.parameters.values()))
    for index, solo in enumerate(solos):
        own_logits = solo.logits(images[index : index + 1])
        assert_close(logits[index], own_logits[0])
        own_loss = functional.cross_entropy(own_logits[0], labels[index])
        assert_close(losses[index], own_loss)
        own_gradients = torch.autograd.grad(own_loss, [solo.parameters[name] for name in stack.parameters])
        for gradient, own in zip(gradients, own_gradients, strict=True):
            assert_close(gradient[index], own)


def test_each_seed_has_its_own_weights_and_its_own_order(dataset: Dataset) -> None:
    trials = seeds("fluid")

    def digests(trials: Sequence[Trial]) -> list[dict[str, str]]:
        trained = make_training(trials, dataset)
        list(trained.epochs())
        return trained.digests()

    together = digests(trials)
    assert together == [digests([trial])[0] for trial in trials]
    assert len({value for digest in together for value in digest.values()}) == 6


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["fluid", "Softplus"])
def test_a_short_run_ends_alike(activation: str, dataset: Dataset) -> None:
    trials = seeds(activation)
    alone = [run_whole([trial], dataset) for trial in trials]
    for _, together in trained_in_both_forms(lambda: run_whole(trials, dataset)):
        for records, (_, [solo]) in zip(together, alone, strict=True):
            assert [record.epoch for record in records] == [1, 2]
            for record, own in zip(records, solo, strict=True):
                assert record.train_loss == pytest.approx(own.train_loss, rel=1e-4)
                assert record.test_loss == pytest.approx(own.test_loss, rel=1e-4)
                assert record.train_accuracy == pytest.approx(own.train_accuracy, abs=2.01 / 50)
                assert record.test_accuracy == pytest.approx(own.test_accuracy, abs=2.01 / 50)
        assert differ([records[-1].test_loss for records in together])


def differ(values: Sequence[float]) -> bool:
    return all(abs(one - other) > 1e-3 * abs(one) for one, other in itertools.combinations(values, 2))


@pytest.mark.parametrize(("activation", "name"), LEARNING.items())
def test_learned_parameters_come_by_seed(activation: str, name: str, dataset: Dataset) -> None:
    trials = seeds(activation)
    together = first_steps(trials, dataset).trained.parameters()
    assert len(together) == 3
    for trial, parameters in zip(trials, together, strict=True):
        assert {key: len(values) for key, values in parameters.items()} == {
            ("activation1", name): 16,
            ("activation2", name): 32,
        }
        [solo] = first_steps([trial], dataset).trained.parameters()
        for key, values in parameters.items():
            assert values == pytest.approx(solo[key], rel=1e-4, abs=1e-5)
    for one, other in itertools.combinations(together, 2):
        for key, values in one.items():
            assert max(abs(a - b) for a, b in zip(values, other[key], strict=True)) > 1e-4


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("stride", [1, 2, (2, 3)])
@pytest.mark.parametrize("padding", [0, 1, (2, 1)])
def test_a_convolution_as_a_matrix_product(
    padding: int | tuple[int, int], stride: int | tuple[int, int], bias: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    convolution = nn.Conv2d(3, 5, (4, 2), stride=stride, padding=padding, bias=bias).double()
    product = copy.deepcopy(convolution)
    _use_matrix_products(product)
    assert type(product) is _MatmulConv2d
    images = torch.randn(2, 3, 11, 9, generator=generator, dtype=torch.float64, requires_grad=True)
    results = []
    for layer in (product, convolution):
        values = layer(images)
        weights = torch.randn(values.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        results.append((values, *torch.autograd.grad((values * weights).sum(), [images, *layer.parameters()])))
    torch.testing.assert_close(results[0], results[1], rtol=1e-12, atol=1e-12)


class Elaborate(nn.Module):
    """An activation with a convolution and a buffer of its own."""

    def __init__(self, num_parameters: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(num_parameters, num_parameters, 3, padding=1)
        self.register_buffer("shift", torch.full((1,), 0.25))
        self.shift: Tensor

    def forward(self, v: Tensor) -> Tensor:
        mixed: Tensor = self.mix(v) + self.shift
        return v + mixed.relu()


def test_an_activation_may_have_layers_and_buffers(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn, "Elaborate", Elaborate, raising=False)
    trials = seeds("Elaborate")
    together = [records[0] for records in make_training(trials, dataset).epochs()]
    alone = [record for (record,) in make_training(trials[:1], dataset).epochs()]
    for one, other in zip(together, alone, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-5)
    assert len(together[-1].parameters["activation1", "mix.weight"]) == 16 * 16 * 9


class OwnConvolution(nn.Conv2d):
    """It may compute something else."""


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, dilation=2),
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
        nn.Conv1d(4, 4, 3),
        OwnConvolution(4, 4, 3),
    ],
    ids=["dilation", "groups", "same", "circular", "1d", "subclass"],
)
def test_other_convolutions_are_left_alone(layer: nn.Module) -> None:
    before = type(layer)
    _use_matrix_products(nn.Sequential(layer))
    assert type(layer) is before


class Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the types in which convolutions and matrix products are computed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.types: dict[str, set[torch.dtype]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name == "convolution" or name.endswith("mm"):
            self.types.setdefault(name, set()).update(arg.dtype for arg in args if isinstance(arg, Tensor))
        return func(*args, **(kwargs or {}))


@pytest.mark.slow
@pytest.mark.parametrize(("count", "matmul"), [(1, False), (3, False), (3, True)], ids=["solo", "grouped", "matmul"])
@pytest.mark.parametrize("activation", ["relu", "fluid", "prelu"])
@pytest.mark.usefixtures("form")
def test_bf16_is_only_for_convolutions_and_the_linear_layer(activation: str, count: int, dataset: Dataset) -> None:
    def run(precision: str) -> tuple[list[tuple[Epoch, ...]], dict[str, set[torch.dtype]]]:
        trained = make_training(seeds(activation, replace(PROTOCOL, precision=precision))[:count], dataset)
        with Products() as products:
            logits = trained._ensemble.logits(torch.rand(count, 2, 1, 28, 28))
        records = list(trained.epochs())
        tensors = [logits, *trained._ensemble.parameters.values()]
        assert {tensor.dtype for tensor in tensors} == {torch.float32}
        return records, products.types

    (exact, singles), (rounded, halves) = run("fp32"), run("bf16")
    assert singles
    assert halves
    assert all(types == {torch.float32} for types in singles.values())
    assert all(types == {torch.bfloat16} for types in halves.values())
    for expected, found in zip(exact[-1], rounded[-1], strict=True):
        assert found.train_loss != expected.train_loss
        assert found.train_loss == pytest.approx(expected.train_loss, rel=0.03)
        assert found.test_loss == pytest.approx(expected.test_loss, rel=0.03)


@pytest.mark.slow
def test_batch_normalisation_of_a_stack_in_bf16() -> None:
    """Stacked, torch's own refuses values of another type than its weights'."""
    protocol = replace(PROTOCOL, model="resnet20", epochs=1, precision="bf16")
    trials = seeds("fluid", protocol)[:2]
    small = colours(8)
    [together] = make_training(trials, small).epochs()
    for trial, found in zip(trials, together, strict=True):
        [(alone,)] = make_training([trial], small).epochs()
        assert found.train_loss == pytest.approx(alone.train_loss, rel=0.05)
