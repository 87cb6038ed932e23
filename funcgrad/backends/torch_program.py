"""Programs compiled for PyTorch: generated code, run with arrays of the host or of the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np

from funcgrad.backends._memory import raise_if_out_of_memory
from funcgrad.backends.base import check_dtypes
from funcgrad.backends.narrow import narrowed
from funcgrad.backends.runner import DeviceProgram, at_home
from funcgrad.backends.torch_emit import Emitter, Site
from funcgrad.backends.torch_graph import Replayed
from funcgrad.errors import explain, explain_generated
from funcgrad.ir import Program
from funcgrad.passes.pipeline import optimise
from funcgrad.passes.strict import strict

__all__ = ["TorchProgram"]

_numbers = count(1)


class TorchProgram(DeviceProgram):
    """A program as Python code over PyTorch; see `DeviceProgram`.

    Raises UnsupportedOperationError, when it is made, for what PyTorch has no operator for.
    """

    __slots__ = ("_equations", "_function", "_note", "_pieces", "_sites", "_source", "filename")

    def __init__(self, program: Program, backend: Any) -> None:
        self.backend, self.program = backend, strict(optimise(at_home(program, backend)))
        if backend.options.float64:
            self.program = narrowed(self.program)
        self._in_avals, self._out_avals = program.in_avals, program.out_avals
        check_dtypes(backend, self._in_avals)
        emitter = Emitter(backend, compiling=backend.options.compile)
        emitter.constants(self.program)
        names = [emitter.fresh() for _ in self.program.inputs]
        emitter.env.update(zip(self.program.inputs, names, strict=True))
        emitter.block(self.program, self.program.inputs)
        outputs = [emitter.tensor(a) for a in self.program.outputs]
        head = ["def run(values):"]
        if names:
            head += [f"    {', '.join(names)}, = values", "    values.clear()"]
        head += ["    bad = []"]
        self._source = "\n".join([*head, *emitter.lines, f"    return [{', '.join(outputs)}], bad"]) + "\n"
        self._equations = [*[None] * len(head), *emitter.equations]
        self._sites: list[Site] = emitter.sites
        self.kernels: dict[str, str] = {}
        self.scratch_bytes = emitter.peak
        self.filename = f"<funcgrad torch {next(_numbers)}>"
        exec(compile(self._source, self.filename, "exec"), emitter.given)
        self._function: Callable[[list[Any]], tuple[list[Any], list[Any]]] = emitter.given.pop("run")
        self._pieces = emitter.pieces
        self.kernels.update((name, text) for name, (_, text) in emitter.pieces.items())
        self._note = ""
        if backend.options.graph and emitter.synchronises:
            self._note = "# run without a graph, since values come to the host on the way\n"
        elif backend.options.graph:
            self._function = Replayed(self._function, backend.torch, backend.device.kind == "cuda")

    @property
    def source(self) -> str:
        """The generated code."""
        notes = [f"# {name}: {piece.note}\n" for name, (piece, _) in self._pieces.items() if piece.note]
        return f"# on {self.backend.name}\n{self._note}{''.join(notes)}{self._source}"

    def run(self, values: list[Any]) -> tuple[list[Any], Callable[[], None] | None]:
        try:
            results, bad = (
                self._with_precision(values) if self.backend.device.kind == "cuda" else self._function(values)
            )
        except Exception as error:
            raise_if_out_of_memory(self.backend, error, self.program, self.scratch_bytes)
            if isinstance(error, self.backend.torch.linalg.LinAlgError):
                error = np.linalg.LinAlgError(str(error).partition("\n")[0]).with_traceback(error.__traceback__)
            explain_generated(error, self.filename, self._equations)
        return results, (lambda: self._check(bad)) if bad else None

    def _with_precision(self, values: list[Any]) -> tuple[list[Any], list[Any]]:
        """Run with TensorFloat-32 only if it was asked for: CUDA's switches are PyTorch's own, and global."""
        backend: Any = self.backend
        switches = backend.torch.backends.cuda.matmul, backend.torch.backends.cudnn
        before = [s.allow_tf32 for s in switches]
        try:
            for s in switches:
                s.allow_tf32 = backend.options.matmul_precision != "highest"
            return self._function(values)
        finally:
            for s, value in zip(switches, before, strict=True):
                s.allow_tf32 = value

    def _check(self, bad: Sequence[tuple[int, Any]]) -> None:
        """Raise for the first thing that has gone wrong on the device."""
        torch = self.backend.torch
        fine = torch.stack([x for _, x in bad]).tolist()
        if all(fine):
            return
        site = self._sites[bad[fine.index(False)][0]]
        eqn = site.equation
        error = type(site.error)(*site.error.args)
        raise explain(eqn.primitive.name, [a.aval for a in eqn.inputs], error, eqn.source) from None
