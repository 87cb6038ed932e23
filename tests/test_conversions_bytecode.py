"""What becomes of a plain number is read from the caller's bytecode: without source text, and however it is called."""

from __future__ import annotations

import ctypes
import dis
import functools
import linecache
import math
import statistics
import struct
import subprocess
import sys
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import call_sites, grad, jvp, vjp
from funcgrad.errors import ConcretizationTypeError, TracerArrayConversionError

HEADER = """
import array, cmath, collections, ctypes, functools, logging, math, operator, random, statistics, struct
import numpy as np
from math import exp as e_to_the

class Methods:
    exp = math.exp
    plain = float
    nan = staticmethod(math.isnan)
    f: object
    def __init__(self):
        self.f = math.exp
        self.number = float
    @property
    def lazily(self):
        raise RuntimeError("a property was run")

class Slots:
    __slots__ = ("f",)
    def __init__(self):
        self.f = math.exp

class Float(float):
    pass

class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_double)]

def call(f, *args, **kwargs):
    return f(*args, **kwargs)

def make(f):
    return lambda x: f(x)

fs = [math.exp, float]
m, s = Methods(), Slots()
text = "%.1f"
"""

# Bodies of functions of `t` which would lose a derivative, and a piece of the advice.
LOSING = {
    "math": ("return math.exp(t)", r"np\.exp"),
    "name": ("return e_to_the(t)", r"np\.exp"),
    "local": ("f = math.exp\n    return f(t)", r"np\.exp"),
    "argument": ("return call(math.exp, t)", r"np\.exp"),
    "star": ("return math.exp(*[t])", r"np\.exp"),
    "stars": ("return call(math.hypot, *[t, t], **{})", r"np\.hypot"),
    "closure": ("return make(math.exp)(t)", r"np\.exp"),
    "list": ("return fs[0](t)", r"float\(x\)"),
    "dict": ("return {'a': math.exp}['a'](t)", r"float\(x\)"),
    "partial": ("return functools.partial(math.exp)(t)", r"float\(x\)"),
    "map": ("return list(map(math.sin, [t]))[0]", r"float\(x\)"),
    "unpacked map": ("a, = map(math.sin, [t])\n    return a", r"float\(x\)"),
    "map in a loop": ("for a in map(math.sin, [t]):\n        pass\n    return a", r"float\(x\)"),
    "star map": ("return max(*map(math.sin, [t, t]))", "traced"),
    "methodcaller": ("return operator.methodcaller('exp', t)(math)", "traced"),
    "choice": ("return (math.exp if t > 0 else math.log)(t)", "traced"),
    "choice of float": ("return (float if t < 0 else math.exp)(t)", "traced"),
    "argument chosen": ("return math.exp(t if t > 0 else -t)", r"np\.exp"),
    "float inside": ("return math.exp(t if float(t) > 0 else -t)", r"np\.exp"),
    "in a float": ("return float(math.exp(t))", r"np\.exp"),
    "or": ("return (None or math.exp)(t)", "traced"),
    "class": ("return Methods.exp(t)", r"np\.exp"),
    "instance": ("return m.f(t)", r"np\.exp"),
    "method": ("return Methods().f(t)", "traced"),
    "slots": ("return s.f(t)", "traced"),
    "walrus": ("f = math.exp\n    return f((f := float)(t) and t)", "traced"),
    "shadowed": ("float = math.exp\n    return float(t)", r"np\.exp"),
    "lambda": ("return (lambda v: math.exp(v))(t)", r"np\.exp"),
    "comprehension": ("return [math.exp(v) for v in [t]][0]", r"np\.exp"),
    "comprehended callee": ("return [f(t) for f in [math.exp]][0]", "traced"),
    "generator": ("return sum(f(t) for f in [math.exp])", "traced"),
    "dict comprehension": ("return {k: f(t) for k, f in [(0, math.exp)]}[0]", "traced"),
    "try": ("try:\n        raise KeyError\n    except KeyError:\n        return math.exp(t)", "traced"),
    "subclass": ("return Float(t) * t", "traced"),
    "np.float64": ("return np.float64(t) * t", "astype"),
    "a[0] = x": ("a = np.zeros(3)\n    a[0] = t\n    return a[0]", r"funcgrad\.at"),
    "a[:1] = x": ("a = np.zeros(3)\n    a[:1] = t\n    return a[0]", r"funcgrad\.at"),
    "a[0] = x in a tuple": ("a = np.zeros(3)\n    a[0], b = t, t\n    return a[0]", "traced"),
    "for a[0]": ("a = np.zeros(3)\n    for a[0] in [t]:\n        pass\n    return a[0]", "traced"),
    "a.fill": ("a = np.zeros(3)\n    a.fill(t)\n    return a[0]", "traced"),
    "setitem": ("a = np.zeros(3)\n    operator.setitem(a, 0, t)\n    return a[0]", "traced"),
    "array": ("return array.array('d', [t])[0]", "traced"),
    "array element": ("a = array.array('d', [0.0])\n    a[0] = t\n    return a[0]", "traced"),
    "array.append": ("a = array.array('d')\n    a.append(t)\n    return a[0]", "traced"),
    "ctypes": ("return ctypes.c_double(t).value", "traced"),
    "ctypes value": ("c = ctypes.c_double()\n    c.value = t\n    return c.value", "traced"),
    "ctypes field": ("p = Point()\n    p.x = t\n    return p.x", "traced"),
    "ctypes element": ("a = (ctypes.c_double * 1)()\n    a[0] = t\n    return a[0]", "traced"),
    "fsum": ("return math.fsum([t, t])", r"np\.sum"),
    "fmean": ("return statistics.fmean([t, t])", "traced"),
    "NormalDist": ("return statistics.NormalDist(t, 1.0).mean", "traced"),
    "cmath": ("return cmath.exp(t).real", r"np\.exp"),
    "copysign": ("return math.copysign(t, 1.0)", r"np\.copysign"),
    "random": ("return random.Random(0).gammavariate(t, 1.0) + np.random.default_rng(0).normal(t)", "traced"),
    "unknown format": ("return float([text][0] % t) * t", "traced"),
    "lambda in a container": ("return [lambda v: math.exp(v)][0](t)", r"np\.exp"),
    "accumulate": ("return functools.reduce(math.pow, [t, t])", "traced"),
    "float in a container": ("return t * fs[1](t)", r"float\(x\)"),
    "many names": (
        "(" + ", ".join(f"v{i}" for i in range(300)) + ",) = range(300)\n    return math.exp(t)",
        r"np\.exp",
    ),
}

