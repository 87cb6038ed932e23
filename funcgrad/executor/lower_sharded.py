"""The lowering of `sharded`: the compiled program of a part, called for each part by the threads that are free."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import starmap
from typing import Any

import numpy as np

from funcgrad.config import config
from funcgrad.executor.executable import Executable, compile_program
from funcgrad.executor.sharded import part
from funcgrad.executor.step import Bindings, Kernel, Step, calls, lowers
from funcgrad.executor.threads import is_sharing, share, single_blas
from funcgrad.ir import Equation, Program

__all__ = ["Sharded"]


class Sharded(Kernel):
    """A program that is run once for each part of its operands.

    The number of parts belongs to the program, not to the threads: results are always the same. Each part writes its
    results where they belong, which must be memory without gaps; raises ValueError where that is not so.

    Attributes:
        inner: the program of a part, compiled.
        count: how many parts there are.
        source: the generated code of a part.
        scratch_bytes: how much memory the parts work in, with one thread.
    """

    __slots__ = ("_axes", "_memory", "_summed", "count", "inner", "scratch_bytes", "source")

    def __init__(self, program: Program, count: int, ins: Sequence[int | None], outs: Sequence[int | None]) -> None:
        self.inner: Executable = compile_program(program, into=True)
        self.count = count
        if any(axis and math.prod(v.aval.shape[:axis]) > 1 for axis, v in zip(outs, program.outputs, strict=True)):
            raise ValueError("parts of a result must lie together in memory")
        arrays = [(axis, v.aval) for axis, v in zip(outs, program.outputs, strict=True) if v.aval.shape]
        self._axes = (*ins, *(axis for axis, _ in arrays))
        self._summed = [(len(ins) + k, aval) for k, (axis, aval) in enumerate(arrays) if axis is None]
        self._memory: deque[list[np.ndarray]] = deque()
        self.source = "\n\n".join([self.inner.source, *self.inner.kernels.values()])
        terms = sum(aval.size * aval.dtype.itemsize for _, aval in self._summed)
        self.scratch_bytes = self.inner.scratch_bytes + (count - 1) * terms

    def run(self, *args: Any) -> Any:
        """Write the results that are arrays into the last arguments, and return the others."""
        count = self.count
        try:
            memory = self._memory.pop()
        except IndexError:
            memory = [np.empty((count - 1, *aval.shape), aval.dtype) for _, aval in self._summed]
        calls = [[part(x, axis, k, count) for x, axis in zip(args, self._axes, strict=True)] for k in range(count)]
        for (at, _), terms in zip(self._summed, memory, strict=True):
            for k in range(1, count):
                calls[k][at] = terms[k - 1]
        returned: list[Any] = [None] * count
        self._share(calls, returned)
        for (at, _), terms in zip(self._summed, memory, strict=True):
            for term in terms:
                np.add(args[at], term, args[at])
        self._memory.append(memory)
        return tuple(starmap(_total, zip(*returned, strict=True)))

    def _share(self, calls: list[list[Any]], returned: list[Any]) -> None:
        if config.threads > 1 and not is_sharing():
            with single_blas():
                share(self._work, self.count, calls, returned)
        else:
            self._work(iter(range(self.count)), calls, returned)

    def _work(self, claims: Iterator[int], calls: list[list[Any]], returned: list[Any]) -> None:
        for k in claims:
            returned[k] = self.inner(*calls[k])


def _total(first: Any, *others: Any) -> Any:
    for x in others:
        first = first + x
    return first


@lowers("sharded")
def _sharded(eqn: Equation, bindings: Bindings) -> Step:
    return calls(eqn, bindings.name(Sharded(**eqn.params), "sharded"))
