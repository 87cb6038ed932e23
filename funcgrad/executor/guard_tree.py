"""The tree of the paths through a function that branches on values.

A node is a straight piece of equations, up to a guard; its children are by the value that the guard saw; a leaf has
outputs. A new recording is laid along the tree: as far as its guards agree, a pure function does the same operations,
so these are compared and not kept again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad.capture import owned
from funcgrad.core import Tracer
from funcgrad.executor.guard_record import Path
from funcgrad.ir import Atom, Equation, Literal, Program, Var
from funcgrad.ops.guard import GUARD
from funcgrad.passes.cse import literal_key
from funcgrad.source import Source
from funcgrad.types import ShapedArray, aval_of, is_a

__all__ = ["Leaf", "Mismatch", "Node", "Test", "Tree", "compare"]


class Mismatch(Exception):
    """A recording that is not what it was: what differs, where in the user's code, and the array that changed."""

    def __init__(self, text: str, source: Source, array: Any = None) -> None:
        super().__init__(text)
        self.source, self.array = source, array


class Test:
    """The guard at the end of a node: which value is asked for, how, and by which line."""

    __slots__ = ("kind", "source", "var")

    def __init__(self, var: Atom, kind: str, source: Source) -> None:
        self.var, self.kind, self.source = var, kind, source


class Leaf:
    """The end of a path.

    Attributes:
        number: in the order of discovery.
        outputs, out_tree: the result.
        equations: how many lie on the path.
        seconds: what the recording took.
    """

    __slots__ = ("equations", "number", "out_tree", "outputs", "seconds")

    def __init__(self, number: int, outputs: Sequence[Atom], out_tree: Any, equations: int, seconds: float) -> None:
        self.number, self.outputs, self.out_tree = number, tuple(outputs), out_tree
        self.equations, self.seconds = equations, seconds


class Node:
    """A straight piece of equations; then a test and children, or a leaf.

    Attributes:
        made: its program, and the variables that are its outputs (of the executor).
        ready: that program, and what it is after all passes.
    """

    __slots__ = ("children", "equations", "leaf", "made", "ready", "test")

    def __init__(self) -> None:
        self.equations: list[Equation] = []
        self.test: Test | None = None
        self.children: dict[Any, Node] = {}
        self.leaf: Leaf | None = None
        self.made: Any = None
        self.ready: Any = None, None


class Tree:
    """All paths found so far; `inputs` are the variables of the flat arguments, `consts` the arrays closed over."""

    __slots__ = ("consts", "inputs", "leaves", "root")

    def __init__(self, avals: Sequence[ShapedArray]) -> None:
        self.inputs = [Var(a) for a in avals]
        self.consts: dict[Var, Any] = {}
        self.root = Node()
        self.leaves: list[Leaf] = []

    def walk(self) -> Iterator[Node]:
        """Every node, parents first."""
        todo = [self.root]
        while todo:
            node = todo.pop()
            yield node
            todo += reversed(node.children.values())

    def find(self, path: Path) -> tuple[Leaf | None, _Fork]:
        """The leaf of a recording if it is there, and otherwise where it leaves the tree; raises Mismatch."""
        fork = _Fork(self, path)
        return fork.follow(), fork


class _Fork:
    """A recording laid along the tree.

    Attributes:
        node: the last node that they have in common.
        at: how many equations of the recording these nodes hold, guards included.
    """

    __slots__ = ("at", "env", "equations", "node", "path", "tree")

    def __init__(self, tree: Tree, path: Path) -> None:
        self.tree, self.path, self.equations = tree, path, path.record.equations
        self.env: dict[int, Var] = {id(t): v for t, v in zip(path.inputs, tree.inputs, strict=True)}
        self.node, self.at = tree.root, 0

    # --------------------------------------------------------------------------------------------- what is there

    def follow(self) -> Leaf | None:
        """Go along the tree as far as it has the recording; returns the leaf, if one is reached."""
        if not self.tree.leaves:
            return None
        while True:
            node = self.node
            for known in node.equations:
                self._same(known)
            if node.leaf is not None:
                self._same_result(node.leaf)
                return node.leaf
            key = self._answer()
            child = node.children.get(key)
            if child is None:
                return None
            self.node = child

    def _next(self) -> Equation | None:
        eqn = self.equations[self.at] if self.at < len(self.equations) else None
        self.at += 1
        return eqn

    def _same(self, known: Equation) -> None:
        eqn = self._next()
        if eqn is None or eqn.primitive is not known.primitive or len(eqn.inputs) != len(known.inputs):
            was = "nothing" if eqn is None else eqn.primitive.name
            raise Mismatch(
                f"it did {known.primitive.name}, and then {was}", known.source if eqn is None else eqn.source
            )
        for x, atom in zip(eqn.inputs, known.inputs, strict=True):
            if not self._same_atom(x, atom):
                raise _other_operand(eqn, x)
        if not _same_params(eqn.params, known.params):
            raise Mismatch(f"the parameters of {eqn.primitive.name} are others than before", eqn.source)
        for t, v in zip(eqn.outputs, known.outputs, strict=True):
            if t.aval != v.aval:
                raise Mismatch(f"the result of {eqn.primitive.name} was {v.aval}, and then {t.aval}", eqn.source)
            self.env[id(t)] = v

    def _same_atom(self, x: Any, atom: Atom) -> bool:
        if isinstance(x, Tracer):
            return self.env.get(id(x)) is atom
        if is_a(x, np.ndarray) and x.ndim:
            return isinstance(atom, Var) and atom in self.tree.consts and _same_array(x, self.tree.consts[atom])
        return isinstance(atom, Literal) and literal_key(_literal(x)) == literal_key(atom)

    def _answer(self) -> Any:
        """The key of the guard that ends the node."""
        test, eqn = self.node.test, self._next()
        assert test is not None
        if eqn is None or eqn.primitive is not GUARD or eqn.params["kind"] != test.kind:
            raise Mismatch("it asked for a value, and then did not", test.source if eqn is None else eqn.source)
        if not self._same_atom(eqn.inputs[0], test.var):
            raise Mismatch("it asked for another value than before", eqn.source)
        return eqn.params["value"]

    def _same_result(self, leaf: Leaf) -> None:
        eqn = self._next()
        if eqn is not None:
            raise Mismatch(f"it ended, and then did {eqn.primitive.name}", eqn.source)
        outputs = self.path.outputs
        same = leaf.out_tree == self.path.out_tree and all(map(self._same_atom, outputs, leaf.outputs))
        if not same:
            raise Mismatch("it returned something else than before", None)

    # ----------------------------------------------------------------------------------------------- what is new

    def graft(self) -> Leaf:
        """Add what the tree does not have; returns the new leaf."""
        new = first = Node()
        rest = self.equations[self.at :] if self.tree.leaves else self.equations
        for eqn in rest:
            ins = tuple(map(self._atom, eqn.inputs))
            if eqn.primitive is GUARD:
                new.test = Test(ins[0], eqn.params["kind"], eqn.source)
                child = new.children[eqn.params["value"]] = Node()
                new = child
                continue
            outs = tuple([Var(t.aval) for t in eqn.outputs])
            self.env.update((id(t), v) for t, v in zip(eqn.outputs, outs, strict=True))
            new.equations.append(Equation(eqn.primitive, ins, outs, eqn.params, eqn.source))
        outputs = [self._atom(x) for x in self.path.outputs]
        count = sum(e.primitive is not GUARD for e in self.equations)
        leaf = new.leaf = Leaf(len(self.tree.leaves), outputs, self.path.out_tree, count, self.path.seconds)
        if self.tree.leaves:
            self.node.children[self.equations[self.at - 1].params["value"]] = first
        else:
            self.tree.root = first
        self.tree.leaves.append(leaf)
        return leaf

    def _atom(self, x: Any) -> Atom:
        if isinstance(x, Tracer):
            return self.env[id(x)]
        if not is_a(x, np.ndarray) or x.ndim == 0:
            return _literal(x)
        for var, known in self.tree.consts.items():
            if _same_array(x, known):
                return var
        value = owned(x)
        var = Var(aval_of(value))
        self.tree.consts[var] = value
        return var


