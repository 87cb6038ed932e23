"""Small arrays on which the same operations are done are packed into one flat array, and nothing else changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from amounts import examples
from hypothesis import assume, given
from hypothesis import strategies as st
from test_random_programs import BINARY_UFUNCS, ONE, OPERATORS, TWO, UFUNCS, UNARY_OPERATORS, expressions, run, same
from tunings import kept

import funcgrad as fg
from funcgrad import lax, tree
from funcgrad.executor.build import build, prepared
from funcgrad.executor.compiled import executable
from funcgrad.executor.packed import PACKED
from funcgrad.ir import Equation, Program, eval_program
from funcgrad.passes.components import Packing, packing
from funcgrad.passes.pack_leaves import pack_leaves
from funcgrad.passes.pipeline import optimise
from funcgrad.passes.unroll import Unrolling, unrolling

Params = dict[str, Any]

SHAPES = ((7,), (), (2, 3), (0,), (1,), (3, 1, 2), (40,), (5, 0), (1, 1))


def force(on: Packing) -> None:
    on.call, on.taken, on.given, on.flat, on.byte = 1e6, 0.0, 0.0, 0.0, 0.0


@pytest.fixture
def always(packed_when: Packing, unrolled_when: Unrolling) -> Packing:
    """Whatever can be packed is packed, and nothing is written out."""
    force(packed_when)
    unrolled_when.gain = 0
    return packed_when


@contextmanager
def forced() -> Iterator[None]:
    with kept(packing), kept(unrolling):
        force(packing)
        unrolling.gain = 0
        yield


def packs(program: Program) -> list[Equation]:
    """The equations that lay arrays side by side, in all programs."""
    found = [e for e in program.equations if e.primitive is PACKED]
    for eqn in program.equations:
        for value in eqn.params.values():
            for inner in value if isinstance(value, tuple) else (value,):
                found += packs(inner) if isinstance(inner, Program) else []
    return found


def packs_of(f: Callable[..., Any], *args: Any) -> list[Equation]:
    return packs(prepared(fg.make_ir(f)(*args)))


def make(rng: np.random.Generator, shapes: Any = SHAPES, dtype: Any = np.float64) -> Params:
    return {f"p{i}": np.asarray(rng.standard_normal(s)).astype(dtype) for i, s in enumerate(shapes)}


def equal(found: Any, want: Any, rtol: float = 1e-12) -> None:
    assert tree.structure(found) == tree.structure(want)
    for a, b in zip(tree.leaves(found), tree.leaves(want), strict=True):
        assert (np.shape(a), np.asarray(a).dtype) == (np.shape(b), np.asarray(b).dtype)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


# ---------------------------------------------------------------------------------------------------------- optimisers


def adam(state: Any, grads: Params, rate: Any) -> Any:
    params, first, second, count = state
    count = count + 1
    first = tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
    second = tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, second, grads)
    a, b = 1 / (1 - 0.9**count), 1 / (1 - 0.999**count)
    params = tree.map(lambda p, m, v: p - rate * (m * a) / (np.sqrt(v * b) + 1e-8), params, first, second)
    return params, first, second, count


def momentum(state: Any, grads: Params, rate: Any) -> Any:
    params, first, second, count = state
    first = tree.map(lambda m, g: 0.9 * m + g, first, grads)
    return tree.map(lambda p, m, g: p - rate * (g + 0.9 * m), params, first, grads), first, second, count


def rmsprop(state: Any, grads: Params, rate: Any) -> Any:
    params, first, second, count = state
    second = tree.map(lambda v, g: np.where(g > 0, 0.9 * v + 0.1 * g**2, v), second, grads)
    return tree.map(lambda p, v, g: p - rate * g / np.sqrt(v + 1e-8), params, second, grads), first, second, count


def adamw(state: Any, grads: Params, rate: Any) -> Any:
    params, first, second, count = adam(state, grads, rate)
    old = state[0]
    return {n: p - rate * 0.1 * old[n] if int(n[1:]) % 2 else p for n, p in params.items()}, first, second, count


def clipped(state: Any, grads: Params, rate: Any) -> Any:
    norm = np.sqrt(sum(np.sum(g**2) for g in grads.values()))
    return adam(state, tree.map(lambda g: g * np.minimum(1.0, 1.0 / norm), grads), rate)


def decayed_and_clipped(state: Any, grads: Params, rate: Any) -> Any:
    """What is clipped is made of the same leaves as what is done with it."""
    return clipped(state, tree.map(lambda g, p: g + 0.01 * p, grads, state[0]), rate)


def then_measured(state: Any, grads: Params, rate: Any) -> Any:
    new = adam(state, grads, rate)
    norms = tree.map(lambda p: np.sum(p**2), new[0])
    return new, norms, tree.map(lambda p, n: p / (1 + n), new[0], norms)


OPTIMISERS = (adam, momentum, rmsprop, adamw, clipped, decayed_and_clipped, then_measured)


def make_state(rng: np.random.Generator, shapes: Any = SHAPES, dtype: Any = np.float64) -> Any:
    params, first, second = make(rng, shapes, dtype), make(rng, shapes, dtype), make(rng, shapes, dtype)
    return params, first, tree.map(lambda v: v * v, second), dtype(3)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("update", OPTIMISERS)
def test_updates_are_those_without_jit(update: Any, dtype: Any, rng: np.random.Generator, always: Packing) -> None:
    state, grads, rate = make_state(rng, dtype=dtype), make(rng, dtype=dtype), dtype(0.1)
    assert packs_of(update, state, grads, rate)
    f = fg.jit(lambda s, g, r: update(s, g, r))
    for _ in range(3):
        want = update(state, grads, rate)
        found = f(state, grads, rate)
        equal(found, want, 1e-12 if dtype is np.float64 else 1e-5)
        state = found if update is not then_measured else found[0]


@pytest.mark.parametrize("update", OPTIMISERS)
def test_arithmetic_is_bitwise_that_of_separate_leaves(
    update: Any, rng: np.random.Generator, packed_when: Packing, unrolled_when: Unrolling
) -> None:
    state, grads = make_state(rng), make(rng)
    unrolled_when.gain = packed_when.call = 0
    apart = build(fg.make_ir(update)(state, grads, 0.1))
    force(packed_when)
    packed = build(fg.make_ir(update)(state, grads, 0.1))
    args = tree.leaves((state, grads, 0.1))
    assert packs(packed.program) and not packs(apart.program)
    for a, b in zip(packed(*args), apart(*args), strict=True):
        np.testing.assert_array_equal(a, b)


def test_arguments_of_any_layout(rng: np.random.Generator, always: Packing) -> None:
    def variants(x: np.ndarray) -> Iterator[np.ndarray]:
        yield np.asfortranarray(x)
        yield np.repeat(x, 2, axis=0)[::2]
        yield x[::-1].copy()[::-1]
        yield np.broadcast_to(x[:1], x.shape)
        yield x.astype(">f8")
        still = x.copy()
        still.flags.writeable = False
        yield still

    shapes = ((3, 4), (4, 3), (2, 6))
    state, grads = make_state(rng, shapes), make(rng, shapes)
    for donated in ((), (0,), (0, 1)):
        f = fg.jit(lambda s, g: adam(s, g, 0.1), donate_argnums=donated)
        for name in grads:
            for x in variants(grads[name]):
                given = {**grads, name: x}
                with_state = ({**state[0], name: x}, *state[1:])
                equal(f(tree.map(np.copy, state), tree.map(lambda v: v[...], given)), adam(state, given, 0.1))
                want = adam(with_state, grads, 0.1)
                equal(f((*with_state[:1], *tree.map(np.copy, with_state[1:])), tree.map(np.copy, grads)), want)


def test_dtypes_and_structures_are_told_apart(rng: np.random.Generator, always: Packing) -> None:
    """Four kinds of leaves: two dtypes, some with decay; each is packed by itself."""
    singles, doubles = make(rng, ((3,), (4,), (5,), (2, 2)), np.float32), make(rng, ((3,), (4,), (5,), (6,)))

    def f(p: Any, q: Any, r: Any) -> Any:
        step = lambda n, x: np.sin(x) * 0.5 - x * r * (2 if n in ("p0", "p2") else x)  # noqa: E731
        return {n: step(n, x) for n, x in p.items()}, {n: step(n, x) for n, x in q.items()}

    r = np.float32(0.5)
    equal(fg.jit(f)(singles, doubles, r), f(singles, doubles, r), 1e-6)
    found = [[v.aval.size for v in e.inputs] for e in packs_of(f, singles, doubles, r)]
    assert sorted(found) == [[3, 5], [3, 5], [4, 4], [4, 6]]


@pytest.mark.parametrize(
    "f",
    [
        lambda x: (x // 3 + x % 5) ^ (x << 2),
        lambda x: (x > 2) & (x != 4) | (x < 0),
        lambda x: np.where(x > 2, x * (1 + 2j), np.conj(x * 1j)) * 2.0,
        lambda x: np.where(x > 1, 0.0, np.sqrt(abs(x) + 1.0)),
        lambda x: (x * 2.5).astype(np.int16) + np.maximum(x, 3).astype(np.float32),
        lambda x: np.clip(x, -1, 1) * np.sign(x) + np.zeros_like(x) * x,
    ],
)
def test_other_dtypes(f: Any, always: Packing) -> None:
    xs = [np.arange(-2, n - 2) for n in (3, 6, 1, 8)]
    want, found = [f(x) for x in xs], fg.jit(lambda xs: [f(x) for x in xs])(xs)
    for a, b in zip(found, want, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert packs_of(lambda xs: [f(x) for x in xs], xs)


def test_operands_in_another_order_or_shared_are_another_structure(always: Packing) -> None:
    def f(*args: Any) -> Any:
        a, b, c, d, r, s = args
        return [
            (a - b) * 2 + a,
            (c - d) * 2 + c,
            (b - a) * 2 + a,
            (c - d) * 2 + d,
            (c - c[::-1]) * r + c,
            (a - a[::-1]) * s + a,
            (d - d[::-1]) * 2.0 + d,
            (b - b[::-1]) * 2.0 + b,
            (b - a) * -0.0 + 1,
            (d - c) * 0.0 + 1,
        ]

    args = [np.array([1.0, 4.0]), np.array([2.0, 8.0]), np.array([0.5, 1.5, 7.0]), np.array([3.0, 1.0, 2.0])]
    found, want = fg.jit(f)(*args, 2.0, 3.0), f(*args, 2.0, 3.0)
    for a, b in zip(found, want, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(np.signbit(a), np.signbit(b))


# -------------------------------------------------------------------------------------------------------- dependencies


def test_a_leaf_that_needs_another_is_not_packed_with_it(always: Packing) -> None:
    """The second leaf needs the first one, and the fourth the third: two and two can be packed."""

    def step(x: Any, s: Any) -> Any:
        return np.sin(x) * s + x

    def f(a: Any, b: Any, c: Any, d: Any) -> Any:
        new_a, new_c = step(a, 2.0), step(c, 2.0)
        return new_a, step(b * np.ones((2, 1)) @ np.ones((3, 1)) * np.sum(new_a), 2.0), new_c, step(d + new_c[:3], 2.0)

    args = np.ones(4), np.ones(3), np.arange(5.0), np.arange(3.0)
    equal(fg.jit(f)(*args), f(*args))
    assert packs_of(f, *args)


def test_cycles_are_not_made(always: Packing) -> None:
    """Of two structures on two leaves, each needs the other one on the other leaf: only one can be packed."""
    one = lambda x: np.sin(x) * 2 + 1  # noqa: E731
    other = lambda x: np.cos(x) * 3 - 1  # noqa: E731

    def f(a: Any, b: Any) -> Any:
        x, y = one(a), other(b)
        return x, y, other(np.cumsum(x)), one(np.cumsum(y))

    args = [np.arange(3.0), np.arange(4.0)]
    equal(fg.jit(f)(*args), f(*args))
    new = pack_leaves(optimise(fg.make_ir(f)(*args)))
    equal(eval_program(new, args), list(f(*args)))
    assert len(packs(new)) == 1


def test_steps_one_after_the_other(rng: np.random.Generator, always: Packing) -> None:
    """Each step needs all of the one before; what is flat already is not packed again."""
    w = rng.standard_normal((4, 4))

    def f(xs: Any) -> Any:
        for _ in range(3):
            total = sum(np.sum(x @ w) for x in xs)
            xs = [np.sin(x) * 0.5 + x * total for x in xs]
        return xs

    xs = [rng.standard_normal((n, 4)) for n in (1, 2, 3)]
    equal(fg.jit(f)(xs), f(xs))
    names = [e.primitive.name for e in prepared(fg.make_ir(f)(xs)).equations]
    assert names.count("sin") == 3 and names.count("packed") == 1


def test_effects_stay_in_order(always: Packing) -> None:
    seen: list[Any] = []
    note = lambda name: lambda x: seen.append((name, float(x)))  # noqa: E731

    def f(a: Any, b: Any) -> Any:
        fg.debug.callback(note("first"), np.sum(a))
        x = np.sin(a) * 2 + 1
        fg.debug.callback(note("of a"), np.sum(x))
        fg.debug.callback(note("of b's operand"), np.sum(b))
        y = np.sin(b) * 2 + 1
        fg.debug.callback(note("of b"), np.sum(y))
        return x, y

    args = np.zeros(3), np.zeros(4)
    jitted = fg.jit(f)
    equal(jitted(*args), (np.ones(3), np.ones(4)))
    assert seen == [("first", 0.0), ("of a", 3.0), ("of b's operand", 0.0), ("of b", 4.0)]
    assert packs_of(f, *args)


# -------------------------------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("donated", [(), (0,), (0, 1)])
def test_results_are_memory_of_their_own(donated: Any, rng: np.random.Generator, always: Packing) -> None:
    f = fg.jit(lambda s, g: adam(s, g, 0.1), donate_argnums=donated)
    shapes = [s for s in SHAPES if math.prod(s) and s] * 2
    state, grads = make_state(rng, shapes), make(rng, shapes)
    kept: list[tuple[Any, Any]] = []
    for _ in range(4):
        want = adam(state, grads, 0.1)
        state = f(tree.map(np.copy, state), tree.map(np.copy, grads))
        equal(state, want)
        kept.append((state, tree.map(np.copy, state)))
    arrays = [x for found, _ in kept for x in tree.leaves(found) if np.shape(x)]
    for i, x in enumerate(arrays):
        assert x.flags.writeable and x.flags.owndata and x.base is None
        assert not any(np.shares_memory(x, y) for y in arrays[:i])
    for found, copy in kept:
        for x, y in zip(tree.leaves(found), tree.leaves(copy), strict=True):
            np.testing.assert_array_equal(x, y)


def test_a_donated_array_that_is_needed_elsewhere(rng: np.random.Generator, always: Packing) -> None:
    def f(p: Any, g: Any) -> Any:
        new = {n: x * 0.5 + np.sin(g[n]) * x for n, x in p.items()}
        return new, sum(np.sum(x[..., ::-1] * np.cumsum(x)) for x in p.values()), p["p0"]

    shapes = ((3,), (5,), (4,))
    p, g = make(rng, shapes), make(rng, shapes)
    jitted = fg.jit(f, donate_argnums=0)
    equal(jitted(tree.map(np.copy, p), g), f(p, g))
    twice = dict.fromkeys(("p0", "p1", "p2"), p["p0"].copy())
    want = f(tree.map(np.copy, twice), tree.map(np.copy, twice))
    equal(fg.jit(lambda p, g: f(p, g), donate_argnums=(0, 1))(twice, twice), want)


def test_arguments_are_left_alone(rng: np.random.Generator, always: Packing) -> None:
    state, grads = make_state(rng), make(rng)
    before = tree.map(np.copy, (state, grads))
    fg.jit(lambda s, g: adam(s, g, 0.1))(state, grads)
    equal((state, grads), before, 0)


def test_threads_at_once(rng: np.random.Generator, always: Packing) -> None:
    f = fg.jit(lambda s, g: adam(s, g, 0.1))
    given_states = [make_state(rng, ((30,), (4, 5), (700,))) for _ in range(4)]
    grads = make(rng, ((30,), (4, 5), (700,)))
    wanted = [adam(s, grads, 0.1) for s in given_states]
    with ThreadPoolExecutor(4) as pool:
        for found, want in zip(pool.map(lambda i: f(given_states[i % 4], grads), range(80)), wanted * 20, strict=True):
            equal(found, want)


# ------------------------------------------------------------------------------------------- inside other programs


def test_in_loops_and_branches(rng: np.random.Generator, always: Packing) -> None:
    shapes = ((3,), (2, 2), (5,))
    state, grads = make_state(rng, shapes), make(rng, shapes)

    def scanned(s: Any, g: Any) -> Any:
        return lax.scan(lambda s, k: (new := adam(s, tree.map(lambda x: x * k, g), 0.1), new[0]), s, np.arange(4.0))

    def looped(s: Any, g: Any) -> Any:
        return lax.while_loop(lambda s: s[3] < 7, lambda s: adam(s, g, 0.1), s)

    def chosen(s: Any, g: Any) -> Any:
        return lax.cond(s[3] > 2, lambda s: adam(s, g, 0.1), lambda s: momentum(s, g, 0.2), s)

    for f in (scanned, looped, chosen):
        found = fg.jit(f)(state, grads)
        equal(found, f(state, grads))
        assert packs_of(f, state, grads)


def test_functions_that_branch(rng: np.random.Generator, always: Packing) -> None:
    def f(s: Any, g: Any) -> Any:
        new = adam(s, g, 0.1)
        if np.sum(new[0]["p0"]) > 0:
            return momentum(new, g, 0.1)
        return adam(new, g, 0.3)

    shapes = ((3,), (2, 2), (5,))
    state, grads = make_state(rng, shapes), make(rng, shapes)
    jitted = fg.jit(f)
    for _ in range(3):
        for sign in (1.0, -1.0):
            s = ({**state[0], "p0": np.full(3, 10 * sign)}, *state[1:])
            equal(jitted(s, grads), f(s, grads))


def test_derivatives_and_batches(rng: np.random.Generator, always: Packing) -> None:
    shapes = ((3,), (2, 2), (5,))
    p = make(rng, shapes)
    loss = lambda p: sum(np.sum(np.tanh(x) * np.sin(x) + x**2) for x in p.values())  # noqa: E731
    step = lambda p: tree.map(lambda x, g: x - 0.1 * np.tanh(g), p, fg.grad(loss)(p))  # noqa: E731
    equal(fg.jit(step)(p), step(p))
    many = tree.map(lambda x: np.stack([x, 2 * x]), p)
    equal(fg.jit(fg.vmap(step))(many), fg.vmap(step)(many))
    assert packs_of(step, p)


def test_other_backends_do_without(rng: np.random.Generator, always: Packing) -> None:
    shapes = ((3,), (2, 2), (5,))
    state, grads = make_state(rng, shapes), make(rng, shapes)
    inner = fg.jit(adam, backend=fg.backends.RecordingBackend())
    equal(inner(state, grads, 0.1), adam(state, grads, 0.1))


# ----------------------------------------------------------------------------------------------------- what is chosen


def many(rng: np.random.Generator, n: int, size: int) -> Any:
    shapes = ((size,),) * n
    return make_state(rng, shapes, np.float32), make(rng, shapes, np.float32), np.float32(0.1)


def test_many_small_leaves_are_packed_and_large_ones_are_not(rng: np.random.Generator) -> None:
    assert len(packs_of(adam, *many(rng, 20, 100))) == 4
    assert not packs_of(adam, *many(rng, 20, 20000))
    assert not packs_of(adam, *many(rng, 1, 100))
    small, large = many(rng, 6, 100), many(rng, 3, 20000)
    both = tree.map(lambda x: x, {f"a{i}": x for i, x in enumerate([*small[0][0].values(), *large[0][0].values()])})
    f = lambda p: tree.map(lambda x: np.sin(np.cos(x) * 2 + 1) * np.tanh(x) * x + 3, p)  # noqa: E731
    (eqn,) = packs_of(f, both)
    assert [v.aval.size for v in eqn.inputs] == [100] * 6


def test_a_sum_of_two_is_not_worth_it(rng: np.random.Generator) -> None:
    state, grads, rate = many(rng, 6, 1000)
    assert not packs_of(lambda p, g: tree.map(lambda x, y: x - rate * y, p, g), state[0], grads)


def test_flat_arrays_are_bounded(rng: np.random.Generator) -> None:
    found = packs_of(adam, *many(rng, 200, 500))
    sizes = [e.outputs[0].aval.size * 4 for e in found]
    assert len(sizes) > 8 and max(sizes) <= packing.most
    assert sum(len(e.inputs) for e in found) == 4 * 200


def test_the_code(rng: np.random.Generator) -> None:
    """One call for each operation, none for taking results out, and lines of the user's."""
    jitted: Any = fg.jit(adam)
    text = jitted.lower(*many(rng, 20, 100)).source()
    body = text[text.index("def run(") :]
    assert body.count("sqrt(") == 1 and body.count("call_packed(") == 4
    assert body.count(".copy()") == 60 and "reshape" not in body
    line = next(line for line in body.splitlines() if "sqrt(" in line)
    assert "test_pack_leaves.py:" in line
    alone: Any = fg.jit(lambda x: np.sin(x) * 2)
    assert "call_packed" not in alone.lower(np.ones(3)).source()


