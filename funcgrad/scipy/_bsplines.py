"""B-splines, and those through data."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad._tree_registry import register_pytree_node
from funcgrad.errors import UnsupportedFunctionError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._known import known
from funcgrad.scipy._needs import is_traced, scipy_module
from funcgrad.scipy._splines import axis_to, deboor, float_array, knots_and_values, where_places
from funcgrad.types import is_a, shape_of

__all__ = ["BSpline", "make_interp_spline", "splev", "splint", "splrep"]


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


def splrep(x: Any, y: Any, w: Any = None, *args: Any, k: int = 3, s: Any = None, **kwargs: Any) -> tuple[Any, Any, int]:
    """(knots, coefficients, degree) of a spline for data: SciPy's for plain arrays, and that through traced ones.

    Args:
        x, y: places, increasing, and values.
        w: weights, of plain data.
        k: the degree.
        s: 0, or None without weights, for a spline through the data; more smooths, where they are plain.
        *args, **kwargs: SciPy's, where data are plain.

    Raises:
        UnsupportedFunctionError: a spline of traced data that does not go through them.

    >>> t, c, k = splrep(np.arange(5.0), np.arange(5.0) ** 2)
    >>> splev(2.5, (t, c, k)).round(9)
    np.float64(6.25)
    """
    if not is_traced(x) and not is_traced(y):
        return scipy_module("interpolate", "interpolate.splrep").splrep(x, y, w, *args, k=k, s=s, **kwargs)
    if args or kwargs or w is not None or (s is not None and (is_traced(s) or s != 0)):
        raise UnsupportedFunctionError(
            "splrep: of traced data only the spline through them is offered (s=0; no weights, ends, knots); fit "
            "coefficients to data that a BSpline is to smooth"
        )
    through = make_interp_spline(x, y, k)
    return through.t, np.concatenate([through.c, np.zeros(k + 1)]), k


def splev(x: Any, tck: Any, der: int = 0, ext: int = 0) -> Any:
    """A spline at places x, from (knots, coefficients, degree) or a `BSpline`, or its derivative of order `der`.

    Args:
        x: places.
        tck: the spline; with a list of coefficients the result is a list.
        der: the order of the derivative.
        ext: what is outside: 0 the spline goes on, 1 zeros, 2 an error, 3 the value at the end (derivatives go on).

    >>> float(splev(0.25, (np.array([0.0, 0.0, 1.0, 1.0]), np.array([2.0, 4.0]), 1)))
    2.5
    """
    if isinstance(tck, BSpline):
        return tck(x, der, bool(1 - ext) if ext in (0, 1) else None)
    t, c, k = tck
    if not 0 <= der <= k or ext not in (0, 1, 2, 3):
        raise ValueError(f"splev: 0 ≤ der ≤ {k} and ext 0, 1, 2 or 3 are wanted, got der={der}, ext={ext}")
    if isinstance(c, (list, tuple)) or len(shape_of(c)) > 1:
        return [splev(x, (t, part, k), der, ext) for part in c]
    spline, x = BSpline(t, c, k), float_array(x, "splev")
    low, high = spline.t[k], spline.t[-k - 1]
    outside = (x < low) | (x > high)
    if ext == 2 and np.any(known(outside, "splev with ext=2", "choose another ext", "looks at places")):
        raise ValueError("splev: a place is outside of the knots")
    out = spline(np.clip(x, low, high) if ext == 3 and not der else x, der)
    return np.where(outside, 0.0, out) if ext == 1 else out


def splint(a: Any, b: Any, tck: Any) -> Any:
    """The integral from a to b of a spline, which is 0 outside of its knots; as `splev` takes it.

    >>> float(splint(0.0, 1.0, (np.array([0.0, 0.0, 1.0, 1.0]), np.array([2.0, 4.0]), 1)))
    3.0
    """
    t, c, k = (tck.t, tck.c, tck.k) if isinstance(tck, BSpline) else tck
    t, c = float_array(t, "splint"), float_array(c, "splint")
    n = shape_of(t)[0] - k - 1
    # The integral of a B-spline is a sum of those of a higher degree (de Boor, A Practical Guide to Splines, X).
    whole = np.cumsum(c[:n] * (t[k + 1 : k + 1 + n] - t[:n]) / (k + 1))
    knots = np.concatenate([t[:1], t, t[-1:]])
    sums = BSpline(knots, np.concatenate([np.zeros(1), whole]), k + 1)
    inside = [np.clip(float_array(x, "splint"), t[k], t[-k - 1]) for x in (a, b)]
    return sums(inside[1]) - sums(inside[0])


def _derivatives(given: Any) -> list[Any]:
    """The conditions at an end, as (order of a derivative, its value)."""
    words: dict[Any, list[Any]] = {None: [], "not-a-knot": [], "clamped": [(1, 0.0)], "natural": [(2, 0.0)]}
    if given is None or isinstance(given, str):
        if given not in words:
            raise ValueError(f"make_interp_spline: bc_type {given!r} is not offered")
        return words[given]
    return list(given)
