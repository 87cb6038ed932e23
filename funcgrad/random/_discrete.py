"""Samplers of whole numbers, of elements of arrays and of orders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from funcgrad.lax import scan
from funcgrad.lax._reductions import top_k
from funcgrad.numpy import take
from funcgrad.numpy._dispatch import array_operand, operand
from funcgrad.ops.random import BITS, SPLIT
from funcgrad.ops.random_samples import BINOMIAL, POISSON
from funcgrad.random._common import (
    Parameters,
    fitted,
    float_dtype,
    int_dtype,
    parameter,
    subkeys,
    uniforms,
    with_floats,
)
from funcgrad.random._continuous import gumbels
from funcgrad.random._keys import shape_tuple, single_key
from funcgrad.types import dtype_of, is_a, shape_of

__all__ = [
    "bernoulli",
    "binomial",
    "categorical",
    "choice",
    "geometric",
    "multinomial",
    "permutation",
    "poisson",
    "rademacher",
    "randint",
    "signs",
]


def randint(
    key: Any, shape: Any, minval: Parameters, maxval: Parameters, dtype: Any = None, *, out_sharding: Any = None
) -> Any:
    """Integers in [minval, maxval), uniform up to a bias of 2⁻³² (2⁻⁶⁴ for 64 bits) times the number of them.

    Args:
        key: a single key.
        shape: of the samples.
        minval, maxval: integers or arrays that broadcast to the shape; where maxval ≤ minval the sample is minval.
            What the dtype does not hold is clipped; a maxval that is too large means that the largest number of the
            dtype is included.
        dtype: of integers; int64 by default.

    >>> from funcgrad import random
    >>> randint(random.key(0), (5,), 0, 10)
    array([5, 1, 5, 7, 3])
    """
    typed, dtype = single_key(key, "randint")[0], int_dtype(dtype, "randint")
    shape = fitted("randint", shape, minval, maxval)
    info = np.iinfo(dtype)
    if info.bits >= 32:
        return _integers(typed, shape, _whole(minval), _whole(maxval), dtype)
    low = np.clip(_whole(minval), info.min, info.max).astype(np.int32)
    high = np.clip(_whole(maxval), info.min, info.max + 1).astype(np.int32)
    return _integers(typed, shape, low, high, np.dtype(np.int32)).astype(dtype)


def _whole(x: Any) -> Any:
    """A bound as an array of integers."""
    x = operand(x)
    if type(x) is int:
        return np.asarray(x) if -(1 << 63) <= x < 1 << 64 else np.asarray(np.clip(x, -(1 << 63), (1 << 63) - 1), int)
    x = array_operand(x)
    return x if x.dtype.kind in "iu" else x.astype(np.int64)


def _clipped(x: Any, dtype: np.dtype[Any]) -> Any:
    """Integers of another dtype, clipped to what it holds."""
    have, want = np.iinfo(x.dtype), np.iinfo(dtype)
    return np.clip(x, x.dtype.type(max(have.min, want.min)), x.dtype.type(min(have.max, want.max))).astype(dtype)


def _integers(key: Any, shape: tuple[int, ...], low: Any, high: Any, dtype: np.dtype[Any]) -> Any:
    """(high bits · 2ⁿ + low bits) modulo the span, computed in so many bits as the dtype has."""
    info = np.iinfo(dtype)
    too_high = high > info.max
    # With one more dimension they are arrays, whose integers wrap around without a word.
    low, high, too_high = (np.expand_dims(x, 0) for x in (_clipped(low, dtype), _clipped(high, dtype), too_high))
    k1, k2 = subkeys(key)
    upper, lower = (BITS.bind(k, shape=shape, width=info.bits) for k in (k1, k2))
    unsigned = np.dtype(f"u{dtype.itemsize}")
    one = unsigned.type(1)
    span = high.astype(unsigned) - low.astype(unsigned)
    span = np.where(high <= low, one, span)
    span = np.where(too_high & (high > low), span + one, span)  # may be 0: all numbers of the dtype
    whole = span == 0
    safe = np.where(whole, one, span)
    factor = np.remainder(unsigned.type(2 ** (info.bits // 2)), safe)
    factor = np.remainder(factor * factor, safe)
    offset = np.remainder(np.remainder(upper, safe) * factor + np.remainder(lower, safe), safe)
    # By 0 the remainder is the number itself, as XLA has it: the multiplier is 0 modulo 2ⁿ, and the low bits remain.
    offset = np.where(whole, lower, offset)
    return np.reshape(low + offset.astype(dtype), shape)


def bernoulli(key: Any, p: Parameters = 0.5, shape: Any = None, mode: str = "low", *, out_sharding: Any = None) -> Any:
    """Booleans that are true with probability p.

    Args:
        p: floating; the dtype decides how many random bits are compared with it.
        shape: of the samples; by default that of p.
        mode: "low", or "high" for twice as many bits, where p is very small.

    >>> from funcgrad import random
    >>> bernoulli(random.key(0), 0.5, (4,))
    array([ True,  True, False, False])
    """
    typed = single_key(key, "bernoulli")[0]
    if mode not in ("high", "low"):
        raise ValueError(f"bernoulli: mode is 'high' or 'low', got {mode!r}")
    p = operand(p)
    dtype = dtype_of(p)
    if dtype.kind != "f":
        raise TypeError(f"bernoulli: the probability is floating, got {dtype}")
    shape = fitted("bernoulli", shape, p)
    if mode == "low":
        return uniforms(typed, shape, dtype) < p
    pair = uniforms(typed, (2, *shape), dtype)
    return pair[1] * dtype.type(2.0 ** -np.finfo(dtype).nmant) < p - pair[0]


def rademacher(key: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers that are 1 or -1, of dtype int64 if no other is given.

    >>> from funcgrad import random
    >>> rademacher(random.key(0), (4,))
    array([ 1,  1, -1, -1])
    """
    typed = single_key(key, "rademacher")[0]
    dtype = np.dtype(np.int64 if dtype is None else dtype)
    if dtype.kind not in "ifc":
        raise TypeError(f"rademacher: the dtype holds -1, got {dtype}")
    return signs(typed, shape_tuple(shape, "rademacher"), dtype)


