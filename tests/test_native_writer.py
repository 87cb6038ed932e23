"""The writer of LLVM text, by itself."""

from __future__ import annotations

import numpy as np
import pytest

from funcgrad.native.code import NativeCode
from funcgrad.native.writer import Writer, arithmetic, component, memory_type, scalar_literal


def test_types_of_registers_and_of_memory() -> None:
    w = Writer()
    names = {"?": "i1", "b": "i8", "H": "i16", "l": "i64", "e": "half", "f": "float", "d": "double", "D": "double"}
    assert {c: w.type(np.dtype(c)) for c in names} == names
    with w.lanes(4):
        assert w.type(np.dtype("f")) == "<4 x float>" and w.mask() == "<4 x i1>"
    assert w.type(np.dtype("f")) == "float"
    assert memory_type(np.dtype(bool)) == "i8"
    assert component(np.dtype(np.complex64)) == np.float32
    assert arithmetic(np.dtype("D")) and not arithmetic(np.dtype("g"))


def test_literals() -> None:
    assert scalar_literal(1.0, np.dtype(np.float32)) == "0x3FF0000000000000"
    assert scalar_literal(1.0, np.dtype(np.float16)) == "0xH3C00"
    assert scalar_literal(-3, np.dtype(np.int8)) == "-3"
    assert scalar_literal(True, np.dtype(bool)) == "true"
    one = ("0x3FF0000000000000", "0x4000000000000000")
    assert Writer().literal(1 + 2j, np.dtype(complex)) == one
    assert Writer(4).literal(1, np.dtype(np.int32)) == "splat (i32 1)"


def test_a_module_runs() -> None:
    llvm = pytest.importorskip("llvmlite.binding")
    ctypes = pytest.importorskip("ctypes")
    w = Writer()
    total = w.alloca("double")
    w.write(f"store double {w.literal(0.0, np.dtype(float))}, ptr {total}")

    def body(i: str) -> None:
        x = w.load("double", w.offset("%x", "double", i))
        root = w.intrinsic("sqrt", np.dtype(float))
        w.store(
            "double", w.op(f"fadd double {w.load('double', total)}, {w.op(f'call double {root}(double {x})')}"), total
        )

    w.loop(0, "%n", body)
    w.write(f"ret double {w.load('double', total)}")
    text = w.module("define double @roots(ptr %x, i64 %n)")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(text)
    module.verify()
    engine = llvm.create_mcjit_compiler(module, llvm.Target.from_default_triple().create_target_machine())
    engine.finalize_object()
    f = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_void_p, ctypes.c_int64)(engine.get_function_address("roots"))
    x = np.arange(5.0)
    assert f(x.ctypes.data, 5) == pytest.approx(np.sum(np.sqrt(x)))


def test_going_back_leaves_no_trace() -> None:
    w = Writer()
    w.op("add i64 1, 2")
    before = w.module("define void @f()")
    mark = w.mark()
    w.loop(0, 3, lambda i: w.store("double", "0.0", w.offset("%x", "double", i)))
    w.rewind(mark)
    assert w.module("define void @f()") == before


def test_pointers_are_counted() -> None:
    code = NativeCode("", (), (), (np.zeros(1),), (8, 8), ("f",), (), 0)
    assert code.pointers == 4 and code.reasons == ()


@pytest.mark.parametrize(("calls", "how"), [(20, "noinline"), (1, "alwaysinline")])
@pytest.mark.parametrize("asked", ["", "alwaysinline "])
def test_functions_that_are_called_often_are_not_copied(calls: int, how: str, asked: str) -> None:
    """Also those whose definitions ask for it: LLVM takes one attribute of the two."""
    w = Writer()
    one = np.dtype(float)
    for _ in range(calls):
        w.op(f"call double {w.function('f', one)}(double %x)")
    w.write("ret void")
    text = f"define internal double @fg.f.f64(double %x) nounwind {asked}{{\n  ret double %x\n}}\n"
    module = w.module("define void @g(double %x)", lambda name, dtype, width: text)
    assert f"nounwind {how} {{" in module and module.count("inline") == 1


def test_memory_is_aligned_as_its_type_wants_it() -> None:
    w = Writer()
    for type, n in (("double", 1), ("<8 x double>", 1), ("double", 3)):
        w.alloca(type, n)
    assert [line.split(" = ")[1] for line in w.entry] == [
        "alloca double",
        "alloca <8 x double>",
        "alloca double, i64 3, align 64",
    ]
