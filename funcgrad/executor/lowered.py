"""What `jit(f).lower(*args)` gives: each stage of a function's way to NumPy, to be looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from funcgrad.control.scan import SCAN
from funcgrad.executor.compiled import executable, report, tier
from funcgrad.executor.cost import flops
from funcgrad.executor.stages import Compiled, Stage
from funcgrad.ir import Program
from funcgrad.types import ShapedArray

if TYPE_CHECKING:
    from funcgrad.backends.base import Backend
    from funcgrad.executor.executable import Executable

__all__ = ["Cost", "Lowered"]


class Cost(NamedTuple):
    """What one call costs, as counted from the optimised program.

    Attributes:
        flops: arithmetic operations; an elementwise function counts as one per element.
        bytes: read and written by all operations together, in bytes.
        peak_memory: the most memory in use at once besides the arguments, in bytes: scratch memory and results.
        tier: "native" where machine code runs the program, "numpy" where NumPy does.
        compile_seconds: what making the machine code took, if there is any.
    """

    flops: int
    bytes: int
    peak_memory: int
    tier: str = "numpy"
    compile_seconds: float = 0.0


class Lowered(Stage):
    """A function for arguments of certain shapes and dtypes, on its way to NumPy.

    >>> import numpy as np
    >>> from funcgrad import jit
    >>> lowered = jit(lambda x: np.exp(x) + 1.0).lower(np.ones(3))
    >>> print(lowered.ir())
    { lambda ; a:f64[3]. let
        b:f64[3] = exp a
        c:f64[3] = add b 1.0
      in (c,) }
    >>> lowered.cost()
    Cost(flops=6, bytes=104, peak_memory=24, tier='numpy', compile_seconds=0.0)
    """

    __slots__ = ("_backend", "_call", "_executable", "_tier")

    def __init__(
        self,
        program: Program,
        in_tree: Any,
        donated: tuple[bool, ...],
        call: Callable[..., Any],
        backend: Backend | None = None,
        native: str | None = None,
    ) -> None:
        super().__init__(program, in_tree, donated)
        self._executable, self._call = executable(program, donated, backend, native), call
        self._tier = tier(program, donated, native) if backend is None else None
        self._backend = backend

    def ir(self, lines: bool = False) -> str:
        """The program as recorded; with `lines`, with the user's lines."""
        return self._program.pretty(lines)

    def optimized_ir(self, lines: bool = False) -> str:
        """The program after all passes."""
        return self._executable.program.pretty(lines)

    def source(self) -> str:
        """The generated Python source: that of the program, and of the tiled kernels that it calls."""
        parts = [self._executable.source]
        parts += [f"# {name}\n{text}" for name, text in self._executable.kernels.items()]
        return "\n\n".join(parts)

    def as_text(self, dialect: str | None = None, *, debug_info: bool = False) -> str:
        """`source`; what is asked for besides is XLA's, and makes no difference."""
        return self.source()

    def compiler_ir(self, dialect: str | None = None) -> Program:
        """The program after all passes."""
        return self._executable.program

    def runtime_executable(self) -> Any:
        """What runs the program."""
        return self._executable

    def cost_analysis(self) -> dict[str, float]:
        """Operations and bytes moved by one call, by XLA's names."""
        cost = self._cost()
        return {"flops": float(cost.flops), "bytes accessed": float(cost.bytes)}

    def cost(self) -> Any:
        """Operations, bytes moved and peak memory of one call, as a `Cost`; with `offload` an `OffloadCost`, which says
        how much of it is on the device, and what goes there and back."""
        cost = getattr(self._executable, "cost", None)
        return self._cost() if cost is None else cost()

    def _cost(self) -> Cost:
        """Which code runs it, too, and what compiling that took."""
        cost = program_cost(self._executable)
        if self._tier is None or self._tier.native is None:
            return cost
        report = self._tier.native.report
        if self._tier.state != "native":
            return cost._replace(compile_seconds=report.seconds)
        memory = report.workspace + _bytes(self._program.out_avals)
        return cost._replace(tier="native", compile_seconds=report.seconds, peak_memory=memory)

    def native_source(self) -> str:
        """The text of the native code, in LLVM's language, whether or not it is what runs."""
        if self._tier is None:
            raise ValueError("there is no native code for programs of a backend")
        return import_module("funcgrad.native.build").text_of(self._program)

    def explain(self) -> str:
        """Where the function runs; with `offload`, which equations run on the device and which on the host, and why."""
        name = "numpy" if self._backend is None else self._backend.name
        return report(self._executable, self._backend) or f"all of it on the backend {name!r}"

    def compile(self, compiler_options: Any = None) -> Compiled:
        """The function for arguments of the structure, shapes and dtypes that it was lowered for, without static ones;
        `compiler_options` are XLA's, and make no difference."""
        return Compiled(self, self._call)


def _bytes(avals: Sequence[ShapedArray]) -> int:
    return sum(a.size * a.dtype.itemsize for a in avals)


def _count(program: Program) -> tuple[int, int]:
    """Operations and bytes of one run; loops of unknown length count as one step, branches as the dearest one."""
    operations = moved = 0
    for eqn in program.equations:
        params = eqn.params
        inner = [_count(p) for p in params.values() if isinstance(p, Program)]
        if "branches" in params:
            inner = [max(map(_count, params["branches"]))]
        if inner:
            times = params["layout"].length if eqn.primitive is SCAN else params.get("count", 1)
            operations += times * sum(f for f, _ in inner)
            moved += times * sum(m for _, m in inner)
        else:
            operations += flops(eqn)
            moved += _bytes([x.aval for x in (*eqn.inputs, *eqn.outputs)])
    return operations, moved


def program_cost(compiled: Executable) -> Cost:
    """The cost of one call of a compiled program."""
    operations, moved = _count(compiled.program)
    return Cost(operations, moved, compiled.scratch_bytes + _bytes(compiled.program.out_avals))
