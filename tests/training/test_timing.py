"""A trial's seconds, from some of its steps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_trials import train

from fluidrelu_cli.networks.named import resolve
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.training import timing


@pytest.mark.parametrize(
    "protocol",
    [
        Protocol(epochs=5, batch_size=20, train_images=500, test_images=1000),
        Protocol(epochs=5, batch_size=100, train_images=90, test_images=20),  # a single step, of fewer images
    ],
)
def test_a_trial_takes_about_as_long_as_it_was_timed_to(
    protocol: Protocol, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "ENOUGH_SECONDS", 0.03)  # not all of the 25 steps
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(False)
    random_state = torch.get_rng_state()
    expected = timing.time_trial(resolve("fluid"), protocol, data_dir, "cpu")
    assert torch.get_num_threads() == 2
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.get_rng_state(), random_state)
    [run] = train([Trial(protocol, "fluid", 0)], data_dir)
    took = sum(epoch.train_seconds + epoch.test_seconds for epoch in run.epochs)
    assert took / 4 < expected < took * 4
