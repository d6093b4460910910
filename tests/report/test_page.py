"""The page in a real browser: it loads in silence, shows every figure, and fits onto a phone."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from factories import make_study
from hypothesis import given, settings
from strange_names import NAMES

from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.report.compose import build_document, illustrate, write_report
from fluidrelu_cli.report.document import Definition, Document, Drawing, Section
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.page import render_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a study with wide tables: many activations, seeds missing, a long name."""
    names = ("relu", "fluid", "fluid-coth", "leaky-relu", "my_package.activations:AnActivationWithAVeryLongName")
    folder = tmp_path_factory.mktemp("page")
    study = make_study(folder, {name: [(0.5, 0.97), (0.6, 0.98), (0.7, 0.975)] for name in names})
    study.files("leaky-relu-seed1").csv.unlink()
    document = illustrate(build_document(Evidence(study)), ("svg",))
    summary = replace(document.sections[0], explanations=("The mean of n.",))
    own = replace(document.activations[-1], sources={"0" * 64: f"class A{'b' * 500}: pass"})
    return write_report(
        replace(document, sections=(summary, *document.sections[1:]), activations=(*document.activations, own)),
        folder / "report",
    )


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (1200, "light")])
def test_page_in_a_browser(width: int, scheme: str, report: Path, browser: Browser) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 740}, color_scheme="dark" if scheme == "dark" else "light", offline=True
    )
    opened, messages, requests = context.new_page(), [], []
    opened.on("console", lambda message: messages.append(message.text))
    opened.on("pageerror", lambda error: messages.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(report.as_uri())
    assert messages == []
    assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()]
    shown = opened.evaluate(
        "[...document.images].map(image => image.complete && image.naturalWidth * image.clientWidth)"
    )
    assert len(shown) == len(list((report.parent / "figures").glob("*.svg"))) > 5
    assert all(shown)
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    cells = opened.evaluate(
        "[...document.querySelectorAll('.numbers :is(td, tbody th)')].map(cell => cell.getBoundingClientRect().right)"
    )
    assert len(cells) > 50
    assert max(cells) <= width  # none has to be scrolled to
    figures = opened.evaluate("[...document.images].map(image => [image.clientWidth, image.parentNode.clientWidth])")
    assert min(image for image, _ in figures) >= 430  # its text is large enough to be read
    assert max(panel for _, panel in figures) <= width  # where it has no room it is scrolled
    opened.add_style_tag(content=".numbers { min-width: 900px }")
    hidden = "[...document.querySelectorAll('section > .scroll')].map(each => each.scrollWidth - each.clientWidth)"
    assert {each == 0 for each in opened.evaluate(hidden)} == {width == 1200}  # the page's margin has room for it
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    background = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 24, 27)"}[scheme]
    context.close()


@pytest.mark.slow
def test_page_can_be_printed(report: Path, browser: Browser) -> None:
    opened = browser.new_page()
    opened.goto(report.as_uri())
    assert opened.pdf(format="A4").startswith(b"%PDF")
    opened.emulate_media(media="print", color_scheme="dark")
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    closed = "[...document.querySelectorAll('details:not([open]) > :last-child')]"
    shown = opened.evaluate(f"{closed}.map(shown => shown.checkVisibility() && shown.clientHeight > 0)")
    assert shown
    assert all(shown)
    for selector, name, values in (
        ("table, figure, tr", "breakInside", ["avoid"]),
        ("h2, summary, section > .scroll", "breakAfter", ["avoid"]),
        ("summary", "fontWeight", ["600"]),
        (".panel", "padding", ["0px"]),
    ):
        styles = f"[...document.querySelectorAll({selector!r})].map(element => getComputedStyle(element).{name})"
        assert list(set(opened.evaluate(styles))) == values
    opened.close()


@pytest.mark.slow
def test_page_answers_first_and_needs_nothing_else(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    assert text.index("<h1>") < text.index('<p class="answer">') < text.index("<table")
    titles = re.findall(r"<h2>(.*?)</h2>", text)
    assert titles[4:] == [
        "Figures",
        "The activations",
        "How the runs were trained",
        "Make it again",
        "Where the runs were made",
    ]
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)


def test_page_shows_every_fact_of_the_protocol(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"fluid": [(0.5,)]}, schedule="cosine", weight_decay=5e-4, augment="flip-crop")
    text = render_page(build_document(Evidence(study)))
    for name, value in study.protocol.facts().items():
        assert f'<th scope="row">{name}</th><td>{value}</td>' in text
    assert '<th scope="row">weight decay</th><td>0.0005</td>' in text
    assert '<th scope="row">test images</th>' not in text  # is not set
    unlearned = render_page(build_document(Evidence(make_study(tmp_path / "other", {"relu": [(0.5,)]}))))
    assert '<th scope="row">beta</th>' not in unlearned  # nothing is learned by it
    arms = {"relu@lr=0.1@weight_decay=0.5": [(0.5,)], "elu@lr=0.2": [(0.5,)]}
    own = render_page(build_document(Evidence(make_study(tmp_path / "own", arms))))
    assert '<th scope="row">lr</th>' not in own  # no run has the study's
    assert '<th scope="row">weight decay</th><td>0.0</td>' in own


