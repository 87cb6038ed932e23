"""Primitives for samples that are drawn by rejection, with a number of trials that depends on the bits.

Gamma: Marsaglia and Tsang, "A simple method for generating gamma variables" (2000), each element from a key of its own.
Poisson: Knuth's products of uniform numbers for small rates, and Hörmann's transformed rejection (PTRS, 1993) for
others. Binomial: sums of geometric numbers, and Hörmann's BTRS (1993). Keys, bits and the order of operations are those
of JAX, so that samples are, too.

A sample of the gamma distribution is a function of its parameter a, by F(a, x) = const where F is the distribution
function: dx/da = -F_a / F_x (implicit reparametrisation; Figurnov, Mohamed and Mnih, 2018). Samples that are whole
numbers have no derivative: that of a Poisson sample is zero, that of a binomial one, which is floating, raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from funcgrad.errors import DTypeError, InconclusiveRuleError, ShapeError
from funcgrad.ops.normal_quantile import ERF_INV
from funcgrad.ops.random import words_of
from funcgrad.ops.rules import constant, declare
from funcgrad.ops.threefry import philox_fold, threefry_bits, threefry_pairs
from funcgrad.types import KEYS, ShapedArray, dtype_of, shape_of

__all__ = ["BINOMIAL", "GAMMA", "POISSON", "unit_interval"]


# ----------------------------------------------------------------------------------------- numbers from words of keys


def unit_interval(bits: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Floating-point numbers in [0, 1) from unsigned integers of their size, which are written over."""
    info = np.finfo(dtype)
    np.right_shift(bits, bits.dtype.type(info.bits - info.nmant), out=bits)
    np.bitwise_or(bits, np.ones((), dtype).view(bits.dtype), out=bits)
    return np.subtract(bits.view(dtype), dtype.type(1), out=bits.view(dtype))


def _uniform(words: np.ndarray, n: int, dtype: np.dtype[Any]) -> np.ndarray:
    """The first n uniform numbers of each key: of shape (m, n)."""
    return unit_interval(threefry_bits(words, n, 8 * dtype.itemsize), dtype)


