"""Filters of arrays of any number of dimensions, with the boundary modes of `scipy.ndimage`."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.lax._conv import conv_general_dilated
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._known import known
from funcgrad.numpy._padding import pad
from funcgrad.types import is_a

__all__ = [
    "convolve", "convolve1d", "correlate", "correlate1d", "gaussian_filter", "gaussian_filter1d",
    "gaussian_gradient_magnitude", "gaussian_laplace", "laplace", "prewitt", "sobel", "uniform_filter",
    "uniform_filter1d",
]  # fmt: skip

PADS = {"reflect": "symmetric", "grid-mirror": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap",
        "grid-wrap": "wrap", "constant": "constant", "grid-constant": "constant"}  # fmt: skip
"""NumPy's names of SciPy's modes."""


def extended(x: Any, widths: Sequence[tuple[int, int]], mode: str | Sequence[str], cval: Any) -> Any:
    """An array with what is around it; a mode for all axes, or one for each."""
    if not isinstance(mode, str):
        for i, m in enumerate(mode):
            x = extended(x, [w if k == i else (0, 0) for k, w in enumerate(widths)], m, cval) if any(widths[i]) else x
        return x
    if mode not in PADS:
        raise ValueError(f"boundary mode not supported: {mode!r}; it is one of {', '.join(PADS)}")
    if PADS[mode] == "constant":
        return pad(x, widths, constant_values=array_operand(cval).astype(x.dtype))
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


def before(name: str, size: int, origin: int) -> int:
    """How many of the weights lie before an element."""
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
    left = before("correlate1d", size, origin)
    w = w.astype(np.result_type(x.dtype, w.dtype) if w.dtype.kind == "c" else x.dtype)
    moved = np.moveaxis(x, axis, -1)
    wide = extended(moved, [(0, 0)] * (x.ndim - 1) + [(left, size - 1 - left)], mode, cval)
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


def each(value: Any, n: int, name: str) -> list[Any]:
    """A value for each of n axes."""
    if isinstance(value, (list, tuple)) or (np.ndim(value) == 1 and not isinstance(value, str)):
        if len(value) != n:
            raise ValueError(f"{name}: {len(value)} values for {n} axes")
        return list(value)
    return [value] * n


def chosen(name: str, x: Any, axes: Any) -> list[int]:
    """The axes of a filter: all, where none are given."""
    if axes is None:
        return list(range(x.ndim))
    out = [
        _axis(x, operator.index(i))
        for i in (axes if isinstance(axes, (list, tuple)) or is_a(axes, np.ndarray) else [axes])
    ]
    if len(set(out)) != len(out):
        raise ValueError(f"{name}: axes must be unique, got {axes}")
    return out


def spread(values: Any, axes: Sequence[int], ndim: int, name: str, other: Any) -> list[Any]:
    """A value for each dimension: those of the filter's axes, and another one for those that are not filtered."""
    out = [other] * ndim
    for axis, value in zip(axes, each(values, len(axes), name), strict=True):
        out[axis] = value
    return out


def over(x: Any, weights: Any, axes: Sequence[int]) -> Any:
    """Weights, or a footprint, of a filter's axes as one of all dimensions: in their order in the array, as in SciPy,
    whatever order the axes are given in."""
    return np.reshape(weights, spread(weights.shape, sorted(axes), x.ndim, "weights", 1))


def correlate(
    input: Any,
    weights: Any,
    output: Any = None,
    mode: str | Sequence[str] = "reflect",
    cval: Any = 0.0,
    origin: int | Sequence[int] = 0,
    *,
    axes: Any = None,
) -> Any:
    """The correlation with weights that have as many dimensions, or a dimension for each of `axes`; arguments as in
    `correlate1d`.

    >>> correlate(np.ones((2, 2)), np.ones((3, 3)))
    array([[9., 9.],
           [9., 9.]])
    """
    x, dtype = _working("correlate", input, output)
    w = array_operand(weights)
    filtered = chosen("correlate", x, axes)
    if w.ndim != len(filtered):
        among = "" if axes is None else f" and axes {axes}"
        raise ShapeError(f"correlate: weights of shape {w.shape} for an array of shape {x.shape}{among}")
    w = over(x, w.astype(np.result_type(x.dtype, w.dtype) if w.dtype.kind == "c" else x.dtype), filtered)
    origins = spread(origin, filtered, x.ndim, "origin", 0)
    lefts = [before("correlate", n, o) for n, o in zip(w.shape, origins, strict=True)]
    widths = [(left, n - 1 - left) for n, left in zip(w.shape, lefts, strict=True)]
    mode = mode if isinstance(mode, str) else spread(mode, filtered, x.ndim, "mode", "constant")
    return _result(_convolved(extended(x, widths, mode, cval), w), dtype)


