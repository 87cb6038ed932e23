"""Functions that branch on values, as native code: each straight piece of the tree by itself, in a function with an
`if` for each guard. It gives what the NumPy code of the same tree gives, and leaves where that one does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from funcgrad.executor.build import build as build_by_numpy
from funcgrad.executor.guard_nodes import Nodes, is_text, put_text, unlike_text
from funcgrad.executor.guard_tree import Leaf, Node, Test, Tree
from funcgrad.executor.step import Bindings
from funcgrad.ir import Atom, Program, Var
from funcgrad.native.refused import Refused
from funcgrad.ops.guard import KEYS
from funcgrad.source import Source

if TYPE_CHECKING:
    from funcgrad.native.build import Native

__all__ = ["TreeTask"]

_MOST = 200
"""A tree of more pieces is left to NumPy: there would be little in each."""


class TreeTask:
    """A tree of guards, to be compiled.

    Attributes:
        known: the pieces that were compiled before, by the identity of their programs, which stay with them.

    Args:
        tree, runs, missed, lock: as `guard_emit.compile_tree` takes them.
    """

    __slots__ = ("_lock", "_missed", "_runs", "_tree", "known")

    def __init__(
        self,
        tree: Tree,
        runs: list[int],
        missed: Any,
        lock: AbstractContextManager[Any],
        known: dict[int, tuple[Program, Native]],
    ) -> None:
        self._tree, self._runs, self._missed, self._lock, self.known = tree, runs, missed, lock, known

    def size(self) -> int:
        return sum(len(node.equations) for node in self._tree.walk())

    def source(self) -> Source:
        found = (e.source for node in self._tree.walk() for e in node.equations if e.source is not None)
        return next(found, None)

    def make(self, executable: Any) -> Native:
        module = import_module("funcgrad.native.build")
        with self._lock:
            writer = _Writer(Nodes(self._tree), self._runs, self._missed)
            writer.write(self._tree.root)
        if len(writer.programs) > _MOST:
            raise Refused(f"its tree has {len(writer.programs)} pieces, more than {_MOST}")
        pieces: list[Native] = []
        for program in writer.programs:
            found = self.known.get(id(program))
            if found is None:
                found = program, module.build(program, _ByNumpy(program))
                self.known[id(program)] = found
            pieces.append(found[1])
        run = writer.function([piece.entry.call for piece in pieces])
        return module.joined(run, pieces)


class _ByNumpy:
    """A program by NumPy's calls, compiled when it is first called."""

    __slots__ = ("_program", "_run")

    def __init__(self, program: Program) -> None:
        self._program = program
        self._run: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        if self._run is None:
            self._run = build_by_numpy(self._program).numpy
        return self._run(*args)


class _Writer:
    """Writes the function around the pieces."""

    def __init__(self, nodes: Nodes, runs: list[int], missed: Any) -> None:
        self.nodes, self.bindings = nodes, Bindings()
        self.runs, self.missed = self.bindings.name(runs, "runs"), self.bindings.name(missed, "missed")
        self.names: dict[Any, str] = {}
        self.programs: list[Program] = []
        self.lines = [f"def run({', '.join(map(self._new, nodes.tree.inputs))}):"]
        self.depth = 1

    def function(self, pieces: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
        """The function, from those of the pieces."""
        space = {**self.bindings.values, **{f"piece{i}": piece for i, piece in enumerate(pieces)}}
        exec(compile("\n".join(self.lines) + "\n", "<funcgrad pieces>", "exec"), space)
        return space.pop("run")

    def _new(self, var: Any) -> str:
        return self.names.setdefault(var, f"v{len(self.names)}")

    def _line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def _text(self, atom: Atom) -> str:
        if not isinstance(atom, Var):
            return self.bindings.name(atom.value, "c")
        return self.names[atom] if atom in self.names else self.bindings.name(self.nodes.tree.consts[atom], "const")

    def write(self, node: Node) -> None:
        """Write a node and what is below it: the child with the most paths at the same depth."""
        while True:
            program, outputs = self.nodes.program(node)
            given = ", ".join(map(self._text, program.inputs))
            if node.leaf is not None:
                return self._end(node.leaf, program, given)
            if program.outputs:
                names = ", ".join(self._new(v) for v in outputs)
                self._line(f"{names}, = {self._piece(program)}({given})")
            children = self.nodes.children(node)
            assert node.test is not None
            self._branch(node.test, children)
            node = children[-1][1]

    def _piece(self, program: Program) -> str:
        self.programs.append(program)
        return f"piece{len(self.programs) - 1}"

    def _branch(self, test: Test, children: Sequence[tuple[Any, Node]]) -> None:
        text = self._text(self.nodes.shared.atom(test.var))
        if test.kind != "bool":
            key = "int" if test.kind == "int" else self.bindings.name(KEYS[test.kind], f"{test.kind}_key")
            self._line(f"seen = {key}({text})")
            text = "seen"
        for value, child in children[:-1]:
            self._line(f"if {is_text(text, value)}:")
            self.depth += 1
            self.write(child)
            self.depth -= 1
        last = children[-1][0]
        if test.kind != "bool" or len(children) == 1:
            self._line(f"if {unlike_text(text, last)}:")
            self._line(f"    return {self.missed}")

    def _end(self, leaf: Leaf, program: Program, given: str) -> None:
        self._line(f"results = {self._piece(program)}({given})")
        text = put_text(leaf, [f"results[{i}]" for i in range(len(program.outputs))], self.bindings)
        self._line(f"{self.runs}[{leaf.number}] += 1")
        self._line(f"return {text}")
