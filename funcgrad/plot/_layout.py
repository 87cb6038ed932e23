"""Places for the nodes of a graph without circles: layers from left to right, with few crossings.

(The method of Sugiyama, Tagawa and Toda, 1981: edges that skip layers get a stop in each of them, and each layer is
ordered by the mean place of its neighbours, to and fro.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

__all__ = ["layered"]

Edge = tuple[int, int]
Place = tuple[float, float]


def _layers(n: int, edges: Sequence[Edge]) -> list[int]:
    """The layer of each node: after those that it comes from; what comes from nowhere just before its first use."""
    layer = [0] * n
    incoming = {b for _, b in edges}
    for a, b in sorted(edges, key=lambda e: e[1]):  # nodes are numbered in the order of evaluation
        layer[b] = max(layer[b], layer[a] + 1)
    for node in range(n):
        uses = [layer[b] for a, b in edges if a == node]
        if node not in incoming and uses:
            layer[node] = min(uses) - 1
    return layer


def layered(n: int, edges: Sequence[Edge]) -> tuple[list[Place], list[list[Place]]]:
    """(layer, height) of each node, and the stops of each edge in between.

    Args:
        n: how many nodes; each edge goes from a smaller number to a greater one.
        edges: pairs of nodes.
    """
    layer = _layers(n, edges)
    chains: list[list[int]] = []
    for a, b in edges:
        stops = list(range(len(layer), len(layer) + layer[b] - layer[a] - 1))
        layer += range(layer[a] + 1, layer[b])
        chains.append([a, *stops, b])
    rows: dict[int, list[int]] = defaultdict(list)
    for node, at in enumerate(layer):
        rows[at].append(node)
    neighbours: dict[bool, dict[int, list[int]]] = {True: defaultdict(list), False: defaultdict(list)}
    for chain in chains:
        for a, b in pairwise(chain):
            neighbours[True][b].append(a)
            neighbours[False][a].append(b)
    height = {node: i - (len(row) - 1) / 2 for row in rows.values() for i, node in enumerate(row)}
    for sweep in range(12):
        forward = sweep % 2 == 0
        for at in sorted(rows, reverse=not forward):
            wish = {v: _mean([height[u] for u in neighbours[forward][v]], height[v]) for v in rows[at]}
            rows[at].sort(key=wish.__getitem__)
            _spread(rows[at], wish, height)
    places: list[Any] = [(float(layer[v]), height[v]) for v in range(len(layer))]
    return places[:n], [[places[v] for v in chain[1:-1]] for chain in chains]


def _mean(values: list[float], default: float) -> float:
    return float(np.mean(values)) if values else default


def _spread(row: list[int], wish: dict[int, float], height: dict[int, float]) -> None:
    """Puts the nodes of a layer near their wishes, at least 1 apart, in their order."""
    placed: list[float] = []
    for v in row:
        placed.append(max(wish[v], placed[-1] + 1) if placed else wish[v])
    shift = float(np.mean([wish[v] - y for v, y in zip(row, placed, strict=True)]))
    for v, y in zip(row, placed, strict=True):
        height[v] = y + shift
