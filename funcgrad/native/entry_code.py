"""The text of the function that Python calls: from array objects to pointers, and from memory to array objects.

It is one module for all programs, compiled once: what it needs to know of a program lies in a block of memory, the
*frame*, whose words `entry_words` names. Python holds the frame as an array, which is the `self` of a builtin function
with the calling convention METH_FASTCALL.

A call claims the frame, finds the data of its arguments, makes the results, clears the flags of floating-point errors,
and runs the program. Arguments that are not as expected (of another class, not contiguous), and calls while another one
has the frame, go to `odd`; calls that NumPy is to run again go to `again`: both are Python functions of the arguments.
"""

from __future__ import annotations

from funcgrad.native import recycled
from funcgrad.native.code import AGAIN, RAISED
from funcgrad.native.entry_state import state_text
from funcgrad.native.entry_words import ARGUMENT, CONTIGUOUS_ALIGNED, FLAGS, FRAME, GLOBALS, KINDS, RESULT, SLOT
from funcgrad.native.recycled import recycled_text

__all__ = ["SYMBOLS", "entry_text"]

SYMBOLS = ["call", "step", "guarded", "flags", *recycled.SYMBOLS]
"""What the module defines."""


class _Text:
    """Lines of a function, with short names for what they do most."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = 0

    def op(self, text: str) -> str:
        self.count += 1
        self.lines.append(f"  %r{self.count} = {text}")
        return f"%r{self.count}"

    def do(self, *lines: str) -> None:
        self.lines += [f"  {line}" for line in lines]

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")

    def at(self, base: str, index: int | str) -> str:
        """The pointer to a word."""
        return self.op(f"getelementptr i64, ptr {base}, i64 {index}")

    def load(self, base: str, index: int | str = 0, type: str = "ptr") -> str:
        return self.op(f"load {type}, ptr {self.at(base, index)}")

    def store(self, value: str, base: str, index: int | str = 0, type: str = "ptr") -> None:
        self.do(f"store {type} {value}, ptr {self.at(base, index)}")

    def byte(self, base: str, offset: int, type: str) -> str:
        """What lies so many bytes behind a pointer."""
        return self.op(f"load {type}, ptr {self.op(f'getelementptr i8, ptr {base}, i64 {offset}')}")

    def word(self, name: str, type: str = "ptr") -> str:
        """A word of the frame."""
        return self.load("%frame", FRAME[name], type)

    def given(self, name: str) -> str:
        """One of the globals."""
        return self.load("%globals", GLOBALS[name])

    def same(self, a: str, b: str, then: str, otherwise: str, type: str = "ptr") -> None:
        self.do(f"br i1 {self.op(f'icmp eq {type} {a}, {b}')}, label %{then}, label %{otherwise}")

    def goto(self, label: str) -> None:
        self.do(f"br label %{label}")

    def loop(self, name: str, before: str, count: str, done: str, body: str) -> str:
        """The head of a loop over %name; its body ends in `goto(name.next)`, and `next` closes it."""
        self.label(f"{name}.head")
        self.do(f"%{name} = phi i64 [ 0, %{before} ], [ %{name}.1, %{name}.next ]")
        self.same(f"%{name}", count, done, body, "i64")
        self.label(body)
        return f"%{name}"

    def next(self, name: str) -> None:
        self.label(f"{name}.next")
        self.do(f"%{name}.1 = add nuw nsw i64 %{name}, 1", f"br label %{name}.head")


def entry_text(head: int, kind: int, free_threads: bool) -> str:
    """The module.

    Args:
        head: the bytes of an object's head, behind which its data lie.
        kind: where in an object its class is.
        free_threads: whether Python runs several threads at once.
    """
    t = _Text()
    _begin(t, head, free_threads)
    _arguments(t, head, kind)
    _results(t, head)
    _run(t)
    _flagged(t)
    _good(t)
    _other_ends(t)
    call = "\n".join(["define ptr @call(ptr %self, ptr %args, i64 %n) {", *t.lines, "}", ""])
    return state_text(head) + recycled_text(GLOBALS) + call


def _begin(t: _Text, head: int, free_threads: bool) -> None:
    """Find the frame, and claim it."""
    t.label("entry")
    t.do(
        "%now.p = alloca ptr", f"%frame.p = getelementptr i8, ptr %self, i64 {head}", "%frame = load ptr, ptr %frame.p"
    )
    t.do("%globals = load ptr, ptr %frame")
    for name, type in (("n_args", "i64"), ("n_results", "i64"), ("pointers", "ptr"), ("made", "ptr"), ("slots", "ptr")):
        t.do(f"%{name} = load {type}, ptr {t.at('%frame', FRAME[name])}")
    t.same("%n", "%n_args", "claim", "odd", "i64")
    t.label("claim")
    busy = t.at("%frame", FRAME["busy"])
    if free_threads:
        pair = t.op(f"cmpxchg ptr {busy}, i64 0, i64 1 acq_rel monotonic")
        t.do(f"br i1 {t.op(f'extractvalue {{ i64, i1 }} {pair}, 1')}, label %claimed, label %odd")
    else:
        t.same(t.op(f"load i64, ptr {busy}"), "0", "free", "odd", "i64")
        t.label("free")
        t.do(f"store i64 1, ptr {busy}")
        t.goto("claimed")
    t.label("claimed")
    t.store(t.op(f"add i64 {t.word('calls', 'i64')}, 1"), "%frame", FRAME["calls"], "i64")
    t.do(f"%arguments = load ptr, ptr {t.at('%frame', FRAME['arguments'])}")
    t.do(f"%array = load ptr, ptr {t.at('%globals', GLOBALS['array'])}")
    t.goto("a.head")


def _switch(t: _Text, spec: str, prefix: str, otherwise: str) -> None:
    """Branch by the kind of an argument or a result."""
    cases = " ".join(f"i64 {number}, label %{prefix}.{name}" for name, number in KINDS.items())
    t.do(f"switch i64 {t.load(spec, ARGUMENT['kind'], 'i64')}, label %{otherwise} [{cases}]")


def _arguments(t: _Text, head: int, kind: int) -> None:
    """Put the address of each argument's data into the table."""
    i = t.loop("a", "claimed", "%n_args", "made.begin", "a.body")
    t.do(f"%x = load ptr, ptr {t.at('%args', i)}")
    t.do(f"%class = load ptr, ptr {t.op(f'getelementptr i8, ptr %x, i64 {kind}')}")
    t.do(f"%spec = getelementptr [{len(ARGUMENT)} x i64], ptr %arguments, i64 {i}")
    t.do(f"%slot = getelementptr [{SLOT} x i8], ptr %slots, i64 {i}", f"%inside = getelementptr i8, ptr %x, i64 {head}")
    _switch(t, "%spec", "a", "back")
    t.label("a.scalar")
    t.same("%class", t.load("%spec", ARGUMENT["scalar"]), "a.inside", "a.array")
    _array_argument(t)
    _number_argument(t)
    t.label("a.inside")
    t.store("%inside", "%pointers", i)
    t.goto("a.next")
    t.label("a.slot")
    t.store("%slot", "%pointers", i)
    t.goto("a.next")
    t.next("a")


