"""Reads and writes of elements, and the memory of a program's values.

`Memory` adds to a writer what arrays need: addresses with constants folded, loads and stores of scalars and of vectors
with any stride, complex values as pairs, and slots of the workspace that values share when their live ranges do not
overlap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.native.index import Ix
from funcgrad.native.shuffles import interleaved
from funcgrad.native.values import Buf
from funcgrad.native.writer import Operand, Writer, arithmetic, component, memory_type

__all__ = ["STACK", "STACK_IN_ALL", "Limits", "Memory", "Slots"]

STACK, STACK_IN_ALL = 512, 1 << 16
"""Up to how many bytes an array lies on the stack, and all such arrays together."""

_ROW = 4
"""How many elements a row has at most that is loaded as a whole where one of them is wanted."""

DType = np.dtype[Any]
Limits = Callable[[int], tuple[int | str, int | str]]
"""Where the loop of a number begins and ends."""


class Slots:
    """Pieces of the workspace, taken and given back."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.free: list[int] = []

    def take(self, size: int) -> int:
        """The number of a slot of at least `size` bytes."""
        fit = [k for k in self.free if self.sizes[k] >= size]
        if fit:
            k = min(fit, key=self.sizes.__getitem__)
            self.free.remove(k)
            return k
        return self.add(size)

    def add(self, size: int) -> int:
        """The number of a new slot: nothing has used it, and nothing else will unless it is given back."""
        self.sizes.append(size)
        return len(self.sizes) - 1


def _complex(dtype: DType) -> bool:
    return dtype.char in "FD"


