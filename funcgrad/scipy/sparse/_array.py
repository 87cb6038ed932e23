"""Sparse matrices of traced numbers at constant places, and products with sparse matrices."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from funcgrad._tree_registry import register_pytree_node
from funcgrad.core import Tracer
from funcgrad.errors import UnsupportedFunctionError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.scipy._needs import scipy_module
from funcgrad.scipy._sparse import SPARSE_MATMUL, Structure, structure_of
from funcgrad.types import dtype_of, shape_of

__all__ = ["coo_array", "csc_array", "csr_array", "is_sparse", "matmul", "operator", "parts", "sparse_array"]


class sparse_array:
    """A sparse matrix whose numbers may be traced, at constant places; a pytree whose one leaf is `data`.

    It is made by `csr_array`, `csc_array` or `coo_array`. It has `@` from both sides with vectors and dense matrices,
    `.T`, products and quotients with scalars, `diagonal()` and `toarray()`.

    Attributes:
        data: the numbers, in the order of `indices`.
        shape, dtype, nnz, ndim, format, indices, indptr: as of SciPy's.
    """

    __slots__ = ("_structure", "data")
    __array_ufunc__ = None
    ndim = 2

    def __init__(self, data: Any, structure: Structure) -> None:
        self.data, self._structure = data, structure

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._structure.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the numbers."""
        return dtype_of(self.data)

    @property
    def nnz(self) -> int:
        """How many numbers are stored."""
        return len(self._structure.indices)

    @property
    def format(self) -> str:
        """ "csr" or "csc"."""
        return self._structure.format

    @property
    def indices(self) -> np.ndarray:
        """The column (of "csc": row) of each number."""
        return self._structure.indices.copy()

    @property
    def indptr(self) -> np.ndarray:
        """Where rows (columns) begin."""
        return self._structure.indptr.copy()

    @property
    def T(self) -> sparse_array:
        """The transposed matrix."""
        return sparse_array(self.data, self._structure.turned())

    def transpose(self) -> sparse_array:
        """The transposed matrix."""
        return self.T

    def __matmul__(self, x: Any) -> Any:
        return matmul(self, x)

    def __rmatmul__(self, x: Any) -> Any:
        return matmul(x, self)

    def dot(self, x: Any) -> Any:
        """The product with a vector or a dense matrix."""
        return matmul(self, x)

    def __mul__(self, scale: Any) -> sparse_array:
        if shape_of(array_operand(scale)):
            _no_operator("multiply")
        return sparse_array(self.data * scale, self._structure)

    __rmul__ = __mul__

    def __truediv__(self, scale: Any) -> sparse_array:
        return self * (1.0 / scale)

    def __neg__(self) -> sparse_array:
        return sparse_array(-self.data, self._structure)

    def diagonal(self) -> Any:
        """The diagonal, a vector."""
        on = np.flatnonzero(self._structure.rows == self._structure.cols)
        places = self._structure.rows[on]
        out = np.zeros_like(self.data, shape=(min(self.shape),))
        return out + np.matmul(np.equal.outer(np.arange(min(self.shape)), places).astype(float), self.data[on])

    def toarray(self) -> Any:
        """The matrix as a dense array."""
        return matmul(self, np.eye(self.shape[1], dtype=self.dtype))

    todense = toarray

    def __repr__(self) -> str:
        return f"<{self.format} array of shape {self.shape} with {self.nnz} stored numbers of dtype {self.dtype}>"


register_pytree_node(
    sparse_array, lambda a: ([a.data], a._structure), lambda structure, children: sparse_array(children[0], structure)
)


def is_sparse(x: Any) -> bool:
    """Whether this is a sparse matrix, SciPy's or one of `sparse_array`."""
    return type(x) is sparse_array or (hasattr(type(x), "tocsr") and not isinstance(x, Tracer))


def parts(matrix: Any) -> tuple[Structure, Any]:
    """The structure of a sparse matrix, and its numbers."""
    if type(matrix) is sparse_array:
        return matrix._structure, matrix.data
    return structure_of(matrix)


