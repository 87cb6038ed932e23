"""Rounding to numbers of fewer bits, which stay numbers of the same dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.errors import DTypeError
from funcgrad.ops.rules import declare
from funcgrad.types import ShapedArray

__all__ = ["REDUCE_PRECISION"]


def _impl(x: Any, exponent_bits: int, mantissa_bits: int) -> Any:
    x = np.asarray(x)
    if x.dtype == np.float16:
        return _impl(x.astype(np.float32), exponent_bits, mantissa_bits).astype(np.float16)
    if x.dtype.kind == "c":
        out = np.empty_like(x)
        out.real, out.imag = (_impl(part, exponent_bits, mantissa_bits) for part in (x.real, x.imag))
        return out
    info = np.finfo(x.dtype)
    out = np.array(x)
    lost = info.nmant - mantissa_bits
    if lost > 0:  # halves go to the number whose last bit is zero; a carry goes on into the exponent
        bits = out.view(f"u{x.itemsize}")
        one = bits.dtype.type(1)
        last = (bits >> bits.dtype.type(lost)) & one
        rounded = (bits + ((one << bits.dtype.type(lost - 1)) - one + last)) & ~((one << bits.dtype.type(lost)) - one)
        bits[...] = np.where(np.isfinite(x), rounded, bits)
    if exponent_bits < info.nexp:
        bias = (1 << (exponent_bits - 1)) - 1
        _, exponent = np.frexp(out)
        large, small = exponent - 1 > bias, (exponent - 1 < 1 - bias) & (out != 0)
        out = np.where(np.isfinite(out) & large, np.copysign(info.dtype.type(np.inf), out), out)
        out = np.where(np.isfinite(out) & small, np.copysign(info.dtype.type(0), out), out)
    return out[()] if x.ndim == 0 else out


def _abstract(x: ShapedArray, exponent_bits: int, mantissa_bits: int) -> ShapedArray:
    if x.dtype.kind not in "fc":
        raise DTypeError(f"defined for floating numbers, not for {x.dtype}")
    return ShapedArray(x.shape, x.dtype)


def _jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], **bits: int) -> Any:
    return REDUCE_PRECISION.bind(tangents[0], **bits)


def _vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], **bits: int) -> list[Any]:
    return [REDUCE_PRECISION.bind(ct, **bits)]


REDUCE_PRECISION = declare("reduce_precision", _impl, _abstract, jvp=_jvp, vjp=_vjp, pointwise=True, total=True)
"""Rounded to that many bits of exponent and mantissa: what is too large is infinite, and too small is zero.

A derivative passes, rounded likewise.
"""
