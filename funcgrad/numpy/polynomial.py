"""`numpy.polynomial.polynomial` for traced values: functions of polynomials whose coefficients rise in degree.

NumPy's own do not ask their arguments, and so cannot be applied to traced coefficients. On plain arrays these are
NumPy's. On traced ones trailing zeros are kept, since how many there are depends on values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.polynomial.polynomial as plain

import funcgrad.numpy._polynomials as high
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._plain import either
from funcgrad.numpy._shape import axis_index

__all__ = ["polyadd", "polyder", "polydiv", "polyfit", "polyfromroots", "polygrid2d", "polygrid3d", "polyint",
           "polyline", "polymul", "polymulx", "polypow", "polyroots", "polysub", "polyval", "polyval2d", "polyval3d",
           "polyvalfromroots", "polyvander", "polyvander2d", "polyvander3d"]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


def __dir__() -> list[str]:
    return __all__


def _own(fun: F) -> F:
    return either(getattr(plain, fun.__name__), fun)


def _series(c: Any) -> Any:
    """Coefficients, or points, as an array of one dimension or more, of floating or complex numbers."""
    x = np.atleast_1d(array_operand(c))
    return x.astype(float) if x.dtype.kind in "biu" else x


def _points(x: Any) -> Any:
    x = array_operand(x)
    return x.astype(float) if x.dtype.kind in "biu" else x


@_own
def polyval(x: Any, c: Any, tensor: bool = True) -> Any:
    """The polynomials with coefficients `c` (along the first axis) at the points `x`, by Horner's scheme.

    With `tensor` each column of `c` is evaluated at every point; else they broadcast against each other.

    >>> from funcgrad import grad
    >>> grad(lambda c: polyval(2.0, c))(np.array([1.0, 2.0, 3.0])).tolist()
    [1.0, 2.0, 4.0]
    """
    points, c = _points(x), _series(c)
    if tensor:
        c = np.reshape(c, c.shape + (1,) * points.ndim)
    total = c[-1] + points * 0
    for i in range(2, c.shape[0] + 1):
        total = c[-i] + total * points
    return total


@_own
def polyval2d(x: Any, y: Any, c: Any) -> Any:
    """The polynomial in two variables with coefficients `c` at the points (x, y)."""
    return polyval(y, polyval(x, c), tensor=False)


@_own
def polyval3d(x: Any, y: Any, z: Any, c: Any) -> Any:
    """The polynomial in three variables with coefficients `c` at the points (x, y, z)."""
    return polyval(z, polyval2d(x, y, c), tensor=False)


@_own
def polygrid2d(x: Any, y: Any, c: Any) -> Any:
    """The polynomial in two variables on the grid of `x` and `y`."""
    return polyval(y, polyval(x, c))


@_own
def polygrid3d(x: Any, y: Any, z: Any, c: Any) -> Any:
    """The polynomial in three variables on the grid of `x`, `y` and `z`."""
    return polyval(z, polygrid2d(x, y, c))


@_own
def polyvalfromroots(x: Any, r: Any, tensor: bool = True) -> Any:
    """The product of (x - root) over the roots along the first axis of `r`."""
    points, roots = _points(x), _series(r)
    if tensor:
        roots = np.reshape(roots, roots.shape + (1,) * points.ndim)
    return np.prod(points - roots, axis=0)


@_own
def polyvander(x: Any, deg: int) -> Any:
    """The powers of the points from 0 to `deg`, along a new last axis."""
    if deg < 0:
        raise ValueError("deg must be non-negative")
    x = _series(x)
    powers = [x * 0 + 1]
    for _ in range(deg):
        powers.append(powers[-1] * x)
    return np.stack(powers, axis=-1)


@_own
def polyvander2d(x: Any, y: Any, deg: Any) -> Any:
    """The products of powers of `x` and `y`, the degrees of `y` running fastest, along a new last axis."""
    return _products([polyvander(p, d) for p, d in zip((x, y), deg, strict=True)])


@_own
def polyvander3d(x: Any, y: Any, z: Any, deg: Any) -> Any:
    """The products of powers of `x`, `y` and `z`, the degrees of `z` running fastest, along a new last axis."""
    return _products([polyvander(p, d) for p, d in zip((x, y, z), deg, strict=True)])


def _products(factors: list[Any]) -> Any:
    out = factors[0]
    for f in factors[1:]:
        both = out[..., :, None] * f[..., None, :]
        out = np.reshape(both, (*both.shape[:-2], -1))
    return out


@_own
def polyadd(c1: Any, c2: Any) -> Any:
    """The sum of two polynomials."""
    return high.polyadd(_series(c1)[::-1], _series(c2)[::-1])[::-1]


@_own
def polysub(c1: Any, c2: Any) -> Any:
    """The difference of two polynomials."""
    return high.polysub(_series(c1)[::-1], _series(c2)[::-1])[::-1]


@_own
def polymul(c1: Any, c2: Any) -> Any:
    """The product of two polynomials."""
    return np.convolve(_series(c1), _series(c2))


@_own
def polymulx(c: Any) -> Any:
    """A polynomial times x."""
    c = _series(c)
    return np.concatenate([c[:1] * 0, c])


@_own
def polydiv(c1: Any, c2: Any) -> tuple[Any, Any]:
    """Quotient and remainder of two polynomials; the last coefficient of the divisor must not be zero."""
    u, v = _series(c1), _series(c2)
    n, m = u.shape[0], v.shape[0]
    if n < m:
        return u[:1] * 0, u
    quotient: list[Any] = []
    rest = u
    for k in range(n - m, -1, -1):
        factor = rest[-1] / v[-1]
        quotient.insert(0, factor)
        rest = np.concatenate([rest[:k], rest[k:-1] - factor * v[:-1]])
    return np.stack(quotient), (rest if m > 1 else u[:1] * 0)


@_own
def polypow(c: Any, pow: int, maxpower: int | None = 16) -> Any:
    """A polynomial to a whole power."""
    c, power = _series(c), int(pow)
    if power != pow or power < 0:
        raise ValueError("Power must be a non-negative integer.")
    if maxpower is not None and power > maxpower:
        raise ValueError("Power is too large")
    out = c[:1] * 0 + 1
    for _ in range(power):
        out = np.convolve(out, c)
    return out


@_own
def polyder(c: Any, m: int = 1, scl: Any = 1, axis: int = 0) -> Any:
    """The m-th derivative along an axis, each time multiplied by `scl`."""
    c = _series(c)
    i = axis_index(axis, c.ndim)
    rows = np.moveaxis(c, i, 0)
    for _ in range(m):
        n = rows.shape[0]
        if n < 2:
            return np.moveaxis(rows[:1] * 0, 0, i)
        degrees = np.reshape(np.arange(1.0, n), (-1, *(1,) * (rows.ndim - 1))).astype(rows.real.dtype)
        rows = rows[1:] * degrees * scl
    return np.moveaxis(rows, 0, i)


@_own
def polyint(c: Any, m: int = 1, k: Any = (), lbnd: Any = 0, scl: Any = 1, axis: int = 0) -> Any:
    """The m-th integral along an axis, with the constants `k` at the lower bound `lbnd`."""
    c = _series(c)
    i = axis_index(axis, c.ndim)
    rows = np.moveaxis(c, i, 0)
    constants = list(k) if np.iterable(k) else [k]
    if len(constants) > m:
        raise ValueError("Too many integration constants")
    constants += [0] * (m - len(constants))
    for constant in constants:
        rows = rows * scl
        degrees = np.reshape(np.arange(1.0, rows.shape[0] + 1), (-1, *(1,) * (rows.ndim - 1)))
        rows = np.concatenate([rows[:1] * 0, rows / degrees.astype(rows.real.dtype)])
        first = constant - polyval(lbnd, rows)
        rows = np.concatenate([(rows[0] + first)[None], rows[1:]])
    return np.moveaxis(rows, 0, i)


@_own
def polyfit(x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None) -> Any:
    """The coefficients of the polynomial that fits best in the sense of least squares."""
    if full:
        raise ValueError("polyfit: full=True is not offered for traced values; take the residuals of polyval")
    out = high.polyfit(array_operand(x), array_operand(y), deg, rcond=rcond, w=w)
    return np.flip(out, 0)


@_own
def polyfromroots(roots: Any) -> Any:
    """The coefficients of the polynomial with these roots, whose leading one is 1."""
    roots = _series(roots)
    out = np.ones(1, roots.dtype)
    for i in range(roots.shape[0]):
        out = np.concatenate([out[:1] * 0, out]) - roots[i] * np.concatenate([out, out[:1] * 0])
    return out


@_own
def polyroots(c: Any) -> Any:
    """The roots in ascending order; complex, where NumPy gives real ones if all are."""
    return np.sort(high.roots(_series(c)[::-1]))


@_own
def polyline(off: Any, scl: Any) -> Any:
    """The coefficients of the line off + scl·x."""
    return np.stack([array_operand(off), array_operand(scl)])
