"""Linear algebra in native code: equations, inverses, determinants and Cholesky factors of real matrices.

Tiny matrices are done in registers, by Gaussian elimination with partial pivoting, several matrices of a batch at a
time, one a lane. Larger ones are LAPACK's, and triangular equations BLAS's: those of a matrix that is a Cholesky factor
are triangular, which the program shows. A matrix that NumPy raises LinAlgError for sends the call to NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.ir import Atom, Equation, Var
from funcgrad.native.emission import Emission
from funcgrad.native.emit_loops import carried, rows
from funcgrad.native.index import ZERO, Ix, unit
from funcgrad.native.lapack_calls import (
    Library,
    batches,
    copied,
    flipped,
    is_real,
    matrix_of,
    pointer,
    row_by_row,
    spread,
)
from funcgrad.native.linalg_registers import Factors, Registers, eliminated, substituted
from funcgrad.native.memory import Limits
from funcgrad.native.registry import block_emitter
from funcgrad.native.scalars_convert import convert
from funcgrad.native.values import Buf
from funcgrad.native.writer import Writer

__all__ = ["cholesky", "determinant", "inverse", "solve", "triangular_solve"]

_OPERATIONS = 400
"""Up to how many multiplications an elimination is written out in registers."""
_OPERATION = 0.3
"""Nanoseconds that an operation of it takes, in all lanes: estimated."""

DType = np.dtype[Any]


def _written_out(n: int, columns: int) -> bool:
    return n * n * (n + columns) <= _OPERATIONS


def _matrices(em: Emission, known: Sequence[Buf], body: Callable[[list[Ix]], None], width: int) -> None:
    """All matrices of a batch, in lanes; `known` are the arrays, `width` is that of the matrix that is eliminated."""
    a = known[0]
    each = _OPERATION * a.shape[-1] * a.shape[-1] * width
    rows(em, a.shape[:-2], body, a.dtype.itemsize, twice=True, each=each, known=known)


# ---------------------------------------------------------------------- equations


def _triangle(em: Emission, x: Atom) -> str:
    """Which triangle of a matrix is not 0, as far as the program shows: "lower", "upper" or "" for not known."""
    turned = False
    while isinstance(x, Var) and x in em.defs:
        eqn = em.defs[x]
        name, shape = eqn.primitive.name, x.aval.shape
        if name == "cholesky":
            return "upper" if turned else "lower"
        if name == "transpose":
            n = len(shape)
            axes = tuple(eqn.params["axes"])
            if axes == (*range(n - 2), n - 1, n - 2):
                turned = not turned
            elif axes != tuple(range(n)):
                return ""
        elif eqn.primitive.moves != "alias" or eqn.inputs[0].aval.shape[-2:] != shape[-2:]:
            return ""
        x = eqn.inputs[0]
    return ""


@block_emitter("solve", when=is_real)
def solve(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    triangle = _triangle(em, eqn.inputs[0])
    out = outs[0]
    a, b = (spread(em.buffer(x), out.shape[:-2]) for x in eqn.inputs)
    n, columns = out.shape[-2:]
    if _written_out(n, columns):

        def in_registers(idx: list[Ix]) -> None:
            r = Registers(em, out.dtype)
            left, right = r.loaded(a, idx), r.loaded(b, idx)
            if triangle:
                zero = r.number(0.0)
                for k in range(n):
                    em.w.fail_if(r.test("oeq", left[k][k], zero))
            else:
                em.w.fail_if(eliminated(r, left, right).singular)
            substituted(r, left, right, triangle == "lower")
            r.stored(out, idx, right)

        _matrices(em, [a, b, out], in_registers, n + columns)
    elif triangle:
        _by_trsm(em, a, b, out, triangle == "lower", False, False)
    elif out.shape[:-2]:
        _by_gesv(em, a, b, out)
    else:
        _by_factors(em, eqn.inputs[0], b, out)


def _by_factors(em: Emission, x: Atom, b: Buf, out: Buf) -> None:
    """A X = B by LU factors, which are those of Aᵀ as well: a program that solves equations with both (a gradient
    does), or with one of them several times, has them made once."""
    library = Library(em, out.dtype)
    n, columns = out.shape
    factors, pivots, turned = _factors(em, library, x)
    size, count = library.integer(n), library.integer(columns)
    right, text = em.temp((columns, n), out.dtype), library.text("T" if turned else "N")
    em.copy_buffer(flipped(b), right)
    names = [pointer(em, factors), size, em.address(pivots, [ZERO]), pointer(em, right), size]
    em.w.bail_if(library.lapack("getrs", text, size, count, *names))
    em.forget()
    em.copy_buffer(flipped(right), out)


def _factors(em: Emission, library: Library, x: Atom) -> tuple[Buf, Buf, bool]:
    """The LU factors of a matrix and the exchanged rows, or those of its transpose, and whether they are that. They lie
    there until the block ends."""
    root, turned = _root(em, x)
    key = em.block, root
    known = em.factors.get(key)
    if known is None:
        n = x.aval.shape[-1]
        known = em.temp((n, n), library.dtype), em.temp((n,), library.index)
        _factorised(em, library, flipped(em.buffer(root)), *known)
        em.factors[key] = known
    return *known, turned


def _factorised(em: Emission, library: Library, a: Buf, factors: Buf, pivots: Buf) -> None:
    size = library.integer(a.shape[0])
    copied(em, a, factors)
    em.w.bail_if(library.lapack("getrf", size, size, pointer(em, factors), size, em.address(pivots, [ZERO])))
    em.forget()


def _root(em: Emission, x: Atom) -> tuple[Atom, bool]:
    """What a matrix is, or is the transpose of, and whether it is that. (Of what is a value of its own in memory, what
    it was made of may be gone.)"""
    turned = False
    while isinstance(x, Var) and x not in em.env and em.defs[x].primitive.name == "transpose":
        turned = turned != (tuple(em.defs[x].params["axes"]) == (1, 0))
        x = em.defs[x].inputs[0]
    return x, turned


def _by_gesv(em: Emission, a: Buf, b: Buf | None, out: Buf) -> None:
    """A X = B by LAPACK, whose matrices lie column by column; without B, it is the unit matrix."""
    library = Library(em, out.dtype)
    n, columns = out.shape[-2:]

    def batch(limits: Limits) -> None:
        left, right = (em.temp((k, n), out.dtype) for k in (n, columns))
        pivots = em.temp((n,), np.dtype(np.int64))
        size, count = library.integer(n), library.integer(columns)

        def one(idx: list[Ix]) -> None:
            em.copy_buffer(flipped(matrix_of(em, a, idx)), left)
            if b is None:
                _unit(em, right)
            else:
                em.copy_buffer(flipped(matrix_of(em, b, idx)), right)
            names = [pointer(em, left), size, em.address(pivots, [ZERO]), pointer(em, right), size]
            em.w.bail_if(library.lapack("gesv", size, count, *names))
            em.forget()
            em.copy_buffer(flipped(right), matrix_of(em, out, idx))

        em.loops(out.shape[:-2], one, limits)

    batches(em, [a, out] if b is None else [a, b, out], n * n * (n + columns), batch)


def _unit(em: Emission, b: Buf) -> None:
    """Write the unit matrix."""
    em.fill(b, em.w.number(0.0, b.dtype))
    n = b.shape[0]
    diagonal = Buf(b.ptr, (n,), b.dtype, (b.strides[0] + b.strides[1],), b.off)
    em.fill(diagonal, em.w.number(1.0, b.dtype))


def _by_trsm(em: Emission, a: Buf, b: Buf, out: Buf, lower: bool, transposed: bool, unit: bool) -> None:
    library = Library(em, out.dtype)
    n, columns = out.shape[-2:]
    plain = out.strides[-2:] == (columns, 1)
    zero = em.w.number(0.0, out.dtype)

    def batch(limits: Limits) -> None:
        work = None if plain else em.temp((n, columns), out.dtype)

        def one(idx: list[Ix]) -> None:
            left = row_by_row(em, matrix_of(em, a, idx))
            target = matrix_of(em, out, idx)
            place = target if work is None else work
            em.copy_buffer(matrix_of(em, b, idx), place)
            if not unit:
                _fail_at_zeros(em, left, zero)
            library.trsm(left, place, lower, transposed, unit)
            em.forget()
            if work is not None:
                em.copy_buffer(work, target)

        em.loops(out.shape[:-2], one, limits)

    batches(em, [a, b, out], n * n * columns, batch)


def _fail_at_zeros(em: Emission, a: Buf, zero: str) -> None:
    """Go to NumPy where an element of the diagonal is 0."""
    w = em.w
    diagonal = Buf(a.ptr, (a.shape[0],), a.dtype, (a.strides[0] + a.strides[1],), a.off)
    t = w.type(a.dtype)
    em.loops(diagonal.shape, lambda idx: w.fail_if(w.op(f"fcmp oeq {t} {em.load(diagonal, idx)}, {zero}")))


@block_emitter("triangular_solve", when=is_real)
def triangular_solve(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    out, how = outs[0], eqn.params
    lower, transposed, unit = how["lower"], how["transposed"], how["unit"]
    a, b = (spread(em.buffer(x), out.shape[:-2]) for x in eqn.inputs)
    if not _written_out(*out.shape[-2:]):
        _by_trsm(em, a, b, out, lower, transposed, unit)
        return

    def in_registers(idx: list[Ix]) -> None:
        r = Registers(em, out.dtype)
        left, right = r.loaded(a, idx), r.loaded(b, idx)
        if not unit:
            for k in range(len(left)):
                em.w.fail_if(r.test("oeq", left[k][k], r.number(0.0)))
        if transposed:
            left = [list(row) for row in zip(*left, strict=True)]
        substituted(r, left, right, lower != transposed, unit)
        r.stored(out, idx, right)

    _matrices(em, [a, b, out], in_registers, out.shape[-1])


@block_emitter("inv", when=is_real)
def inverse(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    a, out = em.buffer(eqn.inputs[0]), outs[0]
    n = out.shape[-1]
    if not _written_out(n, n):
        _by_gesv(em, a, None, out)
        return

    def in_registers(idx: list[Ix]) -> None:
        r = Registers(em, out.dtype)
        one, zero = r.number(1.0), r.number(0.0)
        left, right = r.loaded(a, idx), [[one if i == j else zero for j in range(n)] for i in range(n)]
        em.w.fail_if(eliminated(r, left, right).singular)
        substituted(r, left, right, lower=False)
        r.stored(out, idx, right)

    _matrices(em, [a, out], in_registers, 2 * n)


# ---------------------------------------------------------------------- determinants and Cholesky factors


@block_emitter("det", "slogdet", when=is_real)
def determinant(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    a = em.buffer(eqn.inputs[0])
    n, dtype = a.shape[-1], a.dtype
    if not _written_out(n, 1):
        _determinant_by_factors(em, eqn.inputs[0], a, outs)
        return

    def one(idx: list[Ix]) -> None:
        r = Registers(em, dtype)
        factors = eliminated(r, r.loaded(a, idx), [[] for _ in range(n)])
        minus = r.chosen(factors.odd, r.number(-1.0), r.number(1.0))
        if len(outs) == 1:
            for pivot in factors.pivots:
                minus = r.op("fmul", minus, pivot)
            em.store(outs[0], idx, minus)
            return
        for value, target in zip(_sign_and_logarithm(r, factors, minus), outs, strict=True):
            em.store(target, idx, value)

    _matrices(em, [a, *outs], one, n)


def _sign_and_logarithm(r: Registers, factors: Factors, sign: str) -> tuple[str, str]:
    w: Writer = r.w
    one, zero = r.number(1.0), r.number(0.0)
    total = zero
    log = w.function("log", r.dtype)
    for pivot in factors.pivots:
        sign = r.chosen(r.test("olt", pivot, zero), w.op(f"fneg {r.type} {sign}"), sign)
        size = r.chosen(factors.singular, one, r.call("fabs", pivot))  # the logarithm of 0 would raise a flag
        total = r.op("fadd", total, w.op(f"call {r.type} {log}({r.type} {size})"))
    return r.chosen(factors.singular, zero, sign), r.chosen(factors.singular, r.number(-math.inf), total)


def _determinant_by_factors(em: Emission, x: Atom, a: Buf, outs: Sequence[Buf]) -> None:
    """By the diagonal of LU factors in double precision, of which logarithms are added. A matrix alone has the factors
    that its equations have."""
    double = np.dtype(np.float64)
    library, n = Library(em, double), a.shape[-1]

    def found(factors: Buf, pivots: Buf, idx: list[Ix]) -> None:
        r = Registers(em, double)

        def term(i: str, before: list[str]) -> list[str]:
            k = unit(i, 0, n - 1)
            value, other = str(em.fresh(factors, [k, k])), em.fresh(pivots, [k])
            step = em.w.op(f"add nuw nsw i64 {i}, 1")
            step = step if library.bits == 64 else em.w.op(f"trunc i64 {step} to i32")
            stays = em.w.op(f"icmp eq i{library.bits} {other}, {step}")
            same = em.w.op(f"icmp eq i1 {stays}, {r.test('oge', value, r.number(0.0))}")
            sign = r.chosen(same, before[0], em.w.op(f"fneg double {before[0]}"))
            return [sign, r.op("fadd", before[1], _applied(r, "log", r.call("fabs", value)))]

        sign, log = carried(em, 0, n, [r.type, r.type], [r.number(1.0), r.number(0.0)], term)
        if len(outs) == 1:
            sign = r.op("fmul", sign, _applied(r, "exp", log))
        for value, target in zip((sign, log), outs, strict=False):
            em.store(target, idx, convert(em.w, value, double, target.dtype))
        em.forget()

    if len(a.shape) == 2 and a.dtype == double:
        factors, pivots, _ = _factors(em, library, x)
        found(factors, pivots, [])
        return

    def batch(limits: Limits) -> None:
        factors, pivots = em.temp((n, n), double), em.temp((n,), library.index)

        def one(idx: list[Ix]) -> None:
            _factorised(em, library, flipped(matrix_of(em, a, idx)), factors, pivots)
            found(factors, pivots, idx)

        em.loops(a.shape[:-2], one, limits)

    batches(em, [*outs, a], n * n * n, batch)


def _applied(r: Registers, name: str, x: str) -> str:
    return r.w.op(f"call {r.type} {r.w.function(name, r.dtype)}({r.type} {x})")


@block_emitter("cholesky", when=is_real)
def cholesky(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    a, out = em.buffer(eqn.inputs[0]), outs[0]
    n = out.shape[-1]
    if not _written_out(n, 0):
        _by_potrf(em, a, out)
        return

    def in_registers(idx: list[Ix]) -> None:
        r = Registers(em, out.dtype)
        zero = r.number(0.0)
        x = r.loaded(a, idx)
        low = [[zero] * n for _ in range(n)]
        for j in range(n):
            for i in range(j, n):
                total = x[i][j]
                for k in range(j):
                    total = r.less(total, low[j][k], low[i][k])
                if i == j:
                    em.w.fail_if(r.test("ule", total, zero))
                low[i][j] = r.call("sqrt", total) if i == j else r.op("fdiv", total, low[j][j])
        r.stored(out, idx, low)

    _matrices(em, [a, out], in_registers, n)


def _by_potrf(em: Emission, a: Buf, out: Buf) -> None:
    """By LAPACK, to which a matrix that lies row by row is its transpose: it makes the upper factor of that."""
    library = Library(em, out.dtype)
    n, zero = out.shape[-1], em.w.number(0.0, out.dtype)

    def batch(limits: Limits) -> None:
        size, text = library.integer(n), library.text("U")
        work = em.temp((n, n), out.dtype)

        def one(idx: list[Ix]) -> None:
            em.copy_buffer(matrix_of(em, a, idx), work)
            em.w.bail_if(library.lapack("potrf", text, size, pointer(em, work), size))
            em.forget()
            target = matrix_of(em, out, idx)
            em.copy_buffer(work, target)
            _zero_above(em, target, zero)

        em.loops(out.shape[:-2], one, limits)

    batches(em, [a, out], n * n * n, batch)


def _zero_above(em: Emission, b: Buf, zero: str) -> None:
    """Write zeros above the diagonal."""
    n = b.shape[0]
    if n == 1:
        return

    def row(i: str) -> None:
        after = em.w.op(f"add nsw i64 {i}, 1")
        em.w.loop(after, n, lambda j: em.store(b, [Ix(i, 1, 0, 0, n - 2), Ix(j, 1, 0, 1, n - 1)], zero))

    em.w.loop(0, n - 1, row)
    em.forget(b)
