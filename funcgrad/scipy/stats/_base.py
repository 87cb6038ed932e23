"""Distributions: what all of them do with their arguments, with points outside of the support and with bad parameters.

A distribution states its formulas for points inside of the support, with location 0 and scale 1. Here the arguments are
put into one dtype, points outside and parameters that are not allowed are replaced by harmless ones before a formula
sees them, and the results there by what SciPy has: -inf, 0, 1 or NaN. So a derivative outside of the support is 0, and
no NaN comes from a formula that was not meant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ops.shape import STOP_GRADIENT
from funcgrad.scipy._needs import inexacts, scipy_module
from funcgrad.scipy.stats._handed import Frozen, Handed

__all__ = ["Continuous", "Discrete", "Distribution", "always", "log", "log1mexp", "log1p", "log1p_square",
           "or_infinite", "sc"]  # fmt: skip

_LOG_2 = float(np.log(2.0))


def sc(name: str) -> Any:
    """A function of `scipy.special`."""
    return getattr(scipy_module("special", "stats"), name)


def log(x: Any) -> Any:
    """log(x), of which -inf at 0 is no news to anybody."""
    return sc("xlogy")(np.ones((), x.dtype), x)


def log1p(x: Any) -> Any:
    """log(1 + x), of which -inf at -1 is no news to anybody."""
    return sc("xlog1py")(np.ones((), x.dtype), x)


def log1mexp(x: Any) -> Any:
    """log(1 - exp(x)) for x ≤ 0, by that formula of two which loses no digits."""
    near = x > -_LOG_2
    return np.where(near, log(-np.expm1(np.where(near, x, -_LOG_2))), np.log1p(-np.exp(np.where(near, -_LOG_2, x))))


def log1p_square(x: Any) -> Any:
    """log(1 + x²), without overflow."""
    size = np.abs(x)
    large = size > (1e5 if x.dtype.itemsize <= 4 else 1e9)
    near = np.where(large, np.zeros((), x.dtype), x)
    return np.where(large, 2 * np.log(np.where(large, size, np.ones((), x.dtype))), np.log1p(near * near))


def or_infinite(denominator: Any, numerator: Any) -> Any:
    """The quotient where the denominator is positive, else infinity: a moment that may not exist."""
    positive = denominator > 0
    return np.where(positive, numerator / np.where(positive, denominator, 1.0), np.inf)


def always(condition: Any) -> bool:
    """Whether a condition is plain and holds everywhere, so that nothing has to be selected."""
    return type(condition) in (bool, np.bool_, np.ndarray) and bool(np.all(condition))


def pick(condition: Any, x: Any, other: Any) -> Any:
    """`np.where`, without an operation where the condition is known to hold."""
    return x if always(condition) else np.where(condition, x, other)


def _in_dtype(x: Any, dtype: Any) -> Any:
    return np.asarray(x, dtype) if type(x) in (int, float) else x.astype(dtype)


def both(condition: Any, other: Any) -> Any:
    """Two conditions, of which either may be known to hold."""
    if condition is True:
        return other
    return condition if np.ndim(other) == 0 and always(other) else condition & other


def _one_of(condition: Any, other: Any) -> Any:
    """One of two conditions, of which each may be False."""
    return other if condition is False else condition if other is False else condition | other


class Distribution(Handed):
    """A family of distributions: functions of a point (or a probability), shape parameters, location and scale."""

    name = ""
    shapes: tuple[str, ...] = ()
    defaults: tuple[tuple[str, Any], ...] = ()
    safe: tuple[float, ...] = ()
    """Parameters that are allowed, for where the given ones are not."""

    def __repr__(self) -> str:
        return f"<distribution {self.name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Frozen:
        """The distribution with these parameters: its methods take only the point."""
        self._parse("__call__", 0.0, args, kwargs)
        return Frozen(self, args, kwargs)

    def _parse(self, method: str, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """The point and the parameters, in the order of the signature and in one dtype."""
        names = (*self.shapes, *(name for name, _ in self.defaults))
        if len(args) > len(names):
            raise TypeError(
                f"{self.name}.{method} takes a point and at most {len(names)} parameters ({', '.join(names)}); "
                f"got {len(args)} parameters"
            )
        given = dict(zip(names, args, strict=False))
        for name, value in kwargs.items():
            if name not in names or name in given:
                what = "has two values" if name in given else "is no parameter"
                raise TypeError(f"{self.name}.{method}: {name} {what}; the parameters are {', '.join(names)}")
            given[name] = value
        missing = [name for name in self.shapes if name not in given]
        if missing:
            raise TypeError(f"{self.name}.{method}: the parameters {', '.join(missing)} are missing")
        values = [given.get(name, default) for name, default in [*((s, None) for s in self.shapes), *self.defaults]]
        return inexacts(x, *values)

    def _valid(self, *args: Any, **kwargs: Any) -> Any:
        """Where the shape parameters are allowed; by default where they are positive."""
        out: Any = True
        for s in args:
            out = both(out, s > 0)
        return out

    def _support(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """The ends of the support."""
        return -np.inf, np.inf

    def _inner(self, *args: Any, **kwargs: Any) -> Any:
        """A point of the support at which no formula has a singularity."""
        return 0.5

    def _allowed(self, shapes: list[Any], valid: Any) -> list[Any]:
        return [pick(valid, s, np.asarray(safe, s.dtype)) for s, safe in zip(shapes, self.safe, strict=True)]

    # Formulas inside of the support, of (point, *shapes). Of each pair a family states at least one.

    def _cdf(self, *args: Any, **kwargs: Any) -> Any:
        return np.exp(self._logcdf(*args))

    def _sf(self, *args: Any, **kwargs: Any) -> Any:
        return 1.0 - self._cdf(*args)

    def _logcdf(self, *args: Any, **kwargs: Any) -> Any:
        return log(self._cdf(*args))

    def _logsf(self, *args: Any, **kwargs: Any) -> Any:
        return log(self._sf(*args))

    def _ppf(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def _isf(self, *args: Any, **kwargs: Any) -> Any:
        return self._ppf(1.0 - args[0], *args[1:])

    # Of the shape parameters alone, for location 0 and scale 1.

    def _moments(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """(mean, variance)"""
        raise NotImplementedError

    def _entropy(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def _lacks(self, *formulas: str) -> bool:
        """Whether the family does not state one of these formulas."""
        return any(
            getattr(type(self), f) in (getattr(Distribution, f, None), getattr(Discrete, f, None)) for f in formulas
        )

    def _parameters(self, method: str, args: Any, kwargs: Any) -> tuple[list[Any], Any, Any, Any]:
        """(shapes, location, scale, where the parameters are allowed)."""
        raise NotImplementedError

    def _of_parameters(self, method: str, args: Any, kwargs: Any, value: Callable[..., Any]) -> Any:
        """`value(shapes, loc, scale)` of the shape that parameters have together, NaN where they are not allowed."""
        if method != "support" and self._lacks("_entropy" if method == "entropy" else "_moments"):
            return self._handed(method, "there is no formula for it here", args, kwargs)
        shapes, loc, scale, valid = self._parameters(method, args, kwargs)
        out = value(shapes, loc, scale)
        size = np.broadcast_shapes(*map(np.shape, (out, *shapes, loc, scale)))
        out = pick(valid, out, np.asarray(np.nan, loc.dtype))
        return _numbers(np.broadcast_to(out, size).astype(loc.dtype))

    def mean(self, *args: Any, **kwargs: Any) -> Any:
        """The mean."""
        return self._of_parameters("mean", args, kwargs, lambda s, loc, scale: self._moments(*s)[0] * scale + loc)

    def var(self, *args: Any, **kwargs: Any) -> Any:
        """The variance."""
        return self._of_parameters("var", args, kwargs, lambda s, _, scale: self._moments(*s)[1] * scale * scale)

    def std(self, *args: Any, **kwargs: Any) -> Any:
        """The standard deviation."""
        return np.sqrt(self.var(*args, **kwargs))

    def stats(self, *args: Any, moments: str = "mv", **kwargs: Any) -> Any:
        """The mean ("m" in `moments`) and the variance ("v"), a tuple of two, or the one that is asked for.

        Skewness ("s") and kurtosis ("k") are SciPy's, of plain parameters.
        """
        if not moments or set(moments) - set("mv"):
            return self._handed("stats", "moments may be 'm', 'v' or 'mv'", args, {**kwargs, "moments": moments})
        found = [f(*args, **kwargs) for name, f in (("m", self.mean), ("v", self.var)) if name in moments]
        return tuple(found) if len(found) > 1 else found[0]

    def entropy(self, *args: Any, **kwargs: Any) -> Any:
        """The entropy: the mean of the negative logarithm of the density, or of the mass."""
        return self._of_parameters("entropy", args, kwargs, lambda s, _, scale: self._entropy(*s) + np.log(scale))

    def support(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """The ends of the support."""

        def end(k: int) -> Any:
            def value(shapes: Any, loc: Any, scale: Any) -> Any:
                return self._support(*shapes)[k] * scale + loc

            return self._of_parameters("support", args, kwargs, value)

        return end(0), end(1)

    def ppf(self, q: Any, *args: Any, **kwargs: Any) -> Any:
        """The quantile."""
        raise NotImplementedError

    def median(self, *args: Any, **kwargs: Any) -> Any:
        """The quantile of 1/2."""
        return self.ppf(0.5, *args, **kwargs)

    def interval(self, confidence: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """The ends of an interval around the median that has this probability: two quantiles."""
        out = 0.5 * (1.0 - inexacts(confidence)[0])
        return self.ppf(out, *args, **kwargs), self.ppf(1.0 - out, *args, **kwargs)


class Continuous(Distribution):
    """A continuous distribution, with the functions of `scipy.stats` and their signatures.

    The point is x (a probability q for `ppf` and `isf`); then come the shape parameters, `loc` and `scale`, by position
    or by name. All broadcast. Results are NaN for parameters that are not allowed.
    """

    defaults = (("loc", 0.0), ("scale", 1.0))
    open_below = False
    """Whether the density is 0 at the lower end of the support, where its formula fails."""
    without_infinity = False
    """Whether the density's formula fails at infinity, where it is 0."""
    closed_quantiles = False
    """Whether the formula for quantiles fails for the probabilities 0 and 1."""

    def _logpdf(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def _at(self, method: str, x: Any, args: Any, kwargs: Any) -> tuple[Any, list[Any], Any, Any, Any]:
        """(standardised point, shapes, location, scale, where the parameters are allowed)."""
        x, *shapes, loc, scale = self._parse(method, x, args, kwargs)
        valid = both(self._valid(*shapes), scale > 0)
        shapes = self._allowed(shapes, valid)
        return x, shapes, loc, pick(scale > 0, scale, np.ones((), scale.dtype)), valid

    def _parameters(self, method: str, args: Any, kwargs: Any) -> tuple[list[Any], Any, Any, Any]:
        return self._at(method, 0.0, args, kwargs)[1:]

    def _point(self, method: str, x: Any, args: Any, kwargs: Any) -> tuple[Any, Any, Any, list[Any], Any, Any]:
        """(point, below, above, shapes, scale, valid), with a point inside of the support."""
        x, shapes, loc, scale, valid = self._at(method, x, args, kwargs)
        z = x if loc.ndim == 0 and always(loc == 0) else x - loc
        z = z if scale.ndim == 0 and always(scale == 1) else z / scale
        low, high = self._support(*shapes)
        pdf = method[-3:] == "pdf"
        below = self._beyond(z, low, -np.inf, pdf and not self.open_below)
        above = self._beyond(z, high, np.inf, pdf)
        inside = np.logical_not(_one_of(below, above))
        return pick(inside, z, _in_dtype(self._inner(*shapes), z.dtype)), below, above, shapes, scale, valid

    def _beyond(self, z: Any, end: Any, infinity: float, closed: bool) -> Any:
        """Where points are beyond an end of the support (`closed`: which belongs to it), or at infinity, where formulas
        are inf - inf."""
        if always(np.equal(end, infinity)):
            return z == end if self.without_infinity else False
        if not closed:
            return z <= end if infinity < 0 else z >= end
        out = z < end if infinity < 0 else z > end
        return out | (z == infinity) if self.without_infinity and not always(np.isfinite(end)) else out

    def _value(self, method: str, x: Any, args: Any, kwargs: Any, below: float, above: float) -> Any:
        z, under, over, shapes, _, valid = self._point(method, x, args, kwargs)
        out = getattr(self, f"_{method}")(z, *shapes)
        out = pick(np.logical_not(under), out, np.asarray(below, out.dtype))
        out = pick(np.logical_not(over), out, np.asarray(above, out.dtype))
        return _numbers(pick(valid, out, np.asarray(np.nan, out.dtype)))

    def logpdf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """The logarithm of the density; -inf outside of the support."""
        return self._logpdf_at(*self._point("logpdf", x, args, kwargs))

    def _logpdf_at(self, z: Any, below: Any, above: Any, shapes: Any, scale: Any, valid: Any) -> Any:
        out = self._logpdf(z, *shapes)
        out = out - np.log(scale) if not always(scale == 1) else out
        out = pick(np.logical_not(_one_of(below, above)), out, np.asarray(-np.inf, out.dtype))
        return _numbers(pick(valid, out, np.asarray(np.nan, out.dtype)))

    def pdf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """The density; 0 outside of the support."""
        z, below, above, shapes, scale, valid = self._point("pdf", x, args, kwargs)
        special = self._irregular(z, *shapes)
        if special is False or always(np.logical_not(special)):
            return np.exp(self._logpdf_at(z, below, above, shapes, scale, valid))
        inner = _in_dtype(self._inner(*shapes), z.dtype)
        regular = np.exp(self._logpdf_at(np.where(special, inner, z), below, above, shapes, scale, valid))
        out = self._density(np.where(special, z, inner), *shapes) / scale
        return _numbers(np.where(special & valid & np.logical_not(_one_of(below, above)), out, regular))

    def _irregular(self, *args: Any, **kwargs: Any) -> Any:
        """Where the density is 0 or infinite, and its logarithm has no derivative that tells that of the density."""
        return False

    def _density(self, *args: Any, **kwargs: Any) -> Any:
        """The density at such points, itself."""
        raise NotImplementedError

    def cdf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """The probability of at most x."""
        return self._value("cdf", x, args, kwargs, 0.0, 1.0)

    def sf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """The probability of more than x, without loss of digits where it is small."""
        return self._value("sf", x, args, kwargs, 1.0, 0.0)

    def logcdf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """The logarithm of `cdf`."""
        return self._value("logcdf", x, args, kwargs, -np.inf, 0.0)

    def logsf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """The logarithm of `sf`."""
        return self._value("logsf", x, args, kwargs, 0.0, -np.inf)

    def _quantile(self, method: str, q: Any, args: Any, kwargs: Any) -> Any:
        if self._lacks("_ppf"):
            return self._handed(method, "there is no formula for quantiles here", (q, *args), kwargs)
        q, shapes, loc, scale, valid = self._at(method, q, args, kwargs)
        proper = (q >= 0) & (q <= 1)
        inside = (q > 0) & (q < 1) if self.closed_quantiles else proper
        out = getattr(self, f"_{method}")(pick(inside, q, np.asarray(0.5, q.dtype)), *shapes)
        if self.closed_quantiles and not always(inside):
            low, high = self._support(*shapes)
            out = np.where(inside, out, np.where((q <= 0) == (method == "ppf"), low, high).astype(out.dtype))
        out = out * scale + loc
        return _numbers(pick(valid & (proper | np.isnan(q)), pick(proper, out, q), np.asarray(np.nan, out.dtype)))

    def ppf(self, q: Any, *args: Any, **kwargs: Any) -> Any:
        """The quantile: the inverse of `cdf`."""
        return self._quantile("ppf", q, args, kwargs)

    def isf(self, q: Any, *args: Any, **kwargs: Any) -> Any:
        """The inverse of `sf`."""
        return self._quantile("isf", q, args, kwargs)


class Discrete(Distribution):
    """A distribution on integers, with the functions of `scipy.stats` and their signatures.

    The point is k (a probability q for `ppf` and `isf`); then come the shape parameters and `loc`, by position or by
    name. All broadcast. The mass is 0 between the integers. Quantiles have no derivative but 0.
    """

    defaults = (("loc", 0.0),)

    def _logpmf(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def _guess(self, *args: Any, **kwargs: Any) -> Any:
        """A quantile that is off by one at most."""
        raise NotImplementedError

    def _inner(self, *args: Any, **kwargs: Any) -> Any:
        return self._support(*args)[0]

    def _parameters(self, method: str, args: Any, kwargs: Any) -> tuple[list[Any], Any, Any, Any]:
        _, *shapes, loc = self._parse(method, 0.0, args, kwargs)
        valid = self._valid(*shapes)
        return self._allowed(shapes, valid), loc, np.ones((), loc.dtype), valid

    def _point(self, method: str, k: Any, args: Any, kwargs: Any) -> tuple[Any, Any, Any, list[Any], Any, Any]:
        k, *shapes, loc = self._parse(method, k, args, kwargs)
        valid = self._valid(*shapes)
        shapes = self._allowed(shapes, valid)
        z = k - loc
        whole = np.floor(z)
        fits = z == whole
        low, high = self._support(*shapes)
        if method == "logpmf":
            below, above = z < low, z > high
        else:
            z, below, above = whole, whole < low, whole >= high
        inside = np.logical_not(_one_of(below, above))
        return np.where(inside, z, _in_dtype(self._inner(*shapes), z.dtype)), below, above, shapes, fits, valid

    def _value(self, method: str, k: Any, args: Any, kwargs: Any, below: float, above: float) -> Any:
        z, under, over, shapes, _, valid = self._point(method, k, args, kwargs)
        out = getattr(self, f"_{method}")(z, *shapes)
        out = np.where(under, np.asarray(below, out.dtype), np.where(over, np.asarray(above, out.dtype), out))
        return _numbers(pick(valid, np.where(np.isnan(z), z, out), np.asarray(np.nan, out.dtype)))

    def logpmf(self, k: Any, *args: Any, **kwargs: Any) -> Any:
        """The logarithm of the mass; -inf outside of the support and between the integers."""
        return self._logpmf_at(*self._point("logpmf", k, args, kwargs))

    def _logpmf_at(self, z: Any, below: Any, above: Any, shapes: Any, fits: Any, valid: Any) -> Any:
        out = self._logpmf(z, *shapes)
        out = np.where(below | above | ~(fits | np.isnan(z)), np.asarray(-np.inf, out.dtype), out)
        return _numbers(pick(valid, out, np.asarray(np.nan, out.dtype)))

    def pmf(self, k: Any, *args: Any, **kwargs: Any) -> Any:
        """The mass; 0 outside of the support and between the integers."""
        z, below, above, shapes, fits, valid = self._point("logpmf", k, args, kwargs)
        last = shapes[-1]
        special = self._certain(last)
        if always(np.logical_not(special)):
            return np.exp(self._logpmf_at(z, below, above, shapes, fits, valid))
        safe = np.asarray(self.safe[-1], last.dtype)
        regular = self._logpmf_at(z, below, above, [*shapes[:-1], np.where(special, safe, last)], fits, valid)
        out = self._mass(z, *shapes[:-1], np.where(special, last, safe))
        return _numbers(np.where(special & valid & fits & ~(below | above), out, np.exp(regular)))

    def _certain(self, parameter: Any) -> Any:
        """Where the last parameter lets a mass be 0, whose logarithm has no derivative that tells that of the mass."""
        return (parameter == 0) | (parameter == 1)

    def _mass(self, *args: Any, **kwargs: Any) -> Any:
        """The mass at such parameters, itself."""
        return np.exp(self._logpmf(*args))

    def cdf(self, k: Any, *args: Any, **kwargs: Any) -> Any:
        """The probability of at most k."""
        return self._value("cdf", k, args, kwargs, 0.0, 1.0)

    def sf(self, k: Any, *args: Any, **kwargs: Any) -> Any:
        """The probability of more than k, without loss of digits where it is small."""
        return self._value("sf", k, args, kwargs, 1.0, 0.0)

    def logcdf(self, k: Any, *args: Any, **kwargs: Any) -> Any:
        """The logarithm of `cdf`."""
        return self._value("logcdf", k, args, kwargs, -np.inf, 0.0)

    def logsf(self, k: Any, *args: Any, **kwargs: Any) -> Any:
        """The logarithm of `sf`."""
        return self._value("logsf", k, args, kwargs, 0.0, -np.inf)

    def _quantile(self, method: str, q: Any, args: Any, kwargs: Any) -> Any:
        if self._lacks("_guess"):
            return self._handed(method, "there is no formula for quantiles here", (q, *args), kwargs)
        q, *shapes, loc = self._parse(method, q, args, kwargs)
        valid = self._valid(*shapes) & (q >= 0) & (q <= 1)
        q, *shapes = (STOP_GRADIENT.bind(x) for x in (q, *self._allowed(shapes, valid)))
        upper = method == "isf"
        within = valid & (q > 0) & (q < 1)
        p = np.where(within, q, np.asarray(0.5, q.dtype))
        guess = self._guess(1.0 - p if upper else p, *shapes)
        low, high = self._support(*shapes)
        # The least k with cdf(k) ≥ q.
        out = np.clip(guess + 1, low, high)
        for _ in range(3):
            less = np.maximum(out - 1, low)
            enough = self._sf(less, *shapes) <= p if upper else self._cdf(less, *shapes) >= p
            out = np.where(enough & (out > low), less, out)
        ends = (high, low - 1.0) if upper else (low - 1.0, high)
        out = np.where(q <= 0, ends[0], np.where(q >= 1, ends[1], out)).astype(q.dtype) + loc
        return _numbers(np.where(valid, out, np.asarray(np.nan, out.dtype)))

    def ppf(self, q: Any, *args: Any, **kwargs: Any) -> Any:
        """The least k with cdf(k) ≥ q."""
        return self._quantile("ppf", q, args, kwargs)

    def isf(self, q: Any, *args: Any, **kwargs: Any) -> Any:
        """The least k with sf(k) ≤ q."""
        return self._quantile("isf", q, args, kwargs)


def _numbers(x: Any) -> Any:
    """A NumPy scalar for a plain array of shape (), as SciPy has it."""
    return x[()] if type(x) is np.ndarray else x
