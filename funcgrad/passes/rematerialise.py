"""Recomputation: values that one group of fused operations makes and another reads, computed again instead.

The reverse pass reads many values of the forward pass. Each is written to memory and read again, unless the group that
reads it computes it from others: from the operands of the forward group, or from values that are in memory anyway.

For each group, what to compute again is the cheapest choice. Let `have(v)` say that the group has the value v and
`make(v)` that it computes it. What the group reads it must have; make(v) implies have(v), and have(u) for each operand
u of v. The cost is the sum of

- the time that computing v takes, over all v with make(v);
- the time that reading v takes, over all v with have(v) and not make(v) (none if the group reads it as it is), and of
  writing it, if nothing else needs it in memory; groups that might read a value share that.

Such a sum over pairs of yes and no is least where a cut of a network is: the one that the largest flow fills.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from funcgrad.executor.cost import element_ns
from funcgrad.executor.spaces import Space, is_alias, is_reduction, patterns_of
from funcgrad.ir import Equation, Var

__all__ = ["Group", "cheapest_side", "recompute"]

_BYTE_NS = 0.08
"""What reading and what writing a byte of a large array takes, in nanoseconds (measured, between two tiled loops)."""
_SPREAD_NS = 0.25
"""What writing out an operand that is broadcast takes, per element."""
_MOST = 200
"""How many operations are looked at, back from what a group reads."""

Members = list[tuple[int, Equation]]
Network = dict[Any, dict[Any, float]]


class Group(Protocol):
    """Operations over one iteration space; `late` are results that are known only after the last tile."""

    members: Members
    space: Space | None
    late: set[Var]


def recompute(groups: Sequence[Group], kept: set[Any], widest: int) -> list[Members]:
    """For each group the operations of others that it does again, with their places in the program.

    Args:
        groups: whose members are operations with one result.
        kept: values that something other than the groups reads.
        widest: how many elements a row of a tile may have.
    """
    made = {eqn.outputs[0]: (group, at, eqn) for group in groups for at, eqn in group.members}
    foreign = [_foreign(group, made) for group in groups]
    readers: dict[Any, int] = {}
    for xs in foreign:
        for x in xs:
            readers[x] = readers.get(x, 0) + 1
    stored = set(kept)
    found: list[Members] = []
    for group, reads in zip(groups, foreign, strict=True):
        chosen: Members = []
        if not reads.isdisjoint(made):
            read = _operands(group)
            network = _network([x for x in reads if x in made], made, read, stored, readers)
            again = {v for v in cheapest_side(network, "start", "end") if isinstance(v, Var)}
            chosen = sorted((made[v][1:] for v in again), key=lambda m: m[0])
            if chosen and not _fits(group, chosen, widest):
                chosen = []
        found.append(chosen)
        mine = {eqn.outputs[0] for _, eqn in chosen}
        for x in reads & mine:
            readers[x] -= 1
        stored |= reads - mine
        stored |= {x for _, eqn in chosen for x in eqn.inputs if isinstance(x, Var) and x not in mine}
    return found


def _operands(group: Group) -> set[Any]:
    return {x for _, eqn in group.members for x in eqn.inputs if isinstance(x, Var)}


def _foreign(group: Group, made: Mapping[Any, Any]) -> set[Any]:
    """What a group reads of others."""
    return {x for x in _operands(group) if x not in made or made[x][0] is not group}


def _network(
    targets: Iterable[Var],
    made: Mapping[Any, tuple[Group, int, Equation]],
    read: set[Any],
    stored: set[Any],
    readers: Mapping[Any, int],
) -> Network:
    """The costs as capacities: cut between have(v) and make(v) v is read, between make(v) and the end computed.

    The node make(v) is v itself, have(v) is the pair ("have", v).
    """
    network: Network = {"start": {("have", v): math.inf for v in targets}, "end": {}}
    todo, seen, left = list(targets), set(targets), _MOST
    while todo:
        v = todo.pop()
        size = v.aval.size * v.aval.dtype.itemsize
        entry = made.get(v)
        free = v in read and entry is None
        cost = 0.0 if free else size * _BYTE_NS
        if entry is not None and v not in stored:
            cost += size * _BYTE_NS / max(1, readers.get(v, 0))
        if entry is None or v in entry[0].late or left == 0:
            network.setdefault(("have", v), {})["end"] = cost
            continue
        left -= 1
        eqn = entry[2]
        network.setdefault(("have", v), {})[v] = cost
        network[v] = {"end": _time(eqn)}
        for x in eqn.inputs:
            if isinstance(x, Var):
                network[v]["have", x] = math.inf
                if x not in seen:
                    seen.add(x)
                    todo.append(x)
    return network


def _time(eqn: Equation) -> float:
    """Roughly how many nanoseconds an operation takes on tiles."""
    if is_alias(eqn.primitive):
        return 0.0
    size = max(x.aval.size for x in (*eqn.inputs, *eqn.outputs))
    spread = any(1 < x.aval.size < size for x in eqn.inputs) and not is_reduction(eqn.primitive)
    return size * (element_ns(eqn) + _SPREAD_NS * spread)


def _fits(group: Group, more: Members, widest: int) -> bool:
    """Whether a group can do these operations as well."""
    assert group.space is not None
    space = Space(group.space.shape)
    for _, eqn in (*more, *group.members):
        fit = space.fit(eqn)
        if fit is None or space.row_size(patterns_of(fit)) > widest:
            return False
        space.admit(eqn, fit)
    return True


def cheapest_side(network: Network, start: Any, end: Any) -> set[Any]:
    """The nodes on the side of `start` of the cheapest cut between two nodes of a network.

    By augmenting paths, the shortest first (Edmonds and Karp). Of several cheapest cuts the one next to `start`.
    """
    left: Network = {a: dict(bs) for a, bs in network.items()}
    for a, bs in network.items():
        for b in bs:
            left.setdefault(b, {}).setdefault(a, 0.0)
    while True:
        before = _reach(left, start, end)
        if end not in before:
            return set(before)
        path = [end]
        while path[-1] != start:
            path.append(before[path[-1]])
        steps = list(zip(path[1:], path, strict=False))
        flow = min(left[a][b] for a, b in steps)
        for a, b in steps:
            left[a][b] -= flow
            left[b][a] += flow


def _reach(left: Network, start: Any, end: Any) -> dict[Any, Any]:
    """The nodes that can be reached from `start`, each with the one before it, as far as `end` is not among them."""
    before: dict[Any, Any] = {start: None}
    queue = deque([start])
    while queue and end not in before:
        a = queue.popleft()
        for b, capacity in left[a].items():
            if capacity > 1e-6 and b not in before:
                before[b] = a
                queue.append(b)
    return before
