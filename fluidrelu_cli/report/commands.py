"""The commands that make a study and its report again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from fluidrelu_cli.data.catalogue import CATALOGUE
from fluidrelu_cli.protocol import Protocol, is_own, option
from fluidrelu_cli.report import wording
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.study import DEFAULT_BASELINE


def list_commands(evidence: Evidence) -> tuple[str, ...]:
    """One command per line, with a comment above them on what has to be at hand."""
    return (*_list_needs(evidence), *map(shlex.join, (*_train(evidence), _report(evidence))))


def _list_needs(evidence: Evidence) -> Iterator[str]:
    own = [name.partition(":")[0] for name in (*evidence.order, evidence.protocol.model) if is_own(name)]
    dataset = evidence.protocol.dataset
    yield from wording.needed(dict.fromkeys(own), None if dataset in CATALOGUE else dataset)


def _train(evidence: Evidence) -> Iterator[list[str]]:
    """What trains every run: the file, or the seeds that were asked for, activations with the same number at once."""
    if evidence.declaration is not None:
        yield ["fluidrelu", "run", evidence.declaration.path.as_posix()]
        return
    study = evidence.study
    changed = study.protocol.differences(Protocol())
    options = [
        "--study",
        study.name,
        *(text for name, (value, _) in changed.items() for text in (option(name), str(value))),
    ]
    asked: dict[int, list[str]] = {}
    sequential = evidence.sequential
    pair = (sequential.baseline, sequential.activation) if sequential is not None else ()
    if sequential is not None:
        limits = ["--margin", f"{sequential.margin:g}", "--max", str(sequential.most)]
        acts = [text for name in pair for text in ("--act", name)]
        yield ["fluidrelu", "repeat", "--until", "decided", *limits, *acts, *options]
    for name in evidence.order:
        if name in pair:
            continue
        asked.setdefault(study.asked.get(name, 0), []).append(name)
    for n, names in asked.items():
        if n:
            acts = [text for name in names for text in ("--act", name)]
            yield ["fluidrelu", "repeat", "-n", str(n), *acts, *options]
    for run in evidence.runs:
        name, seed = run.trial.activation, run.trial.seed
        if name not in pair and seed >= study.asked.get(name, 0):
            yield ["fluidrelu", "train", "--act", name, "--seed", str(seed), *options]


def _report(evidence: Evidence) -> list[str]:
    declared = evidence.declaration
    usual = DEFAULT_BASELINE if declared is None else declared.baseline
    named = ["--study", evidence.study.name]
    if declared is not None and not declared.is_grid:
        named = [declared.path.as_posix()]
    baseline = [] if evidence.baseline == usual else ["--baseline", evidence.baseline]
    focus = [] if evidence.focus is None or len(evidence.order) == 2 else ["--focus", evidence.focus]
    beside = [text for other in evidence.beside for text in ("--beside", other.study.name)]
    against = [] if evidence.against is None else ["--against", str(evidence.against.study.folder)]
    own = any(is_own(run.trial.activation) for run in evidence.runs)
    trust = ["--trust"] if own else []  # its functions are drawn then
    return ["fluidrelu", "report", *named, *trust, *baseline, *focus, *beside, *against]
