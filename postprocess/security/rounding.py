"""Directed rounding: the same formula in intervals that hold the true value, and in plain floats.

The bounds write each formula once over an `Arithmetic`. A key length is always computed with `INTERVALS`, whose
lower end is a proven lower bound of the real number; `FLOATS` serves optimisers, which need many evaluations and
no proof. A length taken from plain floats must never be used: near an integer the last digit decides one bit.

Sources
-------
IEEE 1788 (interval arithmetic); the evaluation is that of ``mpmath.iv`` in a private context.
"""

import math
import sys
from fractions import Fraction
from typing import Protocol, Self, TypeVar

from mpmath import libmp
from mpmath.ctx_iv import MPIntervalContext

PRECISION_BITS = 160
"""Bits of each interval end. Lengths stay below 2**50, so that over 100 bits remain behind the point."""


class Number(Protocol):
    """What a formula may do with a value: the four operations, with its like and with integers on the left."""

    def __add__(self, other: Self, /) -> Self: ...
    def __sub__(self, other: Self, /) -> Self: ...
    def __mul__(self, other: Self, /) -> Self: ...
    def __truediv__(self, other: Self, /) -> Self: ...
    def __rsub__(self, other: int, /) -> Self: ...
    def __rmul__(self, other: int, /) -> Self: ...


T = TypeVar("T", bound=Number)


class Interval(Number, Protocol):
    """An interval of ``mpmath``: a number with two ends."""

    @property
    def a(self) -> "Interval":
        """The lower end."""
        ...

    @property
    def b(self) -> "Interval":
        """The upper end."""
        ...


class Arithmetic(Protocol[T]):
    """The functions beyond the four operations that a bound needs."""

    def number(self, value: float | Fraction) -> T:
        """Return ``value``; a float stands for the decimal number it prints as."""
        ...

    def exp(self, x: T) -> T:
        """Return e**x."""
        ...

    def ln(self, x: T) -> T:
        """Return the natural logarithm of a positive x."""
        ...

    def sqrt(self, x: T) -> T:
        """Return the square root of a non-negative x."""
        ...

    def greatest(self, *values: T) -> T:
        """Return the greatest of the values."""
        ...

    def least(self, *values: T) -> T:
        """Return the least of the values."""
        ...

    def is_positive(self, x: T) -> bool:
        """Whether x is positive without doubt."""
        ...

    def at_least(self, x: T) -> Fraction:
        """Return an exact number that x surely reaches."""
        ...

    def at_most(self, x: T) -> Fraction:
        """Return an exact number that x surely does not exceed."""
        ...

    def entropy(self, x: T) -> T:
        """Return h(x) = -x log2 x - (1-x) log2(1-x), x being held in [0, 1/2], where h rises."""
        ...

    def x_ln(self, x: T, ln_c: T) -> T:
        """Return x ln(c/x), with 0 at x = 0 and its maximum c/e held for larger x: it never falls with x."""
        ...


class FloatArithmetic:
    """Plain double precision, for optimisers and comparisons."""

    def number(self, value: float | Fraction) -> float:
        """Return ``value`` as a float."""
        return float(value)

    def exp(self, x: float) -> float:
        """Return e**x."""
        return math.exp(x)

    def ln(self, x: float) -> float:
        """Return the natural logarithm of a positive x."""
        return math.log(x)

    def sqrt(self, x: float) -> float:
        """Return the square root of a non-negative x."""
        return math.sqrt(x)

    def greatest(self, *values: float) -> float:
        """Return the greatest of the values."""
        return max(values)

    def least(self, *values: float) -> float:
        """Return the least of the values."""
        return min(values)

    def is_positive(self, x: float) -> bool:
        """Whether x is positive."""
        return x > 0.0

    def at_least(self, x: float) -> Fraction:
        """Return x exactly."""
        return Fraction(x)

    def at_most(self, x: float) -> Fraction:
        """Return x exactly."""
        return Fraction(x)

    def entropy(self, x: float) -> float:
        """Return h(x) as `Arithmetic.entropy`."""
        x = min(max(x, 0.0), 0.5)
        return -x * math.log2(x) - (1.0 - x) * math.log2(1.0 - x) if x > 0.0 else 0.0

    def x_ln(self, x: float, ln_c: float) -> float:
        """Return x ln(c/x) as `Arithmetic.x_ln`."""
        if x <= 0.0:
            return 0.0
        ln_x = math.log(x)
        return math.exp(ln_c - 1.0) if ln_x >= ln_c - 1.0 else x * (ln_c - ln_x)


