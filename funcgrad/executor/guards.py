"""Functions that branch on values, under `jit`: recorded once for each path, and run as one compiled tree of paths.

A call runs the compiled tree. Where it comes upon a value that no recording has seen, the function, which is pure, is
recorded from the start, and what it returns is the result; the new path is compiled when more calls need it. A function
that takes too many paths, or too long ones, is run as it is from then on.
"""

from __future__ import annotations

import warnings
from _thread import allocate_lock
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import funcgrad.tree as tree
from funcgrad.config import config
from funcgrad.debug import Effects, current_effects, put_effects
from funcgrad.errors import FuncgradWarning, GuardLimitWarning, ImpureFunctionWarning
from funcgrad.executor.compiled import reports
from funcgrad.executor.executable import Executable
from funcgrad.executor.guard_emit import compile_tree
from funcgrad.executor.guard_record import Path, TooLong
from funcgrad.executor.guard_text import describe_tree
from funcgrad.executor.guard_tree import Mismatch, Node, Test, Tree
from funcgrad.float_errors import current, enter, put
from funcgrad.ir import Program, has_effect
from funcgrad.native.tier import Tier
from funcgrad.native.tree_task import TreeTask
from funcgrad.ops.guard import GUARD
from funcgrad.source import Source, describe, line_of
from funcgrad.transforms.boundary import own_value
from funcgrad.types import ShapedArray, aval_of

__all__ = ["Guarded"]

_MISSED = object()
"""What the compiled tree returns where it meets a value that no recording has seen."""

_DIFFERENT = 3
"""After so many different values of a float at a guard, and no repetition, it will always be another one."""

_LONG = 2000
"""So many recorded equations must be worth compiling by one more call that would need them."""

_LIMITS = "config.guard_leaves and config.guard_length are the limits"

_REMEDY = f"write it with lax.while_loop, lax.cond or np.where, or name the argument in static_argnums; {_LIMITS}"

_ELEMENTS = "asks for elements of an array that differ at each call"

_OF_ELEMENTS = (
    "index funcgrad.numpy.asarray(a), and write into np.zeros_like(x), which need no values; np.where in place of a "
    f"mask that decides a shape; {_LIMITS}"
)


