"""Key paths: the steps that lead from the root of a pytree to one of its leaves.

A path is a tuple of entries, one per level. Each entry prints as the Python expression it stands
for, so a path reads like the code that reaches the leaf: `['layers'][2].w`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, ClassVar, TypeAlias

__all__ = ["DictKey", "FlattenedIndexKey", "GetAttrKey", "KeyPath", "SequenceKey", "keystr"]


class _Key:
    """Value semantics shared by the entries: one immutable field, compared by type and value."""

    __slots__ = ()
    _field: ClassVar[str]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return bool(getattr(self, self._field) == getattr(other, self._field))

    def __hash__(self) -> int:
        return hash((type(self), getattr(self, self._field)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._field}={getattr(self, self._field)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (getattr(self, self._field),)


class SequenceKey(_Key):
    """The entry at position `idx` of a list or tuple: `[idx]`."""

    __slots__ = ("idx",)
    __match_args__ = ("idx",)
    _field = "idx"
    idx: int

    def __init__(self, idx: int) -> None:
        object.__setattr__(self, "idx", idx)

    def __str__(self) -> str:
        return f"[{self.idx!r}]"


class DictKey(_Key):
    """The entry under `key` of a mapping: `['key']`."""

    __slots__ = ("key",)
    __match_args__ = ("key",)
    _field = "key"
    key: Hashable

    def __init__(self, key: Hashable) -> None:
        object.__setattr__(self, "key", key)

    def __str__(self) -> str:
        return f"[{self.key!r}]"


class GetAttrKey(_Key):
    """The attribute `name` of a named tuple, a dataclass or a registered class: `.name`."""

    __slots__ = ("name",)
    __match_args__ = ("name",)
    _field = "name"
    name: str

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "name", name)

    def __str__(self) -> str:
        return f".{self.name}"


class FlattenedIndexKey(_Key):
    """Child number `key` of a registered class that names no keys of its own."""

    __slots__ = ("key",)
    __match_args__ = ("key",)
    _field = "key"
    key: int

    def __init__(self, key: int) -> None:
        object.__setattr__(self, "key", key)

    def __str__(self) -> str:
        return f"[<flat index {self.key!r}>]"


KeyPath: TypeAlias = tuple[Any, ...]
"""The entries from the root to a leaf: the four classes here, or whatever a class registered."""


def keystr(keys: Iterable[Any], *, simple: bool = False, separator: str = "") -> str:
    """A key path as text.

    Args:
        keys: the entries of the path, as `flatten_with_path` returns them.
        simple: print only what is inside an entry (`a` and not `['a']`).
        separator: text to put between the entries.

    Examples:
        >>> keystr((DictKey("layers"), SequenceKey(2), GetAttrKey("w")))
        "['layers'][2].w"
        >>> keystr((DictKey("layers"), SequenceKey(2)), simple=True, separator="/")
        'layers/2'
    """
    if not simple:
        return separator.join(str(key) for key in keys)
    return separator.join(str(getattr(key, key._field)) if isinstance(key, _Key) else str(key) for key in keys)
