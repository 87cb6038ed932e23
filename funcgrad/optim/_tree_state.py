"""Values found in the state of an optimiser by their names, and exchanged there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import funcgrad.tree as tree
from funcgrad.tree_util import DictKey, register_pytree_node_class, tree_flatten_with_path

__all__ = [
    "NamedTupleKey", "ParamsPlaceholder", "tree_get", "tree_get_all_with_path", "tree_map_params", "tree_set",
]  # fmt: skip

Path = tuple[Any, ...]
Filter = Callable[[Path, Any], Any] | None


@dataclass(frozen=True)
class NamedTupleKey:
    """A field of a named tuple, in a path.

    >>> str(NamedTupleKey("ScaleByAdamState", "mu"))
    'ScaleByAdamState.mu'
    """

    tuple_name: str
    name: str

    def __str__(self) -> str:
        return f"{self.tuple_name}.{self.name}"


@register_pytree_node_class
class ParamsPlaceholder:
    """What stands for the parameters where it is asked which parts of a state are like them."""

    def tree_flatten(self) -> tuple[tuple[()], None]:
        return (), None

    @classmethod
    def tree_unflatten(cls, aux: None, children: Any) -> ParamsPlaceholder:
        return cls()


def _is_named(node: Any) -> bool:
    return isinstance(node, tuple) and hasattr(node, "_fields")


def _children(node: Any) -> list[tuple[Any, Any, Any]]:
    """(the key of a path, the name or None, the child) of each child."""
    if _is_named(node):
        return [(NamedTupleKey(type(node).__name__, f), f, getattr(node, f)) for f in node._fields]
    if isinstance(node, dict):
        return [(DictKey(k), k, v) for k, v in node.items()]
    pairs, _ = tree_flatten_with_path(node, is_leaf=lambda x: x is not node)
    return [(path[0], None, child) for path, child in pairs if path]


def _found(node: Any, key: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if _is_named(node) and type(node).__name__ == key:
        yield path, node
    for step, name, child in _children(node):
        if name is not None and name == key:
            yield (*path, step), child
        yield from _found(child, key, (*path, step))


def tree_get_all_with_path(tree: Any, key: Any, filtering: Filter = None) -> list[tuple[Path, Any]]:
    """All values of a name, each with its path: entries of dicts, fields of named tuples, named tuples of that class.

    Args:
        tree: a tree, such as the state of an optimiser.
        key: the name.
        filtering: `filtering(path, value)` says which of them count.

    >>> from funcgrad import optim
    >>> state = optim.adam(0.1).init(np.zeros(1))
    >>> [value.tolist() for path, value in tree_get_all_with_path(state, "mu")]
    [[0.0]]
    """
    return [(path, x) for path, x in _found(tree, key, ()) if filtering is None or filtering(path, x)]


def tree_get(tree: Any, key: Any, default: Any = None, filtering: Filter = None) -> Any:
    """The value of a name; see `tree_get_all_with_path`.

    Raises:
        KeyError: there are several.

    >>> from funcgrad import optim
    >>> tree_get(optim.adam(0.1).init(np.zeros(1)), "count")
    array(0, dtype=int32)
    """
    found = tree_get_all_with_path(tree, key, filtering)
    if len(found) > 1:
        places = ", ".join("/".join(map(str, path)) for path, _ in found)
        raise KeyError(f"tree_get: there are several values of {key!r}: {places}; filtering= can choose one")
    return found[0][1] if found else default


def tree_set(tree: Any, filtering: Filter = None, /, **kwargs: Any) -> Any:
    """The same tree with other values; see `tree_get_all_with_path` for names.

    Raises:
        KeyError: there is no such name.

    >>> from funcgrad import optim
    >>> state = optim.inject_hyperparams(optim.sgd)(learning_rate=0.1).init(np.zeros(1))
    >>> tree_get(tree_set(state, learning_rate=np.array(0.5)), "learning_rate")
    array(0.5)
    """
    for key in kwargs:
        if not tree_get_all_with_path(tree, key, filtering):
            raise KeyError(
                f"tree_set: there is no value of {key!r}" + (" that filtering lets through" * bool(filtering))
            )
    return _exchanged(tree, filtering, kwargs, ())


def _exchanged(node: Any, filtering: Filter, values: dict[Any, Any], path: Path) -> Any:
    def takes(path: Path, x: Any) -> bool:
        return filtering is None or bool(filtering(path, x))

    if _is_named(node) and type(node).__name__ in values and takes(path, node):
        return values[type(node).__name__]
    new: list[Any] = []
    children = _children(node)
    for step, name, child in children:
        here = (*path, step)
        changed = name is not None and name in values and takes(here, child)
        new.append(values[name] if changed else _exchanged(child, filtering, values, here))
    if _is_named(node):
        return type(node)(*new)
    if isinstance(node, dict):
        return type(node)(zip(node, new, strict=True))
    if not children:
        return node
    return tree.structure(node, is_leaf=lambda x: x is not node).unflatten(new)


def tree_map_params(
    initable: Any,
    f: Callable[..., Any],
    state: Any,
    /,
    *rest: Any,
    transform_non_params: Callable[[Any], Any] | None = None,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """Map a function over the parts of a state that are like the parameters.

    Args:
        initable: a transformation, or its `init`.
        f: a function of a leaf, and of those of `rest`.
        state: the state.
        *rest: trees like the parameters.
        transform_non_params: a function of the other leaves.
        is_leaf: what is a leaf of the parameters.

    >>> from funcgrad import optim
    >>> tx = optim.adam(0.1)
    >>> tree_map_params(tx, lambda m: m + 1, tx.init(np.zeros(1)))[0].mu
    array([1.])
    """
    init = initable.init if hasattr(initable, "init") else initable

    def one(part: Any, value: Any) -> Any:
        if isinstance(part, ParamsPlaceholder):
            return tree.map(f, value, *rest, is_leaf=is_leaf)
        return value if transform_non_params is None else transform_non_params(value)

    return tree.map(one, init(ParamsPlaceholder()), state, is_leaf=lambda x: isinstance(x, ParamsPlaceholder))
