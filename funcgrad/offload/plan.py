"""Which equations of a program run on a device: those that can, where it pays.

Planning knows shapes, dtypes, primitives and the rates of the machine, and nothing of values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.backends.base import Backend
from funcgrad.executor.cost import is_product
from funcgrad.ir import Equation, Program, Var, has_effect, held
from funcgrad.offload.costs import Machine, Rates, Spent, nbytes, works_of
from funcgrad.offload.cut import INFINITE, Value, assign, comes_down, goes_up
from funcgrad.ops.attempt import Handled
from funcgrad.passes.strict import strict_equations
from funcgrad.transforms.call import CALL

__all__ = ["Plan", "Planner"]

_CHEAP = 1e-7
"""Seconds of an operation that only makes a view: it stays with its readers."""


class Plan(NamedTuple):
    """Where each equation of a program runs.

    Attributes:
        on_device: for each equation whether that is the device.
        spent: what a call takes so, as estimated.
        host_seconds: what it takes where all of it is on the host.
    """

    on_device: tuple[bool, ...]
    spent: Spent
    host_seconds: float

    @property
    def seconds(self) -> float:
        """What a call takes, as estimated."""
        return sum(self.spent)

    @property
    def leaves_host(self) -> bool:
        """Whether anything runs on the device."""
        return any(self.on_device)


class Planner:
    """Plans of one program for one backend.

    Args:
        program: optimised.
        backend: what runs on the device.
        products_only: whether only products of matrices and convolutions may run there.

    Attributes:
        reasons: for each equation why it cannot run on the device; "" if it can.
    """

    __slots__ = ("_owners", "_values", "_works", "backend", "program", "reasons")

    def __init__(self, program: Program, backend: Backend, products_only: bool = False) -> None:
        self.program, self.backend = program, backend
        self.reasons = _reasons(program, backend, products_only)
        self._values = _values(program)
        works = [(i, w) for i, e in enumerate(program.equations) for w in works_of(e)]
        self._works, self._owners = [w for _, w in works], np.array([i for i, _ in works], np.intp)

    def forbid(self, equations: Sequence[int], why: str) -> None:
        """Let these equations run on the host from now on."""
        for i in equations:
            self.reasons[i] = self.reasons[i] or why

    def plan(self, machine: Machine) -> Plan:
        """The cheapest assignment on a machine with these rates."""
        host, device, values = self._costs(machine)
        if sum([h - d for h, d in zip(host, device, strict=True) if d < h]) <= machine.down.latency:
            on_device = (False,) * len(host)  # nothing can gain more than sending one result back
        else:
            on_device = tuple(assign(host, device, values))
        return Plan(on_device, _spent(on_device, host, device, values), sum(host))

    def estimate(self, on_device: tuple[bool, ...], machine: Machine) -> Plan:
        """An assignment, with what it costs on a machine with these rates."""
        host, device, values = self._costs(machine)
        return Plan(on_device, _spent(on_device, host, device, values), sum(host))

    def _costs(self, machine: Machine) -> tuple[list[float], list[float], list[Value]]:
        host, device = (self._seconds(rates) for rates in (machine.host, machine.device))
        device = [INFINITE if why else seconds for seconds, why in zip(device, self.reasons, strict=True)]
        up, down = machine.up, machine.down
        values: list[Value] = []
        for maker, readers, wanted, constant, size in self._values:
            sent = 0.0 if constant else up.latency + size / up.bandwidth
            values.append(Value(maker, readers, wanted, sent, down.latency + size / down.bandwidth))
        return host, device, values

    def _seconds(self, rates: Rates) -> list[float]:
        """What each equation takes on a processor."""
        works = [w.seconds(rates) for w in self._works]
        return np.maximum(np.bincount(self._owners, works, len(self.program.equations)), _CHEAP).tolist()


def _spent(on_device: Sequence[bool], host: Sequence[float], device: Sequence[float], values: Sequence[Value]) -> Spent:
    """What an assignment costs, by where the time goes."""
    ups = sum([v.up for v in values if goes_up(v, on_device)])
    downs = sum([v.down for v in values if comes_down(v, on_device)])
    here = sum([h for h, there in zip(host, on_device, strict=True) if not there])
    return Spent(here, sum([d for d, there in zip(device, on_device, strict=True) if there]), ups, downs)


def _values(program: Program) -> list[tuple[int | None, list[int], bool, bool, int]]:
    """For each value its maker, its readers, whether it is a result, whether it is a constant, which is on the device
    since the program was compiled, and its bytes."""
    readers: dict[Any, list[int]] = {v: [] for v in (*program.constvars, *program.inputs)}
    maker: dict[Any, int] = {}
    for i, eqn in enumerate(program.equations):
        for a in dict.fromkeys(eqn.inputs):
            if isinstance(a, Var):
                readers[a].append(i)
        for v in eqn.outputs:
            maker[v], readers[v] = i, []
    wanted, constants = set(program.outputs), set(program.constvars)
    found = [(v, r) for v, r in readers.items() if r or v in wanted]
    return [(maker.get(v), r, v in wanted, v in constants, nbytes(v.aval)) for v, r in found]


def _reasons(program: Program, backend: Backend, products_only: bool) -> list[str]:
    lacks = f"{backend.name} does not have it for these operands"
    found: list[str] = []
    for eqn, parts in zip(program.equations, strict_equations(program), strict=True):
        if products_only and not _of_products(eqn):
            found.append("no product")
        elif has_effect(eqn.primitive, eqn.params):
            found.append("has an effect")
        elif _bound_to_host(eqn):
            found.append("belongs to the host")
        elif eqn.outputs and all(v.aval.weak for v in eqn.outputs):
            found.append("is arithmetic of Python's")
        else:
            found.append("" if all(_supported(p, backend.supports) for p in parts) else lacks)
    return found


def _of_products(eqn: Equation) -> bool:
    return is_product(eqn.primitive) or eqn.primitive.moves in ("alias", "view")


def _bound_to_host(eqn: Equation) -> bool:
    """Whether an equation, or one inside it, raises as NumPy is told to, has a backend, or is among the devices."""
    primitive = eqn.primitive
    if type(primitive) is Handled:
        return primitive.raises(eqn.params)
    if primitive is CALL and eqn.params.get("backend") is not None:
        return True
    if primitive.nested and not primitive.programs:
        return True
    return primitive.collective is not None or any(_bound_to_host(e) for p in held(eqn) for e in p.equations)


def _supported(eqn: Equation, supports: Callable[[Equation], bool]) -> bool:
    """Whether a backend can run an equation of a strict program, and all that are inside it."""
    if eqn.primitive.programs:
        return all(_supported(e, supports) for p in held(eqn) for e in p.equations)
    return supports(eqn)
