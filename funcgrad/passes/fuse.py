"""Fusion: pointwise operations on large arrays, and the reductions among them, become one that runs in tiles.

Operation by operation, each intermediate value that does not fit the cache is written to memory and read again. A group
of operations over one iteration space (`executor.spaces`) is run tile by tile instead, and only what others need is
written. An operation joins the group of an operand, or one that reads the same arrays, unless

- the group depends on it through something outside (the groups stay in an order in which they can run);
- it reads a reduction over the first axis of the group, which is known only after the last tile;
- a row of a tile would no longer fit the cache.

What a group would read of another it may compute again instead (`rematerialise`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from funcgrad.config import config
from funcgrad.executor.cost import element_ns
from funcgrad.executor.fused import FUSED
from funcgrad.executor.spaces import Fit, Space, is_alias, patterns_of
from funcgrad.executor.tiles import tuning
from funcgrad.ir import Atom, Equation, Program, Var
from funcgrad.ir_check import check_program
from funcgrad.passes.rematerialise import recompute
from funcgrad.passes.rewrite import enclosed, remade, with_programs
from funcgrad.passes.schedule import scheduled

__all__ = ["fuse"]


class _Node:
    """An equation, or a group of them that will be one.

    Attributes:
        number: its bit in masks.
        members: the equations with their places in the program.
        before: the mask of the nodes that it depends on.
        space: for a group, its iteration space.
        late: results that are known only after the last tile.
        reads: the arrays that it reads from outside.
        again: operations of other groups that it does again.
    """

    __slots__ = ("again", "before", "late", "members", "number", "reads", "space")

    def __init__(self, number: int, space: Space | None) -> None:
        self.number, self.space = number, space
        self.members: list[tuple[int, Equation]] = []
        self.again: list[tuple[int, Equation]] = []
        self.before = 0
        self.late: set[Var] = set()
        self.reads: set[Var] = set()

    @property
    def bit(self) -> int:
        return 1 << self.number


class _Grouping:
    """The equations of a program, brought into groups one after the other."""

    def __init__(self, smallest: int, widest: int) -> None:
        self.smallest, self.widest = smallest, widest
        self.nodes: list[_Node] = []
        self.count = 0  # of nodes made: numbers of absorbed ones are not given again
        self.maker: dict[Atom, _Node] = {}
        self.readers: dict[Atom, set[_Node]] = {}  # the groups that have read a value

    def add(self, at: int, eqn: Equation) -> None:
        shape = _space_shape(eqn)
        makers = list(dict.fromkeys(self.maker[x] for x in eqn.inputs if x in self.maker))
        for group in self._candidates(eqn, shape, makers):
            fit = self._joins(group, eqn, math.prod(shape), makers)
            if fit is not None:
                self._join(group, at, eqn, fit, makers)
                self._merge(group, makers)
                return
        node = _Node(self.count, None)
        self.count += 1
        if math.prod(shape) >= self.smallest:
            space = Space(shape)
            fit = space.fit(eqn)
            if fit is not None and space.row_size(patterns_of(fit)) <= self.widest:
                node.space = space
                self._join(node, at, eqn, fit, makers)
        if node.space is None:
            node.members.append((at, eqn))
            node.before = _mask(makers)
            self.maker.update((v, node) for v in eqn.outputs)
        self.nodes.append(node)

    def _candidates(self, eqn: Equation, shape: tuple[int, ...], makers: Sequence[_Node]) -> Iterable[_Node]:
        """Groups that an equation may join: those of its operands, the last first, then those that read the same."""
        groups = sorted((n for n in makers if n.space is not None), key=lambda n: -n.number)
        yield from groups
        if math.prod(shape) >= self.smallest:
            mine = {x for x in eqn.inputs if x.aval.shape == shape}
            reading = {n for x in mine for n in self.readers.get(x, ()) if x in n.reads and n not in groups}
            yield from sorted(reading, key=lambda n: -n.number)

    def _joins(self, group: _Node, eqn: Equation, size: int, makers: Sequence[_Node]) -> Fit | None:
        """How an equation of so many elements lies in a group that it may join."""
        space = group.space
        if space is None or not group.late.isdisjoint(eqn.inputs) or size > math.prod(space.shape):
            return None
        if any(m is not group and m.before & group.bit for m in makers):
            return None
        fit = space.fit(eqn)
        if fit is None or space.row_size(patterns_of(fit)) > self.widest:
            return None
        return fit

    def _join(self, group: _Node, at: int, eqn: Equation, fit: Fit, makers: Sequence[_Node]) -> None:
        space = group.space
        assert space is not None
        space.admit(eqn, fit)
        group.members.append((at, eqn))
        (var,) = eqn.outputs
        if space.live[0] in fit.reduced:
            group.late.add(var)
        for x in eqn.inputs:
            if isinstance(x, Var) and self.maker.get(x) is not group:
                group.reads.add(x)
                self.readers.setdefault(x, set()).add(group)
        self.maker[var] = group
        self._depend(group, [m for m in makers if m is not group])

    def _depend(self, group: _Node, makers: Sequence[_Node]) -> None:
        """Note that a group depends on these nodes, and with it whatever depends on it."""
        more = _mask(makers)
        if more & ~group.before:
            group.before |= more
            for node in self.nodes:
                if node.before & group.bit:
                    node.before |= more

    def _merge(self, group: _Node, makers: Sequence[_Node]) -> None:
        """Make one group of this one and those of the operands of its last member, where that is possible."""
        for other in makers:
            if other is group or other.space is None or other not in self.nodes:
                continue
            first, second = (other, group) if other.number < group.number else (group, other)
            if self._merges(first, second):
                self._absorb(first, second)
                group = first

    def _merges(self, first: _Node, second: _Node) -> bool:
        assert first.space is not None and second.space is not None
        if first.space.shape != second.space.shape:
            return False
        either = first.bit | second.bit
        reads = {x for n in (first, second) for x in n.reads}
        if not reads.isdisjoint(first.late | second.late):
            return False
        outside = (first.before | second.before) & ~either
        if any(n.before & either for n in self.nodes if n.bit & outside):
            return False
        return first.space.row_size(second.space.patterns) <= self.widest and _agree(first, second)

    def _absorb(self, first: _Node, second: _Node) -> None:
        assert first.space is not None and second.space is not None
        first.space.layouts.update(second.space.layouts)
        first.space.patterns |= second.space.patterns
        first.members = sorted([*first.members, *second.members], key=lambda m: m[0])
        first.late |= second.late
        first.reads |= second.reads
        for x in second.reads:
            self.readers[x].discard(second)
            self.readers[x].add(first)
        made = _results(first.members)
        first.reads -= made
        self.maker.update((v, first) for v in made)
        self.nodes.remove(second)
        more = second.before | first.before | first.bit
        for node in self.nodes:
            if node.before & (first.bit | second.bit):
                node.before = (node.before | more) & ~second.bit
        first.before = (first.before | second.before) & ~(first.bit | second.bit)


def _agree(first: _Node, second: _Node) -> bool:
    """Whether each value lies where it does if two groups are one: what one reads of the other is then within it."""
    assert first.space is not None and second.space is not None
    known = {**first.space.layouts, **second.space.layouts}
    if known.keys().isdisjoint(first.reads | second.reads):
        return True
    space = Space(first.space.shape)
    for _, eqn in sorted([*first.members, *second.members], key=lambda m: m[0]):
        fit = space.fit(eqn)
        if fit is None or fit.result != known[eqn.outputs[0]]:
            return False
        space.admit(eqn, fit)
    return True


def _mask(nodes: Iterable[_Node]) -> int:
    mask = 0
    for node in nodes:
        mask |= node.before | node.bit
    return mask


def _space_shape(eqn: Equation) -> tuple[int, ...]:
    """The largest shape among an equation's operands and results."""
    shapes = {x.aval.shape for x in (*eqn.inputs, *eqn.outputs)}
    return max(shapes, key=lambda s: (math.prod(s), len(s))) if len(shapes) > 1 else shapes.pop() if shapes else ()


