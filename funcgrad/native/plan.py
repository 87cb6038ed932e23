"""The plan of a straight program: what is kept in registers, what is stored, and in which loops.

Each equation has a kind. SMALL: the result has a few elements, written out into registers. LAZY: elements are computed
where they are read. REDUCE: a reduction, with loops over its domain. BLOCK: an emitter of its own, control flow, or a
host step. `Plan` decides which lazy values are stored all the same (those that several read, and that are not cheap),
and puts stores and reductions over the same loops into one kernel where their operands allow it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from funcgrad.ir import Equation, Program, Var
from funcgrad.native.emission import Emission
from funcgrad.native.reductions import Reduction, reduction
from funcgrad.native.registry import BLOCKS, ELEMENTS, found
from funcgrad.native.values import SMALL, small, squeezed
from funcgrad.ops.contract import DOT_GENERAL

__all__ = ["BLOCK", "LAZY", "REDUCE", "SMALL_KIND", "UNROLL", "WRITTEN", "Item", "Plan", "core"]

SMALL_KIND, LAZY, REDUCE, BLOCK = "small", "lazy", "reduce", "block"

UNROLL = 4
"""Up to which size the last axis of an array is written out, and how many terms of a reduction are."""
WRITTEN = 64
"""How many terms a reduction with a small result has at most to be written out."""
_SHARED = 2.0
"""From which cost on (in additions) a value that several read is stored."""

_CROSSED = 8
"""From which sizes on an array is copied whose rows are read as columns: in tiles, not each element by itself."""
_PARTS = 3
"""How many concatenations (and the like) of one another are evaluated together."""
_ALWAYS = 1 << 60


def core(shape: Sequence[int]) -> tuple[int, ...]:
    """The loops over an array: its axes, without those of size 1, and without a last one that is written out."""
    c = squeezed(shape)
    return c[:-1] if len(c) > 1 and c[-1] <= UNROLL and math.prod(c[:-1]) > SMALL else c


def cost(eqn: Equation) -> float:
    """What an element costs, in additions."""
    primitive = eqn.primitive
    computes = primitive.pointwise or (found(ELEMENTS, eqn) is not None and found(BLOCKS, eqn) is None)
    return primitive.cost[1] / 0.5 if computes and not primitive.moves else 0.0


class Item:
    """A kernel, or an operation with an emitter of its own; and small values that are computed after it.

    Attributes:
        position: its number.
        core: the sizes of the loops; None for an operation.
        block: the operation.
        stores: lazy values that are computed here. Those in `elided` are not written: all who read them are here.
        reductions: the reductions done here, with the variables of their results.
        smalls: equations of small values that need what was computed up to here.
    """

    def __init__(self, position: int, core: tuple[int, ...] | None, block: Equation | None = None) -> None:
        self.position, self.core, self.block = position, core, block
        self.stores: list[Var] = []
        self.reductions: list[tuple[Reduction, Var]] = []
        self.smalls: list[Equation] = []
        self.elided: set[Var] = set()


class Plan:
    """How a program whose inputs are known is emitted.

    Attributes:
        first: equations of small values that need no item.
        items: in order.
        last: for each value that is computed in an item, the position of the last item that reads it.
    """

    def __init__(self, em: Emission, program: Program) -> None:
        self.em, self.program = em, program
        self.equations = program.equations
        self.defs: dict[Var, Equation] = {v: e for e in self.equations for v in e.outputs}
        self.reductions: dict[int, Reduction] = {}
        self.kinds = {id(e): self._kind(e) for e in self.equations}
        self.users: dict[Any, list[Equation]] = defaultdict(list)
        for e in self.equations:
            for x in e.inputs:
                if isinstance(x, Var):
                    self.users[x].append(e)
        self.outputs = {o for o in program.outputs if isinstance(o, Var)}
        self.roots: set[Var] = set()
        self._choose_stored()
        self.first: list[Equation] = []
        self.items: list[Item] = []
        self.position: dict[Var, int] = {}
        self.readers: dict[Var, set[int]] = defaultdict(set)
        self._by_core: dict[tuple[int, ...], list[Item]] = defaultdict(list)
        for e in self.equations:
            self._place(e)
        for o in self.outputs:
            self._read(o, _ALWAYS)
        self.last = {v: max(at) for v, at in self.readers.items()}
        for item in self.items:
            item.elided = {v for v in item.stores if self.readers[v] == {item.position}}

    # ------------------------------------------------------------------ kinds

    def kind(self, x: Any) -> str:
        """The kind of the equation of a variable; "" if it is not of this program."""
        eqn = self.defs.get(x)
        return "" if eqn is None else self.kinds[id(eqn)]

    def _kind(self, eqn: Equation) -> str:
        primitive, outs = eqn.primitive, eqn.outputs
        if primitive.effect or primitive.nested or found(BLOCKS, eqn) is not None:
            return BLOCK
        tiny = all(small(v.aval.shape) for v in outs)
        if found(ELEMENTS, eqn) is not None:
            return SMALL_KIND if tiny else LAZY
        r = reduction(eqn)
        if r is None:
            return BLOCK
        self.reductions[id(eqn)] = r
        if tiny and math.prod(r.domain) <= WRITTEN:
            return SMALL_KIND
        few = 1 if eqn.primitive is DOT_GENERAL else UNROLL
        return LAZY if 0 < r.terms <= few and not tiny else REDUCE

    # ------------------------------------------------------------------ what is stored

    def _choose_stored(self) -> None:
        costs: dict[Any, float] = {}
        for e in self.equations:
            inner = sum(costs.get(x, 0.0) for x in e.inputs if self._inside(x))
            own = cost(e) if id(e) not in self.reductions else float(self.reductions[id(e)].terms)
            for v in e.outputs:
                costs[v] = own + inner
        deep = self._deep()
        for e in reversed(self.equations):
            if self.kinds[id(e)] != LAZY:
                continue
            for v in e.outputs:
                if v in deep or self._stored(e, v, costs[v]):
                    self.roots.add(v)

    def _deep(self) -> set[Var]:
        """Values that are put together of parts which are put together in turn, and so on: each `_PARTS` levels one is
        stored, since loops over the last of them are cut for all levels."""
        levels: dict[Any, int] = {}
        found: set[Var] = set()
        for e in self.equations:
            if self.kinds[id(e)] != LAZY:
                continue
            joins = e.primitive.moves == "copy" and e.primitive.total
            level = max([levels.get(x, 0) for x in e.inputs], default=0) + joins
            for v in e.outputs:
                if level > _PARTS:
                    found.add(v)
                levels[v] = level if level <= _PARTS else 0
        return found

    def _inside(self, x: Any) -> bool:
        """Whether a value is computed where its one reader is."""
        return self.kind(x) == LAZY and len(self.users[x]) == 1

    def _stored(self, eqn: Equation, v: Var, cost: float) -> bool:
        users, moves = self.users[v], eqn.primitive.moves
        if v in self.outputs:
            return True
        if any(self._needs_memory(u, v, eqn, cost) for u in users):
            return not (moves in ("alias", "view") and self._is_view(eqn))
        if moves == "copy":
            return len({id(u) for u in users}) > 1 and cost > 0
        if moves:
            return self._crossed(eqn, v) and self._is_view(eqn)
        readers = self._readers(v)
        if cost >= _SHARED and len({id(u) for u in readers}) > 1:
            return True
        size = math.prod(v.aval.shape) * UNROLL
        return cost > _SHARED and any(
            u.primitive.pointwise and math.prod(u.outputs[0].aval.shape) > size for u in readers
        )

    def _crossed(self, eqn: Equation, v: Var) -> bool:
        """Whether an array is turned so that vectors along its rows would be read across those of the other, to be
        computed with."""
        x = eqn.inputs[0]
        if eqn.primitive.name != "transpose" or v.aval.dtype.kind not in "fiu" or v.aval.dtype.itemsize not in (4, 8):
            return False
        rows = [max((k for k, n in enumerate(shape) if n != 1), default=-1) for shape in (x.aval.shape, v.aval.shape)]
        along = [x.aval.shape[rows[0]], v.aval.shape[rows[1]]]
        if eqn.params["axes"][rows[1]] == rows[0] or min(along) < _CROSSED:
            return False
        return any(u.primitive.pointwise and not u.primitive.moves for u in self.users[v])

    def _readers(self, v: Var) -> list[Equation]:
        """The equations that compute with a value, or with a view of it."""
        found: list[Equation] = []
        todo = [v]
        while todo:
            for u in self.users[todo.pop()]:
                if u.primitive.moves in ("alias", "view") and self.kinds[id(u)] == LAZY:
                    todo += u.outputs
                else:
                    found.append(u)
        return found

    def _needs_memory(self, user: Equation, v: Var, eqn: Equation, cost: float) -> bool:
        kind = self.kinds[id(user)]
        if kind == BLOCK:
            return True
        if kind == REDUCE and cost > 0 and self.reductions[id(user)].domain != v.aval.shape:
            return True  # read several times in a product
        name = user.primitive.name
        if name == "gather" and v is user.inputs[0] and cost > 0:
            return True
        other = name == "reshape" and squeezed(v.aval.shape) != squeezed(user.outputs[0].aval.shape)
        return other and eqn.primitive.name not in ("reshape", "slice")

    def _is_view(self, eqn: Equation) -> bool:
        """Whether what an equation gives will be a view of something in memory; what is not there yet is stored."""
        x: Any = eqn.inputs[0]
        while self.kind(x) == LAZY:
            if x in self.roots:
                break
            inner = self.defs[x]
            if inner.primitive.moves not in ("alias", "view"):
                self.roots.add(x)
                break
            x = inner.inputs[0]
        if eqn.primitive.name != "reshape" or self.kind(eqn.inputs[0]) != LAZY:
            return True
        before: Any = eqn.inputs[0]
        return self.defs[before].primitive.name not in ("transpose", "slice", "broadcast_to")

    # ------------------------------------------------------------------ which loops

    def _needs(self, x: Any, loops: tuple[int, ...] | None, same: bool, needs: dict[Var, bool]) -> None:
        """Add to `needs` what must have been computed before `x` is evaluated; and whether it is read at the very place
        of the loops alone."""
        seen: set[tuple[Any, bool]] = set()
        todo = [(x, same)]
        while todo:
            x, same = todo.pop()
            if not isinstance(x, Var) or x not in self.defs or (x, same) in seen:
                continue
            seen.add((x, same))
            if self.kind(x) != LAZY or x in self.roots:
                here = same and core(x.aval.shape) == loops
                needs[x] = needs.get(x, True) and here
                continue
            eqn = self.defs[x]
            todo += [(y, same and identity_read(eqn, x, y)) for y in eqn.inputs]

    def _read(self, x: Any, position: int) -> None:
        needs: dict[Var, bool] = {}
        self._needs(x, None, False, needs)
        for v in needs:
            self.readers[v].add(position)

    def _place(self, eqn: Equation) -> None:
        kind = self.kinds[id(eqn)]
        if kind == LAZY:
            for v in eqn.outputs:
                if v in self.roots:
                    self._place_store(eqn, v)
        elif kind == REDUCE:
            self._place_reduction(eqn)
        else:
            self._place_whole(eqn, kind)

    def _place_whole(self, eqn: Equation, kind: str) -> None:
        needs: dict[Var, bool] = {}
        for x in eqn.inputs:
            self._needs(x, None, False, needs)
        at = max((self.position[v] for v in needs), default=-1)
        if kind == SMALL_KIND:
            (self.items[at].smalls if at >= 0 else self.first).append(eqn)
            reads = at + 1  # behind the item
        else:
            item = Item(len(self.items), None, eqn)
            self.items.append(item)
            at = reads = item.position
        for v in eqn.outputs:
            self.position[v] = at
        for v in needs:
            self.readers[v].add(reads)

    def _place_store(self, eqn: Equation, v: Var) -> None:
        loops = core(v.aval.shape)
        needs: dict[Var, bool] = {}
        for x in eqn.inputs:
            self._needs(x, loops, identity_read(eqn, v, x), needs)
        item = self._own_kernel(loops) if eqn.primitive.moves == "view" else self._kernel(loops, needs)
        item.stores.append(v)
        self._placed(v, item, needs)

    def _place_reduction(self, eqn: Equation) -> None:
        r = self.reductions[id(eqn)]
        loops = core(r.domain)
        needs: dict[Var, bool] = {}
        for x in eqn.inputs:
            self._needs(x, loops, x.aval.shape == r.domain, needs)
        item = self._kernel(loops, needs)
        item.reductions.append((r, eqn.outputs[0]))
        self._placed(eqn.outputs[0], item, needs)

    def _placed(self, v: Var, item: Item, needs: dict[Var, bool]) -> None:
        self.position[v] = item.position
        for d in needs:
            self.readers[d].add(item.position)

    def _kernel(self, loops: tuple[int, ...], needs: dict[Var, bool]) -> Item:
        """The first kernel with these loops in which, or before which, everything is computed that is needed."""
        before = max((self.position[v] for v in needs), default=-1)
        for item in self._by_core[loops]:
            if item.position > before:
                return item
            if item.position == before and self._together(item, needs):
                return item
        item = self._own_kernel(loops)
        self._by_core[loops].append(item)
        return item

    def _own_kernel(self, loops: tuple[int, ...]) -> Item:
        """A kernel that nothing else joins."""
        item = Item(len(self.items), loops)
        self.items.append(item)
        return item

    def _together(self, item: Item, needs: dict[Var, bool]) -> bool:
        """Whether what is needed of a kernel is computed at the same place of its loops, or before the kernel."""
        stores = item.stores
        return all(self.position[v] < item.position or (same and v in stores) for v, same in needs.items())


def identity_read(eqn: Equation, v: Var, x: Any) -> bool:
    """Whether an element of `v` is computed from that of `x` at the same place of the loops alone."""
    if not isinstance(x, Var):
        return True
    have, want = x.aval.shape, v.aval.shape
    primitive = eqn.primitive
    if primitive.pointwise:
        return squeezed(have) == squeezed(want) or core(have) == core(want)
    if primitive.name == "reshape":
        return squeezed(have) == squeezed(want)
    return primitive.reduces is not None and core(have) == core(want) == squeezed(want)
