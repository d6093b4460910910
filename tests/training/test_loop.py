"""Training against a plain script that shares no code with it, and its determinism."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_trials import train, without_timings
from torch.nn import functional

from fluidrelu_cli.audit import find_unpaired
from fluidrelu_cli.data.dataset import Dataset, write_npz
from fluidrelu_cli.data.load import load_dataset
from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.networks.build import build_model
from fluidrelu_cli.networks.named import resolve
from fluidrelu_cli.protocol import SETTINGS, Protocol, Trial
from fluidrelu_cli.run import Epoch, Run
from fluidrelu_cli.seeding import generator
from fluidrelu_cli.training.loop import Training
from fluidrelu_cli.training.preprocessing import Scaling
from fluidrelu_cli.training.weights import find_difference, unpack

PROTOCOL = Protocol(epochs=2, batch_size=32, lr=0.01, beta=300.0, train_images=100, test_images=50)
# 100 is no multiple of 32: the last batch is smaller.


@pytest.fixture
def dataset(data_dir: Path) -> Dataset:
    return load_dataset(PROTOCOL, data_dir)


def make_training(trial: Trial, dataset: Dataset) -> Training:
    return Training(resolve(trial.activation), [trial], dataset, torch.device("cpu"))


def train_epochs(trial: Trial, dataset: Dataset) -> list[Epoch]:
    """A trial's epochs without their timings."""
    epochs = make_training(trial, dataset).epochs()
    return [dataclasses.replace(epoch, train_seconds=0, test_seconds=0) for (epoch,) in epochs]


@pytest.mark.parametrize("activation", ["relu", "fluid"])
def test_agrees_with_a_plain_script(activation: str, dataset: Dataset) -> None:
    """Activation before pooling, autograd through `where`, and the momentum update (7), (8) by hand; float64."""
    model = build_model(Protocol(), resolve(activation), 5, (1, 28, 28), 10).module.double()
    weights = {name: value.detach().clone().requires_grad_() for name, value in model.named_parameters()}
    steps = {name: torch.zeros_like(value) for name, value in weights.items()}

    def activate(v: torch.Tensor, layer: str) -> torch.Tensor:
        if activation == "relu":
            return v.clamp(min=0)
        a = weights[f"{layer}.a"].view(-1, 1, 1)
        return torch.where(v >= 0, v, v / (1 - v.clamp(max=0) / (2 * torch.exp(a))))

    def logits(images: torch.Tensor) -> torch.Tensor:
        v = functional.conv2d(images.double() / 255, weights["conv1.weight"], weights["conv1.bias"])
        v = functional.max_pool2d(activate(v, "activation1"), 2)
        v = functional.conv2d(v, weights["conv2.weight"], weights["conv2.bias"])
        v = functional.max_pool2d(activate(v, "activation2"), 2)
        return functional.linear(v.flatten(1), weights["fc.weight"], weights["fc.bias"])

    order = generator(5, "data order")
    expected = []
    for _ in range(PROTOCOL.epochs):
        shuffled = torch.randperm(100, generator=order)
        loss_sum = 0.0
        for start in range(0, 100, 32):
            batch = shuffled[start : start + 32]
            loss = functional.cross_entropy(logits(dataset.train_images[batch]), dataset.train_labels[batch])
            gradients = torch.autograd.grad(loss, list(weights.values()))
            loss_sum += loss.item() * len(batch)
            with torch.no_grad():
                for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
                    beta = PROTOCOL.beta if name.endswith(".a") else 1
                    steps[name] = PROTOCOL.momentum * steps[name] - PROTOCOL.lr * beta * gradient
                    weight += steps[name]
        with torch.no_grad():
            test_logits = logits(dataset.test_images)
        test_loss = functional.cross_entropy(test_logits, dataset.test_labels).item()
        accuracy = (test_logits.argmax(1) == dataset.test_labels).double().mean().item()
        expected.append((loss_sum / 100, test_loss, accuracy))

    found = train_epochs(Trial(PROTOCOL, activation, 5), dataset)
    for record, (train_loss, test_loss, accuracy) in zip(found, expected, strict=True):
        assert record.train_loss == pytest.approx(train_loss, rel=1e-5)
        assert record.test_loss == pytest.approx(test_loss, rel=1e-5)
        assert record.test_accuracy == pytest.approx(accuracy, abs=0.0201)  # one image may sit on the boundary
    for (layer, parameter), values in found[-1].parameters.items():
        assert values == pytest.approx(weights[f"{layer}.{parameter}"].tolist(), rel=1e-3, abs=1e-5)
        assert max(abs(value) for value in values) > 0.001  # β moves them