def _array_argument(t: _Text) -> None:
    """An array: its words are data, ndim, shape, strides, base, dtype, flags."""
    t.label("a.array")
    t.same("%class", "%array", "a.check", "back")
    t.label("a.check")
    ndim = t.op(f"zext i32 {t.byte('%inside', 8, 'i32')} to i64")
    t.do(f"%ndim = load i64, ptr {t.at('%spec', ARGUMENT['ndim'])}")
    flags = t.op(f"and i32 {t.byte('%inside', 48, 'i32')}, {CONTIGUOUS_ALIGNED}")
    dtype = t.byte("%inside", 40, "ptr")
    good = t.op(f"icmp eq i64 {ndim}, %ndim")
    for test in (f"ptr {dtype}, {t.load('%spec', ARGUMENT['dtype'])}", f"i32 {flags}, {CONTIGUOUS_ALIGNED}"):
        good = t.op(f"and i1 {good}, {t.op(f'icmp eq {test}')}")
    t.do(f"%shape = load ptr, ptr {t.op('getelementptr i8, ptr %inside, i64 16')}")
    t.do(f"%wanted = load ptr, ptr {t.at('%spec', ARGUMENT['shape'])}")
    t.do(f"br i1 {good}, label %d.head, label %back")
    j = t.loop("d", "a.check", "%ndim", "a.data", "d.body")
    t.same(t.load("%shape", j, "i64"), t.load("%wanted", j, "i64"), "d.next", "back", "i64")
    t.next("d")
    t.label("a.data")
    t.store(t.op("load ptr, ptr %inside"), "%pointers", "%a")
    t.goto("a.next")


def _number_argument(t: _Text) -> None:
    """Python's numbers: floats and complex ones as they lie in the object, others by way of a slot."""
    for name in ("float", "complex"):
        t.label(f"a.{name}")
        t.same("%class", t.given(name), "a.inside", "back")
    t.label("a.bool")
    true, false = (t.op(f"icmp eq ptr %x, {t.given(name)}") for name in ("true", "false"))
    t.do(f"store i8 {t.op(f'zext i1 {true} to i8')}, ptr %slot")
    t.do(f"br i1 {t.op(f'or i1 {true}, {false}')}, label %a.slot, label %back")
    t.label("a.int")
    t.same("%class", t.given("int"), "a.read", "back")
    t.label("a.read")
    value = t.op(f"call i64 {t.given('as_int')}(ptr %x)")
    t.do(f"store i64 {value}, ptr %slot")
    t.same(value, "-1", "a.unsure", "a.slot", "i64")
    t.label("a.unsure")
    t.same(t.op(f"call ptr {t.given('failed')}()"), "null", "a.slot", "a.large")
    t.label("a.large")
    t.do(f"call void {t.given('clear')}()")
    t.goto("back")


