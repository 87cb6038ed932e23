"""Reductions by a function of two elements: over axes (`reduce`) and over windows (`reduce_window`)."""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as jnp
import funcgrad.tree as tree
from funcgrad.core import Tracer
from funcgrad.errors import ArgumentError, ShapeError
from funcgrad.lax._conv import padtype_to_pads
from funcgrad.lax._elementwise import NAMES
from funcgrad.lax._structural import pad
from funcgrad.lax._structural import slice as slice_
from funcgrad.lax._types import no_sharding
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._reduce import reduction_axes
from funcgrad.ops.conv_kernels import output_sizes
from funcgrad.ops.reduce import REDUCE_AND, REDUCE_MAX, REDUCE_MIN, REDUCE_OR, REDUCE_PROD, REDUCE_SUM
from funcgrad.ops.rules import PRIMITIVES
from funcgrad.ops.shape import PLACE
from funcgrad.ops.window import REDUCE_WINDOW_MAX, REDUCE_WINDOW_MIN, REDUCE_WINDOW_SUM, neutral
from funcgrad.transforms.boundary import boundary, check_callable
from funcgrad.transforms.jvp import jvp
from funcgrad.transforms.pullback import vjp
from funcgrad.transforms.vmap import vmap
from funcgrad.types import dtype_of, shape_of

__all__ = [
    "reduce",
    "reduce_window",
    "reduce_window_shape_tuple",
    "select_and_gather_add",
    "select_and_scatter_add",
]

Ints = tuple[int, ...]

_SAME: dict[Any, np.ufunc] = {
    operator.add: np.add,
    operator.mul: np.multiply,
    operator.and_: np.bitwise_and,
    operator.or_: np.bitwise_or,
    builtins.max: np.maximum,
    builtins.min: np.minimum,
}
for _name in ("add", "multiply", "maximum", "minimum", "logical_and", "logical_or", "bitwise_and", "bitwise_or"):
    _SAME[getattr(np, _name)] = _SAME[getattr(jnp, _name)] = getattr(np, _name)
for _name, _plain in (("ge", np.greater_equal), ("le", np.less_equal)):
    _SAME[NAMES[_name]] = _SAME[_plain] = _SAME[getattr(jnp, _plain.__name__)] = _SAME[PRIMITIVES[_name]] = _plain
for _name, _plain in (("add", np.add), ("mul", np.multiply), ("max", np.maximum), ("min", np.minimum),
                      ("bitwise_and", np.bitwise_and), ("bitwise_or", np.bitwise_or)):  # fmt: skip
    _SAME[NAMES[_name]] = _plain

_OVER_AXES = {np.add: REDUCE_SUM, np.multiply: REDUCE_PROD, np.maximum: REDUCE_MAX, np.minimum: REDUCE_MIN}
_OVER_BOOLEANS = {np.bitwise_and: REDUCE_AND, np.logical_and: REDUCE_AND, np.bitwise_or: REDUCE_OR,
                  np.logical_or: REDUCE_OR}  # fmt: skip
_OVER_WINDOWS = {np.add: REDUCE_WINDOW_SUM, np.maximum: REDUCE_WINDOW_MAX, np.minimum: REDUCE_WINDOW_MIN}


def _is_identity(ufunc: np.ufunc, x: Any, dtype: np.dtype[Any]) -> bool:
    """Whether a known value changes nothing when it is combined with another one."""
    if isinstance(x, Tracer) or shape_of(x):
        return False
    if ufunc in (np.maximum, np.minimum):
        largest = ufunc is np.maximum
        return bool(x == neutral(dtype, largest) or x == (-np.inf if largest else np.inf))  # also of integers
    return bool(x == ufunc.identity) or (ufunc is np.bitwise_and and bool(x == np.invert(np.zeros((), dtype))))


def _scalars(computation: Callable[..., Any], n: int, treedef: Any) -> Callable[[list[Any], list[Any]], list[Any]]:
    """A function of two lists of arrays that applies `computation` to their elements, as scalars."""

    def combine(a: list[Any], b: list[Any]) -> list[Any]:
        shape = shape_of(a[0])

        def one(*xs: Any) -> Any:
            return tree.leaves(computation(treedef.unflatten(xs[:n]), treedef.unflatten(xs[n:])))

        if math.prod(shape) == 0:
            return a
        out = vmap(one)(*(np.reshape(x, (-1,)) for x in (*a, *b)))
        if len(out) != n or any(shape_of(x)[1:] for x in out):
            raise ShapeError(f"the computation must give {n} scalars, as it takes them")
        return [np.reshape(x, shape).astype(dtype_of(like)) for x, like in zip(out, a, strict=True)]

    return combine


