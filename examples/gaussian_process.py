"""A Gaussian process, whose marginal likelihood is maximised by Newton's method.

    python examples/gaussian_process.py [--quick] [--jax]

Hyperparameters are the logarithms of amplitude, length and noise. Gradient and Hessian go through the Cholesky factor.
"""

from typing import Any

import numpy as np

from _backend import Numbers, jax, jnp, run

Params = dict[str, Any]


def kernel(params: Params, x: Any, y: Any) -> Any:
    """The squared exponential: (n,), (m,) -> (n, m)."""
    gap = (x[:, None] - y[None, :]) / jnp.exp(params["length"])
    return jnp.exp(2 * params["amplitude"] - gap**2 / 2)


def covariance(params: Params, x: Any) -> Any:
    return kernel(params, x, x) + jnp.exp(2 * params["noise"]) * jnp.eye(len(x))


def negative_log_likelihood(params: Params, x: Any, y: Any) -> Any:
    factor = jnp.linalg.cholesky(covariance(params, x))
    z = jax.scipy.linalg.solve_triangular(factor, y, lower=True)
    return z @ z / 2 + jnp.sum(jnp.log(jnp.diag(factor))) + len(x) / 2 * jnp.log(2 * jnp.pi)


def predict(params: Params, x: Any, y: Any, at: Any) -> tuple[Any, Any]:
    """Mean and standard deviation of the function at other places."""
    factor = jax.scipy.linalg.cho_factor(covariance(params, x), lower=True)
    across = kernel(params, x, at)
    mean = across.T @ jax.scipy.linalg.cho_solve(factor, y)
    variance = jnp.exp(2 * params["amplitude"]) - jnp.sum(across * jax.scipy.linalg.cho_solve(factor, across), axis=0)
    return mean, jnp.sqrt(variance)


@jax.jit
def newton_step(params: Params, x: Any, y: Any) -> tuple[Params, Any]:
    """One step, by the absolute values of the Hessian's eigenvalues, and of length 1 at most; also the gradient."""
    flat, unravel = jax.flatten_util.ravel_pytree(params)

    def loss(flat: Any) -> Any:
        return negative_log_likelihood(unravel(flat), x, y)

    slope = jax.grad(loss)(flat)
    values, vectors = jnp.linalg.eigh(jax.hessian(loss)(flat))
    step = vectors @ ((vectors.T @ slope) / jnp.maximum(jnp.abs(values), 1e-3))
    return unravel(flat - step / jnp.maximum(1, jnp.linalg.norm(step))), slope


def main(quick: bool = False) -> Numbers:
    rng = np.random.default_rng(0)
    n = 40 if quick else 200
    x = jnp.array(np.sort(rng.uniform(-3, 3, n)))
    y = jnp.sin(2 * x) + 0.1 * rng.normal(size=n)

    params: Params = {"amplitude": 0.0, "length": -0.5, "noise": -1.0}
    params, slope = newton_step(params, x, y)
    for _ in range(11):
        params, slope = newton_step(params, x, y)
    fitted = {name: np.exp(value) for name, value in params.items()}
    likelihood = negative_log_likelihood(params, x, y)
    places = jnp.linspace(-3, 7, 11)
    mean, deviation = predict(params, x, y, places)

    np.testing.assert_allclose(slope, 0, atol=1e-7)
    np.testing.assert_allclose(fitted["noise"], 0.1, rtol=0.3)
    # Within the data the function is known, and far from them nothing but the amplitude is.
    np.testing.assert_allclose(mean[:7], np.sin(2 * np.asarray(places[:7])), atol=0.2)
    assert deviation[3] < 0.1
    assert deviation[10] > 0.9 * fitted["amplitude"]
    # The likelihood is a density, and the gradient has a well-known form, tr((K⁻¹ - a aᵀ) ∂K)/2 with a = K⁻¹ y.
    dense = covariance(params, x)
    np.testing.assert_allclose(
        likelihood, -jax.scipy.stats.multivariate_normal.logpdf(y, jnp.zeros(n), dense), rtol=1e-8
    )
    start = {"amplitude": 0.3, "length": -0.5, "noise": -1.0}
    inverse = jnp.linalg.inv(covariance(start, x))
    weights = inverse - jnp.outer(inverse @ y, inverse @ y)
    by_hand = jnp.sum(weights * jnp.exp(2 * start["noise"]) * jnp.eye(n))
    np.testing.assert_allclose(jax.grad(negative_log_likelihood)(start, x, y)["noise"], by_hand, rtol=1e-8)

    return {"likelihood": -likelihood, **fitted, "mean": mean, "deviation": deviation}


if __name__ == "__main__":
    run(main)
