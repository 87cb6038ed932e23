"""Piecewise polynomials and B-splines: their coefficients, and their values.

Coefficients follow from data by operations that are recorded (slopes are solutions of linear equations), so they have
derivatives by values and by knots. Which piece a place lies in has none.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core import Tracer
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._index import take
from funcgrad.ops.shape import STOP_GRADIENT
from funcgrad.types import shape_of

__all__ = ["axis_to", "cubic_from_slopes", "deboor", "float_array", "knots_and_values", "pieces", "powers",
           "where_places"]  # fmt: skip


def float_array(x: Any, name: str) -> Any:
    """An array of floating or complex numbers."""
    if isinstance(x, (list, tuple)):
        x = np.stack([array_operand(v) for v in x]) if x else np.zeros(0)
    x = array_operand(x)
    if x.dtype.kind not in "biufc":
        raise TypeError(f"{name}: numbers are needed, got dtype {x.dtype}")
    return x if x.dtype.kind in "fc" else x.astype(np.float64)


def knots_and_values(x: Any, y: Any, axis: int, name: str, least: int = 2) -> tuple[Any, Any]:
    """Knots and values, the values along their first axis; knots must increase, where they are known."""
    x, y = float_array(x, name), np.moveaxis(float_array(y, name), axis, 0)
    if len(shape_of(x)) != 1 or shape_of(x)[0] < least:
        raise ValueError(f"{name}: x must be a vector of at least {least} places, got shape {shape_of(x)}")
    if shape_of(y)[0] != shape_of(x)[0]:
        raise ValueError(f"{name}: x has {shape_of(x)[0]} places, y has {shape_of(y)[0]} along its axis")
    if not isinstance(x, Tracer) and not np.all(np.diff(x) > 0):
        raise ValueError(f"{name}: x must be increasing")
    return x, y


def axis_to(out: Any, ndim: int, axis: int) -> Any:
    """The result with the axes of the argument, which are its first ones, where the axis of the values was."""
    return out if axis == 0 else np.moveaxis(out, range(ndim), range(axis, axis + ndim))


def pieces(knots: Any, x: Any) -> Any:
    """Which of the intervals between increasing knots each place lies in; those outside lie in the nearest."""
    n = shape_of(knots)[0]
    found = np.searchsorted(STOP_GRADIENT.bind(knots), STOP_GRADIENT.bind(x), side="right") - 1
    return np.clip(found, 0, n - 2)


def cubic_from_slopes(x: Any, y: Any, slopes: Any) -> Any:
    """Coefficients of (x − xᵢ)³, …, 1 in each interval, from values and slopes at the knots; shape (4, n − 1, …)."""
    h = _columns(np.diff(x), y)
    rise = np.diff(y, axis=0) / h
    t = (slopes[:-1] + slopes[1:] - 2 * rise) / h
    return np.stack([t / h, (rise - slopes[:-1]) / h - t, slopes[:-1], y[:-1]])


def where_places(question: Any, new: Any, out: Any) -> Any:
    """Values at places, with others where a question of the places has the answer yes."""
    more = len(shape_of(out)) - len(shape_of(question))
    return np.where(np.reshape(question, (*shape_of(question), *(1,) * more)), new, out)


def _columns(v: Any, like: Any) -> Any:
    """A vector along the first axis of an array."""
    return np.reshape(v, (-1, *(1,) * (len(shape_of(like)) - 1)))


def powers(coefficients: Any, knots: Any, x: Any, derivative: int = 0) -> Any:
    """Values of piecewise polynomials, or of a derivative of them; the shape is that of x and then of the values."""
    flat = np.ravel(x)
    at = pieces(knots, flat)
    u = flat - take(knots, at)
    order = shape_of(coefficients)[0]
    picked = take(coefficients, at, axis=1)
    out = np.zeros_like(picked[0])
    for i in range(order - derivative):
        degree = order - 1 - i
        scale = float(np.prod(np.arange(degree - derivative + 1, degree + 1)))
        out = out * _columns(u, out) + scale * picked[i]
    return np.reshape(out, (*shape_of(x), *shape_of(coefficients)[2:]))


def deboor(knots: Any, coefficients: Any, degree: int, x: Any) -> Any:
    """Values of a B-spline by de Boor's recursion (de Boor, "A Practical Guide to Splines", 2001, chapter X)."""
    flat = np.ravel(x)
    inner = knots[degree : shape_of(knots)[0] - degree]
    at = pieces(inner, flat) + degree
    steps = [take(coefficients, at - degree + j, axis=0) for j in range(degree + 1)]
    for r in range(1, degree + 1):
        for j in range(degree, r - 1, -1):
            low, high = take(knots, at - degree + j), take(knots, at + 1 + j - r)
            w = _columns((flat - low) / (high - low), steps[j])
            steps[j] = (1.0 - w) * steps[j - 1] + w * steps[j]
    return np.reshape(steps[degree], (*shape_of(x), *shape_of(coefficients)[1:]))