def fuse(program: Program, smallest: int | None = None, widest: int | None = None) -> Program:
    """A program in which groups of pointwise operations and reductions on large arrays are `fused` equations.

    Args:
        program: inlined and simplified.
        smallest: how many elements an iteration space must have; `tuning.smallest` unless given.
        widest: how many elements a row of a tile may have.

    A `fused` equation has the parameters `program` (without constants; its inputs are the arrays and scalars that the
    group reads) and `shape` (the iteration space), and one result for each value that is read outside the group. The
    programs of calls, loops and branches are fused as well.
    """
    grouping = _Grouping(tuning.smallest if smallest is None else smallest, tuning.widest if widest is None else widest)
    equations = [with_programs(eqn, lambda p: fuse(p, smallest, widest), lowered=True) for eqn in program.equations]
    for at, eqn in enumerate(equations):
        grouping.add(at, eqn)
    if not any(map(_pays, grouping.nodes)) and all(a is b for a, b in zip(equations, program.equations, strict=True)):
        return program
    _do_again(grouping, program)
    readers: dict[Atom, set[int]] = {}
    for i, node in enumerate(grouping.nodes):
        again = _results(node.again)
        for _, eqn in (*node.again, *node.members):
            for x in eqn.inputs:
                if x not in again:
                    readers.setdefault(x, set()).add(i)
    for out in program.outputs:
        readers.setdefault(out, set()).add(-1)
    units: list[tuple[int, Equation]] = []
    for i, node in enumerate(grouping.nodes):
        if not _pays(node):
            units += node.members
            continue
        outputs = {v for v in _results(node.members) if readers.get(v, set()) - {i}}
        if outputs:
            units.append((node.members[-1][0], _fused(node, outputs)))
    eqns = _in_order(units)
    fused = remade(program, eqns, program.outputs)
    if config.check_ir:
        check_program(fused)
    return fused


