"""Elementwise primitives by PyTorch's operators.

PyTorch's uint16, uint32 and uint64 have little arithmetic. Two's complement makes that of the signed integers of the
same size do: sums, products, bits and shifts are the same, and a comparison is one of the numbers with the highest bit
flipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from funcgrad.backends._lowerings import Table, same_dtypes
from funcgrad.ir import Equation

__all__ = ["ELEMENTWISE", "as_signed", "bits_of", "complex_pow", "is_wide_unsigned", "signed"]

ELEMENTWISE = Table()
"""Elementwise primitives."""

_lowers = ELEMENTWISE.lowers


# ------------------------------------------------------------------------------------------ integers without a sign


def is_wide_unsigned(torch: Any, x: Any) -> bool:
    """Whether a tensor is of uint16, uint32 or uint64."""
    return x.dtype in (torch.uint16, torch.uint32, torch.uint64)


def _signed_dtype(torch: Any, x: Any) -> Any:
    return {2: torch.int16, 4: torch.int32, 8: torch.int64}[x.dtype.itemsize]


def signed(torch: Any, x: Any) -> Any:
    """The same bits as signed integers."""
    return x.view(_signed_dtype(torch, x))


def bits_of(torch: Any, x: Any) -> int:
    """How many bits an integer of this dtype has."""
    return 8 * x.dtype.itemsize


def _modular(name: str, op: Callable[..., Any], kinds: str = "iu", when: Any = same_dtypes) -> None:
    """An entry for arithmetic that is the same for integers with and without a sign."""

    def run(torch: Any, *xs: Any) -> Any:
        if is_wide_unsigned(torch, xs[0]):
            return op(torch, *(signed(torch, x) for x in xs)).view(xs[0].dtype)
        return op(torch, *xs)

    _lowers(name, kinds, when=when)(run)


def _by_parts(torch: Any, op: Callable[..., Any], *xs: Any) -> Any:
    """What is done to the real and the imaginary parts, each for itself."""
    return torch.view_as_complex(op(*(torch.view_as_real(x.resolve_conj().resolve_neg()) for x in xs)))


def _sum(torch: Any, x: Any, y: Any) -> Any:
    """Of complex numbers PyTorch's own multiplies y by 1 + 0i, which makes NaN of an infinity."""
    return _by_parts(torch, torch.add, x, y) if x.dtype.is_complex else x + y


def _difference(torch: Any, x: Any, y: Any) -> Any:
    return _by_parts(torch, torch.sub, x, y) if x.dtype.is_complex else x - y


_modular("add", _sum, "biufc")
_modular("sub", _difference, "iufc")
_modular("mul", lambda torch, x, y: x * y, "biufc")
_modular("neg", lambda torch, x: -x, "iufc")
_modular("square", lambda torch, x: x * x, "iufc")
_modular("and", lambda torch, x, y: x & y, "biu")
_modular("or", lambda torch, x, y: x | y, "biu")
_modular("xor", lambda torch, x, y: x ^ y, "biu")
_modular("not", lambda torch, x: torch.bitwise_not(x), "biu")


def _flipped(torch: Any, x: Any) -> Any:
    """Signed integers in the order of these."""
    if not is_wide_unsigned(torch, x):
        return x
    s = signed(torch, x)
    return s ^ torch.iinfo(s.dtype).min


def as_signed(
    torch: Any, implementation: Callable[..., Any], ordered: bool, results: tuple[Any, ...], *args: Any, **params: Any
) -> Any:
    """An implementation, called with signed integers of the same bits (where `ordered`, of the same order) in place of
    wide ones without a sign; `results` are the dtypes of the results."""
    change = _flipped if ordered else (lambda torch, x: signed(torch, x) if is_wide_unsigned(torch, x) else x)
    out = implementation(*(change(torch, x) for x in args), **params)
    outs = out if type(out) in (tuple, list) else (out,)
    unsigned = (torch.uint16, torch.uint32, torch.uint64)
    back = [
        (x ^ torch.iinfo(x.dtype).min if ordered else x).view(dtype) if dtype in unsigned else x
        for x, dtype in zip(outs, results, strict=True)
    ]
    return tuple(back) if out is outs else back[0]


def _ordering(name: str, op: Callable[[Any, Any], Any]) -> None:
    _lowers(name, "biuf", when=same_dtypes)(lambda torch, x, y: op(_flipped(torch, x), _flipped(torch, y)))


_ordering("lt", lambda x, y: x < y)
_ordering("le", lambda x, y: x <= y)
_ordering("gt", lambda x, y: x > y)
_ordering("ge", lambda x, y: x >= y)
_lowers("eq", when=same_dtypes)(lambda torch, x, y: x == y)
_lowers("ne", when=same_dtypes)(lambda torch, x, y: x != y)


