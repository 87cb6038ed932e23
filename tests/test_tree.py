"""Pytrees: flattening, definitions, map and its relatives, threads."""

from __future__ import annotations

import copy
import operator
import pickle
import threading
from collections import OrderedDict, defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from tree_cases import TREES, Bag, Keyed, Layer, Mode, Plain, Point, normal, raises, same

from funcgrad import _tree_compile, _tree_def, _tree_flatten, tree, tree_util
from funcgrad.tree_util import Partial, PyTreeDef

# --------------------------------------------------------------------------- flatten


def test_order_and_structure_of_leaves() -> None:
    leaves, treedef = tree.flatten({"b": [1, (2, None)], "a": Point(3, {"z": 4, "y": 5})})
    assert leaves == [3, 5, 4, 1, 2]
    assert (
        repr(treedef) == "PyTreeDef({'a': CustomNode(namedtuple[Point], [*, {'y': *, 'z': *}]), 'b': [*, (*, None)]})"
    )
    assert (treedef.num_leaves, treedef.num_nodes) == (5, 11)


@pytest.mark.parametrize(
    ("t", "text", "leaves"),
    [
        (1, "*", [1]),
        (None, "None", []),
        ([], "[]", []),
        ((), "()", []),
        ({}, "{}", []),
        ((1,), "(*,)", [1]),
        ({"b": 1, "a": 2}, "{'a': *, 'b': *}", [2, 1]),
        ({2: "x", 1: "y"}, "{1: *, 2: *}", ["y", "x"]),
        (OrderedDict(b=1, a=2), "CustomNode(OrderedDict[('b', 'a')], [*, *])", [1, 2]),
        (defaultdict(list, b=1, a=2), "CustomNode(defaultdict[(<class 'list'>, ('a', 'b'))], [*, *])", [2, 1]),
        (Layer(1, [2]), "CustomNode(Layer[(0.5,)], [*, [*]])", [1, 2]),
        (Layer(1), "CustomNode(Layer[(0.5,)], [*, None])", [1]),
        (Plain(7), "CustomNode(Plain[()], [*])", [7]),
        (Bag(k=1), "CustomNode(Bag[['k']], [*])", [1]),
        (Keyed(1, 2), "CustomNode(Keyed[None], [*, *])", [1, 2]),
        (Mode("a"), "CustomNode(Mode[Mode(name='a')], [])", []),
        (Partial(max, 1, key=2), "CustomNode(Partial[<built-in function max>], [(*,), {'key': *}])", [1, 2]),
    ],
)
def test_containers(t: Any, text: str, leaves: list[Any]) -> None:
    found, treedef = tree.flatten(t)
    assert found == leaves
    assert repr(treedef) == f"PyTreeDef({text})"
    rebuilt = tree.unflatten(treedef, found)
    assert same(rebuilt, normal(t))
    assert type(rebuilt) is type(t)
    assert tree.structure(rebuilt) == treedef


def test_what_is_not_registered_is_a_leaf() -> None:
    class MyDict(dict[Any, Any]):
        pass

    class MyList(list[Any]):
        pass

    class MyTuple(tuple[Any, ...]):
        pass

    for x in (MyDict(a=1), MyList([1]), MyTuple([1]), {1}, "ab", np.ones(2), tree.structure([1])):
        assert tree.leaves([x, {"k": x}])[1] is x
        assert tree.structure(x) == tree.structure(0)


def test_is_leaf_sees_nodes_before_they_are_opened() -> None:
    seen: list[Any] = []

    def is_leaf(x: Any) -> bool:
        seen.append(x)
        return x is None or isinstance(x, tuple)

    t = [None, (1, 2), {"a": 3}]
    assert tree.leaves(t, is_leaf) == [None, (1, 2), 3]
    assert seen == [t, None, (1, 2), {"a": 3}, 3]
    assert tree.map(lambda x: 0, t, is_leaf=is_leaf) == [0, 0, {"a": 0}]
    assert tree.structure([None], lambda x: x is None) != tree.structure([None])


def test_dict_keys_of_one_kind_are_not_taken_for_another() -> None:
    for _ in range(3):
        for key in (1, True, 1.0):
            ((rebuilt,),) = (list(tree.map(lambda x: x, {key: "x"})),)
            assert type(rebuilt) is type(key)
    assert tree.structure({1: 0}) == tree.structure({True: 0})


