"""Programs without float64 and complex128, for devices that have neither: in float32 and complex64."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir import Atom, Equation, Literal, Program, Var
from funcgrad.ops.shape import CONVERT
from funcgrad.passes.rewrite import with_programs
from funcgrad.types import ShapedArray

__all__ = ["narrow_aval", "narrow_dtype", "narrowed"]

_NARROW = {np.dtype(np.float64): np.dtype(np.float32), np.dtype(np.complex128): np.dtype(np.complex64)}


def narrow_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """float32 for float64, complex64 for complex128; any other dtype as it is.

    >>> narrow_dtype(np.dtype(float))
    dtype('float32')
    """
    return _NARROW.get(dtype, dtype)


def narrow_aval(aval: ShapedArray) -> ShapedArray:
    """An abstract value with such a dtype."""
    dtype = narrow_dtype(aval.dtype)
    return aval if dtype == aval.dtype else ShapedArray(aval.shape, dtype, aval.weak)


def narrowed(program: Program) -> Program:
    """The program with every value in such a dtype; made once, and kept with it.

    It is strict: of no value weak, so that nothing is promoted.
    """
    found = program.derived.get("narrow")
    if found is not None:
        return found
    env: dict[Var, Var] = {}
    equations: list[Equation] = []

    def bound(var: Var) -> Var:
        env[var] = Var(narrow_aval(var.aval))
        return env[var]

    def atom(a: Atom) -> Atom:
        if isinstance(a, Literal):
            return Literal(narrow_dtype(a.aval.dtype).type(a.value))
        return env[a]

    def inexact(a: Atom, eqn: Equation) -> Atom:
        if a.aval.dtype.kind not in "biu":
            return a
        dtype = np.dtype(np.float32)
        out = Var(ShapedArray(a.aval.shape, dtype))
        equations.append(Equation(CONVERT, (a,), (out,), {"dtype": dtype}, eqn.source))
        return out

    consts, inputs = tuple(map(bound, program.constvars)), tuple(map(bound, program.inputs))
    for eqn in program.equations:
        new = with_programs(eqn, narrowed)
        params = {k: narrow_dtype(v) if type(v) in _DTYPES else v for k, v in new.params.items()}
        ins = tuple(map(atom, eqn.inputs))
        if new.primitive.linear == "all" and new.primitive is not CONVERT and eqn.outputs[0].aval.dtype in _NARROW:
            ins = tuple(inexact(a, eqn) for a in ins)  # a Fourier transform of integers would take float64
        equations.append(Equation(eqn.primitive, ins, tuple(map(bound, eqn.outputs)), params, eqn.source))
    outputs = tuple(map(atom, program.outputs))
    made = Program(consts, program.consts, inputs, equations, outputs, program.in_tree, program.out_tree)
    return program.derived.setdefault("narrow", made)


_DTYPES = {type(d) for d in _NARROW}