def test_donated_memory_that_is_not_used_costs_nothing(rng: np.random.Generator) -> None:
    jitted: Any = fg.jit(adam, donate_argnums=0)
    text = jitted.lower(*many(rng, 20, 100)).source()
    assert "carray" not in text and "apart(" not in text


def test_errors_have_the_users_line(rng: np.random.Generator, always: Packing) -> None:
    f = fg.jit(lambda xs: [np.sqrt(x) * 2 + 1 for x in xs])
    with np.errstate(invalid="raise"), pytest.raises(FloatingPointError, match=r"(?s)sqrt.*test_pack_leaves\.py"):
        f([np.ones(3), -np.ones(4)])


def test_turned_off(rng: np.random.Generator, packed_when: Packing) -> None:
    packed_when.call = 0
    assert not packs_of(adam, *many(rng, 20, 100))


def test_few_numbers_amid_others_that_are_written_out_stay_there(rng: np.random.Generator) -> None:
    """Gradients of a loss on few numbers: all of it is one group of Python's floats."""
    loss = lambda p, x: np.sum((np.tanh(x @ p["w"] + p["b"]) @ p["v"] + p["c"]) ** 2)  # noqa: E731
    p = {"w": np.ones((2, 2)), "b": np.ones(2), "v": np.ones((2, 1)), "c": np.ones(1)}
    m, v = tree.map(np.zeros_like, p), tree.map(np.zeros_like, p)

    def step(s: Any, x: Any) -> Any:
        return adam(s, fg.grad(loss)(s[0], x), 0.1)

    assert not packs_of(step, (p, m, v, 1.0), np.ones(2))
    assert packs_of(adam, make_state(rng, ((3,),) * 40), make(rng, ((3,),) * 40), 0.1)


