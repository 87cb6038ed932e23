"""Row 6: vanishing and exploding gradients, measured (document 000).

What it teaches: on its way back a gradient is multiplied by the slope of every layer. Ten sigmoids, whose slope is at
most 1/4, leave little of it; weights that are too large blow it up. The document multiplies constants to show this
(0.25, 1 and 0.5 for each layer); here the norms are those of real networks of ten layers, for real data.
"""

import argparse
from typing import Any

import numpy as np

import by_hand
from common import Report, main, panels
from funcgrad import grad
from layers import Array, Layers, cross_entropy_of_scores, scores

DEPTH, WIDTH = 10, 64
CONSTANTS = {"sigmoid": 0.25, "relu": 1.0, "tanh": 0.5}  # what the document multiplies, layer by layer
# Activation, and how many times He's standard deviation the weights have.
NETWORKS = {
    "sigmoid": ("sigmoid", 1.0),
    "tanh": ("tanh", 1.0),
    "relu": ("relu", 1.0),
    "relu, weights × 2": ("relu", 2.0),
}


def loss(layers: Layers, x: Array, y: Array, activation: str) -> Any:
    """The mean cross entropy."""
    return cross_entropy_of_scores(scores(layers, x, activation), y) / len(x)


def norms(grads: Layers) -> Array:
    """The norm of the gradient of each layer's weights."""
    return np.array([np.linalg.norm(dw) for dw, _ in grads])


def data() -> tuple[Array, Array]:
    """Images of digits, the pixels centred, and one-hot targets."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return images[:128] / 8 - 1, np.eye(10)[labels[:128]]


def run(args: argparse.Namespace) -> Report:
    report = Report(6, "000", "Vanishing and exploding gradients", args.out)
    x, y = data()
    figure, axes = panels(2)
    depths = np.arange(1, DEPTH + 1)
    measured = {}
    for (name, (activation, factor)), marker in zip(NETWORKS.items(), "o^sD", strict=True):
        layers = [(w * factor, b) for w, b in by_hand.deep_init(6, [WIDTH] * DEPTH + [10])]
        grads = grad(loss)(layers, x, y, activation)
        expected = by_hand.deep_gradients(layers, x, y, activation)
        scale = max(np.abs(dw).max() for dw, _ in expected)
        report.same(f"gradients of 10 layers, {name}", grads, expected, rtol=1e-9, atol=1e-13 * scale)
        measured[name] = norms(grads)
        axes[0].plot(depths, measured[name], marker + "-", label=name)
        share = measured[name][0] / measured[name][-1]
        if factor == 1:
            stated = f"{CONSTANTS[activation] ** (DEPTH - 1):.2e}"
            report.number(f"norm in the first layer ÷ in the last, {name}", f"{share:.2e}", stated)
    report.holds("sigmoids make gradients vanish", measured["sigmoid"][0] < 1e-3 * measured["sigmoid"][-1])
    report.holds("ReLUs keep them within a factor of 30", np.ptp(np.log(measured["relu"])) < np.log(30))
    growth = measured["relu, weights × 2"][0] / measured["relu"][0]
    report.holds("large weights make them explode", growth > 100)
    report.number("norm in the first layer, weights × 2 ÷ weights × 1", f"{growth:.0f}")

    for activation, marker in zip(CONSTANTS, "os^", strict=True):
        back = CONSTANTS[activation] ** np.arange(DEPTH)[::-1]
        axes[1].plot(depths, back, marker + "--", label=f"{activation}: {CONSTANTS[activation]:g} a layer")
    for each, title in zip(axes, ["measured: norm of each layer's gradient", "the document's constants"], strict=True):
        each.set(title=title, xlabel="layer (1 is next to the input)", ylabel="gradient", yscale="log", xticks=depths)
        each.grid(alpha=0.3)
        each.legend()
    report.picture(figure, "gradient_norms")
    return report


if __name__ == "__main__":
    main(run, __doc__)
