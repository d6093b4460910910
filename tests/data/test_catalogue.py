"""The named data sets: their names, their folder, and that torchvision has them as the catalogue describes them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torchvision

from fluidrelu_cli.data.catalogue import CATALOGUE, canonical, choose_data_dir, default_data_dir, find, path_of
from fluidrelu_cli.errors import UsageError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mnist", "mnist"),
        ("MNIST", "mnist"),
        ("Fashion-MNIST", "fashion-mnist"),
        ("mnist.npz", "mnist.npz"),
        ("./data//Mine.npz", "data/Mine.npz"),
        ("~/mine.NPZ", "/home/me/mine.NPZ"),
    ],
)
def test_a_data_set_has_one_name(name: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert canonical(name) == expected


@pytest.mark.parametrize(("name", "suggestion"), [("minst", " Did you mean mnist?"), ("", ""), ("mine.npy", "")])
def test_messages(name: str, suggestion: str) -> None:
    for function in (find, canonical):
        with pytest.raises(UsageError) as error:
            function(name)
        assert str(error.value) == (
            f"There is no data set '{name}'.{suggestion} Name one of mnist, fashion-mnist, kmnist, cifar10, cifar100,"
            " svhn, or an .npz file of your own."
        )


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_agrees_with_torchvisions_classes(name: str) -> None:
    named = CATALOGUE[name]
    assert find(name.upper()) is named
    assert path_of(named, Path("data")) == Path("data") / f"{name}.npz"
    assert named.bundled == (name == "mnist")
    classes = getattr(getattr(torchvision.datasets, named.torchvision), "classes", None)
    assert classes is None or len(classes) == named.classes


@pytest.mark.parametrize(("cache", "expected"), [("/elsewhere", "/elsewhere"), ("", "/home/me/.cache")])
def test_data_is_kept_in_the_users_cache(cache: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    assert default_data_dir() == Path(expected) / "fluidrelu"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("~nobody-of-this-name/x.npz", "home directory"),
        ("a" * 300 + "/x.npz", "File name too long"),
        ("é" * 126 + ".npz", "File name too long"),
        ("a/" * 3000 + "x.npz", "File name too long"),
        ("a\0b.npz", "embedded null byte"),
    ],
)
def test_what_no_file_can_be_called_is_refused(path: str, reason: str) -> None:
    with pytest.raises(UsageError, match=r"^There can be no data set '.+' \(.+\)\. Name another\.$") as error:
        canonical(path)
    assert reason in str(error.value)
    with pytest.raises(UsageError, match=r"^There can be no data folder '.+' \(.+\)\. Name another\.$") as error:
        choose_data_dir(Path(path))
    assert "\0" not in str(error.value)


def test_the_data_folder_is_the_one_that_was_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert choose_data_dir(None) == default_data_dir()
    assert choose_data_dir(Path("~/data")) == Path("/home/me/data")
    assert choose_data_dir(Path("data")) == Path("data")


def test_a_data_folder_is_no_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    file.touch()
    with pytest.raises(UsageError, match=r"--data-dir \S+mine.npz is a file: name the folder that holds data sets"):
        choose_data_dir(file)
