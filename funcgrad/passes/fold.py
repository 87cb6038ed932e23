"""Constants: operations on scalars and small arrays that are known are done once, when the program is compiled.

What raises or warns is left for the program to do. A number stays what it was: a Python scalar, or one of an array's
dtype.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core import Tracer
from funcgrad.ir import Atom, Equation, Literal, Program, Var
from funcgrad.ops.math import POW, UFUNCS
from funcgrad.passes.rewrite import Env
from funcgrad.types import aval_of, is_a

__all__ = ["fold"]

LARGEST = 1 << 16
"""How many bytes operands and results may have."""

_SHIFT = UFUNCS[np.left_shift]


def fold(program: Program) -> Program:
    """The program with what depends on constants alone computed."""
    known: dict[Any, Any] = {v: c for v, c in zip(program.constvars, program.consts, strict=True) if _small(c)}
    env: Env = {v: Literal(c[()]) for v, c in known.items() if is_a(c, np.ndarray) and c.ndim == 0}
    made: dict[Var, Any] = {}
    equations: list[Equation] = []
    ins: Sequence[Any]
    for eqn in program.equations:
        ins = eqn.inputs
        if env and any(a in env for a in ins):
            ins = tuple([env.get(a, a) for a in ins])
            eqn = Equation(eqn.primitive, ins, eqn.outputs, eqn.params, eqn.source)
        if all([a.is_literal or a in known for a in ins]) and _foldable(eqn):
            value = _value(eqn, known)
            if value is not None:
                _know(eqn.outputs[0], value, env, known, made)
                continue
        equations.append(eqn)
    if not env and not made:
        return program
    p = program
    outputs = [env.get(a, a) for a in p.outputs]
    return Program(
        (*p.constvars, *made), (*p.consts, *made.values()), p.inputs, equations, outputs, p.in_tree, p.out_tree
    )


def _small(value: Any) -> bool:
    return is_a(value, (np.ndarray, np.generic)) and value.nbytes <= LARGEST and not isinstance(value, Tracer)


def _foldable(eqn: Equation) -> bool:
    primitive = eqn.primitive
    if primitive.multiple or primitive.nested or primitive.collective is not None or not eqn.inputs:
        return False
    out = eqn.outputs[0].aval
    if out.size * out.dtype.itemsize > LARGEST:
        return False
    if primitive.moves == "alias" and out.size != eqn.inputs[0].aval.size:  # one number is best known as such
        return False
    grows = primitive in (POW, _SHIFT)  # Python's integers may become very large
    return not (grows and out.weak and out.dtype.kind == "i")


def _value(eqn: Equation, known: dict[Any, Any]) -> Any:
    """The result; None if computing it raises or warns, or gives something else than it should."""
    args = [a.value if isinstance(a, Literal) else known[a] for a in eqn.inputs]
    try:
        with np.errstate(all="raise", under="ignore"):
            value = eqn.primitive.impl(*args, **eqn.params)
    except Exception:  # to be raised when the program runs
        return None
    if is_a(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    return value if aval_of(value) == eqn.outputs[0].aval else None


def _know(var: Var, value: Any, env: dict[Any, Atom], known: dict[Any, Any], made: dict[Var, Any]) -> None:
    if not is_a(value, np.ndarray):
        env[var] = Literal(value)
        return
    value = np.array(value)
    value.flags.writeable = False
    known[var] = made[var] = value
