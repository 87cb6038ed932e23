"""The functions of `funcgrad.tree` under the names of `jax.tree_util`, and registration."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from funcgrad._tree_def import PyTreeDef
from funcgrad._tree_keys import (
    DictKey,
    FlattenedIndexKey,
    GetAttrKey,
    KeyPath,
    SequenceKey,
    keystr,
)
from funcgrad._tree_registry import (
    Partial,
    register_dataclass,
    register_pytree_node,
    register_pytree_node_class,
    register_pytree_with_keys,
    register_pytree_with_keys_class,
    register_static,
)
from funcgrad.tree import all as tree_all
from funcgrad.tree import broadcast as tree_broadcast
from funcgrad.tree import flatten as tree_flatten
from funcgrad.tree import flatten_with_path as tree_flatten_with_path
from funcgrad.tree import leaves as tree_leaves
from funcgrad.tree import leaves_with_path as tree_leaves_with_path
from funcgrad.tree import map as tree_map
from funcgrad.tree import map_with_path as tree_map_with_path
from funcgrad.tree import reduce as tree_reduce
from funcgrad.tree import reduce_associative as tree_reduce_associative
from funcgrad.tree import structure as tree_structure
from funcgrad.tree import transpose as tree_transpose
from funcgrad.tree import unflatten as tree_unflatten

__all__ = [
    "DictKey",
    "FlattenedIndexKey",
    "GetAttrKey",
    "KeyPath",
    "Partial",
    "PyTreeDef",
    "SequenceKey",
    "all_leaves",
    "keystr",
    "register_dataclass",
    "register_pytree_node",
    "register_pytree_node_class",
    "register_pytree_with_keys",
    "register_pytree_with_keys_class",
    "register_static",
    "tree_all",
    "tree_broadcast",
    "tree_flatten",
    "tree_flatten_with_path",
    "tree_leaves",
    "tree_leaves_with_path",
    "tree_map",
    "tree_map_with_path",
    "tree_reduce",
    "tree_reduce_associative",
    "tree_structure",
    "tree_transpose",
    "tree_unflatten",
    "treedef_children",
    "treedef_is_leaf",
    "treedef_tuple",
]


def all_leaves(iterable: Iterable[Any], is_leaf: Callable[[Any], Any] | None = None) -> bool:
    """Whether every element is a leaf.

    Args:
        iterable: any objects.
        is_leaf: makes further objects leaves, as for `tree_flatten`.

    Examples:
        >>> all_leaves([1, 2.0]), all_leaves([1, [2]]), all_leaves([None])
        (True, False, False)
    """
    return all(
        treedef.num_leaves == 1 and treedef.num_nodes == 1 for treedef in (tree_structure(x, is_leaf) for x in iterable)
    )


def treedef_children(treedef: PyTreeDef) -> list[PyTreeDef]:
    """The definitions of the children of the root.

    Examples:
        >>> treedef_children(tree_structure({"a": 1, "b": [2]}))
        [PyTreeDef(*), PyTreeDef([*])]
    """
    return treedef.children()


def treedef_is_leaf(treedef: PyTreeDef) -> bool:
    """Whether the definition consists of one node: a leaf, None or an empty container.

    Examples:
        >>> treedef_is_leaf(tree_structure(1)), treedef_is_leaf(tree_structure([1]))
        (True, False)
    """
    return treedef.num_nodes == 1


def treedef_tuple(treedefs: Iterable[PyTreeDef]) -> PyTreeDef:
    """The definition of a tuple of trees with these definitions.

    Examples:
        >>> treedef_tuple([tree_structure(1), tree_structure([2, 3])])
        PyTreeDef((*, [*, *]))
    """
    return PyTreeDef.from_node((tuple, None), treedefs)


def __dir__() -> list[str]:
    return __all__
