"""Generated code: Python source over NumPy, one statement or a few for each step.

The source of a program is a function `run(scratch, …)` over its constants and inputs, and a function `scratch()` that
makes the memory which `run` works in. Whatever does not depend on a call (memory, views of it) is made there.
"""

from __future__ import annotations

import builtins
import keyword
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np

from funcgrad.executor.plan import Place, Plan
from funcgrad.executor.step import INTO, OWN, VIEW, Bindings, Step, tuple_text
from funcgrad.ir import Atom, Equation, Program, Var
from funcgrad.ir_print import Names
from funcgrad.scratch import lined
from funcgrad.source import describe
from funcgrad.types import ShapedArray, is_a

__all__ = ["Arena", "Emitter", "Sinks"]


Sinks = Callable[[int], str | None]


class Arena:
    """Scratch memory: blocks that are handed out, given back and handed out again, and grow as needed."""

    __slots__ = ("contiguous", "free", "free_sizes", "lines", "names", "sizes", "used")

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.free: dict[int, list[int]] = {}  # by size; the one given back last is the last
        self.free_sizes: list[int] = []  # in order
        self.names: dict[Any, str] = {}
        self.lines: list[str] = []  # what makes the views of the blocks
        self.used: dict[str, int | None] = {}  # the names that scratch() returns, and which block each is a view of
        self.contiguous: set[str] = set()

    def take(self, size: int) -> int:
        """A block of at least `size` bytes: the tightest free one, or the largest, grown."""
        if not self.free:
            self.sizes.append(size)
            return len(self.sizes) - 1
        at = min(bisect_left(self.free_sizes, size), len(self.free_sizes) - 1)
        have = self.free_sizes[at]
        # The one given back last is the one most likely still in the cache.
        block = self.free[have].pop()
        if not self.free[have]:
            del self.free[have], self.free_sizes[at]
        self.sizes[block] = max(have, size)
        return block

    def give(self, *blocks: int) -> None:
        """Take blocks back."""
        for block in blocks:
            size = self.sizes[block]
            if size not in self.free:
                self.free[size] = []
                insort(self.free_sizes, size)
            self.free[size].append(block)

    @contextmanager
    def branch(self) -> Iterator[None]:
        """`with arena.branch():` is for code that leaves the function: what it takes is free again after it."""
        free = [block for blocks in self.free.values() for block in blocks]
        yield
        self.free, self.free_sizes = {}, []  # the sizes of blocks may have grown
        self.give(*free)

    def view(self, block: int, aval: ShapedArray, bindings: Bindings) -> str:
        """The name of a block seen as an array."""
        key = (block, aval.shape, aval.dtype)
        if key not in self.names:
            name = self.names[key] = f"s{len(self.used)}"
            dtype = bindings.dtype(aval.dtype)
            self.contiguous.add(name)
            self.lines.append(f"{name} = ndarray({tuple_text(aval.shape)}, {dtype}, m{block})")
            self.used[name] = block
        return self.names[key]

    def derived(self, text: str, block: int | None) -> str:
        """The name of a view, given by an expression over names of this arena."""
        if text not in self.names:
            name = self.names[text] = f"s{len(self.used)}"
            self.lines.append(f"{name} = {text}")
            self.used[name] = block
        return self.names[text]

    @property
    def bytes(self) -> int:
        return sum(map(lined, self.sizes))


