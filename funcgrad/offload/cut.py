"""Where each operation runs, on the host or on a device: the cheapest assignment is a minimum cut.

Operations are nodes between a source (the host) and a sink (the device). The edge that is cut when an operation runs on
a side costs what it takes there. Between an operation and the readers of its result stands what the transfer costs: it
is paid once for each value and direction, however many read it. The maximum flow is found by Dinic's algorithm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["INFINITE", "Flow", "Value", "assign", "comes_down", "goes_up"]

INFINITE = float("inf")
"""The cost of what is impossible."""

_HOST, _DEVICE = 0, 1


class Value(NamedTuple):
    """A value, and what it costs to move it.

    Attributes:
        maker: the operation whose result it is; None for what the host has from the beginning.
        readers: the operations that read it, each once.
        wanted: whether the host needs it in the end.
        up, down: seconds for its way to the device, and for its way back.
    """

    maker: int | None
    readers: Sequence[int]
    wanted: bool
    up: float
    down: float


class Flow:
    """A network with capacities, whose node 0 is the source and node 1 the sink."""

    __slots__ = ("arcs", "capacity", "target")

    def __init__(self, nodes: int) -> None:
        self.arcs: list[list[int]] = [[] for _ in range(nodes)]  # of each node, as numbers of arcs
        self.target: list[int] = []
        self.capacity: list[float] = []  # what is left; arc n ^ 1 is the reverse of arc n

    def node(self) -> int:
        """A new node."""
        self.arcs.append([])
        return len(self.arcs) - 1

    def edge(self, a: int, b: int, there: float, back: float = 0.0) -> None:
        """Join two nodes, with a capacity for each direction."""
        at = len(self.target)
        self.arcs[a].append(at)
        self.arcs[b].append(at + 1)
        self.target += (b, a)
        self.capacity += (there, back)

    def cut(self) -> list[bool]:
        """For each node whether it is on the sink's side of the minimum cut whose sink's side is the smallest."""
        while (levels := self._levels())[_HOST] >= 0:
            self._block(levels)
        return [level >= 0 for level in levels]

    def _levels(self) -> list[int]:
        """For each node how many arcs with capacity left it is away from the sink; -1 where there is no path."""
        target, capacity = self.target, self.capacity
        levels = [-1] * len(self.arcs)
        levels[_DEVICE] = 0
        queue = [_DEVICE]
        for node in queue:  # which grows
            next_level = levels[node] + 1
            for arc in self.arcs[node]:
                before = target[arc]
                if levels[before] < 0 and capacity[arc ^ 1] > 0:
                    levels[before] = next_level
                    queue.append(before)
        return levels

    def _block(self, levels: list[int]) -> None:
        """Send what goes along shortest paths from the source, until each of them has an arc without capacity left."""
        arcs, target, capacity = self.arcs, self.target, self.capacity
        following = [0] * len(arcs)  # the arc of each node that is tried next
        path: list[int] = []
        node = _HOST
        while True:
            if node == _DEVICE:
                amount = min([capacity[arc] for arc in path])
                first = -1
                for i, arc in enumerate(path):
                    left = capacity[arc] - amount
                    capacity[arc] = left
                    capacity[arc ^ 1] += amount
                    if first < 0 and not left > 0:
                        first = i
                node = target[path[first] ^ 1]
                del path[first:]
                continue
            mine, i, level = arcs[node], following[node], levels[node] - 1
            while i < len(mine) and not (levels[target[mine[i]]] == level and capacity[mine[i]] > 0):
                i += 1
            following[node] = i
            if i < len(mine):
                path.append(mine[i])
                node = target[mine[i]]
            elif path:
                node = target[path.pop() ^ 1]
                following[node] += 1
            else:
                return


def assign(host: Sequence[float], device: Sequence[float], values: Iterable[Value]) -> list[bool]:
    """Which operations run on the device where all of them together, with the transfers, cost least.

    Args:
        host, device: seconds for each operation on either side; `INFINITE` for what cannot run there. Each must have a
            side where it can.
        values: what they read and give.

    Returns:
        For each operation whether it runs on the device. Among assignments of the same cost this is the one with the
        fewest operations there.

    >>> x, y = Value(None, [0], False, 1.0, 1.0), Value(0, [], True, 1.0, 1.0)
    >>> assign([5.0], [1.0], [x, y]), assign([5.0], [4.0], [x, y])
    ([True], [False])
    """
    flow = Flow(2 + len(host))
    more = [0.0] * len(host)  # what is paid in any case if an operation runs on the device
    for value in values:
        _join(flow, value, more)
    for i, (on_host, on_device) in enumerate(zip(host, device, strict=True)):
        extra = on_device + more[i] - on_host if on_host < INFINITE else -INFINITE
        if extra > 0:
            flow.edge(_HOST, 2 + i, extra)
        elif extra < 0:
            flow.edge(2 + i, _DEVICE, -extra)
    return flow.cut()[2 : 2 + len(host)]


def _join(flow: Flow, value: Value, more: list[float]) -> None:
    """Write down what it costs if a value is made on one side and read on another."""
    maker, readers, wanted, up, down = value
    if maker is None:
        if len(readers) == 1:
            more[readers[0]] += up
        elif readers:
            sent = flow.node()
            flow.edge(_HOST, sent, up)
            for r in readers:
                flow.edge(sent, 2 + r, INFINITE)
        return
    node = 2 + maker
    if wanted:
        more[maker] += down
        down = 0.0
    if len(readers) == 1:
        flow.edge(node, 2 + readers[0], up, down)
        return
    if readers:
        sent = flow.node()
        flow.edge(node, sent, up)
        for r in readers:
            flow.edge(sent, 2 + r, INFINITE)
    if readers and down:
        fetched = flow.node()
        flow.edge(fetched, node, down)
        for r in readers:
            flow.edge(2 + r, fetched, INFINITE)


def goes_up(value: Value, on_device: Sequence[bool]) -> bool:
    """Whether a value is sent to the device, where operations are assigned so."""
    made_there = value.maker is not None and on_device[value.maker]
    return not made_there and any([on_device[r] for r in value.readers])


def comes_down(value: Value, on_device: Sequence[bool]) -> bool:
    """Whether a value comes back to the host, where operations are assigned so."""
    made_there = value.maker is not None and on_device[value.maker]
    return made_there and (value.wanted or not all([on_device[r] for r in value.readers]))
