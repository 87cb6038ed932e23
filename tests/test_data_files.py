"""The readers of `examples/mnist_data.py`: IDX files, directories of them, and the download."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import mnist_data
from mnist_data import DataFileError, decode_idx, load, load_directory, read_idx

TYPES = [">u1", ">i1", ">i2", ">i4", ">f4", ">f8"]
CODES = {stored.str: code for code, stored in mnist_data.IDX_TYPES.items()}


def idx(array: np.ndarray) -> bytes:
    """`array` as an IDX file, written from the definition of the format."""
    stored = array.astype(array.dtype.newbyteorder(">"))
    code = CODES[stored.dtype.newbyteorder(">").str]
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return header + stored.tobytes()


def small_mnist(count: int, seed: int = 0) -> dict[str, bytes]:
    """Two files by the end of their names: `count` images of 4 x 3 pixels, and their labels."""
    rng = np.random.default_rng(seed)
    return {
        "images-idx3-ubyte": idx(rng.integers(0, 256, (count, 4, 3), np.uint8)),
        "labels-idx1-ubyte": idx((np.arange(count) % 10).astype(np.uint8)),
    }


def write(directory: Path, part: str, files: dict[str, bytes], *, packed: bool = False) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = directory / f"{part}-{name}{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(content) if packed else content)


# IDX files


@given(
    st.sampled_from(TYPES).flatmap(
        lambda dtype: hnp.arrays(np.dtype(dtype), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    ),
    st.booleans(),
)
def test_every_array_survives_the_format(array: np.ndarray, packed: bool) -> None:
    raw = idx(array)
    found = decode_idx(gzip.compress(raw) if packed else raw, "file")
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.dtype.isnative
    assert found.flags.writeable
    np.testing.assert_array_equal(found, array)


@given(st.binary(max_size=64))
def test_any_bytes_are_an_array_or_a_clear_error(raw: bytes) -> None:
    try:
        found = decode_idx(raw, "some file")
    except DataFileError as error:
        assert str(error).startswith("some file: expected ")
        assert "found" in str(error)
    else:
        assert len(raw) == 4 + 4 * found.ndim + found.nbytes


VECTOR = idx(np.arange(6, dtype=np.uint8))
PACKED = gzip.compress(VECTOR, mtime=0)

BROKEN = {
    "empty": (b"", r"expected an IDX header, found 0 bytes"),
    "header cut": (VECTOR[:3], r"expected an IDX header, found 3 bytes"),
    "dimensions cut": (VECTOR[:6], r"expected 8 bytes of header for 1 dimensions, found 6 bytes"),
    "web page": (b"<html></html>", r"starts with 00 00.*found 3c 68 74 6d"),
    "type unknown": (b"\0\0\x07\1" + VECTOR[4:], r"a type \(08, 09, .*found 00 00 07 01"),
    "little-endian": (struct.pack("<I", 0x0801) + VECTOR[4:], r"found 01 08 00 00"),
    "too short": (VECTOR[:-1], r"expected 6 bytes of data for uint8 of shape \(6,\), found 5"),
    "too long": (VECTOR + b"\0", r"expected 6 bytes of data for uint8 of shape \(6,\), found 7"),
    "wide type too short": (
        idx(np.zeros((2, 3), np.float64))[:-8],
        r"expected 48 bytes of data for float64 of shape \(2, 3\), found 40",
    ),
    "vast shape": (
        struct.pack(">HBB3I", 0, 8, 3, *[2**32 - 1] * 3),
        rf"expected {(2**32 - 1) ** 3} bytes of data.*found 0",
    ),
    "vast and empty": (
        struct.pack(">HBB4I", 0, 8, 4, 0, *[2**32 - 1] * 3),
        r"expected a shape that NumPy can hold, found 4 dimensions",
    ),
    "200 dimensions": (
        struct.pack(">HBB200I", 0, 8, 200, *[1] * 200) + b"\0",
        r"expected a shape that NumPy can hold, found 200 dimensions",
    ),
    "gzip cut": (PACKED[:-10], r"expected a whole gzip file, found a damaged one"),
    "gzip header only": (PACKED[:10], r"expected a whole gzip file, found a damaged one"),
    "gzip damaged": (PACKED[:-8] + b"\0" * 8, r"expected a whole gzip file, found a damaged one"),
    "gzip and more": (PACKED + b"more", r"expected a whole gzip file, found a damaged one"),
    "gzip of nothing": (gzip.compress(b""), r"expected an IDX header, found 0 bytes"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_says_what_is_wrong(name: str, tmp_path: Path) -> None:
    content, message = BROKEN[name]
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(DataFileError, match=message) as caught:
        read_idx(path)
    assert str(caught.value).startswith(f"{path}: expected ")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="cannot be read: No such file"):
        read_idx(tmp_path / "absent")
    with pytest.raises(DataFileError, match="cannot be read"):
        read_idx(tmp_path)


# Directories of them


@pytest.mark.parametrize("packed", [False, True])
def test_both_pairs_are_taken_as_they_are(packed: bool, tmp_path: Path) -> None:
    write(tmp_path, "train", small_mnist(20), packed=packed)
    write(tmp_path, "t10k", small_mnist(7, seed=1), packed=packed)
    data = load_directory(tmp_path, seed=0)
    assert str(tmp_path) in data.source
    for images, labels, count in [
        (data.train_images, data.train_labels, 20),
        (data.test_images, data.test_labels, 7),
    ]:
        assert images.shape == (count, 4, 3)
        assert images.dtype == np.float32
        assert 0 <= images.min() < images.max() <= 1
        assert np.issubdtype(labels.dtype, np.signedinteger)
        np.testing.assert_array_equal(labels, np.arange(count) % 10)


@pytest.mark.parametrize("part", ["train", "t10k"])
def test_a_single_pair_is_split_by_the_seed(part: str, tmp_path: Path) -> None:
    write(tmp_path, part, small_mnist(50))
    data, same, other = (load_directory(tmp_path, seed=seed) for seed in (0, 0, 1))
    assert part in data.source
    assert (len(data.train_images), len(data.test_images)) == (40, 10)
    np.testing.assert_array_equal(data.test_images, same.test_images)
    assert not np.array_equal(data.test_images, other.test_images)

    together = np.concatenate([data.train_images, data.test_images]).reshape(50, -1)
    whole = decode_idx(small_mnist(50)["images-idx3-ubyte"], "").reshape(50, -1) / np.float32(255)
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(whole, axis=0))


def test_a_packed_name_may_hold_an_unpacked_file(tmp_path: Path) -> None:
    for name, content in small_mnist(10).items():
        (tmp_path / f"t10k-{name}.gz").write_bytes(content)
    assert len(load_directory(tmp_path, seed=0).train_images) == 8


def labels_of(*values: int) -> bytes:
    return idx(np.array(values, np.uint8))


MISFITS = {
    "too few labels": (
        {"labels-idx1-ubyte": labels_of(1, 2, 3)},
        r"labels-idx1-ubyte: expected 6 labels, one for each image in .*, found 3",
    ),
    "label too large": (
        {"labels-idx1-ubyte": labels_of(0, 1, 9, 10, 2, 3)},
        r"labels-idx1-ubyte: expected labels from 0 to 9, found 10 at position 3",
    ),
    "labels for images": (
        {"images-idx3-ubyte": labels_of(0, 1, 2, 3, 4, 5)},
        r"images-idx3-ubyte: expected bytes \(uint8\) in 3 dimension.*found uint8 in 1",
    ),
    "images for labels": (
        {"labels-idx1-ubyte": small_mnist(6)["images-idx3-ubyte"]},
        r"labels-idx1-ubyte: expected bytes \(uint8\) in 1 dimension.*found uint8 in 3",
    ),
    "images of floats": (
        {"images-idx3-ubyte": idx(np.zeros((6, 2, 2), np.float32))},
        r"images-idx3-ubyte: expected bytes \(uint8\).*found float32",
    ),
    "no images": (small_mnist(0), r"expected images, found none: shape \(0, 4, 3\)"),
    "images without pixels": (
        {"images-idx3-ubyte": idx(np.zeros((6, 0, 3), np.uint8))},
        r"expected images, found none: shape \(6, 0, 3\)",
    ),
    "too few to split": (small_mnist(4), r"expected at least 5 images, found 4"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_files_that_do_not_fit_together(name: str, tmp_path: Path) -> None:
    files, message = MISFITS[name]
    write(tmp_path, "t10k", small_mnist(6) | files)
    with pytest.raises(DataFileError, match=message) as caught:
        load_directory(tmp_path, seed=0)
    assert str(tmp_path) in str(caught.value)


def test_a_pair_that_lacks_a_file(tmp_path: Path) -> None:
    write(tmp_path, "train", small_mnist(6))
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataFileError, match=r"train-labels-idx1-ubyte: .*\.gz, found neither"):
        load_directory(tmp_path, seed=0)


def test_pairs_of_different_image_sizes(tmp_path: Path) -> None:
    write(tmp_path, "train", small_mnist(6))
    write(tmp_path, "t10k", {**small_mnist(6), "images-idx3-ubyte": idx(np.ones((6, 2, 2), "u1"))})
    with pytest.raises(DataFileError, match=r"one size, found \(4, 3\).*\(2, 2\)"):
        load_directory(tmp_path, seed=0)


def test_directories_without_files(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"expected MNIST files \(train-images-idx3-ubyte, "):
        load_directory(tmp_path, seed=0)
    with pytest.raises(DataFileError, match="expected a directory"):
        load_directory(tmp_path / "absent", seed=0)


# The download, from mirrors that are directories


@pytest.fixture
def mirrors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two directories in the place of the mirrors, an empty cache, and a MNIST of 30 images."""
    directories = [tmp_path / "first", tmp_path / "second"]
    for directory in directories:
        directory.mkdir()
    urls = tuple(f"{directory.as_uri()}/" for directory in directories)
    monkeypatch.setattr(mnist_data, "MIRRORS", urls)
    monkeypatch.setattr(mnist_data, "PARTS", {"train": 20, "t10k": 10})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return directories


