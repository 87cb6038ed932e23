"""Special functions by the names of `jax.lax`: those of `scipy.special`, whose ufuncs have derivatives; with SciPy."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.numpy._dispatch import array_operand
from funcgrad.transforms.jvp import jvp
from funcgrad.types import dtype_of, result_dtype, shape_of

__all__ = [
    "bessel_i0e", "bessel_i1e", "betainc", "digamma", "erf", "erf_inv", "erfc", "igamma", "igamma_grad_a", "igammac",
    "lgamma", "polygamma", "random_gamma_grad", "zeta",
]  # fmt: skip


def _special(name: str, function: str, *xs: Any) -> Any:
    """A function of `scipy.special`, of floating numbers of one dtype, which is that of the result."""
    try:
        from scipy import special  # optional extra
    except ImportError:
        raise ImportError(f"lax.{name} needs SciPy: pip install scipy") from None
    arrays = [array_operand(x) for x in xs]
    dtype = result_dtype(*arrays)
    if dtype.kind not in "fc":
        dtype = np.dtype(builtins.float)
    out = getattr(special, function)(*(x if x.dtype == dtype else x.astype(dtype) for x in arrays))
    return out.astype(dtype) if dtype == np.float16 else out


def erf(x: Any) -> Any:
    """The error function."""
    return _special("erf", "erf", x)


def erfc(x: Any) -> Any:
    """The complementary error function."""
    return _special("erfc", "erfc", x)


def erf_inv(x: Any) -> Any:
    """The inverse of the error function."""
    return _special("erf_inv", "erfinv", x)


def lgamma(x: Any) -> Any:
    """The logarithm of the absolute value of the gamma function."""
    return _special("lgamma", "gammaln", x)


def digamma(x: Any) -> Any:
    """The derivative of `lgamma`."""
    return _special("digamma", "psi", x)


def polygamma(m: Any, x: Any) -> Any:
    """The m-th derivative of `digamma`, by (-1)ᵐ⁺¹ m! ζ(m + 1, x) (DLMF 25.11.12).

    >>> float(polygamma(1.0, 1.0).round(6))
    1.644934
    """
    m, x = array_operand(m), array_operand(x)
    none = m == 0
    order = np.where(none, 1, m).astype(dtype_of(x) if dtype_of(x).kind == "f" else builtins.float)
    sign = np.where(order % 2 == 0, -1, 1).astype(dtype_of(order))
    many = sign * _special("polygamma", "gamma", order + 1) * zeta(order + 1, x)
    return np.where(none, digamma(x), many)


def zeta(x: Any, q: Any) -> Any:
    """Hurwitz's zeta function, the sum of (k + q)⁻ˣ over k = 0, 1, 2, …

    >>> float(zeta(2.0, 1.0).round(6))
    1.644934
    """
    return _special("zeta", "zeta", x, q)


def bessel_i0e(x: Any) -> Any:
    """The modified Bessel function of order 0, times exp(-|x|)."""
    return _special("bessel_i0e", "i0e", x)


def bessel_i1e(x: Any) -> Any:
    """The modified Bessel function of order 1, times exp(-|x|)."""
    return _special("bessel_i1e", "i1e", x)


def igamma(a: Any, x: Any) -> Any:
    """The lower incomplete gamma function of `x`, divided by Γ(a)."""
    return _special("igamma", "gammainc", a, x)


def igammac(a: Any, x: Any) -> Any:
    """The upper incomplete gamma function of `x`, divided by Γ(a)."""
    return _special("igammac", "gammaincc", a, x)


def betainc(a: Any, b: Any, x: Any) -> Any:
    """The regularised incomplete beta function of `x`."""
    return _special("betainc", "betainc", a, b, x)


def _slope(f: Callable[[Any], Any], x: Any, like: Any) -> Any:
    """The derivative of an elementwise function at each element, in a shape that they have in common with `like`."""
    x, like = array_operand(x), array_operand(like)
    dtype = result_dtype(x, like)
    x = x.astype(dtype if dtype.kind == "f" else builtins.float)
    x = np.broadcast_to(x, np.broadcast_shapes(x.shape, like.shape))
    return jvp(f, (x,), (np.ones(shape_of(x), dtype_of(x)),))[1]


def igamma_grad_a(a: Any, x: Any) -> Any:
    """The derivative of `igamma` by `a`.

    >>> float(igamma_grad_a(1.5, 2.0).round(6))
    -0.277434
    """
    return _slope(lambda a: igamma(a, x), a, x)


def random_gamma_grad(a: Any, x: Any) -> Any:
    """How a sample `x` of the gamma distribution of shape `a` moves with `a`, its quantile being kept.

    >>> float(random_gamma_grad(1.5, 2.0).round(6))
    1.28463
    """
    return -_slope(lambda a: igamma(a, x), a, x) / _slope(lambda x: igamma(a, x), x, a)