def _operands(operands: Any, init_values: Any, name: str) -> tuple[list[Any], list[Any], Any]:
    leaves, treedef = tree.flatten(operands)
    inits = treedef.flatten_up_to(init_values)
    xs = [array_operand(x) for x in leaves]
    if not xs or len({x.shape for x in xs}) > 1:
        raise ShapeError(f"{name}: the operands must have one shape, got {[x.shape for x in xs]}")
    for init in inits:
        if shape_of(init):
            raise ShapeError(f"{name}: initial values must be scalars, got shape {shape_of(init)}")
    return xs, inits, treedef


@boundary
def reduce(
    operands: Any,
    init_values: Any,
    computation: Callable[[Any, Any], Any],
    dimensions: Sequence[int],
    out_sharding: Any = None,
) -> Any:
    """Reduce over axes by an associative, commutative function of two scalars.

    Sums, products, extreme values and logical functions are recognised; any other function is applied to halves of the
    array until one element is left. Derivatives follow from those of the function.

    Args:
        operands: an array, or a pytree of arrays of one shape.
        init_values: scalars, as many.
        computation: `computation(x, y)`, of scalars (or of pytrees of them).
        dimensions: the axes.
        out_sharding: None.

    >>> reduce(np.arange(6.0).reshape(2, 3), 0.0, np.add, (1,))
    array([ 3., 12.])
    """
    no_sharding("reduce", out_sharding)
    check_callable(computation, "reduce")
    xs, inits, treedef = _operands(operands, init_values, "reduce")
    axes = reduction_axes(tuple(dimensions), xs[0].ndim)
    ufunc = _known(computation) if len(xs) == 1 else None
    if ufunc is not None:
        x = xs[0]
        primitive = _OVER_BOOLEANS.get(ufunc) if x.dtype.kind == "b" else _OVER_AXES.get(ufunc)
        if primitive is not None and not (primitive in (REDUCE_MAX, REDUCE_MIN) and _nothing(x.shape, axes)):
            out = primitive.bind(x, axes=axes, keepdims=False).astype(x.dtype)
            if not _is_identity(ufunc, inits[0], x.dtype):
                out = ufunc(out, array_operand(inits[0]).astype(x.dtype))
            return treedef.unflatten([out])
    combine = _scalars(computation, len(xs), treedef)
    kept = tuple(i for i in range(xs[0].ndim) if i not in axes)
    shape = tuple(xs[0].shape[i] for i in kept)
    rows = [np.reshape(np.transpose(x, axes + kept), (math.prod(x.shape[i] for i in axes), *shape)) for x in xs]
    start = [np.broadcast_to(array_operand(i).astype(x.dtype), shape) for i, x in zip(inits, xs, strict=True)]
    while rows[0].shape[0] > 1:
        half = rows[0].shape[0] // 2
        joined = combine([r[:half] for r in rows], [r[half : 2 * half] for r in rows])
        odd = rows[0].shape[0] % 2
        rows = [np.concatenate([j, r[-1:]]) if odd else j for j, r in zip(joined, rows, strict=True)]
    return treedef.unflatten(combine(start, [r[0] for r in rows]) if rows[0].shape[0] else start)


def _nothing(shape: Sequence[int], axes: Sequence[int]) -> bool:
    return any(shape[i] == 0 for i in axes)


def _known(computation: Any) -> np.ufunc | None:
    """The ufunc that a function stands for, or that it is wrapped around."""
    while computation is not None:
        try:
            if computation in _SAME:
                return _SAME[computation]
        except TypeError:  # cannot be hashed
            return None
        computation = getattr(computation, "__wrapped__", None)
    return None


def _window(x: Sequence[int] | None, n: int, name: str) -> tuple[int, ...]:
    out = (1,) * n if x is None else tuple(map(operator.index, x))
    if len(out) != n or any(i < 1 for i in out):
        raise ArgumentError(f"reduce_window: {name} must be {n} positive integers, got {out}")
    return out


