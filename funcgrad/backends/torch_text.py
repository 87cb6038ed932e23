"""Equations as expressions of PyTorch: what stands in generated code, for the operations that have a short one.

Each function here takes the emitter and an equation, and writes a statement, or returns False: then the lowering of the
equation is called.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.ir import Equation

Emitter = Any  # of `torch_emit`, which imports this module

__all__ = ["TEXTS"]

Text = Callable[[Emitter, Equation], bool]

TEXTS: dict[str, Text] = {}
"""By the primitive's name."""


def _text(*names: str) -> Callable[[Text], Text]:
    def enter(function: Text) -> Text:
        TEXTS.update(dict.fromkeys(names, function))
        return function

    return enter


def _kinds(eqn: Equation) -> set[str]:
    """The kinds of the operands; "w" for integers without a sign that PyTorch has little arithmetic for."""
    dtypes = [a.aval.dtype for a in eqn.inputs]
    return {"w" if d.kind == "u" and d.itemsize > 1 else d.kind for d in dtypes}


# ------------------------------------------------------------------------------------------------------ elementwise


def _binary(name: str, sign: str, kinds: str, method: str = "", commutes: bool = False) -> None:
    """An operator; `method` is that which writes into its first operand."""

    def write(e: Emitter, eqn: Equation) -> bool:
        x, y = eqn.inputs
        if not _kinds(eqn) <= set(kinds) or (x.is_literal and y.is_literal):
            return False
        if method and e.reusable(x, eqn):
            e.put(eqn, f"{e.operand(x)}.{method}({e.operand(y)})", owned=True)
        elif method and commutes and e.reusable(y, eqn):
            e.put(eqn, f"{e.operand(y)}.{method}({e.operand(x)})", owned=True)
        elif name == "sub" and x.is_literal:  # Python's own operators for a number on the left are slow
            e.put(eqn, f"torch.rsub({e.operand(y)}, {e.operand(x)})", owned=True)
        elif name == "div" and x.is_literal:
            e.put(eqn, f"torch.div({e.tensor(x)}, {e.operand(y)})", owned=True)
        elif method and e.reusable(y, eqn):
            e.put(eqn, f"torch.{method[:-1]}({e.operand(x)}, {e.operand(y)}, out={e.operand(y)})", owned=True)
        else:
            e.put(eqn, f"{e.operand(x, sign)} {sign} {e.operand(y, sign)}", owned=True)
        return True

    TEXTS[name] = write


_binary("add", "+", "fi", "add_", True)
_binary("sub", "-", "fi", "sub_")
_binary("mul", "*", "fci", "mul_", True)
_binary("div", "/", "fc", "div_")
for _name, _sign in {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}.items():
    _binary(_name, _sign, "fi")
for _name, _sign in {"eq": "==", "ne": "!="}.items():
    _binary(_name, _sign, "fci")
for _name, _sign in {"and": "&", "or": "|", "xor": "^"}.items():
    _binary(_name, _sign, "bi")


def _unary(kinds: str, in_place: bool, **names: str) -> None:
    """Functions of `torch` of one argument, most of which have a method that writes into it."""
    for name, function in names.items():

        def write(e: Emitter, eqn: Equation, function: str = function) -> bool:
            (x,) = eqn.inputs
            if not _kinds(eqn) <= set(kinds) or x.is_literal:
                return False
            if in_place and e.reusable(x, eqn):
                e.put(eqn, f"{e.operand(x)}.{function}_()", owned=True)
            else:
                e.put(eqn, f"torch.{function}({e.operand(x)})", owned=True)
            return True

        TEXTS[name] = write


_unary("fc", True, exp="exp", log="log", sin="sin", cos="cos", tan="tan", tanh="tanh", sqrt="sqrt")
_unary("f", True, log1p="log1p", expm1="expm1", logistic="sigmoid", expit="sigmoid", relu="relu", abs="abs", neg="neg",
       floor="floor", ceil="ceil", reciprocal="reciprocal", erf="erf")  # fmt: skip
_unary("f", False, isnan="isnan", isfinite="isfinite", isinf="isinf")


@_text("square")
def _square(e: Emitter, eqn: Equation) -> bool:
    (x,) = eqn.inputs
    if not _kinds(eqn) <= set("fci") or x.is_literal:
        return False
    name = e.operand(x)
    e.put(eqn, f"{name}.mul_({name})" if e.reusable(x, eqn) else f"{name} * {name}", owned=True)
    return True


