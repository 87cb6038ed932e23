"""`scipy.fft` for arrays and traced values alike: NumPy's transforms, and those by cosines and sines.

A cosine or sine transform is a Fourier transform of an array that is extended, or turned, so that it is as fast as
that; SciPy is not used. Formulas: the documentation of `scipy.fft.dct` and `dst`. `overwrite_x` and `workers` are
accepted, and have no effect.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.numpy import fft as _fft
from funcgrad.numpy._dispatch import array_operand
from funcgrad.scipy._needs import inexact, rest_of, scipy_module

__all__ = [
    "dct", "dctn", "dst", "dstn", "fft", "fft2", "fftfreq", "fftn", "fftshift", "fht", "hfft", "hfft2", "hfftn", "idct",
    "idctn", "idst", "idstn", "ifft", "ifft2", "ifftn", "ifftshift", "ifht", "ihfft", "ihfft2", "ihfftn", "irfft",
    "irfft2", "irfftn", "next_fast_len", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip


__getattr__ = rest_of("fft")


def __dir__() -> list[str]:
    return __all__


fftfreq, rfftfreq, fftshift, ifftshift = _fft.fftfreq, _fft.rfftfreq, _fft.fftshift, _fft.ifftshift


def _one(name: str) -> Any:
    """A transform along an axis."""
    plain = getattr(_fft, name)

    def transform(
        x: Any,
        n: int | None = None,
        axis: int = -1,
        norm: str | None = None,
        overwrite_x: bool = False,
        workers: int | None = None,
        *,
        plan: None = None,
    ) -> Any:
        _no_plan(name, plan)
        return plain(x, n, axis, norm)

    return _named(transform, name)


def _many(name: str, fun: Callable[..., Any], last_two: bool) -> Any:
    """A transform over several axes, or over the last two."""
    default = (-2, -1) if last_two else None

    def transform(
        x: Any,
        s: Sequence[int] | None = None,
        axes: Sequence[int] | None = default,
        norm: str | None = None,
        overwrite_x: bool = False,
        workers: int | None = None,
        *,
        plan: None = None,
    ) -> Any:
        _no_plan(name, plan)
        x = array_operand(x)
        if axes is None:  # NumPy warns of sizes without axes
            axes = range(x.ndim) if s is None else range(x.ndim - len(s), x.ndim)
        return fun(x, s, tuple(axes), norm)

    return _named(transform, name)


def _named(transform: Any, name: str) -> Any:
    transform.__name__ = transform.__qualname__ = name
    transform.__doc__ = f"As `scipy.fft.{name}`; `overwrite_x` and `workers` have no effect, and plans are not offered."
    return transform


def _no_plan(name: str, plan: Any) -> None:
    if plan is not None:
        raise NotImplementedError(f"{name}: plans are not offered, and SciPy has none either; leave plan out")


_OPPOSITE = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}


def _opposite(norm: str | None) -> str:
    if norm not in _OPPOSITE:
        raise ValueError(f'norm is "backward", "ortho" or "forward", got {norm!r}')
    return _OPPOSITE[norm]


def _hermitian(x: Any, s: Any, axes: Any, norm: Any) -> Any:
    return _fft.irfftn(np.conjugate(x), s, axes, _opposite(norm))


def _inverse_hermitian(x: Any, s: Any, axes: Any, norm: Any) -> Any:
    return np.conjugate(_fft.rfftn(x, s, axes, _opposite(norm)))


fft, ifft, rfft, irfft = _one("fft"), _one("ifft"), _one("rfft"), _one("irfft")
hfft, ihfft = _one("hfft"), _one("ihfft")
fftn, ifftn = _many("fftn", _fft.fftn, False), _many("ifftn", _fft.ifftn, False)
rfftn, irfftn = _many("rfftn", _fft.rfftn, False), _many("irfftn", _fft.irfftn, False)
fft2, ifft2 = _many("fft2", _fft.fftn, True), _many("ifft2", _fft.ifftn, True)
rfft2, irfft2 = _many("rfft2", _fft.rfftn, True), _many("irfft2", _fft.irfftn, True)
hfftn, hfft2 = _many("hfftn", _hermitian, False), _many("hfft2", _hermitian, True)
ihfftn, ihfft2 = _many("ihfftn", _inverse_hermitian, False), _many("ihfft2", _inverse_hermitian, True)


# ------------------------------------------------------------------------------------------- cosines and sines


def _turned(x: Any, angle: Any) -> Any:
    """x·exp(i angle), in the precision of x."""
    return x * np.exp(1j * angle).astype(np.complex64 if x.dtype.itemsize <= 4 else np.complex128)


def _cosine_1(x: Any) -> Any:
    n = x.shape[-1]
    if n < 2:
        raise ShapeError("the cosine transform of type 1 needs 2 elements at least")
    return _fft.rfft(np.concatenate([x, x[..., -2:0:-1]], axis=-1)).real


def _cosine_2(x: Any) -> Any:
    n = x.shape[-1]
    spectrum = _fft.rfft(np.concatenate([x, x[..., ::-1]], axis=-1))[..., :n]
    turn = np.pi * np.arange(n) / (2 * n)
    real, imag = spectrum.real, spectrum.imag
    return real * np.cos(turn).astype(x.dtype) + imag * np.sin(turn).astype(x.dtype)


def _cosine_3(x: Any) -> Any:
    n = x.shape[-1]
    return _fft.irfft(_turned(x, np.pi * np.arange(n) / (2 * n)), 2 * n, norm="forward")[..., :n]


def _cosine_4(x: Any) -> Any:
    n = x.shape[-1]
    k = np.arange(n)
    spectrum = _fft.fft(_turned(x, -np.pi * k / (2 * n)), 2 * n)[..., :n]
    turn = np.pi * (2 * k + 1) / (4 * n)
    return 2 * (spectrum.real * np.cos(turn).astype(x.dtype) + spectrum.imag * np.sin(turn).astype(x.dtype))


def _signs(x: Any) -> Any:
    return np.where(np.arange(x.shape[-1]) % 2, -1, 1).astype(x.dtype)


def _sine_1(x: Any) -> Any:
    zero = np.zeros((*x.shape[:-1], 1), x.dtype)
    odd = np.concatenate([zero, x, zero, -x[..., ::-1]], axis=-1)
    return -_fft.rfft(odd).imag[..., 1:-1]


def _sine_2(x: Any) -> Any:
    return _cosine_2(x * _signs(x))[..., ::-1]


def _sine_3(x: Any) -> Any:
    return _cosine_3(x[..., ::-1]) * _signs(x)


def _sine_4(x: Any) -> Any:
    return _cosine_4(x[..., ::-1]) * _signs(x)


_COSINES = (_cosine_1, _cosine_2, _cosine_3, _cosine_4)
_SINES = (_sine_1, _sine_2, _sine_3, _sine_4)


def _at_end(x: Any, ends: Sequence[int], factor: float) -> Any:
    """x with its first or last elements multiplied by a factor."""
    weights = np.ones(x.shape[-1], x.dtype)
    for i in set(i % x.shape[-1] for i in ends):
        weights[i] = factor
    return x * weights


def _real(x: Any, kind: int, sine: bool, factor: float, orthogonal: bool) -> Any:
    """A transform of real numbers along the last axis."""
    ends = {1: () if sine else (0, -1), 2: (-1,) if sine else (0,), 3: (-1,) if sine else (0,), 4: ()}[kind]
    if orthogonal and kind in (1, 3):
        x = _at_end(x, ends, 2**0.5)
    out = (_SINES if sine else _COSINES)[kind - 1](x)
    if orthogonal and kind in (1, 2):
        out = _at_end(out, ends, 0.5**0.5)
    return out if factor == 1 else out * factor


def _transform(
    x: Any, kind: int, n: int | None, axis: int, norm: str | None, orthogonalize: bool | None, sine: bool, inverse: bool
) -> Any:
    name = f"{'i' if inverse else ''}{'dst' if sine else 'dct'}"
    if kind not in (1, 2, 3, 4):
        raise ValueError(f"{name}: type is 1, 2, 3 or 4, got {kind!r}")
    if norm not in _OPPOSITE:
        raise ValueError(f'{name}: norm is "backward", "ortho" or "forward", got {norm!r}')
    x = array_operand(inexact(x))
    if x.dtype == np.float16:
        x = x.astype(np.float32)
    if not -x.ndim <= axis < x.ndim:
        raise np.exceptions.AxisError(axis, x.ndim)
    x = np.moveaxis(x, axis, -1)
    size = x.shape[-1] if n is None else operator.index(n)
    if size < 1:
        raise ShapeError(f"{name}: invalid number of data points ({size})")
    if size <= x.shape[-1]:
        x = x[..., :size]
    else:
        x = np.concatenate([x, np.zeros((*x.shape[:-1], size - x.shape[-1]), x.dtype)], axis=-1)
    whole = 2 * (size + 1 if sine and kind == 1 else size - 1 if kind == 1 else size)
    divided = (norm or "backward") == ("backward" if inverse else "forward")
    factor = whole**-0.5 if norm == "ortho" else 1 / whole if divided and whole else 1.0
    orthogonal = norm == "ortho" if orthogonalize is None else bool(orthogonalize)
    if inverse:
        kind = {2: 3, 3: 2}.get(kind, kind)
    if x.dtype.kind == "c":
        parts = (_real(part, kind, sine, factor, orthogonal) for part in (x.real, x.imag))
        out = next(parts) + 1j * next(parts)
    else:
        out = _real(x, kind, sine, factor, orthogonal)
    return np.moveaxis(out, -1, axis)


def _along(name: str, sine: bool, inverse: bool) -> Any:
    what = f"{'inverse ' if inverse else ''}{'sine' if sine else 'cosine'} transform"

    def transform(
        x: Any,
        type: int = 2,
        n: int | None = None,
        axis: int = -1,
        norm: str | None = None,
        overwrite_x: bool = False,
        workers: int | None = None,
        orthogonalize: bool | None = None,
    ) -> Any:
        return _transform(x, type, n, axis, norm, orthogonalize, sine, inverse)

    transform.__name__ = transform.__qualname__ = name
    transform.__doc__ = f"The {what} of type 1 to 4 along an axis; as `scipy.fft.{name}`."
    return transform


def _over(name: str, sine: bool, inverse: bool) -> Any:
    what = f"{'inverse ' if inverse else ''}{'sine' if sine else 'cosine'} transform"

    def transform(
        x: Any,
        type: int = 2,
        s: Any = None,
        axes: Any = None,
        norm: str | None = None,
        overwrite_x: bool = False,
        workers: int | None = None,
        *,
        orthogonalize: bool | None = None,
    ) -> Any:
        x = array_operand(inexact(x))
        sizes = None if s is None else [s] if np.ndim(s) == 0 else list(s)
        if axes is None:
            axes = range(x.ndim) if sizes is None else range(x.ndim - len(sizes), x.ndim)
        places = [axes] if np.ndim(axes) == 0 else list(axes)
        if sizes is not None and len(sizes) != len(places):
            raise ValueError(f"{name}: {len(sizes)} sizes for {len(places)} axes")
        for i, axis in enumerate(places):
            x = _transform(x, type, None if sizes is None else sizes[i], axis, norm, orthogonalize, sine, inverse)
        return x

    transform.__name__ = transform.__qualname__ = name
    transform.__doc__ = f"The {what} over several axes, by default all; as `scipy.fft.{name}`."
    return transform


dct, idct = _along("dct", False, False), _along("idct", False, True)
dst, idst = _along("dst", True, False), _along("idst", True, True)
dctn, idctn = _over("dctn", False, False), _over("idctn", False, True)
dstn, idstn = _over("dstn", True, False), _over("idstn", True, True)


def next_fast_len(target: int, real: bool = False) -> int:
    """The least length from `target` on whose transform is fast. SciPy's.

    >>> next_fast_len(13)
    14
    """
    return scipy_module("fft", "fft.next_fast_len").next_fast_len(target, real)


def fht(*args: Any, **kwargs: Any) -> Any:
    """Not offered. Raises."""
    raise NotImplementedError("the fast Hankel transform is not offered; use the integral, or scipy.fft.fht outside")


ifht = fht
