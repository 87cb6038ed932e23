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
    "KeyEntry",
    "KeyPath",
    "Partial",
    "PyTreeDef",
    "SequenceKey",
    "all_leaves",
    "default_registry",
    "flatten_one_level",
    "flatten_one_level_with_keys",
    "is_tree_node",
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


KeyEntry = Any
"""What a path consists of: a key of one of the classes here, or of one's own."""


def _children(tree: Any) -> list[tuple[KeyPath, Any]]:
    """The children of a node, with paths of one key each."""
    return tree_flatten_with_path(tree, is_leaf=lambda x: x is not tree, is_leaf_takes_path=False)[0]


def is_tree_node(tree: Any) -> bool:
    """Whether an object is a node (also an empty one, such as None), and not a leaf.

    Examples:
        >>> is_tree_node([]), is_tree_node(None), is_tree_node(1.0)
        (True, True, False)
    """
    treedef = tree_structure(tree, is_leaf=lambda x: x is not tree)
    return treedef.node_data() is not None or treedef.num_leaves == 0


def flatten_one_level(tree: Any) -> tuple[list[Any], Any]:
    """The children of a node, and its static data.

    Raises:
        ValueError: it is a leaf.

    Examples:
        >>> flatten_one_level({"a": 1, "b": [2]})
        ([1, [2]], ['a', 'b'])
    """
    pairs, data = flatten_one_level_with_keys(tree)
    return [child for _, child in pairs], data


def flatten_one_level_with_keys(tree: Any) -> tuple[list[tuple[Any, Any]], Any]:
    """The children of a node, each with its key, and its static data; raises ValueError for a leaf."""
    if not is_tree_node(tree):
        raise ValueError(f"a {type(tree).__name__} is a leaf, and has no children")
    node = tree_structure(tree, is_leaf=lambda x: x is not tree).node_data()
    return [(path[0], child) for path, child in _children(tree)], None if node is None else node[1]


class _Registry:
    """The one registry of node types, with the methods of JAX's."""

    __slots__ = ()

    def flatten_one_level(self, tree: Any) -> tuple[list[Any], Any] | None:
        """The children of a node, and its static data; None for a leaf."""
        return flatten_one_level(tree) if is_tree_node(tree) else None

    def flatten_one_level_with_keys(self, tree: Any) -> tuple[list[tuple[Any, Any]], Any] | None:
        """The children of a node with their keys, and its static data; None for a leaf."""
        return flatten_one_level_with_keys(tree) if is_tree_node(tree) else None

    def flatten(self, tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], PyTreeDef]:
        """As `tree_flatten`."""
        return tree_flatten(tree, is_leaf)

    def register_node(self, nodetype: type, flatten_func: Any, unflatten_func: Any) -> None:
        """As `register_pytree_node`."""
        register_pytree_node(nodetype, flatten_func, unflatten_func)


default_registry = _Registry()
"""The one registry of node types."""