def test_unsortable_keys() -> None:
    with raises(ValueError, "use keys that compare with one another"):
        tree.flatten([{"a": 1, 2: 3}])
    assert tree.leaves([OrderedDict([("a", 1), (2, 3)])]) == [1, 3]


@settings(deadline=None)
@given(TREES)
def test_round_trip(t: Any) -> None:
    leaves, treedef = tree.flatten(t)
    rebuilt = treedef.unflatten(leaves)
    assert same(rebuilt, normal(t))
    again, treedef2 = tree.flatten(rebuilt)
    assert treedef2 == treedef
    assert hash(treedef2) == hash(treedef)
    assert all(a is b for a, b in zip(leaves, again, strict=True))
    assert len(leaves) == treedef.num_leaves
    assert treedef.flatten_up_to(t) == leaves
    assert repr(treedef) == repr(treedef2)


@settings(deadline=None)
@given(TREES)
def test_all_ways_to_flatten_agree(t: Any) -> None:
    leaves, treedef = tree.flatten(t)
    pairs, with_path = tree.flatten_with_path(t)
    slow_pairs, slow_with_path = tree.flatten_with_path(t, lambda x: False)
    slow, with_is_leaf = tree.flatten(t, lambda x: False)
    assert treedef == with_path == with_is_leaf == slow_with_path
    assert [path for path, _ in pairs] == [path for path, _ in slow_pairs]
    assert all(a is b is c[1] for a, b, c in zip(leaves, slow, pairs, strict=True))
    assert len({tree.keystr(path) for path, _ in pairs}) == len(pairs)


@settings(deadline=None, max_examples=50)
@given(TREES, TREES)
def test_compiled_functions_agree_with_the_loops(t: Any, other: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_tree_def, "COMPILE_AFTER", 1)
        want = [tree.flatten(x, lambda x: False) for x in (t, other)]
        for _ in range(3):
            for x, (leaves, treedef) in zip(({"k": t}, {"k": other}), want, strict=True):
                got, gotdef = tree.flatten(x)
                assert all(a is b for a, b in zip(got, leaves, strict=True))
                assert gotdef.children() == [treedef]
                assert same(gotdef.unflatten(got), normal(x))
                assert gotdef.flatten_up_to(x) == got
                with pytest.raises(ValueError, match="has"):
                    gotdef.unflatten([*got, 0])
                with pytest.raises(ValueError, match="another structure"):
                    gotdef.flatten_up_to({"j": t})


def test_compiled_flatten_sees_changes_of_structure() -> None:
    def make(w: Any, extra: Any) -> Any:
        return {"a": [w, {"b": w}], "c": (w, None, extra), "d": Layer(w, Point(w, w), rate=1)}

    first = make(1.0, 2)
    leaves, treedef = tree.flatten(first)
    for _ in range(2 * _tree_compile.COMPILE_AFTER):
        leaves, treedef = tree.flatten(first)
    assert treedef._take is not None
    variants = [
        make(1.0, None),
        make([1.0], 2),
        make(1.0, ()),
        {**first, "a": (1.0, {"b": 1.0})},
        {**first, "a": [1.0]},
        {**first, "a": [1.0, {"x": 1.0}]},
        {**first, "a": [1.0, OrderedDict(b=1.0)]},
        {**first, "c": (1.0, 2, 2)},
        {**first, "d": Layer(1.0, Point(1.0, 1.0), rate=1.0)},
        {**first, "d": Layer(1.0, Point(1.0, 1.0), rate=True)},
        {**first, "d": Layer(1.0, Point(1.0, 1.0), rate=2)},
    ]
    for t in variants:
        got, gotdef = tree.flatten(t)
        want, wantdef = tree.flatten(t, lambda x: False)
        assert got == want
        assert repr(gotdef) == repr(wantdef)
    assert tree.flatten(first) == (leaves, treedef)


