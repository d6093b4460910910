"""Small real runs, made once for all tests: the first images of the bundled MNIST, no network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# CSVs must not depend on the machine's settings, and no test may touch the user's cache.
os.environ.pop("FORCE_COLOR", None)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the bundled MNIST unpacked."""
    from fluidrelu_cli import datasets

    folder = tmp_path_factory.mktemp("data")
    datasets.load("mnist", folder)
    return folder
