"""A writer of LLVM text: one function, line by line, in static single assignment form.

A `Writer` gives out names, opens and closes loops, and knows how a dtype is called in registers and in memory. It
knows nothing of programs. With `width` 0 it writes scalars, with W it writes vectors of W lanes; `lanes` changes that
for a part of the text.

A value of a complex dtype in registers is a pair of components (real, imaginary), and its `type` that of a component.
Booleans are `i1` in registers and `i8` in memory. Dtypes without arithmetic here (long doubles, random keys) are moved
as integers of their size.

>>> import numpy as np
>>> w = Writer()
>>> t = w.type(np.dtype(float))
>>> w.write(f"ret {t} {w.op(f'fadd {t} %x, {w.literal(1.0, np.dtype(float))}')}")
>>> print(w.module("define double @plus_one(double %x)"))
define double @plus_one(double %x) {
entry:
  br label %start
start:
  %v1 = fadd double %x, 0x3FF0000000000000
  ret double %v1
}
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

__all__ = ["Library", "Operand", "Pair", "Writer", "arithmetic", "component", "memory_type", "scalar_literal"]

Pair = tuple[str, str]
"""The components of a complex value."""
Operand = str | Pair
Library = Callable[[str, "np.dtype[Any]", int], str]
"""`text(name, dtype, width)`: the definition of an elementary function and of what it calls."""

DType = np.dtype[Any]
Mark = tuple[int, str, dict[Any, Any], int]

_COPIES = 4
"""How often an elementary function (of 50 lines and more) is called at most if it is copied to where it is called."""

_HEAD = re.compile(r"@[\w.$]+")

_FLOATS = {"e": "half", "f": "float", "d": "double"}
_SUFFIX = {"half": "f16", "float": "f32", "double": "f64"}
_COMPONENT = {"F": np.dtype(np.float32), "D": np.dtype(np.float64)}


def component(dtype: DType) -> DType:
    """The dtype of a component of a complex dtype, and any other as it is."""
    return _COMPONENT.get(dtype.char, dtype)


def arithmetic(dtype: DType) -> bool:
    """Whether there is arithmetic of this dtype here: not of long doubles and of random keys, which are only moved."""
    return dtype.kind in "biu" or dtype.char in "efdFD"


@cache
def _scalar_type(dtype: DType) -> str:
    """The type of a scalar register."""
    char = component(dtype).char
    if char in _FLOATS:
        return _FLOATS[char]
    return "i1" if dtype.kind == "b" else f"i{8 * dtype.itemsize}"


@cache
def memory_type(dtype: DType) -> str:
    """The type of an element (of a complex dtype: of a component) in memory."""
    return "i8" if dtype.kind == "b" else _scalar_type(dtype)


def scalar_literal(value: Any, dtype: DType) -> str:
    """A number as text; of a complex dtype, which is a pair, see `Writer.literal`."""
    dtype = component(dtype)
    if dtype.char == "e":
        return f"0xH{struct.unpack('H', np.float16(value).tobytes())[0]:04X}"
    if dtype.char in "fd":  # a float is written as the double of the same value
        bits = struct.unpack("Q", struct.pack("d", float(dtype.type(value))))[0]
        return f"0x{bits:016X}"
    if dtype.kind == "b":
        return "true" if value else "false"
    if dtype.kind in "iu":
        return str(int(value))
    return str(int.from_bytes(np.asarray(value, dtype).tobytes(), sys.byteorder))


class Writer:
    """The text of a function in the making.

    Attributes:
        width: how many lanes the vectors have that are written now; 0 for scalars.
        block: the label of the block that is written now.
        lines: so far; a list among them is a place that is still written to.
        memo: values that need not be computed again here, by keys of the caller's; what is put into it within a loop
            or a branch is forgotten at its end.
        contract: whether a product and a sum may be contracted to one operation with one rounding.
        quiet: whether comparisons of NaN must not raise the flag for invalid operations, at some cost.
        parts: functions that are called by this one, whole.
    """

    def __init__(self, width: int = 0, contract: bool = False, quiet: bool = False) -> None:
        self.width, self.contract, self.quiet = width, contract, quiet
        self.block = "start"
        self.memo: dict[Any, Any] = {}
        self.lines: list[Any] = []
        self.entry: list[str] = []
        self.parts: list[str] = []
        self.metadata: list[str] = []
        self.declarations: dict[str, str] = {}
        self.functions: dict[str, tuple[str, DType, int]] = {}
        self.externals: dict[str, str] = {}
        self.access = ""
        self._count = 0

    # ------------------------------------------------------------------ types and operands

    def type(self, dtype: DType) -> str:
        """The type of a register (of a complex dtype: of a component)."""
        t = _scalar_type(dtype)
        return f"<{self.width} x {t}>" if self.width else t

    def mask(self) -> str:
        """The type of a comparison's result."""
        return f"<{self.width} x i1>" if self.width else "i1"

    def literal(self, value: Any, dtype: DType) -> Operand:
        """A number as an operand: in all lanes; of a complex dtype a pair."""
        if dtype.kind == "c" and arithmetic(dtype):
            value = dtype.type(value)
            return self.number(value.real, dtype), self.number(value.imag, dtype)
        return self.number(value, dtype)

    def number(self, value: Any, dtype: DType) -> str:
        """A real number as an operand; of a complex dtype, one of a component's type."""
        text = scalar_literal(value, dtype)
        return f"splat ({_scalar_type(dtype)} {text})" if self.width else text

    def spread(self, value: str, scalar_type: str) -> str:
        """A scalar operand in all lanes."""
        if not self.width:
            return value
        if not value.startswith("%"):
            return f"splat ({scalar_type} {value})"
        key = ("spread", value, self.width)
        found = self.memo.get(key)
        if found is None:
            v = f"<{self.width} x {scalar_type}>"
            one = self.op(f"insertelement {v} poison, {scalar_type} {value}, i64 0")
            zeros = f"<{self.width} x i32> zeroinitializer"
            found = self.memo[key] = self.op(f"shufflevector {v} {one}, {v} poison, {zeros}")
        return found

    @contextmanager
    def lanes(self, width: int) -> Iterator[None]:
        """Write vectors of `width` lanes (0: scalars) inside."""
        before, self.width = self.width, width
        try:
            yield
        finally:
            self.width = before

    # ------------------------------------------------------------------ lines

    def name(self, prefix: str = "v") -> str:
        """A new register."""
        self._count += 1
        return f"%{prefix}{self._count}"

    def op(self, text: str) -> str:
        """Write an operation; returns the register of its result."""
        self._count += 1
        result = f"%v{self._count}"
        self.lines.append(f"  {result} = {text}")
        return result

    def write(self, text: str) -> None:
        """Write a line without result."""
        self.lines.append("  " + text)

    def label(self, name: str = "") -> str:
        """Open a block; its name, without %, is new unless given. The block before must have ended."""
        self.block = name or self.name("b")[1:]
        self.lines.append(f"{self.block}:")
        return self.block

    def new_label(self, prefix: str = "b") -> str:
        """The name of a block to be opened later."""
        return self.name(prefix)[1:]

    def branch(self, label: str) -> None:
        self.write(f"br label %{label}")

    def alloca(self, type: str, n: int = 1) -> str:
        """Memory on the stack for the whole call, for `n` elements: to be small."""
        result = self.name("m")
        many = f", i64 {n}, align 64" if n != 1 else ""  # one is aligned as its type wants it
        self.entry.append(f"  {result} = alloca {type}{many}")
        return result

    def loop(
        self, lo: int | str, hi: int | str, body: Callable[[str], None], step: int = 1, reverse: bool = False
    ) -> None:
        """`for i in range(lo, hi, step): body(i)`; it runs at least once. With `reverse` the indices come in reverse
        order (step 1)."""
        n = self.name("")[1:]
        before, head = self.block, self.new_label("loop")
        self.branch(head)
        self.label(head)
        at = len(self.lines)
        self.lines.append("")
        index = f"%i{n}"
        outside, self.memo = self.memo, dict(self.memo)
        i = index
        if reverse:
            i = self.op(f"sub nsw i64 {int(lo) + int(hi) - 1}, {index}")
        body(i)
        end, after = self.block, self.new_label("done")
        self.lines[at] = f"  {index} = phi i64 [ {lo}, %{before} ], [ %n{n}, %{end} ]"
        self.write(f"%n{n} = add nuw nsw i64 {index}, {step}")
        self.write(f"%c{n} = icmp slt i64 %n{n}, {hi}")
        self.write(f"br i1 %c{n}, label %{head}, label %{after}")
        self.memo = outside
        self.label(after)

    @contextmanager
    def scope(self) -> Iterator[None]:
        """What is memorised inside is forgotten at the end: for text that may be skipped."""
        outside, self.memo = self.memo, dict(self.memo)
        try:
            yield
        finally:
            self.memo = outside

    # ------------------------------------------------------------------ memory

    def offset(self, pointer: str, type: str, index: int | str) -> str:
        """The pointer to an element."""
        if index == 0:
            return pointer
        key = ("offset", pointer, type, index)
        found = self.memo.get(key)
        if found is None:
            found = self.memo[key] = self.op(f"getelementptr inbounds {type}, ptr {pointer}, i64 {index}")
        return found

    def load(self, type: str, pointer: str, align: int = 0) -> str:
        return self.op(f"load {type}, ptr {pointer}{f', align {align}' if align else ''}{self.access}")

    def store(self, type: str, value: str, pointer: str, align: int = 0) -> None:
        self.write(f"store {type} {value}, ptr {pointer}{f', align {align}' if align else ''}{self.access}")

    # ------------------------------------------------------------------ functions

    def intrinsic(self, name: str, dtype: DType, operands: int = 1) -> str:
        """An intrinsic of LLVM with operands and a result of one type, at the current width: "@llvm.sqrt.v8f64"."""
        t = self.type(dtype)
        scalar = _scalar_type(dtype)
        suffix = (f"v{self.width}" if self.width else "") + _SUFFIX.get(scalar, scalar)
        full = f"@llvm.{name}.{suffix}"
        self.declare(full, f"{t} {full}({', '.join([t] * operands)})")
        return full

    def declare(self, name: str, signature: str) -> None:
        """Declare a function, once: `declare("@llvm.x", "double @llvm.x(double)")`."""
        self.declarations[name] = f"declare {signature}"

    def function(self, name: str, dtype: DType) -> str:
        """An elementary function of the library, at the current width: "@fg.exp.v8f64"."""
        dtype = component(dtype)
        full = f"@fg.{name}.{f'v{self.width}' if self.width else ''}{_SUFFIX[_scalar_type(dtype)]}"
        self.functions[full] = name, dtype, self.width
        return full

    def external(self, symbol: str) -> str:
        """The address of a function outside (of libm, BLAS, Python), as a register: `call i64 {pointer}(…)`."""
        return self.externals.setdefault(symbol, f"%ext.{symbol}")

    # ------------------------------------------------------------------ leaving

    def fail_if(self, condition: str) -> None:
        """The call is to be run again by NumPy if this holds (in any lane); it goes on until its end."""
        if self.width:
            condition = self.any(condition)
        old = self.op("load i32, ptr %status")
        new = self.op(f"select i1 {condition}, i32 1, i32 {old}")
        self.write(f"store i32 {new}, ptr %status")

    def bail_if(self, condition: str, status: int = 1) -> None:
        """Leave the function if this holds (in any lane), where going on could do harm: NumPy runs the call again.

        With a `status` of 2 an exception is set.
        """
        if self.width:
            condition = self.any(condition)
        out, on = self.new_label("out"), self.new_label("on")
        self.write(f"br i1 {condition}, label %{out}, label %{on}, !prof !{self.unlikely()}")
        self.label(out)
        self.write(f"store i32 {status}, ptr %status")
        self.branch("exit")
        self.label(on)

    def any(self, mask: str) -> str:
        """Whether any lane of a mask is set."""
        name = f"@llvm.vector.reduce.or.v{self.width}i1"
        self.declare(name, f"i1 {name}({self.mask()})")
        return self.op(f"call i1 {name}({self.mask()} {mask})")

    # ------------------------------------------------------------------ metadata and the whole

    def meta(self, text: str) -> int:
        """The number of a metadata node; `!SELF` in its text is itself."""
        self.metadata.append(text.replace("!SELF", f"!{len(self.metadata)}"))
        return len(self.metadata) - 1

    def unlikely(self) -> int:
        """Branch weights of what hardly ever happens."""
        text = '!{!"branch_weights", i32 1, i32 100000}'
        return self.metadata.index(text) if text in self.metadata else self.meta(text)

    def mark(self) -> Mark:
        """A place in the text to go back to by `rewind`."""
        return len(self.lines), self.block, dict(self.memo), len(self.parts)

    def rewind(self, mark: Mark) -> None:
        """Forget what was written since `mark`, but for memory on the stack."""
        lines, self.block, memo, parts = mark
        del self.lines[lines:], self.parts[parts:]
        self.memo = dict(memo)

    def body(self) -> str:
        """The text of the function's body, whose last block has ended."""
        return "\n".join(["entry:", *self.entry, "  br label %start", "start:", *_flattened(self.lines)])

    def module(self, header: str, library: Library | None = None, after: Sequence[str] = ()) -> str:
        """The text of a module with the function written, whose last block has ended.

        Args:
            header: `define …`, without the brace.
            library: where elementary functions come from.
            after: more text, behind the function.
        """
        written = "\n".join([*self.parts, f"{header} {{", self.body(), "}"])
        parts = [library(*self.functions[f]) for f in self.functions] if library is not None else []
        copied = {f: written.count(f"{f}(") <= _COPIES for f in self.functions}
        text = _unique([*(_placed(part, copied) for part in parts), *self.declarations.values()])
        nodes = [f"!{i} = {node}" for i, node in enumerate(self.metadata)]
        return "\n".join([*text, written, *after, *nodes])


