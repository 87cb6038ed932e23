"""What a program in parts comes to: parts and transfers in order, over numbered slots for the values of either side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from funcgrad.backends import compile_for
from funcgrad.backends._memory import placed
from funcgrad.backends.base import Backend, UnsupportedOperationError
from funcgrad.executor.build import build
from funcgrad.executor.compiled import executable
from funcgrad.ir import Atom, Program, Var
from funcgrad.offload.parts import Part
from funcgrad.types import ShapedArray

__all__ = ["Lacking", "Layout", "Step"]


class Lacking(Exception):
    """A part that the backend cannot run after all; its cause says what is missing."""

    def __init__(self, part: Part) -> None:
        super().__init__(part)
        self.part = part


class Step(NamedTuple):
    """A part, or values that go over.

    Attributes:
        kind: "host", "device", "up" or "down".
        run: what runs the part: of the host, called with its operands; of the device, with a list of them, and gives
            also what checks the results. For a transfer, what moves one array.
        operands, results: slots; those of the operands of a part are on its side. A transfer has the same for both.
        avals: of the results.
        dead: slots whose values nobody reads afterwards, on either side.
        program: that of a part.
    """

    kind: str
    run: Callable[..., Any]
    operands: tuple[int, ...]
    results: tuple[int, ...]
    avals: tuple[ShapedArray, ...]
    dead: tuple[int, ...]
    program: Program | None


class Layout:
    """The steps of a program in parts, in the making.

    Attributes:
        steps: parts and transfers, in order.
        slots: of the values, on either side.
        inputs: the slots of the inputs.
        results: the slots of the outputs, each with whether an earlier one is the same.
    """

    def __init__(self, program: Program, parts: Sequence[Part], backend: Backend, donated: Sequence[bool]) -> None:
        self.backend, self.program = backend, program
        self.slots: dict[Any, int] = {}
        self.inputs = tuple(map(self.slot, program.inputs))
        self._sent: set[Var] = set()
        self._fetched: set[Var] = set()
        self._plans = self._with_transfers(parts)
        self._ends = self._last_reads()
        free = self._free(donated)
        self.steps = [self._step(at, kind, part, values, free) for at, (kind, part, values) in enumerate(self._plans)]
        self.results = self._outputs()

    def slot(self, var: Any) -> int:
        """The slot of a value."""
        return self.slots.setdefault(var, len(self.slots))

    def _with_transfers(self, parts: Sequence[Part]) -> list[tuple[str, Part | None, tuple[Var, ...]]]:
        """Parts, and before each the values that it needs from the other side; the results of the program last."""
        there = {v for p in parts if p.on_device for v in p.gives}
        plans: list[tuple[str, Part | None, tuple[Var, ...]]] = []
        for part in parts:
            if part.on_device:
                moved = tuple(v for v in part.reads if v not in there and v not in self._sent)
                self._sent.update(moved)
            else:
                moved = tuple(v for v in part.reads if v in there and v not in self._fetched)
                self._fetched.update(moved)
            if moved:
                plans.append(("up" if part.on_device else "down", None, moved))
            plans.append(("device" if part.on_device else "host", part, part.reads))
        wanted = tuple(v for v in dict.fromkeys(self.program.outputs) if v in there and v not in self._fetched)
        if wanted:
            plans.append(("down", None, wanted))
        return plans

    def _last_reads(self) -> dict[Any, int]:
        """For each value the last step that reads it, or makes it."""
        last: dict[Any, int] = {}
        for at, (_, part, values) in enumerate(self._plans):
            last.update((v, at) for v in values)
            if part is not None:
                last.update((v, at) for v in part.gives)
        return last

    def _free(self, donated: Sequence[bool]) -> set[Any]:
        """The values of the host that the last part that reads them may overwrite.

        Those are what parts have made and what came back, and donated inputs if no input is read later: one of those
        might be the same array. What went to the device stays as it is, since that may work in the same memory.
        """
        inputs = set(self.program.inputs)
        end = max([self._ends[v] for v in inputs if v in self._ends], default=-1)
        given = {v for v, d in zip(self.program.inputs, donated, strict=False) if d and self._ends.get(v) == end}
        return {v for v in self._ends if v not in inputs or v in given} - self._sent - set(self.program.outputs)

    def _step(self, at: int, kind: str, part: Part | None, values: Sequence[Var], free: set[Any]) -> Step:
        kept = set(self.program.outputs)
        mine = (*values, *(part.gives if part is not None else ()))
        dead = tuple(self.slot(v) for v in dict.fromkeys(mine) if self._ends[v] == at and v not in kept)
        operands = tuple(map(self.slot, values))
        if part is None:
            move = partial(placed, self.backend) if kind == "up" else self.backend.to_numpy
            return Step(kind, move, operands, operands, tuple(v.aval for v in values), dead, None)
        run: Callable[..., Any]
        if part.on_device:
            try:
                run = compile_for(self.backend, part.program).run
            except UnsupportedOperationError as error:
                raise Lacking(part) from error
        else:
            run = executable(part.program, tuple([v in free and self._ends[v] == at for v in part.reads]))
        avals = tuple(v.aval for v in part.gives)
        return Step(kind, run, operands, tuple(map(self.slot, part.gives)), avals, dead, part.program)

    def _outputs(self) -> tuple[tuple[int, bool], ...]:
        """The slots of the outputs; what no part has made is copied by one more part."""
        made = {v for _, part, _ in self._plans if part is not None for v in part.gives}
        plain: list[Atom] = [a for a in dict.fromkeys(self.program.outputs) if a not in made]
        if plain:
            p = self.program
            reads = tuple(v for v in p.inputs if v in plain)
            run = build(Program(p.constvars, p.consts, reads, (), plain))
            operands, results = tuple(map(self.slot, reads)), tuple(self.slot(("result", a)) for a in plain)
            self.steps.append(Step("host", run, operands, results, tuple(a.aval for a in plain), (), None))
        found: list[tuple[int, bool]] = []
        for i, a in enumerate(self.program.outputs):
            again = a in self.program.outputs[:i] and bool(a.aval.shape)
            found.append((self.slot(a if a in made else ("result", a)), again))
        return tuple(found)