def signs(key: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """1 or -1."""
    heads = uniforms(key, shape, np.dtype(np.float64)) < 0.5
    return np.where(heads, dtype.type(1), dtype.type(-1))


def categorical(
    key: Any,
    logits: Parameters,
    axis: int = -1,
    shape: Any = None,
    replace: bool = True,
    mode: str | None = None,
    *,
    out_sharding: Any = None,
) -> Any:
    """Indices, of probabilities proportional to exp(logits).

    Args:
        key: a single key.
        logits: unnormalised logarithms of probabilities, along `axis`.
        shape: of the samples; it ends with the shape of the logits without `axis`, which is the default.
        replace: false for samples among which no index is found twice (along the other dimensions of the shape).
        mode: as for `gumbel`.

    Returns:
        int64.

    >>> from funcgrad import random
    >>> categorical(random.key(0), np.log([0.1, 0.2, 0.7]), shape=(5,))
    array([2, 2, 2, 1, 1])
    """
    typed = single_key(key, "categorical")[0]
    logits = with_floats(logits)[0]
    if not -logits.ndim <= axis < logits.ndim:
        raise ValueError(f"categorical: axis {axis} of logits of shape {logits.shape}")
    at = axis % logits.ndim
    batch = logits.shape[:at] + logits.shape[at + 1 :]
    shape = batch if shape is None else shape_tuple(shape, "categorical")
    n = len(shape) - len(batch)
    prefix, rest = shape[: max(n, 0)], shape[max(n, 0) :]
    if n < 0 or any(b not in (1, s) for b, s in zip(batch, rest, strict=True)):
        raise ValueError(f"categorical: the shape {shape} does not end with that of the logits without axis, {batch}")
    if replace:
        full = (*prefix, *rest[:at], logits.shape[at], *rest[at:])
        return np.argmax(gumbels(typed, full, logits.dtype, mode) + logits, axis=at - logits.ndim)
    k = math.prod(prefix)
    if k > logits.shape[at]:
        raise ValueError(f"categorical: {k} samples without replacement of {logits.shape[at]} categories")
    if rest != batch:
        raise ValueError(f"categorical without replacement: the shape {shape} ends with {batch}, the logits' own")
    perturbed = np.moveaxis(logits + gumbels(typed, logits.shape, logits.dtype, mode), at, -1)
    return np.reshape(np.moveaxis(top_k(perturbed, k)[1], -1, 0), shape)


def permutation(key: Any, x: Any, axis: int = 0, independent: bool = False, *, out_sharding: Any = None) -> Any:
    """The elements of an array in another order along an axis.

    Args:
        x: an array; or an integer n, for 0, 1, …, n - 1.
        independent: order each row of the axis by itself.

    >>> from funcgrad import random
    >>> permutation(random.key(0), 5)
    array([0, 1, 4, 3, 2])
    """
    typed = single_key(key, "permutation")[0]
    x = operand(x)
    if not shape_of(x):
        if dtype_of(x).kind not in "iu":
            raise TypeError(f"permutation: an array of at least one dimension, or an integer; got {dtype_of(x)}")
        return _shuffled(typed, np.arange(_known(x, "permutation")), 0)
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"permutation: axis {axis} of an array of shape {x.shape}")
    axis %= x.ndim
    if independent or x.ndim == 1:
        return _shuffled(typed, x, axis)
    return take(x, _shuffled(typed, np.arange(x.shape[axis]), 0), axis=axis)