def _made(given: Any, shape: Any, format: str) -> sparse_array:
    """A matrix of (data, indices, indptr), of (data, (rows, columns)), of another one, or of a dense constant one."""
    if is_sparse(given):
        structure, data = parts(given)
        return sparse_array(data, structure)
    if isinstance(given, tuple) and len(given) == 3:
        data, indices, indptr = given
        indices, indptr = np.array(indices), np.array(indptr)
        if shape is None:
            lines, across = len(indptr) - 1, int(indices.max(initial=-1)) + 1
            shape = (lines, across) if format == "csr" else (across, lines)
        data = array_operand(data)
    elif isinstance(given, tuple) and len(given) == 2 and len(given[1]) == 2:
        data, (rows, cols) = given
        rows, cols = np.array(rows), np.array(cols)
        if shape is None:
            shape = int(rows.max(initial=-1)) + 1, int(cols.max(initial=-1)) + 1
        major, minor = (rows, cols) if format == "csr" else (cols, rows)
        order = np.lexsort((minor, major))  # numbers at one place stay apart, and add up
        data, indices = array_operand(data)[order], minor[order]
        n = shape[0] if format == "csr" else shape[1]
        indptr = np.concatenate([[0], np.cumsum(np.bincount(major, minlength=n))])
    else:
        sparse = scipy_module("sparse", "sparse")
        return _made(getattr(sparse, f"{format}_array")(given), shape, format)
    lines = shape[0] if format == "csr" else shape[1]
    across = shape[1] if format == "csr" else shape[0]
    if shape_of(data) != indices.shape or len(indptr) != lines + 1 or indptr[-1] != len(indices):
        raise ValueError(
            f"{format}_array: data {shape_of(data)}, indices {indices.shape} and indptr {indptr.shape} do not fit the "
            f"shape {tuple(shape)}"
        )
    if len(indices) and (indices.min() < 0 or indices.max() >= across or np.any(np.diff(indptr) < 0)):
        raise ValueError(f"{format}_array: indices are out of range for the shape {tuple(shape)}")
    return sparse_array(data, Structure(format, indices, indptr, (int(shape[0]), int(shape[1]))))


def csr_array(given: Any, shape: tuple[int, int] | None = None) -> sparse_array:
    """A sparse matrix in compressed rows, whose numbers may be traced; the places are constant.

    Args:
        given: (data, indices, indptr), (data, (rows, columns)), a sparse matrix, or a constant dense one.
        shape: (rows, columns); without it, as many as there are numbers in.

    >>> from funcgrad import grad
    >>> def total(data):
    ...     return np.sum(csr_array((data, [1, 0], [0, 1, 2])) @ np.array([5.0, 7.0]))
    >>> grad(total)(np.array([2.0, 3.0]))
    array([7., 5.])
    """
    return _made(given, shape, "csr")


def csc_array(given: Any, shape: tuple[int, int] | None = None) -> sparse_array:
    """A sparse matrix in compressed columns; see `csr_array`.

    >>> print(csc_array((np.array([2.0, 3.0]), [1, 0], [0, 1, 2])).toarray())
    [[0. 3.]
     [2. 0.]]
    """
    return _made(given, shape, "csc")


def coo_array(given: Any, shape: tuple[int, int] | None = None) -> sparse_array:
    """A sparse matrix of (data, (rows, columns)), where numbers at one place add up; it is kept in compressed rows.

    >>> print(coo_array((np.array([1.0, 2.0, 4.0]), ([0, 0, 1], [1, 1, 0]))).toarray())
    [[0. 3.]
     [4. 0.]]
    """
    return _made(given, shape, "csr")


def matmul(a: Any, b: Any) -> Any:
    """The product of a sparse matrix and a vector or a dense matrix, in this order or the other.

    >>> matmul(np.ones(2), csr_array((np.array([2.0, 3.0]), [1, 0], [0, 1, 2])))
    array([3., 2.])
    """
    if is_sparse(a) and is_sparse(b):
        raise UnsupportedFunctionError(
            "sparse.matmul: the product of two sparse matrices has no derivative here: multiply one after the other "
            "with a dense one, A @ (B @ x)"
        )
    if is_sparse(a):
        structure, data = parts(a)
        return SPARSE_MATMUL.bind(data, array_operand(b), structure=structure)
    if not is_sparse(b):
        raise TypeError("sparse.matmul: neither factor is sparse; use @")
    structure, data = parts(b)
    return np.transpose(SPARSE_MATMUL.bind(data, np.transpose(array_operand(a)), structure=structure.turned()))


def _no_operator(name: str) -> NoReturn:
    raise UnsupportedFunctionError(
        f"{name} of a sparse and a traced array, element by element, is not offered. Write it for the stored numbers: "
        "S = funcgrad.scipy.sparse.coo_array((A.data * x[A.col], (A.row, A.col)), A.shape) for a COO array A"
    )


def operator(name: str, x: Any, matrix: Any, swapped: bool) -> Any:
    """What Python's operator of this name makes of a traced value and a sparse matrix of SciPy's."""
    if name == "mul" and hasattr(type(matrix), "getH") and shape_of(x):  # `*` of SciPy's matrices is their product
        return matmul(matrix, x) if swapped else matmul(x, matrix)
    if name == "mul" and not shape_of(x):
        structure, data = structure_of(matrix)
        return sparse_array(data * x, structure)
    _no_operator(name)
