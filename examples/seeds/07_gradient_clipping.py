"""Row 7: clipping gradients by their global norm (document 000).

What it teaches: one step with a huge gradient destroys what was learned. Clipping makes all gradients shorter by the
same factor, so that the step keeps its direction. A gradient is a tree of arrays like the parameters, and clipping is a
function from such a tree to another.

The network has ten layers whose weights are too large, so that its gradients explode (`06_vanishing_gradients.py`).
"""

import argparse
from importlib import import_module
from typing import Any

import numpy as np

import by_hand
from common import Report, curves, main, panels
from funcgrad import jit, tree, value_and_grad
from layers import Array, Layers, descend

exploding = import_module("06_vanishing_gradients")  # a name that starts with a digit cannot be imported otherwise
MAX_NORM, RATE = 5.0, 0.01


def global_norm(grads: Any) -> Any:
    """The norm of all numbers in a tree together."""
    return np.sqrt(sum(np.sum(g**2) for g in tree.leaves(grads)))


def clip_by_global_norm(grads: Any, max_norm: float = MAX_NORM) -> Any:
    """The tree times one number, so that its norm is at most `max_norm`."""
    ratio = np.minimum(1.0, max_norm / (global_norm(grads) + 1e-8))
    return tree.map(lambda g: g * ratio, grads)


def train(
    layers: Layers, x: Array, y: Array, steps: int, max_norm: float
) -> tuple[list[float], list[float], list[float]]:
    """The loss, the norm of the gradient, and the norm of the clipped gradient at every step."""

    @jit
    def step(layers: Layers) -> tuple[Any, Layers]:
        loss, grads = value_and_grad(exploding.loss)(layers, x, y, "relu")
        clipped = clip_by_global_norm(grads, max_norm)
        return (loss, global_norm(grads), global_norm(clipped)), descend(layers, clipped, RATE)

    history = []
    for _ in range(steps):
        numbers, layers = step(layers)
        history.append([float(number) for number in numbers])
    losses, norms, clipped = np.array(history).T.tolist()
    return losses, norms, clipped


def run(args: argparse.Namespace) -> Report:
    report = Report(7, "000", "Gradient clipping by the global norm", args.out)
    rng = np.random.RandomState(7)
    for name, size in {"long": 3.0, "short": 0.01}.items():
        gradients = [size * rng.randn(4, 3), size * rng.randn(3), size * rng.randn(3, 2)]
        report.same(f"a {name} gradient", clip_by_global_norm(gradients), by_hand.clip(gradients), rtol=1e-14)

    x, y = exploding.data()
    layers = [(1.6 * w, b) for w, b in by_hand.deep_init(6, [exploding.WIDTH] * exploding.DEPTH + [10])]
    steps = 20 if args.quick else 300
    losses, norms, clipped = train(layers, x, y, steps, MAX_NORM)
    free, _, _ = train(layers, x, y, steps, np.inf)
    report.holds("no clipped gradient is longer than 5", max(clipped) <= MAX_NORM)
    report.holds("some gradients were clipped", max(norms) > MAX_NORM)
    report.number("longest gradient, before and after", f"{max(norms):.3g}, {max(clipped):.3g}", "at most 5")
    report.holds("with clipping the loss never rises above its start", max(losses) <= losses[0])
    report.holds("without clipping it does", max(free) > free[0])
    report.number("loss at the start", f"{losses[0]:.4g}")
    report.number("largest loss afterwards, with clipping and without", f"{max(losses[1:]):.4g}, {max(free[1:]):.4g}")

    figure, axes = panels(2)
    curves(axes[0], {"before clipping": norms, "after clipping": clipped},
           title="norm of the gradient at every step", xlabel="step", ylabel="norm", lw=1)  # fmt: skip
    axes[0].axhline(MAX_NORM, color="tab:red", ls="--", label="threshold")
    axes[0].legend()
    curves(axes[1], {"without clipping": free, "with clipping": losses},
           title="loss", xlabel="step", ylabel="cross entropy", lw=1)  # fmt: skip
    for each in axes:
        each.set_yscale("log")
    report.picture(figure, "clipping")
    return report


if __name__ == "__main__":
    main(run, __doc__)
