"""Handwritten digits, read by a small convolutional network.

    python examples/mnist_cnn.py --data DIR --out cnn.png     the MNIST files in DIR
    python examples/mnist_cnn.py                              scikit-learn's digits, 8 × 8 pixels

Two convolutions with ReLU and max pooling, then two dense layers, of `nn.layers`; Adam with a cosine schedule. Where
there is only one set of images, one in five is held back for the test.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from example_tools import check, command_line, draw_losses, note, save, training_step
from funcgrad import jit, nn, optim, random
from funcgrad.nn import layers
from mnist_data import CLASSES, DataFileError, Dataset, jitter, load_directory, load_sklearn_digits

BATCH = 64

Params = dict[str, Any]

NETWORK = layers.serial(
    conv1=layers.conv(8, 5),
    relu1=nn.relu,
    pool1=layers.max_pool(2),
    conv2=layers.conv(16, 5),
    relu2=nn.relu,
    pool2=layers.max_pool(2),
    flat=layers.flatten(),
    dense=layers.dense(128),
    relu3=nn.relu,
    out=layers.dense(CLASSES),
)


def network(params: Params, images: np.ndarray) -> np.ndarray:
    """The score of every class for every image: (n, height, width) → (n, classes)."""
    return NETWORK.apply(params, images[..., None])


def loss(params: Params, images: np.ndarray, labels: np.ndarray) -> np.floating:
    """The mean cross entropy."""
    log_probs = nn.log_softmax(network(params, images))
    return -np.mean(log_probs[np.arange(len(labels)), labels])


def predict(params: Params, images: np.ndarray) -> np.ndarray:
    """The class of every image, a thousand at a time."""
    compiled = jit(network)
    parts = [compiled(params, images[start : start + 1000]) for start in range(0, len(images), 1000)]
    return np.argmax(np.concatenate(parts), axis=1)


def train(data: Dataset, *, epochs: int, seed: int) -> tuple[Params, list[float]]:
    """Parameters and the loss of every step; in every epoch the images are moved a little, anew."""
    rng = np.random.default_rng(seed)
    steps = len(data.train_images) // BATCH
    optimiser = optim.adam(optim.cosine_decay_schedule(2e-3, epochs * steps))
    params = NETWORK.init(random.key(seed), data.train_images[:1, ..., None])
    state, step, losses = optimiser.init(params), training_step(loss, optimiser), []
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        order = rng.permutation(len(data.train_images))
        for chosen in order[: steps * BATCH].reshape(steps, BATCH):
            images = jitter(data.train_images[chosen], rng)
            params, state, value = step(params, state, images, data.train_labels[chosen])
            losses.append(float(value))
        mean = np.mean(losses[-steps:])
        note(f"epoch {epoch:2}/{epochs}   loss {mean:.4f}   {time.perf_counter() - started:.2f} s")
    return params, losses


def draw_picture(data: Dataset, params: Params, losses: list[float], guesses: np.ndarray) -> Figure:
    """The loss, the kernels of the first layer, and images that are read wrongly."""
    figure: Any = Figure(figsize=(11, 6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.2])
    top, bottom = left.subfigures(2, 1)
    draw_losses(top.subplots(), losses, "cross entropy")
    bottom.suptitle("kernels of the first layer")
    kernels = params["conv1"]["weight"]
    limit = np.abs(kernels).max()
    for i, axes in enumerate(bottom.subplots(2, kernels.shape[-1] // 2).flat):
        axes.imshow(kernels[:, :, 0, i], cmap="RdBu", vmin=-limit, vmax=limit)
        axes.axis("off")
    wrong = np.flatnonzero(guesses != data.test_labels)
    right.suptitle(f"read wrongly: {len(wrong)} of {len(guesses)} (what was read, what it is)")
    for i, axes in enumerate(right.subplots(5, 6).flat):
        axes.axis("off")
        if i < len(wrong):
            axes.imshow(data.test_images[wrong[i]], cmap="gray_r")
            axes.set_title(f"{guesses[wrong[i]]}, {data.test_labels[wrong[i]]}", fontsize=9)
    return figure


def main(argv: list[str] | None = None) -> None:
    """Loads the images, trains, tests, and draws."""
    parser = command_line(__doc__)
    parser.add_argument("--data", type=Path, metavar="DIR", help="a directory with MNIST files (IDX, raw or .gz)")
    args = parser.parse_args(argv)
    try:
        data = (
            load_sklearn_digits(seed=args.seed)
            if args.data is None
            else load_directory(Path(args.data), seed=args.seed)
        )
    except DataFileError as error:
        raise SystemExit(f"error: {error}") from None
    note(f"data: {data.source}: {len(data.train_images)} images to learn from, {len(data.test_images)} to test with")
    full = 30 if len(data.train_images) < 5000 else 8
    params, losses = train(data, epochs=5 if args.quick else full, seed=args.seed)
    guesses = predict(params, data.test_images)
    accuracy = float(np.mean(guesses == data.test_labels))
    check("test accuracy", accuracy, at_least=0.8 if args.quick else 0.975)
    save(draw_picture(data, params, losses, guesses), args.out)


if __name__ == "__main__":
    main()
