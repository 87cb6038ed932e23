"""`PyTreeDef`, the structure of a pytree, and the loops that put trees together from leaves.

Tree definitions are cache keys on hot paths, so equal ones are usually the same object: a node is
looked up by the identities of its label (class and static data) and of its children before it is
built. The tables are bounded; emptying them costs time and never correctness, because equality
falls back to a comparison of the structures. Only labels whose equality implies that they are
interchangeable are shared: 1 and True are equal, and a dict rebuilt with the wrong one is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import NoneType
from typing import Any, NoReturn, final

from funcgrad._tree_compile import COMPILE_AFTER, NODE_LIMIT, compile_put, compile_take
from funcgrad._tree_diff import find_difference, same_data
from funcgrad._tree_keys import KeyPath, keystr
from funcgrad._tree_kinds import DICT, LIST, TUPLE, Kind, index_keys, kind_of, mapping_keys
from funcgrad.errors import ArgumentError

TABLE_LIMIT = 4096  # entries in each interning table

_ATOMS = frozenset({str, int, bool, bytes, NoneType, type})

UNIQUE: set[type] = set()
"""Classes of which there is one object for equal ones."""


class Label:
    """What a node is, apart from its children: its kind and its static data.

    `kind` is None for the leaf. `shared` tells whether equal data finds this same object again.
    `rows` holds the definition of a node with n leaves for children, by n.
    """

    __slots__ = ("data", "hash", "kind", "rows", "shared")

    def __init__(self, kind: Kind | None, data: Any, shared: bool) -> None:
        self.kind = kind
        self.data = data
        self.shared = shared
        self.rows: dict[int, PyTreeDef] = {}
        cls = None if kind is None else kind.cls
        try:
            self.hash = hash((cls, data))
        except TypeError:  # unhashable static data is allowed: it takes part in equality only
            self.hash = hash(cls)


@final
class PyTreeDef:
    """The structure of a pytree: its containers and their static data, with the leaves left out.

    Immutable, hashable, comparable and picklable. Made by `flatten` and `structure`.

    Attributes:
        num_leaves: how many leaves a tree of this structure has.
        num_nodes: how many nodes it has, leaves included.

    Examples:
        >>> from funcgrad import tree
        >>> treedef = tree.structure({"a": 1, "b": [2, 3]})
        >>> treedef
        PyTreeDef({'a': *, 'b': [*, *]})
        >>> treedef.unflatten("xyz")
        {'a': 'x', 'b': ['y', 'z']}
        >>> treedef.num_leaves, treedef.num_nodes
        (3, 5)
    """

    __slots__ = (
        "_children",
        "_flat",
        "_hash",
        "_label",
        "_make",
        "_own_keys",
        "_paths",
        "_put",
        "_shared",
        "_take",
        "_uses",
        "num_leaves",
        "num_nodes",
    )

    _label: Label
    _children: tuple[PyTreeDef, ...]
    _flat: bool
    _hash: int
    _make: Callable[[PyTreeDef, Iterator[Any]], Any]
    _own_keys: bool
    _paths: tuple[KeyPath, ...] | None
    _put: Callable[[Any], Any] | None
    _shared: bool
    _take: Callable[[Any], Any] | None
    _uses: int
    num_leaves: int
    num_nodes: int

    def __init__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("a PyTreeDef is made by tree.flatten, tree.structure or PyTreeDef.from_node")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a PyTreeDef is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a PyTreeDef is immutable")

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return _equal(self, other) if type(other) is PyTreeDef else NotImplemented

    def __repr__(self) -> str:
        return f"PyTreeDef({_show(self)})"

    def __copy__(self) -> PyTreeDef:
        return self

    def __deepcopy__(self, memo: Any) -> PyTreeDef:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        kind = self._label.kind
        if kind is None:
            return leaf_def, ()
        return _restore, (kind.cls, self._label.data, self._children)

    @staticmethod
    def from_node(node_data: tuple[type, Any] | None, children: Iterable[PyTreeDef] = ()) -> PyTreeDef:
        """The definition with this `node_data()` and these `children()`.

        Args:
            node_data: the class of the node and its static data (for a dict its keys, in the order
                of the children), or None for a leaf.
            children: the definitions of the children.

        Raises:
            ValueError: the class is not a pytree node, or the number of children does not fit.

        Examples:
            >>> from funcgrad import tree
            >>> PyTreeDef.from_node((list, None), [tree.structure(0), tree.structure(None)])
            PyTreeDef([*, None])
        """
        kids = list(children)
        if node_data is None:
            if kids:
                raise ValueError(f"a leaf has no children, got {len(kids)}")
            return LEAF
        cls, data = node_data
        return _restore(cls, tuple(data) if cls is dict else data, tuple(kids))

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree of this structure with these leaves. ValueError when their number is wrong."""
        if type(leaves) is not list and type(leaves) is not tuple:
            leaves = list(leaves)
        if len(leaves) != self.num_leaves:
            raise ValueError(
                f"unflatten: {self} has {self.num_leaves} "
                f"{'leaf' if self.num_leaves == 1 else 'leaves'}, got {len(leaves)}"
            )
        if self._put is not None:
            return self._put(leaves)
        if used_often(self):
            object.__setattr__(self, "_put", compile_put(self))
        return self._make(self, iter(leaves))

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """The subtrees of `tree` that stand where this structure has its leaves.

        Raises:
            ArgumentError: `tree` has another structure above those places; the message says where.

        Examples:
            >>> from funcgrad import tree
            >>> tree.structure([0, 0]).flatten_up_to([1, {"a": 2}])
            [1, {'a': 2}]
        """
        return gather(self, tree, "flatten_up_to: the tree")

    def children(self) -> list[PyTreeDef]:
        """The definitions of the children of the root, none for a leaf."""
        return list(self._children)

    def node_data(self) -> tuple[type, Any] | None:
        """The class of the root and its static data (for a dict its keys), or None for a leaf."""
        kind = self._label.kind
        if kind is None:
            return None
        return kind.cls, list(self._label.data) if kind is DICT else self._label.data

    def compose(self, inner: PyTreeDef) -> PyTreeDef:
        """This structure with `inner` in place of every leaf."""
        if self is LEAF:
            return inner
        return join(self._label, [child.compose(inner) for child in self._children])


