"""The how-to pages, as a stranger follows them: in one folder, most with the package installed from its wheel."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import nbclient
import nbformat
import pandas as pd
import pytest

from fluidrelu_cli import read_study
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.study_file import TOP

ROOT = Path(__file__).parents[1]
HOW_TO = ROOT / "docs" / "how-to"
README = ROOT / "README.md"
PAGES = [HOW_TO / f"{name}.md" for name in ("question", "activation", "data", "network")]
PROTOCOL_OPTIONS = {f"--{field.name.replace('_', '-')}" for field in fields(Protocol)}
TYPE = """
import runpy, shlex, sys
from fluidrelu_cli.__main__ import main
from fluidrelu_cli.report import compose
compose._draw = lambda picture, _: f"no {picture.name}"  # as other tests of the command line
for line in sys.stdin:
    sys.argv = shlex.split(line, comments=True)
    print("$", line, file=sys.stderr)
    try:
        runpy.run_path(sys.argv[1], run_name="__main__") if sys.argv[0] == "python" else main()
    except SystemExit as end:
        if end.code:
            raise
"""


def find_blocks(page: Path) -> list[tuple[str, str]]:
    """A page's blocks of code, each with its language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```(python|sh|toml)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def find_lines(page: Path) -> list[str]:
    """A page's lines for a shell."""
    return "".join(block for kind, block in find_blocks(page) if kind == "sh").replace("\\\n", "").splitlines()


def find_studies(page: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The studies that a page trains, each with what its protocol is made from."""
    for words in (shlex.split(line, comments=True) for line in find_lines(page)):
        if words[:2] in (["fluidrelu", "train"], ["fluidrelu", "repeat"]):
            options = dict(itertools.pairwise(words))
            yield options.get("--study", "local"), {name: options[name] for name in PROTOCOL_OPTIONS & options.keys()}
    code = "".join(block for kind, block in find_blocks(page) if kind == "python")
    yield from ((study, {"page": page.stem}) for study in set(re.findall(r'compare\(.*study="(.*?)"', code)))


def find_files(page: Path) -> set[str]:
    """The files that a page has its reader write, and those that these write."""
    code = "".join(block for kind, block in find_blocks(page) if kind == "python")
    return {*re.findall(r"^# (\w+\.py)$", code, flags=re.MULTILINE), *re.findall(r'"([\w-]+\.\w+)"', code)}


def test_pages_can_be_followed_in_any_order_in_one_folder() -> None:
    """A study has one protocol and a file one page; what the README's commands name is made by a how-to page."""
    pages = [*PAGES, HOW_TO / "python.md"]
    protocols = dict[str, dict[str, str]]()
    for page in [README, *pages]:
        for study, protocol in find_studies(page):
            assert protocols.setdefault(study, protocol) == protocol, f"{page.name}: {study}"
    files = [name for page in [README, *pages] for name in find_files(page)]
    assert len(files) == len(set(files)), files
    for own in re.findall(r"(\w+):[A-Z]\w*|(\w+\.npz)", "\n".join(find_lines(README))):
        assert (own[1] or f"{own[0]}.py") in files


@pytest.mark.parametrize("key", TOP)
def test_every_key_of_a_study_file_is_explained(key: str) -> None:
    page = (HOW_TO / "question.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| `(\[{key}\]|{key})` \|", page, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of an environment of its own with the wheel, and nothing of the checkout, in it.

    Its dependencies are borrowed from this one, for torch alone would take minutes.
    """
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
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
def test_the_commands_of_the_pages_do_what_they_say(environment: dict[str, str], tmp_path: Path) -> None:
    """The last page first, and after the pages the README's line; in one process, which imports torch once.

    Of what a study file declares, a little is trained, and on few images; no figures are drawn.
    """
    (tmp_path / "studies").mkdir()
    lines = list[str]()
    for page in reversed(PAGES):
        for kind, block in find_blocks(page):
            if kind == "toml":
                block = re.sub(r"^seeds = \d+", "seeds = 1", block, flags=re.MULTILINE).replace(
                    '"fluid", "elu"', '"fluid"'
                )
                block = re.sub(r"^lr = .*, (.*)\]", r"lr = [\1]", block, flags=re.MULTILINE)
            if kind != "sh":
                (tmp_path / block.splitlines()[0].removeprefix("# ")).write_text(block, encoding="utf-8")
        lines.extend(find_lines(page))
    [own] = [line for line in find_lines(README) if ".npz" in line]
    lines.append(own.replace("-n 10", "-n 1 --epochs 3"))
    script = "\n".join(lines).replace("--train-images 2000", "--train-images 1000")
    done = subprocess.run(
        ["python", "-c", TYPE], cwd=tmp_path, env=environment, input=script, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    studies = [path.parent for path in (tmp_path / "results").rglob("study.json")]
    declared = {
        "stripes-rates/lr=0.003",
        "stripes-tuned",
        "stripes-tuned/tuning",
        "stripes-decided",
    }
    assert {str(study.relative_to(tmp_path / "results")) for study in studies} == {
        *re.findall(r"--study (\S+)", script),
        *declared,
    }
    for study in studies:
        finals = [pd.read_csv(csv)["test_accuracy"].iloc[-1] for csv in study.glob("runs/*-seed*[0-9].csv")]
        assert max(finals) > 0.3  # a guess is right a quarter of the time, or a tenth


@pytest.mark.slow
def test_the_command_and_the_package_are_not_the_checkout(environment: dict[str, str], tmp_path: Path) -> None:
    script = 'fluidrelu --version; python -c "import fluidrelu_cli; print(fluidrelu_cli.__file__)"'
    done = subprocess.run(
        ["sh", "-ec", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    version, file = done.stdout.splitlines()
    assert version.startswith("fluidrelu ")
    assert not Path(file).is_relative_to(ROOT)


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
def test_the_page_on_python_as_a_notebook(cells: list[str], tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=300).execute()
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    check_comparison(tmp_path, "".join(output.text for output in outputs if output.get("name") == "stdout"))
    shown = [output.data["text/plain"] for output in outputs if output.output_type == "display_data"]
    assert sum("/6 " in text for text in shown) == 6, shown
    assert [output for output in outputs if output.get("name") == "stderr"] == []  # no warning that widgets are missing