# C code that gives an error of its own when a conversion raises.
REPLACING = {
    "a.flat": "a = np.zeros(3)\n    a.flat[0] = t\n    return a[0]",
    "memoryview": "a = memoryview(array.array('d', [0.0]))\n    a[0] = t\n    return a[0]",
    "struct": "return struct.unpack('d', struct.pack('d', t))[0]",
}

# Those that have told so, or lose nothing; and the derivative at 2.
ALLOWED = {
    "float": ("return t * float(t)", 2.0),
    "starred": ("return t * float(*[t])", 2.0),
    "builtins": ("import builtins\n    return t * builtins.float(t)", 2.0),
    "local": ("f = float\n    return t * f(t)", 2.0),
    "argument": ("return t * call(float, t)", 2.0),
    "closure": ("return t * make(float)(t)", 2.0),
    "instance": ("return t * m.number(t)", 2.0),
    "class": ("return t * Methods.plain(t)", 2.0),
    "static method": ("return t if Methods.nan(t) else 3 * t", 3.0),
    "complex": ("return t * complex(t, t).real", 2.0),
    "complex keyword": ("return t * complex(real=1.0, imag=t).imag", 2.0),
    "nested": ("return t * math.exp(float(t)) / math.exp(2.0)", 1.0),
    "argument chosen": ("return t * float(t if t > 0 else -t)", 2.0),
    "comprehension": ("return t * sum([float(v) for v in [t, t]])", 4.0),
    "generator": ("return t * sum(float(v) for v in [t, t])", 4.0),
    "with": ("import contextlib\n    with contextlib.nullcontext() as n:\n        return t * float(t)", 2.0),
    "except": ("try:\n        1 / 0\n    except ZeroDivisionError:\n        return t * float(t)", 2.0),
    "finally": ("try:\n        pass\n    finally:\n        y = t * float(t)\n    return y", 2.0),
    "loop": ("y = 0.0\n    for _ in range(300):\n        y = y + t * float(t)\n    return y / 300", 2.0),
    "and": ("return t * (True and float(t))", 2.0),
    "chain": ("return t if 0.0 < float(t) < math.inf else 0.0", 1.0),
    "match": ("match float(t):\n        case 2.0:\n            return 7 * t\n    return t", 7.0),
    "int": ("return t * fs[1](list(map(int, [t]))[0])", 2.0),
    "round": ("return t * functools.partial(round)(t)", 2.0),
    "questions": ("return t if cmath.isnan(t) or math.isclose(t, 0.0, rel_tol=t - t) else 4 * t", 4.0),
    "format": ("return t * float(f'{t:.1f}') + 0 * len('%s' % t)", 2.0),
    "percent": ("return t * float('%.1f' % t)", 2.0),
    "percent, two": ("return t * float(('%.1f%.0f' % (t, t))[:3])", 2.0),
    "percent, global": ("return t * float(text % t)", 2.0),
    "percent, in place": ("y = '%.1f'\n    y %= t\n    return t * float(y)", 2.0),
    "percent, f-string": ("n = 1\n    return t * float(f'%.{n}f' % t)", 2.0),
    "bytes": ("return t * float(b'%.1f' % t)", 2.0),
    "logging": ("logging.LogRecord('', 0, '', 0, '%.3f', (t,), None).getMessage()\n    return t", 1.0),
    "item": ("return t * t.item() * [t][0].item()", 4.0),
    "many names": ("(" + ", ".join(f"v{i}" for i in range(300)) + ",) = range(300)\n    return t * float(t)", 2.0),
}


