"""`reduce`, `accumulate` and `reduceat` (and `at`) of every ufunc of two operands, by its elementwise rule.

Sums, products and extrema have primitives (`_reduce.py`, `_sort.py`). The others are made of the ufunc itself: by
halves where NumPy says that the order does not matter (`hypot`, `logaddexp`, `gcd`), one element after the other where
it does (`subtract`, `divide`, `power`), in a `scan` where there are many. `reduceat` reduces segments of equal
length together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from funcgrad.control.associative import associative_scan
from funcgrad.control.loops import scan
from funcgrad.numpy._dispatch import OF_EVERY_UFUNC, UFUNC_METHODS, array_operand, assigned
from funcgrad.numpy._index import take
from funcgrad.numpy._known import known
from funcgrad.numpy._reduce import given, reduction_axes
from funcgrad.numpy._shape import astype, axis_index, whole
from funcgrad.numpy._ufunc_at import at
from funcgrad.types import dtype_of, is_a

__all__ = ["accumulate", "reduce", "reduceat"]

_UNROLLED = 8
"""Up to so many elements are combined one by one; more, in a `scan`."""

Step = Callable[[Any, Any], Any]


def reduce(
    ufunc: np.ufunc,
    array: Any,
    axis: Any = 0,
    dtype: Any = None,
    keepdims: bool = False,
    initial: Any = np._NoValue,
    where: Any = True,
) -> Any:
    """`ufunc.reduce`: the elements along axes combined, the first with the second, the result with the third.

    Raises:
        ValueError: several axes, where the order matters; no elements, or a mask, where there is no identity and
            `initial` is not given.
    """
    _check_binary(ufunc, "reduce")
    x = array_operand(array)
    x = astype(x, _loop(ufunc, "reduce", x.dtype, dtype))
    axes = reduction_axes(None if whole(axis, x.ndim) else axis, x.ndim)
    if len(axes) > 1 and is_a(ufunc, np.ufunc) and not _reorderable(ufunc, x.dtype):
        raise ValueError(
            f"reduction operation {ufunc.__name__!r} is not reorderable, so at most one axis may be specified, "
            f"got {axes}"
        )
    rows = _rows(x, axes)
    start = _start(ufunc, initial, x.dtype)
    if where is not True:
        if start is None:
            raise ValueError(
                f"reduction operation {ufunc.__name__!r} does not have an identity, so to use a where mask one has to "
                "specify 'initial'"
            )
        out = _masked(ufunc, rows, start, _rows(np.broadcast_to(array_operand(where), x.shape), axes))
    else:
        out = _combined(ufunc, rows, start)
    return np.reshape(out, tuple(1 if i in axes else n for i, n in enumerate(x.shape))) if keepdims else out


def _check_binary(ufunc: np.ufunc, method: str) -> None:
    if ufunc.nin != 2 or ufunc.nout != 1 or ufunc.signature is not None:
        raise ValueError(f"{method} only supported for functions of two elements that give one, not {ufunc.__name__}")


def _loop(ufunc: np.ufunc, method: str, have: np.dtype[Any], wanted: Any) -> np.dtype[Any]:
    """The dtype in which NumPy does it; raises TypeError where the ufunc has no such loop."""
    if not is_a(ufunc, np.ufunc):  # one that was made of a function
        return dtype_of(ufunc(np.ones((), have), np.ones((), have))) if wanted is None else np.dtype(wanted)
    return getattr(ufunc, method)(np.ones(1, have), dtype=wanted).dtype


@lru_cache(maxsize=256)
def _reorderable(ufunc: np.ufunc, dtype: np.dtype[Any]) -> bool:
    """Whether NumPy takes elements in any order, and so several axes at once."""
    if not is_a(ufunc, np.ufunc):
        return False
    try:
        ufunc.reduce(np.ones((1, 1), dtype), axis=(0, 1))
    except ValueError:
        return False
    return True


def _start(ufunc: np.ufunc, initial: Any, dtype: np.dtype[Any]) -> Any:
    """What a reduction begins with: `initial`, else the identity if the ufunc has one."""
    if given(initial):
        return assigned(initial, dtype)
    if initial is None or ufunc.identity is None:
        return None
    return np.asarray(ufunc.identity).astype(dtype)[()]


def _rows(x: Any, axes: tuple[int, ...]) -> Any:
    """The axes to reduce over as one, the first."""
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    shape = (math.prod(x.shape[i] for i in axes), *(x.shape[i] for i in kept))
    return np.reshape(np.transpose(x, axes + kept), shape)


def _combined(ufunc: np.ufunc, rows: Any, start: Any) -> Any:
    n = rows.shape[0]
    if not n:
        if start is None:
            raise ValueError(f"zero-size array to reduction operation {ufunc.__name__} which has no identity")
        return np.broadcast_to(start, rows.shape[1:])
    if not _reorderable(ufunc, rows.dtype):
        return _in_turn(ufunc, rows, start)
    while rows.shape[0] > 1:
        half = rows.shape[0] // 2
        pairs = ufunc(rows[0 : 2 * half : 2], rows[1 : 2 * half : 2])
        rows = np.concatenate([pairs, rows[2 * half :]]) if rows.shape[0] % 2 else pairs
    return rows[0] if start is None else ufunc(start, rows[0])


def _in_turn(step: Step, rows: Any, start: Any) -> Any:
    """The elements one after the other."""
    first, rest = (rows[0], rows[1:]) if start is None else (np.broadcast_to(start, rows.shape[1:]), rows)
    if rest.shape[0] > _UNROLLED:
        return scan(lambda total, x: (step(total, x), None), first, rest)[0]
    for i in range(rest.shape[0]):
        first = step(first, rest[i])
    return first


def _masked(ufunc: np.ufunc, rows: Any, start: Any, mask: Any) -> Any:
    """What the mask leaves out is not combined: neither does it warn, nor bring a NaN into a derivative."""
    one = rows.dtype.type(1)

    def step(total: Any, element: Any) -> Any:
        x, m = element
        return np.where(m, ufunc(np.where(m, total, one), np.where(m, x, one)), total)

    total = np.broadcast_to(start, rows.shape[1:])
    if rows.shape[0] > _UNROLLED:
        return scan(lambda total, element: (step(total, element), None), array_operand(total), (rows, mask))[0]
    for i in range(rows.shape[0]):
        total = step(total, (rows[i], mask[i]))
    return total


def accumulate(ufunc: np.ufunc, array: Any, axis: Any = 0, dtype: Any = None) -> Any:
    """`ufunc.accumulate`: at each place along an axis what the elements up to there are combined to."""
    _check_binary(ufunc, "accumulate")
    x = array_operand(array)
    if not x.ndim:
        raise TypeError("cannot accumulate on a scalar")
    x = astype(x, _loop(ufunc, "accumulate", x.dtype, dtype))
    i = axis_index(axis, x.ndim)
    if x.shape[i] < 2:
        return np.positive(x) if x.dtype.kind != "b" else np.logical_or(x, False)
    if _reorderable(ufunc, x.dtype):
        return associative_scan(lambda a, b: ufunc(a, b), x, axis=i)
    rows = np.moveaxis(x, i, 0)
    if rows.shape[0] <= _UNROLLED:
        totals = [rows[0]]
        for k in range(1, rows.shape[0]):
            totals.append(ufunc(totals[-1], rows[k]))
        return np.stack(totals, i)

    def step(total: Any, element: Any) -> Any:
        total = ufunc(total, element)
        return total, total

    later = scan(step, rows[0], rows[1:])[1]
    return np.moveaxis(np.concatenate([rows[:1], later]), 0, i)


def reduceat(ufunc: np.ufunc, array: Any, indices: Any, axis: Any = 0, dtype: Any = None) -> Any:
    """`ufunc.reduceat`: each segment along an axis, from one index up to the next, combined.

    Where an index is not below the next one, the result is the element there.
    """
    _check_binary(ufunc, "reduceat")
    x = array_operand(array)
    i = axis_index(axis, x.ndim)
    name = f"numpy.{ufunc.__name__}.reduceat"
    starts = np.asarray(known(indices, name, "its indices must be known; pass them as static arguments"))
    if starts.ndim != 1 or starts.dtype.kind not in "iu":
        raise TypeError(
            f"{name}: the indices must be integers in one dimension, got {starts.dtype}{list(starts.shape)}"
        )
    n = x.shape[i]
    for start in starts.tolist():
        if not 0 <= start < n:
            raise IndexError(f"index {start} out-of-bounds in {ufunc.__name__}.reduceat [0, {n})")
    x = astype(x, _loop(ufunc, "reduce", x.dtype, dtype))
    ends = np.append(starts[1:], n)
    lengths = np.maximum(ends - starts, 1)
    if not len(starts):
        return np.zeros((*x.shape[:i], 0, *x.shape[i + 1 :]), x.dtype)
    parts: list[Any] = []
    order: list[np.ndarray] = []
    for length in np.unique(lengths).tolist():
        chosen = np.flatnonzero(lengths == length)
        places = starts[chosen][:, None] + np.arange(length)
        segments = np.moveaxis(take(x, places, axis=i), i + 1, 0)
        parts.append(segments[0] if length == 1 else _segment(ufunc, segments))
        order.append(chosen)
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts, i)
    return joined if len(parts) == 1 else take(joined, np.argsort(np.concatenate(order)), axis=i)


def _segment(ufunc: np.ufunc, segments: Any) -> Any:
    """Segments along the first axis, by the rule for such reductions where there is one."""
    fun = UFUNC_METHODS.get((ufunc, "reduce"))
    return _combined(ufunc, segments, None) if fun is None else fun(segments, axis=0, dtype=segments.dtype)


OF_EVERY_UFUNC.update(reduce=reduce, accumulate=accumulate, reduceat=reduceat, at=at)
