"""The documents say what is: commands that exist, code that runs, links that lead somewhere, numbers of committed runs.

That generated text is what would be generated now, `cog --check` holds in `make lint`.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import drawings
import findings
import matplotlib as mpl
import numpy as np
import pytest
import readings
import torch
import typer.main
from command_line import fluidrelu, words
from factories import make_study

from fluidrelu_cli.analysis.by_epoch import BY_EPOCH_COLUMNS, SPREAD_COLUMNS
from fluidrelu_cli.analysis.images import IMAGE_COLUMNS
from fluidrelu_cli.analysis.inference import COMPARISON_COLUMNS
from fluidrelu_cli.analysis.regression import REGRESSION_COLUMNS
from fluidrelu_cli.cli.app import app
from fluidrelu_cli.data.load import load_dataset
from fluidrelu_cli.networks.named import ACTIVATIONS, resolve
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.run import PARAMETER_COLUMNS, RUN_COLUMNS, Provenance
from fluidrelu_cli.seeding import generator
from fluidrelu_cli.training.loop import Training

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(path for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md") for path in ROOT.glob(pattern))
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in DOCUMENTS}
README, FILES, MAKEFILE = TEXTS["README.md"], TEXTS["docs/files.md"], (ROOT / "Makefile").read_text(encoding="utf-8")


def find_commands(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every command by its name, with that of the group it is in: ``data fetch``."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from find_commands(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


COMMANDS = dict(find_commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_stands_in_the_reference(name: str) -> None:
    section = TEXTS["docs/cli.md"].partition(f"## `fluidrelu {name}`")[2].partition("\n##")[0]
    for parameter in COMMANDS[name].params:
        for option in (opt for opt in parameter.opts if opt.startswith("-")):
            assert re.search(rf"`([^`]* )?{option}\b[^`]*`: {re.escape(parameter.help)}", section), "make docs"


def find_code(text: str) -> Iterator[str]:
    """Every line of code for a shell in a document, and what stands between backticks."""
    text = text.replace("\\\n", "")
    for block in re.findall(r"^```(?:sh|console)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        yield from block.splitlines()
    yield from re.findall(r"^ {4}(.*)", text, flags=re.MULTILINE)
    yield from re.findall(r"`([^`\n]+)`", text)


@pytest.mark.parametrize("document", sorted(TEXTS.keys() - {"CHANGELOG.md", "docs/cli.md"}))
def test_every_command_in_a_document_is_one_and_has_its_options(document: str) -> None:
    for line in find_code(TEXTS[document]):
        for command, rest in re.findall(r"(?:^|\$ |do )fluidrelu (data \w+|[a-z]+)\b([^#;]*)", line):
            assert command in COMMANDS, line
            known = {option for parameter in COMMANDS[command].params for option in (*parameter.opts, "-h", "--help")}
            assert set(re.findall(r"(?<= )--?[a-z][a-z-]*", rest)) <= known, line


DERIVED_COLUMNS = dict.fromkeys(
    (*COMPARISON_COLUMNS, *REGRESSION_COLUMNS, *BY_EPOCH_COLUMNS, *IMAGE_COLUMNS, *SPREAD_COLUMNS)
)


@pytest.mark.parametrize(
    "name", [*RUN_COLUMNS, *PARAMETER_COLUMNS, *(field.name for field in fields(Provenance)), *DERIVED_COLUMNS]
)
def test_every_column_and_field_stands_in_the_page_of_files(name: str) -> None:
    assert re.search(rf"^\|[^|]*`{name}`[^|]*\|", FILES, flags=re.MULTILINE)


def find_anchors(text: str) -> set[str]:
    """The anchors that GitHub gives a document's headings."""
    headings = re.findall(r"^#+ (.*)", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", TEXTS)
def test_every_link_leads_to_a_file_and_a_heading(document: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", TEXTS[document]):
        if "://" in target:
            continue
        path = ((ROOT / document).parent / target).resolve() if target else ROOT / document
        assert path.exists(), target
        assert not anchor or anchor in find_anchors(path.read_text(encoding="utf-8")), f"{target}#{anchor}"


def test_documents_show_every_figure_and_no_others() -> None:
    shown = {path for text in TEXTS.values() for path in re.findall(r"figures/([\w-]+\.\w+)\)", text)}
    assert shown == {path.name for path in (ROOT / "docs" / "figures").iterdir()}
    assert shown == {f"{name}.svg" for name in drawings.FIGURES}


def read_svg(svg: str) -> tuple[str, list[str], list[float]]:
    """What made a figure, the texts in it, and the numbers that its lines are drawn by."""
    [version] = re.findall(r"<dc:title>(.*?)</dc:title>", svg)
    paths = " ".join(re.findall(r' (?:d|x|y|width|height|transform)="(.*?)"', svg, flags=re.DOTALL))
    return version, re.findall(r"<!-- (.*?) -->", svg), [float(number) for number in re.findall(r"-?\d+\.?\d*", paths)]


@pytest.mark.parametrize("name", drawings.FIGURES)
def test_figures_are_those_of_the_committed_runs(name: str) -> None:
    committed = read_svg((ROOT / "docs" / "figures" / f"{name}.svg").read_text(encoding="utf-8"))
    drawn = read_svg(drawings.draw(name).decode())
    assert drawn[1] == committed[1], "make docs"
    assert len(drawn[1]) > 5
    if mpl.__version__ in committed[0]:  # another release lays figures out a little differently
        assert np.allclose(drawn[2], committed[2], atol=0.01), "make docs"


def test_everything_generated_is_checked() -> None:
    [checked] = re.findall(r"^GENERATED := (.*)", MAKEFILE, flags=re.MULTILINE)
    assert set(checked.split()) == {document for document, text in TEXTS.items() if "[[[cog" in text}


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.slow
def test_the_readme_shows_real_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [block] = re.findall(r"```console\n\$ fluidrelu (.*?)\n(.*?)```", README, flags=re.DOTALL)
    shutil.copytree(findings.RESULTS / findings.SWISH, tmp_path / "results" / "first")
    monkeypatch.chdir(tmp_path)
    printed = words(fluidrelu(*block[0].split()))
    parts = [words(part) for part in block[1].split("…")]
    assert sum(map(bool, parts)) == 2
    own = next(block for block in re.findall(r"```python\n# mine.py\n(.*?)```", README, flags=re.DOTALL))
    assert own.encode() in [path.read_bytes() for path in (tmp_path / "results" / "first" / "sources").iterdir()]
    for part in filter(None, parts):
        assert part in printed
        printed = printed.partition(part)[2]


@pytest.mark.parametrize(
    ("document", "printed"), [pytest.param("README.md", 1, marks=pytest.mark.slow), ("docs/files.md", 3)]
)
def test_python_in_a_document_runs(document: str, printed: int) -> None:
    blocks = re.findall(r"```python\n(.*?)```", TEXTS[document], flags=re.DOTALL)
    assert sum("print(" in block for block in blocks) == printed
    script = [sys.executable, "-W", "error", "-c", "\n".join(blocks)]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) >= printed
    if document == "README.md":
        assert done.stdout.strip() == findings.report(findings.FASHION).answer


def test_no_number_of_the_findings_is_typed() -> None:
    """What is measured stands in the templates as an expression; only the protocols' own numbers are written out."""
    for template in (ROOT / "docs").glob("*.j2"):
        text = re.sub(r"\{[{%#].*?[#%}]\}", "", template.read_text(encoding="utf-8"), flags=re.DOTALL)
        prose = re.sub(r"^ {4}.*$|arXiv [\d.]+", "", text, flags=re.MULTILINE)  # without commands and references
        assert re.findall(r"\d*\.\d+|\d+ %", prose) == ["95 %"] * prose.count("95 %"), template.name


@pytest.mark.parametrize("study", findings.STUDIES)
def test_every_run_that_was_asked_for_is_there(study: str) -> None:
    evidence = findings.evidence(study)
    assert evidence.notes == []
    assert (evidence.summary["n"] == evidence.summary["asked"]).all()


def test_the_committed_runs_start_as_runs_start_today(data_dir: Path) -> None:
    """The weights and the first order of the data of seed 0; training itself depends on the processor."""
    [run] = [run for run in findings.evidence("paper").runs if run.trial == Trial(Protocol(), "fluid", 0)]
    dataset = load_dataset(Protocol(), data_dir)
    [digests] = Training(resolve("fluid"), [run.trial], dataset, torch.device("cpu")).digests()
    assert run.provenance.initial_weights_sha256 == digests["initial_weights_sha256"]
    assert run.provenance.data_sha256 == dataset.sha256
    order, digest = generator(0, "data order"), hashlib.sha256()
    for _ in range(Protocol.epochs):
        digest.update(torch.randperm(60_000, generator=order).numpy().data)
    assert run.provenance.data_order_sha256 == digest.hexdigest()


def test_the_default_protocol_is_the_calibrated_one_and_that_of_the_committed_study() -> None:
    table = findings.calibrate()
    assert table["n"].min() >= 6
    assert set(table["batch_size"]) == {10, 20, 50, 100}
    [chosen] = table[table["chosen"]].to_dict("records")
    assert (Protocol.batch_size, Protocol.epochs) == (chosen["batch_size"], chosen["epochs"])
    paper = findings.evidence("paper")
    assert paper.protocol == Protocol()
    assert f"{paper.summary['mean'][0]:.5f}, that of\nall ten {chosen['mean']:.5f}" in TEXTS["docs/paper.md"]


def test_the_readings_of_the_lost_formula_by_hand() -> None:
    """At v = -1 and k = 1, where gamma = -1/2; and the least value of those that have a minimum."""
    shown = {
        "fluid": (-2 / 3, None),
        "fluid-exp": (-math.exp(-1 / 2), (-2 / math.e, -2)),
        "fluid-coth": (-(3 - (math.e + 1) / (math.e - 1)), None),
        "fluid-critical": (-1, None),
        "doubly asymptotic": (-5 / 6, (-3 / 2, -3)),
        "from tanh": (-2 / (math.e + 1), (-0.55693, -1.27846)),  # where exp(v) = -1 - v
        "fluid-third": (-6 / 7, None),
    }
    assert [reading.name.strip("`") for reading in readings.READINGS] == list(shown)
    assert [name for name in shown if name in ACTIVATIONS] == [
        name for name in ACTIVATIONS if "fluid" in name and name != "fluid-fixed"
    ]
    for reading, (value, lowest) in zip(readings.READINGS, shown.values(), strict=True):
        _, at_minus_one, slope, _, smallest_a, largest_a, rises, _ = reading.cells()
        assert float(at_minus_one.replace("−", "-")) == pytest.approx(value, abs=0.0005)
        assert (slope, smallest_a, largest_a) == ("1.000", "ReLU", "identity")
        numbers = [float(number.replace("−", "-")) for number in re.findall(r"−[\d.]+", rises)]
        assert numbers == pytest.approx(lowest or (), abs=0.001)
        assert reading.curve([0.5, 3.0], 1.0).tolist() == [0.5, 3.0]
    tails = [reading.cells()[3] for reading in readings.READINGS]
    assert tails == ["−2.000", "0.000", "−2.000", "−2.000", "0.000", "0.000", "−6.000"]
    assert readings._limit(np.array([-0.5]), np.array([-1.0])) == "neither"


def test_cifar10_was_trained_at_the_rate_that_the_rule_chooses() -> None:
    rate, tried = findings.chosen_rate()
    assert findings.evidence(findings.CIFAR10).protocol.lr == float(rate)
    assert len(tried) == 4


@pytest.mark.slow
def test_the_changes_in_contributing_apply_and_show(tmp_path: Path) -> None:
    """A protocol field, a table and a figure, each added as the page says."""
    shutil.copytree(ROOT / "fluidrelu_cli", tmp_path / "fluidrelu_cli", ignore=shutil.ignore_patterns("__pycache__"))
    for diff in re.findall(r"```diff\n(.*?)```", TEXTS["CONTRIBUTING.md"], flags=re.DOTALL):
        subprocess.run(["git", "apply", "-"], input=diff, cwd=tmp_path, text=True, check=True)
    make_study(tmp_path / "results" / "local", {"relu": [(0.5,), (0.75,)], "fluid": [(0.5,), (0.5,)]})
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "fluidrelu_cli", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout

    assert "--label-smoothing" in run("train", "-h")
    assert "Seeds, the hardest first" in words(run("report"))
    report = tmp_path / "results" / "local" / "report"
    assert '<th scope="row">label smoothing</th><td>0.0</td>' in (report / "report.html").read_text(encoding="utf-8")
    assert (report / "figures" / "histogram.svg").exists()