def _results(t: _Text, head: int) -> None:
    """Make the arrays that are results; scalars are written to slots first."""
    t.label("made.begin")
    t.do(f"%results = load ptr, ptr {t.at('%frame', FRAME['results'])}")
    t.do("%outputs = getelementptr ptr, ptr %pointers, i64 %n_args")
    t.do(f"%out_slots = getelementptr [{SLOT} x i8], ptr %slots, i64 %n_args")
    new, hold = t.given("new_array"), t.given("hold")
    t.goto("m.head")
    i = t.loop("m", "made.begin", "%n_results", "run", "m.body")
    t.do(f"%rspec = getelementptr [{len(RESULT)} x i64], ptr %results, i64 {i}")
    t.same(t.load("%rspec", RESULT["kind"], "i64"), str(KINDS["array"]), "m.array", "m.slot", "i64")
    t.label("m.array")
    dtype, shape = t.load("%rspec", RESULT["dtype"]), t.load("%rspec", RESULT["shape"])
    t.do(f"call void {hold}(ptr {dtype})")
    ndim = t.op(f"trunc i64 {t.load('%rspec', RESULT['ndim'], 'i64')} to i32")
    rest = "ptr null, ptr null, i32 0, ptr null"
    t.same(t.load("%rspec", RESULT["large"], "i64"), "0", "m.small", "m.large", "i64")
    t.label("m.small")
    small = t.op(f"call ptr {new}(ptr %array, ptr {dtype}, i32 {ndim}, ptr {shape}, {rest})")
    t.goto("m.new")
    t.label("m.large")
    large = t.op(f"call ptr @large(ptr %globals, ptr {dtype}, i32 {ndim}, ptr {shape})")
    t.goto("m.new")
    t.label("m.new")
    array = t.op(f"phi ptr [ {small}, %m.small ], [ {large}, %m.large ]")
    t.store(array, "%made", i)
    t.same(array, "null", "fail", "m.made")
    t.label("m.made")
    t.store(t.byte(array, head, "ptr"), "%outputs", i)
    t.goto("m.next")
    t.label("m.slot")
    t.store(t.op(f"getelementptr [{SLOT} x i8], ptr %out_slots, i64 {i}"), "%outputs", i)
    t.goto("m.next")
    t.next("m")


def _run(t: _Text) -> None:
    """Run the program, and put its status and its flags together."""
    t.label("run")
    t.do(f"%code = load ptr, ptr {t.at('%frame', FRAME['code'])}")
    t.do(f"%flush = trunc i64 {t.word('flush', 'i64')} to i32")
    t.same(t.word("release", "i64"), "0", "run.held", "run.released", "i64")
    t.label("run.held")
    t.do("%held = call i32 @guarded(ptr %code, ptr %pointers, i32 %flush)")
    t.goto("ran")
    t.label("run.released")
    state = t.op(f"call ptr {t.given('save')}()")
    t.do("%released = call i32 @guarded(ptr %code, ptr %pointers, i32 %flush)")
    t.do(f"call void {t.given('restore')}(ptr {state})")
    t.goto("ran")
    t.label("ran")
    t.do("%all = phi i32 [ %held, %run.held ], [ %released, %run.released ]")
    before = t.op(f"trunc i64 {t.word('flags', 'i64')} to i32")
    t.store("0", "%frame", FRAME["flags"], "i64")
    t.do("%status = and i32 %all, 255", "%own = lshr i32 %all, 8")
    t.do(f"%raised = and i32 {t.op(f'or i32 %own, {before}')}, {FLAGS}")
    t.same(t.op("or i32 %status, %raised"), "0", "good", "look", "i32")
    t.label("look")
    cases = f"i32 0, label %flagged i32 {AGAIN}, label %again i32 {RAISED}, label %fail"
    t.do(f"switch i32 %status, label %again [{cases}]")


