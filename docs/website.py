"""A static site of all studies and documents: `make site`.

It mirrors the repository: docs/findings.md becomes docs/findings.html, a README the index of its folder, and the study
in results/NAME the page results/NAME/index.html.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath

import findings
from findings import DOCS, QUESTIONS, RESULTS, ROOT
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from fluidrelu_cli.report.compose import illustrate
from fluidrelu_cli.report.page import render_page

DOCUMENTS = tuple(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md")
    for path in sorted(ROOT.glob(pattern))
)

NAVIGATION = {
    "README.md": "fluidrelu",
    "README.md#studies": "Studies",
    "docs/findings.md": "Findings",
    "docs/how-to/activation.md": "Your activation",
    "docs/how-to/data.md": "Your data",
    "docs/how-to/network.md": "Your network",
    "docs/how-to/python.md": "Python",
    "docs/cli.md": "Commands",
}
"""What every page links to, by its source."""

ENVIRONMENT = Environment(
    loader=ChoiceLoader([FileSystemLoader(DOCS), PackageLoader("fluidrelu_cli.report")]),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Study:
    """What the index says of a study."""

    name: str
    question: str
    answer: str
    n: int
    """Pairs of its first comparison, or runs where there is nothing to compare."""
    date: str
    """Of its latest run."""
    page: str


def place(source: str) -> str | None:
    """The page that a document or a study's folder becomes; a figure stays itself; None: it has no place on the site.

    All paths are relative to the top folder.
    """
    if source in DOCUMENTS:
        path = PurePosixPath(source)
        return str(path.with_name("index.html") if path.name == "README.md" else path.with_suffix(".html"))
    if source.removeprefix("results/") in QUESTIONS:
        return f"{source}/index.html"
    return source if source.endswith((".svg", ".png")) else None


def lead(target: str, source: str) -> str | None:
    """A link in a document as it has to be in its page; None if it leads to nothing on the site."""
    if re.match(r"\w+:|#", target):
        return target
    path, hash_mark, anchor = target.partition("#")
    page = place(os.path.normpath(PurePosixPath(source).parent / path))
    return page and relative(page, str(place(source))) + hash_mark + anchor


def relative(target: str, page: str) -> str:
    """The path from one page to another."""
    return os.path.relpath(target, PurePosixPath(page).parent)


def render_markdown(text: str, source: str) -> Markup:
    """A document, or a part of one, as HTML: headings with GitHub's anchors, links within the site."""
    parser = MarkdownIt("commonmark").enable("table")
    parser.add_render_rule("table_open", lambda *_: '<div class="scroll" tabindex="0"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    parser.add_render_rule("html_block", lambda *_: "")  # the markers of what is generated
    tokens = parser.parse(text)
    anchors: dict[str, int] = {}
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", make_anchor(tokens[index + 1].children or [], anchors))
        if token.children is not None:
            token.children = list(lead_within(token.children, source))
    return Markup(parser.renderer.render(tokens, parser.options, {}))


def make_anchor(heading: Iterable[Token], used: dict[str, int]) -> str:
    """A heading's anchor, as GitHub makes it."""
    words = "".join(token.content for token in heading).lower()
    anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
    used[anchor] = used.get(anchor, -1) + 1
    return f"{anchor}-{used[anchor]}" if used[anchor] else anchor


def lead_within(tokens: Iterable[Token], source: str) -> Iterator[Token]:
    """A paragraph with its links as the site has them; one that leads to nothing on the site is none."""
    linked = True
    for token in tokens:
        name = {"link_open": "href", "image": "src"}.get(token.type)
        if name is not None:
            target = lead(str(token.attrs[name]), source)
            token.attrs[name] = target or ""
            linked = target is not None
        if linked or token.type not in ("link_open", "link_close"):
            yield token
        linked = linked or token.type == "link_close"


def render_document(source: str, studies: Iterable[Study] = ()) -> str:
    """A document's page; the README's, which is the index, has the studies before its instructions."""
    text = (ROOT / source).read_text(encoding="utf-8")
    before, heading, after = text.partition("\n## Run it\n") if studies else (text, "", "")
    title = re.search(r"^# (.*)", text, flags=re.MULTILINE)
    return ENVIRONMENT.get_template("website.html").render(
        title=title[1].replace("`", "") if title else source,
        links=[(name, lead(relative(target, source), source)) for target, name in NAVIGATION.items()],
        body=render_markdown(before, source),
        studies=list(studies),
        rest=render_markdown(heading + after, source),
    )


def describe_study(name: str) -> Study:
    """A study's entry in the index; a grid's has as many runs as its first cell."""
    report = findings.report(name)
    evidence = findings.evidence(find_cells(name)[0])
    counts = evidence.comparisons if len(evidence.comparisons) else evidence.summary
    return Study(
        name, report.question, report.answer, int(counts["n"].iloc[0]), date_runs(name), f"results/{name}/index.html"
    )


def find_cells(question: str) -> list[str]:
    """The studies that answer a question: itself, or the cells of a grid."""
    return [name for name in findings.STUDIES if name.partition("/")[0] == question]


def date_runs(name: str) -> str:
    """When a study's latest run was committed; where git does not know it, when it was written."""
    folders = [RESULTS / study / "runs" for study in find_cells(name)]
    command = ["git", "log", "-1", "--format=%cs", "--", *map(str, folders)]
    committed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    times = (path.stat().st_mtime for folder in folders for path in folder.iterdir())
    return committed or date.fromtimestamp(max(times)).isoformat()


def build(folder: Path) -> None:
    """Write the site into an empty folder."""
    studies = [describe_study(name) for name in QUESTIONS]
    studies.sort(
        key=lambda study: "comparisons" not in findings.report(study.name).tables
    )  # those with an answer first
    for study in studies:
        document = illustrate(findings.report(study.name), ("svg",))
        write(folder / study.page, render_page(document, home=relative("index.html", study.page)))
    for source in DOCUMENTS:
        write(folder / str(place(source)), render_document(source, studies if source == "README.md" else ()))
    shutil.copytree(DOCS / "figures", folder / "docs" / "figures")
    shutil.copy(DOCS / "page.png", folder / "docs")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    build(Path(sys.argv[1]))
