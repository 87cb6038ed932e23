"""Running sums, products, maxima and minima along an axis; and the linear recurrence behind their
derivatives.

`axis` is not negative; with `reverse` the scan runs from the end. The derivative of a running
product, taken naively, divides by the factors. Here it is the solution of a linear recurrence,
which is exact where factors are zero, and whose own derivatives are linear recurrences again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.errors import ShapeError
from funcgrad.ops.rules import declare, linear
from funcgrad.types import ShapedArray, dtype_of, result_dtype, shape_of

__all__ = ["CUMMAX", "CUMMIN", "CUMPROD", "CUMSUM", "LINEAR_RECURRENCE"]

_FEW = 8
"""Up to so many rows are faster one by one in Python than all at once in NumPy (measured: 4 to 9)."""


def _along(x: Any, axis: int, start: int | None, stop: int | None, step: int = 1) -> Any:
    return x[(*(slice(None),) * axis, slice(start, stop, step))]


def _accumulate(ufunc: np.ufunc) -> Callable[..., Any]:
    def impl(x: Any, axis: int, reverse: bool = False) -> Any:
        if reverse:
            return _along(ufunc.accumulate(_along(x, axis, None, None, -1), axis=axis), axis, None, None, -1)
        return ufunc.accumulate(x, axis=axis)

    return impl


def _aval(ufunc: np.ufunc) -> Callable[..., ShapedArray]:
    def aval(x: ShapedArray, axis: int, reverse: bool = False) -> ShapedArray:
        return ShapedArray(x.shape, ufunc.accumulate(np.zeros(1, x.dtype)).dtype)

    return aval


def _before(x: Any, axis: int, reverse: bool, first: float) -> Any:
    """At each place what `x` holds one place earlier in the scan, and `first` at its start."""
    shape = shape_of(x)
    edge = np.full((*shape[:axis], min(1, shape[axis]), *shape[axis + 1 :]), first, dtype_of(x))
    parts = [_along(x, axis, 1, None), edge] if reverse else [edge, _along(x, axis, None, -1)]
    return np.concatenate(parts, axis=axis)


# -------------------------------------------------------------------------------- linear recurrence


def _recurrence_impl(a: Any, b: Any, axis: int, reverse: bool = False) -> Any:
    dtype = np.result_type(a, b)
    out = np.empty(a.shape, dtype)
    step = -1 if reverse else 1
    factors, terms, sums = (np.moveaxis(v, axis, 0)[::step] for v in (a, b, out))
    n = len(sums)
    if n and out.size // n <= _FEW:
        rows = (v.reshape(n, -1).T.tolist() for v in (factors, terms))
        found = [_recur(*row) for row in zip(*rows, strict=True)]
        sums[...] = np.array(found, dtype).T.reshape(sums.shape)
        return out
    if n:
        sums[0] = terms[0]
    for k in range(1, n):
        np.multiply(factors[k], sums[k - 1], out=sums[k])
        sums[k] += terms[k]
    return out


def _recur(factors: list[Any], terms: list[Any]) -> list[Any]:
    rest = zip(factors[1:], terms[1:], strict=True)
    return list(accumulate(rest, lambda total, pair: pair[0] * total + pair[1], initial=terms[0]))


def _recurrence_aval(a: ShapedArray, b: ShapedArray, axis: int, reverse: bool = False) -> ShapedArray:
    if a.shape != b.shape:
        raise ShapeError(f"the factors have shape {a.shape}, the terms {b.shape}; they must be equal")
    return ShapedArray(a.shape, result_dtype(a, b))


def _recurrence_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], axis: int, reverse: bool = False) -> Any:
    da, terms = tangents
    if da is not None:
        part = da * _before(out, axis, reverse, 0)
        terms = part if terms is None else terms + part
    return LINEAR_RECURRENCE.bind(ins[0], terms, axis=axis, reverse=reverse)


def _recurrence_vjp(
    ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], axis: int, reverse: bool = False
) -> list[Any]:
    """A cotangent runs the other way, by the same factors."""
    ct_b = _recur_back(ins[0], ct, axis, reverse)
    return [
        ct_b * _before(out, axis, reverse, 0) if wanted[0] else None,
        ct_b if wanted[1] else None,
    ]


def _recur_back(factors: Any, ct: Any, axis: int, reverse: bool) -> Any:
    shifted = _before(factors, axis, not reverse, 0)
    return LINEAR_RECURRENCE.bind(shifted, ct, axis=axis, reverse=not reverse)


LINEAR_RECURRENCE = declare(
    "linear_recurrence",
    _recurrence_impl,
    _recurrence_aval,
    jvp=_recurrence_jvp,
    vjp=_recurrence_vjp,
    along="axis",
)
"""`s[k] = a[k]·s[k-1] + b[k]` along `axis`, with `s[-1] = 0`; `a` and `b` have the same shape."""


# ---------------------------------------------------------------------------------- sum and product


CUMSUM = linear(
    "cumsum",
    _accumulate(np.add),
    _aval(np.add),
    lambda ct, ins, wanted, axis, reverse=False: [CUMSUM.bind(ct, axis=axis, reverse=not reverse)],
    accumulates=np.add,
    along="axis",
    total=True,
)


def _cumprod_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], axis: int, reverse: bool = False) -> Any:
    """ds[k] = x[k]·ds[k-1] + dx[k]·s[k-1]."""
    terms = tangents[0] * _before(out, axis, reverse, 1)
    return LINEAR_RECURRENCE.bind(ins[0], terms, axis=axis, reverse=reverse)


def _cumprod_vjp(
    ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], axis: int, reverse: bool = False
) -> list[Any]:
    return [_recur_back(ins[0], ct, axis, reverse) * _before(out, axis, reverse, 1)]


CUMPROD = declare(
    "cumprod",
    _accumulate(np.multiply),
    _aval(np.multiply),
    jvp=_cumprod_jvp,
    vjp=_cumprod_vjp,
    accumulates=np.multiply,
    along="axis",
    total=True,
)


# ------------------------------------------------------------------------------ maximum and minimum


def _attains(out: Any, x: Any) -> Any:
    """Where an element is the extreme one so far: the last one among equals, and each NaN."""
    return (x == out) | (x != x)


def _extreme_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], axis: int, reverse: bool = False) -> Any:
    shape = shape_of(out)
    places = np.reshape(np.arange(shape[axis]), (-1, *(1,) * (len(shape) - axis - 1)))
    hit = _attains(out, ins[0])
    if reverse:
        source = CUMMIN.bind(np.where(hit, places, shape[axis]), axis=axis, reverse=True)
    else:
        source = CUMMAX.bind(np.where(hit, places, 0), axis=axis)
    return np.take_along_axis(tangents[0], source, axis)


def _extreme_vjp(
    ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], axis: int, reverse: bool = False
) -> list[Any]:
    """The cotangents from one attaining element up to the next add up on the former."""
    hit = _attains(out, ins[0])
    passed_on = np.where(hit, 0, 1).astype(dtype_of(ct))
    return [np.where(hit, _recur_back(passed_on, ct, axis, reverse), 0)]


def _extreme(name: str, ufunc: np.ufunc) -> Primitive:
    known: dict[str, Any] = {"accumulates": ufunc, "along": "axis", "total": True}
    return declare(name, _accumulate(ufunc), _aval(ufunc), jvp=_extreme_jvp, vjp=_extreme_vjp, **known)


CUMMAX, CUMMIN = _extreme("cummax", np.maximum), _extreme("cummin", np.minimum)
