"""What a frame is doing, read from its bytecode: which function it calls, or what it stores into.

A conversion such as `__float__` is asked for by C code, of which Python sees only the frame that called it. The
instruction at which that frame stands says what it does, and the instructions before it say where the callee came from.
No source text is needed, so that `python -c`, `exec` and the interactive prompt are no different from a file.

`_Reader` runs a code object with symbols instead of values, along all its branches. A symbol names a variable, or an
attribute of one; everything else (the element of a list, the result of a call, one of two branches) is unknown. So is
whatever an unlisted instruction may have touched: a newer Python makes that less is known. One thing is not seen: a
global or an attribute that is given another value while the arguments of the call itself are evaluated.
"""

from __future__ import annotations

import dis
import inspect
import os.path
import re
import sys
from collections.abc import Callable, Iterator
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CodeType,
    FrameType,
    FunctionType,
    MethodDescriptorType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, NamedTuple

from funcgrad.source import is_internal

__all__ = ["TEXT", "UNKNOWN", "Action", "action", "is_library", "resolve"]


class Name(NamedTuple):
    """A variable: `fast` and `deref` are local to a function, `name` is looked up everywhere, `global` is global."""

    scope: str
    name: str


class Attribute(NamedTuple):
    """An attribute of what another symbol stands for."""

    owner: Name | Attribute
    name: str


class Mark(NamedTuple):
    """Something on the stack that is no variable."""

    what: str


Symbol = Name | Attribute | Mark | None
"""What is known of a value on the stack; None if nothing is."""

_NULL, _METHOD = Mark("null"), Mark("method")
TEXT = Mark("text")
"""A string that is written there, or was formatted there."""

_CALLEE_FIRST = sys.version_info >= (3, 13)
"""Whether the callee lies below the place for `self` on the stack, not above."""


class Action(NamedTuple):
    """What an instruction does.

    Attributes:
        kind: `call`, `percent` (the operator), `store` (into an element or an attribute) or `subscript`.
        subject: the callee, the left operand, or what an element is taken of; None if it is not known.
    """

    kind: str
    subject: Symbol


UNKNOWN = object()
"""What cannot be said."""


# -------------------------------------------------------------------------------------- what instructions take and give

_Count = int | Callable[[int], int]


def _table(rows: dict[tuple[_Count, _Count], str]) -> dict[str, tuple[_Count, _Count]]:
    return {name: effect for effect, names in rows.items() for name in names.split()}


def _flags(arg: int) -> int:
    return 1 if _CALLEE_FIRST else 1 + (arg & 15).bit_count()


_EFFECTS = _table(
    {
        (0, 0): """NOP RESUME CACHE EXTENDED_ARG PRECALL KW_NAMES COPY_FREE_VARS MAKE_CELL SETUP_ANNOTATIONS
            JUMP_FORWARD JUMP_BACKWARD JUMP_BACKWARD_NO_INTERRUPT RETURN_CONST NOT_TAKEN""",
        (0, 1): """LOAD_CONST LOAD_SMALL_INT LOAD_CLOSURE LOAD_BUILD_CLASS LOAD_ASSERTION_ERROR LOAD_LOCALS GET_LEN
            IMPORT_FROM MATCH_MAPPING MATCH_SEQUENCE MATCH_KEYS WITH_EXCEPT_START FOR_ITER""",
        (1, 0): """POP_TOP POP_EXCEPT RETURN_VALUE PRINT_EXPR IMPORT_STAR DELETE_ATTR LIST_APPEND SET_ADD LIST_EXTEND
            SET_UPDATE DICT_UPDATE DICT_MERGE POP_JUMP_IF_FALSE POP_JUMP_IF_TRUE POP_JUMP_IF_NONE POP_JUMP_IF_NOT_NONE
            POP_JUMP_FORWARD_IF_FALSE POP_JUMP_FORWARD_IF_TRUE POP_JUMP_FORWARD_IF_NONE POP_JUMP_FORWARD_IF_NOT_NONE
            POP_JUMP_BACKWARD_IF_FALSE POP_JUMP_BACKWARD_IF_TRUE POP_JUMP_BACKWARD_IF_NONE
            POP_JUMP_BACKWARD_IF_NOT_NONE""",
        (1, 1): """UNARY_NEGATIVE UNARY_POSITIVE UNARY_NOT UNARY_INVERT TO_BOOL GET_ITER GET_AITER CONVERT_VALUE
            LIST_TO_TUPLE CALL_INTRINSIC_1 GET_AWAITABLE GET_YIELD_FROM_ITER YIELD_VALUE CHECK_EXC_MATCH""",
        (1, 2): "BEFORE_WITH BEFORE_ASYNC_WITH PUSH_EXC_INFO",
        (2, 0): "STORE_ATTR DELETE_SUBSCR MAP_ADD",
        (2, 1): """BINARY_SUBSCR COMPARE_OP IS_OP CONTAINS_OP IMPORT_NAME CALL_INTRINSIC_2 SET_FUNCTION_ATTRIBUTE
            END_SEND""",
        (3, 0): "STORE_SUBSCR",
        (3, 1): "BINARY_SLICE MATCH_CLASS",
        (4, 0): "STORE_SLICE",
        (lambda n: 1 if _CALLEE_FIRST else 2, 0): "END_FOR",
        (_flags, 1): "MAKE_FUNCTION",
        (lambda n: n, 1): "BUILD_TUPLE BUILD_LIST BUILD_SET",
        (lambda n: 2 * n, 1): "BUILD_MAP",
        (lambda n: n + 1, 1): "BUILD_CONST_KEY_MAP",
        (lambda n: 3 if n == 3 else 2, 1): "BUILD_SLICE",
        (1, lambda n: n): "UNPACK_SEQUENCE",
        (1, lambda n: (n & 255) + (n >> 8) + 1): "UNPACK_EX",
        (3, lambda n: 1 + (n & 1)): "LOAD_SUPER_ATTR",
        (lambda n: n + 2, 1): "CALL",
        (lambda n: n + 3, 1): "CALL_KW",
        (lambda n: 3 + (n & 1), 1): "CALL_FUNCTION_EX",
    }
)  # fmt: skip
"""For each instruction, how many values it takes from the stack, and how many it puts there (where it does not jump).
Of others nothing is known. What appends to a list deeper in the stack takes what it appends."""

