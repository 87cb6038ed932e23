"""Matrix decompositions by the names of `jax.lax.linalg`: imported when the first of them is used."""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING
from typing import Any as _Any

from funcgrad._array import returning_arrays as _returning_arrays
from funcgrad._array import wrap as _wrap

if TYPE_CHECKING:
    from funcgrad.lax._linalg import (
        EighImplementation,
        EigImplementation,
        SvdAlgorithm,
        cholesky,
        cholesky_update,
        eig,
        eigh,
        hessenberg,
        householder_product,
        lu,
        lu_pivots_to_permutation,
        ormqr,
        qdwh,
        qr,
        schur,
        svd,
        symmetric_product,
        triangular_solve,
        tridiagonal,
        tridiagonal_solve,
    )

__all__ = [
    "EigImplementation",
    "EighImplementation",
    "SvdAlgorithm",
    "cholesky",
    "cholesky_update",
    "eig",
    "eigh",
    "hessenberg",
    "householder_product",
    "lu",
    "lu_pivots_to_permutation",
    "ormqr",
    "qdwh",
    "qr",
    "schur",
    "svd",
    "symmetric_product",
    "triangular_solve",
    "tridiagonal",
    "tridiagonal_solve",
]


def __getattr__(name: str) -> _Any:
    if name not in __all__:
        raise AttributeError(f"module 'funcgrad.lax.linalg' has no attribute {name!r}")
    globals()[name] = getattr(_import_module("funcgrad.lax._linalg"), name)
    _returning_arrays(globals(), (name,), _wrap)
    return globals()[name]


def __dir__() -> list[str]:
    return list(__all__)
