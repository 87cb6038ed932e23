"""The mapped axes that collectives are over: their names and sizes, groups of examples, and axes cut in their sizes."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import funcgrad.tree as tree
from funcgrad.core import axes_in_scope
from funcgrad.numpy._dispatch import array_operand
from funcgrad.ops import collective
from funcgrad.ops.index import GATHER
from funcgrad.transforms.boundary import differentiable_leaf
from funcgrad.types import is_a, shape_of

__all__ = [
    "Group",
    "axis_of",
    "blocks",
    "check_whole",
    "count_of",
    "gather_group",
    "group_of",
    "index_among",
    "joined",
    "leafwise",
    "mapped_axes",
    "named_and_own",
    "parted",
    "stacked",
]


def _names(axis_name: Any) -> tuple[Any, ...]:
    return tuple(axis_name) if isinstance(axis_name, (tuple, list)) else (axis_name,)


def _size(what: str, axis_name: Any) -> int:
    """The size of the axis of this name; raises NameError if there is none."""
    axes = axes_in_scope()
    for name, size in reversed(axes):
        if name == axis_name:
            return size
    raise collective.unbound(what, axis_name, axes)


def mapped_axes(what: str, axis_name: Any) -> list[tuple[Any, int]]:
    names = _names(axis_name)
    twice = {n for n in names if names.count(n) > 1}
    if twice:
        raise ValueError(f"{what}: the axis {twice.pop()!r} is named twice in {axis_name!r}")
    return [(name, _size(what, name)) for name in names]


def named_and_own(axis_name: Any) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """The names of mapped axes among these, and the axes of the operand itself: integers that name none."""
    names, scope = _names(axis_name), [name for name, _ in axes_in_scope()]
    own = tuple(n for n in names if is_a(n, int) and n not in scope)
    return tuple(n for n in names if n not in own), own


def count_of(axes: Sequence[tuple[Any, int]]) -> int:
    return math.prod(size for _, size in axes)


class Group(NamedTuple):
    """The group of an example, for `axis_index_groups`.

    Attributes:
        members: the numbers of its examples.
        position: which of them this one is.
        size: how many there are, a Python integer.
    """

    members: Any
    position: Any
    size: int


def group_of(what: str, axes: Sequence[tuple[Any, int]], groups: Any) -> Group:
    n = count_of(axes)
    rows = [[operator.index(i) for i in g] for g in groups]
    if sorted(i for g in rows for i in g) != list(range(n)) or len({len(g) for g in rows}) != 1:
        raise ValueError(
            f"{what}: axis_index_groups must be groups of one size with each of the {n} examples, got {rows}"
        )
    mine = {i: (g, j) for g in rows for j, i in enumerate(g)}
    here = index_among(axes)
    members, positions = np.array([mine[i][0] for i in range(n)]), np.array([mine[i][1] for i in range(n)])
    return Group(GATHER.bind(members, here, axes=(0,)), GATHER.bind(positions, here, axes=(0,)), len(rows[0]))


def gather_group(x: Any, axes: Sequence[tuple[Any, int]], group: Group) -> Any:
    """What the examples of the group have, along a first axis."""
    return GATHER.bind(stacked(x, axes, 0), group.members, axes=(0,))


def stacked(x: Any, axes: Sequence[tuple[Any, int]], at: int) -> Any:
    """All examples along a further axis; those of the last name are next to each other."""
    for name, size in reversed(axes):
        x = collective.ALL_GATHER.bind(x, axis_name=name, axis=at, axis_size=size)
    for _ in axes[1:]:
        x = joined(x, at)
    return x if axes else np.expand_dims(array_operand(x), at)


def index_among(axes: Sequence[tuple[Any, int]]) -> Any:
    """The number of the example among all, that of the last name fastest."""
    index: Any = None
    for name, size in axes:
        here = collective.AXIS_INDEX.bind(axis_name=name)
        index = here if index is None else index * size + here
    return np.array(0) if index is None else index


def leafwise(what: str, fun: Callable[[Any], Any], x: Any) -> Any:
    def applied(leaf: Any) -> Any:
        differentiable_leaf(leaf, "an operand", what)
        return fun(leaf)

    return tree.map(applied, x)


def axis_of(what: str, axis: int, x: Any, ndim: int | None = None) -> int:
    """An axis of `x` (or of an array of `ndim` axes) as a non-negative number."""
    n = len(shape_of(x)) if ndim is None else ndim
    if not -n <= axis < n:
        raise ValueError(f"{what}: axis {axis} is out of range for an operand of shape {shape_of(x)}")
    return axis % n


def check_whole(what: str, x: Any, axis: int, size: int) -> None:
    if shape_of(x)[axis] != size:
        raise ValueError(
            f"{what}: axis {axis} of an operand of shape {shape_of(x)} must have the size of the mapped axis, {size}; "
            "with tiled=True a multiple of it will do"
        )


def blocks(what: str, x: Any, axis: int, size: int) -> Any:
    """`x` with `axis` cut into `size` blocks: two axes in its place."""
    shape = shape_of(x)
    if size == 0 or shape[axis] % size:
        raise ValueError(f"{what}: axis {axis} of an operand of shape {shape} cannot be cut into {size} equal parts")
    return np.reshape(x, (*shape[:axis], size, shape[axis] // size, *shape[axis + 1 :]))


def parted(x: Any, axis: int, axes: Sequence[tuple[Any, int]]) -> Any:
    """`x` with `axis` cut along the mapped axes, one for each in its place."""
    shape = shape_of(x)
    return np.reshape(x, (*shape[:axis], *(size for _, size in axes), *shape[axis + 1 :]))


def joined(x: Any, axis: int) -> Any:
    """`x` with `axis` and the one behind it made into one."""
    shape = shape_of(x)
    return np.reshape(x, (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]))
