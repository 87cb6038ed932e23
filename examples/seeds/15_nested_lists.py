"""Row 15: a network of nested lists, without NumPy (document 004).

What it teaches: what happens at a single node. The document goes through layers and nodes with loops, keeps every sum
and output in caches on the way forward, and uses them on the way back. Here the same loops go forward only, over plain
Python numbers; the nested lists of weights and biases are the tree of parameters, and `grad` gives back nested lists of
floats. No caches: what the backward pass needs is kept by itself.
"""

import argparse
import math
from typing import Any

import by_hand
from common import Report, curves, main, panels
from funcgrad import grad, tree, value_and_grad
from layers import descend

Nested = list[Any]
Params = tuple[Nested, Nested]  # weights[layer][node][input], biases[layer][node]
RATE = 0.1

# The document's provisional numbers: all zero, so that every hidden node gives 0.5.
ZEROS = ([[[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0, 0.0]]], [[0.0, 0.0, 0.0], [0.0]])
CASES: dict[str, tuple[Params, list[float], list[float]]] = {
    "2-3-1, zeros": (ZEROS, [0.05, 0.1], [1.0]),
    "2-3-1": (
        ([[[0.1, -0.2], [0.3, 0.4], [-0.5, 0.6]], [[0.7, -0.8, 0.9]]], [[0.05, -0.1, 0.15], [0.2]]),
        [0.05, 0.1],
        [1.0],
    ),
    "2-2-2": (
        ([[[0.15, 0.2], [0.25, 0.3]], [[0.4, 0.45], [0.5, 0.55]]], [[0.35, 0.35], [0.6, 0.6]]),
        [0.05, 0.1],
        [0.01, 0.99],
    ),
}


def summation(x: Nested, w: Nested, b: Any) -> Any:
    """The weighted sum at a node."""
    total = b
    for each_x, each_w in zip(x, w, strict=True):
        total = total + each_x * each_w
    return total


def sigmoid(x: Any) -> Any:
    return 1 / (1 + math.e ** (-x))


def identity(x: Any) -> Any:
    return x


def forward_prop(params: Params, x: Nested) -> Nested:
    """Layer by layer, node by node: sigmoids, and the identity in the last layer."""
    weights, biases = params
    for layer, (layer_w, layer_b) in enumerate(zip(weights, biases, strict=True)):
        activation = identity if layer == len(weights) - 1 else sigmoid
        x = [activation(summation(x, w, b)) for w, b in zip(layer_w, layer_b, strict=True)]
    return x


def sse_loss(params: Params, x: Nested, targets: Nested) -> Any:
    """Half the sum of squared errors."""
    return sum(0.5 * (y - t) ** 2 for y, t in zip(forward_prop(params, x), targets, strict=True))


back_prop = grad(sse_loss)

update_params = descend


def only_floats(params: Any) -> bool:
    """Whether the leaves are Python floats and nothing else."""
    return all(type(leaf) is float for leaf in tree.leaves(params))


def run(args: argparse.Namespace) -> Report:
    report = Report(15, "004", "Nested lists without NumPy", args.out)
    histories = {}
    for name, (start, x, targets) in CASES.items():
        value, grads = value_and_grad(sse_loss)(start, x, targets)
        outs, _ = by_hand.list_forward(start[0], start[1], x)
        report.same(f"{name}: loss", value, by_hand.list_loss(outs[-1], targets))
        report.same(f"{name}: back_prop, node by node", grads, by_hand.list_backward(start[0], start[1], x, targets))
        report.holds(f"{name}: gradients are nested lists of floats", only_floats(grads))

        params = expected = start
        histories[name] = losses = []
        for _ in range(20 if args.quick else 100):
            losses.append(sse_loss(params, x, targets))
            params = update_params(params, back_prop(params, x, targets), RATE)
            by_nodes = by_hand.list_backward(expected[0], expected[1], x, targets)
            expected = tree.map(lambda p, g: p - RATE * g, expected, by_nodes)
        report.same(f"{name}: parameters after {len(losses)} updates", params, expected, rtol=1e-9)
        report.holds(f"{name}: parameters are still nested lists of floats", only_floats(params))
        report.number(
            f"{name}: loss at first and after {len(losses) - 1} updates", f"{losses[0]:.5f}, {losses[-1]:.2e}"
        )

    weights, biases = back_prop(*CASES["2-3-1, zeros"])
    report.holds("the output node's gradients, from zeros", (weights[1], biases[1]) == ([[-0.5, -0.5, -0.5]], [-1.0]))
    report.number(
        "from zeros: gradients of the output node", f"{weights[1][0]}, {biases[1]}", "y − t = −1, hidden outputs 0.5"
    )
    figure, [axes] = panels()
    curves(axes, histories, title="networks of nested lists", xlabel="update", ylabel="half the sum of squared errors")
    axes.set_yscale("log")
    report.picture(figure, "losses")
    return report


if __name__ == "__main__":
    main(run, __doc__)
