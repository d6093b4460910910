"""The data sets that have a name: what they are and where their files lie. Needs neither torch nor torchvision.

A named data set is kept as one npz file (see :mod:`fluidrelu_cli.data.dataset`), `NAME.npz` in the data folder.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from fluidrelu_cli.errors import UsageError


@dataclass(frozen=True)
class Named:
    """A data set that has a name."""

    name: str
    title: str
    torchvision: str
    """Its class in torchvision.datasets."""
    images: tuple[int, int]
    """How many to train with and to test on."""
    shape: tuple[int, int, int]
    """(C, H, W)."""
    classes: int
    sha256: str | None = None
    """The digest of its images and labels (Dataset.sha256), where it could be computed."""
    bundled: bool = False
    """Whether its archives come with the package."""


_NAMED = (
    Named(
        *("mnist", "MNIST", "MNIST", (60_000, 10_000), (1, 28, 28), 10),
        sha256="1e35582d42a90940c55b956deb61875c020b567ed20e3c5b174f52bf7809ed9b",
        bundled=True,
    ),
    Named(
        *("fashion-mnist", "Fashion-MNIST", "FashionMNIST", (60_000, 10_000), (1, 28, 28), 10),
        sha256="ece172613115fb18b120bec8f6c02271af90b8b8f0a5af5c51cbd5ceed68e619",
    ),
    Named("kmnist", "Kuzushiji-MNIST", "KMNIST", (60_000, 10_000), (1, 28, 28), 10),
    Named(
        *("cifar10", "CIFAR-10", "CIFAR10", (50_000, 10_000), (3, 32, 32), 10),
        sha256="9048fcbac9c08a64d57a7c5a5a66750a974ad4eab380914df129f7e223d823df",
    ),
    Named("cifar100", "CIFAR-100", "CIFAR100", (50_000, 10_000), (3, 32, 32), 100),
    Named("svhn", "SVHN", "SVHN", (73_257, 26_032), (3, 32, 32), 10),
)

CATALOGUE = {named.name: named for named in _NAMED}
"""The data sets by name."""


def canonical(name: str) -> str:
    """A data set's name as studies record it: a known one's, or an npz file's path; UsageError if it is neither."""
    if Path(name).suffix.lower() == ".npz":
        return _expand(name, "data set").as_posix()
    return find(name).name


def _expand(path: str | Path, kind: str) -> Path:
    """A path without its ~; UsageError, which calls it by its kind, if nothing can have that path."""
    try:
        expanded = Path(path).expanduser()
        expanded.stat()
    except (RuntimeError, ValueError) as error:  # there is no such user, or it has a NUL character
        reason = str(error)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:  # anything else is reported when it is read
            return expanded
        reason = str(error.strerror)
    else:
        return expanded
    raise UsageError(f"There can be no {kind} {str(path)!r} ({reason.rstrip('.')}). Name another.")


def find(name: str) -> Named:
    """Find the data set called ``name``, in any case; UsageError if there is none."""
    if name.lower() not in CATALOGUE:
        near = difflib.get_close_matches(name.lower(), CATALOGUE, n=1)
        raise UsageError(
            f"There is no data set '{name}'.{f' Did you mean {near[0]}?' if near else ''} Name one of"
            f" {', '.join(CATALOGUE)}, or an .npz file of your own."
        )
    return CATALOGUE[name.lower()]


def path_of(named: Named, data_dir: Path) -> Path:
    """Where a named data set is kept."""
    return data_dir / f"{named.name}.npz"


def default_data_dir() -> Path:
    """Where data sets are kept between runs: `fluidrelu` in the user's cache folder."""
    return platformdirs.user_cache_path("fluidrelu", appauthor=False)


def choose_data_dir(requested: Path | None) -> Path:
    """The folder that was asked for, or the default one; UsageError if it cannot be a folder."""
    if requested is None:
        return default_data_dir()
    folder = _expand(requested, "data folder")
    with contextlib.suppress(OSError):  # reported when it is read
        if folder.is_file():
            raise UsageError(
                f"--data-dir {requested} is a file: name the folder that holds data sets, or leave it out."
            )
    return folder
