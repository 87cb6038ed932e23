"""Writes in place: what NumPy does, seen through every name and view, under every transformation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.errors import TracerWriteError
from funcgrad.test_util import check_grads, check_operation

X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])

Program = Callable[[Any], Any]


def helper_writes(x: Any) -> Any:
    def norm(h: Any) -> None:
        h -= h.mean()
        h /= 2.0

    h = X @ x[:2]
    norm(h)
    return np.sum(h**2)


def reshape_is_a_view(x: Any) -> Any:
    r = x.reshape(2, 2)
    r *= 3
    return np.sum(x * np.arange(4.0))


def fill_a_new_array(x: Any) -> Any:
    out = np.zeros_like(x)
    for i in range(len(x)):
        out[i] = x[i] ** 2
    return out @ np.arange(4.0)


def rows_of_a_loop(x: Any) -> Any:
    a = x.reshape(2, 2) * 1.0
    for row in a:
        row *= row[0]
    return np.sum(a * a)


def aliases_and_overlaps(x: Any) -> Any:
    first = x
    x += 1
    x[1:] += x[:-1]
    x[:] = x[::-1]
    return np.sum(first * np.arange(4.0))


def what_was_written_changes_later(x: Any) -> Any:
    y, z, w = x * 1, x * 2, x * 3
    y[...] = z
    np.copyto(w, z)
    z += 1
    v = w.copy()
    v[:] = y
    y *= 5
    return np.sum(np.stack([y, z, w, v]) ** 2 * np.arange(4.0)[:, None])


def contents_turned_round(x: Any) -> Any:
    y = x * 1
    y[...] = y[::-1]
    w = y[1:]
    w[...] = y[:-1]
    return np.sum(y**2 * np.arange(4.0))


def copies(x: Any) -> Any:
    h = x * 1
    kept = [copy.copy(h), copy.deepcopy([h])[0], h.copy(), np.copy(h), h.flatten(), h.astype(float), h[[0, 1, 2, 3]]]
    h *= 3
    return np.sum(h) + sum(np.sum(k) for k in kept)


def made_inside(x: Any) -> Any:
    """Arrays of an inner function that hold values of the outer one."""

    def inner(t: Any) -> Any:
        h = np.zeros_like(x)
        h[0] = t * x[1]
        h += x
        g = x * 2
        g[1] = t
        return np.sum(h * g) * t

    return fg.grad(inner)(x[0])


def writes_in_a_scan(x: Any) -> Any:
    def body(carry: Any, a: Any) -> Any:
        old = carry.copy()
        carry += a
        carry[0] *= 2
        return carry, old

    end, steps = fg.lax.scan(body, x * 1, np.ones((2, 4)))
    return np.sum(end) + np.sum(steps**2)


def ufuncs_with_where(x: Any) -> Any:
    y = np.zeros_like(x)  # NumPy computes nothing where the mask is false: no warning, and no NaN in the derivative
    below = np.where(x < 1, x, 0.0)
    np.divide(x * x, below, out=y, where=below != 0)
    z = np.ones_like(x)
    np.log(x, out=z, where=x > 0)
    np.divide(z * x, y, out=z, where=y != 0)
    return np.sum(y * z)


CASES: dict[str, Program] = {
    f.__name__: f
    for f in (
        helper_writes,
        reshape_is_a_view,
        fill_a_new_array,
        rows_of_a_loop,
        aliases_and_overlaps,
        what_was_written_changes_later,
        contents_turned_round,
        copies,
        writes_in_a_scan,
        ufuncs_with_where,
    )
}


def numerical(fun: Program, x: np.ndarray) -> np.ndarray:
    """The gradient by differences of the fourth order, each at copies, since the function writes."""
    h = 1e-3
    out = []
    for e in np.eye(x.size).reshape(x.size, *x.shape):
        near, far = fun(x + h * e) - fun(x - h * e), fun(x + 2 * h * e) - fun(x - 2 * h * e)
        out.append((8 * near - far) / (12 * h))
    return np.array(out).reshape(x.shape)


def test_arrays_made_inside_hold_values_from_outside() -> None:
    x = np.array([0.5, 1.5, -0.7, 2.0])
    value = fg.jit(made_inside)(x)
    h = 1e-6
    along = np.array([0.3, -0.2, 0.7, 0.4])
    slope = (fg.jit(made_inside)(x + h * along) - fg.jit(made_inside)(x - h * along)) / (2 * h)
    for transform in (fg.value_and_grad, lambda f: fg.jit(fg.value_and_grad(f))):
        found, gradient = transform(made_inside)(x)
        np.testing.assert_allclose(found, value)
        np.testing.assert_allclose(gradient @ along, slope, rtol=1e-7)


@pytest.mark.parametrize("fun", CASES.values(), ids=CASES)
def test_every_transformation_is_numpy(fun: Program) -> None:
    x = np.array([0.5, 1.5, -0.7, 2.0])
    before = x.copy()
    want, slope = fun(x.copy()), numerical(fun, x)
    ones = np.ones_like(x)
    value, gradient = fg.value_and_grad(fun)(x)
    np.testing.assert_allclose(value, want)
    np.testing.assert_allclose(gradient, slope, rtol=1e-7, atol=1e-8)
    for g in (fg.jit(fg.grad(fun)), fg.grad(fg.jit(fun)), fg.jacfwd(fun), fg.grad(fg.checkpoint(fun))):
        np.testing.assert_allclose(g(x), gradient, rtol=1e-12)
    np.testing.assert_allclose(fg.jit(fun)(x), want)
    np.testing.assert_allclose(fg.vjp(fun, x)[1](1.0)[0], gradient)
    np.testing.assert_allclose(fg.jvp(fun, (x,), (ones,)), (want, gradient.sum()))
    np.testing.assert_allclose(fg.linearize(fun, x)[1](ones), gradient.sum())
    batch = np.stack([x, x[::-1], 2 * x])
    np.testing.assert_allclose(fg.vmap(fun)(batch), [fun(row.copy()) for row in batch])
    np.testing.assert_allclose(fg.vmap(fg.grad(fun))(batch), [fg.grad(fun)(row) for row in batch])
    np.testing.assert_array_equal(x, before)  # the caller's array is as it was
    np.testing.assert_array_equal(batch, np.stack([x, x[::-1], 2 * x]))


def merged(x: Any) -> Any:
    r = x.reshape(-1)
    r *= 2
    return np.sum(x * np.arange(6.0).reshape(2, 3))


def test_layouts_decide_whether_reshape_is_a_view() -> None:
    """In C order it is, in Fortran order it is not; a program that relies on the first is not used for the second."""
    c = np.arange(6.0).reshape(2, 3)
    f = np.asfortranarray(c)
    assert merged(c.copy()) == 110 and merged(f.copy(order="K")) == 55
    for order, want in ((c, 110), (f, 55)):
        assert fg.value_and_grad(merged)(order)[0] == want
    compiled = fg.jit(merged)
    for _ in range(2):
        assert compiled(c) == 110
        with pytest.raises(TracerWriteError, match="layout that is not known") as caught:
            compiled(f)
        assert "test_writes.py" in str(caught.value) and ".copy()" in str(caught.value)
    assert fg.jit(lambda x: np.sum((lambda r: (r.__imul__(2), r)[1])(x.reshape(-1))))(f) == 30  # x is not used after it


def test_arguments_are_the_callers() -> None:
    x, k = np.ones(3), np.arange(3)

    def f(x: Any, k: Any) -> Any:
        k += 1
        return np.sum(x * k)

    for call in (
        lambda: fg.grad(f)(x, k),
        lambda: fg.jvp(f, (x, k), (x, None)),
        lambda: fg.vmap(f, in_axes=(0, None))(np.ones((2, 3)), k),
    ):
        with pytest.raises(ValueError, match="read-only"):
            call()
        np.testing.assert_array_equal(k, np.arange(3))
        assert k.flags.writeable
    assert fg.jit(f)(x, k) == 6
    np.testing.assert_array_equal(k, np.arange(3))


def outer_write_in_scan(x: Any) -> Any:
    def body(carry: Any, a: Any) -> Any:
        x[0] = a
        return carry + a, a

    return fg.lax.scan(body, 0.0, x)[0]


def outer_write_in_grad(x: Any) -> Any:
    h = x * 1

    def inner(z: Any) -> Any:
        h[0] = z[0]
        return z.sum()

    fg.grad(inner)(x)
    return h.sum()


def outer_write_in_vmap(x: Any) -> Any:
    h = x * 1
    fg.vmap(lambda z: (h.__setitem__(0, z[0]), z.sum())[1])(np.ones((2, 2)))
    return h.sum()


def plain_item(x: Any) -> Any:
    a = np.zeros(3)
    a[0] = x[0]
    return a.sum()


def plain_add(x: Any) -> Any:
    a = np.zeros(3)
    a += x
    return a.sum()


def integers_divided(x: Any) -> Any:
    h = (x * 1).astype(int)
    h /= 2
    return h.sum()


def broadcast_left(x: Any) -> Any:
    h = x * 1
    h += np.ones((2, 3))
    return h.sum()


def read_only_view(x: Any) -> Any:
    np.broadcast_to(x, (2, 3))[0] = 1.0
    return x.sum()


def new_shape(x: Any) -> Any:
    x.shape = (3, 1)
    return x.sum()


ERRORS: dict[str, tuple[Program, type[Exception], str]] = {
    "scan": (outer_write_in_scan, TracerWriteError, "x.copy()"),
    "grad": (outer_write_in_grad, TracerWriteError, "x.copy()"),
    "vmap": (outer_write_in_vmap, TracerWriteError, "x.copy()"),
    "plain a[0] = t": (plain_item, TypeError, "np.zeros_like(x)"),
    "plain a += t": (plain_add, TracerWriteError, "np.zeros_like(x)"),
    "int /=": (integers_divided, TypeError, "same_kind"),
    "left side broadcast": (broadcast_left, ValueError, "non-broadcastable output operand"),
    "read-only": (read_only_view, ValueError, "read-only"),
    "x.shape =": (new_shape, TypeError, "x.reshape(shape)"),
}


@pytest.mark.parametrize("case", ERRORS.values(), ids=ERRORS)
def test_errors_are_at_the_line(case: tuple[Program, type[Exception], str]) -> None:
    fun, kind, text = case
    x = np.array([1.0, 2.0, 3.0])
    for transform in (fg.grad, fg.jit, lambda f: fg.jit(fg.grad(f))):
        with pytest.raises(kind) as caught:
            transform(fun)(x)
        assert text in str(caught.value) and "test_writes.py" in str(caught.value)
        assert x.flags.writeable and x.tolist() == [1.0, 2.0, 3.0]


def test_dtypes_of_the_left_side() -> None:
    small, wide, single = np.ones(2, np.int8), np.array([3, 4]), np.ones(2, np.float32)

    def f(x: Any, y: Any) -> Any:
        h = x * 1
        h += y
        return h

    for x, y in ((small, wide), (single, np.array([1.5, 2.5])), (single, 2.0), (small, 3)):
        want, have = f(x, y), fg.jit(f)(x, y)
        assert have.dtype == want.dtype == x.dtype
        np.testing.assert_array_equal(have, want)
        np.testing.assert_array_equal(fg.vmap(f, in_axes=(0, None))(np.stack([x, x]), y), [want, want])


def test_products_in_place_have_as_many_columns() -> None:
    def f(x: Any, y: Any) -> Any:
        h = x * 1
        h @= y
        return h

    x, y = np.ones((2, 1, 3, 3)), np.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(fg.jit(f)(x, y), f(x, y))
    for run in (f, fg.jit(f), lambda x, y: fg.jvp(f, (x, y), (x, y))):
        for columns in (y[:, :1], np.ones((2, 3, 3))):
            with pytest.raises(ValueError, match=r"(?i)columns|mismatch|broadcast"):
                run(x, columns)


def test_checks_leave_what_they_are_given() -> None:
    def f(d: Any) -> Any:
        d["a"].sort()
        d["b"] = d["b"] * d["a"]
        d["c"] = d.pop("b") ** 2
        return d

    given = {"a": np.array([3.0, 1.0, 2.0]), "b": np.array([0.3, 0.2, 0.1])}
    kept = {k: v.copy() for k, v in given.items()}
    check_grads(f, (given,), order=2)
    check_operation(f, (given,), order=1)
    np.testing.assert_equal(given, kept)


def test_scalars_are_rebound_and_arrays_of_no_dimensions_written() -> None:
    def f(x: Any) -> Any:
        y = x
        x += 1
        return 10 * y + x

    for x in (2.0, np.float64(2.0), np.array(2.0)):
        want = f(x.copy() if isinstance(x, np.ndarray) else x)
        assert fg.value_and_grad(f)(x) == (want, 11.0)
        assert fg.jit(f)(x) == want == fg.jvp(f, (x,), (np.ones_like(x) if isinstance(x, np.ndarray) else 1.0,))[0]
    assert fg.vmap(f)(np.array([2.0, 3.0])).tolist() == [f(2.0), f(3.0)]  # an element of an array is a scalar


def test_results_and_residuals_keep_their_values() -> None:
    """What a transformation inside returns, or keeps, is not changed by what is written later."""

    def f(x: Any) -> Any:
        y, pullback = fg.vjp(lambda z: z * z, x)
        (first,) = pullback(np.ones(2))
        y *= 0.0
        first *= 0.0
        x *= 3.0
        (again,) = pullback(np.ones(2))
        return np.sum(again)

    x = np.array([1.0, 2.0])
    assert f(x.copy()) == 6.0
    value, gradient = fg.value_and_grad(f)(x)
    assert value == 6.0
    np.testing.assert_array_equal(gradient, [2.0, 2.0])
    assert fg.jit(f)(x) == 6.0


def test_remedies_work_inside_and_outside() -> None:
    def f(x: Any) -> Any:
        a = np.zeros_like(x)
        a[0] = x[1]
        b = fg.numpy.zeros(3)
        b[1] = x[0]
        c = fg.at(np.zeros(3))[2].set(x[2])
        return np.sum((a + b + c) * np.array([1.0, 2.0, 3.0])) + np.sum(np.stack([x[0], x[1]]))

    x = np.array([1.0, 2.0, 4.0])
    value, gradient = fg.value_and_grad(f)(x)
    assert value == f(x) == fg.jit(f)(x)
    np.testing.assert_array_equal(gradient, [3.0, 2.0, 3.0])


def test_a_mask_of_a_batch_inside_jit() -> None:
    """What four nested transformations made, and each calls an array of its own function, is one array to be asked."""

    def fun(x: Any) -> Any:
        y, mask = x.copy(), x > 0
        y[mask] = np.sin(x[mask])
        y[~mask] = x[~mask] ** 3
        return np.sum(y)

    x = np.array([0.5, 1.5, -0.7, 2.0])
    want = np.diag(np.where(x > 0, -np.sin(x), 6 * x))
    np.testing.assert_allclose(fg.hessian(fun)(x), want)
    np.testing.assert_allclose(fg.jit(fg.hessian(fun))(x), want)


def _writer(z: Any) -> Any:
    z *= 2
    return np.sin(z)


def _vjp_writer() -> Program:
    f = fg.custom_vjp(_writer)
    f.defvjp(lambda z: (f(z), z), lambda r, g: (2 * g * np.cos(2 * r),))
    return f


def _jvp_writer() -> Program:
    f = fg.custom_jvp(_writer)
    f.defjvp(lambda p, t: (f(*p), 2 * t[0] * np.cos(2 * p[0])))
    return f


@pytest.mark.parametrize(
    "fun",
    [
        _vjp_writer(),
        _jvp_writer(),
        fg.jit(_writer),
        fg.checkpoint(_writer),
        lambda x: fg.lax.cond(True, _writer, _writer, x),
        lambda x: fg.lax.fori_loop(0, 1, lambda i, c: _writer(c), x),
        lambda x: fg.lax.while_loop(lambda c: np.all(c == x), _writer, x),
        lambda x: fg.lax.scan(lambda c, _: (_writer(c), None), x, None, 1)[0],
        lambda x: fg.lax.map(_writer, x[None])[0],
        lambda x: fg.vmap(_writer)(x[None])[0],
    ],
)
def test_a_function_that_is_simply_called_does_not_write_to_the_callers_arrays(fun: Program) -> None:
    """As with traced arguments, or it raises: a program means the same with and without a derivative."""
    for x in (np.array([1.0, 2.0]), np.arange(1.0, 5001.0)):
        before = x.copy()
        try:
            np.testing.assert_allclose(fun(x), np.sin(2 * before))
        except ValueError as error:
            assert "read-only" in str(error) and "copy()" in str(error)
        np.testing.assert_array_equal(x, before)
        assert x.flags.writeable
        np.testing.assert_allclose(fg.jit(fun)(x), np.sin(2 * before))
