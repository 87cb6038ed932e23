"""Row 2: the chain rule on numbers (document 000).

What it teaches: the derivative of a composition is the product of the derivatives along the way. The picture shows it:
values go forward, and the derivatives of the loss by each of them come back.

How to see a derivative by a value in the middle: add a nudge of zero to that value, and differentiate by the nudge.
"""

import argparse
from itertools import pairwise
from typing import Any

import by_hand
from common import Report, draw_flow, main, panels
from funcgrad import value_and_grad

Numbers = dict[str, Any]
PARAMS = {"w1": 1.5, "b1": 0.5, "w2": -0.8, "b2": 0.3}
X, TARGET = 2.0, 1.0
STEPS = ("x", "w1x", "z1", "h", "w2h", "y", "loss")  # all values on the way, in order


def square(x: Any) -> Any:
    return (x + 2) ** 2


def values(params: Numbers, x: Any, nudges: Numbers) -> Numbers:
    """All values of x → w1·x + b1 → ReLU → w2·h + b2 → L = (y - t)² / 2."""
    x = x + nudges["x"]
    w1x = params["w1"] * x + nudges["w1x"]
    z1 = w1x + params["b1"] + nudges["z1"]
    h = max(0.0, z1) + nudges["h"]
    w2h = params["w2"] * h + nudges["w2h"]
    y = w2h + params["b2"] + nudges["y"]
    return {"x": x, "w1x": w1x, "z1": z1, "h": h, "w2h": w2h, "y": y, "loss": (y - TARGET) ** 2 / 2 + nudges["loss"]}


def loss(params: Numbers, x: Any, nudges: Numbers) -> Any:
    return values(params, x, nudges)["loss"]


def run(args: argparse.Namespace) -> Report:
    report = Report(2, "000", "The chain rule on numbers", args.out)
    z, slope = value_and_grad(square)(3.0)
    report.same("(x + 2)² and its derivative at 3", (z, slope), (25.0, 10.0), rtol=0)
    report.number("z, dz/dx", f"{z:g}, {slope:g}", "25, 10")

    nudges: Numbers = {name: 0.0 for name in STEPS}
    forward = values(PARAMS, X, nudges)
    _, (grads, back) = value_and_grad(loss, argnums=(0, 2))(PARAMS, X, nudges)
    by_values, by_cotangents, by_gradients = by_hand.scalar_chain(X, TARGET, PARAMS)
    report.same("values", {name: forward[name] for name in by_values}, by_values, rtol=1e-15)
    report.same("cotangents", {name: back[name] for name in by_cotangents}, by_cotangents, rtol=1e-15)
    report.same("gradients", grads, by_gradients, rtol=1e-15)
    report.number(
        "x → z1 → h → y", " → ".join(f"{forward[n]:.2f}" for n in ("x", "z1", "h", "y")), "2.00 → 3.50 → 3.50 → -2.50"
    )
    for name, stated in {"w1": 5.6, "b1": 2.8, "w2": -12.25, "b2": -3.5}.items():
        report.number(f"dL/d{name}", f"{grads[name]:.4f}", f"{stated:.4f}")

    draw(report, forward, back, grads)
    return report


def draw(report: Report, forward: Numbers, back: Numbers, grads: Numbers) -> None:
    """The picture: a line from x to L, into which the parameters come from below."""
    texts = {"x": "x", "mul1": "×", "add1": "+", "relu": "ReLU", "mul2": "×", "add2": "+", "half": "(y−t)²/2", "L": "L"}
    nodes = {name: (1.5 * i, 0.0, text) for i, (name, text) in enumerate(texts.items())}
    edges = [(start, end, forward[n], back[n]) for (start, end), n in zip(pairwise(texts), STEPS, strict=True)]
    for name, operation in {"w1": "mul1", "b1": "add1", "w2": "mul2", "b2": "add2"}.items():
        nodes[name] = (nodes[operation][0], -1.0, name)
        edges.append((name, operation, PARAMS[name], grads[name]))
    figure, [axes] = panels(width=11, height=3.2)
    draw_flow(axes, nodes, edges, "x = 2, t = 1: values forward, derivatives of the loss backward")
    report.picture(figure, "flow")


if __name__ == "__main__":
    main(run, __doc__)
