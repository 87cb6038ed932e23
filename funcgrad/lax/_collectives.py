"""Collectives over a named axis: inside `vmap(f, axis_name="i")`, what `f` computes for one example may depend on all.

They take pytrees. An axis name is what `vmap` was given; the innermost axis of that name is meant. Derivatives are
those of the whole batch: the gradient of `psum` within the mapped function adds up the cotangents of all examples.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.lax._mapped import (
    axis_of,
    blocks,
    check_whole,
    count_of,
    gather_group,
    group_of,
    index_among,
    joined,
    leafwise,
    mapped_axes,
    named_and_own,
    parted,
    stacked,
)
from funcgrad.numpy._dispatch import array_operand
from funcgrad.ops import collective
from funcgrad.ops.index import GATHER
from funcgrad.transforms.boundary import boundary
from funcgrad.types import PYTHON_SCALARS, dtype_of, shape_of

__all__ = [
    "all_gather",
    "all_to_all",
    "axis_index",
    "axis_size",
    "pbroadcast",
    "pmax",
    "pmean",
    "pmin",
    "ppermute",
    "pshuffle",
    "psum",
    "psum_scatter",
    "pswapaxes",
]


# ------------------------------------------------------------------------------------------------------ reductions


@boundary
def psum(x: Any, axis_name: Any, *, axis_index_groups: Any = None) -> Any:
    """The sum over all examples.

    Args:
        x: a pytree of arrays, of any shapes.
        axis_name: a name given to `vmap`, or a tuple of several. An integer that is no name is an axis of `x` itself.
        axis_index_groups: groups of numbers of examples, of one size, each of which is for itself; by default one.

    Returns:
        A pytree like `x`, of the same shapes (less the axes of its own that were summed over), the same for all
        examples. A Python number is multiplied by the number of examples, so that `psum(1, name)` is the size of the
        axis. Dtypes are those of `np.sum`.

    Raises:
        NameError: there is no axis of this name.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: x / psum(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    array([0.25, 0.75])
    """
    return _psum("psum", _along_own("psum", np.sum, x, axis_name, axis_index_groups), axis_name, axis_index_groups)


def _along_own(what: str, reduce: Any, x: Any, axis_name: Any, groups: Any) -> Any:
    """The operand reduced along those axes that are its own."""
    own = named_and_own(axis_name)[1]
    if own and groups is not None:
        raise ValueError(f"{what}: axis_index_groups are of mapped axes, and {axis_name!r} has {own}")
    return leafwise(what, lambda leaf: reduce(array_operand(leaf), axis=own), x) if own else x


def _psum(what: str, x: Any, axis_name: Any, groups: Any) -> Any:
    axes = mapped_axes(what, named_and_own(axis_name)[0])
    group = None if groups is None else group_of(what, axes, groups)

    def total(leaf: Any) -> Any:
        if group is not None:
            return (
                leaf * group.size if type(leaf) in PYTHON_SCALARS else np.sum(gather_group(leaf, axes, group), axis=0)
            )
        for name, size in axes:
            constant = type(leaf) in PYTHON_SCALARS
            leaf = leaf * size if constant else collective.PSUM.bind(leaf, axis_name=name)
        return leaf

    return leafwise(what, total, x)


@boundary
def pmean(x: Any, axis_name: Any, *, axis_index_groups: Any = None) -> Any:
    """The mean over all examples; see `psum`. Integers give floats.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: x - pmean(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    array([-1.,  1.])
    """
    named = mapped_axes("pmean", named_and_own(axis_name)[0])
    n = count_of(named) if axis_index_groups is None else len(axis_index_groups[0])
    x = _along_own("pmean", np.mean, x, axis_name, axis_index_groups)
    return tree.map(lambda leaf: np.divide(leaf, n), _psum("pmean", x, axis_name, axis_index_groups))


def _extremum(what: str, primitive: Any, x: Any, axis_name: Any, groups: Any) -> Any:
    axes = mapped_axes(what, named_and_own(axis_name)[0])
    group = None if groups is None else group_of(what, axes, groups)
    plain = np.max if primitive is collective.PMAX else np.min
    x = _along_own(what, plain, x, axis_name, groups)

    def reduced(leaf: Any) -> Any:
        if group is not None and type(leaf) not in PYTHON_SCALARS:
            return plain(gather_group(leaf, axes, group), axis=0)
        for name, _ in axes:
            leaf = leaf if type(leaf) in PYTHON_SCALARS else primitive.bind(leaf, axis_name=name)
        return leaf

    return leafwise(what, reduced, x)


@boundary
def pmax(x: Any, axis_name: Any, *, axis_index_groups: Any = None) -> Any:
    """The maximum over all examples, elementwise; see `psum`. Examples that attain it share the derivative equally.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: pmax(x, "i") - x, axis_name="i")(np.array([1.0, 3.0]))
    array([2., 0.])
    """
    return _extremum("pmax", collective.PMAX, x, axis_name, axis_index_groups)


@boundary
def pmin(x: Any, axis_name: Any, *, axis_index_groups: Any = None) -> Any:
    """The minimum over all examples, elementwise; see `pmax`.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: x - pmin(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    array([0., 2.])
    """
    return _extremum("pmin", collective.PMIN, x, axis_name, axis_index_groups)


@boundary
def psum_scatter(
    x: Any, axis_name: Any, *, scatter_dimension: int = 0, axis_index_groups: Any = None, tiled: bool = False
) -> Any:
    """The sum over all examples, of which each example keeps the part that has its number.

    Args:
        x: a pytree of arrays, whose axis `scatter_dimension` has the size of the mapped axis (`tiled`: a multiple).
        axis_name: a name given to `vmap`.
        scatter_dimension: which axis is parted.
        axis_index_groups: groups of numbers of examples, of one size, each of which is for itself; by default one.
        tiled: each example gets a block of the axis, instead of one element without the axis.

    Raises:
        NameError: there is no axis of this name.
        ValueError: the axis cannot be parted.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: psum_scatter(x, "i"), axis_name="i")(np.array([[1.0, 2.0], [10.0, 20.0]]))
    array([11., 22.])
    """
    axes = mapped_axes("psum_scatter", axis_name)
    group = None if axis_index_groups is None else group_of("psum_scatter", axes, axis_index_groups)
    size = count_of(axes) if group is None else group.size

    def scattered(leaf: Any) -> Any:
        axis = axis_of("psum_scatter", scatter_dimension, leaf)
        if tiled:
            leaf = blocks("psum_scatter", leaf, axis, size)
        else:
            check_whole("psum_scatter", leaf, axis, size)
        if group is not None:
            return GATHER.bind(np.sum(gather_group(leaf, axes, group), axis=0), group.position, axes=(axis,))
        leaf = parted(leaf, axis, axes)
        for name, n in axes:
            leaf = collective.PSUM_SCATTER.bind(leaf, axis_name=name, axis=axis, axis_size=n)
        return leaf

    return leafwise("psum_scatter", scattered, x)


# ------------------------------------------------------------------------------------------------ moving of examples


@boundary
def all_gather(
    x: Any, axis_name: Any, *, axis_index_groups: Any = None, axis: int = 0, tiled: bool = False, to: Any = "varying"
) -> Any:
    """All examples, stacked.

    Args:
        x: a pytree of arrays.
        axis_name: a name given to `vmap`.
        axis_index_groups: groups of numbers of examples, of one size, each of which is for itself; by default one.
        axis: where the axis of examples goes in the result.
        tiled: concatenate the examples along the axis that is there, instead of stacking them along another.
        to: accepted for JAX's sake.

    Returns:
        A pytree like `x`, with an axis more (`tiled`: a longer axis), the same for all examples.

    Raises:
        NameError: there is no axis of this name.
        ValueError: `axis` is out of range.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: x * all_gather(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    array([[1., 3.],
           [3., 9.]])
    """
    axes = mapped_axes("all_gather", axis_name)
    group = None if axis_index_groups is None else group_of("all_gather", axes, axis_index_groups)

    def gathered(leaf: Any) -> Any:
        at = axis_of("all_gather", axis, leaf, len(shape_of(leaf)) + (not tiled))
        out = stacked(leaf, axes, at) if group is None else np.moveaxis(gather_group(leaf, axes, group), 0, at)
        return joined(out, at) if tiled else out

    return leafwise("all_gather", gathered, x)


@boundary
def all_to_all(
    x: Any, axis_name: Any, split_axis: int, concat_axis: int, *, axis_index_groups: Any = None, tiled: bool = False
) -> Any:
    """Each example sends a part to every other: example i gets the i-th part of each.

    Args:
        x: a pytree of arrays, whose axis `split_axis` has the size of the mapped axis (`tiled`: a multiple).
        axis_name: a name given to `vmap`.
        split_axis: the axis that is parted; it goes (`tiled`: becomes shorter).
        concat_axis: where the parts that an example gets are stacked along another axis (`tiled`: concatenated).
        axis_index_groups: groups of numbers of examples, of one size, each of which is for itself; by default one.
        tiled: parts are blocks.

    Raises:
        NameError: there is no axis of this name.
        ValueError: an axis is out of range, or cannot be parted.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: all_to_all(x, "i", 0, 0), axis_name="i")(np.array([[1, 2], [3, 4]]))
    array([[1, 3],
           [2, 4]])
    """
    return _all_to_all("all_to_all", x, axis_name, split_axis, concat_axis, axis_index_groups, tiled)


def _all_to_all(what: str, x: Any, axis_name: Any, split: int, concat: int, groups: Any, tiled: bool) -> Any:
    axes = mapped_axes(what, axis_name)
    group = None if groups is None else group_of(what, axes, groups)
    size = count_of(axes) if group is None else group.size

    def exchanged(leaf: Any) -> Any:
        axis, to = axis_of(what, split, leaf), axis_of(what, concat, leaf)
        if tiled:
            leaf = blocks(what, leaf, axis, size)
        else:
            check_whole(what, leaf, axis, size)
        if group is not None:
            mine = GATHER.bind(gather_group(leaf, axes, group), group.position, axes=(axis + 1,))
            out = np.moveaxis(mine, 0, to)
        elif len(axes) == 1:
            ((name, _),) = axes
            out = collective.ALL_TO_ALL.bind(leaf, axis_name=name, split=axis, concat=to, axis_size=size)
        else:
            out = parted(np.moveaxis(leaf, axis, 0), 0, axes)
            for i, (name, n) in enumerate(axes):
                out = collective.ALL_TO_ALL.bind(out, axis_name=name, split=i, concat=i, axis_size=n)
            out = np.moveaxis(np.reshape(out, (size, *shape_of(out)[len(axes) :])), 0, to)
        return joined(out, to) if tiled else out

    return leafwise(what, exchanged, x)


@boundary
def pswapaxes(x: Any, axis_name: Any, axis: int, *, axis_index_groups: Any = None) -> Any:
    """Exchange the mapped axis with an axis of the same size: `all_to_all(x, axis_name, axis, axis)`.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: pswapaxes(x, "i", 0), axis_name="i")(np.array([[1, 2], [3, 4]]))
    array([[1, 3],
           [2, 4]])
    """
    return _all_to_all("pswapaxes", x, axis_name, axis, axis, axis_index_groups, False)


@boundary
def ppermute(x: Any, axis_name: Any, perm: Sequence[tuple[int, int]]) -> Any:
    """Send examples to each other.

    Args:
        x: a pytree of arrays.
        axis_name: a name given to `vmap`.
        perm: pairs (source, destination) of numbers of examples; neither sources nor destinations may repeat. An
            example that is no destination gets zeros.

    Raises:
        NameError: there is no axis of this name.
        ValueError: a number is out of range or repeated.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: ppermute(x, "i", [(0, 1), (1, 2)]), axis_name="i")(np.array([1.0, 2.0, 3.0]))
    array([0., 1., 2.])
    """
    return _ppermute("ppermute", x, axis_name, perm)


def _ppermute(what: str, x: Any, axis_name: Any, perm: Sequence[tuple[int, int]]) -> Any:
    axes = mapped_axes(what, axis_name)
    size = count_of(axes)
    pairs = tuple((int(a), int(b)) for a, b in perm)
    for which, numbers in (("source", [a for a, _ in pairs]), ("destination", [b for _, b in pairs])):
        wrong = [i for i in numbers if not 0 <= i < size or numbers.count(i) > 1]
        if wrong:
            raise ValueError(f"{what}: {which} {wrong[0]} is repeated, or no number of one of the {size} examples")
    if len(axes) == 1:
        ((name, _),) = axes
        return leafwise(what, lambda leaf: collective.PPERMUTE.bind(leaf, axis_name=name, perm=pairs), x)
    source, sent = np.zeros(size, int), np.zeros(size, bool)
    for a, b in pairs:
        source[b], sent[b] = a, True
    here = index_among(axes)

    def moved(leaf: Any) -> Any:
        found = GATHER.bind(stacked(leaf, axes, 0), GATHER.bind(source, here, axes=(0,)), axes=(0,))
        return np.where(GATHER.bind(sent, here, axes=(0,)), found, np.zeros((), dtype_of(found)))

    return leafwise(what, moved, x)


@boundary
def pshuffle(x: Any, axis_name: Any, perm: Sequence[int]) -> Any:
    """Reorder the examples: example i gets what example `perm[i]` has.

    Raises ValueError unless `perm` is a permutation of the numbers of all examples; otherwise as `ppermute`.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: pshuffle(x, "i", [2, 0, 1]), axis_name="i")(np.array([1.0, 2.0, 3.0]))
    array([3., 1., 2.])
    """
    size = count_of(mapped_axes("pshuffle", axis_name))
    if sorted(perm) != list(range(size)):
        raise ValueError(f"pshuffle: {list(perm)} is no permutation of the numbers of the {size} examples")
    return _ppermute("pshuffle", x, axis_name, [(a, b) for b, a in enumerate(perm)])


@boundary
def pbroadcast(x: Any, axis_name: Any, source: int) -> Any:
    """What one example has, for all of them.

    Args:
        x: a pytree of arrays.
        axis_name: a name given to `vmap`, or a tuple of several.
        source: the number of the example.

    Raises:
        NameError: there is no axis of this name.
        ValueError: there is no such example.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: pbroadcast(x, "i", 1), axis_name="i")(np.array([1.0, 2.0, 3.0]))
    array([2., 2., 2.])
    """
    axes = mapped_axes("pbroadcast", axis_name)
    i = operator.index(source)
    if not 0 <= i < count_of(axes):
        raise ValueError(f"pbroadcast: source {i} is no number of one of the {count_of(axes)} examples")
    return leafwise("pbroadcast", lambda leaf: stacked(leaf, axes, 0)[i], x)


# ------------------------------------------------------------------------------------------------------ the axis itself


@boundary
def axis_index(axis_name: Any) -> Any:
    """The number of the example, an integer scalar; with a tuple of names, its number among all, the last fastest.

    Raises NameError if there is no axis of this name.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: x * axis_index("i"), axis_name="i")(np.array([5, 6, 7]))
    array([ 0,  6, 14])
    """
    return index_among(mapped_axes("axis_index", axis_name))


@boundary
def axis_size(axis_name: Any) -> int:
    """How many examples there are, a Python integer; with a tuple of names, the product.

    Raises NameError if there is no axis of this name.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: x / axis_size("i"), axis_name="i")(np.array([1.0, 3.0]))
    array([0.5, 1.5])
    """
    return count_of(mapped_axes("axis_size", axis_name))