def full_size(count: int) -> dict[str, bytes]:
    return small_mnist(count) | {"images-idx3-ubyte": idx(np.ones((count, 28, 28), np.uint8))}


def fill(mirror: Path) -> None:
    for part, count in mnist_data.PARTS.items():
        write(mirror, part, full_size(count), packed=True)


def test_the_download_is_kept_and_used_again(mirrors: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    fill(mirrors[0])
    data = load(None, offline=False, seed=0)
    assert str(mnist_data.cache_directory()) in data.source
    assert (len(data.train_images), len(data.test_images)) == (20, 10)
    assert capsys.readouterr().err.count("downloading file:") == 4
    assert len(list(mnist_data.cache_directory().iterdir())) == 4

    for offline in (False, True):
        assert load(None, offline=offline, seed=0).source == data.source
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["web page", "too short", "gzip cut"])
def test_the_second_mirror_steps_in(mirrors: list[Path], name: str) -> None:
    content, _ = BROKEN[name]
    fill(mirrors[1])
    (mirrors[0] / "train-labels-idx1-ubyte.gz").write_bytes(content)
    assert len(load(None, offline=False, seed=0).train_images) == 20


def test_a_damaged_copy_is_downloaded_again(mirrors: list[Path]) -> None:
    fill(mirrors[0])
    load(None, offline=False, seed=0)
    copy = mnist_data.cache_directory() / "t10k-images-idx3-ubyte.gz"
    copy.write_bytes(copy.read_bytes()[:-9])
    assert len(load(None, offline=False, seed=0).test_images) == 10


