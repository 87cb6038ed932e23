"""How each operation is done on a tile: with which calls of NumPy, measured to be the fastest that give its result.

Measured on 32 Ki float32 elements, in ns per element (an addition takes 0.17):

- `np.where` 4.7, `copyto(where=)` 6.9 (a jump per element, mispredicted): by the bits of a mask it takes 0.6 to 0.9;
- `power` with the exponent 3 takes 2.1, and 100 where the base is negative; products take 0.35;
- a factor that is broadcast 0.6 (it is copied to a buffer), one of another dtype 0.8 (it is cast in a buffer); written
  out before, by `copyto`, 0.3 to 0.4, of which half is spared when it is used again;
- `maximum` with a scalar 0.88, with an array 0.20: the scalar is written out once per thread;
- `add.reduce` of rows of 512 elements 0.30, `vecdot` with a row of ones 0.15, of the product of two arrays 0.16 (0.68
  with the product written out); in rows of 1024 that also holds for a whole tile;
- `maximum.reduce` of rows of 128 elements 1.1, `argmax` and `take` 0.49: it has 95 ns of overhead per row;
- `add.reduce` over the first axis of (4096, 16) 1.66, of the same memory as (64, 1024) and then (64, 16) 0.32: it is
  one loop per row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.executor.sincos import sincos
from funcgrad.executor.spaces import WRITERS, Fit, Layout, is_reduction
from funcgrad.executor.step import fits, tuple_text
from funcgrad.executor.tile_code import TileCode
from funcgrad.ir import Atom, Equation, Literal, Var
from funcgrad.ops.math import COMPLEX, IMAG, MUL, REAL, SELECT, TIE_SHARE, UFUNCS
from funcgrad.ops.reduce import REDUCE_SUM
from funcgrad.ops.shape import CONVERT
from funcgrad.types import weak_type

__all__ = ["folded_products", "sines_and_cosines", "write_both", "write_equation"]

_KEYWORD_OUT = frozenset((np.maximum, np.minimum))  # a third positional operand is deprecated
_BY_ARRAY = _KEYWORD_OUT | {np.fmax, np.fmin}
_COMPARE = frozenset((np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal))
_SQUARE = UFUNCS[np.square]
_DOT, _MAX_DOT = 1024, 2048
"""The rows of a long sum, and the longest row that BLAS adds up: its running sums (64 of them, with AVX-512) are then
as accurate as pairwise summation."""
_SEARCH = {np.maximum: np.argmax, np.minimum: np.argmin}
_MAX_SEARCH = 1024
_NARROW, _WIDE = 128, 1024
"""Elements of a row that are few for a loop per row, and how many are then taken together."""


# ------------------------------------------------------------------------------------------------ pointwise


def _ufunc(code: TileCode, eqn: Equation, fit: Fit) -> None:
    ufunc = eqn.primitive.ufunc
    assert ufunc is not None
    given = [weak_type(x.aval.dtype) if x.aval.weak else x.aval.dtype for x in eqn.inputs]
    loop: Sequence[Any] = ufunc.resolve_dtypes((*(np.dtype(bool) if d is bool else d for d in given), None))
    if not all(fits(x, d) for x, d in zip(eqn.inputs, loop, strict=False)):  # the ufunc itself converts, or raises
        loop = [None if x.aval.weak else x.aval.dtype for x in eqn.inputs]
    if ufunc in _COMPARE and loop[0] is not None and loop[0].kind in "iu":
        # A Python int may be out of range: the ufunc knows what to do.
        loop = [None if x.aval.weak and not x.is_literal else d for x, d in zip(eqn.inputs, loop, strict=False)]
    ins = [code.operand(x, layout, d) for x, layout, d in zip(eqn.inputs, fit.operands, loop, strict=False)]
    (var,) = eqn.outputs
    power = _small_power(eqn)
    out = code.target(eqn, fit, () if power == 3 else range(len(ins)))
    before: list[str] = []
    for i, (x, layout) in enumerate(zip(eqn.inputs, fit.operands, strict=True)):
        extent = code.extent(x, layout)
        if extent != () and (x.aval.dtype != loop[i] or extent != code.shape(fit.result)):
            ins[i], lines = code.spread(x, layout, code.shape(fit.result), loop[i])
            before += lines
    if ufunc in _BY_ARRAY and var.aval.dtype.kind in "iuf":
        shape = code.shape(fit.result)
        for i, x in enumerate(eqn.inputs):
            if code.extent(x, fit.operands[i]) == ():
                ins[i] = code.filled(ins[i], shape, var.aval.dtype)
    if power:
        multiply = code.function(np.multiply)
        more = {2: [], 3: [f"{multiply}({out}, {ins[0]}, {out})"], 4: [f"{multiply}({out}, {out}, {out})"]}
        code.write(eqn, f"{multiply}({ins[0]}, {ins[0]}, {out})", *more[power])
        return
    positional = f"{', '.join(ins)}, {'out=' if ufunc in _KEYWORD_OUT else ''}{out}"
    code.write(eqn, *before, f"{code.function(ufunc)}({positional})")


_TOGETHER = frozenset((UFUNCS[np.sin], UFUNCS[np.cos]))


def sines_and_cosines(code: TileCode) -> dict[Var, tuple[Equation, Fit]]:
    """For sines and cosines of float64 the equation after it that is the other one of the same operand."""
    first: dict[Any, Equation] = {}
    found: dict[Var, tuple[Equation, Fit]] = {}
    for eqn, fit in zip(code.program.equations, code.fits, strict=True):
        (x, *_), (var,) = eqn.inputs, eqn.outputs
        if eqn.primitive not in _TOGETHER or x.aval.dtype != np.float64 or not x.aval.shape or var not in code.dies:
            continue
        other = first.setdefault(code.root(x, fit.operands[0]), eqn)
        if other.primitive is not eqn.primitive and other.outputs[0] not in found:
            found[other.outputs[0]] = eqn, fit
    return found


def write_both(code: TileCode, eqn: Equation, fit: Fit, other: tuple[Equation, Fit]) -> None:
    """Write the lines of a sine and a cosine of the same operand."""
    source = code.operand(eqn.inputs[0], fit.operands[0])
    targets = [code.target(eqn, fit), code.target(*other)]
    if eqn.primitive.ufunc is np.cos:
        targets.reverse()
    scratch = [code.temporary(code.shape(fit.result), np.dtype(np.float64)) for _ in range(4)]
    code.write(eqn, f"{code.function(sincos)}({', '.join([source, *targets, *scratch])})")


def _small_power(eqn: Equation) -> int:
    """The exponent of a power that products give as well; 0 for any other operation."""
    if eqn.primitive.ufunc is not np.power:
        return 0
    base, exponent = eqn.inputs
    same = base.aval.dtype == eqn.outputs[0].aval.dtype and base.aval.dtype.kind == "f"
    if not same or not isinstance(exponent, Literal):
        return 0
    return int(exponent.value) if np.isrealobj(exponent.value) and exponent.value in (2, 3, 4) else 0


def _convert(code: TileCode, eqn: Equation, fit: Fit) -> None:
    source = code.operand(eqn.inputs[0], fit.operands[0])
    out = code.target(eqn, fit)
    code.write(eqn, f"{code.function(np.copyto)}({out}, {source}, 'unsafe')")


def _part(code: TileCode, eqn: Equation, fit: Fit) -> None:
    """The real or the imaginary part."""
    source = code.operand(eqn.inputs[0], fit.operands[0])
    code.write(eqn, f"{code.function(np.copyto)}({code.target(eqn, fit)}, {source}.{eqn.primitive.name})")


def _complex(code: TileCode, eqn: Equation, fit: Fit) -> None:
    re, im = (code.operand(x, layout) for x, layout in zip(eqn.inputs, fit.operands, strict=True))
    out, copyto = code.target(eqn, fit), code.function(np.copyto)
    code.write(eqn, f"{copyto}({out}.real, {re})", f"{copyto}({out}.imag, {im})")


_BITS = {1: np.dtype(np.int8), 2: np.dtype(np.int16), 4: np.dtype(np.int32), 8: np.dtype(np.int64)}


def _select(code: TileCode, eqn: Equation, fit: Fit) -> None:
    """Select by bits: with a mask m of ones where c holds, x & m if y is zero, otherwise ((x ^ y) & m) ^ y."""
    c, x, y = eqn.inputs
    dtype = eqn.outputs[0].aval.dtype
    bits = _BITS.get(dtype.itemsize)
    shape = code.shape(fit.result)
    same = all(a.aval.shape == () or a.aval.dtype == dtype for a in (x, y))
    names = [code.operand(a, layout, dtype) for a, layout in zip((x, y), fit.operands[1:], strict=True)]
    copyto = code.function(np.copyto)
    if bits is None or not same:
        condition = code.operand(c, fit.operands[0])
        out = code.target(eqn, fit)
        code.write(eqn, f"{copyto}({out}, {names[1]})", f"{copyto}({out}, {names[0]}, where={condition})")
        return
    int_dtype = code.bindings.dtype(bits)
    zero = [_is_zero(a) for a in (x, y)]
    again = code.root(x, ())[0] is code.root(y, ())[0]  # y is read when x has been written over
    out = code.target(eqn, fit, () if again else (2,) if zero[0] else (1,))
    if zero[0]:  # where c holds the mask is 0, elsewhere -1
        then = f"{code.function(np.subtract)}({{0}}, {code.bindings.constant(1, bits)}, {{0}})"
    else:
        then = f"{code.function(np.negative)}({{0}}, {{0}})"
    mask, lines = code.spread(c, fit.operands[0], shape, bits, then)
    left, right, into = (f"{name}.view({int_dtype})" for name in (*names, out))
    both = code.function(np.bitwise_and)
    if any(zero):
        code.write(eqn, *lines, f"{both}({right if zero[0] else left}, {mask}, {into})")
        return
    either = code.function(np.bitwise_xor)
    code.write(
        eqn,
        *lines,
        f"{either}({left}, {right}, {into})",
        f"{both}({into}, {mask}, {into})",
        f"{either}({into}, {right}, {into})",
    )


def _tie_share(code: TileCode, eqn: Equation, fit: Fit) -> None:
    """1, 1/2 or 0, from two comparisons that are added as bytes."""
    (var,) = eqn.outputs
    loop = np.greater.resolve_dtypes(
        (*(weak_type(x.aval.dtype) if x.aval.weak else x.aval.dtype for x in eqn.inputs), None)
    )
    x, y = (code.operand(a, layout, d) for a, layout, d in zip(eqn.inputs, fit.operands, loop, strict=False))
    out, shape, byte = code.target(eqn, fit), code.shape(fit.result), np.dtype(np.int8)
    more, least, bool_ = code.temporary(shape, byte), code.temporary(shape, byte), code.bindings.dtype(np.dtype(bool))
    code.write(
        eqn,
        f"{code.function(np.greater)}({x}, {y}, {more}.view({bool_}))",
        f"{code.function(np.greater_equal)}({x}, {y}, {least}.view({bool_}))",
        f"{code.function(np.add)}({more}, {least}, {more})",
        f"{code.function(np.copyto)}({out}, {more})",
        f"{code.function(np.multiply)}({out}, {code.bindings.constant(0.5, var.aval.dtype)}, {out})",
    )


def _is_zero(x: Atom) -> bool:
    """Whether a literal is zero in all its bits."""
    if not isinstance(x, Literal) or x.value != 0:
        return False
    return not np.signbit(np.real(x.value)) and not np.signbit(np.imag(x.value))


# ------------------------------------------------------------------------------------------------ reductions


def folded_products(code: TileCode) -> dict[Var, Equation]:
    """Products and squares that only a sum within the rows of a tile reads: they need not be written out."""
    program = code.program
    uses: dict[Any, list[Equation | None]] = {}
    for eqn in program.equations:
        for x in eqn.inputs:
            uses.setdefault(x, []).append(eqn)
    for out in program.outputs:
        uses.setdefault(out, []).append(None)
    made = {eqn.outputs[0]: (eqn, fit) for eqn, fit in zip(program.equations, code.fits, strict=True)}
    found: dict[Var, Equation] = {}
    for eqn, fit in zip(program.equations, code.fits, strict=True):
        x = eqn.inputs[0]
        if x not in made or uses[x] != [eqn] or not (_adds_rows(code, eqn, fit) or _adds_all(code, eqn, fit)):
            continue
        product, inner = made[x]
        operands = zip(product.inputs, inner.operands, strict=True)
        whole = all(layout == inner.result and _fills(code, y, layout) for y, layout in operands)
        same = all(y.aval.dtype == x.aval.dtype and not y.is_literal for y in product.inputs)
        if product.primitive in (MUL, _SQUARE) and whole and same:
            found[x] = product
    return found


def sum_products(a: np.ndarray, b: np.ndarray) -> Any:
    """The sum of the products of two arrays, as accurate as pairwise summation."""
    n = a.size - a.size % _DOT
    x, y = a.reshape(-1), b.reshape(-1)
    total = np.add.reduce(np.vecdot(x[:n].reshape(-1, _DOT), y[:n].reshape(-1, _DOT)))
    return total if n == a.size else total + np.vecdot(x[n:], y[n:])


def _fills(code: TileCode, x: Atom, layout: Layout) -> bool:
    """Whether an operand is there in its whole shape, and not as something smaller that is broadcast to it."""
    return code.extent(x, layout) == code.shape(layout)


def _reduced(code: TileCode, x: Atom, layout: Layout) -> str:
    """The name of what is reduced, in its whole shape: each element counts, even if it is one broadcast."""
    if _fills(code, x, layout):
        return code.operand(x, layout)
    name, lines = code.spread(x, layout, code.shape(layout), x.aval.dtype)
    code.lines += lines
    return name


def _axis(code: TileCode, fit: Fit) -> list[int]:
    """The axes of a tile that an equation reduces."""
    return [i for i, block in enumerate(code.blocks) if block[0] in fit.reduced]


def _adds_rows(code: TileCode, eqn: Equation, fit: Fit) -> bool:
    """Whether an equation adds up rows that lie in memory together, as a product with ones can do."""
    axes, extent = _axis(code, fit), code.shape(fit.operands[0])
    return (
        eqn.primitive is REDUCE_SUM
        and axes == [len(extent) - 1]
        and axes != [0]
        and extent[-1] <= _MAX_DOT
        and eqn.inputs[0].aval.dtype in (np.float32, np.float64)
    )


def _adds_all(code: TileCode, eqn: Equation, fit: Fit) -> bool:
    """Whether an equation adds up all elements of its operand."""
    everything = len(_axis(code, fit)) == len(code.blocks)
    return eqn.primitive is REDUCE_SUM and everything and eqn.inputs[0].aval.dtype in (np.float32, np.float64)


def _reduce(code: TileCode, eqn: Equation, fit: Fit, product: Equation | None) -> None:
    """A reduction within the tile."""
    (x,) = eqn.inputs
    layout = fit.operands[0]
    if _adds_rows(code, eqn, fit):
        if product is not None:
            names = [code.operand(y, layout) for y in product.inputs]
        else:
            ones = np.ones(code.shape(layout)[-1])
            names = [_reduced(code, x, layout), code.bindings.constant(ones, x.aval.dtype)]
        both = ", ".join(names * 2 if len(names) == 1 else names)
        code.write(eqn, f"{code.function(np.vecdot)}({both}, {code.target(eqn, fit)}[..., 0])")
        return
    ufunc, axes = eqn.primitive.reduces, _axis(code, fit)
    assert ufunc is not None
    source, target = _reduced(code, x, layout), code.target(eqn, fit)
    search, extent = _SEARCH.get(ufunc), code.shape(layout)
    short = axes == [len(extent) - 1] and extent[-1] <= _MAX_SEARCH
    if search is not None and short and x.aval.dtype.kind in "iuf" and x.aval.dtype != np.float16:
        found, first = code.temporary(extent[:-1], np.dtype(np.intp)), code.offsets(extent)
        code.write(
            eqn,
            f"{code.function(search)}({source}, {len(extent) - 1}, {found})",
            f"{code.function(np.add)}({found}, {first}, {found})",
            f"{source}.reshape(-1).take({found}, None, {target}[..., 0], 'clip')",
        )
        return
    code.write(eqn, f"{code.reduce(ufunc)}({source}, {_axis_text(axes)}, None, {target}, True)")


def _axis_text(axes: Sequence[int]) -> str:
    return str(axes[0]) if len(axes) == 1 else tuple_text(axes)


def _accumulate(code: TileCode, eqn: Equation, fit: Fit, k: int, single: bool, product: Equation | None) -> None:
    """A reduction over the tiles: one partial result per tile if it is a number, otherwise one per slot of tiles."""
    (x,), (out,) = eqn.inputs, eqn.outputs
    ufunc, layout = eqn.primitive.reduces, fit.operands[0]
    assert ufunc is not None
    if not any(axis is not None for axis in fit.result):
        if product is not None:
            names = [code.operand(y, layout) for y in product.inputs]
            both = ", ".join(names * 2 if len(names) == 1 else names)
            code.write(eqn, f"p{k}[t] = {code.function(sum_products)}({both})")
        else:
            code.write(eqn, f"p{k}[t] = {code.reduce(ufunc)}({_reduced(code, x, layout)}, None)")
        return
    source, axes = _reduced(code, x, layout), _axis(code, fit)
    reduce, axis = code.reduce(ufunc), _axis_text(axes)
    row = math.prod(code.shape(layout)[1:])
    lanes = 1 << (_WIDE // row).bit_length() - 1 if axes == [0] and row <= _NARROW else 1
    lanes = math.gcd(code.rows, code.last_rows, lanes)
    if lanes > 1:  # some rows side by side, as if they were one
        together = tuple_text((lanes, *code.shape(layout)[1:]))
        source = f"{reduce}({source}.reshape(-1, {lanes * row}), 0).reshape({together})"
    if single:
        code.write(eqn, f"{reduce}({source}, {axis}, None, p{k}[slot], True)")
        return
    part = code.temporary(code.shape(fit.result), out.aval.dtype)
    code.write(
        eqn,
        f"{reduce}({source}, {axis}, None, {part} if t != starts[slot] else p{k}[slot], True)",
        "if t != starts[slot]:",
        f"    {code.function(ufunc)}(p{k}[slot], {part}, out=p{k}[slot])",
    )


WRITERS.update({SELECT: _select, CONVERT: _convert, REAL: _part, IMAG: _part, COMPLEX: _complex, TIE_SHARE: _tie_share})


def write_equation(code: TileCode, eqn: Equation, fit: Fit, product: Equation | None, k: int | None, one: bool) -> None:
    """Write the lines of an equation.

    Args:
        product: for a sum, the product that was not written out.
        k: for a reduction over the tiles, the output that it is.
        one: whether there is one tile per slot.
    """
    if k is not None:
        _accumulate(code, eqn, fit, k, one, product)
    elif is_reduction(eqn.primitive):
        _reduce(code, eqn, fit, product)
    else:
        WRITERS.get(eqn.primitive, _ufunc)(code, eqn, fit)