# -------------------------------------------------------------------------------------------------------------- random

EACH = (*UNARY_OPERATORS, *UFUNCS)
EACH_TWO = tuple(n for n in (*OPERATORS, *BINARY_UFUNCS) if n != "@")


@examples(80)
@given(st.data())
def test_random_elementwise_programs(data: st.DataObject) -> None:
    """One random expression on leaves of different shapes, and another that reads its results."""
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    dtype = data.draw(st.sampled_from([np.float64, np.float32, np.int32, np.bool_, np.complex128]))
    shapes = data.draw(st.lists(st.sampled_from([(3,), (2, 3), (1,), (0, 3), (4, 1)]), min_size=2, max_size=5))
    first, second = data.draw(expressions(3, EACH, EACH_TWO)), data.draw(expressions(3, EACH, EACH_TWO))
    pairs = [tuple(rng.integers(-3, 5, s).astype(dtype) for _ in range(2)) for s in shapes]
    scalar = data.draw(st.sampled_from([2, 0.5, np.float32(3), True]))
    apply = lambda name, *xs: (ONE if len(xs) == 1 else TWO)[name](*xs)  # noqa: E731

    def f(pairs: Any, scalar: Any) -> Any:
        made = [run(first, [x, y, scalar], apply) for x, y in pairs]
        return made, [run(second, [x, z, scalar], apply) for (x, _), z in zip(pairs, made, strict=True)]

    with np.errstate(all="ignore"):
        try:
            want = f(pairs, scalar)
        except (TypeError, ValueError):
            assume(False)
        assume(all(np.asarray(x).dtype.kind != "O" and np.shape(x) for x in tree.leaves(want)))
        with forced():
            program = fg.make_ir(f)(pairs, scalar)
            found = executable(program)(*tree.leaves((pairs, scalar)))
        for a, b in zip(found, tree.leaves(want), strict=True):
            same(a, b, False, "packed")
