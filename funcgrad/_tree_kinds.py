"""Which Python classes are pytree nodes, and how each is taken apart and put together.

The tables here are filled from two sides: `add_kind` at registration, and `kind_of`, which
recognises named tuple classes when it first meets them. Every other class is a leaf.
"""

from __future__ import annotations

from _thread import RLock  # `threading` would cost a millisecond of import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from functools import partial
from operator import attrgetter
from types import NoneType
from typing import Any, TypeAlias

from funcgrad._tree_keys import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey

Level: TypeAlias = tuple[tuple[Any, ...], Any]
"""One level of a tree: its children, and the static data needed to rebuild it from them."""

rebuilding: ContextVar[type | None] = ContextVar("funcgrad_rebuilding", default=None)
"""The class of users of which an instance is being made from children."""

LEARNED_LIMIT = 4096  # classes remembered by sight; beyond this the memory is dropped and refilled


class Kind:
    """Everything the tree functions know about one class of node.

    Attributes:
        cls: the class.
        level: takes an instance apart into `(children, static data)`.
        build: makes an instance from `(static data, children)`.
        keys: the path entry of every child, from `(instance, static data, number of children)`.
        own_keys: whether `keys` needs the instance; otherwise any object will do.
        show: text of a node, from `(static data, texts of the children)`.
        mapping: whether the static data holds the keys of a dict, in the order of the children.
        plain: whether the static data is None for all instances.
    """

    __slots__ = ("build", "cls", "keys", "level", "mapping", "own_keys", "plain", "show")

    def __init__(
        self,
        cls: type,
        level: Callable[[Any], Level],
        build: Callable[[Any, tuple[Any, ...]], Any],
        keys: Callable[[Any, Any, int], tuple[Any, ...]],
        show: Callable[[Any, list[str]], str],
        *,
        mapping: bool = False,
        plain: bool = False,
        own_keys: bool = False,
    ) -> None:
        self.cls = cls
        self.level = level
        self.build = build
        self.keys = keys
        self.show = show
        self.mapping = mapping
        self.plain = plain
        self.own_keys = own_keys

    def __repr__(self) -> str:
        return f"Kind({self.cls.__qualname__})"


KINDS: dict[type, Kind] = {}
"""Built-in and registered classes. Never shrinks."""

_named_tuples: dict[type, Kind] = {}
_lock = RLock()
_forgetters: list[Callable[[type], None]] = []


def on_new_kind(forget: Callable[[type], None]) -> None:
    """Has `forget(cls)` called whenever `cls` stops being a leaf (for tables built on these)."""
    _forgetters.append(forget)


def add_kind(kind: Kind) -> None:
    """Makes `kind.cls` a pytree node. ValueError when it is one already."""
    with _lock:
        if KINDS.setdefault(kind.cls, kind) is not kind:
            raise ValueError(
                f"class {kind.cls.__qualname__} is already registered as a pytree node; "
                "register a class once, right where it is defined"
            )
        _named_tuples.pop(kind.cls, None)
        for forget in _forgetters:
            forget(kind.cls)


def kind_of(cls: type) -> Kind | None:
    """The kind of node that instances of `cls` are, or None when they are leaves."""
    kind = KINDS.get(cls)
    if kind is None and issubclass(cls, tuple) and hasattr(cls, "_fields"):
        kind = _named_tuples.get(cls)
        if kind is None:
            if len(_named_tuples) >= LEARNED_LIMIT:
                _named_tuples.clear()
            kind = _named_tuples.setdefault(cls, _named_tuple_kind(cls))
    return kind


def announced(cls: type, build: Callable[[Any, tuple[Any, ...]], Any]) -> Callable[[Any, tuple[Any, ...]], Any]:
    """`build` with `rebuilding` set: a user's `__init__` may convert its arguments, and traced ones must know."""

    def made(data: Any, children: tuple[Any, ...]) -> Any:
        token = rebuilding.set(cls)
        try:
            return build(data, children)
        finally:
            rebuilding.reset(token)

    return made


def learn(cls: type, remember: Callable[[type, Kind | None], None]) -> Kind | None:
    """`kind_of(cls)`, told to `remember` before any registration can change the answer."""
    with _lock:
        kind = kind_of(cls)
        remember(cls, kind)
        return kind


def index_keys(x: Any, data: Any, n: int) -> tuple[FlattenedIndexKey, ...]:
    """Path entries of a class that names none."""
    return tuple(FlattenedIndexKey(i) for i in range(n))


