"""Functions of integers: bits packed into bytes, and indices of several dimensions as numbers of elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.errors import DTypeError
from funcgrad.numpy._dispatch import array_operand, implements
from funcgrad.numpy._index import take
from funcgrad.numpy._shape import axis_index
from funcgrad.types import shape_of

__all__ = ["packbits", "ravel_multi_index", "tril_indices_from", "triu_indices_from", "unpackbits", "unravel_index"]

_BYTE = np.dtype(np.uint8)


def _weights(bitorder: str, name: str) -> np.ndarray:
    """What each of eight bits counts."""
    if bitorder not in ("big", "little"):
        raise ValueError(f"{name}: bitorder must be 'big' or 'little', got {bitorder!r}")
    places = np.arange(8, dtype=np.uint8)
    return np.left_shift(np.uint8(1), places[::-1] if bitorder == "big" else places)


@implements(np.packbits)
def packbits(a: Any, /, axis: Any = None, bitorder: str = "big") -> Any:
    """Eight elements along an axis as the bits of a byte: uint8. Zeros fill up the last byte."""
    x = array_operand(a)
    if x.dtype.kind not in "biu":
        raise DTypeError(f"packbits: expected integers or booleans, got {x.dtype}; write packbits(x != 0)")
    x = np.ravel(x) if axis is None or not x.ndim else np.moveaxis(x, axis_index(axis, x.ndim), -1)
    n = x.shape[-1]
    lead = x.shape[:-1]
    bits = np.not_equal(x, 0).astype(_BYTE)
    rest = -n % 8
    if rest:
        bits = np.concatenate([bits, np.zeros((*lead, rest), _BYTE)], axis=-1)
    groups = np.reshape(bits, (*lead, (n + rest) // 8, 8))
    out: Any = np.sum(groups * _weights(bitorder, "packbits"), axis=-1, dtype=_BYTE)
    return out if axis is None else np.moveaxis(out, -1, axis_index(axis, out.ndim))


@implements(np.unpackbits)
def unpackbits(a: Any, /, axis: Any = None, count: int | None = None, bitorder: str = "big") -> Any:
    """The bits of bytes (uint8) along an axis: uint8, eight times as many; `count` of them, or all but -`count`."""
    x = array_operand(a)
    if x.dtype != _BYTE:
        raise DTypeError(f"unpackbits: expected an array of unsigned bytes, uint8, got {x.dtype}")
    x = np.ravel(x) if axis is None or not x.ndim else np.moveaxis(x, axis_index(axis, x.ndim), -1)
    bits = np.not_equal(np.bitwise_and(np.expand_dims(x, -1), _weights(bitorder, "unpackbits")), 0).astype(_BYTE)
    out = np.reshape(bits, (*x.shape[:-1], 8 * x.shape[-1]))
    n = out.shape[-1]
    if count is not None and count > n:
        out = np.concatenate([out, np.zeros((*out.shape[:-1], count - n), _BYTE)], axis=-1)
    elif count is not None:
        if count < -n:
            raise ValueError(f"unpackbits: -count {count} is larger than the number of elements, {n}")
        out = out[..., :count]
    return out if axis is None else np.moveaxis(out, -1, axis_index(axis, out.ndim))


# ---------------------------------------------------------------------------------------------------------- indices


def _whole(x: Any, name: str) -> Any:
    x = array_operand(x)
    if x.dtype.kind not in "iu":
        raise TypeError(f"{name}: only int indices are permitted, got {x.dtype}")
    return x.astype(np.intp)


def _in_range(i: Any, n: int) -> Any:
    """Indices as they are; one that is negative or not below `n` raises IndexError when they are computed."""
    return take(np.arange(n), np.where(i < 0, n, i), axis=0)


@implements(np.unravel_index)
def unravel_index(indices: Any, shape: Any, order: str = "C") -> tuple[Any, ...]:
    """The index of each dimension for numbers of elements.

    Raises IndexError (where they are computed) for numbers that are out of range.
    """
    dims = tuple(np.atleast_1d(np.asarray(shape, int)).tolist())
    _check_order(order, "unravel_index")
    i = _in_range(_whole(indices, "unravel_index"), math.prod(dims))
    out: list[Any] = []
    for n in dims if order == "F" else dims[::-1]:
        i, rest = np.divmod(i, n)
        out.append(rest)
    return tuple(out if order == "F" else out[::-1])


@implements(np.ravel_multi_index)
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Any:
    """The numbers of elements for an index of each dimension.

    Indices out of range raise IndexError where they are computed; with mode "wrap" they count from the start again,
    with "clip" the nearest that there is is taken.
    """
    sizes = tuple(np.atleast_1d(np.asarray(dims, int)).tolist())
    _check_order(order, "ravel_multi_index")
    given: Sequence[Any] = multi_index if isinstance(multi_index, (tuple, list)) else list(array_operand(multi_index))
    if len(given) != len(sizes):
        raise ValueError(f"ravel_multi_index: parameter multi_index must be a sequence of length {len(sizes)}")
    modes = (mode,) * len(sizes) if isinstance(mode, str) else tuple(mode)
    total: Any = 0
    step = 1
    axes = range(len(sizes)) if order == "F" else reversed(range(len(sizes)))
    for axis in axes:
        n, i = sizes[axis], _whole(given[axis], "ravel_multi_index")
        if modes[axis] == "wrap":
            i = np.mod(i, n)
        elif modes[axis] == "clip":
            i = np.clip(i, 0, n - 1)
        elif modes[axis] == "raise":
            i = _in_range(i, n)
        else:
            raise ValueError(f"ravel_multi_index: mode must be 'raise', 'wrap' or 'clip', got {modes[axis]!r}")
        total, step = total + i * step, step * n
    return total


def _check_order(order: str, name: str) -> None:
    if order not in ("C", "F"):
        raise ValueError(f"{name}: order must be 'C' or 'F', got {order!r}")


def _plane(arr: Any, name: str) -> tuple[int, int]:
    shape = shape_of(array_operand(arr))
    if len(shape) != 2:
        raise ValueError(f"{name}: input array must be 2-d, got {shape}")
    return shape[0], shape[1]


@implements(np.tril_indices_from)
def tril_indices_from(arr: Any, k: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The indices of the lower triangle of a matrix; they depend on its shape alone."""
    n, m = _plane(arr, "tril_indices_from")
    return np.tril_indices(n, k, m)


@implements(np.triu_indices_from)
def triu_indices_from(arr: Any, k: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The indices of the upper triangle of a matrix; they depend on its shape alone."""
    n, m = _plane(arr, "triu_indices_from")
    return np.triu_indices(n, k, m)
