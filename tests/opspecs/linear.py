"""Rows for linear algebra beyond NumPy's: the names of `lax.linalg`, and the primitives behind them."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.lax._linalg
import funcgrad.ops.matrix_functions  # noqa: F401  # what is imported late stands in the table, too
from funcgrad import lax

from .base import HOLOMORPHIC, add
from .domains import definite, real, regular, rows
from .primitives import CONSTANT, bind

ll = lax.linalg
SOME: dict[str, Any] = {"dtypes": "dD", "ulps": 256}

# --------------------------------------------------------------------------------------------------- equations, factors

for _left, _how in ((True, "lower"), (False, "lower transpose_a conjugate_a"), (True, "transpose_a unit_diagonal")):
    _options = dict.fromkeys(_how.split(), True)
    add(
        f"triangular_solve: {_how}",
        lambda a, b, left=_left, options=_options: ll.triangular_solve(a, b, left_side=left, **options),
        (regular, real),
        ((3, 3), (3, 3)),
        ((2, 2, 2), (2, 2)),
        **{**SOME, "dtypes": HOLOMORPHIC},
    )
bind("triangular_solve", (regular, real), ((2, 2), (3, 2, 1)), lower=True, transposed=True, unit=False, strict=True)
add("tridiagonal_solve", ll.tridiagonal_solve, (real, lambda *a: real(*a) + 4, real, real), ((3,), (3,), (3,), (3, 2)),
    ((2, 3), (3,), (3,), (3, 1)), **SOME)  # fmt: skip
add("lu", lambda a: ll.lu(a)[0], regular, (3, 3), (2, 2, 2), **{**SOME, "dtypes": "dfD"})
add(
    "lu: not square", lambda a: ll.lu(a)[0], lambda *a: real(*a) + 3 * np.eye(*a[1], dtype=a[2]), (4, 2), (2, 3), **SOME
)
add("lu: pivots", lambda a: ll.lu(a)[1:], regular, (3, 3), (2, 3, 2, 2), **CONSTANT)
bind("pivots_to_permutation", rows(3), (3,), (2, 2), count=4, of=CONSTANT)
add("qr: pivoting", lambda a: ll.qr(a, pivoting=True, full_matrices=False)[1:], lambda *a: real(*a), (3, 2), (2, 2, 2),
    dtypes="d", ulps=64)  # fmt: skip
add("householder_product", ll.householder_product, (real, real), ((3, 2), (2,)), ((2, 3, 3), (2, 2)), **SOME)
add("ormqr", lambda a, t, c: (ll.ormqr(a, t, c), ll.ormqr(a, t, c, left=False, transpose=True)), (real, real, real),
    ((3, 2), (2,), (3, 3)), dtypes="d", ulps=64)  # fmt: skip
add(
    "cholesky: lax",
    lambda a: (ll.cholesky(a), ll.cholesky(a, symmetrize_input=False)),
    definite,
    (2, 2),
    (2, 3, 3),
    **SOME,
)
add(
    "cholesky_update", ll.cholesky_update, (lambda *a: np.triu(definite(*a)), real), ((3, 3), (3,)), dtypes="d", ulps=64
)
add("qdwh", lambda a: ll.qdwh(a)[:2], regular, (3, 3), (2, 2, 2), **SOME)
add("eig: left and right", lambda a: (lambda w, u, v: np.sum((u**2 + v**2) * np.exp(w)[..., None, :], -1))(*ll.eig(a)), regular, (2, 2),
    dtypes="dD", ulps=256)  # fmt: skip

# ------------------------------------------------------------------------------------------------- functions of matrices

bind("expm", real, (2, 2), (2, 3, 3), of={"dtypes": "dfD"})
bind("logm", definite, (2, 2), (2, 3, 3), ulps=256)
bind("sqrtm", definite, (2, 2), (2, 3, 3), ulps=256)
bind("sylvester", (regular, regular, real), ((3, 3), (2, 2), (3, 2)), ((2, 2, 2), (1, 1), (2, 1)), of={"dtypes": "dD"})
