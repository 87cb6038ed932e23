"""Loops and branches over few elements, written out: the same results as with calls of NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st

import funcgrad as fg
from funcgrad import lax, tree
from funcgrad._array import ARRAYS
from funcgrad.executor.compiled import executable
from funcgrad.executor.lower_scalar_code import program_source
from funcgrad.executor.step import Bindings
from funcgrad.executor.unrolled import UNROLLED
from funcgrad.ir import eval_program
from funcgrad.passes.unroll import Unrolling, unrolling
from funcgrad.types import dtype_of

XS = np.array([0.4, -0.3, 0.8, 0.1])
TABLE = np.linspace(-1.0, 1.0, 24).reshape(4, 2, 3)


@pytest.fixture
def always(unrolled_when: Unrolling) -> Unrolling:
    """Whatever can be written out is."""
    unrolled_when.gain, unrolled_when.operation, unrolled_when.elements = math.inf, 0.0, 1000
    return unrolled_when


def alone(f: Callable[..., Any], *args: Any) -> bool:
    """Whether the compiled program is one `unrolled` equation, loops and all."""
    program = executable(fg.make_ir(f)(*args)).program
    return [e.primitive for e in program.equations] == [UNROLLED]


def same(found: Any, want: Any) -> None:
    for a, b in zip(tree.leaves(found), tree.leaves(want), strict=True):
        assert np.shape(a) == np.shape(b) and np.asarray(a).dtype == np.asarray(b).dtype
        if type(b) not in ARRAYS:  # which loops of lax give that run outside of transformations
            assert isinstance(a, np.generic) == isinstance(b, np.generic)
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


def mixed_rows(s: Any, xs: Any) -> Any:
    """Rows that are numbers, vectors, matrices, truth values; values that change places."""

    def step(c: Any, x: Any) -> Any:
        a, b, m = c
        new = b * 0.5 + x, a, np.tanh(m @ m + x)
        return new, (a, np.stack([a, b]), m * x, a > b, 1.0)

    return lax.scan(step, (s, s * 2, np.outer(xs[:2], xs[2:])), xs)


def nested(s: Any, table: Any) -> Any:
    """A loop in a loop, over the rows of a row; what the inner one stacks is used outside it, too."""

    def step(c: Any, rows: Any) -> Any:
        inner, kept = lax.scan(lambda d, row: (np.sin(d + row[0]) + row[1] * row[2], d * row), c, rows)
        back, _ = lax.scan(lambda d, k: (d + k[0] * k[1], None), inner, kept, reverse=True)
        return back, np.sum(kept) + kept[0]

    return lax.scan(step, s, table, reverse=True)


def twice(s: Any, xs: Any) -> Any:
    """The same loop twice, one after the other, and results of both."""

    def loop(c: Any) -> Any:
        return lax.scan(lambda c, x: (np.cos(c) * x + c, c), c, xs)

    first, ys = loop(s)
    second, zs = loop(first)
    return first * second, ys * zs, np.sum(ys[::-1] * xs)


def branches(s: Any, xs: Any) -> Any:
    def step(c: Any, x: Any) -> Any:
        c = lax.cond(x > 0.2, lambda c: np.exp(-c) + x, lambda c: c, c)
        k = lax.switch(1, [lambda c: c, lambda c: c * x], c)
        return k, lax.cond(c < k, lambda: (c, k), lambda: (k * 2, c))

    return lax.scan(step, s, xs)


def newton(s: Any, xs: Any) -> Any:
    def going(c: Any) -> Any:
        i, x = c
        return (np.abs(x * x - xs[2]) > 1e-13) & (i < 50)

    return lax.while_loop(going, lambda c: (c[0] + 1, 0.5 * (c[1] + xs[2] / c[1])), (0, s + 1.0))


def counted(s: Any, xs: Any) -> Any:
    """A loop over numbers from 0, which are computed with."""
    return lax.fori_loop(0, 7, lambda i, c: c * 0.9 + np.sin(i * c) + np.sum(xs) / (i + 1), s)


def both_ways(s: Any, xs: Any) -> Any:
    """An array that is read as a whole and row by row; a row that is read twice."""
    c, ys = lax.scan(lambda c, x: (c + x[0] * x[1] + xs[1], x[0]), s, (xs, xs))
    return c * np.sum(xs), ys + xs


LOOPS: dict[str, tuple[Callable[..., Any], Any]] = {
    f.__name__: (f, TABLE if f is nested else XS)
    for f in (mixed_rows, nested, twice, branches, newton, counted, both_ways)
}
S = np.float64(0.7)


@pytest.mark.parametrize("name", LOOPS)
def test_values(name: str, always: Unrolling) -> None:
    f, xs = LOOPS[name]
    jitted = fg.jit(f)
    assert alone(f, S, xs)
    for s in (S, np.float64(0.2), S):
        same(jitted(s, xs), f(s, xs))


def total(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda s, xs: sum(np.sum(np.sin(x)) for x in tree.leaves(f(s, xs)) if dtype_of(x).kind == "f")


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "grad": lambda f: fg.grad(total(f), argnums=(0, 1)),
    "grad of grad": lambda f: fg.grad(lambda s, xs: np.sum(fg.grad(total(f), argnums=1)(s, xs) ** 2)),
    "jvp": lambda f: lambda s, xs: fg.jvp(total(f), (s, xs), (1.0 * s, np.cos(xs))),
    "vmap": lambda f: lambda s, xs: fg.vmap(f, (0, None))(np.stack([s, 0.5 * s]), xs),
    "vmap of grad": lambda f: lambda s, xs: fg.vmap(fg.grad(total(f)), (None, 0))(s, np.stack([xs, 0.9 * xs])),
}


def smooth(s: Any, xs: Any) -> Any:
    """What is differentiated of them all: results that are piecewise constant do not matter."""
    return [f(s, x) for f, x in ((mixed_rows, xs), (twice, xs), (counted, xs), (both_ways, xs))]


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", ["nested", "branches", "newton", "smooth"])
def test_transformed(name: str, transform: str, always: Unrolling) -> None:
    f, xs = (smooth, XS) if name == "smooth" else LOOPS[name]
    only: Callable[..., Any] = (lambda s, xs: newton(s, xs)[1]) if name == "newton" else f
    g: Callable[..., Any] = TRANSFORMS[transform](only)
    same(fg.jit(g)(S, xs), g(S, xs))


def test_no_steps_and_no_results(always: Unrolling) -> None:
    def f(s: Any, xs: Any) -> Any:
        return lax.scan(lambda c, x: (c, None), s, xs)[0], lax.scan(lambda c, x: (c + x, (c, x > 0)), s, xs[:0])

    same(fg.jit(f)(S, XS), f(S, XS))


def swings(s: Any, steps: int = 60) -> Any:
    """The squares of the states of a pendulum: so many that NumPy takes them."""

    def step(s: Any, _: Any) -> Any:
        w = s[1] - 0.1 * np.sin(s[0]) - 0.05 * s[1] * np.abs(s[1])
        new = np.stack([s[0] + 0.1 * np.cos(w) * w, w])
        return new, new

    return np.sum(lax.scan(step, s, None, length=steps)[1] ** 2)


def test_what_a_loop_keeps_for_its_gradient_is_one_array() -> None:
    s = np.array([1.0, 0.3])
    forward, backward = [
        e for e in executable(fg.make_ir(fg.value_and_grad(swings))(s)).program.equations if e.primitive is UNROLLED
    ]
    (table,) = [v for v in forward.outputs if v.aval.ndim == 2 and v.aval.shape[1] > 2]
    assert table in backward.inputs
    for g, x in (
        (fg.value_and_grad(swings), s),
        (fg.hessian(swings), s),
        (fg.vmap(fg.grad(swings)), np.stack([s, -s])),
    ):
        same(fg.jit(g)(x), g(x))
    short = lambda s: fg.grad(lambda s: swings(s, 1))(s)  # noqa: E731
    same(fg.jit(short)(s), short(s))


# --------------------------------------------------------------------------------------------- what Python would raise


@pytest.mark.parametrize("where", ["carry", "row", "gone"])
def test_infinities_in_loops_are_numpys(where: str, always: Unrolling) -> None:
    def f(s: Any, xs: Any) -> Any:
        def step(c: Any, x: Any) -> Any:
            quotient = 1 / x
            new = {"carry": c + quotient, "row": c, "gone": np.where(x == 0, c, c * quotient)}[where]
            return new, (quotient if where == "row" else c)

        return lax.scan(step, s, xs)

    xs = np.array([0.5, 0.0, 2.0])
    jitted = fg.jit(f)
    assert alone(f, S, xs) or where == "row"  # which is divided before the loop
    with np.errstate(divide="ignore", invalid="ignore"):
        same(jitted(S, xs), f(S, xs))
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        jitted(S, xs)
    same(jitted(S, xs + 1), f(S, xs + 1))


def test_a_loop_that_diverges(always: Unrolling) -> None:
    f = lambda s: lax.fori_loop(0, 40, lambda i, c: c * c, s)  # noqa: E731
    assert fg.jit(f)(np.float64(1.0)) == 1.0
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert fg.jit(f)(np.float64(3.0)) == np.inf


@pytest.mark.parametrize("dtype", [np.int64, int])
def test_integers_wrap_around_as_numpys_do(dtype: Any, always: Unrolling) -> None:
    def f(i: Any, ks: Any) -> Any:
        def step(c: Any, k: Any) -> Any:
            i, s = c
            return (i + 3, s + i), (i - k.shape[0] if k.shape else k + 5)

        return lax.scan(step, (i, 0.0), ks)

    for start in (0, (1 << 62) - 1, (1 << 63) - 4):
        ks = np.array([1, 2, start])
        if dtype is int and start > 1 << 62:  # Python's integers do not wrap around
            continue
        with np.errstate(over="ignore"):
            same(fg.jit(f)(dtype(start), ks), f(dtype(start), ks))


def test_errors_of_the_users_line(always: Unrolling) -> None:
    """An exception of NumPy's comes from the line that it belongs to."""
    f = fg.jit(lambda s, xs: lax.scan(lambda c, x: (np.log(c) + x, c), s, xs))
    with np.errstate(invalid="raise"), pytest.raises(FloatingPointError, match=r"test_unroll_loops\.py"):
        f(np.float64(-1.0), XS)


