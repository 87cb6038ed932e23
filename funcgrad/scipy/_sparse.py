"""Products with sparse matrices: one operation, bilinear in the stored numbers and the dense factor.

Where numbers are stored is constant. The transpose of a product by the dense factor is the product with the transposed
matrix, of which the same arrays are read by columns; by the stored numbers it is the outer product at their places. So
nothing sparse ever becomes dense.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.ops.rules import bilinear
from funcgrad.scipy._needs import scipy_module
from funcgrad.types import ShapedArray, result_dtype, shape_of

__all__ = ["SPARSE_MATMUL", "Structure", "structure_of"]


class Structure:
    """Where a sparse matrix has numbers, in compressed rows ("csr") or columns ("csc").

    Attributes:
        format: which of the two.
        indices, indptr: as SciPy has them.
        shape: of the matrix.
        major: the row (column) of each number; `indices` are the others.
    """

    __slots__ = ("_turned", "format", "indices", "indptr", "major", "shape")

    def __init__(self, format: str, indices: np.ndarray, indptr: np.ndarray, shape: tuple[int, int]) -> None:
        self.format, self.indices, self.indptr, self.shape = format, indices, indptr, shape
        self.major = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        self._turned: Structure | None = None

    def __repr__(self) -> str:
        return f"{self.format}{list(self.shape)}"

    @property
    def rows(self) -> np.ndarray:
        """The row of each number."""
        return self.major if self.format == "csr" else self.indices

    @property
    def cols(self) -> np.ndarray:
        """The column of each number."""
        return self.indices if self.format == "csr" else self.major

    def turned(self) -> Structure:
        """The structure of the transposed matrix, with the numbers in the same order."""
        if self._turned is None:
            other = "csc" if self.format == "csr" else "csr"
            self._turned = Structure(other, self.indices, self.indptr, (self.shape[1], self.shape[0]))
            self._turned._turned = self
        return self._turned

    def repeated(self, times: int) -> Structure:
        """The structure of a matrix with so many copies of this one along its diagonal."""
        minor = self.shape[1] if self.format == "csr" else self.shape[0]
        offsets = np.arange(times)[:, None]
        indices = (self.indices[None] + offsets * minor).ravel()
        indptr = np.concatenate([[0], (self.indptr[None, 1:] + offsets * len(self.indices)).ravel()])
        return Structure(self.format, indices, indptr, (self.shape[0] * times, self.shape[1] * times))

    def matrix(self, data: np.ndarray) -> Any:
        """SciPy's matrix with these numbers."""
        sparse = scipy_module("sparse", "sparse")
        make = sparse.csr_array if self.format == "csr" else sparse.csc_array
        return make((data, self.indices, self.indptr), shape=self.shape, copy=False)


def structure_of(matrix: Any) -> tuple[Structure, np.ndarray]:
    """The structure of a sparse matrix of SciPy's in any format, and its numbers; both are copies."""
    if matrix.ndim != 2:
        raise ShapeError(f"sparse matrices have two dimensions here, got one of shape {matrix.shape}")
    matrix = matrix.copy() if matrix.format in ("csr", "csc") else matrix.tocsr()
    structure = Structure(
        matrix.format, np.array(matrix.indices), np.array(matrix.indptr), (matrix.shape[0], matrix.shape[1])
    )
    return structure, np.array(matrix.data)


def _abstract(data: ShapedArray, x: ShapedArray, structure: Structure) -> ShapedArray:
    rows, cols = structure.shape
    if x.ndim not in (1, 2) or x.shape[0] != cols:
        raise ShapeError(f"a sparse matrix of shape ({rows}, {cols}) cannot be multiplied by {x}")
    return ShapedArray((rows, *x.shape[1:]), result_dtype(data, x))


def _by_data(ct: Any, data: Any, x: Any, structure: Structure) -> Any:
    both = ct[structure.rows] * x[structure.cols]
    return both if len(shape_of(both)) == 1 else np.sum(both, axis=1)


def _batch(args: Sequence[Any], batched: Sequence[bool], size: int, structure: Structure) -> Any:
    data, x = args
    rows, cols = structure.shape
    if not batched[0]:
        inner = shape_of(x)[2:]
        wide = np.reshape(np.moveaxis(x, 0, 1), (cols, -1))
        out = SPARSE_MATMUL.bind(data, wide, structure=structure)
        return np.moveaxis(np.reshape(out, (rows, size, *inner)), 1, 0)
    if not batched[1]:
        x = np.broadcast_to(x, (size, *shape_of(x)))
    inner = shape_of(x)[2:]
    tall = np.reshape(x, (size * cols, *inner))
    out = SPARSE_MATMUL.bind(np.ravel(data), tall, structure=structure.repeated(size))
    return np.reshape(out, (size, rows, *inner))


SPARSE_MATMUL = bilinear(
    "sparse_matmul",
    lambda data, x, structure: structure.matrix(np.asarray(data)) @ np.asarray(x),
    _abstract,
    _by_data,
    lambda ct, data, x, structure: SPARSE_MATMUL.bind(data, ct, structure=structure.turned()),
    batch=_batch,
)
"""The product of the matrix that has these numbers at the places of `structure` with a vector or a dense matrix."""