def _extreme(name: str, function: str) -> None:
    def run(torch: Any, x: Any, y: Any) -> Any:
        best = getattr(torch, function)
        if not is_wide_unsigned(torch, x):
            return best(x, y)
        chosen = best(_flipped(torch, x), _flipped(torch, y))
        return (chosen ^ torch.iinfo(chosen.dtype).min).view(x.dtype)

    _lowers(name, "biuf", when=same_dtypes)(run)


_extreme("max", "maximum")
_extreme("min", "minimum")


def _shift(torch: Any, x: Any, n: Any, left: bool) -> Any:
    """A shift of signed integers, by all the bits too."""
    bits = bits_of(torch, x)
    over = (n >= bits) | (n < 0)
    safe = torch.where(over, torch.zeros_like(n), n)
    gone = torch.zeros_like(x) if left else torch.where(x < 0, -1, 0).to(x.dtype)
    return torch.where(over, gone, x << safe if left else x >> safe)


@_lowers("shift_left", "iu", when=same_dtypes)
def _shift_left(torch: Any, x: Any, n: Any) -> Any:
    if is_wide_unsigned(torch, x):
        return _shift(torch, signed(torch, x), signed(torch, n), True).view(x.dtype)
    return _shift(torch, x, n, True)


@_lowers("shift_right", "iu", when=same_dtypes)
def _shift_right(torch: Any, x: Any, n: Any) -> Any:
    if not is_wide_unsigned(torch, x):
        return _shift(torch, x, n, False)
    bits, s, by = bits_of(torch, x), signed(torch, x), signed(torch, n)
    inside = (by > 0) & (by < bits)
    by = torch.where(inside, by, torch.ones_like(by))
    kept = torch.bitwise_not(torch.iinfo(s.dtype).min >> (by - 1))  # the bits that are not copies of the sign
    out = torch.where(inside, (s >> by) & kept, torch.where(signed(torch, n) == 0, s, torch.zeros_like(s)))
    return out.view(x.dtype)


@_lowers("population_count", "iu")
def _population_count(torch: Any, x: Any) -> Any:
    mask = (1 << bits_of(torch, x)) - 1 if x.dtype.itemsize < 8 else -1
    wide = (signed(torch, x) if is_wide_unsigned(torch, x) else x).to(torch.int64) & mask
    total = torch.zeros_like(wide)
    for part in (wide & 0xFFFFFFFF, (wide >> 32) & 0xFFFFFFFF):
        part = part - ((part >> 1) & 0x55555555)
        part = (part & 0x33333333) + ((part >> 2) & 0x33333333)
        part = (part + (part >> 4)) & 0x0F0F0F0F
        total = total + (((part * 0x01010101) & 0xFFFFFFFF) >> 24)
    return total.to(x.dtype)


def _to_int64(torch: Any, x: Any) -> Any:
    return x.to(torch.int64)