class Shown(HTMLParser):
    """The texts of a page and its images' descriptions; its tags, but for those in texts, are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.texts += [value for name, value in attrs if name in ("alt", "aria-label") and value]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@settings(max_examples=20, deadline=None)
@given(NAMES)
def test_page_shows_any_name_as_it_is(name: str) -> None:
    def shown(name: str) -> Shown:
        section = Section("summary", name, pd.DataFrame(), ([name], [[name]]), (name,), explanations=(name,))
        drawings = (Drawing("figure", name, {"svg": b"<svg/>"}),)
        conditions = {name: {name: 1}}
        page = Shown()
        protocol = Protocol(dataset="d")
        page.feed(
            render_page(
                Document(name, name, name, protocol, 1, (section,), (), pd.DataFrame(), conditions, (name,), drawings)
            )
        )
        return page

    found = shown(name)
    assert found.tags == shown("relu").tags
    texts = [text.replace("\u00a0", " ").strip() for text in found.texts]
    assert texts.count(name.strip()) >= 11
    assert f"figure: {name}".strip() in texts


def test_page_shows_names_as_they_are() -> None:
    """A user's activation may be called as if it were HTML."""
    section = Section("summary", "<b>", pd.DataFrame(), (["<i>"], [["<script>alert(1)</script>"]]), ("<u>",))
    text = render_page(
        Document(
            question="<q>",
            answer="<a> 5 %",
            where="<w>",
            protocol=Protocol(dataset="<d>"),
            test_images=1,
            sections=(section,),
            pictures=(),
            runs=pd.DataFrame(),
            conditions={"<c>": {"<v>": 1, "w": 2}},
            notes=("<n>",),
            drawings=(Drawing("figure", '"<p>', {"svg": b"<svg/>"}),),
        )
    )
    assert not re.search(r"<(b|i|script|u|q|a|d|c|v|n|w)>", text)
    assert "&lt;script&gt;" in text
    assert "&lt;v&gt; (1 run);" in text
    assert "w (2 runs)" in text


def test_what_columns_mean_is_told_after_what_was_found() -> None:
    explained = Section("summary", "t", pd.DataFrame(), (["a"], [["1"]]), ("found",), explanations=("meant",))
    document = Document("q", "a", "w", Protocol(), 1, (explained,), (), pd.DataFrame(), {}, ())
    text = render_page(document)
    assert text.index("found") < text.index("<details>") < text.index("meant") < text.index("</details>")
    assert "<details>" not in render_page(replace(document, sections=(replace(explained, explanations=()),)))


def test_page_names_study_and_day_and_how_to_make_it_again(tmp_path: Path) -> None:
    evidence = Evidence(make_study(tmp_path / "first", {"relu": [(0.5,)]}))
    text = render_page(build_document(evidence, date(2026, 3, 7)))
    assert '<p class="study">Study first, report of 7 March 2026</p>' in text
    assert "fluidrelu repeat -n 1 --act relu --study first --epochs 1\nfluidrelu report --study first" in words(text)
    assert '<p class="study">Study first</p>' in render_page(build_document(evidence))


def words(page: str) -> str:
    """A page's text, as it would be copied."""
    shown = Shown()
    shown.feed(page)
    return "".join(shown.texts)


def test_page_shows_source_code_as_it_is(tmp_path: Path) -> None:
    evidence = Evidence(make_study(tmp_path, {"relu": [(0.5,)]}))
    source = "class A:  # <script>alert(1)</script>\n    a = '</code></pre><img src=x>' if a&lt < 1 else \"\"\n"
    own = Definition("mine:A", "mine:A", None, "own code", {"f" * 64: source, "0" * 64: None}, {"a": 48}, {"a": 1e4})
    text = render_page(replace(build_document(evidence), activations=(own,)))
    assert source in words(text)
    assert not re.search("<(script|img)", text)
    assert '<span class="k">class</span>' in text
    assert "Its source was not kept (SHA-256 000000000000)." in text
    assert "Learns a (48 values, gradient × 10,000)." in text
    long = replace(own, sources={"f" * 64: source * 100})
    for definition, open_at_once in ((own, True), (long, False)):
        page = render_page(replace(build_document(evidence), activations=(definition,)))
        assert ('<details class="source" open>' in page) == open_at_once


def test_page_has_verdicts(tmp_path: Path) -> None:
    text = render_page(build_document(Evidence(make_study(tmp_path, {"relu": [(0.5,)], "tanh": [(0.6,)]}))))
    assert '<td data-name="verdict">too few pairs</td></tr>' in text