def convolve(
    input: Any,
    weights: Any,
    output: Any = None,
    mode: str | Sequence[str] = "reflect",
    cval: Any = 0.0,
    origin: int | Sequence[int] = 0,
    *,
    axes: Any = None,
) -> Any:
    """The convolution with weights that have as many dimensions; arguments as in `correlate`.

    >>> convolve(np.eye(2), np.array([[1.0, 2.0]]), mode="constant")
    array([[2., 0.],
           [1., 2.]])
    """
    w = array_operand(weights)
    filtered = chosen("convolve", array_operand(input), axes)
    sizes = dict(zip(sorted(filtered), w.shape, strict=False))
    origins = each(origin, len(filtered), "origin")
    origins = [-o - (sizes.get(i, 1) % 2 == 0) for i, o in zip(filtered, origins, strict=True)]
    return correlate(input, w[(slice(None, None, -1),) * w.ndim], output, mode, cval, origins, axes=axes)


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
    filtered = chosen("gaussian_filter", x, axes)
    n = len(filtered)
    parts = (each(v, n, "gaussian_filter") for v in (sigma, order, mode, radius))
    for axis, s, o, m, r in zip(filtered, *parts, strict=True):
        if type(s) in (int, float) and s <= 1e-15:
            continue
        x = _result(gaussian_filter1d(x, s, axis, o, None, m, cval, truncate, radius=r), dtype)  # SciPy cuts in between
    return _result(x, dtype)


def gaussian_laplace(
    input: Any,
    sigma: Any,
    output: Any = None,
    mode: str | Sequence[str] = "reflect",
    cval: Any = 0.0,
    *,
    axes: Any = None,
    **kwargs: Any,
) -> Any:
    """The sum of a Gaussian's second derivatives; arguments as in `gaussian_filter`.

    >>> gaussian_laplace(np.eye(3), 1.0).shape
    (3, 3)
    """
    x, dtype = _working("gaussian_laplace", input, output)
    filtered = chosen("gaussian_laplace", x, axes)
    orders, modes = np.eye(len(filtered), dtype=int) * 2, each(mode, len(filtered), "gaussian_laplace")
    total: Any = 0
    for order, m in zip(orders.tolist(), modes, strict=True):
        total = total + gaussian_filter(x, sigma, order, dtype, m, cval, axes=filtered, **kwargs)
    return _result(total, dtype)


def gaussian_gradient_magnitude(
    input: Any,
    sigma: Any,
    output: Any = None,
    mode: str | Sequence[str] = "reflect",
    cval: Any = 0.0,
    *,
    axes: Any = None,
    **kwargs: Any,
) -> Any:
    """The norm of the gradient by a Gaussian's derivatives; arguments as in `gaussian_filter`. `axes` are those of the
    gradient: as in SciPy the Gaussian is along all axes.

    >>> gaussian_gradient_magnitude(np.eye(3), 1.0).shape
    (3, 3)
    """
    x, dtype = _working("gaussian_gradient_magnitude", input, output)
    filtered = chosen("gaussian_gradient_magnitude", x, axes)
    orders, modes = np.eye(x.ndim, dtype=int)[filtered], each(mode, len(filtered), "gaussian_gradient_magnitude")
    pairs = zip(orders.tolist(), modes, strict=True)
    parts = [gaussian_filter(x, sigma, order, dtype, m, cval, **kwargs) for order, m in pairs]
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
    x, dtype = _working("uniform_filter1d", input, output)
    return _result(correlate1d(x, np.ones(size), axis, None, mode, cval, origin) / size, dtype)


def uniform_filter(
    input: Any,
    size: int | Sequence[int] = 3,
    output: Any = None,
    mode: str | Sequence[str] = "reflect",
    cval: Any = 0.0,
    origin: int | Sequence[int] = 0,
    *,
    axes: Any = None,
) -> Any:
    """The means of windows along all axes, or `axes`; a value, or one for each axis, of size, mode and origin.

    >>> uniform_filter(np.ones((2, 2)), 3)
    array([[1., 1.],
           [1., 1.]])
    """
    x, dtype = _working("uniform_filter", input, output)
    filtered = chosen("uniform_filter", x, axes)
    parts = (each(v, len(filtered), "uniform_filter") for v in (size, mode, origin))
    for axis, n, m, o in zip(filtered, *parts, strict=True):
        x = _result(uniform_filter1d(x, n, axis, None, m, cval, o), dtype)
    return _result(x, dtype)


def _difference(name: str, side: Sequence[float], input: Any, axis: int, output: Any, mode: Any, cval: Any) -> Any:
    x, dtype = _working(name, input, output)
    axis = _axis(x, axis)
    modes = each(mode, x.ndim, name)
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


def laplace(input: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *, axes: Any = None) -> Any:
    """The sum of second differences along all axes, or `axes`.

    >>> laplace(np.array([0.0, 1.0, 3.0]))
    array([ 1.,  1., -2.])
    """
    x, dtype = _working("laplace", input, output)
    filtered = chosen("laplace", x, axes)
    total: Any = 0
    for i, m in zip(filtered, each(mode, len(filtered), "laplace"), strict=True):
        total = total + correlate1d(x, np.array([1.0, -2.0, 1.0]), i, None, m, cval)
    return _result(total, dtype)
