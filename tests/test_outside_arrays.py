"""Arrays from outside that change: a program keeps what it captured, a derivative in progress raises or is right."""

from __future__ import annotations

import ctypes
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from funcgrad import checkpoint, grad, jit, jvp, lax, linearize, make_ir, vjp, vmap
from funcgrad.errors import CapturedArrayWriteError

# ------------------------------------------------------------------------------- ways to write to an array `a`
# Each takes the array and what was made of it before it was captured.

Write = Callable[[np.ndarray, Any], Any]

REFUSED: dict[str, tuple[Callable[[np.ndarray], Any], Write]] = {
    "element": (lambda a: None, lambda a, _: a.__setitem__(0, 9.0)),
    "whole": (lambda a: None, lambda a, _: a.fill(9.0)),
    "out": (lambda a: None, lambda a, _: np.add(a, 1.0, out=a)),
    "copyto": (lambda a: None, lambda a, _: np.copyto(a, 9.0)),
    "sort": (lambda a: None, lambda a, _: a[::-1].sort()),
}
"""Ways that NumPy refuses while the array is locked."""

NOT_REFUSED: dict[str, tuple[Callable[[np.ndarray], Any], Write]] = {
    "np.add.at": (lambda a: None, lambda a, _: np.add.at(a, [0], 9.0)),
    "np.maximum.at": (lambda a: None, lambda a, _: np.maximum.at(a, [0], 9.0)),
    "view": (lambda a: a[:2], lambda a, view: view.__setitem__(0, 9.0)),
    "view of a view": (lambda a: a[:3][::-1][1:], lambda a, view: np.multiply(view, 3.0, out=view)),
    "reshaped view": (lambda a: a.reshape(-1, 1), lambda a, view: view.fill(9.0)),
    "view sorted": (lambda a: a[::-1], lambda a, view: view.sort()),
    "memoryview": (memoryview, lambda a, buffer: buffer.__setitem__(0, 9.0)),
    "frombuffer": (lambda a: np.frombuffer(a), lambda a, view: view.__setitem__(0, 9.0)),
    "ctypes": (
        lambda a: a.ctypes.data_as(ctypes.POINTER(ctypes.c_double)),
        lambda a, pointer: pointer.__setitem__(0, 9.0),
    ),
}
"""Ways around the lock."""

WAYS = REFUSED | NOT_REFUSED


def program(a: np.ndarray, before: Any, write: Write) -> Callable[[Any], Any]:
    """A function that reads an array, lets it be written to, and reads it again."""

    def f(w: Any) -> Any:
        first = np.sum(w * w * a)
        write(a, before)
        return first + np.sum(np.exp(w) * a)

    return f


def numpy_says(way: tuple[Callable[[np.ndarray], Any], Write], w: np.ndarray, derivative: bool = False) -> Any:
    """The value, or the gradient, as plain NumPy computes it."""
    a = np.arange(1.0, 5.0)
    made = way[0](a)
    was = a.copy()
    way[1](a, made)
    return 2 * w * was + np.exp(w) * a if derivative else np.sum(w * w * was) + np.sum(np.exp(w) * a)


W = np.array([0.5, 1.0, -1.0, 2.0])


def outcome(way: tuple[Callable[[np.ndarray], Any], Write], run: Callable[..., Any]) -> tuple[Any, np.ndarray]:
    a = np.arange(1.0, 5.0)
    return run(program(a, way[0](a), way[1])), a


@pytest.mark.parametrize("name", WAYS)
def test_a_program_has_what_it_captured(name: str) -> None:
    """Whatever is written, and how, between the capture and the end of the recording: as NumPy has it."""
    way = WAYS[name]
    compiled, a = outcome(way, jit)
    want = numpy_says(way, W)
    np.testing.assert_allclose(compiled(W), want)
    a[:] = np.nan
    np.testing.assert_allclose(compiled(W), want)
    recorded, a = outcome(way, lambda f: make_ir(f)(W))
    a[:] = np.nan
    np.testing.assert_allclose(recorded(W)[0], want)


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize(
    "transform",
    [lambda f: jit(grad(f)), lambda f: grad(jit(f)), lambda f: jit(jit(grad(f))), lambda f: grad(checkpoint(f))],
)
def test_a_compiled_derivative_has_what_it_captured(name: str, transform: Any) -> None:
    way = WAYS[name]
    compiled, a = outcome(way, transform)
    want = numpy_says(way, W, derivative=True)
    np.testing.assert_allclose(compiled(W), want)
    a[:] = np.nan
    if transform(lambda w: np.sum(w)).__name__ != "grad_fun":
        np.testing.assert_allclose(compiled(W), want)


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize(
    "derivative",
    [
        grad,
        lambda f: lambda w: vjp(f, w)[1](1.0)[0],
        lambda f: lambda w: linearize(f, w)[1](w),
        lambda f: grad(lambda w: jvp(f, (w,), (W,))[0]),
        lambda f: lambda w: vmap(grad(f))(w[None]),
        lambda f: lambda w: jvp(grad(f), (w,), (w,)),
    ],
)
def test_an_eager_derivative_raises(name: str, derivative: Any) -> None:
    """Small arrays are compared as a whole, so that no way goes unnoticed."""
    run, a = outcome(WAYS[name], derivative)
    with pytest.raises(CapturedArrayWriteError, match=r"copy\(\)"):
        run(W)
    assert a.flags.writeable


