"""An LSTM that adds two numbers of a long sequence: the adding problem.

    python examples/lstm_adding.py --out lstm.png

Each step of a sequence brings a number from [0, 1] and a mark, which is 1 at two places, else 0. What is wanted at
the end is the sum of the two marked numbers. Always to say 1, the mean, gives a squared error of 1/6; to do better,
the network must carry the first number over many steps. Problem and cell: Hochreiter & Schmidhuber (1997).

The cell is a function, `scan` runs it along the sequence, and `grad` differentiates through all of its steps.
"""

import time
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from example_tools import check, draw_losses, note, parse, save, training_step
from funcgrad import grad, jit, lax, nn, optim, random, vmap

HIDDEN = 32
BATCH = 64

Params = dict[str, Any]


def sequences(rng: np.random.Generator, count: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (length, count, 2) and their sums (count,); one mark is in each half."""
    numbers = rng.random((length, count), np.float32)
    marks = np.zeros((length, count), np.float32)
    marks[rng.integers(0, length // 2, count), np.arange(count)] = 1
    marks[rng.integers(length // 2, length, count), np.arange(count)] = 1
    return np.stack([numbers, marks], axis=-1), np.sum(numbers * marks, axis=0)


def init_params(key: Any) -> Params:
    """Orthogonal weights for the state, and a forget gate that is open at first."""
    first, second, last = random.split(key, 3)
    glorot = nn.initializers.glorot_uniform()
    bias = np.zeros(4 * HIDDEN, np.float32)
    bias[HIDDEN : 2 * HIDDEN] = 1
    blocks = [random.orthogonal(k, HIDDEN, dtype=np.float32) for k in random.split(second, 4)]
    return {
        "input": glorot(first, (2, 4 * HIDDEN), np.float32),
        "state": np.concatenate(blocks, axis=1),
        "bias": bias,
        "out": glorot(last, (HIDDEN, 1), np.float32),
        "out_bias": np.zeros(1, np.float32),
    }


def lstm(params: Params, inputs: np.ndarray) -> np.ndarray:
    """The last hidden state (batch, HIDDEN) for inputs (length, batch, 2)."""

    def cell(carry: tuple[np.ndarray, np.ndarray], x: np.ndarray) -> tuple[Any, None]:
        h, c = carry
        gates = x @ params["input"] + h @ params["state"] + params["bias"]
        enter, forget, new, leave = np.split(gates, 4, axis=-1)
        c = nn.sigmoid(forget) * c + nn.sigmoid(enter) * np.tanh(new)
        return (nn.sigmoid(leave) * np.tanh(c), c), None

    zeros = np.zeros((inputs.shape[1], HIDDEN), np.float32)
    (h, _), _ = lax.scan(cell, (zeros, zeros), inputs)
    return h


def predict(params: Params, inputs: np.ndarray) -> np.ndarray:
    """The sums (batch,) that the network finds."""
    return (lstm(params, inputs) @ params["out"] + params["out_bias"])[:, 0]


def loss(params: Params, inputs: np.ndarray, sums: np.ndarray) -> np.floating:
    """The mean squared error."""
    return np.mean((predict(params, inputs) - sums) ** 2)


def sensitivity(params: Params, inputs: np.ndarray) -> np.ndarray:
    """The derivative of each answer by each number of its own sequence: (length, batch)."""

    def answer(one: np.ndarray) -> np.ndarray:
        return predict(params, one[:, None])[0]

    return vmap(grad(answer), in_axes=1, out_axes=1)(inputs)[..., 0]


def draw_picture(params: Params, losses: list[float], inputs: np.ndarray, sums: np.ndarray) -> Figure:
    """The loss, answers against sums, and the sensitivity to each number of a few sequences."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    draw_losses(left, losses, "squared error")
    left.axhline(1 / 6, color="black", lw=0.8, ls=":")
    middle.scatter(sums, predict(params, inputs), s=4)
    middle.plot([0, 2], [0, 2], color="black", lw=0.8)
    middle.set(xlabel="sum", ylabel="answer")
    image = right.imshow(sensitivity(params, inputs[:, :20]).T, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
    for row in range(20):
        right.plot(np.flatnonzero(inputs[:, row, 1]), [row, row], "k.", ms=3)
    right.set(title="derivative of the answer by each number", xlabel="step (dots: marks)", yticks=[])
    figure.colorbar(image, ax=right)
    return figure


def main(argv: list[str] | None = None) -> None:
    """Trains on new sequences in every step, tests, and draws."""
    args = parse(__doc__, argv)
    length, steps = (10, 400) if args.quick else (50, 2000)
    rng = np.random.default_rng(args.seed)
    optimiser = optim.chain(optim.clip_by_global_norm(1.0), optim.adam(optim.cosine_decay_schedule(1e-2, steps)))
    params = init_params(random.key(args.seed))
    state, step, losses = optimiser.init(params), training_step(loss, optimiser), []
    started = time.perf_counter()
    for number in range(1, steps + 1):
        params, state, value = step(params, state, *sequences(rng, BATCH, length))
        losses.append(float(value))
        if number % (steps // 5) == 0:
            note(f"step {number}: error {np.mean(losses[-50:]):.5f}   {time.perf_counter() - started:.1f} s")
    inputs, sums = sequences(rng, 1000, length)
    test = float(jit(loss)(params, inputs, sums))
    check("squared error on new sequences (1/6 without memory)", test, at_most=0.08 if args.quick else 1e-3)

    effects = sensitivity(params, inputs[:, :100])
    marked = inputs[:, :100, 1] == 1
    check("mean derivative by a marked number", float(effects[marked].mean()), at_least=0.4 if args.quick else 0.95)
    others = float(np.abs(effects[~marked]).mean())
    check("mean size of the derivative by another", others, at_most=0.1 if args.quick else 0.02)
    save(draw_picture(params, losses, inputs, sums), args.out)


if __name__ == "__main__":
    main()
