"""A variational autoencoder of handwritten digits, with two latent variables: a map of all digits.

    python examples/digits_vae.py --out vae.png                 scikit-learn's digits, 8 × 8 pixels
    python examples/digits_vae.py --data DIR --out vae.png      the MNIST files in DIR

The encoder gives a normal distribution q(z|x) for each image, the decoder the probability of ink in every pixel for
each z. Both are trained on the evidence lower bound (ELBO), with noise drawn by `funcgrad.random` and moved by the
parameters, so that `grad` goes through the sample. Method: Kingma & Welling (2014); the tighter bound by importance
sampling: Burda, Grosse & Salakhutdinov (2016).
"""

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from example_tools import check, command_line, draw_losses, note, save
from funcgrad import jit, lax, nn, optim, random, train, vmap
from funcgrad.nn import layers
from mnist_data import DataFileError, Dataset, load_directory, load_sklearn_digits

LATENT = 2
HIDDEN = 128

Params = dict[str, Any]


def networks(pixels: int) -> tuple[layers.Layer, layers.Layer]:
    """The encoder, from pixels to means and log variances, and the decoder, from z to the logits of pixels."""
    encoder = layers.serial(layers.dense(HIDDEN), nn.relu, layers.dense(HIDDEN), nn.relu, layers.dense(2 * LATENT))
    decoder = layers.serial(layers.dense(HIDDEN), nn.relu, layers.dense(HIDDEN), nn.relu, layers.dense(pixels))
    return encoder, decoder


def log_bernoulli(logits: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The log probability of images x (…, pixels), whose gray values count as shares of ink."""
    return np.sum(x * nn.log_sigmoid(logits) + (1 - x) * nn.log_sigmoid(-logits), axis=-1)


def log_normal(z: np.ndarray, mean: Any, log_variance: Any) -> np.ndarray:
    """The log density of normal distributions with independent components (…, LATENT)."""
    return -0.5 * np.sum((z - mean) ** 2 * np.exp(-log_variance) + log_variance + np.log(2 * np.pi), axis=-1)


def encode(encoder: layers.Layer, params: Params, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and log variances of q(z|x)."""
    mean, log_variance = np.split(encoder.apply(params["encoder"], x), 2, axis=-1)
    return mean, log_variance


def make_loss(encoder: layers.Layer, decoder: layers.Layer) -> Any:
    """Minus the ELBO of a batch, in nats for each image; the divergence from the prior is known in closed form."""

    def loss(params: Params, x: np.ndarray, *, key: Any) -> np.floating:
        mean, log_variance = encode(encoder, params, x)
        z = mean + np.exp(0.5 * log_variance) * random.normal(key, mean.shape, mean.dtype)
        divergence = 0.5 * np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance, axis=-1)
        return np.mean(divergence - log_bernoulli(decoder.apply(params["decoder"], z), x))

    return loss


def importance_bound(
    encoder: layers.Layer, decoder: layers.Layer, params: Params, x: np.ndarray, key: Any, samples: int
) -> np.ndarray:
    """A bound of log p(x) from several samples, at least as high as the ELBO: (n, pixels) → (n,)."""
    mean, log_variance = encode(encoder, params, x)

    def weight(key: Any) -> np.ndarray:
        z = mean + np.exp(0.5 * log_variance) * random.normal(key, mean.shape, mean.dtype)
        joint = log_bernoulli(decoder.apply(params["decoder"], z), x) + log_normal(z, 0.0, np.zeros_like(z))
        return joint - log_normal(z, mean, log_variance)

    return nn.logmeanexp(lax.map(weight, random.split(key, samples)), axis=0)


def neighbours_agree(places: np.ndarray, labels: np.ndarray) -> float:
    """The share of places whose nearest other place has the same label."""
    distances = np.sum((places[:, None] - places) ** 2, axis=-1)
    np.fill_diagonal(distances, np.inf)
    return float(np.mean(labels[np.argmin(distances, axis=1)] == labels))


