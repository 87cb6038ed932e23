"""Row 14: the training cycle on handwritten digits: forward, error, backward, update (document 003).

What it teaches: the four parts of learning, each one line here. The document describes them in words; the error is the
mean squared error or the cross entropy, and the cycle does not care which.
"""

import argparse
from functools import partial
from typing import Any

import numpy as np

import by_hand
from common import Report, curves, digits, main, panels
from funcgrad import jit, value_and_grad
from layers import Array, cross_entropy_of_scores, descend, mse

Params = dict[str, Any]
HIDDEN, BATCH, RATE = 32, 50, 0.2


def init(inputs: int) -> Params:
    random = np.random.RandomState(9)
    params: Params = {"W1": random.randn(inputs, HIDDEN) * np.sqrt(2 / inputs), "b1": np.zeros(HIDDEN)}
    return {**params, "W2": random.randn(HIDDEN, 10) * np.sqrt(2 / HIDDEN), "b2": np.zeros(10)}


def forward(params: Params, x: Array) -> Array:
    """1. From images to the scores of the ten digits."""
    return np.maximum(0, x @ params["W1"] + params["b1"]) @ params["W2"] + params["b2"]


def error(params: Params, x: Array, t: Array, kind: str) -> Any:
    """2. How far the scores are from the targets, one-hot rows."""
    scores = forward(params, x)
    return mse(scores, t) if kind == "mse" else cross_entropy_of_scores(scores, t) / len(x)


backward = value_and_grad(error)  # 3. The error, and its derivative by every parameter

update = partial(descend, rate=RATE)  # 4. Every parameter a little against its derivative


@partial(jit, static_argnames="kind")
def cycle(params: Params, x: Array, t: Array, kind: str) -> tuple[Any, Params]:
    value, grads = backward(params, x, t, kind)
    return value, update(params, grads)


def run(args: argparse.Namespace) -> Report:
    report = Report(14, "003", "The training cycle on handwritten digits", args.out)
    data = digits(args)
    images, test_images = (each.reshape(len(each), -1) for each in (data.train_images, data.test_images))
    targets = np.eye(10)[data.train_labels]
    steps = 100 if args.quick else 2000
    histories, answers = {}, {}
    for kind in ("cross entropy", "mse"):
        params = expected = init(images.shape[1])
        random = np.random.RandomState(9)
        histories[kind] = losses = []
        for step in range(steps):
            chosen = random.choice(len(images), BATCH)
            x, t = images[chosen], targets[chosen]
            if step < 50:
                expected = by_hand.descend(expected, by_hand.digits_backward(expected, x, t, kind), RATE)
            value, params = cycle(params, x, t, kind)
            losses.append(float(value))
            if step == 49:
                report.same(f"{kind}: parameters after 50 cycles", params, expected, rtol=1e-8, atol=1e-12)
        report.holds(f"{kind}: the error has gone down", np.mean(losses[-20:]) < 0.7 * losses[0])
        answers[kind] = np.argmax(forward(params, test_images), axis=1)
        right = np.mean(answers[kind] == data.test_labels)
        report.number(f"{kind}: error at first and in the end; test accuracy",
                      f"{losses[0]:.3f}, {np.mean(losses[-50:]):.3f}; {right:.1%}")  # fmt: skip

    figure, axes = panels(2)
    curves(
        axes[0],
        histories,
        title=f"error of every cycle: {data.source.split(' in ')[0]}",
        xlabel="cycle",
        ylabel="error",
        lw=0.8,
    )
    axes[0].set_yscale("log")
    shown = np.pad(data.test_images[:24], ((0, 0), (3, 1), (3, 1)))  # room for the answer, and between images
    height, width = shown.shape[1:]
    axes[1].imshow(np.block([list(row) for row in shown.reshape(4, 6, height, width)]), cmap="gray_r")
    for i, answer in enumerate(answers["cross entropy"][:24]):
        right = answer == data.test_labels[i]
        axes[1].text(i % 6 * width, i // 6 * height, str(answer), va="top", color="tab:green" if right else "tab:red")
    axes[1].set(title="what the network reads (green: right)", xticks=[], yticks=[])
    report.picture(figure, "cycle")
    return report


if __name__ == "__main__":
    main(run, __doc__)
