"""Products of arrays by the names of `jax.lax`: `dot_general` and its shorter forms, `ragged_dot`."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.lax._types import DotDimensionNumbers, no_sharding
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._shape import axis_index
from funcgrad.ops.contract import DOT_GENERAL
from funcgrad.types import result_dtype, shape_of

__all__ = ["batch_matmul", "dot", "dot_general", "ragged_dot"]


def _promoted(a: Any, b: Any, dtype: Any) -> tuple[Any, Any]:
    a, b = array_operand(a), array_operand(b)
    dtype = result_dtype(a, b) if dtype is None else dtype
    return a.astype(dtype), b.astype(dtype)


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
    a, b = _promoted(lhs, rhs, preferred_element_type)
    if not (1 <= a.ndim <= 2 and 1 <= b.ndim <= 2 and a.shape[-1] == b.shape[0]):
        raise ShapeError(
            f"dot: vectors and matrices only, with equal inner sizes, unless dimension_numbers are given; got "
            f"{a.shape} and {b.shape}"
        )
    return np.dot(a, b)


def batch_matmul(lhs: Any, rhs: Any, precision: Any = None) -> Any:
    """The matrix product over the last two axes; those before are the same in both.

    Raises ShapeError where the shapes do not fit.

    >>> batch_matmul(np.ones((5, 2, 3)), np.ones((5, 3, 4))).shape
    (5, 2, 4)
    """
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
        preferred_element_type: the dtype to compute in, and of the result.
        out_sharding: None.

    The result has the batch axes first, then the other axes of `lhs`, then those of `rhs`.

    Raises:
        ShapeError: axes do not fit together, or occur twice.

    >>> dot_general(np.ones((2, 3, 4)), np.ones((2, 4)), (((2,), (1,)), ((0,), (0,)))).shape
    (2, 3)
    """
    no_sharding("dot_general", out_sharding)
    a, b = _promoted(lhs, rhs, preferred_element_type)
    pairs = [
        (tuple(axis_index(i, a.ndim) for i in left), tuple(axis_index(i, b.ndim) for i in right))
        for left, right in dimension_numbers
    ]
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
    return DOT_GENERAL.bind(a, b, contract=pairs[0], batch=pairs[1])


def ragged_dot(
    lhs: Any,
    rhs: Any,
    group_sizes: Any,
    precision: Any = None,
    preferred_element_type: Any = None,
    group_offset: Any = None,
    out_sharding: Any = None,
) -> Any:
    """The product of groups of rows with a matrix for each group.

    Args:
        lhs: `(m, k)`, the rows.
        rhs: `(g, k, n)`, the matrices.
        group_sizes: integers `(g,)`: how many rows each group has. Rows behind the last group give zeros.
        precision: accepted for JAX's sake.
        preferred_element_type: the dtype to compute in, and of the result.
        group_offset: an integer `(1,)`: the group that the first matrix is for.
        out_sharding: None.

    Returns:
        `(m, n)`. Each group is computed for all rows, and selected from.

    Raises:
        ShapeError: the shapes do not fit together.

    >>> ragged_dot(np.ones((3, 1)), np.array([[[1.0]], [[2.0]]]), np.array([2, 1]))[:, 0]
    array([1., 1., 2.])
    """
    no_sharding("ragged_dot", out_sharding)
    a, b = _promoted(lhs, rhs, preferred_element_type)
    sizes = array_operand(group_sizes)
    if a.ndim != 2 or b.ndim != 3 or a.shape[1] != b.shape[1] or sizes.ndim != 1:
        raise ShapeError(
            f"ragged_dot: shapes (m, k), (g, k, n) and (g,) are needed, got {a.shape}, {b.shape}, {sizes.shape}"
        )
    if group_offset is None and sizes.shape[0] != b.shape[0]:
        raise ShapeError(f"ragged_dot: there are {sizes.shape[0]} group sizes for {b.shape[0]} matrices")
    ends = np.cumsum(sizes)
    first = 0 if group_offset is None else np.reshape(array_operand(group_offset), ())
    rows = np.arange(a.shape[0])
    group = np.sum(rows[:, None] >= ends, axis=1) - first
    out = np.zeros((a.shape[0], b.shape[2]), result_dtype(a, b))
    for i in range(shape_of(b)[0]):
        out = np.where((group == i)[:, None], np.matmul(a, b[i]), out)
    return out