def _parameters(
    shape: Ints, window_dimensions: Any, window_strides: Any, padding: Any, base_dilation: Any, window_dilation: Any
) -> tuple[Ints, Ints, Sequence[Ints], Ints, Ints]:
    """Sizes, strides, padding in numbers, distances of elements and of what a window sees, one for each axis."""
    n = len(shape)
    sizes, strides = _window(window_dimensions, n, "window_dimensions"), _window(window_strides, n, "window_strides")
    base, dilation = _window(base_dilation, n, "base_dilation"), _window(window_dilation, n, "window_dilation")
    if isinstance(padding, str):
        reach = [(k - 1) * d + 1 for k, d in zip(sizes, dilation, strict=True)]
        padding = padtype_to_pads(shape, reach, strides, padding)
    pads = tuple((operator.index(low), operator.index(high)) for low, high in padding)
    if len(pads) != n:
        raise ArgumentError(f"reduce_window: padding must be {n} pairs, got {padding}")
    return sizes, strides, pads, base, dilation


def reduce_window_shape_tuple(
    operand_shape: Sequence[int],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int] | None,
    padding: str | Sequence[tuple[int, int]],
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """The shape of `reduce_window`.

    >>> reduce_window_shape_tuple((8, 8), (2, 3), (2, 2), "SAME")
    (4, 4)
    """
    shape = tuple(operand_shape)
    given = _parameters(shape, window_dimensions, window_strides, padding, base_dilation, window_dilation)
    return output_sizes(shape, *given)


@boundary
def reduce_window(
    operand: Any,
    init_value: Any,
    computation: Callable[[Any, Any], Any],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int] | None = None,
    padding: str | Sequence[tuple[int, int]] = "VALID",
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> Any:
    """Reduce over sliding windows by an associative, commutative function of two scalars (pooling).

    Sums and extreme values are recognised; of equal maxima the first one in a window has the derivative. Any other
    function is applied to one place of the windows after the other, and derivatives follow from those of the function.
    Padding counts for nothing: a window that reaches beyond the array reduces what it sees of it.

    Args:
        operand: an array, or a pytree of arrays of one shape.
        init_value: scalars, as many, with which each reduction begins.
        computation: `computation(x, y)`, of scalars (or of pytrees of them).
        window_dimensions: one size per axis.
        window_strides: one per axis; ones by default.
        padding: "SAME", "SAME_LOWER", "VALID", or a pair (before, after) per axis. A name is for the elements without
            `base_dilation`, as in JAX.
        base_dilation: distances of the elements.
        window_dilation: distances of the elements that a window sees.

    >>> x = np.array([[1.0, 2.0, 0.0, 1.0], [3.0, 4.0, 5.0, 0.0]])
    >>> reduce_window(x, -np.inf, np.maximum, (2, 2), (2, 2), "VALID")
    array([[4., 5.]])
    """
    check_callable(computation, "reduce_window")
    xs, inits, treedef = _operands(operand, init_value, "reduce_window")
    shape = xs[0].shape
    sizes, strides, pads, base, dilation = _parameters(
        shape, window_dimensions, window_strides, padding, base_dilation, window_dilation
    )
    counts = output_sizes(shape, sizes, strides, pads, base, dilation)
    if 0 in counts:
        return treedef.unflatten([np.zeros(counts, x.dtype) for x in xs])
    ufunc = _known(computation) if len(xs) == 1 else None
    if ufunc is not None and ufunc in _OVER_WINDOWS:
        out = _separately(_OVER_WINDOWS[ufunc], xs[0], sizes, strides, pads, base, dilation)
        if not _is_identity(ufunc, inits[0], out.dtype):
            out = ufunc(out, array_operand(inits[0]).astype(out.dtype))
        return treedef.unflatten([out])
    combine = _scalars(computation, len(xs), treedef)
    return treedef.unflatten(_in_turn(combine, xs, inits, sizes, strides, pads, base, dilation))


def _selecting(select: Any, name: str, window: Sequence[Any]) -> Callable[[Any], Any]:
    """The extreme values of windows, whose derivative is the selection of one element of each."""
    ufunc = {np.greater_equal: np.maximum, np.less_equal: np.minimum}.get(_known(select))
    if ufunc is None:
        raise NotImplementedError(
            f"{name}: select must be lax.ge, for the largest element, or lax.le, for the smallest"
        )

    def extremes(x: Any) -> Any:
        return reduce_window(x, neutral(dtype_of(x), ufunc is np.maximum), ufunc, *window)

    return extremes


