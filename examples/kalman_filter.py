"""A Kalman filter in logarithmic depth: all times at once, by `associative_scan`.

    python examples/kalman_filter.py [--quick] [--jax]

Särkkä and García-Fernández (2021) write the filter as products of elements (A, b, C, η, J) whose multiplication is
associative. Here a car moves on a line, and its position is measured; the noise is found by maximum likelihood, with
the gradient through the scan.
"""

from typing import Any, NamedTuple

import numpy as np

from _backend import Numbers, jax, jnp, lax, run

DT = 0.1
NOISE = 0.5
PUSH = 0.8


class Model(NamedTuple):
    """x' = F x + N(0, Q); y = H x + N(0, R); at the start x ~ N(0, P)."""

    F: Any
    Q: Any
    H: Any
    R: Any
    P: Any


def car(log_noise: Any) -> Model:
    block = jnp.array([[DT**3 / 3, DT**2 / 2], [DT**2 / 2, DT]])
    noise = jnp.exp(2 * log_noise).reshape(1, 1)
    return Model(jnp.array([[1, DT], [0, 1]]), PUSH**2 * block, jnp.array([[1.0, 0]]), noise, jnp.eye(2))


def element(model: Model, first: Any, y: Any) -> tuple[Any, ...]:
    """What one measurement contributes. Before the first one nothing is known but the distribution at the start."""
    F, Q, H, R, P = model
    before = jnp.where(first, F @ P @ F.T + Q, Q)
    S = H @ before @ H.T + R
    K = jnp.linalg.solve(S, H @ before).T
    A = jnp.where(first, 0, F - K @ H @ F)
    HF = H @ F
    return A, K @ y, before - K @ S @ K.T, HF.T @ jnp.linalg.solve(S, y), HF.T @ jnp.linalg.solve(S, HF)


def combine(one: tuple[Any, ...], two: tuple[Any, ...]) -> tuple[Any, ...]:
    A1, b1, C1, eta1, J1 = one
    A2, b2, C2, eta2, J2 = two
    eye = jnp.eye(len(A1))
    forward = jnp.linalg.solve((eye + C1 @ J2).T, A2.T).T
    backward = jnp.linalg.solve((eye + J2 @ C1).T, A1).T
    return (
        forward @ A1,
        forward @ (b1 + C1 @ eta2) + b2,
        forward @ C1 @ A2.T + C2,
        backward @ (eta2 - J2 @ b1) + eta1,
        backward @ J2 @ A1 + J1,
    )


def parallel_filter(model: Model, ys: Any) -> tuple[Any, Any]:
    """Means (n, 2) and covariances (n, 2, 2) of the state, given the measurements (n, 1) so far."""
    elements = jax.vmap(element, (None, 0, 0))(model, jnp.arange(len(ys)) == 0, ys)
    _, means, covariances, _, _ = lax.associative_scan(jax.vmap(combine), elements)
    return means, covariances


def sequential_filter(model: Model, ys: Any) -> tuple[Any, Any]:
    """The same by the recursion that everybody knows."""
    F, Q, H, R, P = model

    def step(state: tuple[Any, Any], y: Any) -> tuple[Any, Any]:
        mean, P = F @ state[0], F @ state[1] @ F.T + Q
        K = jnp.linalg.solve(H @ P @ H.T + R, H @ P).T
        state = mean + K @ (y - H @ mean), P - K @ H @ P
        return state, state

    return lax.scan(step, (jnp.zeros(len(P)), P), ys)[1]


def negative_log_likelihood(log_noise: Any, ys: Any) -> Any:
    """Of what was measured, one step ahead."""
    model = car(log_noise)
    means, covariances = parallel_filter(model, ys)
    means = jnp.concatenate([jnp.zeros((1, 2)), means[:-1]])
    covariances = jnp.concatenate([model.P[None], covariances[:-1]])

    def one(mean: Any, P: Any, y: Any) -> Any:
        variance = model.H @ (model.F @ P @ model.F.T + model.Q) @ model.H.T + model.R
        return -jax.scipy.stats.norm.logpdf(y, model.H @ model.F @ mean, jnp.sqrt(variance[0]))[0]

    return jnp.sum(jax.vmap(one)(means, covariances, ys))


def simulate(n: int) -> Any:
    rng = np.random.default_rng(0)
    model = car(jnp.log(NOISE))
    F, root = np.asarray(model.F), np.linalg.cholesky(np.asarray(model.Q))
    x, ys = rng.normal(size=2), np.empty((n, 1))
    for i in range(n):
        x = F @ x + root @ rng.normal(size=2)
        ys[i] = x[0] + NOISE * rng.normal()
    return jnp.array(ys)


def main(quick: bool = False) -> Numbers:
    ys = simulate(64 if quick else 1000)
    model = car(jnp.log(NOISE))
    means, covariances = jax.jit(parallel_filter)(model, ys)
    for fast, slow in zip((means, covariances), jax.jit(sequential_filter)(model, ys), strict=True):
        np.testing.assert_allclose(fast, slow, rtol=1e-8, atol=1e-10)

    slope = jax.jit(jax.grad(negative_log_likelihood))

    def curvature(log_noise: Any) -> Any:
        return (slope(log_noise + 1e-4, ys) - slope(log_noise - 1e-4, ys)) / 2e-4

    log_noise = jnp.log(0.4)
    for _ in range(6):  # Newton's method
        log_noise = log_noise - slope(log_noise, ys) / curvature(log_noise)
    error = 1 / jnp.sqrt(curvature(log_noise))
    np.testing.assert_allclose(slope(log_noise, ys), 0, atol=1e-8)
    assert abs(log_noise - np.log(NOISE)) < 3 * error

    # All measurements together are one Gaussian vector: its covariances are those of the state at the earlier time,
    # carried on to the later one.
    n = 12
    F, Q, _, R, now = (np.asarray(matrix) for matrix in model)
    joint = np.empty((n, n))
    for i in range(n):
        now = F @ now @ F.T + Q
        for j in range(i, n):
            joint[i, j] = joint[j, i] = (np.linalg.matrix_power(F, j - i) @ now)[0, 0]
    joint = joint + R * np.eye(n)
    exact = jax.scipy.stats.multivariate_normal.logpdf(ys[:n, 0], jnp.zeros(n), jnp.array(joint))
    np.testing.assert_allclose(negative_log_likelihood(jnp.log(NOISE), ys[:n]), -exact, rtol=1e-9)

    return {
        "noise": jnp.exp(log_noise),
        "error of its logarithm": error,
        "likelihood": -negative_log_likelihood(log_noise, ys),
        "last state": means[-1],
    }


if __name__ == "__main__":
    run(main)