class Memory:
    """Loads and stores of arrays' elements at indices."""

    def __init__(self, w: Writer) -> None:
        self.w = w

    def address(self, b: Buf, idx: Sequence[Ix]) -> str:
        """The pointer to an element (to the one of the first lane)."""
        off = b.off
        terms: dict[str, int] = {}
        for i, stride, n in zip(idx, b.strides, b.shape, strict=True):
            if n == 1 or stride == 0:
                continue
            off += i.off * stride
            if i.base.startswith("%"):
                terms[i.base] = terms.get(i.base, 0) + i.scale * stride
            elif i.base:
                off += int(i.base) * i.scale * stride
        return self.pointer(b.dtype, b.ptr, terms, off)

    def pointer(self, dtype: DType, ptr: str, terms: dict[str, int], off: int) -> str:
        """`ptr` plus `off` and the multiples of registers in `terms`, in elements."""
        if _complex(dtype):
            terms, off = {base: 2 * k for base, k in terms.items()}, 2 * off
        t = memory_type(dtype)
        ptr = self._further(t, ptr, tuple((base, k) for base, k in terms.items() if k))
        return self.w.offset(ptr, t, off)

    def _further(self, t: str, ptr: str, terms: tuple[tuple[str, int], ...]) -> str:
        """`ptr` plus multiples of registers, in elements of a type."""
        w, key = self.w, ("address", ptr, terms, t)
        found = w.memo.get(key)
        if found is None:
            total = ""
            for base, k in terms:
                term = base if k == 1 else w.op(f"mul nsw i64 {base}, {k}")
                total = term if not total else w.op(f"add nsw i64 {total}, {term}")
            found = w.memo[key] = w.offset(ptr, t, total or 0)
        return found

    def _lane_stride(self, b: Buf, idx: Sequence[Ix]) -> int:
        """By how many elements one lane lies behind the one before it."""
        pairs = zip(idx, b.strides, b.shape, strict=True)
        return sum(i.step * stride for i, stride, n in pairs if n != 1)

    # ------------------------------------------------------------------ loads

    def load(self, b: Buf, idx: Sequence[Ix]) -> Operand:
        """An element, or as many as there are lanes."""
        w = self.w
        key = ("load", w.width, b.ptr, b.off, b.strides, tuple(i.key for i in idx))
        found = w.memo.get(key)
        if found is None:
            found = w.memo[key] = self._load(b, idx)
        return found

    def fresh(self, b: Buf, idx: Sequence[Ix]) -> Operand:
        """An element as it is now, whatever was known of it."""
        return self._load(b, idx)

    def _load(self, b: Buf, idx: Sequence[Ix]) -> Operand:
        w = self.w
        if not w.width:
            return self._scalar(b.dtype, self.address(b, idx))
        stride = self._lane_stride(b, idx)
        if stride == 0:
            with w.lanes(0):
                one = self.load(b, [i.lane(0) for i in idx])
            return self.spread(one, b.dtype)
        if 1 < stride <= _ROW and b.shape[-1] == stride and b.strides[-1] == 1 and idx[-1].known:
            return self._from_rows(b, idx, stride)
        address = self.address(b, idx)
        if abs(stride) != 1:
            return self._lane_by_lane(b.dtype, address, stride)
        if stride < 0:
            address = self._moved(b.dtype, address, 1 - w.width)
        if _complex(b.dtype):
            return self._load_pairs(b.dtype, address, stride < 0)
        t = f"<{w.width} x {memory_type(b.dtype)}>"
        value = w.load(t, address, b.dtype.alignment)
        return self._as_bool(b.dtype, value if stride > 0 else self._shuffled(t, value, _backwards(w.width)), t)

    def _scalar(self, dtype: DType, address: str) -> Operand:
        w, t, align = self.w, memory_type(dtype), dtype.alignment
        if _complex(dtype):
            return w.load(t, address, align), w.load(t, self._moved(component(dtype), address, 1), align)
        return self._as_bool(dtype, w.load(t, address, align), t)

    def _as_bool(self, dtype: DType, value: str, type: str) -> str:
        if dtype.kind != "b":
            return value
        return self.w.op(f"icmp ne {type} {value}, {'zeroinitializer' if self.w.width else '0'}")

    def _moved(self, dtype: DType, address: str, by: int) -> str:
        """An address, so many elements further on."""
        return self.pointer(dtype, address, {}, by)

    def _shuffled(self, type: str, value: str, order: Sequence[int], out: int = 0) -> str:
        lanes = ", ".join(f"i32 {k}" for k in order)
        return self.w.op(f"shufflevector {type} {value}, {type} poison, <{out or len(order)} x i32> <{lanes}>")

    def _load_pairs(self, dtype: DType, address: str, backwards: bool) -> Operand:
        w, n = self.w, self.w.width
        t = f"<{2 * n} x {memory_type(dtype)}>"
        both = w.load(t, address, dtype.alignment)
        order = _backwards(n) if backwards else range(n)
        return self._shuffled(t, both, [2 * k for k in order]), self._shuffled(t, both, [2 * k + 1 for k in order])

    def _from_rows(self, b: Buf, idx: Sequence[Ix], n: int) -> Operand:
        """One element of each of several short rows, which lie one behind the other: of all of them, by a shuffle."""
        w, t = self.w, memory_type(b.dtype)
        parts = 2 if _complex(b.dtype) else 1
        whole = f"<{w.width * n * parts} x {t}>"
        address = self.address(b, [*idx[:-1], Ix("", 0, 0, 0, 0)])
        key = ("rows", address, w.width)
        rows = w.memo.get(key)
        if rows is None:
            rows = w.memo[key] = w.load(whole, address, b.dtype.alignment)
        at = [(k * n + idx[-1].off) * parts for k in range(w.width)]
        if parts == 2:
            return self._shuffled(whole, rows, at), self._shuffled(whole, rows, [k + 1 for k in at])
        return self._as_bool(b.dtype, self._shuffled(whole, rows, at), f"<{w.width} x {t}>")

    def _lane_by_lane(self, dtype: DType, address: str, stride: int) -> Operand:
        w, n = self.w, self.w.width
        values: list[Operand] = []
        with w.lanes(0):
            for k in range(n):
                values.append(self._scalar(dtype, self._moved(dtype, address, k * stride)))
        return self.gathered(values, dtype)

    def gathered(self, values: Sequence[Operand], dtype: DType) -> Operand:
        """A vector of scalars, one a lane."""
        if isinstance(values[0], tuple):
            first = [v[0] for v in values]
            second = [v[1] for v in values]
            return self._gathered(first, dtype), self._gathered(second, dtype)
        return self._gathered([v for v in values if isinstance(v, str)], dtype)

    def _gathered(self, values: Sequence[str], dtype: DType) -> str:
        w = self.w
        with w.lanes(0):
            t = w.type(dtype)
        out = "poison"
        for k, value in enumerate(values):
            out = w.op(f"insertelement <{len(values)} x {t}> {out}, {t} {value}, i64 {k}")
        return out

    def spread(self, value: Operand, dtype: DType) -> Operand:
        """A scalar in all lanes."""
        w = self.w
        width = w.width
        with w.lanes(0):
            t = w.type(dtype)
        w.width = width
        if isinstance(value, tuple):
            return w.spread(value[0], t), w.spread(value[1], t)
        return w.spread(value, t)

    # ------------------------------------------------------------------ stores

    def store(self, b: Buf, idx: Sequence[Ix], value: Operand) -> None:
        """Write an element, or as many as there are lanes."""
        w = self.w
        address = self.address(b, idx)
        if not w.width:
            self._store_scalar(b.dtype, address, value)
            return
        stride = self._lane_stride(b, idx)
        if abs(stride) != 1:
            self._store_lanes(b.dtype, address, stride, value)
            return
        if stride < 0:
            address = self._moved(b.dtype, address, 1 - w.width)
        n, t = w.width, memory_type(b.dtype)
        if isinstance(value, tuple):
            order = [j for k in (_backwards(n) if stride < 0 else range(n)) for j in (k, n + k)]
            lanes = ", ".join(f"i32 {k}" for k in order)
            v = f"<{n} x {t}>"
            both = w.op(f"shufflevector {v} {value[0]}, {v} {value[1]}, <{2 * n} x i32> <{lanes}>")
            w.store(f"<{2 * n} x {t}>", both, address, b.dtype.alignment)
            return
        t = f"<{n} x {t}>"
        value = self._as_byte(b.dtype, value, t)
        if stride < 0:
            value = self._shuffled(t, value, _backwards(n))
        w.store(t, value, address, b.dtype.alignment)

    def store_rows(self, b: Buf, places: Sequence[Sequence[Ix]], values: Sequence[Operand]) -> bool:
        """Write the elements of short rows, which lie one behind the other, all at once; false if they do not."""
        w, n = self.w, len(places)
        if n == 1 or not w.width or _complex(b.dtype) or self._lane_stride(b, places[0]) != n:
            return False
        if sum((j.off - i.off) * s for i, j, s in zip(*places[:2], b.strides, strict=True)) != 1:
            return False
        t = memory_type(b.dtype)
        lanes = [self._as_byte(b.dtype, v, f"<{w.width} x {t}>") for v in values if isinstance(v, str)]
        rows = interleaved(w, t, w.width, lanes)
        w.store(f"<{n * w.width} x {t}>", rows, self.address(b, places[0]), b.dtype.alignment)
        return True

    def _as_byte(self, dtype: DType, value: str, type: str) -> str:
        return self.w.op(f"zext {self.w.mask()} {value} to {type}") if dtype.kind == "b" else value

    def _store_scalar(self, dtype: DType, address: str, value: Operand) -> None:
        w, t, align = self.w, memory_type(dtype), dtype.alignment
        if isinstance(value, tuple):
            w.store(t, value[0], address, align)
            w.store(t, value[1], self._moved(component(dtype), address, 1), align)
        else:
            w.store(t, self._as_byte(dtype, value, t), address, align)

    def _store_lanes(self, dtype: DType, address: str, stride: int, value: Operand) -> None:
        for k, one in enumerate(self.lanes_of(value, dtype)):
            with self.w.lanes(0):
                self._store_scalar(dtype, self._moved(dtype, address, k * stride), one)

    def lanes_of(self, value: Operand, dtype: DType) -> list[Operand]:
        """The lanes of a vector as scalars."""
        w = self.w
        t = w.type(dtype)
        if isinstance(value, tuple):
            a, b = value
            return [(w.op(f"extractelement {t} {a}, i64 {k}"), w.op(f"extractelement {t} {b}, i64 {k}"))
                    for k in range(w.width)]  # fmt: skip
        return [w.op(f"extractelement {t} {value}, i64 {k}") for k in range(w.width)]

    # ------------------------------------------------------------------ whole arrays

    def forget(self, b: Buf | None = None) -> None:
        """What was loaded from an array is not known any more; without one, nothing that was memorised is."""
        memo = self.w.memo
        if b is None:
            memo.clear()
            return
        for key in [k for k in memo if k[0] == "rows" or (k[0] == "load" and k[2] == b.ptr)]:
            del memo[key]

    def loops(self, shape: Sequence[int], body: Callable[[list[Ix]], None], limits: Limits | None = None) -> None:
        """Nested loops over a shape, of scalars; `body` gets the indices, `limits(k)` says where the k-th one goes."""
        if math.prod(shape):
            self._nest(shape, body, limits, [])

    def _nest(
        self, shape: Sequence[int], body: Callable[[list[Ix]], None], limits: Limits | None, idx: list[Ix]
    ) -> None:
        k = len(idx)
        if k == len(shape):
            body(idx)
        elif shape[k] == 1:
            self._nest(shape, body, limits, [*idx, Ix("", 0, 0, 0, 0)])
        else:
            n = shape[k]
            lo, hi = limits(k) if limits is not None else (0, n)
            self.w.loop(lo, hi, lambda i: self._nest(shape, body, limits, [*idx, Ix(i, 1, 0, 0, n - 1)]))

    def fill(self, b: Buf, value: Operand) -> None:
        """Write one value (a scalar) to all places."""
        target = b.flat() if b.contiguous else b
        n = math.prod(target.shape)
        if n <= 8:
            for k in range(n) if b.contiguous else ():
                self.store(target, [Ix("", 0, k, k, k)], value)
        if n > 8 or not b.contiguous:
            self.loops(target.shape, lambda idx: self.store(target, idx, value))
        self.forget(b)

    def is_plain(self, dtype: DType) -> bool:
        """Whether there is arithmetic of a dtype."""
        return arithmetic(dtype)


def _backwards(n: int) -> list[int]:
    return list(range(n - 1, -1, -1))
