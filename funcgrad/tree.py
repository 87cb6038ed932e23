"""Pytrees: nested containers of arrays, and functions that treat them as one value.

A pytree is built from dicts, lists, tuples, named tuples, `None` and registered classes; whatever
else is met is a leaf. `flatten` turns a tree into the list of its leaves and a `PyTreeDef`, which
describes the rest; `unflatten` is its inverse.

- A dict's leaves come in the order of its sorted keys, and a rebuilt dict has its keys in that
  order. An `OrderedDict` keeps its own order. A `defaultdict` keeps its factory.
- `None` is a node without children, not a leaf. `is_leaf=lambda x: x is None` makes it one.
- Subclasses of the built-in containers are leaves unless they are named tuples or registered.

The functions have the names of `jax.tree`. `funcgrad.tree_util` has the longer ones.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

from funcgrad._tree_def import PyTreeDef, gather, leaf_paths
from funcgrad._tree_diff import compare, spread
from funcgrad._tree_flatten import IsLeaf, flatten, flatten_paths
from funcgrad._tree_keys import (
    DictKey,
    FlattenedIndexKey,
    GetAttrKey,
    KeyPath,
    SequenceKey,
    keystr,
)

__all__ = [
    "DictKey",
    "FlattenedIndexKey",
    "GetAttrKey",
    "KeyPath",
    "PyTreeDef",
    "SequenceKey",
    "all",
    "broadcast",
    "flatten",
    "flatten_prefix",
    "flatten_with_path",
    "keystr",
    "leaves",
    "leaves_with_path",
    "map",
    "map_with_path",
    "mismatch",
    "paths",
    "reduce",
    "reduce_associative",
    "static",
    "structure",
    "transpose",
    "unflatten",
]

T = TypeVar("T")

_UNSET: Any = object()


def unflatten(treedef: PyTreeDef, leaves: Iterable[Any]) -> Any:
    """The tree with the structure `treedef` and these leaves; the inverse of `flatten`.

    Raises:
        ValueError: the number of leaves is not `treedef.num_leaves`.

    Examples:
        >>> unflatten(structure({"a": 0, "b": (0, 0)}), [1, 2, 3])
        {'a': 1, 'b': (2, 3)}
    """
    return treedef.unflatten(leaves)


def leaves(tree: Any, is_leaf: IsLeaf | None = None) -> list[Any]:
    """The leaves of a tree, in the order of `flatten`.

    Examples:
        >>> leaves({"b": [2, None], "a": 1})
        [1, 2]
        >>> leaves([1, None], is_leaf=lambda x: x is None)
        [1, None]
    """
    return flatten(tree, is_leaf)[0]


def structure(tree: Any, is_leaf: IsLeaf | None = None) -> PyTreeDef:
    """The structure of a tree.

    Examples:
        >>> structure([1, (2, 3)]) == structure([4, (5, 6)])
        True
    """
    return flatten(tree, is_leaf)[1]


@overload
def map(f: Callable[[Any], Any], tree: Any, *, is_leaf: IsLeaf | None = None) -> Any: ...
@overload
def map(f: Callable[[Any, Any], Any], tree: Any, rest: Any, /, *, is_leaf: IsLeaf | None = None) -> Any: ...
@overload
def map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf | None = None) -> Any: ...
def map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf | None = None) -> Any:
    """Applies a function to every leaf of a tree.

    Args:
        f: takes one leaf of `tree` and the corresponding part of each of `rest`.
        tree: the tree that fixes the structure of the result.
        rest: trees that `tree` is a prefix of: the same containers, with any subtree where `tree`
            has a leaf.
        is_leaf: as for `flatten`; applies to `tree`.

    Returns:
        A tree with the structure of `tree`, of the results.

    Raises:
        ValueError: one of `rest` has another structure; the message says where.

    Examples:
        >>> map(lambda p, g: p - g, {"w": 3.0, "b": [1.0]}, {"w": 1.0, "b": [0.5]})
        {'b': [0.5], 'w': 2.0}
    """
    items, treedef = flatten(tree, is_leaf)
    if not rest:
        return treedef.unflatten([f(x) for x in items])
    columns = [gather(treedef, r, f"tree.map: tree {i}") for i, r in enumerate(rest, 2)]
    return treedef.unflatten([f(*row) for row in zip(items, *columns, strict=True)])


def reduce(
    function: Callable[[T, Any], T],
    tree: Any,
    initializer: Any = _UNSET,
    is_leaf: IsLeaf | None = None,
) -> T:
    """Combines all leaves of a tree, from the first to the last.

    Args:
        function: takes the value so far and a leaf.
        tree: any object.
        initializer: the value before the first leaf; without it, the first leaf is that value.
        is_leaf: as for `flatten`.

    Raises:
        TypeError: there are no leaves and no `initializer`.

    Examples:
        >>> reduce(lambda total, x: total + x, {"a": 1, "b": [2, 3]})
        6
    """
    items = leaves(tree, is_leaf)
    if initializer is not _UNSET:
        return functools.reduce(function, items, initializer)
    if not items:
        raise TypeError("tree.reduce: the tree has no leaves; give an initializer")
    return functools.reduce(function, items)


def reduce_associative(
    operation: Callable[[Any, Any], Any],
    tree: Any,
    *,
    identity: Any = _UNSET,
    is_leaf: IsLeaf | None = None,
) -> Any:
    """Combines all leaves of a tree pairwise, in a balanced way.

    For floating-point sums over many leaves this loses less precision than `reduce`.

    Args:
        operation: an associative function of two values.
        tree: any object.
        identity: the result for a tree without leaves.
        is_leaf: as for `flatten`.

    Raises:
        TypeError: there are no leaves and no `identity`.

    Examples:
        >>> reduce_associative(lambda a, b: a + b, [1, (2, 3), [4]])
        10
    """
    items = leaves(tree, is_leaf)
    if not items:
        if identity is _UNSET:
            raise TypeError("tree.reduce_associative: the tree has no leaves; give an identity")
        return identity
    while len(items) > 1:
        pairs = [operation(a, b) for a, b in zip(items[::2], items[1::2], strict=False)]
        items = pairs + items[2 * len(pairs) :]
    return items[0]


def all(tree: Any, *, is_leaf: IsLeaf | None = None) -> bool:
    """Whether all leaves of a tree are true.

    Examples:
        >>> all({"a": True, "b": [1, 2]}), all([True, 0]), all([])
        (True, False, True)
    """
    return builtins.all(leaves(tree, is_leaf))


def transpose(outer_treedef: PyTreeDef, inner_treedef: PyTreeDef | None, pytree_to_transpose: Any) -> Any:
    """Turns a tree of trees inside out.

    Args:
        outer_treedef: the structure of the outer tree.
        inner_treedef: the structure of each tree inside; None takes it from the first of them.
        pytree_to_transpose: a tree with the structure `outer_treedef.compose(inner_treedef)`. Only
            the number of its leaves has to agree, so a tuple may stand for a list.

    Returns:
        A tree with the structure `inner_treedef.compose(outer_treedef)`.

    Raises:
        ValueError: the tree has another number of leaves, or `inner_treedef` is None and the outer
            structure has no leaves to take it from.

    Examples:
        >>> transpose(structure([0, 0]), structure({"a": 0, "b": 0}), [{"a": 1, "b": 2}] * 2)
        {'a': [1, 1], 'b': [2, 2]}
    """
    if inner_treedef is None:
        trees = gather(outer_treedef, pytree_to_transpose, "tree.transpose: the tree")
        if not trees:
            raise ValueError(
                f"tree.transpose: {outer_treedef} has no leaves, so the inner structure cannot be "
                "taken from the tree; give inner_treedef"
            )
        inner_treedef = structure(trees[0])
    items = leaves(pytree_to_transpose)
    n = inner_treedef.num_leaves
    if len(items) != n * outer_treedef.num_leaves:
        expected = outer_treedef.compose(inner_treedef)
        gather(expected, pytree_to_transpose, "tree.transpose: the tree")  # says where, mostly
        raise ValueError(
            f"tree.transpose: expected a tree with the structure {expected}, got {structure(pytree_to_transpose)}"
        )
    return inner_treedef.unflatten([outer_treedef.unflatten(items[i::n]) for i in range(n)])


def flatten_with_path(
    tree: Any, is_leaf: Callable[..., Any] | None = None, is_leaf_takes_path: bool = False
) -> tuple[list[tuple[KeyPath, Any]], PyTreeDef]:
    """Like `flatten`, with the key path of every leaf.

    Args:
        tree: any object.
        is_leaf: as for `flatten`.
        is_leaf_takes_path: call `is_leaf(path, node)` and not `is_leaf(node)`.

    Returns:
        The list of pairs `(path, leaf)`, and the structure.

    Examples:
        >>> pairs, _ = flatten_with_path({"a": [1, 2], "b": 3})
        >>> [(keystr(path), leaf) for path, leaf in pairs]
        [("['a'][0]", 1), ("['a'][1]", 2), ("['b']", 3)]
    """
    if is_leaf is None:
        items, treedef = flatten(tree)
        if not treedef._own_keys:
            return list(zip(leaf_paths(treedef), items, strict=True)), treedef
        stop: Callable[[KeyPath, Any], Any] = lambda path, x: False  # noqa: E731
    elif is_leaf_takes_path:
        stop = is_leaf
    else:
        stop = lambda path, x: is_leaf(x)  # noqa: E731
    out: list[tuple[KeyPath, Any]] = []
    return out, flatten_paths(tree, (), out, stop)


def leaves_with_path(
    tree: Any, is_leaf: Callable[..., Any] | None = None, is_leaf_takes_path: bool = False
) -> list[tuple[KeyPath, Any]]:
    """The pairs `(path, leaf)` of a tree; see `flatten_with_path`.

    Examples:
        >>> leaves_with_path([5])
        [((SequenceKey(idx=0),), 5)]
    """
    return flatten_with_path(tree, is_leaf, is_leaf_takes_path)[0]


def paths(treedef: PyTreeDef) -> list[KeyPath]:
    """The key paths of the leaves of a structure, in the order of `flatten`.

    Children of a class that was registered with keys are numbered here (`FlattenedIndexKey`), as
    only its instances know the keys; `leaves_with_path` asks them.

    Examples:
        >>> [keystr(path) for path in paths(structure({"a": [1, 2], "b": 3}))]
        ["['a'][0]", "['a'][1]", "['b']"]
    """
    return list(leaf_paths(treedef))


def map_with_path(
    f: Callable[..., Any],
    tree: Any,
    *rest: Any,
    is_leaf: Callable[..., Any] | None = None,
    is_leaf_takes_path: bool = False,
) -> Any:
    """Like `map`, with the key path of the leaf as the first argument of `f`.

    Raises:
        ValueError: one of `rest` has another structure; the message says where.

    Examples:
        >>> map_with_path(lambda path, x: f"{keystr(path)}={x}", {"a": [1, 2]})
        {'a': ["['a'][0]=1", "['a'][1]=2"]}
    """
    pairs, treedef = flatten_with_path(tree, is_leaf, is_leaf_takes_path)
    columns = [gather(treedef, r, f"tree.map_with_path: tree {i}") for i, r in enumerate(rest, 2)]
    return treedef.unflatten([f(path, x, *row) for (path, x), *row in zip(pairs, *columns, strict=True)])


def broadcast(prefix_tree: Any, full_tree: Any, is_leaf: IsLeaf | None = None) -> Any:
    """Repeats the leaves of a prefix of a tree until it has the structure of the tree.

    Args:
        prefix_tree: has the containers of `full_tree`, down to where one leaf stands for a whole
            subtree. None matches None only.
        full_tree: gives the structure.
        is_leaf: as for `flatten`; applies to `prefix_tree`.

    Raises:
        ValueError: `prefix_tree` is not a prefix of `full_tree`; the message says where.

    Examples:
        >>> broadcast({"a": 1, "b": (2, 3)}, {"a": [0, 0], "b": (0, {"c": 0})})
        {'a': [1, 1], 'b': (2, {'c': 3})}
    """
    treedef = structure(full_tree)
    return treedef.unflatten(spread(prefix_tree, treedef, "tree.broadcast: prefix_tree", is_leaf, False))


def flatten_prefix(prefix: Any, treedef_or_tree: Any, what: str) -> list[Any]:
    """One entry of a prefix tree per leaf of a tree, as for the `in_axes` of `vmap`.

    Args:
        prefix: has the containers of the tree, down to where one value serves a whole subtree.
            None is such a value.
        treedef_or_tree: the tree or its structure.
        what: the name of `prefix` in errors.

    Returns:
        A list with as many entries as the tree has leaves.

    Raises:
        ValueError: `prefix` is not a prefix of the tree; the message says where.

    Examples:
        >>> flatten_prefix((0, None), ({"w": 1, "b": 2}, [3, 4]), "in_axes")
        [0, 0, None, None]
    """
    given = type(treedef_or_tree) is PyTreeDef
    treedef: PyTreeDef = treedef_or_tree if given else structure(treedef_or_tree)
    return spread(prefix, treedef, what, None, True)


def mismatch(name: str, expected: Any, got: Any) -> list[str]:
    """Where two trees of array-likes differ in structure, shape or dtype.

    Leaves are objects with `shape` and `dtype`, and Python scalars, which count as arrays of shape
    `()` and NumPy's default dtype. Other leaves differ when their classes do. Values do not matter.

    Args:
        name: what the trees are called in the result.
        expected: the tree to compare with.
        got: the tree that should be like it.

    Returns:
        One line for each difference; an empty list when there is none.

    Examples:
        >>> import numpy as np
        >>> expected = {"layers": [np.ones((4, 3)), np.ones(3)]}
        >>> for line in mismatch("params", expected, {"layers": [np.ones((3, 4)), 1.0], "b": 0}):
        ...     print(line)
        params: unexpected key 'b'
        params['layers'][0]: expected shape (4, 3), got (3, 4)
        params['layers'][1]: expected shape (3,), got ()
    """
    out: list[str] = []
    compare(name, expected, got, out)
    return out


def static(**kwargs: Any) -> Any:
    """A `dataclasses.field` that `register_dataclass` treats as static data.

    Args:
        kwargs: the arguments of `dataclasses.field`.

    Examples:
        >>> from dataclasses import dataclass
        >>> from funcgrad.tree_util import register_dataclass
        >>> @register_dataclass
        ... @dataclass
        ... class Scale:
        ...     factor: float
        ...     axis: int = static(default=0)
        >>> structure(Scale(2.0))
        PyTreeDef(CustomNode(Scale[(0,)], [*]))
    """
    import dataclasses  # not at the top: 1.3 ms, and only modules that have imported it need this

    metadata = {**(kwargs.pop("metadata", None) or {}), "static": True}
    return dataclasses.field(metadata=metadata, **kwargs)


def __dir__() -> list[str]:
    return __all__
