"""NumPy's backend: the definition of every primitive.

`jit` runs programs on it as the code that the executor generates. The table of lowerings is the primitives' own `impl`,
so that the runner can run over it as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from funcgrad.backends.base import Backend, Implementation
from funcgrad.executor.build import build
from funcgrad.executor.executable import Executable
from funcgrad.ir import Equation, Program
from funcgrad.ops.rules import PRIMITIVES

__all__ = ["NumpyBackend"]


def _stack(*slices: Any) -> Any:
    return np.stack(slices)


class _Definitions(Mapping[str, Implementation]):
    """The definitions of the primitives, by name."""

    _OTHERS: Mapping[str, Implementation] = {"stack": _stack, "unstack": list}

    def __getitem__(self, name: str) -> Implementation:
        return self._OTHERS[name] if name in self._OTHERS else PRIMITIVES[name].impl

    def __iter__(self) -> Iterator[str]:
        yield from self._OTHERS
        yield from PRIMITIVES

    def __len__(self) -> int:
        return len(self._OTHERS) + len(PRIMITIVES)


class NumpyBackend(Backend):
    """Arrays are `numpy.ndarray`; programs are compiled to Python source.

    >>> from funcgrad import jit
    >>> jit(np.exp, backend=NumpyBackend())(np.zeros(2))
    array([1., 1.])
    """

    name = "numpy"
    lowerings: Mapping[str, Implementation] = _Definitions()

    def __repr__(self) -> str:
        return "NumpyBackend()"

    def asarray(self, x: np.ndarray) -> np.ndarray:
        return np.array(x)

    def to_numpy(self, x: Any) -> np.ndarray:
        return np.array(x)

    def supports(self, eqn: Equation) -> bool:
        primitive = eqn.primitive
        return primitive.collective is None and PRIMITIVES.get(primitive.name) is primitive

    def compile(self, program: Program, donated: Sequence[bool] = ()) -> Executable:
        """The program as generated code; `donated` says which inputs may be overwritten."""
        return build(program, donated)
