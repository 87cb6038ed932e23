"""funcgrad in 300 lines of code: `grad`, `vmap` and `jit` of plain NumPy functions, nested as you like.

The page docs/how_it_works.md explains it step by step, and trains a network with it. The ideas are those of the
package; what is missing is most of NumPy, speed, and the care that it takes to be right in all cases.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

# 1. primitives


@dataclass(eq=False)
class Primitive:
    """One operation: how NumPy computes it, its derivative, and what a batch of it is."""

    name: str
    impl: Callable[..., Any]
    vjps: Sequence[Callable[..., Any]] = ()  # per operand: (g, out, *operands, **params) -> cotangent
    batch: Callable[..., Any] | None = None  # (operands, which have a batch axis in front, **params) -> the same

    def __call__(self, *operands: Any, **params: Any) -> Any:
        trace = TRACE.get()
        if trace is not None:
            return trace.bind(self, operands, params)
        if any(isinstance(x, Tracer) for x in operands):
            raise TypeError(f"{self.name}: a traced value was used after its function had returned")
        return self.impl(*operands, **params)


# 2. traces and tracers


class Trace:
    """What is done with operations while a function runs on tracers of this trace."""

    def __init__(self) -> None:
        self.parent = TRACE.get()

    def owns(self, x: Any) -> bool:
        return isinstance(x, Tracer) and x.trace is self

    def bind(self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        with under(self.parent):
            if any(map(self.owns, operands)):
                return self.process(primitive, operands, params)
            return primitive(*operands, **params)  # none of our business: the trace outside decides

    def process(self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        raise NotImplementedError

    def number(self, x: Tracer) -> Any:
        """The value of a tracer, for Python's `if`, `while` and `float`."""
        raise NotImplementedError


TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)


@contextmanager
def under(trace: Trace | None) -> Iterator[None]:
    token = TRACE.set(trace)
    try:
        yield
    finally:
        TRACE.reset(token)


class Tracer(NDArrayOperatorsMixin):
    """Stands for an array while a function runs. NumPy hands its functions over to the two hooks below."""

    def __init__(self, trace: Trace, value: Any, hidden_axes: int = 0) -> None:
        self.trace, self.value, self.shape = trace, value, np.shape(value)[hidden_axes:]

    ndim = property(lambda self: len(self.shape))
    T = property(lambda self: np.transpose(self))

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs or ufunc not in UFUNCS:
            raise TypeError(f"np.{ufunc.__name__}: no rule for it")
        return UFUNCS[ufunc](*args)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func not in FUNCTIONS:
            raise TypeError(f"np.{func.__name__}: no rule for it")
        return FUNCTIONS[func](*args, **kwargs)

    def __len__(self) -> int:
        return self.shape[0]

    def __bool__(self) -> bool:
        return bool(self.trace.number(self))

    def __float__(self) -> float:
        return float(self.trace.number(self))


# 3. rules

UFUNCS: dict[Any, Callable[..., Any]] = {}
FUNCTIONS: dict[Any, Callable[..., Any]] = {}


