"""The structure of a tree in JSON, and trees made of that: with classes, where an example says which.

A node is a dict: its "kind", its "keys" or "fields" if it has any, and its "children"; a leaf is the string "*". No
class is looked up by a name that stands in a file: what is neither a dict, a list, a tuple, `None` nor a named tuple
needs an example (`like`) that has it.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import funcgrad.tree as tree
from funcgrad._tree_def import PyTreeDef
from funcgrad.io._errors import DamagedFileError, MismatchError
from funcgrad.io._leaves import decode_value, encode_value

__all__ = ["describe", "rebuild"]

LEAF = "*"
_PLAIN: dict[type, str] = {dict: "dict", OrderedDict: "OrderedDict", list: "list", tuple: "tuple", type(None): "None"}
_SEQUENCES: dict[str, Callable[[Any], Any]] = {"list": list, "tuple": tuple}

Take = Callable[[Any, str], Any]
"""Gives the next leaf of a file, after a comparison with that of the example; the text says where it is."""


def describe(treedef: PyTreeDef) -> Any:
    """A structure as JSON."""
    node = treedef.node_data()
    if node is None:
        return LEAF
    return _head(*node) | {"children": [describe(child) for child in treedef.children()]}


def _head(cls: type, data: Any) -> dict[str, Any]:
    """A node without its children."""
    if cls is defaultdict:
        return {"kind": "defaultdict", "keys": [encode_value(k) for k in data[1]]}
    if cls in _PLAIN:
        keys = {} if data is None else {"keys": [encode_value(k) for k in data]}
        return {"kind": _PLAIN[cls]} | keys
    if data is None and issubclass(cls, tuple) and (fields := getattr(cls, "_fields", None)) is not None:
        return {"kind": "namedtuple", "class": _name(cls), "fields": list(fields)}
    return {"kind": "class", "class": _name(cls), "data": encode_value(data)}


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


@lru_cache(256)
def _named_tuple(name: str, fields: tuple[str, ...]) -> Any:
    """A class with the name and the fields of one that a file mentions; it is made once."""
    return namedtuple(name.rpartition(".")[2], fields)  # pyright: ignore[reportUntypedNamedTuple]


def rebuild(node: Any, like: Any, take: Take, where: str = "") -> Any:
    """The tree that `node` describes, with the leaves that `take` gives in their order.

    Where `like` is `...` (Ellipsis) the description decides alone; elsewhere it has to agree with `like`, whose classes
    are used.

    Raises:
        MismatchError: if `like` has another structure, or is needed and missing.
    """
    if like is Ellipsis:
        return _alone(node, take, where)
    entries, treedef = tree.flatten_with_path(like, is_leaf=lambda x: x is not like)
    found = treedef.node_data()
    if node == LEAF or found is None:
        if node != LEAF or found is not None:
            raise MismatchError(f"{_at(where)} is {_told(node)}, and {_told(_found(found))} in `like`")
        return take(like, where)
    _compare(node, _found(found), where)
    if len(node["children"]) != len(entries):
        raise MismatchError(f"{_at(where)} is {_told(node)}, and has {len(entries)} entries in `like`")
    children = [
        rebuild(child, part, take, where + tree.keystr(path))
        for child, (path, part) in zip(node["children"], entries, strict=True)
    ]
    return treedef.unflatten(children)


def _found(node: tuple[type, Any] | None) -> Any:
    return LEAF if node is None else _head(*node)


def _compare(node: dict[str, Any], found: dict[str, Any], where: str) -> None:
    """Raises unless two nodes are the same, children apart (for lists and tuples: their number is compared)."""
    mine = {k: v for k, v in node.items() if k != "children" and not _opaque(v)}
    other = {k: v for k, v in found.items() if k in mine}
    if mine == other and node["kind"] == found["kind"]:
        return
    if node["kind"] == found["kind"] and "keys" in node:
        keys, others = ([repr(decode_value(k)) for k in n["keys"]] for n in (node, found))
        only = [k for k in keys if k not in others], [k for k in others if k not in keys]
        said = [f"{', '.join(k)} only in {place}" for k, place in zip(only, ("the file", "`like`"), strict=True) if k]
        raise MismatchError(f"{_at(where)} has other keys than `like`: {'; '.join(said) or 'in another order'}")
    raise MismatchError(f"{_at(where)} is {_told(node)}, and {_told(found)} in `like`")


def _opaque(code: Any) -> bool:
    if type(code) is dict:
        return "opaque" in code or any(map(_opaque, code.values()))
    return type(code) is list and any(map(_opaque, code))


def _told(node: Any) -> str:
    if node == LEAF:
        return "a leaf"
    match node["kind"]:
        case "None":
            return "None"
        case "namedtuple" | "class":
            return f"a {node['class']}" + (f" with data {node['data']}" if node.get("data") is not None else "")
        case "list" | "tuple" as kind if "children" in node:
            return f"a {kind} of {len(node['children'])}"
        case kind:
            return f"a {kind}" if kind != "OrderedDict" else "an OrderedDict"


def _at(where: str) -> str:
    return where or "the tree"


def _alone(node: Any, take: Take, where: str) -> Any:
    """The tree that `node` describes, made of Python's own containers."""
    if node == LEAF:
        return take(Ellipsis, where)
    kind, parts = node["kind"], node["children"]
    if kind in ("dict", "OrderedDict"):
        try:
            keys = [decode_value(k) for k in node["keys"]]
        except ValueError as error:
            raise MismatchError(
                f"{_at(where)} has a key that is {error}: give load an example of the tree as `like`"
            ) from error
        children = [_alone(p, take, f"{where}[{k!r}]") for k, p in zip(keys, parts, strict=True)]
        return (OrderedDict if kind == "OrderedDict" else dict)(zip(keys, children, strict=True))
    if kind in _SEQUENCES:
        return _SEQUENCES[kind](_alone(p, take, f"{where}[{i}]") for i, p in enumerate(parts))
    if kind == "None":
        return None
    if kind == "namedtuple":
        children = [_alone(p, take, f"{where}.{f}") for f, p in zip(node["fields"], parts, strict=True)]
        return _named_tuple(node["class"], tuple(node["fields"]))(*children)
    if kind in ("class", "defaultdict"):
        raise MismatchError(
            f"{_at(where)} is {_told(node)}, which is not made from what a file says: give load an example of the tree "
            "as `like`"
        )
    raise DamagedFileError(f"{_at(where)} is of a kind that is not known here, {kind!r}; a newer funcgrad wrote it")
