"""What runs where in an offloaded program, and why, as text and as figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from funcgrad.executor.cost import flops
from funcgrad.ir import Equation
from funcgrad.offload.costs import Spent, nbytes
from funcgrad.offload.plan import Plan
from funcgrad.offload.variant import Variant

__all__ = ["OffloadCost", "Report"]


class OffloadCost(NamedTuple):
    """What one call costs, where parts of it may run on a device.

    Attributes:
        flops: operations of arithmetic, on either side.
        device_flops: those of them on the device.
        sent, fetched: bytes that go to the device, and that come back.
        planned_seconds: what a call takes with the device, as estimated.
        host_seconds: what it takes on the host alone, as estimated.
        measured_seconds, measured_host_seconds: the same as timed in the first calls; None before.
    """

    flops: int
    device_flops: int
    sent: int
    fetched: int
    planned_seconds: float
    host_seconds: float
    measured_seconds: float | None
    measured_host_seconds: float | None


class Report(NamedTuple):
    """What is known of an offloaded program.

    Attributes:
        device: the name of the backend.
        verdict: what calls run, and why.
        equations: of the program.
        reasons: for each why it cannot run on the device; "" if it can.
        plan: where they run in the variant.
        variant: what runs on both; None where nothing leaves the host.
        spent: what the variant took; None until it was timed.
        host_seconds: what a call took on the host alone.
    """

    device: str
    verdict: str
    equations: Sequence[Equation]
    reasons: Sequence[str]
    plan: Plan
    variant: Variant | None
    spent: Spent | None
    host_seconds: float | None

    def cost(self) -> OffloadCost:
        """The figures."""
        there = zip(self.equations, self.plan.on_device, strict=True)
        part = sum(flops(e) for e, on in there if on)
        sent, fetched = (
            sum(map(nbytes, avals))
            for avals in ((self.variant.sent, self.variant.fetched) if self.variant else ((), ()))
        )
        return OffloadCost(
            flops=sum(map(flops, self.equations)),
            device_flops=part,
            sent=sent,
            fetched=fetched,
            planned_seconds=self.plan.seconds,
            host_seconds=self.plan.host_seconds,
            measured_seconds=None if self.spent is None else sum(self.spent),
            measured_host_seconds=self.host_seconds,
        )

    def text(self) -> str:
        """Which equations run where and why, in parts in order, what goes over, and what was foretold and timed."""
        plan = self.plan
        lines = [
            f"{sum(plan.on_device)} of {len(plan.on_device)} equations on {self.device}: {self.verdict}",
            f"  on the host alone: estimated {_ms(plan.host_seconds)}, timed {_ms(self.host_seconds)}",
        ]
        if self.variant is not None:
            lines += self._parts(self.variant)
        reasons: dict[str, list[Equation]] = {}
        for eqn, on_device, why in zip(self.equations, plan.on_device, self.reasons, strict=True):
            if not on_device:
                reasons.setdefault(why or "costs less there", []).append(eqn)
        lines += [f"  stays on the host, {why}: {_names(equations)}" for why, equations in reasons.items()]
        return "\n".join(lines)

    def _parts(self, variant: Variant) -> list[str]:
        plan, spent = self.plan, self.spent
        lines = [
            f"  with the device: estimated {_ms(plan.seconds)}, timed {_ms(None if spent is None else sum(spent))}"
        ]
        where = ("host", "device", "to the device", "from the device")
        for name, thought, real in zip(where, plan.spent, spent or (None,) * 4, strict=True):
            lines.append(f"    {name}: estimated {_ms(thought)}, timed {_ms(real)}")
        for way, avals in (("sent", variant.sent), ("fetched", variant.fetched)):
            lines.append(f"  {way}: {len(avals)} arrays, {sum(map(nbytes, avals))} bytes")
        for i, part in enumerate(variant.parts, 1):
            side = self.device if part.on_device else "the host"
            lines.append(f"  part {i} on {side}: {_names(part.program.equations)}")
        return lines


def _ms(seconds: float | None) -> str:
    return "not timed" if seconds is None else f"{seconds * 1e3:.3g} ms"


def _names(equations: Iterable[Equation]) -> str:
    """The primitives among equations, the most frequent first."""
    counted = Counter(e.primitive.name for e in equations)
    return ", ".join(name if n == 1 else f"{n} {name}" for name, n in counted.most_common())
