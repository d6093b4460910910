"""Training against a plain script that shares no code with it, and its determinism."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from fluidrelu_cli.datasets import Dataset
from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.models import build_model
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.records import EpochRecord
from fluidrelu_cli.registry import resolve
from fluidrelu_cli.seeding import generator
from fluidrelu_cli.training import Training, load_dataset, pick_device, run_together

PROTOCOL = Protocol(epochs=2, batch_size=32, lr=0.01, beta=300.0, train_images=100, test_images=50)
# 100 is no multiple of 32: the last batch is smaller.


@pytest.fixture
def dataset(data_dir: Path) -> Dataset:
    return load_dataset(PROTOCOL, data_dir)


def records(trial: Trial, dataset: Dataset) -> list[EpochRecord]:
    """A trial's epochs without their timings."""
    epochs = Training([trial], dataset, torch.device("cpu")).epochs()
    return [dataclasses.replace(record, train_seconds=0, test_seconds=0) for (record,) in epochs]


@pytest.mark.parametrize("activation", ["relu", "fluid"])
def test_agrees_with_a_plain_script(activation: str, dataset: Dataset) -> None:
    """Activation before pooling, autograd through `where`, and the momentum update (7), (8) by hand; float64."""
    model = build_model("paper", resolve(activation), seed=5).double()
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

    found = records(Trial(PROTOCOL, activation, 5), dataset)
    for record, (train_loss, test_loss, accuracy) in zip(found, expected, strict=True):
        assert record.train_loss == pytest.approx(train_loss, rel=1e-5)
        assert record.test_loss == pytest.approx(test_loss, rel=1e-5)
        assert record.test_accuracy == pytest.approx(accuracy, abs=0.0201)  # one image may sit on the boundary
    for (layer, parameter), values in found[-1].parameters.items():
        assert values == pytest.approx(weights[f"{layer}.{parameter}"].tolist(), rel=1e-3, abs=1e-5)
        assert max(abs(value) for value in values) > 0.001  # β moves them


@pytest.mark.parametrize("activation", ["relu", "fluid", "prelu", "fluid-exp", "RReLU"])
def test_the_same_trial_gives_the_same_numbers(activation: str, dataset: Dataset) -> None:
    """RReLU draws random numbers while training: they are seeded too."""
    trial = Trial(PROTOCOL, activation, 1)
    first = records(trial, dataset)
    torch.rand(7)
    assert records(trial, dataset) == first
    assert records(Trial(PROTOCOL, activation, 2), dataset) != first


def test_beta_0_keeps_a_where_it_starts(dataset: Dataset) -> None:
    trial = Trial(dataclasses.replace(PROTOCOL, beta=0.0), "fluid", 0)
    assert all(value == 0 for values in records(trial, dataset)[-1].parameters.values() for value in values)


def test_a_diverging_trial_is_a_result_too(dataset: Dataset) -> None:
    trial = Trial(dataclasses.replace(PROTOCOL, lr=1e6), "relu", 0)
    last = records(trial, dataset)[-1]
    assert not last.train_loss < 1e3
    assert 0 <= last.test_accuracy <= 1


def test_run_together_reports_each_epoch_and_its_conditions(data_dir: Path) -> None:
    seen: list[Sequence[EpochRecord]] = []
    [result] = run_together([Trial(PROTOCOL, "prelu", 0)], data_dir, "cpu", seen.append)
    assert seen == [(record,) for record in result.epochs]
    assert [record.epoch for record in result.epochs] == [1, 2]
    assert result.test_accuracy == result.epochs[-1].test_accuracy
    assert result.initial_parameters == {
        ("activation1", "weight"): (0.25,) * 16,
        ("activation2", "weight"): (0.25,) * 32,
    }
    assert result.provenance["threads"] == 1
    assert result.provenance["device"] == "cpu"
    assert len(result.provenance["data_sha256"]) == 64
    assert result.provenance["test_images"] == result.trial.protocol.test_images


def test_seeds_trained_together_get_the_results_of_each(data_dir: Path) -> None:
    trials = [Trial(PROTOCOL, "prelu", seed) for seed in (0, 7)]
    seen: list[Sequence[EpochRecord]] = []
    together = run_together(trials, data_dir, "cpu", seen.append)
    assert [result.trial for result in together] == trials
    assert seen == list(zip(*(result.epochs for result in together), strict=True))
    for result in together:
        [alone] = run_together([result.trial], data_dir, "cpu", lambda _records: None)
        assert (result.provenance["batched_seeds"], alone.provenance["batched_seeds"]) == (2, 1)
        assert result.provenance.keys() == alone.provenance.keys()
        for name in ("initial_weights_sha256", "data_order_sha256", "data_sha256"):
            assert result.provenance[name] == alone.provenance[name]
        assert result.initial_parameters == alone.initial_parameters
        for record, own in zip(result.epochs, alone.epochs, strict=True):
            assert record.train_loss == pytest.approx(own.train_loss, rel=1e-4)
            assert record.test_accuracy == pytest.approx(own.test_accuracy, abs=0.0201)
            assert record.parameters.keys() == own.parameters.keys()
            for key, values in record.parameters.items():
                assert values == pytest.approx(own.parameters[key], rel=1e-4)


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_call_after_every_step_may_stop_the_training(seeds: int, data_dir: Path) -> None:
    trials = [Trial(PROTOCOL, "relu", seed) for seed in range(seeds)]
    steps: list[int] = []
    epochs: list[Sequence[EpochRecord]] = []
    run_together(trials, data_dir, "cpu", epochs.append, lambda: steps.append(len(epochs)))
    assert steps == [0] * 4 + [1] * 4  # 100 images in batches of 32, two epochs

    def stop() -> None:
        steps.append(-1)
        if steps.count(-1) == 6:
            raise KeyboardInterrupt

    epochs.clear()
    with pytest.raises(KeyboardInterrupt):
        run_together(trials, data_dir, "cpu", epochs.append, stop)
    assert steps.count(-1) == 6
    assert len(epochs) == 1


def test_auto_takes_the_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not MPS: its runs cannot be repeated to the last digit."""
    for cuda, mps, expected in ((True, True, "cuda"), (False, True, "cpu"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert pick_device("auto").type == expected
        assert not mps or pick_device("mps").type == "mps"
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(UsageError, match="no cuda device; use --device auto"):
        pick_device("cuda")


def test_training_leaves_torchvision_alone(data_dir: Path) -> None:
    """It would take a worker a second and 150 MB."""
    script = (
        "import sys, pathlib\n"
        "from fluidrelu_cli.protocol import Protocol, Trial\n"
        "from fluidrelu_cli.training import run_together\n"
        "trial = Trial(Protocol(epochs=1, train_images=20, test_images=20), 'fluid', 0)\n"
        "run_together([trial], pathlib.Path(sys.argv[1]), 'cpu', lambda records: None)\n"
        "assert 'torchvision' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, str(data_dir)], check=True, timeout=60)
