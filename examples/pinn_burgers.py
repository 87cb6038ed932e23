"""A physics-informed network: Burgers' equation solved by second derivatives of a network.

    python examples/pinn_burgers.py --out burgers.png

    u_t + u u_x = ν u_xx   on −1 ≤ x ≤ 1, 0 ≤ t ≤ 1,   u(x, 0) = −sin πx,   u(±1, t) = 0

A network u(x, t) is trained to have a small residual at points inside; the first and the last condition hold by its
form. Its derivatives by x and t are exact: `jvp` of `jvp`, on all points at once. Adam comes first, then SciPy's
L-BFGS-B with gradients from `value_and_grad`. Method: Raissi, Perdikaris & Karniadakis (2019). The exact solution
is Cole's and Hopf's, with integrals by Gauss–Hermite quadrature.
"""

import time
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import optimize
from scipy.stats import qmc

from example_tools import check, draw_losses, note, parse, save, training_step
from funcgrad import jit, jvp, nn, optim, random, value_and_grad
from funcgrad.flatten_util import ravel_pytree

VISCOSITY = 0.1 / np.pi
SIZES = (2, 20, 20, 20, 1)

Params = list[dict[str, Any]]


def init_params(key: Any) -> Params:
    """Weights by Glorot's rule, biases 0."""
    draw = nn.initializers.glorot_normal()
    keys = random.split(key, len(SIZES) - 1)
    return [
        {"w": draw(key, shape, np.float64), "b": np.zeros(shape[1])}
        for key, shape in zip(keys, pairwise(SIZES), strict=True)
    ]


def solution(params: Params, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The network's u(x, t), of the shape of x and t; initial and boundary values are right in any case."""
    h = np.stack([x, 2 * t - 1], axis=-1)
    for layer in params[:-1]:
        h = np.tanh(h @ layer["w"] + layer["b"])
    free = (h @ params[-1]["w"] + params[-1]["b"])[..., 0]
    return -np.sin(np.pi * x) + t * (1 - x**2) * free


def residual(params: Params, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """u_t + u u_x − ν u_xx at every point."""
    one = np.ones_like(x)

    def along_x(x: np.ndarray) -> Any:
        return jvp(lambda x: solution(params, x, t), (x,), (one,))

    (u, u_x), (_, u_xx) = jvp(along_x, (x,), (one,))
    _, u_t = jvp(lambda t: solution(params, x, t), (t,), (one,))
    return u_t + u * u_x - VISCOSITY * u_xx


def loss(params: Params, x: np.ndarray, t: np.ndarray) -> np.floating:
    """The mean square of the residual."""
    return np.mean(residual(params, x, t) ** 2)


def exact(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Burgers' equation by the heat equation: Cole (1951), Hopf (1950)."""
    nodes, weights = np.polynomial.hermite.hermgauss(100)
    y = x[..., None] - nodes * np.sqrt(4 * VISCOSITY * t[..., None])
    kernel = weights * np.exp(-np.cos(np.pi * y) / (2 * np.pi * VISCOSITY))
    return -np.sum(np.sin(np.pi * y) * kernel, -1) / np.sum(kernel, -1)


def refine(params: Params, x: np.ndarray, t: np.ndarray, iterations: int) -> tuple[Params, list[float]]:
    """L-BFGS-B from SciPy, on the flat vector of all parameters."""
    flat, unravel = ravel_pytree(params)
    losses: list[float] = []

    @jit
    def value_and_flat_grad(flat: np.ndarray) -> Any:
        return value_and_grad(lambda flat: loss(unravel(flat), x, t))(flat)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, grads = value_and_flat_grad(flat)
        losses.append(float(value))
        return losses[-1], grads

    options = {"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 50, "ftol": 0, "gtol": 1e-9}
    result = optimize.minimize(objective, flat, jac=True, method="L-BFGS-B", options=options)
    return unravel(result.x), losses


def draw_picture(found: np.ndarray, truth: np.ndarray, x: np.ndarray, t: np.ndarray, losses: list[float]) -> Figure:
    """The solution, its error, three cuts, and the loss."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplots(2, 2)
    fields = [(found, "u(x, t) of the network", "RdBu"), (found - truth, "its error", "PuOr")]
    for place, (field, title, colors) in zip(axes[0], fields, strict=True):
        limit = np.abs(field).max()
        mesh = place.pcolormesh(t, x, field.T, cmap=colors, vmin=-limit, vmax=limit, shading="auto")
        figure.colorbar(mesh, ax=place)
        place.set(title=title, xlabel="t", ylabel="x")
    for i, color in zip((10, len(t) // 3, len(t) - 1), ("tab:green", "tab:orange", "tab:red"), strict=True):
        axes[1, 0].plot(x, truth[i], color=color, lw=4, alpha=0.35)
        axes[1, 0].plot(x, found[i], color=color, lw=1, label=f"t = {t[i]:.2f}")
    axes[1, 0].set(title="network (thin) and exact solution (broad)", xlabel="x")
    axes[1, 0].legend()
    draw_losses(axes[1, 1], losses, "mean squared residual")
    return figure


def main(argv: list[str] | None = None) -> None:
    """Trains, refines, and compares with the exact solution."""
    args = parse(__doc__, argv)
    points, adam_steps, iterations = (300, 200, 150) if args.quick else (1000, 1000, 1000)
    places = qmc.Sobol(2, rng=np.random.default_rng(args.seed)).random_base2(11)[:points]
    x, t = 2 * places[:, 0] - 1, places[:, 1]
    params = init_params(random.key(args.seed))

    started = time.perf_counter()
    optimiser = optim.adam(optim.exponential_decay(5e-3, adam_steps, 0.2))
    step = training_step(loss, optimiser)
    state, losses = optimiser.init(params), []
    for _ in range(adam_steps):
        params, state, value = step(params, state, x, t)
        losses.append(float(value))
    note(f"Adam: residual {losses[-1]:.3g} after {adam_steps} steps, {time.perf_counter() - started:.1f} s")
    params, more = refine(params, x, t, iterations)
    note(f"L-BFGS: residual {more[-1]:.3g} after {len(more)} evaluations, {time.perf_counter() - started:.1f} s")

    grid_x, grid_t = np.linspace(-1, 1, 201), np.linspace(0, 1, 101)
    mesh_t, mesh_x = np.meshgrid(grid_t, grid_x, indexing="ij")
    found, truth = solution(params, mesh_x, mesh_t), exact(mesh_x, mesh_t)
    error = float(np.linalg.norm(found - truth) / np.linalg.norm(truth))
    check("relative error (L²)", error, at_most=0.1 if args.quick else 2e-3)
    save(draw_picture(found, truth, grid_x, grid_t, losses + more), args.out)


if __name__ == "__main__":
    main()
