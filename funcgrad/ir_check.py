"""The IR checker: scoping, arity, and every type derived anew from the shape rules.

It runs on every program that is built while `config.check_ir` is on, as it is in the tests.
"""

from __future__ import annotations

from funcgrad.errors import IRError
from funcgrad.ir import Atom, Equation, Program, Var
from funcgrad.ir_print import Names, print_equation
from funcgrad.source import describe
from funcgrad.types import ShapedArray, aval_of

__all__ = ["check_program"]


def check_program(program: Program, sound: set[Equation] | None = None) -> None:
    """Raise IRError unless `program` is well formed; the message shows the equations around the fault.

    `sound` has equations that were checked before, as parts of other programs, and gets those of this one: of them
    only the scope is checked.
    """
    known: set[Var] = set()
    if len(program.constvars) != len(program.consts):
        raise IRError(f"{len(program.constvars)} constant variables for {len(program.consts)} constants")
    for var, const in zip(program.constvars, program.consts, strict=True):
        if (var.aval.shape, var.aval.dtype) != (aval_of(const).shape, aval_of(const).dtype):
            raise IRError(f"constant variable {var.aval} holds {aval_of(const)}")
    for var in (*program.constvars, *program.inputs):
        if var in known:
            raise IRError("a variable is bound twice among constants and inputs")
        known.add(var)
    for i, eqn in enumerate(program.equations):
        fault = _scope_fault(eqn, known)
        if not fault and (sound is None or eqn not in sound):
            fault = _fault(eqn)
        if fault:
            raise IRError(f"{fault}\n{_around(program, i)}")
        known.update(eqn.outputs)
    for atom in program.outputs:
        if isinstance(atom, Var) and atom not in known:
            raise IRError("an output variable is not defined")
    if sound is not None:
        sound.update(program.equations)


def _scope_fault(eqn: Equation, known: set[Var]) -> str:
    for atom in eqn.inputs:
        if isinstance(atom, Var) and atom not in known:
            return f"{eqn.primitive.name} reads a variable that is not defined"
    for var in eqn.outputs:
        if var in known:
            return f"{eqn.primitive.name} assigns a variable that already has a value"
    return ""


def _fault(eqn: Equation) -> str:
    try:
        hash(tuple(eqn.params.values()))
    except TypeError as error:
        return f"{eqn.primitive.name} has a parameter that is not static: {error}"
    for value in eqn.params.values():
        if isinstance(value, Program):
            check_program(value)
    return _type_fault(eqn)


def _type_fault(eqn: Equation) -> str:
    avals = [atom.aval for atom in eqn.inputs]
    expected = derive(eqn, avals)
    if len(expected) != len(eqn.outputs):
        return f"{eqn.primitive.name} has {len(eqn.outputs)} outputs, its rule gives {len(expected)}"
    for want, var in zip(expected, eqn.outputs, strict=True):
        if (want.shape, want.dtype) != (var.aval.shape, var.aval.dtype):
            return f"{eqn.primitive.name} is declared as {var.aval}, its rule gives {want}"
    return ""


def derive(eqn: Equation, avals: list[ShapedArray]) -> tuple[ShapedArray, ...]:
    """The avals that the shape rule of an equation gives."""
    out = eqn.primitive.abstract(*avals, **eqn.params)
    return tuple(out) if eqn.primitive.multiple else (out,)


def _around(program: Program, fault: int, margin: int = 10) -> str:
    names = Names()
    text: list[str] = []
    atoms: list[Atom] = [*program.constvars, *program.inputs]
    for atom in atoms:
        names(atom)
    for i, eqn in enumerate(program.equations):
        line = print_equation(eqn, names)
        if abs(i - fault) <= margin:
            place = describe(eqn.source)
            text.append(f"{'-->' if i == fault else '   '} {line}" + (f"  # {place}" if place else ""))
    return "\n".join(text)
