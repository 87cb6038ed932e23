"""Functions on a device that branch on values: what Python asks for comes to the host, and nothing else does.

A function is recorded abstractly. Where Python asks for a value (`if x > 0`), what the value depends on is computed on
the device then, and the one value is read. The paths are kept as a tree (`guard_tree.py`); each node is a program on
the device, and a call reads what its guards ask for, one value each.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

import funcgrad.tree as tree
from funcgrad.aliasing import settle_all
from funcgrad.backends._memory import placed
from funcgrad.config import config
from funcgrad.core import Primitive, Tracer, escaped, under
from funcgrad.device_array import DeviceArray, Pending
from funcgrad.errors import GuardLimitWarning
from funcgrad.executor.compiled import executable
from funcgrad.executor.guard_nodes import Nodes
from funcgrad.executor.guard_record import Path, TooLong
from funcgrad.executor.guard_tree import Leaf, Node
from funcgrad.executor.guards import Guarded
from funcgrad.ir import Equation, Literal, Program
from funcgrad.ops.guard import GUARD, KEYS, asked
from funcgrad.record import RecordTracer
from funcgrad.source import user_source
from funcgrad.transforms.boundary import differentiable_leaf
from funcgrad.transforms.custom_call import CUSTOM
from funcgrad.types import PYTHON_SCALARS, ShapedArray, aval_of, is_a
from funcgrad.watched import Watched

if TYPE_CHECKING:
    from funcgrad.backends.base import Backend

__all__ = ["GuardedOnDevice"]


class _Recorder(Watched):
    """An abstract recording whose values are computed on a device as far as they are asked for.

    Attributes:
        backend: of the device.
        inputs: the tracers of the arguments.
        known: arrays of the device, by the id of their tracers.
        done: so many equations are computed.
        fetched: how many values came to the host.
        failed: no exception depends on values here.
    """

    __slots__ = ("backend", "done", "failed", "fetched", "inputs", "known", "questions")
    late = True

    def __init__(self, backend: Backend, leaves: Sequence[Any]) -> None:
        super().__init__(None, abstract=True, frame=sys._getframe(1))
        self.backend, self.done, self.fetched, self.failed = backend, 0, 0, False
        self.inputs = [self.input(x) for x in leaves]
        self.known: dict[int, Any] = {
            id(t): on_device(x, t.aval, backend) for t, x in zip(self.inputs, leaves, strict=True)
        }
        self.questions: set[tuple[int, str]] = set()
        self.ask = self.answer

    def process(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        if primitive is CUSTOM:  # no derivative is taken outside of this recording
            return tuple(params["rules"].fun(*args))
        return super().process(primitive, args, params)

    def compute(self) -> None:
        """Compute what was recorded since the last time."""
        recorded = self.equations[self.done :]
        new = [e for e in recorded if e.primitive is not GUARD]
        self.done = len(self.equations)
        made = [t for e in new for t in e.outputs]
        if not new:
            return
        own = {id(t) for t in made}
        read = {id(a): a for e in new for a in e.inputs if isinstance(a, RecordTracer) and a.owner is self}
        inputs = [t for key, t in read.items() if key not in own]
        program = self.program(inputs, made, equations=new)
        results, check = executable(program, (), self.backend).run([self.known[id(t)] for t in inputs])
        if check is not None:
            check()
        self.known.update((id(t), x) for t, x in zip(made, results, strict=True))

    def answer(self, tracer: RecordTracer, how: str | None) -> Any:
        """The value of a tracer, noted down as a guard; None where no reason is given."""
        if how is None:
            return None
        if self.ask is None:
            raise escaped(tracer, how)
        self.compute()
        value = host_value(self.backend, self.known[id(tracer)], tracer.aval)
        self.fetched += 1
        kind, key = asked(value, how)
        if (id(tracer), kind) not in self.questions:
            self.questions.add((id(tracer), kind))
            source = user_source()
            params = {"kind": kind, "value": key}
            self.equations.append(Equation(GUARD, (tracer,), (), params, source, (value,), (False,)))
            if len(self.equations) > config.guard_length:
                raise TooLong(source)
        return value


def on_device(x: Any, aval: ShapedArray, backend: Backend) -> Any:
    """An argument as an array of the device."""
    return x.array if type(x) is DeviceArray else placed(backend, np.asarray(x, aval.dtype))


def host_value(backend: Backend, x: Any, aval: ShapedArray) -> Any:
    """An array of the device as a value of NumPy's or Python's."""
    value = backend.to_numpy(x)
    if aval.dtype.names is not None:  # random keys
        value = value.view(aval.dtype)
    return value.item() if aval.weak else value if aval.shape else value[()]


class _PathOnDevice(Path):
    """A function that is recorded on a device as far as Python asks for values."""

    __slots__ = ("_backend",)

    def __init__(self, fun: Callable[..., Any], leaves: Sequence[Any], backend: Backend) -> None:
        super().__init__(fun, leaves)
        self._backend = backend

    def __enter__(self) -> _PathOnDevice:
        record: Any
        record = self.record = _Recorder(self._backend, self._leaves)
        record.watch = ref(self, record.gone)
        record.border = "error"
        self.inputs = record.inputs
        start = perf_counter()
        try:
            with under(record):
                result = self._fun(*self.inputs)
                record.accept()
                outs, self.out_tree = tree.flatten(result)
                self.outputs = settle_all(outs)
            for path, x in tree.leaves_with_path(result):
                differentiable_leaf(x, f"output{tree.keystr(path)}", "jit")
                if isinstance(x, Tracer) and x.owner is not record and type(x) is not DeviceArray:
                    raise escaped(x, "jit")
            record.compute()
        except BaseException:
            self.__exit__()
            raise
        self.seconds = perf_counter() - start
        return self

    def __exit__(self, *_: object) -> None:
        self.record.ask = None
        self.record.close()


class GuardedOnDevice(Guarded):
    """A function of flat arguments of one kind that runs on a device, with the paths through it.

    Attributes:
        fetched: how many values have come to the host because Python asked for them.
    """

    __slots__ = ("_nodes", "_programs", "backend", "fetched", "to_host")

    def __init__(
        self, fun: Callable[..., Any], avals: Sequence[ShapedArray], name: str, backend: Backend, to_host: bool
    ) -> None:
        super().__init__(fun, avals, name)
        self.backend, self.to_host, self.fetched = backend, to_host, 0
        self._nodes: tuple[int, Nodes] | None = None
        self._programs: dict[Program, Any] = {}

    def __call__(self, *leaves: Any) -> Any:
        """The function's result, whole."""
        if self.eager is not None:
            return self._as_it_is(leaves)
        found = self._along(leaves)
        if found is not None:
            return found[0]
        try:
            with _PathOnDevice(self.fun, leaves, self.backend) as path:
                record: Any = path.record
                result = path.out_tree.unflatten([self._result(x, record) for x in path.outputs])
                self.fetched += record.fetched
                self._keep(path)
        except TooLong as error:
            self._give_up(GuardLimitWarning, f"does more than {config.guard_length} operations", error.source)
            return self._as_it_is(leaves)
        return result

    def _as_it_is(self, leaves: Sequence[Any]) -> Any:
        """The function, operation by operation, on the device."""
        home = self.backend.home
        given = [
            x if type(x) is DeviceArray or type(x) in PYTHON_SCALARS else DeviceArray(on_device(x, a, home), a, home)
            for x, a in zip(leaves, (v.aval for v in self.tree.inputs), strict=True)
        ]
        result = self.fun(*given)
        return tree.map(lambda x: x.concrete() if type(x) is DeviceArray else x, result) if self.to_host else result

    def _result(self, x: Any, record: _Recorder) -> Any:
        if isinstance(x, RecordTracer) and x.owner is record:
            return self._given(record.known[id(x)], x.aval)
        return self._constant(x)

    def _constant(self, x: Any) -> Any:
        """A result that is the same in all calls that take a path, as a value that nothing else shares."""
        if type(x) is DeviceArray:
            return x.concrete() if self.to_host else x
        if self.to_host:
            return np.array(x) if is_a(x, np.ndarray) else x
        return DeviceArray(placed(self.backend, np.array(x)), aval_of(x), self.backend.home)

    def _given(self, x: Any, aval: ShapedArray, pending: tuple[Pending, ...] = ()) -> Any:
        if self.to_host:
            return host_value(self.backend, x, aval)
        return DeviceArray(x, self.backend.stored(aval), self.backend.home, pending)

    # -------------------------------------------------------------------------------------------- paths that are known

    def _along(self, leaves: Sequence[Any]) -> tuple[Any] | None:
        """The result along the paths that are known, alone in a tuple; None where a value was never seen."""
        with self.lock:
            if not self.tree.leaves:
                return None
            if self._nodes is None or self._nodes[0] != len(self.tree.leaves):
                self._nodes = len(self.tree.leaves), Nodes(self.tree)
            nodes = self._nodes[1]
        env: dict[Any, Any] = {
            v: on_device(x, v.aval, self.backend) for v, x in zip(self.tree.inputs, leaves, strict=True)
        }
        pending: list[Pending] = [p for x in leaves if type(x) is DeviceArray for p in x._pending]
        node = self.tree.root
        while True:
            self._run(node, nodes, env, pending)
            if node.leaf is not None:
                self.runs[node.leaf.number] += 1
                return (self._end(node.leaf, nodes, env, tuple(pending)),)
            child = self._next(node, nodes, env)
            if child is None:
                return None
            node = child

    def _run(self, node: Node, nodes: Nodes, env: dict[Any, Any], pending: list[Pending]) -> None:
        """Compute a node from what is known, which it is added to."""
        program, outputs = nodes.program(node)
        compiled: Any = executable(program, (), self.backend)
        results, check = compiled.run([env[v] for v in program.inputs])
        if check is not None:
            pending.append(Pending(check))
        env.update(zip(outputs, results, strict=True))

    def _next(self, node: Node, nodes: Nodes, env: dict[Any, Any]) -> Node | None:
        """What follows a guard, for the value that it asks for; None if that was never seen."""
        assert node.test is not None
        atom = nodes.shared.atom(node.test.var)
        if isinstance(atom, Literal):
            value = atom.value
        else:
            const = self.tree.consts.get(atom)
            value = const if const is not None else host_value(self.backend, env[atom], atom.aval)
            self.fetched += 1
        return node.children.get(KEYS[node.test.kind](value))

    def _end(self, leaf: Leaf, nodes: Nodes, env: dict[Any, Any], pending: tuple[Pending, ...]) -> Any:
        results: list[Any] = []
        for a in leaf.outputs:
            atom = nodes.shared.atom(a)
            if atom in env:
                results.append(self._given(env[atom], atom.aval, pending))
            else:
                results.append(self._constant(atom.value if isinstance(atom, Literal) else self.tree.consts[atom]))
        if self.to_host:
            for check in pending:
                check()
        return leaf.out_tree.unflatten(results)

    @property
    def source(self) -> str:
        """The programs of the nodes."""
        nodes = Nodes(self.tree)
        return "\n\n".join(executable(nodes.program(n)[0], (), self.backend).source for n in self.tree.walk())

    def program(self, leaves: Sequence[Any]) -> Program:
        """The path of these values as a program of its own, with its guards; raises ValueError without values."""
        if any(isinstance(x, ShapedArray) for x in leaves):
            raise ValueError(f"lower: {self.name} branches on values, so it takes arrays, not ShapeDtypeStructs")
        with _PathOnDevice(self.fun, leaves, self.backend) as path:
            return path.program()

    def explain(self) -> str:
        """The tree as text, and what came to the host for it."""
        return f"{super().explain()}\n  on {self.backend.device}: {self.fetched} values came to the host to decide"
