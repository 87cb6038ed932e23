"""The code of a tree of guards over few elements: over Python's numbers, with an `if` for each guard.

Values stay numbers from one node to the next, and a guard asks for one that is there. Where Python raises, and where a
result is not finite, the call is made again with the code over NumPy's arrays, which is compiled when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.executor.executable import Executable
from funcgrad.executor.guard_nodes import Nodes, is_text, put_text, unlike_text
from funcgrad.executor.guard_tree import Leaf, Node, Test
from funcgrad.executor.lower_scalar_code import ScalarCode, all_equations, constant, few
from funcgrad.executor.lower_scalars import counts
from funcgrad.executor.step import Bindings, tuple_text
from funcgrad.ir import Atom, Program
from funcgrad.ops.guard import KEYS
from funcgrad.passes.pipeline import optimise
from funcgrad.passes.unroll import are_few, pays

__all__ = ["write_tree"]


def write_tree(nodes: Nodes, runs: list[int], missed: Any, plain: Callable[..., Any]) -> Executable | None:
    """Compile all paths; None if they cannot be written over elements, or that would not pay.

    `plain` takes the arguments of calls for which the code does not do.
    """
    programs: dict[int, Program] = {}
    for node in nodes.tree.walk():
        program = programs[id(node)] = optimise(nodes.program(node)[0])
        if not are_few(program) or (node.test is not None and not _can_ask(nodes, node.test)):
            return None
    if not pays(nodes.tree.inputs, list(programs.values())):
        return None
    writer = _Writer(nodes, programs, runs, missed)
    writer.write(nodes.tree.root)
    code = writer.code
    arguments = ", ".join(code.given.values())
    fallback = code.bindings.name(plain, "plain")
    failed = ["    except (ArithmeticError, ValueError):", f"        return {fallback}({arguments})"]
    source = "\n".join([f"def run({arguments}):", "    try:", *code.lines, *failed]) + "\n"
    root = Program((), (), nodes.tree.inputs, (), ())
    return Executable(root, source, [None] * source.count("\n"), code.bindings, 0, warns=True)


def _can_ask(nodes: Nodes, test: Test) -> bool:
    """Whether what a guard asks for is one of the numbers that are written out."""
    return test.kind in ("bool", "int", "float") and few(nodes.shared.atom(test.var), 1)


class _Writer:
    """Writes the nodes of a tree."""

    def __init__(self, nodes: Nodes, programs: dict[int, Program], runs: list[int], missed: Any) -> None:
        self.nodes, self.programs = nodes, programs
        counting = any(counts(e) for p in programs.values() for e in all_equations(p))
        self.code = ScalarCode(Bindings(), nodes.tree.inputs, 2, counting)
        self.runs = self.code.bindings.name(runs, "runs")
        self.missed = self.code.bindings.name(missed, "missed")

    def write(self, node: Node) -> None:
        """Write a node and what is below it."""
        code = self.code
        while True:
            program, outputs = self.programs[id(node)], self.nodes.program(node)[1]
            for var, value in zip(program.constvars, program.consts, strict=True):
                code.elements[var] = constant(value, code.bindings)
            code.block(program)
            if node.leaf is not None:
                self._end(node.leaf, program.outputs)
                return
            for var, atom in zip(outputs, program.outputs, strict=True):
                if var is not atom:
                    code.elements[var] = code.read(atom, var.aval.dtype.kind)
            children = self.nodes.children(node)
            assert node.test is not None
            self._branch(node.test, children)
            node = children[-1][1]

    def _branch(self, test: Test, children: Sequence[tuple[Any, Node]]) -> None:
        """Write the blocks of all children but the last one, and what leaves the function if it is not that either."""
        code = self.code
        (text,) = code.texts(self.nodes.shared.atom(test.var))
        if test.kind != "bool":
            name = f"seen_{next(code.numbers)}"
            key = "int" if test.kind == "int" else code.bindings.name(KEYS[test.kind], f"{test.kind}_key")
            code.write(f"{name} = {key}({text})")
            text = name
        for value, child in children[:-1]:
            code.write(f"if {is_text(text, value)}:")
            known = code.knowledge()
            code.depth += 1
            self.write(child)
            code.depth -= 1
            code.know(known)
        last = children[-1][0]
        if test.kind != "bool" or len(children) == 1:
            code.write(f"if {unlike_text(text, last)}:")
            code.write(f"    return {self.missed}")

    def _end(self, leaf: Leaf, outputs: Sequence[Atom]) -> None:
        code = self.code
        code.check(outputs)
        results: list[str] = []
        empty = code.bindings.name(np.empty, "empty")
        for out in outputs:
            if not out.aval.shape:
                results.append(code.result(out))
                continue
            name = f"result_{len(results)}"
            code.write(f"{name} = {empty}({tuple_text(out.aval.shape)}, {code.bindings.dtype(out.aval.dtype)})")
            for line in code.put_together(out, name, False):
                code.write(line)
            results.append(name)
        code.write(f"{self.runs}[{leaf.number}] += 1")
        code.write(f"return {put_text(leaf, results, code.bindings)}")
