"""Reductions as sums (products, extrema, …) of elements over a domain, and how they are accumulated.

`reduction(eqn)` brings a reduction over axes, and a product of arrays (`dot_general`), to one form: the shape of a
domain, its axes that are reduced, and what is to be accumulated at each place of it.

A long sum of floats is as accurate as NumPy's pairwise one: several accumulators in vectors take at most `TERMS` terms
each, and their totals are added up with the rounding errors carried along.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.core import Primitive
from funcgrad.ir import Equation
from funcgrad.native import scalars
from funcgrad.native.emission import Emission
from funcgrad.native.index import ZERO, Flat, Ix, constant
from funcgrad.native.writer import Operand, Writer
from funcgrad.ops.contract import DOT_GENERAL
from funcgrad.ops.math import UFUNCS
from funcgrad.ops.shape import CONVERT

__all__ = ["TERMS", "Reduction", "Total", "combine", "converted", "first", "horizontal", "identity", "reduction"]

TERMS = 16
"""How many terms of a sum one lane of an accumulator takes before its total is set aside."""

DType = np.dtype[Any]
_ADD, _MUL = UFUNCS[np.add], UFUNCS[np.multiply]


class Reduction(NamedTuple):
    """A reduction in the common form.

    Attributes:
        eqn: the equation.
        by: the primitive that combines two elements.
        domain: the shape of the domain.
        axes: the axes of the domain that are reduced.
        kept: the other axes, in the order of the result's.
        keepdims: whether the result has axes of size 1 for those that are reduced.
        dtype: of the accumulators.
        element: `element(em, idx)`, what is accumulated at a place.
    """

    eqn: Equation
    by: Primitive
    domain: tuple[int, ...]
    axes: tuple[int, ...]
    kept: tuple[int, ...]
    keepdims: bool
    dtype: DType
    element: Callable[[Emission, Sequence[Ix]], Operand]

    @property
    def terms(self) -> int:
        """How many elements are combined to one."""
        return math.prod(self.domain[a] for a in self.axes)

    @property
    def sums_floats(self) -> bool:
        return self.by is _ADD and self.dtype.kind in "fc"

    def place(self, idx: Sequence[Ix]) -> list[Ix]:
        """The index of the result for one into the domain."""
        if self.keepdims:
            return [ZERO if k in self.axes else i for k, i in enumerate(idx)]
        return [idx[k] for k in self.kept]


def _accumulator(out: DType) -> DType:
    """In what a sum of this dtype is accumulated: half precision in single, as NumPy does it."""
    return np.dtype(np.float32) if out == np.float16 else out


def reduction(eqn: Equation) -> Reduction | None:
    """An equation in the common form, if it is a reduction whose elements can be combined here."""
    out = eqn.outputs[0].aval.dtype
    if eqn.primitive is DOT_GENERAL:
        return _product(eqn) if out.char in "?efdFDbhilqBHILQ" else None
    ufunc = eqn.primitive.reduces
    if ufunc is None:
        return None
    by = UFUNCS[ufunc]
    dtype = _accumulator(out) if by is _ADD else out
    x = eqn.inputs[0]
    have = x.aval.dtype
    first = scalars.supports(CONVERT, [have], dtype, {"dtype": dtype})
    if not first or not scalars.supports(by, [dtype, dtype], dtype, {}):
        return None

    def element(em: Emission, idx: Sequence[Ix]) -> Operand:
        return converted(em.w, em.element(x, idx), have, dtype)

    shape, axes = x.aval.shape, eqn.params["axes"]
    kept = tuple(i for i in range(len(shape)) if i not in axes)
    return Reduction(eqn, by, shape, tuple(axes), kept, eqn.params["keepdims"], dtype, element)


def _product(eqn: Equation) -> Reduction:
    """The domain of a product: aligned axes, free ones of both operands, contracted ones."""
    a, b = eqn.inputs
    (ca, cb), (ba, bb) = eqn.params["contract"], eqn.params["batch"]
    fa = [i for i in range(a.aval.ndim) if i not in ca and i not in ba]
    fb = [i for i in range(b.aval.ndim) if i not in cb and i not in bb]
    left, right = a.aval.shape, b.aval.shape
    domain = (*(left[i] for i in (*ba, *fa)), *(right[i] for i in fb), *(left[i] for i in ca))
    n = len(domain) - len(ca)
    out = eqn.outputs[0].aval.dtype
    dtype = _accumulator(out)
    of_a = [*ba, *fa, *ca]
    to_a = [*range(len(ba) + len(fa)), *range(n, len(domain))]
    of_b = [*bb, *fb, *cb]
    to_b = [*range(len(ba)), *range(len(ba) + len(fa), len(domain))]
    multiply, add = (_MUL, _ADD) if out.kind != "b" else (UFUNCS[np.logical_and], UFUNCS[np.logical_or])

    def element(em: Emission, idx: Sequence[Ix]) -> Operand:
        ia: Sequence[Ix] = idx
        ib: Sequence[Ix] = idx
        if type(idx) is not Flat:
            ia, ib = _picked(idx, of_a, to_a), _picked(idx, of_b, to_b)
        w = em.w
        x = converted(w, em.element(a, ia), a.aval.dtype, dtype)
        y = converted(w, em.element(b, ib), b.aval.dtype, dtype)
        return _apply(w, multiply, [x, y], dtype)

    return Reduction(eqn, add, domain, tuple(range(n, len(domain))), tuple(range(n)), False, dtype, element)


def _picked(idx: Sequence[Ix], axes: Sequence[int], of: Sequence[int]) -> list[Ix]:
    """The index of an operand: for its `axes` those `of` the domain."""
    picked = [ZERO] * len(axes)
    for axis, k in zip(axes, of, strict=True):
        picked[axis] = idx[k]
    return picked


def _apply(w: Writer, primitive: Primitive, operands: list[Operand], dtype: DType) -> Operand:
    result = scalars.apply(w, primitive, {}, operands, [dtype] * len(operands), dtype)
    assert result is not None
    return result


def converted(w: Writer, value: Operand, have: DType, want: DType) -> Operand:
    """A value as one of another dtype."""
    if have == want:
        return value
    result = scalars.apply(w, CONVERT, {"dtype": want}, [value], [have], want)
    assert result is not None
    return result


def combine(w: Writer, r: Reduction, a: Operand, b: Operand) -> Operand:
    """Two partial results as one."""
    return _apply(w, r.by, [a, b], r.dtype)


def first(w: Writer, r: Reduction, value: Operand) -> Operand:
    (
        """A term as what others are combined with. NumPy's products begin with one, which changes
    complex numbers that are infinite."""
        ""
    )
    if r.by.ufunc is np.multiply and r.dtype.kind == "c":
        return combine(w, r, w.literal(identity(r), r.dtype), value)
    return value


def identity(r: Reduction) -> Any:
    """What combines with an element to that element; of no elements, what NumPy gives."""
    ufunc, dtype = r.by.ufunc, r.dtype
    if r.sums_floats and r.terms:  # a zero would change the sign of another one
        return dtype.type(complex(-0.0, -0.0)) if dtype.kind == "c" else dtype.type(-0.0)
    if ufunc is np.add or ufunc is np.logical_or:
        return dtype.type(0)
    if ufunc is np.multiply or ufunc is np.logical_and:
        return dtype.type(1)
    sign = 1 if ufunc is np.minimum else -1
    if dtype.kind in "fc":
        return dtype.type(complex(sign * math.inf, sign * math.inf) if dtype.kind == "c" else sign * math.inf)
    if dtype.kind == "b":
        return dtype.type(sign > 0)
    return np.iinfo(dtype).max if sign > 0 else np.iinfo(dtype).min


def horizontal(em: Emission, r: Reduction, value: Operand, width: int) -> Operand:
    """The lanes of a vector combined to a scalar: halves with halves."""
    w = em.w
    while width > 1:
        half = width // 2
        with w.lanes(width):
            t = w.type(r.dtype)
        parts = value if isinstance(value, tuple) else (value,)
        low = [_piece(w, t, v, 0, half) for v in parts]
        high = [_piece(w, t, v, half, half) for v in parts]
        with w.lanes(half if half > 1 else 0):
            pair: tuple[Operand, Operand] = (low[0], high[0])
            if isinstance(value, tuple):
                pair = (low[0], low[1]), (high[0], high[1])
            value = combine(w, r, *pair)
        width = half
    return value


def _piece(w: Writer, type: str, value: str, at: int, n: int) -> str:
    if n == 1:
        return w.op(f"extractelement {type} {value}, i64 {at}")
    lanes = ", ".join(f"i32 {k}" for k in range(at, at + n))
    return w.op(f"shufflevector {type} {value}, {type} poison, <{n} x i32> <{lanes}>")


class Total:
    """The sum of totals of parts of a long sum of floats, in lanes, with what is lost to rounding kept beside it."""

    def __init__(self, em: Emission, r: Reduction, width: int) -> None:
        self.em, self.r, self.width = em, r, width
        w = em.w
        with w.lanes(width if width > 1 else 0):
            self.type = w.type(r.dtype)
        n = 2 if r.dtype.kind == "c" else 1
        self.sums = [w.alloca(self.type) for _ in range(n)]
        self.lost = [w.alloca(self.type) for _ in range(n)]

    def clear(self) -> None:
        w = self.em.w
        with w.lanes(self.width if self.width > 1 else 0):
            zero = w.number(-0.0, self.r.dtype)
        for place in (*self.sums, *self.lost):
            w.write(f"store {self.type} {zero}, ptr {place}")

    def add(self, value: Operand) -> None:
        """Add a number to each lane. The error of an addition is a number of the same kind: Knuth, The Art of Computer
        Programming 2, 4.2.2."""
        w, t = self.em.w, self.type
        for s, e, v in zip(self.sums, self.lost, value if isinstance(value, tuple) else (value,), strict=True):
            old = w.op(f"load {t}, ptr {s}")
            new = w.op(f"fadd {t} {old}, {v}")
            w.write(f"store {t} {new}, ptr {s}")
            part = w.op(f"fsub {t} {new}, {old}")
            a = w.op(f"fsub {t} {old}, {w.op(f'fsub {t} {new}, {part}')}")
            b = w.op(f"fsub {t} {v}, {part}")
            error = w.op(f"fadd {t} {a}, {b}")
            before = w.op(f"load {t}, ptr {e}")
            w.write(f"store {t} {w.op(f'fadd {t} {before}, {error}')}, ptr {e}")

    def value(self) -> Operand:
        """The sum of all lanes, a scalar."""
        w, t = self.em.w, self.type
        mask = f"<{self.width} x i1>" if self.width > 1 else "i1"
        found: list[str] = []
        for s, e in zip(self.sums, self.lost, strict=True):
            v = w.op(f"load {t}, ptr {s}")
            whole = w.op(f"fadd {t} {v}, {w.op(f'load {t}, ptr {e}')}")
            nan = w.op(f"fcmp uno {t} {whole}, {whole}")  # an infinite sum has an error that is no number
            found.append(w.op(f"select {mask} {nan}, {t} {v}, {t} {whole}"))
        return horizontal(self.em, self.r, (found[0], found[1]) if len(found) == 2 else found[0], self.width)


def written_out(em: Emission, r: Reduction, idx: Sequence[Ix]) -> Operand:
    """One element of a result, its few terms combined one after the other. `idx` is an index of the result."""
    full: list[Ix] = [ZERO] * len(r.domain)
    for axis, i in zip(r.kept, [idx[k] for k in r.kept] if r.keepdims else idx, strict=True):
        full[axis] = i
    total: Operand | None = None
    for point in np.ndindex(*(r.domain[a] for a in r.axes)):
        for axis, c in zip(r.axes, point, strict=True):
            full[axis] = constant(c)
        value = r.element(em, list(full))
        total = first(em.w, r, value) if total is None else combine(em.w, r, total, value)
    out = r.eqn.outputs[0].aval.dtype
    if total is None:
        return em.w.literal(identity(r), out)
    return converted(em.w, total, r.dtype, out)
