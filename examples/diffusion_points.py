"""A diffusion model of points in the plane: from noise to a spiral and a ring.

    python examples/diffusion_points.py --out diffusion.png

Points are mixed with noise, more and more over a hundred steps; a network learns to say which noise it was. Sampling
goes the other way, from noise alone: a `scan` over the steps, with a random key for each. Method: Ho, Jain & Abbeel
(2020); the schedule of noise: Nichol & Dhariwal (2021).
"""

import time
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

import funcgrad.numpy as jnp
from example_tools import check, draw_losses, note, parse, save
from funcgrad import jit, lax, nn, optim, random, train
from funcgrad.nn import layers

LEVELS = 100
WIDTH = 128
FREQUENCIES = 2.0 ** np.arange(5, dtype=np.float32)

Params = dict[str, Any]


def skeleton(u: np.ndarray) -> np.ndarray:
    """The curves without noise: a spiral for u in [0, 0.6), and around it a ring for u in [0.6, 1)."""
    angle = np.where(u < 0.6, 4 * np.pi * np.sqrt(u / 0.6), 2 * np.pi * (u - 0.6) / 0.4)
    radius = np.where(u < 0.6, 1.1 * np.sqrt(u / 0.6), 1.8)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def points(rng: np.random.Generator, count: int) -> np.ndarray:
    """Points near the curves, of standard deviation 1 or so."""
    return (skeleton(rng.random(count)) + 0.03 * rng.standard_normal((count, 2))).astype(np.float32)


def kept_signal() -> np.ndarray:
    """The share of the variance that is signal after each step, ᾱ (LEVELS,), by the cosine schedule."""
    t = (np.arange(LEVELS + 1) / LEVELS + 0.008) / 1.008
    share = np.cos(t * np.pi / 2) ** 2
    steps = np.clip(share[1:] / share[:-1], 0.001, None)
    return np.cumprod(steps).astype(np.float32)


NETWORK = layers.serial(
    layers.dense(WIDTH),
    nn.silu,
    layers.residual(layers.serial(layers.dense(WIDTH), nn.silu)),
    layers.residual(layers.serial(layers.dense(WIDTH), nn.silu)),
    layers.dense(2),
)


def noise_in(params: Params, x: np.ndarray, level: np.ndarray) -> np.ndarray:
    """The noise that the network sees in points x (n, 2) of steps `level` (n,)."""
    waves = FREQUENCIES * (np.pi / 2 * level[:, None] / LEVELS).astype(np.float32)
    places = np.pi / 2 * x[:, :, None] * FREQUENCIES[:3]
    features = [x, *(f(places).reshape(len(x), -1) for f in (np.sin, np.cos)), np.sin(waves), np.cos(waves)]
    return NETWORK.apply(params, np.concatenate(features, axis=-1))


def loss(params: Params, x: np.ndarray, *, key: Any) -> np.floating:
    """The mean squared error of the noise, at steps drawn by chance."""
    at, of = random.split(key)
    level = random.randint(at, (len(x),), 0, LEVELS)
    noise = random.normal(of, x.shape, x.dtype)
    kept = jnp.take(ALPHA_BAR, level)[:, None]
    return np.mean((noise_in(params, np.sqrt(kept) * x + np.sqrt(1 - kept) * noise, level) - noise) ** 2)


ALPHA_BAR = kept_signal()


def sample(params: Params, key: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (count, 2) made from noise, and how they came there (LEVELS, count, 2)."""
    start, rest = random.split(key)
    alpha = ALPHA_BAR / np.concatenate([np.ones(1, np.float32), ALPHA_BAR[:-1]])
    before = ALPHA_BAR / alpha

    def step(x: np.ndarray, inputs: tuple[Any, Any]) -> tuple[np.ndarray, np.ndarray]:
        level, key = inputs
        noise = noise_in(params, x, jnp.full(count, level))
        kept, was = jnp.take(ALPHA_BAR, level), jnp.take(before, level)
        clean = np.clip((x - np.sqrt(1 - kept) * noise) / np.sqrt(kept), -2.5, 2.5)
        ratio = jnp.take(alpha, level)
        beta = 1 - ratio
        mean = (np.sqrt(was) * beta * clean + np.sqrt(ratio) * (1 - was) * x) / (1 - kept)
        deviation = np.sqrt(beta * (1 - was) / (1 - kept))  # 0 in the last step
        x = mean + deviation * random.normal(key, x.shape, x.dtype)
        return x, x

    levels = np.arange(LEVELS - 1, -1, -1)
    return lax.scan(step, random.normal(start, (count, 2), np.float32), (levels, random.split(rest, LEVELS)))


def energy_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Székely's distance of two distributions, from points of both: 0 where they are equal."""
    return float(2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean())


def draw_picture(losses: list[float], path: np.ndarray, data: np.ndarray) -> Figure:
    """The loss, the data, and the points on their way from noise."""
    figure = Figure(figsize=(12, 7), layout="constrained")
    axes = figure.subplots(2, 3)
    draw_losses(axes[0, 0], losses, "squared error of the noise", logarithmic=False)
    clouds = [("data", data)] + [(f"after step {n}", path[n - 1]) for n in (1, 85, 95, LEVELS)]
    for place, (title, cloud) in zip(axes.flat[1:], clouds, strict=True):
        place.scatter(*cloud.T, s=2, color="tab:orange" if title == "data" else "tab:blue")
        place.set(title=title, xlim=(-2.8, 2.8), ylim=(-2.8, 2.8), aspect="equal")
    return figure


def main(argv: list[str] | None = None) -> None:
    """Trains, samples, compares the samples with the data, and draws."""
    args = parse(__doc__, argv)
    steps, count = (500, 500) if args.quick else (4000, 2000)
    rng = np.random.default_rng(args.seed)
    data, other = points(rng, 20_000), points(rng, count)
    first, second, third = random.split(random.key(args.seed), 3)
    params = NETWORK.init(first, np.zeros((1, 2 + 12 + 10), np.float32))
    started = time.perf_counter()
    optimiser = optim.adam(optim.cosine_decay_schedule(4e-3, steps))
    params, history = train.fit(loss, params, optimiser, (data,), steps=steps, batch_size=256, key=second)
    note(f"{steps} steps in {time.perf_counter() - started:.1f} s, loss {np.mean(history['loss'][-100:]):.3f}")

    started = time.perf_counter()
    made, path = jit(partial(sample, count=count))(params, third)
    note(f"{count} points from noise in {time.perf_counter() - started:.2f} s")
    curve = KDTree(skeleton(np.linspace(0, 1, 20_000, endpoint=False)))
    near = float(np.mean(curve.query(made)[0] < 0.12))
    noise = rng.standard_normal((count, 2)) * data.std(0)
    by_chance = float(np.mean(curve.query(noise)[0] < 0.12))
    clouds = {"made": made, "other data": other, "noise": noise}
    far = {name: energy_distance(cloud, data[:count]) for name, cloud in clouds.items()}
    note("energy distance to the data: " + ", ".join(f"{name} {distance:.5f}" for name, distance in far.items()))
    name = f"share of points within 0.12 of the curves (noise: {by_chance:.2f})"
    check(name, near, at_least=0.38 if args.quick else 0.9)
    check("energy distance, beside that of noise", far["made"] / far["noise"], at_most=0.7 if args.quick else 0.2)
    save(draw_picture(history["loss"], path, other), args.out)


if __name__ == "__main__":
    main()
