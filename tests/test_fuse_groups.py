"""Fusion: which operations become groups, and which are done again in another one."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from fuse_checks import array, check, count, same
from hypothesis import given
from roundings import assert_same

import funcgrad
from funcgrad import grad, jit, make_ir, value_and_grad
from funcgrad.executor.tiles import FusedKernel, tuning
from funcgrad.ir import Program
from funcgrad.passes.fuse import fuse
from funcgrad.passes.rematerialise import cheapest_side
from funcgrad.passes.unroll import Unrolling

pytestmark = pytest.mark.usefixtures("small_tiles")


# ------------------------------------------------------------------------------------------------ groups


def test_what_is_small_is_left_alone() -> None:
    tuning.smallest = 1000
    program = make_ir(lambda x: np.exp(x) + 1)(array((999,)))
    assert fuse(program) is program
    check(lambda x: np.exp(x) + 1, array((1000,)), groups=1)
    assert count(fuse(make_ir(lambda x: np.exp(x) + 1)(array((10,))), smallest=10)) == 1


def test_a_single_cheap_operation_is_left_alone() -> None:
    tuning.share_ns = 1e9
    program = make_ir(lambda x: x + 1.0)(array((100,)))
    assert fuse(program) is program
    check(lambda x: np.reshape(x + 1.0, (10, 10)), array((100,)), groups=0)


def test_no_group_depends_on_itself() -> None:
    def f(x: Any) -> Any:
        a = np.exp(x) * 2
        return a * np.cumsum(a) + a, np.sin(x) + np.cumsum(a * 3)

    check(f, array((50,)), groups=3)

    def g(x: Any, w: Any) -> Any:
        h = np.tanh(x @ w)
        return np.sum((h @ w - x) ** 2)

    check(value_and_grad(g), array((9, 9)), array((9, 9), seed=1))


def test_groups_across_each_other_are_not_merged() -> None:
    """Two groups, each of which would feed the other: one of the two joins has to be refused."""

    def f(x: Any, y: Any) -> Any:
        a, b = np.exp(x), np.exp(y)
        c = np.cumsum(a) + b * 2
        return a * np.cumsum(c) + np.cumsum(b), c

    check(f, array((50,)) / 9, array((50,), seed=1) / 9)


def test_what_needs_the_whole_sum_comes_later() -> None:
    after = check(lambda x: x * 2 / np.sum(x * 2) + x, array((80,)), groups=2)
    kinds = [eqn.primitive.name for eqn in after.equations]
    assert kinds == ["fused", "fused"]


def test_wide_rows_are_not_fused() -> None:
    tuning.widest, tuning.share_ns = 100, 1e9
    check(lambda x, b: np.exp(x + b), array((4, 101)), array((101,)), groups=0)
    check(lambda x, b: np.exp(x + b), array((4, 100)), array((100,)), groups=1)
    check(lambda x: np.exp(x) * 2, array((4, 101)), groups=1)


def test_only_what_is_read_is_written() -> None:
    (eqn,) = check(grad(lambda x: np.sum(np.tanh(x) * np.sin(x))), array((80,)), groups=1).equations
    assert len(eqn.outputs) == 1
    assert eqn.params["shape"] == (80,)
    assert not eqn.params["program"].consts


def test_bodies_of_loops_are_fused() -> None:
    def f(x: Any) -> Any:
        return funcgrad.lax.fori_loop(0, 3, lambda i, y: np.tanh(y) * x + y, x)

    program = fuse(make_ir(f)(array((50,))))
    bodies = [p for eqn in program.equations for p in eqn.params.values() if isinstance(p, Program)]
    assert sum(map(count, bodies)) == 1
    same(funcgrad.jit(f)(array((50,))), f(array((50,))), float)


def test_constants_of_the_program() -> None:
    c = array((60,))
    check(lambda x: np.exp(x) * c + c, array((60,), seed=1), groups=1)


def test_equations_that_do_not_fit() -> None:
    program = make_ir(lambda x: np.cumsum(x) + 1)(array((50,)))
    with pytest.raises(ValueError, match="cumsum"):
        FusedKernel(program)
    with pytest.raises(ValueError, match="tiles"):
        FusedKernel(make_ir(lambda x: x / np.sum(x))(array((5,))))
    with pytest.raises(ValueError, match="outputs"):
        FusedKernel(make_ir(lambda x: (np.exp(x), x))(array((5,))))


def test_source_shows_the_equations_and_the_lines() -> None:
    (eqn,) = check(lambda x: np.exp(x) * 2 + x, array((100,)), groups=1).equations
    source = FusedKernel(**eqn.params).source
    assert "exp(x0, s0)" in source
    assert "test_fuse_groups.py" in source


# ------------------------------------------------------------------------------------------------ recomputation


def test_cheap_values_are_computed_again() -> None:
    def f(x: Any) -> Any:
        a = x + 1
        b = np.exp(a)
        c = b * 3 - a
        return np.cumsum(c) * a + c / b

    after = check(f, array((4000,)), groups=2)
    first, _, second = after.equations
    assert len(first.outputs) == 2  # b and c: a is computed again, b is dear, c is needed anyway
    assert "add" in [eqn.primitive.name for eqn in second.params["program"].equations]
    assert "exp" not in [eqn.primitive.name for eqn in second.params["program"].equations]


def test_what_is_written_anyway_is_read() -> None:
    def f(x: Any) -> Any:
        a = x * 3 + 1
        return np.cumsum(np.exp(a)) * a, a

    after = check(f, array((4000,)), groups=2)
    assert [eqn.primitive.name for eqn in after.equations[-1].params["program"].equations] == ["mul"]


def test_a_group_whose_values_are_all_computed_again_is_gone() -> None:
    def f(x: Any, y: Any) -> Any:
        a = (x + 1) * 2
        return np.sum(np.cumsum(y) * a) + np.sum(a, axis=None)

    after = check(f, array((4000,)), array((4000,), seed=1))
    assert count(after) <= 2


def test_rows_that_are_known_late_are_read() -> None:
    def f(x: Any) -> Any:
        s = np.sum(x * 2, axis=0)
        a = x + 1
        return np.cumsum(np.exp(a), axis=1) * a * s, np.cumsum(s)

    check(f, array((30, 20)))


def test_the_cheapest_cut() -> None:
    capacities = {"s": {"a": 3.0, "b": 2.0}, "a": {"t": 2.0, "b": 5.0}, "b": {"t": 2.5}, "t": {}}
    side = cheapest_side(capacities, "s", "t")
    assert side == {"s", "a", "b"}
    assert cheapest_side({"s": {"a": 1.0}, "a": {"t": 2.0}, "t": {}}, "s", "t") == {"s"}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 9)), max_size=20))
def test_no_cut_is_cheaper(edges: list[tuple[int, int, int]]) -> None:
    network: dict[Any, dict[Any, float]] = {i: {} for i in range(6)}
    for a, b, c in edges:
        if a != b:
            network[a][b] = float(c)

    def cost(side: set[Any]) -> float:
        return sum(c for a in side for b, c in network[a].items() if b not in side)

    side = cheapest_side(network, 0, 5)
    assert 0 in side and 5 not in side
    rest = [{0, *(i for i in range(1, 5) if mask >> i & 1)} for mask in range(32)]
    assert cost(side) == min(map(cost, rest))


def test_a_donated_array_is_not_overwritten_before_it_was_read_last() -> None:
    """The first result of a kernel may not lie where later lines of a tile still read."""
    x = np.random.default_rng(0).uniform(-9, 9, 100_000)
    for f in (
        lambda x: (np.exp(x[:1]) + x, np.tanh(x[:1]) * np.exp(x), x * x),
        lambda x: (x + 1, np.exp(x) * 2, x * x),
    ):
        donating = jit(f, donate_argnums=0)
        for a, b in zip(donating(x.copy()), f(x), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-14)


# ---------------------------------------------------------------------------------- where values lie in a group


@pytest.mark.parametrize("shape", [(3, 3), (2, 2, 1, 1)], ids=str)
def test_rows_of_a_square_that_become_columns(shape: Any, unrolled_when: Unrolling) -> None:
    """A maximum of each row is read as one of each column: no group can hold both."""

    def f(x: Any) -> Any:
        y = x * np.sin(x)
        return np.sum((y + np.max(np.sin(x), axis=1) / (1 + np.abs(y))) ** 2)

    unrolled_when.gain = 0
    x = array(shape)
    np.testing.assert_allclose(jit(grad(f))(x), grad(f)(x), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_reductions_of_what_is_broadcast(dtype: Any, unrolled_when: Unrolling) -> None:
    unrolled_when.gain = 0
    x = array((5, 1)).astype(dtype)
    wide = lambda x: np.broadcast_to(x, (5, 8))  # noqa: E731

    def extremes(x: Any) -> Any:
        y = wide(x * 3).real
        return np.max(y, 0), np.min(np.sin(y), 1), np.where(y > 0, y, 0.5 * y), y

    for f in (extremes, grad(lambda x: np.sum(np.abs(wide(x)) ** 2))):
        for a, b in zip(funcgrad.tree.leaves(jit(f)(x)), funcgrad.tree.leaves(f(x)), strict=True):
            assert np.shape(a) == np.shape(b)
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_choosing_between_two_shapes_of_one_array() -> None:
    """What is chosen is not written over what it is chosen from."""

    def f(x: Any) -> Any:
        y = np.sin(x) * x
        return np.where(x > 0, y, y.reshape(1, -1)), np.where(x > 0.5, y.reshape(1, -1), y) + x

    x = np.linspace(-2, 2, 100_000)
    for got, want in zip(jit(f)(x), f(x), strict=True):
        assert_same(got, want, rtol=1e-15)


def test_a_kernel_that_only_shapes() -> None:
    """A group of which nothing is left but aliases is a kernel, too."""
    x = np.arange(12.0).reshape(3, 4)
    program, out = make_ir(lambda x: x.reshape(3, 1, 4))(x), np.empty((3, 1, 4))
    FusedKernel(program, (3, 4)).run(x, out)
    np.testing.assert_array_equal(out[:, 0], x)
