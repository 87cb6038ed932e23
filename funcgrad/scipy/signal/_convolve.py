"""Convolutions and correlations of signals of any number of dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.lax._conv import conv_general_dilated
from funcgrad.numpy import fft as _fft
from funcgrad.numpy._dispatch import array_operand, conjugated
from funcgrad.scipy.ndimage._filters import extended
from funcgrad.types import result_dtype

__all__ = ["convolve", "convolve2d", "correlate", "correlate2d", "fftconvolve", "oaconvolve"]

_MODES = ("full", "same", "valid")
_METHODS = ("auto", "direct", "fft")
_LARGE = 1 << 16
"""From how many products on `auto` takes Fourier transforms."""


def _pair(name: str, in1: Any, in2: Any, mode: str, ndim: int | None = None) -> tuple[Any, Any]:
    if mode not in _MODES:
        raise ValueError(f"{name}: mode is 'full', 'same' or 'valid', got {mode!r}")
    a, b = array_operand(in1), array_operand(in2)
    if a.ndim != b.ndim or (ndim is not None and a.ndim != ndim):
        wanted = "the same number of dimensions" if ndim is None else f"{ndim} dimensions"
        raise ShapeError(f"{name}: the arrays must have {wanted}; got shapes {a.shape} and {b.shape}")
    dtype: Any = result_dtype(a, b)
    dtype = np.result_type(dtype, np.uint8) if dtype.kind == "b" else dtype
    return a.astype(dtype), b.astype(dtype)


def _ordered(name: str, a: Any, b: Any, axes: Sequence[int]) -> tuple[Any, Any]:
    """The larger array first, for the mode "valid"."""
    if all(a.shape[i] >= b.shape[i] for i in axes):
        return a, b
    if all(b.shape[i] >= a.shape[i] for i in axes):
        return b, a
    raise ShapeError(
        f"{name}: for mode 'valid' one array must be at least as large as the other in every dimension; got shapes "
        f"{a.shape} and {b.shape}"
    )


def _direct(a: Any, b: Any, mode: str) -> Any:
    """The convolution by sums of products; b is no larger than a, if that is said by the mode."""
    sizes = b.shape
    before = [{"full": k - 1, "same": k - 1 - (k - 1) // 2, "valid": 0}[mode] for k in sizes]
    after = [{"full": k - 1, "same": (k - 1) // 2, "valid": 0}[mode] for k in sizes]
    if a.dtype.kind == "c":
        real, imag = ((_direct(p, q, mode), _direct(p, r, mode)) for p, q, r in _parts(a, b))
        return (real[0] - imag[1]) + 1j * (real[1] + imag[0])
    kernel = b[(slice(None, None, -1),) * b.ndim]
    padding = list(zip(before, after, strict=True))
    return conv_general_dilated(a[None, None], kernel[None, None], (1,) * a.ndim, padding)[0, 0]


def _parts(a: Any, b: Any) -> list[tuple[Any, Any, Any]]:
    return [(a.real, b.real, b.imag), (a.imag, b.real, b.imag)]


def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto", precision: Any = None) -> Any:
    """The convolution of two arrays with the same number of dimensions.

    Args:
        in1, in2: arrays.
        mode: "full"; "same", of the size of `in1`; or "valid", without what depends on zeros around the arrays.
        method: "direct" sums, "fft", or "auto", which decides by the amount of work.
        precision: accepted for JAX's sake.

    Raises ShapeError for numbers of dimensions that differ, and for "valid" if neither array contains the other.

    >>> convolve(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0]))
    array([1., 3., 5., 3.])
    """
    if method not in _METHODS:
        raise ValueError(f"convolve: method is 'auto', 'direct' or 'fft', got {method!r}")
    a, b = _pair("convolve", in1, in2, mode)
    if a.ndim == 0:
        return a * b
    if 0 in a.shape or 0 in b.shape:
        return np.zeros((0,) * a.ndim, a.dtype)
    exact = a.dtype.kind in "iu"
    work = math.prod(a.shape) * math.prod(b.shape)
    if method == "fft" or (method == "auto" and not exact and work > _LARGE and min(max(a.shape), max(b.shape)) > 32):
        out = fftconvolve(a, b, mode)
        return np.round(out).astype(a.dtype) if exact else out
    if mode == "valid":
        a, b = _ordered("convolve", a, b, range(a.ndim))
    return _direct(a, b, mode)


def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto", precision: Any = None) -> Any:
    """The cross-correlation of two arrays, of which the second is conjugated; arguments as in `convolve`.

    >>> correlate(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0]))
    array([1., 2., 3., 0.])
    """
    a, b = _pair("correlate", in1, in2, mode)
    return convolve(a, conjugated(b[(slice(None, None, -1),) * b.ndim]), mode, method)


_PADS = {"fill": "constant", "pad": "constant", "wrap": "wrap", "circular": "wrap", "symm": "symmetric",
         "symmetric": "symmetric"}  # fmt: skip


def convolve2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0, precision: Any = None
) -> Any:
    """The convolution of two matrices.

    Args:
        in1, in2: matrices.
        mode: as in `convolve`.
        boundary: what is around `in1`: "fill" (`fillvalue`), "wrap" (its periods), "symm" (its mirror images).
        fillvalue: a number.
        precision: accepted for JAX's sake.

    >>> convolve2d(np.eye(2), np.ones((1, 2)), boundary="wrap", mode="same")
    array([[1., 1.],
           [1., 1.]])
    """
    if boundary not in _PADS:
        raise ValueError(f"convolve2d: boundary is 'fill', 'wrap' or 'symm', got {boundary!r}")
    a, b = _pair("convolve2d", in1, in2, mode, 2)
    if mode == "valid":
        return _direct(*_ordered("convolve2d", a, b, (0, 1)), "valid")
    zeros = boundary in ("fill", "pad") and type(fillvalue) in (int, float) and fillvalue == 0
    if zeros or 0 in a.shape:
        return _direct(a, b, mode)
    widths = [(k - 1, k - 1) for k in b.shape]
    if boundary in ("fill", "pad"):
        wide = extended(a, widths, "constant", fillvalue)
    else:
        wide = np.pad(a, widths, mode=_PADS[boundary])  # type: ignore[call-overload]
    out = _direct(wide, b, "valid")
    return _centred(out, a.shape) if mode == "same" else out


def correlate2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0, precision: Any = None
) -> Any:
    """The cross-correlation of two matrices, of which the second is conjugated; arguments as in `convolve2d`.

    >>> correlate2d(np.eye(2), np.eye(2), mode="valid")
    array([[2.]])
    """
    a, b = _pair("correlate2d", in1, in2, mode, 2)
    turned = conjugated(b[::-1, ::-1])
    if mode != "same":
        out = convolve2d(a, turned, mode, boundary, fillvalue)
        # Where "valid" exchanges the matrices, SciPy conjugates the other one.
        return conjugated(out) if mode == "valid" and a.shape != _ordered("", a, b, (0, 1))[0].shape else out
    # SciPy's middle is that of the correlation, one element further where the kernel's length is even.
    full = convolve2d(a, turned, "full", boundary, fillvalue)
    starts = [k // 2 for k in b.shape]
    return full[tuple(slice(s, s + n) for s, n in zip(starts, a.shape, strict=True))]


def _centred(x: Any, shape: Sequence[int]) -> Any:
    starts = [(n - k) // 2 for n, k in zip(x.shape, shape, strict=True)]
    return x[tuple(slice(s, s + k) for s, k in zip(starts, shape, strict=True))]


def _fast(n: int) -> int:
    """The least product of powers of 2, 3 and 5 that is n or more."""
    best = 1 << max(n - 1, 0).bit_length()
    five = 1
    while five < best:
        three = five
        while three < best:
            best = min(best, three << max(-(-n // three) - 1, 0).bit_length())
            three *= 3
        five *= 5
    return best


def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: int | Sequence[int] | None = None) -> Any:
    """The convolution along axes (by default all) by Fourier transforms; other axes broadcast.

    >>> fftconvolve(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0])).round(12)
    array([1., 3., 5., 3.])
    """
    a, b = _pair("fftconvolve", in1, in2, mode)
    if a.dtype.kind not in "fc":
        a, b = a.astype(np.float64), b.astype(np.float64)
    if a.ndim == 0:
        return a * b
    chosen = range(a.ndim) if axes is None else [axes] if type(axes) is int else list(axes)  # type: ignore[arg-type]
    along = sorted({i % a.ndim for i in chosen})
    others = [i for i in range(a.ndim) if i not in along]
    if any(a.shape[i] != b.shape[i] and 1 not in (a.shape[i], b.shape[i]) for i in others):
        raise ShapeError(f"fftconvolve: shapes {a.shape} and {b.shape} do not broadcast beside the axes {along}")
    if 0 in a.shape or 0 in b.shape:
        return np.zeros((0,) * a.ndim, a.dtype)
    if mode == "valid":
        a, b = _ordered("fftconvolve", a, b, along)
    if not along:
        return a * b
    whole = [a.shape[i] + b.shape[i] - 1 for i in along]
    sizes = [_fast(n) for n in whole]
    forth, back = (_fft.fftn, _fft.ifftn) if a.dtype.kind == "c" else (_fft.rfftn, _fft.irfftn)
    out = back(forth(a, sizes, axes=along) * forth(b, sizes, axes=along), sizes, axes=along)
    out = out[tuple(slice(0, whole[along.index(i)]) if i in along else slice(None) for i in range(a.ndim))]
    if mode == "full":
        return out
    wanted = [a.shape[i] if mode == "same" else a.shape[i] - b.shape[i] + 1 for i in along]
    return _centred(out, [wanted[along.index(i)] if i in along else n for i, n in enumerate(out.shape)])


def oaconvolve(in1: Any, in2: Any, mode: str = "full", axes: int | Sequence[int] | None = None) -> Any:
    """The values of `fftconvolve`, which SciPy computes by overlapping pieces under this name.

    >>> oaconvolve(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0])).round(12)
    array([1., 3., 5., 3.])
    """
    return fftconvolve(in1, in2, mode, axes)
