"""Primitives that move, reduce, order and index elements, and products, in the array API standard.

`gather` is a `take` from a flat array. `scatter` and `scatter_add` sort by the index: the updates of one place are then
neighbours, whose sums a segmented scan finds in logarithmic depth, and each place looks up the last of its own.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from funcgrad.backends._lowerings import Table, accumulated, is_kind, scalar, sliced, written

__all__ = ["ARRAYS"]

ARRAYS = Table()
"""Primitives of whole arrays, and `stack` and `unstack`."""

_lowers = ARRAYS.lowers

Axes = tuple[int, ...]


# ----------------------------------------------------------------------------------------------------- moving


@_lowers("reshape")
def _reshape(xp: Any, x: Any, shape: tuple[int, ...]) -> Any:
    return xp.reshape(x, shape)


@_lowers("transpose")
def _transpose(xp: Any, x: Any, axes: Axes) -> Any:
    return xp.permute_dims(x, axes) if axes else x


@_lowers("broadcast_to")
def _broadcast_to(xp: Any, x: Any, shape: tuple[int, ...]) -> Any:
    return xp.broadcast_to(x, shape)


def _place_of(start: Sequence[int], size: Sequence[int], step: Sequence[int]) -> tuple[tuple[slice, ...], Axes]:
    """Slices with positive steps, and the axes that are to be flipped: not every library has negative ones."""
    slices: list[slice] = []
    flipped: list[int] = []
    for i, (a, n, s) in enumerate(zip(start, size, step, strict=True)):
        if n == 0:
            slices.append(slice(0, 0))
            continue
        if s < 0:
            a, s = a + (n - 1) * s, -s
            flipped.append(i)
        slices.append(slice(a, a + (n - 1) * s + 1, s))
    return tuple(slices), tuple(flipped)


@_lowers("slice")
def _slice(xp: Any, x: Any, start: Axes, size: Axes, step: Axes) -> Any:
    slices, flipped = _place_of(start, size, step)
    out = sliced(xp, x, slices) if slices else x
    return xp.flip(out, axis=flipped) if flipped else out


@_lowers("place")
def _place(xp: Any, x: Any, start: Axes, step: Axes, shape: Axes) -> Any:
    slices, flipped = _place_of(start, x.shape, step)
    if not slices:
        return x
    out = xp.zeros(shape, dtype=x.dtype)
    if 0 not in x.shape:
        out = written(xp, out, slices, xp.flip(x, axis=flipped) if flipped else x)
    return out


@_lowers("concatenate")
def _concatenate(xp: Any, *xs: Any, axis: int) -> Any:
    return xp.concat(xs, axis=axis)


@_lowers("split")
def _split(xp: Any, x: Any, sizes: Sequence[int], axis: int) -> tuple[Any, ...]:
    lead = (slice(None),) * axis
    rest = (slice(None),) * (len(x.shape) - axis - 1)
    return tuple(sliced(xp, x, (*lead, slice(b - n, b), *rest)) for n, b in zip(sizes, accumulate(sizes), strict=True))


@_lowers("stack")
def _stack(xp: Any, *xs: Any) -> Any:
    return xp.stack(xs, axis=0)


@_lowers("unstack")
def _unstack(xp: Any, x: Any) -> tuple[Any, ...]:
    rest = (slice(None),) * (len(x.shape) - 1)
    return tuple(xp.reshape(sliced(xp, x, (slice(i, i + 1), *rest)), x.shape[1:]) for i in range(x.shape[0]))


@_lowers("fit")
@_lowers("convert")
def _convert(xp: Any, x: Any, dtype: Any) -> Any:
    if dtype.kind == "b":
        return x if is_kind(xp, x, "bool") else x != scalar(xp, 0, x)
    if dtype.kind != "c" and is_kind(xp, x, "complex floating"):
        x = xp.real(x)
    return xp.astype(x, getattr(xp, dtype.name))


for _name in ("stop_gradient", "name", "stand_in"):
    _lowers(_name)(lambda xp, x, **params: x)


# -------------------------------------------------------------------------------------------- reductions and scans


def _reduction(name: str, kinds: str, function: str, of_booleans: str | None = None) -> None:
    """An entry for a reduction; one over no axis is one over an axis of size 1."""

    def run(xp: Any, x: Any, axes: Axes, keepdims: bool) -> Any:
        if of_booleans is not None and is_kind(xp, x, "bool"):
            reduce = getattr(xp, of_booleans)
        else:
            reduce = getattr(xp, function)
            x = accumulated(xp, x) if function in ("sum", "prod") else x
        if not axes:
            return reduce(xp.expand_dims(x, axis=0), axis=0)
        return reduce(x, axis=axes, keepdims=keepdims)

    _lowers(name, kinds, (function,))(run)


_reduction("reduce_sum", "biufc", "sum")
_reduction("reduce_prod", "biufc", "prod")
_reduction("reduce_max", "biuf", "max", "any")
_reduction("reduce_min", "biuf", "min", "all")
_reduction("reduce_and", "biufc", "all")
_reduction("reduce_or", "biufc", "any")


def _cumulative(name: str, function: str) -> None:
    def run(xp: Any, x: Any, axis: int, reverse: bool = False) -> Any:
        x = accumulated(xp, x)
        x = xp.flip(x, axis=axis) if reverse else x
        out = getattr(xp, function)(x, axis=axis)
        return xp.flip(out, axis=axis) if reverse else out

    _lowers(name, "biufc", (function,))(run)


_cumulative("cumsum", "cumulative_sum")
_cumulative("cumprod", "cumulative_prod")


def _along(xp: Any, x: Any, axis: int, start: int, stop: int) -> Any:
    rest = (slice(None),) * (len(x.shape) - axis - 1)
    return sliced(xp, x, (*(slice(None),) * axis, slice(start, stop), *rest))


def _running(name: str, function: str) -> None:
    """An entry for a running extreme value, by doubling the number of elements that are seen."""

    def run(xp: Any, x: Any, axis: int, reverse: bool = False) -> Any:
        best = getattr(xp, function)
        n, seen = x.shape[axis], 1
        while seen < n:
            early, late = _along(xp, x, axis, 0, n - seen), _along(xp, x, axis, seen, n)
            edge = _along(xp, x, axis, n - seen, n) if reverse else _along(xp, x, axis, 0, seen)
            both = best(early, late)
            x = xp.concat([both, edge] if reverse else [edge, both], axis=axis)
            seen *= 2
        return x

    _lowers(name, "iuf", (function,))(run)


_running("cummax", "maximum")
_running("cummin", "minimum")


@_lowers("linear_recurrence", "iufc")
def _linear_recurrence(xp: Any, a: Any, b: Any, axis: int, reverse: bool = False) -> Any:
    """Step by step: a scheme of less depth would multiply zeros with infinities that do not meet."""
    n = a.shape[axis]
    order = range(n)[::-1] if reverse else range(n)
    out: list[Any] = [None] * n
    total: Any = None
    for i in order:
        factor, term = _along(xp, a, axis, i, i + 1), _along(xp, b, axis, i, i + 1)
        total = out[i] = term if total is None else factor * total + term
    return xp.concat(out, axis=axis) if n else b


# ----------------------------------------------------------------------------------------------------------- order


def _ordered(xp: Any, x: Any) -> Any:
    return xp.astype(x, xp.uint8) if is_kind(xp, x, "bool") else x


@_lowers("sort", "biuf")
def _sort(xp: Any, x: Any, axis: int) -> Any:
    return xp.astype(xp.sort(_ordered(xp, x), axis=axis), x.dtype)


@_lowers("argsort", "biuf")
def _argsort(xp: Any, x: Any, axis: int, stable: bool) -> Any:
    return xp.astype(xp.argsort(_ordered(xp, x), axis=axis, stable=True), xp.int64)


def _arg(name: str) -> None:
    def run(xp: Any, x: Any, axis: int) -> Any:
        return xp.astype(getattr(xp, name)(_ordered(xp, x), axis=axis), xp.int64)

    _lowers(name, "biuf", (name,))(run)


_arg("argmax")
_arg("argmin")


@_lowers("searchsorted", "iuf", ("searchsorted",))
def _searchsorted(xp: Any, a: Any, v: Any, side: str) -> Any:
    return xp.astype(xp.searchsorted(a, v, side=side), xp.int64)


# -------------------------------------------------------------------------------------------------------- indexing


def _flat_index(xp: Any, indices: Sequence[Any], sizes: Sequence[int]) -> Any:
    """The place in the flat array of what each joint index points at; one that lies outside stays outside."""
    total = math.prod(sizes)
    flat = xp.zeros((), dtype=xp.int64)
    inside = xp.ones((), dtype=xp.bool)
    for i, n in zip(indices, sizes, strict=True):
        i = xp.astype(i, xp.int64)
        i = xp.where(i < 0, i + n, i)
        inside = inside & (i >= 0) & (i < n)
        flat = flat * n + i
    return xp.where(inside, flat, xp.asarray(total, dtype=xp.int64))


def _axes_first(xp: Any, x: Any, axes: Axes) -> tuple[Any, tuple[int, ...]]:
    """The array with these axes first and made one, and the shape of the others."""
    others = tuple(i for i in range(len(x.shape)) if i not in axes)
    rest = tuple(x.shape[i] for i in others)
    size = math.prod(x.shape[i] for i in axes)
    return xp.reshape(xp.permute_dims(x, (*axes, *others)), (size, *rest)), rest


@_lowers("gather")
def _gather(xp: Any, x: Any, *indices: Any, axes: Axes) -> Any:
    place = _flat_index(xp, indices, [x.shape[i] for i in axes])
    flat, rest = _axes_first(xp, x, axes)
    return xp.reshape(xp.take(flat, xp.reshape(place, (-1,)), axis=0), (*place.shape, *rest))


def _sorted_updates(xp: Any, updates: Any, indices: Sequence[Any], axes: Axes, shape: Axes) -> tuple[Any, Any]:
    """Updates in the order of their places (and of their own among the same place), and these places."""
    sizes = [shape[i] for i in axes]
    place = _flat_index(xp, indices, sizes)
    rest = tuple(n for i, n in enumerate(shape) if i not in axes)
    whole = xp.broadcast_to(updates, (*place.shape, *rest))
    place = xp.reshape(place, (-1,))
    place = xp.take(xp.arange(math.prod(sizes), dtype=xp.int64), place, axis=0)  # raises where a library checks
    order = xp.argsort(place, stable=True)
    whole = xp.reshape(whole, (place.shape[0], *rest))
    return xp.take(whole, order, axis=0), xp.take(place, order, axis=0)


def _looked_up(xp: Any, values: Any, places: Any, x: Any, axes: Axes) -> Any:
    """The array `x` with the last of the values for each place written there."""
    flat, rest = _axes_first(xp, x, axes)
    n = places.shape[0]
    if n and 0 not in x.shape:
        every = xp.arange(flat.shape[0], dtype=xp.int64)
        last = xp.astype(xp.searchsorted(places, every, side="right"), xp.int64) - 1
        last = xp.where(last < 0, xp.zeros_like(last), last)
        hit = xp.take(places, last, axis=0) == every
        flat = xp.where(xp.reshape(hit, (-1, *(1,) * len(rest))), xp.take(values, last, axis=0), flat)
    order = (*axes, *(i for i in range(len(x.shape)) if i not in axes))
    moved = xp.reshape(flat, tuple(x.shape[i] for i in order))
    return xp.permute_dims(moved, tuple(order.index(i) for i in range(len(order))))


@_lowers("scatter", needs=("searchsorted",))
def _scatter(xp: Any, x: Any, updates: Any, *indices: Any, axes: Axes) -> Any:
    values, places = _sorted_updates(xp, updates, indices, axes, x.shape)
    return _looked_up(xp, values, places, x, axes)


def _joined(xp: Any, op: Callable[[Any, Any], Any], values: Any, places: Any) -> Any:
    """At the last update of each place, all updates of it, joined by an operation of two."""
    n, seen = places.shape[0], 1
    column = (-1, *(1,) * (len(values.shape) - 1))
    while seen < n:  # the last 1, 2, 4, … updates of the same place
        same = xp.reshape(_along(xp, places, 0, seen, n) == _along(xp, places, 0, 0, n - seen), column)
        early, late = _along(xp, values, 0, 0, n - seen), _along(xp, values, 0, seen, n)
        values = xp.concat([_along(xp, values, 0, 0, seen), xp.where(same, op(early, late), late)], axis=0)
        seen *= 2
    return values


@_lowers("scatter_add", "iufc", ("searchsorted",))
def _scatter_add(xp: Any, updates: Any, *indices: Any, axes: Axes, shape: Axes) -> Any:
    values, places = _sorted_updates(xp, updates, indices, axes, shape)
    sums = _joined(xp, operator.add, values, places)
    return _looked_up(xp, sums, places, xp.zeros(shape, dtype=updates.dtype), axes)


def _scatter_extremum(name: str, function: str) -> None:
    @_lowers(name, "iuf", ("searchsorted", function))
    def lower(xp: Any, x: Any, updates: Any, *indices: Any, axes: Axes) -> Any:
        op = getattr(xp, function)
        values, places = _sorted_updates(xp, updates, indices, axes, x.shape)
        return op(x, _looked_up(xp, _joined(xp, op, values, places), places, x, axes))


_scatter_extremum("scatter_max", "maximum")
_scatter_extremum("scatter_min", "minimum")


# --------------------------------------------------------------------------------------------------------- products


@_lowers("dot_general")
def _dot_general(xp: Any, a: Any, b: Any, contract: tuple[Axes, Axes], batch: tuple[Axes, Axes]) -> Any:
    if is_kind(xp, a, "bool"):
        counts = _dot_general(xp, xp.astype(a, xp.int64), xp.astype(b, xp.int64), contract, batch)
        return counts != scalar(xp, 0, counts)
    (ca, cb), (ba, bb) = contract, batch
    fa = tuple(i for i in range(len(a.shape)) if i not in ca and i not in ba)
    fb = tuple(i for i in range(len(b.shape)) if i not in cb and i not in bb)
    lead, k = tuple(a.shape[i] for i in ba), math.prod(a.shape[i] for i in ca)
    free_a, free_b = tuple(a.shape[i] for i in fa), tuple(b.shape[i] for i in fb)
    left = xp.reshape(_transpose(xp, a, ba + fa + ca), (*lead, math.prod(free_a), k))
    right = xp.reshape(_transpose(xp, b, bb + cb + fb), (*lead, k, math.prod(free_b)))
    product = xp.matmul(left, right) if ca else left * right  # without a sum each is a column or a row
    return xp.reshape(product, lead + free_a + free_b)
