"""What backward rules of `custom_vjp` may return, and that their arrays stay their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from funcgrad import checkpoint, custom_gradient, custom_jvp, custom_vjp, grad, jit, value_and_grad, vjp, vmap


def total(cotangent: Any) -> Any:
    """sum(x), with this cotangent."""

    @custom_vjp
    def f(x: Any) -> Any:
        return np.sum(x)

    f.defvjp(lambda x: (np.sum(x), None), lambda _, ct: (cotangent,))
    return f


TRANSFORMS: list[Callable[[Any], Any]] = [
    grad,
    lambda f: lambda x: value_and_grad(f)(x)[1],
    lambda f: lambda x: vjp(f, x)[1](np.float64(1.0))[0],
    lambda f: jit(grad(f)),
    lambda f: grad(jit(f)),
    lambda f: grad(checkpoint(f)),
    lambda f: grad(lambda x: 1.0 * f(np.reshape(x, (3,)))),
    lambda f: lambda x: vmap(grad(f))(x[None])[0],
]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_gradient_is_not_the_array_of_a_rule(transform: Any) -> None:
    kept = np.ones(3)
    gradient = transform(total(kept))(np.zeros(3))
    gradient[:] = 5
    np.testing.assert_array_equal(kept, np.ones(3))


def test_sums_do_not_write_into_it() -> None:
    kept = np.ones(3)
    f = total(kept)
    np.testing.assert_array_equal(grad(lambda x: f(x) + f(x) + f(x))(np.zeros(3)), np.full(3, 3.0))
    np.testing.assert_array_equal(kept, np.ones(3))


def test_nor_is_it_a_residual() -> None:
    @custom_vjp
    def f(x: Any, y: Any) -> Any:
        return np.sum(x * y)

    f.defvjp(lambda x, y: (f(x, y), (x, y)), lambda kept, ct: (kept[1], kept[0]))
    x, y = np.ones(3), np.full(3, 2.0)
    pullback = vjp(f, x, y)[1]
    for _ in range(2):
        dx, dy = pullback(np.float64(1.0))
        np.testing.assert_array_equal((dx, dy), (y, x))
        dx[:] = dy[:] = 9
    np.testing.assert_array_equal((x, y), (np.ones(3), np.full(3, 2.0)))


@pytest.mark.parametrize(
    ("cotangent", "x"), [(1 + 2j, 1.0), (np.array(1 + 2j), 1.0), (np.ones(3, complex), np.ones(3))]
)
def test_a_complex_cotangent_of_a_real_argument(cotangent: Any, x: Any) -> None:
    for transform in (grad, lambda f: jit(grad(f))):
        with pytest.raises(TypeError, match=r"complex cotangent.*real argument"):
            transform(total(cotangent))(x)


@pytest.mark.parametrize("cotangent", [2.0, 0, np.float32(2.0), np.array(2.0), np.ones(1), np.ones((3, 1))])
def test_a_cotangent_of_another_shape(cotangent: Any) -> None:
    with pytest.raises(TypeError, match="returned a cotangent of shape"):
        grad(total(cotangent))(np.ones(3))


def test_other_dtypes_are_cast() -> None:
    for cotangent in (np.ones(3, np.float32), np.ones(3, int), np.ones(3, bool)):
        gradient = grad(total(cotangent))(np.zeros(3))
        assert gradient.dtype == np.float64 and np.all(gradient == 1.0)
    assert grad(total(2))(1.0) == 2.0
    assert np.all(grad(total(None))(np.ones(3)) == 0.0)


def test_a_pullback_does_not_see_later_writes() -> None:
    """What the rule of a `custom_jvp` multiplies tangents by is kept as a copy."""
    scale = np.ones(3)

    @custom_jvp
    def f(x: Any) -> Any:
        return x * scale

    f.defjvp(lambda primals, tangents: (primals[0] * scale, tangents[0] * scale))
    pullback = vjp(f, np.ones(3))[1]
    scale[:] = 5
    np.testing.assert_array_equal(pullback(np.ones(3))[0], np.ones(3))


def test_custom_gradient_runs_its_function_again_for_each_pullback() -> None:
    calls: list[int] = []

    @custom_gradient
    def f(x: Any) -> Any:
        calls.append(1)
        return x**2, lambda ct: 10.0 * ct

    y, pullback = vjp(f, 3.0)
    assert (y, pullback(1.0), pullback(2.0)) == (9.0, (10.0,), (20.0,))
    before = len(calls)
    pullback(1.0)
    assert len(calls) == before + 1
