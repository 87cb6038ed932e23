"""Filters of arrays of any number of dimensions, with the boundary modes of `scipy.ndimage`."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.lax._conv import conv_general_dilated
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._known import known

__all__ = [
    "convolve", "convolve1d", "correlate", "correlate1d", "gaussian_filter", "gaussian_filter1d",
    "gaussian_gradient_magnitude", "gaussian_laplace", "laplace", "maximum_filter", "median_filter", "minimum_filter",
    "prewitt", "sobel", "uniform_filter", "uniform_filter1d",
]  # fmt: skip

PADS = {"reflect": "symmetric", "grid-mirror": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap",
        "grid-wrap": "wrap", "constant": "constant", "grid-constant": "constant"}  # fmt: skip
"""NumPy's names of SciPy's modes."""


def _extended(x: Any, widths: Sequence[tuple[int, int]], mode: str, cval: Any) -> Any:
    if mode not in PADS:
        raise ValueError(f"boundary mode not supported: {mode!r}; it is one of {', '.join(PADS)}")
    if PADS[mode] == "constant":
        if type(cval) in (int, float) and cval == 0:
            return np.pad(x, widths)
        fill = array_operand(cval).astype(x.dtype)
        return np.pad(x - fill, widths) + fill
    return np.pad(x, widths, mode=PADS[mode])  # type: ignore[call-overload]


def _axis(x: Any, axis: int) -> int:
    if not -x.ndim <= axis < x.ndim:
        raise np.exceptions.AxisError(axis, x.ndim)
    return axis % x.ndim


def _working(name: str, a: Any, output: Any) -> tuple[Any, Any]:
    """(array to compute with, dtype of the result): whole numbers are filtered in float64, then cut to whole ones."""
    x = array_operand(a)
    if output is not None and not isinstance(output, (type, np.dtype, str)):
        raise NotImplementedError(f"{name}: an array for the output is not offered; use the result, or give a dtype")
    dtype = x.dtype if output is None else np.dtype(output)
    return (x if x.dtype.kind in "fc" else x.astype(np.float64)), dtype


def _result(out: Any, dtype: Any) -> Any:
    return out if out.dtype == dtype else out.astype(dtype)


def _convolved(x: Any, weights: Any) -> Any:
    """Windows of x times weights, without anything around x."""
    if x.dtype.kind == "c" or weights.dtype.kind == "c":
        a, b, c, d = (
            _convolved(p, q) for p in (x.real, x.imag if x.dtype.kind == "c" else np.zeros_like(x))
            for q in (weights.real, weights.imag if weights.dtype.kind == "c" else np.zeros_like(weights))
        )  # fmt: skip
        return (a - d) + 1j * (b + c)
    return conv_general_dilated(x[None, None], weights[None, None], (1,) * x.ndim, [(0, 0)] * x.ndim)[0, 0]


def _before(name: str, size: int, origin: int) -> int:
    left = size // 2 + origin
    if not 0 <= left < size:
        raise ValueError(f"{name}: invalid origin {origin} for {size} weights")
    return left


def correlate1d(
    input: Any,
    weights: Any,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
) -> Any:
    """The correlation with weights along an axis.

    Args:
        input: an array.
        weights: of shape (n,).
        axis: the axis.
        output: None, or the dtype of the result.
        mode: what is around the array: "reflect", "mirror", "nearest", "wrap" or "constant".
        cval: the constant.
        origin: by how many elements the weights are shifted.

    >>> correlate1d(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0]))
    array([2., 3., 5.])
    """
    x, dtype = _working("correlate1d", input, output)
    w = array_operand(weights)
    if w.ndim != 1 or w.shape[0] < 1:
        raise ShapeError(f"correlate1d: weights must have one dimension, got shape {w.shape}")
    axis, size = _axis(x, axis), w.shape[0]
    left = _before("correlate1d", size, origin)
    w = w.astype(np.result_type(x.dtype, w.dtype) if w.dtype.kind == "c" else x.dtype)
    moved = np.moveaxis(x, axis, -1)
    wide = _extended(moved, [(0, 0)] * (x.ndim - 1) + [(left, size - 1 - left)], mode, cval)
    kernel = np.reshape(w, (1,) * (x.ndim - 1) + (size,))
    return _result(np.moveaxis(_convolved(wide, kernel), -1, axis), dtype)


def convolve1d(
    input: Any,
    weights: Any,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
) -> Any:
    """The convolution with weights along an axis; arguments as in `correlate1d`.

    >>> convolve1d(np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.0, -1.0]))
    array([1., 2., 1.])
    """
    w = array_operand(weights)
    origin = -origin - (w.shape[0] % 2 == 0)
    return correlate1d(input, w[::-1], axis, output, mode, cval, origin)


def _each(value: Any, n: int, name: str) -> list[Any]:
    """A value for each of n axes."""
    if isinstance(value, (list, tuple)) or (np.ndim(value) == 1 and not isinstance(value, str)):
        if len(value) != n:
            raise ValueError(f"{name}: {len(value)} values for {n} axes")
        return list(value)
    return [value] * n


def correlate(
    input: Any,
    weights: Any,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int | Sequence[int] = 0,
) -> Any:
    """The correlation with weights that have as many dimensions; arguments as in `correlate1d`.

    >>> correlate(np.ones((2, 2)), np.ones((3, 3)))
    array([[9., 9.],
           [9., 9.]])
    """
    x, dtype = _working("correlate", input, output)
    w = array_operand(weights)
    if w.ndim != x.ndim:
        raise ShapeError(f"correlate: weights of shape {w.shape} for an array of shape {x.shape}")
    w = w.astype(np.result_type(x.dtype, w.dtype) if w.dtype.kind == "c" else x.dtype)
    lefts = [_before("correlate", n, o) for n, o in zip(w.shape, _each(origin, x.ndim, "origin"), strict=True)]
    widths = [(left, n - 1 - left) for n, left in zip(w.shape, lefts, strict=True)]
    return _result(_convolved(_extended(x, widths, mode, cval), w), dtype)


def convolve(
    input: Any,
    weights: Any,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int | Sequence[int] = 0,
) -> Any:
    """The convolution with weights that have as many dimensions; arguments as in `correlate1d`.

    >>> convolve(np.eye(2), np.array([[1.0, 2.0]]), mode="constant")
    array([[2., 0.],
           [1., 2.]])
    """
    w = array_operand(weights)
    origins = [-o - (n % 2 == 0) for n, o in zip(w.shape, _each(origin, w.ndim, "origin"), strict=True)]
    return correlate(input, w[(slice(None, None, -1),) * w.ndim], output, mode, cval, origins)


# ------------------------------------------------------------------------------------------------------- Gaussians


def _gaussian(sigma: Any, order: int, radius: int) -> Any:
    """The weights of a Gaussian's derivative: a polynomial times it."""
    x = np.arange(-radius, radius + 1)
    phi = np.exp(-0.5 / (sigma * sigma) * x**2)
    phi = phi / np.sum(phi)
    polynomial: list[Any] = [1.0]
    for _ in range(order):
        n = len(polynomial)
        slope = [(k + 1) * polynomial[k + 1] if k + 1 < n else 0.0 for k in range(n + 1)]
        polynomial = [slope[k] - (polynomial[k - 1] / (sigma * sigma) if k else 0.0) for k in range(n + 1)]
    total: Any = 0.0
    for k, c in enumerate(polynomial):
        total = total + c * x.astype(float) ** k
    return total * phi


