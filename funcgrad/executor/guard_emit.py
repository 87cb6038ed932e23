"""The code of a tree of guards: one function, with an `if` for each guard.

Each node is optimised and planned as a program of its own, from the values that live when it begins to those that its
descendants read; so nothing moves across a guard, but small values that are there already are not computed again. What
follows a guard for the value that most paths share stands at the same depth as the guard, the others in blocks that
return. At a value that was never seen the function returns `missed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from funcgrad.executor.build import prepared
from funcgrad.executor.emit import Emitter
from funcgrad.executor.executable import Executable, function_head, result_texts
from funcgrad.executor.guard_nodes import Nodes, is_text, put_text, unlike_text
from funcgrad.executor.guard_scalars import write_tree
from funcgrad.executor.guard_tree import Leaf, Node, Test, Tree
from funcgrad.executor.plan import Plan, make_plan
from funcgrad.executor.step import Bindings
from funcgrad.ir import Atom, Program, Var
from funcgrad.ops.guard import KEYS
from funcgrad.transforms.call import called_on

__all__ = ["compile_tree"]

_LEAVE = "@leave "
"""Stands in the code before a `return`: there the scratch memory is given back, if there is any."""

Held = dict[Var, frozenset[int]]
"""For each live value the scratch blocks that it may lie in."""


def compile_tree(
    tree: Tree, runs: list[int], missed: Any, lock: AbstractContextManager[Any], backend: Any = None
) -> Executable:
    """Compile all paths; the function counts in `runs` how often each was gone, and returns `missed` off them.

    `lock` is what keeps the tree from growing; it is held now, and whenever the tree is compiled again. `backend` is
    what runs the nodes; NumPy's unless given.
    """
    nodes = Nodes(tree)
    plain = _Plain(tree, runs, missed, backend, lock)
    return write_tree(nodes, runs, missed, plain) or _by_numpy(nodes, runs, missed, backend)


class _Plain:
    """The code over arrays, compiled when it is first called."""

    __slots__ = ("_compiled", "_lock", "_tree")

    def __init__(self, *tree: Any) -> None:
        *self._tree, self._lock = tree
        self._compiled: Executable | None = None

    def __call__(self, *args: Any) -> Any:
        if self._compiled is None:
            with self._lock:
                tree, runs, missed, backend = self._tree
                self._compiled = _by_numpy(Nodes(tree), runs, missed, backend)
        return self._compiled(*args)


def _by_numpy(nodes: Nodes, runs: list[int], missed: Any, backend: Any) -> Executable:
    tree, writer = nodes.tree, _Writer(nodes, runs, missed, backend)
    emitter = writer.emitter
    for var in tree.inputs:
        name = emitter.env[var] = emitter.local(var)
        if not var.aval.shape and not var.aval.weak:
            emitter.write(emitter.scalar(name, var))
    inputs = [emitter.env[v] for v in tree.inputs]
    writer.write(tree.root, {})
    lines: list[tuple[str, Any]] = [(text, None) for text in function_head(emitter, inputs)]
    for text, eqn in zip(emitter.lines, emitter.sources, strict=True):
        before, leave, after = text.partition(_LEAVE)
        if not leave:
            lines.append((text, eqn))
        elif emitter.arena.used:
            lines += [(f"{before}pool.append(memory)", None), (f"{before}return {after}", None)]
        else:
            lines.append((f"{before}return {after}", None))
    source = "\n".join(text for text, _ in lines) + "\n"
    root = Program((), (), tree.inputs, (), ())
    return Executable(root, source, [eqn for _, eqn in lines], emitter.bindings, emitter.arena.bytes, warns=True)


class _Writer:
    """Writes the nodes of a tree."""

    def __init__(self, nodes: Nodes, runs: list[int], missed: Any, backend: Any) -> None:
        self.nodes, self.backend = nodes, backend
        self.emitter = Emitter(Bindings())
        self.runs = self.emitter.bindings.name(runs, "runs")
        self.missed = self.emitter.bindings.name(missed, "missed")

    def write(self, node: Node, held: Held) -> None:
        """Write a node and what is below it. `held` is given back on the way; the memory is as before afterwards."""
        emitter = self.emitter
        while True:
            program, outputs = self.nodes.program(node)
            if node.ready[0] is not program:
                node.ready = program, prepared(program if self.backend is None else called_on(program, self.backend))
            program = node.ready[1]
            emitter.constants(program)
            plan = make_plan(program, emitter.bindings)
            blocks: dict[int, int] = {}

            def sink(i: int, program: Program = program, blocks: dict[int, int] = blocks) -> str:
                aval = program.outputs[i].aval
                blocks[i] = emitter.arena.take(max(1, aval.size * aval.dtype.itemsize))
                return emitter.arena.view(blocks[i], aval, emitter.bindings)

            if node.leaf is not None:
                emitter.block(plan, lambda i: None)
                self._end(node.leaf, plan)
                return
            emitter.block(plan, sink)
            held = self._lives(plan, outputs, blocks, held)
            children = self.nodes.children(node)
            assert node.test is not None
            self._branch(node.test, children, held)
            node = children[-1][1]
            held = self._needed(node, held)

    def _lives(self, plan: Plan, outputs: Sequence[Atom], blocks: dict[int, int], held: Held) -> Held:
        """Name what lives on, and say in which memory it lies."""
        held = dict(held)
        for var, atom in zip(outputs, plan.program.outputs, strict=True):
            assert isinstance(var, Var)
            self.emitter.env[var] = self.emitter.operand(atom)
            mine: set[int] = set()
            for root in plan.root(atom):
                place = plan.places.get(root)
                if place is None:
                    mine |= held.get(root, frozenset())
                elif place.sink is not None:
                    mine.add(blocks[place.sink])
                elif place.block is not None:
                    mine.add(place.block)
            if mine:
                held[var] = frozenset(mine)
        return held

    def _needed(self, node: Node, held: Held) -> Held:
        """Give the memory back that nothing below a node reads."""
        kept = {v: blocks for v, blocks in held.items() if v in self.nodes.needs[id(node)]}
        live = set().union(*kept.values())
        for block in sorted(set().union(*held.values()) - live):
            self.emitter.arena.give(block)
        return kept

    def _branch(self, test: Test, children: Sequence[tuple[Any, Node]], held: Held) -> None:
        """Write the blocks of all children but the last one, and what leaves the function if it is not that either."""
        emitter = self.emitter
        text = emitter.operand(self.nodes.shared.atom(test.var))
        if test.kind != "bool":
            name = emitter.unique("seen")
            key = "int" if test.kind == "int" else emitter.bindings.name(KEYS[test.kind], f"{test.kind}_key")
            emitter.write(f"{name} = {key}({text})")
            text = name
        for value, child in children[:-1]:
            emitter.write(f"if {is_text(text, value)}:")
            emitter.depth += 1
            with emitter.arena.branch():
                self.write(child, self._needed(child, held))
            emitter.depth -= 1
        last = children[-1][0]
        if test.kind != "bool" or len(children) == 1:
            emitter.write(f"if {unlike_text(text, last)}:")
            emitter.depth += 1
            emitter.write(f"{_LEAVE}{self.missed}")
            emitter.depth -= 1

    def _end(self, leaf: Leaf, plan: Plan) -> None:
        emitter = self.emitter
        text = put_text(leaf, results := result_texts(emitter, plan), emitter.bindings)
        emitter.write(f"{self.runs}[{leaf.number}] += 1")
        if results and "(" in text:
            emitter.write(f"results = {text}")
            text = "results"
        emitter.write(f"{_LEAVE}{text}")