def select_and_scatter_add(
    source: Any,
    operand: Any,
    select: Callable[[Any, Any], Any],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
) -> Any:
    """Of each window the element of `source`, added up at the place of the window's extreme element: of max pooling the
    derivative by the operand. `lax.ge` selects the largest, `lax.le` the smallest, and of equal ones the first.

    >>> select_and_scatter_add(np.array([5.0, 7.0]), np.array([1.0, 3.0, 2.0]), np.greater_equal, (2,), (1,), "VALID")
    array([ 0., 12.,  0.])
    """
    window = (window_dimensions, window_strides, padding)
    return vjp(_selecting(select, "select_and_scatter_add", window), array_operand(operand))[1](source)[0]


def select_and_gather_add(
    tangents: Any,
    operand: Any,
    select: Callable[[Any, Any], Any],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> Any:
    """Of each window the element of `tangents` at the place of its extreme element; see `select_and_scatter_add`.

    >>> x = np.array([1.0, 3.0, 2.0])
    >>> select_and_gather_add(np.array([5.0, 6.0, 7.0]), x, np.greater_equal, (2,), (1,), "VALID")
    array([6., 6.])
    """
    window = (window_dimensions, window_strides, padding, base_dilation, window_dilation)
    return jvp(_selecting(select, "select_and_gather_add", window), (array_operand(operand),), (tangents,))[1]


def _separately(
    primitive: Any, x: Any, sizes: Ints, strides: Ints, pads: Sequence[Ints], base: Ints, dilation: Ints
) -> Any:
    """Along one axis after the other, from the last one."""
    if primitive is not REDUCE_WINDOW_SUM and any(b != 1 for b in base):
        x = pad(x, neutral(x.dtype, primitive is REDUCE_WINDOW_MAX), [(0, 0, b - 1) for b in base])
    for axis in reversed(range(x.ndim)):
        low, high = pads[axis]
        if (sizes[axis], strides[axis], low, high, base[axis]) == (1, 1, 0, 0, 1):
            continue
        more = {"base": base[axis]} if primitive is REDUCE_WINDOW_SUM else {}
        x = primitive.bind(
            x, axis=axis, width=sizes[axis], stride=strides[axis], dilation=dilation[axis], padding=(low, high), **more
        )
    return x


def _in_turn(
    combine: Callable[[list[Any], list[Any]], list[Any]],
    xs: list[Any],
    inits: list[Any],
    sizes: Ints,
    strides: Ints,
    pads: Sequence[Ints],
    base: Ints,
    dilation: Ints,
) -> list[Any]:
    """One place of the windows after the other."""
    edges = [(low, high, b - 1) for (low, high), b in zip(pads, base, strict=True)]
    there = PLACE.impl(np.ones(xs[0].shape, bool), **_placed(xs[0].shape, base))
    there = pad(there, False, [(low, high, 0) for low, high in pads])
    xs = [pad(x, 0, edges) for x in xs]
    axes = zip(there.shape, sizes, strides, dilation, strict=True)
    counts = [max((m - ((k - 1) * d + 1)) // s + 1, 0) for m, k, s, d in axes]
    out = [np.broadcast_to(array_operand(i).astype(x.dtype), counts) for x, i in zip(xs, inits, strict=True)]
    if 0 in counts:
        return out
    for place in np.ndindex(*sizes):
        start = [p * d for p, d in zip(place, dilation, strict=True)]
        stop = [a + (c - 1) * s + 1 for a, c, s in zip(start, counts, strides, strict=True)]
        new = combine(out, [slice_(x, start, stop, strides) for x in xs])
        seen = slice_(there, start, stop, strides)
        out = new if seen.all() else [np.where(seen, a, b) for a, b in zip(new, out, strict=True)]
    return out


def _placed(shape: Ints, base: Ints) -> dict[str, Ints]:
    """Where `place` puts the elements of an array of this shape, `base` apart."""
    whole = tuple((n - 1) * b + 1 if n else 0 for n, b in zip(shape, base, strict=True))
    return {"start": (0,) * len(shape), "step": base, "shape": whole}
