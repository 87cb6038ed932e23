"""What passes share: new programs from old ones, substitution of variables, the programs inside equations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from funcgrad.ir import Atom, Equation, Program, Var
from funcgrad.ops.rules import WEAKEN
from funcgrad.ops.shape import CONVERT

__all__ = ["Env", "adapted", "copied", "enclosed", "follow", "remade", "with_programs"]

Env = dict[Any, Atom]


def with_programs(eqn: Equation, change: Callable[[Program], Program], lowered: bool = False) -> Equation:
    """The equation with each program that it runs changed into one of the same inputs and outputs.

    With `lowered`, a program that another backend than NumPy's runs stays as it is.
    """
    names = eqn.primitive.programs
    if not names or (lowered and eqn.params.get("backend") is not None):
        return eqn
    new: dict[str, Any] = {}
    for name in names:
        old = eqn.params[name]
        if isinstance(old, tuple):
            programs = tuple(map(change, old))
            if any(p is not q for p, q in zip(programs, old, strict=True)):
                new[name] = programs
        elif (made := change(old)) is not old:
            new[name] = made
    return Equation(eqn.primitive, eqn.inputs, eqn.outputs, {**eqn.params, **new}, eqn.source) if new else eqn


def remade(program: Program, equations: Sequence[Equation], outputs: Sequence[Atom]) -> Program:
    """A program with the constants and inputs of another."""
    p = program
    return Program(p.constvars, p.consts, p.inputs, equations, outputs, p.in_tree, p.out_tree)


def follow(atom: Atom, env: Env) -> Atom:
    """What stands in place of an atom."""
    while atom in env:
        atom = env[atom]
    return atom


def adapted(atom: Atom, like: Var, equations: list[Equation], source: Any) -> Atom | None:
    """An atom as a value of the kind of a variable, made weak or strong; None if they differ in more than that."""
    have, want = atom.aval, like.aval
    if have == want:
        return atom
    if (have.shape, have.dtype) != (want.shape, want.dtype):
        return None
    out = Var(want)
    if want.weak:
        equations.append(Equation(WEAKEN, (atom,), (out,), {}, source))
    else:
        equations.append(Equation(CONVERT, (atom,), (out,), {"dtype": want.dtype}, source))
    return out


def copied(equations: Iterable[Equation], env: Env, source: Any = None) -> list[Equation]:
    """Equations with fresh variables; `env` has what to read for others, and afterwards the fresh ones too.

    `source` is the place of those that have none.
    """
    out: list[Equation] = []
    for eqn in equations:
        outs = tuple([Var(v.aval) for v in eqn.outputs])
        ins = tuple([env.get(a, a) for a in eqn.inputs])
        env.update(zip(eqn.outputs, outs, strict=True))
        out.append(Equation(eqn.primitive, ins, outs, eqn.params, eqn.source or source))
    return out


def enclosed(equations: Sequence[Equation], outputs: Sequence[Var]) -> tuple[list[Var], Program]:
    """Equations as a program of their own, without constants, with these outputs; and what it reads from outside."""
    made = {v for e in equations for v in e.outputs}
    inputs = list(dict.fromkeys(x for e in equations for x in e.inputs if isinstance(x, Var) and x not in made))
    inner = [Var(v.aval) for v in inputs]
    env: Env = dict(zip(inputs, inner, strict=True))
    copies = copied(equations, env)
    return inputs, Program((), (), inner, copies, [env[v] for v in outputs])