def test_tables_may_be_emptied_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tree_def, "TABLE_LIMIT", 2)
    monkeypatch.setattr(_tree_flatten, "TABLE_LIMIT", 2)
    monkeypatch.setattr(_tree_flatten, "LEARNED_LIMIT", 3)
    trees = [{f"k{i}": [i, (i, {"x": i})], "z": Layer(i, rate=i)} for i in range(10)]
    first = [tree.structure(t) for t in trees]
    second = [tree.structure(t) for t in trees]
    assert first == second
    assert list(map(hash, first)) == list(map(hash, second))
    assert all(a != b for i, a in enumerate(first) for b in second[:i])
    assert [tree.map(lambda x: x, t) for t in trees] == trees


# --------------------------------------------------------------------------- definitions


def test_equal_definitions_are_mostly_the_same_object() -> None:
    def make() -> Any:
        return {"a": np.ones(2), "b": [Layer(1, (2, 3)), None], "c": OrderedDict(x=Point(1, 2))}

    a, b = tree.structure(make()), tree.structure(make())
    assert a is b
    assert {a: 1}[b] == 1


def test_definitions_that_differ() -> None:
    trees = [0, None, [], (), {}, [0], (0,), {"a": 0}, {"b": 0}, [[0]], [0, 0], Point(0, 0)]
    trees += [OrderedDict(a=0), defaultdict(list, a=0), defaultdict(int, a=0), Bag(a=0), Bag(b=0)]
    trees += [OrderedDict(a=0, b=0), OrderedDict(b=0, a=0), Layer(0), Layer(0, rate=2), Mode("a")]
    trees += [Mode("b"), Partial(max, 0), Partial(min, 0)]
    defs = [tree.structure(t) for t in trees]
    for i, a in enumerate(defs):
        assert [a == b for b in defs] == [i == j for j in range(len(defs))]
        assert a != "something else"


def test_unhashable_static_data_takes_part_in_equality_only() -> None:
    a, b, c = (tree.structure([Bag({key: 0})]) for key in "aab")
    assert a == b
    assert hash(a) == hash(b)
    assert a != c


def test_static_data_that_cannot_be_compared() -> None:
    class Holder:
        pass

    tree_util.register_pytree_node(Holder, lambda h: ((), np.ones(2)), lambda data, children: Holder())
    with raises(ValueError, "Arrays belong among the children"):
        assert tree.structure(Holder()) == tree.structure(Holder())


def test_definition_is_immutable_and_not_constructible() -> None:
    treedef = tree.structure([1])
    for name in ("num_leaves", "_label", "new"):
        with pytest.raises(AttributeError):
            setattr(treedef, name, 3)
        with pytest.raises(AttributeError):
            delattr(treedef, name)
    with pytest.raises(TypeError, match="made by tree"):
        PyTreeDef()


@settings(deadline=None)
@given(TREES)
def test_pickle_and_copy(t: Any) -> None:
    treedef = tree.structure(t)
    again = pickle.loads(pickle.dumps(treedef))
    assert again == treedef
    assert hash(again) == hash(treedef)
    assert same(again.unflatten(tree.leaves(t)), normal(t))
    assert copy.copy(treedef) is treedef
    assert copy.deepcopy(treedef) is treedef


def test_pickled_leaf_is_the_leaf() -> None:
    assert pickle.loads(pickle.dumps(tree.structure(1))) is tree.structure(2)


def test_children_and_node_data() -> None:
    treedef = tree.structure({"b": [1], "a": 2})
    assert treedef.node_data() == (dict, ["a", "b"])
    assert treedef.children() == [tree.structure(0), tree.structure([0])]
    assert tree.structure(0).node_data() is None
    assert tree.structure(None).node_data() == (type(None), None)
    assert tree.structure(Point(1, 2)).node_data() == (Point, None)
    assert tree.structure(OrderedDict(a=1)).node_data() == (OrderedDict, ("a",))
    assert tree.structure(defaultdict(int, a=1)).node_data() == (defaultdict, (int, ("a",)))


@settings(deadline=None)
@given(TREES)
def test_from_node_inverts_node_data(t: Any) -> None:
    treedef = tree.structure(t)
    assert PyTreeDef.from_node(treedef.node_data(), treedef.children()) == treedef