@functools.cache
def function(body: str) -> Callable[[Any], Any]:
    """A function of `t`, of which there is no source text."""
    scope: dict[str, Any] = {"__name__": "nowhere"}
    exec(compile(f"{HEADER}\ndef fun(t):\n    {body}\n", "<nowhere>", "exec"), scope)
    assert linecache.getline("<nowhere>", 1) == ""
    return scope["fun"]


@pytest.mark.parametrize("name", LOSING)
def test_nothing_is_lost(name: str) -> None:
    body, advice = LOSING[name]
    fun = function(body)
    for run in (grad(fun), grad(grad(fun)), lambda x: jvp(fun, (x,), (1.0,)), lambda x: vjp(fun, x), fg.jit(grad(fun))):
        for x in (2.0, np.array(2.0)):
            with pytest.raises((TracerArrayConversionError, ConcretizationTypeError), match=advice):
                run(x)


@pytest.mark.parametrize("name", REPLACING)
def test_other_errors(name: str) -> None:
    for run in (grad(function(REPLACING[name])), lambda x: jvp(function(REPLACING[name]), (x,), (1.0,))):
        with pytest.raises((TypeError, ValueError, struct.error)):
            run(2.0)


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_meant(name: str) -> None:
    body, slope = ALLOWED[name]
    fun = function(body)
    for x in (2.0, np.array(2.0)):
        assert grad(fun)(x) == pytest.approx(slope)
        assert jvp(fun, (x,), (1.0,))[1] == pytest.approx(slope)


def test_the_order_of_calls_is_of_no_account() -> None:
    def call(f: Any, a: Any) -> Any:
        return f(a)

    for first, second in ((float, math.exp), (math.exp, float)):
        for _ in range(2):
            for f in (first, second):
                if f is float:
                    assert grad(lambda x: x * call(float, x))(3.0) == 3.0
                else:
                    with pytest.raises(TracerArrayConversionError, match=r"np\.exp"):
                        grad(lambda x: call(math.exp, x))(3.0)