def colours(side: int = 22, train: int = 50, test: int = 30) -> Dataset:
    """Random images of 4 classes; those of a class are brighter than those before, and each channel has its mean."""
    generator = torch.Generator().manual_seed(side)
    labels = torch.arange(train + test) % 4
    noise = torch.randint(100, (train + test, 3, side, side), generator=generator)
    images = (noise + 40 * labels.view(-1, 1, 1, 1) + torch.tensor([0, 10, 30]).view(3, 1, 1)).to(torch.uint8)
    return Dataset(images[:train], labels[:train], images[train:], labels[train:], 4)


def plain_logits(activation: str, weights: dict[str, torch.Tensor], v: torch.Tensor) -> torch.Tensor:
    """Three convolutions, each activated before it is pooled."""
    for layer in (1, 2, 3):
        v = functional.conv2d(v, weights[f"conv{layer}.weight"], weights[f"conv{layer}.bias"])
        if activation == "relu":
            v = functional.relu(v)
        elif activation == "prelu":
            v = torch.where(v >= 0, v, weights[f"activation{layer}.weight"].view(-1, 1, 1) * v)
        else:
            a = weights[f"activation{layer}.a"].view(-1, 1, 1)
            v = torch.where(v >= 0, v, v / (1 - v.clamp(max=0) / (2 * torch.exp(a))))
        v = functional.max_pool2d(v, 2)
    return functional.linear(v.flatten(1), weights["fc.weight"], weights["fc.bias"])


