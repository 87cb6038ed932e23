"""Polynomials as arrays of coefficients, the highest power first: `numpy.poly` and its kin.

Where NumPy drops leading coefficients that are zero, they are kept here: no shape depends on values. (`roots` has to
know them.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy._dispatch import array_operand, implements
from funcgrad.numpy._known import known
from funcgrad.types import result_dtype

__all__ = ["poly", "polyadd", "polyder", "polydiv", "polyfit", "polyint", "polymul", "polysub", "roots"]


def _padded(a: Any, b: Any) -> tuple[Any, Any]:
    """Two polynomials with leading zeros up to the same length."""
    a, b = (np.atleast_1d(array_operand(x)) for x in (a, b))
    n = max(a.shape[0], b.shape[0])
    return tuple(np.concatenate([np.zeros(n - x.shape[0], x.dtype), x]) for x in (a, b))  # type: ignore[return-value]


@implements(np.polyadd)
def polyadd(a1: Any, a2: Any) -> Any:
    """The sum of two polynomials."""
    a, b = _padded(a1, a2)
    return a + b


@implements(np.polysub)
def polysub(a1: Any, a2: Any) -> Any:
    """The difference of two polynomials."""
    a, b = _padded(a1, a2)
    return a - b


@implements(np.polymul)
def polymul(a1: Any, a2: Any) -> Any:
    """The product of two polynomials."""
    return np.convolve(np.atleast_1d(array_operand(a1)), np.atleast_1d(array_operand(a2)))


@implements(np.polydiv)
def polydiv(u: Any, v: Any) -> tuple[Any, Any]:
    """The quotient and the remainder of two polynomials."""
    u, v = np.atleast_1d(array_operand(u)) + 0.0, np.atleast_1d(array_operand(v)) + 0.0
    m, n = u.shape[0] - 1, v.shape[0] - 1
    scale = 1.0 / v[0]
    quotient: list[Any] = []
    rest = u.astype(result_dtype(u, v))
    for k in range(m - n + 1):
        d = scale * rest[k]
        quotient.append(d)
        rest = np.concatenate([rest[:k], rest[k : k + n + 1] - d * v, rest[k + n + 1 :]])
    return (np.stack(quotient) if quotient else np.zeros(1, rest.dtype)), rest[max(m - n + 1, 0) :]


@implements(np.polyder)
def polyder(p: Any, m: int = 1) -> Any:
    """The m-th derivative of a polynomial."""
    if m < 0:
        raise ValueError("Order of derivative must be positive (see polyint)")
    p = array_operand(p)
    for _ in range(m):
        n = p.shape[0] - 1
        p = p[:-1] * np.arange(n, 0, -1)
    return p


@implements(np.polyint)
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """The m-th integral of a polynomial, with constants k."""
    if m < 0:
        raise ValueError("Order of integral must be positive (see polyder)")
    constants = np.zeros(m) if k is None else np.atleast_1d(array_operand(k))
    if constants.shape[0] == 1 and m > 1:
        constants = constants[0] * np.ones(m)
    if constants.shape[0] < m:
        raise ValueError("k must be a scalar or a rank-1 array of length 1 or >m.")
    p = array_operand(p)
    for i in range(m):
        p = np.concatenate([p / np.arange(p.shape[0], 0, -1), np.reshape(constants[i], (1,))])
    return p


@implements(np.roots)
def roots(p: Any) -> Any:
    """The roots of a polynomial: the eigenvalues of its companion matrix."""
    p = np.atleast_1d(array_operand(p))
    if p.ndim != 1:
        raise ValueError("Input must be a rank-1 array.")
    places = np.flatnonzero(known(p, "roots", "take the eigenvalues of the companion matrix"))
    if places.size == 0:
        return np.zeros(0)
    trailing = p.shape[0] - int(places[-1]) - 1
    p = p[int(places[0]) : int(places[-1]) + 1]
    p = p if p.dtype.kind in "fc" else p.astype(np.float64)
    n = p.shape[0]
    if n < 2:
        return np.zeros(trailing)
    companion = np.concatenate([np.reshape(-p[1:] / p[0], (1, n - 1)), np.eye(n - 2, n - 1, dtype=p.dtype)])
    found = np.linalg.eigvals(companion)
    if found.dtype.kind == "c" and p.dtype.kind == "f":  # NumPy's are real where all of them are
        value = known(found, "roots", "take the eigenvalues of the companion matrix")
        found = np.real(found) if np.all(value.imag == 0) else found
    return np.concatenate([found, np.zeros(trailing, found.dtype)])


@implements(np.poly)
def poly(seq_of_zeros: Any) -> Any:
    """The polynomial with these roots, or the characteristic polynomial of a matrix."""
    z = np.atleast_1d(array_operand(seq_of_zeros))
    if z.ndim == 2 and z.shape[0] == z.shape[1]:
        z = np.linalg.eigvals(z)
    elif z.ndim != 1:
        raise ValueError("input must be 1d or non-empty square 2d array.")
    z = z if z.dtype in map(np.dtype, "fF") else z.astype(np.result_type(z.dtype, np.float64))
    out: Any = np.ones(1, z.dtype)
    for i in range(z.shape[0]):
        out = np.concatenate([out, np.zeros(1, z.dtype)]) - np.concatenate([np.zeros(1, z.dtype), out * z[i]])
    if z.dtype.kind == "c":
        value = known(z, "poly", "take np.real where roots are conjugates")
        if np.all(np.sort(value) == np.sort(value.conjugate())):
            out = np.real(out)
    return out


@implements(np.polyfit)
def polyfit(
    x: Any, y: Any, deg: Any, rcond: Any = None, full: bool = False, w: Any = None, cov: bool | str = False
) -> Any:
    """The polynomial of least squares through points; as `numpy.polyfit`."""
    order = int(deg) + 1
    x, y = array_operand(x) + 0.0, array_operand(y) + 0.0
    if deg < 0:
        raise ValueError("expected deg >= 0")
    if x.ndim != 1 or not x.shape[0]:
        raise TypeError("expected 1D vector for x" if x.ndim != 1 else "expected non-empty vector for x")
    if y.ndim not in (1, 2) or x.shape[0] != y.shape[0]:
        raise TypeError("expected x and y to have same length")
    rcond = x.shape[0] * np.finfo(x.dtype).eps if rcond is None else rcond
    lhs, rhs = np.vander(x, order), y
    if w is not None:
        w = array_operand(w) + 0.0
        lhs, rhs = lhs * w[:, None], rhs * (w[:, None] if rhs.ndim == 2 else w)
    scale = np.sqrt(np.sum(lhs * lhs, axis=0))
    c, residuals, rank, s = np.linalg.lstsq(lhs / scale, rhs, rcond)
    c = (c.T / scale).T
    if full:
        return c, residuals, rank, s, rcond
    if not cov:
        return c
    lhs = lhs / scale
    base = np.linalg.inv(lhs.T @ lhs) / np.outer(scale, scale)
    factor: Any = 1
    if cov != "unscaled":
        if x.shape[0] <= order:
            raise ValueError("the number of data points must exceed order to scale the covariance matrix")
        factor = residuals / (x.shape[0] - order)
    return (c, base * factor) if y.ndim == 1 else (c, base[:, :, None] * factor)
