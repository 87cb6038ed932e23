"""Predators and prey: the constants of a differential equation, from noisy counts, by the adjoint method.

    python examples/ode_fit.py [--quick] [--jax]

`odeint` solves Lotka and Volterra's equations with steps of its own choice; its reverse derivative solves another
equation backwards in time. The fit is by BFGS, in a few lines.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from _backend import Numbers, jax, jnp, odeint, run

TRUTH = np.array([1.1, 0.4, 0.4, 0.1])
START = np.array([6.0, 2.0])
ACCURACY = 1e-10


def growth(state: Any, t: Any, rates: Any) -> Any:
    """Of prey and predators."""
    prey, predators = state
    births, eaten, deaths, fed = rates
    return jnp.stack([(births - eaten * predators) * prey, (fed * prey - deaths) * predators])


def trajectory(rates: Any, times: Any) -> Any:
    return odeint(growth, jnp.array(START), times, rates, rtol=ACCURACY, atol=ACCURACY)


def bfgs(value_and_slope: Callable[[Any], tuple[Any, Any]], x: Any, steps: int) -> Any:
    """Minimises by a dense approximation of the inverse Hessian and halving of steps."""
    inverse = jnp.eye(len(x)) / 100
    value, slope = value_and_slope(x)
    for _ in range(steps):
        step = -inverse @ slope
        while True:
            new_value, new_slope = value_and_slope(x + step)
            if new_value < value + 1e-4 * (step @ slope):
                break
            if jnp.linalg.norm(step) < 1e-9:
                return x
            step = step / 2
        change = new_slope - slope
        if step @ change > 0:
            project = jnp.eye(len(x)) - jnp.outer(step, change) / (step @ change)
            inverse = project @ inverse @ project.T + jnp.outer(step, step) / (step @ change)
        x, value, slope = x + step, new_value, new_slope
        if jnp.linalg.norm(slope) < 1e-7:
            break
    return x


def main(quick: bool = False) -> Numbers:
    times = jnp.linspace(0, 6, 7) if quick else jnp.linspace(0, 20, 41)
    noise = 0.0 if quick else 0.1
    exact = trajectory(jnp.array(TRUTH), times)
    counts = exact + noise * np.random.default_rng(0).normal(size=exact.shape)

    @jax.jit
    def loss(log_rates: Any) -> Any:
        return jnp.sum((trajectory(jnp.exp(log_rates), times) - counts) ** 2)

    start = jnp.log(jnp.array([1.0, 0.5, 0.5, 0.12]))
    slope = jax.jit(jax.grad(loss))
    # The adjoint's gradient is that of central differences.
    direction = jnp.array([0.5, -0.5, 0.5, 0.5])
    difference = (loss(start + 1e-4 * direction) - loss(start - 1e-4 * direction)) / 2e-4
    np.testing.assert_allclose(slope(start) @ direction, difference, rtol=1e-6)

    rates = jnp.exp(bfgs(jax.jit(jax.value_and_grad(loss)), start, 25 if quick else 60))
    np.testing.assert_allclose(rates, TRUTH, rtol=1e-2 if noise else 1e-5)

    # Along every solution this is constant.
    births, eaten, deaths, fed = TRUTH
    prey, predators = exact.T
    invariant = fed * prey - deaths * jnp.log(prey) + eaten * predators - births * jnp.log(predators)
    np.testing.assert_allclose(invariant, invariant[0], rtol=1e-7)

    return {"slope at the start": slope(start), "rates": rates, "last counts": exact[-1]}


if __name__ == "__main__":
    run(main)