def cropped_and_flipped(images: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    """Image by image."""
    height, width = images.shape[2:]
    places = torch.randint(9, (len(images), 2), generator=draws).tolist()
    flips = torch.randint(2, (len(images),), generator=draws).tolist()
    shown = []
    for image, (row, column), flip in zip(images, places, flips, strict=True):
        crop = functional.pad(image, (4, 4, 4, 4))[:, row : row + height, column : column + width]
        shown.append(crop.flip(2) if flip else crop)
    return torch.stack(shown)


PLAIN_RATES: dict[str, Callable[[int], float]] = {
    "cosine": lambda done: 0.01 * (1 + math.cos(math.pi * done / 12)) / 2,
    "step": lambda done: 0.01 if done < 6 else 0.001 if done < 9 else 0.0001,
}
"""The rate when so many of 12 steps are done."""


@pytest.mark.parametrize(("activation", "schedule"), [("relu", "cosine"), ("fluid", "step"), ("prelu", "cosine")])
@pytest.mark.usefixtures("double")
def test_agrees_with_a_plain_script_that_does_all_that_can_be_asked_for(activation: str, schedule: str) -> None:
    """Colours standardised, images cropped and flipped one by one, weight decay, a schedule, three convolutions."""
    dataset, settings = colours(), {"schedule": schedule, "weight_decay": 0.03, "augment": "flip-crop"}
    protocol = Protocol(model="cnn3", epochs=3, batch_size=16, lr=0.01, beta=30.0, **settings)  # type: ignore[arg-type]
    model = build_model(Protocol(model="cnn3"), resolve(activation), 5, (3, 22, 22), 4).module.double()
    weights = {name: value.detach().clone().requires_grad_() for name, value in model.named_parameters()}
    momenta = {name: torch.zeros_like(value) for name, value in weights.items()}
    floats = dataset.train_images.double() / 255
    mean, sd = floats.mean((0, 2, 3), keepdim=True), floats.std((0, 2, 3), correction=0, keepdim=True)

    def logits(images: torch.Tensor) -> torch.Tensor:
        return plain_logits(activation, weights, (images.double() / 255 - mean) / sd)

    order, draws = generator(5, "data order"), generator(5, "augmentation")
    expected, done = [], 0
    for _ in range(3):
        shuffled = torch.randperm(50, generator=order)
        shown_batches = torch.split(cropped_and_flipped(dataset.train_images[shuffled], draws), 16)
        label_batches = torch.split(dataset.train_labels[shuffled], 16)
        loss_sum = 0.0
        for images, labels in zip(shown_batches, label_batches, strict=True):
            loss = functional.cross_entropy(logits(images), labels)
            loss_sum += loss.item() * len(images)
            gradients = torch.autograd.grad(loss, list(weights.values()))
            with torch.no_grad():
                for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
                    decay = 0.0 if name.startswith("activation") else 0.03
                    beta = 30.0 if name.endswith(".a") else 1.0
                    # The momentum is one of gradients, as in torch: a new rate is that of all it has gathered.
                    momenta[name] = 0.9 * momenta[name] + gradient + decay * weight
                    weight -= PLAIN_RATES[schedule](done) * beta * momenta[name]
            done += 1
        with torch.no_grad():
            test_logits = logits(dataset.test_images)
        test_loss = functional.cross_entropy(test_logits, dataset.test_labels).item()
        accuracy = (test_logits.argmax(1) == dataset.test_labels).double().mean().item()
        expected.append((loss_sum / 50, test_loss, accuracy))
    assert done == 12

    found = train_epochs(Trial(protocol, activation, 5), dataset)
    for record, (train_loss, test_loss, accuracy) in zip(found, expected, strict=True):
        assert record.train_loss == pytest.approx(train_loss, rel=1e-6)
        assert record.test_loss == pytest.approx(test_loss, rel=1e-6)
        assert record.test_accuracy == pytest.approx(accuracy, abs=1e-12)
    assert found[0].test_loss != pytest.approx(found[-1].test_loss, rel=1e-3)
    for (layer, parameter), values in found[-1].parameters.items():
        assert values == pytest.approx(weights[f"{layer}.{parameter}"].tolist(), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("seeds", [1, 2])
def test_an_activation_with_settings_of_its_own_is_trained_as_in_a_study_of_them(seeds: int, data_dir: Path) -> None:
    protocol = Protocol(epochs=1, batch_size=20, schedule="cosine", train_images=40, test_images=20)
    other = dataclasses.replace(protocol, lr=0.003, momentum=0.5, weight_decay=0.1)
    arm, plain, whole = (
        train([Trial(fixed, name, seed) for seed in range(seeds)], data_dir)
        for fixed, name in (
            (protocol, "fluid@lr=0.003@momentum=0.5@weight_decay=0.1"),
            (protocol, "fluid"),
            (other, "fluid"),
        )
    )
    for mine, usual, expected in zip(arm, plain, whole, strict=True):
        assert without_timings(mine) == dataclasses.replace(without_timings(expected), trial=mine.trial)
        assert mine.epochs[-1].test_loss != usual.epochs[-1].test_loss
    assert find_unpaired([*arm, *plain]) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"schedule": "cosine"},
        {"schedule": "step"},
        {"weight_decay": 0.01},
        *({"pixels": choice} for choice in SETTINGS["pixels"].choices if choice not in ("auto", "standardised")),
        {"init": "he-normal"},
        {"loss": "sum"},
        {"optimizer": "adam"},
        {"augment": "flip-crop"},
    ],
    ids=str,
)
def test_every_setting_changes_the_numbers(change: dict[str, Any]) -> None:
    dataset, protocol = colours(16, 30, 20), Protocol(epochs=1, batch_size=8, lr=0.01)
    plain = train_epochs(Trial(protocol, "relu", 0), dataset)
    assert train_epochs(Trial(dataclasses.replace(protocol, **change), "relu", 0), dataset) != plain


