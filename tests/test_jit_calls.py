"""How `jit` recognises arguments, how much it keeps, and how often it looks at them."""

from __future__ import annotations

import gc
import threading
from typing import Any
from unittest import mock

import numpy as np
import pytest

import funcgrad.numpy as jnp
from funcgrad import checkpoint, config, grad, jit, random, tree, tree_util, vmap
from funcgrad.executor.executable import Executable
from funcgrad.transforms import forms
from funcgrad.transforms.forms import Form


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(config, "jit_programs", 4)
    return 4


def slow_ways(function: Any, *calls: tuple[Any, ...]) -> int:
    """How many of these calls are not recognised."""
    with mock.patch.object(forms.Form, "add", autospec=True, side_effect=Form.add) as add:
        for args in calls:
            function(*args)
    return add.call_count


def test_calls_that_take_turns_are_recognised() -> None:
    f = jit(lambda x: np.sum(x * 2))
    shapes = [np.ones(n) for n in range(1, 21)]
    assert slow_ways(f, *((x,) for x in shapes)) == 20
    assert slow_ways(f, *((x,) for x in shapes * 2)) == 0
    assert [f(x) for x in shapes] == [2.0 * n for n in range(1, 21)]


def test_a_comparison_is_written_once_for_arguments_that_are_converted_at_each_call() -> None:
    f = jit(lambda key, x: random.uniform(key) * x)
    keys = random.split(random.key(0), 5)
    first = f(keys[0], 2.0)
    with mock.patch.object(forms, "_comparison", side_effect=AssertionError):
        assert f(keys[0], 2.0) == first
        assert len({float(f(key, 2.0)) for key in keys}) == 5


def test_structures_that_take_turns_are_recognised() -> None:
    f = jit(lambda t: tree.map(lambda x: x * 2, t))
    trees: list[Any] = [{"a": 1.0}, {"b": 1.0}, (1.0,), [1.0], [1.0, 2.0], {"a": 1.0, "b": 2.0}]
    for t in trees:
        f(t)
    assert slow_ways(f, *((t,) for t in trees * 2)) == 0
    assert [f(t) for t in trees] == [tree.map(lambda x: x * 2, t) for t in trees]


def test_keys_are_recognised() -> None:
    f = jit(lambda key, x: random.normal(key) + x)
    keys = random.split(random.key(0))
    calls = [(keys[0], 1.0), (keys[1], 1.0), (random.key(0), 1.0), (np.asarray(keys[0]), 1.0), (keys[0], jnp.ones(2))]
    assert slow_ways(f, *calls) == 2
    assert slow_ways(f, *calls * 3) == 0
    assert f(keys[0], 1.0) == f(np.asarray(keys[0]), 1.0) != f(keys[1], 1.0)
    assert type(f(keys[0], jnp.ones(2))) is type(jnp.ones(2))


def test_static_arguments_are_recognised() -> None:
    f = jit(lambda x, n, m=1: x * n + m, static_argnums=(1,), static_argnames=("m",))
    x = np.ones(3)
    calls: list[tuple[Any, ...]] = [(x, n) for n in (1, 2, 2.0, True, -0.0, 0.0, (1, 2)[0])]
    calls += [(x, 2, 5), (x, 2, 5.0), (x[:2], 2)]
    for args in calls:
        f(*args)
    assert slow_ways(f, *calls * 2) == 0
    for args in calls:
        want = args[0] * args[1] + (args[2] if len(args) > 2 else 1)
        np.testing.assert_array_equal(f(*args), want)
        assert f(*args).dtype == want.dtype
    assert np.signbit(jit(lambda x, n: x * n, static_argnums=1)(1.0, -0.0))
    f(x, m=7, n=2)
    assert slow_ways(f) == 0
    np.testing.assert_array_equal(f(x, m=7, n=2), x * 2 + 7)
    with pytest.raises(TypeError, match="must be hashable"):
        f(x, [1])


def test_equal_static_arguments_that_differ_in_type_are_told_apart() -> None:
    seen: list[Any] = []

    def f(x: Any, n: Any) -> Any:
        seen.append(n)
        return x * 1

    g = jit(f, static_argnums=1)
    for n in (1, 1.0, True, 1, 1.0, True, (1, 2), (1.0, 2), (1, 2), "a", b"a", "a"):
        g(2.0, n)
    assert list(map(repr, seen)) == ["1", "1.0", "True", "(1, 2)", "(1.0, 2)", "'a'", "b'a'"]


def test_no_more_programs_are_kept_than_the_limit(few: int) -> None:
    f = jit(lambda x: x * 2 + 1)
    for n in range(1, 12):
        np.testing.assert_array_equal(f(np.ones(n)), np.full(n, 3.0))
    assert "256" in str(type(config)()) and few == config.jit_programs
    recorded: list[int] = []
    g = jit(lambda x: (recorded.append(len(x)), x * 2)[1])
    for n in (1, 2, 3, 4, 1, 5, 1, 2):  # 2 was not used for the longest time when 5 came
        g(np.ones(n))
    assert recorded == [1, 2, 3, 4, 5, 2]
    for n in (1, 5, 2):
        g(np.ones(n))
    assert recorded == [1, 2, 3, 4, 5, 2]


