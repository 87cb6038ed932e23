"""The remainder of large arguments by π/2, as LLVM text: Payne and Hanek's method with 128-bit integers.

An argument is M·2ᵉ with an integer M of 53 bits. Of 2/π those bits are taken whose products with it are neither whole
periods nor too small to matter: 192 bits, from the word and the bit that e tells. The upper 128 bits of the product
are the number of quarters modulo 4 (2 bits) and a fraction of a quarter to 2⁻¹²⁶, which is rounded to the nearest
integer, normalised, and multiplied by π/2 as a sum of two numbers. Nothing comes nearer to a multiple of π/2 than
2⁻⁶², so that more than 53 bits are right.
"""

from __future__ import annotations

__all__ = ["remainder_text"]

_WORDS = (
    -6703182060581546711, -277156292786332224, -2638381946312093631, -121206125134887583, -5249950069107600672,
    452944820249399836, -135693905287338178, -1692731182770600828, -1613291254968254911, 4148332274289687028,
    -7168499653074671557, 2303758334597371919, -1211730484530615009, 7869616827067468215, 5712322887342352941,
    8441921394348257659, 4397547296490951402, 7780917995555872008, 6197850593633725355,
)  # fmt: skip
"""2/π in words of 64 bits, the first one those right behind the point."""

_LISTED = ", ".join(f"i64 {word}" for word in (0, *_WORDS))
_TABLE = f"@fg.two_over_pi = internal constant [{len(_WORDS) + 1} x i64] [{_LISTED}]\n"

_SCALAR = """define internal { double, double, i64 } @fg.remainder.f64(double %x) noinline cold {
  %bits = bitcast double %x to i64
  %high = lshr i64 %bits, 52
  %biased = and i64 %high, 2047
  %place = sub i64 %biased, 1013
  %word = lshr i64 %place, 6
  %shift = and i64 %place, 63
  %fraction = and i64 %bits, 4503599627370495
  %mantissa = or i64 %fraction, 4503599627370496
  %p0 = getelementptr i64, ptr @fg.two_over_pi, i64 %word
  %p1 = getelementptr i64, ptr %p0, i64 1
  %p2 = getelementptr i64, ptr %p0, i64 2
  %p3 = getelementptr i64, ptr %p0, i64 3
  %a0 = load i64, ptr %p0
  %a1 = load i64, ptr %p1
  %a2 = load i64, ptr %p2
  %a3 = load i64, ptr %p3
  %w0 = call i64 @llvm.fshl.i64(i64 %a0, i64 %a1, i64 %shift)
  %w1 = call i64 @llvm.fshl.i64(i64 %a1, i64 %a2, i64 %shift)
  %w2 = call i64 @llvm.fshl.i64(i64 %a2, i64 %a3, i64 %shift)
  %m = zext i64 %mantissa to i128
  %t0 = mul i64 %mantissa, %w0
  %u0 = zext i64 %t0 to i128
  %v0 = shl i128 %u0, 64
  %u1 = zext i64 %w1 to i128
  %v1 = mul i128 %m, %u1
  %u2 = zext i64 %w2 to i128
  %t2 = mul i128 %m, %u2
  %v2 = lshr i128 %t2, 64
  %s1 = add i128 %v1, %v2
  %product = add i128 %v0, %s1
  %q = lshr i128 %product, 126
  %rest = shl i128 %product, 2
  %minus = icmp slt i128 %rest, 0
  %q0 = trunc i128 %q to i64
  %up = zext i1 %minus to i64
  %q1 = add i64 %q0, %up
  %negated = sub i128 0, %rest
  %size = select i1 %minus, i128 %negated, i128 %rest
  %zeros = call i128 @llvm.ctlz.i128(i128 %size, i1 false)
  %normal = shl i128 %size, %zeros
  %h0 = lshr i128 %normal, 75
  %h1 = trunc i128 %h0 to i64
  %h = sitofp i64 %h1 to double
  %l0 = lshr i128 %normal, 22
  %l1 = trunc i128 %l0 to i64
  %l2 = and i64 %l1, 9007199254740991
  %l3 = sitofp i64 %l2 to double
  %l = fmul double %l3, 0x3CA0000000000000
  %z = trunc i128 %zeros to i64
  %e0 = sub i64 970, %z
  %e1 = shl i64 %e0, 52
  %sign = and i64 %bits, -9223372036854775808
  %turn = select i1 %minus, i64 -9223372036854775808, i64 0
  %e2 = or i64 %e1, %turn
  %e3 = xor i64 %e2, %sign
  %scale = bitcast i64 %e3 to double
  %hs = fmul double %h, %scale
  %ls = fmul double %l, %scale
  %h_bits = bitcast double %hs to i64
  %h_short = and i64 %h_bits, -134217728
  %hh = bitcast i64 %h_short to double
  %hl = fsub double %hs, %hh
  %r0 = fmul double %hs, 0x3FF921FB54442D18
  %c0 = fmul double %hh, 0x3FF921FB50000000
  %c1 = fsub double %c0, %r0
  %c2 = fmul double %hh, 0x3E5110B460000000
  %c3 = fadd double %c1, %c2
  %c4 = fmul double %hl, 0x3FF921FB50000000
  %c5 = fadd double %c3, %c4
  %c6 = fmul double %hl, 0x3E5110B460000000
  %c7 = fadd double %c5, %c6
  %c8 = fmul double %hs, 0x3C91A62633145C07
  %c9 = fadd double %c7, %c8
  %c10 = fmul double %ls, 0x3FF921FB54442D18
  %lo = fadd double %c9, %c10
  %nan = fsub double %x, %x
  %finite = icmp ne i64 %biased, 2047
  %r = select i1 %finite, double %r0, double %nan
  %q_minus = sub i64 0, %q1
  %left = icmp slt i64 %bits, 0
  %n = select i1 %left, i64 %q_minus, i64 %q1
  %a = insertvalue { double, double, i64 } poison, double %r, 0
  %b = insertvalue { double, double, i64 } %a, double %lo, 1
  %c = insertvalue { double, double, i64 } %b, i64 %n, 2
  ret { double, double, i64 } %c
}
"""
"""n, and x - n·π/2 as a sum of two numbers, of a number of at least 2¹⁶; NaN of an infinite one, with its flag."""

