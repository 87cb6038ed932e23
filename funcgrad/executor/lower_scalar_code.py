"""Code over Python's numbers: the statements of a program over few elements, and of the loops and branches in it.

In a loop carried values are local variables, and what is stacked is a list of tuples, one for each step, which becomes
an array only if it is a result: a loop that runs the other way takes the list as it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from funcgrad.control.cond import COND
from funcgrad.control.scan import SCAN
from funcgrad.control.while_ import WHILE
from funcgrad.executor.lower_scalars import (
    DTYPES,
    FAR,
    Scalar,
    apply,
    can_be_scalars,
    computes_with,
    counts,
    is_far,
    literal,
)
from funcgrad.executor.step import Bindings
from funcgrad.ir import Atom, Equation, Program, Var, held
from funcgrad.ir_print import Names
from funcgrad.source import describe

__all__ = ["LOOPS", "ScalarCode", "all_equations", "can_be_written", "constant", "few", "program_source"]

LOOPS = frozenset((SCAN, WHILE, COND))

_CODES = {"f": "d", "i": "q", "b": "?"}
_FROM = {"f": "float", "i": "int", "b": "bool"}
_TYPES = {"f": np.float64, "i": np.int64, "b": np.bool_}
_TERMS = 50
"""So many are added up in one expression: the compiler of Python takes them apart recursively."""
_NESTED = 8
"""Loops in loops: Python allows 20 blocks in each other."""


def few(x: Atom, most: int) -> bool:
    """Whether a value has at most so many elements, of a dtype that can be written out."""
    return x.aval.dtype in DTYPES and 0 < x.aval.size <= most and not is_far(x)


def can_be_written(eqn: Equation, most: int, depth: int = 0) -> bool:
    """Whether an equation can be written over elements, with at most so many in each array (or row of a stack)."""
    if eqn.primitive not in LOOPS:
        return all(x.aval.size <= most for x in (*eqn.outputs, *eqn.inputs)) and can_be_scalars(eqn)
    if depth == _NESTED or any(x.aval.dtype not in DTYPES or is_far(x) for x in eqn.inputs):
        return False
    return all(
        not p.constvars
        and all(few(x, most) for x in (*p.inputs, *p.outputs))
        and all(can_be_written(e, most, depth + 1) for e in p.equations)
        for p in held(eqn)
    )


def all_equations(program: Program) -> Iterator[Equation]:
    for eqn in program.equations:
        yield eqn
        if eqn.primitive in LOOPS:
            for p in held(eqn):
                yield from all_equations(p)


class _Stack(NamedTuple):
    """An array as a list of rows: of each the elements from `first` on, as many as a slice has.

    Attributes:
        rows: the name of the list.
        width: how many elements a row has; 0 where a row is just a number.
    """

    rows: str
    width: int
    first: int
    size: int

    @property
    def text(self) -> str:
        """A list that only has the elements of this array."""
        if self.size == self.width or not self.width:
            return self.rows
        return f"[row[{self.first}:{self.first + self.size}] for row in {self.rows}]"


class ScalarCode:
    """Writes code over the elements of values.

    Attributes:
        lines: the code so far.
        elements, stacks: what is known of values: names and literals for their elements, or a list of rows.
        known: the expressions that a variable holds.
        fresh: what names a variable of a loop, whose program may be run twice.
        given: the names of the inputs, which are taken apart when they are first read.
        counting: whether integers are counted up or down.
    """

    def __init__(self, bindings: Bindings, inputs: Sequence[Var], depth: int, counting: bool) -> None:
        self.bindings, self.names, self.numbers = bindings, Names(), count()
        self.elements: dict[Any, np.ndarray] = {}
        self.stacks: dict[Any, _Stack] = {}
        # What a loop or branch knows is not known after it. (Its elements may be: their names are those of its
        # variables, which nothing outside reads.)
        self.known: dict[str, Scalar] = {}
        self.fresh: dict[Var, Var] = {}
        self.tables: dict[str, str] = {}  # the lists of rows that were made an array
        self.lines: list[str] = []
        self.depth, self.counting = depth, counting
        self.given = {v: f"{self.names(v)}_" for v in inputs}

    def write(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def knowledge(self) -> tuple[dict[Any, Any], ...]:
        """What is known at this point of the code, for `know`: what a block finds out is not known after it."""
        return tuple(map(dict, (self.elements, self.stacks, self.known, self.tables)))

    def know(self, knowledge: tuple[dict[Any, Any], ...]) -> None:
        self.elements, self.stacks, self.known, self.tables = knowledge

    # ------------------------------------------------------------------------------------------------- operands

    def _named(self, var: Var) -> np.ndarray:
        """Names for the elements of a variable."""
        parts = np.empty(var.aval.shape, object)
        name = self.names(self.fresh.get(var, var))
        end = "_" if len(name) > 2 else ""  # so that none is called log2
        for i, at in enumerate(np.ndindex(parts.shape)):
            parts[at] = Scalar(f"{name}{i}{end}")
        return parts

    def read(self, x: Atom, wanted: str | None = None) -> np.ndarray:
        """The elements of an operand; a constant as of the kind that is wanted."""
        if not isinstance(x, Var):
            out = np.empty((), object)
            out[()] = literal(x.value, wanted or x.aval.dtype.kind, self.bindings)
            return out
        if x not in self.elements:
            parts: Any = self._named(x)
            self.elements[x] = parts
            if x in self.stacks:
                rows: Any = parts.reshape(len(parts), -1) if self.stacks[x].width else parts
                self.write(f"{_pattern(rows)} = {self.stacks[x].text}")
            elif x.aval.shape:
                self.write(f"{_pattern(parts)} = {self.given[x]}.tolist()")
            else:
                self.write(f"{parts[()].text} = {_FROM[x.aval.dtype.kind]}({self.given[x]})")
            if self.counting and x.aval.dtype.kind == "i":
                for p in parts.flat:
                    self.write(f"if not {-FAR} < {p.text} < {FAR}:")
                    self.write("    raise ValueError  # it might wrap around")
        return self.elements[x]

    def texts(self, x: Atom, wanted: str | None = None) -> list[str]:
        return [p.text for p in self.read(x, wanted).flat]

    def _rows(self, x: Any) -> _Stack:
        """An array as a list of rows."""
        if x not in self.stacks:
            name, size = f"rows_{next(self.numbers)}", x.aval.size // x.aval.shape[0]
            width = 0 if x.aval.ndim == 1 else size
            if x in self.elements:
                parts = self.elements[x]
                self.write(f"{name} = {_pattern(parts.reshape(len(parts), -1) if width else parts)}")
            else:
                array = self.given[x]
                self.write(f"{name} = {array}{f'.reshape({x.aval.shape[0]}, -1)' if width else ''}.tolist()")
                if self.counting and x.aval.dtype.kind == "i":
                    self.write(f"if not {-FAR} < {array}.min() <= {array}.max() < {FAR}:")
                    self.write("    raise ValueError  # it might wrap around")
            self.stacks[x] = _Stack(name, width, 0, size)
        return self.stacks[x]

    # ------------------------------------------------------------------------------------------------- equations

    def _equation(self, eqn: Equation) -> None:
        place = describe(eqn.source)
        comment = f"  # {eqn.primitive.name}" + (f", {place}" if place else "")
        loop = {SCAN: self._scan, WHILE: self._while, COND: self._cond}.get(eqn.primitive)
        if loop is not None:
            loop(eqn, comment)
            return
        ins = [self.read(x, computes_with(eqn)) for x in eqn.inputs]
        found: list[Any] = apply(eqn, ins, self.bindings)
        for var, parts in zip(eqn.outputs, found, strict=True):
            names: Any = self._named(var)
            out = self.elements[var] = np.empty(parts.shape, object)
            for at in np.ndindex(parts.shape):
                x: Scalar = parts[at]
                if not x.simple and x.text not in self.known:
                    self.write(f"{names[at].text} = {x.text}{comment}")
                    comment = ""
                    self.known[x.text] = names[at]
                out[at] = self.known.get(x.text, x)

    def block(self, program: Program) -> None:
        """Write the equations of a loop or branch, whose inputs are known."""
        for eqn in program.equations:
            self._equation(eqn)

    def _enter(self, *bodies: Program) -> None:
        """Give new names to the variables of these programs."""
        for body in bodies:
            for v in (*body.inputs, *(v for e in body.equations for v in e.outputs)):
                self.fresh[v] = Var(v.aval)
                self.elements.pop(v, None)
                self.stacks.pop(v, None)

    def _assign(self, names: Sequence[str], texts: Sequence[str]) -> None:
        """Write an assignment of all these at once."""
        pairs = [(name, text) for name, text in zip(names, texts, strict=True) if name != text]
        if pairs:
            self.write(f"{', '.join(n for n, _ in pairs)} = {', '.join(t for _, t in pairs)}")

    def _start(self, carried: Sequence[Var], inits: Sequence[Atom]) -> list[str]:
        """Write the initial values of a loop; returns the names of the elements that are carried."""
        names: list[str] = []
        for var, init in zip(carried, inits, strict=True):
            texts = self.texts(init, var.aval.dtype.kind)
            parts: Any = self._named(var)
            self.elements[var] = parts
            mine = [p.text for p in parts.flat]
            self._assign(mine, texts)
            names += mine
        return names

    def _scan(self, eqn: Equation, comment: str) -> None:
        body, layout = eqn.params["program"], eqn.params["layout"]
        consts, inits, stacks = layout.split(eqn.inputs)
        self._enter(body)
        given = [self.read(x, v.aval.dtype.kind) for x, v in zip(consts, body.inputs, strict=False)]
        self.elements.update(zip(body.inputs, given, strict=False))
        carried = body.inputs[layout.consts : layout.consts + layout.carry]
        names = self._start(carried, inits)
        emitted = body.outputs[layout.carry :]
        rows = f"rows_{next(self.numbers)}"
        if emitted:
            self.write(f"{rows} = []")
        self._for(body.inputs[layout.consts + layout.carry :], [self._rows(x) for x in stacks], layout, comment)
        known, self.known = self.known, dict(self.known)
        self.depth += 1
        start = len(self.lines)
        self.block(body)
        texts = [t for y in emitted for t in self.texts(y)]
        if emitted:
            self.write(f"{rows}.append({_tuple(texts)})")
        outs = zip(carried, body.outputs, strict=False)
        self._assign(names, [t for v, out in outs for t in self.texts(out, v.aval.dtype.kind)])
        if len(self.lines) == start:
            self.write("pass")
        self.depth -= 1
        self.known = known
        if emitted and layout.reverse:
            self.write(f"{rows}.reverse()")
        for var, v in zip(eqn.outputs, carried, strict=False):
            self.elements[var] = self.elements[v]
        first, width = 0, len(texts)
        for var, y in zip(eqn.outputs[layout.carry :], emitted, strict=True):
            self.stacks[var] = _Stack(rows, width, first, y.aval.size)
            first += y.aval.size

    def _for(self, items: Sequence[Var], stacks: Sequence[_Stack], layout: Any, comment: str) -> None:
        """Write the head of a loop over rows."""
        wanted: dict[str, list[str]] = {}
        for var, stack in zip(items, stacks, strict=True):
            parts: Any = self._named(var)
            self.elements[var] = parts
            columns = wanted.setdefault(stack.rows, ["_"] * max(stack.width, 1))
            for i, at in enumerate(np.ndindex(parts.shape), stack.first):
                if columns[i] != "_":  # a row that is read twice
                    parts[at] = Scalar(columns[i])
                columns[i] = parts[at].text
        if not wanted:
            self.write(f"for _ in range({layout.length}):{comment}")
            return
        bare = {stack.rows for stack in stacks if not stack.width}
        patterns = [names[0] if rows in bare else _tuple(names) for rows, names in wanted.items()]
        lists = [f"reversed({rows})" if layout.reverse else rows for rows in wanted]
        over = lists[0] if len(lists) == 1 else f"zip({', '.join(lists)})"
        self.write(f"for {', '.join(patterns)} in {over}:{comment}")

    def _while(self, eqn: Equation, comment: str) -> None:
        test, body, counted = eqn.params["cond"], eqn.params["body"], eqn.params["counts"]
        of_test, of_body, inits = counted.split(eqn.inputs)
        self._enter(test, body)
        for program, consts in ((test, of_test), (body, of_body)):
            given = [self.read(x, v.aval.dtype.kind) for x, v in zip(consts, program.inputs, strict=False)]
            self.elements.update(zip(program.inputs, given, strict=False))
        carried = body.inputs[counted.body :]
        names = self._start(carried, inits)
        for var, v in zip(test.inputs[counted.cond :], carried, strict=True):
            self.elements[var] = self.elements[v]
        self.write(f"while True:{comment}")
        known, self.known = self.known, dict(self.known)
        self.depth += 1
        self.block(test)
        (going,) = self.texts(test.outputs[0])
        self.write(f"if not {going}:")
        self.write("    break")
        self.block(body)
        outs = zip(carried, body.outputs, strict=True)
        self._assign(names, [t for v, out in outs for t in self.texts(out, v.aval.dtype.kind)])
        self.depth -= 1
        self.known = known
        for var, v in zip(eqn.outputs, carried, strict=True):
            self.elements[var] = self.elements[v]

    def _cond(self, eqn: Equation, comment: str) -> None:
        index, *operands = eqn.inputs
        branches = eqn.params["branches"]
        (chosen,) = self.texts(index, "i")
        given = [self.read(x) for x in operands]
        outs = [self._named(v) for v in eqn.outputs]
        names = [p.text for parts in outs for p in parts.flat]
        known = self.known
        for n, branch in enumerate(branches):
            head = f"if {chosen} == {n}:" if n == 0 else f"elif {chosen} == {n}:"
            self.write((head if n < len(branches) - 1 or n == 0 else "else:") + (comment if n == 0 else ""))
            self._enter(branch)  # each by itself: two may be the same program
            self.elements.update(zip(branch.inputs, given, strict=True))
            self.known = dict(known)
            self.depth += 1
            start = len(self.lines)
            self.block(branch)
            results = zip(eqn.outputs, branch.outputs, strict=True)
            self._assign(names, [t for v, out in results for t in self.texts(out, v.aval.dtype.kind)])
            if len(self.lines) == start:
                self.write("pass")
            self.depth -= 1
        self.known = known
        self.elements.update(zip(eqn.outputs, outs, strict=True))

    # ------------------------------------------------------------------------------------------------- results

    def check(self, outputs: Sequence[Atom]) -> None:
        """Write what leaves results that are not finite to NumPy, which then says so."""
        floats = [x for x in outputs if x.aval.dtype.kind == "f" and x not in self.stacks]
        texts = dict.fromkeys(t for x in floats for t in self.texts(x))
        names = [t for t in texts if t.isidentifier() and t not in self.bindings.values]  # no constants
        for i in range(0, len(names), _TERMS):
            self.write(f"total {'+' * (i > 0)}= {' + '.join(names[i : i + _TERMS])}")
        if names:
            self.write("if total - total != 0.0:")
            self.write("    raise ValueError  # not finite")

    def put_together(self, var: Any, name: str, gaps: bool) -> list[str]:
        """Write what makes an array ready, with what may fail; returns the lines that fill it."""
        if var in self.stacks:
            made = f"array_{name}"
            self.write(f"{made} = {self._array(var)}.reshape({var.aval.shape})")
            if var.aval.dtype.kind == "f":
                self.write(f"if not {self.bindings.name(np.isfinite, 'isfinite')}({made}).all():")
                self.write("    raise ValueError  # not finite")
            return [f"{name}[...] = {made}"]
        function = self.bindings.name(struct.Struct(f"{var.aval.size}{_CODES[var.aval.dtype.kind]}").pack_into, "pack")
        texts = self.texts(var)
        pack = f"{function}({', '.join([name, '0', *texts])})"
        if not gaps:
            return [pack]
        return ["try:", f"    {pack}", "except TypeError:  # the array has gaps", f"    {name}.flat = {_tuple(texts)}"]

    def _array(self, var: Any) -> str:
        """A stacked result as an array."""
        stack, function = self.stacks[var], self.bindings.name(np.array, "array")
        others = [v for v, other in self.stacks.items() if other.rows == stack.rows]
        if not stack.width or any(v.aval.dtype != var.aval.dtype for v in others):
            return f"{function}({stack.text}, {self.bindings.dtype(var.aval.dtype)})"
        if stack.rows not in self.tables:
            table = self.tables[stack.rows] = f"table_{next(self.numbers)}"
            self.write(f"{table} = {function}({stack.rows}, {self.bindings.dtype(var.aval.dtype)})")
            if var.aval.shape[0] == 0:
                self.write(f"{table}.shape = 0, {stack.width}")
        return f"{self.tables[stack.rows]}[:, {stack.first}:{stack.first + stack.size}]"

    def result(self, var: Atom) -> str:
        (text,) = self.texts(var)
        if var.aval.weak:
            return text
        kind = _TYPES[var.aval.dtype.kind]
        return f"{self.bindings.name(kind, f'{kind.__name__}_type')}({text})"


def constant(value: np.ndarray, bindings: Bindings) -> np.ndarray:
    """The elements of an array that does not change, as literals."""
    parts = np.empty(value.shape, object)
    for at in np.ndindex(parts.shape):
        parts[at] = literal(value[at], value.dtype.kind, bindings)
    return parts


def program_source(program: Program, bindings: Bindings) -> str:
    """The source of a function `run` over the inputs of a program, and an array for each output that is one.

    It returns the other outputs. Where Python raises ArithmeticError or ValueError, or something is not finite, it
    returns what `plain` returns for its arguments.
    """
    code = ScalarCode(bindings, program.inputs, 2, any(map(counts, all_equations(program))))
    code.block(program)
    into = {v: f"into_{i}" for i, v in enumerate(v for v in program.outputs if v.aval.shape)}
    arguments = ", ".join([*code.given.values(), *into.values()])
    ends = [f"    {line}" for v, name in into.items() for line in code.put_together(v, name, True)]
    code.check(program.outputs)
    results = [code.result(v) for v in program.outputs if not v.aval.shape]
    start = [f"def run({arguments}):", "    try:"]
    failed = ["    except (ArithmeticError, ValueError):", f"        return plain({arguments})"]
    last = f"    return ({''.join(f'{r}, ' for r in results).rstrip()})"
    return "\n".join([*start, *code.lines, *failed, *ends, last]) + "\n"


def _tuple(texts: Sequence[str]) -> str:
    return f"({', '.join(texts)},)"


def _pattern(parts: Any) -> str:
    """What to assign nested lists to."""
    return _tuple([x.text for x in parts]) if parts.ndim == 1 else _tuple(list(map(_pattern, parts)))
