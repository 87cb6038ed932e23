"""Functions of plain arrays as operations of a program, and values with a derivative only where a search ended well.

SciPy's solvers ask for numbers while they run, so in a compiled or differentiated function they are one operation,
`HOST`, which is given arrays when the program runs. What is found has its derivative from the equations that define it
(`lax.custom_root`); if the search failed, `attended` makes that derivative an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.core import under
from funcgrad.ir import Program, eval_program
from funcgrad.ops.rules import constant, declare
from funcgrad.transforms.call import close
from funcgrad.transforms.implicit import custom_root
from funcgrad.transforms.make_ir import trace_to_program
from funcgrad.transforms.vmap import vmap
from funcgrad.types import ShapedArray

__all__ = ["ATTENDED", "HOST", "ConvergenceError", "Recording", "attended", "found_root", "on_host", "solve_dense"]


class ConvergenceError(RuntimeError):
    """A solver has not come to a solution, of which a derivative is asked for."""


def _impl(*args: Any, call: Callable[..., Sequence[Any]], avals: tuple[ShapedArray, ...]) -> tuple[Any, ...]:
    with under(None):
        outs = call(*args)
    return tuple(np.asarray(o, a.dtype).reshape(a.shape) for o, a in zip(outs, avals, strict=True))


def _batch(
    args: Sequence[Any],
    batched: Sequence[bool],
    size: int,
    call: Callable[..., Sequence[Any]],
    avals: tuple[ShapedArray, ...],
) -> tuple[Any, ...]:
    if not size:
        return tuple(np.zeros((0, *a.shape), a.dtype) for a in avals)
    rows = [
        HOST.bind(*(x[i] if b else x for x, b in zip(args, batched, strict=True)), call=call, avals=avals)
        for i in range(size)
    ]
    return tuple(np.stack(column) for column in zip(*rows, strict=True))


HOST = constant("host_call", _impl, lambda *_, call, avals: avals, multiple=True, fails=True, batch=_batch)
"""Call a function of plain arrays, for one example of a batch after the other. What it gives has no derivative: it is
the solver of a `custom_root`, or gives integers."""


def on_host(call: Callable[..., Sequence[Any]], avals: Sequence[ShapedArray], *args: Any) -> list[Any]:
    """The results, of these avals, of a function of plain arrays."""
    return list(HOST.bind(*args, call=call, avals=tuple(avals)))


# ------------------------------------------------------------------------------------------ what a failure withholds


def _attend(x: Any, good: Any, strict: bool, report: Callable[[], str]) -> Any:
    if strict and not np.all(good):
        raise ConvergenceError(report())
    return x


def _attend_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], strict: bool, report: Any) -> Any:
    dx = tangents[0]
    return None if dx is None else ATTENDED.bind(dx, ins[1], strict=True, report=report)


def _attend_vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], strict: bool, report: Any) -> list[Any]:
    return [ATTENDED.bind(ct, ins[1], strict=True, report=report) if wanted[0] else None, None]


def _attend_batch(args: Sequence[Any], batched: Sequence[bool], size: int, **params: Any) -> Any:
    x, good = args
    return ATTENDED.bind(x if batched[0] else np.broadcast_to(x, (size, *x.shape)), good, **params)


ATTENDED = declare(
    "attended",
    _attend,
    lambda x, good, strict, report: ShapedArray(x.shape, x.dtype),
    jvp=_attend_jvp,
    vjp=_attend_vjp,
    batch=_attend_batch,
    fails=True,
    linear="first",
    carries=(True, False),
)
"""The first operand; its tangents and cotangents (`strict`) raise unless the second operand holds."""


def attended(x: Any, good: Any, report: Callable[[], str]) -> Any:
    """A value whose derivative is a ConvergenceError, saying what `report` says, unless `good` holds."""
    return ATTENDED.bind(x, good, strict=False, report=report)


# ---------------------------------------------------------------------------------------------------------- solving


class Recording:
    """A function of arrays as a program, and the traced values that it closes over.

    Attributes:
        program: its first inputs are these values.
        held: the values.
    """

    __slots__ = ("held", "program")

    program: Program
    held: list[Any]

    def __init__(self, fun: Callable[..., Any], avals: Sequence[ShapedArray]) -> None:
        self.program, self.held = close(trace_to_program(lambda *xs: [fun(*xs)], list(avals)))

    def __call__(self, held: Sequence[Any], *xs: Any) -> Any:
        """The function, with other values in the place of those that it closes over."""
        return eval_program(self.program, [*held, *xs])[0]


def solve_dense(times: Callable[[Any], Any], y: Any) -> Any:
    """The x with `times(x) = y`, for a linear function of vectors, by its matrix."""
    if not y.shape:
        return y / times(np.ones(()))
    matrix = vmap(times, out_axes=-1)(np.eye(y.shape[0]))
    return np.linalg.solve(matrix, y)


def found_root(
    residual: Callable[[Any], Any],
    guess: Any,
    solve: Callable[[Any], tuple[Any, Any]],
    report: Callable[[], str],
) -> tuple[Any, Any]:
    """The root of a function of a vector (or a number), as `solve(guess) -> (root, aux)` finds it.

    `aux["good"]` says whether it is one; if not, its derivative is a ConvergenceError.
    """
    root, aux = custom_root(residual, guess, lambda _, z: solve(z), solve_dense, has_aux=True)
    return attended(root, aux["good"], report), aux