def align(operands: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
    """Put axes of length 1 behind the batch axis, so that NumPy's broadcasting fits the rest."""
    rank = max(np.ndim(x) - b for x, b in zip(operands, batched, strict=True))
    return [
        np.reshape(x, (x.shape[0], *[1] * (rank + 1 - np.ndim(x)), *x.shape[1:])) if b else x
        for x, b in zip(operands, batched, strict=True)
    ]


def elementwise(ufunc: Any, *vjps: Callable[..., Any]) -> Primitive:
    primitive = Primitive(ufunc.__name__, ufunc, vjps)
    primitive.batch = lambda operands, batched: primitive(*align(operands, batched))
    UFUNCS[ufunc] = primitive
    return primitive


elementwise(np.add, lambda g, out, x, y: g, lambda g, out, x, y: g)
elementwise(np.subtract, lambda g, out, x, y: g, lambda g, out, x, y: -g)
elementwise(np.multiply, lambda g, out, x, y: g * y, lambda g, out, x, y: g * x)
elementwise(np.divide, lambda g, out, x, y: g / y, lambda g, out, x, y: -g * out / y)
elementwise(np.power, lambda g, out, x, y: g * y * x ** (y - 1), lambda g, out, x, y: g * out * np.log(x))
elementwise(np.maximum, lambda g, out, x, y: g * (x >= y), lambda g, out, x, y: g * (x < y))
elementwise(np.negative, lambda g, out, x: -g)
elementwise(np.exp, lambda g, out, x: g * out)
elementwise(np.log, lambda g, out, x: g / x)
elementwise(np.sin, lambda g, out, x: g * np.cos(x))
elementwise(np.cos, lambda g, out, x: -g * np.sin(x))
elementwise(np.tanh, lambda g, out, x: g * (1 - out * out))
for comparison in (np.less, np.less_equal, np.greater, np.greater_equal, np.equal):
    elementwise(comparison)  # no rules: no derivative


def shift(axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(a + 1 for a in axes)


def kept(x: Any, axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(1 if i in axes else n for i, n in enumerate(x.shape))


SUM = Primitive(
    "sum", np.sum,
    [lambda g, out, x, axis: np.broadcast_to(np.reshape(g, kept(x, axis)), x.shape)],
    lambda xs, batched, axis: SUM(xs[0], axis=shift(axis)),
)  # fmt: skip
RESHAPE = Primitive(
    "reshape", np.reshape,
    [lambda g, out, x, shape: np.reshape(g, np.shape(x))],
    lambda xs, batched, shape: RESHAPE(xs[0], shape=(len(xs[0]), *shape)),
)  # fmt: skip
TRANSPOSE = Primitive(
    "transpose", np.transpose,
    [lambda g, out, x, axes: np.transpose(g, [axes.index(i) for i in range(len(axes))])],
    lambda xs, batched, axes: TRANSPOSE(xs[0], axes=(0, *shift(axes))),
)  # fmt: skip
BROADCAST = Primitive(
    "broadcast_to", np.broadcast_to,
    [lambda g, out, x, shape: g],  # what was broadcast is summed up again by `match`
    lambda xs, batched, shape: BROADCAST(align([xs[0], np.empty(shape)], [True, False])[0], shape=(len(xs[0]), *shape)),
)  # fmt: skip
MATMUL = Primitive(
    "matmul", np.matmul,
    [lambda g, out, x, y: g @ swap(y), lambda g, out, x, y: swap(x) @ g],
    lambda xs, batched: MATMUL(*align(xs, batched)),
)  # fmt: skip


def swap(x: Any) -> Any:
    return np.transpose(x, [*range(np.ndim(x) - 2), np.ndim(x) - 1, np.ndim(x) - 2])


def implements(table: dict[Any, Any], function: Any) -> Callable[[Any], Any]:
    return lambda rule: table.setdefault(function, rule)


@implements(FUNCTIONS, np.sum)
def sum_(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    axes = tuple(sorted(a % x.ndim for a in axes))
    out = SUM(x, axis=axes)
    return RESHAPE(out, shape=kept(x, axes)) if keepdims else out


@implements(FUNCTIONS, np.mean)
def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    out = sum_(x, axis, keepdims)
    return out * (math.prod(out.shape) / math.prod(x.shape))


@implements(UFUNCS, np.matmul)
def matmul(x: Any, y: Any) -> Any:
    rows, columns = np.ndim(x) == 1, np.ndim(y) == 1
    out = MATMUL(np.reshape(x, (1, -1)) if rows else x, np.reshape(y, (-1, 1)) if columns else y)
    shape = out.shape[: -2 if rows else -1] + (() if columns else out.shape[-1:])
    return np.reshape(out, shape) if rows or columns else out


@implements(FUNCTIONS, np.reshape)
def reshape(x: Any, shape: Any) -> Any:
    shape = [shape] if isinstance(shape, int) else shape
    known = math.prod(n for n in shape if n != -1)
    return RESHAPE(x, shape=tuple(math.prod(x.shape) // known if n == -1 else n for n in shape))


FUNCTIONS[np.shape] = lambda x: x.shape
FUNCTIONS[np.ndim] = lambda x: x.ndim
FUNCTIONS[np.broadcast_to] = lambda x, shape: BROADCAST(x, shape=tuple(shape))
FUNCTIONS[np.transpose] = lambda x, axes=None: TRANSPOSE(x, axes=tuple(axes or reversed(range(x.ndim))))


# 4. recording and the program


@dataclass
class Equation:
    primitive: Primitive
    operands: list[Any]
    params: dict[str, Any]
    out: Tracer


class Record(Trace):
    """Computes each operation in the trace outside, and writes it down."""

    def __init__(self, frozen: bool = False) -> None:
        super().__init__()
        self.frozen = frozen  # the program will run again with other values
        self.equations: list[Equation] = []

    def process(self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        out = Tracer(self, primitive(*[x.value if self.owns(x) else x for x in operands], **params))
        self.equations.append(Equation(primitive, list(operands), params, out))
        return out

    def number(self, x: Tracer) -> Any:
        if self.frozen:
            raise TypeError("a value that decides what is recorded: the program would hold for this value only")
        return x.value


@dataclass
class Program:
    inputs: list[Tracer]
    equations: list[Equation]
    outputs: list[Any]
    names: dict[int, str] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)

    def define(self, x: Tracer) -> str:
        return self.names.setdefault(id(x), f"v{len(self.names)}")

    def use(self, x: Any) -> str:
        """A variable, a number, or the name of a captured array."""
        if id(x) not in self.names and isinstance(x, int | float) and math.isfinite(x):
            return str(x)
        name = self.names.setdefault(id(x), f"c{len(self.names)}")
        if name[0] == "c":
            self.constants[name] = x
        return name

    def source(self) -> str:
        """The program as Python."""
        lines = [f"def program({', '.join(map(self.define, self.inputs))}):"]
        for e in self.equations:
            arguments = [*map(self.use, e.operands), *(f"{k}={v!r}" for k, v in e.params.items())]
            lines.append(f"    {self.define(e.out)} = {e.primitive.name}({', '.join(arguments)})")
        return "\n".join([*lines, f"    return [{', '.join(map(self.use, self.outputs))}]"])


def record(fun: Callable[..., Any], args: Any, frozen: bool = False) -> tuple[Program, Any]:
    """The program of `fun(*args)`, and the structure of its result."""
    trace = Record(frozen)
    leaves, structure = flatten(args)
    inputs = [Tracer(trace, x) for x in leaves]
    with under(trace):
        outputs, out_structure = flatten(fun(*unflatten(structure, inputs)))
    return Program(inputs, trace.equations, outputs), out_structure


# 5. containers


def flatten(x: Any) -> tuple[list[Any], Any]:
    """The leaves of nested dictionaries, lists and tuples, and the same container with None for leaves."""
    if isinstance(x, dict):
        parts = [flatten(x[k]) for k in sorted(x)]
        return [leaf for leaves, _ in parts for leaf in leaves], dict(
            zip(sorted(x), (s for _, s in parts), strict=True)
        )
    if isinstance(x, list | tuple):
        parts = [flatten(v) for v in x]
        return [leaf for leaves, _ in parts for leaf in leaves], type(x)(s for _, s in parts)
    return [x], None


def unflatten(structure: Any, leaves: Sequence[Any]) -> Any:
    rest = iter(leaves)

    def build(s: Any) -> Any:
        if isinstance(s, dict):
            return {k: build(v) for k, v in s.items()}
        return next(rest) if s is None else type(s)(map(build, s))

    return build(structure)


def tree_map(fun: Callable[..., Any], *trees: Any) -> Any:
    leaves = [flatten(t)[0] for t in trees]
    return unflatten(flatten(trees[0])[1], [fun(*xs) for xs in zip(*leaves, strict=True)])


# 6. the reverse walk


def match(g: Any, x: Any) -> Any:
    """Sum a cotangent over the axes along which its operand was broadcast."""
    extra = np.ndim(g) - np.ndim(x)
    axes = [i for i, n in enumerate(np.shape(g)) if i < extra or (np.shape(x)[i - extra] == 1 and n != 1)]
    return np.reshape(np.sum(g, axis=tuple(axes)), np.shape(x)) if axes else g


def value_of(program: Program, x: Any) -> Any:
    return x.value if program.inputs[0].trace.owns(x) else x


def walk_back(program: Program, g: Any) -> list[Any]:
    """The cotangents of the inputs, given that of the one output."""
    cotangents: dict[int, Any] = {id(program.outputs[0]): g}
    for e in reversed(program.equations):
        g = cotangents.pop(id(e.out), None)
        if g is None or not e.primitive.vjps:
            continue  # the result does not depend on it
        values = [value_of(program, x) for x in e.operands]
        for x, value, vjp in zip(e.operands, values, e.primitive.vjps, strict=True):
            if program.inputs[0].trace.owns(x):
                part = match(vjp(g, e.out.value, *values, **e.params), value)
                cotangents[id(x)] = cotangents[id(x)] + part if id(x) in cotangents else part
    return [cotangents.get(id(x), np.zeros(x.shape)) for x in program.inputs]


def value_and_grad(fun: Callable[..., Any]) -> Callable[..., Any]:
    """The value of a scalar function, and its gradient by its first argument."""

    def run(first: Any, *rest: Any) -> Any:
        program, _ = record(lambda x: fun(x, *rest), (first,))
        out = program.outputs[0]
        if np.shape(out) != ():
            raise TypeError(f"grad needs a function that returns one number, not shape {np.shape(out)}")
        return value_of(program, out), unflatten(flatten(first)[1], walk_back(program, 1.0))

    return run


def grad(fun: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: value_and_grad(fun)(*args)[1]


# 7. batches


class Batch(Trace):
    """Its tracers have a batch axis in front, which the function does not see."""

    def process(self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        batched = [self.owns(x) for x in operands]
        values = [x.value if b else x for x, b in zip(operands, batched, strict=True)]
        assert primitive.batch is not None
        return Tracer(self, primitive.batch(values, batched, **params), hidden_axes=1)

    def number(self, x: Tracer) -> Any:
        raise TypeError("under vmap there is one value per example, and no single one to branch on")


def vmap(fun: Callable[..., Any], in_axes: Sequence[int | None]) -> Callable[..., Any]:
    """`fun` for a batch: arguments with 0 in `in_axes` have a batch axis in front, those with None have not."""

    def run(*args: Any) -> Any:
        trace = Batch()
        sizes = {len(leaf) for a, axis in zip(args, in_axes, strict=True) if axis == 0 for leaf in flatten(a)[0]}
        if len(sizes) != 1:
            raise TypeError(f"vmap: batches of one size, please, not {sorted(sizes)}")
        traced = [
            tree_map(lambda x: Tracer(trace, x, hidden_axes=1), a) if axis == 0 else a
            for a, axis in zip(args, in_axes, strict=True)
        ]
        with under(trace):
            out = fun(*traced)
        n = sizes.pop()
        return tree_map(lambda x: x.value if trace.owns(x) else np.broadcast_to(x, (n, *np.shape(x))), out)

    return run


# 8. compiled code


def optimise(program: Program) -> Program:
    """Compute nothing twice, and nothing that nobody needs."""
    same: dict[Any, Tracer] = {}
    new: dict[int, Tracer] = {}
    kept: list[Equation] = []
    for e in program.equations:
        operands = [new.get(id(x), x) for x in e.operands]
        key = (e.primitive, tuple(repr(x) if isinstance(x, int | float) else id(x) for x in operands), str(e.params))
        new[id(e.out)] = same.setdefault(key, e.out)
        if same[key] is e.out:
            kept.append(Equation(e.primitive, operands, e.params, e.out))
    outputs = [new.get(id(x), x) for x in program.outputs]
    needed = set(map(id, outputs))
    for e in reversed(kept):
        if id(e.out) in needed:
            needed.update(map(id, e.operands))
    return Program(program.inputs, [e for e in kept if id(e.out) in needed], outputs)


def compiled(program: Program) -> Callable[..., Any]:
    source = program.source()
    names = {e.primitive.name: e.primitive.impl for e in program.equations} | program.constants
    exec(compile(source, "<program>", "exec"), names)
    return names["program"]


def jit(fun: Callable[..., Any]) -> Callable[..., Any]:
    """`fun`, recorded once for each kind of arguments, and run as compiled Python."""
    cache: dict[Any, tuple[Callable[..., Any], Any]] = {}

    def run(*args: Any) -> Any:
        leaves, structure = flatten(args)
        if any(isinstance(x, Tracer) for x in leaves):
            return fun(*args)  # the trace outside records it
        kind = (str(structure), *((np.shape(x), np.result_type(x), type(x)) for x in leaves))
        if kind not in cache:
            program, out_structure = record(fun, args, frozen=True)
            cache[kind] = compiled(optimise(program)), out_structure
        function, out_structure = cache[kind]
        return unflatten(out_structure, function(*leaves))

    return run
