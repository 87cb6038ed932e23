"""Makes classes pytree nodes: the `register_*` functions, and `Partial`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

from funcgrad._tree_keys import GetAttrKey
from funcgrad._tree_kinds import (
    Kind,
    Level,
    add_kind,
    announced,
    fields_getter,
    index_keys,
    show_node,
)
from funcgrad.errors import ArgumentError

__all__ = [
    "Partial",
    "register_dataclass",
    "register_pytree_node",
    "register_pytree_node_class",
    "register_pytree_with_keys",
    "register_pytree_with_keys_class",
    "register_static",
]

T = TypeVar("T")
C = TypeVar("C", bound=type)
H = TypeVar("H", bound=Hashable)


def _checked(cls: type, pair: Any) -> Level:
    """The result of a flatten function, with its children as a tuple."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ArgumentError(
            f"the flatten function of {cls.__qualname__} must return a pair (children, static "
            f"data), got {type(pair).__name__}"
        )
    children = pair[0]
    if type(children) is not tuple and not isinstance(children, Iterable):
        raise ArgumentError(
            f"the flatten function of {cls.__qualname__} must return a pair (children, static data); the children are "
            f"no sequence but a {type(children).__name__}"
        )
    return children if type(children) is tuple else tuple(children), pair[1]


def _split(cls: type, pair: Any) -> tuple[tuple[Any, ...], tuple[Any, ...], Any]:
    """The result of a flatten-with-keys function: keys, children, static data."""
    items, data = _checked(cls, pair)
    for item in items:
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise TypeError(
                f"the flatten-with-keys function of {cls.__qualname__} must give its children as "
                f"pairs (key, child), got {type(item).__name__}"
            )
    return tuple([key for key, _ in items]), tuple([child for _, child in items]), data


def _need_class(function: str, cls: Any) -> None:
    if not isinstance(cls, type):
        raise TypeError(f"{function}: expected a class, got {cls!r}")


def register_pytree_node(
    nodetype: type[T],
    flatten_func: Callable[[T], tuple[Iterable[Any], Any]],
    unflatten_func: Callable[[Any, Any], T],
    flatten_with_keys_func: Callable[[T], tuple[Iterable[tuple[Any, Any]], Any]] | None = None,
) -> None:
    """Makes a class a pytree node.

    Args:
        nodetype: the class. Its subclasses are not registered with it.
        flatten_func: takes an instance, returns `(children, static data)`. The static data is part
            of the structure: it must be comparable with `==`, and should be hashable.
        unflatten_func: takes `(static data, children)`, with the children as a tuple, returns an
            instance. The children may be any objects, so it should not check them.
        flatten_with_keys_func: like `flatten_func`, with `(key, child)` for every child.

    Raises:
        ValueError: the class is a pytree node already.

    Examples:
        >>> from funcgrad import tree
        >>> class Pair:
        ...     def __init__(self, a, b):
        ...         self.a, self.b = a, b
        >>> register_pytree_node(Pair, lambda p: ((p.a, p.b), None), lambda _, ab: Pair(*ab))
        >>> tree.leaves([Pair(1, [2, 3])])
        [1, 2, 3]
    """
    _need_class("register_pytree_node", nodetype)
    for what, function in (("flatten_func", flatten_func), ("unflatten_func", unflatten_func)):
        if not callable(function):
            raise TypeError(f"register_pytree_node: {what} is not callable: {function!r}")
    add_kind(
        Kind(
            nodetype,
            level=lambda x: _checked(nodetype, flatten_func(x)),
            build=announced(nodetype, unflatten_func),
            keys=_keys_from(nodetype, flatten_with_keys_func),
            show=functools.partial(show_node, nodetype.__name__),
            own_keys=flatten_with_keys_func is not None,
        )
    )


def _keys_from(cls: type, with_keys: Callable[[Any], Any] | None) -> Callable[[Any, Any, int], tuple[Any, ...]]:
    if with_keys is None:
        return index_keys
    return lambda x, data, n: _split(cls, with_keys(x))[0]


def register_pytree_node_class(cls: C) -> C:
    """A class decorator for classes with the methods `tree_flatten` and `tree_unflatten`.

    Args:
        cls: `tree_flatten(self)` returns `(children, static data)`, and the class method
            `tree_unflatten(cls, static data, children)` returns an instance.

    Returns:
        The class.

    Examples:
        >>> from funcgrad import tree
        >>> @register_pytree_node_class
        ... class Box:
        ...     def __init__(self, content):
        ...         self.content = content
        ...
        ...     def tree_flatten(self):
        ...         return (self.content,), None
        ...
        ...     @classmethod
        ...     def tree_unflatten(cls, static, children):
        ...         return cls(*children)
        >>> tree.map(lambda x: x + 1, Box(3)).content
        4
    """
    made: Any = cls
    register_pytree_node(made, lambda x: x.tree_flatten(), made.tree_unflatten)
    return cls