@_text("pow")
def _pow(e: Emitter, eqn: Equation) -> bool:
    x, y = eqn.inputs
    if _kinds(eqn) != {"f"} or x.is_literal:
        return False
    e.put(eqn, f"torch.pow({e.operand(x)}, {e.operand(y)})", owned=True)
    return True


def _extreme(name: str, function: str, bound: str) -> None:
    def write(e: Emitter, eqn: Equation) -> bool:
        x, y = eqn.inputs
        if _kinds(eqn) != {"f"} or (x.is_literal and y.is_literal):
            return False
        if x.is_literal or y.is_literal:
            number, other = (x, y) if x.is_literal else (y, x)
            if math.isnan(number.value):
                return False
            e.put(eqn, f"torch.clamp({e.operand(other)}, {bound}={e.operand(number)})", owned=True)
        else:
            e.put(eqn, f"torch.{function}({e.operand(x)}, {e.operand(y)})", owned=True)
        return True

    TEXTS[name] = write


_extreme("max", "maximum", "min")
_extreme("min", "minimum", "max")


@_text("select")
def _select(e: Emitter, eqn: Equation) -> bool:
    c, x, y = eqn.inputs
    tensors = x.is_literal and y.is_literal  # two numbers do not say of which dtype
    e.put(eqn, f"torch.where({e.tensor(c)}, {e.either(x, tensors)}, {e.either(y, tensors)})", owned=True)
    return True


@_text("gelu_tanh")
def _gelu(e: Emitter, eqn: Equation) -> bool:
    if eqn.inputs[0].is_literal or _kinds(eqn) != {"f"}:
        return False
    e.put(eqn, f"torch.nn.functional.gelu({e.operand(eqn.inputs[0])}, approximate='tanh')", owned=True)
    return True


@_text("convert", "fit")
def _convert(e: Emitter, eqn: Equation) -> bool:
    (x,), dtype = eqn.inputs, eqn.params["dtype"]
    plain = dtype.kind in "fi" and _kinds(eqn) <= set("fib")
    if not plain or x.is_literal:
        return False
    e.put(eqn, f"{e.operand(x)}.to(torch.{dtype.name})", owned=x.aval.dtype != dtype, of=[x])
    return True


# ----------------------------------------------------------------------------------------------------------- views


_VIEWS = {"reshape": ("reshape", "shape"), "broadcast_to": ("expand", "shape"), "transpose": ("permute", "axes")}
"""The tensor's method, and the parameter that it takes."""


@_text(*_VIEWS)
def _view(e: Emitter, eqn: Equation) -> bool:
    x = eqn.inputs[0]
    method, parameter = _VIEWS[eqn.primitive.name]
    e.put(eqn, f"{e.tensor(x)}.{method}({tuple(eqn.params[parameter])})", of=[x])
    return True


@_text("slice")
def _slice(e: Emitter, eqn: Equation) -> bool:
    x, p = eqn.inputs[0], eqn.params
    if any(s < 0 for s in p["step"]) or 0 in p["size"] or x.is_literal:
        return False
    text = e.operand(x)
    for axis, (start, n, step, full) in enumerate(zip(p["start"], p["size"], p["step"], x.aval.shape, strict=True)):
        if (start, n, step) == (0, full, 1):
            continue
        if step == 1:
            text = f"{text}.narrow({axis}, {start}, {n})"
        else:
            text = f"slice_step({text}, {axis}, {start}, {start + (n - 1) * step + 1}, {step})"
            e.given.setdefault("slice_step", e.backend.torch.ops.aten.slice.Tensor)
    e.put(eqn, text, of=[x])
    return True


@_text("split")
def _split(e: Emitter, eqn: Equation) -> bool:
    x = eqn.inputs[0]
    e.put_all(eqn, f"torch.split({e.tensor(x)}, {list(eqn.params['sizes'])}, {eqn.params['axis']})", of=[x])
    return True


@_text("concatenate")
def _concatenate(e: Emitter, eqn: Equation) -> bool:
    parts = ", ".join(map(e.tensor, eqn.inputs))
    e.put(eqn, f"torch.cat(({parts},), {eqn.params['axis']})", owned=True)
    return True


@_text("stop_gradient", "name", "stand_in")
def _same(e: Emitter, eqn: Equation) -> bool:
    e.put(eqn, e.tensor(eqn.inputs[0]), of=[eqn.inputs[0]])
    return True


# ------------------------------------------------------------------------------------------------------- reductions


