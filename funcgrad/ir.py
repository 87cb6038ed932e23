"""The IR: a typed program in A-normal form.

A `Program` has constants, inputs, equations and outputs. Each equation applies one primitive to variables and literals,
and remembers the user's line. Programs print in jaxpr syntax (`ir_print`), are checked by `ir_check`, and run by being
called: `program(*inputs)` binds each equation in turn, so that a program can be differentiated like any function.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad.capture import own_leaves
from funcgrad.core import Primitive
from funcgrad.ir_print import print_program
from funcgrad.source import Source
from funcgrad.types import ShapedArray, as_numbers, aval_of, is_a

__all__ = ["Atom", "Equation", "Literal", "Program", "Var", "crosses", "eval_program", "has_effect", "held"]


class Var:
    """A variable: assigned once, known by its identity."""

    __slots__ = ("aval",)
    is_literal = False

    def __init__(self, aval: ShapedArray) -> None:
        self.aval = aval

    def __repr__(self) -> str:
        return f"Var({self.aval})"


class Literal:
    """A scalar constant that stands in an equation."""

    __slots__ = ("aval", "value")
    is_literal = True

    def __init__(self, value: Any) -> None:
        self.value, self.aval = value, aval_of(value)

    @property
    def val(self) -> Any:
        """`value`, by JAX's name."""
        return self.value

    def __repr__(self) -> str:
        return f"Literal({self.value!r})"


Atom = Var | Literal


class Equation:
    """`outputs = primitive[params] inputs`.

    In a program the inputs are `Var` or `Literal` and the outputs are `Var`. While it is being recorded both hold the
    recording's tracers, and inputs also plain values; `values` then has the operands as the parent trace sees them,
    `wanted` says which of them take a cotangent, and `kept` is what the primitive's `forward` rule kept.
    """

    __slots__ = ("inputs", "kept", "outputs", "params", "primitive", "source", "values", "wanted")

    def __init__(
        self,
        primitive: Primitive,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        params: dict[str, Any],
        source: Source,
        values: Sequence[Any] = (),
        wanted: Sequence[bool] = (),
        kept: Any = None,
    ) -> None:
        self.primitive, self.inputs, self.outputs = primitive, inputs, outputs
        self.params, self.source = params, source
        self.values, self.wanted, self.kept = values, wanted, kept

    @property
    def invars(self) -> Sequence[Any]:
        """`inputs`, by JAX's name."""
        return self.inputs

    @property
    def outvars(self) -> Sequence[Any]:
        """`outputs`, by JAX's name."""
        return self.outputs

    def __repr__(self) -> str:
        return f"Equation({self.primitive.name}, {len(self.inputs)} in, {len(self.outputs)} out)"


class Program:
    """A recorded function: `constants` and `inputs` in, `outputs` out.

    Attributes:
        constvars: variables that stand for arrays the function closed over.
        consts: those arrays (or tracers of an enclosing trace), in the order of `constvars`.
        inputs: the flat inputs.
        equations: in the order of evaluation.
        outputs: variables or literals.
        in_tree, out_tree: the pytrees of the arguments and of the result, where known.
        derived: programs made from this one (its derivative, a batch of it), which live as long as it does.
    """

    __slots__ = ("consts", "constvars", "derived", "equations", "in_tree", "inputs", "out_tree", "outputs")

    def __init__(
        self,
        constvars: Sequence[Var],
        consts: Sequence[Any],
        inputs: Sequence[Var],
        equations: Sequence[Equation],
        outputs: Sequence[Atom],
        in_tree: Any = None,
        out_tree: Any = None,
    ) -> None:
        self.constvars, self.consts = tuple(constvars), tuple(consts)
        self.inputs, self.equations, self.outputs = tuple(inputs), tuple(equations), tuple(outputs)
        self.in_tree, self.out_tree = in_tree, out_tree
        self.derived: dict[Any, Any] = {}

    @property
    def in_avals(self) -> list[ShapedArray]:
        return [v.aval for v in self.inputs]

    @property
    def out_avals(self) -> list[ShapedArray]:
        return [v.aval for v in self.outputs]

    @property
    def jaxpr(self) -> Program:
        """The program itself, where JAX tells one with constants from one without."""
        return self

    @property
    def invars(self) -> tuple[Var, ...]:
        """`inputs`, by JAX's name."""
        return self.inputs

    @property
    def outvars(self) -> tuple[Atom, ...]:
        """`outputs`, by JAX's name."""
        return self.outputs

    @property
    def literals(self) -> tuple[Any, ...]:
        """`consts`, by JAX's name."""
        return self.consts

    @property
    def eqns(self) -> tuple[Equation, ...]:
        """`equations`, by JAX's name."""
        return self.equations

    def __call__(self, *inputs: Any) -> list[Any]:
        """Run the program on flat inputs; returns the flat outputs, which nothing else shares.

        Raises TypeError for an input that is not a number or an array of numbers.
        """
        given = [as_numbers(x, f"input {i}") if is_a(x, (np.ndarray, np.generic)) else x for i, x in enumerate(inputs)]
        return own_leaves(eval_program(self, given))

    def pretty(self, lines: bool = True) -> str:
        """The program as text; with `lines`, each equation is followed by the user's line."""
        return print_program(self, lines=lines)

    def __str__(self) -> str:
        return print_program(self)

    __repr__ = __str__


def eval_program(program: Program, inputs: Iterable[Any]) -> list[Any]:
    """Bind the equations of a program in turn; returns the flat outputs."""
    env: dict[Var, Any] = dict(zip(program.constvars, program.consts, strict=True))
    env.update(zip(program.inputs, inputs, strict=True))

    def read(atom: Atom) -> Any:
        return env[atom] if isinstance(atom, Var) else atom.value

    for eqn in program.equations:
        out = eqn.primitive.bind(*map(read, eqn.inputs), **eqn.params)
        env.update(zip(eqn.outputs, out if eqn.primitive.multiple else (out,), strict=True))
    return [read(atom) for atom in program.outputs]


def held(eqn: Equation) -> Sequence[Program]:
    """The programs that an equation runs as they are (see `Primitive.programs`)."""
    found = [eqn.params[name] for name in eqn.primitive.programs]
    return found[0] if found and isinstance(found[0], tuple) else found


def has_effect(primitive: Primitive, params: dict[str, Any]) -> bool:
    """Whether an operation has an effect, or runs one that has."""
    if primitive.effect or not primitive.nested:
        return primitive.effect
    held = [p for value in params.values() for p in (value if isinstance(value, tuple) else (value,))]
    return any(_has_effect(p) for p in held if isinstance(p, Program))


def _has_effect(program: Program) -> bool:
    if "effect" not in program.derived:
        program.derived["effect"] = any(has_effect(e.primitive, e.params) for e in program.equations)
    return program.derived["effect"]


def crosses(primitive: Primitive, params: dict[str, Any], axis_name: Any) -> bool:
    """Whether an operation is a collective over the axis of this name, or runs one."""
    if primitive.collective is not None:
        return params["axis_name"] == axis_name
    if not primitive.nested:
        return False
    held = [p for value in params.values() for p in (value if isinstance(value, tuple) else (value,))]
    programs = [p for p in held if isinstance(p, Program)]
    return not programs or any(_crosses(p, axis_name) for p in programs)  # what functions do is not known


def _crosses(program: Program, axis_name: Any) -> bool:
    key = ("crosses", axis_name)
    if key not in program.derived:
        program.derived[key] = any(crosses(e.primitive, e.params, axis_name) for e in program.equations)
    return program.derived[key]
