"""The graph of a small program, with the values that go forward and the cotangents that come back."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import funcgrad.tree as tree
from funcgrad.ir import Equation, Program, Var
from funcgrad.plot._charts import axes_for
from funcgrad.plot._layout import layered
from funcgrad.transforms.grad import grad
from funcgrad.transforms.make_ir import make_ir
from funcgrad.types import dtype_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["graph"]

LIMIT = 80  # nodes of a picture that somebody could still read
_INPUT, _OPERATION, _CONSTANT = "#dbe9f6", "#ffffff", "#eeeeee"


class _Node(NamedTuple):
    title: str
    colour: str
    variables: list[Any]  # the results; one but for a few operations


def _run(program: Program, inputs: list[Any], added: dict[Any, Any]) -> dict[Any, Any]:
    """The value of every variable, with something added to some of them where they arise."""

    def arisen(v: Any, value: Any) -> Any:
        return value + added[v] if v in added else value

    env = {v: arisen(v, x) for v, x in zip(program.constvars, program.consts, strict=True)}
    env |= {v: arisen(v, x) for v, x in zip(program.inputs, inputs, strict=True)}
    for eqn in program.equations:
        out = eqn.primitive.bind(*(a.value if a.is_literal else env[a] for a in eqn.inputs), **eqn.params)
        outs = out if eqn.primitive.multiple else [out]
        env |= {v: arisen(v, x) for v, x in zip(eqn.outputs, outs, strict=True)}
    return env


def _cotangents(program: Program, inputs: list[Any], values: dict[Any, Any]) -> dict[Any, Any]:
    """The derivative of the result by every variable: by a number added to it."""
    variables = [v for v, x in values.items() if dtype_of(x).kind in "fc"]
    (out,) = program.outputs

    def result(added: list[Any]) -> Any:
        env = _run(program, inputs, dict(zip(variables, added, strict=True)))
        return env[out] if isinstance(out, Var) else out.value

    zeros = [np.zeros(np.shape(values[v]), dtype_of(values[v])) for v in variables]
    return dict(zip(variables, grad(result)(zeros), strict=True))


def _input_names(f: Callable[..., Any], args: tuple[Any, ...]) -> list[str]:
    """What the leaves of the arguments are called: the parameter, and the place in it."""
    try:
        names = list(inspect.signature(f).parameters)
    except (TypeError, ValueError):
        names = []
    names += [f"arg{i}" for i in range(len(names), len(args))]
    return [name + tree.keystr(p) for name, a in zip(names, args, strict=False) for p, _ in tree.leaves_with_path(a)]


def _title(eqn: Equation) -> str:
    name = eqn.params.get("name")
    literals = [f"{a.value:g}" for a in eqn.inputs if a.is_literal and np.isreal(a.value)]
    inside = f" {', '.join(literals)}" if literals else ""
    return eqn.primitive.name + inside + (f" {name}" if type(name) is str else "")


def _text(x: Any) -> str:
    """A value in one line: numbers where they are few, else the shape and the norm."""
    a = np.asarray(x)
    if a.size <= 4 and a.ndim <= 2 and a.dtype.kind in "biufc":
        shown: Any = {"all": str if a.dtype.kind in "biu" else lambda v: f"{v:.3g}"}
        return np.array2string(a, separator=", ", max_line_width=10**6, formatter=shown).replace("\n", "")
    norm = f", norm {np.linalg.norm(a.ravel()):.3g}" if a.dtype.kind in "fc" else ""
    return f"{a.dtype}{list(a.shape)}{norm}"


def _nodes(program: Program, names: list[str]) -> tuple[list[_Node], list[tuple[int, int]]]:
    """The nodes in the order of evaluation, and the edges between them. What nobody uses is left out."""
    nodes = [_Node("constant", _CONSTANT, [v]) for v in program.constvars]
    nodes += [_Node(name, _INPUT, [v]) for name, v in zip(names, program.inputs, strict=True)]
    home = {node.variables[0]: i for i, node in enumerate(nodes)}
    edges: list[tuple[int, int]] = []
    for eqn in program.equations:
        i = len(nodes)
        nodes.append(_Node(_title(eqn), _OPERATION, list(eqn.outputs)))
        edges += dict.fromkeys((home[a], i) for a in eqn.inputs if not a.is_literal)
        home |= dict.fromkeys(eqn.outputs, i)
    return nodes, edges


def graph(f: Callable[..., Any], *args: Any, backward: bool = True, ax: Axes | None = None) -> Axes:
    """Draws the program of a function at some arguments: a box for each operation, arrows the way values go.

    In each box: what it is, its value (→), and the derivative of the result by that value (←, in red).

    Args:
        f: a function of pytrees of arrays.
        args: its arguments.
        backward: draw derivatives; the result has to be one real number then.
        ax: where to draw; a new figure, as large as it needs to be, by default.

    Returns:
        The axes.

    Raises:
        ValueError: for a program of more than 80 boxes, which nobody could read.
        TypeError: if the result is not one real number, and derivatives are wanted.

    >>> ax = graph(lambda x, y: np.tanh(x * y) + x, 0.5, -1.0)
    >>> [text.get_text() for text in ax.texts][:3]
    ['x', '→ 0.5', '← 0.214']
    """
    program = make_ir(f)(*args)
    leaves = tree.leaves(args)
    values = _run(program, leaves, {})
    back: dict[Any, Any] = {}
    if backward:
        (aval, *more) = program.out_avals or (None,)
        if more or aval is None or aval.shape or aval.dtype.kind != "f":
            raise TypeError(
                f"graph: derivatives are of one real number, and the result is {program.out_avals}: give backward=False"
            )
        back = _cotangents(program, leaves, values)
    nodes, edges = _nodes(program, _input_names(f, args))
    if len(nodes) > LIMIT:
        raise ValueError(f"graph: {len(nodes)} boxes are too many to read; at most {LIMIT} are drawn")
    places, stops = layered(len(nodes), edges)
    texts = [_lines(node, values, back) for node in nodes]
    width = max(1.6, 0.085 * max(len(line) for lines in texts for line, _ in lines))
    gap, tall = width + 0.7, 0.95
    heights = [y for _, y in places] + [y for stop in stops for _, y in stop] or [0.0]
    size = (1 + gap * max(x for x, _ in places) + width, 1 + tall * (max(heights) - min(heights)) + 0.6)
    axes = axes_for(ax, figsize=size)
    _draw(axes, nodes, texts, [(gap * x, -tall * y) for x, y in places], width)
    for (a, b), stop in zip(edges, stops, strict=True):
        through = [places[a], *stop, places[b]]
        _arrow(axes, [(gap * x, -tall * y) for x, y in through], width)
    axes.set_aspect("equal")
    axes.set(
        xlim=(-0.5 - width / 2, size[0] - 0.5 - width / 2),
        ylim=(-tall * max(heights) - 0.7, -tall * min(heights) + 0.7),
    )
    axes.axis("off")
    return axes


def _lines(node: _Node, values: dict[Any, Any], back: dict[Any, Any]) -> list[tuple[str, str]]:
    lines = [(node.title, "black")]
    for v in node.variables:
        lines.append((f"→ {_text(values[v])}", "#1a5e1a"))
        if v in back:
            lines.append((f"← {_text(back[v])}", "#b00020"))
    return lines


def _draw(ax: Any, nodes: list[_Node], texts: list[Any], places: list[tuple[float, float]], width: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    for node, lines, (x, y) in zip(nodes, texts, places, strict=True):
        tall = 0.22 * len(lines) + 0.06
        style = "round,pad=0,rounding_size=0.06"
        ax.add_patch(
            FancyBboxPatch(
                (x - width / 2, y - tall / 2), width, tall, boxstyle=style, fc=node.colour, ec="0.4", zorder=2
            )
        )
        for i, (line, colour) in enumerate(lines):
            weight = "bold" if i == 0 else "normal"
            at = y + tall / 2 - 0.03 - 0.22 * (i + 0.5)
            ax.text(x, at, line, color=colour, ha="center", va="center", fontsize=8, weight=weight, zorder=3)


def _arrow(ax: Any, through: list[tuple[float, float]], width: float) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    (x0, y0), *_, (x1, y1) = through
    points = [(x0 + width / 2, y0), *through[1:-1], (x1 - width / 2, y1)]
    corners, codes = [points[0]], [Path.MOVETO]
    for (ax_, ay), (bx, by) in pairwise(points):
        middle = (ax_ + bx) / 2
        corners += [(middle, ay), (middle, by), (bx, by)]
        codes += [Path.CURVE4] * 3
    arrow = FancyArrowPatch(
        path=Path(corners, codes), arrowstyle="-|>", mutation_scale=9, color="0.45", lw=0.9, zorder=1
    )
    ax.add_patch(arrow)
