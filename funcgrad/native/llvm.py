"""LLVM: from the text of a module to object code, and from object code to addresses in memory.

llvmlite, the extra `native`, is imported when the first module is compiled or loaded: that takes some 40 ms and 90 MB.
Its functions release Python's lock, and here one lock more lets them run one after the other. That lock is held around
each stage of a compilation, by a fork, and from the end of the interpreter on: so no process is left, or begun, in the
midst of LLVM.
"""

from __future__ import annotations

import atexit
import ctypes
import os
from collections import deque
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple
from weakref import ref

from funcgrad.native.once import lock, once

__all__ = ["Library", "Options", "available", "guard_process", "loaded", "lock", "target", "to_assembly", "to_object"]


class Options(NamedTuple):
    """How modules are optimised.

    Attributes:
        level: of the passes, 0 to 3.
        code: of the code generator, 0 to 3. (By 2 it takes a tenth longer, and gives the same code.)
        verify: check the module before and after.
    """

    level: int = 1
    code: int = 1
    verify: bool = False


DEFAULT = Options()


@cache
def available() -> bool:
    """Whether llvmlite is installed. (It is not imported.)"""
    try:
        return find_spec("llvmlite") is not None
    except ImportError:
        return False


_ready = False


@once
def _binding() -> Any:
    """llvmlite's binding, made ready."""
    global _ready
    guard_process()
    _load_library()
    import llvmlite.binding as binding

    binding.initialize_native_target()
    binding.initialize_native_asmparser()
    binding.initialize_native_asmprinter()
    _ready = True
    return binding


@once
def guard_process() -> None:
    """Let no process be forked, and none end, in the midst of LLVM."""
    atexit.register(_leave)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


def _load_library() -> None:
    """Load llvmlite's library by a call that releases Python's lock, which an import keeps: it takes 10 ms and more."""
    spec = find_spec("llvmlite")
    if os.name != "posix" or spec is None or not spec.submodule_search_locations:
        return
    for name in ("libllvmlite.so", "libllvmlite.dylib"):
        path = os.path.join(spec.submodule_search_locations[0], "binding", name)
        if os.path.exists(path):
            dlopen = ctypes.CDLL(None).dlopen
            dlopen.restype, dlopen.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_int]
            dlopen(os.fsencode(path), os.RTLD_NOW)


def _leave() -> None:
    """Wait for the stage that a thread is in, and let none begin: LLVM's memory is about to go."""
    lock.acquire()


def loaded() -> bool:
    """Whether llvmlite has been imported here."""
    return _ready


class Target(NamedTuple):
    """What code is compiled for, and by what."""

    triple: str
    cpu: str
    features: str
    llvmlite: str
    llvm: str


@once
def target() -> Target:
    """This machine, and the versions of llvmlite and LLVM."""
    binding = _binding()
    import llvmlite

    features = binding.get_host_cpu_features().flatten()
    version = ".".join(map(str, binding.llvm_version_info))
    return Target(binding.get_process_triple(), binding.get_host_cpu_name(), features, llvmlite.__version__, version)


@once
def _machine(level: int) -> Any:
    triple, cpu, features, *_ = target()
    kind = _binding().Target.from_triple(triple)
    return kind.create_target_machine(opt=level, cpu=cpu, features=features, reloc="pic", codemodel="small")


@once
def _builder(level: int, code: int) -> Any:
    """What builds passes. It keeps nothing of the modules that they are run on; of itself something stays when it goes,
    so there is one for all."""
    with _binding().create_pipeline_tuning_options(level) as tuning:
        tuning.loop_unrolling = False  # hot loops are written with several vectors at a time
        return _binding().create_pass_builder(_machine(code), tuning)


def _optimised(text: str, options: Options) -> Any:
    """The module after all passes. Each has a context of its own, which goes with it."""
    binding = _binding()
    with lock:
        module = binding.parse_assembly(text, binding.create_context())
        if options.verify:
            module.verify()
    with lock:
        _run_passes(module, binding, _builder(options.level, options.code), options.level)
        if options.verify:
            module.verify()
    return module


