"""The figures that documents show, drawn anew from the committed runs: `make docs`."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import findings
from findings import CIFAR10, DOCS, FASHION, MAIN, RATES, SWISH
from matplotlib.figure import Figure

from fluidrelu_cli.files import write_whole
from fluidrelu_cli.report import plots, tables
from fluidrelu_cli.report.compose import illustrate
from fluidrelu_cli.report.page import render_page

FIGURES = {
    **{
        name: (MAIN, name)
        for name in ("forest", "differences", "accuracies", "best-of-three", "functions-fluid", "learned-fluid")
    },
    "learning-curves-longer": ("longer", "learning-curves"),
    **{
        f"{name}-{study}": (study, name)
        for study, name in ((FASHION, "differences"), (CIFAR10, "differences"), (CIFAR10, "learning-curves"))
    },
}
"""By the file's name, which study's report has the figure, and under what name."""

NAMES = (*FIGURES, "learning-rate")
"""Of all files."""


def draw_rates() -> Figure:
    """Accuracy by learning rate, each seed and the mean with its interval."""
    figure = plots.make_figure(0.8, 2.8)
    ax = figure.subplots()
    rates = findings.rates()
    for shift, activation in ((0.97, "relu"), (1.03, "fluid")):  # side by side
        colour = plots.COLOURS[activation]
        places = [float(rate) * shift for rate in RATES]
        for place, rate in zip(places, RATES, strict=True):
            seeds = findings.finals(f"learning-rate/{rate}", activation, activation)["test_accuracy"]
            ax.plot([place] * len(seeds), seeds, "o", color=colour, markersize=3, alpha=0.5, mew=0)
        means = [rate[activation]["mean"] for rate in rates]
        halves = [(rate[activation]["ci_high"] - rate[activation]["ci_low"]) / 2 for rate in rates]
        ax.errorbar(places, means, halves, fmt="D", color=colour, markersize=4, capsize=4)
        ax.plot(places, means, color=colour, label=tables.label(activation))
    ax.set_xscale("log")
    ax.set_xticks([float(rate) for rate in RATES], RATES)
    ax.minorticks_off()
    ax.set(xlabel="learning rate ε", ylabel="test accuracy", title="Each seed, mean and 95 % interval")
    ax.legend()
    return figure


def draw(name: str) -> bytes:
    """The figure of this name, as SVG."""
    with plots.style():
        if name == "learning-rate":
            figure = draw_rates()
        else:
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
    for name in NAMES:
        write_whole(DOCS / "figures" / f"{name}.svg", draw(name))
    photograph_page()
