"""Division of a program into parts that threads run side by side: of a batch, each thread takes some examples.

The pass looks for an axis of an argument along which most of the program's work can be done part by part
(`shard_rules`): what is made of a part alone becomes the program of `sharded`, what is summed over the parts is one of
its results, and what needs such a sum comes after it. One call of the pool then does what would otherwise be as many as
there are products, convolutions and kernels, most of which NumPy does in one thread; and each part is nearer to the
size of the cache.

How many parts there are, and so how results are rounded, depends on shapes and on the number of processors, not on that
of threads. Where BLAS cannot be kept to one thread, programs are left as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

from funcgrad.config import config, cpus
from funcgrad.executor.cost import element_ns, flops, is_product
from funcgrad.executor.sharded import SHARDED
from funcgrad.executor.spaces import is_reduction
from funcgrad.ir import Equation, Program, Var, has_effect
from funcgrad.ir_check import check_program
from funcgrad.ops.sharding import SUM, Ruling
from funcgrad.passes.rewrite import remade
from funcgrad.passes.shard_rules import ruling
from funcgrad.types import ShapedArray

__all__ = ["Region", "Sharding", "cost", "divided", "shard", "sharding"]


class Sharding:
    """What decides whether a program is divided, and into how many parts.

    Attributes:
        least_ns: estimated nanoseconds of work from which on it is divided.
        part_ns: how much a part has, about: of a transformer's step of 26 ms (one thread), two parts take 0.92 of the
            time of four (two processors).
        least_part_ns: how much it has at the least where there are as many processors as parts.
        processors: how many there are.
        most: how many parts there are at most.
        coverage: which share of the program's work must be in the parts.
        unfused: which share of that must be other work than kernels do, which threads share anyway.
        summing: which share of the work adding up results may add.
        call_ns: how long a call of NumPy must take in a part on average: each takes the GIL, and a thread that has to
            wait for it has lost 25 to 50 µs. (A small network of convolutions, in calls of 12 µs, takes 1.2 times as
            long in two parts; a transformer, in calls of 150, 0.7.)
        seeds: how many axes are tried.
    """

    __slots__ = (
        "call_ns",
        "coverage",
        "least_ns",
        "least_part_ns",
        "most",
        "part_ns",
        "processors",
        "seeds",
        "summing",
        "unfused",
    )

    def __init__(self) -> None:
        self.least_ns, self.least_part_ns, self.part_ns, self.most = 3e6, 4e6, 24e6, 16
        self.processors = cpus()
        self.coverage, self.unfused, self.summing = 0.7, 0.3, 0.1
        self.call_ns = 40e3
        self.seeds = 8


sharding = Sharding()

_FLOP_NS = 0.012
"""Of products of float32 matrices with one thread; twice that for float64."""


class Cost(NamedTuple):
    """What an equation costs with one thread.

    Attributes:
        ns: roughly how many nanoseconds.
        fused: whether kernels can do it.
        calls: in how many calls of NumPy each part of it is done, at the least.
        blocks: how many more calls there are for all parts together.
    """

    ns: float
    fused: bool
    calls: int = 1
    blocks: float = 0.0


class Region:
    """The equations that can be done part by part if some arguments are divided along one axis each.

    Attributes:
        rulings: of these equations.
        axes: of the results that are divided, along which axis.
        sums: the results that are to be added up.
        common: a number that the sizes of all divided axes are multiples of.
        work: nanoseconds of these equations.
        unfused: of those that no kernel does; in `calls` for each part and `blocks` for all.
        late: what is known only afterwards.
        later: the equations that come after the parts.
    """

    def __init__(self, program: Program, given: Mapping[Any, int], costs: Mapping[Equation, Cost]) -> None:
        self.rulings: dict[Equation, Ruling] = {}
        self.axes: dict[Any, int] = {}
        self.sums: list[Var] = []
        self.common = math.gcd(*(v.aval.shape[axis] for v, axis in given.items()))
        self.work = self.unfused = self.blocks = 0.0
        self.calls = 0
        self.late: set[Any] = set()
        self.later: list[Equation] = []
        effects = False  # whether one comes after the parts: the others then do, too, in their order
        for eqn in program.equations:
            if not self.late.isdisjoint(eqn.inputs) or (effects and has_effect(eqn.primitive, eqn.params)):
                self._postpone(eqn)
                effects = effects or has_effect(eqn.primitive, eqn.params)
                continue
            at = [self.axes.get(x, given.get(x)) for x in eqn.inputs]
            if at.count(None) == len(at):
                continue
            rule = ruling(eqn, at)
            common = 1 if rule is None else self._agreed(eqn, rule)
            if rule is not None and common > 1:
                self._admit(eqn, rule, common)
                self._count(costs[eqn])
            elif any(x in self.axes for x in eqn.inputs):
                self._postpone(eqn)
                effects = effects or has_effect(eqn.primitive, eqn.params)

    def _count(self, cost: Cost) -> None:
        self.work += cost.ns
        if not cost.fused:
            self.unfused += cost.ns
            self.calls += cost.calls
            self.blocks += cost.blocks

    def _postpone(self, eqn: Equation) -> None:
        self.later.append(eqn)
        self.late.update(eqn.outputs)

    def _agreed(self, eqn: Equation, rule: Ruling) -> int:
        """What `common` becomes with an equation; 1 if its operands are divided otherwise than they need to be."""
        for x, axis in zip(eqn.inputs, rule.ins, strict=True):
            if (x in self.axes or (axis is not None and x.is_literal)) and self.axes.get(x) != axis:
                return 1
        return math.gcd(self.common, *_sizes(eqn, rule))

    def _admit(self, eqn: Equation, rule: Ruling, common: int) -> None:
        self.rulings[eqn] = rule
        self.common = common
        (out,) = eqn.outputs
        if rule.out == SUM:
            self.sums.append(out)
            self.late.add(out)
        else:
            self.axes[out] = rule.out

    def contiguous(self, program: Program) -> bool:
        """Whether the parts of each result lie together in memory: a part is written where it belongs."""
        read = {x for e in program.equations if e not in self.rulings for x in e.inputs}.union(program.outputs)
        return all(math.prod(v.aval.shape[:axis]) == 1 for v, axis in self.axes.items() if v in read)

    def _call_ns(self, count: int) -> float:
        return self.unfused / max(count * self.calls + self.blocks, 1)

    def demands(self, program: Program) -> dict[Any, int]:
        """The arguments and constants of which it needs parts, or of which something is made that it needs parts of."""
        maker = {v: e for e in program.equations for v in e.outputs}
        found: dict[Any, int] = {}
        seen: set[tuple[Any, int]] = set()  # there are exponentially many paths through values that are used twice
        todo = [(x, axis) for e, r in self.rulings.items() for x, axis in zip(e.inputs, r.ins, strict=True)]
        while todo:
            x, axis = todo.pop()
            if axis is None or x in self.axes or x in found or (x, axis) in seen:
                continue
            seen.add((x, axis))
            if x in maker:
                todo += _sources(maker[x], axis)
            else:
                found[x] = axis
        return found

    def count(self) -> int:
        """How many parts to make; 1 if it does not pay."""
        s = sharding
        if not self.rulings or self.work < s.least_ns or self.unfused < s.unfused * self.work:
            return 1
        wanted = max(2, round(self.work / s.part_ns), min(s.processors, round(self.work / s.least_part_ns)))
        most = min(s.most, wanted)
        n = max(k for k in range(1, most + 1) if self.common % k == 0 and (k == 1 or self._call_ns(k) >= s.call_ns))
        adding = n * sum(0.4 * v.aval.size * v.aval.dtype.itemsize for v in self.sums)
        return n if adding <= s.summing * self.work else 1


def _sources(eqn: Equation, out: int) -> list[tuple[Any, int | None]]:
    """How the operands are to be divided so that the result is, along an axis."""
    for i, x in enumerate(eqn.inputs):
        for axis in range(x.aval.ndim):
            at: list[int | None] = [None] * len(eqn.inputs)
            at[i] = axis
            rule = ruling(eqn, at)
            if rule is not None and rule.out == out:
                return list(zip(eqn.inputs, rule.ins, strict=True))
    return []


def _sizes(eqn: Equation, rule: Ruling) -> list[int]:
    axes = zip((*eqn.inputs, *eqn.outputs), (*rule.ins, rule.out), strict=True)
    return [x.aval.shape[axis] for x, axis in axes if axis is not None and axis != SUM]


@cache
def _has_blas_control() -> bool:
    return find_spec("threadpoolctl") is not None


def shard(program: Program) -> Program:
    """The program with what can be done part by part in one equation `sharded`; itself if that would not pay."""
    if not _has_blas_control():
        return program
    costs = {eqn: cost(eqn) for eqn in program.equations}
    total = sum(cost.ns for cost in costs.values())
    if total < sharding.least_ns:
        return program
    for seed, axis in _seeds(program):
        region = Region(program, {seed: axis}, costs)
        if (more := region.demands(program)) != {seed: axis}:
            region = Region(program, {seed: axis, **more}, costs)
        pays = region.work >= sharding.coverage * total and region.contiguous(program)
        count = region.count() if pays else 1
        if count > 1:
            made = divided(program, region, count)
            if config.check_ir:
                check_program(made)
            return made
    return program


def _seeds(program: Program) -> list[tuple[Var, int]]:
    """The axes to be tried: the first ones first, and of the arrays of most dimensions, the largest."""
    arrays = [v for v in (*program.inputs, *program.constvars) if v.aval.shape]
    arrays.sort(key=lambda v: (-v.aval.ndim, -v.aval.size))
    found = [(v, axis) for axis in range(2) for v in arrays if v.aval.ndim > axis and v.aval.shape[axis] > 1]
    return found[: sharding.seeds]


def cost(eqn: Equation) -> Cost:
    """An estimate."""
    primitive = eqn.primitive
    if primitive.moves in ("alias", "view"):
        return Cost(0.0, True)
    avals = [x.aval for x in (*eqn.inputs, *eqn.outputs)]
    if primitive.pointwise or is_reduction(primitive):
        return Cost(max((a.size for a in avals), default=0) * element_ns(eqn), True)
    moved = sum(a.size * a.dtype.itemsize for a in avals)
    if not is_product(primitive):
        return Cost(0.3 * moved, False, 8)
    ns = _FLOP_NS * flops(eqn) * (1 if eqn.outputs[0].aval.dtype.itemsize <= 4 else 2) + 0.1 * moved
    if primitive.calls is None:
        return Cost(ns, False)
    calls, blocks = primitive.calls(avals[: len(eqn.inputs)], avals[-1], **eqn.params)
    return Cost(ns, False, calls, blocks)


# ----------------------------------------------------------------------------------------------------- rewriting


def divided(program: Program, region: Region, count: int) -> Program:
    """The program with the region as one equation, of so many parts."""
    inputs: dict[tuple[Any, int | None], Var] = {}
    inner: dict[Any, Var] = {}
    body: list[Equation] = []

    def operand(x: Any, axis: int | None) -> Any:
        if x in inner or x.is_literal:
            return inner.get(x, x)
        if (x, axis) not in inputs:
            inputs[x, axis] = Var(_divided(x.aval, axis, count))
        return inputs[x, axis]

    for eqn, rule in region.rulings.items():
        ins = [operand(x, axis) for x, axis in zip(eqn.inputs, rule.ins, strict=True)]
        (out,) = eqn.outputs
        inner[out] = Var(_divided(out.aval, None if rule.out == SUM else rule.out, count))
        body.append(Equation(eqn.primitive, ins, [inner[out]], _resized(eqn.params, rule, count), eqn.source))
    outside = [e for e in program.equations if e not in region.rulings]
    read = {x for e in outside for x in e.inputs}.union(program.outputs)
    outs = [v for v in inner if v in read]
    params: dict[str, Any] = {
        "program": Program((), (), list(inputs.values()), body, [inner[v] for v in outs]),
        "count": count,
        "ins": tuple(axis for _, axis in inputs),
        "outs": tuple(region.axes.get(v) for v in outs),
    }
    new = Equation(SHARDED, [x for x, _ in inputs], outs, params, body[0].source)
    later = set(region.later)
    early = [e for e in outside if e not in later]
    return remade(program, [*early, new, *region.later], program.outputs)


def _divided(aval: ShapedArray, axis: int | None, count: int) -> ShapedArray:
    if axis is None:
        return aval
    shape = (*aval.shape[:axis], aval.shape[axis] // count, *aval.shape[axis + 1 :])
    return ShapedArray(shape, aval.dtype, aval.weak)


def _resized(params: dict[str, Any], rule: Ruling, count: int) -> dict[str, Any]:
    if rule.resized is None:
        return params
    name, axis = rule.resized
    shape = params[name]
    return {**params, name: (*shape[:axis], shape[axis] // count, *shape[axis + 1 :])}
