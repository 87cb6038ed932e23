"""What samplers begin with: dtypes, shapes and parameters checked, and uniform numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.errors import ArgumentError
from funcgrad.numpy._dispatch import array_operand, operand
from funcgrad.ops.normal_quantile import ERF_INV
from funcgrad.ops.random import BITS, SPLIT
from funcgrad.ops.random_samples import unit_interval
from funcgrad.ops.shape import BITCAST
from funcgrad.random._keys import shape_tuple
from funcgrad.types import PYTHON_SCALARS, broadcast_shapes, shape_of

__all__ = [
    "Parameters",
    "fitted",
    "float_dtype",
    "int_dtype",
    "normals",
    "parameter",
    "subkeys",
    "uniforms",
    "with_floats",
]

_FLOATS = frozenset(map(np.dtype, ("e", "f", "d")))
_COMPLEX = {np.dtype(np.complex64): np.dtype(np.float32), np.dtype(np.complex128): np.dtype(np.float64)}

Parameters = Any
"""Of a distribution: numbers or arrays, which may be traced."""


def float_dtype(dtype: Any, name: str, complex_too: bool = False) -> np.dtype[Any]:
    """The dtype of samples: float64 if none is given. Raises ValueError for what is not floating."""
    out = np.dtype(np.float64 if dtype is None else dtype)
    if out in _FLOATS or (complex_too and out in _COMPLEX):
        return out
    kinds = "float16, float32 or float64" + (", complex64 or complex128" if complex_too else "")
    raise ValueError(f"{name}: the dtype of samples is {kinds}, got {out}")


def int_dtype(dtype: Any, name: str) -> np.dtype[Any]:
    """The dtype of samples that are whole numbers: int64 if none is given. Raises ArgumentError for another kind."""
    out = np.dtype(np.int64 if dtype is None else dtype)
    if out.kind not in "iu":
        raise ArgumentError(f"{name}: the dtype of samples is one of integers, got {out}")
    return out


def parameter(x: Any, dtype: np.dtype[Any]) -> Any:
    """A parameter in the dtype of the samples."""
    return dtype.type(x) if type(x) in PYTHON_SCALARS else array_operand(x).astype(dtype)


def with_floats(*xs: Any) -> list[Any]:
    """Parameters as arrays of the floating dtype to which they are promoted together."""
    arrays = list(map(operand, xs))
    dtype = np.result_type(*[x if type(x) in PYTHON_SCALARS else x.dtype for x in arrays])
    if dtype.kind != "f":
        dtype = np.dtype(np.float64)
    return [parameter(x, dtype) for x in arrays]


def fitted(name: str, shape: Any, *params: Any) -> tuple[int, ...]:
    """The shape of samples: that of the parameters together, or the given one, to which they must broadcast."""
    shapes = [shape_of(operand(p)) for p in params]
    try:
        own = broadcast_shapes(*shapes) if shapes else ()
        if shape is None:
            return own
        wanted = shape_tuple(shape, name)
        if broadcast_shapes(wanted, own) == wanted:
            return wanted
    except ValueError as error:
        if "broadcast" not in str(error):
            raise
    given = ", ".join(map(str, shapes))
    raise ValueError(
        f"{name}: parameters of shape {given} do not broadcast to "
        + (f"the shape {shape}" if shape is not None else "one shape")
        + "; the shape is that of all samples, those dimensions of the parameters included"
    )


def subkeys(key: Any, n: int = 2) -> list[Any]:
    """Keys of a key."""
    keys = SPLIT.bind(key, shape=(n,))
    return [keys[i] for i in range(n)]


def uniforms(key: Any, shape: tuple[int, ...], dtype: np.dtype[Any], low: Any = 0.0, high: Any = 1.0) -> Any:
    """Numbers in [low, high), which are Python's, NumPy's or arrays of the dtype.

    The bits become the fraction of a number in [1, 2), of which 1 is subtracted.
    """
    bits: Any = BITS.bind(key, shape=shape, width=8 * dtype.itemsize)
    if type(bits) is np.ndarray:
        units = unit_interval(bits, dtype)
    else:
        info, one = np.finfo(dtype), np.ones((), dtype)
        fraction = np.right_shift(bits, bits.dtype.type(info.bits - info.nmant))
        units = BITCAST.bind(np.bitwise_or(fraction, one.view(bits.dtype)[()]), dtype=dtype) - one[()]
    if type(low) is float and low == 0.0 and type(high) is float and high == 1.0:
        return units
    low, high = parameter(low, dtype), parameter(high, dtype)
    return np.maximum(low, units * (high - low) + low)


def normals(key: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Normal numbers: √2·erf⁻¹ of numbers in (-1, 1); complex ones have variance 1 too."""
    if dtype in _COMPLEX:
        re, im = (normals(k, shape, _COMPLEX[dtype]).astype(dtype) for k in subkeys(key))
        return (re + 1j * im) / np.sqrt(2).astype(dtype)
    low = np.nextafter(dtype.type(-1), dtype.type(0), dtype=dtype)
    return dtype.type(np.sqrt(2)) * ERF_INV.bind(uniforms(key, shape, dtype, low, dtype.type(1)))