def test_standardising_colours_is_the_default_and_leaves_grey_images_alone(dataset: Dataset) -> None:
    coloured, protocol = colours(16, 30, 20), Protocol(epochs=1, batch_size=8, lr=0.01)

    def by_choice(dataset: Dataset) -> list[list[Epoch]]:
        choices = ("auto", "standardised", "unit")
        return [
            train_epochs(Trial(dataclasses.replace(protocol, pixels=choice), "relu", 0), dataset) for choice in choices
        ]

    auto, standardised, unit = by_choice(coloured)
    assert auto == standardised != unit
    auto, standardised, unit = by_choice(dataset)
    assert auto == unit != standardised
    assert train_epochs(Trial(protocol, "relu", 0), dataset) == unit


def test_the_sum_over_a_batch_has_as_many_times_the_gradient_of_the_mean() -> None:
    """One step of a batch of 8: that of the sum is the step of the mean at 8 times the rate."""
    dataset, protocol = colours(16, 8, 20), Protocol(epochs=1, batch_size=8, lr=0.01, beta=3.0)
    summed, mean = (
        train_epochs(Trial(dataclasses.replace(protocol, **change), "fluid", 0), dataset)
        for change in ({"loss": "sum"}, {"lr": 0.08})
    )
    assert summed[0].train_loss == mean[0].train_loss == pytest.approx(math.log(4), abs=0.3)  # of an image
    assert summed[0].test_loss == pytest.approx(mean[0].test_loss, rel=1e-5)


@pytest.mark.parametrize(("activation", "model"), [("RReLU", "paper"), ("fluid", "resnet20")])
def test_a_run_that_is_tested_more_often_is_the_same_run(activation: str, model: str) -> None:
    """Also where an activation draws random numbers, or a network keeps running means."""
    dataset = colours(16, 50, 20)
    protocol = Protocol(model=model, epochs=2, batch_size=8, lr=0.01, beta=3.0, schedule="cosine", augment="flip-crop")
    plain = train_epochs(Trial(protocol, activation, 0), dataset)
    often = train_epochs(Trial(dataclasses.replace(protocol, evaluations=5), activation, 0), dataset)
    assert [record.epoch for record in often] == [0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4, 1.6, 1.8, 2]
    for whole, rows in zip(plain, (often[:5], often[5:]), strict=True):
        assert dataclasses.replace(whole, train_loss=0, train_accuracy=0) == dataclasses.replace(
            rows[-1], train_loss=0, train_accuracy=0
        )
        # tested after 1, 3, 4, 6 and all 7 steps
        images = (8, 16, 8, 16, 2)
        for name in ("train_loss", "train_accuracy"):
            mean = sum(n * getattr(row, name) for n, row in zip(images, rows, strict=True)) / 50
            assert mean == pytest.approx(getattr(whole, name), rel=1e-12)


def test_an_epoch_has_at_least_as_many_steps_as_tests() -> None:
    dataset, protocol = colours(16, 30, 20), Protocol(epochs=1, batch_size=8, evaluations=4)
    assert len(train_epochs(Trial(protocol, "relu", 0), dataset)) == 4
    with pytest.raises(UsageError) as caught:
        train_epochs(Trial(dataclasses.replace(protocol, evaluations=5), "relu", 0), dataset)
    assert str(caught.value) == "--evaluations must be at most 4, the number of steps in an epoch, not 5."


FLIP_CROP = Protocol(model="resnet20", epochs=2, batch_size=16, lr=0.01, beta=30.0, augment="flip-crop")


def digests(trial: Trial, dataset: Dataset) -> dict[str, str]:
    training = make_training(trial, dataset)
    list(training.epochs())
    [found] = training.digests()
    return found


def test_an_augmented_trial_gives_the_same_numbers_again() -> None:
    dataset, trial = colours(8), Trial(FLIP_CROP, "fluid", 1)
    first = train_epochs(trial, dataset)
    torch.rand(7)
    assert train_epochs(trial, dataset) == first
    assert train_epochs(Trial(FLIP_CROP, "fluid", 2), dataset) != first