_ONE = """define internal { double, double, i64 } @fg.far.f64(double %x, i64 %to, double %r, double %l, i64 %n) cold {
  %all = call { double, double, i64 } @fg.remainder.f64(double %x)
  ret { double, double, i64 } %all
}
"""

_LANES = """define internal { $D, $D, $I } @fg.far.v$Wf64($D %x, i64 %bound, $D %r, $D %lo, $I %n) noinline cold {
entry:
  %xs = alloca $D, align 64
  %rs = alloca $D, align 64
  %los = alloca $D, align 64
  %ns = alloca $I, align 64
  store $D %x, ptr %xs
  store $D %r, ptr %rs
  store $D %lo, ptr %los
  store $I %n, ptr %ns
  br label %lane
lane:
  %i = phi i64 [ 0, %entry ], [ %j, %next ]
  %px = getelementptr double, ptr %xs, i64 %i
  %xi = load double, ptr %px
  %bits = bitcast double %xi to i64
  %size = and i64 %bits, 9223372036854775807
  %far = icmp sgt i64 %size, %bound
  br i1 %far, label %one, label %next
one:
  %all = call { double, double, i64 } @fg.remainder.f64(double %xi)
  %r1 = extractvalue { double, double, i64 } %all, 0
  %lo1 = extractvalue { double, double, i64 } %all, 1
  %n1 = extractvalue { double, double, i64 } %all, 2
  %pr = getelementptr double, ptr %rs, i64 %i
  %plo = getelementptr double, ptr %los, i64 %i
  %pn = getelementptr i64, ptr %ns, i64 %i
  store double %r1, ptr %pr
  store double %lo1, ptr %plo
  store i64 %n1, ptr %pn
  br label %next
next:
  %j = add i64 %i, 1
  %more = icmp ult i64 %j, $W
  br i1 %more, label %lane, label %done
done:
  %ro = load $D, ptr %rs
  %loo = load $D, ptr %los
  %no = load $I, ptr %ns
  %a = insertvalue { $D, $D, $I } poison, $D %ro, 0
  %b = insertvalue { $D, $D, $I } %a, $D %loo, 1
  %c = insertvalue { $D, $D, $I } %b, $I %no, 2
  ret { $D, $D, $I } %c
}
"""
"""The same of those lanes that are beyond the bound; $D and $I stand for the vectors' types, $W for their width."""


def remainder_text(width: int) -> tuple[str, dict[str, str]]:
    """The symbol of the function, and what it needs by their symbols."""
    parts = {
        "@llvm.fshl.i64": "declare i64 @llvm.fshl.i64(i64, i64, i64)\n",
        "@llvm.ctlz.i128": "declare i128 @llvm.ctlz.i128(i128, i1)\n",
        "@fg.two_over_pi": _TABLE,
        "@fg.remainder.f64": _SCALAR,
    }
    if not width:
        return "@fg.far.f64", {**parts, "@fg.far.f64": _ONE}
    name = f"@fg.far.v{width}f64"
    text = _LANES
    for short, long in (("$D", f"<{width} x double>"), ("$I", f"<{width} x i64>"), ("$W", str(width))):
        text = text.replace(short, long)
    return name, {**parts, name: text}