class Emitter:
    """Writes the code of a block, and of the blocks in it.

    Attributes:
        lines: the code so far, without the function's head.
        sources: for each line, what error messages need: the name of the primitive, its operands' avals, the user's
            place; None for lines of no equation.
    """

    def __init__(self, bindings: Bindings) -> None:
        self.bindings, self.arena = bindings, Arena()
        self.lines: list[str] = []
        self.sources: list[Any] = []
        self.depth = 1
        self.env: dict[Var, str] = {}
        self.names = Names()
        self.owned: set[Var] = set()
        self.numbers = count(1)
        self.beside: dict[Any, str | None] = {}  # scalars that are read again and again beside arrays, as arrays

    # ------------------------------------------------------------------------------------------------ writing

    def write(self, text: str, step: Step | None = None, comment: str = "") -> None:
        """A line of code."""
        self.lines.append("    " * self.depth + text + (f"  # {comment}" if comment else ""))
        self.sources.append(None if step is None else step.equation)

    def unique(self, hint: str) -> str:
        """A name that is used nowhere else."""
        return f"{hint}_{next(self.numbers)}"

    def local(self, var: Var) -> str:
        """The name of a variable, which is that in the printed program."""
        name = self.names(var)
        return f"{name}_" if len(name) > 2 or keyword.iskeyword(name) or hasattr(builtins, name) else name

    def operand(self, atom: Atom) -> str:
        if isinstance(atom, Var):
            return self.env[atom]
        value = atom.value
        if atom.aval.weak:
            text = repr(value)
            plain = np.isfinite(value) if is_a(value, (float, complex)) else True
            return text if plain else self.bindings.name(value, "inf" if value == value else "nan")
        return self.bindings.name(value, "c")

    def scalar(self, name: str, var: Var) -> str:
        """Code that makes a NumPy scalar of an input without dimensions: of an array, or of a Python number."""
        if var.aval.dtype.kind == "V":  # a random key
            return f"{name} = {name}[()]"
        kind = self.bindings.name(var.aval.dtype.type, f"{var.aval.dtype.name}_type")
        return f"{name} = {name}[()] if {name}.__class__ is ndarray else {kind}({name})"

    def constants(self, program: Program) -> None:
        """Bind the constants of a program."""
        for var, value in zip(program.constvars, program.consts, strict=True):
            self.env[var] = self.bindings.name(value if var.aval.shape else value[()], "const")

    # ------------------------------------------------------------------------------------------------- blocks

    def block(self, plan: Plan, sinks: Sinks) -> None:
        """Write the steps of a block, whose inputs are in `env`.

        `sinks(i)` is called when memory for output i is needed: the name of an array, or None for fresh memory.
        """
        ends: dict[int, int] = {}
        for var, place in plan.places.items():
            ends[id(place)] = max(ends.get(id(place), -1), plan.dies.get(var, -1))
        outer = self.beside
        self.beside = {**self._often_beside(plan), **outer}
        for at, step in enumerate(plan.steps):
            self._step(plan, step, sinks)
            eqn = step.equation
            for var in {**dict.fromkeys(x for x in eqn.inputs if not x.is_literal), **dict.fromkeys(eqn.outputs)}:
                for root in plan.root(var):
                    place = plan.places.get(root)
                    if place is not None and place.block is not None and ends[id(place)] <= at:
                        self.arena.give(place.block)
                        place.block = None
            self._forget(plan, step, at)
        self.beside = outer

    def _often_beside(self, plan: Plan) -> dict[Any, str | None]:
        """The scalars that several steps read beside arrays."""
        reads = Counter(
            x for s in plan.steps if s.beside for x in s.equation.inputs if not (x.aval.shape or x.aval.weak)
        )
        return {x: None for x, n in reads.items() if n > 1 and not x.is_literal}

    def _as_array(self, x: Atom, name: str) -> str:
        """The name of an operand beside an array: 0.4 µs less where a NumPy scalar is an array without dimensions."""
        if x not in self.beside:
            return name
        found = self.beside[x]
        if found is None:
            found = self.beside[x] = self.unique(name)
            self.write(f"{found} = {self.bindings.name(np.array, 'array')}({name})")
        return found

    def _forget(self, plan: Plan, step: Step, at: int) -> None:
        """Drop large arrays that the block allocated by itself as soon as they are dead; others may need its inputs."""
        for x in {id(x): x for x in step.equation.inputs if not x.is_literal}.values():
            owned = x in self.owned and plan.dies.get(x) == at and x not in plan.program.inputs
            if owned and x.aval.size * x.aval.dtype.itemsize > 1 << 16 and self.env[x] == self.local(x):
                self.write(f"del {self.env[x]}")

    def place_name(self, place: Place, sinks: Sinks) -> str | None:
        """The name of the array at a place; None where the step is to allocate it."""
        if place.name is None:
            if place.sink is not None:
                place.name = sinks(place.sink)
                return place.name
            size = max(1, place.aval.size * place.aval.dtype.itemsize)
            place.block = self.arena.take(size)
            place.name = self.arena.view(place.block, place.aval, self.bindings)
        return place.name

    def empty(self, aval: ShapedArray) -> str:
        """Code for fresh memory."""
        function = self.bindings.name(np.empty, "empty")
        return f"{function}({tuple_text(aval.shape)}, {self.bindings.dtype(aval.dtype)})"

    def _step(self, plan: Plan, step: Step, sinks: Sinks) -> None:
        eqn = step.equation
        if step.loop is not None:
            step.loop(self, plan, step, sinks)
            return
        ins = [self.operand(x) for x in eqn.inputs]
        comment = self.comment(eqn)
        if step.expression is not None:
            self._expression(plan, step, ins, sinks, comment)
            return
        assert step.lines is not None
        outs = [self.result(plan, step, k, sinks, comment) for k in range(len(eqn.outputs))]
        temporaries = [self.arena.take(max(1, a.size * a.dtype.itemsize)) for a in step.temporaries]
        names = [self.arena.view(b, a, self.bindings) for b, a in zip(temporaries, step.temporaries, strict=True)]
        for i, text in enumerate(step.lines(ins, outs, names)):
            self.write(text, step, comment if i == 0 else "")
        self.arena.give(*temporaries)

    def _expression(self, plan: Plan, step: Step, ins: list[str], sinks: Sinks, comment: str) -> None:
        (var,) = step.equation.outputs
        assert step.expression is not None
        if step.kinds[0] == VIEW and self._static(step, ins):
            assert step.view_of is not None
            source = ins[step.view_of]
            name = self.env[var] = self.arena.derived(step.expression(ins, None), self.arena.used[source])
            if step.equation.primitive.name == "reshape" or (
                source in self.arena.contiguous and _is_block(step.equation)
            ):
                self.arena.contiguous.add(name)
            return
        if step.beside:
            ins = [self._as_array(x, name) for x, name in zip(step.equation.inputs, ins, strict=True)]
        if step.prepare:
            ins = [self.prepared(x, t) for x, t in zip(ins, step.prepare, strict=True)]
        if step.prepare_out is not None:
            into = self.result(plan, step, 0, sinks, comment)
            self.write(step.expression(ins, self.prepared(into, step.prepare_out)), step, comment)
            return
        into = None
        if step.kinds[0] == INTO:
            into = self.place_name(plan.places[var], sinks)
            if into is None:  # allocated by the step itself
                plan.places[var].name = self.local(var)
        name = self.env[var] = self.local(var) if into is None else into
        if step.kinds[0] == OWN:
            self.owned.add(var)
        text = step.expression(ins, into)
        self.write(text if name == into else f"{name} = {text}", step, comment)

    def prepared(self, name: str, template: str | None) -> str:
        """A view of an array, made once and for all if it is one of scratch memory."""
        if template is None or template == "{}":
            return name
        text = template.format(name)
        if name in self.arena.used and ("reshape" not in template or name in self.arena.contiguous):
            return self.arena.derived(text, self.arena.used[name])
        return text

    def _static(self, step: Step, ins: list[str]) -> bool:
        """Whether a view is of scratch memory, and the same at each call."""
        source = ins[step.view_of] if step.view_of is not None else ""
        # A reshape of what is not contiguous is a copy.
        copied = step.equation.primitive.name == "reshape" and source not in self.arena.contiguous
        return source in self.arena.used and not copied

    def result(self, plan: Plan, step: Step, k: int, sinks: Sinks, comment: str) -> str:
        var = step.equation.outputs[k]
        name = self.local(var)
        if step.kinds[k] == INTO:
            place = plan.places[var]
            into = self.place_name(place, sinks)
            if into is None:
                self.write(f"{name} = {self.empty(var.aval)}")
                into = place.name = name
            name = into
        elif step.kinds[k] == OWN:
            self.owned.add(var)
        self.env[var] = name
        return name

    def comment(self, eqn: Any) -> str:
        results = ", ".join(self.names.typed(v) for v in eqn.outputs[:3]) + (", …" if len(eqn.outputs) > 3 else "")
        place = describe(eqn.source)
        return f"{results} = {eqn.primitive.name}" + (f", {place}" if place else "")


def _is_block(eqn: Equation) -> bool:
    """Whether a view is a slice along the first axis, which of contiguous memory is contiguous."""
    if eqn.primitive.name != "slice":
        return False
    return eqn.params["size"][1:] == eqn.inputs[0].aval.shape[1:] and set(eqn.params["step"]) <= {1}