def test_all_activations_of_a_seed_see_the_same_augmented_images() -> None:
    dataset = colours(16)
    protocol = dataclasses.replace(FLIP_CROP, model="paper")
    relu, fluid, other = (
        digests(Trial(protocol, activation, seed), dataset)
        for activation, seed in (("relu", 0), ("fluid", 0), ("fluid", 1))
    )
    assert relu == fluid
    assert relu.keys() == {"initial_weights_sha256", "data_order_sha256", "augmentation_sha256"}
    assert all(len(value) == 64 for value in relu.values())
    assert all(other[name] != value for name, value in relu.items())
    draws = hashlib.sha256()
    augmentation = generator(0, "augmentation")
    for _ in range(2):
        places = torch.randint(9, (50, 2), generator=augmentation)
        flips = torch.randint(2, (50, 1), generator=augmentation)
        draws.update(torch.cat([places, flips], 1).numpy().tobytes())
    assert relu["augmentation_sha256"] == draws.hexdigest()


def test_augmentation_leaves_weights_and_order_as_they_are() -> None:
    dataset = colours(16)
    with_it = digests(Trial(dataclasses.replace(FLIP_CROP, model="paper"), "relu", 3), dataset)
    without = digests(Trial(dataclasses.replace(FLIP_CROP, model="paper", augment="none"), "relu", 3), dataset)
    assert with_it.keys() - without.keys() == {"augmentation_sha256"}
    assert without.items() < with_it.items()


def as_file(path: Path, dataset: Dataset) -> Path:
    write_npz(
        path,
        {
            "x_train": dataset.train_images.permute(0, 2, 3, 1).numpy(),
            "y_train": dataset.train_labels.numpy(),
            "x_test": dataset.test_images.permute(0, 2, 3, 1).numpy(),
            "y_test": dataset.test_labels.numpy(),
        },
    )
    return path


def test_a_validation_split_never_looks_at_the_test_images(tmp_path: Path) -> None:
    """With other test images, and other labels of them, not a digit changes: neither the data's digest."""
    dataset = colours(16, 40, 20)
    others = dataclasses.replace(dataset, test_images=255 - dataset.test_images, test_labels=dataset.test_labels * 0)
    runs = []
    for name, data in (("one.npz", dataset), ("other.npz", others)):
        file = as_file(tmp_path / name, data)
        protocol = Protocol(dataset=str(file), epochs=2, batch_size=8, lr=0.01, validation_images=10)
        [run] = train([Trial(protocol, "relu", 0)], tmp_path)
        runs.append(without_timings(run))
    one, other = runs
    assert one.epochs == other.epochs
    assert one.provenance == other.provenance
    split = dataset.validation(10)
    assert one.provenance.test_images == 10
    assert one.provenance.data_sha256 == split.sha256
    assert train_epochs(Trial(one.trial.protocol, "relu", 0), split)[-1].test_loss == one.epochs[-1].test_loss


def test_what_is_held_out_is_not_trained_on_and_not_scaled_by() -> None:
    split = colours(16, 40, 20).validation(10)
    blank = dataclasses.replace(split, test_images=torch.zeros_like(split.test_images))
    trial = Trial(Protocol(epochs=1, batch_size=8, lr=0.01), "fluid", 0)
    [one], [other] = train_epochs(trial, split), train_epochs(trial, blank)
    assert (one.train_loss, one.train_accuracy, one.parameters) == (
        other.train_loss,
        other.train_accuracy,
        other.parameters,
    )
    assert one.test_loss != other.test_loss


def test_first_images_and_a_validation_split_are_taken_from_a_file_in_that_order(tmp_path: Path) -> None:
    whole = colours(8, 40, 20)
    file = as_file(tmp_path / "mine.npz", whole)
    loaded = load_dataset(Protocol(dataset=str(file), train_images=24, validation_images=6), tmp_path)
    assert loaded.sha256 == whole.first(24, None).validation(6).sha256
    assert load_dataset(Protocol(dataset=str(file), test_images=7), tmp_path).sha256 == whole.first(None, 7).sha256


