"""What a study's activations and its network are: their formulas, or the source that was trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fluidrelu_cli.errors import printable
from fluidrelu_cli.networks.named import ACTIVATIONS, find_model
from fluidrelu_cli.networks.source import cut_code
from fluidrelu_cli.protocol import is_own, split_arm
from fluidrelu_cli.report import tables
from fluidrelu_cli.report.document import Definition
from fluidrelu_cli.report.evidence import Evidence

LARGEST_SOURCE = 2**17
"""More bytes than a file with an activation or a network has that somebody would read in a report."""


def define_activations(evidence: Evidence) -> tuple[Definition, ...]:
    """Every activation of a study, in order."""
    return tuple(_define_activation(evidence, name) for name in evidence.order)


def _define_activation(evidence: Evidence, name: str) -> Definition:
    runs = [run for run in evidence.runs if run.trial.activation == name]
    function, _ = split_arm(name)
    built_in = ACTIVATIONS.get(function)
    learned: Counter[str] = Counter()
    for (_, parameter), values in runs[0].initial_parameters.items() if runs else ():
        learned[parameter] += len(values)
    return Definition(
        name=name,
        title=tables.label(name),
        formula=built_in.spelled_formula if built_in else None,
        origin=built_in.source if built_in else "own code" if is_own(function) else f"torch.nn.{function}",
        sources=_read_sources(evidence, function, (run.provenance.activation_sha256 for run in runs)),
        learned=dict(learned),
        betas=next((run.provenance.betas for run in runs if run.provenance.betas is not None), {}),
    )


def define_network(evidence: Evidence) -> Definition:
    """The network that all runs of a study have in common."""
    name = evidence.protocol.model
    built_in = find_model(name)
    return Definition(
        name=name,
        title=tables.label(name),
        formula=built_in.layers if built_in else None,
        origin=built_in.source if built_in else "own code" if is_own(name) else "not built in",
        sources=_read_sources(evidence, name, (run.provenance.model_sha256 for run in evidence.runs)),
    )


def _read_sources(evidence: Evidence, name: str, digests: Iterable[str | None]) -> dict[str, str | None]:
    """What each digest's file has on a user's own class or function; None where the study keeps no such file."""
    found: dict[str, str | None] = {}
    for digest in filter(None, dict.fromkeys(digests)):
        source = evidence.study.read_source(digest)
        if source is None or len(source) > LARGEST_SOURCE:
            found[digest] = None
        else:
            found[digest] = cut_code(_decode(source), name.partition(":")[2])
    return found


def _decode(source: bytes) -> str:
    """A file as text that can be shown, whatever is in it."""
    text = source.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join(map(printable, text.expandtabs().split("\n")))
