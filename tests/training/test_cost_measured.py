"""What activations cost on a small network, by a clock that ticks when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fluidrelu_cli.cost import Cost
from fluidrelu_cli.data.dataset import Dataset
from fluidrelu_cli.networks.named import resolve
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.training.cost import STEPS, draw_images, list_functions, measure_cost
from fluidrelu_cli.training.timing import in_turn

OWN = f"{__name__}:"


class Clock:
    """It goes on by a second whenever it is read."""

    now = 0.0

    def __call__(self) -> float:
        Clock.now += 1
        return Clock.now


class Slow(nn.Module):
    """It takes three seconds longer, forward, and keeps three tensors for the backward pass where ReLU keeps one."""

    def forward(self, v: Tensor) -> Tensor:
        Clock.now += 3
        return v * v.exp()


class Net(nn.Module):
    """One layer of three hidden units."""

    def __init__(self, activation: Callable[[int], nn.Module], shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.first, self.act, self.last = nn.Linear(shape[1] * shape[2], 3), activation(3), nn.Linear(3, classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last(self.act(self.first(images.flatten(1))))
        return logits


def measure(*names: str, batch: int = 5, on_turn: Callable[[], None] = lambda: None, images: int = 1000) -> Cost:
    protocol = Protocol(model=f"{OWN}Net", batch_size=batch, lr=0.5, epochs=3)
    functions = list_functions([resolve(name) for name in names])
    return measure_cost(functions, protocol, (1, 4, 4), 2, images, "cpu", rounds=6, on_turn=on_turn, clock=Clock())


def test_activations_are_measured_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def draw(number: int, *what: Any) -> Dataset:
        drawn.append(number)
        return draw_images(number, *what)

    monkeypatch.setattr("fluidrelu_cli.training.cost.draw_images", draw)
    turns: list[float] = []
    threads, random_state = torch.get_num_threads(), torch.get_rng_state()
    cost = measure(f"{OWN}Slow", "prelu@lr=0.1", "prelu", on_turn=lambda: turns.append(Clock.now))
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), random_state)
    assert drawn == [5, 5 * (1 + 2 * STEPS)]  # once for all
    assert len(turns) == 7 * 4  # one round warms up
    assert [each.activation for each in cost.activations] == ["relu", f"{OWN}Slow", "prelu"]
    relu, slow, prelu = cost.activations
    # the clock is read once at the end of as many steps, and after each pass
    assert {*relu.step_seconds} == {*cost.again.step_seconds} == {1 / STEPS}
    assert {*slow.step_seconds} == {3 + 1 / STEPS}
    assert [{*each.forward_seconds} for each in (relu, slow, prelu)] == [{1}, {4}, {1}]
    assert [{*each.backward_seconds} for each in (relu, slow, prelu)] == [{1}, {1}, {1}]
    assert [each.parameters for each in cost.activations] == [0, 0, 3]
    # the images, the hidden units, the logarithms of the probabilities, the labels, and the sum of weights of the loss
    assert relu.saved_bytes == 5 * 16 * 4 + 5 * 3 * 4 + 5 * 2 * 4 + 5 * 8 + 4
    assert slow.saved_bytes - relu.saved_bytes == 2 * 5 * 3 * 4
    assert (cost.rounds, cost.steps, cost.protocol.lr, cost.machine.device) == (6, STEPS, 0.5, "cpu")
    assert cost.machine.threads == 1
    assert cost.machine.wall_seconds is None


def test_a_batch_has_no_more_images_than_there_are() -> None:
    [relu] = measure("relu", images=2).activations
    assert relu.saved_bytes == 2 * 16 * 4 + 2 * 3 * 4 + 2 * 2 * 4 + 2 * 8 + 4


def test_every_second_round_goes_backwards() -> None:
    order: list[str] = []

    def take_turns(name: str) -> Iterator[str]:
        while True:
            order.append(name)
            yield name

    assert in_turn({name: take_turns(name) for name in "abc"}, 3) == {name: [name] * 3 for name in "abc"}
    assert "".join(order) == "abccbaabc"
