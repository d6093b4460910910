"""The page in a real browser: it loads in silence, shows every figure, and fits onto a phone."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fluidrelu_cli.report import page
from fluidrelu_cli.report.evidence import Picture, Report, Section
from fluidrelu_cli.study import Study

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
# Without a sandbox, for CI may be root; the others keep it from calling home.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, make_study: Callable[..., Study]) -> Path:
    """The page of a study with wide tables: many activations, seeds missing, a long name."""
    names = ("relu", "fluid", "fluid-coth", "leaky-relu", "my_package.activations:AnActivationWithAVeryLongName")
    folder = tmp_path_factory.mktemp("page")
    study = make_study(folder, {name: [(0.5, 0.97), (0.6, 0.98), (0.7, 0.975)] for name in names})
    study.files("leaky-relu-seed1").csv.unlink()
    return next(path for path in Report(study).write() if path.suffix == ".html")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium (name one with CHROMIUM=)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


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
    background = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 24, 27)"}[scheme]
    context.close()


def test_page_can_be_printed(report: Path, browser: Browser) -> None:
    opened = browser.new_page()
    opened.goto(report.as_uri())
    assert opened.pdf(format="A4").startswith(b"%PDF")
    opened.emulate_media(media="print", color_scheme="dark")
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    opened.close()


def test_page_answers_first_and_needs_nothing_else(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    assert "<h1>Is FluidReLU better than ReLU?</h1>" in text
    assert text.index("3 seeds cannot tell FluidReLU from ReLU") < text.index("<table")
    for part in ("Protocol", "Provenance", "Figures", "Table 2: best and worst accuracy of three runs"):
        assert f"<h2>{part}</h2>" in text
    assert "leaky-relu against relu: without relu 1)" in text
    assert "The learned functions of" not in text  # all that learns is built in
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)


def test_page_shows_names_as_they_are() -> None:
    """A user's activation may be called as if it were HTML."""
    section = Section("summary", "<b>", None, (["<i>"], [["<script>alert(1)</script>"]]), ("<u>",))  # type: ignore[arg-type]
    text = page.render(
        question="<q>",
        answer="<a> 5 %",
        sections=[section],
        pictures=[Picture("figure", '"<p>', {"svg": b"<svg/>"})],
        protocol={"dataset": "<d>", "model": "m", "epochs": 1, "batch_size": 2, "lr": 0.1, "test_images": None},
        conditions={"<c>": {"<v>": 1, "w": 2}},
        notes=["<n>"],
    )
    assert not re.search(r"<(b|i|script|u|q|a|d|c|v|n)>", text)
    assert "&lt;script&gt;" in text
    assert "&lt;v&gt; (1 run);" in text
    assert "w (2 runs)" in text
    assert "1 epoch at batch size 2" in re.sub(r"\s+", " ", text)
    assert "test images" not in text
