"""Statistics, float64: small matrices, a Gaussian process, quantiles by sorting, prices of options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.programs import program

__all__ = ["WORKLOADS"]


def matrices_data(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positive definite matrices, others, and vectors, of four dimensions."""
    rng = np.random.RandomState(30)
    root = rng.randn(n, 4, 4)
    return root @ root.transpose(0, 2, 1) + np.eye(4), rng.randn(n, 4, 4), rng.randn(n, 4, 1)


def make_matrices(lib: Any, xp: Any) -> Callable[..., Any]:
    """Determinants, inverses and Cholesky factors, each in a sum; of `a` only the symmetric part counts."""

    def loss(a: Any, b: Any, v: Any) -> Any:
        a = 0.5 * (a + xp.transpose(a, (0, 2, 1)))
        turned = (xp.linalg.cholesky(a) @ v) ** 2
        return xp.sum(xp.linalg.slogdet(a)[1]) + xp.sum(xp.linalg.inv(a) * b) + xp.sum(turned)

    return loss


def matrices_by_hand(a: np.ndarray, b: np.ndarray, v: np.ndarray) -> tuple[Any, np.ndarray]:
    """Value and gradient."""
    factor, inverse = np.linalg.cholesky(a), np.linalg.inv(a)
    turned = factor @ v
    value = np.sum(np.linalg.slogdet(a)[1]) + np.sum(inverse * b) + np.sum(turned**2)
    d_factor = np.tril(2 * turned @ v.transpose(0, 2, 1))
    half = np.tril(factor.transpose(0, 2, 1) @ d_factor)
    half[:, range(4), range(4)] /= 2
    back = np.linalg.inv(factor)
    whole = back.transpose(0, 2, 1) @ half @ back
    whole += inverse - inverse @ b @ inverse
    return value, (whole + whole.transpose(0, 2, 1)) / 2


matrices = program(
    "matrices",
    "Gradient through determinants, inverses and Cholesky factors of 500 matrices, 4 x 4.",
    cases={"500 x 4 x 4": {"n": 500}},
    tiny={"n": 3},
    rtol=1e-9,
    data=matrices_data,
    make=make_matrices,
    by_hand=matrices_by_hand,
)


