"""Row 4: the losses: mean squared error, cross entropy, binary cross entropy (document 000).

What it teaches: a loss is a function, and its gradient need not be written down. That also shows what a formula beside
a loss really is the gradient of. The document's squared error is a mean over all entries, while its gradient is divided
by the rows only; and its `p - y` is the cross entropy's gradient at the scores, through the softmax, not at `p`.
"""

import argparse

import numpy as np

import by_hand
from common import Report, curves, main, panels
from funcgrad import grad, value_and_grad, vmap
from layers import binary_cross_entropy, cross_entropy, mse, softmax


def run(args: argparse.Namespace) -> Report:
    report = Report(4, "000", "Losses", args.out)
    rng = np.random.RandomState(4)
    for outputs in (1, 3):
        pred, true = rng.randn(5, outputs), rng.randn(5, outputs)
        loss, gradient = by_hand.mse(pred, true)
        value, got = value_and_grad(mse)(pred, true)
        report.same(f"squared error, {outputs} outputs", (value, got * outputs), (loss, gradient))
        pred, true = rng.uniform(0.05, 0.95, (5, outputs)), rng.randint(2, size=(5, outputs))
        loss, gradient = by_hand.binary_cross_entropy(pred, true)
        value, got = value_and_grad(binary_cross_entropy)(pred, true)
        report.same(f"binary cross entropy, {outputs} outputs", (value, got * outputs), (loss, gradient))

    def loss_of_scores(z: np.ndarray, true: np.ndarray) -> np.floating:
        return cross_entropy(softmax(z), true)

    scores, indices = rng.randn(7, 4), rng.randint(4, size=7)
    for name, true in {"one-hot rows": np.eye(4)[indices], "class indices": indices}.items():
        loss, gradient = by_hand.cross_entropy(by_hand.softmax(scores)[0], true)
        value, got = value_and_grad(loss_of_scores)(scores, true)
        report.same(f"cross entropy, {name}", (value, got), (loss, gradient))
        pred = softmax(scores)
        report.same(f"at the probabilities, {name}", grad(cross_entropy)(pred, true), -np.eye(4)[indices] / pred / 7)

    certain, wrong = np.array([[1.0, 0.0]]), np.array([1])
    value, got = value_and_grad(cross_entropy)(certain, wrong)
    report.same("a clipped probability is constant", got, np.zeros((1, 2)))
    report.number("loss of a certain, wrong answer", f"{value:.4f}", f"{-np.log(1e-7):.4f} (clipped at 1e-7)")

    p = np.linspace(0.02, 0.98, 193)

    def squared(p: np.ndarray) -> np.ndarray:
        return (p - 1) ** 2

    def entropy(p: np.ndarray) -> np.floating:
        return binary_cross_entropy(p[None], np.ones(1))

    both = {"squared error": squared, "cross entropy": entropy}
    figure, axes = panels(2)
    values = {name: (p, vmap(f)(p)) for name, f in both.items()}
    slopes = {name: (p, vmap(grad(f))(p)) for name, f in both.items()}
    curves(axes[0], values, title="loss where the target is 1", xlabel="prediction", ylabel="loss")
    curves(axes[1], slopes, title="its derivative, by vmap(grad(loss))", xlabel="prediction", ylabel="slope")
    report.picture(figure, "losses")
    return report


if __name__ == "__main__":
    main(run, __doc__)
