"""A program in parts, compiled: values go from side to side when a part needs them, once in each direction."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from funcgrad.backends.base import Backend
from funcgrad.ir import Program
from funcgrad.offload.costs import Spent
from funcgrad.offload.parts import parts_of
from funcgrad.offload.steps import Layout, Step
from funcgrad.types import ShapedArray

__all__ = ["WALL", "Clock", "Variant"]


class Clock(Protocol):
    """What tells the time: a wall clock, or that of a simulated machine."""

    def now(self) -> float:
        """Seconds since some moment."""
        ...

    def worked(self, program: Program) -> None:
        """The host has run this program."""


class WallClock(Clock):
    """The time that passes."""

    def now(self) -> float:
        return perf_counter()


WALL = WallClock()


class Variant:
    """A program with some of its equations on a device: called with arrays of the host, it gives such.

    Args:
        program: optimised.
        on_device: for each equation whether it runs on the device.
        backend: what runs there.
        donated: which inputs may be overwritten.
        clock: what tells the time.

    Attributes:
        parts: what runs where, in order.
        steps: parts and transfers, in order.
        size: how many slots there are for values, on either side.
        inputs: those of the inputs.
        sent, fetched: the types of the arrays that go to the device in each call, and that come back.

    Raises `Lacking` where the backend lacks something that it was thought to have.
    """

    __slots__ = ("_results", "backend", "clock", "fetched", "inputs", "parts", "sent", "size", "steps")

    def __init__(
        self, program: Program, on_device: Sequence[bool], backend: Backend, donated: Sequence[bool], clock: Clock
    ) -> None:
        self.backend, self.clock = backend, clock
        self.parts = parts_of(program, on_device)
        layout = Layout(program, self.parts, backend, donated)
        self.steps, self.size = layout.steps, len(layout.slots)
        self.inputs, self._results = layout.inputs, layout.results
        self.sent = tuple(a for s in self.steps if s.kind == "up" for a in s.avals)
        self.fetched = tuple(a for s in self.steps if s.kind == "down" for a in s.avals)

    def __call__(self, *args: Any) -> tuple[Any, ...]:
        """The outputs for these inputs, as fresh arrays of the host."""
        call = _Call(self, args)
        for step in self.steps:
            call.do(step)
        return call.outputs(self._results)

    def measured(self, args: Sequence[Any]) -> tuple[tuple[Any, ...], Spent]:
        """The outputs, and what took how long.

        Everything that goes to the device or runs there is done twice, and the second time counts: in the first one
        libraries are loaded and memory is reserved.
        """
        call = _Call(self, args)
        spent = dict.fromkeys(Spent._fields, 0.0)
        for step in self.steps:
            if step.kind != "host":
                call.do(step, again=True)
            self.backend.synchronize()
            start = self.clock.now()
            call.do(step)
            self.backend.synchronize()
            spent[step.kind] += self.clock.now() - start
        return call.outputs(self._results), Spent(**spent)


class _Call:
    """One call of a variant.

    Attributes:
        here, there: what the slots hold on either side.
        checks: what will raise if the device has met an error.
    """

    __slots__ = ("backend", "checks", "clock", "here", "there")

    def __init__(self, variant: Variant, args: Sequence[Any]) -> None:
        self.backend, self.clock = variant.backend, variant.clock
        self.here: list[Any] = [None] * variant.size
        self.there: list[Any] = [None] * variant.size
        self.checks: list[Any] = []
        for i, x in zip(variant.inputs, args, strict=True):
            self.here[i] = x

    def do(self, step: Step, again: bool = False) -> None:
        """Do one step; with `again` it will be done once more, from the same operands."""
        here, there = self.here, self.there
        if step.kind == "up":
            for i, a in zip(step.operands, step.avals, strict=True):
                there[i] = step.run(np.asarray(here[i], a.dtype))
        elif step.kind == "down":
            for i, a in zip(step.operands, step.avals, strict=True):
                here[i] = _value(step.run(there[i]), a, self.backend)
            self.check()
        elif step.kind == "host":
            for i, x in zip(step.results, step.run(*[here[i] for i in step.operands]), strict=True):
                here[i] = x
            if step.program is not None:
                self.clock.worked(step.program)
        else:
            results, check = step.run([there[i] for i in step.operands])
            if again:
                return
            if check is not None:
                self.checks.append(check)
            for i, x in zip(step.results, results, strict=True):
                there[i] = x
        if not again:
            for i in step.dead:
                here[i] = there[i] = None

    def check(self) -> None:
        """Raise what the device has met so far: an index out of bounds, say."""
        checks, self.checks = self.checks, []
        for check in checks:
            check()

    def outputs(self, results: Sequence[tuple[int, bool]]) -> tuple[Any, ...]:
        """The outputs, as fresh arrays of the host."""
        self.backend.synchronize()
        self.check()
        return tuple([self.here[i].copy() if again else self.here[i] for i, again in results])


def _value(x: np.ndarray, aval: ShapedArray, backend: Backend) -> Any:
    """What came from the device, as the host has values of this type."""
    stored = getattr(backend, "stored", None)  # a device may keep float64 as float32
    if aval.dtype.names is not None:  # random keys
        x = x.view(aval.dtype)
    elif stored is not None and x.dtype != aval.dtype and x.dtype == stored(aval).dtype:
        x = x.astype(aval.dtype)
    if x.shape != aval.shape or x.dtype != aval.dtype:
        found = ShapedArray(x.shape, x.dtype)
        raise TypeError(f"the device {str(backend.device)!r} gave a value of type {found} in place of {aval}")
    return x.item() if aval.weak else x if aval.shape else x[()]