def show_node(name: str, data: Any, children: Iterable[str]) -> str:
    """Text of a node of a class that Python's syntax has no form for, as JAX writes it."""
    return f"CustomNode({name}[{data}], [{', '.join(children)}])"


def _named_tuple_kind(cls: Any) -> Kind:
    fields = tuple(cls._fields)
    keys = tuple(GetAttrKey(name) for name in fields)
    plain = next(c for c in cls.__mro__ if "__new__" in vars(c) or "__init__" in vars(c))
    own = "_fields" not in vars(plain) or cls.__init__ is not tuple.__init__  # a constructor that a user wrote

    def build(data: Any, children: tuple[Any, ...]) -> Any:
        return cls(*children)

    return Kind(
        cls,
        level=lambda x: (tuple(x), None),
        build=announced(cls, build) if own else build,
        keys=lambda x, data, n: keys,
        show=lambda data, children: show_node("namedtuple", cls.__name__, children),
        plain=True,
    )


def fields_getter(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """A function that reads the attributes `names` of an object into a tuple."""
    if not names:
        return lambda x: ()
    if len(names) == 1:
        one = attrgetter(names[0])
        return lambda x: (one(x),)
    return attrgetter(*names)


def sorted_keys(x: dict[Any, Any]) -> tuple[Any, ...]:
    """The keys of a dict in the order in which its values become leaves."""
    try:
        return tuple(sorted(x))
    except TypeError as err:
        types = sorted({type(key).__name__ for key in x})
        raise ValueError(
            f"cannot sort the keys of a dict in a pytree: {err}. The keys are "
            f"{list(x)!r}, of type {', '.join(types)}; use keys that compare with one another "
            "(all str, say), or an OrderedDict, which keeps its own order"
        ) from err


def _dict_level(x: dict[Any, Any]) -> Level:
    keys = sorted_keys(x)
    return tuple([x[key] for key in keys]), keys


def _defaultdict_level(x: defaultdict[Any, Any]) -> Level:
    children, keys = _dict_level(x)
    return children, (x.default_factory, keys)


def _sequence_keys(x: Any, data: Any, n: int) -> tuple[SequenceKey, ...]:
    return tuple(SequenceKey(i) for i in range(n))


def _show_dict(keys: tuple[Any, ...], children: list[str]) -> str:
    inside = ", ".join(f"{key!r}: {c}" for key, c in zip(keys, children, strict=True))
    return "{" + inside + "}"


def _dict_keys(x: Any, data: tuple[Any, ...], n: int) -> tuple[DictKey, ...]:
    return tuple(DictKey(key) for key in data)


DICT = Kind(
    dict,
    level=_dict_level,
    build=lambda keys, children: dict(zip(keys, children, strict=True)),
    keys=_dict_keys,
    show=_show_dict,
    mapping=True,
)
LIST = Kind(
    list,
    level=lambda x: (tuple(x), None),
    build=lambda data, children: list(children),
    keys=_sequence_keys,
    show=lambda data, children: f"[{', '.join(children)}]",
    plain=True,
)
TUPLE = Kind(
    tuple,
    level=lambda x: (x, None),
    build=lambda data, children: tuple(children),
    keys=_sequence_keys,
    show=lambda data, children: f"({', '.join(children)}{',' if len(children) == 1 else ''})",
    plain=True,
)
NONE = Kind(
    NoneType,
    level=lambda x: ((), None),
    build=lambda data, children: None,
    keys=index_keys,
    show=lambda data, children: "None",
    plain=True,
)
ORDERED_DICT = Kind(
    OrderedDict,
    level=lambda x: (tuple(x.values()), tuple(x)),
    build=lambda keys, children: OrderedDict(zip(keys, children, strict=True)),
    keys=_dict_keys,
    show=partial(show_node, "OrderedDict"),
    mapping=True,
)
DEFAULT_DICT = Kind(
    defaultdict,
    level=_defaultdict_level,
    build=lambda data, children: defaultdict(data[0], zip(data[1], children, strict=True)),
    keys=lambda x, data, n: _dict_keys(x, data[1], n),
    show=partial(show_node, "defaultdict"),
    mapping=True,
)

for _kind in (DICT, LIST, TUPLE, NONE, ORDERED_DICT, DEFAULT_DICT):
    add_kind(_kind)


def mapping_keys(kind: Kind, data: Any) -> tuple[Any, ...]:
    """The keys of a mapping node, in the order of its children."""
    return data[1] if kind is DEFAULT_DICT else data