def _other_operand(eqn: Equation, x: Any) -> Mismatch:
    array = is_a(x, np.ndarray)
    what = "an array that it closes over, and that is" if array else "a value that is"
    return Mismatch(f"{eqn.primitive.name} reads {what} another than before", eqn.source, x if array else None)


def _literal(x: Any) -> Literal:
    return Literal(x[()] if is_a(x, np.ndarray) else x)


def _same_array(x: Any, y: Any) -> bool:
    """Whether two arrays are the same to the last bit."""
    if not is_a(x, np.ndarray) or x.shape != y.shape or x.dtype != y.dtype:
        return False
    return x is y or x.tobytes() == y.tobytes()


def _same_params(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(_same_param(a[k], b[k]) for k in a)


def _same_param(a: Any, b: Any) -> bool:
    """Whether two parameters mean the same; of functions and the like only the kind and the name are compared."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, Program):
        return same_program(a, b)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(_same_param, a, b))
    if is_a(a, float):
        return repr(a) == repr(b)
    if is_a(a, np.ndarray):
        return _same_array(a, b)
    if callable(a) or hasattr(a, "fun"):
        return getattr(a, "__name__", None) == getattr(b, "__name__", None)
    return bool(a == b)


def same_program(p: Program, q: Program) -> bool:
    """Whether two programs do the same, equation by equation."""
    try:
        compare(p, q)
    except Mismatch:
        return False
    return True


def compare(p: Program, q: Program) -> None:
    """Raise Mismatch where the second of two programs does something else than the first."""
    known = dict(zip(p.constvars, p.consts, strict=True))
    found = dict(zip(q.constvars, q.consts, strict=True))
    if p.in_avals != q.in_avals:
        raise Mismatch("its arguments are others than before", None)
    env: dict[Any, Any] = dict(zip(p.inputs, q.inputs, strict=True))

    def same(a: Any, b: Any) -> bool:
        if isinstance(a, Literal):
            return isinstance(b, Literal) and literal_key(a) == literal_key(b)
        return _same_array(found.get(b), known[a]) if a in known else env.get(a) is b

    for i, f in enumerate(q.equations):
        e = p.equations[i] if i < len(p.equations) else None
        if e is None or e.primitive is not f.primitive or len(e.inputs) != len(f.inputs):
            was = "nothing" if e is None else e.primitive.name
            raise Mismatch(f"it did {was}, and then {f.primitive.name}", f.source)
        for a, b in zip(e.inputs, f.inputs, strict=True):
            if not same(a, b):
                raise _other_operand(f, None if b.is_literal else found.get(b))
        if not _same_params(e.params, f.params) or len(e.outputs) != len(f.outputs):
            raise Mismatch(f"the parameters of {f.primitive.name} are others than before", f.source)
        env.update(zip(e.outputs, f.outputs, strict=True))
    if len(p.equations) > len(q.equations):
        eqn = p.equations[len(q.equations)]
        raise Mismatch(f"it did {eqn.primitive.name}, and then nothing", eqn.source)
    if len(p.outputs) != len(q.outputs) or p.out_tree != q.out_tree:
        raise Mismatch("it returned another structure than before", None)
    for a, b in zip(p.outputs, q.outputs, strict=True):
        if not same(a, b):
            raise Mismatch("it returned something else than before", None, found.get(b) if isinstance(b, Var) else None)
