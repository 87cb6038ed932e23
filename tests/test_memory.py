"""Memory: no cycles, no growth, nothing kept by a derivative that is done, an error, or a pullback that was dropped."""

from __future__ import annotations

import gc
import sys
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import (
    checkpoint,
    custom_jvp,
    custom_vjp,
    eval_shape,
    grad,
    hessian,
    jacfwd,
    jacrev,
    jit,
    jvp,
    lax,
    linearize,
    make_ir,
    value_and_grad,
    vjp,
    vmap,
)
from funcgrad.errors import ShapeError

X = np.array([0.1, 0.4, 0.7, 1.0])


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Without the collector of cycles, only what is in no cycle dies."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@custom_jvp
def softplus(x: Any) -> Any:
    return np.log1p(np.exp(x))


softplus.defjvp(lambda primals, tangents: (softplus(*primals), tangents[0] / (1 + np.exp(-primals[0]))))


@custom_vjp
def double(x: Any) -> Any:
    return x * 2


double.defvjp(lambda x: (x * 2, x), lambda kept, ct: (ct * 2,))

Spy = Callable[[Any], Any]
"""Remembers a value weakly, and returns it."""

RUNS: dict[str, Callable[[Spy], Any]] = {
    "grad": lambda s: grad(lambda x: np.sum(s(np.tanh(x)) ** 2))(X),
    "value_and_grad": lambda s: value_and_grad(lambda x: np.sum(s(np.tanh(x)) ** 2))(X),
    "has_aux": lambda s: grad(lambda x: (np.sum(s(np.tanh(x)) ** 2), 3), has_aux=True)(X),
    "python scalars": lambda s: grad(lambda x: s(x * x) * x)(2.0),
    "vjp": lambda s: vjp(lambda x: np.sum(s(np.tanh(x)) ** 2), X)[1](1.0),
    "jvp": lambda s: jvp(lambda x: np.sum(s(np.tanh(x)) ** 2), (X,), (X,)),
    "make_ir": lambda s: make_ir(lambda x: np.sum(s(np.tanh(x)) ** 2))(X),
    "eval_shape": lambda s: eval_shape(lambda x: np.sum(s(np.tanh(x)) ** 2), X),
    "vmap": lambda s: vmap(lambda x: np.sum(s(np.tanh(x)) ** 2))(X),
    "jit": lambda s: jit(lambda x: np.sum(s(np.tanh(x)) ** 2))(X),
    "linearize": lambda s: linearize(lambda x: np.sum(s(np.tanh(x)) ** 2), X)[1](X),
    "grad of grad": lambda s: grad(lambda x: np.sum(grad(lambda y: np.sum(s(np.tanh(y)) ** 2))(s(x * 1.0))))(X),
    "jvp of grad": lambda s: jvp(grad(lambda x: np.sum(s(np.tanh(x)) ** 2)), (X,), (X,)),
    "grad of jit": lambda s: grad(jit(lambda x: np.sum(s(np.tanh(x)) ** 2)))(X),
    "grad of checkpoint": lambda s: grad(checkpoint(lambda x: np.sum(s(np.tanh(x)) ** 2)))(X),
    "jacfwd": lambda s: jacfwd(lambda x: s(np.tanh(x)) ** 2)(X),
    "jacrev": lambda s: jacrev(lambda x: s(np.tanh(x)) ** 2)(X),
    "hessian": lambda s: hessian(lambda x: np.sum(s(np.tanh(x)) ** 2))(X),
    "custom_jvp": lambda s: grad(lambda x: np.sum(s(softplus(s(x * 1.0)))))(X),
    "custom_vjp": lambda s: grad(lambda x: np.sum(s(double(s(x * 1.0)))))(X),
    "scan": lambda s: grad(lambda x: lax.scan(lambda c, y: (s(c * y), c), np.array(1.0), x)[0])(X),
    "cond": lambda s: grad(lambda x: lax.cond(True, lambda y: s(np.sum(y)), lambda y: s(np.max(y)), s(x * 1.0)))(X),
    "linalg": lambda s: grad(lambda x: np.linalg.slogdet(s(np.outer(x, x) + np.eye(4)))[1])(X),
    "indexing": lambda s: grad(lambda x: np.sum(s(fg.at(x)[[0, 1]].set(s(x[2:])))[1:]))(X),
    "iteration": lambda s: grad(lambda x: sum(s(y * y) for y in x))(X),
}


@pytest.mark.parametrize("name", RUNS)
def test_values_die_without_the_collector(name: str, no_collector: None) -> None:
    run, seen = RUNS[name], list[weakref.ref[Any]]()

    def spy(x: Any) -> Any:
        seen.append(weakref.ref(x))
        return x

    run(spy)  # what is made once and kept (rules, derived programs) is made here
    seen.clear()
    result = run(spy)
    assert seen
    del result
    assert not [ref() for ref in seen if ref() is not None]


@pytest.mark.parametrize("name", RUNS)
def test_nothing_is_left_for_the_collector(name: str, no_collector: None, by_numpy: None) -> None:
    """The collector finds no garbage: there are no cycles at all. (llvmlite has some.)"""
    run = RUNS[name]

    def same(x: Any) -> Any:
        return x

    for _ in range(3):
        run(same)
    gc.collect()
    run(same)
    assert gc.collect() == 0


class Stop(Exception):
    """Not one of the library's."""


def _stop(x: Any) -> Any:
    raise Stop


