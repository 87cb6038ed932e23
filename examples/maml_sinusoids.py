"""Learning to learn: MAML on sinusoids, with gradients through gradient steps.

    python examples/maml_sinusoids.py --out maml.png

A task is a sinusoid of unknown amplitude and phase, of which ten points are seen. MAML looks for parameters from which
a step of gradient descent on these ten points fits the whole curve: the outer gradient is taken through the inner
`grad`, exactly, second derivatives included. `vmap` adapts to all tasks at once. For comparison, the same network is
trained on all tasks together, and then adapted in the same way, at the rate that is best for it. Finn, Abbeel &
Levine (2017), section 5.1.
"""

import time
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from example_tools import check, draw_losses, note, parse, save, training_step
from funcgrad import grad, jit, nn, optim, random, tree, vmap

SIZES = (1, 40, 40, 1)
SHOTS = 10
RATE = 0.01  # of MAML's inner steps
OTHER_RATES = (0.0003, 0.001, 0.003, 0.01)  # for the network trained on all tasks: the one that is best for it
TASKS = 25  # in each outer step
STEPS = [0, 1, 5, 10]

Params = list[dict[str, Any]]


def init_params(key: Any) -> Params:
    """Weights by He's rule, biases 0."""
    draw = nn.initializers.he_normal()
    keys = random.split(key, len(SIZES) - 1)
    return [
        {"w": draw(key, shape, np.float64), "b": np.zeros(shape[1])}
        for key, shape in zip(keys, pairwise(SIZES), strict=True)
    ]


def network(params: Params, x: np.ndarray) -> np.ndarray:
    """Values (n,) at x (n,)."""
    h = x[:, None]
    for layer in params[:-1]:
        h = nn.relu(h @ layer["w"] + layer["b"])
    return (h @ params[-1]["w"] + params[-1]["b"])[:, 0]


def error(params: Params, x: np.ndarray, y: np.ndarray) -> np.floating:
    """The mean squared error of one task."""
    return np.mean((network(params, x) - y) ** 2)


def adapt(params: Params, x: np.ndarray, y: np.ndarray, steps: int = 1, rate: float = RATE) -> Params:
    """Parameters after some steps of gradient descent on the points of one task."""
    for _ in range(steps):
        params = tree.map(lambda p, g: p - rate * g, params, grad(error)(params, x, y))
    return params


def error_after(params: Params, seen: Any, unseen: Any, steps: int = 1, rate: float = RATE) -> np.floating:
    """The error on points of a task that were not seen, after steps on those that were."""
    x, y = seen
    return error(adapt(params, x, y, steps, rate), *unseen)


def meta_loss(params: Params, seen: Any, unseen: Any) -> np.floating:
    """The mean of `error_after` over tasks, which are the first axis of both sets of points."""
    return np.mean(vmap(error_after, in_axes=(None, 0, 0))(params, seen, unseen))


def joint_loss(params: Params, seen: Any, unseen: Any) -> np.floating:
    """The mean error without adaptation: what is learned is the mean of all tasks."""
    x, y = seen
    return np.mean(vmap(error, in_axes=(None, 0, 0))(params, x, y))


def draw_tasks(rng: np.random.Generator, count: int, points: int) -> tuple[Any, Any]:
    """Two sets of points x, y (count, points) for each task: `SHOTS` seen, and `points` unseen."""
    amplitude, phase = rng.uniform(0.1, 5.0, (count, 1)), rng.uniform(0, np.pi, (count, 1))
    sets = []
    for size in (SHOTS, points):
        x = rng.uniform(-5, 5, (count, size))
        sets.append((x, amplitude * np.sin(x - phase)))
    return sets[0], sets[1]


def train(loss: Any, steps: int, rate: float, seed: int) -> tuple[Params, list[float]]:
    """Parameters and the loss of every step."""
    rng = np.random.default_rng(seed)
    optimiser = optim.adam(optim.cosine_decay_schedule(rate, steps))
    params = init_params(random.key(seed))
    state, step, losses = optimiser.init(params), training_step(loss, optimiser), []
    for _ in range(steps):
        params, state, value = step(params, state, *draw_tasks(rng, TASKS, SHOTS))
        losses.append(float(value))
    return params, losses


def errors_by_steps(params: Params, tasks: tuple[Any, Any], counts: list[int], rate: float) -> np.ndarray:
    """The mean error on unseen points of all tasks, after so many inner steps."""
    per_task = [
        jit(vmap(partial(error_after, steps=count, rate=rate), in_axes=(None, 0, 0)))(params, *tasks)
        for count in counts
    ]
    return np.mean(per_task, axis=1)


def draw_picture(
    losses: list[float], networks: dict[str, Params], rates: dict[str, float], curves: dict[str, np.ndarray]
) -> Figure:
    """The meta-loss, errors by number of inner steps, and three tasks before and after adaptation."""
    figure = Figure(figsize=(13, 7), layout="constrained")
    axes = figure.subplots(2, 3)
    draw_losses(axes[0, 0], losses, "error after one step")
    for name, errors in curves.items():
        axes[0, 1].plot(STEPS[: len(errors)], errors, "o-", label=name)
    axes[0, 1].set(xlabel="inner steps", ylabel="error on unseen points", yscale="log")
    axes[0, 1].legend()
    (x, y), _ = draw_tasks(np.random.default_rng(11), 4, 1)
    grid = np.linspace(-5, 5, 200)
    for i, place in enumerate([axes[0, 2], *axes[1]]):
        place.plot(x[i], y[i], "k^", label="seen points")
        for (name, params), color in zip(networks.items(), ("tab:blue", "tab:orange"), strict=True):
            place.plot(grid, network(params, grid), color=color, lw=0.8, ls=":")
            adapted = adapt(params, x[i], y[i], 1, rates[name])
            place.plot(grid, network(adapted, grid), color=color, label=f"{name}, one step")
        place.set(ylim=(-6, 6), title="a task (dotted: before the step)")
    axes[1, 0].legend(loc="lower left", fontsize=8)
    return figure


def main(argv: list[str] | None = None) -> None:
    """Trains both ways, adapts to new tasks, compares, and draws."""
    args = parse(__doc__, argv)
    steps, rate = (600, 1e-2) if args.quick else (8000, 3e-3)
    started = time.perf_counter()
    networks: dict[str, Params] = {}
    networks["MAML"], losses = train(meta_loss, steps, rate, args.seed)
    note(f"MAML: {steps} steps in {time.perf_counter() - started:.1f} s")
    networks["all tasks together"], _ = train(joint_loss, steps, rate, args.seed)
    note(f"both: {time.perf_counter() - started:.1f} s")

    tasks = draw_tasks(np.random.default_rng(args.seed + 1000), 300, 50)
    rates, curves = {}, {}
    for name, params in networks.items():
        choice = (RATE,) if name == "MAML" else OTHER_RATES
        rates[name] = min(choice, key=lambda rate: errors_by_steps(params, tasks, [1], rate)[0])
        curves[name] = errors_by_steps(params, tasks, STEPS[: 2 if args.quick else 4], rates[name])
        figures = "  ".join(f"{e:.3f}" for e in curves[name])
        note(f"{name:20} rate {rates[name]}, error after 0, 1, 5, 10 steps: {figures}")
    maml, joint = curves.values()
    check("error after one step", float(maml[1]), at_most=4.0 if args.quick else 1.0)
    check("the same, beside that of joint training", float(maml[1] / joint[1]), at_most=1.0 if args.quick else 0.4)
    save(draw_picture(losses, networks, rates, curves), args.out)


if __name__ == "__main__":
    main()
