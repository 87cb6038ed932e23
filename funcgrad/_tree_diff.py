"""Where two pytrees differ, and prefixes of pytrees: everything that ends in an error text.

These functions run when a check has already failed, or outside hot paths. They name places by key
paths, and describe objects by container, shape and dtype, never by their values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad._tree_keys import DictKey, KeyPath, keystr
from funcgrad._tree_kinds import DICT, Kind, kind_of, mapping_keys

_SCALARS = (bool, int, float, complex)


def same_data(kind: Kind, a: Any, b: Any) -> bool:
    """Whether two nodes of a kind have equal static data."""
    if a is b:
        return True
    try:
        return bool(a == b)
    except ValueError as err:  # the truth value of an array
        raise ValueError(
            f"the static data of a {kind.cls.__qualname__} must compare to True or False with ==, "
            f"but comparing {type(a).__name__} with {type(b).__name__} failed: {err}. "
            "Arrays belong among the children of a pytree node, not in its static data"
        ) from err


def plural(n: int, noun: str) -> str:
    """`1 key`, `2 keys`."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def array_spec(x: Any) -> tuple[tuple[Any, ...], Any] | None:
    """Shape and dtype of an array-like leaf (NumPy's defaults for Python scalars), or None."""
    if type(x) in _SCALARS:
        return (), np.dtype(type(x))
    if isinstance(x, type):
        return None
    shape, dtype = getattr(x, "shape", None), getattr(x, "dtype", None)
    return None if shape is None or dtype is None else (tuple(shape), dtype)


def describe(x: Any) -> str:
    """An object in words: its container and size, or its shape and dtype."""
    kind = kind_of(type(x))
    name = type(x).__name__
    if kind is None:
        spec = array_spec(x)
        if type(x) in _SCALARS:
            return f"a Python {name}"
        return f"{_a(name)}" if spec is None else f"an array of shape {spec[0]} and dtype {spec[1]}"
    if kind is DICT:
        return _describe_node(kind, tuple(x), len(x))  # in its own order: it may have no other
    children, data = kind.level(x)
    return _describe_node(kind, data, len(children))


def describe_def(td: Any) -> str:
    """The root of a tree definition in words."""
    kind = td._label.kind
    if kind is None:
        return "a leaf"
    return _describe_node(kind, td._label.data, len(td._children))


def _describe_node(kind: Kind, data: Any, n: int) -> str:
    name = kind.cls.__name__
    if kind.cls is type(None):
        return "None"
    if kind.mapping:
        keys = mapping_keys(kind, data)
        return f"{_a(name)} with keys {list(keys)!r}" if n else f"an empty {name}"
    if kind.cls in (list, tuple):
        return f"a {name} of length {n}" if n else f"an empty {name}"
    return _a(name)


