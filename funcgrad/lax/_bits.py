"""Functions of the bits of numbers by the names of `jax.lax`: shifts, counts, casts, rounding to fewer bits."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.ops.precision import REDUCE_PRECISION
from funcgrad.ops.shape import BITCAST
from funcgrad.types import result_dtype

__all__ = ["bitcast_convert_type", "clz", "mulhi", "population_count", "reduce_precision", "shift_right_arithmetic",
           "shift_right_logical"]  # fmt: skip


def _integers(name: str, *xs: Any) -> tuple[Any, ...]:
    """Operands of one integer dtype."""
    arrays = [array_operand(x) for x in xs]
    dtype = result_dtype(*arrays)
    if dtype.kind not in "iu":
        raise TypeError(f"{name}: operands must be integers, got {', '.join(str(a.dtype) for a in arrays)}")
    return tuple(a.astype(dtype) for a in arrays)


def _unsigned(dtype: Any) -> np.dtype[Any]:
    return np.dtype(f"u{dtype.itemsize}")


def shift_right_arithmetic(x: Any, y: Any) -> Any:
    """`x` shifted to the right by `y` bits, copies of the first bit coming in, also into unsigned integers.

    >>> shift_right_arithmetic(np.array([-8, 7], np.int8), np.int8(1)).tolist()
    [-4, 3]
    """
    x, y = _integers("shift_right_arithmetic", x, y)
    if x.dtype.kind == "i":
        return np.right_shift(x, y)
    signed = np.dtype(f"i{x.dtype.itemsize}")
    return np.right_shift(x.astype(signed), y.astype(signed)).astype(x.dtype)


def shift_right_logical(x: Any, y: Any) -> Any:
    """`x` shifted to the right by `y` bits, zeros coming in; zero where `y` is negative or not less than their number.

    >>> shift_right_logical(np.array([-8, -8], np.int8), np.int8(1)).tolist()
    [124, 124]
    """
    x, y = _integers("shift_right_logical", x, y)
    return np.right_shift(x.astype(_unsigned(x.dtype)), y.astype(_unsigned(x.dtype))).astype(x.dtype)


def population_count(x: Any) -> Any:
    """How many bits are set, in the dtype of the operand; of negative integers in two's complement.

    >>> population_count(np.array([7, -1], np.int8)).tolist()
    [3, 8]
    """
    (x,) = _integers("population_count", x)
    return np.bitwise_count(x.astype(_unsigned(x.dtype))).astype(x.dtype)


def clz(x: Any) -> Any:
    """How many bits are zero before the first one that is set, in the dtype of the operand.

    >>> clz(np.array([1, 0, -1], np.int8)).tolist()
    [7, 8, 0]
    """
    (x,) = _integers("clz", x)
    n = 8 * x.dtype.itemsize
    bits, shift = x.astype(_unsigned(x.dtype)), 1
    while shift < n:  # set every bit behind the first one
        bits = bits | np.right_shift(bits, bits.dtype.type(shift))
        shift *= 2
    return (n - np.bitwise_count(bits)).astype(x.dtype)


def mulhi(x: Any, y: Any) -> Any:
    """The upper half of the bits of a product of integers.

    >>> mulhi(np.array([100, -100], np.int8), np.int8(50)).tolist()
    [19, -20]
    """
    x, y = _integers("mulhi", x, y)
    size = x.dtype.itemsize
    if size < 8:
        wide = np.dtype(f"{x.dtype.kind}{2 * size}")
        return np.right_shift(x.astype(wide) * y.astype(wide), wide.type(8 * size)).astype(x.dtype)
    unsigned = np.dtype(np.uint64)
    mask, half = unsigned.type(0xFFFFFFFF), unsigned.type(32)
    a, b = x.astype(unsigned), y.astype(unsigned)
    low_a, high_a, low_b, high_b = a & mask, a >> half, b & mask, b >> half
    cross = high_a * low_b + ((low_a * low_b) >> half)
    other = low_a * high_b + (cross & mask)
    high = high_a * high_b + (cross >> half) + (other >> half)
    if x.dtype.kind == "u":
        return high
    return high.astype(x.dtype) - np.where(x < 0, y, 0) - np.where(y < 0, x, 0)


def bitcast_convert_type(operand: Any, new_dtype: Any) -> Any:
    """The same bits as another dtype; without a derivative.

    Args:
        operand: an array of integers or of floating numbers.
        new_dtype: the dtype. If it is smaller, the result has a further last axis for the parts of an element, lowest
            bits first; if it is larger, the last axis of the operand holds the parts of an element of the result.

    Raises:
        TypeError, ShapeError: the sizes do not fit.

    >>> bitcast_convert_type(np.ones(1, np.float32), np.int32)
    array([1065353216], dtype=int32)
    >>> bitcast_convert_type(np.array([258], np.int16), np.int8)
    array([[2, 1]], dtype=int8)
    """
    x, dtype = array_operand(operand), np.dtype(new_dtype)
    have, want = x.dtype.itemsize, dtype.itemsize
    if have == want:
        return BITCAST.bind(x, dtype=dtype)
    if x.dtype.kind not in "iuf" or dtype.kind not in "iuf":
        raise TypeError(f"bitcast_convert_type: {x.dtype} cannot become {dtype}, which differs in size")
    bits = BITCAST.bind(x, dtype=_unsigned(x.dtype))
    parts = max(have, want) // min(have, want)
    if want < have:
        shifts = np.arange(parts, dtype=bits.dtype) * bits.dtype.type(8 * want)
        return BITCAST.bind(np.right_shift(bits[..., None], shifts).astype(_unsigned(dtype)), dtype=dtype)
    if not x.ndim or x.shape[-1] != parts:
        raise ShapeError(
            f"bitcast_convert_type: the last axis of an operand of shape {x.shape} must have the {parts} parts of a "
            f"{dtype}, each a {x.dtype}"
        )
    whole = _unsigned(dtype)
    shifts = np.arange(parts, dtype=whole) * whole.type(8 * have)
    return BITCAST.bind(np.sum(np.left_shift(bits.astype(whole), shifts), axis=-1, dtype=whole), dtype=dtype)


def reduce_precision(operand: Any, exponent_bits: int, mantissa_bits: int) -> Any:
    """Rounded, to even, to a number of so many bits, in the same dtype: too large ones are infinite, too small ones 0.

    A derivative passes, rounded likewise.

    >>> reduce_precision(np.array([1.2345678, 1e30]), exponent_bits=5, mantissa_bits=10)
    array([1.234375,      inf])
    """
    exponent, mantissa = operator.index(exponent_bits), operator.index(mantissa_bits)
    if exponent < 1 or mantissa < 0:
        raise ValueError(f"reduce_precision: no number has {exponent} bits of exponent and {mantissa} of mantissa")
    return REDUCE_PRECISION.bind(array_operand(operand), exponent_bits=exponent, mantissa_bits=mantissa)