def gaussian_filter1d(
    input: Any,
    sigma: Any,
    axis: int = -1,
    order: int = 0,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    truncate: float = 4.0,
    *,
    radius: int | None = None,
) -> Any:
    """The convolution with a Gaussian, or with a derivative of it, along an axis.

    Args:
        input: an array.
        sigma: the standard deviation; it may be traced where its value is known, or `radius` is given.
        axis: the axis.
        order: of the derivative.
        output, mode, cval: as in `correlate1d`.
        truncate: where the Gaussian ends, in standard deviations.
        radius: where it ends, in elements.

    >>> gaussian_filter1d(np.array([0.0, 1.0, 0.0]), 0.5).round(4)
    array([0.1067, 0.7866, 0.1067])
    """
    if order < 0:
        raise ValueError("Order must be non-negative")
    if radius is None:
        value = float(known(sigma, "gaussian_filter1d", "give radius="))
        radius = int(truncate * value + 0.5)
    radius = operator.index(radius)
    if radius < 0:
        raise ValueError("Radius must be a nonnegative integer.")
    return correlate1d(input, _gaussian(sigma, order, radius)[::-1], axis, output, mode, cval)


def gaussian_filter(
    input: Any,
    sigma: Any,
    order: int | Sequence[int] = 0,
    output: Any = None,
    mode: str | Sequence[str] = "reflect",
    cval: Any = 0.0,
    truncate: float = 4.0,
    *,
    radius: Any = None,
    axes: Any = None,
) -> Any:
    """The convolution with a Gaussian along all axes, or `axes`; a value, or one for each axis, of most arguments.

    >>> gaussian_filter(np.eye(3), 0.5)[0].round(4)
    array([0.8089, 0.1793, 0.0119])
    """
    x, dtype = _working("gaussian_filter", input, output)
    chosen = [_axis(x, i) for i in (range(x.ndim) if axes is None else [axes] if type(axes) is int else axes)]
    n = len(chosen)
    parts = (_each(v, n, "gaussian_filter") for v in (sigma, order, mode, radius))
    for axis, s, o, m, r in zip(chosen, *parts, strict=True):
        if type(s) in (int, float) and s <= 1e-15:
            continue
        x = _result(gaussian_filter1d(x, s, axis, o, None, m, cval, truncate, radius=r), dtype)  # SciPy cuts in between
    return _result(x, dtype)