def register_pytree_with_keys(
    nodetype: type[T],
    flatten_with_keys: Callable[[T], tuple[Iterable[tuple[Any, Any]], Any]],
    unflatten_func: Callable[[Any, Any], T],
    flatten_func: Callable[[T], tuple[Iterable[Any], Any]] | None = None,
) -> None:
    """Makes a class a pytree node whose children have names in key paths.

    Args:
        nodetype: the class.
        flatten_with_keys: takes an instance, returns `(pairs (key, child), static data)`. The keys
            are `GetAttrKey`, `DictKey`, `SequenceKey`, or any objects that print well.
        unflatten_func: takes `(static data, children)`, returns an instance.
        flatten_func: a faster way to the same children, without keys.

    Raises:
        ValueError: the class is a pytree node already.

    Examples:
        >>> from funcgrad import tree
        >>> class Line:
        ...     def __init__(self, slope):
        ...         self.slope = slope
        >>> register_pytree_with_keys(Line, lambda x: (((GetAttrKey("slope"), x.slope),), None), lambda _, c: Line(*c))
        >>> [tree.keystr(path) for path, _ in tree.leaves_with_path([Line(2.0)])]
        ['[0].slope']
    """

    def without_keys(x: T) -> Level:
        _, children, data = _split(nodetype, flatten_with_keys(x))
        return children, data

    register_pytree_node(nodetype, flatten_func or without_keys, unflatten_func, flatten_with_keys)


def register_pytree_with_keys_class(cls: C) -> C:
    """A class decorator for `tree_flatten_with_keys` and `tree_unflatten` methods.

    Args:
        cls: `tree_flatten_with_keys(self)` returns `(pairs (key, child), static data)`, and the
            class method `tree_unflatten(cls, static data, children)` returns an instance. A
            `tree_flatten` method, if there is one, serves where no keys are needed.

    Returns:
        The class.

    Examples:
        >>> from funcgrad import tree
        >>> @register_pytree_with_keys_class
        ... class Named:
        ...     def __init__(self, x):
        ...         self.x = x
        ...
        ...     def tree_flatten_with_keys(self):
        ...         return ((GetAttrKey("x"), self.x),), None
        ...
        ...     @classmethod
        ...     def tree_unflatten(cls, static, children):
        ...         return cls(*children)
        >>> tree.leaves_with_path(Named(1))
        [((GetAttrKey(name='x'),), 1)]
    """
    made: Any = cls
    flatten = (lambda x: x.tree_flatten()) if hasattr(cls, "tree_flatten") else None
    register_pytree_with_keys(made, lambda x: x.tree_flatten_with_keys(), made.tree_unflatten, flatten)
    return cls


def register_dataclass(
    nodetype: C,
    data_fields: Sequence[str] | None = None,
    meta_fields: Sequence[str] | None = None,
    drop_fields: Sequence[str] = (),
) -> C:
    """Makes a dataclass a pytree node. Also a class decorator.

    Args:
        nodetype: a dataclass, or a class whose instances are rebuilt by passing the named
            attributes to it as keywords.
        data_fields: the attributes that are children. Without it and `meta_fields`, these are the
            fields of the dataclass that `__init__` takes, except those with
            `metadata={"static": True}` (see `tree.static`).
        meta_fields: the attributes that are static data: comparable, and best hashable.
        drop_fields: fields that are not part of the tree; a rebuilt instance has their defaults.

    Returns:
        The class.

    Raises:
        TypeError: only one of the lists was given, or none and `nodetype` is no dataclass.
        ValueError: the lists overlap or do not cover the fields that `__init__` takes, or the class
            is a pytree node already.

    Examples:
        >>> from dataclasses import dataclass, field
        >>> from funcgrad import tree
        >>> @register_dataclass
        ... @dataclass
        ... class Dense:
        ...     w: float
        ...     b: float
        ...     name: str = field(default="dense", metadata={"static": True})
        >>> tree.map(lambda x: 2 * x, Dense(1.0, 2.0))
        Dense(w=2.0, b=4.0, name='dense')
        >>> tree.structure(Dense(1.0, 2.0))
        PyTreeDef(CustomNode(Dense[('dense',)], [*, *]))
    """
    _need_class("register_dataclass", nodetype)
    if (data_fields is None) != (meta_fields is None):
        raise TypeError(
            "register_dataclass: give both data_fields and meta_fields or neither, got "
            f"data_fields={data_fields!r} and meta_fields={meta_fields!r}"
        )
    if data_fields is None or meta_fields is None:
        data, meta = _fields_of(nodetype, drop_fields)
    else:
        data, meta = tuple(data_fields), tuple(meta_fields)
        _check_fields(nodetype, data, meta, tuple(drop_fields))
    add_kind(_dataclass_kind(nodetype, data, meta))
    return nodetype


