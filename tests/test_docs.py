"""The documents say what is: commands and options, code that runs, and numbers that stand in committed CSVs."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import findings
import pandas as pd
import pytest
import torch
import typer.main
from scipy import stats

from fluidrelu_cli.analysis.calibration import Calibration
from fluidrelu_cli.analysis.published import PAPER_PAIR
from fluidrelu_cli.cli import app as cli
from fluidrelu_cli.data.load import load_dataset
from fluidrelu_cli.networks.activations import ParametricActivation
from fluidrelu_cli.networks.named import ACTIVATIONS, resolve
from fluidrelu_cli.protocol import Protocol, Trial
from fluidrelu_cli.report.evidence import Report
from fluidrelu_cli.report.tables import calibration_cells, markdown
from fluidrelu_cli.run import PARAMETER_COLUMNS, RUN_COLUMNS, read_json
from fluidrelu_cli.seeding import generator
from fluidrelu_cli.study import load_study
from fluidrelu_cli.training.loop import Training

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAPER = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
CALIBRATED = ("batch-10", "batch-20", "batch-50", "batch-100")


def options() -> list[tuple[str, str, str]]:
    """Every command with each of its options and that one's help, which names the default."""
    return [
        (name, option, parameter.help)
        for name, command in commands(typer.main.get_command(cli.app))
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("-")
    ]


def commands(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every command by its name, with that of the group it is in: ``data fetch``."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


@pytest.mark.parametrize(("command", "option", "text"), options())
def test_every_option_stands_in_the_reference(command: str, option: str, text: str) -> None:
    section = REFERENCE.partition(f"## `fluidrelu {command}`")[2].partition("\n##")[0]
    assert re.search(rf"`{option}\b[^`]*`: {re.escape(text)}", section), "make reference"


def test_every_command_in_the_readme_is_one() -> None:
    known = {name for name, _ in commands(typer.main.get_command(cli.app))}
    used = set(re.findall(r"^(?:\s*)fluidrelu (data \w+|\w+)", README, flags=re.MULTILINE))
    assert used
    assert used <= known


def test_every_column_stands_in_the_readme() -> None:
    for column in (*RUN_COLUMNS, *PARAMETER_COLUMNS):
        assert f"`{column}`" in README


def test_every_link_leads_to_a_file() -> None:
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.name}: {target}"


def code_blocks() -> str:
    """README's Python blocks but the one for a file of the reader's own."""
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    return "\n".join(block for block in blocks if not block.startswith("# mine.py"))


def test_the_readme_s_python_runs() -> None:
    script = f"import sys; sys.path.insert(0, '.')\n{code_blocks()}"
    finished = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "FluidReLU(num_parameters=16, init=0.0) torch.Size([16])" in finished.stdout