def test_a_network_too_deep_for_the_images_is_refused_before_it_trains(tmp_path: Path) -> None:
    file = as_file(tmp_path / "mine.npz", colours(8, 40, 20))
    with pytest.raises(UsageError, match=r"^The network 'cnn3' needs images of at least 22 x 22 pixels, not 8 x 8\. "):
        train([Trial(Protocol(dataset=str(file), model="cnn3"), "relu", 0)], tmp_path)


OWN_NETWORK = """
from torch import nn

def net(activation, shape, classes):
    return nn.Sequential(
        nn.Conv2d(shape[0], 4, 3), nn.BatchNorm2d(4), activation(4), nn.Flatten(), nn.LazyLinear(classes)
    )
"""


def test_a_users_network_is_trained_and_known_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_trained_network.py").write_text(OWN_NETWORK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    file = as_file(tmp_path / "mine.npz", colours(8))
    protocol = Protocol(dataset=str(file), model="own_trained_network:net", epochs=2, batch_size=8, lr=0.01, beta=30.0)

    trials = [Trial(protocol, "fluid", seed) for seed in (0, 1)]
    alone, together = [train([trial], tmp_path)[0] for trial in trials], train(trials, tmp_path)
    sys.modules.pop("own_trained_network")
    for run, stacked in zip(alone, together, strict=True):
        assert run.provenance.model_sha256 == hashlib.sha256(OWN_NETWORK.encode()).hexdigest()
        assert run.initial_parameters == stacked.initial_parameters == {("2", "a"): (0.0,) * 4}
        assert any(value != 0 for value in run.epochs[-1].parameters["2", "a"])
        for record, other in zip(run.epochs, stacked.epochs, strict=True):
            assert record.test_loss == pytest.approx(other.test_loss, rel=1e-4)


@pytest.mark.parametrize("activation", ["relu", "fluid", "prelu", "fluid-exp", "RReLU"])
def test_the_same_trial_gives_the_same_numbers(activation: str, dataset: Dataset) -> None:
    """RReLU draws random numbers while training: they are seeded too."""
    trial = Trial(PROTOCOL, activation, 1)
    first = train_epochs(trial, dataset)
    torch.rand(7)
    assert train_epochs(trial, dataset) == first
    assert train_epochs(Trial(PROTOCOL, activation, 2), dataset) != first


def test_beta_0_keeps_a_where_it_starts(dataset: Dataset) -> None:
    trial = Trial(dataclasses.replace(PROTOCOL, beta=0.0), "fluid", 0)
    assert all(value == 0 for values in train_epochs(trial, dataset)[-1].parameters.values() for value in values)


def test_a_diverging_trial_is_a_result_too(dataset: Dataset) -> None:
    trial = Trial(dataclasses.replace(PROTOCOL, lr=1e6), "relu", 0)
    last = train_epochs(trial, dataset)[-1]
    assert not last.train_loss < 1e3
    assert 0 <= last.test_accuracy <= 1


def test_each_epoch_is_reported_and_the_run_has_its_conditions(data_dir: Path) -> None:
    reported: list[tuple[Epoch, ...]] = []
    [run] = train([Trial(PROTOCOL, "prelu", 0)], data_dir, reported.append)
    assert reported == [(epoch,) for epoch in run.epochs]
    assert [epoch.epoch for epoch in run.epochs] == [1, 2]
    assert run.initial_parameters == {
        ("activation1", "weight"): (0.25,) * 16,
        ("activation2", "weight"): (0.25,) * 32,
    }
    assert (run.provenance.threads, run.provenance.device, run.provenance.test_images) == (1, "cpu", 50)
    assert run.provenance.data_sha256 == load_dataset(PROTOCOL, data_dir).sha256
    assert (run.provenance.activation_sha256, run.provenance.model_sha256) == (None, None)
    assert run.provenance.augmentation_sha256 is None
    assert run.provenance.wall_seconds is not None
    assert (run.weights, run.weights_sha256) == (None, None)


