"""Convolution in native code, of any number of spatial dimensions, as products.

The windows of the padded (and dilated) input are a view of it with more axes. Where either channels or the places of a
row lie in memory one behind the other, the kernel is multiplied with that view itself (`_direct`), and the result lies
in memory as the input does. Else windows are copied: for one example at a time the padded input is written to memory
that stays in the cache, and a copy of the view is a matrix, with which the kernel is multiplied (`emit_products`).
Either the places of the outputs or those of the kernel are its last axes, whichever have longer rows to copy. Where the
view is a matrix already (kernels of one element) nothing is copied.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product as product_of
from typing import Any, NamedTuple

import numpy as np

from funcgrad.ir import Equation, Var
from funcgrad.native.emission import Emission
from funcgrad.native.emit_products import LARGE_AND_NARROW, contraction, multiplication, product
from funcgrad.native.parts import divided
from funcgrad.native.product_tiles import Matrix
from funcgrad.native.registry import Unsupported, block_emitter
from funcgrad.native.values import Buf, Small, reshaped

__all__ = ["convolution"]

_COPIED = 0.5
"""Nanoseconds that copying an element of a window takes, estimated."""
_PHASES = 16
"""Into how many convolutions one is divided at most whose input has zeros between its elements."""
_PARTS = 8
"""How many parts a batch is divided into at most: each has windows of its own in memory."""

_LARGEST = 1 << 25
"""Up to how many bytes the windows of one example are written to memory: more are NumPy's, in blocks."""

