"""Row 10: checking gradients numerically (document 000).

What it teaches: a derivative can be tested without knowing calculus: nudge each number a little both ways and see how
the loss changes. The document's check reports the relative error and warns above 1e-5. It warns of the document's own
backward pass (`03_layers.py` says why) and not of `grad`.

`funcgrad.test_util.check_grads` does this for any function of yours, in both modes and to any order; it raises.
"""

import argparse
from typing import Any

import numpy as np

import by_hand
from common import Report, curves, main, panels
from funcgrad import custom_vjp, grad
from funcgrad.test_util import check_grads
from layers import Array, Layers, cross_entropy, network

WARN_ABOVE = 1e-5


def loss(layers: Layers, x: Array, y: Array) -> Any:
    return cross_entropy(network(layers, x, "tanh"), y)


def check(name: str, grads: Layers, layers: Layers, x: Array, y: Array, epsilon: float = 1e-7) -> float:
    """The document's check of every layer's weights: the largest relative error."""
    largest = 0.0
    for i, (w, b) in enumerate(layers):

        def loss_of(w: Array, i: int = i, b: Array = b) -> float:
            changed = [*layers[:i], (w, b), *layers[i + 1 :]]
            return by_hand.cross_entropy(by_hand.deep_forward(changed, x, "tanh"), y)[0]

        error = by_hand.relative_error(grads[i][0], by_hand.numerical_gradient(loss_of, w, epsilon))
        largest = max(largest, error)
        if name:
            warning = "   WARNING: the gradient may be wrong!" if error > WARN_ABOVE else ""
            print(f"      {name}: layer {i}: largest relative error {error:.2e}{warning}")
    return largest


@custom_vjp
def wrong_sin(x: Any) -> Any:
    """A sine with a rule of its own, 1 % off."""
    return np.sin(x)


wrong_sin.defvjp(lambda x: (np.sin(x), x), lambda x, cotangent: (1.01 * np.cos(x) * cotangent,))


def refuses(f: Any, *args: Any) -> bool:
    """Whether `check_grads` raises."""
    try:
        check_grads(f, args, order=1, modes=("rev",))
    except AssertionError:
        return True
    return False


def run(args: argparse.Namespace) -> Report:
    report = Report(10, "000", "Numerical gradient check", args.out)
    rng = np.random.RandomState(7)
    layers = by_hand.deep_init(7, [4, 5, 3])
    x, y = rng.randn(6, 4), np.eye(3)[rng.randint(3, size=6)]
    grads = grad(loss)(layers, x, y)
    report.same("the gradient, by hand", grads, by_hand.deep_gradients(layers, x, y, "tanh"))
    ours = check("grad", grads, layers, x, y)
    theirs = check("by hand, as written", by_hand.deep_backward(layers, x, y, "tanh"), layers, x, y)
    report.holds("no warning for grad", ours <= WARN_ABOVE)
    report.holds("a warning for the backward pass as written", theirs > WARN_ABOVE)
    report.number("largest relative error of grad", f"{ours:.1e}", "at most 1e-5")
    report.number("of the document's backward pass", f"{theirs:.1e}")

    check_grads(loss, (layers, x, y), order=2)
    report.holds("check_grads passes, first and second derivatives", True)
    report.holds("check_grads passes np.sin", not refuses(np.sin, 0.3))
    report.holds("check_grads fails on a rule that is 1 % off", refuses(wrong_sin, 0.3))

    epsilons = np.logspace(-1, -11, 6 if args.quick else 31)
    errors = [check("", grads, layers, x, y, epsilon) for epsilon in epsilons]
    figure, [axes] = panels(width=7)
    curves(axes, {"error": (epsilons, errors)}, title="central differences against grad, for nudges of every size",
           xlabel="nudge", ylabel="largest relative error", marker="o", ms=3)  # fmt: skip
    axes.axhline(WARN_ABOVE, color="tab:red", ls="--")
    axes.annotate("the document warns above", (2e-8, WARN_ABOVE), (0, 4), textcoords="offset points", color="tab:red")
    axes.set(xscale="log", yscale="log")
    report.picture(figure, "errors")
    return report


if __name__ == "__main__":
    main(run, __doc__)