def test_a_run_says_which_images_it_has_right(dataset: Dataset) -> None:
    trials = [Trial(PROTOCOL, "relu", seed) for seed in (0, 1)]
    for together in ([trials[0]], trials):
        training = Training(resolve("relu"), together, dataset, torch.device("cpu"))
        with pytest.raises(ValueError, match="nothing was tested"):
            training.correct()
        *_, last = training.epochs()
        scaled = training._scaled(dataset.test_images).expand(len(together), -1, -1, -1, -1)
        with torch.inference_mode():
            right = training._ensemble.logits(scaled).argmax(2) == dataset.test_labels
        for epoch, correct, mine in zip(last, training.correct(), right, strict=True):
            assert np.unpackbits(np.frombuffer(correct, np.uint8))[:50].tolist() == mine.int().tolist()
            assert mine.sum().item() / 50 == epoch.test_accuracy


def tell_right(run: Run, data_dir: Path) -> bytes:
    """Which test images a network of the weights that a run saved has right."""
    protocol = run.trial.protocol
    dataset = load_dataset(protocol, data_dir)
    network = build_model(protocol, resolve(run.trial.activation), 99, dataset.image_shape, dataset.classes).module
    network.load_state_dict(unpack(run.weights or b""))
    scaled = Scaling(dataset.train_images, protocol.pixels, torch.device("cpu"))(dataset.test_images)
    with torch.inference_mode():
        return np.packbits((network.eval()(scaled).argmax(1) == dataset.test_labels).numpy()).tobytes()


def test_seeds_trained_together_get_the_results_of_each(data_dir: Path) -> None:
    trials = [Trial(PROTOCOL, "prelu", seed) for seed in (0, 7)]
    reported: list[tuple[Epoch, ...]] = []
    together = train(trials, data_dir, reported.append, save_weights=True)
    assert [run.trial for run in together] == trials
    assert len({run.weights_sha256 for run in together}) == 2
    assert reported == list(zip(*(run.epochs for run in together), strict=True))
    for run in together:
        [alone] = train([run.trial], data_dir, save_weights=True)
        found = find_difference(unpack(run.weights or b""), unpack(alone.weights or b""))
        assert found is not None
        assert 0 < found < 1e-4
        assert tell_right(alone, data_dir) == alone.correct
        mine, theirs = without_timings(run).provenance, without_timings(alone).provenance
        assert (mine.batched_seeds, theirs.batched_seeds) == (2, 1)
        assert dataclasses.replace(mine, batched_seeds=1) == theirs  # digests of weights, order and data among them
        assert run.initial_parameters == alone.initial_parameters
        for epoch, own in zip(run.epochs, alone.epochs, strict=True):
            assert epoch.train_loss == pytest.approx(own.train_loss, rel=1e-4)
            assert epoch.test_accuracy == pytest.approx(own.test_accuracy, abs=0.0201)
            assert epoch.parameters.keys() == own.parameters.keys()
            for key, values in epoch.parameters.items():
                assert values == pytest.approx(own.parameters[key], rel=1e-4)


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_call_after_every_step_may_stop_the_training(seeds: int, data_dir: Path) -> None:
    trials = [Trial(PROTOCOL, "relu", seed) for seed in range(seeds)]
    epochs_before_step: list[int] = []
    epochs: list[tuple[Epoch, ...]] = []
    train(trials, data_dir, epochs.append, lambda: epochs_before_step.append(len(epochs)))
    assert epochs_before_step == [0] * 4 + [1] * 4  # 100 images in batches of 32, two epochs
    steps = iter(range(6))

    def stop() -> None:
        if next(steps) == 5:
            raise KeyboardInterrupt

    epochs.clear()
    with pytest.raises(KeyboardInterrupt):
        train(trials, data_dir, epochs.append, stop)
    assert list(steps) == []
    assert len(epochs) == 1
