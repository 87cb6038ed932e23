"""The shortest path as a layer: what do these walkers think of woods and swamps? Their paths tell.

    python examples/shortest_path.py [--quick] [--jax]

Bellman and Ford's recursion with a soft minimum gives a smooth length; its gradient with respect to the costs is how
often each cell is passed, by walkers who choose by exp(-length / temperature). The likelihood of given paths is then
convex in the costs of the kinds of ground, and Newton's method finds these.
"""

import heapq
from typing import Any

import numpy as np

from _backend import Numbers, jax, jnp, lax, run

COSTS = np.array([1.0, 2.5, 4.0])  # of a step onto a meadow, into woods, into a swamp
MOVES = [(0, 1), (1, 0), (0, -1), (-1, 0)]
FAR = 1e6


def soft_minimum(x: Any, temperature: Any) -> Any:
    return -temperature * jax.scipy.special.logsumexp(-x / temperature, axis=0)


def length(costs: Any, temperature: Any) -> Any:
    """The soft length of the paths on a map (n, n) from its first cell to its last, in at most 4 n steps.

    A path pays for each cell that it enters.
    """
    n = len(costs)
    inside: Any = jnp.zeros((n, n), bool)
    goal = inside.at[-1, -1].set(True)

    def relax(distance: Any, _: Any) -> tuple[Any, None]:
        """From each cell to the goal: a step into a neighbour, and on from there. At the goal a path ends."""
        there = jnp.pad(costs + distance, 1, constant_values=FAR)
        choices = jnp.stack([there[1 + i : 1 + i + n, 1 + j : 1 + j + n] for i, j in MOVES])
        return jnp.where(goal, 0.0, soft_minimum(choices, temperature)), None

    start = jnp.where(goal, 0.0, FAR)
    return lax.scan(relax, start, None, length=4 * n)[0][0, 0]


passages = jax.grad(length)


def dijkstra(costs: np.ndarray) -> tuple[float, np.ndarray]:
    """The exact length, and a map of the cells that the path enters."""
    n = len(costs)
    queue, seen = [(0.0, (0, 0), (0, 0))], {}
    while queue:
        distance, cell, before = heapq.heappop(queue)
        if cell in seen:
            continue
        seen[cell] = (distance, before)
        for i, j in MOVES:
            a, b = cell[0] + i, cell[1] + j
            if 0 <= a < n and 0 <= b < n:
                heapq.heappush(queue, (distance + costs[a, b], (a, b), cell))
    path, cell = np.zeros((n, n)), (n - 1, n - 1)
    while cell != (0, 0):
        path[cell] = 1
        cell = seen[cell][1]
    return seen[n - 1, n - 1][0], path


def main(quick: bool = False) -> Numbers:
    n, count = (6, 6) if quick else (12, 30)
    rng = np.random.default_rng(0)
    grounds = jnp.array(rng.choice(3, size=(count, n, n), p=[0.4, 0.35, 0.25]))
    kinds = jax.nn.one_hot(grounds, 3, dtype=float)
    maps = kinds @ jnp.array(COSTS)

    # Cold walkers know the shortest path, and the gradient is that path.
    roads = maps + jnp.array(0.1 * rng.random(maps.shape))  # no two paths are equally long
    for road in roads[:3]:
        exact, path = dijkstra(np.asarray(road))
        np.testing.assert_allclose(length(road, 1e-3), exact, atol=1e-2)
        np.testing.assert_allclose(passages(road, 1e-3), path, atol=1e-3)

    # Warm ones differ; yet all arrive, once each.
    temperature = 0.5
    walks = jax.jit(jax.vmap(passages, (0, None)))(maps, temperature)
    np.testing.assert_allclose(walks[:, -1, -1], 1, rtol=1e-9)

    # How often each kind of ground was entered is all that the likelihood needs to know.
    seen = jnp.einsum("mij,mijk->k", walks, kinds)

    @jax.jit
    def negative_log_likelihood(guess: Any) -> Any:
        lengths = jax.vmap(length, (0, None))(kinds @ guess, temperature)
        return (seen @ guess - jnp.sum(lengths)) / temperature / count

    guess = jnp.full(3, 3.0)
    slope, curvature = jax.jit(jax.grad(negative_log_likelihood)), jax.jit(jax.hessian(negative_log_likelihood))
    first = negative_log_likelihood(guess)
    for _ in range(20):
        step = jnp.linalg.solve(curvature(guess), slope(guess))
        guess = guess - step / jnp.maximum(1, 2 * jnp.linalg.norm(step))
    np.testing.assert_allclose(guess, COSTS, rtol=1e-6)
    return {"likelihood": -jnp.stack([first, negative_log_likelihood(guess)]), "costs": guess, "passages": walks[0, 1]}


if __name__ == "__main__":
    run(main)
