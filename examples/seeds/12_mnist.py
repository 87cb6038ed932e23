"""Row 12: handwritten digits, 784-200-200-10, trained three ways (document 001).

What it teaches: the layer objects that the document builds over sixty days are, without their backward passes, a loop
of two lines. Trained on (a) one fixed batch of 10, (b) a new batch of 10 at every step, (c) a new batch of 100, each
for 1000 steps: one batch is learned by heart, small batches make the loss jump about, larger ones calm it.

The document's backward pass starts from `p - t` undivided: it descends on the *sum* of the batch's cross entropies, and
reports their mean (with 1e-7 inside the logarithm). Here the loss is that sum, and what to report comes beside it
(`has_aux`). Images are float32 and weights float64,
as the document has them.

The last table is the time of a step: the document's layers written in NumPy by hand, funcgrad without `jit`, and with.
"""

import argparse
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

import by_hand
from common import Dataset, Report, curves, digits, main, panels
from funcgrad import grad, jit
from layers import Array, Layers, affine, cross_entropy_of_scores, descend, softmax

HIDDEN, CLASSES, RATE, STEPS = 200, 10, 0.01, 1000
WAYS = {"(a) one batch of 10": 10, "(b) SGD, batch 10": 10, "(c) SGD, batch 100": 100}

Batch = tuple[Array, Array]
Stepper = Callable[[Array, Array], Any]  # (images, targets) -> loss; keeps the parameters to itself


def init(random: np.random.RandomState, inputs: int) -> Layers:
    """Weights from N(0, 0.01²), biases zero."""
    return [(0.01 * random.randn(n, m), np.zeros(m)) for n, m in pairwise([inputs, HIDDEN, HIDDEN, CLASSES])]


def network(layers: Layers, x: Array) -> Array:
    for w, b in layers[:-1]:
        x = np.maximum(0, affine(x, w, b))
    return affine(x, *layers[-1])


def loss(layers: Layers, x: Array, t: Array) -> tuple[Any, Any]:
    """The cross entropy, summed over the batch; and its mean, as the document reports it."""
    scores = network(layers, x)
    return cross_entropy_of_scores(scores, t), -np.sum(t * np.log(softmax(scores) + 1e-7)) / len(x)


def train_step(layers: Layers, x: Array, t: Array) -> tuple[Any, Layers]:
    """The reported loss, and better parameters."""
    grads, reported = grad(loss, has_aux=True)(layers, x, t)
    return reported, descend(layers, grads, RATE)


def batches(way: str, size: int, images: Array, targets: Array, steps: int) -> tuple[Layers, list[Batch]]:
    """First parameters and batches, drawn after `np.random.seed(8)` in the document's order."""
    random = np.random.RandomState(8)
    if way.startswith("(a)"):
        chosen = random.choice(len(images), size)
        return init(random, images.shape[1]), [(images[chosen], targets[chosen])] * steps
    layers = init(random, images.shape[1])
    drawn = [random.choice(len(images), size) for _ in range(steps)]
    return layers, [(images[chosen], targets[chosen]) for chosen in drawn]


def accuracy(layers: Layers, images: Array, labels: Array) -> float:
    return float(np.mean(np.argmax(network(layers, images), axis=1) == labels))


def flat(images: Array) -> Array:
    return images.reshape(len(images), -1)


