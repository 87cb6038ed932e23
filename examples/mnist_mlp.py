"""Handwritten digits: a network in plain NumPy, trained with gradients from funcgrad.

    python examples/mnist_mlp.py                 MNIST, downloaded; or scikit-learn's digits
    python examples/mnist_mlp.py --data DIR      the MNIST files in DIR
    python examples/mnist_mlp.py --help          what else can be chosen

From top to bottom: the network, its loss, one step of training, the loop around it. The network is
a function of its parameters; nothing in it knows that it will be differentiated. Training is a
function too: parameters go in, better ones come out, and nothing is changed in place.
"""

import argparse
import math
import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from funcgrad import tree, value_and_grad
from mnist_data import CLASSES, DataFileError, Dataset, jitter, load

MOMENTUM = 0.9

Params = list[dict[str, np.ndarray]]  # one {"w": (inputs, outputs), "b": (outputs,)} a layer


def init_params(rng: np.random.Generator, sizes: list[int]) -> Params:
    """He initialisation: the weights' variance, 2 / inputs, keeps ReLU signals at one size."""
    return [
        {
            "w": rng.standard_normal((inputs, outputs), np.float32) * math.sqrt(2 / inputs),
            "b": np.zeros(outputs, np.float32),
        }
        for inputs, outputs in pairwise(sizes)
    ]


def network(params: Params, images: np.ndarray) -> np.ndarray:
    """The score of every class for every image: (n, height, width) -> (n, classes)."""
    *hidden, last = params
    x = images.reshape(len(images), -1)
    for layer in hidden:
        x = np.maximum(x @ layer["w"] + layer["b"], 0)
    return x @ last["w"] + last["b"]


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """The logarithms of the probabilities; taking the maximum off first keeps exp finite."""
    scores = scores - np.max(scores, axis=1, keepdims=True)
    return scores - np.log(np.sum(np.exp(scores), axis=1, keepdims=True))


def loss(params: Params, images: np.ndarray, labels: np.ndarray) -> np.floating:
    """Cross entropy: how improbable the network finds the right answers, on average."""
    log_probs = log_softmax(network(params, images))
    return -np.mean(log_probs[np.arange(len(labels)), labels])


def accuracy(params: Params, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of images whose highest score is that of their label."""
    return float(np.mean(np.argmax(network(params, images), axis=1) == labels))


def update(params: Params, velocity: Params, grads: Params, rate: float) -> tuple[Params, Params]:
    """One step of gradient descent with momentum."""
    velocity = tree.map(lambda v, g: MOMENTUM * v + g, velocity, grads)
    params = tree.map(lambda p, v: p - rate * v, params, velocity)
    return params, velocity


def minibatches(
    images: np.ndarray, labels: np.ndarray, size: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Every image once, in random order, some of them moved a little, `size` at a time."""
    order = rng.permutation(len(images))
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        yield jitter(images[chosen], rng), labels[chosen]


def train(
    data: Dataset, *, hidden: list[int], epochs: int, batch: int, rate: float, seed: int
) -> tuple[Params, list[float]]:
    """Trains a network, reporting as it goes; returns its parameters and the loss of every step.

    Ctrl-C ends the training early, and what has been learned so far is returned.
    """
    rng = np.random.default_rng(seed)
    params = init_params(rng, [data.train_images[0].size, *hidden, CLASSES])
    velocity = tree.map(np.zeros_like, params)
    steps_per_epoch = math.ceil(len(data.train_images) / batch)
    steps = epochs * steps_per_epoch
    losses: list[float] = []

    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        batches = minibatches(data.train_images, data.train_labels, batch, rng)
        name = f"epoch {epoch:{len(str(epochs))}}/{epochs}"
        try:
            with tqdm(batches, name, steps_per_epoch, leave=False, disable=None) as bar:
                for images, labels in bar:
                    value, grads = value_and_grad(loss)(params, images, labels)
                    decayed = rate * (1 + math.cos(math.pi * len(losses) / steps)) / 2
                    params, velocity = update(params, velocity, grads, decayed)
                    losses.append(float(value))
                    bar.set_postfix_str(f"loss {losses[-1]:.4f}", refresh=False)
        except KeyboardInterrupt:
            if not losses:
                raise
            print(f"interrupted after {len(losses)} of {steps} steps", flush=True)
            break

        mean_loss = np.mean(losses[-steps_per_epoch:])
        if not np.isfinite(mean_loss):
            raise SystemExit(f"the loss is {mean_loss} after {name}: try a smaller --lr")
        print(
            f"{name}   loss {mean_loss:.4f}"
            f"   train {accuracy(params, data.train_images, data.train_labels):7.2%}"
            f"   test {accuracy(params, data.test_images, data.test_labels):7.2%}"
            f"   {time.perf_counter() - started:5.2f} s",
            flush=True,
        )
    return params, losses


def plot_losses(losses: list[float], title: str, path: Path) -> None:
    """Draws the loss of every step, and its running mean over a twentieth of them, to a file."""
    window = max(1, len(losses) // 20)
    means = np.convolve(losses, np.full(window, 1 / window), mode="valid")
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(1, len(losses) + 1), losses, color="tab:blue", alpha=0.3, lw=0.7, label="each step")
    axes.plot(range(window, len(losses) + 1), means, color="tab:blue", label=f"mean of {window}")
    axes.set(title=title, xlabel="step", ylabel="cross entropy", yscale="log")
    axes.legend()
    figure.savefig(path, dpi=150)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """What the command line says."""

    def at_least(minimum: int, text: str) -> int:
        if (number := int(text)) < minimum:
            raise argparse.ArgumentTypeError(f"must be at least {minimum}, is {number}")
        return number

    count, seed = partial(at_least, 1), partial(at_least, 0)
    parser = argparse.ArgumentParser(description="Trains a network to read handwritten digits.")
    add = parser.add_argument
    add("--data", metavar="DIR", help="a directory with MNIST files (IDX, raw or .gz)")
    add("--offline", action="store_true", help="download nothing")
    add("--hidden", type=count, nargs="*", default=[200, 200], help="hidden layers: %(default)s")
    add("--epochs", type=count, help="passes over the images: 30 if they are few, 10 if many")
    add("--batch", type=count, default=64, help="images in each step: %(default)s")
    add("--lr", type=float, default=0.1, help="learning rate at the start: %(default)s")
    add("--seed", type=seed, default=0, help="of the split, the first weights and the order")
    add("--plot", type=Path, default="mnist_loss.png", help="the picture of the loss: %(default)s")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Loads the images, trains, says how well it went, and saves the loss curve."""
    args = parse_arguments(argv)
    try:
        data = load(args.data, offline=args.offline, seed=args.seed)
    except DataFileError as error:
        raise SystemExit(f"error: {error}") from None
    print(f"data: {data.source}: {len(data.train_images)} images to learn from, {len(data.test_images)} to test with")
    epochs = args.epochs or min(30, max(10, 160_000 // len(data.train_images)))
    started = time.perf_counter()
    params, losses = train(data, hidden=args.hidden, epochs=epochs, batch=args.batch, rate=args.lr, seed=args.seed)
    test = accuracy(params, data.test_images, data.test_labels)
    print(f"test accuracy {test:.2%} after {time.perf_counter() - started:.1f} s of training")
    try:
        plot_losses(losses, f"{data.source}: test accuracy {test:.2%}", args.plot)
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: the loss curve cannot be saved: {error}") from None
    print(f"loss curve: {args.plot}")


if __name__ == "__main__":
    main()
