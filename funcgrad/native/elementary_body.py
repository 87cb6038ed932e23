"""The writer of elementary functions: LLVM text of one function for an element type, a width, with or without FMA.

A value is the text of an operand; a Python float or int stands for a constant in all lanes. What the functions rely on:

- Rounding is to nearest. No operation is marked for contraction or any other licence, so that the scalar and the vector
  text of a function give the same bits.
- `mad` is one operation with one rounding where the target has fused multiply-add, two otherwise; the functions are
  right either way. Where an error of rounding is needed itself, `two_sum`, `fast_two_sum` and `two_product` give it
  exactly, the last one by FMA or by Dekker's splitting (Dekker, *Numer. Math.* 18, 1971; Knuth, TAOCP 2, 4.2.2).
- Numbers are rounded to integers by adding 1.5·2⁵², in whose low bits the integer then stands: conversions between
  64-bit integers and doubles are slow without AVX-512, and undefined for NaN.
- On x86 the ordering of vectors (`olt`, `ogt`, …, minima and maxima, which are made of them) raises the invalid flag
  for a NaN, as equality does not. So numbers that may be NaN are ordered by their bits: `beyond`, `irregular`, `below`.
- LLVM may compute an operation that nobody asked for, but it does not know of floating-point flags. So all lanes are
  computed with operands that raise no flag which the function should not raise: `rare` replaces those of special
  lanes, behind a branch that is taken where any lane is special, and `replaced` does so without a branch. LLVM does not
  see through them: it would make (c ? xy : y) of (c ? x : 1)·y. Flags that are due and would not come by themselves are
  raised by `raise_flags`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["FLAGS", "Body", "Limits", "Value"]

Value = str | float
"""An operand's text, or a constant."""


