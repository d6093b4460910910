"""What has to hold of the runs of one study for their comparison to mean something: functions of runs, no files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from fluidrelu_cli.errors import UsageError
from fluidrelu_cli.protocol import split_arm
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
    runs = list(runs)
    recorded = [run.provenance for run in runs]
    codes = {each.activation_sha256: each.activation_code_sha256 for each in recorded if each.activation_code_sha256}
    codes |= {each.model_sha256: each.model_code_sha256 for each in recorded if each.model_code_sha256}
    values: dict[str, set[str]] = {}
    for run in runs:
        for condition, value in _conditions_that_matter(run.trial.activation, run.provenance, codes):
            values.setdefault(condition, set()).add(value)
    return {condition: sorted(found) for condition, found in values.items() if len(found) > 1}


def _conditions_that_matter(
    activation: str, provenance: Provenance, codes: Mapping[str | None, str | None]
) -> Iterator[tuple[str, str]]:
    """Each condition with its value; ``codes`` has the digests of the code in files, by those of the files."""
    yield "device", str(provenance.device)
    yield "way of training", "seeds together" if provenance.batched_seeds > 1 else "one by one"
    yield "version of torch", str(provenance.versions.get("torch"))
    yield "data (sha256)", str(provenance.data_sha256)[:12]
    for name, file in (("the network", provenance.model_sha256), (activation, provenance.activation_sha256)):
        yield f"source of {name} (sha256)", str(codes.get(file, file))[:12]
    if provenance.betas is not None:
        yield f"factor beta of {activation}", describe_factors(provenance.betas)


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


def describe_changes(
    runs: Iterable[Run],
    now: Mapping[str, Provenance],
    earlier: Mapping[str, Mapping[str, float]],
    folder: Path,
) -> dict[str, str]:
    """A sentence on each activation whose runs were made with other code, or another factor, than would be used now.

    Args:
        runs: of a study.
        now: what runs would record of code and factors now, by activation.
        earlier: the factors of runs that recorded none.
        folder: the study's.
    """
    changed: dict[str, str] = {}
    for run in runs:
        name, recorded = run.trial.activation, run.provenance
        if name not in now or name in changed:
            continue
        for kind, own in (("activation", split_arm(name)[0]), ("model", f"the network {run.trial.protocol.model}")):
            if not _is_same_code(kind, recorded, now[name]):
                digest = getattr(recorded, f"{kind}_sha256")
                kept = f" (then {folder / 'sources' / digest}.py)" if getattr(recorded, f"{kind}_code_sha256") else ""
                changed[name] = f"The source of {own} was changed since it was trained here{kept}."
        betas, today = earlier[name] if recorded.betas is None else recorded.betas, now[name].betas
        if name not in changed and betas != today:
            changed[name] = (
                f"{run.trial.name} was trained with {describe_factors(betas)}, the factor on the gradient of what"
                f" {name} learns, which is {describe_factors(today)} now."
            )
    return changed


def _is_same_code(kind: str, recorded: Provenance, now: Provenance) -> bool:
    """Whether a run's activation or network ("model") was made by the code of today, as far as digests tell."""
    (file, code), (file_now, code_now) = (
        (getattr(each, f"{kind}_sha256"), getattr(each, f"{kind}_code_sha256")) for each in (recorded, now)
    )
    return file in (None, file_now) or (code is not None and code == code_now)


def describe_factors(betas: Mapping[str, float] | None) -> str:
    """``beta 10``; with several factors ``beta 10 (a), 1 (b)``."""
    factors = betas or {}
    if len(set(factors.values())) == 1:
        return f"beta {next(iter(factors.values())):g}"
    return f"beta {', '.join(f'{factor:g} ({name})' for name, factor in factors.items()) or 'none'}"
