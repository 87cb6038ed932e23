"""Packing: the same elementwise operations on many small arrays become operations on one flat array.

An optimiser updates each leaf of a tree of parameters by the same few operations; on small leaves NumPy's calls cost
more than what they compute. Components (`passes.components`) that differ in nothing but the shape, with the same
operations and scalars, wired in the same way, are done together: their operands are laid side by side (`packed`), the
operations done once, and the results are slices.

A component takes part where the calls that it saves cost more than copying its operands and results, and where none of
them needs what another one computes. `components.packing` holds the measured costs that decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from funcgrad.config import config
from funcgrad.executor.packed import PACKED
from funcgrad.ir import Equation, Program, Var, has_effect
from funcgrad.ir_check import check_program
from funcgrad.ops.shape import BROADCAST_TO, RESHAPE, SLICE
from funcgrad.passes.components import Component, components, fits, might_pay, packing
from funcgrad.passes.rewrite import remade, with_programs
from funcgrad.passes.unroll import is_written
from funcgrad.types import ShapedArray

__all__ = ["pack_leaves"]


def pack_leaves(program: Program) -> Program:
    """A program in which components on small arrays that are alike are done together, in one array.

    The programs of calls, loops and branches are packed, too.
    """
    equations = [_packed_inside(eqn) for eqn in program.equations]
    flats: dict[tuple[Var, ...], Var] = {}
    for group in _groups(program, equations):
        while len(group) > 1:
            packs, masks = _independent(equations, group)
            if not packs:
                break
            equations = _packed(equations, packs, masks, flats)
            done = {c for pack in packs for c in pack}
            group = [c for c in group if c not in done]
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


def _groups(program: Program, equations: Sequence[Equation]) -> list[list[Component]]:
    """Components that are alike and small enough, in the order in which the first of them comes."""
    small = {eqn.outputs[0]: eqn for eqn in equations if fits(eqn)}
    repeated = len(small) - len({eqn.primitive for eqn in small.values()})
    if not might_pay(2, repeated):
        return []
    groups: dict[Any, list[Component]] = {}
    for component in components(program, equations, small):
        if component.form is not None and component.gain > 0:
            groups.setdefault(component.form, []).append(component)
    return [group for group in groups.values() if _pays(group) and not _is_amid_written(group, equations, small)]


def _is_amid_written(group: Sequence[Component], equations: Sequence[Equation], small: dict[Any, Equation]) -> bool:
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


def _pays(group: Sequence[Component]) -> bool:
    if len(group) < 2 or not any(c.size for c in group):
        return False
    flat = packing.call * len(group[0].equations) + packing.flat * len(group[0].arrays)
    return sum(c.gain for c in group) > flat


def _independent(equations: Sequence[Equation], group: Sequence[Component]) -> tuple[list[list[Component]], list[bool]]:
    """Components of a group none of which needs what another one computes, those together that are packed together.

    Beside them for each equation whether it depends on one of these components (or is one of it).
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
    chosen = needed = 0
    apart: list[int] = []
    for k, mask in enumerate(needs):
        if not mask >> k & 1 and not mask & chosen and not needed >> k & 1:
            chosen, needed = chosen | 1 << k, needed | mask
            apart.append(k)
    packs = [pack for pack in _divided(apart, group) if _pays([group[k] for k in pack])]
    kept = sum(1 << k for pack in packs for k in pack)
    return [[group[k] for k in pack] for pack in packs], [mask & kept != 0 for mask in masks]


def _divided(numbers: Sequence[int], group: Sequence[Component]) -> list[list[int]]:
    """Components by their numbers, as many together as fit a flat array."""
    packs: list[list[int]] = []
    room = 0
    for k in numbers:
        if group[k].bytes > room or not packs:
            packs.append([])
            room = packing.most
        packs[-1].append(k)
        room -= group[k].bytes
    return packs


# ------------------------------------------------------------------------------------------------------------- writing


def _packed(
    equations: Sequence[Equation],
    packs: Sequence[Sequence[Component]],
    depend: Sequence[bool],
    flats: dict[tuple[Var, ...], Var],
) -> list[Equation]:
    """The equations with components done together, where the last of them is; what depends on them comes later."""
    left = {eqn for pack in packs for component in pack for eqn in component.equations}
    out: list[Equation] = []
    later: list[Equation] = []
    for at, (eqn, depends) in enumerate(zip(equations, depend, strict=True)):
        if eqn not in left:
            (later if depends else out).append(eqn)
            continue
        left.remove(eqn)
        if not left:
            there = {v for e in out for v in e.outputs}
            made = [e for pack in packs for e in _together(pack, flats, there)]
            return [*out, *made, *later, *equations[at + 1 :]]
    raise AssertionError("a component is not in the program")


class _Span(NamedTuple):
    start: int
    size: int


def _together(group: Sequence[Component], flats: dict[tuple[Var, ...], Var], there: set[Var]) -> list[Equation]:
    """The equations of components, done once; `flats` has the flat values whose pieces are known, by these pieces.

    What is `there` is computed before; the flat operands are added.
    """
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
            there.add(flat)
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
