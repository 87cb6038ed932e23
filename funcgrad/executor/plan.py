"""The plan of a block: its steps, how long values live, and which results share memory.

A *block* is a program, or the body of a loop or branch. Results that are written into given memory form *places*: an
elementwise result takes over the memory of an operand that dies with it, and then both are in one place. A place that
holds an output of the block goes where the block's caller wants it (fresh memory, for a whole program).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from funcgrad.executor.denormals import unflushed
from funcgrad.executor.lower_elementwise import lower_ufunc
from funcgrad.executor.step import INTO, OWN, SCALAR, VIEW, Bindings, Step, lowering_of, tuple_text
from funcgrad.ir import Atom, Equation, Program, Var
from funcgrad.types import ShapedArray

__all__ = ["FOREVER", "Place", "Plan", "make_plan"]

FOREVER = 1 << 60


class Place:
    """Memory for one array after the other.

    Attributes:
        aval: shape and dtype of the arrays.
        sink: index of the block's output that it holds, if any.
        donor: index of the block's input whose memory it is, if any.
        name: in the generated code, once it has one.
        block: index of the scratch block, once it has one.
    """

    __slots__ = ("aval", "block", "donor", "name", "sink")

    def __init__(self, aval: ShapedArray) -> None:
        self.aval = aval
        self.sink: int | None = None
        self.donor: int | None = None
        self.name: str | None = None
        self.block: int | None = None


class Plan:
    """What is known of a block before its code is written.

    Attributes:
        program: the block.
        steps: one for each equation.
        places: of the results that are written into given memory, and of inputs whose memory may be taken.
        dies: for each variable the index of the last step that reads it or a view of it; `FOREVER` for outputs.
    """

    __slots__ = ("dies", "places", "program", "roots", "steps")

    def __init__(self, program: Program, steps: list[Step]) -> None:
        self.program, self.steps = program, steps
        self.places: dict[Var, Place] = {}
        self.roots: dict[Var, tuple[Var, ...]] = {}
        self.dies: dict[Var, int] = {}

    def root(self, atom: Atom) -> tuple[Var, ...]:
        """The variables whose memory a value may share."""
        return self.roots.get(atom, (atom,)) if isinstance(atom, Var) else ()


def lower(eqn: Equation, bindings: Bindings) -> Step:
    """The step for an equation; with no lowering of its own, a call of the primitive's `impl`."""
    lowering = lowering_of(eqn.primitive)
    if lowering is None and eqn.primitive.ufunc is not None:
        lowering = lower_ufunc
    step = None if lowering is None else lowering(eqn, bindings)
    return _call_impl(eqn, bindings) if step is None else step


def _call_impl(eqn: Equation, bindings: Bindings) -> Step:
    primitive = eqn.primitive
    impl = unflushed(primitive.impl) if primitive.effect else primitive.impl  # an effect is the user's own code
    function = bindings.name(impl, f"call_{primitive.name}")
    params = "".join(f", {k}={bindings.parameter(v, k)}" for k, v in eqn.params.items())
    call = lambda ins: f"{function}({', '.join(ins)}{params})".replace("(, ", "(")  # noqa: E731
    scalar = all(v.aval.weak for v in eqn.outputs)
    if not eqn.primitive.multiple:
        return Step(eqn, (SCALAR if scalar else OWN,), expression=lambda ins, out: call(ins))
    return Step(
        eqn,
        (OWN,) * len(eqn.outputs),
        lines=lambda ins, outs, temporaries: (
            [f"{', '.join(outs)}{',' if len(outs) == 1 else ''} = {call(ins)}"] if outs else [call(ins)]
        ),
    )


def make_plan(program: Program, bindings: Bindings, donated: Sequence[bool] = ()) -> Plan:
    """Lower the equations of a block and decide which results share memory; `donated` inputs may be overwritten."""
    strided: set[Var] = set()
    steps: list[Step] = []
    for eqn in program.equations:
        step = lower(eqn, bindings)
        if step.kinds == (VIEW,) and step.view_of == 0:
            x = eqn.inputs[0]
            if eqn.primitive.name == "reshape":
                if x in strided:
                    step = _copy_and_reshape(eqn, bindings)
            elif eqn.primitive.name != "slice" or x in strided or eqn.params["size"][1:] != x.aval.shape[1:]:
                strided.add(eqn.outputs[0])
        steps.append(step)
    plan = Plan(program, steps)
    _find_roots(plan)
    _find_ends(plan)
    for i, (var, given) in enumerate(zip(program.inputs, donated, strict=False)):
        if given and var.aval.shape:
            plan.places[var] = place = Place(var.aval)
            place.donor = i
    for at, step in enumerate(steps):
        for k, (var, kind) in enumerate(zip(step.equation.outputs, step.kinds, strict=True)):
            if kind == INTO:
                plan.places[var] = _taken_over(plan, step, at, k) or Place(var.aval)
    _keep_untaken(plan)
    for i, out in reversed(list(enumerate(program.outputs))):
        if isinstance(out, Var) and out in plan.places:
            plan.places[out].sink = i
    return plan


def _keep_untaken(plan: Plan) -> None:
    """Leave inputs alone whose memory may be taken, but is not: they are inputs like others."""
    shared = Counter(map(id, plan.places.values()))
    for var in plan.program.inputs:
        place = plan.places.get(var)
        if place is not None and shared[id(place)] == 1 and var not in plan.program.outputs:
            del plan.places[var]


def _copy_and_reshape(eqn: Equation, bindings: Bindings) -> Step:
    """A reshape of what is not contiguous, written into given memory in the shape of the operand."""
    copyto = bindings.name(np.copyto, "copyto")
    return Step(
        eqn,
        (INTO,),
        expression=lambda ins, into: f"{copyto}({into}, {ins[0]})",
        prepare_out=f"{{}}.reshape({tuple_text(eqn.inputs[0].aval.shape)})",
    )


def _find_roots(plan: Plan) -> None:
    for step in plan.steps:
        eqn = step.equation
        for var, kind in zip(eqn.outputs, step.kinds, strict=True):
            if kind == VIEW and step.view_of is not None:
                plan.roots[var] = plan.root(eqn.inputs[step.view_of])
            elif kind == OWN and var.aval.shape:  # whether it shares memory with an operand is not known
                plan.roots[var] = (var, *(r for x in eqn.inputs if x.aval.shape for r in plan.root(x)))


def _find_ends(plan: Plan) -> None:
    dies = plan.dies
    for out in plan.program.outputs:
        for root in plan.root(out):
            dies[root] = FOREVER
        if isinstance(out, Var):
            dies[out] = FOREVER
    for at in range(len(plan.steps) - 1, -1, -1):
        for x in plan.steps[at].equation.inputs:
            if not x.is_literal:
                dies.setdefault(x, at)
                for root in plan.root(x):
                    dies.setdefault(root, at)


def _taken_over(plan: Plan, step: Step, at: int, k: int) -> Place | None:
    """The place of an operand that this result may overwrite."""
    ins = step.equation.inputs
    mine = step.equation.outputs[k].aval
    taken = {id(plan.places[v]) for v in step.equation.outputs[:k] if v in plan.places}
    for i in step.overwrites.get(k, ()):
        x = ins[i]
        if x.is_literal or plan.dies.get(x) != at or x not in plan.places or id(plan.places[x]) in taken:
            continue
        others = [r for y in ins if y is not x for r in plan.root(y)]
        if plan.places[x].aval.shape == mine.shape and plan.places[x].aval.dtype == mine.dtype and x not in others:
            return plan.places[x]
    return None
