"""Row 5: training in mini-batches, with progress and a history of losses (document 000).

What it teaches: an epoch is a pass over the data, a few examples at a time; the loss of every epoch is kept, and test
data that were never trained on say what was learned.

The network is trained twice. First as the document does it: its updates are reproduced to rounding by `grad` of the
loss to which they belong (see `03_layers.py`), and that loss learns slowly, for it is divided by the batch size once
too often. Then with the gradient of the cross entropy, which the document means.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

import by_hand
from common import Report, curves, main, panels
from funcgrad import jit, value_and_grad
from layers import Array, Layers, cross_entropy, cross_entropy_of_scores, descend, network, scores

SIZES = [20, 64, 32, 3]
EPOCHS, BATCH, RATE = 50, 32, 0.01

Step = Callable[[Layers, Array, Array], tuple[Any, Layers]]  # (parameters, x, y) -> loss, better parameters


def data() -> tuple[Array, Array, Array, Array]:
    """1000 points in 20 dimensions, of 3 classes; a fifth of them to test with. Targets are one-hot rows."""
    from sklearn.datasets import make_classification
    from sklearn.model_selection import train_test_split

    x, labels = make_classification(
        n_samples=1000, n_features=20, n_informative=15, n_redundant=5, n_classes=3, random_state=42
    )
    split = train_test_split(x, np.eye(3)[labels], test_size=0.2, random_state=42)
    x_train, x_test, y_train, y_test = map(np.asarray, split)
    return x_train, y_train, x_test, y_test


def documents_loss(layers: Layers, x: Array, y: Array) -> Any:
    """The loss that the document's backward pass belongs to."""
    return np.sum((network(layers, x, "relu") - y) ** 2) / (2 * len(x) ** 2)


def mean_cross_entropy(layers: Layers, x: Array, y: Array) -> Any:
    return cross_entropy_of_scores(scores(layers, x, "relu"), y) / len(x)


@jit
def documents_step(layers: Layers, x: Array, y: Array) -> tuple[Any, Layers]:
    """The document reports the cross entropy, whatever it descends on."""
    _, grads = value_and_grad(documents_loss)(layers, x, y)
    return cross_entropy(network(layers, x, "relu"), y), descend(layers, grads, RATE)


@jit
def cross_entropy_step(layers: Layers, x: Array, y: Array) -> tuple[Any, Layers]:
    loss, grads = value_and_grad(mean_cross_entropy)(layers, x, y)
    return loss, descend(layers, grads, RATE)


def step_by_hand(layers: Layers, x: Array, y: Array) -> tuple[Any, Layers]:
    loss, _ = by_hand.cross_entropy(by_hand.deep_forward(layers, x, "relu"), y)
    grads = by_hand.deep_backward(layers, x, y, "relu")
    return loss, [(w - RATE * dw, b - RATE * db) for (w, b), (dw, db) in zip(layers, grads, strict=True)]


def train(step: Step, layers: Layers, x: Array, y: Array, epochs: int, name: str = "") -> tuple[Layers, list[float]]:
    """Epochs of mini-batches in the order of the data; the mean loss of every epoch."""
    history = []
    for epoch in range(1, epochs + 1):
        losses = []
        for start in range(0, len(x), BATCH):
            loss, layers = step(layers, x[start : start + BATCH], y[start : start + BATCH])
            losses.append(float(loss))
        history.append(float(np.mean(losses)))
        if name and epoch % 10 == 0:
            print(f"      {name}: epoch {epoch}/{epochs}, loss {history[-1]:.4f}", flush=True)
    return layers, history


def test(layers: Layers, x: Array, y: Array) -> tuple[float, float]:
    """The loss and the share of right answers."""
    p = network(layers, x, "relu")
    return float(cross_entropy(p, y)), float(np.mean(np.argmax(p, axis=1) == np.argmax(y, axis=1)))


def run(args: argparse.Namespace) -> Report:
    report = Report(5, "000", "Mini-batch training, 20-64-32-3", args.out)
    x, y, x_test, y_test = data()
    start = by_hand.deep_init(42, SIZES)
    epochs = 5 if args.quick else EPOCHS

    expected, expected_history = train(step_by_hand, start, x, y, epochs)
    layers, history = train(documents_step, start, x, y, epochs, "as written")
    report.same("losses of all epochs, as written", history, expected_history, rtol=1e-9)
    report.same(f"parameters after {epochs} epochs, as written", layers, expected, rtol=1e-8, atol=1e-12)
    grads = value_and_grad(mean_cross_entropy)(start, x[:BATCH], y[:BATCH])[1]
    expected = by_hand.deep_gradients(start, x[:BATCH], y[:BATCH], "relu")
    report.same("gradient of the cross entropy", grads, expected, atol=1e-13)

    figure, axes = panels(3, width=4.2)
    histories = {"as written": history}
    for place, name in ((1, "as written"), (2, "cross entropy")):
        if name == "cross entropy":
            layers, histories[name] = train(cross_entropy_step, start, x, y, epochs, name)
        loss, right = test(layers, x_test, y_test)
        bars = {"training loss": histories[name][-1], "test loss": loss, "test accuracy": right}
        for what, value in bars.items():
            report.number(f"{what}, {name}", f"{value:.2%}" if what.endswith("accuracy") else f"{value:.4f}")
        drawn = axes[place].bar(list(bars), list(bars.values()), color=["tab:blue", "tab:orange", "tab:green"])
        axes[place].bar_label(drawn, fmt="%.3f")
        axes[place].set_title(f"in the end: {name}")
    report.holds("it has learned", histories["cross entropy"][-1] < histories["cross entropy"][0])
    curves(axes[0], histories, title="training loss", xlabel="epoch", ylabel="cross entropy")
    report.picture(figure, "training")
    return report


if __name__ == "__main__":
    main(run, __doc__)