def test_from_node_errors() -> None:
    leaf = tree.structure(0)
    with raises(ValueError, "a leaf has no children, got 1"):
        PyTreeDef.from_node(None, [leaf])
    with raises(ValueError, "class set is not registered"):
        PyTreeDef.from_node((set, None), [leaf])
    with raises(ValueError, "a dict with 2 keys cannot have 1 children"):
        PyTreeDef.from_node((dict, ["a", "b"]), [leaf])


def test_compose_and_tuple() -> None:
    inner = tree.structure((1, None))
    assert tree.structure([1, {"a": 2}]).compose(inner) == tree.structure([(1, None), {"a": (2, None)}])
    assert tree_util.treedef_tuple([inner, tree.structure(1)]) == tree.structure(((1, None), 2))
    assert tree_util.treedef_children(inner) == [tree.structure(1), tree.structure(None)]
    assert tree_util.treedef_is_leaf(tree.structure(None))
    assert not tree_util.treedef_is_leaf(inner)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_wrong_number_of_leaves(n: int) -> None:
    treedef = tree.structure({"a": 1, "b": 2})
    for leaves in ([0] * n, tuple([0] * n), iter([0] * n)):
        with raises(ValueError, f"unflatten: PyTreeDef({{'a': *, 'b': *}}) has 2 leaves, got {n}"):
            treedef.unflatten(leaves)
    with raises(ValueError, "PyTreeDef(*) has 1 leaf, got 0"):
        tree.unflatten(tree.structure(0), [])


# --------------------------------------------------------------------------- map and others


def test_map_over_several_trees() -> None:
    got = tree.map(lambda *xs: xs, {"a": 1, "b": [2]}, {"b": [(3,)], "a": None}, {"a": 5, "b": [6]})
    assert got == {"a": (1, None, 5), "b": [(2, (3,), 6)]}
    assert tree.map(lambda x: -x, 3) == -3
    assert tree.map(lambda x, y: x, None, None) is None


@pytest.mark.parametrize(
    ("a", "b", "problem"),
    [
        ([1, 2], (1, 2), ": expected a list of length 2, got a tuple of length 2"),
        ([1, 2], [1], ": expected a list of length 2, got a list of length 1"),
        ({"a": [1]}, {"a": [1, 2]}, " at ['a']: expected a list of length 1, got a list of leng"),
        ({"a": 1}, {"b": 1, "c": 1}, ": missing key 'a'; unexpected keys 'b', 'c'"),
        ({"a": 1}, OrderedDict(a=1), ": expected a dict with keys ['a'], got an OrderedDict with"),
        ({"a": {"b": (1, None)}}, {"a": {"b": (1, 2)}}, " at ['a']['b'][1]: expected None, got a "),
        ([Point(1, [2])], [Point(1, np.ones((2, 3)))], " at [0].y: expected a list of length 1, g"),
        ([Layer(1)], [Layer(1, rate=3.0)], " at [0]: expected a Layer with static data (0.5,), "),
        ([[1]], [np.ones((2, 3), "f4")], " at [0]: expected a list of length 1, got an array of s"),
        ([[1]], ["x"], " at [0]: expected a list of length 1, got a str"),
        ([[]], [{}], " at [0]: expected an empty list, got an empty dict"),
        (OrderedDict(a=1, b=2), OrderedDict(b=2, a=1), ": expected the keys in the order ['a', 'b"),
        (Keyed(1, [2]), Keyed(1, 2), " at <b>: expected a list of length 1, got a Python int"),
    ],
)
def test_map_names_the_place_where_trees_differ(a: Any, b: Any, problem: str) -> None:
    with raises(ValueError, f"tree.map: tree 3 has another structure{problem}"):
        tree.map(lambda *xs: 0, a, a, b)
    with raises(ValueError, f"flatten_up_to: the tree has another structure{problem}"):
        tree.structure(a).flatten_up_to(b)
    with raises(ValueError, "tree.map_with_path: tree 2 has another structure"):
        tree.map_with_path(lambda *xs: 0, a, b)


def test_unsortable_dict_below_a_leaf_does_not_matter() -> None:
    odd = {1: 2, "a": 3}
    assert tree.map(lambda x, y: y, [0], [odd]) == [odd]
    with raises(ValueError, "unexpected key"):
        tree.map(lambda x, y: y, {"a": 0}, odd)
    with raises(ValueError, "expected a list of length 1, got a dict with keys [1, 'a']"):
        tree.map(lambda x, y: y, [0], odd)


