"""The loops that take pytrees apart: by exact type, and slower ones for `is_leaf` and key paths.

The fast loop asks one table per object, by its exact class. A container whose values are all
leaves is recognised by one pass in C; a dict's sorted key order is remembered; and for a dict
whose structure has come up often there is a compiled function, which is tried first.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from types import NoneType
from typing import Any, TypeAlias

import numpy as np

from funcgrad._tree_def import (
    LEAF,
    TABLE_LIMIT,
    Label,
    PyTreeDef,
    join,
    label_of,
    row,
    taker,
    used_often,
)
from funcgrad._tree_keys import KeyPath
from funcgrad._tree_kinds import (
    DICT,
    LEARNED_LIMIT,
    LIST,
    NONE,
    TUPLE,
    Kind,
    kind_of,
    learn,
    on_new_kind,
    sorted_keys,
)

Flattener: TypeAlias = Callable[[Any, list[Any]], PyTreeDef]
"""Appends the leaves of an object to a list and returns the object's definition."""

IsLeaf: TypeAlias = Callable[[Any], Any]
"""Tells whether an object is to be taken for a leaf, whatever it is."""

GUESSES = 4  # compiled structures to try for a dict with given keys


class Plan:
    """How to read a dict with certain keys, in a certain order.

    `getter` reads the values in sorted order (None: they are in order already), `flat` is the
    definition if they are all leaves, and `guesses` are definitions that came up often otherwise.
    """

    __slots__ = ("flat", "getter", "guesses", "label")

    def __init__(self, label: Label, flat: PyTreeDef, getter: Any) -> None:
        self.label = label
        self.flat = flat
        self.getter = getter
        self.guesses: tuple[PyTreeDef, ...] = ()


_LIST = label_of(LIST, None)
_TUPLE = label_of(TUPLE, None)
_NONE = join(label_of(NONE, None), [])
_list_rows = _LIST.rows
_tuple_rows = _TUPLE.rows

_plans: dict[tuple[str, ...], Plan] = {}
_flatteners: dict[type, Flattener | None] = {}  # None: a leaf
_leaf_types: set[type] = set()


def flatten(tree: Any, is_leaf: IsLeaf | None = None) -> tuple[list[Any], PyTreeDef]:
    """The leaves of a tree, and its structure.

    Args:
        tree: any object.
        is_leaf: called with every node, the root first; where it returns true, the whole subtree
            becomes one leaf.

    Returns:
        The list of leaves, and the `PyTreeDef` that `unflatten` rebuilds the tree with.

    Raises:
        ValueError: the keys of a dict cannot be sorted.

    Examples:
        >>> flatten({"b": [2, None, (3,)], "a": 1})
        ([1, 2, 3], PyTreeDef({'a': *, 'b': [*, None, (*,)]}))
    """
    if is_leaf is not None:
        leaves: list[Any] = []
        return leaves, _flatten_until(tree, leaves, is_leaf)
    flattener = _flatteners.get(type(tree), _flatten_unknown)
    if flattener is None:
        return [tree], LEAF
    leaves = []
    return leaves, flattener(tree, leaves)


def _flatten_children(children: Any, out: list[Any]) -> list[PyTreeDef]:
    kids: list[PyTreeDef] = []
    for x in children:
        flattener = _flatteners.get(type(x), _flatten_unknown)
        if flattener is None:
            out.append(x)
            kids.append(LEAF)
        else:
            kids.append(flattener(x, out))
    return kids


def _flatten_dict(x: dict[Any, Any], out: list[Any]) -> PyTreeDef:
    plan = _plans.get(tuple(x))
    if plan is None:
        plan = _plan(x)
    values = x.values() if plan.getter is None else plan.getter(x)
    if _leaf_types.issuperset(map(type, values)):
        out += values
        return plan.flat
    for guess in plan.guesses:
        found = taker(guess)(x)
        if found is not None and _leaf_types.issuperset(map(type, found)):
            out += found
            return guess
    td = join(plan.label, _flatten_children(values, out))
    if used_often(td) and td not in plan.guesses:
        plan.guesses = (td, *plan.guesses[: GUESSES - 1])
    return td


