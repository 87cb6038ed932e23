"""What the rules of SciPy's functions are written with: slopes, and chains of derivatives of our own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from threading import RLock
from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.ops.rules import ZERO, Push, Unknown, elementwise
from funcgrad.types import ShapedArray, dtype_of, is_a, result_dtype

__all__ = ["OWN", "Chain", "Pushes", "by", "function", "horner", "is_said", "limit", "of_order", "rules_of", "sp"]

_COST = (100.0, 100.0)  # nanoseconds for an element, roughly

Pushes = tuple[Push, ...]
"""One pushforward per operand of a function."""


def sp() -> Any:
    """`scipy.special`; whoever holds one of its ufuncs has imported it."""
    return sys.modules["scipy.special"]


def by(slope: Callable[..., Any]) -> Push:
    """The pushforward of an operand with this derivative, `slope(out, *ins)`."""
    return lambda g, o, *ins: g * slope(o, *ins)


def rules_of(*slopes: Any) -> Pushes:
    """Pushforwards from slopes, functions of (out, *ins); a `ZERO` or `Unknown` stays as it is."""
    return tuple(s if is_said(s) else by(s) for s in slopes)


def is_said(rule: Any) -> bool:
    """Whether a derivative is said to be zero, or not known."""
    return rule is ZERO or isinstance(rule, Unknown)


def _loop_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which SciPy's ufuncs give a result: single or double precision."""
    if dtype.kind == "c":
        return np.dtype(np.complex64 if dtype.itemsize <= 8 else np.complex128)
    return np.dtype(np.float32 if dtype.kind == "f" and dtype.itemsize <= 4 else np.float64)


def _dtype(*avals: ShapedArray) -> np.dtype[Any]:
    return _loop_dtype(result_dtype(*avals))


def in_double(compute: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arrays of one shape in double precision, as one of anything that broadcasts.

    Results have the dtype that SciPy's ufuncs would give. Floating-point errors on the way are no news to anybody.
    """

    def impl(*ins: Any) -> Any:
        dtype = _loop_dtype(np.result_type(*ins))
        wide = np.complex128 if dtype.kind == "c" else np.float64
        arrays = np.broadcast_arrays(*(np.asarray(x, np.complex128 if np.iscomplexobj(x) else np.float64) for x in ins))
        with np.errstate(all="ignore"):
            out = compute(*(np.atleast_1d(x) for x in arrays))
            return np.asarray(out, wide).reshape(arrays[0].shape).astype(dtype)[()]

    return impl


def _as_program(compute: Callable[..., Any]) -> Callable[..., Any]:
    """The same as a program's equations."""

    def expansion(*ins: Any) -> Any:
        wide = [x.astype(np.float64) if hasattr(x, "astype") else np.float64(x) for x in ins]
        return compute(*wide).astype(_loop_dtype(np.result_type(*map(dtype_of, ins))))

    return expansion


OWN: set[str] = set()
"""The names of primitives that are no functions of SciPy, but derivatives of such or parts of these."""


def function(name: str, compute: Callable[..., Any], *slopes: Any) -> Primitive:
    """A function that SciPy lacks, from what computes it for arrays of one shape in double precision."""
    OWN.add(name)
    return elementwise(name, in_double(compute), *rules_of(*slopes), dtype=_dtype, cost=_COST)


class _OfOrder:
    """A slope that depends on the order of the derivative."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[Any], Callable[..., Any]]) -> None:
        self.make = make


def of_order(make: Callable[[Any], Callable[..., Any]]) -> Any:
    """For `Chain`: `make(order)` gives the slope of the derivative of this order by an operand."""
    return _OfOrder(make)


class Chain:
    """The partial derivatives of a function, of any order, as primitives that are made when they are first asked for.

    Args:
        name: of the function; its derivatives are called `name_d1`, or `name_d1_0` where there are several counts.
        compute: `compute(order, *arrays)`, the derivative of this order, for arrays of one shape.
        *rules: for each operand the position in `order` that its derivative raises, an `of_order`, or a pushforward
            (`ZERO`, an `Unknown`) for all orders.
        expands: for which orders `compute` asks nothing of its arrays, so that it can be written as a program.
    """

    __slots__ = ("compute", "expands", "lock", "made", "name", "rules")

    def __init__(
        self,
        name: str,
        compute: Callable[..., Any],
        *rules: Any,
        expands: Callable[[Any], bool] = lambda order: False,
    ) -> None:
        self.name, self.compute, self.rules, self.expands = name, compute, rules, expands
        self.made: dict[tuple[int, ...], Primitive] = {}
        self.lock = RLock()

    def __getitem__(self, order: int | tuple[int, ...]) -> Callable[..., Any]:
        """The derivative of this order, as a function of traced or plain arrays."""
        key = order if isinstance(order, tuple) else (order,)
        with self.lock:
            if key not in self.made:
                self.made[key] = self._make(key)
        return self.made[key].bind

    def _make(self, key: tuple[int, ...]) -> Primitive:
        order: Any = key[0] if len(key) == 1 else key
        name = f"{self.name}_d{'_'.join(map(str, key))}"
        compute = partial(self.compute, order)
        OWN.add(name)
        return elementwise(
            name,
            in_double(compute),
            *(self._push(rule, key) for rule in self.rules),
            dtype=_dtype,
            cost=_COST,
            expansion=_as_program(compute) if self.expands(order) else None,
        )

    def _push(self, rule: Any, key: tuple[int, ...]) -> Push:
        if is_a(rule, int):
            raised = tuple(n + (i == rule) for i, n in enumerate(key))
            return lambda g, o, *ins: g * self[raised](*ins)
        if isinstance(rule, _OfOrder):
            return by(rule.make(key[0] if len(key) == 1 else key))
        return rule


def _nan_where_asked(g: Any, o: Any, x: Any) -> Any:
    return np.where(g == 0, 0.0, np.nan)


OWN.add("special_limit")
_NOTHING = elementwise("special_limit", in_double(np.zeros_like), _nan_where_asked, dtype=_dtype)


def limit(at: Any, value: Any, formula: Any, *xs: Any) -> Any:
    """`formula`, but where `at` holds its limit `value`, whose own derivative by `xs` is not known: NaN there.

    The formula must not divide by zero where it is not used, or NumPy warns.
    """
    return np.where(at, value + sum(_NOTHING.bind(x) for x in xs), formula)


def horner(coefficients: Sequence[float], x: Any) -> Any:
    """A polynomial with these coefficients, the constant first."""
    total: Any = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total
