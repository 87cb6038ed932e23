"""Write what optax computes for the tables of `tools.optim_cases`: `python -m tools.optim_reference`.

It needs optax (the numbers in `tests/data/optim.npz` are of 0.2.8, with JAX 0.10 in 64-bit mode). For an optimiser the
file has the sum of the parameters, weighted, after each step, and all of them at the end.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tools.optim_cases import LOSSES, OPTIMISERS, SCHEDULES, SEARCHES, STEPS, gradients, objective, start

__all__ = ["FILE", "SEARCH_STEPS", "flat", "main", "search", "slopes_of", "trajectory", "weights"]

FILE = Path(__file__).parent.parent / "tests" / "data" / "optim.npz"
SEARCH_STEPS = 20


def flat(leaves: list[Any]) -> np.ndarray:
    """All numbers of a tree."""
    return np.concatenate([np.ravel(np.asarray(x)) for x in leaves])


def trajectory(optim: Any, make: Callable[[Any], Any], dtype: str, leaves: Callable[[Any], list[Any]], jit: Any) -> Any:
    """The weighted sum of the parameters after each step, and then the parameters."""
    tx, params = make(optim), start(dtype)
    state, update, seen = tx.init(params), jit(tx.update), []
    numbers = flat(leaves(params))
    for step in range(STEPS):
        updates, state = update(gradients(params, step), state, params)
        params = optim.apply_updates(params, updates)
        numbers = flat(leaves(params))
        seen.append(numbers @ np.cos(np.arange(numbers.size)).astype(dtype))
    return np.concatenate([np.array(seen, dtype), numbers])


def search(optim: Any, make: Callable[[Any], Any], value_and_grad: Any, jit: Any) -> Any:
    """The values of the objective before each step of a line search."""
    tx, params = make(optim), {"x": np.array([-1.2, 0.3, 0.7]), "y": np.array([1.0, -0.4, 0.2])}
    state, seen = tx.init(params), []

    def step(params: Any, state: Any) -> Any:
        value, grad = value_and_grad(objective)(params)
        updates, state = tx.update(grad, state, params, value=value, grad=grad, value_fn=objective)
        return optim.apply_updates(params, updates), state, value

    step = jit(step)
    for _ in range(SEARCH_STEPS):
        params, state, value = step(params, state)
        seen.append(float(value))
    return np.array(seen)


def slopes_of(loss: Callable[[Any], Any], weights: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A number to take the gradient of: the weighted sum of what a loss gives."""
    return lambda x: (lambda out: (out * weights(out.shape)).sum())(loss(x))


def weights(shape: tuple[int, ...]) -> np.ndarray:
    """The weights of that sum."""
    return np.cos(np.arange(int(np.prod(shape)))).reshape(shape)


def main() -> None:
    """Compute all of them."""
    import jax  # optional
    import optax  # optional

    jax.config.update("jax_enable_x64", True)
    warnings.simplefilter("ignore")
    out: dict[str, Any] = {}
    for name, make in OPTIMISERS.items():
        for dtype in ("float64", "float32"):
            out[f"{dtype} {name}"] = trajectory(optax, make, dtype, jax.tree.leaves, jax.jit)
    for name, make in SCHEDULES.items():
        out[f"schedule {name}"] = np.array([float(make(optax)(np.int32(t))) for t in range(STEPS)])
    for name, make in SEARCHES.items():
        out[f"search {name}"] = search(optax, make, jax.value_and_grad, jax.jit)
    for name, (function, args, kwargs) in LOSSES.items():
        given = [jax.numpy.asarray(x) if isinstance(x, np.ndarray) else x for x in args]
        options = {k: jax.numpy.asarray(v) if isinstance(v, np.ndarray) else v for k, v in kwargs.items()}

        def loss(x: Any, function: str = function, given: Any = given, options: Any = options) -> Any:
            return getattr(optax.losses, function)(x, *given[1:], **options)

        out[f"loss {name}"] = np.asarray(loss(given[0]))
        out[f"slope {name}"] = np.asarray(jax.grad(slopes_of(loss, weights))(given[0]))
    FILE.parent.mkdir(exist_ok=True)
    np.savez_compressed(FILE, **out)


if __name__ == "__main__":
    main()