def _fields_of(cls: Any, drop: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    import dataclasses  # not at the top: 1.3 ms, and only modules that have imported it need this

    if not dataclasses.is_dataclass(cls):
        raise TypeError(
            f"register_dataclass: {cls.__qualname__} is not a dataclass; decorate it with "
            "@dataclass first, or give data_fields and meta_fields"
        )
    fields = [f for f in dataclasses.fields(cls) if f.init and f.name not in drop]
    return (
        tuple(f.name for f in fields if not f.metadata.get("static", False)),
        tuple(f.name for f in fields if f.metadata.get("static", False)),
    )


def _check_fields(cls: Any, data: tuple[str, ...], meta: tuple[str, ...], drop: tuple[str, ...]) -> None:
    import dataclasses

    where = f"register_dataclass({cls.__qualname__})"
    both = sorted({*data} & {*meta})
    if both:
        raise ValueError(f"{where}: {both} are both in data_fields and in meta_fields")
    if not dataclasses.is_dataclass(cls):
        return
    init = {f.name for f in dataclasses.fields(cls) if f.init}
    missing = sorted(init - {*data, *meta, *drop})
    unknown = sorted({*data, *meta} - init)
    if missing or unknown:
        raise ValueError(
            f"{where}: data_fields and meta_fields must name the fields that __init__ takes; "
            f"missing {missing}, unexpected {unknown}. Fields that shall not be part of the tree "
            "go to drop_fields"
        )


def _dataclass_kind(cls: Any, data: tuple[str, ...], meta: tuple[str, ...]) -> Kind:
    get_data, get_meta = fields_getter(data), fields_getter(meta)
    keys = tuple(GetAttrKey(name) for name in data)

    def build(static: Any, children: tuple[Any, ...]) -> Any:
        kwargs = dict(zip(data, children, strict=True))
        if meta:
            kwargs.update(zip(meta, static, strict=True))
        return cls(**kwargs)

    return Kind(
        cls,
        level=(lambda x: (get_data(x), get_meta(x))) if meta else (lambda x: (get_data(x), None)),
        build=announced(cls, build),
        keys=lambda x, static, n: keys,
        show=lambda static, children: show_node(cls.__name__, static or (), children),
        plain=not meta,
    )


def register_static(cls: type[H]) -> type[H]:
    """A class decorator: instances have no leaves, and are themselves part of the structure.

    Args:
        cls: a class with meaningful `==` and `hash`.

    Returns:
        The class.

    Examples:
        >>> from funcgrad import tree
        >>> @register_static
        ... class Mode(str):
        ...     pass
        >>> tree.flatten([1, Mode("train")])
        ([1], PyTreeDef([*, CustomNode(Mode[train], [])]))
    """
    register_pytree_node(cls, lambda x: ((), x), lambda x, children: x)
    return cls


class _Opaque:
    """A callable that hides a `functools.partial`, whose arguments another one would absorb."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Opaque) and self.function == other.function

    def __hash__(self) -> int:
        return hash(self.function)

    def __repr__(self) -> str:
        return repr(self.function)


class Partial(functools.partial):  # pyright: ignore[reportMissingTypeArgument]
    """A `functools.partial` that is a pytree node: its arguments are the children.

    The function is static data. A `functools.partial` given as the function stays what it is: its
    own arguments are not children.

    Examples:
        >>> from funcgrad import tree
        >>> add = Partial(lambda a, b: a + b, 1)
        >>> add(2)
        3
        >>> tree.leaves(add)
        [1]
        >>> tree.map(lambda x: 10 * x, add)(2)
        12
    """

    def __new__(cls, func: Callable[..., Any], /, *args: Any, **keywords: Any) -> Partial:
        if isinstance(func, functools.partial):
            func = _Opaque(func)
        return super().__new__(cls, func, *args, **keywords)


add_kind(
    Kind(
        Partial,
        level=lambda p: ((p.args, p.keywords), p.func),
        build=lambda func, children: Partial(func, *children[0], **children[1]),
        keys=lambda p, func, n: (GetAttrKey("args"), GetAttrKey("keywords")),
        show=functools.partial(show_node, "Partial"),
    )
)
