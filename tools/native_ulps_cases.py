"""What `tools.native_ulps` compares: references, bounds and arguments of each elementary function of native code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import numpy as np

try:
    from scipy import special
except ImportError:
    special = None

__all__ = ["CASES", "Case"]

Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Case:
    """A function to be compared.

    Attributes:
        exact: the function of mpmath's numbers.
        fast: the same of arrays of higher precision; None where there is none.
        ranges: intervals of each argument in which it is drawn evenly; beside them all numbers are drawn.
        numpy: whose time is shown.
        hard: further arguments.
        bound, numpy_bound: how large an error may be, and how large that of `numpy` is at a few arguments.
        scale: a number of the arguments; where it is larger than the result, the error is measured in its units.
    """

    exact: Callable[..., Any]
    fast: Callable[..., np.ndarray] | None
    ranges: Sequence[tuple[tuple[float, float], ...]]
    numpy: Callable[..., np.ndarray] | None = None
    hard: Callable[[np.dtype[Any]], Sequence[np.ndarray]] | None = None
    bound: float = 2.0
    numpy_bound: float = 2.0
    scale: Callable[..., Any] | None = None

    def draw(self, rng: np.random.Generator, points: int, dtype: np.dtype[Any]) -> Arrays:
        """Arguments: of every interval, of all numbers by their bits, of all magnitudes around 1, and the hard ones."""
        arity = len(self.ranges[0])
        part = max(points // (len(self.ranges) + 2), 1)
        columns: list[list[np.ndarray]] = [[] for _ in range(arity)]
        for interval in self.ranges:
            for column, (lo, hi) in zip(columns, interval, strict=True):
                column.append(rng.uniform(lo, hi, part).astype(dtype))
        unsigned = np.uint64 if dtype.itemsize == 8 else np.uint32
        for column in columns:
            column.append(rng.integers(0, 1 << (8 * dtype.itemsize), part, unsigned).view(dtype))
            column.append((rng.choice([-1, 1], part) * 10.0 ** rng.uniform(-12, 3, part)).astype(dtype))
        if self.hard is not None:
            for column, more in zip(columns, self.hard(dtype), strict=True):
                column.append(more.astype(dtype))
        return tuple(map(np.concatenate, columns))

    def usual(self, rng: np.random.Generator, n: int) -> Arrays:
        """Arguments of the first interval, for timing."""
        return tuple(rng.uniform(lo, hi, n) for lo, hi in self.ranges[0])


def _around(*centres: float) -> Callable[[np.dtype[Any]], Sequence[np.ndarray]]:
    """The numbers next to some, on both sides."""

    def near(dtype: np.dtype[Any]) -> Sequence[np.ndarray]:
        info = np.finfo(dtype)
        all_centres = np.array([*centres, *(-c for c in centres), 0.0, float(info.tiny), float(info.max)], dtype)
        bits = all_centres.view(np.int64 if dtype.itemsize == 8 else np.int32)
        return [(bits[:, None] + np.arange(-40, 41).astype(bits.dtype)).ravel().view(dtype)]

    return near


def _near_multiples(dtype: np.dtype[Any]) -> Sequence[np.ndarray]:
    """The numbers next to multiples of π/2, which have the smallest remainders, and large numbers."""
    few = np.arange(1, 1 << 16) * (np.longdouble(np.pi) / 2 + np.longdouble("6.123233995736766035868820147292e-17"))
    powers = 2.0 ** np.arange(17, 128 if dtype.itemsize == 4 else 1024)
    large = np.rint(powers / (np.pi / 2)) * (np.pi / 2)
    known = np.array([6381956970095103.0 * 2.0**797, 1e22, 5.319372648326541e255, 16367173.0 * 2.0**72])
    with np.errstate(over="ignore"):
        return [np.concatenate((few.astype(dtype), powers.astype(dtype), large.astype(dtype), known.astype(dtype)))]


_LN2 = float(np.log(2))


def _log1p(x: Any) -> Any:
    return mp.log1p(x) if x > -1 else (mp.ninf if x == -1 else mp.nan)


def _log(x: Any) -> Any:
    return mp.log(x) if x > 0 else (mp.ninf if x == 0 else mp.nan)


def _logistic(x: Any) -> Any:
    e = mp.exp(-abs(x))
    return (e if x < 0 else 1) / (1 + e)


def _fast_logistic(x: np.ndarray) -> np.ndarray:
    e = np.exp(-abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def _numpy_logistic(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.reciprocal(1 + np.exp(-x), out=out)


def _log2(x: Any) -> Any:
    return mp.log(x, 2) if x > 0 else _log(x)


def _log10(x: Any) -> Any:
    return mp.log10(x) if x > 0 else _log(x)


def _real(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function that is NaN where mpmath's is complex."""

    def real(x: Any) -> Any:
        y = f(x)
        return mp.nan if mp.im(y) != 0 else mp.re(y)

    return real


