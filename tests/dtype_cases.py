"""What the sweeps over dtypes share: values on which things go wrong, the ways to run a function, and what is equal.

NumPy is right: a function run on plain values is compared with the same function traced, compiled and fused.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from tunings import kept

import funcgrad as fg
from funcgrad.executor.tiles import tuning
from funcgrad.passes.unroll import unrolling
from funcgrad.types import PYTHON_SCALARS

__all__ = ["DTYPES", "KINDS", "SCALARS", "WAYS", "Outcome", "differences", "outcome", "pairs", "values"]

DTYPES = [np.dtype(c) for c in "?bhilBHILefdFD"]
"""What arrays may be of: truth values, integers of all widths, floating and complex numbers."""

SCALARS: list[Any] = [
    True, 0, 2, -1, 3, 255, 300, -300, 2**31, 2**40, 2**63, -(2**63), 2**64,
    0.0, -0.0, 1.5, -2.0, math.inf, math.nan, 1e300, 0.5, 1j, complex(-0.0, 0.0), 2 + 0.5j,
]  # fmt: skip
"""Python's own, whose dtypes give way: also those that some dtypes cannot hold."""

KINDS = {
    "b": [True, False, False, True] * 3,
    "i": [0, 1, -1, 2, 3, -5, 7],
    "u": [0, 1, 2, 3, 7],
    "f": [1.5, -0.0, 0.0, np.nan, np.inf, -np.inf, -3.0, 2.0, 0.1],
    "c": [1.5 - 2j, complex(-0.0, 0.0), complex(0.0, -0.0), complex(np.nan, 1), complex(np.inf, 2), -1j, 3 + 0.5j],
}


