"""Where the images of `mnist_mlp.py` come from: MNIST files, a download, or scikit-learn's digits.

The MNIST files are in the IDX format: two zero bytes, one byte for the type of the numbers, one
byte for the number of dimensions, each dimension as a 4-byte big-endian integer, then the numbers
themselves. A file that is not exactly that raises `DataFileError`, which says which file it is,
what was expected and what was found.
"""

import gzip
import http.client
import math
import os
import struct
import sys
import time
import urllib.request
import zlib
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

IDX_TYPES = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
CLASSES = 10

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
PARTS = {"train": 60_000, "t10k": 10_000}  # the two halves of MNIST and their numbers of images
CONNECT_SECONDS = 5
DOWNLOAD_SECONDS = 120
DOWNLOAD_BYTES = 32 << 20  # the largest file has 10 MB; more than this is something else


class DataFileError(ValueError):
    """A data file is missing or is not what it should be."""


class Dataset(NamedTuple):
    """Images as float32 of shape (n, height, width) in [0, 1], labels as integers of shape (n,)."""

    source: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def load(directory: str | None, *, offline: bool, seed: int) -> Dataset:
    """The MNIST files in `directory`; without one, the full MNIST or scikit-learn's digits.

    Without a directory, MNIST is downloaded once into the user's cache directory. Where that
    fails, a line says why, and scikit-learn's digits take its place. `offline` forbids the
    download, but not a copy that an earlier one left. `seed` decides how images that come as one
    set are split into training and test images.
    """
    if directory is not None:
        return load_directory(Path(directory), seed=seed)
    try:
        cache = cache_directory()
        fetch_mnist(cache, offline=offline)
        return load_directory(cache, seed=seed)
    except (OSError, RuntimeError, DataFileError) as error:  # RuntimeError: no home directory
        print(f"no MNIST: {error}; using scikit-learn's digits instead", file=sys.stderr)
    return load_sklearn_digits(seed=seed)


def load_sklearn_digits(*, seed: int) -> Dataset:
    """The 1,797 digits of 8 x 8 pixels that scikit-learn ships; one in five is held back."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataFileError(
            "scikit-learn, whose digits stand in for MNIST, is not installed: "
            "pip install scikit-learn, or name a directory that holds the MNIST files with --data"
        ) from None
    pixels, labels = load_digits(return_X_y=True)
    return _split("scikit-learn's digits", _unit(pixels.reshape(-1, 8, 8), 16), labels, seed)


def load_directory(directory: Path, *, seed: int) -> Dataset:
    """The MNIST files in `directory`: both pairs as they are, or the only pair, split 80/20."""
    if not directory.is_dir():
        raise DataFileError(f"{directory}: expected a directory that holds MNIST files")
    pairs = {part: read_pair(directory, part) for part in PARTS if _has_part(directory, part)}
    if not pairs:
        wanted = ", ".join(name for part in PARTS for name in file_names(part))
        raise DataFileError(f"{directory}: expected MNIST files ({wanted}; raw or .gz), found none")
    if len(pairs) == 1:
        [(part, (images, labels))] = pairs.items()
        return _split(f"the {part} files in {directory}", images, labels, seed)
    (train_images, train_labels), (test_images, test_labels) = pairs["train"], pairs["t10k"]
    if train_images.shape[1:] != test_images.shape[1:]:
        raise DataFileError(
            f"{directory}: expected images of one size, found {train_images.shape[1:]} for "
            f"training and {test_images.shape[1:]} for testing"
        )
    return Dataset(f"the MNIST files in {directory}", train_images, train_labels, test_images, test_labels)


def read_pair(directory: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of one part of MNIST, `"train"` or `"t10k"`, checked against each other."""
    image_path, label_path = (_find(directory, name) for name in file_names(part))
    images, labels = read_idx(image_path), read_idx(label_path)
    for path, array, ndim in [(image_path, images, 3), (label_path, labels, 1)]:
        if array.dtype != np.uint8 or array.ndim != ndim:
            raise DataFileError(
                f"{path}: expected bytes (uint8) in {ndim} dimension(s), found {array.dtype} in {array.ndim}"
            )
    if images.size == 0:
        raise DataFileError(f"{image_path}: expected images, found none: shape {images.shape}")
    if len(images) != len(labels):
        raise DataFileError(
            f"{label_path}: expected {len(images)} labels, one for each image in {image_path.name}, found {len(labels)}"
        )
    if labels.max() >= CLASSES:
        where = int(labels.argmax())
        raise DataFileError(
            f"{label_path}: expected labels from 0 to {CLASSES - 1}, found {labels[where]} at position {where}"
        )
    return _unit(images, 255), labels.astype(np.intp)