def test_what_is_forgotten_is_freed(few: int) -> None:
    gc.collect()
    alive = lambda: sum(isinstance(x, Executable) for x in gc.get_objects())  # noqa: E731
    before = alive()
    f = jit(lambda x: np.sin(x) * 2)
    branching = jit(lambda x: x * 2 if x[0] > 0 else x)
    fixed = jit(lambda x, n: np.sin(x) * n, static_argnums=1)
    for n in range(1, 20):
        f(np.ones(n))
        branching(np.ones(n))
        fixed(np.ones(2), n)
    gc.collect()
    assert alive() - before <= 3 * few
    assert fixed(np.ones(2), 3)[0] == np.sin(1.0) * 3 and f(np.ones(1))[0] == 2 * np.sin(1.0)


def test_what_follows_from_a_program_is_bounded(few: int) -> None:
    """Batches of many sizes, of one program."""
    inner = jit(lambda x: np.sin(x) * 2)
    batched = vmap(inner)
    gc.collect()
    alive = lambda: sum(isinstance(x, Executable) for x in gc.get_objects())  # noqa: E731
    before = alive()
    for n in range(1, 20):
        np.testing.assert_allclose(batched(np.ones(n)), np.full(n, 2 * np.sin(1.0)))
    gc.collect()
    assert alive() - before <= 2 * few


def test_checkpoint_forgets_too(few: int) -> None:
    calls: list[int] = []
    f = checkpoint(lambda x: (calls.append(x.size), np.sin(x))[1])
    for n in (1, 2, 3, 4, 5, 1):
        np.testing.assert_allclose(grad(lambda x: np.sum(f(x)))(np.ones(n)), np.cos(np.ones(n)))
    assert calls == [1, 2, 3, 4, 5, 1]


def test_threads_that_take_turns(few: int) -> None:
    """Programs are recorded, found and forgotten by several threads at once."""
    f = jit(lambda x, n: np.sum(x) * n, static_argnums=1)
    wrong: list[Any] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(60):
            size, n = int(rng.integers(1, 4)), int(rng.integers(1, 4))
            if f(np.ones(size), n) != size * n:
                wrong.append((size, n))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_first_call_takes_its_arguments_apart_once() -> None:
    class Node:
        taken = 0

    def flat(node: Node) -> Any:
        Node.taken += 1
        return (node.x,), None

    def build(_: Any, children: Any) -> Node:
        node = Node()
        (node.x,) = children
        return node

    Node.x = 1.0
    tree_util.register_pytree_node(Node, flat, build)
    f = jit(lambda node, n: node.x * n, static_argnums=1)
    assert f(Node(), 2) == 2.0
    first, Node.taken = Node.taken, 0
    assert f(Node(), 2) == 2.0
    assert first == Node.taken == 1


def test_arrays_of_shape_nothing_are_a_kind_of_their_own_where_that_is_asked() -> None:
    calls: list[Any] = []

    def f(x: Any) -> Any:
        calls.append(x)
        return x * (2 if isinstance(x, np.ndarray) else 3)

    g = jit(f)
    assert [g(np.float64(1.0)), g(np.array(1.0)), g(np.float64(1.0)), g(np.array(1.0))] == [3.0, 2.0, 3.0, 2.0]
    assert len(calls) == 2


def test_a_static_argument_that_was_changed_is_another_one() -> None:
    class Power:
        def __init__(self, n: int) -> None:
            self.n = n

        def __hash__(self) -> int:
            return hash(self.n)

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Power) and self.n == other.n

    f = jit(lambda x, p: x**p.n, static_argnums=1)
    many = jit(lambda xs, p: xs[0] ** p.n, static_argnums=1)
    power = Power(2)
    for n in (2, 2, 3, 3, 2):
        power.n = n
        assert f(3.0, power) == 3.0**n and many([3.0] * 20, power) == 3.0**n


X = np.arange(3.0)

RESULTS: dict[str, Any] = {
    "squeeze": lambda x: np.squeeze(x[:1]),
    "ellipsis": lambda x: x[..., 0],
    "where": lambda x: np.where(x[0] > 0, x[1], x[2]),
    "reshape": lambda x: x[:1].reshape(()),
    "copy": lambda x: np.copy(x[0]),
    "tensordot": lambda x: np.tensordot(x, x, 1),
    "zeros": lambda x: np.zeros(()),
    "element": lambda x: x[0],
    "sum": lambda x: np.sum(x),
    "sine": lambda x: np.sin(x[..., 0]),
    "pair": lambda x: (x[..., 0], x[0], x[:1].squeeze()),
}


@pytest.mark.parametrize("name", RESULTS)
def test_results_of_shape_nothing_are_arrays_where_numpy_has_arrays(name: str) -> None:
    f = RESULTS[name]
    want = tree.map(type, f(X))
    for g in (jit(f), jit(lambda x: jit(f)(x))):
        assert tree.map(type, g(X)) == want == tree.map(type, g(X))
    assert jit(lambda a: a)(np.array(1.0)).flags.writeable


def test_rounding_and_wrong_indices() -> None:
    np.testing.assert_array_equal(vmap(lambda x: round(x))(X[1:] + 0.6), [2, 3])
    assert jit(lambda x: round(x))(2.6) == 3 and grad(lambda x: x * round(x))(2.6) == 3.0
    for x in (jnp.arange(3.0), X):
        for index in ("a", 1.0, np.array([1.0])):
            with pytest.raises(IndexError) as caught:
                jit(lambda x, i=index: x[i])(x)
            assert isinstance(caught.value, TypeError)
    with pytest.raises(TypeError, match="only integers"):
        jnp.arange(3.0)[1.0]
    with pytest.raises(IndexError, match="out of bounds"):
        jnp.arange(3.0)[5]
    with pytest.raises(TypeError, match="static_argnames is a name"):
        jit(lambda x: x, static_argnames=0)  # type: ignore[call-overload]