def values(dtype: Any) -> np.ndarray:
    """The numbers of a dtype on which rules go wrong: signed zeros, what is not finite, the ends of the range."""
    dtype = np.dtype(dtype)
    some: list[Any] = list(KINDS[dtype.kind])
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        some += [info.max, info.min, info.max - 1, info.max // 2 + 1, 8 * dtype.itemsize]
    elif dtype.kind == "f":
        real = np.finfo(dtype)
        some += [real.tiny, -real.smallest_subnormal, real.max]
    return np.array(some, dtype)


def pairs(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays in which each element of one meets each of the other."""
    return np.repeat(a, len(b)), np.tile(b, len(a))


class Outcome(NamedTuple):
    """What a call has led to: a value or an error, and the warnings."""

    value: Any
    error: Exception | None
    warned: frozenset[str]


def outcome(f: Callable[..., Any], *args: Any) -> Outcome:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value, error = f(*args), None
        except Exception as raised:
            value, error = None, raised
    return Outcome(value, error, frozenset(_kind(w) for w in caught))


def _kind(w: Any) -> str:
    text = str(w.message)
    for kind in ("divide by zero", "overflow", "invalid value", "underflow"):
        if kind in text:
            return kind
    return f"{w.category.__name__}: {text[:40]}"


# ------------------------------------------------------------------------------------------------------------ equality


def differences(got: Outcome, want: Outcome, ulps: float = 0, types: bool | None = True, sums: bool = False) -> str:
    """How an outcome differs from what it should be; empty if it does not.

    Args:
        ulps: by how many units in the last place numbers may differ.
        types: whether NumPy scalars and arrays without dimensions are told apart; None if only Python's numbers are.
        sums: whether the units are those of the largest number, since sums may cancel.
    """
    if (got.error is None) != (want.error is None):
        return f"{_say(got)} instead of {_say(want)}"
    if want.error is not None:
        same = isinstance(got.error, _public(want.error))
        return "" if same else f"{_say(got)} instead of {_say(want)}"
    a, b = fg.tree.flatten(got.value), fg.tree.flatten(want.value)
    if len(a[0]) != len(b[0]):
        return f"{len(a[0])} values instead of {len(b[0])}"
    return next(filter(None, (_leaf(x, y, ulps, types, sums) for x, y in zip(a[0], b[0], strict=True))), "")


def _say(o: Outcome) -> str:
    return f"{type(o.value).__name__} {o.value!r}" if o.error is None else f"{type(o.error).__name__}: {o.error}"


def _public(error: Exception) -> type:
    """The built-in class of an error: that of NumPy's own, which are subclasses of them."""
    return next(c for c in type(error).__mro__ if c.__module__ in ("builtins", "numpy.linalg", "numpy.exceptions"))


def _leaf(got: Any, want: Any, ulps: float, types: bool | None, sums: bool) -> str:
    x, y = np.asarray(got), np.asarray(want)
    if x.dtype != y.dtype or x.shape != y.shape:
        return f"{x.dtype}{list(x.shape)} instead of {y.dtype}{list(y.shape)}"
    python = {type(got), type(want)} & PYTHON_SCALARS
    if type(got) is not type(want) and (types or (types is None and python)):
        if not (isinstance(got, np.generic) and isinstance(want, np.ndarray)):  # jit has no arrays without dimensions
            return f"{type(got).__name__} instead of {type(want).__name__}"
    wrong = ~_equal(x, y, ulps, sums)
    if not wrong.any():
        return ""
    at = tuple(int(i) for i in np.argwhere(wrong)[0]) if wrong.ndim else ()
    return f"{x[at]!r} instead of {y[at]!r} at {at} ({wrong.sum()} of {wrong.size})"


def _equal(x: Any, y: Any, ulps: float, sums: bool) -> Any:
    """Where two arrays are equal: bit by bit, NaN being all alike."""
    if x.dtype.kind == "c":
        if sums:
            return _near(x, y, ulps, np.finfo(y.dtype).eps) | (x == y) | np.isnan(x) & np.isnan(y)
        return _equal(x.real, y.real, ulps, sums) & _equal(x.imag, y.imag, ulps, sums)
    if x.dtype.kind != "f":
        return x == y
    same = (x == y) & (np.signbit(x) == np.signbit(y)) | (np.isnan(x) & np.isnan(y))
    if ulps:
        if sums:
            return same | _near(x, y, ulps, np.finfo(y.dtype).eps)
        with np.errstate(all="ignore"):
            near = np.abs(x - y) <= ulps * np.spacing(np.maximum(np.abs(x), np.abs(y)))
        same |= near & np.isfinite(x) & np.isfinite(y)
    return same


def _near(x: Any, y: Any, ulps: float, eps: float) -> Any:
    with np.errstate(all="ignore"):
        largest = np.abs(y).max(initial=0, where=np.isfinite(y))
        return np.abs(x - y) <= ulps * eps * largest


# ----------------------------------------------------------------------------------------------------------------- ways


def _vjp(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: fg.vjp(f, *args)[0]


def _jvp(f: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        tangents = [None if np.asarray(x).dtype.kind not in "fc" else x * 0 for x in args]
        return fg.jvp(f, args, tangents)[0]

    return run


def _ir(f: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        return fg.make_ir(f)(*args)(*args)

    return run


def _vmap(f: Callable[..., Any]) -> Callable[..., Any]:
    """The first of two equal examples."""

    def run(*args: Any) -> Any:
        axes = tuple(None if x.__class__ in PYTHON_SCALARS else 0 for x in args)
        if not args or set(axes) == {None}:
            return f(*args)
        both = [x if a is None else np.stack([x, x]) for x, a in zip(args, axes, strict=True)]
        return fg.tree.map(lambda x: x[0], fg.vmap(f, axes)(*both))

    return run


def _again(f: Callable[..., Any]) -> Callable[..., Any]:
    g = fg.jit(f)

    def run(*args: Any) -> Any:
        try:
            g(*args)
        except Exception:  # it is the second call that counts
            pass
        return g(*args)

    return run


@contextmanager
def _in_tiles() -> Iterator[None]:
    with kept(tuning) as t:
        t.smallest, t.tile_bytes, t.shared_bytes, t.share_ns, t.call_ns = 1, 512, 512, 0.0, 0.0
        yield


@contextmanager
def _written_out() -> Iterator[None]:
    with kept(unrolling) as u:
        u.gain, u.operation, u.elements = math.inf, 0.0, 1000
        yield


@contextmanager
def _by_calls() -> Iterator[None]:
    with kept(unrolling) as u:
        u.gain = 0.0
        yield


def _within(context: Any, wrap: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def way(f: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            with context():
                return wrap(f)(*args)

        return run

    return way


WAYS: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "vjp": _vjp,
    "jvp": _jvp,
    "ir": _ir,
    "vmap": _vmap,
    "jit": _within(_by_calls, fg.jit),
    "jit again": _again,
    "tiles": _within(_in_tiles, fg.jit),
    "written out": _within(_written_out, fg.jit),
}
"""How a function of arrays is run, by what happens to it."""
