"""`scipy.special` for arrays and traced values alike.

The ufuncs are SciPy's own, whose rules are in `ops/special`; what SciPy writes in Python is here. Other names of
SciPy's module, such as the roots of polynomials, are SciPy's and take plain arrays.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.nn import _softmax
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._known import known
from funcgrad.ops.special import special_names
from funcgrad.scipy._needs import inexact, inexacts, is_traced, scipy_module
from funcgrad.types import dtype_of

_OWN = [
    "bernoulli", "bessel_jn", "comb", "diric", "factorial", "h1vp", "h2vp", "ivp", "jvp", "kvp", "lambertw",
    "legendre_p", "log_ndtr", "log_softmax", "logsumexp", "multigammaln", "perm", "polygamma", "sinc", "softmax",
    "softplus", "sph_harm_y", "spherical_in", "spherical_jn", "spherical_kn", "spherical_yn", "yvp", "zeta",
]  # fmt: skip

__all__ = sorted(
    {*_OWN, "cbrt", "digamma", "exp2", "expm1", "jn", "log1p"} | {n for n in special_names() if not n.startswith("_")}
)


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module 'funcgrad.scipy.special' has no attribute {name!r}")
    return _sp(name)


def __dir__() -> list[str]:
    return list(__all__)


def _sp(name: str) -> Any:
    """SciPy's own, without what its array API wraps around it, which looks for this module's."""
    fun = getattr(scipy_module("special", f"special.{name}"), name)
    return getattr(fun, "__wrapped__", fun)


def logsumexp(
    a: Any,
    axis: int | tuple[int, ...] | None = None,
    b: Any = None,
    keepdims: bool = False,
    return_sign: bool = False,
    where: Any = None,
) -> Any:
    """log(Σ b·exp(a)) over axes, without overflow.

    Args:
        a: an array.
        axis: one or several axes; None for all.
        b: factors of the exponentials, which broadcast against `a`; they may be negative or zero.
        keepdims: keep the axes with size 1.
        return_sign: return (logarithm of the absolute value, sign); without it a negative sum gives NaN.
        where: which elements take part.

    >>> float(logsumexp(np.array([1000.0, 1000.0])).round(3))
    1000.693
    """
    return _softmax.logsumexp(inexact(a), axis, b, keepdims, return_sign, where)


def softmax(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """exp(x) divided by its sum over `axis`, by default over all elements.

    >>> softmax(np.array([[0.0, 0.0], [-1000.0, 0.0]]), axis=1)
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    return _softmax.softmax(inexact(x), axis)