class Limits:
    """The facts of an element type.

    Attributes:
        element, integer: the LLVM types of a number and of its bits.
        mantissa, bias: bits of the mantissa, and the exponent's bias.
        magic: 1.5·2^mantissa; a number added to it is rounded to an integer.
        splitter: by which Dekker's splitting halves a number.
        tiny, largest: the least normal and the largest finite number.
        table: which of the two columns of a table of coefficients.
    """

    def __init__(self, element: str) -> None:
        double = element == "double"
        info = np.finfo(np.float64 if double else np.float32)
        self.element, self.integer = element, "i64" if double else "i32"
        self.bits, self.mantissa, self.bias = (64, 52, 1023) if double else (32, 23, 127)
        self.magic = 1.5 * 2.0**self.mantissa
        self.splitter = 2.0 ** ((self.mantissa + 2) // 2) + 1
        self.tiny, self.largest = float(info.tiny), float(info.max)
        self.eps = float(info.eps)
        self.table = 0 if double else 1

    def bits_of(self, x: float) -> int:
        """The bits of a number of this type as a signed integer."""
        return struct.unpack(*(("q", struct.pack("d", x)) if self.table == 0 else ("i", struct.pack("f", x))))[0]


_LIMITS = {element: Limits(element) for element in ("double", "float")}

FLAGS = """define internal void @fg.raise(i1 %invalid, i1 %divide, i1 %overflow) noinline cold {
  %memory = alloca double, align 8
  %a = select i1 %invalid, double 0.0, double 1.0
  store volatile double %a, ptr %memory
  %a0 = load volatile double, ptr %memory
  %a1 = load volatile double, ptr %memory
  %a2 = fdiv double %a0, %a1
  store volatile double %a2, ptr %memory
  %b = select i1 %divide, double 0.0, double 1.0
  store volatile double %b, ptr %memory
  %b0 = load volatile double, ptr %memory
  %b1 = fdiv double 1.0, %b0
  store volatile double %b1, ptr %memory
  %c = select i1 %overflow, double 0x7FE0000000000000, double 1.0
  store volatile double %c, ptr %memory
  %c0 = load volatile double, ptr %memory
  %c1 = load volatile double, ptr %memory
  %c2 = fmul double %c0, %c1
  store volatile double %c2, ptr %memory
  ret void
}
"""
"""Raises floating-point flags by operations that LLVM can neither foresee nor leave out."""


class Body:
    """The lines of a function.

    Attributes:
        element: "double" or "float".
        width: lanes of its vectors, 0 for scalars.
        fma: whether the target has fused multiply-add.
        parts: definitions and declarations that the lines need, by their symbols.
        needs: other functions that the lines call.
    """

    def __init__(self, element: str, width: int, fma: bool) -> None:
        self.fma, self.width = fma, width
        self.lines: list[str] = []
        self.parts: dict[str, str] = {}
        self.needs: set[tuple[str, str]] = set()
        self._count = 0
        self._block = "entry"
        self.use(element)

    def use(self, element: str) -> None:
        """Write operations on this type of element from here on."""
        self.element, self.limits = element, _LIMITS[element]
        self.type, self.int_type = self._lanes(element), self._lanes(self.limits.integer)
        self.mask_type = self._lanes("i1")
        self.suffix = self.suffix_of(element)

    def suffix_of(self, element: str) -> str:
        """The end of names for this type of element."""
        return (f"v{self.width}" if self.width else "") + ("f64" if element == "double" else "f32")

    def _lanes(self, scalar: str) -> str:
        return f"<{self.width} x {scalar}>" if self.width else scalar

    def table(self, table: tuple[tuple[float, ...], tuple[float, ...]]) -> tuple[float, ...]:
        """The coefficients for this type of element."""
        return table[self.limits.table]

    # ------------------------------------------------------------------ operands

    def number(self, x: Value) -> str:
        """The text of an operand that is a number."""
        if type(x) is str:
            return x
        value = float(x) if self.limits.table == 0 else float(np.float32(x))
        text = f"0x{struct.unpack('Q', struct.pack('d', value))[0]:016X}"
        return f"splat ({self.element} {text})" if self.width else text

    def integer(self, x: str | int) -> str:
        """The text of an operand that is an integer."""
        if type(x) is str:
            return x
        return f"splat ({self.limits.integer} {x})" if self.width else str(x)

    def op(self, text: str) -> str:
        """Write an operation; the register of its result."""
        self._count += 1
        self.lines.append(f"  %t{self._count} = {text}")
        return f"%t{self._count}"

    def intrinsic(self, name: str, *operands: Value) -> str:
        full = f"@llvm.{name}.{self.suffix}"
        types = ", ".join([self.type] * len(operands))
        self.parts[full] = f"declare {self.type} {full}({types})\n"
        return self.op(f"call {self.type} {full}({', '.join(f'{self.type} {self.number(x)}' for x in operands)})")

    def call(self, name: str, *operands: Value) -> str:
        """The value of another elementary function."""
        self.needs.add((name, self.element))
        arguments = ", ".join(f"{self.type} {self.number(x)}" for x in operands)
        return self.op(f"call {self.type} @fg.{name}.{self.suffix}({arguments})")

    def call_pair(self, name: str, *operands: Value) -> tuple[str, str]:
        """The values of one that has two."""
        self.needs.add((name, self.element))
        arguments = ", ".join(f"{self.type} {self.number(x)}" for x in operands)
        pair = f"{{ {self.type}, {self.type} }}"
        both = self.op(f"call {pair} @fg.{name}.{self.suffix}({arguments})")
        return self.op(f"extractvalue {pair} {both}, 0"), self.op(f"extractvalue {pair} {both}, 1")

    # ------------------------------------------------------------------ arithmetic

    def _two(self, op: str, a: Value, b: Value) -> str:
        return self.op(f"{op} {self.type} {self.number(a)}, {self.number(b)}")

    def add(self, a: Value, b: Value) -> str:
        return self._two("fadd", a, b)

    def sub(self, a: Value, b: Value) -> str:
        return self._two("fsub", a, b)

    def mul(self, a: Value, b: Value) -> str:
        return self._two("fmul", a, b)

    def div(self, a: Value, b: Value) -> str:
        return self._two("fdiv", a, b)

    def neg(self, a: Value) -> str:
        return self.op(f"fneg {self.type} {self.number(a)}")

    def mad(self, a: Value, b: Value, c: Value) -> str:
        """a·b + c, with one rounding where that costs nothing."""
        return self.intrinsic("fma", a, b, c) if self.fma else self.add(self.mul(a, b), c)

    def abs(self, a: Value) -> str:
        return self.intrinsic("fabs", a)

    def sqrt(self, a: Value) -> str:
        return self.intrinsic("sqrt", a)

    def copysign(self, a: Value, sign: Value) -> str:
        return self.intrinsic("copysign", a, sign)

    def polynomial(self, coefficients: Sequence[float], x: Value) -> Value:
        """Σ cₖ xᵏ by Estrin's scheme: pairs, pairs of pairs, …, which has the shortest chain of operations."""
        terms: list[Value] = list(coefficients)
        power = x
        while len(terms) > 1:
            pairs = [self.mad(b, power, a) for a, b in zip(terms[::2], terms[1::2], strict=False)]
            terms = [*pairs, *terms[len(pairs) * 2 :]]
            power = self.mul(power, power) if len(terms) > 1 else power
        return terms[0]

    # ------------------------------------------------------------------ errors of rounding

    def two_sum(self, a: Value, b: Value) -> tuple[str, str]:
        """(s, e) with s + e = a + b exactly, s rounded."""
        s = self.add(a, b)
        t = self.sub(s, a)
        return s, self.add(self.sub(a, self.sub(s, t)), self.sub(b, t))

    def fast_two_sum(self, a: Value, b: Value) -> tuple[str, str]:
        """The same where |a| ≥ |b|."""
        s = self.add(a, b)
        return s, self.sub(b, self.sub(s, a))

    def _split(self, a: Value) -> tuple[str, str]:
        t = self.mul(a, self.limits.splitter)
        high = self.sub(t, self.sub(t, a))
        return high, self.sub(a, high)

    def two_product(self, a: Value, b: Value) -> tuple[str, str]:
        """(p, e) with p + e = a·b exactly, p rounded."""
        p = self.mul(a, b)
        if self.fma:
            return p, self.intrinsic("fma", a, b, self.neg(p))
        (ah, al), (bh, bl) = self._split(a), self._split(b)
        e = self.sub(self.mul(ah, bh), p)
        e = self.add(self.add(e, self.mul(ah, bl)), self.mul(al, bh))
        return p, self.add(e, self.mul(al, bl))

    def quotient(self, a: Value, b: Value, a_low: Value | None = None, b_low: Value | None = None) -> str:
        """(a + a_low)/(b + b_low) with hardly more than one rounding; b not 0, nothing infinite."""
        q, inverse, rest = self._divided(a, b, a_low, b_low)
        return self.mad(rest, inverse, q)

    def quotient_sum(self, a: Value, b: Value, b_low: Value, a_low: Value | None = None) -> tuple[str, str]:
        """The same as a sum of two numbers."""
        q, inverse, rest = self._divided(a, b, a_low, b_low)
        return q, self.mul(rest, inverse)

    def _divided(self, a: Value, b: Value, a_low: Value | None, b_low: Value | None) -> tuple[str, str, str]:
        """(q ≈ a/b, 1/b, the exact a + a_low - q(b + b_low))."""
        inverse = self.div(1.0, b)
        q = self.mul(a, inverse)
        minus = self.neg(q)
        if self.fma:
            rest = self.intrinsic("fma", minus, b, a)
        else:
            product, error = self.two_product(q, b)
            rest = self.sub(self.sub(a, product), error)
        rest = rest if a_low is None else self.add(rest, a_low)
        rest = rest if b_low is None else self.mad(minus, b_low, rest)
        return q, inverse, rest

    # ------------------------------------------------------------------ choices and bits

    def compare(self, how: str, a: Value, b: Value) -> str:
        """A mask; `how` as of LLVM's fcmp: "oeq", "uno", …."""
        return self.op(f"fcmp {how} {self.type} {self.number(a)}, {self.number(b)}")

    def compare_bits(self, how: str, a: str | int, b: str | int) -> str:
        return self.op(f"icmp {how} {self.int_type} {self.integer(a)}, {self.integer(b)}")

    def select(self, mask: str, a: Value, b: Value) -> str:
        return self.op(f"select {self.mask_type} {mask}, {self.type} {self.number(a)}, {self.type} {self.number(b)}")

    def replaced(self, mask: str, a: Value, b: Value) -> str:
        """The same, not to be seen through: LLVM does not compute with both, and choose then."""
        return self.intrinsic("arithmetic.fence", self.select(mask, a, b))

    def select_bits(self, mask: str, a: str | int, b: str | int) -> str:
        t = self.int_type
        return self.op(f"select {self.mask_type} {mask}, {t} {self.integer(a)}, {t} {self.integer(b)}")

    def beyond(self, x: Value, bound: float) -> str:
        """|x| > bound, or x is a NaN."""
        return self.compare_bits("sgt", self.bits(self.abs(x)), self.limits.bits_of(bound))

    def irregular(self, x: Value, bound: float = 0.0) -> str:
        """x is below a bound (of the positive normal numbers, unless given), infinite or a NaN."""
        limits = self.limits
        least = limits.bits_of(bound or limits.tiny)
        sign = -(1 << (limits.bits - 1))
        moved = self.integers("add", self.bits(x), self._wrapped(sign - least))
        return self.compare_bits("sge", moved, limits.bits_of(np.inf) - least + sign)

    def below(self, x: Value, bound: Value) -> str:
        """x < bound, without a flag for a NaN."""
        distance = self.sub(x, bound)
        negative = self.compare_bits("slt", self.bits(distance), 0)
        return self.both(
            negative, self.both(self.compare("ord", distance, distance), self.compare("une", distance, 0.0))
        )

    def _wrapped(self, n: int) -> int:
        """As a signed integer."""
        size = 1 << self.limits.bits
        return (n + size // 2) % size - size // 2

    def nan_of(self, x: Value, y: Value) -> str:
        """That one of two numbers that is a NaN."""
        return self.select(self.is_nan(x), x, y)

    def is_nan(self, x: Value) -> str:
        return self.compare("uno", x, x)

    def both(self, a: str, b: str) -> str:
        return self.op(f"and {self.mask_type} {a}, {b}")

    def either(self, a: str, b: str) -> str:
        return self.op(f"or {self.mask_type} {a}, {b}")

    def inverse(self, a: str) -> str:
        ones = "splat (i1 true)" if self.width else "true"
        return self.op(f"xor {self.mask_type} {a}, {ones}")

    def minimum(self, a: Value, b: Value) -> str:
        """The lesser of two numbers that are no NaN. One instruction on x86."""
        return self.select(self.compare("olt", a, b), a, b)

    def maximum(self, a: Value, b: Value) -> str:
        return self.select(self.compare("ogt", a, b), a, b)

    def bits(self, a: Value) -> str:
        return self.op(f"bitcast {self.type} {self.number(a)} to {self.int_type}")

    def to_number(self, a: str) -> str:
        """An integer as a number. Slow of 64-bit integers."""
        return self.op(f"sitofp {self.int_type} {a} to {self.type}")

    def from_bits(self, a: str) -> str:
        return self.op(f"bitcast {self.int_type} {a} to {self.type}")

    def integers(self, op: str, a: str | int, b: str | int) -> str:
        """An operation on integers: "add", "shl", "and", …."""
        return self.op(f"{op} {self.int_type} {self.integer(a)}, {self.integer(b)}")

    def widened(self, a: Value) -> str:
        """A float as a double; the lines that follow are still for floats."""
        return self.op(f"fpext {self._lanes('float')} {a} to {self._lanes('double')}")

    def narrowed(self, a: Value) -> str:
        return self.op(f"fptrunc {self._lanes('double')} {a} to {self._lanes('float')}")

    def narrowed_bits(self, a: Value) -> str:
        """The low half of 64-bit integers."""
        return self.op(f"trunc {self._lanes('i64')} {a} to {self._lanes('i32')}")

    # ------------------------------------------------------------------ integers in numbers

    def round(self, x: Value) -> tuple[str, str]:
        """x rounded to an integer n, |n| < 2^(mantissa - 2): as a number, and as bits whose low end is n (two's
        complement, over a constant)."""
        shifted = self.add(x, self.limits.magic)
        return self.sub(shifted, self.limits.magic), self.bits(shifted)

    def powers(self, shifted: str) -> tuple[str, str]:
        """Two powers of two whose product is 2ⁿ, for the bits of a rounded n; |n| ≤ 2·bias - 2.

        Their product may be below or above all numbers; a number is multiplied by one after the other.
        """
        limits = self.limits
        start = limits.bits_of(limits.magic) - 2 * limits.bias
        both = self.integers("sub", shifted, start)
        first = self.integers("lshr", both, 1)
        second = self.integers("sub", both, first)
        return tuple(self.from_bits(self.integers("shl", e, limits.mantissa)) for e in (first, second))  # pyright: ignore[reportReturnType]

    def power(self, shifted: str, offset: int = 0) -> str:
        """2^(n + offset), a normal number, for the bits of a rounded n."""
        limits = self.limits
        exponent = self.integers("add", shifted, limits.bias + offset)
        return self.from_bits(self.integers("shl", exponent, limits.mantissa))

    def inverse_power(self, shifted: str, offset: int = 0) -> str:
        """2^(offset - n), a normal number, or 0 where that is 2^-bias."""
        exponent = self.integers("sub", self.limits.bias + offset, shifted)
        return self.from_bits(self.integers("shl", exponent, self.limits.mantissa))

    # ------------------------------------------------------------------ special lanes

    def any(self, mask: str) -> str:
        """Whether a mask is set in any lane."""
        if not self.width:
            return mask
        full = f"@llvm.vector.reduce.or.v{self.width}i1"
        self.parts[full] = f"declare i1 {full}({self.mask_type})\n"
        return self.op(f"call i1 {full}({self.mask_type} {mask})")

    def rare(
        self, condition: str, values: Sequence[tuple[str, Value]], other: Callable[[], Sequence[Value]]
    ) -> list[str]:
        """The values, or those of `other`, written behind a branch that is hardly ever taken.

        Args:
            condition: a scalar `i1`.
            values: pairs of a type and a value.
            other: writes the replacements; gives them.
        """
        self._count += 1
        n, before = self._count, self._block
        full = "@llvm.expect.i1"
        self.parts[full] = f"declare i1 {full}(i1, i1)\n"
        condition = self.op(f"call i1 {full}(i1 {condition}, i1 false)")
        self.lines += [f"  br i1 {condition}, label %rare{n}, label %on{n}", f"rare{n}:"]
        self._block = f"rare{n}"
        replaced = [self._opaque(t, x) for (t, _), x in zip(values, other(), strict=True)]
        end, self._block = self._block, f"on{n}"
        self.lines += [f"  br label %on{n}", f"on{n}:"]
        return [
            self.op(f"phi {t} [ {self._text(t, a)}, %{before} ], [ {self._text(t, b)}, %{end} ]")
            for (t, a), b in zip(values, replaced, strict=True)
        ]

    def _opaque(self, t: str, x: Value) -> Value:
        """A number not to be seen through."""
        return self.intrinsic("arithmetic.fence", x) if t == self.type else x

    def _text(self, t: str, x: Value) -> str:
        return self.number(x) if t == self.type else str(x)

    def raise_flags(self, invalid: str = "", divide: str = "", overflow: str = "") -> None:
        """Raise those flags whose masks are set in any lane; to be used in what is rare."""
        self.parts["@fg.raise"] = FLAGS
        texts = [f"i1 {self.any(mask) if mask else 'false'}" for mask in (invalid, divide, overflow)]
        self.lines.append(f"  call void @fg.raise({', '.join(texts)})")

    # ------------------------------------------------------------------ the whole

    def definition(self, name: str, arguments: Sequence[str], result: Value | tuple[Value, Value], inline: bool) -> str:
        """The whole function; of two results, it reads and writes no memory, and is the same for the same operands."""
        listed = ", ".join(f"{self.type} {a}" for a in arguments)
        kind, attributes = self.type, "alwaysinline" if inline else ""
        if isinstance(result, tuple):
            kind, attributes = f"{{ {self.type}, {self.type} }}", f"{attributes} willreturn memory(none)"
            first = self.op(f"insertvalue {kind} poison, {self.type} {self.number(result[0])}, 0")
            result = self.op(f"insertvalue {kind} {first}, {self.type} {self.number(result[1])}, 1")
        head = f"define internal {kind} @fg.{name}.{self.suffix}({listed}) nounwind {attributes} {{"
        return "\n".join([head, "entry:", *self.lines, f"  ret {kind} {self.number(result)}", "}"]) + "\n"