def read_idx(path: Path) -> np.ndarray:
    """The array in an IDX file, gzipped or not, in the machine's own byte order."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataFileError(f"{path}: cannot be read: {error.strerror}") from error
    return decode_idx(raw, str(path))


def decode_idx(raw: bytes, name: str) -> np.ndarray:
    """The array in the bytes of an IDX file, gzipped or not; errors call the file `name`."""
    if raw.startswith(b"\x1f\x8b"):  # decided by content: browsers unpack files and keep the name
        try:
            raw = gzip.decompress(raw)
        except (EOFError, OSError, zlib.error) as error:
            raise DataFileError(f"{name}: expected a whole gzip file, found a damaged one: {error}") from error
    if len(raw) < 4:
        raise DataFileError(f"{name}: expected an IDX header, found {len(raw)} bytes in all")
    zeros, code, ndim = struct.unpack_from(">HBB", raw)
    if zeros != 0 or code not in IDX_TYPES:
        known = ", ".join(f"{code:02x}" for code in IDX_TYPES)
        raise DataFileError(
            f"{name}: expected an IDX file, which starts with 00 00, a type ({known}) and the "
            f"number of dimensions, found {raw[:4].hex(' ')}"
        )
    start = 4 + 4 * ndim
    if len(raw) < start:
        raise DataFileError(
            f"{name}: expected {start} bytes of header for {ndim} dimensions, found {len(raw)} bytes in all"
        )
    stored, shape = IDX_TYPES[code], struct.unpack_from(f">{ndim}I", raw, 4)
    native = stored.newbyteorder("=")
    expected, found = math.prod(shape) * stored.itemsize, len(raw) - start
    if expected != found:
        raise DataFileError(f"{name}: expected {expected} bytes of data for {native} of shape {shape}, found {found}")
    try:
        return np.ndarray(shape, stored, buffer=raw, offset=start).astype(native)
    except ValueError as error:  # more dimensions, or larger ones, than NumPy has
        raise DataFileError(
            f"{name}: expected a shape that NumPy can hold, found {ndim} dimensions: {error}"
        ) from error


def fetch_mnist(cache: Path, *, offline: bool = False) -> None:
    """Makes sure that `cache` holds the four MNIST files, whole, or raises `OSError`."""
    deadline = time.monotonic() + DOWNLOAD_SECONDS
    for part, count in PARTS.items():
        for name, shape in zip(file_names(part), [(count, 28, 28), (count,)], strict=True):
            path = cache / f"{name}.gz"
            if not _is_whole(path, shape):
                if offline:
                    raise FileNotFoundError(f"{path} is missing or damaged")
                _fetch_file(path, shape, deadline)


def _fetch_file(path: Path, shape: tuple[int, ...], deadline: float) -> None:
    """Downloads one file from the first mirror that has it; `path` never holds half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for mirror in MIRRORS:
        try:
            content = _download(mirror + path.name, deadline)
            _check(decode_idx(content, path.name), shape, path.name)
        except (OSError, http.client.HTTPException, DataFileError) as error:
            failures.append(f"{urlsplit(mirror).netloc or mirror}: {error}")
        else:
            partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
            partial.write_bytes(content)
            partial.replace(path)
            return
    raise OSError(f"{path.name} could not be downloaded ({'; '.join(failures)})")


def _download(url: str, deadline: float) -> bytes:
    chunks, size = [], 0
    with urllib.request.urlopen(url, timeout=CONNECT_SECONDS) as response:
        print(f"downloading {url}", file=sys.stderr)
        while chunk := response.read(1 << 16):
            chunks.append(chunk)
            size += len(chunk)
            if size > DOWNLOAD_BYTES:
                raise OSError(f"sent more than {DOWNLOAD_BYTES} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError(f"took longer than {DOWNLOAD_SECONDS} seconds")
    return b"".join(chunks)


def _check(array: np.ndarray, shape: tuple[int, ...], name: str) -> None:
    if array.shape != shape or array.dtype != np.uint8:
        raise DataFileError(f"{name}: expected uint8 of shape {shape}, found {array.dtype} of shape {array.shape}")


def _is_whole(path: Path, shape: tuple[int, ...]) -> bool:
    try:
        _check(read_idx(path), shape, str(path))
    except DataFileError:
        return False
    return True


def cache_directory() -> Path:
    """The directory for downloaded MNIST files, inside the user's own cache directory."""
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = home / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or base) / "funcgrad" / "mnist"


def file_names(part: str) -> tuple[str, str]:
    """The standard names of the image and the label file of one part of MNIST."""
    return f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"


def jitter(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The images, every second one (by chance) moved by up to one pixel: still the same digits."""
    count, height, width = images.shape
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    windows = sliding_window_view(padded, (height, width), axis=(1, 2))  # (count, 3, 3, …)
    down, right = rng.integers(-1, 2, size=(2, count)) * rng.integers(0, 2, size=count)
    return windows[np.arange(count), 1 + down, 1 + right]


def _has_part(directory: Path, part: str) -> bool:
    return any((directory / name).exists() or (directory / f"{name}.gz").exists() for name in file_names(part))


def _find(directory: Path, name: str) -> Path:
    for path in (directory / name, directory / f"{name}.gz"):
        if path.exists():
            return path
    raise DataFileError(f"{directory / name}: expected this file, or {name}.gz, found neither")


def _unit(pixels: np.ndarray, largest: int) -> np.ndarray:
    return pixels.astype(np.float32) / largest


def _split(source: str, images: np.ndarray, labels: np.ndarray, seed: int) -> Dataset:
    order = np.random.default_rng(seed).permutation(len(images))
    test, train = np.split(order, [len(images) // 5])
    if not len(test):
        raise DataFileError(f"{source}: expected at least 5 images, found {len(images)}")
    return Dataset(source, images[train], labels[train], images[test], labels[test])
