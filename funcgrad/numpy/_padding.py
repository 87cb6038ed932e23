"""`numpy.pad` in all its modes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.numpy._dispatch import array_operand, implements
from funcgrad.numpy._index import slice_axis, take
from funcgrad.ops.shape import PLACE
from funcgrad.types import is_a

__all__ = ["pad"]

Pair = Sequence[int]

_OPTIONS = {
    "constant": {"constant_values"}, "edge": set(), "empty": set(), "wrap": set(), "linear_ramp": {"end_values"},
    "maximum": {"stat_length"}, "minimum": {"stat_length"}, "mean": {"stat_length"}, "median": {"stat_length"},
    "reflect": {"reflect_type"}, "symmetric": {"reflect_type"},
}  # fmt: skip
_STATISTICS: dict[str, Callable[..., Any]] = {
    "maximum": np.max, "minimum": np.min, "mean": np.mean, "median": np.median,
}  # fmt: skip

_FEW_RUNS = 5


@implements(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **options: Any) -> Any:
    """Pad with constants, a ramp, statistics, or with what the array has at its ends; as `numpy.pad`.

    A function as `mode` may write into the row that it is given, as NumPy has it, or return another, as JAX has it.
    """
    x = array_operand(array)
    if isinstance(pad_width, dict):
        found = [pad_width.get(i, pad_width.get(i - x.ndim, 0)) for i in range(x.ndim)]
        pad_width = [np.broadcast_to(width, 2) for width in found]
    widths = _pairs(pad_width, x.ndim)
    if any(w < 0 for pair in widths for w in pair):
        raise ValueError(f"pad: widths cannot be negative, got {pad_width}")
    if callable(mode):
        return _pad_by(mode, x, widths, options)
    if mode not in _OPTIONS:
        raise ValueError(f"pad: mode {mode!r} is not supported; there are {', '.join(_OPTIONS)}")
    unknown = set(options) - _OPTIONS[mode]
    if unknown:
        raise ValueError(f"pad: unsupported keyword arguments for mode {mode!r}: {', '.join(sorted(unknown))}")
    if mode in ("constant", "empty"):
        return _pad_constant(x, widths, options.get("constant_values", 0))
    for axis, width in enumerate(widths):
        if not any(width):
            continue
        if not x.shape[axis]:
            raise ValueError(f"pad: can't extend empty axis {axis} using modes other than 'constant' or 'empty'")
        if mode == "linear_ramp":
            ends = np.broadcast_to(array_operand(options.get("end_values", 0)), (x.ndim, 2))[axis]
            x = _pad_ramp(x, axis, width, ends)
        elif mode in _STATISTICS:
            lengths = _pairs(options.get("stat_length"), x.ndim)[axis]
            x = _pad_statistic(x, axis, width, mode, lengths)
        elif options.get("reflect_type", "even") == "odd":
            x = _pad_odd(x, axis, width, mode)
        else:
            x = _taken(x, _indices(x.shape[axis], width, mode), axis)
    return x


def _pairs(given: Any, ndim: int) -> list[Any]:
    """A number, a pair, or pairs for all axes, as a list of pairs."""
    return np.broadcast_to(np.asarray(given, dtype=object if given is None else None), (ndim, 2)).tolist()


def _along(x: Any, axis: int, ndim: int) -> Any:
    """A vector along one of `ndim` axes."""
    return np.reshape(x, (-1,) + (1,) * (ndim - axis - 1))


def _indices(n: int, width: Pair, mode: str, **options: Any) -> Any:
    """The indices that pad an axis of size n: np.pad itself, asked about indices."""
    return np.pad(np.arange(n), tuple(width), mode=mode, **options)  # type: ignore[call-overload]


def _taken(x: Any, index: Any, axis: int) -> Any:
    """Elements along an axis, as a few slices where that is possible: they are views, whose derivatives are too."""
    runs = _runs(index.tolist())
    if len(runs) > _FEW_RUNS:
        return take(x, index, axis)
    shape, parts = list(x.shape), []
    for start, count, step in runs:
        shape[axis] = count
        part = slice_axis(x, axis, start, count if step else 1, step or 1)
        parts.append(part if step else np.broadcast_to(part, tuple(shape)))
    return np.concatenate(parts, axis)


def _runs(index: Sequence[int]) -> list[tuple[int, int, int]]:
    """Numbers as (first, count, step) with steps of 1, -1 and 0."""
    runs: list[tuple[int, int, int]] = []
    for i in index:
        first, count, step = runs[-1] if runs else (i, 0, 1)
        if count == 1 and abs(i - first) <= 1:
            step = i - first
        if count and i == first + count * step:
            runs[-1] = first, count + 1, step
        else:
            runs.append((i, 1, 1))
    return runs


def _pad_constant(x: Any, widths: Sequence[Pair], values: Any) -> Any:
    shape = tuple(n + a + b for n, (a, b) in zip(x.shape, widths, strict=True))
    out = PLACE.bind(x, start=tuple(a for a, _ in widths), step=(1,) * x.ndim, shape=shape)
    if is_a(values, (int, float)) and values == 0:
        return out
    fills = np.broadcast_to(array_operand(values).astype(x.dtype), (x.ndim, 2))
    for axis, (before, after) in enumerate(widths):
        position = _along(np.arange(shape[axis]), axis, x.ndim)
        out = np.where(position < before, fills[axis, 0], out)
        out = np.where(position >= shape[axis] - after, fills[axis, 1], out)
    return out


def _pad_ramp(x: Any, axis: int, width: Pair, ends: Any) -> Any:
    """A straight line from an end value, outermost, to the element at the end."""
    before, after = width
    n = x.shape[axis]

    def ramp(count: int, edge: Any, end: Any, steps: Any) -> Any:
        steps = _along(steps, axis, x.ndim)
        line = end + (edge - end) * (steps / max(count, 1))
        return (np.floor(line) if x.dtype.kind in "iu" else line).astype(x.dtype)

    left = ramp(before, slice_axis(x, axis, 0, 1), ends[0], np.arange(before))
    right = ramp(after, slice_axis(x, axis, n - 1, 1), ends[1], np.arange(after)[::-1])
    return np.concatenate([left, x, right], axis)


def _pad_statistic(x: Any, axis: int, width: Pair, mode: str, lengths: Sequence[Any]) -> Any:
    """The maximum, minimum, mean or median of as many elements at each end."""
    n = x.shape[axis]
    parts = [x]
    for side, (count, length) in enumerate(zip(width, lengths, strict=True)):
        used = n if length is None else min(int(length), n)
        if used < 0:
            raise ValueError("pad: index can't contain negative values")
        if not used and mode in ("maximum", "minimum"):
            raise ValueError("pad: stat_length of 0 yields no value for padding")
        value = _STATISTICS[mode](slice_axis(x, axis, 0 if side == 0 else n - used, used), axis=axis, keepdims=True)
        value = np.rint(value) if x.dtype.kind in "iu" and value.dtype.kind == "f" else value
        shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
        parts.insert(0 if side == 0 else 2, np.broadcast_to(value.astype(x.dtype), shape))
    return np.concatenate(parts, axis)


def _pad_odd(x: Any, axis: int, width: Pair, mode: str) -> Any:
    """Reflections about a point. Each element of the result is a·first + b·last + (1 - a - b)·(some element)."""
    n = x.shape[axis]
    if n == 1:
        return take(x, _indices(n, width, mode), axis)
    at = _indices(n, width, mode)

    def coefficient(i: int) -> Any:
        probe = np.zeros(n, np.int64)
        probe[i] = 1
        return np.pad(probe, tuple(width), mode=mode, reflect_type="odd")  # type: ignore[call-overload]

    first, last = coefficient(0), coefficient(n - 1)
    rest = np.where((at == 0) | (at == n - 1), 0, 1 - first - last)
    terms = ((first, np.zeros_like(at)), (last, np.full_like(at, n - 1)), (rest, at))
    out: Any = 0
    for factor, index in terms:
        factor = _along(factor, axis, x.ndim)
        term = take(x, index, axis) * factor.astype(x.dtype)
        out = out + np.where(factor != 0, term, term.dtype.type(0))
    return out


def _pad_by(fun: Callable[..., Any], x: Any, widths: Sequence[Pair], options: dict[str, Any]) -> Any:
    """A function of the user's for each row along each axis."""
    out = np.copy(_pad_constant(x, widths, 0))
    for axis in range(x.ndim):
        rows = np.moveaxis(out, axis, -1)
        for i in np.ndindex(rows.shape[:-1]):
            row = rows[i]
            new = fun(row, tuple(widths[axis]), axis, options)
            if new is not None and new is not row:
                row[...] = new
    return out