Ints = tuple[int, ...]
_Dim = tuple[int, int, int]
"""A size, and strides of two arrays."""


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

    def phases(self) -> list[_Phase]:
        """The places of the result that lie alike among the zeros; all of them together where there are none, or where
        it is not by its place alone that one meets zeros."""
        if self.base == 1 or self.stride != 1 or math.gcd(self.dilation, self.base) != 1:
            return [_Phase(self, 0, 0, 1)]
        found: list[_Phase] = []
        for place in range(min(self.base, self.out)):
            first = (self.low - place) * pow(self.dilation, -1, self.base) % self.base
            k, out = (max(0, -(-(n - i) // self.base)) for n, i in ((self.k, first), (self.out, place)))
            low = (self.low - place - first * self.dilation) // self.base
            found.append(_Phase(_Axis(self.n, k, out, 1, low, 1, self.dilation), place, first, self.base))
        return found

    @property
    def plain(self) -> bool:
        """Whether the places are the input's own, from one of them on."""
        return self.base == 1 and self.low <= 0 and self.span - self.low <= self.n


class _Phase(NamedTuple):
    """Every `step`th place of the result, from `place` on, as a convolution with every `step`th place of the kernel,
    from `first` on."""

    axis: _Axis
    place: int
    first: int
    step: int


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


@block_emitter("conv_general_dilated", when=_is_plain, own=True)
def convolution(em: Emission, eqn: Equation, outs: Sequence[Buf | None]) -> Sequence[Buf | Small]:
    axes, v = _axes(eqn), eqn.outputs[0]
    if not axes:
        raise Unsupported("without spatial dimensions it is a product, which NumPy does")
    if eqn.params["batch_group_count"] != 1:
        raise Unsupported("groups of the batch are NumPy's")
    x, kernel = em.buffer(eqn.inputs[0]), em.buffer(eqn.inputs[1])
    given, groups = _Operands(x, kernel, v.aval.shape, v, outs[0]), eqn.params["feature_group_count"]
    if any(a.base > 1 for a in axes):
        found = _by_phases(em, given, groups, axes)
    else:
        found = _convolved(em, given, groups, axes)
    return [found if outs[0] is not None else em.settled(found)]


def _convolved(em: Emission, given: _Operands, groups: int, axes: Sequence[_Axis]) -> Buf:
    sizes = _Sizes(groups, given.kernel.shape, axes)
    found = _direct(em, given, sizes, axes)
    if found is None:
        kernel = given.kernel
        if not kernel.contiguous:
            kernel = em.temp(kernel.shape, kernel.dtype)
            em.copy_buffer(given.kernel, kernel)
        found = given.target(em)
        _by_windows(em, given.x, kernel, found, sizes, axes)
    return found


def _by_phases(em: Emission, given: _Operands, groups: int, axes: Sequence[_Axis]) -> Buf:
    """For an input with zeros between its elements: those places of the result that meet the same places of the kernel
    are a convolution without these zeros."""
    phases = [a.phases() for a in axes]
    zeros = math.prod(p[0].axis.base for p in phases)
    if math.prod(map(len, phases)) > _PHASES or zeros > 2:
        raise Unsupported("most places of the dilated input are zeros, which NumPy leaves out")
    kernel, out = given.kernel, given.wanted
    for phase in product_of(*phases):
        shape = (*given.shape[:2], *(p.axis.out for p in phase))
        found = None
        if all(p.axis.k for p in phase):
            seen = _part(kernel, [(p.axis.k, p.first, p.step) for p in phase])
            found = _convolved(em, _Operands(given.x, seen, shape, None, None), groups, [p.axis for p in phase])
        if out is None:
            strides = found.strides if found is not None else given.x.strides
            out = _ordered(em, given.shape, kernel.dtype, sorted(range(len(shape)), key=lambda i: -strides[i]), given.v)
        target = _part(out, [(p.axis.out, p.place, p.step) for p in phase])
        if found is None:
            em.fill(target, em.w.number(0.0, out.dtype))
        else:
            em.copy_buffer(found, target)
        em.forget()
    assert out is not None
    return out


def _part(b: Buf, places: Sequence[tuple[int, int, int]]) -> Buf:
    """Some of the spatial places of an array: for each dimension how many, the first one, and the step."""
    strides = b.strides[2:]
    off = b.off + sum(s * first for s, (_, first, _) in zip(strides, places, strict=True))
    steps = (s * step for s, (_, _, step) in zip(strides, places, strict=True))
    return Buf(b.ptr, (*b.shape[:2], *(n for n, _, _ in places)), b.dtype, (*b.strides[:2], *steps), off)


class _Sizes:
    """How many groups there are; of each the channels and features; the elements of a window and the places."""

    def __init__(self, groups: int, kernel: Ints, axes: Sequence[_Axis]) -> None:
        self.groups, self.each, self.features = groups, kernel[1], kernel[0] // groups
        self.rows, self.columns = kernel[1] * math.prod(a.k for a in axes), math.prod(a.out for a in axes)

    @property
    def multiplications(self) -> int:
        """In a product of an example and a group."""
        return self.features * self.rows * self.columns


# ---------------------------------------------------------------------- the windows as they are


class _Operands(NamedTuple):
    """Input and kernel; the shape of the result, its variable, if it is one, and where it is wanted."""

    x: Buf
    kernel: Buf
    shape: Ints
    v: Var | None
    wanted: Buf | None

    def target(self, em: Emission) -> Buf:
        """Memory for the result."""
        return em.temp(self.shape, self.x.dtype, self.v) if self.wanted is None else self.wanted


def _minor(b: Buf, axis: int) -> bool:
    """Whether the elements along an axis lie one behind the other."""
    return b.shape[axis] > 1 and b.strides[axis] == 1


def _direct(em: Emission, given: _Operands, sizes: _Sizes, axes: Sequence[_Axis]) -> Buf | None:
    """By products with the windows as they lie in memory: vectors run over features or over places of a row. None where
    these are few, or where the input lies otherwise."""
    x, kernel, last = given.x, given.kernel, axes[-1]
    width = em.vector_bytes // x.dtype.itemsize
    by_features = _minor(x, 1) or _minor(x, 0) or (_minor(kernel, 0) and sizes.rows > 1)
    if by_features and 2 * sizes.features < width:
        return None
    if not by_features and (
        x.strides[-1] != 1 or last.stride != 1 or last.out < width or sizes.multiplications >= LARGE_AND_NARROW
    ):
        return None
    if math.prod(x.shape[:2]) * math.prod(a.span for a in axes) * x.dtype.itemsize > _LARGEST:
        return None
    x = _from_first_window(x, axes) if all(a.plain for a in axes) else _padded(em, x, axes)
    if by_features:
        kernel = kernel if _minor(kernel, 0) else _features_last(em, kernel)
        return _over_features(em, given._replace(x=x, kernel=kernel), sizes, axes)
    out = given.target(em)
    places, within = _strided(x, out, kernel, axes)
    (g, f, c), n = (sizes.groups, sizes.features, sizes.each), x.shape[0]
    rows = [(f, kernel.strides[0], out.strides[1])]
    summed = [(c, kernel.strides[1], x.strides[1]), *((k, q, p) for k, p, q in within)]
    loops = [(n, 0, x.strides[0], out.strides[0])]
    loops += [(g, f * kernel.strides[0], c * x.strides[1], f * out.strides[1])]
    contraction(em, (kernel, x, out), rows, places, summed, loops)
    return out


def _over_features(em: Emission, given: _Operands, sizes: _Sizes, axes: Sequence[_Axis]) -> Buf:
    """Vectors of features, which come last in memory; behind the places, unless examples come last in the input."""
    x, kernel, shape = given.x, given.kernel, given.shape
    spatial = range(2, len(shape))
    order = [*spatial, 0, 1] if _minor(x, 0) else [0, *spatial, 1]
    wanted = given.wanted
    if wanted is not None and _minor(wanted, 1):
        out = wanted
    else:
        out = _ordered(em, shape, x.dtype, order, given.v)
    places, within = _strided(x, out, kernel, axes)
    (g, f, c), n = (sizes.groups, sizes.features, sizes.each), (x.shape[0], x.strides[0], out.strides[0])
    rows = [*places, n] if order[0] else [n, *places]
    columns, summed = [(f, kernel.strides[0], out.strides[1])], [*within, (c, x.strides[1], kernel.strides[1])]
    loops = [(g, c * x.strides[1], f * kernel.strides[0], f * out.strides[1])]
    contraction(em, (x, kernel, out), rows, columns, summed, loops)
    return out


def _strided(x: Buf, out: Buf, kernel: Buf, axes: Sequence[_Axis]) -> tuple[list[_Dim], list[_Dim]]:
    """Places of the result, in input and result; and those of the kernel, in input and kernel."""
    steps = list(zip(axes, x.strides[2:], out.strides[2:], kernel.strides[2:], strict=True))
    return [(a.out, s * a.stride, t) for a, s, t, _ in steps], [(a.k, s * a.dilation, u) for a, s, _, u in steps]


def _from_first_window(x: Buf, axes: Sequence[_Axis]) -> Buf:
    off = sum(-a.low * s for a, s in zip(axes, x.strides[2:], strict=True))
    return Buf(x.ptr, x.shape, x.dtype, x.strides, x.off + off)


def _ordered(em: Emission, shape: Ints, dtype: np.dtype[Any], order: Sequence[int], owner: Var | None = None) -> Buf:
    """Memory for an array whose axes lie in this order."""
    b = em.temp([shape[i] for i in order], dtype, owner)
    return Buf(b.ptr, shape, dtype, [b.strides[order.index(i)] for i in range(len(shape))], b.off)


def _features_last(em: Emission, kernel: Buf) -> Buf:
    """A copy in which features come last, and channels before them."""
    copy = _ordered(em, kernel.shape, kernel.dtype, [*range(2, len(kernel.shape)), 1, 0])
    em.copy_buffer(kernel, copy)
    em.forget()
    return copy


def _padded(em: Emission, x: Buf, axes: Sequence[_Axis]) -> Buf:
    """The whole input among zeros; axes lie in the order of the input's."""
    order = sorted(range(len(x.shape)), key=lambda i: -x.strides[i])
    padded = _ordered(em, (*x.shape[:2], *(a.span for a in axes)), x.dtype, order)
    em.fill(padded, em.w.number(0.0, x.dtype))
    _write_inside(em, axes, x, padded)
    return padded


def _write_inside(em: Emission, axes: Sequence[_Axis], x: Buf, padded: Buf) -> None:
    """Write an array, whose last axes are spatial, to where it lies among the zeros."""
    inside, n = [a.inside() for a in axes], len(x.shape) - len(axes)
    if any(first >= last for first, last in inside):
        return
    shape = (*x.shape[:n], *(last - first for first, last in inside))
    pairs = list(zip(axes, inside, x.strides[n:], padded.strides[n:], strict=True))
    source = Buf(x.ptr, shape, x.dtype, x.strides, x.off + sum(f * s for _, (f, _), s, _ in pairs))
    strides = (*padded.strides[:n], *(t * a.base for a, _, _, t in pairs))
    off = padded.off + sum((f * a.base + a.low) * t for a, (f, _), _, t in pairs)
    em.copy_buffer(source, Buf(padded.ptr, shape, x.dtype, strides, off))
    em.forget()


# ---------------------------------------------------------------------- copies of the windows


def _by_windows(em: Emission, x: Buf, kernel: Buf, out: Buf, sizes: _Sizes, axes: Sequence[_Axis]) -> None:
    (groups, features), (rows, columns) = (sizes.groups, sizes.features), (sizes.rows, sizes.columns)
    if not out.contiguous:
        raise Unsupported("the result does not lie row by row")
    if rows * columns * groups * out.dtype.itemsize > _LARGEST:
        raise Unsupported("the windows of one example take more than 32 MB: NumPy works in blocks")
    left = Matrix(kernel, {}, features, rows, rows, 1)
    target = Matrix(out, {}, features, columns, columns, 1)
    size = features * columns * groups

    def examples(lo: int | str, hi: int | str) -> None:
        padded = None if all(a.plain for a in axes) else _zeros(em, x, axes)
        windows = _Windows(em, axes, x.shape[1])

        def example(i: str) -> None:
            matrix = windows.matrix(windows.seen(x, i, padded))

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

        em.w.loop(lo, hi, example)

    work = x.shape[0] * rows * groups * columns * (_COPIED + features * multiplication(out.dtype))
    divided(em, [x.shape[0]], [1], work, [x, kernel, out], lambda limits: examples(*limits(0)), _PARTS)


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
            _write_inside(em, axes, one, padded)
            ptr, strides = padded.ptr, padded.strides
        inner = [s * a.dilation for a, s in zip(axes, strides[1:], strict=True)]
        outer = [s * a.stride for a, s in zip(axes, strides[1:], strict=True)]
        return Buf(ptr, (self.channels, *self.kernel, *self.out), x.dtype, (strides[0], *inner, *outer), off)

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