def _normal(words: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """A normal number of each key."""
    low = np.nextafter(dtype.type(-1), dtype.type(0), dtype=dtype)
    u = _uniform(words, 1, dtype)[:, 0] * (dtype.type(1) - low) + low
    return dtype.type(np.sqrt(2)) * ERF_INV.impl(np.maximum(low, u))


def _threefry_words(keys: Any) -> tuple[np.ndarray, tuple[int, ...]]:
    """The words of keys of threefry2x32, also those that keys of another generator determine; and the keys' shape."""
    words, shape = words_of(keys)
    if np.asarray(keys).dtype == KEYS["threefry2x32"]:
        return words, shape
    return np.ascontiguousarray(philox_fold(words, np.zeros(len(words), np.uint32))[:, :2]), shape


def _rows(key: ShapedArray, *params: ShapedArray) -> None:
    """Raise unless the shape of the keys is the beginning of that of each parameter."""
    if key.dtype not in KEYS.values():
        raise DTypeError(f"takes random keys, got {key}")
    for p in params:
        if p.shape[: key.ndim] != key.shape:
            raise ShapeError(f"keys of shape {key.shape} and a parameter of shape {p.shape}: one key for each row")


def _with_rows(primitive: Callable[[], Any]) -> Callable[..., Any]:
    """The batching rule: every example has a key."""

    def batch(args: Sequence[Any], batched: Sequence[bool], size: int, **params: Any) -> Any:
        xs = [x if b else np.broadcast_to(x, (size, *shape_of(x))) for x, b in zip(args, batched, strict=True)]
        return primitive().bind(*xs, **params)

    return batch


def _by_rows(keys: Any, *params: Any) -> tuple[np.ndarray, list[np.ndarray]]:
    """The words of keys, and parameters as matrices with a row for each key."""
    words, _ = _threefry_words(keys)
    return words, [np.asarray(p).reshape(len(words), -1) if len(words) else np.asarray(p)[None] for p in params]


# -------------------------------------------------------------------------------------------------------------- gamma


def _gamma(keys: Any, a: Any, log_space: bool) -> np.ndarray:
    a = np.asarray(a)
    words, _ = _threefry_words(keys)
    n = a.size // max(1, len(words))
    own = threefry_pairs(words, range(n)).reshape(-1, 2)
    with np.errstate(all="ignore"):
        return _gamma_of_each(own, a.reshape(-1), log_space).reshape(a.shape)


def _gamma_of_each(words: np.ndarray, a: np.ndarray, log_space: bool) -> np.ndarray:
    dtype = a.dtype
    one = dtype.type(1)
    boosted = a < one
    d = np.where(boosted | np.isnan(a), a + one, a) - dtype.type(1 / 3)
    c = dtype.type(1 / 3) / np.sqrt(d)
    pairs = threefry_pairs(words, range(2))
    volume = _trials(pairs[:, 0], d, c)
    if log_space:
        e = np.log1p(-_uniform(pairs[:, 1], 1, dtype)[:, 0])
        boost = np.where(~boosted | (e == 0), dtype.type(0), e * (one / a))
        return np.log(d) + np.log(volume) + boost
    u = one - _uniform(pairs[:, 1], 1, dtype)[:, 0]
    return d * volume * np.where(boosted, np.power(u, one / a), one)


def _trials(words: np.ndarray, d: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The first v³ that is accepted, v = 1 + c·normal; each element goes on by itself."""
    dtype = d.dtype
    out = np.empty_like(d)
    left = np.arange(len(d))
    while left.size:
        three = threefry_pairs(words, range(3))
        words = three[:, 0]
        x, v = _positive(three[:, 1], c[left])
        square, cube = x * x, v * v * v
        u = _uniform(three[:, 2], 1, dtype)[:, 0]
        dd = d[left]
        again = u >= dtype.type(1) - dtype.type(0.0331) * (square * square)
        again &= np.log(u) >= square * dtype.type(0.5) + dd * (dtype.type(1) - cube + np.log(cube))
        out[left[~again]] = cube[~again]
        left, words = left[again], words[again]
    return out


def _positive(words: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first normal x for which v = 1 + c·x is positive, and v."""
    x, v = np.zeros_like(c), np.full_like(c, -1)
    left = np.arange(len(c))
    while left.size:
        pairs = threefry_pairs(words, range(2))
        x[left] = _normal(pairs[:, 1], c.dtype)
        v[left] = c.dtype.type(1) + x[left] * c[left]
        again = v[left] <= 0
        left, words = left[again], pairs[again, 0]
    return x, v


def _gamma_aval(key: ShapedArray, a: ShapedArray, log_space: bool) -> ShapedArray:
    _rows(key, a)
    if a.dtype.kind != "f":
        raise DTypeError(f"the parameter of a gamma distribution is floating, got {a}")
    return ShapedArray(a.shape, a.dtype)


def gamma_slope(a: Any, sample: Any, log_space: bool) -> Any:
    """The derivative of a sample (or of its logarithm) by the parameter. Needs SciPy."""
    try:
        from scipy import special  # optional extra
    except ImportError:
        raise ImportError("the derivative of a gamma sample by its parameter needs SciPy: pip install scipy") from None
    own = import_module("funcgrad.ops.special.incomplete")
    x, log_x = (np.exp(sample), sample) if log_space else (sample, np.log(np.where(sample > 0, sample, 1)))
    # Near 0, F = xᵃ/Γ(a + 1) to rounding, so that x needs no density there, which might underflow.
    near = x < np.finfo(dtype_of(a)).eps ** 2
    safe = np.where(near, a, x)
    relative = -own.gamma_by_a(a, safe) / (own.gamma_density(a, safe) * safe)
    relative = np.where(near, (special.psi(a + 1) - log_x) / a, relative)
    return relative if log_space else relative * x


def _gamma_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], log_space: bool) -> Any:
    return None if tangents[1] is None else tangents[1] * gamma_slope(ins[1], out, log_space)


def _gamma_vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], log_space: bool) -> list[Any]:
    return [None, ct * gamma_slope(ins[1], out, log_space) if wanted[1] else None]


GAMMA = declare(
    "random_gamma", _gamma, _gamma_aval, jvp=_gamma_jvp, vjp=_gamma_vjp, batch=_with_rows(lambda: GAMMA),
    carries=(False, True), cost=(400.0, 400.0),
)  # fmt: skip


# -------------------------------------------------------------------------------------------- whole numbers, by trials


