"""A data set in memory, and the npz file that holds one: what is read, and what a user is told of any other file."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import socket
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fluidrelu_cli.data import npz
from fluidrelu_cli.data.dataset import Dataset, from_arrays, read_npz, write_npz
from fluidrelu_cli.errors import BadArraysError, DataError, FluidReluError, StorageError, UsageError

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


def numbered(train: int = 20, test: int = 5) -> Dataset:
    """Each image is of one level, its number."""
    levels = np.broadcast_to(np.arange(train + test, dtype=np.uint8)[:, np.newaxis, np.newaxis], (train + test, 4, 4))
    labels = np.arange(train + test) % 5
    parts = {"x_train": levels[:train], "y_train": labels[:train], "x_test": levels[train:], "y_test": labels[train:]}
    return from_arrays(parts, "here")


# What is read


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed, write_npz])
def test_images_come_channels_first_and_other_arrays_are_ignored(save: Callable[..., None], tmp_path: Path) -> None:
    saved, file = arrays(), tmp_path / "mine.npz"
    if save is write_npz:
        write_npz(file, saved)
    else:
        save(file, **saved, names=np.array([{"a": "pickle"}], object))
    read = read_npz(file)
    assert read.train_images[4, 2, 1, 3].item() == saved["x_train"][4, 1, 3, 2]
    assert np.array_equal(read.train_images.permute(0, 2, 3, 1).numpy(), saved["x_train"])
    assert np.array_equal(read.test_images.permute(0, 2, 3, 1).numpy(), saved["x_test"])
    assert read.train_images.dtype == read.test_images.dtype == torch.uint8
    assert (read.train_labels.tolist(), read.test_labels.tolist()) == ([2, 0, 1, 1, 0, 2, 2, 0], [1, 1, 0])
    assert read.train_labels.dtype == read.test_labels.dtype == torch.int64
    assert (read.classes, read.image_shape) == (3, (3, 5, 6))


def test_grey_images_have_one_channel() -> None:
    whole = arrays()
    flat = arrays(x_train=whole["x_train"][..., 0], x_test=whole["x_test"][..., 0])
    one = arrays(x_train=whole["x_train"][..., :1], x_test=whole["x_test"][..., :1])
    read, same = from_arrays(flat, "here"), from_arrays(one, "here")
    assert read.image_shape == same.image_shape == (1, 5, 6)
    assert read.sha256 == same.sha256


@pytest.mark.parametrize("shape", [(8, 3, 4, 3), (8, 1, 1, 1), (8, 1, 6, 3), (8, 2, 5, 6)], ids=str)
def test_images_that_might_have_their_channels_first_but_need_not_are_taken(shape: tuple[int, ...]) -> None:
    read = from_arrays(arrays(x_train=np.zeros(shape, np.uint8), x_test=np.zeros((3, *shape[1:]), np.uint8)), "here")
    assert read.image_shape == (shape[3], shape[1], shape[2])


@pytest.mark.parametrize("dtype", ["<i8", ">u2", "i2"])
def test_whole_numbers_of_every_type_are_levels(dtype: str) -> None:
    whole = arrays()
    wide = arrays(x_train=whole["x_train"].astype(dtype), x_test=whole["x_test"].astype(dtype))
    assert from_arrays(wide, "here").sha256 == from_arrays(whole, "here").sha256


@pytest.mark.parametrize("dtype", ["uint8", ">i4", "uint64", "f4"])
def test_labels_of_every_whole_type_are_taken_in_a_row_or_a_column(dtype: str) -> None:
    expected = from_arrays(arrays(), "here")
    row = arrays()["y_train"].astype(dtype)
    for labels in (row, row[:, np.newaxis]):
        read = from_arrays(arrays(y_train=labels, y_test=np.array([[1], [1], [0]], dtype)), "here")
        assert read.train_labels.dtype == torch.int64
        assert read.sha256 == expected.sha256


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8"])
def test_every_level_survives_being_a_float(dtype: str) -> None:
    floats = (np.arange(256).reshape(4, 8, 8) / 255).astype(dtype)
    labels = np.array([0, 1, 0, 1])
    read = from_arrays({"x_train": floats, "y_train": labels, "x_test": floats[:1], "y_test": labels[:1]}, "here")
    assert read.train_images.flatten().tolist() == list(range(256))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_floats_are_rounded_to_the_nearest_level(values: list[float]) -> None:
    images = np.array(values).reshape(1, 2, 2)
    parts = {"x_train": np.repeat(images, 2, 0), "y_train": np.array([0, 1]), "x_test": images, "y_test": np.array([0])}
    for level, value in zip(from_arrays(parts, "here").test_images.flatten().tolist(), values, strict=True):
        assert abs(level - 255 * value) <= 0.5 + 1e-9


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


# Files that hold no data set


def write_nothing(_file: Path) -> None:
    pass


def write_folder(file: Path) -> None:
    file.mkdir()


def write_text(file: Path) -> None:
    file.write_text("x_train,y_train\n0,1\n")


def write_array(file: Path) -> None:
    with file.open("wb") as opened:
        np.save(opened, np.zeros(3))


def write_other_names(file: Path) -> None:
    np.savez(file, images=np.zeros(3), labels=np.zeros(3))


def write_usual_names(file: Path) -> None:
    saved = arrays()
    np.savez(file, X_train=saved["x_train"], trainY=saved["y_train"], test_images=0, y_test=saved["y_test"])


def write_no_labels(file: Path) -> None:
    saved = arrays()
    del saved["y_test"]
    np.savez(file, **saved)


def write_empty_archive(file: Path) -> None:
    with zipfile.ZipFile(file, "w"):
        pass


def write_no_arrays(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name in arrays():
            archive.writestr(f"{name}.npy", "no array")


def write_pickled_labels(file: Path) -> None:
    np.savez(file, **arrays(y_train=arrays()["y_train"].astype(object)))


def write_truncated(file: Path) -> None:
    np.savez(file, **arrays())
    file.write_bytes(file.read_bytes()[:-40])


def write_changed_byte(file: Path) -> None:
    np.savez(file, **arrays())
    content = bytearray(file.read_bytes())
    content[300] ^= 1
    file.write_bytes(content)


def write_changed_compressed_bytes(file: Path) -> None:
    np.savez_compressed(file, **arrays())
    content = bytearray(file.read_bytes())
    content[200:230] = bytes(30)
    file.write_bytes(content)


def link_to_device(file: Path) -> None:
    file.symlink_to("/dev/zero")


def write_socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(file))


def as_npy(array: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def claim(shape: tuple[int, ...], dtype: str) -> bytes:
    """The header of an npy file, without the array."""
    content = io.BytesIO()
    writer: Any = np.lib.format.write_array_header_1_0  # typed in some versions of numpy only
    writer(content, {"descr": dtype, "fortran_order": False, "shape": shape})
    return content.getvalue()


def write_forged(
    file: Path,
    changed: Mapping[str, bytes] | None = None,
    forged: Mapping[str, Mapping[str, int]] | None = None,
    compression: int = zipfile.ZIP_STORED,
) -> None:
    """Write an npz file some of whose members have other content, or claim other things in the zip's directory."""
    content = {name: as_npy(array) for name, array in arrays().items()} | dict(changed or {})
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, member in content.items():
            archive.writestr(f"{name}.npy", member)
        for name, claims in (forged or {}).items():
            for field, value in claims.items():
                setattr(archive.getinfo(f"{name}.npy"), field, value)


