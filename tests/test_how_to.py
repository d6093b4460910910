"""The how-to pages, as a stranger follows them: in an empty folder, most with the package installed from its wheel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import nbclient
import nbformat
import pandas as pd
import pytest

from fluidrelu_cli import read_study

ROOT = Path(__file__).parents[1]
HOW_TO = ROOT / "docs" / "how-to"
PAGES = [HOW_TO / f"{name}.md" for name in ("activation", "data", "network")]


def find_blocks(page: Path) -> list[tuple[str, str]]:
    """A page's blocks of code, each with its language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```(python|sh)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of an environment of its own with the wheel, and nothing of the checkout, in it.

    Its dependencies are borrowed from this one, for torch alone would take minutes.
    """
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([*pip, *build], check=True, capture_output=True)
    venv.create(folder / "venv", symlinks=True)
    [wheel] = folder.glob("*.whl")
    install = ["--python", str(folder / "venv" / "bin" / "python"), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([*pip, *install], check=True, capture_output=True)
    [packages] = (folder / "venv" / "lib").glob("python*/site-packages")
    # A path is added, but what .pth files of that path would add is not: the checkout, which is installed editable.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTHON"))}
    return {**kept, "PATH": f"{folder / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_do_what_it_says(page: Path, environment: dict[str, str], tmp_path: Path) -> None:
    blocks = find_blocks(page)
    for kind, block in blocks:
        if kind == "python":
            (tmp_path / block.splitlines()[0].removeprefix("# ")).write_text(block, encoding="utf-8")
    script = "\n".join(["set -e", *(block for kind, block in blocks if kind == "sh")])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    studies = [path.parent for path in (tmp_path / "results").rglob("study.json")]
    assert {str(study.relative_to(tmp_path / "results")) for study in studies} == set(
        re.findall(r"--study (\S+)", script)
    )
    for study in studies:
        finals = [pd.read_csv(csv)["test_accuracy"].iloc[-1] for csv in study.glob("runs/*-seed?.csv")]
        assert max(finals) > 0.3  # a guess is right a quarter of the time, or a tenth


@pytest.mark.slow
def test_the_package_is_not_the_checkout(environment: dict[str, str], tmp_path: Path) -> None:
    command = ["python", "-c", "import fluidrelu_cli; print(fluidrelu_cli.__file__)"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert not Path(done.stdout.strip()).is_relative_to(ROOT)


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The blocks of the page on Python. Processes that are started now find this checkout, and no data."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    blocks = find_blocks(HOW_TO / "python.md")
    assert {kind for kind, _ in blocks} == {"python"}
    return [block for _, block in blocks]


def check_comparison(folder: Path, printed: str) -> None:
    """The page was followed to its end."""
    result = read_study(folder / "results" / "cubic")
    assert [run.trial.seed for run in result.runs] == 2 * [0, 1, 2, 3]
    for part in (result.question, result.answer, "mean_difference", "relu-seed3"):
        assert part in printed
    assert (folder / "differences.pdf").read_bytes().startswith(b"%PDF")
    assert result.question in (folder / "cubic.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_on_python_as_a_script(cells: list[str], tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("\n".join(cells), encoding="utf-8")
    done = subprocess.run([sys.executable, "-W", "error", "script.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    check_comparison(tmp_path, done.stdout)
    lines = done.stderr.splitlines()
    assert [line[:4] for line in lines] == ["1/6 ", "2/6 ", "3/6 ", "4/6 ", "5/6 ", "6/6 ", "1/2 ", "2/2 "]


@pytest.mark.slow
def test_the_page_on_python_as_a_notebook(cells: list[str], tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=300).execute()
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    check_comparison(tmp_path, "".join(output.text for output in outputs if output.get("name") == "stdout"))
    shown = [output.data["text/plain"] for output in outputs if output.output_type == "display_data"]
    assert sum("/6 " in text for text in shown) == 6, shown
    assert [output for output in outputs if output.get("name") == "stderr"] == []  # no warning that widgets are missing
