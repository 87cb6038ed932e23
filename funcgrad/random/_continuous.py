"""Samplers of continuous distributions that are functions of uniform or normal numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.lax import stop_gradient
from funcgrad.ops.normal_quantile import ERF_INV
from funcgrad.ops.random import BITS
from funcgrad.ops.shape import BITCAST
from funcgrad.random._common import Parameters, fitted, float_dtype, normals, parameter, subkeys, uniforms
from funcgrad.random._keys import shape_tuple, single_key
from funcgrad.types import PYTHON_SCALARS

__all__ = [
    "cauchy",
    "exponential",
    "exponentials",
    "gumbel",
    "gumbels",
    "laplace",
    "logistic",
    "lognormal",
    "maxwell",
    "maxwells",
    "normal",
    "pareto",
    "rayleigh",
    "triangular",
    "truncated_normal",
    "uniform",
    "wald",
    "weibull_min",
]


def uniform(
    key: Any,
    shape: Any = (),
    dtype: Any = None,
    minval: Parameters = 0.0,
    maxval: Parameters = 1.0,
    *,
    out_sharding: Any = None,
) -> Any:
    """Uniform numbers in [minval, maxval).

    Args:
        key: a single key.
        shape: of the samples.
        dtype: float16, float32 or float64, which is the default.
        minval, maxval: numbers or arrays that broadcast to the shape; samples have derivatives by them.
        out_sharding: of no effect.

    Raises:
        TypeError: for what is no key. ValueError: for several keys, or another dtype.

    >>> from funcgrad import random
    >>> uniform(random.key(0), (2,)).round(3)
    array([0.418, 0.216])
    """
    typed = single_key(key, "uniform")[0]
    dtype = float_dtype(dtype, "uniform")
    if type(minval) is float and type(maxval) is float:
        return uniforms(typed, shape_tuple(shape, "uniform"), dtype, minval, maxval)
    return uniforms(typed, fitted("uniform", shape, minval, maxval), dtype, minval, maxval)


def normal(key: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Normal numbers of mean 0 and variance 1; the dtype may be complex, too.

    They are JAX's to a few roundings, also in the tails, where both are off by 1e-11 of their values in float64.

    >>> from funcgrad import random
    >>> normal(random.key(0), (2,)).round(3)
    array([-0.206, -0.785])
    """
    typed = single_key(key, "normal")[0]
    return normals(typed, shape_tuple(shape, "normal"), float_dtype(dtype, "normal", True))


def truncated_normal(
    key: Any, lower: Parameters, upper: Parameters, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None
) -> Any:
    """Normal numbers that lie in (lower, upper).

    Args:
        lower, upper: numbers or arrays; samples have derivatives by them. Arrays need SciPy (for `erf`).
        shape: that of all samples; by default that of the bounds.

    >>> from funcgrad import random
    >>> truncated_normal(random.key(0), -2.0, 2.0, (2,)).round(3)
    array([-0.196, -0.741])
    """
    typed, dtype = single_key(key, "truncated_normal")[0], float_dtype(dtype, "truncated_normal")
    shape = fitted("truncated_normal", shape, lower, upper)
    root2 = dtype.type(np.sqrt(2))
    low, high = parameter(lower, dtype), parameter(upper, dtype)
    u = uniforms(typed, shape, dtype, _erf(lower, low / root2), _erf(upper, high / root2))
    out = root2 * ERF_INV.bind(u)
    least = np.nextafter(stop_gradient(low), dtype.type(np.inf))
    return np.clip(out, least, np.nextafter(stop_gradient(high), dtype.type(-np.inf)))


def _erf(given: Any, x: Any) -> Any:
    """The error function of a parameter over √2."""
    if type(given) in PYTHON_SCALARS:
        return x.dtype.type(math.erf(x))
    try:
        from scipy import special  # optional extra
    except ImportError:
        raise ImportError("truncated_normal with bounds that are arrays needs SciPy: pip install scipy") from None
    return special.erf(x)