def _until_accepted(words: np.ndarray, params: Sequence[np.ndarray], trial: Any, limit: float = np.inf) -> np.ndarray:
    """Draw rows again until all elements of a row have been accepted; an element keeps what was accepted last.

    `trial(u, v, *params)` gives numbers, and which of them are accepted.
    """
    dtype, n = params[0].dtype, params[0].shape[1]
    out = np.full(params[0].shape, -1, dtype)
    accepted = np.zeros(out.shape, bool)
    left, rounds = np.arange(len(words)), 0
    while left.size and rounds < limit:
        three = threefry_pairs(words, range(3))
        words = three[:, 0]
        u = _uniform(three[:, 1], n, dtype) - dtype.type(0.5)
        k, good = trial(u, _uniform(three[:, 2], n, dtype), *(p[left] for p in params))
        out[left] = np.where(good, k, out[left])
        accepted[left] |= good
        again = ~accepted[left].all(axis=1)
        left, words, rounds = left[again], words[again], rounds + 1
    return out


_LANCZOS = (
    676.520368121885098567, -1259.13921672240287047, 771.323428777653078849, -176.615029162140599066,
    12.5073432786869048145, -0.138571095265720116896, 9.98436957801957085956e-6, 1.50563273514931155834e-7,
)  # fmt: skip


def _sum_product(a: np.ndarray, b: Any, c: Any) -> np.ndarray:
    """a·b + c of float32, rounded once, as processors have it and JAX's compiler uses it."""
    return (a.astype(np.float64) * b + c).astype(np.float32)


def _log_factorial(k: np.ndarray) -> np.ndarray:
    """log k! in float32 by Lanczos's approximation (g = 7, n = 9), rounded as by JAX: that decides what is accepted."""
    f = k.dtype.type
    series = np.full_like(k, 0.999999999999809932277)
    for i, c in enumerate(_LANCZOS):
        series += f(c) / (k + f(i + 1))
    log_t = f(np.log(7.5)) + np.log1p(k / f(7.5))
    exponent = k + f(0.5) - (k + f(7.5)) / log_t
    return _sum_product(exponent, log_t, f(0.5 * np.log(2 * np.pi))) + np.log(series)


def _poisson(keys: Any, rate: Any, dtype: np.dtype[Any]) -> np.ndarray:
    words, (lam,) = _by_rows(keys, rate)
    limit = np.iinfo(dtype).max
    if lam.size == 0:
        return np.zeros(np.shape(rate), dtype)
    small = np.isnan(lam) | (lam < 10)
    with np.errstate(all="ignore"):
        out = np.zeros(lam.shape, dtype)
        if small.any():
            out = _products(words, np.where(small, lam, np.float32(0)), limit).astype(dtype)
        if not small.all():
            large = np.where(small, np.float32(1e5), lam)
            out = np.where(small, out, _until_accepted(words, [large], _ptrs, limit).astype(dtype))
    return np.where(lam == 0, dtype.type(0), out).reshape(np.shape(rate))


def _products(words: np.ndarray, lam: np.ndarray, limit: int) -> np.ndarray:
    """How many uniform numbers can be multiplied before the product falls below exp(-lam)."""
    count, log_product, rounds = np.zeros(lam.shape, np.int64), np.zeros_like(lam), 0
    while rounds < limit and (going := log_product > -lam).any():
        pairs = threefry_pairs(words, range(2))
        words = pairs[:, 0]
        count += going
        log_product += np.log(_uniform(pairs[:, 1], lam.shape[1], lam.dtype))
        rounds += 1
    return count - 1


