"""What JAX's documentation says of names that are here too, in small programs: value, then what it must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad
import funcgrad.numpy as jnp

jax: Any = funcgrad
lax: Any = jax.lax
X: Any = np.arange(4.0)


def jvp_of(fun: Callable[..., Any], rule: Callable[..., Any]) -> Any:
    out = jax.custom_jvp(fun)
    out.defjvp(rule)
    return out


def vjp_of(fun: Callable[..., Any], forward: Callable[..., Any], backward: Callable[..., Any]) -> Any:
    out = jax.custom_vjp(fun)
    out.defvjp(forward, backward)
    return out


J = jvp_of(lambda x, y=2.0: x * y, lambda p, t: (p[0] * p[1], 10 * t[0] * p[1]))
V = vjp_of(lambda x, y=2.0: x * y, lambda x, y: (x * y, y), lambda y, ct: (7 * ct * y, ct))


def inverse(fun: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The inverse of a chain of invertible operations: an interpreter of programs that walks them backwards."""
    undo = {lax.exp_p: np.log, lax.tanh_p: np.arctanh, lax.neg_p: np.negative}

    def run(y: Any) -> Any:
        program = jax.make_jaxpr(fun)(y)
        known = dict(zip(program.jaxpr.outvars, [y], strict=True))
        for eqn in reversed(program.jaxpr.eqns):
            known[eqn.invars[0]] = undo[eqn.primitive](known[eqn.outvars[0]])
        return known[program.jaxpr.invars[0]]

    return run


def times(n: Any) -> Any:
    return lax.scan(lambda c, _: (2 * c, None), 1.0, None, length=n)[0]


def convolved(x: Any = X, kernel: Any = X[:2], padding: Any = "SAME", **options: Any) -> Any:
    return lax.conv_general_dilated(x[None, None], kernel[None, None], (1,), padding, **options)[0, 0]


ERRORS: dict[str, tuple[Callable[[], Any], type[Exception]]] = {
    "no whole number of steps": (lambda: times(2.5), TypeError),
    "steps backwards": (lambda: times(-1), ValueError),
    "steps of examples": (lambda: jax.vmap(times)(np.arange(3)), TypeError),
    "axes of a convolution": (lambda: lax.conv(np.ones((1, 1, 4)), np.ones((1, 1, 2, 2)), (1,), "SAME"), TypeError),
    "sizes of windows": (lambda: lax.reduce_window(X, 0.0, lax.add, (1, 2), (1,), "VALID"), TypeError),
    "unroll": (lambda: lax.scan(lambda c, x: (c, x), 0.0, X, unroll=0.5), TypeError),
    "unroll backwards": (lambda: lax.scan(lambda c, x: (c, x), 0.0, X, unroll=-1), ValueError),
    "unroll, traced bounds": (
        lambda: jax.jit(lambda n: lax.fori_loop(0, n, lambda i, c: c, 0.0, unroll=2))(3),
        ValueError,
    ),
    "batches of a map": (lambda: lax.map(lambda x: x, X, batch_size=-1), ValueError),
    "complex predicate": (lambda: lax.cond(1j, lambda: 1, lambda: 2), TypeError),
    "slice before the start": (lambda: lax.slice_in_dim(X, -5, None), ValueError),
    "slice after the end": (lambda: lax.slice_in_dim(X, 0, 5), ValueError),
    "padding that is none": (lambda: convolved(padding=3), ValueError),
    "padding in numbers": (lambda: convolved(padding=[0]), ValueError),
    "crop of all and more": (lambda: convolved(padding=[(-5, 0)]), ValueError),
    "a negative index": (lambda: lax.dynamic_slice(X, (-1,), (1,), allow_negative_indices=False), ValueError),
    "no groups": (lambda: convolved(feature_group_count=0), ValueError),
    "no groups of examples": (lambda: convolved(batch_group_count=0), ValueError),
    "too few axes": (lambda: lax.transpose(X[None], (0,)), TypeError),
    "an axis twice": (lambda: lax.rev(X, (0, 0)), TypeError),
    "no such axis": (lambda: lax.rev(X, (1,)), np.exceptions.AxisError),
    "no such axis, type": (lambda: lax.rev(X, (1,)), TypeError),
    "no such axis, jit": (lambda: jax.jit(lambda x: lax.rev(x, (1,)))(X), TypeError),
    "elements that are not there": (lambda: lax.reshape(X, (5,)), TypeError),
    "ranks": (lambda: lax.concatenate([X, X[None]], 0), TypeError),
    "sizes": (lambda: lax.broadcast_in_dim(X, (3,), (0,)), TypeError),
    "an axis that the result lacks": (lambda: lax.broadcast_in_dim(X, (4,), (1,)), TypeError),
    "a user's error": (lambda: lax.reduce(X, 0.0, lambda a, b: [].index(a), (0,)), ValueError),
    "fewer than none": (lambda: lax.iota(np.int32, -1), TypeError),
    "a part of negative size": (lambda: lax.split(X, (5, -1)), TypeError),
    "full of an array": (lambda: lax.full((4,), X), TypeError),
    "no dtype": (lambda: lax.convert_element_type(X, None), ValueError),
    "chosen by floats": (lambda: lax.select_n(X, X, X), TypeError),
    "bits that do not fit": (lambda: lax.bitcast_convert_type(np.ones(3, np.float32), np.float64), ValueError),
    "groups of its own": (lambda: lax.psum(X, (0,), axis_index_groups=[[0, 1]]), ValueError),
    "no such transform": (lambda: lax.fft(X, 7, (4,)), TypeError),
    "real transform of complex numbers": (lambda: lax.fft(X + 0j, "rfft", (4,)), ValueError),
    "root of two": (lambda: lax.custom_root(lambda x: (x, x), 1.0, lambda f, x: x, lambda g, y: y), TypeError),
    "product in a list": (lambda: lax.custom_linear_solve(lambda x: [x], 1.0, lambda f, b: b), TypeError),
    "axes that are not there": (lambda: lax.dot_general(X, X, (((5,), (0,)), ((), ()))), TypeError),
    "condition": (lambda: lax.while_loop(lambda c: (c < 5,), lambda c: c + 1, 0), TypeError),
}

