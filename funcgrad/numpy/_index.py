"""Indexing: every form that NumPy has, brought to `slice`, `gather`, `transpose` and `reshape` by a plan (`_plan`)."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.aliasing import scalar, unordered
from funcgrad.numpy._dispatch import array_operand, implements, operand
from funcgrad.numpy._known import known
from funcgrad.numpy._plan import Plan, plan_index
from funcgrad.numpy._shape import axis_index, broadcast_to, moveaxis, reshape, slice_axis, transpose, whole
from funcgrad.numpy._views import Diagonal, Window, axis_window, reshaped
from funcgrad.ops.index import GATHER, SCATTER, SCATTER_ADD
from funcgrad.ops.shape import PLACE, SLICE, SPLIT
from funcgrad.types import broadcast_shapes, dtype_of, is_a, is_weak, result_dtype, shape_of
from funcgrad.writes import owned, viewed

__all__ = [
    "along", "argwhere", "array_split", "choose", "compress", "diag", "diag_indices_from", "diagonal", "diff", "dsplit",
    "ediff1d", "extract", "flatnonzero", "gathered", "getitem", "hsplit", "ix_", "nonzero",
    "scatter_into", "scattered", "split", "take", "take_along_axis", "trace", "tril", "triu", "vander", "vsplit",
]  # fmt: skip


def getitem(x: Any, index: Any) -> Any:
    """`x[index]`, for every form of index."""
    plan = plan_index(shape_of(x), index)
    if not plan.axes:
        window = Window(plan.start, plan.size, plan.step, plan.shape, plan.whole)
        out = window.read(x)
        if plan.shape or _has_ellipsis(index):
            return viewed(x, out, window)
        return out if out is not x else scalar(x)
    return gathered(x if plan.whole == shape_of(x) else reshape(x, plan.whole), plan)


def gathered(x: Any, plan: Plan) -> Any:
    """What a plan reads from an array that has its shape `whole`, as a new array."""
    if not plan.axes:
        return owned(Window(plan.start, plan.size, plan.step, plan.shape, plan.whole).read(x), (x,))
    if plan.size != plan.whole or any(s != 1 for s in plan.step):
        x = SLICE.bind(x, start=plan.start, size=plan.size, step=plan.step)
    out = transpose(GATHER.bind(x, *plan.indices, axes=plan.axes), plan.order)
    out = reshape(out, plan.shape)
    return out if plan.axes == tuple(range(len(plan.axes))) else unordered(out)


def window_of(x: Any, index: Any) -> Window | None:
    """Where the view `x[index]` lies; None where NumPy makes a copy."""
    plan = plan_index(shape_of(x), index)
    return None if plan.axes else Window(plan.start, plan.size, plan.step, plan.shape, plan.whole)


def _has_ellipsis(index: Any) -> bool:
    return index is Ellipsis or (isinstance(index, tuple) and any(i is Ellipsis for i in index))


def scatter_into(x: Any, index: Any, values: Any, add: bool) -> Any:
    """A copy of `x` with `values` written (or added) at an index: what `x[index] = values` would make."""
    x = array_operand(x)
    plan = plan_index(x.shape, index)
    values = array_operand(values).astype(x.dtype)
    if not add and not plan.axes:
        values = _assigned(values, plan.shape)
        return Window(plan.start, plan.size, plan.step, plan.shape, plan.whole).write(x, values)
    return reshaped(scattered(reshaped(x, plan.whole), plan, values, add), x.shape)


def scattered(x: Any, plan: Plan, values: Any, add: bool) -> Any:
    """A copy of an array that has a plan's shape `whole`, with values written (or added) where that says."""
    values = _assigned(values, plan.shape)
    if not add and not plan.axes:
        return Window(plan.start, plan.size, plan.step, plan.shape, plan.whole).write(x, values)
    return _write(x, values, plan, add)


def _assigned(values: Any, shape: tuple[int, ...]) -> Any:
    """Values broadcast as in an assignment, where they may have more leading axes, of size 1."""
    extra = values.ndim - len(shape)
    if extra > 0 and values.shape[:extra] == (1,) * extra:
        values = reshape(values, values.shape[extra:])
    return broadcast_to(values, shape)


