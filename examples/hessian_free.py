"""Newton's method without a Hessian: only products with it, for conjugate gradients, within a trust region.

    python examples/hessian_free.py [--quick] [--jax]

A product with the Hessian is the derivative of the gradient along a vector, as cheap as a few gradients. The functions
are Rosenbrock's valley in many dimensions, and the area of a soap film over a wire frame.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from _backend import Numbers, jax, jnp, lax, run

Function = Callable[[Any], Any]


def hessian_product(fun: Function, x: Any, v: Any) -> Any:
    """Forward over reverse."""
    return jax.jvp(jax.grad(fun), (x,), (v,))[1]


def steihaug(product: Function, slope: Any, radius: Any) -> Any:
    """Minimises the quadratic model within the radius, as far as needed.

    Conjugate gradients stop at the boundary, or where the curvature is negative, and go to the boundary then.
    """
    tolerance = jnp.minimum(0.1, jnp.sqrt(jnp.linalg.norm(slope))) * jnp.linalg.norm(slope)

    def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
        z, r, d, count, _ = state
        image = product(d)
        curvature = d @ image
        alpha = (r @ r) / jnp.where(curvature > 0, curvature, 1)
        leaves = (curvature <= 0) | (jnp.linalg.norm(z + alpha * d) >= radius)
        # How far the boundary is along d: the positive root of |z + τ d| = radius.
        a, b, c = d @ d, z @ d, z @ z - radius**2
        tau = (-b + jnp.sqrt(b**2 - a * c)) / a
        new_r = r + alpha * image
        done = leaves | (jnp.linalg.norm(new_r) < tolerance)
        z = z + jnp.where(leaves, tau, alpha) * d
        return z, new_r, -new_r + (new_r @ new_r) / (r @ r) * d, count + 1, done

    start = (jnp.zeros_like(slope), slope, -slope, 0, False)
    return lax.while_loop(lambda s: ~s[4] & (s[3] < 2 * slope.size), step, start)[0]


@partial(jax.jit, static_argnums=0)
def minimise(fun: Function, x: Any) -> Any:

    def goes_on(state: tuple[Any, ...]) -> Any:
        return (jnp.linalg.norm(state[1]) > 1e-9) & (state[3] < 2000)

    def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
        x, slope, radius, steps = state
        product = partial(hessian_product, fun, x)
        move = steihaug(product, slope, radius)
        predicted = -(slope @ move + move @ product(move) / 2)
        gained = (fun(x) - fun(x + move)) / predicted
        wide = jnp.linalg.norm(move) > 0.99 * radius
        radius = jnp.where(gained < 0.25, radius / 4, jnp.where((gained > 0.75) & wide, 2 * radius, radius))
        x = jnp.where((gained > 0.1) | (predicted < 1e-15), x + move, x)
        return x, jax.grad(fun)(x), radius, steps + 1

    return lax.while_loop(goes_on, step, (x, jax.grad(fun)(x), 1.0, 0))[0]


def rosenbrock(x: Any) -> Any:
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def scherk(x: Any, y: Any) -> Any:
    """The height of a surface that is known to be minimal: log(cos y / cos x)."""
    return jnp.log(jnp.cos(y)) - jnp.log(jnp.cos(x))


def film(size: int) -> tuple[Function, Any, Any]:
    """The area as a function of the inner heights, a start, and the minimal surface on the same frame."""
    side = jnp.linspace(-1, 1, size)
    exact = scherk(side[:, None], side[None, :])
    width = 2 / (size - 1)

    def area(inner: Any) -> Any:
        z = exact.at[1:-1, 1:-1].set(inner.reshape(size - 2, size - 2))
        east, north = jnp.diff(z, axis=0) / width, jnp.diff(z, axis=1) / width
        # Two triangles for each cell.
        below = jnp.sqrt(1 + east[:, :-1] ** 2 + north[:-1] ** 2)
        above = jnp.sqrt(1 + east[:, 1:] ** 2 + north[1:] ** 2)
        return width**2 / 2 * jnp.sum(below + above)

    return area, jnp.zeros((size - 2) ** 2), exact[1:-1, 1:-1].ravel()


def main(quick: bool = False) -> Numbers:
    n, size = (20, 13) if quick else (100, 41)

    x = minimise(rosenbrock, jnp.zeros(n))
    np.testing.assert_allclose(x, np.ones(n), rtol=1e-8)
    v = jnp.array(np.random.default_rng(0).normal(size=n))
    np.testing.assert_allclose(hessian_product(rosenbrock, x, v), jax.hessian(rosenbrock)(x) @ v, rtol=1e-10, atol=1e-8)

    area, start, exact = film(size)
    heights = minimise(area, start)
    np.testing.assert_allclose(heights, exact, atol=2 / size**2)
    assert area(heights) <= area(exact) < area(start)

    return {
        "valley: value": rosenbrock(x) + 1,
        "film: area": jnp.stack([area(start), area(heights), area(exact)]),
        "film: a row": heights[: size - 2],
    }


if __name__ == "__main__":
    run(main)
