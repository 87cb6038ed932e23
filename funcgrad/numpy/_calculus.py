"""Numerical calculus on samples: trapezoid rule, finite-difference gradient, linear interpolation, polynomials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.aliasing import unordered
from funcgrad.numpy._dispatch import array_operand, implements
from funcgrad.numpy._index import take
from funcgrad.numpy._shape import axis_index, slice_axis
from funcgrad.types import is_a

__all__ = ["gradient", "interp", "polyval", "trapezoid"]


@implements(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral along an axis by the trapezoid rule."""
    y = np.moveaxis(array_operand(y), axis, -1)
    if x is None:
        steps: Any = dx
    else:
        x = array_operand(x)
        steps = np.diff(x if x.ndim == 1 else np.moveaxis(x, axis, -1))
    return np.sum((y[..., 1:] + y[..., :-1]) * steps, axis=-1) / 2.0


def _slope(f: Any, h: Any, axis: int, edge_order: int) -> Any:
    """Second-order differences inside, and ones of `edge_order` at the ends, for spacings h (one per interval, or one).

    The formulas are NumPy's, so that the same samples count: between them, not the one in the middle, where there is
    one spacing.
    """
    n = f.shape[axis]
    if n < edge_order + 1:
        raise ValueError(f"gradient: axis {axis} of {f.shape} needs at least {edge_order + 1} elements")
    dims = [1] * f.ndim
    dims[axis] = -1

    def part(start: int, size: int) -> Any:
        return slice_axis(f, axis, start, size)

    low, middle, high = part(0, n - 2), part(1, n - 2), part(2, n - 2)
    if h.ndim:
        d = np.reshape(h, tuple(dims))
        a, b = slice_axis(d, axis, 0, n - 2), slice_axis(d, axis, 1, n - 2)
        inside = -b / (a * (a + b)) * low + (b - a) / (a * b) * middle + a / (b * (a + b)) * high
    else:
        inside = (high - low) / (2.0 * h)
    at = (lambda i: h[i]) if h.ndim else lambda i: h
    if edge_order == 1:
        first, last = (part(1, 1) - part(0, 1)) / at(0), (part(n - 1, 1) - part(n - 2, 1)) / at(-1)
    else:
        first = _edge(at(0), at(1), part(0, 1), part(1, 1), part(2, 1))
        last = -_edge(at(-1), at(-2), part(n - 1, 1), part(n - 2, 1), part(n - 3, 1))
    return np.concatenate([first, inside, last], axis=axis)


def _edge(a: Any, b: Any, x: Any, y: Any, z: Any) -> Any:
    """The slope at x of the parabola through x, y and z, the spacings being a and b."""
    return -(2.0 * a + b) / (a * (a + b)) * x + (a + b) / (a * b) * y - a / (b * (a + b)) * z


@implements(np.gradient, view=True)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """The gradient of samples by finite differences: an array for one axis, else a tuple of them."""
    f = array_operand(f)
    f = f.astype(np.float64) if f.dtype.kind in "iu" else f  # of truth values there is no difference
    given = range(f.ndim) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = [axis_index(i, f.ndim) for i in given]
    spacings: Sequence[Any] = varargs if varargs else (1.0,)
    if len(spacings) == 1:
        spacings = list(spacings) * len(axes)
    if len(spacings) != len(axes):
        raise ValueError(f"gradient: {len(spacings)} spacings for {len(axes)} axes")
    out: list[Any] = []
    for i, h in zip(axes, spacings, strict=True):
        h = array_operand(h)
        h = h.astype(np.float64) if h.ndim == 1 and h.dtype.kind in "iu" else h
        out.append(_slope(f, np.diff(h) if h.ndim == 1 else h, i, edge_order).astype(f.dtype))
    out = list(map(unordered, out))
    return out[0] if len(out) == 1 else tuple(out)


@implements(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Piecewise linear interpolation, in double precision; differentiable in x, xp and fp.

    As in JAX, `left` and `right` may be "extrapolate": the first or last line goes on.
    """
    x, xp, fp = array_operand(x), array_operand(xp), array_operand(fp)
    for name, given in (("x", x), ("xp", xp), ("fp", fp)):
        kind = np.complex128 if given is fp and fp.dtype.kind == "c" else np.float64
        if not np.can_cast(given.dtype, kind, "safe"):
            raise TypeError(f"interp: {name} has dtype {given.dtype}, which cannot be cast safely to {kind.__name__}")
    x, xp = x.astype(np.float64), xp.astype(np.float64)
    fp = fp.astype(np.complex128 if fp.dtype.kind == "c" else np.float64)
    if period is not None:
        x, xp = np.mod(x, period), np.mod(xp, period)
        order = np.argsort(xp)
        xp, fp = take(xp, order), take(fp, order)
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
    inside = _between_samples(x, xp, fp) if xp.shape[0] > 1 else take(fp, np.zeros(x.shape, int))
    if period is not None:
        left = right = None
    ends = [
        f if given is None else inside if is_a(given, str) and given == "extrapolate" else given
        for f, given in ((fp[0], left), (fp[-1], right))
    ]
    out = np.where(x > xp[-1], ends[1], inside)
    out = np.where(x < xp[0], ends[0], out)
    return out if out.ndim else np.positive(out)  # a scalar, as the function's own


def _between_samples(x: Any, xp: Any, fp: Any) -> Any:
    """The line through two samples, which meets those exactly. At samples of one place the value is that of the last,
    also where they are the end; where a sample is infinite, whatever is not NaN from one of the two sides."""
    i = np.clip(np.searchsorted(xp, x, side="right"), 1, xp.shape[0] - 1)
    left_x, left_f, right_x, right_f = take(xp, i - 1), take(fp, i - 1), take(xp, i), take(fp, i)
    width = right_x - left_x
    slope = (right_f - left_f) / np.where(width == 0, 1, width)
    end = x == right_x
    from_x, from_f = np.where(end, right_x, left_x), np.where(end, right_f, left_f)
    step = (x - from_x) * slope
    out = np.where((x == from_x) & np.isnan(step), from_f, from_f + step)
    out = np.where(np.isnan(out), right_f + (x - right_x) * slope, out)
    return np.where(np.isnan(out) & (left_f == right_f) & (x == x), left_f, out)


@implements(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """The value of a polynomial with coefficients `p`, highest power first, by Horner's scheme."""
    p, x = array_operand(p), array_operand(x)
    out = np.zeros_like(x)
    for i in range(p.shape[0]):
        out = out * x + p[i]
    return out
