"""Bayesian linear regression by Hamiltonian Monte Carlo, checked against the exact posterior.

    python examples/hmc_regression.py --out hmc.png

How a disease progressed in 442 patients is explained by ten measurements (scikit-learn's diabetes data). The
weights w and the noise σ are unknown: y ~ N(Xw, σ²), w ~ N(0, σ² τ²), σ² ~ InvGamma(a, b). This prior is conjugate,
so that the posterior is known in closed form, and says how good the samples are.

The sampler sees only `log_density`. `grad` gives its forces, `scan` runs the leapfrog steps and the chain, and
`vmap` runs all chains at once. Step size: dual averaging, Hoffman & Gelman (2014), algorithm 5. R-hat: Gelman et
al., Bayesian Data Analysis, section 11.4.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy import stats
from sklearn.datasets import load_diabetes

from example_tools import check, note, parse, save
from funcgrad import grad, jit, lax, random, vmap

SHAPE, SCALE = 2.0, 1.0  # of the inverse gamma distribution of σ²
TAU = 1.0  # weights are N(0, σ² τ²)
WANTED = 0.8  # probability of accepting a proposal
CHAINS = 4

LogDensity = Callable[[np.ndarray], Any]


class Tuning(NamedTuple):
    """What dual averaging remembers: the step size's logarithm, its average, and how far the target is missed."""

    log_step: Any
    average: Any
    error: Any


def load() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Measurements and outcomes, each with mean 0 and variance 1, so that no intercept is needed; names."""
    data: Any = load_diabetes()
    x, y = data.data, data.target
    return (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std(), list(data.feature_names)


def log_density(x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The logarithm of the posterior density at q = (w, log σ), up to a constant."""
    w, log_sigma = q[:-1], q[-1]
    precision = np.exp(-2 * log_sigma)
    squares = np.sum((y - x @ w) ** 2) + np.sum(w**2) / TAU**2 + 2 * SCALE
    # Of the volume element, d(σ²) = 2 σ² d(log σ), one more 2 log σ.
    return -0.5 * precision * squares - (len(y) + len(w) + 2 * SHAPE) * log_sigma


