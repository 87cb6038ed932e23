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
from funcgrad.native.emit_loops import rows
from funcgrad.native.emit_products import multiplication
from funcgrad.native.index import ZERO, Ix
from funcgrad.native.linalg_registers import Factors, Registers, eliminated, substituted
from funcgrad.native.memory import Limits
from funcgrad.native.parts import divided
from funcgrad.native.registry import Unsupported, block_emitter
from funcgrad.native.symbols import address, blas_bits
from funcgrad.native.values import Buf
from funcgrad.native.writer import Writer

__all__ = ["cholesky", "determinant", "inverse", "solve", "triangular_solve"]

_OPERATIONS = 400
"""Up to how many multiplications an elimination is written out in registers."""
_OPERATION = 0.3
"""Nanoseconds that an operation of it takes, in all lanes: estimated."""
_PARTS = 8
"""How many parts a batch that LAPACK does is divided into at most."""

DType = np.dtype[Any]


def _is_real(eqn: Equation) -> bool:
    dtype = eqn.outputs[-1].aval.dtype
    return (
        dtype.char in "fd"
        and all(x.aval.dtype == dtype for x in eqn.inputs)
        and all(math.prod(x.aval.shape) for x in eqn.inputs)
    )


def _spread(b: Buf, batch: Sequence[int]) -> Buf:
    """A stack of matrices seen with the leading axes `batch`, to which its own are broadcast."""
    have, strides = b.shape[:-2], b.strides[:-2]
    more = len(batch) - len(have)
    seen = [0] * more + [s if n == m else 0 for s, n, m in zip(strides, have, batch[more:], strict=True)]
    return Buf(b.ptr, (*batch, *b.shape[-2:]), b.dtype, [*seen, *b.strides[-2:]], b.off)


def _matrix(em: Emission, b: Buf, idx: Sequence[Ix]) -> Buf:
    """One matrix of a stack."""
    return Buf(em.address(b, [*idx, ZERO, ZERO]), b.shape[-2:], b.dtype, b.strides[-2:])


def _written_out(n: int, columns: int) -> bool:
    return n * n * (n + columns) <= _OPERATIONS


def _matrices(em: Emission, known: Sequence[Buf], body: Callable[[list[Ix]], None], width: int) -> None:
    """All matrices of a batch, in lanes; `known` are the arrays, `width` is that of the matrix that is eliminated."""
    a = known[0]
    each = _OPERATION * a.shape[-1] * a.shape[-1] * width
    rows(em, a.shape[:-2], body, a.dtype.itemsize, twice=True, each=each, known=known)


# ---------------------------------------------------------------------- LAPACK and BLAS


class _Library:
    """Calls of LAPACK and BLAS for one dtype."""

    def __init__(self, em: Emission, dtype: DType) -> None:
        bits = blas_bits()
        if bits is None:
            raise Unsupported("NumPy has another BLAS than OpenBLAS")
        self.em, self.dtype, self.bits = em, dtype, bits
        self.letter, self.type = ("s", "float") if dtype == np.float32 else ("d", "double")

    def integer(self, value: int) -> str:
        """An integer in memory: as Fortran's functions take it."""
        w = self.em.w
        place = w.alloca(f"i{self.bits}")
        w.store(f"i{self.bits}", str(value), place)
        return place

    def lapack(self, name: str, *arguments: str) -> str:
        """Call a function that ends in `info`; whether that is not 0."""
        w, symbol = self.em.w, f"{self.letter}{name}_"
        if address(symbol) is None:
            raise Unsupported(f"NumPy's LAPACK has no {symbol}")
        info = self.integer(0)
        given = ", ".join(f"ptr {x}" for x in (*arguments, info))
        more = ", i64 1" if name in ("potrf", "getrs") else ""  # the length of the text that says how
        w.write(f"call void {w.external(symbol)}({given}{more})")
        return w.op(f"icmp ne i{self.bits} {w.load(f'i{self.bits}', info)}, 0")

    def trsm(self, a: Buf, b: Buf, lower: bool, transposed: bool, unit: bool) -> None:
        """Solve triangular equations in place of their right-hand sides, which lie row by row."""
        w, symbol, i = self.em.w, f"cblas_{self.letter}trsm", f"i{self.bits}"
        if address(symbol) is None:
            raise Unsupported(f"NumPy's BLAS has no {symbol}")
        if a.strides[1] == 1 or a.shape[0] == 1:
            distance = a.strides[0]
        elif a.strides[0] == 1:  # it lies column by column
            lower, transposed, distance = not lower, not transposed, a.strides[1]
        else:
            raise Unsupported("a matrix of which neither rows nor columns lie in memory as such")
        n, columns = b.shape
        # Row by row, from the left; which triangle; transposed or not; ones on the diagonal or not.
        flags = 101, 141, 122 if lower else 121, 112 if transposed else 111, 132 if unit else 131
        how = ", ".join(f"i32 {flag}" for flag in flags)
        w.write(
            f"call void {w.external(symbol)}({how}, {i} {n}, {i} {columns}, {self.type} {w.number(1.0, self.dtype)}, "
            f"ptr {_pointer(self.em, a)}, {i} {max(distance, n)}, ptr {_pointer(self.em, b)}, {i} {columns})"
        )


