"""Calls of LAPACK and BLAS from native code, for matrices of one dtype; and stacks of matrices as they do them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.ir import Equation
from funcgrad.native.emission import Emission
from funcgrad.native.emit_products import multiplication
from funcgrad.native.index import ZERO, Ix
from funcgrad.native.memory import Limits
from funcgrad.native.parts import divided
from funcgrad.native.registry import Unsupported
from funcgrad.native.scalars_convert import convert
from funcgrad.native.symbols import address, blas_bits
from funcgrad.native.values import Buf

__all__ = ["Library", "batches", "copied", "flipped", "is_real", "matrix_of", "pointer", "row_by_row", "spread"]

_PARTS = 8
"""How many parts a batch that LAPACK does is divided into at most."""

_TEXTS = {"gesdd": 1, "getrs": 1, "potrf": 1, "syevd": 2}
"""How many operands of a function are text."""

DType = np.dtype[Any]


def is_real(eqn: Equation, output: int = -1) -> bool:
    """Whether operands and a result are real, of one dtype, and not empty."""
    dtype = eqn.outputs[output].aval.dtype
    return (
        dtype.char in "fd"
        and all(x.aval.dtype == dtype for x in eqn.inputs)
        and all(math.prod(x.aval.shape) for x in eqn.inputs)
    )


def spread(b: Buf, batch: Sequence[int]) -> Buf:
    """A stack of matrices seen with the leading axes `batch`, to which its own are broadcast."""
    have, strides = b.shape[:-2], b.strides[:-2]
    more = len(batch) - len(have)
    seen = [0] * more + [s if n == m else 0 for s, n, m in zip(strides, have, batch[more:], strict=True)]
    return Buf(b.ptr, (*batch, *b.shape[-2:]), b.dtype, [*seen, *b.strides[-2:]], b.off)


def matrix_of(em: Emission, b: Buf, idx: Sequence[Ix]) -> Buf:
    """One matrix of a stack."""
    return Buf(em.address(b, [*idx, ZERO, ZERO]), b.shape[-2:], b.dtype, b.strides[-2:])


class Library:
    """Calls of LAPACK and BLAS for one dtype."""

    def __init__(self, em: Emission, dtype: DType) -> None:
        bits = blas_bits()
        if bits is None:
            raise Unsupported("NumPy has another BLAS than OpenBLAS")
        self.em, self.dtype, self.bits = em, dtype, bits
        self.index = np.dtype(f"i{bits // 8}")
        self.letter, self.type = ("s", "float") if dtype == np.float32 else ("d", "double")

    def integer(self, value: int) -> str:
        """An integer in memory: as Fortran's functions take it."""
        w = self.em.w
        place = w.alloca(f"i{self.bits}")
        w.store(f"i{self.bits}", str(value), place)
        return place

    def text(self, letter: str) -> str:
        """A letter in memory."""
        place = self.em.w.alloca("i8")
        self.em.w.store("i8", str(ord(letter)), place)
        return place

    def lapack(self, name: str, *arguments: str) -> str:
        """Call a function that ends in `info`; whether that is not 0."""
        w, symbol = self.em.w, f"{self.letter}{name}_"
        if address(symbol) is None:
            raise Unsupported(f"NumPy's LAPACK has no {symbol}")
        info = self.integer(0)
        given = ", ".join(f"ptr {x}" for x in (*arguments, info))
        more = ", i64 1" * _TEXTS.get(name, 0)  # the lengths of the texts that say how
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
            f"ptr {pointer(self.em, a)}, {i} {max(distance, n)}, ptr {pointer(self.em, b)}, {i} {columns})"
        )


def batches(em: Emission, known: Sequence[Buf], operations: int, body: Callable[[Limits], None]) -> None:
    """Loops over matrices that LAPACK does one by one: so many `operations` each, and memory for each part."""
    shape, dtype = known[-1].shape[:-2], known[-1].dtype
    work = math.prod(shape) * operations * multiplication(dtype)
    divided(em, shape, [1] * len(shape), work, known, body, _PARTS)


def pointer(em: Emission, b: Buf) -> str:
    return em.address(b, [ZERO, ZERO])


def flipped(b: Buf) -> Buf:
    """The transpose, as a view."""
    return Buf(b.ptr, b.shape[::-1], b.dtype, b.strides[::-1], b.off)


def row_by_row(em: Emission, b: Buf) -> Buf:
    """A matrix whose rows or whose columns lie in memory as such: it, or a copy."""
    (n, m), (down, across) = b.shape, b.strides
    if (across == 1 and down >= m) or (down == 1 and across >= n) or n == 1:
        return b
    copy = em.temp(b.shape, b.dtype)
    em.copy_buffer(b, copy)
    return copy


def copied(em: Emission, source: Buf, target: Buf) -> None:
    """Copy an array, with its dtype converted where the other one has another."""
    if source.dtype == target.dtype:
        em.copy_buffer(source, target)
        return
    given = source.dtype, target.dtype
    em.loops(source.shape, lambda idx: em.store(target, idx, convert(em.w, em.fresh(source, idx), *given)))
    em.forget(target)
