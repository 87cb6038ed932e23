"""Linear algebra, softmax and Fourier transforms in the array API standard and its extensions `linalg` and `fft`."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.backends._lowerings import Table, scalar
from funcgrad.ir import Equation

__all__ = ["LINALG"]

LINALG = Table()
"""Linear algebra, softmax, Fourier transforms."""

_lowers = LINALG.lowers

Axes = tuple[int, ...]


# -------------------------------------------------------------------------------------------------- linear algebra


def _adjoint(xp: Any, x: Any) -> Any:
    turned = xp.matrix_transpose(x)
    return xp.conj(turned) if xp.isdtype(x.dtype, "complex floating") else turned


def _direct(name: str, *results: str) -> None:
    """An entry for a function that the extension has as it is."""

    def run(xp: Any, *args: Any) -> Any:
        out = getattr(xp.linalg, name)(*args)
        return tuple(getattr(out, r) for r in results) if results else out

    _lowers(name, "fc", (f"linalg.{name}",))(run)


for _name in ("solve", "inv", "det", "cholesky", "svdvals", "eigvals"):
    _direct(_name)
_direct("slogdet", "sign", "logabsdet")
_direct("eig", "eigenvalues", "eigenvectors")


def _hermitian(xp: Any, x: Any, uplo: str) -> Any:
    """The Hermitian matrices of which one triangle is given: libraries differ in which they read."""
    lower = xp.tril(x) if uplo == "L" else _adjoint(xp, xp.triu(x))
    return lower + _adjoint(xp, xp.tril(lower, k=-1))


@_lowers("eigh", "fc", ("linalg.eigh",))
def _eigh(xp: Any, x: Any, uplo: str) -> Any:
    return tuple(xp.linalg.eigh(_hermitian(xp, x, uplo)))


@_lowers("eigvalsh", "fc", ("linalg.eigvalsh",))
def _eigvalsh(xp: Any, x: Any, uplo: str) -> Any:
    return xp.linalg.eigvalsh(_hermitian(xp, x, uplo))


@_lowers("svd", "fc", ("linalg.svd",))
def _svd(xp: Any, x: Any, full: bool) -> Any:
    return tuple(xp.linalg.svd(x, full_matrices=full))


@_lowers("triangular_solve", "fc", ("linalg.solve",))
def _triangular_solve(xp: Any, a: Any, b: Any, lower: bool, transposed: bool, unit: bool, strict: bool) -> Any:
    a = xp.tril(a, k=-int(unit)) if lower else xp.triu(a, k=int(unit))
    if unit:
        a = a + xp.eye(a.shape[-1], dtype=a.dtype)
    return xp.linalg.solve(xp.matrix_transpose(a) if transposed else a, b)


def _conj(xp: Any, x: Any) -> Any:
    return xp.conj(x) if xp.isdtype(x.dtype, "complex floating") else x


@_lowers("eigen_sum", "fc", ("linalg.eigh",))
def _eigen_sum(xp: Any, a: Any, c: Any, uplo: str) -> Any:
    v = xp.linalg.eigh(_hermitian(xp, a, uplo)).eigenvectors
    return _conj(xp, (v * c) @ _adjoint(xp, v))


@_lowers("singular_sum", "fc", ("linalg.svd",))
def _singular_sum(xp: Any, a: Any, c: Any) -> Any:
    u, _, vh = xp.linalg.svd(a, full_matrices=False)
    return _conj(xp, (u * c) @ vh)


@_lowers("qr", "fc", ("linalg.qr",))
def _qr(xp: Any, x: Any, complete: bool) -> Any:
    return tuple(xp.linalg.qr(x, mode="complete" if complete else "reduced"))


@_lowers("pinv", "fc", ("linalg.pinv",))
def _pinv(xp: Any, x: Any, rcond: Any) -> Any:
    return xp.linalg.pinv(x, rtol=rcond)


@_lowers("norm2", "fc")
def _norm2(xp: Any, x: Any, axes: Axes, keepdims: bool) -> Any:
    size = xp.abs(x)
    return xp.sqrt(xp.sum(size * size, axis=axes, keepdims=keepdims)) if axes else size


def _is_cofactor(eqn: Equation) -> bool:
    return len(eqn.inputs) == 1 and eqn.inputs[0].aval.shape[-1] > 0


@_lowers("det_derivative", "fc", ("linalg.svd", "linalg.det"), _is_cofactor)
def _det_derivative(xp: Any, a: Any) -> Any:
    """The cofactor matrix det(U) det(Vᴴ) conj(U · diag(the products of all other singular values) · Vᴴ)."""
    u, s, vh = xp.linalg.svd(a, full_matrices=False)
    n = s.shape[-1]
    others = xp.where(xp.eye(n, dtype=xp.bool), scalar(xp, 1, s), xp.expand_dims(s, axis=-2))
    weights = xp.expand_dims(xp.prod(others, axis=-1), axis=-2)
    phase = xp.linalg.det(u) * xp.linalg.det(vh)
    if xp.isdtype(a.dtype, "complex floating"):
        u, vh, weights = xp.conj(u), xp.conj(vh), xp.astype(weights, a.dtype)
    return xp.reshape(phase, (*phase.shape, 1, 1)) * xp.matmul(u * weights, vh)


# --------------------------------------------------------------------------------------------------------- softmax


def _shifted(xp: Any, x: Any, axes: Axes) -> Any:
    return x - xp.max(x, axis=axes, keepdims=True)


@_lowers("softmax", "f")
def _softmax(xp: Any, x: Any, axes: Axes) -> Any:
    if not axes:
        return xp.ones_like(x)
    powers = xp.exp(_shifted(xp, x, axes))
    return powers / xp.sum(powers, axis=axes, keepdims=True)


@_lowers("log_softmax", "f")
def _log_softmax(xp: Any, x: Any, axes: Axes) -> Any:
    if not axes:
        return xp.zeros_like(x)
    out = _shifted(xp, x, axes)
    return out - xp.log(xp.sum(xp.exp(out), axis=axes, keepdims=True))


@_lowers("logsumexp", "f")
def _logsumexp(xp: Any, x: Any, axes: Axes) -> Any:
    if not axes:
        return x
    high = xp.max(x, axis=axes, keepdims=True)
    high = xp.where(xp.isfinite(high), high, scalar(xp, 0, x))
    total = xp.sum(xp.exp(x - high), axis=axes, keepdims=True)
    some = total > scalar(xp, 0, x)  # none where all elements are -inf
    out = xp.log(xp.where(some, total, scalar(xp, 1, x))) + high
    return xp.squeeze(xp.where(some, out, scalar(xp, -math.inf, x)), axis=axes)


# ----------------------------------------------------------------------------------------------- Fourier transforms


def _as_complex(xp: Any, x: Any) -> Any:
    floating = xp.isdtype(x.dtype, ("real floating", "complex floating"))
    return xp.astype(x, xp.result_type(x.dtype, xp.complex64) if floating else xp.complex128)


@_lowers("fft", needs=("fft.fft", "fft.ifft"))
def _fft(xp: Any, x: Any, axis: int, inverse: bool) -> Any:
    return (xp.fft.ifft if inverse else xp.fft.fft)(_as_complex(xp, x), axis=axis)


@_lowers("rfft", "biuf", ("fft.rfft",))
def _rfft(xp: Any, x: Any, axis: int) -> Any:
    return xp.fft.rfft(x if xp.isdtype(x.dtype, "real floating") else xp.astype(x, xp.float64), axis=axis)


@_lowers("irfft", needs=("fft.irfft",))
def _irfft(xp: Any, x: Any, axis: int, n: int) -> Any:
    return xp.fft.irfft(_as_complex(xp, x), n=n, axis=axis)
