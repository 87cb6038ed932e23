"""B-splines, and those through data."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad._tree_registry import register_pytree_node
from funcgrad.numpy._dispatch import array_operand
from funcgrad.scipy._splines import axis_to, deboor, float_array, knots_and_values, where_places
from funcgrad.types import is_a, shape_of

__all__ = ["BSpline", "make_interp_spline"]


class BSpline:
    """A spline as a sum of B-splines; `scipy.interpolate.BSpline`.

    Args:
        t: knots, which do not decrease.
        c: coefficients, of shape (knots − degree − 1, …).
        k: the degree.
        extrapolate: True, False (NaN outside) or "periodic".

    >>> float(BSpline(np.array([0.0, 0.0, 1.0, 1.0]), np.array([2.0, 4.0]), 1)(0.25))
    2.5
    """

    def __init__(self, t: Any, c: Any, k: int, extrapolate: Any = True, axis: int = 0) -> None:
        self.t, self.c = float_array(t, "BSpline"), np.moveaxis(float_array(c, "BSpline"), axis, 0)
        self.k, self.extrapolate, self.axis = int(k), extrapolate, axis
        n = shape_of(self.t)[0] - self.k - 1
        if n < self.k + 1 or shape_of(self.c)[0] < n:
            raise ValueError(f"BSpline: {n + self.k + 1} knots of degree {k} need {n} ≥ {k + 1} coefficients")

    def __call__(self, x: Any, nu: int = 0, extrapolate: Any = None) -> Any:
        """Values at x, or those of the derivative of order `nu`."""
        spline = self if not nu else self.derivative(nu)
        x = float_array(x, "BSpline")
        extrapolate = self.extrapolate if extrapolate is None else extrapolate
        low, high = self.t[self.k], self.t[-self.k - 1]
        place = low + np.mod(x - low, high - low) if extrapolate == "periodic" else x
        out = deboor(spline.t, spline.c, spline.k, place)
        if not extrapolate:
            out = where_places((x < low) | (x > high), np.nan, out)
        return axis_to(out, len(shape_of(x)), self.axis)

    def derivative(self, nu: int = 1) -> BSpline:
        """The derivative of this order, a spline of lower degree."""
        t, c, k = self.t, self.c, self.k
        for _ in range(nu):
            if k == 0:
                return _bspline(self.t, 0 * self.c, self.k, self.extrapolate, self.axis)
            n = shape_of(t)[0] - k - 1
            width = np.reshape(t[k + 1 : k + n] - t[1:n], (n - 1, *(1,) * (len(shape_of(c)) - 1)))
            none = width == 0
            c = np.where(none, 0.0, k * np.diff(c[:n], axis=0) / np.where(none, 1.0, width))
            t, k = t[1:-1], k - 1
        return _bspline(t, c, k, self.extrapolate, self.axis)


def _bspline(t: Any, c: Any, k: int, extrapolate: Any, axis: int) -> BSpline:
    made = object.__new__(BSpline)
    made.t, made.c, made.k, made.extrapolate, made.axis = t, c, k, extrapolate, axis
    return made


register_pytree_node(
    BSpline,
    lambda s: ([s.t, s.c], (s.k, s.extrapolate, s.axis)),
    lambda fixed, children: _bspline(*children, *fixed),
)


def make_interp_spline(
    x: Any, y: Any, k: int = 3, t: Any = None, bc_type: Any = None, axis: int = 0, check_finite: bool = True
) -> BSpline:
    """The B-spline of degree k through data; `scipy.interpolate.make_interp_spline`.

    Args:
        x: places, increasing.
        y: values along `axis`.
        k: the degree.
        t: knots; without them, as SciPy chooses them.
        bc_type: None or "not-a-knot"; "clamped" or "natural", the first or second derivative is 0 at both ends; or a
            pair of what holds at either end: one of these words, None, or a list of (order, value) of derivatives.
        check_finite: accepted for SciPy's sake.

    Raises:
        ValueError: knots, data and conditions are not as many as they must be.

    >>> x = np.arange(6.0)
    >>> round(float(make_interp_spline(x, x**3)(2.5)), 6)
    15.625
    """
    ends = [_derivatives(given) for given in (bc_type if is_a(bc_type, (tuple, list)) else (bc_type, bc_type))]
    x, y = knots_and_values(x, y, axis, "make_interp_spline", k + 1 - sum(map(len, ends)))
    n = shape_of(x)[0]
    if t is None and any(ends):
        t = np.concatenate([np.broadcast_to(x[:1], (k,)), x, np.broadcast_to(x[-1:], (k,))])
    elif t is None:
        inner = x if k == 1 else (x[1:] + x[:-1]) / 2.0 if k % 2 == 0 else x
        skip = (k + 1) // 2 if k % 2 else k // 2
        inner = inner[skip : shape_of(inner)[0] - skip]
        t = np.concatenate([np.broadcast_to(x[:1], (k + 1,)), inner, np.broadcast_to(x[-1:], (k + 1,))])
    t = float_array(t, "make_interp_spline")
    size = shape_of(t)[0] - k - 1
    if size != n + sum(map(len, ends)):
        raise ValueError(
            f"make_interp_spline: {size + k + 1} knots of degree {k} need {size} values and conditions, got {n} values "
            f"and {sum(map(len, ends))} conditions at the ends"
        )
    basis, row = BSpline(t, np.eye(size), k), shape_of(y)[1:]
    rows, values = [basis(x)], [np.reshape(y, (n, -1))]
    for place, conditions in zip((x[0], x[-1]), ends, strict=True):
        for order, value in conditions:
            rows.append(basis(place, order)[None])
            values.append(np.reshape(np.broadcast_to(array_operand(value) * 1.0, row), (1, -1)))
    found = np.linalg.solve(np.concatenate(rows), np.concatenate(values))
    return BSpline(t, np.moveaxis(np.reshape(found, (size, *row)), 0, axis), k, axis=axis)


def _derivatives(given: Any) -> list[Any]:
    """The conditions at an end, as (order of a derivative, its value)."""
    words: dict[Any, list[Any]] = {None: [], "not-a-knot": [], "clamped": [(1, 0.0)], "natural": [(2, 0.0)]}
    if given is None or isinstance(given, str):
        if given not in words:
            raise ValueError(f"make_interp_spline: bc_type {given!r} is not offered")
        return words[given]
    return list(given)