FAILURES: dict[str, tuple[type[BaseException], Callable[[Spy], Any]]] = {
    "in the function": (Stop, lambda s: grad(lambda x: _stop(s(np.tanh(x))))(X)),
    "in an operation": (ShapeError, lambda s: grad(lambda x: np.sum(s(np.tanh(x)) + np.ones(9)))(X)),
    "after the function": (TypeError, lambda s: grad(lambda x: s(np.tanh(x)))(X)),
    "nested": (Stop, lambda s: grad(lambda x: np.sum(grad(lambda y: _stop(s(np.tanh(y) * x)))(x)))(X)),
    "jvp": (Stop, lambda s: jvp(lambda x: _stop(s(np.tanh(x))), (X,), (X,))),
    "make_ir": (Stop, lambda s: make_ir(lambda x: _stop(s(np.tanh(x))))(X)),
    "vmap": (Stop, lambda s: vmap(lambda x: _stop(s(np.tanh(x))))(X)),
    "jit": (Stop, lambda s: jit(lambda x: _stop(s(np.tanh(x))))(X)),
    "scan": (Stop, lambda s: grad(lambda x: lax.scan(lambda c, y: _stop(s(c * y)), np.array(1.0), x)[0])(X)),
    "write": (ValueError, lambda s: grad(lambda x: (s(np.tanh(x)), X.fill(0.0))[0][0])(X)),
}


@pytest.mark.parametrize("name", FAILURES)
def test_errors_keep_nothing_alive(name: str, no_collector: None) -> None:
    kind, run = FAILURES[name]
    seen: list[weakref.ref[Any]] = []

    def spy(x: Any) -> Any:
        seen.append(weakref.ref(x))
        return x

    for _ in range(2):
        seen.clear()
        try:
            run(spy)
        except kind:
            pass
        else:
            pytest.fail("no error")
    gc.collect()  # the traceback of a handled error may be in a cycle with a frame: Python's own, not ours
    assert seen and not [ref() for ref in seen if ref() is not None]


def test_a_pullback_holds_what_it_needs_and_no_more() -> None:
    big = np.ones((200, 200))
    seen: dict[str, weakref.ref[Any]] = {}

    def f(x: Any) -> Any:
        unused = np.exp(x)  # nobody asks for its derivative
        seen["unused"] = weakref.ref(unused)
        kept = np.sin(x)
        seen["kept"] = weakref.ref(kept)
        return np.sum(kept * kept)

    _, pullback = vjp(f, big)
    assert seen["kept"]() is not None
    first, second = pullback(1.0)[0], pullback(1.0)[0]
    np.testing.assert_array_equal(first, second)
    del pullback
    assert seen["kept"]() is None and seen["unused"]() is None


def test_the_reverse_walk_gives_memory_back_on_the_way() -> None:
    """`grad` through a long chain drops each residual once it is used: the peak stays near that of the forward pass."""
    n, size = 50, 1 << 16

    def f(x: Any) -> Any:
        for _ in range(n):
            x = np.sin(x)  # keeps one array of `size` numbers each
        return np.sum(x)

    x = np.ones(size)
    grad(f)(x)
    tracemalloc.start()
    try:
        vjp(f, x)
        _, forward = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        grad(f)(x)
        _, whole = tracemalloc.get_traced_memory()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert forward >= n * x.nbytes
    assert whole <= forward + 6 * x.nbytes
    assert after < 2 * x.nbytes


def test_an_escaped_tracer_keeps_no_record_alive(no_collector: None) -> None:
    kept: list[Any] = []
    seen: list[weakref.ref[Any]] = []

    def f(x: Any) -> Any:
        y = np.tanh(x)
        seen.append(weakref.ref(y))
        kept.append(x)
        return np.sum(y * y)

    for run in (grad(f), lambda x: make_ir(f)(x), lambda x: jvp(f, (x,), (x,)), lambda x: vjp(f, x)[1](1.0)):
        kept.clear()
        seen.clear()
        run(X)
        assert kept and seen[0]() is None


def _failing() -> None:
    with pytest.raises(ShapeError):
        grad(lambda x: np.sum(x + np.ones(9)))(X)


STEPS: dict[str, Callable[[], Any]] = {
    "value_and_grad": lambda: value_and_grad(lambda x: np.sum(np.tanh(x * 2.0) ** 2))(X),
    "the same function": (lambda g: lambda: g(X))(grad(lambda x: np.sum(np.tanh(x * 2.0) ** 2))),
    "scalars": lambda: grad(lambda x: x**3 - x)(2.0),
    "vjp": lambda: vjp(lambda x: np.tanh(x), X)[1](X),
    "jvp": lambda: jvp(np.tanh, (X,), (X,)),
    "views": lambda: grad(lambda x: np.sum(x * X[::2] + x.sum()))(X[:2]),
    "errors": _failing,
    "compiled": (lambda g: lambda: g(X))(jit(grad(lambda x: np.sum(np.tanh(x))))),
}


@pytest.mark.parametrize("name", STEPS)
def test_repetitions_do_not_grow(name: str) -> None:
    step, repetitions = STEPS[name], 10_000 if name == "value_and_grad" else 1_500
    for _ in range(100):
        step()
    gc.collect()
    objects = len(gc.get_objects())
    blocks = sys.getallocatedblocks()
    for _ in range(repetitions):
        step()
    gc.collect()
    assert len(gc.get_objects()) - objects < 50
    assert sys.getallocatedblocks() - blocks < 500


def test_programs_are_kept_with_their_function_only(no_collector: None) -> None:
    """Programs, and what was derived from them, die with the compiled function."""
    c = np.ones(3)
    alive = weakref.ref(c)

    def make(c: np.ndarray) -> Any:
        return jit(lambda x: np.sum(np.sin(x) * c))

    f = make(c)
    grad(f)(np.ones(3))
    vmap(f)(np.ones((2, 3)))
    hessian(f)(np.ones(3))
    program = make_ir(f)(np.ones(3))
    del c, f
    gc.collect()
    assert alive() is None
    program(np.ones(3))
