"""Running sums, products, maxima and minima along an axis, and linear recurrences: in NumPy's order, step by step.

Where the axis is not the last one, the elements along the last one are a vector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from funcgrad.core import Primitive
from funcgrad.ir import Equation
from funcgrad.native import scalars
from funcgrad.native.emission import Emission
from funcgrad.native.emit_loops import carried, rows
from funcgrad.native.index import Ix, unit
from funcgrad.native.registry import block_emitter
from funcgrad.native.scalars_base import DType, Numbers
from funcgrad.native.scalars_convert import convert
from funcgrad.native.values import Buf
from funcgrad.native.writer import Operand, Pair, component
from funcgrad.ops.cumulative import LINEAR_RECURRENCE
from funcgrad.ops.math import ADD, MUL, UFUNCS

__all__ = ["accumulated"]

_STEP = 1.5
"""Nanoseconds that a step takes, which waits for the one before it: estimated."""


def _operation(eqn: Equation) -> Primitive:
    ufunc = eqn.primitive.accumulates
    assert ufunc is not None
    return UFUNCS[ufunc]


def _known(*primitives: Primitive) -> Callable[[DType], bool]:
    return lambda dtype: all(scalars.supports(p, (dtype, dtype), dtype, {}) for p in primitives)


def _has_text(eqn: Equation) -> bool:
    dtype = eqn.outputs[0].aval.dtype
    needed = (ADD, MUL) if eqn.primitive is LINEAR_RECURRENCE else (_operation(eqn),)
    lossy = any(x.aval.dtype.kind == "c" != dtype.kind for x in eqn.inputs)
    return not lossy and _known(*needed)(dtype)


def accumulated(
    em: Emission, eqn: Equation, out: Buf, first: Callable[..., Operand], combine: Callable[..., Operand]
) -> None:
    """Write what is carried along an axis: `first(idx)` at its start, then `combine(before, idx)`."""
    w, axis, dtype = em.w, eqn.params["axis"], out.dtype
    n, reverse = out.shape[axis], eqn.params.get("reverse", False)
    if 0 in out.shape:
        return
    others = [*out.shape[:axis], *out.shape[axis + 1 :]]
    inner = axis < len(out.shape) - 1

    def at(rest: Sequence[Ix], step: str) -> list[Ix]:
        i = unit(step, 0, n - 1)
        return [*rest[:axis], i.affine(-1, n - 1) if reverse else i, *rest[axis:]]

    def row(rest: list[Ix]) -> None:
        def store(step: str, value: Operand) -> tuple[str, ...]:
            em.store(out, at(rest, step), value)
            return value if isinstance(value, tuple) else (value,)

        begin = store("0", first(at(rest, "0")))
        if n > 1:
            carried(
                em, 1, n, [w.type(dtype)] * len(begin), begin,
                lambda i, c: store(i, combine((c[0], c[1]) if len(c) == 2 else c[0], at(rest, i))),
            )  # fmt: skip

    rows(em, others, row, dtype.itemsize if inner else 0, twice=True, each=n * _STEP, known=[out])


def _converted(em: Emission, eqn: Equation, operand: int, idx: Sequence[Ix], dtype: DType) -> Operand:
    x = eqn.inputs[operand]
    return convert(em.w, em.element(x, idx), x.aval.dtype, dtype)


@block_emitter("cumsum", "cumprod", "cummax", "cummin", when=_has_text)
def cumulative(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    (out,), primitive = outs, _operation(eqn)
    dtype = out.dtype

    def combine(before: Operand, idx: Sequence[Ix]) -> Operand:
        x = _converted(em, eqn, 0, idx, dtype)
        if isinstance(x, tuple) and isinstance(before, tuple) and primitive is MUL:
            return _product(Numbers(em.w, component(dtype)), before, x)
        made = scalars.apply(em.w, primitive, {}, (before, x), (dtype, dtype), dtype)
        assert made is not None
        return made

    accumulated(em, eqn, out, lambda idx: _converted(em, eqn, 0, idx, dtype), combine)


def _product(f: Numbers, x: Pair, y: Pair) -> Pair:
    """Of complex numbers one after the other, where NumPy fuses nothing."""
    re = f.op("fsub", f.op("fmul", x[0], y[0]), f.op("fmul", x[1], y[1]))
    return re, f.op("fadd", f.op("fmul", x[0], y[1]), f.op("fmul", x[1], y[0]))


@block_emitter("linear_recurrence", when=_has_text)
def linear_recurrence(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    (out,) = outs
    dtype = out.dtype

    def combine(before: Operand, idx: Sequence[Ix]) -> Operand:
        factor, term = (_converted(em, eqn, k, idx, dtype) for k in range(2))
        product = scalars.apply(em.w, MUL, {}, (factor, before), (dtype, dtype), dtype)
        assert product is not None
        total = scalars.apply(em.w, ADD, {}, (product, term), (dtype, dtype), dtype)
        assert total is not None
        return total

    accumulated(em, eqn, out, lambda idx: _converted(em, eqn, 1, idx, dtype), combine)
