"""A simulated machine: a device in software, and a clock that says what programs would take on certain hardware.

Time is virtual. Launches are queued, as on a device that works while the host goes on, and the host waits where it
reads a result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from funcgrad.backends import SimulatedBackend
from funcgrad.backends.base import Implementation
from funcgrad.ir import Equation, Program, Var
from funcgrad.offload.costs import Machine, Rates, nbytes, program_seconds, seconds_on, transfer_seconds
from funcgrad.ops.rules import PRIMITIVES
from funcgrad.types import ShapedArray

__all__ = ["SimulatedMachine", "VirtualClock"]


class VirtualClock:
    """The time of a simulated machine, in seconds.

    Attributes:
        host: the time of the host.
        device: until when the device has something to do.
    """

    def __init__(self, rates: Rates) -> None:
        self.host = self.device = 0.0
        self._rates = rates

    def now(self) -> float:
        """The time of the host."""
        return self.host

    def worked(self, program: Program) -> None:
        """The host has run a program."""
        self.host += program_seconds(program, self._rates)

    def launched(self, seconds: float) -> None:
        """The device has got more to do."""
        self.device = max(self.device, self.host) + seconds

    def waited(self) -> None:
        """The host has waited until the device had nothing to do."""
        self.host = max(self.host, self.device)


class _Launches(Mapping[str, Implementation]):
    """The implementations of a device, which take time."""

    def __init__(self, lowerings: Mapping[str, Implementation], clock: VirtualClock, rates: Rates) -> None:
        self._lowerings, self._clock, self._rates = lowerings, clock, rates

    def __getitem__(self, name: str) -> Implementation:
        run = self._lowerings[name]

        def launched(*args: Any, **params: Any) -> Any:
            with np.errstate(all="ignore"):  # a device warns of nothing
                out = run(*args, **params)
            results = out if isinstance(out, (tuple, list)) else (out,)
            self._clock.launched(self._seconds(name, args, results, params))
            return out

        return launched

    def _seconds(self, name: str, args: Any, results: Any, params: dict[str, Any]) -> float:
        ins, outs = ([Var(ShapedArray(x.shape, x.dtype)) for x in xs] for xs in (args, results))
        if name in PRIMITIVES:
            return seconds_on(Equation(PRIMITIVES[name], ins, outs, params, None), self._rates)
        return self._rates.launch + sum(nbytes(v.aval) for v in (*ins, *outs)) / self._rates.bandwidth

    def __iter__(self) -> Iterator[str]:
        return iter(self._lowerings)

    def __len__(self) -> int:
        return len(self._lowerings)


class SimulatedMachine(SimulatedBackend):
    """The device of a simulated machine of given rates.

    Args:
        machine: the host, the device and the link.
        limit: how many bytes of memory the device has; as many as are wanted unless given.
        believed: what the machine is thought to be where programs are planned; `machine` unless given.

    Attributes:
        clock: the time on the machine, which programs that run on it let pass.
        machine: what is believed.
        true: what is so.

    >>> from funcgrad import jit
    >>> from funcgrad.offload import Link, Machine, Rates, SimulatedMachine
    >>> host, device = Rates(1e11, 5e10, 1e10, 1e-6), Rates(1e13, 5e11, 1e12, 1e-5)
    >>> backend = SimulatedMachine(Machine(host, device, up=Link(1e-5, 1e10), down=Link(1e-5, 1e10)))
    >>> x = np.ones((1000, 1000), np.float32)
    >>> y = jit(lambda x: x @ x @ x, backend=backend)(x)
    >>> f"{backend.clock.now() * 1e3:.1f} ms"
    '1.2 ms'
    """

    def __init__(self, machine: Machine, limit: int | None = None, believed: Machine | None = None) -> None:
        super().__init__(limit=limit)
        self.true, self.machine = machine, machine if believed is None else believed
        self.clock = VirtualClock(machine.host)
        self.lowerings: Mapping[str, Implementation] = _Launches(self.lowerings, self.clock, machine.device)

    def asarray(self, x: np.ndarray) -> Any:
        self.clock.host += transfer_seconds(ShapedArray(x.shape, x.dtype), self.true.up)
        return super().asarray(x)

    def to_numpy(self, x: Any) -> np.ndarray:
        self.clock.waited()
        self.clock.host += transfer_seconds(ShapedArray(x.shape, x.dtype), self.true.down)
        return super().to_numpy(x)

    def synchronize(self) -> None:
        self.clock.waited()
