"""What the example programs share: a command line, one step of training, a check, and a picture.

Every program takes `--quick` (a small run, for tests), `--seed`, and `--out FILE` for its picture. It prints its
figures, compares them with what they have to be, and ends with an error where one is not.
"""

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from funcgrad import jit, optim, value_and_grad

__all__ = ["Step", "check", "command_line", "draw_losses", "note", "parse", "save", "training_step"]

Step = Callable[..., tuple[Any, Any, np.ndarray]]


def command_line(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that all examples have; `description` is the program's docstring."""
    text = (description or "").splitlines()[0]
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--quick", action="store_true", help="a small run that takes a second or two")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to save the picture (PNG)")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers: %(default)s")
    return parser


def parse(description: str | None, argv: list[str] | None) -> argparse.Namespace:
    """The options of a program that has no others."""
    return command_line(description).parse_args(argv)


def training_step(
    loss: Callable[..., Any], optimiser: optim.GradientTransformation | optim.GradientTransformationExtraArgs
) -> Step:
    """Returns the compiled step (params, state, *batch) → (params, state, loss) of `loss(params, *batch)`."""

    def step(params: Any, state: Any, *batch: Any) -> tuple[Any, Any, Any]:
        value, grads = value_and_grad(loss)(params, *batch)
        updates, state = optimiser.update(grads, state, params)
        return optim.apply_updates(params, updates), state, value

    return jit(step)


def note(text: str) -> None:
    """Prints a line at once, also where the output goes to a file."""
    print(text, flush=True)


def check(name: str, figure: float, *, at_least: float = -math.inf, at_most: float = math.inf) -> None:
    """Prints a figure with its bound, and ends the program if it is outside, or not a number."""
    bounds = [f"{word} {bound:g}" for word, bound in (("≥", at_least), ("≤", at_most)) if math.isfinite(bound)]
    good = at_least <= figure <= at_most
    note(f"{name}: {figure:.4g}   ({', '.join(bounds)}: {'yes' if good else 'NO'})")
    if not good:
        sys.exit(f"error: {name} is {figure:.6g}, and has to be {' and '.join(bounds)}")


def draw_losses(axes: Axes, losses: list[float] | np.ndarray, label: str, *, logarithmic: bool = True) -> None:
    """Draws the loss of every step, and its running mean over a fiftieth of them."""
    window = max(1, len(losses) // 50)
    means = np.convolve(losses, np.full(window, 1 / window), mode="valid")
    axes.plot(range(1, len(losses) + 1), losses, color="tab:blue", alpha=0.3, lw=0.7)
    axes.plot(range(window, len(losses) + 1), means, color="tab:blue")
    axes.set(xlabel="step", ylabel=label, yscale="log" if logarithmic else "linear")


def save(figure: Figure, path: Path | None) -> None:
    """Saves the picture where the user wants one."""
    if path is not None:
        figure.savefig(path, dpi=110)
        note(f"picture: {path}")