def _pays(node: _Node) -> bool:
    """Whether a group is worth fusing: more than one operation, or one that threads can share."""
    if node.space is None:
        return False
    work = [eqn for _, eqn in node.members if not is_alias(eqn.primitive)]
    if len(work) > 1:
        return True
    return len(work) == 1 and math.prod(node.space.shape) * element_ns(work[0]) >= tuning.share_ns


def _results(members: Sequence[tuple[int, Equation]]) -> set[Any]:
    return {v for _, eqn in members for v in eqn.outputs}


def _do_again(grouping: _Grouping, program: Program) -> None:
    """Decide which operations groups do again instead of reading what others write."""
    groups = [node for node in grouping.nodes if _pays(node)]
    kept = {x for node in grouping.nodes if node not in groups for _, eqn in node.members for x in eqn.inputs}
    for node, again in zip(groups, recompute(groups, kept.union(program.outputs), grouping.widest), strict=True):
        node.again = again


def _fused(node: _Node, read_outside: set[Any]) -> Equation:
    assert node.space is not None
    live: set[Any] = set(read_outside)
    eqns: list[Equation] = []
    for _, eqn in reversed((*node.again, *node.members)):
        if not live.isdisjoint(eqn.outputs):
            live.update(eqn.inputs)
            eqns.insert(0, eqn)
    outputs = [v for _, eqn in node.members for v in eqn.outputs if v in read_outside]
    inputs, sub = enclosed(scheduled(eqns, outputs), outputs)
    return Equation(FUSED, inputs, outputs, {"program": sub, "shape": node.space.shape}, eqns[0].source)


def _in_order(units: Sequence[tuple[int, Equation]]) -> list[Equation]:
    """The equations in an order in which they can run, as near to that of the program as can be."""
    maker = {v: i for i, (_, eqn) in enumerate(units) for v in eqn.outputs}
    done: set[int] = set()
    out: list[Equation] = []
    for start in sorted(range(len(units)), key=lambda i: units[i][0]):
        stack = [start]
        while stack:
            i = stack[-1]
            wait = [maker[x] for x in units[i][1].inputs if x in maker and maker[x] not in done]
            if i in done or not wait:
                stack.pop()
                if i not in done:
                    done.add(i)
                    out.append(units[i][1])
            else:
                stack += sorted(wait, key=lambda k: -units[k][0])
    return out
