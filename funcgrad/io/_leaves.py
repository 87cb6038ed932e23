"""Leaves as plain arrays and facts in JSON, and back: the part that both formats of files share.

A Python scalar or a string is a fact alone. An array is stored as an array of little-endian numbers, with its own dtype
noted; random keys as their words, under the name of the generator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad._array import Array, WeakArray
from funcgrad.core import Tracer
from funcgrad.io._errors import DamagedFileError, MismatchError
from funcgrad.random import key_data, key_impl, wrap_key_data
from funcgrad.types import is_a, is_key

__all__ = ["as_tensor", "check_leaf", "checksum", "decode_value", "encode_value", "from_tensor"]

_CLASSES: dict[type, str | None] = {np.ndarray: None, np.memmap: None, Array: "Array", WeakArray: "WeakArray"}
_SCALARS: dict[type, tuple[Callable[[Any], str], Callable[[str], Any]]] = {
    bool: (str, lambda text: {"True": True, "False": False}[text]),
    int: (hex, lambda text: int(text, 16)),
    float: (float.hex, float.fromhex),
    complex: (lambda z: f"{z.real.hex()} {z.imag.hex()}", lambda text: complex(*map(float.fromhex, text.split(" ")))),
    str: (str, str),
}
"""Python's scalars as text, exactly, and back."""
_BY_NAME = {cls.__name__: cls for cls in _SCALARS}


def checksum(data: Any) -> str:
    """The SHA-256 of the bytes of an array or a buffer, in hexadecimal digits."""
    if type(data) is np.ndarray:
        data = data.reshape(-1).view(np.uint8) if data.size else b""
    return hashlib.sha256(data).hexdigest()


def as_tensor(leaf: Any, where: str) -> tuple[dict[str, Any], np.ndarray | None]:
    """What is said of a leaf, and the contiguous little-endian array that is stored, or None where all is said.

    Raises:
        TypeError: for a leaf that is neither a number, a string, a random key nor an array of numbers or keys.
    """
    cls = type(leaf)
    if cls in _SCALARS:
        return {"python": cls.__name__, "value": _SCALARS[cls][0](leaf)}, None
    if is_a(leaf, Tracer):
        raise TypeError(
            f"io.save: {where} is a traced value, which stands for many; save outside of the transformed function, or "
            "call it in funcgrad.debug.callback"
        )
    if is_key(leaf):
        words = np.asarray(key_data(leaf))
        spec: dict[str, Any] = {"key": key_impl(leaf), "shape": list(leaf.shape)}
        return spec | {"sha256": checksum(words)}, np.ascontiguousarray(words)
    if not (cls in _CLASSES or is_a(leaf, np.generic)) or leaf.dtype.kind not in "biufc":
        what = f"an array of dtype {leaf.dtype}" if hasattr(leaf, "dtype") else f"of type {cls.__name__}"
        raise TypeError(
            f"io.save: {where} is {what}; files hold arrays of numbers, random keys, Python's numbers and strings. "
            "Convert it with np.asarray, or leave it out"
        )
    dtype: np.dtype[Any] = leaf.dtype
    spec = {"dtype": dtype.str, "shape": list(leaf.shape)}
    if is_a(leaf, np.generic):
        spec["class"] = "generic"
    elif _CLASSES[cls]:
        spec["class"] = _CLASSES[cls]
    array = np.asarray(leaf)
    if array.flags.f_contiguous and not array.flags.c_contiguous:
        spec["order"] = "F"  # sums over an array go along its memory, and so do their roundings
    tensor = np.ascontiguousarray(array, dtype.newbyteorder("<")).view(np.ndarray).reshape(array.shape)
    return spec | {"sha256": checksum(tensor)}, tensor


def from_tensor(spec: dict[str, Any], tensor: np.ndarray | None, where: str) -> Any:
    """The leaf of which `as_tensor` made these."""
    if tensor is None:
        return _SCALARS[_BY_NAME[spec["python"]]][1](spec["value"])
    if "key" in spec:
        return wrap_key_data(tensor, impl=spec["key"])
    array = tensor.astype(np.dtype(spec["dtype"]), order=spec.get("order", "C"), copy=False)
    if list(array.shape) != spec["shape"]:
        raise DamagedFileError(f"{where} has shape {array.shape}, and should have {tuple(spec['shape'])}")
    match spec.get("class"):
        case "generic":
            return array[()]
        case "Array":
            return array.view(Array)
        case "WeakArray":
            return array.view(WeakArray)
        case _:
            return array


def _said(spec: dict[str, Any]) -> str:
    if "python" in spec:
        return f"a Python {spec['python']}"
    if "key" in spec:
        return f"random keys ({spec['key']}) of shape {tuple(spec['shape'])}"
    return f"{np.dtype(spec['dtype'])}{list(spec['shape'])}"


def check_leaf(spec: dict[str, Any], like: Any, where: str) -> None:
    """Raises MismatchError unless `like` has the shape and dtype (or is of the Python type) of the stored leaf."""
    cls = type(like)
    if cls in _SCALARS:
        found, same = f"a Python {cls.__name__}", spec.get("python") == cls.__name__
    elif is_key(like):
        impl = key_impl(like)
        found = f"random keys ({impl}) of shape {tuple(like.shape)}"
        same = spec.get("key") == impl and spec["shape"] == list(like.shape)
    elif hasattr(like, "dtype") and hasattr(like, "shape"):
        dtype = np.dtype(like.dtype)
        found, same = f"{dtype}{list(like.shape)}", spec.get("dtype") == dtype.str and spec["shape"] == list(like.shape)
    else:
        found, same = f"of type {cls.__name__}", False
    if not same:
        raise MismatchError(f"{where} is {_said(spec)}, and {found} in `like`")


def encode_value(value: Any) -> Any:
    """Static data of a tree (keys of dicts, fields of classes) in JSON; what has no such form is marked "opaque"."""
    cls = type(value)
    if value is None or cls is bool or cls is str:
        return value
    if cls in _SCALARS:
        return {cls.__name__: _SCALARS[cls][0](value)}
    if cls is tuple or cls is list:
        return {cls.__name__: [encode_value(v) for v in value]}
    if cls is dict:
        return {"dict": [[encode_value(k), encode_value(v)] for k, v in value.items()]}
    return {"opaque": f"{cls.__module__}.{cls.__qualname__}"}


def decode_value(code: Any) -> Any:
    """The inverse of `encode_value`. Raises ValueError for what is opaque."""
    if type(code) is not dict:
        return code
    ((name, inside),) = code.items()
    if name in ("tuple", "list"):
        return {"tuple": tuple, "list": list}[name](decode_value(v) for v in inside)
    if name == "dict":
        return {decode_value(k): decode_value(v) for k, v in inside}
    if name in _BY_NAME:
        return _SCALARS[_BY_NAME[name]][1](inside)
    raise ValueError(f"a value of type {inside}, which no file holds")
