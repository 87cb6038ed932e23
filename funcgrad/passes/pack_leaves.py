"""Packing: the same elementwise operations on many small arrays become operations on one flat array.

An optimiser updates each leaf of a tree of parameters by the same few operations; on small leaves NumPy's calls cost
more than what they compute. The elementwise equations on arrays of one shape that feed each other form a *component*.
Components that differ in nothing but the shape (the same operations and scalars, wired in the same way) are done
together: their operands are laid side by side (`packed`), the operations done once, and the results are slices.

A component takes part where the calls that it saves cost more than copying its operands and results, and where none of
them needs what another one computes. `packing` holds the measured costs that decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from funcgrad.config import config
from funcgrad.executor.packed import PACKED
from funcgrad.executor.spaces import is_pointwise
from funcgrad.ir import Equation, Literal, Program, Var, has_effect
from funcgrad.ir_check import check_program
from funcgrad.ops.shape import BROADCAST_TO, RESHAPE, SLICE
from funcgrad.passes.cse import literal_key, static_key
from funcgrad.passes.rewrite import remade, with_programs
from funcgrad.passes.unroll import is_written, unrolling, written_ns
from funcgrad.types import ShapedArray

__all__ = ["Packing", "pack_leaves", "packing"]


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


class _Component:
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


def pack_leaves(program: Program) -> Program:
    """A program in which components on small arrays that are alike are done together, in one array.

    The programs of calls, loops and branches are packed, too.
    """
    equations = [_packed_inside(eqn) for eqn in program.equations]
    flats: dict[tuple[Var, ...], Var] = {}
    for group in _groups(program, equations):
        while len(group) > 1:
            chosen, masks = _independent(equations, group)
            if not _pays(chosen):
                break
            equations = _packed(equations, chosen, masks, flats)
            group = [c for c in group if c not in chosen]
    if len(equations) == len(program.equations) and all(
        a is b for a, b in zip(equations, program.equations, strict=True)
    ):
        return program
    new = remade(program, equations, program.outputs)
    if config.check_ir:
        check_program(new)
    return new


def _packed_inside(eqn: Equation) -> Equation:
    """An equation with its programs packed; not a loop that is written out as a whole."""
    new = with_programs(eqn, pack_leaves, lowered=True)
    return eqn if new is not eqn and is_written(eqn) else new


# ------------------------------------------------------------------------------------------------------------- finding


def _groups(program: Program, equations: Sequence[Equation]) -> list[list[_Component]]:
    """Components that are alike and small enough, in the order in which the first of them comes."""
    small = {eqn.outputs[0]: eqn for eqn in equations if _fits(eqn)}
    if len(small) < 4:
        return []
    groups: dict[Any, list[_Component]] = {}
    for component in _components(program, equations, small):
        if component.form is not None and component.gain > 0:
            groups.setdefault(component.form, []).append(component)
    return [group for group in groups.values() if _pays(group) and not _is_amid_written(group, equations, small)]


def _is_amid_written(group: Sequence[_Component], equations: Sequence[Equation], small: dict[Any, Equation]) -> bool:
    """Whether components would be written out (`unroll`) together with others that they feed or are fed by."""
    written = [c for c in group if c.is_written]
    if not written:
        return False
    ends = {x for c in written for x in (*c.arrays, *c.results)}
    return any(
        not ends.isdisjoint((*eqn.inputs, *eqn.outputs)) and is_written(eqn)
        for eqn in equations
        if not eqn.outputs or eqn.outputs[0] not in small
    )


def _fits(eqn: Equation) -> bool:
    """Whether an equation can be one of a component: elementwise, on small arrays of one shape and on scalars."""
    if len(eqn.outputs) != 1:
        return False
    aval = eqn.outputs[0].aval
    if not aval.shape or (eqn.primitive is not BROADCAST_TO and not is_pointwise(eqn.primitive)):
        return False
    if aval.size * aval.dtype.itemsize > packing.most or aval.dtype.kind not in _KINDS:
        return False
    for x in eqn.inputs:
        have = x.aval
        if have.shape and (have.shape != aval.shape or have.dtype.kind not in _KINDS):
            return False
    return True


def _components(program: Program, equations: Sequence[Equation], small: dict[Any, Equation]) -> list[_Component]:
    ranks = _ranks(equations, small)
    outer: set[Any] = set(program.outputs)
    for eqn in equations:
        if eqn.outputs and eqn.outputs[0] in small:
            rank = ranks[eqn.outputs[0]]
            outer.update(x for x in eqn.inputs if x in small and ranks[x] != rank)
        else:
            outer.update(eqn.inputs)
    members: dict[Any, list[Var]] = {}
    for var, eqn in small.items():
        mine = members[var] = [var]
        for x in eqn.inputs:
            if x in small and ranks[x] == ranks[var] and members[x] is not mine:
                mine, other = sorted((mine, members[x]), key=len, reverse=True)
                mine += other
                members.update(dict.fromkeys(other, mine))
    order = {var: i for i, var in enumerate(small)}
    found = {id(vs): vs for vs in members.values()}.values()
    inner = small.keys() - outer
    return [_Component([small[v] for v in sorted(vs, key=order.__getitem__)], inner) for vs in found]


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
        limit = ranks[out] if odd else max([ranks.get(v, 0) for v in eqn.outputs], default=0) - 1
        for x in eqn.inputs:
            if x in small:
                latest[x] = min(latest.get(x, limit), limit)
                if odd:
                    feeding.add(x)
    return ranks


def _pays(group: Sequence[_Component]) -> bool:
    if len(group) < 2 or not any(c.size for c in group):
        return False
    flat = packing.call * len(group[0].equations) + packing.flat * len(group[0].arrays)
    return sum(c.gain for c in group) > flat


def _independent(equations: Sequence[Equation], group: Sequence[_Component]) -> tuple[list[_Component], list[int]]:
    """Components of a group that fit a flat array, none of which needs what another computes; and masks of equations.

    A bit of a mask stands for a component that was chosen: whether the equation depends on it, or is one of it.
    """
    places = {eqn: k for k, component in enumerate(group) for eqn in component.equations}
    home = {eqn.outputs[0]: k for eqn, k in places.items()}
    needs = [0] * len(group)  # of the components, through equations that are not their own
    depends: dict[Any, int] = {}
    effects = 0  # they stay in their order: each depends on those before it
    masks: list[int] = []
    for eqn in equations:
        mask = 0
        at = places.get(eqn)
        for x in eqn.inputs:
            if x in depends:
                mask |= depends[x]
                if at is not None and home.get(x) != at:
                    needs[at] |= depends[x]
        if at is not None:
            mask |= 1 << at
        elif has_effect(eqn.primitive, eqn.params):
            mask = effects = mask | effects
        if mask:
            depends.update(dict.fromkeys(eqn.outputs, mask))
        masks.append(mask)
    chosen = needed = total = 0
    for k, mask in enumerate(needs):
        apart = not mask >> k & 1 and not mask & chosen and not needed >> k & 1
        if apart and total + group[k].bytes <= packing.most:
            chosen, needed, total = chosen | 1 << k, needed | mask, total + group[k].bytes
    return [c for k, c in enumerate(group) if chosen >> k & 1], [mask & chosen for mask in masks]


# ------------------------------------------------------------------------------------------------------------- writing


def _packed(
    equations: Sequence[Equation], group: Sequence[_Component], masks: Sequence[int], flats: dict[tuple[Var, ...], Var]
) -> list[Equation]:
    """The equations with components done together, where the last of them is; what depends on them comes later."""
    left = {eqn for component in group for eqn in component.equations}
    out: list[Equation] = []
    later: list[Equation] = []
    for at, (eqn, mask) in enumerate(zip(equations, masks, strict=True)):
        if eqn not in left:
            (later if mask else out).append(eqn)
            continue
        left.remove(eqn)
        if not left:
            return [*out, *_together(group, flats, out), *later, *equations[at + 1 :]]
    raise AssertionError("a component is not in the program")


class _Span(NamedTuple):
    start: int
    size: int


def _together(
    group: Sequence[_Component], flats: dict[tuple[Var, ...], Var], before: Sequence[Equation]
) -> list[Equation]:
    """The equations of components, done once; `flats` has the flat values whose pieces are known."""
    there = {v for eqn in before for v in eqn.outputs} if flats else set()
    made: list[Equation] = []
    first, total = group[0], 0
    spans: list[_Span] = []
    for component in group:
        spans.append(_Span(total, component.size))
        total += component.size
    env: dict[Any, Any] = {}
    for role, x in enumerate(first.arrays):
        pieces = tuple([component.arrays[role] for component in group])
        if flats.get(pieces) not in there:
            flat = flats[pieces] = Var(ShapedArray((total,), x.aval.dtype))
            source = next(e.source for e in first.equations if x in e.inputs)
            made.append(Equation(PACKED, pieces, (flat,), {}, source))
        env[x] = flats[pieces]
    for k, eqn in enumerate(first.equations):
        (out,) = eqn.outputs
        flat = env[out] = Var(ShapedArray((total,), out.aval.dtype))
        params = {"shape": (total,)} if eqn.primitive is BROADCAST_TO else eqn.params
        made.append(Equation(eqn.primitive, [env.get(x, x) for x in eqn.inputs], (flat,), params, eqn.source))
        flats[tuple([c.equations[k].outputs[0] for c in group])] = flat
    for component, span in zip(group, spans, strict=True):
        for k in component.read:
            made += _piece(env[first.equations[k].outputs[0]], component.equations[k], span)
    return made


def _piece(flat: Var, eqn: Equation, span: _Span) -> list[Equation]:
    """The equations that take the result of one of a component out of the flat one."""
    (out,) = eqn.outputs
    params = {"start": (span.start,), "size": (span.size,), "step": (1,)}
    if out.aval.shape == (span.size,):
        return [Equation(SLICE, (flat,), (out,), params, eqn.source)]
    row = Var(ShapedArray((span.size,), out.aval.dtype))
    return [
        Equation(SLICE, (flat,), (row,), params, eqn.source),
        Equation(RESHAPE, (row,), (out,), {"shape": out.aval.shape}, eqn.source),
    ]