# ------------------------------------------------------------------------------------------------------ random loops

_UNARY = {"sin": np.sin, "neg": np.negative, "square": np.square, "tanh": np.tanh, "twice": lambda x: x + x}
_BINARY = {"add": np.add, "mul": np.multiply, "max": np.maximum, "select": lambda x, y: np.where(x < y, x, y)}
_OPERATIONS = st.lists(
    st.tuples(st.sampled_from([*_UNARY, *_BINARY]), st.integers(0, 30), st.integers(0, 30)), min_size=2, max_size=9
)


def _computed(operations: list[Any], values: list[Any]) -> list[Any]:
    values = list(values)
    for name, i, j in operations:
        x, y = values[i % len(values)], values[j % len(values)]
        values.append(np.tanh(_UNARY[name](x) if name in _UNARY else _BINARY[name](x, y)))
    return values


@examples(60)
@given(_OPERATIONS, _OPERATIONS, st.integers(1, 4), st.booleans(), st.booleans())
def test_random_loops(inner: Any, outer: Any, length: int, reverse: bool, deep: bool) -> None:
    """A scan (in a scan) whose steps compute this and that, and the gradient of it: as with calls of NumPy."""

    def f(s: Any, xs: Any) -> Any:
        def step(c: Any, x: Any) -> Any:
            values = _computed(inner, [*c, x])
            if deep:
                kept, ys = lax.scan(lambda d, y: (np.sin(d + y), d * y), values[-2], np.stack(values[-2:]))
                values += [kept, ys[0], np.sum(ys)]
            return (values[-1], values[-2]), (values[len(values) // 2], np.stack(values[-3:]))

        carry, (ys, rows) = lax.scan(step, (s, s * 0.5), xs, reverse=reverse)
        return _computed(outer, [*carry, ys[0], rows[-1, 1], np.sum(rows)])[-2:], rows * ys[:, None]

    def loss(s: Any, xs: Any) -> Any:
        return sum(np.sum(x) for x in tree.leaves(f(s, xs)))

    xs = XS[:length]
    for g in (f, fg.value_and_grad(loss, argnums=(0, 1))):
        program = fg.make_ir(g)(S, xs)
        want = eval_program(program, [S, xs])
        before = unrolling.gain
        unrolling.gain = math.inf
        try:
            found = executable(fg.make_ir(g)(S, xs))(S, xs)
        finally:
            unrolling.gain = before
        same(found, want)


# ------------------------------------------------------------------------------------------------------------- limits


def test_integers_that_begin_near_the_end(always: Unrolling) -> None:
    def count(x: Any) -> Any:
        return lax.while_loop(lambda c: c[1] < 10.0, lambda c: (c[0] + 1, c[1] * 2.0), (np.int64(2**63 - 2), x))

    with np.errstate(over="ignore"):
        same(fg.jit(count)(np.float64(1.0)), count(np.float64(1.0)))
        big, n = np.array([2**63 - 1, 5]), np.array([1, 2])
        for f in (
            lambda n, x: (np.concatenate([n, big]) + 1, x * 2.0) if x > 0 else (n, x),
            lambda n, x: (np.concatenate([n, big]) + 1 > 0, x * 2.0) if x > 0 else (n > 2, x * 3.0),
        ):
            jitted = fg.jit(f)
            for _ in range(3):
                same(jitted(n, 1.5), f(n, 1.5))


def test_loops_in_many_loops(always: Unrolling) -> None:
    """More than Python allows blocks in each other."""

    def nest(depth: int) -> Any:
        if depth == 0:
            return lambda c, y: np.sin(c) * y
        return lambda c, y: lax.scan(lambda c, y: (nest(depth - 1)(c, y), None), c, XS[:1])[0]

    f = lambda c: nest(21)(c, 0.0)  # noqa: E731
    same(fg.jit(f)(S), f(S))

    def choose(depth: int) -> Any:
        return (
            (lambda c: np.sin(c) + 0.1)
            if depth == 0
            else lambda c: lax.cond(c > 0, choose(depth - 1), lambda c: c * 2, c)
        )

    g: Callable[..., Any] = choose(30)
    same(fg.jit(g)(S), g(S))


def test_two_branches_may_be_the_same_program() -> None:
    """What one of them has taken apart is not there in the other."""

    def branch(s: Any, xs: Any) -> Any:
        c, ys = lax.scan(lambda c, x: (np.sin(c) * x, c * x), s, xs)
        return c + np.sum(ys)

    def choose(s: Any, xs: Any) -> Any:
        return lax.cond(s > 0, branch, lambda s, xs: s + xs[0], s, xs) * 2

    program = fg.make_ir(choose)(S, XS)
    (eqn,) = [e for e in program.equations if e.primitive.name == "cond"]
    _, body = eqn.params["branches"]
    eqn.params["branches"] = (body, body)
    bindings = Bindings()
    namespace: dict[str, Any] = {"plain": None}
    source = program_source(program, bindings)
    exec(source, {**bindings.values}, namespace)
    assert source.count("append(") == 2
    for s in (S, -S):
        (found,) = namespace["run"](s, XS)
        np.testing.assert_allclose(found, 2 * branch(s, XS), rtol=1e-13)