def _flagged(t: _Text) -> None:
    """Flags were raised: does NumPy's state ignore them all?"""
    t.label("flagged")
    t.do("store ptr null, ptr %now.p")
    context = t.given("context")
    t.same(context, "null", "learn", "ask")
    t.label("ask")
    t.do(f"%ask.status = call i32 {context}(ptr {t.given('errors')}, ptr null, ptr %now.p)")
    t.do("%now = load ptr, ptr %now.p")
    t.same("%now", "null", "learn", "asked")
    t.label("asked")
    t.do(f"call void {t.given('drop')}(ptr %now)")
    t.same("%now", t.word("state"), "weigh", "learn")
    t.label("learn")
    answer = t.op(f"call ptr {t.given('call')}(ptr {t.word('learn')}, ptr null, i64 0, ptr null)")
    t.same(answer, "null", "fail", "learnt")
    t.label("learnt")
    t.do(f"call void {t.given('drop')}(ptr {answer})")
    t.goto("weigh")
    t.label("weigh")
    mask = t.op(f"trunc i64 {t.word('mask', 'i64')} to i32")
    t.same(t.op(f"and i32 %raised, {mask}"), "0", "good", "again", "i32")


def _good(t: _Text) -> None:
    """Return the tuple of results."""
    t.label("good")
    t.do(f"%tuple = call ptr {t.given('tuple')}(i64 %n_results)")
    t.do(f"%set = load ptr, ptr {t.at('%globals', GLOBALS['set_item'])}")
    t.same("%tuple", "null", "fail", "o.head")
    i = t.loop("o", "good", "%n_results", "leave", "o.body")
    t.do(f"%ospec = getelementptr [{len(RESULT)} x i64], ptr %results, i64 {i}")
    t.do(f"%from = load ptr, ptr {t.at('%outputs', i)}")
    _switch(t, "%ospec", "o", "o.array")
    found = _objects(t)
    t.label("o.put")
    t.do(f"%item = phi ptr {', '.join(f'[ {value}, %o.{name} ]' for name, value in found.items())}")
    t.same("%item", "null", "o.fail", "o.set")
    t.label("o.set")
    t.do(f"%set.status = call i32 %set(ptr %tuple, i64 {i}, ptr %item)")
    t.goto("o.next")
    t.next("o")
    t.label("leave")
    _give_back(t)
    t.do("ret ptr %tuple")
    t.label("o.fail")
    t.do(f"call void {t.given('drop')}(ptr %tuple)")
    t.goto("fail")


def _objects(t: _Text) -> dict[str, str]:
    """Text that makes a result of each kind; the registers that hold them."""
    found: dict[str, str] = {}
    t.label("o.array")
    found["array"] = t.load("%made", "%o")
    t.store("null", "%made", "%o")
    t.goto("o.put")
    t.label("o.scalar")
    dtype = t.load("%ospec", RESULT["dtype"])
    found["scalar"] = t.op(f"call ptr {t.given('new_scalar')}(ptr %from, ptr {dtype}, ptr null)")
    t.goto("o.put")
    for name, type in (("float", "double"), ("int", "i64")):
        t.label(f"o.{name}")
        value = t.op(f"load {type}, ptr %from")
        found[name] = t.op(f"call ptr {t.given('new_' + name)}({type} {value})")
        t.goto("o.put")
    t.label("o.bool")
    truth = t.op(f"zext i8 {t.op('load i8, ptr %from')} to i64")
    found["bool"] = t.op(f"call ptr {t.given('new_bool')}(i64 {truth})")
    t.goto("o.put")
    t.label("o.complex")
    real, imag = t.load("%from", 0, "double"), t.load("%from", 1, "double")
    found["complex"] = t.op(f"call ptr {t.given('new_complex')}(double {real}, double {imag})")
    t.goto("o.put")
    return found


def _other_ends(t: _Text) -> None:
    """Leave with an exception, or by calling Python's functions; the arrays that were made are dropped."""
    for name, label in (("f", "fail"), ("g", "again")):
        t.label(label)
        drop = t.given("drop")
        t.goto(f"{name}.head")
        i = t.loop(name, label, "%n_results", f"{name}.done", f"{name}.body")
        t.do(f"call void {drop}(ptr {t.load('%made', i)})")  # which does nothing for null
        t.store("null", "%made", i)
        t.goto(f"{name}.next")
        t.next(name)
        t.label(f"{name}.done")
        _give_back(t)
        if name == "f":
            t.do("ret ptr null")
        else:
            _hand_on(t, "again")
    t.label("back")
    _give_back(t)
    t.goto("odd")
    t.label("odd")
    _hand_on(t, "odd")


def _hand_on(t: _Text, name: str) -> None:
    """Return what a function of Python's gives for the arguments."""
    function, call = t.word(name), t.given("call")
    t.do(f"ret ptr {t.op(f'call ptr {call}(ptr {function}, ptr %args, i64 %n, ptr null)')}")


def _give_back(t: _Text) -> None:
    t.do(f"store atomic i64 0, ptr {t.at('%frame', FRAME['busy'])} release, align 8")
