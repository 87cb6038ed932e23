"""Arguments that have been seen: recognised by one comparison, and what they are run with.

A *form* is a structure of arguments, with static ones in certain places. It knows how to take arguments apart, compares
them with those of the last call, and otherwise looks their kinds up in a table: so calls that take turns with several
shapes cost little more than calls with one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from operator import attrgetter, is_
from types import NoneType
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad._array import ARRAYS, unwrap, wrap
from funcgrad._tree_compile import compile_take
from funcgrad._tree_def import PyTreeDef, label_of
from funcgrad.device_array import DeviceArray
from funcgrad.types import PYTHON_SCALARS, SCALARS, prng_key

__all__ = ["Form", "Kept", "full_structure", "told_apart", "wrapped"]

_kind_of = attrgetter("shape", "dtype")
_kind_and_backend = attrgetter("shape", "dtype", "backend")
_now = count().__next__


def told_apart(value: Any) -> Any:
    """A static value with its type: 1, 1.0 and True are equal, as 0.0 and -0.0, and yet give different programs."""
    if type(value) in (tuple, frozenset):
        return type(value), type(value)(map(told_apart, value))
    return type(value), repr(value) if type(value) in (float, complex) else value, value


class Kept:
    """A program, or what runs a function that branches on values, and how a call comes to its result.

    Attributes:
        program: the one or the other.
        run: a function of the flat traced arguments; None until it is called where nothing is traced.
        put: the result, from what `run` returns.
        stamp: when it was used last. (Uses one after the other count as one.)
        of_arrays: the same for a call whose arguments hold an `Array`, which gives such arrays.
        backend: of arguments that are on a device; None if they are not.
    """

    __slots__ = ("__weakref__", "backend", "of_arrays", "program", "put", "run", "stamp")

    def __init__(self, program: Any, backend: Any = None) -> None:
        self.program, self.backend = program, backend
        self.run: Any = None
        self.put: Any = None
        self.of_arrays: Kept | None = None
        self.use()

    def use(self) -> None:
        self.stamp = _now()

    def giving_arrays(self) -> Kept:
        """The same, with results that are an `Array` each."""
        kept = self.of_arrays
        if kept is None or kept.run is not self.run:
            kept = self.of_arrays = Kept(self.program)
            put, kept.run = self.put, self.run
            kept.put = lambda results: wrapped(put(results))
        return kept


def wrapped(result: Any) -> Any:
    """A result with arrays that are an `Array` each."""
    kind = type(result)
    if (kind is list or kind is tuple) and _PLAIN.issuperset(map(type, result)):
        return kind(map(wrap, result))
    return wrap(result) if issubclass(type(result), (np.ndarray, np.generic)) else tree.map(wrap, result)


_PLAIN = SCALARS | {np.ndarray}


class _Known:
    """Arguments of one kind.

    Attributes:
        kept: what they are run with.
        fits: whether a list of leaves is of this kind. (It may say no to one whose dtypes are equal, not the same.)
    """

    __slots__ = ("fits", "kept")

    def __init__(self, form: Form, leaves: list[Any], kept: Kept) -> None:
        self.kept = kept
        self.fits = _comparison(leaves, form.fixed) if len(leaves) <= _FEW else _comparison_of_many(leaves, form)


_FEW = 12
"""For so many leaves a comparison is written out, which takes a third of the time."""


def _comparison(leaves: list[Any], fixed: Sequence[int]) -> Callable[[list[Any]], bool]:
    """Straight-line code that compares classes, shapes and dtypes, and static leaves by identity, and by their hash
    where they have one of their own: it may have changed."""
    given: dict[str, Any] = {}
    tests: list[str] = []
    for i, x in enumerate(leaves):
        if i in fixed:
            given[f"x{i}"] = x
            tests.append(f"a{i} is x{i}")
            if not _keeps_its_hash(x):
                given[f"h{i}"] = hash(x)
                tests.append(f"hash(a{i}) == h{i}")
            continue
        given[f"t{i}"] = type(x)
        tests.append(f"type(a{i}) is t{i}")
        if type(x) not in PYTHON_SCALARS:
            given[f"s{i}"], given[f"d{i}"] = _kind_of(x)
            tests.append(f"a{i}.shape == s{i} and a{i}.dtype is d{i}")
            if type(x) is DeviceArray:
                given[f"b{i}"] = x.backend
                tests.append(f"a{i}.backend is b{i}")
    names = ", ".join(f"a{i}" for i in range(len(leaves)))
    unpack = f"    {names}, = leaves\n" if leaves else ""
    source = f"def fits(leaves):\n{unpack}    return {' and '.join(tests) or 'True'}\n"
    exec(compile(source, "<funcgrad arguments>", "exec"), given)
    return given.pop("fits")


def _keeps_its_hash(x: Any) -> bool:
    """Whether the hash of a static value cannot change while it is the same object."""
    return type(x).__hash__ is object.__hash__ or type(x) in _ATOMS


_ATOMS = frozenset((str, int, float, bool, complex, bytes, NoneType, type))


def _comparison_of_many(leaves: list[Any], form: Form) -> Callable[[list[Any]], bool]:
    classes, fixed = list(map(type, leaves)), [leaves[i] for i in form.fixed]
    hashes = [hash(x) for x in fixed if not _keeps_its_hash(x)]
    moving = form.moving(leaves)
    plain = not any(type(x) in PYTHON_SCALARS for x in moving)
    placed = DeviceArray in classes
    kind_of = _kind_and_backend if placed and all(type(x) is DeviceArray for x in moving) else _kind_of
    plain = plain and (not placed or kind_of is not _kind_of)
    kinds = list(map(kind_of, moving)) if plain else _kinds(moving)

    def fits(leaves: list[Any]) -> bool:
        if classes != list(map(type, leaves)):
            return False
        moving = leaves
        if fixed:
            if not all(map(is_, fixed, [leaves[i] for i in form.fixed])):
                return False
            if hashes and hashes != [hash(x) for x in fixed if not _keeps_its_hash(x)]:
                return False
            moving = form.moving(leaves)
        return kinds == (list(map(kind_of, moving)) if plain else _kinds(moving))

    return fits


def _kinds(leaves: list[Any]) -> list[Any]:
    return [
        _kind_of(x) if type(x) is not DeviceArray else _kind_and_backend(x)
        for x in leaves
        if type(x) not in PYTHON_SCALARS
    ]


class Form:
    """A structure of arguments.

    Attributes:
        take: the leaves of (args, kwargs), static arguments among them, or None if their structure differs.
        fixed: which of these are static.
        last: the kind that was recognised last.
        table: all kinds.
    """

    __slots__ = ("_rest", "fixed", "last", "table", "take")

    def __init__(self, structure: PyTreeDef, fixed: Sequence[int]) -> None:
        self.take, self.fixed = compile_take(structure, label_of), tuple(fixed)
        self._rest = [i for i in range(structure.num_leaves) if i not in self.fixed]
        self.table: dict[Any, _Known] = {}
        self.last: _Known | None = None

    def moving(self, leaves: list[Any]) -> list[Any]:
        """The leaves that are not static."""
        return [leaves[i] for i in self._rest] if self.fixed else leaves

    def find(self, leaves: list[Any]) -> Kept | None:
        """What arguments with these leaves are run with; None if their kind has not been seen."""
        last = self.last
        return last.kept if last is not None and last.fits(leaves) else self._look(leaves)

    def _look(self, leaves: list[Any]) -> Kept | None:
        if prng_key in map(type, self.moving(leaves)):  # a single key, which programs take as an array
            for i in self._rest:
                if type(leaves[i]) is prng_key:
                    leaves[i] = np.asarray(leaves[i])
            return self.find(leaves)
        if not ARRAYS.isdisjoint(map(type, self.moving(leaves))):
            for i in self._rest:
                leaves[i] = unwrap(leaves[i])
            kept = self.find(leaves)
            return kept and kept.giving_arrays()
        try:
            known = self.table.get(self.key(leaves))
        except (TypeError, AttributeError):  # not hashable, or no array: that is for others to say
            return None
        if known is None:
            return None
        self.last = known
        known.kept.use()
        return known.kept

    def key(self, leaves: list[Any]) -> Any:
        """By what the kind of leaves is known."""
        fixed = tuple([told_apart(leaves[i]) for i in self.fixed])
        return tuple(map(type, leaves)), tuple(_kinds(self.moving(leaves))), fixed

    def add(self, leaves: list[Any], kept: Kept) -> None:
        """Note what leaves of this kind are run with. (Leaves that are converted at each call, such as single random
        keys, come here each time: a comparison is written once.)"""
        key = self.key(leaves)
        known = self.table.get(key)
        if known is None or known.kept is not kept:
            known = self.table[key] = _Known(self, leaves, kept)
        self.last = known

    def drop(self, kept: Kept) -> None:
        """Forget what is run with this."""
        self.table = {key: known for key, known in self.table.items() if known.kept is not kept}
        if self.last is not None and self.last.kept is kept:
            self.last = None


def full_structure(in_tree: PyTreeDef, fixed: dict[Any, Any], arguments: int) -> tuple[PyTreeDef, list[int]]:
    """The structure of all (args, kwargs), of which `in_tree` has those that are not static; where these are leaves."""
    if not fixed:
        return in_tree, []
    leaf = PyTreeDef.from_node(None)
    positional, named = in_tree.children()
    rest = iter(positional.children())
    args = [leaf if i in fixed else next(rest) for i in range(arguments)]
    names = named.node_data()
    kwargs: dict[str, PyTreeDef] = dict(zip(names[1] if names else (), named.children(), strict=True))
    kwargs |= {k: leaf for k in fixed if isinstance(k, str)}
    keys = sorted(kwargs)
    every = [*zip(range(arguments), args, strict=True), *((k, kwargs[k]) for k in keys)]
    at, starts = 0, {}
    for place, structure in every:
        starts[place] = at
        at += structure.num_leaves
    row = PyTreeDef.from_node((tuple, None), args)
    whole = PyTreeDef.from_node((tuple, None), [row, PyTreeDef.from_node((dict, keys), [kwargs[k] for k in keys])])
    return whole, [starts[place] for place in fixed]
