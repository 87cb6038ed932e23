"""`guard`: the value of this operand was used by Python, and it was that.

A function that branches on values is recorded for one path through it. Each value that decides is an equation of the
record: without results, but with an effect, since what follows holds only if the value is the same.

Values are asked for in several ways, and each has a *key*, what must be equal for the recording to hold: `bool` its
truth; `int` the integer; `float` and `complex` the bits; `bytes` the bits of a whole array.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.errors import GuardError
from funcgrad.ops.rules import constant
from funcgrad.types import dtype_of, is_a

__all__ = ["GUARD", "KEYS", "asked", "key_text"]

_FLOAT, _COMPLEX = struct.Struct("d"), struct.Struct("dd")


def _float_key(x: Any) -> bytes:
    return _FLOAT.pack(float(x))


def _complex_key(x: Any) -> bytes:
    z = complex(x)
    return _COMPLEX.pack(z.real, z.imag)


def _bytes_key(x: Any) -> bytes:
    return np.asarray(x).tobytes()


KEYS: dict[str, Callable[[Any], Any]] = {
    "bool": bool, "int": int, "float": _float_key, "complex": _complex_key, "bytes": _bytes_key,
}  # fmt: skip
"""For each way of asking, the key of a value."""

_BY_DTYPE = {"b": "bool", "i": "int", "u": "int", "f": "float", "c": "complex"}


def asked(value: Any, how: str) -> tuple[str, Any]:
    """The kind of guard for a value that is asked for, and its key; raises what the conversion raises.

    `how` is a kind of guard, or `index` (an integer is wanted) or `item` (the value as a Python number).
    """
    dtype = dtype_of(value)
    if how == "index":
        return "int", operator.index(value[()] if is_a(value, np.ndarray) else value)
    if how == "item" and np.size(value) != 1:
        how = "bytes"
    if how == "item" or (how in ("float", "complex") and dtype.kind in "biu"):
        how = _BY_DTYPE[dtype.kind]
    key = KEYS[how](value)
    return how, key


def key_text(kind: str, key: Any) -> str:
    """A key as a reader knows it."""
    if kind == "float":
        return repr(_FLOAT.unpack(key)[0])
    if kind == "complex":
        return repr(complex(*_COMPLEX.unpack(key)))
    return f"an array of {len(key)} bytes" if kind == "bytes" else repr(key)


def _impl(x: Any, kind: str, value: Any) -> tuple[Any, ...]:
    found = KEYS[kind](x)
    if found != value:
        raise GuardError(
            f"this program was recorded where {kind}(x) was {key_text(kind, value)}, and is run where it is "
            f"{key_text(kind, found)}"
        )
    return ()


def _batch(args: Sequence[Any], batched: Sequence[bool], size: int, kind: str, value: Any) -> tuple[Any, ...]:
    for i in range(size):
        GUARD.bind(args[0][i], kind=kind, value=value)
    return ()


GUARD = constant("guard", _impl, lambda x, kind, value: (), multiple=True, effect=True, batch=_batch)
"""Hold if the key of the operand is `value`."""
