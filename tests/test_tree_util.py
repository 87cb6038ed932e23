"""Pytrees: key paths, registration, prefixes, differences, and the doctests of the modules."""

from __future__ import annotations

import copy
import doctest
import functools
import importlib
import pickle
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from tree_cases import TREES, Bag, Keyed, Layer, Plain, Point, normal, raises, same

from funcgrad import _tree_compile, flatten_util, tree, tree_util
from funcgrad.tree_util import DictKey, GetAttrKey, Partial, SequenceKey

# --------------------------------------------------------------------------- key paths


def test_paths() -> None:
    t = {"a": [1, Point(2, None)], "b": Layer(OrderedDict(q=3), Keyed(4, 5)), "c": Bag(k=6)}
    pairs = tree.leaves_with_path(t)
    assert [tree.keystr(path) for path, _ in pairs] == [
        "['a'][0]",
        "['a'][1].x",
        "['b'].w['q']",
        "['b'].b.a",
        "['b'].b<b>",
        "['c'][<flat index 0>]",
    ]
    assert [leaf for _, leaf in pairs] == [1, 2, 3, 4, 5, 6]
    assert pairs[1][0] == (DictKey("a"), SequenceKey(1), GetAttrKey("x"))
    assert tree.keystr(pairs[1][0], simple=True, separator=".") == "a.1.x"
    assert tree.leaves_with_path(7) == [((), 7)]
    assert [tree.keystr(path) for path in tree.paths(tree.structure(t))] == [
        tree.keystr(path).replace(".b.a", ".b[<flat index 0>]").replace("<b>", "[<flat index 1>]") for path, _ in pairs
    ]
    assert tree.map_with_path(lambda p, x, y: (len(p), x + y), [1, [2]], [3, [4]]) == [
        (1, 4),
        [(2, 6)],
    ]


def test_is_leaf_with_path() -> None:
    t = {"a": [1, 2], "b": [3]}
    at_a = tree.flatten_with_path(t, lambda p, x: p == (DictKey("a"),), is_leaf_takes_path=True)
    assert [leaf for _, leaf in at_a[0]] == [[1, 2], 3]
    assert tree.leaves_with_path(t, lambda x: x == [3])[-1] == ((DictKey("b"),), [3])


def test_path_entries_are_values() -> None:
    entries = [DictKey("a"), DictKey(0), SequenceKey(0), GetAttrKey("a")]
    entries.append(tree_util.FlattenedIndexKey(0))
    for i, a in enumerate(entries):
        assert [a == b for b in entries] == [i == j for j in range(5)]
        assert pickle.loads(pickle.dumps(a)) == a == copy.deepcopy(a)
        assert eval(repr(a), dict(vars(tree_util))) == a
        with pytest.raises(AttributeError):
            setattr(a, a._field, 1)
    assert len(set(entries + entries)) == 5
    match entries[0]:
        case DictKey(key):
            assert key == "a"


# --------------------------------------------------------------------------- registration


def test_a_class_is_registered_once() -> None:
    for cls in (dict, Layer, Bag, type(None), Partial):
        with raises(ValueError, f"class {cls.__qualname__} is already registered"):
            tree_util.register_pytree_node(cls, lambda x: ((), None), lambda d, c: None)


def test_registering_after_first_use_as_a_leaf() -> None:
    class Late:
        def __init__(self, x: Any) -> None:
            self.x = x

    late = Late([1, 2])
    for _ in range(2 * _tree_compile.COMPILE_AFTER):
        assert tree.leaves({"k": [late]}) == [late]
    tree_util.register_pytree_node(Late, lambda v: ((v.x,), None), lambda d, c: Late(*c))
    assert tree.leaves({"k": [late]}) == [1, 2]
    assert tree.leaves(late) == [1, 2]


def test_registering_a_named_tuple_replaces_the_default() -> None:
    class Pair(NamedTuple):
        a: int
        b: int

    assert tree.leaves([Pair(1, 2)]) == [1, 2]
    tree_util.register_pytree_node(Pair, lambda p: ((p.b,), p.a), lambda a, c: Pair(a, *c))
    assert tree.leaves([Pair(1, 2)]) == [2]
    assert tree.map(lambda x: 5, Pair(1, 2)) == Pair(1, 5)


def test_bad_registrations() -> None:
    class Bad:
        pass

    with pytest.raises(TypeError, match="expected a class"):
        tree_util.register_pytree_node(3, lambda x: x, lambda d, c: c)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="flatten_func is not callable"):
        tree_util.register_pytree_node(Bad, None, lambda d, c: c)  # type: ignore[arg-type]
    tree_util.register_pytree_with_keys(Bad, lambda x: [1, 2, 3], lambda d, c: c)  # type: ignore[arg-type, return-value]
    with raises(TypeError, "must return a pair (children, static data), got list"):
        tree.flatten(Bad())