def test_top_level_code() -> None:
    """Where variables are no fast ones, and a comprehension's may be hidden."""

    def at_top(source: str) -> Any:
        def fun(x: Any) -> Any:
            found: dict[str, Any] = {"math": math, "x": x, "f": float, "np": np}
            exec(source, found)
            return found["y"] * x

        return grad(fun)(3.0)

    assert at_top("y = float(x)") == 3.0
    assert at_top("y = f(x)") == 3.0
    assert at_top("class C:\n    g = float\n    z = g(x)\ny = C.z") == 3.0
    for source in (
        "y = math.exp(x)",
        "f = math.exp; y = f(x)",
        "y = [f(x) for f in [math.exp]][0]",  # not the global `f`
        "float = math.exp; y = float(x)",
        "class C:\n    f = math.exp\n    z = f(x)\ny = C.z",
        "y = eval('math.exp(x)')",
        "a = np.zeros(3); a[0] = x; y = a[0]",
    ):
        with pytest.raises(TracerArrayConversionError):
            at_top(source)


def test_a_comprehension_in_a_closure() -> None:
    """`f` is the comprehension's in one place, and the enclosing function's in another."""

    def outer(f: Any) -> Any:
        def inner(x: Any) -> Any:
            first = [f(x) for f in [math.exp]]
            return x * first[0]

        def other(x: Any) -> Any:
            return x * f(x)

        return inner, other

    inner, other = outer(float)
    with pytest.raises(TracerArrayConversionError):
        grad(inner)(2.0)
    assert grad(other)(2.0) == 2.0


def test_attributes_are_found_without_running_code() -> None:
    ran: list[str] = []

    class Odd:
        @property
        def f(self) -> Any:
            ran.append("property")
            return float if len(ran) > 1 else math.exp

        def __getattr__(self, name: str) -> Any:
            ran.append("getattr")
            return float if len(ran) > 1 else math.exp

    odd = Odd()
    for fun in (lambda x: Odd().f(x), lambda x: odd.f(x), lambda x: odd.g(x)):
        ran.clear()
        with pytest.raises(TracerArrayConversionError):
            grad(fun)(2.0)
        assert len(ran) == 1


def test_libraries_do_not_say_float_for_the_user() -> None:
    with pytest.raises(TracerArrayConversionError):
        normal: Any = statistics.NormalDist
        grad(lambda x: normal(x).mean)(2.0)
    integrate = pytest.importorskip("scipy.integrate")
    optimize = pytest.importorskip("scipy.optimize")
    for fun in (
        lambda x: integrate.quad(lambda s: s * x, 0.0, 1.0)[0],
        lambda x: optimize.brentq(lambda s: s * s - x, 0.0, 3.0),
    ):
        with pytest.raises((TypeError, SystemError)):  # some of SciPy's C code replaces errors
            grad(fun)(2.0)


def test_an_integer_has_no_derivative_to_lose() -> None:
    def integer(x: Any) -> Any:
        return np.rint(x).astype(int)

    functions: list[Callable[[Any], Any]] = [
        lambda x: x * math.factorial(integer(x)),
        lambda x: x * [math.sqrt][0](integer(x)),
    ]
    assert grad(functions[0])(3.0) == 6.0
    assert grad(functions[1])(9.0) == 3.0