_TEXTS = {"BUILD_STRING": lambda n: n, "FORMAT_VALUE": lambda n: 2 if n & 4 else 1, "FORMAT_SIMPLE": lambda n: 1,
          "FORMAT_WITH_SPEC": lambda n: 2}  # fmt: skip
"""Instructions that make text, and how many values they take."""

_SCOPES = {
    "LOAD_FAST": "fast", "LOAD_FAST_CHECK": "fast", "LOAD_FAST_BORROW": "fast", "LOAD_DEREF": "deref",
    "LOAD_NAME": "name", "LOAD_GLOBAL": "global",
}  # fmt: skip
_STORES = {
    "STORE_FAST": 1, "STORE_FAST_MAYBE_NULL": 1, "STORE_NAME": 1, "STORE_GLOBAL": 1, "STORE_DEREF": 1,
    "DELETE_FAST": 0, "DELETE_NAME": 0, "DELETE_GLOBAL": 0, "DELETE_DEREF": 0,
}  # fmt: skip
"""Instructions after which a name means something else, and how many values they take."""

_LAST = {"RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "INTERPRETER_EXIT"}
_JUMPS = {"JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT"}
_ARGUMENTS = {"CALL": 0, "PRECALL": 0, "CALL_KW": 1}
"""Instructions that call, and how many values lie above the arguments. (Python 3.11 may call at the PRECALL.)"""


# ------------------------------------------------------------------------------------------------ running on symbols

Stack = tuple[Symbol, ...]
"""The top of the stack, as far as it is known; what is below is unknown."""


def _below(stack: Stack, depth: int) -> Symbol:
    """The symbol under `depth` others."""
    return stack[-1 - depth] if depth < len(stack) else None


def _drop(stack: Stack, count: int) -> Stack:
    return stack[: max(len(stack) - count, 0)]


def _rebound(stack: Stack, name: str) -> Stack:
    """The stack after a variable has got another value."""

    def mentions(symbol: Symbol) -> bool:
        while isinstance(symbol, Attribute):
            symbol = symbol.owner
        return isinstance(symbol, Name) and symbol.name == name

    return tuple(None if mentions(s) else s for s in stack)


def _merged(a: Stack, b: Stack) -> Stack:
    """What two ways to one instruction agree on."""
    n = min(len(a), len(b))
    return tuple(x if x == y else None for x, y in zip(a[len(a) - n :], b[len(b) - n :], strict=True))


def _handlers(table: bytes) -> Iterator[int]:
    """Where exceptions lead: the targets in a code object's exception table."""
    numbers: list[int] = []
    value = 0
    for byte in table:
        value = value << 6 | byte & 63
        if not byte & 64:
            numbers.append(value)
            value = 0
    yield from (2 * target for target in numbers[2::4])


class _Reader:
    """Finds the actions of a code object."""

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.optimized = bool(code.co_flags & inspect.CO_OPTIMIZED)
        # One name for two variables: a comprehension's own, and one of an enclosing function.
        self.twice = set(code.co_varnames) & set(code.co_freevars)
        self.instructions = list(dis.get_instructions(code))
        self.index = {instruction.offset: i for i, instruction in enumerate(self.instructions)}

    def actions(self) -> dict[int, Action]:
        """The actions, by the offsets of their instructions (and of the caches that belong to them)."""
        reached: dict[int, Stack] = {0: (), **{self.index[t]: () for t in _handlers(self.code.co_exceptiontable)}}
        waiting = list(reached)
        while waiting:
            i = waiting.pop()
            for j, stack in self._next(i, reached[i]):
                before = reached.get(j)
                after = stack if before is None else _merged(before, stack)
                if after != before:
                    reached[j] = after
                    waiting.append(j)
        found: dict[int, Action] = {}
        end = len(self.code.co_code)
        for i, stack in reached.items():
            act = self._action(self.instructions[i], stack)
            if act is not None:
                stop = self.instructions[i + 1].offset if i + 1 < len(self.instructions) else end
                found.update(dict.fromkeys(range(self.instructions[i].offset, stop, 2), act))
        return found

    def _next(self, i: int, stack: Stack) -> Iterator[tuple[int, Stack]]:
        """The instructions that may follow, and the stack there."""
        op = self.instructions[i]
        name = op.opname
        jumps = op.opcode in dis.hasjrel or op.opcode in dis.hasjabs
        if jumps:
            if name == "FOR_ITER" and sys.version_info < (3, 12):
                there = _drop(stack, 1)
            elif name.startswith("JUMP_IF_"):  # `a or b` keeps the value where it jumps
                there = stack
            else:
                there = self._after(op, stack)
            yield self.index[op.argval], there
        if name not in _LAST and name not in _JUMPS and i + 1 < len(self.instructions):
            yield i + 1, _drop(stack, 1) if name.startswith("JUMP_IF_") else self._after(op, stack)

    def _name(self, scope: str, name: str) -> Symbol:
        if scope == "fast" and (not self.optimized or name in self.twice):
            return None  # a comprehension's variable, which the frame does not show
        return None if scope == "deref" and name in self.twice else Name(scope, name)

    def _after(self, op: dis.Instruction, stack: Stack) -> Stack:
        """The stack after an instruction."""
        name, arg = op.opname, op.arg or 0
        if name in _SCOPES:
            symbol = self._name(_SCOPES[name], op.argval)
            if name != "LOAD_GLOBAL" or not arg & 1:
                return (*stack, symbol)
            return (*stack, symbol, _NULL) if _CALLEE_FIRST else (*stack, _NULL, symbol)
        if name in ("LOAD_ATTR", "LOAD_METHOD"):
            return self._attribute(op, stack)
        if name in _STORES:
            return _rebound(_drop(stack, _STORES[name]), op.argval)
        if name in _TEXTS:
            return (*_drop(stack, _TEXTS[name](arg)), TEXT)
        if name == "LOAD_CONST" and isinstance(op.argval, str | bytes):
            return (*stack, TEXT)
        if name == "BINARY_OP":
            text = _below(stack, 1) is TEXT and op.argrepr == "%"
            return (*_drop(stack, 2), TEXT if text else None)
        if name == "PUSH_NULL":
            return (*stack, _NULL)
        if name == "COPY":
            return (*stack, _below(stack, arg - 1))
        if name == "SWAP":
            if len(stack) < arg:
                return ()
            return (*stack[:-arg], stack[-1], *stack[len(stack) - arg + 1 : -1], stack[-arg])
        return self._pairs(op, stack)

    def _pairs(self, op: dis.Instruction, stack: Stack) -> Stack:
        """The stack after the instructions that do two things at once, and after those in the table."""
        name, arg = op.opname, op.arg or 0
        if name == "LOAD_FAST_LOAD_FAST":
            return (*stack, *(self._name("fast", n) for n in op.argval))
        if name == "LOAD_FAST_AND_CLEAR":
            return (*_rebound(stack, op.argval), None)
        if name == "STORE_FAST_LOAD_FAST":
            return (*_rebound(_drop(stack, 1), op.argval[0]), self._name("fast", op.argval[1]))
        if name == "STORE_FAST_STORE_FAST":
            return _rebound(_rebound(_drop(stack, 2), op.argval[0]), op.argval[1])
        if name not in _EFFECTS:
            return ()
        takes, gives = (n(arg) if callable(n) else n for n in _EFFECTS[name])
        return _drop(stack, takes) + (None,) * gives

    def _attribute(self, op: dis.Instruction, stack: Stack) -> Stack:
        owner = _below(stack, 0)
        symbol = Attribute(owner, op.argval) if isinstance(owner, Name | Attribute) else None
        rest = _drop(stack, 1)
        method = op.opname == "LOAD_METHOD" or (sys.version_info >= (3, 12) and (op.arg or 0) & 1)
        if not method:
            return (*rest, symbol)
        return (*rest, symbol, _METHOD) if _CALLEE_FIRST else (*rest, _METHOD, symbol)

    def _action(self, op: dis.Instruction, stack: Stack) -> Action | None:
        name, arg = op.opname, op.arg or 0
        if name in _ARGUMENTS or name == "CALL_FUNCTION_EX":
            above = arg + _ARGUMENTS[name] if name in _ARGUMENTS else 1 + (arg & 1)
            upper, lower = _below(stack, above), _below(stack, above + 1)
            if _CALLEE_FIRST:
                return Action("call", lower)
            return Action("call", upper if lower in (_NULL, _METHOD) else lower)
        if name == "BINARY_OP" and op.argrepr in ("%", "%="):
            return Action("percent", _below(stack, 1))
        if name in ("STORE_SUBSCR", "STORE_SLICE", "STORE_ATTR"):
            return Action("store", None)
        if name in ("BINARY_SUBSCR", "BINARY_SLICE"):
            return Action("subscript", _below(stack, 1 if name == "BINARY_SUBSCR" else 2))
        return None


# ------------------------------------------------------------------------------------------------------------ frames

_STDLIB = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_PACKAGES = re.compile(r"[/\\](?:site|dist)-packages[/\\]")


class _Code(NamedTuple):
    code: CodeType  # kept, so that its id stays its own
    library: bool
    actions: dict[int, Action]


_codes: dict[int, _Code] = {}
"""What has been read, by the id of the code object."""


def _read(code: CodeType) -> _Code:
    file = code.co_filename
    library = file.startswith(_STDLIB) or is_internal(file) or _PACKAGES.search(file) is not None
    found = _Code(code, library, _Reader(code).actions())
    if len(_codes) > 10_000:
        _codes.clear()
    _codes[id(code)] = found
    return found


def action(frame: FrameType) -> Action | None:
    """What a frame is doing; None if it is neither of the things that an `Action` can be."""
    code = frame.f_code
    return (_codes.get(id(code)) or _read(code)).actions.get(frame.f_lasti)


def is_library(frame: FrameType) -> bool:
    """Whether a frame runs code of funcgrad, of Python itself, or of an installed package."""
    code = frame.f_code
    return (_codes.get(id(code)) or _read(code)).library


def resolve(symbol: Symbol, frame: FrameType) -> Any:
    """What a symbol stands for in a frame, found without running anybody's code; UNKNOWN if it cannot be said."""
    if isinstance(symbol, Name):
        if symbol.scope != "global":
            scope = frame.f_locals
            if symbol.name in scope:
                return scope[symbol.name]
            if symbol.scope != "name":
                return UNKNOWN
        scope = frame.f_globals
        if symbol.name in scope:
            return scope[symbol.name]
        return frame.f_builtins.get(symbol.name, UNKNOWN)
    if isinstance(symbol, Attribute):
        owner = resolve(symbol.owner, frame)
        return UNKNOWN if owner is UNKNOWN else _attribute_of(owner, symbol.name)
    return UNKNOWN


_LOOKUPS = (object.__getattribute__, type.__getattribute__, ModuleType.__getattribute__)
_BINDING = (
    FunctionType, BuiltinFunctionType, MethodDescriptorType, WrapperDescriptorType, ClassMethodDescriptorType,
    staticmethod, classmethod,
)  # fmt: skip


def _attribute_of(owner: Any, name: str) -> Any:
    kind = type(owner)
    if kind is ModuleType:
        return vars(owner).get(name, UNKNOWN)
    if kind.__getattribute__ not in _LOOKUPS:
        return UNKNOWN
    found = inspect.getattr_static(owner, name, UNKNOWN)
    if found is UNKNOWN or not hasattr(type(found), "__get__"):
        return found
    # Functions and methods bind themselves; properties and the like would run code.
    bound = isinstance(found, _BINDING) or type(found).__name__ == "cython_function_or_method"
    return getattr(owner, name) if bound else UNKNOWN