def train_all(report: Report, data: Dataset, steps: int) -> dict[str, list[float]]:
    """Trains the three ways, by hand as well; the loss of every step."""
    step = jit(train_step, donate_argnums=0)  # the parameters' memory is taken over by the new ones
    images, targets = flat(data.train_images), np.eye(CLASSES)[data.train_labels]
    histories = {}
    for way, size in WAYS.items():
        start, drawn = batches(way, size, images, targets, steps)
        by_layers = by_hand.MnistNetwork(start)
        report.same(
            f"{way}: gradients",
            grad(loss, has_aux=True)(start, *drawn[0])[0],
            by_layers.gradients(*drawn[0])[1],
            rtol=1e-9,
        )
        layers = [(w.copy(), b.copy()) for w, b in start]
        losses, expected = [], []
        for count, (x, t) in enumerate(drawn, 1):
            value, layers = step(layers, x, t)
            losses.append(float(value))
            expected.append(by_layers.step(x, t, RATE))
            if count == min(steps, 100):
                params = [(layer.w, layer.b) for layer in by_layers.affine]
                report.same(f"{way}: losses of {count} steps", losses, expected, rtol=1e-8)
                report.same(f"{way}: parameters after them", layers, params, rtol=1e-7, atol=1e-10)
        # Steps as long as those of (c) make rounding grow: one unit in the last place of a first weight changes the
        # 1000th loss by 3e-5 of itself, by hand as well.
        report.same(f"{way}: losses of {steps} steps, roughly", losses, expected, rtol=1e-2, atol=1e-5)
        if steps == STEPS:
            report.holds(f"{way}: the loss has gone down", np.mean(losses[-20:]) < losses[0])
        last = np.mean(losses[-100:])
        right = accuracy(layers, flat(data.test_images), data.test_labels)
        report.number(f"{way}: loss at first, in the last 100 steps; test accuracy",
                      f"{losses[0]:.4f}, {last:.4f}; {right:.2%}")  # fmt: skip
        histories[way] = losses
    return histories


def carried(step: Callable[..., tuple[Any, Layers]], layers: Layers) -> Stepper:
    """Steps that go on from the last one's parameters."""
    layers = [(w.copy(), b.copy()) for w, b in layers]

    def call(x: Array, t: Array) -> Any:
        nonlocal layers
        value, layers = step(layers, x, t)
        return value

    return call


def step_times(layers: Layers, drawn: list[Batch]) -> dict[str, float]:
    """The median time of a step in milliseconds, of each way in turn at every batch."""
    by_layers = by_hand.MnistNetwork(layers)
    rate = layers[0][0].dtype.type(RATE)
    ways: dict[str, Stepper] = {
        "by hand": lambda x, t: by_layers.step(x, t, rate),
        "without jit": carried(train_step, layers),
        "with jit": carried(jit(train_step, donate_argnums=0), layers),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for x, t in drawn:
        for name, way in ways.items():
            started = time.perf_counter()
            way(x, t)
            times[name].append(time.perf_counter() - started)
    warm = len(drawn) // 5
    return {name: 1e3 * float(np.median(each[warm:])) for name, each in times.items()}


def run(args: argparse.Namespace) -> Report:
    report = Report(12, "001", "Digits, 784-200-200-10", args.out)
    data = digits(args)
    report.number(
        "images", f"{len(data.train_images)} to learn from, {len(data.test_images)} to test with: {data.source}"
    )
    histories = train_all(report, data, 30 if args.quick else STEPS)

    figure, axes = panels(3, width=4.2)
    for each, (way, losses) in zip(axes, histories.items(), strict=True):
        curves(each, {way: losses}, title=way, xlabel="step", ylabel="cross entropy", lw=1)
    report.picture(figure, "losses")

    images, targets = flat(data.train_images), np.eye(CLASSES)[data.train_labels]
    for way, size in (("(b)", 10), ("(c)", 100)):
        layers, drawn = batches(way, size, images, targets, 10 if args.quick else 200)
        for dtype in (np.float64, np.float32):
            cast = [(w.astype(dtype), b.astype(dtype)) for w, b in layers]
            ms = step_times(cast, [(x, t.astype(dtype)) for x, t in drawn])
            name = f"batch {size}, {np.dtype(dtype)} weights: ms by hand, without jit, with jit"
            ratios = f"without jit {ms['without jit'] / ms['by hand']:.2f} × the time by hand"
            speed = f"with jit {ms['by hand'] / ms['with jit']:.2f} × as fast"
            report.number(name, ", ".join(f"{value:.3f}" for value in ms.values()) + f" ({ratios}, {speed})")
    return report


if __name__ == "__main__":
    main(run, __doc__)
