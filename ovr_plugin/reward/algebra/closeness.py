"""How far two values are apart; numbers and matrices of mpmath."""

from __future__ import annotations

from typing import Any

import mpmath
from mpmath import mpf

DIGITS = 64
AGREE = 45  # the other digits are lost to rounding

Value = Any


def agree(a: Value, b: Value, digits: int = AGREE) -> bool:
    """Whether two values have so many digits in common, however large they are."""
    gap = distance(a, b)
    return not mpmath.isinf(gap) and bool(gap <= mpf(10) ** -digits * max(size(a), size(b)))


def distance(a: Value, b: Value) -> Value:
    """The size of the difference; infinite for what cannot be equal."""
    if isinstance(a, mpmath.matrix) or isinstance(b, mpmath.matrix):
        if type(a) is not type(b) or (a.rows, a.cols) != (b.rows, b.cols):
            return mpf("inf")
    elif mpmath.isinf(a) or mpmath.isinf(b):
        return mpf(0) if a == b else mpf("inf")
    return size(a - b)


def size(value: Value) -> Value:
    """The absolute value, of a matrix that of its largest entry."""
    return max(map(abs, value)) if isinstance(value, mpmath.matrix) else abs(value)


def is_real(value: Value) -> bool:
    """Whether a value is real, but for what rounding left."""
    if isinstance(value, mpmath.matrix):
        return all(map(is_real, value))
    if not isinstance(value, mpmath.mpc):
        return True
    return bool(abs(value.imag) <= mpf(10) ** -AGREE * abs(value))
