"""The static site: every link leads somewhere, and every page is silent and fits onto a phone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urldefrag

import findings
import pytest
import website

from fluidrelu_cli.report.compose import illustrate
from fluidrelu_cli.report.document import Document

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow


class Page(HTMLParser):
    """What a page links to, and the anchors that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors = {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src"):
                self.links.append(value or "")
            elif name == "id":
                self.anchors.add(value or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")

    def illustrate_one(document: Document, kinds: Sequence[str]) -> Document:
        """Draw the figures of one study alone: those of all take most of a minute."""
        return illustrate(document, kinds) if document.where.endswith("cifar10-cnn3") else document

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(website, "illustrate", illustrate_one)
        website.build(folder)
    return folder


def test_every_link_leads_to_a_file_and_an_anchor(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html")}
    followed = 0
    for path, page in pages.items():
        for link in page.links:
            if re.match(r"(https?|data|mailto):", link):
                continue
            file, anchor = urldefrag(unquote(link))
            target = (path.parent / file).resolve() if file else path
            assert target.is_file(), f"{path}: {link}"
            assert target.is_relative_to(site.resolve())
            assert not anchor or anchor in pages[target].anchors, f"{path}: {link}"
            followed += 1
    assert followed > 5 * len(pages)


def test_the_index_lists_every_study_with_its_answer(site: Path) -> None:
    index = (site / "index.html").read_text(encoding="utf-8")
    listed = re.findall(
        r'<a href="results/(\S+)/index.html">(\S+)</a>: (.*)</p>\n<p>(.*)</p>\n<p .*>n = (\d+), (\d{4}-\d\d-\d\d)<',
        index,
    )
    assert {name for name, *_ in listed} == set(findings.QUESTIONS)
    assert next(name for name, *_ in listed) == "cifar10-cnn3"  # first those that compare
    [main] = [study for study in listed if study[0] == findings.MAIN]
    assert main[1] == findings.MAIN
    assert main[2] == "Is FluidReLU better than ReLU on MNIST, by the paper&#39;s protocol?"
    assert main[3].replace("&#39;", "'") == findings.report(findings.MAIN).answer
    assert main[4] == "60"


def test_a_report_leads_back_to_the_index(site: Path) -> None:
    page = (site / "results" / "learning-rate" / "index.html").read_text(encoding="utf-8")
    assert '<a href="../../index.html">All studies</a>' in page
    assert findings.report("learning-rate").answer.split("(")[0] in page.replace("&#39;", "'")


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (1100, "light")])
def test_pages_in_a_browser(width: int, scheme: str, site: Path, browser: Browser) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 740}, color_scheme="dark" if scheme == "dark" else "light", offline=True
    )
    opened, messages = context.new_page(), []
    opened.on("console", lambda message: messages.append(message.text))
    opened.on("pageerror", lambda error: messages.append(str(error)))
    opened.on("requestfailed", lambda request: messages.append(request.url))
    for path in sorted(site.rglob("*.html")):
        opened.goto(path.as_uri())
        assert messages == [], path
        assert opened.evaluate("document.documentElement.scrollWidth") <= width, path
        assert opened.evaluate("[...document.images].every(image => image.complete && image.naturalWidth)"), path
        background = opened.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 24, 27)"}[scheme], path
    context.close()
