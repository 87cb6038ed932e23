"""Row 8: batch normalisation with running statistics, in training and in use (document 000).

What it teaches: a layer with a state is a function that takes the state and gives back the next one. In training the
mean and the variance come from the batch, and derivatives flow through them; in use they are the running ones, which
are constants. The backward pass that fills a page when done by hand is `vjp` of six lines.

(As printed, the document's function fails outside training: it stores a mean and a variance that it has not computed.)
"""

import argparse
from typing import Any

import numpy as np

import by_hand
from common import Report, curves, main, panels
from funcgrad import jit, value_and_grad, vjp
from layers import Array, affine, cross_entropy_of_scores, descend, relu

MOMENTUM, EPS, RATE = 0.9, 1e-5, 0.1

State = tuple[Array, Array]  # running mean and running variance
Params = dict[str, Any]


def batch_norm(x: Array, gamma: Array, beta: Array, state: State, training: bool) -> tuple[Array, State]:
    """The normalised batch, and the running statistics after it."""
    mean, var = (np.mean(x, axis=0), np.var(x, axis=0)) if training else state
    out = gamma * (x - mean) / np.sqrt(var + EPS) + beta
    if training:
        state = (MOMENTUM * state[0] + (1 - MOMENTUM) * mean, MOMENTUM * state[1] + (1 - MOMENTUM) * var)
    return out, state


def network(params: Params, state: State, x: Array, training: bool) -> tuple[Array, State]:
    """Affine, batch normalisation, ReLU, affine."""
    h, state = batch_norm(affine(x, params["w1"], params["b1"]), params["gamma"], params["beta"], state, training)
    return affine(relu(h), params["w2"], params["b2"]), state


def loss(params: Params, state: State, x: Array, y: Array) -> tuple[Any, State]:
    """The mean cross entropy in training, and the next state beside it (`has_aux` in `value_and_grad`)."""
    z, state = network(params, state, x, training=True)
    return cross_entropy_of_scores(z, y) / len(x), state


@jit
def train_step(params: Params, state: State, x: Array, y: Array) -> tuple[Any, Params, State]:
    (value, state), grads = value_and_grad(loss, has_aux=True)(params, state, x, y)
    return value, descend(params, grads, RATE), state


def gradients_by_hand(params: Params, x: Array, y: Array) -> Params:
    """The same network's backward pass."""
    z1 = np.dot(x, params["w1"]) + params["b1"]
    h, _, _ = by_hand.batch_norm(z1, params["gamma"], params["beta"], z1[0], z1[0], training=True)
    a, relu_back = by_hand.relu(h)
    dz = (by_hand.softmax(np.dot(a, params["w2"]) + params["b2"])[0] - y) / len(x)
    dh = relu_back(np.dot(dz, params["w2"].T))
    dz1, dgamma, dbeta = by_hand.batch_norm_backward(z1, params["gamma"], dh)
    first = {"w1": np.dot(x.T, dz1), "b1": dz1.sum(axis=0), "gamma": dgamma, "beta": dbeta}
    return {**first, "w2": np.dot(a.T, dz), "b2": dz.sum(axis=0)}


def check_layer(report: Report) -> None:
    """The layer by itself, in both modes."""
    rng = np.random.RandomState(8)
    x, cotangent = 2 + 3 * rng.randn(16, 5), rng.randn(16, 5)
    gamma, beta, state = rng.rand(5) + 0.5, rng.randn(5), (rng.randn(5), rng.rand(5) + 0.5)
    for training in (True, False):
        mode = "training" if training else "in use"

        def layer(x: Array, gamma: Array, beta: Array, training: bool = training) -> tuple[Array, State]:
            return batch_norm(x, gamma, beta, state, training)

        out, pull, new = vjp(layer, x, gamma, beta, has_aux=True)
        expected, *statistics = by_hand.batch_norm(x, gamma, beta, state[0], state[1], training=training)
        report.same(f"{mode}: output and statistics", (out, new), (expected, tuple(statistics)))
        scale = 1 / np.sqrt(state[1] + EPS)
        by_constants = cotangent * gamma * scale, (cotangent * (x - state[0]) * scale).sum(0), cotangent.sum(0)
        hand = by_hand.batch_norm_backward(x, gamma, cotangent) if training else by_constants
        report.same(f"{mode}: backward", pull(cotangent), hand, atol=1e-13)


def run(args: argparse.Namespace) -> Report:
    from sklearn.datasets import load_digits

    report = Report(8, "000", "Batch normalisation", args.out)
    check_layer(report)
    images, labels = load_digits(return_X_y=True)
    x, y = images / 16, np.eye(10)[labels]
    rng = np.random.RandomState(0)
    params: Params = {"w1": rng.randn(64, 32) * np.sqrt(2 / 64), "b1": np.zeros(32)}
    params |= {"gamma": np.ones(32), "beta": np.zeros(32)}
    params |= {"w2": rng.randn(32, 10) * np.sqrt(2 / 32), "b2": np.zeros(10)}
    state = (np.zeros(32), np.ones(32))
    grads = value_and_grad(loss, has_aux=True)(params, state, x[:64], y[:64])[1]
    report.same("gradients of a network", grads, gradients_by_hand(params, x[:64], y[:64]), atol=1e-13)

    losses, gaps = [], []
    for _ in range(30 if args.quick else 200):
        chosen = rng.choice(1500, 64)
        true_mean = np.mean(affine(x[:1500], params["w1"], params["b1"]), axis=0)
        gaps.append(float(np.abs(state[0] - true_mean).max()))
        value, params, state = train_step(params, state, x[chosen], y[chosen])
        losses.append(float(value))
    report.holds("the loss has gone down", losses[-1] < losses[0])
    report.holds("the running mean has found the data's", gaps[-1] < gaps[0] / 3)
    right = np.mean(np.argmax(network(params, state, x[1500:], training=False)[0], axis=1) == labels[1500:])
    report.number("accuracy on digits not trained on, running statistics", f"{right:.2%}")
    alone = np.argmax(network(params, state, x[1500:1501], training=False)[0])
    report.holds("in use, an image alone is read as it is among others", alone == np.argmax(
        network(params, state, x[1500:], training=False)[0][0]))  # fmt: skip

    figure, axes = panels(3, width=4.2)
    before = affine(x, params["w1"], params["b1"])
    after, _ = batch_norm(before, np.ones(32), np.zeros(32), state, training=False)
    for values, name in ((before, "before"), (after, "normalised")):
        axes[0].hist(values.ravel(), 80, range=(-4, 4), histtype="step", density=True, label=name)
    axes[0].set(title="hidden values", xlabel="value", ylabel="density")
    axes[0].legend()
    curves(axes[1], {"gap": gaps}, title="running mean: distance from the data's", xlabel="step", ylabel="largest gap")
    curves(axes[2], {"loss": losses}, title="training loss", xlabel="step", ylabel="cross entropy")
    report.picture(figure, "batch_norm")
    return report


if __name__ == "__main__":
    main(run, __doc__)