def _write(x: Any, values: Any, plan: Plan, add: bool) -> Any:
    if plan.axes:
        dims = broadcast_shapes(*map(shape_of, plan.indices))
        rest = tuple(n for i, n in enumerate(plan.size) if i not in plan.axes)
        moved = [(dims + rest)[i] for i in plan.order]
        back = np.argsort(plan.order)
        values = transpose(reshape(values, tuple(moved)), back)
        indices = [_shifted(i, x.shape[a]) for i, a in zip(plan.indices, plan.axes, strict=True)]
        return _write_gathered(x, values, indices, plan, add)
    return x + PLACE.bind(reshaped(values, plan.size), start=plan.start, step=plan.step, shape=x.shape)


def _shifted(index: Any, n: int) -> Any:
    return np.where((index < 0) & (index >= -n), index + n, index) if np.ndim(index) else index % n


def _write_gathered(x: Any, values: Any, indices: Sequence[Any], plan: Plan, add: bool) -> Any:
    whole = plan.size == x.shape and all(s == 1 for s in plan.step)
    if add and whole:
        return x + SCATTER_ADD.bind(values, *indices, axes=plan.axes, shape=x.shape)
    if whole:
        return SCATTER.bind(x, values, *indices, axes=plan.axes)
    part = SLICE.bind(x, start=plan.start, size=plan.size, step=plan.step)
    written = _write_gathered(part, values, indices, plan._replace(start=(0,) * x.ndim, step=(1,) * x.ndim), add)
    return Window(plan.start, plan.size, plan.step, plan.size, x.shape).write(x, written)


# ------------------------------------------------------------------------------------------------------ take & co.


@implements(np.take)
def take(a: Any, indices: Any, axis: Any = None, out: None = None, mode: str = "raise") -> Any:
    """Elements at indices along an axis (of the flattened array by default); modes raise, wrap and clip."""
    x = array_operand(a)
    if whole(axis, x.ndim):
        x, axis = np.ravel(x), 0
    axis = axis_index(axis, x.ndim)
    i = operand(indices)
    if not np.can_cast(dtype_of(i), np.intp, "same_kind") and not is_weak(i):
        raise TypeError(f"take: indices of {dtype_of(i)} are no integers")
    if mode == "wrap":
        i = np.mod(i, x.shape[axis])
    elif mode == "clip":
        i = np.clip(i, 0, x.shape[axis] - 1)
    return getitem(x, (slice(None),) * axis + (np.asarray(i) if is_a(i, (int, np.integer)) else i,))


def along(x: Any, indices: Any, axis: int) -> tuple[Any, ...]:
    """The joint index for `take_along_axis`."""
    grid: list[Any] = []
    for i, n in enumerate(x.shape):
        if i == axis:
            grid.append(indices)
        else:  # an axis of the indices may have size 1
            rows = np.arange(n) if indices.shape[i] == n else np.zeros(1, int)
            grid.append(rows.reshape((1,) * i + (-1,) + (1,) * (x.ndim - i - 1)))
    return tuple(grid)


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    """Elements at indices along an axis, each position with an index of its own."""
    x, i = array_operand(arr), array_operand(indices)
    if axis is None:
        x, axis = np.ravel(x), 0
    if i.ndim != x.ndim:
        raise ValueError(f"take_along_axis: indices must have {x.ndim} dimensions as the array, got {i.shape}")
    axis = axis_index(axis, x.ndim)
    dims = list(broadcast_shapes(*((*s[:axis], 1, *s[axis + 1 :]) for s in (x.shape, i.shape))))
    x = broadcast_to(x, (*dims[:axis], x.shape[axis], *dims[axis + 1 :]))
    return getitem(x, along(x, broadcast_to(i, (*dims[:axis], i.shape[axis], *dims[axis + 1 :])), axis))


def _places(a: Any, name: str) -> tuple[np.ndarray, ...]:
    """The indices of elements that are not zero, for the function `name`."""
    remedy = f"give size= (and fill_value=), the number of elements to return, with funcgrad.numpy.{name}"
    return np.nonzero(known(np.not_equal(array_operand(a), 0), name, remedy + "; or use np.where(mask, x, 0)"))


