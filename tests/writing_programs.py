"""Random NumPy programs that write in place: their source, made line by line while NumPy runs them."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["HELPERS", "Writer", "compiled"]


def compiled(source: str) -> Callable[[Any], Any]:
    """The function `f` that a source defines."""
    names: dict[str, Any] = {"np": np}
    exec(compile(source, "<program>", "exec"), names)
    return names["f"]


class Writer:
    """Writes a program: a function of one array that makes arrays and views, and writes into them.

    NumPy runs each line as it is written, so that the next one fits the shapes there are.
    """

    def __init__(self, seed: int, lines: int = 12, branches: bool = False) -> None:
        self.rng = random.Random(seed)
        self.branches = branches
        shape = self.rng.choice([(4,), (6,), (2, 3), (3, 2), (2, 2, 2), (4, 3)])
        self.x = np.random.default_rng(seed).normal(size=shape)
        self.names: dict[str, Any] = {"np": np, "x": self.x.copy()}
        self.arrays = ["x"]
        self.scalars: list[str] = []
        self.body: list[str] = []
        self.count = 0
        exec(HELPERS, self.names)
        for _ in range(lines):
            self._add()
        self.body.append("return " + " + ".join(self._ends()))
        self.source = "def f(x):\n" + "".join(f"    {line}\n" for line in [*HELPERS.splitlines(), *self.body])

    def _ends(self) -> list[str]:
        kept = [a for a in self.arrays if self.names[a].size]
        ends = [f"np.sum(np.sin({a}) * np.linspace(0.5, 1.5, {a}.size).reshape({a}.shape))" for a in kept]
        return ends + [f"np.sin({s})" for s in self.scalars]

    # ------------------------------------------------------------------------------------------------ small choices

    def pick(self) -> str:
        return self.rng.choice(self.arrays)

    def target(self) -> str:
        """An array to write to. (`ufunc.at`, and `copyto` of an array to itself, take one that is to be read only.)"""
        return self.rng.choice([a for a in self.arrays if self.names[a].flags.writeable])

    def number(self) -> str:
        return self.rng.choice(["0.5", "-0.75", "1.25", "0.3", "2"])

    def new(self, prefix: str = "v") -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def shape(self, name: str) -> tuple[int, ...]:
        return self.names[name].shape

    def fitting(self, shape: tuple[int, ...]) -> str:
        """An operand that broadcasts to a shape."""
        found = [self.number()]
        for a in self.arrays:
            if _fits(self.shape(a), shape):
                found += [a, f"np.cos({a})", f"{a} * 0.5"]
                if self.shape(a) and self.rng.random() < 0.5:
                    found.append(f"{a}[::-1]")
        found += [f"np.tanh({s})" for s in self.scalars]
        return self.rng.choice(found)

    def part(self, n: int) -> str:
        """An index of one axis."""
        r = self.rng
        if n == 0:
            return ":"
        i, j = sorted((r.randrange(n), r.randrange(n)))
        return r.choice([":", str(i), str(-1 - i), f"{i}:{j + 1}", f"{i}:", f":{j + 1}", "::-1", "::2", f"{j}:{i}:-1"])

    def basic(self, name: str) -> str:
        dims = self.shape(name)
        parts = [self.part(n) for n in dims[: self.rng.randint(1, max(len(dims), 1))]] if dims else ["..."]
        kind = self.rng.random()
        if kind < 0.15 and dims:
            parts.append("...")
        elif kind < 0.25:
            parts.insert(self.rng.randint(0, len(parts)), "None")
        return ", ".join(parts)

    def index(self, name: str) -> str:
        """An index of any form."""
        dims: Any = self.shape(name)
        r = self.rng
        kind = r.random()
        if not dims or 0 in dims or kind < 0.6:
            return self.basic(name)
        if kind < 0.75:
            return str([r.randrange(dims[0]) for _ in range(r.randint(1, 3))])
        if kind < 0.85:
            return f"{name} > {self.number()}"
        if len(dims) > 1 and kind < 0.95:
            return f":, {[r.randrange(-dims[1], dims[1]) for _ in range(2)]}"
        return f"np.arange({dims[0]}) % 2 == 0"

    # --------------------------------------------------------------------------------------------------- statements

    def _add(self) -> None:
        for _ in range(20):
            block = self.rng.choice(STATEMENTS)(self)
            if block and self._try(block):
                return

    def _try(self, block: list[str]) -> bool:
        """Run a statement; keep it if NumPy takes it and the numbers stay in bounds."""
        saved = {k: v for k, v in self.names.items()}
        memory = {id(v): (v, v.copy()) for v in self.names.values() if isinstance(v, np.ndarray)}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                exec("\n".join(block), self.names)
            fine = all(
                np.all(np.isfinite(v)) and np.max(np.abs(v), initial=0) < 50
                for k, v in self.names.items()
                if isinstance(v, (np.ndarray, float, np.floating)) and k != "__builtins__"
            )
        except (ValueError, TypeError, IndexError, RuntimeWarning):
            fine = False
        if not fine:
            for k in set(self.names) - set(saved):
                del self.names[k]
            self.names.update(saved)
            for v, copy in memory.values():
                if v.flags.writeable:
                    v[...] = copy
            return False
        self.body += block
        for k, v in self.names.items():
            if k in saved or not k.startswith(("v", "s")):
                continue
            (self.arrays if isinstance(v, np.ndarray) else self.scalars).append(k)
        return True


def _fits(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, to) == to
    except ValueError:
        return False


HELPERS = """\
def centre(h):
    h -= h.mean()
    h *= 0.5
