"""A data set in memory, and the npz file that holds one: what is read, and what a user is told of any other file."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fluidrelu_cli.data.dataset import Dataset, from_arrays, read_npz, write_npz
from fluidrelu_cli.errors import DataError, StorageError, UsageError

Array = np.ndarray[Any, np.dtype[Any]]


def arrays(**changed: Any) -> dict[str, Any]:
    """Eight images to train with and three to test on, 5 x 6 pixels with 3 channels, of 3 classes."""
    generator = np.random.default_rng(0)
    return {
        "x_train": generator.integers(256, size=(8, 5, 6, 3), dtype=np.uint8),
        "y_train": np.array([2, 0, 1, 1, 0, 2, 2, 0]),
        "x_test": generator.integers(256, size=(3, 5, 6, 3), dtype=np.uint8),
        "y_test": np.array([1, 1, 0]),
        **changed,
    }


def grey(images: Array) -> Array:
    """The first channel alone, N x H x W."""
    return images[..., 0]


def dataset(train: int = 20, test: int = 5) -> Dataset:
    """Each image is of one level, its number."""
    levels = np.broadcast_to(np.arange(train + test, dtype=np.uint8)[:, np.newaxis, np.newaxis], (train + test, 4, 4))
    labels = np.arange(train + test) % 5
    parts = {
        "x_train": levels[:train],
        "y_train": labels[:train],
        "x_test": levels[train:],
        "y_test": labels[train:],
    }
    return from_arrays(parts, "here")


# What is read


def test_colour_images_come_channels_first(tmp_path: Path) -> None:
    saved = arrays()
    np.savez(tmp_path / "mine.npz", **saved)
    read = read_npz(tmp_path / "mine.npz")
    assert read.train_images.shape == (8, 3, 5, 6)
    assert read.test_images.shape == (3, 3, 5, 6)
    assert read.train_images[4, 2, 1, 3].item() == saved["x_train"][4, 1, 3, 2]
    assert np.array_equal(read.train_images.permute(0, 2, 3, 1).numpy(), saved["x_train"])
    assert np.array_equal(read.test_images.permute(0, 2, 3, 1).numpy(), saved["x_test"])
    assert read.train_images.dtype == read.test_images.dtype == torch.uint8
    assert read.train_labels.tolist() == [2, 0, 1, 1, 0, 2, 2, 0]
    assert read.test_labels.tolist() == [1, 1, 0]
    assert read.train_labels.dtype == read.test_labels.dtype == torch.int64
    assert (read.classes, read.image_shape) == (3, (3, 5, 6))


def test_grey_images_have_one_channel() -> None:
    whole = arrays()
    flat = arrays(x_train=grey(whole["x_train"]), x_test=grey(whole["x_test"]))
    one = arrays(x_train=whole["x_train"][..., :1], x_test=whole["x_test"][..., :1])
    read, same = from_arrays(flat, "here"), from_arrays(one, "here")
    assert read.image_shape == same.image_shape == (1, 5, 6)
    assert torch.equal(read.train_images[:, 0], torch.from_numpy(flat["x_train"].copy()))
    assert read.sha256 == same.sha256


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_any_number_of_channels_is_taken(channels: int) -> None:
    images = {name: np.zeros((count, 5, 6, channels), np.uint8) for name, count in (("x_train", 8), ("x_test", 3))}
    assert from_arrays(arrays(**images), "here").image_shape == (channels, 5, 6)


@pytest.mark.parametrize(
    "shape",
    [(8, 3, 4, 3), (8, 1, 1, 1), (8, 1, 6, 3), (8, 3, 6, 1), (8, 2, 5, 6)],
    ids=str,
)
def test_images_that_might_have_their_channels_first_but_need_not_are_taken(shape: tuple[int, ...]) -> None:
    read = from_arrays(arrays(x_train=np.zeros(shape, np.uint8), x_test=np.zeros((3, *shape[1:]), np.uint8)), "here")
    assert read.image_shape == (shape[3], shape[1], shape[2])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "<i4", ">i4", "<i8", ">i8", "uint64"])
def test_labels_of_every_whole_type_are_taken_in_a_row_or_a_column(dtype: str) -> None:
    expected = from_arrays(arrays(), "here")
    row = arrays()["y_train"].astype(dtype)
    for labels in (row, row[:, np.newaxis], np.asfortranarray(row[:, np.newaxis])):
        read = from_arrays(arrays(y_train=labels, y_test=np.array([[1], [1], [0]], dtype)), "here")
        assert read.train_labels.dtype == torch.int64
        assert read.sha256 == expected.sha256


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
def test_every_level_survives_being_a_float(dtype: str) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    floats = (levels / 255).astype(dtype)
    labels = np.array([0, 1, 0, 1])
    read = from_arrays({"x_train": floats, "y_train": labels, "x_test": floats[:1], "y_test": labels[:1]}, "here")
    assert read.train_images.flatten().tolist() == list(range(256))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_floats_are_rounded_to_the_nearest_level(values: list[float]) -> None:
    images = np.array(values).reshape(1, 2, 2)
    read = from_arrays(
        {"x_train": np.repeat(images, 2, 0), "y_train": np.array([0, 1]), "x_test": images, "y_test": np.array([0])},
        "here",
    )
    for level, value in zip(read.test_images.flatten().tolist(), values, strict=True):
        assert abs(level - 255 * value) <= 0.5 + 1e-9


@pytest.mark.parametrize(
    "order",
    [np.ascontiguousarray, np.asfortranarray, lambda array: np.flip(np.flip(array).copy()), lambda array: array[:]],
    ids=["C", "Fortran", "backwards", "view"],
)
def test_the_order_in_memory_does_not_matter(order: Callable[[Array], Array]) -> None:
    ordered = {name: order(array) for name, array in arrays().items()}
    assert from_arrays(ordered, "here").sha256 == from_arrays(arrays(), "here").sha256


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_written_by_numpy_or_by_us_it_is_the_same(save: Callable[..., None], tmp_path: Path) -> None:
    more = {**arrays(), "names": np.array(["cat", "dog", "frog"])}  # what is not asked for is not looked at
    save(tmp_path / "theirs.npz", **more)
    write_npz(tmp_path / "ours.npz", arrays())
    ours, theirs = read_npz(tmp_path / "ours.npz"), read_npz(tmp_path / "theirs.npz")
    assert ours.sha256 == theirs.sha256 == from_arrays(arrays(), "here").sha256


def test_objects_that_are_not_asked_for_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **{**arrays(), "extra": np.array([{"a": 1}], object)})
    assert read_npz(tmp_path / "mine.npz").classes == 3


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(2, 6),
    st.integers(0, 5),
    st.integers(0, 10**6),
)
def test_what_is_written_comes_back(height: int, width: int, channels: int, classes: int, more: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(classes + more) % classes)
    images = generator.integers(256, size=(len(labels), height, width, channels), dtype=np.uint8)
    if channels not in (1, 3):
        images[0] = 0
    parts = {"x_train": images, "y_train": labels, "x_test": images[:1], "y_test": labels[:1]}
    if height in (1, 3) and channels not in (1, 3):
        with pytest.raises(DataError, match="must have its channels last"):
            from_arrays(parts, "here")
        return
    content = io.BytesIO()
    np.savez(content, **parts)  # type: ignore[arg-type]
    with np.load(io.BytesIO(content.getvalue())) as saved:
        read = from_arrays(dict(saved), "here")
    assert np.array_equal(read.train_images.permute(0, 2, 3, 1).numpy(), images)
    assert read.train_labels.tolist() == labels.tolist()
    assert (read.classes, read.image_shape) == (classes, (channels, height, width))


def test_writing_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "new" / "mine.npz"
    write_npz(file, arrays())
    before = file.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match=r"mine\.npz cannot be written \(No space left on device\)"):
        write_npz(file, arrays(y_test=np.array([0, 0, 0])))
    assert [path.name for path in file.parent.iterdir()] == ["mine.npz"]
    assert file.read_bytes() == before


# What is no such file


def told(read: Callable[[], object]) -> str:
    with pytest.raises(DataError) as error:
        read()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("left_out", ["x_train", "y_test"])
def test_missing_arrays_are_named(left_out: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    saved = {name: array for name, array in arrays().items() if name != left_out}
    np.savez(file, **saved)
    assert told(lambda: read_npz(file)) == (
        f"{file} lacks {left_out}: save x_train, y_train, x_test, y_test (it has {', '.join(saved)})."
    )


def test_arrays_by_other_names_are_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    np.savez(file, np.zeros(3), images=np.zeros(3))
    found = read_names(file)
    assert told(lambda: read_npz(file)) == (
        f"{file} lacks x_train, y_train, x_test, y_test: save x_train, y_train, x_test, y_test (it has {found})."
    )


def read_names(file: Path) -> str:
    with np.load(file) as saved:
        return ", ".join(saved.files)


def test_a_file_without_arrays_has_nothing(tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    with zipfile.ZipFile(file, "w"):
        pass
    assert told(lambda: read_npz(file)) == (
        f"{file} lacks x_train, y_train, x_test, y_test: save x_train, y_train, x_test, y_test (it has nothing)."
    )


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        read_npz(tmp_path / "mine.npz")
    assert str(error.value) == (f"There is no file {tmp_path}/mine.npz: correct its path, or put it there.")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "mine.npz").mkdir()
    assert told(lambda: read_npz(tmp_path / "mine.npz")) == (
        f"{tmp_path}/mine.npz cannot be read (Is a directory): make it readable, or name another."
    )


def test_a_single_array_is_no_npz_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    with file.open("wb") as opened:
        np.save(opened, np.zeros(3))
    assert told(lambda: read_npz(file)) == (
        f"{file} is no npz file: save x_train, y_train, x_test, y_test with numpy.savez."
    )


def pickled_labels(file: Path) -> None:
    np.savez(file, **arrays(y_train=arrays()["y_train"].astype(object)))


def a_pickle(file: Path) -> None:
    with file.open("wb") as opened:
        np.save(opened, np.array([{"x_train": 1}], object), allow_pickle=True)


def text(file: Path) -> None:
    file.write_text("x_train,y_train\n0,1\n")


def empty(file: Path) -> None:
    file.write_bytes(b"")


def truncated(file: Path) -> None:
    np.savez(file, **arrays())
    file.write_bytes(file.read_bytes()[:-40])


def changed_byte(file: Path) -> None:
    np.savez(file, **arrays())
    content = bytearray(file.read_bytes())
    content[300] ^= 1
    file.write_bytes(content)


def changed_compressed_bytes(file: Path) -> None:
    np.savez_compressed(file, **arrays())
    content = bytearray(file.read_bytes())
    content[200:230] = bytes(30)
    file.write_bytes(content)


def no_arrays(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name in arrays():
            archive.writestr(f"{name}.npy", "no array")


@pytest.mark.parametrize("write", [a_pickle, text, empty])
def test_what_is_no_npz_file_at_all_is_called_so(write: Callable[[Path], None], tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    write(file)
    assert told(lambda: read_npz(file)) == (
        f"{file} is no npz file: save x_train, y_train, x_test, y_test with numpy.savez."
    )


def test_a_cut_that_leaves_one_class_is_refused() -> None:
    """As of a file that is sorted by class."""
    images = torch.zeros(6, 1, 4, 4, dtype=torch.uint8)
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    dataset = Dataset(images, labels, images, labels, 2)
    assert len(dataset.first(4, None).train_labels) == 4
    with pytest.raises(UsageError) as error:
        dataset.first(3, None)
    assert str(error.value) == (
        "The first 3 training images are of one class: raise --train-images, or shuffle the file."
    )


def test_a_file_larger_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "mine.npz", **arrays())

    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("numpy.load", full)
    assert "needs more memory than there is: save fewer images" in told(lambda: read_npz(tmp_path / "mine.npz"))


@pytest.mark.parametrize(
    "write",
    [pickled_labels, truncated, changed_byte, changed_compressed_bytes],
)
def test_what_is_no_npz_file_without_pickle_is_refused(write: Callable[[Path], None], tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    write(file)
    words = told(lambda: read_npz(file))
    assert words.startswith(f"{file} cannot be read as an npz file without pickle (")
    assert words.endswith("): save plain arrays of numbers with numpy.savez.")


def test_members_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    no_arrays(tmp_path / "mine.npz")
    words = told(lambda: read_npz(tmp_path / "mine.npz"))
    where = tmp_path / "mine.npz"
    assert words == f"{where}: x_train is no array: save plain arrays of numbers with numpy.savez."


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    class Malice:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "it ran",)

    for name in ("x_train", "y_test"):
        np.savez(tmp_path / "mine.npz", **arrays(**{name: np.array([Malice()], object)}))
        assert "Object arrays cannot be loaded" in told(lambda: read_npz(tmp_path / "mine.npz"))
    assert not (tmp_path / "it ran").exists()


# Arrays that are not such


def filled(shape: tuple[int, ...], value: float, dtype: str = "float64") -> Array:
    images = np.zeros(shape, dtype)
    images.flat[-1] = value
    return images


IMAGES = (8, 5, 6, 3)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"x_train": np.zeros((8, 30), np.uint8)}, "x_train must be N x H x W or N x H x W x C, not of shape (8, 30)"),
        ({"x_test": np.uint8(7)}, "x_test must be N x H x W or N x H x W x C, not of shape ()"),
        (
            {"x_test": np.zeros((3, 5, 6, 3, 1), np.uint8)},
            "x_test must be N x H x W or N x H x W x C, not of shape (3, 5, 6, 3, 1)",
        ),
        ({"x_train": np.zeros((0, 5, 6, 3), np.uint8)}, "x_train is empty, of shape (0, 5, 6, 3)"),
        ({"x_test": np.zeros((3, 5, 0), np.uint8)}, "x_test is empty, of shape (3, 5, 0)"),
        (
            {"x_train": np.zeros((8, 3, 5, 6), np.uint8)},
            "x_train must have its channels last, not of shape (8, 3, 5, 6): use numpy.moveaxis(x, 1, 3)",
        ),
        (
            {"x_test": np.zeros((3, 1, 5, 6), np.uint8)},
            "x_test must have its channels last, not of shape (3, 1, 5, 6): use numpy.moveaxis(x, 1, 3)",
        ),
        ({"x_train": np.zeros(IMAGES, np.int64)}, "x_train must be uint8, or float in [0, 1], not int64"),
        ({"x_train": np.zeros(IMAGES, np.int8)}, "x_train must be uint8, or float in [0, 1], not int8"),
        ({"x_train": np.zeros(IMAGES, bool)}, "x_train must be uint8, or float in [0, 1], not bool"),
        ({"x_train": np.zeros(IMAGES, complex)}, "x_train must be uint8, or float in [0, 1], not complex128"),
        ({"x_train": np.zeros(IMAGES, "U3")}, "x_train must be uint8, or float in [0, 1], not <U3"),
        (
            {"x_train": filled(IMAGES, 255)},
            "x_train must be in [0, 1] where it is float64, not from 0 to 255: divide by the largest value, or save it"
            " as uint8",
        ),
        (
            {"x_train": filled(IMAGES, -0.5, "float32")},
            "x_train must be in [0, 1] where it is float32, not from -0.5 to 0: divide by the largest value, or save it"
            " as uint8",
        ),
        (
            {"x_test": filled((3, 5, 6, 3), np.inf)},
            "x_test must be in [0, 1] where it is float64, not from 0 to inf: divide by the largest value, or save it"
            " as uint8",
        ),
        (
            {"x_test": filled((3, 5, 6, 3), np.nan)},
            "x_test must be in [0, 1] where it is float64, not from nan to nan: divide by the largest value, or save it"
            " as uint8",
        ),
        (
            {"x_test": np.zeros((3, 6, 5, 3), np.uint8)},
            "x_train and x_test must have images of one shape, not (3, 5, 6) and (3, 6, 5)",
        ),
        (
            {"x_test": np.zeros((3, 5, 6), np.uint8)},
            "x_train and x_test must have images of one shape, not (3, 5, 6) and (1, 5, 6)",
        ),
        ({"y_train": np.zeros(8)}, "y_train must have whole numbers, not float64"),
        ({"y_train": np.zeros(8, bool)}, "y_train must have whole numbers, not bool"),
        ({"y_test": np.array(["a", "b", "c"])}, "y_test must have whole numbers, not <U1"),
        (
            {"y_train": np.eye(8, dtype=int)},
            "y_train must have one label an image (shape N), not be of shape (8, 8)",
        ),
        ({"y_test": np.int64(1)}, "y_test must have one label an image (shape N), not be of shape ()"),
        (
            {"y_train": np.zeros((8, 1, 1), int)},
            "y_train must have one label an image (shape N), not be of shape (8, 1, 1)",
        ),
        ({"y_train": np.arange(7)}, "y_train has 7 labels for 8 images of x_train"),
        ({"y_test": np.zeros(0, int)}, "y_test has 0 labels for 3 images of x_test"),
        ({"y_test": np.zeros((4, 1), int)}, "y_test has 4 labels for 3 images of x_test"),
        ({"y_train": np.arange(8) - 1}, "y_train must have labels from 0, not -1"),
        ({"y_test": np.array([0, -3, 1])}, "y_test must have labels from 0, not -3"),
        ({"y_train": np.zeros(8, int)}, "y_train has a single class: there is nothing to tell apart"),
        (
            {"y_train": np.array([1, 2, 3, 1, 2, 3, 1, 2])},
            "y_train must have whole numbers from 0 without gaps, but no label is 0 while the largest is 3",
        ),
        (
            {"y_train": np.array([0, 1, 3, 1, 7, 3, 1, 4])},
            "y_train must have whole numbers from 0 without gaps, but no label is 2 while the largest is 7",
        ),
        (
            {"y_train": np.array([0, 1, 2, 3, 4, 5, 6, 2**62])},
            "y_train must have whole numbers from 0 without gaps, but no label is 7 while the largest is"
            " 4611686018427387904",
        ),
        ({"y_test": np.array([0, 1, 3])}, "y_test has the label 3, which y_train lacks"),
    ],
)
def test_arrays_that_are_not_such_are_told(changed: dict[str, Any], problem: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    np.savez(file, **arrays(**changed))
    assert told(lambda: read_npz(file)) == f"{file}: {problem}."
    assert told(lambda: from_arrays(arrays(**changed), "here")) == f"here: {problem}."


@pytest.mark.parametrize("name", ["y_train", "y_test"])
def test_labels_too_large_for_a_signed_number_are_refused(name: str) -> None:
    labels = arrays()[name].astype(np.uint64)
    labels[0] = 2**64 - 1  # as int64 it is -1
    told(lambda: from_arrays(arrays(**{name: labels}), "here"))


# In memory


def test_digest_is_that_of_all_images_and_labels() -> None:
    whole = arrays()
    digest = hashlib.sha256()
    for name in ("x_train", "y_train", "x_test", "y_test"):
        array = np.moveaxis(whole[name], 3, 1) if name.startswith("x") else whole[name].astype("<i8")
        digest.update(array.tobytes())
    assert from_arrays(whole, "here").sha256 == digest.hexdigest()


@pytest.mark.parametrize("name", ["x_train", "y_train", "x_test", "y_test"])
def test_every_array_counts_in_the_digest(name: str) -> None:
    changed = arrays()
    changed[name].flat[0] = 1 - min(changed[name].flat[0], 1)
    assert from_arrays(changed, "here").sha256 != from_arrays(arrays(), "here").sha256


def test_first_takes_the_first_images_and_labels() -> None:
    whole = dataset()
    small = whole.first(12, 3)
    assert small.train_images[:, 0, 0, 0].tolist() == list(range(12))
    assert small.train_labels.equal(whole.train_labels[:12])
    assert small.test_images[:, 0, 0, 0].tolist() == [20, 21, 22]
    assert small.test_labels.equal(whole.test_labels[:3])
    assert small.classes == whole.classes == 5
    assert len({whole.sha256, small.sha256, whole.first(12, None).sha256, whole.first(None, 3).sha256}) == 4
    assert whole.first(20, 5).sha256 == whole.first(None, None).sha256 == whole.sha256


def test_first_keeps_the_number_of_classes() -> None:
    assert dataset().first(2, 1).classes == 5


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        (21, None, "--train-images must be at most 20, the size of the data set, not 21."),
        (None, 6, "--test-images must be at most 5, the size of the data set, not 6."),
    ],
)
def test_first_of_more_than_there_are_is_refused(train: int | None, test: int | None, words: str) -> None:
    with pytest.raises(UsageError) as error:
        dataset().first(train, test)
    assert str(error.value) == words


@given(st.integers(2, 40), st.data())
def test_a_validation_split_parts_the_training_images(train: int, data: st.DataObject) -> None:
    held_out = data.draw(st.integers(1, train - 1))
    split = dataset(max(train, 5), 5).first(train, None).validation(held_out)
    kept, tested = split.train_images[:, 0, 0, 0].tolist(), split.test_images[:, 0, 0, 0].tolist()
    assert len(tested) == held_out
    assert sorted([*kept, *tested]) == list(range(train))  # the test images' levels begin after these
    assert [kept, tested] == [sorted(kept), sorted(tested)]
    assert split.train_labels.tolist() == [level % 5 for level in kept]
    assert split.test_labels.tolist() == [level % 5 for level in tested]
    assert split.classes == 5


def test_a_validation_split_is_the_same_every_time_and_drawn_at_random() -> None:
    whole = dataset(200, 5)
    before = torch.random.get_rng_state()
    split = whole.validation(60)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert split.sha256 == whole.validation(60).sha256 != whole.sha256
    levels = split.test_images[:, 0, 0, 0].long()
    assert 20 < int((levels < 100).sum()) < 40  # 30 expected
    fewer = whole.validation(30).test_images[:, 0, 0, 0].tolist()
    assert set(fewer) < set(levels.tolist())


def test_no_validation_split_changes_nothing() -> None:
    whole = dataset()
    assert whole.validation(None) is whole


@pytest.mark.parametrize("images", [20, 21])
def test_a_validation_split_that_leaves_nothing_is_refused(images: int) -> None:
    assert len(dataset().validation(19).train_images) == 1
    with pytest.raises(UsageError) as error:
        dataset().validation(images)
    assert str(error.value) == f"--validation-images must be below 20, the number of training images, not {images}."


def test_reading_a_file_needs_no_torchvision(tmp_path: Path) -> None:
    write_npz(tmp_path / "mine.npz", arrays())
    script = (
        "import pathlib, sys\n"
        "from fluidrelu_cli.data.catalogue import load\n"
        "load(sys.argv[1], pathlib.Path('nowhere'))\n"
        "assert 'torchvision' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "mine.npz")], check=True, timeout=60)