@pytest.mark.parametrize("assign", ["shape", "dtype", "strides"])
def test_attributes_that_are_assigned_to(assign: str) -> None:
    new = {"shape": (2, 2), "dtype": np.dtype(np.int64), "strides": (0,)}[assign]
    for derivative in (grad, lambda f: lambda w: vjp(f, w)[1](1.0)):
        a = np.arange(1.0, 5.0)

        def f(w: Any, a: np.ndarray = a) -> Any:
            y = np.sum(w * a)
            setattr(a, assign, new)
            return y

        with warnings.catch_warnings(), pytest.raises(CapturedArrayWriteError):
            warnings.simplefilter("ignore", DeprecationWarning)  # of the assignment, in some versions of NumPy
            derivative(f)(W)


def test_a_large_array_is_compared_by_samples() -> None:
    a = np.arange(1e5)
    view = a[:]

    def f(w: Any) -> Any:
        y = np.sum(w * a)
        view[:] = 7.0
        return y

    with pytest.raises(CapturedArrayWriteError):
        grad(f)(2.0)
    assert grad(lambda w: np.sum(w * a))(2.0) == 7e5


@pytest.mark.parametrize("writeable", [True, False])
def test_large_arrays_of_any_origin_are_as_they_were(writeable: bool) -> None:
    """The lock is taken back: NumPy does not let some views be made writeable again, which are not locked then."""
    base = np.ones(200_001)
    arrays = [
        np.lib.stride_tricks.sliding_window_view(base, 2, writeable=True),
        np.lib.stride_tricks.as_strided(base, (100, 100_000), (8, 8)),
        np.frombuffer(bytearray(8 * 200_000)),
        np.asarray(memoryview(base)),
        np.broadcast_to(base, (2, base.size)),
        base[1:],
        base.reshape(1, -1).T,
    ]
    for array in arrays:
        if not writeable:
            array.flags.writeable = False
        before = array.flags.writeable
        assert grad(lambda w, array=array: np.sum(w * array))(2.0) == np.sum(array)
        assert array.flags.writeable == before and base.flags.writeable


def test_rows_of_a_table() -> None:
    """A view made before its base is captured, and written to afterwards."""

    def f(w: Any) -> Any:
        table = np.zeros((2, 3))
        row, total = table[0], 0.0
        for i in range(3):
            row[:] = i
            total = total + np.sum(w * table) * (i + 1)
        return total

    w = np.ones((2, 3))
    assert jit(f)(w) == f(w) == 24.0
    np.testing.assert_array_equal(jit(grad(f))(w), [[8.0] * 3, [0.0] * 3])
    with pytest.raises(CapturedArrayWriteError):
        grad(f)(w)


def test_one_constant_for_one_array() -> None:
    a, b = np.arange(3.0), np.arange(3.0) + 1

    def f(x: Any) -> Any:
        y = x * a + np.sum(x * b) * a
        b[0] = 5.0
        return y + b + a, a, b

    made = make_ir(f)(np.ones(3))
    assert len(made.consts) == 3  # a, and b twice
    assert not any(c.flags.writeable or np.shares_memory(c, d) for c in made.consts for d in (a, b))
    signed = np.array([0.0, np.nan])

    def g(x: Any) -> Any:
        y = np.copysign(1.0, signed) * x
        signed[0] = -0.0
        return y, np.copysign(x, signed), x + signed

    assert len([c for c in make_ir(g)(np.ones(2)).consts if c.shape == (2,)]) == 2


def test_large_constants_are_copied_once() -> None:
    """In the program, in those inside it and in those made of it, there is one copy; the derivative has a product."""
    a = np.ones(1 << 20)

    def f(x: Any) -> Any:
        y, _ = lax.scan(lambda c, _: (c + np.sum(a), None), x, None, 3)
        return (
            grad(lambda z: np.sum(z * a))(y)
            + jit(lambda z: a[0] * z * np.sum(a))(y)
            + lax.cond(y > 0, lambda: a[1], lambda: y)
        )

    tracemalloc.start()
    try:
        made = make_ir(f)(2.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(np.size(c) == a.size for c in made.consts) == 1
    assert peak < 2.2 * a.nbytes, peak / a.nbytes


@pytest.mark.parametrize(
    "wrap",
    [
        lambda f: lambda w: lax.scan(lambda c, _: (f(c), None), w, None, 2)[0],
        lambda f: lambda w: lax.cond(np.sum(w) > 0, f, f, w),
        lambda f: lambda w: lax.fori_loop(0, 2, lambda i, c: f(c), w),
        checkpoint,
        lambda f: lambda w: jvp(f, (w,), (w,))[0],
    ],
)
def test_bodies_have_what_they_captured(wrap: Any) -> None:
    buffer = np.zeros(4)

    def body(w: Any) -> Any:
        row = buffer[1:]
        for i in range(3):
            row[:] = i + 1
            w = w + np.sin(w) * buffer
        return w

    def plain(w: Any) -> Any:
        for i in range(3):
            w = w + np.sin(w) * np.array([0.0, *[i + 1] * 3])
        return w

    run, want = wrap(body), wrap(plain)
    np.testing.assert_allclose(jit(run)(W), want(W))
    buffer[:] = 0
    np.testing.assert_allclose(run(W), want(W))
    buffer[:] = 0
    np.testing.assert_allclose(jit(grad(lambda w: np.sum(run(w))))(W), grad(lambda w: np.sum(want(w)))(W))
