"""A report as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import base64

from fluidrelu_cli.report import wording
from fluidrelu_cli.report.document import Document


def render_page(document: Document, home: str | None = None) -> str:
    """The page: question, answer, tables, figures (embedded as SVG), activations, protocol, commands and provenance.

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
    where = wording.where(document.facts, [each.name for each in document.activations], document.varied)
    return environment.get_template("report.html").render(
        document=document,
        home=home,
        where=where[0].upper() + where[1:],
        result_explained=wording.STOPS_EXPLAINED if "stops" in document.tables else wording.RESULT_EXPLAINED,
        sections=[(section, section.cells) for section in document.sections],
        figures=[(drawing, base64.b64encode(drawing.contents["svg"]).decode()) for drawing in document.drawings],
        highlight=highlight_python,
    )


def highlight_python(source: str) -> str:
    """Source code as HTML, in which classes of the page's style say what is a keyword, a string or a comment."""
    from markupsafe import Markup
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return Markup(
        highlight(source, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True))
    )  # it escapes what it is given
