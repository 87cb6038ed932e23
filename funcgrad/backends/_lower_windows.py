"""Convolution, and reductions over windows, in the array API standard.

An input is padded (and dilated) as a whole; what the windows see at one place in them is then one strided slice of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from funcgrad.backends._lowerings import Table, is_kind, scalar, sliced, written
from funcgrad.ops.conv_kernels import output_sizes

__all__ = ["WINDOWS"]

WINDOWS = Table()
"""Convolution, reductions over windows."""

_lowers = WINDOWS.lowers

Ints = tuple[int, ...]
Pair = tuple[int, int]


def _spread(xp: Any, x: Any, padding: Sequence[Ints], base: Ints, fill: Any) -> Any:
    """An array with `base - 1` elements between its own, and others around them; less of it where the padding is
    negative. Both are given for each axis."""
    whole = [(n - 1) * b + 1 if n else 0 for n, b in zip(x.shape, base, strict=True)]
    around = [(max(low, 0), max(high, 0)) for low, high in padding]
    shape = tuple(low + n + high for n, (low, high) in zip(whole, around, strict=True))
    out = x
    if shape != x.shape:
        out = xp.full(shape, fill, dtype=x.dtype)
        if 0 not in x.shape:
            inner = zip(whole, around, base, strict=True)
            out = written(xp, out, tuple(slice(low, low + n, b) for n, (low, _), b in inner), x)
    cut = [(max(-low, 0), max(-high, 0)) for low, high in padding]
    if any(map(any, cut)):
        ends = zip(shape, cut, strict=True)
        out = sliced(xp, out, tuple(slice(min(low, n), max(n - high, min(low, n))) for n, (low, high) in ends))
    return out


@_lowers("conv_general_dilated", "iufc")
def _conv(
    xp: Any,
    lhs: Any,
    rhs: Any,
    window_strides: Ints,
    padding: tuple[Ints, ...],
    lhs_dilation: Ints,
    rhs_dilation: Ints,
    feature_group_count: int,
    batch_group_count: int,
) -> Any:
    """The windows side by side (im2col), and one product for each group."""
    kernel = rhs.shape[2:]
    sizes = output_sizes(lhs.shape[2:], kernel, window_strides, padding, lhs_dilation, rhs_dilation)
    (n, c), o = lhs.shape[:2], rhs.shape[0]
    groups = feature_group_count * batch_group_count
    n_out, each, count = n // batch_group_count, c // feature_group_count, math.prod(kernel)
    if 0 in (n_out, o, each, count, *sizes):
        return xp.zeros((n_out, o, *sizes), dtype=lhs.dtype)
    x = _spread(xp, lhs, ((0, 0), (0, 0), *padding), (1, 1, *lhs_dilation), 0)
    windows: list[Any] = []
    for at in product(*map(range, kernel)):
        steps = zip(at, rhs_dilation, window_strides, sizes, strict=True)
        part = tuple(slice(k * d, k * d + (m - 1) * s + 1, s) for k, d, s, m in steps)
        windows.append(sliced(xp, x, (slice(None), slice(None), *part)))
    places = math.prod(sizes)
    columns = xp.reshape(
        xp.stack(windows, axis=2), (batch_group_count, n_out, feature_group_count, each * count, places)
    )
    columns = xp.reshape(xp.permute_dims(columns, (0, 2, 3, 1, 4)), (groups, each * count, n_out * places))
    out = xp.matmul(xp.reshape(rhs, (groups, o // groups, each * count)), columns)
    out = xp.permute_dims(xp.reshape(out, (o, n_out, places)), (1, 0, 2))
    return xp.reshape(out, (n_out, o, *sizes))


# ----------------------------------------------------------------------------------------------------- reductions


def _padded(xp: Any, x: Any, axis: int, padding: Pair, base: int, fill: Any) -> Any:
    """An array padded along one axis."""
    before, after = axis, len(x.shape) - axis - 1
    pads = [(0, 0)] * before + [padding] + [(0, 0)] * after
    return _spread(xp, x, pads, (*(1,) * before, base, *(1,) * after), fill)


def _places(x: Any, axis: int, width: int, stride: int, dilation: int, count: int) -> Iterator[tuple[slice, ...]]:
    """For each place in a window, where the windows find it in the padded array."""
    lead, rest = (slice(None),) * axis, (slice(None),) * (len(x.shape) - axis - 1)
    for j in range(width):
        start = j * dilation
        seen = slice(start, start + (count - 1) * stride + 1, stride) if count else slice(0, 0)
        yield (*lead, seen, *rest)


def _count(n: int, width: int, stride: int, dilation: int) -> int:
    room = n - ((width - 1) * dilation + 1)
    return room // stride + 1 if room >= 0 else 0


def _window_reduction(name: str, function: str, largest: bool | None) -> None:
    """An entry for a reduction over windows; `largest` is None for a sum."""

    def run(xp: Any, x: Any, axis: int, width: int, stride: int, dilation: int, padding: Pair, base: int = 1) -> Any:
        seen = _padded(xp, x, axis, padding, base, 0 if largest is None else _neutral(xp, x, largest))
        count = _count(seen.shape[axis], width, stride, dilation)
        combine = getattr(xp, function)
        out: Any = None
        for place in _places(seen, axis, width, stride, dilation, count):
            here = sliced(xp, seen, place)
            out = here if out is None else combine(out, here)
        return out

    _lowers(name, "iufc" if largest is None else "iuf", (function,))(run)


def _neutral(xp: Any, x: Any, largest: bool) -> Any:
    """What never is the largest (smallest) element."""
    if is_kind(xp, x, "real floating"):
        return -math.inf if largest else math.inf
    info = xp.iinfo(x.dtype)
    return int(info.min if largest else info.max)


_window_reduction("reduce_window_sum", "add", None)
_window_reduction("reduce_window_max", "maximum", True)
_window_reduction("reduce_window_min", "minimum", False)


def _hits(
    xp: Any, x: Any, out: Any, axis: int, width: int, stride: int, dilation: int, padding: Pair, largest: bool
) -> Iterator[tuple[tuple[slice, ...], Any]]:
    """For each place in a window: where the windows find it, and which of them have their extreme element there."""
    seen = _padded(xp, x, axis, padding, 1, 0)
    inside = _padded(xp, xp.ones(x.shape, dtype=xp.bool), axis, padding, 1, False)
    for place in _places(seen, axis, width, stride, dilation, out.shape[axis]):
        here = sliced(xp, seen, place)
        worse = here < out if largest else here > out
        yield (
            place,
            sliced(xp, inside, place) & xp.logical_not(worse),
        )  # any element is the extreme one where that is NaN


@_lowers("select_and_gather", "iuf")
def _select_and_gather(xp: Any, t: Any, x: Any, out: Any, axis: int, padding: Pair, **window: Any) -> Any:
    given = _padded(xp, t, axis, padding, 1, 0)
    result = xp.zeros(out.shape, dtype=t.dtype)
    for place, hit in reversed(list(_hits(xp, x, out, axis, padding=padding, **window))):
        result = xp.where(hit, sliced(xp, given, place), result)  # the first one has the last word
    return result


@_lowers("select_and_scatter", "iuf")
def _select_and_scatter(xp: Any, ct: Any, x: Any, out: Any, axis: int, padding: Pair, **window: Any) -> Any:
    result = _padded(xp, xp.zeros(x.shape, dtype=ct.dtype), axis, padding, 1, 0)
    rest, zero = ct, scalar(xp, 0, ct)  # of the windows that have selected no element yet
    for place, hit in _hits(xp, x, out, axis, padding=padding, **window):
        value = sliced(xp, result, place) + xp.where(hit, rest, zero)
        result = written(xp, result, place, value)
        rest = xp.where(hit, zero, rest)
    low, high = padding
    return _padded(xp, result, axis, (-low, -high), 1, 0)