def log_softmax(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """The logarithm of `softmax`, without loss of digits.

    >>> log_softmax(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """
    return _softmax.log_softmax(inexact(x), axis)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)).

    >>> float(softplus(800.0))
    800.0
    """
    x = inexact(x)
    return np.logaddexp(dtype_of(x).type(0), x)


def log_ndtr(x: Any, series_order: int = 3) -> Any:
    """The logarithm of the normal distribution function, at full precision everywhere.

    JAX's `series_order` is accepted, and has no effect.

    >>> float(log_ndtr(-40.0).round(4))
    -804.6084
    """
    return _sp("log_ndtr")(x)


def multigammaln(a: Any, d: int) -> Any:
    """The logarithm of the multivariate gamma function of dimension d, elementwise; a > (d - 1)/2.

    Raises ValueError for a d that is no positive integer, and for a plain `a` that is too small.

    >>> float(multigammaln(3.0, 2).round(6))
    1.550195
    """
    x = array_operand(inexact(a))
    dim = int(known(d, "multigammaln", "d is a number"))
    if dim != d or dim < 1:
        raise ValueError(f"multigammaln: d must be a positive integer, got {d}")
    if not is_traced(x) and np.any(x <= 0.5 * (dim - 1)):
        raise ValueError(f"condition a (= {a}) > 0.5 * (d - 1) (= {0.5 * (dim - 1)}) not met")
    gammaln = _sp("gammaln")
    out = gammaln(x)
    for j in range(1, dim):
        out = out + gammaln(x - 0.5 * j)
    return out + 0.25 * dim * (dim - 1) * math.log(math.pi)


def polygamma(n: Any, x: Any) -> Any:
    """The n-th derivative of `digamma`, by (-1)ⁿ⁺¹ n! ζ(n + 1, x) (DLMF 25.11.12).

    >>> float(polygamma(1, 1.0).round(6))
    1.644934
    """
    n, x = inexacts(n, x)
    none = n == 0
    order = np.where(none, 1.0, n)
    sign = np.where(order % 2 == 0, -1.0, 1.0).astype(dtype_of(x))
    many = sign * _sp("gamma")(order + 1) * _sp("zeta")(order + 1, x)
    return np.where(none, _sp("psi")(x), many)


def zeta(x: Any, q: Any = None) -> Any:
    """Riemann's zeta function, or Hurwitz's with `q`.

    >>> float(zeta(2.0).round(6))
    1.644934
    """
    return _sp("zeta")(inexact(x), None if q is None else inexact(q))


def factorial(n: Any, exact: bool = False) -> Any:
    """n! = Γ(n + 1), elementwise, also between the integers; 0 for negative n. `exact` takes plain integers only.

    >>> float(factorial(5))
    120.0
    """
    if exact:
        return _sp("factorial")(n, exact=True)
    x = inexact(n)
    negative = x < 0
    return np.where(negative, 0.0, _sp("gamma")(np.where(negative, 0.0, x) + 1))


def comb(N: Any, k: Any, *, exact: bool = False, repetition: bool = False) -> Any:
    """The number of ways to choose k of N, elementwise; 0 unless 0 ≤ k ≤ N. `exact` takes plain integers only.

    >>> comb(np.array([5, 3]), 2)
    array([10.,  3.])
    """
    if exact:
        return _sp("comb")(N, k, exact=True, repetition=repetition)
    n, k = inexacts(N, k)
    if repetition:
        n = np.where((n == 0) & (k == 0), 0.0, n + k - 1)
    inside = (k <= n) & (n >= 0) & (k >= 0)
    return np.where(inside, _sp("binom")(np.where(inside, n, 1.0), np.where(inside, k, 0.0)), 0.0)


def perm(N: Any, k: Any, exact: bool = False) -> Any:
    """The number of ordered choices of k of N, elementwise; 0 unless 0 ≤ k ≤ N. `exact` takes plain integers only.

    >>> float(perm(5, 2))
    20.0
    """
    if exact:
        return _sp("perm")(N, k, exact=True)
    n, k = inexacts(N, k)
    inside = (k <= n) & (n >= 0) & (k >= 0)
    nn, kk = np.where(inside, n, 1.0), np.where(inside, k, 0.0)
    return np.where(inside, _sp("poch")(nn - kk + 1, kk), 0.0)


def bernoulli(n: int) -> Any:
    """The Bernoulli numbers B₀ … Bₙ.

    >>> bernoulli(2).round(6)
    array([ 1.      , -0.5     ,  0.166667])
    """
    return _sp("bernoulli")(n)


def sinc(x: Any) -> Any:
    """sin(πx)/(πx), elementwise.

    >>> float(sinc(0.5).round(6))
    0.63662
    """
    return np.sinc(inexact(x))


def diric(x: Any, n: Any) -> Any:
    """Dirichlet's function sin(nx/2)/(n sin(x/2)), elementwise, as Uₙ₋₁(cos(x/2))/n; NaN unless n is an integer > 0.

    >>> float(diric(0.0, 5))
    1.0
    """
    x = inexact(x)
    count = known(n, "diric", "n is a plain number")
    proper = (count > 0) & (count == np.floor(count))
    degree = np.where(proper, count, 1).astype(np.int64) - 1
    out = _narrow(_sp("eval_chebyu")(degree, np.cos(x / 2)) / (degree + 1), x)
    return out if np.all(proper) else np.where(proper, out, np.nan)


def bessel_jn(z: Any, *, v: int, n_iter: int = 50) -> Any:
    """J₀(z) … Jᵥ(z), of shape (v + 1, *z.shape). JAX's `n_iter` is accepted, and has no effect.

    >>> bessel_jn(np.array([0.0]), v=1)[:, 0]
    array([1., 0.])
    """
    z = array_operand(inexact(z))
    return np.stack([_sp("jv")(float(k), z) for k in range(v + 1)])


def legendre_p(n: Any, z: Any, *, diff_n: int = 0) -> Any:
    """Legendre's polynomial of degree n at z and its first `diff_n` derivatives, along a first axis of diff_n + 1.

    >>> legendre_p(2, 0.5, diff_n=1)
    array([-0.125,  1.5  ])
    """
    z = array_operand(inexact(z))
    degree = known(n, "legendre_p", "the degree n is a plain number").astype(np.int64)
    rows, factor = [], 1.0
    for k in range(diff_n + 1):  # DLMF 18.9.19
        short = degree < k
        ultra = _sp("eval_gegenbauer")(np.where(short, 0, degree - k), k + 0.5, z)
        rows.append(_narrow(np.where(short, 0.0, factor * ultra), z))
        factor *= 2 * k + 1
    return np.stack(rows)


def sph_harm_y(n: Any, m: Any, theta: Any, phi: Any, diff_n: int | None = None, n_max: int | None = None) -> Any:
    """The spherical harmonic of degree n and order m, at polar angle theta and azimuth phi; arguments broadcast.

    By Gegenbauer polynomials, which are smooth at the poles (DLMF 18.11.1, 14.30.1). JAX's `n_max` is accepted, and has
    no effect. Derivatives (SciPy's `diff_n`) are what transformations give.

    >>> complex(sph_harm_y(0, 0, 0.1, 0.2)).real.__round__(6)
    0.282095
    """
    if diff_n:
        raise NotImplementedError("sph_harm_y: diff_n is not offered; differentiate with respect to theta and phi")
    n, m = array_operand(n), array_operand(m)
    if n.dtype.kind not in "iu" or m.dtype.kind not in "iu":
        raise TypeError(f"sph_harm_y: n and m must be integers, got {n.dtype} and {m.dtype}")
    theta, phi = inexacts(theta, phi)
    real = dtype_of(theta)
    k = np.abs(m)
    inside = (k <= n) & (n >= 0)
    nn, kk = np.where(inside, n, 0), np.where(inside, k, 0)
    a, b = nn.astype(np.float64), kk.astype(np.float64)
    gammaln = _sp("gammaln")
    log = 0.5 * (np.log((2 * a + 1) / (4 * math.pi)) + gammaln(a - b + 1) - gammaln(a + b + 1))
    log = log + b * math.log(2) + gammaln(b + 0.5) - 0.5 * math.log(math.pi)
    sign = np.where((m >= 0) & (kk % 2 == 1), -1.0, 1.0)
    amplitude = np.where(inside, sign * np.exp(log), 0.0).astype(real)
    shape = _sp("eval_gegenbauer")(nn - kk, b + 0.5, np.cos(theta)) * np.power(np.sin(theta), kk)
    turn = m.astype(real) * phi
    return amplitude * _narrow(shape, theta) * (np.cos(turn) + 1j * np.sin(turn))


def _narrow(out: Any, x: Any) -> Any:
    """A result in single precision, where the argument is: SciPy's Python code computes with double precision."""
    return out.astype(np.complex64 if out.dtype.kind == "c" else np.float32) if dtype_of(x).itemsize <= 4 else out


def _derivatives(name: str) -> Any:
    def function(v: Any, z: Any, n: int = 1) -> Any:
        z = inexact(z)
        return _narrow(_sp(name)(v, z, n), z if dtype_of(z).kind == "f" else z.real)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The n-th derivative by z of the Bessel function; as `scipy.special.{name}`."
    return function


h1vp, h2vp, ivp, jvp, kvp, yvp = map(_derivatives, ("h1vp", "h2vp", "ivp", "jvp", "kvp", "yvp"))


def lambertw(z: Any, k: Any = 0, tol: float = 1e-8) -> Any:
    """Lambert's W: the solution of w·exp(w) = z on branch k; complex.

    >>> complex(lambertw(1.0)).real.__round__(6)
    0.567143
    """
    z = inexact(z)
    return _narrow(_sp("lambertw")(z, k, tol), z.real)


def _spherical(kind: str) -> Any:
    name = f"spherical_{kind}n"

    def function(n: Any, z: Any, derivative: bool = False) -> Any:
        z = array_operand(inexact(z))
        order = known(n, name, "the order n is a plain number").astype(np.int64)
        if np.any(order < 0):
            raise ValueError(f"{name}: the order n must not be negative")
        ufunc = getattr(_sp("_ufuncs"), f"_spherical_{kind}n{'_d' if derivative else ''}")
        if z.dtype.kind == "c":
            return _narrow(ufunc(order, z), z.real)
        if kind == "k":
            return _narrow(ufunc(order, z), z)
        left = z < 0
        flips = order + derivative + (kind == "y")  # f(-z) = ±f(z)
        sign = np.where(left & (flips % 2 == 1), -1.0, 1.0)
        return _narrow(sign * ufunc(order, np.where(left, -z, z)), z)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The spherical Bessel function of integer order n, or its derivative; SciPy's `{name}`."
    return function


spherical_in, spherical_jn, spherical_kn, spherical_yn = map(_spherical, "ijky")
