"""A program with parts on a device: planned from the rates of the machine, then timed in its first calls.

The first call runs the planned variant and times its parts, the second one the host alone. From both follows how wrong
the rates were for this program. If another plan is better by what is known now, the third call runs that one. All later
calls run what took least time. Where no plan leaves the host, even on a device several times as fast as it is thought
to be, the host's code is called from the beginning.
"""

from __future__ import annotations

import warnings
from _thread import allocate_lock
from collections.abc import Callable, Sequence
from traceback import clear_frames
from typing import Any

import numpy as np

from funcgrad.backends.base import Backend
from funcgrad.errors import FuncgradWarning
from funcgrad.executor.compiled import executable
from funcgrad.executor.executable import Executable
from funcgrad.float_errors import current
from funcgrad.ir import Program, has_effect
from funcgrad.offload.costs import Machine, Spent
from funcgrad.offload.plan import Plan, Planner
from funcgrad.offload.report import OffloadCost, Report
from funcgrad.offload.steps import Lacking
from funcgrad.offload.variant import WALL, Clock, Variant
from funcgrad.passes.pipeline import optimise

__all__ = ["OffloadedProgram", "not_enough"]

_OPTIMISM = 4.0
"""So many times as fast as it is thought to be a device may be where that decides whether it is tried."""

_GAIN = 0.95
"""The share of the best time so far that another plan must promise to need at most."""


