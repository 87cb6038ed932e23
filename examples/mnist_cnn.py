"""Handwritten digits, read by a small convolutional network.

    python examples/mnist_cnn.py --data DIR --out cnn.png     the MNIST files in DIR
    python examples/mnist_cnn.py                              scikit-learn's digits, 8 × 8 pixels

Two convolutions with ReLU and max pooling, then two dense layers; Adam with a cosine schedule. Where there is only
one set of images, one in five is held back for the test.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from example_tools import check, command_line, draw_losses, note, save, training_step
from funcgrad import jit, lax, nn, optim, random
from mnist_data import CLASSES, DataFileError, Dataset, jitter, load_directory, load_sklearn_digits

CHANNELS = (1, 8, 16)
HIDDEN = 128
KERNEL = 5
BATCH = 64
ORDER = ("NHWC", "HWIO", "NHWC")  # of the dimensions of images, kernels and results
WINDOW = (1, 2, 2, 1)

Params = dict[str, Any]


def init_params(key: Any, side: int) -> Params:
    """Kernels and weights by He's rule, biases 0."""
    draw = nn.initializers.he_normal()
    keys = random.split(key, 4)
    flat = (side // 4) ** 2 * CHANNELS[2]
    shapes = {
        "conv1": (KERNEL, KERNEL, *CHANNELS[:2]),
        "conv2": (KERNEL, KERNEL, *CHANNELS[1:]),
        "dense": (flat, HIDDEN),
        "out": (HIDDEN, CLASSES),
    }
    return {
        name: {"w": draw(key, shape, np.float32), "b": np.zeros(shape[-1], np.float32)}
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def convolve(layer: Params, x: np.ndarray) -> np.ndarray:
    """Convolution, ReLU, and the largest of every 2 × 2 values: (n, h, w, c) → (n, h/2, w/2, c')."""
    x = lax.conv_general_dilated(x, layer["w"], (1, 1), "SAME", dimension_numbers=ORDER) + layer["b"]
    return lax.reduce_window(nn.relu(x), -np.inf, lax.max, WINDOW, WINDOW, "VALID")


def network(params: Params, images: np.ndarray) -> np.ndarray:
    """The score of every class for every image: (n, height, width) → (n, classes)."""
    x = convolve(params["conv1"], images[..., None])
    x = convolve(params["conv2"], x)
    x = nn.relu(x.reshape(len(x), -1) @ params["dense"]["w"] + params["dense"]["b"])
    return x @ params["out"]["w"] + params["out"]["b"]


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
    params = init_params(random.key(seed), data.train_images.shape[1])
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
    kernels = params["conv1"]["w"]
    limit = np.abs(kernels).max()
    for i, axes in enumerate(bottom.subplots(2, CHANNELS[1] // 2).flat):
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
    params, losses = train(data, epochs=3 if args.quick else full, seed=args.seed)
    guesses = predict(params, data.test_images)
    accuracy = float(np.mean(guesses == data.test_labels))
    check("test accuracy", accuracy, at_least=0.8 if args.quick else 0.975)
    save(draw_picture(data, params, losses, guesses), args.out)


if __name__ == "__main__":
    main()