class IntervalArithmetic:
    """Intervals with outward rounding. Values are ``mpmath`` intervals of a private context."""

    def __init__(self, precision_bits: int = PRECISION_BITS) -> None:
        # mpmath.iv is shared by the whole process: another module could lower its precision under our feet.
        self._context = MPIntervalContext()
        self._context.prec = precision_bits

    def number(self, value: float | Fraction) -> Interval:
        """Return an interval around ``value``; a float stands for the decimal number it prints as."""
        make = self._context.mpf
        if isinstance(value, Fraction):
            quotient: Interval = make(value.numerator) / make(value.denominator)
            return quotient
        interval: Interval = make(value) if isinstance(value, int) else make(repr(float(value)))
        return interval

    def between(self, low: Fraction, high: Fraction) -> Interval:
        """Return an interval around all of ``low`` .. ``high``."""
        return self._join(low, high)

    def two_pi(self) -> Interval:
        """Return an interval around 2 pi."""
        result: Interval = 2 * self._context.pi
        return result

    def exp(self, x: Interval) -> Interval:
        """Return e**x."""
        result: Interval = self._context.exp(x)
        return result

    def ln(self, x: Interval) -> Interval:
        """Return the natural logarithm of a positive x."""
        result: Interval = self._context.ln(x)
        return result

    def sqrt(self, x: Interval) -> Interval:
        """Return the square root of a non-negative x."""
        result: Interval = self._context.sqrt(x)
        return result

    def greatest(self, *values: Interval) -> Interval:
        """Return the interval of the greatest of the values: ends are compared with ends."""
        return self._join(max(map(lower_end, values)), max(map(upper_end, values)))

    def least(self, *values: Interval) -> Interval:
        """Return the interval of the least of the values: ends are compared with ends."""
        return self._join(min(map(lower_end, values)), min(map(upper_end, values)))

    def is_positive(self, x: Interval) -> bool:
        """Whether the whole interval is positive."""
        return lower_end(x) > 0

    def at_least(self, x: Interval) -> Fraction:
        """Return the lower end."""
        return lower_end(x)

    def at_most(self, x: Interval) -> Fraction:
        """Return the upper end."""
        return upper_end(x)

    def entropy(self, x: Interval) -> Interval:
        """Return h(x) as `Arithmetic.entropy`, end by end, for h rises on [0, 1/2]."""
        low, high = self._entropy_at(lower_end(x)), self._entropy_at(upper_end(x))
        return self._join(lower_end(low), upper_end(high))

    def x_ln(self, x: Interval, ln_c: Interval) -> Interval:
        """Return x ln(c/x) as `Arithmetic.x_ln`, end by end, for it rises with x and with c."""
        low = self._x_ln_at(lower_end(x), lower_end(ln_c))
        high = self._x_ln_at(upper_end(x), upper_end(ln_c))
        return self._join(lower_end(low), upper_end(high))

    def _entropy_at(self, x: Fraction) -> Interval:
        if x <= 0:
            return self.number(0)
        if x >= Fraction(1, 2):
            return self.number(1)
        p, q = self.number(x), self.number(1 - x)
        nats = p * self.ln(p) + q * self.ln(q)
        return self.number(-1) * nats / self.ln(self.number(2))

    def _x_ln_at(self, x: Fraction, ln_c: Fraction) -> Interval:
        if x <= 0:
            return self.number(0)
        ln_x = self.ln(self.number(x))
        if upper_end(ln_x) >= ln_c - 1:
            return self.exp(self.number(ln_c - 1))
        return self.number(x) * (self.number(ln_c) - ln_x)

    def _join(self, low: Fraction, high: Fraction) -> Interval:
        joined: Interval = self._context.mpf([self.number(low).a, self.number(high).b])
        return joined


INTERVALS = IntervalArithmetic()
FLOATS = FloatArithmetic()


def log2(a: Arithmetic[T], x: T) -> T:
    """Return the logarithm of x to base 2."""
    return a.ln(x) / a.ln(a.number(2))


def clip(a: Arithmetic[T], x: T, low: T, high: T) -> T:
    """Return x held between ``low`` and ``high``."""
    return a.least(a.greatest(x, low), high)


def lower_end(x: Interval) -> Fraction:
    """Return the lower end of an interval, exactly."""
    return _exact(x, 0)


def upper_end(x: Interval) -> Fraction:
    """Return the upper end of an interval, exactly."""
    return _exact(x, 1)


def _exact(x: Interval, end: int) -> Fraction:
    raw = x._mpi_[end]  # type: ignore[attr-defined]  # mpmath offers no public exact ends
    numerator, denominator = libmp.to_rational(raw)
    # Where gmpy2 is installed, mpmath's integers are that library's, which json and struct do not know.
    return Fraction(int(numerator), int(denominator))


def float_below(value: Fraction) -> float:
    """Return the greatest float that does not exceed ``value``."""
    return 0.0 - float_above(-value)


def float_above(value: Fraction) -> float:
    """Return the least float that is not below ``value``."""
    try:
        nearest = float(value)
    except OverflowError:
        return math.inf if value > 0 else -sys.float_info.max
    return nearest if Fraction(nearest) >= value else math.nextafter(nearest, math.inf)
