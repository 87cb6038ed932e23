"""The lowering of `unrolled`: a function over Python's numbers, which NumPy computes again where they do not do.

Arrays are taken apart by `tolist` and put together by `struct`: a 2×2 array takes 0.3 µs and 0.25 µs (a call of
`np.array` takes 1 µs).
"""

from __future__ import annotations

import linecache
import struct
from itertools import count
from typing import Any

import numpy as np

from funcgrad.executor.executable import Executable, compile_program
from funcgrad.executor.scalars import Scalar, apply, literal
from funcgrad.executor.step import Bindings, Kernel, Step, calls, lowers
from funcgrad.ir import Atom, Equation, Program, Var
from funcgrad.ir_print import Names
from funcgrad.source import describe

__all__ = ["Unrolled"]

_numbers = count(1)
_CODES = {"f": "d", "i": "q", "b": "?"}
_FROM = {"f": "float", "i": "int", "b": "bool"}
_TERMS = 50
"""So many are added up in one expression: the compiler of Python takes them apart recursively."""
_TYPES = {"f": np.float64, "i": np.int64, "b": np.bool_}


class _Plain:
    """What `Unrolled.run` does, with NumPy; compiled when it is first needed."""

    __slots__ = ("_compiled", "_program")

    def __init__(self, program: Program) -> None:
        self._program = program
        self._compiled: Executable | None = None

    def __call__(self, *args: Any) -> Any:
        if self._compiled is None:
            self._compiled = compile_program(self._program, into=True)
        ins = len(self._program.inputs)
        # Results may be written where operands lie.
        return self._compiled(*(x.copy() if isinstance(x, np.ndarray) else x for x in args[:ins]), *args[ins:])


class Unrolled(Kernel):
    """A program over few elements, written out.

    Where Python raises (a division by zero, the logarithm of a negative number) and where a result is not finite the
    program is run by NumPy, which then gives the infinities and NaNs, and the warnings.

    Attributes:
        run: takes the operands, then an array for each result that is one; returns the other results.
        source: its code.
    """

    __slots__ = ("_filename", "run", "source")

    def __init__(self, program: Program) -> None:
        bindings = Bindings()
        self.source = _Writer(program, bindings).source
        self._filename = f"<funcgrad unrolled {next(_numbers)}>"
        linecache.cache[self._filename] = (len(self.source), None, self.source.splitlines(True), self._filename)
        given = {**bindings.values, "plain": _Plain(program)}
        exec(compile(self.source, self._filename, "exec"), given)
        self.run = given.pop("run")

    def __del__(self) -> None:
        linecache.cache.pop(self._filename, None)


class _Writer:
    """Writes the code of a program: one statement for each element that is computed."""

    def __init__(self, program: Program, bindings: Bindings) -> None:
        self.bindings, self.names = bindings, Names()
        self.env: dict[Var, np.ndarray] = {}
        self.body: list[str] = []
        self.known: dict[str, Scalar] = {}
        inputs = [f"{self.names(v)}_" for v in program.inputs]
        for var, name in zip(program.inputs, inputs, strict=True):
            self._take_apart(var, name)
        for eqn in program.equations:
            self._equation(eqn)
        arrays = [v for v in program.outputs if v.aval.shape]
        into = [f"into_{i}" for i in range(len(arrays))]
        self._check(program)
        lines = [f"def run({', '.join([*inputs, *into])}):", "    try:"]
        lines += [f"        {line}" for line in self.body]
        lines += ["    except (ArithmeticError, ValueError):", f"        return plain({', '.join([*inputs, *into])})"]
        for var, name in zip(arrays, into, strict=True):
            lines += self._put_together(var, name)
        results = [self._result(v) for v in program.outputs if not v.aval.shape]
        lines.append(f"    return ({''.join(f'{r}, ' for r in results).rstrip()})")
        self.source = "\n".join(lines) + "\n"

    def _take_apart(self, var: Var, name: str) -> None:
        shape, kind = var.aval.shape, var.aval.dtype.kind
        parts: Any = np.empty(shape, object)
        for i, at in enumerate(np.ndindex(shape)):
            parts[at] = Scalar(f"{self.names(var)}{i}")
        self.env[var] = parts
        if shape:
            self.body.append(f"{_pattern(parts)} = {name}.tolist()")
        else:
            self.body.append(f"{parts[()].text} = {_FROM[kind]}({name})")

    def _read(self, x: Atom, wanted: str) -> np.ndarray:
        if isinstance(x, Var):
            return self.env[x]
        out = np.empty((), object)
        out[()] = literal(x, wanted, self.bindings)
        return out

    def _equation(self, eqn: Equation) -> None:
        wanted = eqn.outputs[0].aval.dtype.kind
        ins = [self._read(x, wanted) for x in eqn.inputs]
        place = describe(eqn.source)
        comment = f"  # {eqn.primitive.name}" + (f", {place}" if place else "")
        found: list[Any] = apply(eqn, ins, self.bindings)
        for var, parts in zip(eqn.outputs, found, strict=True):
            out = self.env[var] = np.empty(parts.shape, object)
            for i, at in enumerate(np.ndindex(parts.shape)):
                x: Scalar = parts[at]
                if not x.simple and x.text not in self.known:
                    name = f"{self.names(var)}{i}"
                    self.body.append(f"{name} = {x.text}{comment}")
                    comment = ""
                    self.known[x.text] = Scalar(name)
                out[at] = self.known.get(x.text, x)

    def _check(self, program: Program) -> None:
        floats = [x.text for v in program.outputs if v.aval.dtype.kind == "f" for x in self._elements(v)]
        names = list(dict.fromkeys(floats))
        for i in range(0, len(names), _TERMS):
            self.body.append(f"total {'+' * (i > 0)}= {' + '.join(names[i : i + _TERMS])}")
        if names:
            self.body += ["if total - total != 0.0:", "    raise ValueError  # not finite"]

    def _elements(self, x: Atom) -> list[Scalar]:
        return list(self._read(x, x.aval.dtype.kind).flat)

    def _put_together(self, var: Atom, name: str) -> list[str]:
        packer = struct.Struct(f"{var.aval.size}{_CODES[var.aval.dtype.kind]}").pack_into
        function = self.bindings.name(packer, "pack")
        parts = ", ".join(x.text for x in self._elements(var))
        gaps = ["    except TypeError:  # the array has gaps", f"        {name}.flat = ({parts},)"]
        return ["    try:", f"        {function}({name}, 0, {parts})", *gaps]

    def _result(self, var: Atom) -> str:
        (x,) = self._elements(var)
        if var.aval.weak:
            return x.text
        kind = _TYPES[var.aval.dtype.kind]
        return f"{self.bindings.name(kind, f'{kind.__name__}_type')}({x.text})"


def _pattern(parts: Any) -> str:
    """What to assign nested lists to."""
    if not parts.shape:
        return parts[()].text
    return f"({', '.join(map(_pattern, parts))},)" if parts.ndim > 1 else f"({', '.join(x.text for x in parts)},)"


@lowers("unrolled")
def _unrolled(eqn: Equation, bindings: Bindings) -> Step:
    # All operands are read before a result is written.
    overwrites = {k: tuple(i for i, x in enumerate(eqn.inputs) if x.aval == v.aval) for k, v in enumerate(eqn.outputs)}
    return calls(eqn, bindings.name(Unrolled(**eqn.params), "unrolled"), overwrites)
