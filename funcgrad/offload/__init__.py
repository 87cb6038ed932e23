"""`jit(f, offload=...)`: NumPy in and out, and the heavy part of the program on a device, where that pays.

Which equations run there is the minimum cut of what they and the transfers cost (`cut`, `costs`, `plan`), on a machine
that is measured once (`calibrate`). The program is cut into parts of either side (`parts`, `steps`, `variant`), which
are timed in the first calls (`program`).
"""

from __future__ import annotations

from funcgrad.offload.choice import Offload, offload_of
from funcgrad.offload.costs import Link, Machine, Rates
from funcgrad.offload.program import OffloadedProgram
from funcgrad.offload.report import OffloadCost
from funcgrad.offload.simulated import SimulatedMachine

__all__ = [
    "Link",
    "Machine",
    "Offload",
    "OffloadCost",
    "OffloadedProgram",
    "Rates",
    "SimulatedMachine",
    "offload_of",
]
