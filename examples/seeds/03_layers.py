"""Row 3: the layers: affine, ReLU, sigmoid, tanh, softmax; networks of any sizes (document 000).

What it teaches: every layer needs its forward pass only. `vjp` gives the output and the function that carries a
cotangent back through the layer: what the document calls `backward(grad_output)`.

Two of the document's formulas are not what they are called. Its affine layer divides the gradients of weights and bias
by the batch size, although the loss has divided already; and its network applies the softmax's Jacobian to `p - y`,
which is the derivative at the scores already. What comes out belongs to another loss, half the squared error.
"""

import argparse

import numpy as np

import by_hand
from common import Report, curves, main, panels
from funcgrad import grad, vjp, vmap
from layers import ACTIVATIONS, Array, Layers, affine, network, softmax

SIZES = ([20, 64, 32, 3], [4, 2], [5, 7, 6, 5, 4, 3])


def halved_squared_error(layers: Layers, x: Array, y: Array, activation: str) -> Array:
    """The loss whose gradient, divided by the batch size, the document's network computes."""
    return np.sum((network(layers, x, activation) - y) ** 2) / (2 * len(x))


def batch(seed: int, size: int, inputs: int, classes: int) -> tuple[Array, Array]:
    """Inputs and one-hot targets, drawn at random."""
    rng = np.random.RandomState(1000 + seed)
    return rng.randn(size, inputs), np.eye(classes)[rng.randint(classes, size=size)]


def check_layers(report: Report) -> None:
    """Each layer by itself, forward and backward."""
    rng = np.random.RandomState(1)
    [(w, b)] = by_hand.deep_init(0, [20, 64])
    x, cotangent = rng.randn(8, 20), rng.randn(8, 64)
    out, pull = vjp(affine, x, w, b)
    dx, dw, db = pull(cotangent)
    report.same("affine, forward", out, np.dot(x, w) + b)
    report.same("affine, backward", (dx, dw / 8, db / 8), by_hand.affine_backward(x, w, cotangent))

    x = np.concatenate([3 * rng.randn(5, 4), [[0.0, -0.0, 40.0, -40.0]]])
    cotangent = rng.randn(*x.shape)
    functions = {**ACTIVATIONS, "softmax": softmax}
    for name, hand in {**by_hand.ACTIVATIONS, "softmax": by_hand.softmax}.items():
        out, pull = vjp(functions[name], x)
        expected, backward = hand(x)
        report.same(f"{name}, forward", out, expected)
        report.same(f"{name}, backward", pull(cotangent)[0], backward(cotangent))


def check_networks(report: Report) -> None:
    """Whole networks, of sizes from a list."""
    for sizes in SIZES:
        x, y = batch(0, 16, sizes[0], sizes[-1])
        layers = by_hand.deep_init(0, sizes)
        name = "-".join(map(str, sizes))
        for activation in ACTIVATIONS:
            out = network(layers, x, activation)
            grads = grad(halved_squared_error)(layers, x, y, activation)
            grads = [(dw / len(x), db / len(x)) for dw, db in grads]
            report.same(f"{name} {activation}, forward", out, by_hand.deep_forward(layers, x, activation))
            report.same(f"{name} {activation}, backward", grads, by_hand.deep_backward(layers, x, y, activation))


def run(args: argparse.Namespace) -> Report:
    report = Report(3, "000", "Layers, and networks of any sizes", args.out)
    check_layers(report)
    check_networks(report)
    report.number("networks compared", len(SIZES) * len(ACTIVATIONS))

    x = np.linspace(-6, 6, 241)
    figure, axes = panels(2)
    slopes = {name: (x, vmap(grad(f))(x)) for name, f in ACTIVATIONS.items()}  # one derivative for each x
    report.number("largest slope of the sigmoid", f"{slopes['sigmoid'][1].max():g}", "0.25")
    curves(
        axes[0], {name: (x, f(x)) for name, f in ACTIVATIONS.items()}, title="activations", xlabel="x", ylabel="f(x)"
    )
    curves(axes[1], slopes, title="their derivatives, by vmap(grad(f))", xlabel="x", ylabel="f′(x)")
    axes[0].set_ylim(-1.5, 3)
    report.picture(figure, "activations")
    return report


if __name__ == "__main__":
    main(run, __doc__)
