"""Interpolation of arrays by splines, with the boundary modes of `scipy.ndimage`.

The coefficients of a spline are a linear function of the array along each axis: a matrix, which SciPy's filter gives
for the unit vectors. Weights of basis splines are by the recurrence of Cox and de Boor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._index import getitem
from funcgrad.scipy._needs import inexact, scipy_module
from funcgrad.scipy.ndimage._filters import extended
from funcgrad.types import result_dtype

__all__ = ["affine_transform", "map_coordinates", "rotate", "shift", "spline_filter", "spline_filter1d", "zoom"]

_MODES = ("reflect", "grid-mirror", "mirror", "nearest", "wrap", "grid-wrap", "constant", "grid-constant")


def _check(name: str, order: int, mode: str) -> None:
    if mode not in _MODES:
        raise NotImplementedError(f"{name}: mode {mode!r} is not one of {', '.join(_MODES)}")
    if order not in range(6):
        raise NotImplementedError(f"{name}: order {order!r} is not offered; it is 0 to 5")


def spline_filter1d(input: Any, order: int = 3, axis: int = -1, output: Any = None, mode: str = "mirror") -> Any:
    """The coefficients of a spline along an axis.

    >>> spline_filter1d(np.ones(3)).round(12)
    array([1., 1., 1.])
    """
    _check("spline_filter1d", order, mode)
    x = array_operand(inexact(input))
    if order < 2 or x.shape[axis] == 1:
        return x
    filtered = scipy_module("ndimage", "ndimage").spline_filter1d
    matrix = filtered(np.eye(x.shape[axis]), order, axis=0, mode=mode).astype(x.real.dtype)
    return np.moveaxis(np.matmul(np.moveaxis(x, axis, -1), matrix.T), -1, axis)


def spline_filter(input: Any, order: int = 3, output: Any = None, mode: str = "mirror") -> Any:
    """The coefficients of a spline along all axes.

    >>> spline_filter(np.ones((2, 2))).round(12)
    array([[1., 1.],
           [1., 1.]])
    """
    x = array_operand(inexact(input))
    for axis in range(x.ndim):
        x = spline_filter1d(x, order, axis, None, mode)
    return x


def _folded(c: Any, n: int, mode: str, order: int) -> Any:
    """Coordinates brought to where the array and its next neighbours are."""
    if mode == "constant":
        return np.clip(c, 0, n - 1)
    if mode == "wrap":  # SciPy's: the last element is the first one of the next period
        return np.where((c < 0) | (c > n - 1), c - (n - 1) * np.floor(c / (n - 1)), c) if n > 1 else c * 0
    if order == 0 and mode in ("reflect", "grid-mirror"):  # before the rounding, which does not go the same way then
        m = np.mod(c + 0.5, 2 * n)
        return np.where(m > n, 2 * n - m, m) - 0.5
    if order == 0 and mode == "mirror" and n > 1:
        m = np.mod(c, 2 * n - 2)
        return np.where(m >= n, 2 * n - 2 - m, m)
    return c


def _index(i: Any, n: int, mode: str) -> Any:
    """Indices inside of the array for those around it."""
    if mode in ("reflect", "grid-mirror"):
        j = np.mod(i, 2 * n)
        return np.minimum(j, 2 * n - 1 - j)
    if mode == "grid-wrap":
        return np.mod(i, n)
    if mode in ("grid-constant", "nearest"):
        return np.clip(i, 0, n - 1)
    if n == 1:
        return i * 0
    j = np.mod(i, 2 * n - 2)
    return np.minimum(j, 2 * n - 2 - j)


def _weights(t: Any, order: int) -> list[Any]:
    """The basis splines that are not 0 at a place t between two knots."""
    out: list[Any] = [t * 0 + 1.0]
    for p in range(1, order + 1):
        out = [
            ((t + (p - j)) * out[j - 1] if j else 0.0) + ((j + 1 - t) * out[j] if j < p else 0.0) for j in range(p + 1)
        ]
        out = [w / p for w in out]
    return out


def map_coordinates(
    input: Any,
    coordinates: Any,
    output: Any = None,
    order: int = 3,
    mode: str = "constant",
    cval: Any = 0.0,
    prefilter: bool = True,
) -> Any:
    """The values of an array between its elements, by splines; with derivatives by the array and the coordinates.

    Args:
        input: an array of n dimensions.
        coordinates: n arrays of one shape.
        output: None or a dtype; as in JAX, the order may be given in its place, with the mode and cval after it.
        order: of the splines, 0 to 5.
        mode: what is outside of the array: "reflect", "mirror", "nearest", "constant", "wrap", "grid-constant",
            "grid-wrap" or "grid-mirror", as SciPy has them. (JAX's "constant" and "wrap" are these "grid-constant"
            and "grid-wrap".)
        cval: the constant.
        prefilter: whether the array is one of values, not of coefficients.

    >>> map_coordinates(np.array([0.0, 1.0, 4.0]), [np.array([0.5, 1.5])], order=1)
    array([0.5, 2.5])
    """
    if type(output) is int:
        if isinstance(order, str):
            order, mode, cval = output, order, cval if isinstance(mode, str) else mode
        output, order = None, output
    _check("map_coordinates", order, mode)
    x = array_operand(input)
    dtype = x.dtype if output is None else np.dtype(output)
    x = inexact(x)
    points = [array_operand(c) for c in coordinates]
    if len(points) != x.ndim:
        raise ShapeError(f"coordinates must be a sequence of length input.ndim, but {len(points)} != {x.ndim}")
    if any(c.dtype.kind == "c" for c in points):
        raise TypeError("map_coordinates: coordinates must be real")
    out = _interpolated(x, points, order, mode, cval, prefilter)
    if dtype.kind in "iub":
        out = np.round(out)
    return out if out.dtype == dtype else out.astype(dtype)


def _interpolated(x: Any, points: Sequence[Any], order: int, mode: str, cval: Any, prefilter: bool) -> Any:
    real: Any = result_dtype(x.real, *points)
    real = real if real.kind == "f" and x.dtype.itemsize > 4 else x.real.dtype
    fill = array_operand(cval).astype(x.dtype)
    shape, more = x.shape, 0
    if mode in ("nearest", "grid-constant") and order > 1 and prefilter:
        more = 12  # SciPy's spline goes on so far
        x = extended(x, [(more, more)] * x.ndim, mode, cval)
    if order > 1 and prefilter:
        x = spline_filter(x, order, mode=mode)
    terms: list[list[tuple[Any, Any, Any]]] = []
    for place, n in zip(points, x.shape, strict=True):
        c = _folded(place.astype(real) + more, n, mode, order)
        low = np.floor(c if order % 2 else c + 0.5)
        weights = _weights(c - low + (0.0 if order % 2 else 0.5), order)
        first = low.astype(np.int64) - order // 2
        indices = [first + j for j in range(order + 1)]
        terms.append([(_index(i, n, mode), w, (i >= 0) & (i < n)) for i, w in zip(indices, weights, strict=True)])
    total: Any = 0.0
    for chosen in product(*terms):
        value = getitem(x, tuple(i for i, _, _ in chosen))  # the array may be plain where an index is not
        if mode == "grid-constant":
            value = np.where(np.all(np.stack([k for _, _, k in chosen]), axis=0), value, fill)
        total = total + value * math.prod((w for _, w, _ in chosen), start=1.0)
    if mode == "constant":
        inside = [(c >= 0) & (c <= n - 1) for c, n in zip(points, shape, strict=True)]
        total = np.where(np.all(np.stack(inside), axis=0), total, fill)
    return total


def _coordinates(matrix: Any, offset: Any, shape: Sequence[int]) -> list[Any]:
    """matrix @ index + offset for all indices of a shape."""
    grid = np.indices(tuple(shape))
    matrix, offset = array_operand(matrix), array_operand(offset)
    n = len(shape)
    if matrix.ndim == 1:
        return [grid[i] * matrix[i] + (offset[i] if offset.ndim else offset) for i in range(n)]
    rows = matrix.shape[0]
    return [
        sum((grid[j] * matrix[i, j] for j in range(n)), start=0.0) + (offset[i] if offset.ndim else offset)
        for i in range(rows)
    ]


def affine_transform(
    input: Any,
    matrix: Any,
    offset: Any = 0.0,
    output_shape: Sequence[int] | None = None,
    output: Any = None,
    order: int = 3,
    mode: str = "constant",
    cval: Any = 0.0,
    prefilter: bool = True,
) -> Any:
    """The array at matrix @ index + offset, for each index of the result; the matrix and the offset may be traced.

    Args:
        input: an array of n dimensions.
        matrix: of shape (n, n); (n,), a diagonal; or (n, n + 1) or (n + 1, n + 1), with the offset in its last column.
        offset: a number, or n of them.
        output_shape: the shape of the result; by default that of the array.
        output, order, mode, cval, prefilter: as in `map_coordinates`.

    >>> affine_transform(np.array([0.0, 1.0, 4.0]), np.array([1.0]), 0.5, order=1)
    array([0.5, 2.5, 0. ])
    """
    x, matrix = array_operand(input), array_operand(inexact(matrix))
    n = x.ndim
    if matrix.ndim == 2 and matrix.shape[1] == n + 1 and matrix.shape[0] in (n, n + 1):
        matrix, offset = matrix[:n, :n], matrix[:n, n]
    if matrix.shape not in ((n,), (n, n)):
        raise ShapeError(f"affine_transform: a matrix of shape {matrix.shape} for an array of shape {x.shape}")
    offset = array_operand(np.stack(offset) if isinstance(offset, (list, tuple)) else offset)
    places = _coordinates(matrix, offset, x.shape if output_shape is None else output_shape)
    return map_coordinates(x, places, output, order, mode, cval, prefilter)


def shift(
    input: Any,
    shift: Any,
    output: Any = None,
    order: int = 3,
    mode: str = "constant",
    cval: Any = 0.0,
    prefilter: bool = True,
) -> Any:
    """The array moved by `shift` elements along each axis, which need not be whole ones; it may be traced.

    >>> shift(np.array([0.0, 1.0, 4.0]), 0.5, order=1)
    array([0. , 0.5, 2.5])
    """
    x, by = array_operand(input), array_operand(inexact(shift))
    if by.ndim and by.shape != (x.ndim,):
        raise ShapeError(f"shift: {by.shape} for an array of shape {x.shape}")
    return affine_transform(x, np.ones(x.ndim), -by, None, output, order, mode, cval, prefilter)


def zoom(
    input: Any,
    zoom: Any,
    output: Any = None,
    order: int = 3,
    mode: str = "constant",
    cval: Any = 0.0,
    prefilter: bool = True,
    *,
    grid_mode: bool = False,
) -> Any:
    """The array with `zoom` times as many elements along each axis.

    >>> zoom(np.array([0.0, 1.0]), 1.5, order=1)
    array([0. , 0.5, 1. ])
    """
    x = array_operand(input)
    factors = np.broadcast_to(np.asarray(zoom, float), (x.ndim,)).tolist()
    shape = tuple(round(n * f) for n, f in zip(x.shape, factors, strict=True))
    steps, offsets = [], []
    for n, m in zip(x.shape, shape, strict=True):
        step = n / m if grid_mode and m else (n - 1) / (m - 1) if m > 1 else 1.0
        steps.append(step)
        offsets.append(0.5 * step - 0.5 if grid_mode else 0.0)
    grid = np.indices(shape)
    # Rounding must not bring the last element out of the array.
    places = [grid[i] * s + o for i, (s, o) in enumerate(zip(steps, offsets, strict=True))]
    if not grid_mode:
        places = [np.minimum(c, n - 1) for c, n in zip(places, x.shape, strict=True)]
    return map_coordinates(x, places, output, order, mode, cval, prefilter)


def rotate(
    input: Any,
    angle: Any,
    axes: tuple[int, int] = (1, 0),
    reshape: bool = True,
    output: Any = None,
    order: int = 3,
    mode: str = "constant",
    cval: Any = 0.0,
    prefilter: bool = True,
) -> Any:
    """The array turned by an angle in degrees in the plane of two axes; the angle may be traced without `reshape`.

    >>> rotate(np.eye(2), 90.0, order=1).round(12)
    array([[0., 1.],
           [1., 0.]])
    """
    x = array_operand(input)
    first, second = sorted(i % x.ndim for i in axes)
    if first == second or x.ndim < 2:
        raise ValueError("rotate: axes must be two different ones")
    sc = scipy_module("special", "ndimage.rotate")
    c, s = sc.cosdg(angle), sc.sindg(angle)
    turn = np.stack([np.stack([c, s]), np.stack([-s, c])])
    size = np.array([x.shape[first], x.shape[second]])
    new = size
    if reshape:
        if type(turn) is not np.ndarray:
            raise TypeError("rotate: the shape of the result depends on a traced angle; use reshape=False")
        corners = turn @ np.array([[0, 0, size[0], size[0]], [0, size[1], 0, size[1]]])
        new = (np.ptp(corners, axis=1) + 0.5).astype(int)
    offset = (size - 1) / 2 - turn @ ((new - 1) / 2)
    shape = [int(new[0]) if i == first else int(new[1]) if i == second else n for i, n in enumerate(x.shape)]
    grid = np.indices(shape)
    places = [
        grid[i] if i not in (first, second)
        else turn[j] @ np.stack([grid[first].ravel(), grid[second].ravel()]) + offset[j]
        for i, j in ((i, 0 if i == first else 1) for i in range(x.ndim))
    ]  # fmt: skip
    places = [p.reshape(shape) if p.ndim == 1 else p for p in places]
    if x.ndim == 2:
        return map_coordinates(x, places, output, order, mode, cval, prefilter)
    # Only the plane is filtered and interpolated.
    rows = np.moveaxis(x, (first, second), (0, 1))
    flat = np.reshape(rows, (*rows.shape[:2], -1))
    index = tuple(slice(None) if i in (first, second) else 0 for i in range(x.ndim))
    plane = [places[first][index], places[second][index]]
    parts = [map_coordinates(flat[..., k], plane, output, order, mode, cval, prefilter) for k in range(flat.shape[-1])]
    out = np.reshape(np.stack(parts, axis=-1), (*parts[0].shape, *rows.shape[2:]))
    return np.moveaxis(out, (0, 1), (first, second))
