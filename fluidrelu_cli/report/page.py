"""A report as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

if TYPE_CHECKING:
    from fluidrelu_cli.report.evidence import Picture, Section


def render(
    *,
    question: str,
    answer: str,
    sections: Sequence[Section],
    pictures: Sequence[Picture],
    protocol: Mapping[str, object],
    conditions: Mapping[str, Mapping[str, int]],
    notes: Sequence[str],
) -> str:
    """The page: question, answer, tables, figures, protocol and provenance.

    Args:
        question: its heading.
        answer: what stands right below.
        sections: the tables, each with its remarks.
        pictures: the figures, embedded as SVG.
        protocol: how every run was trained, by field.
        conditions: each condition's values, with how many runs were made under it.
        notes: what is left out or stands out.
    """
    loader = PackageLoader("fluidrelu_cli.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html").render(
        question=question,
        answer=answer,
        sections=sections,
        figures=[(picture, base64.b64encode(picture.contents["svg"]).decode()) for picture in pictures],
        protocol={name.replace("_", " "): value for name, value in protocol.items() if value is not None},
        conditions=conditions,
        notes=notes,
    )