def test_without_mirrors_the_digits_step_in(mirrors: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    for offline, message in [(False, "could not be downloaded"), (True, "is missing or damaged")]:
        data = load(None, offline=offline, seed=0)
        assert data.source == "scikit-learn's digits"
        assert data.train_images.shape == (1438, 8, 8)
        assert data.test_images.shape == (359, 8, 8)
        assert data.train_images.dtype == np.float32
        assert data.train_images.max() == 1
        [line] = capsys.readouterr().err.splitlines()
        assert message in line
        assert line.endswith("using scikit-learn's digits instead")


def test_a_mirror_that_sends_too_much_is_left(
    mirrors: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(mirrors[0])
    monkeypatch.setattr(mnist_data, "DOWNLOAD_BYTES", 10)
    assert load(None, offline=False, seed=0).source == "scikit-learn's digits"
    assert "sent more than 10 bytes" in capsys.readouterr().err


def test_a_slow_mirror_is_left(
    mirrors: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(mirrors[0])
    monkeypatch.setattr(mnist_data, "DOWNLOAD_SECONDS", -1)
    assert load(None, offline=False, seed=0).source == "scikit-learn's digits"
    assert "took longer than" in capsys.readouterr().err


def test_a_cache_that_cannot_be_written(
    mirrors: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(mirrors[0])
    occupied = mirrors[0] / "file"
    occupied.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(occupied))
    assert load(None, offline=False, seed=0).source == "scikit-learn's digits"
    assert len(capsys.readouterr().err.splitlines()) == 1


# What training sees of them


def test_jitter_moves_about_half_the_images_by_at_most_a_pixel() -> None:
    images = np.zeros((2000, 5, 7), np.float32)
    images[:, 2, 3] = 1
    moved = mnist_data.jitter(images, np.random.default_rng(0))
    assert moved.shape == images.shape
    assert moved.dtype == images.dtype
    places = np.argwhere(moved == 1)
    np.testing.assert_array_equal(places[:, 0], np.arange(2000))
    shifts = places[:, 1:] - [2, 3]
    assert set(map(tuple, shifts.tolist())) == {(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    assert 0.5 < np.mean(np.all(shifts == 0, axis=1)) < 0.62  # 1/2 + 1/2 · 1/9
