"""The text around a program: reading and clearing the flags of floating-point errors, and host steps."""

from __future__ import annotations

import platform

from funcgrad.native.entry_words import FLAGS, FRAME, GLOBALS

__all__ = ["FLUSH", "floating_state", "state_text", "supported", "trampoline"]

_MACHINE = {"x86_64": "x86", "amd64": "x86", "aarch64": "arm", "arm64": "arm"}.get(platform.machine().lower())


def supported() -> bool:
    """Whether the flags of floating-point errors can be read on this processor."""
    return _MACHINE is not None


# Reading and writing the floating-point state. On both processors the state is one number: flags in x86's order in the
# lowest five bits, and the bits that flush subnormal numbers.
_STATE = {
    "x86": """
define internal i32 @read() alwaysinline {
  %m = alloca i32
  call void asm sideeffect "stmxcsr $0", "=*m,~{memory}"(ptr elementtype(i32) %m)
  %v = load i32, ptr %m
  ret i32 %v
}
define internal void @write(i32 %v) alwaysinline {
  %m = alloca i32
  store i32 %v, ptr %m
  call void asm sideeffect "ldmxcsr $0", "*m,~{memory}"(ptr elementtype(i32) %m)
  ret void
}
""",
    "arm": f"""
define internal i32 @read() alwaysinline {{
  %s = call i64 asm sideeffect "mrs $0, fpsr", "=r,~{{memory}}"()
  %c = call i64 asm sideeffect "mrs $0, fpcr", "=r,~{{memory}}"()
  %s0 = trunc i64 %s to i32
  %invalid = and i32 %s0, 1
  %rest = and i32 %s0, 14
  %moved = shl i32 %rest, 1
  %flags = or i32 %invalid, %moved
  %c0 = trunc i64 %c to i32
  %control = and i32 %c0, {1 << 24}
  %v = or i32 %flags, %control
  ret i32 %v
}}
define internal void @write(i32 %v) alwaysinline {{
  %invalid = and i32 %v, 1
  %rest = lshr i32 %v, 1
  %others = and i32 %rest, 14
  %s0 = or i32 %invalid, %others
  %s = zext i32 %s0 to i64
  call void asm sideeffect "msr fpsr, $0", "r,~{{memory}}"(i64 %s)
  %c = call i64 asm sideeffect "mrs $0, fpcr", "=r,~{{memory}}"()
  %without = and i64 %c, {~(1 << 24)}
  %bit0 = and i32 %v, {1 << 24}
  %bit = zext i32 %bit0 to i64
  %with = or i64 %without, %bit
  call void asm sideeffect "msr fpcr, $0", "r,~{{memory}}"(i64 %with)
  ret void
}}
""",
}

FLUSH = {"x86": 1 << 15 | 1 << 6, "arm": 1 << 24, None: 0}[_MACHINE]
"""The bits that flush subnormal numbers."""

# `guarded` runs a program; it returns its status, and behind eight bits the flags that were raised. `flags` gives those
# that are raised now.
_GUARDED = f"""
define internal i32 @cleared(i32 %v) alwaysinline {{
  %c = and i32 %v, {~FLAGS}
  ret i32 %c
}}
define i32 @guarded(ptr %code, ptr %table, i32 %flush) {{
entry:
  %old = call i32 @read()
  %clear = call i32 @cleared(i32 %old)
  %new = or i32 %clear, %flush
  %same = icmp eq i32 %new, %old
  br i1 %same, label %run, label %prepare
prepare:
  call void @write(i32 %new)
  br label %run
run:
  %status = call i32 %code(ptr %table)
  %now = call i32 @read()
  %raised = and i32 %now, {FLAGS}
  %shifted = shl i32 %raised, 8
  %result = or i32 %status, %shifted
  %none = icmp eq i32 %raised, 0
  %leave = and i1 %none, %same
  br i1 %leave, label %done, label %put
put:
  call void @write(i32 %old)
  br label %done
done:
  ret i32 %result
}}
define i32 @flags() {{
  %now = call i32 @read()
  %raised = and i32 %now, {FLAGS}
  ret i32 %raised
}}
"""

# A host step: `self` is an array of (frame, function of Python's). The flags that were raised so far are noted down,
# since NumPy clears them.
_STEP = """
define ptr @step(ptr %self, ptr %none) {{
entry:
  %at = getelementptr i8, ptr %self, i64 {data}
  %words = load ptr, ptr %at
  %frame = load ptr, ptr %words
  %second = getelementptr ptr, ptr %words, i64 1
  %function = load ptr, ptr %second
  %globals = load ptr, ptr %frame
  %call.p = getelementptr ptr, ptr %globals, i64 {call}
  %call = load ptr, ptr %call.p
  %state = call i32 @read()
  %raised = and i32 %state, {FLAGS}
  %flags.p = getelementptr i64, ptr %frame, i64 {flags}
  %before = load i64, ptr %flags.p
  %wide = zext i32 %raised to i64
  %all = or i64 %before, %wide
  store i64 %all, ptr %flags.p
  %result = call ptr %call(ptr %function, ptr null, i64 0, ptr null)
  %clear = call i32 @cleared(i32 %state)
  call void @write(i32 %clear)
  ret ptr %result
}}
"""


def floating_state() -> str:
    """The text of functions that read and write the floating-point state."""
    assert _MACHINE is not None
    return _STATE[_MACHINE]


def state_text(head: int) -> str:
    """The text; `head` is where in an array the address of its data is."""
    step = _STEP.format(data=head, call=GLOBALS["call"], flags=FRAME["flags"], FLAGS=FLAGS)
    return floating_state() + _GUARDED + step


def trampoline(pointers: int) -> str:
    """The program's function of a table of pointers: what `code` of a frame is the address of."""
    lines = ["define i32 @table(ptr %t) {"]
    for i in range(pointers):
        lines += [f"  %a{i} = getelementptr ptr, ptr %t, i64 {i}", f"  %p{i} = load ptr, ptr %a{i}"]
    arguments = ", ".join(f"ptr %p{i}" for i in range(pointers))
    return "\n".join([*lines, f"  %r = call i32 @run({arguments})", "  ret i32 %r", "}", ""])
