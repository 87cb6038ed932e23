"""What operations and transfers cost on a machine: seconds, from its rates and the facts of the primitives.

A machine is a host, a device and the link between them, each described by a few rates (`calibrate` measures them). The
model is coarse on purpose: it decides what is worth a trial, and trials are timed.
"""

from __future__ import annotations

from typing import NamedTuple

from funcgrad.executor.cost import element_ns, flops, is_product
from funcgrad.ir import Equation, Program, held
from funcgrad.types import ShapedArray

__all__ = [
    "Link",
    "Machine",
    "Rates",
    "Spent",
    "Work",
    "nbytes",
    "program_seconds",
    "seconds_on",
    "transfer_seconds",
    "works_of",
]

_DENSE = 0.2
"""The share of the rate of products that factorisations and the like reach."""

_STEPS = 16
"""How often a loop runs of which that is not known."""


class Rates(NamedTuple):
    """How fast a processor is.

    Attributes:
        flops: operations of arithmetic per second in products of float32.
        flops64: the same in products of float64.
        bandwidth: bytes of memory per second, read and written.
        launch: seconds that an operation takes at least.
        elementwise: seconds per nanosecond that primitives state for an element (`Primitive.cost`); 0 where
            elementwise functions take as long as reading and writing memory does.
    """

    flops: float
    flops64: float
    bandwidth: float
    launch: float
    elementwise: float = 0.0

    def times(self, factor: float) -> Rates:
        """A processor on which everything takes `factor` times as long."""
        f = factor
        return Rates(self.flops / f, self.flops64 / f, self.bandwidth / f, self.launch * f, self.elementwise * f)


class Link(NamedTuple):
    """How fast one direction between host and device is.

    Attributes:
        latency: seconds that a transfer takes at least.
        bandwidth: bytes per second.
    """

    latency: float
    bandwidth: float

    def times(self, factor: float) -> Link:
        """A link over which everything takes `factor` times as long."""
        return Link(self.latency * factor, self.bandwidth / factor)


class Machine(NamedTuple):
    """A host, a device, and the link between them."""

    host: Rates
    device: Rates
    up: Link
    down: Link

    def times(self, host: float = 1.0, device: float = 1.0, up: float = 1.0, down: float = 1.0) -> Machine:
        """A machine whose parts take so many times as long."""
        return Machine(self.host.times(host), self.device.times(device), self.up.times(up), self.down.times(down))


class Spent(NamedTuple):
    """Seconds of one call: work on the host and on the device, transfers to the device and from it."""

    host: float
    device: float
    up: float
    down: float


def nbytes(aval: ShapedArray) -> int:
    """The bytes of an array."""
    return aval.size * aval.dtype.itemsize


def transfer_seconds(aval: ShapedArray, link: Link) -> float:
    """What it takes to move an array."""
    return link.latency + nbytes(aval) / link.bandwidth


class Work(NamedTuple):
    """What there is to do in an equation, whatever does it.

    Attributes:
        launches: operations.
        moved: bytes of operands and results, in one of them.
        single, double: operations of arithmetic, of float32 and of wider numbers.
        stated: nanoseconds that a pointwise primitive states for all elements; 0 for others.
        times: how often that is done.
    """

    launches: float
    moved: int
    single: float
    double: float
    stated: float
    times: float = 1.0

    def seconds(self, rates: Rates) -> float:
        """What it takes on a processor."""
        launches, moved, single, double, stated, times = self
        flops, flops64, bandwidth, launch, elementwise = rates
        if stated and elementwise:
            return times * (launches * launch + stated * elementwise)
        return times * (launches * launch + max(moved / bandwidth, single / flops, double / flops64))


def works_of(eqn: Equation) -> list[Work]:
    """What there is to do in an equation, and in the programs that it runs; nothing for what only makes a view."""
    primitive = eqn.primitive
    if primitive.programs:
        return _nested(eqn)
    if primitive.moves in ("alias", "view") or primitive.effect:
        return []
    moved = sum([nbytes(a.aval) for a in (*eqn.inputs, *eqn.outputs)])
    if primitive.pointwise:
        return [Work(1.0, moved, 0.0, 0.0, max([v.aval.size for v in eqn.outputs]) * element_ns(eqn))]
    if primitive.flops is None:
        return [Work(1.0, moved, 0.0, 0.0, 0.0)]
    work = flops(eqn) / (1.0 if is_product(primitive) else _DENSE)
    wide = eqn.outputs[0].aval.dtype.itemsize > 4
    return [Work(1.0, moved, 0.0 if wide else work, work if wide else 0.0, 0.0)]


def _nested(eqn: Equation) -> list[Work]:
    """Loops: all their steps; branches: the one in which most is moved."""
    parts = [[w for e in p.equations for w in works_of(e)] for p in held(eqn)]
    if "branches" in eqn.params:
        parts = [max(parts, key=lambda works: sum([w.moved * w.times for w in works]))]
    layout = eqn.params.get("layout")
    steps = _STEPS if "counts" in eqn.params else eqn.params.get("count", 1) if layout is None else layout.length
    return [Work(1.0, 0, 0.0, 0.0, 0.0), *(w._replace(times=w.times * steps) for works in parts for w in works)]


def seconds_on(eqn: Equation, rates: Rates) -> float:
    """What an equation takes on a processor, with the programs that it runs."""
    return sum([w.seconds(rates) for w in works_of(eqn)])


def program_seconds(program: Program, rates: Rates) -> float:
    """What all equations of a program take on a processor."""
    return sum([seconds_on(eqn, rates) for eqn in program.equations])