def write_long_header(file: Path) -> None:
    header = b"\x93NUMPY\x02\x00" + (2**32 - 1).to_bytes(4, "little") + bytes(10**6)
    write_forged(file, {"x_test": header}, compression=zipfile.ZIP_DEFLATED)


def write_header(file: Path, text: bytes) -> None:
    header = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    write_forged(file, {"x_test": header}, compression=zipfile.ZIP_DEFLATED)


def write_header_of_code(file: Path) -> None:
    write_header(file, b"{'descr': (\n")


def write_header_of_odd_types(file: Path) -> None:
    write_header(file, b"{'descr': '|u1', 'fortran_order': False, [1]: 2}\n")


def write_absurd_shape(file: Path) -> None:
    write_forged(file, {"y_train": claim((10**18,), "<i8")})


def write_absurd_sizes(file: Path) -> None:
    shapes = {"x_train": ((10**16, 5, 6, 3), "|u1"), "y_train": ((10**16,), "<i8")}
    changed = {name: claim(*shape) + bytes(20_000) for name, shape in shapes.items()}
    write_forged(file, changed, {name: {"file_size": 2**62, "compress_size": 2**62} for name in changed})


def write_negative_shape(file: Path) -> None:
    write_forged(file, {"x_train": claim((-8, 5, 6), "|u1")})


