"""Heating a rod to a wanted temperature at a given time: optimal control of a partial differential equation.

    python examples/heat_control.py [--quick] [--jax]

Implicit Euler steps of u_t = u_xx + q, with u = 0 at both ends, in a `scan` of tridiagonal solutions. The control q, a
value for each time and place, minimises the distance from the target and α/2 its own square. First the problem is
quadratic, and conjugate gradients solve it exactly; then the rod also cools by radiation, and Newton's steps do.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from _backend import Numbers, jax, jnp, lax, run

ALPHA = 1e-4
TIME = 0.1


def last_temperature(control: Any, radiation: float = 0.0) -> Any:
    """(steps, places) -> (places,), from the cold; the term of radiation, -r u⁴, is explicit."""
    steps, places = control.shape
    dt, width = TIME / steps, 1 / (places + 1)
    off: Any = jnp.full(places, -dt / width**2)
    lower, upper = off.at[0].set(0), off.at[-1].set(0)
    diagonal = jnp.full(places, 1 + 2 * dt / width**2)

    def step(u: Any, q: Any) -> tuple[Any, None]:
        source = u + dt * (q - radiation * u**4)
        return lax.linalg.tridiagonal_solve(lower, diagonal, upper, source[:, None])[:, 0], None

    return lax.scan(step, jnp.zeros(places), control)[0]


def objective(control: Any, target: Any, radiation: float = 0.0) -> Any:
    steps, places = control.shape
    width, dt = 1 / (places + 1), TIME / steps
    miss = last_temperature(control, radiation) - target
    return width / 2 * jnp.sum(miss**2) + ALPHA / 2 * dt * width * jnp.sum(control**2)


@jax.jit
def newton_step(control: Any, target: Any, radiation: float) -> Any:
    """Newton's equation by conjugate gradients, with products along vectors only."""
    slope_at: Callable[[Any], Any] = jax.grad(lambda q: objective(q, target, radiation))
    slope, product = jax.linearize(slope_at, control)
    move, _ = jax.scipy.sparse.linalg.cg(product, slope, tol=1e-12, maxiter=200)
    return control - move


def main(quick: bool = False) -> Numbers:
    steps, places = (10, 19) if quick else (50, 99)
    x = jnp.linspace(0, 1, places + 2)[1:-1]
    nothing = jnp.zeros((steps, places))

    # A target in the form of a sine stays one: its amplitude obeys a = Σ wₖ qₖ with wₖ = dt (1 + dt λ)^(k - steps - 1),
    # and the best amplitudes of the control are w a / (Σ w² + α dt), for the wanted a.
    wave = jnp.sin(jnp.pi * x)
    control = newton_step(nothing, 0.5 * wave, 0.0)
    dt, width = TIME / steps, 1 / (places + 1)
    decay = 1 + dt * (2 - 2 * np.cos(np.pi * width)) / width**2
    weights = dt * decay ** -np.arange(steps, 0.0, -1.0)
    by_hand = 0.5 * weights / (weights @ weights + ALPHA * dt)
    np.testing.assert_allclose(control, np.outer(by_hand, wave), rtol=1e-8, atol=1e-9)

    # The pullback is the transpose of the solution operator: <S q, y> = <q, Sᵀ y>.
    rng = np.random.default_rng(0)
    q, y = jnp.array(rng.normal(size=nothing.shape)), jnp.array(rng.normal(size=places))
    (back,) = jax.vjp(last_temperature, q)[1](y)
    np.testing.assert_allclose(jnp.vdot(last_temperature(q), y), jnp.vdot(q, back), rtol=1e-10)

    # A step of temperature, with radiation.
    target = jnp.where((x > 0.3) & (x < 0.7), 1.0, 0.0)
    plain, radiation = objective(newton_step(nothing, target, 0.0), target), 5.0
    control = nothing
    for _ in range(8):
        control = newton_step(control, target, radiation)
    np.testing.assert_allclose(jax.grad(objective)(control, target, radiation), 0, atol=1e-12)
    radiating = objective(control, target, radiation)
    assert plain < radiating < objective(nothing, target, radiation)

    return {
        "plain": plain,
        "radiating": radiating,
        "last heating": control[-1, :: places // 6],
        "temperature": last_temperature(control, radiation)[:: places // 6],
    }


if __name__ == "__main__":
    run(main)