def _equal(a: PyTreeDef, b: PyTreeDef) -> bool:
    if a is b:
        return True
    if a._hash != b._hash or len(a._children) != len(b._children):
        return False
    mine, other = a._label, b._label
    if mine is not other:
        if mine.kind is None or other.kind is None or mine.kind.cls is not other.kind.cls:
            return False
        if not same_data(mine.kind, mine.data, other.data):
            return False
    return all(map(_equal, a._children, b._children))


def _show(td: PyTreeDef) -> str:
    kind = td._label.kind
    if kind is None:
        return "*"
    return kind.show(td._label.data, [_show(child) for child in td._children])


def leaf_paths(td: PyTreeDef) -> tuple[KeyPath, ...]:
    """The paths of the leaves, so far as they follow from the structure alone; remembered.

    Children of a class whose keys must be asked from its instances are numbered instead.
    """
    if td._paths is None:
        object.__setattr__(td, "_paths", tuple(_paths(td, ())))
    return td._paths or ()


def _paths(td: PyTreeDef, path: KeyPath) -> Iterator[KeyPath]:
    kind, children = td._label.kind, td._children
    if kind is None:
        yield path
        return
    keys = index_keys if kind.own_keys else kind.keys
    for key, child in zip(keys(None, td._label.data, len(children)), children, strict=True):
        yield from _paths(child, (*path, key))


def leaf_def() -> PyTreeDef:
    """The definition of a leaf. There is one such object."""
    return LEAF


def _restore(cls: type, data: Any, children: tuple[PyTreeDef, ...]) -> PyTreeDef:
    kind = kind_of(cls)
    if kind is None:
        raise ValueError(f"class {cls.__qualname__} is not registered as a pytree node")
    keys = mapping_keys(kind, data) if kind.mapping else None
    if keys is not None and len(keys) != len(children):
        raise ValueError(f"a {cls.__qualname__} with {len(keys)} keys cannot have {len(children)} children")
    return join(label_of(kind, data), list(children))


# ---------------------------------------------------------------------------- interning

_labels: dict[Any, Label] = {}
_defs: dict[tuple[int, ...], PyTreeDef] = {}


def _exact(data: Any) -> Any:
    """A key that only interchangeable data have in common, or None where that is not known."""
    cls = type(data)
    if cls in _ATOMS or cls in UNIQUE:
        return cls, data
    if cls is tuple:
        parts = [_exact(part) for part in data]
        return None if None in parts else (cls, *parts)
    if cls is float and data and data == data:  # -0.0 equals 0.0, and nan not even itself
        return cls, data
    return None


def label_of(kind: Kind, data: Any) -> Label:
    """The label of this kind and data: the shared one where sharing is safe."""
    exact = _exact(data)
    if exact is None:
        return Label(kind, data, shared=False)
    key = (kind, exact)
    label = _labels.get(key)
    if label is None:
        if len(_labels) >= TABLE_LIMIT:
            _labels.clear()
        label = _labels.setdefault(key, Label(kind, data, shared=True))
    return label


def join(label: Label, children: list[PyTreeDef]) -> PyTreeDef:
    """The definition of a node."""
    # A table entry keeps its label and children alive, so that no other object can have their ids.
    key = (id(label), *map(id, children))
    td = _defs.get(key)
    if td is not None:
        return td
    td = _construct(label, tuple(children))
    if td._shared:
        if len(_defs) >= TABLE_LIMIT:
            _defs.clear()
        td = _defs.setdefault(key, td)
    return td