@implements(np.nonzero)
def nonzero(a: Any) -> tuple[Any, ...]:
    """The indices of elements that are not zero; needs concrete values."""
    return _places(a, "nonzero")


@implements(np.flatnonzero)
def flatnonzero(a: Any) -> Any:
    """Where the flattened array is not zero; needs concrete values."""
    return _places(np.ravel(a), "flatnonzero")[0]


@implements(np.argwhere)
def argwhere(a: Any) -> Any:
    """The indices of elements that are not zero, as rows; needs concrete values."""
    x = array_operand(a)
    if not x.ndim:  # no index has an axis
        return np.zeros((len(_places(x.reshape(1), "argwhere")[0]), 0), np.intp)
    return np.stack(_places(x, "argwhere"), axis=1)


@implements(np.compress)
def compress(condition: Any, a: Any, axis: Any = None, out: None = None) -> Any:
    """The slices of `a` along an axis where the condition holds."""
    (where,) = _places(condition, "compress")
    return take(a, where, axis)


@implements(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    """The elements where the condition holds."""
    return take(arr, _places(np.ravel(condition), "extract")[0])


@implements(np.choose)
def choose(a: Any, choices: Any, out: None = None, mode: str = "raise") -> Any:
    """For each element of `a` the choice of that number."""
    xs = [operand(x) for x in choices]
    index = operand(a)
    dtype, dims = result_dtype(*xs), broadcast_shapes(shape_of(index), *map(shape_of, xs))
    options = np.stack([np.broadcast_to(x, dims).astype(dtype) for x in xs])
    index = np.broadcast_to(index, dims)
    index = (
        np.mod(index, len(options))
        if mode == "wrap"
        else np.clip(index, 0, len(options) - 1)
        if mode == "clip"
        else index
    )
    return take_along_axis(options, index[None], 0)[0]


@implements(np.ix_, view=True)
def ix_(*args: Any) -> tuple[Any, ...]:
    """An open mesh of index arrays."""
    flat = [nonzero(x)[0] if dtype_of(x).kind == "b" else x for x in map(array_operand, args)]
    return tuple(reshape(x, (1,) * i + (-1,) + (1,) * (len(flat) - i - 1)) for i, x in enumerate(flat))


@implements(np.diag_indices_from)
def diag_indices_from(arr: Any) -> Any:
    """The indices of the main diagonal."""
    return np.diag_indices(shape_of(arr)[0], len(shape_of(arr)))


# ------------------------------------------------------------------------------------------- diagonals, triangles


@implements(np.diagonal, view=True)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The diagonals of two axes, as a new last axis."""
    x = array_operand(a)
    offset, axis1, axis2 = map(operator.index, (offset, axis1, axis2))
    places = np.diagonal(np.arange(x.size).reshape(x.shape), offset, axis1, axis2)
    moved = moveaxis(x, (axis1, axis2), (-2, -1))
    rows, cols = moved.shape[-2:]
    n = max(min(rows + min(offset, 0), cols - max(offset, 0)), 0)
    i = np.arange(n)
    out = moved[..., i - min(offset, 0), i + max(offset, 0)]
    return viewed(x, owned(out, ()), Diagonal(places)) if out is not x else out


@implements(np.trace)
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: None = None) -> Any:
    """The sum of a diagonal."""
    return np.sum(diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


@implements(np.diag, view=True)
def diag(v: Any, k: int = 0) -> Any:
    """The k-th diagonal of a matrix, or the matrix with a vector as its k-th diagonal."""
    x = array_operand(v)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ValueError(f"diag takes one or two dimensions, got shape {x.shape}")
    n = x.shape[0] + abs(k)
    i = np.arange(x.shape[0])
    return SCATTER_ADD.bind(x, i + max(-k, 0), i + max(k, 0), axes=(0, 1), shape=(n, n))


@implements(np.tril)
def tril(m: Any, k: int = 0) -> Any:
    """The lower triangle, zero elsewhere."""
    x = array_operand(m)
    return np.where(np.tri(*x.shape[-2:], k=k, dtype=bool), x, np.zeros((), x.dtype))


@implements(np.triu)
def triu(m: Any, k: int = 0) -> Any:
    """The upper triangle, zero elsewhere."""
    x = array_operand(m)
    return np.where(np.tri(*x.shape[-2:], k=k - 1, dtype=bool), np.zeros((), x.dtype), x)


@implements(np.vander)
def vander(x: Any, N: Any = None, increasing: bool = False) -> Any:
    """The Vandermonde matrix."""
    x = array_operand(x)
    powers = np.arange(x.shape[0] if N is None else N)
    return x[:, None] ** (powers if increasing else powers[::-1])


# -------------------------------------------------------------------------------------------------- split and pad


@implements(np.array_split, view=True)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Split along an axis into nearly equal parts, or at given indices."""
    x = array_operand(ary)
    axis = axis_index(axis, x.ndim)
    n = x.shape[axis]
    if np.ndim(indices_or_sections) == 0:
        sections = operator.index(indices_or_sections)
        each, extra = divmod(n, sections)
        bounds = np.cumsum([0] + [each + 1] * extra + [each] * (sections - extra)).tolist()
    else:
        bounds = [0, *map(operator.index, indices_or_sections), n]
    if bounds == sorted(bounds) and 0 <= bounds[-2] <= n and bounds[0] == 0:
        parts = SPLIT.bind(x, sizes=tuple(b - a for a, b in itertools.pairwise(bounds)), axis=axis)
        return [viewed(x, part, axis_window(x, axis, a, part.shape)) for a, part in zip(bounds, parts, strict=False)]
    parts: list[Any] = []
    for a, b in itertools.pairwise(bounds):  # parts that overlap, or lie in another order
        start, stop, _ = slice(a, b).indices(n)
        parts.append(slice_axis(x, axis, start if stop > start else 0, max(stop - start, 0)))
    return parts


@implements(np.split, view=True)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Split along an axis into equal parts, or at given indices."""
    if np.ndim(indices_or_sections) == 0 and np.shape(ary)[axis] % operator.index(indices_or_sections):
        raise ValueError(
            f"split: axis {axis} of {np.shape(ary)} does not divide into {indices_or_sections} equal parts"
        )
    return array_split(ary, indices_or_sections, axis)


@implements(np.vsplit, view=True)
def vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Split along the first axis."""
    return split(ary, indices_or_sections, 0)


@implements(np.hsplit, view=True)
def hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Split along the second axis (the first of a 1-D array)."""
    return split(ary, indices_or_sections, 0 if np.ndim(ary) == 1 else 1)


@implements(np.dsplit, view=True)
def dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Split along the third axis."""
    return split(ary, indices_or_sections, 2)


@implements(np.diff, view=True)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """The n-th differences along an axis."""
    x = array_operand(a)
    if n == 0:
        return x
    axis = axis_index(axis, x.ndim)
    ends = [None if e is None or e is np._NoValue else array_operand(e) for e in (prepend, append)]
    wide = [e if e is None or e.ndim else np.broadcast_to(e, (*x.shape[:axis], 1, *x.shape[axis + 1 :])) for e in ends]
    x = np.concatenate([p for p in (wide[0], x, wide[1]) if p is not None], axis)
    for _ in range(n):
        m = max(x.shape[axis] - 1, 0)
        low, high = slice_axis(x, axis, 0, m), slice_axis(x, axis, min(1, x.shape[axis]) if m else 0, m)
        x = np.not_equal(high, low) if x.dtype.kind == "b" else high - low
    return x


@implements(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """Differences of neighbours of the flattened array, with ends."""
    flat = np.ravel(array_operand(ary))
    middle = flat[1:] - flat[:-1]
    parts = [None if p is None else np.ravel(operand(p)) for p in (to_begin, middle, to_end)]
    for p in parts:
        if p is not None and not np.can_cast(p.dtype, middle.dtype, "same_kind"):
            raise TypeError(f"ediff1d: ends of {p.dtype} do not fit differences of {middle.dtype}")
    return np.concatenate([p.astype(middle.dtype) for p in parts if p is not None])
