"""A density in the plane, learnt by a flow of affine couplings (real NVP) that can be run both ways.

    python examples/normalising_flow.py [--quick] [--jax]

Each coupling moves one coordinate by a function of the other, so that its inverse and the determinant of its Jacobian
are known. Training maximises the likelihood of two half-moons with Adam, all steps in one compiled loop.
"""

from functools import partial
from typing import Any

import numpy as np

from _backend import Numbers, jax, jnp, lax, random, run

HIDDEN = 16
Layers = list[dict[str, Any]]


def init(key: Any, couplings: int) -> Layers:
    """Couplings that do nothing at first."""
    return [
        {
            "in": random.normal(k, (1, HIDDEN)),
            "shift": random.normal(random.fold_in(k, 1), (HIDDEN,)),
            "out": jnp.zeros((HIDDEN, 2)),
        }
        for k in random.split(key, couplings)
    ]


def coupling(layer: dict[str, Any], fixed: Any) -> tuple[Any, Any]:
    """The logarithm of the factor, and the shift, for the coordinate that moves."""
    out = jnp.tanh(fixed * layer["in"][0] + layer["shift"]) @ layer["out"]
    return 2 * jnp.tanh(out[0] / 2), out[1]


def forward(layers: Layers, point: Any) -> tuple[Any, Any]:
    """From data to noise, with the logarithm of the Jacobian's determinant; coordinates take turns."""
    a, b = point
    log_det = 0.0
    for layer in layers:
        log_factor, shift = coupling(layer, a)
        a, b = b * jnp.exp(log_factor) + shift, a
        log_det = log_det + log_factor
    return jnp.stack([a, b]), log_det


def inverse(layers: Layers, noise: Any) -> Any:
    """From noise to data."""
    a, b = noise
    for layer in layers[::-1]:
        log_factor, shift = coupling(layer, b)
        a, b = b, (a - shift) * jnp.exp(-log_factor)
    return jnp.stack([a, b])


def log_density(layers: Layers, point: Any) -> Any:
    noise, log_det = forward(layers, point)
    return jnp.sum(jax.scipy.stats.norm.logpdf(noise)) + log_det


def negative_log_likelihood(layers: Layers, points: Any) -> Any:
    return -jnp.mean(jax.vmap(log_density, (None, 0))(layers, points))


def moons(key: Any, n: int) -> Any:
    """Two half-circles that are hooked into each other."""
    angles, side = jnp.pi * random.uniform(key, (n,)), jnp.arange(n) % 2
    x = jnp.where(side == 0, jnp.cos(angles), 1 - jnp.cos(angles)) - 0.5
    y = jnp.where(side == 0, jnp.sin(angles), 0.5 - jnp.sin(angles)) - 0.25
    return jnp.stack([x, y], axis=1) + 0.1 * random.normal(random.fold_in(key, 1), (n, 2))


@partial(jax.jit, static_argnums=2)
def train(layers: Layers, points: Any, steps: int) -> tuple[Layers, Any]:
    """Adam; also the loss at each step."""

    def step(state: tuple[Any, ...], i: Any) -> tuple[Any, Any]:
        layers, mean, square = state
        value, slope = jax.value_and_grad(negative_log_likelihood)(layers, points)
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, slope)
        square = jax.tree.map(lambda s, g: 0.99 * s + 0.01 * g**2, square, slope)
        rate = 0.02 * jnp.sqrt(1 - 0.99 ** (i + 1)) / (1 - 0.9 ** (i + 1))
        layers = jax.tree.map(lambda p, m, s: p - rate * m / (jnp.sqrt(s) + 1e-8), layers, mean, square)
        return (layers, mean, square), value

    zeros = jax.tree.map(jnp.zeros_like, layers)
    (layers, _, _), losses = lax.scan(step, (layers, zeros, zeros), jnp.arange(steps))
    return layers, losses


def main(quick: bool = False) -> Numbers:
    n, steps, couplings = (200, 150, 4) if quick else (1000, 1500, 8)
    points = moons(random.key(0), n)
    layers, losses = train(init(random.key(1), couplings), points, steps)

    # There and back again; and the determinant that is known is the determinant.
    noise, log_det = jax.vmap(forward, (None, 0))(layers, points)
    np.testing.assert_allclose(jax.vmap(inverse, (None, 0))(layers, noise), points, atol=1e-9)
    jacobian = jax.vmap(jax.jacfwd(lambda p: forward(layers, p)[0]))(points)
    np.testing.assert_allclose(jnp.linalg.slogdet(jacobian)[1], log_det, atol=1e-9)

    # A density has the integral 1. It is higher than the best normal density where the data are, on average.
    side = jnp.linspace(-4, 4, 161)
    grid = jnp.stack(jnp.meshgrid(side, side), axis=-1).reshape(-1, 2)
    integral = jnp.sum(jnp.exp(jax.vmap(log_density, (None, 0))(layers, grid))) * (side[1] - side[0]) ** 2
    np.testing.assert_allclose(integral, 1, atol=0.02)
    normal = 1 + jnp.log(2 * jnp.pi) + jnp.linalg.slogdet(jnp.cov(points.T))[1] / 2
    fresh = negative_log_likelihood(layers, moons(random.key(2), n))
    assert losses[-1] < normal - (0.2 if quick else 0.6)

    return {
        "loss": jnp.stack([losses[0], losses[-1], fresh]),
        "normal": normal,
        "integral": integral,
        "from noise": inverse(layers, jnp.array([0.5, -0.5])),
    }


if __name__ == "__main__":
    run(main)
