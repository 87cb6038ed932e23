"""Learning without giving anybody away: stochastic gradient descent with differential privacy.

    python examples/dp_sgd.py [--quick] [--jax]

Each example's gradient, from `vmap(grad)`, is clipped to length `CLIP`, and noise is added to their sum. Within an
epoch each example is in one batch, so that an epoch is one Gaussian mechanism: with noise of standard deviation
σ · CLIP it costs ρ = 1 / (2 σ²) of zero-concentrated privacy (Bun and Steinke, 2016).
"""

from functools import partial
from typing import Any

import numpy as np

from _backend import Numbers, jax, jnp, lax, random, run

CLIP = 1.0
RATE = 0.5
DELTA = 1e-5

Params = dict[str, Any]


def loss(params: Params, x: Any, y: Any) -> Any:
    """Of one example with features (d,) and a label of 0 or 1, by logistic regression."""
    score = x @ params["w"] + params["b"]
    return jax.nn.softplus(score) - y * score


def mean_loss(params: Params, x: Any, y: Any) -> Any:
    return jnp.mean(jax.vmap(loss, (None, 0, 0))(params, x, y))


def clipped(params: Params, x: Any, y: Any) -> tuple[Params, Any]:
    """The gradient of one example, and how long it was before it was shortened."""
    slope = jax.grad(loss)(params, x, y)
    length = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(slope)))
    return jax.tree.map(lambda leaf: leaf / jnp.maximum(1, length / CLIP), slope), length


def private_slope(params: Params, x: Any, y: Any, sigma: Any, key: Any) -> Params:
    """The mean of the clipped gradients of a batch, with noise."""
    slopes, _ = jax.vmap(clipped, (None, 0, 0))(params, x, y)
    leaves, structure = jax.tree.flatten(slopes)
    keys = random.split(key, len(leaves))
    noisy = [
        (jnp.sum(leaf, axis=0) + sigma * CLIP * random.normal(k, leaf.shape[1:])) / len(x)
        for leaf, k in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(structure, noisy)


@partial(jax.jit, static_argnums=(2, 3))
def train(x: Any, y: Any, epochs: int, batches: int, sigma: Any, key: Any) -> Params:
    """Goes through the examples in a new order in each epoch."""

    def step(params: Params, batch: tuple[Any, ...]) -> tuple[Params, None]:
        indices, key = batch
        slope = private_slope(params, x[indices], y[indices], sigma, key)
        return jax.tree.map(lambda p, g: p - RATE * g, params, slope), None

    def epoch(params: Params, key: Any) -> tuple[Params, None]:
        order_key, noise_key = random.split(key)
        order = random.permutation(order_key, len(x)).reshape(batches, -1)
        return lax.scan(step, params, (order, random.split(noise_key, batches)))

    params = {"w": jnp.zeros(x.shape[1]), "b": 0.0}
    return lax.scan(epoch, params, random.split(key, epochs))[0]


def epsilon(sigma: float, epochs: int) -> float:
    """ε of (ε, DELTA) differential privacy."""
    rho = epochs / (2 * sigma**2)
    return rho + 2 * np.sqrt(rho * np.log(1 / DELTA))


def accuracy(params: Params, x: Any, y: Any) -> Any:
    return jnp.mean((x @ params["w"] + params["b"] > 0) == (y == 1))


def main(quick: bool = False) -> Numbers:
    n, features, epochs = (1000, 5, 3) if quick else (20_000, 20, 5)
    batches = n // 100
    truth = random.normal(random.key(0), (features,))
    x = random.normal(random.key(1), (2 * n, features))
    y = (random.uniform(random.key(2), (2 * n,)) < jax.nn.sigmoid(2 * x @ truth)).astype(float)
    (x, x_test), (y, y_test) = jnp.split(x, 2), jnp.split(y, 2)

    # What is known: the mean of the examples' gradients is the gradient of the mean, and none is longer than CLIP.
    params = {"w": 0.3 * truth, "b": 0.1}
    singles = jax.vmap(jax.grad(loss), (None, 0, 0))(params, x, y)
    together = jax.grad(mean_loss)(params, x, y)
    for one, two in zip(jax.tree.leaves(singles), jax.tree.leaves(together), strict=True):
        np.testing.assert_allclose(jnp.mean(one, axis=0), two, atol=1e-12)
    slopes, lengths = jax.vmap(clipped, (None, 0, 0))(params, x, y)
    after = jnp.sqrt(jnp.sum(slopes["w"] ** 2, axis=1) + slopes["b"] ** 2)
    np.testing.assert_allclose(after, jnp.minimum(lengths, CLIP), rtol=1e-12)
    noises = [private_slope(params, x[:100], y[:100], 2.0, random.key(i))["b"] * 100 for i in range(50)]
    np.testing.assert_allclose(np.std(noises), 2.0 * CLIP, rtol=0.3)

    sigma = 5.0
    best = accuracy({"w": truth, "b": 0.0}, x_test, y_test)
    open_, private = (accuracy(train(x, y, epochs, batches, s, random.key(3)), x_test, y_test) for s in (0.0, sigma))
    assert open_ > best - 0.03
    assert best - 0.08 < private
    return {
        "epsilon": epsilon(sigma, epochs),
        "clipped": jnp.mean(lengths > CLIP),
        "accuracy": jnp.stack([best, open_, private]),
        "weights": train(x, y, epochs, batches, sigma, random.key(3))["w"],
    }


if __name__ == "__main__":
    run(main)
