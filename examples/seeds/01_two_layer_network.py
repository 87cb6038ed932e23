"""Row 1: a network with two layers of sigmoids, 2-3-1 (document 000).

What it teaches: the error goes backwards through the network, and every parameter gets its share. The document writes
that pass by hand; here the network and its loss are two functions, and `grad` writes the pass.

The document names no loss. Its backward pass starts from `a2 - y`: that belongs to the binary cross entropy, whose
derivative cancels the sigmoid's slope.
"""

import argparse
from typing import Any

import numpy as np

import by_hand
from common import Report, curves, main, panels
from funcgrad import grad, value_and_grad
from layers import Array, descend, sigmoid

Params = dict[str, Any]
RATE = 0.1


def network(params: Params, x: Array) -> Array:
    a1 = sigmoid(np.dot(x, params["w1"]) + params["b1"])
    return sigmoid(np.dot(a1, params["w2"]) + params["b2"])


def loss(params: Params, x: Array, y: Array) -> Array:
    """The binary cross entropy, on average."""
    a2 = network(params, x)
    return -np.sum(y * np.log(a2) + (1 - y) * np.log(1 - a2)) / x.shape[0]


def run(args: argparse.Namespace) -> Report:
    report = Report(1, "000", "Two-layer sigmoid network 2-3-1", args.out)
    x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = np.array([[0.0], [1.0], [1.0], [1.0]])  # or
    params = expected = by_hand.two_layer_init(0)
    grads = grad(loss)(params, x, y)
    report.same("gradients = backward() by hand", grads, by_hand.two_layer_backward(params, x, y))
    report.number("gradient of w2", np.ravel(grads["w2"]).round(4).tolist())

    losses = []
    for _ in range(200 if args.quick else 3000):
        value, grads = value_and_grad(loss)(params, x, y)
        losses.append(float(value))
        params = descend(params, grads, RATE)
        expected = descend(expected, by_hand.two_layer_backward(expected, x, y), RATE)
    report.same(f"parameters after {len(losses)} steps", params, expected, rtol=1e-9)
    report.holds("the loss has gone down", losses[-1] < losses[0])
    report.number("loss, first and last", f"{losses[0]:.4f}, {losses[-1]:.4f}")
    report.number("network(x) for the logical or", np.ravel(network(params, x)).round(3).tolist())

    figure, [axes] = panels()
    curves(axes, {"loss": losses}, title="2-3-1 learns the logical or", xlabel="step", ylabel="binary cross entropy")
    report.picture(figure, "loss")
    return report


if __name__ == "__main__":
    main(run, __doc__)