def _divided_without_sign(torch: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Quotient and remainder of integers of 64 bits without a sign, which are given as signed ones; 0 where y is 0.

    Half of x has a sign that is right; what its quotient lacks is at most 1.
    """
    least = torch.iinfo(torch.int64).min
    large, zero = y < 0, y == 0
    divisor = torch.where(large | zero, 1, y)
    quotient = torch.div((x >> 1) & ~least, divisor, rounding_mode="trunc") << 1
    more = ((x - quotient * divisor) ^ least) >= (divisor ^ least)
    quotient = torch.where(large, ((x ^ least) >= (y ^ least)).to(torch.int64), quotient + more)
    quotient = torch.where(zero, 0, quotient)
    return quotient, torch.where(zero, 0, x - quotient * y)


def _fmod(torch: Any, x: Any, y: Any) -> Any:
    """The remainder with the sign of the dividend. PyTorch's for a processor is NaN where the quotient overflows, so
    multiples of the divisor go first."""
    if x.device.type == "cpu" and x.dtype.itemsize > 2:
        step = 2.0 ** (100 if x.dtype.itemsize == 4 else 750)
        x = torch.fmod(torch.fmod(x, y * step * step), y * step)
    return torch.fmod(x, y)


def _floored(torch: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Quotient and remainder of floats, as NumPy (and Python) defines them."""
    rest = _fmod(torch, x, y)
    turned = (rest != 0) & ((y < 0) != (rest < 0))
    quotient = (x - rest) / y - turned.to(x.dtype)
    floor = torch.floor(quotient)
    floor = torch.where(quotient - floor > 0.5, floor + 1, floor)
    floor = torch.where(quotient == 0, torch.copysign(quotient, x / y), floor)
    rest = torch.where(rest == 0, torch.copysign(rest, y), torch.where(turned, rest + y, rest))
    return torch.where(y == 0, x / y, floor), rest


def _division(name: str, floating: Callable[..., Any], whole: Callable[..., Any]) -> None:
    """An entry for a division that rounds down; of integers by zero it is 0."""

    def run(torch: Any, x: Any, y: Any) -> Any:
        if x.dtype.is_floating_point:
            return floating(torch, x, y)
        if x.dtype == torch.uint64:
            parts = _divided_without_sign(torch, *torch.broadcast_tensors(signed(torch, x), signed(torch, y)))
            return parts[name != "floor_div"].view(x.dtype)
        a, b = (_to_int64(torch, x), _to_int64(torch, y)) if is_wide_unsigned(torch, x) else (x, y)
        zero = b == 0
        out = whole(torch, a, torch.where(zero, torch.ones_like(b), b))
        return torch.where(zero, torch.zeros_like(out), out).to(x.dtype)

    _lowers(name, "iuf", when=same_dtypes)(run)


_division("floor_div", lambda torch, x, y: _floored(torch, x, y)[0], lambda torch, x, y: torch.floor_divide(x, y))
_division("rem", lambda torch, x, y: _floored(torch, x, y)[1], lambda torch, x, y: torch.remainder(x, y))
_division("fmod", _fmod, lambda torch, x, y: torch.fmod(x, y))


@_lowers("reciprocal", "biufc")
def _reciprocal(torch: Any, x: Any) -> Any:
    if x.dtype.is_floating_point or x.dtype.is_complex:
        return torch.reciprocal(x)
    one = torch.ones_like(x)
    return torch.where(x == 1, one, torch.where((x == -1) if x.dtype.is_signed else (x == 1), -one, 0 * one))


# --------------------------------------------------------------------------------------------- floats, one operator


def _direct(kinds: str, **names: str) -> None:
    """Entries for functions of `torch`."""
    for name, function in names.items():
        _lowers(name, kinds, when=same_dtypes)(lambda torch, *xs, function=function: getattr(torch, function)(*xs))


_direct("fc", exp="exp", log="log", sin="sin", cos="cos", tanh="tanh", sqrt="sqrt", div="div", log1p="log1p",
        expm1="expm1", tan="tan", sinh="sinh", cosh="cosh", log2="log2", log10="log10", exp2="exp2")  # fmt: skip
_direct("f", atan2="atan2", hypot="hypot", logaddexp="logaddexp", logaddexp2="logaddexp2", copysign="copysign",
        nextafter="nextafter", relu="relu", deg2rad="deg2rad", rad2deg="rad2deg", fmax="fmax",
        fmin="fmin", logistic="sigmoid", expit="sigmoid", floor="floor", ceil="ceil", trunc="trunc",
        isnan="isnan", isfinite="isfinite", isinf="isinf", abs="abs")  # fmt: skip


@_lowers("heaviside", "f", when=same_dtypes)
def _heaviside(torch: Any, x: Any, y: Any) -> Any:
    return torch.where(torch.isnan(x), x, torch.heaviside(x, y))


@_lowers("gcd", "iu", when=same_dtypes)
def _gcd(torch: Any, x: Any, y: Any) -> Any:
    return torch.gcd(x, y).abs()  # the sign is that of the least integer


@_lowers("lcm", "iu", when=same_dtypes)
def _lcm(torch: Any, x: Any, y: Any) -> Any:
    """By the greatest common divisor: PyTorch's own divides the least integer by -1, which ends the process."""
    shared = _gcd(torch, x, y)
    parts = torch.div(x, torch.where(shared == 0, 1, shared), rounding_mode="trunc")
    return parts.abs() * y.abs()


@_lowers("sign", "fc")
def _sign(torch: Any, x: Any) -> Any:
    if not x.dtype.is_complex:
        return torch.where(torch.isnan(x), x, torch.sgn(x))
    parts = torch.view_as_real(x.resolve_conj().resolve_neg())
    far = torch.isinf(parts)
    one = torch.view_as_complex(torch.where(far, torch.sign(parts), 0.0))
    out = torch.where(torch.isnan(x), x, torch.sgn(x))
    return torch.where(far.any(-1), torch.where(far.all(-1), torch.nan, one), out)


def complex_pow(torch: Any, x: Any, y: Any) -> Any:
    """PyTorch goes by the logarithm, which 0 has not got."""
    out = torch.where((x == 0) & (y.real > 0), 0.0, torch.pow(x, y))
    return torch.where(y == 0, 1.0, out)


for _name in ("float_power", "pow_inside"):
    _lowers(_name, "c", when=same_dtypes)(complex_pow)


ELEMENTWISE["abs_slope"] = ELEMENTWISE["sign"]


@_lowers("rint", "fc")
def _rint(torch: Any, x: Any) -> Any:
    return _by_parts(torch, torch.round, x) if x.dtype.is_complex else torch.round(x)


@_lowers("complex", "f", when=same_dtypes)
def _complex(torch: Any, re: Any, im: Any) -> Any:
    return torch.complex(*torch.broadcast_tensors(re, im))


@_lowers("gelu_tanh", "f")
def _gelu(torch: Any, x: Any) -> Any:
    return torch.nn.functional.gelu(x, approximate="tanh")


@_lowers("tie_share", "f", when=same_dtypes)
def _tie_share(torch: Any, x: Any, y: Any) -> Any:
    return ((x > y).to(x.dtype) + (x >= y).to(x.dtype)) * 0.5


@_lowers("log_expit", "f")
def _log_expit(torch: Any, x: Any) -> Any:
    return torch.nn.functional.logsigmoid(x)


# -------------------------------------------------------------------------------------------- SciPy's functions


def _special(**names: str) -> None:
    for name, function in names.items():
        _lowers(name, "f", (f"special.{function}",), same_dtypes)(
            lambda torch, *xs, function=function: getattr(torch.special, function)(*xs)
        )


_special(erf="erf", erfc="erfc", erfinv="erfinv", erfcx="erfcx", i0="i0", i0e="i0e", i1="i1", i1e="i1e", ndtr="ndtr",
         ndtri="ndtri", log_ndtr="log_ndtr", psi="psi", gammaln="gammaln", j0="bessel_j0", j1="bessel_j1",
         gammainc="gammainc", gammaincc="gammaincc", entr="entr", xlogy="xlogy", xlog1py="xlog1py",
         logit="logit")  # fmt: skip


def _second_kind(name: str, function: str, at_zero: float) -> None:
    """An entry for a Bessel function that has a pole at 0 and no value below."""

    def run(torch: Any, x: Any) -> Any:
        inside = x > 0
        out = getattr(torch.special, function)(torch.where(inside, x, torch.ones_like(x)))
        return torch.where(inside, out, torch.where(x == 0, at_zero, math.nan).to(x.dtype))

    _lowers(name, "f", (f"special.{function}",), _is_single if at_zero < 0 else None)(run)


def _is_single(eqn: Equation) -> bool:
    """Whether the operands are of float32: for float64 PyTorch's y0 and y1 have no more than 13 digits."""
    return eqn.inputs[0].aval.dtype.itemsize == 4


_second_kind("y0", "bessel_y0", -math.inf)
_second_kind("y1", "bessel_y1", -math.inf)
_second_kind("k0", "modified_bessel_k0", math.inf)
_second_kind("k1", "modified_bessel_k1", math.inf)


@_lowers("erfcinv", "f")
def _erfcinv(torch: Any, x: Any) -> Any:
    return torch.where(x < 0.5, -torch.special.ndtri(0.5 * x) * math.sqrt(0.5), torch.special.erfinv(1 - x))


@_lowers("exprel", "f")
def _exprel(torch: Any, x: Any) -> Any:
    zero = x == 0
    one = torch.ones_like(x)
    out = torch.expm1(x) / torch.where(zero, one, x)
    return torch.where(zero, one, torch.where(x == math.inf, x, out))


@_lowers("rel_entr", "f", when=same_dtypes)
def _rel_entr(torch: Any, x: Any, y: Any) -> Any:
    inside = (x > 0) & (y > 0)
    one = torch.ones_like(x + y)
    out = x * torch.log(torch.where(inside, x, one) / torch.where(inside, y, one))
    edge = torch.where((x == 0) & (y >= 0), 0.0, math.inf).to(out.dtype)
    return torch.where(torch.isnan(x) | torch.isnan(y), math.nan, torch.where(inside, out, edge))


@_lowers("kl_div", "f", when=same_dtypes)
def _kl_div(torch: Any, x: Any, y: Any) -> Any:
    inside = (x > 0) & (y > 0)
    one = torch.ones_like(x + y)
    out = x * torch.log(torch.where(inside, x, one) / torch.where(inside, y, one)) - x + y
    edge = torch.where((x == 0) & (y >= 0), y, math.inf)
    return torch.where(torch.isnan(x) | torch.isnan(y), math.nan, torch.where(inside, out, edge))
