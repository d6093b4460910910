"""What has to hold of the runs of one study for their comparison to mean something: functions of runs, no files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.run import Provenance, Run

PAIRED = ("initial_weights_sha256", "data_order_sha256", "augmentation_sha256")
"""Digests in which the runs of one seed must agree."""


def find_unpaired(runs: Iterable[Run]) -> dict[int, list[str]]:
    """The seeds whose runs do not start alike, or do not see the same images, each with what differs."""
    unpaired: dict[int, list[str]] = {}
    for name in PAIRED:
        by_seed: dict[int, set[str]] = {}
        for run in runs:
            digest = getattr(run.provenance, name)
            if digest is not None:
                by_seed.setdefault(run.trial.seed, set()).add(digest)
        for seed, digests in by_seed.items():
            if len(digests) > 1:
                unpaired.setdefault(seed, []).append(name.removesuffix("_sha256").replace("_", " "))
    return unpaired


def find_mixed_conditions(runs: Iterable[Run]) -> dict[str, list[str]]:
    """The conditions in which runs differ although each may change their numbers, with the values found."""
    values: dict[str, set[str]] = {}
    for run in runs:
        for condition, value in _conditions_that_matter(run.trial.activation, run.provenance):
            values.setdefault(condition, set()).add(value)
    return {condition: sorted(found) for condition, found in values.items() if len(found) > 1}


def _conditions_that_matter(activation: str, provenance: Provenance) -> Iterator[tuple[str, str]]:
    yield "device", str(provenance.device)
    yield "way of training", "seeds together" if provenance.batched_seeds > 1 else "one by one"
    yield "version of torch", str(provenance.versions.get("torch"))
    yield "data (sha256)", str(provenance.data_sha256)[:12]
    yield "source file of the network (sha256)", str(provenance.model_sha256)[:12]
    yield f"source file of {activation} (sha256)", str(provenance.activation_sha256)[:12]


def describe_doubts(runs: Sequence[Run], folder: Path) -> list[str]:
    """A sentence on each seed of a study's folder whose runs cannot be paired, on each condition that differs, and on
    runs that nothing protects.
    """
    unprotected = sum(not run.protected for run in runs)
    without = [
        f"{unprotected} of the {len(runs)} runs in {folder} lack a digest, as those of earlier releases do, so that"
        " not every change of their files would show."
    ]
    unpaired = [
        f"The runs of seed {seed} in {folder} cannot be paired, because they differ in {' and '.join(differing)}:"
        " the network or an activation draws random numbers elsewhere than from torch."
        for seed, differing in find_unpaired(runs).items()
    ]
    mixed = [
        f"The runs in {folder} differ in the {condition}: {', '.join(values)}."
        for condition, values in find_mixed_conditions(runs).items()
    ]
    return unpaired + mixed + (without if unprotected else [])


def check_data(runs: Iterable[Run], sha256: str, folder: Path) -> None:
    """Raise UsageError if a run was trained on data of another digest: a file was changed since."""
    for run in runs:
        recorded = run.provenance.data_sha256
        if recorded not in (None, sha256):
            raise UsageError(
                f"The runs in {folder} were trained on other data than {run.trial.protocol.dataset} holds now"
                f" (sha256 {str(recorded)[:12]}, not {sha256[:12]}): restore it, or name another --study."
            )


def describe_changed_sources(
    runs: Iterable[Run], sources: Mapping[str, str | None], model_sha256: str | None
) -> list[str]:
    """A sentence on each activation whose runs were made from another source file than the one of today.

    Args:
        runs: a study's.
        sources: the digest of each activation's file by its name, None for one that is not a user's own.
        model_sha256: that of the network's file.
    """
    changed: dict[str, Run] = {}
    for run in runs:
        name, recorded = run.trial.activation, run.provenance
        if name not in sources or name in changed:
            continue
        pairs = ((recorded.activation_sha256, sources[name]), (recorded.model_sha256, model_sha256))
        if any(before not in (None, now) for before, now in pairs):
            changed[name] = run
    return [
        f"The source of {name} or of its network was changed since {run.trial.name} was trained: delete such runs to"
        " train them again, or name another --study."
        for name, run in changed.items()
    ]
