"""Runs what emitters of native code write, on arrays: for tests of single operations."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.core import Primitive
from funcgrad.native import elementary
from funcgrad.native.llvm import Library, Options, to_object
from funcgrad.native.scalars import apply
from funcgrad.native.writer import Operand, Writer, component, memory_type

Apply = Callable[..., Any]

INVALID, DIVIDE, OVERFLOW = 1, 4, 8


class Case(NamedTuple):
    """An operation on operands of these dtypes."""

    primitive: Primitive
    ins: tuple[np.dtype[Any], ...]
    out: np.dtype[Any]
    params: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.primitive.name}({', '.join(d.name for d in self.ins)}) -> {self.out.name} {self.params or ''}"


def load(w: Writer, dtype: np.dtype[Any], pointer: str, index: str) -> Operand:
    """An operand of an array, from this element on."""
    t = memory_type(dtype)
    if dtype.kind != "c":
        at = w.op(f"getelementptr {t}, ptr {pointer}, i64 {index}")
        v = w.op(f"load {f'<{w.width} x {t}>' if w.width else t}, ptr {at}, align 1")
        return w.op(f"trunc {f'<{w.width} x i8>' if w.width else 'i8'} {v} to {w.mask()}") if dtype.kind == "b" else v
    at = w.op(f"getelementptr {{{t}, {t}}}, ptr {pointer}, i64 {index}")
    n = w.width or 1
    both = w.op(f"load <{2 * n} x {t}>, ptr {at}, align 1")
    parts: list[str] = []
    for k in range(2):
        if w.width:
            lanes = ", ".join(f"i32 {2 * i + k}" for i in range(n))
            parts.append(w.op(f"shufflevector <{2 * n} x {t}> {both}, <{2 * n} x {t}> poison, <{n} x i32> <{lanes}>"))
        else:
            parts.append(w.op(f"extractelement <2 x {t}> {both}, i64 {k}"))
    return parts[0], parts[1]


def store(w: Writer, dtype: np.dtype[Any], value: Operand, pointer: str, index: str) -> None:
    t = memory_type(dtype)
    size = t if dtype.kind != "c" else f"{{{t}, {t}}}"
    at = w.op(f"getelementptr {size}, ptr {pointer}, i64 {index}")
    if not isinstance(value, tuple):
        if dtype.kind == "b":
            value = w.op(f"zext {w.mask()} {value} to {f'<{w.width} x i8>' if w.width else 'i8'}")
        w.write(f"store {f'<{w.width} x {t}>' if w.width else t} {value}, ptr {at}, align 1")
        return
    if w.width:
        lanes = ", ".join(f"i32 {i + k * w.width}" for i in range(w.width) for k in range(2))
        v = w.type(component(dtype))
        both = w.op(f"shufflevector {v} {value[0]}, {v} {value[1]}, <{2 * w.width} x i32> <{lanes}>")
        w.write(f"store <{2 * w.width} x {t}> {both}, ptr {at}, align 1")
        return
    w.write(f"store {t} {value[0]}, ptr {at}, align 1")
    w.write(f"store {t} {value[1]}, ptr {w.op(f'getelementptr {t}, ptr {at}, i64 1')}, align 1")


def function_text(case: Case, name: str, width: int, quiet: bool, emit: Apply, library: Any = elementary.text) -> str:
    """`i32 name(operands…, result, n)`: the operation on n elements; returns flags, and the status times 256."""
    w = Writer(width, quiet=quiet)
    w.entry.append("  %status = alloca i32")
    w.entry.append("  store i32 0, ptr %status")
    w.declare("@feclearexcept", "i32 @feclearexcept(i32)")
    w.declare("@fetestexcept", "i32 @fetestexcept(i32)")
    w.write("call i32 @feclearexcept(i32 31)")

    def body(i: str) -> None:
        operands = [load(w, d, f"%x{k}", i) for k, d in enumerate(case.ins)]
        out = emit(w, case.primitive, case.params, operands, case.ins, case.out)
        assert out is not None, case.name
        store(w, case.out, out, "%out", i)

    w.loop(0, "%n", body, step=width or 1)
    w.branch("exit")
    w.label("exit")
    flags = w.op("call i32 @fetestexcept(i32 31)")
    status = w.op("load i32, ptr %status")
    w.write(f"ret i32 {w.op(f'add i32 {flags}, ' + w.op(f'mul i32 {status}, 256'))}")
    operands = "".join(f"ptr %x{k}, " for k in range(len(case.ins)))
    return w.module(f"define i32 @{name}({operands}ptr %out, i64 %n)", library)


def compiled(texts: Sequence[str], names: list[str]) -> Library:
    """The functions of these modules together, with what they share once."""
    parts: dict[str, None] = {}
    for text in texts:
        lines = iter(text.splitlines())
        for line in lines:
            body = [line]
            while body[0].startswith("define") and body[-1] != "}":
                body.append(next(lines))
            parts.setdefault("\n".join(body))
    return Library(to_object("\n".join(parts), Options()), names)


class Compiled:
    """Cases at one width, compiled together."""

    def __init__(
        self,
        cases: Sequence[Case],
        width: int,
        quiet: bool = False,
        emit: Apply = apply,
        library: Any = elementary.text,
    ):
        names = [f"f{k}" for k in range(len(cases))]
        texts = [function_text(c, n, width, quiet, emit, library) for c, n in zip(cases, names, strict=True)]
        self.code = compiled(texts, names)
        self.width = width
        self.calls = {}
        for k, case in enumerate(cases):
            kind = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * (len(case.ins) + 1), ctypes.c_int64)
            self.calls[case.name] = kind(self.code[f"f{k}"])

    def __call__(self, case: Case, *operands: np.ndarray) -> tuple[np.ndarray, int]:
        """The result on arrays whose size is a multiple of the width, and the flags raised (× 256: the status)."""
        arrays = [np.ascontiguousarray(x, d) for x, d in zip(operands, case.ins, strict=True)]
        out = np.empty(arrays[0].shape, case.out)
        flags = self.calls[case.name](*[x.ctypes.data for x in (*arrays, out)], out.size)
        return out, flags