def _plan(x: dict[Any, Any]) -> Plan:
    """Finds out how to read a dict with these keys, and remembers it."""
    own, keys = tuple(x), sorted_keys(x)
    label = label_of(DICT, keys)
    in_order = all(a is b for a, b in zip(own, keys, strict=True))
    plan = Plan(label, row(label, len(keys)), None if in_order else itemgetter(*keys))
    # Plans are found by equality, and 1 == True: only keys that mean the same when equal qualify.
    if {*map(type, own)} <= {str}:
        if len(_plans) >= TABLE_LIMIT:
            _plans.clear()
        _plans[own] = plan
    return plan


def _flatten_list(x: list[Any], out: list[Any]) -> PyTreeDef:
    if _leaf_types.issuperset(map(type, x)):
        out += x
        return _list_rows.get(len(x)) or row(_LIST, len(x))
    return join(_LIST, _flatten_children(x, out))


def _flatten_tuple(x: tuple[Any, ...], out: list[Any]) -> PyTreeDef:
    if _leaf_types.issuperset(map(type, x)):
        out += x
        return _tuple_rows.get(len(x)) or row(_TUPLE, len(x))
    return join(_TUPLE, _flatten_children(x, out))


def _flatten_none(x: None, out: list[Any]) -> PyTreeDef:
    return _NONE


def _flatten_unknown(x: Any, out: list[Any]) -> PyTreeDef:
    """Learns what to do with a class that is met for the first time."""
    kind = learn(type(x), _remember)
    if kind is None:
        out.append(x)
        return LEAF
    return _flattener_of(kind)(x, out)


def _flattener_of(kind: Kind) -> Flattener:
    special = _SPECIAL.get(kind.cls)
    if special is not None:
        return special
    level = kind.level
    if kind.plain:
        plain_label = label_of(kind, None)

        def flatten_plain(x: Any, out: list[Any]) -> PyTreeDef:
            children, _ = level(x)
            if _leaf_types.issuperset(map(type, children)):
                out += children
                return row(plain_label, len(children))
            return join(plain_label, _flatten_children(children, out))

        return flatten_plain

    def flatten_any(x: Any, out: list[Any]) -> PyTreeDef:
        children, data = level(x)
        return join(label_of(kind, data), _flatten_children(children, out))

    return flatten_any


def _remember(cls: type, kind: Kind | None) -> None:
    if len(_flatteners) >= LEARNED_LIMIT:
        _leaf_types.clear()
        _flatteners.clear()
    if kind is None:
        _flatteners[cls] = None
        _leaf_types.add(cls)
    else:
        _flatteners[cls] = _flattener_of(kind)


def _forget(cls: type) -> None:
    _leaf_types.discard(cls)
    _flatteners.pop(cls, None)


_SPECIAL: dict[type, Flattener] = {
    dict: _flatten_dict,
    list: _flatten_list,
    tuple: _flatten_tuple,
    NoneType: _flatten_none,
}
on_new_kind(_forget)
for _cls in (*_SPECIAL, np.ndarray, float, int, bool, complex):
    learn(_cls, _remember)


# ---------------------------------------------------------------------------- the slower loops


def _flatten_until(x: Any, out: list[Any], is_leaf: IsLeaf) -> PyTreeDef:
    """Like `flatten`, but every object for which `is_leaf` is true is a leaf."""
    kind = None if is_leaf(x) else kind_of(type(x))
    if kind is None:
        out.append(x)
        return LEAF
    children, data = kind.level(x)
    return join(label_of(kind, data), [_flatten_until(c, out, is_leaf) for c in children])


def flatten_paths(
    x: Any, path: KeyPath, out: list[tuple[KeyPath, Any]], stop: Callable[[KeyPath, Any], Any]
) -> PyTreeDef:
    """Appends `(path, leaf)` pairs; an object for which `stop(path, object)` is true is a leaf."""
    kind = None if stop(path, x) else kind_of(type(x))
    if kind is None:
        out.append((path, x))
        return LEAF
    children, data = kind.level(x)
    keys = kind.keys(x, data, len(children))
    return join(
        label_of(kind, data),
        [flatten_paths(child, (*path, key), out, stop) for key, child in zip(keys, children, strict=True)],
    )