def write_twice(file: Path) -> None:
    np.savez(file, **arrays())
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("y_test", as_npy(np.array([0, 0, 0])))  # numpy takes either name


def write_encrypted(file: Path) -> None:
    write_forged(file, forged={"y_test": {"flag_bits": 1}})


def write_bzip2(file: Path) -> None:
    write_forged(file, compression=zipfile.ZIP_BZIP2)


ALL = "x_train, y_train, x_test, y_test"
NO_FILE = "{} is a folder, a pipe or a device, not a file. Name an npz file."
NO_NUMBERS = "is no array of numbers. Save plain arrays of numbers with numpy.savez."
DAMAGED = "{} is damaged or incomplete ("


@pytest.mark.parametrize(
    ("write", "kind", "words"),
    [
        (
            write_nothing,
            UsageError,
            "There is no file {}. Correct its path, put the file there, or go to the folder in which its study was"
            " trained.",
        ),
        (write_folder, DataError, NO_FILE),
        (os.mkfifo, DataError, NO_FILE),
        (link_to_device, DataError, NO_FILE),
        (write_socket, DataError, NO_FILE),
        (write_text, BadArraysError, f"{{}} is no npz file. Save {ALL} with numpy.savez."),
        (write_array, BadArraysError, f"{{}} is no npz file. Save {ALL} with numpy.savez."),
        (write_other_names, BadArraysError, f"{{}} lacks {ALL} (it has images, labels). Save {ALL}, with numpy.savez."),
        (
            write_usual_names,
            BadArraysError,
            "{} lacks x_train, y_train, x_test (it has X_train, trainY, test_images, y_test). Save X_train as x_train,"
            " trainY as y_train, test_images as x_test, with numpy.savez.",
        ),
        (
            write_no_labels,
            BadArraysError,
            "{} lacks y_test (it has x_train, y_train, x_test). Save y_test, with numpy.savez.",
        ),
        (write_empty_archive, BadArraysError, f"{{}} lacks {ALL} (it has nothing). Save {ALL}, with numpy.savez."),
        (write_no_arrays, BadArraysError, f"{{}}: x_train {NO_NUMBERS}"),
        (write_pickled_labels, BadArraysError, f"{{}}: y_train {NO_NUMBERS}"),
        (
            write_long_header,
            BadArraysError,
            "{}: x_test has no header of an array (ValueError: EOF: reading array header",
        ),
        (write_header_of_code, BadArraysError, "{}: x_test has no header of an array ("),
        (write_header_of_odd_types, BadArraysError, "{}: x_test has no header of an array ("),
        (write_absurd_shape, BadArraysError, "{}: y_train is damaged or incomplete (of shape (1000000000000000000,)"),
        (write_absurd_sizes, DataError, "{} would take 1,890,000,000,000 MB of memory, and "),
        (write_negative_shape, BadArraysError, "{}: x_train is empty, of shape (-8, 5, 6): save"),
        (write_twice, BadArraysError, "{}: y_test is there twice. Save plain arrays"),
        (write_encrypted, BadArraysError, "{}: y_test is encrypted. Save plain arrays"),
        (write_bzip2, BadArraysError, "{}: x_train is compressed in a way that numpy does not use. Save plain arrays"),
        (write_truncated, BadArraysError, DAMAGED),
        (write_changed_byte, BadArraysError, DAMAGED + "BadZipFile: Bad CRC-32"),
        (write_changed_compressed_bytes, BadArraysError, DAMAGED),
    ],
)
def test_messages(write: Callable[[Path], None], kind: type[FluidReluError], words: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    write(file)
    with pytest.raises(FluidReluError) as error:
        read_npz(file)
    assert type(error.value) is kind
    assert str(error.value).startswith(words.format(file))
    assert "\n" not in str(error.value)


def test_a_relative_path_is_reported_with_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=rf"There is no file mine\.npz in {tmp_path}\."):
        read_npz(Path("mine.npz"))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_larger_than_the_free_memory_is_not_unpacked(
    save: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpack(*_: object, **__: object) -> None:
        raise AssertionError

    file = tmp_path / "mine.npz"
    save(file, **arrays(x_train=np.zeros((8, 500, 500, 3)), x_test=np.zeros((3, 500, 500, 3), np.uint8)))
    assert 10**7 < npz.measure_free_memory() < 10**15
    read_npz(file)
    monkeypatch.setattr(npz, "measure_free_memory", lambda: 57.2e6)
    monkeypatch.setattr("numpy.lib.format.read_array", unpack)
    with pytest.raises(DataError) as error:
        read_npz(file)
    assert str(error.value) == (
        f"{file} would take 59 MB of memory, and 57 MB are free. Save fewer images, or save them as uint8."
    )


@pytest.mark.parametrize("claimed", [0, 100])
def test_a_member_is_not_unpacked_beyond_what_it_claims(claimed: int, tmp_path: Path) -> None:
    file, honest = tmp_path / "mine.npz", as_npy(arrays()["x_train"])
    forged = {"x_train": {"file_size": len(honest) + claimed}}
    write_forged(file, {"x_train": honest + bytes(10**8)}, forged, zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    try:
        with contextlib.suppress(BadArraysError):  # its checksum, if numpy reads as far
            read_npz(file)
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()


def test_a_file_larger_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    np.savez(tmp_path / "mine.npz", **arrays())
    monkeypatch.setattr("numpy.lib.format.read_array", full)
    with pytest.raises(DataError, match=r"mine\.npz does not fit into memory\. Save fewer images, or save"):
        read_npz(tmp_path / "mine.npz")


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    class Malice:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "it ran",)

    np.savez(tmp_path / "mine.npz", **arrays(x_train=np.array([Malice()], object)))
    with pytest.raises(BadArraysError):
        read_npz(tmp_path / "mine.npz")
    assert not (tmp_path / "it ran").exists()


# Arrays that are no data set


def fill(value: float, dtype: str = "float64") -> Array:
    """Black images but for the last pixel."""
    images = np.zeros((8, 5, 6, 3), dtype)
    images.flat[-1] = value
    return images


FLAT = "must be N x H x W or N x H x W x C, not of shape"
SCALE = "x_train must be in [0, 1] where it is"
NUMBER = "with numpy.searchsorted(numpy.unique(y_train), y) for both y"
HUGE = np.array([0, 1, 2, 3, 4, 5, 6, 2**64 - 1], np.uint64)  # as int64 the last is -1


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"x_train": np.zeros((8, 30), np.uint8)}, f"x_train {FLAT} (8, 30): reshape it"),
        (
            {"x_train": np.zeros((8, 36), np.uint8)},
            f"x_train {FLAT} (8, 36): use reshape(-1, 6, 6) if they are square",
        ),
        ({"x_test": np.uint8(7)}, f"x_test {FLAT} (): reshape it"),
        ({"x_train": np.zeros((0, 5, 6, 3), np.uint8)}, "x_train is empty, of shape (0, 5, 6, 3): save some images"),
        (
            {"x_train": np.zeros((8, 3, 5, 6), np.uint8)},
            "x_train must have its channels last, not the shape (8, 3, 5, 6): use numpy.moveaxis(x_train, 1, 3)",
        ),
        (
            {"x_train": np.zeros((5, 6, 3, 8), np.uint8)},
            "y_train has 8 labels for 5 images of x_train: use numpy.moveaxis(x_train, -1, 0)",
        ),
        (
            {"x_train": np.full((8, 5, 6, 3), 256)},
            "x_train must be in [0, 255] where it is int64, not from 256 to 256: scale them to 0 to 255, and save them"
            " as uint8",
        ),
        (
            {"x_train": np.zeros((8, 5, 6), bool)},
            'x_train must be uint8, or float in [0, 1], not bool: save x_train.astype("uint8") * 255',
        ),
        (
            {"x_train": np.zeros((8, 5, 6), "U3")},
            "x_train must be uint8, or float in [0, 1], not <U3: save the pixels as uint8",
        ),
        ({"x_train": fill(255)}, f"{SCALE} float64, not from 0 to 255: save x_train / 255"),
        (
            {"x_train": fill(65535)},
            f"{SCALE} float64, not from 0 to 65535: save x_train / the largest value that a pixel can have",
        ),
        (
            {"x_train": fill(-0.5, "float32")},
            f"{SCALE} float32, not from -0.5 to 0: save (x_train + 1) / 2 if they were scaled to [-1, 1]",
        ),
        (
            {"x_train": fill(-2)},
            f"{SCALE} float64, not from -2 to 0: save them as they were before mean and SD were taken out, as"
            " --pixels standardised does in training",
        ),
        (
            {"x_train": fill(np.nan)},
            "x_train has a pixel that is not finite, first x_train[7, 4, 5, 2] = nan: leave such images out, or replace"
            " the pixels with numpy.nan_to_num",
        ),
        (
            {"x_test": np.full((3, 5, 6, 3), -np.inf)},
            "x_test has 270 pixels that are not finite, first x_test[0, 0, 0, 0] = -inf: leave such images out, or"
            " replace the pixels with numpy.nan_to_num",
        ),
        (
            {"x_test": np.zeros((3, 5, 6), np.uint8)},
            "x_train and x_test have images of two shapes, (3, 5, 6) and (1, 5, 6): bring them to one",
        ),
        ({"y_train": np.full(8, 0.5)}, f"y_train must have whole numbers, not 0.5: number the classes, {NUMBER}"),
        ({"y_train": np.full(8, np.nan)}, f"y_train must have whole numbers, not nan: number the classes, {NUMBER}"),
        (
            {"y_train": np.full(8, -1e30)},
            f"y_train must have labels below 2^63, not 1e+30: number the classes, {NUMBER}",
        ),
        (
            {"y_test": np.array(["a", "b", "c"])},
            f"y_test must have whole numbers, not <U1: number the classes, {NUMBER}",
        ),
        (
            {"y_train": np.eye(8)},
            "y_train must have one label per image (shape N), not the shape (8, 8): if its rows are one-hot, save"
            " y_train.argmax(axis=1)",
        ),
        (
            {"y_test": np.int64(1)},
            "y_test must have one label per image (shape N), not the shape (): save a row of labels",
        ),
        ({"y_train": np.arange(7)}, "y_train has 7 labels for 8 images of x_train: give each image its label"),
        ({"y_test": np.zeros((4, 1), int)}, "y_test has 4 labels for 3 images of x_test: give each image its label"),
        ({"y_train": np.arange(8) - 1}, "y_train has labels from -1, not 0: add 1 to y_train and y_test"),
        ({"y_train": np.arange(8) + 1}, "y_train has labels from 1, not 0: subtract 1 from y_train and y_test"),
        (
            {"y_train": HUGE},
            f"y_train must have labels below 2^63, not 18446744073709551615: number the classes, {NUMBER}",
        ),
        ({"y_train": np.zeros(8, int)}, "y_train has a single class, so that there is nothing to learn: add others"),
        (
            {"y_train": np.array([0, 1, 3, 1, 7, 3, 1, 4])},
            f"y_train has no label 2 while the largest is 7: number the classes without gaps, {NUMBER}",
        ),
        (
            {"y_train": np.array([0, 1, 2, 3, 4, 5, 6, 2**62])},
            f"y_train has no label 7 while the largest is {2**62}: number the classes without gaps, {NUMBER}",
        ),
        (
            {"y_test": np.array([0, 1, 3])},
            "y_test has the label 3, while y_train has 0 to 2: leave such images out, or add some to train with",
        ),
    ],
)
def test_messages_on_arrays(changed: dict[str, Any], problem: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    np.savez(file, **arrays(**changed))
    with pytest.raises(BadArraysError) as error:
        read_npz(file)
    assert str(error.value) == f"{file}: {problem}."


# In memory


def test_the_digest_is_that_of_all_images_and_labels() -> None:
    whole = arrays()
    digest = hashlib.sha256()
    for name in ("x_train", "y_train", "x_test", "y_test"):
        array = np.moveaxis(whole[name], 3, 1) if name.startswith("x") else whole[name].astype("<i8")
        digest.update(array.tobytes())
    assert from_arrays(whole, "here").sha256 == digest.hexdigest()


def test_first_takes_the_first_images_and_labels_and_keeps_the_classes() -> None:
    whole = numbered()
    small = whole.first(12, 3)
    assert small.train_images[:, 0, 0, 0].tolist() == list(range(12))
    assert small.train_labels.equal(whole.train_labels[:12])
    assert small.test_images[:, 0, 0, 0].tolist() == [20, 21, 22]
    assert small.test_labels.equal(whole.test_labels[:3])
    assert whole.first(2, 1).classes == whole.classes == 5
    assert len({whole.sha256, small.sha256, whole.first(12, None).sha256, whole.first(None, 3).sha256}) == 4
    assert whole.first(20, 5).sha256 == whole.first(None, None).sha256 == whole.sha256


@given(st.integers(2, 40), st.data())
def test_a_validation_split_parts_the_training_images(train: int, data: st.DataObject) -> None:
    held_out = data.draw(st.integers(1, train - 1))
    split = numbered(max(train, 5), 5).first(train, None).validation(held_out)
    kept, tested = split.train_images[:, 0, 0, 0].tolist(), split.test_images[:, 0, 0, 0].tolist()
    assert len(tested) == held_out
    assert sorted([*kept, *tested]) == list(range(train))  # the test images' levels begin after these
    assert [kept, tested] == [sorted(kept), sorted(tested)]
    assert split.train_labels.tolist() == [level % 5 for level in kept]
    assert split.test_labels.tolist() == [level % 5 for level in tested]
    assert split.classes == 5


def test_a_validation_split_is_the_same_every_time_and_drawn_at_random() -> None:
    whole = numbered(200, 5)
    before = torch.random.get_rng_state()
    split = whole.validation(60)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert split.sha256 == whole.validation(60).sha256 != whole.sha256
    levels = split.test_images[:, 0, 0, 0].long()
    assert 20 < int((levels < 100).sum()) < 40  # 30 expected
    assert set(whole.validation(30).test_images[:, 0, 0, 0].tolist()) < set(levels.tolist())
    assert whole.validation(None) is whole


@pytest.mark.parametrize(
    ("take", "words"),
    [
        (lambda it: it.first(21, None), "--train-images must be at most 20, the size of the data set, not 21."),
        (lambda it: it.first(None, 6), "--test-images must be at most 5, the size of the data set, not 6."),
        (
            lambda it: it.first(1, None),
            "The first 1 training images are of one class. Raise --train-images, or shuffle the file.",
        ),
        (
            lambda it: it.validation(20),
            "--validation-images must be below 20, the number of training images, not 20.",
        ),
    ],
)
def test_messages_on_parts(take: Callable[[Dataset], Dataset], words: str) -> None:
    with pytest.raises(UsageError) as error:
        take(numbered())
    assert str(error.value) == words