def shift(h, by):
    h[...] = h + by
    return h
def halves(h):
    return h[: len(h) // 2], h[len(h) // 2 :]"""

Statement = Callable[[Writer], "list[str] | None"]


def _make(w: Writer) -> list[str]:
    a, b, n = w.pick(), w.pick(), w.new()
    k = f"np.arange({math.prod(w.shape(a))}.0).reshape({w.shape(a)})"
    forms = [
        f"{a} * {w.number()}",
        f"np.sin({a})",
        f"{a}.copy()",
        f"np.copy({a})",
        f"{a} + {w.fitting(w.shape(a))}",
        f"np.zeros_like({a})",
        f"np.ones_like({a})",
        f"np.full_like({a}, {w.number()})",
        f"{a}.flatten()",
        f"{a}.astype(float)",
        f"np.where({a} > 0, {a}, {w.fitting(w.shape(a))})",
        f"np.tanh({a} * {b})",
        f"-{a}",
        f"np.concatenate([{a}, {a}])",
        f"np.stack([{a}, {a}])",
        f"{a}[[0, -1]]",
        f"np.cumsum({a}, axis=0) * 0.3",
        f"np.mean({a}, axis=0)",
        f"np.sum({a}, axis=-1, keepdims=True)",
        f"{a} @ {b}",
        f"np.roll({a}, 1)",
        f"np.tile({a}, 1)",
        f"np.repeat({a}, 1)",
        f"np.sort({a})",
        f"np.clip({a}, -1, 1)",
        f"{k} * {a} * 0.1",
        f"np.maximum({a}, {w.number()})",
        f"np.outer({a}, {b})[:3, :3] * 0.5",
        f"np.take({a}, [0, 1], axis=0)",
        f"np.pad({a}, 1)[1:-1]",
        f"np.empty_like({a}) * 0.0",
        f"np.broadcast_to({a}, (2,) + {a}.shape)",
        f"np.diagonal({a})",
        f"np.add({a}, {w.number()})",
        f"+{a}",
        f"np.triu({a})",
        f"{a}.clip(-2, 2)",
        f"np.squeeze({a}).copy()",
        f"np.real({a}) + 0.0",
        f"np.diff({a}, axis=0)",
        f"np.linalg.norm({a}, axis=0)",
    ]
    return [f"{n} = {w.rng.choice(forms)}"]


def _view(w: Writer) -> list[str]:
    a, n = w.pick(), w.new()
    dims = w.shape(a)
    axes = list(range(len(dims)))
    w.rng.shuffle(axes)
    forms = [
        *[f"{a}[{w.basic(a)}]" for _ in range(6)],
        f"{a}.reshape({_factors(w, math.prod(dims))})",
        f"{a}.reshape(-1)",
        f"np.reshape({a}, {_factors(w, math.prod(dims))})",
        f"{a}.ravel()",
        f"np.ravel({a})",
        f"{a}.T",
        f"np.transpose({a}, {tuple(axes)})",
        f"{a}.transpose({', '.join(map(str, axes))})",
        f"{a}.squeeze()",
        f"np.expand_dims({a}, {w.rng.randint(0, len(dims))})",
        f"np.atleast_2d({a})",
        f"np.flip({a})",
        f"{a}.real",
        f"np.split({a}, {w.rng.choice([1, 2])})[-1]",
        f"np.array_split({a}, 2)[0]",
        f"{a}[...]",
        f"{a}[:]",
    ]
    if len(dims) > 1:
        i, j = axes[:2]
        forms += [f"{a}.swapaxes({i}, {j})", f"np.moveaxis({a}, {i}, {j})", f"np.rot90({a})", f"np.fliplr({a})"]
    return [f"{n} = {w.rng.choice(forms)}"]


def _factors(w: Writer, n: int) -> tuple[int, ...]:
    out: list[int] = []
    while n > 1 and len(out) < 3 and w.rng.random() < 0.7:
        d = w.rng.choice([k for k in range(1, n + 1) if n % k == 0])
        out.append(d)
        n //= d
    return (*out, n)


def _alias(w: Writer) -> list[str]:
    n = w.new()
    return [w.rng.choice([f"{n} = {w.pick()}", f"{n} = [{w.pick()}, {w.pick()}][0]"])]


def _rebind(w: Writer) -> list[str]:
    a = w.pick()
    return [f"{a} = {w.rng.choice([f'{a} * 0.5', f'np.sin({a})', f'{a} + {w.fitting(w.shape(a))}', f'{a}[::-1]'])}"]


def _op_in_place(w: Writer) -> list[str]:
    a = w.target()
    op = w.rng.choice(["+=", "-=", "*=", "/=", "+=", "*="])
    by = w.fitting(w.shape(a))
    return [f"{a} {op} {by if op != '/=' else w.number()}"]


def _item(w: Writer) -> list[str]:
    a = w.target()
    i = w.index(a)
    try:
        shape = np.shape(eval(f"{a}[{i}]", w.names))
    except IndexError:
        return []
    by = w.fitting(shape)
    if ">" in i or "==" in i:  # NumPy itself reads what it has written already, where a mask's values overlap
        by = f"({by}) * 1.0"
    return [f"{a}[{i}] {w.rng.choice(['=', '=', '+=', '*=', '-='])} {by}"]


def _overlap(w: Writer) -> list[str]:
    a = w.target()
    return [
        w.rng.choice(
            [
                f"{a}[1:] += {a}[:-1]",
                f"{a}[:] = {a}[::-1]",
                f"{a}[:-1] = {a}[1:]",
                f"{a} += {a}[::-1]",
                f"{a}[::-1] *= {a} * 0.1",
                f"{a}[...] = {a}.T",
            ]
        )
    ]


def _out(w: Writer) -> list[str]:
    a, b = w.target(), w.pick()
    by = w.fitting(w.shape(a))
    return [
        w.rng.choice(
            [
                f"np.add({a}, {by}, out={a})",
                f"np.sin({by}, out={a})",
                f"np.multiply({by}, {by}, {a})",
                f"np.sum({b}, axis=0, out={a})",
                f"np.copyto({a}, {by})",
                f"np.copyto({a}, {by}, where={a} > 0)",
                f"np.cumsum({a}, axis=0, out={a})",
                f"np.clip({a}, -1, 1, out={a})",
                f"np.matmul({a}, {a}, out={a})",
                f"np.add({a}, 1.0, out={a}, where={a} < 0)",
                f"np.mean({b}, axis=-1, out={a})",
                f"np.maximum({a}, {by}, out={a})",
                f"{b}.sum(axis=0, out={a})",
                f"np.concatenate([-{b}, -{b}], out={a})",
                f"np.take({b}, [0, 1], axis=0, out={a})",
                f"np.negative({a}, out={a}[::-1])",
            ]
        )
    ]


def _method(w: Writer) -> list[str]:
    a, b = w.target(), w.pick()
    n = max(math.prod(w.shape(a)), 1)
    i = [w.rng.randrange(-n, n) for _ in range(2)]
    first = max(w.shape(a)[0] if w.shape(a) else 1, 1)
    rows = [w.rng.randrange(first) for _ in range(3)]
    return [
        w.rng.choice(
            [
                f"{a}.fill({w.number()})",
                f"{a}.sort()",
                f"np.put({a}, {i}, [0.5, -0.5])",
                f"{a}.put({i}, 0.25)",
                f"np.putmask({a}, {a} > 0, {a} * 0.5)",
                f"np.fill_diagonal({a}, 0.7)",
                f"np.add.at({a}, {rows}, 0.5)",
                f"np.subtract.at({a}, {rows}, {b}[{rows}])",
                f"np.multiply.at({a}, {rows}, 1.1)",
                f"np.place({a}, {a} > 0.5, [0.1, 0.2])",
                f"{a}.flat[{i[0]}] = 0.4",
                f"{a}.real = 0.3",
                f"np.put_along_axis({a}, np.zeros_like({a}[:1], int), 0.9, 0)",
                f"{a}.flat = [0.5, 1.5]",
                f"{a}.partition(0)",
                f"np.nan_to_num({a}, copy=False)",
                f"centre({a})",
                f"shift({a}, {w.number()})",
                f"np.maximum.at({a}, {rows}, 0.2)",
                f"{a}.flat[::2] *= 0.5",
            ]
        )
    ]


def _loop(w: Writer) -> list[str]:
    a, b = w.target(), w.pick()
    if len(w.shape(a)) > 1:
        return w.rng.choice(
            [
                [f"for row in {a}:", "    row *= 0.5 + np.tanh(row[0])"],
                [f"for row in {a}:", "    centre(row)"],
                [f"for i in range(len({a})):", f"    {a}[i] += {a}[i - 1] * 0.5"],
                [f"for p, q in zip({a}, {b}):", "    p += q[..., ::-1] * 0.1"],
                [f"for row in {a}.T:", "    row[:] = row[::-1]"],
            ]
        )
    return w.rng.choice(
        [
            [f"for i in range(1, len({a})):", f"    {a}[i] = np.sin({a}[i - 1]) + {a}[i] * 0.5"],
            [f"for i, t in enumerate({a}):", f"    {a}[i] = t * 0.5", "    t += 1.0"],
            [f"p, q = halves({a})", "p *= 0.5", "q += p.sum() * 0.1"],
        ]
    )


def _scalar(w: Writer) -> list[str]:
    a, n, m = w.pick(), w.new("s"), w.new("s")
    zeros = ", ".join("0" for _ in w.shape(a))
    if w.scalars and w.rng.random() < 0.4:
        s = w.rng.choice(w.scalars)
        return [w.rng.choice([f"{s} += 0.5", f"{n} = {s}; {s} *= 0.5", f"{n} = {s}; {n} -= np.sin({s})"])]
    form = w.rng.choice([f"{a}[{zeros}]" if zeros else f"{a}[()]", f"np.sum({a})", f"{a}.mean()", f"{a}.max()"])
    return [f"{n} = {form}; {m} = {n}; {n} += 0.5"]


def _branch(w: Writer) -> list[str] | None:
    if not w.branches:
        return None
    a, b = w.pick(), w.pick()
    return [f"if np.sum({a}) > {w.number()}:", f"    {_op_in_place(w)[0]}", "else:", f"    {b} *= 0.5"]


STATEMENTS: list[Statement] = [
    _make,
    _make,
    _make,
    _view,
    _view,
    _view,
    _view,
    _alias,
    _rebind,
    _op_in_place,
    _op_in_place,
    _op_in_place,
    _item,
    _item,
    _item,
    _overlap,
    _out,
    _out,
    _method,
    _method,
    _loop,
    _scalar,
    _branch,
]
