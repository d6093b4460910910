"""The how-to pages, as a stranger follows them: in an empty folder, with the package installed from its wheel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs" / "how-to").glob("*.md"))


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


def test_there_is_a_page_for_each() -> None:
    assert [page.stem for page in PAGES] == ["activation", "data", "network"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_do_what_it_says(page: Path, environment: dict[str, str], tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(python|sh)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
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


def test_the_package_is_not_the_checkout(environment: dict[str, str], tmp_path: Path) -> None:
    command = ["python", "-c", "import fluidrelu_cli; print(fluidrelu_cli.__file__)"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert not Path(done.stdout.strip()).is_relative_to(ROOT)