def test_dataclass_fields() -> None:
    assert tree.map(lambda x: 2 * x, Layer(1, 2, 3.0)) == Layer(2, 4, 3.0)
    assert tree.structure(Layer(1, rate=3.0)) != tree.structure(Layer(1, rate=4.0))

    @dataclass
    class Given:
        a: Any
        b: Any
        c: int = 0
        derived: Any = field(init=False, default=9)

    with raises(TypeError, "give both data_fields and meta_fields or neither"):
        tree_util.register_dataclass(Given, ["a"])
    with raises(ValueError, "missing ['c'], unexpected ['zz']"):
        tree_util.register_dataclass(Given, ["a", "zz"], ["b"])
    with raises(ValueError, "['a'] are both in"):
        tree_util.register_dataclass(Given, ["a", "b", "c"], ["a"])
    assert tree_util.register_dataclass(Given, ["b", "a"], [], drop_fields=["c"]) is Given
    assert tree.leaves(Given(1, 2, 3)) == [2, 1]
    assert tree.map(lambda x: x, Given(1, 2, 3)) == Given(1, 2, 0)

    class Bare:
        def __init__(self, a: Any, n: int) -> None:
            self.a, self.n = a, n

    with raises(TypeError, "Bare is not a dataclass"):
        tree_util.register_dataclass(Bare)
    tree_util.register_dataclass(Bare, data_fields=["a"], meta_fields=["n"])
    got = tree.map(lambda x: -x, Bare(1, 2))
    assert (got.a, got.n) == (-1, 2)


def test_static_marker() -> None:
    @tree_util.register_dataclass
    @dataclass
    class Op:
        x: Any
        name: str = tree.static(default="add", metadata={"unit": "m"})

    assert tree.flatten(Op(1))[0] == [1]
    assert tree.leaves_with_path(Op(1))[0][0] == (GetAttrKey("x"),)
    assert Op.__dataclass_fields__["name"].metadata["unit"] == "m"


def _subtract(a: Any, b: Any) -> Any:
    return a - b


def test_partial() -> None:
    p = Partial(_subtract, 10)
    assert p(3) == 7
    assert tree.map(lambda x: x + 1, p)(3) == 8
    assert tree.structure(p) == tree.structure(Partial(_subtract, 5))
    assert pickle.loads(pickle.dumps(p))(1) == 9
    inner = functools.partial(_subtract, 10)
    q = Partial(inner, b=4)
    assert q() == 6
    assert tree.leaves(q) == [4]
    assert tree.structure(q) == tree.structure(Partial(inner, b=5))
    assert tree.structure(q) != tree.structure(Partial(functools.partial(_subtract, 10), b=4))
    assert tree.leaves(Partial(Partial(_subtract, 1), 2)) == [2]
    assert pickle.loads(pickle.dumps(q))() == 6
    assert [tree.keystr(path) for path, _ in tree.leaves_with_path(q)] == [".keywords['b']"]


# --------------------------------------------------------------------------- prefixes


def test_flatten_prefix() -> None:
    t = ({"w": 1, "b": [2, 3]}, None, 4)
    assert tree.flatten_prefix(0, t, "in_axes") == [0] * 4
    assert tree.flatten_prefix(None, t, "in_axes") == [None] * 4
    assert tree.flatten_prefix((None, 0, 1), t, "in_axes") == [None] * 3 + [1]
    assert tree.flatten_prefix(({"w": 5, "b": None}, None, 1), t, "i") == [None, None, 5, 1]
    assert tree.flatten_prefix((0, 1, 2), tree.structure(t), "in_axes") == [0, 0, 0, 2]
    assert tree.flatten_prefix((0, (), 2), (1, (), 2), "in_axes") == [0, 2]


@pytest.mark.parametrize(
    ("prefix", "problem"),
    [
        (
            (0, 1),
            "in_axes does not match the tree: expected a tuple of length 3, got a tuple of le",
        ),
        ([0, 1, 2], "in_axes is a list of length 3, but the tree has a tuple of length 3 there"),
        (({"w": 0}, 1, 2), "in_axes[0] does not match the tree: missing key 'b'"),
        (({"w": 0, "b": {}}, 1, 2), "in_axes[0]['b'] is an empty dict, but the tree has a list of"),
        ((0, 1, (2,)), "in_axes[2] is a tuple of length 1, but the tree has a leaf there"),
    ],
)
def test_flatten_prefix_names_the_place(prefix: Any, problem: str) -> None:
    with raises(ValueError, problem):
        tree.flatten_prefix(prefix, ({"w": 1, "b": [2, 3]}, None, 4), "in_axes")