def _ptrs(u: np.ndarray, v: np.ndarray, lam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    b = _sum_product(np.sqrt(lam), np.float32(2.53), np.float32(0.931))
    a = _sum_product(b, np.float32(0.02483), np.float32(-0.059))
    inverse = 1.1239 + 1.1328 / (b - 3.4)
    shifted = 0.5 - np.abs(u)
    k = np.floor(_sum_product(2 * a / shifted + b, u, lam) + np.float32(0.43))
    s = np.log(v * inverse / (a / (shifted * shifted) + b))
    t = _sum_product(k, np.log(lam), -lam) - _log_factorial(k)
    at_once = (shifted >= 0.07) & (v <= 0.9277 - 3.6224 / (b - 2))
    rejected = (k < 0) | ((shifted < 0.013) & (v > shifted))
    return k, at_once | (~rejected & (s <= t))


def _poisson_aval(key: ShapedArray, rate: ShapedArray, dtype: np.dtype[Any]) -> ShapedArray:
    _rows(key, rate)
    if rate.dtype != np.float32:
        raise DTypeError(f"the rates of Poisson samples are float32 here, got {rate}")
    return ShapedArray(rate.shape, dtype)


POISSON = constant("random_poisson", _poisson, _poisson_aval, batch=_with_rows(lambda: POISSON), cost=(300.0, 300.0))


def _binomial(keys: Any, count: Any, prob: Any) -> np.ndarray:
    words, (n, p) = _by_rows(keys, count, prob)
    dtype = p.dtype
    if p.size == 0:
        return np.zeros(np.shape(prob), dtype)
    with np.errstate(all="ignore"):
        low = p < 0.5
        q = np.where(low, p, dtype.type(1) - p)
        no_count, no_prob = np.isnan(n) | (n < 0), np.isnan(q) | (q < 0)
        infinite = np.isinf(n)
        usable = np.where(no_prob, dtype.type(0.01), q)
        small = no_count | (n * usable <= 10)
        n = np.floor(n)
        out = np.zeros(p.shape, dtype)
        if small.any():
            out = _geometric_sums(words, np.where(small, n, dtype.type(0)), usable)
        if not small.all():
            large = [np.where(small, dtype.type(1e4), n), np.where(small, dtype.type(0.5), usable)]
            out = np.where(small, out, _until_accepted(words, large, _btrs))
        invalid = no_count | no_prob
        out = np.where(invalid, dtype.type(np.nan), np.where(infinite, dtype.type(np.inf), out))
        keep = low | no_count | np.isnan(q) | infinite
        return np.where(keep, out, n - out).reshape(np.shape(prob))


def _geometric_sums(words: np.ndarray, count: np.ndarray, prob: np.ndarray) -> np.ndarray:
    """How many geometric numbers can be added before the sum exceeds the count."""
    number, total = np.zeros_like(prob), np.zeros_like(prob)
    log_miss = np.log1p(-prob)
    while (going := total <= count).any():
        pairs = threefry_pairs(words, range(2))
        number += going
        total += np.ceil(np.log(_uniform(pairs[:, 0], prob.shape[1], prob.dtype)) / log_miss)
        words = pairs[:, 1]
    return number - 1


_TAILS = (
    0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.02079067210376509, 0.0166446911898211,
    0.0138761288230707, 0.0118967099458917, 0.010411265261972, 0.00925546218271273, 0.00833056343336287,
)  # fmt: skip


def _stirling_tail(k: np.ndarray) -> np.ndarray:
    """log k! less Stirling's approximation."""
    small = k <= 9
    table = np.array(_TAILS, k.dtype)[np.clip(np.where(np.isnan(k), 0, k), 0, 9).astype(np.intp)]
    square = (k + 1) * (k + 1)
    return np.where(small, table, (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1))


def _btrs(u: np.ndarray, v: np.ndarray, n: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    deviation = np.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    odds = p / (1 - p)
    alpha = (2.83 + 5.1 / b) * deviation
    mode = np.floor((n + 1) * p)
    shifted = 0.5 - np.abs(u)
    at_once = (shifted >= 0.07) & (v <= 0.92 - 4.2 / b)
    k = np.floor((2 * a / shifted + b) * u + (n * p + 0.5))
    rejected = (k < 0) | (k > n)
    height = np.log(v * alpha / (a / (shifted * shifted) + b))
    bound = (
        (mode + 0.5) * np.log((mode + 1) / (odds * (n - mode + 1)))
        + (n + 1) * np.log((n - mode + 1) / (n - k + 1))
        + (k + 0.5) * np.log(odds * (n - k + 1) / (k + 1))
        + (_stirling_tail(mode) + _stirling_tail(n - mode) - _stirling_tail(k) - _stirling_tail(n - k))
    )
    return k, at_once | (~rejected & (height <= bound))


def _binomial_aval(key: ShapedArray, count: ShapedArray, prob: ShapedArray) -> ShapedArray:
    _rows(key, count, prob)
    if count.dtype != prob.dtype or prob.dtype.kind != "f" or count.shape != prob.shape:
        raise DTypeError(f"counts and probabilities of one shape and floating dtype, got {count} and {prob}")
    return ShapedArray(prob.shape, prob.dtype)


def _no_slope(*_: Any, **__: Any) -> Any:
    raise InconclusiveRuleError(
        "a binomial sample is a whole number, and has no derivative by its parameters: use funcgrad.lax.stop_gradient "
        "on them, or the gradient of the logarithm of the probability"
    )


BINOMIAL = declare(
    "random_binomial", _binomial, _binomial_aval, jvp=_no_slope, vjp=_no_slope, batch=_with_rows(lambda: BINOMIAL),
    carries=(False, True, True), cost=(500.0, 500.0),
)  # fmt: skip