def _run_passes(module: Any, binding: Any, builder: Any, level: int) -> None:
    """Put functions where they are called that want it, and let LLVM simplify each function.

    Its whole pipeline for modules takes twice the time, and the code is no faster: which functions are copied is said
    in the text, vectors are in the text, and all else that it does for modules has been done for programs.
    """
    manager, dispose = binding.create_new_module_pass_manager(), binding.ffi.lib.LLVMPY_DisposeNewModulePassManger
    manager.add_always_inliner_pass()
    _run(manager, [module], builder, dispose)
    if level:
        dispose = binding.ffi.lib.LLVMPY_DisposeNewFunctionPassManger
        functions = [f for f in module.functions if not f.is_declaration]
        _run(builder.getFunctionPassManager(), functions, builder, dispose)


def _run(manager: Any, parts: Sequence[Any], builder: Any, dispose: Any) -> None:
    try:
        for part in parts:
            manager.run(part, builder)
    finally:  # llvmlite takes the class's other base for what is to dispose of it
        dispose(manager)
        manager.detach()


def to_object(text: str, options: Options = DEFAULT) -> bytes:
    """The object code of a module, position-independent; raises RuntimeError where the text is no module.

    >>> code = to_object("define i32 @one() { ret i32 1 }")
    >>> ctypes.CFUNCTYPE(ctypes.c_int)(Library(code, ["one"])["one"])()
    1
    """
    return _emitted(text, options, lambda machine, module: machine.emit_object(module))


def to_assembly(text: str, options: Options = DEFAULT) -> str:
    """The assembly code of a module."""
    return _emitted(text, options, lambda machine, module: machine.emit_assembly(module))


def _emitted(text: str, options: Options, emit: Callable[[Any, Any], Any]) -> Any:
    module = _optimised(text, options)
    with lock:
        with module:
            code = emit(_machine(options.code), module)
        del module  # its context goes with it: a process that is forked does not meet LLVM in the midst of that
    return code


class _Linker:
    """Puts object code into memory. LLVM keeps 9 KB for each library that was ever linked, until the linker goes, so
    after some of them there is a new one, and the old one stays as long as its libraries."""

    current: Any = None
    links = 0

    @classmethod
    def get(cls) -> Any:
        if cls.current is None or cls.links >= _LINKS:
            cls.current, cls.links = _binding().create_lljit_compiler(_machine(DEFAULT.code)), 0
        cls.links += 1
        return cls.current


_LINKS = 200


class _Held(ref["Library"]):
    """What keeps a library's code in memory, and is told when nobody calls it any more. (In a `__del__` of Python's an
    interrupt would be lost.)"""

    __slots__ = ("linker", "tracker")
    linker: Any
    tracker: Any


_held: dict[int, _Held] = {}
_unused: deque[_Held] = deque()
"""Those that nobody calls any more. LLVM takes them out when it is used next: it may be busy now."""


def _take_out() -> None:
    while _unused:
        gone = _unused.popleft()
        del _held[id(gone)]
        gone.tracker.close()


_names = iter(range(1 << 62))


class Library:
    """Object code in memory, for as long as this lives; symbols that it lacks are those of the process.

    Args:
        code: object code.
        symbols: whose addresses are wanted.
    """

    __slots__ = ("__weakref__", "_addresses", "_linker", "_tracker", "size")

    def __init__(self, code: bytes, symbols: list[str]) -> None:
        binding = _binding()
        with lock:
            _take_out()
            self._linker = _Linker.get()
            builder = binding.JITLibraryBuilder().add_object_img(code).add_current_process()
            for symbol in symbols:
                builder.export_symbol(symbol)
            self._tracker = builder.link(self._linker, f"funcgrad{next(_names)}")
        held = _Held(self, _unused.append)
        held.tracker, held.linker = self._tracker, self._linker
        _held[id(held)] = held
        self._addresses = {symbol: self._tracker[symbol] for symbol in symbols}
        self.size = len(code)

    def __getitem__(self, symbol: str) -> int:
        return self._addresses[symbol]
