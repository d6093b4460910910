"""The figures that documents show, drawn anew from the committed runs: `make docs`."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import findings
from findings import CIFAR10, DOCS, FASHION, MAIN, SWISH

from fluidrelu_cli.files import write_whole
from fluidrelu_cli.report import plots
from fluidrelu_cli.report.compose import illustrate
from fluidrelu_cli.report.page import render_page

FIGURES = {
    **{
        name: (MAIN, name)
        for name in (
            "forest",
            "differences",
            "growth",
            "accuracies",
            "best-of-three",
            "functions-fluid",
            "learned-fluid",
        )
    },
    "learning-rate": ("learning-rate", "accuracies"),
    "learning-curves-longer": ("longer", "learning-curves"),
    **{
        f"{name}-{study}": (study, name)
        for study, name in (
            *((FASHION, "differences"), (CIFAR10, "differences")),
            *((CIFAR10, "learning-curves"), (CIFAR10, "learning-differences")),
        )
    },
}
"""By the file's name, which study's report has the figure, and under what name."""


def draw(name: str) -> bytes:
    """The figure of this name, as SVG."""
    with plots.style():
        study, picture = FIGURES[name]
        figure = {each.name: each for each in findings.report(study).pictures}[picture].draw()
        return plots.render(figure, ("svg",))["svg"]


def photograph_page() -> None:
    """The README's picture of a report's page; the one there stays where no Chromium can make another."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "report.html")
        page.write_text(render_page(illustrate(findings.report(SWISH), ("svg",))), encoding="utf-8")
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=860,1180")
        command = [chromium, *options, f"--screenshot={DOCS / 'page.png'}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    for name in FIGURES:
        write_whole(DOCS / "figures" / f"{name}.svg", draw(name))
    photograph_page()
