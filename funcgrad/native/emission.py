"""The state of emission: what is known of each variable, and elements of values at indices.

A variable is in `env` where it lies in memory or in registers; else it is evaluated where it is read, from the equation
that defines it (`Emission.element`). How an operation does that is said by its emitter (`registry`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from funcgrad.ir import Atom, Equation, Var
from funcgrad.native.code import HostStep
from funcgrad.native.index import ZERO, Flat, Ix, constants
from funcgrad.native.memory import STACK, STACK_IN_ALL, Memory, Slots
from funcgrad.native.registry import ELEMENTS, found
from funcgrad.native.values import Buf, Small, places, small, viewed
from funcgrad.native.writer import Operand, Writer, component, memory_type
from funcgrad.scratch import lined
from funcgrad.types import ShapedArray

__all__ = ["Emission", "Value"]

DType = np.dtype[Any]
Value = Buf | Small


class Emission(Memory):
    """A program on its way to text.

    Attributes:
        w: the writer.
        env: the variables that lie in memory or in registers.
        defs: the equation of each variable seen so far.
        vector_bytes: the size of a vector register.
        slots: the workspace.
        constants: the arrays that the program holds.
        host_steps: the equations that are done by NumPy.
        breaks: for each loop of the kernel that is written now, where it is to be cut.
        equations: how many were emitted.
        stack: how many bytes of arrays lie on the stack.
        owned: the slots that are in use, by whose they are: a variable, an equation, or the block.
        factors: LU factors and pivots, by the block in which they were made and the matrix (`emit_linalg`).
        block: the straight program that is emitted now.
        outside: the places before the loops that are being written (`outside`).
        part: the part that is being written, of work that threads share (`parts`).
        copy: writes a value into memory (`kernel`).
        reduced: an element of a reduction whose few terms are written out (`reductions`).
    """

    def __init__(self, w: Writer, vector_bytes: int) -> None:
        super().__init__(w)
        self.vector_bytes = vector_bytes
        self.env: dict[Var, Value] = {}
        self.defs: dict[Var, Equation] = {}
        self.slots = Slots()
        self.constants: list[np.ndarray] = []
        self.host_steps: list[HostStep] = []
        self.breaks: list[set[int]] = []
        self.equations = 0
        self.stack = 0
        self.owned: dict[Any, list[int]] = {}
        self.factors: dict[tuple[object, Any], tuple[Buf, Buf]] = {}
        self.block: object = None
        self.outside: list[Any] = []
        self.part: Any = None
        self.copy: Callable[[Atom, Buf], None] = _not_ready
        self.reduced: Callable[[Equation, Sequence[Ix]], Operand] = _not_ready
        self._prelude: list[Any] | None = None
        self._alive: list[Any] = []
        self._rules: dict[Var, tuple[Equation, Callable[[Sequence[Ix]], Operand]]] = {}

    def close(self) -> None:
        """Let go of what refers to this: nothing is left to the cycle collector."""
        self.copy = self.reduced = _not_ready
        self._rules.clear()

    # ------------------------------------------------------------------ elements

    def element(self, x: Atom, idx: Sequence[Ix]) -> Operand:
        """An element of a value at an index (one a lane, where vectors are written)."""
        w = self.w
        if isinstance(x, Var):
            value = self.env.get(x)
            if value is None:
                return self._computed(x, idx)
            if isinstance(value, Buf):
                return self.load(value.flat() if type(idx) is Flat else value, idx)
            return self._in_registers(value, idx)
        return w.literal(x.value, x.aval.dtype)

    def _computed(self, x: Var, idx: Sequence[Ix]) -> Operand:
        w = self.w
        if type(idx) is Flat:
            key = ("element", x, w.width, idx[0].key)
        else:
            key = ("element", x, w.width, tuple([i.key for i, n in zip(idx, x.aval.shape, strict=True) if n != 1]))
        value = w.memo.get(key)
        if value is None and w.width and not any(i.step for i in idx):
            with w.lanes(0):
                one = self._computed(x, idx)
            value = w.memo[key] = self.spread(one, x.aval.dtype)
        if value is None:
            value = w.memo[key] = self._rule(x)(idx)
        return value

    def _rule(self, x: Var) -> Callable[[Sequence[Ix]], Operand]:
        """How an element of a variable is computed. Bodies of loops may share variables, each with its own equation."""
        eqn = self.defs[x]
        known = self._rules.get(x)
        if known is not None and known[0] is eqn:
            return known[1]
        emitter = found(ELEMENTS, eqn)
        rule = partial(self.reduced, eqn) if emitter is None else partial(emitter.rule, self, eqn, eqn.outputs.index(x))
        self._rules[x] = eqn, rule
        return rule

    def _in_registers(self, value: Small, idx: Sequence[Ix]) -> Operand:
        if len(value.values) == 1:
            return self.spread(value.values[0], value.dtype) if self.w.width else value.values[0]
        if constants(idx):
            one = value.at(idx)
            return self.spread(one, value.dtype) if self.w.width else one
        return self.load(self.spilled(value), idx)

    def operand(self, x: Atom, shape: Sequence[int], idx: Sequence[Ix]) -> Operand:
        """An element of an operand that is broadcast to `shape`, at an index of that."""
        have = x.aval.shape
        if have == shape or type(idx) is Flat or not isinstance(x, Var):
            return self.element(x, idx)
        idx = idx[len(shape) - len(have) :]
        return self.element(x, [ZERO if n == 1 else i for i, n in zip(idx, have, strict=True)])

    def small_values(self, x: Atom) -> list[Operand]:
        """All elements of a small value, in registers."""
        if not isinstance(x, Var):
            return [self.w.literal(x.value, x.aval.dtype)]
        value = self.env.get(x)
        if isinstance(value, Small):
            return value.values
        return [self.element(x, idx) for idx in places(x.aval.shape)]

    def by_lanes(self, dtype: DType, idx: Sequence[Ix], scalar: Callable[[list[Ix]], Operand]) -> Operand:
        """A vector of what `scalar` gives for the indices of each lane; where scalars are written, what it gives."""
        w = self.w
        if not w.width:
            return scalar(list(idx))
        values: list[Operand] = []
        n = w.width if any(i.step for i in idx) else 1
        with w.lanes(0):
            for k in range(n):
                values.append(scalar([i.lane(k) for i in idx]))
        return self.gathered(values, dtype) if n > 1 else self.spread(values[0], dtype)

    def cut(self, i: Ix, value: int) -> bool:
        """Ask for the loop of an index to be cut where the index passes `value`; false if that cannot be."""
        if i.axis < 0 or not i.lo < value <= i.hi or not self.breaks:
            return False
        self.breaks[i.axis].add(i.where(value))
        return True

    def register(self, i: Ix) -> str:
        """The value of an index (of the first lane) as an i64."""
        w = self.w
        if not i.base.startswith("%"):
            return str(int(i.base or 0) * i.scale + i.off)
        key = ("index", i.base, i.scale, i.off)
        r = w.memo.get(key)
        if r is None:
            r = i.base if i.scale == 1 else w.op(f"mul nsw i64 {i.base}, {i.scale}")
            if i.off:
                r = w.op(f"add nsw i64 {r}, {i.off}")
            w.memo[key] = r
        return r

    # ------------------------------------------------------------------ memory

    def spilled(self, value: Small) -> Buf:
        """A value of registers in memory, written where it dominates the kernel that is written now."""
        w = self.w
        key = ("spilled", id(value))
        b = w.memo.get(key)
        if b is None:
            n = max(1, len(value.values)) * _parts(value.dtype)
            b = Buf(w.alloca(memory_type(value.dtype), n), value.shape, value.dtype)
            with w.lanes(0), self._at_prelude():
                for idx, v in zip(places(value.shape), value.values, strict=True):
                    self.store(b, idx, v)
            w.memo[key] = b
            self._alive.append(value)
        return b

    @contextmanager
    def prelude(self) -> Iterator[None]:
        """What is spilled inside is written here."""
        here: list[Any] = []
        self.w.lines.append(here)
        before, self._prelude = self._prelude, here
        try:
            yield
        finally:
            self._prelude = before

    @contextmanager
    def _at_prelude(self) -> Iterator[None]:
        w = self.w
        if self._prelude is None:
            yield
            return
        lines, memo = w.lines, w.memo
        w.lines, w.memo = self._prelude, {}
        try:
            yield
        finally:
            w.lines, w.memo = lines, memo

    def temp(self, shape: Sequence[int], dtype: DType, owner: Any = None) -> Buf:
        """Memory for an array: on the stack if it is small, else a slot, which is given back when `owner` (a variable)
        is not read any more; without one, at the end of the block."""
        size = math.prod(shape) * dtype.itemsize
        if size <= STACK and self.stack + size <= STACK_IN_ALL:
            self.stack += size
            n = max(1, math.prod(shape)) * _parts(dtype)
            return Buf(self.w.alloca(memory_type(dtype), n), shape, dtype)
        return self.slot(shape, dtype, owner)[1]

    def slot(self, shape: Sequence[int], dtype: DType, owner: Any = None) -> tuple[int, Buf]:
        """A slot of the workspace for an array, as `temp` gives it, and its number."""
        size = max(1, math.prod(shape)) * dtype.itemsize
        k = self.slots.take(size if self.part is None else lined(size) * self.part.count)
        self.owned.setdefault(self.block if owner is None else owner, []).append(k)
        place = f"%w{k}"
        if self.part is not None:  # each part has a piece of its own
            w, whole, place = self.w, place, self.w.name("p")
            w.entry.append(f"  {place}.at = mul nuw nsw i64 {self.part.number}, {lined(size)}")
            w.entry.append(f"  {place} = getelementptr i8, ptr {whole}, i64 {place}.at")
        b = Buf(place, shape, dtype)
        self.forget(b)
        return k, b

    def release(self, owner: Any) -> None:
        """Give back the slots of an owner."""
        self.slots.free += self.owned.pop(owner, ())

    def state(self) -> tuple[Any, ...]:
        """What `restore` goes back to."""
        known = dict(self.env), self.block, self.w.width, list(self.breaks), self._prelude
        slots = len(self.slots.sizes), list(self.slots.free), {k: list(v) for k, v in self.owned.items()}
        return self.w.mark(), known, slots, len(self.host_steps), len(self.constants), self.equations

    def restore(self, state: tuple[Any, ...]) -> None:
        """Forget what was emitted since `state`, and what it made known."""
        mark, known, (count, free, self.owned), steps, constants, self.equations = state
        self.env, self.block, self.w.width, self.breaks, self._prelude = known
        self.slots.free = [*free, *range(count, len(self.slots.sizes))]
        self.w.rewind(mark)
        del self.host_steps[steps:], self.constants[constants:]

    def constant(self, array: np.ndarray) -> Buf:
        """An array that the program holds, in memory."""
        if not array.flags.c_contiguous:
            array = np.ascontiguousarray(array)
        for k, have in enumerate(self.constants):
            if have is array:
                return Buf(f"%k{k}", array.shape, array.dtype, None, 0, array)
        self.constants.append(array)
        return Buf(f"%k{len(self.constants) - 1}", array.shape, array.dtype, None, 0, array)

    def buffer(self, x: Atom) -> Buf:
        """An operand in memory: where it lies, a view of that, or a copy."""
        if not isinstance(x, Var):
            b = self.temp((), x.aval.dtype)
            self.store(b, (), self.w.literal(x.value, x.aval.dtype))
            return b
        value = self.env.get(x)
        if isinstance(value, Buf):
            return value
        if isinstance(value, Small):
            return self.spilled(value)
        eqn = self.defs[x]
        if eqn.primitive.moves and len(eqn.inputs) == 1:
            view = viewed(eqn, eqn.outputs.index(x), self.buffer(eqn.inputs[0]))
            if view is not None:
                return view
        b = self.temp(x.aval.shape, x.aval.dtype)
        self.copy(x, b)
        self.env[x] = b
        return b

    def view(self, x: Atom) -> Buf | None:
        """Where a value lies in memory, if it is there or is a view of what is there."""
        if not isinstance(x, Var):
            return None
        value = self.env.get(x)
        if value is not None:
            return value if isinstance(value, Buf) else None
        eqn = self.defs[x]
        if not eqn.primitive.moves or len(eqn.inputs) != 1:
            return None
        inner = self.view(eqn.inputs[0])
        return None if inner is None else viewed(eqn, eqn.outputs.index(x), inner)

    def dense(self, x: Atom) -> Buf:
        """An operand in memory, contiguous."""
        b = self.buffer(x)
        if b.contiguous:
            return b
        copy = self.temp(b.shape, b.dtype)
        self.copy_buffer(b, copy)
        return copy

    def copy_buffer(self, source: Buf, target: Buf) -> None:
        """Copy one array in memory to another of the same shape."""
        v = self.named(source)
        self.copy(v, target)
        del self.env[v]

    def named(self, b: Buf) -> Var:
        """A variable that stands for an array in memory."""
        v = Var(ShapedArray(b.shape, b.dtype))
        self.env[v] = b
        return v

    def loaded(self, b: Buf) -> Small:
        """A small array in memory as registers."""
        return Small([self.fresh(b, idx) for idx in places(b.shape)], b.shape, b.dtype)

    def settled(self, b: Buf) -> Value:
        """An array in memory as the value of a variable: in registers if it is small."""
        return self.loaded(b) if small(b.shape) else b


def _parts(dtype: DType) -> int:
    return 1 if component(dtype) == dtype else 2


def _not_ready(*args: Any) -> Any:
    raise NotImplementedError("`lower` connects kernels and reductions")
