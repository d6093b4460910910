"""The commands `fluidrelu data ...`, and what any command shows while it gets the data that it needs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import typer

from fluidrelu_cli.cli.completion import complete_dataset, complete_named_dataset
from fluidrelu_cli.cli.options import DataDirOption, JsonOption
from fluidrelu_cli.cli.terminal import App, open_stderr, say, show, show_json
from fluidrelu_cli.errors import FluidReluError

if TYPE_CHECKING:
    from fluidrelu_cli.data.catalogue import Named
    from fluidrelu_cli.data.downloads import OnBytes
    from fluidrelu_cli.data.store import OnWait

data = App(help="The built-in data sets: list, fetch and verify them.", no_args_is_help=True)


@data.command("list", epilog="Example: fluidrelu data list")
def list_data(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List the built-in data sets, and which are here."""
    from fluidrelu_cli.data.catalogue import CATALOGUE, choose_data_dir, path_of
    from fluidrelu_cli.report.tables import rich_table

    folder = choose_data_dir(data_dir)
    if as_json:
        show_json([_list_fields(named, path_of(named, folder)) for named in CATALOGUE.values()])
        return
    rows = []
    for named in CATALOGUE.values():
        path = path_of(named, folder)
        where = "here" if path.exists() else "comes with the package" if named.bundled else "to be fetched"
        size = f"{path.stat().st_size / 1e6:.0f}" if path.exists() else "–"
        images = f"{named.images[0]:,} + {named.images[1]:,}"
        rows.append([named.name, images, " x ".join(map(str, named.shape)), str(named.classes), size, where])
    head = ["name", "images\n(train + test)", "channels x\nheight x width", "classes", "MB", ""]
    show(rich_table(f"Data sets in {folder}", head, rows, left=(0, 5)))
    show("Or train on your own: --dataset path/to/file.npz, with x_train, y_train, x_test and y_test.")


def _list_fields(named: Named, path: Path) -> dict[str, Any]:
    train_images, test_images = named.images
    return {
        "name": named.name,
        "title": named.title,
        "train_images": train_images,
        "test_images": test_images,
        "shape": named.shape,
        "classes": named.classes,
        "data_sha256": named.sha256,
        "bundled": named.bundled,
        "path": str(path),
        "here": path.exists(),
        "bytes": path.stat().st_size if path.exists() else None,
    }


@data.command("fetch", epilog="Example: fluidrelu data fetch cifar10")
def fetch_data(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="Data sets; `fluidrelu data list` lists them.",
            autocompletion=complete_named_dataset,
        ),
    ],
    data_dir: DataDirOption = None,
) -> None:
    """Download data sets that are not here yet."""
    from fluidrelu_cli.data.catalogue import choose_data_dir, find, path_of
    from fluidrelu_cli.data.downloads import fetch

    folder = choose_data_dir(data_dir)
    for named in [find(name) for name in names]:
        with show_downloads() as callbacks:
            fetch(named, folder, **callbacks)
        show(f"{named.name}: {path_of(named, folder)}")


@data.command("verify", epilog="Example: fluidrelu data verify cifar10 mine.npz")
def verify_data(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME|FILE.npz",
            help="Data sets, or files of your own (left out: all that are here).",
            autocompletion=complete_dataset,
        ),
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Check that data sets are intact, and that files of your own fit; exit code 1 if one is not.

    Shows what is in each: its pixels and classes, and test images that are among the training images.
    """
    from fluidrelu_cli.cli.wording import describe_contents, describe_dataset, pixel_cells
    from fluidrelu_cli.data.catalogue import CATALOGUE, canonical, choose_data_dir, path_of
    from fluidrelu_cli.data.dataset import read_npz
    from fluidrelu_cli.data.store import read_named
    from fluidrelu_cli.report.tables import rich_table

    folder = choose_data_dir(data_dir)
    here = [named.name for named in CATALOGUE.values() if path_of(named, folder).exists()]
    if not (names or here):
        say(f"There is no data set in {folder} yet. `fluidrelu data fetch NAME` gets one.")
    wrong = 0
    for name in [canonical(name) for name in names or here]:
        named = CATALOGUE.get(name)
        try:
            dataset = read_npz(Path(name)) if named is None else read_named(named, folder)
        except FluidReluError as error:
            wrong += 1
            say(f"Error: {error}")
        else:
            show(describe_dataset(name, dataset, known=named is not None and named.sha256 is not None))
            show(rich_table("Pixels", *pixel_cells(dataset)))
            for sentence in describe_contents(dataset):
                show(sentence)
    if wrong:
        raise typer.Exit(1)


class Callbacks(TypedDict):
    """What whoever gets a data set calls meanwhile."""

    on_bytes: OnBytes
    on_wait: OnWait


@contextlib.contextmanager
def show_downloads() -> Iterator[Callbacks]:
    """Show how data arrives, or that another process is getting it, to whoever gets some in this context."""
    from fluidrelu_cli.cli.progress import TransferProgress

    with TransferProgress(open_stderr()) as progress:
        yield {"on_bytes": progress.show, "on_wait": _say_waiting}


def _say_waiting(title: str) -> None:
    say(f"Another fluidrelu is getting {title}. Waiting for it (Ctrl-C stops).")