def _pow(x: Any, y: Any) -> Any:
    if x == 0 or y == 0 or (x < 0 and y != mp.floor(y)):  # what is special is compared with NumPy elsewhere
        with np.errstate(all="ignore"):
            return mp.mpf(float(np.power(float(x), float(y))))
    if abs(y * mp.log(abs(x), 2)) > 3000:
        large = (abs(x) > 1) == (y > 0)
        return (mp.inf if large else mp.mpf(0)) * (-1 if x < 0 and y % 2 else 1)
    return mp.power(x, y) if x > 0 else mp.power(-x, y) * (-1 if y % 2 else 1)


def _log_hypot(x: Any, y: Any) -> Any:
    return mp.log(x * x + y * y) / 2 if x or y else mp.ninf


def _numpy_log_hypot(x: np.ndarray, y: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        size = np.hypot(x.astype(np.longdouble), y)
    return np.log(size).astype(x.dtype)


def _cbrt(x: Any) -> Any:
    return mp.sign(x) * mp.cbrt(abs(x))


def _in(*intervals: tuple[float, float]) -> list[tuple[tuple[float, float], ...]]:
    """Intervals of a function of one argument."""
    return [(interval,) for interval in intervals]


_EXPONENTS = _around(
    0.5, 1, 16, 709.782712893384, 745.1332191019412, 708.3964185322641, 88.72283905206835, 103.972, 87.33
)
_LOGARITHMS = _around(1, 2, 0.5, 0.7071067811865476, 1.4142135623730951, 0.41421356, 0.2928932)


def _summands(x: Any, y: Any) -> Any:
    """The larger one of the two numbers whose sum a logarithm of a sum is."""
    return np.maximum(abs(np.maximum(x, y)), np.log1p(np.exp(-abs(x - y))))


def _summands2(x: Any, y: Any) -> Any:
    return np.maximum(abs(np.maximum(x, y)), np.log2(1 + np.exp2(-abs(x - y))))


def _logaddexp(x: Any, y: Any) -> Any:
    return max(x, y) + mp.log1p(mp.exp(-abs(x - y)))


def _logaddexp2(x: Any, y: Any) -> Any:
    return max(x, y) + mp.log1p(mp.mpf(2) ** -abs(x - y)) / mp.log(2)


def _numpy_softplus(x: Any, out: Any = None) -> Any:
    return np.logaddexp(x, x.dtype.type(0), out=out)


def _erfc(x: Any) -> Any:
    return mp.erfc(x) if abs(x) < 1000 else mp.mpf(2 if x < 0 else 0)


def _ndtr(x: Any) -> Any:
    return _erfc(-x / mp.sqrt(2)) / 2


def _logit(x: Any) -> Any:
    return mp.log(x / (1 - x)) if 0 < x < 1 else mp.ninf if x == 0 else mp.inf if x == 1 else mp.nan


def _scipy(name: str) -> Any:
    """A function of SciPy, which need not be there; None without it."""
    return getattr(special, name, None)


_SUMS = [((-5, 5), (-5, 5)), ((-1, 1), (-1, 1)), ((-700, 700), (-700, 700)), ((-2, 0), (-2, 0))]
_HYPERBOLIC = _around(0.34, 1, 700, 710.4758600739439, 86, 89.41598629223294, 22)
_CIRCLE = [((-5, 5), (-5, 5)), ((-1, 1), (-1e-3, 1e-3)), ((0.9, 1.1), (0.9, 1.1)), ((-1e-5, 1e-5), (-1, 1))]
_POWERS = [((0.1, 10), (-5, 5)), ((0.9, 1.1), (-2000, 2000)), ((0, 1e4), (-80, 80)), ((0.99, 1.01), (-7e4, 7e4))]


CASES: dict[str, Case] = {
    "exp": Case(mp.exp, np.exp, _in((-5, 5), (-1, 1), (-746, 711), (-104, 89)), np.exp, _EXPONENTS),
    "exp2": Case(
        lambda x: mp.mpf(2) ** x,
        np.exp2,
        _in((-5, 5), (-1, 1), (-1076, 1025), (-151, 129)),
        np.exp2,
        _around(0.5, 1, 1024, 1074, 128, 149),
    ),
    "expm1": Case(mp.expm1, np.expm1, _in((-5, 5), (-1, 1), (-50, 711), (-0.4, 0.5)), np.expm1, _EXPONENTS),
    "tanh": Case(mp.tanh, np.tanh, _in((-5, 5), (-1, 1), (-25, 25), (-0.2, 0.2)), np.tanh, _around(0.5, 20, 10)),
    "logistic": Case(
        _logistic, _fast_logistic, _in((-5, 5), (-1, 1), (-750, 50), (-110, 20)), _numpy_logistic, _EXPONENTS
    ),
    "log": Case(_log, np.log, _in((0.1, 10), (0.5, 2), (0.9, 1.1), (0, 1e6)), np.log, _LOGARITHMS),
    "log1p": Case(_log1p, np.log1p, _in((-0.9, 10), (-0.5, 1), (-0.1, 0.1), (-1, 1e6)), np.log1p, _LOGARITHMS),
    "sin": Case(mp.sin, np.sin, _in((-10, 10), (-1, 1), (-2e5, 2e5), (-1e8, 1e8)), np.sin, _near_multiples),
    "cos": Case(mp.cos, np.cos, _in((-10, 10), (-1, 1), (-2e5, 2e5), (-1e8, 1e8)), np.cos, _near_multiples),
    "log2": Case(_log2, np.log2, _in((0.1, 10), (0.5, 2), (0.9, 1.1), (0, 1e6)), np.log2, _LOGARITHMS),
    "log10": Case(_log10, np.log10, _in((0.1, 10), (0.5, 2), (0.9, 1.1), (0, 1e6)), np.log10, _LOGARITHMS),
    "tan": Case(mp.tan, np.tan, _in((-10, 10), (-1, 1), (-2e5, 2e5), (-1e8, 1e8)), np.tan, _near_multiples),
    "asin": Case(_real(mp.asin), np.arcsin, _in((-1, 1), (-0.6, 0.6), (0.9, 1)), np.arcsin, _around(1, 0.5)),
    "acos": Case(_real(mp.acos), np.arccos, _in((-1, 1), (-0.6, 0.6), (0.9, 1)), np.arccos, _around(1, 0.5)),
    "atan": Case(mp.atan, np.arctan, _in((-5, 5), (-1, 1), (0.9, 1.1)), np.arctan, _around(1, 0.5)),
    "atan2": Case(mp.atan2, np.arctan2, _CIRCLE, np.arctan2),
    "sinh": Case(mp.sinh, np.sinh, _in((-5, 5), (-1, 1), (-712, 712), (-90, 90)), np.sinh, _HYPERBOLIC),
    "cosh": Case(mp.cosh, np.cosh, _in((-5, 5), (-1, 1), (-712, 712), (-90, 90)), np.cosh, _HYPERBOLIC),
    "asinh": Case(mp.asinh, np.arcsinh, _in((-5, 5), (-1, 1), (-1e4, 1e4)), np.arcsinh, _around(1, 2**28, 2**13)),
    "acosh": Case(_real(mp.acosh), np.arccosh, _in((1, 5), (1, 1.1), (1, 1e4)), np.arccosh, _around(1, 2**28, 2**13)),
    "atanh": Case(_real(mp.atanh), np.arctanh, _in((-1, 1), (-0.3, 0.3), (0.9, 1)), np.arctanh, _around(1, 0.5)),
    "pow": Case(_pow, np.power, _POWERS, np.power),
    "cbrt": Case(_cbrt, np.cbrt, _in((-5, 5), (1, 8), (0, 1e6)), np.cbrt, _around(1, 2, 4, 8)),
    "hypot": Case(mp.hypot, np.hypot, _CIRCLE, np.hypot),
    "log_hypot": Case(_log_hypot, None, [*_CIRCLE, ((0.6, 0.6000001), (0.8, 0.8000001))], _numpy_log_hypot),
    "logaddexp": Case(_logaddexp, np.logaddexp, _SUMS, np.logaddexp, scale=_summands),
    "logaddexp2": Case(_logaddexp2, np.logaddexp2, _SUMS, np.logaddexp2, scale=_summands2),
    "softplus": Case(
        lambda x: _logaddexp(x, mp.mpf(0)),
        _numpy_softplus,
        _in((-5, 5), (-1, 1), (-750, 710), (-110, 90)),
        _numpy_softplus,
        _EXPONENTS,
    ),
    "erf": Case(mp.erf, None, _in((-3, 3), (-1, 1), (-7, 7), (-0.1, 0.1)), _scipy("erf"), _around(1, 6, 4)),
    "erfc": Case(_erfc, None, _in((-3, 3), (-1, 1), (-7, 28), (9, 10.5)), _scipy("erfc"), _around(1, 27, 10)),
    "ndtr": Case(_ndtr, None, _in((-3, 3), (-1, 1), (-38, 9), (-14, 0)), _scipy("ndtr"), numpy_bound=8),
    "logit": Case(_logit, None, _in((0, 1), (0.4, 0.6), (0.49, 0.51)), _scipy("logit"), _around(1, 0.5)),
}