def _batches(em: Emission, known: Sequence[Buf], operations: int, body: Callable[[Limits], None]) -> None:
    """Loops over matrices that LAPACK does one by one: so many `operations` each, and memory for each part."""
    shape, dtype = known[-1].shape[:-2], known[-1].dtype
    work = math.prod(shape) * operations * multiplication(dtype)
    divided(em, shape, [1] * len(shape), work, known, body, _PARTS)


def _pointer(em: Emission, b: Buf) -> str:
    return em.address(b, [ZERO, ZERO])


def _turned(b: Buf) -> Buf:
    """The transpose, as a view."""
    return Buf(b.ptr, b.shape[::-1], b.dtype, b.strides[::-1], b.off)


def _row_by_row(em: Emission, b: Buf) -> Buf:
    """A matrix whose rows or whose columns lie in memory as such: it, or a copy."""
    (n, m), (down, across) = b.shape, b.strides
    if (across == 1 and down >= m) or (down == 1 and across >= n) or n == 1:
        return b
    copy = em.temp(b.shape, b.dtype)
    em.copy_buffer(b, copy)
    return copy


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


@block_emitter("solve", when=_is_real)
def solve(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    triangle = _triangle(em, eqn.inputs[0])
    out = outs[0]
    a, b = (_spread(em.buffer(x), out.shape[:-2]) for x in eqn.inputs)
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
    library = _Library(em, out.dtype)
    n, columns = out.shape
    root, turned = _root(em, x)
    size, count = library.integer(n), library.integer(columns)
    key = em.block, root
    known = em.factors.get(key)
    if known is None:
        # They lie there until the block ends.
        known = em.temp((n, n), out.dtype), em.temp((n,), np.dtype(np.int64))
        factors, pivots = known
        em.copy_buffer(_turned(em.buffer(root)), factors)
        em.w.bail_if(library.lapack("getrf", size, size, _pointer(em, factors), size, em.address(pivots, [ZERO])))
        em.forget()
    factors, pivots = known
    right, text = em.temp((columns, n), out.dtype), em.w.alloca("i8")
    em.copy_buffer(_turned(b), right)
    em.w.store("i8", str(ord("T" if turned else "N")), text)
    names = [_pointer(em, factors), size, em.address(pivots, [ZERO]), _pointer(em, right), size]
    em.w.bail_if(library.lapack("getrs", text, size, count, *names))
    em.forget()
    em.copy_buffer(_turned(right), out)
    em.factors[key] = known


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
    library = _Library(em, out.dtype)
    n, columns = out.shape[-2:]

    def batch(limits: Limits) -> None:
        left, right = (em.temp((k, n), out.dtype) for k in (n, columns))
        pivots = em.temp((n,), np.dtype(np.int64))
        size, count = library.integer(n), library.integer(columns)

        def one(idx: list[Ix]) -> None:
            em.copy_buffer(_turned(_matrix(em, a, idx)), left)
            if b is None:
                _unit(em, right)
            else:
                em.copy_buffer(_turned(_matrix(em, b, idx)), right)
            names = [_pointer(em, left), size, em.address(pivots, [ZERO]), _pointer(em, right), size]
            em.w.bail_if(library.lapack("gesv", size, count, *names))
            em.forget()
            em.copy_buffer(_turned(right), _matrix(em, out, idx))

        em.loops(out.shape[:-2], one, limits)

    _batches(em, [a, out] if b is None else [a, b, out], n * n * (n + columns), batch)


def _unit(em: Emission, b: Buf) -> None:
    """Write the unit matrix."""
    em.fill(b, em.w.number(0.0, b.dtype))
    n = b.shape[0]
    diagonal = Buf(b.ptr, (n,), b.dtype, (b.strides[0] + b.strides[1],), b.off)
    em.fill(diagonal, em.w.number(1.0, b.dtype))


def _by_trsm(em: Emission, a: Buf, b: Buf, out: Buf, lower: bool, transposed: bool, unit: bool) -> None:
    library = _Library(em, out.dtype)
    n, columns = out.shape[-2:]
    plain = out.strides[-2:] == (columns, 1)
    zero = em.w.number(0.0, out.dtype)

    def batch(limits: Limits) -> None:
        work = None if plain else em.temp((n, columns), out.dtype)

        def one(idx: list[Ix]) -> None:
            left = _row_by_row(em, _matrix(em, a, idx))
            target = _matrix(em, out, idx)
            place = target if work is None else work
            em.copy_buffer(_matrix(em, b, idx), place)
            if not unit:
                _fail_at_zeros(em, left, zero)
            library.trsm(left, place, lower, transposed, unit)
            em.forget()
            if work is not None:
                em.copy_buffer(work, target)

        em.loops(out.shape[:-2], one, limits)

    _batches(em, [a, b, out], n * n * columns, batch)


def _fail_at_zeros(em: Emission, a: Buf, zero: str) -> None:
    """Go to NumPy where an element of the diagonal is 0."""
    w = em.w
    diagonal = Buf(a.ptr, (a.shape[0],), a.dtype, (a.strides[0] + a.strides[1],), a.off)
    t = w.type(a.dtype)
    em.loops(diagonal.shape, lambda idx: w.fail_if(w.op(f"fcmp oeq {t} {em.load(diagonal, idx)}, {zero}")))


@block_emitter("triangular_solve", when=_is_real)
def triangular_solve(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    out, how = outs[0], eqn.params
    lower, transposed, unit = how["lower"], how["transposed"], how["unit"]
    a, b = (_spread(em.buffer(x), out.shape[:-2]) for x in eqn.inputs)
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


@block_emitter("inv", when=_is_real)
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


@block_emitter("det", "slogdet", when=_is_real)
def determinant(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    a = em.buffer(eqn.inputs[0])
    n, dtype = a.shape[-1], a.dtype
    if not _written_out(n, 1):
        raise Unsupported(f"determinants of order {n} are LAPACK's")

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


@block_emitter("cholesky", when=_is_real)
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
    library = _Library(em, out.dtype)
    n, zero = out.shape[-1], em.w.number(0.0, out.dtype)

    def batch(limits: Limits) -> None:
        size, text = library.integer(n), em.w.alloca("i8")
        em.w.store("i8", str(ord("U")), text)
        work = em.temp((n, n), out.dtype)

        def one(idx: list[Ix]) -> None:
            em.copy_buffer(_matrix(em, a, idx), work)
            em.w.bail_if(library.lapack("potrf", text, size, _pointer(em, work), size))
            em.forget()
            target = _matrix(em, out, idx)
            em.copy_buffer(work, target)
            _zero_above(em, target, zero)

        em.loops(out.shape[:-2], one, limits)

    _batches(em, [a, out], n * n * n, batch)


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