def _known(x: Any, name: str) -> int:
    try:
        return index(x)
    except TypeError as error:
        raise TypeError(f"{name}: a number of elements is an integer that is known, got {x!r}") from error


def _shuffled(key: Any, x: Any, axis: int) -> Any:
    """Sort by random bits, as often as makes equal bits unlikely to matter."""
    rounds = math.ceil(3 * math.log(max(1, math.prod(x.shape))) / math.log(np.iinfo(np.uint32).max))
    for _ in range(rounds):
        key, sub = subkeys(key)
        order = np.argsort(BITS.bind(sub, shape=x.shape, width=32), axis=axis, stable=True)
        x = np.take_along_axis(x, order, axis)
    return x if rounds else np.copy(x)


def choice(
    key: Any,
    a: Any,
    shape: Any = (),
    replace: bool = True,
    p: Parameters | None = None,
    axis: int = 0,
    mode: str | None = None,
) -> Any:
    """Elements of an array.

    Args:
        key: a single key.
        a: an array, of which slices along `axis` are taken; or an integer n, for 0, 1, …, n - 1.
        shape: of the choices, a tuple; it takes the place of `axis`.
        replace: whether an element may be taken twice.
        p: the probability of each element; equal by default.
        mode: as for `gumbel`, where p is given and replace is false.

    >>> from funcgrad import random
    >>> choice(random.key(0), np.array([3.0, 5.0, 7.0]), (4,))
    array([3., 7., 7., 7.])
    """
    typed = single_key(key, "choice")[0]
    if not is_a(shape, (Sequence, np.ndarray)):
        raise TypeError(f"choice: the shape is a tuple, got {shape!r}")
    shape = shape_tuple(shape, "choice")
    a = operand(a)
    whole = not shape_of(a)
    if not whole and not -a.ndim <= axis < a.ndim:
        raise ValueError(f"choice: axis {axis} of an array of shape {a.shape}")
    axis = 0 if whole else axis % a.ndim
    n, draws = _known(a, "choice") if whole else a.shape[axis], math.prod(shape)
    if draws == 0:
        return np.zeros(shape, dtype_of(a))
    if n <= 0:
        raise ValueError("choice: there is nothing to choose from")
    if not replace and draws > n:
        raise ValueError(f"choice: {draws} elements without replacement of {n}")
    if p is None and not replace:
        order = permutation(typed, n if whole else a, axis)[(*(slice(None),) * axis, slice(draws))]
        return np.reshape(order, shape if whole else (*a.shape[:axis], *shape, *a.shape[axis + 1 :]))
    chosen = randint(typed, shape, 0, n) if p is None else _weighted(typed, n, shape, replace, p, mode)
    return chosen if whole else take(a, chosen, axis=axis)


