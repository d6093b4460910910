"""A report as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import base64

from fluidrelu_cli.report import wording
from fluidrelu_cli.report.document import Document


def render_page(document: Document, home: str | None = None) -> str:
    """The page: question, answer, tables, figures (embedded as SVG), protocol and provenance.

    Args:
        document: the report, illustrated.
        home: where the list of all studies is, for a page that is part of a site.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("fluidrelu_cli.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        document=document,
        home=home,
        where=wording.where(document.facts),
        result_explained=wording.RESULT_EXPLAINED,
        figures=[(drawing, base64.b64encode(drawing.contents["svg"]).decode()) for drawing in document.drawings],
    )
