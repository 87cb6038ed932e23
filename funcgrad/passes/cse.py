"""Common subexpressions: an operation on the same operands is done once.

Operands of commutative operations may come in any order, save those of complex products: NumPy rounds a product and
the sum that it is part of together, and which product that is depends on the order. That `maximum(0.0, -0.0)` may
differ from `maximum(-0.0, 0.0)` in the sign of the result is not told apart: NumPy leaves it to the length of the
arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.capture import are_directions
from funcgrad.ir import Atom, Equation, Literal, Program, has_effect
from funcgrad.ops.guard import GUARD
from funcgrad.passes.exact import commutes
from funcgrad.passes.rewrite import Env
from funcgrad.types import is_a

__all__ = ["cse", "literal_key", "static_key"]

_SMALL = 1 << 12


def cse(program: Program) -> Program:
    """The program with each expression computed once."""
    env: Env = {}
    seen: dict[Any, Equation] = {}
    numbers: dict[Atom, int] = {}
    for var, twin in _equal_constants(program).items():
        env[var] = twin
    equations: list[Equation] = []
    for eqn in program.equations:
        ins = eqn.inputs
        if env and any(a in env for a in ins):
            ins = tuple([env.get(a, a) for a in ins])
            eqn = Equation(eqn.primitive, ins, eqn.outputs, eqn.params, eqn.source)
        key = _key(eqn, numbers)
        if key is None:
            equations.append(eqn)
            continue
        first = seen.setdefault(key, eqn)
        if first is eqn:
            equations.append(eqn)
        else:
            env.update(zip(eqn.outputs, first.outputs, strict=True))
    if not env:
        return program
    outputs = [env.get(a, a) for a in program.outputs]
    p = program
    return Program(p.constvars, p.consts, p.inputs, equations, outputs, p.in_tree, p.out_tree)


def _key(eqn: Equation, numbers: dict[Atom, int]) -> Any:
    """What makes two equations the same; None if that cannot be said, or if both are to be run."""
    if eqn.primitive is not GUARD and has_effect(eqn.primitive, eqn.params):
        return None
    ins: list[Any] = [
        literal_key(a) if isinstance(a, Literal) else numbers.setdefault(a, len(numbers)) for a in eqn.inputs
    ]
    if len(ins) == 2 and commutes(eqn):
        a, b = ins
        if isinstance(b, tuple) or (not isinstance(a, tuple) and b < a):
            ins = [b, a]
    params = eqn.params
    if not params:
        return eqn.primitive, tuple(ins)
    try:
        key = (eqn.primitive, tuple(ins), tuple([(k, static_key(v)) for k, v in sorted(params.items())]))
        hash(key)
    except TypeError:
        return None
    return key


def literal_key(literal: Literal) -> Any:
    """What makes two literals the same: kind and bits, so that 1 differs from 1.0, and 0.0 from -0.0."""
    value = literal.value
    if is_a(value, np.generic):
        return value.dtype, value.tobytes()
    return type(value), repr(value)


def static_key(value: Any) -> Any:
    """What makes two parameters the same; programs and functions are compared by identity."""
    if type(value) is tuple:
        return tuple([static_key(v) for v in value])
    if is_a(value, np.ndarray):
        return ("array", id(value))
    if is_a(value, float):
        return (type(value), repr(value))
    return (type(value), value)


def _equal_constants(program: Program) -> Env:
    """For each constant that is equal to an earlier one, that."""
    env: Env = {}
    if len(program.consts) < 2:
        return env
    first: dict[Any, Any] = {}
    for var, value in zip(program.constvars, program.consts, strict=True):
        small = is_a(value, np.ndarray) and value.nbytes <= _SMALL and value.dtype.kind in "biufc"
        key = (value.shape, value.dtype, value.tobytes(), are_directions(value)) if small else id(value)
        twin = first.setdefault(key, var)
        if twin is not var:
            env[var] = twin
    return env
