"""What activations cost on a network and this machine, measured side by side. No data set is needed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone

import torch
from torch import Tensor

from fluidrelu_cli.cost import INSTANT, MACHINE, REFERENCE, Cost, Measured
from fluidrelu_cli.data.dataset import Dataset
from fluidrelu_cli.networks.architectures import Shape
from fluidrelu_cli.networks.named import Activation, resolve
from fluidrelu_cli.protocol import Protocol, Trial, split_arm
from fluidrelu_cli.run import Provenance
from fluidrelu_cli.seeding import make_deterministic, own_torch_settings
from fluidrelu_cli.training.loop import Training
from fluidrelu_cli.training.machine import keep_freed_memory, pick_device, record_machine
from fluidrelu_cli.training.timing import Turn, in_turn, steps_per_turn, time_turns

STEPS = 5
"""How many steps each time is the mean of."""

HARMLESS_RATE = 1e-9
"""A learning rate that changes no weight by much: thousands of steps on the same few images would, and a network that
has learned them by heart, or diverged, may take another time."""


def list_functions(activations: Sequence[Activation]) -> list[Activation]:
    """What is to be measured for these: REFERENCE, and each of them once without settings of its own."""
    names = [split_arm(each.name)[0] for each in activations]
    return [resolve(name) for name in dict.fromkeys((REFERENCE, *names))]


def measure_cost(
    activations: Sequence[Activation],
    protocol: Protocol,
    shape: Shape,
    classes: int,
    images: int,
    device_name: str,
    *,
    rounds: int,
    on_turn: Callable[[], None] = lambda: None,
    clock: Callable[[], float] | None = None,
) -> Cost:
    """Measure what activations cost, with random images; torch's settings are put back.

    Args:
        activations: of :func:`list_functions`.
        protocol: whose network, batches and optimizer.
        shape: (C, H, W) of the images.
        classes: how many there are.
        images: how many there are to train with: a batch has no more.
        device_name: one of protocol.DEVICES.
        rounds: in each, every activation has a turn, and REFERENCE two. One more round warms up.
        on_turn: called after each turn; it may raise to stop.
        clock: what tells the time, in seconds. None: on a CPU the processor time of this process, which other programs
            on the machine disturb less; elsewhere the time of day.

    Raises:
        UsageError: if this machine has no such device, or the network does not fit the images.
    """
    with own_torch_settings():
        device = pick_device(device_name)
        make_deterministic(device)
        keep_freed_memory()
        clock = clock or (time.process_time if device.type == "cpu" else time.perf_counter)
        size = min(protocol.batch_size, images)
        timed = replace(
            protocol,
            batch_size=size,
            lr=HARMLESS_RATE,
            epochs=10**9,  # as many turns as are asked for
            evaluations=1,
            train_images=None,
            test_images=None,
            validation_images=None,
        )

        one_step, one_turn = (draw_images(steps * size, shape, classes) for steps in (1, steps_per_turn(STEPS)))

        def make_training(activation: Activation, dataset: Dataset) -> Training:
            return Training(activation, [Trial(timed, activation.name, 0)], dataset, device)

        needs = {each.name: count_needs(make_training(each, one_step)) for each in activations}
        turns: dict[tuple[str, bool], Iterator[Turn]] = {
            (each.name, again): time_turns(make_training(each, one_turn), STEPS, device, clock)
            for each, again in (*((each, False) for each in activations), (activations[0], True))
        }
        in_turn(turns, 1, on_turn)
        times = in_turn(turns, rounds, on_turn)
        measured = [_gather(name, mine, needs[name]) for (name, _), mine in times.items()]
        recorded = record_machine(device)
    machine = Provenance(**{name: getattr(recorded, name) for name in MACHINE})
    when = datetime.now(timezone.utc).strftime(INSTANT)
    return Cost(protocol, tuple(measured[:-1]), measured[-1], STEPS, machine, when)


def _gather(name: str, turns: Sequence[Turn], needs: tuple[int, int]) -> Measured:
    step, forward, backward = (tuple(round(each, 9) for each in seconds) for seconds in zip(*turns, strict=True))
    return Measured(name, step, forward, backward, *needs)


def draw_images(number: int, shape: Shape, classes: int) -> Dataset:
    """So many random images to train with, and one to test on."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (number, *shape), dtype=torch.uint8, generator=generator)
    labels = torch.randint(classes, (number,), generator=generator)
    return Dataset(images, labels, images[:1], labels[:1], classes)


def count_needs(training: Training) -> tuple[int, int]:
    """What a step of a training keeps for its backward pass, in bytes, and how many values its activations learn.

    Tensors that share their memory count once; parameters and buffers, which are kept anyway, do not count.

    Args:
        training: one of a single step per epoch, because its labels are views of the epoch's.
    """
    module = training.network.module
    kept = {each.untyped_storage().data_ptr() for each in (*module.parameters(), *module.buffers())}
    saved: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    learned = sum(map(len, training.parameters()[0].values()))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        next(training.epochs())
    return sum(size for address, size in saved.items() if address not in kept), learned