def leapfrog(force: LogDensity, q: np.ndarray, p: np.ndarray, step: Any, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Follows the Hamiltonian's flow for some steps."""

    def move(state: tuple[np.ndarray, np.ndarray, np.ndarray], _: None) -> tuple[Any, None]:
        q, p, f = state
        half = p + 0.5 * step * f
        q = q + step * half
        f = force(q)
        return (q, half + 0.5 * step * f, f), None

    (q, p, _), _ = lax.scan(move, (q, p, force(q)), None, length=steps)
    return q, p


def propose(log_density: LogDensity, steps: int, q: np.ndarray, key: Any, step: Any) -> tuple[np.ndarray, Any]:
    """One transition: the next place, and the probability with which the proposal was accepted."""
    momentum, jitter, uniform = random.split(key, 3)
    p = random.normal(momentum, q.shape)
    step = step * random.uniform(jitter, minval=0.6, maxval=1.0)  # or orbits may close, and lead back
    new_q, new_p = leapfrog(grad(log_density), q, p, step, steps)
    gain = log_density(new_q) - log_density(q) + 0.5 * (p @ p - new_p @ new_p)
    probability = np.exp(np.minimum(0.0, np.where(np.isnan(gain), -np.inf, gain)))
    return np.where(random.uniform(uniform) < probability, new_q, q), probability


def warm_up(transition: Any, start: np.ndarray, key: Any, count: int) -> tuple[np.ndarray, Any]:
    """Finds the typical set and a step size; returns both."""
    gamma, t0, kappa, first = 0.05, 10.0, 0.75, np.log(0.01)

    def adapt(state: tuple[np.ndarray, Tuning], inputs: tuple[Any, Any]) -> tuple[Any, None]:
        (q, tuning), (key, t) = state, inputs
        q, probability = transition(q, random.split(key, len(q)), np.exp(tuning.log_step))
        error = tuning.error + (WANTED - np.mean(probability) - tuning.error) / (t + t0)
        log_step = first + np.log(10.0) - np.sqrt(t) / gamma * error
        average = tuning.average + t**-kappa * (log_step - tuning.average)
        return (q, Tuning(log_step, average, error)), None

    inputs = random.split(key, count), np.arange(1.0, count + 1)
    (q, tuning), _ = lax.scan(adapt, (start, Tuning(first, 0.0, 0.0)), inputs)
    return q, np.exp(tuning.average)


def sample(log_density: LogDensity, start: np.ndarray, key: Any, *, warm: int, draws: int, steps: int) -> Any:
    """Samples (draws, chains, d) from chains that begin at `start` (chains, d), the step size, and the acceptance."""
    transition = vmap(partial(propose, log_density, steps), in_axes=(0, 0, None))
    first, second = random.split(key)
    q, step = warm_up(transition, start, first, warm)

    def draw(q: np.ndarray, key: Any) -> tuple[np.ndarray, tuple[np.ndarray, Any]]:
        q, probability = transition(q, random.split(key, len(q)), step)
        return q, (q, probability)

    _, (samples, probabilities) = lax.scan(draw, q, random.split(second, draws))
    return samples, step, np.mean(probabilities)


def r_hat(samples: np.ndarray) -> np.ndarray:
    """The potential scale reduction of samples (draws, chains, d), each chain split into halves."""
    half = len(samples) // 2
    chains = np.concatenate([samples[:half], samples[half : 2 * half]], axis=1)
    within = chains.var(0, ddof=1).mean(0)
    between = half * chains.mean(0).var(0, ddof=1)
    return np.sqrt(((half - 1) / half * within + between / half) / within)


def exact_posterior(x: np.ndarray, y: np.ndarray) -> tuple[Any, Any]:
    """The marginal distributions: Student's t for each weight, inverse gamma for σ²."""
    precision = x.T @ x + np.eye(x.shape[1]) / TAU**2
    mean = np.linalg.solve(precision, x.T @ y)
    shape = SHAPE + len(y) / 2
    scale = SCALE + 0.5 * (y @ y - mean @ precision @ mean)
    spread = np.sqrt(scale / shape * np.diag(np.linalg.inv(precision)))
    return stats.t(2 * shape, mean, spread), stats.invgamma(shape, scale=scale)


def draw_picture(samples: np.ndarray, weights: Any, variance: Any, names: list[str]) -> Figure:
    """Histograms of the samples below the exact densities, and the path of one weight in each chain."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplots(3, 4)
    flat = samples.reshape(-1, samples.shape[-1])
    for i, (place, name) in enumerate(zip(axes.flat, names, strict=False)):
        place.hist(flat[:, i], bins=40, density=True, color="tab:blue", alpha=0.4)
        grid = np.linspace(flat[:, i].min(), flat[:, i].max(), 200)
        place.plot(grid, weights.pdf(grid[:, None])[:, i], color="black", lw=1)
        place.set(title=f"weight of {name}", yticks=[])
    sigma = np.exp(flat[:, -1])
    grid = np.linspace(sigma.min(), sigma.max(), 200)
    axes[2, 2].hist(sigma, bins=40, density=True, color="tab:orange", alpha=0.4)
    axes[2, 2].plot(grid, variance.pdf(grid**2) * 2 * grid, color="black", lw=1)
    axes[2, 2].set(title="noise σ", yticks=[])
    axes[2, 3].plot(samples[:200, :, 4], lw=0.6)
    axes[2, 3].set(title=f"weight of {names[4]}: four chains", xlabel="draw")
    return figure


def main(argv: list[str] | None = None) -> None:
    """Samples, compares with the exact posterior, and draws both."""
    args = parse(__doc__, argv)
    warm, draws, steps = (150, 200, 10) if args.quick else (500, 1500, 24)
    x, y, names = load()
    key, at = random.split(random.key(args.seed))
    start = 0.1 * random.normal(at, (CHAINS, x.shape[1] + 1))

    started = time.perf_counter()
    run = jit(partial(sample, partial(log_density, x, y), warm=warm, draws=draws, steps=steps))
    samples, step, accepted = run(start, key)
    note(f"{CHAINS} chains of {draws} draws in {time.perf_counter() - started:.1f} s, step size {step:.4f}")

    weights, variance = exact_posterior(x, y)
    w, squares = samples[..., :-1].reshape(-1, x.shape[1]), np.exp(2 * samples[..., -1]).ravel()
    note("          mean: sampled    exact   deviation: sampled    exact")
    for name, row in zip(names, np.stack([w.mean(0), weights.mean(), w.std(0), weights.std()]).T, strict=True):
        note(f"  {name:>5}         {row[0]:8.4f} {row[1]:8.4f}              {row[2]:7.4f}  {row[3]:7.4f}")

    check("acceptance", float(accepted), at_least=0.5, at_most=0.99)
    check("largest R-hat", float(r_hat(samples).max()), at_most=1.3 if args.quick else 1.02)
    off = np.abs(w.mean(0) - weights.mean()) / weights.std()
    check("largest error of a mean, in deviations", float(off.max()), at_most=0.6 if args.quick else 0.12)
    ratio = np.abs(w.std(0) / weights.std() - 1)
    check("largest relative error of a deviation", float(ratio.max()), at_most=0.6 if args.quick else 0.12)
    check("relative error of the mean of σ²", abs(squares.mean() / variance.mean() - 1), at_most=0.02)
    save(draw_picture(samples, weights, variance, names), args.out)


if __name__ == "__main__":
    main()