class OffloadedProgram:
    """A program of which the heavy part runs on a device: called with arrays of the host, it gives such.

    Args:
        program: as recorded.
        backend: what runs on the device.
        machine: the rates of host, device and link.
        clock: what tells the time.
        products_only: whether only products and convolutions may run on the device.
        donated: which inputs may be overwritten.

    Attributes:
        program: optimised.
        planner: what plans it, with the reasons of what stays on the host.
        plan: where the equations run in the variant.
        variant: what runs on both; None where nothing leaves the host.
        spent: what the variant took, in the call that timed it.
        host_seconds: what a call took on the host alone.
        note: why the host is used whatever the times are; "" if that is not so.
    """

    __slots__ = ("_busy", "_donated", "_effects", "_host", "_lock", "_machine", "_next", "_recorded", "_settled",
                 "backend", "clock", "host_seconds", "note", "plan", "planner", "program", "spent",
                 "variant")  # fmt: skip

    def __init__(
        self,
        program: Program,
        backend: Backend,
        machine: Machine,
        clock: Clock,
        products_only: bool = False,
        donated: Sequence[bool] = (),
    ) -> None:
        self.backend, self.clock, self._machine = backend, clock, machine
        self._recorded, self.program, self._donated = program, optimise(program), tuple(donated)
        self._effects = any(has_effect(e.primitive, e.params) for e in self.program.equations)
        self._lock, self._busy = allocate_lock(), False
        self._host: Executable | None = None
        self.host_seconds: float | None = None
        self.spent: Spent | None = None
        self.note = ""
        self.planner = Planner(self.program, backend, products_only)
        self.plan, self.variant = self._first_plan()
        self._settled: Callable[..., Any] | None = None
        if self.variant is None:
            self._settle(None)
        self._next: Callable[[Sequence[Any]], Any] = self._time_variant

    @property
    def host(self) -> Executable:
        """The program on the host alone, compiled when it is first needed."""
        if self._host is None:
            self._host = executable(self._recorded, self._donated)
        return self._host

    @property
    def on_host(self) -> bool:
        """Whether calls run on the host alone from now on."""
        return self._settled is not None and not isinstance(self._settled, Variant)

    def __call__(self, *args: Any) -> tuple[Any, ...]:
        """The outputs for these inputs, as fresh arrays of the host."""
        settled = self._settled
        if settled is self._host and settled is not None:
            return settled(*args)
        if settled == self._on_host or _raising():  # a device would not raise as the caller has asked for
            return self._on_host(*args)
        try:
            return self._try(args) if settled is None else settled(*args)
        except MemoryError as error:
            if self._effects or any(self._donated):
                raise
            return self._without_device(error, args)

    def _without_device(self, error: MemoryError, args: Sequence[Any]) -> tuple[Any, ...]:
        _drop_values(error)
        self.variant = None  # with its constants
        self._settle(None, not_enough(self.backend))
        warnings.warn(f"offload: {self.note}; the function runs on the host from now on. {error}", FuncgradWarning,
                      stacklevel=2)  # fmt: skip
        return self._on_host(*args)

    def _on_host(self, *args: Any) -> tuple[Any, ...]:
        out = self.host(*args)
        self.clock.worked(self.program)
        return out

    # ------------------------------------------------------------------------------------------------------ looking

    @property
    def source(self) -> str:
        """What runs: each part, in order."""
        if self.variant is None:
            return self.host.source
        return "\n\n".join(
            f"# part {i}, on {self.backend.name if part.on_device else 'the host'}\n{part.program}"
            for i, part in enumerate(self.variant.parts, 1)
        )

    @property
    def kernels(self) -> dict[str, str]:
        """The generated code of what the host's code calls, by name."""
        return self.host.kernels if self.variant is None else {}

    @property
    def scratch_bytes(self) -> int:
        """How much memory a call on the host alone works in, results aside."""
        return self.host.scratch_bytes

    def report(self) -> str:
        """What runs where, and why."""
        return self._report().text()

    def cost(self) -> OffloadCost:
        """What one call costs, and how much of it is on the device."""
        return self._report().cost()

    def _report(self) -> Report:
        return Report(self.backend.name, self._verdict(), self.program.equations, self.planner.reasons, self.plan,
                      self.variant, self.spent, self.host_seconds)  # fmt: skip

    def _verdict(self) -> str:
        if self.note:
            return f"not used, since {self.note}"
        if self.on_host:
            return "nothing would pay" if self.variant is None else "not used, the host alone takes less time"
        return "on trial" if self._settled is None else "used"

    # -------------------------------------------------------------------------------------------------------- plans

    def _first_plan(self) -> tuple[Plan, Variant | None]:
        plan, variant = self._planned(self._machine)
        if variant is None:
            faster = 1 / _OPTIMISM
            _, variant = other = self._planned(self._machine.times(1.0, faster, faster, faster))
            if variant is not None:
                plan = self.planner.estimate(other[0].on_device, self._machine)
        return plan, variant

    def _planned(self, machine: Machine) -> tuple[Plan, Variant | None]:
        """The cheapest plan that the backend can run, and its code; None where all of it is on the host."""
        while True:
            plan = self.planner.plan(machine)
            if not plan.leaves_host:
                return plan, None
            try:
                return plan, self.variant_of(plan.on_device)
            except Lacking as lacking:
                mine = set(map(id, lacking.part.program.equations))
                places = [i for i, e in enumerate(self.program.equations) if id(e) in mine]
                self.planner.forbid(places, f"not supported: {lacking.__cause__}".partition("\n")[0])

    def variant_of(self, on_device: Sequence[bool]) -> Variant:
        """The program with these equations on the device; raises `Lacking` where the backend lacks something."""
        return Variant(self.program, on_device, self.backend, self._donated, self.clock)

    def _corrected(self) -> Machine:
        """The rates that would have foretold what was measured."""
        assert self.spent is not None and self.host_seconds is not None
        plan, machine = self.planner.estimate(self.plan.on_device, self._machine), self._machine
        factors = [took / thought if took > 0 and thought > 0 else 1.0
                   for took, thought in zip(self.spent, plan.spent, strict=True)]  # fmt: skip
        factors[0] = self.host_seconds / plan.host_seconds if self.host_seconds > 0 else 1.0
        return machine.times(*factors)

    # -------------------------------------------------------------------------------------------------------- trials

    def _try(self, args: Sequence[Any]) -> tuple[Any, ...]:
        """One of the first calls. While it lasts, others run on the host."""
        with self._lock:
            busy, self._busy = self._busy, True
        if busy:
            return self._on_host(*args)
        try:
            return self._next(args)
        finally:
            self._busy = False

    def _time_variant(self, args: Sequence[Any]) -> tuple[Any, ...]:
        assert self.variant is not None
        out, self.spent = self.variant.measured(args)
        self._next = self._time_host
        return out

    def _time_host(self, args: Sequence[Any]) -> tuple[Any, ...]:
        if not self._effects and not any(self._donated):
            self.host(*args)  # memory is reserved
        start = self.clock.now()
        out = self._on_host(*args)
        self.host_seconds = self.clock.now() - start
        self._plan_again()
        return out

    def _plan_again(self) -> None:
        """Try another plan in the next call if it promises to be better than all that was timed."""
        assert self.spent is not None and self.host_seconds is not None
        plan, variant = self._planned(self._corrected())
        best = min(sum(self.spent), self.host_seconds)
        if variant is None or plan.on_device == self.plan.on_device or plan.seconds > _GAIN * best:
            self._settle(self.variant if sum(self.spent) < self.host_seconds else None)
            return

        def time_other(args: Sequence[Any]) -> tuple[Any, ...]:
            assert self.spent is not None and self.host_seconds is not None
            out, spent = variant.measured(args)
            if sum(spent) < sum(self.spent):
                self.plan, self.variant, self.spent = plan, variant, spent
            self._settle(self.variant if sum(self.spent) < self.host_seconds else None)
            return out

        self._next = time_other

    def _settle(self, variant: Variant | None, note: str = "") -> None:
        self.note = note
        self._settled = variant if variant is not None else self.host if self.clock is WALL else self._on_host


def not_enough(backend: Backend) -> str:
    """Why a device is not used."""
    return f"the memory of {backend.name} was not enough"


def _drop_values(error: BaseException) -> None:
    """Forget what the frames still hold through which an exception came: arrays of the device."""
    waiting: list[Any] = [error]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        clear_frames(found.__traceback__)
        found.__traceback__ = None
        told = getattr(found, "told", None)  # the error that was met, where this one tells of it
        waiting += (found.__context__, found.__cause__, None if told is None else told.error)


_errors: dict[Any, bool] = {}


def _raising() -> bool:
    """Whether floating-point errors have consequences for the caller (`numpy.errstate`)."""
    state = current()
    found = _errors.get(state)
    if found is None:
        if len(_errors) > 64:  # each `with numpy.errstate` makes a state of its own
            _errors.clear()
        found = _errors[state] = not {"raise", "call"}.isdisjoint(np.geterr().values())
    return found
