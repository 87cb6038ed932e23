"""Products of arrays by the names of `jax.lax`: `dot_general` and its shorter forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.lax._types import DotDimensionNumbers, check_precision, no_sharding
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._shape import axis_index
from funcgrad.ops.contract import DOT_GENERAL
from funcgrad.types import is_a, result_dtype

__all__ = ["batch_matmul", "dot", "dot_general", "in_dtype"]


def in_dtype(product: Callable[[Any, Any], Any], lhs: Any, rhs: Any, preferred: Any) -> Any:
    """A product in the preferred dtype; it is computed in one that holds the operands as well."""
    a, b = array_operand(lhs), array_operand(rhs)
    wanted = np.dtype(result_dtype(a, b) if preferred is None else preferred)
    dtype = result_dtype(a, b, np.empty((), wanted))
    out = product(a if a.dtype == dtype else a.astype(dtype), b if b.dtype == dtype else b.astype(dtype))
    return out if dtype == wanted else out.astype(wanted)


def dot(
    lhs: Any,
    rhs: Any,
    *,
    dimension_numbers: DotDimensionNumbers | None = None,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: Any = None,
) -> Any:
    """The product of vectors and matrices; with `dimension_numbers`, of any arrays: see `dot_general`.

    Raises ShapeError where the shapes do not fit.

    >>> dot(np.array([[1.0, 2.0]]), np.array([3.0, 4.0]))
    array([11.])
    """
    no_sharding("dot", out_sharding)
    if dimension_numbers is not None:
        return dot_general(lhs, rhs, dimension_numbers, precision, preferred_element_type)
    check_precision("dot", precision)
    a, b = array_operand(lhs), array_operand(rhs)
    if not (1 <= a.ndim <= 2 and 1 <= b.ndim <= 2 and a.shape[-1] == b.shape[0]):
        raise ShapeError(
            f"dot: vectors and matrices only, with equal inner sizes, unless dimension_numbers are given; got "
            f"{a.shape} and {b.shape}"
        )
    return in_dtype(np.dot, a, b, preferred_element_type)


def batch_matmul(lhs: Any, rhs: Any, precision: Any = None) -> Any:
    """The matrix product over the last two axes; those before are the same in both.

    Raises ShapeError where the shapes do not fit.

    >>> batch_matmul(np.ones((5, 2, 3)), np.ones((5, 3, 4))).shape
    (5, 2, 4)
    """
    check_precision("batch_matmul", precision)
    a, b = array_operand(lhs), array_operand(rhs)
    if a.ndim < 2 or a.shape[:-2] != b.shape[:-2]:
        raise ShapeError(f"batch_matmul: stacks of as many matrices are needed, got {a.shape} and {b.shape}")
    return np.matmul(a, b)


def dot_general(
    lhs: Any,
    rhs: Any,
    dimension_numbers: DotDimensionNumbers,
    precision: Any = None,
    preferred_element_type: Any = None,
    *,
    out_sharding: Any = None,
) -> Any:
    """The product summed over some axes and aligned along others.

    Args:
        lhs: an array.
        rhs: an array.
        dimension_numbers: ((contracted axes of lhs, of rhs), (batch axes of lhs, of rhs)).
        precision: accepted for JAX's sake.
        preferred_element_type: the dtype of the result.
        out_sharding: None.

    The result has the batch axes first, then the other axes of `lhs`, then those of `rhs`.

    Raises:
        ShapeError: axes do not fit together, or occur twice.

    >>> dot_general(np.ones((2, 3, 4)), np.ones((2, 4)), (((2,), (1,)), ((0,), (0,)))).shape
    (2, 3)
    """
    no_sharding("dot_general", out_sharding)
    check_precision("dot_general", precision)
    a, b = array_operand(lhs), array_operand(rhs)
    pairs = [(_axes(left, a, "left"), _axes(right, b, "right")) for left, right in dimension_numbers]
    for left, right in pairs:
        if len(left) != len(right):
            raise ShapeError(f"dot_general: axes {left} of the left operand are paired with {right} of the right one")
    for which, axes in zip(("left", "right"), zip(*pairs, strict=True), strict=True):
        every = [*axes[0], *axes[1]]
        if len(set(every)) != len(every):
            raise ShapeError(
                f"dot_general: axes of the {which} operand occur twice: it is contracted over {axes[0]}, with batch "
                f"axes {axes[1]}"
            )
    contract, batch = pairs
    return in_dtype(lambda a, b: DOT_GENERAL.bind(a, b, contract=contract, batch=batch), a, b, preferred_element_type)


def _axes(axes: Any, x: Any, which: str) -> tuple[int, ...]:
    try:
        return tuple(axis_index(i, x.ndim) for i in ((axes,) if is_a(axes, int) else axes))
    except np.exceptions.AxisError:
        raise ShapeError(f"dot_general: the {which} operand, of shape {x.shape}, has no axes {axes}") from None
