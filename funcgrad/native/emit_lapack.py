"""Decompositions in native code, by LAPACK: LU factors, QR, eigenvalues, singular values; and tridiagonal equations.

LAPACK's matrices lie column by column: each one is copied, and what is found copied back. Where it gives up the call
goes to NumPy, which raises. As NumPy has it, single precision is kept in LU factors and tridiagonal equations alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from funcgrad.ir import Equation
from funcgrad.native.emission import Emission
from funcgrad.native.index import ZERO, Ix, unit
from funcgrad.native.lapack_calls import Library, batches, copied, flipped, is_real, matrix_of, pointer, spread
from funcgrad.native.memory import Limits
from funcgrad.native.registry import block_emitter
from funcgrad.native.values import Buf
from funcgrad.ops.decompose import QR
from funcgrad.ops.spectral import EIGH, EIGVALSH, SVD, SVDVALS
from funcgrad.ops.triangular import LU, PERMUTATION, TRIDIAGONAL_SOLVE

__all__ = ["eigen", "lu", "permutation", "qr", "singular", "tridiagonal"]

_BLOCK = 64
"""For so many columns of a matrix at a time LAPACK is given memory, which is more than it takes."""

_INDEX, _DOUBLE = np.dtype(np.int64), np.dtype(np.float64)


def _row(em: Emission, b: Buf, idx: Sequence[Ix]) -> Buf:
    """One row of a stack."""
    return Buf(em.address(b, [*idx, ZERO]), b.shape[-1:], b.dtype, b.strides[-1:])


def _memory(em: Emission, size: int, dtype: np.dtype) -> str:
    """Memory for so many numbers."""
    return em.address(em.temp((size,), dtype), [ZERO])


def _each(em: Emission, known: Sequence[Buf], operations: int, made: Callable[[], Callable[[list[Ix]], None]]) -> None:
    """Do what `made` makes, with memory of its own, for each matrix of the stack that is the last array."""

    def batch(limits: Limits) -> None:
        em.loops(known[-1].shape[:-2], made(), limits)

    batches(em, known, operations, batch)


# ---------------------------------------------------------------------- LU, pivoting


@block_emitter(LU.name, when=lambda eqn: is_real(eqn, 0))
def lu(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    a = em.buffer(eqn.inputs[0])
    factors, pivots, order = outs
    (m, n), library = a.shape[-2:], Library(em, a.dtype)
    k = min(m, n)

    def made() -> Callable[[list[Ix]], None]:
        work, steps = em.temp((n, m), a.dtype), em.temp((k,), library.index)
        rows, columns = library.integer(m), library.integer(n)

        def one(idx: list[Ix]) -> None:
            em.copy_buffer(flipped(matrix_of(em, a, idx)), work)
            library.lapack("getrf", rows, columns, pointer(em, work), rows, em.address(steps, [ZERO]))
            em.forget()
            em.copy_buffer(flipped(work), matrix_of(em, factors, idx))
            place = _row(em, pivots, idx)

            def step(i: list[Ix]) -> None:
                t = f"i{library.bits}"
                v = em.w.op(f"sub {t} {em.fresh(steps, i)}, 1")
                em.store(place, i, v if t == "i32" else em.w.op(f"trunc i64 {v} to i32"))

            em.loops((k,), step)
            _exchanged(em, place, _row(em, order, idx))

        return one

    _each(em, [*outs, a], m * n * k, made)


def _exchanged(em: Emission, pivots: Buf, order: Buf) -> None:
    """Write the order that exchanges of rows come to."""
    w = em.w

    def begin(i: list[Ix]) -> None:
        em.store(order, i, w.op(f"trunc i64 {em.register(i[0])} to i32"))

    def step(i: list[Ix]) -> None:
        other = [unit(w.op(f"sext i32 {em.fresh(pivots, i)} to i64"), 0, order.shape[0] - 1)]
        x, y = em.fresh(order, i), em.fresh(order, other)
        em.store(order, i, y)
        em.store(order, other, x)

    em.loops(order.shape, begin)
    em.loops(pivots.shape, step)
    em.forget()


@block_emitter(PERMUTATION.name, when=lambda eqn: eqn.inputs[0].aval.dtype == np.int32 and eqn.inputs[0].aval.size > 0)
def permutation(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    pivots, order = em.buffer(eqn.inputs[0]), outs[0]
    em.loops(pivots.shape[:-1], lambda idx: _exchanged(em, _row(em, pivots, idx), _row(em, order, idx)))


# ---------------------------------------------------------------------- tridiagonal equations


@block_emitter(TRIDIAGONAL_SOLVE.name, when=lambda eqn: is_real(eqn) and eqn.outputs[0].aval.shape[-2] > 1)
def tridiagonal(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    out, library = outs[0], Library(em, outs[0].dtype)
    n, columns = out.shape[-2:]
    *diagonals, b = (em.buffer(x) for x in eqn.inputs)
    diagonals = [spread(Buf(x.ptr, (*x.shape, 1), x.dtype, (*x.strides, 1), x.off), out.shape[:-2]) for x in diagonals]
    b = spread(b, out.shape[:-2])

    def made() -> Callable[[list[Ix]], None]:
        low, d, up = (em.temp((n, 1), out.dtype) for _ in range(3))
        right = em.temp((columns, n), out.dtype)
        size, count = library.integer(n), library.integer(columns)

        def one(idx: list[Ix]) -> None:
            for x, place in zip(diagonals, (low, d, up), strict=True):
                em.copy_buffer(matrix_of(em, x, idx), place)
            em.copy_buffer(flipped(matrix_of(em, b, idx)), right)
            below = pointer(em, Buf(low.ptr, low.shape, low.dtype, None, low.off + 1))  # the first one is not read
            where = [below, pointer(em, d), pointer(em, up), pointer(em, right)]
            em.w.bail_if(library.lapack("gtsv", size, count, *where, size))
            em.forget()
            em.copy_buffer(flipped(right), matrix_of(em, out, idx))

        return one

    _each(em, [*diagonals, b, out], 10 * n * columns, made)


# ---------------------------------------------------------------------- QR


@block_emitter(QR.name, when=lambda eqn: is_real(eqn))
def qr(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    a, (q, r) = em.buffer(eqn.inputs[0]), outs
    (m, n), columns, library = a.shape[-2:], q.shape[-1], Library(em, _DOUBLE)
    k, zero = min(m, n), em.w.number(0.0, _DOUBLE)

    def made() -> Callable[[list[Ix]], None]:
        work = em.temp((max(n, columns), m), _DOUBLE)
        left = Buf(work.ptr, (n, m), _DOUBLE, None, work.off)
        tau, more = _memory(em, k, _DOUBLE), _memory(em, _BLOCK * max(n, columns), _DOUBLE)
        rows, across, wide, rank = map(library.integer, (m, n, columns, k))
        size = library.integer(_BLOCK * max(n, columns))

        def one(idx: list[Ix]) -> None:
            copied(em, flipped(matrix_of(em, a, idx)), left)
            em.w.bail_if(library.lapack("geqrf", rows, across, pointer(em, work), rows, tau, more, size))
            em.forget()
            upper = matrix_of(em, r, idx)
            _copy_upper(em, flipped(left), upper, zero)
            em.w.bail_if(library.lapack("orgqr", rows, wide, rank, pointer(em, work), rows, tau, more, size))
            em.forget()
            found = Buf(work.ptr, (columns, m), _DOUBLE, None, work.off)
            copied(em, flipped(found), matrix_of(em, q, idx))

        return one

    _each(em, [*outs, a], 2 * m * n * columns, made)


def _copy_upper(em: Emission, source: Buf, target: Buf, zero: str) -> None:
    """Copy the upper triangle, among zeros."""
    rows, columns = target.shape
    copied(em, Buf(source.ptr, target.shape, source.dtype, source.strides, source.off), target)

    def column(i: str) -> None:
        first = em.w.op(f"add nsw i64 {i}, 1")
        em.w.loop(first, rows, lambda j: em.store(target, [unit(j, 1, rows - 1), unit(i, 0, columns - 1)], zero))

    if rows > 1:
        em.w.loop(0, min(columns, rows - 1), column)
    em.forget(target)


# ---------------------------------------------------------------------- eigenvalues and singular values


@block_emitter(EIGH.name, EIGVALSH.name, when=lambda eqn: is_real(eqn))
def eigen(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    a, library = em.buffer(eqn.inputs[0]), Library(em, _DOUBLE)
    n, wanted, values = a.shape[-1], len(outs) == 2, outs[0]
    sizes = 1 + (6 + _BLOCK) * n + 2 * n * n, 3 + 5 * n

    def made() -> Callable[[list[Ix]], None]:
        work, found = em.temp((n, n), _DOUBLE), em.temp((n,), _DOUBLE)
        how, which = library.text("V" if wanted else "N"), library.text(eqn.params["uplo"])
        more, integers = _memory(em, sizes[0], _DOUBLE), _memory(em, sizes[1], _INDEX)
        order, *lengths = map(library.integer, (n, *sizes))

        def one(idx: list[Ix]) -> None:
            copied(em, flipped(matrix_of(em, a, idx)), work)
            given = [order, pointer(em, work), order, em.address(found, [ZERO])]
            em.w.bail_if(library.lapack("syevd", how, which, *given, more, lengths[0], integers, lengths[1]))
            em.forget()
            copied(em, found, _row(em, values, idx))
            if wanted:
                copied(em, flipped(work), matrix_of(em, outs[1], idx))

        return one

    _each(em, [*outs, a], 9 * n * n * n, made)


@block_emitter(SVD.name, SVDVALS.name, when=lambda eqn: is_real(eqn))
def singular(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    a, library = em.buffer(eqn.inputs[0]), Library(em, _DOUBLE)
    (m, n), vectors = a.shape[-2:], len(outs) == 3
    values = outs[1] if vectors else outs[0]
    k = min(m, n)
    size = 5 * k * k + 10 * k + _BLOCK * (m + n)
    left, right = (outs[0].shape[-1], outs[2].shape[-2]) if vectors else (1, 1)

    def made() -> Callable[[list[Ix]], None]:
        work, found = em.temp((n, m), _DOUBLE), em.temp((k,), _DOUBLE)
        u, v = (em.temp((left, m), _DOUBLE), em.temp((n, right), _DOUBLE)) if vectors else (work, work)
        how = library.text(("A" if eqn.params["full"] else "S") if vectors else "N")
        more, integers = _memory(em, size, _DOUBLE), _memory(em, 8 * k, _INDEX)
        rows, columns, height, length = map(library.integer, (m, n, right, size))

        def one(idx: list[Ix]) -> None:
            copied(em, flipped(matrix_of(em, a, idx)), work)
            given = [rows, columns, pointer(em, work), rows, em.address(found, [ZERO])]
            bases = [pointer(em, u), rows, pointer(em, v), height]
            em.w.bail_if(library.lapack("gesdd", how, *given, *bases, more, length, integers))
            em.forget()
            copied(em, found, _row(em, values, idx))
            for x, out in ((u, outs[0]), (v, outs[-1])) if vectors else ():
                copied(em, flipped(x), matrix_of(em, out, idx))

        return one

    _each(em, [*outs, a], 20 * m * n * k, made)
