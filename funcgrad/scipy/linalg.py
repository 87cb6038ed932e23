"""Linear algebra by the names of `scipy.linalg`, with SciPy's signatures, and JAX's where these differ.

Functions are batched over leading dimensions. Keywords about memory and checks (`overwrite_a`, `check_finite`, …) are
accepted, and mean nothing. Where SciPy is installed its LAPACK solves triangular, tridiagonal and LU equations; Schur's
form, and with it `sqrtm`, `logm` and `solve_sylvester`, needs it. Where only one triangle of a Hermitian matrix is
read, derivatives live on that triangle.

>>> from funcgrad import grad
>>> grad(lambda a: np.sum(expm(a)))(np.zeros((2, 2)))
array([[1., 1.],
       [1., 1.]])
"""

from __future__ import annotations

from numpy.linalg import LinAlgError

from funcgrad.numpy.linalg import norm
from funcgrad.scipy._linalg_equations import (
    cho_factor,
    cho_solve,
    cholesky,
    det,
    inv,
    lstsq,
    lu,
    lu_factor,
    lu_solve,
    pinv,
    pinvh,
    solve,
    solve_banded,
    solve_toeplitz,
    solve_triangular,
)
from funcgrad.scipy._linalg_factors import (
    diagsvd,
    eig,
    eigh,
    eigh_tridiagonal,
    eigvals,
    eigvalsh,
    eigvalsh_tridiagonal,
    hessenberg,
    orthogonal_procrustes,
    polar,
    qr,
    qr_multiply,
    rq,
    rsf2csf,
    schur,
    svd,
    svdvals,
)
from funcgrad.scipy._linalg_functions import (
    coshm,
    cosm,
    expm,
    expm_frechet,
    fractional_matrix_power,
    funm,
    logm,
    signm,
    sinhm,
    sinm,
    solve_continuous_lyapunov,
    solve_discrete_lyapunov,
    solve_sylvester,
    sqrtm,
    tanhm,
    tanm,
)
from funcgrad.scipy._linalg_special import (
    block_diag,
    circulant,
    companion,
    convolution_matrix,
    dft,
    fiedler,
    fiedler_companion,
    hadamard,
    hankel,
    helmert,
    hilbert,
    invhilbert,
    invpascal,
    khatri_rao,
    leslie,
    matmul_toeplitz,
    pascal,
    solve_circulant,
    toeplitz,
)
from funcgrad.scipy._needs import rest_of

__all__ = [
    "LinAlgError",
    "block_diag",
    "cho_factor",
    "cho_solve",
    "cholesky",
    "circulant",
    "companion",
    "convolution_matrix",
    "coshm",
    "cosm",
    "det",
    "dft",
    "diagsvd",
    "eig",
    "eigh",
    "eigh_tridiagonal",
    "eigvals",
    "eigvalsh",
    "eigvalsh_tridiagonal",
    "expm",
    "expm_frechet",
    "fiedler",
    "fiedler_companion",
    "fractional_matrix_power",
    "funm",
    "hadamard",
    "hankel",
    "helmert",
    "hessenberg",
    "hilbert",
    "inv",
    "invhilbert",
    "invpascal",
    "khatri_rao",
    "leslie",
    "logm",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_solve",
    "matmul_toeplitz",
    "norm",
    "orthogonal_procrustes",
    "pascal",
    "pinv",
    "pinvh",
    "polar",
    "qr",
    "qr_multiply",
    "rq",
    "rsf2csf",
    "schur",
    "signm",
    "sinhm",
    "sinm",
    "solve",
    "solve_banded",
    "solve_circulant",
    "solve_continuous_lyapunov",
    "solve_discrete_lyapunov",
    "solve_sylvester",
    "solve_toeplitz",
    "solve_triangular",
    "sqrtm",
    "svd",
    "svdvals",
    "tanhm",
    "tanm",
    "toeplitz",
]


__getattr__ = rest_of("linalg")


def __dir__() -> list[str]:
    return __all__
