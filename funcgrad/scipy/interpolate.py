"""`scipy.interpolate`: splines and interpolation on grids, with derivatives by places, values and knots.

Interpolants are pytrees: they can be made in one function and used in another, transformed or not.

>>> from funcgrad import grad
>>> x = np.array([0.0, 1.0, 2.0, 3.0])
>>> round(float(grad(CubicSpline(x, x**2))(1.5)), 6)
3.0
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad._tree_registry import register_pytree_node
from funcgrad.core import Tracer
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._index import take
from funcgrad.scipy._barycentric import BarycentricInterpolator
from funcgrad.scipy._bsplines import BSpline, make_interp_spline, splev, splint, splrep
from funcgrad.scipy._grid import RegularGridInterpolator, interpn
from funcgrad.scipy._needs import rest_of
from funcgrad.scipy._splines import axis_to, cubic_from_slopes, float_array, knots_and_values, powers, where_places
from funcgrad.types import shape_of

__all__ = [
    "Akima1DInterpolator",
    "BSpline",
    "BarycentricInterpolator",
    "CubicHermiteSpline",
    "CubicSpline",
    "PPoly",
    "PchipInterpolator",
    "RegularGridInterpolator",
    "interp1d",
    "interpn",
    "make_interp_spline",
    "splev",
    "splint",
    "splrep",
]


__getattr__ = rest_of("interpolate")


def __dir__() -> list[str]:
    return __all__


# ---------------------------------------------------------------------------------------------- piecewise polynomials


class PPoly:
    """Piecewise polynomials: between x[i] and x[i + 1], Σ c[k, i] (u − x[i])^(order − k); outside, the nearest goes on.

    Args:
        c: coefficients, of shape (order + 1, intervals, …).
        x: the places where pieces meet, increasing.
        extrapolate: True; False for NaN outside; "periodic" to go round.
        axis: where the axes of the argument stand in the result.

    >>> float(PPoly(np.array([[2.0], [1.0]]), np.array([0.0, 1.0]))(0.5))
    2.0
    """

    def __init__(self, c: Any, x: Any, extrapolate: Any = None, axis: int = 0) -> None:
        self.c, self.x = float_array(c, "PPoly"), float_array(x, "PPoly")
        self.extrapolate, self.axis = True if extrapolate is None else extrapolate, axis

    def __call__(self, x: Any, nu: int = 0, extrapolate: Any = None) -> Any:
        """Values at x, or those of the derivative of order `nu`."""
        x = float_array(x, "an interpolant")
        extrapolate = self.extrapolate if extrapolate is None else extrapolate
        low, high = self.x[0], self.x[-1]
        place = low + np.mod(x - low, high - low) if extrapolate == "periodic" else x
        out = powers(self.c, self.x, place, nu)
        if not extrapolate:
            out = where_places((x < low) | (x > high), np.nan, out)
        return axis_to(out, len(shape_of(x)), self.axis)

    def derivative(self, nu: int = 1) -> PPoly:
        """The derivative of this order, piece by piece."""
        order = shape_of(self.c)[0] - 1
        if nu > order:
            return PPoly(np.zeros_like(self.c[:1]), self.x, self.extrapolate, self.axis)
        scale = np.array([float(np.prod(np.arange(k - nu + 1, k + 1))) for k in range(order, nu - 1, -1)])
        c = self.c[: order + 1 - nu] * np.reshape(scale, (-1, *(1,) * (len(shape_of(self.c)) - 1)))
        return PPoly(c, self.x, self.extrapolate, self.axis)

    def antiderivative(self) -> PPoly:
        """The integral from x[0]."""
        order, n = shape_of(self.c)[:2]
        tail = (1,) * (len(shape_of(self.c)) - 2)
        c = self.c / np.reshape(np.arange(order, 0.0, -1.0), (-1, 1, *tail))
        h = np.reshape(np.diff(self.x), (n, *tail))
        parts = sum(c[k] * h ** (order - k) for k in range(order))
        sums = np.cumsum(parts, axis=0)
        start = np.concatenate([np.zeros_like(sums[:1]), sums[:-1]])
        return PPoly(np.concatenate([c, start[None]]), self.x, self.extrapolate, self.axis)

    def integrate(self, a: Any, b: Any) -> Any:
        """The integral from a to b."""
        whole = self.antiderivative()
        return whole(b) - whole(a)


def _register(cls: Any) -> None:
    def unflatten(fixed: Any, children: Any) -> Any:
        made = object.__new__(cls)
        made.c, made.x = children
        made.extrapolate, made.axis = fixed
        return made

    register_pytree_node(cls, lambda p: ([p.c, p.x], (p.extrapolate, p.axis)), unflatten)


class CubicSpline(PPoly):
    """The cubic spline through data, twice differentiable; `scipy.interpolate.CubicSpline`.

    Args:
        x: knots, increasing.
        y: values along `axis`.
        bc_type: "not-a-knot", "natural", "clamped", "periodic", or a pair ((order, value), (order, value)) of first or
            second derivatives at the ends.
        extrapolate: True, False (NaN outside), "periodic"; None for "periodic" with such ends, else True.

    >>> x = np.array([0.0, 1.0, 2.0, 4.0])
    >>> CubicSpline(x, x**3)(np.array([0.5, 3.0]))
    array([ 0.125, 27.   ])
    """

    def __init__(self, x: Any, y: Any, axis: int = 0, bc_type: Any = "not-a-knot", extrapolate: Any = None) -> None:
        x, y = knots_and_values(x, y, axis, "CubicSpline")
        if extrapolate is None:
            extrapolate = "periodic" if bc_type == "periodic" else True
        slopes = _spline_slopes(x, y, bc_type)
        super().__init__(cubic_from_slopes(x, y, slopes), x, extrapolate, axis % len(shape_of(y)))


def _ends(bc_type: Any) -> list[Any]:
    """The conditions at both ends: "not-a-knot", or (order of a derivative, its value)."""
    named = {"natural": (2, 0.0), "clamped": (1, 0.0), "not-a-knot": "not-a-knot"}
    pair = (bc_type, bc_type) if isinstance(bc_type, str) else tuple(bc_type)
    found = [named.get(e, e) if isinstance(e, str) else e for e in pair]
    if len(found) != 2 or any(e != "not-a-knot" if isinstance(e, str) else e[0] not in (1, 2) for e in found):
        raise ValueError(
            "CubicSpline: bc_type must be 'not-a-knot', 'natural', 'clamped', 'periodic' or a pair of (order, value) "
            f"with order 1 or 2, got {bc_type!r}"
        )
    return found


def _spline_slopes(x: Any, y: Any, bc_type: Any) -> Any:
    """The slopes at the knots with which second derivatives agree there."""
    n = shape_of(x)[0]
    h = np.diff(x)
    flat = np.reshape(y, (n, -1))
    rise = np.diff(flat, axis=0) / h[:, None]
    unit = np.eye(n)
    inner = slice(1, n - 1)
    a, b = h[:-1], h[1:]
    # b sᵢ₋₁ + 2 (a + b) sᵢ + a sᵢ₊₁ = 3 (b riseᵢ₋₁ + a riseᵢ)
    matrix = unit[inner] * (2 * (a + b))[:, None]
    matrix = matrix + unit[: n - 2] * b[:, None] + unit[2:] * a[:, None]
    right = 3 * (b[:, None] * rise[:-1] + a[:, None] * rise[1:])
    if isinstance(bc_type, str) and bc_type == "periodic":
        if not isinstance(y, Tracer) and not np.allclose(flat[0], flat[-1], rtol=1e-15, atol=1e-15):
            raise ValueError("CubicSpline: with bc_type='periodic' the first and the last value must be equal")
        round_ = unit[0] * 2 * (h[-1] + h[0]) + unit[1] * h[-1] + unit[n - 2] * h[0]
        first, first_right = round_, 3 * (h[0] * rise[-1] + h[-1] * rise[0])
        last, last_right = unit[0] - unit[n - 1], 0 * rise[0]
        if n == 2:
            return np.zeros_like(y)
    else:
        low, high = _ends(bc_type)
        if n == 2:
            low, high = ((1, rise[0]) if isinstance(e, str) else e for e in (low, high))
        if n == 3 and isinstance(low, str) and isinstance(high, str):
            bend = (rise[1] - rise[0]) / (x[2] - x[0])  # one parabola
            slopes = [rise[0] - bend * h[0], rise[0] + bend * h[0], rise[1] + bend * h[1]]
            return np.reshape(np.stack(slopes), shape_of(y))
        first, first_right = _end(low, h, rise, unit)
        last, last_right = _end(high, h[::-1], rise[::-1], unit[::-1], -1.0)
    matrix = np.concatenate([first[None], matrix, last[None]])
    right = np.concatenate([_row(first_right, rise), right, _row(last_right, rise)])
    return np.reshape(np.linalg.solve(matrix, right), shape_of(y))


def _row(value: Any, rise: Any) -> Any:
    return np.broadcast_to(np.reshape(array_operand(value) * 1.0, (1, -1)), (1, shape_of(rise)[1]))


def _end(condition: Any, h: Any, rise: Any, unit: Any, sign: float = 1.0) -> tuple[Any, Any]:
    """The equation at the first knot (at the last one, with everything turned round and `sign` -1)."""
    if isinstance(condition, str):
        d = h[0] + h[1]
        right = ((h[0] + 2 * d) * h[1] * rise[0] + h[0] ** 2 * rise[1]) / d
        return unit[0] * h[1] + unit[1] * d, right
    order, value = condition
    if order == 1:
        return unit[0], value
    return unit[0] * 2.0 + unit[1], 3 * rise[0] - sign * 0.5 * h[0] * value


class CubicHermiteSpline(PPoly):
    """Cubic pieces from values and slopes at the knots; `scipy.interpolate.CubicHermiteSpline`.

    Args:
        x: knots, increasing.
        y, dydx: values and slopes along `axis`, of one shape.
        extrapolate: True, False (NaN outside), "periodic".

    >>> float(CubicHermiteSpline([0.0, 2.0], [0.0, 8.0], [0.0, 12.0])(1.0))
    1.0
    """

    def __init__(self, x: Any, y: Any, dydx: Any, axis: int = 0, extrapolate: Any = None) -> None:
        knots, y = knots_and_values(x, y, axis, "CubicHermiteSpline")
        slopes = knots_and_values(x, dydx, axis, "CubicHermiteSpline")[1]
        if shape_of(slopes) != shape_of(y):
            raise ValueError(f"CubicHermiteSpline: values {shape_of(y)} and slopes {shape_of(slopes)} do not fit")
        super().__init__(cubic_from_slopes(knots, y, slopes), knots, extrapolate, axis % len(shape_of(y)))


class PchipInterpolator(PPoly):
    """Cubic pieces that keep monotone data monotone (Fritsch and Butland, 1984); `scipy.interpolate.PchipInterpolator`.

    Args:
        x: knots, increasing.
        y: values along `axis`.
        extrapolate: True, False (NaN outside).

    >>> float(PchipInterpolator(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0]))(1.5))
    1.0
    """

    def __init__(self, x: Any, y: Any, axis: int = 0, extrapolate: Any = None) -> None:
        x, y = knots_and_values(x, y, axis, "PchipInterpolator")
        super().__init__(cubic_from_slopes(x, y, _pchip_slopes(x, y)), x, extrapolate, axis % len(shape_of(y)))


def _pchip_slopes(x: Any, y: Any) -> Any:
    n = shape_of(x)[0]
    h = np.reshape(np.diff(x), (n - 1, *(1,) * (len(shape_of(y)) - 1)))
    rise = np.diff(y, axis=0) / h
    if n == 2:
        return np.concatenate([rise, rise])
    a, b = rise[:-1], rise[1:]
    w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    flat = (np.sign(a) != np.sign(b)) | (a == 0) | (b == 0)
    mean = (w1 + w2) / (w1 / np.where(flat, 1.0, a) + w2 / np.where(flat, 1.0, b))
    inner = np.where(flat, 0.0, mean)

    def end(h0: Any, h1: Any, r0: Any, r1: Any) -> Any:
        d = ((2 * h0 + h1) * r0 - h0 * r1) / (h0 + h1)
        d = np.where(np.sign(d) != np.sign(r0), 0.0, d)
        return np.where((np.sign(r0) != np.sign(r1)) & (np.abs(d) > 3 * np.abs(r0)), 3 * r0, d)

    return np.concatenate([end(h[0], h[1], rise[0], rise[1])[None], inner, end(h[-1], h[-2], rise[-1], rise[-2])[None]])


class Akima1DInterpolator(PPoly):
    """Cubic pieces with slopes of which far data know nothing (Akima, 1970); `scipy.interpolate.Akima1DInterpolator`.

    Args:
        x: knots, increasing.
        y: values along `axis`.
        method: "akima", or "makima", which overshoots less at flat data.
        extrapolate: False by default: NaN outside.

    >>> x = np.arange(5.0)
    >>> float(Akima1DInterpolator(x, x**2)(2.5))
    6.25
    """

    def __init__(self, x: Any, y: Any, axis: int = 0, *, method: str = "akima", extrapolate: Any = None) -> None:
        if method not in ("akima", "makima"):
            raise ValueError(f"Akima1DInterpolator: method must be 'akima' or 'makima', got {method!r}")
        x, y = knots_and_values(x, y, axis, "Akima1DInterpolator")
        slopes = _akima_slopes(x, y, method)
        super().__init__(cubic_from_slopes(x, y, slopes), x, bool(extrapolate), axis % len(shape_of(y)))


def _akima_slopes(x: Any, y: Any, method: str) -> Any:
    n = shape_of(x)[0]
    rise = np.diff(y, axis=0) / np.reshape(np.diff(x), (n - 1, *(1,) * (len(shape_of(y)) - 1)))
    if n == 2:
        return np.concatenate([rise, rise])
    left, right = 2 * rise[0] - rise[1], 2 * rise[-1] - rise[-2]
    every = np.concatenate([(2 * left - rise[0])[None], left[None], rise, right[None], (2 * right - rise[-1])[None]])
    change = np.abs(np.diff(every, axis=0))
    if method == "makima":
        change = change + 0.5 * np.abs(every[1:] + every[:-1])
    before, after = change[:-2], change[2:]
    total = before + after
    flat = total <= 1e-9 * np.max(total)
    weighted = (after * every[1:-2] + before * every[2:-1]) / np.where(flat, 1.0, total)
    return np.where(flat, 0.5 * (every[1:-2] + every[2:-1]) if method == "akima" else 0.0, weighted)


for _cls in (PPoly, CubicSpline, CubicHermiteSpline, PchipInterpolator, Akima1DInterpolator):
    _register(_cls)


# ------------------------------------------------------------------------------------------------------------ others


class interp1d:
    """Interpolation of data along an axis; `scipy.interpolate.interp1d`.

    Args:
        x: places, increasing (or, where they are known, in any order).
        y: values along `axis`.
        kind: "linear", "nearest", "previous", "next", "zero", or a spline: "slinear", "quadratic", "cubic", a degree.
        bounds_error: raise ValueError outside, where places are known; by default if there is no `fill_value`.
        fill_value: outside: a number, a pair (below, above), or "extrapolate".
        copy, assume_sorted: as for SciPy.

    >>> interp1d(np.array([0.0, 1.0]), np.array([2.0, 4.0]))(0.25)
    array(2.5)
    """

    def __init__(
        self, x: Any, y: Any, kind: Any = "linear", axis: int = -1, copy: bool = True, bounds_error: bool | None = None,
        fill_value: Any = np.nan, assume_sorted: bool = False,
    ) -> None:  # fmt: skip
        degrees: dict[Any, int] = {"zero": 0, "slinear": 1, "quadratic": 2, "cubic": 3}
        if kind not in ("linear", "nearest", "previous", "next", *degrees) and type(kind) is not int:
            raise ValueError(f"interp1d: kind {kind!r} is not offered")
        x = float_array(x, "interp1d")
        if not assume_sorted and not isinstance(x, Tracer):
            order = np.argsort(x, kind="stable")
            x, y = x[order], take(float_array(y, "interp1d"), order, axis=axis)
        self.x, self.y = knots_and_values(x, y, axis, "interp1d", 1)
        self.kind, self.axis = kind, axis % len(shape_of(self.y))
        self.outside = None if isinstance(fill_value, str) else fill_value
        self.raises = (type(fill_value) is float and np.isnan(fill_value)) if bounds_error is None else bounds_error
        degree = degrees.get(kind, kind)
        self.spline = make_interp_spline(self.x, self.y, degree) if type(degree) is int and degree > 0 else None

    def __call__(self, x: Any) -> Any:
        """Values at x."""
        x = float_array(x, "interp1d")
        out = self._inside(x)
        low, high = x < self.x[0], x > self.x[-1]
        if self.outside is not None:
            if self.raises and not isinstance(low, Tracer) and np.any(low | high):
                raise ValueError("interp1d: a place is outside the range of interpolation; give fill_value")
            below, above = self.outside if isinstance(self.outside, tuple) else (self.outside, self.outside)
            out = where_places(low, below, where_places(high, above, out))
        return axis_to(out, len(shape_of(x)), self.axis)

    def _inside(self, x: Any) -> Any:
        if self.spline is not None:
            return self.spline(x)
        n = shape_of(self.x)[0]
        if self.kind == "linear":
            h = np.reshape(np.diff(self.x), (n - 1, *(1,) * (len(shape_of(self.y)) - 1)))
            return powers(np.stack([np.diff(self.y, axis=0) / h, self.y[:-1]]), self.x, x)
        if self.kind == "nearest":
            at = np.searchsorted((self.x[1:] + self.x[:-1]) / 2.0, x, side="left")
        elif self.kind == "next":
            at = np.searchsorted(self.x, x, side="left")
        else:
            at = np.searchsorted(self.x, x, side="right") - 1
        out = take(self.y, np.clip(at, 0, n - 1), axis=0)
        beyond = x > self.x[-1] if self.kind == "next" else x < self.x[0] if self.kind == "previous" else None
        return out if beyond is None else where_places(beyond, np.nan, out)


def _interp1d(fixed: Any, children: Any) -> interp1d:
    made = object.__new__(interp1d)
    made.x, made.y, made.spline = children
    made.kind, made.axis, made.outside, made.raises = fixed
    return made


register_pytree_node(interp1d, lambda f: ([f.x, f.y, f.spline], (f.kind, f.axis, f.outside, f.raises)), _interp1d)
