"""Programs as sequences of parts, equal where the programs are: names of variables, and users' lines, do not count."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.ir import Atom, Equation, Program, Var
from funcgrad.types import ShapedArray, is_a

__all__ = ["Signature"]

_PLAIN = {int, bool, str, bytes, type(None), type(...)}


class Signature:
    """The parts of a program: no two different programs have the same.

    Operations, and what has no text of its own, such as a function, are parts themselves, equal by identity where they
    are not hashable. A subclass may say otherwise.
    """

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self._dtypes: dict[np.dtype[Any], str] = {}

    def program(self, program: Program) -> None:
        p = program
        names: dict[Var, int] = {}
        self.parts.append(f"program {len(p.constvars)} {len(p.inputs)} {len(p.equations)} {len(p.outputs)}")
        self._define(names, (*p.constvars, *p.inputs))
        for constant in p.consts:
            self.value(constant)
        for eqn in p.equations:
            self._equation(names, eqn)
        for atom in p.outputs:
            self._atom(names, atom)

    def operation(self, primitive: Primitive) -> None:
        """Which operation an equation is of."""
        self.parts.append(primitive)

    def other(self, value: Any) -> None:
        """A parameter that has no text."""
        try:
            hash(value)
        except TypeError:
            value = _Same(value)
        self.parts.append(value)

    def array(self, array: np.ndarray, kind: type) -> None:
        """An array, or a scalar of this class as one."""
        self.parts.append(f"{kind.__name__} {array.shape}{self._dtype(array.dtype)}")
        if array.dtype.hasobject:
            self.other(_Same(array))
        else:
            self.parts.append(array.tobytes())

    def value(self, value: Any) -> None:
        """A parameter or a constant."""
        kind = type(value)
        if kind in _PLAIN:
            self.parts.append(f"{kind.__name__} {value!r}")
        elif kind is float:
            self.parts.append(f"float {struct.pack('d', value).hex()}")
        elif isinstance(value, (tuple, list)):
            self.parts.append(f"{kind.__module__}.{kind.__qualname__} {len(value)}")
            for item in value:
                self.value(item)
        elif kind is dict:
            self.parts.append(f"dict {len(value)}")
            for item in value.items():
                self.value(item)
        elif kind is Program:
            self.program(value)
        elif isinstance(value, np.dtype):
            self.parts.append(f"dtype {self._dtype(value)}")
        elif kind is np.ndarray or kind is complex or is_a(value, np.generic):
            self.array(np.asarray(value), kind)
        elif kind is ShapedArray:
            self._aval(value)
        elif kind is slice:
            self.value(("slice", value.start, value.stop, value.step))
        else:
            self.other(value)

    def _equation(self, names: dict[Var, int], eqn: Equation) -> None:
        self.operation(eqn.primitive)
        self.parts.append(f"{len(eqn.inputs)} {len(eqn.outputs)} {len(eqn.params)}")
        for atom in eqn.inputs:
            self._atom(names, atom)
        self._define(names, eqn.outputs)
        for name, value in eqn.params.items():
            self.parts.append(name)
            self.value(value)

    def _define(self, names: dict[Var, int], variables: Sequence[Var]) -> None:
        for v in variables:
            names[v] = len(names)
            self._aval(v.aval)

    def _atom(self, names: dict[Var, int], atom: Atom) -> None:
        if isinstance(atom, Var):
            self.parts.append(f"%{names[atom]}")
        else:
            self.value(atom.value)
            self._aval(atom.aval)

    def _aval(self, aval: ShapedArray) -> None:
        self.parts.append(f"{aval.shape}{self._dtype(aval.dtype)}{aval.weak}")

    def _dtype(self, dtype: np.dtype[Any]) -> str:
        text = self._dtypes.get(dtype)
        if text is None:
            text = self._dtypes[dtype] = repr(dtype)
        return text


class _Same:
    """An object that is equal to nothing but itself."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)
