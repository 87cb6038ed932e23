"""What a node of a tree of guards need not compute, since a node above it has: small values live on across guards.

Nodes are optimised one by one, so nothing else would find that `x * x - c` of a condition is there again in the body of
a loop. Large arrays are computed again: they would keep memory until the end of the path.
"""

from __future__ import annotations

from typing import Any

from funcgrad.executor.guard_tree import Node, Tree
from funcgrad.ir import Atom, Equation, Literal, has_effect
from funcgrad.passes.cse import literal_key, static_key

__all__ = ["Shared"]

_SMALL = 256
"""So many elements at most: an operation on them costs a call of NumPy, and little for the elements."""


class Shared:
    """A tree without what is computed twice on a path.

    Attributes:
        twins: for each variable that is not computed, the earlier one with the same value.
    """

    def __init__(self, tree: Tree) -> None:
        self.twins: dict[Any, Any] = {}
        self._equations: dict[int, list[Equation]] = {}
        seen: dict[Any, Equation] = {}
        todo: list[Node | list[Any]] = [tree.root]
        while todo:
            node = todo.pop()
            if isinstance(node, list):  # the way back: what was computed there is not known to siblings
                for key in node:
                    del seen[key]
                continue
            todo.append(self._visit(node, seen))
            todo += node.children.values()

    def _visit(self, node: Node, seen: dict[Any, Equation]) -> list[Any]:
        """Find what a node need not compute; returns the keys that it added to `seen`."""
        kept: list[Equation] = []
        added: list[Any] = []
        for eqn in node.equations:
            if any(a in self.twins for a in eqn.inputs):
                eqn = Equation(eqn.primitive, tuple(map(self.atom, eqn.inputs)), eqn.outputs, eqn.params, eqn.source)
            key = _key(eqn)
            first = None if key is None else seen.get(key)
            if first is not None:
                self.twins.update(zip(eqn.outputs, first.outputs, strict=True))
                continue
            kept.append(eqn)
            if key is not None:
                seen[key] = eqn
                added.append(key)
        self._equations[id(node)] = kept
        return added

    def atom(self, atom: Atom) -> Atom:
        """The earlier variable with the same value, or the atom itself."""
        return self.twins.get(atom, atom)

    def equations(self, node: Node) -> list[Equation]:
        """What is left of a node."""
        return self._equations[id(node)]


def _key(eqn: Equation) -> Any:
    """What makes two equations the same; None if that cannot be said, or if both are to be run."""
    if has_effect(eqn.primitive, eqn.params) or any(v.aval.size > _SMALL for v in eqn.outputs):
        return None
    ins = tuple([literal_key(a) if isinstance(a, Literal) else a for a in eqn.inputs])
    try:
        key = eqn.primitive, ins, tuple([(k, static_key(v)) for k, v in sorted(eqn.params.items())])
        hash(key)
    except TypeError:
        return None
    return key