def exponential(key: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Exponential numbers of rate 1.

    >>> from funcgrad import random
    >>> exponential(random.key(0), (2,)).round(3)
    array([0.542, 0.244])
    """
    typed = single_key(key, "exponential")[0]
    return exponentials(typed, shape_tuple(shape, "exponential"), float_dtype(dtype, "exponential"))


def exponentials(key: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """-log(1 - u)."""
    return -np.log1p(-uniforms(key, shape, dtype))


def laplace(key: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers of the Laplace distribution of location 0 and scale 1.

    >>> from funcgrad import random
    >>> laplace(random.key(0), (2,)).round(3)
    array([0.178, 0.838])
    """
    typed, dtype = single_key(key, "laplace")[0], float_dtype(dtype, "laplace")
    low = dtype.type(-1.0 + np.finfo(dtype).epsneg)
    u = uniforms(typed, shape_tuple(shape, "laplace"), dtype, low, dtype.type(1))
    return np.sign(u) * np.log1p(-np.abs(u))


def logistic(key: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers of the logistic distribution of location 0 and scale 1.

    >>> from funcgrad import random
    >>> logistic(random.key(0), (2,)).round(3)
    array([-0.329, -1.287])
    """
    typed, dtype = single_key(key, "logistic")[0], float_dtype(dtype, "logistic")
    x = uniforms(typed, shape_tuple(shape, "logistic"), dtype, np.finfo(dtype).tiny, dtype.type(1))
    return np.log(x) - np.log1p(-x)


def cauchy(key: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers of the Cauchy distribution of location 0 and scale 1.

    >>> from funcgrad import random
    >>> cauchy(random.key(0), (2,)).round(3)
    array([-0.262, -1.238])
    """
    typed, dtype = single_key(key, "cauchy")[0], float_dtype(dtype, "cauchy")
    u = uniforms(typed, shape_tuple(shape, "cauchy"), dtype, np.finfo(dtype).eps, dtype.type(1))
    return np.tan(dtype.type(np.pi) * (u - dtype.type(0.5)))


def gumbel(key: Any, shape: Any = (), dtype: Any = None, mode: str | None = None, *, out_sharding: Any = None) -> Any:
    """Numbers of the Gumbel distribution of location 0 and scale 1.

    Args:
        mode: "low" (the default) takes as many random bits as the dtype has, so that large numbers are not
            found; "high" and "highest" take twice as many.

    >>> from funcgrad import random
    >>> gumbel(random.key(0), (2,)).round(3)
    array([ 0.138, -0.426])
    """
    typed, dtype = single_key(key, "gumbel")[0], float_dtype(dtype, "gumbel")
    return gumbels(typed, shape_tuple(shape, "gumbel"), dtype, mode)


def gumbels(key: Any, shape: tuple[int, ...], dtype: np.dtype[Any], mode: str | None) -> Any:
    """-log(-log(u)), from as many bits as the mode says."""
    if mode not in (None, "low", "high", "highest"):
        raise ValueError(f"gumbel: mode is 'low', 'high' or 'highest', got {mode!r}")
    info = np.finfo(dtype)
    if mode in (None, "low"):
        return -np.log(-np.log(uniforms(key, shape, dtype, info.tiny, dtype.type(1))))
    if mode == "highest" and dtype == np.float32:
        return _from_64_bits(key, shape)
    pair = uniforms(key, (2, *shape), dtype)
    high, low = pair[0], pair[1]
    x = np.where(high >= 0.5, high, high + dtype.type(2.0**-info.nmant) * low + info.tiny)
    return -np.log(-np.log1p(-x))


def _from_64_bits(key: Any, shape: tuple[int, ...]) -> Any:
    """The same from a fraction of 64 bits, or from what it lacks to 1, so that both tails are fine."""
    words = BITS.bind(key, shape=(2, *shape), width=32).astype(np.uint64)
    fraction = np.bitwise_or(np.left_shift(words[0], np.uint64(32)), words[1])
    low = fraction < np.uint64(1 << 63)
    nearest = np.where(low, fraction, np.invert(fraction) + np.uint64(1))
    # To float32 with the bits that do not fit cut off, not rounded.
    top = np.where(nearest >= np.uint64(1 << 53), nearest & np.uint64(2**64 - 2048), nearest).astype(np.float64)
    cut = BITCAST.bind(np.bitwise_and(BITCAST.bind(top, dtype=np.dtype(np.uint64)), np.uint64(2**64 - 2**29)),
                       dtype=np.dtype(np.float64))  # fmt: skip
    x = (cut * 2.0**-64).astype(np.float32)
    return np.where(low, -np.log(-np.log1p(-x)), -np.log(-np.log(x)))


def pareto(key: Any, b: Parameters, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers of the Pareto distribution of exponent b, which are at least 1.

    >>> from funcgrad import random
    >>> pareto(random.key(0), 2.0, (2,)).round(3)
    array([1.311, 1.13 ])
    """
    typed, dtype = single_key(key, "pareto")[0], float_dtype(dtype, "pareto")
    return np.exp(exponentials(typed, fitted("pareto", shape, b), dtype) / parameter(b, dtype))


def lognormal(
    key: Any, sigma: Parameters = 1.0, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None
) -> Any:
    """Numbers whose logarithms are normal, of mean 0 and standard deviation sigma; the dtype may be complex.

    >>> from funcgrad import random
    >>> lognormal(random.key(0), 0.5, (2,)).round(3)
    array([0.902, 0.675])
    """
    typed, dtype = single_key(key, "lognormal")[0], float_dtype(dtype, "lognormal", True)
    return np.exp(normals(typed, fitted("lognormal", shape, sigma), dtype) * parameter(sigma, dtype))


def maxwell(key: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Lengths of normal vectors with three elements.

    >>> from funcgrad import random
    >>> maxwell(random.key(0), (2,)).round(3)
    array([1.989, 0.425])
    """
    typed, dtype = single_key(key, "maxwell")[0], float_dtype(dtype, "maxwell")
    return maxwells(typed, shape_tuple(shape, "maxwell"), dtype)


def maxwells(key: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    return np.linalg.norm(normals(key, (*shape, 3), dtype), axis=-1)


def rayleigh(key: Any, scale: Parameters, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers of the Rayleigh distribution.

    >>> from funcgrad import random
    >>> rayleigh(random.key(0), 2.0, (2,)).round(3)
    array([2.64, 3.5 ])
    """
    typed, dtype = single_key(key, "rayleigh")[0], float_dtype(dtype, "rayleigh")
    u = uniforms(typed, fitted("rayleigh", shape, scale), dtype)
    length = np.sqrt(np.log(np.where(u == 0, dtype.type(1), u)) * dtype.type(-2))
    return parameter(scale, dtype) * np.where(u == 0, dtype.type(np.inf), length)


def triangular(
    key: Any,
    left: Parameters,
    mode: Parameters,
    right: Parameters,
    shape: Any = None,
    dtype: Any = None,
    *,
    out_sharding: Any = None,
) -> Any:
    """Numbers of the triangular distribution on [left, right] with its peak at mode.

    >>> from funcgrad import random
    >>> triangular(random.key(0), 0.0, 0.5, 1.0, (2,)).round(3)
    array([0.457, 0.329])
    """
    typed, dtype = single_key(key, "triangular")[0], float_dtype(dtype, "triangular")
    shape = fitted("triangular", shape, left, mode, right)
    low, peak, high = (np.broadcast_to(parameter(x, dtype), shape) for x in (left, mode, right))
    u = uniforms(typed, shape, dtype)
    rising = low + np.sqrt(u * (high - low) * (peak - low))
    falling = high - np.sqrt((1 - u) * (high - low) * (high - peak))
    return np.where(u < (peak - low) / (high - low), rising, falling)


def wald(key: Any, mean: Parameters, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers of the Wald (inverse Gaussian) distribution of a mean, and of scale 1.

    >>> from funcgrad import random
    >>> wald(random.key(0), 2.0, (2,)).round(3)
    array([0.223, 3.901])
    """
    typed, dtype = single_key(key, "wald")[0], float_dtype(dtype, "wald")
    shape = fitted("wald", shape, mean)
    k1, k2 = subkeys(typed)
    mean = parameter(mean, dtype)
    y = np.square(normals(k1, shape, dtype))
    square = mean * mean
    x = mean + square * y / 2 - mean / 2 * np.sqrt(4 * mean * y + square * np.square(y))
    return np.where(uniforms(k2, shape, dtype) <= mean / (mean + x), x, square / x)


def weibull_min(key: Any, scale: Parameters, concentration: Parameters, shape: Any = (), dtype: Any = None) -> Any:
    """Numbers of the Weibull distribution; the parameters broadcast against the shape.

    >>> from funcgrad import random
    >>> weibull_min(random.key(0), 1.0, 2.0, (2,)).round(3)
    array([0.736, 0.494])
    """
    typed, dtype = single_key(key, "weibull_min")[0], float_dtype(dtype, "weibull_min")
    e = exponentials(typed, shape_tuple(shape, "weibull_min"), dtype)
    return np.power(e, 1.0 / concentration) * scale
