"""Layout: images are kept with their rows first and their examples last, `(rows, channels, columns, examples)`.

Convolutions of few channels are faster in that order (`ops.conv_rows`), and so is what lies between them: maxima of
neighbouring columns, and biases for each channel, then go over runs as long as there are examples. What the user calls
the axes stays as it is outside: the pass follows each image from convolution to convolution, through pointwise
operations, windows and reductions, and transposes where something is read that it cannot follow. It is left alone where
transposing would cost more than is gained.

Only sums and convolutions may be rounded differently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.executor.rows_first import CONV_ROWS, CONV_ROWS_KERNEL
from funcgrad.executor.spaces import is_reduction
from funcgrad.ir import Atom, Equation, Program, Var
from funcgrad.ops.conv import CONV
from funcgrad.ops.shape import RESHAPE, TRANSPOSE
from funcgrad.passes.builder import Builder
from funcgrad.passes.rewrite import remade, with_programs

__all__ = ["ImageLayout", "layout", "layouts"]

Axes = tuple[int, ...]


class ImageLayout:
    """What decides whether convolutions are done in this order; nanoseconds were measured on a 2.5 GHz Xeon.

    Attributes:
        channels: of a convolution and of its result, the fewer must be less than this: with more of both, windows are
            copied in runs that are long enough.
        run: how many elements (columns × examples) a row of one channel must have.
        window_ns: gained for each element of all windows.
        result_ns: gained besides for each element of the result (of 32 examples of 28×28, 1 → 8 channels, 5×5: 0.4 ms;
            14×14, 8 → 16: 0.35 ms).
        transpose_ns: for each element that has to be transposed.
    """

    __slots__ = ("channels", "result_ns", "run", "transpose_ns", "window_ns")

    def __init__(self) -> None:
        self.channels, self.run = 32, 24
        self.window_ns, self.result_ns, self.transpose_ns = 0.15, 0.7, 1.5


layouts = ImageLayout()

_IMAGE = (2, 1, 3, 0)
"""The axes of `(N, C, H, W)` in the order that images are kept in."""

_SWAPPED = (2, 0, 3, 1)
"""The same of `(C, N, H, W)`."""


def layout(program: Program) -> Program:
    """The program, and those that it runs, with images in the order that is best for their convolutions.

    That is done to a program as a whole, or not at all.
    """
    equations = [with_programs(e, layout, lowered=True) for e in program.equations]
    if any(a is not b for a, b in zip(equations, program.equations, strict=True)):
        program = remade(program, equations, program.outputs)
    if any(map(_plain, equations)):
        follower = _Follower(program)
        found = follower.program()
        if follower.gain > 0:
            return found
    return program


def _plain(eqn: Equation) -> bool:
    """Whether an equation is a convolution that the primitives of `rows_first` can do, and do better: of few channels,
    without groups, strides and dilation, of one dtype."""
    params = eqn.params
    if eqn.primitive is not CONV or params["feature_group_count"] != 1 or params["batch_group_count"] != 1:
        return False
    if any(params[name] != (1, 1) for name in ("window_strides", "lhs_dilation", "rhs_dilation")):
        return False
    (x, w), out = (a.aval for a in eqn.inputs), eqn.outputs[0].aval
    if x.dtype != w.dtype or x.dtype.kind not in "fc" or x.dtype == np.float16 or 0 in (*x.shape, *w.shape, *out.shape):
        return False
    if _of_kernel(eqn):
        n, channels, columns = x.shape[1], x.shape[0], w.shape[3]
    else:
        n, channels, columns = x.shape[0], x.shape[1], out.shape[3]
    return min(channels, w.shape[0]) < layouts.channels and n * columns >= layouts.run


def _of_kernel(eqn: Equation) -> bool:
    """Whether what slides over an image is larger than what is found, as in a gradient by a kernel.

    `conv_rows_kernel` does that, with batch and channels in each other's places; a convolution of the user's may be so.
    """
    return math.prod(eqn.inputs[1].aval.shape[2:]) > math.prod(eqn.outputs[0].aval.shape[2:])


class _Follower:
    """A program that is written anew, with some of its variables in another order of their axes.

    `_moved` has the variables that are known in another order, with it; `_native` those of them that were computed so,
    whose usual form, where something asks for it, is a transposition.

    Attributes:
        gain: nanoseconds, less what the transpositions cost.
    """

    __slots__ = ("_builder", "_moved", "_native", "_program", "_source", "gain")

    def __init__(self, program: Program) -> None:
        self._builder = Builder(program)
        self._builder.changed = True
        self._program = program
        self._moved: dict[Any, tuple[Axes, Atom]] = {}
        self._native: set[Any] = set()
        self._source: Any = None
        self.gain = 0.0

    def program(self) -> Program:
        """The program as a whole."""
        for eqn in self._program.equations:
            self._source = eqn.source
            self._follow(eqn)
        for out in self._program.outputs:
            self._usual(out)
        return self._builder.program()

    # ------------------------------------------------------------------------------------------------ the two forms

    def _emit(self, primitive: Primitive, ins: Sequence[Atom], params: dict[str, Any]) -> Var:
        out = Var(primitive.abstract(*(a.aval for a in ins), **params))
        self._builder.append(Equation(primitive, tuple(ins), (out,), params, self._source))
        return out

    def _usual(self, atom: Atom) -> Atom:
        """A variable of the old program, with its axes as they were."""
        if atom in self._native and atom not in self._builder.env:
            axes, moved = self._moved[atom]
            inverse = tuple(sorted(range(len(axes)), key=axes.__getitem__))
            self._builder.env[atom] = self._transposed(moved, inverse)
        return self._builder.current_atom(atom)

    def _in_order(self, atom: Atom, axes: Axes) -> Atom:
        """A variable of the old program, with its axes in the order `axes`."""
        have, moved = self._moved.get(atom, (None, None))
        if have == axes and moved is not None:
            return moved
        found = self._transposed(self._usual(atom), axes)
        if have is None:
            self._moved[atom] = axes, found
        return found

    def _transposed(self, atom: Atom, axes: Axes) -> Var:
        self.gain -= layouts.transpose_ns * atom.aval.size
        return self._emit(TRANSPOSE, (atom,), {"axes": axes})

    def _set(self, var: Var, axes: Axes, moved: Atom) -> None:
        """Let `moved` be a variable of the old program, with its axes in the order `axes`."""
        if axes == tuple(range(len(axes))):
            self._builder.env[var] = moved
        else:
            self._moved[var] = axes, moved
            self._native.add(var)

    # --------------------------------------------------------------------------------------------------- equations

    def _follow(self, eqn: Equation) -> None:
        primitive = eqn.primitive
        if _plain(eqn):
            self._convolution(eqn)
        elif eqn.primitive is TRANSPOSE and eqn.inputs[0] in self._native:
            self._renamed(eqn)
        elif not (
            (primitive.pointwise and self._pointwise(eqn))
            or (is_reduction(primitive) and self._reduction(eqn))
            or (primitive.along and self._along(eqn))
        ):
            for atom in eqn.inputs:
                self._usual(atom)
            self._builder.keep(eqn)

    def _convolution(self, eqn: Equation) -> None:
        (x, w), out = eqn.inputs, eqn.outputs[0]
        low = tuple(a for a, _ in eqn.params["padding"])
        if _of_kernel(eqn):
            ins = self._in_order(x, _SWAPPED), self._in_order(w, _SWAPPED)
            params = {"low": low, "kernel": out.aval.shape[2:]}
            self._builder.env[out] = self._emit(CONV_ROWS_KERNEL, ins, params)
        else:
            ins = self._in_order(x, _IMAGE), self._usual(w)
            params = {"low": low, "sizes": out.aval.shape[2:]}
            self._set(out, _IMAGE, self._emit(CONV_ROWS, ins, params))
            self.gain += layouts.result_ns * out.aval.size
        windows = math.prod(w.aval.shape[1:]) * out.aval.size // out.aval.shape[1]
        self.gain += layouts.window_ns * windows

    def _renamed(self, eqn: Equation) -> None:
        """A transposition of what is known in another order: it is known in another order, too."""
        axes, moved = self._moved[eqn.inputs[0]]
        self._set(eqn.outputs[0], tuple(eqn.params["axes"].index(a) for a in axes), moved)

    def _order(self, eqn: Equation) -> Axes | None:
        """The order that most of the operands are in, of those with as many axes as the result; None for the usual."""
        sizes: dict[Axes | None, float] = {}
        for atom in eqn.inputs:
            if not atom.is_literal and atom.aval.ndim == eqn.outputs[0].aval.ndim:
                order = self._moved[atom][0] if atom in self._native else None
                sizes[order] = sizes.get(order, 0.5 if order else 0) + atom.aval.size
        return max(sizes, key=sizes.__getitem__, default=None)

    def _pointwise(self, eqn: Equation) -> bool:
        order, out = self._order(eqn), eqn.outputs[0]
        if order is None:
            return False
        ins = [self._spread(a, order, out.aval.ndim) for a in eqn.inputs]
        moved = self._emit(eqn.primitive, ins, eqn.params)
        self._set(out, order, moved)
        return True

    def _spread(self, atom: Atom, order: Axes, ndim: int) -> Atom:
        """An operand that broadcasts, in an order of the axes of the result."""
        if atom.is_literal or not atom.aval.shape:
            return self._usual(atom)
        if atom.aval.ndim == ndim:
            return self._in_order(atom, order)
        x = self._usual(atom)
        full = (1,) * (ndim - x.aval.ndim) + x.aval.shape
        x = self._emit(RESHAPE, (x,), {"shape": full})
        return self._transposed(x, order)

    def _along(self, eqn: Equation) -> bool:
        """An operation along axes whose operands and result have the same ones."""
        order, out, name = self._order(eqn), eqn.outputs[0], eqn.primitive.along
        if order is None or eqn.primitive.multiple or any(a.aval.ndim != out.aval.ndim for a in eqn.inputs):
            return False
        ins = [self._in_order(a, order) for a in eqn.inputs]
        axes = eqn.params[name]
        moved = tuple(sorted(map(order.index, axes))) if isinstance(axes, tuple) else order.index(axes)
        params = {**eqn.params, name: moved}
        self._set(out, order, self._emit(eqn.primitive, ins, params))
        return True

    def _reduction(self, eqn: Equation) -> bool:
        (x,), out = eqn.inputs, eqn.outputs[0]
        if x not in self._native:
            return False
        order, moved = self._moved[x]
        gone, keepdims = eqn.params["axes"], eqn.params.get("keepdims", False)
        params = {**eqn.params, "axes": tuple(sorted(order.index(a) for a in gone))}
        found = self._emit(eqn.primitive, (moved,), params)
        if keepdims:
            self._set(out, order, found)
            return True
        left = [a for a in order if a not in gone]
        self._set(out, tuple(sorted(left).index(a) for a in left), found)
        return True