def row(label: Label, n: int) -> PyTreeDef:
    """The definition of a node with n leaves for children."""
    td = label.rows.get(n)
    if td is None:
        td = join(label, [LEAF] * n)
        if len(label.rows) >= TABLE_LIMIT:
            label.rows.clear()
        label.rows[n] = td
    return td


def _construct(label: Label, children: tuple[PyTreeDef, ...]) -> PyTreeDef:
    td = object.__new__(PyTreeDef)
    put = object.__setattr__
    kind = label.kind
    put(td, "_label", label)
    put(td, "_children", children)
    put(td, "_flat", all(child is LEAF for child in children))
    put(td, "_hash", hash((label.hash, *[child._hash for child in children])))
    put(td, "_make", _MAKERS.get(kind.cls, _make_node) if kind is not None else _make_leaf)
    put(td, "_put", None)
    own = kind is not None and kind.own_keys
    put(td, "_own_keys", own or any(child._own_keys for child in children))
    put(td, "_paths", None)
    put(td, "_take", None)
    put(td, "_uses", 0)
    put(td, "_shared", label.shared and all(child._shared for child in children))
    put(td, "num_leaves", sum(child.num_leaves for child in children) if kind is not None else 1)
    put(td, "num_nodes", sum(child.num_nodes for child in children) + 1)
    return td


# ---------------------------------------------------------------------------- unflatten


def used_often(td: PyTreeDef) -> bool:
    """Counts a use by one of the general loops; whether it is time to write a function for it."""
    uses = td._uses + 1
    object.__setattr__(td, "_uses", uses)  # a lost update by another thread does no harm
    # Definitions that are not shared live as briefly as their trees.
    return uses >= COMPILE_AFTER and td._shared and 1 < td.num_nodes <= NODE_LIMIT


def taker(td: PyTreeDef) -> Callable[[Any], Any]:
    """The compiled function that reads the leaves of such a tree, or returns None."""
    take = td._take
    if take is None:
        take = compile_take(td, label_of)
        object.__setattr__(td, "_take", take)
    return take


def _kids(td: PyTreeDef, it: Iterator[Any]) -> Iterable[Any]:
    if td._flat:
        return islice(it, len(td._children))
    return [next(it) if child is LEAF else child._make(child, it) for child in td._children]


def _make_leaf(td: PyTreeDef, it: Iterator[Any]) -> Any:
    return next(it)


def _make_none(td: PyTreeDef, it: Iterator[Any]) -> None:
    return None


def _make_dict(td: PyTreeDef, it: Iterator[Any]) -> dict[Any, Any]:
    keys = td._label.data
    return dict(zip(keys, it if td._flat else _kids(td, it)))  # noqa: B905 (it is longer)


def _make_list(td: PyTreeDef, it: Iterator[Any]) -> list[Any]:
    return list(_kids(td, it))


def _make_tuple(td: PyTreeDef, it: Iterator[Any]) -> tuple[Any, ...]:
    return tuple(_kids(td, it))


def _make_node(td: PyTreeDef, it: Iterator[Any]) -> Any:
    label = td._label
    return label.kind.build(label.data, tuple(_kids(td, it)))  # type: ignore[union-attr]


_MAKERS: dict[type, Callable[[PyTreeDef, Iterator[Any]], Any]] = {
    dict: _make_dict,
    list: _make_list,
    tuple: _make_tuple,
    NoneType: _make_none,
}

LEAF = _construct(Label(None, None, shared=True), ())

# ---------------------------------------------------------------------------- flatten up to


class _Clash(Exception):
    """The tree does not fit; where and why is found out afterwards."""


def gather(td: PyTreeDef, tree: Any, what: str) -> list[Any]:
    """The subtrees of `tree` at the leaves of `td`; `what` names `tree` in the ValueError."""
    if td._take is not None:
        found = td._take(tree)
        if found is not None:
            return found
    elif used_often(td):
        taker(td)
    out: list[Any] = []
    try:
        _gather(td, tree, out)
    except _Clash:
        path, problem = find_difference(td, tree, ())
        where = f" at {keystr(path)}" if path else ""
        raise ArgumentError(f"{what} has another structure{where}: {problem}") from None
    return out


def _gather(td: PyTreeDef, x: Any, out: list[Any]) -> None:
    label = td._label
    kind = label.kind
    if kind is None:
        out.append(x)
        return
    if type(x) is not kind.cls:
        raise _Clash
    children = td._children
    values: Any
    if kind is DICT:
        if len(x) != len(children):
            raise _Clash
        try:
            values = [x[key] for key in label.data]
        except KeyError:
            raise _Clash from None
    elif kind is LIST or kind is TUPLE:
        values = x
    else:
        values, data = kind.level(x)
        if not same_data(kind, data, label.data):
            raise _Clash
    if len(values) != len(children):
        raise _Clash
    if td._flat:
        out.extend(values)
        return
    for child, value in zip(children, values):  # noqa: B905 (lengths were compared above)
        if child is LEAF:
            out.append(value)
        else:
            _gather(child, value, out)