def _a(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _listed(keys: list[Any]) -> str:
    return f"{'key' if len(keys) == 1 else 'keys'} {', '.join(map(repr, keys))}"


def _key_problem(expected: tuple[Any, ...], got: tuple[Any, ...]) -> str | None:
    """What is wrong with the keys of a mapping."""
    missing = [key for key in expected if key not in got]
    extra = [key for key in got if key not in expected]
    parts = []
    if missing:
        parts.append(f"missing {_listed(missing)}")
    if extra:
        parts.append(f"unexpected {_listed(extra)}")
    if not parts and expected != got:
        parts.append(f"expected the keys in the order {list(expected)!r}, got {list(got)!r}")
    return "; ".join(parts) or None


def _node_problem(td: Any, x: Any) -> tuple[str | None, tuple[Any, ...], Any]:
    """Compares a definition's root with an object: what differs, and the object's children."""
    kind, data = td._label.kind, td._label.data
    other = kind_of(type(x))
    if other is None or other.cls is not kind.cls:
        return f"expected {describe_def(td)}, got {describe(x)}", (), None
    if kind is DICT:  # not by its level: the keys that are wrong here may be impossible to sort
        if len(x) != len(data) or any(key not in x for key in data):
            return _key_problem(data, tuple(x)), (), None
        return None, tuple([x[key] for key in data]), data
    children, got = other.level(x)
    if kind.mapping:
        problem = _key_problem(mapping_keys(kind, data), mapping_keys(kind, got))
        if problem is not None:
            return problem, children, got
    if not same_data(kind, data, got):
        return f"expected {_a(kind.cls.__name__)} with static data {data!r}, got {got!r}", (), got
    if len(children) != len(td._children):
        return f"expected {describe_def(td)}, got {describe(x)}", children, got
    return None, children, got


def find_difference(td: Any, tree: Any, path: KeyPath) -> tuple[KeyPath, str]:
    """The first place at which `tree` does not have the structure `td`, and what is wrong there.

    Subtrees at the leaves of `td` may be anything. An empty text means that nothing is wrong.
    """
    kind = td._label.kind
    if kind is None:
        return path, ""
    problem, children, data = _node_problem(td, tree)
    if problem is not None:
        return path, problem
    keys = kind.keys(tree, data, len(children))
    for child, key, value in zip(td._children, keys, children, strict=True):
        where, problem = find_difference(child, value, (*path, key))
        if problem:
            return where, problem
    return path, ""


def spread(
    prefix: Any,
    td: Any,
    what: str,
    is_leaf: Callable[[Any], Any] | None,
    none_is_leaf: bool,
    path: KeyPath = (),
) -> list[Any]:
    """One entry of `prefix` per leaf of `td`. ValueError, with `what`, where it is no prefix."""
    kind = kind_of(type(prefix))
    if kind is None or (none_is_leaf and prefix is None) or (is_leaf and is_leaf(prefix)):
        return [prefix] * td.num_leaves
    where = f"{what}{keystr(path)}"
    other = td._label.kind
    if other is None or other.cls is not kind.cls:
        raise ValueError(
            f"{where} is {describe(prefix)}, but the tree has {describe_def(td)} there; "
            "a prefix has the containers of the tree, down to where one value serves a whole "
            "subtree"
        )
    problem, children, data = _node_problem(td, prefix)
    if problem is not None:
        raise ValueError(f"{where} does not match the tree: {problem}")
    out: list[Any] = []
    keys = kind.keys(prefix, data, len(children))
    for child, key, value in zip(td._children, keys, children, strict=True):
        out += spread(value, child, what, is_leaf, none_is_leaf, (*path, key))
    return out


def compare(where: str, expected: Any, got: Any, out: list[str]) -> None:
    """Appends a line for every difference between two trees of array-likes."""
    kind, other = kind_of(type(expected)), kind_of(type(got))
    if kind is None and other is None:
        problem = _leaf_problem(expected, got)
        if problem is not None:
            out.append(f"{where}: {problem}")
        return
    if kind is None or other is None or kind.cls is not other.cls:
        out.append(f"{where}: expected {describe(expected)}, got {describe(got)}")
        return
    children, data = kind.level(expected)
    values, got_data = other.level(got)
    if kind.mapping:
        _compare_mappings(where, kind, (children, data), (values, got_data), out)
        return
    if not same_data(kind, data, got_data):
        out.append(f"{where}: expected {_a(kind.cls.__name__)} with static data {data!r}, got {got_data!r}")
        return
    if len(children) != len(values):
        out.append(f"{where}: expected {describe(expected)}, got {describe(got)}")
    keys = kind.keys(expected, data, len(children))
    for key, child, value in zip(keys, children, values, strict=False):
        compare(where + keystr((key,)), child, value, out)


def _compare_mappings(
    where: str,
    kind: Kind,
    expected: tuple[tuple[Any, ...], Any],
    got: tuple[tuple[Any, ...], Any],
    out: list[str],
) -> None:
    keys, got_keys = mapping_keys(kind, expected[1]), mapping_keys(kind, got[1])
    problem = _key_problem(keys, got_keys)
    if problem is None and not same_data(kind, expected[1], got[1]):
        problem = f"expected default factory {expected[1][0]!r}, got {got[1][0]!r}"
    if problem is not None:
        out.append(f"{where}: {problem}")
    values = dict(zip(got_keys, got[0], strict=True))
    for key, child in zip(keys, expected[0], strict=True):
        if key in values:
            compare(where + keystr((DictKey(key),)), child, values[key], out)


def _leaf_problem(expected: Any, got: Any) -> str | None:
    want, have = array_spec(expected), array_spec(got)
    if want is None and have is None:
        if type(expected) is type(got):
            return None
        return f"expected {describe(expected)}, got {describe(got)}"
    if want is None or have is None:
        return f"expected {describe(expected)}, got {describe(got)}"
    parts = []
    if want[0] != have[0]:
        parts.append(f"expected shape {want[0]}, got {have[0]}")
    if want[1] != have[1]:
        note = f" ({describe(got)})" if type(got) in _SCALARS else ""
        parts.append(f"expected dtype {want[1]}, got {have[1]}{note}")
    return "; ".join(parts) or None
