"""Sparse matrices: SciPy's constant ones times traced values, and matrices whose numbers are traced themselves.

A constant matrix of SciPy's needs nothing: `A @ x`, `x @ A`, `A.T @ x` and `A.dot(x)` work in functions that are
transformed. `csr_array((data, indices, indptr), shape)` makes a matrix of traced numbers at constant places; it is a
pytree. In both cases derivatives are products with the transposed sparse matrix, and nothing becomes dense.

>>> import scipy.sparse
>>> from funcgrad import grad
>>> A = scipy.sparse.csr_array(np.array([[0.0, 2.0], [3.0, 0.0]]))
>>> grad(lambda x: np.sum(A @ x))(np.ones(2))
array([3., 2.])
"""

from __future__ import annotations

from funcgrad.scipy._needs import rest_of
from funcgrad.scipy.sparse import linalg
from funcgrad.scipy.sparse._array import coo_array, csc_array, csr_array, matmul, operator, sparse_array

__all__ = ["coo_array", "csc_array", "csr_array", "linalg", "matmul", "sparse_array"]

_ = operator


__getattr__ = rest_of("sparse")


def __dir__() -> list[str]:
    return __all__