CASES: dict[str, tuple[Callable[[], Any], Any]] = {
    "jvp rule, default": (lambda: jax.grad(J)(1.0), 20.0),
    "jvp rule, named": (lambda: jax.grad(lambda x: J(y=3.0, x=x))(1.0), 30.0),
    "vjp rule, default": (lambda: jax.grad(V)(1.0), 14.0),
    "vjp rule, named": (lambda: jax.grad(lambda x: V(x, y=3.0))(1.0), 21.0),
    "conj of a real": (lambda: lax.conj(np.float32(2)).dtype == np.complex64, True),
    "conj of an integer": (lambda: lax.conj(2).dtype.kind, "i"),
    "sum over a mapped axis and one of its own": (
        lambda: jax.vmap(lambda x: lax.psum(x, ("i", 0)), axis_name="i")(X.reshape(2, 2)),
        [6.0, 6.0],
    ),
    "mean over its own": (lambda: lax.pmean(X, 0), 1.5),
    "maximum over its own": (lambda: lax.pmax(X.reshape(2, 2), (1,)), [1.0, 3.0]),
    "places of the largest": (lambda: lax.top_k(X, 2)[1].dtype == np.int32, True),
    "number of an example": (
        lambda: jax.vmap(lambda x: x - lax.axis_index("i"), axis_name="i")(np.arange(3, dtype=np.int32)).dtype.name,
        "int32",
    ),
    "axes in another order": (lambda: lax.broadcast_in_dim(X.reshape(2, 2), (2, 2), (1, 0)), X.reshape(2, 2).T),
    "product in a wider dtype": (lambda: lax.mul(np.int8([100]), np.int8([3]), out_dtype=np.int16), [300]),
    "angle of complex numbers": (lambda: np.sin(lax.atan2(np.array([3 + 0j]), 4.0)), [0.6]),
    "integers too large": (
        lambda: lax.convert_element_type(np.array([1e20, -1e20, 3.7, -3.7]), np.int32),
        [2**31 - 1, -(2**31), 3, -3],
    ),
    "integers too large, jit": (
        lambda: jax.jit(lambda x: lax.convert_element_type(x, np.uint8))(np.array([np.nan, 300, -1, np.inf])),
        [0, 255, 0, 255],
    ),
    "integers of half precision": (
        lambda: lax.convert_element_type(np.array([np.inf, -np.inf, 7.5], np.float16), np.int64),
        [2**63 - 1, -(2**63), 7],
    ),
    "running sums of complex exponentials": (
        lambda: lax.cumlogsumexp(X + 1j * X[::-1]),
        np.log(np.cumsum(np.exp(X + 1j * X[::-1]))),
    ),
    "transforms by number": (lambda: lax.fft(X + 0j, lax.FftType(1), (4,)), np.fft.ifft(X)),
    "one axis each": (lambda: lax.dot_general(X, X, ((0, 0), ((), ()))), 14.0),
    "nothing, dilated and cropped": (
        lambda: lax.conv_general_dilated(np.ones((1, 1, 0)), np.ones((1, 1, 1)), (1,), [(1, -1)], (2,)).shape,
        (1, 1, 0),
    ),
    "booleans": (lambda: convolved(X == 3, X[:2] == 1), [False, False, True, False]),
    "half precision": (lambda: lax.random_gamma_grad(np.float16(2), np.float16(1)).dtype == np.float16, True),
    "slice from the end": (lambda: lax.slice_in_dim(X, -3, -1, 1), [1.0, 2.0]),
    "a traced number of steps": (lambda: jax.jit(times)(3), 8.0),
    "steps by a NumPy integer": (lambda: times(np.int8(2)), 4.0),
    "interp on": (lambda: jnp.interp([-1.0, 9.0], X, X * 2, "extrapolate", right="extrapolate"), [-2.0, 18.0]),
    "interp on, jit": (lambda: jax.jit(lambda x: jnp.interp(x, X, X**2, right="extrapolate"))(4.0), 14.0),
    "interpreter": (lambda: inverse(lambda x: np.exp(np.tanh(-x)))(np.exp(np.tanh(X[:2] - 0.5))), 0.5 - X[:2]),
    "no such operation": (lambda: hasattr(lax, "teleport_p"), False),
    "order in place of output": (
        lambda: jax.scipy.ndimage.map_coordinates(X, [np.array([2.5, 9.0, -1.0])], 1, "nearest"),
        [2.5, 3.0, 0.0],
    ),
    "order, mode and cval": (
        lambda: jax.scipy.ndimage.map_coordinates(X, [np.array([2.5, 9.0])], 1, "constant", 7.0),
        [2.5, 7.0],
    ),
    "not offered": (lambda: hasattr(jax.experimental, "pallas"), False),
}


@pytest.mark.parametrize("name", CASES)
def test_as_documented(name: str) -> None:
    run, want = CASES[name]
    if isinstance(want, (str, bool)):
        assert run() == want
    else:
        np.testing.assert_allclose(run(), want, rtol=1e-14)


@pytest.mark.parametrize("name", ERRORS)
def test_errors_as_documented(name: str) -> None:
    run, kind = ERRORS[name]
    with pytest.raises(kind):
        run()