def test_under_jit_a_guard_makes_it_right() -> None:
    cases: dict[str, Callable[[Any], Any]] = {
        "float": lambda x: x * float(np.floor(x)),
        "list": lambda x: x * [float][0](np.floor(x)),
        "map": lambda x: x * next(map(float, [np.floor(x)])),
        "int": lambda x: x * [int][0](x),
        "bool": lambda x: x * next(map(bool, [x])),
        "partial": lambda x: x * functools.partial(float)(np.floor(x)),
        "struct": lambda x: x * ctypes.c_double(np.floor(x)).value,
    }
    for f in cases.values():
        g = fg.jit(f)
        for x in (1.5, 2.5, 1.5):
            assert g(x) == f(x)
    for f in (cases["list"], cases["map"], cases["partial"], cases["struct"]):
        for d in (grad(fg.jit(f)), fg.jit(grad(f))):
            with pytest.raises((TracerArrayConversionError, ConcretizationTypeError)):
                d(1.5)
    assert grad(fg.jit(cases["float"]))(1.5) == fg.jit(grad(cases["float"]))(1.5) == 1.0
    with pytest.raises(TracerArrayConversionError, match=r"np\.exp"):
        fg.jit(lambda x: math.exp(x))(1.0)


def test_python_c() -> None:
    lines = [
        "import math, numpy as np",
        "from funcgrad import grad",
        "from funcgrad.errors import TracerArrayConversionError",
        "def store(x):",
        "    a = np.zeros(3); a[0] = x; return a[0]",
        "for f in (lambda x: math.exp(x), lambda x: np.float64(x) * x, store):",
        "    try: print(grad(f)(1.0))",
        "    except TracerArrayConversionError as e: print('raised', 'write instead' in str(e), '<string>' in str(e))",
        "print(grad(lambda x: x * float(x))(3.0))",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["raised True True"] * 3 + ["3.0", ""]


# ------------------------------------------------------------------------------------------------------ the reader


def test_effects_of_instructions() -> None:
    """The table agrees with Python's own about how the depth of the stack changes."""
    for name, (takes, gives) in call_sites._EFFECTS.items():
        merged = sys.version_info < (3, 12) and name in ("CALL", "PRECALL")  # counted together there
        if name not in dis.opmap or merged:
            continue
        code = dis.opmap[name]
        for arg in range(8):
            there = [n if isinstance(n, int) else n(arg) for n in (gives, takes)]
            argument = arg if code >= dis.HAVE_ARGUMENT else None
            assert dis.stack_effect(code, argument, jump=False) == there[0] - there[1], (name, arg)


def codes() -> list[CodeType]:
    """The code of many functions: those of Python's own modules, NumPy's and ours that are imported."""
    roots = {*sys.stdlib_module_names, "numpy", "funcgrad"}
    given = [m for name, m in sorted(sys.modules.items()) if name.partition(".")[0] in roots]
    modules = [m for m in given if "@pytest_ar" not in vars(m)]  # whose assertions pytest has rewritten
    classes = {c for m in modules for c in vars(m).values() if isinstance(c, type)}
    found = {f.__code__ for space in (*modules, *classes) for f in vars(space).values() if isinstance(f, FunctionType)}
    return sorted(found, key=lambda code: (code.co_filename, code.co_firstlineno))[::4]


def test_symbols_are_where_positions_say() -> None:
    """A callee that is a global is one by its place in the source, too; and most callees are found."""
    known = calls = 0
    for code in codes():
        loaded = {i.positions: i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
        actions = call_sites._Reader(code).actions()
        for i in dis.get_instructions(code):
            if i.opname != "CALL":
                continue
            calls += 1
            subject, place = actions[i.offset].subject if i.offset in actions else None, i.positions
            known += subject is not None
            if (
                isinstance(subject, call_sites.Name)
                and subject.scope == "global"
                and place is not None
                and place.col_offset is not None
            ):
                starts = [
                    n for p, n in loaded.items() if p and (p.lineno, p.col_offset) == (place.lineno, place.col_offset)
                ]
                assert not starts or subject.name in starts, (code, i)
    assert calls > 3000 and known > 0.6 * calls


def test_the_caches_hold_their_code() -> None:
    """Code objects that come and go do not mistake one another for what they are."""
    for i in range(50):
        name = "float" if i % 2 else "math.exp"
        fun = eval(compile(f"lambda x: x * {name}(x)", "<gone>", "eval"), {"math": math})
        if i % 2:
            assert grad(fun)(3.0) == 3.0
        else:
            with pytest.raises(TracerArrayConversionError):
                grad(fun)(3.0)
        del fun
