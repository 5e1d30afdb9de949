"""Sprig's arithmetic: integers of 64 bits that wrap around, decimals that are exact, rounding and sequences.

Rules: https://masterminds.github.io/sprig/math.html, and github.com/shopspring/decimal for the functions with an f
at their end, which do not know binary fractions: 0.1 and 0.2 are 0.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.functions.convert import to_float64, to_int64
from keyferry.gotemplate.serial.gonumbers import shortest_digits
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.values import Int64, Ints, Value, wrap_int64

group = FunctionGroup("Numbers")

_DIVISION_DIGITS: Final = 16
_BITS_PER_STEP: Final = 512
_MAX_SEQUENCE: Final = 2
_DIGITS_AND_SPACE: Final = 21

Decimal = tuple[int, int]
"""A decimal number: its digits, and the power of ten that they are multiplied with."""


@group.add("add1", "func(interface {}) int64")
def add1(run: Run, value: Value) -> int:
    """The number plus 1: `add1 2` is `3`."""
    return Int64(wrap_int64(to_int64(run, value) + 1))


@group.add("add", "func(...interface {}) int64")
def add(run: Run, *values: Value) -> int:
    """The sum of integers: `add 1 2 3` is `6`."""
    return Int64(wrap_int64(sum(to_int64(run, one) for one in values)))


@group.add("sub", "func(interface {}, interface {}) int64")
def sub(run: Run, first: Value, second: Value) -> int:
    """The difference of integers: `sub 5 3` is `2`."""
    return Int64(wrap_int64(to_int64(run, first) - to_int64(run, second)))


@group.add("mul", "func(interface {}, ...interface {}) int64")
def mul(run: Run, first: Value, *others: Value) -> int:
    """The product of integers: `mul 2 3 4` is `24`."""
    product = to_int64(run, first)
    for one in others:
        product = wrap_int64(product * to_int64(run, one))
    return Int64(product)


def _divided(run: Run, first: Value, second: Value) -> tuple[int, int]:
    """Quotient without fraction and remainder; the remainder has the sign of the first number."""
    number, divisor = to_int64(run, first), to_int64(run, second)
    if not divisor:
        raise FunctionError("runtime error: integer divide by zero")
    quotient, remainder = divmod(abs(number), abs(divisor))
    if (number < 0) != (divisor < 0):
        quotient = -quotient
    return wrap_int64(quotient), -remainder if number < 0 else remainder


@group.add("div", "func(interface {}, interface {}) int64")
def div(run: Run, first: Value, second: Value) -> int:
    """The quotient of integers, without its fraction: `div 7 2` is `3`."""
    return Int64(_divided(run, first, second)[0])


@group.add("mod", "func(interface {}, interface {}) int64")
def mod(run: Run, first: Value, second: Value) -> int:
    """What is left when the first integer is divided by the second: `mod 7 2` is `1`."""
    return Int64(_divided(run, first, second)[1])


def _decimal(run: Run, value: Value) -> Decimal:
    number = to_float64(run, value)
    if not math.isfinite(number):
        raise FunctionError("Cannot create a Decimal from a float64 that is infinite or no number")
    digits, point = shortest_digits(abs(number))
    if not digits:
        return 0, 0
    whole = int(digits)
    return -whole if number < 0 else whole, point - len(digits)


def _aligned(first: Decimal, second: Decimal) -> tuple[int, int, int]:
    power = min(first[1], second[1])
    return first[0] * 10 ** (first[1] - power), second[0] * 10 ** (second[1] - power), power


def _sum(first: Decimal, second: Decimal) -> Decimal:
    one, other, power = _aligned(first, second)
    return one + other, power


def _difference(first: Decimal, second: Decimal) -> Decimal:
    one, other, power = _aligned(first, second)
    return one - other, power


def _product(first: Decimal, second: Decimal) -> Decimal:
    return first[0] * second[0], first[1] + second[1]


def _quotient(first: Decimal, second: Decimal) -> Decimal:
    """To 16 digits after the point; halves go away from zero."""
    if not second[0]:
        raise FunctionError("decimal division by 0")
    number, divisor = abs(first[0]), abs(second[0])
    power = first[1] - second[1] + _DIVISION_DIGITS
    if power < 0:
        divisor *= 10**-power
    else:
        number *= 10**power
    quotient, remainder = divmod(number, divisor)
    if 2 * remainder >= divisor:
        quotient += 1
    return (-quotient if (first[0] < 0) != (second[0] < 0) else quotient), -_DIVISION_DIGITS


def _folded(
    run: Run, start: Decimal, values: tuple[Value, ...], step: Callable[[Decimal, Decimal], Decimal]
) -> float:
    result = start
    for one in values:
        run.spend(3 + result[0].bit_length() // _BITS_PER_STEP)
        result = step(result, _decimal(run, one))
    digits, power = result
    run.spend(1 + abs(power) // 128)
    try:
        return float(Fraction(digits * 10**power if power > 0 else digits, 10 ** max(-power, 0)))
    except OverflowError:
        return -math.inf if digits < 0 else math.inf


@group.add("add1f", "func(interface {}) float64")
def add1f(run: Run, value: Value) -> float:
    """The decimal number plus 1: `add1f 1.5` is `2.5`."""
    return _folded(run, _decimal(run, value), (1,), _sum)


@group.add("addf", "func(...interface {}) float64")
def addf(run: Run, *values: Value) -> float:
    """The sum of decimal numbers: `addf 0.1 0.2` is `0.3`."""
    return _folded(run, (0, 0), values, _sum)


@group.add("subf", "func(interface {}, ...interface {}) float64")
def subf(run: Run, first: Value, *others: Value) -> float:
    """The first decimal number less the others: `subf 7.5 2 3` is `2.5`."""
    return _folded(run, _decimal(run, first), others, _difference)


@group.add("mulf", "func(interface {}, ...interface {}) float64")
def mulf(run: Run, first: Value, *others: Value) -> float:
    """The product of decimal numbers: `mulf 1.5 2 2` is `6`."""
    return _folded(run, _decimal(run, first), others, _product)


@group.add("divf", "func(interface {}, ...interface {}) float64")
def divf(run: Run, first: Value, *others: Value) -> float:
    """The first decimal number divided by the others, to 16 digits after the point: `divf 10 4` is `2.5`."""
    return _folded(run, _decimal(run, first), others, _quotient)


@group.add("max biggest", "func(interface {}, ...interface {}) int64")
def max_(run: Run, first: Value, *others: Value) -> int:
    """The greatest of integers: `max 1 3 2` is `3`."""
    return Int64(max(to_int64(run, one) for one in (first, *others)))


@group.add("min", "func(interface {}, ...interface {}) int64")
def min_(run: Run, first: Value, *others: Value) -> int:
    """The least of integers: `min 1 3 2` is `1`."""
    return Int64(min(to_int64(run, one) for one in (first, *others)))


def _greater(first: float, second: float) -> float:
    if math.inf in {first, second}:
        return math.inf
    if math.isnan(first) or math.isnan(second):
        return math.nan
    if first == second == 0:
        return second if math.copysign(1, first) < 0 else first
    return max(first, second)


@group.add("maxf", "func(interface {}, ...interface {}) float64")
def maxf(run: Run, first: Value, *others: Value) -> float:
    """The greatest of numbers: `maxf 1 2.5` is `2.5`."""
    greatest = to_float64(run, first)
    for one in others:
        greatest = _greater(greatest, to_float64(run, one))
    return greatest


@group.add("minf", "func(interface {}, ...interface {}) float64")
def minf(run: Run, first: Value, *others: Value) -> float:
    """The least of numbers: `minf 1.5 2` is `1.5`."""
    least = to_float64(run, first)
    for one in others:
        least = -_greater(-least, -to_float64(run, one))
    return least


def _upwards(value: float) -> float:
    return math.copysign(math.ceil(value), value) if math.isfinite(value) else value


def _downwards(value: float) -> float:
    return math.copysign(math.floor(value), value) if math.isfinite(value) else value


@group.add("ceil", "func(interface {}) float64")
def ceil(run: Run, value: Value) -> float:
    """The next whole number upwards: `ceil 1.2` is `2`."""
    return _upwards(to_float64(run, value))


@group.add("floor", "func(interface {}) float64")
def floor(run: Run, value: Value) -> float:
    """The next whole number downwards: `floor 1.8` is `1`."""
    return _downwards(to_float64(run, value))


def _power_of_ten(exponent: int) -> float:
    """As Go's math.Pow multiplies it together; C's is rounded otherwise."""
    result, scale = 1.0, 0
    factor, factor_scale = math.frexp(10.0)
    left = abs(exponent)
    while left:
        if abs(factor_scale) > 1 << 12:
            scale += factor_scale
            break
        if left & 1:
            result *= factor
            scale += factor_scale
        factor *= factor
        factor_scale <<= 1
        if factor < 0.5:
            factor += factor
            factor_scale -= 1
        left >>= 1
    if exponent < 0:
        result, scale = 1 / result, -scale
    try:
        return math.ldexp(result, scale)
    except OverflowError:
        return math.inf


@group.add("round", "func(interface {}, int, ...float64) float64")
def round_(run: Run, value: Value, places: int, *half: float) -> float:
    """The number with so many digits after the point: `round 1.2345 2` is `1.23`.

    A third number says from which fraction on it goes up, instead of 0.5.
    """
    power = _power_of_ten(places)
    digit = power * to_float64(run, value)
    fraction = math.modf(digit)[0] if math.isfinite(digit) else math.nan
    digit = _upwards(digit) if fraction >= (half[0] if half else 0.5) else _downwards(digit)
    if power:
        return digit / power
    return math.nan if digit == 0 or math.isnan(digit) else math.copysign(math.inf, digit)


def _counted(run: Run, start: int, stop: int, step: int) -> range:
    """The numbers from start on, without stop; none where the step leads away from it."""
    if (step > 0) if stop < start else (step <= 0):
        return range(0)
    if stop < start and step == 0:
        return range(0)
    numbers = range(start, stop, step)
    # The length of a range beyond 64 bits is none that Python can tell.
    run.charge_elements(abs(stop - start) // abs(step) + 1)
    return numbers


@group.add("until", "func(int) []int")
def until(run: Run, count: int) -> Ints:
    """The integers from 0 on, without the given one: `until 3` is `[0 1 2]`."""
    return Ints(_counted(run, 0, count, -1 if count < 0 else 1))


@group.add("untilStep", "func(int, int, int) []int")
def until_step(run: Run, start: int, stop: int, step: int) -> Ints:
    """The integers from start to before stop, by step: `untilStep 3 9 2` is `[3 5 7]`."""
    return Ints(_counted(run, start, stop, step))


@group.add("seq", "func(...int) string")
def seq(run: Run, *bounds: int) -> bytes:
    """Integers as the shell's seq counts them, as text with spaces between: `seq 3` is `1 2 3`, `seq 1 2 5` is `1 3 5`."""
    if not 1 <= len(bounds) <= _MAX_SEQUENCE + 1:
        return b""
    start, end = (1 if len(bounds) == 1 else bounds[0]), bounds[-1]
    beyond = -1 if end < start else 1
    step = bounds[1] if len(bounds) > _MAX_SEQUENCE else beyond
    if end < start and step > 0:
        return b""
    numbers = _counted(run, start, wrap_int64(end + beyond), step)
    run.charge(len(numbers) * _DIGITS_AND_SPACE)
    return b" ".join([b"%d" % one for one in numbers])
