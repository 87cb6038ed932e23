"""A mixture of Gaussians: expectation maximisation, made of gradients, and finished by Newton's method.

    python examples/gaussian_mixture.py [--quick] [--jax]

The derivative of log Σ exp with respect to its terms is the responsibility of each component, so that the E-step is a
`grad`. Once the steps are small, a few of Newton's, with the Hessian of the likelihood, end the search.
"""

from typing import Any, NamedTuple

import numpy as np

from _backend import Numbers, jax, jnp, lax, run


class Mixture(NamedTuple):
    """Logarithms of weights (k,), up to a constant; means (k, d); lower factors L of precisions L Lᵀ (k, d, d)."""

    logits: Any
    means: Any
    factors: Any


def log_joint(mixture: Mixture, x: Any) -> Any:
    """log of weight times density, for every point and component: (n, k)."""

    def of_component(mean: Any, factor: Any) -> Any:
        z = (x - mean) @ jnp.tril(factor)
        log_det = jnp.sum(jnp.log(jnp.abs(jnp.diag(factor))))
        return log_det - jnp.sum(z**2, axis=1) / 2 - x.shape[1] / 2 * jnp.log(2 * jnp.pi)

    densities = jax.vmap(of_component, out_axes=1)(mixture.means, mixture.factors)
    return jax.nn.log_softmax(mixture.logits) + densities


def log_likelihood(mixture: Mixture, x: Any) -> Any:
    return jnp.sum(jax.scipy.special.logsumexp(log_joint(mixture, x), axis=1))


def em_step(mixture: Mixture, x: Any) -> Mixture:
    """Responsibilities, and then moments weighted by them."""
    joint = log_joint(mixture, x)
    share = jax.grad(lambda terms: jnp.sum(jax.scipy.special.logsumexp(terms, axis=1)))(joint)
    total = jnp.sum(share, axis=0)
    means = (share.T @ x) / total[:, None]
    gaps = x - means[:, None]
    covariances = jnp.einsum("nk,kni,knj->kij", share, gaps, gaps) / total[:, None, None]
    return Mixture(jnp.log(total), means, jnp.linalg.cholesky(jnp.linalg.inv(covariances)))


@jax.jit
def expectation_maximisation(mixture: Mixture, x: Any) -> tuple[Mixture, Any]:
    """A hundred steps; also the likelihood before each."""
    return lax.scan(lambda m, _: (em_step(m, x), log_likelihood(m, x)), mixture, None, length=100)


@jax.jit
def newton_step(mixture: Mixture, x: Any) -> tuple[Mixture, Any]:
    """Also the gradient. Directions in which nothing changes, such as a common change of the logits, are left out."""
    flat, unravel = jax.flatten_util.ravel_pytree(mixture)

    def objective(flat: Any) -> Any:
        return log_likelihood(unravel(flat), x)

    slope, curvature = jax.grad(objective)(flat), jax.hessian(objective)(flat)
    values, vectors = jnp.linalg.eigh(curvature)
    matters = jnp.abs(values) > 1e-6 * jnp.max(jnp.abs(values))
    step = vectors @ jnp.where(matters, (vectors.T @ slope) / jnp.where(matters, values, 1), 0)
    return unravel(flat - step), slope


def main(quick: bool = False) -> Numbers:
    rng = np.random.default_rng(0)
    n = 300 if quick else 10_000
    truth = np.array([[-2.0, 0.0], [2.0, 0.5], [0.0, 3.0]])
    roots = np.array([[[1, 0], [0.5, 0.5]], [[0.7, 0], [-0.4, 0.8]], [[0.9, 0], [0, 0.4]]])
    chosen = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    x = jnp.array(truth[chosen] + np.einsum("nij,nj->ni", roots[chosen], rng.normal(size=(n, 2))))

    start = Mixture(jnp.zeros(3), jnp.array([[-1.0, 0], [1, 0], [0, 1]]), jnp.stack([jnp.eye(2)] * 3))
    mixture, likelihoods = expectation_maximisation(start, x)
    assert jnp.min(jnp.diff(likelihoods)) > -1e-8 * n  # no step makes it worse

    # Where expectation maximisation ends, the likelihood has no slope.
    for _ in range(4):
        mixture, _ = newton_step(mixture, x)
    _, final = newton_step(mixture, x)
    np.testing.assert_allclose(final, 0, atol=1e-9 * n)
    for one, two in zip(mixture[1:], em_step(mixture, x)[1:], strict=True):
        np.testing.assert_allclose(jnp.abs(jnp.tril(one) if one.ndim == 3 else one), jnp.abs(two), atol=1e-8)
    assert log_likelihood(mixture, x) >= likelihoods[-1] - 1e-9 * n

    weights = jax.nn.softmax(mixture.logits)
    np.testing.assert_allclose(weights, [0.5, 0.3, 0.2], atol=2 / np.sqrt(n))
    np.testing.assert_allclose(mixture.means, truth, atol=8 / np.sqrt(n))
    return {"likelihood": log_likelihood(mixture, x), "weights": weights, "means": mixture.means}


if __name__ == "__main__":
    run(main)