def test_reduce_and_all() -> None:
    t = {"a": [1, 2], "b": (3, None)}
    assert tree.reduce(operator.sub, t) == 1 - 2 - 3
    assert tree.reduce(lambda acc, x: [*acc, x], t, []) == [1, 2, 3]
    assert tree.reduce(operator.add, [], 7) == 7
    assert tree.reduce_associative(operator.add, list(range(11))) == 55
    assert tree.reduce_associative(lambda a, b: a + b, list("abcde")) == "abcde"
    assert tree.reduce_associative(operator.add, [], identity=0) == 0
    assert tree.all({"a": True, "b": 1})
    assert not tree.all([True, [0]])
    assert tree.all([None, 1], is_leaf=lambda x: x is None) is False
    for function in (tree.reduce, tree.reduce_associative):
        with pytest.raises(TypeError, match="has no leaves"):
            function(operator.add, {})


def test_transpose() -> None:
    outer, inner = tree.structure([0, 0]), tree.structure((0, {"k": 0}))
    t = [(1, {"k": 2}), (3, {"k": 4})]
    want = ([1, 3], {"k": [2, 4]})
    assert tree.transpose(outer, inner, t) == want
    assert tree.transpose(outer, None, t) == want
    assert tree.transpose(outer, inner, tuple(t)) == want
    assert tree.transpose(tree.structure([]), inner, []) == ([], {"k": []})
    assert tree.transpose(inner, outer, want) == t
    with raises(ValueError, "tree.transpose: the tree has another structure at [1]: expected a tu"):
        tree.transpose(outer, inner, [(1, {"k": 2}), 3])
    with raises(ValueError, "expected a tree with the structure PyTreeDef([(*, {'k': *}), (*, {'k"):
        tree.transpose(outer, inner, [(1, {"k": 2}), (1, {"k": [2, 3]})])
    with raises(ValueError, "give inner_treedef"):
        tree.transpose(tree.structure([]), None, [])


def test_all_leaves() -> None:
    assert tree_util.all_leaves([1, "a", np.ones(2)])
    assert not tree_util.all_leaves([1, None])
    assert not tree_util.all_leaves([1, ()])
    assert tree_util.all_leaves([None, [1]], is_leaf=lambda x: not isinstance(x, int))


# --------------------------------------------------------------------------- threads


def test_threads_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tree_def, "TABLE_LIMIT", 8)  # so that the tables are emptied all the time
    monkeypatch.setattr(_tree_flatten, "TABLE_LIMIT", 8)
    monkeypatch.setattr(_tree_def, "COMPILE_AFTER", 3)
    trees = [{"a": [i] * (i % 5), f"k{i}": (i, {"b": Layer(i, rate=i)})} for i in range(12)]
    want = [(tree.leaves(t), repr(tree.structure(t))) for t in trees]
    errors: list[BaseException] = []
    barrier = threading.Barrier(4)

    def work() -> None:
        try:
            barrier.wait()
            for _ in range(60):
                for t, (leaves, text) in zip(trees, want, strict=True):
                    got, treedef = tree.flatten(t)
                    assert got == leaves
                    assert repr(treedef) == text
                    assert treedef.unflatten(got) == t
                    assert treedef.flatten_up_to(t) == leaves
                    assert treedef == tree.structure(t)
        except BaseException as err:
            errors.append(err)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_registration_while_others_flatten() -> None:
    stop = threading.Event()
    errors: list[BaseException] = []
    classes = [type(f"Fresh{i}", (), {}) for i in range(100)]

    def work() -> None:
        try:
            while not stop.is_set():
                for cls in classes:
                    assert len(tree.leaves([cls()])) in (1, 2)
        except BaseException as err:
            errors.append(err)

    thread = threading.Thread(target=work)
    thread.start()
    for cls in classes:
        tree_util.register_pytree_node(cls, lambda x: ((1, 2), None), lambda d, c, cls=cls: cls())
    stop.set()
    thread.join()
    assert errors == []
    assert all(tree.leaves([cls()]) == [1, 2] for cls in classes)
