"""Trees in files: `save` and `load`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

import funcgrad.tree as trees
from funcgrad.io._atomic import write_whole
from funcgrad.io._errors import DamagedFileError, MismatchError
from funcgrad.io._leaves import as_tensor, check_leaf, from_tensor
from funcgrad.io._npz import foreign_npz, read_npz, write_npz
from funcgrad.io._safetensors import foreign_safetensors, read_safetensors, write_safetensors
from funcgrad.io._structure import describe, rebuild

__all__ = ["SUFFIXES", "load", "save"]

_WRITERS: dict[str, Callable[[BinaryIO, dict[str, Any], dict[str, np.ndarray]], None]] = {
    ".safetensors": write_safetensors,
    ".npz": write_npz,
}
_READERS: dict[str, Callable[[BinaryIO], tuple[dict[str, Any], dict[str, np.ndarray]]]] = {
    ".safetensors": read_safetensors,
    ".npz": read_npz,
}
_FOREIGN: dict[str, Callable[[BinaryIO], dict[str, np.ndarray]]] = {
    ".safetensors": foreign_safetensors,
    ".npz": foreign_npz,
}
SUFFIXES = tuple(_WRITERS)
_VERSION = 1


def _suffix(path: str, name: str) -> str:
    suffix = os.path.splitext(path)[1]
    if suffix not in _WRITERS:
        raise ValueError(f"io.{name}: the suffix says the format, {' or '.join(SUFFIXES)}; got {path!r}")
    return suffix


def _tensor_name(path: trees.KeyPath, taken: dict[str, Any]) -> str:
    """A name that other programs can read: the entries of the path with dots between them."""
    parts = [str(getattr(k, "key", getattr(k, "idx", getattr(k, "name", "")))) for k in path]
    name = stem = re.sub(r"[^\w./-]", "_", ".".join(parts), flags=re.ASCII) or "value"
    n = 1
    while name in taken or name.startswith("__"):
        n += 1
        name = f"{stem.lstrip('_')}.{n}"
    return name


def save(path: str | os.PathLike[str], tree: Any) -> None:
    """Writes a pytree to a file, all of it or nothing.

    The file is written beside `path`, brought to the disk and renamed: at every moment, also after a crash, `path` is
    what it was before or the whole of what is new. Every leaf has a checksum in the file, and so has what describes
    them.

    Args:
        path: its suffix says the format: `.safetensors` or `.npz`, both of which other programs read as well. (Complex
            numbers are pairs of floats in safetensors; random keys are their words.)
        tree: a pytree whose leaves are arrays of numbers (any dtype from bool to complex), random keys, Python's
            numbers, and strings. Dicts, lists, tuples, `None`, named tuples and registered classes are kept.

    Raises:
        TypeError: for another leaf, by its path in the tree. Nothing is pickled.
        ValueError: for another suffix.
        OSError: if the file cannot be written; what was there before is whole.

    >>> import os, tempfile
    >>> directory = tempfile.TemporaryDirectory()
    >>> path = os.path.join(directory.name, "params.safetensors")
    >>> save(path, {"layers": [{"w": np.ones((2, 3))}], "rate": 0.1, "name": "small"})
    >>> load(path)
    {'layers': [{'w': array([[1., 1., 1.],
           [1., 1., 1.]])}], 'name': 'small', 'rate': 0.1}
    >>> directory.cleanup()
    """
    name = os.fspath(path)
    write = _WRITERS[_suffix(name, "save")]
    entries, treedef = trees.flatten_with_path(tree)
    leaves: list[dict[str, Any]] = []
    tensors: dict[str, np.ndarray] = {}
    for place, leaf in entries:
        where = trees.keystr(place)
        spec, tensor = as_tensor(leaf, f"the leaf {where}" if where else "the tree")
        spec["path"] = where
        if tensor is not None:
            spec["tensor"] = _tensor_name(place, tensors)
            tensors[spec["tensor"]] = tensor
        leaves.append(spec)
    manifest = {"version": _VERSION, "structure": describe(treedef), "leaves": leaves}
    write_whole(name, lambda file: write(file, manifest, tensors))


def load(path: str | os.PathLike[str], like: Any = None, *, foreign: bool = False) -> Any:
    """Reads the pytree that `save` wrote, and checks every bit of it.

    Args:
        path: the file.
        like: a tree of the same structure, with leaves of the same shapes and dtypes (arrays, or `ShapeDtypeStruct`s).
            It is needed for registered classes, and says of which class a named tuple is: without it that is a class
            with the same fields, made up. A part that is `...` may be anything.
        foreign: read a file of another program: a dict of its arrays by name, checked as far as the format allows.

    Returns:
        The tree, of new arrays that can be written to. Python's numbers are Python's numbers again, keys are keys.

    Raises:
        FileNotFoundError: if there is no such file.
        DamagedFileError: if the file is truncated, altered, or another program's; it names the leaf where it can.
        MismatchError: if the tree is not like `like`; it names the place.
    """
    name = os.fspath(path)
    suffix = _suffix(name, "load")
    with open(name, "rb") as file:
        try:
            if foreign:
                return _FOREIGN[suffix](file)
            manifest, tensors = _READERS[suffix](file)
            if manifest.get("version") != _VERSION:
                raise DamagedFileError(f"it has version {manifest.get('version')} of the manifest, not {_VERSION}")
            return _rebuilt(manifest, tensors, ... if like is None else like)
        except DamagedFileError as error:
            raise DamagedFileError(f"io.load: {name}: {error}") from error.__cause__
        except MismatchError as error:
            raise MismatchError(f"io.load: {name}: {error}") from error.__cause__


def _rebuilt(manifest: dict[str, Any], tensors: dict[str, np.ndarray], like: Any) -> Any:
    specs = iter(manifest["leaves"])

    def take(example: Any, where: str) -> Any:
        spec, where = next(specs), f"the leaf {where}" if where else "the tree"
        if example is not Ellipsis:
            check_leaf(spec, example, where)
        return from_tensor(spec, tensors.pop(spec["tensor"]) if "tensor" in spec else None, where)

    return rebuild(manifest["structure"], like, take)
