"""Row 13: exclusive or, 2-2-1, to the numbers that the document prints (document 002).

What it teaches: the whole of backpropagation on four examples. The document states the *mean* of the squared errors as
its loss, and descends on the gradient of their *sum*, which is four times as long; so does this.
"""

import argparse
from typing import Any

import numpy as np

import by_hand
from common import Report, curves, main, panels
from funcgrad import grad, jit, value_and_grad
from layers import Array, descend, sigmoid

Params = dict[str, Any]
RATE, EPOCHS = 0.1, 10_000
X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
Y = np.array([[0], [1], [1], [0]])


def network(params: Params, x: Array) -> Array:
    a1 = sigmoid(x @ params["W1"] + params["b1"])
    return sigmoid(a1 @ params["W2"] + params["b2"])


def loss(params: Params) -> Any:
    """The sum of squared errors."""
    return np.sum((network(params, X) - Y) ** 2)


@jit
def train_step(params: Params) -> tuple[Any, Params]:
    value, grads = value_and_grad(loss)(params)
    return value, descend(params, grads, RATE)


def run(args: argparse.Namespace) -> Report:
    report = Report(13, "002", "Exclusive or, 2-2-1", args.out)
    params = expected = final = by_hand.xor_init()
    report.same("gradients by hand", grad(loss)(params), by_hand.xor_backward(params, X, Y))
    losses = []
    for _ in range(EPOCHS):
        final = params  # the document prints what its last epoch saw, before the last update
        value, params = train_step(params)
        losses.append(float(value) / 4)
    steps = 500 if args.quick else EPOCHS
    ours = by_hand.xor_init()
    for _ in range(steps):
        expected = by_hand.descend(expected, by_hand.xor_backward(expected, X, Y), RATE)
        ours = train_step(ours)[1]
    report.same(f"parameters after {steps} epochs", ours, expected, rtol=1e-8)

    output = network(final, X).round(3).ravel().tolist()
    report.number("final output", output, [0.025, 0.499, 0.97, 0.502])
    report.holds("the final output is the document's", output == [0.025, 0.499, 0.97, 0.502])
    figure, axes = panels(2)
    curves(
        axes[0],
        {"loss": losses},
        title="2-2-1 learns exclusive or (not quite)",
        xlabel="epoch",
        ylabel="mean squared error",
    )
    axes[1].bar(np.arange(4) - 0.2, Y.ravel(), 0.4, label="target")
    drawn = axes[1].bar(np.arange(4) + 0.2, output, 0.4, label="output")
    axes[1].bar_label(drawn)
    axes[1].set(
        title="after 10,000 epochs", xticks=range(4), xticklabels=["0, 0", "0, 1", "1, 0", "1, 1"], ylim=(0, 1.25)
    )
    axes[1].legend()
    report.picture(figure, "xor")
    return report


if __name__ == "__main__":
    main(run, __doc__)
