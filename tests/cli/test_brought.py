"""A data set, a network and an activation of one's own, end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import (
    ACTIVATIONS,
    fluidrelu,
    words,
)

pytestmark = pytest.mark.usefixtures("folder")


def save_npz(path: Path, size: int = 16, seed: int = 0) -> None:
    """40 + 20 colour images of 3 classes."""
    random = np.random.default_rng(seed)
    x_train, x_test = (random.random((count, size, size, 3)) for count in (40, 20))
    np.savez(path, x_train=x_train, y_train=np.arange(40) % 3, x_test=x_test, y_test=np.arange(20) % 3)


NETWORK = """
from torch import nn

class Net(nn.Module):
    def __init__(self, activation, shape, classes):
        super().__init__()
        print("making a network")
        self.layers = nn.Sequential(
            nn.Conv2d(shape[0], 4, 3), activation(4), nn.Flatten(), nn.Dropout(0.1), nn.LazyLinear(classes)
        )

    def forward(self, images):
        return self.layers(images)
"""


def test_a_file_of_your_own_with_a_network_and_an_activation_of_your_own(folder: Path) -> None:
    """Paired, resumed and verified as everything else."""
    save_npz(folder / "mine.npz")
    (folder / "nets.py").write_text(NETWORK)
    (folder / "mine.py").write_text(ACTIVATIONS)
    options = ("--dataset", "./mine.npz", "--model", "nets:Net", "--epochs", 2, "--batch-size", 20, "--device", "cpu")
    more = ("--augment", "flip-crop", "--schedule", "step", "--weight-decay", 0.001, "--workers", 1)
    fluidrelu("repeat", "-n", 1, *options, *more)
    assert "names code that does not come with this program, 'nets:Net'" in words(fluidrelu("repeat", code=2))
    fluidrelu("repeat", "-n", 2, "--workers", 1, "--trust")
    study = folder / "results" / "local"
    runs = study / "runs"
    protocol = json.loads((study / "study.json").read_text())["protocol"]
    assert (protocol["dataset"], protocol["model"], protocol["schedule"]) == ("mine.npz", "nets:Net", "step")
    relu, fluid = (json.loads((runs / f"{name}-seed1.json").read_text()) for name in ("relu", "fluid"))
    for digest in ("initial_weights_sha256", "data_order_sha256", "augmentation_sha256", "data_sha256", "model_sha256"):
        assert relu[digest] == fluid[digest]
    learned = pd.read_csv(runs / "fluid-seed0.parameters.csv")
    assert set(learned["layer"]) == {"layers.1"}
    assert "equal to the last digit" in words(fluidrelu("verify", runs / "fluid-seed0.csv", "--trust"))
    assert "2/2" in fluidrelu("report")


def test_a_network_that_is_none_and_images_too_small(folder: Path) -> None:
    save_npz(folder / "mine.npz", size=15)
    output = words(fluidrelu("train", "--dataset", "mine.npz", code=2))
    assert "The network 'paper' needs images of at least 16 x 16 pixels, not 15 x 15" in output
    (folder / "wrong.py").write_text(NETWORK.replace("classes)\n        )", "7)\n        )"))
    output = words(fluidrelu("train", "--dataset", "mine.npz", "--model", "wrong:Net", code=2))
    assert "'wrong:Net' cannot serve as a network (of two images it makes (2, 7), not logits of shape (2, 3))" in output
    assert not (folder / "results").exists()


def test_data_that_was_changed_is_not_mixed_into_a_study(folder: Path) -> None:
    save_npz(folder / "mine.npz")
    fluidrelu("train", "--dataset", "mine.npz", "--epochs", 1, "--device", "cpu")
    save_npz(folder / "mine.npz", seed=1)
    output = words(fluidrelu("train", "--seed", 1, "--device", "cpu", code=2))
    assert "The runs in results/local were trained on other data than mine.npz holds now (sha256" in output
    assert "restore it, or name another --study." in output