def _reduction(name: str, function: str) -> None:
    def write(e: Emitter, eqn: Equation) -> bool:
        (x,), axes, keep = eqn.inputs, tuple(eqn.params["axes"]), eqn.params["keepdims"]
        if x.is_literal or not axes or _kinds(eqn) != {"f"} or 0 in x.aval.shape:
            return False
        every = len(axes) == x.aval.ndim and not keep
        e.put(eqn, f"torch.{function}({e.operand(x)}{'' if every else f', {axes}, {keep}'})", owned=True)
        return True

    TEXTS[name] = write


_reduction("reduce_sum", "sum")
_reduction("reduce_max", "amax")
_reduction("reduce_min", "amin")


def _softmax(name: str, function: str) -> None:
    def write(e: Emitter, eqn: Equation) -> bool:
        x, axes = eqn.inputs[0], eqn.params["axes"]
        if len(axes) != 1 or x.is_literal:
            return False
        e.put(eqn, f"torch.{function}({e.operand(x)}, {axes[0]})", owned=True)
        return True

    TEXTS[name] = write


_softmax("softmax", "softmax")
_softmax("log_softmax", "log_softmax")


# --------------------------------------------------------------------------------------------------------- products


def _permuted(text: str, order: Sequence[int]) -> str:
    return text if list(order) == list(range(len(order))) else f"{text}.permute({tuple(order)})"


def _shaped(text: str, have: Sequence[int], want: Sequence[int]) -> str:
    return text if list(have) == list(want) else f"{text}.reshape({tuple(want)})"


def product_parts(eqn: Equation, a: str, b: str) -> tuple[str, str, tuple[int, ...]] | None:
    """The two factors of a product as matrices (or stacks of them), and the shape that their product has; None for a
    product without a sum."""
    (ca, cb), (ba, bb) = eqn.params["contract"], eqn.params["batch"]
    sa, sb = (x.aval.shape for x in eqn.inputs)
    fa = [i for i in range(len(sa)) if i not in ca and i not in ba]
    fb = [i for i in range(len(sb)) if i not in cb and i not in bb]
    lead = [sa[i] for i in ba]
    m, k, n = (math.prod(s[i] for i in axes) for s, axes in ((sa, fa), (sa, ca), (sb, fb)))
    if not ca:
        return None
    if not ba and fa and list(ca) == list(range(len(ca))) and fa[0] == len(ca):
        left = _shaped(a, sa, (k, m)) + ".T"
    else:
        order = (*ba, *fa, *ca)
        left = _shaped(_permuted(a, order), [sa[i] for i in order], (*lead, m, k))
    if not bb and fb and fb == list(range(len(fb))) and list(cb) == list(range(len(fb), len(sb))):
        right = _shaped(b, sb, (n, k)) + ".T"
    else:
        order = (*bb, *cb, *fb)
        right = _shaped(_permuted(b, order), [sb[i] for i in order], (*lead, k, n))
    return left, right, (*lead, m, n)


@_text("dot_general")
def _dot_general(e: Emitter, eqn: Equation) -> bool:
    a, b = eqn.inputs
    if not _kinds(eqn) <= set("fc"):
        return False
    left, right = e.tensor(a), e.tensor(b)
    (ca, cb), (ba, bb) = eqn.params["contract"], eqn.params["batch"]
    if len(ba) + len(ca) == a.aval.ndim and len(bb) + len(cb) == b.aval.ndim and ba and len(ca) == 1:
        order_a, order_b = (*ba, *ca), (*bb, *cb)  # a sum for each example
        e.put(eqn, f"({_permuted(left, order_a)} * {_permuted(right, order_b)}).sum(-1)", owned=True)
        return True
    if not ba and ca == cb == tuple(range(a.aval.ndim)) == tuple(range(b.aval.ndim)):
        e.put(eqn, f"torch.dot({left}.reshape(-1), {right}.reshape(-1))", owned=True)
        return True
    parts = product_parts(eqn, left, right)
    if parts is None:
        return False
    left, right, shape = parts
    bias = e.bias_of(eqn)
    if bias is not None:
        add, vector = bias
        text = f"torch.addmm({e.operand(vector)}, {left}, {right})"
        e.put(eqn, _shaped(text, shape, add.outputs[0].aval.shape), owned=True)
        return True
    e.put(eqn, _shaped(f"({left} @ {right})", shape, eqn.outputs[0].aval.shape), owned=True)
    return True
