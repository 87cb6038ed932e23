"""Compiled programs: the same values as the programs, memory that is nobody else's, errors at the user's line."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from programs import PROGRAMS

import funcgrad as fg
from funcgrad import lax, tree
from funcgrad.executor.compiled import executable

X = np.array([0.5, -1.2, 0.8])


def _grad(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return fg.grad(lambda v: np.sum(np.sin(f(v))))


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "value": lambda f: f,
    "grad": _grad,
    "vmap": lambda f: lambda v: fg.vmap(f)(np.stack([v, 1.01 * v, 0.99 * v])),
    "vmap of grad": lambda f: lambda v: fg.vmap(_grad(f))(np.stack([v, 1.01 * v])),
    "grad of grad": lambda f: _grad(_grad(f)),
}


def _same(found: Any, want: Any, text: str) -> None:
    assert np.shape(found) == np.shape(want) and np.asarray(found).dtype == np.asarray(want).dtype, text
    np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-11, err_msg=text)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_compiled_programs_give_what_the_programs_give(name: str, transform: str, small_arrays: None) -> None:
    """Three times over: the second call works in the memory of the first."""
    f, v = PROGRAMS[name].vector()
    program = fg.make_ir(TRANSFORMS[transform](f))(v)
    run = executable(program)
    for scale in (1.0, 0.97, 1.0):
        want = program(v * scale)
        for found, expected in zip(run(v * scale), want, strict=True):
            _same(found, expected, run.source)


@pytest.mark.parametrize("name", PROGRAMS)
def test_results_are_nobody_elses(name: str, small_arrays: None) -> None:
    """What a call returned is neither changed by the next call, nor changes it, nor shares memory with anything."""
    f, v = PROGRAMS[name].vector()
    program = fg.make_ir(lambda v: (f(v), _grad(f)(v), v))(v)
    run = executable(program)
    given = v.copy()
    first = run(given)
    arrays = [x for x in (*first, given) if isinstance(x, np.ndarray)]
    for i, a in enumerate(arrays):
        assert a.flags.writeable and all(not np.may_share_memory(a, b) for b in arrays[i + 1 :])
    copies = [np.copy(x) for x in first]
    run(given * 0.5)
    for x, c in zip(first, copies, strict=True):
        np.testing.assert_array_equal(x, c)
    for x in first:
        if isinstance(x, np.ndarray):
            x[...] = 7
    for x, c in zip(run(given), copies, strict=True):
        np.testing.assert_array_equal(x, c)


def test_outputs_that_are_inputs_constants_and_views() -> None:
    constant = np.arange(3.0)

    def f(x: Any) -> Any:
        return x, x, x.T, x[0], constant, np.broadcast_to(x[0], (2, 2)), x.reshape(4), 1.5, 2

    x = np.ones((2, 2))
    out = fg.jit(f)(x)
    for a, b in zip(out, f(x), strict=True):
        np.testing.assert_array_equal(a, b)
    arrays = [a for a in out if isinstance(a, np.ndarray)]
    for i, a in enumerate(arrays):
        assert a.flags.writeable
        assert not any(np.may_share_memory(a, b) for b in [*arrays[:i], x, constant])
    assert type(out[-2]) is float and type(out[-1]) is int


def test_constants_are_as_they_were() -> None:
    c = np.array([1.0, 2.0])
    f = fg.jit(lambda x: x * c)
    assert f(1.0).tolist() == [1.0, 2.0]
    c[0] = 5.0
    assert f(1.0).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("order", ["C", "F", "strided", "negative", "read-only", "unaligned"])
def test_arguments_of_any_layout(order: str) -> None:
    x = np.arange(12.0).reshape(3, 4) / 7
    given = {
        "C": x,
        "F": np.asfortranarray(x),
        "strided": np.repeat(np.repeat(x, 2, 0), 3, 1)[::2, ::3],
        "negative": x[::-1, ::-1].copy()[::-1, ::-1],
        "read-only": x.copy(),
        "unaligned": np.frombuffer(b"\0" + x.tobytes(), np.float64, offset=1).reshape(3, 4),
    }[order]
    if order == "read-only":
        given.flags.writeable = False

    def f(x: Any) -> Any:
        return x.reshape(4, 3) @ np.tanh(x), x.T.reshape(-1)[::2], np.sum(x, axis=1)

    for a, b in zip(fg.jit(f)(given), f(x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)
    np.testing.assert_allclose(fg.jit(fg.grad(lambda x: np.sum(f(x)[0])))(given), fg.grad(lambda x: np.sum(f(x)[0]))(x))


def test_donated_arguments_are_taken_over(by_numpy: None) -> None:
    f = fg.jit(lambda p, g: tree.map(lambda a, b: a - 0.1 * b, p, g), donate_argnums=0)
    p, g = {"w": np.ones((3, 2)), "b": np.ones(2)}, {"w": np.ones((3, 2)), "b": np.ones(2)}
    new = f(p, g)
    assert new["w"] is p["w"] and new["b"] is p["b"] and g["w"][0, 0] == 1.0
    np.testing.assert_allclose(new["w"], 0.9)
    odd = {"w": np.ones((2, 3)).T, "b": np.ones(2)}  # not contiguous: cannot be written to by everything
    np.testing.assert_allclose(f(odd, g)["w"], 0.9)
    assert odd["w"][0, 0] == 1.0


def test_donated_arguments_that_are_given_twice_are_copied() -> None:
    f = fg.jit(lambda p, g: (p - 1, g * 3), donate_argnums=0)
    for n in (4, 300, 90000):
        p = np.arange(float(n))
        want = p - 1, p * 3
        for a, b in zip(f(p, p), want, strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(p, np.arange(float(n)))
    both = fg.jit(lambda p, q: (p + 1, q + p), donate_argnums=(0, 1))
    p = np.arange(4.0)
    first, second = both(p, p)
    assert first.tolist() == [1, 2, 3, 4] and second.tolist() == [0, 2, 4, 6]


def test_threads_share_a_compiled_function() -> None:
    f = fg.jit(lambda x: np.sum(np.tanh(x @ x) * x, axis=0))
    inputs = [np.full((50, 50), 0.01 * i) for i in range(8)]
    wants = [f(x) for x in inputs]
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(200):
            if not np.array_equal(f(inputs[i]), wants[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_an_exception_leaves_nothing_behind() -> None:
    f = fg.jit(lambda a, b: np.linalg.solve(a, b) * 2.0 + np.sum(a))
    a, b = np.eye(3), np.ones(3)
    want = f(a, b)
    for _ in range(3):
        with pytest.raises(np.linalg.LinAlgError, match="test_executor"):
            f(np.zeros((3, 3)), b)
        np.testing.assert_array_equal(f(a, b), want)


def test_errors_speak_of_the_users_line() -> None:
    def solve(a: Any) -> Any:
        return np.linalg.inv(a)  # here

    with pytest.raises(np.linalg.LinAlgError) as caught:
        fg.jit(solve)(np.zeros((2, 2)))
    assert f"test_executor.py:{solve.__code__.co_firstlineno + 1} (solve)" in str(caught.value)


def test_memory_is_given_back() -> None:
    compiled = executable(fg.make_ir(lambda x: np.sum(np.cumsum(x[None] * x[:, None], axis=0)))(np.ones(500)))
    compiled(np.ones(500))
    assert compiled.scratch_bytes >= 500 * 500 * 8
    assert compiled.scratch_sets == 1
    compiled.release()
    assert compiled.scratch_sets == 0


def test_stages_can_be_looked_at() -> None:
    def loss(w: Any, x: Any) -> Any:
        return np.sum(np.tanh(x @ w) ** 2)

    lowered = fg.jit(fg.grad(loss)).lower(np.ones((3, 2)), fg.ShapeDtypeStruct((5, 3), np.float64))
    assert "dot_general" in lowered.ir() and "tanh" in lowered.optimized_ir()
    assert "def run(" in lowered.source() and "tanh(" in lowered.source()
    assert "(loss)" in lowered.source()
    cost = lowered.cost()
    assert cost.flops >= 2 * 2 * 5 * 3 * 2 and cost.bytes > 0 and cost.peak_memory > 0
    assert lowered.compile()(np.ones((3, 2)), np.ones((5, 3))).shape == (3, 2)


def test_scan_writes_where_it_belongs() -> None:
    """The carry of an RNN lives in the stack of its outputs, an accumulator where it is."""

    def rnn(w: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = np.tanh(h @ w + x)
            return h, h

        return np.sum(lax.scan(step, np.zeros((2, 3)), xs)[1] ** 2)

    w, xs = np.eye(3) * 0.5, np.linspace(0, 1, 30).reshape(5, 2, 3)
    run = fg.jit(fg.value_and_grad(rnn, (0, 1)))
    want = fg.value_and_grad(rnn, (0, 1))(w, xs)
    for _ in range(2):
        for a, b in zip(tree.leaves(run(w, xs)), tree.leaves(want), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
    source = run.lower(w, xs).source()
    assert source.count("for ") == 2


@pytest.mark.parametrize("length", [0, 1, 2, 5])
def test_loops_of_any_length(length: int) -> None:
    def swap(c: Any, x: Any) -> Any:
        a, b, n = c
        return (b, a + b * x, n + 1), (a, n, 2.0)

    init = (np.ones(2), np.arange(2.0), 0)
    xs = np.arange(float(length))
    for reverse in (False, True):
        f = lambda xs: lax.scan(swap, init, xs, reverse=reverse)  # noqa: B023, E731
        for a, b in zip(tree.leaves(fg.jit(f)(xs)), tree.leaves(f(xs)), strict=True):
            _same(a, b, "scan")
    g = lambda n: lax.while_loop(lambda c: c[2] < n, lambda c: swap(c, 1.0)[0], init)  # noqa: E731
    for a, b in zip(tree.leaves(fg.jit(g)(length)), tree.leaves(g(length)), strict=True):
        _same(a, b, "while")


def test_loops_that_share_their_body() -> None:
    """A program that is called twice brings the variables of its body twice, in loops that lie elsewhere in memory."""

    def step(c: Any, x: Any) -> Any:
        c = np.sin(c + x) * 2.0
        d = np.cos(c) + x
        return d + np.flip(d), np.flip(c)

    c, xs = np.linspace(0, 1, 19), np.linspace(0, 1, 190).reshape(10, 19)
    program = fg.make_ir(lambda c, xs: lax.scan(step, c, xs))(c, xs)

    def fun(c: Any, xs: Any) -> Any:
        end, ys = program(c, xs)

        def body(s: Any) -> Any:
            i, u, v = s
            q, zs = program(v[0], u)
            return i + 1, u + 0.1 * zs, v - 0.01 * zs + q

        return end, *lax.while_loop(lambda s: s[0] < 3, body, (0, ys, ys))

    for found, want in zip(fg.jit(fun)(c, xs), fun(c, xs), strict=True):
        _same(found, want, "")


def test_python_numbers_where_arrays_without_dimensions_are_expected() -> None:
    """A Python float that a derivative keeps comes back to a program that expects an array."""

    def chosen(b: Any, s: Any) -> Any:
        return lax.cond(np.sum(b) > 0, lambda c: c * (s * s), lambda c: c, b)

    x = np.abs(X)
    for f in (chosen, fg.jit(chosen)):
        np.testing.assert_allclose(fg.vjp(f, x, 2.0)[1](x)[1], 4.0 * np.sum(x * x))


def test_variables_are_not_called_as_builtin_functions_are() -> None:
    """The 238th variable is `id`, which the copies of arrays that were donated twice are found with."""
    arrays = [np.full(3, float(i)) for i in range(260)]
    f = fg.jit(lambda xs: [x + 1 for x in xs], donate_argnums=0)
    want = [x + 1 for x in arrays]
    for a, b in zip(f([x.copy() for x in arrays]), want, strict=True):
        np.testing.assert_array_equal(a, b)
