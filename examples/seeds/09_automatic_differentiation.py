"""Row 9: automatic differentiation of z = x·y + x (document 000).

What it teaches: derivatives can be had from the program itself. The document keeps a graph of variables that know how
they were made; `by_hand.Variable` is that idea in twenty lines. funcgrad records the same graph as a program, which can
be printed, and so can the program of its gradient. x is used twice, and both ways back to it add up.
"""

import argparse
from typing import Any

import numpy as np

from by_hand import Variable
from common import Report, draw_flow, main, panels
from funcgrad import grad, make_ir, value_and_grad, vjp


def f(x: Any, y: Any) -> Any:
    return x * y + x


def nudged(nudges: dict[str, Any]) -> Any:
    """z, with a nudge of zero on every arrow of the picture: its derivative is what comes back along that arrow."""
    product = (2.0 + nudges["x to ×"]) * (3.0 + nudges["y to ×"]) + nudges["× to +"]
    return product + (2.0 + nudges["x to +"]) + nudges["+ to z"]


def run(args: argparse.Namespace) -> Report:
    report = Report(9, "000", "Automatic differentiation of z = x·y + x", args.out)
    x, y = Variable(2.0), Variable(3.0)
    z = f(x, y)  # the same function, called with the document's kind of variables
    z.backward()

    value, grads = value_and_grad(f, argnums=(0, 1))(2.0, 3.0)
    report.same("z and its gradient, as by variables that remember", (value, grads), (z.data, (x.grad, y.grad)), rtol=0)
    out, pull = vjp(f, np.array([2.0]), np.array([3.0]))
    report.same("the same for arrays", (out, *pull(np.ones(1))), (np.array([8.0]), np.array([4.0]), np.array([2.0])))
    report.number("z", f"{value:g}", "8")
    report.number("dz/dx, dz/dy", f"{grads[0]:g}, {grads[1]:g}", "4, 2")
    report.number("d²z/dx dy", f"{grad(grad(f), argnums=1)(2.0, 3.0):g}")
    print(make_ir(grad(f, argnums=(0, 1)))(2.0, 3.0))

    back = grad(nudged)(dict.fromkeys(["x to ×", "y to ×", "× to +", "x to +", "+ to z"], 0.0))
    report.same("both ways back to x add up", back["x to ×"] + back["x to +"], x.grad, rtol=0)
    nodes = {
        "x": (0.0, 0.0, "x = 2"),
        "y": (0.0, -1.0, "y = 3"),
        "×": (1.5, -1.0, "×"),
        "+": (3.0, 0.0, "+"),
        "z": (4.5, 0.0, "z"),
    }
    values = {"x to ×": 2.0, "y to ×": 3.0, "× to +": 6.0, "x to +": 2.0, "+ to z": 8.0}
    edges = []
    for name, number in values.items():
        start, end = name.split(" to ")
        edges.append((start, end, number, back[name]))
    figure, [axes] = panels(width=7, height=3.2)
    draw_flow(axes, nodes, edges, "z = x·y + x: dz/dx = 3 + 1 = 4, dz/dy = 2")
    report.picture(figure, "graph")
    return report


if __name__ == "__main__":
    main(run, __doc__)
