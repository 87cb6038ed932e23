"""A script as users write them, for type checkers in strict mode: `tests/test_types_of_users.py`."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import funcgrad.numpy as jnp
from funcgrad import (
    checkpoint,
    custom_jvp,
    grad,
    hessian,
    jacrev,
    jit,
    jvp,
    lax,
    make_ir,
    nn,
    tree,
    value_and_grad,
    vjp,
    vmap,
)

Array = NDArray[Any]


class Params(NamedTuple):
    w: Array
    b: Array


def predict(params: Params, x: Array) -> Array:
    hidden = nn.relu(jnp.matmul(x, params.w) + params.b)
    return jnp.where(hidden > 0, hidden, jnp.tanh(hidden))


def loss(params: Params, x: Array, y: Array) -> Array:
    return jnp.mean(jnp.square(jnp.sum(predict(params, x), axis=-1) - y))


@jit
def step(params: Params, x: Array, y: Array) -> tuple[Array, Params]:
    value, gradient = value_and_grad(loss)(params, x, y)
    moved: Params = tree.map(lambda p, g: p - 0.1 * g, params, gradient)
    return value, moved


@partial(jit, static_argnames=("n",))
def powers(x: Array, n: int) -> Array:
    return jnp.stack([jnp.power(x, i) for i in range(n)])


@checkpoint
def block(x: Array) -> Array:
    return jnp.einsum("ij,jk->ik", x, x)


@custom_jvp
def cube(x: Array) -> Array:
    return x**3


def scale(x: float) -> float:
    return x * x


def main() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3)), rng.normal(size=8)
    params = Params(jnp.ones((3, 4)), jnp.zeros(4))
    for _ in range(3):
        value, params = step(params, x, y)
        print(float(value), params.w.shape)
    gradient: Params = grad(loss)(params, x, y)
    number: float = grad(scale)(3.0)
    examples = vmap(grad(loss), in_axes=(None, 0, 0))(params, x, y)
    print(gradient.b.dtype, number, examples.w.shape, hessian(scale)(1.0), jacrev(block)(np.eye(2)))
    out, tangent = jvp(block, (np.eye(2),), (np.ones((2, 2)),))
    primal, pullback = vjp(block, np.eye(2))
    carry, ys = lax.scan(lambda c, v: (c + v, c), np.zeros(3), x)
    print(out, tangent, primal, pullback(np.ones((2, 2))), carry, ys, powers(x, 2), make_ir(loss)(params, x, y))
    print(step.lower(params, x, y).source(), step.explain(), lax.fori_loop(0, 3, lambda i, c: c + i, 0))


if __name__ == "__main__":
    main()
