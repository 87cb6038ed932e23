"""What operations and transfers cost on a machine: seconds, from its rates and the facts of the primitives.

A machine is a host, a device and the link between them, each described by a few rates (`calibrate` measures them). The
model is coarse on purpose: it decides what is worth a trial, and trials are timed.
"""

from __future__ import annotations

from typing import NamedTuple

from funcgrad.executor.cost import element_ns, flops, is_product
from funcgrad.ir import Equation, Program, held
from funcgrad.types import ShapedArray

__all__ = ["Link", "Machine", "Rates", "Spent", "nbytes", "program_seconds", "seconds_on", "transfer_seconds"]

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


def program_seconds(program: Program, rates: Rates) -> float:
    """What all equations of a program take on a processor."""
    return sum([seconds_on(eqn, rates) for eqn in program.equations])


def seconds_on(eqn: Equation, rates: Rates) -> float:
    """What an equation takes on a processor, with the programs that it runs."""
    primitive = eqn.primitive
    if primitive.programs:
        return _nested(eqn, rates)
    if primitive.moves in ("alias", "view") or primitive.effect:
        return 0.0
    if primitive.pointwise and rates.elementwise:
        size = max([v.aval.size for v in eqn.outputs])
        return rates.launch + size * element_ns(eqn) * rates.elementwise
    seconds = sum([nbytes(a.aval) for a in (*eqn.inputs, *eqn.outputs)]) / rates.bandwidth
    if primitive.flops is not None:
        wide = eqn.outputs[0].aval.dtype.itemsize > 4
        rate = (rates.flops64 if wide else rates.flops) * (1.0 if is_product(primitive) else _DENSE)
        seconds = max(seconds, flops(eqn) / rate)
    return rates.launch + seconds


def _nested(eqn: Equation, rates: Rates) -> float:
    """Loops: all their steps; branches: the dearest one."""
    parts = [program_seconds(p, rates) for p in held(eqn)]
    if "branches" in eqn.params:
        return rates.launch + max(parts)
    layout = eqn.params.get("layout")
    if layout is not None:
        return rates.launch + layout.length * sum(parts)
    steps = _STEPS if "counts" in eqn.params else eqn.params.get("count", 1)
    return rates.launch + steps * sum(parts)