def _weighted(key: Any, n: int, shape: tuple[int, ...], replace: bool, p: Any, mode: str | None) -> Any:
    """Indices that are chosen with given probabilities."""
    p = with_floats(p)[0]
    if p.shape != (n,):
        raise ValueError(f"choice: one probability for each of {n} elements, got p of shape {p.shape}")
    if not replace:
        drawn = top_k(gumbels(key, (n,), p.dtype, mode) + np.log(p), math.prod(shape))[1]
        return np.reshape(drawn, shape).astype(np.int64)
    sums = np.cumsum(p)
    return np.searchsorted(sums, sums[-1] * (1 - uniforms(key, shape, p.dtype)))


def geometric(key: Any, p: Parameters, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """How many trials of probability p there are up to the first success, which is counted.

    >>> from funcgrad import random
    >>> geometric(random.key(0), 0.3, (4,))
    array([3, 5, 1, 2])
    """
    typed, dtype = single_key(key, "geometric")[0], int_dtype(dtype, "geometric")
    shape = fitted("geometric", shape, p)
    p = with_floats(p)[0]
    u = uniforms(typed, shape, p.dtype)
    log_u = np.log(np.where(u == 0, u.dtype.type(1), u))
    return (np.floor(log_u / np.log1p(-p)) + 1).astype(dtype)


def poisson(key: Any, lam: Parameters, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers of the Poisson distribution of rate lam, which is taken in float32.

    The samples are integers and have no derivative: that of what is made of them by lam is zero.

    >>> from funcgrad import random
    >>> poisson(random.key(0), 4.0, (4,))
    array([0, 1, 5, 5])
    """
    typed, dtype = single_key(key, "poisson")[0], int_dtype(dtype, "poisson")
    shape = fitted("poisson", shape, lam)
    return POISSON.bind(typed, np.broadcast_to(parameter(lam, np.dtype(np.float32)), shape), dtype=dtype)


def binomial(key: Any, n: Parameters, p: Parameters, shape: Any = None, dtype: Any = None) -> Any:
    """How many of n trials of probability p are successes, as floating-point numbers (float64 by default).

    They have no derivative by n and p; to ask for it raises InconclusiveRuleError.

    >>> from funcgrad import random
    >>> binomial(random.key(0), 10, 0.3, (4,))
    array([4., 1., 3., 4.])
    """
    typed, dtype = single_key(key, "binomial")[0], float_dtype(dtype, "binomial")
    return _binomials(typed, n, p, fitted("binomial", shape, n, p), dtype)


def _binomials(key: Any, n: Any, p: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    p = with_floats(p)[0]
    counts = np.broadcast_to(parameter(n, p.dtype), shape)
    return BINOMIAL.bind(key, counts, np.broadcast_to(p, shape)).astype(dtype)


def multinomial(
    key: Any, n: Parameters, p: Parameters, *, shape: Any = None, dtype: Any = None, unroll: int | bool = 1
) -> Any:
    """How often each of several categories is found in n trials.

    Args:
        n: how many trials, of the shape of p without its last dimension.
        p: probabilities of the categories, along the last dimension.
        shape: that of all samples, categories included; by default that of p.
        dtype: floating; by default that to which n and p are promoted.
        unroll: of the loop over categories, as for `lax.scan`.

    >>> from funcgrad import random
    >>> multinomial(random.key(0), 10, np.array([0.2, 0.3, 0.5]))
    array([1., 4., 5.])
    """
    typed = single_key(key, "multinomial")[0]
    counts, p = with_floats(n, p)
    shape = fitted("multinomial", shape, p)
    if not shape:
        raise ValueError("multinomial: p has at least one dimension, along which the categories are; got a number")
    counts, p = np.broadcast_to(counts, shape[:-1]), np.moveaxis(np.broadcast_to(p, shape), -1, 0)
    rest = np.flip(np.cumsum(np.flip(p, 0), axis=0), 0)
    ratios = p / np.where(rest == 0, p.dtype.type(1), rest)

    def step(left: Any, ratio_and_key: Any) -> tuple[Any, Any]:
        ratio, sub = ratio_and_key
        count = _binomials(sub, left, np.clip(ratio, 0, 1), shape[:-1], p.dtype)
        return left - count, count

    keys = SPLIT.bind(typed, shape=shape[-1:])
    _, found = scan(step, counts, (ratios, keys), unroll=unroll)
    out = np.moveaxis(found, 0, -1)
    return out if dtype is None else out.astype(dtype)
