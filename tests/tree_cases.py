"""Node classes and random trees for the tests of pytrees."""

from __future__ import annotations

import re
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from hypothesis import strategies as st

from funcgrad import tree, tree_util
from funcgrad.tree_util import GetAttrKey


class Point(NamedTuple):
    x: Any
    y: Any


@tree_util.register_dataclass
@dataclass
class Layer:
    w: Any
    b: Any = None
    rate: float = field(default=0.5, metadata={"static": True})


@tree_util.register_dataclass
@dataclass
class Plain:
    only: Any


class Bag(dict[Any, Any]):
    """A registered subclass of dict, whose keys are (unhashable) static data."""


tree_util.register_pytree_node(
    Bag, lambda b: (list(b.values()), list(b)), lambda keys, c: Bag(zip(keys, c, strict=True))
)


@tree_util.register_pytree_with_keys_class
class Keyed:
    def __init__(self, a: Any, b: Any) -> None:
        self.a, self.b = a, b

    def __repr__(self) -> str:
        return f"Keyed({self.a!r}, {self.b!r})"

    def tree_flatten_with_keys(self) -> Any:
        return ((GetAttrKey("a"), self.a), ("<b>", self.b)), None

    @classmethod
    def tree_unflatten(cls, static: None, children: Any) -> Keyed:
        return cls(*children)


@tree_util.register_static
@dataclass(frozen=True)
class Mode:
    name: str


def raises(error: type[Exception], text: str) -> Any:
    """`pytest.raises` for a text that is not a pattern."""
    return pytest.raises(error, match=re.escape(text))


LEAF_VALUES = st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.text(max_size=3), st.just(object))
KEYS = st.text("abcde", min_size=1, max_size=2)


def _containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    dicts = st.dictionaries(KEYS, children, max_size=3)
    return st.one_of(
        st.lists(children, max_size=4),
        st.lists(children, max_size=4).map(tuple),
        dicts,
        st.dictionaries(st.integers(0, 9), children, max_size=3),
        dicts.map(OrderedDict),
        dicts.map(lambda d: defaultdict(list, d)),
        dicts.map(Bag),
        st.builds(Point, children, children),
        st.builds(Layer, children, children, st.sampled_from([0.5, 1, True])),
        st.builds(Keyed, children, children),
        st.builds(Mode, st.sampled_from("ab")),
    )


TREES = st.recursive(st.one_of(LEAF_VALUES, st.none()), _containers, max_leaves=20)


def same(a: Any, b: Any) -> bool:
    """Equality that tells 1 from True and dict from OrderedDict, at all levels."""
    return type(a) is type(b) and repr(a) == repr(b)


def normal(t: Any) -> Any:
    """The tree with the keys of its dicts sorted, as a rebuilt tree has them."""
    return tree.map(lambda x: x, t)
