"""Components: elementwise equations on small arrays of one shape that feed each other, such as the update of a leaf.

`pack_leaves` does those together that differ in nothing but the shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.ir import Equation, Literal, Program, Var
from funcgrad.ops.shape import BROADCAST_TO
from funcgrad.passes.cse import literal_key, static_key
from funcgrad.passes.unroll import is_written, unrolling, written_ns

__all__ = ["Component", "Packing", "components", "fits", "might_pay", "packing"]


class Packing:
    """What decides which leaves are packed: nanoseconds, as measured.

    Attributes:
        call: of a call of NumPy on a small array, besides the arithmetic.
        taken: of laying an array beside others (`bytes.join`), besides its bytes.
        given: of copying a result out of the flat one, besides its bytes.
        byte: of a byte of an operand or result that is copied, with what the larger arrays cost in the cache.
        flat: of making a flat operand, besides what is in it.
        most: how many bytes a flat array has at most. (Of 128 KiB and more, the C library takes fresh pages for each.)
    """

    __slots__ = ("byte", "call", "flat", "given", "most", "taken")

    def __init__(self) -> None:
        self.call, self.taken, self.given, self.flat = 450.0, 120.0, 300.0, 800.0
        self.byte, self.most = 0.085, 96 << 10


packing = Packing()

_KINDS = "biufc"


class Component:
    """Elementwise equations on arrays of one shape, in the order of the program.

    Attributes:
        equations: the equations.
        arrays: the arrays that they read from outside, in the order in which they do.
        form: what components that can be packed have in common; None where that cannot be said.
        read: the places of the equations whose results are read outside.
        is_written: whether all of it would be written out otherwise (`unroll`).
        gain: nanoseconds that are saved by packing it, the operations on the flat arrays aside.
    """

    __slots__ = ("arrays", "equations", "form", "gain", "is_written", "read")

    def __init__(self, equations: Sequence[Equation], inner: set[Any]) -> None:
        """`inner` has the values that are read in components only."""
        self.equations = equations
        self.arrays: list[Any] = []
        self.form = self._form()
        self.read = [k for k, e in enumerate(equations) if e.outputs[0] not in inner]
        self.is_written = unrolling.gain > 0 and all(map(is_written, equations))
        self.gain = self._gain()

    def _gain(self) -> float:
        arrays = [*self.arrays, *self.results]
        ends = unrolling.array * len(arrays) + unrolling.element * self.size * len(arrays)
        cost = packing.call * len(self.equations)
        if self.is_written:
            cost = min(cost, ends + sum(map(written_ns, self.equations)))
        copies = packing.taken * len(self.arrays) + packing.given * len(self.read)
        return cost - copies - packing.byte * self.size * sum(x.aval.dtype.itemsize for x in arrays)

    @property
    def results(self) -> list[Any]:
        """The values that are read outside."""
        return [self.equations[k].outputs[0] for k in self.read]

    @property
    def size(self) -> int:
        return self.equations[0].outputs[0].aval.size

    @property
    def bytes(self) -> int:
        """Of the widest array."""
        return self.size * max(x.aval.dtype.itemsize for x in (*self.arrays, *(e.outputs[0] for e in self.equations)))

    def _form(self) -> Any:
        """The operations with their operands: numbers for arrays, scalars as they are; and the dtypes of all arrays."""
        numbers: dict[Any, int] = {}
        parts: list[Any] = []
        for eqn in self.equations:
            parts.append(eqn.primitive)
            for x in eqn.inputs:
                if isinstance(x, Literal):
                    parts.append((literal_key(x), x.aval.weak))
                elif not x.aval.shape:
                    parts.append(x)
                else:
                    if x not in numbers:
                        numbers[x] = len(numbers)
                        self.arrays.append(x)
                        parts.append(x.aval.dtype)
                    parts.append(numbers[x])
            out = eqn.outputs[0]
            numbers[out] = len(numbers)
            parts.append(out.aval.dtype)
            if eqn.params and eqn.primitive is not BROADCAST_TO:
                parts += [(name, static_key(value)) for name, value in sorted(eqn.params.items())]
        try:
            hash(form := tuple(parts))
        except TypeError:
            return None
        return form


def fits(eqn: Equation) -> bool:
    """Whether an equation can be one of a component: elementwise, on small arrays of one shape and on scalars."""
    if len(eqn.outputs) != 1:
        return False
    aval = eqn.outputs[0].aval
    if not aval.shape or (eqn.primitive is not BROADCAST_TO and not eqn.primitive.pointwise):
        return False
    if aval.size * aval.dtype.itemsize > packing.most or aval.dtype.kind not in _KINDS:
        return False
    for x in eqn.inputs:
        have = x.aval
        if have.shape and (have.shape != aval.shape or have.dtype.kind not in _KINDS):
            return False
    return True


def components(program: Program, equations: Sequence[Equation], small: dict[Any, Equation]) -> list[Component]:
    """The components that might have others like them."""
    ranks = _ranks(equations, small)
    members: dict[Any, list[Var]] = {}
    for var, eqn in small.items():
        mine = members[var] = [var]
        for x in eqn.inputs:
            if x in small and ranks[x] == ranks[var] and members[x] is not mine:
                mine, other = sorted((mine, members[x]), key=len, reverse=True)
                mine += other
                members.update(dict.fromkeys(other, mine))
    order = {var: i for i, var in enumerate(small)}
    alike: dict[Any, list[list[Equation]]] = {}  # by their operations, for a start
    for vs in {id(vs): vs for vs in members.values()}.values():
        eqns = [small[v] for v in (sorted(vs, key=order.__getitem__) if len(vs) > 1 else vs)]
        alike.setdefault(tuple([eqn.primitive for eqn in eqns]), []).append(eqns)
    found = [eqns for form, many in alike.items() if might_pay(len(many), len(form)) for eqns in many]
    if not found:
        return []
    inner = small.keys() - _read_outside(program, equations, small, ranks)
    return [Component(eqns, inner) for eqns in found]


def _read_outside(
    program: Program, equations: Sequence[Equation], small: dict[Any, Equation], ranks: dict[Any, int]
) -> set[Any]:
    """The values that others than members of the same component read."""
    outer: set[Any] = set(program.outputs)
    for eqn in equations:
        if eqn.outputs and eqn.outputs[0] in small:
            rank = ranks[eqn.outputs[0]]
            outer.update(x for x in eqn.inputs if x in small and ranks[x] != rank)
        else:
            outer.update(eqn.inputs)
    return outer


def might_pay(components: int, operations: int) -> bool:
    """Whether it might pay to do so many components of so many operations together, with one operand and result."""
    saved = (components - 1) * operations * packing.call
    return saved > packing.flat + components * (packing.taken + packing.given)


def _ranks(equations: Sequence[Equation], small: dict[Any, Equation]) -> dict[Any, int]:
    """For each value how often elementwise equations and others alternate on the way to it: odd for the former.

    Those that read each other and are of one rank depend on each other in no other way. An elementwise value takes the
    rank of what reads it, where nothing else reads it before that.
    """
    ranks: dict[Any, int] = {}
    for eqn in equations:
        rank = 0
        for x in eqn.inputs:
            if x in ranks and ranks[x] > rank:
                rank = ranks[x]
        odd = len(eqn.outputs) == 1 and eqn.outputs[0] in small
        if rank or odd:
            rank += (rank & 1) != odd
            for v in eqn.outputs:
                ranks[v] = rank
    latest: dict[Any, int] = {}  # the rank that a value may take
    feeding: set[Any] = set()  # what elementwise equations read
    for eqn in reversed(equations):
        out = eqn.outputs[0] if eqn.outputs else None
        odd = out in small
        if out in feeding:
            ranks[out] = latest[out]
        read = [x for x in eqn.inputs if x in small]
        if not read:
            continue
        limit = ranks[out] if odd else max([ranks.get(v, 0) for v in eqn.outputs], default=0) - 1
        for x in read:
            latest[x] = min(latest.get(x, limit), limit)
        if odd:
            feeding.update(read)
    return ranks
