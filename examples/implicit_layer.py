"""How strongly to regularise? The derivative of a fit with respect to what was held fixed, by the implicit function.

    python examples/implicit_layer.py [--quick] [--jax]

The inner problem is a logistic regression with a penalty for every weight; Newton's method solves it in a loop of
unknown length, and `custom_root` differentiates the solution, not the loop. The outer problem chooses the penalties by
the loss on other data.
"""

from typing import Any

import numpy as np

from _backend import Numbers, jax, jnp, lax, run

Data = tuple[Any, Any]


def loss(weights: Any, data: Data) -> Any:
    """The mean of log(1 + exp(-y x·w)), for labels y of -1 and 1."""
    x, y = data
    return jnp.mean(jax.nn.softplus(-y * (x @ weights)))


def newton(residual: Any, weights: Any) -> Any:
    """A root of `residual`, to which Newton's steps come as close as rounding allows."""

    def goes_on(state: tuple[Any, Any]) -> Any:
        return jnp.max(jnp.abs(state[1])) > 1e-13

    def step(state: tuple[Any, Any]) -> tuple[Any, Any]:
        change = jnp.linalg.solve(jax.jacfwd(residual)(state[0]), residual(state[0]))
        return state[0] - change, change

    return lax.while_loop(goes_on, step, (weights, jnp.ones_like(weights)))[0]


def dense_solve(product: Any, b: Any) -> Any:
    return jnp.linalg.solve(jax.jacfwd(product)(b), b)


def fit(log_penalties: Any, data: Data) -> Any:
    """The weights with the least loss + Σ exp(log_penalties) · weights² / 2."""

    def residual(weights: Any) -> Any:
        return jax.grad(loss)(weights, data) + jnp.exp(log_penalties) * weights

    return lax.custom_root(residual, jnp.zeros_like(log_penalties), newton, dense_solve)


def simulate(rng: np.random.Generator, n: int, relevant: int, features: int) -> Data:
    """Labels that depend on a few of the features only."""
    x = rng.normal(size=(n, features))
    y = np.where(rng.random(n) < 1 / (1 + np.exp(-2 * x[:, :relevant].sum(axis=1))), 1.0, -1.0)
    return jnp.array(x), jnp.array(y)


def main(quick: bool = False) -> Numbers:
    rng = np.random.default_rng(0)
    relevant, features = (2, 6) if quick else (3, 20)
    n = 20 * features
    training, validation, test = (simulate(rng, size, relevant, features) for size in (n, n, 20 * n))

    def outer(log_penalties: Any) -> Any:
        return loss(fit(log_penalties, training), validation)

    penalties = jnp.full(features, -3.0)
    value_and_slope = jax.jit(jax.value_and_grad(outer))
    first, slope = value_and_slope(penalties)

    # The derivative is that of differences, and of the formula: -H⁻¹ exp(log penalty) · weight.
    i, small = features - 1, 1e-4 * np.eye(features)[-1]
    difference = (value_and_slope(penalties + small)[0] - value_and_slope(penalties - small)[0]) / 2e-4
    np.testing.assert_allclose(slope[i], difference, rtol=1e-6)
    weights = fit(penalties, training)
    curvature = jax.hessian(loss)(weights, training) + jnp.diag(jnp.exp(penalties))
    by_formula = -jnp.linalg.solve(curvature, jnp.diag(jnp.exp(penalties) * weights))
    np.testing.assert_allclose(jax.jacrev(fit)(penalties, training), by_formula, rtol=1e-8, atol=1e-12)

    for _ in range(30 if quick else 100):
        _, slope = value_and_slope(penalties)
        penalties = jnp.clip(penalties - 40 * slope, -6, 2)
    last = outer(penalties)
    before, after = (loss(fit(p, training), test) for p in (jnp.full(features, -3.0), penalties))

    assert last < first
    assert after < before
    assert jnp.mean(penalties[:relevant]) < jnp.mean(penalties[relevant:])
    return {
        "validation": jnp.stack([first, last]),
        "test": jnp.stack([before, after]),
        "penalties": jnp.exp(penalties),
    }


if __name__ == "__main__":
    run(main)
