"""The gamma distribution, and those that are made of it. Samples have derivatives by the parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.lax import stop_gradient
from funcgrad.nn._softmax import softmax
from funcgrad.numpy._dispatch import array_operand
from funcgrad.ops.random_samples import GAMMA
from funcgrad.random._common import Parameters, fitted, float_dtype, normals, parameter, subkeys
from funcgrad.random._continuous import exponentials
from funcgrad.random._discrete import signs
from funcgrad.random._keys import shape_tuple, single_key

__all__ = ["ball", "beta", "chisquare", "dirichlet", "f", "gamma", "generalized_normal", "loggamma", "t"]


def _gammas(key: Any, a: Any, shape: tuple[int, ...], dtype: np.dtype[Any], log_space: bool) -> Any:
    return GAMMA.bind(key, np.broadcast_to(parameter(a, dtype), shape), log_space=log_space)


def gamma(key: Any, a: Parameters, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers of the gamma distribution of shape parameter a > 0 and scale 1.

    Args:
        key: a single key.
        a: a number or an array. Samples have derivatives by it: those of x with F(a, x) held fast, where F is the
            distribution function (implicit reparametrisation). They need SciPy.
        shape: that of all samples, to which a broadcasts; by default that of a.
        dtype: float16, float32 or float64, which is the default.

    For small a, samples are so small that they round to 0: `loggamma` gives their logarithms.

    >>> from funcgrad import random
    >>> gamma(random.key(0), 2.0, (2,)).round(3)
    array([1.352, 1.124])
    """
    typed, dtype = single_key(key, "gamma")[0], float_dtype(dtype, "gamma")
    return _gammas(typed, a, fitted("gamma", shape, a), dtype, False)


def loggamma(key: Any, a: Parameters, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Logarithms of numbers of the gamma distribution, exact for small a, too; see `gamma`.

    >>> from funcgrad import random
    >>> loggamma(random.key(0), 1e-4, (2,)).round(1)
    array([-11123.6, -22795.9])
    """
    typed, dtype = single_key(key, "loggamma")[0], float_dtype(dtype, "loggamma")
    return _gammas(typed, a, fitted("loggamma", shape, a), dtype, True)


def beta(
    key: Any, a: Parameters, b: Parameters, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None
) -> Any:
    """Numbers of the beta distribution of a, b > 0.

    >>> from funcgrad import random
    >>> beta(random.key(0), 2.0, 3.0, (2,)).round(3)
    array([0.328, 0.614])
    """
    typed, dtype = single_key(key, "beta")[0], float_dtype(dtype, "beta")
    shape = fitted("beta", shape, a, b)
    key_a, key_b = subkeys(typed)
    log_a, log_b = _gammas(key_a, a, shape, dtype, True), _gammas(key_b, b, shape, dtype, True)
    most = stop_gradient(np.maximum(log_a, log_b))
    scaled_a, scaled_b = np.exp(log_a - most), np.exp(log_b - most)
    return scaled_a / (scaled_a + scaled_b)


def dirichlet(key: Any, alpha: Parameters, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Vectors of the Dirichlet distribution: positive numbers whose sum is 1.

    Args:
        alpha: positive; vectors along the last dimension.
        shape: of the batch of vectors, to which the other dimensions of alpha broadcast.

    >>> from funcgrad import random
    >>> dirichlet(random.key(0), np.array([1.0, 2.0, 3.0])).round(3)
    array([0.071, 0.167, 0.762])
    """
    typed, dtype = single_key(key, "dirichlet")[0], float_dtype(dtype, "dirichlet")
    alpha = array_operand(alpha)
    if alpha.ndim < 1:
        raise ValueError("dirichlet: alpha has at least one dimension, along which the numbers sum to 1; got a number")
    n = alpha.shape[-1:]
    full = alpha.shape if shape is None else (*shape_tuple(shape, "dirichlet"), *n)
    return softmax(_gammas(typed, alpha, fitted("dirichlet", full, alpha), dtype, True), axis=-1)


def chisquare(key: Any, df: Parameters, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers of the chi-square distribution of df degrees of freedom.

    >>> from funcgrad import random
    >>> chisquare(random.key(0), 3.0, (2,)).round(3)
    array([1.814, 1.448])
    """
    typed, dtype = single_key(key, "chisquare")[0], float_dtype(dtype, "chisquare")
    return _chisquares(typed, df, fitted("chisquare", shape, df), dtype)


def _chisquares(key: Any, df: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    return np.exp(_gammas(key, parameter(df, dtype) / dtype.type(2), shape, dtype, True)) * dtype.type(2)


def f(
    key: Any, dfnum: Parameters, dfden: Parameters, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None
) -> Any:
    """Numbers of the F distribution: of quotients of means of dfnum and of dfden squares.

    >>> from funcgrad import random
    >>> f(random.key(0), 3.0, 4.0, (2,)).round(3)
    array([1.548, 0.341])
    """
    typed, dtype = single_key(key, "f")[0], float_dtype(dtype, "f")
    shape = fitted("f", shape, dfnum, dfden)
    dfnum, dfden = parameter(dfnum, dtype), parameter(dfden, dtype)
    key_den, key_num = subkeys(typed)
    return (_chisquares(key_num, dfnum, shape, dtype) / dfnum) / (_chisquares(key_den, dfden, shape, dtype) / dfden)


def t(key: Any, df: Parameters, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers of Student's t distribution of df degrees of freedom.

    >>> from funcgrad import random
    >>> t(random.key(0), 3.0, (2,)).round(3)
    array([ 1.401, -0.607])
    """
    typed, dtype = single_key(key, "t")[0], float_dtype(dtype, "t")
    shape = fitted("t", shape, df)
    key_n, key_g = subkeys(typed)
    half = parameter(df, dtype) / dtype.type(2)
    return normals(key_n, shape, dtype) * np.sqrt(half / _gammas(key_g, half, shape, dtype, False))


def generalized_normal(key: Any, p: Parameters, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers of density proportional to exp(-|x|ᵖ).

    >>> from funcgrad import random
    >>> generalized_normal(random.key(0), 2.0, (2,)).round(3)
    array([ 0.853, -1.332])
    """
    typed, dtype = single_key(key, "generalized_normal")[0], float_dtype(dtype, "generalized_normal")
    return _generalized(typed, p, shape_tuple(shape, "generalized_normal"), dtype)


def _generalized(key: Any, p: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    key_g, key_r = subkeys(key)
    return signs(key_r, shape, dtype) * _gammas(key_g, 1 / p, shape, dtype, False) ** (1 / p)


def ball(key: Any, d: int, p: Parameters = 2, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Points that are uniform in the unit ball of the p-norm in d dimensions, along the last axis.

    >>> from funcgrad import random
    >>> ball(random.key(0), 2).round(3)
    array([-0.87 , -0.455])
    """
    typed, dtype = single_key(key, "ball")[0], float_dtype(dtype, "ball")
    shape = shape_tuple(shape, "ball")
    k1, k2 = subkeys(typed)
    g = _generalized(k1, p, (*shape, *shape_tuple(d, "ball")), dtype)
    e = exponentials(k2, shape, dtype)
    return g / np.expand_dims((np.sum(np.abs(g) ** p, axis=-1) + e) ** (1 / p), -1)