def draw_picture(losses: list[float], places: np.ndarray, labels: np.ndarray, digits: np.ndarray) -> Figure:
    """The loss, the places of the test images, and what the decoder draws on a grid of quantiles of the prior."""
    figure = Figure(figsize=(15, 5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    draw_losses(left, losses, "minus ELBO (nats)", logarithmic=False)
    colors = middle.scatter(*places.T, c=labels, cmap="tab10", s=6, vmin=-0.5, vmax=9.5)
    figure.colorbar(colors, ax=middle, ticks=range(10))
    middle.set(title="means of q(z|x) of images held back")
    digits = np.pad(digits, ((0, 0), (0, 0), (1, 1), (1, 1)))
    rows, columns, height, width = digits.shape
    right.imshow(digits.transpose(0, 2, 1, 3).reshape(rows * height, columns * width), cmap="gray_r")
    right.set(title="what the decoder draws for z on a grid", xticks=[], yticks=[])
    return figure


def grid_of_digits(decoder: layers.Layer, params: Params, side: int, count: int = 15) -> np.ndarray:
    """Images (count, count, side, side) on a grid; the second component of z rises from bottom to top."""
    points = np.linspace(-2.2, 2.2, count).astype(np.float32)
    z = np.stack(np.meshgrid(points, points[::-1]), axis=-1)
    return nn.sigmoid(decoder.apply(params["decoder"], z)).reshape(count, count, side, side)


def load(directory: Path | None, seed: int) -> Dataset:
    """The images, or an error in one line."""
    try:
        return load_directory(directory, seed=seed) if directory else load_sklearn_digits(seed=seed)
    except DataFileError as error:
        raise SystemExit(f"error: {error}") from None


def main(argv: list[str] | None = None) -> None:
    """Trains, measures both bounds on images held back, and draws the map."""
    parser = command_line(__doc__)
    parser.add_argument("--data", type=Path, metavar="DIR", help="a directory with MNIST files (IDX, raw or .gz)")
    args = parser.parse_args(argv)
    data = load(args.data, args.seed)
    x, held = (images.reshape(len(images), -1) for images in (data.train_images, data.test_images))
    note(f"data: {data.source}: {len(x)} images to learn from, {len(held)} to test with")
    encoder, decoder = networks(x.shape[1])
    first, second, third, fourth = random.split(random.key(args.seed), 4)
    params = {
        "encoder": encoder.init(first, x[:1]),
        "decoder": decoder.init(second, np.zeros((1, LATENT), np.float32)),
    }
    loss = make_loss(encoder, decoder)
    steps = 250 if args.quick else 4000
    started = time.perf_counter()
    optimiser = optim.adam(optim.cosine_decay_schedule(3e-3, steps))
    params, history = train.fit(loss, params, optimiser, (x,), steps=steps, batch_size=100, key=third, progress=False)
    note(f"{steps} steps in {time.perf_counter() - started:.1f} s")

    samples = 10 if args.quick else 200
    elbo = -float(np.mean(vmap(partial(loss, params, held), axis_size=samples)(key=random.split(fourth, samples))))
    bound = float(np.mean(jit(partial(importance_bound, encoder, decoder, samples=samples))(params, held, fourth)))
    ink = np.clip(x.mean(0), 1e-3, 1 - 1e-3)
    apart = float(np.mean(log_bernoulli(np.log(ink / (1 - ink)), held)))
    note(f"log p(x) of images held back: at least {bound:.2f} nats (ELBO {elbo:.2f}); pixels on their own: {apart:.2f}")
    check("nats gained over pixels on their own", bound - apart, at_least=0.8 if args.quick else 3.0)
    check("importance-weighted bound above the ELBO by", bound - elbo, at_least=0.0)
    places, _ = encode(encoder, params, held[:1000])
    agree = neighbours_agree(places, data.test_labels[:1000])
    check("nearest neighbours with the same digit", agree, at_least=0.3 if args.quick else 0.6)
    digits = grid_of_digits(decoder, params, data.test_images.shape[1])
    save(draw_picture(history["loss"], places, data.test_labels[:1000], digits), args.out)


if __name__ == "__main__":
    main()
