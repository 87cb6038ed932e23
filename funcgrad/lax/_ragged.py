"""Products of arrays that are divided into groups along one axis, by the names of `jax.lax`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.lax._products import dot_general, in_dtype
from funcgrad.lax._types import RaggedDotDimensionNumbers, check_precision, no_sharding
from funcgrad.numpy._dispatch import array_operand
from funcgrad.types import dtype_of, shape_of

__all__ = ["ragged_dot", "ragged_dot_general"]


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
        preferred_element_type: the dtype of the result.
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
    check_precision("ragged_dot", precision)
    a, b = array_operand(lhs), array_operand(rhs)
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
    return in_dtype(lambda a, b: _of_rows(a, b, group), a, b, preferred_element_type)


def _of_rows(a: Any, b: Any, group: Any) -> Any:
    """Each row of `a` times the matrix of its group."""
    out = np.zeros((a.shape[0], b.shape[2]), dtype_of(a))
    for i in range(shape_of(b)[0]):
        out = np.where((group == i)[:, None], np.matmul(a, b[i]), out)
    return out


def ragged_dot_general(
    lhs: Any,
    rhs: Any,
    group_sizes: Any,
    ragged_dot_dimension_numbers: RaggedDotDimensionNumbers,
    precision: Any = None,
    preferred_element_type: Any = None,
    group_offset: Any = None,
    out_sharding: Any = None,
) -> Any:
    """The product of arrays, one axis of the left one being divided into groups.

    Args:
        lhs: an array.
        rhs: an array.
        group_sizes: integers `(g,)`: how many places each group has along the ragged axis. Or `(..., g)`: for each
            index of the batch axes, and of those axes of the ragged axis's own kind that come before it.
        ragged_dot_dimension_numbers: those of `dot_general`, the ragged axis of `lhs`, and the axis of `rhs` that has
            an entry for each group; there is one if the ragged axis is neither contracted nor a batch axis.
        precision: accepted for JAX's sake.
        preferred_element_type: the dtype of the result.
        group_offset: None.
        out_sharding: None.

    Returns:
        What `dot_general` gives, each group with its own entry of `rhs`, and zeros behind the last group. If the
        ragged axis is contracted, the groups are summed each for itself, along a new first axis. A ragged batch axis
        changes nothing.

    Raises:
        ShapeError: axes or group sizes do not fit together.

    >>> numbers = RaggedDotDimensionNumbers((((1,), (0,)), ((), ())), [1], [])
    >>> ragged_dot_general(np.ones((1, 3)), np.ones((3, 1)), np.array([2, 1]), numbers).ravel()
    array([2., 1.])
    """
    no_sharding("ragged_dot_general", out_sharding)
    if group_offset is not None:
        raise NotImplementedError("ragged_dot_general: group_offset is taken by ragged_dot only")
    a, b, sizes = array_operand(lhs), array_operand(rhs), array_operand(group_sizes)
    if dtype_of(sizes).kind not in "iu" or not sizes.ndim:
        raise ShapeError(f"ragged_dot_general: group sizes must be integers along an axis, got {sizes}")
    numbers, ragged, grouped = ragged_dot_dimension_numbers
    (contract, right_contract), (batch, right_batch) = ((tuple(x), tuple(y)) for x, y in numbers)
    free = tuple(i for i in range(a.ndim) if i not in (*contract, *batch))
    if len(ragged) != 1 or not 0 <= ragged[0] < a.ndim:
        raise ShapeError(f"ragged_dot_general: one ragged axis of {a.shape} is needed, got {tuple(ragged)}")
    axis = ragged[0]
    if len(grouped) != (axis in free) or any(i in (*right_contract, *right_batch) for i in grouped):
        raise ShapeError(
            f"ragged_dot_general: {axis} being the ragged axis, group axes of the right operand, of shape {b.shape}, "
            f"cannot be {tuple(grouped)}"
        )
    if grouped and b.shape[grouped[0]] != sizes.shape[-1]:
        raise ShapeError(
            f"ragged_dot_general: there are {sizes.shape[-1]} group sizes for {b.shape[grouped[0]]} groups"
        )
    options = {"precision": precision, "preferred_element_type": preferred_element_type}
    if axis in batch:
        return dot_general(a, b, numbers, **options)
    if axis in free:
        parts = _by_group(a, axis, sizes, (*batch, *free[: free.index(axis)]))
        pairs = (((*_behind(contract), 0), (*right_contract, *grouped)), (_behind(batch), right_batch))
        return dot_general(parts, b, pairs, **options)
    place = contract.index(axis)
    left = _by_group(a, axis, sizes, (*batch, *contract[:place]))
    right = _by_group(b, right_contract[place], sizes, (*right_batch, *right_contract[:place]))
    pairs = ((_behind(contract), _behind(right_contract)), ((0, *_behind(batch)), (0, *_behind(right_batch))))
    return dot_general(left, right, pairs, **options)


def _behind(axes: Sequence[int]) -> tuple[int, ...]:
    """These axes where there is a new one in front."""
    return tuple(i + 1 for i in axes)


def _by_group(x: Any, axis: int, sizes: Any, outer: Sequence[int]) -> Any:
    """For each group, along a new first axis, `x` with zeros at other groups' places along an axis.

    The group sizes may depend on the index along the axes `outer`.
    """
    space = tuple(x.shape[i] for i in outer)
    if sizes.ndim > 1 and sizes.shape[:-1] != space:
        raise ShapeError(
            f"ragged_dot_general: group sizes have the shape {sizes.shape}; those outside are the axes {space}"
        )
    ends = np.broadcast_to(np.cumsum(sizes, axis=-1), (*space, sizes.shape[-1]))[..., None]
    place = np.arange(x.shape[axis])
    mine = np.moveaxis((ends - sizes[..., None] <= place) & (place < ends), -2, 0)
    axes = (*outer, axis)
    mine = np.transpose(mine, (0, *_behind(np.argsort(axes).tolist())))
    return np.where(
        np.reshape(mine, (-1, *(n if i in axes else 1 for i, n in enumerate(x.shape)))), x, np.zeros((), x.dtype)
    )
