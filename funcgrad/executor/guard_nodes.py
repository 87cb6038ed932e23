"""What the code of a tree of guards needs to know of its nodes: what lives on below each, and its program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad._tree_compile import NODE_LIMIT, compile_put
from funcgrad.config import config
from funcgrad.executor.guard_share import Shared
from funcgrad.executor.guard_tree import Leaf, Node, Tree
from funcgrad.executor.step import Bindings
from funcgrad.ir import Atom, Program, Var
from funcgrad.ir_check import check_program

__all__ = ["Nodes", "is_text", "put_text", "unlike_text"]


class Nodes:
    """The nodes of a tree.

    Attributes:
        tree: the tree.
        shared: what no node computes that an earlier one has.
        needs: for each node, by its id, the variables of earlier nodes that it or its descendants read.
        sizes: how many leaves are below it.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree, self.shared = tree, Shared(tree)
        self.needs: dict[int, set[Var]] = {}
        self.sizes: dict[int, int] = {}
        for node in reversed(list(tree.walk())):
            needed: set[Any] = set().union(*(self.needs[id(c)] for c in node.children.values()))
            needed.update(self.ends(node))
            for eqn in reversed(self.shared.equations(node)):
                needed.difference_update(eqn.outputs)
                needed.update(eqn.inputs)
            self.needs[id(node)] = {a for a in needed if isinstance(a, Var) and a not in tree.consts}
            self.sizes[id(node)] = sum(self.sizes[id(c)] for c in node.children.values()) or 1

    def ends(self, node: Node) -> list[Atom]:
        """What the end of a node reads: the results of a leaf, or what its guard asks for."""
        if node.leaf is not None:
            return [self.shared.atom(a) for a in node.leaf.outputs]
        assert node.test is not None
        return [self.shared.atom(node.test.var)]

    def program(self, node: Node) -> tuple[Program, list[Atom]]:
        """A node as a program, and what its outputs are; the same one for the same outputs."""
        equations, outputs = self.shared.equations(node), self.ends(node)
        own = {v for e in equations for v in e.outputs}
        if node.leaf is None:
            later = set().union(outputs, *(self.needs[id(c)] for c in node.children.values()))
            outputs = [v for e in equations for v in e.outputs if v in later]
        if node.made is not None and node.made[1] == outputs:
            return node.made
        read: dict[Any, None] = dict.fromkeys([*(a for e in equations for a in e.inputs), *outputs])
        consts = {v: c for v, c in self.tree.consts.items() if v in read}
        inputs = [v for v in read if isinstance(v, Var) and v not in own and v not in consts]
        program = Program(tuple(consts), tuple(consts.values()), inputs, equations, outputs)
        if config.check_ir:
            check_program(program)
        node.made = program, outputs
        return node.made

    def children(self, node: Node) -> list[tuple[Any, Node]]:
        """The children by the value that the guard saw, that with the most paths last."""
        return sorted(node.children.items(), key=lambda item: self.sizes[id(item[1])])


def put_text(leaf: Leaf, results: Sequence[str], bindings: Bindings) -> str:
    """Code for the result of a leaf, from those for its parts."""
    if leaf.out_tree.num_nodes == 1 and leaf.out_tree.num_leaves == 1:
        return results[0]
    put = compile_put(leaf.out_tree) if leaf.out_tree.num_leaves <= NODE_LIMIT else leaf.out_tree.unflatten
    return f"{bindings.name(put, 'put')}(({', '.join(results)}{',' if len(results) == 1 else ''}))"


def is_text(text: str, value: Any) -> str:
    """The question whether a guard sees this value."""
    return text if value is True else f"not {text}" if value is False else f"{text} == {value!r}"


def unlike_text(text: str, value: Any) -> str:
    """The question whether it sees another one."""
    return f"not {text}" if value is True else text if value is False else f"{text} != {value!r}"