def gaussian_laplace(
    input: Any, sigma: Any, output: Any = None, mode: str = "reflect", cval: Any = 0.0, **kwargs: Any
) -> Any:
    """The sum of a Gaussian's second derivatives; arguments as in `gaussian_filter`.

    >>> gaussian_laplace(np.eye(3), 1.0).shape
    (3, 3)
    """
    x, dtype = _working("gaussian_laplace", input, output)
    orders = np.eye(x.ndim, dtype=int) * 2
    total: Any = 0
    for order in orders.tolist():
        total = total + gaussian_filter(x, sigma, order, dtype, mode, cval, **kwargs)
    return _result(total, dtype)


def gaussian_gradient_magnitude(
    input: Any, sigma: Any, output: Any = None, mode: str = "reflect", cval: Any = 0.0, **kwargs: Any
) -> Any:
    """The norm of the gradient by a Gaussian's derivatives; arguments as in `gaussian_filter`.

    >>> gaussian_gradient_magnitude(np.eye(3), 1.0).shape
    (3, 3)
    """
    x, dtype = _working("gaussian_gradient_magnitude", input, output)
    orders = np.eye(x.ndim, dtype=int).tolist()
    parts = [gaussian_filter(x, sigma, order, None, mode, cval, **kwargs) for order in orders]
    return _result(np.linalg.norm(np.stack(parts), axis=0), dtype)


# ------------------------------------------------------------------------------------------------ small stencils


def uniform_filter1d(
    input: Any, size: int, axis: int = -1, output: Any = None, mode: str = "reflect", cval: Any = 0.0, origin: int = 0
) -> Any:
    """The means of windows along an axis; arguments as in `correlate1d`.

    >>> uniform_filter1d(np.array([0.0, 3.0, 0.0]), 3)
    array([1., 1., 1.])
    """
    if size < 1:
        raise RuntimeError("incorrect filter size")
    return correlate1d(input, np.full(size, 1 / size), axis, output, mode, cval, origin)


def uniform_filter(
    input: Any,
    size: int | Sequence[int] = 3,
    output: Any = None,
    mode: str | Sequence[str] = "reflect",
    cval: Any = 0.0,
    origin: int | Sequence[int] = 0,
) -> Any:
    """The means of windows; a value, or one for each axis, of size, mode and origin.

    >>> uniform_filter(np.ones((2, 2)), 3)
    array([[1., 1.],
           [1., 1.]])
    """
    x, dtype = _working("uniform_filter", input, output)
    parts = (_each(v, x.ndim, "uniform_filter") for v in (size, mode, origin))
    for axis, n, m, o in zip(range(x.ndim), *parts, strict=True):
        x = _result(uniform_filter1d(x, n, axis, None, m, cval, o), dtype)
    return _result(x, dtype)