def process_data(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logarithms of length, variance and noise; places and values."""
    rng = np.random.RandomState(31)
    x = np.sort(rng.rand(n)) * 10
    return np.array([0.1, 0.2, -1.0]), x, np.sin(x) + 0.3 * rng.randn(n)


def make_process(lib: Any, xp: Any) -> Callable[..., Any]:
    """The negative logarithm of the marginal likelihood."""

    def loss(p: Any, x: Any, y: Any) -> Any:
        length, variance, noise = xp.exp(p)
        kernel = variance * xp.exp(-0.5 * ((x[:, None] - x[None, :]) / length) ** 2) + noise * xp.eye(x.shape[0])
        factor = xp.linalg.cholesky(kernel)
        weights = xp.linalg.solve(kernel, y)
        return 0.5 * (y @ weights) + xp.sum(xp.log(xp.diagonal(factor)))

    return loss


def process_by_hand(p: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
    """Value and gradient: one inverse serves for both."""
    length, variance, noise = np.exp(p)
    square = ((x[:, None] - x) / length) ** 2
    smooth = variance * np.exp(-0.5 * square)
    kernel = smooth + noise * np.eye(x.size)
    inverse = np.linalg.inv(kernel)
    weights = inverse @ y
    value = 0.5 * (y @ weights) + np.sum(np.log(np.diagonal(np.linalg.cholesky(kernel))))
    d = 0.5 * (inverse - np.outer(weights, weights))
    return value, np.array([np.vdot(d, smooth * square), np.vdot(d, smooth), noise * np.trace(d)])


process = program(
    "gaussian_process",
    "Gradient of the marginal likelihood of a Gaussian process by three parameters, 200 points.",
    cases={"200 points": {"n": 200}},
    tiny={"n": 6},
    rtol=1e-8,
    data=process_data,
    make=make_process,
    by_hand=process_by_hand,
)

LEVEL, TAIL = 0.9, 20


def quantile_data(n: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, features, and what is to be told."""
    rng = np.random.RandomState(32)
    x = rng.randn(n, d)
    return rng.randn(d), x, x @ rng.randn(d) + rng.randn(n)


def make_quantile(lib: Any, xp: Any) -> Callable[..., Any]:
    """The pinball loss, and the mean of the largest distances."""

    def loss(w: Any, x: Any, y: Any) -> Any:
        gap = y - x @ w
        pinball = xp.mean(xp.where(gap > 0, LEVEL * gap, (LEVEL - 1) * gap))
        return pinball + xp.mean(xp.sort(xp.abs(gap))[-(gap.shape[0] // TAIL) - 1 :])

    return loss


def quantile_by_hand(w: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
    """Value and gradient."""
    gap = y - x @ w
    over, size = gap > 0, np.abs(gap)
    largest = np.argsort(size, kind="stable")[-(gap.size // TAIL) - 1 :]
    d = np.where(over, LEVEL, LEVEL - 1) / gap.size
    value = np.dot(d, gap) + np.mean(size[largest])
    d[largest] += np.sign(gap[largest]) / largest.size
    return value, -(d @ x)


quantile = program(
    "quantile",
    "Gradient of a quantile loss and of the mean of the largest residuals: a sort of 2000 numbers.",
    cases={"2000 x 10": {"n": 2000, "d": 10}},
    tiny={"n": 30, "d": 3},
    rtol=1e-10,
    data=quantile_data,
    make=make_quantile,
    by_hand=quantile_by_hand,
)


def option_data(n: int) -> tuple[np.ndarray, ...]:
    """Price, strike, interest, volatility and time to maturity of each."""
    rng = np.random.RandomState(33)
    price, strike = 80 + 40 * rng.rand(n), 80 + 40 * rng.rand(n)
    return price, strike, 0.05 * rng.rand(n), 0.1 + 0.4 * rng.rand(n), 0.1 + 2 * rng.rand(n)


def make_option(lib: Any, xp: Any) -> Callable[..., Any]:
    """Sensitivities to price, interest, volatility and time by Black's and Scholes' formula: vmap(grad)."""

    def normal(z: Any) -> Any:
        return 0.5 * (1 + lib.lax.erf(z / 2**0.5))

    def value(price: Any, strike: Any, interest: Any, volatility: Any, time: Any) -> Any:
        spread = volatility * xp.sqrt(time)
        d1 = (xp.log(price / strike) + (interest + volatility**2 / 2) * time) / spread
        return price * normal(d1) - strike * xp.exp(-interest * time) * normal(d1 - spread)

    return lib.vmap(lib.grad(value, (0, 2, 3, 4)))


def option_by_hand(
    price: np.ndarray, strike: np.ndarray, interest: np.ndarray, volatility: np.ndarray, time: np.ndarray
) -> tuple[np.ndarray, ...]:
    """By the known formulas for each sensitivity."""
    from scipy.special import ndtr  # the distribution function that NumPy does not have

    root = np.sqrt(time)
    d1 = (np.log(price / strike) + (interest + volatility**2 / 2) * time) / (volatility * root)
    density = price * np.exp(-(d1**2) / 2) / np.sqrt(2 * np.pi)
    later = strike * np.exp(-interest * time) * ndtr(d1 - volatility * root)
    return ndtr(d1), later * time, density * root, density * volatility / (2 * root) + interest * later


def torch_option(*arguments: Any) -> Callable[[], Any]:
    """The prices are independent: the gradient of their sum."""
    import torch

    price, strike, interest, volatility, time = arguments
    leaves = [leaf.requires_grad_() for leaf in (price, interest, volatility, time)]

    def normal(z: Any) -> Any:
        return 0.5 * (1 + torch.erf(z / 2**0.5))

    def call() -> Any:
        spread = volatility * torch.sqrt(time)
        d1 = (torch.log(price / strike) + (interest + volatility**2 / 2) * time) / spread
        value = price * normal(d1) - strike * torch.exp(-interest * time) * normal(d1 - spread)
        return torch.autograd.grad(value.sum(), leaves)

    return call


option = program(
    "options",
    "Four sensitivities of 100,000 options: vmap(grad).",
    cases={"n=1e5": {"n": 100_000}},
    tiny={"n": 5},
    rtol=1e-10,
    data=option_data,
    make=make_option,
    by_hand=option_by_hand,
    gradient=False,
    torch=torch_option,
)

WORKLOADS = (matrices, process, quantile, option)