def _flattened(lines: Sequence[Any]) -> Iterator[str]:
    for line in lines:
        if isinstance(line, list):
            yield from _flattened(line)
        else:
            yield line


def _placed(text: str, copied: Mapping[str, bool]) -> str:
    """Definitions of functions, each of which is to be copied to where it is called, or not to be."""
    lines = text.splitlines()
    for k, line in enumerate(lines):
        head = _HEAD.search(line) if line.startswith("define") else None
        if head is not None and head[0] in copied and " noinline" not in line:
            how = "alwaysinline" if copied[head[0]] else "noinline"
            lines[k] = line.replace(" alwaysinline", "").replace(") nounwind", f") nounwind {how}", 1)
    return "\n".join(lines)


def _unique(parts: Sequence[str]) -> list[str]:
    """Declarations and definitions, each once."""
    found: dict[str, str] = {}
    for part in parts:
        lines = iter(part.splitlines())
        for line in lines:
            head = _HEAD.search(line)
            if line.startswith("declare") and head is not None:
                found.setdefault(head[0], line)
            elif line.startswith("define") and head is not None:
                text = [line]
                for more in lines:
                    text.append(more)
                    if more == "}":
                        break
                found[head[0]] = "\n".join(text)
            elif line.startswith("@") and head is not None:
                found.setdefault(head[0], line)
    return list(found.values())