def _difference(name: str, side: Sequence[float], input: Any, axis: int, output: Any, mode: Any, cval: Any) -> Any:
    x, dtype = _working(name, input, output)
    axis = _axis(x, axis)
    modes = _each(mode, x.ndim, name)
    out = correlate1d(x, np.array([-1.0, 0.0, 1.0]), axis, None, modes[axis], cval)
    for i in range(x.ndim):
        if i != axis:
            out = correlate1d(out, np.array(side), i, None, modes[i], cval)
    return _result(out, dtype)


def sobel(input: Any, axis: int = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0) -> Any:
    """Sobel's filter: differences along an axis, smoothed along the others.

    >>> sobel(np.array([0.0, 1.0, 3.0]))
    array([1., 3., 2.])
    """
    return _difference("sobel", [1.0, 2.0, 1.0], input, axis, output, mode, cval)


def prewitt(input: Any, axis: int = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0) -> Any:
    """Prewitt's filter: differences along an axis, summed along the others.

    >>> prewitt(np.array([0.0, 1.0, 3.0]))
    array([1., 3., 2.])
    """
    return _difference("prewitt", [1.0, 1.0, 1.0], input, axis, output, mode, cval)


def laplace(input: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0) -> Any:
    """The sum of second differences.

    >>> laplace(np.array([0.0, 1.0, 3.0]))
    array([ 1.,  1., -2.])
    """
    x, dtype = _working("laplace", input, output)
    modes = _each(mode, x.ndim, "laplace")
    total: Any = 0
    for i in range(x.ndim):
        total = total + correlate1d(x, np.array([1.0, -2.0, 1.0]), i, None, modes[i], cval)
    return _result(total, dtype)


def _windows(name: str, input: Any, size: Any, footprint: Any, mode: str, cval: Any, origin: Any) -> Any:
    """The elements of the window around each element, along a last axis."""
    x = array_operand(input)
    if footprint is None:
        if size is None:
            raise ValueError(f"{name}: no footprint and no size")
        footprint = np.ones(_each(size, x.ndim, "size"), bool)
    shape = np.asarray(footprint, bool)
    if shape.ndim != x.ndim or not shape.any():
        raise ShapeError(f"{name}: a footprint of shape {shape.shape} for an array of shape {x.shape}")
    lefts = [_before(name, n, o) for n, o in zip(shape.shape, _each(origin, x.ndim, "origin"), strict=True)]
    wide = _extended(x, [(left, n - 1 - left) for n, left in zip(shape.shape, lefts, strict=True)], mode, cval)
    places = [p for p in product(*map(range, shape.shape)) if shape[p]]
    parts = [wide[tuple(slice(s, s + n) for s, n in zip(p, x.shape, strict=True))] for p in places]
    return np.stack(parts, axis=-1)


def median_filter(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    output: None = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int | Sequence[int] = 0,
) -> Any:
    """The medians of windows (the upper one of an even number).

    >>> median_filter(np.array([1.0, 9.0, 2.0, 3.0]), 3)
    array([1., 2., 3., 3.])
    """
    windows = _windows("median_filter", input, size, footprint, mode, cval, origin)
    return np.sort(windows, axis=-1)[..., windows.shape[-1] // 2]


def maximum_filter(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    output: None = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int | Sequence[int] = 0,
) -> Any:
    """The maxima of windows.

    >>> maximum_filter(np.array([1.0, 9.0, 2.0, 3.0]), 3)
    array([9., 9., 9., 3.])
    """
    return np.max(_windows("maximum_filter", input, size, footprint, mode, cval, origin), axis=-1)


def minimum_filter(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    output: None = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int | Sequence[int] = 0,
) -> Any:
    """The minima of windows.

    >>> minimum_filter(np.array([1.0, 9.0, 2.0, 3.0]), 3)
    array([1., 1., 2., 2.])
    """
    return np.min(_windows("minimum_filter", input, size, footprint, mode, cval, origin), axis=-1)
