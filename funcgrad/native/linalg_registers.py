"""Linear algebra of tiny matrices in registers: each element is one, of a matrix for each lane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.native.emission import Emission
from funcgrad.native.index import Ix, constant
from funcgrad.native.values import Buf

__all__ = ["Factors", "Registers", "Rows", "eliminated", "substituted"]

DType = np.dtype[Any]
Rows = list[list[str]]
"""The elements of a matrix in registers."""


class Registers:
    """Arithmetic of one dtype, at the width of the writer."""

    def __init__(self, em: Emission, dtype: DType) -> None:
        self.em, self.w, self.dtype, self.type = em, em.w, dtype, em.w.type(dtype)

    def loaded(self, b: Buf, idx: Sequence[Ix]) -> Rows:
        rows, columns = b.shape[-2:]
        return [[str(self.em.fresh(b, [*idx, constant(i), constant(j)])) for j in range(columns)] for i in range(rows)]

    def stored(self, b: Buf, idx: Sequence[Ix], rows: Rows) -> None:
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                self.em.store(b, [*idx, constant(i), constant(j)], value)

    def op(self, name: str, x: str, y: str) -> str:
        return self.w.op(f"{name} {self.type} {x}, {y}")

    def call(self, name: str, x: str) -> str:
        return self.w.op(f"call {self.type} {self.w.intrinsic(name, self.dtype)}({self.type} {x})")

    def less(self, x: str, y: str, f: str) -> str:
        """x - f y."""
        return self.op("fsub", x, self.op("fmul", f, y))

    def test(self, sign: str, x: str, y: str) -> str:
        return self.w.op(f"fcmp {sign} {self.type} {x}, {y}")

    def chosen(self, test: str, x: str, y: str) -> str:
        return self.w.op(f"select {self.w.mask()} {test}, {self.type} {x}, {self.type} {y}")

    def number(self, value: float) -> str:
        return self.w.number(value, self.dtype)


class Factors(NamedTuple):
    """What elimination leaves: the pivots, whether rows were exchanged an odd number of times, and whether a pivot is 0
    (both as masks)."""

    pivots: list[str]
    odd: str
    singular: str


def eliminated(r: Registers, a: Rows, b: Rows) -> Factors:
    """Make `a` upper triangular and `b` what belongs to it, in place, by elimination with partial pivoting."""
    n, w = len(a), r.w
    no = "zeroinitializer" if w.width else "false"
    odd = singular = no
    pivots: list[str] = []
    for k in range(n):
        for i in range(k + 1, n):
            more = r.test("ogt", r.call("fabs", a[i][k]), r.call("fabs", a[k][k]))
            odd = w.op(f"xor {w.mask()} {odd}, {more}")
            for matrix, first in ((a, k), (b, 0)):
                for j in range(first, len(matrix[i])):
                    x, y = matrix[k][j], matrix[i][j]
                    matrix[k][j], matrix[i][j] = r.chosen(more, y, x), r.chosen(more, x, y)
        zero = r.test("oeq", a[k][k], r.number(0.0))
        singular = w.op(f"or {w.mask()} {singular}, {zero}")
        pivots.append(a[k][k])
        divisor = r.chosen(zero, r.number(1.0), a[k][k])  # what is below it is 0 as well
        a[k][k] = divisor
        for i in range(k + 1, n):
            f = r.op("fdiv", a[i][k], divisor)
            for matrix, first in ((a, k + 1), (b, 0)):
                for j in range(first, len(matrix[i])):
                    matrix[i][j] = r.less(matrix[i][j], matrix[k][j], f)
    return Factors(pivots, odd, singular)


def substituted(r: Registers, a: Rows, b: Rows, lower: bool, unit: bool = False) -> None:
    """Solve triangular equations in place of their right-hand sides."""
    n = len(a)
    order = range(n) if lower else range(n - 1, -1, -1)
    for i in order:
        for j in range(len(b[i])):
            x = b[i][j]
            for k in range(i) if lower else range(n - 1, i, -1):
                x = r.less(x, b[k][j], a[i][k])
            b[i][j] = x if unit else r.op("fdiv", x, a[i][i])
