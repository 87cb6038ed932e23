"""Loops and branches over plain arrays give what they give compiled: the types, the errors, and memory of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from funcgrad import grad, jit, lax, make_ir, random, tree, vjp, vmap
from funcgrad._array import Array, Counter, wrap_scalar

Fun = Callable[..., Any]

LOOPS: dict[str, tuple[Fun, Any]] = {
    "an int that becomes a float": (lambda s: lax.while_loop(lambda s: s < 10, lambda s: s * 2.5, s), 1),
    "a float": (lambda s: lax.while_loop(lambda s: s < 10, lambda s: s * 2.5, s), 1.0),
    "one that becomes float32": (lambda s: lax.while_loop(lambda s: s < 10, lambda s: s * np.float32(2.5), s), 1.0),
    "no step": (lambda s: lax.while_loop(lambda s: s < 0, lambda s: s * 2.5, s), 1),
    "no step of an array": (lambda s: lax.while_loop(lambda s: np.all(s < 0), lambda s: s * 2, s), np.ones(3)),
    "fori": (lambda s: lax.fori_loop(0, 3, lambda i, s: s * 2.5, s), 1),
    "fori of a pair": (lambda s: lax.fori_loop(0, 3, lambda i, s: (s[1], s[0] + i), s), (0.0, np.float64(2.0))),
    "fori without steps": (lambda s: lax.fori_loop(0, 0, lambda i, s: s * 2.5, s), 1),
    "scan without steps": (lambda s: lax.scan(lambda c, x: (c + x, c), s, np.zeros(0)), 0.0),
    "scan of a carry that stays": (lambda s: lax.scan(lambda c, x: (c, c), s, np.zeros(2)), 0.0),
    "scan from an array of shape ()": (lambda s: lax.scan(lambda c, x: (c + x, c), s, np.zeros(0)), np.array(0.0)),
}


def types(x: Any) -> Any:
    """What is told apart but for the class that the functions of `lax` give to their results."""
    return tree.map(lambda x: (type(wrap_scalar(x)), np.asarray(x).dtype, np.shape(x), np.asarray(x).tolist()), x)


def _product(x: Any, y: Any) -> Any:
    return x * x * y


_F32 = np.ones(3, np.float32)

COUNTED: dict[str, tuple[Fun, Any]] = {
    "operators": (lambda i, s: s * i + (2 * i + 1) % 3 - i**2, _F32),
    "operators of a scalar": (lambda i, s: s + i * s, np.float32(1)),
    "an attribute": (lambda i, s: s + i.astype(s.dtype) + i.ndim + (i + 1).dtype.itemsize, _F32),
    "functions": (lambda i, s: np.add(i, s) + np.where(s > i, s, i) + np.maximum(i, s), _F32),
    "an index": (lambda i, s: s.at[i].set(i) + s[i], _F32.view(Array)),
    "jit": (lambda i, s: s + jit(lambda x: x * 2)(i), _F32),
    "vmap": (lambda i, s: vmap(lambda x, j: x * j, (0, None))(s, i), _F32),
    "grad": (lambda i, s: s + grad(_product)(2.0, i), _F32),
    "cond": (lambda i, s: lax.cond(i > 1, lambda j: s + j, lambda j: s, i), _F32),
    "while_loop": (lambda i, s: s + lax.while_loop(lambda j: j < i, lambda j: j + 1, 0).astype(s.dtype), _F32),
    "fold_in": (lambda i, s: s + random.normal(random.fold_in(random.key(0), i), (), np.float32), _F32),
    "itself": (lambda i, s: i, 0),
}


@pytest.mark.parametrize("name", COUNTED)
def test_the_counter_of_a_loop_is_an_integer_with_the_attributes_of_an_array(name: str) -> None:
    body, start = COUNTED[name]
    run: Fun = lambda s: lax.fori_loop(0, 3, body, s)  # noqa: E731
    got, want = run(start), jit(run)(start)
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert np.asarray(got).dtype == np.asarray(want).dtype
    assert isinstance(Counter(1), Array) and isinstance(Counter(1), int) and Counter(1).weak_type


@pytest.mark.parametrize(
    ("bounds", "dtypes"),
    [
        ((0, 2.5), "int and float"),
        ((np.int32(0), np.int64(3)), r"i32\[\] and i64\[\]"),
        ((0, np.uint8(3)), r"int and u8\[\]"),
        ((0, np.ones(2, int)), r"int and i64\[2\]"),
    ],
)
def test_bounds_of_a_loop_have_one_dtype(bounds: Any, dtypes: str) -> None:
    run: Fun = lambda a, b: lax.fori_loop(a, b, lambda i, s: s, 0.0)  # noqa: E731
    for call in (run, jit(run)):
        with pytest.raises(TypeError, match=f"fori_loop: the bounds must .*{dtypes}"):
            call(*bounds)
    assert lax.fori_loop(0, np.int16(3), lambda i, s: s + i, 0) == 3


@pytest.mark.parametrize("name", LOOPS)
def test_types_are_those_of_compiled_code(name: str) -> None:
    loop, start = LOOPS[name]
    want = types(jit(loop)(start))
    assert types(loop(start)) == want
    assert types(vjp(loop, start)[0]) == want


@pytest.mark.parametrize(
    ("loop", "start"),
    [
        (lambda s: lax.while_loop(lambda s: s < 10, lambda s: s * 2.5, s), np.int64(1)),
        (lambda s: lax.while_loop(lambda s: s < 10, lambda s: (s, s), s), 1),
        (lambda s: lax.while_loop(lambda s: np.all(s < 0), lambda s: s[:1], s), np.ones(3)),
        (lambda s: lax.fori_loop(0, 2, lambda i, s: s * 2.5, s), np.int64(1)),
        (lambda s: lax.fori_loop(0, 2, lambda i, s: s[:2], s), np.ones(3)),
        (lambda s: lax.fori_loop(0, 0, lambda i, s: s[:2], s), np.ones(3)),
        (lambda s: lax.fori_loop(0, 2, lambda i, s: {"a": s}, s), np.ones(3)),
    ],
)
def test_a_carry_that_changes_raises(loop: Fun, start: Any) -> None:
    for run in (loop, jit(loop), make_ir(loop), lambda s: vjp(loop, s)):
        with pytest.raises(TypeError, match="the body must return a carry like the initial one"):
            run(start)


def test_a_loop_without_steps_whose_body_asks_for_values() -> None:
    body: Fun = lambda s: s + 1 if s > 5 else s * 2  # noqa: E731
    assert types(lax.while_loop(lambda s: s < 0, body, 1)) == types(np.int64(1))


ALIASES: list[Fun] = [
    lambda a: lax.cond(True, lambda x: x, lambda x: x + 1, a),
    lambda a: lax.cond(True, lambda x: x[:], lambda x: x + 1, a),
    lambda a: lax.switch(0, [lambda x: x, lambda x: x + 1], a),
    lambda a: lax.while_loop(lambda s: False, lambda s: s, a),
    lambda a: lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1]), (0, a))[1],
    lambda a: lax.fori_loop(0, 2, lambda i, s: s, a),
    lambda a: lax.fori_loop(0, 0, lambda i, s: s, a),
    lambda a: lax.scan(lambda c, _: (c, None), a, None, length=2)[0],
    lambda a: lax.scan(lambda c, x: (x, None), a, a[None])[0],
    lambda a: lax.associative_scan(np.add, a[:1]),
    lambda a: lax.associative_scan(np.add, a, reverse=True),
]


@pytest.mark.parametrize("fun", ALIASES)
def test_results_are_memory_of_their_own(fun: Fun) -> None:
    a = np.ones(3)
    out = fun(a)
    assert not np.shares_memory(out, a) and out.flags.writeable
    out[:] = 7
    np.testing.assert_array_equal(a, np.ones(3))


def test_two_results_that_are_one_array() -> None:
    out = lax.fori_loop(0, 2, lambda i, s: (s[0] * 2, s[0] * 2), (np.ones(3), np.ones(3)))
    first, second = lax.cond(True, lambda x: (x * 2,) * 2, lambda x: (x, x), np.ones(3))
    assert not np.shares_memory(first, second) and not np.shares_memory(*out)


def test_the_other_branch_is_not_looked_at_where_the_choice_is_known() -> None:
    pair: Fun = lambda x: (x, x)  # noqa: E731
    assert lax.cond(True, np.sin, pair, 0.0) == 0.0
    assert grad(lambda x: lax.cond(x > 0, lambda x: x * 2, pair, x))(1.0) == 2.0
    with pytest.raises(TypeError, match="does not return what branch 0 does"):
        jit(lambda x: lax.cond(x > 0, np.sin, pair, x))(1.0)
