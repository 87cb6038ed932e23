"""Writing at computed places: `lax.scatter`, `scatter_add` and so on, with XLA's dimension numbers and modes.

Places are those of `_gather`. Updates that are dropped are written to one more row of the array, which is cut off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.control.associative import associative_scan
from funcgrad.control.loops import fori_loop
from funcgrad.core import Tracer
from funcgrad.lax._gather import GatherScatterMode, Ints, ScatterDimensionNumbers, clips, ints, leading, places
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._shape import slice_axis
from funcgrad.ops.index import GATHER, SCATTER, SCATTER_ADD, SCATTER_MAX, SCATTER_MIN
from funcgrad.transforms.boundary import check_callable
from funcgrad.transforms.vmap import vmap
from funcgrad.types import dtype_of, is_a, shape_of

__all__ = [
    "scatter",
    "scatter_add",
    "scatter_apply",
    "scatter_max",
    "scatter_min",
    "scatter_mul",
    "scatter_sub",
]


class _Writing(NamedTuple):
    """A scatter in the terms of the primitives.

    Attributes:
        x: the array, with a further row where updates may be dropped.
        updates: first the dimensions of the indices, then those along `axes`, then the others.
        rows: indices along `axes`, which broadcast to all dimensions of the updates before the others.
        axes: the axes that are indexed.
        end: of `axes[0]`, without the further row.
        unique: whether no element is written twice.
    """

    x: Any
    updates: Any
    rows: list[Any]
    axes: Ints
    end: int
    unique: bool

    def finished(self, out: Any, shape: Ints) -> Any:
        """What was computed from `x`, as the result."""
        if shape_of(out)[self.axes[0]] != self.end:
            out = slice_axis(out, self.axes[0], 0, self.end)
        return out if shape_of(out) == shape else np.reshape(out, shape)

    def flat(self) -> _Flat:
        """The same with one indexed axis and one other."""
        shape = shape_of(self.x)
        order = (*self.axes, *(a for a in range(len(shape)) if a not in self.axes))
        moved = tuple(shape[a] for a in order)
        count, inner = math.prod(moved[: len(self.axes)]), math.prod(moved[len(self.axes) :])
        spanned = np.broadcast_shapes(*map(shape_of, self.rows))
        rows = [np.broadcast_to(r, spanned) for r in self.rows]
        numbers = _numbers(rows, shape, self.axes)
        updates = np.reshape(self.updates, (math.prod(spanned), inner))
        x = np.reshape(np.transpose(self.x, order), (count, inner))
        end = count // max(moved[0], 1) * self.end
        if end == count:
            x = np.concatenate([x, np.zeros((1, inner), x.dtype)])
        back = np.argsort(order).tolist()
        return _Flat(x, updates, numbers, end, lambda out: np.transpose(np.reshape(out[:count], moved), back))


class _Flat(NamedTuple):
    """A scatter along the first of two axes.

    Attributes:
        x: the array.
        updates: with as many rows as there are indices.
        numbers: the indices; those from `end` on are of rows that are not kept.
        end: the number of rows that are kept.
        back: what makes an array like that of the `_Writing` of one like `x`.
    """

    x: Any
    updates: Any
    numbers: Any
    end: int
    back: Callable[[Any], Any]

    def ordered(self) -> tuple[Any, Any, Any]:
        """The permutation that sorts the indices, these in order, and where another one begins."""
        order = np.argsort(self.numbers, stable=True)
        numbers = GATHER.bind(self.numbers, order, axes=(0,))
        first = np.concatenate([np.ones(min(1, shape_of(order)[0]), bool), numbers[1:] != numbers[:-1]])
        return order, numbers, first


def _writing(
    what: str, operand: Any, indices: Any, updates: Any, numbers: ScatterDimensionNumbers, mode: Any, unique: bool
) -> _Writing:
    x, indices, updates = array_operand(operand), array_operand(indices), array_operand(updates)
    window, inserted, given, batching, index_batching = (ints(d) for d in numbers)
    omitted = {*inserted, *batching}
    along = [a for a in range(x.ndim) if a not in omitted]
    lead = tuple(n for d, n in enumerate(updates.shape) if d not in window)
    if list(window) != sorted(set(window)) or len(window) != len(along) or any(d >= updates.ndim for d in window):
        raise TypeError(
            f"{what}: update_window_dims must be {len(along)} ascending dimensions of updates of shape "
            f"{updates.shape}, got {window}"
        )
    if lead != shape_of(indices)[:-1]:
        raise TypeError(
            f"{what}: updates of shape {updates.shape} have the dimensions {lead} beside {window}, and indices of "
            f"shape {shape_of(indices)} have {shape_of(indices)[:-1]} before the last; these must be equal"
        )
    shape, sizes = x.shape, dict(zip(along, (updates.shape[d] for d in window), strict=True))
    if not x.ndim:  # an axis to write along
        shape, inserted = (1,), (0,)
        x = np.reshape(x, shape)
    each = tuple(sizes.get(i, 1) for i in range(len(shape)))
    at = places(what, shape, indices, each, inserted, given, batching, index_batching, clips(mode), least=1)
    outer = [d for d in range(updates.ndim) if d not in window]
    updates = np.transpose(updates, [*outer, *(window[along.index(a)] for a in at.kept)]).astype(x.dtype)
    rows, first = list(at.rows), at.axes[0]
    spanned = shape_of(updates)[: len(lead) + sum(a in at.axes for a in at.kept)]
    if at.inside is not None:
        rows[0] = np.where(leading(at.inside, lead, len(spanned)), rows[0], shape[first])
        x = np.concatenate([x, np.zeros((*shape[:first], 1, *shape[first + 1 :]), x.dtype)], first)
    if np.broadcast_shapes(*map(shape_of, rows)) != spanned:
        rows[0] = np.broadcast_to(rows[0], spanned)
    return _Writing(x, updates, rows, at.axes, shape[first], unique or _distinct(rows, x.shape, at.axes))


def _distinct(rows: Sequence[Any], shape: Ints, axes: Ints) -> bool:
    """Whether indices that are known are different ones."""
    if any(is_a(r, Tracer) for r in rows):
        return False
    numbers = _numbers(rows, shape, axes)
    return len(np.unique(numbers)) == numbers.size


def _numbers(rows: Sequence[Any], shape: Ints, axes: Ints) -> Any:
    """Joint indices as single ones, in one dimension."""
    total = rows[0]
    for row, axis in zip(rows[1:], axes[1:], strict=True):
        total = total * shape[axis] + row
    return np.reshape(total, (-1,))


def scatter(
    operand: Any,
    scatter_indices: Any,
    updates: Any,
    dimension_numbers: ScatterDimensionNumbers,
    *,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: str | GatherScatterMode | None = None,
) -> Any:
    """An array with updates written at many places; of several for one element the last one stays.

    Args:
        operand: an array.
        scatter_indices: integers `(*lead, m)`: for each update where it is written, along `m` axes.
        updates: an array with the dimensions `lead` and those of what is written; cast to the operand's dtype.
        dimension_numbers: what the dimensions are (`ScatterDimensionNumbers`).
        indices_are_sorted: accepted.
        unique_indices: the caller says that no element is written twice.
        mode: what is done about updates that leave the array (`GatherScatterMode`, or "clip", "drop",
            "promise_in_bounds"); by default they are dropped. Negative indices are outside.

    Returns:
        An array like `operand`. The derivative by an update that does not stay is zero.

    Raises:
        TypeError: sizes, indices and dimension numbers do not fit together.

    >>> numbers = ScatterDimensionNumbers((), (0,), (0,))
    >>> scatter(np.zeros(4), np.array([[1], [3], [4]]), np.array([1.0, 2.0, 3.0]), numbers)
    array([0., 1., 0., 2.])
    """
    w = _writing("scatter", operand, scatter_indices, updates, dimension_numbers, mode, unique_indices)
    return w.finished(SCATTER.bind(w.x, w.updates, *w.rows, axes=w.axes), shape_of(operand))


def _sums(w: _Writing) -> Any:
    return SCATTER_ADD.bind(w.updates, *w.rows, axes=w.axes, shape=shape_of(w.x))


def scatter_add(
    operand: Any,
    scatter_indices: Any,
    updates: Any,
    dimension_numbers: ScatterDimensionNumbers,
    *,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: str | GatherScatterMode | None = None,
) -> Any:
    """An array with updates added at many places; arguments as for `scatter`.

    >>> scatter_add(np.zeros(3), np.array([[1], [1]]), np.array([1.0, 2.0]), ScatterDimensionNumbers((), (0,), (0,)))
    array([0., 3., 0.])
    """
    w = _writing("scatter_add", operand, scatter_indices, updates, dimension_numbers, mode, unique_indices)
    return w.finished(np.add(w.x, _sums(w)), shape_of(operand))


def scatter_sub(
    operand: Any,
    scatter_indices: Any,
    updates: Any,
    dimension_numbers: ScatterDimensionNumbers,
    *,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: str | GatherScatterMode | None = None,
) -> Any:
    """An array with updates subtracted at many places; arguments as for `scatter`.

    >>> scatter_sub(np.zeros(3), np.array([[1], [1]]), np.array([1.0, 2.0]), ScatterDimensionNumbers((), (0,), (0,)))
    array([ 0., -3.,  0.])
    """
    w = _writing("scatter_sub", operand, scatter_indices, updates, dimension_numbers, mode, unique_indices)
    return w.finished(np.subtract(w.x, _sums(w)), shape_of(operand))


def scatter_min(
    operand: Any,
    scatter_indices: Any,
    updates: Any,
    dimension_numbers: ScatterDimensionNumbers,
    *,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: str | GatherScatterMode | None = None,
) -> Any:
    """The minimum of an element and of the updates at its place; arguments as for `scatter`.

    The element and updates that attain it share the derivative equally.

    >>> scatter_min(np.ones(3), np.array([[1], [1]]), np.array([-1.0, 2.0]), ScatterDimensionNumbers((), (0,), (0,)))
    array([ 1., -1.,  1.])
    """
    w = _writing("scatter_min", operand, scatter_indices, updates, dimension_numbers, mode, unique_indices)
    return w.finished(SCATTER_MIN.bind(w.x, w.updates, *w.rows, axes=w.axes), shape_of(operand))


def scatter_max(
    operand: Any,
    scatter_indices: Any,
    updates: Any,
    dimension_numbers: ScatterDimensionNumbers,
    *,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: str | GatherScatterMode | None = None,
) -> Any:
    """The maximum of an element and of the updates at its place; see `scatter_min`.

    >>> scatter_max(np.ones(3), np.array([[1], [1]]), np.array([-1.0, 2.0]), ScatterDimensionNumbers((), (0,), (0,)))
    array([1., 2., 1.])
    """
    w = _writing("scatter_max", operand, scatter_indices, updates, dimension_numbers, mode, unique_indices)
    return w.finished(SCATTER_MAX.bind(w.x, w.updates, *w.rows, axes=w.axes), shape_of(operand))


def scatter_mul(
    operand: Any,
    scatter_indices: Any,
    updates: Any,
    dimension_numbers: ScatterDimensionNumbers,
    *,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: str | GatherScatterMode | None = None,
) -> Any:
    """An array multiplied by updates at many places; arguments as for `scatter`.

    Derivatives are those of the products, also where factors are zero.

    >>> scatter_mul(np.ones(3), np.array([[1], [1]]), np.array([3.0, 2.0]), ScatterDimensionNumbers((), (0,), (0,)))
    array([1., 6., 1.])
    """
    w = _writing("scatter_mul", operand, scatter_indices, updates, dimension_numbers, mode, unique_indices)
    if w.unique:
        product = GATHER.bind(w.x, *w.rows, axes=w.axes) * w.updates
        return w.finished(SCATTER.bind(w.x, product, *w.rows, axes=w.axes), shape_of(operand))
    flat = w.flat()
    order, numbers, first = flat.ordered()
    rows = GATHER.bind(flat.updates, order, axes=(0,))

    def join(a: tuple[Any, Any], b: tuple[Any, Any]) -> tuple[Any, Any]:
        """The products since an index began, of two runs of updates."""
        return np.logical_or(a[0], b[0]), np.where(b[0], np.ones((), dtype_of(rows)), a[1]) * b[1]

    _, products = associative_scan(join, (np.broadcast_to(first[:, None], shape_of(rows)), rows))
    last = np.concatenate([first[1:], np.ones(min(1, shape_of(order)[0]), bool)])
    numbers = np.where(last, numbers, flat.end)
    factors = SCATTER.bind(np.ones(shape_of(flat.x), dtype_of(rows)), products, numbers, axes=(0,))
    return w.finished(flat.back(flat.x * factors), shape_of(operand))


def scatter_apply(
    operand: Any,
    scatter_indices: Any,
    func: Callable[[Any], Any],
    dimension_numbers: ScatterDimensionNumbers,
    *,
    update_shape: Sequence[int] = (),
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: str | GatherScatterMode | None = None,
) -> Any:
    """An array with a function applied to elements at many places, as often as an index occurs.

    Args:
        operand: an array.
        scatter_indices: as for `scatter`.
        func: a function of a scalar.
        dimension_numbers: as for `scatter`.
        update_shape: the shape that updates would have.
        indices_are_sorted: accepted.
        unique_indices: the caller says that each element is meant once, so that the function is applied once.
        mode: as for `scatter`.

    >>> numbers = ScatterDimensionNumbers((), (0,), (0,))
    >>> scatter_apply(np.full(3, 2.0), np.array([[1], [1], [2]]), np.square, numbers, update_shape=(3,))
    array([ 2., 16.,  4.])
    """
    check_callable(func, "scatter_apply")
    zeros = np.zeros(tuple(update_shape), dtype_of(array_operand(operand)))
    w = _writing("scatter_apply", operand, scatter_indices, zeros, dimension_numbers, mode, unique_indices)
    flat = w.flat()
    x = flat.x
    if 0 in (flat.end, *shape_of(flat.updates)):
        return array_operand(operand)

    def applied(x: Any, numbers: Any) -> Any:
        """Once at each of these places; those that are not kept see an element that is."""
        seen = GATHER.bind(x, np.where(numbers < flat.end, numbers, 0), axes=(0,))
        new = vmap(func)(np.reshape(seen, (-1,)))
        return SCATTER.bind(x, np.reshape(new, shape_of(seen)).astype(x.dtype), numbers, axes=(0,))

    if w.unique:
        return w.finished(flat.back(applied(x, flat.numbers)), shape_of(operand))
    _, numbers, first = flat.ordered()
    places = np.arange(shape_of(numbers)[0])
    occurrence = places - np.maximum.accumulate(np.where(first, places, 0))
    rounds = np.max(occurrence) + 1

    def once(i: Any, x: Any) -> Any:
        return applied(x, np.where(occurrence == i, numbers, flat.end))

    return w.finished(flat.back(fori_loop(0, rounds, once, x)), shape_of(operand))