def test_broadcast() -> None:
    assert tree.broadcast({"a": 1, "b": None}, {"a": (0, [0]), "b": None}) == {
        "a": (1, [1]),
        "b": None,
    }
    assert tree.broadcast((1, 2), [0], is_leaf=lambda x: isinstance(x, tuple)) == [(1, 2)]
    with raises(ValueError, "tree.broadcast: prefix_tree['b'] is None, but the tree has a leaf"):
        tree.broadcast({"b": None}, {"b": 1})


@settings(deadline=None)
@given(TREES)
def test_a_tree_is_a_prefix_of_itself(t: Any) -> None:
    assert same(tree.broadcast(t, t), normal(t))
    assert tree.flatten_prefix(t, t, "t") == tree.leaves(t)
    assert tree.all(tree.map(lambda x, y: x is y, t, t))


# --------------------------------------------------------------------------- mismatch


def array(*shape: int, dtype: str = "f8") -> Any:
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("expected", "got", "lines"),
    [
        ([1.0, array(2)], [2.0, array(2) + 1], []),
        (1.0, array(), []),
        (None, None, []),
        ("a", "b", []),
        (array(4, 3), array(3, 4), ["p: expected shape (4, 3), got (3, 4)"]),
        (array(2, dtype="f4"), array(2), ["p: expected dtype float32, got float64"]),
        (
            [array(2, dtype="f4")],
            [array(3)],
            ["p[0]: expected shape (2,), got (3,); expected dtype float32, got float64"],
        ),
        (array(), 1, ["p: expected dtype float64, got int64 (a Python int)"]),
        (1, "x", ["p: expected a Python int, got a str"]),
        (array(2), None, ["p: expected an array of shape (2,) and dtype float64, got None"]),
        ([1], (1,), ["p: expected a list of length 1, got a tuple of length 1"]),
        (
            {"layers": [1, 2, Layer(array(4, 3))], "b": 1},
            {"layers": [1, 2, Layer(array(3, 4))], "c": 1},
            [
                "p: missing key 'b'; unexpected key 'c'",
                "p['layers'][2].w: expected shape (4, 3), got (3, 4)",
            ],
        ),
        (
            [1, [2, 3]],
            [1.0, [2.0]],
            [
                "p[0]: expected dtype int64, got float64 (a Python float)",
                "p[1]: expected a list of length 2, got a list of length 1",
                "p[1][0]: expected dtype int64, got float64 (a Python float)",
            ],
        ),
        (
            [Layer(1)],
            [Layer(1, rate=2)],
            ["p[0]: expected a Layer with static data (0.5,), got (2"],
        ),
        (
            OrderedDict(a=1, b=2),
            OrderedDict(b=2, a=1.0),
            [
                "p: expected the keys in the order ['a', 'b'], got ['b', 'a']",
                "p['a']: expected dtype int64, got float64 (a Python float)",
            ],
        ),
        (
            defaultdict(int, a=1),
            defaultdict(float, a=1),
            ["p: expected default factory <class 'int'>, got <class 'float'>"],
        ),
        (Layer(1), Plain(1), ["p: expected a Layer, got a Plain"]),
    ],
)
def test_mismatch(expected: Any, got: Any, lines: list[str]) -> None:
    found = tree.mismatch("p", expected, got)
    assert len(found) == len(lines)
    assert all(f.startswith(line) for f, line in zip(found, lines, strict=True)), found


@settings(deadline=None)
@given(TREES)
def test_no_mismatch_with_itself(t: Any) -> None:
    assert tree.mismatch("t", t, normal(t)) == []


# --------------------------------------------------------------------------- the modules


@pytest.mark.parametrize(
    "name",
    "tree tree_util flatten_util _tree_def _tree_flatten _tree_keys _tree_registry".split(),
)
def test_doctests(name: str) -> None:
    module = importlib.import_module(f"funcgrad.{name}")
    failures, attempts = doctest.testmod(module)
    assert failures == 0
    assert attempts > 0


@pytest.mark.parametrize("module", [tree, tree_util, flatten_util])
def test_public_names(module: Any) -> None:
    assert sorted(set(module.__all__)) == module.__all__
    for name in module.__all__:
        value = getattr(module, name)
        assert not callable(value) or value.__doc__, name
