"""Convolution in native code, of any number of spatial dimensions: windows side by side, and one product.

For one example at a time the padded (and dilated) input is written to memory that stays in the cache. Its windows are
a view of that with more axes; a copy of it is a matrix, with which the kernel is multiplied (`emit_products`). Either
the places of the outputs or those of the kernel are its last axes, whichever have longer rows to copy. Where the view
is a matrix already (kernels of one element) nothing is copied.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from funcgrad.ir import Equation
from funcgrad.native.emission import Emission
from funcgrad.native.emit_products import product
from funcgrad.native.product_tiles import Matrix
from funcgrad.native.registry import Unsupported, block_emitter
from funcgrad.native.values import Buf, reshaped

__all__ = ["convolution"]

_LARGEST = 1 << 25
"""Up to how many bytes the windows of one example are written to memory: more are NumPy's, in blocks."""

Ints = tuple[int, ...]


class _Axis(NamedTuple):
    """A spatial dimension: sizes of input, kernel and output; stride, padding, dilation of the input and the kernel."""

    n: int
    k: int
    out: int
    stride: int
    low: int
    base: int
    dilation: int

    @property
    def span(self) -> int:
        """How many places of the padded input are read."""
        return (self.out - 1) * self.stride + (self.k - 1) * self.dilation + 1

    def inside(self) -> tuple[int, int]:
        """The elements of the input that are among those places, as a range."""
        first = max(0, -(self.low // self.base))
        return first, max(first, min(self.n, (self.span - 1 - self.low) // self.base + 1))

    @property
    def plain(self) -> bool:
        """Whether the places are the input's own, from one of them on."""
        return self.base == 1 and self.low <= 0 and self.span - self.low <= self.n


def _axes(eqn: Equation) -> list[_Axis]:
    lhs, rhs = (x.aval.shape[2:] for x in eqn.inputs)
    p = eqn.params
    lows = [low for low, _ in p["padding"]]
    sizes = (lhs, rhs, eqn.outputs[0].aval.shape[2:], p["window_strides"], lows, p["lhs_dilation"], p["rhs_dilation"])
    return [_Axis(*axis) for axis in zip(*sizes, strict=True)]


def _is_plain(eqn: Equation) -> bool:
    dtype = eqn.outputs[0].aval.dtype
    values = (*eqn.inputs, *eqn.outputs)
    return dtype.char in "fd" and all(x.aval.dtype == dtype and math.prod(x.aval.shape) for x in values)


@block_emitter("conv_general_dilated", when=_is_plain)
def convolution(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    axes, out = _axes(eqn), outs[0]
    if not axes:
        raise Unsupported("without spatial dimensions it is a product, which NumPy does")
    groups = eqn.params["feature_group_count"]
    x, kernel = em.buffer(eqn.inputs[0]), em.dense(eqn.inputs[1])
    each, features = kernel.shape[1], kernel.shape[0] // groups
    rows, columns = each * math.prod(a.k for a in axes), math.prod(a.out for a in axes)
    if eqn.params["batch_group_count"] != 1:
        raise Unsupported("groups of the batch are NumPy's")
    if not out.contiguous:
        raise Unsupported("the result does not lie row by row")
    if rows * columns * groups * out.dtype.itemsize > _LARGEST:
        raise Unsupported("the windows of one example take more than 32 MB: NumPy works in blocks")
    if any(a.base > 1 for a in axes) and math.prod(a.base for a in axes) > 2:
        raise Unsupported("most places of the dilated input are zeros, which NumPy leaves out")
    padded = None if all(a.plain for a in axes) else _zeros(em, x, axes)
    windows = _Windows(em, axes, x.shape[1])
    left = Matrix(kernel, {}, features, rows, rows, 1)
    target = Matrix(out, {}, features, columns, columns, 1)

    def example(i: str) -> None:
        matrix = windows.matrix(windows.seen(x, i, padded))
        size = features * columns * groups

        def group(j: str) -> None:
            a, b, c = left, matrix._replace(rows=rows), target.at(i, size)
            if j:
                a, b, c = a.at(j, features * rows), b.at(j, rows * b.down), c.at(j, features * columns)
            product(em, a, b, c)

        if groups == 1:
            group("")
        else:
            em.w.loop(0, groups, group)
        em.forget()

    em.w.loop(0, x.shape[0], example)


def _zeros(em: Emission, x: Buf, axes: Sequence[_Axis]) -> Buf:
    """Memory for one padded example, full of zeros, which stay where no element of an example is written."""
    padded = em.temp((x.shape[1], *(a.span for a in axes)), x.dtype)
    em.fill(padded, em.w.number(0.0, x.dtype))
    return padded


class _Windows:
    """The windows of examples, as matrices with a row for each channel and place of the kernel."""

    def __init__(self, em: Emission, axes: Sequence[_Axis], channels: int) -> None:
        self.em, self.axes, self.channels = em, axes, channels
        self.kernel, self.out = tuple(a.k for a in axes), tuple(a.out for a in axes)
        self.shape = channels * math.prod(self.kernel), math.prod(self.out)
        self.by_output = self.out[-1] >= self.kernel[-1]
        self.memory: Buf | None = None

    def seen(self, x: Buf, i: str, padded: Buf | None) -> Buf:
        """The windows of example `i`: its channels, places of the kernel, and places of the output, as a view."""
        em, axes = self.em, self.axes
        ptr = em.pointer(x.dtype, x.ptr, {i: x.strides[0]}, x.off)
        one = Buf(ptr, x.shape[1:], x.dtype, x.strides[1:])
        off, strides = 0, one.strides
        if padded is None:
            off = sum(-a.low * s for a, s in zip(axes, strides[1:], strict=True))
        else:
            self._write(one, padded)
            ptr, strides = padded.ptr, padded.strides
        inner = [s * a.dilation for a, s in zip(axes, strides[1:], strict=True)]
        outer = [s * a.stride for a, s in zip(axes, strides[1:], strict=True)]
        return Buf(ptr, (self.channels, *self.kernel, *self.out), x.dtype, (strides[0], *inner, *outer), off)

    def _write(self, one: Buf, padded: Buf) -> None:
        """Write an example to where it lies among the zeros."""
        inside = [a.inside() for a in self.axes]
        if any(first >= last for first, last in inside):
            return
        shape = (self.channels, *(last - first for first, last in inside))
        pairs = list(zip(self.axes, inside, one.strides[1:], padded.strides[1:], strict=True))
        source = Buf(one.ptr, shape, one.dtype, one.strides, one.off + sum(f * s for _, (f, _), s, _ in pairs))
        strides = (padded.strides[0], *(t * a.base for a, _, _, t in pairs))
        off = padded.off + sum((f * a.base + a.low) * t for a, (f, _), _, t in pairs)
        self.em.copy_buffer(source, Buf(padded.ptr, shape, one.dtype, strides, off))
        self.em.forget()

    def matrix(self, windows: Buf) -> Matrix:
        view = reshaped(windows, self.shape)
        if view is not None and 1 in view.strides:
            return Matrix(view, {}, *self.shape, *view.strides)
        em, n, m = self.em, len(self.kernel), len(self.out)
        rows, columns = self.shape
        if self.memory is None:
            self.memory = em.temp((rows * columns,), windows.dtype)
        memory = self.memory
        order = list(range(1 + n + m)) if self.by_output else [*range(1 + n, 1 + n + m), *range(1 + n)]
        shape, strides = [windows.shape[i] for i in order], [windows.strides[i] for i in order]
        source = Buf(windows.ptr, shape, windows.dtype, strides, windows.off)
        em.copy_buffer(source, Buf(memory.ptr, shape, memory.dtype, None, memory.off))
        em.forget()
        down, across = (columns, 1) if self.by_output else (1, rows)
        return Matrix(memory, {}, rows, columns, down, across)