def test_the_readme_s_own_activation_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [module] = re.findall(r"```python\n(# mine.py\n.*?)```", README, flags=re.DOTALL)
    name = "readme_example"
    (tmp_path / f"{name}.py").write_text(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    made = resolve(f"{name}:Soft").make(16)
    assert isinstance(made, ParametricActivation)
    assert made.a.shape == (16,)


@pytest.mark.parametrize("study", findings.STUDIES)
def test_the_committed_tables_are_those_of_the_committed_runs(study: str) -> None:
    report = findings.report(study)
    assert not report.read_notes
    for section in report.sections:
        stem = ROOT / "results" / study / section.name
        committed = pd.read_csv(stem.with_suffix(".csv"), keep_default_na=False, na_values=["nan"])
        expected = section.table.replace("", None) if "left_out" not in section.table else section.table
        pd.testing.assert_frame_equal(committed, expected, check_dtype=False, rtol=1e-12)
        assert stem.with_suffix(".md").read_text(encoding="utf-8") == markdown(*section.cells)
    page = (ROOT / "results" / study / "report.html").read_text(encoding="utf-8")
    assert f"<h1>{report.question}</h1>" in page
    assert (report.summary["n"] == report.summary["asked"]).all()


def test_findings_and_readme_say_what_the_committed_runs_say() -> None:
    assert (ROOT / "docs" / "findings.md").read_text(encoding="utf-8") == findings.findings()
    assert findings.readme(README) == README


def test_cifar10_was_trained_at_the_rate_that_the_rule_chooses() -> None:
    rate, tried = findings.chosen_rate()
    assert findings.report(findings.CIFAR10).study.protocol.lr == float(rate)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"CIFAR10_RATE := {rate}\n" in makefile
    assert f"CIFAR10_RATES := {' '.join(made['rate'] for made in tried)}\n" in makefile


def test_no_number_of_the_findings_is_typed() -> None:
    """What is measured stands in the templates as an expression; only the protocols' own numbers are written out."""
    for template in (ROOT / "docs").glob("*.j2"):
        text = re.sub(r"\{[{%#].*?[#%}]\}", "", template.read_text(encoding="utf-8"), flags=re.DOTALL)
        prose = re.sub(r"^ {4}.*$", "", text, flags=re.MULTILINE)  # without the commands
        assert re.findall(r"\d*\.\d+|\d+ %", prose) == ["95 %"] * prose.count("95 %"), template.name


def test_the_main_findings_by_pandas_and_scipy_alone() -> None:
    """The headline's numbers once more, without any of the package's statistics."""
    folder = ROOT / "results" / findings.MAIN / "runs"
    runs = [pd.read_csv(path).iloc[-1] for path in folder.glob("*seed*.csv") if "parameters" not in path.name]
    by_seed = pd.DataFrame(runs).pivot(index="seed", columns="activation", values="test_accuracy")
    assert by_seed.count().to_dict() == {name: 60 if name in PAPER_PAIR else 20 for name in ACTIVATIONS}
    differences = by_seed["fluid"] - by_seed["relu"]
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    sign = {True: "higher", False: "lower"}[bool(differences.mean() > 0)]
    headline = (
        f"mean accuracy is {abs(differences.mean()):.5f} {sign}"
        f" (95 % interval {interval.low:+.5f} to {interval.high:+.5f};"
    ).replace("-", "−")
    assert headline in README
    assert headline in (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    for name in ACTIVATIONS:
        assert f"| {name} | {by_seed[name].count()}/" in (folder.parent / "summary.md").read_text(encoding="utf-8")
        assert f"{by_seed[name].mean():.5f} ± " in (folder.parent / "summary.md").read_text(encoding="utf-8")


def test_the_committed_runs_start_as_runs_start_today(data_dir: Path) -> None:
    """The weights and the first order of the data of seed 0; training itself depends on the processor."""
    provenance = read_json(ROOT / "results" / "paper" / "runs" / "fluid-seed0.json")
    dataset = load_dataset(Protocol(), data_dir)
    [digests] = Training([Trial(Protocol(), "fluid", 0)], dataset, torch.device("cpu")).digests()
    assert provenance["initial_weights_sha256"] == digests["initial_weights_sha256"]
    assert provenance["data_sha256"] == dataset.sha256
    order, digest = generator(0, "data order"), hashlib.sha256()
    for _ in range(Protocol.epochs):
        digest.update(torch.randperm(60_000, generator=order).numpy().data)
    assert provenance["data_order_sha256"] == digest.hexdigest()


def test_the_default_protocol_is_the_calibrated_one_and_that_of_the_committed_study() -> None:
    folder = ROOT / "results" / "calibration"
    calibration = Calibration([load_study(folder / name) for name in CALIBRATED])
    assert not calibration.notes
    assert calibration.table["n"].min() >= 6
    assert set(calibration.table["batch_size"]) == {10, 20, 50, 100}
    [chosen] = calibration.table[calibration.table["chosen"]].to_dict("records")
    assert (Protocol.batch_size, Protocol.epochs) == (chosen["batch_size"], chosen["epochs"])
    assert load_study(ROOT / "results" / "paper").protocol == Protocol()
    committed = pd.read_csv(folder / "calibration.csv")
    pd.testing.assert_frame_equal(committed, calibration.table, check_dtype=False, rtol=1e-12)
    table = markdown(*calibration_cells(calibration.table))
    assert (folder / "calibration.md").read_text(encoding="utf-8") == table
    assert table in PAPER
    assert f"{chosen['mean']:.5f}" in PAPER  # of all ten, beside the three of results/paper
    assert f"{Report(load_study(ROOT / 'results' / 'paper')).summary['mean'][0]:.5f}" in PAPER
