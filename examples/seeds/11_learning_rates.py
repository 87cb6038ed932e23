"""Row 11: learning rates that change from epoch to epoch (document 000).

What it teaches: a schedule is a function from the epoch to a rate. Written with `np.where` instead of `if` it also
takes all epochs at once (`vmap`) and goes into a compiled training step, where the epoch is a number like any other.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

import by_hand
from common import Report, curves, main, panels
from funcgrad import jit, value_and_grad, vmap
from layers import Array, Layers, affine, descend

EPOCHS, RATE = 50, 0.1


def step_decay(epoch: Any) -> Any:
    return RATE * 0.5 ** (epoch // 10)


def exponential_decay(epoch: Any) -> Any:
    return RATE * 0.95**epoch


def cosine_annealing(epoch: Any) -> Any:
    return RATE * (1 + np.cos(np.pi * epoch / EPOCHS)) / 2


def warmup(epoch: Any, rate: Any = RATE) -> Any:
    """Up to `rate` over five epochs."""
    return np.where(epoch < 5, rate * (epoch + 1) / 5, rate)


def warmup_cosine(epoch: Any) -> Any:
    return warmup(epoch, cosine_annealing(epoch))


SCHEDULES: dict[str, tuple[Callable[[Any], Any], Callable[[int], float]]] = {
    "step decay": (step_decay, lambda epoch: by_hand.step_decay(RATE, epoch)),
    "exponential": (exponential_decay, lambda epoch: by_hand.exponential_decay(RATE, epoch)),
    "cosine": (cosine_annealing, lambda epoch: by_hand.cosine_annealing(RATE, epoch, EPOCHS)),
    "warm-up": (warmup, lambda epoch: by_hand.warmup(RATE, epoch)),
    "warm-up + cosine": (
        warmup_cosine,
        lambda epoch: by_hand.warmup(by_hand.cosine_annealing(RATE, epoch, EPOCHS), epoch),
    ),
}


def loss(layers: Layers, x: Array, y: Array) -> Any:
    """Half the mean squared error of a network with one hidden layer of tanh."""
    [(w1, b1), (w2, b2)] = layers
    return np.mean((affine(np.tanh(affine(x, w1, b1)), w2, b2) - y) ** 2) / 2


def train(schedule: Callable[[Any], Any], layers: Layers, x: Array, y: Array, epochs: int) -> list[float]:
    """The loss of every epoch."""

    @jit
    def step(layers: Layers, epoch: Any) -> tuple[Any, Layers]:
        value, grads = value_and_grad(loss)(layers, x, y)
        return value, descend(layers, grads, schedule(epoch))

    losses = []
    for epoch in range(epochs):
        for _ in range(19):
            _, layers = step(layers, float(epoch))
        value, layers = step(layers, float(epoch))
        losses.append(float(value))
    return losses


def run(args: argparse.Namespace) -> Report:
    report = Report(11, "000", "Learning-rate schedules", args.out)
    epochs = np.arange(EPOCHS)
    rates, losses = {}, {}
    x = np.linspace(-3, 3, 100)[:, None]
    layers = by_hand.deep_init(11, [1, 20, 1])
    for name, (schedule, hand) in SCHEDULES.items():
        by_epoch = np.array([hand(int(epoch)) for epoch in epochs])
        report.same(
            f"{name}, every epoch", np.array([schedule(epoch) for epoch in epochs]), by_epoch, rtol=1e-14, atol=1e-17
        )
        report.same(f"{name}, all at once, compiled", jit(vmap(schedule))(epochs), by_epoch, rtol=1e-14, atol=1e-17)
        rates[name] = (epochs, by_epoch)
        losses[name] = train(schedule, layers, x, np.sin(x), 5 if args.quick else EPOCHS)
        report.holds(f"{name}: the loss has gone down", losses[name][-1] < losses[name][0])
        report.number(f"{name}: rate at epochs 0, 10, 49; loss at the end",
                      ", ".join(f"{by_epoch[e]:.4g}" for e in (0, 10, 49)) + f"; {losses[name][-1]:.4f}")  # fmt: skip

    figure, axes = panels(2, width=6)
    curves(axes[0], rates, title="learning rates", xlabel="epoch", ylabel="rate", lw=2)
    curves(
        axes[1], losses, title="sin(x) learned with each of them", xlabel="epoch", ylabel="half the mean squared error"
    )
    axes[1].set_yscale("log")
    report.picture(figure, "schedules")
    return report


if __name__ == "__main__":
    main(run, __doc__)