class Guarded:
    """A function of flat arguments of one kind, with the paths through it.

    Attributes:
        name: of the function, for messages.
        tree: the paths.
        runs: how often each was gone in compiled code.
        records: how often each was recorded.
        eager: why the function is run as it is; None while it is not.
        backend: what runs the programs between guards; None for NumPy's.
        effects: whether a path has effects, such as `debug.print`.
        catches: whether a path catches exceptions of operations: where compiled code raises, the function is then
            called as it is.
    """

    __slots__ = (
        "_compiled",
        "_cost",
        "_native",
        "_paths",
        "_pieces",
        "_spent",
        "_tier",
        "backend",
        "catches",
        "eager",
        "effects",
        "fun",
        "lock",
        "misses",
        "name",
        "records",
        "runs",
        "tree",
    )

    def __init__(
        self,
        fun: Callable[..., Any],
        avals: Sequence[ShapedArray],
        name: str,
        backend: Any = None,
        native: str | None = None,
    ) -> None:
        self.fun, self.name, self.tree, self.backend = fun, name, Tree(avals), backend
        self.runs: list[int] = []
        self.records: list[int] = []
        self.eager: str | None = None
        self.effects = self.catches = False
        self.lock = allocate_lock()
        self._compiled: Executable | None = None
        self._native = native
        self._tier: Tier | None = None
        self._pieces: dict[int, Any] = {}  # of native code
        self._paths = 0  # how many are compiled
        self._cost = self._spent = 0.0  # seconds: of the last compilation, and of recordings since then
        self.misses = 0

    def __call__(self, *leaves: Any) -> Any:
        """The function's result, whole."""
        compiled = None if self.effects else self._compiled
        if compiled is not None:
            out = compiled(*leaves)
            if out is not _MISSED:
                return out
        state, counted = current(), current_effects()
        try:
            enter()
            effects = Effects()
            if compiled is not None:
                return self._elsewhere(leaves, effects)
            put_effects(effects)
            return self._carefully(leaves, effects)
        finally:
            try:  # an interrupt may come between the two
                put(state)
            finally:
                put_effects(counted)

    def _carefully(self, leaves: Sequence[Any], effects: Effects) -> Any:
        """The result, where effects that were run are not to be run again."""
        compiled = self._compiled
        if compiled is not None:
            out = self._attempt(compiled, leaves, effects)
            if out is not _MISSED:
                return out
            effects.start_over()
        return self._elsewhere(leaves, effects)

    def _attempt(self, compiled: Executable, leaves: Sequence[Any], effects: Effects) -> Any:
        """What the compiled paths give, or `_MISSED`; where they raise what the function may catch, its own result."""
        try:
            return compiled(*leaves)
        except Exception:
            if not self.catches:
                raise
            effects.start_over()
        return tree.map(own_value, self.fun(*leaves))

    def _elsewhere(self, leaves: Sequence[Any], effects: Effects) -> Any:
        """What the compiled paths do not cover."""
        if self.eager is not None:
            return tree.map(own_value, self.fun(*leaves))
        compiled = self._compile_if_due()
        if compiled is not None:
            out = self._attempt(compiled, leaves, effects)
            if out is not _MISSED:
                return out
            effects.start_over()
        start = perf_counter()
        try:
            with Path(self.fun, leaves) as path:
                result = path.result()
                if not path.record.failed:  # of a path that follows from an exception no guard is known
                    self._keep(path)
            self._spent += perf_counter() - start
        except TooLong as error:
            self._give_up(GuardLimitWarning, f"does more than {config.guard_length} operations", error.source)
            effects.start_over()
            return tree.map(own_value, self.fun(*leaves))
        return result

    # ------------------------------------------------------------------------------------------------- compilation

    def _compile_if_due(self) -> Executable | None:
        """Compile the tree if there are paths that it would pay for; returns the function if it is a new one.

        It is due where there are half as many paths again as last time, or where recording has taken as long since then
        as a quarter of a compilation does: so all of them together cost a few times what the last one costs.
        """
        with self.lock:
            pending = self.tree.leaves[self._paths :]
            self.misses += 1
            if not pending or self.eager is not None:
                return None
            long = self.misses < sum(leaf.equations for leaf in pending) // _LONG
            worth = 2 * len(pending) >= self._paths or 4 * self._spent >= self._cost
            return None if long or not worth else self._compile()

    def _compile(self) -> Executable:
        start = perf_counter()
        compiled = compile_tree(self.tree, self.runs, _MISSED, self.lock, self.backend)
        if self.backend is None:
            task = TreeTask(self.tree, self.runs, _MISSED, self.lock, self._pieces)
            self._tier = Tier(compiled, task, self._native).attach()
        self._compiled = compiled
        self._cost, self._spent = perf_counter() - start, 0.0
        self._paths, self.misses = len(self.tree.leaves), 0
        return self._compiled

    @property
    def source(self) -> str:
        """The generated code."""
        with self.lock:
            compiled = self._compiled
            if compiled is None or self._paths < len(self.tree.leaves):
                compiled = self._compile()
            return compiled.source

    # --------------------------------------------------------------------------------------------------- recordings

    def _keep(self, path: Path) -> None:
        """Add a recording to the tree, unless it is there, or there are too many."""
        give_up: tuple[type[FuncgradWarning], str, Source] | None = None
        with self.lock:
            if self.eager is not None:
                return
            try:
                leaf, fork = self.tree.find(path)
            except Mismatch as error:
                give_up = ImpureFunctionWarning, str(error), error.source
            else:
                if leaf is not None:
                    self.records[leaf.number] += 1
                elif len(self.tree.leaves) >= config.guard_leaves:
                    test = self._busiest()
                    text = f"takes more than {config.guard_leaves} paths, most of them by a value asked for"
                    give_up = GuardLimitWarning, text, None if test is None else test.source
                else:
                    self.runs.append(0)
                    self.records.append(1)
                    fork.graft()
                    eqns = (e for e in path.record.equations if e.primitive is not GUARD)
                    self.catches = self.catches or path.record.around.catches
                    self.effects = self.catches or self.effects or any(has_effect(e.primitive, e.params) for e in eqns)
                    test = self._restless(fork.node)
                    if test is not None:
                        number = f"asks for a {test.kind} that differs at each call"
                        give_up = GuardLimitWarning, _ELEMENTS if test.kind == "bytes" else number, test.source
        if give_up is not None:
            self._give_up(*give_up)

    def _busiest(self) -> Test | None:
        """A guard of the line that branches most."""
        counts: dict[Any, int] = {}
        tests: dict[Any, Test] = {}
        for node in self.tree.walk():
            if node.test is not None:
                place = describe(node.test.source)
                counts[place] = counts.get(place, 0) + len(node.children) - 1
                tests.setdefault(place, node.test)
        return tests[max(counts, key=counts.__getitem__)] if counts else None

    def _restless(self, node: Node) -> Test | None:
        """The guard of a node if it is on a float that was never the same twice."""
        test = node.test
        if test is None or test.kind in ("bool", "int") or len(node.children) < _DIFFERENT:
            return None
        below = [node]
        times = 0
        while below:
            n = below.pop()
            below += n.children.values()
            if n.leaf is not None:
                times += self.records[n.leaf.number] + self.runs[n.leaf.number]
        return test if times <= len(node.children) else None

    def _give_up(self, category: type[FuncgradWarning], text: str, source: Source) -> None:
        with self.lock:
            if self.eager is not None:
                return
            place = describe(source)
            self.eager = text + (f" at {place}" if place else "")
            self._compiled = None
        if category is ImpureFunctionWarning:
            message = (
                f"jit: {self.name} is not pure: recorded again for the same values of its branches, {self.eager}; "
                "it is run without jit from now on. Pass what changes as an argument"
            )
        else:
            remedy = _OF_ELEMENTS if text == _ELEMENTS else _REMEDY
            message = f"jit: {self.name} {self.eager}; it is run without jit from now on: {remedy}"
        line = line_of(source)
        if source is None or line is None:
            warnings.warn(message, category, stacklevel=2)
        else:
            warnings.warn_explicit(message, category, source[0].co_filename, line)

    # ------------------------------------------------------------------------------------------------------ looking

    def program(self, leaves: Sequence[Any]) -> Program:
        """The path of these values as a program of its own, with its guards; raises ValueError without values."""
        if any(isinstance(x, ShapedArray) for x in leaves):
            raise ValueError(f"lower: {self.name} branches on values, so it takes arrays, not ShapeDtypeStructs")
        with Path(self.fun, leaves) as path:
            return path.program()

    def compare(self, leaves: Sequence[Any]) -> None:
        """Record the function again; raises Mismatch if that is not along the tree."""
        if self.eager is None:
            with Path(self.fun, leaves) as path, self.lock:
                self.tree.find(path)

    def explain(self) -> str:
        """The tree as text."""
        with self.lock:
            kinds = ", ".join(str(aval_of(v)) for v in self.tree.inputs)
            head = f"{self.name}({kinds}): " + (f"run without jit: it {self.eager}" if self.eager else "")
            text = head + describe_tree(self.tree, [a + b for a, b in zip(self.runs, self.records, strict=True)])
            if self._tier is not None and not self.eager:
                text += f"\n  {self._tier.explain()}"
            ready = [n.ready[1] for n in self.tree.walk() if n.ready[1] is not None]
        backend = self.backend
        if backend is None:
            return text
        held = [e.params["program"] for p in ready for e in p.equations if e.params.get("backend") is backend]
        return "\n\n".join([text, *(r for program in held for r in reports(program, backend))])
