"""Small real runs, made once for all tests: the first images of the bundled MNIST, no network."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import coverage
import hypothesis
import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# What is printed must not depend on where the tests run (GITHUB_ACTIONS makes typer colour its messages), and no test
# may touch the user's cache.
for name in ("CLICOLOR_FORCE", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "TTY_COMPATIBLE"):
    os.environ.pop(name, None)
os.environ["COLUMNS"] = "80"
# Trials have one thread each; torch's threads wait for each other by spinning, which takes a busy machine minutes.
os.environ["OMP_NUM_THREADS"] = "1"
# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")
# Nor are the processes that tests start measured: what they run is run here, too, and they would take a half longer.
if "PYTEST_XDIST_WORKER" in os.environ:  # pytest starts such ones itself, and these are measured
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
else:  # these share a cache with the process that starts them: unpacking data and looking for fonts takes seconds
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="fluidrelu-tests-")
    atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
CACHE = Path(os.environ["XDG_CACHE_HOME"])


CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
# Without a sandbox, because CI may be root; the others keep it from calling home.
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The cache's folder, with the bundled MNIST in it: where all processes look that are not told another."""
    from fluidrelu_cli.data.catalogue import default_data_dir
    from fluidrelu_cli.data.load import load

    load("mnist", default_data_dir())
    return default_data_dir()


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in float64 but for the logits: rounding then never moves a value over a kink, or another one to the top of
    a pool, and two ways of computing the same differ by the logits' rounding alone.
    """
    from fluidrelu_cli.networks.build import Network, build_model
    from fluidrelu_cli.training.preprocessing import Scaling

    scaled = Scaling.__call__

    def doubled(*arguments: Any) -> Network:
        network = build_model(*arguments)
        network.module.double()
        return network

    monkeypatch.setattr("fluidrelu_cli.training.ensemble.build_model", doubled)
    monkeypatch.setattr(Scaling, "__call__", lambda self, images: scaled(self, images).double())


@pytest.fixture
def drawn() -> None:
    """Draw the figures of a report that the command line makes: they are most of the time that it takes."""


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.path.parent.name == "cli" and "drawn" not in request.fixturenames:
        monkeypatch.setattr("fluidrelu_cli.report.compose._draw", lambda picture, _: f"no {picture.name}")


@pytest.fixture
def small(data_dir: Path) -> tuple[object, ...]:
    """Options of a trial that takes a moment."""
    from command_line import SMALL

    return (*SMALL, "--data-dir", data_dir, "--device", "cpu")


@pytest.fixture(scope="session")
def undisturbed(data_dir: Path) -> Path:
    """The runs folder of an undisturbed `repeat -n 2`, made once for all of pytest's processes."""
    from command_line import SMALL, fluidrelu

    results = CACHE / "undisturbed"
    with FileLock(f"{results}.lock"):
        if not results.exists():
            fluidrelu("repeat", "-n", 2, *SMALL, "--data-dir", data_dir, "--device", "cpu", "--results", results)
    return results / "local" / "runs"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium; tests of pages are skipped where there is none."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium (name one with CHROMIUM=)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield launched
        launched.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Measure no coverage of slow tests: that takes a third of their time, and others cover the same lines."""
    measured = coverage.Coverage.current() if item.get_closest_marker("slow") else None
    if measured is not None:
        measured.stop()
    try:
        return (yield)
    finally:
        if measured is not None:
            measured.start()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run slow files first, so that no process is left alone with one of them in the end."""
    files = Counter(item.path for item in items)
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: slow[item.path] / files[item.path], reverse=True)
